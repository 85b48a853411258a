/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/catalog_fixture.h"
#include "tenants/catalog_job.h"
#include "tenants/catalog_journal.h"

#define VM "0b8f6a3e-51d2-4c1e-9c58-3f0d8a4f9c01"

struct jobs {
    struct fixture f;
    int64_t acme, globex, pool, vault;
};

static int jobs_setup(void **state)
{
    struct jobs *j = test_malloc(sizeof(*j));

    memset(j, 0, sizeof(*j));
    fixture_begin(&j->f);
    assert_int_equal(fixture_open(&j->f, ":memory:"), ERR_OK);
    j->acme = fixture_tenant(&j->f, "acme");
    j->globex = fixture_tenant(&j->f, "globex");
    j->pool = fixture_pool(&j->f, "p");
    j->vault = fixture_vault(&j->f, "acme", "main");
    *state = j;
    return 0;
}

static enum err_code jobs_try(struct jobs *j, const char *kind, int64_t tenant,
                              char id[CATALOG_JOB_ID])
{
    struct catalog_job job = {
        .kind = kind, .tenant_id = tenant, .pool_id = j->pool,
        .vault_id = tenant == j->acme ? j->vault : 0, .vm_uuid = VM,
        .vm_name = "web", .point = "", .params = "{}", .retry_of = ""};

    return catalog_job_add(j->f.c, &job, id, &j->f.err);
}

static void jobs_add(struct jobs *j, const char *kind, int64_t tenant,
                     char id[CATALOG_JOB_ID])
{
    assert_ok(&j->f, jobs_try(j, kind, tenant, id));
}

static void jobs_end(struct jobs *j, const char *id,
                     enum catalog_job_state to)
{
    assert_ok(&j->f, catalog_job_finish(j->f.c, id,
                                        &(struct catalog_job_end){.state = to},
                                        &j->f.err));
}

/* How often `id` was shown, and all of them in order. */
struct shown {
    char ids[10][CATALOG_JOB_ID];
    unsigned count;
};

static bool on_job(void *ctx, const struct catalog_job *j)
{
    struct shown *s = ctx;

    assert_true(s->count < 10);
    memcpy(s->ids[s->count++], j->id, CATALOG_JOB_ID);
    return true;
}

