/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/seal_blob.h - small secrets at rest, sealed under the gateway key.
 *
 * header 48   magic "CAIRNBLB" 8, version u8 = 1, suite u8 = 1, zero 6,
 *             salt 16, zero 16
 * commitment 32
 * box         AES-256-GCM(K, nonce 0, no aad) of the plaintext, tag 16
 * K || commitment = HKDF(gateway key, salt, "cairn blob 1" padded to 16 ||
 *                        the 48 bytes || context)
 *
 * The context says what the secret is and whose ("pool password 17"): a blob
 * that is moved to another place does not open there. The salt is random, so
 * each key seals one text. Any thread.
 */
#ifndef CAIRN_CRYPTO_SEAL_BLOB_H
#define CAIRN_CRYPTO_SEAL_BLOB_H

#include "base/buf.h"
#include "crypto/seal_key.h"

#define SEAL_BLOB_OVERHEAD 96
#define SEAL_BLOB_CONTEXT_MAX 256

struct seal_blob_opts {
    const struct seal_suite *suite;
    const struct seal_key *gateway_key;
    const char *context;
    const uint8_t *salt; /* 16 bytes; NULL: drawn from the kernel */
};

/* Append len + SEAL_BLOB_OVERHEAD bytes to out. ERR_ARGUMENT (context too
 * long), ERR_NOMEM, ERR_IO. */
enum err_code seal_blob_seal(const struct seal_blob_opts *opts,
                             const void *plain, size_t len, struct buf *out,
                             struct err *err);

/* Append the plaintext to out, which must wipe (buf_init_secret). ERR_KEY: of
 * another gateway key or context; ERR_INTEGRITY: damaged; ERR_NOMEM. */
enum err_code seal_blob_open(const struct seal_blob_opts *opts,
                             const void *sealed, size_t len, struct buf *out,
                             struct err *err);

#endif
