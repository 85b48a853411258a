/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants/catalog_db.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/parse.h"
#include "crypto/seal_blob.h"

/* Texts that a row owns, behind one another. */
struct owned {
    struct owned *next;
    max_align_t data[];
};

static enum err_code db_fail(struct catalog *c, struct err *err, int rc)
{
    enum err_code code = ERR_IO;

    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        code = ERR_NOMEM;
        break;
    case SQLITE_CONSTRAINT:
        code = ERR_CONFLICT;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        code = ERR_INTEGRITY;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        code = ERR_AGAIN;
        break;
    default:
        break;
    }
    return err_set(err, code, rc, "catalog: %s", sqlite3_errmsg(c->db));
}

static int db_bind(struct sqlite3_stmt *stmt, const char *types, va_list args)
{
    int count = sqlite3_bind_parameter_count(stmt);
    int rc = SQLITE_OK;

    for (int i = 1; types[i - 1] && rc == SQLITE_OK; i++) {
        switch (types[i - 1]) {
        case 'i': {
            int64_t v = va_arg(args, int64_t);

            if (i <= count)
                rc = sqlite3_bind_int64(stmt, i, v);
            break;
        }
        case 't': {
            const char *v = va_arg(args, const char *);

            if (i <= count)
                rc = sqlite3_bind_text(stmt, i, v, -1, SQLITE_TRANSIENT);
            break;
        }
        default: {
            struct slice v = va_arg(args, struct slice);

            assert(types[i - 1] == 'b');
            if (i <= count && v.data)
                rc = sqlite3_bind_blob64(stmt, i, v.data, v.len,
                                         SQLITE_TRANSIENT);
            break;
        }
        }
    }
    return rc;
}

/* A kept statement for a constant text, or a fresh one while that is busy. */
static int db_prepare(struct catalog *c, const char *sql,
                      struct sqlite3_stmt **out)
{
    size_t at = ((uintptr_t)sql >> 3) % CATALOG_DB_CACHE;
    size_t free_at = CATALOG_DB_CACHE;
    int rc;

    for (size_t i = 0; i < CATALOG_DB_CACHE; i++) {
        size_t n = (at + i) % CATALOG_DB_CACHE;

        if (!c->cache[n].sql) {
            free_at = n;
            break;
        }
        if (c->cache[n].sql == sql) {
            if (sqlite3_stmt_busy(c->cache[n].stmt))
                break;
            *out = c->cache[n].stmt;
            return SQLITE_OK;
        }
    }
    rc = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out,
                            NULL);
    if (rc == SQLITE_OK && free_at < CATALOG_DB_CACHE) {
        c->cache[free_at].sql = sql;
        c->cache[free_at].stmt = *out;
    }
    return rc;
}

static struct sqlite3_stmt *db_query_v(struct catalog *c, struct err *err,
                                       const char *sql, const char *types,
                                       va_list args)
{
    struct sqlite3_stmt *stmt = NULL;
    int rc = db_prepare(c, sql, &stmt);

    if (rc == SQLITE_OK)
        rc = db_bind(stmt, types, args);
    if (rc == SQLITE_OK)
        return stmt;
    db_fail(c, err, rc);
    catalog_db_done(c, stmt);
    return NULL;
}

struct sqlite3_stmt *catalog_db_query(struct catalog *c, struct err *err,
                                      const char *sql, const char *types, ...)
{
    struct sqlite3_stmt *stmt;
    va_list args;

    va_start(args, types);
    stmt = db_query_v(c, err, sql, types, args);
    va_end(args);
    return stmt;
}

struct sqlite3_stmt *catalog_db_query_built(struct catalog *c,
                                            struct err *err, struct buf *sql,
                                            const char *types, ...)
{
    struct sqlite3_stmt *stmt = NULL;
    const char *text = buf_text(sql);
    va_list args;
    int rc;

    if (!text) {
        err_set(err, ERR_NOMEM, 0, "catalog");
        return NULL;
    }
    rc = sqlite3_prepare_v2(c->db, text, -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        va_start(args, types);
        rc = db_bind(stmt, types, args);
        va_end(args);
    }
    if (rc == SQLITE_OK)
        return stmt;
    db_fail(c, err, rc);
    sqlite3_finalize(stmt);
    return NULL;
}

int catalog_db_next(struct catalog *c, struct sqlite3_stmt *stmt,
                    struct err *err)
{
    int rc = sqlite3_step(stmt);

    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE)
        return 0;
    db_fail(c, err, rc);
    return -1;
}

