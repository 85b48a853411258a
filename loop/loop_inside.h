/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop/loop_inside.h - what loop.c and timer.c know of each other; included by
 * these two alone.
 */
#ifndef CAIRN_LOOP_LOOP_INSIDE_H
#define CAIRN_LOOP_LOOP_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "loop/timer.h"

/* The timers of one loop. Part of struct loop. */
struct timer_room {
    uv_timer_t timer;     /* until the first is due */
    uv_idle_t idle;       /* instead of it when one is due already */
    struct timer *heap;   /* pairing heap by due_ms */
    struct timer *later;  /* started while others fire: not in this turn */
    uint64_t armed_for;   /* what `timer` waits for; UINT64_MAX: nothing */
    uint64_t started;     /* counts timer_start() */
    bool firing;
};

void timer_room_init(struct timer_room *room, uv_loop_t *uv);
/* Drops all timers and closes the handles; the loop must run once more. */
void timer_room_close(struct timer_room *room);

struct timer_room *loop_timers(struct loop *loop);

#endif
