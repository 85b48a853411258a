/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/jobs.h - the job engine: what waits, what runs, who is next.
 *
 * At the start jobs that were interrupted are queued again; they begin when
 * reconcile.h has looked for what they left. Tenants are served in turn, each
 * tenant's jobs in order; limits per gateway and pool come from the
 * configuration. Control loop only.
 */
#ifndef CAIRN_GATEWAY_JOBS_H
#define CAIRN_GATEWAY_JOBS_H

#include "base/err.h"
#include "gateway/api_backend.h"
#include "gateway/engine.h"

struct jobs;

enum err_code jobs_new(struct engine *e, struct jobs **out, struct err *err);

/* Whether a job of this id runs now: what it made is its own. */
bool jobs_is_live(struct jobs *j, const char *id);

/* Look in a later turn who may start. */
void jobs_wake(struct jobs *j);

/* Take up what the catalog has; once, when all else stands. done() later. */
void jobs_resume(struct jobs *j,
                 void (*done)(void *ctx, const struct err *err), void *ctx);

/* Start no more, cancel what runs without ending it in the catalog (it is taken
 * up by the next start); stopped() when nothing runs. The first time perhaps
 * with NULL for stopped: others are to end meanwhile, then it is called again.
 */
void jobs_stop(struct jobs *j, void (*stopped)(void *ctx), void *ctx);
void jobs_free(struct jobs *j);

/* The job_ and stream_ functions of struct api_backend and status(). */
void jobs_backend(struct api_backend *table);

#endif
