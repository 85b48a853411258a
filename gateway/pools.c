/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/pools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/pools_entry.h"
#include "gateway/reconcile.h"

struct entry {
    struct pools_hold hold; /* first: this is what is lent */
    struct pools *pools;
    struct entry *next;
    char name[CATALOG_NAME];
    unsigned holds;
    bool stale; /* closed when the last hold is back */
    bool paused;
};

struct pools {
    struct engine *engine;
    struct entry *first;
    unsigned busy; /* takings and sessions that close */
    void (*closed)(void *ctx);
    void *closed_ctx;
    struct mail closing;
};

struct taking {
    struct catalog_call call;
    struct pools *pools;
    int64_t id;
    bool even_paused;
    struct catalog_pool row;
    struct buf password;
    pools_hold_fn *done;
    void *ctx;
};

static void say_closed(struct mail *mail)
{
    struct pools *p = (struct pools *)(void *)((char *)mail -
                          offsetof(struct pools, closing));
    void (*closed)(void *) = p->closed;
    void *ctx = p->closed_ctx;

    free(p);
    closed(ctx);
}

void pools_busy(struct pools *p)
{
    p->busy++;
}

void pools_idle(struct pools *p)
{
    p->busy--;
    if (p->closed && !p->busy && !p->first) {
        p->closing.deliver = say_closed;
        loop_send(p->engine->control, &p->closing);
    }
}

/* --- sessions ------------------------------------------------------------ */

enum err_code pools_peers_make(const struct catalog_pool_host *hosts,
                               size_t count, const char *ca_pem,
                               struct pools_peers *out, struct err *err)
{
    struct pools_peers p = {0};

    p.peer = calloc(count ? count : 1, sizeof(*p.peer));
    if (!p.peer)
        return err_set(err, ERR_NOMEM, 0, "pool");
    if (*ca_pem && http_trust_ca(ca_pem, &p.ca, err) != ERR_OK)
        goto failed;
    for (; p.count < count; p.count++) {
        const struct catalog_pool_host *h = &hosts[p.count];
        struct xenapi_peer *peer = &p.peer[p.count];

        peer->uuid = *h->uuid ? h->uuid : NULL;
        peer->address = h->address;
        peer->connect = *h->dial ? h->dial : NULL;
        if (h->pinned && http_trust_pin(h->pin, &peer->trust, err) != ERR_OK)
            goto failed;
    }
    *out = p;
    return ERR_OK;
failed:
    pools_peers_fini(&p);
    return err->code;
}

void pools_peers_fini(struct pools_peers *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->peer[i].trust)
            http_trust_drop(p->peer[i].trust);
    if (p->ca)
        http_trust_drop(p->ca);
    free(p->peer);
    p->peer = NULL;
    p->count = 0;
    p->ca = NULL;
}

enum err_code pools_session(struct engine *e, const struct pools_login *login,
                            struct xenapi_session **out, struct err *err)
{
    const struct config *c = e->config;
    char originator[64];
    const struct xenapi_session_opts o = {
        .loop = e->control,
        .client = e->client,
        .lane = e->parse_lane,
        .name = login->name,
        .originator = originator,
        .host = login->host,
        .user = login->user,
        .password = login->password,
        .peers = login->peers->peer,
        .peer_count = login->peers->count,
        .trust = login->peers->ca,
        .timing =
            {
                .connect = c->pool_connect_ms,
                .answer = c->pool_answer_ms,
                .booting = c->pool_retry_ms,
                .verdict = c->pool_verdict_ms,
                .import_verdict = c->pool_verdict_ms,
                .first_byte = c->export_first_byte_ms,
                .stall = c->export_stall_ms,
            },
    };

    snprintf(originator, sizeof(originator), "cairn/%s", e->gateway);
    return xenapi_session_new(&o, out, err);
}

static void on_session_closed(void *ctx)
{
    struct entry *entry = ctx;
    struct pools *p = entry->pools;

    free(entry);
    pools_idle(p);
}

static void entry_close(struct entry *entry)
{
    struct entry **link = &entry->pools->first;

    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    pools_busy(entry->pools);
    xenapi_session_close(entry->hold.session, on_session_closed, entry);
}

static struct entry *entry_find(struct pools *p, int64_t id)
{
    struct entry *e = p->first;

    while (e && (e->hold.id != id || e->stale))
        e = e->next;
    return e;
}

/* --- taking -------------------------------------------------------------- */

static enum err_code run_row(struct catalog_call *call, struct catalog *c,
                             struct err *err)
{
    struct taking *t = (struct taking *)call;

