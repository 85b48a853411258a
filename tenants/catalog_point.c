/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants/catalog_point.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "tenants/catalog_db.h"

#define DISKS_MAX (1024 * 1024)
#define NAME_TEXT 128 /* of an object's name, with its NUL */
#define DAY_MS ((uint64_t)24 * 3600 * 1000)

#define SELECT                                                                 \
    "SELECT p.row, p.id, p.vault_id, v.name, v.tenant_id, t.name, p.name,"     \
    " p.series, p.vm_uuid, p.vm_name, p.pool, p.mode, p.gateway, p.disks,"     \
    " p.time_ms, p.started_ms, p.ended_ms, p.read_bytes, p.changed_bytes,"     \
    " p.new_bytes, p.stored_bytes, p.virtual_bytes, p.sha256, p.made_here,"    \
    " p.verified_ms, p.verdict FROM point p"                                   \
    " JOIN vault v ON v.id = p.vault_id JOIN tenant t ON t.id = v.tenant_id "

static bool point_read(struct sqlite3_stmt *stmt, struct catalog_point *p)
{
    struct catalog_db_row r = {.stmt = stmt, .owned = &p->owned};

    memset(p, 0, sizeof(*p));
    p->row = catalog_db_int(&r);
    catalog_db_copy(&r, p->id, sizeof(p->id));
    p->vault_id = catalog_db_int(&r);
    p->vault = catalog_db_text(&r);
    p->tenant_id = catalog_db_int(&r);
    p->tenant = catalog_db_text(&r);
    p->name = catalog_db_text(&r);
    p->series = catalog_db_text(&r);
    p->vm_uuid = catalog_db_text(&r);
    p->vm_name = catalog_db_text(&r);
    p->pool = catalog_db_text(&r);
    p->mode = catalog_db_text(&r);
    p->gateway = catalog_db_text(&r);
    p->disks = catalog_db_text(&r);
    p->time_ms = catalog_db_u64(&r);
    p->started_ms = catalog_db_u64(&r);
    p->ended_ms = catalog_db_u64(&r);
    p->read_bytes = catalog_db_u64(&r);
    p->changed_bytes = catalog_db_u64(&r);
    p->new_bytes = catalog_db_u64(&r);
    p->stored_bytes = catalog_db_u64(&r);
    p->virtual_bytes = catalog_db_u64(&r);
    catalog_db_bytes(&r, p->sha256, sizeof(p->sha256));
    p->made_here = catalog_db_bool(&r);
    p->verified_ms = catalog_db_u64(&r);
    p->verdict = catalog_db_text(&r);
    return !r.nomem;
}

void catalog_point_fini(struct catalog_point *p)
{
    catalog_db_release(&p->owned);
}

/* "points/<32 hex digits>/<time>-<8 hex digits>" */
static bool point_name_parse(const char *name, char id[CATALOG_POINT_ID],
                             uint64_t *time_ms)
{
    const size_t head = sizeof("points/") - 1;
    char text[NAME_TEXT];
    struct id16 tag;
    uint8_t rand[4];

    if (strlen(name) != head + 32 + 1 + CATALOG_POINT_ID - 1 ||
        strncmp(name, "points/", head) != 0 || name[head + 32] != '/')
        return false;
    memcpy(text, name, strlen(name) + 1);
    text[head + 32] = '\0';
    memcpy(id, text + head + 33, CATALOG_POINT_ID);
    if (!parse_id16(text + head, &tag) || id[16] != '-' ||
        !bytes_unhex(id + 17, rand, sizeof(rand)))
        return false;
    text[head + 33 + 16] = '\0';
    return clock_parse_compact(text + head + 33, time_ms);
}

