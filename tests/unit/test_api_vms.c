/* SPDX-License-Identifier: Apache-2.0 */
/* The control API: VMs, backups, points, restores. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tenants/catalog_job.h"
#include "tenants/catalog_rule.h"
#include "tenants/catalog_point.h"
#include "tests/unit/api_rig.h"

static void vms_have_owners_and_reasons(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    int64_t id;

    assert_ok(&r->f, catalog_rule_add(r->f.c, "globex", "east", RULE_NAME, "",
                                      "*-web", &id, &r->f.err));
    api_rig_point(r, w->globex_vault, RIG_POINT, RIG_VM_2, "globex-db", true);
    r->pool_down = true;
    assert_int_equal(api_rig_ask(r, "GET", "/vms", NULL, NULL), 200);
    assert_int_equal(json_count(api_rig_at(r, "items")), 3);
    /* Claimed twice: nobody's. */
    assert_string_equal(api_rig_text(r, "items.0.name"), "acme-web");
    assert_string_equal(api_rig_text(r, "items.0.tenant"), "(null)");
    assert_true(json_bool(api_rig_at(r, "items.0.contested"), false));
    assert_string_equal(api_rig_text(r, "items.0.claims.0"), "acme");
    assert_string_equal(api_rig_text(r, "items.0.claims.1"), "globex");
    /* Owned by its newest point. */
    assert_string_equal(api_rig_text(r, "items.1.tenant"), "globex");
    assert_string_equal(api_rig_text(r, "items.1.owned_by"), "point");
    assert_string_equal(api_rig_text(r, "items.1.newest_point.id"), RIG_POINT);
    assert_string_equal(api_rig_text(r, "items.2.owned_by"), "(null)");
    assert_string_equal(api_rig_text(r, "unreachable.0.pool"), "west");
    assert_int_equal(api_rig_int(r, "unreachable.0.exit"), 12);
    assert_int_equal(api_rig_ask(r, "GET", "/vms?contested=true", NULL, NULL),
                     200);
    assert_int_equal(json_count(api_rig_at(r, "items")), 1);
    assert_int_equal(api_rig_ask(r, "GET", "/vms?uncovered=true", NULL, NULL),
                     200);
    assert_int_equal(json_count(api_rig_at(r, "items")), 2);
    assert_int_equal(api_rig_ask(r, "GET", "/vms?tenant=globex&pool=east",
                                 NULL, NULL),
                     200);
    assert_int_equal(json_count(api_rig_at(r, "items")), 1);
    assert_int_equal(r->asked_id, w->pool);
    assert_int_equal(api_rig_ask(r, "GET", "/vms?pool=none", NULL, NULL),
                     404);
}

static void vms_come_in_pages(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    char path[256];

    /* '-' sorts before '/': the order must be that of pools, not of text. */
    r->vms[0].pool = "east-2";
    assert_int_equal(api_rig_ask(r, "GET", "/vms?limit=2", NULL, NULL), 200);
    assert_string_equal(api_rig_text(r, "items.0.uuid"), RIG_VM_2);
    assert_string_equal(api_rig_text(r, "items.1.uuid"), RIG_VM_3);
    assert_string_equal(api_rig_text(r, "next"), "east/" RIG_VM_3);
    snprintf(path, sizeof(path), "/vms?limit=2&cursor=%s",
             api_rig_text(r, "next"));
    assert_int_equal(api_rig_ask(r, "GET", path, NULL, NULL), 200);
    assert_int_equal(json_count(api_rig_at(r, "items")), 1);
    assert_string_equal(api_rig_text(r, "items.0.uuid"), RIG_VM_1);
    assert_string_equal(api_rig_text(r, "next"), "(null)");
}

/* Page by page, one VM each, under two pools' roofs: each once, and no cursor
 * says where it runs. */
