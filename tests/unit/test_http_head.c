/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "net/http_head.h"

static enum http_head_result line(struct http_head *h, const char *text)
{
    return http_head_line(h, text, strlen(text));
}

static void head_gives_status_and_headers(void **state)
{
    struct http_head h;

    (void)state;
    http_head_init(&h);
    assert_null(http_head_find(&h, "ETag"));
    assert_int_equal(line(&h, "HTTP/1.1 206 Partial Content\r\n"),
                     HTTP_HEAD_MORE);
    assert_int_equal(line(&h, "Content-Length:  17 \r\n"), HTTP_HEAD_MORE);
    assert_int_equal(line(&h, "ETag: \"a b\"\r\n"), HTTP_HEAD_MORE);
    assert_int_equal(line(&h, "x-empty:\r\n"), HTTP_HEAD_MORE);
    assert_int_equal(line(&h, "etag: second\n"), HTTP_HEAD_MORE);
    assert_int_equal(line(&h, "\r\n"), HTTP_HEAD_WHOLE);
    assert_int_equal(h.status, 206);
    assert_int_equal(h.length, 17);
    assert_string_equal(http_head_find(&h, "etag"), "\"a b\"");
    assert_string_equal(http_head_find(&h, "X-Empty"), "");
    assert_null(http_head_find(&h, "eta"));
    /* A trailer is no header. */
    assert_int_equal(line(&h, "late: 1\r\n"), HTTP_HEAD_MORE);
    assert_null(http_head_find(&h, "late"));
    http_head_fini(&h);
}

static void interim_heads_are_forgotten(void **state)
{
    struct http_head h;

    (void)state;
    http_head_init(&h);
    line(&h, "HTTP/1.1 100 Continue\r\n");
    line(&h, "\r\n");
    line(&h, "HTTP/1.1 103 Early Hints\r\n");
    line(&h, "Link: x\r\n");
    line(&h, "Content-Length: 5\r\n");
    line(&h, "\r\n");
    line(&h, "HTTP/1.0 200\r\n");
    assert_int_equal(line(&h, "\r\n"), HTTP_HEAD_WHOLE);
    assert_int_equal(h.status, 200);
    assert_int_equal(h.length, -1);
    assert_null(http_head_find(&h, "Link"));
    http_head_fini(&h);
}

/* Each is fed line by line; `expect` is the last line's result. */
static const struct {
    const char *why, *lines[4];
    enum http_head_result expect;
} rows[] = {
    {"another protocol", {"ICY 200 OK\r\n"}, HTTP_HEAD_BAD},
    {"HTTP/2 in an HTTP/1 answer", {"HTTP/2 200\r\n"}, HTTP_HEAD_BAD},
    {"a status of two digits", {"HTTP/1.1 20\r\n"}, HTTP_HEAD_BAD},
    {"a status of four digits", {"HTTP/1.1 2000 OK\r\n"}, HTTP_HEAD_BAD},
    {"a status beyond 599", {"HTTP/1.1 600 X\r\n"}, HTTP_HEAD_BAD},
    {"protocols are never switched", {"HTTP/1.1 101 X\r\n"}, HTTP_HEAD_BAD},
    {"no reason at all", {"HTTP/1.1 200\r\n"}, HTTP_HEAD_MORE},
    {"no colon", {"HTTP/1.1 200 OK\r\n", "abc\r\n"}, HTTP_HEAD_BAD},
    {"no name", {"HTTP/1.1 200 OK\r\n", ": x\r\n"}, HTTP_HEAD_BAD},
    {"a space before the colon",
     {"HTTP/1.1 200 OK\r\n", "Content-Length : 5\r\n"},
     HTTP_HEAD_BAD},
    {"a folded line",
     {"HTTP/1.1 200 OK\r\n", "A: b\r\n", " c\r\n"},
     HTTP_HEAD_BAD},
    {"a length that is none",
     {"HTTP/1.1 200 OK\r\n", "Content-Length: 5x\r\n"},
     HTTP_HEAD_BAD},
    {"a negative length",
     {"HTTP/1.1 200 OK\r\n", "Content-Length: -5\r\n"},
     HTTP_HEAD_BAD},
    {"a length beyond 63 bits",
     {"HTTP/1.1 200 OK\r\n", "Content-Length: 9223372036854775808\r\n"},
     HTTP_HEAD_BAD},
    {"the largest length",
     {"HTTP/1.1 200 OK\r\n", "Content-Length: 9223372036854775807\r\n"},
     HTTP_HEAD_MORE},
    {"two lengths that differ",
     {"HTTP/1.1 200 OK\r\n", "Content-Length: 5\r\n", "Content-Length: 6\r\n"},
     HTTP_HEAD_BAD},
    {"one length said twice",
     {"HTTP/1.1 200 OK\r\n", "Content-Length: 5\r\n", "Content-Length: 5\r\n"},
     HTTP_HEAD_MORE},
};

