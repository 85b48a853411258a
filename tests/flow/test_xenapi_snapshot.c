/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/xml.h"
#include "pool_rig.h"
#include "xenapi/xenapi_snapshot.h"
#include "xenapi/xenapi_task.h"
#include "xenapi/xenapi_vm.h"

static const char pools[] =
    "[{\"name\": \"paris\", \"hosts\": [{\"name\": \"p1\"}, {\"name\": "
    "\"p2\"}],"
    "  \"srs\": [{\"name\": \"fast\"}],"
    "  \"vms\": [{\"name\": \"web\", \"other_config\": {\"owner\": \"acme\"},"
    "    \"disks\": [{\"size\": \"2 MiB\"}, {\"size\": \"1 MiB\"}],"
    "    \"nics\": [{\"network\": \"eth0\"}]}]}]";

static struct pool_rig rig;
static char *web; /* its ref */

static int open_rig(void **state)
{
    (void)state;
    pool_rig_open(&rig, pools);
    web = pool_rig_ref(&rig, "web");
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    free(web);
    pool_rig_close(&rig);
    return 0;
}

static int before(void **state)
{
    (void)state;
    sim_reset(&rig.sim);
    pool_rig_session(&rig, NULL);
    return 0;
}

/* Whatever a test made must be gone: one VM with its dom0s, two disks. */
static int after(void **state)
{
    (void)state;
    pool_rig_end_session(&rig);
    assert_int_equal(sim_objects(&rig.sim, "VDI", NULL), 2);
    assert_int_equal(sim_objects(&rig.sim, "VM", "cairn/"), 0);
    assert_int_equal(sim_objects(&rig.sim, "task", NULL), 0);
    return 0;
}

static void begin(struct pool_rig_end *e, const char *job,
                  struct xenapi_snapshot **op)
{
    const struct xenapi_snapshot_opts o = {
        .vm_ref = web,
        .vm_name = "web",
        .gateway = "gw1",
        .job = job,
        .done = pool_rig_on_inventory,
        .ctx = e,
    };
    struct err err = {0};

