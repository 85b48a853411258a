/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "loop/budget.h"

struct asker {
    struct budget_need need; /* first: a need is its asker */
    char name;
    unsigned granted;
};

static struct loop *loop;
static struct budget *budget;
static char story[200]; /* the names of the granted, in order */

static int set_up(void **state)
{
    (void)state;
    story[0] = 0;
    budget = budget_new(100, 0);
    return budget && loop_new("b", NULL, &loop, NULL) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    budget_free(budget);
    loop_free(loop);
    return 0;
}

static void on_granted(struct budget_need *need)
{
    struct asker *a = (struct asker *)need;
    size_t len = strlen(story);

    a->granted++;
    snprintf(story + len, sizeof(story) - len, "%c", a->name);
}

static void ask(struct asker *a, char name, uint64_t tenant, uint64_t bytes)
{
    a->name = name;
    a->need.tenant = tenant;
    a->need.bytes = bytes;
    a->need.loop = loop;
    a->need.granted = on_granted;
    assert_true(budget_ask(budget, &a->need));
}

static void give(uint64_t tenant, uint64_t bytes)
{
    budget_give(budget, tenant, bytes);
}

/* Whoever has some. */
static void give_any(uint64_t bytes)
{
    uint64_t tenant = 0;

    while (budget_held(budget, tenant) < bytes)
        tenant++;
    give(tenant, bytes);
}

static const char *heard(void)
{
    loop_stop(loop);
    loop_run(loop);
    return story;
}

static void a_grant_comes_later_even_when_there_is_room(void **state)
{
    struct asker a = {0};

    (void)state;
    ask(&a, 'a', 1, 100);
    assert_int_equal(a.granted, 0);
    assert_int_equal(budget_used(budget), 100);
    assert_string_equal(heard(), "a");
    give(1, 100);
    assert_int_equal(budget_used(budget), 0);
    assert_int_equal(budget_peak(budget), 100);
    assert_int_equal(budget_total(budget), 100);
}

static void a_need_is_granted_whole_or_waits(void **state)
{
    struct asker a = {0};

    (void)state;
    assert_true(budget_try(budget, 9, 60, 0));
    assert_false(budget_try(budget, 9, 41, 0));
    assert_false(budget_try(budget, 9, 101, 0));
    assert_false(budget_try(budget, 9, UINT64_MAX, 0));
    assert_int_equal(budget_used(budget), 60);
    ask(&a, 'a', 1, 41);
    assert_string_equal(heard(), "");
    assert_int_equal(budget_used(budget), 60); /* no part of it is held */
    give(9, 1);
    assert_string_equal(heard(), "a");
    give(9, 59);
    give(1, 41);
}

static void nobody_takes_what_another_waits_for(void **state)
{
    struct asker a = {0};

    (void)state;
    assert_true(budget_try(budget, 9, 50, 0));
    ask(&a, 'a', 1, 80);
    assert_false(budget_try(budget, 9, 10, 0));
    give(9, 50);
    assert_string_equal(heard(), "a");
    assert_true(budget_try(budget, 9, 10, 0));
    give(9, 10);
    give(1, 80);
}

static void tenants_are_served_in_turn(void **state)
{
    struct asker a[3] = {0}, b[3] = {0}, c[1] = {0};

    (void)state;
    assert_true(budget_try(budget, 9, 100, 0));
    for (int i = 0; i < 3; i++)
        ask(&a[i], (char)('1' + i), 1, 50);
    for (int i = 0; i < 3; i++)
        ask(&b[i], (char)('x' + i), 2, 50);
    ask(&c[0], 'C', 3, 50);
    assert_string_equal(heard(), "");
    for (int i = 0; i < 7; i++) {
        static const uint64_t who[] = {9, 9, 1, 2, 3, 1, 2};

        give(who[i], 50);
        heard();
    }
    /* In order within each; each tenant one per turn. */
    assert_string_equal(story, "1xC2y3z");
    give(1, 50);
    give(2, 50);
}

/* Tenant 1 gives nothing back: its store stalls. Five fit at once. */
static void a_tenant_that_keeps_its_share_gets_no_more_of_others(void **state)
{
    struct asker a[8] = {0}, b[8] = {0};
    unsigned of_b;

    (void)state;
    for (int i = 0; i < 8; i++) {
        ask(&a[i], 'A', 1, 20);
        ask(&b[i], 'B', 2, 20);
    }
    for (of_b = 0; of_b < 8; of_b++) {
        heard();
        assert_true(of_b == 7 || budget_held(budget, 1) == 60);
        assert_true(budget_held(budget, 2) >= 20);
        give(2, 20);
    }
    for (int i = 0; i < 8; i++)
        assert_int_equal(b[i].granted, 1);
    assert_int_equal(strlen(heard()), 8 + 5); /* what B left it has now */
    for (int i = 0; i < 5; i++)
        give(1, 20);
    heard();
    for (int i = 0; i < 3; i++)
        give(1, 20);
}

