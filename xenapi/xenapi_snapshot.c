/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   SNAPSHOT -> [find it by name] -> no template -> marks -> INVENTORY
 *     -> a mark on each disk -> done
 *   any failure, or a cancel, once there is a snapshot -> remove it -> done
 */
#include "xenapi/xenapi_snapshot.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "xenapi/xenapi_flow.h"
#include "xenapi/xenapi_remove.h"
#include "xenapi/xenapi_vm.h"

#define GATEWAY_KEY "cairn:gateway"
#define JOB_KEY "cairn:job"
#define DISK_KEY "cairn:snapshot"
#define NAME_TRIES 4 /* a snapshot takes seconds */
#define ID_MAX 80    /* of gateway and job, with the NUL */
#define VM_NAME_MAX 200 /* bytes of it in the snapshot's */

struct xenapi_snapshot {
    struct xenapi_flow flow;
    char vm[XENAPI_REF_MAX];
    char ref[XENAPI_REF_MAX]; /* "": there is none, as far as we know */
    char gateway[ID_MAX], job[ID_MAX];
    char name[400];
    struct xmlrpc *ignored; /* NULL: none */
    struct xenapi_vm_op *marking;
    struct xenapi_inventory_op *asking;
    struct xenapi_inventory *inventory;
    size_t disk; /* to be marked */
    unsigned tries;
    bool unsure; /* whether one is left, or comes */
    bool *left;
    struct err err;
    void (*done)(void *ctx, const struct err *err,
                 struct xenapi_inventory *inventory);
    void *ctx;
};

static void on_snapshot(struct xenapi_flow *f, const struct xenapi_answer *a);
static void mark_disk(struct xenapi_snapshot *op);
static void look_for_name(struct xenapi_flow *f, const struct xenapi_answer *a);

static struct xenapi_snapshot *of(struct xenapi_flow *f)
{
    return (struct xenapi_snapshot *)((char *)f -
                                      offsetof(struct xenapi_snapshot, flow));
}

static void finish(struct xenapi_snapshot *op)
{
    if (op->err.code != ERR_OK) {
        xenapi_inventory_drop(op->inventory);
        op->inventory = NULL;
    }
    if (op->left)
        *op->left = op->err.code != ERR_OK && op->unsure;
    xenapi_flow_fini(&op->flow);
    op->done(op->ctx, &op->err, op->inventory);
    xmlrpc_free(op->ignored);
    free(op);
}

static void on_undone(void *ctx, const struct err *err)
{
    struct xenapi_snapshot *op = ctx;

    op->unsure = err->code != ERR_OK;
    if (op->unsure)
        err_context(&op->err,
                    "the snapshot could not be removed either (%s), after",
                    err->text);
    finish(op);
}

/* Something failed: leave nothing behind. */
static void fail(struct xenapi_snapshot *op, const struct err *err)
{
    const struct xenapi_remove_opts o = {
        .ref = op->ref, .snapshot = true, .done = on_undone, .ctx = op};

    err_keep(&op->err, err);
    if (op->ref[0] &&
        xenapi_remove_start(op->flow.session, &o, NULL, NULL) == ERR_OK)
        return;
    op->unsure |= op->ref[0] != 0;
    finish(op);
}

static bool is_cancelled(struct xenapi_snapshot *op)
{
    struct err err;

    if (!op->flow.cancelled)
        return false;
    err_set(&err, ERR_CANCELLED, 0, "the snapshot was cancelled");
    fail(op, &err);
    return true;
}

static void keep_ref(struct xenapi_snapshot *op, const char *ref)
{
    if (!xenapi_call_is_null(ref) && strlen(ref) < sizeof(op->ref))
        memcpy(op->ref, ref, strlen(ref) + 1);
}

/* ---- The disks ---- */

static const struct xenapi_disk *the_disk(const struct xenapi_snapshot *op)
{
    return &op->inventory->vms[0].disks[op->disk];
}

static void on_disk_unmarked(struct xenapi_flow *f,
                             const struct xenapi_answer *a)
{
    if (a->err->code != ERR_OK)
        fail(of(f), a->err);
    else
        mark_disk(of(f));
}

