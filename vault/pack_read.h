/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/pack_read.h - opens the tables of a pack that lies in a store.
 *
 * A reader opens `<pack id>`; when that, or a slot in it, is gone or fails it
 * lists the prefix and tries the greatest name, then the others (format.md 2).
 * A struct pack_read keeps its place in that search: pack_read_again() goes on
 * to the next object when a slot of the current one turned out bad. Lives on
 * the store's loop. Costs one GET (of the last 64 KiB), one more for the header
 * where it is asked for and the pack is larger, one more for a toc over 64 KiB.
 */
#ifndef CAIRN_VAULT_PACK_READ_H
#define CAIRN_VAULT_PACK_READ_H

#include "store/store.h"
#include "vault/keyring.h"
#include "vault/pack_table.h"

struct pack_read;

/* table is NULL on failure; else borrowed until pack_read_again() or
 * pack_read_free(). err: when every object failed, the first cause that is not
 * "not found"; ERR_NOT_FOUND when there is none; ERR_COLD; what the store
 * said when it cannot be reached. */
typedef void pack_read_done_fn(void *ctx, const struct err *err,
                               const struct pack_table *table);

struct pack_read_opts {
    struct store *store;
    const struct keyring *keys; /* must outlive it */
    enum seal_slot_kind kind;
    struct id16 pack_id;
    bool header; /* fetch and check the header too */
    pack_read_done_fn *done;
    void *ctx;
};

/* done() once, later. *out lives until pack_read_free(). ERR_NOMEM. */
enum err_code pack_read_start(const struct pack_read_opts *opts,
                              struct pack_read **out, struct err *err);

/* After done() gave a table that proved bad (`why`): try the next object.
 * done() is called again, later, once; it may be called from inside done(). */
void pack_read_again(struct pack_read *r, const struct err *why);

/* The current operation ends early: done() gets ERR_CANCELLED, or what came
 * first. Nothing happens when none is under way. */
void pack_read_cancel(struct pack_read *r);

/* Not while an operation is under way; from inside done() is fine. NULL too. */
void pack_read_free(struct pack_read *r);

#endif