static void a_tenants_pages_do_not_name_pools(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    char path[256] = "/vms?limit=1", seen[256] = "";

    r->vms[1] = r->vms[0]; /* the same VM, seen in another pool as well */
    r->vms[1].pool = "west";
    r->vms[2].rule.name = "acme-db";
    for (int i = 0; i < 3; i++) {
        size_t at = strlen(seen);

        assert_int_equal(api_rig_ask(r, "GET", path, w->acme_token, NULL),
                         200);
        assert_int_equal(json_count(api_rig_at(r, "items")), 1);
        snprintf(seen + at, sizeof(seen) - at, "%s ",
                 api_rig_text(r, "items.0.name"));
        assert_null(strstr(api_rig_text(r, "next"), "east"));
        assert_null(strstr(api_rig_text(r, "next"), "west"));
        snprintf(path, sizeof(path), "/vms?limit=1&cursor=%s",
                 api_rig_text(r, "next"));
    }
    assert_string_equal(seen, "acme-web acme-web acme-db ");
    assert_string_equal(api_rig_text(r, "next"), "(null)");
    /* What was never ours skips nothing. */
    assert_int_equal(api_rig_ask(r, "GET", "/vms?cursor=east%2F" RIG_VM_3,
                                 w->acme_token, NULL),
                     200);
    assert_int_equal(json_count(api_rig_at(r, "items")), 3);
}

/* Nor does guessing tell: POOL/NAME is no name for a tenant. */
static void a_tenant_cannot_guess_a_pools_name(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    api_rig_point(r, w->acme_vault, RIG_POINT, RIG_VM_1, "acme-web", true);
    assert_int_equal(api_rig_ask(r, "GET", "/resolve/vm?ref=east%2Facme-web",
                                 NULL, NULL),
                     200);
    assert_int_equal(api_rig_ask(r, "GET", "/resolve/vm?ref=east%2Facme-web",
                                 w->acme_token, NULL),
                     404);
    assert_int_equal(api_rig_ask(r, "GET",
                                 "/resolve/point?ref=east%2Facme-web@latest",
                                 NULL, NULL),
                     200);
    assert_int_equal(api_rig_ask(r, "GET",
                                 "/resolve/point?ref=east%2Facme-web@latest",
                                 w->acme_token, NULL),
                     404);
    assert_int_equal(api_rig_ask(r, "GET",
                                 "/resolve/point?ref=acme-web@latest",
                                 w->acme_token, NULL),
                     200);
}

static void a_vm_is_resolved_where_it_is_unique(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    r->vms[2].rule.name = "acme-web";
    r->vms[2].pool = "west";
    assert_int_equal(api_rig_ask(r, "GET", "/resolve/vm?ref=acme-web", NULL,
                                 NULL),
                     409);
    assert_int_equal(api_rig_int(r, "exit"), 7);
    assert_non_null(strstr(api_rig_text(r, "detail"), RIG_VM_1));
    assert_non_null(strstr(api_rig_text(r, "detail"), RIG_VM_3));
    assert_int_equal(api_rig_ask(r, "GET", "/resolve/vm?ref=west%2Facme-web",
                                 NULL, NULL),
                     200);
    assert_string_equal(api_rig_text(r, "uuid"), RIG_VM_3);
    assert_int_equal(api_rig_ask(r, "GET", "/resolve/vm?ref=acme-web",
                                 w->globex_token, NULL),
                     404);
    assert_int_equal(api_rig_ask(r, "GET", "/vms/" RIG_VM_1, w->acme_token,
                                 NULL),
                     200);
    assert_string_equal(api_rig_text(r, "name"), "acme-web");
    assert_int_equal(api_rig_ask(r, "GET", "/vms/acme-web", NULL, NULL), 404);
    assert_int_equal(api_rig_ask(r, "GET", "/resolve/vm", NULL, NULL), 400);
    r->pool_down = true;
    assert_int_equal(api_rig_ask(r, "GET", "/resolve/vm?ref=gone", NULL, NULL),
                     502);
    assert_int_equal(api_rig_int(r, "exit"), 12);
    assert_non_null(strstr(api_rig_text(r, "detail"), "'west'"));
}

