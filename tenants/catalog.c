/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants/catalog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/log.h"
#include "tenants/catalog_db.h"

/* Up to here the check at the start reads indexes too. */
#define CHECK_WHOLE_BYTES (64 * (int64_t)MIB)

/* One process at a time; the lock goes with the process. */
static enum err_code catalog_lock(struct catalog *c, const char *path,
                                  struct err *err)
{
    struct buf name;
    const char *text;
    enum err_code rc = ERR_OK;
    int fd;

    buf_init(&name, 4096);
    buf_addf(&name, "%s-lock", path);
    text = buf_text(&name);
    if (!text) {
        rc = err_set(err, ERR_ARGUMENT, 0, "catalog: the path is too long");
        goto out;
    }
    c->lock_fd = open(text, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (c->lock_fd < 0) {
        rc = err_set(err, ERR_IO, errno, "%s: %s", text, strerror(errno));
        goto out;
    }
    if (flock(c->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        rc = err_set(err, ERR_CONFLICT, errno,
                     "%s is in use by another process", path);
        goto out;
    }
    /* SQLite would make it readable by others. */
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        rc = err_set(err, ERR_IO, errno, "%s: %s", path, strerror(errno));
    else
        close(fd);
out:
    buf_fini(&name);
    return rc;
}

static enum err_code catalog_damaged(struct catalog *c, const char *path,
                                     struct err *err)
{
    int rc = sqlite3_extended_errcode(c->db);

    if ((rc & 0xff) != SQLITE_NOTADB && (rc & 0xff) != SQLITE_CORRUPT)
        return err_set(err, (rc & 0xff) == SQLITE_NOMEM ? ERR_NOMEM : ERR_IO,
                       rc, "%s: %s", path, sqlite3_errmsg(c->db));
    return err_set(err, ERR_INTEGRITY, rc,
                   "%s is damaged (%s): move it away and restore a copy of "
                   "it; vaults can be opened without it",
                   path, sqlite3_errmsg(c->db));
}

static enum err_code catalog_connect(struct catalog *c, const char *path,
                                     struct err *err)
{
    static const char setup[] = "PRAGMA journal_mode = WAL;"
                                "PRAGMA synchronous = FULL;"
                                "PRAGMA foreign_keys = ON;"
                                "PRAGMA trusted_schema = OFF;"
                                "PRAGMA cell_size_check = ON;"
                                "PRAGMA temp_store = MEMORY;";
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(path, &c->db, flags, NULL);

    if (!c->db)
        return err_set(err, ERR_NOMEM, 0, "%s", path);
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(c->db, 5000);
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        rc = sqlite3_exec(c->db, setup, NULL, NULL, NULL);
    }
    return rc == SQLITE_OK ? ERR_OK : catalog_damaged(c, path, err);
}

/* SQLite's own check; the whole of it while the file is small. */
static enum err_code catalog_check(struct catalog *c, const char *path,
                                   struct err *err)
{
    struct sqlite3_stmt *stmt = NULL;
    const char *sql = "PRAGMA integrity_check(1)";
    enum err_code rc = ERR_OK;
    struct stat st;

