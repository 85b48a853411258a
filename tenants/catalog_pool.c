/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants/catalog_pool.h"

#include <string.h>

#include "tenants/catalog_db.h"

#define ADDRESS_MAX 255
#define USER_MAX 128
#define PASSWORD_MAX 1024
#define CA_MAX (256 * 1024)

#define COLUMNS "id, name, user, ca_pem, paused, pool_uuid, created_ms"
#define HOST_COLUMNS "address, uuid, name, entry, dial, pin, seen"

static bool host_read(struct sqlite3_stmt *stmt, struct catalog_pool *p,
                      struct catalog_pool_host *h)
{
    struct catalog_db_row r = {.stmt = stmt, .owned = &p->owned};

    h->address = catalog_db_text(&r);
    h->uuid = catalog_db_text(&r);
    h->name = catalog_db_text(&r);
    h->entry = catalog_db_bool(&r);
    h->dial = catalog_db_text(&r);
    h->pinned = catalog_db_bytes(&r, h->pin, sizeof(h->pin));
    h->seen = catalog_db_bytes(&r, h->seen_pin, sizeof(h->seen_pin));
    return !r.nomem;
}

/* The hosts of a pool whose own row has been read. */
static enum err_code pool_read_hosts(struct catalog *c, struct catalog_pool *p,
                                     struct err *err)
{
    struct catalog_db_row memory = {.owned = &p->owned};
    struct sqlite3_stmt *stmt;
    enum err_code rc = ERR_OK;
    int64_t count = 0;
    int step = 0;

    rc = catalog_db_one(c, err, "", &count,
                        "SELECT count(*) FROM pool_host WHERE pool_id = ?1",
                        "i", p->id);
    if (rc != ERR_OK)
        return rc;
    p->hosts = catalog_db_owned(&memory, (size_t)count * sizeof(*p->hosts));
    if (!p->hosts)
        return err_set(err, ERR_NOMEM, 0, "pool '%s'", p->name);
    stmt = catalog_db_query(c, err,
                            "SELECT " HOST_COLUMNS " FROM pool_host"
                            " WHERE pool_id = ?1 ORDER BY position, address",
                            "i", p->id);
    if (!stmt)
        return err->code;
    while (p->host_count < (size_t)count &&
           (step = catalog_db_next(c, stmt, err)) > 0) {
        if (!host_read(stmt, p, &p->hosts[p->host_count])) {
            rc = err_set(err, ERR_NOMEM, 0, "pool '%s'", p->name);
            break;
        }
        p->host_count++;
    }
    if (step < 0)
        rc = err->code;
    catalog_db_done(c, stmt);
    return rc;
}

static bool pool_read(struct sqlite3_stmt *stmt, struct catalog_pool *p)
{
    struct catalog_db_row r = {.stmt = stmt, .owned = &p->owned};

    memset(p, 0, sizeof(*p));
    p->id = catalog_db_int(&r);
    p->name = catalog_db_text(&r);
    p->user = catalog_db_text(&r);
    p->ca_pem = catalog_db_text(&r);
    p->paused = catalog_db_bool(&r);
    p->pool_uuid = catalog_db_text(&r);
    p->created_ms = catalog_db_u64(&r);
    return !r.nomem;
}

void catalog_pool_fini(struct catalog_pool *p)
{
    catalog_db_release(&p->owned);
    p->hosts = NULL;
    p->host_count = 0;
}

static enum err_code pool_get(struct catalog *c, struct sqlite3_stmt *stmt,
                              const char *name, struct catalog_pool *out,
                              struct err *err)
{
    struct catalog_pool p = {0};
    enum err_code rc = ERR_OK;
    int step;

    if (!stmt)
        return err->code;
    step = catalog_db_next(c, stmt, err);
    if (step < 0)
        rc = err->code;
    else if (step == 0)
        rc = err_set(err, ERR_NOT_FOUND, 0, "no pool '%s'", name);
    else if (!pool_read(stmt, &p))
        rc = err_set(err, ERR_NOMEM, 0, "pool '%s'", name);
    catalog_db_done(c, stmt);
    if (rc == ERR_OK)
        rc = pool_read_hosts(c, &p, err);
    if (rc == ERR_OK)
        *out = p;
    else
        catalog_pool_fini(&p);
    return rc;
}

