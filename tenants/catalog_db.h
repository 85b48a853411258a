/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenants/catalog_db.h - statements, rows and transactions for catalog_*.c.
 *
 * Private to this room. SQL texts are constants; values are bound, always.
 * Parameters are described by one letter each, numbered from ?1:
 *   i  int64_t      t  const char * (NULL: null)      b  struct slice, by value
 */
#ifndef CAIRN_TENANTS_CATALOG_DB_H
#define CAIRN_TENANTS_CATALOG_DB_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "tenants/catalog.h"

struct sqlite3;
struct sqlite3_stmt;

#define CATALOG_DB_CACHE 128

struct catalog {
    struct sqlite3 *db;
    const struct clock *clock;
    const struct seal_suite *suite;
    const struct seal_key *gateway_key;
    int lock_fd;
    int depth;        /* open catalog_begin() pairs */
    bool spoiled;     /* an inner one was rolled back */
    bool lazy;        /* commits are not synced at the moment */
    unsigned schema;
    uint64_t last_job; /* the newest job id's time part */
    struct {
        const char *sql; /* by address: a constant */
        struct sqlite3_stmt *stmt;
    } cache[CATALOG_DB_CACHE];
};

/* Run to its end. ERR_CONFLICT when a constraint says no. */
enum err_code catalog_db_exec(struct catalog *c, struct err *err,
                              const char *sql, const char *types, ...);

/* As above; ERR_NOT_FOUND with `what` when it changed no row. */
enum err_code catalog_db_change(struct catalog *c, struct err *err,
                                const char *what, const char *sql,
                                const char *types, ...);

int64_t catalog_db_last_id(const struct catalog *c);
int catalog_db_changes(const struct catalog *c);

/* A statement that yields rows; NULL: *err says why. Then catalog_db_next()
 * until it is not 1, and catalog_db_done() in any case. */
struct sqlite3_stmt *catalog_db_query(struct catalog *c, struct err *err,
                                      const char *sql, const char *types, ...);

/* The same for a text put together from constants, which is not kept.
 * Parameters that do not stand in it are skipped. */
struct sqlite3_stmt *catalog_db_query_built(struct catalog *c,
                                            struct err *err, struct buf *sql,
                                            const char *types, ...);

/* 1: a row, 0: the end, -1: *err says why. */
int catalog_db_next(struct catalog *c, struct sqlite3_stmt *stmt,
                    struct err *err);
void catalog_db_done(struct catalog *c, struct sqlite3_stmt *stmt);

/* The first column of the first row; ERR_NOT_FOUND with `what`. */
enum err_code catalog_db_one(struct catalog *c, struct err *err,
                             const char *what, int64_t *out, const char *sql,
                             const char *types, ...);

/* A row goes unless jobs use it (ERR_CONFLICT); ERR_NOT_FOUND. The statements
 * have its id as ?1. */
struct catalog_db_removal {
    const char *what; /* "pool" */
    const char *busy; /* counts what uses it */
    const char *remove;
};
enum err_code catalog_db_remove_idle(struct catalog *c, int64_t id,
                                     const struct catalog_db_removal *r,
                                     struct err *err);

/* Reads a row from left to right into a struct with an `owned`. */
struct catalog_db_row {
    struct sqlite3_stmt *stmt;
    void **owned;
    int column;
    bool nomem;
};
int64_t catalog_db_int(struct catalog_db_row *r);
uint64_t catalog_db_u64(struct catalog_db_row *r); /* no negative numbers */
bool catalog_db_bool(struct catalog_db_row *r);
const char *catalog_db_text(struct catalog_db_row *r); /* null: "" */
/* A text of a fixed size; longer ones are cut. */
void catalog_db_copy(struct catalog_db_row *r, char *out, size_t size);
/* False: null, or of another length. */
bool catalog_db_bytes(struct catalog_db_row *r, uint8_t *out, size_t len);
/* Borrowed until the next row. */
struct slice catalog_db_blob(struct catalog_db_row *r);

/* Memory that lives as long as the row's struct. NULL: r->nomem is set. */
void *catalog_db_owned(struct catalog_db_row *r, size_t bytes);
void catalog_db_release(void **owned);

/*
 * A page's walk:
 *   catalog_db_walk_begin(&w, c, page, err, query);   limit in SQL: ?N =
 *   while (catalog_db_walk_next(&w)) {                catalog_db_limit(page)
 *       ... read, catalog_db_walk_mark(&w, "%s", key), goes = fn(...);
 *       if (!goes) break;
 *   }
 *   return catalog_db_walk_end(&w);
 */
struct catalog_db_walk {
    struct catalog *c;
    struct catalog_page *page;
    struct sqlite3_stmt *stmt;
    struct err *err;
    enum err_code rc;
    unsigned shown;
    bool more;
    char last[CATALOG_CURSOR];
};
int64_t catalog_db_limit(const struct catalog_page *page);
void catalog_db_walk_begin(struct catalog_db_walk *w, struct catalog *c,
                           struct catalog_page *page, struct err *err,
                           struct sqlite3_stmt *stmt);
bool catalog_db_walk_next(struct catalog_db_walk *w);
void catalog_db_walk_mark(struct catalog_db_walk *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
enum err_code catalog_db_walk_end(struct catalog_db_walk *w);
/* Leave with ERR_NOMEM at the end. */
void catalog_db_walk_nomem(struct catalog_db_walk *w);

/* The cursor as a number; otherwise when there is none. ERR_ARGUMENT. */
enum err_code catalog_db_cursor(const struct catalog_page *page,
                                int64_t otherwise, int64_t *out,
                                struct err *err);

/* catalog_begin() whose commit is not synced to disk, unless inside of
 * another one. */
enum err_code catalog_db_begin_lazy(struct catalog *c, struct err *err);

/* Commit when rc is OK, else roll back; returns what the caller returns. */
enum err_code catalog_db_end(struct catalog *c, enum err_code rc,
                             struct err *err);

uint64_t catalog_db_now(const struct catalog *c);

/* Seal into *out, or open sealed bytes into it. A sealed value is bound to its
 * place: kind, id and what ("pool", 17, "password"). */
enum err_code catalog_db_seal(struct catalog *c, const char *kind, int64_t id,
                              const char *what, struct slice plain,
                              struct buf *out, struct err *err);
enum err_code catalog_db_open(struct catalog *c, const char *kind, int64_t id,
                              const char *what, struct slice sealed,
                              struct buf *out, struct err *err);

/* ERR_ARGUMENT: not [a-z0-9-]{1,40}; `what` is "tenant", "pool", "vault". */
enum err_code catalog_db_check_name(const char *what, const char *name,
                                    struct err *err);
/* ERR_ARGUMENT: over max bytes, or not UTF-8, or control characters. */
enum err_code catalog_db_check_text(const char *what, const char *text,
                                    size_t max, struct err *err);

/* tenants/catalog_schema.c: steps[i] leads from version i to i + 1. */
extern const char *const catalog_schema_steps[];
enum err_code catalog_schema_migrate(struct catalog *c,
                                     const char *const *steps, unsigned count,
                                     struct err *err);

#endif
