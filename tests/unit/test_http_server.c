/* SPDX-License-Identifier: Apache-2.0 */
/* Calls: asked, answered, streamed, broken off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/net_peer.h"
#include "tests/unit/net_site.h"

static void request_is_told_whole_and_answered(void **state)
{
    const struct http_header header = {"X-Ask", "h v"};
    const uint8_t json[] = "{\"a\": [1, 2]}";
    const struct slice body = {json, sizeof(json) - 1};
    struct http_transfer_opts opts;
    struct site s;

    (void)state;
    site_open(&s);
    opts = site_ask_opts(&s, &s.call, "POST",
                         "http://h/a%20b/c?q=1+2&x=%C3%A4&q=3");
    opts.headers = &header;
    opts.header_count = 1;
    opts.body = &body;
    opts.body_slices = 1;
    rig_start(&s.rig, &s.call, &opts);
    rig_run(&s.rig);
    assert_int_equal(s.call.err.code, ERR_OK);
    assert_int_equal(s.call.status, 200);
    assert_string_equal(s.call.header, "yes");
    assert_string_equal(
        buf_text(&s.call.body),
        "POST /a b/c q=1 2 x=\xc3\xa4 q=3 q:1 2 h:h v {\"a\": [1, 2]}");
    site_ask(&s, "http://h/x");
    assert_string_equal(buf_text(&s.call.body), "GET /x q:none h:none ");
    assert_int_equal(s.calls, 2);
    rig_run_ms(&s.rig, 5);
    assert_int_equal(s.complete, 2);
    site_close(&s);
}

static void answer_may_come_later(void **state)
{
    struct site s;

    (void)state;
    site_open(&s);
    for (int i = 0; i < 3; i++) {
        site_ask(&s, "http://h/later");
        assert_int_equal(s.call.err.code, ERR_OK);
        assert_int_equal(s.call.status, 202);
        assert_string_equal(buf_text(&s.call.body), "late");
    }
    site_close(&s);
    assert_int_equal(s.complete, 3);
}

static void waiting_call_costs_no_turns(void **state)
{
    struct http_transfer_opts opts;
    uint64_t turns;
    struct site s;

    (void)state;
    site_open(&s);
    opts = site_ask_opts(&s, &s.call, "GET", "http://h/never");
    rig_start(&s.rig, &s.call, &opts);
    rig_run_ms(&s.rig, 50);
    assert_non_null(s.waiting);
    turns = s.rig.turns;
    rig_run_ms(&s.rig, 300);
    assert_in_range(s.rig.turns - turns, 0, 20);
    site_answer(s.waiting, 200, "now");
    rig_run(&s.rig);
    assert_int_equal(s.call.err.code, ERR_OK);
    site_close(&s);
}

struct reader {
    uint64_t at, pause_at;
    bool wrong;
    struct timer resume;
    struct rig_call *call;
    struct site *site;
    uint64_t written_meanwhile, turns, turns_meanwhile;
};

static void on_read_on(struct timer *t)
{
    struct reader *r =
        (struct reader *)((char *)t - offsetof(struct reader, resume));

    r->written_meanwhile = r->site->written;
    r->turns_meanwhile = r->site->rig.turns - r->turns;
    rig_resume(r->call);
}

static bool read_slowly(struct rig_call *c, const uint8_t *data, size_t len)
{
    struct reader *r = c->user;

    if (r->at >= r->pause_at) {
        r->pause_at = UINT64_MAX;
        r->turns = r->site->rig.turns;
        timer_start(c->rig->loop, &r->resume, 300, on_read_on);
        return false;
    }
    for (size_t i = 0; i < len; i++)
        r->wrong = r->wrong || data[i] != site_byte(r->at + i);
    r->at += len;
    return true;
}

static void stream_waits_for_its_reader_and_is_whole(void **state)
{
    static const char *const urls[] = {"http://h/stream", "http://h/sized"};

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(urls); i++) {
        struct reader r = {.pause_at = 20 * MIB};
        struct http_transfer_opts opts;
        struct site s;

        site_open(&s);
        s.stream_bytes = 64 * MIB + 77;
        s.call.on_piece = read_slowly;
        s.call.user = &r;
        r.call = &s.call;
        r.site = &s;
        opts = site_ask_opts(&s, &s.call, "GET", urls[i]);
        rig_start(&s.rig, &s.call, &opts);
        rig_run(&s.rig);
        if (s.call.err.code != ERR_OK)
            fail_msg("%s", s.call.err.text);
        assert_int_equal(r.at, s.stream_bytes);
        assert_false(r.wrong);
        assert_true(s.call.length == (i == 0 ? -1 : (int64_t)s.stream_bytes));
        /* What a reader has not taken lies in bounded buffers. */
        assert_in_range(r.written_meanwhile, 20 * MIB, 24 * MIB);
        assert_in_range(r.turns_meanwhile, 0, 30);
        rig_run_ms(&s.rig, 5);
        assert_int_equal(s.complete, 1);
        site_close(&s);
    }
}