static void a_move_changes_the_owner(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    assert_int_equal(api_rig_ask(r, "POST", "/vms/" RIG_VM_1 "/move", NULL,
                                 "{\"tenant\":\"globex\"}"),
                     200);
    assert_int_equal(api_rig_ask(r, "GET", "/vms/" RIG_VM_1, NULL, NULL), 200);
    assert_string_equal(api_rig_text(r, "tenant"), "globex");
    assert_true(json_bool(api_rig_at(r, "contested"), false));
    assert_int_equal(api_rig_ask(r, "POST", "/vms/x/move", NULL,
                                 "{\"tenant\":\"globex\"}"),
                     400);
}

static void a_backup_becomes_one_job_per_vm(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    assert_int_equal(
        api_rig_ask(r, "POST", "/backups", NULL,
                    "{\"vms\":[\"acme-web\",\"" RIG_VM_1 "\",\"globex-db\"]}"),
        202);
    assert_string_equal(r->asked, "vm_list;backup;backup;");
    assert_int_equal(json_count(api_rig_at(r, "jobs")), 2);
    assert_string_equal(api_rig_text(r, "jobs.0.tenant"), "acme");
    assert_string_equal(api_rig_text(r, "jobs.0.vault"), "main");
    assert_string_equal(api_rig_text(r, "jobs.1.vm"), RIG_VM_2);
    assert_int_equal(api_rig_ask(r, "POST", "/backups", w->acme_token,
                                 "{\"tenant\":\"acme\"}"),
                     202);
    assert_int_equal(json_count(api_rig_at(r, "jobs")), 1);
    assert_int_equal(r->asked_id, w->acme_vault);
    assert_int_equal(api_rig_ask(r, "GET", "/jobs", w->acme_token, NULL), 200);
    assert_int_equal(json_count(api_rig_at(r, "items")), 2);
    assert_string_equal(api_rig_text(r, "items.0.kind"), "backup");
    assert_string_equal(api_rig_text(r, "items.0.vm.name"), "acme-web");
    assert_string_equal(api_rig_text(r, "items.0.state"), "queued");
}

static void a_backup_without_owner_vault_or_vm_is_refused_whole(void **state)
{
    static const struct {
        const char *body;
        int status, exit;
    } rows[] = {
        {"{}", 400, 2},
        {"{\"vms\":[]}", 400, 2},
        {"{\"vms\":[\"acme-web\",\"nobody\"]}", 404, 4},
        {"{\"vms\":[\"acme-web\",\"stray\"]}", 422, 6},
        {"{\"vms\":[\"acme-web\"],\"tenant\":\"globex\"}", 404, 4},
        {"{\"vms\":[\"acme-web\"],\"vault\":\"none\"}", 404, 10},
        {"{\"tenant\":\"none\"}", 404, 4},
    };
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    int64_t second;

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        assert_int_equal(api_rig_ask(r, "POST", "/backups", NULL,
                                     rows[i].body),
                         rows[i].status);
        assert_int_equal(api_rig_int(r, "exit"), rows[i].exit);
        assert_null(strstr(r->asked, "backup"));
    }
    /* Two vaults, and no point that says which. */
    second = fixture_vault(&r->f, "acme", "second");
    assert_int_equal(api_rig_ask(r, "POST", "/backups", NULL,
                                 "{\"vms\":[\"acme-web\"],"
                                 "\"vault\":\"second\"}"),
                     409); /* it is not ready */
    assert_ok(&r->f, catalog_vault_set_state(r->f.c, second,
                                             CATALOG_VAULT_READY, RIG_VAULT_ID,
                                             "", &r->f.err));
    assert_int_equal(api_rig_ask(r, "POST", "/backups", NULL,
                                 "{\"vms\":[\"acme-web\"]}"),
                     409);
    assert_int_equal(api_rig_ask(r, "POST", "/backups", NULL,
                                 "{\"vms\":[\"acme-web\"],"
                                 "\"vault\":\"second\"}"),
                     202);
    assert_int_equal(r->asked_id, second);
    api_rig_point(r, w->acme_vault, RIG_POINT, RIG_VM_1, "acme-web", true);
    assert_int_equal(api_rig_ask(r, "POST", "/backups", NULL,
                                 "{\"vms\":[\"acme-web\"]}"),
                     202);
    assert_int_equal(r->asked_id, w->acme_vault);
}

