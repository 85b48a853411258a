/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "s3/s3_client.h"
#include "s3/s3_error.h"
#include "store/store_s3.h"

static struct loop *loop;
static struct http_client *http;
static struct seal_suite *suite;
static struct http_trust *trust;
static const struct s3_credentials keys = {.access_key = "K", .secret = "S"};

static int setup(void **state)
{
    struct err err;

    return http_client_setup(&err) || loop_new("test", NULL, &loop, &err) ||
           http_client_new(loop, 4, &http, &err) ||
           seal_suite_new(&suite, &err) || http_trust_system(&trust, &err);
}

static int teardown(void **state)
{
    http_trust_drop(trust);
    seal_suite_free(suite);
    http_client_free(http);
    loop_free(loop);
    return 0;
}

static void a_place_is_taken_or_refused_with_its_reason(void **state)
{
    static const struct {
        const char *endpoint, *bucket, *region;
        enum s3_style style;
        const char *name; /* NULL: refused */
    } rows[] = {
        {"https://s3.example", "bucket", NULL, S3_STYLE_AUTO,
         "s3://bucket at s3.example"},
        {"https://S3.Example:443/", "bucket", NULL, S3_STYLE_AUTO,
         "s3://bucket at s3.example"},
        {"http://s3.example:80", "bucket", NULL, S3_STYLE_AUTO,
         "s3://bucket at s3.example"},
        {"http://s3.example:8080", "bucket", NULL, S3_STYLE_HOST,
         "s3://bucket at s3.example:8080"},
        {"http://[::1]:7480", "bucket", NULL, S3_STYLE_AUTO,
         "s3://bucket at [::1]:7480"},
        {"http://[fe80::1]", "t1:Old_Bucket.x", NULL, S3_STYLE_AUTO,
         "s3://t1:Old_Bucket.x at [fe80::1]"},
        {NULL, "bucket", "eu-central-1", S3_STYLE_AUTO,
         "s3://bucket at s3.eu-central-1.amazonaws.com"},
        {"s3.example", "bucket", NULL, S3_STYLE_AUTO, NULL},
        {"ftp://s3.example", "bucket", NULL, S3_STYLE_AUTO, NULL},
        {"http://", "bucket", NULL, S3_STYLE_AUTO, NULL},
        {"http://a@s3.example", "bucket", NULL, S3_STYLE_AUTO, NULL},
        {"http://s3.example/path", "bucket", NULL, S3_STYLE_AUTO, NULL},
        {"http://s3.example?x", "bucket", NULL, S3_STYLE_AUTO, NULL},
        {"http://s3.example:0", "bucket", NULL, S3_STYLE_AUTO, NULL},
        {"http://s3.example:65536", "bucket", NULL, S3_STYLE_AUTO, NULL},
        {"http://s3.example:", "bucket", NULL, S3_STYLE_AUTO, NULL},
        {"http://[::1", "bucket", NULL, S3_STYLE_AUTO, NULL},
        {"http://[x]", "bucket", NULL, S3_STYLE_AUTO, NULL},
        {"http://s3.example", "ab", NULL, S3_STYLE_AUTO, NULL},
        {"http://s3.example", "a/b", NULL, S3_STYLE_AUTO, NULL},
        {"http://s3.example", "../x", NULL, S3_STYLE_AUTO, NULL},
        {"http://s3.example", "Bucket", NULL, S3_STYLE_HOST, NULL},
        {"http://s3.example", "bucket", "no region", S3_STYLE_AUTO, NULL},
        {"http://s3.example", "bucket", "", S3_STYLE_AUTO, NULL},
    };

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct s3_client_opts o = {.suite = suite,
                                   .endpoint = rows[i].endpoint,
                                   .bucket = rows[i].bucket,
                                   .region = rows[i].region,
                                   .style = rows[i].style,
                                   .credentials = &keys,
                                   .trust = trust};
        struct s3_client *c = NULL;
        struct err err = {.code = ERR_OK};
        enum err_code rc = s3_client_new(loop, http, &o, &c, &err);

        if ((rc == ERR_OK) != (rows[i].name != NULL) ||
            (rc != ERR_OK && (rc != ERR_ARGUMENT || !err.text[0])))
            fail_msg("%s %s: %s", rows[i].endpoint, rows[i].bucket, err.text);
        if (c)
            assert_string_equal(s3_client_name(c), rows[i].name);
        s3_client_free(c);
    }
}

static void https_needs_trust_and_http_a_signed_payload(void **state)
{
    struct s3_client_opts o = {
        .suite = suite, .bucket = "bucket", .credentials = &keys};
    struct s3_client *c;
    struct err err;

    o.endpoint = "https://s3.example";
    assert_int_equal(s3_client_new(loop, http, &o, &c, &err), ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "whom to trust"));
    o.endpoint = "http://s3.example";
    o.unsigned_payload = true;
    assert_int_equal(s3_client_new(loop, http, &o, &c, &err), ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "must be signed"));
}

