/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look at the hosts of a pool that may not be trusted yet:
 *
 *   [catalog's row] -> certificates of the given hosts -> login, where one of
 *   them is trusted -> members -> their certificates -> [into the catalog]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/pools_entry.h"
#include "xenapi/xenapi_inventory.h"
#include "xenapi/xenapi_probe.h"
#include "xenapi/xenapi_route.h"

struct look; /* at one host */

struct probing {
    struct engine *engine;
    struct catalog_call call;
    int64_t pool_id;
    char *user, *ca_pem, *name;
    struct buf password;
    uint8_t (*pins)[32];
    size_t pin_count;
    struct rule_pair *dials; /* by uuid */
    size_t dial_count;
    struct look **looks;
    size_t count;
    unsigned left; /* looks under way */
    bool members;  /* the second round */
    struct xenapi_session *session;
    struct xenapi_inventory *inventory;
    struct json *answer;
    struct err err;
    api_json_done_fn *done;
    void *ctx;
};

struct look {
    struct probing *p;
    char *address, *uuid, *name, *dial;
    bool entry, coordinator;
    bool pinned;        /* one certificate alone is trusted for this host */
    uint8_t pin[32];
    bool seen, trusted;
    uint8_t sha256[32];
    struct err err;
};

static void probing_free(struct probing *p)
{
    struct pools *pools = p->engine->pools;

    for (size_t i = 0; i < p->count; i++) {
        free(p->looks[i]->address);
        free(p->looks[i]->uuid);
        free(p->looks[i]->name);
        free(p->looks[i]->dial);
        free(p->looks[i]);
    }
    for (size_t i = 0; i < p->dial_count; i++) {
        free((char *)(uintptr_t)p->dials[i].key);
        free((char *)(uintptr_t)p->dials[i].value);
    }
    free(p->looks);
    free(p->dials);
    free(p->pins);
    free(p->user);
    free(p->ca_pem);
    free(p->name);
    buf_fini(&p->password);
    xenapi_inventory_drop(p->inventory);
    free(p);
    pools_idle(pools);
}

static void on_closed(void *ctx)
{
    struct probing *p = ctx;

    p->session = NULL;
    p->done(p->ctx, &p->err, p->answer);
    probing_free(p);
}

static struct json *answer_of(const struct probing *p)
{
    struct json *all = json_new_object();
    struct json *hosts = json_new_array();
    struct json *pool = json_new_null();
    const struct xenapi_inventory *inv = p->inventory;
    char hex[65];

    for (size_t i = 0; i < p->count; i++) {
        const struct look *l = p->looks[i];
        struct json *one = json_new_object();

        bytes_hex(l->sha256, 32, hex);
        json_set_text(one, "address", l->address);
        json_set_text(one, "uuid", l->uuid);
        json_set_text(one, "name", l->name);
        json_set_text(one, "sha256", l->seen ? hex : NULL);
        json_set_bool(one, "trusted", l->trusted);
        json_set_bool(one, "coordinator", l->coordinator);
        json_set_text(one, "error", l->seen ? NULL : l->err.text);
        json_append(hosts, one);
    }
    if (inv) {
        json_free(pool);
        pool = json_new_object();
        json_set_text(pool, "uuid", inv->pool_uuid);
        json_set_text(pool, "name", inv->pool_name);
        json_set_text(pool, "version",
                      inv->host_count ? inv->hosts[0].product_version : "");
    }
    json_set(all, "hosts", hosts);
    if (!json_set(all, "pool", pool)) {
        json_free(all);
        return NULL;
    }
    return all;
}

/* A failed login is the error of the whole; certificates that were seen are
 * worth telling all the same when no login was wanted. */
static void finish(struct probing *p)
{
    if (p->err.code == ERR_OK) {
        p->answer = answer_of(p);
        if (!p->answer)
            err_set(&p->err, ERR_NOMEM, 0, "pool");
    }
    if (p->session)
        xenapi_session_close(p->session, on_closed, p);
    else
        on_closed(p);
}

/* --- into the catalog ---------------------------------------------------- */

static enum err_code run_keep(struct catalog_call *call, struct catalog *c,
                              struct err *err)
{
    struct probing *p = (struct probing *)(void *)((char *)call -
                            offsetof(struct probing, call));
    struct catalog_pool_host *hosts = calloc(p->count + 1, sizeof(*hosts));
    size_t n = 0;

    if (!hosts)
        return err_set(err, ERR_NOMEM, 0, "pool");
    for (size_t i = 0; i < p->count; i++) {
        if (!p->looks[i]->uuid)
            continue;
        hosts[n].address = p->looks[i]->address;
        hosts[n].uuid = p->looks[i]->uuid;
        hosts[n].name = p->looks[i]->name ? p->looks[i]->name : "";
        hosts[n++].dial = "";
    }
    if (p->inventory)
        catalog_pool_set_members(c, p->pool_id, p->inventory->pool_uuid, hosts,
                                 n, err);
    for (size_t i = 0; err->code == ERR_OK && i < p->count; i++)
        if (p->looks[i]->seen && !p->looks[i]->trusted)
            catalog_pool_host_seen(c, p->pool_id, p->looks[i]->address,
                                   p->looks[i]->sha256, err);
    free(hosts);
    return err->code;
}

static void on_kept(struct catalog_call *call, const struct err *err)
{
    struct probing *p = (struct probing *)(void *)((char *)call -
                            offsetof(struct probing, call));

    err_keep(&p->err, err);
    finish(p);
}

static void keep(struct probing *p)
{
    if (!p->pool_id) {
        finish(p);
        return;
    }
    p->call.run = run_keep;
    p->call.done = on_kept;
    catalog_call_start(p->engine->catalog, &p->call);
}

/* --- looking ------------------------------------------------------------- */

static void log_in(struct probing *p);

static void all_looked(struct probing *p)
{
    if (--p->left)
        return;
    if (p->members || !*p->user)
        keep(p);
    else
        log_in(p);
}

static bool is_trusted(const struct look *l)
{
    if (l->pinned)
        return memcmp(l->pin, l->sha256, 32) == 0;
    for (size_t i = 0; i < l->p->pin_count; i++)
        if (memcmp(l->p->pins[i], l->sha256, 32) == 0)
            return true;
    /* The login itself checks what a CA signed. */
    return *l->p->ca_pem != 0;
}

static void on_seen(void *ctx, const struct err *err, const uint8_t *sha256)
{
    struct look *l = ctx;

    l->err = *err;
    if (sha256) {
        l->seen = true;
        memcpy(l->sha256, sha256, 32);
        l->trusted = is_trusted(l);
    }
    all_looked(l->p);
}

/* A host's address with the port that was typed with the pool's, if any: all
 * hosts of a pool listen on one. */
static void target_of(const struct probing *p, const struct look *l, char *out,
                      size_t size)
{
    char host[XENAPI_ROUTE_HOST];
    unsigned port = 0;

    snprintf(out, size, "%s", l->address);
    if (xenapi_route_split(l->address, host, &port) && !port && p->count &&
        xenapi_route_split(p->looks[0]->address, host, &port) && port)
        snprintf(out, size, "%s%s%s:%u", strchr(l->address, ':') ? "[" : "",
                 l->address, strchr(l->address, ':') ? "]" : "", port);
}

static void look_all(struct probing *p, size_t from)
{
    p->left = 1;
    for (size_t i = from; i < p->count; i++) {
        struct look *l = p->looks[i];
        char target[XENAPI_ROUTE_HOST + 16];
        const struct xenapi_probe_opts o = {
            .client = p->engine->client,
            .host = target,
            .connect = l->dial,
            .timeout_ms = p->engine->config->pool_connect_ms,
            .done = on_seen,
            .ctx = l,
        };

        target_of(p, l, target, sizeof(target));
        if (xenapi_probe_start(&o, NULL, &l->err) == ERR_OK)
            p->left++;
    }
    all_looked(p);
}

static struct look *look_add(struct probing *p, const char *address)
{
    struct look **looks = realloc(p->looks, (p->count + 1) * sizeof(*looks));
    struct look *l = calloc(1, sizeof(*l));

    if (looks)
        p->looks = looks;
    if (l)
        l->address = strdup(address);
    if (!looks || !l || !l->address) {
        free(l);
        err_set(&p->err, ERR_NOMEM, 0, "pool");
        return NULL;
    }
    l->p = p;
    p->looks[p->count++] = l;
    return l;
}

/* --- the login ----------------------------------------------------------- */

static struct look *look_of(struct probing *p, const struct xenapi_host *h)
{
    char host[XENAPI_ROUTE_HOST];
    unsigned port;

    for (size_t i = 0; i < p->count; i++)
        if ((p->looks[i]->uuid && strcmp(p->looks[i]->uuid, h->uuid) == 0) ||
            (xenapi_route_split(p->looks[i]->address, host, &port) &&
             strcmp(host, h->address) == 0))
            return p->looks[i];
    return NULL;
}

/* The host that was typed under another name is the coordinator, to which the
 * login went. */
static struct look *look_entry(struct probing *p)
{
    return p->count == 1 && !p->looks[0]->uuid ? p->looks[0] : NULL;
}

static void on_members(void *ctx, const struct err *err,
                       struct xenapi_inventory *inventory)
{
    struct probing *p = ctx;
    size_t from = p->count;

    p->inventory = inventory;
    if (err->code != ERR_OK) {
        p->err = *err;
        finish(p);
        return;
    }
    p->members = true;
    for (size_t i = 0; i < inventory->host_count; i++) {
        const struct xenapi_host *h = &inventory->hosts[i];
        struct look *l = look_of(p, h);

        if (!l && h->coordinator)
            l = look_entry(p);
        if (!l)
            l = look_add(p, h->address);
        if (!l)
            break;
        free(l->uuid);
        free(l->name);
        l->uuid = strdup(h->uuid);
        l->name = strdup(h->name);
        l->coordinator = h->coordinator;
        for (size_t k = 0; k < p->dial_count && !l->dial; k++)
            if (strcmp(p->dials[k].key, h->uuid) == 0)
                l->dial = strdup(p->dials[k].value);
    }
    look_all(p, from);
}

static void log_in(struct probing *p)
{
    struct catalog_pool_host *hosts = calloc(p->count + 1, sizeof(*hosts));
    const struct xenapi_inventory_opts ask = {.done = on_members, .ctx = p};
    struct pools_peers peers = {0};
    struct pools_login login = {
        .name = p->name,
        .user = p->user,
        .password = buf_text(&p->password),
        .peers = &peers,
    };
    size_t n = 0;

    for (size_t i = 0; hosts && i < p->count; i++) {
        const struct look *l = p->looks[i];

        if (!l->trusted)
            continue;
        hosts[n].address = l->address;
        hosts[n].uuid = l->uuid ? l->uuid : "";
        hosts[n].dial = l->dial ? l->dial : "";
        hosts[n].pinned = !*p->ca_pem;
        memcpy(hosts[n].pin, l->sha256, 32);
        if (!login.host || l->entry)
            login.host = l->address;
        n++;
    }
    if (!hosts || !login.password)
        err_set(&p->err, ERR_NOMEM, 0, "pool");
    if (!login.host || p->err.code != ERR_OK) {
        free(hosts);
        keep(p); /* nobody is trusted: the certificates are the answer */
        return;
    }
    if (pools_peers_make(hosts, n, p->ca_pem, &peers, &p->err) == ERR_OK &&
        pools_session(p->engine, &login, &p->session, &p->err) == ERR_OK)
        xenapi_inventory_start(p->session, &ask, NULL, &p->err);
    pools_peers_fini(&peers);
    free(hosts);
    if (p->err.code != ERR_OK)
        finish(p);
}

/* --- beginning ----------------------------------------------------------- */

static bool take_row(struct probing *p, const struct catalog_pool *row)
{
    p->user = strdup(row->user);
    p->ca_pem = strdup(row->ca_pem);
    p->name = strdup(row->name);
    for (size_t i = 0; i < row->host_count; i++) {
        const struct catalog_pool_host *h = &row->hosts[i];
        struct look *l = look_add(p, h->address);

        if (!l)
            return false;
        l->uuid = *h->uuid ? strdup(h->uuid) : NULL;
        l->name = *h->name ? strdup(h->name) : NULL;
        l->dial = *h->dial ? strdup(h->dial) : NULL;
        l->entry = h->entry;
        l->pinned = h->pinned;
        memcpy(l->pin, h->pin, 32);
    }
    return p->user && p->ca_pem && p->name;
}

static enum err_code run_row(struct catalog_call *call, struct catalog *c,
                             struct err *err)
{
    struct probing *p = (struct probing *)(void *)((char *)call -
                            offsetof(struct probing, call));
    struct catalog_pool row = {0};

    if (catalog_pool_get_id(c, p->pool_id, &row, err) != ERR_OK)
        return err->code;
    if (!take_row(p, &row))
        err_set(err, ERR_NOMEM, 0, "pool");
    catalog_pool_fini(&row);
    if (err->code == ERR_OK)
        catalog_pool_password(c, p->pool_id, &p->password, err);
    return err->code;
}

static enum err_code run_nothing(struct catalog_call *call, struct catalog *c,
                                 struct err *err)
{
    struct probing *p = (struct probing *)(void *)((char *)call -
                            offsetof(struct probing, call));

    *err = p->err;
    return err->code;
}

static void on_row(struct catalog_call *call, const struct err *err)
{
    struct probing *p = (struct probing *)(void *)((char *)call -
                            offsetof(struct probing, call));

    p->err = *err;
    if (err->code != ERR_OK)
        finish(p);
    else
        look_all(p, 0);
}

static bool is_host(const char *text)
{
    char host[XENAPI_ROUTE_HOST];
    unsigned port;

    return xenapi_route_split(text, host, &port);
}

static enum err_code check_given(const struct api_pool_probe *given,
                                 struct err *err)
{
    for (size_t i = 0; i < given->host_count; i++)
        if (!is_host(given->hosts[i]))
            return err_set(err, ERR_ARGUMENT, 0,
                           "host '%.100s': wanted a name or an address, with "
                           "its port if that is not 443",
                           given->hosts[i]);
    for (size_t i = 0; i < given->dial_count; i++)
        if (!is_host(given->dials[i].value))
            return err_set(err, ERR_ARGUMENT, 0,
                           "host address '%.100s': wanted an address",
                           given->dials[i].value);
    return ERR_OK;
}

static bool copy_given(struct probing *p, const struct api_pool_probe *given)
{
    p->user = strdup(given->user ? given->user : "");
    p->ca_pem = strdup(given->ca_pem ? given->ca_pem : "");
    p->name = strdup(given->name && given->name[0] ? given->name
                     : given->host_count           ? given->hosts[0]
                                                   : "");
    p->pins = calloc(given->pin_count + 1, sizeof(*p->pins));
    p->dials = calloc(given->dial_count + 1, sizeof(*p->dials));
    if (!p->user || !p->ca_pem || !p->name || !p->pins || !p->dials)
        return false;
    for (size_t i = 0; i < given->pin_count; i++)
        memcpy(p->pins[i], given->pins[i], 32);
    p->pin_count = given->pin_count;
    for (size_t i = 0; i < given->dial_count; i++) {
        p->dials[i].key = strdup(given->dials[i].key);
        p->dials[i].value = strdup(given->dials[i].value);
        p->dial_count++;
        if (!p->dials[i].key || !p->dials[i].value)
            return false;
    }
    for (size_t i = 0; i < given->host_count; i++)
        if (!look_add(p, given->hosts[i]))
            return false;
    return !given->password || buf_add_text(&p->password, given->password);
}

void pools_probe(void *ctx, const struct api_pool_probe *given,
                 api_json_done_fn *done, void *done_ctx)
{
    struct engine *e = ctx;
    struct probing *p = calloc(1, sizeof(*p));

    if (!p) {
        struct err err = {0};

        err_set(&err, ERR_NOMEM, 0, "pool");
        done(done_ctx, &err, NULL);
        return;
    }
    p->engine = e;
    p->pool_id = given->pool_id;
    p->done = done;
    p->ctx = done_ctx;
    buf_init_secret(&p->password, 4096);
    p->call.run = given->pool_id ? run_row : run_nothing;
    p->call.done = on_row;
    if (!given->pool_id && check_given(given, &p->err) == ERR_OK &&
        !copy_given(p, given))
        err_set(&p->err, ERR_NOMEM, 0, "pool");
    pools_busy(e->pools);
    catalog_call_start(e->catalog, &p->call);
}
