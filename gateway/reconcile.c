/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place:  DUE -> RUNNING -> CLEAN
 *            ^        |   \-> WAITING --timer--> DUE
 *            |        \-> LEFT (only a person can help)
 *            +-- reconcile_look(), reconcile_changed()
 */
#include "gateway/reconcile.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/jobs.h"
#include "gateway/reconcile_pool.h"
#include "gateway/reconcile_vault.h"
#include "loop/timer.h"
#include "net/retry.h"
#include "tenants/catalog_journal.h"
#include "tenants/catalog_pool.h"

#define AT_ONCE 8 /* places that are looked at */
#define BASE_MS 5000
#define CAP_MS ((uint64_t)10 * 60 * 1000)
#define HOLD_MS ((uint64_t)5 * 60 * 1000) /* jobs wait at the start, at most */

enum site_state {
    SITE_CLEAN,
    SITE_DUE,
    SITE_RUNNING,
    SITE_WAITING,
    SITE_LEFT,
};

/* A pool or a vault. */
struct site {
    struct reconcile *r;
    struct site *next;
    bool is_vault;
    int64_t id;
    enum site_state state;
    bool tried; /* jobs need not wait for it */
    bool again; /* asked for while it was looked at */
    bool soon;  /* the timer was shortened already */
    struct retry retry;
    struct timer timer;
    struct reconcile_pool *pool;
    struct reconcile_vault *vault;
};

struct reconcile {
    struct engine *engine;
    struct site *first;
    struct catalog_call call;
    bool loaded, stopping;
    unsigned running;
    struct timer hold;
    struct mail kick;
    bool kicked;
    int64_t *found; /* pools, then vaults, of the catalog call */
    size_t found_pools, found_count;
    bool no_memory;
    void (*started)(void *ctx, const struct err *err);
    void *started_ctx;
    void (*stopped)(void *ctx);
    void *stopped_ctx;
};

static const struct retry_policy policy = {.base_ms = BASE_MS,
                                           .cap_ms = CAP_MS};

static uint64_t now_ms(const struct reconcile *r)
{
    return clock_mono_ms(loop_clock(r->engine->control));
}

static struct site *site_find(const struct reconcile *r, bool is_vault,
                                    int64_t id)
{
    struct site *s = r->first;

    while (s && (s->is_vault != is_vault || s->id != id))
        s = s->next;
    return s;
}

static struct site *site_add(struct reconcile *r, bool is_vault,
                                   int64_t id)
{
    struct site *s = site_find(r, is_vault, id);

    if (s)
        return s;
    s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->r = r;
    s->is_vault = is_vault;
    s->id = id;
    s->next = r->first;
    r->first = s;
    retry_init(&s->retry, &policy, now_ms(r));
    return s;
}

bool reconcile_lets(const struct reconcile *r, int64_t pool_id,
                    int64_t vault_id)
{
    const struct site *pool = site_find(r, false, pool_id);
    const struct site *vault = site_find(r, true, vault_id);

    return r->loaded && (!pool || pool->tried) && (!vault || vault->tried);
}

unsigned reconcile_open(const struct reconcile *r)
{
    unsigned n = 0;

    for (const struct site *s = r->first; s; s = s->next)
        n += s->state != SITE_CLEAN;
    return n;
}

/* --- one place ----------------------------------------------------------- */

static void kick(struct reconcile *r);

static void on_site_due(struct timer *t)
{
    struct site *s = (struct site *)(void *)((char *)t -
                               offsetof(struct site, timer));

    s->state = SITE_DUE;
    kick(s->r);
}

/* Asking again and again helps nobody, and a pool makes one wait for it. */
static bool is_hopeless(const struct err *err)
{
    return err->code == ERR_DENIED || err->code == ERR_KEY ||
           err->code == ERR_INTEGRITY;
}

static void site_failed(struct site *s, const struct err *err)
{
    uint64_t delay = 0;

    s->state = is_hopeless(err) ? SITE_LEFT : SITE_WAITING;
    if (s->state == SITE_WAITING) {
        retry_again(&s->retry, now_ms(s->r), 0, &delay);
        timer_start(s->r->engine->control, &s->timer, delay, on_site_due);
    }
    log_event(LOG_WARN, "not_tidied",
              log_text("what", s->is_vault ? "vault" : "pool"),
              log_u64("id", (uint64_t)s->id), log_err(err),
              log_u64("again_ms", delay), LOG_END);
}

