/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "tests/unit/catalog_fixture.h"
#include "tenants/catalog_db.h"

/* A folder of its own for each test. */
struct place {
    struct fixture f;
    char dir[64];
    char path[96];
};

static int place_setup(void **state)
{
    struct place *p = test_malloc(sizeof(*p));

    fixture_begin(&p->f);
    snprintf(p->dir, sizeof(p->dir), "/tmp/cairn-catalog-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->path, sizeof(p->path), "%s/catalog.db", p->dir);
    *state = p;
    return 0;
}

static int place_teardown(void **state)
{
    static const char *const ends[] = {"", "-lock", "-wal", "-shm"};
    struct place *p = *state;
    char name[128];

    catalog_close(p->f.c);
    seal_suite_free(p->f.suite);
    for (size_t i = 0; i < BYTES_COUNT(ends); i++) {
        snprintf(name, sizeof(name), "%s%s", p->path, ends[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(p->dir), 0);
    test_free(p);
    return 0;
}

static void place_close(struct place *p)
{
    catalog_close(p->f.c);
    p->f.c = NULL;
}

static void what_was_written_is_there_after_reopening(void **state)
{
    struct place *p = *state;
    struct catalog_tenant t;
    struct stat st;
    struct buf b;

    assert_ok(&p->f, fixture_open(&p->f, p->path));
    assert_int_equal(p->f.err.code, ERR_OK); /* nor is anything left behind */
    assert_int_equal(catalog_schema(p->f.c), catalog_schema_newest());
    fixture_tenant(&p->f, "acme");
    assert_ok(&p->f, catalog_setting_set(p->f.c, "a", "1", &p->f.err));
    assert_ok(&p->f, catalog_setting_set(p->f.c, "a", "2", &p->f.err));
    place_close(p);
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_ok(&p->f, fixture_open(&p->f, p->path));
    assert_ok(&p->f, catalog_tenant_get(p->f.c, "acme", &t, &p->f.err));
    catalog_tenant_fini(&t);
    buf_init(&b, 64);
    assert_ok(&p->f, catalog_setting_get(p->f.c, "a", &b, &p->f.err));
    assert_string_equal(buf_text(&b), "2");
    buf_fini(&b);
    buf_init(&b, 64);
    assert_int_equal(catalog_setting_get(p->f.c, "b", &b, &p->f.err),
                     ERR_NOT_FOUND);
    buf_fini(&b);
}

static void a_killed_process_loses_nothing_committed(void **state)
{
    struct place *p = *state;
    struct catalog_tenant t;
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        int64_t id;

        if (fixture_open(&p->f, p->path) != ERR_OK ||
            catalog_tenant_add(p->f.c, "acme", "", &id, &p->f.err) != ERR_OK ||
            catalog_begin(p->f.c, &p->f.err) != ERR_OK ||
            catalog_tenant_add(p->f.c, "half", "", &id, &p->f.err) != ERR_OK)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_ok(&p->f, fixture_open(&p->f, p->path));
    assert_ok(&p->f, catalog_tenant_get(p->f.c, "acme", &t, &p->f.err));
    catalog_tenant_fini(&t);
    assert_int_equal(catalog_tenant_get(p->f.c, "half", &t, &p->f.err),
                     ERR_NOT_FOUND);
}

static void a_vault_whose_making_was_interrupted_is_gone(void **state)
{
    struct place *p = *state;
    struct catalog_vault v;
    int64_t made;

    assert_ok(&p->f, fixture_open(&p->f, p->path));
    fixture_tenant(&p->f, "acme");
    fixture_vault(&p->f, "acme", "half");
    made = fixture_vault(&p->f, "acme", "whole");
    assert_ok(&p->f,
              catalog_vault_set_state(p->f.c, made, CATALOG_VAULT_WAITING,
                                      "a6cf46c72f1025063ca57acc80feee45", "",
                                      &p->f.err));
    place_close(p);
    assert_ok(&p->f, fixture_open(&p->f, p->path));
    assert_int_equal(catalog_vault_get(p->f.c, 0, "half", &v, &p->f.err),
                     ERR_NOT_FOUND);
    assert_ok(&p->f, catalog_vault_get(p->f.c, 0, "whole", &v, &p->f.err));
    catalog_vault_fini(&v);
}

static void a_second_process_is_refused(void **state)
{
    struct place *p = *state;
    struct catalog *first;

    assert_ok(&p->f, fixture_open(&p->f, p->path));
    first = p->f.c;
    p->f.c = NULL;
    assert_int_equal(fixture_open(&p->f, p->path), ERR_CONFLICT);
    assert_non_null(strstr(p->f.err.text, "in use"));
    p->f.c = first;
}

static void another_gateway_key_is_refused(void **state)
{
    struct place *p = *state;

    assert_ok(&p->f, fixture_open(&p->f, p->path));
    place_close(p);
    p->f.key.b[0] ^= 1;
    assert_int_equal(fixture_open(&p->f, p->path), ERR_KEY);
    assert_non_null(strstr(p->f.err.text, "another gateway key"));
    p->f.key.b[0] ^= 1;
    assert_ok(&p->f, fixture_open(&p->f, p->path));
}

static void a_file_that_is_no_database_is_refused(void **state)
{
    struct place *p = *state;
    FILE *out = fopen(p->path, "w");

    assert_non_null(out);
    for (int i = 0; i < 1000; i++)
        fputs("this is not a catalog\n", out);
    fclose(out);
    assert_int_equal(fixture_open(&p->f, p->path), ERR_INTEGRITY);
    assert_non_null(strstr(p->f.err.text, "damaged"));
    assert_non_null(strstr(p->f.err.text, p->path));
}

static void overwritten_pages_are_found_when_opening(void **state)
{
    struct place *p = *state;
    uint8_t junk[4096];
    struct stat st;
    FILE *f;

    assert_ok(&p->f, fixture_open(&p->f, p->path));
    for (int i = 0; i < 400; i++) {
        char name[32];

        snprintf(name, sizeof(name), "tenant-%d", i);
        fixture_tenant(&p->f, name);
    }
    place_close(p);
    assert_int_equal(stat(p->path, &st), 0);
    memset(junk, 0xa5, sizeof(junk));
    f = fopen(p->path, "r+");
    assert_non_null(f);
    for (long at = 3 * 4096; at < st.st_size; at += 4096) {
        assert_int_equal(fseek(f, at, SEEK_SET), 0);
        assert_int_equal(fwrite(junk, sizeof(junk), 1, f), 1);
    }
    fclose(f);
    assert_int_equal(fixture_open(&p->f, p->path), ERR_INTEGRITY);
}

static void a_newer_schema_is_refused_and_left_alone(void **state)
{
    struct place *p = *state;
    struct sqlite3 *db;

    assert_ok(&p->f, fixture_open(&p->f, p->path));
    place_close(p);
    assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE schema_version SET version = 99",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(fixture_open(&p->f, p->path), ERR_CONFLICT);
    assert_non_null(strstr(p->f.err.text, "newer"));
}

static void steps_run_once_each_and_keep_the_rows(void **state)
{
    static const char *const steps[] = {
        "", "", "", /* stand for what made the file */
        "ALTER TABLE tenant ADD COLUMN extra INTEGER NOT NULL DEFAULT 5;"
        "CREATE TABLE second (x INTEGER)",
        "INSERT INTO second SELECT extra FROM tenant",
    };
    struct place *p = *state;
    int64_t sum = 0;

    assert_ok(&p->f, fixture_open(&p->f, p->path));
    assert_int_equal(catalog_schema_newest(), 3);
    fixture_tenant(&p->f, "acme");
    fixture_tenant(&p->f, "globex");
    assert_ok(&p->f, catalog_schema_migrate(p->f.c, steps, 4, &p->f.err));
    assert_int_equal(catalog_schema(p->f.c), 4);
    assert_ok(&p->f, catalog_schema_migrate(p->f.c, steps, 5, &p->f.err));
    assert_ok(&p->f, catalog_schema_migrate(p->f.c, steps, 5, &p->f.err));
    assert_int_equal(catalog_schema(p->f.c), 5);
    assert_ok(&p->f, catalog_db_one(p->f.c, &p->f.err, "", &sum,
                                    "SELECT sum(x) FROM second", ""));
    assert_int_equal(sum, 10);
}

static void a_step_that_fails_changes_nothing(void **state)
{
    static const char *const steps[] = {
        "", "", "",
        "CREATE TABLE second (x INTEGER); SELECT nonsense FROM nowhere"};
    struct place *p = *state;
    int64_t count = 7;

    assert_ok(&p->f, fixture_open(&p->f, p->path));
    assert_int_equal(catalog_schema_migrate(p->f.c, steps, 4, &p->f.err),
                     ERR_IO);
    assert_int_equal(catalog_schema(p->f.c), 3);
    assert_ok(&p->f,
              catalog_db_one(p->f.c, &p->f.err, "", &count,
                             "SELECT (SELECT count(*) FROM sqlite_schema"
                             " WHERE name = 'second')", ""));
    assert_int_equal(count, 0);
    place_close(p);
    assert_ok(&p->f, fixture_open(&p->f, p->path));
}

static void a_rolled_back_part_takes_the_whole_along(void **state)
{
    struct place *p = *state;
    struct catalog_tenant t;
    struct err *e = &p->f.err;

    assert_ok(&p->f, fixture_open(&p->f, p->path));
    assert_ok(&p->f, catalog_begin(p->f.c, e));
    fixture_tenant(&p->f, "one");
    assert_ok(&p->f, catalog_begin(p->f.c, e));
    fixture_tenant(&p->f, "two");
    catalog_rollback(p->f.c);
    assert_int_equal(catalog_commit(p->f.c, e), ERR_CONFLICT);
    assert_int_equal(catalog_tenant_get(p->f.c, "one", &t, e), ERR_NOT_FOUND);
    assert_ok(&p->f, catalog_begin(p->f.c, e));
    fixture_tenant(&p->f, "three");
    assert_ok(&p->f, catalog_commit(p->f.c, e));
    catalog_rollback(p->f.c); /* nothing is open: nothing happens */
    assert_ok(&p->f, catalog_tenant_get(p->f.c, "three", &t, e));
    catalog_tenant_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, place_setup, \
                                                  place_teardown)
        ROW(what_was_written_is_there_after_reopening),
        ROW(a_killed_process_loses_nothing_committed),
        ROW(a_vault_whose_making_was_interrupted_is_gone),
        ROW(a_second_process_is_refused),
        ROW(another_gateway_key_is_refused),
        ROW(a_file_that_is_no_database_is_refused),
        ROW(overwritten_pages_are_found_when_opening),
        ROW(a_newer_schema_is_refused_and_left_alone),
        ROW(steps_run_once_each_and_keep_the_rows),
        ROW(a_step_that_fails_changes_nothing),
        ROW(a_rolled_back_part_takes_the_whole_along),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
