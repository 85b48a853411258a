/* SPDX-License-Identifier: Apache-2.0 */
/* What goes out, what comes back, and each way in which a connection breaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/net_peer.h"
#include "tests/unit/net_rig.h"

/* One connection's script: read one head, say text, end as told. */
enum ending { END_KEEP, END_CLOSE, END_RESET };

struct script {
    const char *say;
    enum ending ending;
    char seen[8192]; /* the last head that came */
};

static void play_script(struct peer_conn *c)
{
    struct script *s = c->ctx;
    char head[8192];

    while (peer_head(c, head, sizeof(head))) {
        memcpy(s->seen, head, sizeof(head));
        peer_say(c, s->say);
        if (s->ending == END_RESET)
            peer_reset(c);
        if (s->ending != END_KEEP)
            return;
    }
}

/* Play `say` for one GET and give the outcome. */
static void get_script(struct script *s, struct rig_call *c, bool raw_end)
{
    struct peer *p = peer_start(play_script, s, NULL);
    struct http_transfer_opts opts;
    struct rig r;

    rig_open(&r, 4);
    opts = rig_opts(c, "GET", rig_url("http", peer_port(p), "/x"));
    opts.raw_end = raw_end;
    rig_start(&r, c, &opts);
    rig_run(&r);
    rig_close(&r);
    peer_stop(p);
}

static void get_brings_status_headers_and_body(void **state)
{
    struct script s = {"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n"
                       "X-Test: one two\r\n\r\nhello",
                       END_CLOSE, ""};
    struct rig_call c = {0};

    (void)state;
    get_script(&s, &c, false);
    assert_int_equal(c.err.code, ERR_OK);
    assert_int_equal(c.status, 206);
    assert_int_equal(c.length, 5);
    assert_int_equal(c.received, 5);
    assert_int_equal(c.heads, 1);
    assert_string_equal(c.header, "one two");
    assert_string_equal(buf_text(&c.body), "hello");
    rig_fini(&c);
}

