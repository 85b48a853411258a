/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_ticket_inner.h - what is in a ticket, for those who issue and
 * use one.
 */
#ifndef CAIRN_XENAPI_XENAPI_TICKET_INNER_H
#define CAIRN_XENAPI_XENAPI_TICKET_INNER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "xenapi/xenapi_route.h"
#include "xenapi/xenapi_ticket.h"

struct xenapi_ticket {
    atomic_uint count;
    bool upload;
    struct xenapi_route *route;
    char host[XENAPI_ROUTE_HOST]; /* to begin with */
    char *path;       /* with the query; no session in it */
    char *probe_path; /* upload: the same without the task */
    char *cookie;     /* "session_id=..."; wiped */
    uint64_t connect_ms, first_byte_ms, stall_ms, answer_ms;
};

/* Of a session that is logged in. The texts are copied. probe_path NULL: a
 * download. NULL: out of memory. */
struct xenapi_ticket *xenapi_ticket_issue(struct xenapi_session *s,
                                          const char *path,
                                          const char *probe_path);

#endif
