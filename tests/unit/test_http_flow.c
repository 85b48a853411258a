/* SPDX-License-Identifier: Apache-2.0 */
/* Back-pressure both ways, cancelling and deadlines, at each state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/net_peer.h"
#include "tests/unit/net_rig.h"

#define BIG (64 * MIB)

/* What both sides of a transfer expect at each place. */
static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)(offset * 131 + (offset >> 12) * 17 + (offset >> 24));
}

/* ---- Back-pressure ---- */

struct source {
    uint64_t bytes;
    bool chunked;
};

static void play_source(struct peer_conn *c)
{
    static const size_t step = 100000; /* no multiple of 16 KiB */
    struct source *s = c->ctx;
    uint8_t *piece = malloc(step);
    char head[4096];

    if (peer_head(c, head, sizeof(head))) {
        if (s->chunked)
            snprintf(head, sizeof(head), "Transfer-Encoding: chunked");
        else
            snprintf(head, sizeof(head), "Content-Length: %ju",
                     (uintmax_t)s->bytes);
        peer_say(c, "HTTP/1.1 200 OK\r\n");
        peer_say(c, head);
        peer_say(c, "\r\n\r\n");
    }
    for (uint64_t at = 0; at < s->bytes;) {
        size_t n = s->bytes - at < step ? (size_t)(s->bytes - at) : step;

        for (size_t i = 0; i < n; i++)
            piece[i] = byte_at(at + i);
        snprintf(head, sizeof(head), "%zx\r\n", n);
        if ((s->chunked && !peer_say(c, head)) || !peer_write(c, piece, n) ||
            (s->chunked && !peer_say(c, "\r\n")))
            break;
        at += n;
    }
    if (s->chunked)
        peer_say(c, "0\r\n\r\n");
    free(piece);
}

struct taker {
    struct timer resume;
    struct rig_call *call;
    uint64_t taken, pause_at, pause_every;
    uint64_t pause_ms;
    unsigned pauses;
    bool wrong;
    bool refuse_once;      /* say no to the piece that comes after a pause */
    uint64_t turns_paused; /* of the loop, while nothing could be done */
    uint64_t turns_before;
    double cpu_paused, cpu_before;
};

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_THREAD, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void on_resume(struct timer *timer)
{
    struct taker *k = (struct taker *)timer;

    k->turns_paused += k->call->rig->turns - k->turns_before;
    k->cpu_paused += cpu_seconds() - k->cpu_before;
    rig_resume(k->call);
}

static bool take_with_pauses(struct rig_call *c, const uint8_t *data,
                             size_t len)
{
    struct taker *k = c->user;

    if (k->taken >= k->pause_at) {
        if (k->refuse_once) {
            k->pause_at += k->pause_every;
        }
        k->refuse_once = !k->refuse_once;
        k->pauses++;
        k->turns_before = c->rig->turns;
        k->cpu_before = cpu_seconds();
        timer_start(c->rig->loop, &k->resume, k->pause_ms, on_resume);
        return false;
    }
    for (size_t i = 0; i < len; i++)
        k->wrong = k->wrong || data[i] != byte_at(k->taken + i);
    k->taken += len;
    return true;
}

static void download_with_pauses(struct source *s, SSL_CTX *tls,
                                 struct http_trust *trust, struct taker *k)
{
    struct peer *p = peer_start(play_source, s, tls);
    struct rig_call c = {.on_piece = take_with_pauses, .user = k};
    struct http_transfer_opts opts;
    struct rig r;

    k->call = &c;
    k->pause_at = k->pause_every;
    rig_open(&r, 4);
    opts = rig_opts(&c, "GET",
                    rig_url(tls ? "https" : "http", peer_port(p), "/big"));
    opts.trust = trust;
    opts.stall_ms = 5000; /* a busy machine forgets the peer for a second */
    rig_start(&r, &c, &opts);
    rig_run(&r);
    if (c.err.code != ERR_OK)
        fail_msg("%s", c.err.text);
    assert_int_equal(k->taken, s->bytes);
    assert_int_equal(c.received, s->bytes);
    assert_false(k->wrong);
    assert_true(k->pauses > 1);
    rig_close(&r);
    peer_stop(p);
    rig_fini(&c);
    k->call = NULL;
}

static void paused_download_loses_nothing(void **state)
{
    for (int chunked = 0; chunked < 2; chunked++) {
        struct source s = {BIG + 12345, chunked};
        struct taker k = {.pause_every = 3 * MIB + 1000, .pause_ms = 5};

        (void)state;
        download_with_pauses(&s, NULL, NULL, &k);
        assert_true(k.pauses >= 40);
    }
}

/* A few turns per pause: the timer's, libcurl's own. A socket that stays
 * readable and is watched would make tens of thousands. */
static void assert_idle(const struct taker *k)
{
    if (k->turns_paused > (uint64_t)20 * k->pauses ||
        k->cpu_paused > 0.02 * k->pauses)
        fail_msg("%u pauses: %ju turns, %.3f s of CPU", k->pauses,
                 (uintmax_t)k->turns_paused, k->cpu_paused);
}

static void paused_loop_is_idle(void **state)
{
    struct source s = {24 * MIB, false};
    struct taker k = {.pause_every = 10 * MIB, .pause_ms = 300};

    (void)state;
    download_with_pauses(&s, NULL, NULL, &k);
    assert_idle(&k);
}