    pool_rig_end_init(&rig, e);
    if (xenapi_snapshot_start(rig.session, &o, op, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(e->done, 0);
}

static void make(struct pool_rig_end *e, const char *job)
{
    begin(e, job, NULL);
    pool_rig_wait(&rig, &e->done, 1);
}

static struct err remove_vm(const struct xenapi_vm_remove_opts *opts)
{
    struct xenapi_vm_remove_opts o = *opts;
    struct pool_rig_end e;
    struct err err = {0};

    pool_rig_end_init(&rig, &e);
    o.done = pool_rig_on_done;
    o.ctx = &e;
    assert_int_equal(xenapi_vm_remove(rig.session, &o, NULL, &err), ERR_OK);
    pool_rig_wait(&rig, &e.done, 1);
    return e.err;
}

static void must_remove(const char *ref)
{
    const struct xenapi_vm_remove_opts o = {.ref = ref, .snapshot = true};
    struct err err = remove_vm(&o);

    if (err.code != ERR_OK)
        fail_msg("%s", err.text);
}

static void a_snapshot_is_marked_and_leaves_nothing(void **state)
{
    const struct xenapi_vm *vm;
    struct pool_rig_end e;

    (void)state;
    make(&e, "17");
    if (e.err.code != ERR_OK)
        fail_msg("%s", e.err.text);
    vm = &e.inventory->vms[0];
    assert_string_equal(vm->name, "cairn/gw1/17 web");
    assert_true(vm->is_snapshot);
    assert_false(vm->is_template);
    assert_string_equal(vm->snapshot_of, web);
    assert_string_equal(xenapi_inventory_other_config(vm, "cairn:job"), "17");
    assert_string_equal(xenapi_inventory_other_config(vm, "cairn:gateway"),
                        "gw1");
    assert_string_equal(xenapi_inventory_other_config(vm, "owner"), "acme");
    assert_int_equal(vm->disk_count, 2);
    assert_int_equal(vm->disks[0].virtual_size, 2 << 20);
    assert_int_equal(strlen(vm->disks[0].snapshot_of_uuid), 36);
    assert_string_not_equal(vm->disks[0].snapshot_of_uuid,
                            vm->disks[0].vdi_uuid);
    assert_int_equal(sim_objects(&rig.sim, "VDI", NULL), 4);
    must_remove(vm->ref);
    must_remove(vm->ref); /* gone already: fine */
    pool_rig_end_fini(&e);
}

static void disks_may_be_left_out(void **state)
{
    struct pool_rig_end e, live;
    const char *ignored[1];
    struct xenapi_snapshot_opts o = {
        .vm_ref = web,
        .vm_name = "web",
        .gateway = "gw1",
        .job = "18",
        .ignore_vdis = ignored,
        .ignore_count = 1,
        .done = pool_rig_on_inventory,
        .ctx = &e,
    };
    struct err err = {0};

    (void)state;
    pool_rig_inventory(&rig, &live, pool_rig_vm(&rig, "web"));
    ignored[0] = live.inventory->vms[0].disks[1].vdi_ref;
    for (size_t disks = 1; disks <= 2; disks++) {
        if (disks == 2) /* a pool that knows two parameters takes all disks */
            sim_fault(&rig.sim,
                      "{\"name\": \"rpc_error\", \"at_once\": true, "
                      "\"method\": \"VM.snapshot\", \"error\": "
                      "[\"MESSAGE_PARAMETER_COUNT_MISMATCH\", \"VM.snapshot\","
                      " \"2\", \"3\"]}");
        pool_rig_end_init(&rig, &e);
        assert_int_equal(xenapi_snapshot_start(rig.session, &o, NULL, &err),
                         ERR_OK);
        pool_rig_wait(&rig, &e.done, 1);
        if (e.err.code != ERR_OK)
            fail_msg("%s", e.err.text);
        assert_int_equal(e.inventory->vms[0].disk_count, disks);
        must_remove(e.inventory->vms[0].ref);
        pool_rig_end_fini(&e);
    }
    pool_rig_end_fini(&live);
}

/* Each row: what the pool does while a snapshot is made; nothing is left. */
static const struct {
    const char *fault;
    enum err_code code;
    const char *words;
} refusals[] = {
    {"{\"name\": \"sr_full\"}", ERR_QUOTA,
     "VM.snapshot: SR_BACKEND_FAILURE_44"},
    {"{\"name\": \"snapshot_error\", \"disk\": 1, \"error\": "
     "[\"SR_BACKEND_FAILURE_109\", \"\", \"The snapshot chain is too long\", "
     "\"\"]}",
     ERR_REMOTE, "SR_BACKEND_FAILURE_109: The snapshot chain is too long"},
    {"{\"name\": \"other_operation_in_progress\", \"method\": "
     "\"VM.snapshot\"}",
     ERR_AGAIN, "OTHER_OPERATION_IN_PROGRESS"},
    {"{\"name\": \"rpc_error\", \"method\": \"VM.snapshot\", \"error\": "
     "[\"RBAC_PERMISSION_DENIED\", \"vm.snapshot\", \"no\"]}",
     ERR_DENIED, "RBAC_PERMISSION_DENIED"},
    /* the task is deleted while the pool goes on: found by name, removed */
    {"{\"name\": \"task_gone\", \"method\": \"VM.snapshot\"}", ERR_AGAIN,
     "the pool lost the task"},
    /* the answer never came, but it was done */
    {"{\"name\": \"rpc_close\", \"executed\": true, \"method\": "
     "\"VM.snapshot\"}",
     ERR_IO, "VM.snapshot"},
    {"{\"name\": \"rpc_error\", \"method\": \"VM.set_is_a_template\", "
     "\"error\": [\"INTERNAL_ERROR\", \"x\"]}",
     ERR_REMOTE, "VM.set_is_a_template: INTERNAL_ERROR: x"},
    {"{\"name\": \"rpc_error\", \"method\": \"VM.add_to_other_config\", "
     "\"skip\": 1, \"error\": [\"INTERNAL_ERROR\", \"x\"]}",
     ERR_REMOTE, "VM.add_to_other_config"},
    {"{\"name\": \"rpc_error\", \"method\": \"VDI.add_to_other_config\", "
     "\"skip\": 1, \"error\": [\"INTERNAL_ERROR\", \"x\"]}",
     ERR_REMOTE, "VDI.add_to_other_config"},
    {"{\"name\": \"rpc_error\", \"method\": \"VBD.get_record\", "
     "\"error\": [\"INTERNAL_ERROR\", \"x\"]}",
     ERR_REMOTE, "VBD.get_record"},
};

/* A task whose ref never reached us is the pool's to remove, in an hour. */
static void drop_lost_tasks(void)
{
    struct json *j = sim_call(&rig.sim, "/sim/records?class=task", NULL);
    struct pool_rig_end e;

    for (size_t i = 0; i < json_count(j); i++) {
        pool_rig_call(&rig, &e, "task.destroy",
                      xenapi_call_params("s", json_key_at(j, i, NULL)), false);
        pool_rig_end_fini(&e);
    }
    json_free(j);
}

static void a_snapshot_that_fails_leaves_nothing(void **state)
{
    struct pool_rig_end e;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(refusals); i++) {
        sim_fault(&rig.sim, "%s", refusals[i].fault);
        make(&e, "19");
        if (e.err.code != refusals[i].code ||
            !strstr(e.err.text, refusals[i].words))
            fail_msg("%s: %s %s", refusals[i].fault, err_name(e.err.code),
                     e.err.text);
        pool_rig_end_fini(&e);
        assert_int_equal(sim_objects(&rig.sim, "VDI", NULL), 2);
        assert_int_equal(sim_objects(&rig.sim, "VM", "cairn/"), 0);
        sim_reset(&rig.sim);
        if (strstr(refusals[i].fault, "rpc_close"))
            drop_lost_tasks();
    }
}

static void a_licence_for_templates_is_not_missed(void **state)
{
    struct pool_rig_end e;

    (void)state;
    sim_fault(&rig.sim, "{\"name\": \"rpc_error\", \"method\": "
                        "\"VM.set_is_a_template\", \"error\": "
                        "[\"LICENCE_RESTRICTION\", \"x\"]}");
    make(&e, "20");
    assert_int_equal(e.err.code, ERR_OK);
    must_remove(e.inventory->vms[0].ref);
    pool_rig_end_fini(&e);
}

static void too_many_tasks_are_waited_for(void **state)
{
    struct pool_rig_end e;

    (void)state;
    sim_fault(&rig.sim, "{\"name\": \"too_many_pending_tasks\", \"count\": 3}");
    make(&e, "21");
    assert_int_equal(e.err.code, ERR_OK);
    sim_fault(&rig.sim, "{\"name\": \"too_many_pending_tasks\", \"count\": 2}");
    must_remove(e.inventory->vms[0].ref);
    pool_rig_end_fini(&e);
}

static void a_cancelled_snapshot_leaves_nothing(void **state)
{
    struct xenapi_snapshot *op = NULL;
    struct pool_rig_end e;

    (void)state;
    for (unsigned ms = 0; ms < 400; ms = ms * 2 + 5) {
        if (ms > 100)
            sim_fault(&rig.sim, "{\"name\": \"rpc_delay\", \"ms\": 300, "
                                "\"method\": \"VM.snapshot\"}");
        begin(&e, "22", &op);
        pool_rig_run_ms(&rig, ms);
        if (e.done) {
            must_remove(e.inventory->vms[0].ref);
        } else {
            xenapi_snapshot_cancel(op);
            pool_rig_wait(&rig, &e.done, 1);
            assert_int_equal(e.err.code, ERR_CANCELLED);
        }
        assert_int_equal(sim_objects(&rig.sim, "VM", "cairn/"), 0);
        assert_int_equal(sim_objects(&rig.sim, "VDI", NULL), 2);
        pool_rig_end_fini(&e);
    }
}

/* Each row: what stands in the way of removing, for a while. */
static const char *const obstacles[] = {
    "{\"name\": \"vdi_in_use\", \"count\": 5}",
    "{\"name\": \"other_operation_in_progress\", \"count\": 3, \"method\": "
    "\"VM.destroy\"}",
    "{\"name\": \"other_operation_in_progress\", \"count\": 3, \"method\": "
    "\"VDI.destroy\"}",
    "{\"name\": \"session_invalid\", \"skip\": 4}",
    "{\"name\": \"rpc_error\", \"method\": \"VM.destroy\", \"error\": "
    "[\"HANDLE_INVALID\", \"VM\", \"x\"], \"count\": 0, \"skip\": 9999}",
};

static void obstacles_to_removing_are_overcome(void **state)
{
    struct pool_rig_end e;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(obstacles); i++) {
        make(&e, "23");
        assert_int_equal(e.err.code, ERR_OK);
        sim_fault(&rig.sim, "%s", obstacles[i]);
        must_remove(e.inventory->vms[0].ref);
        assert_int_equal(sim_objects(&rig.sim, "VDI", NULL), 2);
        pool_rig_end_fini(&e);
        sim_reset(&rig.sim);
    }
}

