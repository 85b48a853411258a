/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/job_restore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/parse.h"

/* --- undoing ------------------------------------------------------------- */

static void on_made_removed(void *ctx, const struct err *err)
{
    struct restore *r = ctx;

    r->op = NULL;
    if (err->code == ERR_OK)
        job_note_close(r->job, r->row);
    else
        job_warn(r->job, "the half-restored VM could not be removed: %s",
                 err->text);
    restore_end(r);
}

static void on_swept(void *ctx, const struct err *err, size_t removed)
{
    on_made_removed(ctx, err);
}

/* Whatever was made and will not be finished; true while it is removed. */
bool restore_pool_undo(struct restore *r)
{
    const struct xenapi_vm_remove_opts o = {
        .ref = r->vm_ref,
        .guard_key = XENAPI_SWEEP_KEY,
        .guard_value = r->mark,
        .done = on_made_removed,
        .ctx = r,
    };
    const struct xenapi_vm_sweep_opts sweep = {
        .key = XENAPI_SWEEP_KEY,
        .value = r->mark,
        .done = on_swept,
        .ctx = r,
    };
    struct err err = {0};
    enum err_code rc;

    if (r->err.code == ERR_OK || !r->row || r->finished || r->undone)
        return false;
    r->undone = true;
    if (r->hurry) {
        job_warn(r->job, "the half-restored VM is removed later");
        return false;
    }
    job_stage(r->job, "remove what was made");
    /* Without a VM's name the pool says that it has removed what there was;
     * it is asked all the same. */
    rc = r->vm_ref[0]
             ? xenapi_vm_remove(r->pool->session, &o, &r->op, &err)
             : xenapi_vm_sweep(r->pool->session, &sweep, &r->op, &err);
    if (rc != ERR_OK)
        job_warn(r->job, "the half-restored VM could not be removed: %s",
                 err.text);
    return rc == ERR_OK;
}

/* --- after the import ---------------------------------------------------- */

/* The rows of import and release are closed with the job's end: until that is
 * written, an attempt that follows finds the VM by them. */
static void on_released(void *ctx, const struct err *err)
{
    struct restore *r = ctx;

    (void)FAILPOINT("restore_released");
    r->op = NULL;
    if (err->code != ERR_OK)
        job_warn(r->job, "the VM is restored, but: %s", err->text);
    restore_end(r);
}

/* From here on it is the user's VM, and nobody may take it away. */
static void release(struct restore *r)
{
    const struct xenapi_vm_release_opts o = {
        .ref = r->vm_ref,
        .start = r->plan.start && r->made->vms[0].power == XENAPI_HALTED,
        .done = on_released,
        .ctx = r,
    };
    struct err why = {0};
    enum err_code rc;

    r->finished = true;
    rc = xenapi_vm_release(r->pool->session, &o, &r->op, &why);
    r->vm_ref[0] = 0;
    if (rc == ERR_OK)
        return;
    job_warn(r->job, "the VM is restored, but: %s", why.text);
    restore_end(r);
}

static void on_unmarked(void *ctx, const struct err *err)
{
    struct restore *r = ctx;

    (void)FAILPOINT("restore_unmarked");
    r->op = NULL;
    if (err->code != ERR_OK || r->ending)
        restore_fail(r, err, EXIT_PEER_POOL);
    else
        release(r);
}

static void on_release_noted(void *ctx, const struct err *err, int64_t row)
{
    struct restore *r = ctx;
    const struct xenapi_vm_mark_opts o = {
        .ref = r->vm_ref,
        .key = XENAPI_SWEEP_KEY,
        .done = on_unmarked,
        .ctx = r,
    };
    struct err why = *err;

    (void)FAILPOINT("restore_release_noted");
    r->calls--;
    if (why.code != ERR_OK || r->ending)
        restore_fail(r, &why, EXIT_PEER_NONE);
    else if (xenapi_vm_mark(r->pool->session, &o, &r->op, &why) != ERR_OK)
        restore_fail(r, &why, EXIT_PEER_POOL);
}

