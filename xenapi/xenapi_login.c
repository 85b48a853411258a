/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_login.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"

#define REDIRECTS_MAX 3

static void try_host(struct xenapi_session *s);

void xenapi_login_enter(struct xenapi_session *s, enum xenapi_login_state state)
{
    static const char *const names[] = {"idle",  "login",  "learning", "pause",
                                        "ready", "denied", "closing"};

    if (s->state == CLOSING)
        return;
    s->state = state;
    log_event(LOG_DEBUG, "pool_session", log_text("pool", s->name),
              log_text("state", names[state]), log_text("host", s->host),
              LOG_END);
}

/* The login failed for this time. */
static void give_up(struct xenapi_session *s, const struct err *err)
{
    s->health = *err;
    s->give_up_ms = 0;
    if (s->state != DENIED)
        xenapi_login_enter(s, IDLE);
    xenapi_session_tell(s, err);
}

/* ---- Logging in ---- */

void xenapi_login_begin(struct xenapi_session *s)
{
    uint64_t now = clock_mono_ms(loop_clock(s->loop));

    if (s->give_up_ms == 0)
        s->give_up_ms = now + s->timing.booting;
    s->candidate = 0;
    s->redirects = 0;
    err_clear(&s->round_err);
    try_host(s);
}

static void on_pause_over(struct timer *t)
{
    struct xenapi_session *s =
        (struct xenapi_session *)((char *)t -
                                  offsetof(struct xenapi_session, timer));

    xenapi_login_begin(s);
}

/* Wait and try anew, or give up. */
static void try_later(struct xenapi_session *s, const struct err *err)
{
    uint64_t now = clock_mono_ms(loop_clock(s->loop));

    if (now + s->timing.retry > s->give_up_ms) {
        give_up(s, err);
        return;
    }
    s->health = *err;
    xenapi_login_enter(s, PAUSE);
    timer_start(s->loop, &s->timer, s->timing.retry, on_pause_over);
}

/* This host does not answer: ask the other ones that are known. */
static void try_next(struct xenapi_session *s, const struct err *err)
{
    const char *next;
    struct err why;

    err_keep(&s->round_err, err);
    while ((next = xenapi_route_candidate(s->route, s->candidate))) {
        s->candidate++;
        if (strcasecmp(next, s->host) == 0)
            continue;
        snprintf(s->host, sizeof(s->host), "%s", next);
        try_host(s);
        return;
    }
    why = s->round_err;
    if (s->was_ready && why.detail != XENAPI_ROUTE_NOT_TRUSTED)
        try_later(s, &why);
    else
        give_up(s, &why);
}

static bool add_text(struct xmlrpc *params, const char *text)
{
    return xmlrpc_append(params, xmlrpc_new_text(text));
}

enum err_code xenapi_login_post(struct xenapi_session *s, const char *method,
                                const char *ref, struct xmlrpc *params,
                                struct xenapi_post_opts *opts,
                                struct xenapi_post **out, struct err *err)
{
    struct buf request;
    enum err_code rc;

    buf_init_secret(&request, 1 << 16);
    if (!params || !xenapi_rpc_request(method, ref, params, &request)) {
        rc = err_set(err, ERR_NOMEM, 0, "%s", method);
    } else {
        opts->request = &request;
        rc = xenapi_session_post(s, opts, out, err);
        opts->request = NULL;
    }
    buf_fini(&request);
    xmlrpc_free(params);
    return rc;
}

static void on_learned(void *ctx, const struct err *err, bool unsent,
                       struct xenapi_rpc_failure *failure,
                       struct xmlrpc *value);

/* Who else is in the pool? Not to know is no reason to stop. */
static void learn(struct xenapi_session *s)
{
    struct xenapi_post_opts o = {.done = on_learned, .ctx = s};
    struct err err = {0};

    xenapi_login_enter(s, LEARNING);
    if (xenapi_login_post(s, "host.get_all_records", s->ref, xmlrpc_new_array(),
                          &o, &s->post, &err) != ERR_OK)
        give_up(s, &err);
}

static void take_members(struct xenapi_session *s, const struct xmlrpc *hosts)
{
    size_t n = xmlrpc_count(hosts);
    struct xenapi_member *members = calloc(n + 1, sizeof(*members));
    struct xenapi_route *route = NULL;
    struct xmlrpc *record;

    for (size_t i = 0; members && i < n; i++) {
        xmlrpc_name_at(hosts, i, &record);
        members[i].uuid = xmlrpc_get_text(record, "uuid");
        members[i].address = xmlrpc_get_text(record, "address");
    }
    if (members)
        route = xenapi_route_learn(s->route, members, n);
    free(members);
    if (route) {
        xenapi_route_drop(s->route);
        s->route = route;
    }
}

