/* SPDX-License-Identifier: Apache-2.0 */
/* The control API: pools, vaults and their keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/api_rig.h"

#define PROBE                                                                  \
    "{\"hosts\":[{\"address\":\"h1\",\"uuid\":\"u1\",\"name\":\"n1\","         \
    "\"sha256\":"                                                              \
    "\"00000000000000000000000000000000000000000000000000000000000000aa\","    \
    "\"trusted\":true,\"coordinator\":true,\"error\":null},"                   \
    "{\"address\":\"h2\",\"uuid\":\"u2\",\"name\":\"n2\",\"sha256\":"          \
    "\"00000000000000000000000000000000000000000000000000000000000000bb\","    \
    "\"trusted\":false,\"coordinator\":false,\"error\":null}],"                \
    "\"pool\":{\"uuid\":\"pu\",\"name\":\"x\",\"version\":\"8.3\"}}"
#define PIN_AA                                                                 \
    "00000000000000000000000000000000000000000000000000000000000000aa"
#define PIN_BB                                                                 \
    "00000000000000000000000000000000000000000000000000000000000000bb"

static void a_pool_is_looked_at_before_it_is_trusted(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    r->doc = PROBE;
    assert_int_equal(api_rig_ask(r, "POST", "/pool-probes", NULL,
                                 "{\"hosts\":[\"h1\"]}"),
                     200);
    assert_string_equal(r->params, "1 hosts, user , 0 pins");
    assert_string_equal(api_rig_text(r, "hosts.0.sha256"), PIN_AA);
    /* No password leaves without trust. */
    assert_int_equal(api_rig_ask(r, "POST", "/pools", NULL,
                                 "{\"name\":\"p\",\"hosts\":[\"h1\"],"
                                 "\"user\":\"u\",\"password\":\"s\"}"),
                     400);
    assert_string_equal(r->asked, "");
    assert_int_equal(api_rig_ask(r, "POST", "/pools", NULL,
                                 "{\"name\":\"p\",\"hosts\":[\"h1\"],"
                                 "\"user\":\"u\",\"password\":\"s\","
                                 "\"fingerprints\":[\"zz\"]}"),
                     400);
    assert_int_equal(api_rig_ask(r, "POST", "/pools", NULL,
                                 "{\"name\":\"p\",\"hosts\":[\"h1\"],"
                                 "\"user\":\"u\",\"password\":\"s\","
                                 "\"fingerprints\":[\"" PIN_AA "\"],"
                                 "\"host_addresses\":{\"u2\":\"1.2.3.4\"}}"),
                     201);
    assert_string_equal(r->asked, "pool_probe;pool_changed;");
    assert_string_equal(r->params, "1 hosts, user u, 1 pins");
    assert_string_equal(api_rig_text(r, "uuid"), "pu");
    assert_string_equal(api_rig_text(r, "hosts.0.fingerprint"), PIN_AA);
    assert_true(json_bool(api_rig_at(r, "hosts.0.entry"), false));
    assert_true(json_bool(api_rig_at(r, "hosts.0.trusted"), false));
    assert_string_equal(api_rig_text(r, "hosts.1.fingerprint"), "(null)");
    assert_string_equal(api_rig_text(r, "hosts.1.seen_fingerprint"), PIN_BB);
    assert_string_equal(api_rig_text(r, "hosts.1.dial"), "1.2.3.4");
    assert_false(json_bool(api_rig_at(r, "hosts.1.trusted"), true));
    /* The same pool under another name. */
    assert_int_equal(api_rig_ask(r, "POST", "/pools", NULL,
                                 "{\"name\":\"q\",\"hosts\":[\"h1\"],"
                                 "\"user\":\"u\",\"password\":\"s\","
                                 "\"fingerprints\":[\"" PIN_AA "\"]}"),
                     409);
    assert_int_equal(api_rig_ask(r, "POST", "/pools/p/accept", NULL,
                                 "{\"fingerprints\":{\"h2\":\"" PIN_BB
                                 "\"}}"),
                     200);
    assert_true(json_bool(api_rig_at(r, "hosts.1.trusted"), false));
    assert_int_equal(api_rig_ask(r, "POST", "/pools/p/accept", NULL,
                                 "{\"fingerprints\":{\"h1\":\"" PIN_BB
                                 "\",\"h9\":\"" PIN_BB "\"}}"),
                     404);
    assert_int_equal(api_rig_ask(r, "GET", "/pools/p", NULL, NULL), 200);
    assert_string_equal(api_rig_text(r, "hosts.0.fingerprint"), PIN_AA);
}

