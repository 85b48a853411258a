/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   CREATING -> STREAMING -> JUDGING -> (done)
 *      ^             task succeeds: noted
 *      |             task fails: broken, unless the stream ends soon
 *      +-- the host was not heard, and the task is not to blame: a new one
 */
#include "xenapi/xenapi_exchange.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "xenapi/xenapi_flow.h"
#include "xenapi/xenapi_task.h"
#include "xenapi/xenapi_ticket_inner.h"
#include "xenapi/xenapi_transfer.h"

/* A stream that failed has its task fail soon, if at all. */
#define FAILED_SHARE 6

enum exchange_state { CREATING, STREAMING, JUDGING };

struct xenapi_exchange {
    struct xenapi_flow flow;
    enum exchange_state state;
    struct xenapi_exchange_opts opts;
    char *query, *label;
    char ref[XENAPI_REF_MAX]; /* of the task */
    uint64_t give_up_ms; /* a host that is not heard; 0: none yet */
    uint64_t login;           /* that the ticket holds */
    struct xenapi_task *task; /* watched; NULL: not yet, or it ended */
    bool ended;
    struct err task_err;
    struct err stream_err;
    struct xmlrpc *result;
    struct timer late;
    bool cancelled;
    char gateway[XENAPI_TASK_MARK], job[XENAPI_TASK_MARK]; /* of the mark */
    char mark[XENAPI_TASK_MARK];
    struct err err;
};

static struct xenapi_exchange *of(struct xenapi_flow *f)
{
    return (struct xenapi_exchange *)((char *)f -
                                      offsetof(struct xenapi_exchange, flow));
}

/* The result of an import's task is a set of refs: of the VM, since a full
 * export carries no snapshots. */
static void tell(struct xenapi_exchange *x)
{
    const char *ref = xmlrpc_text(xmlrpc_at(x->result, 0), "");

    if (x->opts.exported) {
        x->opts.exported(x->opts.ctx, &x->err);
        return;
    }
    if (x->err.code == ERR_OK && xenapi_call_is_null(ref))
        err_set(&x->err, ERR_PROTOCOL, 0,
                "the import succeeded, but the pool names no VM");
    x->opts.imported(x->opts.ctx, &x->err, x->err.code ? NULL : ref);
}

static void finish(struct xenapi_exchange *x)
{
    timer_stop(&x->late);
    xenapi_task_unwatch(x->task);
    if (x->ended)
        xenapi_task_discard(x->flow.session, x->ref, false);
    else /* also one that came when all was cancelled, or without memory */
        xenapi_task_abandon(x->flow.session, x->ref);
    xenapi_flow_fini(&x->flow);
    tell(x);
    xmlrpc_free(x->result);
    free(x->query);
    free(x->label);
    free(x);
}

static bool is_unheard(const struct xenapi_exchange *x)
{
    return x->stream_err.detail == XENAPI_TRANSFER_UNHEARD;
}

static void create(struct xenapi_exchange *x);
static void fail(struct xenapi_exchange *x, const struct err *err);

static void on_pause_over(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    if (a->err->code != ERR_OK)
        fail(of(f), a->err);
    else
        create(of(f));
}

/* The host that was to do it was not heard, and nothing of a body was sent, so
 * that nothing can be there twice. A task that failed says why; one that nobody
 * has taken up, or that went with its toolstack, has nothing to say. */
static bool try_again(struct xenapi_exchange *x)
{
    const struct xenapi_timing *t = xenapi_session_timing(x->flow.session);
    uint64_t now =
        clock_mono_ms(loop_clock(xenapi_session_loop(x->flow.session)));
    bool vanished = !x->task && !x->ended && x->task_err.code == ERR_AGAIN;

    if (x->cancelled || !is_unheard(x) || (!x->task && !vanished))
        return false;
    if (!x->give_up_ms)
        x->give_up_ms = now + t->booting;
    if (now + t->retry > x->give_up_ms)
        return false;
    xenapi_task_unwatch(x->task);
    xenapi_task_abandon(x->flow.session, x->ref);
    x->task = NULL;
    x->ref[0] = 0;
    err_clear(&x->task_err);
    err_clear(&x->stream_err);
    x->state = CREATING;
    xenapi_flow_wait(&x->flow, t->retry, on_pause_over);
    return true;
}

/* ---- The verdict ---- */