static void a_vault_url_is_a_bucket_and_a_prefix(void **state)
{
    static const struct {
        const char *url, *bucket, *prefix; /* bucket NULL: refused */
    } rows[] = {
        {"s3://bucket", "bucket", ""},
        {"s3://bucket/", "bucket", ""},
        {"s3://bucket/a", "bucket", "a"},
        {"s3://bucket/a/b/", "bucket", "a/b"},
        {"s3://t1:bucket/\xc3\xa4 x", "t1:bucket", "\xc3\xa4 x"},
        {"s3://", NULL, NULL},
        {"s3://b", NULL, NULL},
        {"s3://bucket//", NULL, NULL},
        {"s3://bucket//a", NULL, NULL},
        {"s3://bucket/a//b", NULL, NULL},
        {"s3://bucket/a\nb", NULL, NULL},
        {"http://bucket/a", NULL, NULL},
    };
    char bucket[256], prefix[801];

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        bool ok = store_s3_parse_url(rows[i].url, bucket, prefix);

        if (ok != (rows[i].bucket != NULL) ||
            (ok && (strcmp(bucket, rows[i].bucket) != 0 ||
                    strcmp(prefix, rows[i].prefix) != 0)))
            fail_msg("%s: %s, %s", rows[i].url, bucket, prefix);
    }
}

static void a_store_with_a_bad_prefix_is_refused(void **state)
{
    static const char *const prefixes[] = {"/a", "a/", "a//b", "a\tb"};
    struct store_s3_opts o = {.client = {.suite = suite,
                                         .endpoint = "http://s3.example",
                                         .bucket = "bucket",
                                         .credentials = &keys}};
    struct store *s;
    struct err err;

    for (size_t i = 0; i < BYTES_COUNT(prefixes); i++) {
        o.prefix = prefixes[i];
        assert_int_equal(store_s3_new(loop, http, &o, &s, &err), ERR_ARGUMENT);
    }
    o.prefix = "a/b";
    assert_int_equal(store_s3_new(loop, http, &o, &s, &err), ERR_OK);
    assert_string_equal(s->location, "s3://bucket/a/b at s3.example");
    assert_false(s->traits.if_absent);
    store_free(s);
}

/* ---- credentials ---- */

static void credentials_have_the_form_of_awss_files(void **state)
{
    static const struct {
        const char *why, *text, *profile;
        const char *key, *secret, *token; /* key NULL: refused */
    } rows[] = {
        {"as AWS writes it",
         "[default]\naws_access_key_id = AK\naws_secret_access_key = s/+=\n",
         NULL, "AK", "s/+=", ""},
        {"without spaces, with a token, CRLF, no last newline",
         "[default]\r\naws_access_key_id=AK\r\naws_secret_access_key=S\r\n"
         "aws_session_token=T==",
         NULL, "AK", "S", "T=="},
        {"comments, other keys, other profiles",
         "# x\n[other]\naws_access_key_id = NO\n\n[default]\n; y\n"
         "region = eu\naws_access_key_id = AK\naws_secret_access_key = S\n"
         "[third]\naws_secret_access_key = NO\n",
         NULL, "AK", "S", ""},
        {"a named profile",
         "[default]\naws_access_key_id = NO\n[profile team a]\n"
         "aws_access_key_id = AK\naws_secret_access_key = S\n",
         "team a", "AK", "S", ""},
        {"no such profile", "[default]\naws_access_key_id = AK\n", "x", NULL,
         NULL, NULL},
        {"no secret", "[default]\naws_access_key_id = AK\n", NULL, NULL, NULL,
         NULL},
        {"twice",
         "[default]\naws_access_key_id = A\naws_access_key_id = B\n"
         "aws_secret_access_key = S\n",
         NULL, NULL, NULL, NULL},
        {"empty", "[default]\naws_access_key_id =\naws_secret_access_key = S\n",
         NULL, NULL, NULL, NULL},
        {"two words",
         "[default]\naws_access_key_id = A B\naws_secret_access_key = S\n",
         NULL, NULL, NULL, NULL},
        {"no equals sign", "[default]\naws_access_key_id AK\n", NULL, NULL,
         NULL, NULL},
        {"not a profile line", "[default\naws_access_key_id = AK\n", NULL, NULL,
         NULL, NULL},
        {"nothing", "", NULL, NULL, NULL, NULL},
    };

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct s3_credentials c;
        struct err err = {.code = ERR_OK};
        enum err_code rc = s3_credentials_parse(
            rows[i].text, strlen(rows[i].text), rows[i].profile, &c, &err);

        if ((rc == ERR_OK) != (rows[i].key != NULL))
            fail_msg("%s: %s", rows[i].why, err.text);
        if (rc == ERR_OK && (strcmp(c.access_key, rows[i].key) != 0 ||
                             strcmp(c.secret, rows[i].secret) != 0 ||
                             strcmp(c.token, rows[i].token) != 0))
            fail_msg("%s: %s %s %s", rows[i].why, c.access_key, c.secret,
                     c.token);
        if (rc != ERR_OK)
            assert_int_equal(rc, ERR_ARGUMENT);
    }
}

