/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows of the journal -> vault -> points: step 7 once more; whole ones into the
 * catalog -> unfinished uploads by their names: listed, aborted -> rows closed
 *
 * Only what a row names is touched: other gateways write to the same vault.
 */
#include "gateway/reconcile_vault.h"

#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "gateway/reconcile_rows.h"
#include "gateway/vaults.h"
#include "vault/confirm.h"
#include "vault/name.h"

struct upload {
    char name[STORE_NAME_MAX];
    char *id;
};

struct reconcile_vault {
    struct reconcile_rows rows; /* first */
    struct vaults_hold *hold;
    struct store *store;
    struct store_op *op;
    struct confirm *confirm;
    size_t next; /* row whose point is looked at */
    struct upload *uploads;
    size_t upload_count, upload_next, aborted;
    bool no_memory, cancelled;
    struct err err;
    void (*done)(void *ctx, const struct err *err);
    void *ctx;
};

/* --- the end ------------------------------------------------------------- */

static void vault_end(struct reconcile_vault *v)
{
    for (size_t i = 0; i < v->upload_count; i++)
        free(v->uploads[i].id);
    free(v->uploads);
    reconcile_rows_fini(&v->rows);
    if (v->store)
        store_free(v->store);
    if (v->hold)
        vaults_drop(v->hold);
    v->done(v->ctx, &v->err);
    free(v);
}

static void on_settled(struct reconcile_rows *rows, const struct err *err)
{
    struct reconcile_vault *v = (struct reconcile_vault *)rows;

    err_keep(&v->err, err);
    vault_end(v);
}

static void settle(struct reconcile_vault *v)
{
    (void)FAILPOINT("reconcile_vault_cleared");
    if (v->aborted)
        log_event(LOG_INFO, "left_in_vault_removed",
                  log_text("tenant", v->hold->tenant),
                  log_text("vault", v->hold->name),
                  log_u64("uploads", v->aborted), LOG_END);
    reconcile_rows_settle(&v->rows, on_settled);
}

/* --- uploads ------------------------------------------------------------- */

static void abort_next(struct reconcile_vault *v);

static void on_aborted(void *ctx, const struct err *err,
                       const struct store_info *info)
{
    struct reconcile_vault *v = ctx;

    v->op = NULL;
    if (err->code != ERR_OK && err->code != ERR_NOT_FOUND)
        err_keep(&v->err, err);
    else
        v->aborted++;
    abort_next(v);
}

static void abort_next(struct reconcile_vault *v)
{
    struct err err = {0};

    while (v->upload_next < v->upload_count && !v->cancelled) {
        const struct upload *u = &v->uploads[v->upload_next++];

        if (store_upload_abort_by_id(v->store, u->name, u->id, on_aborted, v,
                                     &v->op, &err) == ERR_OK)
            return;
        err_keep(&v->err, &err);
    }
    if (v->cancelled)
        err_set(&v->err, ERR_CANCELLED, 0, "cancelled");
    if (v->err.code == ERR_OK)
        for (size_t i = 0; i < v->rows.count; i++)
            v->rows.row[i].gone |= v->rows.row[i].what == RECONCILE_OBJECT;
    settle(v);
}

static bool is_named(const struct reconcile_vault *v, const char *name)
{
    for (size_t i = 0; i < v->rows.count; i++)
        if (strcmp(v->rows.row[i].detail, name) == 0)
            return true;
    return false;
}

static bool upload_add(struct reconcile_vault *v, const char *name,
                       const char *id)
{
    struct upload *more = realloc(v->uploads, (v->upload_count + 1) *
                                                  sizeof(*more));

    if (more) {
        v->uploads = more;
        snprintf(more[v->upload_count].name, STORE_NAME_MAX, "%s", name);
        more[v->upload_count].id = strdup(id);
        v->no_memory = !more[v->upload_count++].id;
    } else {
        v->no_memory = true;
    }
    return !v->no_memory;
}

/* In a folder that is also a point's unfinished PUT. */
static bool on_upload(void *ctx, const struct store_upload_entry *u)
{
    struct reconcile_vault *v = ctx;

    for (size_t i = 0; i < v->upload_count; i++)
        if (strcmp(v->uploads[i].id, u->id) == 0)
            return true;
    return !is_named(v, u->name) || upload_add(v, u->name, u->id);
}

/* Whether the same may end otherwise later. */
static bool may_pass(enum err_code code)
{
    return code == ERR_UNREACHABLE || code == ERR_TIMEOUT || code == ERR_IO ||
           code == ERR_AGAIN || code == ERR_NOMEM || code == ERR_CANCELLED;
}

static void on_listed(void *ctx, const struct err *err,
                      const struct store_info *info)
{
    struct reconcile_vault *v = ctx;

    v->op = NULL;
    if (v->no_memory)
        err_set(&v->err, ERR_NOMEM, 0, "uploads");
    else if (err->code != ERR_OK && !may_pass(err->code))
        /* They may not be listed here: then nobody can do more. */
        log_event(LOG_WARN, "uploads_not_listed",
                  log_text("tenant", v->hold->tenant),
                  log_text("vault", v->hold->name), log_err(err), LOG_END);
    else
        err_keep(&v->err, err);
    if (v->err.code == ERR_OK)
        abort_next(v);
    else
        settle(v);
}

