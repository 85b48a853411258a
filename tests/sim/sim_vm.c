/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_vm.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_vbd.h"

/* Which operations a power state allows. */
static const struct {
    const char *state, *operations;
} allowed[] = {
    {"Halted", "snapshot copy clone export destroy start start_on "
               "create_template provision make_into_template "
               "changing_memory_limits changing_VCPUs create_vtpm"},
    {"Running", "snapshot checkpoint clean_shutdown clean_reboot "
                "hard_shutdown hard_reboot suspend pause pool_migrate "
                "migrate_send changing_dynamic_range"},
    {"Paused", "snapshot checkpoint unpause hard_shutdown hard_reboot"},
    {"Suspended", "snapshot copy clone export destroy resume resume_on "
                  "hard_shutdown"},
    {"snapshot", "copy clone export destroy revert create_template"},
};

static struct sim_value *words(const char *text)
{
    struct sim_value *set = sim_value_set();

    while (*text) {
        size_t len = strcspn(text, " ");
        char *one = sim_mem_dup_n(text, len);

        sim_value_add_text(set, one);
        free(one);
        text += len + strspn(text + len, " ");
    }
    return set;
}

void sim_vm_refresh(struct sim_pool *pool, struct sim_object *vm)
{
    const char *state = sim_db_bool(vm, "is_a_snapshot")
                            ? "snapshot"
                            : sim_db_str(vm, "power_state");
    const struct sim_value *blocked = sim_db_get(vm, "blocked_operations");
    struct sim_value *set = NULL;

    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        if (strcmp(allowed[i].state, state) == 0)
            set = words(allowed[i].operations);
    if (!set || sim_db_get(vm, "current_operations")->count > 0) {
        sim_value_free(set);
        set = sim_value_set();
    }
    for (size_t i = 0; i < blocked->count; i++)
        sim_value_remove(set, blocked->keys[i]);
    sim_db_set(pool->db, vm, "allowed_operations", set);
}

struct sim_object *sim_vm_new(struct sim_pool *pool, const char *uuid)
{
    struct sim_object *vm = sim_db_create(pool->db, "VM", NULL, uuid);
    struct sim_object *metrics =
        sim_db_create(pool->db, "VM_metrics", NULL, NULL);

    sim_db_set_text(pool->db, vm, "metrics", metrics->ref);
    sim_vm_refresh(pool, vm);
    return vm;
}

void sim_vm_set_power(struct sim_pool *pool, struct sim_object *vm,
                      const char *state, const char *host)
{
    bool on = strcmp(state, "Running") == 0 || strcmp(state, "Paused") == 0;
    struct sim_object *metrics = sim_db_ref(pool->db, vm, "metrics");
    struct sim_object *guest = sim_db_ref(pool->db, vm, "guest_metrics");

    sim_db_set_text(pool->db, vm, "power_state", state);
    sim_db_set_text(pool->db, vm, "resident_on", on ? host : SIM_NULL_REF);
    sim_db_set_int(pool->db, vm, "domid",
                   on ? (int64_t)vm->born % 30000 + 1 : -1);
    sim_vbd_attach_all(pool, vm, on);
    if (metrics && on) {
        sim_db_set(pool->db, metrics, "start_time", sim_value_now());
        sim_db_set_int(pool->db, metrics, "memory_actual",
                       sim_db_int(vm, "memory_dynamic_max"));
    }
    if (on && !guest) {
        guest = sim_db_create(pool->db, "VM_guest_metrics", NULL, NULL);
        sim_db_set_text(pool->db, vm, "guest_metrics", guest->ref);
        sim_db_map_put(pool->db, guest, "PV_drivers_version", "major", "8");
        sim_db_set_bool(pool->db, guest, "PV_drivers_detected", true);
        sim_db_set_bool(pool->db, guest, "live", true);
    } else if (!on && guest) {
        sim_db_set_text(pool->db, vm, "guest_metrics", SIM_NULL_REF);
        sim_db_destroy(pool->db, guest);
    }
    sim_vm_refresh(pool, vm);
}