static void on_site_done(void *ctx, const struct err *err)
{
    struct site *s = ctx;
    struct reconcile *r = s->r;

    s->pool = NULL;
    s->vault = NULL;
    s->tried = true;
    r->running--;
    if (err->code == ERR_OK || err->code == ERR_NOT_FOUND) {
        s->state = s->again ? SITE_WAITING : SITE_CLEAN;
        if (s->again)
            timer_start(r->engine->control, &s->timer, BASE_MS, on_site_due);
        else
            retry_reset(&s->retry, now_ms(r));
    } else if (!r->stopping) {
        site_failed(s, err);
    }
    s->again = false;
    jobs_wake(r->engine->jobs);
    kick(r);
}

static void site_run(struct site *s)
{
    struct engine *e = s->r->engine;
    const struct err err = {.code = ERR_NOMEM, .text = "no memory"};

    timer_stop(&s->timer);
    s->soon = false;
    s->state = SITE_RUNNING;
    s->r->running++;
    if (s->is_vault)
        s->vault = reconcile_vault_start(e, s->id, on_site_done, s);
    else
        s->pool = reconcile_pool_start(e, s->id, on_site_done, s);
    if (!s->pool && !s->vault)
        on_site_done(s, &err);
}

/* --- all places ---------------------------------------------------------- */

static void on_kick(struct mail *mail)
{
    struct reconcile *r = (struct reconcile *)(void *)((char *)mail -
                              offsetof(struct reconcile, kick));

    r->kicked = false;
    for (struct site *s = r->first;
         s && r->running < AT_ONCE && !r->stopping; s = s->next)
        if (s->state == SITE_DUE)
            site_run(s);
    if (r->stopping && !r->running && !r->kicked && r->loaded && r->stopped) {
        void (*stopped)(void *) = r->stopped;

        r->stopped = NULL;
        stopped(r->stopped_ctx);
    }
}

static void kick(struct reconcile *r)
{
    if (r->kicked)
        return;
    r->kicked = true;
    r->kick.deliver = on_kick;
    loop_send(r->engine->control, &r->kick);
}

/* A look costs something: at most one in BASE_MS after the last. */
static void look(struct reconcile *r, bool is_vault, int64_t id)
{
    struct site *s = id ? site_add(r, is_vault, id) : NULL;

    if (!s || r->stopping)
        return;
    if (r->loaded)
        s->tried = true; /* jobs have been there already */
    if (s->state == SITE_RUNNING) {
        s->again = true;
    } else if (!timer_is_armed(&s->timer) && s->state != SITE_DUE) {
        uint64_t delay = 0;

        retry_again(&s->retry, now_ms(r), 0, &delay);
        s->state = SITE_WAITING;
        timer_start(r->engine->control, &s->timer, delay, on_site_due);
    }
}

void reconcile_look(struct reconcile *r, int64_t pool_id, int64_t vault_id)
{
    look(r, false, pool_id);
    look(r, true, vault_id);
}

static void changed(struct reconcile *r, bool is_vault, int64_t id)
{
    struct site *s = site_find(r, is_vault, id);
    bool is_new = !s && !is_vault && id && r->loaded;

    /* A pool that is added may have been ours before the catalog was lost. */
    if (is_new)
        s = site_add(r, is_vault, id);
    if (!s || r->stopping || s->state == SITE_RUNNING ||
        (s->state == SITE_CLEAN && !is_new))
        return;
    s->tried |= is_new;
    retry_reset(&s->retry, now_ms(r));
    timer_stop(&s->timer);
    s->state = SITE_DUE;
    kick(r);
}

void reconcile_changed(struct reconcile *r, int64_t pool_id, int64_t vault_id)
{
    changed(r, false, pool_id);
    changed(r, true, vault_id);
}

