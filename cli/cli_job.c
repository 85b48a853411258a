/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_job.h"

#include <string.h>

#include "base/bytes.h"
#include "cli/cli_http.h"
#include "cli/cli_out.h"
#include "cli/cli_wait.h"

static const struct cli_column columns[] = {
    {"ID", "id", CLI_FORM_TEXT},
    {"KIND", "kind", CLI_FORM_TEXT},
    {"TENANT", "tenant", CLI_FORM_TEXT},
    {"VM", "vm.name", CLI_FORM_TEXT},
    {"STATE", "state", CLI_FORM_TEXT},
    {"STAGE", "stage", CLI_FORM_TEXT},
    {"CREATED", "created", CLI_FORM_TEXT},
    {"ERROR", "error", CLI_FORM_TEXT},
};
static const struct cli_column rows[] = {
    {"id", "id", CLI_FORM_TEXT},
    {"kind", "kind", CLI_FORM_TEXT},
    {"tenant", "tenant", CLI_FORM_TEXT},
    {"pool", "pool", CLI_FORM_TEXT},
    {"vault", "vault", CLI_FORM_TEXT},
    {"VM", "vm.name", CLI_FORM_TEXT},
    {"VM uuid", "vm.uuid", CLI_FORM_TEXT},
    {"point", "point", CLI_FORM_TEXT},
    {"state", "state", CLI_FORM_TEXT},
    {"stage", "stage", CLI_FORM_TEXT},
    {"done", "done_bytes", CLI_FORM_BYTES},
    {"of", "total_bytes", CLI_FORM_BYTES},
    {"attempt", "attempt", CLI_FORM_TEXT},
    {"retry of", "retry_of", CLI_FORM_TEXT},
    {"created", "created", CLI_FORM_TEXT},
    {"started", "started", CLI_FORM_TEXT},
    {"ended", "ended", CLI_FORM_TEXT},
    {"exit", "exit", CLI_FORM_TEXT},
    {"error", "error", CLI_FORM_TEXT},
};

/* One request about the job that is named. */
static int job_do(struct cli_run *run, const char *method, const char *id,
                  const char *behind, struct json **out)
{
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    exit = cli_http_call(run, method, cli_http_path(&path, "/jobs", id,
                                                    behind),
                         NULL, out);
    buf_fini(&path);
    return exit;
}

static int job_query(struct cli_run *run, bool failed, struct json **items)
{
    struct buf path;
    int exit;

    buf_init(&path, 4096);
    buf_add_text(&path, "/jobs");
    cli_http_query(&path, "tenant", cli_args_get(run->args, "tenant"));
    cli_http_query(&path, "state", cli_args_get(run->args, "state"));
    cli_http_query(&path, "since", cli_args_get(run->args, "since"));
    cli_http_query(&path, "kind", cli_args_get(run->args, "kind"));
    cli_http_query(&path, "unfinished",
                   cli_args_has(run->args, "unfinished") ? "true" : NULL);
    cli_http_query(&path, "failed", failed ? "true" : NULL);
    exit = cli_http_list(run, buf_text(&path), items);
    buf_fini(&path);
    return exit;
}

int cli_job_list(struct cli_run *run)
{
    struct json *items = NULL;
    int exit = job_query(run, cli_args_has(run->args, "failed"), &items);

    if (exit == EXIT_OK)
        exit = cli_out_list(run, items, columns, BYTES_COUNT(columns));
    json_free(items);
    return exit;
}

int cli_job_show(struct cli_run *run)
{
    struct json *doc = NULL;
    int exit = job_do(run, "GET", run->args->args[0], "", &doc);

    if (exit == EXIT_OK)
        exit = cli_out_thing(run, doc, rows, BYTES_COUNT(rows));
    json_free(doc);
    return exit;
}

static int log_print(struct cli_run *run, const struct json *page)
{
    const struct json *items = json_get(page, "items");

    for (size_t i = 0; i < json_count(items); i++) {
        const struct json *line = json_at(items, i);

        if (run->json) {
            int exit = cli_out_json(line);

            if (exit != EXIT_OK)
                return exit;
            continue;
        }
        printf("%s %-5s %s\n", cli_out_text(line, "at"),
               cli_out_text(line, "level"), cli_out_text(line, "text"));
    }
    return cli_out_flush();
}

