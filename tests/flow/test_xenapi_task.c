/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks of ours that a crash left in a pool are found by their mark and taken
 * away; nobody else's are touched. */
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
#include "xenapi/xenapi_export.h"
#include "xenapi/xenapi_task.h"

static const char pools[] =
    "[{\"name\": \"paris\", \"vms\": ["
    "  {\"name\": \"cold\", \"power_state\": \"Halted\","
    "   \"disks\": [{\"size\": \"1 MiB\"}]}]}]";

static struct pool_rig rig;

static int open_rig(void **state)
{
    (void)state;
    pool_rig_open(&rig, pools);
    pool_rig_session(&rig, NULL);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    pool_rig_close(&rig);
    return 0;
}

static void make_task(const char *label, const char *description,
                      const char *status)
{
    struct pool_rig_end e, set;

    pool_rig_call(&rig, &e, "task.create",
                  xenapi_call_params("ss", label, description), false);
    assert_int_equal(e.err.code, ERR_OK);
    if (status) {
        pool_rig_call(&rig, &set, "task.set_status",
                      xenapi_call_params("ss", e.text, status), false);
        assert_int_equal(set.err.code, ERR_OK);
        pool_rig_end_fini(&set);
    }
    pool_rig_end_fini(&e);
}

static bool spare_job_7(void *ctx, const char *job)
{
    return strcmp(job, "7") == 0;
}

static void sweep(struct pool_rig_end *e, const char *gateway,
                  bool (*spare)(void *ctx, const char *job))
{
    const struct xenapi_task_sweep_opts o = {.gateway = gateway,
                                             .spare = spare,
                                             .done = pool_rig_on_count,
                                             .ctx = e};
    struct err err = {0};

    pool_rig_end_init(&rig, e);
    assert_int_equal(xenapi_task_sweep(rig.session, &o, &err), ERR_OK);
    pool_rig_wait(&rig, &e->done, 1);
}

static void what_a_gateway_left_behind_is_swept_and_nothing_else(void **state)
{
    struct pool_rig_end e;

    (void)state;
    make_task("cairn backup of web", "cairn/gw1/6", NULL);
    make_task("cairn backup of web", "cairn/gw1/7", NULL);
    make_task("cairn backup of web", "cairn/gw1/8", "success");
    make_task("cairn backup of web", "cairn/gw10/6", NULL);
    make_task("cairn backup of web", "", NULL);
    make_task("cairn/gw1/6", "somebody's", NULL);

    sweep(&e, "gw1", spare_job_7);
    assert_int_equal(e.err.code, ERR_OK);
    assert_int_equal(e.count, 2);
    assert_int_equal(sim_objects(&rig.sim, "task", NULL), 4);
    sweep(&e, "gw1", NULL);
    assert_int_equal(e.count, 1);
    sweep(&e, "gw1", NULL);
    assert_int_equal(e.count, 0);
    assert_int_equal(e.err.code, ERR_OK);
    assert_int_equal(sim_objects(&rig.sim, "task", NULL), 3);
}

static void a_sweep_that_finds_no_pool_says_so(void **state)
{
    struct pool_rig_end e;

    (void)state;
    make_task("cairn backup of web", "cairn/gw1/6", NULL);
    sim_do(&rig.sim, "/sim/host/down", "{\"host\": \"paris-1\"}");
    sweep(&e, "gw1", NULL);
    assert_int_equal(e.err.code, ERR_UNREACHABLE);
    assert_int_equal(e.count, 0);
    sim_do(&rig.sim, "/sim/host/down",
           "{\"host\": \"paris-1\", \"down\": false}");
    sweep(&e, "gw1", NULL);
    assert_int_equal(e.err.code, ERR_OK);
    assert_int_equal(e.count, 1);
}

/* Until the pool is as it was; it is asked in the background. */
static void gone_within(unsigned ms, size_t tasks)
{
    for (unsigned i = 0; i < ms / 10; i++) {
        if (sim_objects(&rig.sim, "task", NULL) == tasks)
            return;
        pool_rig_run_ms(&rig, 10);
    }
    assert_int_equal(sim_objects(&rig.sim, "task", NULL), tasks);
}

static void a_task_is_removed_though_the_pool_says_no_at_first(void **state)
{
    static const char *const faults[] = {
        "{\"name\": \"rpc_error\", \"method\": \"task.destroy\", \"count\": "
        "2, \"error\": [\"INTERNAL_ERROR\", \"x\"]}",
        "{\"name\": \"http_431\", \"method\": \"task.destroy\", \"count\": "
        "2}",
    };
    struct pool_rig_end e;
    size_t before;

    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        before = sim_objects(&rig.sim, "task", NULL);
        pool_rig_call(&rig, &e, "task.create",
                      xenapi_call_params("ss", "cairn backup", "cairn/gw1/1"),
                      false);
        assert_int_equal(e.err.code, ERR_OK);
        sim_fault(&rig.sim, "%s", faults[i]);
        xenapi_task_abandon(rig.session, e.text);
        gone_within(20000, before);
        sim_reset(&rig.sim);
        pool_rig_end_fini(&e);
    }
}

struct begun {
    struct pool_rig_end end;
    unsigned ready;
};

static void on_ready(void *ctx, struct xenapi_ticket *ticket)
{
    struct begun *b = ctx;

    b->ready++;
    pool_rig_wake(&rig);
}

static void the_task_of_an_export_carries_its_mark(void **state)
{
    char *cold = pool_rig_ref(&rig, "cold");
    struct begun b = {0};
    const struct xenapi_export_opts o = {.ref = cold,
                                         .label = "cairn backup of cold",
                                         .gateway = "gw1",
                                         .job = "9",
                                         .ready = on_ready,
                                         .done = pool_rig_on_done,
                                         .ctx = &b};
    struct xenapi_export *x = NULL;
    struct pool_rig_end e;
    struct err err = {0};

    (void)state;
    pool_rig_end_init(&rig, &b.end);
    assert_int_equal(xenapi_export_start(rig.session, &o, &x, &err), ERR_OK);
    pool_rig_wait(&rig, &b.ready, 1);
    sweep(&e, "gw1", NULL); /* as another process would */
    assert_int_equal(e.count, 1);
    err_set(&err, ERR_IO, 0, "never begun");
    xenapi_export_streamed(x, &err);
    pool_rig_wait(&rig, &b.end.done, 1);
    assert_int_not_equal(b.end.err.code, ERR_OK);
    free(cold);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            what_a_gateway_left_behind_is_swept_and_nothing_else),
        cmocka_unit_test(the_task_of_an_export_carries_its_mark),
        cmocka_unit_test(a_task_is_removed_though_the_pool_says_no_at_first),
        cmocka_unit_test(a_sweep_that_finds_no_pool_says_so),
    };
    struct err err;

    xml_setup();
    if (http_client_setup(&err) != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, open_rig, close_rig);
}
