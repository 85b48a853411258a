/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup, on the control loop:
 *
 *   vault, pool, VM, owner, witness -> room, memory (job_backup_room.c)
 *   -> snapshot -> pipe: session, export, commit -> snapshot removed
 *   -> point into the catalog -> end
 *
 * Whatever goes wrong, job_backup_end() is entered and stays entered: it looks
 * at what is still there, starts the removal of one thing, and is called again
 * when that is gone. The same way leads out of a success.
 */
#include "gateway/job_backup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/parse.h"
#include "gateway/job_owner.h"

#define SERIES_KEY "cairn:series"

/* --- pipe and export ----------------------------------------------------- */

static void on_export_done(void *ctx, const struct err *err)
{
    struct backup *b = ctx;

    b->export = NULL;
    (void)FAILPOINT("backup_export_done");
    if (err->code != ERR_OK) {
        job_backup_fail(b, err, EXIT_PEER_POOL);
    } else if (b->ending) {
        job_backup_end(b);
    } else {
        b->committing = true;
        b->shown_ms = 0; /* an outage is told in this stage, too */
        job_stage(b->job, "commit");
        backup_pipe_commit(b->pipe);
    }
}

static void on_export_broken(void *ctx, const struct err *err)
{
    job_backup_fail(ctx, err, EXIT_PEER_POOL);
}

static void on_ticket(void *ctx, struct xenapi_ticket *ticket)
{
    struct backup *b = ctx;

    if (b->ticketed)
        job_log(b->job, "info", "the host did not answer: the export is asked "
                "for again");
    b->ticketed = true;
    b->reported = false;
    (void)FAILPOINT("backup_export_begun");
    if (b->pipe && !b->ending)
        backup_pipe_export(b->pipe, ticket);
    else
        job_backup_end(b);
}

static void on_pipe_ready(void *ctx)
{
    struct backup *b = ctx;
    char label[JOB_LABEL_MAX];
    const struct xenapi_export_opts o = {
        .ref = b->snapshot,
        .label = label,
        .gateway = b->job->engine->gateway,
        .job = b->job->id,
        .ready = on_ticket,
        .broken = on_export_broken,
        .done = on_export_done,
        .ctx = b,
    };
    struct err err = {0};

    if (b->ending)
        return;
    job_label(label, "backup", b->job->vm_name);
    job_stage(b->job, "transfer");
    if (xenapi_export_start(b->pool->session, &o, &b->export, &err) != ERR_OK)
        job_backup_fail(b, &err, EXIT_PEER_POOL);
}

static void on_pipe_streamed(void *ctx, const struct err *err)
{
    struct backup *b = ctx;

    (void)FAILPOINT("backup_streamed");
    if (!b->export || b->reported)
        return;
    b->reported = true;
    xenapi_export_streamed(b->export, err);
}

static void on_pipe_progress(void *ctx, const struct backup_pipe_figures *f)
{
    job_backup_show(ctx, f);
}

static void on_row(void *ctx, void *ticket, const struct err *err)
{
    struct backup *b = ctx;

    backup_pipe_noted(b->pipe, ticket, err);
}

static void on_pipe_opening(void *ctx, const char *kind, const char *name,
                            void *ticket)
{
    struct backup *b = ctx;

    job_rows_open(&b->rows, kind, name, on_row, b, ticket);
}

static void on_pipe_upload(void *ctx, const char *name, const char *id)
{
    struct backup *b = ctx;

    job_rows_named(&b->rows, name, id);
}

static void on_pipe_closed(void *ctx, const char *kind, const char *name)
{
    struct backup *b = ctx;

    job_rows_close(&b->rows, kind, name);
}

/* The cancel came when the point was on its way, and nothing is heard of it:
 * what is sent cannot be called back, so this is not "cancelled". Its row stays
 * open, and reconcile_vault.c finds out. */
