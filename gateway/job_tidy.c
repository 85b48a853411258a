/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/job_tidy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/catalog_journal.h"
#include "vault/confirm.h"
#include "xenapi/xenapi_call.h"
#include "xenapi/xenapi_snapshot.h"
#include "xenapi/xenapi_vm.h"

/* --- rows of uploads and points ------------------------------------------ */

enum upload_state { UPLOAD_OPENING, UPLOAD_OPEN, UPLOAD_CLOSING };

struct job_tidy_upload {
    struct catalog_call call;
    struct engine *engine;
    struct job_tidy_upload *next;
    struct catalog_journal row;
    enum upload_state state;
    bool close_wanted, detached;
    const char *kind; /* a literal of the pipe's */
    char *name, *id;
};

static void upload_free(struct job_tidy_upload *u)
{
    free(u->name);
    free(u->id);
    free(u);
}

static enum err_code run_open(struct catalog_call *call, struct catalog *c,
                              struct err *err)
{
    struct job_tidy_upload *u = (struct job_tidy_upload *)call;

    return catalog_journal_add(c, &u->row, &u->row.id, err);
}

static enum err_code run_close(struct catalog_call *call, struct catalog *c,
                               struct err *err)
{
    struct job_tidy_upload *u = (struct job_tidy_upload *)call;

    return catalog_journal_close(c, u->row.id, err);
}

static void on_closed(struct catalog_call *call, const struct err *err)
{
    upload_free((struct job_tidy_upload *)call);
}

static void upload_close(struct job_tidy_upload *u)
{
    u->state = UPLOAD_CLOSING;
    u->call.run = run_close;
    u->call.done = on_closed;
    catalog_call_start(u->engine->catalog, &u->call);
}

static void on_opened(struct catalog_call *call, const struct err *err)
{
    struct job_tidy_upload *u = (struct job_tidy_upload *)call;

    u->state = UPLOAD_OPEN;
    if (u->close_wanted && err->code == ERR_OK)
        upload_close(u);
    else if (u->close_wanted || u->detached)
        upload_free(u);
}

static void upload_open(struct job_tidy_uploads *all, struct job *job,
                        const char *kind, const char *name, const char *id)
{
    struct job_tidy_upload *u = calloc(1, sizeof(*u));

    if (!u)
        return; /* a collector finds it by its age */
    u->engine = job->engine;
    u->kind = kind;
    u->name = strdup(name);
    u->id = strdup(id);
    if (!u->name || !u->id) {
        upload_free(u);
        return;
    }
    memcpy(u->row.job_id, job->id, sizeof(u->row.job_id));
    u->row.vault_id = job->vault_id;
    u->row.kind = kind;
    u->row.ref = u->id;
    u->row.detail = u->name;
    u->next = all->first;
    all->first = u;
    u->call.run = run_open;
    u->call.done = on_opened;
    catalog_call_start(u->engine->catalog, &u->call);
}

void job_tidy_uploads_note(struct job_tidy_uploads *all, struct job *job,
                           bool open, const char *kind, const char *name,
                           const char *id)
{
    struct job_tidy_upload **link = &all->first;
    struct job_tidy_upload *u;

    if (open) {
        upload_open(all, job, kind, name, id);
        return;
    }
    while (*link && (strcmp((*link)->kind, kind) != 0 ||
                     strcmp((*link)->name, name) != 0 ||
                     strcmp((*link)->id, id) != 0))
        link = &(*link)->next;
    u = *link;
    if (!u)
        return;
    *link = u->next;
    if (u->state == UPLOAD_OPENING)
        u->close_wanted = true;
    else
        upload_close(u);
}

void job_tidy_uploads_fini(struct job_tidy_uploads *all)
{
    while (all->first) {
        struct job_tidy_upload *u = all->first;

        all->first = u->next;
        if (u->state == UPLOAD_OPENING)
            u->detached = true;
        else
            upload_free(u);
    }
}

/* --- tidying ------------------------------------------------------------- */

enum tidy_what {
    TIDY_SNAPSHOT,
    TIDY_IMPORT,
    TIDY_UPLOAD,
    TIDY_POINT,
    TIDY_OTHER,
};

struct tidy_row {
    int64_t row;
    enum tidy_what what;
    bool gone;
    bool left; /* by a job that has ended */
    char *ref, *detail;
};

struct tidy {
    struct job *job;
    struct pools_hold *pool;
    struct vaults_hold *vault;
    struct tidy_row *rows;
    size_t count, next;
    char (*snapshots)[XENAPI_REF_MAX];
    size_t snapshot_count, snapshot_next;
    bool no_memory, no_more; /* of what others have left */
    struct store *store;
    struct err err; /* the first failure; the rest is tried all the same */
    void (*done)(void *ctx, const struct err *err);
    void *ctx;
};

