/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_backlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Chains ---- */

struct disk {
    const char *uuid, *parent;
    const struct xmlrpc *record;
    bool hidden;
    size_t children, hidden_children;
};

static int by_uuid(const void *a, const void *b)
{
    const struct disk *x = a, *y = b;

    return strcmp(x->uuid, y->uuid);
}

static struct disk *read_disks(const struct xmlrpc *vdis, size_t count)
{
    struct disk *disks = calloc(count ? count : 1, sizeof(*disks));
    struct xmlrpc *r = NULL;

    for (size_t i = 0; disks && i < count; i++) {
        xmlrpc_name_at(vdis, i, &r);
        disks[i].record = r;
        disks[i].uuid = xmlrpc_get_text(r, "uuid");
        disks[i].parent =
            xmlrpc_get_text(xmlrpc_get(r, "sm_config"), "vhd-parent");
        disks[i].hidden = !xmlrpc_bool(xmlrpc_get(r, "managed"), true);
    }
    if (disks)
        qsort(disks, count, sizeof(*disks), by_uuid);
    return disks;
}

bool xenapi_backlog_each(const struct xmlrpc *vdis,
                         void (*waits)(void *ctx, const struct xmlrpc *vdi),
                         void *ctx)
{
    size_t count = xmlrpc_count(vdis);
    struct disk *disks = read_disks(vdis, count);

    if (!disks)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct disk key = {.uuid = disks[i].parent};
        struct disk *parent =
            *key.uuid ? bsearch(&key, disks, count, sizeof(*disks), by_uuid)
                      : NULL;

        if (!parent)
            continue;
        parent->children++;
        parent->hidden_children += disks[i].hidden;
    }
    for (size_t i = 0; i < count; i++)
        if (disks[i].hidden && disks[i].children == 1 &&
            disks[i].hidden_children == 1)
            waits(ctx, disks[i].record);
    free(disks);
    return true;
}

/* ---- Asking ---- */

struct xenapi_backlog {
    struct xenapi_call *call;
    size_t disks;
    xenapi_backlog_done_fn *done;
    void *ctx;
};

static void on_waiting_disk(void *ctx, const struct xmlrpc *vdi)
{
    struct xenapi_backlog *b = ctx;

    (void)vdi;
    b->disks++;
}

static void on_records(void *ctx, const struct err *err,
                       const struct xenapi_rpc_failure *failure,
                       struct xmlrpc *value)
{
    struct xenapi_backlog *b = ctx;
    struct err why = *err;

    (void)failure;
    if (why.code == ERR_OK && !xenapi_backlog_each(value, on_waiting_disk, b))
        err_set(&why, ERR_NOMEM, 0, "disks of an SR");
    xmlrpc_free(value);
    b->done(b->ctx, &why, b->disks);
    free(b);
}

enum err_code xenapi_backlog_start(struct xenapi_session *s, const char *sr_ref,
                                   xenapi_backlog_done_fn *done, void *ctx,
                                   struct xenapi_backlog **out,
                                   struct err *err)
{
    struct xenapi_backlog *b;
    char filter[XENAPI_REF_MAX + 20];
    struct xenapi_call_opts o = {
        .method = "VDI.get_all_records_where",
        .done = on_records,
    };

    /* It goes between quotation marks. */
    if (strlen(sr_ref) >= XENAPI_REF_MAX || strpbrk(sr_ref, "\"\\"))
        return err_set(err, ERR_ARGUMENT, 0, "an SR's ref with odd characters");
    b = calloc(1, sizeof(*b));
    if (!b)
        return err_set(err, ERR_NOMEM, 0, "disks of an SR");
    b->done = done;
    b->ctx = ctx;
    snprintf(filter, sizeof(filter), "field \"SR\"=\"%s\"", sr_ref);
    o.params = xenapi_call_params("s", filter);
    o.ctx = b;
    if (xenapi_call_start(s, &o, &b->call, err) != ERR_OK) {
        free(b);
        return err->code;
    }
    *out = b;
    return ERR_OK;
}

void xenapi_backlog_cancel(struct xenapi_backlog *b)
{
    xenapi_call_cancel(b->call);
}
