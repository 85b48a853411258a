/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/history.h"

#include <stdlib.h>

#include "base/log.h"
#include "gateway/catalog_call.h"
#include "loop/timer.h"
#include "tenants/catalog_audit.h"
#include "tenants/catalog_job.h"

#define FIRST_MS ((uint64_t)1000)
#define EVERY_MS ((uint64_t)3600 * 1000)
#define MORE_MS ((uint64_t)100) /* others want the catalog, too */

struct history {
    struct engine *engine;
    struct catalog_call call;
    struct timer timer;
    uint64_t jobs_before_ms, lines_before_ms;
    unsigned jobs, lines;
    bool busy;
    void (*closed)(void *ctx);
    void *ctx;
};

static void on_time(struct timer *t);

static enum err_code run_expire(struct catalog_call *call, struct catalog *c,
                                struct err *err)
{
    struct history *h = (struct history *)(void *)((char *)call -
                            offsetof(struct history, call));

    h->jobs = h->lines = 0;
    if (catalog_job_expire(c, h->jobs_before_ms, &h->jobs, err) == ERR_OK)
        catalog_audit_expire(c, h->lines_before_ms, &h->lines, err);
    return err->code;
}

static void on_expired(struct catalog_call *call, const struct err *err)
{
    struct history *h = (struct history *)(void *)((char *)call -
                            offsetof(struct history, call));
    bool more = err->code == ERR_OK &&
                (h->jobs == CATALOG_JOB_EXPIRE_MAX ||
                 h->lines == CATALOG_AUDIT_EXPIRE_MAX);

    h->busy = false;
    if (err->code != ERR_OK)
        log_event(LOG_ERROR, "history_not_cut", log_err(err), LOG_END);
    else if (h->jobs || h->lines)
        log_event(LOG_INFO, "history_cut", log_u64("jobs", h->jobs),
                  log_u64("audit_lines", h->lines), LOG_END);
    if (h->closed)
        h->closed(h->ctx);
    else
        timer_start(h->engine->control, &h->timer, more ? MORE_MS : EVERY_MS,
                    on_time);
}

/* A clock that was never set knows of nothing that is so old. */
static uint64_t before(const struct engine *e, uint64_t kept_ms)
{
    uint64_t now = clock_wall_ms(loop_clock(e->control));

    return now > kept_ms ? now - kept_ms : 0;
}

static void on_time(struct timer *t)
{
    struct history *h = (struct history *)(void *)((char *)t -
                            offsetof(struct history, timer));
    struct engine *e = h->engine;

    h->jobs_before_ms = before(e, e->config->job_history_ms);
    h->lines_before_ms = before(e, e->config->audit_history_ms);
    h->busy = true;
    h->call.run = run_expire;
    h->call.done = on_expired;
    catalog_call_start(e->catalog, &h->call);
}

enum err_code history_new(struct engine *e, struct history **out,
                          struct err *err)
{
    struct history *h = calloc(1, sizeof(*h));

    if (!h)
        return err_set(err, ERR_NOMEM, 0, "history");
    h->engine = e;
    timer_start(e->control, &h->timer, FIRST_MS, on_time);
    *out = h;
    return ERR_OK;
}

void history_close(struct history *h, void (*closed)(void *ctx), void *ctx)
{
    timer_stop(&h->timer);
    h->closed = closed;
    h->ctx = ctx;
    if (!h->busy)
        closed(ctx);
}

void history_free(struct history *h)
{
    if (!h)
        return;
    timer_stop(&h->timer);
    free(h);
}
