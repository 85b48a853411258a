/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hashes are called by their own functions, not through EVP: in OpenSSL
 * 3.0 each EVP_DigestInit and each copy of a state allocates, and with that
 * each chunk id could fail for want of memory. The code behind both is the
 * same (SHA-NI where the machine has it).
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/seal_digest.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/md5.h>
#include <openssl/sha.h>

#include "base/bytes.h"
#include "crypto/seal_hmac.h"

struct seal_digest {
    enum seal_digest_kind kind;
    bool failed;
    union {
        SHA256_CTX sha256;
        SHA_CTX sha1;
        MD5_CTX md5;
    } state;
};

struct seal_digest *seal_digest_new(const struct seal_suite *suite,
                                    enum seal_digest_kind kind)
{
    struct seal_digest *d = calloc(1, sizeof(*d));

    (void)suite;
    if (!d)
        return NULL;
    d->kind = kind;
    seal_digest_begin(d);
    return d;
}

void seal_digest_free(struct seal_digest *d)
{
    if (d)
        bytes_wipe(d, sizeof(*d));
    free(d);
}

void seal_digest_begin(struct seal_digest *d)
{
    int ok = 0;

    switch (d->kind) {
    case SEAL_DIGEST_SHA256:
        ok = SHA256_Init(&d->state.sha256);
        break;
    case SEAL_DIGEST_SHA1:
        ok = SHA1_Init(&d->state.sha1);
        break;
    case SEAL_DIGEST_MD5:
        ok = MD5_Init(&d->state.md5);
        break;
    }
    d->failed = !ok;
}

void seal_digest_add(struct seal_digest *d, const void *data, size_t len)
{
    int ok = 0;

    if (!len)
        return;
    switch (d->kind) {
    case SEAL_DIGEST_SHA256:
        ok = SHA256_Update(&d->state.sha256, data, len);
        break;
    case SEAL_DIGEST_SHA1:
        ok = SHA1_Update(&d->state.sha1, data, len);
        break;
    case SEAL_DIGEST_MD5:
        ok = MD5_Update(&d->state.md5, data, len);
        break;
    }
    if (!ok)
        d->failed = true;
}

bool seal_digest_end(struct seal_digest *d, uint8_t *out)
{
    int ok = 0;

    switch (d->kind) {
    case SEAL_DIGEST_SHA256:
        ok = SHA256_Final(out, &d->state.sha256);
        break;
    case SEAL_DIGEST_SHA1:
        ok = SHA1_Final(out, &d->state.sha1);
        break;
    case SEAL_DIGEST_MD5:
        ok = MD5_Final(out, &d->state.md5);
        break;
    }
    return ok && !d->failed;
}

void seal_digest_copy(struct seal_digest *to, const struct seal_digest *from)
{
    *to = *from;
}

size_t seal_digest_bytes(enum seal_digest_kind kind)
{
    switch (kind) {
    case SEAL_DIGEST_SHA256:
        return 32;
    case SEAL_DIGEST_SHA1:
        return 20;
    case SEAL_DIGEST_MD5:
        return 16;
    }
    return 0;
}

bool seal_digest_once(const struct seal_suite *suite,
                      enum seal_digest_kind kind, const void *data, size_t len,
                      uint8_t *out)
{
    struct seal_digest d = {.kind = kind};
    bool ok;

    (void)suite;
    seal_digest_begin(&d);
    seal_digest_add(&d, data, len);
    ok = seal_digest_end(&d, out);
    bytes_wipe(&d, sizeof(d));
    return ok;
}

bool seal_digest_hmac(const struct seal_suite *suite, const void *key,
                      size_t key_len, const void *data, size_t len,
                      uint8_t *out)
{
    struct seal_hmac *h = seal_hmac_new(suite);
    bool ok;

    if (!h)
        return false;
    seal_hmac_key(h, key, key_len);
    seal_hmac_begin(h);
    seal_hmac_add(h, data, len);
    ok = seal_hmac_end(h, out);
    seal_hmac_free(h);
    return ok;
}

/* --- CRC-32C -------------------------------------------------------------- */

uint32_t seal_digest_crc32c_table(uint32_t crc, const void *data, size_t len)
{
    /* The polynomial 0x82f63b78 (reflected), four bits at a time. */
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const uint8_t *p = data;

    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t
crc32c_sse(uint32_t crc, const uint8_t *p, size_t len)
{
    uint64_t c = (uint32_t)~crc;

    for (; len >= 8; len -= 8, p += 8)
        c = __builtin_ia32_crc32di(c, bytes_get_u64(p));
    for (; len; len--, p++)
        c = __builtin_ia32_crc32qi((uint32_t)c, *p);
    return ~(uint32_t)c;
}
#endif

uint32_t seal_digest_crc32c(uint32_t crc, const void *data, size_t len)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_sse(crc, data, len);
#endif
    return seal_digest_crc32c_table(crc, data, len);
}

/* --- base 64 -------------------------------------------------------------- */

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void seal_digest_base64(const void *data, size_t len, char *out)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        uint32_t v = (uint32_t)p[i] << 16;

        if (have > 1)
            v |= (uint32_t)p[i + 1] << 8;
        if (have > 2)
            v |= p[i + 2];
        *out++ = alphabet[v >> 18];
        *out++ = alphabet[v >> 12 & 63];
        *out++ = have > 1 ? alphabet[v >> 6 & 63] : '=';
        *out++ = have > 2 ? alphabet[v & 63] : '=';
    }
    *out = 0;
}

static int base64_value(char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;

    return at ? (int)(at - alphabet) : -1;
}

bool seal_digest_unbase64(const char *text, size_t text_len, uint8_t *out,
                          size_t *len)
{
    size_t pad = 0, n = 0, bytes;

    if (text_len % 4)
        return false;
    while (pad < 2 && pad < text_len && text[text_len - 1 - pad] == '=')
        pad++;
    bytes = text_len / 4 * 3 - pad;
    if (bytes > *len)
        return false;
    for (size_t i = 0; i < text_len; i += 4) {
        uint32_t v = 0;

        for (size_t j = 0; j < 4; j++) {
            int digit = i + j >= text_len - pad ? 0 : base64_value(text[i + j]);

            if (digit < 0)
                return false;
            v = v << 6 | (uint32_t)digit;
        }
        for (size_t j = 0; j < 3; j++) {
            uint8_t byte = (uint8_t)(v >> (16 - 8 * j));

            if (n < bytes)
                out[n++] = byte;
            else if (byte)
                return false; /* spare bits that are not zero */
        }
    }
    *len = bytes;
    return true;
}
