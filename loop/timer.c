/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timers form a pairing heap: each has its first child, its next sibling,
 * and in `prev` its previous sibling, or its parent when it is the first child.
 */
#include "loop/timer.h"

#include <stddef.h>

#include "loop/loop.h"
#include "loop/loop_inside.h"

static bool is_before(const struct timer *a, const struct timer *b)
{
    if (a->due_ms != b->due_ms)
        return a->due_ms < b->due_ms;
    return a->order < b->order;
}

static struct timer *merge(struct timer *a, struct timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (is_before(b, a)) {
        struct timer *swap = a;

        a = b;
        b = swap;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    a->child = b;
    return a;
}

/* Siblings become one heap: in pairs on the way there, then all into one on
 * the way back. `prev` links the pairs meanwhile. */
static struct timer *merge_siblings(struct timer *t)
{
    struct timer *pairs = NULL, *all = NULL;

    while (t) {
        struct timer *a = t, *b = t->next;

        t = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        a = merge(a, b);
        a->prev = pairs;
        pairs = a;
    }
    while (pairs) {
        struct timer *before = pairs->prev;

        pairs->prev = NULL;
        all = merge(all, pairs);
        pairs = before;
    }
    return all;
}

/* The children of t, none of which is due before it, take its place. */
static void cut(struct timer_room *room, struct timer *t)
{
    struct timer *rest = merge_siblings(t->child);

    if (t == room->heap) {
        room->heap = rest;
    } else if (t == room->later) {
        room->later = rest;
    } else {
        struct timer *with = rest ? rest : t->next;

        if (rest) {
            rest->next = t->next;
            if (t->next)
                t->next->prev = rest;
        }
        if (with)
            with->prev = t->prev;
        if (t->prev->child == t)
            t->prev->child = with;
        else
            t->prev->next = with;
    }
    t->child = t->next = t->prev = NULL;
    t->armed = false;
}

static void on_idle(uv_idle_t *idle);
static void on_timer(uv_timer_t *timer);

/*
 * libuv would run a timer of 0 ms that its own callback has started at once
 * and again, without ever looking at a socket; so what is due already goes
 * through an idle handle, which has one call per turn.
 */
static void arm(struct timer_room *room)
{
    uint64_t now = uv_now(room->timer.loop);
    struct timer *first = room->heap;

    if (room->firing)
        return; /* fire_due() comes here when it is done */
    if (first && first->due_ms <= now) {
        room->armed_for = UINT64_MAX;
        uv_timer_stop(&room->timer);
        uv_idle_start(&room->idle, on_idle);
        return;
    }
    uv_idle_stop(&room->idle);
    if (!first) {
        room->armed_for = UINT64_MAX;
        uv_timer_stop(&room->timer);
    } else if (room->armed_for != first->due_ms) {
        room->armed_for = first->due_ms;
        uv_timer_start(&room->timer, on_timer, first->due_ms - now, 0);
    }
}

static void fire_due(struct timer_room *room)
{
    uint64_t now = uv_now(room->timer.loop);

    room->firing = true;
    while (room->heap && room->heap->due_ms <= now) {
        struct timer *t = room->heap;

        cut(room, t);
        t->fire(t); /* t may be gone now */
    }
    room->firing = false;
    room->heap = merge(room->heap, room->later);
    room->later = NULL;
    arm(room);
}

static void on_idle(uv_idle_t *idle)
{
    fire_due(idle->data);
}

static void on_timer(uv_timer_t *timer)
{
    struct timer_room *room = timer->data;

    room->armed_for = UINT64_MAX;
    fire_due(room);
}

void timer_start(struct loop *loop, struct timer *t, uint64_t delay_ms,
                 void (*fire)(struct timer *t))
{
    struct timer_room *room = loop_timers(loop);

    if (t->armed)
        cut(room, t);
    /* The loop's time stands still in a callback; a timer counts from now. */
    if (delay_ms)
        uv_update_time(room->timer.loop);
    t->fire = fire;
    t->loop = loop;
    t->child = t->next = t->prev = NULL;
    if (__builtin_add_overflow(uv_now(room->timer.loop), delay_ms, &t->due_ms))
        t->due_ms = UINT64_MAX;
    t->order = room->started++;
    t->armed = true;
    if (room->firing) {
        room->later = merge(room->later, t);
        return;
    }
    room->heap = merge(room->heap, t);
    arm(room);
}

void timer_stop(struct timer *t)
{
    struct timer_room *room;

    if (!t->armed)
        return;
    room = loop_timers(t->loop);
    cut(room, t);
    arm(room);
}

void timer_room_init(struct timer_room *room, uv_loop_t *uv)
{
    uv_timer_init(uv, &room->timer);
    uv_idle_init(uv, &room->idle);
    room->timer.data = room;
    room->idle.data = room;
    room->heap = room->later = NULL;
    room->armed_for = UINT64_MAX;
    room->started = 0;
    room->firing = false;
}

void timer_room_close(struct timer_room *room)
{
    while (room->heap)
        cut(room, room->heap);
    uv_close((uv_handle_t *)&room->timer, NULL);
    uv_close((uv_handle_t *)&room->idle, NULL);
}
