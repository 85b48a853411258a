/* SPDX-License-Identifier: Apache-2.0 */
/* The control API: routes, who may, what is refused, and the catalog's nouns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "gateway/api_route.h"
#include "tenants/catalog_job.h"
#include "tests/unit/api_rig.h"

static void the_index_lists_every_route_once(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    assert_int_equal(api_rig_ask(r, "GET", "", NULL, NULL), 200);
    assert_int_equal(json_count(api_rig_at(r, "routes")), api_route_count);
    assert_string_equal(api_rig_text(r, "routes.0.path"), "/api/v1");
    for (size_t i = 0; i < api_route_count; i++)
        for (size_t k = 0; k < i; k++)
            assert_false(api_route_table[i].action ==
                         api_route_table[k].action);
}

static const struct {
    const char *why, *method, *path, *body;
    int status;
    const char *detail;
} refused[] = {
    {"no such path", "GET", "/nothing", NULL, 404, "no such route"},
    {"too deep a path", "GET", "/a/b/c/d/e/f/g/h/i/j", NULL, 404,
     "no such route"},
    {"a slash behind", "GET", "/tenants/", NULL, 404, "no tenant ''"},
    {"another method", "DELETE", "/tenants", NULL, 405,
     "DELETE is not for this route"},
    {"an unknown parameter", "GET", "/tenants?colour=red", NULL, 400,
     "unknown query parameter 'colour'"},
    {"a parameter twice", "GET", "/tenants?limit=1&limit=2", NULL, 400,
     "query parameter 'limit' comes twice"},
    {"a limit of nothing", "GET", "/tenants?limit=0", NULL, 400,
     "limit: wanted 1 to 1000"},
    {"a cursor of nobody", "GET", "/jobs?cursor=%27--", NULL, 200, NULL},
    {"a cursor that is no number", "GET", "/rules?cursor=x", NULL, 400,
     "cursor: not one of ours"},
    {"no body", "POST", "/tenants", NULL, 400, "the body must be an object"},
    {"no object", "POST", "/tenants", "[]", 400, "the body must be an object"},
    {"no JSON", "POST", "/tenants", "{", 400, NULL},
    {"an unknown member", "POST", "/tenants",
     "{\"name\":\"x\",\"colour\":1}", 400, "unknown member 'colour'"},
    {"a member of another type", "POST", "/tenants", "{\"name\":1}", 400,
     "'name' must be text"},
    {"a member that is missing", "POST", "/tenants", "{\"title\":\"x\"}", 400,
     "'name' is missing"},
    {"a member that is null", "POST", "/tenants", "{\"name\":null}", 400,
     "'name' is missing"},
    {"a member twice", "POST", "/tenants",
     "{\"name\":\"x\",\"name\":\"y\"}", 400, NULL},
    {"a body that is not wanted", "POST", "/tenants/acme/suspend",
     "{\"a\":1}", 400, "this route takes no body"},
    {"a list with something else in it", "POST", "/backups",
     "{\"vms\":[1]}", 400, "'vms' must be an array of at most 1000 texts"},
    {"a map with something else in it", "POST", "/restores",
     "{\"point\":\"x\",\"pool\":\"east\",\"sr\":{\"0\":1}}", 400,
     "'sr' must be an object of at most 1000 texts"},
    {"a name that is none", "POST", "/tenants", "{\"name\":\"A B\"}", 400,
     "tenant name 'A B': wanted 1 to 40 of a-z, 0-9 and '-'"},
    {"a flag that is none", "GET", "/jobs?failed=yes", NULL, 400,
     "failed: wanted true or false"},
    {"a time that is none", "GET", "/audit?since=yesterday", NULL, 400,
     "since: wanted 2026-11-20 or 2026-11-20T08:15:30Z"},
    {"a kind that is none", "GET", "/jobs?kind=Backup", NULL, 400,
     "kind 'Backup': wanted backup, restore or verify"},
    {"a state that is none", "GET", "/jobs?state=lost", NULL, 400,
     "state 'lost': wanted queued, running, succeeded, warned, failed or "
     "cancelled"},
};

static void what_cannot_be_used_is_refused_by_name(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    for (size_t i = 0; i < BYTES_COUNT(refused); i++) {
        int status = api_rig_ask(r, refused[i].method, refused[i].path, NULL,
                                 refused[i].body);

        if (status != refused[i].status)
            fail_msg("%s: %d %s", refused[i].why, status,
                     api_rig_text(r, "detail"));
        if (refused[i].detail &&
            strcmp(api_rig_text(r, "detail"), refused[i].detail) != 0)
            fail_msg("%s: %s", refused[i].why, api_rig_text(r, "detail"));
        if (status >= 400) {
            assert_int_equal(api_rig_int(r, "status"), status);
            assert_int_equal(api_rig_int(r, "exit"),
                             status == 404 ? 4 : 2);
        }
    }
}

static void a_wrong_token_gets_nowhere(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    char wrong[SECRET_TOKEN_TEXT];

    memcpy(wrong, w->acme_token, sizeof(wrong));
    wrong[20] = wrong[20] == 'a' ? 'b' : 'a';
    assert_int_equal(api_rig_ask(r, "GET", "/version", wrong, NULL), 401);
    assert_int_equal(api_rig_int(r, "exit"), 5);
    assert_int_equal(api_rig_ask(r, "GET", "/nothing", wrong, NULL), 401);
    assert_int_equal(api_rig_ask(r, "GET", "/version", "", NULL), 401);
    assert_int_equal(api_rig_ask(r, "GET", "/version", w->acme_token, NULL),
                     200);
    assert_string_equal(api_rig_text(r, "principal"), "tenant");
    assert_string_equal(api_rig_text(r, "tenant"), "acme");
    assert_int_equal(api_rig_ask(r, "GET", "/version", NULL, NULL), 200);
    assert_string_equal(api_rig_text(r, "principal"), "provider");
    assert_string_equal(api_rig_text(r, "gateway"), "gw-1");
}

/* Every route, asked by a tenant with the other tenant's ids in it: 403 where
 * the action is the provider's, 404 where the thing is not in sight; lists do
 * not show it. */
