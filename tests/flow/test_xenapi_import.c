/* SPDX-License-Identifier: Apache-2.0 */
/* VMs that were exported come back through image/ and xenapi/: rewritten, with
 * the NICs that they are given, or not at all. */
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
#include "import_rig.h"
#include "xenapi/xenapi_vm.h"

static struct pool_rig *const rig = &import_rig.pool;

static void remove_made(const char *ref)
{
    struct pool_rig_end e;
    const struct xenapi_vm_remove_opts o = {.ref = ref,
                                            .guard_key = "cairn:import",
                                            .guard_value = "17",
                                            .done = pool_rig_on_done,
                                            .ctx = &e};
    struct err err = {0};

    pool_rig_end_init(rig, &e);
    assert_int_equal(xenapi_vm_remove(rig->session, &o, NULL, &err), ERR_OK);
    pool_rig_wait(rig, &e.done, 1);
    if (e.err.code != ERR_OK)
        fail_msg("%s", e.err.text);
}

static const struct ova_pair marks[] = {{"cairn:import", "17"}};
static const struct ova_rewrite_opts usual = {.name = "twin",
                                              .block_start = "being restored",
                                              .other_config = marks,
                                              .other_config_count = 1};

static void check_disks(const char *uuid)
{
    uint8_t *got = malloc(IMPORT_RIG_SIZE_0);
    char query[100];

    for (int i = 0; i < IMPORT_RIG_DISKS; i++) {
        size_t size = i ? IMPORT_RIG_SIZE_1 : IMPORT_RIG_SIZE_0;

        snprintf(query, sizeof(query), "vm=%s&device=%d&offset=0&length=%zu",
                 uuid, i, size);
        sim_disk(&rig->sim, query, got, size);
        assert_memory_equal(got, import_rig.contents[i], size);
    }
    free(got);
}

static void check_twin(const char *ref, const char *sr)
{
    const struct xenapi_inventory_opts o = {.vm_ref = ref,
                                            .done = pool_rig_on_inventory};
    struct xenapi_inventory_opts mine = o;
    struct pool_rig_end e;
    const struct xenapi_vm *vm;
    struct err err = {0};

    mine.ctx = &e;
    pool_rig_end_init(rig, &e);
    assert_int_equal(xenapi_inventory_start(rig->session, &mine, NULL, &err),
                     ERR_OK);
    pool_rig_wait(rig, &e.done, 1);
    assert_int_equal(e.err.code, ERR_OK);
    vm = &e.inventory->vms[0];
    assert_string_equal(vm->name, "twin");
    assert_string_not_equal(vm->uuid, pool_rig_vm(rig, "cold"));
    assert_int_equal(vm->disk_count, IMPORT_RIG_DISKS);
    assert_int_equal(vm->nic_count, 0);
    assert_false(vm->is_template);
    assert_string_equal(vm->disks[0].sr->name, sr);
    assert_string_equal(xenapi_inventory_other_config(vm, "owner"), "acme");
    check_disks(vm->uuid);
    pool_rig_end_fini(&e);
}

static void a_vm_comes_back_with_its_disks(void **state)
{
    struct import_rig_giving g;

    (void)state;
    for (int k = 0; k < 4; k++) {
        import_rig_open_giving(&g, &usual,
                               k & 1 ? XVA_SUM_SHA1 : XVA_SUM_XXHASH);
        g.wait_every = k & 2 ? 5 : 0;
        import_rig_give(&g, k & 1 ? "other" : "fast",
                        false); /* "other" is p2's: 302 */
        if (g.end.err.code != ERR_OK)
            fail_msg("%s", g.end.err.text);
        check_twin(g.end.text, k & 1 ? "other" : "fast");
        remove_made(g.end.text);
        import_rig_close_giving(&g);
    }
}

static void on_nic(void *ctx, const struct err *err, const char *vif_ref)
{
    pool_rig_on_done(ctx, err);
}

