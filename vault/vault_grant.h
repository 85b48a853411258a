/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/vault_grant.h - wraps keys of a vault for recipients, and reads the
 * wraps back: another region's gateway, a new person, new keys for all.
 *
 * Lives on the store's loop. Wraps are new objects; nothing is replaced.
 */
#ifndef CAIRN_VAULT_VAULT_GRANT_H
#define CAIRN_VAULT_VAULT_GRANT_H

#include "base/clock.h"
#include "store/store.h"
#include "vault/writer.h"

struct vault_grant;

struct vault_grant_opts {
    struct store *store;
    const struct keyring *keys; /* outlives it */
    /* Only what is sealed under now, without RS: after a rotation. Else RS and
     * all keys that are held. */
    bool current_only;
    bool no_data; /* no DKs: the recipient may verify and collect, not read */
    const uint8_t (*recipients)[32]; /* public keys; copied */
    size_t count;
    struct store_write write; /* of the wraps; storage_class must be NULL */
    /* All wraps are in the store, as they should be. */
    void (*done)(void *ctx, const struct err *err);
    void *ctx;
};

/* done() once, later; *out is gone when it returns. ERR_ARGUMENT, ERR_NOMEM. */
enum err_code vault_grant_start(const struct vault_grant_opts *opts,
                                struct vault_grant **out, struct err *err);
void vault_grant_cancel(struct vault_grant *g);

/*
 * New MK and DK to seal under, wrapped for all recipients of a writer before
 * anybody uses them: a rotation, or the keys of a gateway that opened an
 * existing vault and is to write to it. w->keys may hold no current keys.
 * w must have a recovery recipient (ERR_ARGUMENT).
 */
struct vault_rekey_opts {
    struct store *store;
    const struct writer *writer; /* borrowed to done() */
    struct store_write write;
    /* The new writer, yours to writer_free(); NULL on failure. */
    void (*done)(void *ctx, const struct err *err, struct writer *take);
    void *ctx;
};

enum err_code vault_rekey_start(const struct vault_rekey_opts *opts,
                                struct err *err);

#endif
