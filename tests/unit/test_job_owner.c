/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "gateway/job_owner.h"
#include "tenants/catalog_rule.h"
#include "tests/unit/catalog_fixture.h"

#define VM "0b8f6a3e-51d2-4c1e-9c58-3f0d8a4f9c01"

/* A job of acme's, for a VM that a rule by its name gives to acme. */
struct owned {
    struct fixture f; /* first */
    struct job job;
    struct xenapi_vm vm;
    int64_t rule;
};

static int setup(void **state)
{
    struct owned *o = test_calloc(1, sizeof(*o));

    fixture_begin(&o->f);
    assert_ok(&o->f, fixture_open(&o->f, ":memory:"));
    o->job.tenant_id = fixture_tenant(&o->f, "acme");
    fixture_tenant(&o->f, "globex");
    o->job.pool_id = fixture_pool(&o->f, "east");
    o->vm.uuid = VM;
    o->vm.name = "acme-web";
    assert_ok(&o->f, catalog_rule_add(o->f.c, "acme", "east", RULE_NAME, "",
                                      "acme-*", &o->rule, &o->f.err));
    *state = o;
    return 0;
}

static enum err_code check(struct owned *o)
{
    return job_owner_check(o->f.c, &o->job, &o->vm, &o->f.err);
}

static void a_tenant_that_is_not_active_gets_no_backup(void **state)
{
    struct owned *o = *state;

    assert_ok(&o->f, check(o));
    assert_ok(&o->f, catalog_tenant_set_state(o->f.c, "acme",
                                              CATALOG_TENANT_SUSPENDED,
                                              &o->f.err));
    assert_int_equal(check(o), ERR_DENIED);
    assert_non_null(strstr(o->f.err.text, "'acme' is not active"));
    assert_ok(&o->f, catalog_tenant_set_state(o->f.c, "acme",
                                              CATALOG_TENANT_ACTIVE,
                                              &o->f.err));
    assert_ok(&o->f, check(o));
    assert_ok(&o->f, catalog_tenant_set_state(o->f.c, "acme",
                                              CATALOG_TENANT_LEFT, &o->f.err));
    assert_int_equal(check(o), ERR_DENIED);
}

static void a_moved_vm_is_refused_without_saying_whose_it_is(void **state)
{
    struct owned *o = *state;

    assert_ok(&o->f, catalog_rule_move(o->f.c, VM, "globex", &o->f.err));
    assert_int_equal(check(o), ERR_QUOTA);
    assert_null(strstr(o->f.err.text, "globex"));
    assert_ok(&o->f, catalog_rule_move(o->f.c, VM, "acme", &o->f.err));
    assert_ok(&o->f, check(o));
}

static void a_vm_that_no_rule_gives_any_more_is_refused(void **state)
{
    struct owned *o = *state;

    assert_ok(&o->f, catalog_rule_remove(o->f.c, o->rule, &o->f.err));
    assert_int_equal(check(o), ERR_QUOTA);
}

static void a_vm_that_two_claim_is_neithers(void **state)
{
    struct owned *o = *state;
    int64_t id;

    assert_ok(&o->f, catalog_rule_add(o->f.c, "globex", "east", RULE_NAME, "",
                                      "*-web", &id, &o->f.err));
    assert_int_equal(check(o), ERR_QUOTA);
}

static void each_thing_that_rules_go_by_is_looked_at(void **state)
{
    static const struct xenapi_pair config[] = {{"a", "b"}, {"owner", "gx"}};
    static const char *const tags[] = {"prod", "gx"};
    static const struct {
        enum rule_kind kind;
        const char *key, *value;
    } rows[] = {
        {RULE_TAG, "", "gx"},
        {RULE_OTHER_CONFIG, "owner", "gx"},
        {RULE_UUID, "", VM},
    };
    struct owned *o = *state;
    int64_t id;

    o->vm.tags = tags;
    o->vm.tag_count = 2;
    o->vm.other_config = config;
    o->vm.other_config_count = 2;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        assert_ok(&o->f, check(o));
        assert_ok(&o->f, catalog_rule_add(o->f.c, "globex", "east",
                                          rows[i].kind, rows[i].key,
                                          rows[i].value, &id, &o->f.err));
        assert_int_equal(check(o), ERR_QUOTA);
        assert_ok(&o->f, catalog_rule_remove(o->f.c, id, &o->f.err));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) \
    cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
        ROW(a_tenant_that_is_not_active_gets_no_backup),
        ROW(a_moved_vm_is_refused_without_saying_whose_it_is),
        ROW(a_vm_that_no_rule_gives_any_more_is_refused),
        ROW(a_vm_that_two_claim_is_neithers),
        ROW(each_thing_that_rules_go_by_is_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
