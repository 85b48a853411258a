/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "s3/s3_parts.h"
#include "s3/s3_stray.h"
#include "s3_rig.h"

#define OK "HTTP/1.1 200 OK\r\n"
#define CREATED_BODY                                \
    "<InitiateMultipartUploadResult><UploadId>u/1=" \
    "</UploadId></InitiateMultipartUploadResult>"
#define CREATED                          \
    {                                    \
        .text = OK, .body = CREATED_BODY \
    }
#define PART_OK(etag)                                   \
    {                                                   \
        .text = OK "ETag: \"" etag "\"\r\n", .body = "" \
    }
#define COMPLETED                                              \
    {                                                          \
        .text = OK "x-amz-version-id: v7\r\n",                 \
        .body = "<CompleteMultipartUploadResult><ETag></ETag>" \
                "</CompleteMultipartUploadResult>"             \
    }
#define FAILED(status, code)                           \
    {                                                  \
        .text = "HTTP/1.1 " status " X\r\n",           \
        .body = "<Error><Code>" code "</Code></Error>" \
    }
#define LOST         \
    {                \
        .text = NULL \
    }
#define HEAD_OF(length)                                                  \
    {                                                                    \
        .text = OK "Content-Length: " length "\r\nETag: \"x-2\"\r\n\r\n" \
    }

static void open_rig(struct s3_rig *r, const struct s3_rig_answer *answers,
                     unsigned count)
{
    struct s3_client_opts o = s3_rig_opts();

    s3_rig_open(r, &o, answers, count);
}

/* Two parts, 11 bytes in all. */
static void send_parts(struct s3_rig *r)
{
    assert_int_equal(s3_rig_create(r, "k"), ERR_OK);
    assert_int_equal(s3_rig_part(r, 2, "world"), ERR_OK);
    assert_int_equal(s3_rig_part(r, 1, "hello "), ERR_OK);
}

static void parts_become_an_object(void **state)
{
    static const struct s3_rig_answer answers[] = {CREATED, PART_OK("e2"),
                                                   PART_OK("e1"), COMPLETED};
    struct s3_rig r;

    open_rig(&r, answers, 4);
    send_parts(&r);
    assert_string_equal(s3_upload_id(r.upload), "u/1=");
    assert_int_equal(s3_rig_complete(&r), ERR_OK);
    assert_true(s3_rig_asked(&r, 0, "POST /bucket/k?uploads= HTTP/1.1"));
    assert_true(s3_rig_asked(
        &r, 1, "PUT /bucket/k?partNumber=2&uploadId=u%2F1%3D HTTP/1.1"));
    assert_true(
        s3_rig_asked(&r, 3, "POST /bucket/k?uploadId=u%2F1%3D HTTP/1.1"));
    assert_non_null(strstr(
        r.bodies[3], "<Part><PartNumber>1</PartNumber><ETag>&quot;e1&quot;"
                     "</ETag></Part><Part><PartNumber>2</PartNumber><ETag>"
                     "&quot;e2&quot;</ETag></Part></Complete"));
    assert_int_equal(r.info.bytes, 11);
    assert_string_equal(r.info.etag, "");
    assert_string_equal(r.info.version, "v7");
    s3_rig_close(&r);
}

static void a_part_without_an_etag_or_missing_is_no_part(void **state)
{
    static const struct s3_rig_answer answers[] = {CREATED,
                                                   {.text = OK, .body = ""},
                                                   {.text = OK, .body = ""},
                                                   {.text = OK, .body = ""},
                                                   PART_OK("e2"),
                                                   FAILED("204", "")};
    struct s3_rig r;

    open_rig(&r, answers, 6);
    assert_int_equal(s3_rig_create(&r, "k"), ERR_OK);
    assert_int_equal(s3_rig_part(&r, 1, "x"), ERR_PROTOCOL);
    assert_int_equal(s3_rig_part(&r, 2, "x"), ERR_OK);
    assert_int_equal(s3_rig_complete(&r), ERR_ARGUMENT);
    assert_int_equal(s3_rig_part(&r, 0, "x"), ERR_ARGUMENT);
    assert_int_equal(s3_rig_part(&r, 10001, "x"), ERR_ARGUMENT);
    assert_int_equal(s3_rig_abort(&r), ERR_OK);
    s3_rig_close(&r);
}

