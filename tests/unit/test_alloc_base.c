/* SPDX-License-Identifier: Apache-2.0 */
/* base/ without memory: every allocation fails once, the sanitizer watches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "alloc_fail.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/setting.h"
#include "base/xml.h"

/* Not base/json.h, whose constants jansson.h has too: only these here. */
struct json;
enum err_code json_parse(const void *text, size_t len, struct json **out,
                         struct err *err);
void json_free(struct json *j);
struct json *json_new_object(void);
struct json *json_new_array(void);
bool json_set(struct json *object, const char *key, struct json *take);
bool json_set_text(struct json *object, const char *key, const char *text);
bool json_set_int(struct json *object, const char *key, int64_t v);
bool json_append(struct json *array, struct json *take);
struct json *json_clone(const struct json *j);
char *json_dump(const struct json *j, bool indent, size_t *len);

/* jansson takes a string for which it has no memory for a mistake in the text:
 * what counts is that nothing is parsed by halves. */
static void json_is_parsed_whole_or_not_at_all(void **state)
{
    static const char text[] = "{\"a\":[1,2.5,\"x\",{\"b\":null}],\"c\":true}";

    (void)state;
    for (unsigned n = 1; alloc_fail_round(n); n++) {
        struct json *j = NULL;
        struct err err;
        enum err_code rc = json_parse(text, strlen(text), &j, &err);

        if (rc != ERR_OK && rc != ERR_NOMEM && rc != ERR_PROTOCOL)
            fail_msg("allocation %u: %s", n, err.text);
        if (alloc_fail_happened() ? (j || rc == ERR_OK) : !j)
            fail_msg("allocation %u: %s", n, err_name(rc));
        json_free(j);
    }
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
        cmocka_unit_test(json_is_parsed_whole_or_not_at_all),
        cmocka_unit_test(json_is_built_whole_or_not_at_all),
        cmocka_unit_test(xml_is_parsed_or_says_no_memory),
        cmocka_unit_test(a_setting_keeps_its_value_without_memory),
        cmocka_unit_test(a_buffer_takes_a_piece_whole_or_fails),
    };

    xml_setup();
    json_set_alloc_funcs(alloc_fail_malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
