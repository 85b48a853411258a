/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "net/retry.h"

static uint64_t fixed_bits(void *ctx)
{
    return *(const uint64_t *)ctx;
}

static void waits_double_up_to_the_cap(void **state)
{
    /* Multiples of (wait / 2 + 1): no jitter at all with 0. */
    static const uint64_t expect[] = {50, 100, 200, 400, 500, 500, 500};
    uint64_t bits = 0, delay, now = 1000;
    struct retry_policy policy = {
        .base_ms = 100, .cap_ms = 1000, .random = fixed_bits, .ctx = &bits};
    struct retry r;

    (void)state;
    retry_init(&r, &policy, now);
    for (size_t i = 0; i < BYTES_COUNT(expect); i++) {
        assert_true(retry_again(&r, now, 0, &delay));
        assert_int_equal(delay, expect[i]);
        now += delay;
    }
}

static void jitter_fills_the_upper_half(void **state)
{
    static const struct {
        uint64_t bits, delay;
    } rows[] = {{0, 50}, {1, 51}, {50, 100}, {51, 50}, {UINT64_MAX, 50}};

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        uint64_t bits = rows[i].bits, delay;
        struct retry_policy policy = {
            .base_ms = 100, .cap_ms = 1000, .random = fixed_bits, .ctx = &bits};
        struct retry r;

        retry_init(&r, &policy, 0);
        assert_true(retry_again(&r, 0, 0, &delay));
        /* 2^64 - 1 is a multiple of 51. */
        assert_int_equal(delay, rows[i].delay);
    }
}

static void kernel_gives_the_jitter_otherwise(void **state)
{
    struct retry_policy policy = {.base_ms = 1 << 30, .cap_ms = 1 << 30};
    uint64_t first = 0, delay = 0;
    bool differs = false;
    struct retry r;

    (void)state;
    retry_init(&r, &policy, 0);
    for (int i = 0; i < 8; i++) {
        assert_true(retry_again(&r, 0, 0, &delay));
        assert_in_range(delay, 1 << 29, 1 << 30);
        differs = differs || (i > 0 && delay != first);
        first = delay;
    }
    assert_true(differs);
}

static void tries_are_counted_with_the_first(void **state)
{
    struct retry_policy policy = {.base_ms = 1, .cap_ms = 1, .tries_max = 3};
    uint64_t delay;
    struct retry r;

    (void)state;
    retry_init(&r, &policy, 0);
    assert_true(retry_again(&r, 0, 0, &delay));
    assert_true(retry_again(&r, 0, 0, &delay));
    assert_false(retry_again(&r, 0, 0, &delay));
    retry_reset(&r, 0);
    assert_true(retry_again(&r, 0, 0, &delay));
}

static void no_try_begins_after_the_time_is_up(void **state)
{
    uint64_t bits = 0, delay;
    struct retry_policy policy = {.base_ms = 200,
                                  .cap_ms = 200,
                                  .total_ms = 1000,
                                  .random = fixed_bits,
                                  .ctx = &bits};
    struct retry r;

    (void)state;
    retry_init(&r, &policy, 5000);
    assert_true(retry_again(&r, 5900, 0, &delay)); /* 5900 + 100 */
    assert_false(retry_again(&r, 5901, 0, &delay));
    retry_init(&r, &policy, 5000);
    assert_false(retry_again(&r, UINT64_MAX - 10, 0, &delay));
}

/* Four minutes shall not be three because the next wait were a long one. */
static void the_last_try_begins_when_the_time_is_up(void **state)
{
    uint64_t bits = 0, delay, now = 5000, tries = 0;
    struct retry_policy policy = {.base_ms = 100,
                                  .cap_ms = 100000,
                                  .total_ms = 1000,
                                  .random = fixed_bits,
                                  .ctx = &bits};
    struct retry r;

    (void)state;
    retry_init(&r, &policy, now);
    while (retry_again(&r, now, 0, &delay)) {
        now += delay;
        tries++;
    }
    assert_int_equal(now, 6000);
    assert_int_equal(tries, 5); /* 50, 150, 350, 750 and the end */
    retry_init(&r, &policy, 0);
    assert_true(retry_again(&r, 940, 0, &delay)); /* 990 */
    assert_int_equal(delay, 50);
    assert_false(retry_again(&r, 950, 0, &delay)); /* too soon to be of use */
    assert_true(retry_again(&r, 900, 90, &delay));
    assert_int_equal(delay, 100);
    assert_false(retry_again(&r, 900, 101, &delay));
}

static void peer_may_ask_for_longer_but_not_beyond_the_time(void **state)
{
    uint64_t bits = 0, delay;
    struct retry_policy policy = {.base_ms = 100,
                                  .cap_ms = 200,
                                  .total_ms = 10000,
                                  .random = fixed_bits,
                                  .ctx = &bits};
    struct retry r;

    (void)state;
    retry_init(&r, &policy, 0);
    assert_true(retry_again(&r, 0, 3000, &delay));
    assert_int_equal(delay, 3000);
    assert_true(retry_again(&r, 3000, 10, &delay));
    assert_int_equal(delay, 100);
    assert_false(retry_again(&r, 3000, 8000, &delay));
    assert_false(retry_again(&r, 3000, UINT64_MAX, &delay));
}

static void long_series_overflow_nothing(void **state)
{
    uint64_t bits = 0, delay;
    struct retry_policy policy = {
        .base_ms = 3, .cap_ms = UINT64_MAX, .random = fixed_bits, .ctx = &bits};
    struct retry r;

    (void)state;
    retry_init(&r, &policy, 0);
    for (int i = 0; i < 200; i++) {
        assert_true(retry_again(&r, 0, 0, &delay));
        assert_true(delay >= 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_double_up_to_the_cap),
        cmocka_unit_test(jitter_fills_the_upper_half),
        cmocka_unit_test(kernel_gives_the_jitter_otherwise),
        cmocka_unit_test(tries_are_counted_with_the_first),
        cmocka_unit_test(no_try_begins_after_the_time_is_up),
        cmocka_unit_test(the_last_try_begins_when_the_time_is_up),
        cmocka_unit_test(peer_may_ask_for_longer_but_not_beyond_the_time),
        cmocka_unit_test(long_series_overflow_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