/* Even where no disk has a mark yet: its VM is what is found. */
static void what_holds_a_disk_stays_with_it(void **state)
{
    struct xenapi_vm_remove_opts o = {.snapshot = true};
    struct pool_rig_end e, unmarked;
    struct err err;

    (void)state;
    make(&e, "24");
    o.ref = e.inventory->vms[0].ref;
    for (size_t i = 0; i < 2; i++) {
        pool_rig_call(&rig, &unmarked, "VDI.remove_from_other_config",
                      xenapi_call_params("ss",
                                         e.inventory->vms[0].disks[i].vdi_ref,
                                         "cairn:snapshot"),
                      false);
        assert_int_equal(unmarked.err.code, ERR_OK);
        pool_rig_end_fini(&unmarked);
    }
    sim_fault(&rig.sim, "{\"name\": \"vdi_in_use\", \"count\": 21}");
    err = remove_vm(&o);
    assert_int_equal(err.code, ERR_AGAIN);
    assert_non_null(strstr(err.text, "VDI_IN_USE"));
    assert_int_equal(sim_objects(&rig.sim, "VDI", NULL), 3);
    assert_int_equal(sim_objects(&rig.sim, "VM", "cairn/"), 1);
    sim_reset(&rig.sim);
    must_remove(o.ref);
    assert_int_equal(sim_objects(&rig.sim, "VDI", NULL), 2);
    pool_rig_end_fini(&e);
}

