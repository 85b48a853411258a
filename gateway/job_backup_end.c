/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/job_backup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "tenants/catalog_journal.h"

#define CANCEL_PATIENCE_MS 15000

void job_backup_fail(struct backup *b, const struct err *err,
                        enum exit_peer peer)
{
    if (b->err.code == ERR_OK)
        b->peer = peer;
    err_keep(&b->err, err);
    job_backup_end(b);
}

const struct xenapi_vm *job_backup_vm(const struct xenapi_inventory *inv)
{
    return inv && inv->vm_count ? &inv->vms[0] : NULL;
}

/* --- the end: one thing after the other ---------------------------------- */

static void backup_free(struct backup *b)
{
    struct job *job = b->job;
    struct json *result = NULL;

    if (b->data)
        engine_data_give(b->data);
    if (b->granted)
        budget_give(job->engine->budget, b->need.tenant, b->need.bytes);
    gates_leave(&b->snapping);
    gates_leave(&b->alive);
    xenapi_inventory_drop(b->live);
    xenapi_inventory_drop(b->made);
    if (b->pool)
        pools_drop(b->pool);
    if (b->vault) {
        job_log_clock(job, b->vault->place);
        vaults_drop(b->vault);
    }
    job_rows_fini(&b->rows);
    if (b->err.code == ERR_OK) {
        const struct session_figures *f = &b->result.figures;

        result = json_new_object();
        json_set_text(result, "point", b->point.id);
        json_set_text(result, "name", b->result.point.name);
        json_set_int(result, "read_bytes", (int64_t)f->read);
        json_set_int(result, "zero_bytes", (int64_t)f->zero);
        json_set_int(result, "unchanged_bytes", (int64_t)f->unchanged);
        json_set_int(result, "known_bytes", (int64_t)f->known);
        json_set_int(result, "new_bytes", (int64_t)f->fresh);
        json_set_int(result, "stored_bytes", (int64_t)f->stored);
        json_set_int(result, "meta_bytes", (int64_t)f->meta_bytes);
        json_set_int(result, "packs", (int64_t)f->packs);
        json_set_int(result, "spilled_bytes", (int64_t)f->spilled);
        json_set_int(result, "received_bytes", (int64_t)b->figures.received);
        json_set_int(result, "requests", (int64_t)b->figures.store_requests);
        json_set_int(result, "listings", (int64_t)b->figures.store_lists);
    }
    free(b->disks_json);
    job->state = NULL;
    {
        const struct err err = b->err;
        const enum exit_peer peer = b->peer;

        free(b);
        job_finish(job, &err, peer, result);
    }
}

static void on_snapshot_removed(void *ctx, const struct err *err)
{
    struct backup *b = ctx;

    (void)FAILPOINT("backup_snapshot_removed");
    b->removing = NULL;
    b->removed = true;
    if (err->code == ERR_OK) {
        b->snapshot[0] = 0;
        job_note_close(b->job, b->row);
    } else {
        /* Its row stays open, and it carries our mark and the job in its name:
         * a person can find it. */
        job_warn(b->job, "snapshot %s could not be removed: %s",
                 job_backup_vm(b->made)->uuid, err->text);
    }
    job_backup_end(b);
}

static bool end_snapshot(struct backup *b)
{
    struct xenapi_vm_remove_opts o = {
        .ref = b->snapshot,
        .snapshot = true,
        .done = on_snapshot_removed,
        .ctx = b,
    };
    struct err err = {0};

    if (job_is_cancelled(b->job)) /* that ends within 30 s */
        o.patience_ms = CANCEL_PATIENCE_MS;
    if (b->removed || !b->snapshot[0])
        return false;
    if (b->hurry && !b->removing) {
        job_warn(b->job, "snapshot %s is removed later",
                 job_backup_vm(b->made)->uuid);
        b->removed = true;
        return false;
    }
    if (b->removing)
        return true;
    job_stage(b->job, "remove snapshot");
    if (xenapi_vm_remove(b->pool->session, &o, &b->removing, &err) == ERR_OK)
        return true;
    job_warn(b->job, "snapshot %s could not be removed: %s",
             job_backup_vm(b->made)->uuid, err.text);
    b->removed = true;
    return false;
}

/* Pipe and export: true while one of them is there. */
static bool end_transfer(struct backup *b)
{
    if (b->pipe && b->err.code != ERR_OK)
        backup_pipe_cancel(b->pipe, &b->err);
    if (b->export) {
        if (b->err.code != ERR_OK)
            xenapi_export_cancel(b->export);
        /* Without a pipe nobody else says that the stream is over. */
        if (!b->pipe && b->ticketed && !b->reported) {
            b->reported = true;
            xenapi_export_streamed(b->export, &b->err);
        }
    }
    return b->pipe || b->export;
}

