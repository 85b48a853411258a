/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/bytes.h"
#include "base/xml.h"
#include "s3/s3_xml.h"

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define NS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

struct seen {
    char text[4096];
    unsigned count, stop_at;
};

static bool on_object(void *ctx, const struct s3_xml_object *o)
{
    struct seen *s = ctx;
    size_t len = strlen(s->text);

    snprintf(s->text + len, sizeof(s->text) - len, "%s %ju %ju\n", o->key,
             (uintmax_t)o->bytes, (uintmax_t)o->modified_ms);
    return ++s->count != s->stop_at;
}

static bool on_upload(void *ctx, const struct s3_xml_upload *u)
{
    struct seen *s = ctx;
    size_t len = strlen(s->text);

    snprintf(s->text + len, sizeof(s->text) - len, "%s %s %ju\n", u->key, u->id,
             (uintmax_t)u->begun_ms);
    return ++s->count != s->stop_at;
}

static bool on_part(void *ctx, const struct s3_xml_part *p)
{
    struct seen *s = ctx;
    size_t len = strlen(s->text);

    snprintf(s->text + len, sizeof(s->text) - len, "%u %ju %s\n", p->number,
             (uintmax_t)p->bytes, p->etag);
    return ++s->count != s->stop_at;
}

static void a_page_is_read_with_its_keys_decoded(void **state)
{
    /* as Ceph 16 writes it: encoded keys, slashes too, fractions of seconds */
    static const char page[] =
        HEAD "<ListBucketResult" NS "><Name>b</Name><Prefix>v%2F</Prefix>"
             "<MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>"
             "<NextContinuationToken>v/points/b &amp; c</NextContinuationToken>"
             "<EncodingType>url</EncodingType><KeyCount>2</KeyCount>"
             "<Contents><Key>v%2Fpoints%2Fa</Key>"
             "<LastModified>2026-11-20T08:15:30.123Z</LastModified>"
             "<ETag>&quot;abc&quot;</ETag><Size>5368709120</Size>"
             "<StorageClass>STANDARD</StorageClass><Owner><ID>x</ID></Owner>"
             "</Contents><Contents><Key>v%2Fpoints%2Fb+%26%20c</Key>"
             "<LastModified>2026-11-20T08:15:31Z</LastModified>"
             "<Size>0</Size></Contents></ListBucketResult>";
    struct seen s = {.text = ""};
    char next[S3_XML_ID_MAX];
    struct err err;

    assert_int_equal(
        s3_xml_list(page, sizeof(page) - 1, on_object, &s, next, &err), ERR_OK);
    assert_string_equal(s.text, "v/points/a 5368709120 1795162530123\n"
                                "v/points/b & c 0 1795162531000\n");
    assert_string_equal(next, "v/points/b & c");
    s = (struct seen){.stop_at = 1};
    assert_int_equal(
        s3_xml_list(page, sizeof(page) - 1, on_object, &s, next, &err),
        ERR_CANCELLED);
    assert_int_equal(s.count, 1);
}

static void a_page_that_lacks_something_is_refused(void **state)
{
    static const struct {
        const char *why, *page;
    } rows[] = {
        {"nothing", ""},
        {"not XML", "<html><body>502 Bad Gateway"},
        {"another document", "<Error><Code>X</Code></Error>"},
        {"no IsTruncated", "<ListBucketResult></ListBucketResult>"},
        {"no token to go on with", "<ListBucketResult><IsTruncated>true"
                                   "</IsTruncated></ListBucketResult>"},
        {"an empty token", "<ListBucketResult><IsTruncated>true</IsTruncated>"
                           "<NextContinuationToken/></ListBucketResult>"},
        {"no size", "<ListBucketResult><IsTruncated>false</IsTruncated>"
                    "<Contents><Key>a</Key><LastModified>2026-11-20T08:15:30Z"
                    "</LastModified></Contents></ListBucketResult>"},
        {"a size below zero",
         "<ListBucketResult><IsTruncated>false</IsTruncated>"
         "<Contents><Key>a</Key><LastModified>2026-11-20T08:15:30Z"
         "</LastModified><Size>-1</Size></Contents></ListBucketResult>"},
        {"no time", "<ListBucketResult><IsTruncated>false</IsTruncated>"
                    "<Contents><Key>a</Key><Size>1</Size></Contents>"
                    "</ListBucketResult>"},
        {"a broken escape",
         "<ListBucketResult><IsTruncated>false</IsTruncated>"
         "<EncodingType>url</EncodingType>"
         "<Contents><Key>a%2</Key><LastModified>2026-11-20T08:15:30Z"
         "</LastModified><Size>1</Size></Contents></ListBucketResult>"},
        {"a NUL in a key",
         "<ListBucketResult><IsTruncated>false</IsTruncated>"
         "<EncodingType>url</EncodingType>"
         "<Contents><Key>a%00b</Key><LastModified>2026-11-20T08:15:30Z"
         "</LastModified><Size>1</Size></Contents></ListBucketResult>"},
        {"cut off", "<ListBucketResult><IsTruncated>false</IsTruncated>"},
    };
    char next[S3_XML_ID_MAX];
    struct err err;

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct seen s = {.text = ""};

        if (s3_xml_list(rows[i].page, strlen(rows[i].page), on_object, &s, next,
                        &err) != ERR_PROTOCOL ||
            s.count)
            fail_msg("%s: %s", rows[i].why, err.text);
    }
}

