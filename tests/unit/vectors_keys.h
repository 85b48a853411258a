/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/vectors_keys.h - the keyring of the vault that the vectors are of.
 */
#ifndef CAIRN_TESTS_VECTORS_KEYS_H
#define CAIRN_TESTS_VECTORS_KEYS_H

#include "vectors.h"

#include "crypto/seal_digest.h"
#include "vault/keyring.h"

/* RS and MK, and with_dk the DK too; MK and DK are current. */
static inline struct keyring *vectors_keyring(const struct seal_suite *suite,
                                              bool with_dk)
{
    struct json *doc = vectors_load("keys.json");
    struct keyring *k = NULL;
    struct seal_key rs, mk, dk;
    struct err err = {0};

    vectors_hex(doc, "rs", rs.b, 32);
    vectors_hex(doc, "mk", mk.b, 32);
    vectors_hex(doc, "dk", dk.b, 32);
    json_free(doc);
    if (keyring_new(suite, &rs, &k, &err) != ERR_OK ||
        keyring_add(k, SEAL_KEY_META, &mk, true, &err) != ERR_OK ||
        (with_dk && keyring_add(k, SEAL_KEY_DATA, &dk, true, &err) != ERR_OK))
        fail_msg("%s", err.text);
    return k;
}

/* Bytes of a field of base 64, to free(). */
static inline uint8_t *vectors_base64(const struct json *j, const char *key,
                                      size_t *len)
{
    const char *text = vectors_text(j, key);
    size_t text_len = strlen(text);
    uint8_t *out = malloc(text_len + 1);

    assert_non_null(out);
    *len = text_len;
    if (!seal_digest_unbase64(text, text_len, out, len))
        fail_msg("%s is no base 64", key);
    return out;
}

#endif
