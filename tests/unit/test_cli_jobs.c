/* SPDX-License-Identifier: Apache-2.0 */
/* The program cairn where jobs are waited for: backups, restores, logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/api_call.h"
#include "tests/unit/cli_rig.h"

static struct cli_rig program;

static void a_backup_waits_and_exits_as_its_job(void **state)
{
    struct api_rig *r = &((struct api_rig_world *)*state)->rig;
    struct cli_rig *p = &program;
    struct err cause;
    struct cli_rig_ending e = {.end = {.state = CATALOG_JOB_SUCCEEDED}};

    p->tick = cli_rig_end_job;
    p->user = &e;
    assert_exit(0, RUN("backup", "acme-web"));
    assert_has(p->out, RIG_POINT);
    assert_has(p->err, "acme-web: transfer\n");
    assert_has(p->err, "acme-web: backup succeeded, point " RIG_POINT "\n");
    e.end.state = CATALOG_JOB_WARNED;
    e.end.result = "{\"warnings\":[\"slow\"]}";
    assert_exit(3, RUN("backup", "east/acme-web", "--json"));
    assert_true(p->out[0] == '[');
    assert_has(p->err, "warning: slow");
    e.end = (struct catalog_job_end){.state = CATALOG_JOB_FAILED,
                                     .cause = &cause, .exit = 13};
    err_set(&cause, ERR_UNREACHABLE, 0, "tenant acme, VM acme-web: refused");
    assert_exit(13, RUN("backup", RIG_VM_1));
    assert_has(p->err, "failed: tenant acme, VM acme-web: refused");
    /* One VM of several. */
    assert_exit(1, RUN("backup", "acme-web", "globex-db"));
    p->tick = NULL;
    assert_exit(4, RUN("backup", "nothing"));
    assert_exit(2, RUN("backup"));
    assert_exit(6, RUN("backup", "stray"));
    assert_exit(0, RUN("backup", "acme-web", "--no-wait"));
    assert_int_equal(strlen(p->out), CATALOG_JOB_ID); /* and a newline */
    assert_string_equal(p->err, "");
    assert_exit(0, RUN("job", "list", "--unfinished"));
    assert_has(p->out, "queued");
    assert_exit(0, RUN("job", "list", "--failed", "--json"));
    assert_exit(2, RUN("job", "retry"));
    assert_exit(2, RUN("job", "retry", "--failed"));
    assert_exit(0, RUN("job", "retry", "--failed", "--since", "2000-01-01",
                       "--no-wait"));
    assert_exit(0, RUN("job", "show", e.seen));
    assert_has(p->out, "refused");
}

static void interrupt(struct cli_rig *p)
{
    bool waits = false;

    /* Once, when it waits for its job. */
    for (struct api_call *c = p->rig->api->calls; c; c = c->next)
        waits |= c->parked;
    if (p->user || !waits)
        return;
    p->user = p;
    kill(p->pid, SIGINT);
}

static void ctrl_c_leaves_the_job_running_and_says_so(void **state)
{
    struct api_rig *r = &((struct api_rig_world *)*state)->rig;
    struct cli_rig *p = &program;
    struct catalog_job_filter open = {.unfinished = true};
    struct catalog_page page = {.limit = 1};
    char id[CATALOG_JOB_ID] = "";

    p->tick = interrupt;
    p->user = NULL;
    assert_exit(130, RUN("backup", "acme-web"));
    p->tick = NULL;
    assert_ok(&r->f, catalog_job_each(r->f.c, &open, &page, cli_rig_on_job, id,
                                      &r->f.err));
    assert_int_equal(strlen(id), CATALOG_JOB_ID - 1);
    assert_has(p->err, id);
    assert_has(p->err, "goes on");
    assert_string_equal(p->out, "");
}

static void a_log_is_followed_to_its_end(void **state)
{
    struct api_rig *r = &((struct api_rig_world *)*state)->rig;
    struct cli_rig *p = &program;
    struct cli_rig_ending e = {.end = {.state = CATALOG_JOB_CANCELLED}};
    char id[CATALOG_JOB_ID];

    assert_exit(0, RUN("backup", "acme-web", "--no-wait"));
    snprintf(id, sizeof(id), "%.16s", p->out);
    assert_ok(&r->f, catalog_job_log_add(r->f.c, id, "info", "first line",
                                         &r->f.err));
    assert_exit(0, RUN("job", "log", id));
    assert_has(p->out, "first line");
    p->tick = cli_rig_end_job;
    p->user = &e;
    assert_exit(0, RUN("job", "log", "-f", id));
    p->tick = NULL;
    assert_exit(7, RUN("job", "cancel", id));
    assert_exit(4, RUN("job", "log", "0000000000000000"));
}

