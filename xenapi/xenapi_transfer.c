/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   download:            GET -> [302: GET at a member] -> done
 *   upload:   empty PUT -> [302: the same at a member] -> PUT -> done
 *
 * A host answers a PUT at once and reads afterwards, or sends us elsewhere
 * while we are sending already: the empty PUT finds out where to go.
 */
#include "xenapi/xenapi_transfer.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/html.h"
#include "base/bytes.h"
#include "loop/timer.h"
#include "xenapi/xenapi_ticket_inner.h"

#define HOPS_MAX 3
#define WORDS_MAX ((size_t)8 << 10)

struct xenapi_transfer {
    struct xenapi_transfer_opts opts;
    struct xenapi_ticket *ticket;
    struct http_transfer *http;
    char host[XENAPI_ROUTE_HOST];
    unsigned port; /* 0: the pool's */
    unsigned hops;
    bool probing;
    bool cancelled;

    int status;
    char location[XENAPI_ROUTE_HOST + 1024];
    struct buf words; /* what a refusal says */
    uint64_t bytes;
    bool pulled; /* something of the body was taken, and may have been sent */
    bool paused;
    uint64_t active_ms; /* download: when something came last */
    struct timer timer; /* to begin with; then: has it stalled? */
    struct err err;
};

static void begin(struct xenapi_transfer *t);

static uint64_t now_ms(const struct xenapi_transfer *t)
{
    return uv_now(loop_uv(t->opts.loop));
}

/* Frees t. */
static void finish(struct xenapi_transfer *t)
{
    timer_stop(&t->timer);
    t->opts.done(t->opts.ctx, &t->err, t->bytes);
    xenapi_ticket_drop(t->ticket);
    buf_fini(&t->words);
    free(t);
}

static void note(struct xenapi_transfer *t, enum err_code code, int detail,
                 const char *text)
{
    struct err err;

    err_set(&err, code, detail, "host %s: %s", t->host, text);
    err_keep(&t->err, &err);
}

/* ---- Stalls of a download: the first byte may take long, the next not ---- */

static void on_watch(struct timer *timer);

static void watch(struct xenapi_transfer *t)
{
    uint64_t limit =
        t->bytes > 0 ? t->ticket->stall_ms : t->ticket->first_byte_ms;
    uint64_t now = now_ms(t);
    uint64_t due = (t->paused ? now : t->active_ms) + limit;

    if (due <= now) {
        note(t, ERR_TIMEOUT, 0,
             t->bytes > 0 ? "the export stopped and does not go on"
                          : "the export does not begin");
        http_transfer_cancel(t->http);
        return;
    }
    /* Looked at anew then: pieces that come do not touch the timer. The first
     * one shortens the limit, so look often enough. */
    if (due - now > t->ticket->stall_ms)
        due = now + t->ticket->stall_ms;
    timer_start(t->opts.loop, &t->timer, due - now, on_watch);
}

static void on_watch(struct timer *timer)
{
    watch((struct xenapi_transfer *)((char *)timer -
                                     offsetof(struct xenapi_transfer, timer)));
}

/* ---- Answers ---- */

/* Go where Location says, if that is a host we know. */
static bool follow(struct xenapi_transfer *t)
{
    char authority[XENAPI_ROUTE_AUTHORITY], host[XENAPI_ROUTE_HOST];

    if (!xenapi_route_location(t->location, authority)) {
        note(t, ERR_PROTOCOL, t->status, "a redirect to nowhere");
        return false;
    }
    if (!xenapi_route_split(authority, host, &t->port) ||
        !xenapi_route_knows(t->ticket->route, host)) {
        err_set(&t->err, ERR_PROTOCOL, t->status,
                "host %s sends us to %s, which is no host of this pool",
                t->host, authority);
        return false;
    }
    if (++t->hops > HOPS_MAX) {
        note(t, ERR_PROTOCOL, t->status, "the hosts send us to and fro");
        return false;
    }
    memcpy(t->host, host, sizeof(t->host));
    return true;
}

static void refuse(struct xenapi_transfer *t)
{
    char words[300];
    struct err err;

    html_xapi_error(t->words.data, t->words.len, words, sizeof(words));
    if (t->status == 401)
        err_set(&err, ERR_DENIED, 401,
                "host %s: the session is not accepted (HTTP 401)", t->host);
    else
        err_set(&err, t->status == 403 ? ERR_DENIED : ERR_REMOTE, t->status,
                "host %s: HTTP %d: %s", t->host, t->status, words);
    err_keep(&t->err, &err);
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 ||
           status == 308;
}

/* A host that has said 200 and has the whole body may break off, or be long
 * about it: its task tells how it went. */
static bool is_taken(const struct xenapi_transfer *t, const struct err *err,
                     const struct http_response *r)
{
    if (!t->ticket->upload || r->status != 200)
        return false;
    return t->probing || (r->sent_bytes >= t->opts.body_bytes &&
                          (err->code == ERR_IO || err->code == ERR_TIMEOUT));
}

/* A host whose toolstack starts anew, or that was out of reach: nothing that it
 * did can be seen twice. Not to wait for long what never answers. */
static bool is_unheard(const struct xenapi_transfer *t, const struct err *err,
                       bool unsent)
{
    if (t->status != 0 || t->bytes > 0 || t->pulled)
        return false;
    return err->code == ERR_IO || (err->code == ERR_TIMEOUT && unsent) ||
           (err->code == ERR_UNREACHABLE &&
            err->detail != XENAPI_ROUTE_NOT_TRUSTED);
}

