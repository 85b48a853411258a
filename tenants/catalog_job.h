/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenants/catalog_job.h - jobs: what is to be done, how far it is, how it
 * ended, and its log.
 *
 *   queued -> running -> succeeded | warned | failed | cancelled
 *   queued -> failed | cancelled       running -> queued (after a restart)
 *
 * Ids are 16 small characters and sort by time. Each change of a job adds one
 * to its `change`, which is what waiting clients compare.
 */
#ifndef CAIRN_TENANTS_CATALOG_JOB_H
#define CAIRN_TENANTS_CATALOG_JOB_H

#include "tenants/catalog.h"

#define CATALOG_JOB_ID 17         /* with its NUL */
#define CATALOG_JOB_LOG_MAX 1000  /* lines kept: the first 200, the last 800 */
#define CATALOG_JOB_LOG_TEXT 1024 /* bytes of a line; longer ones are cut */

enum catalog_job_state {
    CATALOG_JOB_QUEUED,
    CATALOG_JOB_RUNNING,
    CATALOG_JOB_SUCCEEDED,
    CATALOG_JOB_WARNED,
    CATALOG_JOB_FAILED,
    CATALOG_JOB_CANCELLED,
};

struct catalog_job {
    char id[CATALOG_JOB_ID];
    const char *kind;      /* "backup", "restore", "verify" */
    int64_t tenant_id;
    const char *tenant;
    int64_t pool_id;       /* 0: none, or it was removed since */
    const char *pool;      /* name at the start of the job; "" */
    int64_t vault_id;      /* 0: none, or it was removed since */
    const char *vault;     /* name at the start of the job; "" */
    const char *vm_uuid;   /* "" */
    const char *vm_name;   /* "" */
    const char *point;     /* point id; "" until there is one */
    const char *params;    /* JSON object, the engine's */
    enum catalog_job_state state;
    const char *stage;     /* "snapshot", "transfer", ...; the engine's; "" */
    uint64_t done_bytes, total_bytes; /* progress; total 0: unknown */
    uint64_t change;
    bool cancel_asked;
    unsigned attempt;      /* 1; +1 for each start after a restart */
    const char *retry_of;  /* id of the job that this one repeats; "" */
    enum err_code code;    /* the cause, when failed or cancelled */
    int exit;              /* base/exit.h */
    const char *error;     /* one sentence; "" */
    const char *result;    /* JSON object; "" until it ended */
    uint64_t created_ms, started_ms, ended_ms; /* 0: not yet */
    void *owned;
};

typedef bool catalog_job_fn(void *ctx, const struct catalog_job *j);

/* "queued", "running", ... */
const char *catalog_job_state_name(enum catalog_job_state s);
bool catalog_job_state_from(const char *name, enum catalog_job_state *out);
bool catalog_job_is_final(enum catalog_job_state s);

/* Of *j are read: kind, tenant_id, pool_id, vault_id, vm_uuid, vm_name, point,
 * params, retry_of. The id is drawn here. ERR_NOT_FOUND: a tenant, pool or
 * vault is not there (any more). ERR_DENIED: a backup for a tenant that is
 * not active. */
enum err_code catalog_job_add(struct catalog *c, const struct catalog_job *j,
                              char id[CATALOG_JOB_ID], struct err *err);

/* tenant_id 0: any; another tenant's is ERR_NOT_FOUND. */
enum err_code catalog_job_get(struct catalog *c, int64_t tenant_id,
                              const char *id, struct catalog_job *out,
                              struct err *err);
void catalog_job_fini(struct catalog_job *j);

/* Zeroed: all. Newest first. */
struct catalog_job_filter {
    int64_t tenant_id;
    const char *kind;
    const char *vm_uuid;
    const char *vault;
    uint64_t since_ms;   /* created at or after */
    bool by_state;
    enum catalog_job_state state;
    bool unfinished;     /* queued or running */
    bool failed;         /* failed */
};
enum err_code catalog_job_each(struct catalog *c,
                               const struct catalog_job_filter *filter,
                               struct catalog_page *page, catalog_job_fn *fn,
                               void *ctx, struct err *err);

/* queued -> running; ERR_CONFLICT in any other state. */
enum err_code catalog_job_start(struct catalog *c, const char *id,
                                struct err *err);

/* All running -> queued, attempt + 1: for a gateway that starts. */
enum err_code catalog_job_requeue_all(struct catalog *c, unsigned *count,
                                      struct err *err);

/* stage NULL: as it is. Not synced to disk; a running job only, else it is
 * ignored. */
enum err_code catalog_job_progress(struct catalog *c, const char *id,
                                   const char *stage, uint64_t done_bytes,
                                   uint64_t total_bytes, struct err *err);

/* What became known on the way: a point id, changed params. NULL: as it is. */
enum err_code catalog_job_note(struct catalog *c, const char *id,
                               const char *point, const char *params,
                               struct err *err);

/* Ask a job to end; ERR_CONFLICT when it has ended. Twice is fine. */
enum err_code catalog_job_ask_cancel(struct catalog *c, const char *id,
                                     struct err *err);

struct catalog_job_end {
    enum catalog_job_state state; /* a final one */
    const struct err *cause;      /* failed, cancelled; NULL otherwise */
    int exit;                     /* base/exit.h */
    const char *result;           /* JSON object; NULL: none */
};
/* ERR_CONFLICT: it has ended already. */
enum err_code catalog_job_finish(struct catalog *c, const char *id,
                                 const struct catalog_job_end *end,
                                 struct err *err);

/* One line of a job's log. Not synced to disk. level: "info", "warn",
 * "error". */
enum err_code catalog_job_log_add(struct catalog *c, const char *id,
                                  const char *level, const char *text,
                                  struct err *err);

struct catalog_job_line {
    uint64_t number; /* from 1, rising by 1; dropped lines leave a gap */
    uint64_t at_ms;
    const char *level;
    const char *text;
};
typedef bool catalog_job_line_fn(void *ctx, const struct catalog_job_line *l);

/* Lines with a greater number than `after`, in order. */
enum err_code catalog_job_log_each(struct catalog *c, const char *id,
                                   uint64_t after, unsigned limit,
                                   catalog_job_line_fn *fn, void *ctx,
                                   struct err *err);

/* Remove jobs that ended before, with logs and finished journals, but not more
 * than CATALOG_JOB_EXPIRE_MAX in one call: others wait for the catalog. */
#define CATALOG_JOB_EXPIRE_MAX 500u
enum err_code catalog_job_expire(struct catalog *c, uint64_t before_ms,
                                 unsigned *count, struct err *err);

#endif
