/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/api.h"
#include "gateway/jobs_entry.h"

#define QUEUE_MAX 10000 /* jobs that wait, of all tenants */
#define TURNS_MAX 4096  /* tenants whose last turn is remembered */

/* When a tenant had its last turn; who never had one is first. */
struct turn {
    int64_t tenant_id;
    uint64_t at;
};

struct jobs {
    struct engine *engine;
    struct jobs_entry *first, **last; /* in order of arrival */
    unsigned queued, running;
    struct turn *turns;
    size_t turn_count;
    uint64_t clock; /* of turns */
    bool resumed, stopping;
    struct mail kick; /* look for the next job, in a later turn */
    bool kicked;
    void (*stopped)(void *ctx);
    void *stopped_ctx;
};

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

static void entry_free(struct jobs_entry *e)
{
    free(e->job.tenant);
    free(e->job.vm_uuid);
    free(e->job.vm_name);
    free(e->job.point);
    json_free(e->job.params);
    json_free(e->warnings);
    free(e->result);
    free(e);
}

static const struct job_kind *kind_find(const char *name)
{
    for (size_t i = 0; i < BYTES_COUNT(kinds); i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

/* Everything but the place in the list. Any thread. */
static struct jobs_entry *entry_new(struct jobs *jobs,
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
    entry_free(e);
    return NULL;
}

static void entry_link(struct jobs *jobs, struct jobs_entry *e)
{
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

static struct jobs_entry *entry_find(struct jobs *jobs, const char *id)
{
    struct jobs_entry *e = jobs->first;

    while (e && strcmp(e->job.id, id) != 0)
        e = e->next;
    return e;
}

/* --- who is next --------------------------------------------------------- */

static uint64_t *turn_of(struct jobs *jobs, int64_t tenant_id)
{
    struct turn *turns;

    for (size_t i = 0; i < jobs->turn_count; i++)
        if (jobs->turns[i].tenant_id == tenant_id)
            return &jobs->turns[i].at;
    if (jobs->turn_count == TURNS_MAX)
        jobs->turn_count = 0; /* forget all: fairness begins anew */
    turns = realloc(jobs->turns, (jobs->turn_count + 1) * sizeof(*turns));
    if (!turns)
        return NULL;
    jobs->turns = turns;
    turns[jobs->turn_count] = (struct turn){.tenant_id = tenant_id};
    return &turns[jobs->turn_count++].at;
}

static unsigned running_in_pool(const struct jobs *jobs, int64_t pool_id)
{
    unsigned n = 0;

    for (const struct jobs_entry *e = jobs->first; e; e = e->next)
        n += e->state != ENTRY_QUEUED && e->job.pool_id == pool_id;
    return n;
}

static bool may_start(const struct jobs *jobs, const struct jobs_entry *e)
{
    const struct config *c = jobs->engine->config;

    if (e->state != ENTRY_QUEUED)
        return false;
    return !e->job.pool_id ||
           running_in_pool(jobs, e->job.pool_id) < c->jobs_per_pool;
}

static struct jobs_entry *next_entry(struct jobs *jobs)
{
    struct jobs_entry *best = NULL;
    uint64_t best_at = 0;

    if (jobs->running >= jobs->engine->config->jobs_at_once)
        return NULL;
    for (struct jobs_entry *e = jobs->first; e; e = e->next) {
        uint64_t *at = may_start(jobs, e) ? turn_of(jobs, e->job.tenant_id)
                                          : NULL;

        if (at && (!best || *at < best_at)) {
            best = e;
            best_at = *at;
        }
    }
    return best;
}

static void kick(struct jobs *jobs);

static void on_started(struct catalog_call *call, const struct err *err)
{
    struct jobs_entry *e = (struct jobs_entry *)(void *)((char *)call -
                               offsetof(struct jobs_entry, call));

    const struct err gone = {.code = ERR_CANCELLED, .text = "cancelled"};

    e->state = ENTRY_RUNNING;
    /* With an earlier attempt there may be things to take away: then the kind
     * starts, does that, and finds that it was cancelled. */
    if (err->code == ERR_OK && (e->jobs->stopping ||
                                (e->cancel && e->job.attempt <= 1)))
        err = &gone;
    if (err->code != ERR_OK) {
        job_finish(&e->job, err, EXIT_PEER_NONE, NULL);
        return;
    }
    log_event(LOG_INFO, "job_started", log_text("job", e->job.id),
              log_text("kind", e->job.kind->name),
              log_text("tenant", e->job.tenant),
              log_text("vm", e->job.vm_name), LOG_END);
    api_job_changed(e->jobs->engine->api, e->job.id);
    e->job.kind->start(&e->job);
}

static enum err_code run_start(struct catalog_call *call, struct catalog *c,
                               struct err *err)
{
    const struct jobs_entry *e = (const struct jobs_entry *)(void *)((char *)
                                     call - offsetof(struct jobs_entry, call));

    return catalog_job_start(c, e->job.id, err);
}

static void start(struct jobs *jobs, struct jobs_entry *e)
{
    uint64_t *at = turn_of(jobs, e->job.tenant_id);

    if (at)
        *at = ++jobs->clock;
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
    if (jobs->stopping && !jobs->running && jobs->stopped) {
        void (*stopped)(void *) = jobs->stopped;

        jobs->stopped = NULL;
        stopped(jobs->stopped_ctx);
    }
}

static void kick(struct jobs *jobs)
{
    if (jobs->kicked)
        return;
    jobs->kicked = true;
    jobs->kick.deliver = on_kick;
    loop_send(jobs->engine->control, &jobs->kick);
}

/* --- the end of a job ---------------------------------------------------- */

static enum err_code run_finish(struct catalog_call *call, struct catalog *c,
                                struct err *err)
{
    const struct jobs_entry *e = (const struct jobs_entry *)(void *)((char *)
                                     call - offsetof(struct jobs_entry, call));
    const struct catalog_job_end end = {
        .state = e->final,
        .cause = e->final == CATALOG_JOB_FAILED ||
                         e->final == CATALOG_JOB_CANCELLED
                     ? &e->cause
                     : NULL,
        .exit = (int)e->exit,
        .result = e->result,
    };

    if (e->leave_running)
        return ERR_OK;
    return catalog_job_finish(c, e->job.id, &end, err);
}

static void on_finished(struct catalog_call *call, const struct err *err)
{
    struct jobs_entry *e = (struct jobs_entry *)(void *)((char *)call -
                               offsetof(struct jobs_entry, call));
    struct jobs *jobs = e->jobs;

    if (err->code != ERR_OK)
        log_event(LOG_ERROR, "job_end_not_written", log_text("job", e->job.id),
                  log_err(err), LOG_END);
    api_job_changed(jobs->engine->api, e->job.id);
    jobs->running--;
    entry_unlink(jobs, e);
    entry_free(e);
    kick(jobs);
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
    e->state = ENTRY_ENDING;
    e->call.run = run_finish;
    e->call.done = on_finished;
    catalog_call_start(e->jobs->engine->catalog, &e->call);
}

static void tell_cancel(struct jobs_entry *e)
{
    if (e->state != ENTRY_RUNNING || e->cancel_told)
        return;
    e->cancel_told = true;
    e->job.kind->cancel(&e->job);
}

/* A job that never started ends here. */
static void end_queued(struct jobs_entry *e, const struct err *why)
{
    struct jobs *jobs = e->jobs;

    jobs->queued--;
    jobs->running++; /* it ends like a running one */
    e->state = ENTRY_RUNNING;
    job_finish(&e->job, why, EXIT_PEER_NONE, NULL);
}

/* --- new jobs ------------------------------------------------------------ */

struct adding {
    struct catalog_call call;
    struct jobs *jobs;
    struct catalog_job row;
    char *texts[6];
    char id[CATALOG_JOB_ID];
    struct jobs_entry *entry; /* made on the lane */
    struct api_stream *stream;
    api_job_done_fn *done;
    void *ctx;
};

static void adding_free(struct adding *a)
{
    for (size_t i = 0; i < BYTES_COUNT(a->texts); i++)
        free(a->texts[i]);
    free(a);
}

static enum err_code run_add(struct catalog_call *call, struct catalog *c,
                             struct err *err)
{
    struct adding *a = (struct adding *)call;
    struct catalog_job row = {0};

    if (catalog_job_add(c, &a->row, a->id, err) != ERR_OK ||
        catalog_job_get(c, 0, a->id, &row, err) != ERR_OK)
        return err->code;
    a->entry = entry_new(a->jobs, &row, err);
    catalog_job_fini(&row);
    return err->code;
}

static void on_added(struct catalog_call *call, const struct err *err)
{
    struct adding *a = (struct adding *)call;
    struct jobs *jobs = a->jobs;

    if (a->entry && err->code == ERR_OK) {
        a->entry->job.stream = a->stream;
        entry_link(jobs, a->entry);
        kick(jobs);
    }
    if (a->stream && err->code != ERR_OK)
        api_stream_end(a->stream, err, exit_of(err->code, EXIT_PEER_NONE));
    if (a->done)
        a->done(a->ctx, err, a->id);
    adding_free(a);
}

static enum err_code add(struct jobs *jobs, const struct api_job_spec *spec,
                         struct api_stream *stream, api_job_done_fn *done,
                         void *ctx, struct err *err)
{
    struct adding *a;
    const char *texts[] = {spec->kind,  spec->vm_uuid, spec->vm_name,
                           spec->point, spec->params,  spec->retry_of};

    if (jobs->stopping)
        return err_set(err, ERR_AGAIN, 0, "this gateway is about to end");
    if (jobs->queued >= QUEUE_MAX)
        return err_set(err, ERR_AGAIN, 0, "%u jobs wait already",
                       jobs->queued);
    a = calloc(1, sizeof(*a));
    if (!a)
        return err_set(err, ERR_NOMEM, 0, "job");
    for (size_t i = 0; i < BYTES_COUNT(texts); i++) {
        a->texts[i] = strdup(texts[i] ? texts[i] : "");
        if (!a->texts[i]) {
            adding_free(a);
            return err_set(err, ERR_NOMEM, 0, "job");
        }
    }
    a->jobs = jobs;
    a->stream = stream;
    a->done = done;
    a->ctx = ctx;
    a->row.kind = a->texts[0];
    a->row.vm_uuid = a->texts[1];
    a->row.vm_name = a->texts[2];
    a->row.point = a->texts[3];
    a->row.params = a->texts[4];
    a->row.retry_of = a->texts[5];
    a->row.tenant_id = spec->tenant_id;
    a->row.pool_id = spec->pool_id;
    a->row.vault_id = spec->vault_id;
    a->call.run = run_add;
    a->call.done = on_added;
    catalog_call_start(jobs->engine->catalog, &a->call);
    return ERR_OK;
}

/* An answer that must come later although there is nothing to wait for. */
struct later {
    struct mail mail;
    struct err err;
    api_job_done_fn *job_done;
    api_json_done_fn *json_done;
    struct json *json;
    struct api_stream *stream;
    void *ctx;
};

static void on_later(struct mail *mail)
{
    struct later *l = (struct later *)mail;

    if (l->stream)
        api_stream_end(l->stream, &l->err,
                       exit_of(l->err.code, EXIT_PEER_NONE));
    if (l->job_done)
        l->job_done(l->ctx, &l->err, "");
    if (l->json_done)
        l->json_done(l->ctx, &l->err, l->json);
    free(l);
}

static void answer(struct jobs *jobs, const struct later *what)
{
    struct later *l = malloc(sizeof(*l));

    if (!l) {
        log_event(LOG_ERROR, "no_memory_for_answer", LOG_END);
        abort(); /* a call that never ends would be worse */
    }
    *l = *what;
    l->mail.deliver = on_later;
    loop_send(jobs->engine->control, &l->mail);
}

static void backend_job_start(void *ctx, const struct api_job_spec *spec,
                              api_job_done_fn *done, void *done_ctx)
{
    struct engine *e = ctx;
    struct later l = {.job_done = done, .ctx = done_ctx};

    if (add(e->jobs, spec, NULL, done, done_ctx, &l.err) != ERR_OK)
        answer(e->jobs, &l);
}

static void backend_stream_open(void *ctx, const struct api_stream_spec *spec)
{
    struct engine *e = ctx;
    struct later l = {.stream = spec->stream};

    if (add(e->jobs, &spec->job, spec->stream, NULL, NULL, &l.err) != ERR_OK)
        answer(e->jobs, &l);
}

static void backend_job_cancel(void *ctx, const char *job_id,
                               api_json_done_fn *done, void *done_ctx)
{
    struct engine *e = ctx;
    struct jobs_entry *entry = entry_find(e->jobs, job_id);
    const struct later l = {.json_done = done, .ctx = done_ctx};
    const struct err why = {.code = ERR_CANCELLED, .text = "cancelled"};

    if (entry) {
        entry->cancel = true;
        /* One that ran before may have left things: it starts, and ends at
         * once with the clean-up. */
        if (entry->state == ENTRY_QUEUED && entry->job.attempt <= 1)
            end_queued(entry, &why);
        else
            tell_cancel(entry);
    }
    answer(e->jobs, &l);
}

static void backend_status(void *ctx, api_json_done_fn *done, void *done_ctx)
{
    struct engine *e = ctx;
    struct later l = {.json_done = done, .ctx = done_ctx};
    uint32_t worst = 0;

    for (unsigned i = 0; i < e->data_count; i++) {
        uint32_t ms = delay_percentile_ms(e->data[i].delay, 99);

        worst = ms > worst ? ms : worst;
    }
    l.json = json_new_object();
    if (!json_set_text(l.json, "gateway", e->gateway) ||
        !json_set_int(l.json, "uptime_s",
                      (int64_t)((clock_mono_ms(loop_clock(e->control)) -
                                 e->started_ms) / 1000)) ||
        !json_set_int(l.json, "memory_bytes",
                      (int64_t)budget_total(e->budget)) ||
        !json_set_int(l.json, "memory_used", (int64_t)budget_used(e->budget)) ||
        !json_set_int(l.json, "memory_peak", (int64_t)budget_peak(e->budget)) ||
        !json_set_int(l.json, "loop_delay_p99_ms", worst) ||
        !json_set_int(l.json, "jobs_queued", e->jobs->queued) ||
        !json_set_int(l.json, "jobs_running", e->jobs->running)) {
        json_free(l.json);
        l.json = NULL;
        err_set(&l.err, ERR_NOMEM, 0, "status");
    }
    answer(e->jobs, &l);
}

void jobs_backend(struct api_backend *table)
{
    table->status = backend_status;
    table->job_start = backend_job_start;
    table->job_cancel = backend_job_cancel;
    table->stream_open = backend_stream_open;
}

/* --- start and end of the engine ----------------------------------------- */

enum err_code jobs_new(struct engine *e, struct jobs **out, struct err *err)
{
    struct jobs *jobs = calloc(1, sizeof(*jobs));

    if (!jobs)
        return err_set(err, ERR_NOMEM, 0, "jobs");
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
    struct jobs_entry *e = entry_new(r->jobs, row, &r->err);

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
        entry_link(jobs, e);
        if (json_get(e->job.params, "output"))
            end_queued(e, &gone);
    }
    jobs->resumed = true;
    if (r->count)
        log_event(LOG_INFO, "jobs_taken_up_again", log_u64("jobs", r->count),
                  LOG_END);
    kick(jobs);
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
    catalog_call_start(jobs->engine->catalog, &r->call);
}

void jobs_stop(struct jobs *jobs, void (*stopped)(void *ctx), void *ctx)
{
    struct jobs_entry *next;

    jobs->stopping = true;
    jobs->stopped = stopped;
    jobs->stopped_ctx = ctx;
    for (struct jobs_entry *e = jobs->first; e; e = next) {
        next = e->next;
        tell_cancel(e);
    }
    kick(jobs);
}

void jobs_free(struct jobs *jobs)
{
    if (!jobs)
        return;
    while (jobs->first) {
        struct jobs_entry *e = jobs->first;

        /* It sets jobs->first. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        entry_unlink(jobs, e);
        entry_free(e);
    }
    free(jobs->turns);
    free(jobs);
}