int cli_job_log(struct cli_run *run)
{
    bool follow = cli_args_has(run->args, "follow");
    int64_t after = 0;
    bool more = true;
    int exit = EXIT_OK;

    while (exit == EXIT_OK && more) {
        struct json *page = NULL;
        struct buf path;
        char text[24];

        buf_init(&path, 4096);
        cli_http_path(&path, "/jobs", run->args->args[0], "/log");
        snprintf(text, sizeof(text), "%lld", (long long)after);
        cli_http_query(&path, "after", text);
        cli_http_query(&path, "limit", "500");
        cli_http_query(&path, "wait_ms", follow ? "30000" : NULL);
        exit = cli_http_call(run, "GET", buf_text(&path), NULL, &page);
        buf_fini(&path);
        if (exit == EXIT_OK)
            exit = log_print(run, page);
        after = json_int(json_get(page, "after"), after);
        more = json_count(json_get(page, "items")) > 0 ||
               (follow && !json_bool(json_get(page, "final"), true));
        json_free(page);
    }
    return exit;
}

int cli_job_cancel(struct cli_run *run)
{
    struct json *doc = NULL;
    int exit = job_do(run, "POST", run->args->args[0], "/cancel", &doc);

    if (exit == EXIT_OK)
        exit = cli_out_thing(run, doc, rows, BYTES_COUNT(rows));
    json_free(doc);
    return exit;
}

/* The jobs that were begun, all into one answer as a backup gives it. */
static int retry_add(struct cli_run *run, const char *id, struct json *jobs)
{
    struct json *answer = NULL;
    int exit = job_do(run, "POST", id, "/retry", &answer);

    for (size_t i = 0; i < json_count(json_get(answer, "jobs")); i++)
        json_append(jobs, json_clone(json_at(json_get(answer, "jobs"), i)));
    json_free(answer);
    return exit;
}

/* Newest first, and each piece of work once, however often it failed. */
static bool retry_is_newest(const struct json *items, size_t at)
{
    const struct json *j = json_at(items, at);

    for (size_t i = 0; i < at; i++) {
        const struct json *newer = json_at(items, i);

        if (strcmp(cli_out_text(newer, "kind"), cli_out_text(j, "kind")) ==
                0 &&
            strcmp(cli_out_text(newer, "vm.uuid"),
                   cli_out_text(j, "vm.uuid")) == 0 &&
            strcmp(cli_out_text(newer, "tenant"),
                   cli_out_text(j, "tenant")) == 0)
            return false;
    }
    return true;
}

int cli_job_retry(struct cli_run *run)
{
    bool failed = cli_args_has(run->args, "failed");
    struct json *items = NULL, *docs = NULL, *answer = json_new_object();
    struct json *jobs = json_new_array();
    int exit = EXIT_OK, worst = EXIT_OK;

    if (failed == (run->args->arg_count == 1)) {
        fprintf(stderr, "cairn: name a job, or give --failed --since TIME\n");
        exit = EXIT_USAGE;
    } else if (!failed) {
        exit = retry_add(run, run->args->args[0], jobs);
    } else if (!cli_args_has(run->args, "since")) {
        fprintf(stderr, "cairn: since when? Give --since 2026-11-20\n");
        exit = EXIT_USAGE;
    } else {
        exit = job_query(run, true, &items);
        for (size_t i = 0; exit == EXIT_OK && i < json_count(items); i++)
            if (retry_is_newest(items, i) &&
                retry_add(run, cli_out_text(json_at(items, i), "id"), jobs) !=
                    EXIT_OK)
                worst = EXIT_FAILED;
    }
    json_set(answer, "jobs", jobs);
    json_set(answer, "failed", json_new_array());
    if (exit == EXIT_OK && json_count(json_get(answer, "jobs")) > 0)
        exit = cli_wait_answer(run, answer, &docs);
    if (docs && exit != EXIT_INTERRUPTED)
        cli_out_list(run, docs, columns, BYTES_COUNT(columns));
    json_free(docs);
    json_free(items);
    json_free(answer);
    return exit == EXIT_OK ? worst : exit;
}
