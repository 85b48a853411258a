/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/job.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "gateway/api.h"
#include "gateway/jobs_entry.h"
#include "gateway/place.h"
#include "tenants/catalog_journal.h"

#define PROGRESS_MS 1000
#define LABEL_NAME_MAX 200 /* bytes of a VM's name */
/* In a result, which has an upper bound; the log has as many as it holds. */
#define WARNINGS_MAX ((size_t)200)

/* One change of the catalog that nobody waits for. */
enum write_verb { WRITE_PROGRESS, WRITE_LOG, WRITE_ROW, WRITE_ROW_CLOSE };

struct write {
    struct catalog_call call;
    struct engine *engine;
    enum write_verb verb;
    char id[CATALOG_JOB_ID];
    uint64_t done_bytes, total_bytes;
    int64_t row;
    char level[8];
    bool has_a, has_b;
    char a[CATALOG_JOB_LOG_TEXT]; /* stage, text or ref */
    char b[CATALOG_JOB_LOG_TEXT]; /* detail */
};

static enum err_code write_run(struct catalog_call *call, struct catalog *c,
                               struct err *err)
{
    struct write *w = (struct write *)call;

    switch (w->verb) {
    case WRITE_PROGRESS:
        return catalog_job_progress(c, w->id, w->has_a ? w->a : NULL,
                                    w->done_bytes, w->total_bytes, err);
    case WRITE_LOG:
        return catalog_job_log_add(c, w->id, w->level, w->a, err);
    case WRITE_ROW:
        return catalog_journal_update(c, w->row, w->has_a ? w->a : NULL,
                                      w->has_b ? w->b : NULL, err);
    case WRITE_ROW_CLOSE:
        return catalog_journal_close(c, w->row, err);
    }
    return ERR_OK;
}

static void write_done(struct catalog_call *call, const struct err *err)
{
    struct write *w = (struct write *)call;

    if (err->code != ERR_OK)
        log_event(LOG_ERROR, "catalog_write_failed", log_text("job", w->id),
                  log_err(err), LOG_END);
    else if (w->verb == WRITE_PROGRESS || w->verb == WRITE_LOG)
        api_job_changed(w->engine->api, w->id);
    free(w);
}

static struct write *write_new(struct job *job, enum write_verb verb)
{
    struct write *w = calloc(1, sizeof(*w));

    if (!w) {
        log_event(LOG_ERROR, "catalog_write_lost", log_text("job", job->id),
                  LOG_END);
        return NULL;
    }
    w->call.run = write_run;
    w->call.done = write_done;
    w->engine = job->engine;
    w->verb = verb;
    memcpy(w->id, job->id, sizeof(w->id));
    return w;
}

static void write_send(struct write *w)
{
    catalog_call_start(w->engine->catalog, &w->call);
}

/* --- stage and progress -------------------------------------------------- */

static void write_progress(struct jobs_entry *e)
{
    struct write *w = write_new(&e->job, WRITE_PROGRESS);

    if (!w)
        return;
    w->done_bytes = e->done_bytes;
    w->total_bytes = e->total_bytes;
    w->has_a = e->stage_dirty;
    snprintf(w->a, sizeof(w->a), "%s", e->stage);
    e->stage_dirty = false;
    write_send(w);
}

static void on_progress_due(struct timer *t)
{
    struct jobs_entry *e = (struct jobs_entry *)(void *)((char *)t -
                               offsetof(struct jobs_entry, progress));

    write_progress(e);
}

void job_stage(struct job *job, const char *stage)
{
    struct jobs_entry *e = job->entry;

    snprintf(e->stage, sizeof(e->stage), "%s", stage);
    e->stage_dirty = true;
    timer_stop(&e->progress);
    write_progress(e);
    job_log(job, "info", "stage: %s", stage);
}

void job_stage_text(struct job *job, const char *text)
{
    struct jobs_entry *e = job->entry;

    snprintf(e->stage, sizeof(e->stage), "%s", text);
    e->stage_dirty = true;
    if (!timer_is_armed(&e->progress))
        timer_start(job->engine->control, &e->progress, PROGRESS_MS,
                    on_progress_due);
}

void job_progress(struct job *job, uint64_t done_bytes, uint64_t total_bytes)
{
    struct jobs_entry *e = job->entry;

    e->done_bytes = done_bytes;
    e->total_bytes = total_bytes;
    if (!timer_is_armed(&e->progress))
        timer_start(job->engine->control, &e->progress, PROGRESS_MS,
                    on_progress_due);
}

