/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/backlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "gateway/pools.h"
#include "loop/timer.h"
#include "xenapi/xenapi_backlog.h"

#define AGAIN_MIN_MS 250
#define AGAIN_MAX_MS 30000

/* An SR that was ever asked about; stays for as long as the engine. */
struct sr {
    struct sr *next;
    struct backlog *of;
    int64_t pool_id;
    char uuid[40], ref[XENAPI_REF_MAX], name[80];
    bool known, asking;
    uint64_t asked_ms; /* of the loop's clock: when the last answer came */
    size_t disks;
    struct pools_hold *hold;
    struct xenapi_backlog *question;
};

struct backlog {
    struct engine *engine;
    struct sr *srs;
    struct backlog_need *needs;
};

struct backlog *backlog_new(struct engine *e)
{
    struct backlog *b = calloc(1, sizeof(*b));

    if (b)
        b->engine = e;
    return b;
}

void backlog_free(struct backlog *b)
{
    struct sr *next;

    for (struct sr *sr = b ? b->srs : NULL; sr; sr = next) {
        next = sr->next;
        free(sr);
    }
    free(b);
}

static uint64_t limit_of(const struct backlog *b)
{
    return b->engine->config->coalesce_backlog;
}

static uint64_t again_ms(const struct backlog *b)
{
    uint64_t ms = b->engine->config->coalesce_wait_ms / 20;

    return ms < AGAIN_MIN_MS ? AGAIN_MIN_MS
           : ms > AGAIN_MAX_MS ? AGAIN_MAX_MS
                               : ms;
}

static struct sr *sr_get(struct backlog *b, int64_t pool_id,
                         const struct xenapi_sr *of)
{
    struct sr *sr = b->srs;

    while (sr && (sr->pool_id != pool_id || strcmp(sr->uuid, of->uuid) != 0))
        sr = sr->next;
    if (!sr) {
        sr = calloc(1, sizeof(*sr));
        if (!sr)
            return NULL;
        sr->of = b;
        sr->pool_id = pool_id;
        snprintf(sr->uuid, sizeof(sr->uuid), "%s", of->uuid);
        sr->next = b->srs;
        b->srs = sr;
    }
    /* A pool that was restored from a backup of its own has other refs. */
    snprintf(sr->ref, sizeof(sr->ref), "%s", of->ref);
    snprintf(sr->name, sizeof(sr->name), "%s", of->name);
    return sr;
}

/* --- asking -------------------------------------------------------------- */

static void on_look(struct timer *t);

static bool concerns(const struct backlog_need *need, const struct sr *sr)
{
    if (need->pool_id != sr->pool_id)
        return false;
    for (size_t i = 0; i < need->vm->disk_count; i++)
        if (need->vm->disks[i].sr &&
            strcmp(need->vm->disks[i].sr->uuid, sr->uuid) == 0)
            return true;
    return false;
}

/* Who came for a snapshot hears that asking failed; who waits already goes on
 * waiting. A question is cancelled when nobody needs its answer: who came since
 * asks anew. */
static void answered(struct sr *sr, const struct err *err)
{
    struct backlog *b = sr->of;
    bool failed = err->code != ERR_OK && err->code != ERR_CANCELLED;

    if (sr->hold)
        pools_drop(sr->hold);
    sr->hold = NULL;
    sr->asking = false;
    if (err->code == ERR_OK) {
        sr->known = true;
        sr->asked_ms = clock_mono_ms(loop_clock(b->engine->control));
    }
    for (struct backlog_need *n = b->needs; n; n = n->next) {
        if (!concerns(n, sr))
            continue;
        if (failed && !n->told)
            err_keep(&n->err, err);
        timer_start(b->engine->control, &n->look,
                    failed && n->told ? again_ms(b) : 0, on_look);
    }
}

static void on_disks(void *ctx, const struct err *err, size_t disks)
{
    struct sr *sr = ctx;

    sr->question = NULL;
    if (err->code == ERR_OK)
        sr->disks = disks;
    answered(sr, err);
}

static void on_hold(void *ctx, const struct err *err, struct pools_hold *hold)
{
    struct sr *sr = ctx;
    struct err why = *err;

    sr->hold = hold;
    if (why.code == ERR_OK && !sr->of->needs)
        err_set(&why, ERR_CANCELLED, 0, "nobody asks any more");
    if (why.code != ERR_OK ||
        xenapi_backlog_start(hold->session, sr->ref, on_disks, sr,
                             &sr->question, &why) != ERR_OK)
        answered(sr, &why);
}

/* Is what we know of it fresh? Asks where it is not. */
static bool is_fresh(struct sr *sr)
{
    struct backlog *b = sr->of;
    uint64_t now = clock_mono_ms(loop_clock(b->engine->control));

    if (sr->asking)
        return false;
    if (sr->known && now - sr->asked_ms < again_ms(b))
        return true;
    sr->asking = true;
    pools_take(b->engine->pools, sr->pool_id, true, on_hold, sr);
    return false;
}

