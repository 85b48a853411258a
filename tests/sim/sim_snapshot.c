/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_snapshot.h"

#include <string.h>

#include "tests/sim/sim_vbd.h"
#include "tests/sim/sim_vdi.h"
#include "tests/sim/sim_vm.h"

/* Not taken over from the original. */
static const char *const own_fields[] = {
    "uuid",
    "allowed_operations",
    "current_operations",
    "power_state",
    "resident_on",
    "scheduled_to_be_resident_on",
    "domid",
    "metrics",
    "guest_metrics",
    "is_a_snapshot",
    "snapshot_of",
    "snapshot_time",
    "parent",
    "suspend_VDI",
    "name_label",
    "is_default_template",
    "blocked_operations",
};

static struct sim_object *vm_copy_record(struct sim_pool *pool,
                                         const struct sim_object *vm,
                                         const char *name)
{
    struct sim_object *to = sim_vm_new(pool, NULL);

    for (size_t i = 0; i < vm->cls->count; i++) {
        const struct sim_field *f = &vm->cls->fields[i];
        bool own = f->derived;

        for (size_t k = 0; k < sizeof(own_fields) / sizeof(own_fields[0]); k++)
            own |= strcmp(own_fields[k], f->name) == 0;
        if (!own)
            sim_db_set(pool->db, to, f->name, sim_value_copy(vm->values[i]));
    }
    sim_db_set_text(pool->db, to, "name_label", name);
    return to;
}

static void vifs_copy(struct sim_pool *pool, const struct sim_object *vm,
                      struct sim_object *to, bool keep_mac)
{
    const struct sim_value *vifs = sim_db_get(vm, "VIFs");

    for (size_t i = 0; i < vifs->count; i++) {
        struct sim_object *vif =
            sim_db_find(pool->db, "VIF", vifs->items[i]->text);
        struct sim_object *network =
            vif ? sim_db_ref(pool->db, vif, "network") : NULL;

        if (network)
            sim_vbd_new_vif(pool, to, network, sim_db_str(vif, "device"),
                            keep_mac ? sim_db_str(vif, "MAC") : NULL);
    }
}

static void vtpms_copy(struct sim_pool *pool, const struct sim_object *vm,
                       struct sim_object *to)
{
    const struct sim_value *vtpms = sim_db_get(vm, "VTPMs");

    for (size_t i = 0; i < vtpms->count; i++) {
        struct sim_object *tpm =
            sim_db_find(pool->db, "VTPM", vtpms->items[i]->text);
        struct sim_object *n = sim_db_create(pool->db, "VTPM", NULL, NULL);

        sim_db_set_text(pool->db, n, "VM", to->ref);
        sim_db_set_bool(pool->db, n, "is_unique",
                        sim_db_bool(tpm, "is_unique"));
        if (tpm->extra) {
            n->extra = sim_value_copy(tpm->extra);
            n->extra_free = tpm->extra_free;
        }
    }
}

static bool ignored(const struct sim_value *list, const char *vdi)
{
    return list && list->kind == SIM_SET && sim_value_has(list, vdi);
}

/* The fault snapshot_error at the n-th disk. */
static bool disk_fails(struct sim_call *c, const struct sim_object *vm,
                       int64_t n)
{
    struct sim_faults *f = c->pool->sim->faults;
    struct sim_hit hit = {NULL};
    struct sim_where where;

    sim_pool_where(c->pool, c->host, sim_db_find(c->db, "VM", vm->ref), &where);
    where.method = c->method;
    where.disk = n;
    if (!sim_fault_hit(f, "snapshot_error", &where, &hit))
        return false;
    sim_call_fail_take(c, sim_fault_error(&hit, "SR_BACKEND_FAILURE_82"));
    sim_fault_release(&hit);
    return true;
}

/* The VBDs of vm for `to`, with a snapshot (copy false) or a copy of each
 * disk. False: c failed; what was made is in *made. */