static void start_is_blocked_until_it_is_released(void **state)
{
    struct import_rig_giving g;
    struct pool_rig_end e, inv;
    struct xenapi_vm_nic_opts nic = {.device = "0", .done = on_nic, .ctx = &e};
    struct xenapi_vm_release_opts release = {
        .start = true, .done = pool_rig_on_done, .ctx = &e};
    struct err err = {0};
    size_t n;

    (void)state;
    import_rig_open_giving(&g, &usual, XVA_SUM_XXHASH);
    import_rig_give(&g, "fast", false);
    assert_int_equal(g.end.err.code, ERR_OK);
    pool_rig_call(rig, &e, "VM.start",
                  xenapi_call_params("sbb", g.end.text, false, false), true);
    assert_string_equal(e.code, "OPERATION_BLOCKED");
    pool_rig_end_fini(&e);

    pool_rig_inventory(rig, &inv, NULL);
    nic.vm_ref = g.end.text;
    nic.network_ref =
        xenapi_inventory_network_by_name(inv.inventory, "lan", &n)->ref;
    nic.mac = ova_nic(g.ova, 0)->mac;
    nic.record = ova_nic(g.ova, 0)->record;
    pool_rig_end_init(rig, &e);
    assert_int_equal(xenapi_vm_nic(rig->session, &nic, NULL, &err), ERR_OK);
    pool_rig_wait(rig, &e.done, 1);
    assert_int_equal(e.err.code, ERR_OK);
    pool_rig_end_fini(&inv);

    release.ref = g.end.text;
    pool_rig_end_init(rig, &e);
    assert_int_equal(xenapi_vm_release(rig->session, &release, NULL, &err),
                     ERR_OK);
    pool_rig_wait(rig, &e.done, 1);
    if (e.err.code != ERR_OK)
        fail_msg("%s", e.err.text);
    pool_rig_inventory(rig, &inv, NULL);
    {
        const struct xenapi_vm *vm =
            xenapi_inventory_vm_by_ref(inv.inventory, g.end.text);

        assert_int_equal(vm->power, XENAPI_RUNNING);
        assert_int_equal(vm->nic_count, 1);
        assert_string_equal(vm->nics[0].network->name, "lan");
        assert_string_equal(vm->nics[0].mac, "02:00:00:00:00:07");
    }
    pool_rig_end_fini(&inv);
    remove_made(g.end.text); /* it runs: shut down first */
    import_rig_close_giving(&g);
    /* its NIC went with it or not; the simulator counts */
}

static void a_vm_keeps_its_uuid_where_there_is_none(void **state)
{
    static const char uuid[] = "0c0ffee0-0000-4000-8000-000000000001";
    struct ova_rewrite_opts how = usual;
    struct pool_rig_end e;
    struct import_rig_giving g;

    (void)state;
    how.vm_uuid = uuid;
    import_rig_open_giving(&g, &how, XVA_SUM_XXHASH);
    import_rig_give(&g, "fast", true);
    if (g.end.err.code != ERR_OK)
        fail_msg("%s", g.end.err.text);
    pool_rig_inventory(rig, &e, uuid);
    assert_int_equal(e.err.code, ERR_OK);
    assert_string_equal(e.inventory->vms[0].ref, g.end.text);
    pool_rig_end_fini(&e);
    remove_made(g.end.text);
    import_rig_close_giving(&g);
}