static void on_farewell(void *ctx, const struct err *err, bool unsent,
                        struct xenapi_rpc_failure *failure,
                        struct xmlrpc *value)
{
    struct xenapi_session *s = ctx;

    xmlrpc_free(value);
    xenapi_rpc_failure_fini(failure);
    s->farewell = NULL;
    xenapi_session_kick(s);
}

/* A login that we walked away from would count against us for a day. */
static void leave_old_login(struct xenapi_session *s)
{
    struct xenapi_post_opts o = {.done = on_farewell, .ctx = s};

    if (s->old_ref[0] && !s->farewell)
        xenapi_login_post(s, "session.logout", s->old_ref, xmlrpc_new_array(),
                          &o, &s->farewell, NULL);
    bytes_wipe(s->old_ref, sizeof(s->old_ref));
}

static void on_learned(void *ctx, const struct err *err, bool unsent,
                       struct xenapi_rpc_failure *failure, struct xmlrpc *value)
{
    struct xenapi_session *s = ctx;

    s->post = NULL;
    if (xmlrpc_kind(value) == XMLRPC_STRUCT)
        take_members(s, value);
    xmlrpc_free(value);
    xenapi_rpc_failure_fini(failure);
    if (s->state == CLOSING) {
        xenapi_session_kick(s);
        return;
    }
    s->login++;
    s->was_ready = true;
    s->give_up_ms = 0;
    err_clear(&s->health);
    xenapi_login_enter(s, READY);
    leave_old_login(s);
    xenapi_session_tell(s, NULL);
}

static void on_refused(struct xenapi_session *s,
                       const struct xenapi_rpc_failure *f)
{
    char host[XENAPI_ROUTE_HOST];
    struct err err = {0};
    unsigned port;

    xenapi_rpc_err(f, &err);
    err_context(&err, "pool %s", s->name);
    if (xenapi_rpc_is(f, "HOST_IS_SLAVE")) {
        if (++s->redirects > REDIRECTS_MAX ||
            !xenapi_route_split(xenapi_rpc_param(f, 0), host, &port)) {
            err_set(&err, ERR_PROTOCOL, 0,
                    "pool %s: host %s sends us to host \"%s\" and no one is "
                    "coordinator",
                    s->name, s->host, xenapi_rpc_param(f, 0));
            give_up(s, &err);
            return;
        }
        memcpy(s->host, host, sizeof(s->host));
        try_host(s);
        return;
    }
    if (xenapi_rpc_is(f, "SESSION_AUTHENTICATION_FAILED")) {
        err_set(&err, ERR_DENIED, 0,
                "pool %s does not accept the password of user %s", s->name,
                s->user);
        xenapi_login_enter(s, DENIED);
        give_up(s, &err);
        return;
    }
    if (err.code == ERR_AGAIN)
        try_later(s, &err);
    else
        give_up(s, &err);
}

static void on_logged_in(void *ctx, const struct err *err, bool unsent,
                         struct xenapi_rpc_failure *failure,
                         struct xmlrpc *value)
{
    struct xenapi_session *s = ctx;
    const char *ref = xmlrpc_text(value, "");
    struct err why = *err;

    s->post = NULL;
    if (why.code == ERR_OK && !failure->list &&
        (!ref[0] || strlen(ref) >= sizeof(s->ref)))
        err_set(&why, ERR_PROTOCOL, 0, "a login without a session");
    if (value && why.code == ERR_OK)
        snprintf(s->ref, sizeof(s->ref), "%s", ref);
    xmlrpc_free(value);
    if (why.code != ERR_OK)
        err_context(&why, "pool %s", s->name);
    if (s->state == CLOSING)
        xenapi_session_kick(s);
    else if (why.code == ERR_UNREACHABLE || why.code == ERR_TIMEOUT ||
             why.code == ERR_IO)
        try_next(s, &why);
    else if (why.code != ERR_OK)
        give_up(s, &why);
    else if (failure->list)
        on_refused(s, failure);
    else
        learn(s);
    xenapi_rpc_failure_fini(failure);
}

static void try_host(struct xenapi_session *s)
{
    struct xenapi_post_opts o = {.done = on_logged_in, .ctx = s};
    struct xmlrpc *params = xmlrpc_new_array();
    struct err err = {0};
    enum err_code rc;

    xenapi_login_enter(s, LOGIN);
    if (params &&
        (!add_text(params, s->user) || !add_text(params, s->password) ||
         !add_text(params, "1.0") || !add_text(params, s->originator))) {
        xmlrpc_free(params);
        params = NULL;
    }
    rc = xenapi_login_post(s, "session.login_with_password", NULL, params, &o,
                           &s->post, &err);
    if (rc == ERR_OK)
        return;
    err_context(&err, "pool %s", s->name);
    if (rc == ERR_UNREACHABLE)
        try_next(s, &err);
    else
        give_up(s, &err);
}
