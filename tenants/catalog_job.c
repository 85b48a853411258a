/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants/catalog_job.h"

#include <stdio.h>
#include <string.h>

#include "crypto/seal_key.h"
#include "tenants/catalog_db.h"
#include "tenants/catalog_pool.h"
#include "tenants/catalog_tenant.h"
#include "tenants/catalog_vault.h"

#define PARAMS_MAX (64 * 1024)
#define RESULT_MAX (1024 * 1024)

#define SELECT                                                                 \
    "SELECT j.id, j.kind, j.tenant_id, t.name, j.pool_id, j.pool,"             \
    " j.vault_id, j.vault, j.vm_uuid, j.vm_name, j.point, j.params, j.state,"  \
    " j.stage, j.done_bytes, j.total_bytes, j.change, j.cancel_asked,"         \
    " j.attempt, j.retry_of, j.code, j.exit, j.error, j.result, j.created_ms," \
    " j.started_ms, j.ended_ms"                                                \
    " FROM job j JOIN tenant t ON t.id = j.tenant_id "

static const char *const state_names[] = {"queued", "running", "succeeded",
                                          "warned", "failed", "cancelled"};

const char *catalog_job_state_name(enum catalog_job_state s)
{
    return state_names[s];
}

bool catalog_job_state_from(const char *name, enum catalog_job_state *out)
{
    for (size_t i = 0; i < BYTES_COUNT(state_names); i++) {
        if (strcmp(name, state_names[i]) == 0) {
            *out = (enum catalog_job_state)i;
            return true;
        }
    }
    return false;
}

bool catalog_job_is_final(enum catalog_job_state s)
{
    return s >= CATALOG_JOB_SUCCEEDED;
}

static bool job_read(struct sqlite3_stmt *stmt, struct catalog_job *j)
{
    struct catalog_db_row r = {.stmt = stmt, .owned = &j->owned};
    char code[32];

    memset(j, 0, sizeof(*j));
    catalog_db_copy(&r, j->id, sizeof(j->id));
    j->kind = catalog_db_text(&r);
    j->tenant_id = catalog_db_int(&r);
    j->tenant = catalog_db_text(&r);
    j->pool_id = catalog_db_int(&r);
    j->pool = catalog_db_text(&r);
    j->vault_id = catalog_db_int(&r);
    j->vault = catalog_db_text(&r);
    j->vm_uuid = catalog_db_text(&r);
    j->vm_name = catalog_db_text(&r);
    j->point = catalog_db_text(&r);
    j->params = catalog_db_text(&r);
    j->state = (enum catalog_job_state)catalog_db_int(&r);
    j->stage = catalog_db_text(&r);
    j->done_bytes = catalog_db_u64(&r);
    j->total_bytes = catalog_db_u64(&r);
    j->change = catalog_db_u64(&r);
    j->cancel_asked = catalog_db_bool(&r);
    j->attempt = (unsigned)catalog_db_int(&r);
    j->retry_of = catalog_db_text(&r);
    catalog_db_copy(&r, code, sizeof(code));
    if (!err_from_name(code, &j->code))
        j->code = ERR_IO;
    j->exit = (int)catalog_db_int(&r);
    j->error = catalog_db_text(&r);
    j->result = catalog_db_text(&r);
    j->created_ms = catalog_db_u64(&r);
    j->started_ms = catalog_db_u64(&r);
    j->ended_ms = catalog_db_u64(&r);
    return !r.nomem;
}

void catalog_job_fini(struct catalog_job *j)
{
    catalog_db_release(&j->owned);
}

/* The newest id's time, so that ids rise also when the clock does not. */
static enum err_code job_last_time(struct catalog *c, struct err *err)
{
    int64_t last = 0;
    enum err_code rc;

    if (c->last_job)
        return ERR_OK;
    rc = catalog_db_one(c, err, "", &last,
                        "SELECT coalesce(max(created_ms), 0) FROM job", "");
    if (rc == ERR_OK)
        c->last_job = (uint64_t)last;
    return rc;
}