static bool disks_copy(struct sim_call *c, const char *vm_ref,
                       const char *to_ref, bool copy,
                       const struct sim_value *ignore, struct sim_value *made)
{
    struct sim_object *vm = sim_db_find(c->db, "VM", vm_ref);
    struct sim_value *vbds = sim_value_copy(sim_db_get(vm, "VBDs"));
    int64_t disk = 0;
    bool ok = true;

    for (size_t i = 0; ok && i < vbds->count; i++) {
        struct sim_object *vbd =
            sim_db_find(c->db, "VBD", vbds->items[i]->text);
        struct sim_object *vdi = vbd ? sim_db_ref(c->db, vbd, "VDI") : NULL;
        struct sim_object *made_vdi = NULL;
        bool is_disk = vbd && strcmp(sim_db_str(vbd, "type"), "Disk") == 0;

        if (!vbd || (is_disk && (!vdi || ignored(ignore, vdi->ref))))
            continue;
        if (is_disk) {
            ok = !disk_fails(c, sim_db_find(c->db, "VM", vm_ref), disk++);
            if (ok)
                made_vdi = copy ? sim_vdi_copy(c, vdi->ref,
                                               sim_db_ref(c->db, vdi, "SR"))
                                : sim_vdi_snapshot(c, vdi);
            ok = made_vdi != NULL;
        }
        /* the lock may have been let go of */
        vbd = sim_db_find(c->db, "VBD", vbds->items[i]->text);
        if (!ok || !vbd)
            break;
        if (made_vdi)
            sim_value_add_text(made, made_vdi->ref);
        sim_vbd_new(c->pool, sim_db_find(c->db, "VM", to_ref),
                    is_disk ? made_vdi : vdi, sim_db_str(vbd, "userdevice"),
                    sim_db_str(vbd, "type"), sim_db_str(vbd, "mode"),
                    sim_db_bool(vbd, "bootable"));
    }
    sim_value_free(vbds);
    return ok;
}

static void undo(struct sim_call *c, const char *vm_ref,
                 const struct sim_value *made)
{
    struct sim_object *vm = sim_db_find(c->db, "VM", vm_ref);

    if (vm)
        sim_vm_destroy(c->pool, vm);
    for (size_t i = 0; i < made->count; i++) {
        struct sim_object *vdi =
            sim_db_find(c->db, "VDI", made->items[i]->text);

        if (vdi)
            sim_vdi_destroy(c->pool, vdi);
    }
}

/* What makes a copied record a snapshot. */
static void mark_snapshot(struct sim_call *c, struct sim_object *vm,
                          struct sim_object *snap)
{
    sim_db_set_bool(c->db, snap, "is_a_snapshot", true);
    sim_db_set_bool(c->db, snap, "is_a_template", true);
    sim_db_set_text(c->db, snap, "snapshot_of", vm->ref);
    sim_db_set(c->db, snap, "snapshot_time", sim_value_now());
    sim_db_set_text(c->db, snap, "parent", sim_db_str(vm, "parent"));
    sim_db_set_text(c->db, vm, "parent", snap->ref);
    sim_db_map_put(c->db, snap, "snapshot_info", "power-state-at-snapshot",
                   sim_db_str(vm, "power_state"));
    sim_db_map_put(c->db, snap, "snapshot_info", "disk-snapshot-type",
                   "crash_consistent");
    sim_vm_refresh(c->pool, snap);
}

static struct sim_object *take(struct sim_call *c, struct sim_object *vm,
                               const struct sim_value *ignore)
{
    struct sim_value *made = sim_value_set();
    struct sim_object *snap = vm_copy_record(c->pool, vm, sim_call_text(c, 1));

    vifs_copy(c->pool, vm, snap, true);
    vtpms_copy(c->pool, vm, snap);
    if (disks_copy(c, vm->ref, snap->ref, false, ignore, made)) {
        mark_snapshot(c, vm, snap);
    } else {
        undo(c, snap->ref, made);
        snap = NULL;
    }
    sim_value_free(made);
    return snap;
}

static struct sim_value *vm_snapshot(struct sim_call *c)
{
    struct sim_object *vm = sim_call_object(c, 0, "VM");

    if (!vm || sim_vm_blocked(c, vm, "snapshot") || sim_call_busy(c, vm))
        return NULL;
    if (sim_db_bool(vm, "is_a_snapshot"))
        return sim_call_fail(c, "VM_IS_SNAPSHOT", vm->ref, "snapshot", NULL);
    vm = take(c, vm, sim_value_at(c->args, 2));
    return vm ? sim_value_text(vm->ref) : NULL;
}

static struct sim_value *vm_checkpoint(struct sim_call *c)
{
    struct sim_object *vm = sim_call_object(c, 0, "VM"), *snap, *sr, *vdi;
    const char *state;

