/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/cli_rig.h"

void cli_rig_read(const char *path, char out[CLI_RIG_TEXT])
{
    FILE *f = fopen(path, "r");
    size_t n;

    assert_non_null(f);
    n = fread(out, 1, CLI_RIG_TEXT - 1, f);
    out[n] = '\0';
    fclose(f);
    unlink(path);
}

/* Read what stands on the terminal, and type what the script says. */
static void look_at_terminal(struct cli_rig *p)
{
    size_t at = strlen(p->seen);
    ssize_t n = read(p->terminal, p->seen + at, sizeof(p->seen) - at - 1);

    if (n > 0)
        p->seen[at + (size_t)n] = '\0';
    if (!(*p->script)[0] || !strstr(p->seen, (*p->script)[0]))
        return;
    if (write(p->terminal, (*p->script)[1], strlen((*p->script)[1])) > 0)
        p->script++;
}

static void on_tick(struct timer *t)
{
    struct cli_rig *p = (struct cli_rig *)t;
    int status;

    if (p->terminal)
        look_at_terminal(p);

    p->ticks++;
    if (waitpid(p->pid, &status, WNOHANG) == p->pid) {
        p->exit = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        p->done = true;
        loop_stop(p->rig->net.loop);
        return;
    }
    if (p->tick)
        p->tick(p);
    timer_start(p->rig->net.loop, t, 5, on_tick);
}

void cli_rig_file(struct api_rig *r, const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", r->dir, name);
}

int cli_rig_run(struct cli_rig *p, struct api_rig *r, const char *const *words)
{
    char out[128], err[128], server[160], *argv[32], *env[4];
    posix_spawn_file_actions_t files;
    size_t n = 0;

    cli_rig_file(r, "out", out);
    cli_rig_file(r, "err", err);
    snprintf(server, sizeof(server), "CAIRN_SERVER=%s", r->socket);
    env[0] = server;
    env[1] = (char *)(uintptr_t)"ASAN_OPTIONS=detect_leaks=1";
    env[2] = NULL;
    argv[n++] = (char *)(uintptr_t)"cairn";
    while (*words)
        argv[n++] = (char *)(uintptr_t)*words++;
    argv[n] = NULL;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0,
                                     p->terminal ? ptsname(p->terminal)
                                                 : "/dev/null",
                                     p->terminal ? O_RDWR : O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, out, O_WRONLY | O_CREAT, 0600);
    posix_spawn_file_actions_addopen(&files, 2, err, O_WRONLY | O_CREAT, 0600);
    if (p->terminal)
        posix_spawn_file_actions_adddup2(&files, 0, 2);
    for (int fd = 0; fd <= 2; fd++)
        if (p->closed & 1u << fd)
            posix_spawn_file_actions_addclose(&files, fd);
    p->rig = r;
    p->done = false;
    p->ticks = 0;
    r->asked[0] = '\0';
    assert_int_equal(posix_spawn(&p->pid, CAIRN_BIN, &files, NULL, argv, env),
                     0);
    posix_spawn_file_actions_destroy(&files);
    timer_start(r->net.loop, &p->timer, 5, on_tick);
    while (!p->done)
        loop_run(r->net.loop);
    cli_rig_read(out, p->out);
    cli_rig_read(err, p->err);
    return p->exit;
}

void cli_rig_write(struct api_rig *r, const char *name, const char *text,
                       char path[128])
{
    FILE *f;

    cli_rig_file(r, name, path);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

void cli_rig_terminal_open(struct cli_rig *p, const char *const (*script)[2])
{
    p->terminal = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(p->terminal > 0);
    assert_int_equal(grantpt(p->terminal), 0);
    assert_int_equal(unlockpt(p->terminal), 0);
    assert_int_equal(fcntl(p->terminal, F_SETFL, O_NONBLOCK), 0);
    p->script = script;
    p->seen[0] = '\0';
}

void cli_rig_terminal_close(struct cli_rig *p)
{
    close(p->terminal);
    p->terminal = 0;
}

bool cli_rig_on_job(void *ctx, const struct catalog_job *j)
{
    memcpy(ctx, j->id, CATALOG_JOB_ID);
    return false;
}

void cli_rig_end_job(struct cli_rig *p)
{
    struct cli_rig_ending *e = p->user;
    struct catalog_job_filter open = {.unfinished = true};
    struct catalog_page page = {.limit = 1};
    struct api_rig *r = p->rig;
    char id[CATALOG_JOB_ID] = "";

    /* The lane is idle while the program waits for a change. */
    if (p->ticks % 10 || catalog_call_pending(r->door))
        return;
    assert_ok(&r->f, catalog_job_each(r->f.c, &open, &page, cli_rig_on_job, id,
                                      &r->f.err));
    if (!id[0])
        return;
    memcpy(e->seen, id, sizeof(id));
    if (!e->started) {
        e->started = true;
        assert_ok(&r->f, catalog_job_start(r->f.c, id, &r->f.err));
        assert_ok(&r->f, catalog_job_progress(r->f.c, id, "transfer", 512,
                                              1024, &r->f.err));
        e->began = p->ticks;
    } else if (e->slow && p->ticks < e->began + 200) {
        assert_ok(&r->f, catalog_job_progress(r->f.c, id, NULL, 512, 1024,
                                              &r->f.err));
    } else {
        e->started = false;
        assert_ok(&r->f, catalog_job_note(r->f.c, id, RIG_POINT, NULL,
                                          &r->f.err));
        assert_ok(&r->f, catalog_job_finish(r->f.c, id, &e->end, &r->f.err));
    }
    api_job_changed(r->api, id);
}