void catalog_db_done(struct catalog *c, struct sqlite3_stmt *stmt)
{
    if (!stmt)
        return;
    for (size_t i = 0; i < CATALOG_DB_CACHE; i++) {
        if (c->cache[i].stmt == stmt) {
            sqlite3_reset(stmt);
            sqlite3_clear_bindings(stmt);
            return;
        }
    }
    sqlite3_finalize(stmt);
}

static enum err_code db_exec_v(struct catalog *c, struct err *err,
                               const char *sql, const char *types,
                               va_list args)
{
    struct sqlite3_stmt *stmt = db_query_v(c, err, sql, types, args);
    enum err_code rc = ERR_OK;
    int step;

    if (!stmt)
        return err->code;
    do {
        step = catalog_db_next(c, stmt, err);
    } while (step > 0);
    if (step < 0)
        rc = err->code;
    catalog_db_done(c, stmt);
    return rc;
}

enum err_code catalog_db_exec(struct catalog *c, struct err *err,
                              const char *sql, const char *types, ...)
{
    enum err_code rc;
    va_list args;

    va_start(args, types);
    rc = db_exec_v(c, err, sql, types, args);
    va_end(args);
    return rc;
}

enum err_code catalog_db_change(struct catalog *c, struct err *err,
                                const char *what, const char *sql,
                                const char *types, ...)
{
    enum err_code rc;
    va_list args;

    va_start(args, types);
    rc = db_exec_v(c, err, sql, types, args);
    va_end(args);
    if (rc == ERR_OK && sqlite3_changes(c->db) == 0)
        return err_set(err, ERR_NOT_FOUND, 0, "%s", what);
    return rc;
}

int64_t catalog_db_last_id(const struct catalog *c)
{
    return sqlite3_last_insert_rowid(c->db);
}

int catalog_db_changes(const struct catalog *c)
{
    return sqlite3_changes(c->db);
}

enum err_code catalog_db_one(struct catalog *c, struct err *err,
                             const char *what, int64_t *out, const char *sql,
                             const char *types, ...)
{
    struct sqlite3_stmt *stmt;
    enum err_code rc = ERR_OK;
    va_list args;
    int step;

    va_start(args, types);
    stmt = db_query_v(c, err, sql, types, args);
    va_end(args);
    if (!stmt)
        return err->code;
    step = catalog_db_next(c, stmt, err);
    if (step > 0)
        *out = sqlite3_column_int64(stmt, 0);
    else if (step == 0)
        rc = err_set(err, ERR_NOT_FOUND, 0, "%s", what);
    else
        rc = err->code;
    catalog_db_done(c, stmt);
    return rc;
}

int64_t catalog_db_int(struct catalog_db_row *r)
{
    return sqlite3_column_int64(r->stmt, r->column++);
}

uint64_t catalog_db_u64(struct catalog_db_row *r)
{
    int64_t v = catalog_db_int(r);

    return v < 0 ? 0 : (uint64_t)v;
}

bool catalog_db_bool(struct catalog_db_row *r)
{
    return catalog_db_int(r) != 0;
}

void *catalog_db_owned(struct catalog_db_row *r, size_t bytes)
{
    struct owned *o = calloc(1, sizeof(*o) + bytes);

    if (!o) {
        r->nomem = true;
        return NULL;
    }
    o->next = *r->owned;
    *r->owned = o;
    return o->data;
}

void catalog_db_release(void **owned)
{
    struct owned *o = *owned;

    *owned = NULL;
    while (o) {
        struct owned *next = o->next;

        free(o);
        o = next;
    }
}

const char *catalog_db_text(struct catalog_db_row *r)
{
    const unsigned char *text = sqlite3_column_text(r->stmt, r->column);
    size_t len = (size_t)sqlite3_column_bytes(r->stmt, r->column);
    bool is_null = sqlite3_column_type(r->stmt, r->column) == SQLITE_NULL;
    char *copy;

    r->column++;
    if (!text) {
        r->nomem |= !is_null;
        return "";
    }
    if (len == 0)
        return "";
    copy = catalog_db_owned(r, len + 1);
    if (!copy)
        return "";
    memcpy(copy, text, len);
    return copy;
}

void catalog_db_copy(struct catalog_db_row *r, char *out, size_t size)
{
    const unsigned char *text = sqlite3_column_text(r->stmt, r->column++);

    snprintf(out, size, "%s", text ? (const char *)text : "");
}

bool catalog_db_bytes(struct catalog_db_row *r, uint8_t *out, size_t len)
{
    struct slice s = catalog_db_blob(r);

    if (!s.data || s.len != len)
        return false;
    memcpy(out, s.data, len);
    return true;
}

struct slice catalog_db_blob(struct catalog_db_row *r)
{
    struct slice s;

    s.data = sqlite3_column_blob(r->stmt, r->column);
    s.len = (size_t)sqlite3_column_bytes(r->stmt, r->column++);
    return s;
}

