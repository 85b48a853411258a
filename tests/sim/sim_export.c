/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_export.c - an export: find the VM, lock it, send headers, send
 * the archive, end the task, close.
 */
#include "tests/sim/sim_export.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_ova.h"
#include "tests/sim/sim_stream.h"
#include "tests/sim/sim_task.h"
#include "tests/sim/sim_transfer.h"
#include "tests/sim/sim_vbd.h"
#include "tests/sim/sim_vdi.h"
#include "tests/sim/sim_vm.h"
#include "tests/sim/sim_xmlrpc.h"

#define PROGRESS_MS 10000 /* scaled, and never more often than: */
#define PROGRESS_LEAST_MS 100

struct export
{
    struct sim_transfer t;
    struct sim_plan plan;
    struct sim_ova ova;
    struct sim_stream_disk *disks;
    struct sim_value *dom0_vbds;
    char vm[SIM_REF_MAX];
    uint64_t progress_ms; /* when it was told last */
    bool cancelled;
};

/* ---- which VM, and where ---- */

static struct sim_object *find_vm(struct export *e)
{
    const char *ref = sim_http_param(e->t.request, "ref");
    const char *uuid = sim_http_param(e->t.request, "uuid");
    struct sim_db *db = e->t.pool->db;

    if (ref)
        return sim_db_find(db, "VM", ref);
    return uuid ? sim_db_find_uuid(db, "VM", uuid) : NULL;
}

/* What to do when the VM is not to be had here. */
enum lookup { FOUND, UNKNOWN_UUID, NOWHERE, ELSEWHERE };

static enum lookup lookup(struct export *e, struct sim_host **elsewhere)
{
    enum lookup rc = FOUND;
    struct sim_object *vm;

    sim_db_lock(e->t.pool->db);
    vm = find_vm(e);
    if (!vm && !sim_http_param(e->t.request, "ref"))
        rc = UNKNOWN_UUID;
    else if (!vm || !(*elsewhere = sim_vm_host(e->t.pool, vm, e->t.host)))
        rc = NOWHERE;
    else if (*elsewhere != e->t.host)
        rc = ELSEWHERE;
    if (vm)
        snprintf(e->vm, sizeof(e->vm), "%s", vm->ref);
    sim_db_unlock(e->t.pool->db);
    return rc;
}

static void fail_500(struct export *e, struct sim_value *failure)
{
    char *text = sim_call_error_text(failure);

    sim_transfer_end_task(&e->t, NULL, failure);
    sim_http_error(e->t.conn, 500, text, NULL);
    free(text);
}

/* True: it is here. Otherwise the request is answered. */
static bool is_here(struct export *e, enum sim_conn_end *how)
{
    const char *uuid = sim_http_param(e->t.request, "uuid");
    struct sim_host *elsewhere = NULL;
    struct sim_value *failure;

    switch (lookup(e, &elsewhere)) {
    case FOUND:
        return true;
    case UNKNOWN_UUID: /* before there is a task */
        failure = sim_value_texts("UUID_INVALID", "VM", uuid ? uuid : "", NULL);
        fail_500(e, failure);
        return false;
    case ELSEWHERE: /* the task is left to the other host */
        sim_transfer_redirect(&e->t, elsewhere);
        return false;
    case NOWHERE:
        break;
    }
    sim_transfer_task(&e->t);
    sim_transfer_end_task(
        &e->t, NULL,
        *e->vm ? sim_value_texts("NO_HOSTS_AVAILABLE", NULL)
               : sim_value_texts("HANDLE_INVALID", "VM",
                                 sim_http_param(e->t.request, "ref"), NULL));
    *how = SIM_CONN_CUT;
    return false;
}

/* ---- the lock on the VM ---- */

static struct sim_value *why_not(const struct sim_object *vm)
{
    const struct sim_value *ops = sim_db_get(vm, "current_operations");
    const struct sim_value *blocked = sim_db_get(vm, "blocked_operations");
    const char *state = sim_db_str(vm, "power_state");

