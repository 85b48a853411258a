/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_inventory.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "xenapi/xenapi_inner.h"
#include "xenapi/xenapi_records.h"

/* More are built on the lane: so many take well under a millisecond. */
#define BUILD_HERE_MAX 50

/* A question on its way. */
struct question {
    struct question *next;
    struct xenapi_inventory_op *op;
    struct xenapi_call *call;
    enum xenapi_class class;
    bool follow;              /* ask for what the record points at, too */
    char ref[XENAPI_REF_MAX]; /* "": all records */
};

struct xenapi_inventory_op {
    struct xenapi_op op;
    struct xenapi_session *session;
    struct xmlrpc *maps[XENAPI_CLASSES];
    struct question *questions;
    bool one, ending, ended;
    struct timer end; /* when nothing is asked */
    struct lane_item building;
    struct xenapi_inventory *inventory;
    struct err build_err;
    struct err err;
    xenapi_inventory_done_fn *done;
    void *ctx;
};

static void drop_maps(struct xenapi_inventory_op *op)
{
    for (int c = 0; c < XENAPI_CLASSES; c++) {
        xmlrpc_free(op->maps[c]);
        op->maps[c] = NULL;
    }
}

static void deliver(struct xenapi_inventory_op *op)
{
    if (op->err.code != ERR_OK) { /* cancelled while it was built, perhaps */
        xenapi_inventory_drop(op->inventory);
        op->inventory = NULL;
        err_context(&op->err, "pool %s", xenapi_session_name(op->session));
    }
    xenapi_session_leave(&op->op);
    op->done(op->ctx, &op->err, op->inventory);
    free(op);
}

static void on_lane_run(struct lane_item *item)
{
    struct xenapi_inventory_op *op =
        (struct xenapi_inventory_op *)((char *)item -
                                       offsetof(struct xenapi_inventory_op,
                                                building));

    xenapi_records_build(op->maps, op->one, &op->inventory, &op->build_err);
    drop_maps(op);
}

static void on_lane_done(struct lane_item *item)
{
    struct xenapi_inventory_op *op =
        (struct xenapi_inventory_op *)((char *)item -
                                       offsetof(struct xenapi_inventory_op,
                                                building));

    err_keep(&op->err, &op->build_err);
    deliver(op);
}

static size_t record_count(const struct xenapi_inventory_op *op)
{
    size_t n = 0;

    for (int c = 0; c < XENAPI_CLASSES; c++)
        n += xmlrpc_count(op->maps[c]);
    return n;
}

static void on_end(struct timer *t)
{
    struct xenapi_inventory_op *op =
        (struct xenapi_inventory_op *)((char *)t -
                                       offsetof(struct xenapi_inventory_op,
                                                end));
    struct lane *lane = xenapi_session_lane(op->session);

    op->building.run = on_lane_run;
    op->building.done = on_lane_done;
    op->building.loop = xenapi_session_loop(op->session);
    if (op->err.code == ERR_OK && lane && record_count(op) > BUILD_HERE_MAX &&
        lane_start(lane, &op->building))
        return;
    if (op->err.code == ERR_OK)
        xenapi_records_build(op->maps, op->one, &op->inventory, &op->err);
    drop_maps(op);
    deliver(op);
}

static void end_if_answered(struct xenapi_inventory_op *op)
{
    if (op->questions || op->ended)
        return;
    op->ended = true;
    timer_start(xenapi_session_loop(op->session), &op->end, 0, on_end);
}

/* The first failure ends the other questions. */
static void fail(struct xenapi_inventory_op *op, const struct err *err)
{
    struct question *q, *next;

    err_keep(&op->err, err);
    if (op->ending)
        return;
    op->ending = true;
    for (q = op->questions; q; q = next) {
        next = q->next;
        if (q->call)
            xenapi_call_cancel(q->call);
    }
    end_if_answered(op);
}

static void question_free(struct question *q)
{
    struct question **at = &q->op->questions;

    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    free(q);
}

static void on_answer(void *ctx, const struct err *err,
                      const struct xenapi_rpc_failure *failure,
                      struct xmlrpc *value);

static void ask(struct xenapi_inventory_op *op, enum xenapi_class class,
                const char *ref, bool follow)
{
    struct question *q = calloc(1, sizeof(*q));
    struct xenapi_call_opts o = {.done = on_answer, .ctx = q};
    char method[64];
    struct err err = {0};

    if (!q || strlen(ref) >= sizeof(q->ref)) {
        err_set(&err, q ? ERR_PROTOCOL : ERR_NOMEM, 0, "an inventory");
        free(q);
        fail(op, &err);
        return;
    }
    q->op = op;
    q->class = class;
    q->follow = follow;
    memcpy(q->ref, ref, strlen(ref) + 1);
    q->next = op->questions;
    op->questions = q;
    snprintf(method, sizeof(method), "%s.%s", xenapi_records_class(class),
             ref[0] ? "get_record" : "get_all_records");
    o.method = method;
    o.params = ref[0] ? xenapi_call_params("s", ref) : xenapi_call_params("");
    if (xenapi_call_start(op->session, &o, &q->call, &err) != ERR_OK) {
        question_free(q);
        fail(op, &err);
    }
}