static void request_goes_out_as_it_stands(void **state)
{
    const struct http_header headers[] = {
        {"X-A", "b c"}, {"Authorization", "AWS4 x"}, {"X-Empty", ""}};
    struct script s = {"HTTP/1.1 204 No Content\r\n\r\n", END_CLOSE, ""};
    struct peer *p = peer_start(play_script, &s, NULL);
    struct http_transfer_opts opts;
    struct rig_call c = {0};
    char url[200], expect[400];
    struct rig r;

    (void)state;
    /* What an environment says about proxies is not for us. */
    setenv("http_proxy", "http://127.0.0.1:9/", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:9/", 1);
    snprintf(url, sizeof(url),
             "http://127.0.0.1:%u/a/./../b%%2fC//d%%20e?p=%%3d&q=/:x&u",
             peer_port(p));
    snprintf(expect, sizeof(expect),
             "GET /a/./../b%%2fC//d%%20e?p=%%3d&q=/:x&u HTTP/1.1\r\n"
             "Host: 127.0.0.1:%u\r\nX-A: b c\r\n"
             "Authorization: AWS4 x\r\nX-Empty:\r\n\r\n",
             peer_port(p));
    rig_open(&r, 4);
    opts = rig_opts(&c, "GET", url);
    opts.headers = headers;
    opts.header_count = 3;
    rig_start(&r, &c, &opts);
    rig_run(&r);
    assert_int_equal(c.err.code, ERR_OK);
    assert_int_equal(c.status, 204);
    assert_string_equal(s.seen, expect);
    assert_int_equal(c.wire, strlen(expect));
    rig_close(&r);
    peer_stop(p);
    rig_fini(&c);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
}

static void query_without_path_gets_a_slash(void **state)
{
    struct script s = {"HTTP/1.1 204 No Content\r\n\r\n", END_CLOSE, ""};
    struct rig_call c = {0};
    struct peer *p = peer_start(play_script, &s, NULL);
    struct rig r;

    (void)state;
    rig_open(&r, 4);
    rig_get(&r, &c, rig_url("http", peer_port(p), ""));
    assert_int_equal(c.err.code, ERR_OK);
    assert_memory_equal(s.seen, "GET /?" RIG_SECRET " HTTP/1.1\r\n", 20);
    rig_close(&r);
    peer_stop(p);
    rig_fini(&c);
}

static void redirects_are_not_followed(void **state)
{
    struct script s = {"HTTP/1.1 302 Found\r\nConnection: close\r\n"
                       "X-Test: here\r\nLocation: https://10.0.0.1/export\r\n"
                       "\r\n",
                       END_CLOSE, ""};
    struct rig_call c = {0};

    (void)state;
    get_script(&s, &c, false);
    assert_int_equal(c.err.code, ERR_OK);
    assert_int_equal(c.status, 302);
    assert_string_equal(c.header, "here");
    rig_fini(&c);
}

/* Each row is one answer to a GET, and what becomes of it. */
static const struct {
    const char *why, *say;
    enum ending ending;
    bool raw_end;
    enum err_code code;
    int status;
    const char *body;
} rows[] = {
    {"an HTTP/1.0 body that ends with its connection, where that is expected",
     "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nabc", END_CLOSE, true, ERR_OK,
     200, "abc"},
    {"the same where it is not: a cut would not be seen",
     "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nabc", END_CLOSE, false,
     ERR_PROTOCOL, 200, ""},
    {"a close-delimited body that is reset", "HTTP/1.0 200 OK\r\n\r\n",
     END_RESET, true, ERR_IO, 200, ""},
    {"an error page may end anyhow", "HTTP/1.0 500 Oops\r\n\r\nabc", END_CLOSE,
     false, ERR_OK, 500, "abc"},
    {"an empty answer with its length",
     "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", END_KEEP, false, ERR_OK,
     200, ""},
    {"a body shorter than its length",
     "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", END_CLOSE, false,
     ERR_IO, 200, "abc"},
    {"the same, even where the end is raw",
     "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", END_CLOSE, true, ERR_IO,
     200, "abc"},
    {"more than was announced is not ours",
     "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", END_CLOSE, false,
     ERR_OK, 200, "abc"},
    {"a chunked body",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
     "2\r\nab\r\n1;x=y\r\nc\r\n0\r\nX-Test: trailer\r\n\r\n",
     END_KEEP, false, ERR_OK, 200, "abc"},
    {"a chunked body without its last chunk",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
     END_CLOSE, false, ERR_IO, 200, "ab"},
    {"a chunked body with a broken size",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n",
     END_CLOSE, false, ERR_IO, 200, ""},
    {"no answer at all", "", END_CLOSE, false, ERR_IO, 0, ""},
    {"a reset before the answer", "", END_RESET, false, ERR_IO, 0, ""},
    {"half a head", "HTTP/1.1 200 OK\r\nContent-Le", END_CLOSE, false, ERR_IO,
     0, ""},
    {"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", END_CLOSE, false, ERR_PROTOCOL,
     0, ""},
    {"two lengths",
     "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
     END_CLOSE, false, ERR_PROTOCOL, 0, ""},
    {"interim answers come first",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
     "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
     END_KEEP, false, ERR_OK, 200, "abc"},
    {"204 has no body", "HTTP/1.1 204 No Content\r\n\r\n", END_KEEP, false,
     ERR_OK, 204, ""},
};

static void every_end_of_an_answer_is_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct script s = {rows[i].say, rows[i].ending, ""};
        struct rig_call c = {0};

        get_script(&s, &c, rows[i].raw_end);
        if (c.err.code != rows[i].code || c.status != rows[i].status ||
            c.body.len != strlen(rows[i].body) ||
            (c.body.len && memcmp(c.body.data, rows[i].body, c.body.len) != 0))
            fail_msg("%s: %s, status %d, %zu bytes: %s", rows[i].why,
                     err_name(c.err.code), c.status, c.body.len, c.err.text);
        assert_string_equal(c.header, "");
        assert_int_equal(c.received, c.body.len);
        rig_fini(&c);
    }
}

static void play_big_head(struct peer_conn *c)
{
    size_t *headers = c->ctx;
    char head[4096], line[1025];

    memset(line, 'x', sizeof(line));
    memcpy(line, "A: ", 3);
    memcpy(line + 1022, "\r\n", 3);
    while (peer_head(c, head, sizeof(head))) {
        peer_say(c, "HTTP/1.1 204 No Content\r\n");
        for (size_t i = 0; i < *headers; i++)
            peer_say(c, line);
        peer_say(c, "\r\n");
    }
}

static void heads_over_16_kib_are_refused(void **state)
{
    size_t headers = 15;
    struct peer *p = peer_start(play_big_head, &headers, NULL);
    struct rig_call c = {0};
    struct rig r;

    (void)state;
    rig_open(&r, 4);
    rig_get(&r, &c, rig_url("http", peer_port(p), "/"));
    assert_int_equal(c.err.code, ERR_OK);
    headers = 16;
    rig_get(&r, &c, rig_url("http", peer_port(p), "/"));
    assert_int_equal(c.err.code, ERR_PROTOCOL);
    assert_int_equal(c.status, 0);
    headers = 100000;
    rig_get(&r, &c, rig_url("http", peer_port(p), "/"));
    assert_int_equal(c.err.code, ERR_PROTOCOL);
    rig_close(&r);
    peer_stop(p);
    rig_fini(&c);
}

