/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"

#define ANSWER_MAX ((size_t)256 << 20)
#define READY_WAIT_MS 60000

static void remove_dir(const char *dir)
{
    pid_t pid = fork();

    if (pid == 0) {
        execlp("rm", "rm", "-rf", dir, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static void read_ready(struct sim *s, int fd)
{
    char line[65536];
    size_t len = 0;
    struct err err;
    const char *control;

    while (len < sizeof(line) - 1 && !memchr(line, '\n', len)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t n;

        if (poll(&p, 1, READY_WAIT_MS) != 1)
            fail_msg("xensim is not ready in time");
        n = read(fd, line + len, sizeof(line) - 1 - len);
        if (n <= 0)
            fail_msg("xensim ended before it was ready");
        len += (size_t)n;
    }
    if (json_parse(line, len, &s->ready, &err) != ERR_OK)
        fail_msg("xensim: %s", err.text);
    control = json_text(json_get(s->ready, "control"), "");
    assert_memory_equal(control, "http://", 7);
    snprintf(s->control, sizeof(s->control), "%s", control + 7);
}

void sim_start(struct sim *s, const char *pools)
{
    char path[128];
    int out[2];
    FILE *f;

    memset(s, 0, sizeof(*s));
    snprintf(s->dir, sizeof(s->dir), "/tmp/sim_rig.XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(path, sizeof(path), "%s/pools.json", s->dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "{\"state_dir\": \"%s/state\", \"time_scale\": 0, "
            "\"pools\": %s}",
            s->dir, pools);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG,
              SIGKILL); /* not longer than a test that fails */
        dup2(out[1], 1);
        execl(CAIRN_XENSIM, "xensim", path, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    read_ready(s, out[0]);
    close(out[0]);
}

void sim_stop(struct sim *s)
{
    int status;

    kill(s->pid, SIGTERM);
    assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
    json_free(s->ready);
    remove_dir(s->dir);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("xensim ended with status %x", (unsigned)status);
}

/* ---- The control API ---- */

static int connect_to(const char *place)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    const char *colon = strchr(place, ':');
    char host[40];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_non_null(colon);
    snprintf(host, sizeof(host), "%.*s", (int)(colon - place), place);
    a.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    assert_int_equal(inet_pton(AF_INET, host, &a.sin_addr), 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static void write_all(int fd, const void *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, (const char *)data + at, len - at);

        assert_true(n > 0);
        at += (size_t)n;
    }
}

/* The body of an answer 200 that closes. */
static void request(struct sim *s, const char *path, const char *body,
                    struct buf *out)
{
    int fd = connect_to(s->control);
    char head[2000], piece[65536];
    const char *end;
    ssize_t n;

    snprintf(head, sizeof(head),
             "%s %s HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n"
             "Content-Length: %zu\r\n\r\n",
             body ? "POST" : "GET", path, body ? strlen(body) : 0);
    write_all(fd, head, strlen(head));
    if (body)
        write_all(fd, body, strlen(body));
    buf_init(out, ANSWER_MAX);
    while ((n = read(fd, piece, sizeof(piece))) > 0)
        buf_add(out, piece, (size_t)n);
    close(fd);
    assert_false(buf_failed(out));
    end = memmem(out->data, out->len, "\r\n\r\n", 4);
    assert_non_null(end);
    if (out->len < 12 || memcmp(out->data + 9, "200", 3) != 0)
        fail_msg("%s %s: %s", path, body ? body : "", buf_text(out));
    buf_drop_front(out, (size_t)(end + 4 - (const char *)out->data));
}

struct json *sim_call(struct sim *s, const char *path, const char *body)
{
    struct json *j = NULL;
    struct buf b;
    struct err err;

    request(s, path, body, &b);
    if (json_parse(b.data, b.len, &j, &err) != ERR_OK)
        fail_msg("%s: %s", path, err.text);
    buf_fini(&b);
    return j;
}

void sim_do(struct sim *s, const char *path, const char *fmt, ...)
{
    char body[4000];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(body, sizeof(body), fmt, ap);
    va_end(ap);
    json_free(sim_call(s, path, body));
}

void sim_fault(struct sim *s, const char *fmt, ...)
{
    char body[4000];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(body, sizeof(body), fmt, ap);
    va_end(ap);
    json_free(sim_call(s, "/sim/fault", body));
}

void sim_reset(struct sim *s)
{
    json_free(sim_call(s, "/sim/reset", "{}"));
}

void sim_disk(struct sim *s, const char *query, void *into, size_t len)
{
    char path[300];
    struct buf b;

    snprintf(path, sizeof(path), "/sim/disk?%s", query);
    request(s, path, NULL, &b);
    assert_int_equal(b.len, len);
    memcpy(into, b.data, len);
    buf_fini(&b);
}

const struct json *sim_pool(const struct sim *s, size_t p)
{
    return json_at(json_get(s->ready, "pools"), p);
}

const char *sim_host(const struct sim *s, size_t p, size_t h, const char *key)
{
    return json_text(
        json_get(json_at(json_get(sim_pool(s, p), "hosts"), h), key), "");
}

int64_t sim_host_port(const struct sim *s, size_t p, size_t h)
{
    return json_int(
        json_get(json_at(json_get(sim_pool(s, p), "hosts"), h), "https_port"),
        0);
}

static int64_t count_in(struct sim *s, const char *under, const char *name)
{
    struct json *j = sim_call(s, "/sim/counters", NULL);
    const struct json *pool = json_at(json_get(j, "pools"), 0);
    int64_t n =
        json_int(json_get(under ? json_get(pool, under) : pool, name), 0);

    json_free(j);
    return n;
}

int64_t sim_rpc_count(struct sim *s, const char *method)
{
    return count_in(s, "rpc", method);
}

int64_t sim_counter(struct sim *s, const char *name)
{
    return count_in(s, NULL, name);
}

size_t sim_objects(struct sim *s, const char *class_name, const char *prefix)
{
    char path[200];
    struct json *j;
    size_t n = 0;

    snprintf(path, sizeof(path), "/sim/records?pool=%s&class=%s",
             json_text(json_get(sim_pool(s, 0), "name"), ""), class_name);
    j = sim_call(s, path, NULL);
    for (size_t i = 0; i < json_count(j); i++) {
        const struct json *record = NULL;
        const char *name;

        json_key_at(j, i, &record);
        name = json_text(json_get(record, "name_label"), "");
        if (!prefix || strncmp(name, prefix, strlen(prefix)) == 0)
            n++;
    }
    json_free(j);
    return n;
}