static void disks_without_a_vm_are_found_by_their_marks(void **state)
{
    struct pool_rig_end e, swept;
    const struct xenapi_snapshot_sweep_opts sweep = {
        .gateway = "gw1", .done = pool_rig_on_count, .ctx = &swept};
    struct err err;

    (void)state;
    make(&e, "24");
    pool_rig_call(&rig, &swept, "VM.destroy",
                  xenapi_call_params("s", e.inventory->vms[0].ref), true);
    assert_int_equal(swept.err.code, ERR_OK);
    pool_rig_end_fini(&swept);
    pool_rig_end_fini(&e);
    assert_int_equal(sim_objects(&rig.sim, "VDI", NULL), 4);
    pool_rig_end_init(&rig, &swept);
    assert_int_equal(xenapi_snapshot_sweep(rig.session, &sweep, &err), ERR_OK);
    pool_rig_wait(&rig, &swept.done, 1);
    assert_int_equal(swept.err.code, ERR_OK);
    assert_int_equal(swept.count, 2);
    pool_rig_end_fini(&swept);
}

static void what_is_not_ours_is_left_alone(void **state)
{
    struct pool_rig_end e;
    struct xenapi_vm_remove_opts o = {.ref = web, .snapshot = true};
    struct err err;

    (void)state;
    err = remove_vm(&o);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, "web is no snapshot and is left alone"));
    o.snapshot = false;
    o.guard_key = "cairn:import";
    o.guard_value = "17";
    err = remove_vm(&o);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, "not marked as ours"));
    pool_rig_inventory(&rig, &e, pool_rig_vm(&rig, "web"));
    assert_int_equal(e.err.code, ERR_OK);
    assert_int_equal(e.inventory->vms[0].disk_count, 2);
    pool_rig_end_fini(&e);
}