static const struct {
    const char *method, *path, *body;
    int status;
} of_another[] = {
    {"GET", "/status", NULL, 403},
    {"POST", "/tenants", "{\"name\":\"x\"}", 403},
    {"GET", "/tenants/globex", NULL, 404},
    {"GET", "/tenants/nobody", NULL, 404},
    {"PATCH", "/tenants/globex", "{\"title\":\"x\"}", 403},
    {"POST", "/tenants/acme/leave", NULL, 403},
    {"POST", "/tokens", "{\"tenant\":\"acme\"}", 403},
    {"DELETE", "/tokens/2", NULL, 404},
    {"GET", "/tokens?tenant=globex", NULL, 404},
    {"GET", "/rules", NULL, 403},
    {"GET", "/pools", NULL, 403},
    {"GET", "/pools/east", NULL, 403},
    {"GET", "/vms?pool=east", NULL, 404},
    {"GET", "/vms?tenant=globex", NULL, 404},
    {"GET", "/vms/" RIG_VM_2, NULL, 404},
    {"GET", "/vms/" RIG_VM_3, NULL, 404},
    {"GET", "/resolve/vm?ref=globex-db", NULL, 404},
    {"GET", "/resolve/vm?ref=stray", NULL, 404},
    {"POST", "/vms/" RIG_VM_2 "/move", "{\"tenant\":\"acme\"}", 403},
    {"GET", "/vaults?tenant=globex", NULL, 404},
    {"GET", "/vaults/b6cf46c72f1025063ca57acc80feee45", NULL, 404},
    {"GET", "/vaults/main?tenant=globex", NULL, 404},
    {"POST", "/vaults/main/test?tenant=globex", NULL, 404},
    {"DELETE", "/vaults/main", NULL, 403},
    {"GET", "/vaults/main/keys?tenant=globex", NULL, 404},
    {"POST", "/vaults/main/keys/export", NULL, 403},
    {"POST", "/backups", "{\"vms\":[\"globex-db\"]}", 404},
    {"POST", "/backups", "{\"tenant\":\"globex\"}", 404},
    {"POST", "/backups", "{\"vms\":[\"stray\"]}", 404},
    {"GET", "/points/" RIG_POINT, NULL, 404},
    {"POST", "/points/" RIG_POINT "/verify", NULL, 404},
    {"GET", "/points?tenant=globex", NULL, 404},
    {"GET", "/resolve/point?ref=globex-db@latest", NULL, 404},
    {"POST", "/restores",
     "{\"point\":\"" RIG_POINT "\",\"output\":\"xva\"}", 404},
    {"POST", "/restores",
     "{\"point\":\"" RIG_POINT "\",\"pool\":\"east\"}", 403},
    {"GET", "/jobs?tenant=globex", NULL, 404},
    {"GET", "/audit?tenant=globex", NULL, 404},
};