static void a_pool_is_paused_tested_and_removed(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    r->doc = "{\"ok\":true,\"checks\":[]}";
    assert_int_equal(api_rig_ask(r, "PATCH", "/pools/east", NULL,
                                 "{\"paused\":true}"),
                     200);
    assert_string_equal(r->asked, "pool_changed;");
    assert_true(json_bool(api_rig_at(r, "paused"), false));
    assert_int_equal(api_rig_ask(r, "PATCH", "/pools/east", NULL, "{}"), 400);
    assert_int_equal(api_rig_ask(r, "POST", "/pools/east/test", NULL, NULL),
                     200);
    assert_int_equal(r->asked_id, w->pool);
    assert_int_equal(api_rig_ask(r, "POST", "/pools/east/probe", NULL, NULL),
                     200);
    assert_int_equal(r->asked_id, w->pool);
    err_set(&r->err, ERR_UNREACHABLE, 0, "connection refused");
    assert_int_equal(api_rig_ask(r, "POST", "/pools/east/test", NULL, NULL),
                     502);
    assert_int_equal(api_rig_int(r, "exit"), 12);
    err_clear(&r->err);
    assert_int_equal(api_rig_ask(r, "DELETE", "/pools/east", NULL, NULL),
                     204);
    assert_string_equal(r->asked, "pool_changed;");
    assert_int_equal(api_rig_ask(r, "GET", "/pools/east", NULL, NULL), 404);
    assert_int_equal(api_rig_int(r, "exit"), 4);
}

static void a_vault_is_created_and_its_recovery_key_told_once(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    r->doc = "{\"vault_id\":\"" RIG_VAULT_ID "\",\"recovery_key_file\":"
             "\"cairn key 1\\n\"}";
    assert_int_equal(api_rig_ask(r, "POST", "/vaults", NULL,
                                 "{\"name\":\"deep\",\"tenant\":\"acme\","
                                 "\"url\":\"s3://b/p\",\"endpoint\":\"e\","
                                 "\"credentials\":\"k\"}"),
                     201);
    assert_string_equal(r->asked, "vault_create;");
    assert_string_equal(api_rig_text(r, "recovery_key_file"),
                        "cairn key 1\n");
    assert_string_equal(api_rig_text(r, "vault.name"), "deep");
    assert_string_equal(api_rig_text(r, "vault.recovery_proved"), "(null)");
    assert_int_equal(api_rig_ask(r, "GET", "/vaults/deep", w->acme_token,
                                 NULL),
                     200);
    assert_string_equal(api_rig_text(r, "lock"), "none");
    assert_string_equal(api_rig_text(r, "credentials"), "(absent)");
    /* The client proves that what it wrote down opens the vault. */
    assert_ok(&r->f, catalog_vault_set_state(r->f.c, r->asked_id,
                                             CATALOG_VAULT_READY,
                                             RIG_VAULT_ID, "", &r->f.err));
    r->doc = "{\"opens\":true,\"keys\":3}";
    assert_int_equal(api_rig_ask(r, "POST", "/vaults/deep/keys/test", NULL,
                                 "{\"key_file\":\"cairn key 1\\n\"}"),
                     200);
    assert_string_equal(r->params, "cairn key 1\n");
    assert_int_equal(api_rig_ask(r, "GET", "/vaults/deep", NULL, NULL), 200);
    assert_string_equal(api_rig_text(r, "recovery_proved"),
                        "2026-11-20T08:15:30Z");
}

static void a_vault_that_fails_leaves_no_row(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    err_set(&r->err, ERR_UNREACHABLE, 0, "store: connection refused");
    assert_int_equal(api_rig_ask(r, "POST", "/vaults", NULL,
                                 "{\"name\":\"deep\",\"tenant\":\"acme\","
                                 "\"url\":\"s3://b/p\"}"),
                     502);
    assert_int_equal(api_rig_int(r, "exit"), 13);
    assert_string_equal(api_rig_text(r, "detail"),
                        "store: connection refused");
    err_set(&r->err, ERR_NOT_FOUND, 0, "no vault at s3://b/p");
    assert_int_equal(api_rig_ask(r, "POST", "/vaults", NULL,
                                 "{\"name\":\"deep\",\"tenant\":\"acme\","
                                 "\"url\":\"s3://b/p\",\"existing\":true,"
                                 "\"key_file\":\"k\"}"),
                     404);
    assert_int_equal(api_rig_int(r, "exit"), 10);
    assert_int_equal(api_rig_ask(r, "GET", "/vaults/deep", NULL, NULL), 404);
    assert_int_equal(api_rig_int(r, "exit"), 10);
}

