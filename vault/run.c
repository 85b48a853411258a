/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/run.h"

#include <string.h>

#include "vault/sealed.h"

#define FIELD_PACK 50
#define HEAD 40 /* before the entries */

static const struct field_rule rules[] = {
    {FIELD_PACK, false, false, true},
};

void run_reader_init(struct run_reader *r, struct slice plain)
{
    field_reader_init(&r->fields, "index run", rules, BYTES_COUNT(rules),
                      plain);
}

static bool refuse(struct err *err, const char *why)
{
    err_set(err, ERR_INTEGRITY, 0, "index run: %s", why);
    return false;
}

bool run_next(struct run_reader *r, struct run_pack *out, struct err *err)
{
    struct field f;
    struct pack_slot slot;
    const uint8_t *at;

    if (!field_next(&r->fields, &f, err))
        return false;
    at = f.value.data;
    if (f.value.len < HEAD)
        return refuse(err, "a pack's head is cut off");
    memcpy(out->id.b, at, 16);
    memcpy(out->key_id.b, at + 16, 16);
    if (bytes_get_u16(at + 32) > SEAL_SLOT_MAP)
        return refuse(err, "a pack of unknown kind");
    out->kind = (enum seal_slot_kind)bytes_get_u16(at + 32);
    if (bytes_get_u16(at + 34) != 0)
        return refuse(err, "zero bytes");
    out->slots = bytes_get_u32(at + 36);
    out->entries = at + HEAD;
    if (out->slots > PACK_LAYOUT_SLOTS_MAX ||
        f.value.len != HEAD + (size_t)out->slots * PACK_LAYOUT_ENTRY)
        return refuse(err, "a pack's slot count");
    for (uint32_t i = 0; i < out->slots; i++)
        if (pack_layout_get_entry(out->entries + (size_t)i * PACK_LAYOUT_ENTRY,
                                  &slot, err) != ERR_OK) {
            err_context(err, "index run");
            return false;
        }
    return true;
}

bool run_add(struct buf *b, const struct run_pack *pack)
{
    size_t at = field_begin(b, FIELD_PACK, false);

    buf_add(b, pack->id.b, 16);
    buf_add(b, pack->key_id.b, 16);
    buf_add_u16(b, (uint16_t)pack->kind);
    buf_add_u16(b, 0);
    buf_add_u32(b, pack->slots);
    buf_add(b, pack->entries, (size_t)pack->slots * PACK_LAYOUT_ENTRY);
    field_end(b, at);
    return !buf_failed(b);
}

enum err_code run_open(const struct keyring *keys, const char *name,
                       const void *sealed, size_t len, struct buf *out,
                       struct err *err)
{
    if (sealed_open(keys, SEAL_STREAM_INDEX_RUN, name, sealed, len, out, err) !=
        ERR_OK)
        return err_context(err, "%s", name);
    return ERR_OK;
}

enum err_code run_seal(const struct keyring *keys, const char *name,
                       struct slice plain, struct buf *out, struct err *err)
{
    return sealed_make(keys, SEAL_STREAM_INDEX_RUN, name, plain, out, err);
}
