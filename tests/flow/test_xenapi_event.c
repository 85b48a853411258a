/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks end, by events or without; their progress is seen. */
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
#include "xenapi/xenapi_task.h"

static struct pool_rig *const rig = &snapshot_rig.pool;

static void expect_task_end(enum err_code code)
{
    struct pool_rig_end e;

    pool_rig_call(
        rig, &e, "VM.snapshot",
        xenapi_call_params("ss", snapshot_rig.web, "cairn/gw1/30 web"), true);
    if (e.err.code != code)
        fail_msg("%s: %s", err_name(e.err.code), e.err.text);
    if (code == ERR_OK)
        snapshot_rig_remove(e.text);
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

        pool_rig_opts(rig, &o);
        o.session.timing.poll = 200;
        pool_rig_session(rig, &o);
        pool_rig_opts_fini(&o);
        sim_fault(&rig->sim, "%s", rows[i]);
        sim_fault(&rig->sim, "{\"name\": \"rpc_delay\", \"ms\": 150, "
                             "\"method\": \"VM.snapshot\"}");
        expect_task_end(ERR_OK);
        sim_reset(&rig->sim);
    }
}

/* With a poll that never comes, events alone tell of the end. */
static void tasks_end_by_events_alone(void **state)
{
    struct pool_rig_opts o;

    (void)state;
    pool_rig_opts(rig, &o);
    o.session.timing.poll = 1000 * 1000;
    pool_rig_session(rig, &o);
    pool_rig_opts_fini(&o);
    sim_fault(&rig->sim, "{\"name\": \"rpc_delay\", \"ms\": 300, "
                         "\"method\": \"VM.snapshot\"}");
    expect_task_end(ERR_OK);
}

static void a_restart_of_the_toolstack_ends_tasks(void **state)
{
    struct pool_rig_end e;
    const struct xenapi_call_opts o = {
        .method = "VM.snapshot",
        .params =
            xenapi_call_params("ss", snapshot_rig.web, "cairn/gw1/31 web"),
        .async = true,
        .done = pool_rig_on_call,
        .ctx = &e,
    };
    struct err err = {0};
    struct snapshot_rig_found f;

    (void)state;
    sim_fault(&rig->sim, "{\"name\": \"rpc_delay\", \"ms\": 400, "
                         "\"method\": \"VM.snapshot\"}");
    pool_rig_end_init(rig, &e);
    assert_int_equal(xenapi_call_start(rig->session, &o, NULL, &err), ERR_OK);
    pool_rig_run_ms(rig, 200);
    sim_do(&rig->sim, "/sim/pool/restart", "{\"pool\": \"paris\"}");
    pool_rig_wait(rig, &e.done, 1);
    if (e.err.code != ERR_AGAIN)
        fail_msg("%s: %s", err_name(e.err.code), e.err.text);
    pool_rig_end_fini(&e);
    pool_rig_run_ms(rig, 500); /* whether the work went on or not */
    snapshot_rig_find("gw1", &f);
    if (f.count > 0)
        snapshot_rig_remove(f.ref);
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
    pool_rig_call(rig, &made, "task.create",
                  xenapi_call_params("ss", "a task", ""), false);
    pool_rig_end_init(rig, &e);
    last_fraction = 0;
    o.ref = made.text;
    assert_int_equal(xenapi_task_watch(rig->session, &o, &t, &err), ERR_OK);
    pool_rig_end_fini(&e);
    for (int i = 1; i <= 3; i++) {
        struct pool_rig_end set;

        pool_rig_call(rig, &set, "task.set_progress",
                      xenapi_call_params("sd", made.text, i * 0.25), false);
        assert_int_equal(set.err.code, ERR_OK);
        pool_rig_end_fini(&set);
        for (int k = 0; k < 100 && last_fraction < i * 0.25; k++)
            pool_rig_run_ms(rig, 20);
        assert_true(last_fraction == i * 0.25);
    }
    {
        struct pool_rig_end set;

        pool_rig_call(rig, &set, "task.set_status",
                      xenapi_call_params("ss", made.text, "cancelled"), false);
        pool_rig_end_fini(&set);
    }
    pool_rig_wait(rig, &e.done, 1);
    assert_int_equal(e.err.code, ERR_CANCELLED);
    xenapi_task_discard(rig->session, made.text, false);
    pool_rig_run_ms(rig, 100);
    /* one that does not exist has vanished */
    pool_rig_end_fini(&e);
    assert_int_equal(xenapi_task_watch(rig->session, &o, &t, &err), ERR_OK);
    pool_rig_wait(rig, &e.done, 1);
    assert_int_equal(e.err.code, ERR_AGAIN);
    pool_rig_end_fini(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name)                                             \
    cmocka_unit_test_setup_teardown(name, snapshot_rig_before, \
                                    snapshot_rig_after)
        TEST(tasks_end_whatever_becomes_of_events),
        TEST(tasks_end_by_events_alone),
        TEST(a_restart_of_the_toolstack_ends_tasks),
        TEST(progress_and_cancel_of_a_task_are_seen),
    };
    struct err err;

    xml_setup();
    if (http_client_setup(&err) != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, snapshot_rig_open, snapshot_rig_close);
}