static void failed_stream_is_never_taken_for_whole(void **state)
{
    struct site s;

    (void)state;
    site_open(&s);
    s.stream_bytes = 300000;
    s.stream_fails = true;
    site_ask(&s, "http://h/stream");
    assert_int_equal(s.call.err.code, ERR_IO);
    s.written = 0;
    site_ask(&s, "http://h/short"); /* less than its Content-Length */
    assert_int_equal(s.call.err.code, ERR_IO);
    rig_run_ms(&s.rig, 5);
    assert_int_equal(s.gone, 2);
    assert_int_equal(s.complete, 0);
    site_close(&s);
}

static void body_that_is_too_large_is_refused(void **state)
{
    static const struct {
        size_t bytes;
        int status;
    } sizes[] = {{BODY_MAX, 200}, {BODY_MAX + 1, 413}, {2 * MIB, 413}};
    struct site s;

    (void)state;
    site_open(&s);
    for (size_t i = 0; i < BYTES_COUNT(sizes); i++) {
        uint8_t *data = calloc(1, sizes[i].bytes);
        struct slice slice = {data, sizes[i].bytes};
        struct http_transfer_opts opts =
            site_ask_opts(&s, &s.call, "POST", "http://h/x");

        memset(data, 'x', sizes[i].bytes);
        opts.body = &slice;
        opts.body_slices = 1;
        rig_start(&s.rig, &s.call, &opts);
        rig_run(&s.rig);
        if (s.call.err.code != ERR_OK || s.call.status != sizes[i].status)
            fail_msg("%zu: %d %s", sizes[i].bytes, s.call.status,
                     s.call.err.text);
        free(data);
    }
    assert_int_equal(s.calls, 1);
    site_close(&s);
}

static void senseless_target_is_refused(void **state)
{
    struct site s;

    (void)state;
    site_open(&s);
    site_ask(&s, "http://h/a%00b");
    assert_int_equal(s.call.status, 400);
    assert_non_null(strstr(buf_text(&s.call.body), "\"status\":400"));
    site_ask(&s, "http://h/a?x=%ff");
    assert_int_equal(s.call.status, 400);
    assert_int_equal(s.calls, 0);
    site_close(&s);
}

static void head_gets_no_body_and_is_complete(void **state)
{
    static const char *const urls[] = {"http://h/x", "http://h/stream"};

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(urls); i++) {
        struct http_transfer_opts opts;
        struct site s;

        site_open(&s);
        opts = site_ask_opts(&s, &s.call, "HEAD", urls[i]);
        rig_start(&s.rig, &s.call, &opts);
        rig_run(&s.rig);
        rig_run_ms(&s.rig, 5);
        assert_int_equal(s.call.err.code, ERR_OK);
        assert_int_equal(s.call.received, 0);
        assert_int_equal(s.complete, 1);
        site_close(&s);
    }
}

/* ---- Clients that are not ours ---- */

