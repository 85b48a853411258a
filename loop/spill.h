/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop/spill.h - a bounded file for whole pieces of data that must wait longer
 * than memory may be held.
 *
 * One per process, with disk threads of its own. The file has no name in its
 * folder from the moment it is made, so that nothing of it outlives the
 * process. It is handed out in slots of one size, by shares: a share gets a
 * further slot only while what it holds, with what its tenant holds, is less
 * than twice what is free. So one alone gets half of the file, k tenants with
 * one share each get 1/(k+1) each, and some is always left for who comes next;
 * who is refused does without, nobody waits for a slot.
 *
 * A slot's disk space is claimed before its first byte is written, and goes
 * back to the file system when the slot is given back. Nothing here knows what
 * the bytes are or whether they are still the same: the user keeps a digest.
 */
#ifndef CAIRN_LOOP_SPILL_H
#define CAIRN_LOOP_SPILL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/lane.h"
#include "loop/loop.h"

#define SPILL_SLOT_BYTES ((uint64_t)16 << 20)
#define SPILL_BYTES_MAX ((uint64_t)1 << 40)

struct spill;

struct spill_opts {
    const char *folder; /* must exist; from the root */
    uint64_t bytes;     /* SPILL_SLOT_BYTES to SPILL_BYTES_MAX; whole slots of
                           it are used */
    struct loop *loop;  /* where mail of its own goes */
};

/* Whether a file can be made in this folder, and how much room its file system
 * has now. ERR_ARGUMENT (not from the root), ERR_IO. */
enum err_code spill_look(const char *folder, uint64_t *free_bytes,
                         struct err *err);

/* As spill_look(); ERR_ARGUMENT too where `bytes` is out of bounds;
 * ERR_NOMEM. */
enum err_code spill_new(const struct spill_opts *opts, struct spill **out,
                        struct err *err);

/* No share is left. Ends the threads, as lane_free(); false: one hangs. */
bool spill_stop(struct spill *s, unsigned wait_ms);
/* After spill_stop() and when `loop` is freed. NULL: nothing. */
void spill_free(struct spill *s);

/* Any thread. */
uint64_t spill_total(const struct spill *s);
uint64_t spill_used(struct spill *s);

/* --- slots; any thread, a share by one at a time ---------------------- */

/* Embedded in the user's struct. */
struct spill_share {
    uint64_t tenant; /* any number that tells tenants apart */
    /* private: */
    unsigned held;
    struct spill_share *prev, *next;
};

void spill_join(struct spill *s, struct spill_share *share, uint64_t tenant);
/* All its slots were given back. */
void spill_leave(struct spill *s, struct spill_share *share);
unsigned spill_held(const struct spill_share *share);

/* False: none is free, or it is others' turn. */
bool spill_slot_take(struct spill *s, struct spill_share *share,
                     unsigned *slot);
/* No operation of the slot may be under way. */
void spill_slot_give(struct spill *s, struct spill_share *share, unsigned slot);

/* --- writing and reading ---------------------------------------------- */

/* Embedded in the user's struct, which stays valid until done(). data is lent
 * to a disk thread until then. */
struct spill_op {
    struct spill *spill;
    unsigned slot;
    bool reading; /* else it writes */
    uint8_t *data;
    size_t len; /* at most SPILL_SLOT_BYTES, from the slot's beginning */
    struct loop *loop;
    void (*done)(struct spill_op *op); /* on `loop`, once, later */
    struct err err; /* ERR_OK: all of it. ERR_IO (a full disk, a short read
                       too), ERR_CANCELLED */
    /* private: */
    struct lane_item item;
    atomic_bool cancelled;
};

/* False: the queue is full; try again later, done() will not come. */
bool spill_op_start(struct spill_op *op);
/* done() comes soon, with ERR_CANCELLED or the result. */
void spill_op_cancel(struct spill_op *op);

#endif
