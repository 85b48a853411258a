/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/limit_hmac.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define BLOCK 64

struct limit_hmac {
    EVP_MD_CTX *inner, *outer, *running;
};

static int begin_with(EVP_MD_CTX *ctx, const EVP_MD *md, const uint8_t *key,
                      size_t len, uint8_t pad)
{
    uint8_t block[BLOCK];

    memset(block, pad, sizeof(block));
    for (size_t i = 0; i < len; i++)
        block[i] ^= key[i];
    return ctx && EVP_DigestInit_ex2(ctx, md, NULL) &&
           EVP_DigestUpdate(ctx, block, sizeof(block));
}

struct limit_hmac *limit_hmac_new(const uint8_t *key, size_t len)
{
    struct limit_hmac *h = calloc(1, sizeof(*h));
    EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", NULL);
    int ok = 0;

    if (h && md && len <= BLOCK) {
        h->inner = EVP_MD_CTX_new();
        h->outer = EVP_MD_CTX_new();
        h->running = EVP_MD_CTX_new();
        ok = h->running && begin_with(h->inner, md, key, len, 0x36) &&
             begin_with(h->outer, md, key, len, 0x5c);
    }
    EVP_MD_free(md);
    if (ok)
        return h;
    limit_hmac_free(h);
    return NULL;
}

void limit_hmac_free(struct limit_hmac *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->inner);
    EVP_MD_CTX_free(h->outer);
    EVP_MD_CTX_free(h->running);
    free(h);
}

/* These fail for want of memory only. */
void limit_hmac_begin(struct limit_hmac *h)
{
    if (!EVP_MD_CTX_copy_ex(h->running, h->inner))
        abort();
}

void limit_hmac_add(struct limit_hmac *h, const void *data, size_t len)
{
    if (!EVP_DigestUpdate(h->running, data, len))
        abort();
}

void limit_hmac_end(struct limit_hmac *h, uint8_t out[32])
{
    unsigned len;

    if (!EVP_DigestFinal_ex(h->running, out, &len) ||
        !EVP_MD_CTX_copy_ex(h->running, h->outer) ||
        !EVP_DigestUpdate(h->running, out, 32) ||
        !EVP_DigestFinal_ex(h->running, out, &len))
        abort();
}
