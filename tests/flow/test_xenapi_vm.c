/* SPDX-License-Identifier: Apache-2.0 */
/* VMs and snapshots of ours: removed, whatever stands in the way; marked. */
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
#include "xenapi/xenapi_vm.h"

static struct pool_rig *const rig = &snapshot_rig.pool;

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
        snapshot_rig_make(&e, "23");
        assert_int_equal(e.err.code, ERR_OK);
        sim_fault(&rig->sim, "%s", obstacles[i]);
        snapshot_rig_remove(e.inventory->vms[0].ref);
        assert_int_equal(sim_objects(&rig->sim, "VDI", NULL), 2);
        pool_rig_end_fini(&e);
        sim_reset(&rig->sim);
    }
}

/* Even where no disk has a mark yet: its VM is what is found. */
static void what_holds_a_disk_stays_with_it(void **state)
{
    struct xenapi_vm_remove_opts o = {.snapshot = true};
    struct pool_rig_end e, unmarked;
    struct err err;

    (void)state;
    snapshot_rig_make(&e, "24");
    o.ref = e.inventory->vms[0].ref;
    for (size_t i = 0; i < 2; i++) {
        pool_rig_call(rig, &unmarked, "VDI.remove_from_other_config",
                      xenapi_call_params("ss",
                                         e.inventory->vms[0].disks[i].vdi_ref,
                                         "cairn:snapshot"),
                      false);
        assert_int_equal(unmarked.err.code, ERR_OK);
        pool_rig_end_fini(&unmarked);
    }
    sim_fault(&rig->sim, "{\"name\": \"vdi_in_use\", \"count\": 21}");
    err = snapshot_rig_remove_as(&o);
    assert_int_equal(err.code, ERR_AGAIN);
    assert_non_null(strstr(err.text, "VDI_IN_USE"));
    assert_int_equal(sim_objects(&rig->sim, "VDI", NULL), 3);
    assert_int_equal(sim_objects(&rig->sim, "VM", "cairn/"), 1);
    sim_reset(&rig->sim);
    snapshot_rig_remove(o.ref);
    assert_int_equal(sim_objects(&rig->sim, "VDI", NULL), 2);
    pool_rig_end_fini(&e);
}

/* What it was to do is done. */
static void a_task_that_never_ends_keeps_nothing(void **state)
{
    struct pool_rig_end e;
    struct xenapi_vm_remove_opts o = {.snapshot = true};
    struct err err;

    (void)state;
    snapshot_rig_make(&e, "26");
    o.ref = e.inventory->vms[0].ref;
    sim_fault(&rig->sim,
              "{\"name\": \"task_stuck\", \"method\": \"VDI.destroy\"}");
    sim_fault(&rig->sim,
              "{\"name\": \"task_stuck\", \"method\": \"VM.destroy\"}");
    err = snapshot_rig_remove_as(&o);
    if (err.code != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(sim_objects(&rig->sim, "VDI", NULL), 2);
    assert_int_equal(sim_objects(&rig->sim, "VM", "cairn/"), 0);
    sim_do(&rig->sim, "/sim/tasks/expire", "{\"pool\": \"paris\"}");
    pool_rig_end_fini(&e);
}

static void disks_without_a_vm_are_found_by_their_marks(void **state)
{
    struct pool_rig_end e, swept;
    const struct xenapi_snapshot_sweep_opts sweep = {
        .gateway = "gw1", .done = pool_rig_on_count, .ctx = &swept};
    struct err err;

    (void)state;
    snapshot_rig_make(&e, "24");
    pool_rig_call(rig, &swept, "VM.destroy",
                  xenapi_call_params("s", e.inventory->vms[0].ref), true);
    assert_int_equal(swept.err.code, ERR_OK);
    pool_rig_end_fini(&swept);
    pool_rig_end_fini(&e);
    assert_int_equal(sim_objects(&rig->sim, "VDI", NULL), 4);
    pool_rig_end_init(rig, &swept);
    assert_int_equal(xenapi_snapshot_sweep(rig->session, &sweep, &err), ERR_OK);
    pool_rig_wait(rig, &swept.done, 1);
    assert_int_equal(swept.err.code, ERR_OK);
    assert_int_equal(swept.count, 2);
    pool_rig_end_fini(&swept);
}

static void what_is_not_ours_is_left_alone(void **state)
{
    struct pool_rig_end e;
    struct xenapi_vm_remove_opts o = {.ref = snapshot_rig.web,
                                      .snapshot = true};
    struct err err;

    (void)state;
    err = snapshot_rig_remove_as(&o);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, "web is no snapshot and is left alone"));
    o.snapshot = false;
    o.guard_key = "cairn:import";
    o.guard_value = "17";
    err = snapshot_rig_remove_as(&o);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, "not marked as ours"));
    pool_rig_inventory(rig, &e, pool_rig_vm(rig, "web"));
    assert_int_equal(e.err.code, ERR_OK);
    assert_int_equal(e.inventory->vms[0].disk_count, 2);
    pool_rig_end_fini(&e);
}

