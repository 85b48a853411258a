/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading all points of a vault into the catalog.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "gateway/vaults.h"
#include "tenants/catalog_point.h"
#include "vault/points.h"

struct reading {
    struct engine *engine;
    struct catalog_call call;
    struct vaults_hold *hold;
    struct store *store;
    struct points_list *list;
    bool one_vm;
    struct id16 vm_tag;
    int64_t known; /* the catalog's newest row before the vault was listed */
    uint64_t count;
    struct err err;
    void (*done)(void *ctx, const struct err *err, uint64_t count);
    void *ctx;
};

static void reading_end(struct reading *r, const struct err *err)
{
    err_keep(&r->err, err);
    r->done(r->ctx, &r->err, r->count);
    points_list_free(r->list);
    if (r->store)
        store_free(r->store);
    if (r->hold)
        vaults_drop(r->hold);
    free(r);
}

static char *disks_of(const struct points_entry *e, uint64_t *bytes)
{
    struct json *all = json_new_array();
    char uuid[37];
    char *text;

    for (size_t i = 0; i < e->disks; i++) {
        struct json *one = json_new_object();

        parse_uuid_text(&e->disk[i].vdi, uuid);
        json_set_int(one, "position", e->disk[i].position);
        json_set_text(one, "uuid", uuid);
        json_set_text(one, "name", e->disk[i].name);
        json_set_int(one, "size", (int64_t)e->disk[i].bytes);
        json_append(all, one);
        *bytes += e->disk[i].bytes;
    }
    text = json_dump(all, false, NULL);
    json_free(all);
    return text;
}

static enum err_code put(struct catalog *c, int64_t vault_id,
                         const struct points_entry *e, struct err *err)
{
    struct catalog_point p = {
        .vault_id = vault_id,
        .name = e->name,
        .series = e->series,
        .vm_name = e->vm_name,
        .pool = e->pool,
        .mode = e->source_mode,
        .gateway = e->gateway,
        .time_ms = e->time_ms,
        .started_ms = e->start_ms,
        .ended_ms = e->end_ms,
        .read_bytes = e->totals.read,
        .changed_bytes = e->totals.changed,
        .new_bytes = e->totals.fresh,
        .stored_bytes = e->totals.stored,
        .verdict = "",
    };
    char uuid[37];
    char *disks = disks_of(e, &p.virtual_bytes);

    parse_uuid_text(&e->vm, uuid);
    p.vm_uuid = uuid;
    p.disks = disks ? disks : "[]";
    memcpy(p.sha256, e->sha256, sizeof(p.sha256));
    snprintf(p.id, sizeof(p.id), "%s", strrchr(e->name, '/') + 1);
    catalog_point_put(c, &p, err);
    free(disks);
    return err->code;
}

static bool is_gone(const struct reading *r, const char *name)
{
    const struct points_entry *e;
    struct name parts;

    if (r->one_vm &&
        (!name_parse(name, &parts) || !id16_equal(&parts.id, &r->vm_tag)))
        return false; /* was not looked for */
    e = points_find(r->list, name);
    return !e || e->state == POINTS_REMOVED || e->state == POINTS_REPLACED;
}

struct rows {
    struct reading *reading;
    int64_t *row;
    size_t count;
    bool failed;
};

static bool collect_gone(void *ctx, const struct catalog_point *p)
{
    struct rows *rows = ctx;
    int64_t *more;

    /* What came since may have been committed behind the listing. */
    if (p->row > rows->reading->known || !is_gone(rows->reading, p->name))
        return true;
    more = realloc(rows->row, (rows->count + 1) * sizeof(*more));
    if (!more) {
        rows->failed = true;
        return false;
    }
    rows->row = more;
    more[rows->count++] = p->row;
    return true;
}

/* Points that the vault no longer shows are no longer listed here. */
static enum err_code forget_gone(struct reading *r, struct catalog *c,
                                 struct err *err)
{
    const struct catalog_point_filter filter = {.vault_id = r->hold->id};
    struct catalog_page page = {.limit = 1000};
    char cursor[CATALOG_CURSOR] = "";
    struct rows rows = {.reading = r};

