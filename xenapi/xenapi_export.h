/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_export.h - exports of a VM as an XVA: task, ticket, verdict.
 *
 *   start -> task.create -> ready(ticket) -> [the user runs the transfer]
 *         -> xenapi_export_streamed() -> the task's end -> done()
 *                                  \-> a host not heard: task.create again
 *
 * Export and session live on the control loop; the transfer may run on
 * another. Success is believed only when the stream was whole and the task
 * says success.
 */
#ifndef CAIRN_XENAPI_XENAPI_EXPORT_H
#define CAIRN_XENAPI_XENAPI_EXPORT_H

#include <stdbool.h>

#include "base/err.h"
#include "xenapi/xenapi_session.h"
#include "xenapi/xenapi_ticket.h"

struct xenapi_export;

struct xenapi_export_opts {
    const char *ref;   /* of a halted VM or a snapshot */
    const char *label; /* of the task: "cairn backup of web" */
    const char *gateway, *job; /* for xenapi_task_sweep(); NULL: unmarked */
    bool zstd;         /* compressed by the pool; old hosts may not do it */
    /*
     * Run a transfer with this (hold it to keep it), then report its end with
     * xenapi_export_streamed(). Once; and again, with another ticket, some
     * seconds after a transfer was reported whose host was not heard
     * (XENAPI_TRANSFER_UNHEARD), for xenapi_timing.booting since the first of
     * these. Nothing has come then, so all begins anew.
     */
    void (*ready)(void *ctx, struct xenapi_ticket *ticket);
    /* The pool has given up the task, for this cause, and yet the stream goes
     * on or says nothing: it will not be believed, so cancel it. Once at most,
     * between ready() and xenapi_export_streamed(). NULL: not wanted. */
    void (*broken)(void *ctx, const struct err *err);
    void (*progress)(void *ctx, double fraction); /* the task's; NULL: unused */
    /*
     * Once, later; after a ready() not before its xenapi_export_streamed(). The
     * first cause, preferring the pool's own words over a stream that was cut:
     * ERR_REMOTE and the like (see xenapi_rpc_code()), ERR_AGAIN (the pool's
     * session or task vanished), ERR_TIMEOUT (task still pending), or the
     * stream's own error.
     */
    void (*done)(void *ctx, const struct err *err);
    void *ctx;
};

/* ERR_ARGUMENT, ERR_NOMEM. */
enum err_code xenapi_export_start(struct xenapi_session *s,
                                  const struct xenapi_export_opts *opts,
                                  struct xenapi_export **out, struct err *err);

/* The transfer is over and its bytes are judged: ERR_OK when the format says
 * that the stream was whole, else what was wrong: code and detail of the
 * transfer, if it was that. Exactly once after each ready(). */
void xenapi_export_streamed(struct xenapi_export *x,
                            const struct err *stream);

/* Cancel the task. done() gets ERR_CANCELLED - after ready() once the transfer,
 * which the user cancels, was reported. */
void xenapi_export_cancel(struct xenapi_export *x);

#endif
