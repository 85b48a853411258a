/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th allocation of ours fails, for every n: whatever was asked ends with
 * an error or not at all begins; nothing hangs, leaks or crashes. (What
 * libraries allocate is theirs, and is not made to fail.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/http_server.h"
#include "tests/unit/net_peer.h"

/* The linker sends the calls of this program here (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static _Thread_local unsigned until_failure; /* 0: none fails */

static bool fails(void)
{
    return until_failure > 0 && --until_failure == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

struct scene {
    struct loop *loop;
    struct http_client *client;
    struct http_server *server;
    struct http_trust *trust;
    char path[60];
    struct http_piece piece;
    unsigned started, done, calls, gone;
    enum err_code worst;
};

static void on_done(void *ctx, const struct err *err,
                    const struct http_response *r)
{
    struct scene *s = ctx;

    if (err->code != ERR_OK)
        s->worst = err->code;
    else if (r->status != 200)
        s->worst = ERR_REMOTE;
    if (++s->done == s->started)
        loop_stop(s->loop);
}

static bool on_body(void *ctx, const uint8_t *data, size_t len)
{
    (void)ctx;
    (void)data;
    (void)len;
    return true;
}

static void on_piece_out(struct http_piece *piece)
{
    (void)piece;
}

static void on_call(void *ctx, struct http_call *c)
{
    const struct http_header header = {"X-A", "b"};
    struct scene *s = ctx;

    s->calls++;
    if (strcmp(http_call_path(c), "/stream") == 0) {
        s->piece = (struct http_piece){"abc", 3, on_piece_out, NULL};
        http_call_stream(c, 200, &header, 1, -1);
        http_call_lend(c, &s->piece);
        http_call_end(c, true);
    } else {
        http_call_answer(c, 200, &header, 1, "abc", 3);
    }
}

static void on_gone(void *ctx, struct http_call *c, bool complete)
{
    (void)c;
    (void)complete;
    ((struct scene *)ctx)->gone++;
}

static enum err_code start(struct scene *s, const char *method, const char *url,
                           struct http_trust *trust)
{
    static const uint8_t bytes[3000];
    const struct slice body = {bytes, sizeof(bytes)};
    const struct http_header header = {"Authorization", "Bearer x"};
    struct http_transfer_opts opts = {.method = method,
                                      .url = url,
                                      .headers = &header,
                                      .header_count = 1,
                                      .trust = trust,
                                      .total_ms = 20000,
                                      .on_body = on_body,
                                      .done = on_done,
                                      .ctx = s};
    struct http_transfer *t;
    struct err err = {0};
    enum err_code rc;

    if (!trust)
        opts.unix_path = s->path;
    if (strcmp(method, "PUT") == 0) {
        opts.body = &body;
        opts.body_slices = 1;
    }
    s->started++;
    rc = http_transfer_start(s->client, &opts, &t, &err);
    if (rc != ERR_OK)
        s->started--;
    return rc;
}

/* Everything once, with one failure somewhere. */
static enum err_code act(struct scene *s, const char *https)
{
    const struct http_server_opts opts = {.unix_path = s->path,
                                          .body_max = 10000,
                                          .connections_max = 10,
                                          .idle_ms = 20000,
                                          .on_call = on_call,
                                          .on_gone = on_gone,
                                          .ctx = s};
    static const uint8_t pin[32];
    struct err err = {0};
    enum err_code rc;

    rc = http_client_new(s->loop, 2, &s->client, &err);
    if (rc == ERR_OK)
        rc = http_trust_pin(pin, &s->trust, &err);
    if (rc == ERR_OK)
        rc = http_server_new(s->loop, &opts, &s->server, &err);
    if (rc == ERR_OK)
        rc = start(s, "PUT", "http://h/one?a=b", NULL);
    if (rc == ERR_OK)
        rc = start(s, "GET", "http://h/stream", NULL);
    if (rc == ERR_OK)
        rc = start(s, "GET", "http://h/three", NULL);
    if (rc == ERR_OK)
        rc = start(s, "GET", https, s->trust);
    while (s->done < s->started)
        loop_run(s->loop);
    return rc;
}

static void play_nothing(struct peer_conn *c)
{
    peer_wait(c);
}

static void every_allocation_may_fail(void **state)
{
    struct peer *p = peer_start(play_nothing, NULL, NULL);
    unsigned port = peer_port(p), n, failures = 0;
    bool failed = true;
    char https[60];

    (void)state;
    peer_stop(p); /* nobody is there: the last transfer is unreachable */
    snprintf(https, sizeof(https), "https://127.0.0.1:%u/", port);
    for (n = 1; failed; n++) {
        struct scene s = {.worst = ERR_OK};
        struct err err = {0};
        enum err_code rc;

        assert_true(n < 1000);
        snprintf(s.path, sizeof(s.path), "/tmp/cairn-test-nomem-%d",
                 (int)getpid());
        assert_int_equal(loop_new("test", NULL, &s.loop, &err), ERR_OK);
        until_failure = n;
        rc = act(&s, https);
        failed = until_failure == 0;
        until_failure = 0;
        assert_true(rc == ERR_OK || (rc == ERR_NOMEM && failed));
        assert_int_equal(s.done, s.started);
        assert_int_not_equal(s.worst, ERR_TIMEOUT);
        if (!failed) /* this was the whole play, undisturbed */
            assert_int_equal(s.worst, ERR_UNREACHABLE);
        failures += rc == ERR_NOMEM || s.worst == ERR_NOMEM;
        http_client_free(s.client);
        http_server_free(s.server);
        assert_int_equal(s.calls, s.gone);
        http_trust_drop(s.trust);
        loop_free(s.loop);
    }
    /* Most failures were seen by somebody. */
    assert_true(n > 30);
    assert_true(failures > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
    };
    struct err err = {0};

    if (http_client_setup(&err) != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
