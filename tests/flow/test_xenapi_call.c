/* SPDX-License-Identifier: Apache-2.0 */
/* Single calls: asked again or not, many at once, long answers, their end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/xml.h"
#include "pool_rig.h"

static const char pools[] =
    "[{\"name\": \"paris\", \"vms\": [{\"name\": \"web\"},"
    "  {\"name\": \"db\", \"power_state\": \"Halted\"},"
    "  {\"name\": \"tpl\", \"power_state\": \"Halted\"}]}]";

static struct pool_rig rig;

static int open_rig(void **state)
{
    *state = &rig;
    pool_rig_open(&rig, pools);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    pool_rig_close(&rig);
    return 0;
}

static void what_only_reads_is_asked_again(void **state)
{
    struct pool_rig_end e;

    (void)state;
    pool_rig_expect(&rig);
    sim_fault(&rig.sim, "{\"name\": \"rpc_close\", \"count\": 2, "
                        "\"method\": \"VM.get_by_uuid\"}");
    pool_rig_expect(&rig);
    sim_fault(&rig.sim, "{\"name\": \"rpc_close\", \"count\": 0, "
                        "\"method\": \"VM.get_by_uuid\"}");
    pool_rig_ask(&rig, &e);
    assert_int_equal(e.err.code, ERR_IO);
    pool_rig_end_fini(&e);
    sim_reset(&rig.sim);
    sim_fault(&rig.sim, "{\"name\": \"rpc_close\", \"count\": 1, "
                        "\"method\": \"VM.add_tags\"}");
    char *ref = pool_rig_ref(&rig, "web");

    pool_rig_call(&rig, &e, "VM.add_tags", xenapi_call_params("ss", ref, "new"),
                  false);
    assert_int_equal(e.err.code, ERR_IO);
    assert_int_equal(sim_rpc_count(&rig.sim, "VM.add_tags"), 1);
    pool_rig_end_fini(&e);
    free(ref);
}

static void answers_that_are_none_are_asked_for_again(void **state)
{
    (void)state;
    sim_fault(&rig.sim, "{\"name\": \"rpc_500\", "
                        "\"method\": \"VM.get_by_uuid\"}");
    sim_fault(&rig.sim, "{\"name\": \"rpc_garbage\", "
                        "\"method\": \"VM.get_by_uuid\"}");
    pool_rig_expect(&rig);
    /* The 500 came instead of it. */
    assert_int_equal(sim_rpc_count(&rig.sim, "VM.get_by_uuid"), 2);
}

static void answers_that_are_none_are_told(void **state)
{
    struct pool_rig_end e;

    (void)state;
    pool_rig_expect(&rig);
    sim_fault(&rig.sim, "{\"name\": \"rpc_500\", \"count\": 3, "
                        "\"method\": \"VM.get_by_uuid\"}");
    pool_rig_ask(&rig, &e);
    assert_int_equal(e.err.code, ERR_REMOTE);
    assert_int_equal(e.err.detail, 500);
    pool_rig_end_fini(&e);
    sim_fault(&rig.sim, "{\"name\": \"rpc_garbage\", \"count\": 3, "
                        "\"method\": \"VM.get_by_uuid\"}");
    pool_rig_ask(&rig, &e);
    assert_int_equal(e.err.code, ERR_PROTOCOL);
    assert_non_null(strstr(e.err.text, "VM.get_by_uuid: "));
    pool_rig_end_fini(&e);
}

