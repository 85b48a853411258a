/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_task.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "loop/timer.h"
#include "xenapi/xenapi_inner.h"

#define RESULT_MAX ((size_t)1 << 20)
/* Of pools without event.from: then asking is all there is. */
#define POLL_MS 2000

struct xenapi_task {
    struct xenapi_op op;
    struct xenapi_session *session;
    struct xenapi_listener listener;
    struct xenapi_call *poll;
    struct timer timer; /* next poll; or the end */
    char ref[XENAPI_REF_MAX];
    double fraction;
    bool ended;
    void (*progress)(void *ctx, double fraction);
    void (*done)(void *ctx, const struct err *err,
                 const struct xenapi_rpc_failure *failure,
                 struct xmlrpc *result);
    void *ctx;
    struct err err;
    struct xenapi_rpc_failure failure;
    struct xmlrpc *result;
};

static void ask(struct xenapi_task *t);

static void task_free(struct xenapi_task *t)
{
    xenapi_event_unlisten(&t->listener);
    timer_stop(&t->timer);
    if (t->poll)
        xenapi_call_drop(t->poll);
    xenapi_session_leave(&t->op);
    xenapi_rpc_failure_fini(&t->failure);
    free(t);
}

static void on_ended(struct timer *timer)
{
    struct xenapi_task *t =
        (struct xenapi_task *)((char *)timer -
                               offsetof(struct xenapi_task, timer));
    struct xmlrpc *result = t->result;
    struct xenapi_rpc_failure failure = t->failure;
    struct err err = t->err;
    void *ctx = t->ctx;
    void (*done)(void *, const struct err *, const struct xenapi_rpc_failure *,
                 struct xmlrpc *) = t->done;

    t->failure.list = NULL;
    task_free(t);
    done(ctx, &err, failure.list ? &failure : NULL, result);
    xenapi_rpc_failure_fini(&failure);
}

static void end(struct xenapi_task *t)
{
    if (t->ended)
        return;
    t->ended = true;
    timer_start(xenapi_session_loop(t->session), &t->timer, 0, on_ended);
}

static void vanish(struct xenapi_task *t)
{
    if (t->ended)
        return;
    err_set(&t->err, ERR_AGAIN, 0,
            "the pool lost the task before it ended: its host or its toolstack "
            "was restarted, or somebody removed it");
    end(t);
}

static void take_result(struct xenapi_task *t, const char *text)
{
    if (text[0])
        xmlrpc_parse(text, strlen(text), RESULT_MAX, &t->result, &t->err);
}

static void take_failure(struct xenapi_task *t, const struct xmlrpc *record,
                         bool cancelled)
{
    const struct xmlrpc *info = xmlrpc_get(record, "error_info");

    if (xmlrpc_count(info) > 0 &&
        xenapi_rpc_failure_from(info, &t->failure, &t->err) == ERR_OK)
        xenapi_rpc_err(&t->failure, &t->err);
    if (t->err.code == ERR_OK)
        err_set(&t->err, cancelled ? ERR_CANCELLED : ERR_REMOTE, 0,
                cancelled ? "the task was cancelled"
                          : "the task failed and does not say why");
    if (cancelled)
        t->err.code = ERR_CANCELLED;
}

static void take_record(struct xenapi_task *t, const struct xmlrpc *record)
{
    const char *status = xmlrpc_get_text(record, "status");
    double fraction = xmlrpc_real(xmlrpc_get(record, "progress"), 0);

    if (t->ended)
        return;
    if (strcmp(status, "success") == 0) {
        take_result(t, xmlrpc_get_text(record, "result"));
        end(t);
    } else if (strcmp(status, "failure") == 0 ||
               strcmp(status, "cancelled") == 0) {
        take_failure(t, record, status[0] == 'c');
        end(t);
    } else if (fraction > t->fraction && fraction <= 1) {
        t->fraction = fraction;
        if (t->progress)
            t->progress(t->ctx, fraction);
    }
}

