/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_sweep.h - takes away what a gateway that was killed has left in
 * a pool: tasks, snapshots, half-imported VMs, disks of snapshots.
 *
 * All of it carries the gateway's name and the job's: tasks as their
 * description (see xenapi/xenapi_task.h), snapshots in their name, VMs that are
 * not finished in other_config ("cairn:job" = "<gateway>/<job>"). What belongs
 * to a job that lives is left alone. The session's thread.
 */
#ifndef CAIRN_XENAPI_XENAPI_SWEEP_H
#define CAIRN_XENAPI_XENAPI_SWEEP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "xenapi/xenapi_session.h"

#define XENAPI_SWEEP_KEY "cairn:job" /* in other_config of unfinished VMs */
#define XENAPI_SWEEP_MARK 128        /* bytes of a mark, with its NUL */

/* The mark of a job's VM. Returns out. */
const char *xenapi_sweep_vm_mark(const char *gateway, const char *job,
                                 char out[XENAPI_SWEEP_MARK]);

struct xenapi_sweep;

struct xenapi_sweep_figures {
    size_t tasks, snapshots, vms, disks; /* removed */
    bool snapshotting; /* the pool is still making snapshots: some may come */
};

struct xenapi_sweep_opts {
    const char *gateway; /* copied */
    /* Asked when something of that job was found. */
    bool (*is_live)(void *ctx, const char *job);
    /* A snapshot of ours may still be on its way: wait for those that the pool
     * is making, for a minute at most. */
    bool snapshot_may_come;
    /* Once, later. ERR_OK: nothing of ours is there that does not live. Else
     * the first failure; what could be removed has been. */
    void (*done)(void *ctx, const struct err *err,
                 const struct xenapi_sweep_figures *f);
    void *ctx;
};

/* ERR_ARGUMENT, ERR_NOMEM. */
enum err_code xenapi_sweep_start(struct xenapi_session *s,
                                 const struct xenapi_sweep_opts *opts,
                                 struct xenapi_sweep **out, struct err *err);
/* done() gets ERR_CANCELLED. */
void xenapi_sweep_cancel(struct xenapi_sweep *w);

#endif
