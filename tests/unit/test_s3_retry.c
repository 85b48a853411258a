/* SPDX-License-Identifier: Apache-2.0 */
/* What is tried again, how often and how long; and by which clock. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "s3_rig.h"

static void what_passes_is_tried_again(void **state)
{
    static const struct {
        const char *why, *first;
    } rows[] = {
        {"500", S3_RIG_ERROR("500", "InternalError", "")},
        {"502, not even XML", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 13"
                              "\r\n\r\n<html></html>"},
        {"503 SlowDown", S3_RIG_ERROR("503", "SlowDown", "")},
        {"504", "HTTP/1.1 504 X\r\nContent-Length: 0\r\n\r\n"},
        {"429", "HTTP/1.1 429 X\r\nContent-Length: 0\r\n\r\n"},
        {"400 RequestTimeout", S3_RIG_ERROR("400", "RequestTimeout", "")},
        {"409 OperationAborted", S3_RIG_ERROR("409", "OperationAborted", "")},
        {"changed on its way", S3_RIG_ERROR("400", "BadDigest", "")},
        {"changed, says another",
         S3_RIG_ERROR("400", "XAmzContentSHA256Mismatch", "")},
        {"cut on its way", S3_RIG_ERROR("400", "IncompleteBody", "")},
        {"an error in a 200", S3_RIG_ERROR("200", "InternalError", "")},
        {"a reset before the answer", NULL},
    };

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct s3_rig_answer answers[2] = {{.text = rows[i].first},
                                           {.text = S3_RIG_EMPTY}};
        struct s3_rig r;

        s3_rig_open_usual(&r, answers, 2);
        if (s3_rig_put(&r, "k", "body", NULL) != ERR_OK)
            fail_msg("%s: %s", rows[i].why, r.err.text);
        assert_string_equal(r.bodies[0], "body");
        assert_string_equal(r.bodies[1], "body");
        s3_rig_close(&r);
    }
}

static void on_done_free(void *ctx, const struct err *err,
                         const struct s3_object_info *info)
{
    struct s3_rig *r = ctx;

    s3_client_free(r->client);
    r->client = NULL;
    s3_rig_on_done(r, err, info);
}

static void a_done_may_free_the_client(void **state)
{
    struct s3_rig_answer answer = {.text = S3_RIG_EMPTY};
    struct s3_object_op *op;
    struct s3_rig r;

    s3_rig_open_usual(&r, &answer, 1);
    assert_int_equal(s3_object_head(r.client,
                                    &(struct s3_object_name){"k", NULL},
                                    on_done_free, &r, &op, &r.err),
                     ERR_OK);
    s3_rig_wait(&r, 1);
    assert_int_equal(r.err.code, ERR_OK);
    assert_null(r.client);
    s3_rig_close(&r);
}

static void what_does_not_pass_is_told_at_once(void **state)
{
    static const struct {
        const char *why, *answer;
        enum err_code code;
        const char *word;
    } rows[] = {
        {"an expired token",
         S3_RIG_ERROR("400", "ExpiredToken",
                      "<Message>The provided token has expired.</Message>"
                      "<RequestId>R1</RequestId>"),
         ERR_DENIED,
         "400 ExpiredToken: The provided token has expired. (request R1)"},
        {"a wrong key", S3_RIG_ERROR("403", "SignatureDoesNotMatch", ""),
         ERR_DENIED, "403 SignatureDoesNotMatch"},
        {"no such bucket", S3_RIG_ERROR("404", "NoSuchBucket", ""), ERR_REMOTE,
         "404 NoSuchBucket"},
        {"a cold object", S3_RIG_ERROR("403", "InvalidObjectState", ""),
         ERR_COLD, "InvalidObjectState"},
        {"a quota", S3_RIG_ERROR("403", "QuotaExceeded", ""), ERR_QUOTA,
         "QuotaExceeded"},
        {"no room", S3_RIG_ERROR("507", "InsufficientStorage", ""), ERR_QUOTA,
         "507"},
        {"status 501", S3_RIG_ERROR("501", "NotImplemented", ""),
         ERR_REMOTE, "501 NotImplemented"},
        {"exists", S3_RIG_ERROR("412", "PreconditionFailed", ""), ERR_CONFLICT,
         "412 PreconditionFailed"},
        {"a redirect",
         S3_RIG_ERROR("307", "TemporaryRedirect",
                      "<Endpoint>other.example</Endpoint>"),
         ERR_REMOTE, "307 TemporaryRedirect"},
        {"another region",
         S3_RIG_ERROR("301", "PermanentRedirect", "<Region>eu-west-3</Region>"),
         ERR_ARGUMENT,
         "the bucket is in region \"eu-west-3\", not \"us-east-1\""},
        {"garbage", "HTTP/1.1 403 X\r\nContent-Length: 4\r\n\r\n<<<<",
         ERR_DENIED, "403"},
    };

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct s3_rig_answer answer = {.text = rows[i].answer};
        struct s3_rig r;

        s3_rig_open_usual(&r, &answer, 1);
        if (s3_rig_put(&r, "a/key", "body", NULL) != rows[i].code ||
            !strstr(r.err.text, rows[i].word) ||
            !strstr(r.err.text, "s3://bucket at 127.0.0.1:") ||
            !strstr(r.err.text, "PUT a/key"))
            fail_msg("%s: %s: %s", rows[i].why, err_name(r.err.code),
                     r.err.text);
        assert_int_equal(s3_rig_seen(&r), 1);
        s3_rig_close(&r);
    }
}

static void trying_ends_with_its_budget(void **state)
{
    static const struct s3_rig_answer slow = {
        .text = S3_RIG_ERROR("503", "SlowDown", "")};
    struct s3_rig_answer answers[4] = {slow, slow, slow, slow};
    struct s3_client_opts o = s3_rig_opts();
    struct s3_rig r;

    o.tries_max = 4;
    s3_rig_open(&r, &o, answers, 4);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_AGAIN);
    assert_int_equal(r.err.detail, 503);
    assert_non_null(strstr(r.err.text, "try 4"));
    s3_rig_close(&r);

    o.tries_max = 0;
    o.pause_ms = 200;
    o.retry_ms = 50; /* no second try fits */
    s3_rig_open(&r, &o, answers, 1);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_AGAIN);
    s3_rig_close(&r);
}