/* Tenant 1 alone asks first; tenant 2 comes when it has had all it gets. */
static void the_last_bytes_are_kept_for_who_holds_nothing(void **state)
{
    struct asker a[6] = {0}, b[2] = {0}, c = {0};

    (void)state;
    budget_free(budget);
    budget = budget_new(100, 20);
    for (int i = 0; i < 6; i++)
        ask(&a[i], 'A', 1, 20);
    assert_string_equal(heard(), "AAAA");
    ask(&b[0], 'b', 2, 20);
    ask(&b[1], 'B', 2, 20);
    assert_string_equal(heard(), "AAAAb");
    give(2, 20);
    assert_string_equal(heard(), "AAAAbB");
    give(2, 20);
    assert_string_equal(heard(), "AAAAbB"); /* kept for the next */
    give(1, 80);
    assert_string_equal(heard(), "AAAAbBAA");
    give(1, 40);
    ask(&c, 'C', 3, 100); /* who holds nothing may have all */
    assert_string_equal(heard(), "AAAAbBAAC");
    give(3, 100);
}

static void what_a_tenant_took_at_once_counts_too(void **state)
{
    struct asker a = {0}, b = {0}, c = {0};

    (void)state;
    assert_true(budget_try(budget, 1, 30, 0));
    assert_true(budget_try(budget, 2, 20, 0));
    assert_true(budget_try(budget, 9, 50, 0));
    ask(&a, 'a', 1, 10);
    ask(&b, 'b', 2, 10);
    ask(&c, 'c', 3, 10);
    give(9, 10);
    assert_string_equal(heard(), "c");
    give(9, 10);
    assert_string_equal(heard(), "cb");
    give(1, 20); /* now it holds less than tenant 2 */
    assert_string_equal(heard(), "cba");
    assert_int_equal(budget_held(budget, 1), 20);
    assert_int_equal(budget_held(budget, 2), 30);
    assert_int_equal(budget_held(budget, 3), 10);
    assert_int_equal(budget_held(budget, 4), 0);
    give(9, 30);
    give(1, 20);
    give(2, 30);
    give(3, 10);
}

static void what_is_taken_at_once_leaves_what_it_is_told_to(void **state)
{
    (void)state;
    assert_true(budget_try(budget, 1, 50, 20));
    assert_false(budget_try(budget, 1, 31, 20));
    assert_false(budget_try(budget, 1, 1, UINT64_MAX));
    assert_true(budget_try(budget, 1, 30, 20));
    assert_false(budget_try(budget, 1, 1, 20));
    assert_true(budget_try(budget, 2, 20, 0));
    give(1, 80);
    give(2, 20);
}

static void small_needs_pass_a_large_one_for_one_turn_only(void **state)
{
    struct asker large = {0}, small[4] = {0}, late = {0};

    (void)state;
    assert_true(budget_try(budget, 9, 60, 0));
    ask(&large, 'L', 1, 90);
    /* There is room for these; one turn over all tenants passes L by. */
    ask(&small[0], 'a', 2, 10);
    assert_string_equal(heard(), "a");
    ask(&small[1], 'b', 2, 10); /* that turn is over */
    ask(&small[2], 'c', 3, 10);
    assert_string_equal(heard(), "a");
    give(2, 10);
    ask(&late, 'd', 4, 10);
    assert_string_equal(heard(), "a");
    give(9, 60);
    assert_string_equal(heard(), "aLb");
    give(1, 90);
    assert_string_equal(heard(), "aLbcd");
    for (uint64_t tenant = 2; tenant <= 4; tenant++)
        give(tenant, 10);
}

static void a_large_need_is_served_under_a_flood_of_small_ones(void **state)
{
    struct asker large = {0}, small[40] = {0};

    (void)state;
    for (int i = 0; i < 10; i++)
        ask(&small[i], 's', 2, 10);
    ask(&large, 'L', 1, 100);
    for (int i = 10; i < 40; i++)
        ask(&small[i], 's', (uint64_t)(2 + i % 5), 10);
    for (int i = 0; i < 10 + 5 + 1 && !large.granted; i++) {
        heard();
        if (!large.granted)
            give_any(10);
    }
    assert_int_equal(large.granted, 1);
    give(1, 100);
    while (strlen(heard()) < 41)
        give_any(10);
    while (budget_used(budget))
        give_any(10);
    for (int i = 0; i < 40; i++)
        assert_int_equal(small[i].granted, 1);
}

static void who_withdraws_in_time_gets_nothing(void **state)
{
    struct asker a[4] = {0}, never = {0};

    (void)state;
    assert_true(budget_try(budget, 9, 100, 0));
    for (int i = 0; i < 4; i++)
        ask(&a[i], (char)('a' + i), 7, 50);
    assert_true(budget_withdraw(budget, &a[1].need)); /* from the middle */
    assert_true(budget_withdraw(budget, &a[0].need)); /* the first */
    assert_true(budget_withdraw(budget, &a[0].need)); /* twice */
    assert_true(budget_withdraw(budget, &a[3].need)); /* the last */
    assert_true(budget_withdraw(budget, &never.need));
    give(9, 100);
    assert_string_equal(heard(), "c");
    assert_int_equal(budget_used(budget), 50);
    ask(&a[0], 'A', 7, 50); /* may ask again */
    assert_string_equal(heard(), "cA");
    give(7, 100);
}

