/* SPDX-License-Identifier: Apache-2.0 */
/* Exports from the simulator through xenapi/ and image/: what comes is what
 * lies on the disks, or there is an error that says why. */
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
#include "export_rig.h"

static struct pool_rig *const rig = &export_rig.pool;

static void expect_success(const char *fault, bool zstd)
{
    struct export_rig_taking p;

    for (int slow = 0; slow < 2; slow++) {
        export_rig_open_taking(&p);
        p.pause_every = slow ? 37 : 0;
        p.refuse_every = slow ? 41 : 0;
        if (fault)
            sim_fault(&rig->sim, "%s", fault);
        export_rig_take(&p, export_rig.cold, zstd);
        if (p.end.err.code != ERR_OK)
            fail_msg("%s: %s", fault, p.end.err.text);
        export_rig_expect(&p);
        assert_true(!slow || p.paused > 5);
        export_rig_close_taking(&p);
    }
}

static void what_comes_is_what_lies_on_the_disks(void **state)
{
    (void)state;
    expect_success(NULL, false);
    expect_success(NULL, true);
}

static void all_ways_to_send_blocks_are_understood(void **state)
{
    static const char *const rows[] = {
        "{\"name\": \"export_sha1\"}",
        "{\"name\": \"export_all_blocks\"}",
        "{\"name\": \"export_keepalive\", \"every\": 1}",
        "{\"name\": \"export_keepalive\", \"every\": 3}",
        "{\"name\": \"export_first_small\", \"bytes\": 65536}",
        "{\"name\": \"export_first_small\", \"bytes\": 524288}",
        "{\"name\": \"export_chunk\", \"bytes\": 65536}",
        "{\"name\": \"export_chunk\", \"bytes\": 4194304}",
    };

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++)
        expect_success(rows[i], false);
    expect_success(rows[2], true);
}

static void a_redirect_to_a_member_is_followed(void **state)
{
    (void)state;
    expect_success("{\"name\": \"export_redirect\"}", false);
    expect_success("{\"name\": \"task_delay\", \"ms\": 300}", false);
    expect_success("{\"name\": \"export_first_byte\", \"ms\": 1500}", false);
}

/* Each row: what goes wrong, and what is said of it. */
static const struct {
    const char *fault;
    enum err_code code;
    const char *words[3]; /* all of them */
} rows[] = {
    {"{\"name\": \"export_401\"}", ERR_AGAIN, {"HTTP 401"}},
    {"{\"name\": \"export_403\"}", ERR_DENIED, {"RBAC_PERMISSION_DENIED"}},
    {"{\"name\": \"export_close\"}", ERR_REMOTE, {"the stream:"}},
    {"{\"name\": \"export_500\", \"error\": [\"VM_BAD_POWER_STATE\", \"x\", "
     "\"halted, suspended\", \"running\"]}",
     ERR_REMOTE,
     {"VM_BAD_POWER_STATE", "HTTP 500"}},
    {"{\"name\": \"export_500_body\", \"error\": [\"SR_BACKEND_FAILURE_46\", "
     "\"\", \"The VDI is not available\", \"\"]}",
     ERR_REMOTE,
     {"SR_BACKEND_FAILURE_46", "instead of the export"}},
    {"{\"name\": \"export_append_500\", \"after\": 3000000, \"error\": "
     "[\"VDI_IO_ERROR\", \"Device I/O errors\"]}",
     ERR_REMOTE,
     {"VDI_IO_ERROR", "broke off the export after 3000000 bytes"}},
    {"{\"name\": \"export_cut\", \"after\": 3000000}",
     ERR_REMOTE,
     {"the stream:"}},
    {"{\"name\": \"export_cut\", \"after\": 3000000, \"reset\": true}",
     ERR_REMOTE,
     {"the stream:"}},
    {"{\"name\": \"export_cut\", \"after\": 3000000, \"task\": \"success\"}",
     ERR_IO,
     {"cut short at byte 3000000"}},
    {"{\"name\": \"export_cut\", \"after\": 3000000, \"task\": \"success\", "
     "\"ms\": 200}",
     ERR_IO,
     {"cut short at byte 3000000"}},
    {"{\"name\": \"export_cut\", \"after\": 3000000, \"task\": \"pending\"}",
     ERR_IO,
     {"cut short at byte 3000000"}},
    {"{\"name\": \"export_no_end\"}",
     ERR_IO,
     {"the end of the archive is missing"}},
    {"{\"name\": \"export_tail\", \"bytes\": 3000}",
     ERR_PROTOCOL,
     {"behind the end of the archive"}},
    {"{\"name\": \"export_task_fail\", \"error\": [\"VDI_IO_ERROR\", \"x\"]}",
     ERR_REMOTE,
     {"VDI_IO_ERROR: x"}},
    {"{\"name\": \"task_fail\", \"error\": [\"INTERNAL_ERROR\", \"late\"]}",
     ERR_REMOTE,
     {"INTERNAL_ERROR: late"}},
    {"{\"name\": \"task_stuck\"}", ERR_TIMEOUT, {"task goes on"}},
    {"{\"name\": \"task_gone\"}", ERR_AGAIN, {"lost the task"}},
    {"{\"name\": \"export_bad_checksum\", \"block\": 2}",
     ERR_INTEGRITY,
     {"Ref:", ".xxhash at byte", "damaged"}},
    {"{\"name\": \"export_bad_data\", \"block\": 2}",
     ERR_INTEGRITY,
     {"damaged"}},
    {"{\"name\": \"export_no_checksum\", \"block\": 2}",
     ERR_PROTOCOL,
     {"should stand here"}},
    {"{\"name\": \"export_drop_block\", \"block\": -1}",
     ERR_PROTOCOL,
     {"its last blocks are missing"}},
    {"{\"name\": \"export_drop_block\", \"block\": 0}",
     ERR_PROTOCOL,
     {"first block is missing"}},
    {"{\"name\": \"export_repeat_block\", \"block\": 1}",
     ERR_PROTOCOL,
     {"a block twice"}},
    {"{\"name\": \"export_swap_disks\"}", ERR_PROTOCOL, {"is missing"}},
    {"{\"name\": \"export_bad_header\", \"block\": 1}",
     ERR_PROTOCOL,
     {"no tar header"}},
    {"{\"name\": \"export_ova\", \"text\": \"<value>nothing</value>\"}",
     ERR_PROTOCOL,
     {"ova.xml lists no objects"}},
    {"{\"name\": \"export_stall\", \"after\": 2000000}",
     ERR_TIMEOUT,
     {"stopped and does not go on"}},
    {"{\"name\": \"export_stall\", \"after\": 0}",
     ERR_TIMEOUT,
     {"does not begin"}},
    {"{\"name\": \"export_redirect\", \"url\": \"https://192.0.2.1/export\"}",
     ERR_PROTOCOL,
     {"sends us to 192.0.2.1, which is no host of this pool"}},
    {"{\"name\": \"export_redirect\", \"count\": 0}",
     ERR_PROTOCOL,
     {"to and fro"}},
    {"{\"name\": \"rpc_error\", \"method\": \"task.create\", \"error\": "
     "[\"INTERNAL_ERROR\", \"x\"]}",
     ERR_REMOTE,
     {"task.create: INTERNAL_ERROR: x"}},
};