/* Or on a thin line one connection that breaks would end a backup. */
static void a_body_that_went_out_slowly_is_sent_again(void **state)
{
    static const struct s3_rig_answer answers[3] = {
        {.text = S3_RIG_ERROR("500", "InternalError", ""), .delay_ms = 150},
        {.text = S3_RIG_EMPTY},
        {.text = S3_RIG_ERROR("500", "InternalError", ""), .delay_ms = 150}};
    struct s3_client_opts o = s3_rig_opts();
    struct s3_rig r;

    o.retry_ms = 100;
    s3_rig_open(&r, &o, answers, 2);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_OK);
    s3_rig_close(&r);

    /* nothing was sent: it is the server that is slow */
    s3_rig_open(&r, &o, &answers[2], 1);
    assert_int_equal(s3_rig_head(&r, "k"), ERR_REMOTE);
    s3_rig_close(&r);
}

/* How long is said, not how often. */
static void time_alone_bounds_the_tries(void **state)
{
    struct s3_rig_answer answers[12];
    struct s3_rig r;

    for (size_t i = 0; i < 11; i++)
        answers[i] =
            (struct s3_rig_answer){.text = S3_RIG_ERROR("503", "SlowDown", "")};
    answers[11] = (struct s3_rig_answer){.text = S3_RIG_EMPTY};
    s3_rig_open_usual(&r, answers, 12);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_OK);
    s3_rig_close(&r);
}

static void
a_store_is_down_from_the_first_try_in_vain_to_an_answer(void **state)
{
    static const struct s3_rig_answer rows[] = {
        {.text = S3_RIG_ERROR("503", "SlowDown", "")},
        {.text = S3_RIG_ERROR("500", "InternalError", "")},
        {.text = S3_RIG_ERROR("403", "AccessDenied", "")},
        {.text = S3_RIG_EMPTY},
    };
    struct s3_client_opts o = s3_rig_opts();
    uint64_t since = 0;
    struct s3_rig r;

    o.counters.down_since_ms = &since;
    o.tries_max = 2;
    s3_rig_open(&r, &o, rows, 2);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_REMOTE);
    assert_true(since > 0);
    s3_rig_close(&r);

    for (size_t i = 2; i < 4; i++) { /* a refusal is an answer */
        since = 12345;
        s3_rig_open(&r, &o, &rows[i], 1);
        s3_rig_put(&r, "k", "body", NULL);
        assert_int_equal(since, 0);
        s3_rig_close(&r);
    }
}

