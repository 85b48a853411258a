/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/vault_create.h - makes a vault where none lies: its secrets, this
 * gateway's identity, the recovery key under a generated passphrase.
 *
 *   nothing lies there? -> recovery wrap -> wraps of RS, MK, DK for recovery
 *   recipient and gateway -> `format` -> opened anew by the passphrase -> done
 *
 * Lives on the store's loop. On failure what was written stays behind and
 * harms nobody: keys of a vault that nobody uses.
 */
#ifndef CAIRN_VAULT_VAULT_CREATE_H
#define CAIRN_VAULT_VAULT_CREATE_H

#include "base/clock.h"
#include "crypto/seal_keyfile.h"
#include "loop/heavy.h"
#include "store/store.h"
#include "vault/identity.h"
#include "vault/writer.h"

struct vault_create;

/* Borrowed until done() returns; wiped after. */
struct vault_created {
    struct identity identity;     /* keep it sealed */
    struct seal_keyfile recovery; /* hand it to the user, keep no copy */
    struct writer *writer;        /* its text: writer_print() */
};

struct vault_create_opts {
    struct store *store;
    const struct seal_suite *suite;
    struct lane *slow; /* scrypt, twice: 256 MiB, about a second each */
    struct budget *budget; /* for that memory; NULL: not charged */
    uint64_t tenant;       /* whom it is charged to */
    const struct clock *clock;
    struct store_write write; /* of format and wraps: lock and date */
    unsigned log2_n; /* 0: 18, which is right; less for tests only */
    /* ERR_CONFLICT: a vault lies there. */
    void (*done)(void *ctx, const struct err *err,
                 const struct vault_created *created);
    void *ctx;
};

/* done() once, later; *out is gone when it returns. ERR_NOMEM, ERR_IO. */
enum err_code vault_create_start(const struct vault_create_opts *opts,
                                 struct vault_create **out, struct err *err);
void vault_create_cancel(struct vault_create *c);

#endif
