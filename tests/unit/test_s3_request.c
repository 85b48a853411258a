/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/seal_digest.h"
#include "s3_rig.h"

#define XML_TYPE "Content-Type: application/xml\r\n"
#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
/* An error with its length given by closing the connection. */
#define ERROR_XML(status, code, more)                                \
    "HTTP/1.1 " status " X\r\nConnection: close\r\n" XML_TYPE "\r\n" \
    "<?xml version=\"1.0\"?><Error><Code>" code "</Code>" more "</Error>"

static void open_rig(struct s3_rig *r, const struct s3_rig_answer *answers,
                     unsigned count)
{
    struct s3_client_opts o = s3_rig_opts();

    s3_rig_open(r, &o, answers, count);
}

static void what_passes_is_tried_again(void **state)
{
    static const struct {
        const char *why, *first;
    } rows[] = {
        {"500", ERROR_XML("500", "InternalError", "")},
        {"502, not even XML", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 13"
                              "\r\n\r\n<html></html>"},
        {"503 SlowDown", ERROR_XML("503", "SlowDown", "")},
        {"504", "HTTP/1.1 504 X\r\nContent-Length: 0\r\n\r\n"},
        {"429", "HTTP/1.1 429 X\r\nContent-Length: 0\r\n\r\n"},
        {"400 RequestTimeout", ERROR_XML("400", "RequestTimeout", "")},
        {"409 OperationAborted", ERROR_XML("409", "OperationAborted", "")},
        {"changed on its way", ERROR_XML("400", "BadDigest", "")},
        {"changed, says another", ERROR_XML("400", "XAmzContentSHA256Mismatch",
                                            "")},
        {"cut on its way", ERROR_XML("400", "IncompleteBody", "")},
        {"an error in a 200", ERROR_XML("200", "InternalError", "")},
        {"a reset before the answer", NULL},
    };

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct s3_rig_answer answers[2] = {{.text = rows[i].first},
                                           {.text = OK_EMPTY}};
        struct s3_rig r;

        open_rig(&r, answers, 2);
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
    struct s3_rig_answer answer = {.text = OK_EMPTY};
    struct s3_object_op *op;
    struct s3_rig r;

    open_rig(&r, &answer, 1);
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
         ERROR_XML("400", "ExpiredToken",
                   "<Message>The provided token has expired.</Message>"
                   "<RequestId>R1</RequestId>"),
         ERR_DENIED,
         "400 ExpiredToken: The provided token has expired. (request R1)"},
        {"a wrong key", ERROR_XML("403", "SignatureDoesNotMatch", ""),
         ERR_DENIED, "403 SignatureDoesNotMatch"},
        {"no such bucket", ERROR_XML("404", "NoSuchBucket", ""), ERR_REMOTE,
         "404 NoSuchBucket"},
        {"a cold object", ERROR_XML("403", "InvalidObjectState", ""), ERR_COLD,
         "InvalidObjectState"},
        {"a quota", ERROR_XML("403", "QuotaExceeded", ""), ERR_QUOTA,
         "QuotaExceeded"},
        {"no room", ERROR_XML("507", "InsufficientStorage", ""), ERR_QUOTA,
         "507"},
        {"not implemented", ERROR_XML("501", "NotImplemented", ""), ERR_REMOTE,
         "501 NotImplemented"},
        {"exists", ERROR_XML("412", "PreconditionFailed", ""), ERR_CONFLICT,
         "412 PreconditionFailed"},
        {"a redirect",
         ERROR_XML("307", "TemporaryRedirect",
                   "<Endpoint>other.example</Endpoint>"),
         ERR_REMOTE, "307 TemporaryRedirect"},
        {"another region",
         ERROR_XML("301", "PermanentRedirect", "<Region>eu-west-3</Region>"),
         ERR_ARGUMENT,
         "the bucket is in region \"eu-west-3\", not \"us-east-1\""},
        {"garbage", "HTTP/1.1 403 X\r\nContent-Length: 4\r\n\r\n<<<<",
         ERR_DENIED, "403"},
    };

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct s3_rig_answer answer = {.text = rows[i].answer};
        struct s3_rig r;

        open_rig(&r, &answer, 1);
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
        .text = ERROR_XML("503", "SlowDown", "")};
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

