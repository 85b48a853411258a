/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog without memory: each of our allocations fails once; what was
 * begun is done whole or not at all, and the sanitizer sees nothing left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "tests/unit/catalog_fixture.h"
#include "tenants/catalog_job.h"
#include "tenants/catalog_point.h"
#include "tenants/catalog_rule.h"
#include "tenants/catalog_token.h"

#define VM "0b8f6a3e-51d2-4c1e-9c58-3f0d8a4f9c01"
#define POINT                                                                  \
    "points/17c3a54779ee8ea567a56177b637fdf5/20261120T081530Z-00000001"

static void check(struct fixture *f, unsigned n, enum err_code rc)
{
    if (alloc_fail_happened() ? rc != ERR_OK && rc != ERR_NOMEM
                              : rc != ERR_OK)
        fail_msg("allocation %u: %s: %s", n, err_name(rc), f->err.text);
}

static void opening_fails_whole(void **state)
{
    struct fixture *f = *state;

    for (unsigned n = 1; alloc_fail_round(n); n++) {
        struct catalog *before = f->c;
        enum err_code rc;

        f->c = NULL;
        rc = fixture_open(f, ":memory:");
        check(f, n, rc);
        if (rc == ERR_OK)
            catalog_close(f->c);
        f->c = before;
    }
}

static void a_pool_is_added_whole_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    struct catalog_pool_host host = {.address = "h", .uuid = "", .name = "",
                                     .entry = true, .dial = ""};
    struct catalog_pool p = {.name = "p", .user = "u", .ca_pem = "",
                             .pool_uuid = "", .hosts = &host, .host_count = 1};

    for (unsigned n = 1; alloc_fail_round(n); n++) {
        struct catalog_pool got;
        int64_t id = 0;
        enum err_code rc = catalog_pool_add(f->c, &p, "pw", &id, &f->err);

        check(f, n, rc);
        alloc_fail_off();
        assert_int_equal(catalog_pool_get(f->c, "p", &got, &f->err),
                         rc == ERR_OK ? ERR_OK : ERR_NOT_FOUND);
        if (rc != ERR_OK)
            continue;
        catalog_pool_fini(&got);
        assert_int_equal(catalog_pool_remove(f->c, id, &f->err), ERR_OK);
    }
}

static void count_row(unsigned *count)
{
    ++*count;
}

static bool on_tenant(void *ctx, const struct catalog_tenant *t)
{
    (void)t;
    count_row(ctx);
    return true;
}

static bool on_pool(void *ctx, const struct catalog_pool *p)
{
    (void)p;
    count_row(ctx);
    return true;
}

static bool on_job(void *ctx, const struct catalog_job *j)
{
    (void)j;
    count_row(ctx);
    return true;
}

static bool on_point(void *ctx, const struct catalog_point *p)
{
    (void)p;
    count_row(ctx);
    return true;
}

static enum err_code list(struct fixture *f, int what, unsigned *count)
{
    struct catalog_page page = {.limit = 10};
    const struct catalog_job_filter jobs = {.kind = "backup"};
    const struct catalog_point_filter points = {.vm_name = "web"};

    switch (what) {
    case 0:
        return catalog_tenant_each(f->c, &page, on_tenant, count, &f->err);
    case 1:
        return catalog_pool_each(f->c, &page, on_pool, count, &f->err);
    case 2:
        return catalog_job_each(f->c, &jobs, &page, on_job, count, &f->err);
    default:
        return catalog_point_each(f->c, &points, &page, on_point, count,
                                  &f->err);
    }
}

static void lists_are_whole_or_say_so(void **state)
{
    struct fixture *f = *state;
    int64_t tenant = fixture_tenant(f, "acme");
    int64_t pool = fixture_pool(f, "p");
    int64_t vault = fixture_vault(f, "acme", "main");
    struct catalog_job job = {.kind = "backup", .tenant_id = tenant,
                              .pool_id = pool, .vault_id = vault,
                              .vm_uuid = VM, .vm_name = "web", .point = "",
                              .params = "{}", .retry_of = ""};
    struct catalog_point point = {
        .vault_id = vault, .name = POINT, .series = VM, .vm_uuid = VM,
        .vm_name = "web", .pool = "p", .mode = "xva", .gateway = "g",
        .disks = "[]"};
    char id[CATALOG_JOB_ID];

    assert_ok(f, catalog_job_add(f->c, &job, id, &f->err));
    assert_ok(f, catalog_point_put(f->c, &point, &f->err));
    for (int what = 0; what < 4; what++) {
        for (unsigned n = 1; alloc_fail_round(n); n++) {
            unsigned count = 0;
            enum err_code rc = list(f, what, &count);

            check(f, n, rc);
            if (rc == ERR_OK)
                assert_int_equal(count, 1);
        }
    }
}

static void finding_says_no_memory(void **state)
{
    struct fixture *f = *state;
    const struct catalog_point_filter all = {0};
    struct catalog_rule_set set;
    struct catalog_vault v;
    struct catalog_point p;
    int64_t id, vault;

    fixture_tenant(f, "acme");
    fixture_pool(f, "p");
    vault = fixture_vault(f, "acme", "main");
    assert_ok(f, catalog_rule_add(f->c, "acme", "p", RULE_TAG, "", "t", &id,
                                  &f->err));
    assert_ok(f, catalog_point_put(
                     f->c,
                     &(struct catalog_point){
                         .vault_id = vault, .name = POINT, .series = VM,
                         .vm_uuid = VM, .vm_name = "web", .pool = "p",
                         .mode = "xva", .gateway = "g", .disks = "[]"},
                     &f->err));
    for (unsigned n = 1; alloc_fail_round(n); n++) {
        enum err_code rc = catalog_vault_get(f->c, 0, "main", &v, &f->err);

        check(f, n, rc);
        if (rc == ERR_OK)
            catalog_vault_fini(&v);
    }
    for (unsigned n = 1; alloc_fail_round(n); n++) {
        enum err_code rc = catalog_rule_set_get(f->c, 0, &set, &f->err);

        check(f, n, rc);
        if (rc == ERR_OK)
            catalog_rule_set_fini(&set);
    }
    for (unsigned n = 1; alloc_fail_round(n); n++) {
        enum err_code rc = catalog_point_get(f->c, &all, "p/web@latest", &p,
                                             &f->err);

        if (rc != ERR_ARGUMENT) /* a name that is "too long" for no memory */
            check(f, n, rc);
        if (rc == ERR_OK)
            catalog_point_fini(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, fixture_setup, \
                                                  fixture_teardown)
        ROW(opening_fails_whole),
        ROW(a_pool_is_added_whole_or_not_at_all),
        ROW(lists_are_whole_or_say_so),
        ROW(finding_says_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