static int connect_unix(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void client_that_vanishes_ends_its_call(void **state)
{
    struct site s;
    int fd;

    (void)state;
    site_open(&s);
    s.stream_bytes = 64 * MIB;
    s.stop_after_gone = true;
    fd = connect_unix(s.path);
    say(fd, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    rig_run_ms(&s.rig, 50);
    assert_int_equal(s.calls, 1);
    assert_int_equal(s.gone, 0);
    close(fd);
    loop_run(s.rig.loop);
    assert_int_equal(s.gone, 1);
    assert_int_equal(s.complete, 0);
    assert_true(s.written < s.stream_bytes);
    /* Before it was asked: nobody hears of it. */
    fd = connect_unix(s.path);
    say(fd, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    rig_run_ms(&s.rig, 20);
    close(fd);
    rig_run_ms(&s.rig, 20);
    assert_int_equal(s.calls, 1);
    /* While it waits: it is told when the answer cannot be sent. */
    fd = connect_unix(s.path);
    say(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    rig_run_ms(&s.rig, 10);
    close(fd);
    rig_run_ms(&s.rig, 1000);
    assert_int_equal(s.calls, 2);
    assert_int_equal(s.gone, 2);
    site_close(&s);
}

static void free_ends_what_is_under_way(void **state)
{
    struct site s;
    int fds[4];

    (void)state;
    site_open(&s);
    s.stream_bytes = 64 * MIB;
    for (int i = 0; i < 4; i++)
        fds[i] = connect_unix(s.path);
    say(fds[0], "GET /never HTTP/1.1\r\nHost: h\r\n\r\n");
    say(fds[1], "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    say(fds[2], "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na");
    rig_run_ms(&s.rig, 50);
    assert_int_equal(s.calls, 2);
    assert_int_equal(s.gone, 0);
    site_close(&s);
    assert_int_equal(s.gone, 2);
    assert_int_equal(s.complete, 0);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

static void silent_connections_are_closed(void **state)
{
    struct http_server_opts opts;
    struct err err = {0};
    struct site s;
    char byte;
    int fd;

    (void)state;
    site_open(&s);
    http_server_free(s.server);
    opts = site_opts(&s);
    opts.idle_ms = 1000;
    assert_int_equal(http_server_new(s.rig.loop, &opts, &s.server, &err),
                     ERR_OK);
    fd = connect_unix(s.path);
    say(fd, "GET /x HT");
    rig_run_ms(&s.rig, 2500);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
    close(fd);
    site_close(&s);
}

static void request_that_trickles_is_cut_off(void **state)
{
    struct http_server_opts opts;
    struct err err = {0};
    struct site s;
    char byte;
    int fd, i;

    (void)state;
    site_open(&s);
    http_server_free(s.server);
    opts = site_opts(&s);
    opts.idle_ms = 1000;
    assert_int_equal(http_server_new(s.rig.loop, &opts, &s.server, &err),
                     ERR_OK);
    fd = connect_unix(s.path);
    say(fd, "GET /x HTTP/1.1\r\nHost: h\r\nX: ");
    for (i = 0; i < 40; i++) {
        if (send(fd, "x", 1, MSG_NOSIGNAL) != 1)
            break;
        rig_run_ms(&s.rig, 200); /* never silent for a second */
        if (recv(fd, &byte, 1, MSG_DONTWAIT) == 0)
            break;
    }
    assert_in_range(i, 8, 16); /* two seconds and an eighth, at 200 ms each */
    close(fd);
    /* Waiting for its answer is not owing a request. */
    fd = connect_unix(s.path);
    say(fd, "GET /never HTTP/1.1\r\nHost: h\r\n\r\n");
    rig_run_ms(&s.rig, 3000);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    site_answer(s.waiting, 200, "now");
    rig_run_ms(&s.rig, 10);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 1);
    close(fd);
    site_close(&s);
}

static void unfinished_bodies_are_bounded_together(void **state)
{
    char head[100], body[BODY_MAX], answer[13];
    unsigned taken = 0, refused = 0;
    struct site s;
    int fds[12];

    (void)state;
    site_open(&s);
    memset(body, 'x', sizeof(body));
    snprintf(head, sizeof(head),
             "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n",
             BODY_MAX);
    for (int i = 0; i < 12; i++) {
        fds[i] = connect_unix(s.path);
        say(fds[i], head);
        assert_int_equal(send(fds[i], body, BODY_MAX - 1, 0), BODY_MAX - 1);
        rig_run_ms(&s.rig, 5);
    }
    for (int i = 0; i < 12; i++) {
        assert_int_equal(send(fds[i], body, 1, 0), 1);
        rig_run_ms(&s.rig, 5);
        assert_int_equal(recv(fds[i], answer, 12, MSG_DONTWAIT), 12);
        taken += memcmp(answer, "HTTP/1.1 200", 12) == 0;
        refused += memcmp(answer, "HTTP/1.1 503", 12) == 0;
        close(fds[i]);
    }
    assert_int_equal(taken, 8);
    assert_int_equal(refused, 4);
    /* And all room is there again, also after clients that vanish. */
    for (int i = 0; i < 24; i++) {
        fds[0] = connect_unix(s.path);
        say(fds[0], head);
        assert_int_equal(send(fds[0], body, BODY_MAX - 1, 0), BODY_MAX - 1);
        rig_run_ms(&s.rig, 5);
        close(fds[0]);
        rig_run_ms(&s.rig, 5);
    }
    fds[0] = connect_unix(s.path);
    say(fds[0], head);
    assert_int_equal(send(fds[0], body, BODY_MAX, 0), BODY_MAX);
    rig_run_ms(&s.rig, 10);
    assert_int_equal(recv(fds[0], answer, 12, MSG_DONTWAIT), 12);
    assert_memory_equal(answer, "HTTP/1.1 200", 12);
    close(fds[0]);
    site_close(&s);
}

static void connections_beyond_the_limit_wait_their_turn(void **state)
{
    struct http_server_opts opts;
    struct rig_call calls[60] = {0};
    struct err err = {0};
    struct site s;

    (void)state;
    site_open(&s);
    http_server_free(s.server);
    opts = site_opts(&s);
    opts.connections_max = 10;
    assert_int_equal(http_server_new(s.rig.loop, &opts, &s.server, &err),
                     ERR_OK);
    for (size_t i = 0; i < BYTES_COUNT(calls); i++) {
        struct http_transfer_opts one =
            site_ask_opts(&s, &calls[i], "GET", "http://h/x");

        one.fresh = true; /* a connection each */
        rig_start(&s.rig, &calls[i], &one);
    }
    rig_run(&s.rig);
    for (size_t i = 0; i < BYTES_COUNT(calls); i++) {
        if (calls[i].err.code != ERR_OK)
            fail_msg("%zu: %s", i, calls[i].err.text);
        rig_fini(&calls[i]);
    }
    assert_int_equal(s.calls, 60);
    site_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_is_told_whole_and_answered),
        cmocka_unit_test(answer_may_come_later),
        cmocka_unit_test(waiting_call_costs_no_turns),
        cmocka_unit_test(stream_waits_for_its_reader_and_is_whole),
        cmocka_unit_test(failed_stream_is_never_taken_for_whole),
        cmocka_unit_test(body_that_is_too_large_is_refused),
        cmocka_unit_test(senseless_target_is_refused),
        cmocka_unit_test(head_gets_no_body_and_is_complete),
        cmocka_unit_test(client_that_vanishes_ends_its_call),
        cmocka_unit_test(free_ends_what_is_under_way),
        cmocka_unit_test(silent_connections_are_closed),
        cmocka_unit_test(request_that_trickles_is_cut_off),
        cmocka_unit_test(unfinished_bodies_are_bounded_together),
        cmocka_unit_test(connections_beyond_the_limit_wait_their_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
