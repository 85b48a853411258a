/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenants/catalog_journal.h - what a job has made outside and must take away
 * again: so that a gateway that was killed can tidy up.
 *
 * A row is written, synced, before the thing is asked for - with a mark that
 * the thing will carry, since its reference is not known yet - and closed when
 * the thing is gone or was meant to stay.
 */
#ifndef CAIRN_TENANTS_CATALOG_JOURNAL_H
#define CAIRN_TENANTS_CATALOG_JOURNAL_H

#include "tenants/catalog.h"
#include "tenants/catalog_job.h"

struct catalog_journal {
    int64_t id;
    char job_id[CATALOG_JOB_ID];
    int64_t pool_id;    /* 0: it lies in no pool */
    int64_t vault_id;   /* 0: it lies in no vault */
    const char *kind;   /* "snapshot", "import", "release", "upload", "put",
                           "point": the engine's words */
    const char *ref;    /* OpaqueRef, uuid, upload id; "" until known */
    const char *detail; /* mark, object name, JSON: the engine's; "" */
    uint64_t created_ms;
    void *owned;
};

typedef bool catalog_journal_fn(void *ctx, const struct catalog_journal *j);

/* Of *j are read: job_id, pool_id, vault_id, kind, ref, detail. */
enum err_code catalog_journal_add(struct catalog *c,
                                  const struct catalog_journal *j, int64_t *id,
                                  struct err *err);

/* NULL: as it is. */
enum err_code catalog_journal_update(struct catalog *c, int64_t id,
                                     const char *ref, const char *detail,
                                     struct err *err);

/* Twice is fine. */
enum err_code catalog_journal_close(struct catalog *c, int64_t id,
                                    struct err *err);

/* Open rows of what lies in that pool or (pool_id 0) vault, in order. */
enum err_code catalog_journal_each_at(struct catalog *c, int64_t pool_id,
                                      int64_t vault_id, catalog_journal_fn *fn,
                                      void *ctx, struct err *err);

/* Open rows in order of making; job_id NULL: of all jobs. */
enum err_code catalog_journal_each_open(struct catalog *c, const char *job_id,
                                        catalog_journal_fn *fn, void *ctx,
                                        struct err *err);

#endif
