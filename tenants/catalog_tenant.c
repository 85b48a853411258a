/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants/catalog_tenant.h"

#include "tenants/catalog_db.h"

#define TITLE_MAX 200
#define ERASED 3 /* of the column `state`; no name, never shown */

#define COLUMNS "id, name, title, state, created_ms, changed_ms"

static const char *const state_names[] = {"active", "suspended", "left"};

const char *catalog_tenant_state_name(enum catalog_tenant_state s)
{
    return state_names[s];
}

static bool tenant_read(struct sqlite3_stmt *stmt, struct catalog_tenant *t)
{
    struct catalog_db_row r = {.stmt = stmt, .owned = &t->owned};

    t->owned = NULL;
    t->id = catalog_db_int(&r);
    t->name = catalog_db_text(&r);
    t->title = catalog_db_text(&r);
    t->state = (enum catalog_tenant_state)catalog_db_int(&r);
    t->created_ms = catalog_db_u64(&r);
    t->changed_ms = catalog_db_u64(&r);
    return !r.nomem;
}

void catalog_tenant_fini(struct catalog_tenant *t)
{
    catalog_db_release(&t->owned);
}

static enum err_code tenant_get(struct catalog *c, struct sqlite3_stmt *stmt,
                                const char *name, struct catalog_tenant *out,
                                struct err *err)
{
    struct catalog_tenant t;
    enum err_code rc = ERR_OK;
    int step;

    if (!stmt)
        return err->code;
    step = catalog_db_next(c, stmt, err);
    if (step < 0) {
        rc = err->code;
    } else if (step == 0) {
        rc = err_set(err, ERR_NOT_FOUND, 0, "no tenant '%s'", name);
    } else if (!tenant_read(stmt, &t)) {
        catalog_tenant_fini(&t);
        rc = err_set(err, ERR_NOMEM, 0, "tenant '%s'", name);
    } else {
        *out = t;
    }
    catalog_db_done(c, stmt);
    return rc;
}

enum err_code catalog_tenant_get(struct catalog *c, const char *name,
                                 struct catalog_tenant *out, struct err *err)
{
    return tenant_get(c,
                      catalog_db_query(c, err,
                                       "SELECT " COLUMNS " FROM tenant"
                                       " WHERE name = ?1", "t", name),
                      name, out, err);
}

enum err_code catalog_tenant_get_id(struct catalog *c, int64_t id,
                                    struct catalog_tenant *out,
                                    struct err *err)
{
    return tenant_get(c,
                      catalog_db_query(c, err,
                                       "SELECT " COLUMNS " FROM tenant"
                                       " WHERE id = ?1 AND name IS NOT NULL",
                                       "i", id),
                      "(erased)", out, err);
}

enum err_code catalog_tenant_add(struct catalog *c, const char *name,
                                 const char *title, int64_t *id,
                                 struct err *err)
{
    int64_t now = (int64_t)catalog_db_now(c);
    enum err_code rc = catalog_db_check_name("tenant", name, err);

    if (rc == ERR_OK)
        rc = catalog_db_check_text("title", title, TITLE_MAX, err);
    if (rc != ERR_OK)
        return rc;
    rc = catalog_db_exec(c, err,
                         "INSERT INTO tenant"
                         " (name, title, state, created_ms, changed_ms)"
                         " VALUES (?1, ?2, 0, ?3, ?3)",
                         "tti", name, title, now);
    if (rc == ERR_CONFLICT)
        return err_set(err, rc, 0, "tenant '%s' exists already", name);
    if (rc == ERR_OK)
        *id = catalog_db_last_id(c);
    return rc;
}

enum err_code catalog_tenant_each(struct catalog *c, struct catalog_page *page,
                                  catalog_tenant_fn *fn, void *ctx,
                                  struct err *err)
{
    struct catalog_db_walk w;
    const char *after = page->cursor ? page->cursor : "";

    catalog_db_walk_begin(&w, c, page, err,
                          catalog_db_query(c, err,
                                           "SELECT " COLUMNS " FROM tenant"
                                           " WHERE name > ?1"
                                           " ORDER BY name LIMIT ?2",
                                           "ti", after,
                                           catalog_db_limit(page)));
    while (catalog_db_walk_next(&w)) {
        struct catalog_tenant t;
        bool goes = false;

        if (!tenant_read(w.stmt, &t)) {
            catalog_db_walk_nomem(&w);
        } else {
            catalog_db_walk_mark(&w, "%s", t.name);
            goes = fn(ctx, &t);
        }
        catalog_tenant_fini(&t);
        if (!goes)
            break;
    }
    return catalog_db_walk_end(&w);
}

