/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/vaults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/reconcile.h"
#include "gateway/vaults_task.h"
#include "vault/index_fill.h"

/*
 * A vault that changed is opened anew by the next vaults_take(), while jobs that
 * began before hold it as it was: two entries of one vault. They share the
 * local index, which only one can have open. So an entry is not opened while
 * another of its vault is being opened or closed.
 *
 *   WAITING -> OPENING -> OPEN -> CLOSING
 *      ^----------'
 */
enum entry_state { ENTRY_WAITING, ENTRY_OPENING, ENTRY_OPEN, ENTRY_CLOSING };

/* An open index, counted by entries. */
struct shared_index {
    struct index *index;
    unsigned users;
};

struct waiter {
    struct waiter *next;
    vaults_hold_fn *done;
    void *ctx;
};

struct entry {
    struct vaults_hold hold; /* first: this is what is lent */
    struct vaults *vaults;
    struct entry *next;
    enum entry_state state;
    struct waiter *waiters, **last;
    char name[CATALOG_NAME], tenant[CATALOG_NAME];
    unsigned holds;
    bool stale; /* closed when the last hold is back */
    struct shared_index *shared;
    struct mail opened;      /* an index that was open already */
    struct index_fill *fill; /* counts as a hold */
    struct store *fill_store;
};

struct vaults {
    struct engine *engine;
    struct entry *first;
    unsigned busy;
    void (*closed)(void *ctx);
    void *closed_ctx;
    struct mail closing;
};

static void say_closed(struct mail *mail)
{
    struct vaults *v = (struct vaults *)(void *)((char *)mail -
                           offsetof(struct vaults, closing));
    void (*closed)(void *) = v->closed;
    void *ctx = v->closed_ctx;

    free(v);
    closed(ctx);
}

struct engine *vaults_engine(struct vaults *v)
{
    return v->engine;
}

void vaults_busy(struct vaults *v)
{
    v->busy++;
}

void vaults_idle(struct vaults *v)
{
    v->busy--;
    if (v->closed && !v->busy && !v->first) {
        v->closing.deliver = say_closed;
        loop_send(v->engine->control, &v->closing);
    }
}

static struct entry *entry_find(struct vaults *v, int64_t id)
{
    struct entry *e = v->first;

    while (e && (e->hold.id != id || e->stale))
        e = e->next;
    return e;
}

/* Another entry of the same vault: in that state, or in any of two. */
static struct entry *entry_twin(const struct entry *e, enum entry_state a,
                                enum entry_state b)
{
    struct entry *t = e->vaults->first;

    while (t && (t == e || t->hold.id != e->hold.id ||
                 (t->state != a && t->state != b)))
        t = t->next;
    return t;
}

static void entry_open(struct entry *e);

/* Something of this vault is open or gone: one that waited for it goes on. */
static void wake_one(struct vaults *v, int64_t id)
{
    struct entry *e = v->first;

    while (e && (e->hold.id != id || e->state != ENTRY_WAITING ||
                 entry_twin(e, ENTRY_OPENING, ENTRY_CLOSING)))
        e = e->next;
    if (e)
        entry_open(e);
}

/* --- closing ------------------------------------------------------------- */

static void entry_free(struct entry *e)
{
    struct vaults *v = e->vaults;
    struct entry **link = &v->first;
    int64_t id = e->hold.id;

    while (*link != e)
        link = &(*link)->next;
    *link = e->next;
    vault_unref(e->hold.vault);
    place_unref(e->hold.place);
    free(e->shared);
    free(e);
    wake_one(v, id);
    vaults_idle(v);
}

static void on_index_closed(void *ctx)
{
    entry_free(ctx);
}

/* The entry may be gone when this returns. */
static void entry_close(struct entry *e)
{
    struct shared_index *shared = e->shared;

    e->state = ENTRY_CLOSING;
    e->stale = true;
    vaults_busy(e->vaults);
    if (shared && shared->users > 1) {
        shared->users--;
        e->shared = NULL; /* the other's now */
        entry_free(e);
    } else if (shared && shared->index) {
        index_close(shared->index, e->vaults->engine->control,
                    on_index_closed, e);
    } else {
        entry_free(e);
    }
}

static void entry_drop(struct entry *e)
{
    if (--e->holds == 0 && (e->stale || e->vaults->closed))
        entry_close(e);
}

void vaults_drop(struct vaults_hold *hold)
{
    entry_drop((struct entry *)hold);
}

void vaults_changed(struct vaults *v, int64_t vault_id)
{
    struct entry *e = entry_find(v, vault_id);

    if (!e)
        return;
    e->stale = true;
    if (e->fill)
        index_fill_cancel(e->fill);
    if (e->state == ENTRY_OPEN && !e->holds)
        entry_close(e);
}

/* --- opening ------------------------------------------------------------- */