static void a_disk_that_another_vm_uses_stays(void **state)
{
    struct pool_rig_end e, made;
    struct xmlrpc *vbd = xmlrpc_new_struct();

    (void)state;
    make(&e, "25");
    xmlrpc_set_text(vbd, "VM", web);
    xmlrpc_set_text(vbd, "VDI", e.inventory->vms[0].disks[1].vdi_ref);
    xmlrpc_set_text(vbd, "userdevice", "7");
    xmlrpc_set(vbd, "bootable", xmlrpc_new_bool(false));
    xmlrpc_set_text(vbd, "mode", "RO");
    xmlrpc_set_text(vbd, "type", "Disk");
    xmlrpc_set(vbd, "empty", xmlrpc_new_bool(false));
    xmlrpc_set(vbd, "other_config", xmlrpc_new_struct());
    xmlrpc_set_text(vbd, "qos_algorithm_type", "");
    xmlrpc_set(vbd, "qos_algorithm_params", xmlrpc_new_struct());
    pool_rig_call(&rig, &made, "VBD.create", xenapi_call_params("v", vbd),
                  false);
    if (made.err.code != ERR_OK)
        fail_msg("%s", made.err.text);
    must_remove(e.inventory->vms[0].ref);
    assert_int_equal(sim_objects(&rig.sim, "VDI", NULL), 3);
    pool_rig_end_fini(&made);
    pool_rig_call(&rig, &made, "VDI.destroy",
                  xenapi_call_params("s", e.inventory->vms[0].disks[1].vdi_ref),
                  true);
    assert_int_equal(made.err.code, ERR_OK);
    pool_rig_end_fini(&made);
    pool_rig_end_fini(&e);
}

struct found {
    struct pool_rig_end end;
    char job[40], name[80], vm[80], ref[80];
    size_t count;
};

static void on_found(void *ctx, const struct err *err,
                     const struct xenapi_snapshot_found *found, size_t count)
{
    struct found *f = ctx;

    f->count = count;
    if (count > 0) {
        snprintf(f->job, sizeof(f->job), "%s", found[0].job);
        snprintf(f->name, sizeof(f->name), "%s", found[0].name);
        snprintf(f->vm, sizeof(f->vm), "%s", found[0].vm_ref);
        snprintf(f->ref, sizeof(f->ref), "%s", found[0].ref);
    }
    pool_rig_on_done(&f->end, err);
}

static void find(const char *gateway, struct found *f)
{
    const struct xenapi_snapshot_find_opts o = {
        .gateway = gateway, .done = on_found, .ctx = f};
    struct err err = {0};

    memset(f, 0, sizeof(*f));
    pool_rig_end_init(&rig, &f->end);
    assert_int_equal(xenapi_snapshot_find(rig.session, &o, &err), ERR_OK);
    pool_rig_wait(&rig, &f->end.done, 1);
    assert_int_equal(f->end.err.code, ERR_OK);
}