enum err_code catalog_tenant_set_title(struct catalog *c, const char *name,
                                       const char *title, struct err *err)
{
    enum err_code rc = catalog_db_check_text("title", title, TITLE_MAX, err);

    if (rc != ERR_OK)
        return rc;
    rc = catalog_db_change(c, err, "",
                           "UPDATE tenant SET title = ?2, changed_ms = ?3"
                           " WHERE name = ?1",
                           "tti", name, title, (int64_t)catalog_db_now(c));
    if (rc == ERR_NOT_FOUND)
        return err_set(err, rc, 0, "no tenant '%s'", name);
    return rc;
}

static bool may_become(enum catalog_tenant_state from,
                       enum catalog_tenant_state to)
{
    if (from == to)
        return true;
    return from != CATALOG_TENANT_LEFT;
}

enum err_code catalog_tenant_set_state(struct catalog *c, const char *name,
                                       enum catalog_tenant_state state,
                                       struct err *err)
{
    struct catalog_tenant t = {0};
    enum err_code rc = catalog_begin(c, err);

    if (rc != ERR_OK)
        return rc;
    rc = catalog_tenant_get(c, name, &t, err);
    if (rc == ERR_OK && !may_become(t.state, state))
        rc = err_set(err, ERR_CONFLICT, 0, "tenant '%s' has left", name);
    if (rc == ERR_OK && t.state != state)
        rc = catalog_db_exec(c, err,
                             "UPDATE tenant SET state = ?2, changed_ms = ?3"
                             " WHERE id = ?1",
                             "iii", t.id, (int64_t)state,
                             (int64_t)catalog_db_now(c));
    catalog_tenant_fini(&t);
    return catalog_db_end(c, rc, err);
}

/* Children first, so that nothing depends on the order of cascades. */
static enum err_code tenant_drop_rows(struct catalog *c, int64_t id,
                                      struct err *err)
{
    static const char *const drops[] = {
        "DELETE FROM job WHERE tenant_id = ?1",
        "DELETE FROM vault WHERE tenant_id = ?1",
        "DELETE FROM vm_owner WHERE tenant_id = ?1",
        "DELETE FROM rule WHERE tenant_id = ?1",
        "DELETE FROM token WHERE tenant_id = ?1",
    };
    enum err_code rc = ERR_OK;

    for (size_t i = 0; i < BYTES_COUNT(drops) && rc == ERR_OK; i++)
        rc = catalog_db_exec(c, err, drops[i], "i", id);
    return rc;
}

static enum err_code tenant_check_erase(struct catalog *c,
                                        const struct catalog_tenant *t,
                                        struct err *err)
{
    int64_t busy = 0;
    enum err_code rc;

    if (t->state != CATALOG_TENANT_LEFT)
        return err_set(err, ERR_CONFLICT, 0,
                       "tenant '%s' has not left: leave comes before erase",
                       t->name);
    rc = catalog_db_one(c, err, "", &busy,
                        "SELECT (SELECT count(*) FROM job"
                        "  WHERE tenant_id = ?1 AND state < 2)"
                        " + (SELECT count(*) FROM journal n"
                        "  JOIN job j ON j.id = n.job_id"
                        "  WHERE j.tenant_id = ?1 AND n.closed_ms = 0)",
                        "i", t->id);
    if (rc == ERR_OK && busy > 0)
        rc = err_set(err, ERR_CONFLICT, 0,
                     "tenant '%s' has jobs that are not finished", t->name);
    return rc;
}

enum err_code catalog_tenant_erase(struct catalog *c, const char *name,
                                   struct err *err)
{
    struct catalog_tenant t = {0};
    enum err_code rc = catalog_begin(c, err);

    if (rc != ERR_OK)
        return rc;
    rc = catalog_tenant_get(c, name, &t, err);
    if (rc == ERR_OK)
        rc = tenant_check_erase(c, &t, err);
    if (rc == ERR_OK)
        rc = tenant_drop_rows(c, t.id, err);
    if (rc == ERR_OK)
        rc = catalog_db_exec(c, err,
                             "UPDATE tenant SET name = NULL, title = '',"
                             " state = ?2, changed_ms = ?3 WHERE id = ?1",
                             "iii", t.id, (int64_t)ERASED,
                             (int64_t)catalog_db_now(c));
    catalog_tenant_fini(&t);
    return catalog_db_end(c, rc, err);
}