static void cannot_tell(struct backup *b, const char *point)
{
    b->peer = EXIT_PEER_STORE;
    err_set(&b->err, ERR_AGAIN, 0, "cancelled when point %s was on its way "
            "already, and the store does not say whether it is there; if it "
            "is, it will be listed", strrchr(point, '/') + 1);
}

static void on_pipe_done(void *ctx, const struct err *err,
                         const struct session_result *result,
                         const struct backup_pipe_figures *f)
{
    struct backup *b = ctx;

    b->pipe = NULL;
    b->result = *result;
    b->figures = *f;
    job_progress(b->job, f->session.read, b->total_bytes);
    if (err->code == ERR_OK) {
        (void)FAILPOINT("backup_committed");
        /* Committed, whatever else happened since. */
        err_clear(&b->err);
        for (uint64_t i = 0; i < result->warnings; i++)
            job_warn(b->job, "a point of this VM could not be read");
        job_backup_end(b);
    } else {
        if (job_is_cancelled(b->job) && result->unsure[0])
            cannot_tell(b, result->unsure);
        job_backup_fail(b, err, EXIT_PEER_STORE);
    }
}

static uint32_t position_of(const struct xenapi_disk *d, size_t i)
{
    uint64_t n;

    return parse_u64(d->userdevice, 0, 255, &n) ? (uint32_t)n
                                                : (uint32_t)(256 + i);
}

static void start_pipe(struct backup *b)
{
    const struct xenapi_vm *vm = job_backup_vm(b->made);
    struct backup_pipe_disk *disks =
        calloc(vm->disk_count ? vm->disk_count : 1, sizeof(*disks));
    struct backup_pipe_opts o = {
        .engine = b->job->engine,
        .vault = b->vault->vault,
        .place = b->vault->place,
        .index = b->vault->index,
        .tenant = b->need.tenant,
        .recovery = b->vault->recovery,
        .recovery_count = b->vault->recovery_count,
        .series = b->series,
        .vm = b->vm,
        .name = b->job->vm_name,
        .pool = b->pool->name,
        .witness = b->witness,
        .disks = disks,
        .disk_count = vm->disk_count,
        .ready = on_pipe_ready,
        .streamed = on_pipe_streamed,
        .opening = on_pipe_opening,
        .upload = on_pipe_upload,
        .closed = on_pipe_closed,
        .progress = on_pipe_progress,
        .done = on_pipe_done,
        .ctx = b,
    };
    struct err err = {0};

    if (!disks) {
        err_set(&err, ERR_NOMEM, 0, "backup");
        job_backup_fail(b, &err, EXIT_PEER_NONE);
        return;
    }
    for (size_t i = 0; i < vm->disk_count; i++) {
        const struct xenapi_disk *d = &vm->disks[i];

        snprintf(disks[i].exported_uuid, 37, "%s", d->vdi_uuid);
        snprintf(disks[i].live_uuid, 37, "%s",
                 *d->snapshot_of_uuid ? d->snapshot_of_uuid : d->vdi_uuid);
        snprintf(disks[i].name, sizeof(disks[i].name), "%.*s",
                 (int)parse_utf8_cut(d->name, sizeof(disks[i].name) - 1),
                 d->name);
        disks[i].position = position_of(d, i);
        b->total_bytes += d->virtual_size;
    }
    b->disks_json = job_backup_disks(vm, disks, vm->disk_count);
    b->data = engine_data_take(b->job->engine);
    o.data = b->data;
    if (backup_pipe_start(&o, &b->pipe, &err) != ERR_OK)
        job_backup_fail(b, &err, EXIT_PEER_NONE);
    free(disks);
}

/* --- the snapshot -------------------------------------------------------- */

static bool is_left_out(const struct xenapi_disk *d)
{
    return strstr(d->name, "[NOBAK]") != NULL;
}

static bool has_disk_of(const struct xenapi_vm *snapshot,
                        const struct xenapi_disk *live)
{
    for (size_t i = 0; i < snapshot->disk_count; i++) {
        const struct xenapi_disk *d = &snapshot->disks[i];

        if (strcmp(d->userdevice, live->userdevice) == 0 ||
            strcmp(d->snapshot_of, live->vdi_ref) == 0)
            return true;
    }
    return false;
}

