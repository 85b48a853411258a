/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hundreds of transfers to hosts that answer, stall, cut and reset as a fixed
 * random sequence says, while ours are paused, resumed and cancelled: each
 * ends exactly once, in a known way, and nothing is left behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/net_peer.h"
#include "tests/unit/net_rig.h"

#define CALLS 400
#define BODY ((size_t)(200 * KIB))

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* What this host does next depends on its connection and request. */
static void play_weather(struct peer_conn *c)
{
    uint32_t seed = c->index * 2654435761u + 12345;
    uint8_t *body = calloc(1, BODY);
    char head[4096], text[200];

    while (peer_head(c, head, sizeof(head))) {
        const char *at = strstr(head, "Content-Length: ");
        uint64_t length = at ? strtoull(at + 16, NULL, 10) : 0;
        unsigned what = next_random(&seed) % 16;
        size_t n = next_random(&seed) % BODY;

        if (what == 0 || (what == 1 && !peer_read(c, NULL, length / 2)))
            break; /* closed without a word */
        if (what == 2) {
            peer_reset(c);
            break;
        }
        if (what == 3)
            usleep(next_random(&seed) % 30000);
        if (what == 4) { /* refused early */
            peer_say(c, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
            break;
        }
        if (what > 1 && !peer_read(c, NULL, length))
            break;
        if (what == 5) {
            peer_say(c, "HTTP/1.1 200 OK\r\nContent-Le");
            break;
        }
        if (what == 6) {
            peer_say(c, "garbage\r\n\r\n");
            break;
        }
        if (what == 7) /* stalls until it is left */
            snprintf(text, sizeof(text),
                     "HTTP/1.1 200 OK\r\n"
                     "Content-Length: 99\r\n\r\nabc");
        else
            snprintf(text, sizeof(text),
                     "HTTP/1.1 200 OK\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     what == 8 ? n + 1 : n);
        if (!peer_say(c, text))
            break;
        if (what == 7) {
            peer_wait(c);
            break;
        }
        if (!peer_write(c, body, n) || what == 8)
            break;
    }
    free(body);
}

struct drop {
    struct rig_call call;
    struct timer timer; /* cancels or resumes */
    bool cancels;
    uint32_t seed;
    size_t given;
};

static void on_timer(struct timer *t)
{
    struct drop *d = (struct drop *)((char *)t - offsetof(struct drop, timer));

    if (d->call.done > 0)
        return;
    if (d->cancels)
        http_transfer_cancel(d->call.transfer);
    else
        http_transfer_resume(d->call.transfer);
}

static bool take_or_pause(struct rig_call *c, const uint8_t *data, size_t len)
{
    struct drop *d = (struct drop *)c;

    (void)data;
    (void)len;
    if (d->cancels || next_random(&d->seed) % 8 != 0)
        return true;
    timer_start(c->rig->loop, &d->timer, next_random(&d->seed) % 4, on_timer);
    return false;
}

static long give_or_wait(void *ctx, uint8_t *into, size_t max)
{
    struct drop *d = ctx;

    if (!d->cancels && next_random(&d->seed) % 4 == 0) {
        timer_start(d->call.rig->loop, &d->timer, next_random(&d->seed) % 4,
                    on_timer);
        return HTTP_PULL_WAIT;
    }
    if (max > 30000)
        max = 30000;
    memset(into, 'x', max);
    d->given += max;
    return (long)max;
}

static void on_done(struct rig_call *c)
{
    timer_stop(&((struct drop *)c)->timer);
}

static void start_one(struct rig *r, struct drop *d, unsigned i,
                      const char *url, struct http_trust *trust)
{
    static const char *const methods[] = {"GET", "PUT", "POST", "DELETE"};
    struct http_transfer_opts opts;

    d->seed = i * 40503u + 7;
    d->cancels = next_random(&d->seed) % 4 == 0;
    d->call.on_piece = take_or_pause;
    d->call.on_done = on_done;
    opts = rig_opts(&d->call, methods[next_random(&d->seed) % 4], url);
    opts.trust = trust;
    opts.fresh = next_random(&d->seed) % 8 == 0;
    opts.stall_ms = 250;
    opts.first_byte_ms = 250;
    if (opts.method[0] == 'P') {
        opts.pull = give_or_wait;
        opts.body_bytes = next_random(&d->seed) % BODY;
    }
    rig_start(r, &d->call, &opts);
    if (d->cancels)
        timer_start(r->loop, &d->timer, next_random(&d->seed) % 40, on_timer);
}

static void every_transfer_ends_once_in_any_weather(void **state)
{
    struct peer_cert cert = peer_cert_new("a.example", false, NULL, -1, 1);
    SSL_CTX *tls = peer_tls(&cert);
    struct peer *plain = peer_start(play_weather, NULL, NULL);
    struct peer *safe = peer_start(play_weather, NULL, tls);
    struct drop *drops = calloc(CALLS, sizeof(*drops));
    unsigned ends[ERR_AGAIN + 1] = {0};
    struct http_trust *trust = NULL;
    struct err err = {0};
    uint8_t pin[32];
    struct rig r;

    (void)state;
    peer_cert_sha256(&cert, pin);
    assert_int_equal(http_trust_pin(pin, &trust, &err), ERR_OK);
    rig_open(&r, 6);
    for (unsigned i = 0; i < CALLS; i++) {
        bool https = i % 3 == 0;

        start_one(&r, &drops[i], i,
                  rig_url(https ? "https" : "http",
                          peer_port(https ? safe : plain), "/x"),
                  https ? trust : NULL);
        if (i % 50 == 0)
            rig_run_ms(&r, 5);
    }
    rig_run(&r);
    for (unsigned i = 0; i < CALLS; i++) {
        const struct err *end = &drops[i].call.err;

        assert_int_equal(drops[i].call.done, 1);
        if (end->code != ERR_OK && end->code != ERR_IO &&
            end->code != ERR_CANCELLED && end->code != ERR_PROTOCOL &&
            end->code != ERR_TIMEOUT)
            fail_msg("%u: %s: %s", i, err_name(end->code), end->text);
        ends[end->code]++;
        rig_fini(&drops[i].call);
    }
    /* The weather was neither fine nor all bad. */
    assert_true(ends[ERR_OK] > CALLS / 10);
    assert_true(ends[ERR_IO] > 0);
    assert_true(ends[ERR_CANCELLED] > 0);
    assert_true(ends[ERR_PROTOCOL] > 0);
    assert_true(ends[ERR_TIMEOUT] > 0);
    rig_close(&r);
    peer_stop(plain);
    peer_stop(safe);
    http_trust_drop(trust);
    SSL_CTX_free(tls);
    peer_cert_free(&cert);
    free(drops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_transfer_ends_once_in_any_weather),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
