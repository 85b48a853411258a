/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/catalog_fixture.h"
#include "tenants/catalog_point.h"
#include "tenants/catalog_rule.h"

#define VM_1 "0b8f6a3e-51d2-4c1e-9c58-3f0d8a4f9c01"
#define VM_2 "0b8f6a3e-51d2-4c1e-9c58-3f0d8a4f9c02"
#define TAG "17c3a54779ee8ea567a56177b637fdf5"
#define AT(time, rand) "points/" TAG "/" time "-" rand
/* 2026-11-20T00:00:00Z */
#define DAY 1795132800000ull

struct points {
    struct fixture f;
    int64_t acme, globex, main, copy, other;
};

static int points_setup(void **state)
{
    struct points *p = test_malloc(sizeof(*p));

    memset(p, 0, sizeof(*p));
    fixture_begin(&p->f);
    assert_int_equal(fixture_open(&p->f, ":memory:"), ERR_OK);
    p->acme = fixture_tenant(&p->f, "acme");
    p->globex = fixture_tenant(&p->f, "globex");
    p->main = fixture_vault(&p->f, "acme", "main");
    p->copy = fixture_vault(&p->f, "acme", "copy");
    p->other = fixture_vault(&p->f, "globex", "main");
    *state = p;
    return 0;
}

static struct catalog_point point(int64_t vault, const char *name,
                                  const char *vm, const char *vm_name)
{
    struct catalog_point p = {
        .vault_id = vault, .name = name, .series = vm, .vm_uuid = vm,
        .vm_name = vm_name, .pool = "east", .mode = "xva", .gateway = "g",
        .disks = "[]"};

    return p;
}

static void points_put(struct points *p, int64_t vault, const char *name,
                       const char *vm, const char *vm_name)
{
    struct catalog_point one = point(vault, name, vm, vm_name);

    assert_ok(&p->f, catalog_point_put(p->f.c, &one, &p->f.err));
}

/* Four days of two VMs. */
static void points_fill(struct points *p)
{
    points_put(p, p->main, AT("20261118T235959Z", "00000001"), VM_1, "old");
    points_put(p, p->main, AT("20261120T000000Z", "00000002"), VM_1, "web");
    points_put(p, p->main, AT("20261120T235959Z", "00000003"), VM_1, "web");
    points_put(p, p->main, AT("20261121T000000Z", "00000004"), VM_1, "web");
    points_put(p, p->main, AT("20261119T120000Z", "00000005"), VM_2, "db");
}

static const char *points_get(struct points *p, int64_t tenant,
                              int64_t vault, const char *ref)
{
    static char id[CATALOG_POINT_ID];
    struct catalog_point_filter within = {.tenant_id = tenant,
                                          .vault_id = vault};
    struct catalog_point got;

    if (catalog_point_get(p->f.c, &within, ref, &got, &p->f.err) != ERR_OK)
        return err_name(p->f.err.code);
    memcpy(id, got.id, sizeof(id));
    catalog_point_fini(&got);
    return id;
}

static void a_point_is_found_by_each_form_of_its_name(void **state)
{
    static const struct {
        const char *ref, *expect;
    } rows[] = {
        {"20261120T000000Z-00000002", "20261120T000000Z-00000002"},
        {"web@latest", "20261121T000000Z-00000004"},
        {"east/web@latest", "20261121T000000Z-00000004"},
        {VM_1 "@latest", "20261121T000000Z-00000004"},
        {"web@2026-11-20", "20261120T235959Z-00000003"},
        {"web@2026-11-18", "20261118T235959Z-00000001"},
        {"web@2026-11-19", "not_found"},
        {"old@latest", "not_found"}, /* its newest point calls it web */
        {"west/web@latest", "not_found"},
        {"db@latest", "20261119T120000Z-00000005"},
        {"web@yesterday", "argument"},
        {"web@2026-13-01", "argument"},
        {"web@2026-11-20T00:00:00Z", "argument"},
        {"20261120T000000Z-0000000f", "not_found"},
        {"web", "not_found"},
        {"@latest", "not_found"},
        {"' OR 1=1 --@latest", "not_found"},
    };
    struct points *p = *state;

    points_fill(p);
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        const char *got = points_get(p, p->acme, 0, rows[i].ref);

        if (strcmp(got, rows[i].expect) != 0)
            fail_msg("%s: wanted %s, got %s", rows[i].ref, rows[i].expect,
                     got);
        /* Another tenant finds none of them. */
        got = points_get(p, p->globex, 0, rows[i].ref);
        assert_true(strcmp(got, "not_found") == 0 ||
                    strcmp(got, "argument") == 0);
    }
}

