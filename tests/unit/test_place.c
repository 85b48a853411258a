/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/place.h"

/* Each row is one rule of allowed_locations. */
static const struct {
    const char *why, *allowed, *url, *endpoint;
    bool expect;
} rows[] = {
    {"nothing said allows all", "", "s3://b/p", "", true},
    {"what is named", "file:///srv/backup", "file:///srv/backup", "", true},
    {"what lies below", "file:///srv/backup", "file:///srv/backup/a", "", true},
    {"not what begins alike", "file:///srv/backup", "file:///srv/backup2", "",
     false},
    {"a star is a prefix", "s3://acme-*", "s3://acme-1/x", "", true},
    {"another bucket", "s3://acme-*", "s3://bobs/x", "", false},
    {"the second word counts too", "s3://a file:///srv", "file:///srv/x", "",
     true},
    {"no way out by dots", "file:///srv", "file:///srv/../etc", "", false},
    {"nor by the last two", "file:///srv/a", "file:///srv/a/..", "", false},
    {"nor by one", "file:///srv/a", "file:///srv/a/.", "", false},
    {"a name may begin with dots", "file:///srv", "file:///srv/..a/.b", "",
     true},
    {"an endpoint is demanded", "s3://a@https://s3.example.org", "s3://a/x",
     "https://s3.example.org", true},
    {"another endpoint is refused", "s3://a@https://s3.example.org",
     "s3://a/x", "https://evil.example.org", false},
    {"no endpoint is another one", "s3://a@https://s3.example.org", "s3://a/x",
     "", false},
};

static void only_allowed_locations_pass(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (place_allowed(rows[i].allowed, rows[i].url, rows[i].endpoint) !=
            rows[i].expect)
            fail_msg("%s", rows[i].why);
}

static void what_is_no_location_is_refused(void **state)
{
    static const struct {
        const char *url, *credentials, *says;
    } bad[] = {
        {"ftp://x", "", "file:/// or s3://"},
        {"file://relative/x", "", "absolute"},
        {"s3://bucket/x", "", "credentials"},
        {"s3:///x", "[default]\n", "s3://bucket/prefix"},
    };
    struct place *p = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct place_opts o = {
            .url = bad[i].url,
            .endpoint = "",
            .region = "",
            .ca_pem = "",
            .credentials = bad[i].credentials,
        };

        assert_int_equal(place_new(&o, &p, &err), ERR_ARGUMENT);
        if (!strstr(err.text, bad[i].says))
            fail_msg("%s: %s", bad[i].url, err.text);
    }
    assert_null(p);
}

/* From the probe to the catalog's text and back to a store. */
static void what_a_probe_found_comes_back(void **state)
{
    static const struct store_traits found[] = {
        {.if_absent = true, .versioned = true},
        {.lists_at_once = true, .lock_on_put = true, .lock_on_create = true,
         .lock_by_call = true},
        {0},
    };
    static const char *const texts[] = {
        "if-absent versioned",
        "lists-at-once lock-on-put lock-on-create lock-by-call", "none"};
    struct seal_suite *suite = NULL;
    struct http_client *client = NULL;
    struct loop *loop = NULL;
    struct err err;

    (void)state;
    assert_int_equal(http_client_setup(&err), ERR_OK);
    assert_int_equal(seal_suite_new(&suite, &err), ERR_OK);
    assert_int_equal(loop_new("t", NULL, &loop, &err), ERR_OK);
    assert_int_equal(http_client_new(loop, 1, &client, &err), ERR_OK);
    for (size_t i = 0; i < 3; i++) {
        char text[PLACE_TRAITS_TEXT];
        struct place_opts o = {
            .url = "s3://bucket/p", .endpoint = "http://127.0.0.1:1",
            .region = "", .ca_pem = "", .suite = suite, .traits = text,
            .credentials = "[default]\naws_access_key_id = a\n"
                           "aws_secret_access_key = b\n"};
        struct place *p = NULL;
        struct store *s = NULL;

        place_traits_print(&found[i], text);
        assert_string_equal(text, texts[i]);
        if (place_new(&o, &p, &err) != ERR_OK ||
            place_store(p, loop, client, &s, &err) != ERR_OK)
            fail_msg("%s", err.text);
        assert_memory_equal(&s->traits, &found[i], sizeof(found[i]));
        place_store_free(p, s);
        assert_int_equal(place_skew_ms(p), 0);
        place_unref(p);
    }
    http_client_free(client);
    loop_free(loop);
    seal_suite_free(suite);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_probe_found_comes_back),
        cmocka_unit_test(only_allowed_locations_pass),
        cmocka_unit_test(what_is_no_location_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