static void ours_are_found_and_nobody_elses(void **state)
{
    struct pool_rig_end e, call;
    struct found f;

    (void)state;
    /* a snapshot of the user, of a VM that carries our marks by accident */
    sim_do(&rig.sim, "/sim/vm/set",
           "{\"vm\": \"web\", \"set\": {\"other_config\": {\"owner\": \"acme\","
           " \"cairn:gateway\": \"gw1\", \"cairn:job\": \"3\"}}}");
    pool_rig_call(&rig, &call, "VM.snapshot",
                  xenapi_call_params("ss", web, "before the update"), true);
    assert_int_equal(call.err.code, ERR_OK);
    find("gw1", &f);
    assert_int_equal(f.count, 0);
    make(&e, "26-a");
    find("gw1", &f);
    assert_int_equal(f.count, 1);
    assert_string_equal(f.job, "26-a");
    assert_string_equal(f.vm, web);
    find("gw", &f);
    assert_int_equal(f.count, 0);
    must_remove(e.inventory->vms[0].ref);
    must_remove(call.text);
    sim_do(&rig.sim, "/sim/vm/set",
           "{\"vm\": \"web\", \"set\": {\"other_config\": {\"owner\": "
           "\"acme\"}}}");
    pool_rig_end_fini(&e);
    pool_rig_end_fini(&call);
}

static void one_without_marks_is_found_by_its_name(void **state)
{
    struct pool_rig_end call;
    struct found f;

    (void)state;
    pool_rig_call(&rig, &call, "VM.snapshot",
                  xenapi_call_params("ss", web, "cairn/gw1/27 web"), true);
    find("gw1", &f);
    assert_int_equal(f.count, 1);
    assert_string_equal(f.job, "27");
    must_remove(f.ref);
    pool_rig_end_fini(&call);
}

static void a_mark_replaces_what_was_there(void **state)
{
    struct pool_rig_end e;
    struct xenapi_vm_mark_opts o = {
        .ref = web, .key = "cairn:series", .done = pool_rig_on_done, .ctx = &e};
    struct err err = {0};
    static const char *const values[] = {"1", "2", NULL};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        o.value = values[i];
        pool_rig_end_init(&rig, &e);
        assert_int_equal(xenapi_vm_mark(rig.session, &o, NULL, &err), ERR_OK);
        pool_rig_wait(&rig, &e.done, 1);
        assert_int_equal(e.err.code, ERR_OK);
        pool_rig_inventory(&rig, &e, pool_rig_vm(&rig, "web"));
        if (values[i])
            assert_string_equal(xenapi_inventory_other_config(
                                    &e.inventory->vms[0], "cairn:series"),
                                values[i]);
        else
            assert_null(xenapi_inventory_other_config(&e.inventory->vms[0],
                                                      "cairn:series"));
        pool_rig_end_fini(&e);
    }
}

static void on_nic(void *ctx, const struct err *err, const char *vif_ref)
{
    struct pool_rig_end *e = ctx;

    snprintf(e->text, sizeof(e->text), "%s", vif_ref ? vif_ref : "");
    pool_rig_on_done(ctx, err);
}

static void a_nic_takes_over_what_its_record_says(void **state)
{
    struct pool_rig_end live, e, got;
    struct xmlrpc *record = xmlrpc_new_struct();
    struct xenapi_vm_nic_opts o = {.vm_ref = web,
                                   .device = "3",
                                   .mac = "02:00:00:00:01:02",
                                   .mtu = 9000,
                                   .record = record,
                                   .done = on_nic,
                                   .ctx = &e};
    struct err err = {0};

    (void)state;
    pool_rig_inventory(&rig, &live, pool_rig_vm(&rig, "web"));
    o.network_ref = live.inventory->networks[0].ref;
    xmlrpc_set_text(record, "locking_mode", "locked");
    pool_rig_end_init(&rig, &e);
    assert_int_equal(xenapi_vm_nic(rig.session, &o, NULL, &err), ERR_OK);
    pool_rig_wait(&rig, &e.done, 1);
    if (e.err.code != ERR_OK)
        fail_msg("%s", e.err.text);
    pool_rig_call(&rig, &got, "VIF.get_record", xenapi_call_params("s", e.text),
                  false);
    assert_string_equal(xmlrpc_get_text(got.value, "MAC"), "02:00:00:00:01:02");
    assert_int_equal(xmlrpc_int(xmlrpc_get(got.value, "MTU"), 0), 9000);
    assert_string_equal(xmlrpc_get_text(got.value, "locking_mode"), "locked");
    pool_rig_end_fini(&got);
    pool_rig_call(&rig, &got, "VIF.destroy", xenapi_call_params("s", e.text),
                  false);
    assert_int_equal(got.err.code, ERR_OK);
    pool_rig_end_fini(&got);
    o.device = "0"; /* in use */
    pool_rig_end_init(&rig, &e);
    assert_int_equal(xenapi_vm_nic(rig.session, &o, NULL, &err), ERR_OK);
    pool_rig_wait(&rig, &e.done, 1);
    assert_int_equal(e.err.code, ERR_CONFLICT);
    pool_rig_end_fini(&live);
    xmlrpc_free(record);
}

