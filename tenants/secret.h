/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenants/secret.h - what the catalog may not hold in the clear, sealed under
 * the gateway key; and tokens, of which only a hash is kept.
 *
 * A sealed value is bound to its place: `place` is text such as
 * "pool/7/password", and a value moved to another place does not open.
 * A key is immutable once made; any thread.
 */
#ifndef CAIRN_TENANTS_SECRET_H
#define CAIRN_TENANTS_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct secret_key; /* the gateway key */

/* The file has 64 hex digits and a newline and is readable by its owner alone.
 * ERR_IO, ERR_DENIED (mode), ERR_KEY (contents), ERR_NOMEM. */
enum err_code secret_key_load(const char *path, struct secret_key **out,
                              struct err *err);

/* Make such a file; one that exists is ERR_CONFLICT. Synced, mode 0600. */
enum err_code secret_key_create(const char *path, struct err *err);

/* From 32 bytes at hand (tests). NULL: out of memory. */
struct secret_key *secret_key_new(const uint8_t key[32]);

void secret_key_free(struct secret_key *key); /* wipes */

/* Append the sealed form of `plain` to *out. ERR_NOMEM. */
enum err_code secret_seal(const struct secret_key *key, const char *place,
                          struct slice plain, struct buf *out,
                          struct err *err);

/* The opposite; out should be a buf_init_secret(). ERR_KEY: another key, place
 * or a changed byte; ERR_NOMEM. */
enum err_code secret_open(const struct secret_key *key, const char *place,
                          struct slice sealed, struct buf *out,
                          struct err *err);

#define SECRET_TOKEN_TEXT 71 /* "cairn-" + 64 hex digits + NUL */

/* A new token. ERR_IO: the kernel gave no random bytes. */
enum err_code secret_token_make(char token[SECRET_TOKEN_TEXT],
                                uint8_t hash[32], struct err *err);

/* The hash of a token's text; false when it is not of a token's form. */
bool secret_token_hash(const char *token, uint8_t hash[32]);

#endif
