/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants/catalog_journal.h"

#include <string.h>

#include "tenants/catalog_db.h"

static bool journal_read(struct sqlite3_stmt *stmt, struct catalog_journal *j)
{
    struct catalog_db_row r = {.stmt = stmt, .owned = &j->owned};

    memset(j, 0, sizeof(*j));
    j->id = catalog_db_int(&r);
    catalog_db_copy(&r, j->job_id, sizeof(j->job_id));
    j->pool_id = catalog_db_int(&r);
    j->vault_id = catalog_db_int(&r);
    j->kind = catalog_db_text(&r);
    j->ref = catalog_db_text(&r);
    j->detail = catalog_db_text(&r);
    j->created_ms = catalog_db_u64(&r);
    return !r.nomem;
}

enum err_code catalog_journal_add(struct catalog *c,
                                  const struct catalog_journal *j, int64_t *id,
                                  struct err *err)
{
    enum err_code rc;

    rc = catalog_db_exec(c, err,
                         "INSERT INTO journal (job_id, pool_id, vault_id, kind,"
                         " ref, detail, created_ms)"
                         " VALUES (?1, nullif(?2, 0), nullif(?3, 0), ?4, ?5,"
                         " ?6, ?7)",
                         "tiittti", j->job_id, j->pool_id, j->vault_id,
                         j->kind, j->ref, j->detail,
                         (int64_t)catalog_db_now(c));
    if (rc == ERR_CONFLICT)
        return err_set(err, ERR_NOT_FOUND, 0,
                       "journal: no such job, pool or vault");
    if (rc == ERR_OK)
        *id = catalog_db_last_id(c);
    return rc;
}

enum err_code catalog_journal_update(struct catalog *c, int64_t id,
                                     const char *ref, const char *detail,
                                     struct err *err)
{
    return catalog_db_change(c, err, "no such journal row",
                             "UPDATE journal SET ref = coalesce(?2, ref),"
                             " detail = coalesce(?3, detail) WHERE id = ?1",
                             "itt", id, ref, detail);
}

enum err_code catalog_journal_close(struct catalog *c, int64_t id,
                                    struct err *err)
{
    return catalog_db_change(c, err, "no such journal row",
                             "UPDATE journal SET closed_ms = CASE closed_ms"
                             " WHEN 0 THEN ?2 ELSE closed_ms END"
                             " WHERE id = ?1",
                             "ii", id, (int64_t)catalog_db_now(c));
}

#define SELECT                                                                 \
    "SELECT id, job_id, pool_id, vault_id, kind, ref, detail, created_ms"      \
    " FROM journal WHERE closed_ms = 0 AND "

static enum err_code each(struct catalog *c, struct sqlite3_stmt *stmt,
                          catalog_journal_fn *fn, void *ctx, struct err *err)
{
    enum err_code rc = ERR_OK;
    int step;

    if (!stmt)
        return err->code;
    while ((step = catalog_db_next(c, stmt, err)) > 0) {
        struct catalog_journal j;
        bool goes = false;

        if (!journal_read(stmt, &j))
            rc = err_set(err, ERR_NOMEM, 0, "journal");
        else
            goes = fn(ctx, &j);
        catalog_db_release(&j.owned);
        if (!goes)
            break;
    }
    if (step < 0)
        rc = err->code;
    catalog_db_done(c, stmt);
    return rc;
}

enum err_code catalog_journal_each_open(struct catalog *c, const char *job_id,
                                        catalog_journal_fn *fn, void *ctx,
                                        struct err *err)
{
    return each(c,
                catalog_db_query(c, err,
                                 SELECT "(?1 IS NULL OR job_id = ?1)"
                                        " ORDER BY id",
                                 "t", job_id),
                fn, ctx, err);
}

enum err_code catalog_journal_each_at(struct catalog *c, int64_t pool_id,
                                      int64_t vault_id, catalog_journal_fn *fn,
                                      void *ctx, struct err *err)
{
    return each(c,
                pool_id ? catalog_db_query(c, err,
                                           SELECT "pool_id = ?1 ORDER BY id",
                                           "i", pool_id)
                        : catalog_db_query(c, err,
                                           SELECT "vault_id = ?1"
                                                  " AND pool_id IS NULL"
                                                  " ORDER BY id",
                                           "i", vault_id),
                fn, ctx, err);
}
