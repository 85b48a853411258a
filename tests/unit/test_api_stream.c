/* SPDX-License-Identifier: Apache-2.0 */
/* The control API: restores whose bytes are the body of the answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/api_rig.h"

static const char stream_ask[] =
    "{\"point\":\"" RIG_POINT "\",\"output\":\"raw\",\"disk\":0}";

/* Begin a streamed restore; returns when the backend has the stream. */
static void stream_begin(struct api_rig_world *w)
{
    struct api_rig *r = &w->rig;

    api_rig_point(r, w->acme_vault, RIG_POINT, RIG_VM_1, "acme-web", true);
    r->asked[0] = '\0';
    api_rig_begin(r, &r->call, "POST", "/restores", w->acme_token,
                  stream_ask);
    while (!r->stream)
        loop_run(r->net.loop);
    assert_string_equal(r->params, "{\"output\":\"raw\",\"disk\":0}");
}

static void a_restored_disk_is_the_answers_body(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    struct err ok = {0};

    stream_begin(w);
    api_stream_begin(r->stream, "01job", 8);
    assert_true(api_rig_lend(r->stream, "abcd", 4));
    rig_run_ms(&r->net, 20);
    assert_true(api_rig_lend(r->stream, "efgh", 4));
    api_stream_end(r->stream, &ok, EXIT_OK);
    rig_run(&r->net);
    assert_int_equal(r->call.err.code, ERR_OK);
    assert_int_equal(r->call.status, 200);
    assert_int_equal(r->call.length, 8);
    assert_int_equal(r->call.body.len, 8);
    assert_memory_equal(r->call.body.data, "abcdefgh", 8);
    assert_int_equal(api_rig_ask(r, "GET", "/audit", NULL, NULL), 200);
    assert_string_equal(api_rig_text(r, "items.0.action"), "restore.start");
    assert_string_equal(api_rig_text(r, "items.0.object"), RIG_POINT);
    assert_string_equal(api_rig_text(r, "items.0.outcome"), "ok");
}

static void a_stream_that_fails_is_never_taken_for_whole(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    struct err e;

    for (int known = 0; known < 2; known++) {
        r->stream = NULL;
        stream_begin(w);
        api_stream_begin(r->stream, "01job", known ? 8 : -1);
        assert_true(api_rig_lend(r->stream, "abcd", 4));
        rig_run_ms(&r->net, 20);
        err_set(&e, ERR_INTEGRITY, 0, "pack 12: wrong tag");
        api_stream_end(r->stream, &e, EXIT_DAMAGE);
        rig_run(&r->net);
        assert_int_not_equal(r->call.err.code, ERR_OK);
        assert_int_equal(api_rig_ask(r, "GET", "/audit", NULL, NULL), 200);
        assert_string_equal(api_rig_text(r, "items.0.outcome"), "integrity");
    }
}

static void a_stream_that_never_began_is_a_problem(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    api_rig_point(r, w->acme_vault, RIG_POINT, RIG_VM_1, "acme-web", true);
    err_set(&r->err, ERR_KEY, 0, "no key opens the vault");
    assert_int_equal(api_rig_ask(r, "POST", "/restores", NULL, stream_ask),
                     422);
    assert_int_equal(api_rig_int(r, "exit"), 8); /* the engine's word */
    assert_string_equal(api_rig_text(r, "detail"), "no key opens the vault");
}

static void what_is_lent_comes_back_when_the_client_has_read_it(void **state)
{
    enum { PIECES = 64 };
    static uint8_t piece[65536];
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    struct err ok = {0};

    stream_begin(w);
    api_stream_begin(r->stream, "01job", -1);
    for (int i = 0; i < PIECES; i++)
        assert_true(api_rig_lend(r->stream, piece, sizeof(piece)));
    assert_int_equal(rig_pieces(), PIECES); /* never from inside */
    /* The client is read by the test. */
    r->call.body.max = 1 << 24;
    for (int i = 0; i < 1000 && rig_pieces() > 0; i++)
        rig_run_ms(&r->net, 5);
    assert_int_equal(rig_pieces(), 0);
    assert_true(api_rig_lend(r->stream, piece, sizeof(piece)));
    api_stream_end(r->stream, &ok, EXIT_OK); /* what is lent is sent */
    rig_run(&r->net);
    assert_int_equal(r->call.err.code, ERR_OK);
    assert_int_equal(r->call.body.len, (PIECES + 1) * sizeof(piece));
    assert_int_equal(rig_pieces(), 0);
}

