/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_inner.h - what a session offers to the other files of this
 * room.
 */
#ifndef CAIRN_XENAPI_XENAPI_INNER_H
#define CAIRN_XENAPI_XENAPI_INNER_H

#include "loop/timer.h"
#include "xenapi/xenapi_call.h"
#include "xenapi/xenapi_event.h"
#include "xenapi/xenapi_post.h"
#include "xenapi/xenapi_route.h"
#include "xenapi/xenapi_session.h"

/*
 * Whatever is under way. Closing the session calls stop() of each, which makes
 * it end with ERR_CANCELLED, and waits until all have left. To those that are
 * still there after some seconds stop() comes once more.
 */
struct xenapi_op {
    void (*stop)(struct xenapi_op *op);
    struct xenapi_session *session;
    struct xenapi_op *next, *prev;
};

void xenapi_session_join(struct xenapi_session *s, struct xenapi_op *op);
void xenapi_session_leave(struct xenapi_op *op);
/* Nothing new may begin. */
bool xenapi_session_is_closing(const struct xenapi_session *s);

/* Somebody who waits for the login. */
struct xenapi_waiter {
    /* Once, not from inside xenapi_session_await(); err NULL: logged in. */
    void (*ready)(struct xenapi_waiter *w, const struct err *err);
    bool lingers; /* served even while the session is being closed */
    struct xenapi_waiter *next;
};

void xenapi_session_await(struct xenapi_session *s, struct xenapi_waiter *w);
/* False: it does not wait (any more). */
bool xenapi_session_unawait(struct xenapi_session *s, struct xenapi_waiter *w);

/* While logged in: the session's ref (a secret), and a number that changes with
 * each login. */
const char *xenapi_session_ref(const struct xenapi_session *s,
                               uint64_t *login);

/* Post to the coordinator: request, once, done and ctx (and answer_ms, if not
 * the usual) are the caller's to set, the rest is filled in here. As
 * xenapi_post_start(); also ERR_UNREACHABLE. */
enum err_code xenapi_session_post(struct xenapi_session *s,
                                  struct xenapi_post_opts *opts,
                                  struct xenapi_post **out, struct err *err);

/* The pool no longer knows that login: log in anew with the next call. */
void xenapi_session_expired(struct xenapi_session *s, uint64_t login);
/* It was a host that is coordinator no more; `address` names the new one, or
 * is empty. */
void xenapi_session_moved(struct xenapi_session *s, uint64_t login,
                          const char *address);
/* No connection to the coordinator. */
void xenapi_session_lost(struct xenapi_session *s, uint64_t login,
                         const struct err *err);

const struct xenapi_timing *
xenapi_session_timing(const struct xenapi_session *s);
struct http_client *xenapi_session_client(const struct xenapi_session *s);
struct lane *xenapi_session_lane(const struct xenapi_session *s);
struct xenapi_route *xenapi_session_route(const struct xenapi_session *s);

/* Places for xenapi_call.c, xenapi_event.c and xenapi_task.c to keep what they
 * have one of per session; zeroed with the session. */
struct xenapi_calls {
    struct xenapi_call *head, *tail; /* waiting for one of 20 places */
    size_t waiting, running;
};

struct xenapi_events {
    struct xenapi_listener *listeners;
    struct xenapi_listener *next; /* who is told next, while telling */
    struct xenapi_call *call;
    struct timer pause;
    struct xenapi_op op; /* while it runs */
    bool running, unknown; /* the pool has no event.from */
    bool joined;           /* a class was added: begin anew */
    char token[128];
};

struct xenapi_calls *xenapi_session_calls(struct xenapi_session *s);
struct xenapi_events *xenapi_session_events(struct xenapi_session *s);

/* As xenapi_call_start(). */
struct xenapi_call_inner {
    bool apart;     /* does not count among the 20 */
    bool no_repeat; /* a dead login or connection ends it */
    bool lingers;   /* closing the session waits for it (not for ever) */
    uint64_t answer_ms; /* instead of timing.answer; 0: that */
};

enum err_code xenapi_call_start_inner(struct xenapi_session *s,
                                      const struct xenapi_call_opts *opts,
                                      const struct xenapi_call_inner *inner,
                                      struct xenapi_call **out,
                                      struct err *err);

/* As xenapi_call_cancel(), and done() is never called. */
void xenapi_call_drop(struct xenapi_call *c);

#endif
