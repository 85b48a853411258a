/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/jobs_count.h"

static const struct jobs_count_limits limits = {.tenant = 2, .pool = 3,
                                                .store = 1};

static struct jobs_count_of job(struct jobs_count *c, const char *tenant,
                                const char *pool, const char *store)
{
    const struct jobs_count_of of = {
        .tenant = jobs_count_get(c, tenant),
        .pool = pool ? jobs_count_get(c, pool) : NULL,
        .store = store ? jobs_count_get(c, store) : NULL,
    };

    assert_non_null(of.tenant);
    return of;
}

static void each_limit_holds_by_itself(void **state)
{
    struct jobs_count *c = jobs_count_new();
    struct jobs_count_of a, b, d;

    (void)state;
    a = job(c, "tenant 1", "pool 1", NULL);
    assert_true(jobs_count_has_room(&a, &limits));
    jobs_count_start(c, &a);
    jobs_count_start(c, &a);
    assert_false(jobs_count_has_room(&a, &limits)); /* two of the tenant */
    b = job(c, "tenant 2", "pool 1", "s3 x");
    assert_true(jobs_count_has_room(&b, &limits));
    jobs_count_start(c, &b);
    assert_false(jobs_count_has_room(&b, &limits)); /* three in the pool */
    b = job(c, "tenant 2", "pool 2", "s3 x");
    assert_false(jobs_count_has_room(&b, &limits)); /* one on the store */
    d = job(c, "tenant 2", "pool 2", "s3 y");
    assert_true(jobs_count_has_room(&d, &limits));
    b = job(c, "tenant 2", "pool 1", "s3 x");
    jobs_count_end(&b);
    assert_true(jobs_count_has_room(&b, &limits));
    jobs_count_end(&a);
    assert_true(jobs_count_has_room(&a, &limits));
    jobs_count_free(c);
}

static void the_tenant_with_fewest_running_is_next_then_turns(void **state)
{
    struct jobs_count *c = jobs_count_new();
    struct jobs_count_of a, b, d;

    (void)state;
    a = job(c, "tenant 1", NULL, NULL);
    b = job(c, "tenant 2", NULL, NULL);
    d = job(c, "tenant 3", NULL, NULL);
    assert_false(jobs_count_is_before(&b, &a)); /* alike: order decides */
    jobs_count_start(c, &a);
    assert_true(jobs_count_is_before(&b, &a));
    jobs_count_start(c, &b);
    jobs_count_start(c, &b);
    assert_true(jobs_count_is_before(&a, &b)); /* one runs, not two */
    jobs_count_end(&a);
    assert_true(jobs_count_is_before(&d, &a)); /* it never had a turn */
    jobs_count_start(c, &d);
    jobs_count_end(&d);
    assert_true(jobs_count_is_before(&a, &d)); /* longer ago */
    jobs_count_free(c);
    jobs_count_free(NULL);
}

static void who_asks_without_end_leaves_room_for_others(void **state)
{
    unsigned all = 0, own[3] = {0};

    (void)state;
    /* The first alone, then the second, then the third: each as often as it
     * may. */
    for (unsigned i = 0; i < 3; i++)
        for (; jobs_count_may_wait(all, own[i], 1000); own[i]++)
            all++;
    assert_int_equal(own[0], 500);
    assert_int_equal(own[1], 250);
    assert_int_equal(own[2], 125);
    assert_true(all < 1000);
    /* Not the first's turn again until more is free than it has. */
    assert_false(jobs_count_may_wait(all - 100, own[0] - 100, 1000));
    assert_true(jobs_count_may_wait(all - 400, own[0] - 400, 1000));
    assert_false(jobs_count_may_wait(1000, 0, 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_limit_holds_by_itself),
        cmocka_unit_test(the_tenant_with_fewest_running_is_next_then_turns),
        cmocka_unit_test(who_asks_without_end_leaves_room_for_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