static void each_way_to_fail_is_told(void **state)
{
    struct export_rig_taking p;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        export_rig_open_taking(&p);
        sim_fault(&rig->sim, "%s", rows[i].fault);
        export_rig_take(&p, export_rig.cold, false);
        if (p.end.err.code != rows[i].code)
            fail_msg("%s: %s: %s", rows[i].fault, err_name(p.end.err.code),
                     p.end.err.text);
        for (size_t k = 0; k < 3 && rows[i].words[k]; k++)
            if (!strstr(p.end.err.text, rows[i].words[k]))
                fail_msg("%s: no \"%s\" in \"%s\"", rows[i].fault,
                         rows[i].words[k], p.end.err.text);
        export_rig_close_taking(&p);
        sim_reset(&rig->sim);
    }
    /* and none of it harms the next one */
    expect_success(NULL, false);
}

static void what_is_wrong_from_the_start_is_told(void **state)
{
    struct export_rig_taking p;

    (void)state;
    export_rig_open_taking(&p);
    export_rig_take(&p, export_rig.hot, false); /* it runs */
    assert_int_equal(p.end.err.code, ERR_REMOTE);
    assert_non_null(strstr(p.end.err.text, "VM_BAD_POWER_STATE"));
    export_rig_close_taking(&p);
    export_rig_open_taking(&p);
    export_rig_take(&p, "OpaqueRef:00000000-0000-4000-8000-000000000000",
                    false);
    assert_int_not_equal(p.end.err.code, ERR_OK);
    export_rig_close_taking(&p);
}

/* A member whose certificate nobody accepted gets no byte of ours. */
static void a_member_without_trust_is_refused(void **state)
{
    struct pool_rig_opts o;
    struct export_rig_taking p;
    int64_t exports;

    (void)state;
    pool_rig_opts(rig, &o);
    o.session.peer_count = 1;
    pool_rig_session(rig, &o);
    pool_rig_opts_fini(&o);
    exports = sim_counter(&rig->sim, "exports");
    export_rig_open_taking(&p);
    sim_fault(&rig->sim, "{\"name\": \"export_redirect\"}");
    export_rig_take(&p, export_rig.cold, false);
    assert_int_equal(p.end.err.code, ERR_UNREACHABLE);
    assert_non_null(strstr(p.end.err.text, "no certificate of it"));
    assert_true(sim_counter(&rig->sim, "exports") <= exports + 1);
    export_rig_close_taking(&p);
}

