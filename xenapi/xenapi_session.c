/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_session.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "xenapi/xenapi_login.h"

#define FAREWELL_MS 5000

static void on_kick(struct timer *t);

static const struct xenapi_timing usual = {
    .connect = 10 * 1000,
    .answer = 120 * 1000,
    .booting = 5 * 60 * 1000,
    .retry = 5 * 1000,
    .event = 30 * 1000,
    .poll = 30 * 1000,
    .verdict = 2 * 60 * 1000,
    .import_verdict = 30 * 60 * 1000,
    .first_byte = 30 * 60 * 1000,
    .stall = 5 * 60 * 1000,
};

static void set_timing(struct xenapi_timing *t, const struct xenapi_timing *o)
{
    uint64_t *to = (uint64_t *)t;
    const uint64_t *from = (const uint64_t *)o;
    const uint64_t *otherwise = (const uint64_t *)&usual;

    for (size_t i = 0; i < sizeof(*t) / sizeof(*to); i++)
        to[i] = from[i] ? from[i] : otherwise[i];
    /* Who waits for a short time only wants to try within it. */
    if (!o->retry && t->retry > t->booting / 60)
        t->retry = t->booting / 60 + 1;
    if (!o->poll && t->poll > t->booting / 10)
        t->poll = t->booting / 10 + 1;
}

static void free_secret(char *text)
{
    if (text)
        bytes_wipe(text, strlen(text));
    free(text);
}

static void session_free(struct xenapi_session *s)
{
    timer_stop(&s->timer);
    timer_stop(&s->kick);
    timer_stop(&s->events.pause);
    xenapi_route_drop(s->route);
    free_secret(s->password);
    free(s->user);
    free(s->originator);
    free(s->name);
    bytes_wipe(s->ref, sizeof(s->ref));
    bytes_wipe(s->old_ref, sizeof(s->old_ref));
    free(s);
}

enum err_code xenapi_session_new(const struct xenapi_session_opts *opts,
                                 struct xenapi_session **out, struct err *err)
{
    struct xenapi_session *s = calloc(1, sizeof(*s));
    enum err_code rc;

    if (!s)
        return err_set(err, ERR_NOMEM, 0, "pool %s", opts->name);
    s->loop = opts->loop;
    s->client = opts->client;
    s->lane = opts->lane;
    set_timing(&s->timing, &opts->timing);
    s->name = strdup(opts->name);
    s->originator = strdup(opts->originator);
    s->user = strdup(opts->user);
    s->password = strdup(opts->password);
    if (!s->name || !s->originator || !s->user || !s->password)
        rc = err_set(err, ERR_NOMEM, 0, "pool %s", opts->name);
    else
        rc = xenapi_route_new(opts, &s->route, err);
    if (rc != ERR_OK) {
        session_free(s);
        return rc;
    }
    snprintf(s->host, sizeof(s->host), "%s", xenapi_route_given(s->route));
    *out = s;
    return ERR_OK;
}

void xenapi_session_kick(struct xenapi_session *s)
{
    if (!timer_is_armed(&s->kick))
        timer_start(s->loop, &s->kick, 0, on_kick);
}

/* ---- Those who wait ---- */

void xenapi_session_await(struct xenapi_session *s, struct xenapi_waiter *w)
{
    struct xenapi_waiter **at = &s->waiters;

    while (*at)
        at = &(*at)->next;
    w->next = NULL;
    *at = w;
    xenapi_session_kick(s);
}

bool xenapi_session_unawait(struct xenapi_session *s, struct xenapi_waiter *w)
{
    for (struct xenapi_waiter **at = &s->waiters; *at; at = &(*at)->next) {
        if (*at == w) {
            *at = w->next;
            return true;
        }
    }
    return false;
}

void xenapi_session_tell(struct xenapi_session *s, const struct err *err)
{
    struct err copy;

    if (err) /* it may lie in the session, which a waiter may change */
        copy = *err;
    /* A waiter may find the login dead: then the others wait on. */
    while (s->waiters && (err || s->state == READY)) {
        struct xenapi_waiter *w = s->waiters;
        bool late = s->state == CLOSING && w->lingers && s->ref[0];

        s->waiters = w->next;
        w->ready(w, err && !late ? &copy : NULL);
    }
}

enum err_code xenapi_session_post(struct xenapi_session *s,
                                  struct xenapi_post_opts *opts,
                                  struct xenapi_post **out, struct err *err)
{
    struct xenapi_place place;
    enum err_code rc = xenapi_route_place(s->route, s->host, 0, &place, err);

    if (rc != ERR_OK)
        return rc;
    opts->loop = s->loop;
    opts->client = s->client;
    opts->lane = s->lane;
    opts->place = &place;
    opts->connect_ms = s->timing.connect;
    if (opts->answer_ms == 0)
        opts->answer_ms = s->timing.answer;
    rc = xenapi_post_start(opts, out, err);
    opts->place = NULL;
    return rc;
}

/* ---- What calls find out ---- */

static void forget_login(struct xenapi_session *s)
{
    bytes_wipe(s->ref, sizeof(s->ref));
    xenapi_login_enter(s, IDLE);
    if (s->waiters)
        xenapi_session_kick(s);
}

void xenapi_session_expired(struct xenapi_session *s, uint64_t login)
{
    if (s->state == READY && s->login == login)
        forget_login(s);
}

void xenapi_session_moved(struct xenapi_session *s, uint64_t login,
                          const char *address)
{
    char host[XENAPI_ROUTE_HOST];
    unsigned port;

    if (s->state != READY || s->login != login)
        return;
    if (xenapi_route_split(address, host, &port))
        memcpy(s->host, host, sizeof(s->host));
    forget_login(s);
}

