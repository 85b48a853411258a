/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_wait.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/shown.h"
#include "cli/cli_http.h"
#include "cli/cli_out.h"

#define POLL_MS 1000      /* a job alone: the server answers earlier anyway */
#define METER_MS 200      /* between two looks of a line */
#define PLAIN_MS 10000    /* between two plain lines of one stage */
#define BAR_CELLS 24

static void line_bar(struct buf *out, uint64_t done, uint64_t total)
{
    unsigned cells = (unsigned)(done * BAR_CELLS / total);

    buf_add_text(out, "[");
    for (unsigned i = 0; i < BAR_CELLS; i++)
        buf_add_text(out, i < cells ? "=" : i == cells ? ">" : " ");
    buf_addf(out, "] %3u %%  ", (unsigned)(done * 100 / total));
}

/* "1.2 GiB of 2.4 GiB, 310 MiB/s, 4 s left" */
static void line_figures(struct buf *out, uint64_t done, uint64_t total,
                         uint64_t ms)
{
    char have[32], all[32], rate[32];
    uint64_t per_s = ms ? done * 1000 / ms : 0;

    parse_size_text(done, have, sizeof(have));
    parse_size_text(total, all, sizeof(all));
    parse_size_text(per_s, rate, sizeof(rate));
    buf_add_text(out, have);
    if (total)
        buf_addf(out, " of %s", all);
    if (per_s)
        buf_addf(out, ", %s/s", rate);
    if (per_s && total > done) {
        uint64_t left = (total - done) / per_s;

        if (left < 120)
            buf_addf(out, ", %u s left", (unsigned)left);
        else
            buf_addf(out, ", %u min left", (unsigned)(left / 60));
    }
}

static void line_write(struct buf *out, bool tty, bool end)
{
    const char *text = buf_text(out);

    if (!text)
        return;
    shown_clean((char *)out->data); /* --json: names come as they are */
    if (tty)
        fprintf(stderr, "\r\033[K%s%s", text, end ? "\n" : "");
    else
        fprintf(stderr, "%s\n", text);
    fflush(stderr);
}

void cli_wait_meter_begin(struct cli_wait_meter *m, bool tty,
                          const char *what, uint64_t total)
{
    m->tty = tty;
    m->what = what;
    m->total = total;
    m->begun_ms = clock_mono_ms(clock_system());
    m->shown_ms = m->begun_ms;
}

void cli_wait_meter_show(struct cli_wait_meter *m, uint64_t done, bool final)
{
    uint64_t now = clock_mono_ms(clock_system());
    struct buf line;

    if (!final && now - m->shown_ms < (m->tty ? METER_MS : PLAIN_MS))
        return;
    m->shown_ms = now;
    buf_init(&line, 512);
    buf_addf(&line, "%s  ", m->what);
    if (m->tty && m->total && done <= m->total)
        line_bar(&line, done, m->total);
    line_figures(&line, done, m->total, now - m->begun_ms);
    line_write(&line, m->tty, final);
    buf_fini(&line);
}

/* One job that is waited for. */
struct watched {
    const char *id;
    const char *name;      /* of the VM */
    struct json *doc;      /* as last seen */
    bool final;
    char stage[200];       /* whose plain line was printed; as long as any */
    uint64_t since_ms;     /* of the stage, by our clock */
    uint64_t since_bytes;
    uint64_t shown_ms;
};

struct watch {
    struct cli_run *run;
    struct watched *jobs;
    size_t count;
    uint64_t shown_ms;
    bool line; /* an unfinished line stands on the terminal */
};

static void watch_clear_line(struct watch *w)
{
    if (w->line)
        fprintf(stderr, "\r\033[K");
    w->line = false;
}

void cli_wait_say(const struct json *job)
{
    const char *state = cli_out_text(job, "state");
    const char *point = cli_out_text(job, "point");
    const char *name = cli_out_text(job, "vm.name");
    const char *kind = cli_out_text(job, "kind");
    const char *error = cli_out_text(job, "error");
    bool made = strcmp(kind, "backup") == 0 && point[0] && !error[0];

    cli_out_say("%.500s%s%s %s%s%s%s%s%s", name, name[0] ? ": " : "", kind,
                state,
                json_bool(cli_out_at(job, "result.dry_run"), false)
                    ? ": a dry run, nothing was made"
                    : "",
                made ? ", point " : "", made ? point : "",
                error[0] ? ": " : "", error);
}

