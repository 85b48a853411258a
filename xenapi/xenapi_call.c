/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   QUEUED -> LOGIN -> POSTED -> [TASK] -> ENDED
 *               ^        |
 *               +- PAUSE +     too many tasks, booting, connection broken
 */
#include "xenapi/xenapi_call.h"

#include <assert.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "loop/timer.h"
#include "xenapi/xenapi_inner.h"
#include "xenapi/xenapi_task.h"

#define AT_ONCE_MAX 20
#define WAITING_MAX 4096
#define REQUEST_MAX ((size_t)300 << 10) /* what XAPI accepts */
#define PENDING_TRIES 10
#define BROKEN_TRIES 3
/* The session is shared: what costs it may be another's call, repeatedly. */
#define LOGIN_TRIES 5
#define HOUR_MS ((uint64_t)60 * 60 * 1000)

enum call_state { QUEUED, WANTS_LOGIN, POSTED, PAUSED, IN_TASK, ENDED };

struct xenapi_call {
    struct xenapi_op op;
    struct xenapi_session *session;
    enum call_state state;
    char *method;
    struct xmlrpc *params;
    bool async, reads;
    bool repeats; /* twice is as good as once */
    struct xenapi_call_inner inner;
    void (*progress)(void *ctx, double fraction);
    xenapi_call_done_fn *done;
    void *ctx;

    struct xenapi_call *next, *prev; /* in the queue */
    bool placed;                     /* counts among the 20 */
    struct xenapi_waiter waiter;
    uint64_t login; /* under which it was posted */
    struct xenapi_post *post;
    struct timer pause;
    struct timer deadline;
    struct xenapi_task *task;
    char task_ref[XENAPI_REF_MAX];
    unsigned pending_tries, broken_tries, login_tries;
    uint64_t booting_ms; /* waited for a host that boots */

    struct err err;
    struct xenapi_rpc_failure failure;
    struct xmlrpc *value;
};

static void launch(struct xenapi_call *c);

bool xenapi_call_is_null(const char *ref)
{
    return !ref || !ref[0] || strcmp(ref, XENAPI_NULL) == 0 ||
           strncmp(ref, "Ref:", 4) == 0;
}

struct xmlrpc *xenapi_call_params(const char *form, ...)
{
    struct xmlrpc *list = xmlrpc_new_array(), *v;
    bool ok = list != NULL;
    va_list ap;

    va_start(ap, form);
    for (; *form; form++) {
        assert(strchr("sibdvma", *form));
        if (*form == 's')
            v = xmlrpc_new_text(va_arg(ap, const char *));
        else if (*form == 'i')
            v = xmlrpc_new_int(va_arg(ap, int64_t));
        else if (*form == 'b')
            v = xmlrpc_new_bool(va_arg(ap, int));
        else if (*form == 'd')
            v = xmlrpc_new_real(va_arg(ap, double));
        else if (*form == 'v')
            v = va_arg(ap, struct xmlrpc *);
        else
            v = *form == 'm' ? xmlrpc_new_struct() : xmlrpc_new_array();
        if (!xmlrpc_append(list, v)) /* takes over in any case */
            ok = false;
    }
    va_end(ap);
    if (ok)
        return list;
    xmlrpc_free(list);
    return NULL;
}

/* ---- The queue ---- */

static void queue_remove(struct xenapi_call *c)
{
    struct xenapi_calls *q = xenapi_session_calls(c->session);

    if (c->prev)
        c->prev->next = c->next;
    else
        q->head = c->next;
    if (c->next)
        c->next->prev = c->prev;
    else
        q->tail = c->prev;
    c->next = c->prev = NULL;
    q->waiting--;
}

static void queue_add(struct xenapi_call *c)
{
    struct xenapi_calls *q = xenapi_session_calls(c->session);

    c->prev = q->tail;
    if (q->tail)
        q->tail->next = c;
    else
        q->head = c;
    q->tail = c;
    q->waiting++;
}

static void queue_serve(struct xenapi_session *s)
{
    struct xenapi_calls *q = xenapi_session_calls(s);
    struct xenapi_call *c;

    while ((c = q->head) && q->running < AT_ONCE_MAX) {
        queue_remove(c);
        q->running++;
        c->placed = true;
        launch(c);
    }
}