static enum err_code db_simple(struct catalog *c, const char *sql,
                               struct err *err)
{
    int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? ERR_OK : db_fail(c, err, rc);
}

/* Whether commits wait for the disk. Cannot be changed inside a transaction. */
static enum err_code db_set_lazy(struct catalog *c, bool lazy,
                                 struct err *err)
{
    enum err_code rc;

    if (lazy == c->lazy)
        return ERR_OK;
    rc = db_simple(c, lazy ? "PRAGMA synchronous = NORMAL"
                           : "PRAGMA synchronous = FULL", err);
    if (rc == ERR_OK)
        c->lazy = lazy;
    return rc;
}

static enum err_code db_begin(struct catalog *c, bool lazy, struct err *err)
{
    enum err_code rc;

    if (c->depth > 0) {
        c->depth++;
        return ERR_OK;
    }
    rc = db_set_lazy(c, lazy, err);
    if (rc == ERR_OK)
        rc = db_simple(c, "BEGIN IMMEDIATE", err);
    if (rc != ERR_OK)
        return rc;
    c->spoiled = false;
    c->depth = 1;
    return ERR_OK;
}

enum err_code catalog_begin(struct catalog *c, struct err *err)
{
    return db_begin(c, false, err);
}

enum err_code catalog_db_begin_lazy(struct catalog *c, struct err *err)
{
    return db_begin(c, true, err);
}

static void db_roll_back(struct catalog *c)
{
    c->depth = 0;
    c->spoiled = false;
    /* A full disk may have rolled back already. */
    if (!sqlite3_get_autocommit(c->db))
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    db_set_lazy(c, false, NULL);
}

enum err_code catalog_commit(struct catalog *c, struct err *err)
{
    enum err_code rc;

    assert(c->depth > 0);
    if (c->depth > 1) {
        c->depth--;
        return ERR_OK;
    }
    if (c->spoiled) {
        db_roll_back(c);
        return err_set(err, ERR_CONFLICT, 0,
                       "catalog: a part of the change failed");
    }
    rc = db_simple(c, "COMMIT", err);
    if (rc != ERR_OK) {
        db_roll_back(c);
        return rc;
    }
    c->depth = 0;
    /* Statements outside of a transaction are synced too. */
    return db_set_lazy(c, false, err);
}

void catalog_rollback(struct catalog *c)
{
    if (c->depth > 1) {
        c->depth--;
        c->spoiled = true;
    } else if (c->depth == 1) {
        db_roll_back(c);
    }
}

enum err_code catalog_db_end(struct catalog *c, enum err_code rc,
                             struct err *err)
{
    if (rc == ERR_OK)
        return catalog_commit(c, err);
    catalog_rollback(c);
    return rc;
}

uint64_t catalog_db_now(const struct catalog *c)
{
    return clock_wall_ms(c->clock);
}

enum err_code catalog_db_seal(struct catalog *c, const char *kind, int64_t id,
                              const char *what, struct slice plain,
                              struct buf *out, struct err *err)
{
    char place[64];
    struct seal_blob_opts opts = {
        .suite = c->suite,
        .gateway_key = c->gateway_key,
        .context = place,
    };

    snprintf(place, sizeof(place), "%s %lld %s", kind, (long long)id, what);
    return seal_blob_seal(&opts, plain.data, plain.len, out, err);
}

enum err_code catalog_db_open(struct catalog *c, const char *kind, int64_t id,
                              const char *what, struct slice sealed,
                              struct buf *out, struct err *err)
{
    char place[64];
    struct seal_blob_opts opts = {
        .suite = c->suite,
        .gateway_key = c->gateway_key,
        .context = place,
    };

    snprintf(place, sizeof(place), "%s %lld %s", kind, (long long)id, what);
    return seal_blob_open(&opts, sealed.data, sealed.len, out, err);
}

enum err_code catalog_db_check_name(const char *what, const char *name,
                                    struct err *err)
{
    if (parse_name(name))
        return ERR_OK;
    return err_set(err, ERR_ARGUMENT, 0,
                   "%s name '%s': wanted 1 to 40 of a-z, 0-9 and '-'", what,
                   name);
}

enum err_code catalog_db_check_text(const char *what, const char *text,
                                    size_t max, struct err *err)
{
    size_t len = strlen(text);

    if (len > max)
        return err_set(err, ERR_ARGUMENT, 0, "%s: over %zu bytes", what, max);
    if (!parse_utf8(text, len))
        return err_set(err, ERR_ARGUMENT, 0, "%s: not UTF-8", what);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return err_set(err, ERR_ARGUMENT, 0,
                           "%s: holds a control character", what);
    return ERR_OK;
}
