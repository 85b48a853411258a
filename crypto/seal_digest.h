/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/seal_digest.h - hashes, checksums and their text forms.
 *
 * A struct seal_digest is used by one thread at a time and may be used again
 * and again: beginning anew does not allocate.
 */
#ifndef CAIRN_CRYPTO_SEAL_DIGEST_H
#define CAIRN_CRYPTO_SEAL_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "crypto/seal_suite.h"

enum seal_digest_kind {
    SEAL_DIGEST_SHA256, /* 32 bytes */
    SEAL_DIGEST_SHA1,   /* 20 bytes; checksums of old XVAs only */
    SEAL_DIGEST_MD5,    /* 16 bytes; Content-MD5 only */
};
#define SEAL_DIGEST_MAX 32

struct seal_digest;

/* Ready for seal_digest_add(). `suite` must outlive it. NULL: out of memory. */
struct seal_digest *seal_digest_new(const struct seal_suite *suite,
                                    enum seal_digest_kind kind);
void seal_digest_free(struct seal_digest *d);

/* Begin anew, whatever was added before. */
void seal_digest_begin(struct seal_digest *d);
void seal_digest_add(struct seal_digest *d, const void *data, size_t len);

/*
 * The hash of all that was added: 32, 20 or 16 bytes. False: the library
 * failed at some step since the beginning (out of memory), *out is
 * unspecified. Begin anew before adding again.
 */
bool seal_digest_end(struct seal_digest *d, uint8_t *out);

/* `to` becomes what `from` is: both go on from there. Same kind. A failure is
 * told by seal_digest_end(to). */
void seal_digest_copy(struct seal_digest *to, const struct seal_digest *from);

/* Bytes of a kind's hash. */
size_t seal_digest_bytes(enum seal_digest_kind kind);

/* Hash one run of bytes. False: out of memory. */
bool seal_digest_once(const struct seal_suite *suite,
                      enum seal_digest_kind kind, const void *data, size_t len,
                      uint8_t *out);

/* HMAC-SHA256, out gets 32 bytes. False: out of memory. */
bool seal_digest_hmac(const struct seal_suite *suite, const void *key,
                      size_t key_len, const void *data, size_t len,
                      uint8_t *out);

/* CRC-32C (Castagnoli, RFC 3720). Begin with crc = 0, or go on with the value
 * of the bytes before. */
uint32_t seal_digest_crc32c(uint32_t crc, const void *data, size_t len);
/* The same by table, for machines without SSE 4.2 and to compare with. */
uint32_t seal_digest_crc32c_table(uint32_t crc, const void *data, size_t len);

/* Base 64 (RFC 4648 section 4, padded). out has SEAL_DIGEST_BASE64(len). */
#define SEAL_DIGEST_BASE64(len) (((len) + 2) / 3 * 4 + 1)
void seal_digest_base64(const void *data, size_t len, char *out);
/* Strict: padding, no spaces, spare bits zero. *len holds the room of out and
 * becomes what was written; false otherwise. */
bool seal_digest_unbase64(const char *text, size_t text_len, uint8_t *out,
                          size_t *len);

#endif