enum err_code catalog_pool_get(struct catalog *c, const char *name,
                               struct catalog_pool *out, struct err *err)
{
    return pool_get(c,
                    catalog_db_query(c, err,
                                     "SELECT " COLUMNS " FROM pool"
                                     " WHERE name = ?1", "t", name),
                    name, out, err);
}

enum err_code catalog_pool_get_id(struct catalog *c, int64_t id,
                                  struct catalog_pool *out, struct err *err)
{
    return pool_get(c,
                    catalog_db_query(c, err,
                                     "SELECT " COLUMNS " FROM pool"
                                     " WHERE id = ?1", "i", id),
                    "(removed)", out, err);
}

enum err_code catalog_pool_each(struct catalog *c, struct catalog_page *page,
                                catalog_pool_fn *fn, void *ctx,
                                struct err *err)
{
    struct catalog_db_walk w;
    const char *after = page->cursor ? page->cursor : "";

    catalog_db_walk_begin(&w, c, page, err,
                          catalog_db_query(c, err,
                                           "SELECT " COLUMNS " FROM pool"
                                           " WHERE name > ?1"
                                           " ORDER BY name LIMIT ?2",
                                           "ti", after,
                                           catalog_db_limit(page)));
    while (catalog_db_walk_next(&w)) {
        struct catalog_pool p;
        bool goes = false;

        if (!pool_read(w.stmt, &p)) {
            catalog_db_walk_nomem(&w);
        } else if ((w.rc = pool_read_hosts(c, &p, err)) == ERR_OK) {
            catalog_db_walk_mark(&w, "%s", p.name);
            goes = fn(ctx, &p);
        }
        catalog_pool_fini(&p);
        if (!goes)
            break;
    }
    return catalog_db_walk_end(&w);
}

static struct slice host_pin(bool has, const uint8_t pin[32])
{
    struct slice s = {has ? pin : NULL, has ? 32 : 0};

    return s;
}

static enum err_code host_insert(struct catalog *c, int64_t id, size_t position,
                                 const struct catalog_pool_host *h,
                                 struct err *err)
{
    enum err_code rc = catalog_db_check_text("host address", h->address,
                                             ADDRESS_MAX, err);

    if (rc == ERR_OK && !h->address[0])
        rc = err_set(err, ERR_ARGUMENT, 0, "host address: empty");
    if (rc == ERR_OK)
        rc = catalog_db_check_text("host dial", h->dial, ADDRESS_MAX, err);
    if (rc != ERR_OK)
        return rc;
    rc = catalog_db_exec(c, err,
                         "INSERT INTO pool_host (pool_id, position, address,"
                         " uuid, name, entry, dial, pin, seen)"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                         "iitttitbb", id, (int64_t)position, h->address,
                         h->uuid, h->name, (int64_t)h->entry, h->dial,
                         host_pin(h->pinned, h->pin),
                         host_pin(h->seen, h->seen_pin));
    if (rc == ERR_CONFLICT)
        rc = err_set(err, rc, 0, "host '%s' is named twice", h->address);
    return rc;
}

static enum err_code pool_check(const struct catalog_pool *p,
                                const char *password, struct err *err)
{
    enum err_code rc = catalog_db_check_name("pool", p->name, err);

    if (rc == ERR_OK)
        rc = catalog_db_check_text("user", p->user, USER_MAX, err);
    if (rc == ERR_OK && !p->user[0])
        rc = err_set(err, ERR_ARGUMENT, 0, "user: empty");
    if (rc == ERR_OK)
        rc = catalog_db_check_text("password", password, PASSWORD_MAX, err);
    if (rc == ERR_OK && strlen(p->ca_pem) > CA_MAX)
        rc = err_set(err, ERR_ARGUMENT, 0, "CA file: over %d KiB",
                     CA_MAX / 1024);
    if (rc == ERR_OK &&
        (p->host_count < 1 || p->host_count > CATALOG_POOL_HOSTS_MAX))
        rc = err_set(err, ERR_ARGUMENT, 0,
                     "a pool has 1 to %d hosts, not %zu",
                     CATALOG_POOL_HOSTS_MAX, p->host_count);
    return rc;
}

