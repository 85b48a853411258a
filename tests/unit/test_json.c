/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/json.h"

/* Rules of RFC 8259 and RFC 7493, and our limits. */
static const struct {
    const char *why;
    const char *text;
    size_t len; /* 0: strlen */
    bool good;
} rows[] = {
    {"an object", "{\"a\":[1,2.5,null,true,\"x\"]}", 0, true},
    {"a bare value is a document", "7", 0, true},
    {"white space around it", " \r\n\t[ ] \n", 0, true},
    {"the largest int64", "9223372036854775807", 0, true},
    {"one more", "9223372036854775808", 0, false},
    {"the smallest int64", "-9223372036854775808", 0, true},
    {"one less", "-9223372036854775809", 0, false},
    {"a real beyond double", "1e400", 0, false},
    {"an escaped surrogate pair", "\"\\ud83d\\ude00\"", 0, true},
    {"a lone surrogate", "\"\\ud83d\"", 0, false},
    {"nothing", "", 0, false},
    {"white space alone", "  ", 0, false},
    {"a duplicate key", "{\"a\":1,\"b\":2,\"a\":1}", 0, false},
    {"a duplicate key, once escaped", "{\"a\":1,\"\\u0061\":1}", 0, false},
    {"a duplicate key deep down", "[{\"x\":{\"k\":1,\"k\":2}}]", 0, false},
    {"text behind the value", "{} x", 0, false},
    {"a second value", "{}{}", 0, false},
    {"a NUL behind the value", "{}\0", 3, false},
    {"a NUL within a string", "\"a\0b\"", 5, false},
    {"an escaped NUL", "\"a\\u0000b\"", 0, false},
    {"an escaped NUL in a key", "{\"a\\u0000b\":1}", 0, false},
    {"bytes that are not UTF-8", "\"\xff\"", 0, false},
    {"an overlong form", "\"\xc0\x80\"", 0, false},
    {"a surrogate in UTF-8", "\"\xed\xa0\x80\"", 0, false},
    {"a line end within a string", "\"a\nb\"", 0, false},
    {"a string that does not end", "\"abc", 0, false},
    {"an array that does not end", "[1,2", 0, false},
    {"the wrong bracket", "[1}", 0, false},
    {"a trailing comma", "[1,]", 0, false},
    {"a comment", "[1] // x", 0, false},
    {"single quotes", "{'a':1}", 0, false},
    {"a leading zero", "01", 0, false},
    {"a plus", "+1", 0, false},
    {"NaN", "NaN", 0, false},
    {"hex", "0x10", 0, false},
    {"a byte order mark", "\xef\xbb\xbf{}", 0, false},
};

static void only_what_the_standard_allows_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        size_t len = rows[i].len ? rows[i].len : strlen(rows[i].text);
        struct json *j = NULL;
        struct err err = {0};
        enum err_code rc = json_parse(rows[i].text, len, &j, &err);

        if (rc != (rows[i].good ? ERR_OK : ERR_PROTOCOL))
            fail_msg("%s: %s %s", rows[i].why, err_name(rc), err.text);
        if (!rows[i].good && (j || !strstr(err.text, "line ")))
            fail_msg("%s: no place in '%s'", rows[i].why, err.text);
        json_free(j);
    }
}

static void levels_are_counted_outside_of_strings(void **state)
{
    struct json *j = NULL;
    struct buf b;

    (void)state;
    for (int depth = 63; depth <= 66; depth++) {
        buf_init(&b, 4096);
        for (int i = 0; i < depth; i++)
            buf_add_text(&b, i % 2 ? "[" : "{\"[[\\\"[\":");
        buf_add_text(&b, "0");
        for (int i = depth - 1; i >= 0; i--)
            buf_add_text(&b, i % 2 ? "]" : "}");
        j = NULL;
        assert_int_equal(json_parse(b.data, b.len, &j, NULL),
                         depth <= 64 ? ERR_OK : ERR_PROTOCOL);
        json_free(j);
        buf_fini(&b);
    }
    /* Many side by side are not deep. */
    buf_init(&b, 4096);
    buf_add_text(&b, "[0");
    for (int i = 0; i < 200; i++)
        buf_add_text(&b, ",[],{}");
    buf_add_text(&b, "]");
    assert_int_equal(json_parse(b.data, b.len, &j, NULL), ERR_OK);
    assert_int_equal(json_count(j), 401);
    json_free(j);
    buf_fini(&b);
    /* A flood of brackets does not cost a stack. */
    buf_init(&b, MIB);
    memset(buf_extend(&b, MIB), '[', MIB);
    assert_int_equal(json_parse(b.data, b.len, &j, NULL), ERR_PROTOCOL);
    buf_fini(&b);
}

static const char sample[] =
    "{\"z\":\"text\",\"a\":-5,\"r\":2.5,\"t\":true,\"n\":null,"
    "\"list\":[10,20],\"o\":{}}";