static enum err_code run_put_point(struct catalog_call *call,
                                   struct catalog *c, struct err *err)
{
    struct backup *b = (struct backup *)(void *)((char *)call -
                           offsetof(struct backup, call));

    if (catalog_begin(c, err) != ERR_OK)
        return err->code;
    if (catalog_point_put(c, &b->point, err) == ERR_OK &&
        catalog_job_note(c, b->job->id, b->point.id, NULL, err) == ERR_OK &&
        (!b->point_row ||
         catalog_journal_close(c, b->point_row, err) == ERR_OK))
        return catalog_commit(c, err);
    catalog_rollback(c);
    return err->code;
}

static void on_point_kept(struct catalog_call *call, const struct err *err)
{
    struct backup *b = (struct backup *)(void *)((char *)call -
                           offsetof(struct backup, call));

    (void)FAILPOINT("backup_point_kept");
    b->calls--;
    b->kept = true;
    if (err->code != ERR_OK)
        job_warn(b->job, "the point is in the vault but not in the catalog: "
                 "%s", err->text);
    job_backup_end(b);
}

char *job_backup_disks(const struct xenapi_vm *vm,
                        const struct backup_pipe_disk *disks, size_t count)
{
    struct json *all = json_new_array();
    char *text;

    for (size_t i = 0; i < count; i++) {
        struct json *one = json_new_object();

        json_set_int(one, "position", disks[i].position);
        json_set_text(one, "uuid", disks[i].live_uuid);
        json_set_text(one, "name", disks[i].name);
        json_set_int(one, "size", (int64_t)vm->disks[i].virtual_size);
        json_append(all, one);
    }
    text = json_dump(all, false, NULL);
    json_free(all);
    return text;
}

/* What the catalog is to know of a point; true while it is written. */
static bool end_point(struct backup *b)
{
    const struct session_figures *f = &b->result.figures;
    const char *id = strrchr(b->result.point.name, '/');
    struct catalog_point *p = &b->point;
    char day[32];

    if (b->err.code != ERR_OK || b->kept || !id)
        return false;
    snprintf(p->id, sizeof(p->id), "%s", id + 1);
    snprintf(day, sizeof(day), "%.16s", p->id);
    clock_parse_compact(day, &p->time_ms);
    p->vault_id = b->vault->id;
    p->name = b->result.point.name;
    p->series = b->series;
    p->vm_uuid = b->job->vm_uuid;
    p->vm_name = b->job->vm_name;
    p->pool = b->pool->name;
    p->mode = "xva";
    p->gateway = b->job->engine->gateway;
    p->disks = b->disks_json ? b->disks_json : "[]";
    p->started_ms = b->result.start_ms;
    p->ended_ms = b->result.end_ms;
    p->read_bytes = f->read;
    p->changed_bytes = f->fresh + f->known;
    p->new_bytes = f->fresh;
    p->stored_bytes = f->stored;
    p->virtual_bytes = b->total_bytes;
    memcpy(p->sha256, b->result.point.sha256, sizeof(p->sha256));
    p->made_here = true;
    p->verdict = "";
    b->point_row = job_rows_find(&b->rows, "point", p->name);
    b->calls++;
    b->call.run = run_put_point;
    b->call.done = on_point_kept;
    catalog_call_start(b->job->engine->catalog, &b->call);
    b->kept = true;
    return true;
}

void job_backup_end(struct backup *b)
{
    struct engine *e = b->job->engine;

    b->ending = true;
    if (b->asking)
        xenapi_inventory_cancel(b->asking);
    if (b->snapping_op && b->err.code != ERR_OK)
        xenapi_snapshot_cancel(b->snapping_op);
    if (b->waiting) {
        b->waiting = false;
        backlog_leave(&b->chains);
        gates_leave(&b->snapping);
        gates_leave(&b->alive);
        if (b->asked && !b->granted &&
            budget_withdraw(e->budget, &b->need))
            b->asked = false;
    }
    if (end_transfer(b) || b->asking || b->snapping_op || b->calls ||
        (b->asked && !b->granted))
        return;
    gates_leave(&b->snapping);
    /* A pool that hangs keeps nobody from the point. */
    if (end_point(b) || end_snapshot(b))
        return;
    backup_free(b);
}
