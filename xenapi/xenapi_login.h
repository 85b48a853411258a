/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_login.h - a session's inside, shared by xenapi_session.c (who
 * waits, what is known, closing) and xenapi_login.c (logging in).
 *
 *          call          logged in           hosts told
 *   IDLE --------> LOGIN ---------> LEARNING ----------> READY
 *    ^              |  ^                                   |
 *    |  booting or  v  |                expired, moved or  |
 *    |    away    PAUSE                        lost        |
 *    +-----------------------------------------------------+
 *   LOGIN -> DENIED (wrong password); any -> CLOSING -> gone
 */
#ifndef CAIRN_XENAPI_XENAPI_LOGIN_H
#define CAIRN_XENAPI_XENAPI_LOGIN_H

#include "loop/timer.h"
#include "xenapi/xenapi_inner.h"

enum xenapi_login_state {
    IDLE,
    LOGIN,
    LEARNING,
    PAUSE,
    READY,
    DENIED,
    CLOSING,
};

struct xenapi_session {
    struct loop *loop;
    struct http_client *client;
    struct lane *lane;
    char *name, *originator, *user, *password;
    struct xenapi_timing timing;
    struct xenapi_route *route;

    enum xenapi_login_state state;
    char host[XENAPI_ROUTE_HOST]; /* the coordinator, as far as we know */
    char ref[XENAPI_REF_MAX];     /* secret */
    char old_ref[XENAPI_REF_MAX]; /* of a login that may still stand */
    uint64_t login;               /* number of the login */
    bool was_ready;

    struct xenapi_post *post;  /* logging in, learning or logging out */
    struct xenapi_post *farewell; /* to the old login */
    struct err round_err;      /* of the first host of this round */
    size_t candidate;          /* next to be tried */
    unsigned redirects;
    uint64_t give_up_ms;       /* 0: not waiting */
    struct timer timer;
    struct timer kick;
    struct err health;

    struct xenapi_waiter *waiters;
    struct xenapi_op *ops;
    struct xenapi_calls calls;
    struct xenapi_events events;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

void xenapi_login_enter(struct xenapi_session *s,
                        enum xenapi_login_state state);

/* In IDLE: log in. Ends in READY, DENIED or IDLE, and tells those who wait. */
void xenapi_login_begin(struct xenapi_session *s);

/* A call of the session itself. ref NULL: without one. params: taken. */
enum err_code xenapi_login_post(struct xenapi_session *s, const char *method,
                                const char *ref, struct xmlrpc *params,
                                struct xenapi_post_opts *opts,
                                struct xenapi_post **out, struct err *err);

/* From xenapi_session.c: err NULL: logged in. */
void xenapi_session_tell(struct xenapi_session *s, const struct err *err);
/* Look at the state in the next turn. */
void xenapi_session_kick(struct xenapi_session *s);

#endif
