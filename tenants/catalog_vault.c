/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants/catalog_vault.h"

#include <string.h>

#include "base/parse.h"
#include "tenants/catalog_db.h"
#include "tenants/catalog_tenant.h"

#define URL_MAX 1024
#define SECRET_MAX (256 * 1024)
#define CA_MAX (256 * 1024)

#define SELECT                                                                 \
    "SELECT v.id, v.tenant_id, t.name, v.name, v.url, v.endpoint, v.region,"   \
    " v.ca_pem, v.lock, v.state, v.vault_id, v.public_key, v.existing,"        \
    " v.proved_ms, v.created_ms, v.traits"                                     \
    " FROM vault v JOIN tenant t ON t.id = v.tenant_id "

static const char *const state_names[] = {"creating", "waiting", "ready",
                                          "unproved"};

const char *catalog_vault_state_name(enum catalog_vault_state s)
{
    return state_names[s];
}

enum err_code catalog_vault_check_ready(const struct catalog_vault *v,
                                        struct err *err)
{
    if (v->state == CATALOG_VAULT_READY)
        return ERR_OK;
    if (v->state == CATALOG_VAULT_UNPROVED)
        return err_set(err, ERR_CONFLICT, 0,
                       "vault '%s' is not ready: its recovery key was not "
                       "proved. Run `cairn key test` with the file that `vault "
                       "add` wrote; if there is none, remove the vault, empty "
                       "its place and add it again", v->name);
    return err_set(err, ERR_CONFLICT, 0, "vault '%s' is not ready: it is %s",
                   v->name, catalog_vault_state_name(v->state));
}

static bool vault_read(struct sqlite3_stmt *stmt, struct catalog_vault *v)
{
    struct catalog_db_row r = {.stmt = stmt, .owned = &v->owned};

    v->owned = NULL;
    v->id = catalog_db_int(&r);
    v->tenant_id = catalog_db_int(&r);
    v->tenant = catalog_db_text(&r);
    v->name = catalog_db_text(&r);
    v->url = catalog_db_text(&r);
    v->endpoint = catalog_db_text(&r);
    v->region = catalog_db_text(&r);
    v->ca_pem = catalog_db_text(&r);
    v->lock = catalog_db_text(&r);
    v->state = (enum catalog_vault_state)catalog_db_int(&r);
    v->vault_id = catalog_db_text(&r);
    v->public_key = catalog_db_text(&r);
    v->existing = catalog_db_bool(&r);
    v->recovery_proved_ms = catalog_db_u64(&r);
    v->created_ms = catalog_db_u64(&r);
    v->traits = catalog_db_text(&r);
    return !r.nomem;
}

void catalog_vault_fini(struct catalog_vault *v)
{
    catalog_db_release(&v->owned);
}

static enum err_code vault_check(const struct catalog_vault *v,
                                 const char *credentials, struct err *err)
{
    enum err_code rc = catalog_db_check_name("vault", v->name, err);

    if (rc == ERR_OK)
        rc = catalog_db_check_text("url", v->url, URL_MAX, err);
    if (rc == ERR_OK && strncmp(v->url, "file:///", 8) != 0 &&
        strncmp(v->url, "s3://", 5) != 0)
        rc = err_set(err, ERR_ARGUMENT, 0,
                     "url '%.80s': wanted file:///... or s3://bucket/prefix",
                     v->url);
    if (rc == ERR_OK)
        rc = catalog_db_check_text("endpoint", v->endpoint, URL_MAX, err);
    if (rc == ERR_OK)
        rc = catalog_db_check_text("region", v->region, 128, err);
    if (rc == ERR_OK && strlen(v->ca_pem) > CA_MAX)
        rc = err_set(err, ERR_ARGUMENT, 0, "CA file: over %d KiB",
                     CA_MAX / 1024);
    if (rc == ERR_OK && strlen(credentials) > SECRET_MAX)
        rc = err_set(err, ERR_ARGUMENT, 0, "credentials: over %d KiB",
                     SECRET_MAX / 1024);
    if (rc == ERR_OK && strcmp(v->lock, "none") != 0 &&
        strcmp(v->lock, "governance") != 0 && strcmp(v->lock, "compliance") != 0)
        rc = err_set(err, ERR_ARGUMENT, 0,
                     "lock '%.40s': wanted none, governance or compliance",
                     v->lock);
    return rc;
}