/* Let the next one go. */
static void give_place(struct xenapi_call *c)
{
    if (!c->placed)
        return;
    c->placed = false;
    xenapi_session_calls(c->session)->running--;
    queue_serve(c->session);
}

/* ---- The end ---- */

static void on_ended(struct timer *t)
{
    struct xenapi_call *c =
        (struct xenapi_call *)((char *)t - offsetof(struct xenapi_call, pause));
    const struct xenapi_rpc_failure *failure = NULL;

    give_place(c);
    xenapi_session_leave(&c->op);
    if (c->err.code != ERR_OK) {
        xmlrpc_free(c->value);
        c->value = NULL;
        if (c->failure.list)
            failure = &c->failure;
    }
    if (c->done)
        c->done(c->ctx, &c->err, failure, c->value);
    else
        xmlrpc_free(c->value);
    xenapi_rpc_failure_fini(&c->failure);
    xmlrpc_free(c->params);
    free(c->method);
    free(c);
}

/* The only way out; `pause` is free then. */
static void end(struct xenapi_call *c)
{
    if (c->state == ENDED)
        return;
    c->state = ENDED;
    timer_stop(&c->deadline);
    timer_start(xenapi_session_loop(c->session), &c->pause, 0, on_ended);
}

static void end_with(struct xenapi_call *c, const struct err *err)
{
    err_keep(&c->err, err);
    end(c);
}

/* Leave whatever it waits for. */
static void break_off(struct xenapi_call *c)
{
    switch (c->state) {
    case QUEUED:
        queue_remove(c);
        break;
    case WANTS_LOGIN:
        xenapi_session_unawait(c->session, &c->waiter);
        break;
    case POSTED:
        xenapi_post_cancel(c->post);
        return; /* on_posted() ends it */
    case PAUSED:
        timer_stop(&c->pause);
        break;
    case IN_TASK:
        xenapi_task_unwatch(c->task);
        xenapi_task_discard(c->session, c->task_ref, true);
        break;
    case ENDED:
        return;
    }
    end(c);
}

void xenapi_call_cancel(struct xenapi_call *c)
{
    struct err err;

    if (c->state == ENDED)
        return;
    err_set(&err, ERR_CANCELLED, 0, "%s: cancelled", c->method);
    err_keep(&c->err, &err);
    break_off(c);
}

void xenapi_call_drop(struct xenapi_call *c)
{
    c->done = NULL;
    c->progress = NULL;
    xenapi_call_cancel(c);
}

static void on_stop(struct xenapi_op *op)
{
    struct xenapi_call *c =
        (struct xenapi_call *)((char *)op - offsetof(struct xenapi_call, op));

    if (c->inner.lingers)
        c->inner.lingers = false; /* the next time, then */
    else
        xenapi_call_cancel(c);
}

static void on_deadline(struct timer *t)
{
    struct xenapi_call *c =
        (struct xenapi_call *)((char *)t -
                               offsetof(struct xenapi_call, deadline));
    struct err err;

    err_set(&err, ERR_TIMEOUT, 0, "%s: not done in time", c->method);
    err_keep(&c->err, &err);
    break_off(c);
}

/* ---- Trying again ---- */

static void on_pause_over(struct timer *t)
{
    launch((struct xenapi_call *)((char *)t -
                                  offsetof(struct xenapi_call, pause)));
}

static void pause_call(struct xenapi_call *c)
{
    c->state = PAUSED;
    timer_start(xenapi_session_loop(c->session), &c->pause,
                xenapi_session_timing(c->session)->retry, on_pause_over);
}

/* The pool said no. Is it worth another try? */
static bool retry_refused(struct xenapi_call *c)
{
    const struct xenapi_timing *t = xenapi_session_timing(c->session);
    const struct xenapi_rpc_failure *f = &c->failure;

    if (c->inner.no_repeat)
        return false;
    if (xenapi_rpc_is(f, "SESSION_INVALID") ||
        xenapi_rpc_is(f, "HOST_IS_SLAVE")) {
        if (++c->login_tries >= LOGIN_TRIES)
            return false;
        launch(c);
        return true;
    }
    if (xenapi_rpc_is(f, "TOO_MANY_PENDING_TASKS") &&
        ++c->pending_tries <= PENDING_TRIES) {
        pause_call(c);
        return true;
    }
    if (xenapi_rpc_is(f, "HOST_STILL_BOOTING") && c->booting_ms < t->booting) {
        c->booting_ms += t->retry;
        pause_call(c);
        return true;
    }
    return false;
}

