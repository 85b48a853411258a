/* SPDX-License-Identifier: Apache-2.0 */
/* Not through EVP_MAC: it allocates twice for every message (seal_digest.c). */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/seal_hmac.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "base/bytes.h"

struct seal_hmac {
    bool failed;
    SHA256_CTX inner, outer; /* after the key's block */
    SHA256_CTX running;      /* inner, and the message so far */
};

struct seal_hmac *seal_hmac_new(const struct seal_suite *suite)
{
    struct seal_hmac *h = calloc(1, sizeof(*h));

    (void)suite;
    if (h)
        h->failed = true; /* until there is a key */
    return h;
}

void seal_hmac_free(struct seal_hmac *h)
{
    if (h)
        bytes_wipe(h, sizeof(*h));
    free(h);
}

void seal_hmac_key(struct seal_hmac *h, const void *key, size_t len)
{
    uint8_t block[SHA256_CBLOCK] = {0};
    int ok = 1;

    if (len > sizeof(block)) {
        ok = SHA256_Init(&h->running) && SHA256_Update(&h->running, key, len) &&
             SHA256_Final(block, &h->running);
    } else if (len) {
        memcpy(block, key, len);
    }
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36;
    ok = ok && SHA256_Init(&h->inner) &&
         SHA256_Update(&h->inner, block, sizeof(block));
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36 ^ 0x5c;
    ok = ok && SHA256_Init(&h->outer) &&
         SHA256_Update(&h->outer, block, sizeof(block));
    bytes_wipe(block, sizeof(block));
    h->failed = !ok;
}

void seal_hmac_begin(struct seal_hmac *h)
{
    h->running = h->inner;
}

void seal_hmac_add(struct seal_hmac *h, const void *data, size_t len)
{
    if (len && !SHA256_Update(&h->running, data, len))
        h->failed = true;
}

bool seal_hmac_end(struct seal_hmac *h, uint8_t *out)
{
    uint8_t inner[SHA256_DIGEST_LENGTH];
    bool ok;

    ok = SHA256_Final(inner, &h->running);
    h->running = h->outer;
    ok = ok && SHA256_Update(&h->running, inner, sizeof(inner)) &&
         SHA256_Final(out, &h->running);
    bytes_wipe(inner, sizeof(inner));
    return ok && !h->failed;
}
