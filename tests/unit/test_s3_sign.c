/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "s3/s3_sign.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define WELCOME \
    "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
#define HEADERS_MAX 6

/*
 * The first four: "Authenticating Requests: Using the Authorization Header",
 * Amazon S3 API Reference, section "Examples". The others: AWS's Signature
 * Version 4 test suite, by their names.
 */
static const struct {
    const char *why, *key, *secret, *service, *when, *method, *path;
    struct s3_sign_param params[2];
    size_t param_count;
    struct http_header headers[HEADERS_MAX];
    size_t header_count;
    const char *payload, *signed_names, *signature;
} rows[] = {
    {"GET Object",
     "AKIAIOSFODNN7EXAMPLE",
     "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
     "s3",
     "20130524T000000Z",
     "GET",
     "test.txt",
     {{0}},
     0,
     {{"host", "examplebucket.s3.amazonaws.com"},
      {"x-amz-date", "20130524T000000Z"},
      {"x-amz-content-sha256", EMPTY},
      {"range", "bytes=0-9"}},
     4,
     EMPTY,
     "host;range;x-amz-content-sha256;x-amz-date",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"PUT Object",
     "AKIAIOSFODNN7EXAMPLE",
     "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
     "s3",
     "20130524T000000Z",
     "PUT",
     "test$file.text",
     {{0}},
     0,
     {{"host", "examplebucket.s3.amazonaws.com"},
      {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
      {"x-amz-date", "20130524T000000Z"},
      {"x-amz-content-sha256", WELCOME},
      {"date", "Fri, 24 May 2013 00:00:00 GMT"}},
     5,
     WELCOME,
     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"GET Bucket Lifecycle",
     "AKIAIOSFODNN7EXAMPLE",
     "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
     "s3",
     "20130524T000000Z",
     "GET",
     "",
     {{"lifecycle", NULL}},
     1,
     {{"host", "examplebucket.s3.amazonaws.com"},
      {"x-amz-date", "20130524T000000Z"},
      {"x-amz-content-sha256", EMPTY}},
     3,
     EMPTY,
     "host;x-amz-content-sha256;x-amz-date",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"GET Bucket (List Objects)",
     "AKIAIOSFODNN7EXAMPLE",
     "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
     "s3",
     "20130524T000000Z",
     "GET",
     "",
     {{"prefix", "J"}, {"max-keys", "2"}},
     2,
     {{"host", "examplebucket.s3.amazonaws.com"},
      {"x-amz-date", "20130524T000000Z"},
      {"x-amz-content-sha256", EMPTY}},
     3,
     EMPTY,
     "host;x-amz-content-sha256;x-amz-date",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    {"get-vanilla",
     "AKIDEXAMPLE",
     "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
     "service",
     "20150830T123600Z",
     "GET",
     "",
     {{0}},
     0,
     {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}},
     2,
     EMPTY,
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-vanilla-query-order-key-case",
     "AKIDEXAMPLE",
     "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
     "service",
     "20150830T123600Z",
     "GET",
     "",
     {{"Param2", "value2"}, {"Param1", "value1"}},
     2,
     {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}},
     2,
     EMPTY,
     "host;x-amz-date",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"post-vanilla",
     "AKIDEXAMPLE",
     "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
     "service",
     "20150830T123600Z",
     "POST",
     "",
     {{0}},
     0,
     {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}},
     2,
     EMPTY,
     "host;x-amz-date",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
};

static struct seal_suite *suite;

static int setup(void **state)
{
    struct err err;

    return seal_suite_new(&suite, &err) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    seal_suite_free(suite);
    return 0;
}

static void sign_row(size_t i, struct s3_signer *s, struct buf *out)
{
    struct s3_sign_request r = {.method = rows[i].method,
                                .headers = rows[i].headers,
                                .header_count = rows[i].header_count,
                                .payload = rows[i].payload};
    struct buf path, query;
    struct err err;

    buf_init(&path, 4096);
    buf_init(&query, 4096);
    assert_true(clock_parse_compact(rows[i].when, &r.wall_ms));
    buf_add_text(&path, "/");
    s3_sign_encode_path(&path, rows[i].path);
    s3_sign_query(&query, rows[i].params, rows[i].param_count);
    r.path = buf_text(&path);
    r.query = buf_text(&query);
    if (s3_sign(s, &r, out, &err) != ERR_OK)
        fail_msg("%s: %s", rows[i].why, err.text);
    buf_fini(&path);
    buf_fini(&query);
}

static void published_signatures_are_ours(void **state)
{
    char expect[512];

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct s3_signer *s;
        struct buf out;
        struct err err;

        buf_init(&out, 1024);
        assert_int_equal(s3_signer_new(suite, rows[i].key, rows[i].secret, NULL,
                                       "us-east-1", rows[i].service, &s, &err),
                         ERR_OK);
        for (int again = 0; again < 2; again++) { /* with the key cached too */
            buf_clear(&out);
            sign_row(i, s, &out);
            snprintf(expect, sizeof(expect),
                     "AWS4-HMAC-SHA256 Credential=%s/%.8s/us-east-1/%s/"
                     "aws4_request, SignedHeaders=%s, Signature=%s",
                     rows[i].key, rows[i].when, rows[i].service,
                     rows[i].signed_names, rows[i].signature);
            if (strcmp(buf_text(&out), expect) != 0)
                fail_msg("%s: %s", rows[i].why, buf_text(&out));
        }
        buf_fini(&out);
        s3_signer_free(s);
    }
}