/* What follows the two parts, and how it must end. */
static const struct {
    const char *why;
    struct s3_rig_answer answers[5];
    unsigned count;
    enum err_code code;
} endings[] = {
    {"white space, then the answer",
     {{.text = OK "Transfer-Encoding: chunked\r\n\r\n"
                  "1\r\n \r\n2\r\n \n\r\n"
                  "3f\r\n<?xml version=\"1.0\"?>"
                  "<CompleteMultipartUploadResult>\n</Complete"
                  "\r\n17\r\nMultipartUploadResult>\n\r\n0\r\n\r\n"}},
     1,
     ERR_OK},
    {"white space, then an error, then an answer",
     {{.text = OK, .body = "  \n<Error><Code>InternalError</Code></Error>"},
      COMPLETED},
     2,
     ERR_OK},
    {"a 200 that is an error for good",
     {FAILED("200", "InvalidPart"), {.text = "HTTP/1.1 404 X\r\n", .body = ""}},
     2,
     ERR_REMOTE},
    {"a lost answer, then none such, and it is there",
     {LOST, FAILED("404", "NoSuchUpload"), HEAD_OF("11")},
     3,
     ERR_OK},
    {"a lost answer, then none such, and another is there",
     {LOST, FAILED("404", "NoSuchUpload"), HEAD_OF("12")},
     3,
     ERR_NOT_FOUND},
    {"a lost answer, then none such, and nothing is there",
     {LOST,
      FAILED("404", "NoSuchUpload"),
      {.text = "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"}},
     3,
     ERR_NOT_FOUND},
    {"a lost answer, then the same again", {LOST, COMPLETED}, 2, ERR_OK},
    {"none such at the first try",
     {FAILED("404", "NoSuchUpload"), HEAD_OF("11")},
     2,
     ERR_OK},
    {"a 200 with nonsense, and it is there",
     {{.text = OK, .body = "<html/>"},
      {.text = OK, .body = "<html/>"},
      {.text = OK, .body = "<html/>"},
      HEAD_OF("11")},
     4,
     ERR_OK},
    {"a 200 with nothing, then the answer",
     {{.text = OK, .body = ""}, COMPLETED},
     2,
     ERR_OK},
    {"refused at once", {FAILED("400", "InvalidPart")}, 1, ERR_REMOTE},
};

static void a_doubtful_complete_is_settled_by_a_look(void **state)
{
    for (size_t i = 0; i < BYTES_COUNT(endings); i++) {
        struct s3_rig_answer answers[9] = {CREATED, PART_OK("e2"),
                                           PART_OK("e1")};
        unsigned count = 3 + endings[i].count;
        struct s3_rig r;

        memcpy(&answers[3], endings[i].answers, sizeof(endings[i].answers));
        if (endings[i].code != ERR_OK)
            answers[count++] =
                (struct s3_rig_answer){.text = "HTTP/1.1 204 X\r\n\r\n"};
        open_rig(&r, answers, count);
        send_parts(&r);
        if (s3_rig_complete(&r) != endings[i].code)
            fail_msg("%s: %s", endings[i].why, r.err.text);
        if (endings[i].code == ERR_OK)
            assert_int_equal(r.info.bytes, 11);
        else /* it can be aborted */
            assert_int_equal(s3_rig_abort(&r), ERR_OK);
        s3_rig_close(&r);
    }
}

static void an_abort_of_what_is_gone_is_an_abort(void **state)
{
    static const struct s3_rig_answer answers[] = {
        CREATED, FAILED("404", "NoSuchUpload")};
    struct s3_rig r;

    open_rig(&r, answers, 2);
    assert_int_equal(s3_rig_create(&r, "k"), ERR_OK);
    assert_int_equal(s3_rig_abort(&r), ERR_OK);
    s3_rig_close(&r);
}

struct second {
    unsigned done;
    struct err err;
};

static void on_second(void *ctx, const struct err *err,
                      const struct s3_object_info *info)
{
    struct second *s = ctx;

    s->done++;
    s->err = *err;
}