static void a_value_of_another_kind_gives_the_default(void **state)
{
    struct json *j = NULL;

    (void)state;
    assert_int_equal(json_parse(sample, strlen(sample), &j, NULL), ERR_OK);
    assert_int_equal(json_kind(j), JSON_OBJECT);
    assert_string_equal(json_text(json_get(j, "z"), "no"), "text");
    assert_string_equal(json_text(json_get(j, "a"), "no"), "no");
    assert_null(json_text(json_get(j, "none"), NULL));
    assert_int_equal(json_int(json_get(j, "a"), 9), -5);
    assert_int_equal(json_int(json_get(j, "r"), 9), 9);
    assert_int_equal(json_int(json_get(j, "z"), 9), 9);
    assert_true(json_double(json_get(j, "r"), 0) == 2.5);
    assert_true(json_double(json_get(j, "a"), 0) == -5);
    assert_true(json_double(json_get(j, "t"), 7) == 7);
    assert_true(json_bool(json_get(j, "t"), false));
    assert_false(json_bool(json_get(j, "a"), false));
    assert_int_equal(json_kind(json_get(j, "n")), JSON_NULL);
    assert_int_equal(json_kind(json_get(j, "r")), JSON_REAL);
    assert_int_equal(json_count(json_get(j, "list")), 2);
    assert_int_equal(json_int(json_at(json_get(j, "list"), 1), 0), 20);
    assert_null(json_at(json_get(j, "list"), 2));
    assert_null(json_at(json_get(j, "o"), 0));
    assert_null(json_get(json_get(j, "list"), "x"));
    assert_null(json_get(NULL, "x"));
    assert_int_equal(json_count(json_get(j, "z")), 0);
    json_free(j);
}

static void members_keep_the_order_of_the_text(void **state)
{
    static const char *const keys[] = {"z", "a", "r", "t", "n", "list", "o"};
    const struct json *value = NULL;
    struct json *j = NULL;
    char *text;
    size_t len;

    (void)state;
    assert_int_equal(json_parse(sample, strlen(sample), &j, NULL), ERR_OK);
    for (size_t i = 0; i < BYTES_COUNT(keys); i++) {
        assert_string_equal(json_key_at(j, i, &value), keys[i]);
        assert_ptr_equal(value, json_get(j, keys[i]));
    }
    assert_null(json_key_at(j, BYTES_COUNT(keys), &value));
    text = json_dump(j, false, &len);
    assert_string_equal(text, sample);
    assert_int_equal(len, strlen(sample));
    free(text);
    json_free(j);
}

static void what_is_built_is_written(void **state)
{
    struct json *j = json_new_object();
    struct json *list = json_new_array();
    struct json *copy;
    char *text;

    (void)state;
    assert_true(json_append(list, json_new_int(INT64_MIN)));
    assert_true(json_append(list, json_new_real(0.1)));
    assert_true(json_append(list, json_new_real((double)NAN)));
    assert_true(json_append(list, json_new_bool(false)));
    assert_true(json_set(j, "list", list));
    assert_true(json_set_text(j, "bad", "a\xff\xc3\xa9\xe2\x82"));
    assert_true(json_set_text(j, "quote", "\"\\\n\x01"));
    assert_true(json_set_text(j, "none", NULL));
    assert_true(json_set_bool(j, "yes", true));
    assert_true(json_set_int(j, "n", 1));
    assert_true(json_set_int(j, "n", 2)); /* replaces, in its place */
    copy = json_clone(j);
    json_free(j);
    text = json_dump(copy, false, NULL);
    assert_string_equal(
        text, "{\"list\":[-9223372036854775808,0.1,null,false],"
              "\"bad\":\"a?\xc3\xa9??\",\"quote\":\"\\\"\\\\\\n\\u0001\","
              "\"none\":null,\"yes\":true,\"n\":2}");
    free(text);
    json_free(copy);
    copy = json_new_array();
    json_append(copy, json_new_int(1));
    text = json_dump(copy, true, NULL);
    assert_string_equal(text, "[\n  1\n]");
    free(text);
    json_free(copy);
}

static void a_missing_child_is_told_once(void **state)
{
    struct json *j = json_new_object();

    (void)state;
    assert_false(json_set(j, "x", NULL));
    assert_false(json_set(NULL, "x", json_new_int(1)));
    assert_false(json_append(NULL, json_new_int(1)));
    assert_false(json_append(j, json_new_int(1)));
    assert_false(json_set(j, "\xff", json_new_int(1)));
    assert_int_equal(json_count(j), 0);
    assert_null(json_clone(NULL));
    assert_null(json_dump(NULL, false, NULL));
    json_free(j);
    json_free(NULL);
}

/* Passwords and key files come and go as JSON. */
static void what_is_freed_is_wiped(void **state)
{
    static const char text[] = "{\"key\":\"passphrase of seven words\"}";
    struct json *j = NULL;
    const char *value;
    char seen[26] = "";
    struct err err;
    off_t at;
    int fd;

    (void)state;
    assert_int_equal(json_parse(text, strlen(text), &j, &err), ERR_OK);
    value = json_text(json_get(j, "key"), "");
    at = (off_t)(uintptr_t)value;
    json_free(j);
    /* By the kernel: nobody else may look at what was freed. */
    fd = open("/proc/self/mem", O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, seen, sizeof(seen), at), sizeof(seen));
    close(fd);
    assert_null(memmem(seen, sizeof(seen), "seven", 5));
    assert_null(memmem(seen, sizeof(seen), "words", 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_the_standard_allows_is_read),
        cmocka_unit_test(levels_are_counted_outside_of_strings),
        cmocka_unit_test(a_value_of_another_kind_gives_the_default),
        cmocka_unit_test(members_keep_the_order_of_the_text),
        cmocka_unit_test(what_is_built_is_written),
        cmocka_unit_test(a_missing_child_is_told_once),
        cmocka_unit_test(what_is_freed_is_wiped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