/* Many at once: at most 20 are on their way, all are answered. */
static void a_crowd_of_calls_is_served(void **state)
{
    enum { MANY = 300 };
    static struct pool_rig_end ends[MANY];
    struct xenapi_call_opts o = {.method = "VM.get_by_uuid",
                                 .done = pool_rig_on_call};
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        pool_rig_end_init(&rig, &ends[i]);
        o.params = xenapi_call_params("s", pool_rig_vm(&rig, "db"));
        o.ctx = &ends[i];
        assert_int_equal(xenapi_call_start(rig.session, &o, NULL, &err),
                         ERR_OK);
    }
    for (size_t i = 0; i < MANY; i++) {
        pool_rig_wait(&rig, &ends[i].done, 1);
        assert_int_equal(ends[i].err.code, ERR_OK);
        pool_rig_end_fini(&ends[i]);
    }
    assert_true(sim_counter(&rig.sim, "connections") <= 21);
}

static void make_task(void)
{
    struct pool_rig_end e;

    pool_rig_call(&rig, &e, "task.create",
                  xenapi_call_params("ss", "a task", "of a test"), false);
    if (e.err.code != ERR_OK)
        fail_msg("%s", e.err.text);
    pool_rig_end_fini(&e);
}

/* Neither does a call that must not be done twice go into a connection that
 * has ended. */
static void calls_that_write_share_a_connection_while_it_lasts(void **state)
{
    long had;

    (void)state;
    make_task();
    had = sim_counter(&rig.sim, "connections");
    for (int i = 0; i < 10; i++)
        make_task();
    /* one more where this machine slept for two seconds */
    assert_true(sim_counter(&rig.sim, "connections") < had + 5);
    sim_do(&rig.sim, "/sim/pool/restart",
           "{\"pool\": \"paris\", \"connections\": true}");
    pool_rig_run_ms(&rig, 100);
    make_task();
    assert_true(sim_counter(&rig.sim, "connections") > had);
}

/* Answers over 64 KiB are parsed on the lane; cancelling meanwhile is fine. */
static void long_answers_are_parsed_aside(void **state)
{
    enum { MANY = 40 };
    struct pool_rig_opts o;
    struct pool_rig_end e;
    const struct xenapi_inventory_opts io = {.done = pool_rig_on_inventory,
                                             .ctx = &e};
    struct xenapi_inventory_op *op = NULL;
    struct lane *lane = NULL;
    struct err err = {0};

    (void)state;
    for (int i = 0; i < MANY; i++)
        sim_do(&rig.sim, "/sim/vm/add",
               "{\"pool\": \"paris\", \"vm\": {\"name\": \"extra-%d\", "
               "\"power_state\": \"Halted\"}}",
               i);
    assert_int_equal(lane_new("parse", 1, 8, &lane, &err), ERR_OK);
    pool_rig_opts(&rig, &o);
    o.session.lane = lane;
    pool_rig_session(&rig, &o);
    pool_rig_opts_fini(&o);
    pool_rig_inventory(&rig, &e, NULL);
    assert_int_equal(e.err.code, ERR_OK);
    assert_int_equal(e.inventory->vm_count, 3 + MANY);
    pool_rig_end_fini(&e);
    for (unsigned ms = 0; ms < 60; ms += 6) {
        assert_int_equal(xenapi_inventory_start(rig.session, &io, &op, &err),
                         ERR_OK);
        pool_rig_run_ms(&rig, ms);
        if (!e.done)
            xenapi_inventory_cancel(op);
        pool_rig_wait(&rig, &e.done, 1);
        pool_rig_end_fini(&e);
    }
    pool_rig_end_session(&rig);
    assert_true(lane_free(lane, 10000));
    for (int i = 0; i < MANY; i++)
        sim_do(&rig.sim, "/sim/vm/remove", "{\"vm\": \"extra-%d\"}", i);
}