static bool is_plugged(const struct xenapi_vm *vm,
                       const struct xenapi_disk *disk)
{
    for (size_t i = 0; i < vm->disk_count; i++)
        if (strcmp(vm->disks[i].vbd_ref, disk->vbd_ref) == 0)
            return true;
    return false;
}

/* A disk that the VM had before the snapshot, and has now, and that the
 * snapshot lacks; NULL: none. XAPI takes all or makes no snapshot. */
static const struct xenapi_disk *lacking(const struct backup *b,
                                         const struct xenapi_vm *now)
{
    const struct xenapi_vm *before = job_backup_vm(b->live);

    for (size_t i = 0; i < before->disk_count; i++) {
        const struct xenapi_disk *d = &before->disks[i];

        if (!is_left_out(d) && !has_disk_of(job_backup_vm(b->made), d) &&
            is_plugged(now, d))
            return d;
    }
    return NULL;
}

static void on_vm_again(void *ctx, const struct err *err,
                        struct xenapi_inventory *now)
{
    struct backup *b = ctx;
    const struct xenapi_disk *disk = NULL;
    struct err why = *err;

    b->asking = NULL;
    if (why.code == ERR_OK)
        disk = lacking(b, job_backup_vm(now));
    if (disk)
        err_set(&why, ERR_PROTOCOL, 0,
                "the snapshot lacks disk %s ('%s'), which the VM has: somebody "
                "removed it from there", disk->userdevice, disk->name);
    else if (why.code == ERR_NOT_FOUND) /* with its disks, as it seems */
        err_clear(&why);
    xenapi_inventory_drop(now);
    if (why.code != ERR_OK || b->ending)
        job_backup_fail(b, &why, EXIT_PEER_POOL);
    else
        start_pipe(b);
}

/* Where the snapshot has fewer disks, they may have been taken from the VM
 * since it was looked at: it is asked once more. */
static void check_disks(struct backup *b)
{
    const struct xenapi_inventory_opts o = {
        .vm_uuid = b->job->vm_uuid,
        .done = on_vm_again,
        .ctx = b,
    };
    struct err err = {0};

    if (!lacking(b, job_backup_vm(b->live)))
        start_pipe(b);
    else if (xenapi_inventory_start(b->pool->session, &o, &b->asking, &err) !=
             ERR_OK)
        job_backup_fail(b, &err, EXIT_PEER_POOL);
}

static void on_snapshot(void *ctx, const struct err *err,
                        struct xenapi_inventory *inventory)
{
    struct backup *b = ctx;
    const struct xenapi_vm *vm;

    b->snapping_op = NULL;
    gates_leave(&b->snapping);
    if (err->code != ERR_OK) {
        if (b->row && !b->hurry && !b->snapshot_left)
            job_note_close(b->job, b->row);
        job_backup_fail(b, err, EXIT_PEER_POOL);
        return;
    }
    (void)FAILPOINT("backup_snapshot_made");
    b->made = inventory;
    vm = job_backup_vm(inventory);
    snprintf(b->snapshot, sizeof(b->snapshot), "%s", vm->ref);
    job_note_update(b->job, b->row, b->snapshot, NULL);
    job_log(b->job, "info", "snapshot %s of %zu disks", vm->uuid,
            vm->disk_count);
    if (b->ending)
        job_backup_end(b);
    else
        check_disks(b);
}