static void uploads_and_parts_are_read(void **state)
{
    static const char uploads[] =
        HEAD "<ListMultipartUploadsResult" NS "><Bucket>b</Bucket>"
             "<NextKeyMarker>k</NextKeyMarker>"
             "<NextUploadIdMarker>2~id</NextUploadIdMarker>"
             "<IsTruncated>true</IsTruncated><Upload><Key>v/p</Key>"
             "<UploadId>2~abc</UploadId><Initiated>2026-11-20T08:15:30.5Z"
             "</Initiated></Upload></ListMultipartUploadsResult>";
    static const char parts[] =
        HEAD "<ListPartsResult" NS "><IsTruncated>false</IsTruncated>"
             "<Part><PartNumber>1</PartNumber><Size>16777216</Size>"
             "<ETag>&quot;e1&quot;</ETag></Part>"
             "<Part><PartNumber>10000</PartNumber><Size>7</Size>"
             "<ETag>&quot;e2&quot;</ETag></Part></ListPartsResult>";
    static const char part_zero[] =
        "<ListPartsResult><IsTruncated>false</IsTruncated><Part>"
        "<PartNumber>0</PartNumber><Size>7</Size><ETag>e</ETag></Part>"
        "</ListPartsResult>";
    char key[S3_XML_KEY_MAX], id[S3_XML_ID_MAX];
    struct seen s = {.text = ""}, p = {.text = ""};
    unsigned next = 9;
    struct err err;

    assert_int_equal(s3_xml_list_uploads(uploads, sizeof(uploads) - 1,
                                         on_upload, &s, key, id, &err),
                     ERR_OK);
    assert_string_equal(s.text, "v/p 2~abc 1795162530500\n");
    assert_string_equal(key, "k");
    assert_string_equal(id, "2~id");
    assert_int_equal(
        s3_xml_list_parts(parts, sizeof(parts) - 1, on_part, &p, &next, &err),
        ERR_OK);
    assert_string_equal(p.text, "1 16777216 \"e1\"\n10000 7 \"e2\"\n");
    assert_int_equal(next, 0);
    assert_int_equal(s3_xml_list_parts(part_zero, sizeof(part_zero) - 1,
                                       on_part, &p, &next, &err),
                     ERR_PROTOCOL);
}

static void an_error_is_told_from_an_answer(void **state)
{
    static const char error[] =
        "  \r\n \n" HEAD "<Error><Code>SlowDown</Code><Message>Please reduce "
        "your request rate.</Message><RequestId>tx1</RequestId>"
        "<Region>eu-central-1</Region></Error>";
    static const char good[] = " \n \n" HEAD "<CompleteMultipartUploadResult" NS
                               "><ETag></ETag></CompleteMultipartUploadResult>";
    struct s3_xml_error e;
    struct err err;
    char longer[600];

    assert_true(s3_xml_error(error, sizeof(error) - 1, &e));
    assert_string_equal(e.code, "SlowDown");
    assert_string_equal(e.message, "Please reduce your request rate.");
    assert_string_equal(e.request_id, "tx1");
    assert_string_equal(e.region, "eu-central-1");
    assert_false(s3_xml_error(good, sizeof(good) - 1, &e));
    assert_string_equal(e.code, "");
    assert_int_equal(s3_xml_completed(good, sizeof(good) - 1, &err), ERR_OK);
    assert_int_equal(s3_xml_completed(error, sizeof(error) - 1, &err),
                     ERR_PROTOCOL);
    snprintf(longer, sizeof(longer), "<Error><Code>%0400d</Code></Error>", 1);
    assert_true(s3_xml_error(longer, strlen(longer), &e));
    assert_int_equal(strlen(e.code), sizeof(e.code) - 1);
}