static void an_existing_vault_is_opened_by_key_or_waits_for_a_grant(
    void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    r->doc = "{\"vault_id\":\"" RIG_VAULT_ID "\",\"public_key\":\"\","
             "\"state\":\"ready\",\"points\":5}";
    assert_int_equal(api_rig_ask(r, "POST", "/vaults", NULL,
                                 "{\"name\":\"deep\",\"tenant\":\"acme\","
                                 "\"url\":\"file:///x\",\"existing\":true,"
                                 "\"key_file\":\"kf\"}"),
                     201);
    assert_string_equal(r->asked, "vault_open_existing;");
    assert_string_equal(r->params, "kf|");
    assert_int_equal(api_rig_int(r, "points"), 5);
    assert_string_equal(api_rig_text(r, "recovery_key_file"), "(null)");
    assert_string_equal(api_rig_text(r, "vault.recovery_proved"),
                        "2026-11-20T08:15:30Z");
    assert_int_equal(api_rig_ask(r, "POST", "/vaults", NULL,
                                 "{\"name\":\"far\",\"tenant\":\"acme\","
                                 "\"url\":\"file:///y\",\"existing\":true,"
                                 "\"vault_id\":\"" RIG_VAULT_ID "\"}"),
                     201);
    assert_string_equal(r->params, "|" RIG_VAULT_ID);
    assert_int_equal(api_rig_ask(r, "POST", "/vaults", NULL,
                                 "{\"name\":\"z\",\"tenant\":\"acme\","
                                 "\"url\":\"file:///z\",\"existing\":true}"),
                     400);
    assert_int_equal(api_rig_ask(r, "POST", "/vaults", NULL,
                                 "{\"name\":\"z\",\"tenant\":\"acme\","
                                 "\"url\":\"file:///z\",\"key_file\":\"k\"}"),
                     400);
    assert_string_equal(r->asked, "");
}

static void keys_are_listed_tested_granted_and_exported(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    r->doc = "[{\"tag\":\"t\"}]";
    assert_int_equal(api_rig_ask(r, "GET", "/vaults/main/keys", w->acme_token,
                                 NULL),
                     200);
    assert_string_equal(api_rig_text(r, "items.0.tag"), "t");
    /* Two tenants have a vault of that name. */
    assert_int_equal(api_rig_ask(r, "GET", "/vaults/main/keys", NULL, NULL),
                     409);
    assert_int_equal(api_rig_int(r, "exit"), 7);
    r->doc = "{\"tag\":\"t\",\"wraps\":3}";
    assert_int_equal(api_rig_ask(r, "POST",
                                 "/vaults/main/keys/grant?tenant=globex", NULL,
                                 "{\"public_key\":\"" PIN_AA "\"}"),
                     200);
    assert_int_equal(r->asked_id, w->globex_vault);
    assert_int_equal(api_rig_ask(r, "POST",
                                 "/vaults/main/keys/grant?tenant=globex", NULL,
                                 "{\"public_key\":\"aa\"}"),
                     400);
    err_set(&r->err, ERR_KEY, 0, "the passphrase is wrong");
    assert_int_equal(api_rig_ask(r, "POST",
                                 "/vaults/main/keys/test?tenant=globex", NULL,
                                 "{\"key_file\":\"k\"}"),
                     422);
    assert_int_equal(api_rig_int(r, "exit"), 11);
    err_clear(&r->err);
    assert_int_equal(api_rig_ask(r, "POST",
                                 "/vaults/main/keys/export?tenant=acme", NULL,
                                 NULL),
                     200);
    r->doc = "{\"ok\":true,\"state\":\"ready\",\"checks\":[]}";
    assert_int_equal(api_rig_ask(r, "POST", "/vaults/main/test",
                                 w->acme_token, NULL),
                     200);
    assert_int_equal(r->asked_id, w->acme_vault);
    assert_int_equal(api_rig_ask(r, "DELETE", "/vaults/main?tenant=acme",
                                 NULL, NULL),
                     204);
    assert_string_equal(r->asked, "vault_changed;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, api_rig_setup, \
                                                  api_rig_teardown)
        ROW(a_pool_is_looked_at_before_it_is_trusted),
        ROW(a_pool_is_paused_tested_and_removed),
        ROW(a_vault_is_created_and_its_recovery_key_told_once),
        ROW(a_vault_that_fails_leaves_no_row),
        ROW(an_existing_vault_is_opened_by_key_or_waits_for_a_grant),
        ROW(keys_are_listed_tested_granted_and_exported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
