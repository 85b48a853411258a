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
#include "snapshot_rig.h"
#include "xenapi/xenapi_snapshot.h"

static struct pool_rig *const rig = &snapshot_rig.pool;

static void a_snapshot_is_marked_and_leaves_nothing(void **state)
{
    const struct xenapi_vm *vm;
    struct pool_rig_end e;

    (void)state;
    snapshot_rig_make(&e, "17");
    if (e.err.code != ERR_OK)
        fail_msg("%s", e.err.text);
    vm = &e.inventory->vms[0];
    assert_string_equal(vm->name, "cairn/gw1/17 web");
    assert_true(vm->is_snapshot);
    assert_false(vm->is_template);
    assert_string_equal(vm->snapshot_of, snapshot_rig.web);
    assert_string_equal(xenapi_inventory_other_config(vm, "cairn:job"), "17");
    assert_string_equal(xenapi_inventory_other_config(vm, "cairn:gateway"),
                        "gw1");
    assert_string_equal(xenapi_inventory_other_config(vm, "owner"), "acme");
    assert_int_equal(vm->disk_count, 2);
    assert_int_equal(vm->disks[0].virtual_size, 2 << 20);
    assert_int_equal(strlen(vm->disks[0].snapshot_of_uuid), 36);
    assert_string_not_equal(vm->disks[0].snapshot_of_uuid,
                            vm->disks[0].vdi_uuid);
    assert_int_equal(sim_objects(&rig->sim, "VDI", NULL), 4);
    snapshot_rig_remove(vm->ref);
    snapshot_rig_remove(vm->ref); /* gone already: fine */
    pool_rig_end_fini(&e);
}

