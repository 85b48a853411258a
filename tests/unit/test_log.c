/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

static int ends[2];
static char line[8192]; /* what was logged last */

static int set_up(void **state)
{
    (void)state;
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
        return -1;
    log_set_fd(ends[1]);
    log_setup(LOG_INFO, LOG_PLAIN);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_set_fd(2);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static const char *logged(void)
{
    ssize_t n = read(ends[0], line, sizeof(line) - 1);

    line[n > 0 ? n : 0] = 0;
    return line;
}

/* The line behind its time. */
static const char *event_logged(void)
{
    uint64_t ms;
    char text[21];

    if (strlen(logged()) < 22 || line[20] != ' ')
        fail_msg("no time: '%s'", line);
    memcpy(text, line, 20);
    text[20] = 0;
    if (!clock_parse_rfc3339(text, &ms))
        fail_msg("no time: '%s'", line);
    return line + 21;
}

static void an_event_is_one_line_of_fields(void **state)
{
    struct err err;

    (void)state;
    log_event(LOG_INFO, "backup_done", log_text("tenant", "acme"),
              log_u64("bytes", UINT64_MAX), log_i64("skew", INT64_MIN),
              LOG_END);
    assert_string_equal(event_logged(),
                        "info backup_done tenant=acme "
                        "bytes=18446744073709551615 "
                        "skew=-9223372036854775808\n");
    err_set(&err, ERR_NOT_FOUND, 404, "no such VM: %s", "x");
    log_event(LOG_ERROR, "job_failed", log_text("vm", NULL), log_err(&err),
              log_u64("n", 0), LOG_END);
    assert_string_equal(
        event_logged(),
        "error job_failed code=not_found error=\"no such VM: x\" n=0\n");
    err_clear(&err);
    log_event(LOG_WARN, "odd", log_err(&err), log_err(NULL), LOG_END);
    assert_string_equal(event_logged(), "warn odd\n");
    log_event(LOG_WARN, "bare", LOG_END);
    assert_string_equal(event_logged(), "warn bare\n");
}

static void values_cannot_forge_fields_or_lines(void **state)
{
    static const struct {
        const char *value, *written;
    } rows[] = {
        {"plain-1.2/x:y", "plain-1.2/x:y"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a\"b", "\"a\\\"b\""},
        {"a\\b", "\"a\\\\b\""},
        {"a=b", "\"a=b\""},
        {"a\nb", "\"a\\nb\""},
        {"a\rb\tc", "\"a\\x0db\\tc\""},
        {"\x1b[31m", "\"\\x1b[31m\""},
        {"\x7f", "\"\\x7f\""},
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"\xff\xc3", "\"\\xff\\xc3\""},
    };

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        char want[64];

        log_event(LOG_INFO, "e", log_text("k", rows[i].value), LOG_END);
        snprintf(want, sizeof(want), "info e k=%s\n", rows[i].written);
        assert_string_equal(event_logged(), want);
    }
}

static void what_is_less_than_the_level_is_left_out(void **state)
{
    (void)state;
    log_event(LOG_DEBUG, "hidden", LOG_END);
    assert_string_equal(logged(), "");
    log_setup(LOG_DEBUG, LOG_PLAIN);
    log_event(LOG_DEBUG, "shown", LOG_END);
    assert_string_equal(event_logged(), "debug shown\n");
    log_setup(LOG_ERROR, LOG_PLAIN);
    log_event(LOG_WARN, "hidden", LOG_END);
    assert_string_equal(logged(), "");
}

/* sd-daemon(3): 3 error, 4 warning, 6 informational, 7 debug. */
static void systemd_finds_the_priority_before_the_line(void **state)
{
    static const char *const want[] = {"<3>", "<4>", "<6>", "<7>"};

    (void)state;
    log_setup(LOG_DEBUG, LOG_SYSTEMD);
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        log_event((enum log_level)level, "e", LOG_END);
        assert_memory_equal(logged(), want[level], 3);
        assert_string_equal(strrchr(line, ' '), " e\n");
    }
}