static void tidy_next(struct tidy *t);

static void tidy_end(struct tidy *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->rows[i].gone)
            job_note_close(t->job, t->rows[i].row);
        free(t->rows[i].ref);
        free(t->rows[i].detail);
    }
    if (t->store)
        store_free(t->store);
    free(t->rows);
    free(t->snapshots);
    t->done(t->ctx, &t->err);
    free(t);
}

/* Mark all rows of a kind as gone, or keep the failure. */
static void settle(struct tidy *t, enum tidy_what what, const struct err *err)
{
    if (err->code != ERR_OK)
        err_keep(&t->err, err);
    else
        for (size_t i = 0; i < t->count; i++)
            if (t->rows[i].what == what)
                t->rows[i].gone = true;
}

static bool has(const struct tidy *t, enum tidy_what what)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->rows[i].what == what)
            return true;
    return false;
}

/* One row could not be settled. What others have left waits for the next job,
 * all of it: the store is likely to say the same of each. */
static void stays(struct tidy *t, const struct tidy_row *r,
                  const struct err *err)
{
    if (!r->left) {
        err_keep(&t->err, err);
        return;
    }
    t->no_more = true;
    job_log(t->job, "warn", "what an earlier job left in the vault stays: %s",
            err->text);
}

/* Whether the same may end otherwise later. */
static bool may_pass(enum err_code code)
{
    return code == ERR_UNREACHABLE || code == ERR_TIMEOUT || code == ERR_IO ||
           code == ERR_AGAIN || code == ERR_NOMEM;
}

static void on_aborted(void *ctx, const struct err *err,
                       const struct store_info *info)
{
    struct tidy *t = ctx;
    struct tidy_row *r = &t->rows[t->next++];

    r->gone = err->code == ERR_OK || err->code == ERR_NOT_FOUND;
    /* Uploads may not be listed here: then nobody can do more. */
    if (!*r->ref && !may_pass(err->code))
        r->gone = true;
    if (!r->gone)
        stays(t, r, err);
    tidy_next(t);
}

/* Step 7 was not reached, or its answer was lost: it is done again. */
static void on_confirmed(void *ctx, const struct err *err,
                         enum confirm_verdict verdict,
                         const struct point_ref *point)
{
    static const char *const words[] = {
        [CONFIRM_GONE] = "was never written",
        [CONFIRM_WHOLE] = "is whole and stays",
        [CONFIRM_CONDEMNED] = "needs what was condemned, and was removed",
        [CONFIRM_UNFINISHED] = "was an anchor, and was removed",
    };
    struct tidy *t = ctx;
    struct tidy_row *r = &t->rows[t->next++];

    r->gone = err->code == ERR_OK;
    if (r->gone)
        job_log(t->job, "info", "the point of an earlier %s %s",
                r->left ? "job" : "attempt", words[verdict]);
    else
        stays(t, r, err);
    tidy_next(t);
}

static enum err_code tidy_row(struct tidy *t, const struct tidy_row *r,
                              struct err *err)
{
    struct confirm_opts o = {
        .keys = vault_keys(t->vault->vault),
        .point = r->detail,
        .done = on_confirmed,
        .ctx = t,
    };
    struct confirm *c = NULL;

    if (!t->store && vaults_store(t->vault, &t->store, err) != ERR_OK)
        return err->code;
    o.store = t->store;
    if (r->what == TIDY_POINT)
        return confirm_start(&o, &c, err);
    return store_upload_abort_by_id(t->store, r->detail, r->ref, on_aborted, t,
                                    NULL, err);
}

/* What lies in the vault, one after the other; then the end. */
static void tidy_next(struct tidy *t)
{
    struct err err = {0};

    while (t->next < t->count) {
        struct tidy_row *r = &t->rows[t->next];

        if (!t->vault || (r->left && t->no_more) ||
            (r->what != TIDY_UPLOAD && r->what != TIDY_POINT)) {
            r->gone |= r->what == TIDY_OTHER && !r->left;
            t->next++;
            continue;
        }
        if (tidy_row(t, r, &err) == ERR_OK)
            return;
        stays(t, r, &err);
        t->next++;
    }
    tidy_end(t);
}

static void on_swept(void *ctx, const struct err *err, size_t removed)
{
    struct tidy *t = ctx;

    settle(t, TIDY_IMPORT, err);
    if (removed)
        job_log(t->job, "info", "%zu half-imported VMs removed", removed);
    tidy_next(t);
}

