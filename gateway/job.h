/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/job.h - one piece of work while it runs: stages, progress, log,
 * journal and outcome, all kept in the catalog.
 *
 * jobs.c makes jobs, decides when they start and hands each to its kind
 * (job_backup.c, job_restore.c, job_verify.c). A kind drives its job on the
 * control loop, ends it with job_finish() exactly once, and is then gone.
 * Control loop only.
 */
#ifndef CAIRN_GATEWAY_JOB_H
#define CAIRN_GATEWAY_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/exit.h"
#include "base/json.h"
#include "gateway/api_backend.h"
#include "gateway/engine.h"
#include "tenants/catalog_job.h"

struct job;
struct place;

/* What a kind of job does. */
struct job_kind {
    const char *name; /* "backup" */
    /* Begin. Never fails: what goes wrong ends in job_finish(). */
    void (*start)(struct job *job);
    /* End soon (30 s at most): take away what was made, then job_finish() with
     * ERR_CANCELLED - or with success, when it is too late. Called once at
     * most, never after job_finish(). */
    void (*cancel)(struct job *job);
    /* It was asked to end some seconds ago: break off the clean-up, too; what
     * is left stands in the journal, and is looked after when the job has
     * ended. Called again and again until then. NULL: ends at once anyway. */
    void (*hurry)(struct job *job);
};

extern const struct job_kind job_kind_backup;
extern const struct job_kind job_kind_restore;
extern const struct job_kind job_kind_verify;

/* The values are the engine's and live until job_finish(). */
struct job {
    struct engine *engine;
    const struct job_kind *kind;
    char id[CATALOG_JOB_ID];
    int64_t tenant_id, pool_id, vault_id;
    char *tenant, *vm_uuid, *vm_name, *point;
    struct json *params;
    unsigned attempt; /* over 1: interrupted before; its journal may have rows */
    struct api_stream *stream; /* restore to a client, attached; NULL: none */
    void *state;      /* the kind's own */
    struct jobs_entry *entry; /* private to jobs.c */
};

/* A stage has begun: "snapshot", "transfer", ... One line in the log. */
void job_stage(struct job *job, const char *stage);

/* What the stage is in words just now, without a line in the log; at most
 * 199 bytes. Written down once a second at most. */
void job_stage_text(struct job *job, const char *text);

/* So far and in all (0: unknown). Written down once a second at most. */
void job_progress(struct job *job, uint64_t done_bytes, uint64_t total_bytes);

/* A line for the job's log, at most 1 KiB. No secrets. */
void job_log(struct job *job, const char *level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A warning: in the log, in the result, and the job ends "warned". */
void job_warn(struct job *job, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Say in the log that the clock of the job's store is not ours, if it is so. */
void job_log_clock(struct job *job, const struct place *place);

#define JOB_LABEL_MAX 240

/* "cairn backup of web": what a task of the job's pool is called. The name is
 * cut where it is long. label: JOB_LABEL_MAX bytes. */
void job_label(char *label, const char *kind, const char *vm_name);

/* The VM's name became known or is another now. */
void job_name(struct job *job, const char *vm_name);

/* Was it asked to end? */
bool job_is_cancelled(const struct job *job);
/* It writes to a client, who went away. */
bool job_client_is_gone(const struct job *job);

/*
 * The journal: a row that stands, synced, before done() comes. kind and detail
 * are the caller's words; row is for closing. On failure (err) nothing may be
 * made. done() once, later - at once only when there is no memory.
 */
struct job_note {
    const char *kind;   /* "snapshot", "import", "release"; "upload", "put",
                           "point" */
    bool in_pool;       /* lies in the job's pool, else in its vault */
    const char *ref;    /* or "" while unknown */
    const char *detail; /* or "" */
    void (*done)(void *ctx, const struct err *err, int64_t row);
    void *ctx;
};
void job_note_open(struct job *job, const struct job_note *note);
/* Fill in what is known now; fire and forget. */
void job_note_update(struct job *job, int64_t row, const char *ref,
                     const char *detail);
/* It is gone, or was meant to stay; fire and forget, in order. */
void job_note_close(struct job *job, int64_t row);
/* The job's open rows, from attempts before; each() is called for every row,
 * then done(). Texts are borrowed. */
void job_note_each(struct job *job,
                   void (*each)(void *ctx, const char *kind, const char *ref),
                   void (*done)(void *ctx, const struct err *err), void *ctx);

/*
 * It is over. err NULL or ERR_OK: succeeded (or warned). peer: whom an
 * unreachable thing was. The error is completed to "tenant acme, VM web:
 * backup: <err>". result (taken, may be NULL): JSON object of the kind. The
 * job is gone when this returns: job->state must be freed before.
 */
void job_finish(struct job *job, const struct err *err, enum exit_peer peer,
                struct json *take_result);

#endif
