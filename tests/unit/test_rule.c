/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "tenants/rule.h"

#define UUID_A "0b8f6a3e-51d2-4c1e-9c58-3f0d8a4f9c01"
#define UUID_B "0b8f6a3e-51d2-4c1e-9c58-3f0d8a4f9c02"

enum { ACME = 1, GLOBEX = 2, INITECH = 3, POOL = 10, OTHER_POOL = 11 };

static const char *const tags[] = {"prod", "globex"};
static const struct rule_pair config[] = {{"owner", "initech"},
                                          {"folder", "x"}};
static const struct rule_vm vm = {
    .pool_id = POOL,
    .uuid = UUID_A,
    .name = "acme-web-1",
    .tags = tags,
    .tag_count = 2,
    .other_config = config,
    .other_config_count = 2,
};

#define BY_NAME {1, ACME, POOL, RULE_NAME, "", "acme-*"}
#define BY_TAG {2, GLOBEX, POOL, RULE_TAG, "", "globex"}
#define BY_CONFIG {3, INITECH, POOL, RULE_OTHER_CONFIG, "owner", "initech"}
#define BY_UUID {4, ACME, POOL, RULE_UUID, "", UUID_A}

static const struct {
    const char *why;
    struct rule rules[4];
    size_t count;
    int64_t owner;
    int64_t tenant, rule;
    bool contested;
    size_t claims;
} rows[] = {
    {"without rules a VM is nobody's", {BY_NAME}, 0, 0, 0, 0, false, 0},
    {"a name is enough", {BY_NAME}, 1, 0, ACME, 1, false, 1},
    {"a tag beats a name", {BY_NAME, BY_TAG}, 2, 0, GLOBEX, 2, false, 1},
    {"other_config beats a tag", {BY_TAG, BY_CONFIG, BY_NAME}, 3, 0, INITECH,
     3, false, 1},
    {"a uuid beats all, in whatever order",
     {BY_UUID, BY_CONFIG, BY_TAG, BY_NAME}, 4, 0, ACME, 4, false, 1},
    {"a uuid beats all, last too", {BY_NAME, BY_TAG, BY_CONFIG, BY_UUID}, 4, 0,
     ACME, 4, false, 1},
    {"two rules of one tenant at a rank agree",
     {BY_NAME, {5, ACME, POOL, RULE_NAME, "", "*web*"}}, 2, 0, ACME, 1, false,
     1},
    {"claimed twice at one rank it is nobody's",
     {BY_NAME, {5, GLOBEX, POOL, RULE_NAME, "", "*-1"}}, 2, 0, 0, 0, true, 2},
    {"a contest below the best rank does not matter",
     {BY_NAME, {5, GLOBEX, POOL, RULE_NAME, "", "*-1"}, BY_CONFIG}, 3, 0,
     INITECH, 3, false, 1},
    {"rules of another pool do not count",
     {{6, ACME, OTHER_POOL, RULE_UUID, "", UUID_A}}, 1, 0, 0, 0, false, 0},
    {"another VM's uuid does not match",
     {{6, ACME, POOL, RULE_UUID, "", UUID_B}}, 1, 0, 0, 0, false, 0},
    {"another value of the key does not match",
     {{6, ACME, POOL, RULE_OTHER_CONFIG, "owner", "acme"}}, 1, 0, 0, 0, false,
     0},
    {"another key of that value does not match",
     {{6, ACME, POOL, RULE_OTHER_CONFIG, "folder", "initech"}}, 1, 0, 0, 0,
     false, 0},
    {"an owned VM stays, and it is reported", {BY_NAME}, 1, GLOBEX, GLOBEX, 0,
     true, 1},
    {"an owned VM whose rules agree is not contested", {BY_NAME}, 1, ACME,
     ACME, 0, false, 1},
    {"an owned VM that no rule claims stays", {BY_NAME}, 0, ACME, ACME, 0,
     false, 0},
    {"an owned VM claimed twice stays, and it is reported",
     {BY_NAME, {5, GLOBEX, POOL, RULE_NAME, "", "*-1"}}, 2, ACME, ACME, 0,
     true, 2},
};

