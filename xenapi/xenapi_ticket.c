/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_ticket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "xenapi/xenapi_inner.h"
#include "xenapi/xenapi_ticket_inner.h"

struct xenapi_ticket *xenapi_ticket_issue(struct xenapi_session *s,
                                          const char *path,
                                          const char *probe_path)
{
    const struct xenapi_timing *timing = xenapi_session_timing(s);
    struct xenapi_ticket *t = calloc(1, sizeof(*t));
    uint64_t login;
    size_t size;

    if (!t)
        return NULL;
    atomic_init(&t->count, 1);
    t->upload = probe_path != NULL;
    t->route = xenapi_route_hold(xenapi_session_route(s));
    snprintf(t->host, sizeof(t->host), "%s", xenapi_session_coordinator(s));
    t->connect_ms = timing->connect;
    t->first_byte_ms = timing->first_byte;
    t->stall_ms = timing->stall;
    t->answer_ms = timing->answer;
    t->path = strdup(path);
    t->probe_path = probe_path ? strdup(probe_path) : NULL;
    size = XENAPI_REF_MAX + 20;
    t->cookie = calloc(1, size);
    if (!t->path || !t->cookie || (probe_path && !t->probe_path)) {
        xenapi_ticket_drop(t);
        return NULL;
    }
    snprintf(t->cookie, size, "session_id=%s", xenapi_session_ref(s, &login));
    return t;
}

struct xenapi_ticket *xenapi_ticket_hold(struct xenapi_ticket *t)
{
    atomic_fetch_add_explicit(&t->count, 1, memory_order_relaxed);
    return t;
}

void xenapi_ticket_drop(struct xenapi_ticket *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->count, 1, memory_order_acq_rel) > 1)
        return;
    if (t->cookie)
        bytes_wipe(t->cookie, strlen(t->cookie));
    free(t->cookie);
    free(t->probe_path);
    free(t->path);
    xenapi_route_drop(t->route);
    free(t);
}