static void disks_may_be_left_out(void **state)
{
    struct pool_rig_end e, live;
    const char *ignored[1];
    struct xenapi_snapshot_opts o = {
        .vm_ref = snapshot_rig.web,
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
    pool_rig_inventory(rig, &live, pool_rig_vm(rig, "web"));
    ignored[0] = live.inventory->vms[0].disks[1].vdi_ref;
    for (size_t disks = 1; disks <= 2; disks++) {
        if (disks == 2) /* a pool that knows two parameters takes all disks */
            sim_fault(&rig->sim,
                      "{\"name\": \"rpc_error\", \"at_once\": true, "
                      "\"method\": \"VM.snapshot\", \"error\": "
                      "[\"MESSAGE_PARAMETER_COUNT_MISMATCH\", \"VM.snapshot\","
                      " \"2\", \"3\"]}");
        pool_rig_end_init(rig, &e);
        assert_int_equal(xenapi_snapshot_start(rig->session, &o, NULL, &err),
                         ERR_OK);
        pool_rig_wait(rig, &e.done, 1);
        if (e.err.code != ERR_OK)
            fail_msg("%s", e.err.text);
        assert_int_equal(e.inventory->vms[0].disk_count, disks);
        snapshot_rig_remove(e.inventory->vms[0].ref);
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
    struct json *j = sim_call(&rig->sim, "/sim/records?class=task", NULL);
    struct pool_rig_end e;

    for (size_t i = 0; i < json_count(j); i++) {
        pool_rig_call(rig, &e, "task.destroy",
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
        sim_fault(&rig->sim, "%s", refusals[i].fault);
        snapshot_rig_make(&e, "19");
        if (e.err.code != refusals[i].code ||
            !strstr(e.err.text, refusals[i].words))
            fail_msg("%s: %s %s", refusals[i].fault, err_name(e.err.code),
                     e.err.text);
        pool_rig_end_fini(&e);
        assert_int_equal(sim_objects(&rig->sim, "VDI", NULL), 2);
        assert_int_equal(sim_objects(&rig->sim, "VM", "cairn/"), 0);
        sim_reset(&rig->sim);
        if (strstr(refusals[i].fault, "rpc_close"))
            drop_lost_tasks();
    }
}

static void a_licence_for_templates_is_not_missed(void **state)
{
    struct pool_rig_end e;

    (void)state;
    sim_fault(&rig->sim, "{\"name\": \"rpc_error\", \"method\": "
                         "\"VM.set_is_a_template\", \"error\": "
                         "[\"LICENCE_RESTRICTION\", \"x\"]}");
    snapshot_rig_make(&e, "20");
    assert_int_equal(e.err.code, ERR_OK);
    snapshot_rig_remove(e.inventory->vms[0].ref);
    pool_rig_end_fini(&e);
}

static void too_many_tasks_are_waited_for(void **state)
{
    struct pool_rig_end e;

    (void)state;
    sim_fault(&rig->sim,
              "{\"name\": \"too_many_pending_tasks\", \"count\": 3}");
    snapshot_rig_make(&e, "21");
    assert_int_equal(e.err.code, ERR_OK);
    sim_fault(&rig->sim,
              "{\"name\": \"too_many_pending_tasks\", \"count\": 2}");
    snapshot_rig_remove(e.inventory->vms[0].ref);
    pool_rig_end_fini(&e);
}

static void a_cancelled_snapshot_leaves_nothing(void **state)
{
    struct xenapi_snapshot *op = NULL;
    struct pool_rig_end e;

    (void)state;
    for (unsigned ms = 0; ms < 400; ms = ms * 2 + 5) {
        if (ms > 100)
            sim_fault(&rig->sim, "{\"name\": \"rpc_delay\", \"ms\": 300, "
                                 "\"method\": \"VM.snapshot\"}");
        snapshot_rig_begin(&e, "22", &op);
        pool_rig_run_ms(rig, ms);
        if (e.done) {
            snapshot_rig_remove(e.inventory->vms[0].ref);
        } else {
            xenapi_snapshot_cancel(op);
            pool_rig_wait(rig, &e.done, 1);
            assert_int_equal(e.err.code, ERR_CANCELLED);
        }
        assert_int_equal(sim_objects(&rig->sim, "VM", "cairn/"), 0);
        assert_int_equal(sim_objects(&rig->sim, "VDI", NULL), 2);
        pool_rig_end_fini(&e);
    }
}

static void ours_are_found_and_nobody_elses(void **state)
{
    struct pool_rig_end e, call;
    struct snapshot_rig_found f;

    (void)state;
    /* a snapshot of the user, of a VM that carries our marks by accident */
    sim_do(&rig->sim, "/sim/vm/set",
           "{\"vm\": \"web\", \"set\": {\"other_config\": {\"owner\": \"acme\","
           " \"cairn:gateway\": \"gw1\", \"cairn:job\": \"3\"}}}");
    pool_rig_call(
        rig, &call, "VM.snapshot",
        xenapi_call_params("ss", snapshot_rig.web, "before the update"), true);
    assert_int_equal(call.err.code, ERR_OK);
    snapshot_rig_find("gw1", &f);
    assert_int_equal(f.count, 0);
    snapshot_rig_make(&e, "26-a");
    snapshot_rig_find("gw1", &f);
    assert_int_equal(f.count, 1);
    assert_string_equal(f.job, "26-a");
    assert_string_equal(f.vm, snapshot_rig.web);
    snapshot_rig_find("gw", &f);
    assert_int_equal(f.count, 0);
    snapshot_rig_remove(e.inventory->vms[0].ref);
    snapshot_rig_remove(call.text);
    sim_do(&rig->sim, "/sim/vm/set",
           "{\"vm\": \"web\", \"set\": {\"other_config\": {\"owner\": "
           "\"acme\"}}}");
    pool_rig_end_fini(&e);
    pool_rig_end_fini(&call);
}

static void one_without_marks_is_found_by_its_name(void **state)
{
    struct pool_rig_end call;
    struct snapshot_rig_found f;

    (void)state;
    pool_rig_call(
        rig, &call, "VM.snapshot",
        xenapi_call_params("ss", snapshot_rig.web, "cairn/gw1/27 web"), true);
    snapshot_rig_find("gw1", &f);
    assert_int_equal(f.count, 1);
    assert_string_equal(f.job, "27");
    snapshot_rig_remove(f.ref);
    pool_rig_end_fini(&call);
}

/* ---- Tasks and events ---- */

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name)                                             \
    cmocka_unit_test_setup_teardown(name, snapshot_rig_before, \
                                    snapshot_rig_after)
        TEST(a_snapshot_is_marked_and_leaves_nothing),
        TEST(disks_may_be_left_out),
        TEST(a_snapshot_that_fails_leaves_nothing),
        TEST(a_licence_for_templates_is_not_missed),
        TEST(too_many_tasks_are_waited_for),
        TEST(a_cancelled_snapshot_leaves_nothing),
        TEST(ours_are_found_and_nobody_elses),
        TEST(one_without_marks_is_found_by_its_name),
    };
    struct err err;

    xml_setup();
    if (http_client_setup(&err) != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, snapshot_rig_open, snapshot_rig_close);
}