    do {
        page.cursor = cursor;
        if (catalog_point_each(c, &filter, &page, collect_gone, &rows, err) !=
            ERR_OK)
            break;
        memcpy(cursor, page.next, sizeof(cursor));
    } while (*cursor && !rows.failed);
    if (rows.failed)
        err_set(err, ERR_NOMEM, 0, "points");
    for (size_t i = 0; err->code == ERR_OK && i < rows.count; i++)
        catalog_point_forget(c, rows.row[i], err);
    free(rows.row);
    return err->code;
}

static enum err_code run_put(struct catalog_call *call, struct catalog *c,
                             struct err *err)
{
    struct reading *r = (struct reading *)(void *)((char *)call -
                            offsetof(struct reading, call));

    if (catalog_begin(c, err) != ERR_OK)
        return err->code;
    for (size_t i = 0; err->code == ERR_OK && i < r->list->count; i++) {
        if (r->list->entry[i].state != POINTS_SHOWN)
            continue;
        put(c, r->hold->id, &r->list->entry[i], err);
        r->count++;
    }
    if (err->code == ERR_OK && forget_gone(r, c, err) == ERR_OK)
        return catalog_commit(c, err);
    catalog_rollback(c);
    return err->code;
}

static void on_put(struct catalog_call *call, const struct err *err)
{
    reading_end((struct reading *)(void *)((char *)call -
                    offsetof(struct reading, call)), err);
}

static void on_list(void *ctx, const struct err *err, struct points_list *take)
{
    struct reading *r = ctx;

    r->list = take;
    if (err->code != ERR_OK) {
        reading_end(r, err);
        return;
    }
    for (size_t i = 0; i < take->count; i++)
        if (take->entry[i].state == POINTS_BAD)
            log_event(LOG_WARN, "point_unreadable",
                      log_text("tenant", r->hold->tenant),
                      log_text("vault", r->hold->name),
                      log_text("point", take->entry[i].name),
                      log_err(&take->entry[i].err), LOG_END);
    r->call.run = run_put;
    r->call.done = on_put;
    catalog_call_start(r->engine->catalog, &r->call);
}

static enum err_code run_known(struct catalog_call *call, struct catalog *c,
                               struct err *err)
{
    struct reading *r = (struct reading *)(void *)((char *)call -
                            offsetof(struct reading, call));

    return catalog_point_last(c, &r->known, err);
}

static void on_known(struct catalog_call *call, const struct err *err)
{
    struct reading *r = (struct reading *)(void *)((char *)call -
                            offsetof(struct reading, call));
    struct points_opts o = {.done = on_list, .ctx = r};
    struct points *points = NULL;
    struct err why = *err;

    if (why.code == ERR_OK &&
        vaults_store(r->hold, &r->store, &why) == ERR_OK) {
        o.store = r->store;
        o.keys = vault_keys(r->hold->vault);
        o.vm_tag = r->one_vm ? &r->vm_tag : NULL;
        if (points_start(&o, &points, &why) == ERR_OK)
            return;
    }
    reading_end(r, &why);
}

static void on_hold(void *ctx, const struct err *err, struct vaults_hold *hold)
{
    struct reading *r = ctx;

    r->hold = hold;
    if (err->code != ERR_OK) {
        reading_end(r, err);
        return;
    }
    r->call.run = run_known;
    r->call.done = on_known;
    catalog_call_start(r->engine->catalog, &r->call);
}

void vaults_read_points(struct vaults *v, int64_t vault_id,
                        const struct id16 *vm_tag,
                        void (*done)(void *ctx, const struct err *err,
                                     uint64_t count),
                        void *ctx)
{
    struct reading *r = calloc(1, sizeof(*r));

    if (!r) {
        struct err err = {0};

        err_set(&err, ERR_NOMEM, 0, "points");
        done(ctx, &err, 0);
        return;
    }
    r->engine = vaults_engine(v);
    r->one_vm = vm_tag != NULL;
    if (vm_tag)
        r->vm_tag = *vm_tag;
    r->done = done;
    r->ctx = ctx;
    vaults_take(v, vault_id, on_hold, r);
}