    if (!vm || sim_vm_blocked(c, vm, "checkpoint") || sim_call_busy(c, vm))
        return NULL;
    state = sim_db_str(vm, "power_state");
    if (strcmp(state, "Halted") == 0)
        return sim_call_fail(c, "VM_BAD_POWER_STATE", vm->ref,
                             "running, suspended, paused", "halted", NULL);
    sr = sim_db_find(c->db, "SR",
                     sim_db_str(sim_db_at(c->db, "pool", 0), "default_SR"));
    if (!sr)
        return sim_call_fail(c, "VM_NO_SUSPEND_SR", vm->ref, NULL);
    vdi =
        sim_vdi_new(c, sr, (uint64_t)sim_db_int(vm, "memory_static_max"), NULL);
    if (!vdi)
        return NULL;
    snap = take(c, vm, NULL);
    if (!snap) {
        sim_vdi_destroy(c->pool, vdi);
        return NULL;
    }
    sim_db_set_text(c->db, vdi, "name_label", "Suspend image");
    sim_db_set_text(c->db, vdi, "type", "suspend");
    sim_db_set_text(c->db, snap, "suspend_VDI", vdi->ref);
    sim_db_set_text(c->db, snap, "power_state", "Suspended");
    sim_vm_refresh(c->pool, snap);
    return sim_value_text(snap->ref);
}

/* VM.clone and VM.copy: a VM of its own, with copies of the disks. */
static struct sim_value *vm_clone(struct sim_call *c)
{
    struct sim_object *vm = sim_call_object(c, 0, "VM"), *to;
    struct sim_value *made, *result = NULL;
    char ref[SIM_REF_MAX];

    if (!vm || sim_vm_blocked(c, vm, "clone") || sim_call_busy(c, vm))
        return NULL;
    made = sim_value_set();
    to = vm_copy_record(c->pool, vm, sim_call_text(c, 1));
    snprintf(ref, sizeof(ref), "%s", to->ref);
    sim_db_set(c->db, to, "snapshot_info", sim_value_map());
    vifs_copy(c->pool, vm, to, false);
    vtpms_copy(c->pool, vm, to);
    if (disks_copy(c, vm->ref, ref, true, NULL, made)) {
        sim_vm_refresh(c->pool, sim_db_find(c->db, "VM", ref));
        result = sim_value_text(ref);
    } else {
        undo(c, ref, made);
    }
    sim_value_free(made);
    return result;
}

/* The disks of the VM go, copies of the snapshot's take their place. */
static struct sim_value *vm_revert(struct sim_call *c)
{
    struct sim_object *snap = sim_call_object(c, 0, "VM"), *vm;
    struct sim_value *vbds, *made;
    char vm_ref[SIM_REF_MAX];
    bool ok;

    if (!snap)
        return NULL;
    vm = sim_db_ref(c->db, snap, "snapshot_of");
    if (!vm || !sim_db_bool(snap, "is_a_snapshot"))
        return sim_call_fail(c, "VM_IS_NOT_A_SNAPSHOT", snap->ref, NULL);
    snprintf(vm_ref, sizeof(vm_ref), "%s", vm->ref);
    if (strcmp(sim_db_str(vm, "power_state"), "Halted") != 0)
        sim_vm_set_power(c->pool, vm, "Halted", NULL);
    vbds = sim_value_copy(sim_db_get(vm, "VBDs"));
    for (size_t i = 0; i < vbds->count; i++) {
        struct sim_object *vbd =
            sim_db_find(c->db, "VBD", vbds->items[i]->text);
        struct sim_object *vdi = vbd ? sim_db_ref(c->db, vbd, "VDI") : NULL;

        if (vdi && strcmp(sim_db_str(vbd, "type"), "Disk") == 0)
            sim_vdi_destroy(c->pool, vdi);
        else if (vbd)
            sim_db_destroy(c->db, vbd);
    }
    sim_value_free(vbds);
    made = sim_value_set();
    ok = disks_copy(c, snap->ref, vm_ref, true, NULL, made);
    sim_value_free(made);
    return ok ? sim_call_void() : NULL;
}

const struct sim_method sim_snapshot_methods[] = {
    {"VM.snapshot", vm_snapshot, SIM_VM_POWER_ADMIN, 2, 3},
    {"VM.checkpoint", vm_checkpoint, SIM_VM_POWER_ADMIN, 2, 2},
    {"VM.revert", vm_revert, SIM_VM_POWER_ADMIN, 1, 1},
    {"VM.clone", vm_clone, SIM_VM_ADMIN, 2, 2},
    {"VM.copy", vm_clone, SIM_VM_ADMIN, 2, 3},
    {NULL, NULL, SIM_READ_ONLY, 0, 0},
};
