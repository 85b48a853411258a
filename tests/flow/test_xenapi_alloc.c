/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot, and an export, with each allocation of ours failing: done() comes
 * once, says that memory ran out or that it went well, and the pool is clean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "base/xml.h"
#include "pool_rig.h"
#include "xenapi/xenapi_export.h"
#include "xenapi/xenapi_snapshot.h"
#include "xenapi/xenapi_transfer.h"
#include "xenapi/xenapi_vm.h"

static const char pools[] =
    "[{\"name\": \"paris\", \"vms\": ["
    "  {\"name\": \"web\", \"disks\": [{\"size\": \"1 MiB\"}]},"
    "  {\"name\": \"cold\", \"power_state\": \"Halted\","
    "   \"disks\": [{\"size\": \"1 MiB\"}]}]}]";

static struct pool_rig rig;
static struct pool_rig_opts opts;
static char *web, *cold;

static int open_rig(void **state)
{
    (void)state;
    pool_rig_open(&rig, pools);
    pool_rig_opts(&rig, &opts);
    opts.session.timing.booting = 1;
    web = pool_rig_ref(&rig, "web");
    cold = pool_rig_ref(&rig, "cold");
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    pool_rig_opts_fini(&opts);
    free(web);
    free(cold);
    pool_rig_close(&rig);
    return 0;
}

/* Rounds that failed: early, and when something was under way that had to be
 * undone. How many there are hangs on the speed of the machine, since what goes
 * on beside (event.from, asking for hosts) costs no more than time when it
 * fails; that there are both does not. */
struct tally {
    unsigned early, late;
};

static void count(struct tally *t, const struct err *err, bool late)
{
    if (err->code == ERR_OK)
        return;
    if (late)
        t->late++;
    else
        t->early++;
}

/* Most allocations are nodes of answers; beyond the first hundred, every so
 * many will do. */
static unsigned next_round(unsigned n)
{
    return n < 150 ? n + 1 : n + 1 + n / 10;
}

static bool open_session(void)
{
    struct err err = {0};

    rig.closed = false;
    if (xenapi_session_new(&opts.session, &rig.session, &err) == ERR_OK)
        return true;
    assert_int_equal(err.code, ERR_NOMEM);
    rig.session = NULL;
    return false;
}

static void wait_for(struct pool_rig_end *e)
{
    pool_rig_wait(&rig, &e->done, 1);
    alloc_fail_off();
}

static void on_found(void *ctx, const struct err *err,
                     const struct xenapi_snapshot_found *found, size_t count)
{
    struct pool_rig_end *e = ctx;

    e->count = count;
    if (count > 0)
        snprintf(e->text, sizeof(e->text), "%s", found[0].ref);
    pool_rig_on_done(ctx, err);
}

static void remove_found(void)
{
    struct pool_rig_end e, removed;
    const struct xenapi_snapshot_find_opts fo = {
        .gateway = "gw1", .done = on_found, .ctx = &e};
    struct xenapi_vm_remove_opts ro = {
        .snapshot = true, .done = pool_rig_on_done, .ctx = &removed};
    struct err err = {0};

    pool_rig_end_init(&rig, &e);
    assert_int_equal(xenapi_snapshot_find(rig.session, &fo, &err), ERR_OK);
    pool_rig_wait(&rig, &e.done, 1);
    assert_int_equal(e.err.code, ERR_OK);
    if (e.count == 0)
        return;
    assert_int_equal(e.count, 1);
    pool_rig_end_init(&rig, &removed);
    ro.ref = e.text;
    assert_int_equal(xenapi_vm_remove(rig.session, &ro, NULL, &err), ERR_OK);
    pool_rig_wait(&rig, &removed.done, 1);
    if (removed.err.code != ERR_OK)
        fail_msg("%s", removed.err.text);
}

static void a_snapshot_or_no_memory(void **state)
{
    const struct xenapi_snapshot_opts so = {.vm_ref = web,
                                            .vm_name = "web",
                                            .gateway = "gw1",
                                            .job = "1",
                                            .done = pool_rig_on_inventory};
    struct tally failed = {0};
    int64_t seen = 0;
    unsigned n;

    (void)state;
    for (n = 1; alloc_fail_round(n); n = next_round(n)) {
        struct xenapi_snapshot_opts o = so;
        struct pool_rig_end e;
        struct err err = {0};
        int64_t made;

        pool_rig_end_init(&rig, &e);
        o.ctx = &e;
        if (!open_session())
            continue;
        if (xenapi_snapshot_start(rig.session, &o, NULL, &err) == ERR_OK)
            wait_for(&e);
        else
            e.err = err;
        alloc_fail_off();
        made = sim_rpc_count(&rig.sim, "Async.VM.snapshot");
        /* a timer or a discard that could not be had may cost nothing */
        if (e.err.code != ERR_OK && e.err.code != ERR_NOMEM)
            fail_msg("%u: %s: %s", n, err_name(e.err.code), e.err.text);
        if (!alloc_fail_happened() && e.err.code != ERR_OK)
            fail_msg("%u: failed, but nothing was refused", n);
        count(&failed, &e.err, made > seen);
        seen = made;
        remove_found();
        pool_rig_end_fini(&e);
        pool_rig_end_session(&rig);
        if (sim_objects(&rig.sim, "VDI", NULL) != 2)
            fail_msg("%u: a disk is left", n);
    }
    assert_true(failed.early > 0 && failed.late > 0);
}

