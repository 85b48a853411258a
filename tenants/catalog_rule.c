/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants/catalog_rule.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "tenants/catalog_db.h"
#include "tenants/catalog_pool.h"
#include "tenants/catalog_tenant.h"

#define SELECT                                                                 \
    "SELECT r.id, r.tenant_id, r.pool_id, r.kind, r.key, r.value, t.name,"     \
    " p.name, r.created_ms FROM rule r JOIN tenant t ON t.id = r.tenant_id"    \
    " JOIN pool p ON p.id = r.pool_id "

static bool rule_read(struct sqlite3_stmt *stmt, struct catalog_rule *out)
{
    struct catalog_db_row r = {.stmt = stmt, .owned = &out->owned};

    out->owned = NULL;
    out->rule.id = catalog_db_int(&r);
    out->rule.tenant_id = catalog_db_int(&r);
    out->rule.pool_id = catalog_db_int(&r);
    out->rule.kind = (enum rule_kind)catalog_db_int(&r);
    out->rule.key = catalog_db_text(&r);
    out->rule.value = catalog_db_text(&r);
    out->tenant = catalog_db_text(&r);
    out->pool = catalog_db_text(&r);
    out->created_ms = catalog_db_u64(&r);
    return !r.nomem;
}

void catalog_rule_fini(struct catalog_rule *r)
{
    catalog_db_release(&r->owned);
}

/* Who has the very same rule, so that the sentence can say it. */
static enum err_code rule_taken(struct catalog *c, const char *tenant,
                                const struct rule *r, struct err *err)
{
    struct sqlite3_stmt *stmt;
    struct catalog_rule other = {0};

    stmt = catalog_db_query(c, err,
                            SELECT "WHERE r.pool_id = ?1 AND r.kind = ?2"
                                   " AND r.key = ?3 AND r.value = ?4",
                            "iitt", r->pool_id, (int64_t)r->kind, r->key,
                            r->value);
    if (!stmt)
        return err->code;
    if (catalog_db_next(c, stmt, err) == 1 && rule_read(stmt, &other)) {
        if (strcmp(other.tenant, tenant) == 0)
            err_set(err, ERR_CONFLICT, 0,
                    "tenant '%s' has this rule already: it is rule %lld",
                    tenant, (long long)other.rule.id);
        else
            err_set(err, ERR_CONFLICT, 0,
                    "tenant '%s' has this very rule (%lld): every VM it meets "
                    "would be claimed twice",
                    other.tenant, (long long)other.rule.id);
    } else {
        err_set(err, ERR_CONFLICT, 0, "the rule exists already");
    }
    catalog_rule_fini(&other);
    catalog_db_done(c, stmt);
    return err->code;
}

enum err_code catalog_rule_add(struct catalog *c, const char *tenant,
                               const char *pool, enum rule_kind kind,
                               const char *key, const char *value, int64_t *id,
                               struct err *err)
{
    struct catalog_tenant t = {0};
    struct catalog_pool p = {0};
    enum err_code rc = rule_check(kind, key, value, err);

    if (rc != ERR_OK)
        return rc;
    rc = catalog_begin(c, err);
    if (rc != ERR_OK)
        return rc;
    rc = catalog_tenant_get(c, tenant, &t, err);
    if (rc == ERR_OK && t.state == CATALOG_TENANT_LEFT)
        rc = err_set(err, ERR_CONFLICT, 0, "tenant '%s' has left", tenant);
    if (rc == ERR_OK)
        rc = catalog_pool_get(c, pool, &p, err);
    if (rc == ERR_OK) {
        rc = catalog_db_exec(c, err,
                             "INSERT INTO rule (tenant_id, pool_id, kind, key,"
                             " value, created_ms)"
                             " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                             "iiitti", t.id, p.id, (int64_t)kind, key, value,
                             (int64_t)catalog_db_now(c));
        if (rc == ERR_CONFLICT)
            rc = rule_taken(c, tenant,
                            &(struct rule){.pool_id = p.id, .kind = kind,
                                           .key = key, .value = value},
                            err);
        else if (rc == ERR_OK)
            *id = catalog_db_last_id(c);
    }
    catalog_tenant_fini(&t);
    catalog_pool_fini(&p);
    return catalog_db_end(c, rc, err);
}

enum err_code catalog_rule_get(struct catalog *c, int64_t id,
                               struct catalog_rule *out, struct err *err)
{
    struct sqlite3_stmt *stmt;
    struct catalog_rule r = {0};
    enum err_code rc = ERR_OK;
    int step;

    stmt = catalog_db_query(c, err, SELECT "WHERE r.id = ?1", "i", id);
    if (!stmt)
        return err->code;
    step = catalog_db_next(c, stmt, err);
    if (step < 0)
        rc = err->code;
    else if (step == 0)
        rc = err_set(err, ERR_NOT_FOUND, 0, "no rule %lld", (long long)id);
    else if (!rule_read(stmt, &r))
        rc = err_set(err, ERR_NOMEM, 0, "rule %lld", (long long)id);
    catalog_db_done(c, stmt);
    if (rc == ERR_OK)
        *out = r;
    else
        catalog_rule_fini(&r);
    return rc;
}

enum err_code catalog_rule_remove(struct catalog *c, int64_t id,
                                  struct err *err)
{
    enum err_code rc = catalog_db_change(c, err, "",
                                         "DELETE FROM rule WHERE id = ?1", "i",
                                         id);