static void on_disk_marked(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_snapshot *op = of(f);

    /* The live disk was made of a snapshot of ours, and has its mark. */
    if (xenapi_rpc_is(a->failure, "MAP_DUPLICATE_KEY") && ++op->tries < 5) {
        xenapi_flow_call(
            f, "VDI.remove_from_other_config",
            xenapi_call_params("ss", the_disk(op)->vdi_ref, DISK_KEY),
            on_disk_unmarked);
        return;
    }
    if (a->err->code != ERR_OK) {
        fail(op, a->err);
        return;
    }
    op->disk++;
    op->tries = 0;
    mark_disk(op);
}

static void mark_disk(struct xenapi_snapshot *op)
{
    char value[3 * ID_MAX];

    if (is_cancelled(op))
        return;
    if (op->disk == op->inventory->vms[0].disk_count) {
        finish(op);
        return;
    }
    snprintf(value, sizeof(value), "%s/%s/%.40s", op->gateway, op->job,
             the_disk(op)->vdi_uuid);
    xenapi_flow_call(
        &op->flow, "VDI.add_to_other_config",
        xenapi_call_params("sss", the_disk(op)->vdi_ref, DISK_KEY, value),
        on_disk_marked);
}

static void on_inventory(void *ctx, const struct err *err,
                         struct xenapi_inventory *inventory)
{
    struct xenapi_snapshot *op = ctx;
    struct err why = *err;

    op->asking = NULL;
    op->inventory = inventory;
    if (why.code == ERR_OK && inventory->vm_count != 1)
        err_set(&why, ERR_PROTOCOL, 0, "the snapshot is not to be found");
    if (why.code != ERR_OK)
        fail(op, &why);
    else
        mark_disk(op);
}

static void ask_inventory(struct xenapi_snapshot *op)
{
    const struct xenapi_inventory_opts o = {
        .vm_ref = op->ref, .done = on_inventory, .ctx = op};
    struct err err = {0};

    if (!is_cancelled(op) &&
        xenapi_inventory_start(op->flow.session, &o, &op->asking, &err) !=
            ERR_OK)
        fail(op, &err);
}

/* ---- The VM ---- */

static void on_job_marked(void *ctx, const struct err *err)
{
    struct xenapi_snapshot *op = ctx;

    op->marking = NULL;
    if (err->code != ERR_OK)
        fail(op, err);
    else
        ask_inventory(op);
}

static void mark(struct xenapi_snapshot *op, const char *key, const char *value,
                 xenapi_vm_done_fn *then)
{
    const struct xenapi_vm_mark_opts o = {
        .ref = op->ref, .key = key, .value = value, .done = then, .ctx = op};
    struct err err = {0};

    if (!is_cancelled(op) &&
        xenapi_vm_mark(op->flow.session, &o, &op->marking, &err) != ERR_OK)
        fail(op, &err);
}

static void on_gateway_marked(void *ctx, const struct err *err)
{
    struct xenapi_snapshot *op = ctx;

    op->marking = NULL;
    if (err->code != ERR_OK)
        fail(op, err);
    else
        mark(op, JOB_KEY, op->job, on_job_marked);
}

/* What stays a template would be imported as one. */
static void on_no_template(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_snapshot *op = of(f);

    if (a->err->code != ERR_OK &&
        !xenapi_rpc_is(a->failure, "LICENCE_RESTRICTION") &&
        !xenapi_rpc_is(a->failure, "LICENSE_RESTRICTION"))
        fail(op, a->err);
    else
        mark(op, GATEWAY_KEY, op->gateway, on_gateway_marked);
}

static void on_made(struct xenapi_snapshot *op)
{
    if (is_cancelled(op))
        return;
    xenapi_flow_call(&op->flow, "VM.set_is_a_template",
                     xenapi_call_params("sb", op->ref, false), on_no_template);
}

/* It failed, or the answer was lost: is there a snapshot of that name, or will
 * there be? */
static void on_named(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_snapshot *op = of(f);

    op->unsure |= a->err->code != ERR_OK;
    keep_ref(op, xmlrpc_text(xmlrpc_at(a->value, 0), ""));
    if (!op->ref[0] && a->err->code == ERR_OK && ++op->tries < NAME_TRIES)
        xenapi_flow_wait(f, xenapi_session_timing(f->session)->retry,
                         look_for_name);
    else
        fail(op, &op->err); /* takes away what was found */
}

