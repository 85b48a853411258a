/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop/lane.h - a thread (or a few) with a bounded queue, for calls that may
 * block: SQL, file system, scrypt. A hung lane hangs what uses it and nothing
 * else.
 */
#ifndef CAIRN_LOOP_LANE_H
#define CAIRN_LOOP_LANE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "loop/loop.h"

struct lane;

/* Embedded in the owner's struct, which stays valid until done(). */
struct lane_item {
    void (*run)(struct lane_item *item);  /* on the lane's thread */
    void (*done)(struct lane_item *item); /* on `loop`; exactly once */
    struct loop *loop;                    /* where done() is wanted */
    /* private: */
    struct mail mail;
    struct lane_item *next;
};

/* threads: 1 to 16. queue_max: items waiting or running. ERR_ARGUMENT,
 * ERR_NOMEM, ERR_IO. */
enum err_code lane_new(const char *name, unsigned threads, size_t queue_max,
                       struct lane **out, struct err *err);

/* Any thread. False: the queue is full or the lane is being freed, the item is
 * untouched; try again when one of yours is done. With threads = 1 items run in the order of starting. */
bool lane_start(struct lane *lane, struct lane_item *item);

/* Waits for running items, at most wait_ms; then true and the lane is gone.
 * False: a thread hangs; the lane is leaked on purpose (the process is about
 * to _exit). Items still queued are run first. NULL: true. */
bool lane_free(struct lane *lane, unsigned wait_ms);

#endif