/* 50 bits of milliseconds, 30 bits drawn: 16 digits to the base of 32, whose
 * alphabet sorts as its numbers do and lacks i, l, o, u. */
static enum err_code job_draw_id(struct catalog *c, char id[CATALOG_JOB_ID],
                                 uint64_t *at_ms, struct err *err)
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint8_t raw[6];
    uint64_t t;
    enum err_code rc = job_last_time(c, err);

    if (rc == ERR_OK)
        rc = seal_key_random(raw, sizeof(raw), err);
    if (rc != ERR_OK)
        return rc;
    *at_ms = catalog_db_now(c);
    if (*at_ms <= c->last_job)
        *at_ms = c->last_job + 1;
    t = *at_ms;
    for (int i = 9; i >= 0; i--, t >>= 5)
        id[i] = digits[t & 31];
    for (int i = 0; i < 6; i++)
        id[10 + i] = digits[raw[i] & 31];
    id[16] = '\0';
    return ERR_OK;
}

static enum err_code job_check_tenant(struct catalog *c,
                                      const struct catalog_job *j,
                                      struct err *err)
{
    struct catalog_tenant t = {0};
    enum err_code rc = catalog_tenant_get_id(c, j->tenant_id, &t, err);

    if (rc != ERR_OK)
        return rc;
    if (strcmp(j->kind, "backup") == 0 && t.state != CATALOG_TENANT_ACTIVE)
        rc = err_set(err, ERR_DENIED, 0,
                     "tenant '%s' is not active: nothing is backed up for it",
                     t.name);
    catalog_tenant_fini(&t);
    return rc;
}

static enum err_code job_insert(struct catalog *c, const struct catalog_job *j,
                                const char *id, uint64_t at_ms,
                                struct err *err)
{
    struct catalog_pool pool = {0};
    struct catalog_vault vault = {0};
    enum err_code rc = ERR_OK;

    if (j->pool_id)
        rc = catalog_pool_get_id(c, j->pool_id, &pool, err);
    if (rc == ERR_OK && j->vault_id)
        rc = catalog_vault_get_id(c, j->vault_id, &vault, err);
    if (rc == ERR_OK && j->vault_id && vault.tenant_id != j->tenant_id)
        rc = err_set(err, ERR_NOT_FOUND, 0, "no such vault of this tenant");
    if (rc == ERR_OK)
        rc = catalog_db_exec(
            c, err,
            "INSERT INTO job (id, kind, tenant_id, pool_id, pool, vault_id,"
            " vault, vm_uuid, vm_name, point, params, state, retry_of,"
            " created_ms) VALUES (?1, ?2, ?3, nullif(?4, 0), ?5, nullif(?6, 0),"
            " ?7, ?8, ?9, ?10, ?11, 0, ?12, ?13)",
            "ttiititttttti", id, j->kind, j->tenant_id, j->pool_id,
            pool.name ? pool.name : "", j->vault_id,
            vault.name ? vault.name : "", j->vm_uuid, j->vm_name, j->point,
            j->params, j->retry_of, (int64_t)at_ms);
    catalog_pool_fini(&pool);
    catalog_vault_fini(&vault);
    return rc;
}

enum err_code catalog_job_add(struct catalog *c, const struct catalog_job *j,
                              char id[CATALOG_JOB_ID], struct err *err)
{
    char made[CATALOG_JOB_ID];
    uint64_t at_ms = 0;
    enum err_code rc;

    if (strlen(j->params) > PARAMS_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "job: parameters over %d KiB",
                       PARAMS_MAX / 1024);
    rc = catalog_begin(c, err);
    if (rc != ERR_OK)
        return rc;
    rc = job_check_tenant(c, j, err);
    if (rc == ERR_OK)
        rc = job_draw_id(c, made, &at_ms, err);
    if (rc == ERR_OK)
        rc = job_insert(c, j, made, at_ms, err);
    rc = catalog_db_end(c, rc, err);
    if (rc != ERR_OK)
        return rc;
    c->last_job = at_ms;
    memcpy(id, made, sizeof(made));
    return ERR_OK;
}