static void destroy_all(struct sim_pool *pool, const struct sim_object *vm,
                        const char *field)
{
    struct sim_value *refs = sim_value_copy(sim_db_get(vm, field));

    for (size_t i = 0; i < refs->count; i++) {
        struct sim_object *o =
            sim_db_find(pool->db, NULL, refs->items[i]->text);

        if (o)
            sim_db_destroy(pool->db, o);
    }
    sim_value_free(refs);
}

void sim_vm_destroy(struct sim_pool *pool, struct sim_object *vm)
{
    static const char *const devices[] = {"VBDs", "VIFs", "VTPMs", "VUSBs",
                                          "consoles"};
    struct sim_object *metrics = sim_db_ref(pool->db, vm, "metrics");
    struct sim_object *guest = sim_db_ref(pool->db, vm, "guest_metrics");

    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
        destroy_all(pool, vm, devices[i]);
    if (metrics)
        sim_db_destroy(pool->db, metrics);
    if (guest)
        sim_db_destroy(pool->db, guest);
    sim_db_destroy(pool->db, vm);
}

bool sim_vm_blocked(struct sim_call *c, struct sim_object *vm,
                    const char *operation)
{
    const char *why = sim_value_get_str(sim_db_get(vm, "blocked_operations"),
                                        operation, NULL);

    if (why)
        sim_call_fail(c, "OPERATION_BLOCKED", vm->ref, why, NULL);
    return why != NULL;
}

static bool sees_disks(struct sim_pool *pool, struct sim_object *vm,
                       const struct sim_host *h)
{
    const struct sim_value *vbds = sim_db_get(vm, "VBDs");

    for (size_t i = 0; i < vbds->count; i++) {
        struct sim_object *vbd =
            sim_db_find(pool->db, "VBD", vbds->items[i]->text);
        struct sim_object *vdi = vbd ? sim_db_ref(pool->db, vbd, "VDI") : NULL;

        if (vdi && strcmp(sim_db_str(vbd, "type"), "CD") != 0 &&
            !sim_pool_sees(pool, h->ref, sim_db_str(vdi, "SR")))
            return false;
    }
    return true;
}

struct sim_host *sim_vm_host(struct sim_pool *pool, struct sim_object *vm,
                             struct sim_host *first)
{
    if (first && !first->down && sees_disks(pool, vm, first))
        return first;
    for (size_t i = 0; i < pool->host_count; i++)
        if (!pool->hosts[i].down && sees_disks(pool, vm, &pool->hosts[i]))
            return &pool->hosts[i];
    return NULL;
}

/* ---- calls ---- */

/* The VM of argument 0 in one of the states (NULL-terminated), not busy, the
 * operation not blocked. */
static struct sim_object *vm_for(struct sim_call *c, const char *operation,
                                 const char *a, const char *b)
{
    struct sim_object *vm = sim_call_object(c, 0, "VM");
    char actual[16], expected[40];
    const char *state;
    size_t n;

    if (!vm || sim_vm_blocked(c, vm, operation) || sim_call_busy(c, vm))
        return NULL;
    state = sim_db_str(vm, "power_state");
    if (strcmp(state, a) == 0 || (b && strcmp(state, b) == 0))
        return vm;
    snprintf(actual, sizeof(actual), "%s", state);
    snprintf(expected, sizeof(expected), "%s%s%s", a, b ? ", " : "",
             b ? b : "");
    for (n = 0; actual[n]; n++)
        actual[n] = (char)tolower((unsigned char)actual[n]);
    for (n = 0; expected[n]; n++)
        expected[n] = (char)tolower((unsigned char)expected[n]);
    sim_call_fail(c, "VM_BAD_POWER_STATE", vm->ref, expected, actual, NULL);
    return NULL;
}

static struct sim_value *vm_start(struct sim_call *c)
{
    bool on = strcmp(c->method, "VM.start_on") == 0;
    struct sim_object *vm =
        vm_for(c, on ? "start_on" : "start", "Halted", NULL);
    struct sim_host *host = NULL;
    bool paused = false;

