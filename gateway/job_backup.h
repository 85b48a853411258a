/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/job_backup.h - what job_backup.c (from the VM to the commit),
 * job_backup_room.c (what it waits for before the snapshot) and
 * job_backup_end.c (the way out, of failures and of successes) share and
 * nobody else sees. Control loop.
 */
#ifndef CAIRN_GATEWAY_JOB_BACKUP_H
#define CAIRN_GATEWAY_JOB_BACKUP_H

#include "gateway/backlog.h"
#include "gateway/backup_pipe.h"
#include "gateway/gates.h"
#include "gateway/job.h"
#include "gateway/job_rows.h"
#include "gateway/pools.h"
#include "gateway/vaults.h"
#include "tenants/catalog_point.h"
#include "xenapi/xenapi_call.h"
#include "xenapi/xenapi_export.h"
#include "xenapi/xenapi_snapshot.h"
#include "xenapi/xenapi_vm.h"

#define JOB_BACKUP_SERIES_MAX 128

struct backup {
    struct job *job;
    struct vaults_hold *vault;
    struct pools_hold *pool;
    struct xenapi_inventory_op *asking;
    struct xenapi_inventory *live, *made; /* of the VM, of the snapshot */
    char series[JOB_BACKUP_SERIES_MAX + 1];
    struct id16 vm;
    struct catalog_call call;
    struct point_ref witness;
    struct gates_need alive, snapping;
    struct backlog_need chains; /* SRs with too much to coalesce */
    bool waiting; /* for one of these or for memory */
    struct budget_need need;
    bool asked, granted;
    int64_t row; /* of the snapshot in the journal */
    struct xenapi_snapshot *snapping_op;
    char snapshot[XENAPI_REF_MAX]; /* "": there is none (any more) */
    bool snapshot_left; /* it failed, and may be there all the same */
    struct xenapi_vm_op *removing;
    struct data_loop *data;
    struct backup_pipe *pipe;
    struct xenapi_export *export;
    bool ticketed, reported; /* the export's ready() came; its stream's end
                                was reported since */
    struct job_rows rows; /* of objects and points */
    uint64_t total_bytes;
    bool committing;        /* else, with a pipe, it is transferring */
    uint64_t down_since_ms; /* what was last shown of the store, and when */
    uint64_t shown_ms;
    bool ending, removed, kept;
    bool hurry; /* nothing more is taken away: reconcile.h looks after it */
    unsigned calls; /* of catalog, journal, pools, vaults: to come back */
    struct err err;
    enum exit_peer peer;
    struct session_result result;
    struct backup_pipe_figures figures;
    struct catalog_point point;
    int64_t point_row; /* of the journal */
    char *disks_json;
};

/* Look what is still there, take one thing away, and end when nothing is. */
void job_backup_end(struct backup *b);
/* Keep the first failure, then job_backup_end(). */
void job_backup_fail(struct backup *b, const struct err *err,
                     enum exit_peer peer);

/* Wait for all that a snapshot needs, then job_backup_snapshot(). */
void job_backup_room(struct backup *b);
void job_backup_snapshot(struct backup *b);

/* How far it is, and whether its store answers (job_backup_show.c). */
void job_backup_show(struct backup *b,
                     const struct backup_pipe_figures *figures);

/* The one VM of an inventory; NULL: none. */
const struct xenapi_vm *job_backup_vm(const struct xenapi_inventory *inv);

/* The disks as the catalog keeps them, JSON to free(); NULL: no memory. */
char *job_backup_disks(const struct xenapi_vm *vm,
                       const struct backup_pipe_disk *disks, size_t count);

#endif
