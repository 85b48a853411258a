/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   tasks -> [snapshots that are being made: waited for] -> half-imported VMs
 *     -> snapshots -> their disks without a VM
 *
 * A failure at one thing is kept; the rest is tried all the same, unless the
 * pool cannot be asked at all.
 */
#include "xenapi/xenapi_sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xenapi/xenapi_flow.h"
#include "xenapi/xenapi_remove.h"
#include "xenapi/xenapi_snapshot.h"
#include "xenapi/xenapi_task.h"

#define GATEWAY_MAX 80
#define POLL_MS 300
#define POLLS 200 /* for snapshots that are being made */

struct thing {
    char ref[XENAPI_REF_MAX];
};

struct xenapi_sweep {
    struct xenapi_flow flow;
    struct xenapi_sweep_opts opts;
    char gateway[GATEWAY_MAX];
    unsigned polls;
    struct thing *things; /* VMs, then snapshots */
    size_t count, next;
    bool snapshots; /* what the things are */
    struct xenapi_remove *removing;
    struct xenapi_sweep_figures figures;
    struct err err;
};

static struct xenapi_sweep *of(struct xenapi_flow *f)
{
    return (struct xenapi_sweep *)((char *)f -
                                   offsetof(struct xenapi_sweep, flow));
}

/* ---- marks ---- */

const char *xenapi_sweep_vm_mark(const char *gateway, const char *job,
                                 char out[XENAPI_SWEEP_MARK])
{
    snprintf(out, XENAPI_SWEEP_MARK, "%s/%s", gateway, job);
    return out;
}

/* Whether a mark that begins so is ours and its job does not live. */
static bool is_left(const struct xenapi_sweep *w, const char *mark)
{
    size_t n = strlen(w->gateway);

    return strncmp(mark, w->gateway, n) == 0 && mark[n] == '/' &&
           mark[n + 1] && !w->opts.is_live(w->opts.ctx, mark + n + 1);
}

static void things_clear(struct xenapi_sweep *w)
{
    free(w->things);
    w->things = NULL;
    w->count = w->next = 0;
}

static bool thing_add(struct xenapi_sweep *w, const char *ref)
{
    struct thing *things;

    if (strlen(ref) >= XENAPI_REF_MAX)
        return true;
    things = realloc(w->things, (w->count + 1) * sizeof(*things));
    if (!things) {
        err_set(&w->err, ERR_NOMEM, 0, "what is left in a pool");
        return false;
    }
    w->things = things;
    snprintf(things[w->count++].ref, XENAPI_REF_MAX, "%s", ref);
    return true;
}

/* ---- the end ---- */

static void finish(struct xenapi_sweep *w)
{
    xenapi_flow_fini(&w->flow);
    if (w->flow.cancelled)
        err_set(&w->err, ERR_CANCELLED, 0, "cancelled");
    w->opts.done(w->opts.ctx, &w->err, &w->figures);
    free(w->things);
    free(w);
}

static void on_disks(void *ctx, const struct err *err, size_t removed)
{
    struct xenapi_sweep *w = ctx;

    w->figures.disks = removed;
    err_keep(&w->err, err);
    finish(w);
}

static void sweep_disks(struct xenapi_sweep *w)
{
    const struct xenapi_snapshot_sweep_opts o = {
        .gateway = w->gateway,
        .done = on_disks,
        .ctx = w,
    };
    struct err err = {0};

    if (!w->flow.cancelled &&
        xenapi_snapshot_sweep(w->flow.session, &o, &err) == ERR_OK)
        return;
    err_keep(&w->err, &err);
    finish(w);
}

/* ---- VMs and snapshots ---- */

static void find_snapshots(struct xenapi_sweep *w);
static void remove_next(struct xenapi_sweep *w);

static void on_removed(void *ctx, const struct err *err)
{
    struct xenapi_sweep *w = ctx;

    w->removing = NULL;
    if (err->code != ERR_OK)
        err_keep(&w->err, err);
    else if (w->snapshots)
        w->figures.snapshots++;
    else
        w->figures.vms++;
    remove_next(w);
}

static void remove_next(struct xenapi_sweep *w)
{
    struct xenapi_remove_opts o = {
        .snapshot = w->snapshots,
        .done = on_removed,
        .ctx = w,
    };
    struct err err = {0};

    while (w->next < w->count && !w->flow.cancelled) {
        o.ref = w->things[w->next++].ref;
        if (xenapi_remove_start(w->flow.session, &o, &w->removing, &err) ==
            ERR_OK)
            return;
        err_keep(&w->err, &err);
    }
    if (w->snapshots)
        sweep_disks(w);
    else
        find_snapshots(w);
}

static void on_snapshots(void *ctx, const struct err *err,
                         const struct xenapi_snapshot_found *found,
                         size_t count)
{
    struct xenapi_sweep *w = ctx;

    err_keep(&w->err, err);
    w->snapshots = true;
    for (size_t i = 0; i < count; i++)
        if (!w->opts.is_live(w->opts.ctx, found[i].job) &&
            !thing_add(w, found[i].ref))
            break;
    remove_next(w);
}