/* --- those who wait ------------------------------------------------------ */

void backlog_leave(struct backlog_need *need)
{
    struct backlog *b = need->of;
    struct backlog_need **link = b ? &b->needs : NULL;

    if (!b)
        return;
    while (*link != need)
        link = &(*link)->next;
    *link = need->next;
    need->of = NULL;
    timer_stop(&need->look);
    timer_stop(&need->deadline);
    if (b->needs)
        return;
    for (struct sr *sr = b->srs; sr; sr = sr->next)
        if (sr->question)
            xenapi_backlog_cancel(sr->question);
}

static void leave_with(struct backlog_need *need, const struct err *err)
{
    backlog_leave(need);
    need->open(need, err);
}

static void on_deadline(struct timer *t)
{
    struct backlog_need *need =
        (struct backlog_need *)(void *)((char *)t -
                                        offsetof(struct backlog_need,
                                                 deadline));
    uint64_t ms = need->of->engine->config->coalesce_wait_ms;
    struct err err;

    err_set(&err, ERR_AGAIN, 0, "%s, and that stayed so for %ju s (see "
            "coalesce_backlog, coalesce_wait)", need->why,
            (uintmax_t)(ms / 1000));
    leave_with(need, &err);
}

static void tell(struct backlog_need *need, const struct sr *sr)
{
    struct backlog *b = need->of;
    char why[BACKLOG_WHY];

    snprintf(why, sizeof(why), "SR %s has %zu disks waiting to be coalesced, "
             "more than %ju", sr->name, sr->disks, (uintmax_t)limit_of(b));
    timer_start(b->engine->control, &need->look, again_ms(b), on_look);
    if (!need->told)
        timer_start(b->engine->control, &need->deadline,
                    b->engine->config->coalesce_wait_ms, on_deadline);
    need->told = true;
    if (strcmp(why, need->why) == 0)
        return;
    snprintf(need->why, sizeof(need->why), "%s", why);
    need->waits(need, need->why);
}

/* An SR of the VM with too much to do; *asking: one will be known soon. */
static const struct sr *find_trouble(struct backlog_need *need, bool *asking,
                                     struct err *err)
{
    const struct xenapi_vm *vm = need->vm;
    const struct sr *found = NULL;

    for (size_t i = 0; limit_of(need->of) && i < vm->disk_count; i++) {
        struct sr *sr = vm->disks[i].sr
                            ? sr_get(need->of, need->pool_id, vm->disks[i].sr)
                            : NULL;

        if (vm->disks[i].sr && !sr) {
            err_set(err, ERR_NOMEM, 0, "SRs");
            return NULL;
        }
        if (!sr)
            continue;
        *asking |= !is_fresh(sr);
        if (!found && sr->known && sr->disks > limit_of(need->of))
            found = sr;
    }
    return found;
}

static void on_look(struct timer *t)
{
    struct backlog_need *need =
        (struct backlog_need *)(void *)((char *)t -
                                        offsetof(struct backlog_need, look));
    struct err err = need->err;
    const struct sr *sr = NULL;
    bool asking = false;

    if (err.code == ERR_OK)
        sr = find_trouble(need, &asking, &err);
    if (asking)
        return; /* answered() looks again */
    if (err.code != ERR_OK || !sr)
        leave_with(need, &err);
    else
        tell(need, sr);
}

void backlog_enter(struct backlog *b, struct backlog_need *need)
{
    need->of = b;
    need->told = false;
    err_clear(&need->err);
    need->why[0] = 0;
    need->next = b->needs;
    b->needs = need;
    timer_start(b->engine->control, &need->look, 0, on_look);
}

/* --- shown --------------------------------------------------------------- */

static struct json *sr_json(const struct sr *sr, int64_t jobs)
{
    struct json *one = json_new_object();

    if (json_set_text(one, "sr", sr->uuid) &&
        json_set_text(one, "name", sr->name) &&
        json_set_int(one, "disks", (int64_t)sr->disks) &&
        json_set_int(one, "limit", (int64_t)limit_of(sr->of)) &&
        json_set_int(one, "jobs", jobs))
        return one;
    json_free(one);
    return NULL;
}

struct json *backlog_json(const struct backlog *b, int64_t pool_id)
{
    struct json *all = json_new_array();
    bool ok = all != NULL;

    for (const struct sr *sr = b->srs; ok && sr; sr = sr->next) {
        int64_t jobs = 0;

        if (sr->pool_id != pool_id || sr->disks <= limit_of(b))
            continue;
        for (const struct backlog_need *n = b->needs; n; n = n->next)
            jobs += n->told && concerns(n, sr);
        if (jobs)
            ok = json_append(all, sr_json(sr, jobs));
    }
    if (!ok) {
        json_free(all);
        all = NULL;
    }
    return all;
}
