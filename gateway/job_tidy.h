/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/job_tidy.h - takes away what an interrupted attempt of a job has left
 * in its pool and its vault, and what jobs that have failed could not take
 * away from that vault, as their journals say.
 *
 * Control loop only.
 */
#ifndef CAIRN_GATEWAY_JOB_TIDY_H
#define CAIRN_GATEWAY_JOB_TIDY_H

#include "gateway/job.h"
#include "gateway/pools.h"
#include "gateway/vaults.h"

/*
 * Remove snapshots and half-imported VMs that carry the job's mark, abort the
 * uploads of its open journal rows, and close the rows. On a first attempt it
 * has none. pool or vault NULL: what lies there stays noted. done() once,
 * later: ERR_UNREACHABLE and the like when something could not be asked - then
 * the rows stay open. For what other jobs have left in the vault (a backup
 * looks after that) it is tried, and no reason to fail.
 */
void job_tidy(struct job *job, struct pools_hold *pool,
              struct vaults_hold *vault,
              void (*done)(void *ctx, const struct err *err), void *ctx);

/* Which journal rows a job's open uploads and unconfirmed points have. */
struct job_tidy_upload;
struct job_tidy_uploads {
    struct job_tidy_upload *first;
};

/* Something was opened or closed: write or close its row. */
void job_tidy_uploads_note(struct job_tidy_uploads *u, struct job *job,
                           bool open, const char *kind, const char *name,
                           const char *id);
/* No row is closed by this; what is open stays noted. Answers still on their
 * way are waited for by nobody. */
void job_tidy_uploads_fini(struct job_tidy_uploads *u);

#endif