static void another_tenants_things_are_not_there(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    char job[CATALOG_JOB_ID], path[64];
    static const char *const job_paths[] = {"", "/log"};

    api_rig_point(r, w->globex_vault, RIG_POINT, RIG_VM_2, "globex-db", true);
    for (size_t i = 0; i < BYTES_COUNT(of_another); i++) {
        int status = api_rig_ask(r, of_another[i].method, of_another[i].path,
                                 w->acme_token, of_another[i].body);

        if (status != of_another[i].status)
            fail_msg("%s %s: wanted %d, got %d %s", of_another[i].method,
                     of_another[i].path, of_another[i].status, status,
                     api_rig_text(r, "detail"));
        assert_null(strstr(r->asked, "backup"));
    }
    assert_int_equal(api_rig_ask(r, "POST", "/backups", NULL,
                                 "{\"vms\":[\"globex-db\"]}"),
                     202);
    snprintf(job, sizeof(job), "%s", api_rig_text(r, "jobs.0.id"));
    for (size_t i = 0; i < BYTES_COUNT(job_paths); i++) {
        snprintf(path, sizeof(path), "/jobs/%s%s", job, job_paths[i]);
        assert_int_equal(api_rig_ask(r, "GET", path, w->acme_token, NULL),
                         404);
        assert_int_equal(api_rig_ask(r, "GET", path, w->globex_token, NULL),
                         200);
    }
    snprintf(path, sizeof(path), "/jobs/%s/cancel", job);
    assert_int_equal(api_rig_ask(r, "POST", path, w->acme_token, NULL), 404);
    snprintf(path, sizeof(path), "/jobs/%s/retry", job);
    assert_int_equal(api_rig_ask(r, "POST", path, w->acme_token, NULL), 404);
}

static void lists_show_a_tenant_its_own_only(void **state)
{
    static const struct {
        const char *path, *member, *own;
        size_t count;
    } rows[] = {
        {"/tenants", "items.0.name", "acme", 1},
        {"/tokens", "items.0.tenant", "acme", 1},
        {"/vms", "items.0.name", "acme-web", 1},
        {"/vaults", "items.0.tenant", "acme", 1},
        {"/points", "items.0.tenant", "acme", 1},
    };
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    api_rig_point(r, w->globex_vault, RIG_POINT, RIG_VM_2, "globex-db", true);
    api_rig_point(r, w->acme_vault, "20261120T081531Z-0123abcd", RIG_VM_1,
                  "acme-web", true);
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        assert_int_equal(api_rig_ask(r, "GET", rows[i].path, w->acme_token,
                                     NULL),
                         200);
        if (json_count(api_rig_at(r, "items")) != rows[i].count)
            fail_msg("%s: %zu items", rows[i].path,
                     json_count(api_rig_at(r, "items")));
        assert_string_equal(api_rig_text(r, rows[i].member), rows[i].own);
    }
    /* Tenants see no pools, in no document. */
    api_rig_ask(r, "GET", "/vms", w->acme_token, NULL);
    assert_string_equal(api_rig_text(r, "items.0.pool"), "(absent)");
    api_rig_ask(r, "GET", "/points", w->acme_token, NULL);
    assert_string_equal(api_rig_text(r, "items.0.pool"), "(absent)");
    api_rig_ask(r, "GET", "/points?pool=east", w->acme_token, NULL);
    assert_int_equal(json_count(api_rig_at(r, "items")), 0);
    api_rig_ask(r, "GET", "/points?pool=east", NULL, NULL);
    assert_int_equal(json_count(api_rig_at(r, "items")), 2);
}