    if (!vm)
        return NULL;
    if (sim_db_bool(vm, "is_a_template"))
        return sim_call_fail(c, "VM_IS_TEMPLATE", vm->ref, NULL);
    if (on) {
        host = sim_pool_host(c->pool, sim_call_text(c, 1));
        if (!host)
            return sim_call_fail(c, "HANDLE_INVALID", "host",
                                 sim_call_text(c, 1), NULL);
    }
    host = sim_vm_host(c->pool, vm, host);
    if (!host)
        return sim_call_fail(c, "NO_HOSTS_AVAILABLE", NULL);
    sim_value_to_bool(sim_value_at(c->args, on ? 2 : 1), &paused);
    sim_vm_set_power(c->pool, vm, paused ? "Paused" : "Running", host->ref);
    return sim_call_void();
}

static struct sim_value *vm_stop(struct sim_call *c)
{
    const char *operation = strchr(c->method, '.') + 1;
    bool hard = strcmp(operation, "hard_shutdown") == 0;
    struct sim_object *vm = hard ? sim_call_object(c, 0, "VM")
                                 : vm_for(c, operation, "Running", NULL);

    if (!vm || (hard && sim_vm_blocked(c, vm, operation)))
        return NULL;
    if (hard && strcmp(sim_db_str(vm, "power_state"), "Halted") == 0)
        return sim_call_fail(c, "VM_BAD_POWER_STATE", vm->ref,
                             "running, suspended, paused", "halted", NULL);
    sim_vm_set_power(c->pool, vm, "Halted", NULL);
    sim_db_set_text(c->db, vm, "suspend_VDI", SIM_NULL_REF);
    return sim_call_void();
}

static struct sim_value *vm_reboot(struct sim_call *c)
{
    const char *operation = strchr(c->method, '.') + 1;
    struct sim_object *vm = vm_for(c, operation, "Running", "Paused");
    char host[SIM_REF_MAX];

    if (!vm)
        return NULL;
    snprintf(host, sizeof(host), "%s", sim_db_str(vm, "resident_on"));
    sim_vm_set_power(c->pool, vm, "Halted", NULL);
    sim_vm_set_power(c->pool, vm, "Running", host);
    return sim_call_void();
}

static struct sim_value *vm_pause(struct sim_call *c)
{
    bool pause = strcmp(c->method, "VM.pause") == 0;
    struct sim_object *vm = vm_for(c, pause ? "pause" : "unpause",
                                   pause ? "Running" : "Paused", NULL);
    char host[SIM_REF_MAX];

    if (!vm)
        return NULL;
    snprintf(host, sizeof(host), "%s", sim_db_str(vm, "resident_on"));
    sim_vm_set_power(c->pool, vm, pause ? "Paused" : "Running", host);
    return sim_call_void();
}

static struct sim_value *vm_suspend(struct sim_call *c)
{
    struct sim_object *vm = vm_for(c, "suspend", "Running", NULL);

    if (!vm)
        return NULL;
    sim_vm_set_power(c->pool, vm, "Suspended", NULL);
    return sim_call_void();
}

static struct sim_value *vm_resume(struct sim_call *c)
{
    struct sim_object *vm = vm_for(c, "resume", "Suspended", NULL);
    struct sim_host *host;

    if (!vm)
        return NULL;
    host = sim_vm_host(c->pool, vm, NULL);
    if (!host)
        return sim_call_fail(c, "NO_HOSTS_AVAILABLE", NULL);
    sim_vm_set_power(c->pool, vm, "Running", host->ref);
    return sim_call_void();
}

static struct sim_value *vm_destroy(struct sim_call *c)
{
    struct sim_object *vm = vm_for(c, "destroy", "Halted", NULL);

    if (!vm)
        return NULL;
    if (sim_db_bool(vm, "is_control_domain"))
        return sim_call_fail(c, "OPERATION_NOT_ALLOWED", "control domain",
                             NULL);
    sim_vm_destroy(c->pool, vm);
    return sim_call_void();
}