static void find_uploads(struct reconcile_vault *v)
{
    const struct store_list_uploads_opts o = {
        .prefix = "",
        .on_upload = on_upload,
        .done = on_listed,
        .ctx = v,
    };
    struct err err = {0};

    /* What has a known id does not hang on the listing. */
    for (size_t i = 0; i < v->rows.count && !v->no_memory; i++)
        if (v->rows.row[i].what == RECONCILE_OBJECT && *v->rows.row[i].ref)
            upload_add(v, v->rows.row[i].detail, v->rows.row[i].ref);
    if (v->cancelled)
        err_set(&err, ERR_CANCELLED, 0, "cancelled");
    else if (v->no_memory)
        err_set(&err, ERR_NOMEM, 0, "uploads");
    else if (store_list_uploads(v->store, &o, &v->op, &err) == ERR_OK)
        return;
    err_keep(&v->err, &err);
    settle(v);
}

/* --- points -------------------------------------------------------------- */

static void confirm_next(struct reconcile_vault *v);

static void on_points_read(void *ctx, const struct err *err, uint64_t count)
{
    struct reconcile_vault *v = ctx;
    struct reconcile_row *r = &v->rows.row[v->next++];

    r->gone = r->whole = err->code == ERR_OK;
    err_keep(&v->err, err);
    confirm_next(v);
}

/* Step 7 was not reached, or its answer was lost: it is done again. */
static void on_confirmed(void *ctx, const struct err *err,
                         enum confirm_verdict verdict,
                         const struct point_ref *point)
{
    static const char *const words[] = {
        [CONFIRM_GONE] = "never_written",
        [CONFIRM_WHOLE] = "whole",
        [CONFIRM_CONDEMNED] = "condemned_and_removed",
        [CONFIRM_UNFINISHED] = "unfinished_and_removed",
    };
    struct reconcile_vault *v = ctx;
    struct reconcile_row *r = &v->rows.row[v->next];
    struct name name;

    v->confirm = NULL;
    if (err->code == ERR_OK)
        log_event(LOG_INFO, "point_confirmed", log_text("job", r->job),
                  log_text("tenant", v->hold->tenant),
                  log_text("vault", v->hold->name),
                  log_text("point", r->detail),
                  log_text("verdict", words[verdict]), LOG_END);
    err_keep(&v->err, err);
    if (err->code == ERR_OK && verdict == CONFIRM_WHOLE &&
        name_parse(r->detail, &name)) {
        vaults_read_points(v->rows.engine->vaults, v->rows.vault_id, &name.id,
                           on_points_read, v);
        return;
    }
    r->gone = err->code == ERR_OK;
    v->next++;
    confirm_next(v);
}

static void confirm_next(struct reconcile_vault *v)
{
    struct confirm_opts o = {
        .store = v->store,
        .keys = vault_keys(v->hold->vault),
        .done = on_confirmed,
        .ctx = v,
    };
    struct err err = {0};

    for (; v->next < v->rows.count && !v->cancelled; v->next++) {
        if (v->rows.row[v->next].what != RECONCILE_POINT)
            continue;
        o.point = v->rows.row[v->next].detail;
        if (confirm_start(&o, &v->confirm, &err) == ERR_OK)
            return;
        err_keep(&v->err, &err);
    }
    find_uploads(v);
}

static void on_hold(void *ctx, const struct err *err, struct vaults_hold *hold)
{
    struct reconcile_vault *v = ctx;

    v->err = *err;
    v->hold = hold;
    if (v->err.code == ERR_OK &&
        vaults_store(hold, &v->store, &v->err) == ERR_OK)
        confirm_next(v);
    else
        vault_end(v);
}

static void on_rows(struct reconcile_rows *rows, const struct err *err)
{
    struct reconcile_vault *v = (struct reconcile_vault *)rows;

    v->err = *err;
    if (err->code == ERR_OK && rows->count)
        vaults_take(rows->engine->vaults, rows->vault_id, on_hold, v);
    else
        vault_end(v);
}

struct reconcile_vault *
reconcile_vault_start(struct engine *e, int64_t id,
                      void (*done)(void *ctx, const struct err *err),
                      void *ctx)
{
    struct reconcile_vault *v = calloc(1, sizeof(*v));

    if (!v)
        return NULL;
    v->rows.engine = e;
    v->rows.vault_id = id;
    v->done = done;
    v->ctx = ctx;
    reconcile_rows_load(&v->rows, on_rows);
    return v;
}

void reconcile_vault_cancel(struct reconcile_vault *v)
{
    v->cancelled = true;
    if (v->op)
        store_op_cancel(v->op);
    if (v->confirm)
        confirm_cancel(v->confirm);
}