/* Both went wrong: whose words are the cause? */
static void merge(struct xenapi_exchange *x)
{
    /* What was wrong with the bytes, or that there is no memory for them, we
     * saw first, and cut the stream for it; a cut that we only saw has its
     * cause at the pool. A task is cancelled for something else, too. */
    bool ours = x->stream_err.code == ERR_INTEGRITY ||
                x->stream_err.code == ERR_PROTOCOL ||
                x->stream_err.code == ERR_TIMEOUT ||
                x->stream_err.code == ERR_NOMEM ||
                x->task_err.code == ERR_CANCELLED;

    x->err = ours ? x->stream_err : x->task_err;
    err_set(&x->err, x->err.code, x->err.detail, "%s; %s: %s", x->err.text,
            ours ? "the pool's task" : "the stream",
            ours ? x->task_err.text : x->stream_err.text);
}

/* A host stops reading an upload when it has what it wants. */
static bool is_done(const struct xenapi_exchange *x)
{
    return !x->task && x->task_err.code == ERR_OK;
}

static void judge(struct xenapi_exchange *x)
{
    timer_stop(&x->late);
    if (try_again(x))
        return;
    if (x->cancelled)
        err_set(&x->err, ERR_CANCELLED, 0, "cancelled");
    else if (x->stream_err.code == ERR_OK || (x->opts.upload && is_done(x)))
        x->err = x->task_err;
    else if (x->task_err.code == ERR_OK || x->task)
        x->err = x->stream_err;
    else
        merge(x);
    if (x->err.code == ERR_DENIED && x->err.detail == 401) {
        xenapi_session_expired(x->flow.session, x->login);
        x->err.code = ERR_AGAIN;
    }
    finish(x);
}

static void on_late(struct timer *t)
{
    struct xenapi_exchange *x =
        (struct xenapi_exchange *)((char *)t -
                                   offsetof(struct xenapi_exchange, late));

    if (x->task && x->stream_err.code == ERR_OK)
        err_set(&x->stream_err, ERR_TIMEOUT, 0,
                "the stream has ended, but the pool's task goes on");
    judge(x);
}

static void judge_in(struct xenapi_exchange *x, uint64_t ms)
{
    timer_start(xenapi_session_loop(x->flow.session), &x->late, ms, on_late);
}

void xenapi_exchange_streamed(struct xenapi_exchange *x,
                              const struct err *stream)
{
    uint64_t wait = x->opts.verdict_ms;

    if (x->state != STREAMING)
        return;
    x->state = JUDGING;
    x->stream_err = *stream;
    if (stream->code != ERR_OK || x->cancelled)
        wait = xenapi_session_timing(x->flow.session)->verdict / FAILED_SHARE;
    if (is_unheard(x) && stream->code == ERR_UNREACHABLE)
        wait = 0; /* nobody has the task, to end it */
    judge_in(x, x->task ? wait : 0);
}

/* The pool has time to say more, by the bytes that it sends at the end. */
static void on_broken(struct timer *t)
{
    struct xenapi_exchange *x =
        (struct xenapi_exchange *)((char *)t -
                                   offsetof(struct xenapi_exchange, late));

    x->opts.broken(x->opts.ctx, &x->task_err);
}

static void on_task_progress(void *ctx, double fraction)
{
    struct xenapi_exchange *x = ctx;

    if (x->opts.progress)
        x->opts.progress(x->opts.ctx, fraction);
}

static void on_task_done(void *ctx, const struct err *err,
                         const struct xenapi_rpc_failure *failure,
                         struct xmlrpc *result)
{
    struct xenapi_exchange *x = ctx;

    x->task = NULL;
    x->ended = err->code == ERR_OK || failure; /* else: given up watching */
    x->task_err = *err;
    x->result = result;
    if (x->state == JUDGING)
        judge(x);
    else if (err->code != ERR_OK && x->opts.broken)
        timer_start(xenapi_session_loop(x->flow.session), &x->late,
                    xenapi_session_timing(x->flow.session)->verdict /
                        FAILED_SHARE,
                    on_broken);
}

/* ---- Beginning ---- */

static void fail(struct xenapi_exchange *x, const struct err *err)
{
    err_keep(&x->err, err);
    finish(x);
}

static bool is_of_another(void *ctx, const char *job)
{
    return strcmp(job, ((struct xenapi_exchange *)ctx)->job) != 0;
}

static void on_swept(void *ctx, const struct err *err, size_t removed)
{
    finish(ctx);
}

/* No answer: if there is a task all the same, it is found by its mark. */
static void fail_unanswered(struct xenapi_exchange *x, const struct err *err)
{
    const struct xenapi_task_sweep_opts o = {.gateway = x->gateway,
                                             .spare = is_of_another,
                                             .done = on_swept,
                                             .ctx = x};

    err_keep(&x->err, err);
    if (!x->job[0] ||
        xenapi_task_sweep(x->flow.session, &o, NULL) != ERR_OK)
        finish(x);
}

static struct xenapi_ticket *issue(struct xenapi_exchange *x)
{
    char path[1000], probe[800];