/* ---- Requests with a body ---- */

struct sink {
    char head[4096];
    uint64_t length; /* Content-Length of the last request */
    uint64_t got;
    uint32_t sum;
};

static uint64_t length_of(const char *head)
{
    const char *at = strstr(head, "\r\nContent-Length: ");

    return at ? strtoull(at + 18, NULL, 10) : UINT64_MAX;
}

/* Never says "100 Continue", takes the whole body, then answers. */
static void play_sink(struct peer_conn *c)
{
    struct sink *s = c->ctx;
    uint8_t piece[10000];

    while (peer_head(c, s->head, sizeof(s->head))) {
        s->length = length_of(s->head);
        s->got = 0;
        s->sum = 0;
        while (s->length != UINT64_MAX && s->got < s->length) {
            uint64_t left = s->length - s->got;
            size_t n = left < sizeof(piece) ? (size_t)left : sizeof(piece);

            if (!peer_read(c, piece, n))
                return;
            for (size_t i = 0; i < n; i++)
                s->sum = s->sum * 31 + piece[i];
            s->got += n;
        }
        peer_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
}

static void put_of_slices_arrives_whole_without_expect(void **state)
{
    struct sink s = {0};
    struct peer *p = peer_start(play_sink, &s, NULL);
    size_t len = 3 * MIB + 17;
    uint8_t *data = malloc(len);
    struct slice slices[] = {
        {data, 1}, {NULL, 0}, {data + 1, len - 2}, {data + len - 1, 1}};
    struct http_transfer_opts opts;
    struct rig_call c = {0};
    uint32_t sum = 0;
    struct rig r;

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)(i * 7 + i / 251);
        sum = sum * 31 + data[i];
    }
    rig_open(&r, 4);
    opts = rig_opts(&c, "PUT", rig_url("http", peer_port(p), "/put"));
    opts.body = slices;
    opts.body_slices = 4;
    /* A second of waiting for "100 Continue" would show here. */
    opts.total_ms = 900;
    rig_start(&r, &c, &opts);
    memset(slices, 0, sizeof(slices)); /* the array was copied */
    rig_run(&r);
    assert_int_equal(c.err.code, ERR_OK);
    assert_int_equal(c.status, 200);
    assert_int_equal(c.sent, len);
    assert_true(c.wire > len);
    assert_int_equal(s.got, len);
    assert_true(s.sum == sum);
    assert_null(strcasestr(s.head, "expect"));
    assert_null(strcasestr(s.head, "content-type"));
    rig_close(&r);
    peer_stop(p);
    free(data);
    rig_fini(&c);
}

static void put_and_post_say_that_nothing_comes(void **state)
{
    static const char *const methods[] = {"PUT", "POST", "GET", "DELETE"};
    struct sink s = {0};
    struct peer *p = peer_start(play_sink, &s, NULL);
    struct rig_call c = {0};
    struct rig r;

    (void)state;
    rig_open(&r, 4);
    for (size_t i = 0; i < BYTES_COUNT(methods); i++) {
        struct http_transfer_opts opts =
            rig_opts(&c, methods[i], rig_url("http", peer_port(p), "/"));

        rig_start(&r, &c, &opts);
        rig_run(&r);
        assert_int_equal(c.err.code, ERR_OK);
        assert_memory_equal(s.head, methods[i], strlen(methods[i]));
        assert_true(s.length == (i < 2 ? 0 : UINT64_MAX));
    }
    assert_int_equal(peer_connections(p), 1);
    rig_close(&r);
    peer_stop(p);
    rig_fini(&c);
}

static void play_head_only(struct peer_conn *c)
{
    char head[4096];

    while (peer_head(c, head, sizeof(head))) {
        peer_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
        assert_memory_equal(head, "HEAD ", 5);
    }
}

static void head_has_a_length_and_no_body(void **state)
{
    struct peer *p = peer_start(play_head_only, NULL, NULL);
    struct http_transfer_opts opts;
    struct rig_call c = {0};
    struct rig r;

    (void)state;
    rig_open(&r, 4);
    for (int i = 0; i < 2; i++) {
        opts = rig_opts(&c, "HEAD", rig_url("http", peer_port(p), "/"));
        rig_start(&r, &c, &opts);
        rig_run(&r);
        assert_int_equal(c.err.code, ERR_OK);
        assert_int_equal(c.length, 12345);
        assert_int_equal(c.received, 0);
    }
    assert_int_equal(peer_connections(p), 1);
    rig_close(&r);
    peer_stop(p);
    rig_fini(&c);
}