static enum err_code point_write(struct catalog *c,
                                 const struct catalog_point *p, const char *id,
                                 uint64_t time_ms, struct err *err)
{
    return catalog_db_exec(
        c, err,
        "INSERT INTO point (vault_id, id, name, series, vm_uuid, vm_name, pool,"
        " mode, gateway, disks, time_ms, started_ms, ended_ms, read_bytes,"
        " changed_bytes, new_bytes, stored_bytes, virtual_bytes, sha256,"
        " made_here) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
        " ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)"
        " ON CONFLICT (vault_id, name) DO UPDATE SET series = ?4,"
        " vm_uuid = ?5, vm_name = ?6, pool = ?7, mode = ?8, gateway = ?9,"
        " disks = ?10, started_ms = ?12, ended_ms = ?13, read_bytes = ?14,"
        " changed_bytes = ?15, new_bytes = ?16, stored_bytes = ?17,"
        " virtual_bytes = ?18, sha256 = ?19,"
        " made_here = max(made_here, ?20)",
        "itttttttttiiiiiiiibi", p->vault_id, id, p->name, p->series,
        p->vm_uuid, p->vm_name, p->pool, p->mode, p->gateway, p->disks,
        (int64_t)time_ms, (int64_t)p->started_ms, (int64_t)p->ended_ms,
        (int64_t)p->read_bytes, (int64_t)p->changed_bytes,
        (int64_t)p->new_bytes, (int64_t)p->stored_bytes,
        (int64_t)p->virtual_bytes,
        (struct slice){p->sha256, sizeof(p->sha256)}, (int64_t)p->made_here);
}

/*
 * The VM is the tenant's from the moment its snapshot was taken, unless it is
 * somebody's already: only a move takes a VM from its owner. What was read
 * from a vault settles nothing: a tenant that holds its keys can write points
 * about anybody's VMs there.
 */
static enum err_code point_settle_owner(struct catalog *c,
                                        const struct catalog_point *p,
                                        struct err *err)
{
    return catalog_db_exec(c, err,
                           "INSERT INTO vm_owner SELECT ?1, tenant_id, ?3"
                           " FROM vault WHERE id = ?2"
                           " ON CONFLICT (vm_uuid) DO UPDATE SET"
                           " since_ms = excluded.since_ms"
                           " WHERE excluded.tenant_id = vm_owner.tenant_id"
                           " AND excluded.since_ms >= vm_owner.since_ms",
                           "tii", p->vm_uuid, p->vault_id,
                           (int64_t)p->started_ms);
}

enum err_code catalog_point_put(struct catalog *c,
                                const struct catalog_point *p, struct err *err)
{
    char id[CATALOG_POINT_ID];
    uint64_t time_ms;
    enum err_code rc;

    if (!point_name_parse(p->name, id, &time_ms))
        return err_set(err, ERR_ARGUMENT, 0, "'%.120s' is no point's name",
                       p->name);
    if (strlen(p->disks) > DISKS_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "point %s: too many disks", id);
    rc = catalog_begin(c, err);
    if (rc != ERR_OK)
        return rc;
    rc = point_write(c, p, id, time_ms, err);
    if (rc == ERR_CONFLICT)
        rc = err_set(err, ERR_NOT_FOUND, 0, "point %s: no such vault", id);
    if (rc == ERR_OK && p->made_here)
        rc = point_settle_owner(c, p, err);
    return catalog_db_end(c, rc, err);
}

/* Only what is asked for stands in the statement, so that indexes serve. */
static struct sqlite3_stmt *point_filter(struct catalog *c,
                                         const struct catalog_point_filter *f,
                                         uint64_t time_ms, int64_t row,
                                         int64_t limit, struct err *err)
{
    struct sqlite3_stmt *stmt;
    struct buf sql;

    buf_init(&sql, 4096);
    buf_add_text(&sql, SELECT "WHERE (p.time_ms, p.row) < (?1, ?2)");
    if (f->tenant_id)
        buf_add_text(&sql, " AND v.tenant_id = ?3");
    if (f->vault_id)
        buf_add_text(&sql, " AND p.vault_id = ?4");
    if (f->vm_uuid)
        buf_add_text(&sql, " AND p.vm_uuid = ?5");
    if (f->vm_name)
        buf_add_text(&sql, " AND p.vm_name = ?6");
    if (f->pool)
        buf_add_text(&sql, " AND p.pool = ?7");
    if (f->id)
        buf_add_text(&sql, " AND p.id = ?8");
    if (f->from_ms)
        buf_add_text(&sql, " AND p.time_ms >= ?9");
    if (f->before_ms)
        buf_add_text(&sql, " AND p.time_ms < ?10");
    buf_add_text(&sql, " ORDER BY p.time_ms DESC, p.row DESC LIMIT ?11");
    stmt = catalog_db_query_built(c, err, &sql, "iiiittttiii",
                                  (int64_t)time_ms, row, f->tenant_id,
                                  f->vault_id, f->vm_uuid, f->vm_name, f->pool,
                                  f->id, (int64_t)f->from_ms,
                                  (int64_t)f->before_ms, limit);
    buf_fini(&sql);
    return stmt;
}