    snprintf(probe, sizeof(probe), "%s?%s", x->opts.handler, x->query);
    snprintf(path, sizeof(path), "%s&task_id=%s", probe, x->ref);
    return xenapi_ticket_issue(x->flow.session, path,
                               x->opts.upload ? probe : NULL);
}

static void on_created(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_exchange *x = of(f);
    const char *ref = xmlrpc_text(a->value, "");
    const struct xenapi_task_opts o = {.ref = x->ref,
                                       .progress = on_task_progress,
                                       .done = on_task_done,
                                       .ctx = x};
    struct xenapi_ticket *ticket;
    struct err err = *a->err;

    if (err.code != ERR_OK && !a->failure) {
        fail_unanswered(x, &err);
        return;
    }
    if (err.code == ERR_OK && (!ref[0] || strlen(ref) >= sizeof(x->ref)))
        err_set(&err, ERR_PROTOCOL, 0, "task.create: no ref");
    if (err.code == ERR_OK)
        memcpy(x->ref, ref, strlen(ref) + 1);
    if (err.code == ERR_OK && x->cancelled)
        err_set(&err, ERR_CANCELLED, 0, "cancelled");
    if (err.code == ERR_OK)
        xenapi_task_watch(f->session, &o, &x->task, &err);
    if (err.code != ERR_OK) {
        fail(x, &err);
        return;
    }
    xenapi_session_ref(f->session, &x->login);
    ticket = issue(x);
    if (!ticket) {
        err_set(&err, ERR_NOMEM, 0, "a transfer");
        fail(x, &err);
        return;
    }
    x->state = STREAMING;
    x->opts.ready(x->opts.ctx, ticket); /* may report the end at once */
    xenapi_ticket_drop(ticket);
}

static void create(struct xenapi_exchange *x)
{
    xenapi_flow_call(&x->flow, "task.create",
                     xenapi_call_params("ss", x->label, x->mark), on_created);
}

void xenapi_exchange_cancel(struct xenapi_exchange *x)
{
    const struct xenapi_call_opts o = {
        .method = "task.cancel",
        .params = x->ref[0] ? xenapi_call_params("s", x->ref) : NULL,
    };

    if (x->cancelled) {
        xmlrpc_free(o.params);
        return;
    }
    x->cancelled = true;
    if (x->state == CREATING) {
        xenapi_flow_cancel(&x->flow);
        xmlrpc_free(o.params);
    } else {
        /* The pool cleans up behind it: its task's end is waited for. */
        xenapi_call_start(x->flow.session, &o, NULL, NULL);
        if (x->state == JUDGING)
            judge_in(x, x->task
                            ? xenapi_session_timing(x->flow.session)->verdict /
                                  FAILED_SHARE
                            : 0);
    }
}

static void on_stop(struct xenapi_flow *f)
{
    struct xenapi_exchange *x = of(f);

    x->cancelled = true;
    if (x->state == CREATING)
        xenapi_flow_cancel(f);
    else if (x->state == JUDGING)
        judge_in(x, 0);
}

enum err_code xenapi_exchange_start(struct xenapi_session *s,
                                    const struct xenapi_exchange_opts *opts,
                                    struct xenapi_exchange **out,
                                    struct err *err)
{
    struct xenapi_exchange *x = calloc(1, sizeof(*x));

    if (x) {
        x->query = strdup(opts->query);
        x->label = strdup(opts->label);
    }
    if (!x || !x->query || !x->label || xenapi_session_is_closing(s)) {
        bool nomem = !x || !x->query || !x->label;

        free(x ? x->query : NULL);
        free(x ? x->label : NULL);
        free(x);
        return err_set(err, nomem ? ERR_NOMEM : ERR_ARGUMENT, 0,
                       "%s: no transfer", opts->label);
    }
    x->opts = *opts;
    x->opts.label = x->opts.query = NULL; /* the caller's */
    x->opts.gateway = x->opts.job = NULL;
    if (opts->gateway && opts->job) {
        snprintf(x->gateway, sizeof(x->gateway), "%s", opts->gateway);
        snprintf(x->job, sizeof(x->job), "%s", opts->job);
        xenapi_task_mark(x->mark, opts->gateway, opts->job);
    }
    xenapi_flow_init(&x->flow, s, on_stop);
    create(x);
    *out = x;
    return ERR_OK;
}

bool xenapi_exchange_encode(char *out, size_t size, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t at = strlen(out);

    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     (c >= '0' && c <= '9') || strchr("-._~:", c);

        if (at + 4 > size)
            return false;
        if (plain) {
            out[at++] = (char)c;
        } else {
            out[at++] = '%';
            out[at++] = hex[c >> 4];
            out[at++] = hex[c & 15];
        }
    }
    out[at] = 0;
    return true;
}
