/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_import.h"

#include <string.h>

#include "xenapi/xenapi_call.h"
#include "xenapi/xenapi_exchange.h"
#include "xenapi/xenapi_inner.h"

/* An import is an exchange and nothing more; only its name is another, so that no
 * export is taken for one. */
static struct xenapi_exchange *of(struct xenapi_import *x)
{
    return (struct xenapi_exchange *)x;
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
    struct xenapi_exchange *x = NULL;
    char query[300] = "sr_uuid=";
    struct xenapi_exchange_opts o = {
        .label = opts->label,
        .gateway = opts->gateway,
        .job = opts->job,
        .handler = "/import/",
        .query = query,
        .upload = true,
        .verdict_ms = xenapi_session_timing(s)->import_verdict,
        .ready = opts->ready,
        .broken = opts->broken,
        .progress = opts->progress,
        .imported = opts->done,
        .ctx = opts->ctx,
    };
    enum err_code rc;

    if (!opts->sr_uuid || !opts->sr_uuid[0] ||
        !write_query(query, sizeof(query), opts))
        return err_set(err, ERR_ARGUMENT, 0, "%s: there is no such SR",
                       opts->label);
    rc = xenapi_exchange_start(s, &o, &x, err);
    if (rc == ERR_OK)
        *out = (struct xenapi_import *)x;
    return rc;
}

void xenapi_import_streamed(struct xenapi_import *x, const struct err *stream)
{
    xenapi_exchange_streamed(of(x), stream);
}

void xenapi_import_cancel(struct xenapi_import *x)
{
    xenapi_exchange_cancel(of(x));
}
