/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/index_db.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vault/index_add.h"

#define VERSION 1

/*
 * A chunk id is random, so its first 8 bytes serve as the row's key and the
 * rest is compared; place = packs.n << 16 | slot. The other way lies with the
 * pack, all ids in one value. About 56 bytes per chunk for both.
 */
static const char schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"
    "CREATE TABLE packs(n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE,"
    " key BLOB NOT NULL, kind INTEGER NOT NULL, slots INTEGER NOT NULL,"
    " ids BLOB NOT NULL);"
    "CREATE TABLE chunks(h INTEGER PRIMARY KEY, rest INTEGER NOT NULL,"
    " place INTEGER NOT NULL);"
    "CREATE TABLE condemned(pack BLOB NOT NULL, first INTEGER NOT NULL,"
    " count INTEGER NOT NULL, PRIMARY KEY(pack, first, count)) WITHOUT ROWID;"
    "CREATE TABLE runs(name TEXT PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE locks(name TEXT PRIMARY KEY, until INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE lists(name TEXT PRIMARY KEY, object BLOB NOT NULL);";

static const char settings[] =
    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=NORMAL; PRAGMA cache_size=-8192;"
    "PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=16777216;";

static const char *const texts[INDEX_QUERIES] = {
    [CHUNK_FIND] = "SELECT rest, place FROM chunks WHERE h = ?",
    [CHUNK_PUT] = "INSERT OR REPLACE INTO chunks VALUES(?, ?, ?)",
    [CHUNK_DROP] = "DELETE FROM chunks WHERE h = ? AND rest = ? AND place = ?",
    [PACK_BY_ID] = "SELECT n, key, kind, slots FROM packs WHERE id = ?",
    [PACK_BY_N] = "SELECT id, key, kind, slots FROM packs WHERE n = ?",
    [PACK_PUT] = ("INSERT INTO packs(id, key, kind, slots, ids)"
                  " VALUES(?, ?, ?, ?, ?)"),
    [PACK_IDS] = "SELECT n, substr(ids, ?2, ?3) FROM packs WHERE id = ?1",
    [CONDEMNED_PUT] = "INSERT OR IGNORE INTO condemned VALUES(?, ?, ?)",
    [CONDEMNED_OF] = "SELECT first, count FROM condemned WHERE pack = ?",
    [RUN_PUT] = "INSERT OR IGNORE INTO runs VALUES(?)",
    [RUNS_ALL] = "SELECT name FROM runs ORDER BY name",
    [LOCK_FIND] = "SELECT until FROM locks WHERE name = ?",
    [LOCK_PUT] = "INSERT OR REPLACE INTO locks VALUES(?, ?)",
    [LIST_PUT] = "INSERT OR REPLACE INTO lists VALUES(?, ?)",
    [LISTS_ALL] = "SELECT name, object FROM lists ORDER BY name",
};

/* --- errors and statements ------------------------------------------- */

enum err_code index_db_fail(struct index_db *db, struct err *err)
{
    int rc = sqlite3_errcode(db->sql) & 0xff;

    if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB)
        db->damaged = true;
    return err_set(err, rc == SQLITE_NOMEM ? ERR_NOMEM : ERR_IO, 0,
                   "index %s: %s", db->path, sqlite3_errmsg(db->sql));
}

static enum err_code run_text(struct index_db *db, const char *text,
                              struct err *err)
{
    if (sqlite3_exec(db->sql, text, NULL, NULL, NULL) != SQLITE_OK)
        return index_db_fail(db, err);
    return ERR_OK;
}

/* One step: true when there is a row. False: the end, or err is set. */
bool index_db_step(struct index_db *db, enum index_query q, struct err *err)
{
    int rc = sqlite3_step(db->query[q]);

    if (rc == SQLITE_ROW)
        return true;
    if (rc != SQLITE_DONE)
        index_db_fail(db, err);
    return false;
}

void index_db_bind_id(sqlite3_stmt *s, int at, const struct id16 *id)
{
    sqlite3_bind_blob(s, at, id->b, 16, SQLITE_STATIC);
}

bool index_db_column_id(sqlite3_stmt *s, int at, struct id16 *out)
{
    const void *data = sqlite3_column_blob(s, at);

    if (!data || sqlite3_column_bytes(s, at) != 16)
        return false;
    memcpy(out->b, data, 16);
    return true;
}

int64_t index_db_first_half(const uint8_t *id)
{
    return (int64_t)bytes_get_u64(id);
}

int64_t index_db_second_half(const uint8_t *id)
{
    return (int64_t)bytes_get_u64(id + 8);
}