/* ---- Events ---- */

static void on_event(struct xenapi_listener *l, enum xenapi_event_op op,
                     const char *ref, const struct xmlrpc *record)
{
    struct xenapi_task *t =
        (struct xenapi_task *)((char *)l -
                               offsetof(struct xenapi_task, listener));

    if (strcmp(ref, t->ref) != 0)
        return;
    if (op == XENAPI_EVENT_DEL)
        vanish(t);
    else
        take_record(t, record);
}

/* What was told before is void: ask. */
static void on_reset(struct xenapi_listener *l)
{
    struct xenapi_task *t =
        (struct xenapi_task *)((char *)l -
                               offsetof(struct xenapi_task, listener));

    if (!t->ended && !t->poll)
        ask(t);
}

/* ---- Asking ---- */

static void on_poll_due(struct timer *timer)
{
    ask((struct xenapi_task *)((char *)timer -
                               offsetof(struct xenapi_task, timer)));
}

static void on_polled(void *ctx, const struct err *err,
                      const struct xenapi_rpc_failure *failure,
                      struct xmlrpc *value)
{
    struct xenapi_task *t = ctx;
    const struct xenapi_timing *timing;
    uint64_t wait;

    t->poll = NULL;
    if (xenapi_rpc_is(failure, "HANDLE_INVALID"))
        vanish(t);
    else if (err->code == ERR_OK)
        take_record(t, value);
    else if (err->code == ERR_DENIED || err->code == ERR_NOMEM ||
             err->code == ERR_CANCELLED) {
        t->err = *err;
        end(t);
    }
    xmlrpc_free(value);
    if (t->ended)
        return;
    timing = xenapi_session_timing(t->session);
    wait = timing->poll;
    if (xenapi_session_events(t->session)->unknown && wait > POLL_MS)
        wait = POLL_MS;
    timer_start(xenapi_session_loop(t->session), &t->timer, wait, on_poll_due);
}

static void ask(struct xenapi_task *t)
{
    const struct xenapi_call_opts o = {
        .method = "task.get_record",
        .params = xenapi_call_params("s", t->ref),
        .done = on_polled,
        .ctx = t,
    };
    static const struct xenapi_call_inner inner = {.apart = true};

    timer_stop(&t->timer);
    if (xenapi_call_start_inner(t->session, &o, &inner, &t->poll, &t->err) !=
        ERR_OK)
        end(t);
}

static void on_stop(struct xenapi_op *op)
{
    struct xenapi_task *t =
        (struct xenapi_task *)((char *)op - offsetof(struct xenapi_task, op));

    if (t->ended)
        return;
    err_set(&t->err, ERR_CANCELLED, 0, "the pool is being closed");
    end(t);
}

enum err_code xenapi_task_watch(struct xenapi_session *s,
                                const struct xenapi_task_opts *opts,
                                struct xenapi_task **out, struct err *err)
{
    struct xenapi_task *t = calloc(1, sizeof(*t));

    if (!t)
        return err_set(err, ERR_NOMEM, 0, "watching a task");
    if (xenapi_call_is_null(opts->ref) || strlen(opts->ref) >= sizeof(t->ref) ||
        xenapi_session_is_closing(s)) {
        free(t);
        return err_set(err, ERR_ARGUMENT, 0, "there is no task to watch");
    }
    t->session = s;
    memcpy(t->ref, opts->ref, strlen(opts->ref) + 1);
    t->progress = opts->progress;
    t->done = opts->done;
    t->ctx = opts->ctx;
    t->op.stop = on_stop;
    t->listener.class_name = "task";
    t->listener.event = on_event;
    t->listener.reset = on_reset;
    xenapi_session_join(s, &t->op);
    xenapi_event_listen(s, &t->listener);
    /* It may have ended before anybody listened. */
    timer_start(xenapi_session_loop(s), &t->timer, 0, on_poll_due);
    *out = t;
    return ERR_OK;
}