    if (sim_value_get(blocked, "export"))
        return sim_value_texts("OPERATION_BLOCKED", vm->ref,
                               sim_value_get_str(blocked, "export", ""), NULL);
    for (size_t i = 0; i < ops->count; i++)
        if (strcmp(ops->items[i]->text, "clone") != 0 &&
            strcmp(ops->items[i]->text, "copy") != 0)
            return sim_value_texts("OTHER_OPERATION_IN_PROGRESS", "VM", vm->ref,
                                   ops->items[i]->text, ops->keys[i], NULL);
    if (strcmp(state, "Halted") != 0 && strcmp(state, "Suspended") != 0)
        return sim_value_texts(
            "VM_BAD_POWER_STATE", vm->ref, "halted, suspended",
            strcmp(state, "Paused") == 0 ? "paused" : "running", NULL);
    return NULL;
}

/* Disks are attached to dom0 while they are read. */
static void attach(struct export *e)
{
    struct sim_db *db = e->t.pool->db;
    struct sim_object *host = sim_db_find(db, "host", e->t.host->ref);
    struct sim_object *dom0 = sim_db_ref(db, host, "control_domain");

    e->disks = sim_mem_new((e->ova.count + 1) * sizeof(*e->disks));
    e->dom0_vbds = sim_value_set();
    for (size_t i = 0; i < e->ova.count; i++) {
        const struct sim_ova_disk *d = &e->ova.disks[i];
        struct sim_object *vdi = sim_db_find(db, "VDI", d->vdi), *vbd;
        char device[24];

        snprintf(e->disks[i].id, sizeof(e->disks[i].id), "%s", d->id);
        e->disks[i].disk = sim_disk_hold(sim_vdi_disk(vdi));
        snprintf(device, sizeof(device), "%zu",
                 sim_db_get(dom0, "VBDs")->count);
        vbd = sim_vbd_new(e->t.pool, dom0, vdi, device, "Disk", "RO", false);
        sim_value_add_text(e->dom0_vbds, vbd->ref);
    }
}

/* True: locked, and all that is read is in hand. */
static bool lock_vm(struct export *e)
{
    const char *preserve = sim_http_param(e->t.request, "preserve_power_state");
    struct sim_db *db = e->t.pool->db;
    struct sim_value *failure;
    struct sim_object *vm;

    sim_db_lock(db);
    vm = sim_db_find(db, "VM", e->vm);
    failure =
        vm ? why_not(vm) : sim_value_texts("HANDLE_INVALID", "VM", e->vm, NULL);
    if (!failure) {
        sim_db_map_put(db, vm, "current_operations", e->t.task, "export");
        sim_vm_refresh(e->t.pool, vm);
        sim_ova_build(e->t.pool, vm, preserve && strcmp(preserve, "true") == 0,
                      &e->ova);
        attach(e);
    }
    sim_db_unlock(db);
    if (failure)
        fail_500(e, failure);
    return !failure;
}

static void unlock_vm(struct export *e)
{
    struct sim_db *db = e->t.pool->db;
    struct sim_where where;
    struct sim_object *vm, *vbd;

    for (size_t i = 0; i < e->ova.count; i++)
        sim_disk_drop(e->disks[i].disk);
    free(e->disks);
    sim_db_lock(db);
    sim_transfer_where(&e->t, &where);
    for (size_t i = 0; i < e->dom0_vbds->count; i++) {
        vbd = sim_db_find(db, "VBD", e->dom0_vbds->items[i]->text);
        if (vbd &&
            !sim_fault_hit(e->t.pool->sim->faults, "dom0_vbd", &where, NULL))
            sim_db_destroy(db, vbd);
    }
    vm = sim_db_find(db, "VM", e->vm);
    if (vm) {
        sim_db_map_drop(db, vm, "current_operations", e->t.task);
        sim_vm_refresh(e->t.pool, vm);
    }
    sim_db_unlock(db);
    sim_value_free(e->dom0_vbds);
    sim_ova_fini(&e->ova);
}

/* ---- the stream ---- */