/* Answers after the first 64 KiB of the body and goes away as told. */
static void play_refusal(struct peer_conn *c)
{
    struct script *s = c->ctx;
    char head[4096];

    if (!peer_head(c, head, sizeof(head)) || !peer_read(c, NULL, 65536))
        return;
    peer_say(c, s->say);
    /* Both ways of closing reset the client, which may be just sending; what
     * it has not read by then is lost, by TCP's rules. */
    if (s->ending != END_KEEP)
        usleep(50 * 1000);
    if (s->ending == END_RESET)
        peer_reset(c);
    if (s->ending == END_KEEP)
        peer_wait(c);
}

static void put_big(struct script *s, struct rig_call *c)
{
    struct peer *p = peer_start(play_refusal, s, NULL);
    size_t len = 32 * MIB;
    uint8_t *data = calloc(1, len);
    struct slice slice = {data, len};
    struct http_transfer_opts opts;
    struct rig r;

    rig_open(&r, 4);
    opts = rig_opts(c, "PUT", rig_url("http", peer_port(p), "/import"));
    opts.body = &slice;
    opts.body_slices = 1;
    rig_start(&r, c, &opts);
    rig_run(&r);
    assert_true(c->sent < len);
    rig_close(&r);
    peer_stop(p);
    free(data);
}

static const char *const refusals[] = {
    "HTTP/1.1 302 Found\r\nConnection: close\r\nX-Test: yes\r\n\r\n",
    "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-Test: yes\r\n\r\nno",
    "HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: 2\r\n"
    "X-Test: yes\r\n\r\nno",
};

static void refusal_ends_an_upload_with_its_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(refusals); i++) {
        for (int ending = END_KEEP; ending <= END_RESET; ending++) {
            struct script s = {refusals[i], (enum ending)ending, ""};
            struct rig_call c = {0};

            /* Without length and without an end it could never be over. */
            if (i == 0 && ending == END_KEEP)
                continue;
            put_big(&s, &c);
            if (c.err.code != ERR_OK || c.status / 100 == 2)
                fail_msg("row %zu, ending %d: %s", i, ending, c.err.text);
            assert_string_equal(c.header, "yes");
            assert_string_equal(c.body.len ? buf_text(&c.body) : "",
                                i == 0 ? "" : "no");
            rig_fini(&c);
        }
    }
}

/* XAPI's imports: the answer's head first, then the body is read. */
static void play_early_head(struct peer_conn *c)
{
    struct sink *s = c->ctx;

    if (!peer_head(c, s->head, sizeof(s->head)))
        return;
    peer_say(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nX-Test: t\r\n\r\n");
    s->length = length_of(s->head);
    if (peer_read(c, NULL, s->length))
        s->got = s->length;
}

static void head_before_the_body_stops_nothing(void **state)
{
    struct sink s = {0};
    struct peer *p = peer_start(play_early_head, &s, NULL);
    size_t len = 16 * MIB;
    uint8_t *data = calloc(1, len);
    struct slice slice = {data, len};
    struct http_transfer_opts opts;
    struct rig_call c = {0};
    struct rig r;

    (void)state;
    rig_open(&r, 4);
    opts = rig_opts(&c, "PUT", rig_url("http", peer_port(p), "/import"));
    opts.body = &slice;
    opts.body_slices = 1;
    opts.raw_end = true;
    rig_start(&r, &c, &opts);
    rig_run(&r);
    assert_int_equal(c.err.code, ERR_OK);
    assert_int_equal(c.status, 200);
    assert_string_equal(c.header, "t");
    assert_int_equal(c.sent, len);
    assert_int_equal(s.got, len);
    rig_close(&r);
    peer_stop(p);
    free(data);
    rig_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(get_brings_status_headers_and_body),
        cmocka_unit_test(request_goes_out_as_it_stands),
        cmocka_unit_test(query_without_path_gets_a_slash),
        cmocka_unit_test(redirects_are_not_followed),
        cmocka_unit_test(every_end_of_an_answer_is_told_apart),
        cmocka_unit_test(heads_over_16_kib_are_refused),
        cmocka_unit_test(put_of_slices_arrives_whole_without_expect),
        cmocka_unit_test(put_and_post_say_that_nothing_comes),
        cmocka_unit_test(head_has_a_length_and_no_body),
        cmocka_unit_test(refusal_ends_an_upload_with_its_answer),
        cmocka_unit_test(head_before_the_body_stops_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