static void tell_waiters(struct entry *e, const struct err *err)
{
    struct waiter *w = e->waiters;

    e->waiters = NULL;
    e->last = &e->waiters;
    while (w) {
        struct waiter *next = w->next;

        if (err->code == ERR_OK)
            e->holds++;
        w->done(w->ctx, err, err->code == ERR_OK ? &e->hold : NULL);
        free(w);
        w = next;
    }
}

static void on_filled(void *ctx, const struct err *err,
                      const struct index_fill_result *r)
{
    struct entry *e = ctx;

    log_event(err->code == ERR_OK ? LOG_INFO : LOG_WARN, "index_filled",
              log_text("tenant", e->tenant), log_text("vault", e->name),
              log_u64("runs", r->runs), log_u64("packs", r->packs),
              log_text("error", err->code == ERR_OK ? NULL : err->text),
              LOG_END);
    e->fill = NULL;
    store_free(e->fill_store);
    e->fill_store = NULL;
    entry_drop(e);
}

/* The index is empty: read the vault's index runs in the background. Without
 * them a backup stores duplicates, no more. */
static void fill_index(struct entry *e)
{
    struct index_fill_opts o = {
        .keys = vault_keys(e->hold.vault),
        .index = e->hold.index,
        .done = on_filled,
        .ctx = e,
    };
    struct err err = {0};

    if (vaults_store(&e->hold, &e->fill_store, &err) != ERR_OK)
        goto failed;
    o.store = e->fill_store;
    if (index_fill_start(&o, &e->fill, &err) == ERR_OK) {
        e->holds++;
        return;
    }
    store_free(e->fill_store);
    e->fill_store = NULL;
failed:
    log_event(LOG_WARN, "index_not_filled", log_text("vault", e->name),
              log_err(&err), LOG_END);
}

static void open_done(struct entry *e)
{
    const struct err none = {0};
    struct vaults *v = e->vaults;

    tell_waiters(e, &none);
    wake_one(v, e->hold.id);
    vaults_idle(v);
    if (!e->holds && (e->stale || v->closed))
        entry_close(e);
}

static void open_failed(struct entry *e, const struct err *err)
{
    struct vaults *v = e->vaults;

    tell_waiters(e, err);
    entry_close(e);
    vaults_idle(v);
}

static void on_index(void *ctx, const struct err *err, struct index *index)
{
    struct entry *e = ctx;

    if (err->code != ERR_OK) {
        open_failed(e, err);
        return;
    }
    e->shared->index = index;
    e->shared->users = 1;
    e->hold.index = index;
    e->state = ENTRY_OPEN;
    if (index_is_fresh(index))
        fill_index(e);
    open_done(e);
}

static void on_shared(struct mail *mail)
{
    open_done((struct entry *)(void *)((char *)mail -
                                       offsetof(struct entry, opened)));
}

/* Without an index yet, or with that of a twin. */
static enum err_code open_index(struct entry *e, struct index_open_opts *o,
                                struct err *err)
{
    struct entry *twin = entry_twin(e, ENTRY_OPEN, ENTRY_OPEN);

    if (twin) {
        e->shared = twin->shared;
        e->shared->users++;
        e->hold.index = e->shared->index;
        e->state = ENTRY_OPEN;
        e->opened.deliver = on_shared;
        loop_send(e->vaults->engine->control, &e->opened);
        return ERR_OK;
    }
    e->shared = calloc(1, sizeof(*e->shared));
    if (!e->shared)
        return err_set(err, ERR_NOMEM, 0, "vault");
    return index_open_start(o, err);
}

static enum err_code note_recovery(struct entry *e, const struct writer *w,
                                   struct err *err)
{
    struct vaults_hold *h = &e->hold;

    for (size_t i = 0; i < w->recipients; i++) {
        if (w->recipient[i].kind != WRITER_RECOVERY)
            continue;
        if (h->recovery_count == SESSION_RECOVERY_MAX)
            return err_set(err, ERR_ARGUMENT, 0,
                           "it has more than %u recovery recipients",
                           SESSION_RECOVERY_MAX);
        if (seal_key_tag(e->vaults->engine->suite, vault_id(h->vault),
                         w->recipient[i].public,
                         &h->recovery[h->recovery_count], err) != ERR_OK)
            return err->code;
        h->recovery_count++;
    }
    return ERR_OK;
}

static enum err_code open_vault(struct entry *e, struct vaults_task *t,
                                struct err *err)
{
    struct engine *g = t->engine;
    struct vault_settings settings = vault_settings_default();
    char path[4200], hex[33];
    struct index_open_opts o = {
        .path = path,
        .lane = g->index_lane,
        .loop = g->control,
        .done = on_index,
        .ctx = e,
    };

