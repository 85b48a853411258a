/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/main.c - xensim: reads the command line and the pool file, opens
 * all ports, says so, and waits for a signal.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "tests/sim/sim_config.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_ready.h"
#include "tests/sim/sim_server.h"

struct options {
    int ready_fd;
    const char *ready_file, *control;
    bool check;
};

static bool write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text += n;
        len -= (size_t)n;
    }
    return true;
}

/* Whole or not at all: under another name, then renamed. */
static bool write_file(const char *path, const char *text, size_t len)
{
    char *tmp = sim_mem_printf("%s.tmp", path);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool ok = fd >= 0 && write_all(fd, text, len);

    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    ok = ok && rename(tmp, path) == 0;
    free(tmp);
    return ok;
}

static bool tell_ready(struct sim *sim, const struct options *o)
{
    struct json *j = sim_ready_json(sim);
    size_t len;
    char *dump = json_dump(j, false, &len), *line;
    bool ok;

    json_free(j);
    if (!dump)
        return false;
    line = sim_mem_printf("%s\n", dump);
    ok = write_all(o->ready_fd, line, len + 1);
    if (o->ready_file)
        ok = write_file(o->ready_file, line, len + 1) && ok;
    free(dump);
    free(line);
    return ok;
}

static int usage(void)
{
    fputs("usage: xensim [--ready-fd N] [--ready-file F] [--control PATH] "
          "[--check] pools.json\n",
          stderr);
    return 2;
}

static bool read_options(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        {"ready-fd", required_argument, NULL, 'd'},
        {"ready-file", required_argument, NULL, 'f'},
        {"control", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, 'k'},
        {NULL, 0, NULL, 0},
    };
    uint64_t fd;
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'd' && parse_u64(optarg, 0, 1023, &fd))
            o->ready_fd = (int)fd;
        else if (c == 'f')
            o->ready_file = optarg;
        else if (c == 'c')
            o->control = optarg;
        else if (c == 'k')
            o->check = true;
        else
            return false;
    }
    return optind == argc - 1;
}

/* A thread, a socket and a few files for each of many streams. */
static void raise_limits(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

int main(int argc, char **argv)
{
    struct options o = {.ready_fd = 1};
    struct sim *sim = sim_mem_new(sizeof(*sim));
    struct err err;
    sigset_t ends;
    int sig;

    if (!read_options(argc, argv, &o))
        return usage();
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* before there are threads */
    raise_limits();
    if (sim_config_load(sim, argv[optind], o.check, &err) != ERR_OK ||
        (!o.check && sim_server_open(sim, o.control, &err) != ERR_OK)) {
        log_event(LOG_ERROR, "cannot_start", log_err(&err), LOG_END);
        return 2;
    }
    if (o.check)
        return 0;
    sim_server_start(sim);
    if (!tell_ready(sim, &o)) {
        log_event(LOG_ERROR, "cannot_tell_ready", LOG_END);
        return 1;
    }
    sigwait(&ends, &sig);
    /* Threads are in the middle of things: nothing is taken down. */
    _exit(0);
}
