/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants/catalog_audit.h"

#include <stdio.h>

#include "tenants/catalog_db.h"

#define COLUMNS                                                                \
    "id, at_ms, actor, tenant_id, tenant, action, object, outcome, detail"

static bool audit_read(struct sqlite3_stmt *stmt, struct catalog_audit *a)
{
    struct catalog_db_row r = {.stmt = stmt, .owned = &a->owned};

    a->owned = NULL;
    a->id = catalog_db_int(&r);
    a->at_ms = catalog_db_u64(&r);
    a->actor = catalog_db_text(&r);
    a->tenant_id = catalog_db_int(&r);
    a->tenant = catalog_db_text(&r);
    a->action = catalog_db_text(&r);
    a->object = catalog_db_text(&r);
    a->outcome = catalog_db_text(&r);
    a->detail = catalog_db_text(&r);
    return !r.nomem;
}

enum err_code catalog_audit_add(struct catalog *c,
                                const struct catalog_audit *a, struct err *err)
{
    return catalog_db_exec(c, err,
                           "INSERT INTO audit (at_ms, actor, tenant_id, tenant,"
                           " action, object, outcome, detail)"
                           " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                           "itittttt", (int64_t)catalog_db_now(c), a->actor,
                           a->tenant_id, a->tenant, a->action, a->object,
                           a->outcome, a->detail);
}

enum err_code catalog_audit_each(struct catalog *c, int64_t tenant_id,
                                 uint64_t since_ms, struct catalog_page *page,
                                 catalog_audit_fn *fn, void *ctx,
                                 struct err *err)
{
    struct catalog_db_walk w;
    int64_t before;
    enum err_code rc = catalog_db_cursor(page, INT64_MAX, &before, err);

    if (rc != ERR_OK)
        return rc;
    catalog_db_walk_begin(&w, c, page, err,
                          catalog_db_query(c, err,
                                           "SELECT " COLUMNS " FROM audit"
                                           " WHERE id < ?1"
                                           " AND (?2 = 0 OR tenant_id = ?2)"
                                           " AND at_ms >= ?3"
                                           " ORDER BY id DESC LIMIT ?4",
                                           "iiii", before, tenant_id,
                                           (int64_t)since_ms,
                                           catalog_db_limit(page)));
    while (catalog_db_walk_next(&w)) {
        struct catalog_audit a;
        bool goes = false;

        if (!audit_read(w.stmt, &a)) {
            catalog_db_walk_nomem(&w);
        } else {
            catalog_db_walk_mark(&w, "%lld", (long long)a.id);
            goes = fn(ctx, &a);
        }
        catalog_db_release(&a.owned);
        if (!goes)
            break;
    }
    return catalog_db_walk_end(&w);
}

enum err_code catalog_audit_expire(struct catalog *c, uint64_t before_ms,
                                   unsigned *count, struct err *err)
{
    enum err_code rc = catalog_begin(c, err);
    char before[24];

    if (rc != ERR_OK)
        return rc;
    snprintf(before, sizeof(before), "%lld", (long long)before_ms);
    /* The table itself refuses to give up what is younger than this. */
    rc = catalog_setting_set(c, "audit_before", before, err);
    if (rc == ERR_OK)
        rc = catalog_db_exec(c, err,
                             "DELETE FROM audit WHERE id IN (SELECT id"
                             " FROM audit WHERE at_ms < ?1 ORDER BY at_ms"
                             " LIMIT ?2)",
                             "ii", (int64_t)before_ms,
                             (int64_t)CATALOG_AUDIT_EXPIRE_MAX);
    if (rc == ERR_OK)
        *count = (unsigned)catalog_db_changes(c);
    return catalog_db_end(c, rc, err);
}
