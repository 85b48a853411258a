/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xenapi/xenapi_route.h"

#define TIMEOUT_MS 10000

struct xenapi_probe {
    struct http_trust *trust;
    struct http_transfer *http;
    bool cancelled;
    xenapi_probe_done_fn *done;
    void *ctx;
};

static void on_done(void *ctx, const struct err *err,
                    const struct http_response *r)
{
    struct xenapi_probe *p = ctx;
    struct err why = *err;
    uint8_t sha256[32];
    bool seen = http_trust_seen(p->trust, sha256) && !p->cancelled;

    if (seen)
        err_clear(&why);
    else if (why.code == ERR_OK)
        err_set(&why, ERR_PROTOCOL, 0, "the host showed no certificate");
    p->done(p->ctx, &why, seen ? sha256 : NULL);
    http_trust_drop(p->trust);
    free(p);
}

enum err_code xenapi_probe_start(const struct xenapi_probe_opts *opts,
                                 struct xenapi_probe **out, struct err *err)
{
    char host[XENAPI_ROUTE_HOST], url[XENAPI_ROUTE_HOST + 40];
    struct http_transfer_opts o = {
        .method = "GET",
        .url = url,
        .connect_to = opts->connect,
        .total_ms = opts->timeout_ms ? opts->timeout_ms : TIMEOUT_MS,
        .fresh = true,
        .raw_end = true,
        .done = on_done,
    };
    struct xenapi_probe *p;
    unsigned port;
    bool six;
    enum err_code rc;

    if (!xenapi_route_split(opts->host, host, &port))
        return err_set(err, ERR_ARGUMENT, 0, "\"%s\" is no host", opts->host);
    six = strchr(host, ':') != NULL;
    snprintf(url, sizeof(url), "https://%s%s%s:%u/", six ? "[" : "", host,
             six ? "]" : "", port ? port : 443);
    p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(err, ERR_NOMEM, 0, "host %s", host);
    p->done = opts->done;
    p->ctx = opts->ctx;
    rc = http_trust_show(&p->trust, err);
    if (rc == ERR_OK) {
        o.trust = p->trust;
        o.ctx = p;
        rc = http_transfer_start(opts->client, &o, &p->http, err);
    }
    if (rc != ERR_OK) {
        http_trust_drop(p->trust);
        free(p);
        return rc;
    }
    if (out)
        *out = p;
    return ERR_OK;
}

void xenapi_probe_cancel(struct xenapi_probe *p)
{
    p->cancelled = true;
    http_transfer_cancel(p->http);
}