enum err_code catalog_pool_add(struct catalog *c, const struct catalog_pool *p,
                               const char *password, int64_t *id,
                               struct err *err)
{
    enum err_code rc = pool_check(p, password, err);
    int64_t made = 0;

    if (rc != ERR_OK)
        return rc;
    rc = catalog_begin(c, err);
    if (rc != ERR_OK)
        return rc;
    rc = catalog_db_exec(c, err,
                         "INSERT INTO pool"
                         " (name, user, ca_pem, pool_uuid, created_ms)"
                         " VALUES (?1, ?2, ?3, ?4, ?5)",
                         "tttti", p->name, p->user, p->ca_pem, p->pool_uuid,
                         (int64_t)catalog_db_now(c));
    if (rc == ERR_CONFLICT)
        rc = err_set(err, rc, 0, "pool '%s' exists already", p->name);
    if (rc == ERR_OK) {
        made = catalog_db_last_id(c);
        rc = catalog_pool_set_password(c, made, password, err);
    }
    for (size_t i = 0; i < p->host_count && rc == ERR_OK; i++)
        rc = host_insert(c, made, i, &p->hosts[i], err);
    rc = catalog_db_end(c, rc, err);
    if (rc == ERR_OK)
        *id = made;
    return rc;
}

enum err_code catalog_pool_set_password(struct catalog *c, int64_t id,
                                        const char *password, struct err *err)
{
    struct buf sealed;
    enum err_code rc = catalog_db_check_text("password", password,
                                             PASSWORD_MAX, err);

    if (rc != ERR_OK)
        return rc;
    buf_init(&sealed, 2 * PASSWORD_MAX);
    rc = catalog_db_seal(c, "pool", id, "password",
                         (struct slice){(const uint8_t *)password,
                                        strlen(password)},
                         &sealed, err);
    if (rc == ERR_OK)
        rc = catalog_db_change(c, err, "no such pool",
                               "UPDATE pool SET password = ?2 WHERE id = ?1",
                               "ib", id,
                               (struct slice){sealed.data, sealed.len});
    buf_fini(&sealed);
    return rc;
}

enum err_code catalog_pool_password(struct catalog *c, int64_t id,
                                    struct buf *out, struct err *err)
{
    struct sqlite3_stmt *stmt;
    enum err_code rc;
    int step;

    stmt = catalog_db_query(c, err, "SELECT password FROM pool WHERE id = ?1",
                            "i", id);
    if (!stmt)
        return err->code;
    step = catalog_db_next(c, stmt, err);
    if (step < 0) {
        rc = err->code;
    } else if (step == 0) {
        rc = err_set(err, ERR_NOT_FOUND, 0, "no such pool");
    } else {
        struct catalog_db_row r = {.stmt = stmt};

        rc = catalog_db_open(c, "pool", id, "password", catalog_db_blob(&r),
                             out, err);
        if (rc != ERR_OK)
            err_context(err, "the pool's password");
    }
    catalog_db_done(c, stmt);
    return rc;
}

enum err_code catalog_pool_set_paused(struct catalog *c, int64_t id,
                                      bool paused, struct err *err)
{
    return catalog_db_change(c, err, "no such pool",
                             "UPDATE pool SET paused = ?2 WHERE id = ?1", "ii",
                             id, (int64_t)paused);
}

/* The known host that a member is: by uuid, else by address. */
static const struct catalog_pool_host *
host_known(const struct catalog_pool *p, const struct catalog_pool_host *h)
{
    for (size_t i = 0; i < p->host_count; i++)
        if (h->uuid[0] && strcmp(p->hosts[i].uuid, h->uuid) == 0)
            return &p->hosts[i];
    for (size_t i = 0; i < p->host_count; i++)
        if (strcmp(p->hosts[i].address, h->address) == 0)
            return &p->hosts[i];
    return NULL;
}