static void on_done(void *ctx, const struct err *err,
                    const struct http_response *r)
{
    struct xenapi_transfer *t = ctx;
    bool unsent = http_transfer_wire_bytes(t->http) == 0;

    t->http = NULL;
    timer_stop(&t->timer);
    if (t->ticket->upload && !t->probing)
        t->bytes = r->sent_bytes;
    if (t->cancelled) {
        err_clear(&t->err);
        note(t, ERR_CANCELLED, 0, "cancelled");
    } else if (t->err.code == ERR_OK && is_redirect(r->status)) {
        if (t->bytes > 0)
            note(t, ERR_AGAIN, r->status, "a redirect in the middle");
        else if (follow(t)) {
            begin(t);
            return;
        }
    } else if (t->err.code == ERR_OK && err->code != ERR_OK &&
               !is_taken(t, err, r)) {
        t->err = *err;
        if (is_unheard(t, err, unsent))
            t->err.detail = XENAPI_TRANSFER_UNHEARD;
    } else if (t->err.code == ERR_OK && r->status != 200) {
        refuse(t);
    } else if (t->err.code == ERR_OK && t->probing) {
        t->probing = false;
        begin(t);
        return;
    }
    finish(t);
}

static bool on_head(void *ctx, const struct http_response *r)
{
    struct xenapi_transfer *t = ctx;
    const char *location = http_response_header(r, "Location");

    t->status = r->status;
    snprintf(t->location, sizeof(t->location), "%s", location ? location : "");
    t->active_ms = now_ms(t);
    return true;
}

static bool on_body(void *ctx, const uint8_t *data, size_t len)
{
    struct xenapi_transfer *t = ctx;
    size_t room = WORDS_MAX - t->words.len;

    if (t->status != 200) {
        buf_add(&t->words, data, len < room ? len : room);
        return true;
    }
    if (!t->opts.on_body)
        return true;
    if (t->err.code != ERR_OK)
        return true; /* stalled, and on its way out */
    t->paused = !t->opts.on_body(t->opts.ctx, data, len);
    if (t->paused)
        return false;
    t->bytes += len;
    t->active_ms = now_ms(t);
    return true;
}

static long on_pull(void *ctx, uint8_t *into, size_t max)
{
    struct xenapi_transfer *t = ctx;
    long n = t->opts.pull(t->opts.ctx, into, max);

    t->pulled |= n > 0;
    return n;
}

/* ---- Asking ---- */

static enum err_code send_request(struct xenapi_transfer *t, struct err *err)
{
    const struct xenapi_ticket *k = t->ticket;
    const struct http_header headers[] = {
        {"Cookie", k->cookie},
        {"User-Agent", "cairn/" CAIRN_VERSION},
    };
    struct xenapi_place place;
    char url[1200];
    struct http_transfer_opts o = {
        .method = k->upload ? "PUT" : "GET",
        .url = url,
        .headers = headers,
        .header_count = BYTES_COUNT(headers),
        .connect_ms = k->connect_ms,
        .fresh = true,
        .raw_end = true,
        .on_head = on_head,
        .on_body = on_body,
        .done = on_done,
        .ctx = t,
    };
    enum err_code rc =
        xenapi_route_place(k->route, t->host, t->port, &place, err);

    if (rc != ERR_OK)
        return rc;
    snprintf(url, sizeof(url), "%s%s", place.origin,
             t->probing ? k->probe_path : k->path);
    o.trust = place.trust;
    o.connect_to = place.connect_to;
    if (t->probing) {
        o.total_ms = k->connect_ms + k->answer_ms;
    } else if (k->upload) {
        o.pull = on_pull;
        o.body_bytes = t->opts.body_bytes;
        o.stall_ms = k->stall_ms;
        o.first_byte_ms = k->first_byte_ms;
    }
    return http_transfer_start(t->opts.client, &o, &t->http, err);
}

static void begin(struct xenapi_transfer *t)
{
    struct err err = {0};

    t->status = 0;
    buf_clear(&t->words);
    t->active_ms = now_ms(t);
    if (send_request(t, &err) != ERR_OK) {
        err_keep(&t->err, &err);
        finish(t);
        return;
    }
    if (!t->ticket->upload)
        watch(t);
}

static void on_begin(struct timer *timer)
{
    struct xenapi_transfer *t =
        (struct xenapi_transfer *)((char *)timer -
                                   offsetof(struct xenapi_transfer, timer));

    if (t->cancelled) {
        note(t, ERR_CANCELLED, 0, "cancelled");
        finish(t);
        return;
    }
    begin(t);
}

enum err_code xenapi_transfer_start(const struct xenapi_transfer_opts *opts,
                                    struct xenapi_transfer **out,
                                    struct err *err)
{
    struct xenapi_transfer *t;

    if (opts->ticket->upload ? !opts->pull : !opts->on_body)
        return err_set(err, ERR_ARGUMENT, 0,
                       "a transfer that its ticket is not for");
    t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(err, ERR_NOMEM, 0, "a transfer");
    t->opts = *opts;
    t->ticket = xenapi_ticket_hold(opts->ticket);
    t->probing = opts->ticket->upload;
    memcpy(t->host, opts->ticket->host, sizeof(t->host));
    buf_init(&t->words, WORDS_MAX);
    timer_start(opts->loop, &t->timer, 0, on_begin);
    *out = t;
    return ERR_OK;
}

void xenapi_transfer_resume(struct xenapi_transfer *t)
{
    if (!t->http)
        return;
    if (t->paused)
        t->active_ms = now_ms(t);
    t->paused = false;
    http_transfer_resume(t->http);
}

void xenapi_transfer_cancel(struct xenapi_transfer *t)
{
    t->cancelled = true;
    if (t->http)
        http_transfer_cancel(t->http);
}
