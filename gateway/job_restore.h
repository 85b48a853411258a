/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/job_restore.h - what job_restore.c (from the point to the transfer),
 * job_restore_pool.c (what is done in the pool after it) and job_restore_end.c
 * share and nobody else sees. Control loop.
 */
#ifndef CAIRN_GATEWAY_JOB_RESTORE_H
#define CAIRN_GATEWAY_JOB_RESTORE_H

#include "base/buf.h"
#include "gateway/job.h"
#include "gateway/pools.h"
#include "gateway/restore_pipe.h"
#include "gateway/restore_plan.h"
#include "gateway/vaults.h"
#include "vault/point.h"
#include "xenapi/xenapi_call.h"
#include "xenapi/xenapi_import.h"
#include "xenapi/xenapi_sweep.h"
#include "xenapi/xenapi_taken.h"
#include "xenapi/xenapi_vm.h"

struct restore {
    struct job *job;
    struct vaults_hold *vault;
    struct pools_hold *pool; /* NULL: to a client */
    struct catalog_call call;
    char point_name[NAME_POINT_BYTES + 1];
    uint8_t witness[32];
    struct store *store;
    struct store_op *fetching;
    struct point *point;
    struct ova *ova;
    char *vm_name, *series;
    char vm_uuid[37];
    struct xenapi_inventory_op *asking;
    struct xenapi_inventory *target, *made;
    struct xenapi_taken *checking; /* uuids that are to be kept */
    struct restore_plan plan;
    struct buf rewritten;
    struct restore_pipe_disk *disks;
    size_t disk_count;
    struct budget_need need;
    bool asked, granted;
    int64_t row;
    struct data_loop *data;
    struct restore_pipe *pipe;
    struct xenapi_import *import;
    bool ticketed, reported;
    char mark[XENAPI_SWEEP_MARK]; /* of a VM that is not finished yet */
    char vm_ref[XENAPI_REF_MAX]; /* made, and not finished yet: ours */
    struct xenapi_vm_op *op;     /* NIC, mark, release or removal */
    size_t nic;                  /* that comes next */
    char released[37]; /* uuid of the VM that an attempt before had finished
                          but for its release; "": none */
    struct json *receipt;
    bool ending, undone, finished;
    bool hurry; /* nothing more is taken away: reconcile.h looks after it */
    unsigned calls;
    uint64_t sent;
    struct walk_figures figures;
    struct err err;
    enum exit_peer peer;
};

/* Look what is still under way, and end when nothing is. */
void restore_end(struct restore *r);
/* Keep the first failure, then restore_end(). */
void restore_fail(struct restore *r, const struct err *err,
                  enum exit_peer peer);

/* The VM that an attempt before has finished: receipt, start; ends in
 * restore_end(). */
void restore_pool_take_up(struct restore *r, const struct xenapi_vm *vm);

/* NICs from r->nic on, receipt, mark off, start; ends in restore_end(). */
void restore_pool_finish(struct restore *r);

/* What a restore would do, in the words of its receipt; NULL: no memory. */
struct json *restore_pool_forecast(const struct restore *r);

/* Remove what was made and will not be finished; true: restore_end() comes when
 * it is gone. */
bool restore_pool_undo(struct restore *r);

#endif
