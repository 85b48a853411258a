/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/vault_damage.h - a row of damage.json, done to the vault of a rig.
 */
#ifndef CAIRN_TESTS_UNIT_VAULT_DAMAGE_H
#define CAIRN_TESTS_UNIT_VAULT_DAMAGE_H

#include "vault_rig.h"

static inline uint8_t *vault_damage_take(struct vault_rig *r, const char *name,
                                         size_t *len)
{
    const uint8_t *data = store_fault_peek(r->bucket, name, len);
    uint8_t *copy = malloc(*len + 64);

    assert_non_null(data);
    assert_non_null(copy);
    memcpy(copy, data, *len);
    return copy;
}

static inline void vault_damage_put(struct vault_rig *r, const char *name,
                                    const uint8_t *data, size_t len)
{
    store_fault_drop(r->bucket, name);
    assert_true(store_fault_poke(r->bucket, name, data, len, 1000));
}

static inline void vault_damage_swap(struct vault_rig *r, const char *a,
                                     const char *b)
{
    size_t len[2];
    uint8_t *data[2] = {vault_damage_take(r, a, &len[0]),
                        vault_damage_take(r, b, &len[1])};

    vault_damage_put(r, a, data[1], len[1]);
    vault_damage_put(r, b, data[0], len[0]);
    free(data[0]);
    free(data[1]);
}

static inline void vault_damage_apply(struct vault_rig *r,
                                      const struct json *row)
{
    const char *op = vectors_text(row, "op");
    const char *object = vectors_text(row, "object");
    size_t len, more;
    uint8_t *data, *bytes;

    if (strcmp(op, "flip") == 0) {
        assert_true(store_fault_damage(r->bucket, object,
                                       (uint64_t)vectors_int(row, "at"),
                                       (uint8_t)vectors_int(row, "mask")));
    } else if (strcmp(op, "swap") == 0) {
        vault_damage_swap(r, object, vectors_text(row, "with"));
    } else if (strcmp(op, "delete") == 0) {
        assert_true(store_fault_drop(r->bucket, object));
    } else if (strcmp(op, "create") == 0) {
        bytes = vectors_bytes(row, "bytes", &more);
        vault_damage_put(r, object, bytes, more);
        free(bytes);
    } else {
        data = vault_damage_take(r, object, &len);
        if (strcmp(op, "truncate") == 0) {
            len -= (size_t)vectors_int(row, "by");
        } else {
            assert_string_equal(op, "append");
            bytes = vectors_bytes(row, "bytes", &more);
            assert_true(more <= 64);
            memcpy(data + len, bytes, more);
            len += more;
            free(bytes);
        }
        vault_damage_put(r, object, data, len);
        free(data);
    }
}

#endif
