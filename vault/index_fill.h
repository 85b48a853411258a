/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/index_fill.h - fills a vault's local index from its store: all index
 * runs that were not read before and, where asked, the tables of the packs
 * that no run names.
 *
 * Lives on the store's loop, beside backups: what it adds is found from then
 * on. Costs a LIST and a GET per run; with tables also a GET for each VM's
 * newest point and for each pack that no run names, and one more for a pack
 * that none of these points needs.
 */
#ifndef CAIRN_VAULT_INDEX_FILL_H
#define CAIRN_VAULT_INDEX_FILL_H

#include "store/store.h"
#include "vault/index.h"
#include "vault/keyring.h"

struct index_fill;

struct index_fill_result {
    uint64_t runs, runs_bad;   /* read and taken in; could not be read */
    uint64_t packs, packs_bad; /* whose tables were read; could not be */
};

struct index_fill_opts {
    struct store *store;
    const struct keyring *keys; /* outlives it, as the index does */
    struct index *index;
    bool tables; /* also LIST packs/ and maps/ and read tables */
    /* Single runs and packs that cannot be read are passed over and counted;
     * err says that the store or the index failed, or ERR_CANCELLED. */
    void (*done)(void *ctx, const struct err *err,
                 const struct index_fill_result *result);
    void *ctx;
};

/* done() once, later; *out is gone when it returns. ERR_NOMEM. */
enum err_code index_fill_start(const struct index_fill_opts *opts,
                               struct index_fill **out, struct err *err);
void index_fill_cancel(struct index_fill *f);

#endif
