/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/setting.h"

struct sample {
    char *listen;
    uint64_t memory;
    uint64_t streams;
    uint64_t wait;
    bool spill;
    char *state;
};

static const struct setting rows[] = {
    {"listen", SETTING_TEXT, offsetof(struct sample, listen), 0, 8, "",
     "where to listen"},
    {"memory", SETTING_SIZE, offsetof(struct sample, memory), 64 * MIB, TIB,
     "1 GiB", "all data in flight"},
    {"streams", SETTING_NUMBER, offsetof(struct sample, streams), 1, 16, "4",
     "at once"},
    {"wait", SETTING_DURATION, offsetof(struct sample, wait), 500, 86400000,
     "30 s", "how long"},
    {"spill", SETTING_BOOL, offsetof(struct sample, spill), 0, 0, "true",
     "to a file"},
    {"state", SETTING_TEXT, offsetof(struct sample, state), 1, 100, NULL,
     "a directory"},
};

static struct sample sample;

static int set_up(void **state)
{
    (void)state;
    memset(&sample, 0, sizeof(sample));
    return setting_defaults(rows, BYTES_COUNT(rows), &sample, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    setting_fini(rows, BYTES_COUNT(rows), &sample);
    assert_null(sample.listen);
    setting_fini(rows, BYTES_COUNT(rows), &sample);
    return 0;
}

static enum err_code set(const char *key, const char *text, struct err *err)
{
    return setting_set(rows, BYTES_COUNT(rows), &sample, key, text, err);
}

static void defaults_are_set_where_there_are_any(void **state)
{
    (void)state;
    assert_string_equal(sample.listen, "");
    assert_int_equal(sample.memory, GIB);
    assert_int_equal(sample.streams, 4);
    assert_int_equal(sample.wait, 30000);
    assert_true(sample.spill);
    assert_null(sample.state);
}

static void a_value_is_converted_and_replaced(void **state)
{
    (void)state;
    assert_int_equal(set("listen", "one", NULL), ERR_OK);
    assert_int_equal(set("listen", "two", NULL), ERR_OK);
    assert_int_equal(set("memory", "64 MiB", NULL), ERR_OK);
    assert_int_equal(set("streams", "16", NULL), ERR_OK);
    assert_int_equal(set("wait", "24 h", NULL), ERR_OK);
    assert_int_equal(set("spill", "false", NULL), ERR_OK);
    assert_string_equal(sample.listen, "two");
    assert_int_equal(sample.memory, 64 * MIB);
    assert_int_equal(sample.streams, 16);
    assert_int_equal(sample.wait, 86400000);
    assert_false(sample.spill);
}

static void a_wrong_value_is_named_and_changes_nothing(void **state)
{
    static const struct {
        const char *key, *text, *want;
    } bad[] = {
        {"memory", "x",
         "memory: wanted a size from 64 MiB to 1 TiB, got 'x'"},
        {"memory", "63 MiB",
         "memory: wanted a size from 64 MiB to 1 TiB, got '63 MiB'"},
        {"memory", "2 TiB",
         "memory: wanted a size from 64 MiB to 1 TiB, got '2 TiB'"},
        {"streams", "0", "streams: wanted a number from 1 to 16, got '0'"},
        {"streams", "-1", "streams: wanted a number from 1 to 16, got '-1'"},
        {"streams", "0x10",
         "streams: wanted a number from 1 to 16, got '0x10'"},
        {"wait", "30", "wait: wanted a duration from 500 ms to 1 d, got '30'"},
        {"wait", "499 ms",
         "wait: wanted a duration from 500 ms to 1 d, got '499 ms'"},
        {"spill", "yes", "spill: wanted true or false, got 'yes'"},
        {"listen", "123456789",
         "listen: wanted a text of 0 to 8 bytes, got '123456789'"},
        {"state", "", "state: wanted a text of 1 to 100 bytes, got ''"},
        {"listen", "\xff",
         "listen: wanted a text of 0 to 8 bytes, got '?'"},
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(bad); i++) {
        assert_int_equal(set(bad[i].key, bad[i].text, &err), ERR_ARGUMENT);
        assert_string_equal(err.text, bad[i].want);
    }
    defaults_are_set_where_there_are_any(state);
    assert_int_equal(set("Memory", "1 GiB", &err), ERR_NOT_FOUND);
    assert_string_equal(err.text, "Memory: no such setting");
}

static void help_names_every_row_with_its_default(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    setting_help(rows, BYTES_COUNT(rows), 1, out);
    setting_help(rows, 1, 0, out);
    fclose(out);
    assert_string_equal(
        text,
        "  --listen               where to listen\n"
        "  --memory               all data in flight (default: 1 GiB)\n"
        "  --streams              at once (default: 4)\n"
        "  --wait                 how long (default: 30 s)\n"
        "  --spill                to a file (default: true)\n"
        "  --state                a directory (required)\n"
        "  listen               where to listen\n");
    free(text);
}

#define SETTING_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SETTING_TEST(defaults_are_set_where_there_are_any),
        SETTING_TEST(a_value_is_converted_and_replaced),
        SETTING_TEST(a_wrong_value_is_named_and_changes_nothing),
        SETTING_TEST(help_names_every_row_with_its_default),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
