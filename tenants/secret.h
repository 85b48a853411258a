/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenants/secret.h - tokens: 32 random bytes, of which only a hash is kept.
 *
 * Sealing under the gateway key is crypto/seal_blob.h. Any thread.
 */
#ifndef CAIRN_TENANTS_SECRET_H
#define CAIRN_TENANTS_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "crypto/seal_suite.h"

#define SECRET_TOKEN_TEXT 71 /* "cairn-" + 64 hex digits + NUL */

/* A new token and its hash. ERR_IO: the kernel gave no random bytes. */
enum err_code secret_token_make(const struct seal_suite *suite,
                                char token[SECRET_TOKEN_TEXT],
                                uint8_t hash[32], struct err *err);

/* The hash of a token's text: SHA-256 of its 32 bytes. False: not of a
 * token's form, or out of memory. */
bool secret_token_hash(const struct seal_suite *suite, const char *token,
                       uint8_t hash[32]);

#endif