static void find_snapshots(struct xenapi_sweep *w)
{
    const struct xenapi_snapshot_find_opts o = {
        .gateway = w->gateway,
        .done = on_snapshots,
        .ctx = w,
    };
    struct err err = {0};

    things_clear(w);
    if (!w->flow.cancelled &&
        xenapi_snapshot_find(w->flow.session, &o, &err) == ERR_OK)
        return;
    err_keep(&w->err, &err);
    finish(w);
}

static void on_vms(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_sweep *w = of(f);
    size_t n = xmlrpc_count(a->value);
    struct xmlrpc *vm = NULL;

    if (a->err->code != ERR_OK) {
        err_keep(&w->err, a->err);
        finish(w);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const char *ref = xmlrpc_name_at(a->value, i, &vm);

        if (ref && !xmlrpc_bool(xmlrpc_get(vm, "is_a_snapshot"), true) &&
            !xmlrpc_bool(xmlrpc_get(vm, "is_control_domain"), true) &&
            is_left(w, xmlrpc_get_text(xmlrpc_get(vm, "other_config"),
                                       XENAPI_SWEEP_KEY)) &&
            !thing_add(w, ref))
            break;
    }
    remove_next(w);
}

static void find_vms(struct xenapi_sweep *w)
{
    things_clear(w);
    xenapi_flow_call(&w->flow, "VM.get_all_records", xenapi_call_params(""),
                     on_vms);
}

/* ---- snapshots that are being made ---- */

static void look_at_tasks(struct xenapi_sweep *w);

static void on_poll(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_sweep *w = of(f);

    if (a->err->code == ERR_OK) {
        look_at_tasks(w);
        return;
    }
    err_keep(&w->err, a->err);
    finish(w);
}

static bool is_snapshotting(const struct xmlrpc *task)
{
    const char *status = xmlrpc_get_text(task, "status");

    return strstr(xmlrpc_get_text(task, "name_label"), "VM.snapshot") &&
           (strcmp(status, "pending") == 0 ||
            strcmp(status, "cancelling") == 0);
}

static void on_tasks(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_sweep *w = of(f);
    size_t n = xmlrpc_count(a->value);
    struct xmlrpc *task = NULL;

    if (a->err->code != ERR_OK) {
        err_keep(&w->err, a->err);
        finish(w);
        return;
    }
    w->figures.snapshotting = false;
    for (size_t i = 0; i < n; i++)
        if (xmlrpc_name_at(a->value, i, &task) && is_snapshotting(task))
            w->figures.snapshotting = true;
    if (w->figures.snapshotting && w->polls++ < POLLS)
        xenapi_flow_wait(f, POLL_MS, on_poll);
    else
        find_vms(w);
}

static void look_at_tasks(struct xenapi_sweep *w)
{
    xenapi_flow_call(&w->flow, "task.get_all_records", xenapi_call_params(""),
                     on_tasks);
}

/* ---- tasks ---- */

static bool spare(void *ctx, const char *job)
{
    struct xenapi_sweep *w = ctx;

    return w->opts.is_live(w->opts.ctx, job);
}

static void on_tasks_gone(void *ctx, const struct err *err, size_t removed)
{
    struct xenapi_sweep *w = ctx;

    w->figures.tasks = removed;
    err_keep(&w->err, err);
    /* A pool that cannot be asked is not asked again. */
    if (w->flow.cancelled || err->code == ERR_UNREACHABLE ||
        err->code == ERR_DENIED || err->code == ERR_TIMEOUT)
        finish(w);
    else if (w->opts.snapshot_may_come)
        look_at_tasks(w);
    else
        find_vms(w);
}

/* ---- beginning ---- */

void xenapi_sweep_cancel(struct xenapi_sweep *w)
{
    if (w->removing)
        xenapi_remove_cancel(w->removing);
    xenapi_flow_cancel(&w->flow);
}

static void on_stop(struct xenapi_flow *f)
{
    xenapi_sweep_cancel(of(f));
}

enum err_code xenapi_sweep_start(struct xenapi_session *s,
                                 const struct xenapi_sweep_opts *opts,
                                 struct xenapi_sweep **out, struct err *err)
{
    struct xenapi_task_sweep_opts o = {.spare = spare, .done = on_tasks_gone};
    struct xenapi_sweep *w;

    if (!opts->gateway || !*opts->gateway ||
        strlen(opts->gateway) >= GATEWAY_MAX || xenapi_session_is_closing(s))
        return err_set(err, ERR_ARGUMENT, 0, "what is left in a pool");
    w = calloc(1, sizeof(*w));
    if (!w)
        return err_set(err, ERR_NOMEM, 0, "what is left in a pool");
    w->opts = *opts;
    w->opts.gateway = NULL;
    snprintf(w->gateway, sizeof(w->gateway), "%s", opts->gateway);
    xenapi_flow_init(&w->flow, s, on_stop);
    o.gateway = w->gateway;
    o.ctx = w;
    if (xenapi_task_sweep(s, &o, err) != ERR_OK) {
        xenapi_flow_fini(&w->flow);
        free(w);
        return err->code;
    }
    *out = w;
    return ERR_OK;
}