/* "<time ms>-<row>" */
static enum err_code point_cursor(const struct catalog_page *page,
                                  uint64_t *time_ms, uint64_t *row,
                                  struct err *err)
{
    const char *dash;

    *time_ms = INT64_MAX;
    *row = INT64_MAX;
    if (!page->cursor || !page->cursor[0])
        return ERR_OK;
    dash = strchr(page->cursor, '-');
    if (!dash ||
        !parse_u64_n(page->cursor, (size_t)(dash - page->cursor), 0, INT64_MAX,
                     time_ms) ||
        !parse_u64(dash + 1, 0, INT64_MAX, row))
        return err_set(err, ERR_ARGUMENT, 0, "cursor: not one of ours");
    return ERR_OK;
}

enum err_code catalog_point_each(struct catalog *c,
                                 const struct catalog_point_filter *filter,
                                 struct catalog_page *page,
                                 catalog_point_fn *fn, void *ctx,
                                 struct err *err)
{
    struct catalog_db_walk w;
    uint64_t time_ms, row;
    enum err_code rc = point_cursor(page, &time_ms, &row, err);

    if (rc != ERR_OK)
        return rc;
    catalog_db_walk_begin(&w, c, page, err,
                          point_filter(c, filter, time_ms, (int64_t)row,
                                       catalog_db_limit(page), err));
    while (catalog_db_walk_next(&w)) {
        struct catalog_point p;
        bool goes = false;

        if (!point_read(w.stmt, &p)) {
            catalog_db_walk_nomem(&w);
        } else {
            catalog_db_walk_mark(&w, "%llu-%lld", (unsigned long long)p.time_ms,
                                 (long long)p.row);
            goes = fn(ctx, &p);
        }
        catalog_point_fini(&p);
        if (!goes)
            break;
    }
    return catalog_db_walk_end(&w);
}

/* The newest of a filter. A second one of the same name in another vault is a
 * copy, and one must be chosen. */
static enum err_code point_newest(struct catalog *c,
                                  const struct catalog_point_filter *f,
                                  const char *ref, struct catalog_point *out,
                                  struct err *err)
{
    struct catalog_point p = {0}, other = {0};
    struct sqlite3_stmt *stmt;
    enum err_code rc = ERR_OK;
    int step;

    stmt = point_filter(c, f, INT64_MAX, INT64_MAX, 2, err);
    if (!stmt)
        return err->code;
    step = catalog_db_next(c, stmt, err);
    if (step > 0 && !point_read(stmt, &p))
        rc = err_set(err, ERR_NOMEM, 0, "point '%s'", ref);
    else if (step == 0)
        rc = err_set(err, ERR_NOT_FOUND, 0, "no point '%.200s'", ref);
    if (step > 0 && rc == ERR_OK)
        step = catalog_db_next(c, stmt, err);
    if (step > 0 && rc == ERR_OK) {
        if (!point_read(stmt, &other))
            rc = err_set(err, ERR_NOMEM, 0, "point '%s'", ref);
        else if (strcmp(p.id, other.id) == 0)
            rc = err_set(err, ERR_CONFLICT, 0,
                         "point %s lies in vaults '%s' and '%s': name one",
                         p.id, p.vault, other.vault);
    }
    if (step < 0)
        rc = err->code;
    catalog_db_done(c, stmt);
    catalog_point_fini(&other);
    if (rc == ERR_OK)
        *out = p;
    else
        catalog_point_fini(&p);
    return rc;
}