/* The disk at this device as it was backed up. */
static void set_old(struct json *one, const struct restore *r,
                    const char *device)
{
    char uuid[37];

    for (size_t i = 0; i < r->disk_count; i++) {
        if (strcmp(ova_disk(r->ova, i)->userdevice, device) != 0)
            continue;
        parse_uuid_text(&r->point->disk[r->disks[i].disk].vdi, uuid);
        json_set_text(one, "old", uuid);
    }
}

/* Where it lies: as a person knows it, and for sure. */
static void set_sr(struct json *one, const struct xenapi_sr *sr)
{
    json_set_text(one, "sr", sr ? sr->name : "");
    json_set_text(one, "sr_uuid", sr ? sr->uuid : NULL);
}

static void set_network(struct json *one, const struct xenapi_network *n)
{
    json_set_text(one, "network", n ? n->name : "");
    json_set_text(one, "network_uuid", n ? n->uuid : NULL);
}

static struct json *receipt_new(const struct restore *r, const char *uuid,
                                const char *name)
{
    struct json *all = json_new_object();
    struct json *pair = json_new_object();

    json_set_text(pair, "old", r->vm_uuid);
    json_set_text(pair, "new", uuid);
    json_set_text(pair, "name", name);
    json_set(all, "vm", pair);
    return all;
}

static struct json *receipt_end(struct json *all, struct json *disks,
                                struct json *nics)
{
    bool good = json_set(all, "disks", disks);

    if (json_set(all, "nics", nics) && good)
        return all;
    json_free(all);
    return NULL;
}

struct json *restore_pool_forecast(const struct restore *r)
{
    const struct restore_plan *plan = &r->plan;
    struct json *all =
        receipt_new(r, NULL, plan->name ? plan->name : r->vm_name);
    struct json *disks = json_new_array();
    struct json *nics = json_new_array();

    for (size_t i = 0; i < ova_disk_count(r->ova); i++) {
        const struct ova_disk *d = ova_disk(r->ova, i);
        struct json *one = json_new_object();

        json_set_text(one, "disk", d->userdevice);
        set_old(one, r, d->userdevice);
        json_set_text(one, "new", NULL);
        json_set_text(one, "name", d->name);
        json_set_int(one, "size", (int64_t)d->virtual_size);
        set_sr(one, plan->sr);
        json_append(disks, one);
    }
    for (size_t i = 0; i < plan->nic_count; i++) {
        const struct restore_plan_nic *n = &plan->nics[i];
        struct json *one;

        if (!n->network)
            continue; /* left out, so the receipt will not have it either */
        one = json_new_object();
        json_set_text(one, "nic", n->nic->device);
        json_set_text(one, "old_mac", n->nic->mac);
        json_set_text(one, "new", NULL);
        json_set_text(one, "mac", plan->keep_mac ? n->nic->mac : NULL);
        set_network(one, n->network);
        json_append(nics, one);
    }
    json_set_bool(all, "dry_run", true);
    return receipt_end(all, disks, nics);
}

/* What became of what: by device, since names may occur twice. */
static struct json *receipt_of(const struct restore *r)
{
    const struct xenapi_vm *vm = &r->made->vms[0];
    struct json *all = receipt_new(r, vm->uuid, vm->name);
    struct json *disks = json_new_array();
    struct json *nics = json_new_array();