/* --- log ----------------------------------------------------------------- */

static void log_line(struct job *job, const char *level, const char *text)
{
    struct write *w = write_new(job, WRITE_LOG);

    if (!w)
        return;
    snprintf(w->level, sizeof(w->level), "%s", level);
    snprintf(w->a, sizeof(w->a), "%s", text);
    write_send(w);
}

void job_log(struct job *job, const char *level, const char *fmt, ...)
{
    char text[CATALOG_JOB_LOG_TEXT];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_line(job, level, text);
}

void job_warn(struct job *job, const char *fmt, ...)
{
    struct jobs_entry *e = job->entry;
    char text[CATALOG_JOB_LOG_TEXT];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_line(job, "warn", text);
    if (!e->warnings)
        e->warnings = json_new_array();
    if (json_count(e->warnings) < WARNINGS_MAX)
        json_append(e->warnings, json_new_text(text));
    else if (json_count(e->warnings) == WARNINGS_MAX)
        json_append(e->warnings, json_new_text("there are more: see the log"));
}

void job_name(struct job *job, const char *vm_name)
{
    char *copy = strdup(vm_name);

    if (!copy)
        return; /* it is for messages only */
    free(job->vm_name);
    job->vm_name = copy;
}

void job_label(char *label, const char *kind, const char *vm_name)
{
    snprintf(label, JOB_LABEL_MAX, "cairn %s of %.*s", kind,
             (int)parse_utf8_cut(vm_name, LABEL_NAME_MAX), vm_name);
}

void job_log_clock(struct job *job, const struct place *place)
{
    long long s = place_skew_ms(place) / 1000;

    if (s)
        job_log(job, "warn", "the clock of %s is %lld s %s ours: requests were "
                "signed by it", place_text(place), s > 0 ? s : -s,
                s > 0 ? "ahead of" : "behind");
}

bool job_is_cancelled(const struct job *job)
{
    return job->entry->cancel;
}

bool job_client_is_gone(const struct job *job)
{
    return job->entry->client_gone;
}

/* --- journal ------------------------------------------------------------- */

struct note_open {
    struct catalog_call call;
    struct job_note note;
    struct catalog_journal row;
    char *kind, *ref, *detail;
    int64_t id;
};

static void note_free(struct note_open *n)
{
    free(n->kind);
    free(n->ref);
    free(n->detail);
    free(n);
}

static enum err_code note_run(struct catalog_call *call, struct catalog *c,
                              struct err *err)
{
    struct note_open *n = (struct note_open *)call;

    return catalog_journal_add(c, &n->row, &n->id, err);
}

static void note_done(struct catalog_call *call, const struct err *err)
{
    struct note_open *n = (struct note_open *)call;

    n->note.done(n->note.ctx, err, n->id);
    note_free(n);
}

/* Without memory for a journal row nothing may be made: say so through the
 * catalog's lane all the same, so that done() comes later as promised. */
static enum err_code note_refuse(struct catalog_call *call, struct catalog *c,
                                 struct err *err)
{
    return err_set(err, ERR_NOMEM, 0, "journal");
}

void job_note_open(struct job *job, const struct job_note *note)
{
    struct note_open *n = calloc(1, sizeof(*n));

    if (!n) {
        const struct err err = {.code = ERR_NOMEM, .text = "journal"};

        note->done(note->ctx, &err, 0);
        return;
    }
    n->note = *note;
    n->kind = strdup(note->kind);
    n->ref = strdup(note->ref);
    n->detail = strdup(note->detail);
    memcpy(n->row.job_id, job->id, sizeof(n->row.job_id));
    n->row.pool_id = note->in_pool ? job->pool_id : 0;
    n->row.vault_id = note->in_pool ? 0 : job->vault_id;
    n->row.kind = n->kind;
    n->row.ref = n->ref;
    n->row.detail = n->detail;
    n->call.run = n->kind && n->ref && n->detail ? note_run : note_refuse;
    n->call.done = note_done;
    catalog_call_start(job->engine->catalog, &n->call);
}

void job_note_update(struct job *job, int64_t row, const char *ref,
                     const char *detail)
{
    struct write *w = write_new(job, WRITE_ROW);

    if (!w)
        return;
    w->row = row;
    w->has_a = ref != NULL;
    w->has_b = detail != NULL;
    snprintf(w->a, sizeof(w->a), "%s", ref ? ref : "");
    snprintf(w->b, sizeof(w->b), "%s", detail ? detail : "");
    write_send(w);
}