static void a_new_day_has_a_new_key(void **state)
{
    struct http_header host = {"host", "h"};
    struct s3_sign_request r = {.method = "GET",
                                .path = "/",
                                .query = "",
                                .headers = &host,
                                .header_count = 1,
                                .payload = EMPTY};
    struct s3_signer *cached, *fresh;
    struct buf a, b;
    struct err err;

    buf_init(&a, 1024);
    buf_init(&b, 1024);
    s3_signer_new(suite, "K", "S", NULL, "r", "s3", &cached, &err);
    s3_signer_new(suite, "K", "S", NULL, "r", "s3", &fresh, &err);
    r.wall_ms = UINT64_C(1700000000000);
    assert_int_equal(s3_sign(cached, &r, &a, &err), ERR_OK);
    buf_clear(&a);
    r.wall_ms += 86400000;
    assert_int_equal(s3_sign(cached, &r, &a, &err), ERR_OK);
    assert_int_equal(s3_sign(fresh, &r, &b, &err), ERR_OK);
    assert_string_equal(buf_text(&a), buf_text(&b));
    s3_signer_free(cached);
    s3_signer_free(fresh);
    buf_fini(&a);
    buf_fini(&b);
}

/* S3 API Reference, "UriEncode()": every byte but the unreserved characters,
 * hex digits large; '/' stays in a key and nowhere else. */
static void encoding_is_that_of_the_reference(void **state)
{
    static const struct {
        const char *text, *path, *query;
    } cases[] = {
        {"AZaz09-._~", "AZaz09-._~", "AZaz09-._~"},
        {"a/b", "a/b", "a%2Fb"},
        {"a b+c=d&e", "a%20b%2Bc%3Dd%26e", "a%20b%2Bc%3Dd%26e"},
        {"\xc3\xa4:*'()", "%C3%A4%3A%2A%27%28%29", "%C3%A4%3A%2A%27%28%29"},
        {"%41", "%2541", "%2541"},
        {"", "", ""},
    };
    struct buf b;

    buf_init(&b, 4096);
    for (size_t i = 0; i < BYTES_COUNT(cases); i++) {
        buf_clear(&b);
        s3_sign_encode_path(&b, cases[i].text);
        assert_string_equal(buf_text(&b), cases[i].path);
        buf_clear(&b);
        s3_sign_encode(&b, cases[i].text);
        assert_string_equal(buf_text(&b), cases[i].query);
    }
    buf_fini(&b);
}

static void a_query_is_sorted_by_name_then_value(void **state)
{
    static const struct s3_sign_param params[] = {
        {"uploads", NULL}, {"b", "2"},   {"a", "z"}, {"a", "b"},
        {"a-b", "1"},      {"A", "x/y"}, {"a1", ""}, {"prefix", "p =&"}};
    struct buf b;

    buf_init(&b, 4096);
    s3_sign_query(&b, params, BYTES_COUNT(params));
    assert_string_equal(buf_text(&b), "A=x%2Fy&a=b&a=z&a-b=1&a1=&b=2&"
                                      "prefix=p%20%3D%26&uploads=");
    buf_clear(&b);
    s3_sign_query(&b, params, 0);
    assert_string_equal(buf_text(&b), "");
    buf_clear(&b);
    s3_sign_query(&b, params, 17);
    assert_true(buf_failed(&b));
    buf_fini(&b);
}

static void
header_values_are_trimmed_and_their_spaces_run_together(void **state)
{
    struct http_header headers[] = {{"x-amz-meta-a", "  a   b  c "},
                                    {"host", "h"}};
    struct s3_sign_request r = {.method = "GET",
                                .path = "/k",
                                .query = "",
                                .headers = headers,
                                .header_count = 2,
                                .payload = EMPTY};
    struct buf b;
    struct err err;

    buf_init(&b, 4096);
    assert_int_equal(s3_sign_canonical(&r, &b, &err), ERR_OK);
    assert_string_equal(buf_text(&b), "GET\n/k\n\nhost:h\nx-amz-meta-a:a b c\n"
                                      "\nhost;x-amz-meta-a\n" EMPTY);
    r.header_count = S3_SIGN_HEADERS_MAX + 1;
    assert_int_equal(s3_sign_canonical(&r, &b, &err), ERR_ARGUMENT);
    buf_fini(&b);
}

static void unusable_credentials_are_refused(void **state)
{
    struct s3_signer *s;
    struct err err;

    assert_int_equal(s3_signer_new(suite, "", "S", NULL, "r", "s3", &s, &err),
                     ERR_ARGUMENT);
    assert_int_equal(s3_signer_new(suite, "K", "", NULL, "r", "s3", &s, &err),
                     ERR_ARGUMENT);
    assert_int_equal(s3_signer_new(suite, "K", "S", NULL,
                                   "0123456789012345678901234567890123456789"
                                   "0123456789012345678901234567890123456789",
                                   "s3", &s, &err),
                     ERR_ARGUMENT);
    s3_signer_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_signatures_are_ours),
        cmocka_unit_test(a_new_day_has_a_new_key),
        cmocka_unit_test(encoding_is_that_of_the_reference),
        cmocka_unit_test(a_query_is_sorted_by_name_then_value),
        cmocka_unit_test(
            header_values_are_trimmed_and_their_spaces_run_together),
        cmocka_unit_test(unusable_credentials_are_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
