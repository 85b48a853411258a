/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants/catalog_token.h"

#include <string.h>

#include "tenants/catalog_db.h"
#include "tenants/catalog_tenant.h"

#define LABEL_MAX 200
#define USED_STEP_MS 60000

#define SELECT                                                                 \
    "SELECT k.id, k.tenant_id, t.name, k.label, k.created_ms, k.expires_ms,"   \
    " k.revoked_ms, k.used_ms, t.state"                                        \
    " FROM token k JOIN tenant t ON t.id = k.tenant_id "

static bool token_read(struct sqlite3_stmt *stmt, struct catalog_token *t,
                       enum catalog_tenant_state *tenant_state)
{
    struct catalog_db_row r = {.stmt = stmt, .owned = &t->owned};
    int64_t state;

    t->owned = NULL;
    t->id = catalog_db_int(&r);
    t->tenant_id = catalog_db_int(&r);
    t->tenant = catalog_db_text(&r);
    t->label = catalog_db_text(&r);
    t->created_ms = catalog_db_u64(&r);
    t->expires_ms = catalog_db_u64(&r);
    t->revoked_ms = catalog_db_u64(&r);
    t->last_used_ms = catalog_db_u64(&r);
    state = catalog_db_int(&r);
    if (tenant_state)
        *tenant_state = (enum catalog_tenant_state)state;
    return !r.nomem;
}

void catalog_token_fini(struct catalog_token *t)
{
    catalog_db_release(&t->owned);
}

enum err_code catalog_token_add(struct catalog *c, const char *tenant,
                                const char *label, uint64_t expires_ms,
                                int64_t *id, char token[SECRET_TOKEN_TEXT],
                                struct err *err)
{
    struct catalog_tenant t = {0};
    uint64_t now = catalog_db_now(c);
    uint8_t hash[32];
    enum err_code rc = catalog_db_check_text("label", label, LABEL_MAX, err);

    if (rc == ERR_OK && expires_ms && expires_ms <= now)
        rc = err_set(err, ERR_ARGUMENT, 0, "the token would be expired");
    if (rc == ERR_OK)
        rc = catalog_begin(c, err);
    if (rc != ERR_OK)
        return rc;
    rc = catalog_tenant_get(c, tenant, &t, err);
    if (rc == ERR_OK)
        rc = secret_token_make(c->suite, token, hash, err);
    if (rc == ERR_OK)
        rc = catalog_db_exec(c, err,
                             "INSERT INTO token (tenant_id, label, hash,"
                             " created_ms, expires_ms)"
                             " VALUES (?1, ?2, ?3, ?4, ?5)",
                             "itbii", t.id, label,
                             (struct slice){hash, sizeof(hash)}, (int64_t)now,
                             (int64_t)expires_ms);
    if (rc == ERR_OK)
        *id = catalog_db_last_id(c);
    catalog_tenant_fini(&t);
    rc = catalog_db_end(c, rc, err);
    if (rc != ERR_OK)
        bytes_wipe(token, SECRET_TOKEN_TEXT);
    return rc;
}

static enum err_code token_mark_used(struct catalog *c,
                                     const struct catalog_token *t,
                                     struct err *err)
{
    uint64_t now = catalog_db_now(c);
    enum err_code rc;

    if (t->last_used_ms && now < t->last_used_ms + USED_STEP_MS)
        return ERR_OK;
    rc = catalog_db_begin_lazy(c, err);
    if (rc != ERR_OK)
        return rc;
    rc = catalog_db_exec(c, err, "UPDATE token SET used_ms = ?2 WHERE id = ?1",
                         "ii", t->id, (int64_t)now);
    return catalog_db_end(c, rc, err);
}

enum err_code catalog_token_use(struct catalog *c, const char *token,
                                struct catalog_token *out, struct err *err)
{
    struct catalog_token t = {0};
    enum catalog_tenant_state state = CATALOG_TENANT_ACTIVE;
    struct sqlite3_stmt *stmt;
    uint8_t hash[32];
    enum err_code rc = ERR_OK;
    int step;