static void an_ambiguous_name_lists_the_candidates(void **state)
{
    struct points *p = *state;

    points_put(p, p->main, AT("20261120T000000Z", "00000001"), VM_1, "web");
    points_put(p, p->main, AT("20261120T000001Z", "00000002"), VM_2, "web");
    assert_string_equal(points_get(p, p->acme, 0, "web@latest"), "conflict");
    assert_non_null(strstr(p->f.err.text, VM_1));
    assert_non_null(strstr(p->f.err.text, VM_2));
    /* A VM that was moved has points of two tenants. */
    points_put(p, p->other, AT("20261120T000002Z", "00000003"), VM_1, "x");
    assert_string_equal(points_get(p, 0, 0, VM_1 "@latest"), "conflict");
    assert_string_equal(points_get(p, p->globex, 0, VM_1 "@latest"),
                        "20261120T000002Z-00000003");
}

static void a_point_and_its_copy_are_told_apart_by_vault(void **state)
{
    struct points *p = *state;

    points_put(p, p->main, AT("20261120T000000Z", "00000001"), VM_1, "web");
    points_put(p, p->copy, AT("20261120T000000Z", "00000001"), VM_1, "web");
    assert_string_equal(points_get(p, p->acme, 0,
                                   "20261120T000000Z-00000001"),
                        "conflict");
    assert_non_null(strstr(p->f.err.text, "'copy' and 'main'"));
    assert_string_equal(points_get(p, p->acme, p->copy,
                                   "20261120T000000Z-00000001"),
                        "20261120T000000Z-00000001");
    assert_string_equal(points_get(p, p->acme, p->main, "web@latest"),
                        "20261120T000000Z-00000001");
}

static void putting_again_updates_and_keeps_who_made_it(void **state)
{
    struct points *p = *state;
    struct catalog_point one = point(
        p->main, AT("20261120T081530Z", "0123abcd"), VM_1, "web");
    struct catalog_point got;

    one.made_here = true;
    one.sha256[0] = 1;
    one.stored_bytes = 5;
    assert_ok(&p->f, catalog_point_put(p->f.c, &one, &p->f.err));
    one.made_here = false;
    one.sha256[0] = 2;
    assert_ok(&p->f, catalog_point_put(p->f.c, &one, &p->f.err));
    assert_ok(&p->f, catalog_point_newest(p->f.c, p->main, VM_1, &got,
                                          &p->f.err));
    assert_int_equal(got.time_ms, DAY + (8 * 3600 + 15 * 60 + 30) * 1000);
    assert_int_equal(got.sha256[0], 2);
    assert_true(got.made_here);
    assert_int_equal(got.stored_bytes, 5);
    assert_string_equal(got.tenant, "acme");
    assert_string_equal(got.vault, "main");
    assert_ok(&p->f, catalog_point_set_verdict(p->f.c, got.row, "damaged",
                                               &p->f.err));
    catalog_point_fini(&got);
    assert_ok(&p->f, catalog_point_newest(p->f.c, p->main, VM_1, &got,
                                          &p->f.err));
    assert_string_equal(got.verdict, "damaged");
    assert_int_equal(got.verified_ms, p->f.now_ms);
    assert_ok(&p->f, catalog_point_forget(p->f.c, got.row, &p->f.err));
    catalog_point_fini(&got);
    assert_int_equal(catalog_point_newest(p->f.c, p->main, VM_1, &got,
                                          &p->f.err),
                     ERR_NOT_FOUND);
}

static void names_that_no_point_has_are_refused(void **state)
{
    static const char *const bad[] = {
        "", "points/x", "packs/" TAG "/20261120T081530Z-0123abcd",
        "points/" TAG "/20261120T081530Z-0123abcg",
        "points/" TAG "/20261320T081530Z-0123abcd",
        "points/" TAG "/20261120T081530Z_0123abcd",
        "points/" TAG "/20261120T081530Z-0123abcdef"};
    struct points *p = *state;

    for (size_t i = 0; i < BYTES_COUNT(bad); i++) {
        struct catalog_point one = point(p->main, bad[i], VM_1, "web");

        assert_int_equal(catalog_point_put(p->f.c, &one, &p->f.err),
                         ERR_ARGUMENT);
    }
    {
        struct catalog_point one = point(
            999, AT("20261120T081530Z", "0123abcd"), VM_1, "web");

        assert_int_equal(catalog_point_put(p->f.c, &one, &p->f.err),
                         ERR_NOT_FOUND);
    }
}

static int64_t owner(struct points *p, const char *vm)
{
    int64_t id = -1;

    assert_ok(&p->f, catalog_rule_owner(p->f.c, vm, &id, &p->f.err));
    return id;
}