/* A member that is known keeps its trust, whatever it is called now. */
static struct catalog_pool_host host_merge(const struct catalog_pool *p,
                                           const struct catalog_pool_host *h)
{
    const struct catalog_pool_host *known = host_known(p, h);
    struct catalog_pool_host out = *h;

    out.entry = known && known->entry &&
                strcmp(known->address, h->address) == 0;
    if (!known)
        return out;
    if (!out.dial[0])
        out.dial = known->dial;
    if (known->pinned) {
        out.pinned = true;
        memcpy(out.pin, known->pin, sizeof(out.pin));
    }
    if (known->seen && !out.seen) {
        out.seen = true;
        memcpy(out.seen_pin, known->seen_pin, sizeof(out.seen_pin));
    }
    return out;
}

static bool host_listed(const struct catalog_pool_host *hosts, size_t count,
                        const char *address)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(hosts[i].address, address) == 0)
            return true;
    return false;
}

static enum err_code members_write(struct catalog *c,
                                   const struct catalog_pool *p,
                                   const struct catalog_pool_host *hosts,
                                   size_t count, struct err *err)
{
    enum err_code rc;
    size_t position = 0;

    rc = catalog_db_exec(c, err, "DELETE FROM pool_host WHERE pool_id = ?1",
                         "i", p->id);
    /* What the provider gave stays, also where it is a name of a member that
     * the pool itself calls by an address. */
    for (size_t i = 0; i < p->host_count && rc == ERR_OK; i++)
        if (p->hosts[i].entry &&
            !host_listed(hosts, count, p->hosts[i].address))
            rc = host_insert(c, p->id, position++, &p->hosts[i], err);
    for (size_t i = 0; i < count && rc == ERR_OK; i++) {
        struct catalog_pool_host merged = host_merge(p, &hosts[i]);

        rc = host_insert(c, p->id, position++, &merged, err);
    }
    return rc;
}

enum err_code catalog_pool_set_members(struct catalog *c, int64_t id,
                                       const char *pool_uuid,
                                       const struct catalog_pool_host *hosts,
                                       size_t count, struct err *err)
{
    struct catalog_pool p = {0};
    enum err_code rc;

    if (count > CATALOG_POOL_HOSTS_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "a pool of %zu hosts", count);
    rc = catalog_begin(c, err);
    if (rc != ERR_OK)
        return rc;
    rc = catalog_pool_get_id(c, id, &p, err);
    if (rc == ERR_OK)
        rc = catalog_db_exec(c, err,
                             "UPDATE pool SET pool_uuid = ?2 WHERE id = ?1",
                             "it", id, pool_uuid);
    if (rc == ERR_OK)
        rc = members_write(c, &p, hosts, count, err);
    catalog_pool_fini(&p);
    return catalog_db_end(c, rc, err);
}

enum err_code catalog_pool_host_seen(struct catalog *c, int64_t id,
                                     const char *address,
                                     const uint8_t sha256[32], struct err *err)
{
    return catalog_db_change(c, err, "no such host in the pool",
                             "UPDATE pool_host SET seen = ?3"
                             " WHERE pool_id = ?1 AND address = ?2",
                             "itb", id, address, host_pin(true, sha256));
}

enum err_code catalog_pool_host_accept(struct catalog *c, int64_t id,
                                       const char *address,
                                       const uint8_t sha256[32],
                                       struct err *err)
{
    return catalog_db_change(c, err, "no such host in the pool",
                             "UPDATE pool_host SET pin = ?3, seen = NULL"
                             " WHERE pool_id = ?1 AND address = ?2",
                             "itb", id, address, host_pin(true, sha256));
}

enum err_code catalog_pool_remove(struct catalog *c, int64_t id,
                                  struct err *err)
{
    static const struct catalog_db_removal removal = {
        .what = "pool",
        .busy = "SELECT (SELECT count(*) FROM job"
                "  WHERE pool_id = ?1 AND state < 2)"
                " + (SELECT count(*) FROM journal"
                "  WHERE pool_id = ?1 AND closed_ms = 0)",
        .remove = "DELETE FROM pool WHERE id = ?1",
    };

    return catalog_db_remove_idle(c, id, &removal, err);
}
