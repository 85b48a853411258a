/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/list_read.h - reads the lists under gc/ that a set does not have yet.
 *
 * Lives on the store's loop. A list that is merged away between LIST and GET
 * answers 404: then LIST again, a few times.
 */
#ifndef CAIRN_VAULT_LIST_READ_H
#define CAIRN_VAULT_LIST_READ_H

#include "store/store.h"
#include "vault/keyring.h"
#include "vault/list_set.h"

struct list_read;

struct list_read_opts {
    struct store *store;
    const struct keyring *keys;
    struct list_set *set; /* grows; borrowed until done() */
    /* A list that cannot be read: false: the end, with its error, as sessions
     * and collectors must; true: told to on_bad and passed over, as a restore
     * may. */
    bool lenient;
    void (*on_bad)(void *ctx, const char *name, const struct err *err);
    /* Each list that was fetched, as it lies in the store; NULL is fine. */
    void (*on_list)(void *ctx, const char *name, struct slice sealed);
    /* The LIST that this rests on was begun after _start. info: of that LIST
     * (the store's clock); zeroed on failure. */
    void (*done)(void *ctx, const struct err *err,
                 const struct store_info *info);
    void *ctx;
};

/* LIST gc/, read what the set has not. done() once, later. *out is gone when
 * done() returns. */
enum err_code list_read_start(const struct list_read_opts *opts,
                              struct list_read **out, struct err *err);
void list_read_cancel(struct list_read *r);

#endif
