/* SPDX-License-Identifier: Apache-2.0 */
/* The control API: jobs and waiting for them. */
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

/* A queued job of acme. */
static void job_make(struct api_rig *r, char path[64])
{
    assert_int_equal(api_rig_ask(r, "POST", "/backups", NULL,
                                 "{\"vms\":[\"acme-web\"]}"),
                     202);
    snprintf(path, 64, "/jobs/%s", api_rig_text(r, "jobs.0.id"));
}

struct later {
    struct timer timer;
    struct api_rig *rig;
    const char *id;
};

static void on_later(struct timer *t)
{
    struct later *l = (struct later *)t;
    struct err err;

    assert_int_equal(catalog_job_log_add(l->rig->f.c, l->id, "info", "hello",
                                         &err),
                     ERR_OK);
    api_job_changed(l->rig->api, l->id);
}

static void a_long_poll_answers_when_the_job_changes(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    struct later later = {.rig = r};
    char path[64], ask[128];
    uint64_t begun;
    int64_t change;

    job_make(r, path);
    later.id = path + 6;
    assert_int_equal(api_rig_ask(r, "GET", path, NULL, NULL), 200);
    change = api_rig_int(r, "change");
    snprintf(ask, sizeof(ask), "%s?seen=%jd&wait_ms=60", path,
             (intmax_t)change);
    begun = clock_mono_ms(clock_system());
    assert_int_equal(api_rig_ask(r, "GET", ask, NULL, NULL), 200);
    assert_true(clock_mono_ms(clock_system()) - begun >= 55);
    assert_int_equal(api_rig_int(r, "change"), change);
    snprintf(ask, sizeof(ask), "%s?seen=%jd&wait_ms=30000", path,
             (intmax_t)change);
    timer_start(r->net.loop, &later.timer, 30, on_later);
    begun = clock_mono_ms(clock_system());
    assert_int_equal(api_rig_ask(r, "GET", ask, NULL, NULL), 200);
    assert_int_equal(api_rig_int(r, "change"), change + 1);
    assert_true(clock_mono_ms(clock_system()) - begun < 900);
    snprintf(ask, sizeof(ask), "%s/log?after=1&wait_ms=30000", path);
    timer_start(r->net.loop, &later.timer, 30, on_later);
    assert_int_equal(api_rig_ask(r, "GET", ask, NULL, NULL), 200);
    assert_int_equal(api_rig_int(r, "items.0.number"), 2);
    assert_string_equal(api_rig_text(r, "items.0.text"), "hello");
    assert_int_equal(api_rig_int(r, "after"), 2);
    assert_false(json_bool(api_rig_at(r, "final"), true));
    snprintf(ask, sizeof(ask), "%s?wait_ms=60001", path);
    assert_int_equal(api_rig_ask(r, "GET", ask, NULL, NULL), 400);
}

static void a_change_that_nobody_told_is_seen_within_two_seconds(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    struct rig_call call = {0};
    char path[64], ask[128];

    job_make(r, path);
    snprintf(ask, sizeof(ask), "%s?seen=1&wait_ms=10000", path);
    api_rig_begin(r, &call, "GET", ask, NULL, NULL);
    rig_run_ms(&r->net, 50);
    assert_int_equal(call.done, 0);
    assert_ok(&r->f, catalog_job_start(r->f.c, path + 6, &r->f.err));
    rig_run_ms(&r->net, 2000);
    assert_int_equal(call.done, 1);
    rig_fini(&call);
}

