/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "loop/loop.h"
#include "loop/timer.h"

#define MANY 2000

struct probe {
    struct timer timer; /* first: a timer is its probe */
    uint64_t started_ns, delay_ms;
    unsigned fired;
};

static struct loop *loop;
static unsigned order[MANY];
static unsigned order_len;
static struct probe probes[MANY];
static struct timer stop_timer;

static int set_up(void **state)
{
    struct err err;

    (void)state;
    memset(probes, 0, sizeof(probes));
    memset(&stop_timer, 0, sizeof(stop_timer));
    order_len = 0;
    return loop_new("timers", NULL, &loop, &err) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static void on_stop(struct timer *t)
{
    (void)t;
    loop_stop(loop);
}

static void run_for(uint64_t ms)
{
    timer_start(loop, &stop_timer, ms, on_stop);
    loop_run(loop);
}

static void on_probe(struct timer *t)
{
    struct probe *p = (struct probe *)t;
    uint64_t took = uv_hrtime() - p->started_ns;

    p->fired++;
    order[order_len++] = (unsigned)(p - probes);
    assert_false(timer_is_armed(t));
    /* libuv counts in whole milliseconds, begun ones included. */
    if (took + 1000000 < p->delay_ms * 1000000)
        fail_msg("%ju ms took %ju ns", (uintmax_t)p->delay_ms,
                 (uintmax_t)took);
}

static void start(unsigned i, uint64_t delay_ms)
{
    probes[i].started_ns = uv_hrtime();
    probes[i].delay_ms = delay_ms;
    timer_start(loop, &probes[i].timer, delay_ms, on_probe);
}

static void timers_fire_in_the_order_of_their_times(void **state)
{
    (void)state;
    start(0, 20);
    start(1, 5);
    start(2, 0);
    start(3, 10);
    start(4, 0);
    assert_true(timer_is_armed(&probes[3].timer));
    run_for(25);
    assert_int_equal(order_len, 5);
    assert_memory_equal(order, ((unsigned[]){2, 4, 1, 3, 0}),
                        5 * sizeof(order[0]));
}

static void a_stopped_timer_does_not_fire(void **state)
{
    (void)state;
    timer_stop(&probes[0].timer); /* never started */
    for (unsigned i = 0; i < 10; i++)
        start(i, i);
    timer_stop(&probes[0].timer);
    timer_stop(&probes[5].timer);
    timer_stop(&probes[5].timer);
    timer_stop(&probes[9].timer);
    assert_false(timer_is_armed(&probes[5].timer));
    run_for(12);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(probes[i].fired, i != 0 && i != 5 && i != 9);
}

static void a_running_timer_is_set_anew(void **state)
{
    (void)state;
    start(0, 1);
    start(1, 500);
    start(0, 15);
    start(1, 5);
    run_for(20);
    assert_int_equal(order_len, 2);
    assert_int_equal(order[0], 1);
    assert_int_equal(order[1], 0);
}

static void on_own_end(struct timer *t)
{
    struct probe *p = (struct probe *)t;

    probes[1].fired++;
    free(p);
}

static void fire_may_free_its_own_memory(void **state)
{
    struct probe *p = calloc(1, sizeof(*p));

    (void)state;
    assert_non_null(p);
    timer_start(loop, &p->timer, 1, on_own_end);
    run_for(5);
    assert_int_equal(probes[1].fired, 1);
}

static void on_stop_of_others(struct timer *t)
{
    (void)t;
    for (unsigned i = 1; i < 5; i++)
        timer_stop(&probes[i].timer);
}

static void fire_may_stop_others_that_are_due(void **state)
{
    (void)state;
    timer_start(loop, &probes[0].timer, 0, on_stop_of_others);
    for (unsigned i = 1; i < 7; i++)
        start(i, 0);
    run_for(5);
    for (unsigned i = 1; i < 7; i++)
        assert_int_equal(probes[i].fired, i >= 5);
}

static unsigned turns, rounds;
static uv_check_t check;

static void on_check(uv_check_t *handle)
{
    (void)handle;
    turns++;
}

static void on_again(struct timer *t)
{
    if (++rounds < 50)
        timer_start(loop, t, 0, on_again);
    else
        loop_stop(loop);
}

/* A timer of 0 ms started by its own fire() leaves the sockets their turn. */
static void no_delay_means_the_next_turn(void **state)
{
    uint64_t before = uv_hrtime();

    (void)state;
    uv_check_init(loop_uv(loop), &check);
    uv_check_start(&check, on_check);
    rounds = turns = 0;
    timer_start(loop, &probes[0].timer, 0, on_again);
    loop_run(loop);
    uv_close((uv_handle_t *)&check, NULL);
    assert_int_equal(rounds, 50);
    assert_in_range(turns, 49, 52);
    assert_true(uv_hrtime() - before < UINT64_C(5000000000));
}

static unsigned chain_fired;

static void on_chain(struct timer *t)
{
    struct probe *p = (struct probe *)t;

    chain_fired++;
    /* Starts, restarts and stops within a pass: only the last word counts. */
    timer_start(loop, &probes[MANY - 1].timer, 0, on_probe);
    timer_start(loop, &probes[MANY - 2].timer, 0, on_probe);
    timer_start(loop, &probes[MANY - 3].timer, 0, on_probe);
    timer_stop(&probes[MANY - 1].timer);
    timer_start(loop, &probes[MANY - 1].timer, 0, on_probe);
    timer_stop(&probes[MANY - 2].timer);
    if (p->delay_ms-- > 0)
        timer_start(loop, t, 0, on_chain);
}

static void starting_and_stopping_within_fire_is_consistent(void **state)
{
    (void)state;
    chain_fired = 0;
    probes[0].delay_ms = 20;
    timer_start(loop, &probes[0].timer, 0, on_chain);
    run_for(10);
    assert_int_equal(chain_fired, 21);
    assert_int_equal(probes[MANY - 1].fired, probes[MANY - 3].fired);
    assert_true(probes[MANY - 1].fired >= 1);
    assert_int_equal(probes[MANY - 2].fired, 0);
}

/* Random starts, restarts and stops against a table of what must fire. */
static void a_heap_of_many_loses_and_invents_none(void **state)
{
    static unsigned expect[MANY];
    uint64_t seed = 42, last_due = 0;

    (void)state;
    memset(expect, 0, sizeof(expect));
    for (int step = 0; step < 20000; step++) {
        unsigned i;

        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        i = (unsigned)(seed >> 33) % MANY;
        expect[i] = (seed >> 20) % 4 != 0;
        if (expect[i])
            start(i, (seed >> 40) % 40);
        else
            timer_stop(&probes[i].timer);
        assert_int_equal(timer_is_armed(&probes[i].timer), expect[i]);
    }
    run_for(200);
    for (unsigned i = 0; i < MANY; i++)
        if (probes[i].fired != expect[i])
            fail_msg("timer %u fired %u times", i, probes[i].fired);
    for (unsigned i = 0; i < order_len; i++) {
        if (probes[order[i]].timer.due_ms < last_due)
            fail_msg("timer %u fired late", order[i]);
        last_due = probes[order[i]].timer.due_ms;
    }
}

static void an_endless_delay_does_not_wrap(void **state)
{
    (void)state;
    start(0, UINT64_MAX);
    run_for(3);
    assert_int_equal(probes[0].fired, 0);
    assert_true(timer_is_armed(&probes[0].timer));
}

#define TIMER_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TIMER_TEST(timers_fire_in_the_order_of_their_times),
        TIMER_TEST(a_stopped_timer_does_not_fire),
        TIMER_TEST(a_running_timer_is_set_anew),
        TIMER_TEST(fire_may_free_its_own_memory),
        TIMER_TEST(fire_may_stop_others_that_are_due),
        TIMER_TEST(no_delay_means_the_next_turn),
        TIMER_TEST(starting_and_stopping_within_fire_is_consistent),
        TIMER_TEST(a_heap_of_many_loses_and_invents_none),
        TIMER_TEST(an_endless_delay_does_not_wrap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
