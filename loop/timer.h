/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop/timer.h - timers embedded in their owner's struct.
 *
 * All timers of a loop share one uv_timer_t, so starting and stopping cannot
 * fail and need no closing callback: a stopped timer's memory is free at once.
 * Real time, measured by the loop; on the loop's thread only. Timers due in the
 * same millisecond fire in the order of starting. A zeroed struct is a stopped
 * timer.
 */
#ifndef CAIRN_LOOP_TIMER_H
#define CAIRN_LOOP_TIMER_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct timer {
    void (*fire)(struct timer *t);
    /* private: */
    struct loop *loop;
    struct timer *child, *next, *prev; /* pairing heap */
    uint64_t due_ms, order;
    bool armed;
};

/* Fire once in delay_ms (0: in the next turn); a running timer is set anew.
 * fire() may start the timer again, stop others, or free its own memory. */
void timer_start(struct loop *loop, struct timer *t, uint64_t delay_ms,
                 void (*fire)(struct timer *t));
void timer_stop(struct timer *t);

static inline bool timer_is_armed(const struct timer *t)
{
    return t->armed;
}

#endif