static bool on_progress(void *ctx, uint64_t done, uint64_t all)
{
    struct export *e = ctx;
    uint64_t now = clock_mono_ms(clock_system());
    uint64_t every = (uint64_t)(PROGRESS_MS * e->t.pool->sim->time_scale);

    if (every < PROGRESS_LEAST_MS)
        every = PROGRESS_LEAST_MS;
    if (now - e->progress_ms < every)
        return true;
    e->progress_ms = now;
    sim_db_lock(e->t.pool->db);
    sim_task_set_progress(e->t.pool, e->t.task,
                          all ? (double)done / (double)all : 1);
    e->cancelled = sim_task_cancelled(e->t.pool, e->t.task);
    sim_db_unlock(e->t.pool->db);
    return !e->cancelled;
}

static enum sim_out_compression compression_of(const struct export *e)
{
    const char *c = sim_http_param(e->t.request, "use_compression");

    if (c && strcmp(c, "zstd") == 0 && e->t.pool->zstd)
        return SIM_OUT_ZSTD;
    if (c && (strcmp(c, "true") == 0 || strcmp(c, "gzip") == 0))
        return SIM_OUT_GZIP;
    return SIM_OUT_PLAIN;
}

static bool send_headers(struct export *e)
{
    char *head = sim_mem_printf(
        "HTTP/1.0 200 OK\r\nConnection: close\r\n"
        "Cache-Control: no-cache, no-store\r\ntask-id: %s\r\n"
        "Server: xapi/%s\r\ncontent-type: application/octet-stream\r\n"
        "Content-Disposition: attachment; filename=\"export.xva\"\r\n\r\n",
        e->t.task, e->t.pool->xapi_version);
    bool ok = sim_conn_write(e->t.conn, head, strlen(head));

    free(head);
    return ok;
}

static void append_500(struct export *e, const struct sim_value *failure)
{
    char *text = sim_call_error_text(failure);

    sim_http_error(e->t.conn, 500, text, NULL);
    free(text);
}

/* A cut stream: how the task ends is the fault's to say. */
static void end_cut(struct export *e, enum sim_conn_end *how)
{
    const struct sim_hit *hit = sim_fault_planned(&e->plan, "export_cut");
    const char *task = sim_fault_text(hit, "task", "failure");
    uint64_t ms = (uint64_t)sim_fault_int(hit, "ms", 0);

    *how = SIM_CONN_CUT;
    sim_conn_break(e->t.conn, sim_fault_bool(hit, "reset"));
    sim_pool_sleep(ms);
    if (strcmp(task, "success") == 0)
        sim_transfer_end_task(&e->t, NULL, NULL);
    else if (strcmp(task, "pending") != 0)
        sim_transfer_end_task(
            &e->t, NULL,
            sim_value_texts("VDI_IO_ERROR", "Device I/O errors", NULL));
}

/* The stream ended early, or an error of ours ended it. */
static void end_early(struct export *e, struct sim_out *out,
                      enum sim_conn_end *how)
{
    const struct sim_hit *hit =
        sim_fault_planned(&e->plan, "export_append_500");
    struct sim_value *failure;

    *how = SIM_CONN_CLOSE;
    switch (sim_out_ended(out)) {
    case SIM_OUT_CUT:
        end_cut(e, how);
        return;
    case SIM_OUT_GONE:
        if (sim_fault_planned(&e->plan, "export_impatient") &&
            !sim_conn_gone(e->t.conn))
            failure =
                sim_value_texts("VDI_IO_ERROR", "Device I/O errors", NULL);
        else
            failure = sim_value_texts("CLIENT_ERROR", "EPIPE", NULL);
        *how = SIM_CONN_CUT;
        sim_transfer_end_task(&e->t, NULL, failure);
        return;
    case SIM_OUT_APPEND:
        failure = sim_fault_error(hit, "VDI_IO_ERROR");
        break;
    default:
        failure =
            e->cancelled
                ? sim_value_texts("TASK_CANCELLED", e->t.task, NULL)
                : sim_value_texts("VDI_IO_ERROR", "Device I/O errors", NULL);
        break;
    }
    append_500(e, failure);
    sim_transfer_end_task(&e->t, NULL, failure);
}

