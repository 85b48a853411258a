/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_export.h"

#include <string.h>

#include "xenapi/xenapi_call.h"
#include "xenapi/xenapi_exchange.h"
#include "xenapi/xenapi_inner.h"

/* An export is an exchange and nothing more; only its name is another, so that no
 * import is taken for one. */
static struct xenapi_exchange *of(struct xenapi_export *x)
{
    return (struct xenapi_exchange *)x;
}

enum err_code xenapi_export_start(struct xenapi_session *s,
                                  const struct xenapi_export_opts *opts,
                                  struct xenapi_export **out, struct err *err)
{
    struct xenapi_exchange *x = NULL;
    char query[XENAPI_REF_MAX * 3 + 40] = "ref=";
    struct xenapi_exchange_opts o = {
        .label = opts->label,
        .gateway = opts->gateway,
        .job = opts->job,
        .handler = "/export/",
        .query = query,
        .verdict_ms = xenapi_session_timing(s)->verdict,
        .ready = opts->ready,
        .broken = opts->broken,
        .progress = opts->progress,
        .exported = opts->done,
        .ctx = opts->ctx,
    };
    enum err_code rc;

    if (xenapi_call_is_null(opts->ref) || strlen(opts->ref) >= XENAPI_REF_MAX ||
        !xenapi_exchange_encode(query, sizeof(query), opts->ref))
        return err_set(err, ERR_ARGUMENT, 0, "%s: there is no such VM",
                       opts->label);
    if (opts->zstd)
        memcpy(query + strlen(query), "&use_compression=zstd", 22);
    rc = xenapi_exchange_start(s, &o, &x, err);
    if (rc == ERR_OK)
        *out = (struct xenapi_export *)x;
    return rc;
}

void xenapi_export_streamed(struct xenapi_export *x, const struct err *stream)
{
    xenapi_exchange_streamed(of(x), stream);
}

void xenapi_export_cancel(struct xenapi_export *x)
{
    xenapi_exchange_cancel(of(x));
}