/* How long is said, not how often. */
static void time_alone_bounds_the_tries(void **state)
{
    struct s3_rig_answer answers[12];
    struct s3_rig r;

    for (size_t i = 0; i < 11; i++)
        answers[i] = (struct s3_rig_answer){
            .text = ERROR_XML("503", "SlowDown", "")};
    answers[11] = (struct s3_rig_answer){.text = OK_EMPTY};
    open_rig(&r, answers, 12);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_OK);
    s3_rig_close(&r);
}

static void a_store_is_down_from_the_first_try_in_vain_to_an_answer(void **state)
{
    static const struct s3_rig_answer rows[] = {
        {.text = ERROR_XML("503", "SlowDown", "")},
        {.text = ERROR_XML("500", "InternalError", "")},
        {.text = ERROR_XML("403", "AccessDenied", "")},
        {.text = OK_EMPTY},
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
        {NULL}, {NULL}, {NULL}, {NULL}, {.text = OK_EMPTY}};
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
        {.text = OK_EMPTY}};
    uint64_t before = clock_mono_ms(clock_system());
    struct s3_rig r;

    open_rig(&r, answers, 2);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_OK);
    assert_true(clock_mono_ms(clock_system()) - before >= 1000);
    s3_rig_close(&r);
}

static void a_server_that_says_nothing_is_left(void **state)
{
    static const struct s3_rig_answer answers[2] = {{.forever = true},
                                                    {.text = OK_EMPTY}};
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
        SKEWED("08"), {.text = OK_EMPTY}, {.text = OK_EMPTY}};
    struct s3_rig r;

    open_rig(&r, answers, 3);
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
        SKEWED("08"), SKEWED("09"), {.text = OK_EMPTY}, SKEWED("08"),
        SKEWED("09"), SKEWED("08"), SKEWED("09")};
    struct s3_rig r;

    open_rig(&r, answers, 7);
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
        {.text = OK_EMPTY}};
    struct s3_rig r;

    open_rig(&r, answers, 2);
    assert_int_equal(s3_rig_head(&r, "k"), ERR_OK);
    s3_rig_close(&r);
}

static void the_region_is_learnt_where_none_is_given(void **state)
{
    static const struct s3_rig_answer answers[2] = {
        {.text = ERROR_XML("400", "AuthorizationHeaderMalformed",
                           "<Region>eu-x-1</Region>")},
        {.text = OK_EMPTY}};
    static const struct s3_rig_answer by_header[2] = {
        {.text = "HTTP/1.1 400 X\r\nContent-Length: 0\r\n"
                 "x-amz-bucket-region: eu-x-2\r\n\r\n"},
        {.text = OK_EMPTY}};
    static const struct s3_rig_answer odd = {
        .text = ERROR_XML("400", "AuthorizationHeaderMalformed",
                          "<Region>no region/at all</Region>")};
    struct s3_client_opts o = s3_rig_opts();
    struct s3_rig r;

    o.region = NULL;
    s3_rig_open(&r, &o, answers, 2);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_OK);
    assert_non_null(
        strstr(s3_rig_header(&r, 0, "authorization"), "/us-east-1/s3/"));
    assert_non_null(
        strstr(s3_rig_header(&r, 1, "authorization"), "/eu-x-1/s3/"));
    assert_string_equal(s3_client_region(r.client), "eu-x-1");
    s3_rig_close(&r);

    s3_rig_open(&r, &o, by_header, 2);
    assert_int_equal(s3_rig_head(&r, "k"), ERR_OK);
    assert_string_equal(s3_client_region(r.client), "eu-x-2");
    s3_rig_close(&r);

    s3_rig_open(&r, &o, &odd, 1);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_ARGUMENT);
    assert_string_equal(s3_client_region(r.client), "us-east-1");
    s3_rig_close(&r);
}

