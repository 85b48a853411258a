/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/http_target.h"

/* Each row: a target and what it means; path NULL: it is refused. */
static const struct {
    const char *why, *text, *path;
    const char *params[6]; /* name, value, name, ... */
} rows[] = {
    {"a plain path", "/api/v1/jobs", "/api/v1/jobs", {NULL}},
    {"encoded bytes",
     "/vm/pool%2Fname%20x%c3%A4",
     "/vm/pool/name x\xc3\xa4",
     {NULL}},
    {"a plus in a path is a plus", "/a+b", "/a+b", {NULL}},
    {"parameters in their order",
     "/j?state=failed&limit=10",
     "/j",
     {"state", "failed", "limit", "10"}},
    {"a plus in a query is a space", "/?q=a+b%2Bc", "/", {"q", "a b+c"}},
    {"no value", "/?all&x=", "/", {"all", "", "x", ""}},
    {"no name", "/?=v", "/", {"", "v"}},
    {"empty parameters are none", "/?&&a=1&", "/", {"a", "1"}},
    {"an empty query", "/x?", "/x", {NULL}},
    {"the second question mark is data", "/x?a=b?c", "/x", {"a", "b?c"}},
    {"an encoded ampersand separates nothing",
     "/?a=b%26c%3Dd",
     "/",
     {"a", "b&c=d"}},
    {"all twice, the first counts", "/?a=1&a=2", "/", {"a", "1", "a", "2"}},
    {"dots stand for themselves", "/../a/./b", "/../a/./b", {NULL}},
    {"nothing", "", NULL, {NULL}},
    {"an asterisk", "*", NULL, {NULL}},
    {"a whole URL", "http://x/y", NULL, {NULL}},
    {"half an encoding", "/a%2", NULL, {NULL}},
    {"no encoding", "/a%", NULL, {NULL}},
    {"wrong digits", "/a%zz", NULL, {NULL}},
    {"wrong digits in a name", "/?%g0=1", NULL, {NULL}},
    {"wrong digits in a value", "/?a=%1", NULL, {NULL}},
    {"an encoded NUL", "/a%00b", NULL, {NULL}},
    {"an encoded line end", "/a%0d%0aX: y", NULL, {NULL}},
    {"an encoded DEL", "/a%7f", NULL, {NULL}},
    {"no UTF-8", "/a%ff", NULL, {NULL}},
    {"an overlong slash", "/a%c0%af", NULL, {NULL}},
    {"no UTF-8 in a value", "/?a=%e4", NULL, {NULL}},
};

static void targets_mean_one_thing_or_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_target t = {0};
        enum err_code rc = http_target_parse(rows[i].text, &t);
        size_t n = 0;

        if (rc != (rows[i].path ? ERR_OK : ERR_PROTOCOL))
            fail_msg("%s: %d", rows[i].why, (int)rc);
        if (rc != ERR_OK) {
            assert_null(t.path);
            continue;
        }
        if (!rows[i].path || strcmp(t.path, rows[i].path) != 0)
            fail_msg("%s: %s", rows[i].why, t.path);
        for (; n < 3 && rows[i].params[2 * n]; n++) {
            if (n >= t.count || !rows[i].params[2 * n + 1] ||
                strcmp(t.params[n].name, rows[i].params[2 * n]) != 0 ||
                strcmp(t.params[n].value, rows[i].params[2 * n + 1]) != 0)
                fail_msg("%s: parameter %zu", rows[i].why, n);
        }
        assert_int_equal(t.count, n);
        http_target_fini(&t);
    }
}

static void first_of_a_name_is_found(void **state)
{
    struct http_target t;

    (void)state;
    assert_int_equal(http_target_parse("/?a=1&b=2&a=3", &t), ERR_OK);
    assert_string_equal(http_target_find(&t, "a"), "1");
    assert_string_equal(http_target_find(&t, "b"), "2");
    assert_null(http_target_find(&t, "c"));
    assert_null(http_target_find(&t, "A"));
    http_target_fini(&t);
}

static void parameters_are_bounded(void **state)
{
    char text[1000] = "/?a=1";
    struct http_target t;

    (void)state;
    for (int i = 1; i < HTTP_TARGET_PARAMS; i++)
        memcpy(text + strlen(text), "&a=1", 5);
    assert_int_equal(http_target_parse(text, &t), ERR_OK);
    assert_int_equal(t.count, HTTP_TARGET_PARAMS);
    http_target_fini(&t);
    memcpy(text + strlen(text), "&b", 3);
    assert_int_equal(http_target_parse(text, &t), ERR_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_mean_one_thing_or_are_refused),
        cmocka_unit_test(first_of_a_name_is_found),
        cmocka_unit_test(parameters_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
