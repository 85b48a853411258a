/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop/loop.h - an event loop (libuv) and the way into it from other threads.
 *
 * A loop runs on one thread: the one that calls loop_run(), or one of its own
 * after loop_start_thread(). Everything that lives on a loop (timers, curl,
 * sockets) is used on that thread only. loop_send() alone may be called from
 * any thread; it never blocks and never fails, because the mail is the
 * sender's memory.
 */
#ifndef CAIRN_LOOP_LOOP_H
#define CAIRN_LOOP_LOOP_H

#include <stdbool.h>

#include <uv.h>

#include "base/clock.h"
#include "base/err.h"

struct loop;

/*
 * A message: embedded in the sender's struct, which must stay valid until
 * deliver() is called - once, on the loop's thread. From then on it is free
 * for the next sending.
 */
struct mail {
    void (*deliver)(struct mail *mail);
    struct mail *next; /* private while on its way */
};

/* name: for thread names and logs, copied. clock NULL: clock_system().
 * ERR_NOMEM, ERR_IO. */
enum err_code loop_new(const char *name, const struct clock *clock,
                       struct loop **out, struct err *err);

/* The loop must not run. Mail that still waits is delivered, then the handles
 * of this module are closed; whatever others put on the loop must be closed or
 * closing by then. NULL: nothing. */
void loop_free(struct loop *loop);

/* Run on this thread until loop_stop(). */
void loop_run(struct loop *loop);

/* Run on a thread of its own until loop_stop(), then loop_join(). ERR_IO. */
enum err_code loop_start_thread(struct loop *loop, struct err *err);
void loop_join(struct loop *loop);

/* Any thread. The loop ends after the mail that was sent before this. */
void loop_stop(struct loop *loop);

/* Any thread. Delivered in the order of sending (per sender). */
void loop_send(struct loop *loop, struct mail *mail);

/* Whether this is the loop's thread (true when it does not run yet). */
bool loop_is_here(const struct loop *loop);

uv_loop_t *loop_uv(struct loop *loop);
const char *loop_name(const struct loop *loop);
const struct clock *loop_clock(const struct loop *loop);

#endif
