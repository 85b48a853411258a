/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/reconcile_rows.h - open rows of the journal of one pool or vault,
 * with what became of each; for reconcile_pool.c and reconcile_vault.c.
 * Control loop.
 */
#ifndef CAIRN_GATEWAY_RECONCILE_ROWS_H
#define CAIRN_GATEWAY_RECONCILE_ROWS_H

#include "gateway/engine.h"
#include "tenants/catalog_journal.h"

enum reconcile_what {
    RECONCILE_SNAPSHOT,
    RECONCILE_IMPORT,
    RECONCILE_OBJECT, /* an upload or a put */
    RECONCILE_POINT,
    RECONCILE_NONE, /* the job's own affair: not loaded */
};

struct reconcile_row {
    int64_t id;
    char job[CATALOG_JOB_ID];
    enum reconcile_what what;
    char *ref, *detail;
    bool gone;  /* the row is to be closed */
    bool whole; /* a point that is committed: the job has done its work */
    bool live;  /* something of its job was found while that job ran */
};

struct reconcile_rows {
    struct catalog_call call;
    struct engine *engine;
    int64_t pool_id, vault_id; /* one of them */
    struct reconcile_row *row;
    size_t count;
    bool failed;
    void (*done)(struct reconcile_rows *rows, const struct err *err);
};

/* Rows of jobs that do not run. engine and ids are set. done() once, later. */
void reconcile_rows_load(struct reconcile_rows *rows,
                         void (*done)(struct reconcile_rows *rows,
                                      const struct err *err));
/* Close what is gone, and note whole points for their jobs: one transaction. */
void reconcile_rows_settle(struct reconcile_rows *rows,
                           void (*done)(struct reconcile_rows *rows,
                                        const struct err *err));
void reconcile_rows_fini(struct reconcile_rows *rows);

#endif