static void closing_ends_what_is_under_way(void **state)
{
    struct pool_rig_end call, inventory, task;
    struct xenapi_call_opts o = {
        .method = "VM.get_by_uuid", .done = pool_rig_on_call, .ctx = &call};
    const struct xenapi_inventory_opts io = {.done = pool_rig_on_inventory,
                                             .ctx = &inventory};
    struct err err = {0};
    char *ref = pool_rig_ref(&rig, "db");

    (void)state;
    pool_rig_expect(&rig);
    sim_fault(&rig.sim,
              "{\"name\": \"rpc_delay\", \"ms\": 20000, \"count\": 0}");
    pool_rig_end_init(&rig, &call);
    pool_rig_end_init(&rig, &inventory);
    pool_rig_end_init(&rig, &task);
    o.params = xenapi_call_params("s", pool_rig_vm(&rig, "db"));
    assert_int_equal(xenapi_call_start(rig.session, &o, NULL, &err), ERR_OK);
    assert_int_equal(xenapi_inventory_start(rig.session, &io, NULL, &err),
                     ERR_OK);
    o.method = "VM.start";
    o.async = true;
    o.params = xenapi_call_params("sbb", ref, true, false);
    o.ctx = &task;
    assert_int_equal(xenapi_call_start(rig.session, &o, NULL, &err), ERR_OK);
    pool_rig_run_ms(&rig, 200);
    sim_reset(&rig.sim); /* let the farewell through */
    pool_rig_end_session(&rig);
    assert_int_equal(call.done, 1);
    assert_int_equal(call.err.code, ERR_CANCELLED);
    assert_int_equal(inventory.done, 1);
    assert_int_equal(inventory.err.code, ERR_CANCELLED);
    assert_int_equal(task.done, 1);
    assert_int_equal(task.err.code, ERR_CANCELLED);
    free(ref);
}

static void a_cancelled_call_says_so(void **state)
{
    struct pool_rig_end e;
    struct xenapi_call_opts o = {
        .method = "VM.get_by_uuid", .done = pool_rig_on_call, .ctx = &e};
    struct xenapi_call *c = NULL;
    struct err err = {0};

    (void)state;
    for (unsigned ms = 0; ms < 3; ms++) { /* waiting to log in, posted */
        if (ms == 2)
            pool_rig_expect(&rig);
        sim_fault(&rig.sim,
                  "{\"name\": \"rpc_delay\", \"ms\": 300, \"count\": 1, "
                  "\"method\": \"%s\"}",
                  ms == 2 ? "VM.get_by_uuid" : "session.login_with_password");
        pool_rig_end_init(&rig, &e);
        o.params = xenapi_call_params("s", pool_rig_vm(&rig, "db"));
        assert_int_equal(xenapi_call_start(rig.session, &o, &c, &err), ERR_OK);
        pool_rig_run_ms(&rig, ms * 50 + 1);
        xenapi_call_cancel(c);
        assert_int_equal(e.done, 0);
        pool_rig_wait(&rig, &e.done, 1);
        assert_int_equal(e.err.code, ERR_CANCELLED);
        pool_rig_end_fini(&e);
        if (ms < 2)
            pool_rig_session(&rig, NULL);
    }
    o.timeout_ms = 50;
    sim_fault(&rig.sim, "{\"name\": \"rpc_delay\", \"ms\": 2000, "
                        "\"method\": \"VM.get_by_uuid\"}");
    o.params = xenapi_call_params("s", pool_rig_vm(&rig, "db"));
    assert_int_equal(xenapi_call_start(rig.session, &o, &c, &err), ERR_OK);
    pool_rig_wait(&rig, &e.done, 1);
    assert_int_equal(e.err.code, ERR_TIMEOUT);
    pool_rig_end_fini(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, pool_rig_before, \
                                                   pool_rig_after)
        TEST(what_only_reads_is_asked_again),
        TEST(answers_that_are_none_are_asked_for_again),
        TEST(answers_that_are_none_are_told),
        TEST(a_crowd_of_calls_is_served),
        TEST(calls_that_write_share_a_connection_while_it_lasts),
        TEST(long_answers_are_parsed_aside),
        TEST(closing_ends_what_is_under_way),
        TEST(a_cancelled_call_says_so),
    };
    struct err err;

    xml_setup();
    if (http_client_setup(&err) != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, open_rig, close_rig);
}
