/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_restore.h"

#include <string.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "cli/cli_body.h"
#include "cli/cli_http.h"
#include "cli/cli_out.h"
#include "cli/cli_save.h"
#include "cli/cli_wait.h"

static const struct cli_column disk_columns[] = {
    {"DISK", "disk", CLI_FORM_TEXT},
    {"WAS", "old", CLI_FORM_TEXT},
    {"IS", "new", CLI_FORM_TEXT},
    {"SR", "sr", CLI_FORM_TEXT},
};
static const struct cli_column nic_columns[] = {
    {"NIC", "nic", CLI_FORM_TEXT},     {"MAC WAS", "old_mac", CLI_FORM_TEXT},
    {"MAC IS", "mac", CLI_FORM_TEXT},  {"NETWORK", "network", CLI_FORM_TEXT},
    {"UUID", "new", CLI_FORM_TEXT},
};

static int restore_usage(const char *why)
{
    fprintf(stderr, "cairn: %s\n", why);
    return EXIT_USAGE;
}

static int restore_check(const struct cli_args *a)
{
    static const char *const of_pool[] = {"sr", "network", "mac", "uuid",
                                          "name", "start", "dry-run",
                                          "no-wait"};
    bool stream = cli_args_has(a, "output");

    if (cli_args_has(a, "to"))
        return restore_usage("targets are not in this version: give --pool");
    if (stream == cli_args_has(a, "pool"))
        return restore_usage("a restore goes to --pool P, or to --output F");
    if (!stream && (cli_args_has(a, "disk") || cli_args_has(a, "checksum")))
        return restore_usage("--disk and --checksum go with --output");
    for (size_t i = 0; stream && i < BYTES_COUNT(of_pool); i++) {
        if (!cli_args_has(a, of_pool[i]))
            continue;
        fprintf(stderr, "cairn: --%s goes with --pool\n", of_pool[i]);
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

static int restore_body(struct cli_run *run, struct cli_body *b)
{
    static const char *const same[] = {"tenant", "vault", "pool",    "mac",
                                       "uuid",   "name",  "checksum"};
    const char *disk = cli_args_get(run->args, "disk");
    const char *wrong = NULL;
    uint64_t n = 0;

    cli_body_text(b, "point", run->args->args[0]);
    for (size_t i = 0; i < BYTES_COUNT(same); i++)
        cli_body_option(b, same[i], run->args, same[i]);
    if (!cli_body_pairs(b, "sr", run->args, "sr", "*", &wrong)) {
        fprintf(stderr, "cairn: --sr %s: wanted SR or DISK=SR, each once\n",
                wrong);
        return EXIT_USAGE;
    }
    if (!cli_body_pairs(b, "network", run->args, "network", NULL, &wrong)) {
        fprintf(stderr,
                "cairn: --network %s: wanted NIC=NETWORK or NIC=none, each "
                "once\n",
                wrong);
        return EXIT_USAGE;
    }
    if (cli_args_has(run->args, "start"))
        cli_body_flag(b, "start", true);
    if (cli_args_has(run->args, "dry-run"))
        cli_body_flag(b, "dry_run", true);
    if (!cli_args_has(run->args, "output"))
        return EXIT_OK;
    cli_body_text(b, "output", disk ? "raw" : "xva");
    if (disk && !parse_u64(disk, 0, 255, &n))
        return restore_usage("--disk: wanted a number from 0 to 255");
    if (disk)
        cli_body_int(b, "disk", (int64_t)n);
    return EXIT_OK;
}

/* What became of the VM: old and new names of everything. */
static int restore_print(struct cli_run *run, const struct json *docs)
{
    const struct json *job = json_at(docs, 0);
    const struct json *result = json_get(job, "result");
    const struct json *vm = json_get(result, "vm");
    const char *new = cli_out_text(vm, "new");

    if (run->json)
        return cli_out_json(job);
    if (json_bool(json_get(result, "dry_run"), false))
        printf("this would be done:\n");
    if (vm)
        printf("VM %s: %s -> %s\n", cli_out_text(vm, "name"),
               cli_out_text(vm, "old"),
               new[0] ? new : "a new uuid");
    cli_out_list(run, json_get(result, "disks"), disk_columns,
                 BYTES_COUNT(disk_columns));
    return cli_out_list(run, json_get(result, "nics"), nic_columns,
                        BYTES_COUNT(nic_columns));
}

static int restore_to_pool(struct cli_run *run, const struct json *body)
{
    struct json *answer = NULL, *docs = NULL;
    int exit = cli_http_call(run, "POST", "/restores", body, &answer);

    if (exit == EXIT_OK)
        exit = cli_wait_answer(run, answer, &docs);
    if (docs && (exit == EXIT_OK || exit == EXIT_WARNINGS || run->json) &&
        exit != EXIT_INTERRUPTED) {
        int printed = restore_print(run, docs);

        exit = exit == EXIT_OK ? printed : exit;
    }
    json_free(docs);
    json_free(answer);
    return exit;
}

/* A file that grows. */
struct download {
    struct cli_run *run;
    struct cli_save *save;
    struct cli_wait_meter meter;
    struct err err;
    char job[64];
};

static void on_begin(void *ctx, const char *job_id, int64_t length)
{
    struct download *d = ctx;

    snprintf(d->job, sizeof(d->job), "%s", job_id);
    cli_wait_meter_begin(&d->meter, d->run->err_tty, "restore",
                         length > 0 ? (uint64_t)length : 0);
}

static bool on_piece(void *ctx, const uint8_t *data, size_t len)
{
    struct download *d = ctx;

    if (cli_save_write(d->save, data, len, &d->err) != ERR_OK)
        return false;
    cli_wait_meter_show(&d->meter, cli_save_bytes(d->save), false);
    return true;
}

/* The answer broke off: the job knows why. It ends at once, but not before. */
static int ask_why(struct cli_run *run, const struct download *d,
                   const struct cli_answer *a)
{
    const struct json *error;
    struct cli_answer why;
    struct buf path;
    int64_t exit = EXIT_AGAIN;

    buf_init(&path, 1024);
    cli_http_path(&path, "/jobs", d->job, "");
    for (int tries = 0; tries < 20; tries++) {
        char seen[24] = "0";

        if (tries)
            cli_http_query(&path, "wait_ms", "1000");
        cli_http_ask(run->http, "GET", buf_text(&path), NULL, &why);
        error = json_get(why.doc, "error");
        if (why.exit != EXIT_OK ||
            json_bool(json_get(why.doc, "final"), false))
            break;
        snprintf(seen, sizeof(seen), "%lld",
                 (long long)json_int(json_get(why.doc, "change"), 0));
        buf_clear(&path);
        cli_http_path(&path, "/jobs", d->job, "");
        cli_http_query(&path, "seen", seen);
        cli_answer_fini(&why);
        error = NULL;
    }
    buf_fini(&path);
    if (error && json_text(error, "")[0]) {
        exit = json_int(json_get(why.doc, "exit"), EXIT_FAILED);
        fprintf(stderr, "cairn: %s\n", json_text(error, ""));
    } else {
        fprintf(stderr, "cairn: the connection broke off: %s\n", a->err.text);
    }
    cli_answer_fini(&why);
    return exit_is_known((long)exit) && exit ? (int)exit : EXIT_FAILED;
}

static int download_end(struct cli_run *run, struct download *d,
                        const struct cli_answer *a)
{
    if (d->err.code != ERR_OK)
        return cli_out_failed(&d->err);
    if (a->exit == EXIT_OK) {
        cli_wait_meter_show(&d->meter, cli_save_bytes(d->save), true);
        if (cli_save_finish(d->save, &d->err) != ERR_OK)
            return cli_out_failed(&d->err);
        return EXIT_OK;
    }
    if (d->job[0] && d->run->err_tty)
        fprintf(stderr, "\n");
    if (a->interrupted) {
        fprintf(stderr, "cairn: interrupted; nothing was kept\n");
        return EXIT_INTERRUPTED;
    }
    if (d->job[0])
        return ask_why(run, d, a);
    cli_out_problem(run, a);
    return a->exit;
}

static int restore_to_file(struct cli_run *run, const struct json *body)
{
    const char *path = cli_args_get(run->args, "output");
    struct download d = {.run = run};
    const struct cli_http_sink sink = {on_begin, on_piece, &d};
    struct cli_answer a;
    int exit;

    if (cli_save_new(path, &d.save, &d.err) != ERR_OK)
        return cli_out_failed(&d.err);
    cli_http_stream(run->http, "POST", "/restores", body, &sink, &a);
    exit = download_end(run, &d, &a);
    if (exit == EXIT_OK && run->json && strcmp(path, "-") != 0) {
        struct cli_body b;
        struct json *doc;

        cli_body_begin(&b);
        cli_body_text(&b, "job", d.job);
        cli_body_text(&b, "output", path);
        cli_body_int(&b, "bytes", (int64_t)cli_save_bytes(d.save));
        doc = cli_body_end(&b);
        exit = cli_out_json(doc);
        json_free(doc);
    }
    cli_answer_fini(&a);
    cli_save_free(d.save);
    return exit;
}

int cli_restore(struct cli_run *run)
{
    int exit = restore_check(run->args);
    struct json *body;
    struct cli_body b;

    if (exit != EXIT_OK)
        return exit;
    cli_body_begin(&b);
    exit = restore_body(run, &b);
    body = cli_body_end(&b);
    if (exit == EXIT_OK)
        exit = cli_args_has(run->args, "output") ? restore_to_file(run, body)
                                                 : restore_to_pool(run, body);
    json_free(body);
    return exit;
}
