/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_tenant.h"

#include <string.h>

#include "base/bytes.h"
#include "cli/cli_body.h"
#include "cli/cli_http.h"
#include "cli/cli_input.h"
#include "cli/cli_out.h"

static const struct cli_column columns[] = {
    {"NAME", "name", CLI_FORM_TEXT},
    {"STATE", "state", CLI_FORM_TEXT},
    {"CREATED", "created", CLI_FORM_TEXT},
    {"TITLE", "title", CLI_FORM_TEXT},
};
static const struct cli_column rows[] = {
    {"name", "name", CLI_FORM_TEXT},       {"title", "title", CLI_FORM_TEXT},
    {"state", "state", CLI_FORM_TEXT},     {"created", "created", CLI_FORM_TEXT},
    {"changed", "changed", CLI_FORM_TEXT},
};

/* One request about the tenant that is named, and the answer printed. */
static int tenant_do(struct cli_run *run, const char *method,
                     const char *behind, struct json *take_body)
{
    struct json *doc = NULL;
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    exit = cli_http_call(run, method,
                         cli_http_path(&path, "/tenants", run->args->args[0],
                                       behind),
                         take_body, &doc);
    if (exit == EXIT_OK && doc)
        exit = cli_out_thing(run, doc, rows, BYTES_COUNT(rows));
    buf_fini(&path);
    json_free(take_body);
    json_free(doc);
    return exit;
}

int cli_tenant_add(struct cli_run *run)
{
    struct json *doc = NULL, *body;
    struct cli_body b;
    int exit;

    cli_body_begin(&b);
    cli_body_text(&b, "name", run->args->args[0]);
    cli_body_option(&b, "title", run->args, "title");
    body = cli_body_end(&b);
    exit = cli_http_call(run, "POST", "/tenants", body, &doc);
    if (exit == EXIT_OK)
        exit = cli_out_thing(run, doc, rows, BYTES_COUNT(rows));
    json_free(body);
    json_free(doc);
    return exit;
}

int cli_tenant_list(struct cli_run *run)
{
    struct json *items = NULL;
    int exit = cli_http_list(run, "/tenants", &items);

    if (exit == EXIT_OK)
        exit = cli_out_list(run, items, columns, BYTES_COUNT(columns));
    json_free(items);
    return exit;
}

int cli_tenant_show(struct cli_run *run)
{
    return tenant_do(run, "GET", "", NULL);
}

int cli_tenant_set(struct cli_run *run)
{
    struct cli_body b;

    if (!cli_args_has(run->args, "title")) {
        fprintf(stderr, "cairn: nothing to change: give --title\n");
        return EXIT_USAGE;
    }
    cli_body_begin(&b);
    cli_body_option(&b, "title", run->args, "title");
    return tenant_do(run, "PATCH", "", cli_body_end(&b));
}

int cli_tenant_suspend(struct cli_run *run)
{
    return tenant_do(run, "POST", "/suspend", NULL);
}

int cli_tenant_resume(struct cli_run *run)
{
    return tenant_do(run, "POST", "/resume", NULL);
}

int cli_tenant_leave(struct cli_run *run)
{
    return tenant_do(run, "POST", "/leave", NULL);
}

int cli_tenant_erase(struct cli_run *run)
{
    const char *name = run->args->args[0];
    const char *confirm = cli_args_get(run->args, "confirm");
    char typed[64];
    struct cli_body b;

    if (!confirm) {
        fprintf(stderr,
                "This removes all that this gateway knows of tenant '%s', its "
                "keys too.\n",
                name);
        if (!cli_input_line(run, "Type the tenant's name to go on: ", typed,
                            sizeof(typed))) {
            fprintf(stderr, "cairn: nobody is there to ask: give --confirm "
                            "NAME\n");
            return EXIT_USAGE;
        }
        confirm = typed;
    }
    if (strcmp(confirm, name) != 0) {
        fprintf(stderr, "cairn: that is another name; nothing was erased\n");
        return EXIT_USAGE;
    }
    cli_body_begin(&b);
    cli_body_text(&b, "confirm", confirm);
    return tenant_do(run, "POST", "/erase", cli_body_end(&b));
}
