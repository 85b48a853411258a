/* SPDX-License-Identifier: Apache-2.0 */
/* Cancelling and deadlines, at each state in which a transfer can be stuck. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <poll.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/net_peer.h"
#include "tests/unit/net_rig.h"

/* Where a transfer is stuck, by what the peer does not do. */
enum place {
    AT_START,      /* cancelled in the turn in which it was started */
    AT_QUEUE,      /* another one has its host's only connection */
    AT_CONNECT,    /* the peer takes the connection and says no TLS */
    AT_SENDING,    /* the peer reads nothing of the body */
    AT_PULL,       /* the source has nothing */
    AT_FIRST_BYTE, /* the peer says nothing */
    AT_HEAD,       /* the peer stops inside the head */
    AT_BODY,       /* the peer stops inside the body */
    AT_PAUSE,      /* our on_body() said no */
    AT_PLACES,
};

static const char *const names[AT_PLACES] = {"start",   "queue", "connect",
                                             "sending", "pull",  "first byte",
                                             "head",    "body",  "pause"};

static void play_stuck(struct peer_conn *c)
{
    enum place at = *(enum place *)c->ctx;
    char head[4096];

    if (at == AT_CONNECT || !peer_head(c, head, sizeof(head))) {
        peer_wait(c);
        return;
    }
    if (at == AT_SENDING) {
        struct pollfd until_stopped = {.fd = c->fd};

        poll(&until_stopped, 1, -1);
        return;
    }
    if (at == AT_HEAD)
        peer_say(c, "HTTP/1.1 200 OK\r\nContent-Le");
    if (at == AT_BODY || at == AT_PAUSE)
        peer_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    peer_wait(c);
}

struct stuck {
    enum place at;
    struct rig rig;
    struct peer *peer;
    struct http_trust *trust;
    struct rig_call call, other;
    struct timer cancel;
    uint8_t *data;
    struct slice slice;
};

static bool refuse_piece(struct rig_call *c, const uint8_t *data, size_t len)
{
    (void)c;
    (void)data;
    (void)len;
    return false;
}

static long give_nothing(void *ctx, uint8_t *into, size_t max)
{
    (void)ctx;
    (void)into;
    (void)max;
    return HTTP_PULL_WAIT;
}

static struct http_transfer_opts stuck_open(struct stuck *s, enum place at)
{
    bool tls = at == AT_CONNECT;
    struct http_transfer_opts opts;
    struct err err = {0};

    *s = (struct stuck){.at = at};
    s->peer = peer_start(play_stuck, &s->at, NULL);
    rig_open(&s->rig, 1);
    opts =
        rig_opts(&s->call, "GET",
                 rig_url(tls ? "https" : "http", peer_port(s->peer), "/stuck"));
    if (tls) {
        assert_int_equal(http_trust_show(&s->trust, &err), ERR_OK);
        opts.trust = s->trust;
    }
    if (at == AT_SENDING) {
        s->data = calloc(1, 32 * MIB);
        s->slice = (struct slice){s->data, 32 * MIB};
        opts.method = "PUT";
        opts.body = &s->slice;
        opts.body_slices = 1;
    }
    if (at == AT_PULL) {
        opts.method = "PUT";
        opts.pull = give_nothing;
        opts.body_bytes = 100;
    }
    if (at == AT_PAUSE)
        s->call.on_piece = refuse_piece;
    if (at == AT_QUEUE) {
        struct http_transfer_opts first = rig_opts(
            &s->other, "GET", rig_url("http", peer_port(s->peer), "/first"));

        rig_start(&s->rig, &s->other, &first);
    }
    return opts;
}

static void stuck_close(struct stuck *s)
{
    rig_close(&s->rig);
    peer_stop(s->peer);
    http_trust_drop(s->trust);
    rig_fini(&s->call);
    rig_fini(&s->other);
    free(s->data);
}

