/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/identity.h - a gateway's own key pair for one vault.
 *
 * Kept in the gateway's state, sealed under its key file; its text is
 *
 *   cairn identity 1
 *   vault a6cf46c72f1025063ca57acc80feee45
 *   private <64 hex digits>
 *
 * The public key is shown as 64 hex digits; whoever has the vault's keys can
 * wrap them for it (vault/vault_grant.h). Pure; any thread.
 */
#ifndef CAIRN_VAULT_IDENTITY_H
#define CAIRN_VAULT_IDENTITY_H

#include "base/buf.h"
#include "crypto/seal_key.h"

#define IDENTITY_PUBLIC_TEXT 65 /* hex of a public key, with the NUL */

/* A plain value; wipe with identity_fini(). */
struct identity {
    struct id16 vault_id;
    struct seal_pair pair;
};

/* A new one. ERR_IO, ERR_NOMEM. */
enum err_code identity_new(const struct id16 *vault_id, struct identity *out,
                           struct err *err);
void identity_fini(struct identity *id);

/* Append the text; `out` must wipe (buf_init_secret). ERR_NOMEM. */
enum err_code identity_print(const struct identity *id, struct buf *out,
                             struct err *err);
/* ERR_KEY: no such text. ERR_NOMEM. */
enum err_code identity_parse(const void *text, size_t len, struct identity *out,
                             struct err *err);

void identity_public_text(const uint8_t public_key[32],
                          char out[IDENTITY_PUBLIC_TEXT]);
/* 64 small hex digits. ERR_ARGUMENT. */
enum err_code identity_public_parse(const char *text, uint8_t out[32],
                                    struct err *err);

#endif
