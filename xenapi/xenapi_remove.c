/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   RECORD -> VBDS.. -> [UNBLOCK..] -> [SHUTDOWN]
 *     -> for each disk: its VBDs.. -> destroy
 *                         ^              |  in use: wait, detach what dom0
 *                         +--------------+  left behind
 *     -> DESTROY
 *
 * The VM goes last: it is what tells that its disks are ours, should we be
 * killed, or fail, in the middle.
 */
#include "xenapi/xenapi_remove.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "xenapi/xenapi_flow.h"

#define DISKS_MAX 256
#define FAILED_TRIES 2 /* after failures that nobody expects to pass */

struct ref {
    char text[XENAPI_REF_MAX];
};

struct xenapi_remove {
    struct xenapi_flow flow;
    struct xenapi_remove_opts opts;
    char vm[XENAPI_REF_MAX];
    char *guard_key, *guard_value;
    bool must_be_snapshot, halted;

    struct ref *refs; /* VBDs still to be looked at */
    size_t ref_count;
    struct ref *disks; /* VDIs to be destroyed */
    size_t disk_count, disk;
    bool in_use;              /* another VM has the disk at hand */
    char vbd[XENAPI_REF_MAX]; /* that is being looked at */
    unsigned tries;
    bool late;          /* it was not destroyed in time, once */
    uint64_t waited_ms; /* for what is in use, of the whole patience */
    struct err err;
};

static void destroy_vm(struct xenapi_flow *f);
static void on_record(struct xenapi_flow *f, const struct xenapi_answer *a);
static void look_at_disk(struct xenapi_flow *f, const struct xenapi_answer *a);
static void next_disk(struct xenapi_remove *r);

static struct xenapi_remove *of(struct xenapi_flow *f)
{
    return (struct xenapi_remove *)((char *)f -
                                    offsetof(struct xenapi_remove, flow));
}

static void finish(struct xenapi_remove *r)
{
    xenapi_flow_fini(&r->flow);
    r->opts.done(r->opts.ctx, &r->err);
    free(r->refs);
    free(r->disks);
    free(r->guard_key);
    free(r->guard_value);
    free(r);
}

static void note(struct xenapi_remove *r, const struct err *err)
{
    err_keep(&r->err, err);
}

static bool is_gone(const struct xenapi_answer *a)
{
    return xenapi_rpc_is(a->failure, "HANDLE_INVALID");
}

/* Whether the answer ends the whole: cancelled, no login, no memory. */
static bool is_hopeless(const struct xenapi_answer *a)
{
    return a->err->code != ERR_OK && !a->failure;
}

static bool keep_refs(struct ref **list, size_t *count,
                      const struct xmlrpc *set)
{
    size_t n = xmlrpc_count(set);

    free(*list);
    *count = 0;
    *list = calloc(n + 1, sizeof(**list));
    if (!*list)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *text = xmlrpc_text(xmlrpc_at(set, i), "");

        if (!xenapi_call_is_null(text) && strlen(text) < XENAPI_REF_MAX)
            memcpy((*list)[(*count)++].text, text, strlen(text) + 1);
    }
    return true;
}

/* Is it worth while to ask again whether it can be destroyed? What was done in
 * spite of a failure, or of an answer that was lost, is then gone. */
static bool is_passing(const struct xenapi_remove *r,
                       const struct xenapi_answer *a)
{
    enum err_code code = a->err->code;

    if (a->failure)
        return code == ERR_AGAIN || r->tries < FAILED_TRIES ||
               xenapi_rpc_is(a->failure, "SR_BACKEND_FAILURE_24");
    return code == ERR_IO || code == ERR_AGAIN || code == ERR_TIMEOUT ||
           code == ERR_UNREACHABLE || code == ERR_PROTOCOL;
}

/* It was not destroyed. Go on with `then` in a while? */
static bool wait_for_it(struct xenapi_remove *r, const struct xenapi_answer *a,
                        xenapi_flow_fn *then)
{
    uint64_t pause = xenapi_session_timing(r->flow.session)->retry;
    bool late = a->err->code == ERR_TIMEOUT;

    if (a->err->code == ERR_OK || is_gone(a) || !is_passing(r, a) ||
        r->flow.cancelled)
        return false;
    /* What a task was to do may be done though the task does not end: that is
     * looked at, whatever was waited for before, and tried once more. */
    if (late ? r->late : r->waited_ms + pause > r->opts.patience_ms)
        return false;
    r->tries++;
    r->waited_ms += pause;
    r->late |= late;
    xenapi_flow_wait(&r->flow, pause, then);
    return true;
}