enum err_code catalog_job_get(struct catalog *c, int64_t tenant_id,
                              const char *id, struct catalog_job *out,
                              struct err *err)
{
    struct catalog_job j = {0};
    struct sqlite3_stmt *stmt;
    enum err_code rc = ERR_OK;
    int step;

    stmt = catalog_db_query(c, err,
                            SELECT "WHERE j.id = ?1"
                                   " AND (?2 = 0 OR j.tenant_id = ?2)",
                            "ti", id, tenant_id);
    if (!stmt)
        return err->code;
    step = catalog_db_next(c, stmt, err);
    if (step < 0)
        rc = err->code;
    else if (step == 0)
        rc = err_set(err, ERR_NOT_FOUND, 0, "no job '%.40s'", id);
    else if (!job_read(stmt, &j))
        rc = err_set(err, ERR_NOMEM, 0, "job %s", id);
    catalog_db_done(c, stmt);
    if (rc == ERR_OK)
        *out = j;
    else
        catalog_job_fini(&j);
    return rc;
}

/* Only what is asked for stands in the statement, so that indexes serve. */
static struct sqlite3_stmt *job_filter(struct catalog *c,
                                       const struct catalog_job_filter *f,
                                       struct catalog_page *page,
                                       struct err *err)
{
    const char *before = page->cursor && page->cursor[0] ? page->cursor : "~";
    struct sqlite3_stmt *stmt;
    struct buf sql;

    buf_init(&sql, 4096);
    buf_add_text(&sql, SELECT "WHERE j.id < ?1");
    if (f->tenant_id)
        buf_add_text(&sql, " AND j.tenant_id = ?2");
    if (f->kind)
        buf_add_text(&sql, " AND j.kind = ?3");
    if (f->vm_uuid)
        buf_add_text(&sql, " AND j.vm_uuid = ?4");
    if (f->vault)
        buf_add_text(&sql, " AND j.vault = ?5");
    if (f->since_ms)
        buf_add_text(&sql, " AND j.created_ms >= ?6");
    if (f->by_state)
        buf_add_text(&sql, " AND j.state = ?7");
    if (f->unfinished)
        buf_add_text(&sql, " AND j.state < 2");
    if (f->failed)
        buf_add_text(&sql, " AND j.state = 4");
    buf_add_text(&sql, " ORDER BY j.id DESC LIMIT ?8");
    stmt = catalog_db_query_built(c, err, &sql, "titttiii", before,
                                  f->tenant_id, f->kind, f->vm_uuid, f->vault,
                                  (int64_t)f->since_ms, (int64_t)f->state,
                                  catalog_db_limit(page));
    buf_fini(&sql);
    return stmt;
}

enum err_code catalog_job_each(struct catalog *c,
                               const struct catalog_job_filter *filter,
                               struct catalog_page *page, catalog_job_fn *fn,
                               void *ctx, struct err *err)
{
    struct catalog_db_walk w;

    catalog_db_walk_begin(&w, c, page, err,
                          job_filter(c, filter, page, err));
    while (catalog_db_walk_next(&w)) {
        struct catalog_job j;
        bool goes = false;

        if (!job_read(w.stmt, &j)) {
            catalog_db_walk_nomem(&w);
        } else {
            catalog_db_walk_mark(&w, "%s", j.id);
            goes = fn(ctx, &j);
        }
        catalog_job_fini(&j);
        if (!goes)
            break;
    }
    return catalog_db_walk_end(&w);
}

/* A change was refused by its condition: is the job not there, or not so? */
static enum err_code job_refused(struct catalog *c, const char *id,
                                 struct err *err)
{
    struct catalog_job j = {0};
    enum err_code rc = catalog_job_get(c, 0, id, &j, err);

    if (rc == ERR_OK)
        rc = err_set(err, ERR_CONFLICT, 0, "job %s is %s", id,
                     catalog_job_state_name(j.state));
    catalog_job_fini(&j);
    return rc;
}

enum err_code catalog_job_start(struct catalog *c, const char *id,
                                struct err *err)
{
    enum err_code rc;