static struct json *json_logged(void)
{
    struct json *j = NULL;
    struct err err;

    logged();
    if (json_parse(line, strlen(line), &j, &err) != ERR_OK)
        fail_msg("%s: %s", err.text, line);
    return j;
}

static void json_lines_are_json(void **state)
{
    struct json *j;
    struct err err;

    (void)state;
    log_setup(LOG_INFO, LOG_JSON);
    err_set(&err, ERR_IO, 5, "disk");
    log_event(LOG_WARN, "odd", log_text("t", "a\"\\\n\t\x01\x7f\xc3\xa9\xff"),
              log_u64("u", 7), log_i64("i", -7), log_err(&err), LOG_END);
    j = json_logged();
    assert_string_equal(json_text(json_get(j, "level"), ""), "warn");
    assert_string_equal(json_text(json_get(j, "event"), ""), "odd");
    assert_string_equal(json_text(json_get(j, "t"), ""),
                        "a\"\\\n\t\x01\x7f\xc3\xa9\xef\xbf\xbd");
    assert_int_equal(json_int(json_get(j, "u"), 0), 7);
    assert_int_equal(json_int(json_get(j, "i"), 0), -7);
    assert_string_equal(json_text(json_get(j, "code"), ""), "io");
    assert_string_equal(json_text(json_get(j, "error"), ""), "disk");
    json_free(j);
}

static void a_long_line_is_cut_and_stays_whole(void **state)
{
    char text[6000];
    struct json *j;

    (void)state;
    /* Every length around the limit, and every kind of byte at the cut. */
    for (size_t len = 3800; len < 4200; len++) {
        static const char bytes[] = "x\"\n\xff ";
        char byte = bytes[len % 5];

        memset(text, byte, len);
        text[len] = 0;
        log_setup(LOG_INFO, LOG_PLAIN);
        log_event(LOG_INFO, "e", log_text("k", text), log_u64("n", 1), LOG_END);
        logged();
        assert_true(strlen(line) <= 4096);
        assert_int_equal(line[strlen(line) - 1], '\n');
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
        log_setup(LOG_INFO, LOG_JSON);
        log_event(LOG_INFO, "e", log_text("k", text), log_u64("n", 1), LOG_END);
        j = json_logged();
        assert_true(strlen(line) <= 4096);
        assert_non_null(json_get(j, "k"));
        json_free(j);
    }
    memset(text, 'y', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    log_setup(LOG_INFO, LOG_PLAIN);
    log_event(LOG_INFO, "e", log_text("k", text), LOG_END);
    event_logged();
    assert_string_equal(line + strlen(line) - 6, "y...\"\n");
}

/* 200 fields of every size: none may run over the line. */
static void many_fields_end_with_the_last_that_fits(void **state)
{
    struct log_field fields[201];

    (void)state;
    for (int i = 0; i < 200; i++)
        fields[i] = i % 2 ? log_u64("a_number", UINT64_MAX)
                          : log_text("a_text", "some words in it");
    fields[200] = LOG_END;
    for (int form = LOG_PLAIN; form <= LOG_SYSTEMD; form++) {
        log_setup(LOG_INFO, (enum log_form)form);
        log_event_(LOG_INFO, "many", fields);
        logged();
        assert_in_range(strlen(line), 4000, 4096);
        assert_int_equal(line[strlen(line) - 1], '\n');
    }
}

#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(an_event_is_one_line_of_fields),
        LOG_TEST(values_cannot_forge_fields_or_lines),
        LOG_TEST(what_is_less_than_the_level_is_left_out),
        LOG_TEST(systemd_finds_the_priority_before_the_line),
        LOG_TEST(json_lines_are_json),
        LOG_TEST(a_long_line_is_cut_and_stays_whole),
        LOG_TEST(many_fields_end_with_the_last_that_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