#define RIG_VM_GONE "0b8f6a3e-51d2-4c1e-9c58-3f0d8a4f9c0f"

static void a_pool_that_is_down_hides_no_vm_of_a_backup(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    static const char all[] = "{\"tenant\":\"acme\"}";
    struct catalog_point gone = {
        .name = "points/17c3a54779ee8ea567a56177b637fdf5/" RIG_POINT,
        .series = RIG_VM_GONE, .vm_uuid = RIG_VM_GONE, .vm_name = "gone",
        .pool = "west", .mode = "xva", .gateway = "gw-1", .disks = "[]",
        .started_ms = 1000};
    int64_t id;

    /* A pool in which the tenant has nothing is no matter. */
    r->pool_down = true;
    assert_int_equal(api_rig_ask(r, "POST", "/backups", NULL, all), 202);
    assert_int_equal(json_count(api_rig_at(r, "failed")), 0);
    fixture_pool(&r->f, "west");
    assert_ok(&r->f, catalog_rule_add(r->f.c, "acme", "west", RULE_TAG, "",
                                      "gold", &id, &r->f.err));
    assert_int_equal(api_rig_ask(r, "POST", "/backups", NULL, all), 202);
    assert_int_equal(json_count(api_rig_at(r, "failed")), 1);
    assert_ok(&r->f, catalog_rule_remove(r->f.c, id, &r->f.err));
    /* Without a rule: a VM was backed up from there that no pool shows. */
    gone.vault_id = w->acme_vault;
    assert_ok(&r->f, catalog_point_put(r->f.c, &gone, &r->f.err));
    assert_int_equal(api_rig_ask(r, "POST", "/backups", NULL, all), 202);
    assert_int_equal(json_count(api_rig_at(r, "jobs")), 1);
    assert_int_equal(json_count(api_rig_at(r, "failed")), 1);
    assert_int_equal(api_rig_int(r, "failed.0.exit"), 12);
    assert_string_equal(api_rig_text(r, "failed.0.detail"),
                        "pool 'west' does not answer, what tenant 'acme' has "
                        "there is not backed up: connection refused");
    /* Its tenant is not told which pools there are. */
    assert_int_equal(api_rig_ask(r, "POST", "/backups", w->acme_token, all),
                     202);
    assert_string_equal(api_rig_text(r, "failed.0.detail"),
                        "a pool does not answer, what tenant 'acme' has there "
                        "is not backed up");
    /* A VM of a pool that answers is not looked for in it. */
    assert_int_equal(api_rig_ask(r, "GET", "/resolve/vm?ref=east/none", NULL,
                                 NULL),
                     404);
    assert_int_equal(api_rig_ask(r, "GET", "/resolve/vm?ref=west/none", NULL,
                                 NULL),
                     502);
    assert_int_equal(api_rig_ask(r, "GET", "/resolve/vm?ref=east/none",
                                 w->acme_token, NULL),
                     502);
    /* Nothing of it answers: that is the cause. */
    r->vm_count = 0;
    assert_int_equal(api_rig_ask(r, "POST", "/backups", NULL, all), 502);
    assert_int_equal(api_rig_int(r, "exit"), 12);
}