/* Each row: what goes wrong, and what is said of it; nothing is left. */
static const struct {
    const char *fault, *sr;
    enum err_code code;
    const char *words;
} rows[] = {
    {"{\"name\": \"import_401\"}", "fast", ERR_AGAIN, "HTTP 401"},
    {"{\"name\": \"import_403\"}", "fast", ERR_DENIED, ""},
    {"{\"name\": \"import_400\"}", "fast", ERR_REMOTE, "HTTP 400"},
    {"{\"name\": \"import_401\", \"skip\": 1}", "fast", ERR_AGAIN, "HTTP 401"},
    {"{\"name\": \"sr_full\"}", "fast", ERR_QUOTA, "SR_BACKEND_FAILURE_44"},
    {NULL, "tiny", ERR_QUOTA, "SR_"},
    {NULL, "00000000-0000-4000-8000-000000000000", ERR_REMOTE, "UUID_INVALID"},
    {"{\"name\": \"import_fail\", \"after\": 2000000, "
     "\"error\": [\"VDI_IO_ERROR\", \"Device I/O errors\"]}",
     "fast", ERR_REMOTE, "VDI_IO_ERROR: Device I/O errors"},
    {"{\"name\": \"import_cut\", \"after\": 2000000}", "fast", ERR_REMOTE, ""},
    {"{\"name\": \"import_cut\", \"after\": 2000000, "
     "\"reset\": true}",
     "fast", ERR_REMOTE, ""},
    {"{\"name\": \"task_fail\", \"count\": 0, \"error\": [\"INTERNAL_ERROR\", "
     "\"late\"]}",
     "fast", ERR_REMOTE, "INTERNAL_ERROR: late"},
    {"{\"name\": \"import_stall\", \"after\": 1000000}", "fast", ERR_TIMEOUT,
     "takes no more data"},
    {"{\"name\": \"import_redirect\", \"count\": 0}", "fast", ERR_PROTOCOL,
     "to and fro"},
    {"{\"name\": \"import_redirect\", \"url\": \"https://192.0.2.9/import\"}",
     "fast", ERR_PROTOCOL, "no host of this pool"},
};

static void sweep(size_t expect)
{
    struct pool_rig_end e;
    const struct xenapi_vm_sweep_opts o = {.key = "cairn:import",
                                           .value = "17",
                                           .done = pool_rig_on_count,
                                           .ctx = &e};
    struct err err = {0};

    pool_rig_end_init(rig, &e);
    assert_int_equal(xenapi_vm_sweep(rig->session, &o, NULL, &err), ERR_OK);
    pool_rig_wait(rig, &e.done, 1);
    if (e.err.code != ERR_OK)
        fail_msg("%s", e.err.text);
    assert_int_equal(e.count, expect);
}

static void each_way_to_fail_is_told_and_leaves_nothing(void **state)
{
    struct import_rig_giving g;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        import_rig_open_giving(&g, &usual, XVA_SUM_XXHASH);
        if (rows[i].fault)
            sim_fault(&rig->sim, "%s", rows[i].fault);
        import_rig_give(&g, rows[i].sr, false);
        if (g.end.err.code != rows[i].code ||
            !strstr(g.end.err.text, rows[i].words))
            fail_msg("%s, SR %s: %s: %s", rows[i].fault, rows[i].sr,
                     err_name(g.end.err.code), g.end.err.text);
        import_rig_close_giving(&g);
        sim_reset(&rig->sim);
        if (strstr(rows[i].fault ? rows[i].fault : "", "task_fail"))
            sweep(1); /* the work was done, only the task said no */
        for (int k = 0; k < 100; k++)
            if (sim_objects(&rig->sim, "VDI", NULL) > IMPORT_RIG_DISKS)
                pool_rig_run_ms(rig, 50);
        if (sim_objects(&rig->sim, "VDI", NULL) != IMPORT_RIG_DISKS)
            fail_msg("%s leaves disks", rows[i].fault);
    }
}

static void forget_operations(void)
{
    struct json *j = sim_call(&rig->sim, "/sim/records?class=VM", NULL);

    for (size_t i = 0; i < json_count(j); i++) {
        const struct json *record = NULL;
        const char *ref = json_key_at(j, i, &record);

        if (strcmp(json_text(json_get(record, "name_label"), ""), "twin") == 0)
            sim_do(&rig->sim, "/sim/object/set",
                   "{\"class\": \"VM\", \"ref\": \"%s\", \"set\": "
                   "{\"current_operations\": {}}}",
                   ref);
    }
    json_free(j);
}