static bool memory_fine(int64_t smin, int64_t smax, int64_t dmin, int64_t dmax)
{
    return 0 <= smin && smin <= dmin && dmin <= dmax && dmax <= smax;
}

static int64_t member_int(const struct sim_value *record, const char *key)
{
    int64_t i = 0;

    sim_value_to_int(sim_value_get(record, key), &i);
    return i;
}

/* Copy the members that are fields of a VM. False: c failed. */
static bool fill(struct sim_call *c, struct sim_object *vm,
                 const struct sim_value *record)
{
    static const char *const never[] = {
        "uuid",    "power_state",   "allowed_operations", "current_operations",
        "metrics", "guest_metrics", "is_a_snapshot"};

    for (size_t i = 0; i < vm->cls->count; i++) {
        const struct sim_field *f = &vm->cls->fields[i];
        const struct sim_value *v = sim_value_get(record, f->name);
        struct sim_value *cast;
        bool skip = !v || f->derived;

        for (size_t k = 0; k < sizeof(never) / sizeof(never[0]); k++)
            skip |= strcmp(f->name, never[k]) == 0;
        if (skip)
            continue;
        cast = sim_value_cast(v, f->kind);
        if (!cast) {
            sim_call_fail(c, "FIELD_TYPE_ERROR", f->name, NULL);
            return false;
        }
        sim_db_set(c->db, vm, f->name, cast);
    }
    return true;
}

static struct sim_value *vm_create(struct sim_call *c)
{
    const struct sim_value *record = sim_value_at(c->args, 0);
    const struct sim_class *cls = sim_class_find(sim_db_schema(c->db), "VM");
    struct sim_object *vm;

    for (size_t i = 0; i < cls->count; i++)
        if (cls->fields[i].required &&
            !sim_value_get(record, cls->fields[i].name))
            return sim_call_fail(c, "INTERNAL_ERROR", "missing field in record",
                                 cls->fields[i].name, NULL);
    if (!memory_fine(member_int(record, "memory_static_min"),
                     member_int(record, "memory_static_max"),
                     member_int(record, "memory_dynamic_min"),
                     member_int(record, "memory_dynamic_max")))
        return sim_call_fail(c, "MEMORY_CONSTRAINT_VIOLATION",
                             "Memory limits must satisfy: static_min <= "
                             "dynamic_min <= dynamic_max <= static_max",
                             NULL);
    vm = sim_vm_new(c->pool, NULL);
    if (!fill(c, vm, record)) {
        sim_vm_destroy(c->pool, vm);
        return NULL;
    }
    if (strcmp(sim_value_get_str(record, "power_state", ""), "Suspended") == 0)
        sim_vm_set_power(c->pool, vm, "Suspended", NULL);
    sim_vm_refresh(c->pool, vm);
    return sim_value_text(vm->ref);
}

static struct sim_value *vm_memory_limits(struct sim_call *c)
{
    static const char *const fields[] = {
        "memory_static_min", "memory_static_max", "memory_dynamic_min",
        "memory_dynamic_max"};
    struct sim_object *vm = sim_call_object(c, 0, "VM");
    int64_t v[4];

    if (!vm)
        return NULL;
    for (size_t i = 0; i < 4; i++)
        if (!sim_value_to_int(sim_value_at(c->args, i + 1), &v[i]))
            return sim_call_fail(c, "FIELD_TYPE_ERROR", fields[i], NULL);
    if (!memory_fine(v[0], v[1], v[2], v[3]))
        return sim_call_fail(c, "MEMORY_CONSTRAINT_VIOLATION", "order", NULL);
    for (size_t i = 0; i < 4; i++)
        sim_db_set_int(c->db, vm, fields[i], v[i]);
    return sim_call_void();
}

static struct sim_value *vm_bios_strings(struct sim_call *c)
{
    struct sim_object *vm = sim_call_object(c, 0, "VM");
    struct sim_value *map = sim_value_cast(sim_value_at(c->args, 1), SIM_MAP);