void xenapi_session_lost(struct xenapi_session *s, uint64_t login,
                         const struct err *err)
{
    if (s->state != READY || s->login != login)
        return;
    s->health = *err;
    memcpy(s->old_ref, s->ref, sizeof(s->old_ref));
    forget_login(s);
}

/* ---- Closing ---- */

void xenapi_session_join(struct xenapi_session *s, struct xenapi_op *op)
{
    op->session = s;
    op->prev = NULL;
    op->next = s->ops;
    if (s->ops)
        s->ops->prev = op;
    s->ops = op;
}

void xenapi_session_leave(struct xenapi_op *op)
{
    struct xenapi_session *s = op->session;

    if (op->prev)
        op->prev->next = op->next;
    else
        s->ops = op->next;
    if (op->next)
        op->next->prev = op->prev;
    if (s->state == CLOSING)
        xenapi_session_kick(s);
}

bool xenapi_session_is_closing(const struct xenapi_session *s)
{
    return s->state == CLOSING;
}

static void on_logged_out(void *ctx, const struct err *err, bool unsent,
                          struct xenapi_rpc_failure *failure,
                          struct xmlrpc *value)
{
    struct xenapi_session *s = ctx;

    xmlrpc_free(value);
    xenapi_rpc_failure_fini(failure);
    s->post = NULL;
    xenapi_session_kick(s);
}

static void stop_all(struct xenapi_session *s)
{
    struct xenapi_op *op, *next;

    for (op = s->ops; op; op = next) {
        next = op->next;
        op->stop(op); /* leaves later */
    }
}

static void on_farewell_late(struct timer *t)
{
    struct xenapi_session *s =
        (struct xenapi_session *)((char *)t -
                                  offsetof(struct xenapi_session, timer));

    stop_all(s);
    if (s->post)
        xenapi_post_cancel(s->post);
    if (s->farewell)
        xenapi_post_cancel(s->farewell);
}

/* All have left: log out, then go. */
static void close_step(struct xenapi_session *s)
{
    struct xenapi_post_opts o = {.done = on_logged_out, .ctx = s};
    void (*closed)(void *ctx) = s->closed;
    void *ctx = s->closed_ctx;
    enum err_code rc;

    if (s->ops || s->post || s->farewell)
        return;
    if (s->ref[0]) {
        rc = xenapi_login_post(s, "session.logout", s->ref, xmlrpc_new_array(),
                               &o, &s->post, NULL);
        bytes_wipe(s->ref, sizeof(s->ref));
        if (rc == ERR_OK)
            return;
    }
    session_free(s);
    closed(ctx);
}

static void on_kick(struct timer *t)
{
    struct xenapi_session *s =
        (struct xenapi_session *)((char *)t -
                                  offsetof(struct xenapi_session, kick));
    struct err err;

    switch (s->state) {
    case IDLE:
        if (s->waiters)
            xenapi_login_begin(s);
        break;
    case READY:
        xenapi_session_tell(s, NULL);
        break;
    case DENIED:
        xenapi_session_tell(s, &s->health);
        break;
    case CLOSING:
        err_set(&err, ERR_CANCELLED, 0, "pool %s is being closed", s->name);
        xenapi_session_tell(s, &err);
        close_step(s);
        break;
    default:
        break;
    }
}

void xenapi_session_close(struct xenapi_session *s, void (*closed)(void *ctx),
                          void *ctx)
{
    bool learning = s->state == LEARNING;

    s->closed = closed;
    s->closed_ctx = ctx;
    xenapi_login_enter(s, CLOSING);
    /* A login under way is waited for: cut off, it would stay at the pool. */
    if (s->post && learning)
        xenapi_post_cancel(s->post);
    timer_start(s->loop, &s->timer, FAREWELL_MS, on_farewell_late);
    stop_all(s);
    xenapi_session_kick(s);
}

/* ---- What the others ask ---- */

const char *xenapi_session_name(const struct xenapi_session *s)
{
    return s->name;
}

struct loop *xenapi_session_loop(const struct xenapi_session *s)
{
    return s->loop;
}

const char *xenapi_session_coordinator(const struct xenapi_session *s)
{
    return s->host;
}

void xenapi_session_set_password(struct xenapi_session *s, const char *password)
{
    char *copy = strdup(password);

    if (!copy)
        return;
    free_secret(s->password);
    s->password = copy;
    if (s->state == DENIED)
        xenapi_login_enter(s, IDLE);
    if (s->waiters)
        xenapi_session_kick(s);
}

void xenapi_session_health(const struct xenapi_session *s, struct err *out)
{
    *out = s->health;
}

const char *xenapi_session_ref(const struct xenapi_session *s, uint64_t *login)
{
    *login = s->login;
    return s->ref;
}

const struct xenapi_timing *
xenapi_session_timing(const struct xenapi_session *s)
{
    return &s->timing;
}

struct http_client *xenapi_session_client(const struct xenapi_session *s)
{
    return s->client;
}

struct lane *xenapi_session_lane(const struct xenapi_session *s)
{
    return s->lane;
}

struct xenapi_route *xenapi_session_route(const struct xenapi_session *s)
{
    return s->route;
}

struct xenapi_calls *xenapi_session_calls(struct xenapi_session *s)
{
    return &s->calls;
}

struct xenapi_events *xenapi_session_events(struct xenapi_session *s)
{
    return &s->events;
}