/* Ask for each of a record's set of refs. */
static void ask_set(struct xenapi_inventory_op *op, enum xenapi_class class,
                    const struct xmlrpc *set)
{
    for (size_t i = 0; i < xmlrpc_count(set) && !op->ending; i++) {
        const char *ref = xmlrpc_text(xmlrpc_at(set, i), "");

        if (!xenapi_call_is_null(ref))
            ask(op, class, ref, true);
    }
}

static void ask_one(struct xenapi_inventory_op *op, enum xenapi_class class,
                    const char *ref, bool follow)
{
    if (!xenapi_call_is_null(ref) && !xmlrpc_get(op->maps[class], ref))
        ask(op, class, ref, follow);
}

static void follow(struct xenapi_inventory_op *op, enum xenapi_class class,
                   const struct xmlrpc *record)
{
    if (class == XENAPI_VM) {
        ask_set(op, XENAPI_VBD, xmlrpc_get(record, "VBDs"));
        ask_set(op, XENAPI_VIF, xmlrpc_get(record, "VIFs"));
    } else if (class == XENAPI_VBD) {
        if (strcmp(xmlrpc_get_text(record, "type"), "CD") != 0)
            ask_one(op, XENAPI_VDI, xmlrpc_get_text(record, "VDI"), true);
    } else if (class == XENAPI_VDI) {
        /* whose snapshot it is: its uuid is wanted, no more */
        ask_one(op, XENAPI_VDI, xmlrpc_get_text(record, "snapshot_of"), false);
    }
}

static void take_value(struct question *q, struct xmlrpc *value)
{
    struct xenapi_inventory_op *op = q->op;
    struct err err;

    if (!q->ref[0]) {
        xmlrpc_free(op->maps[q->class]);
        op->maps[q->class] = value;
        return;
    }
    if (xmlrpc_set(op->maps[q->class], q->ref, value)) {
        if (q->follow)
            follow(op, q->class, value);
        return;
    }
    err_set(&err, ERR_NOMEM, 0, "an inventory");
    fail(op, &err);
}

static void on_answer(void *ctx, const struct err *err,
                      const struct xenapi_rpc_failure *failure,
                      struct xmlrpc *value)
{
    struct question *q = ctx;
    struct xenapi_inventory_op *op = q->op;

    q->call = NULL;
    /* A disk or NIC may go while we ask; the VM that was asked for may not. */
    if (xenapi_rpc_is(failure, "HANDLE_INVALID") && q->class != XENAPI_VM)
        xmlrpc_free(value);
    else if (err->code != ERR_OK)
        fail(op, err);
    else if (op->ending)
        xmlrpc_free(value);
    else
        take_value(q, value);
    question_free(q);
    end_if_answered(op);
}

static void on_uuid(void *ctx, const struct err *err,
                    const struct xenapi_rpc_failure *failure,
                    struct xmlrpc *value)
{
    struct question *q = ctx;
    struct xenapi_inventory_op *op = q->op;

    q->call = NULL;
    if (err->code != ERR_OK)
        fail(op, err);
    else if (!op->ending)
        ask(op, XENAPI_VM, xmlrpc_text(value, ""), true);
    xmlrpc_free(value);
    question_free(q);
    end_if_answered(op);
}

static void ask_by_uuid(struct xenapi_inventory_op *op, const char *uuid)
{
    struct question *q = calloc(1, sizeof(*q));
    const struct xenapi_call_opts o = {
        .method = "VM.get_by_uuid",
        .params = xenapi_call_params("s", uuid),
        .done = on_uuid,
        .ctx = q,
    };
    struct err err = {0};

    if (!q) {
        xmlrpc_free(o.params);
        err_set(&err, ERR_NOMEM, 0, "an inventory");
        fail(op, &err);
        return;
    }
    q->op = op;
    q->class = XENAPI_VM;
    q->next = op->questions;
    op->questions = q;
    if (xenapi_call_start(op->session, &o, &q->call, &err) != ERR_OK) {
        question_free(q);
        fail(op, &err);
    }
}

void xenapi_inventory_cancel(struct xenapi_inventory_op *op)
{
    struct err err;

    err_set(&err, ERR_CANCELLED, 0, "cancelled");
    fail(op, &err);
}

static void on_stop(struct xenapi_op *op)
{
    xenapi_inventory_cancel(
        (struct xenapi_inventory_op *)((char *)op -
                                       offsetof(struct xenapi_inventory_op,
                                                op)));
}

