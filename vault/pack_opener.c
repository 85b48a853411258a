/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/pack_opener.h"

#include <stdlib.h>

#include <zstd.h>

#include "crypto/seal_slot.h"

struct pack_opener {
    struct seal_slot_work *work;
    ZSTD_DCtx *zstd;
    uint8_t *body; /* a compressed chunk, opened: less than its raw length */
};

struct pack_opener *pack_opener_new(const struct seal_suite *suite)
{
    struct pack_opener *o = calloc(1, sizeof(*o));

    if (!o)
        return NULL;
    o->work = seal_slot_work_new(suite);
    o->zstd = ZSTD_createDCtx();
    o->body = malloc(PACK_LAYOUT_RAW_MAX);
    if (o->work && o->zstd && o->body)
        return o;
    pack_opener_free(o);
    return NULL;
}

void pack_opener_free(struct pack_opener *o)
{
    if (!o)
        return;
    seal_slot_work_free(o->work);
    ZSTD_freeDCtx(o->zstd);
    if (o->body)
        bytes_wipe(o->body, PACK_LAYOUT_RAW_MAX);
    free(o->body);
    free(o);
}

static enum err_code refuse(const struct pack_opener_slot *s, struct err *err,
                            const char *why)
{
    return err_set(err, ERR_INTEGRITY, 0, "slot %u: %s", s->number, why);
}

/* One frame and nothing else, of exactly the raw length; any declared size
 * right. zstd checks the declared size itself. */
static enum err_code unpack(struct pack_opener *o,
                            const struct pack_opener_slot *s, size_t body_len,
                            struct err *err)
{
    size_t frame = ZSTD_findFrameCompressedSize(o->body, body_len);
    unsigned long long said = ZSTD_getFrameContentSize(o->body, body_len);
    size_t got;

    if (ZSTD_isError(frame) || frame != body_len ||
        said == ZSTD_CONTENTSIZE_ERROR)
        return refuse(s, err, "not one zstd frame");
    if (ZSTD_getDictID_fromFrame(o->body, body_len) != 0)
        return refuse(s, err, "it wants a dictionary");
    if (said != ZSTD_CONTENTSIZE_UNKNOWN && said != s->slot->raw)
        return refuse(s, err, "its frame declares another length");
    got = ZSTD_decompressDCtx(o->zstd, s->out, s->slot->raw, o->body, body_len);
    if (ZSTD_isError(got) || got != s->slot->raw)
        return refuse(s, err, "it does not decompress to its length");
    return ERR_OK;
}

enum err_code pack_opener_open(struct pack_opener *o,
                               const struct keyring *keys,
                               const struct pack_opener_slot *s,
                               struct err *err)
{
    struct seal_slot_place place = {
        .slot = s->number,
        .chunk_id = s->slot->id,
        .codec = s->slot->codec,
        .raw_len = s->slot->raw,
    };
    bool packed = s->slot->codec == PACK_LAYOUT_ZSTD;
    struct id16 id;

    if (s->slot->stored <= SEAL_SLOT_TAG)
        return refuse(s, err, "it was dropped");
    if (!seal_slot_open(o->work, s->k_pack, &place, s->sealed, s->slot->stored,
                        packed ? o->body : s->out))
        return refuse(s, err, "its seal is broken");
    if (packed && unpack(o, s, s->slot->stored - SEAL_SLOT_TAG, err) != ERR_OK)
        return err->code;
    if (!seal_slot_chunk_id(o->work, keyring_k_id(keys), s->kind, s->out,
                            s->slot->raw, &id))
        return err_set(err, ERR_NOMEM, 0, "slot %u", s->number);
    if (!id16_equal(&id, &s->slot->id))
        return refuse(s, err, "its contents are not those of its id");
    return ERR_OK;
}
