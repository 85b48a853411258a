/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/seal_cipher.h"

#include <stdlib.h>

#include <openssl/evp.h>

#include "crypto/seal_internal.h"
#include "crypto/seal_seen.h"

/* One direction: the library's context and the key it is set up for. */
struct side {
    EVP_CIPHER_CTX *evp;
    bool keyed;
    struct seal_key key;
};

struct seal_cipher {
    const struct seal_suite *suite;
    struct side seal, open;
};

struct seal_cipher *seal_cipher_new(const struct seal_suite *suite)
{
    struct seal_cipher *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->suite = suite;
    c->seal.evp = EVP_CIPHER_CTX_new();
    c->open.evp = EVP_CIPHER_CTX_new();
    if (!c->seal.evp || !c->open.evp ||
        !EVP_EncryptInit_ex2(c->seal.evp, suite->aes_gcm, NULL, NULL, NULL) ||
        !EVP_DecryptInit_ex2(c->open.evp, suite->aes_gcm, NULL, NULL, NULL)) {
        seal_cipher_free(c);
        return NULL;
    }
    return c;
}

void seal_cipher_free(struct seal_cipher *c)
{
    if (!c)
        return;
    EVP_CIPHER_CTX_free(c->seal.evp);
    EVP_CIPHER_CTX_free(c->open.evp);
    bytes_wipe(c, sizeof(*c));
    free(c);
}

/* The key for EVP's init: NULL where it has it already. */
static const uint8_t *key_for(struct side *side, const struct seal_key *key)
{
    if (side->keyed && bytes_equal_ct(side->key.b, key->b, sizeof(key->b)))
        return NULL;
    side->keyed = true;
    side->key = *key;
    return key->b;
}

bool seal_cipher_seal(struct seal_cipher *c, const struct seal_key *key,
                      const uint8_t nonce[SEAL_CIPHER_NONCE], struct slice aad,
                      struct slice plain, uint8_t *out)
{
    EVP_CIPHER_CTX *evp = c->seal.evp;
    int n;

    SEAL_SEEN(key, nonce, aad, plain);
    if (plain.len > GIB ||
        !EVP_EncryptInit_ex2(evp, NULL, key_for(&c->seal, key), nonce, NULL))
        goto failed;
    if (aad.len && !EVP_EncryptUpdate(evp, NULL, &n, aad.data, (int)aad.len))
        goto failed;
    if (plain.len &&
        !EVP_EncryptUpdate(evp, out, &n, plain.data, (int)plain.len))
        goto failed;
    if (!EVP_EncryptFinal_ex(evp, out + plain.len, &n) ||
        !EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_GET_TAG, SEAL_CIPHER_TAG,
                             out + plain.len))
        goto failed;
    return true;
failed:
    c->seal.keyed = false;
    return false;
}

bool seal_cipher_open(struct seal_cipher *c, const struct seal_key *key,
                      const uint8_t nonce[SEAL_CIPHER_NONCE], struct slice aad,
                      struct slice sealed, uint8_t *out)
{
    EVP_CIPHER_CTX *evp = c->open.evp;
    uint8_t tag[SEAL_CIPHER_TAG], none[SEAL_CIPHER_TAG];
    size_t len = sealed.len - SEAL_CIPHER_TAG;
    int n;

    if (sealed.len < SEAL_CIPHER_TAG || len > GIB)
        return false;
    /* Copied first: in place, the plaintext may come to lie over it. */
    __builtin_memcpy(tag, sealed.data + len, sizeof(tag));
    if (!EVP_DecryptInit_ex2(evp, NULL, key_for(&c->open, key), nonce, NULL))
        goto failed;
    if (aad.len && !EVP_DecryptUpdate(evp, NULL, &n, aad.data, (int)aad.len))
        goto failed;
    if (len && !EVP_DecryptUpdate(evp, out, &n, sealed.data, (int)len))
        goto failed;
    if (!EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_SET_TAG, SEAL_CIPHER_TAG, tag))
        goto failed;
    return EVP_DecryptFinal_ex(evp, none, &n) > 0;
failed:
    c->open.keyed = false;
    return false;
}