static void what_means_two_things_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum http_head_result got = HTTP_HEAD_MORE;
        struct http_head h;

        http_head_init(&h);
        for (size_t k = 0; k < 4 && rows[i].lines[k]; k++) {
            if (got != HTTP_HEAD_MORE)
                fail_msg("%s: refused too early", rows[i].why);
            got = line(&h, rows[i].lines[k]);
        }
        if (got != rows[i].expect)
            fail_msg("%s: got %d", rows[i].why, (int)got);
        http_head_fini(&h);
    }
}

static void heads_are_kept_up_to_16_kib(void **state)
{
    char text[HTTP_HEAD_MAX + 1];
    struct http_head h;

    (void)state;
    memset(text, 'a', sizeof(text));
    memcpy(text, "A:", 2);
    http_head_init(&h);
    assert_int_equal(line(&h, "HTTP/1.1 200\r\n"), HTTP_HEAD_MORE);
    assert_int_equal(http_head_line(&h, text, HTTP_HEAD_MAX - 14 + 1),
                     HTTP_HEAD_TOO_BIG);
    assert_int_equal(http_head_line(&h, text, HTTP_HEAD_MAX - 14),
                     HTTP_HEAD_MORE);
    assert_int_equal(strlen(http_head_find(&h, "a")), HTTP_HEAD_MAX - 16);
    assert_int_equal(line(&h, "\r\n"), HTTP_HEAD_TOO_BIG);
    http_head_fini(&h);
}

static void interim_heads_count_too(void **state)
{
    enum http_head_result got = HTTP_HEAD_MORE;
    struct http_head h;
    unsigned heads = 0;

    (void)state;
    http_head_init(&h);
    while (got == HTTP_HEAD_MORE && heads < 2000) {
        got = line(&h, "HTTP/1.1 100 Continue\r\n");
        if (got == HTTP_HEAD_MORE)
            got = line(&h, "\r\n");
        heads++;
    }
    assert_int_equal(got, HTTP_HEAD_TOO_BIG);
    assert_int_equal(heads, 16384 / 25 + 1);
    http_head_fini(&h);
}

static void an_end_is_missed_only_without_length(void **state)
{
    struct http_head h = {.status = 200, .length = -1};

    (void)state;
    assert_true(http_head_ends_by_close(&h, "GET"));
    assert_false(http_head_ends_by_close(&h, "HEAD"));
    h.status = 204;
    assert_false(http_head_ends_by_close(&h, "GET"));
    h.status = 304;
    assert_false(http_head_ends_by_close(&h, "GET"));
    h.status = 200;
    h.chunked = true;
    assert_false(http_head_ends_by_close(&h, "GET"));
    h.chunked = false;
    h.length = 0;
    assert_false(http_head_ends_by_close(&h, "GET"));
}

static void names_and_values_are_checked(void **state)
{
    (void)state;
    assert_true(http_head_name_ok("x-amz-meta-a_b.c"));
    assert_false(http_head_name_ok(""));
    assert_false(http_head_name_ok("a b"));
    assert_false(http_head_name_ok("a:"));
    assert_false(http_head_name_ok("\xc3\xa4"));
    assert_true(http_head_value_ok("a\tb \xc3\xa4"));
    assert_true(http_head_value_ok(""));
    assert_false(http_head_value_ok("a\r\nb"));
    assert_false(http_head_value_ok("a\nb"));
    assert_false(http_head_value_ok("a\x7f"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_gives_status_and_headers),
        cmocka_unit_test(interim_heads_are_forgotten),
        cmocka_unit_test(what_means_two_things_is_refused),
        cmocka_unit_test(heads_are_kept_up_to_16_kib),
        cmocka_unit_test(interim_heads_count_too),
        cmocka_unit_test(an_end_is_missed_only_without_length),
        cmocka_unit_test(names_and_values_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
