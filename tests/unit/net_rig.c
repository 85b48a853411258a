/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/net_rig.h"

static void on_turn(uv_prepare_t *prepare)
{
    struct rig *r = prepare->data;

    r->turns++;
}

void rig_open(struct rig *r, unsigned per_host)
{
    struct err err = {0};

    *r = (struct rig){0};
    assert_int_equal(http_client_setup(&err), ERR_OK);
    assert_int_equal(loop_new("test", NULL, &r->loop, &err), ERR_OK);
    assert_int_equal(http_client_new(r->loop, per_host, &r->client, &err),
                     ERR_OK);
    uv_prepare_init(loop_uv(r->loop), &r->turn);
    r->turn.data = r;
    uv_prepare_start(&r->turn, on_turn);
}

void rig_run(struct rig *r)
{
    while (r->pending > 0)
        loop_run(r->loop);
}

struct stopper {
    struct timer timer;
    struct rig *rig;
};

static void on_stop(struct timer *t)
{
    loop_stop(((struct stopper *)t)->rig->loop);
}

void rig_run_ms(struct rig *r, uint64_t ms)
{
    struct stopper s = {.rig = r};

    timer_start(r->loop, &s.timer, ms, on_stop);
    loop_run(r->loop);
    timer_stop(&s.timer);
}

void rig_close(struct rig *r)
{
    http_client_free(r->client);
    uv_close((uv_handle_t *)&r->turn, NULL);
    rig_run_ms(r, 1);
    loop_free(r->loop);
}

static bool call_piece(void *ctx, const uint8_t *data, size_t len)
{
    struct rig_call *c = ctx;

    assert_int_equal(c->done, 0);
    assert_false(c->rig->inside);
    assert_true(len > 0 && len <= 16384);
    if (c->on_piece)
        return c->on_piece(c, data, len);
    assert_true(buf_add(&c->body, data, len));
    return true;
}

static bool call_head(void *ctx, const struct http_response *r)
{
    struct rig_call *c = ctx;

    assert_int_equal(c->done, 0);
    assert_false(c->rig->inside);
    c->heads++;
    return c->on_head ? c->on_head(c, r->status) : true;
}

static void call_done(void *ctx, const struct err *err,
                      const struct http_response *r)
{
    struct rig_call *c = ctx;
    const char *header = http_response_header(r, "x-test");

    assert_false(c->rig->inside);
    assert_int_equal(++c->done, 1);
    assert_null(strstr(err->text, "SECRET"));
    assert_true((err->code == ERR_OK) == (err->text[0] == '\0'));
    c->err = *err;
    c->status = r->status;
    c->received = r->body_bytes;
    c->sent = r->sent_bytes;
    c->length = r->length;
    c->wire = http_transfer_wire_bytes(r->transfer);
    snprintf(c->header, sizeof(c->header), "%s", header ? header : "");
    c->transfer = NULL;
    if (c->on_done)
        c->on_done(c);
    if (--c->rig->pending == 0)
        loop_stop(c->rig->loop);
}

struct http_transfer_opts rig_opts(struct rig_call *c, const char *method,
                                   const char *url)
{
    return (struct http_transfer_opts){.method = method,
                                       .url = url,
                                       .connect_ms = 20000,
                                       .first_byte_ms = 20000,
                                       .stall_ms = 20000,
                                       .on_head = call_head,
                                       .on_body = call_piece,
                                       .done = call_done,
                                       .ctx = c};
}

void rig_start(struct rig *r, struct rig_call *c,
               const struct http_transfer_opts *opts)
{
    bool nested = r->inside;
    struct err err = {0};

    c->rig = r;
    c->done = 0;
    c->heads = 0;
    if (c->body.max == 0)
        buf_init(&c->body, 1 << 20);
    buf_clear(&c->body);
    r->pending++;
    r->inside = true;
    if (http_transfer_start(r->client, opts, &c->transfer, &err) != ERR_OK)
        fail_msg("start: %s", err.text);
    r->inside = nested;
}

void rig_cancel(struct rig_call *c)
{
    c->rig->inside = true;
    http_transfer_cancel(c->transfer);
    c->rig->inside = false;
}

void rig_resume(struct rig_call *c)
{
    c->rig->inside = true;
    http_transfer_resume(c->transfer);
    c->rig->inside = false;
}

void rig_fini(struct rig_call *c)
{
    buf_fini(&c->body);
}

const char *rig_url(const char *scheme, unsigned port, const char *path)
{
    static char texts[8][300];
    static unsigned at;
    char *out = texts[at++ % 8];

    snprintf(out, sizeof(texts[0]), "%s://127.0.0.1:%u%s?" RIG_SECRET, scheme,
             port, path);
    return out;
}

void rig_get(struct rig *r, struct rig_call *c, const char *url)
{
    struct http_transfer_opts opts = rig_opts(c, "GET", url);

    rig_start(r, c, &opts);
    rig_run(r);
}

struct copy {
    struct http_piece piece;
    uint8_t bytes[];
};

static unsigned copies;

static void on_copy_back(struct http_piece *piece)
{
    copies--;
    free(piece);
}

struct http_piece *rig_piece(const void *data, size_t len)
{
    struct copy *copy = malloc(sizeof(*copy) + len);

    assert_non_null(copy);
    memcpy(copy->bytes, data, len);
    copy->piece = (struct http_piece){copy->bytes, len, on_copy_back, NULL};
    copies++;
    return &copy->piece;
}

unsigned rig_pieces(void)
{
    return copies;
}
