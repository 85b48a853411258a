/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/vault_open.h - from a store and a private key (or the passphrase that
 * protects one) to the keys of the vault that lies there.
 *
 * Reads `format` (whose version is checked, though it is but a hint), lists
 * keys/, unwraps RS and then every MK and DK that is wrapped for this
 * recipient. A secret whose id is not the one it lies under is passed over as
 * if it were not there. Lives on the store's loop.
 */
#ifndef CAIRN_VAULT_VAULT_OPEN_H
#define CAIRN_VAULT_VAULT_OPEN_H

#include "crypto/seal_keyfile.h"
#include "loop/heavy.h"
#include "store/store.h"
#include "vault/keyring.h"

struct vault_open;

/* What opening gave. Borrowed until done() returns; keep a reference. */
struct vault_opened {
    struct keyring *keys;  /* without anything to seal under */
    struct seal_pair pair; /* that opened it */
    unsigned bad_wraps;    /* that carry our tag and do not open */
};

struct vault_open_opts {
    struct store *store; /* outlives it, as all of these */
    const struct seal_suite *suite;
    struct lane *slow; /* for a passphrase; else may be NULL */
    struct budget *budget; /* for scrypt's memory; NULL: not charged */
    uint64_t tenant;       /* whom it is charged to */
    struct id16 vault_id;
    const struct seal_pair *pair;  /* one of the two; copied */
    const char *passphrase;        /* copied, wiped */
    uint64_t work_max; /* sum of N of the recovery wraps that are tried, the
                          oldest first; 0: 128 times what writers use, which
                          is right; less for tests only */
    /*
     * ERR_NOT_FOUND: no vault lies there. ERR_KEY: wrong passphrase, or no key
     * of it is wrapped for this recipient, or another vault's, or there are
     * more recovery keys than can be tried. ERR_PROTOCOL: a
     * format this program does not know. Else the store's errors.
     */
    void (*done)(void *ctx, const struct err *err,
                 const struct vault_opened *opened);
    void *ctx;
};

/* done() once, later; *out is gone when it returns. ERR_ARGUMENT, ERR_NOMEM. */
enum err_code vault_open_start(const struct vault_open_opts *opts,
                               struct vault_open **out, struct err *err);
void vault_open_cancel(struct vault_open *o);

/* As vault_open_start(), with what a key file says. */
enum err_code vault_open_keyfile(const struct vault_open_opts *opts,
                                 const struct seal_keyfile *file,
                                 struct vault_open **out, struct err *err);

#define VAULT_OPEN_HINT_MAX 1024 /* bytes of `format` */

/* What `format` says: a hint, to be shown. */
struct vault_open_hint {
    unsigned format;
    struct id16 vault_id;
    uint64_t created_ms;
};

/* Parse the object. ERR_PROTOCOL: unknown version or suite; ERR_INTEGRITY: not
 * such a document. */
enum err_code vault_open_hint_parse(const void *text, size_t len,
                                    struct vault_open_hint *out,
                                    struct err *err);

/* Read it, to learn which vault lies in a store. ERR_NOT_FOUND: none. */
enum err_code vault_open_hint_start(
    struct store *store,
    void (*done)(void *ctx, const struct err *err,
                 const struct vault_open_hint *hint),
    void *ctx, struct err *err);

#endif