static void say_warnings(const struct json *job)
{
    const struct json *list = cli_out_at(job, "result.warnings");

    for (size_t i = 0; i < json_count(list); i++)
        cli_out_say("  warning: %s", json_text(json_at(list, i), ""));
}

/* What changed since the last look at a job. */
static void watched_update(struct watch *w, struct watched *j)
{
    uint64_t now = clock_mono_ms(clock_system());
    uint64_t done = (uint64_t)json_int(json_get(j->doc, "done_bytes"), 0);
    uint64_t total = (uint64_t)json_int(json_get(j->doc, "total_bytes"), 0);
    const char *stage = cli_out_text(j->doc, "stage");
    bool fresh = strcmp(stage, j->stage) != 0;
    struct buf line;

    j->final = json_bool(json_get(j->doc, "final"), false);
    if (j->final) {
        watch_clear_line(w);
        cli_wait_say(j->doc);
        say_warnings(j->doc);
        return;
    }
    if (fresh) {
        snprintf(j->stage, sizeof(j->stage), "%s", stage);
        j->since_ms = now;
        j->since_bytes = done;
    }
    if (w->run->err_tty || !stage[0] ||
        (!fresh && now - j->shown_ms < PLAIN_MS))
        return;
    j->shown_ms = now;
    buf_init(&line, 512);
    buf_addf(&line, "%s: %s", j->name, stage);
    if (total && !fresh) {
        buf_add_text(&line, " ");
        line_figures(&line, done - j->since_bytes, total - j->since_bytes,
                     now - j->since_ms);
    }
    line_write(&line, false, true);
    buf_fini(&line);
}

/* The line of the terminal: one job in full, several as a sum. */
static void watch_show(struct watch *w)
{
    uint64_t now = clock_mono_ms(clock_system());
    uint64_t done = 0, total = 0, moved = 0, since = now;
    const struct watched *one = NULL;
    size_t ended = 0;
    struct buf line;

    if (!w->run->err_tty || now - w->shown_ms < METER_MS)
        return;
    w->shown_ms = now;
    for (size_t i = 0; i < w->count; i++) {
        const struct watched *j = &w->jobs[i];
        uint64_t d = (uint64_t)json_int(json_get(j->doc, "done_bytes"), 0);

        ended += j->final;
        if (j->final)
            continue;
        one = j;
        done += d;
        total += (uint64_t)json_int(json_get(j->doc, "total_bytes"), 0);
        moved += d > j->since_bytes ? d - j->since_bytes : 0;
        if (j->since_ms && j->since_ms < since)
            since = j->since_ms;
    }
    if (!one)
        return;
    buf_init(&line, 512);
    if (w->count == 1)
        buf_addf(&line, "%s  %s  ", one->name,
                 one->stage[0] ? one->stage
                               : cli_out_text(one->doc, "state"));
    else
        buf_addf(&line, "%zu of %zu done  ", ended, w->count);
    if (total && done <= total)
        line_bar(&line, done, total);
    if (moved || total) {
        char rate[32];
        uint64_t per_s = now > since ? moved * 1000 / (now - since) : 0;

        parse_size_text(per_s, rate, sizeof(rate));
        buf_addf(&line, "%s/s", rate);
        if (per_s && total > done)
            buf_addf(&line, ", %u s left",
                     (unsigned)((total - done) / per_s));
    }
    line_write(&line, true, false);
    w->line = true;
    buf_fini(&line);
}

/* We do not wait any more; the jobs do not care. */
static void watch_leave(const struct watch *w)
{
    for (size_t i = 0; i < w->count; i++)
        if (!w->jobs[i].final)
            fprintf(stderr,
                    "cairn: job %s goes on; see `cairn job show %s`\n",
                    w->jobs[i].id, w->jobs[i].id);
}

