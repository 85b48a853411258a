/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_point.h"

#include <string.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "cli/cli_http.h"
#include "cli/cli_out.h"
#include "cli/cli_wait.h"

static const struct cli_column columns[] = {
    {"ID", "id", CLI_FORM_TEXT},
    {"VM", "vm.name", CLI_FORM_TEXT},
    {"TENANT", "tenant", CLI_FORM_TEXT},
    {"VAULT", "vault", CLI_FORM_TEXT},
    {"TIME", "time", CLI_FORM_TEXT},
    {"SIZE", "virtual_bytes", CLI_FORM_BYTES},
    {"CHANGED", "changed_bytes", CLI_FORM_BYTES},
    {"STORED", "stored_bytes", CLI_FORM_BYTES},
};
static const struct cli_column rows[] = {
    {"id", "id", CLI_FORM_TEXT},
    {"VM", "vm.name", CLI_FORM_TEXT},
    {"VM uuid", "vm.uuid", CLI_FORM_TEXT},
    {"series", "series", CLI_FORM_TEXT},
    {"tenant", "tenant", CLI_FORM_TEXT},
    {"vault", "vault", CLI_FORM_TEXT},
    {"pool", "pool", CLI_FORM_TEXT},
    {"time", "time", CLI_FORM_TEXT},
    {"started", "started", CLI_FORM_TEXT},
    {"ended", "ended", CLI_FORM_TEXT},
    {"mode", "mode", CLI_FORM_TEXT},
    {"gateway", "gateway", CLI_FORM_TEXT},
    {"size", "virtual_bytes", CLI_FORM_BYTES},
    {"read", "read_bytes", CLI_FORM_BYTES},
    {"changed", "changed_bytes", CLI_FORM_BYTES},
    {"new", "new_bytes", CLI_FORM_BYTES},
    {"stored", "stored_bytes", CLI_FORM_BYTES},
    {"object", "object", CLI_FORM_TEXT},
    {"sha256", "sha256", CLI_FORM_TEXT},
    {"verified", "verified", CLI_FORM_TEXT},
    {"verdict", "verdict", CLI_FORM_TEXT},
};
static const struct cli_column disk_columns[] = {
    {"DISK", "position", CLI_FORM_TEXT},
    {"UUID", "uuid", CLI_FORM_TEXT},
    {"SIZE", "size", CLI_FORM_BYTES},
    {"NAME", "name", CLI_FORM_TEXT},
};

/* Read the points of every vault in question from its store again. */
static int point_refresh(struct cli_run *run)
{
    const char *only = cli_args_get(run->args, "vault");
    struct json *vaults = NULL;
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    buf_add_text(&path, "/vaults");
    cli_http_query(&path, "tenant", cli_args_get(run->args, "tenant"));
    exit = cli_http_list(run, buf_text(&path), &vaults);
    for (size_t i = 0; exit == EXIT_OK && i < json_count(vaults); i++) {
        const struct json *v = json_at(vaults, i);
        const char *name = cli_out_text(v, "name");

        if (strcmp(cli_out_text(v, "state"), "ready") != 0 ||
            (only && strcmp(only, name) != 0 &&
             strcmp(only, cli_out_text(v, "id")) != 0))
            continue;
        buf_clear(&path);
        cli_http_path(&path, "/vaults", name, "/refresh");
        cli_http_query(&path, "tenant", cli_out_text(v, "tenant"));
        exit = cli_http_call(run, "POST", buf_text(&path), NULL, NULL);
    }
    buf_fini(&path);
    json_free(vaults);
    return exit;
}

/* --vm: a uuid, a name, or POOL/NAME. */
static void point_query_vm(struct cli_run *run, struct buf *path)
{
    const char *vm = cli_args_get(run->args, "vm");
    const char *slash = vm ? strchr(vm, '/') : NULL;
    char pool[41];

    if (slash && (size_t)(slash - vm) < sizeof(pool)) {
        memcpy(pool, vm, (size_t)(slash - vm));
        pool[slash - vm] = '\0';
        if (parse_name(pool)) {
            cli_http_query(path, "pool", pool);
            vm = slash + 1;
        }
    }
    cli_http_query(path, "vm", vm);
}

int cli_point_list(struct cli_run *run)
{
    struct json *items = NULL;
    struct buf path;
    int exit = EXIT_OK;

    if (cli_args_has(run->args, "refresh"))
        exit = point_refresh(run);
    if (exit != EXIT_OK)
        return exit;
    buf_init(&path, 4096);
    buf_add_text(&path, "/points");
    cli_http_query(&path, "tenant", cli_args_get(run->args, "tenant"));
    cli_http_query(&path, "vault", cli_args_get(run->args, "vault"));
    cli_http_query(&path, "from", cli_args_get(run->args, "from"));
    cli_http_query(&path, "before", cli_args_get(run->args, "before"));
    point_query_vm(run, &path);
    exit = cli_http_list(run, buf_text(&path), &items);
    buf_fini(&path);
    if (exit == EXIT_OK)
        exit = cli_out_list(run, items, columns, BYTES_COUNT(columns));
    json_free(items);
    return exit;
}

/* The point that the first argument names. */
static int point_resolve(struct cli_run *run, struct json **out)
{
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    buf_add_text(&path, "/resolve/point");
    cli_http_query(&path, "ref", run->args->args[0]);
    cli_http_query(&path, "tenant", cli_args_get(run->args, "tenant"));
    cli_http_query(&path, "vault", cli_args_get(run->args, "vault"));
    exit = cli_http_call(run, "GET", buf_text(&path), NULL, out);
    buf_fini(&path);
    return exit;
}

int cli_point_show(struct cli_run *run)
{
    struct json *doc = NULL;
    int exit = point_resolve(run, &doc);

    if (exit == EXIT_OK)
        exit = cli_out_thing(run, doc, rows, BYTES_COUNT(rows));
    if (exit == EXIT_OK && !run->json) {
        printf("\n");
        exit = cli_out_list(run, json_get(doc, "disks"), disk_columns,
                            BYTES_COUNT(disk_columns));
    }
    json_free(doc);
    return exit;
}

int cli_point_verify(struct cli_run *run)
{
    struct json *point = NULL, *answer = NULL, *docs = NULL;
    struct buf path;
    int exit = point_resolve(run, &point);

    if (exit != EXIT_OK)
        return exit;
    buf_init(&path, 4096);
    cli_http_path(&path, "/points", cli_out_text(point, "id"), "/verify");
    cli_http_query(&path, "tenant", cli_out_text(point, "tenant"));
    cli_http_query(&path, "vault", cli_out_text(point, "vault"));
    exit = cli_http_call(run, "POST", buf_text(&path), NULL, &answer);
    buf_fini(&path);
    if (exit == EXIT_OK)
        exit = cli_wait_answer(run, answer, &docs);
    if (docs && run->json && exit != EXIT_INTERRUPTED)
        cli_out_json(json_at(docs, 0));
    json_free(docs);
    json_free(answer);
    json_free(point);
    return exit;
}