    if (rc == ERR_NOT_FOUND)
        return err_set(err, rc, 0, "no rule %lld", (long long)id);
    return rc;
}

enum err_code catalog_rule_each(struct catalog *c, int64_t tenant_id,
                                int64_t pool_id, struct catalog_page *page,
                                catalog_rule_fn *fn, void *ctx,
                                struct err *err)
{
    struct catalog_db_walk w;
    struct sqlite3_stmt *stmt;
    int64_t after;
    enum err_code rc = catalog_db_cursor(page, 0, &after, err);

    if (rc != ERR_OK)
        return rc;
    stmt = catalog_db_query(c, err,
                            SELECT "WHERE r.id > ?1"
                                   " AND (?2 = 0 OR r.tenant_id = ?2)"
                                   " AND (?3 = 0 OR r.pool_id = ?3)"
                                   " ORDER BY r.id LIMIT ?4",
                            "iiii", after, tenant_id, pool_id,
                            catalog_db_limit(page));
    catalog_db_walk_begin(&w, c, page, err, stmt);
    while (catalog_db_walk_next(&w)) {
        struct catalog_rule r;
        bool goes = false;

        if (!rule_read(w.stmt, &r)) {
            catalog_db_walk_nomem(&w);
        } else {
            catalog_db_walk_mark(&w, "%lld", (long long)r.rule.id);
            goes = fn(ctx, &r);
        }
        catalog_rule_fini(&r);
        if (!goes)
            break;
    }
    return catalog_db_walk_end(&w);
}

enum err_code catalog_rule_set_get(struct catalog *c, int64_t pool_id,
                                   struct catalog_rule_set *out,
                                   struct err *err)
{
    struct catalog_rule_set set = {0};
    struct sqlite3_stmt *stmt;
    size_t room = 0;
    int step;

    stmt = catalog_db_query(c, err,
                            "SELECT id, tenant_id, pool_id, kind, key, value"
                            " FROM rule WHERE ?1 = 0 OR pool_id = ?1"
                            " ORDER BY id",
                            "i", pool_id);
    if (!stmt)
        return err->code;
    err_clear(err);
    while ((step = catalog_db_next(c, stmt, err)) > 0) {
        struct catalog_db_row r = {.stmt = stmt, .owned = &set.owned};
        struct rule *rule;

        if (set.count == room) {
            room = room ? room * 2 : 64;
            rule = reallocarray(set.rules, room, sizeof(*rule));
            if (!rule)
                break;
            set.rules = rule;
        }
        rule = &set.rules[set.count];
        rule->id = catalog_db_int(&r);
        rule->tenant_id = catalog_db_int(&r);
        rule->pool_id = catalog_db_int(&r);
        rule->kind = (enum rule_kind)catalog_db_int(&r);
        rule->key = catalog_db_text(&r);
        rule->value = catalog_db_text(&r);
        if (r.nomem)
            break;
        set.count++;
    }
    catalog_db_done(c, stmt);
    if (step == 0) {
        *out = set;
        return ERR_OK;
    }
    catalog_rule_set_fini(&set);
    return step < 0 ? err->code : err_set(err, ERR_NOMEM, 0, "rules");
}

void catalog_rule_set_fini(struct catalog_rule_set *s)
{
    free(s->rules);
    s->rules = NULL;
    s->count = 0;
    catalog_db_release(&s->owned);
}

enum err_code catalog_rule_owner(struct catalog *c, const char *vm_uuid,
                                 int64_t *tenant_id, struct err *err)
{
    int64_t found = 0;
    enum err_code rc;

    rc = catalog_db_one(c, err, "", &found,
                        "SELECT tenant_id FROM vm_owner WHERE vm_uuid = ?1",
                        "t", vm_uuid);
    if (rc == ERR_NOT_FOUND) {
        err_clear(err);
        rc = ERR_OK;
    }
    if (rc == ERR_OK)
        *tenant_id = found;
    return rc;
}

enum err_code catalog_rule_move(struct catalog *c, const char *vm_uuid,
                                const char *tenant, struct err *err)
{
    struct catalog_tenant t = {0};
    char uuid[CATALOG_UUID];
    struct id16 id;
    enum err_code rc;

    if (!parse_uuid(vm_uuid, &id))
        return err_set(err, ERR_ARGUMENT, 0, "'%s' is not a uuid", vm_uuid);
    parse_uuid_text(&id, uuid);
    rc = catalog_begin(c, err);
    if (rc != ERR_OK)
        return rc;
    rc = catalog_tenant_get(c, tenant, &t, err);
    if (rc == ERR_OK && t.state == CATALOG_TENANT_LEFT)
        rc = err_set(err, ERR_CONFLICT, 0, "tenant '%s' has left", tenant);
    if (rc == ERR_OK)
        rc = catalog_db_exec(c, err,
                             "INSERT INTO vm_owner VALUES (?1, ?2, ?3)"
                             " ON CONFLICT (vm_uuid) DO UPDATE"
                             " SET tenant_id = ?2, since_ms = ?3",
                             "tii", uuid, t.id,
                             (int64_t)catalog_db_now(c));
    catalog_tenant_fini(&t);
    return catalog_db_end(c, rc, err);
}
