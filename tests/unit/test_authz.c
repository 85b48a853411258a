/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "gateway/authz.h"
#include "gateway/problem.h"

/* What a tenant may do, written down a second time: whoever changes the table
 * says it here too. */
static const char *const tenants_own[] = {
    "route.list",    "version.show",  "tenant.list",   "tenant.show",
    "token.list",    "token.revoke",  "vm.list",       "vm.show",
    "vm.resolve",    "vault.list",    "vault.show",    "vault.test",
    "vault.refresh", "key.list",      "key.test",      "backup.start",
    "point.list",    "point.show",    "point.resolve", "point.verify",
    "restore.start", "job.list",      "job.show",      "job.log",
    "job.cancel",    "job.retry",     "audit.list",
};

static void a_tenant_may_what_is_listed_and_the_provider_all(void **state)
{
    const struct authz_who provider = {.kind = AUTHZ_PROVIDER};
    const struct authz_who tenant = {.kind = AUTHZ_TENANT, .tenant_id = 7};
    size_t allowed = 0;
    struct err err;

    (void)state;
    for (int a = 0; a < AUTHZ_ACTIONS; a++) {
        const char *name = authz_action_name((enum authz_action)a);
        bool expect = false;

        for (size_t i = 0; i < BYTES_COUNT(tenants_own); i++)
            expect |= strcmp(tenants_own[i], name) == 0;
        allowed += expect;
        assert_true(authz_may(&provider, (enum authz_action)a));
        if (authz_may(&tenant, (enum authz_action)a) != expect)
            fail_msg("%s", name);
        assert_int_equal(authz_check(&tenant, (enum authz_action)a, &err),
                         expect ? ERR_OK : ERR_DENIED);
    }
    assert_int_equal(allowed, BYTES_COUNT(tenants_own));
}

static void every_action_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = 0; a < AUTHZ_ACTIONS; a++) {
        assert_non_null(authz_action_name((enum authz_action)a));
        for (int b = 0; b < a; b++)
            assert_string_not_equal(authz_action_name((enum authz_action)a),
                                    authz_action_name((enum authz_action)b));
    }
}

static void a_tenant_sees_its_own_and_nothing_of_nobody(void **state)
{
    const struct authz_who provider = {.kind = AUTHZ_PROVIDER};
    const struct authz_who tenant = {.kind = AUTHZ_TENANT, .tenant_id = 7,
                                     .token_id = 3, .tenant = "acme"};
    char text[64];

    (void)state;
    assert_true(authz_sees(&tenant, 7));
    assert_false(authz_sees(&tenant, 8));
    assert_false(authz_sees(&tenant, 0));
    assert_true(authz_sees(&provider, 8));
    assert_true(authz_sees(&provider, 0));
    assert_int_equal(authz_scope(&tenant), 7);
    assert_int_equal(authz_scope(&provider), 0);
    authz_who_text(&tenant, text, sizeof(text));
    assert_string_equal(text, "token 3 of acme");
    authz_who_text(&provider, text, sizeof(text));
    assert_string_equal(text, "provider");
}

static const struct {
    enum err_code code;
    int status;
} statuses[] = {
    {ERR_ARGUMENT, 400}, {ERR_DENIED, 403},      {ERR_NOT_FOUND, 404},
    {ERR_CONFLICT, 409}, {ERR_QUOTA, 422},       {ERR_KEY, 422},
    {ERR_AGAIN, 503},    {ERR_UNREACHABLE, 502}, {ERR_TIMEOUT, 504},
    {ERR_IO, 500},       {ERR_NOMEM, 503},
};

static void problems_have_the_members_of_rfc_9457_and_two_of_ours(void **state)
{
    struct json *p;
    struct err err;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(statuses); i++)
        assert_int_equal(problem_status(statuses[i].code),
                         statuses[i].status);
    err_set(&err, ERR_NOT_FOUND, 0, "no vault 'main'");
    p = problem_new(&err, 0, EXIT_NO_VAULT);
    assert_non_null(p);
    assert_int_equal(json_count(p), 6);
    assert_string_equal(json_text(json_get(p, "type"), ""),
                        "urn:cairn:problem:not_found");
    assert_string_equal(json_text(json_get(p, "title"), ""), "not found");
    assert_int_equal(json_int(json_get(p, "status"), 0), 404);
    assert_string_equal(json_text(json_get(p, "detail"), ""),
                        "no vault 'main'");
    assert_string_equal(json_text(json_get(p, "code"), ""), "not_found");
    assert_int_equal(json_int(json_get(p, "exit"), 0), 10);
    json_free(p);
    p = problem_new(&err, 405, EXIT_USAGE);
    assert_int_equal(json_int(json_get(p, "status"), 0), 405);
    json_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenant_may_what_is_listed_and_the_provider_all),
        cmocka_unit_test(every_action_has_a_name_of_its_own),
        cmocka_unit_test(a_tenant_sees_its_own_and_nothing_of_nobody),
        cmocka_unit_test(problems_have_the_members_of_rfc_9457_and_two_of_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
