/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_rule.h"

#include <string.h>

#include "base/bytes.h"
#include "cli/cli_body.h"
#include "cli/cli_http.h"
#include "cli/cli_out.h"

static const struct cli_column columns[] = {
    {"ID", "id", CLI_FORM_TEXT},       {"TENANT", "tenant", CLI_FORM_TEXT},
    {"POOL", "pool", CLI_FORM_TEXT},   {"KIND", "kind", CLI_FORM_TEXT},
    {"KEY", "key", CLI_FORM_TEXT},     {"VALUE", "value", CLI_FORM_TEXT},
};
static const struct cli_column rows[] = {
    {"id", "id", CLI_FORM_TEXT},     {"tenant", "tenant", CLI_FORM_TEXT},
    {"pool", "pool", CLI_FORM_TEXT}, {"kind", "kind", CLI_FORM_TEXT},
    {"key", "key", CLI_FORM_TEXT},   {"value", "value", CLI_FORM_TEXT},
};

/* Option and kind are called alike but for the dash. */
static const char *const kinds[][2] = {{"uuid", "uuid"},
                                       {"other-config", "other_config"},
                                       {"tag", "tag"},
                                       {"name", "name"}};

static int rule_usage(void)
{
    fprintf(stderr, "cairn: a rule has --tenant, --pool, and one of --uuid "
                    "U, --other-config KEY=VALUE, --tag T, --name PATTERN\n");
    return EXIT_USAGE;
}

static bool rule_body(struct cli_run *run, struct cli_body *b)
{
    unsigned found = 0;

    cli_body_option(b, "tenant", run->args, "tenant");
    cli_body_option(b, "pool", run->args, "pool");
    for (size_t i = 0; i < BYTES_COUNT(kinds); i++) {
        const char *value = cli_args_get(run->args, kinds[i][0]);
        const char *equals = value ? strchr(value, '=') : NULL;

        if (!value)
            continue;
        found++;
        cli_body_text(b, "kind", kinds[i][1]);
        if (strcmp(kinds[i][1], "other_config") == 0) {
            struct buf key;

            if (!equals)
                return false;
            buf_init(&key, 1024);
            buf_add(&key, value, (size_t)(equals - value));
            cli_body_text(b, "key", buf_text(&key));
            buf_fini(&key);
            value = equals + 1;
        }
        cli_body_text(b, "value", value);
    }
    return found == 1 && cli_args_has(run->args, "tenant") &&
           cli_args_has(run->args, "pool");
}

int cli_rule_add(struct cli_run *run)
{
    struct json *doc = NULL, *body;
    struct cli_body b;
    int exit;

    cli_body_begin(&b);
    if (!rule_body(run, &b)) {
        json_free(b.j);
        return rule_usage();
    }
    body = cli_body_end(&b);
    exit = cli_http_call(run, "POST", "/rules", body, &doc);
    if (exit == EXIT_OK)
        exit = cli_out_thing(run, doc, rows, BYTES_COUNT(rows));
    json_free(body);
    json_free(doc);
    return exit;
}

int cli_rule_list(struct cli_run *run)
{
    struct json *items = NULL;
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    buf_add_text(&path, "/rules");
    cli_http_query(&path, "tenant", cli_args_get(run->args, "tenant"));
    cli_http_query(&path, "pool", cli_args_get(run->args, "pool"));
    exit = cli_http_list(run, buf_text(&path), &items);
    buf_fini(&path);
    if (exit == EXIT_OK)
        exit = cli_out_list(run, items, columns, BYTES_COUNT(columns));
    json_free(items);
    return exit;
}

int cli_rule_remove(struct cli_run *run)
{
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    exit = cli_http_call(run, "DELETE",
                         cli_http_path(&path, "/rules", run->args->args[0],
                                       ""),
                         NULL, NULL);
    buf_fini(&path);
    return exit;
}
