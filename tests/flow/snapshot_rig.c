/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char pools[] =
    "[{\"name\": \"paris\", \"hosts\": [{\"name\": \"p1\"}, {\"name\": "
    "\"p2\"}],"
    "  \"srs\": [{\"name\": \"fast\"}],"
    "  \"vms\": [{\"name\": \"web\", \"other_config\": {\"owner\": \"acme\"},"
    "    \"disks\": [{\"size\": \"2 MiB\"}, {\"size\": \"1 MiB\"}],"
    "    \"nics\": [{\"network\": \"eth0\"}]}]}]";

struct snapshot_rig snapshot_rig;

static struct pool_rig *const rig = &snapshot_rig.pool;

int snapshot_rig_open(void **state)
{
    (void)state;
    pool_rig_open(rig, pools);
    snapshot_rig.web = pool_rig_ref(rig, "web");
    return 0;
}

int snapshot_rig_close(void **state)
{
    (void)state;
    free(snapshot_rig.web);
    pool_rig_close(rig);
    return 0;
}

int snapshot_rig_before(void **state)
{
    (void)state;
    sim_reset(&rig->sim);
    pool_rig_session(rig, NULL);
    return 0;
}

/* Whatever a test made must be gone: one VM with its dom0s, two disks. */
int snapshot_rig_after(void **state)
{
    (void)state;
    pool_rig_end_session(rig);
    assert_int_equal(sim_objects(&rig->sim, "VDI", NULL), 2);
    assert_int_equal(sim_objects(&rig->sim, "VM", "cairn/"), 0);
    assert_int_equal(sim_objects(&rig->sim, "task", NULL), 0);
    return 0;
}

void snapshot_rig_begin(struct pool_rig_end *e, const char *job,
                        struct xenapi_snapshot **op)
{
    const struct xenapi_snapshot_opts o = {
        .vm_ref = snapshot_rig.web,
        .vm_name = "web",
        .gateway = "gw1",
        .job = job,
        .done = pool_rig_on_inventory,
        .ctx = e,
    };
    struct err err = {0};

    pool_rig_end_init(rig, e);
    if (xenapi_snapshot_start(rig->session, &o, op, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(e->done, 0);
}

void snapshot_rig_make(struct pool_rig_end *e, const char *job)
{
    snapshot_rig_begin(e, job, NULL);
    pool_rig_wait(rig, &e->done, 1);
}

struct err snapshot_rig_remove_as(const struct xenapi_vm_remove_opts *opts)
{
    struct xenapi_vm_remove_opts o = *opts;
    struct pool_rig_end e;
    struct err err = {0};

    pool_rig_end_init(rig, &e);
    o.done = pool_rig_on_done;
    o.ctx = &e;
    assert_int_equal(xenapi_vm_remove(rig->session, &o, NULL, &err), ERR_OK);
    pool_rig_wait(rig, &e.done, 1);
    return e.err;
}

void snapshot_rig_remove(const char *ref)
{
    const struct xenapi_vm_remove_opts o = {.ref = ref, .snapshot = true};
    struct err err = snapshot_rig_remove_as(&o);

    if (err.code != ERR_OK)
        fail_msg("%s", err.text);
}

static void on_found(void *ctx, const struct err *err,
                     const struct xenapi_snapshot_found *found, size_t count)
{
    struct snapshot_rig_found *f = ctx;

    f->count = count;
    if (count > 0) {
        snprintf(f->job, sizeof(f->job), "%s", found[0].job);
        snprintf(f->name, sizeof(f->name), "%s", found[0].name);
        snprintf(f->vm, sizeof(f->vm), "%s", found[0].vm_ref);
        snprintf(f->ref, sizeof(f->ref), "%s", found[0].ref);
    }
    pool_rig_on_done(&f->end, err);
}

void snapshot_rig_find(const char *gateway, struct snapshot_rig_found *f)
{
    const struct xenapi_snapshot_find_opts o = {
        .gateway = gateway, .done = on_found, .ctx = f};
    struct err err = {0};

    memset(f, 0, sizeof(*f));
    pool_rig_end_init(rig, &f->end);
    assert_int_equal(xenapi_snapshot_find(rig->session, &o, &err), ERR_OK);
    pool_rig_wait(rig, &f->end.done, 1);
    assert_int_equal(f->end.err.code, ERR_OK);
}
