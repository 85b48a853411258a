/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/job_rows.h - the open rows that a backup's objects and points have in
 * the journal of its job. Control loop.
 */
#ifndef CAIRN_GATEWAY_JOB_ROWS_H
#define CAIRN_GATEWAY_JOB_ROWS_H

#include "gateway/job.h"

struct job_row;

/* Zeroed: none. */
struct job_rows {
    struct job *job;
    struct job_row *first;
};

/* A row that stands, synced, before done() comes; once, later. kind: a literal.
 * `ticket` is the caller's. */
void job_rows_open(struct job_rows *rows, const char *kind, const char *name,
                   void (*done)(void *ctx, void *ticket,
                                const struct err *err),
                   void *ctx, void *ticket);
/* The store's name for an upload. */
void job_rows_named(struct job_rows *rows, const char *name, const char *id);
void job_rows_close(struct job_rows *rows, const char *kind, const char *name);
/* The row's number; 0: there is none. */
int64_t job_rows_find(const struct job_rows *rows, const char *kind,
                      const char *name);

/* No row is closed by this, and none may be on its way. */
void job_rows_fini(struct job_rows *rows);

#endif