static void what_a_dead_host_left_is_swept(void **state)
{
    struct import_rig_giving g;

    (void)state;
    import_rig_open_giving(&g, &usual, XVA_SUM_XXHASH);
    sim_fault(&rig->sim, "{\"name\": \"import_vanish\", "
                         "\"after\": 2000000}");
    import_rig_give(&g, "fast", false);
    assert_int_not_equal(g.end.err.code, ERR_OK);
    import_rig_close_giving(&g);
    assert_true(sim_objects(&rig->sim, "VDI", NULL) > IMPORT_RIG_DISKS);
    forget_operations(); /* as a toolstack does that starts anew */
    sweep(1);
    sweep(0);
}

static void a_source_that_breaks_leaves_nothing(void **state)
{
    struct import_rig_giving g;

    (void)state;
    import_rig_open_giving(&g, &usual, XVA_SUM_XXHASH);
    g.fail_at = 2000000;
    import_rig_give(&g, "fast", false);
    assert_int_not_equal(g.end.err.code, ERR_OK);
    import_rig_close_giving(&g);
    import_rig_open_giving(&g, &usual, XVA_SUM_XXHASH);
    g.cancel_at = 2000000;
    import_rig_give(&g, "fast", false);
    assert_int_equal(g.end.err.code, ERR_CANCELLED);
    import_rig_close_giving(&g);
    for (int k = 0; k < 100; k++)
        if (sim_objects(&rig->sim, "VDI", NULL) > IMPORT_RIG_DISKS)
            pool_rig_run_ms(rig, 50);
}

static void a_slow_or_silent_host_is_waited_for(void **state)
{
    static const char *const faults[] = {
        "{\"name\": \"import_slow\", \"rate\": 8000000}",
        "{\"name\": \"task_delay\", \"ms\": 500}",
        "{\"name\": \"import_stall\", \"after\": 1000000, "
        "\"ms\": 500}",
    };
    struct import_rig_giving g;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(faults); i++) {
        import_rig_open_giving(&g, &usual, XVA_SUM_XXHASH);
        sim_fault(&rig->sim, "%s", faults[i]);
        import_rig_give(&g, "fast", false);
        if (g.end.err.code != ERR_OK)
            fail_msg("%s: %s", faults[i], g.end.err.text);
        check_twin(g.end.text, "fast");
        remove_made(g.end.text);
        import_rig_close_giving(&g);
        sim_reset(&rig->sim);
    }
}

/* A toolstack that comes back knows neither sessions nor tasks. */
static void on_back(struct timer *t)
{
    sim_do(&rig->sim, "/sim/pool/restart",
           "{\"pool\": \"paris\", \"connections\": true}");
    sim_do(&rig->sim, "/sim/host/down", "{\"host\": \"p1\", \"down\": false}");
}

static void a_host_that_is_not_heard_is_asked_again(void **state)
{
    struct import_rig_giving g;
    struct timer back = {0};

    (void)state;
    import_rig_open_giving(&g, &usual, XVA_SUM_XXHASH);
    g.down = "p1";
    timer_start(rig->loop, &back, 250, on_back);
    import_rig_give(&g, "fast", false);
    if (g.end.err.code != ERR_OK)
        fail_msg("%s", g.end.err.text);
    assert_true(g.tickets > 1);
    check_twin(g.end.text, "fast");
    assert_int_equal(sim_objects(&rig->sim, "VDI", NULL), 2 * IMPORT_RIG_DISKS);
    remove_made(g.end.text);
    import_rig_close_giving(&g);
    assert_int_equal(sim_objects(&rig->sim, "task", "cairn restore"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, import_rig_before, import_rig_after)
        TEST(a_vm_comes_back_with_its_disks),
        TEST(start_is_blocked_until_it_is_released),
        TEST(a_vm_keeps_its_uuid_where_there_is_none),
        TEST(each_way_to_fail_is_told_and_leaves_nothing),
        TEST(what_a_dead_host_left_is_swept),
        TEST(a_source_that_breaks_leaves_nothing),
        TEST(a_slow_or_silent_host_is_waited_for),
        TEST(a_host_that_is_not_heard_is_asked_again),
    };
    struct err err;

    xml_setup();
    if (http_client_setup(&err) != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, import_rig_open, import_rig_close);
}