static void only_points_made_here_settle_the_owner(void **state)
{
    struct points *p = *state;
    struct catalog_point one = point(
        p->main, AT("20261120T081530Z", "00000001"), VM_1, "web");
    struct catalog_point planted = point(
        p->other, AT("20991120T081530Z", "00000002"), VM_1, "web");

    assert_int_equal(owner(p, VM_1), 0);
    one.made_here = true;
    one.started_ms = p->f.now_ms - 60000;
    assert_ok(&p->f, catalog_point_put(p->f.c, &one, &p->f.err));
    assert_int_equal(owner(p, VM_1), p->acme);
    planted.started_ms = p->f.now_ms + 1000;
    assert_ok(&p->f, catalog_point_put(p->f.c, &planted, &p->f.err));
    assert_int_equal(owner(p, VM_1), p->acme);
    planted.vm_uuid = VM_2; /* nobody's yet: it stays so */
    assert_ok(&p->f, catalog_point_put(p->f.c, &planted, &p->f.err));
    assert_int_equal(owner(p, VM_2), 0);
}

static void a_backup_does_not_undo_a_move(void **state)
{
    struct points *p = *state;
    struct catalog_point late = point(
        p->main, AT("20261120T081540Z", "00000001"), VM_1, "web");
    struct catalog_point next = point(
        p->other, AT("20261120T081640Z", "00000002"), VM_1, "web");

    assert_ok(&p->f, catalog_rule_move(p->f.c, VM_1, "globex", &p->f.err));
    late.made_here = next.made_here = true;
    late.started_ms = p->f.now_ms - 1; /* its snapshot is older */
    assert_ok(&p->f, catalog_point_put(p->f.c, &late, &p->f.err));
    assert_int_equal(owner(p, VM_1), p->globex);
    late.started_ms = p->f.now_ms + 5; /* it was asked for before */
    assert_ok(&p->f, catalog_point_put(p->f.c, &late, &p->f.err));
    assert_int_equal(owner(p, VM_1), p->globex);
    next.started_ms = p->f.now_ms + 10;
    assert_ok(&p->f, catalog_point_put(p->f.c, &next, &p->f.err));
    assert_int_equal(owner(p, VM_1), p->globex);
    p->f.now_ms += 100000;
    assert_ok(&p->f, catalog_rule_move(p->f.c, VM_1, "acme", &p->f.err));
    assert_int_equal(owner(p, VM_1), p->acme);
    assert_int_equal(catalog_rule_move(p->f.c, "web", "acme", &p->f.err),
                     ERR_ARGUMENT);
    assert_int_equal(catalog_rule_move(p->f.c, VM_1, "none", &p->f.err),
                     ERR_NOT_FOUND);
}

struct seen {
    char text[256];
};

static bool on_point(void *ctx, const struct catalog_point *p)
{
    struct seen *s = ctx;
    size_t at = strlen(s->text);

    snprintf(s->text + at, sizeof(s->text) - at, "%c", p->id[24]);
    return true;
}

static void lists_are_newest_first_filtered_and_paged(void **state)
{
    struct points *p = *state;
    struct catalog_page page = {.limit = 3};
    struct catalog_point_filter f = {.tenant_id = p->acme};
    char cursor[CATALOG_CURSOR];
    struct seen s = {0};

    points_fill(p);
    /* Two of one second, in two vaults. */
    points_put(p, p->copy, AT("20261120T235959Z", "00000003"), VM_1, "web");
    assert_ok(&p->f, catalog_point_each(p->f.c, &f, &page, on_point, &s,
                                        &p->f.err));
    assert_string_equal(s.text, "433");
    memcpy(cursor, page.next, sizeof(cursor));
    page.cursor = cursor;
    assert_ok(&p->f, catalog_point_each(p->f.c, &f, &page, on_point, &s,
                                        &p->f.err));
    assert_string_equal(s.text, "433251");
    assert_string_equal(page.next, "");
    page.cursor = NULL;
    page.limit = 10;
#define LIST(expect, ...)                                                      \
    do {                                                                       \
        struct catalog_point_filter by = {__VA_ARGS__};                        \
        memset(&s, 0, sizeof(s));                                              \
        assert_ok(&p->f, catalog_point_each(p->f.c, &by, &page, on_point, &s,  \
                                            &p->f.err));                       \
        assert_string_equal(s.text, expect);                                   \
    } while (0)
    LIST("", .tenant_id = p->globex);
    LIST("3", .vault_id = p->copy);
    LIST("5", .vm_uuid = VM_2);
    LIST("1", .vm_name = "old");
    LIST("", .pool = "west");
    LIST("332", .from_ms = DAY, .before_ms = DAY + 24 * 3600 * 1000);
    page.cursor = "12";
    assert_int_equal(catalog_point_each(p->f.c, &f, &page, on_point, &s,
                                        &p->f.err),
                     ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, points_setup, \
                                                  fixture_teardown)
        ROW(a_point_is_found_by_each_form_of_its_name),
        ROW(an_ambiguous_name_lists_the_candidates),
        ROW(a_point_and_its_copy_are_told_apart_by_vault),
        ROW(putting_again_updates_and_keeps_who_made_it),
        ROW(names_that_no_point_has_are_refused),
        ROW(only_points_made_here_settle_the_owner),
        ROW(a_backup_does_not_undo_a_move),
        ROW(lists_are_newest_first_filtered_and_paged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
