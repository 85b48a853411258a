/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop/work.h - pure computing on libuv's worker threads.
 *
 * An item takes less than 10 ms, touches only its own struct and what it was
 * lent read-only, does no file or network call, and hashes no password.
 */
#ifndef CAIRN_LOOP_WORK_H
#define CAIRN_LOOP_WORK_H

#include <uv.h>

struct loop;

/* Embedded in the owner's struct, which stays valid until done(). */
struct work {
    void (*run)(struct work *w);  /* on a worker */
    void (*done)(struct work *w); /* on the loop; always, exactly once */
    uv_work_t req;                /* private */
};

/* Once per process, before the first libuv call: as many workers as cores
 * (UV_THREADPOOL_SIZE), which nice themselves on their first item. Returns
 * their number. */
unsigned work_setup(void);

/* run and done must be set. Never calls done from inside. */
void work_start(struct loop *loop, struct work *w);

#endif
