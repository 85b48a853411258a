/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A verification: vault -> [point] -> memory -> pipe -> verdict. What hurts a
 * point fails the job; what a restore passes over is a warning.
 */
#include "gateway/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/vaults.h"
#include "gateway/verify_pipe.h"
#include "tenants/catalog_point.h"

struct checking {
    struct job *job;
    struct vaults_hold *vault;
    struct catalog_call call;
    char point_name[NAME_POINT_BYTES + 1]; /* "": the whole vault */
    int64_t point_row;
    struct budget_need need;
    bool asked, granted;
    struct data_loop *data;
    struct verify_pipe *pipe;
    struct verify_figures figures;
    char first[512]; /* the first thing that hurts */
    bool ending, noted;
    unsigned calls;
    struct err err;
    enum exit_peer peer;
};

static void checking_end(struct checking *v);

static void checking_fail(struct checking *v, const struct err *err,
                          enum exit_peer peer)
{
    if (v->err.code == ERR_OK)
        v->peer = peer;
    err_keep(&v->err, err);
    checking_end(v);
}

static void checking_free(struct checking *v)
{
    struct job *job = v->job;
    struct json *result = json_new_object();
    const struct err err = v->err;
    const enum exit_peer peer = v->peer;

    json_set_int(result, "objects", (int64_t)v->figures.objects_done);
    json_set_int(result, "bytes", (int64_t)v->figures.bytes_done);
    json_set_int(result, "points", (int64_t)v->figures.points);
    json_set_int(result, "findings", (int64_t)v->figures.findings);
    json_set_int(result, "hurts", (int64_t)v->figures.hurts);
    if (v->data)
        engine_data_give(v->data);
    if (v->granted)
        budget_give(job->engine->budget, v->need.tenant, v->need.bytes);
    if (v->vault) {
        job_log_clock(job, v->vault->place);
        vaults_drop(v->vault);
    }
    job->state = NULL;
    free(v);
    job_finish(job, &err, peer, result);
}

static enum err_code run_verdict(struct catalog_call *call, struct catalog *c,
                                 struct err *err)
{
    struct checking *v = (struct checking *)(void *)((char *)call -
                             offsetof(struct checking, call));

    return catalog_point_set_verdict(c, v->point_row,
                                     v->figures.hurts ? "damaged" : "ok", err);
}

static void on_verdict(struct catalog_call *call, const struct err *err)
{
    struct checking *v = (struct checking *)(void *)((char *)call -
                             offsetof(struct checking, call));

    v->calls--;
    if (err->code != ERR_OK)
        job_warn(v->job, "the verdict was not written down: %s", err->text);
    checking_end(v);
}

static void checking_end(struct checking *v)
{
    v->ending = true;
    if (v->asked && !v->granted &&
        budget_withdraw(v->job->engine->budget, &v->need))
        v->asked = false;
    if (v->pipe && v->err.code != ERR_OK)
        verify_pipe_cancel(v->pipe);
    if (v->pipe || v->calls || (v->asked && !v->granted))
        return;
    if (v->point_row && !v->noted &&
        (v->err.code == ERR_OK || v->figures.hurts)) {
        v->noted = true;
        v->calls++;
        v->call.run = run_verdict;
        v->call.done = on_verdict;
        catalog_call_start(v->job->engine->catalog, &v->call);
        return;
    }
    checking_free(v);
}

static void on_finding(void *ctx, bool hurts, const char *object,
                       const char *text)
{
    struct checking *v = ctx;

    if (hurts) {
        if (!*v->first)
            snprintf(v->first, sizeof(v->first), "%s: %s", object, text);
        job_log(v->job, "error", "damage: %s: %s", object, text);
    } else {
        job_warn(v->job, "spoilt, but no point needs it: %s: %s", object,
                 text);
    }
}

static void on_progress(void *ctx, const struct verify_figures *f)
{
    struct checking *v = ctx;

    job_progress(v->job, f->bytes_done, f->bytes);
}

