/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each step is one transaction and is never changed once released: what comes
 * later is a further step. Numbers that stand for states are those of the
 * enums in the headers.
 */
#include "tenants/catalog_db.h"

#include <sqlite3.h>

static const char step_1[] =
    "CREATE TABLE setting ("
    " name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;"

    /* An erased tenant keeps its row, without a name, so that its number is
     * never given again. */
    "CREATE TABLE tenant ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE,"
    " title TEXT NOT NULL, state INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL) STRICT;"

    "CREATE TABLE pool ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
    " user TEXT NOT NULL, password BLOB, ca_pem TEXT NOT NULL,"
    " paused INTEGER NOT NULL DEFAULT 0, pool_uuid TEXT NOT NULL DEFAULT '',"
    " created_ms INTEGER NOT NULL) STRICT;"

    "CREATE TABLE pool_host ("
    " pool_id INTEGER NOT NULL REFERENCES pool(id) ON DELETE CASCADE,"
    " address TEXT NOT NULL, position INTEGER NOT NULL,"
    " uuid TEXT NOT NULL, name TEXT NOT NULL, entry INTEGER NOT NULL,"
    " dial TEXT NOT NULL, pin BLOB, seen BLOB,"
    " PRIMARY KEY (pool_id, address)) STRICT;"

    "CREATE TABLE rule ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " tenant_id INTEGER NOT NULL REFERENCES tenant(id) ON DELETE CASCADE,"
    " pool_id INTEGER NOT NULL REFERENCES pool(id) ON DELETE CASCADE,"
    " kind INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL,"
    " UNIQUE (pool_id, kind, key, value)) STRICT;"
    "CREATE INDEX rule_tenant ON rule(tenant_id);"

    "CREATE TABLE vm_owner ("
    " vm_uuid TEXT PRIMARY KEY,"
    " tenant_id INTEGER NOT NULL REFERENCES tenant(id) ON DELETE CASCADE,"
    " since_ms INTEGER NOT NULL) STRICT;"
    "CREATE INDEX vm_owner_tenant ON vm_owner(tenant_id);"

    "CREATE TABLE vault ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " tenant_id INTEGER NOT NULL REFERENCES tenant(id) ON DELETE CASCADE,"
    " name TEXT NOT NULL, url TEXT NOT NULL, endpoint TEXT NOT NULL,"
    " region TEXT NOT NULL, ca_pem TEXT NOT NULL, lock TEXT NOT NULL,"
    " state INTEGER NOT NULL, vault_id TEXT NOT NULL DEFAULT '',"
    " public_key TEXT NOT NULL DEFAULT '', existing INTEGER NOT NULL,"
    " proved_ms INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL,"
    " credentials BLOB, identity BLOB, writer_state BLOB,"
    " UNIQUE (tenant_id, name), UNIQUE (url, endpoint)) STRICT;"

    "CREATE TABLE token ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " tenant_id INTEGER NOT NULL REFERENCES tenant(id) ON DELETE CASCADE,"
    " label TEXT NOT NULL, hash BLOB NOT NULL UNIQUE,"
    " created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
    " revoked_ms INTEGER NOT NULL DEFAULT 0,"
    " used_ms INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX token_tenant ON token(tenant_id);"

    "CREATE TABLE job ("
    " id TEXT PRIMARY KEY, kind TEXT NOT NULL,"
    " tenant_id INTEGER NOT NULL REFERENCES tenant(id) ON DELETE CASCADE,"
    " pool_id INTEGER REFERENCES pool(id) ON DELETE SET NULL,"
    " pool TEXT NOT NULL,"
    " vault_id INTEGER REFERENCES vault(id) ON DELETE SET NULL,"
    " vault TEXT NOT NULL, vm_uuid TEXT NOT NULL, vm_name TEXT NOT NULL,"
    " point TEXT NOT NULL, params TEXT NOT NULL, state INTEGER NOT NULL,"
    " stage TEXT NOT NULL DEFAULT '', done_bytes INTEGER NOT NULL DEFAULT 0,"
    " total_bytes INTEGER NOT NULL DEFAULT 0,"
    " change INTEGER NOT NULL DEFAULT 1,"
    " cancel_asked INTEGER NOT NULL DEFAULT 0,"
    " attempt INTEGER NOT NULL DEFAULT 1, retry_of TEXT NOT NULL,"
    " code TEXT NOT NULL DEFAULT 'ok', exit INTEGER NOT NULL DEFAULT 0,"
    " error TEXT NOT NULL DEFAULT '', result TEXT NOT NULL DEFAULT '',"
    " created_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL DEFAULT 0,"
    " ended_ms INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX job_tenant ON job(tenant_id, id);"
    "CREATE INDEX job_vm ON job(vm_uuid, id);"
    "CREATE INDEX job_pool ON job(pool_id);"
    "CREATE INDEX job_vault ON job(vault_id);"
    "CREATE INDEX job_open ON job(state) WHERE state < 2;"

    "CREATE TABLE job_log ("
    " job_id TEXT NOT NULL REFERENCES job(id) ON DELETE CASCADE,"
    " number INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
    " level TEXT NOT NULL, text TEXT NOT NULL,"
    " PRIMARY KEY (job_id, number)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE journal ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " job_id TEXT NOT NULL REFERENCES job(id) ON DELETE CASCADE,"
    " pool_id INTEGER REFERENCES pool(id) ON DELETE SET NULL,"
    " vault_id INTEGER REFERENCES vault(id) ON DELETE SET NULL,"
    " kind TEXT NOT NULL, ref TEXT NOT NULL, detail TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL,"
    " closed_ms INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX journal_job ON journal(job_id);"
    "CREATE INDEX journal_pool ON journal(pool_id);"
    "CREATE INDEX journal_vault ON journal(vault_id);"
    "CREATE INDEX journal_open ON journal(id) WHERE closed_ms = 0;"

    "CREATE TABLE point ("
    " row INTEGER PRIMARY KEY AUTOINCREMENT,"
    " vault_id INTEGER NOT NULL REFERENCES vault(id) ON DELETE CASCADE,"
    " id TEXT NOT NULL, name TEXT NOT NULL, series TEXT NOT NULL,"
    " vm_uuid TEXT NOT NULL, vm_name TEXT NOT NULL, pool TEXT NOT NULL,"
    " mode TEXT NOT NULL, gateway TEXT NOT NULL, disks TEXT NOT NULL,"
    " time_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL,"
    " ended_ms INTEGER NOT NULL, read_bytes INTEGER NOT NULL,"
    " changed_bytes INTEGER NOT NULL, new_bytes INTEGER NOT NULL,"
    " stored_bytes INTEGER NOT NULL, virtual_bytes INTEGER NOT NULL,"
    " sha256 BLOB NOT NULL, made_here INTEGER NOT NULL,"
    " verified_ms INTEGER NOT NULL DEFAULT 0,"
    " verdict TEXT NOT NULL DEFAULT '',"
    " UNIQUE (vault_id, name)) STRICT;"
    "CREATE INDEX point_id ON point(id);"
    "CREATE INDEX point_time ON point(time_ms, row);"
    "CREATE INDEX point_vm ON point(vm_uuid, time_ms);"
    "CREATE INDEX point_vm_name ON point(vm_name, time_ms);"
    "CREATE INDEX point_series ON point(vault_id, series, time_ms);"

    "CREATE TABLE audit ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL,"
    " actor TEXT NOT NULL, tenant_id INTEGER NOT NULL, tenant TEXT NOT NULL,"
    " action TEXT NOT NULL, object TEXT NOT NULL, outcome TEXT NOT NULL,"
    " detail TEXT NOT NULL) STRICT;"
    "CREATE INDEX audit_tenant ON audit(tenant_id, id);"
    "CREATE TRIGGER audit_stays BEFORE DELETE ON audit"
    " BEGIN SELECT RAISE(ABORT, 'audit lines stay'); END;"
    "CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit"
    " BEGIN SELECT RAISE(ABORT, 'audit lines do not change'); END;";