/* The backend's part of a restore to a file. */
static void feed(struct cli_rig *p)
{
    struct api_rig *r = p->rig;
    const struct err *end = p->user;
    struct err ok = {0};

    if (!r->stream)
        return;
    api_stream_begin(r->stream, "0000000000000000", end ? -1 : 8);
    assert_true(api_rig_lend(r->stream, "abcd", 4));
    if (!end)
        assert_true(api_rig_lend(r->stream, "efgh", 4));
    api_stream_end(r->stream, end ? end : &ok, EXIT_DAMAGE);
    r->stream = NULL;
}

static void a_restored_file_is_whole_or_not_there(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    struct cli_rig *p = &program;
    char path[128], text[CLI_RIG_TEXT];
    struct err cause;

    api_rig_point(r, w->acme_vault, RIG_POINT, RIG_VM_1, "acme-web", true);
    cli_rig_file(r, "disk.raw", path);
    p->tick = feed;
    p->user = NULL;
    assert_exit(0, RUN("restore", "acme-web@latest", "--disk", "0", "--output",
                       path));
    assert_string_equal(r->params, "{\"output\":\"raw\",\"disk\":0}");
    assert_exit(7, RUN("restore", "acme-web@latest", "--output", path));
    assert_string_equal(r->asked, "");
    cli_rig_read(path, text);
    assert_string_equal(text, "abcdefgh");
    assert_exit(0, RUN("restore", RIG_POINT, "--output", "-"));
    assert_string_equal(p->out, "abcdefgh");
    err_set(&cause, ERR_INTEGRITY, 0, "damage");
    p->user = &cause;
    /* The job that the stream names is not there: the cause stays unknown, but
     * the failure does not. */
    assert_exit(75, RUN("restore", RIG_POINT, "--output", path));
    assert_has(p->err, "broke off");
    assert_int_equal(access(path, F_OK), -1);
    p->tick = NULL;
    assert_exit(2, RUN("restore", RIG_POINT));
    assert_exit(2, RUN("restore", RIG_POINT, "--to", "t"));
    assert_exit(2, RUN("restore", RIG_POINT, "--pool", "east", "--disk", "0"));
    assert_exit(2, RUN("restore", RIG_POINT, "--output", "x", "--start"));
    assert_exit(4, RUN("restore", "web@latest", "--output", path));
    assert_int_equal(access(path, F_OK), -1);
}

static void a_restore_to_a_pool_prints_its_receipt(void **state)
{
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;
    struct cli_rig *p = &program;
    struct cli_rig_ending e = {
        .end = {.state = CATALOG_JOB_SUCCEEDED,
                .result = "{\"vm\":{\"old\":\"o1\",\"new\":\"n1\",\"name\":"
                          "\"web\"},\"disks\":[{\"disk\":\"0\",\"old\":"
                          "\"d1\",\"new\":\"d2\",\"sr\":\"fast\"}],"
                          "\"nics\":[]}"}};

    api_rig_point(r, w->acme_vault, RIG_POINT, RIG_VM_1, "acme-web", true);
    p->tick = cli_rig_end_job;
    p->user = &e;
    assert_exit(0, RUN("restore", "acme-web@latest", "--pool", "east", "--sr",
                       "fast", "--network", "0=none", "--mac", "keep",
                       "--start"));
    p->tick = NULL;
    assert_string_equal(r->params,
                        "{\"sr\":{\"*\":\"fast\"},\"network\":{\"0\":"
                        "\"none\"},\"mac\":\"keep\",\"uuid\":\"new\","
                        "\"name\":null,\"start\":true,\"dry_run\":false}");
    assert_has(p->out, "VM web: o1 -> n1");
    assert_has(p->out, "d2");
}

static void a_terminal_shows_a_bar_that_is_written_over(void **state)
{
    static const char *const nothing[][2] = {{0}};
    struct api_rig *r = &((struct api_rig_world *)*state)->rig;
    struct cli_rig *p = &program;
    struct cli_rig_ending e = {.end = {.state = CATALOG_JOB_SUCCEEDED}};

    cli_rig_terminal_open(p, nothing);
    p->tick = cli_rig_end_job;
    p->user = &e;
    e.slow = true;
    assert_exit(0, RUN("backup", "acme-web"));
    p->tick = NULL;
    assert_has(p->seen, "\r\033[Kacme-web  transfer  [============>");
    assert_has(p->seen, "] " " 50 %");
    assert_has(p->seen, "backup succeeded, point " RIG_POINT);
    cli_rig_terminal_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, api_rig_setup, \
                                                  api_rig_teardown)
        ROW(a_backup_waits_and_exits_as_its_job),
        ROW(ctrl_c_leaves_the_job_running_and_says_so),
        ROW(a_log_is_followed_to_its_end),
        ROW(a_restored_file_is_whole_or_not_there),
        ROW(a_restore_to_a_pool_prints_its_receipt),
        ROW(a_terminal_shows_a_bar_that_is_written_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
