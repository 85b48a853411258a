/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "loop/heavy.h"

struct call {
    struct heavy heavy; /* first */
    uint64_t seen; /* of the budget, while it ran */
    unsigned ran, done;
    struct err err;
};

static struct loop *loop;
static struct lane *lane;
static struct budget *budget;
static unsigned waiting; /* calls that are not done */

static int set_up(void **state)
{
    (void)state;
    budget = budget_new(100, 0);
    waiting = 0;
    return budget && loop_new("h", NULL, &loop, NULL) == ERR_OK &&
                   lane_new("slow", 1, 2, &lane, NULL) == ERR_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    if (!lane_free(lane, 5000))
        return -1;
    budget_free(budget); /* asserts that all was given back */
    loop_free(loop);
    return 0;
}

static void on_run(struct heavy *h)
{
    struct call *c = (struct call *)h;

    c->seen = budget_held(budget, 7);
    c->ran++;
}

static void on_done(struct heavy *h, const struct err *err)
{
    struct call *c = (struct call *)h;

    c->done++;
    c->err = *err;
    if (--waiting == 0)
        loop_stop(loop);
}

static void start(struct call *c, uint64_t bytes, struct budget *from)
{
    const struct heavy_place place = {lane, from, 7};

    memset(c, 0, sizeof(*c));
    c->heavy.bytes = bytes;
    c->heavy.run = on_run;
    c->heavy.done = on_done;
    c->heavy.loop = loop;
    waiting++;
    heavy_start(&c->heavy, &place);
    assert_int_equal(c->done, 0); /* never from inside a call */
}

static void its_memory_is_held_while_it_runs(void **state)
{
    struct call c;

    (void)state;
    start(&c, 60, budget);
    loop_run(loop);
    assert_int_equal(c.ran, 1);
    assert_int_equal(c.done, 1);
    assert_int_equal(c.err.code, ERR_OK);
    assert_int_equal(c.seen, 60);
    assert_int_equal(budget_used(budget), 0);
}

static void what_needs_more_than_there_is_takes_all(void **state)
{
    struct call c;

    (void)state;
    start(&c, 1000, budget);
    loop_run(loop);
    assert_int_equal(c.seen, 100);
}

static void it_waits_until_there_is_room(void **state)
{
    struct call c, other;

    (void)state;
    assert_true(budget_try(budget, 1, 50, 0));
    start(&c, 60, budget);
    start(&other, 1, NULL); /* charged to nobody: it need not wait */
    while (!other.done) {
        loop_stop(loop);
        loop_run(loop);
    }
    assert_int_equal(c.ran, 0);
    budget_give(budget, 1, 50);
    loop_run(loop);
    assert_int_equal(c.ran, 1);
}

static void who_is_cancelled_while_waiting_does_not_run(void **state)
{
    struct call c;

    (void)state;
    assert_true(budget_try(budget, 1, 50, 0));
    start(&c, 60, budget);
    heavy_cancel(&c.heavy);
    heavy_cancel(&c.heavy);
    assert_int_equal(c.done, 0);
    loop_run(loop);
    assert_int_equal(c.ran, 0);
    assert_int_equal(c.done, 1);
    assert_int_equal(c.err.code, ERR_CANCELLED);
    budget_give(budget, 1, 50);
}

static void a_grant_that_comes_too_late_is_given_back(void **state)
{
    struct call c;

    (void)state;
    start(&c, 60, budget); /* the grant is on its way */
    heavy_cancel(&c.heavy);
    loop_run(loop);
    assert_int_equal(c.ran, 0);
    assert_int_equal(c.done, 1);
    assert_int_equal(c.err.code, ERR_CANCELLED);
    assert_int_equal(budget_used(budget), 0);
}

static void a_full_lane_is_said_and_nothing_is_kept(void **state)
{
    struct call c[5];
    unsigned refused = 0;

    (void)state;
    for (int i = 0; i < 5; i++)
        start(&c[i], 10, budget);
    loop_run(loop);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(c[i].done, 1);
        assert_int_equal(c[i].ran, c[i].err.code == ERR_OK);
        if (c[i].err.code != ERR_OK)
            assert_int_equal(c[i].err.code, ERR_AGAIN);
        refused += c[i].err.code == ERR_AGAIN;
    }
    assert_true(refused <= 3);
    assert_int_equal(budget_used(budget), 0);
}

#define HEAVY_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HEAVY_TEST(its_memory_is_held_while_it_runs),
        HEAVY_TEST(what_needs_more_than_there_is_takes_all),
        HEAVY_TEST(it_waits_until_there_is_room),
        HEAVY_TEST(who_is_cancelled_while_waiting_does_not_run),
        HEAVY_TEST(a_grant_that_comes_too_late_is_given_back),
        HEAVY_TEST(a_full_lane_is_said_and_nothing_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