static void who_withdraws_too_late_must_give_back(void **state)
{
    struct asker a = {0};

    (void)state;
    ask(&a, 'a', 1, 50);
    assert_false(budget_withdraw(budget, &a.need)); /* on its way */
    assert_int_equal(budget_used(budget), 50);
    assert_string_equal(heard(), "a");
    assert_false(budget_withdraw(budget, &a.need)); /* was called */
    give(1, 50);
}

static void withdrawing_what_held_up_the_others_lets_them_go(void **state)
{
    struct asker large = {0}, small[2] = {0};

    (void)state;
    assert_true(budget_try(budget, 9, 50, 0));
    ask(&large, 'L', 1, 100);
    ask(&small[0], 'a', 2, 10);
    ask(&small[1], 'b', 2, 10);
    assert_string_equal(heard(), "a");
    assert_true(budget_withdraw(budget, &large.need));
    assert_string_equal(heard(), "ab");
    give(9, 50);
    give(2, 20);
}

/* Askers on several loops at once; each holds its grant for a turn. */
#define LOOPS 4
#define ROUNDS 3000

struct runner {
    struct budget_need need; /* first */
    struct mail kick, give;
    unsigned rounds;
    uint64_t seed;
};

static struct runner runners[LOOPS][3];
static atomic_int runners_left;
static struct loop *loops[LOOPS];
static atomic_uint_least64_t held;

static void on_kick(struct mail *mail)
{
    struct runner *r =
        (struct runner *)((char *)mail - offsetof(struct runner, kick));

    if (r->rounds-- == 0) {
        if (atomic_fetch_sub(&runners_left, 1) == 1)
            for (int i = 0; i < LOOPS; i++)
                loop_stop(loops[i]);
        return;
    }
    r->seed = r->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    r->need.bytes = 1 + (r->seed >> 40) % 90;
    if (!budget_ask(budget, &r->need))
        fail_msg("out of memory");
    if ((r->seed >> 20) % 4 == 0 && budget_withdraw(budget, &r->need))
        loop_send(r->need.loop, &r->kick);
}

static void on_runner_granted(struct budget_need *need)
{
    struct runner *r = (struct runner *)need;

    if (atomic_fetch_add(&held, need->bytes) + need->bytes > 100)
        fail_msg("more was granted than there is");
    loop_send(need->loop, &r->give);
}

static void on_give(struct mail *mail)
{
    struct runner *r =
        (struct runner *)((char *)mail - offsetof(struct runner, give));

    atomic_fetch_sub(&held, r->need.bytes);
    give(r->need.tenant, r->need.bytes);
    loop_send(r->need.loop, &r->kick);
}

static void many_threads_share_it_without_loss(void **state)
{
    (void)state;
    atomic_store(&runners_left, LOOPS * 3);
    for (unsigned i = 0; i < LOOPS; i++) {
        assert_int_equal(loop_new("r", NULL, &loops[i], NULL), ERR_OK);
        for (unsigned k = 0; k < 3; k++) {
            struct runner *r = &runners[i][k];

            r->need.tenant = (i + k) % 5;
            r->need.loop = loops[i];
            r->need.granted = on_runner_granted;
            r->kick.deliver = on_kick;
            r->give.deliver = on_give;
            r->rounds = ROUNDS;
            r->seed = i * 3 + k;
            loop_send(loops[i], &r->kick);
        }
    }
    for (unsigned i = 0; i < LOOPS; i++)
        assert_int_equal(loop_start_thread(loops[i], NULL), ERR_OK);
    for (unsigned i = 0; i < LOOPS; i++)
        loop_join(loops[i]);
    for (unsigned i = 0; i < LOOPS; i++)
        loop_free(loops[i]);
    assert_int_equal(atomic_load(&runners_left), 0);
    assert_int_equal(budget_used(budget), 0);
    assert_true(budget_peak(budget) <= 100);
}

#define BUDGET_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUDGET_TEST(a_grant_comes_later_even_when_there_is_room),
        BUDGET_TEST(a_need_is_granted_whole_or_waits),
        BUDGET_TEST(nobody_takes_what_another_waits_for),
        BUDGET_TEST(tenants_are_served_in_turn),
        BUDGET_TEST(a_tenant_that_keeps_its_share_gets_no_more_of_others),
        BUDGET_TEST(the_last_bytes_are_kept_for_who_holds_nothing),
        BUDGET_TEST(what_a_tenant_took_at_once_counts_too),
        BUDGET_TEST(what_is_taken_at_once_leaves_what_it_is_told_to),
        BUDGET_TEST(small_needs_pass_a_large_one_for_one_turn_only),
        BUDGET_TEST(a_large_need_is_served_under_a_flood_of_small_ones),
        BUDGET_TEST(who_withdraws_in_time_gets_nothing),
        BUDGET_TEST(who_withdraws_too_late_must_give_back),
        BUDGET_TEST(withdrawing_what_held_up_the_others_lets_them_go),
        BUDGET_TEST(many_threads_share_it_without_loss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