/* What the probe of a store found: words of gateway/place; "": nobody asked. */
static const char step_2[] =
    "ALTER TABLE vault ADD COLUMN traits TEXT NOT NULL DEFAULT '';";

/* Audit lines go when they are old, and no other: catalog_audit_expire() says
 * before which time. */
static const char step_3[] =
    "CREATE INDEX audit_time ON audit(at_ms);"
    "DROP TRIGGER audit_stays;"
    "CREATE TRIGGER audit_stays BEFORE DELETE ON audit"
    " WHEN OLD.at_ms >= coalesce((SELECT CAST(value AS INTEGER) FROM setting"
    "  WHERE name = 'audit_before'), 0)"
    " BEGIN SELECT RAISE(ABORT, 'audit lines stay'); END;";

const char *const catalog_schema_steps[] = {step_1, step_2, step_3};

unsigned catalog_schema_newest(void)
{
    return sizeof(catalog_schema_steps) / sizeof(catalog_schema_steps[0]);
}

unsigned catalog_schema(const struct catalog *c)
{
    return c->schema;
}

static enum err_code schema_run(struct catalog *c, const char *sql,
                                struct err *err)
{
    if (sqlite3_exec(c->db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return ERR_OK;
    return err_set(err, ERR_IO, sqlite3_extended_errcode(c->db),
                   "catalog: %s", sqlite3_errmsg(c->db));
}

/* The version that the file has; 0: it is new. */
static enum err_code schema_read(struct catalog *c, struct err *err)
{
    int64_t version = 0;
    enum err_code rc;

    rc = schema_run(c,
                    "CREATE TABLE IF NOT EXISTS schema_version ("
                    " one INTEGER PRIMARY KEY CHECK (one = 1),"
                    " version INTEGER NOT NULL) STRICT", err);
    if (rc != ERR_OK)
        return rc;
    rc = catalog_db_one(c, err, "version", &version,
                        "SELECT version FROM schema_version", "");
    if (rc == ERR_NOT_FOUND)
        rc = catalog_db_exec(c, err, "INSERT INTO schema_version VALUES (1, 0)",
                             "");
    if (rc == ERR_OK)
        c->schema = (unsigned)version;
    return rc;
}

enum err_code catalog_schema_migrate(struct catalog *c,
                                     const char *const *steps, unsigned count,
                                     struct err *err)
{
    enum err_code rc = catalog_begin(c, err);

    if (rc != ERR_OK)
        return rc;
    rc = catalog_db_end(c, schema_read(c, err), err);
    if (rc != ERR_OK)
        return rc;
    if (c->schema > count)
        return err_set(err, ERR_CONFLICT, 0,
                       "catalog: has schema %u, this program knows up to %u: "
                       "it was used by a newer version",
                       c->schema, count);
    while (c->schema < count) {
        int64_t to = (int64_t)c->schema + 1;

        rc = catalog_begin(c, err);
        if (rc != ERR_OK)
            return rc;
        rc = schema_run(c, steps[c->schema], err);
        if (rc == ERR_OK)
            rc = catalog_db_exec(c, err, "UPDATE schema_version SET version = ?1",
                                 "i", to);
        rc = catalog_db_end(c, rc, err);
        if (rc != ERR_OK)
            return err_context(err, "schema %u to %lld", c->schema,
                               (long long)to);
        c->schema++;
    }
    return ERR_OK;
}