static void an_upload_id_is_taken_whole_or_not_at_all(void **state)
{
    char longer[S3_XML_ID_MAX + 200], id[S3_XML_ID_MAX];
    struct err err;

    snprintf(longer, sizeof(longer),
             "<InitiateMultipartUploadResult><UploadId>%0*d</UploadId>"
             "</InitiateMultipartUploadResult>",
             S3_XML_ID_MAX - 1, 1);
    assert_int_equal(s3_xml_created(longer, strlen(longer), id, &err), ERR_OK);
    assert_int_equal(strlen(id), S3_XML_ID_MAX - 1);
    snprintf(longer, sizeof(longer),
             "<InitiateMultipartUploadResult><UploadId>%0*d</UploadId>"
             "</InitiateMultipartUploadResult>",
             S3_XML_ID_MAX, 1);
    assert_int_equal(s3_xml_created(longer, strlen(longer), id, &err),
                     ERR_PROTOCOL);
    assert_int_equal(
        s3_xml_created("<InitiateMultipartUploadResult/>", 32, id, &err),
        ERR_PROTOCOL);
}

static void bodies_are_written_as_s3_reads_them(void **state)
{
    static const struct s3_xml_part parts[] = {
        {1, 0, "\"e<1\"", ""},
        {2, 0, "\"e2\"", "c2hh"},
    };
    static const char *const keys[] = {"a&b", "c"};
    struct buf b;

    buf_init(&b, 4096);
    s3_xml_write_complete(&b, parts, 2);
    assert_string_equal(
        buf_text(&b),
        "<CompleteMultipartUpload" NS "><Part><PartNumber>1</PartNumber>"
        "<ETag>&quot;e&lt;1&quot;</ETag></Part><Part><PartNumber>2"
        "</PartNumber><ETag>&quot;e2&quot;</ETag><ChecksumSHA256>c2hh"
        "</ChecksumSHA256></Part></CompleteMultipartUpload>");
    buf_clear(&b);
    s3_xml_write_delete(&b, keys, 2);
    assert_string_equal(buf_text(&b),
                        "<Delete" NS "><Quiet>true</Quiet><Object><Key>a&amp;b"
                        "</Key></Object><Object><Key>c</Key></Object>"
                        "</Delete>");
    buf_clear(&b);
    s3_xml_write_retention(&b, "COMPLIANCE", UINT64_C(1795162530000));
    assert_string_equal(buf_text(&b), "<Retention" NS "><Mode>COMPLIANCE</Mode>"
                                      "<RetainUntilDate>2026-11-20T08:15:30Z"
                                      "</RetainUntilDate></Retention>");
    buf_fini(&b);
}

static void times_have_fractions_or_none(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms; /* 0: refused */
    } rows[] = {
        {"2026-11-20T08:15:30Z", UINT64_C(1795162530000)},
        {"2026-11-20T08:15:30.1Z", UINT64_C(1795162530100)},
        {"2026-11-20T08:15:30.123456789Z", UINT64_C(1795162530123)},
        {"2026-11-20T08:15:30.Z", 0},
        {"2026-11-20T08:15:30.123", 0},
        {"2026-11-20T08:15:30.1234567890Z", 0},
        {"2026-11-20 08:15:30.1Z", 0},
        {"", 0},
    };

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        uint64_t ms = 0;

        if (s3_xml_time(rows[i].text, &ms) != (rows[i].ms != 0) ||
            ms != rows[i].ms)
            fail_msg("\"%s\": %ju", rows[i].text, (uintmax_t)ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_read_with_its_keys_decoded),
        cmocka_unit_test(a_page_that_lacks_something_is_refused),
        cmocka_unit_test(uploads_and_parts_are_read),
        cmocka_unit_test(an_error_is_told_from_an_answer),
        cmocka_unit_test(an_upload_id_is_taken_whole_or_not_at_all),
        cmocka_unit_test(bodies_are_written_as_s3_reads_them),
        cmocka_unit_test(times_have_fractions_or_none),
    };

    xml_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
