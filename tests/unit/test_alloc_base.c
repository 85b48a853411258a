/* SPDX-License-Identifier: Apache-2.0 */
/* base/ without memory: every allocation fails once, the sanitizer watches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/setting.h"
#include "base/xml.h"

static void json_is_parsed_or_says_no_memory(void **state)
{
    /* A long string and many members: buffers and tables grow. */
    static const char text[] =
        "{\"a\":[1,2.5,\"x\\u00e9\",{\"b\":null},123456789012345678],\"c\":true,"
        "\"a long name, longer than what a buffer begins with\":\"and a text "
        "that is as long as that, and longer\",\"d\":1,\"e\":2,\"f\":3,\"g\":4,"
        "\"h\":5,\"i\":6,\"j\":7,\"k\":8,\"l\":[0,1,2,3,4,5,6,7,8,9,10,11]}";

    unsigned failed = 0;
    struct json *whole = NULL;
    char *same;

    (void)state;
    assert_int_equal(json_parse(text, strlen(text), &whole, NULL), ERR_OK);
    same = json_dump(whole, false, NULL);
    for (unsigned n = 1; alloc_fail_round(n); n++) {
        struct json *j = NULL;
        struct err err;
        enum err_code rc = json_parse(text, strlen(text), &j, &err);

        char *dump;

        alloc_fail_off();
        dump = json_dump(j, false, NULL);
        if (rc != (alloc_fail_happened() ? ERR_NOMEM : ERR_OK))
            fail_msg("allocation %u: %s, %s", n, err_name(rc), dump);
        if (rc == ERR_OK)
            assert_string_equal(dump, same);
        else
            assert_null(j);
        failed += rc == ERR_NOMEM;
        free(dump);
        json_free(j);
    }
    assert_true(failed > 50);
    free(same);
    json_free(whole);
}

static void json_is_built_whole_or_not_at_all(void **state)
{
    (void)state;
    for (unsigned n = 1; alloc_fail_round(n); n++) {
        struct json *j = json_new_object();
        struct json *list = json_new_array();
        bool good = json_set_text(j, "bad", "a\xff") &&
                    json_set_text(j, "text", "x") &&
                    json_set_int(j, "n", 1) &&
                    json_append(list, json_new_object());
        struct json *copy;
        char *dump;

        good = json_set(j, "list", list) && good;
        copy = json_clone(j);
        dump = json_dump(copy, false, NULL);
        if (!alloc_fail_happened())
            assert_string_equal(dump, "{\"bad\":\"a?\",\"text\":\"x\",\"n\":1,"
                                      "\"list\":[{}]}");
        if (alloc_fail_happened() && good && dump)
            fail_msg("allocation %u: nothing was said: %s", n, dump);
        free(dump);
        json_free(copy);
        json_free(j);
    }
}

static void xml_is_parsed_or_says_no_memory(void **state)
{
    static const char text[] = "<a><b>x</b><c/></a>";

    (void)state;
    for (unsigned n = 1; alloc_fail_round(n); n++) {
        struct xml_doc *doc = NULL;
        struct err err;
        enum err_code rc = xml_parse(text, strlen(text), 100, &doc, &err);

        assert_int_equal(rc, alloc_fail_happened() ? ERR_NOMEM : ERR_OK);
        assert_int_equal(doc != NULL, !alloc_fail_happened());
        xml_free(doc);
    }
}

struct sample {
    char *text;
    char *other;
};

static const struct setting rows[] = {
    {"text", SETTING_TEXT, offsetof(struct sample, text), 0, 9, "one", "t"},
    {"other", SETTING_TEXT, offsetof(struct sample, other), 0, 9, "two", "o"},
};

static void a_setting_keeps_its_value_without_memory(void **state)
{
    (void)state;
    for (unsigned n = 1; alloc_fail_round(n); n++) {
        struct sample s = {0};
        enum err_code rc = setting_defaults(rows, 2, &s, NULL);

        if (rc == ERR_OK) {
            rc = setting_set(rows, 2, &s, "text", "new", NULL);
            assert_string_equal(s.text, rc == ERR_OK ? "new" : "one");
        }
        assert_int_equal(rc, alloc_fail_happened() ? ERR_NOMEM : ERR_OK);
        setting_fini(rows, 2, &s);
    }
}

static void a_buffer_takes_a_piece_whole_or_fails(void **state)
{
    (void)state;
    for (unsigned n = 1; alloc_fail_round(n); n++) {
        struct buf b;
        size_t len = 0;

        buf_init_secret(&b, 10000);
        for (int i = 0; i < 100; i++)
            if (buf_addf(&b, "%064d", i))
                len += 64;
        assert_int_equal(b.len, len);
        assert_int_equal(buf_failed(&b), alloc_fail_happened());
        assert_int_equal(buf_text(&b) != NULL, !alloc_fail_happened());
        buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_parsed_or_says_no_memory),
        cmocka_unit_test(json_is_built_whole_or_not_at_all),
        cmocka_unit_test(xml_is_parsed_or_says_no_memory),
        cmocka_unit_test(a_setting_keeps_its_value_without_memory),
        cmocka_unit_test(a_buffer_takes_a_piece_whole_or_fails),
    };

    xml_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
