/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_vm.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "xenapi/xenapi_flow.h"
#include "xenapi/xenapi_remove.h"

/* Somebody else may write the same key between our two calls. */
#define MARK_TRIES 5

/* One struct for all: which members are used, the function says that made it.
 */
struct xenapi_vm_op {
    struct xenapi_flow flow;
    struct xenapi_remove *removing;
    char ref[XENAPI_REF_MAX];
    char *key, *value;
    bool start;
    unsigned tries;
    char (*found)[XENAPI_REF_MAX]; /* sweep: VMs still to be removed */
    size_t found_count, removed;
    struct err err;
    void (*done)(void *ctx, const struct err *err);
    void (*done_nic)(void *ctx, const struct err *err, const char *vif_ref);
    void (*done_sweep)(void *ctx, const struct err *err, size_t removed);
    void *ctx;
};

static struct xenapi_vm_op *of(struct xenapi_flow *f)
{
    return (struct xenapi_vm_op *)((char *)f -
                                   offsetof(struct xenapi_vm_op, flow));
}

static void op_free(struct xenapi_vm_op *op)
{
    free(op->found);
    free(op->key);
    free(op->value);
    free(op);
}

static void finish(struct xenapi_vm_op *op, const struct err *err)
{
    err_keep(&op->err, err);
    xenapi_flow_fini(&op->flow);
    if (op->done)
        op->done(op->ctx, &op->err);
    if (op->done_nic)
        op->done_nic(op->ctx, &op->err, op->err.code ? NULL : op->ref);
    if (op->done_sweep)
        op->done_sweep(op->ctx, &op->err, op->removed);
    op_free(op);
}

void xenapi_vm_cancel(struct xenapi_vm_op *op)
{
    if (op->removing)
        xenapi_remove_cancel(op->removing);
    op->flow.cancelled = true;
    xenapi_flow_cancel(&op->flow);
}

static void on_stop(struct xenapi_flow *f)
{
    /* A removal under way is told by the session itself. */
    xenapi_flow_cancel(f);
}

static bool copy_text(char **to, const char *text)
{
    *to = text ? strdup(text) : NULL;
    return !text || *to;
}

/* ref is what the first call is about; key and value may be NULL. */
static struct xenapi_vm_op *op_new(struct xenapi_session *s, const char *ref,
                                   const char *key, const char *value,
                                   struct err *err)
{
    struct xenapi_vm_op *op;

    if ((ref && (xenapi_call_is_null(ref) || strlen(ref) >= XENAPI_REF_MAX)) ||
        xenapi_session_is_closing(s)) {
        err_set(err, ERR_ARGUMENT, 0, "there is no such VM");
        return NULL;
    }
    op = calloc(1, sizeof(*op));
    if (!op || !copy_text(&op->key, key) || !copy_text(&op->value, value)) {
        if (op)
            op_free(op);
        err_set(err, ERR_NOMEM, 0, "an operation on a VM");
        return NULL;
    }
    if (ref)
        memcpy(op->ref, ref, strlen(ref) + 1);
    xenapi_flow_init(&op->flow, s, on_stop);
    return op;
}

/* ---- remove ---- */

static void on_removed(void *ctx, const struct err *err)
{
    struct xenapi_vm_op *op = ctx;

    op->removing = NULL;
    finish(op, err);
}

enum err_code xenapi_vm_remove(struct xenapi_session *s,
                               const struct xenapi_vm_remove_opts *opts,
                               struct xenapi_vm_op **out, struct err *err)
{
    struct xenapi_vm_op *op = op_new(s, opts->ref, NULL, NULL, err);
    const struct xenapi_remove_opts o = {
        .ref = opts->ref,
        .snapshot = opts->snapshot,
        .guard_key = opts->guard_key,
        .guard_value = opts->guard_value,
        .patience_ms = opts->patience_ms,
        .done = on_removed,
        .ctx = op,
    };
    enum err_code rc;

    if (!op)
        return err ? err->code : ERR_NOMEM;
    op->done = opts->done;
    op->ctx = opts->ctx;
    rc = xenapi_remove_start(s, &o, &op->removing, err);
    if (rc != ERR_OK) {
        xenapi_flow_fini(&op->flow);
        op_free(op);
        return rc;
    }
    if (out)
        *out = op;
    return ERR_OK;
}

/* ---- mark ---- */

static void on_key_removed(struct xenapi_flow *f,
                           const struct xenapi_answer *a);

