/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/verify.h - looks for damage in a vault, and names what is hurt.
 *
 * The structure needs no data key: every list, run, point and wrap is read and
 * understood, every pack's tables and digest are right, every chunk and page
 * that a point names is there, and every content sum is right. A full
 * verification opens every slot besides. Damage is a finding, not an error.
 *
 * Lives on the store's loop; tables beyond memory_bytes are read again when
 * they are needed again.
 */
#ifndef CAIRN_VAULT_VERIFY_H
#define CAIRN_VAULT_VERIFY_H

#include "store/store.h"
#include "vault/keyring.h"
#include "vault/name.h"

#define VERIFY_MEMORY_MIN ((uint64_t)16 << 20)

struct verify;

/* One thing that is wrong. Borrowed until it returns. */
struct verify_finding {
    const char *object; /* its name */
    bool hurts; /* a point cannot be restored whole; else a restore passes over
                   it (a spoilt list, index run, wrap or padding, a bad
                   generation beside a good one, a pack that no point names) */
    struct err err; /* what; names disk, chunk, pack and slot */
};

struct verify_figures {
    uint64_t objects, objects_done; /* so far; of all that were listed */
    uint64_t bytes, bytes_done;
    uint64_t points; /* that were looked at */
    uint64_t findings, hurts; /* of these such as hurt a point */
};

struct verify_opts {
    struct store *store;
    const struct keyring *keys; /* outlives it */
    bool full;                  /* open every slot: needs the DKs */
    const char *point;          /* one point and what it names; NULL: all */
    uint64_t memory_bytes;      /* VERIFY_MEMORY_MIN up */
    uint64_t table_bytes;       /* of these for tables; 0: about half */
    void (*on_finding)(void *ctx, const struct verify_finding *f);
    /* Now and then; may be NULL. */
    void (*on_progress)(void *ctx, const struct verify_figures *f);
    /* ERR_OK: the verification came to its end, whatever it found. ERR_KEY: a
     * full one lacks a DK. ERR_NOT_FOUND: no such point. Else the store's. */
    void (*done)(void *ctx, const struct err *err,
                 const struct verify_figures *figures);
    void *ctx;
};

/* done() once, later; *out is gone when it returns. */
enum err_code verify_start(const struct verify_opts *opts, struct verify **out,
                           struct err *err);
void verify_cancel(struct verify *v);

#endif