    if (catalog_pool_get_id(c, t->id, &t->row, err) != ERR_OK)
        return err->code;
    return catalog_pool_password(c, t->id, &t->password, err);
}

static const char *login_host(const struct catalog_pool *row)
{
    for (size_t i = 0; i < row->host_count; i++)
        if (row->hosts[i].entry)
            return row->hosts[i].address;
    return row->host_count ? row->hosts[0].address : "";
}

static struct entry *entry_new(struct taking *t, struct err *err)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    struct pools_peers peers = {0};
    const struct pools_login login = {
        .name = t->row.name,
        .host = login_host(&t->row),
        .user = t->row.user,
        .password = buf_text(&t->password),
        .peers = &peers,
    };

    if (!entry || !login.password) {
        err_set(err, ERR_NOMEM, 0, "pool %s", t->row.name);
        goto failed;
    }
    if (pools_peers_make(t->row.hosts, t->row.host_count, t->row.ca_pem,
                         &peers, err) != ERR_OK ||
        pools_session(t->pools->engine, &login, &entry->hold.session, err) !=
            ERR_OK)
        goto failed;
    pools_peers_fini(&peers);
    entry->pools = t->pools;
    entry->hold.id = t->id;
    snprintf(entry->name, sizeof(entry->name), "%s", t->row.name);
    entry->hold.name = entry->name;
    entry->paused = t->row.paused;
    entry->next = t->pools->first;
    t->pools->first = entry;
    return entry;
failed:
    pools_peers_fini(&peers);
    free(entry);
    return NULL;
}

static void on_row(struct catalog_call *call, const struct err *err)
{
    struct taking *t = (struct taking *)call;
    struct pools *p = t->pools;
    struct err why = *err;
    struct entry *entry = NULL;

    if (why.code == ERR_OK && t->row.paused && !t->even_paused)
        err_set(&why, ERR_QUOTA, 0, "pool %s is paused", t->row.name);
    if (why.code == ERR_OK) {
        entry = entry_find(p, t->id); /* another was faster */
        if (!entry)
            entry = entry_new(t, &why);
    }
    if (entry)
        entry->holds++;
    t->done(t->ctx, &why, entry ? &entry->hold : NULL);
    catalog_pool_fini(&t->row);
    buf_fini(&t->password);
    free(t);
    pools_idle(p);
}

void pools_take(struct pools *p, int64_t pool_id, bool even_paused,
                pools_hold_fn *done, void *ctx)
{
    struct taking *t = calloc(1, sizeof(*t));

    if (!t) {
        const struct err err = {.code = ERR_NOMEM, .text = "pool"};

        done(ctx, &err, NULL);
        return;
    }
    t->pools = p;
    t->id = pool_id;
    t->even_paused = even_paused;
    buf_init_secret(&t->password, 4096);
    t->done = done;
    t->ctx = ctx;
    t->call.run = run_row;
    t->call.done = on_row;
    pools_busy(p);
    catalog_call_start(p->engine->catalog, &t->call);
}

void pools_drop(struct pools_hold *hold)
{
    struct entry *entry = (struct entry *)hold;

    if (--entry->holds == 0 && (entry->stale || entry->pools->closed))
        entry_close(entry);
}

void pools_changed(struct pools *p, int64_t pool_id)
{
    struct entry *entry = entry_find(p, pool_id);

    if (!entry)
        return;
    entry->stale = true;
    if (!entry->holds)
        entry_close(entry);
}

/* --- beginning and end --------------------------------------------------- */

static void backend_changed(void *ctx, int64_t pool_id)
{
    struct engine *e = ctx;

    pools_changed(e->pools, pool_id);
    reconcile_changed(e->reconcile, pool_id, 0);
}

void pools_backend(struct api_backend *table)
{
    table->pool_probe = pools_probe;
    table->pool_test = pools_test;
    table->pool_changed = backend_changed;
    table->vm_list = pools_vms;
}

enum err_code pools_new(struct engine *e, struct pools **out, struct err *err)
{
    struct pools *p = calloc(1, sizeof(*p));

    if (!p)
        return err_set(err, ERR_NOMEM, 0, "pools");
    p->engine = e;
    *out = p;
    return ERR_OK;
}

void pools_close(struct pools *p, void (*closed)(void *ctx), void *ctx)
{
    struct entry *next;

    p->closed = closed;
    p->closed_ctx = ctx;
    pools_busy(p);
    for (struct entry *e = p->first; e; e = next) {
        next = e->next;
        if (!e->holds)
            entry_close(e);
    }
    pools_idle(p);
}