/* ---- Tasks and events ---- */

static void expect_task_end(enum err_code code)
{
    struct pool_rig_end e;

    pool_rig_call(&rig, &e, "VM.snapshot",
                  xenapi_call_params("ss", web, "cairn/gw1/30 web"), true);
    if (e.err.code != code)
        fail_msg("%s: %s", err_name(e.err.code), e.err.text);
    if (code == ERR_OK)
        must_remove(e.text);
    pool_rig_end_fini(&e);
}

static void tasks_end_whatever_becomes_of_events(void **state)
{
    static const char *const rows[] = {
        "{\"name\": \"event_error\", \"count\": 1, \"error\": "
        "[\"EVENTS_LOST\"]}",
        "{\"name\": \"event_error\", \"count\": 4, \"error\": "
        "[\"INTERNAL_ERROR\", \"x\"]}",
        "{\"name\": \"event_token\", \"count\": 2}",
        "{\"name\": \"rpc_close\", \"count\": 2, \"method\": \"event.from\"}",
        "{\"name\": \"session_invalid\", \"method\": \"event.from\"}",
        "{\"name\": \"rpc_error\", \"count\": 0, \"method\": \"event.from\", "
        "\"error\": [\"MESSAGE_METHOD_UNKNOWN\", \"event.from\"]}",
        "{\"name\": \"event_silent\", \"ms\": 3000}",
    };

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct pool_rig_opts o;

        pool_rig_opts(&rig, &o);
        o.session.timing.poll = 200;
        pool_rig_session(&rig, &o);
        pool_rig_opts_fini(&o);
        sim_fault(&rig.sim, "%s", rows[i]);
        sim_fault(&rig.sim, "{\"name\": \"rpc_delay\", \"ms\": 150, "
                            "\"method\": \"VM.snapshot\"}");
        expect_task_end(ERR_OK);
        sim_reset(&rig.sim);
    }
}

/* With a poll that never comes, events alone tell of the end. */
static void tasks_end_by_events_alone(void **state)
{
    struct pool_rig_opts o;

    (void)state;
    pool_rig_opts(&rig, &o);
    o.session.timing.poll = 1000 * 1000;
    pool_rig_session(&rig, &o);
    pool_rig_opts_fini(&o);
    sim_fault(&rig.sim, "{\"name\": \"rpc_delay\", \"ms\": 300, "
                        "\"method\": \"VM.snapshot\"}");
    expect_task_end(ERR_OK);
}

static void a_restart_of_the_toolstack_ends_tasks(void **state)
{
    struct pool_rig_end e;
    const struct xenapi_call_opts o = {
        .method = "VM.snapshot",
        .params = xenapi_call_params("ss", web, "cairn/gw1/31 web"),
        .async = true,
        .done = pool_rig_on_call,
        .ctx = &e,
    };
    struct err err = {0};
    struct found f;

    (void)state;
    sim_fault(&rig.sim, "{\"name\": \"rpc_delay\", \"ms\": 400, "
                        "\"method\": \"VM.snapshot\"}");
    pool_rig_end_init(&rig, &e);
    assert_int_equal(xenapi_call_start(rig.session, &o, NULL, &err), ERR_OK);
    pool_rig_run_ms(&rig, 200);
    sim_do(&rig.sim, "/sim/pool/restart", "{\"pool\": \"paris\"}");
    pool_rig_wait(&rig, &e.done, 1);
    if (e.err.code != ERR_AGAIN)
        fail_msg("%s: %s", err_name(e.err.code), e.err.text);
    pool_rig_end_fini(&e);
    pool_rig_run_ms(&rig, 500); /* whether the work went on or not */
    find("gw1", &f);
    if (f.count > 0)
        must_remove(f.ref);
}

