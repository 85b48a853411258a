/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_vm.h"

#include <string.h>

#include "base/bytes.h"
#include "cli/cli_body.h"
#include "cli/cli_http.h"
#include "cli/cli_out.h"

static const struct cli_column columns[] = {
    {"UUID", "uuid", CLI_FORM_TEXT},
    {"POOL", "pool", CLI_FORM_TEXT},
    {"NAME", "name", CLI_FORM_TEXT},
    {"STATE", "power_state", CLI_FORM_TEXT},
    {"SIZE", "virtual_bytes", CLI_FORM_BYTES},
    {"TENANT", "tenant", CLI_FORM_TEXT},
    {"NEWEST POINT", "newest_point.time", CLI_FORM_TEXT},
};
static const struct cli_column contested[] = {
    {"UUID", "uuid", CLI_FORM_TEXT},     {"POOL", "pool", CLI_FORM_TEXT},
    {"NAME", "name", CLI_FORM_TEXT},     {"OWNER", "tenant", CLI_FORM_TEXT},
    {"OWNED BY", "owned_by", CLI_FORM_TEXT},
    {"CLAIMED BY", "claims", CLI_FORM_TEXTS},
};
static const struct cli_column rows[] = {
    {"uuid", "uuid", CLI_FORM_TEXT},
    {"name", "name", CLI_FORM_TEXT},
    {"pool", "pool", CLI_FORM_TEXT},
    {"state", "power_state", CLI_FORM_TEXT},
    {"disks", "disks", CLI_FORM_TEXT},
    {"size", "virtual_bytes", CLI_FORM_BYTES},
    {"tenant", "tenant", CLI_FORM_TEXT},
    {"owned by", "owned_by", CLI_FORM_TEXT},
    {"rule", "rule", CLI_FORM_TEXT},
    {"contested", "contested", CLI_FORM_YES_NO},
    {"claimed by", "claims", CLI_FORM_TEXTS},
    {"newest point", "newest_point.id", CLI_FORM_TEXT},
};

/* The list comes with the pools that did not answer: page by page by hand. */
static int vm_pages(struct cli_run *run, const char *path, struct json *all,
                    bool *missing)
{
    char cursor[512] = "";
    int exit;

    do {
        struct json *page = NULL;
        const struct json *items, *down;
        struct buf full;

        buf_init(&full, 4096);
        buf_add_text(&full, path);
        cli_http_query(&full, "cursor", cursor[0] ? cursor : NULL);
        exit = cli_http_call(run, "GET", buf_text(&full), NULL, &page);
        buf_fini(&full);
        items = json_get(page, "items");
        down = json_get(page, "unreachable");
        for (size_t i = 0; i < json_count(items); i++)
            if (!json_append(all, json_clone(json_at(items, i))))
                exit = EXIT_FAILED;
        for (size_t i = 0; !*missing && i < json_count(down); i++)
            fprintf(stderr, "cairn: pool '%s' does not answer: %s\n",
                    cli_out_text(json_at(down, i), "pool"),
                    cli_out_text(json_at(down, i), "detail"));
        *missing |= json_count(down) > 0;
        snprintf(cursor, sizeof(cursor), "%s", cli_out_text(page, "next"));
        json_free(page);
    } while (exit == EXIT_OK && cursor[0]);
    return exit;
}

int cli_vm_list(struct cli_run *run)
{
    bool disputes = cli_args_has(run->args, "contested");
    struct json *all = json_new_array();
    bool missing = false;
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    buf_add_text(&path, "/vms");
    cli_http_query(&path, "pool", cli_args_get(run->args, "pool"));
    cli_http_query(&path, "tenant", cli_args_get(run->args, "tenant"));
    cli_http_query(&path, "uncovered",
                   cli_args_has(run->args, "uncovered") ? "true" : NULL);
    cli_http_query(&path, "contested", disputes ? "true" : NULL);
    exit = vm_pages(run, buf_text(&path), all, &missing);
    buf_fini(&path);
    if (exit == EXIT_OK)
        exit = disputes ? cli_out_list(run, all, contested,
                                       BYTES_COUNT(contested))
                        : cli_out_list(run, all, columns,
                                       BYTES_COUNT(columns));
    json_free(all);
    return exit == EXIT_OK && missing ? EXIT_POOL : exit;
}

/* The VM that the first argument names. */
static int vm_resolve(struct cli_run *run, struct json **out)
{
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    buf_add_text(&path, "/resolve/vm");
    cli_http_query(&path, "ref", run->args->args[0]);
    exit = cli_http_call(run, "GET", buf_text(&path), NULL, out);
    buf_fini(&path);
    return exit;
}

int cli_vm_show(struct cli_run *run)
{
    struct json *doc = NULL;
    int exit = vm_resolve(run, &doc);

    if (exit == EXIT_OK)
        exit = cli_out_thing(run, doc, rows, BYTES_COUNT(rows));
    json_free(doc);
    return exit;
}

int cli_vm_move(struct cli_run *run)
{
    struct json *vm = NULL, *doc = NULL, *body;
    struct cli_body b;
    struct buf path;
    int exit;

    if (!cli_args_has(run->args, "tenant")) {
        fprintf(stderr, "cairn: to whom? Give --tenant\n");
        return EXIT_USAGE;
    }
    exit = vm_resolve(run, &vm);
    if (exit != EXIT_OK)
        return exit;
    cli_body_begin(&b);
    cli_body_option(&b, "tenant", run->args, "tenant");
    body = cli_body_end(&b);
    buf_init(&path, 4096);
    exit = cli_http_call(run, "POST",
                         cli_http_path(&path, "/vms", cli_out_text(vm, "uuid"),
                                       "/move"),
                         body, &doc);
    buf_fini(&path);
    if (exit == EXIT_OK && run->json)
        exit = cli_out_json(doc);
    else if (exit == EXIT_OK)
        fprintf(stderr,
                "VM '%s' is tenant '%s's from now on; its points so far stay "
                "where they are.\n",
                cli_out_text(vm, "name"), cli_out_text(doc, "tenant"));
    json_free(body);
    json_free(doc);
    json_free(vm);
    return exit;
}
