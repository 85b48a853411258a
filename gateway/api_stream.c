/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api_stream.h"

#include <assert.h>
#include <stdlib.h>

struct api_stream {
    struct api_call *call;
    struct api_stream_events events;
    bool attached;
    bool began;
    bool gone;      /* the client went away */
    bool gone_told;
};

void api_stream_start(struct api_call *call, const struct api_job_spec *spec)
{
    const struct api_backend *b = call->api->backend;
    struct api_stream *s = calloc(1, sizeof(*s));
    struct err err;

    if (!s) {
        err_set(&err, ERR_NOMEM, 0, "out of memory");
        api_call_fail(call, &err);
        return;
    }
    s->call = call;
    call->stream = s;
    call->stream_memory = s;
    call->busy = true;
    /* The client may have left while the catalog was asked. */
    s->gone = !call->http;
    b->stream_open(b->ctx, &(struct api_stream_spec){*spec, s});
}

static void stream_tell_gone(struct api_stream *s)
{
    if (!s->attached || s->gone_told)
        return;
    s->gone_told = true;
    s->events.gone(s->events.ctx);
}

static void on_late_gone(struct timer *t)
{
    struct api_call *call =
        (struct api_call *)((char *)t - offsetof(struct api_call, timer));

    stream_tell_gone(call->stream);
}

void api_stream_attach(struct api_stream *s,
                       const struct api_stream_events *events)
{
    assert(!s->attached);
    s->events = *events;
    s->attached = true;
    if (s->gone)
        timer_start(s->call->api->loop, &s->call->timer, 0, on_late_gone);
}

void api_stream_gone(struct api_stream *s, bool complete)
{
    s->gone = true;
    if (!complete)
        stream_tell_gone(s);
}

void api_stream_begin(struct api_stream *s, const char *job_id, int64_t length)
{
    const struct http_header headers[] = {
        {"Content-Type", "application/octet-stream"},
        {"Cairn-Job", job_id},
        {"Cache-Control", "no-store"},
    };

    assert(!s->began);
    s->began = true;
    if (!s->gone)
        http_call_stream(s->call->http, 200, headers, BYTES_COUNT(headers),
                         length);
}

bool api_stream_lend(struct api_stream *s, struct http_piece *piece)
{
    assert(s->began);
    return !s->gone && http_call_lend(s->call->http, piece);
}

void api_stream_retract(struct api_stream *s)
{
    if (s->began && !s->gone)
        http_call_retract(s->call->http);
}

void api_stream_end(struct api_stream *s, const struct err *err,
                    enum exit_code exit)
{
    struct api_call *call = s->call;
    bool answered = s->began;

    timer_stop(&call->timer);
    call->stream = NULL;
    call->busy = false;
    s->gone = true; /* nobody is told of anything any more */
    if (answered)
        api_call_streamed(call, err);
    else
        api_call_fail_exit(call, err, exit);
}
