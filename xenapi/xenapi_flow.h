/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_flow.h - an operation of several calls, one after the other.
 * Used inside this room.
 *
 * A flow makes one call (or waits) at a time and says which function goes on
 * with the answer. That function is called once for each, later, also when the
 * call could not be started: so each step has one way on. The owner's struct
 * holds the flow and frees it with itself after xenapi_flow_fini().
 */
#ifndef CAIRN_XENAPI_XENAPI_FLOW_H
#define CAIRN_XENAPI_XENAPI_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/timer.h"
#include "xenapi/xenapi_inner.h"

struct xenapi_flow;

/* Borrowed until the function returns. */
struct xenapi_answer {
    const struct err *err;
    const struct xenapi_rpc_failure *failure; /* NULL: not the pool's no */
    const struct xmlrpc *value;
};

typedef void xenapi_flow_fn(struct xenapi_flow *f,
                            const struct xenapi_answer *a);

struct xenapi_flow {
    struct xenapi_op op;
    struct xenapi_session *session;
    xenapi_flow_fn *then;
    struct xenapi_call *call;
    struct timer timer;
    struct err start_err;
    bool cancelled; /* by xenapi_flow_cancel() or a closing session */
    /* The session is being closed: cancel the operation. */
    void (*stop)(struct xenapi_flow *f);
};

void xenapi_flow_init(struct xenapi_flow *f, struct xenapi_session *s,
                      void (*stop)(struct xenapi_flow *f));
/* Nothing may be under way. */
void xenapi_flow_fini(struct xenapi_flow *f);

/* params as xenapi_call_opts.params. */
void xenapi_flow_call(struct xenapi_flow *f, const char *method,
                      struct xmlrpc *params, xenapi_flow_fn *then);
/* ERR_TIMEOUT where its task has not ended after xenapi_timing.booting and
 * .import_verdict, whether or not its work was done. */
void xenapi_flow_async(struct xenapi_flow *f, const char *method,
                       struct xmlrpc *params, xenapi_flow_fn *then);
/* Go on with ERR_OK in ms. */
void xenapi_flow_wait(struct xenapi_flow *f, uint64_t ms, xenapi_flow_fn *then);

/* Break off what is under way: its function gets ERR_CANCELLED. */
void xenapi_flow_cancel(struct xenapi_flow *f);

#endif