static void an_abort_cancels_parts_and_leaves_none_behind(void **state)
{
    static const struct s3_rig_answer answers[] = {
        CREATED,
        {.forever = true}, /* the part under way */
        {.text = "HTTP/1.1 204 X\r\n\r\n"},
        {.text = OK,
         .body = "<ListPartsResult><IsTruncated>false"
                 "</IsTruncated></ListPartsResult>"},
        {.text = "HTTP/1.1 204 X\r\n\r\n"},
        FAILED("404", "NoSuchUpload")};
    struct slice body = {(const uint8_t *)"x", 1};
    struct second part = {0};
    struct s3_upload_part_opts o = {.number = 1,
                                    .body = &body,
                                    .slices = 1,
                                    .done = on_second,
                                    .ctx = &part};
    struct s3_upload_op *op;
    struct s3_rig r;

    open_rig(&r, answers, 6);
    assert_int_equal(s3_rig_create(&r, "k"), ERR_OK);
    assert_int_equal(s3_upload_part(r.upload, &o, &op, &r.err), ERR_OK);
    while (s3_rig_seen(&r) < 2)
        s3_rig_run_ms(&r, 5);
    assert_int_equal(s3_rig_abort(&r), ERR_OK);
    assert_int_equal(part.done, 1);
    assert_int_equal(part.err.code, ERR_CANCELLED);
    assert_true(s3_rig_asked(&r, 2, "DELETE "));
    assert_true(s3_rig_asked(
        &r, 3, "GET /bucket/k?max-parts=1&uploadId=u%2F1%3D HTTP/1.1"));
    assert_true(s3_rig_asked(&r, 4, "DELETE "));
    s3_rig_close(&r);
}

static void an_abort_that_is_cancelled_ends(void **state)
{
    static const struct s3_rig_answer answers[] = {CREATED, {.forever = true}};
    struct second end = {0};
    struct s3_upload_op *op;
    struct s3_rig r;

    open_rig(&r, answers, 2);
    assert_int_equal(s3_rig_create(&r, "k"), ERR_OK);
    assert_int_equal(s3_upload_abort(r.upload, on_second, &end, &op, &r.err),
                     ERR_OK);
    while (s3_rig_seen(&r) < 2)
        s3_rig_run_ms(&r, 5);
    s3_upload_cancel(op);
    while (!end.done)
        s3_rig_run_ms(&r, 5);
    assert_int_equal(end.err.code, ERR_CANCELLED);
    s3_rig_close(&r);
}

static void checksums_of_parts_come_back_with_complete(void **state)
{
    static const struct s3_rig_answer answers[] = {
        CREATED,
        {.text = OK "ETag: \"e1\"\r\nx-amz-checksum-sha256: c3Vt\r\n",
         .body = ""},
        COMPLETED};
    struct s3_client_opts o = s3_rig_opts();
    struct s3_rig r;

    o.checksums = true;
    s3_rig_open(&r, &o, answers, 3);
    assert_int_equal(s3_rig_create(&r, "k"), ERR_OK);
    assert_int_equal(s3_rig_part(&r, 1, "hello"), ERR_OK);
    assert_int_equal(s3_rig_complete(&r), ERR_OK);
    assert_string_equal(s3_rig_header(&r, 0, "x-amz-checksum-algorithm"),
                        "SHA256");
    assert_string_equal(s3_rig_header(&r, 1, "x-amz-checksum-sha256"),
                        "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=");
    assert_non_null(
        strstr(r.bodies[2], "<ChecksumSHA256>c3Vt</ChecksumSHA256>"));
    s3_rig_close(&r);
}

/* A list of uploads, and entries of it. */
#define UPLOADS(entries)                                               \
    {                                                                  \
        .text = OK, .body = "<ListMultipartUploadsResult>"             \
                            "<IsTruncated>false</IsTruncated>" entries \
                            "</ListMultipartUploadsResult>"            \
    }
#define UPLOAD(key, id)                                     \
    "<Upload><Key>" key "</Key><UploadId>" id "</UploadId>" \
    "<Initiated>2026-11-20T08:15:30Z</Initiated></Upload>"
#define GONE                             \
    {                                    \
        .text = "HTTP/1.1 204 X\r\n\r\n" \
    }

static void a_lost_create_leaves_no_upload(void **state)
{
    static const struct s3_rig_answer answers[] = {
        LOST, CREATED,
        UPLOADS(UPLOAD("k", "lost") UPLOAD("k", "u/1=") UPLOAD("kk", "other")),
        GONE, GONE};
    struct s3_rig r;

    open_rig(&r, answers, 5);
    assert_int_equal(s3_rig_create(&r, "k"), ERR_OK);
    assert_string_equal(s3_upload_id(r.upload), "u/1=");
    assert_non_null(strstr(r.heads[2], "prefix=k&"));
    assert_true(s3_rig_asked(&r, 3, "DELETE /bucket/k?uploadId=lost HTTP"));
    assert_int_equal(s3_rig_abort(&r), ERR_OK);
    s3_rig_close(&r);
}