    if (t->row.state != CATALOG_VAULT_READY || !t->writer)
        return err_set(err, ERR_NOT_FOUND, 0, "it is not ready: its state is "
                       "'%s'", catalog_vault_state_name(t->row.state));
    settings.zstd_level = (int)g->config->compression;
    settings.log2_chunk = (unsigned)__builtin_ctzll(g->config->chunk_bytes);
    e->hold.tenant_id = t->row.tenant_id;
    snprintf(e->name, sizeof(e->name), "%s", t->row.name);
    snprintf(e->tenant, sizeof(e->tenant), "%s", t->row.tenant);
    e->hold.name = e->name;
    e->hold.tenant = e->tenant;
    e->hold.place = place_ref(t->place);
    if (vault_new(t->writer->keys, &settings, &e->hold.vault, err) != ERR_OK ||
        note_recovery(e, t->writer, err) != ERR_OK)
        return err->code;
    bytes_hex(vault_id(e->hold.vault)->b, 16, hex);
    snprintf(path, sizeof(path), "%s/index/%s.db", g->state_dir, hex);
    o.vault_id = *vault_id(e->hold.vault);
    return open_index(e, &o, err);
}

static void step_open(struct vaults_task *t)
{
    struct entry *e = t->ctx;

    /* While the row was read a twin may have begun to close. */
    if (entry_twin(e, ENTRY_OPENING, ENTRY_CLOSING)) {
        e->state = ENTRY_WAITING;
        t->answer = json_new_null();
    } else if (open_vault(e, t, &t->err) == ERR_OK) {
        t->answer = json_new_null();
    }
    vaults_task_end(t, &t->err);
}

static void on_opened(void *ctx, const struct err *err, struct json *take)
{
    struct entry *e = ctx;

    json_free(take);
    if (err->code != ERR_OK)
        open_failed(e, err);
    /* Else on_index(), on_shared() or wake_one() goes on. */
}

static void entry_open(struct entry *e)
{
    e->state = ENTRY_OPENING;
    vaults_task_start(e->vaults->engine, e->hold.id, true, NULL, NULL,
                      step_open, on_opened, e);
}

void vaults_take(struct vaults *v, int64_t vault_id, vaults_hold_fn *done,
                 void *ctx)
{
    struct entry *e = entry_find(v, vault_id);
    struct waiter *w = calloc(1, sizeof(*w));
    bool new_one = !e;

    if (!e)
        e = calloc(1, sizeof(*e));
    if (!w || !e) {
        const struct err err = {.code = ERR_NOMEM, .text = "vault"};

        free(w);
        if (new_one)
            free(e);
        done(ctx, &err, NULL);
        return;
    }
    if (new_one) {
        e->vaults = v;
        e->hold.id = vault_id;
        e->last = &e->waiters;
        e->next = v->first;
        v->first = e;
    }
    w->done = done;
    w->ctx = ctx;
    *e->last = w;
    e->last = &w->next;
    if (e->state == ENTRY_OPEN) {
        const struct err none = {0};

        tell_waiters(e, &none);
    } else if (new_one) {
        vaults_busy(v);
        if (!entry_twin(e, ENTRY_OPENING, ENTRY_CLOSING))
            entry_open(e);
    }
}

enum err_code vaults_store(struct vaults_hold *hold, struct store **out,
                           struct err *err)
{
    struct engine *e = ((struct entry *)hold)->vaults->engine;

    return place_store(hold->place, e->control, e->client, out, err);
}

/* --- beginning and end --------------------------------------------------- */

static void backend_changed(void *ctx, int64_t vault)
{
    struct engine *e = ctx;

    vaults_changed(e->vaults, vault);
    reconcile_changed(e->reconcile, 0, vault);
}

void vaults_backend(struct api_backend *table)
{
    table->vault_create = vaults_create;
    table->vault_open_existing = vaults_open_existing;
    table->vault_test = vaults_test;
    table->vault_changed = backend_changed;
    table->key_list = vaults_key_list;
    table->key_test = vaults_key_test;
    table->key_grant = vaults_key_grant;
    table->key_export = vaults_key_export;
    table->point_refresh = vaults_refresh;
}

enum err_code vaults_new(struct engine *e, struct vaults **out,
                         struct err *err)
{
    struct vaults *v = calloc(1, sizeof(*v));

    if (!v)
        return err_set(err, ERR_NOMEM, 0, "vaults");
    v->engine = e;
    *out = v;
    return ERR_OK;
}

void vaults_close(struct vaults *v, void (*closed)(void *ctx), void *ctx)
{
    struct entry *next;

    v->closed = closed;
    v->closed_ctx = ctx;
    vaults_busy(v);
    for (struct entry *e = v->first; e; e = next) {
        next = e->next;
        if (e->fill)
            index_fill_cancel(e->fill);
        else if (e->state == ENTRY_OPEN && !e->holds)
            entry_close(e);
    }
    vaults_idle(v);
}