static void remove_key(struct xenapi_vm_op *op)
{
    xenapi_flow_call(&op->flow, "VM.remove_from_other_config",
                     xenapi_call_params("ss", op->ref, op->key),
                     on_key_removed);
}

static void on_key_added(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_vm_op *op = of(f);

    if (xenapi_rpc_is(a->failure, "MAP_DUPLICATE_KEY") &&
        ++op->tries < MARK_TRIES)
        remove_key(op);
    else
        finish(op, a->err);
}

static void on_key_removed(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_vm_op *op = of(f);

    if (a->err->code != ERR_OK || !op->value)
        finish(op, a->err);
    else
        xenapi_flow_call(f, "VM.add_to_other_config",
                         xenapi_call_params("sss", op->ref, op->key, op->value),
                         on_key_added);
}

enum err_code xenapi_vm_mark(struct xenapi_session *s,
                             const struct xenapi_vm_mark_opts *opts,
                             struct xenapi_vm_op **out, struct err *err)
{
    struct xenapi_vm_op *op = op_new(s, opts->ref, opts->key, opts->value, err);

    if (!op)
        return err ? err->code : ERR_NOMEM;
    op->done = opts->done;
    op->ctx = opts->ctx;
    remove_key(op);
    if (out)
        *out = op;
    return ERR_OK;
}

/* ---- nic ---- */

/* A member of the record it stands for, or else what is given (taken). */
static bool inherit(struct xmlrpc *vif, const struct xmlrpc *record,
                    const char *name, struct xmlrpc *otherwise)
{
    const struct xmlrpc *from = xmlrpc_get(record, name);

    if (!from)
        return xmlrpc_set(vif, name, otherwise);
    xmlrpc_free(otherwise);
    return xmlrpc_set(vif, name, xmlrpc_copy(from));
}

/* Members that have a default at the pool, and that old pools do not know. */
static bool pass_on(struct xmlrpc *vif, const struct xmlrpc *record,
                    const char *name)
{
    const struct xmlrpc *from = xmlrpc_get(record, name);

    return !from || xmlrpc_set(vif, name, xmlrpc_copy(from));
}

static struct xmlrpc *vif_record(const struct xenapi_vm_nic_opts *o)
{
    struct xmlrpc *v = xmlrpc_new_struct();
    const struct xmlrpc *r = o->record;
    bool ok = v != NULL;

    ok = ok && xmlrpc_set_text(v, "device", o->device);
    ok = ok && xmlrpc_set_text(v, "network", o->network_ref);
    ok = ok && xmlrpc_set_text(v, "VM", o->vm_ref);
    ok = ok && xmlrpc_set_text(v, "MAC", o->mac ? o->mac : "");
    ok = ok &&
         xmlrpc_set(v, "MTU", xmlrpc_new_int(o->mtu ? (int64_t)o->mtu : 1500));
    ok = ok && inherit(v, r, "other_config", xmlrpc_new_struct());
    ok = ok && inherit(v, r, "qos_algorithm_type", xmlrpc_new_text(""));
    ok = ok && inherit(v, r, "qos_algorithm_params", xmlrpc_new_struct());
    ok = ok && pass_on(v, r, "locking_mode");
    ok = ok && pass_on(v, r, "ipv4_allowed");
    ok = ok && pass_on(v, r, "ipv6_allowed");
    if (ok)
        return v;
    xmlrpc_free(v);
    return NULL;
}

static void on_nic_made(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_vm_op *op = of(f);
    const char *ref = xmlrpc_text(a->value, "");
    struct err err = *a->err;

    if (err.code == ERR_OK && (!ref[0] || strlen(ref) >= sizeof(op->ref)))
        err_set(&err, ERR_PROTOCOL, 0, "VIF.create: no ref");
    if (err.code == ERR_OK)
        memcpy(op->ref, ref, strlen(ref) + 1);
    finish(op, &err);
}

enum err_code xenapi_vm_nic(struct xenapi_session *s,
                            const struct xenapi_vm_nic_opts *opts,
                            struct xenapi_vm_op **out, struct err *err)
{
    struct xenapi_vm_op *op = op_new(s, opts->vm_ref, NULL, NULL, err);

    if (!op)
        return err ? err->code : ERR_NOMEM;
    op->done_nic = opts->done;
    op->ctx = opts->ctx;
    xenapi_flow_call(&op->flow, "VIF.create",
                     xenapi_call_params("v", vif_record(opts)), on_nic_made);
    if (out)
        *out = op;
    return ERR_OK;
}

/* ---- release ---- */

static void on_last(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    finish(of(f), a->err);
}

