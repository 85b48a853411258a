/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/seal_cipher.h - AES-256-GCM, for the files of crypto/.
 *
 * Keeps a key schedule for sealing and one for opening and renews it only when
 * another key comes. Nothing allocates after _new. One thread at a time.
 */
#ifndef CAIRN_CRYPTO_SEAL_CIPHER_H
#define CAIRN_CRYPTO_SEAL_CIPHER_H

#include "crypto/seal_key.h"

#define SEAL_CIPHER_NONCE 12
#define SEAL_CIPHER_TAG 16

struct seal_cipher;

/* NULL: out of memory. */
struct seal_cipher *seal_cipher_new(const struct seal_suite *suite);
void seal_cipher_free(struct seal_cipher *c);

/* len bytes and the tag to out; in place is fine. False: the library failed
 * (or len is beyond 1 GiB). */
bool seal_cipher_seal(struct seal_cipher *c, const struct seal_key *key,
                      const uint8_t nonce[SEAL_CIPHER_NONCE], struct slice aad,
                      struct slice plain, uint8_t *out);

/* The reverse; sealed counts the tag. False: the tag is wrong. What is at out
 * then must not be used. */
bool seal_cipher_open(struct seal_cipher *c, const struct seal_key *key,
                      const uint8_t nonce[SEAL_CIPHER_NONCE], struct slice aad,
                      struct slice sealed, uint8_t *out);

#endif