static void headers_say_what_was_asked_for(void **state)
{
    static const struct s3_rig_answer answer = {
        .text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: \"e\"\r\n"
                "x-amz-version-id: v1\r\n"
                "Date: Fri, 20 Nov 2026 08:15:30 GMT\r\n\r\n"};
    static const struct s3_object_write write = {.if_absent = true,
                                                 .lock_mode = "COMPLIANCE",
                                                 .retain_until_ms =
                                                     UINT64_C(1795162530000),
                                                 .storage_class = "GLACIER_IR"};
    static const struct s3_credentials keys = {
        .access_key = "AKID", .secret = "secret", .token = "tok/en=="};
    struct s3_client_opts o = s3_rig_opts();
    const char *signed_names;
    struct s3_rig r;

    o.credentials = &keys;
    s3_rig_open(&r, &o, &answer, 1);
    assert_int_equal(s3_rig_put(&r, "a b/\xc3\xa4", "hello", &write), ERR_OK);
    assert_true(s3_rig_asked(&r, 0, "PUT /bucket/a%20b/%C3%A4 HTTP/1.1\r\n"));
    assert_string_equal(s3_rig_header(&r, 0, "if-none-match"), "*");
    assert_string_equal(s3_rig_header(&r, 0, "x-amz-object-lock-mode"),
                        "COMPLIANCE");
    assert_string_equal(
        s3_rig_header(&r, 0, "x-amz-object-lock-retain-until-date"),
        "2026-11-20T08:15:30Z");
    assert_string_equal(s3_rig_header(&r, 0, "x-amz-storage-class"),
                        "GLACIER_IR");
    assert_string_equal(s3_rig_header(&r, 0, "x-amz-security-token"),
                        "tok/en==");
    /* printf hello | sha256sum, and the same in base 64 */
    assert_string_equal(
        s3_rig_header(&r, 0, "x-amz-content-sha256"),
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_string_equal(s3_rig_header(&r, 0, "x-amz-checksum-sha256"),
                        "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=");
    assert_null(s3_rig_header(&r, 0, "expect"));
    signed_names = s3_rig_header(&r, 0, "authorization");
    assert_non_null(
        strstr(signed_names,
               "SignedHeaders=host;if-none-match;x-amz-checksum-sha256;"
               "x-amz-content-sha256;x-amz-date;x-amz-object-lock-mode;"
               "x-amz-object-lock-retain-until-date;x-amz-security-token;"
               "x-amz-storage-class, "));
    assert_string_equal(r.info.version, "v1");
    assert_string_equal(r.info.etag, "\"e\"");
    assert_int_equal(r.info.bytes, 5);
    assert_int_equal(r.info.date_ms, UINT64_C(1795162530000));
    s3_rig_close(&r);
}

/* 8 MiB go over the workers; the same hash as of the bytes at once. */
static void large_bodies_are_hashed_by_the_workers(void **state)
{
    static const struct s3_rig_answer answer = {.text = OK_EMPTY};
    size_t len = (8 << 20) + 13;
    uint8_t *data = calloc(1, len), hash[32];
    struct slice body[3] = {{data, 5}, {data + 5, 0}, {data + 5, len - 5}};
    struct s3_object_put_opts o = {
        .key = "k", .body = body, .slices = 3, .done = s3_rig_on_done};
    struct s3_object_op *op;
    char hex[65];
    struct s3_rig r;

    for (size_t i = 0; i < len; i += 4096)
        data[i] = (uint8_t)(i >> 12);
    open_rig(&r, &answer, 1);
    o.ctx = &r;
    assert_int_equal(s3_object_put(r.client, &o, &op, &r.err), ERR_OK);
    s3_rig_wait(&r, 1);
    assert_int_equal(r.err.code, ERR_OK);
    assert_int_equal(r.body_bytes[0], len);
    assert_true(seal_digest_once(r.suite, SEAL_DIGEST_SHA256, data, len, hash));
    bytes_hex(hash, 32, hex);
    assert_string_equal(s3_rig_header(&r, 0, "x-amz-content-sha256"), hex);
    s3_rig_close(&r);
    free(data);
}

static void a_lost_answer_of_a_conditional_put_is_looked_into(void **state)
{
    static const struct {
        const char *why, *head;
        enum err_code code;
    } rows[] = {
        /* printf body | md5sum */
        {"ours",
         "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
         "ETag: \"841a2d689ad86bd1611447453c22c6fc\"\r\n\r\n",
         ERR_OK},
        {"of another length",
         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
         "ETag: \"841a2d689ad86bd1611447453c22c6fc\"\r\n"
         "\r\n",
         ERR_CONFLICT},
        {"of another ETag",
         "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
         "ETag: \"00000000000000000000000000000000\"\r\n"
         "\r\n",
         ERR_CONFLICT},
        {"an ETag that is no MD5",
         "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
         "ETag: \"abc\"\r\n\r\n",
         ERR_OK},
        {"gone", "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", ERR_CONFLICT},
    };
    static const struct s3_object_write write = {.if_absent = true};

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct s3_rig_answer answers[3] = {
            {.text = NULL},
            {.text = ERROR_XML("412", "PreconditionFailed", "")},
            {.text = rows[i].head}};
        struct s3_rig r;

        open_rig(&r, answers, 3);
        if (s3_rig_put(&r, "k", "body", &write) != rows[i].code)
            fail_msg("%s: %s", rows[i].why, r.err.text);
        assert_true(s3_rig_asked(&r, 2, "HEAD "));
        s3_rig_close(&r);
    }
}

