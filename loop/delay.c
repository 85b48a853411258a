/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/delay.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "loop/timer.h"

#define PERIOD_MS 100
#define SPAN_MS 60000 /* one histogram's time */
#define SPANS 10      /* and one more that is being filled */

/*
 * One count per millisecond to 127, then eight per doubling: within an eighth.
 * The last takes all from 61 s up.
 */
#define LINEAR 128
#define SLOTS (LINEAR + 9 * 8)

struct delay {
    struct timer timer;
    struct loop *loop;
    uint64_t due_ns;      /* when the timer should fire */
    uint64_t span_end_ns; /* of the span that is being filled */
    unsigned span;
    /* The only members that other threads look at. */
    atomic_uint_least32_t counts[SPANS + 1][SLOTS];
};

static unsigned slot_of(uint64_t ms)
{
    unsigned octave, slot;

    if (ms < LINEAR)
        return (unsigned)ms;
    octave = 63 - (unsigned)__builtin_clzll(ms); /* 7 and up */
    slot = LINEAR + (octave - 7) * 8 + (unsigned)(ms >> (octave - 3) & 7);
    return slot < SLOTS ? slot : SLOTS - 1;
}

/* The most that a slot stands for, so that a reading errs to the late side. */
static uint32_t slot_ms(unsigned slot)
{
    unsigned octave = 7 + (slot - LINEAR) / 8;
    uint32_t eighths = 8 + (slot - LINEAR) % 8;

    if (slot < LINEAR)
        return slot;
    return ((eighths + 1) << (octave - 3)) - 1;
}

static void next_span(struct delay *d)
{
    d->span = (d->span + 1) % (SPANS + 1);
    for (unsigned i = 0; i < SLOTS; i++)
        atomic_store_explicit(&d->counts[d->span][i], 0, memory_order_relaxed);
    d->span_end_ns += SPAN_MS * UINT64_C(1000000);
}

static void note(struct delay *d, uint64_t ms)
{
    atomic_fetch_add_explicit(&d->counts[d->span][slot_of(ms)], 1,
                              memory_order_relaxed);
}

static void on_tick(struct timer *t);

static void start(struct delay *d)
{
    d->due_ns = uv_hrtime() + PERIOD_MS * UINT64_C(1000000);
    timer_start(d->loop, &d->timer, PERIOD_MS, on_tick);
}

static void on_tick(struct timer *t)
{
    struct delay *d = (struct delay *)((char *)t - offsetof(struct delay, timer));
    uint64_t now = uv_hrtime();
    uint64_t late = now > d->due_ns ? (now - d->due_ns) / 1000000 : 0;

    for (unsigned i = 0; now >= d->span_end_ns && i <= SPANS; i++)
        next_span(d);
    if (now >= d->span_end_ns) /* the process was stopped for long */
        d->span_end_ns = now + SPAN_MS * UINT64_C(1000000);
    /* A loop that hangs for a second misses ten measurements, each of which
     * would have been late too: without them a hang would count once. */
    for (unsigned i = 0; i < SPANS * SPAN_MS / PERIOD_MS; i++) {
        note(d, late);
        if (late < PERIOD_MS)
            break;
        late -= PERIOD_MS;
    }
    start(d);
}

struct delay *delay_new(struct loop *loop)
{
    struct delay *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->loop = loop;
    d->span_end_ns = uv_hrtime() + SPAN_MS * UINT64_C(1000000);
    start(d);
    return d;
}

void delay_free(struct delay *d)
{
    if (!d)
        return;
    timer_stop(&d->timer);
    free(d);
}

uint32_t delay_percentile_ms(const struct delay *d, unsigned percentile)
{
    uint64_t sums[SLOTS] = {0};
    uint64_t all = 0, seen = 0, wanted;

    for (unsigned span = 0; span <= SPANS; span++) {
        for (unsigned i = 0; i < SLOTS; i++) {
            uint32_t n = atomic_load_explicit(&d->counts[span][i],
                                              memory_order_relaxed);

            sums[i] += n;
            all += n;
        }
    }
    wanted = (all * percentile + 99) / 100;
    for (unsigned i = 0; i < SLOTS && all; i++) {
        seen += sums[i];
        if (seen >= wanted)
            return slot_ms(i);
    }
    return 0;
}
