/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/reconcile_rows.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/jobs.h"

static bool keep(void *ctx, const struct catalog_journal *j)
{
    static const struct {
        const char *kind;
        enum reconcile_what what;
    } kinds[] = {
        {"snapshot", RECONCILE_SNAPSHOT}, {"import", RECONCILE_IMPORT},
        {"upload", RECONCILE_OBJECT},     {"put", RECONCILE_OBJECT},
        {"point", RECONCILE_POINT},
    };
    struct reconcile_rows *rows = ctx;
    enum reconcile_what what = RECONCILE_NONE;
    struct reconcile_row *more;
    struct reconcile_row *r;

    for (size_t i = 0; i < BYTES_COUNT(kinds); i++)
        if (strcmp(kinds[i].kind, j->kind) == 0)
            what = kinds[i].what;
    if (what == RECONCILE_NONE)
        return true;
    more = realloc(rows->row, (rows->count + 1) * sizeof(*more));
    if (!more) {
        rows->failed = true;
        return false;
    }
    rows->row = more;
    r = &more[rows->count++];
    memset(r, 0, sizeof(*r));
    r->id = j->id;
    memcpy(r->job, j->job_id, sizeof(r->job));
    r->what = what;
    r->ref = strdup(j->ref);
    r->detail = strdup(j->detail);
    rows->failed = !r->ref || !r->detail;
    return !rows->failed;
}

static enum err_code run_load(struct catalog_call *call, struct catalog *c,
                              struct err *err)
{
    struct reconcile_rows *rows = (struct reconcile_rows *)call;
    enum err_code rc = catalog_journal_each_at(c, rows->pool_id,
                                               rows->vault_id, keep, rows, err);

    if (rows->failed)
        return err_set(err, ERR_NOMEM, 0, "journal");
    return rc;
}

static void row_fini(struct reconcile_row *r)
{
    free(r->ref);
    free(r->detail);
}

static void on_loaded(struct catalog_call *call, const struct err *err)
{
    struct reconcile_rows *rows = (struct reconcile_rows *)call;
    size_t kept = 0;

    for (size_t i = 0; i < rows->count; i++) {
        if (jobs_is_live(rows->engine->jobs, rows->row[i].job))
            row_fini(&rows->row[i]);
        else
            rows->row[kept++] = rows->row[i];
    }
    rows->count = kept;
    rows->done(rows, err);
}

void reconcile_rows_load(struct reconcile_rows *rows,
                         void (*done)(struct reconcile_rows *rows,
                                      const struct err *err))
{
    rows->done = done;
    rows->call.run = run_load;
    rows->call.done = on_loaded;
    catalog_call_start(rows->engine->catalog, &rows->call);
}

static enum err_code run_settle(struct catalog_call *call, struct catalog *c,
                                struct err *err)
{
    struct reconcile_rows *rows = (struct reconcile_rows *)call;

    if (catalog_begin(c, err) != ERR_OK)
        return err->code;
    for (size_t i = 0; i < rows->count && err->code == ERR_OK; i++) {
        const struct reconcile_row *r = &rows->row[i];
        const char *id = strrchr(r->detail, '/');

        if (!r->gone)
            continue;
        if (r->whole && id)
            catalog_job_note(c, r->job, id + 1, NULL, err);
        if (err->code == ERR_OK)
            catalog_journal_close(c, r->id, err);
    }
    if (err->code == ERR_OK)
        return catalog_commit(c, err);
    catalog_rollback(c);
    return err->code;
}

static void on_settled(struct catalog_call *call, const struct err *err)
{
    struct reconcile_rows *rows = (struct reconcile_rows *)call;

    rows->done(rows, err);
}

void reconcile_rows_settle(struct reconcile_rows *rows,
                           void (*done)(struct reconcile_rows *rows,
                                        const struct err *err))
{
    rows->done = done;
    rows->call.run = run_settle;
    rows->call.done = on_settled;
    catalog_call_start(rows->engine->catalog, &rows->call);
}

void reconcile_rows_fini(struct reconcile_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        row_fini(&rows->row[i]);
    free(rows->row);
    rows->row = NULL;
    rows->count = 0;
}
