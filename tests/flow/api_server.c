/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_server - the control API on a unix socket over a catalog in memory, with
 * two tenants and a backend that agrees to everything: for tests that walk the
 * whole of it. Prints one line of JSON - where it is, tokens, and the ids of
 * each tenant's things - and runs until standard input ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <poll.h>

#include <cmocka.h>

#include "tenants/catalog_rule.h"
#include "tests/unit/api_rig.h"

#define POINT_1 "20261120T081530Z-00000001"
#define POINT_2 "20261120T081530Z-00000002"

static int64_t job_ended(struct api_rig *r, const char *kind, int64_t tenant,
                         int64_t vault, const char *vm,
                         char id[CATALOG_JOB_ID])
{
    struct err cause;
    struct catalog_job j = {.kind = kind, .tenant_id = tenant,
                            .vault_id = vault, .vm_uuid = vm, .vm_name = "w",
                            .point = "", .params = "{}", .retry_of = ""};

    err_set(&cause, ERR_AGAIN, 0, "try again");
    assert_ok(&r->f, catalog_job_add(r->f.c, &j, id, &r->f.err));
    assert_ok(&r->f, catalog_job_log_add(r->f.c, id, "info", "begun",
                                         &r->f.err));
    assert_ok(&r->f, catalog_job_finish(r->f.c, id,
                                        &(struct catalog_job_end){
                                            .state = CATALOG_JOB_FAILED,
                                            .cause = &cause, .exit = 75,
                                            .result = "{\"a\":1}"},
                                        &r->f.err));
    return 0;
}

/* A job that waits, so that it can be cancelled. */
static void job_open(struct api_rig *r, int64_t tenant, int64_t vault,
                     char id[CATALOG_JOB_ID])
{
    struct catalog_job j = {.kind = "backup", .tenant_id = tenant,
                            .vault_id = vault, .vm_uuid = RIG_VM_1,
                            .vm_name = "w", .point = "", .params = "{}",
                            .retry_of = ""};

    assert_ok(&r->f, catalog_job_add(r->f.c, &j, id, &r->f.err));
}

static void things_print(const char *name, const char *token, const char *vm,
                         const char *point, const char *job,
                         const char *open_job, const char *vault_id, int id)
{
    printf("\"%s\":{\"secret\":\"%s\",\"tenant\":\"%s\",\"token\":\"%d\","
           "\"rule\":\"%d\",\"pool\":\"east\",\"vm\":\"%s\",\"vault\":\"%s\","
           "\"point\":\"%s\",\"job\":\"%s\",\"open_job\":\"%s\"}",
           name, token, name, id, id, vm, vault_id, point, job, open_job);
}

struct watcher {
    struct timer timer;
    struct api_rig *rig;
};

static void on_look(struct timer *t)
{
    struct watcher *w = (struct watcher *)t;
    struct pollfd in = {.fd = 0, .events = POLLIN};

    if (poll(&in, 1, 0) > 0) {
        loop_stop(w->rig->net.loop);
        return;
    }
    timer_start(w->rig->net.loop, t, 50, on_look);
}

int main(void)
{
    struct api_rig_world *w = NULL;
    char jobs[2][CATALOG_JOB_ID], open_jobs[2][CATALOG_JOB_ID];
    struct watcher watcher;
    struct api_rig *r;
    void *state = NULL;
    int64_t id;

    api_rig_setup(&state);
    w = state;
    r = &w->rig;
    r->defaults = true;
    api_rig_point(r, w->acme_vault, POINT_1, RIG_VM_1, "acme-web", true);
    api_rig_point(r, w->globex_vault, POINT_2, RIG_VM_2, "globex-db", true);
    job_ended(r, "backup", w->acme, w->acme_vault, RIG_VM_1, jobs[0]);
    job_ended(r, "backup", w->globex, w->globex_vault, RIG_VM_2, jobs[1]);
    job_open(r, w->acme, w->acme_vault, open_jobs[0]);
    job_open(r, w->globex, w->globex_vault, open_jobs[1]);
    fixture_tenant(&r->f, "leaver");
    assert_ok(&r->f, catalog_tenant_set_state(r->f.c, "leaver",
                                              CATALOG_TENANT_LEFT,
                                              &r->f.err));
    fixture_pool(&r->f, "spare");
    id = fixture_vault(&r->f, "acme", "spare");
    assert_true(id > 0);
    printf("{\"socket\":\"%s\",", r->socket);
    things_print("acme", w->acme_token, RIG_VM_1, POINT_1, jobs[0],
                 open_jobs[0], RIG_VAULT_ID, 1);
    printf(",");
    things_print("globex", w->globex_token, RIG_VM_2, POINT_2, jobs[1],
                 open_jobs[1], "b6cf46c72f1025063ca57acc80feee45", 2);
    printf("}\n");
    fflush(stdout);
    watcher = (struct watcher){.rig = r};
    timer_start(r->net.loop, &watcher.timer, 50, on_look);
    loop_run(r->net.loop);
    return api_rig_teardown(&state);
}