enum err_code xenapi_inventory_start(struct xenapi_session *s,
                                     const struct xenapi_inventory_opts *opts,
                                     struct xenapi_inventory_op **out,
                                     struct err *err)
{
    struct xenapi_inventory_op *op = calloc(1, sizeof(*op));
    bool ok = op != NULL;
    int last;

    for (int c = 0; ok && c < XENAPI_CLASSES; c++) {
        op->maps[c] = xmlrpc_new_struct();
        ok = op->maps[c] != NULL;
    }
    if (!ok) {
        if (op)
            drop_maps(op);
        free(op);
        return err_set(err, ERR_NOMEM, 0, "an inventory");
    }
    op->session = s;
    op->one = opts->vm_ref || opts->vm_uuid;
    op->done = opts->done;
    op->ctx = opts->ctx;
    op->op.stop = on_stop;
    xenapi_session_join(s, &op->op);
    if (out)
        *out = op;
    last = op->one ? XENAPI_NETWORK : XENAPI_VIF;
    for (int c = 0; c <= last && !op->ending; c++)
        ask(op, (enum xenapi_class)c, "", false);
    if (op->ending)
        return ERR_OK; /* done() tells */
    if (opts->vm_ref)
        ask(op, XENAPI_VM, opts->vm_ref, true);
    else if (opts->vm_uuid)
        ask_by_uuid(op, opts->vm_uuid);
    return ERR_OK;
}

/* ---- Searching ---- */

const struct xenapi_vm *xenapi_inventory_vm(const struct xenapi_inventory *inv,
                                            const char *uuid)
{
    for (size_t i = 0; i < inv->vm_count; i++)
        if (strcmp(inv->vms[i].uuid, uuid) == 0)
            return &inv->vms[i];
    return NULL;
}

const struct xenapi_vm *
xenapi_inventory_vm_by_ref(const struct xenapi_inventory *inv, const char *ref)
{
    for (size_t i = 0; i < inv->vm_count; i++)
        if (strcmp(inv->vms[i].ref, ref) == 0)
            return &inv->vms[i];
    return NULL;
}

const struct xenapi_sr *xenapi_inventory_sr(const struct xenapi_inventory *inv,
                                            const char *uuid)
{
    for (size_t i = 0; i < inv->sr_count; i++)
        if (strcmp(inv->srs[i].uuid, uuid) == 0)
            return &inv->srs[i];
    return NULL;
}

const struct xenapi_sr *
xenapi_inventory_sr_by_name(const struct xenapi_inventory *inv,
                            const char *name, size_t *count)
{
    const struct xenapi_sr *first = NULL;

    *count = 0;
    for (size_t i = 0; i < inv->sr_count; i++) {
        if (strcmp(inv->srs[i].name, name) != 0)
            continue;
        ++*count;
        if (!first)
            first = &inv->srs[i];
    }
    return first;
}

const struct xenapi_network *
xenapi_inventory_network(const struct xenapi_inventory *inv, const char *uuid)
{
    for (size_t i = 0; i < inv->network_count; i++)
        if (strcmp(inv->networks[i].uuid, uuid) == 0)
            return &inv->networks[i];
    return NULL;
}

const struct xenapi_network *
xenapi_inventory_network_by_name(const struct xenapi_inventory *inv,
                                 const char *name, size_t *count)
{
    const struct xenapi_network *first = NULL;

    *count = 0;
    for (size_t i = 0; i < inv->network_count; i++) {
        if (strcmp(inv->networks[i].name, name) != 0)
            continue;
        ++*count;
        if (!first)
            first = &inv->networks[i];
    }
    return first;
}

const char *xenapi_inventory_other_config(const struct xenapi_vm *vm,
                                          const char *key)
{
    for (size_t i = 0; i < vm->other_config_count; i++)
        if (strcmp(vm->other_config[i].key, key) == 0)
            return vm->other_config[i].value;
    return NULL;
}

uint64_t xenapi_inventory_sr_free(const struct xenapi_sr *sr)
{
    return sr->size > sr->used ? sr->size - sr->used : 0;
}

enum err_code xenapi_inventory_snapshot_room(const struct xenapi_vm *vm,
                                             struct err *err)
{
    for (size_t i = 0; i < vm->disk_count; i++) {
        const struct xenapi_sr *sr = vm->disks[i].sr;
        uint64_t need = 0;

        if (!sr || !sr->thick)
            continue;
        for (size_t j = 0; j < vm->disk_count; j++)
            if (vm->disks[j].sr == sr)
                need += vm->disks[j].virtual_size;
        if (need > xenapi_inventory_sr_free(sr)) {
            char want[24], have[24];

            parse_size_text(need, want, sizeof(want));
            parse_size_text(xenapi_inventory_sr_free(sr), have, sizeof(have));
            return err_set(err, ERR_QUOTA, 0,
                           "SR %s is of type %s, where a snapshot takes the "
                           "full size of the disks: %s needed, %s free",
                           sr->name, sr->type, want, have);
        }
    }
    return ERR_OK;
}
