/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

static void a_piece_over_the_bound_is_refused_whole(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 4);
    assert_true(buf_add(&b, "abc", 3));
    assert_false(buf_add(&b, "de", 2));
    assert_int_equal(b.len, 3);
    assert_false(buf_add(&b, "d", 1)); /* the failure sticks */
    assert_true(buf_failed(&b));
    buf_clear(&b);
    assert_true(buf_addf(&b, "%d", 1234));
    assert_string_equal(buf_text(&b), "1234");
    buf_fini(&b);
}

static void dropping_the_front_of_nothing_is_fine(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 16);
    buf_drop_front(&b, 0);
    assert_true(buf_add_u32(&b, 0x04030201));
    buf_drop_front(&b, 2);
    assert_memory_equal(b.data, "\3\4", 2);
    buf_fini(&b);
}

static void hex_is_small_and_exact(void **state)
{
    uint8_t raw[2];
    char text[5];

    (void)state;
    bytes_hex("\x0a\xff", 2, text);
    assert_string_equal(text, "0aff");
    assert_true(bytes_unhex("0aff", raw, 2));
    assert_false(bytes_unhex("0aF0", raw, 2));
    assert_false(bytes_unhex("0af", raw, 2));
    assert_false(bytes_unhex("0aff0", raw, 2));
}

static void zeros_are_told_from_the_rest(void **state)
{
    uint8_t raw[100] = {0};

    (void)state;
    assert_true(bytes_all_zero(raw, 100));
    assert_true(bytes_all_zero(raw, 0));
    for (size_t i = 0; i < sizeof(raw); i++) {
        raw[i] = 1;
        assert_false(bytes_all_zero(raw, sizeof(raw)));
        raw[i] = 0;
    }
}

static void a_long_error_is_cut_and_stays_on_one_line(void **state)
{
    struct err e;
    char longer[1000];

    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    longer[999] = 0;
    longer[3] = '\n';
    assert_int_equal(err_set(&e, ERR_IO, 5, "%s", longer), ERR_IO);
    assert_string_equal(e.text + sizeof(e.text) - 4, "...");
    assert_null(strchr(e.text, '\n'));
    err_set(&e, ERR_REMOTE, 503, "SlowDown");
    assert_int_equal(err_context(&e, "part %d", 7), ERR_REMOTE);
    assert_string_equal(e.text, "part 7: SlowDown");
}

static void what_there_was_no_memory_for_is_not_all_that_is_said(void **state)
{
    struct err e;
    char longer[sizeof(e.text)];

    (void)state;
    err_set(&e, ERR_NOMEM, 0, "pool %s", "paris");
    assert_string_equal(e.text, "pool paris: out of memory");
    err_set(&e, ERR_NOMEM, 0, "out of memory");
    assert_string_equal(e.text, "out of memory");
    for (size_t n = sizeof(e.text) - 20; n < sizeof(e.text); n++) {
        memset(longer, 'x', n);
        longer[n] = 0;
        err_set(&e, ERR_NOMEM, 0, "%s", longer);
        assert_memory_equal(e.text, longer, n);
        assert_string_equal(e.text + n,
                            n + 15 < sizeof(e.text) ? ": out of memory" : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_piece_over_the_bound_is_refused_whole),
        cmocka_unit_test(dropping_the_front_of_nothing_is_fine),
        cmocka_unit_test(hex_is_small_and_exact),
        cmocka_unit_test(zeros_are_told_from_the_rest),
        cmocka_unit_test(a_long_error_is_cut_and_stays_on_one_line),
        cmocka_unit_test(
            what_there_was_no_memory_for_is_not_all_that_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
