/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/pack_table.h"

#include <stdlib.h>
#include <string.h>

#include "vault/sealed.h"

void pack_table_fini(struct pack_table *t)
{
    free(t->slot);
    free(t->offset);
    t->slot = NULL;
    t->offset = NULL;
    t->slots = 0;
}

enum err_code pack_table_init(struct pack_table *t, const char *name,
                              uint64_t object_bytes, struct err *err)
{
    struct name n;

    memset(t, 0, sizeof(*t));
    if (!name_parse(name, &n) || (n.kind != NAME_PACK && n.kind != NAME_MAP))
        return err_set(err, ERR_ARGUMENT, 0, "%s: not a pack's name", name);
    memcpy(t->name, name, strlen(name) + 1);
    t->kind = n.kind == NAME_MAP ? SEAL_SLOT_MAP : SEAL_SLOT_DATA;
    t->pack_id = n.id;
    t->bytes = object_bytes;
    return ERR_OK;
}

enum err_code pack_table_take_tail(struct pack_table *t, const uint8_t *tail,
                                   struct err *err)
{
    if (pack_layout_get_tail(tail, t->bytes, &t->tail, err) != ERR_OK)
        return err_context(err, "%s", t->name);
    return ERR_OK;
}

/* Where slots begin; the map of a page must fit a page. */
static enum err_code sum_up(struct pack_table *t, struct err *err)
{
    uint64_t at = SEAL_SLOT_HEADER;

    t->offset = malloc(((size_t)t->slots + 1) * sizeof(*t->offset));
    if (!t->offset)
        return err_set(err, ERR_NOMEM, 0, "%s", t->name);
    for (uint32_t i = 0; i < t->slots; i++) {
        t->offset[i] = at;
        at += t->slot[i].stored;
    }
    t->offset[t->slots] = at;
    return ERR_OK;
}

enum err_code pack_table_take_toc(struct pack_table *t,
                                  const struct keyring *keys,
                                  const uint8_t *sealed, struct err *err)
{
    struct buf plain;

    buf_init(&plain, t->tail.toc_bytes);
    if (sealed_open(keys, SEAL_STREAM_TOC, t->name, sealed, t->tail.toc_bytes,
                    &plain, err) != ERR_OK ||
        pack_layout_get_toc((struct slice){plain.data, plain.len}, &t->tail,
                            &t->slot, err) != ERR_OK) {
        buf_fini(&plain);
        return err_context(err, "%s", t->name);
    }
    buf_fini(&plain);
    t->slots = t->tail.slots;
    return sum_up(t, err);
}

enum err_code pack_table_take_header(struct pack_table *t,
                                     const uint8_t *header, struct err *err)
{
    if (seal_slot_header_parse(header, &t->header, err) != ERR_OK)
        return err_context(err, "%s", t->name);
    if (t->header.kind != t->kind ||
        !id16_equal(&t->header.pack_id, &t->pack_id))
        return err_set(err, ERR_INTEGRITY, 0,
                       "%s: its header is another pack's", t->name);
    memcpy(t->header_raw, header, SEAL_SLOT_HEADER);
    t->has_header = true;
    return ERR_OK;
}

enum err_code pack_table_open(struct pack_table *t, const struct keyring *keys,
                              const char *name, struct slice object,
                              struct err *err)
{
    if (pack_table_init(t, name, object.len, err) != ERR_OK)
        return err->code;
    if (object.len < PACK_LAYOUT_BLOCK)
        return err_set(err, ERR_INTEGRITY, 0, "%s: too short", name);
    if (pack_table_take_tail(t, object.data + object.len - PACK_LAYOUT_TAIL,
                             err) != ERR_OK ||
        pack_table_take_toc(t, keys, object.data + t->tail.toc_offset, err) !=
            ERR_OK ||
        pack_table_take_header(t, object.data, err) != ERR_OK)
        pack_table_fini(t);
    return t->has_header ? ERR_OK : err->code;
}

enum err_code pack_table_key(const struct pack_table *t,
                             const struct keyring *keys,
                             struct seal_key *k_pack, struct err *err)
{
    enum seal_key_role role =
        t->kind == SEAL_SLOT_MAP ? SEAL_KEY_META : SEAL_KEY_DATA;
    const struct keyring_key *key = keyring_find(keys, role, &t->header.key_id);
    struct seal_slot_header again;
    char text[33];

    if (!key) {
        bytes_hex(t->header.key_id.b, 16, text);
        return err_set(err, ERR_KEY, 0,
                       "%s: sealed under key %s, which is "
                       "not held",
                       t->name, text);
    }
    if (seal_slot_header_open(keyring_suite(keys), &key->key,
                              keyring_vault_id(keys), t->header_raw, &again,
                              k_pack, err) != ERR_OK)
        return err_context(err, "%s", t->name);
    return ERR_OK;
}