static void look_for_name(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_snapshot *op = of(f);

    if (a && a->err->code != ERR_OK) { /* the session is being closed */
        fail(op, &op->err);
        return;
    }
    xenapi_flow_call(f, "VM.get_by_name_label",
                     xenapi_call_params("s", op->name), on_named);
}

static void snapshot(struct xenapi_snapshot *op)
{
    struct xmlrpc *params = op->ignored
                                ? xenapi_call_params("ssv", op->vm, op->name,
                                                     xmlrpc_copy(op->ignored))
                                : xenapi_call_params("ss", op->vm, op->name);

    xenapi_flow_async(&op->flow, "VM.snapshot", params, on_snapshot);
}

static void on_snapshot(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_snapshot *op = of(f);

    if (a->err->code == ERR_OK) {
        keep_ref(op, xmlrpc_text(a->value, ""));
        op->tries = 0;
        on_made(op);
        return;
    }
    if (op->ignored &&
        xenapi_rpc_is(a->failure, "MESSAGE_PARAMETER_COUNT_MISMATCH")) {
        xmlrpc_free(op->ignored);
        op->ignored = NULL;
        snapshot(op);
        return;
    }
    op->err = *a->err;
    /* A handle that is none may be that of the task. */
    op->unsure = !a->failure || xenapi_rpc_is(a->failure, "HANDLE_INVALID");
    if (xenapi_session_is_closing(f->session)) {
        finish(op);
        return;
    }
    /* The pool itself removes what it made before it says no; a look will do.
     * Where the answer was lost, it may still be at it. */
    if (a->failure)
        op->tries = NAME_TRIES - 1;
    look_for_name(f, NULL);
}

void xenapi_snapshot_cancel(struct xenapi_snapshot *op)
{
    /* The pool finishes a snapshot that it has begun. It is waited for, and
     * then removed. */
    op->flow.cancelled = true;
}

void xenapi_snapshot_abandon(struct xenapi_snapshot *op)
{
    xenapi_flow_cancel(&op->flow);
}

static void on_stop(struct xenapi_flow *f)
{
    xenapi_flow_cancel(f);
}

static bool is_id(const char *text)
{
    size_t len = text ? strlen(text) : 0;

    return len > 0 && len < ID_MAX && !strpbrk(text, "/ \t\n");
}

static bool take_opts(struct xenapi_snapshot *op,
                      const struct xenapi_snapshot_opts *opts)
{
    memcpy(op->vm, opts->vm_ref, strlen(opts->vm_ref) + 1);
    snprintf(op->gateway, sizeof(op->gateway), "%s", opts->gateway);
    snprintf(op->job, sizeof(op->job), "%s", opts->job);
    snprintf(op->name, sizeof(op->name), "cairn/%s/%s %.*s", opts->gateway,
             opts->job, (int)parse_utf8_cut(opts->vm_name, VM_NAME_MAX),
             opts->vm_name);
    op->left = opts->left;
    op->done = opts->done;
    op->ctx = opts->ctx;
    if (opts->ignore_count == 0)
        return true;
    op->ignored = xmlrpc_new_array();
    for (size_t i = 0; i < opts->ignore_count; i++)
        if (!xmlrpc_append(op->ignored, xmlrpc_new_text(opts->ignore_vdis[i])))
            return false;
    return true;
}

enum err_code xenapi_snapshot_start(struct xenapi_session *s,
                                    const struct xenapi_snapshot_opts *opts,
                                    struct xenapi_snapshot **out,
                                    struct err *err)
{
    struct xenapi_snapshot *op;

    if (xenapi_call_is_null(opts->vm_ref) ||
        strlen(opts->vm_ref) >= XENAPI_REF_MAX || !is_id(opts->gateway) ||
        !is_id(opts->job) || xenapi_session_is_closing(s))
        return err_set(err, ERR_ARGUMENT, 0, "a snapshot of %s for job %s",
                       opts->vm_name, opts->job);
    op = calloc(1, sizeof(*op));
    if (!op || !take_opts(op, opts)) {
        if (op)
            xmlrpc_free(op->ignored);
        free(op);
        return err_set(err, ERR_NOMEM, 0, "a snapshot of %s", opts->vm_name);
    }
    xenapi_flow_init(&op->flow, s, on_stop);
    snapshot(op);
    if (out)
        *out = op;
    return ERR_OK;
}