    if (stat(path, &st) == 0 && st.st_size > CHECK_WHOLE_BYTES)
        sql = "PRAGMA quick_check(1)";
    if (sqlite3_prepare_v2(c->db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW) {
        rc = catalog_damaged(c, path, err);
    } else {
        const char *said = (const char *)sqlite3_column_text(stmt, 0);

        if (!said || strcmp(said, "ok") != 0)
            rc = err_set(err, ERR_INTEGRITY, 0,
                         "%s is damaged (%s): move it away and restore a copy "
                         "of it; vaults can be opened without it",
                         path, said ? said : "no answer");
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* A value sealed when the catalog was made: does it open under our key? */
static enum err_code catalog_check_key(struct catalog *c, const char *path,
                                       struct err *err)
{
    static const char proof[] = "cairn catalog";
    const struct slice plain = {(const uint8_t *)proof, sizeof(proof)};
    struct buf sealed, opened;
    struct buf hex;
    enum err_code rc;

    buf_init(&sealed, 1024);
    buf_init_secret(&opened, 1024);
    buf_init(&hex, 4096);
    rc = catalog_setting_get(c, "key_proof", &hex, err);
    if (rc == ERR_NOT_FOUND) {
        char text[1024];

        err_clear(err); /* it is new */
        rc = catalog_db_seal(c, "catalog", 0, "proof", plain, &sealed, err);
        if (rc == ERR_OK && sealed.len * 2 < sizeof(text)) {
            bytes_hex(sealed.data, sealed.len, text);
            rc = catalog_setting_set(c, "key_proof", text, err);
        }
    } else if (rc == ERR_OK) {
        uint8_t raw[512];
        size_t len = hex.len / 2;

        if (len > sizeof(raw) || !bytes_unhex(buf_text(&hex), raw, len))
            rc = err_set(err, ERR_INTEGRITY, 0, "%s: its key proof is damaged",
                         path);
        else
            rc = catalog_db_open(c, "catalog", 0, "proof",
                                 (struct slice){raw, len}, &opened, err);
        if (rc == ERR_KEY)
            rc = err_set(err, ERR_KEY, 0,
                         "%s was made under another gateway key", path);
    }
    buf_fini(&hex);
    buf_fini(&sealed);
    buf_fini(&opened);
    return rc;
}

/* Whoever was making a vault died over it, and its recovery key was never told:
 * it cannot be used. */
static enum err_code catalog_drop_unfinished(struct catalog *c,
                                             struct err *err)
{
    enum err_code rc = catalog_db_exec(c, err,
                                       "DELETE FROM vault WHERE state = 0",
                                       "");

    if (rc == ERR_OK && catalog_db_changes(c) > 0)
        log_event(LOG_WARN, "vaults_unfinished_dropped",
                  log_i64("count", catalog_db_changes(c)), LOG_END);
    return rc;
}

enum err_code catalog_open(const struct catalog_opts *opts,
                           struct catalog **out, struct err *err)
{
    struct catalog *c = calloc(1, sizeof(*c));
    bool in_memory = strcmp(opts->path, ":memory:") == 0;
    enum err_code rc = ERR_OK;

    if (!c)
        return err_set(err, ERR_NOMEM, 0, "%s", opts->path);
    c->lock_fd = -1;
    c->clock = opts->clock ? opts->clock : clock_system();
    c->suite = opts->suite;
    c->gateway_key = opts->gateway_key;
    if (!in_memory)
        rc = catalog_lock(c, opts->path, err);
    if (rc == ERR_OK)
        rc = catalog_connect(c, opts->path, err);
    if (rc == ERR_OK)
        rc = catalog_check(c, opts->path, err);
    if (rc == ERR_OK)
        rc = catalog_schema_migrate(c, catalog_schema_steps,
                                    catalog_schema_newest(), err);
    if (rc == ERR_OK)
        rc = catalog_check_key(c, opts->path, err);
    if (rc == ERR_OK)
        rc = catalog_drop_unfinished(c, err);
    if (rc == ERR_OK)
        *out = c;
    else
        catalog_close(c);
    return rc;
}

void catalog_close(struct catalog *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < CATALOG_DB_CACHE; i++)
        sqlite3_finalize(c->cache[i].stmt);
    sqlite3_close_v2(c->db);
    if (c->lock_fd >= 0)
        close(c->lock_fd);
    free(c);
}

enum err_code catalog_setting_get(struct catalog *c, const char *name,
                                  struct buf *out, struct err *err)
{
    struct sqlite3_stmt *stmt;
    enum err_code rc = ERR_OK;
    int step;

    stmt = catalog_db_query(c, err, "SELECT value FROM setting WHERE name = ?1",
                            "t", name);
    if (!stmt)
        return err->code;
    step = catalog_db_next(c, stmt, err);
    if (step == 0)
        rc = err_set(err, ERR_NOT_FOUND, 0, "no setting '%s'", name);
    else if (step < 0)
        rc = err->code;
    else if (!buf_add_text(out, (const char *)sqlite3_column_text(stmt, 0)))
        rc = err_set(err, ERR_NOMEM, 0, "setting '%s'", name);
    catalog_db_done(c, stmt);
    return rc;
}

enum err_code catalog_setting_set(struct catalog *c, const char *name,
                                  const char *value, struct err *err)
{
    return catalog_db_exec(c, err,
                           "INSERT INTO setting VALUES (?1, ?2)"
                           " ON CONFLICT (name) DO UPDATE SET value = ?2",
                           "tt", name, value);
}
