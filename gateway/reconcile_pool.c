/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows of the journal -> session -> sweep -> rows closed
 *
 * A row is closed when the sweep went well, unless something of its job was
 * found while that job ran again: the end of that run decides.
 */
#include "gateway/reconcile_pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "gateway/jobs.h"
#include "gateway/pools.h"
#include "gateway/reconcile_rows.h"
#include "xenapi/xenapi_sweep.h"

struct reconcile_pool {
    struct reconcile_rows rows; /* first */
    struct pools_hold *hold;
    struct xenapi_sweep *sweep;
    bool cancelled;
    struct err err;
    void (*done)(void *ctx, const struct err *err);
    void *ctx;
};

static void pool_end(struct reconcile_pool *p)
{
    reconcile_rows_fini(&p->rows);
    if (p->hold)
        pools_drop(p->hold);
    p->done(p->ctx, &p->err);
    free(p);
}

static void on_settled(struct reconcile_rows *rows, const struct err *err)
{
    struct reconcile_pool *p = (struct reconcile_pool *)rows;

    err_keep(&p->err, err);
    pool_end(p);
}

static void on_swept(void *ctx, const struct err *err,
                     const struct xenapi_sweep_figures *f)
{
    struct reconcile_pool *p = ctx;

    (void)FAILPOINT("reconcile_pool_swept");
    p->sweep = NULL;
    if (f->tasks + f->snapshots + f->vms + f->disks)
        log_event(LOG_INFO, "left_in_pool_removed",
                  log_text("pool", p->hold->name), log_u64("tasks", f->tasks),
                  log_u64("snapshots", f->snapshots), log_u64("vms", f->vms),
                  log_u64("disks", f->disks), LOG_END);
    err_keep(&p->err, err);
    if (p->err.code != ERR_OK) {
        err_context(&p->err, "pool %s", p->hold->name);
        pool_end(p);
        return;
    }
    for (size_t i = 0; i < p->rows.count; i++) {
        struct reconcile_row *r = &p->rows.row[i];

        r->gone = !r->live;
        if (r->what != RECONCILE_SNAPSHOT || *r->ref || !f->snapshotting)
            continue;
        r->gone = false;
        err_set(&p->err, ERR_AGAIN, 0, "pool %s: it is still making snapshots",
                p->hold->name);
    }
    reconcile_rows_settle(&p->rows, on_settled);
}

static bool is_live(void *ctx, const char *job)
{
    struct reconcile_pool *p = ctx;

    if (!jobs_is_live(p->rows.engine->jobs, job))
        return false;
    for (size_t i = 0; i < p->rows.count; i++)
        if (strcmp(p->rows.row[i].job, job) == 0)
            p->rows.row[i].live = true;
    return true;
}

static void on_hold(void *ctx, const struct err *err, struct pools_hold *hold)
{
    struct reconcile_pool *p = ctx;
    struct xenapi_sweep_opts o = {
        .gateway = p->rows.engine->gateway,
        .is_live = is_live,
        .done = on_swept,
        .ctx = p,
    };

    p->err = *err;
    p->hold = hold;
    for (size_t i = 0; i < p->rows.count; i++)
        o.snapshot_may_come |= p->rows.row[i].what == RECONCILE_SNAPSHOT &&
                               !*p->rows.row[i].ref;
    if (p->err.code == ERR_OK && p->cancelled)
        err_set(&p->err, ERR_CANCELLED, 0, "cancelled");
    if (p->err.code == ERR_OK &&
        xenapi_sweep_start(hold->session, &o, &p->sweep, &p->err) == ERR_OK)
        return;
    pool_end(p);
}

static void on_rows(struct reconcile_rows *rows, const struct err *err)
{
    struct reconcile_pool *p = (struct reconcile_pool *)rows;

    if (err->code == ERR_OK) {
        pools_take(rows->engine->pools, rows->pool_id, true, on_hold, p);
        return;
    }
    p->err = *err;
    pool_end(p);
}

struct reconcile_pool *
reconcile_pool_start(struct engine *e, int64_t id,
                     void (*done)(void *ctx, const struct err *err), void *ctx)
{
    struct reconcile_pool *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->rows.engine = e;
    p->rows.pool_id = id;
    p->done = done;
    p->ctx = ctx;
    reconcile_rows_load(&p->rows, on_rows);
    return p;
}

void reconcile_pool_cancel(struct reconcile_pool *p)
{
    p->cancelled = true;
    if (p->sweep)
        xenapi_sweep_cancel(p->sweep);
}