static void strays_that_stay_are_no_reason_to_give_up(void **state)
{
    static const struct s3_rig_answer answers[] = {
        LOST, CREATED, FAILED("403", "AccessDenied"), GONE};
    struct s3_rig r;

    open_rig(&r, answers, 4);
    assert_int_equal(s3_rig_create(&r, "k"), ERR_OK);
    assert_string_equal(s3_upload_id(r.upload), "u/1=");
    assert_int_equal(s3_rig_abort(&r), ERR_OK);
    s3_rig_close(&r);
}

/* It shows more than are aborted at once, again and again. */
static void a_listing_that_stays_stale_is_not_asked_for_ever(void **state)
{
    static const struct s3_rig_answer lost = LOST, created = CREATED,
                                      gone = GONE;
    struct s3_rig_answer answers[2 + S3_STRAY_LOOKS * (1 + S3_STRAY_MAX) + 1];
    struct s3_rig_answer listing = UPLOADS("");
    struct s3_client_opts o = s3_rig_opts();
    const size_t count = BYTES_COUNT(answers);
    uint64_t strays = 0;
    struct s3_rig r;
    struct buf body;

    buf_init(&body, 64 * KIB);
    buf_add_text(&body, "<ListMultipartUploadsResult>"
                        "<IsTruncated>false</IsTruncated>");
    for (unsigned i = 0; i <= S3_STRAY_MAX; i++)
        buf_addf(&body, UPLOAD("k", "u%03u"), i);
    buf_add(&body, "</ListMultipartUploadsResult>", 30); /* with its NUL */
    assert_false(buf_failed(&body));
    listing.body = (const char *)body.data;
    answers[0] = lost;
    answers[1] = created;
    for (size_t i = 2; i < count; i++)
        answers[i] = (i - 2) % (1 + S3_STRAY_MAX) ? gone : listing;
    answers[count - 1] = gone; /* of the abort */
    o.counters.strays = &strays;
    s3_rig_open(&r, &o, answers, (unsigned)count);
    assert_int_equal(s3_rig_create(&r, "k"), ERR_OK);
    assert_string_equal(s3_upload_id(r.upload), "u/1=");
    assert_int_equal(strays, 1); /* so the journal keeps its row */
    assert_int_equal(s3_rig_abort(&r), ERR_OK);
    s3_rig_close(&r);
    buf_fini(&body);
}

static void a_create_that_is_cancelled_leaves_no_upload(void **state)
{
    static const struct s3_rig_answer answers[] = {
        {.text = OK, .body = CREATED_BODY, .delay_ms = 100},
        UPLOADS(UPLOAD("k", "u/1=")),
        GONE};
    struct s3_upload_opts o = {.key = "k", .created = s3_rig_on_created};
    struct s3_upload_op *op;
    struct s3_rig r;

    open_rig(&r, answers, 3);
    o.ctx = &r;
    assert_int_equal(s3_upload_create(r.client, &o, &op, &r.err), ERR_OK);
    while (s3_rig_seen(&r) < 1)
        s3_rig_run_ms(&r, 5);
    s3_upload_cancel(op);
    s3_rig_wait(&r, 1);
    assert_int_equal(r.err.code, ERR_CANCELLED);
    assert_null(r.upload);
    assert_true(s3_rig_asked(&r, 2, "DELETE /bucket/k?uploadId=u%2F1%3D "));
    s3_rig_close(&r);
}

static void all_uploads_of_a_key_can_be_aborted(void **state)
{
    static const struct s3_rig_answer answers[] = {
        UPLOADS(UPLOAD("k", "a") UPLOAD("k", "b")), GONE,
        FAILED("404", "NoSuchUpload")};
    struct s3_upload_op *op;
    struct s3_rig r;

    open_rig(&r, answers, 3);
    assert_int_equal(s3_upload_abort_by_id(r.client, "k", "", s3_rig_on_done,
                                           &r, &op, &r.err),
                     ERR_OK);
    s3_rig_wait(&r, 1);
    assert_int_equal(r.err.code, ERR_OK);
    assert_true(s3_rig_asked(&r, 1, "DELETE /bucket/k?uploadId=a HTTP"));
    assert_true(s3_rig_asked(&r, 2, "DELETE /bucket/k?uploadId=b HTTP"));
    s3_rig_close(&r);
}