static void tidy_imports(struct tidy *t)
{
    const struct xenapi_vm_sweep_opts o = {
        .key = "cairn:job",
        .value = t->job->id,
        .done = on_swept,
        .ctx = t,
    };
    struct err err = {0};

    if (has(t, TIDY_IMPORT) && t->pool &&
        xenapi_vm_sweep(t->pool->session, &o, NULL, &err) == ERR_OK)
        return;
    if (err.code != ERR_OK)
        err_keep(&t->err, &err);
    tidy_next(t);
}

static void remove_snapshots(struct tidy *t);

static void on_removed(void *ctx, const struct err *err)
{
    struct tidy *t = ctx;

    if (err->code != ERR_OK)
        err_keep(&t->err, err);
    else
        job_log(t->job, "info", "a snapshot left by an earlier attempt was "
                "removed");
    t->snapshot_next++;
    remove_snapshots(t);
}

static void remove_snapshots(struct tidy *t)
{
    struct xenapi_vm_remove_opts o = {
        .snapshot = true,
        .done = on_removed,
        .ctx = t,
    };
    struct err err = {0};

    if (t->snapshot_next < t->snapshot_count) {
        o.ref = t->snapshots[t->snapshot_next];
        if (xenapi_vm_remove(t->pool->session, &o, NULL, &err) == ERR_OK)
            return;
        err_keep(&t->err, &err);
    }
    settle(t, TIDY_SNAPSHOT, &t->err);
    tidy_imports(t);
}

static void on_found(void *ctx, const struct err *err,
                     const struct xenapi_snapshot_found *found, size_t count)
{
    struct tidy *t = ctx;

    if (err->code != ERR_OK) {
        err_keep(&t->err, err);
        tidy_imports(t);
        return;
    }
    t->snapshots = calloc(count ? count : 1, sizeof(*t->snapshots));
    for (size_t i = 0; t->snapshots && i < count; i++)
        if (strcmp(found[i].job, t->job->id) == 0)
            snprintf(t->snapshots[t->snapshot_count++], XENAPI_REF_MAX, "%s",
                     found[i].ref);
    if (!t->snapshots)
        err_set(&t->err, ERR_NOMEM, 0, "snapshots");
    remove_snapshots(t);
}

static void on_rows(void *ctx, const struct err *err)
{
    struct tidy *t = ctx;
    const struct xenapi_snapshot_find_opts o = {
        .gateway = t->job->engine->gateway,
        .done = on_found,
        .ctx = t,
    };
    struct err why = {0};

    if (err->code != ERR_OK || t->no_memory) {
        err_keep(&t->err, err);
        if (t->no_memory)
            err_set(&t->err, ERR_NOMEM, 0, "journal");
        tidy_end(t);
        return;
    }
    if (t->count)
        job_stage(t->job, "tidy");
    if (has(t, TIDY_SNAPSHOT) && t->pool &&
        xenapi_snapshot_find(t->pool->session, &o, &why) == ERR_OK)
        return;
    if (why.code != ERR_OK)
        err_keep(&t->err, &why);
    tidy_imports(t);
}

static void on_row(void *ctx, const struct job_note_row *note)
{
    struct tidy *t = ctx;
    struct tidy_row *rows = realloc(t->rows, (t->count + 1) * sizeof(*rows));
    struct tidy_row *r;

    if (!rows) {
        t->no_memory = true;
        return;
    }
    t->rows = rows;
    r = &rows[t->count++];
    *r = (struct tidy_row){
        .row = note->row, .what = TIDY_OTHER, .left = note->left};
    if (strcmp(note->kind, "snapshot") == 0)
        r->what = TIDY_SNAPSHOT;
    else if (strcmp(note->kind, "import") == 0)
        r->what = TIDY_IMPORT;
    else if (strcmp(note->kind, "upload") == 0)
        r->what = TIDY_UPLOAD;
    else if (strcmp(note->kind, "point") == 0)
        r->what = TIDY_POINT;
    r->ref = strdup(note->ref);
    r->detail = strdup(note->detail);
    if (!r->ref || !r->detail)
        t->no_memory = true;
}

void job_tidy(struct job *job, struct pools_hold *pool,
              struct vaults_hold *vault,
              void (*done)(void *ctx, const struct err *err), void *ctx)
{
    struct tidy *t = calloc(1, sizeof(*t));

    if (!t) {
        const struct err err = {.code = ERR_NOMEM, .text = "no memory"};

        done(ctx, &err);
        return;
    }
    t->job = job;
    t->pool = pool;
    t->vault = vault;
    t->done = done;
    t->ctx = ctx;
    job_note_each(job, vault && job->kind == &job_kind_backup
                             ? vault->id
                             : 0,
                  on_row, on_rows, t);
}