static void a_disk_that_another_vm_uses_stays(void **state)
{
    struct pool_rig_end e, made;
    struct xmlrpc *vbd = xmlrpc_new_struct();

    (void)state;
    snapshot_rig_make(&e, "25");
    xmlrpc_set_text(vbd, "VM", snapshot_rig.web);
    xmlrpc_set_text(vbd, "VDI", e.inventory->vms[0].disks[1].vdi_ref);
    xmlrpc_set_text(vbd, "userdevice", "7");
    xmlrpc_set(vbd, "bootable", xmlrpc_new_bool(false));
    xmlrpc_set_text(vbd, "mode", "RO");
    xmlrpc_set_text(vbd, "type", "Disk");
    xmlrpc_set(vbd, "empty", xmlrpc_new_bool(false));
    xmlrpc_set(vbd, "other_config", xmlrpc_new_struct());
    xmlrpc_set_text(vbd, "qos_algorithm_type", "");
    xmlrpc_set(vbd, "qos_algorithm_params", xmlrpc_new_struct());
    pool_rig_call(rig, &made, "VBD.create", xenapi_call_params("v", vbd),
                  false);
    if (made.err.code != ERR_OK)
        fail_msg("%s", made.err.text);
    snapshot_rig_remove(e.inventory->vms[0].ref);
    assert_int_equal(sim_objects(&rig->sim, "VDI", NULL), 3);
    pool_rig_end_fini(&made);
    pool_rig_call(rig, &made, "VDI.destroy",
                  xenapi_call_params("s", e.inventory->vms[0].disks[1].vdi_ref),
                  true);
    assert_int_equal(made.err.code, ERR_OK);
    pool_rig_end_fini(&made);
    pool_rig_end_fini(&e);
}

static void a_mark_replaces_what_was_there(void **state)
{
    struct pool_rig_end e;
    struct xenapi_vm_mark_opts o = {.ref = snapshot_rig.web,
                                    .key = "cairn:series",
                                    .done = pool_rig_on_done,
                                    .ctx = &e};
    struct err err = {0};
    static const char *const values[] = {"1", "2", NULL};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        o.value = values[i];
        pool_rig_end_init(rig, &e);
        assert_int_equal(xenapi_vm_mark(rig->session, &o, NULL, &err), ERR_OK);
        pool_rig_wait(rig, &e.done, 1);
        assert_int_equal(e.err.code, ERR_OK);
        pool_rig_inventory(rig, &e, pool_rig_vm(rig, "web"));
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
    struct xenapi_vm_nic_opts o = {.vm_ref = snapshot_rig.web,
                                   .device = "3",
                                   .mac = "02:00:00:00:01:02",
                                   .mtu = 9000,
                                   .record = record,
                                   .done = on_nic,
                                   .ctx = &e};
    struct err err = {0};

    (void)state;
    pool_rig_inventory(rig, &live, pool_rig_vm(rig, "web"));
    o.network_ref = live.inventory->networks[0].ref;
    xmlrpc_set_text(record, "locking_mode", "locked");
    pool_rig_end_init(rig, &e);
    assert_int_equal(xenapi_vm_nic(rig->session, &o, NULL, &err), ERR_OK);
    pool_rig_wait(rig, &e.done, 1);
    if (e.err.code != ERR_OK)
        fail_msg("%s", e.err.text);
    pool_rig_call(rig, &got, "VIF.get_record", xenapi_call_params("s", e.text),
                  false);
    assert_string_equal(xmlrpc_get_text(got.value, "MAC"), "02:00:00:00:01:02");
    assert_int_equal(xmlrpc_int(xmlrpc_get(got.value, "MTU"), 0), 9000);
    assert_string_equal(xmlrpc_get_text(got.value, "locking_mode"), "locked");
    pool_rig_end_fini(&got);
    pool_rig_call(rig, &got, "VIF.destroy", xenapi_call_params("s", e.text),
                  false);
    assert_int_equal(got.err.code, ERR_OK);
    pool_rig_end_fini(&got);
    o.device = "0"; /* in use */
    pool_rig_end_init(rig, &e);
    assert_int_equal(xenapi_vm_nic(rig->session, &o, NULL, &err), ERR_OK);
    pool_rig_wait(rig, &e.done, 1);
    assert_int_equal(e.err.code, ERR_CONFLICT);
    pool_rig_end_fini(&live);
    xmlrpc_free(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name)                                             \
    cmocka_unit_test_setup_teardown(name, snapshot_rig_before, \
                                    snapshot_rig_after)
        TEST(obstacles_to_removing_are_overcome),
        TEST(what_holds_a_disk_stays_with_it),
        TEST(a_task_that_never_ends_keeps_nothing),
        TEST(disks_without_a_vm_are_found_by_their_marks),
        TEST(what_is_not_ours_is_left_alone),
        TEST(a_disk_that_another_vm_uses_stays),
        TEST(a_mark_replaces_what_was_there),
        TEST(a_nic_takes_over_what_its_record_says),
    };
    struct err err;

    xml_setup();
    if (http_client_setup(&err) != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, snapshot_rig_open, snapshot_rig_close);
}