/* --- looking up ------------------------------------------------------ */

/* The pack of a number, from the few that were asked for last. */
static const struct index_pack *pack_by_number(struct index_db *db, int64_t n,
                                               struct err *err)
{
    sqlite3_stmt *s = db->query[PACK_BY_N];
    struct index_pack p;
    size_t at = (size_t)n % KNOWN;
    bool good = false;

    if (db->known[at].n == n)
        return &db->known[at].pack;
    sqlite3_bind_int64(s, 1, n);
    if (index_db_step(db, PACK_BY_N, err)) {
        good = index_db_column_id(s, 0, &p.id) &&
               index_db_column_id(s, 1, &p.key_id);
        p.kind = (uint16_t)sqlite3_column_int(s, 2);
        p.slots = (uint32_t)sqlite3_column_int64(s, 3);
    }
    sqlite3_reset(s);
    if (!good)
        return NULL;
    db->known[at].n = n;
    db->known[at].pack = p;
    return &db->known[at].pack;
}

static void look_up_one(struct index_db *db, const struct id16 *id,
                        struct index_place *out, struct err *err)
{
    sqlite3_stmt *s = db->query[CHUNK_FIND];
    const struct index_pack *pack;
    int64_t place = -1;

    sqlite3_bind_int64(s, 1, index_db_first_half(id->b));
    if (index_db_step(db, CHUNK_FIND, err) &&
        sqlite3_column_int64(s, 0) == index_db_second_half(id->b))
        place = sqlite3_column_int64(s, 1);
    sqlite3_reset(s);
    if (place < 0)
        return;
    pack = pack_by_number(db, place >> 16, err);
    if (!pack || (uint32_t)(place & 0xffff) >= pack->slots)
        return;
    out->pack = *pack;
    out->slot = (uint32_t)(place & 0xffff);
}

static void look_up(struct index_db *db, struct index_op *op)
{
    for (size_t i = 0; i < op->count; i++) {
        memset(&op->places[i], 0, sizeof(op->places[i]));
        op->places[i].slot = INDEX_UNKNOWN;
    }
    for (size_t i = 0; i < op->count && op->err.code == ERR_OK; i++)
        look_up_one(db, &op->ids[i], &op->places[i], &op->err);
}

static void find_packs(struct index_db *db, struct index_op *op)
{
    sqlite3_stmt *s = db->query[PACK_BY_ID];

    for (size_t i = 0; i < op->count; i++) {
        struct index_pack *p = &op->packs[i];

        memset(p, 0, sizeof(*p));
        p->id = op->ids[i];
        p->slots = INDEX_UNKNOWN;
        index_db_bind_id(s, 1, &op->ids[i]);
        if (op->err.code == ERR_OK && index_db_step(db, PACK_BY_ID, &op->err) &&
            index_db_column_id(s, 1, &p->key_id)) {
            p->kind = (uint16_t)sqlite3_column_int(s, 2);
            p->slots = (uint32_t)sqlite3_column_int64(s, 3);
        }
        sqlite3_reset(s);
    }
}

static void read_ranges(struct index_db *db, struct index_op *op)
{
    sqlite3_stmt *s = db->query[PACK_IDS];

    for (size_t i = 0; i < op->count; i++) {
        struct index_range *r = &op->ranges[i];

        memset(r->ids, 0, r->count * sizeof(*r->ids));
        if (op->err.code != ERR_OK)
            continue;
        index_db_bind_id(s, 1, &r->pack_id);
        sqlite3_bind_int64(s, 2, 1 + 16 * (int64_t)r->first);
        sqlite3_bind_int64(s, 3, 16 * (int64_t)r->count);
        if (index_db_step(db, PACK_IDS, &op->err)) {
            const void *data = sqlite3_column_blob(s, 1);
            size_t len = (size_t)sqlite3_column_bytes(s, 1);

            if (data && len <= 16 * (size_t)r->count)
                memcpy(r->ids, data, len - len % 16);
        }
        sqlite3_reset(s);
    }
}

/* --- lists, runs, locks ---------------------------------------------- */

static void each(struct index_db *db, struct index_op *op, enum index_query q)
{
    sqlite3_stmt *s = db->query[q];
    bool more = true;

    while (more && index_db_step(db, q, &op->err)) {
        const char *name = (const char *)sqlite3_column_text(s, 0);
        struct slice bytes = {NULL, 0};

        if (!name) { /* SQLite does not see each damage */
            db->damaged = sqlite3_errcode(db->sql) != SQLITE_NOMEM;
            err_set(&op->err, db->damaged ? ERR_IO : ERR_NOMEM, 0,
                    "index %s: a row has no name", db->path);
            break;
        }
        if (q == LISTS_ALL) {
            bytes.data = sqlite3_column_blob(s, 1);
            bytes.len = (size_t)sqlite3_column_bytes(s, 1);
        }
        more = op->on_item(op->ctx, name, bytes);
    }
    sqlite3_reset(s);
}