static void end_whole(struct export *e)
{
    const struct sim_hit *hit = sim_fault_planned(&e->plan, "export_task_fail");

    sim_transfer_end_task(&e->t, NULL,
                          hit ? sim_fault_error(hit, "VDI_IO_ERROR") : NULL);
}

static void stream(struct export *e, enum sim_conn_end *how)
{
    const struct sim_hit *wait =
        sim_fault_planned(&e->plan, "export_first_byte");
    const struct sim_hit *impatient =
        sim_fault_planned(&e->plan, "export_impatient");
    struct sim_out *out;
    char *ova = sim_xmlrpc_fragment(e->ova.xml);
    struct err err;
    bool ok;

    if (wait)
        sim_conn_stall(e->t.conn, (uint64_t)sim_fault_int(wait, "ms", 1));
    if (impatient)
        sim_conn_patience(e->t.conn, (unsigned)sim_fault_int(impatient, "ms",
                                                             1000));
    out = sim_out_new(e->t.conn, compression_of(e), &e->plan);
    if (out) {
        struct sim_stream_opts opts = {
            .out = out,
            .plan = &e->plan,
            .ova = ova,
            .disks = e->disks,
            .count = e->ova.count,
            .sha1 = e->t.pool->sha1,
            .progress = on_progress,
            .ctx = e,
        };

        ok = sim_stream_run(&opts, &err);
        e->t.host->counters.exports++;
        e->t.host->counters.export_bytes += sim_out_bytes(out);
        if (ok)
            end_whole(e);
        else
            end_early(e, out, how);
        sim_out_free(out);
    } else {
        sim_transfer_end_task(&e->t, NULL,
                              sim_value_texts("INTERNAL_ERROR", "gzip", NULL));
    }
    free(ova);
}

/* Faults that answer in place of the export. True: one did. */
static bool refused(struct export *e, enum sim_conn_end *how)
{
    const struct sim_hit *hit;
    struct sim_value *failure;

    if (sim_fault_planned(&e->plan, "export_close")) {
        sim_transfer_end_task(
            &e->t, NULL, sim_value_texts("INTERNAL_ERROR", "xensim", NULL));
        *how = SIM_CONN_CUT;
        return true;
    }
    if ((hit = sim_fault_planned(&e->plan, "export_500"))) {
        fail_500(e, sim_fault_error(hit, "INTERNAL_ERROR"));
        return true;
    }
    if ((hit = sim_fault_planned(&e->plan, "export_500_body"))) {
        failure = sim_fault_error(hit, "VDI_IO_ERROR");
        if (send_headers(e))
            append_500(e, failure);
        sim_transfer_end_task(&e->t, NULL, failure);
        return true;
    }
    return false;
}

bool sim_export_serve(struct sim_conn *c, const struct sim_request *r,
                      enum sim_conn_end *how)
{
    struct export e = {.t = {.conn = c,
                             .request = r,
                             .host = c->host,
                             .pool = c->host->pool,
                             .what = "export"}};
    struct sim_where where;
    struct sim_object *vm;

    *how = SIM_CONN_CLOSE;
    sim_db_lock(e.t.pool->db);
    vm = find_vm(&e);
    if (vm)
        snprintf(e.t.about, sizeof(e.t.about), "%s", vm->ref);
    sim_db_unlock(e.t.pool->db);
    if (!sim_transfer_begin(&e.t) || !is_here(&e, how))
        goto out;
    sim_transfer_task(&e.t);
    sim_db_lock(e.t.pool->db);
    sim_transfer_where(&e.t, &where);
    sim_fault_plan(e.t.pool->sim->faults, "export_", &where, &e.plan);
    sim_db_unlock(e.t.pool->db);
    if (!refused(&e, how) && lock_vm(&e)) {
        if (send_headers(&e))
            stream(&e, how);
        else
            sim_transfer_end_task(
                &e.t, NULL, sim_value_texts("CLIENT_ERROR", "EPIPE", NULL));
        unlock_vm(&e);
    }
    sim_fault_plan_release(&e.plan);
out:
    sim_transfer_fini(&e.t);
    return false;
}