/* ---- The disks ---- */

static void on_vdi_destroyed(struct xenapi_flow *f,
                             const struct xenapi_answer *a)
{
    struct xenapi_remove *r = of(f);

    if (wait_for_it(r, a, look_at_disk))
        return;
    if (a->err->code != ERR_OK && !is_gone(a)) {
        note(r, a->err);
        if (is_hopeless(a)) {
            finish(r);
            return;
        }
    }
    r->disk++;
    next_disk(r);
}

static void next_vbd(struct xenapi_remove *r);

static void on_vbd_destroyed(struct xenapi_flow *f,
                             const struct xenapi_answer *a)
{
    next_vbd(of(f));
}

static void on_vbd_unplugged(struct xenapi_flow *f,
                             const struct xenapi_answer *a)
{
    struct xenapi_remove *r = of(f);

    xenapi_flow_call(f, "VBD.destroy", xenapi_call_params("s", r->vbd),
                     on_vbd_destroyed);
}

static void on_is_control_domain(struct xenapi_flow *f,
                                 const struct xenapi_answer *a)
{
    struct xenapi_remove *r = of(f);

    if (is_hopeless(a)) {
        note(r, a->err);
        finish(r);
        return;
    }
    if (is_gone(a)) {
        next_vbd(r);
    } else if (a->err->code == ERR_OK && xmlrpc_bool(a->value, false)) {
        /* A leftover of our transfer, unless it is still at it: the first
         * tries only wait. */
        if (r->tries < 2)
            next_vbd(r);
        else
            xenapi_flow_call(f, "VBD.unplug_force",
                             xenapi_call_params("s", r->vbd), on_vbd_unplugged);
    } else {
        r->in_use = true;
        next_vbd(r);
    }
}

static void on_vbd_vm(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_remove *r = of(f);

    if (is_hopeless(a)) {
        note(r, a->err);
        finish(r);
        return;
    }
    if (a->err->code != ERR_OK ||
        xenapi_call_is_null(xmlrpc_text(a->value, "")) ||
        strcmp(xmlrpc_text(a->value, ""), r->vm) == 0)
        next_vbd(r);
    else
        xenapi_flow_call(f, "VM.get_is_control_domain",
                         xenapi_call_params("s", xmlrpc_text(a->value, "")),
                         on_is_control_domain);
}

/* Who else has the disk at hand? */
static void next_vbd(struct xenapi_remove *r)
{
    if (r->ref_count > 0) {
        memcpy(r->vbd, r->refs[--r->ref_count].text, sizeof(r->vbd));
        xenapi_flow_call(&r->flow, "VBD.get_VM",
                         xenapi_call_params("s", r->vbd), on_vbd_vm);
    } else if (r->in_use) {
        r->disk++;
        next_disk(r);
    } else {
        xenapi_flow_async(&r->flow, "VDI.destroy",
                          xenapi_call_params("s", r->disks[r->disk].text),
                          on_vdi_destroyed);
    }
}

static void on_vdi_vbds(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_remove *r = of(f);
    struct err err;

    if (is_gone(a)) {
        r->disk++;
        next_disk(r);
        return;
    }
    if (a->err->code != ERR_OK) {
        note(r, a->err);
    } else if (keep_refs(&r->refs, &r->ref_count, a->value)) {
        r->in_use = false;
        next_vbd(r);
        return;
    } else {
        err_set(&err, ERR_NOMEM, 0, "removing a VM");
        note(r, &err);
    }
    finish(r);
}

static void look_at_disk(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_remove *r = of(f);

    if (a && a->err->code != ERR_OK) { /* cancelled while waiting */
        note(r, a->err);
        finish(r);
        return;
    }
    xenapi_flow_call(f, "VDI.get_VBDs",
                     xenapi_call_params("s", r->disks[r->disk].text),
                     on_vdi_vbds);
}