static void answers_have_bounds(void **state)
{
    static char huge[200000];
    static const struct s3_rig_answer answer[2] = {{.text = huge},
                                                   {.text = OK_EMPTY}};
    static const struct s3_rig_answer document[2] = {
        {.text = huge},
        {.text = "HTTP/1.1 200 X\r\n", /* what may have been made */
         .body = "<ListMultipartUploadsResult><IsTruncated>false"
                 "</IsTruncated></ListMultipartUploadsResult>"}};
    struct s3_rig r;
    int n;

    /* an error page of any size is an error like others */
    n = snprintf(huge, sizeof(huge),
                 "HTTP/1.1 500 X\r\nContent-Length: 150000\r\n\r\n");
    memset(huge + n, 'x', 150000);
    huge[n + 150000] = 0;
    open_rig(&r, answer, 2);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_OK);
    s3_rig_close(&r);
    /* a document of any size is not */
    n = snprintf(huge, sizeof(huge),
                 "HTTP/1.1 200 X\r\nContent-Length: 150000\r\n\r\n");
    memset(huge + n, 'x', 150000);
    open_rig(&r, document, 2);
    assert_int_equal(s3_rig_create(&r, "k"), ERR_PROTOCOL);
    s3_rig_close(&r);
}

/* ---- cancelling, in each state ---- */

static struct s3_object_op *begin_put(struct s3_rig *r, const uint8_t *data,
                                      size_t len)
{
    struct slice body = {data, len};
    struct s3_object_put_opts o = {.key = "k",
                                   .body = &body,
                                   .slices = 1,
                                   .done = s3_rig_on_done,
                                   .ctx = r};
    struct s3_object_op *op;

    assert_int_equal(s3_object_put(r->client, &o, &op, &r->err), ERR_OK);
    return op;
}

static void cancel_and_see(struct s3_rig *r, struct s3_object_op *op,
                           unsigned done)
{
    s3_object_cancel(op);
    s3_object_cancel(op); /* twice is once */
    assert_int_equal(r->done, done - 1);
    s3_rig_wait(r, done);
    s3_rig_run_ms(r, 5);
    assert_int_equal(r->done, done);
    assert_int_equal(r->err.code, ERR_CANCELLED);
}

static void a_request_can_be_cancelled_in_each_state(void **state)
{
    static const struct s3_rig_answer answers[2] = {
        {.text = ERROR_XML("503", "SlowDown", "")}, {.forever = true}};
    struct s3_client_opts o = s3_rig_opts();
    size_t len = 32 << 20;
    uint8_t *data = calloc(1, len);
    struct s3_object_op *op, *waiting;
    struct s3_rig r;

    o.pause_ms = 60000;
    o.in_flight_max = 1;
    s3_rig_open(&r, &o, answers, 2);
    /* hashing: nothing is sent */
    op = begin_put(&r, data, len);
    cancel_and_see(&r, op, 1);
    assert_int_equal(s3_rig_seen(&r), 0);
    /* pausing before the second try */
    op = begin_put(&r, data, 10);
    while (!s3_rig_seen(&r))
        s3_rig_run_ms(&r, 5);
    s3_rig_run_ms(&r, 50);
    assert_int_equal(r.done, 1);
    cancel_and_see(&r, op, 2);
    /* sending, and behind it waiting for room */
    op = begin_put(&r, data, 10);
    waiting = begin_put(&r, data, 10);
    while (s3_rig_seen(&r) < 2)
        s3_rig_run_ms(&r, 5);
    cancel_and_see(&r, waiting, 3);
    cancel_and_see(&r, op, 4);
    s3_rig_close(&r);
    free(data);
}

static void requests_at_once_have_a_bound(void **state)
{
    struct s3_rig_answer answers[6];
    struct s3_client_opts o = s3_rig_opts();
    uint64_t requests = 0, sent = 0;
    struct s3_rig r;

    for (size_t i = 0; i < 6; i++)
        answers[i] = (struct s3_rig_answer){.text = OK_EMPTY, .delay_ms = 10};
    o.in_flight_max = 2;
    o.counters.requests = &requests;
    o.counters.sent = &sent;
    s3_rig_open(&r, &o, answers, 6);
    for (size_t i = 0; i < 6; i++)
        begin_put(&r, (const uint8_t *)"body", 4);
    s3_rig_wait(&r, 6);
    assert_int_equal(peer_connections(r.peer), 2);
    assert_int_equal(requests, 6);
    assert_int_equal(sent, 24);
    s3_rig_close(&r);
}