/* Look at one job, waiting for a change if it may. */
static int watch_look(struct watch *w, struct watched *j, unsigned wait_ms)
{
    struct cli_answer a;
    struct buf path;
    char text[24];
    int exit;

    buf_init(&path, 1024);
    cli_http_path(&path, "/jobs", j->id, "");
    if (j->doc) {
        snprintf(text, sizeof(text), "%lld",
                 (long long)json_int(json_get(j->doc, "change"), 0));
        cli_http_query(&path, "seen", text);
        snprintf(text, sizeof(text), "%u", wait_ms);
        cli_http_query(&path, "wait_ms", text);
    }
    cli_http_ask(w->run->http, "GET", buf_text(&path), NULL, &a);
    buf_fini(&path);
    exit = a.exit;
    if (exit == EXIT_OK) {
        json_free(j->doc);
        j->doc = a.doc;
        a.doc = NULL;
        watched_update(w, j);
        watch_show(w);
    } else {
        watch_clear_line(w);
        if (!a.interrupted)
            cli_out_problem(w->run, &a);
        watch_leave(w);
    }
    cli_answer_fini(&a);
    return exit;
}

static int watch_run(struct watch *w)
{
    for (;;) {
        size_t open = 0;

        for (size_t i = 0; i < w->count; i++) {
            struct watched *j = &w->jobs[i];
            int exit;

            if (j->final)
                continue;
            /* Waiting is for the first; the others are looked at after. */
            exit = watch_look(w, j, open == 0 ? POLL_MS : 0);
            if (exit != EXIT_OK)
                return exit;
            open += !j->final;
        }
        if (open == 0)
            return EXIT_OK;
    }
}

static int watch_exit(const struct watch *w, size_t refused)
{
    bool warned = false, failed = refused > 0;

    for (size_t i = 0; i < w->count; i++) {
        const struct json *doc = w->jobs[i].doc;
        const char *state = cli_out_text(doc, "state");
        int64_t exit = json_int(json_get(doc, "exit"), EXIT_FAILED);

        warned |= strcmp(state, "warned") == 0;
        if (strcmp(state, "succeeded") == 0 || strcmp(state, "warned") == 0)
            continue;
        failed = true;
        if (w->count == 1 && refused == 0)
            return exit_is_known((long)exit) && exit ? (int)exit
                                                     : EXIT_FAILED;
    }
    if (failed)
        return EXIT_FAILED;
    return warned ? EXIT_WARNINGS : EXIT_OK;
}

static int wait_print_ids(const struct cli_run *run,
                          const struct json *answer)
{
    const struct json *jobs = json_get(answer, "jobs");

    if (run->json)
        return cli_out_json(answer);
    for (size_t i = 0; i < json_count(jobs); i++)
        printf("%s\n", cli_out_text(json_at(jobs, i), "id"));
    return cli_out_flush();
}

static void say_refused(const struct json *failed)
{
    for (size_t i = 0; i < json_count(failed); i++) {
        const char *name = cli_out_text(json_at(failed, i), "name");

        cli_out_say("cairn: %.500s%s%s", name, name[0] ? ": " : "",
                    cli_out_text(json_at(failed, i), "detail"));
    }
}

int cli_wait_answer(struct cli_run *run, const struct json *answer,
                    struct json **docs)
{
    const struct json *jobs = json_get(answer, "jobs");
    const struct json *failed = json_get(answer, "failed");
    struct watch w = {.run = run, .count = json_count(jobs)};
    int exit;

    say_refused(failed);
    if (cli_args_has(run->args, "no-wait")) {
        exit = wait_print_ids(run, answer);
        return exit == EXIT_OK && json_count(failed) ? EXIT_FAILED : exit;
    }
    w.jobs = calloc(w.count + 1, sizeof(*w.jobs));
    if (!w.jobs) {
        fprintf(stderr, "cairn: out of memory\n");
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < w.count; i++) {
        w.jobs[i].id = cli_out_text(json_at(jobs, i), "id");
        w.jobs[i].name = cli_out_text(json_at(jobs, i), "name");
    }
    exit = watch_run(&w);
    if (exit == EXIT_OK)
        exit = watch_exit(&w, json_count(failed));
    if (docs)
        *docs = json_new_array();
    for (size_t i = 0; i < w.count; i++) {
        if (docs && w.jobs[i].doc)
            json_append(*docs, w.jobs[i].doc);
        else
            json_free(w.jobs[i].doc);
    }
    free(w.jobs);
    return exit;
}
