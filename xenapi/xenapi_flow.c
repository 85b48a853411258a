/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_flow.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static void on_stop(struct xenapi_op *op)
{
    struct xenapi_flow *f =
        (struct xenapi_flow *)((char *)op - offsetof(struct xenapi_flow, op));

    f->stop(f);
}

void xenapi_flow_init(struct xenapi_flow *f, struct xenapi_session *s,
                      void (*stop)(struct xenapi_flow *f))
{
    memset(f, 0, sizeof(*f));
    f->session = s;
    f->stop = stop;
    f->op.stop = on_stop;
    xenapi_session_join(s, &f->op);
}

void xenapi_flow_fini(struct xenapi_flow *f)
{
    assert(!f->call);
    timer_stop(&f->timer);
    xenapi_session_leave(&f->op);
}

static void go_on(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    xenapi_flow_fn *then = f->then;

    f->then = NULL;
    then(f, a);
}

static void on_timer(struct timer *t)
{
    struct xenapi_flow *f =
        (struct xenapi_flow *)((char *)t - offsetof(struct xenapi_flow, timer));
    struct err err = f->start_err;

    go_on(f, &(struct xenapi_answer){.err = &err});
}

static void on_done(void *ctx, const struct err *err,
                    const struct xenapi_rpc_failure *failure,
                    struct xmlrpc *value)
{
    struct xenapi_flow *f = ctx;

    f->call = NULL;
    go_on(f, &(struct xenapi_answer){
                 .err = err, .failure = failure, .value = value});
    xmlrpc_free(value);
}

static void call(struct xenapi_flow *f, const char *method,
                 struct xmlrpc *params, bool async, xenapi_flow_fn *then)
{
    const struct xenapi_timing *timing = xenapi_session_timing(f->session);
    /* A call may be tried again for a while before there is a task; and that
     * may stay pending though its work is done. */
    const struct xenapi_call_opts o = {
        .method = method,
        .params = params,
        .async = async,
        .timeout_ms = async ? timing->booting + timing->import_verdict : 0,
        .done = on_done,
        .ctx = f,
    };

    assert(!f->then);
    f->then = then;
    err_clear(&f->start_err);
    if (xenapi_call_start(f->session, &o, &f->call, &f->start_err) != ERR_OK)
        timer_start(xenapi_session_loop(f->session), &f->timer, 0, on_timer);
}

void xenapi_flow_call(struct xenapi_flow *f, const char *method,
                      struct xmlrpc *params, xenapi_flow_fn *then)
{
    call(f, method, params, false, then);
}

void xenapi_flow_async(struct xenapi_flow *f, const char *method,
                       struct xmlrpc *params, xenapi_flow_fn *then)
{
    call(f, method, params, true, then);
}

void xenapi_flow_wait(struct xenapi_flow *f, uint64_t ms, xenapi_flow_fn *then)
{
    assert(!f->then);
    f->then = then;
    err_clear(&f->start_err);
    timer_start(xenapi_session_loop(f->session), &f->timer, ms, on_timer);
}

void xenapi_flow_cancel(struct xenapi_flow *f)
{
    f->cancelled = true;
    if (f->call) {
        xenapi_call_cancel(f->call);
    } else if (f->then) {
        err_set(&f->start_err, ERR_CANCELLED, 0, "cancelled");
        timer_start(xenapi_session_loop(f->session), &f->timer, 0, on_timer);
    }
}