    if (!secret_token_hash(c->suite, token, hash))
        return err_set(err, ERR_DENIED, 0, "the token is not valid");
    stmt = catalog_db_query(c, err, SELECT "WHERE k.hash = ?1", "b",
                            (struct slice){hash, sizeof(hash)});
    if (!stmt)
        return err->code;
    step = catalog_db_next(c, stmt, err);
    if (step < 0)
        rc = err->code;
    else if (step == 0)
        rc = err_set(err, ERR_DENIED, 0, "the token is not valid");
    else if (!token_read(stmt, &t, &state))
        rc = err_set(err, ERR_NOMEM, 0, "token");
    catalog_db_done(c, stmt);
    if (rc == ERR_OK &&
        (t.revoked_ms || (t.expires_ms && t.expires_ms <= catalog_db_now(c)) ||
         state == CATALOG_TENANT_SUSPENDED))
        rc = err_set(err, ERR_DENIED, 0, "the token is not valid");
    if (rc == ERR_OK)
        rc = token_mark_used(c, &t, err);
    if (rc == ERR_OK)
        *out = t;
    else
        catalog_token_fini(&t);
    return rc;
}

enum err_code catalog_token_get(struct catalog *c, int64_t id,
                                struct catalog_token *out, struct err *err)
{
    struct catalog_token t = {0};
    struct sqlite3_stmt *stmt;
    enum err_code rc = ERR_OK;
    int step;

    stmt = catalog_db_query(c, err, SELECT "WHERE k.id = ?1", "i", id);
    if (!stmt)
        return err->code;
    step = catalog_db_next(c, stmt, err);
    if (step < 0)
        rc = err->code;
    else if (step == 0)
        rc = err_set(err, ERR_NOT_FOUND, 0, "no token %lld", (long long)id);
    else if (!token_read(stmt, &t, NULL))
        rc = err_set(err, ERR_NOMEM, 0, "token");
    catalog_db_done(c, stmt);
    if (rc == ERR_OK)
        *out = t;
    else
        catalog_token_fini(&t);
    return rc;
}

enum err_code catalog_token_each(struct catalog *c, int64_t tenant_id,
                                 struct catalog_page *page,
                                 catalog_token_fn *fn, void *ctx,
                                 struct err *err)
{
    struct catalog_db_walk w;
    int64_t after;
    enum err_code rc = catalog_db_cursor(page, 0, &after, err);

    if (rc != ERR_OK)
        return rc;
    catalog_db_walk_begin(&w, c, page, err,
                          catalog_db_query(c, err,
                                           SELECT
                                           "WHERE k.id > ?1"
                                           " AND (?2 = 0 OR k.tenant_id = ?2)"
                                           " ORDER BY k.id LIMIT ?3",
                                           "iii", after, tenant_id,
                                           catalog_db_limit(page)));
    while (catalog_db_walk_next(&w)) {
        struct catalog_token t;
        bool goes = false;

        if (!token_read(w.stmt, &t, NULL)) {
            catalog_db_walk_nomem(&w);
        } else {
            catalog_db_walk_mark(&w, "%lld", (long long)t.id);
            goes = fn(ctx, &t);
        }
        catalog_token_fini(&t);
        if (!goes)
            break;
    }
    return catalog_db_walk_end(&w);
}

enum err_code catalog_token_revoke(struct catalog *c, int64_t id,
                                   struct err *err)
{
    enum err_code rc;

    rc = catalog_db_change(c, err, "",
                           "UPDATE token SET revoked_ms = CASE revoked_ms"
                           " WHEN 0 THEN ?2 ELSE revoked_ms END WHERE id = ?1",
                           "ii", id, (int64_t)catalog_db_now(c));
    if (rc == ERR_NOT_FOUND)
        return err_set(err, rc, 0, "no token %lld", (long long)id);
    return rc;
}