static void changes_leave_audit_lines_and_refusals_too(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    assert_int_equal(api_rig_ask(r, "POST", "/tenants", NULL,
                                 "{\"name\":\"initech\"}"),
                     201);
    assert_int_equal(api_rig_ask(r, "POST", "/tenants", NULL,
                                 "{\"name\":\"initech\"}"),
                     409);
    assert_int_equal(api_rig_ask(r, "DELETE", "/vaults/main", w->acme_token,
                                 NULL),
                     403);
    assert_int_equal(api_rig_ask(r, "GET", "/tenants", NULL, NULL), 200);
    assert_int_equal(api_rig_ask(r, "GET", "/audit", NULL, NULL), 200);
    assert_int_equal(json_count(api_rig_at(r, "items")), 3);
    assert_string_equal(api_rig_text(r, "items.0.action"), "vault.remove");
    assert_string_equal(api_rig_text(r, "items.0.outcome"), "denied");
    assert_string_equal(api_rig_text(r, "items.0.tenant"), "acme");
    assert_string_equal(api_rig_text(r, "items.0.actor"), "token 1 of acme");
    assert_string_equal(api_rig_text(r, "items.1.outcome"), "conflict");
    assert_string_equal(api_rig_text(r, "items.2.object"), "initech");
    assert_string_equal(api_rig_text(r, "items.2.outcome"), "ok");
    assert_string_equal(api_rig_text(r, "items.2.actor"), "provider");
    assert_int_equal(api_rig_ask(r, "GET", "/audit", w->acme_token, NULL),
                     200);
    assert_int_equal(json_count(api_rig_at(r, "items")), 1);
}

static void a_tenant_is_added_changed_and_erased(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    assert_int_equal(api_rig_ask(r, "POST", "/tenants", NULL,
                                 "{\"name\":\"initech\",\"title\":\"I\"}"),
                     201);
    assert_string_equal(api_rig_text(r, "state"), "active");
    assert_int_equal(api_rig_ask(r, "PATCH", "/tenants/initech", NULL,
                                 "{\"title\":\"J\"}"),
                     200);
    assert_string_equal(api_rig_text(r, "title"), "J");
    assert_int_equal(api_rig_ask(r, "POST", "/tenants/acme/suspend", NULL,
                                 NULL),
                     200);
    assert_string_equal(api_rig_text(r, "state"), "suspended");
    assert_int_equal(api_rig_ask(r, "GET", "/vaults", w->acme_token, NULL),
                     401);
    assert_int_equal(api_rig_ask(r, "POST", "/tenants/acme/resume", NULL,
                                 NULL),
                     200);
    assert_int_equal(api_rig_ask(r, "POST", "/tenants/acme/erase", NULL,
                                 "{\"confirm\":\"acme\"}"),
                     409);
    assert_int_equal(api_rig_ask(r, "POST", "/tenants/acme/leave", NULL,
                                 NULL),
                     200);
    assert_int_equal(api_rig_ask(r, "POST", "/tenants/acme/erase", NULL,
                                 "{\"confirm\":\"globex\"}"),
                     400);
    assert_int_equal(api_rig_ask(r, "POST", "/tenants/acme/erase", NULL,
                                 "{\"confirm\":\"acme\"}"),
                     204);
    assert_string_equal(r->asked, "vault_changed;");
    assert_int_equal(r->asked_id, w->acme_vault);
    assert_int_equal(api_rig_ask(r, "GET", "/tenants/acme", NULL, NULL), 404);
    assert_int_equal(api_rig_ask(r, "GET", "/tenants?limit=1", NULL, NULL),
                     200);
    assert_string_equal(api_rig_text(r, "items.0.name"), "globex");
    assert_string_equal(api_rig_text(r, "next"), "globex");
    assert_int_equal(api_rig_ask(r, "GET", "/tenants?cursor=globex", NULL,
                                 NULL),
                     200);
    assert_string_equal(api_rig_text(r, "items.0.name"), "initech");
    assert_string_equal(api_rig_text(r, "next"), "(null)");
}