void xenapi_task_unwatch(struct xenapi_task *t)
{
    if (!t)
        return;
    xmlrpc_free(t->result);
    task_free(t);
}

/* ---- Discarding ---- */

static const struct xenapi_call_inner lingering = {.apart = true,
                                                   .lingers = true};

#define REMOVE_TRIES 3

struct discard {
    struct xenapi_session *session;
    bool ours;
    unsigned tries; /* to remove it, in vain */
    char ref[XENAPI_REF_MAX];
};

static void destroy(struct xenapi_session *s, const char *ref,
                    struct discard *d);

/* A no to this call may be a passing one, and nobody comes again before the
 * next start. */
static void on_destroyed(void *ctx, const struct err *err,
                         const struct xenapi_rpc_failure *failure,
                         struct xmlrpc *value)
{
    struct discard *d = ctx;

    xmlrpc_free(value);
    if (err->code == ERR_OK || err->code == ERR_CANCELLED ||
        xenapi_rpc_is(failure, "HANDLE_INVALID") || ++d->tries >= REMOVE_TRIES)
        free(d);
    else
        destroy(d->session, d->ref, d);
}

/* d: taken over; NULL: there is no memory to ask again. */
static void destroy(struct xenapi_session *s, const char *ref,
                    struct discard *d)
{
    const struct xenapi_call_opts o = {
        .method = "task.destroy",
        .params = xenapi_call_params("s", ref),
        .done = d ? on_destroyed : NULL,
        .ctx = d,
    };

    if (xenapi_call_start_inner(s, &o, &lingering, NULL, NULL) != ERR_OK)
        free(d);
}

static void on_declared(void *ctx, const struct err *err,
                        const struct xenapi_rpc_failure *failure,
                        struct xmlrpc *value)
{
    struct discard *d = ctx;

    xmlrpc_free(value);
    if (err->code != ERR_CANCELLED)
        destroy(d->session, d->ref, d);
    else
        free(d);
}

static void declare_cancelled(struct discard *d)
{
    const struct xenapi_call_opts o = {
        .method = "task.set_status",
        .params = xenapi_call_params("ss", d->ref, "cancelled"),
        .done = on_declared,
        .ctx = d,
    };

    if (xenapi_call_start_inner(d->session, &o, &lingering, NULL, NULL) !=
        ERR_OK)
        free(d);
}

static void on_cancelled(void *ctx, const struct err *err,
                         const struct xenapi_rpc_failure *failure,
                         struct xmlrpc *value)
{
    struct discard *d = ctx;

    if (d->ours && err->code != ERR_CANCELLED) {
        xmlrpc_free(value);
        declare_cancelled(d);
    } else {
        on_declared(ctx, err, failure, value);
    }
}

static void discard(struct xenapi_session *s, const char *ref, bool cancel,
                    bool ours)
{
    struct discard *d;
    struct xenapi_call_opts o = {.method = "task.cancel", .done = on_cancelled};

    if (xenapi_call_is_null(ref))
        return;
    d = calloc(1, sizeof(*d));
    if (!d) {
        destroy(s, ref, NULL);
        return;
    }
    d->session = s;
    d->ours = ours;
    snprintf(d->ref, sizeof(d->ref), "%s", ref);
    if (!cancel) {
        destroy(s, ref, d);
        return;
    }
    o.ctx = d;
    o.params = xenapi_call_params("s", ref);
    if (xenapi_call_start_inner(s, &o, &lingering, NULL, NULL) != ERR_OK)
        free(d);
}

void xenapi_task_discard(struct xenapi_session *s, const char *ref, bool cancel)
{
    discard(s, ref, cancel, false);
}

void xenapi_task_abandon(struct xenapi_session *s, const char *ref)
{
    discard(s, ref, true, true);
}