static void on_cancel(struct timer *t)
{
    struct stuck *s =
        (struct stuck *)((char *)t - offsetof(struct stuck, cancel));

    rig_cancel(&s->call);
    rig_cancel(&s->call); /* twice is once */
    if (s->at == AT_QUEUE) {
        assert_int_equal(s->other.done, 0);
        rig_cancel(&s->other);
    }
}

static void cancel_ends_once_at_each_state(void **state)
{
    (void)state;
    for (int at = 0; at < AT_PLACES; at++) {
        struct http_transfer_opts opts;
        struct stuck s;

        opts = stuck_open(&s, (enum place)at);
        rig_start(&s.rig, &s.call, &opts);
        if (at == AT_START)
            on_cancel(&s.cancel);
        else
            timer_start(s.rig.loop, &s.cancel, 60, on_cancel);
        rig_run(&s.rig);
        rig_run_ms(&s.rig, 20); /* a second done() would come now */
        if (s.call.err.code != ERR_CANCELLED || s.call.done != 1)
            fail_msg("%s: %s, done %u", names[at], s.call.err.text,
                     s.call.done);
        assert_int_equal(s.call.wire > 0,
                         at != AT_START && at != AT_QUEUE && at != AT_CONNECT);
        assert_int_equal(s.call.status,
                         at == AT_BODY || at == AT_PAUSE ? 200 : 0);
        stuck_close(&s);
    }
}

/* Each row: which deadline ends a transfer that is stuck there. */
static const struct {
    enum place at;
    uint64_t connect_ms, first_byte_ms, stall_ms, total_ms;
    const char *says;
} deadlines[] = {
    {AT_QUEUE, 1, 1, 1, 120, "not done"},
    {AT_CONNECT, 120, 1, 1, 0, ""},
    {AT_CONNECT, 0, 1, 1, 120, "not done"},
    {AT_SENDING, 9000, 1, 120, 0, "takes no more"},
    {AT_SENDING, 9000, 1, 0, 120, "not done"},
    {AT_PULL, 9000, 1, 1, 120, "not done"},
    {AT_FIRST_BYTE, 9000, 120, 1, 0, "no answer"},
    {AT_FIRST_BYTE, 9000, 0, 1, 120, "not done"},
    {AT_HEAD, 9000, 9000, 120, 0, "sends no more"},
    {AT_BODY, 9000, 9000, 120, 0, "sends no more"},
    {AT_BODY, 9000, 9000, 0, 120, "not done"},
    {AT_PAUSE, 9000, 9000, 1, 120, "not done"},
};

static void deadline_ends_once_at_each_state(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(deadlines); i++) {
        struct http_transfer_opts opts;
        struct stuck s;
        uint64_t before, took;

        opts = stuck_open(&s, deadlines[i].at);
        opts.connect_ms = deadlines[i].connect_ms;
        opts.first_byte_ms = deadlines[i].first_byte_ms;
        opts.stall_ms = deadlines[i].stall_ms;
        opts.total_ms = deadlines[i].total_ms;
        /* The data sockets take time to fill before nothing moves. */
        before = clock_mono_ms(clock_system());
        rig_start(&s.rig, &s.call, &opts);
        if (deadlines[i].at == AT_QUEUE) {
            while (s.call.done == 0)
                rig_run_ms(&s.rig, 10);
            rig_cancel(&s.other);
        }
        rig_run(&s.rig);
        took = clock_mono_ms(clock_system()) - before;
        if (s.call.err.code != ERR_TIMEOUT || s.call.done != 1 ||
            !strstr(s.call.err.text, deadlines[i].says))
            fail_msg("row %zu, %s: %s, done %u", i, names[deadlines[i].at],
                     s.call.err.text, s.call.done);
        if (took < 110 || took > 5000)
            fail_msg("row %zu: %ju ms", i, (uintmax_t)took);
        stuck_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancel_ends_once_at_each_state),
        cmocka_unit_test(deadline_ends_once_at_each_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
