/* SPDX-License-Identifier: Apache-2.0 */
/* Cancelling and deadlines at each state; connections kept and shared. */
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

/* ---- Kept connections ---- */

/* Answers `answers` requests per connection; the next one finds it dead:
 * read and not answered. */
struct mortal {
    unsigned answers;
    atomic_uint requests; /* heads that were read */
};

static void play_mortal(struct peer_conn *c)
{
    struct mortal *m = c->ctx;
    char head[4096];

    for (unsigned n = 0; peer_head(c, head, sizeof(head)); n++) {
        const char *at = strstr(head, "Content-Length: ");

        atomic_fetch_add(&m->requests, 1);
        if (at && !peer_read(c, NULL, strtoull(at + 16, NULL, 10)))
            return;
        if (n == m->answers)
            return;
        peer_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
}

static long give_all(void *ctx, uint8_t *into, size_t max)
{
    (void)ctx;
    memset(into, 'x', max);
    return (long)max;
}

/* Whether a request that meets a dead connection goes out a second time. */
static const struct {
    const char *method;
    const char *header; /* with the value "*" */
    size_t body;
    bool pulled, repeated;
} repeats[] = {
    {"GET", NULL, 0, false, true},
    {"HEAD", NULL, 0, false, true},
    {"DELETE", NULL, 0, false, true},
    {"PUT", NULL, 300000, false, true},
    {"PUT", NULL, 0, false, true},
    {"PUT", "If-None-Match", 300000, false, false},
    {"PUT", NULL, 300000, true, false},
    {"POST", NULL, 300000, false, false},
    {"POST", NULL, 0, false, false},
};

static void play_head_mortal(struct peer_conn *c)
{
    struct mortal *m = c->ctx;
    char head[4096];

    for (unsigned n = 0; peer_head(c, head, sizeof(head)); n++) {
        atomic_fetch_add(&m->requests, 1);
        if (n == m->answers)
            return;
        peer_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
        if (memcmp(head, "HEAD", 4) != 0)
            peer_say(c, "ok");
    }
}

static void only_harmless_requests_are_repeated(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(repeats); i++) {
        const struct http_header header = {repeats[i].header, "*"};
        bool head = strcmp(repeats[i].method, "HEAD") == 0;
        struct mortal m = {.answers = 1};
        struct peer *p =
            peer_start(head ? play_head_mortal : play_mortal, &m, NULL);
        uint8_t *data = calloc(1, repeats[i].body + 1);
        struct slice slice = {data, repeats[i].body};
        struct http_transfer_opts opts;
        struct rig_call c = {0};
        const char *url;
        struct rig r;

        rig_open(&r, 4);
        url = rig_url("http", peer_port(p), "/");
        rig_get(&r, &c, url);
        assert_int_equal(c.err.code, ERR_OK);
        opts = rig_opts(&c, repeats[i].method, url);
        opts.headers = &header;
        opts.header_count = repeats[i].header ? 1 : 0;
        if (repeats[i].pulled) {
            opts.pull = give_all;
            opts.body_bytes = repeats[i].body;
        } else {
            opts.body = &slice;
            opts.body_slices = repeats[i].body ? 1 : 0;
        }
        rig_start(&r, &c, &opts);
        rig_run(&r);
        if (c.err.code != (repeats[i].repeated ? ERR_OK : ERR_IO))
            fail_msg("row %zu: %s", i, c.err.text);
        assert_int_equal(m.requests, repeats[i].repeated ? 3 : 2);
        rig_close(&r);
        peer_stop(p);
        rig_fini(&c);
        free(data);
    }
}

