/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_task.h - the pool's tasks: made, watched, cancelled, removed.
 *
 * Watching goes by event.from, one for all tasks of a session, and asks for
 * each by name from time to time in case an event was lost. A task that is
 * gone before it ended has failed. The session's thread.
 */
#ifndef CAIRN_XENAPI_XENAPI_TASK_H
#define CAIRN_XENAPI_XENAPI_TASK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/xmlrpc.h"
#include "xenapi/xenapi_rpc.h"
#include "xenapi/xenapi_session.h"

struct xenapi_task;

struct xenapi_task_opts {
    const char *ref;
    void (*progress)(void *ctx, double fraction); /* when it grew; or NULL */
    /*
     * The task has ended, or cannot be seen any more; once, later. ERR_OK:
     * status success, `result` (yours, NULL for void) what it returned. Else as
     * of xenapi_call_done_fn; ERR_AGAIN when the task vanished (its host or
     * the toolstack was restarted).
     */
    void (*done)(void *ctx, const struct err *err,
                 const struct xenapi_rpc_failure *failure,
                 struct xmlrpc *result);
    void *ctx;
};

/* Watch a task. ERR_ARGUMENT, ERR_NOMEM. */
enum err_code xenapi_task_watch(struct xenapi_session *s,
                                const struct xenapi_task_opts *opts,
                                struct xenapi_task **out, struct err *err);

/* Stop watching, nobody is told; the task itself goes on. NULL is fine. */
void xenapi_task_unwatch(struct xenapi_task *t);

/* Fire and forget: ask for cancellation if wanted, and remove the task - if it
 * has not ended, the pool only notes that, and removes it later. A pool that
 * says no is asked three times. */
void xenapi_task_discard(struct xenapi_session *s, const char *ref,
                         bool cancel);

/* The same for a task of our own making, which may have nobody at the pool who
 * would end it: cancel it, declare it cancelled, remove it. */
void xenapi_task_abandon(struct xenapi_session *s, const char *ref);

/* ---- Tasks that a crash left behind ---- */

/* The description of a task that we make for an export or import, by which it
 * is found again: "cairn/<gateway>/<job>". Cut where it is too long. */
#define XENAPI_TASK_MARK 180
void xenapi_task_mark(char out[XENAPI_TASK_MARK], const char *gateway,
                      const char *job);

struct xenapi_task_sweep_opts {
    const char *gateway;
    /* Whether this job is alive, so that its tasks stay; NULL: none is. */
    bool (*spare)(void *ctx, const char *job);
    void (*done)(void *ctx, const struct err *err, size_t removed);
    void *ctx;
};

/*
 * Take away the tasks of this gateway's exports and imports, pending or not:
 * each is cancelled, declared cancelled and removed. Tasks of calls (a snapshot
 * made, a disk removed) end by themselves and are the pool's to forget.
 * done() once, later; what is gone already is no error and not counted.
 * ERR_ARGUMENT, ERR_NOMEM.
 */
enum err_code xenapi_task_sweep(struct xenapi_session *s,
                                const struct xenapi_task_sweep_opts *opts,
                                struct err *err);

#endif
