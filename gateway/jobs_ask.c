/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control API asks of the job engine: a new job, an end, figures.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/backlog.h"
#include "gateway/jobs_entry.h"
#include "gateway/reconcile.h"

#define QUEUE_MAX 10000 /* jobs that wait, of all tenants */

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

    /* All or nothing: a row without an entry would wait until the next start.
     * What was begun is rolled back. */
    if (catalog_begin(c, err) != ERR_OK ||
        catalog_job_add(c, &a->row, a->id, err) != ERR_OK ||
        catalog_job_get(c, 0, a->id, &row, err) != ERR_OK)
        return err->code;
    a->entry = jobs_entry_new(a->jobs, &row, err);
    if (a->entry)
        jobs_entry_find_store(a->entry, c);
    catalog_job_fini(&row);
    if (a->entry && catalog_commit(c, err) != ERR_OK) {
        jobs_entry_free(a->entry);
        a->entry = NULL;
    }
    return err->code;
}

/* Nobody reads what the job would write: it need not wait for its turn. */
static void on_client_gone(void *ctx)
{
    struct jobs_entry *e = ctx;

    e->client_gone = true;
    if (e->state == ENTRY_QUEUED)
        jobs_end_queued(e, &jobs_client_gone);
    else
        jobs_tell_cancel(e);
}

static void on_added(struct catalog_call *call, const struct err *err)
{
    struct adding *a = (struct adding *)call;
    const struct api_stream_events events = {.gone = on_client_gone,
                                             .ctx = a->entry};
    struct jobs *jobs = a->jobs;

    if (a->entry && err->code == ERR_OK) {
        a->entry->job.stream = a->stream;
        jobs_entry_link(jobs, a->entry);
        if (a->stream)
            api_stream_attach(a->stream, &events);
        jobs_wake(jobs);
    }
    if (a->stream && err->code != ERR_OK)
        api_stream_end(a->stream, err, exit_of(err->code, EXIT_PEER_NONE));
    if (a->done)
        a->done(a->ctx, err, a->id);
    adding_free(a);
}

static enum err_code check_room(const struct jobs *jobs, int64_t tenant_id,
                                struct err *err)
{
    unsigned of_tenant = 0;

    for (const struct jobs_entry *e = jobs->first; e; e = e->next)
        of_tenant += e->state == ENTRY_QUEUED && e->job.tenant_id == tenant_id;
    if (jobs->queued >= QUEUE_MAX)
        return err_set(err, ERR_AGAIN, 0, "too many jobs wait already");
    if (!jobs_count_may_wait(jobs->queued, of_tenant, QUEUE_MAX))
        return err_set(err, ERR_AGAIN, 0, "%u jobs of this tenant wait already",
                       of_tenant);
    return ERR_OK;
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
    if (check_room(jobs, spec->tenant_id, err) != ERR_OK)
        return err->code;
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

static void tell(const struct later *l)
{
    if (l->stream)
        api_stream_end(l->stream, &l->err,
                       exit_of(l->err.code, EXIT_PEER_NONE));
    if (l->job_done)
        l->job_done(l->ctx, &l->err, "");
    if (l->json_done)
        l->json_done(l->ctx, &l->err, l->json);
}

static void on_later(struct mail *mail)
{
    tell((struct later *)mail);
    free(mail);
}

static void answer(struct jobs *jobs, const struct later *what)
{
    struct later *l = malloc(sizeof(*l));

    if (!l) {
        tell(what); /* see api_backend.h */
        return;
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
    struct jobs_entry *entry = jobs_entry_find(e->jobs, job_id);
    const struct later l = {.json_done = done, .ctx = done_ctx};
    const struct err why = {.code = ERR_CANCELLED, .text = "cancelled"};

    if (entry) {
        entry->cancel = true;
        if (entry->state == ENTRY_QUEUED)
            jobs_end_queued(entry, &why);
        else
            jobs_tell_cancel(entry);
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
        !json_set_int(l.json, "spill_bytes",
                      e->spill ? (int64_t)spill_total(e->spill) : 0) ||
        !json_set_int(l.json, "spill_used",
                      e->spill ? (int64_t)spill_used(e->spill) : 0) ||
        !json_set_int(l.json, "loop_delay_p99_ms", worst) ||
        !json_set_int(l.json, "jobs_queued", e->jobs->queued) ||
        !json_set_int(l.json, "jobs_running", e->jobs->running) ||
        !json_set_int(l.json, "places_to_tidy", reconcile_open(e->reconcile))) {
        json_free(l.json);
        l.json = NULL;
        err_set(&l.err, ERR_NOMEM, 0, "status");
    }
    answer(e->jobs, &l);
}

static void backend_pool_backlog(void *ctx, int64_t pool_id,
                                 api_json_done_fn *done, void *done_ctx)
{
    struct engine *e = ctx;
    struct later l = {.json_done = done, .ctx = done_ctx};

    l.json = backlog_json(e->backlog, pool_id);
    if (!l.json)
        err_set(&l.err, ERR_NOMEM, 0, "SRs");
    answer(e->jobs, &l);
}

void jobs_backend(struct api_backend *table)
{
    table->pool_backlog = backend_pool_backlog;
    table->status = backend_status;
    table->job_start = backend_job_start;
    table->job_cancel = backend_job_cancel;
    table->stream_open = backend_stream_open;
}
