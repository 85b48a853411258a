/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_event.h - event.from in a loop, for those who listen.
 *
 * It runs while anybody listens. After a lost session, a refused token or a
 * broken connection it begins with a fresh token (all objects come as added)
 * and says reset() before: what was learned from events till then is void. Who
 * joins others that listen to the same class hears what changes from then on.
 * The session's thread.
 */
#ifndef CAIRN_XENAPI_XENAPI_EVENT_H
#define CAIRN_XENAPI_XENAPI_EVENT_H

#include "base/err.h"
#include "base/xmlrpc.h"
#include "xenapi/xenapi_session.h"

enum xenapi_event_op { XENAPI_EVENT_ADD, XENAPI_EVENT_MOD, XENAPI_EVENT_DEL };

/* Embedded in its owner's struct; on a list of the session while it listens.
 * Callbacks may stop listening. */
struct xenapi_listener {
    const char *class_name; /* lower case: "task"; borrowed */
    /* record: NULL for XENAPI_EVENT_DEL; borrowed. */
    void (*event)(struct xenapi_listener *l, enum xenapi_event_op op,
                  const char *ref, const struct xmlrpc *record);
    void (*reset)(struct xenapi_listener *l);
    /* private: */
    struct xenapi_session *session;
    struct xenapi_listener *next, **link;
};

void xenapi_event_listen(struct xenapi_session *s, struct xenapi_listener *l);
void xenapi_event_unlisten(struct xenapi_listener *l);

#endif
