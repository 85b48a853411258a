/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/clock.h"

/* Seconds by `date -u -d TEXT +%s`. */
static const struct {
    uint64_t seconds;
    const char *rfc3339, *compact, *xapi, *http;
} rows[] = {
    {0, "1970-01-01T00:00:00Z", "19700101T000000Z", "19700101T00:00:00Z",
     "Thu, 01 Jan 1970 00:00:00 GMT"},
    {784111777, "1994-11-06T08:49:37Z", "19941106T084937Z",
     "19941106T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 GMT"}, /* RFC 9110 */
    {951782400, "2000-02-29T00:00:00Z", "20000229T000000Z",
     "20000229T00:00:00Z", "Tue, 29 Feb 2000 00:00:00 GMT"},
    {1369353600, "2013-05-24T00:00:00Z", "20130524T000000Z",
     "20130524T00:00:00Z", "Fri, 24 May 2013 00:00:00 GMT"}, /* S3's examples */
    {1735689599, "2024-12-31T23:59:59Z", "20241231T235959Z",
     "20241231T23:59:59Z", "Tue, 31 Dec 2024 23:59:59 GMT"},
    {1795162530, "2026-11-20T08:15:30Z", "20261120T081530Z",
     "20261120T08:15:30Z", "Fri, 20 Nov 2026 08:15:30 GMT"},
    {4107542400, "2100-03-01T00:00:00Z", "21000301T000000Z",
     "21000301T00:00:00Z", "Mon, 01 Mar 2100 00:00:00 GMT"},
    {253402300799, "9999-12-31T23:59:59Z", "99991231T235959Z",
     "99991231T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT"},
};

static void all_forms_say_the_same_and_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        uint64_t ms = rows[i].seconds * 1000;
        uint64_t a = 1, b = 1, c = 1, d = 1;
        char text[CLOCK_TEXT];

        clock_rfc3339(ms + 999, text);
        assert_string_equal(text, rows[i].rfc3339);
        clock_compact(ms, text);
        assert_string_equal(text, rows[i].compact);
        clock_xapi(ms, text);
        assert_string_equal(text, rows[i].xapi);
        clock_http(ms, text);
        assert_string_equal(text, rows[i].http);
        assert_true(clock_parse_rfc3339(rows[i].rfc3339, &a));
        assert_true(clock_parse_compact(rows[i].compact, &b));
        assert_true(clock_parse_xapi(rows[i].xapi, &c));
        assert_true(clock_parse_http(rows[i].http, &d));
        assert_true(a == ms && b == ms && c == ms && d == ms);
    }
}

static void every_day_is_as_the_c_library_has_it(void **state)
{
    (void)state;
    for (time_t day = 0; day < 183000; day++) {
        time_t seconds = day * 86400 + day % 86400;
        char ours[CLOCK_TEXT], theirs[CLOCK_TEXT];
        uint64_t back = 0;
        struct tm tm;

        gmtime_r(&seconds, &tm);
        strftime(theirs, sizeof(theirs), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        clock_http((uint64_t)seconds * 1000, ours);
        assert_string_equal(ours, theirs);
        assert_true(clock_parse_http(ours, &back));
        assert_int_equal(back, (uint64_t)seconds * 1000);
    }
}

static void what_has_no_text_becomes_the_last_second(void **state)
{
    char text[CLOCK_TEXT];

    (void)state;
    clock_http(UINT64_MAX, text);
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
}

static void anything_but_the_form_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "2026", "2026-11-20", "2026-11-20T08:15:30", "2026-11-20 08:15:30Z",
        "2026-11-20T08:15:30z", "2026-11-20t08:15:30Z", "2026-11-20T08:15Z",
        "2026-11-20T08:15:30.000Z", "2026-11-20T08:15:30+00:00",
        " 2026-11-20T08:15:30Z", "2026-11-20T08:15:30Z ",
        "2026-11-20T24:00:00Z", "2026-11-20T08:60:30Z", "2026-11-20T08:15:60Z",
        "2026-00-20T08:15:30Z", "2026-13-20T08:15:30Z", "2026-11-00T08:15:30Z",
        "2026-11-31T08:15:30Z", "2026-02-29T08:15:30Z", "2100-02-29T00:00:00Z",
        "1969-12-31T23:59:59Z", "-026-11-20T08:15:30Z", "20a6-11-20T08:15:30Z",
        "+2026-11-20T08:15:3Z", "2026-11-20T08:15: 3Z",
        /* the other forms */
        "20261120T08:15:3Z", "20261120T081530", "2026112OT081530Z",
        "20261120T08:15:30Y", "Fri, 20 Nov 2026 08:15:30 UTC",
        "Thu, 20 Nov 2026 08:15:30 GMT", "fri, 20 Nov 2026 08:15:30 GMT",
        "Fri, 20 nov 2026 08:15:30 GMT", "Fri, 20 Nov 2026 08:15:30 GMT ",
        "Fri, 20 Foo 2026 08:15:30 GMT", "Xyz, 20 Nov 2026 08:15:30 GMT",
        "Friday, 20-Nov-26 08:15:30 GMT", "Fri Nov 20 08:15:30 2026",
        "Fri, 20 Nov",
    };

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(bad); i++) {
        uint64_t ms = 42;

        if (clock_parse_rfc3339(bad[i], &ms) ||
            clock_parse_compact(bad[i], &ms) || clock_parse_xapi(bad[i], &ms) ||
            clock_parse_http(bad[i], &ms) || ms != 42)
            fail_msg("'%s' was taken", bad[i]);
    }
}

static uint64_t fake_wall(void *ctx)
{
    return *(uint64_t *)ctx;
}

static uint64_t fake_mono(void *ctx)
{
    return *(uint64_t *)ctx / 2;
}

static void the_time_comes_from_the_clock_given(void **state)
{
    uint64_t now = 10;
    const struct clock fake = {fake_wall, fake_mono, &now};
    uint64_t before = clock_mono_ms(clock_system());

    (void)state;
    assert_int_equal(clock_wall_ms(&fake), 10);
    assert_int_equal(clock_mono_ms(&fake), 5);
    assert_true(clock_wall_ms(clock_system()) / 1000 + 1 >=
                (uint64_t)time(NULL));
    assert_true(clock_mono_ms(clock_system()) >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms_say_the_same_and_come_back),
        cmocka_unit_test(every_day_is_as_the_c_library_has_it),
        cmocka_unit_test(what_has_no_text_becomes_the_last_second),
        cmocka_unit_test(anything_but_the_form_is_refused),
        cmocka_unit_test(the_time_comes_from_the_clock_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