static void keep_list(struct index_db *db, struct index_op *op)
{
    sqlite3_stmt *s = db->query[LIST_PUT];

    sqlite3_bind_text(s, 1, op->name, -1, SQLITE_STATIC);
    sqlite3_bind_blob64(s, 2, op->bytes.data, op->bytes.len, SQLITE_STATIC);
    index_db_step(db, LIST_PUT, &op->err);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
}

static void find_locks(struct index_db *db, struct index_op *op)
{
    sqlite3_stmt *s = db->query[LOCK_FIND];

    for (size_t i = 0; i < op->count; i++) {
        op->locks[i].until_ms = 0;
        if (op->err.code != ERR_OK)
            continue;
        sqlite3_bind_text(s, 1, op->locks[i].name, -1, SQLITE_STATIC);
        if (index_db_step(db, LOCK_FIND, &op->err))
            op->locks[i].until_ms = (uint64_t)sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
}

static void put_locks(struct index_db *db, struct index_op *op)
{
    sqlite3_stmt *s = db->query[LOCK_PUT];

    for (size_t i = 0; i < op->count && op->err.code == ERR_OK; i++) {
        sqlite3_bind_text(s, 1, op->locks[i].name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 2, (int64_t)op->locks[i].until_ms);
        index_db_step(db, LOCK_PUT, &op->err);
        sqlite3_reset(s);
    }
}

static uint64_t number(struct index_db *db, const char *text, struct err *err)
{
    sqlite3_stmt *s = NULL;
    uint64_t n = 0;

    if (sqlite3_prepare_v2(db->sql, text, -1, &s, NULL) != SQLITE_OK ||
        sqlite3_step(s) != SQLITE_ROW)
        index_db_fail(db, err);
    else
        n = (uint64_t)sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

static void count_all(struct index_db *db, struct index_op *op)
{
    op->figures.packs = number(db, "SELECT count(*) FROM packs", &op->err);
    op->figures.chunks = number(db, "SELECT count(*) FROM chunks", &op->err);
    op->figures.file_bytes = number(db, "PRAGMA page_count", &op->err) *
                             number(db, "PRAGMA page_size", &op->err);
}

/* --- one operation --------------------------------------------------- */

static bool changes(enum index_verb verb)
{
    return verb == INDEX_ADD || verb == INDEX_CONDEMN ||
           verb == INDEX_SET_LOCKS || verb == INDEX_KEEP_LIST;
}

/* Verbs whose answers lie in the asker's arrays. */
static bool asks(enum index_verb verb)
{
    return verb == INDEX_LOOKUP || verb == INDEX_PACKS ||
           verb == INDEX_RANGES || verb == INDEX_LOCKS;
}

static void run_verb(struct index_db *db, struct index_op *op)
{
    switch (op->verb) {
    case INDEX_LOOKUP:
        look_up(db, op);
        break;
    case INDEX_PACKS:
        find_packs(db, op);
        break;
    case INDEX_RANGES:
        read_ranges(db, op);
        break;
    case INDEX_ADD:
        index_add_packs(db, op);
        break;
    case INDEX_CONDEMN:
        index_add_condemned(db, op);
        break;
    case INDEX_RUNS:
        each(db, op, RUNS_ALL);
        break;
    case INDEX_LOCKS:
        find_locks(db, op);
        break;
    case INDEX_SET_LOCKS:
        put_locks(db, op);
        break;
    case INDEX_KEEP_LIST:
        keep_list(db, op);
        break;
    case INDEX_LISTS:
        each(db, op, LISTS_ALL);
        break;
    case INDEX_FIGURES:
        count_all(db, op);
        break;
    }
}

void index_db_run(struct index_db *db, struct index_op *op, bool *damaged)
{
    bool writes = changes(op->verb);
    /* One transaction per operation; a read is one snapshot, too. */
    enum err_code rc =
        run_text(db, writes ? "BEGIN IMMEDIATE" : "BEGIN", &op->err);

    if (rc == ERR_OK) {
        run_verb(db, op);
        if (op->err.code == ERR_OK)
            run_text(db, "COMMIT", &op->err);
        if (op->err.code != ERR_OK) {
            sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
            memset(db->known, 0, sizeof(db->known));
        }
    } else if (asks(op->verb)) {
        run_verb(db, op); /* answers "not known", since the error is set */
    }
    *damaged = db->damaged;
}

/* --- open and close -------------------------------------------------- */

static enum err_code begin_anew(struct index_db *db, const struct id16 *vault,
                                struct err *err)
{
    char text[160], hex[33];

    bytes_hex(vault->b, 16, hex);
    snprintf(text, sizeof(text),
             "INSERT INTO meta VALUES('version', %d), ('vault', x'%s');",
             VERSION, hex);
    if (run_text(db, "BEGIN IMMEDIATE", err) != ERR_OK ||
        run_text(db, schema, err) != ERR_OK ||
        run_text(db, text, err) != ERR_OK)
        return err->code;
    return run_text(db, "COMMIT", err);
}

/* Whether the file is an index of this vault in this version. */
static bool is_ours(struct index_db *db, const struct id16 *vault)
{
    sqlite3_stmt *s = NULL;
    struct id16 id;
    bool ours = false;

    if (sqlite3_prepare_v2(db->sql,
                           "SELECT value, (SELECT value FROM meta WHERE key ="
                           " 'vault') FROM meta WHERE key = 'version'",
                           -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW)
        ours = sqlite3_column_int(s, 0) == VERSION &&
               index_db_column_id(s, 1, &id) && id16_equal(&id, vault);
    sqlite3_finalize(s);
    return ours;
}

static bool is_empty(struct index_db *db)
{
    struct err err = {0};

    return number(db, "SELECT count(*) FROM sqlite_schema", &err) == 0 &&
           err.code == ERR_OK;
}

static enum err_code prepare_all(struct index_db *db, struct err *err)
{
    for (int q = 0; q < INDEX_QUERIES; q++)
        if (sqlite3_prepare_v3(db->sql, texts[q], -1, SQLITE_PREPARE_PERSISTENT,
                               &db->query[q], NULL) != SQLITE_OK)
            return index_db_fail(db, err);
    return ERR_OK;
}

static enum err_code open_file(const char *path, struct index_db **out,
                               struct err *err)
{
    struct index_db *db = calloc(1, sizeof(*db));

    if (!db)
        return err_set(err, ERR_NOMEM, 0, "index %s", path);
    db->path = strdup(path);
    if (!db->path ||
        sqlite3_open_v2(path, &db->sql,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                            SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        if (db->sql)
            index_db_fail(db, err);
        else
            err_set(err, ERR_NOMEM, 0, "index %s", path);
        index_db_close(db);
        return err->code;
    }
    sqlite3_busy_timeout(db->sql, 2000);
    *out = db;
    return ERR_OK;
}

/* Open what is there, or begin in an empty file. */
static enum err_code try_open(const char *path, const struct id16 *vault_id,
                              struct index_db **out, bool *fresh,
                              struct err *err)
{
    struct index_db *db = NULL;

    if (open_file(path, &db, err) != ERR_OK)
        return err->code;
    *fresh = false;
    if (run_text(db, settings, err) != ERR_OK)
        goto failed;
    if (is_empty(db)) {
        *fresh = true;
        if (begin_anew(db, vault_id, err) != ERR_OK)
            goto failed;
    } else if (!is_ours(db, vault_id)) {
        db->damaged = true;
        err_set(err, ERR_INTEGRITY, 0, "index %s: not of this vault", path);
        goto failed;
    }
    if (prepare_all(db, err) != ERR_OK)
        goto failed;
    *out = db;
    return ERR_OK;
failed:
    if (db->damaged)
        err->code = ERR_INTEGRITY;
    index_db_close(db);
    return err->code;
}

void index_db_delete(const char *path)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    char name[4200];

    for (size_t i = 0; i < BYTES_COUNT(tails); i++) {
        snprintf(name, sizeof(name), "%s%s", path, tails[i]);
        unlink(name);
    }
}

enum err_code index_db_open(const char *path, const struct id16 *vault_id,
                            struct index_db **out, bool *fresh, struct err *err)
{
    enum err_code rc;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_set(err, ERR_IO, 0, "index %s: cannot be opened", path);
    close(fd);
    rc = try_open(path, vault_id, out, fresh, err);
    if (rc != ERR_INTEGRITY)
        return rc;
    index_db_delete(path);
    err_clear(err);
    return try_open(path, vault_id, out, fresh, err);
}

void index_db_close(struct index_db *db)
{
    if (!db)
        return;
    for (int q = 0; q < INDEX_QUERIES; q++)
        sqlite3_finalize(db->query[q]);
    sqlite3_close(db->sql);
    free(db->path);
    free(db);
}
