/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_snapshot.h - snapshots for backups: made, marked as ours,
 * removed without leaving anything, found again after a crash.
 *
 * A snapshot of ours is named "cairn/<gateway>/<job> <VM>" from its first
 * moment: by that it is found, and who renames one keeps it. It carries
 * cairn:gateway and cairn:job in other_config, its disks cairn:snapshot =
 * "<gateway>/<job>/<their uuid>". The session's thread.
 */
#ifndef CAIRN_XENAPI_XENAPI_SNAPSHOT_H
#define CAIRN_XENAPI_XENAPI_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "xenapi/xenapi_inventory.h"
#include "xenapi/xenapi_session.h"

struct xenapi_snapshot;

struct xenapi_snapshot_opts {
    const char *vm_ref;
    const char *vm_name; /* for the snapshot's name and error texts */
    const char *gateway; /* id, [a-z0-9-] */
    const char *job;     /* id, [a-z0-9-] */
    const char *const *ignore_vdis; /* refs of disks to leave out; a pool too
                                       old for that takes them in */
    size_t ignore_count;
    /* Borrowed until done(), set before it; may be NULL. Whether, in spite of
     * an error, there may be a snapshot, now or soon. */
    bool *left;
    /*
     * Once, later. ERR_OK: `inventory` (yours) holds the snapshot as its only
     * VM. Else whatever was made has been removed again, or, where that failed
     * too, is found by xenapi_snapshot_find().
     */
    void (*done)(void *ctx, const struct err *err,
                 struct xenapi_inventory *inventory);
    void *ctx;
};

/* Make a snapshot, mark it, make it no template. ERR_ARGUMENT, ERR_NOMEM. */
enum err_code xenapi_snapshot_start(struct xenapi_session *s,
                                    const struct xenapi_snapshot_opts *opts,
                                    struct xenapi_snapshot **out,
                                    struct err *err);
/* done() comes with ERR_CANCELLED when the pool is clean again. */
void xenapi_snapshot_cancel(struct xenapi_snapshot *op);
/* The same without waiting for the pool: what it is making comes nevertheless,
 * and xenapi_snapshot_find() finds it then. */
void xenapi_snapshot_abandon(struct xenapi_snapshot *op);

struct xenapi_snapshot_found {
    const char *ref, *uuid, *name;
    const char *job;
    const char *vm_ref;
};

struct xenapi_snapshot_find_opts {
    const char *gateway;
    /* Once, later. `found` is borrowed until it returns. */
    void (*done)(void *ctx, const struct err *err,
                 const struct xenapi_snapshot_found *found, size_t count);
    void *ctx;
};

/* All snapshots of this gateway, whatever became of their jobs. */
enum err_code
xenapi_snapshot_find(struct xenapi_session *s,
                     const struct xenapi_snapshot_find_opts *opts,
                     struct err *err);

struct xenapi_snapshot_sweep_opts {
    const char *gateway;
    void (*done)(void *ctx, const struct err *err, size_t removed);
    void *ctx;
};

/*
 * Remove the disks of snapshots of this gateway that belong to no VM any more:
 * what is left when a removal was interrupted between the VM and its disks.
 */
enum err_code
xenapi_snapshot_sweep(struct xenapi_session *s,
                      const struct xenapi_snapshot_sweep_opts *opts,
                      struct err *err);

#endif
