/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop/delay.h"
#include "loop/timer.h"

static struct loop *loop;
static struct timer block, stop;
static uint64_t block_ms;

static void on_block(struct timer *t)
{
    uint64_t until = uv_hrtime() + block_ms * 1000000;

    (void)t;
    while (uv_hrtime() < until)
        ;
}

static void on_stop(struct timer *t)
{
    (void)t;
    loop_stop(loop);
}

static void nothing_was_late_before_the_first_measurement(void **state)
{
    struct delay *d;

    (void)state;
    assert_int_equal(loop_new("d", NULL, &loop, NULL), ERR_OK);
    d = delay_new(loop);
    assert_int_equal(delay_percentile_ms(d, 1), 0);
    assert_int_equal(delay_percentile_ms(d, 100), 0);
    delay_free(d);
    delay_free(NULL);
    loop_free(loop);
}

/* The loop hangs for 450 ms from 50 ms on: measurements due at 100, 200, 300
 * and 400 ms were 400, 300, 200 and 100 ms late, and then it is in time. */
static void a_hang_counts_for_each_measurement_it_swallowed(void **state)
{
    struct delay *d;

    (void)state;
    assert_int_equal(loop_new("d", NULL, &loop, NULL), ERR_OK);
    d = delay_new(loop);
    block_ms = 450;
    timer_start(loop, &block, 50, on_block);
    timer_start(loop, &stop, 1050, on_stop);
    loop_run(loop);
    assert_in_range(delay_percentile_ms(d, 100), 390, 2000);
    /* At most 5 more in time until the end: 4 of 9 were late. */
    assert_in_range(delay_percentile_ms(d, 75), 190, 2000);
    assert_true(delay_percentile_ms(d, 1) <= delay_percentile_ms(d, 50));
    assert_true(delay_percentile_ms(d, 50) <= delay_percentile_ms(d, 100));
    delay_free(d);
    loop_free(loop);
}

static void another_thread_may_read_meanwhile(void **state)
{
    struct delay *d;
    uint64_t until = uv_hrtime() + UINT64_C(350000000);

    (void)state;
    assert_int_equal(loop_new("d", NULL, &loop, NULL), ERR_OK);
    d = delay_new(loop);
    assert_int_equal(loop_start_thread(loop, NULL), ERR_OK);
    while (uv_hrtime() < until)
        assert_true(delay_percentile_ms(d, 99) < 60000);
    loop_stop(loop);
    loop_join(loop);
    delay_free(d);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_was_late_before_the_first_measurement),
        cmocka_unit_test(a_hang_counts_for_each_measurement_it_swallowed),
        cmocka_unit_test(another_thread_may_read_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
