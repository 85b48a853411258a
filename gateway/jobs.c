/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "gateway/api.h"
#include "gateway/jobs_entry.h"
#include "gateway/reconcile.h"
#include "tenants/catalog_journal.h"
#include "tenants/catalog_vault.h"

/* A job ends within 30 s of being told to, and a pool's task that was cancelled
 * has 20 s of these. */
#define HURRY_MS 8000
#define HURRY_AGAIN_MS 2000
#define END_AGAIN_MS 5000 /* an end that could not be written */

const struct err jobs_client_gone = {.code = ERR_CANCELLED,
                                     .text = "the client went away"};

static const struct job_kind *const kinds[] = {
    &job_kind_backup,
    &job_kind_restore,
    &job_kind_verify,
};

void jobs_entry_text(const struct jobs_entry *e, char *out, size_t size)
{
    const char *vm = e->job.vm_name && *e->job.vm_name ? e->job.vm_name
                                                       : e->job.vm_uuid;

    if (vm && *vm)
        snprintf(out, size, "tenant %s, VM %s", e->job.tenant, vm);
    else
        snprintf(out, size, "tenant %s", e->job.tenant);
}

/* --- entries ------------------------------------------------------------- */

void jobs_entry_free(struct jobs_entry *e)
{
    free(e->job.tenant);
    free(e->job.vm_uuid);
    free(e->job.vm_name);
    free(e->job.point);
    json_free(e->job.params);
    json_free(e->warnings);
    free(e->result);
    free(e->store);
    free(e);
}