void job_note_close(struct job *job, int64_t row)
{
    struct write *w = row ? write_new(job, WRITE_ROW_CLOSE) : NULL;

    if (!w)
        return;
    w->row = row;
    write_send(w);
}

struct note_row {
    char *kind, *ref;
};

struct note_each {
    struct catalog_call call;
    char id[CATALOG_JOB_ID];
    void (*each)(void *ctx, const char *kind, const char *ref);
    void (*done)(void *ctx, const struct err *err);
    void *ctx;
    struct note_row *rows;
    size_t count;
    bool failed;
};

static bool keep_row(void *ctx, const struct catalog_journal *j)
{
    struct note_each *n = ctx;
    struct note_row *rows =
        realloc(n->rows, (n->count + 1) * sizeof(*n->rows));
    struct note_row *r;

    if (!rows) {
        n->failed = true;
        return false;
    }
    n->rows = rows;
    r = &rows[n->count++];
    r->kind = strdup(j->kind);
    r->ref = strdup(j->ref);
    n->failed = !r->kind || !r->ref;
    return !n->failed;
}

static enum err_code each_run(struct catalog_call *call, struct catalog *c,
                              struct err *err)
{
    struct note_each *n = (struct note_each *)call;
    enum err_code rc = catalog_journal_each_open(c, n->id, keep_row, n, err);

    if (n->failed)
        return err_set(err, ERR_NOMEM, 0, "journal");
    return rc;
}

static void each_done(struct catalog_call *call, const struct err *err)
{
    struct note_each *n = (struct note_each *)call;

    for (size_t i = 0; i < n->count; i++) {
        struct note_row *r = &n->rows[i];

        if (err->code == ERR_OK)
            n->each(n->ctx, r->kind, r->ref);
        free(r->kind);
        free(r->ref);
    }
    n->done(n->ctx, err);
    free(n->rows);
    free(n);
}

void job_note_each(struct job *job,
                   void (*each)(void *ctx, const char *kind, const char *ref),
                   void (*done)(void *ctx, const struct err *err), void *ctx)
{
    struct note_each *n = calloc(1, sizeof(*n));

    if (!n) {
        const struct err err = {.code = ERR_NOMEM, .text = "journal"};

        done(ctx, &err);
        return;
    }
    n->call.run = each_run;
    n->call.done = each_done;
    memcpy(n->id, job->id, sizeof(n->id));
    n->each = each;
    n->done = done;
    n->ctx = ctx;
    catalog_call_start(job->engine->catalog, &n->call);
}

/* --- the end ------------------------------------------------------------- */

static void end_state(struct jobs_entry *e, const struct err *err)
{
    if (!err || err->code == ERR_OK)
        e->final = e->warnings ? CATALOG_JOB_WARNED : CATALOG_JOB_SUCCEEDED;
    else if (err->code == ERR_CANCELLED)
        e->final = CATALOG_JOB_CANCELLED;
    else
        e->final = CATALOG_JOB_FAILED;
}

void job_finish(struct job *job, const struct err *err, enum exit_peer peer,
                struct json *take_result)
{
    struct jobs_entry *e = job->entry;
    char who[160];

    timer_stop(&e->hurry);
    timer_stop(&e->progress);
    write_progress(e);
    end_state(e, err);
    if (err && err->code != ERR_OK) {
        jobs_entry_text(e, who, sizeof(who));
        e->cause = *err;
        e->exit = err->code == ERR_CANCELLED ? EXIT_INTERRUPTED
                                             : exit_of_err(err, peer);
        err_context(&e->cause, "%s: %s", who, job->kind->name);
        log_line(job, "error", e->cause.text);
    } else {
        e->exit = e->warnings ? EXIT_WARNINGS : EXIT_OK;
    }
    if (e->warnings) {
        if (!take_result)
            take_result = json_new_object();
        json_set(take_result, "warnings", e->warnings);
        e->warnings = NULL;
    }
    e->result = json_dump(take_result, false, NULL);
    json_free(take_result);
    if (job->stream) {
        const struct err none = {0};

        api_stream_end(job->stream, err ? &e->cause : &none, e->exit);
        job->stream = NULL;
    }
    jobs_entry_ended(e);
}