/* The client does not read; what was lent is the engine's again at once. */
static void what_is_retracted_is_not_read_any_more(void **state)
{
    static uint8_t bytes[8 << 20];
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    struct http_piece piece = {bytes, sizeof(bytes), NULL, NULL};
    struct err e;

    stream_begin(w);
    r->call.body.max = 1 << 24;
    api_stream_begin(r->stream, "01job", sizeof(bytes));
    assert_true(api_stream_lend(r->stream, &piece));
    api_stream_retract(r->stream);
    piece.data = NULL;
    err_set(&e, ERR_CANCELLED, 0, "cancelled");
    api_stream_end(r->stream, &e, EXIT_INTERRUPTED);
    rig_run(&r->net);
    assert_int_not_equal(r->call.err.code, ERR_OK);
    assert_true(r->call.body.len < sizeof(bytes));
}

static void a_client_that_leaves_is_told_to_the_engine_once(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    struct err e;

    stream_begin(w);
    api_stream_begin(r->stream, "01job", -1);
    rig_run_ms(&r->net, 10);
    rig_cancel(&r->call);
    rig_run(&r->net);
    /* A server that has nothing to send looks at its client when it has. */
    for (int i = 0; i < 1000 && r->gone == 0; i++) {
        assert_true(api_rig_lend(r->stream, "abcd", 4));
        rig_run_ms(&r->net, 5);
    }
    assert_int_equal(r->gone, 1);
    assert_int_equal(rig_pieces(), 0);
    assert_false(api_rig_lend(r->stream, "abcd", 4));
    err_set(&e, ERR_CANCELLED, 0, "the client went away");
    api_stream_end(r->stream, &e, EXIT_INTERRUPTED);
    rig_run_ms(&r->net, 20);
    assert_int_equal(r->gone, 1);
    assert_int_equal(api_rig_ask(r, "GET", "/audit", NULL, NULL), 200);
    assert_string_equal(api_rig_text(r, "items.0.outcome"), "cancelled");
}

/* Between the last byte and the end of the job a client may leave. */
static void a_client_that_leaves_with_all_of_it_cancels_nothing(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    struct err ok = {0};

    stream_begin(w);
    api_stream_begin(r->stream, "01job", 8);
    assert_true(api_rig_lend(r->stream, "abcdefgh", 8));
    rig_run(&r->net);
    assert_int_equal(r->call.err.code, ERR_OK);
    assert_int_equal(r->call.body.len, 8);
    rig_run_ms(&r->net, 50);
    assert_int_equal(r->gone, 0);
    api_stream_end(r->stream, &ok, EXIT_OK);
    rig_run_ms(&r->net, 20);
    assert_int_equal(api_rig_ask(r, "GET", "/audit", NULL, NULL), 200);
    assert_string_equal(api_rig_text(r, "items.0.outcome"), "ok");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, api_rig_setup, \
                                                  api_rig_teardown)
        ROW(a_restored_disk_is_the_answers_body),
        ROW(a_stream_that_fails_is_never_taken_for_whole),
        ROW(a_stream_that_never_began_is_a_problem),
        ROW(what_is_lent_comes_back_when_the_client_has_read_it),
        ROW(what_is_retracted_is_not_read_any_more),
        ROW(a_client_that_leaves_is_told_to_the_engine_once),
        ROW(a_client_that_leaves_with_all_of_it_cancels_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