/* Pools are the provider's: a tenant sees what went wrong, not where. */
static void a_tenant_does_not_read_where_its_vms_run(void **state)
{
    static const char said[] = "tenant acme, VM east: backup: pool 'east': POST "
                               "10.0.0.1:443/: refused; 10.0.0.11 not east";
    static const char told[] = "tenant acme, VM east: backup: pool '(host)': "
                               "POST (host):443/: refused; 10.0.0.11 not east";
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    char path[64], log[80], result[400];
    struct err cause;

    job_make(r, path);
    snprintf(log, sizeof(log), "%s/log", path);
    snprintf(result, sizeof(result),
             "{\"packs\":3,\"warnings\":[\"a \\\"b\\\"\",\"%s\"]}", said);
    err_set(&cause, ERR_UNREACHABLE, 0, "%s", said);
    assert_ok(&r->f,
              catalog_job_log_add(r->f.c, path + 6, "error", said, &r->f.err));
    assert_ok(&r->f, catalog_job_finish(r->f.c, path + 6,
                                        &(struct catalog_job_end){
                                            .state = CATALOG_JOB_FAILED,
                                            .cause = &cause, .exit = 12,
                                            .result = result},
                                        &r->f.err));
    assert_int_equal(api_rig_ask(r, "GET", path, NULL, NULL), 200);
    assert_string_equal(api_rig_text(r, "error"), said);
    assert_string_equal(api_rig_text(r, "result.warnings.1"), said);
    assert_int_equal(api_rig_ask(r, "GET", path, w->acme_token, NULL), 200);
    assert_string_equal(api_rig_text(r, "error"), told);
    assert_int_equal(api_rig_int(r, "result.packs"), 3);
    assert_string_equal(api_rig_text(r, "result.warnings.0"), "a \"b\"");
    assert_string_equal(api_rig_text(r, "result.warnings.1"), told);
    assert_int_equal(api_rig_ask(r, "GET", "/jobs?limit=1", w->acme_token,
                                 NULL),
                     200);
    assert_string_equal(api_rig_text(r, "items.0.error"), told);
    assert_int_equal(api_rig_ask(r, "GET", log, NULL, NULL), 200);
    assert_string_equal(api_rig_text(r, "items.0.text"), said);
    assert_int_equal(api_rig_ask(r, "GET", log, w->acme_token, NULL), 200);
    assert_string_equal(api_rig_text(r, "items.0.text"), told);
}

static void a_final_job_keeps_nobody_waiting(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    char path[64], ask[128];
    struct err cause;

    job_make(r, path);
    err_set(&cause, ERR_INTEGRITY, 0, "tenant acme, VM web: pack 1");
    assert_ok(&r->f, catalog_job_finish(r->f.c, path + 6,
                                        &(struct catalog_job_end){
                                            .state = CATALOG_JOB_FAILED,
                                            .cause = &cause, .exit = 8,
                                            .result = "{\"a\":[1]}"},
                                        &r->f.err));
    snprintf(ask, sizeof(ask), "%s?seen=2&wait_ms=60000", path);
    assert_int_equal(api_rig_ask(r, "GET", ask, w->acme_token, NULL), 200);
    assert_string_equal(api_rig_text(r, "state"), "failed");
    assert_true(json_bool(api_rig_at(r, "final"), false));
    assert_int_equal(api_rig_int(r, "exit"), 8);
    assert_string_equal(api_rig_text(r, "code"), "integrity");
    assert_string_equal(api_rig_text(r, "error"),
                        "tenant acme, VM web: pack 1");
    assert_int_equal(api_rig_int(r, "result.a.0"), 1);
    snprintf(ask, sizeof(ask), "%s/log?wait_ms=60000", path);
    assert_int_equal(api_rig_ask(r, "GET", ask, NULL, NULL), 200);
    assert_true(json_bool(api_rig_at(r, "final"), false));
}

static void a_job_is_cancelled_once_it_runs_or_waits(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    char path[64], ask[80];

    job_make(r, path);
    snprintf(ask, sizeof(ask), "%s/cancel", path);
    assert_int_equal(api_rig_ask(r, "POST", ask, w->acme_token, NULL), 202);
    assert_string_equal(r->asked, "job_cancel;");
    assert_true(json_bool(api_rig_at(r, "cancel_asked"), false));
    assert_ok(&r->f, catalog_job_finish(r->f.c, path + 6,
                                        &(struct catalog_job_end){
                                            .state = CATALOG_JOB_CANCELLED},
                                        &r->f.err));
    assert_int_equal(api_rig_ask(r, "POST", ask, NULL, NULL), 409);
    assert_string_equal(r->asked, "");
    assert_int_equal(api_rig_int(r, "exit"), 7);
}