static void paused_tls_loses_nothing_and_is_idle(void **state)
{
    struct peer_cert cert = peer_cert_new("a.example", false, NULL, -1, 1);
    SSL_CTX *tls = peer_tls(&cert);
    struct http_trust *trust = NULL;
    struct err err = {0};
    uint8_t pin[32];

    (void)state;
    peer_cert_sha256(&cert, pin);
    assert_int_equal(http_trust_pin(pin, &trust, &err), ERR_OK);
    for (int chunked = 0; chunked < 2; chunked++) {
        struct source s = {BIG + 777, chunked};
        struct taker k = {.pause_every = 20 * MIB, .pause_ms = 200};

        download_with_pauses(&s, tls, trust, &k);
        assert_idle(&k);
    }
    http_trust_drop(trust);
    SSL_CTX_free(tls);
    peer_cert_free(&cert);
}

struct giver {
    struct timer resume;
    struct rig_call *call;
    uint64_t total, given, wait_every, wait_at;
    uint64_t wait_ms;
    unsigned waits;
    uint64_t turns_paused, turns_before;
    long last_word; /* returned once all is given, or at fail_at */
    uint64_t fail_at;
};

static void on_more(struct timer *timer)
{
    struct giver *g = (struct giver *)timer;

    g->turns_paused += g->call->rig->turns - g->turns_before;
    rig_resume(g->call);
}

static long give(void *ctx, uint8_t *into, size_t max)
{
    struct giver *g = ((struct rig_call *)ctx)->user;

    assert_true(max > 0);
    assert_true(g->given < g->total);
    if (g->fail_at && g->given >= g->fail_at)
        return g->last_word;
    if (g->given >= g->wait_at) {
        g->wait_at += g->wait_every;
        g->waits++;
        g->turns_before = g->call->rig->turns;
        timer_start(g->call->rig->loop, &g->resume, g->wait_ms, on_more);
        return HTTP_PULL_WAIT;
    }
    if (max > 50000)
        max = 50000;
    assert_true(max <= g->total - g->given || g->total - g->given < 50000);
    for (size_t i = 0; i < max; i++)
        into[i] = byte_at(g->given + i);
    g->given += max;
    return (long)max;
}

struct drain {
    uint64_t bytes, got;
    bool wrong;
};

static void play_drain(struct peer_conn *c)
{
    struct drain *d = c->ctx;
    static _Thread_local uint8_t piece[70000];
    char head[4096];

    if (!peer_head(c, head, sizeof(head)))
        return;
    while (d->got < d->bytes) {
        uint64_t left = d->bytes - d->got;
        size_t n = left < sizeof(piece) ? (size_t)left : sizeof(piece);

        if (!peer_read(c, piece, n))
            return;
        for (size_t i = 0; i < n; i++)
            d->wrong = d->wrong || piece[i] != byte_at(d->got + i);
        d->got += n;
    }
    peer_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void upload(struct giver *g, struct rig_call *c, struct drain *d)
{
    struct peer *p = peer_start(play_drain, d, NULL);
    struct http_transfer_opts opts;
    struct rig r;

    *c = (struct rig_call){.user = g};
    g->call = c;
    g->wait_at = g->wait_every;
    rig_open(&r, 4);
    opts = rig_opts(c, "PUT", rig_url("http", peer_port(p), "/up"));
    opts.pull = give;
    opts.body_bytes = g->total;
    opts.stall_ms = 400;
    rig_start(&r, c, &opts);
    rig_run(&r);
    rig_close(&r);
    peer_stop(p);
}

static void pulled_upload_waits_and_loses_nothing(void **state)
{
    struct giver g = {
        .total = BIG + 4321, .wait_every = 5 * MIB, .wait_ms = 10};
    struct drain d = {.bytes = g.total};
    struct rig_call c;

    (void)state;
    upload(&g, &c, &d);
    if (c.err.code != ERR_OK)
        fail_msg("%s", c.err.text);
    assert_int_equal(d.got, d.bytes);
    assert_false(d.wrong);
    assert_int_equal(c.sent, d.bytes);
    assert_true(g.waits >= 12);
}

static void waiting_upload_is_idle_and_not_stalled(void **state)
{
    struct giver g = {.total = 3 * MIB, .wait_every = 2 * MIB, .wait_ms = 900};
    struct drain d = {.bytes = g.total};
    struct rig_call c;

    (void)state;
    upload(&g, &c, &d);
    assert_int_equal(c.err.code, ERR_OK);
    assert_int_equal(g.waits, 1);
    assert_true(g.turns_paused < 50);
}

static void source_that_fails_ends_the_upload(void **state)
{
    static const struct {
        long word;
        enum err_code code;
    } ends[] = {{HTTP_PULL_FAIL, ERR_CANCELLED}, {0, ERR_ARGUMENT}};

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(ends); i++) {
        struct giver g = {.total = BIG,
                          .wait_every = BIG,
                          .fail_at = MIB,
                          .last_word = ends[i].word};
        struct drain d = {.bytes = g.total};
        struct rig_call c;

        upload(&g, &c, &d);
        assert_int_equal(c.err.code, ends[i].code);
        assert_int_equal(c.status, 0);
        assert_true(d.got < d.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paused_download_loses_nothing),
        cmocka_unit_test(paused_loop_is_idle),
        cmocka_unit_test(paused_tls_loses_nothing_and_is_idle),
        cmocka_unit_test(pulled_upload_waits_and_loses_nothing),
        cmocka_unit_test(waiting_upload_is_idle_and_not_stalled),
        cmocka_unit_test(source_that_fails_ends_the_upload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
