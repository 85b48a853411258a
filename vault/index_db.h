/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/index_db.h - the SQLite file behind vault/index.h. On the index lane
 * only.
 */
#ifndef CAIRN_VAULT_INDEX_DB_H
#define CAIRN_VAULT_INDEX_DB_H

#include <stdbool.h>

#include <sqlite3.h>

#include "vault/index.h"

enum index_query {
    CHUNK_FIND,
    CHUNK_PUT,
    CHUNK_DROP,
    PACK_BY_ID,
    PACK_BY_N,
    PACK_PUT,
    PACK_IDS,
    CONDEMNED_PUT,
    CONDEMNED_OF,
    RUN_PUT,
    RUNS_ALL,
    LOCK_FIND,
    LOCK_PUT,
    LIST_PUT,
    LISTS_ALL,
    INDEX_QUERIES
};

#define KNOWN 64 /* packs by number, the last ones asked for */

struct index_db {
    sqlite3 *sql;
    sqlite3_stmt *query[INDEX_QUERIES];
    char *path;
    struct {
        int64_t n; /* 0: free */
        struct index_pack pack;
    } known[KNOWN];
    bool damaged;
};

/* *fresh: it was empty, or not usable and begun anew. ERR_IO, ERR_NOMEM. */
enum err_code index_db_open(const char *path, const struct id16 *vault_id,
                            struct index_db **out, bool *fresh,
                            struct err *err);
void index_db_close(struct index_db *db);

/* The file and what SQLite put beside it; it must be closed. */
void index_db_delete(const char *path);

/* Do what op says; op->err tells. *damaged: the file is no longer good, close
 * it, delete it and begin anew. */
void index_db_run(struct index_db *db, struct index_op *op, bool *damaged);

/* --- for index_*.c --------------------------------------------------- */

/* What SQLite says, as an error; notes damage. */
enum err_code index_db_fail(struct index_db *db, struct err *err);
/* One step: true when there is a row. False: the end, or err is set. */
bool index_db_step(struct index_db *db, enum index_query q, struct err *err);
void index_db_bind_id(sqlite3_stmt *s, int at, const struct id16 *id);
bool index_db_column_id(sqlite3_stmt *s, int at, struct id16 *out);
/* A chunk id as two numbers: the row's key, and what is compared. */
int64_t index_db_first_half(const uint8_t *id);
int64_t index_db_second_half(const uint8_t *id);

#endif