static const struct job_kind *kind_find(const char *name)
{
    for (size_t i = 0; i < BYTES_COUNT(kinds); i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

struct jobs_entry *jobs_entry_new(struct jobs *jobs,
                                  const struct catalog_job *row,
                                  struct err *err)
{
    struct jobs_entry *e = calloc(1, sizeof(*e));
    struct job *j = e ? &e->job : NULL;

    if (!e) {
        err_set(err, ERR_NOMEM, 0, "job");
        return NULL;
    }
    e->jobs = jobs;
    j->entry = e;
    j->engine = jobs->engine;
    j->kind = kind_find(row->kind);
    memcpy(j->id, row->id, sizeof(j->id));
    j->tenant_id = row->tenant_id;
    j->pool_id = row->pool_id;
    j->vault_id = row->vault_id;
    j->attempt = row->attempt;
    j->tenant = strdup(row->tenant);
    j->vm_uuid = strdup(row->vm_uuid);
    j->vm_name = strdup(row->vm_name);
    j->point = strdup(row->point);
    e->cancel = row->cancel_asked;
    if (!j->kind)
        err_set(err, ERR_ARGUMENT, 0, "no kind of job: '%s'", row->kind);
    else if (!j->tenant || !j->vm_uuid || !j->vm_name || !j->point)
        err_set(err, ERR_NOMEM, 0, "job");
    else if (json_parse(*row->params ? row->params : "{}",
                        *row->params ? strlen(row->params) : 2, &j->params,
                        err) == ERR_OK)
        return e;
    jobs_entry_free(e);
    return NULL;
}

void jobs_entry_find_store(struct jobs_entry *e, struct catalog *c)
{
    struct catalog_vault v = {0};
    struct err ignored;

    if (!e->job.vault_id ||
        catalog_vault_get_id(c, e->job.vault_id, &v, &ignored) != ERR_OK)
        return;
    if (strncmp(v.url, "file://", 7) == 0)
        e->store = strdup(v.url);
    else if (asprintf(&e->store, "s3 %s %s", v.endpoint, v.region) < 0)
        e->store = NULL;
    catalog_vault_fini(&v);
}

static void entry_count(struct jobs *jobs, struct jobs_entry *e)
{
    char name[40];

    snprintf(name, sizeof(name), "tenant %lld", (long long)e->job.tenant_id);
    e->counts.tenant = jobs_count_get(jobs->counts, name);
    snprintf(name, sizeof(name), "pool %lld", (long long)e->job.pool_id);
    if (e->job.pool_id)
        e->counts.pool = jobs_count_get(jobs->counts, name);
    if (e->store)
        e->counts.store = jobs_count_get(jobs->counts, e->store);
}

void jobs_entry_link(struct jobs *jobs, struct jobs_entry *e)
{
    entry_count(jobs, e);
    e->state = ENTRY_QUEUED;
    e->next = NULL;
    e->link = jobs->last;
    *jobs->last = e;
    jobs->last = &e->next;
    jobs->queued++;
}

static void entry_unlink(struct jobs *jobs, struct jobs_entry *e)
{
    *e->link = e->next;
    if (e->next)
        e->next->link = e->link;
    else
        jobs->last = e->link;
}

struct jobs_entry *jobs_entry_find(struct jobs *jobs, const char *id)
{
    struct jobs_entry *e = jobs->first;

    while (e && strcmp(e->job.id, id) != 0)
        e = e->next;
    return e;
}

bool jobs_is_live(struct jobs *jobs, const char *id)
{
    const struct jobs_entry *e = jobs_entry_find(jobs, id);

    return e && e->state != ENTRY_QUEUED;
}

/* --- who is next --------------------------------------------------------- */

static struct jobs_entry *next_entry(struct jobs *jobs)
{
    const struct config *c = jobs->engine->config;
    const struct jobs_count_limits limits = {
        .tenant = c->jobs_per_tenant,
        .pool = c->jobs_per_pool,
        .store = c->jobs_per_store,
    };
    struct jobs_entry *best = NULL;

    if (jobs->running >= c->jobs_at_once)
        return NULL;
    for (struct jobs_entry *e = jobs->first; e; e = e->next)
        if (e->state == ENTRY_QUEUED &&
            jobs_count_has_room(&e->counts, &limits) &&
            (!best || jobs_count_is_before(&e->counts, &best->counts)) &&
            reconcile_lets(jobs->engine->reconcile, e->job.pool_id,
                           e->job.vault_id))
            best = e;
    return best;
}

static void on_started(struct catalog_call *call, const struct err *err)
{
    struct jobs_entry *e = (struct jobs_entry *)(void *)((char *)call -
                               offsetof(struct jobs_entry, call));

    const struct err stop = {.code = ERR_CANCELLED, .text = "cancelled"};

    e->state = ENTRY_RUNNING;
    if (err->code == ERR_OK && e->client_gone)
        err = &jobs_client_gone;
    else if (err->code == ERR_OK && (e->jobs->stopping || e->cancel))
        err = &stop;
    if (err->code != ERR_OK) {
        job_finish(&e->job, err, EXIT_PEER_NONE, NULL);
        return;
    }
    log_event(LOG_INFO, "job_started", log_text("job", e->job.id),
              log_text("kind", e->job.kind->name),
              log_text("tenant", e->job.tenant),
              log_text("vm", e->job.vm_name), LOG_END);
    api_job_changed(e->jobs->engine->api, e->job.id);
    (void)FAILPOINT("job_started");
    e->job.kind->start(&e->job);
}

static enum err_code run_start(struct catalog_call *call, struct catalog *c,
                               struct err *err)
{
    struct jobs_entry *e = (struct jobs_entry *)(void *)((char *)call -
                               offsetof(struct jobs_entry, call));
    struct catalog_job row = {0};

    if (catalog_job_start(c, e->job.id, err) != ERR_OK || e->job.attempt <= 1 ||
        catalog_job_get(c, 0, e->job.id, &row, err) != ERR_OK)
        return err->code;
    /* What an attempt before has brought about may be known by now. */
    if (strcmp(row.point, e->job.point) != 0) {
        free(e->job.point);
        e->job.point = strdup(row.point);
        if (!e->job.point)
            err_set(err, ERR_NOMEM, 0, "job");
    }
    catalog_job_fini(&row);
    return err->code;
}

static void start(struct jobs *jobs, struct jobs_entry *e)
{
    jobs_count_start(jobs->counts, &e->counts);
    e->counted = true;
    jobs->queued--;
    jobs->running++;
    e->state = ENTRY_STARTING;
    e->call.run = run_start;
    e->call.done = on_started;
    catalog_call_start(jobs->engine->catalog, &e->call);
}

static void on_kick(struct mail *mail)
{
    struct jobs *jobs = (struct jobs *)(void *)((char *)mail -
                            offsetof(struct jobs, kick));
    struct jobs_entry *e;

    jobs->kicked = false;
    while (jobs->resumed && !jobs->stopping && (e = next_entry(jobs)))
        start(jobs, e);
    if (jobs->stopping && !jobs->running && !jobs->resuming && jobs->stopped) {
        void (*stopped)(void *) = jobs->stopped;

        jobs->stopped = NULL;
        stopped(jobs->stopped_ctx);
    }
}

void jobs_wake(struct jobs *jobs)
{
    if (jobs->kicked)
        return;
    jobs->kicked = true;
    jobs->kick.deliver = on_kick;
    loop_send(jobs->engine->control, &jobs->kick);
}

/* --- the end of a job ---------------------------------------------------- */

/* What the end of a job says of its open rows: a VM that was restored is no
 * import any more, and nobody takes up the release of one. */
struct last_rows {
    bool well, left;
    int64_t over[4]; /* to be closed */
    size_t count;
};

static bool see_row(void *ctx, const struct catalog_journal *j)
{
    struct last_rows *rows = ctx;
    bool over = strcmp(j->kind, "release") == 0 ||
                (rows->well && strcmp(j->kind, "import") == 0);

    if (over && rows->count < BYTES_COUNT(rows->over))
        rows->over[rows->count++] = j->id;
    else
        rows->left = true;
    return true;
}

static enum err_code run_finish(struct catalog_call *call, struct catalog *c,
                                struct err *err)
{
    struct jobs_entry *e = (struct jobs_entry *)(void *)((char *)call -
                               offsetof(struct jobs_entry, call));
    const struct catalog_job_end end = {
        .state = e->final,
        .cause = e->final == CATALOG_JOB_FAILED ||
                         e->final == CATALOG_JOB_CANCELLED
                     ? &e->cause
                     : NULL,
        .exit = (int)e->exit,
        .result = e->result,
    };

    struct last_rows rows = {.well = e->final == CATALOG_JOB_SUCCEEDED ||
                                     e->final == CATALOG_JOB_WARNED};

    if (e->leave_running)
        return ERR_OK;
    if (catalog_begin(c, err) != ERR_OK ||
        catalog_journal_each_open(c, e->job.id, see_row, &rows, err) !=
            ERR_OK ||
        catalog_job_finish(c, e->job.id, &end, err) != ERR_OK)
        return err->code; /* what was begun is rolled back */
    for (size_t i = 0; i < rows.count; i++)
        if (catalog_journal_close(c, rows.over[i], err) != ERR_OK)
            return err->code;
    e->left = rows.left;
    return catalog_commit(c, err);
}

static void on_end_again(struct timer *t)
{
    struct jobs_entry *e = (struct jobs_entry *)(void *)((char *)t -
                               offsetof(struct jobs_entry, hurry));

    catalog_call_start(e->jobs->engine->catalog, &e->call);
}

static void on_finished(struct catalog_call *call, const struct err *err)
{
    struct jobs_entry *e = (struct jobs_entry *)(void *)((char *)call -
                               offsetof(struct jobs_entry, call));
    struct jobs *jobs = e->jobs;

    (void)FAILPOINT("job_end_written");
    if (err->code != ERR_OK) {
        log_event(LOG_ERROR, "job_end_not_written", log_text("job", e->job.id),
                  log_err(err), LOG_END);
        /* The disk is full, perhaps. Else it would be shown as running until
         * the next start. */
        if (!jobs->stopping) {
            timer_start(jobs->engine->control, &e->hurry, END_AGAIN_MS,
                        on_end_again);
            return;
        }
    }
    api_job_changed(jobs->engine->api, e->job.id);
    jobs->running--;
    if (e->counted)
        jobs_count_end(&e->counts);
    entry_unlink(jobs, e);
    if (e->left)
        reconcile_look(jobs->engine->reconcile, e->job.pool_id,
                       e->job.vault_id);
    else if (e->cause.code == ERR_OK && !e->leave_running)
        reconcile_works(jobs->engine->reconcile, e->job.vault_id);
    jobs_entry_free(e);
    jobs_wake(jobs);
}

void jobs_entry_ended(struct jobs_entry *e)
{
    bool well = e->cause.code == ERR_OK;

    log_event(well ? LOG_INFO : LOG_WARN, "job_ended",
              log_text("job", e->job.id), log_text("kind", e->job.kind->name),
              log_text("tenant", e->job.tenant),
              log_text("state", catalog_job_state_name(e->final)),
              log_text("error", well ? NULL : e->cause.text), LOG_END);
    /* Cancelled only because this process ends: the next one takes it up. */
    e->leave_running = e->jobs->stopping && !e->cancel &&
                       e->final == CATALOG_JOB_CANCELLED;
    (void)FAILPOINT("job_ends");
    e->state = ENTRY_ENDING;
    e->call.run = run_finish;
    e->call.done = on_finished;
    catalog_call_start(e->jobs->engine->catalog, &e->call);
}

static void on_hurry(struct timer *t)
{
    struct jobs_entry *e = (struct jobs_entry *)(void *)((char *)t -
                               offsetof(struct jobs_entry, hurry));

    timer_start(e->jobs->engine->control, t, HURRY_AGAIN_MS, on_hurry);
    e->job.kind->hurry(&e->job);
}

void jobs_tell_cancel(struct jobs_entry *e)
{
    if (e->state != ENTRY_RUNNING || e->cancel_told)
        return;
    e->cancel_told = true;
    if (e->job.kind->hurry)
        timer_start(e->jobs->engine->control, &e->hurry, HURRY_MS, on_hurry);
    e->job.kind->cancel(&e->job); /* it may be over */
}

void jobs_end_queued(struct jobs_entry *e, const struct err *why)
{
    struct jobs *jobs = e->jobs;

    jobs->queued--;
    jobs->running++; /* it ends like a running one */
    e->state = ENTRY_RUNNING;
    job_finish(&e->job, why, EXIT_PEER_NONE, NULL);
}

/* --- start and end of the engine ----------------------------------------- */

enum err_code jobs_new(struct engine *e, struct jobs **out, struct err *err)
{
    struct jobs *jobs = calloc(1, sizeof(*jobs));

    if (jobs)
        jobs->counts = jobs_count_new();
    if (!jobs || !jobs->counts) {
        free(jobs);
        return err_set(err, ERR_NOMEM, 0, "jobs");
    }
    jobs->engine = e;
    jobs->last = &jobs->first;
    *out = jobs;
    return ERR_OK;
}

struct resuming {
    struct catalog_call call;
    struct jobs *jobs;
    struct jobs_entry *first, **last;
    unsigned count;
    struct err err;
    void (*done)(void *ctx, const struct err *err);
    void *ctx;
};

static bool keep_job(void *ctx, const struct catalog_job *row)
{
    struct resuming *r = ctx;
    struct jobs_entry *e = jobs_entry_new(r->jobs, row, &r->err);

    if (!e)
        return false;
    /* Rows come newest first. */
    e->next = r->first;
    r->first = e;
    return true;
}

static enum err_code run_resume(struct catalog_call *call, struct catalog *c,
                                struct err *err)
{
    struct resuming *r = (struct resuming *)call;
    const struct catalog_job_filter filter = {.unfinished = true};
    struct catalog_page page = {.limit = 1000};
    char cursor[CATALOG_CURSOR] = "";

    if (catalog_job_requeue_all(c, &r->count, err) != ERR_OK)
        return err->code;
    do {
        page.cursor = cursor;
        if (catalog_job_each(c, &filter, &page, keep_job, r, err) != ERR_OK)
            return err->code;
        memcpy(cursor, page.next, sizeof(cursor));
    } while (*cursor && r->err.code == ERR_OK);
    for (struct jobs_entry *e = r->first; e; e = e->next)
        jobs_entry_find_store(e, c);
    if (r->err.code != ERR_OK)
        *err = r->err;
    return err->code;
}

static void on_resumed(struct catalog_call *call, const struct err *err)
{
    struct resuming *r = (struct resuming *)call;
    struct jobs *jobs = r->jobs;
    const struct err gone = {
        .code = ERR_AGAIN,
        .text = "the gateway was restarted while this was streamed"};

    while (r->first) {
        struct jobs_entry *e = r->first;

        r->first = e->next;
        jobs_entry_link(jobs, e);
        if (json_get(e->job.params, "output"))
            jobs_end_queued(e, &gone);
    }
    jobs->resuming = false;
    jobs->resumed = true;
    if (r->count)
        log_event(LOG_INFO, "jobs_taken_up_again", log_u64("jobs", r->count),
                  LOG_END);
    jobs_wake(jobs);
    r->done(r->ctx, err);
    free(r);
}

void jobs_resume(struct jobs *jobs,
                 void (*done)(void *ctx, const struct err *err), void *ctx)
{
    struct resuming *r = calloc(1, sizeof(*r));

    if (!r) {
        const struct err err = {.code = ERR_NOMEM, .text = "jobs"};

        done(ctx, &err);
        return;
    }
    r->jobs = jobs;
    r->done = done;
    r->ctx = ctx;
    r->call.run = run_resume;
    r->call.done = on_resumed;
    jobs->resuming = true;
    catalog_call_start(jobs->engine->catalog, &r->call);
}

void jobs_stop(struct jobs *jobs, void (*stopped)(void *ctx), void *ctx)
{
    const struct err ends = {.code = ERR_AGAIN,
                             .text = "this gateway is about to end"};
    struct jobs_entry *next;

    jobs->stopping = true;
    jobs->stopped = stopped;
    jobs->stopped_ctx = ctx;
    for (struct jobs_entry *e = jobs->first; e; e = next) {
        next = e->next;
        if (e->state == ENTRY_ENDING && timer_is_armed(&e->hurry)) {
            timer_stop(&e->hurry);
            on_end_again(&e->hurry);
        }
        if (e->state == ENTRY_QUEUED && e->job.stream)
            jobs_end_queued(e, &ends); /* no start takes that up */
        else
            jobs_tell_cancel(e);
    }
    jobs_wake(jobs);
}

void jobs_free(struct jobs *jobs)
{
    if (!jobs)
        return;
    while (jobs->first) {
        struct jobs_entry *e = jobs->first;

        /* It sets jobs->first. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        entry_unlink(jobs, e);
        jobs_entry_free(e);
    }
    jobs_count_free(jobs->counts);
    free(jobs);
}