void reconcile_works(struct reconcile *r, int64_t vault_id)
{
    struct site *s = site_find(r, true, vault_id);

    if (!s || s->state != SITE_WAITING || s->soon || r->stopping)
        return;
    s->soon = true;
    timer_start(r->engine->control, &s->timer, BASE_MS, on_site_due);
}

/* --- beginning and end --------------------------------------------------- */

static bool found(struct reconcile *r, int64_t id)
{
    int64_t *more = realloc(r->found, (r->found_count + 1) * sizeof(*more));

    r->no_memory |= !more;
    if (!more)
        return false;
    r->found = more;
    more[r->found_count++] = id;
    return true;
}

static bool found_pool(void *ctx, const struct catalog_pool *p)
{
    return found(ctx, p->id);
}

static bool found_row(void *ctx, const struct catalog_journal *j)
{
    struct reconcile *r = ctx;

    for (size_t i = r->found_pools; i < r->found_count; i++)
        if (r->found[i] == j->vault_id)
            return true;
    return !j->vault_id || found(r, j->vault_id);
}

static enum err_code run_start(struct catalog_call *call, struct catalog *c,
                               struct err *err)
{
    struct reconcile *r = (struct reconcile *)(void *)((char *)call -
                              offsetof(struct reconcile, call));
    struct catalog_page page = {.limit = 1000};
    char cursor[CATALOG_CURSOR] = "";

    do {
        page.cursor = cursor;
        if (catalog_pool_each(c, &page, found_pool, r, err) != ERR_OK)
            return err->code;
        memcpy(cursor, page.next, sizeof(cursor));
    } while (*cursor && !r->no_memory);
    r->found_pools = r->found_count;
    catalog_journal_each_open(c, NULL, found_row, r, err);
    if (r->no_memory)
        return err_set(err, ERR_NOMEM, 0, "journal");
    return err->code;
}

static void on_hold_over(struct timer *t)
{
    struct reconcile *r = (struct reconcile *)(void *)((char *)t -
                              offsetof(struct reconcile, hold));

    for (struct site *s = r->first; s; s = s->next)
        s->tried = true;
    jobs_wake(r->engine->jobs);
}

static void on_started(struct catalog_call *call, const struct err *err)
{
    struct reconcile *r = (struct reconcile *)(void *)((char *)call -
                              offsetof(struct reconcile, call));
    struct err why = *err;

    for (size_t i = 0; i < r->found_count && why.code == ERR_OK; i++) {
        struct site *s = site_add(r, i >= r->found_pools, r->found[i]);

        if (s)
            s->state = SITE_DUE;
        else
            err_set(&why, ERR_NOMEM, 0, "journal");
    }
    free(r->found);
    r->found = NULL;
    r->loaded = true;
    timer_start(r->engine->control, &r->hold, HOLD_MS, on_hold_over);
    r->started(r->started_ctx, &why);
    kick(r);
}

void reconcile_start(struct reconcile *r,
                     void (*done)(void *ctx, const struct err *err), void *ctx)
{
    r->started = done;
    r->started_ctx = ctx;
    r->call.run = run_start;
    r->call.done = on_started;
    catalog_call_start(r->engine->catalog, &r->call);
}

enum err_code reconcile_new(struct engine *e, struct reconcile **out,
                            struct err *err)
{
    struct reconcile *r = calloc(1, sizeof(*r));

    if (!r)
        return err_set(err, ERR_NOMEM, 0, "reconcile");
    r->engine = e;
    *out = r;
    return ERR_OK;
}

void reconcile_stop(struct reconcile *r, void (*stopped)(void *ctx), void *ctx)
{
    r->stopping = true;
    r->stopped = stopped;
    r->stopped_ctx = ctx;
    timer_stop(&r->hold);
    for (struct site *s = r->first; s; s = s->next) {
        timer_stop(&s->timer);
        if (s->pool)
            reconcile_pool_cancel(s->pool);
        if (s->vault)
            reconcile_vault_cancel(s->vault);
    }
    kick(r);
}

void reconcile_free(struct reconcile *r)
{
    if (!r)
        return;
    timer_stop(&r->hold);
    while (r->first) {
        struct site *s = r->first;

        r->first = s->next;
        timer_stop(&s->timer);
        free(s);
    }
    free(r->found);
    free(r);
}
