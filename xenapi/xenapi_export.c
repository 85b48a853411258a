/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_export.h"

#include <stdlib.h>
#include <string.h>

#include "xenapi/xenapi_call.h"
#include "xenapi/xenapi_exchange.h"
#include "xenapi/xenapi_inner.h"

struct xenapi_export {
    struct xenapi_exchange *exchange;
    void (*ready)(void *ctx, struct xenapi_ticket *ticket);
    void (*progress)(void *ctx, double fraction);
    void (*done)(void *ctx, const struct err *err);
    void *ctx;
};

static void on_ready(void *ctx, struct xenapi_ticket *ticket)
{
    struct xenapi_export *x = ctx;

    x->ready(x->ctx, ticket);
}

static void on_progress(void *ctx, double fraction)
{
    struct xenapi_export *x = ctx;

    if (x->progress)
        x->progress(x->ctx, fraction);
}

static void on_done(void *ctx, const struct err *err,
                    const struct xmlrpc *result)
{
    struct xenapi_export *x = ctx;

    x->done(x->ctx, err);
    free(x);
}

enum err_code xenapi_export_start(struct xenapi_session *s,
                                  const struct xenapi_export_opts *opts,
                                  struct xenapi_export **out, struct err *err)
{
    struct xenapi_export *x;
    char query[XENAPI_REF_MAX * 3 + 40] = "ref=";
    struct xenapi_exchange_opts o = {
        .label = opts->label,
        .handler = "/export/",
        .query = query,
        .verdict_ms = xenapi_session_timing(s)->verdict,
        .ready = on_ready,
        .progress = on_progress,
        .done = on_done,
    };
    enum err_code rc;

    if (xenapi_call_is_null(opts->ref) || strlen(opts->ref) >= XENAPI_REF_MAX ||
        !xenapi_exchange_encode(query, sizeof(query), opts->ref))
        return err_set(err, ERR_ARGUMENT, 0, "%s: there is no such VM",
                       opts->label);
    if (opts->zstd)
        memcpy(query + strlen(query), "&use_compression=zstd", 22);
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

void xenapi_export_streamed(struct xenapi_export *x, const struct err *stream)
{
    xenapi_exchange_streamed(x->exchange, stream);
}

void xenapi_export_cancel(struct xenapi_export *x)
{
    xenapi_exchange_cancel(x->exchange);
}