static void unusable_keys_are_refused_at_once(void **state)
{
    char longer[S3_XML_KEY_MAX + 1];
    struct s3_rig r;

    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    open_rig(&r, NULL, 0);
    assert_int_equal(s3_rig_put(&r, "", "x", NULL), ERR_ARGUMENT);
    assert_int_equal(s3_rig_put(&r, longer, "x", NULL), ERR_ARGUMENT);
    assert_int_equal(s3_rig_head(&r, longer), ERR_ARGUMENT);
    assert_int_equal(r.done, 0);
    s3_rig_close(&r);
}

static void on_refused(void *ctx, const char *key, const char *code,
                       const char *message)
{
    struct s3_rig *r = ctx;

    buf_addf(&r->bytes, "%s %s %s\n", key, code, message);
}

static void many_are_deleted_at_once(void **state)
{
    static const struct s3_rig_answer answer = {
        .text = "HTTP/1.1 200 OK\r\n",
        .body = "<DeleteResult><Error><Key>b&amp;c</Key><Code>AccessDenied"
                "</Code><Message>no</Message></Error></DeleteResult>"};
    static const char *const keys[] = {"a", "b&c"};
    struct s3_object_remove_many_opts o = {.keys = keys,
                                           .count = 2,
                                           .on_refused = on_refused,
                                           .done = s3_rig_on_done};
    char expect[SEAL_DIGEST_BASE64(16)];
    struct s3_object_op *op;
    uint8_t md5[16];
    struct s3_rig r;

    open_rig(&r, &answer, 1);
    o.ctx = &r;
    assert_int_equal(s3_object_remove_many(r.client, &o, &op, &r.err), ERR_OK);
    s3_rig_wait(&r, 1);
    assert_int_equal(r.err.code, ERR_OK);
    assert_string_equal(buf_text(&r.bytes), "b&c AccessDenied no\n");
    assert_true(s3_rig_asked(&r, 0, "POST /bucket/?delete= HTTP/1.1"));
    assert_true(seal_digest_once(r.suite, SEAL_DIGEST_MD5, r.bodies[0],
                                 strlen(r.bodies[0]), md5));
    seal_digest_base64(md5, sizeof(md5), expect);
    assert_string_equal(s3_rig_header(&r, 0, "content-md5"), expect);
    o.count = 1001;
    assert_int_equal(s3_object_remove_many(r.client, &o, &op, &r.err),
                     ERR_ARGUMENT);
    s3_rig_close(&r);
}

static void new_credentials_sign_the_next_try(void **state)
{
    static const struct s3_rig_answer answers[2] = {
        {.text = ERROR_XML("400", "ExpiredToken", "")}, {.text = OK_EMPTY}};
    static const struct s3_credentials keys = {.access_key = "OTHER",
                                               .secret = "secret"};
    struct s3_rig r;
    struct err err;

    open_rig(&r, answers, 2);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_DENIED);
    assert_int_equal(s3_client_set_credentials(r.client, &keys, &err), ERR_OK);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_OK);
    assert_non_null(
        strstr(s3_rig_header(&r, 1, "authorization"), "Credential=OTHER/"));
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
        cmocka_unit_test(time_alone_bounds_the_tries),
        cmocka_unit_test(who_never_answered_gets_three_tries),
        cmocka_unit_test(the_server_says_how_long_to_wait),
        cmocka_unit_test(a_server_that_says_nothing_is_left),
        cmocka_unit_test(a_wrong_clock_is_corrected),
        cmocka_unit_test(a_clock_that_jumps_is_followed_but_not_for_ever),
        cmocka_unit_test(a_head_without_a_code_shows_a_wrong_clock_too),
        cmocka_unit_test(the_region_is_learnt_where_none_is_given),
        cmocka_unit_test(headers_say_what_was_asked_for),
        cmocka_unit_test(large_bodies_are_hashed_by_the_workers),
        cmocka_unit_test(a_lost_answer_of_a_conditional_put_is_looked_into),
        cmocka_unit_test(answers_have_bounds),
        cmocka_unit_test(a_request_can_be_cancelled_in_each_state),
        cmocka_unit_test(requests_at_once_have_a_bound),
        cmocka_unit_test(unusable_keys_are_refused_at_once),
        cmocka_unit_test(many_are_deleted_at_once),
        cmocka_unit_test(new_credentials_sign_the_next_try),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
