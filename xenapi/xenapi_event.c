/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_event.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "loop/timer.h"
#include "xenapi/xenapi_inner.h"

static void ask(struct xenapi_session *s);

static struct xenapi_session *session_of_op(struct xenapi_op *op)
{
    return op->session;
}

/* ---- Telling ---- */

static void tell(struct xenapi_session *s, const struct xmlrpc *event)
{
    struct xenapi_events *e = xenapi_session_events(s);
    const char *class_name = xmlrpc_get_text(event, "class");
    const char *operation = xmlrpc_get_text(event, "operation");
    const char *ref = xmlrpc_get_text(event, "ref");
    const struct xmlrpc *record = xmlrpc_get(event, "snapshot");
    enum xenapi_event_op op = XENAPI_EVENT_MOD;

    if (strcmp(operation, "add") == 0)
        op = XENAPI_EVENT_ADD;
    if (strcmp(operation, "del") == 0)
        op = XENAPI_EVENT_DEL;
    else if (xmlrpc_kind(record) != XMLRPC_STRUCT)
        return;
    for (struct xenapi_listener *l = e->listeners; l; l = e->next) {
        e->next = l->next; /* unlisten moves it on */
        if (strcasecmp(l->class_name, class_name) == 0)
            l->event(l, op, ref, op == XENAPI_EVENT_DEL ? NULL : record);
    }
    e->next = NULL;
}

static void start_over(struct xenapi_session *s)
{
    struct xenapi_events *e = xenapi_session_events(s);

    e->token[0] = 0;
    for (struct xenapi_listener *l = e->listeners; l; l = e->next) {
        e->next = l->next;
        l->reset(l);
    }
    e->next = NULL;
}

/* ---- The loop ---- */

static void stop_running(struct xenapi_session *s)
{
    struct xenapi_events *e = xenapi_session_events(s);

    if (!e->running)
        return;
    e->running = false;
    timer_stop(&e->pause);
    xenapi_session_leave(&e->op);
}

static void on_pause_over(struct timer *t)
{
    struct xenapi_events *e =
        (struct xenapi_events *)((char *)t -
                                 offsetof(struct xenapi_events, pause));
    struct xenapi_session *s = session_of_op(&e->op);

    if (!e->listeners || xenapi_session_is_closing(s)) {
        stop_running(s);
        return;
    }
    if (e->joined)
        start_over(s);
    e->joined = false;
    ask(s);
}

static void ask_in(struct xenapi_session *s, uint64_t ms)
{
    timer_start(xenapi_session_loop(s), &xenapi_session_events(s)->pause, ms,
                on_pause_over);
}

static bool take_answer(struct xenapi_session *s, const struct xmlrpc *value)
{
    struct xenapi_events *e = xenapi_session_events(s);
    const char *token = xmlrpc_get_text(value, "token");
    const struct xmlrpc *events = xmlrpc_get(value, "events");

    if (!token[0] || strlen(token) >= sizeof(e->token))
        return false;
    memcpy(e->token, token, strlen(token) + 1);
    for (size_t i = 0; i < xmlrpc_count(events); i++)
        tell(s, xmlrpc_at(events, i));
    return true;
}

static void on_answer(void *ctx, const struct err *err,
                      const struct xenapi_rpc_failure *failure,
                      struct xmlrpc *value)
{
    struct xenapi_session *s = ctx;
    struct xenapi_events *e = xenapi_session_events(s);
    bool fresh = !e->token[0];

    e->call = NULL;
    if (xenapi_rpc_is(failure, "MESSAGE_METHOD_UNKNOWN")) {
        e->unknown = true;
        start_over(s); /* so that they ask for themselves */
        stop_running(s);
    } else if (err->code == ERR_OK && take_answer(s, value)) {
        ask_in(s, 0);
    } else if (err->code == ERR_CANCELLED || err->code == ERR_DENIED) {
        stop_running(s);
    } else {
        start_over(s);
        /* A token that was refused costs no time; what fails twice does. */
        ask_in(s, fresh ? xenapi_session_timing(s)->retry : 0);
    }
    xmlrpc_free(value);
}

static struct xmlrpc *classes_of(const struct xenapi_events *e)
{
    struct xmlrpc *list = xmlrpc_new_array();

    for (struct xenapi_listener *l = e->listeners; list && l; l = l->next) {
        bool known = false;

        for (size_t i = 0; i < xmlrpc_count(list); i++)
            if (strcasecmp(xmlrpc_text(xmlrpc_at(list, i), ""),
                           l->class_name) == 0)
                known = true;
        if (!known && !xmlrpc_append(list, xmlrpc_new_text(l->class_name))) {
            xmlrpc_free(list);
            list = NULL;
        }
    }
    return list;
}

static void ask(struct xenapi_session *s)
{
    struct xenapi_events *e = xenapi_session_events(s);
    const struct xenapi_timing *t = xenapi_session_timing(s);
    const struct xenapi_call_inner inner = {
        .apart = true,
        .no_repeat = true,
        .answer_ms = t->event + t->answer,
    };
    struct xenapi_call_opts o = {
        .method = "event.from", .done = on_answer, .ctx = s};

    /* An integral number of seconds would be spelt in a way that old servers
     * refuse. */
    o.params = xenapi_call_params("vsd", classes_of(e), e->token,
                                  (double)t->event / 1000 + 0.1);
    if (xenapi_call_start_inner(s, &o, &inner, &e->call, NULL) != ERR_OK)
        ask_in(s, t->retry);
}

static void on_stop(struct xenapi_op *op)
{
    struct xenapi_session *s = session_of_op(op);
    struct xenapi_events *e = xenapi_session_events(s);

    if (e->call)
        xenapi_call_cancel(e->call);
    else
        ask_in(s, 0); /* finds that it is closing */
}

static bool is_listened_to(const struct xenapi_events *e, const char *name)
{
    for (struct xenapi_listener *l = e->listeners; l; l = l->next)
        if (strcasecmp(l->class_name, name) == 0)
            return true;
    return false;
}

void xenapi_event_listen(struct xenapi_session *s, struct xenapi_listener *l)
{
    struct xenapi_events *e = xenapi_session_events(s);

    bool is_new = !is_listened_to(e, l->class_name);

    l->session = s;
    l->next = e->listeners;
    l->link = &e->listeners;
    if (l->next)
        l->next->link = &l->next;
    e->listeners = l;
    if (e->running && is_new) { /* ask for this class, too */
        if (e->call)
            xenapi_call_drop(e->call);
        e->call = NULL;
        e->joined = true;
        ask_in(s, 0);
    }
    if (e->running || e->unknown)
        return;
    e->running = true;
    e->joined = false;
    e->token[0] = 0;
    e->op.stop = on_stop;
    xenapi_session_join(s, &e->op);
    ask_in(s, 0);
}

void xenapi_event_unlisten(struct xenapi_listener *l)
{
    struct xenapi_events *e;

    if (!l->session)
        return;
    e = xenapi_session_events(l->session);
    if (e->next == l)
        e->next = l->next;
    *l->link = l->next;
    if (l->next)
        l->next->link = l->link;
    l->session = NULL;
}
