/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "cli/cli_args.h"
#include "cli/cli_body.h"
#include "cli/cli_http.h"

static struct cli_args args;

/* Cut a line at its spaces and parse it. */
static enum cli_args_outcome parse(const char *line)
{
    static char text[512];
    static char *words[64];
    int count = 0;
    char *at = text;

    snprintf(text, sizeof(text), "%s", line);
    while (*at) {
        words[count++] = at;
        at += strcspn(at, " ");
        if (*at)
            *at++ = '\0';
    }
    words[count] = NULL;
    return cli_args_parse(count, words, &args);
}

static const struct {
    const char *line;
    enum cli_args_outcome expect;
} rows[] = {
    {"cairn", CLI_ARGS_WRONG},
    {"cairn nonsense", CLI_ARGS_WRONG},
    {"cairn tenant", CLI_ARGS_WRONG},
    {"cairn tenant nonsense", CLI_ARGS_WRONG},
    {"cairn --json tenant list", CLI_ARGS_WRONG},
    {"cairn plan list", CLI_ARGS_WRONG},
    {"cairn tenant add", CLI_ARGS_WRONG},
    {"cairn tenant add a b", CLI_ARGS_WRONG},
    {"cairn tenant list x", CLI_ARGS_WRONG},
    {"cairn tenant list --colour", CLI_ARGS_WRONG},
    {"cairn tenant list -x", CLI_ARGS_WRONG},
    {"cairn tenant list --server", CLI_ARGS_WRONG},
    {"cairn tenant list --json=yes", CLI_ARGS_WRONG},
    {"cairn restore", CLI_ARGS_WRONG},
    {"cairn --help", CLI_ARGS_HELP},
    {"cairn help", CLI_ARGS_HELP},
    {"cairn pool --help", CLI_ARGS_HELP},
    {"cairn pool add -h", CLI_ARGS_HELP},
    {"cairn restore --help", CLI_ARGS_HELP},
    {"cairn tenant list", CLI_ARGS_RUN},
    {"cairn tenant list --json --server /x", CLI_ARGS_RUN},
    {"cairn backup", CLI_ARGS_RUN},
    {"cairn status", CLI_ARGS_RUN},
    {"cairn job log 01x -f", CLI_ARGS_RUN},
};

static void lines_are_run_explained_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        enum cli_args_outcome got = parse(rows[i].line);

        if (got != rows[i].expect)
            fail_msg("%s: %d", rows[i].line, got);
    }
}

static void options_stand_anywhere_and_may_come_again(void **state)
{
    (void)state;
    assert_int_equal(parse("cairn restore --sr 0=a web@latest --sr=b --start "
                           "--output - --network 1=none"),
                     CLI_ARGS_RUN);
    assert_string_equal(args.command->noun, "restore");
    assert_int_equal(args.arg_count, 1);
    assert_string_equal(args.args[0], "web@latest");
    assert_string_equal(cli_args_at(&args, "sr", 0), "0=a");
    assert_string_equal(cli_args_at(&args, "sr", 1), "b");
    assert_null(cli_args_at(&args, "sr", 2));
    assert_string_equal(cli_args_get(&args, "sr"), "b");
    assert_true(cli_args_has(&args, "start"));
    assert_false(cli_args_has(&args, "dry-run"));
    assert_string_equal(cli_args_get(&args, "output"), "-");
    assert_int_equal(parse("cairn backup -- --odd"), CLI_ARGS_RUN);
    assert_string_equal(args.args[0], "--odd");
    assert_int_equal(parse("cairn job log -f 01x"), CLI_ARGS_RUN);
    assert_true(cli_args_has(&args, "follow"));
    assert_string_equal(args.command->verb, "log");
}

static void every_command_can_be_told_from_the_others(void **state)
{
    (void)state;
    for (const struct cli_command *c = cli_commands; c->noun; c++) {
        size_t count = 0;

        assert_non_null(c->run);
        assert_true(c->help[0] != '\0');
        for (const struct cli_option *o = c->options; o && o->name; o++)
            count++;
        for (const struct cli_option *o = cli_args_common; o->name; o++)
            count++;
        assert_true(count <= CLI_ARGS_OPTIONS);
        for (const struct cli_command *d = cli_commands; d != c; d++) {
            if (strcmp(c->noun, d->noun) != 0)
                continue;
            assert_non_null(c->verb);
            assert_non_null(d->verb);
            assert_string_not_equal(c->verb, d->verb);
        }
    }
}

/* No option takes a password or key itself: it would be seen in `ps`. */
static void no_secret_stands_on_the_command_line(void **state)
{
    static const char *const secrets[] = {"password", "token", "key",
                                          "secret", "credentials",
                                          "passphrase"};

    (void)state;
    for (const struct cli_command *c = cli_commands; c->noun; c++)
        for (const struct cli_option *o = c->options; o && o->name; o++)
            for (size_t i = 0; i < BYTES_COUNT(secrets); i++)
                assert_string_not_equal(o->name, secrets[i]);
}

static void pairs_are_read_whole_or_refused(void **state)
{
    const char *wrong = NULL;
    struct cli_body b;
    struct json *j;
    char *text;

    (void)state;
    parse("cairn restore p --sr fast --sr 1=slow --network 0=a=b");
    cli_body_begin(&b);
    assert_true(cli_body_pairs(&b, "sr", &args, "sr", "*", &wrong));
    assert_true(cli_body_pairs(&b, "network", &args, "network", NULL, &wrong));
    assert_true(cli_body_pairs(&b, "none", &args, "mac", NULL, &wrong));
    cli_body_option(&b, "name", &args, "name");
    j = cli_body_end(&b);
    text = json_dump(j, false, NULL);
    assert_string_equal(text, "{\"sr\":{\"*\":\"fast\",\"1\":\"slow\"},"
                              "\"network\":{\"0\":\"a=b\"}}");
    free(text);
    json_free(j);
    static const char *const bad[] = {
        "cairn restore p --network eth0", "cairn restore p --network =x",
        "cairn restore p --network 0=",
        "cairn restore p --network 0=a --network 0=b"};
    for (size_t i = 0; i < BYTES_COUNT(bad); i++) {
        parse(bad[i]);
        cli_body_begin(&b);
        assert_false(
            cli_body_pairs(&b, "network", &args, "network", NULL, &wrong));
        json_free(b.j);
    }
    assert_string_equal(wrong, "0=b");
}

static void paths_are_encoded(void **state)
{
    struct buf path;

    (void)state;
    buf_init(&path, 1000);
    assert_string_equal(cli_http_path(&path, "/vms", "a/b c\xc3\xa9", "/x"),
                        "/vms/a%2Fb%20c%C3%A9/x");
    cli_http_query(&path, "ref", "east/web@latest&x=1");
    cli_http_query(&path, "none", NULL);
    cli_http_query(&path, "limit", "5");
    assert_string_equal(buf_text(&path),
                        "/vms/a%2Fb%20c%C3%A9/x?ref=east%2Fweb%40latest%26x"
                        "%3D1&limit=5");
    buf_fini(&path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_run_explained_or_refused),
        cmocka_unit_test(options_stand_anywhere_and_may_come_again),
        cmocka_unit_test(every_command_can_be_told_from_the_others),
        cmocka_unit_test(no_secret_stands_on_the_command_line),
        cmocka_unit_test(pairs_are_read_whole_or_refused),
        cmocka_unit_test(paths_are_encoded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
