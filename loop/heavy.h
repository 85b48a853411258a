/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop/heavy.h - one call on a lane that takes much memory while it runs, which
 * is had from the budget first.
 *
 * The need is granted whole like any other, and given back as soon as the call
 * is over. Who needs more than the budget has waits until all of it is free.
 */
#ifndef CAIRN_LOOP_HEAVY_H
#define CAIRN_LOOP_HEAVY_H

#include "loop/budget.h"
#include "loop/lane.h"

/* Where such calls run and what they are charged to. */
struct heavy_place {
    struct lane *lane;
    struct budget *budget; /* NULL: charged to nobody */
    uint64_t tenant;
};

/* Embedded in the owner's struct, which stays valid until done(). */
struct heavy {
    uint64_t bytes;
    void (*run)(struct heavy *h); /* on the lane's thread */
    /* On `loop`; exactly once for what was started. ERR_CANCELLED, ERR_AGAIN
     * (the lane's queue is full), ERR_NOMEM: it did not run. */
    void (*done)(struct heavy *h, const struct err *err);
    struct loop *loop;
    /* private: */
    struct heavy_place place;
    struct lane_item item;
    struct budget_need need;
    struct mail mail;
    struct err err;
    int state;
    bool granted;
};

/* bytes, run, done and loop are set, all else is not looked at. Never fails:
 * done() tells. */
void heavy_start(struct heavy *h, const struct heavy_place *place);

/* From the loop's thread: do not run if it waits for memory. What runs already
 * or is on the lane's queue goes on. done() comes in either case. */
void heavy_cancel(struct heavy *h);

#endif