static void a_token_is_shown_once(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    char token[SECRET_TOKEN_TEXT], path[64];
    int64_t id;

    assert_int_equal(api_rig_ask(r, "POST", "/tokens", NULL,
                                 "{\"tenant\":\"acme\",\"label\":\"ci\","
                                 "\"expires\":\"2100-01-01T00:00:00Z\"}"),
                     201);
    snprintf(token, sizeof(token), "%s", api_rig_text(r, "token"));
    id = api_rig_int(r, "id");
    assert_int_equal(api_rig_ask(r, "GET", "/tokens", token, NULL), 200);
    assert_string_equal(api_rig_text(r, "items.1.label"), "ci");
    assert_string_equal(api_rig_text(r, "items.1.token"), "(absent)");
    assert_string_equal(api_rig_text(r, "items.1.expires"),
                        "2100-01-01T00:00:00Z");
    snprintf(path, sizeof(path), "/tokens/%jd", (intmax_t)id);
    assert_int_equal(api_rig_ask(r, "DELETE", path, token, NULL), 200);
    assert_int_equal(api_rig_ask(r, "GET", "/tokens", token, NULL), 401);
    assert_int_equal(api_rig_ask(r, "POST", "/tokens", NULL,
                                 "{\"tenant\":\"acme\",\"expires\":\"soon\"}"),
                     400);
}

static void rules_come_and_go(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    char path[64];

    assert_int_equal(
        api_rig_ask(r, "POST", "/rules", NULL,
                    "{\"tenant\":\"acme\",\"pool\":\"east\",\"kind\":"
                    "\"other_config\",\"key\":\"owner\",\"value\":\"a\"}"),
        201);
    assert_string_equal(api_rig_text(r, "key"), "owner");
    snprintf(path, sizeof(path), "/rules/%jd", (intmax_t)api_rig_int(r, "id"));
    assert_int_equal(api_rig_ask(r, "GET", "/rules?tenant=acme&pool=east",
                                 NULL, NULL),
                     200);
    assert_int_equal(json_count(api_rig_at(r, "items")), 2);
    assert_int_equal(api_rig_ask(r, "DELETE", path, NULL, NULL), 204);
    assert_int_equal(api_rig_ask(r, "DELETE", path, NULL, NULL), 404);
    assert_int_equal(
        api_rig_ask(r, "POST", "/rules", NULL,
                    "{\"tenant\":\"acme\",\"pool\":\"east\",\"kind\":"
                    "\"colour\",\"value\":\"a\"}"),
        400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, api_rig_setup, \
                                                  api_rig_teardown)
        ROW(the_index_lists_every_route_once),
        ROW(what_cannot_be_used_is_refused_by_name),
        ROW(a_wrong_token_gets_nowhere),
        ROW(another_tenants_things_are_not_there),
        ROW(lists_show_a_tenant_its_own_only),
        ROW(changes_leave_audit_lines_and_refusals_too),
        ROW(a_tenant_is_added_changed_and_erased),
        ROW(a_token_is_shown_once),
        ROW(rules_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