static void fresh_keeps_and_takes_no_connection(void **state)
{
    struct mortal m = {.answers = 100};
    struct peer *p = peer_start(play_mortal, &m, NULL);
    struct rig_call c = {0};
    struct rig r;

    (void)state;
    rig_open(&r, 4);
    for (int i = 0; i < 6; i++) {
        struct http_transfer_opts opts =
            rig_opts(&c, "GET", rig_url("http", peer_port(p), "/"));

        opts.fresh = i == 2 || i == 3;
        rig_start(&r, &c, &opts);
        rig_run(&r);
        assert_int_equal(c.err.code, ERR_OK);
    }
    assert_int_equal(peer_connections(p), 3);
    rig_close(&r);
    peer_stop(p);
    rig_fini(&c);
}

static void connection_that_was_idle_for_too_long_is_left_alone(void **state)
{
    static const struct {
        unsigned wait_ms, idle_max_s, connections;
    } rows[] = {{0, 1, 1}, {0, 1, 1}, {2100, 0, 1}, {2100, 1, 2}, {0, 1, 2}};
    struct mortal m = {.answers = 100};
    struct peer *p = peer_start(play_mortal, &m, NULL);
    struct rig_call c = {0};
    struct rig r;

    (void)state;
    rig_open(&r, 4);
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct http_transfer_opts opts =
            rig_opts(&c, "POST", rig_url("http", peer_port(p), "/"));

        if (rows[i].wait_ms)
            rig_run_ms(&r, rows[i].wait_ms);
        opts.idle_max_s = rows[i].idle_max_s;
        rig_start(&r, &c, &opts);
        rig_run(&r);
        assert_int_equal(c.err.code, ERR_OK);
        assert_int_equal(peer_connections(p), rows[i].connections);
    }
    rig_close(&r);
    peer_stop(p);
    rig_fini(&c);
}

/* Counts how many requests are under way at once. */
struct crowd {
    atomic_uint now, most;
};