/* Which of the two unique things is taken? */
static enum err_code vault_taken(struct catalog *c, int64_t tenant_id,
                                 const struct catalog_vault *v,
                                 struct err *err)
{
    int64_t other = 0;
    enum err_code rc;

    rc = catalog_db_one(c, err, "", &other,
                        "SELECT id FROM vault"
                        " WHERE tenant_id = ?1 AND name = ?2",
                        "it", tenant_id, v->name);
    if (rc == ERR_OK)
        return err_set(err, ERR_CONFLICT, 0,
                       "tenant '%s' has a vault '%s' already", v->tenant,
                       v->name);
    if (rc != ERR_NOT_FOUND)
        return rc;
    return err_set(err, ERR_CONFLICT, 0,
                   "another vault of this gateway lies at %s", v->url);
}

static enum err_code vault_insert(struct catalog *c, int64_t tenant_id,
                                  const struct catalog_vault *v,
                                  struct err *err)
{
    return catalog_db_exec(c, err,
                           "INSERT INTO vault (tenant_id, name, url, endpoint,"
                           " region, ca_pem, lock, state, existing, created_ms)"
                           " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, ?9)",
                           "ittttttii", tenant_id, v->name, v->url,
                           v->endpoint, v->region, v->ca_pem, v->lock,
                           (int64_t)v->existing, (int64_t)catalog_db_now(c));
}

enum err_code catalog_vault_add(struct catalog *c,
                                const struct catalog_vault *v,
                                const char *credentials, int64_t *id,
                                struct err *err)
{
    struct catalog_tenant t = {0};
    enum err_code rc = vault_check(v, credentials, err);
    int64_t made = 0;

    if (rc != ERR_OK)
        return rc;
    rc = catalog_begin(c, err);
    if (rc != ERR_OK)
        return rc;
    rc = catalog_tenant_get(c, v->tenant, &t, err);
    if (rc == ERR_OK && t.state == CATALOG_TENANT_LEFT)
        rc = err_set(err, ERR_CONFLICT, 0, "tenant '%s' has left", v->tenant);
    if (rc == ERR_OK) {
        rc = vault_insert(c, t.id, v, err);
        if (rc == ERR_CONFLICT)
            rc = vault_taken(c, t.id, v, err);
    }
    if (rc == ERR_OK) {
        made = catalog_db_last_id(c);
        if (credentials[0])
            rc = catalog_vault_secret_set(
                c, made, CATALOG_VAULT_CREDENTIALS,
                (struct slice){(const uint8_t *)credentials,
                               strlen(credentials)},
                err);
    }
    catalog_tenant_fini(&t);
    rc = catalog_db_end(c, rc, err);
    if (rc == ERR_OK)
        *id = made;
    return rc;
}

static enum err_code vault_get(struct catalog *c, struct sqlite3_stmt *stmt,
                               const char *ref, struct catalog_vault *out,
                               struct err *err)
{
    struct catalog_vault v = {0};
    struct catalog_vault other = {0};
    enum err_code rc = ERR_OK;
    int step;

