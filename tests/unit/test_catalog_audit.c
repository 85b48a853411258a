/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tenants/catalog_audit.h"
#include "tenants/catalog_db.h"
#include "tests/unit/catalog_fixture.h"

/* Objects of a page, with ',' behind each. */
struct names {
    char text[256];
};

static bool on_audit(void *ctx, const struct catalog_audit *a)
{
    struct names *n = ctx;
    size_t at = strlen(n->text);

    snprintf(n->text + at, sizeof(n->text) - at, "%s,", a->object);
    return true;
}

static void audit_lines_come_newest_first_and_by_tenant(void **state)
{
    struct fixture *f = *state;
    struct catalog_page page = {.limit = 2};
    char cursor[CATALOG_CURSOR];
    struct names n = {0};

    for (int i = 0; i < 4; i++) {
        char object[8];

        snprintf(object, sizeof(object), "o%d", i);
        f->now_ms += 1000;
        assert_ok(f, catalog_audit_add(f->c,
                                       &(struct catalog_audit){
                                           .actor = "provider",
                                           .tenant_id = i % 2, .tenant = "",
                                           .action = "a", .object = object,
                                           .outcome = "ok", .detail = ""},
                                       &f->err));
    }
    assert_ok(f, catalog_audit_each(f->c, 0, 0, &page, on_audit, &n, &f->err));
    assert_string_equal(n.text, "o3,o2,");
    memset(&n, 0, sizeof(n));
    memcpy(cursor, page.next, sizeof(cursor));
    page.cursor = cursor;
    assert_ok(f, catalog_audit_each(f->c, 0, 0, &page, on_audit, &n, &f->err));
    assert_string_equal(n.text, "o1,o0,");
    memset(&n, 0, sizeof(n));
    page.cursor = NULL;
    assert_ok(f, catalog_audit_each(f->c, 1, f->now_ms - 500, &page, on_audit,
                                    &n, &f->err));
    assert_string_equal(n.text, "o3,");
}

static void add_line(struct fixture *f, const char *object)
{
    assert_ok(f, catalog_audit_add(f->c,
                                   &(struct catalog_audit){
                                       .actor = "provider", .tenant = "",
                                       .action = "a", .object = object,
                                       .outcome = "ok", .detail = ""},
                                   &f->err));
}

static void old_audit_lines_go_a_few_at_a_time_and_younger_stay(void **state)
{
    struct fixture *f = *state;
    struct catalog_page page = {.limit = 10};
    struct names n = {0};
    unsigned count = 7;

    for (unsigned i = 0; i < CATALOG_AUDIT_EXPIRE_MAX + 1; i++)
        add_line(f, "old");
    f->now_ms += 1000;
    add_line(f, "young");
    add_line(f, "younger");
    assert_ok(f, catalog_audit_expire(f->c, f->now_ms - 1000, &count, &f->err));
    assert_int_equal(count, 0); /* written then, not before */
    assert_ok(f, catalog_audit_expire(f->c, f->now_ms, &count, &f->err));
    assert_int_equal(count, CATALOG_AUDIT_EXPIRE_MAX);
    assert_ok(f, catalog_audit_expire(f->c, f->now_ms, &count, &f->err));
    assert_int_equal(count, 1);
    assert_ok(f, catalog_audit_expire(f->c, f->now_ms, &count, &f->err));
    assert_int_equal(count, 0);
    assert_ok(f, catalog_audit_each(f->c, 0, 0, &page, on_audit, &n, &f->err));
    assert_string_equal(n.text, "younger,young,");
}

/* Whatever else the program might try. */
static void no_audit_line_that_is_not_old_can_be_removed(void **state)
{
    struct fixture *f = *state;
    unsigned count = 0;

    add_line(f, "one");
    assert_int_not_equal(
        catalog_db_exec(f->c, &f->err, "DELETE FROM audit", ""), ERR_OK);
    assert_non_null(strstr(f->err.text, "audit lines stay"));
    assert_ok(f, catalog_audit_expire(f->c, f->now_ms, &count, &f->err));
    assert_int_not_equal(
        catalog_db_exec(f->c, &f->err, "DELETE FROM audit", ""), ERR_OK);
    assert_int_not_equal(
        catalog_db_exec(f->c, &f->err, "UPDATE audit SET outcome = 'ok'", ""),
        ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, fixture_setup, \
                                                  fixture_teardown)
        ROW(audit_lines_come_newest_first_and_by_tenant),
        ROW(old_audit_lines_go_a_few_at_a_time_and_younger_stay),
        ROW(no_audit_line_that_is_not_old_can_be_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