static void on_refused(struct xenapi_call *c)
{
    const struct xenapi_rpc_failure *f = &c->failure;

    if (xenapi_rpc_is(f, "SESSION_INVALID"))
        xenapi_session_expired(c->session, c->login);
    if (xenapi_rpc_is(f, "HOST_IS_SLAVE"))
        xenapi_session_moved(c->session, c->login, xenapi_rpc_param(f, 0));
    if (retry_refused(c)) {
        if (c->state != ENDED)
            xenapi_rpc_failure_fini(&c->failure);
        return;
    }
    xenapi_rpc_err(f, &c->err);
    err_context(&c->err, "%s", c->method);
    end(c);
}

/* A page that something before XAPI made, or an answer cut short. */
static bool is_no_answer(const struct err *err)
{
    return err->code == ERR_PROTOCOL ||
           (err->code == ERR_REMOTE && err->detail >= 500);
}

/* No answer. What may be done twice, or never got there, is said again. */
static void on_broken(struct xenapi_call *c, const struct err *err, bool unsent)
{
    bool passing = err->code == ERR_UNREACHABLE || err->code == ERR_IO ||
                   (err->code == ERR_TIMEOUT && unsent) ||
                   (!unsent && is_no_answer(err));
    struct err why = *err;

    if (err->code == ERR_UNREACHABLE)
        xenapi_session_lost(c->session, c->login, err);
    if (passing && (unsent || c->repeats) && !c->inner.no_repeat &&
        ++c->broken_tries < BROKEN_TRIES) {
        pause_call(c);
        return;
    }
    err_context(&why, "%s", c->method);
    end_with(c, &why);
}

/* ---- Tasks ---- */

static void on_task_progress(void *ctx, double fraction)
{
    struct xenapi_call *c = ctx;

    if (c->progress)
        c->progress(c->ctx, fraction);
}

static void on_task_done(void *ctx, const struct err *err,
                         const struct xenapi_rpc_failure *failure,
                         struct xmlrpc *result)
{
    struct xenapi_call *c = ctx;
    struct err why = *err;

    c->task = NULL;
    c->value = result;
    xenapi_task_discard(c->session, c->task_ref, false);
    if (why.code != ERR_OK) {
        err_context(&why, "%s", c->method);
        if (failure)
            xenapi_rpc_failure_from(failure->list, &c->failure, &why);
    }
    end_with(c, &why);
}

static void follow_task(struct xenapi_call *c, struct xmlrpc *ref)
{
    const struct xenapi_task_opts o = {.ref = c->task_ref,
                                       .progress = on_task_progress,
                                       .done = on_task_done,
                                       .ctx = c};
    const char *text = xmlrpc_text(ref, "");
    struct err err = {0};
    enum err_code rc;

    if (xenapi_call_is_null(text) || strlen(text) >= sizeof(c->task_ref))
        rc = err_set(&err, ERR_PROTOCOL, 0, "%s: no task", c->method);
    else {
        memcpy(c->task_ref, text, strlen(text) + 1);
        rc = xenapi_task_watch(c->session, &o, &c->task, &err);
    }
    xmlrpc_free(ref);
    if (rc != ERR_OK) {
        end_with(c, &err);
        return;
    }
    c->state = IN_TASK;
    give_place(c);
}

/* ---- Asking ---- */

static void on_posted(void *ctx, const struct err *err, bool unsent,
                      struct xenapi_rpc_failure *failure, struct xmlrpc *value)
{
    struct xenapi_call *c = ctx;

    c->post = NULL;
    c->failure = *failure; /* ours now */
    failure->list = NULL;
    if (c->err.code != ERR_OK) { /* cancelled, or too late */
        if (value && c->async && xmlrpc_text(value, "")[0])
            xenapi_task_discard(c->session, xmlrpc_text(value, ""), true);
        xmlrpc_free(value);
        end(c);
    } else if (err->code != ERR_OK) {
        on_broken(c, err, unsent);
    } else if (c->failure.list) {
        on_refused(c);
    } else if (c->async) {
        follow_task(c, value);
    } else {
        c->value = value;
        end(c);
    }
}