static void a_backup_that_the_engine_refuses_is_a_problem(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    /* vm_list() must work, job_start() must not. */
    assert_ok(&r->f, catalog_tenant_set_state(r->f.c, "acme",
                                              CATALOG_TENANT_SUSPENDED,
                                              &r->f.err));
    assert_int_equal(api_rig_ask(r, "POST", "/backups", NULL,
                                 "{\"vms\":[\"acme-web\"]}"),
                     403);
    assert_int_equal(api_rig_int(r, "exit"), 5);
    assert_int_equal(api_rig_ask(r, "POST", "/backups", NULL,
                                 "{\"vms\":[\"acme-web\",\"globex-db\"]}"),
                     202);
    assert_int_equal(json_count(api_rig_at(r, "jobs")), 1);
    assert_string_equal(api_rig_text(r, "failed.0.name"), "acme-web");
    assert_int_equal(api_rig_int(r, "failed.0.exit"), 5);
    err_set(&r->err, ERR_UNREACHABLE, 0, "no pool answers");
    assert_int_equal(api_rig_ask(r, "POST", "/backups", NULL,
                                 "{\"vms\":[\"acme-web\"]}"),
                     502);
    assert_int_equal(api_rig_int(r, "exit"), 12);
}

static void points_are_listed_shown_and_verified(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    api_rig_point(r, w->acme_vault, RIG_POINT, RIG_VM_1, "acme-web", true);
    api_rig_point(r, w->acme_vault, "20261121T081530Z-00000001", RIG_VM_1,
                  "acme-web", true);
    assert_int_equal(api_rig_ask(r, "GET", "/points?vm=acme-web&limit=1",
                                 w->acme_token, NULL),
                     200);
    assert_string_equal(api_rig_text(r, "items.0.id"),
                        "20261121T081530Z-00000001");
    assert_int_equal(json_count(api_rig_at(r, "items")), 1);
    assert_string_not_equal(api_rig_text(r, "next"), "(null)");
    assert_int_equal(api_rig_ask(r, "GET",
                                 "/points?vm=" RIG_VM_1
                                 "&from=2026-11-20&before=2026-11-21",
                                 NULL, NULL),
                     200);
    assert_int_equal(json_count(api_rig_at(r, "items")), 1);
    assert_string_equal(api_rig_text(r, "items.0.id"), RIG_POINT);
    assert_string_equal(api_rig_text(r, "items.0.time"),
                        "2026-11-20T08:15:30Z");
    assert_int_equal(api_rig_ask(r, "GET", "/points/" RIG_POINT,
                                 w->acme_token, NULL),
                     200);
    assert_string_equal(api_rig_text(r, "vault"), "main");
    assert_int_equal(api_rig_ask(r, "GET",
                                 "/resolve/point?ref=east%2Facme-web@latest",
                                 NULL, NULL),
                     200);
    assert_string_equal(api_rig_text(r, "id"), "20261121T081530Z-00000001");
    assert_int_equal(api_rig_ask(r, "GET", "/points?vault=none", NULL, NULL),
                     404);
    assert_int_equal(api_rig_int(r, "exit"), 10);
    assert_int_equal(api_rig_ask(r, "POST", "/points/" RIG_POINT "/verify",
                                 w->acme_token, NULL),
                     202);
    assert_string_equal(r->asked, "verify;");
    assert_string_equal(api_rig_text(r, "jobs.0.vm"), RIG_VM_1);
    r->doc = "{\"points\":2}";
    assert_int_equal(api_rig_ask(r, "POST", "/vaults/main/refresh",
                                 w->acme_token, NULL),
                     200);
    assert_string_equal(r->asked, "point_refresh;");
}

