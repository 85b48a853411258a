/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_post.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/html.h"
#include "xenapi/xenapi_call.h"

/* Longer answers are parsed on the lane: this much takes under a millisecond.
 */
#define PARSE_HERE_MAX ((size_t)64 << 10)
#define STALL_MS (60 * 1000)
#define ONCE_IDLE_S 1 /* and what is left of the second */

struct xenapi_post {
    struct xenapi_post_opts opts;
    struct xenapi_place place;
    struct http_transfer *http;
    struct buf request;
    struct slice body;
    struct buf answer;
    bool cancelled;
    struct lane_item parsing;
    struct err err;
    struct xenapi_rpc_failure failure;
    struct xmlrpc *value;
};

static void finish(struct xenapi_post *p, bool unsent)
{
    if (p->err.code != ERR_OK || p->cancelled) {
        xmlrpc_free(p->value);
        xenapi_rpc_failure_fini(&p->failure);
        p->value = NULL;
    }
    if (p->cancelled)
        err_set(&p->err, ERR_CANCELLED, 0, "cancelled");
    p->opts.done(p->opts.ctx, &p->err, unsent, &p->failure, p->value);
    buf_fini(&p->request);
    buf_fini(&p->answer);
    free(p);
}

static void parse(struct xenapi_post *p)
{
    xenapi_rpc_answer(p->answer.data, p->answer.len, XENAPI_POST_ANSWER_MAX,
                      &p->value, &p->failure, &p->err);
}

static void on_lane_run(struct lane_item *item)
{
    parse((struct xenapi_post *)((char *)item -
                                 offsetof(struct xenapi_post, parsing)));
}

static void on_lane_done(struct lane_item *item)
{
    finish((struct xenapi_post *)((char *)item -
                                  offsetof(struct xenapi_post, parsing)),
           false);
}

static bool on_body(void *ctx, const uint8_t *data, size_t len)
{
    struct xenapi_post *p = ctx;

    buf_add(&p->answer, data, len); /* a failure shows at the end */
    return true;
}

static void judge_status(struct xenapi_post *p, int status)
{
    char words[200];

    html_xapi_error(p->answer.data, p->answer.len, words, sizeof(words));
    err_set(&p->err, status == 431 ? ERR_PROTOCOL : ERR_REMOTE, status,
            "%s: HTTP %d: %s", p->place.origin, status, words);
}

static void on_http_done(void *ctx, const struct err *err,
                         const struct http_response *r)
{
    struct xenapi_post *p = ctx;
    bool unsent = http_transfer_wire_bytes(p->http) == 0;

    p->http = NULL;
    if (p->cancelled || err->code != ERR_OK) {
        p->err = *err;
        finish(p, unsent);
        return;
    }
    if (buf_failed(&p->answer))
        err_set(&p->err,
                r->body_bytes > XENAPI_POST_ANSWER_MAX ? ERR_PROTOCOL
                                                       : ERR_NOMEM,
                0, "%s: an answer of %ju bytes", p->place.origin,
                (uintmax_t)r->body_bytes);
    else if (r->status != 200)
        judge_status(p, r->status);
    if (p->err.code != ERR_OK) {
        finish(p, false);
        return;
    }
    if (p->opts.lane && p->answer.len > PARSE_HERE_MAX) {
        p->parsing.run = on_lane_run;
        p->parsing.done = on_lane_done;
        p->parsing.loop = p->opts.loop;
        if (lane_start(p->opts.lane, &p->parsing))
            return;
    }
    parse(p);
    finish(p, false);
}

static enum err_code begin(struct xenapi_post *p, struct err *err)
{
    static const struct http_header headers[] = {
        {"Content-Type", "text/xml"},
        {"User-Agent", "cairn/" CAIRN_VERSION},
    };
    char url[XENAPI_ROUTE_HOST + 40];
    const struct http_transfer_opts o = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .header_count = BYTES_COUNT(headers),
        .trust = p->place.trust,
        .connect_to = p->place.connect_to,
        .body = &p->body,
        .body_slices = 1,
        .connect_ms = p->opts.connect_ms,
        .first_byte_ms = p->opts.answer_ms,
        .stall_ms = STALL_MS,
        .idle_max_s = p->opts.once ? ONCE_IDLE_S : 0,
        .on_body = on_body,
        .done = on_http_done,
        .ctx = p,
    };

    snprintf(url, sizeof(url), "%s/", p->place.origin);
    return http_transfer_start(p->opts.client, &o, &p->http, err);
}

enum err_code xenapi_post_start(const struct xenapi_post_opts *opts,
                                struct xenapi_post **out, struct err *err)
{
    struct xenapi_post *p = calloc(1, sizeof(*p));
    enum err_code rc;

    if (!p)
        return err_set(err, ERR_NOMEM, 0, "an XAPI call");
    p->opts = *opts;
    p->place = *opts->place; /* its pointers are used in begin() alone */
    p->request = *opts->request;
    p->body = (struct slice){p->request.data, p->request.len};
    buf_init_secret(&p->answer, XENAPI_POST_ANSWER_MAX);
    rc = begin(p, err);
    if (rc != ERR_OK) {
        free(p);
        return rc;
    }
    buf_init_secret(opts->request, opts->request->max);
    *out = p;
    return ERR_OK;
}

void xenapi_post_cancel(struct xenapi_post *p)
{
    p->cancelled = true;
    if (p->http)
        http_transfer_cancel(p->http);
}