static void next_disk(struct xenapi_remove *r)
{
    struct err err;

    r->tries = 0;
    r->late = false;
    if (r->disk < r->disk_count && !r->flow.cancelled) {
        look_at_disk(&r->flow, NULL);
        return;
    }
    if (r->disk < r->disk_count) {
        err_set(&err, ERR_CANCELLED, 0, "cancelled");
        note(r, &err);
    }
    if (r->err.code == ERR_OK)
        destroy_vm(&r->flow);
    else
        finish(r);
}

/* ---- The VM ---- */

static void on_vm_wait_over(struct xenapi_flow *f,
                            const struct xenapi_answer *a)
{
    if (a->err->code == ERR_OK) {
        destroy_vm(f);
        return;
    }
    note(of(f), a->err);
    finish(of(f));
}

static void on_vm_destroyed(struct xenapi_flow *f,
                            const struct xenapi_answer *a)
{
    struct xenapi_remove *r = of(f);

    if (wait_for_it(r, a, on_vm_wait_over))
        return;
    if (a->err->code != ERR_OK && !is_gone(a))
        note(r, a->err);
    finish(r);
}

static void destroy_vm(struct xenapi_flow *f)
{
    xenapi_flow_async(f, "VM.destroy", xenapi_call_params("s", of(f)->vm),
                      on_vm_destroyed);
}

static void on_shut_down(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_remove *r = of(f);

    if (a->err->code == ERR_OK ||
        xenapi_rpc_is(a->failure, "VM_BAD_POWER_STATE") || is_gone(a)) {
        next_disk(r);
        return;
    }
    note(r, a->err);
    finish(r);
}

static void on_unblocked_shutdown(struct xenapi_flow *f,
                                  const struct xenapi_answer *a)
{
    struct xenapi_remove *r = of(f);

    if (is_hopeless(a)) {
        note(r, a->err);
        finish(r);
    } else if (r->halted) {
        next_disk(r);
    } else {
        xenapi_flow_async(f, "VM.hard_shutdown", xenapi_call_params("s", r->vm),
                          on_shut_down);
    }
}

static void on_unblocked_destroy(struct xenapi_flow *f,
                                 const struct xenapi_answer *a)
{
    struct xenapi_remove *r = of(f);

    if (is_hopeless(a)) {
        note(r, a->err);
        finish(r);
        return;
    }
    xenapi_flow_call(f, "VM.remove_from_blocked_operations",
                     xenapi_call_params("ss", r->vm, "hard_shutdown"),
                     on_unblocked_shutdown);
}

static void unblock(struct xenapi_remove *r)
{
    xenapi_flow_call(&r->flow, "VM.remove_from_blocked_operations",
                     xenapi_call_params("ss", r->vm, "destroy"),
                     on_unblocked_destroy);
}

static void next_own_vbd(struct xenapi_remove *r);

static void on_own_vbd(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_remove *r = of(f);
    const char *vdi = xmlrpc_get_text(a->value, "VDI");
    struct ref *grown;

    if (a->err->code != ERR_OK && !is_gone(a)) {
        note(r, a->err);
        finish(r);
        return;
    }
    if (a->err->code == ERR_OK && r->disk_count < DISKS_MAX &&
        strcasecmp(xmlrpc_get_text(a->value, "type"), "CD") != 0 &&
        !xenapi_call_is_null(vdi) && strlen(vdi) < XENAPI_REF_MAX) {
        grown = realloc(r->disks, (r->disk_count + 1) * sizeof(*grown));
        if (!grown) {
            err_set(&r->err, ERR_NOMEM, 0, "removing a VM");
            finish(r);
            return;
        }
        r->disks = grown;
        memcpy(grown[r->disk_count++].text, vdi, strlen(vdi) + 1);
    }
    next_own_vbd(r);
}

static void next_own_vbd(struct xenapi_remove *r)
{
    if (r->ref_count == 0) {
        unblock(r);
        return;
    }
    xenapi_flow_call(&r->flow, "VBD.get_record",
                     xenapi_call_params("s", r->refs[--r->ref_count].text),
                     on_own_vbd);
}