static void on_start_on_allowed(struct xenapi_flow *f,
                                const struct xenapi_answer *a)
{
    struct xenapi_vm_op *op = of(f);

    if (a->err->code != ERR_OK || !op->start)
        finish(op, a->err);
    else
        xenapi_flow_async(f, "VM.start",
                          xenapi_call_params("sbb", op->ref, false, false),
                          on_last);
}

static void on_start_allowed(struct xenapi_flow *f,
                             const struct xenapi_answer *a)
{
    struct xenapi_vm_op *op = of(f);

    if (a->err->code != ERR_OK)
        finish(op, a->err);
    else
        xenapi_flow_call(f, "VM.remove_from_blocked_operations",
                         xenapi_call_params("ss", op->ref, "start_on"),
                         on_start_on_allowed);
}

enum err_code xenapi_vm_release(struct xenapi_session *s,
                                const struct xenapi_vm_release_opts *opts,
                                struct xenapi_vm_op **out, struct err *err)
{
    struct xenapi_vm_op *op = op_new(s, opts->ref, NULL, NULL, err);

    if (!op)
        return err ? err->code : ERR_NOMEM;
    op->start = opts->start;
    op->done = opts->done;
    op->ctx = opts->ctx;
    xenapi_flow_call(&op->flow, "VM.remove_from_blocked_operations",
                     xenapi_call_params("ss", op->ref, "start"),
                     on_start_allowed);
    if (out)
        *out = op;
    return ERR_OK;
}

/* ---- sweep ---- */

static void sweep_next(struct xenapi_vm_op *op);

static void on_swept_one(void *ctx, const struct err *err)
{
    struct xenapi_vm_op *op = ctx;

    op->removing = NULL;
    if (err->code == ERR_OK)
        op->removed++;
    err_keep(&op->err, err);
    sweep_next(op);
}

static void sweep_next(struct xenapi_vm_op *op)
{
    struct xenapi_remove_opts o = {
        .guard_key = op->key,
        .guard_value = op->value,
        .done = on_swept_one,
        .ctx = op,
    };
    struct err err = {0};

    if (op->found_count == 0 || op->flow.cancelled) {
        if (op->flow.cancelled)
            err_set(&err, ERR_CANCELLED, 0, "cancelled");
        finish(op, &err);
        return;
    }
    o.ref = op->found[--op->found_count];
    if (xenapi_remove_start(op->flow.session, &o, &op->removing, &err) !=
        ERR_OK)
        finish(op, &err);
}

static bool is_swept(const struct xenapi_vm_op *op, const struct xmlrpc *vm)
{
    const struct xmlrpc *mark =
        xmlrpc_get(xmlrpc_get(vm, "other_config"), op->key);

    return mark && strcmp(xmlrpc_text(mark, ""), op->value) == 0 &&
           !xmlrpc_bool(xmlrpc_get(vm, "is_a_snapshot"), true) &&
           !xmlrpc_bool(xmlrpc_get(vm, "is_control_domain"), true);
}

static void on_all_vms(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_vm_op *op = of(f);
    size_t n = xmlrpc_count(a->value);
    struct xmlrpc *record = NULL;
    struct err err = *a->err;

    op->found = calloc(n + 1, sizeof(*op->found));
    if (err.code == ERR_OK && !op->found)
        err_set(&err, ERR_NOMEM, 0, "an operation on VMs");
    if (err.code != ERR_OK) {
        finish(op, &err);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const char *ref = xmlrpc_name_at(a->value, i, &record);

        if (ref && strlen(ref) < XENAPI_REF_MAX && is_swept(op, record))
            memcpy(op->found[op->found_count++], ref, strlen(ref) + 1);
    }
    sweep_next(op);
}

enum err_code xenapi_vm_sweep(struct xenapi_session *s,
                              const struct xenapi_vm_sweep_opts *opts,
                              struct xenapi_vm_op **out, struct err *err)
{
    struct xenapi_vm_op *op;

    if (!opts->key || !opts->value || !opts->value[0])
        return err_set(err, ERR_ARGUMENT, 0, "a sweep without a mark");
    op = op_new(s, NULL, opts->key, opts->value, err);
    if (!op)
        return err ? err->code : ERR_NOMEM;
    op->done_sweep = opts->done;
    op->ctx = opts->ctx;
    xenapi_flow_call(&op->flow, "VM.get_all_records", xenapi_call_params(""),
                     on_all_vms);
    if (out)
        *out = op;
    return ERR_OK;
}