static void rules_decide_by_rank_and_owners_stay(void **state)
{
    struct rule_verdict v;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        rule_decide(rows[i].rules, rows[i].count, &vm, rows[i].owner, &v);
        if (v.tenant_id != rows[i].tenant || v.rule_id != rows[i].rule ||
            v.contested != rows[i].contested ||
            v.claim_count != rows[i].claims ||
            v.by_point != (rows[i].owner != 0))
            fail_msg("%s: got tenant %jd, rule %jd, contested %d, claims %zu",
                     rows[i].why, (intmax_t)v.tenant_id, (intmax_t)v.rule_id,
                     v.contested, v.claim_count);
    }
}

static void claims_beyond_the_room_are_counted_and_cut(void **state)
{
    struct rule many[RULE_CLAIMS_MAX + 4];
    struct rule_verdict v;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(many); i++)
        many[i] = (struct rule){(int64_t)i + 1, (int64_t)i + 1, POOL,
                                RULE_TAG, "", "prod"};
    rule_decide(many, BYTES_COUNT(many), &vm, 0, &v);
    assert_true(v.contested);
    assert_int_equal(v.tenant_id, 0);
    assert_true(v.claim_count > RULE_CLAIMS_MAX);
    assert_int_equal(v.claims[RULE_CLAIMS_MAX - 1], RULE_CLAIMS_MAX);
}

static const struct {
    const char *pattern, *name;
    bool expect;
} names[] = {
    {"web", "web", true},       {"web", "Web", false},
    {"web", "web1", false},     {"web*", "web", true},
    {"*", "", true},            {"*", "anything", true},
    {"*1", "web-11", true},     {"a*b*c", "a-b-b-c", true},
    {"a*b*c", "a-c-b", false},  {"**x", "x", true},
    {"", "", true},             {"", "x", false},
    {"web-?", "web-1", false},  {"web-?", "web-?", true},
    {"[ab]", "a", false},       {"*ab", "aab", true},
    {"*aab", "aaab", true},     {"a*", "ba", false},
};

static void a_star_is_the_only_wildcard(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(names); i++)
        if (rule_name_matches(names[i].pattern, names[i].name) !=
            names[i].expect)
            fail_msg("'%s' on '%s'", names[i].pattern, names[i].name);
}

static void unusable_rules_are_refused(void **state)
{
    struct err e;
    char longer[300];

    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(rule_check(RULE_UUID, "", UUID_A, &e), ERR_OK);
    assert_int_equal(rule_check(RULE_OTHER_CONFIG, "k", "v", &e), ERR_OK);
    assert_int_equal(rule_check(RULE_TAG, "", "t", &e), ERR_OK);
    assert_int_equal(rule_check(RULE_NAME, "", "web*", &e), ERR_OK);
    assert_int_equal(rule_check(RULE_UUID, "", "0B8F6A3E-51D2-4C1E-9C58-"
                                               "3F0D8A4F9C01", &e),
                     ERR_ARGUMENT);
    assert_int_equal(rule_check(RULE_UUID, "", "web", &e), ERR_ARGUMENT);
    assert_int_equal(rule_check(RULE_TAG, "k", "v", &e), ERR_ARGUMENT);
    assert_int_equal(rule_check(RULE_OTHER_CONFIG, "", "v", &e), ERR_ARGUMENT);
    assert_int_equal(rule_check(RULE_TAG, "", "", &e), ERR_ARGUMENT);
    assert_int_equal(rule_check(RULE_NAME, "", longer, &e), ERR_ARGUMENT);
    assert_int_equal(rule_check(RULE_NAME, "", "\xff", &e), ERR_ARGUMENT);
}

static void kinds_have_names_both_ways(void **state)
{
    enum rule_kind kind;

    (void)state;
    for (int i = 0; i < RULE_KINDS; i++) {
        assert_true(rule_kind_from(rule_kind_name((enum rule_kind)i), &kind));
        assert_int_equal(kind, i);
    }
    assert_false(rule_kind_from("owner", &kind));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_decide_by_rank_and_owners_stay),
        cmocka_unit_test(claims_beyond_the_room_are_counted_and_cut),
        cmocka_unit_test(a_star_is_the_only_wildcard),
        cmocka_unit_test(unusable_rules_are_refused),
        cmocka_unit_test(kinds_have_names_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