static void play_crowd(struct peer_conn *c)
{
    struct crowd *w = c->ctx;
    char head[4096];

    while (peer_head(c, head, sizeof(head))) {
        unsigned now = atomic_fetch_add(&w->now, 1) + 1;
        unsigned most = atomic_load(&w->most);

        while (now > most &&
               !atomic_compare_exchange_weak(&w->most, &most, now))
            ;
        usleep(10 * 1000);
        atomic_fetch_sub(&w->now, 1);
        peer_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
}

static void host_gets_so_many_connections_and_no_more(void **state)
{
    struct crowd crowd = {0};
    struct peer *p = peer_start(play_crowd, &crowd, NULL);
    struct rig_call calls[24] = {0};
    struct rig r;

    (void)state;
    rig_open(&r, 3);
    for (size_t i = 0; i < BYTES_COUNT(calls); i++) {
        struct http_transfer_opts opts =
            rig_opts(&calls[i], "GET", rig_url("http", peer_port(p), "/"));

        opts.connect_ms = 60; /* waiting for one's turn is not connecting */
        rig_start(&r, &calls[i], &opts);
    }
    rig_run(&r);
    for (size_t i = 0; i < BYTES_COUNT(calls); i++) {
        assert_int_equal(calls[i].err.code, ERR_OK);
        assert_int_equal(calls[i].done, 1);
        rig_fini(&calls[i]);
    }
    assert_int_equal(crowd.most, 3);
    assert_int_equal(peer_connections(p), 3);
    rig_close(&r);
    peer_stop(p);
}

/* ---- Calls from inside callbacks ---- */

struct nest {
    struct rig *rig;
    struct rig_call outer, inner, victim;
    const char *url;
};

static bool start_and_cancel_others(struct rig_call *c, int status)
{
    struct nest *n = c->user;
    struct http_transfer_opts opts = rig_opts(&n->inner, "GET", n->url);

    assert_int_equal(status, 200);
    rig_start(n->rig, &n->inner, &opts);
    http_transfer_cancel(n->victim.transfer);
    return true;
}

static void callbacks_may_start_and_cancel_others(void **state)
{
    struct mortal m = {.answers = 100};
    struct peer *p = peer_start(play_mortal, &m, NULL);
    enum place never = AT_FIRST_BYTE;
    struct peer *silent = peer_start(play_stuck, &never, NULL);
    struct http_transfer_opts opts;
    struct nest n = {0};
    struct rig r;

    (void)state;
    rig_open(&r, 4);
    n.rig = &r;
    n.url = rig_url("http", peer_port(p), "/");
    opts = rig_opts(&n.victim, "GET", rig_url("http", peer_port(silent), "/"));
    rig_start(&r, &n.victim, &opts);
    opts = rig_opts(&n.outer, "GET", n.url);
    n.outer.user = &n;
    n.outer.on_head = start_and_cancel_others;
    rig_start(&r, &n.outer, &opts);
    rig_run(&r);
    assert_int_equal(n.outer.err.code, ERR_OK);
    assert_int_equal(n.inner.err.code, ERR_OK);
    assert_int_equal(n.victim.err.code, ERR_CANCELLED);
    rig_close(&r);
    peer_stop(p);
    peer_stop(silent);
    rig_fini(&n.outer);
    rig_fini(&n.inner);
    rig_fini(&n.victim);
}

static bool cancel_itself(struct rig_call *c, const uint8_t *data, size_t len)
{
    (void)data;
    (void)len;
    http_transfer_cancel(c->transfer);
    return true;
}

static bool refuse_head(struct rig_call *c, int status)
{
    (void)c;
    return status != 200;
}

static void callbacks_may_end_their_own_transfer(void **state)
{
    struct mortal m = {.answers = 100};
    struct peer *p = peer_start(play_mortal, &m, NULL);
    struct rig_call c = {.on_piece = cancel_itself};
    struct rig r;

    (void)state;
    rig_open(&r, 4);
    rig_get(&r, &c, rig_url("http", peer_port(p), "/"));
    assert_int_equal(c.err.code, ERR_CANCELLED);
    c.on_piece = NULL;
    c.on_head = refuse_head;
    rig_get(&r, &c, rig_url("http", peer_port(p), "/"));
    assert_int_equal(c.err.code, ERR_CANCELLED);
    assert_int_equal(c.received, 0);
    rig_close(&r);
    peer_stop(p);
    rig_fini(&c);
}

static void free_client(struct rig_call *c)
{
    http_client_free(c->rig->client);
    c->rig->client = NULL;
}

static void last_done_may_free_the_client(void **state)
{
    struct mortal m = {.answers = 100};
    struct peer *p = peer_start(play_mortal, &m, NULL);
    struct rig_call c = {.on_done = free_client};
    struct rig r;

    (void)state;
    rig_open(&r, 4);
    rig_get(&r, &c, rig_url("http", peer_port(p), "/"));
    assert_int_equal(c.err.code, ERR_OK);
    rig_close(&r);
    peer_stop(p);
    rig_fini(&c);
}

/* ---- Addresses ---- */

static void nobody_there_is_unreachable(void **state)
{
    struct mortal m = {.answers = 1};
    struct peer *p = peer_start(play_mortal, &m, NULL);
    unsigned port = peer_port(p);
    struct rig_call c = {0};
    struct rig r;

    (void)state;
    peer_stop(p);
    rig_open(&r, 4);
    rig_get(&r, &c, rig_url("http", port, "/"));
    assert_int_equal(c.err.code, ERR_UNREACHABLE);
    assert_int_equal(c.err.detail, 7); /* CURLE_COULDNT_CONNECT */
    assert_int_equal(c.wire, 0);
    /* No resolver is asked for a label of 64. */
    rig_get(
        &r, &c,
        "http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aa.invalid/?" RIG_SECRET);
    assert_int_equal(c.err.code, ERR_UNREACHABLE);
    assert_int_equal(c.err.detail, 6); /* CURLE_COULDNT_RESOLVE_HOST */
    rig_close(&r);
    rig_fini(&c);
}

static void other_addresses_serve_the_same_url(void **state)
{
    char path[] = "/tmp/cairn-test-sock-XXXXXX", place[100];
    struct mortal m = {.answers = 100};
    struct peer *p = peer_start(play_mortal, &m, NULL), *u;
    const char *url = "http://pool.example/x?" RIG_SECRET;
    struct http_transfer_opts opts;
    struct rig_call c = {0};
    struct rig r;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    u = peer_start_unix(play_mortal, &m, path);
    rig_open(&r, 4);
    snprintf(place, sizeof(place), "127.0.0.1:%u", peer_port(p));
    opts = rig_opts(&c, "GET", url);
    opts.connect_to = place;
    rig_start(&r, &c, &opts);
    rig_run(&r);
    assert_int_equal(c.err.code, ERR_OK);
    opts.connect_to = NULL;
    opts.unix_path = path;
    rig_start(&r, &c, &opts);
    rig_run(&r);
    assert_int_equal(c.err.code, ERR_OK);
    assert_int_equal(peer_connections(p), 1);
    assert_int_equal(peer_connections(u), 1);
    rig_close(&r);
    peer_stop(p);
    peer_stop(u);
    unlink(path);
    rig_fini(&c);
}

static void impossible_requests_are_not_started(void **state)
{
    static const struct {
        const char *why, *method, *url, *name, *value;
    } bad[] = {
        {"no such method", "TRACE", "http://a/", "A", "b"},
        {"a method in small letters", "get", "http://a/", "A", "b"},
        {"another protocol", "GET", "ftp://a/", "A", "b"},
        {"a file", "GET", "file:///etc/passwd", "A", "b"},
        {"no host", "GET", "http:///x", "A", "b"},
        {"a user in the URL", "GET", "http://u:p@a/", "A", "b"},
        {"a fragment", "GET", "http://a/#x", "A", "b"},
        {"a space", "GET", "http://a/x y", "A", "b"},
        {"a line end", "GET", "http://a/x\r\nB: c", "A", "b"},
        {"not ASCII", "GET", "http://a/\xc3\xa4", "A", "b"},
        {"a header's line end", "GET", "http://a/", "A", "b\r\nC: d"},
        {"a header's newline", "GET", "http://a/", "A", "b\nC: d"},
        {"a header's name", "GET", "http://a/", "A: b\r\nC", "d"},
        {"no name", "GET", "http://a/", "", "d"},
        {"framing", "PUT", "http://a/", "content-length", "5"},
        {"framing", "PUT", "http://a/", "Transfer-Encoding", "chunked"},
        {"expectation", "PUT", "http://a/", "Expect", "100-continue"},
    };
    struct rig r;

    (void)state;
    rig_open(&r, 4);
    for (size_t i = 0; i < BYTES_COUNT(bad); i++) {
        const struct http_header h = {bad[i].name, bad[i].value};
        struct rig_call c = {0};
        struct http_transfer_opts opts =
            rig_opts(&c, bad[i].method, bad[i].url);
        struct http_transfer *t = NULL;
        struct err err = {0};

        opts.headers = &h;
        opts.header_count = 1;
        if (http_transfer_start(r.client, &opts, &t, &err) != ERR_ARGUMENT ||
            err.code != ERR_ARGUMENT || t)
            fail_msg("%s: taken", bad[i].why);
        rig_run_ms(&r, 1);
        assert_int_equal(c.done, 0);
    }
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancel_ends_once_at_each_state),
        cmocka_unit_test(deadline_ends_once_at_each_state),
        cmocka_unit_test(only_harmless_requests_are_repeated),
        cmocka_unit_test(fresh_keeps_and_takes_no_connection),
        cmocka_unit_test(connection_that_was_idle_for_too_long_is_left_alone),
        cmocka_unit_test(host_gets_so_many_connections_and_no_more),
        cmocka_unit_test(callbacks_may_start_and_cancel_others),
        cmocka_unit_test(callbacks_may_end_their_own_transfer),
        cmocka_unit_test(last_done_may_free_the_client),
        cmocka_unit_test(nobody_there_is_unreachable),
        cmocka_unit_test(other_addresses_serve_the_same_url),
        cmocka_unit_test(impossible_requests_are_not_started),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