    rc = catalog_db_change(c, err, "",
                           "UPDATE job SET state = 1, change = change + 1,"
                           " started_ms = ?2 WHERE id = ?1 AND state = 0",
                           "ti", id, (int64_t)catalog_db_now(c));
    return rc == ERR_NOT_FOUND ? job_refused(c, id, err) : rc;
}

enum err_code catalog_job_requeue_all(struct catalog *c, unsigned *count,
                                      struct err *err)
{
    enum err_code rc;

    rc = catalog_db_exec(c, err,
                         "UPDATE job SET state = 0, change = change + 1,"
                         " attempt = attempt + 1, stage = '', done_bytes = 0,"
                         " total_bytes = 0 WHERE state = 1", "");
    if (rc == ERR_OK && count)
        *count = (unsigned)catalog_db_changes(c);
    return rc;
}

enum err_code catalog_job_progress(struct catalog *c, const char *id,
                                   const char *stage, uint64_t done_bytes,
                                   uint64_t total_bytes, struct err *err)
{
    enum err_code rc = catalog_db_begin_lazy(c, err);

    if (rc != ERR_OK)
        return rc;
    rc = catalog_db_exec(c, err,
                         "UPDATE job SET stage = coalesce(?2, stage),"
                         " done_bytes = ?3, total_bytes = ?4,"
                         " change = change + 1 WHERE id = ?1 AND state = 1",
                         "ttii", id, stage, (int64_t)done_bytes,
                         (int64_t)total_bytes);
    return catalog_db_end(c, rc, err);
}

enum err_code catalog_job_note(struct catalog *c, const char *id,
                               const char *point, const char *params,
                               struct err *err)
{
    enum err_code rc;

    rc = catalog_db_change(c, err, "",
                           "UPDATE job SET point = coalesce(?2, point),"
                           " params = coalesce(?3, params),"
                           " change = change + 1 WHERE id = ?1",
                           "ttt", id, point, params);
    return rc == ERR_NOT_FOUND ? job_refused(c, id, err) : rc;
}

enum err_code catalog_job_ask_cancel(struct catalog *c, const char *id,
                                     struct err *err)
{
    enum err_code rc;

    rc = catalog_db_change(c, err, "",
                           "UPDATE job SET cancel_asked = 1,"
                           " change = change + 1 WHERE id = ?1 AND state < 2",
                           "t", id);
    return rc == ERR_NOT_FOUND ? job_refused(c, id, err) : rc;
}

enum err_code catalog_job_finish(struct catalog *c, const char *id,
                                 const struct catalog_job_end *end,
                                 struct err *err)
{
    const struct err none = {0};
    const struct err *cause = end->cause ? end->cause : &none;
    const char *result = end->result ? end->result : "";
    enum err_code rc;

    if (!catalog_job_is_final(end->state) || strlen(result) > RESULT_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "job %s: not an end", id);
    rc = catalog_db_change(c, err, "",
                           "UPDATE job SET state = ?2, change = change + 1,"
                           " code = ?3, exit = ?4, error = ?5, result = ?6,"
                           " ended_ms = ?7 WHERE id = ?1 AND state < 2",
                           "tititti", id, (int64_t)end->state,
                           err_name(cause->code), (int64_t)end->exit,
                           cause->text, result, (int64_t)catalog_db_now(c));
    return rc == ERR_NOT_FOUND ? job_refused(c, id, err) : rc;
}

enum err_code catalog_job_expire(struct catalog *c, uint64_t before_ms,
                                 unsigned *count, struct err *err)
{
    enum err_code rc;

    rc = catalog_db_exec(c, err,
                         "DELETE FROM job WHERE id IN (SELECT j.id FROM job j"
                         " WHERE j.state >= 2 AND j.ended_ms < ?1"
                         " AND NOT EXISTS (SELECT 1 FROM journal n"
                         "  WHERE n.job_id = j.id AND n.closed_ms = 0)"
                         " LIMIT ?2)",
                         "ii", (int64_t)before_ms,
                         (int64_t)CATALOG_JOB_EXPIRE_MAX);
    if (rc == ERR_OK && count)
        *count = (unsigned)catalog_db_changes(c);
    return rc;
}
