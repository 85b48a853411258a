/* SPDX-License-Identifier: Apache-2.0 */
/* What snapshots of ours are there still? The other half of
 * xenapi/xenapi_snapshot.h. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xenapi/xenapi_flow.h"
#include "xenapi/xenapi_snapshot.h"

#define ID_MAX 80

struct search {
    struct xenapi_flow flow;
    char gateway[ID_MAX];
    struct xenapi_snapshot_find_opts find;
    struct xenapi_snapshot_sweep_opts sweep;
    char (*disks)[XENAPI_REF_MAX]; /* still to be removed */
    size_t disk_count, removed;
    struct err err;
};

static struct search *of(struct xenapi_flow *f)
{
    return (struct search *)((char *)f - offsetof(struct search, flow));
}

static void on_stop(struct xenapi_flow *f)
{
    xenapi_flow_cancel(f);
}

static struct search *search_new(struct xenapi_session *s, const char *gateway,
                                 struct err *err)
{
    struct search *search;

    if (!gateway || !gateway[0] || strlen(gateway) >= ID_MAX ||
        xenapi_session_is_closing(s)) {
        err_set(err, ERR_ARGUMENT, 0, "a search for snapshots");
        return NULL;
    }
    search = calloc(1, sizeof(*search));
    if (!search) {
        err_set(err, ERR_NOMEM, 0, "a search for snapshots");
        return NULL;
    }
    memcpy(search->gateway, gateway, strlen(gateway) + 1);
    xenapi_flow_init(&search->flow, s, on_stop);
    return search;
}

/* ---- Snapshots ---- */

/* The job in a name "cairn/<gateway>/<job> ...", into job; false: no such
 * name. */
static bool job_in_name(const char *name, const char *gateway, char *job,
                        size_t size)
{
    char head[ID_MAX + 10];
    size_t n = (size_t)snprintf(head, sizeof(head), "cairn/%s/", gateway);
    size_t len;

    if (strncmp(name, head, n) != 0)
        return false;
    len = strcspn(name + n, " ");
    snprintf(job, size, "%.*s", (int)len, name + n);
    return true;
}

/*
 * Is this one of ours? The text of its job goes to `job`. By its name, which
 * nothing copies: other_config comes along when a VM is reverted to a snapshot
 * of ours, and so gets into the user's own snapshots.
 */
static bool is_ours(const struct xmlrpc *vm, const char *gateway, char *job,
                    size_t size)
{
    const struct xmlrpc *marks = xmlrpc_get(vm, "other_config");
    const struct xmlrpc *mark = xmlrpc_get(marks, "cairn:gateway");

    return xmlrpc_bool(xmlrpc_get(vm, "is_a_snapshot"), false) &&
           job_in_name(xmlrpc_get_text(vm, "name_label"), gateway, job, size) &&
           (!mark || strcmp(xmlrpc_text(mark, ""), gateway) == 0);
}

static void on_vms(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct search *search = of(f);
    size_t n = xmlrpc_count(a->value), count = 0;
    struct xenapi_snapshot_found *found = calloc(n + 1, sizeof(*found));
    char(*jobs)[ID_MAX] = calloc(n + 1, sizeof(*jobs));
    struct xmlrpc *vm = NULL;

    search->err = *a->err;
    if (search->err.code == ERR_OK && (!found || !jobs))
        err_set(&search->err, ERR_NOMEM, 0, "a search for snapshots");
    for (size_t i = 0; search->err.code == ERR_OK && i < n; i++) {
        const char *ref = xmlrpc_name_at(a->value, i, &vm);

        if (!ref || !is_ours(vm, search->gateway, jobs[count], ID_MAX))
            continue;
        found[count] = (struct xenapi_snapshot_found){
            .ref = ref,
            .uuid = xmlrpc_get_text(vm, "uuid"),
            .name = xmlrpc_get_text(vm, "name_label"),
            .job = jobs[count],
            .vm_ref = xmlrpc_get_text(vm, "snapshot_of"),
        };
        count++;
    }
    xenapi_flow_fini(f);
    search->find.done(search->find.ctx, &search->err, found, count);
    free(jobs);
    free(found);
    free(search);
}

enum err_code xenapi_snapshot_find(struct xenapi_session *s,
                                   const struct xenapi_snapshot_find_opts *opts,
                                   struct err *err)
{
    struct search *search = search_new(s, opts->gateway, err);

    if (!search)
        return err ? err->code : ERR_NOMEM;
    search->find = *opts;
    xenapi_flow_call(&search->flow, "VM.get_all_records",
                     xenapi_call_params(""), on_vms);
    return ERR_OK;
}

/* ---- Disks without a VM ---- */

static void sweep_next(struct search *search);

static void on_disk_gone(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct search *search = of(f);

    if (a->err->code == ERR_OK)
        search->removed++;
    else if (!xenapi_rpc_is(a->failure, "HANDLE_INVALID"))
        err_keep(&search->err, a->err);
    if (a->err->code != ERR_OK && !a->failure)
        search->disk_count = 0; /* no use in going on */
    sweep_next(search);
}

static void sweep_next(struct search *search)
{
    if (search->disk_count > 0) {
        xenapi_flow_async(
            &search->flow, "VDI.destroy",
            xenapi_call_params("s", search->disks[--search->disk_count]),
            on_disk_gone);
        return;
    }
    xenapi_flow_fini(&search->flow);
    search->sweep.done(search->sweep.ctx, &search->err, search->removed);
    free(search->disks);
    free(search);
}

/* The mark names the disk itself, so that no copy of it is taken for ours. */
static bool is_left_over(const struct xmlrpc *vdi, const char *gateway)
{
    const char *mark =
        xmlrpc_get_text(xmlrpc_get(vdi, "other_config"), "cairn:snapshot");
    const char *uuid = strrchr(mark, '/');
    size_t n = strlen(gateway);

    return strncmp(mark, gateway, n) == 0 && mark[n] == '/' && uuid &&
           strcmp(uuid + 1, xmlrpc_get_text(vdi, "uuid")) == 0 &&
           xmlrpc_bool(xmlrpc_get(vdi, "is_a_snapshot"), false) &&
           xmlrpc_get(vdi, "VBDs") &&
           xmlrpc_count(xmlrpc_get(vdi, "VBDs")) == 0;
}

static void on_vdis(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct search *search = of(f);
    size_t n = xmlrpc_count(a->value);
    struct xmlrpc *vdi = NULL;

    search->err = *a->err;
    search->disks = calloc(n + 1, sizeof(*search->disks));
    if (search->err.code == ERR_OK && !search->disks)
        err_set(&search->err, ERR_NOMEM, 0, "a search for disks");
    for (size_t i = 0; search->err.code == ERR_OK && i < n; i++) {
        const char *ref = xmlrpc_name_at(a->value, i, &vdi);

        if (ref && strlen(ref) < XENAPI_REF_MAX &&
            is_left_over(vdi, search->gateway))
            memcpy(search->disks[search->disk_count++], ref, strlen(ref) + 1);
    }
    sweep_next(search);
}

enum err_code
xenapi_snapshot_sweep(struct xenapi_session *s,
                      const struct xenapi_snapshot_sweep_opts *opts,
                      struct err *err)
{
    struct search *search = search_new(s, opts->gateway, err);

    if (!search)
        return err ? err->code : ERR_NOMEM;
    search->sweep = *opts;
    xenapi_flow_call(&search->flow, "VDI.get_all_records",
                     xenapi_call_params(""), on_vdis);
    return ERR_OK;
}