/* May it be touched at all? */
static enum err_code check(const struct xenapi_remove *r,
                           const struct xmlrpc *vm, struct err *err)
{
    const char *name = xmlrpc_get_text(vm, "name_label");

    if (xmlrpc_bool(xmlrpc_get(vm, "is_control_domain"), false) ||
        (r->must_be_snapshot &&
         !xmlrpc_bool(xmlrpc_get(vm, "is_a_snapshot"), false)))
        return err_set(err, ERR_CONFLICT, 0,
                       "%s is no snapshot and is left alone", name);
    if (r->guard_key &&
        strcmp(xmlrpc_get_text(xmlrpc_get(vm, "other_config"), r->guard_key),
               r->guard_value ? r->guard_value : "") != 0)
        return err_set(err, ERR_CONFLICT, 0,
                       "%s is not marked as ours and is left alone", name);
    return ERR_OK;
}

static void ask_again(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_remove *r = of(f);

    if (a->err->code == ERR_OK) {
        xenapi_flow_call(f, "VM.get_record", xenapi_call_params("s", r->vm),
                         on_record);
        return;
    }
    note(r, a->err);
    finish(r);
}

/* A transfer that was broken off is still at it: its disks are not to be torn
 * away from it at once. */
static bool wait_for_transfer(struct xenapi_remove *r, const struct xmlrpc *vm)
{
    uint64_t pause = xenapi_session_timing(r->flow.session)->retry;

    if (xmlrpc_count(xmlrpc_get(vm, "current_operations")) == 0 ||
        r->flow.cancelled || r->waited_ms + pause > r->opts.patience_ms / 2)
        return false;
    r->waited_ms += pause;
    xenapi_flow_wait(&r->flow, pause, ask_again);
    return true;
}

static void on_record(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct xenapi_remove *r = of(f);

    if (is_gone(a)) {
        finish(r);
        return;
    }
    if (a->err->code == ERR_OK && check(r, a->value, &r->err) == ERR_OK &&
        wait_for_transfer(r, a->value))
        return;
    if (a->err->code != ERR_OK)
        note(r, a->err);
    else if (r->err.code == ERR_OK &&
             !keep_refs(&r->refs, &r->ref_count, xmlrpc_get(a->value, "VBDs")))
        err_set(&r->err, ERR_NOMEM, 0, "removing a VM");
    if (r->err.code != ERR_OK) {
        finish(r);
        return;
    }
    r->halted =
        strcasecmp(xmlrpc_get_text(a->value, "power_state"), "Halted") == 0;
    next_own_vbd(r);
}

static void on_stop(struct xenapi_flow *f)
{
    xenapi_flow_cancel(f);
}

enum err_code xenapi_remove_start(struct xenapi_session *s,
                                  const struct xenapi_remove_opts *opts,
                                  struct xenapi_remove **out, struct err *err)
{
    struct xenapi_remove *r = calloc(1, sizeof(*r));
    bool ok = r != NULL;

    if (xenapi_call_is_null(opts->ref) || strlen(opts->ref) >= XENAPI_REF_MAX ||
        xenapi_session_is_closing(s)) {
        free(r);
        return err_set(err, ERR_ARGUMENT, 0, "there is no VM to remove");
    }
    if (ok && opts->guard_key) {
        r->guard_key = strdup(opts->guard_key);
        r->guard_value = strdup(opts->guard_value ? opts->guard_value : "");
        ok = r->guard_key && r->guard_value;
    }
    if (!ok) {
        if (r) {
            free(r->guard_key);
            free(r->guard_value);
        }
        free(r);
        return err_set(err, ERR_NOMEM, 0, "removing a VM");
    }
    r->opts = *opts;
    if (r->opts.patience_ms == 0)
        r->opts.patience_ms = xenapi_session_timing(s)->booting;
    memcpy(r->vm, opts->ref, strlen(opts->ref) + 1);
    r->must_be_snapshot = opts->snapshot;
    xenapi_flow_init(&r->flow, s, on_stop);
    xenapi_flow_call(&r->flow, "VM.get_record", xenapi_call_params("s", r->vm),
                     on_record);
    if (out)
        *out = r;
    return ERR_OK;
}

void xenapi_remove_cancel(struct xenapi_remove *r)
{
    xenapi_flow_cancel(&r->flow);
}