static void what_failed_is_done_again_as_it_was(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    char path[64], ask[80];

    api_rig_point(r, w->acme_vault, RIG_POINT, RIG_VM_1, "acme-web", true);
    assert_int_equal(
        api_rig_ask(r, "POST", "/restores", NULL,
                    "{\"point\":\"" RIG_POINT "\",\"pool\":\"east\","
                    "\"name\":\"n\"}"),
        202);
    snprintf(path, sizeof(path), "%s", api_rig_text(r, "jobs.0.id"));
    snprintf(ask, sizeof(ask), "/jobs/%s/retry", path);
    assert_int_equal(api_rig_ask(r, "POST", ask, NULL, NULL), 409);
    assert_ok(&r->f, catalog_job_finish(r->f.c, path,
                                        &(struct catalog_job_end){
                                            .state = CATALOG_JOB_FAILED},
                                        &r->f.err));
    /* It goes to a pool: not for a tenant. */
    assert_int_equal(api_rig_ask(r, "POST", ask, w->acme_token, NULL), 403);
    assert_int_equal(api_rig_ask(r, "POST", ask, NULL, NULL), 202);
    assert_string_equal(r->asked, "restore;");
    assert_non_null(strstr(r->params, "\"name\":\"n\""));
    assert_int_equal(api_rig_ask(r, "GET", "/jobs?limit=1", NULL, NULL), 200);
    assert_string_equal(api_rig_text(r, "items.0.point"), RIG_POINT);
    job_make(r, path);
    assert_ok(&r->f, catalog_job_finish(r->f.c, path + 6,
                                        &(struct catalog_job_end){
                                            .state = CATALOG_JOB_SUCCEEDED},
                                        &r->f.err));
    snprintf(ask, sizeof(ask), "%s/retry", path);
    assert_int_equal(api_rig_ask(r, "POST", ask, w->acme_token, NULL), 409);
}

static void a_client_that_leaves_stops_nothing_that_was_begun(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    struct rig_call call = {0};

    r->delay_ms = 200;
    api_rig_begin(r, &call, "POST", "/backups", NULL,
                  "{\"vms\":[\"acme-web\"]}");
    for (int i = 0; i < 400 && !r->asked[0]; i++)
        rig_run_ms(&r->net, 10);
    assert_string_equal(r->asked, "vm_list;");
    rig_cancel(&call);
    rig_run(&r->net);
    for (int i = 0; i < 400 && !strstr(r->asked, "backup"); i++)
        rig_run_ms(&r->net, 10);
    assert_string_equal(r->asked, "vm_list;backup;");
    for (int i = 0; i < 400; i++) {
        rig_run_ms(&r->net, 10);
        assert_int_equal(api_rig_ask(r, "GET", "/audit", NULL, NULL), 200);
        if (json_count(api_rig_at(r, "items")))
            break;
    }
    assert_string_equal(api_rig_text(r, "items.0.action"), "backup.start");
    rig_fini(&call);
}

static void closing_waits_for_what_is_under_way(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    static struct rig_call slow, waiting;
    char path[64], ask[128];

    /* The teardown closes the API while these two are there; what the rig
     * counts as pending ends with the server. */
    job_make(r, path);
    r->delay_ms = 100;
    api_rig_begin(r, &slow, "GET", "/status", NULL, NULL);
    snprintf(ask, sizeof(ask), "%s?seen=1&wait_ms=60000", path);
    api_rig_begin(r, &waiting, "GET", ask, NULL, NULL);
    rig_run_ms(&r->net, 20);
    assert_int_equal(slow.done + waiting.done, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, api_rig_setup, \
                                                  api_rig_teardown)
        ROW(a_long_poll_answers_when_the_job_changes),
        ROW(a_change_that_nobody_told_is_seen_within_two_seconds),
        ROW(a_final_job_keeps_nobody_waiting),
        ROW(a_job_is_cancelled_once_it_runs_or_waits),
        ROW(what_failed_is_done_again_as_it_was),
        ROW(a_client_that_leaves_stops_nothing_that_was_begun),
        ROW(closing_waits_for_what_is_under_way),
        ROW(a_tenant_does_not_read_where_its_vms_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