static void a_restore_says_all_that_the_engine_needs(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    api_rig_point(r, w->acme_vault, RIG_POINT, RIG_VM_1, "acme-web", true);
    assert_int_equal(
        api_rig_ask(r, "POST", "/restores", NULL,
                    "{\"point\":\"acme-web@latest\",\"pool\":\"east\","
                    "\"sr\":{\"*\":\"fast\"},\"network\":{\"0\":\"none\"},"
                    "\"mac\":\"keep\",\"name\":\"n\",\"start\":true}"),
        202);
    assert_string_equal(r->asked, "restore;");
    assert_string_equal(r->params,
                        "{\"sr\":{\"*\":\"fast\"},\"network\":{\"0\":"
                        "\"none\"},\"mac\":\"keep\",\"uuid\":\"new\","
                        "\"name\":\"n\",\"start\":true,\"dry_run\":false}");
    assert_int_equal(api_rig_ask(r, "GET", "/jobs?kind=restore", NULL, NULL),
                     200);
    assert_string_equal(api_rig_text(r, "items.0.point"), RIG_POINT);
    assert_string_equal(api_rig_text(r, "items.0.pool"), "east");
    assert_int_equal(api_rig_ask(r, "GET", "/jobs?kind=restore",
                                 w->acme_token, NULL),
                     200);
    assert_string_equal(api_rig_text(r, "items.0.pool"), "(absent)");
}

static void a_restore_to_nowhere_or_twice_is_refused(void **state)
{
    static const struct {
        const char *body;
        int status, exit;
    } rows[] = {
        {"{\"point\":\"x\"}", 400, 2},
        {"{\"point\":\"x\",\"pool\":\"east\",\"output\":\"xva\"}", 400, 2},
        {"{\"point\":\"x\",\"output\":\"tar\"}", 400, 2},
        {"{\"point\":\"x\",\"output\":\"raw\"}", 400, 2},
        {"{\"point\":\"x\",\"output\":\"raw\",\"disk\":-1}", 400, 2},
        {"{\"point\":\"x\",\"output\":\"xva\",\"disk\":0}", 400, 2},
        {"{\"point\":\"x\",\"output\":\"xva\",\"start\":true}", 400, 2},
        {"{\"point\":\"x\",\"pool\":\"east\",\"disk\":0}", 400, 2},
        {"{\"point\":\"x\",\"pool\":\"east\",\"mac\":\"old\"}", 400, 2},
        {"{\"point\":\"x\",\"pool\":\"east\",\"name\":\"a\\nb\"}", 400, 2},
        {"{\"point\":\"x\",\"pool\":\"east\",\"uuid\":\"old\"}", 400, 2},
        {"{\"point\":\"x\",\"pool\":\"east\"}", 404, 4},
        {"{\"point\":\"" RIG_POINT "\",\"pool\":\"none\"}", 404, 4},
        {"{\"point\":\"" RIG_POINT "\",\"pool\":\"east\",\"vault\":\"none\"}",
         404, 10},
    };
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    api_rig_point(r, w->acme_vault, RIG_POINT, RIG_VM_1, "acme-web", true);
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        int status = api_rig_ask(r, "POST", "/restores", NULL, rows[i].body);

        if (status != rows[i].status || api_rig_int(r, "exit") != rows[i].exit)
            fail_msg("%s: %d %s", rows[i].body, status,
                     api_rig_text(r, "detail"));
        assert_string_equal(r->asked, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, api_rig_setup, \
                                                  api_rig_teardown)
        ROW(vms_have_owners_and_reasons),
        ROW(vms_come_in_pages),
        ROW(a_tenants_pages_do_not_name_pools),
        ROW(a_tenant_cannot_guess_a_pools_name),
        ROW(a_vm_is_resolved_where_it_is_unique),
        ROW(a_move_changes_the_owner),
        ROW(a_backup_becomes_one_job_per_vm),
        ROW(a_backup_without_owner_vault_or_vm_is_refused_whole),
        ROW(a_pool_that_is_down_hides_no_vm_of_a_backup),
        ROW(a_backup_that_the_engine_refuses_is_a_problem),
        ROW(points_are_listed_shown_and_verified),
        ROW(a_restore_says_all_that_the_engine_needs),
        ROW(a_restore_to_nowhere_or_twice_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