    if (!stmt)
        return err->code;
    step = catalog_db_next(c, stmt, err);
    if (step < 0)
        rc = err->code;
    else if (step == 0)
        rc = err_set(err, ERR_NOT_FOUND, 0, "no vault '%s'", ref);
    else if (!vault_read(stmt, &v))
        rc = err_set(err, ERR_NOMEM, 0, "vault '%s'", ref);
    if (rc == ERR_OK && (step = catalog_db_next(c, stmt, err)) != 0) {
        if (step < 0)
            rc = err->code;
        else if (!vault_read(stmt, &other))
            rc = err_set(err, ERR_NOMEM, 0, "vault '%s'", ref);
        else
            rc = err_set(err, ERR_CONFLICT, 0,
                         "vault '%s' is ambiguous: tenants '%s' and '%s' "
                         "have one; name the tenant",
                         ref, v.tenant, other.tenant);
    }
    catalog_db_done(c, stmt);
    catalog_vault_fini(&other);
    if (rc == ERR_OK)
        *out = v;
    else
        catalog_vault_fini(&v);
    return rc;
}

enum err_code catalog_vault_get(struct catalog *c, int64_t tenant_id,
                                const char *ref, struct catalog_vault *out,
                                struct err *err)
{
    struct sqlite3_stmt *stmt;
    struct id16 id;

    if (parse_id16(ref, &id))
        stmt = catalog_db_query(c, err,
                                SELECT "WHERE (v.vault_id = ?1 OR v.name = ?1)"
                                       " AND (?2 = 0 OR v.tenant_id = ?2)"
                                       " ORDER BY v.id",
                                "ti", ref, tenant_id);
    else
        stmt = catalog_db_query(c, err,
                                SELECT "WHERE v.name = ?1"
                                       " AND (?2 = 0 OR v.tenant_id = ?2)"
                                       " ORDER BY v.id",
                                "ti", ref, tenant_id);
    return vault_get(c, stmt, ref, out, err);
}

enum err_code catalog_vault_get_id(struct catalog *c, int64_t id,
                                   struct catalog_vault *out, struct err *err)
{
    return vault_get(c,
                     catalog_db_query(c, err, SELECT "WHERE v.id = ?1", "i",
                                      id),
                     "(removed)", out, err);
}

enum err_code catalog_vault_each(struct catalog *c, int64_t tenant_id,
                                 struct catalog_page *page,
                                 catalog_vault_fn *fn, void *ctx,
                                 struct err *err)
{
    struct catalog_db_walk w;
    int64_t after;
    enum err_code rc = catalog_db_cursor(page, 0, &after, err);

    if (rc != ERR_OK)
        return rc;
    catalog_db_walk_begin(&w, c, page, err,
                          catalog_db_query(c, err,
                                           SELECT
                                           "WHERE v.id > ?1"
                                           " AND (?2 = 0 OR v.tenant_id = ?2)"
                                           " ORDER BY v.id LIMIT ?3",
                                           "iii", after, tenant_id,
                                           catalog_db_limit(page)));
    while (catalog_db_walk_next(&w)) {
        struct catalog_vault v;
        bool goes = false;

        if (!vault_read(w.stmt, &v)) {
            catalog_db_walk_nomem(&w);
        } else {
            catalog_db_walk_mark(&w, "%lld", (long long)v.id);
            goes = fn(ctx, &v);
        }
        catalog_vault_fini(&v);
        if (!goes)
            break;
    }
    return catalog_db_walk_end(&w);
}

enum err_code catalog_vault_set_state(struct catalog *c, int64_t id,
                                      enum catalog_vault_state state,
                                      const char *vault_id,
                                      const char *public_key, struct err *err)
{
    struct id16 raw_id;
    uint8_t raw_key[32];

    if (!parse_id16(vault_id, &raw_id))
        return err_set(err, ERR_ARGUMENT, 0, "'%.40s' is no vault id",
                       vault_id);
    if (public_key[0] && !bytes_unhex(public_key, raw_key, sizeof(raw_key)))
        return err_set(err, ERR_ARGUMENT, 0, "not a public key");
    return catalog_db_change(c, err, "no such vault",
                             "UPDATE vault SET state = ?2, vault_id = ?3,"
                             " public_key = ?4 WHERE id = ?1",
                             "iitt", id, (int64_t)state, vault_id, public_key);
}

