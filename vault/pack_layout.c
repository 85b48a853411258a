/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/pack_layout.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/seal_digest.h"
#include "crypto/seal_stream.h"

#define TAIL_MAGIC "CAIRNPKE"
#define TAIL_CRC_AT 56 /* the CRC covers what is before it */

void pack_layout_put_entry(uint8_t out[PACK_LAYOUT_ENTRY],
                           const struct pack_slot *slot)
{
    memcpy(out, slot->id.b, 16);
    bytes_put_u32(out + 16, slot->stored);
    bytes_put_u32(out + 20, slot->raw);
    out[24] = slot->codec;
    memset(out + 25, 0, 3);
}

/* What lengths a slot may have, as its codec says. */
static bool lengths_fit(const struct pack_slot *s)
{
    if (s->raw == 0 || s->raw > PACK_LAYOUT_RAW_MAX)
        return false;
    if (s->stored == 0) /* dropped */
        return true;
    if (s->codec == PACK_LAYOUT_RAW)
        return s->stored == s->raw + SEAL_SLOT_TAG;
    return s->stored > SEAL_SLOT_TAG && s->stored < s->raw + SEAL_SLOT_TAG;
}

enum err_code pack_layout_get_entry(const uint8_t in[PACK_LAYOUT_ENTRY],
                                    struct pack_slot *out, struct err *err)
{
    memcpy(out->id.b, in, 16);
    out->stored = bytes_get_u32(in + 16);
    out->raw = bytes_get_u32(in + 20);
    out->codec = in[24];
    if (in[25] | in[26] | in[27])
        return err_set(err, ERR_INTEGRITY, 0, "toc entry: zero bytes");
    if (out->codec > PACK_LAYOUT_ZSTD)
        return err_set(err, ERR_INTEGRITY, 0, "toc entry: codec %d is unknown",
                       out->codec);
    if (!lengths_fit(out))
        return err_set(err, ERR_INTEGRITY, 0,
                       "toc entry: %u bytes raw and %u stored cannot be",
                       out->raw, out->stored);
    return ERR_OK;
}

void pack_layout_put_tail(uint8_t out[PACK_LAYOUT_TAIL],
                          const struct pack_tail *tail)
{
    bytes_put_u64(out, tail->toc_offset);
    bytes_put_u32(out + 8, tail->toc_bytes);
    bytes_put_u32(out + 12, tail->slots);
    memcpy(out + 16, tail->digest, 32);
    memcpy(out + 48, TAIL_MAGIC, 8);
    bytes_put_u32(out + TAIL_CRC_AT, seal_digest_crc32c(0, out, TAIL_CRC_AT));
    bytes_put_u32(out + 60, 0);
}

static enum err_code bad_tail(struct err *err, const char *why)
{
    return err_set(err, ERR_INTEGRITY, 0, "pack tail: %s", why);
}

enum err_code pack_layout_get_tail(const uint8_t in[PACK_LAYOUT_TAIL],
                                   uint64_t object_bytes, struct pack_tail *out,
                                   struct err *err)
{
    if (object_bytes == 0 || object_bytes % PACK_LAYOUT_BLOCK ||
        object_bytes > PACK_LAYOUT_BYTES_MAX)
        return bad_tail(err, "the object's length is no pack's");
    if (memcmp(in + 48, TAIL_MAGIC, 8) != 0)
        return bad_tail(err, "magic");
    if (bytes_get_u32(in + TAIL_CRC_AT) !=
        seal_digest_crc32c(0, in, TAIL_CRC_AT))
        return bad_tail(err, "checksum");
    if (bytes_get_u32(in + 60) != 0)
        return bad_tail(err, "zero bytes");
    out->toc_offset = bytes_get_u64(in);
    out->toc_bytes = bytes_get_u32(in + 8);
    out->slots = bytes_get_u32(in + 12);
    memcpy(out->digest, in + 16, 32);
    if (out->toc_offset < SEAL_SLOT_HEADER || out->toc_offset > object_bytes ||
        object_bytes - out->toc_offset !=
            (uint64_t)out->toc_bytes + PACK_LAYOUT_TAIL)
        return bad_tail(err, "toc and tail do not end the object");
    if (out->slots > PACK_LAYOUT_SLOTS_MAX ||
        out->toc_bytes !=
            seal_stream_bytes(PACK_LAYOUT_TOC_HEAD +
                              (uint64_t)out->slots * PACK_LAYOUT_ENTRY))
        return bad_tail(err, "slot count");
    return ERR_OK;
}

bool pack_layout_put_toc(struct buf *out, const uint8_t digest[32],
                         const uint8_t *entries, uint32_t count)
{
    return buf_add(out, digest, 32) && buf_add_u32(out, count) &&
           buf_add_u32(out, 0) &&
           buf_add(out, entries, (size_t)count * PACK_LAYOUT_ENTRY);
}

enum err_code pack_layout_get_toc(struct slice toc,
                                  const struct pack_tail *tail,
                                  struct pack_slot **slots, struct err *err)
{
    struct pack_slot *all = NULL;
    uint64_t end = SEAL_SLOT_HEADER;

    if (toc.len !=
            PACK_LAYOUT_TOC_HEAD + (size_t)tail->slots * PACK_LAYOUT_ENTRY ||
        bytes_get_u32(toc.data + 32) != tail->slots ||
        bytes_get_u32(toc.data + 36) != 0)
        return err_set(err, ERR_INTEGRITY, 0, "toc: lengths");
    if (memcmp(toc.data, tail->digest, 32) != 0)
        return err_set(err, ERR_INTEGRITY, 0,
                       "toc: the tail has another digest");
    if (tail->slots) {
        all = calloc(tail->slots, sizeof(*all));
        if (!all)
            return err_set(err, ERR_NOMEM, 0, "toc of %u slots", tail->slots);
    }
    for (uint32_t i = 0; i < tail->slots; i++) {
        const uint8_t *at =
            toc.data + PACK_LAYOUT_TOC_HEAD + (size_t)i * PACK_LAYOUT_ENTRY;

        if (pack_layout_get_entry(at, &all[i], err) != ERR_OK) {
            free(all);
            return err_context(err, "slot %u", i);
        }
        end += all[i].stored;
    }
    if (end > tail->toc_offset) {
        free(all);
        return err_set(err, ERR_INTEGRITY, 0, "toc: slots run into it");
    }
    *slots = all;
    return ERR_OK;
}

uint32_t pack_layout_pad(uint64_t slots_end, uint64_t toc_bytes)
{
    uint64_t used = slots_end + toc_bytes + PACK_LAYOUT_TAIL;

    return (uint32_t)((PACK_LAYOUT_BLOCK - used % PACK_LAYOUT_BLOCK) %
                      PACK_LAYOUT_BLOCK);
}

uint64_t pack_layout_bytes(uint64_t slots_end, uint32_t slots)
{
    uint64_t toc = seal_stream_bytes(PACK_LAYOUT_TOC_HEAD +
                                     (uint64_t)slots * PACK_LAYOUT_ENTRY);

    return slots_end + pack_layout_pad(slots_end, toc) + toc + PACK_LAYOUT_TAIL;
}