enum err_code catalog_point_newest(struct catalog *c, int64_t vault_id,
                                   const char *series,
                                   struct catalog_point *out, struct err *err)
{
    struct catalog_point p = {0};
    struct sqlite3_stmt *stmt;
    enum err_code rc = ERR_OK;
    int step;

    stmt = catalog_db_query(c, err,
                            SELECT "WHERE p.vault_id = ?1 AND p.series = ?2"
                                   " ORDER BY p.time_ms DESC, p.row DESC"
                                   " LIMIT 1",
                            "it", vault_id, series);
    if (!stmt)
        return err->code;
    step = catalog_db_next(c, stmt, err);
    if (step < 0)
        rc = err->code;
    else if (step == 0)
        rc = err_set(err, ERR_NOT_FOUND, 0, "series %s has no point", series);
    else if (!point_read(stmt, &p))
        rc = err_set(err, ERR_NOMEM, 0, "series %s", series);
    catalog_db_done(c, stmt);
    if (rc == ERR_OK)
        *out = p;
    else
        catalog_point_fini(&p);
    return rc;
}

/* What a VM was called in its newest point, whose it is, in text. */
struct vm_found {
    char uuid[CATALOG_UUID];
    int64_t tenant_id;
};

/* A candidate, told behind those before it. */
static void point_take_vm(struct sqlite3_stmt *stmt, struct vm_found *out,
                          char *said, size_t size, unsigned before)
{
    void *owned = NULL;
    struct catalog_db_row r = {.stmt = stmt, .owned = &owned};
    size_t at = strlen(said);

    catalog_db_copy(&r, out->uuid, sizeof(out->uuid));
    out->tenant_id = catalog_db_int(&r);
    snprintf(said + at, size - at, "%s%s of tenant %s", before ? ", " : "",
             out->uuid, catalog_db_text(&r));
    catalog_db_release(&owned);
}

/*
 * The VM that `text` names among those whose points are in view: a uuid, a
 * name, or POOL/NAME. A VM that two tenants have points of counts twice.
 */
static enum err_code point_find_vm(struct catalog *c,
                                   const struct catalog_point_filter *within,
                                   const char *text, struct vm_found *out,
                                   struct err *err)
{
    bool no_pools = within->pool && !within->pool[0];
    const char *slash = no_pools ? NULL : strchr(text, '/');
    char pool[CATALOG_NAME] = "";
    char uuid[CATALOG_UUID] = "";
    char said[300] = "";
    struct sqlite3_stmt *stmt;
    struct id16 id;
    unsigned count = 0;
    int step;

    if (slash && (size_t)(slash - text) < sizeof(pool)) {
        memcpy(pool, text, (size_t)(slash - text));
        pool[slash - text] = '\0';
    }
    if (parse_uuid(text, &id))
        parse_uuid_text(&id, uuid);
    stmt = catalog_db_query(
        c, err,
        "SELECT p.vm_uuid, v.tenant_id, t.name, p.pool, p.vm_name FROM point p"
        " JOIN vault v ON v.id = p.vault_id JOIN tenant t ON t.id = v.tenant_id"
        " WHERE (p.vm_uuid = ?1 OR p.vm_name = ?2"
        "  OR (p.vm_name = ?4 AND p.pool = ?3))"
        " AND (?5 = 0 OR v.tenant_id = ?5) AND (?6 = 0 OR p.vault_id = ?6)"
        " AND NOT EXISTS (SELECT 1 FROM point q JOIN vault w"
        "  ON w.id = q.vault_id WHERE q.vm_uuid = p.vm_uuid"
        "  AND w.tenant_id = v.tenant_id AND (?6 = 0 OR q.vault_id = ?6)"
        "  AND (q.time_ms, q.row) > (p.time_ms, p.row))"
        " ORDER BY p.pool, p.vm_name, p.vm_uuid, t.name LIMIT 5",
        "ttttii", uuid, text, pool, slash ? slash + 1 : text,
        within->tenant_id, within->vault_id);
    if (!stmt)
        return err->code;
    while ((step = catalog_db_next(c, stmt, err)) > 0)
        point_take_vm(stmt, out, said, sizeof(said), count++);
    catalog_db_done(c, stmt);
    if (step < 0)
        return err->code;
    if (count == 0)
        return err_set(err, ERR_NOT_FOUND, 0, "no points of a VM '%.200s'",
                       text);
    if (count > 1)
        return err_set(err, ERR_CONFLICT, 0,
                       "VM '%.80s' is ambiguous: %s", text, said);
    return ERR_OK;
}