    for (size_t i = 0; i < vm->disk_count; i++) {
        struct json *one = json_new_object();

        json_set_text(one, "disk", vm->disks[i].userdevice);
        set_old(one, r, vm->disks[i].userdevice);
        json_set_text(one, "new", vm->disks[i].vdi_uuid);
        set_sr(one, vm->disks[i].sr);
        json_append(disks, one);
    }
    for (size_t i = 0; i < vm->nic_count; i++) {
        struct json *one = json_new_object();
        const struct xenapi_nic *n = &vm->nics[i];

        json_set_text(one, "nic", n->device);
        for (size_t k = 0; k < r->plan.nic_count; k++)
            if (strcmp(r->plan.nics[k].nic->device, n->device) == 0)
                json_set_text(one, "old_mac", r->plan.nics[k].nic->mac);
        json_set_text(one, "new", n->uuid);
        json_set_text(one, "mac", n->mac);
        set_network(one, n->network);
        json_append(nics, one);
    }
    return receipt_end(all, disks, nics);
}

static void on_made(void *ctx, const struct err *err,
                    struct xenapi_inventory *inventory)
{
    struct restore *r = ctx;
    struct job_note note = {
        .kind = "release",
        .in_pool = true,
        .detail = "",
        .done = on_release_noted,
        .ctx = r,
    };
    const struct err memory = {.code = ERR_NOMEM, .text = "no memory"};

    (void)FAILPOINT("restore_made");
    r->asking = NULL;
    r->made = inventory;
    if (err->code != ERR_OK || r->ending) {
        restore_fail(r, err, EXIT_PEER_POOL);
        return;
    }
    r->receipt = receipt_of(r);
    if (ova_vm(r->ova)->has_vtpm)
        job_warn(r->job, "the VM has a vTPM: its state is that of the last "
                 "shutdown before the backup");
    if (!r->receipt) {
        restore_fail(r, &memory, EXIT_PEER_NONE);
    } else if (*r->released) {
        release(r);
    } else {
        note.ref = r->made->vms[0].uuid;
        r->calls++;
        job_note_open(r->job, &note);
    }
}

void restore_pool_take_up(struct restore *r, const struct xenapi_vm *vm)
{
    const struct xenapi_inventory_opts ask = {
        .vm_ref = r->vm_ref,
        .done = on_made,
        .ctx = r,
    };
    struct err err = {0};

    job_log(r->job, "info", "VM %s was restored by an earlier attempt",
            vm->uuid);
    snprintf(r->vm_ref, sizeof(r->vm_ref), "%s", vm->ref);
    r->finished = true;
    r->plan.start = json_bool(json_get(r->job->params, "start"), false);
    if (xenapi_inventory_start(r->pool->session, &ask, &r->asking, &err) !=
        ERR_OK)
        restore_fail(r, &err, EXIT_PEER_POOL);
}

static void on_nic(void *ctx, const struct err *err, const char *vif_ref)
{
    struct restore *r = ctx;

    (void)FAILPOINT("restore_nic_made");
    r->op = NULL;
    if (err->code != ERR_OK || r->ending) {
        restore_fail(r, err, EXIT_PEER_POOL);
        return;
    }
    r->nic++;
    restore_pool_finish(r);
}

void restore_pool_finish(struct restore *r)
{
    const struct xenapi_inventory_opts ask = {
        .vm_ref = r->vm_ref,
        .done = on_made,
        .ctx = r,
    };
    struct xenapi_vm_nic_opts o = {.vm_ref = r->vm_ref, .done = on_nic};
    struct err err = {0};
    enum err_code rc;

    o.ctx = r;
    while (r->nic < r->plan.nic_count && !r->plan.nics[r->nic].network)
        r->nic++;
    if (r->nic < r->plan.nic_count) {
        const struct restore_plan_nic *n = &r->plan.nics[r->nic];

        o.network_ref = n->network->ref;
        o.device = n->nic->device;
        o.mac = r->plan.keep_mac ? n->nic->mac : NULL;
        o.mtu = n->nic->mtu;
        o.record = n->nic->record;
        rc = xenapi_vm_nic(r->pool->session, &o, &r->op, &err);
    } else {
        rc = xenapi_inventory_start(r->pool->session, &ask, &r->asking, &err);
    }
    if (rc != ERR_OK)
        restore_fail(r, &err, EXIT_PEER_POOL);
}