static void a_refusal_of_credentials_shows_no_value(void **state)
{
    static const char text[] = "[default]\naws_access_key_id = AK\n"
                               "aws_secret_access_key = top secret\n";
    struct s3_credentials c;
    struct err err;

    assert_int_equal(
        s3_credentials_parse(text, sizeof(text) - 1, NULL, &c, &err),
        ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "line 3"));
    assert_null(strstr(err.text, "top"));
    assert_null(strstr(err.text, "AK"));
}

static void credentials_are_read_from_a_file(void **state)
{
    static const char text[] = "[default]\naws_access_key_id = AK\n"
                               "aws_secret_access_key = S\n";
    char path[] = "/tmp/cairn-cred-XXXXXX";
    struct s3_credentials c;
    char zeros[70000] = {0};
    struct err err;
    int fd = mkstemp(path);

    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    assert_int_equal(s3_credentials_load(path, NULL, &c, &err), ERR_OK);
    assert_string_equal(c.access_key, "AK");
    assert_int_equal(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
    assert_int_equal(s3_credentials_load(path, NULL, &c, &err), ERR_ARGUMENT);
    close(fd);
    unlink(path);
    assert_int_equal(s3_credentials_load(path, NULL, &c, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, path));
}

/* ---- errors ---- */

static void a_failed_transfer_is_tried_again_if_that_may_help(void **state)
{
    static const struct {
        const char *why;
        enum err_code code;
        int detail; /* libcurl's numbers */
        bool ever;
        enum s3_error_retry retry;
    } rows[] = {
        {"no connection", ERR_UNREACHABLE, 7, false, S3_RETRY_LATER},
        {"no such host", ERR_UNREACHABLE, 6, false, S3_RETRY_LATER},
        {"certificate not trusted", ERR_UNREACHABLE, 60, true, S3_RETRY_NO},
        {"handshake failed, at first", ERR_UNREACHABLE, 35, false, S3_RETRY_NO},
        {"handshake failed, later", ERR_UNREACHABLE, 35, true, S3_RETRY_LATER},
        {"broken", ERR_IO, 56, true, S3_RETRY_LATER},
        {"timed out", ERR_TIMEOUT, 28, true, S3_RETRY_LATER},
        {"out of memory", ERR_NOMEM, 27, true, S3_RETRY_NO},
        {"cancelled", ERR_CANCELLED, 0, true, S3_RETRY_NO},
        {"our mistake", ERR_ARGUMENT, 3, true, S3_RETRY_NO},
    };

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct err e = {.code = rows[i].code, .detail = rows[i].detail};
        struct s3_error_verdict v = s3_error_judge_transfer(&e, rows[i].ever);

        if (v.retry != rows[i].retry || v.code != rows[i].code)
            fail_msg("%s", rows[i].why);
    }
}

static void a_sentence_has_status_code_message_and_request(void **state)
{
    struct s3_xml_error e = {
        .code = "SlowDown", .message = "Please wait.", .request_id = "R1"};
    struct s3_xml_error none = {.code = ""};
    struct err err;

    s3_error_set(&err, ERR_AGAIN, 503, &e);
    assert_string_equal(err.text, "503 SlowDown: Please wait. (request R1)");
    assert_int_equal(err.detail, 503);
    s3_error_set(&err, ERR_DENIED, 403, &none);
    assert_string_equal(err.text, "403");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_is_taken_or_refused_with_its_reason),
        cmocka_unit_test(https_needs_trust_and_http_a_signed_payload),
        cmocka_unit_test(a_vault_url_is_a_bucket_and_a_prefix),
        cmocka_unit_test(a_store_with_a_bad_prefix_is_refused),
        cmocka_unit_test(credentials_have_the_form_of_awss_files),
        cmocka_unit_test(a_refusal_of_credentials_shows_no_value),
        cmocka_unit_test(credentials_are_read_from_a_file),
        cmocka_unit_test(a_failed_transfer_is_tried_again_if_that_may_help),
        cmocka_unit_test(a_sentence_has_status_code_message_and_request),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