static void a_failed_create_makes_no_upload(void **state)
{
    static const struct s3_rig_answer answers[] = {
        FAILED("403", "AccessDenied"),
        {.text = OK, .body = "<Other/>"},
        {.text = OK, .body = "<Other/>"},
        {.text = OK, .body = "<Other/>"},
        UPLOADS(""),
        FAILED("200", "AccessDenied"),
        UPLOADS("")};
    struct s3_rig r;

    open_rig(&r, answers, 7);
    assert_int_equal(s3_rig_create(&r, "k"), ERR_DENIED);
    assert_null(r.upload);
    assert_int_equal(s3_rig_create(&r, "k"), ERR_PROTOCOL);
    assert_null(r.upload);
    /* the code is one that its status says nothing about */
    assert_int_equal(s3_rig_create(&r, "k"), ERR_REMOTE);
    assert_null(r.upload);
    s3_rig_close(&r);
}

static bool on_part_seen(void *ctx, const struct s3_xml_part *p)
{
    struct s3_rig *r = ctx;

    return buf_addf(&r->bytes, "%u %ju\n", p->number, (uintmax_t)p->bytes);
}

static void parts_are_listed_page_by_page(void **state)
{
    static const struct s3_rig_answer answers[] = {
        {.text = OK,
         .body = "<ListPartsResult><IsTruncated>true</IsTruncated>"
                 "<NextPartNumberMarker>2</NextPartNumberMarker><Part>"
                 "<PartNumber>2</PartNumber><Size>5</Size><ETag>e</ETag></Part>"
                 "</ListPartsResult>"},
        {.text = OK,
         .body = "<ListPartsResult><IsTruncated>false</IsTruncated><Part>"
                 "<PartNumber>3</PartNumber><Size>6</Size><ETag>e</ETag></Part>"
                 "</ListPartsResult>"},
        {.text = OK,
         .body = "<ListPartsResult><IsTruncated>true</IsTruncated>"
                 "<NextPartNumberMarker>2</NextPartNumberMarker>"
                 "</ListPartsResult>"},
        {.text = OK,
         .body = "<ListPartsResult><IsTruncated>true</IsTruncated>"
                 "<NextPartNumberMarker>2</NextPartNumberMarker>"
                 "</ListPartsResult>"},
    };
    struct s3_parts_opts o = {
        .key = "k", .id = "u", .on_part = on_part_seen, .done = s3_rig_on_done};
    struct s3_parts *l;
    struct s3_rig r;

    open_rig(&r, answers, 4);
    o.ctx = &r;
    assert_int_equal(s3_parts_start(r.client, &o, &l, &r.err), ERR_OK);
    s3_rig_wait(&r, 1);
    assert_int_equal(r.err.code, ERR_OK);
    assert_string_equal(buf_text(&r.bytes), "2 5\n3 6\n");
    assert_true(s3_rig_asked(
        &r, 1, "GET /bucket/k?part-number-marker=2&uploadId=u HTTP/1.1"));
    assert_int_equal(s3_parts_start(r.client, &o, &l, &r.err), ERR_OK);
    s3_rig_wait(&r, 2);
    assert_int_equal(r.err.code, ERR_PROTOCOL); /* in circles */
    s3_rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_become_an_object),
        cmocka_unit_test(a_part_without_an_etag_or_missing_is_no_part),
        cmocka_unit_test(a_doubtful_complete_is_settled_by_a_look),
        cmocka_unit_test(an_abort_of_what_is_gone_is_an_abort),
        cmocka_unit_test(an_abort_cancels_parts_and_leaves_none_behind),
        cmocka_unit_test(an_abort_that_is_cancelled_ends),
        cmocka_unit_test(checksums_of_parts_come_back_with_complete),
        cmocka_unit_test(a_lost_create_leaves_no_upload),
        cmocka_unit_test(strays_that_stay_are_no_reason_to_give_up),
        cmocka_unit_test(a_listing_that_stays_stale_is_not_asked_for_ever),
        cmocka_unit_test(a_create_that_is_cancelled_leaves_no_upload),
        cmocka_unit_test(all_uploads_of_a_key_can_be_aborted),
        cmocka_unit_test(a_failed_create_makes_no_upload),
        cmocka_unit_test(parts_are_listed_page_by_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