static void on_snapshot_noted(void *ctx, const struct err *err, int64_t row)
{
    struct backup *b = ctx;
    const struct xenapi_vm *vm = job_backup_vm(b->live);
    const char *ignored[256];
    struct xenapi_snapshot_opts o = {
        .vm_ref = vm->ref,
        .vm_name = vm->name,
        .gateway = b->job->engine->gateway,
        .job = b->job->id,
        .ignore_vdis = ignored,
        .left = &b->snapshot_left,
        .done = on_snapshot,
        .ctx = b,
    };
    struct err why = {0};

    b->calls--;
    b->row = row;
    (void)FAILPOINT("backup_snapshot_noted");
    if (err->code != ERR_OK || b->ending) {
        if (row)
            job_note_close(b->job, row);
        job_backup_fail(b, err, EXIT_PEER_NONE);
        return;
    }
    for (size_t i = 0; i < vm->disk_count && i < BYTES_COUNT(ignored); i++) {
        if (!is_left_out(&vm->disks[i]))
            continue;
        ignored[o.ignore_count++] = vm->disks[i].vdi_ref;
        job_log(b->job, "info", "disk %s ('%s') is left out: [NOBAK]",
                vm->disks[i].userdevice, vm->disks[i].name);
    }
    if (xenapi_snapshot_start(b->pool->session, &o, &b->snapping_op, &why) !=
        ERR_OK) {
        job_note_close(b->job, row);
        job_backup_fail(b, &why, EXIT_PEER_POOL);
    }
}

void job_backup_snapshot(struct backup *b)
{
    const struct job_note note = {
        .kind = "snapshot",
        .in_pool = true,
        .ref = "",
        .detail = b->job->vm_uuid,
        .done = on_snapshot_noted,
        .ctx = b,
    };

    b->waiting = false;
    b->calls++;
    job_stage(b->job, "snapshot");
    job_note_open(b->job, &note);
}

/* --- what is to be backed up --------------------------------------------- */

static enum err_code run_witness(struct catalog_call *call, struct catalog *c,
                                 struct err *err)
{
    struct backup *b = (struct backup *)(void *)((char *)call -
                           offsetof(struct backup, call));
    struct catalog_point p = {0};

    if (job_owner_check(c, b->job, job_backup_vm(b->live), err) != ERR_OK)
        return err->code;
    if (catalog_point_newest(c, b->vault->id, b->series, &p, err) == ERR_OK) {
        if (strlen(p.name) < sizeof(b->witness.name)) {
            snprintf(b->witness.name, sizeof(b->witness.name), "%s", p.name);
            memcpy(b->witness.sha256, p.sha256, sizeof(p.sha256));
        }
        catalog_point_fini(&p);
    } else if (err->code == ERR_NOT_FOUND) {
        err_clear(err);
    }
    return err->code;
}

static void on_witness(struct catalog_call *call, const struct err *err)
{
    struct backup *b = (struct backup *)(void *)((char *)call -
                           offsetof(struct backup, call));

    b->calls--;
    if (err->code != ERR_OK)
        job_backup_fail(b, err, EXIT_PEER_NONE);
    else if (b->ending)
        job_backup_end(b);
    else
        job_backup_room(b);
}

static enum err_code check_vm(struct backup *b, const struct xenapi_vm *vm,
                              struct err *err)
{
    const char *series = xenapi_inventory_other_config(vm, SERIES_KEY);

    if (vm->is_snapshot || vm->is_template || vm->is_control_domain)
        return err_set(err, ERR_ARGUMENT, 0, "it is no VM that can be backed "
                       "up (a snapshot, a template or a control domain)");
    if (!parse_uuid(vm->uuid, &b->vm))
        return err_set(err, ERR_PROTOCOL, 0, "'%s' is no uuid", vm->uuid);
    for (size_t i = 0; i < vm->operation_count; i++)
        if (strcmp(vm->operations[i], "migrate_send") == 0 ||
            strcmp(vm->operations[i], "pool_migrate") == 0)
            return err_set(err, ERR_AGAIN, 0, "it is being migrated");
    if (series && (!*series || strlen(series) > JOB_BACKUP_SERIES_MAX))
        return err_set(err, ERR_ARGUMENT, 0, "other_config " SERIES_KEY
                       " has %zu bytes, not 1 to %d", strlen(series),
                       JOB_BACKUP_SERIES_MAX);
    parse_uuid_text(&b->vm, b->series);
    if (series)
        snprintf(b->series, sizeof(b->series), "%s", series);
    return xenapi_inventory_snapshot_room(vm, err);
}