/* A wrong address is found out soon; what was there once is waited for. */
static void who_never_answered_gets_three_tries(void **state)
{
    static const struct s3_rig_answer answers[5] = {
        {NULL}, {NULL}, {NULL}, {NULL}, {.text = S3_RIG_EMPTY}};
    struct s3_client_opts o = s3_rig_opts();
    struct s3_rig r;

    s3_rig_open(&r, &o, answers, 3);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_UNREACHABLE);
    assert_non_null(strstr(r.err.text, "try 3"));
    s3_rig_close(&r);
    o.known = true;
    s3_rig_open(&r, &o, answers, 5);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_OK);
    s3_rig_close(&r);
}

static void the_server_says_how_long_to_wait(void **state)
{
    static const struct s3_rig_answer answers[2] = {
        {.text = "HTTP/1.1 503 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
                 "\r\n"},
        {.text = S3_RIG_EMPTY}};
    uint64_t before = clock_mono_ms(clock_system());
    struct s3_rig r;

    s3_rig_open_usual(&r, answers, 2);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_OK);
    assert_true(clock_mono_ms(clock_system()) - before >= 1000);
    s3_rig_close(&r);
}

static void a_server_that_says_nothing_is_left(void **state)
{
    static const struct s3_rig_answer answers[2] = {{.forever = true},
                                                    {.text = S3_RIG_EMPTY}};
    struct s3_client_opts o = s3_rig_opts();
    struct s3_rig r;

    o.timeout_ms = 100;
    s3_rig_open(&r, &o, answers, 2);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_OK);
    s3_rig_close(&r);
}

#define SKEWED(hour)                                        \
    {                                                       \
        .text = "HTTP/1.1 403 X\r\nConnection: close\r\n"   \
                "Date: Fri, 20 Nov 2026 " hour ":15:30 GMT" \
                "\r\n\r\n<Error><Code>RequestTimeTooSkewed" \
                "</Code></Error>"                           \
    }

static void a_wrong_clock_is_corrected(void **state)
{
    static const struct s3_rig_answer answers[3] = {
        SKEWED("08"), {.text = S3_RIG_EMPTY}, {.text = S3_RIG_EMPTY}};
    struct s3_rig r;

    s3_rig_open_usual(&r, answers, 3);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_OK);
    assert_memory_equal(s3_rig_header(&r, 1, "x-amz-date"), "20261120T0815",
                        13);
    assert_int_not_equal(s3_client_skew_ms(r.client), 0);
    /* what was learnt is kept */
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_OK);
    assert_memory_equal(s3_rig_header(&r, 2, "x-amz-date"), "20261120T08", 11);
    s3_rig_close(&r);
}

/* Behind one address there may be several servers, and one of them is wrong. */
static void a_clock_that_jumps_is_followed_but_not_for_ever(void **state)
{
    static const struct s3_rig_answer answers[] = {
        SKEWED("08"), SKEWED("09"), {.text = S3_RIG_EMPTY},
        SKEWED("08"), SKEWED("09"), SKEWED("08"),
        SKEWED("09")};
    struct s3_rig r;

    s3_rig_open_usual(&r, answers, 7);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_OK);
    assert_memory_equal(s3_rig_header(&r, 2, "x-amz-date"), "20261120T0915",
                        13);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_DENIED);
    assert_int_equal(s3_rig_seen(&r), 7);
    s3_rig_close(&r);
}

static void a_head_without_a_code_shows_a_wrong_clock_too(void **state)
{
    static const struct s3_rig_answer answers[2] = {
        {.text = "HTTP/1.1 403 X\r\nContent-Length: 0\r\n"
                 "Date: Fri, 20 Nov 2026 08:15:30 GMT\r\n\r\n"},
        {.text = S3_RIG_EMPTY}};
    struct s3_rig r;

    s3_rig_open_usual(&r, answers, 2);
    assert_int_equal(s3_rig_head(&r, "k"), ERR_OK);
    s3_rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_passes_is_tried_again),
        cmocka_unit_test(a_done_may_free_the_client),
        cmocka_unit_test(what_does_not_pass_is_told_at_once),
        cmocka_unit_test(trying_ends_with_its_budget),
        cmocka_unit_test(
            a_store_is_down_from_the_first_try_in_vain_to_an_answer),
        cmocka_unit_test(a_body_that_went_out_slowly_is_sent_again),
        cmocka_unit_test(time_alone_bounds_the_tries),
        cmocka_unit_test(who_never_answered_gets_three_tries),
        cmocka_unit_test(the_server_says_how_long_to_wait),
        cmocka_unit_test(a_server_that_says_nothing_is_left),
        cmocka_unit_test(a_wrong_clock_is_corrected),
        cmocka_unit_test(a_clock_that_jumps_is_followed_but_not_for_ever),
        cmocka_unit_test(a_head_without_a_code_shows_a_wrong_clock_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