static double last_fraction;

static void on_progress(void *ctx, double fraction)
{
    assert_true(fraction >= last_fraction && fraction <= 1);
    last_fraction = fraction;
}

static void on_task(void *ctx, const struct err *err,
                    const struct xenapi_rpc_failure *failure,
                    struct xmlrpc *result)
{
    pool_rig_on_call(ctx, err, failure, result);
}

static void progress_and_cancel_of_a_task_are_seen(void **state)
{
    struct pool_rig_end made, e;
    struct xenapi_task_opts o = {
        .progress = on_progress, .done = on_task, .ctx = &e};
    struct xenapi_task *t = NULL;
    struct err err = {0};

    (void)state;
    pool_rig_call(&rig, &made, "task.create",
                  xenapi_call_params("ss", "a task", ""), false);
    pool_rig_end_init(&rig, &e);
    last_fraction = 0;
    o.ref = made.text;
    assert_int_equal(xenapi_task_watch(rig.session, &o, &t, &err), ERR_OK);
    pool_rig_end_fini(&e);
    for (int i = 1; i <= 3; i++) {
        struct pool_rig_end set;

        pool_rig_call(&rig, &set, "task.set_progress",
                      xenapi_call_params("sd", made.text, i * 0.25), false);
        assert_int_equal(set.err.code, ERR_OK);
        pool_rig_end_fini(&set);
        for (int k = 0; k < 100 && last_fraction < i * 0.25; k++)
            pool_rig_run_ms(&rig, 20);
        assert_true(last_fraction == i * 0.25);
    }
    {
        struct pool_rig_end set;

        pool_rig_call(&rig, &set, "task.set_status",
                      xenapi_call_params("ss", made.text, "cancelled"), false);
        pool_rig_end_fini(&set);
    }
    pool_rig_wait(&rig, &e.done, 1);
    assert_int_equal(e.err.code, ERR_CANCELLED);
    xenapi_task_discard(rig.session, made.text, false);
    pool_rig_run_ms(&rig, 100);
    /* one that does not exist has vanished */
    pool_rig_end_fini(&e);
    assert_int_equal(xenapi_task_watch(rig.session, &o, &t, &err), ERR_OK);
    pool_rig_wait(&rig, &e.done, 1);
    assert_int_equal(e.err.code, ERR_AGAIN);
    pool_rig_end_fini(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, before, after)
        TEST(a_snapshot_is_marked_and_leaves_nothing),
        TEST(disks_may_be_left_out),
        TEST(a_snapshot_that_fails_leaves_nothing),
        TEST(a_licence_for_templates_is_not_missed),
        TEST(too_many_tasks_are_waited_for),
        TEST(a_cancelled_snapshot_leaves_nothing),
        TEST(obstacles_to_removing_are_overcome),
        TEST(what_holds_a_disk_stays_with_it),
        TEST(disks_without_a_vm_are_found_by_their_marks),
        TEST(what_is_not_ours_is_left_alone),
        TEST(a_disk_that_another_vm_uses_stays),
        TEST(ours_are_found_and_nobody_elses),
        TEST(one_without_marks_is_found_by_its_name),
        TEST(a_mark_replaces_what_was_there),
        TEST(a_nic_takes_over_what_its_record_says),
        TEST(tasks_end_whatever_becomes_of_events),
        TEST(tasks_end_by_events_alone),
        TEST(a_restart_of_the_toolstack_ends_tasks),
        TEST(progress_and_cancel_of_a_task_are_seen),
    };
    struct err err;

    xml_setup();
    if (http_client_setup(&err) != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, open_rig, close_rig);
}