static void on_verified(void *ctx, const struct err *err,
                        const struct verify_figures *f)
{
    struct checking *v = ctx;
    struct err why = *err;

    v->pipe = NULL;
    v->figures = *f;
    /* They are told one by one up to a limit; counted are all. */
    if (why.code == ERR_OK && f->hurts)
        err_set(&why, ERR_INTEGRITY, 0, "vault %s: damage in %ju places; the "
                "first: %s", v->vault->name, (uintmax_t)f->hurts,
                *v->first ? v->first : "not among those that the log names");
    checking_fail(v, &why, EXIT_PEER_STORE);
}

static void on_memory(struct budget_need *need)
{
    struct checking *v = (struct checking *)(void *)((char *)need -
                             offsetof(struct checking, need));
    struct verify_pipe_opts o = {
        .engine = v->job->engine,
        .vault = v->vault->vault,
        .place = v->vault->place,
        .point = *v->point_name ? v->point_name : NULL,
        .full = json_bool(json_get(v->job->params, "full"), true),
        .finding = on_finding,
        .progress = on_progress,
        .done = on_verified,
        .ctx = v,
    };
    struct err err = {0};

    v->granted = true;
    if (v->ending) {
        checking_end(v);
        return;
    }
    job_stage(v->job, "verify");
    v->data = engine_data_take(v->job->engine);
    o.data = v->data;
    if (verify_pipe_start(&o, &v->pipe, &err) != ERR_OK)
        checking_fail(v, &err, EXIT_PEER_NONE);
}

static void ask_memory(struct checking *v)
{
    const struct err no_memory = {.code = ERR_NOMEM, .text = "verify"};

    v->need.tenant = (uint64_t)v->job->tenant_id;
    v->need.bytes = VERIFY_PIPE_BYTES;
    v->need.loop = v->job->engine->control;
    v->need.granted = on_memory;
    v->asked = budget_ask(v->job->engine->budget, &v->need);
    if (!v->asked)
        checking_fail(v, &no_memory, EXIT_PEER_NONE);
}

static enum err_code run_find(struct catalog_call *call, struct catalog *c,
                              struct err *err)
{
    struct checking *v = (struct checking *)(void *)((char *)call -
                             offsetof(struct checking, call));
    const struct catalog_point_filter within = {
        .tenant_id = v->job->tenant_id,
        .vault_id = v->vault->id,
    };
    struct catalog_point p = {0};

    if (catalog_point_get(c, &within, v->job->point, &p, err) != ERR_OK)
        return err->code;
    snprintf(v->point_name, sizeof(v->point_name), "%s", p.name);
    v->point_row = p.row;
    catalog_point_fini(&p);
    return ERR_OK;
}

static void on_found(struct catalog_call *call, const struct err *err)
{
    struct checking *v = (struct checking *)(void *)((char *)call -
                             offsetof(struct checking, call));

    v->calls--;
    if (err->code != ERR_OK || v->ending)
        checking_fail(v, err, EXIT_PEER_STORE);
    else
        ask_memory(v);
}

static void on_vault(void *ctx, const struct err *err,
                     struct vaults_hold *hold)
{
    struct checking *v = ctx;

    v->calls--;
    v->vault = hold;
    if (err->code != ERR_OK || v->ending) {
        checking_fail(v, err, EXIT_PEER_VAULT);
    } else if (*v->job->point) {
        v->calls++;
        v->call.run = run_find;
        v->call.done = on_found;
        catalog_call_start(v->job->engine->catalog, &v->call);
    } else {
        ask_memory(v);
    }
}

static void verify_job_start(struct job *job)
{
    struct checking *v = calloc(1, sizeof(*v));

    if (!v) {
        const struct err err = {.code = ERR_NOMEM, .text = "no memory"};

        job_finish(job, &err, EXIT_PEER_NONE, NULL);
        return;
    }
    v->job = job;
    job->state = v;
    v->calls++;
    vaults_take(job->engine->vaults, job->vault_id, on_vault, v);
}

static void verify_job_cancel(struct job *job)
{
    const struct err err = {.code = ERR_CANCELLED, .text = "cancelled"};

    checking_fail(job->state, &err, EXIT_PEER_NONE);
}

const struct job_kind job_kind_verify = {
    .name = "verify",
    .start = verify_job_start,
    .cancel = verify_job_cancel,
};
