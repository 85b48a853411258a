/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/net_site.h"

uint8_t site_byte(uint64_t offset)
{
    return (uint8_t)(offset * 131 + (offset >> 12) * 17);
}

void site_answer(struct http_call *c, int status, const char *text)
{
    const struct http_header headers[] = {{"X-Test", "yes"},
                                          {"Content-Type", "text/plain"}};

    http_call_answer(c, status, headers, 2, text, strlen(text));
}

static void pour(struct site *s);

static void on_piece_out(struct http_piece *piece)
{
    struct site *s =
        (struct site *)((char *)piece - offsetof(struct site, piece));

    assert_true(s->lent);
    s->lent = false;
    pour(s);
}

/* One piece at a time, and the end behind the last. */
static void pour(struct site *s)
{
    struct http_call *c = s->stream;
    uint64_t left = s->stream_bytes - s->written;

    if (!c)
        return;
    if (left == 0) {
        s->stream = NULL;
        http_call_end(c, !s->stream_fails);
        return;
    }
    s->piece.len = left < sizeof(s->bytes) ? (size_t)left : sizeof(s->bytes);
    for (size_t i = 0; i < s->piece.len; i++)
        s->bytes[i] = site_byte(s->written + i);
    s->piece.data = s->bytes;
    s->piece.done = on_piece_out;
    s->lent = http_call_lend(c, &s->piece);
    if (s->lent)
        s->written += s->piece.len;
    else
        s->stream = NULL;
}

/* Tells back everything that it was asked. */
static void answer_echo(struct http_call *c)
{
    const char *name, *value, *header = http_call_header(c, "x-ask");
    const uint8_t *body;
    struct buf out;
    size_t len;

    buf_init(&out, 100000);
    buf_addf(&out, "%s %s", http_call_method(c), http_call_path(c));
    for (size_t i = 0; (name = http_call_query_at(c, i, &value)) != NULL; i++)
        buf_addf(&out, " %s=%s", name, value);
    buf_addf(&out, " q:%s",
             http_call_query(c, "q") ? http_call_query(c, "q") : "none");
    buf_addf(&out, " h:%s ", header ? header : "none");
    body = http_call_body(c, &len);
    buf_add(&out, body, len);
    site_answer(c, 200, buf_text(&out));
    buf_fini(&out);
}

static void on_later(struct timer *t)
{
    struct site *s = (struct site *)((char *)t - offsetof(struct site, later));

    site_answer(s->waiting, 202, "late");
}

static void on_call(void *ctx, struct http_call *c)
{
    struct site *s = ctx;
    const char *path = http_call_path(c);

    s->calls++;
    assert_null(http_call_user(c));
    http_call_set_user(c, s);
    if (strcmp(path, "/later") == 0) {
        s->waiting = c;
        timer_start(s->rig.loop, &s->later, 50, on_later);
    } else if (strcmp(path, "/never") == 0) {
        s->waiting = c;
    } else if (strcmp(path, "/stream") == 0) {
        s->stream = c;
        http_call_stream(c, 200, NULL, 0, -1);
        pour(s);
    } else if (strcmp(path, "/sized") == 0) {
        s->stream = c;
        http_call_stream(c, 200, NULL, 0, (int64_t)s->stream_bytes);
        pour(s);
    } else if (strcmp(path, "/short") == 0) {
        http_call_stream(c, 200, NULL, 0, 100);
        assert_true(http_call_lend(c, rig_piece("abc", 3)));
        http_call_end(c, true);
    } else {
        answer_echo(c);
    }
}

static void on_gone(void *ctx, struct http_call *c, bool complete)
{
    struct site *s = ctx;

    assert_ptr_equal(http_call_user(c), s);
    assert_false(s->lent && s->stream == c); /* it came back before */
    s->gone++;
    s->complete += complete;
    if (s->stream == c)
        s->stream = NULL;
    if (s->waiting == c)
        s->waiting = NULL;
    if (s->stop_after_gone)
        loop_stop(s->rig.loop);
}

struct http_server_opts site_opts(struct site *s)
{
    return (struct http_server_opts){.unix_path = s->path,
                                     .body_max = BODY_MAX,
                                     .connections_max = 100,
                                     .idle_ms = 60000,
                                     .on_call = on_call,
                                     .on_gone = on_gone,
                                     .ctx = s};
}

void site_open(struct site *s)
{
    struct http_server_opts opts;
    struct err err = {0};
    int fd;

    *s = (struct site){.path = "/tmp/cairn-test-sock-XXXXXX"};
    fd = mkstemp(s->path);
    assert_true(fd >= 0);
    close(fd);
    unlink(s->path);
    rig_open(&s->rig, 64);
    opts = site_opts(s);
    if (http_server_new(s->rig.loop, &opts, &s->server, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

void site_close(struct site *s)
{
    http_server_free(s->server);
    assert_int_equal(s->calls, s->gone);
    assert_int_equal(access(s->path, F_OK), -1);
    rig_close(&s->rig);
    rig_fini(&s->call);
}

struct http_transfer_opts site_ask_opts(struct site *s, struct rig_call *c,
                                        const char *method, const char *url)
{
    struct http_transfer_opts opts = rig_opts(c, method, url);

    opts.unix_path = s->path;
    return opts;
}

void site_ask(struct site *s, const char *url)
{
    struct http_transfer_opts opts = site_ask_opts(s, &s->call, "GET", url);

    rig_start(&s->rig, &s->call, &opts);
    rig_run(&s->rig);
}
