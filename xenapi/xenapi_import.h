/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_import.h - imports of an XVA: task, ticket, verdict.
 *
 *   start -> task.create -> ready(ticket) -> [the user runs the transfer]
 *         -> xenapi_import_streamed() -> the task's end -> done(VM)
 *
 * The verdict is the task's alone: HTTP says 200 before it has read a byte, and
 * may reset the connection after the last. The control loop; the transfer may
 * run on another.
 */
#ifndef CAIRN_XENAPI_XENAPI_IMPORT_H
#define CAIRN_XENAPI_XENAPI_IMPORT_H

#include <stdbool.h>

#include "base/err.h"
#include "xenapi/xenapi_session.h"
#include "xenapi/xenapi_ticket.h"

struct xenapi_import;

struct xenapi_import_opts {
    const char *sr_uuid; /* all disks go there */
    const char *label;   /* of the task */
    const char *gateway, *job; /* for xenapi_task_sweep(); NULL: unmarked */
    bool restore;        /* keep UUIDs (and MACs); see DESIGN.md */
    /* Run an upload with this, then report it with xenapi_import_streamed().
     * Again as of xenapi_export_opts: nothing of the body was sent then, so
     * that no host can have made anything of it. */
    void (*ready)(void *ctx, struct xenapi_ticket *ticket);
    /* As of xenapi_export_opts. */
    void (*broken)(void *ctx, const struct err *err);
    void (*progress)(void *ctx, double fraction);
    /*
     * Once, later; after a ready() not before its xenapi_import_streamed().
     * vm_ref: the VM that was made, NULL on failure. The pool removes what it
     * made when it fails; where it could not (a host died) xenapi_vm_sweep() does.
     */
    void (*done)(void *ctx, const struct err *err, const char *vm_ref);
    void *ctx;
};

/* ERR_ARGUMENT, ERR_NOMEM. */
enum err_code xenapi_import_start(struct xenapi_session *s,
                                  const struct xenapi_import_opts *opts,
                                  struct xenapi_import **out, struct err *err);

/* The transfer is over; code and detail are its own. Exactly once after each
 * ready(). */
void xenapi_import_streamed(struct xenapi_import *x,
                            const struct err *stream);

/* Cancel the task. done() gets ERR_CANCELLED - after ready() once the transfer,
 * which the user cancels, was reported. */
void xenapi_import_cancel(struct xenapi_import *x);

#endif