struct taking {
    struct pool_rig_end end;
    struct xenapi_export *export;
    struct xenapi_transfer *transfer;
    uint64_t bytes;
};

static bool on_body(void *ctx, const uint8_t *data, size_t len)
{
    ((struct taking *)ctx)->bytes += len;
    return true;
}

static void on_taken(void *ctx, const struct err *err, uint64_t bytes)
{
    struct taking *t = ctx;

    xenapi_export_streamed(t->export, err);
}

static void on_ready(void *ctx, struct xenapi_ticket *ticket)
{
    struct taking *t = ctx;
    const struct xenapi_transfer_opts o = {.loop = rig.loop,
                                           .client = rig.client,
                                           .ticket = ticket,
                                           .on_body = on_body,
                                           .done = on_taken,
                                           .ctx = t};
    struct err err = {0};

    if (xenapi_transfer_start(&o, &t->transfer, &err) != ERR_OK)
        xenapi_export_streamed(t->export, &err);
}

static void an_export_or_no_memory(void **state)
{
    struct tally failed = {0};
    unsigned n;

    (void)state;
    for (n = 1; alloc_fail_round(n); n = next_round(n)) {
        struct taking t = {0};
        const struct xenapi_export_opts o = {.ref = cold,
                                             .label = "a test",
                                             .ready = on_ready,
                                             .done = pool_rig_on_done,
                                             .ctx = &t};
        struct err err = {0};

        pool_rig_end_init(&rig, &t.end);
        if (!open_session())
            continue;
        if (xenapi_export_start(rig.session, &o, &t.export, &err) == ERR_OK)
            wait_for(&t.end);
        else
            t.end.err = err;
        alloc_fail_off();
        if (t.end.err.code != ERR_OK && t.end.err.code != ERR_NOMEM)
            fail_msg("%u: %s: %s", n, err_name(t.end.err.code), t.end.err.text);
        assert_true(t.end.err.code != ERR_OK || t.bytes > 1 << 20);
        if (!alloc_fail_happened() && t.end.err.code != ERR_OK)
            fail_msg("%u: failed, but nothing was refused", n);
        count(&failed, &t.end.err, t.export != NULL);
        pool_rig_end_session(&rig);
    }
    assert_true(failed.early > 0 && failed.late > 0);
}

/* Tasks that have not ended. */
static size_t pending_tasks(void)
{
    struct json *all =
        sim_call(&rig.sim, "/sim/records?pool=paris&class=task", NULL);
    size_t n = 0;

    for (size_t i = 0; i < json_count(all); i++) {
        const struct json *record = NULL;

        json_key_at(all, i, &record);
        n += strcmp(json_text(json_get(record, "status"), ""), "pending") == 0;
    }
    json_free(all);
    return n;
}

/* What is not made to fail is the end of it. */
static void on_ready_to_stop(void *ctx, struct xenapi_ticket *ticket)
{
    struct taking *t = ctx;
    struct err err;

    (void)ticket;
    alloc_fail_off();
    err_set(&err, ERR_NOMEM, 0, "a pipe");
    xenapi_export_streamed(t->export, &err);
}

/* A task of ours that nobody streams for ends by our word alone. */
static void an_export_that_cannot_begin_leaves_no_task(void **state)
{
    unsigned n;

    (void)state;
    assert_true(open_session());
    for (n = 1; alloc_fail_round(n); n++) {
        struct taking t = {0};
        const struct xenapi_export_opts o = {.ref = cold,
                                             .label = "a test",
                                             .gateway = "gw1",
                                             .job = "1",
                                             .ready = on_ready_to_stop,
                                             .done = pool_rig_on_done,
                                             .ctx = &t};
        struct err err = {0};

        pool_rig_end_init(&rig, &t.end);
        if (xenapi_export_start(rig.session, &o, &t.export, &err) == ERR_OK)
            wait_for(&t.end);
        else
            t.end.err = err;
        alloc_fail_off();
        assert_int_equal(t.end.err.code, ERR_NOMEM);
        for (int i = 0; i < 500 && pending_tasks() > 0; i++)
            pool_rig_run_ms(&rig, 10);
        if (pending_tasks() > 0)
            fail_msg("%u: a task is left", n);
    }
    assert_true(n > 5);
    pool_rig_end_session(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_or_no_memory),
        cmocka_unit_test(an_export_or_no_memory),
        cmocka_unit_test(an_export_that_cannot_begin_leaves_no_task),
    };
    struct err err;

    xml_setup();
    if (http_client_setup(&err) != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, open_rig, close_rig);
}