static void on_vm(void *ctx, const struct err *err,
                  struct xenapi_inventory *inventory)
{
    struct backup *b = ctx;
    struct err why = {0};

    b->asking = NULL;
    b->live = inventory;
    if (err->code != ERR_OK) {
        job_backup_fail(b, err, EXIT_PEER_POOL);
        return;
    }
    if (b->ending) {
        job_backup_end(b);
        return;
    }
    job_name(b->job, job_backup_vm(inventory)->name);
    if (check_vm(b, job_backup_vm(inventory), &why) != ERR_OK) {
        job_backup_fail(b, &why, EXIT_PEER_POOL);
        return;
    }
    b->calls++;
    b->call.run = run_witness;
    b->call.done = on_witness;
    catalog_call_start(b->job->engine->catalog, &b->call);
}

static void on_pool(void *ctx, const struct err *err, struct pools_hold *hold)
{
    struct backup *b = ctx;
    const struct xenapi_inventory_opts o = {
        .vm_uuid = b->job->vm_uuid,
        .done = on_vm,
        .ctx = b,
    };
    struct err why = {0};

    b->calls--;
    b->pool = hold;
    if (err->code != ERR_OK || b->ending) {
        job_backup_fail(b, err, EXIT_PEER_POOL);
        return;
    }
    job_stage(b->job, "prepare");
    if (xenapi_inventory_start(b->pool->session, &o, &b->asking, &why) !=
        ERR_OK)
        job_backup_fail(b, &why, EXIT_PEER_POOL);
}

static void on_vault(void *ctx, const struct err *err,
                     struct vaults_hold *hold)
{
    struct backup *b = ctx;

    b->vault = hold;
    if (err->code != ERR_OK || b->ending) {
        b->calls--;
        job_backup_fail(b, err, EXIT_PEER_VAULT);
        return;
    }
    pools_take(b->job->engine->pools, b->job->pool_id, false, on_pool, b);
}

/* Its point was committed before the gateway was killed: that was all. */
static void end_with_point(struct job *job)
{
    struct json *result = json_new_object();

    json_set_text(result, "point", job->point);
    job_log(job, "info", "point %s was committed by an earlier attempt",
            job->point);
    job_finish(job, NULL, EXIT_PEER_NONE, result);
}

static void backup_start(struct job *job)
{
    struct backup *b;

    if (*job->point) {
        end_with_point(job);
        return;
    }
    b = calloc(1, sizeof(*b));
    if (!b) {
        const struct err err = {.code = ERR_NOMEM, .text = "no memory"};

        job_finish(job, &err, EXIT_PEER_NONE, NULL);
        return;
    }
    b->job = job;
    b->rows.job = job;
    job->state = b;
    b->calls++; /* until on_pool() */
    vaults_take(job->engine->vaults, job->vault_id, on_vault, b);
}

static void backup_cancel(struct job *job)
{
    const struct err err = {.code = ERR_CANCELLED, .text = "cancelled"};
    struct backup *b = job->state;

    /* What the pipe has committed stays committed: it decides. Where the point
     * is known already there is but a snapshot to be removed. */
    if (b->kept)
        job_backup_end(b);
    else
        job_backup_fail(b, &err, EXIT_PEER_NONE);
}

static void backup_hurry(struct job *job)
{
    struct backup *b = job->state;

    b->hurry = true;
    if (b->snapping_op)
        xenapi_snapshot_abandon(b->snapping_op);
    if (b->pipe)
        backup_pipe_hurry(b->pipe);
    if (b->removing)
        xenapi_vm_cancel(b->removing);
}

const struct job_kind job_kind_backup = {
    .name = "backup",
    .start = backup_start,
    .cancel = backup_cancel,
    .hurry = backup_hurry,
};
