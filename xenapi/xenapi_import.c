/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_import.h"

#include <stdlib.h>
#include <string.h>

#include "xenapi/xenapi_call.h"
#include "xenapi/xenapi_exchange.h"
#include "xenapi/xenapi_inner.h"

struct xenapi_import {
    struct xenapi_exchange *exchange;
    void (*ready)(void *ctx, struct xenapi_ticket *ticket);
    void (*progress)(void *ctx, double fraction);
    void (*done)(void *ctx, const struct err *err, const char *vm_ref);
    void *ctx;
};

static void on_ready(void *ctx, struct xenapi_ticket *ticket)
{
    struct xenapi_import *x = ctx;

    x->ready(x->ctx, ticket);
}

static void on_progress(void *ctx, double fraction)
{
    struct xenapi_import *x = ctx;

    if (x->progress)
        x->progress(x->ctx, fraction);
}

/* The task's result is a set of refs: of the VM, since a full export carries no
 * snapshots. */
static void on_done(void *ctx, const struct err *err,
                    const struct xmlrpc *result)
{
    struct xenapi_import *x = ctx;
    const char *ref = xmlrpc_text(xmlrpc_at(result, 0), "");
    struct err why = *err;

    if (why.code == ERR_OK && xenapi_call_is_null(ref))
        err_set(&why, ERR_PROTOCOL, 0,
                "the import succeeded, but the pool names no VM");
    x->done(x->ctx, &why, why.code ? NULL : ref);
    free(x);
}

static bool write_query(char *out, size_t size,
                        const struct xenapi_import_opts *opts)
{
    size_t at;

    if (!xenapi_exchange_encode(out, size, opts->sr_uuid))
        return false;
    at = strlen(out);
    if (!opts->restore)
        return true;
    if (at + sizeof("&restore=true") > size)
        return false;
    memcpy(out + at, "&restore=true", sizeof("&restore=true"));
    return true;
}

enum err_code xenapi_import_start(struct xenapi_session *s,
                                  const struct xenapi_import_opts *opts,
                                  struct xenapi_import **out, struct err *err)
{
    struct xenapi_import *x;
    char query[300] = "sr_uuid=";
    struct xenapi_exchange_opts o = {
        .label = opts->label,
        .handler = "/import/",
        .query = query,
        .upload = true,
        .verdict_ms = xenapi_session_timing(s)->import_verdict,
        .ready = on_ready,
        .progress = on_progress,
        .done = on_done,
    };
    enum err_code rc;

    if (!opts->sr_uuid || !opts->sr_uuid[0] ||
        !write_query(query, sizeof(query), opts))
        return err_set(err, ERR_ARGUMENT, 0, "%s: there is no such SR",
                       opts->label);
    x = calloc(1, sizeof(*x));
    if (!x)
        return err_set(err, ERR_NOMEM, 0, "%s", opts->label);
    x->ready = opts->ready;
    x->progress = opts->progress;
    x->done = opts->done;
    x->ctx = opts->ctx;
    o.ctx = x;
    rc = xenapi_exchange_start(s, &o, &x->exchange, err);
    if (rc != ERR_OK)
        free(x);
    else
        *out = x;
    return rc;
}

void xenapi_import_streamed(struct xenapi_import *x, const struct err *stream)
{
    xenapi_exchange_streamed(x->exchange, stream);
}

void xenapi_import_cancel(struct xenapi_import *x)
{
    xenapi_exchange_cancel(x->exchange);
}
