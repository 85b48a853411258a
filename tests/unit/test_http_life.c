/* SPDX-License-Identifier: Apache-2.0 */
/* Connections kept and shared; calls from inside callbacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <poll.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/net_peer.h"
#include "tests/unit/net_rig.h"

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

static void play_silent(struct peer_conn *c)
{
    char head[4096];

    peer_head(c, head, sizeof(head));
    peer_wait(c);
}

static void callbacks_may_start_and_cancel_others(void **state)
{
    struct mortal m = {.answers = 100};
    struct peer *p = peer_start(play_mortal, &m, NULL);
    struct peer *silent = peer_start(play_silent, NULL, NULL);
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