    if (!vm || !map) {
        sim_value_free(map);
        return vm ? sim_call_fail(c, "FIELD_TYPE_ERROR", "bios_strings", NULL)
                  : NULL;
    }
    if (sim_db_get(vm, "bios_strings")->count > 0) {
        sim_value_free(map);
        return sim_call_fail(c, "VM_BIOS_STRINGS_ALREADY_SET", NULL);
    }
    sim_db_set(c->db, vm, "bios_strings", map);
    return sim_call_void();
}

/* add_to_blocked_operations and its kin change what is allowed, too. */
static struct sim_value *vm_block(struct sim_call *c)
{
    struct sim_object *vm = sim_call_object(c, 0, "VM");
    const char *key = sim_call_text(c, 1);

    if (!vm)
        return NULL;
    if (strcmp(c->method, "VM.remove_from_blocked_operations") == 0) {
        sim_db_map_drop(c->db, vm, "blocked_operations", key);
    } else if (sim_value_get(sim_db_get(vm, "blocked_operations"), key)) {
        return sim_call_fail(c, "MAP_DUPLICATE_KEY", "VM", "blocked_operations",
                             vm->ref, key, NULL);
    } else {
        sim_db_map_put(c->db, vm, "blocked_operations", key,
                       sim_call_text(c, 2));
    }
    sim_vm_refresh(c->pool, vm);
    return sim_call_void();
}

static struct sim_value *vm_set_blocked(struct sim_call *c)
{
    struct sim_object *vm = sim_call_object(c, 0, "VM");
    struct sim_value *map = sim_value_cast(sim_value_at(c->args, 1), SIM_MAP);

    if (!vm || !map) {
        sim_value_free(map);
        return vm ? sim_call_fail(c, "FIELD_TYPE_ERROR", "blocked_operations",
                                  NULL)
                  : NULL;
    }
    sim_db_set(c->db, vm, "blocked_operations", map);
    sim_vm_refresh(c->pool, vm);
    return sim_call_void();
}

const struct sim_method sim_vm_methods[] = {
    {"VM.create", vm_create, SIM_VM_ADMIN, 1, 1},
    {"VM.destroy", vm_destroy, SIM_VM_ADMIN, 1, 1},
    {"VM.start", vm_start, SIM_VM_OPERATOR, 3, 3},
    {"VM.start_on", vm_start, SIM_VM_POWER_ADMIN, 4, 4},
    {"VM.clean_shutdown", vm_stop, SIM_VM_OPERATOR, 1, 1},
    {"VM.shutdown", vm_stop, SIM_VM_OPERATOR, 1, 1},
    {"VM.hard_shutdown", vm_stop, SIM_VM_OPERATOR, 1, 1},
    {"VM.clean_reboot", vm_reboot, SIM_VM_OPERATOR, 1, 1},
    {"VM.hard_reboot", vm_reboot, SIM_VM_OPERATOR, 1, 1},
    {"VM.pause", vm_pause, SIM_VM_OPERATOR, 1, 1},
    {"VM.unpause", vm_pause, SIM_VM_OPERATOR, 1, 1},
    {"VM.suspend", vm_suspend, SIM_VM_OPERATOR, 1, 1},
    {"VM.resume", vm_resume, SIM_VM_OPERATOR, 3, 3},
    {"VM.set_memory_limits", vm_memory_limits, SIM_VM_ADMIN, 5, 5},
    {"VM.set_bios_strings", vm_bios_strings, SIM_VM_ADMIN, 2, 2},
    {"VM.add_to_blocked_operations", vm_block, SIM_VM_ADMIN, 3, 3},
    {"VM.remove_from_blocked_operations", vm_block, SIM_VM_ADMIN, 2, 2},
    {"VM.set_blocked_operations", vm_set_blocked, SIM_VM_ADMIN, 2, 2},
    {NULL, NULL, SIM_READ_ONLY, 0, 0},
};
