/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/seal_hmac.h - HMAC-SHA256 of many messages under one key.
 *
 * The key is worked in once; every message then begins from the kept states.
 * Nothing allocates after _new. One thread at a time.
 */
#ifndef CAIRN_CRYPTO_SEAL_HMAC_H
#define CAIRN_CRYPTO_SEAL_HMAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/seal_suite.h"

struct seal_hmac;

/* NULL: out of memory. */
struct seal_hmac *seal_hmac_new(const struct seal_suite *suite);
void seal_hmac_free(struct seal_hmac *h); /* wipes */

/* Set the key, of any length. */
void seal_hmac_key(struct seal_hmac *h, const void *key, size_t len);

/* One message under that key. */
void seal_hmac_begin(struct seal_hmac *h);
void seal_hmac_add(struct seal_hmac *h, const void *data, size_t len);
/* 32 bytes. False: the library failed; *out is unspecified. */
bool seal_hmac_end(struct seal_hmac *h, uint8_t *out);

#endif
