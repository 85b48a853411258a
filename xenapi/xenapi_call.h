/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_call.h - one XAPI call, plain or through a task.
 *
 * At most 20 calls of a session are on their way at once; more wait in order.
 * SESSION_INVALID logs in anew and repeats four times; TOO_MANY_PENDING_TASKS
 * waits and repeats ten times; a broken connection, or an answer that is none
 * (500, or cut short), repeats what only reads or may be done twice (X.get_*,
 * X.set_*, X.add_to_*, X.remove_from_*: a key that is there already may be our
 * own) twice, and else only what was never sent. The session's thread.
 *
 * A call that writes and goes over a kept connection may meet a pool that has
 * just closed it: then nobody knows whether it was done. A connection that has
 * ended is found out before anything is sent, so what remains is the time that
 * its end takes to come here, as with a new one; and a host that died in
 * silence, whose connections look good: hence none that was idle for 2 s. The
 * calls of a job come in bursts, and a handshake each would cost us and the
 * pool more than all else that they do.
 */
#ifndef CAIRN_XENAPI_XENAPI_CALL_H
#define CAIRN_XENAPI_XENAPI_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/xmlrpc.h"
#include "xenapi/xenapi_rpc.h"
#include "xenapi/xenapi_session.h"

#define XENAPI_NULL "OpaqueRef:NULL"
/* Longest ref that is accepted, with its NUL. */
#define XENAPI_REF_MAX 128

/* Whether a ref points nowhere: null, empty, or a leftover ("Ref:12"). */
bool xenapi_call_is_null(const char *ref);

struct xenapi_call;

/*
 * Once per started call, never from inside a call into this room. err->code:
 * see xenapi_rpc_code() when the pool said no (then `failure` is set), else
 * ERR_UNREACHABLE, ERR_TIMEOUT, ERR_DENIED, ERR_AGAIN (the pool is booting, or
 * too much is queued), ERR_PROTOCOL, ERR_IO (broken off: whether it was done
 * is not known), ERR_CANCELLED, ERR_NOMEM. `value` is yours to xmlrpc_free(),
 * NULL on failure; for void it is NULL or an empty text.
 */
typedef void xenapi_call_done_fn(void *ctx, const struct err *err,
                                 const struct xenapi_rpc_failure *failure,
                                 struct xmlrpc *value);

struct xenapi_call_opts {
    const char *method;    /* "VM.get_record"; of async without "Async." */
    struct xmlrpc *params; /* array without the session, see
                              xenapi_call_params(); taken over also on failure;
                              NULL stands for out of memory */
    bool async;            /* Async.X: watch its task, take its result */
    uint64_t timeout_ms;   /* of the whole; 0: 1 h (async 6 h) */
    void (*progress)(void *ctx, double fraction); /* async; NULL: not wanted */
    xenapi_call_done_fn *done; /* NULL: nobody is to be told */
    void *ctx;
};

/*
 * An array of parameters: 's' const char *, 'i' int64_t, 'b' int, 'd' double,
 * 'v' struct xmlrpc * (taken), 'm' an empty map, 'a' an empty set. NULL when
 * out of memory.
 */
struct xmlrpc *xenapi_call_params(const char *form, ...);

/* out may be NULL. ERR_ARGUMENT, ERR_NOMEM, ERR_AGAIN (queue full). */
enum err_code xenapi_call_start(struct xenapi_session *s,
                                const struct xenapi_call_opts *opts,
                                struct xenapi_call **out, struct err *err);

/* done() gets ERR_CANCELLED. An async call's task is cancelled at the pool; how
 * it ends there is not waited for. */
void xenapi_call_cancel(struct xenapi_call *c);

#endif