static enum err_code post_call(struct xenapi_call *c, struct err *err)
{
    struct xenapi_post_opts o = {
        .once = !c->reads && !c->inner.apart,
        .answer_ms = c->inner.answer_ms,
        .done = on_posted,
        .ctx = c,
    };
    char name[128];
    struct buf request;
    enum err_code rc;

    buf_init_secret(&request, 16 * REQUEST_MAX);
    o.request = &request;
    snprintf(name, sizeof(name), "%s%s", c->async ? "Async." : "", c->method);
    if (!xenapi_rpc_request(name, xenapi_session_ref(c->session, &c->login),
                            c->params, &request))
        rc = err_set(err, ERR_NOMEM, 0, "out of memory");
    else if (request.len > REQUEST_MAX)
        rc = err_set(err, ERR_ARGUMENT, 0, "a call of %zu bytes", request.len);
    else
        rc = xenapi_session_post(c->session, &o, &c->post, err);
    buf_fini(&request);
    return rc;
}

static void on_login(struct xenapi_waiter *w, const struct err *err)
{
    struct xenapi_call *c =
        (struct xenapi_call *)((char *)w -
                               offsetof(struct xenapi_call, waiter));
    struct err why = {0};

    if (err) {
        why = *err;
        err_context(&why, "%s", c->method);
        end_with(c, &why);
        return;
    }
    c->state = POSTED;
    if (post_call(c, &why) != ERR_OK) {
        err_context(&why, "%s", c->method);
        end_with(c, &why);
    }
}

static void launch(struct xenapi_call *c)
{
    c->state = WANTS_LOGIN;
    c->waiter.ready = on_login;
    c->waiter.lingers = c->inner.lingers;
    xenapi_session_await(c->session, &c->waiter);
}

static bool only_reads(const char *method)
{
    return strstr(method, ".get_") || strncmp(method, "event.", 6) == 0;
}

/* A key that is added twice is there already, which those who add see to. */
static bool may_repeat(const char *method)
{
    return strstr(method, ".set_") || strstr(method, ".add_to_") ||
           strstr(method, ".remove_from_");
}

enum err_code xenapi_call_start_inner(struct xenapi_session *s,
                                      const struct xenapi_call_opts *opts,
                                      const struct xenapi_call_inner *inner,
                                      struct xenapi_call **out, struct err *err)
{
    struct xenapi_call *c = calloc(1, sizeof(*c));
    uint64_t usual = opts->async ? 6 * HOUR_MS : HOUR_MS;

    if (c)
        c->method = strdup(opts->method);
    if (!c || !c->method || !opts->params) {
        xmlrpc_free(opts->params);
        free(c ? c->method : NULL);
        free(c);
        return err_set(err, ERR_NOMEM, 0, "%s", opts->method);
    }
    c->params = opts->params;
    if ((xenapi_session_is_closing(s) && !inner->lingers) ||
        xenapi_session_calls(s)->waiting >= WAITING_MAX) {
        xmlrpc_free(c->params);
        free(c->method);
        free(c);
        return err_set(err, ERR_AGAIN, 0, "%s: %s", opts->method,
                       xenapi_session_is_closing(s)
                           ? "the pool is being closed"
                           : "too many calls are waiting");
    }
    c->session = s;
    c->async = opts->async;
    c->reads = !opts->async && only_reads(opts->method);
    c->repeats = c->reads || (!opts->async && may_repeat(opts->method));
    c->progress = opts->progress;
    c->done = opts->done;
    c->ctx = opts->ctx;
    c->inner = *inner;
    c->op.stop = on_stop;
    xenapi_session_join(s, &c->op);
    timer_start(xenapi_session_loop(s), &c->deadline,
                opts->timeout_ms ? opts->timeout_ms : usual, on_deadline);
    if (out)
        *out = c;
    if (inner->apart) {
        launch(c);
    } else {
        queue_add(c);
        queue_serve(s);
    }
    return ERR_OK;
}

enum err_code xenapi_call_start(struct xenapi_session *s,
                                const struct xenapi_call_opts *opts,
                                struct xenapi_call **out, struct err *err)
{
    static const struct xenapi_call_inner plain = {0};

    return xenapi_call_start_inner(s, opts, &plain, out, err);
}
