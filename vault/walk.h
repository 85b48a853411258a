/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/walk.h - gives back one disk of a restore point, in order.
 *
 * Packs are read forward by few and long GETs; slots are opened on workers,
 * their ids checked; a pack that is gone or has a bad slot is looked for among
 * its other generations; at the end the content sum must be right. Lives on
 * the store's loop and holds at most memory_bytes of chunks and buffers, and
 * WALK_TABLE_BYTES of tables.
 */
#ifndef CAIRN_VAULT_WALK_H
#define CAIRN_VAULT_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"
#include "vault/keyring.h"
#include "vault/point.h"

/* The least that works, for any chunk size; 16 MiB keep two cores busy. */
#define WALK_MEMORY_MIN ((uint64_t)12 << 20)
#define WALK_TABLE_BYTES ((uint64_t)8 << 20)

struct walk;

struct walk_figures {
    uint64_t bytes;        /* of the disk, delivered so far, zeros too */
    uint64_t data_bytes;   /* of these, not zero */
    uint64_t stored_bytes; /* of slots read for it */
    uint64_t chunks;       /* opened */
    uint64_t packs;        /* tables opened */
    uint64_t body_gets;    /* GETs of bodies */
    uint64_t retries;      /* slots read again from another object */
};

struct walk_opts {
    struct store *store;        /* outlives the walk, as all of these */
    const struct keyring *keys;
    const struct point *point;
    const char *point_name;     /* for messages; copied */
    size_t disk;                /* index into point->disk */
    uint64_t memory_bytes;      /* reserved by the caller; WALK_MEMORY_MIN up */
    /*
     * The next bytes of the disk, a whole chunk: take all (true), or none
     * (false) and walk_resume() later. NULL: nothing is delivered, all is
     * checked.
     */
    bool (*on_data)(void *ctx, uint64_t offset, const uint8_t *data,
                    size_t len);
    /* The next range is all zero. The same. */
    bool (*on_zero)(void *ctx, uint64_t offset, uint64_t len);
    /*
     * ERR_OK: every byte was delivered, and the content sum is right; before
     * that nothing that came is to be trusted as a whole. ERR_INTEGRITY,
     * ERR_NOT_FOUND (a pack is gone), ERR_KEY (a DK is not held), ERR_COLD,
     * the store's errors. The walk is gone when it returns.
     */
    void (*done)(void *ctx, const struct err *err,
                 const struct walk_figures *figures);
    void *ctx;
};

/* ERR_ARGUMENT, ERR_KEY (a DK of the point's key table is not held; on_data
 * NULL or not), ERR_NOMEM: done() will not come. */
enum err_code walk_start(const struct walk_opts *opts, struct walk **out,
                         struct err *err);

/* After on_data() or on_zero() said false; never from inside them. */
void walk_resume(struct walk *w);

/* done() gets ERR_CANCELLED, later. */
void walk_cancel(struct walk *w);

const struct walk_figures *walk_figures(const struct walk *w);

#endif