/* "2026-11-20" */
static bool point_parse_day(const char *text, uint64_t *from_ms)
{
    char whole[CLOCK_TEXT];

    if (strlen(text) != 10)
        return false;
    snprintf(whole, sizeof(whole), "%sT00:00:00Z", text);
    return clock_parse_rfc3339(whole, from_ms);
}

static enum err_code point_get_by_vm(struct catalog *c,
                                     const struct catalog_point_filter *within,
                                     const char *ref, const char *at,
                                     struct catalog_point *out,
                                     struct err *err)
{
    struct catalog_point_filter f = {.vault_id = within->vault_id};
    struct vm_found vm = {0};
    struct buf name;
    const char *text;
    enum err_code rc;

    if (strcmp(at + 1, "latest") != 0) {
        if (!point_parse_day(at + 1, &f.from_ms))
            return err_set(err, ERR_ARGUMENT, 0,
                           "'%.200s': wanted VM@latest or VM@2026-11-20", ref);
        f.before_ms = f.from_ms + DAY_MS;
    }
    buf_init(&name, 1024);
    buf_add(&name, ref, (size_t)(at - ref));
    text = buf_text(&name);
    if (!text)
        rc = err_set(err, ERR_ARGUMENT, 0, "the VM's name is too long");
    else
        rc = point_find_vm(c, within, text, &vm, err);
    buf_fini(&name);
    if (rc != ERR_OK)
        return rc;
    f.vm_uuid = vm.uuid;
    f.tenant_id = vm.tenant_id;
    return point_newest(c, &f, ref, out, err);
}

enum err_code catalog_point_get(struct catalog *c,
                                const struct catalog_point_filter *within,
                                const char *ref, struct catalog_point *out,
                                struct err *err)
{
    struct catalog_point_filter f = {
        .tenant_id = within->tenant_id,
        .vault_id = within->vault_id,
        .id = ref,
    };
    const char *at = strrchr(ref, '@');

    enum err_code rc;

    if (at)
        return point_get_by_vm(c, within, ref, at, out, err);
    rc = point_newest(c, &f, ref, out, err);
    /* Who names a VM alone is told how. */
    if (rc == ERR_NOT_FOUND && ref[0] && strspn(ref, "0123456789") != 8)
        rc = err_set(err, rc, 0,
                     "no point '%.100s'; a VM's newest is '%.100s@latest'",
                     ref, ref);
    return rc;
}

enum err_code catalog_point_last(struct catalog *c, int64_t *row,
                                 struct err *err)
{
    return catalog_db_one(c, err, "", row,
                          "SELECT coalesce(max(row), 0) FROM point", "");
}

enum err_code catalog_point_forget(struct catalog *c, int64_t row,
                                   struct err *err)
{
    return catalog_db_change(c, err, "no such point",
                             "DELETE FROM point WHERE row = ?1", "i", row);
}

enum err_code catalog_point_set_verdict(struct catalog *c, int64_t row,
                                        const char *verdict, struct err *err)
{
    return catalog_db_change(c, err, "no such point",
                             "UPDATE point SET verdict = ?2, verified_ms = ?3"
                             " WHERE row = ?1",
                             "iti", row, verdict, (int64_t)catalog_db_now(c));
}