enum err_code catalog_vault_set_proved(struct catalog *c, int64_t id,
                                       struct err *err)
{
    return catalog_db_change(c, err, "no such vault",
                             "UPDATE vault SET proved_ms = ?2 WHERE id = ?1",
                             "ii", id, (int64_t)catalog_db_now(c));
}

enum err_code catalog_vault_set_traits(struct catalog *c, int64_t id,
                                       const char *traits, struct err *err)
{
    enum err_code rc = catalog_db_check_text("traits", traits, 200, err);

    if (rc != ERR_OK)
        return rc;
    return catalog_db_change(c, err, "no such vault",
                             "UPDATE vault SET traits = ?2 WHERE id = ?1",
                             "it", id, traits);
}

static const struct {
    const char *word; /* of the sealed value's place */
    const char *text; /* for sentences */
    const char *select;
    const char *update;
} secrets[] = {
    [CATALOG_VAULT_CREDENTIALS] =
        {"credentials", "store credentials",
         "SELECT credentials FROM vault WHERE id = ?1",
         "UPDATE vault SET credentials = ?2 WHERE id = ?1"},
    [CATALOG_VAULT_IDENTITY] =
        {"identity", "identity of this gateway",
         "SELECT identity FROM vault WHERE id = ?1",
         "UPDATE vault SET identity = ?2 WHERE id = ?1"},
    [CATALOG_VAULT_WRITER_STATE] =
        {"writer_state", "writer state",
         "SELECT writer_state FROM vault WHERE id = ?1",
         "UPDATE vault SET writer_state = ?2 WHERE id = ?1"},
};

enum err_code catalog_vault_secret_get(struct catalog *c, int64_t id,
                                       enum catalog_vault_secret what,
                                       struct buf *out, struct err *err)
{
    struct sqlite3_stmt *stmt;
    enum err_code rc;
    int step;

    stmt = catalog_db_query(c, err, secrets[what].select, "i", id);
    if (!stmt)
        return err->code;
    step = catalog_db_next(c, stmt, err);
    if (step < 0) {
        rc = err->code;
    } else if (step == 0) {
        rc = err_set(err, ERR_NOT_FOUND, 0, "no such vault");
    } else {
        struct catalog_db_row r = {.stmt = stmt};
        struct slice sealed = catalog_db_blob(&r);

        if (!sealed.data)
            rc = err_set(err, ERR_NOT_FOUND, 0, "the vault has no %s",
                         secrets[what].text);
        else
            rc = catalog_db_open(c, "vault", id, secrets[what].word, sealed,
                                 out, err);
        if (rc != ERR_OK && rc != ERR_NOT_FOUND)
            err_context(err, "the vault's %s", secrets[what].text);
    }
    catalog_db_done(c, stmt);
    return rc;
}

enum err_code catalog_vault_secret_set(struct catalog *c, int64_t id,
                                       enum catalog_vault_secret what,
                                       struct slice value, struct err *err)
{
    struct buf sealed;
    enum err_code rc;

    if (value.len > SECRET_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "%s: over %d KiB",
                       secrets[what].text, SECRET_MAX / 1024);
    buf_init(&sealed, SECRET_MAX + 1024);
    rc = catalog_db_seal(c, "vault", id, secrets[what].word, value, &sealed,
                         err);
    if (rc == ERR_OK)
        rc = catalog_db_change(c, err, "no such vault", secrets[what].update,
                               "ib", id,
                               (struct slice){sealed.data, sealed.len});
    buf_fini(&sealed);
    return rc;
}

enum err_code catalog_vault_remove(struct catalog *c, int64_t id,
                                   struct err *err)
{
    static const struct catalog_db_removal removal = {
        .what = "vault",
        .busy = "SELECT (SELECT count(*) FROM job"
                "  WHERE vault_id = ?1 AND state < 2)"
                " + (SELECT count(*) FROM journal"
                "  WHERE vault_id = ?1 AND closed_ms = 0)",
        .remove = "DELETE FROM vault WHERE id = ?1",
    };

    return catalog_db_remove_idle(c, id, &removal, err);
}
