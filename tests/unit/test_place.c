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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_allowed_locations_pass),
        cmocka_unit_test(what_is_no_location_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