static void ids_sort_by_time_also_when_the_clock_stands(void **state)
{
    struct jobs *j = *state;
    char id[5][CATALOG_JOB_ID];
    struct catalog_page page = {.limit = 10};
    struct catalog_job_filter all = {0};
    struct shown s = {0};

    for (int i = 0; i < 5; i++) {
        if (i == 3)
            j->f.now_ms -= 5000; /* set back */
        if (i == 4)
            j->f.now_ms += 60000;
        jobs_add(j, "backup", j->acme, id[i]);
        assert_int_equal(strlen(id[i]), CATALOG_JOB_ID - 1);
        if (i)
            assert_true(strcmp(id[i - 1], id[i]) < 0);
    }
    assert_ok(&j->f, catalog_job_each(j->f.c, &all, &page, on_job, &s,
                                      &j->f.err));
    assert_int_equal(s.count, 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(s.ids[i], id[4 - i]);
}

static void a_job_goes_from_queue_to_an_end_once(void **state)
{
    struct jobs *j = *state;
    struct err cause;
    struct catalog_job_end end = {.state = CATALOG_JOB_FAILED,
                                  .cause = &cause, .exit = 13,
                                  .result = "{\"a\":1}"};
    struct catalog_job job;
    char id[CATALOG_JOB_ID];
    uint64_t change;

    err_set(&cause, ERR_UNREACHABLE, 0, "store: connection refused");
    jobs_add(j, "backup", j->acme, id);
    assert_ok(&j->f, catalog_job_get(j->f.c, j->acme, id, &job, &j->f.err));
    assert_int_equal(job.state, CATALOG_JOB_QUEUED);
    assert_string_equal(job.pool, "p");
    assert_string_equal(job.vault, "main");
    assert_string_equal(job.tenant, "acme");
    assert_int_equal(job.attempt, 1);
    change = job.change;
    catalog_job_fini(&job);
    /* Progress of a job that does not run is ignored. */
    assert_ok(&j->f, catalog_job_progress(j->f.c, id, "transfer", 1, 2,
                                          &j->f.err));
    assert_ok(&j->f, catalog_job_start(j->f.c, id, &j->f.err));
    assert_int_equal(catalog_job_start(j->f.c, id, &j->f.err), ERR_CONFLICT);
    assert_ok(&j->f, catalog_job_progress(j->f.c, id, "transfer", 5, 20,
                                          &j->f.err));
    assert_ok(&j->f, catalog_job_progress(j->f.c, id, NULL, 6, 20,
                                          &j->f.err));
    assert_ok(&j->f, catalog_job_get(j->f.c, 0, id, &job, &j->f.err));
    assert_string_equal(job.stage, "transfer");
    assert_int_equal(job.done_bytes, 6);
    assert_int_equal(job.total_bytes, 20);
    assert_int_equal(job.change, change + 3);
    catalog_job_fini(&job);
    j->f.now_ms += 5000;
    assert_ok(&j->f, catalog_job_finish(j->f.c, id, &end, &j->f.err));
    assert_int_equal(catalog_job_finish(j->f.c, id, &end, &j->f.err),
                     ERR_CONFLICT);
    assert_non_null(strstr(j->f.err.text, "is failed"));
    assert_int_equal(catalog_job_ask_cancel(j->f.c, id, &j->f.err),
                     ERR_CONFLICT);
    assert_ok(&j->f, catalog_job_get(j->f.c, 0, id, &job, &j->f.err));
    assert_int_equal(job.state, CATALOG_JOB_FAILED);
    assert_int_equal(job.code, ERR_UNREACHABLE);
    assert_int_equal(job.exit, 13);
    assert_string_equal(job.error, "store: connection refused");
    assert_string_equal(job.result, "{\"a\":1}");
    assert_int_equal(job.ended_ms, j->f.now_ms);
    catalog_job_fini(&job);
}

static void running_is_no_end(void **state)
{
    struct jobs *j = *state;
    char id[CATALOG_JOB_ID];

    jobs_add(j, "backup", j->acme, id);
    assert_int_equal(
        catalog_job_finish(j->f.c, id,
                           &(struct catalog_job_end){
                               .state = CATALOG_JOB_RUNNING},
                           &j->f.err),
        ERR_ARGUMENT);
    assert_int_equal(catalog_job_start(j->f.c, "nonesuch", &j->f.err),
                     ERR_NOT_FOUND);
}

static void another_tenants_job_is_not_found(void **state)
{
    struct jobs *j = *state;
    struct catalog_job job;
    char id[CATALOG_JOB_ID];

    jobs_add(j, "backup", j->acme, id);
    assert_int_equal(catalog_job_get(j->f.c, j->globex, id, &job, &j->f.err),
                     ERR_NOT_FOUND);
}

static void a_job_needs_things_that_are_there_and_the_tenants(void **state)
{
    struct jobs *j = *state;
    struct catalog_job job = {.kind = "backup", .tenant_id = j->globex,
                              .vault_id = j->vault, .vm_uuid = VM,
                              .vm_name = "", .point = "", .params = "{}",
                              .retry_of = ""};
    char id[CATALOG_JOB_ID];

    assert_int_equal(catalog_job_add(j->f.c, &job, id, &j->f.err),
                     ERR_NOT_FOUND);
    job.tenant_id = 999;
    assert_int_equal(catalog_job_add(j->f.c, &job, id, &j->f.err),
                     ERR_NOT_FOUND);
    job.tenant_id = j->acme;
    job.pool_id = 999;
    assert_int_equal(catalog_job_add(j->f.c, &job, id, &j->f.err),
                     ERR_NOT_FOUND);
    for (int s = CATALOG_TENANT_SUSPENDED; s <= CATALOG_TENANT_LEFT; s++) {
        assert_ok(&j->f, catalog_tenant_set_state(
                             j->f.c, "acme", (enum catalog_tenant_state)s,
                             &j->f.err));
        assert_int_equal(jobs_try(j, "backup", j->acme, id), ERR_DENIED);
        assert_ok(&j->f, jobs_try(j, "restore", j->acme, id));
    }
}

static void filters_narrow_the_list(void **state)
{
    struct jobs *j = *state;
    struct catalog_page page = {.limit = 10};
    char a[CATALOG_JOB_ID], b[CATALOG_JOB_ID], c[CATALOG_JOB_ID];
    struct shown s;

    jobs_add(j, "backup", j->acme, a);
    j->f.now_ms += 1000;
    jobs_add(j, "restore", j->acme, b);
    jobs_add(j, "backup", j->globex, c);
    jobs_end(j, a, CATALOG_JOB_FAILED);
    assert_ok(&j->f, catalog_job_start(j->f.c, b, &j->f.err));
#define LIST(...)                                                              \
    do {                                                                       \
        struct catalog_job_filter filter = {__VA_ARGS__};                      \
        memset(&s, 0, sizeof(s));                                              \
        assert_ok(&j->f, catalog_job_each(j->f.c, &filter, &page, on_job, &s,  \
                                          &j->f.err));                         \
    } while (0)
    LIST(.tenant_id = j->acme);
    assert_int_equal(s.count, 2);
    assert_string_equal(s.ids[0], b);
    LIST(.kind = "backup");
    assert_int_equal(s.count, 2);
    assert_string_equal(s.ids[1], a);
    LIST(.unfinished = true);
    assert_int_equal(s.count, 2);
    LIST(.failed = true);
    assert_int_equal(s.count, 1);
    assert_string_equal(s.ids[0], a);
    LIST(.by_state = true, .state = CATALOG_JOB_RUNNING);
    assert_int_equal(s.count, 1);
    assert_string_equal(s.ids[0], b);
    LIST(.vault = "main", .since_ms = j->f.now_ms);
    assert_int_equal(s.count, 1);
    assert_string_equal(s.ids[0], b);
    LIST(.vm_uuid = "other");
    assert_int_equal(s.count, 0);
    page.limit = 1;
    LIST(.tenant_id = 0);
    assert_string_equal(s.ids[0], c);
    assert_string_equal(page.next, c);
}

static void a_restart_queues_what_ran(void **state)
{
    struct jobs *j = *state;
    char a[CATALOG_JOB_ID], b[CATALOG_JOB_ID], c[CATALOG_JOB_ID];
    struct catalog_job job;
    unsigned count = 0;

    jobs_add(j, "backup", j->acme, a);
    jobs_add(j, "backup", j->acme, b);
    jobs_add(j, "backup", j->acme, c);
    assert_ok(&j->f, catalog_job_start(j->f.c, a, &j->f.err));
    assert_ok(&j->f, catalog_job_start(j->f.c, b, &j->f.err));
    jobs_end(j, b, CATALOG_JOB_SUCCEEDED);
    assert_ok(&j->f, catalog_job_requeue_all(j->f.c, &count, &j->f.err));
    assert_int_equal(count, 1);
    assert_ok(&j->f, catalog_job_get(j->f.c, 0, a, &job, &j->f.err));
    assert_int_equal(job.state, CATALOG_JOB_QUEUED);
    assert_int_equal(job.attempt, 2);
    catalog_job_fini(&job);
    assert_ok(&j->f, catalog_job_ask_cancel(j->f.c, a, &j->f.err));
    assert_ok(&j->f, catalog_job_ask_cancel(j->f.c, a, &j->f.err));
    assert_ok(&j->f, catalog_job_get(j->f.c, 0, a, &job, &j->f.err));
    assert_true(job.cancel_asked);
    catalog_job_fini(&job);
}

struct lines {
    uint64_t first, last, count;
    char text[CATALOG_JOB_LOG_TEXT + 1];
};

static bool on_line(void *ctx, const struct catalog_job_line *l)
{
    struct lines *s = ctx;

    if (s->count++ == 0)
        s->first = l->number;
    s->last = l->number;
    snprintf(s->text, sizeof(s->text), "%s", l->text);
    return true;
}

static void a_long_log_keeps_its_head_and_tail(void **state)
{
    struct jobs *j = *state;
    struct lines s = {0};
    char id[CATALOG_JOB_ID];

    jobs_add(j, "backup", j->acme, id);
    for (int i = 1; i <= CATALOG_JOB_LOG_MAX + 300; i++) {
        char text[32];

        snprintf(text, sizeof(text), "line %d", i);
        assert_ok(&j->f, catalog_job_log_add(j->f.c, id, "info", text,
                                             &j->f.err));
    }
    assert_ok(&j->f, catalog_job_log_each(j->f.c, id, 0, 5000, on_line, &s,
                                          &j->f.err));
    assert_int_equal(s.count, CATALOG_JOB_LOG_MAX);
    assert_int_equal(s.first, 1);
    assert_int_equal(s.last, 1300);
    assert_string_equal(s.text, "line 1300");
    memset(&s, 0, sizeof(s));
    assert_ok(&j->f, catalog_job_log_each(j->f.c, id, 200, 1, on_line, &s,
                                          &j->f.err));
    assert_int_equal(s.first, 501); /* 201 to 500 were dropped */
    memset(&s, 0, sizeof(s));
    assert_ok(&j->f, catalog_job_log_each(j->f.c, id, 1300, 1, on_line, &s,
                                          &j->f.err));
    assert_int_equal(s.count, 0);
    assert_int_equal(catalog_job_log_add(j->f.c, "none", "info", "x",
                                         &j->f.err),
                     ERR_NOT_FOUND);
}

static void a_line_is_cut_between_characters_and_kept_on_one_line(void **state)
{
    struct jobs *j = *state;
    char longer[CATALOG_JOB_LOG_TEXT + 100];
    struct lines s = {0};
    char id[CATALOG_JOB_ID];

    jobs_add(j, "backup", j->acme, id);
    /* 1023 letters, then two-byte characters: the limit falls inside one. */
    memset(longer, 'x', CATALOG_JOB_LOG_TEXT - 1);
    longer[0] = '\n';
    for (int i = 0; i < 10; i++)
        memcpy(longer + CATALOG_JOB_LOG_TEXT - 1 + 2 * i, "\xc3\xa9", 3);
    assert_ok(&j->f, catalog_job_log_add(j->f.c, id, "warn", longer,
                                         &j->f.err));
    assert_ok(&j->f, catalog_job_log_each(j->f.c, id, 0, 1, on_line, &s,
                                          &j->f.err));
    assert_int_equal(strlen(s.text), CATALOG_JOB_LOG_TEXT - 1);
    assert_int_equal(s.text[0], '?');
    assert_ok(&j->f, catalog_job_log_add(j->f.c, id, "warn", "a\xff z",
                                         &j->f.err));
    assert_ok(&j->f, catalog_job_log_each(j->f.c, id, 1, 1, on_line, &s,
                                          &j->f.err));
    assert_string_equal(s.text, "a? z");
}

struct rows {
    struct catalog_journal last;
    char ref[64], kind[32];
    unsigned count;
};

static bool on_journal(void *ctx, const struct catalog_journal *r)
{
    struct rows *s = ctx;

    s->last = *r;
    snprintf(s->ref, sizeof(s->ref), "%s", r->ref);
    snprintf(s->kind, sizeof(s->kind), "%s", r->kind);
    s->count++;
    return true;
}

static void the_journal_shows_what_is_still_open(void **state)
{
    struct jobs *j = *state;
    char id[CATALOG_JOB_ID], other[CATALOG_JOB_ID];
    struct catalog_journal row = {.pool_id = j->pool, .kind = "snapshot",
                                  .ref = "", .detail = "mark"};
    int64_t one, two;
    struct rows s = {0};

    jobs_add(j, "backup", j->acme, id);
    jobs_add(j, "backup", j->acme, other);
    memcpy(row.job_id, id, sizeof(id));
    assert_ok(&j->f, catalog_journal_add(j->f.c, &row, &one, &j->f.err));
    row.kind = "upload";
    row.pool_id = 0;
    row.vault_id = j->vault;
    assert_ok(&j->f, catalog_journal_add(j->f.c, &row, &two, &j->f.err));
    assert_ok(&j->f, catalog_journal_update(j->f.c, one, "OpaqueRef:1", NULL,
                                            &j->f.err));
    assert_ok(&j->f, catalog_journal_close(j->f.c, two, &j->f.err));
    assert_ok(&j->f, catalog_journal_close(j->f.c, two, &j->f.err));
    assert_ok(&j->f, catalog_journal_each_open(j->f.c, NULL, on_journal, &s,
                                               &j->f.err));
    assert_int_equal(s.count, 1);
    assert_string_equal(s.kind, "snapshot");
    assert_string_equal(s.ref, "OpaqueRef:1");
    assert_int_equal(s.last.pool_id, j->pool);
    assert_int_equal(s.last.vault_id, 0);
    assert_string_equal(s.last.job_id, id);
    s.count = 0;
    assert_ok(&j->f, catalog_journal_each_open(j->f.c, other, on_journal, &s,
                                               &j->f.err));
    assert_int_equal(s.count, 0);
    memcpy(row.job_id, "0000000000000000", CATALOG_JOB_ID);
    assert_int_equal(catalog_journal_add(j->f.c, &row, &two, &j->f.err),
                     ERR_NOT_FOUND);
    assert_int_equal(catalog_journal_close(j->f.c, 999, &j->f.err),
                     ERR_NOT_FOUND);
}

static void what_is_open_is_neither_forgotten_nor_pulled_away(void **state)
{
    struct jobs *j = *state;
    char id[CATALOG_JOB_ID];
    struct catalog_journal row = {.pool_id = j->pool, .vault_id = j->vault,
                                  .kind = "snapshot", .ref = "",
                                  .detail = ""};
    struct rows s = {0};
    struct catalog_job job;
    unsigned count = 9;
    int64_t entry;

    jobs_add(j, "backup", j->acme, id);
    memcpy(row.job_id, id, sizeof(id));
    assert_ok(&j->f, catalog_journal_add(j->f.c, &row, &entry, &j->f.err));
    assert_int_equal(catalog_vault_remove(j->f.c, j->vault, &j->f.err),
                     ERR_CONFLICT);
    jobs_end(j, id, CATALOG_JOB_FAILED);
    j->f.now_ms += 1000;
    /* what lies in the pool is not the vault's */
    assert_ok(&j->f, catalog_journal_each_at(j->f.c, 0, j->vault, on_journal,
                                             &s, &j->f.err));
    assert_int_equal(s.count, 0);
    assert_ok(&j->f, catalog_journal_each_at(j->f.c, j->pool, 0, on_journal,
                                             &s, &j->f.err));
    assert_int_equal(s.count, 1);
    assert_int_equal(catalog_pool_remove(j->f.c, j->pool, &j->f.err),
                     ERR_CONFLICT);
    assert_int_equal(catalog_vault_remove(j->f.c, j->vault, &j->f.err),
                     ERR_CONFLICT);
    assert_ok(&j->f, catalog_tenant_set_state(j->f.c, "acme",
                                              CATALOG_TENANT_LEFT,
                                              &j->f.err));
    assert_int_equal(catalog_tenant_erase(j->f.c, "acme", &j->f.err),
                     ERR_CONFLICT);
    assert_ok(&j->f, catalog_job_expire(j->f.c, j->f.now_ms, &count,
                                        &j->f.err));
    assert_int_equal(count, 0);
    assert_ok(&j->f, catalog_journal_close(j->f.c, entry, &j->f.err));
    assert_ok(&j->f, catalog_job_expire(j->f.c, j->f.now_ms - 1000, &count,
                                        &j->f.err));
    assert_int_equal(count, 0);
    assert_ok(&j->f, catalog_job_expire(j->f.c, j->f.now_ms, &count,
                                        &j->f.err));
    assert_int_equal(count, 1);
    assert_int_equal(catalog_job_get(j->f.c, 0, id, &job, &j->f.err),
                     ERR_NOT_FOUND);
}

static void what_is_open_in_a_vault_is_found(void **state)
{
    struct jobs *j = *state;
    char ended[CATALOG_JOB_ID], goes[CATALOG_JOB_ID];
    struct catalog_journal row = {.vault_id = j->vault, .kind = "upload",
                                  .ref = "u1", .detail = "packs/x"};
    struct rows s = {0};
    int64_t one, two;

    jobs_add(j, "backup", j->acme, ended);
    jobs_add(j, "backup", j->acme, goes);
    memcpy(row.job_id, ended, sizeof(ended));
    assert_ok(&j->f, catalog_journal_add(j->f.c, &row, &one, &j->f.err));
    memcpy(row.job_id, goes, sizeof(goes));
    assert_ok(&j->f, catalog_journal_add(j->f.c, &row, &two, &j->f.err));
    assert_ok(&j->f, catalog_journal_each_at(j->f.c, 0, j->vault, on_journal,
                                             &s, &j->f.err));
    assert_int_equal(s.count, 2); /* of jobs in whatever state */
    s.count = 0;
    assert_ok(&j->f, catalog_journal_close(j->f.c, two, &j->f.err));
    assert_ok(&j->f, catalog_journal_each_at(j->f.c, 0, j->vault, on_journal,
                                             &s, &j->f.err));
    assert_int_equal(s.count, 1);
    assert_int_equal(s.last.id, one);
    assert_string_equal(s.ref, "u1");
    s.count = 0;
    assert_ok(&j->f, catalog_journal_each_at(j->f.c, 0, j->vault + 1,
                                             on_journal, &s, &j->f.err));
    assert_int_equal(s.count, 0);
    assert_ok(&j->f, catalog_journal_close(j->f.c, one, &j->f.err));
    assert_ok(&j->f, catalog_journal_each_at(j->f.c, 0, j->vault, on_journal,
                                             &s, &j->f.err));
    assert_int_equal(s.count, 0);
}

static void a_jobs_pool_and_vault_are_named_after_they_are_gone(void **state)
{
    struct jobs *j = *state;
    char id[CATALOG_JOB_ID];
    struct catalog_job job;

    jobs_add(j, "backup", j->acme, id);
    jobs_end(j, id, CATALOG_JOB_WARNED);
    assert_ok(&j->f, catalog_pool_remove(j->f.c, j->pool, &j->f.err));
    assert_ok(&j->f, catalog_vault_remove(j->f.c, j->vault, &j->f.err));
    assert_ok(&j->f, catalog_job_get(j->f.c, 0, id, &job, &j->f.err));
    assert_int_equal(job.pool_id, 0);
    assert_int_equal(job.vault_id, 0);
    assert_string_equal(job.pool, "p");
    assert_string_equal(job.vault, "main");
    assert_int_equal(job.state, CATALOG_JOB_WARNED);
    catalog_job_fini(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, jobs_setup, \
                                                  fixture_teardown)
        ROW(ids_sort_by_time_also_when_the_clock_stands),
        ROW(a_job_goes_from_queue_to_an_end_once),
        ROW(running_is_no_end),
        ROW(another_tenants_job_is_not_found),
        ROW(a_job_needs_things_that_are_there_and_the_tenants),
        ROW(filters_narrow_the_list),
        ROW(a_restart_queues_what_ran),
        ROW(a_long_log_keeps_its_head_and_tail),
        ROW(a_line_is_cut_between_characters_and_kept_on_one_line),
        ROW(the_journal_shows_what_is_still_open),
        ROW(what_is_open_is_neither_forgotten_nor_pulled_away),
        ROW(what_is_open_in_a_vault_is_found),
        ROW(a_jobs_pool_and_vault_are_named_after_they_are_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
