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

static void the_region_is_learnt_where_none_is_given(void **state)
{
    static const struct s3_rig_answer answers[2] = {
        {.text = S3_RIG_ERROR("400", "AuthorizationHeaderMalformed",
                           "<Region>eu-x-1</Region>")},
        {.text = S3_RIG_EMPTY}};
    static const struct s3_rig_answer by_header[2] = {
        {.text = "HTTP/1.1 400 X\r\nContent-Length: 0\r\n"
                 "x-amz-bucket-region: eu-x-2\r\n\r\n"},
        {.text = S3_RIG_EMPTY}};
    static const struct s3_rig_answer odd = {
        .text = S3_RIG_ERROR("400", "AuthorizationHeaderMalformed",
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
    static const struct s3_rig_answer answer = {.text = S3_RIG_EMPTY};
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
    s3_rig_open_usual(&r, &answer, 1);
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
            {.text = S3_RIG_ERROR("412", "PreconditionFailed", "")},
            {.text = rows[i].head}};
        struct s3_rig r;

        s3_rig_open_usual(&r, answers, 3);
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
                                                   {.text = S3_RIG_EMPTY}};
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
    s3_rig_open_usual(&r, answer, 2);
    assert_int_equal(s3_rig_put(&r, "k", "body", NULL), ERR_OK);
    s3_rig_close(&r);
    /* a document of any size is not */
    n = snprintf(huge, sizeof(huge),
                 "HTTP/1.1 200 X\r\nContent-Length: 150000\r\n\r\n");
    memset(huge + n, 'x', 150000);
    s3_rig_open_usual(&r, document, 2);
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
        {.text = S3_RIG_ERROR("503", "SlowDown", "")}, {.forever = true}};
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
        answers[i] = (struct s3_rig_answer){.text = S3_RIG_EMPTY, .delay_ms = 10};
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
    s3_rig_open_usual(&r, NULL, 0);
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

    s3_rig_open_usual(&r, &answer, 1);
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
        {.text = S3_RIG_ERROR("400", "ExpiredToken", "")}, {.text = S3_RIG_EMPTY}};
    static const struct s3_credentials keys = {.access_key = "OTHER",
                                               .secret = "secret"};
    struct s3_rig r;
    struct err err;

    s3_rig_open_usual(&r, answers, 2);
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