static void a_pause_of_ours_is_no_stall(void **state)
{
    struct export_rig_taking p;

    (void)state;
    export_rig_open_taking(&p);
    /* nothing is taken for three times the limit */
    p.pause_at = 1000000;
    p.pause_ms = 3000;
    export_rig_take(&p, export_rig.cold, false);
    if (p.end.err.code != ERR_OK)
        fail_msg("%s", p.end.err.text);
    assert_int_equal(p.pause_at, 0); /* it was taken */
    export_rig_expect(&p);
    export_rig_close_taking(&p);
}

static void a_cancelled_export_ends_at_both_sides(void **state)
{
    static const size_t at[] = {1, 5000, 2000000};
    struct export_rig_taking p;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(at); i++) {
        export_rig_open_taking(&p);
        p.cut_at = at[i];
        sim_fault(&rig->sim, "{\"name\": \"export_slow\", \"rate\": 20000000}");
        export_rig_take(&p, export_rig.cold, false);
        assert_int_equal(p.end.err.code, ERR_CANCELLED);
        export_rig_close_taking(&p);
        sim_reset(&rig->sim);
    }
    export_rig_open_taking(&p);
    export_rig_begin(&p, export_rig.cold, false);
    xenapi_export_cancel(p.export); /* before there is a task */
    pool_rig_wait(rig, &p.end.done, 1);
    assert_int_equal(p.end.err.code, ERR_CANCELLED);
    export_rig_close_taking(&p);
}

/* A toolstack that comes back knows neither sessions nor tasks. */
static void on_p1_back(struct timer *t)
{
    sim_do(&rig->sim, "/sim/pool/restart",
           "{\"pool\": \"paris\", \"connections\": true}");
    export_rig_host_down("p1", false);
}

static void on_p2_back(struct timer *t)
{
    export_rig_host_down("p2", false);
}

static void on_given_up(struct timer *t)
{
    struct export_rig_taking *p =
        (struct export_rig_taking *)((char *)t -
                                     offsetof(struct export_rig_taking, later));

    xenapi_export_cancel(p->export);
}

static void to_a_host_that_is_down(struct export_rig_taking *p,
                                   void (*meanwhile)(struct timer *t),
                                   const char *down)
{
    export_rig_open_taking(p);
    p->down = down;
    if (strcmp(down, "p2") == 0)
        sim_fault(&rig->sim,
                  "{\"name\": \"export_redirect\", \"host\": \"p1\", "
                  "\"count\": 0}");
    export_rig_begin(p, export_rig.cold, false);
    if (meanwhile)
        timer_start(rig->loop, &p->later, 150, meanwhile);
    pool_rig_wait(rig, &p->end.done, 1);
    timer_stop(&p->later);
    export_rig_host_down(down, false);
}

static void a_host_that_is_not_heard_is_asked_again(void **state)
{
    struct export_rig_taking p;

    (void)state;
    to_a_host_that_is_down(&p, on_p2_back, "p2");
    if (p.end.err.code != ERR_OK)
        fail_msg("%s", p.end.err.text);
    assert_true(p.tickets > 1);
    export_rig_expect(&p);
    export_rig_close_taking(&p);
    sim_reset(&rig->sim);
    to_a_host_that_is_down(&p, on_p1_back, "p1");
    if (p.end.err.code != ERR_OK)
        fail_msg("%s", p.end.err.text);
    export_rig_expect(&p);
    export_rig_close_taking(&p);
}

static void a_host_that_stays_away_is_given_up(void **state)
{
    struct export_rig_taking p;

    (void)state;
    to_a_host_that_is_down(&p, NULL, "p2");
    assert_int_equal(p.end.err.code, ERR_UNREACHABLE);
    assert_true(p.tickets > 2);
    export_rig_close_taking(&p);
    to_a_host_that_is_down(&p, on_given_up, "p2");
    assert_int_equal(p.end.err.code, ERR_CANCELLED);
    export_rig_close_taking(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, pool_rig_before, \
                                                   export_rig_after)
        TEST(what_comes_is_what_lies_on_the_disks),
        TEST(all_ways_to_send_blocks_are_understood),
        TEST(a_redirect_to_a_member_is_followed),
        TEST(each_way_to_fail_is_told),
        TEST(what_is_wrong_from_the_start_is_told),
        TEST(a_member_without_trust_is_refused),
        TEST(a_pause_of_ours_is_no_stall),
        TEST(a_cancelled_export_ends_at_both_sides),
        TEST(a_host_that_is_not_heard_is_asked_again),
        TEST(a_host_that_stays_away_is_given_up),
    };
    struct err err;

    xml_setup();
    if (http_client_setup(&err) != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, export_rig_open, export_rig_close);
}
