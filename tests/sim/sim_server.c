/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "tests/sim/sim_control.h"
#include "tests/sim/sim_export.h"
#include "tests/sim/sim_http.h"
#include "tests/sim/sim_import.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_rpc.h"

#define CONNECTIONS_MAX 800 /* conn_limit_tcp */
#define STACK_BYTES (512u << 10)
#define TRIES 50

/* Who serves a path; the longest prefix that fits is taken. */
typedef bool route_fn(struct sim_conn *c, const struct sim_request *r,
                      enum sim_conn_end *how);

static const struct {
    const char *method, *prefix;
    route_fn *fn;
} routes[] = {
    {"POST", "/", sim_rpc_serve},
    {"GET", "/export", sim_export_serve},
    {"PUT", "/import", sim_import_serve},
};

/* ---- sockets ---- */

static int listen_tcp(const char *address, uint16_t port, uint16_t *got)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof(a);
    int fd, on = 1;

    if (inet_pton(AF_INET, address, &a.sin_addr) != 1) {
        errno = EINVAL;
        return -1;
    }
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
        listen(fd, 512) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0) {
        int why = errno;

        close(fd);
        errno = why;
        return -1;
    }
    *got = ntohs(a.sin_port);
    return fd;
}

static int listen_unix(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(a.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    unlink(path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
                    listen(fd, 16) != 0)) {
        int why = errno;

        close(fd);
        errno = why;
        fd = -1;
    }
    return fd;
}

/* One port number that is free on the addresses of all hosts. */
static bool pool_ports(struct sim_pool *pool, bool https, uint16_t wanted)
{
    for (int try = 0; try < (wanted ? 1 : TRIES); try++) {
        uint16_t port = wanted;
        size_t i;

        for (i = 0; i < pool->host_count; i++) {
            struct sim_host *h = &pool->hosts[i];
            int *fd = https ? &h->https_fd : &h->http_fd;

            *fd = listen_tcp(h->address, port, &port);
            if (*fd < 0)
                break;
            *(https ? &h->https_port : &h->http_port) = port;
        }
        if (i == pool->host_count)
            return true;
        while (i-- > 0) {
            int *fd =
                https ? &pool->hosts[i].https_fd : &pool->hosts[i].http_fd;

            close(*fd);
            *fd = -1;
        }
    }
    return false;
}

static enum err_code open_control(struct sim *sim, const char *path,
                                  struct err *err)
{
    char *colon, *address;
    uint64_t port = 0;

    sim->control_fds[0] = sim->control_fds[1] = -1;
    if (path) {
        sim->control_fds[1] = listen_unix(path);
        if (sim->control_fds[1] < 0)
            return err_set(err, ERR_IO, errno, "%s: %s", path, strerror(errno));
    }
    if (!sim->control)
        return ERR_OK;
    address = sim_mem_dup(sim->control);
    colon = strrchr(address, ':');
    if (colon && parse_u64(colon + 1, 0, 65535, &port)) {
        *colon = '\0';
        sim->control_fds[0] =
            listen_tcp(address, (uint16_t)port, &sim->control_port);
    } else {
        errno = EINVAL;
    }
    free(address);
    if (sim->control_fds[0] < 0)
        return err_set(err, ERR_IO, errno, "control %s: %s", sim->control,
                       strerror(errno));
    return ERR_OK;
}

enum err_code sim_server_open(struct sim *sim, const char *control_path,
                              struct err *err)
{
    for (size_t i = 0; i < sim->pool_count; i++) {
        struct sim_pool *p = &sim->pools[i];

        if (!pool_ports(p, true, p->https_port) ||
            !pool_ports(p, false, p->http_port))
            return err_set(err, ERR_IO, errno, "pool %s: cannot listen: %s",
                           p->name, strerror(errno));
    }
    return open_control(sim, control_path, err);
}

enum err_code sim_server_set_down(struct sim_host *h, bool down,
                                  struct err *err)
{
    int https = -1, http = -1;
    uint16_t port;

    if (!down && h->down) {
        https = listen_tcp(h->address, h->https_port, &port);
        http = listen_tcp(h->address, h->http_port, &port);
        if (https < 0 || http < 0)
            return err_set(err, ERR_IO, errno, "listen: %s", strerror(errno));
    }
    pthread_mutex_lock(&h->lock);
    if (down && !h->down) {
        close(h->https_fd);
        close(h->http_fd);
        h->https_fd = h->http_fd = -1;
        for (struct sim_conn *c = h->conns; c; c = c->next)
            sim_conn_kick(c);
    } else if (!down && h->down) {
        h->https_fd = https;
        h->http_fd = http;
    }
    h->down = down;
    pthread_mutex_unlock(&h->lock);
    return ERR_OK;
}

void sim_server_kick(struct sim_host *h)
{
    pthread_mutex_lock(&h->lock);
    for (struct sim_conn *c = h->conns; c; c = c->next)
        sim_conn_kick(c);
    pthread_mutex_unlock(&h->lock);
}

/* ---- a connection ---- */

struct accepted {
    struct sim *sim;
    struct sim_host *host; /* NULL: control */
    int fd;
    bool tls;
};

static bool route(struct sim_conn *c, const struct sim_request *r,
                  enum sim_conn_end *how)
{
    size_t best = 0, length = 0;
    bool path_known = false, found = false;

    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        size_t n = strlen(routes[i].prefix);

        if (strncmp(routes[i].prefix, r->path, n) != 0)
            continue;
        if (n > 1 && r->path[n] != '\0' && r->path[n] != '/')
            continue; /* /export_raw_vdi is not /export */
        if (n > 1)
            path_known = true;
        if (strcmp(routes[i].method, r->method) == 0 && n >= length) {
            best = i;
            length = n;
            found = true;
        }
    }
    if (strcmp(r->method, "OPTIONS") == 0)
        return sim_http_answer(c, r, "text/plain", "", "", 0) && r->keep_alive;
    if (found && (length > 1 || !path_known))
        return routes[best].fn(c, r, how);
    sim_http_error(c, path_known ? 501 : 403, NULL, NULL);
    *how = SIM_CONN_CLOSE;
    return false;
}

static bool serve_one(struct sim_conn *c, enum sim_conn_end *how)
{
    struct sim_host *h = c->host;
    struct sim_request r;
    struct sim_where where;
    enum sim_http_head head = sim_http_read(c, SIM_HTTP_HEAD_MAX, &r);
    bool more = false;

    *how = SIM_CONN_CLOSE;
    sim_pool_where(h->pool, h, NULL, &where);
    if (head == SIM_HTTP_OK &&
        sim_fault_hit(h->pool->sim->faults, "http_431", &where, NULL))
        head = SIM_HTTP_LARGE;
    if (head == SIM_HTTP_OK) {
        h->counters.requests++;
        more = route(c, &r, how);
    } else if (head != SIM_HTTP_CLOSED) {
        sim_http_error(c,
                       head == SIM_HTTP_LARGE     ? 431
                       : head == SIM_HTTP_TIMEOUT ? 408
                                                  : 400,
                       NULL, NULL);
    }
    sim_http_fini(&r);
    return more;
}

static void serve_host(struct accepted *a)
{
    struct sim_faults *f = a->sim->faults;
    struct sim_hit hit = {NULL};
    struct sim_where where;
    enum sim_conn_end how;
    struct sim_conn c;

    sim_pool_where(a->host->pool, a->host, NULL, &where);
    if (a->host->counters.connections_open >= CONNECTIONS_MAX ||
        sim_fault_hit(f, "connection_refuse", &where, NULL)) {
        close(a->fd);
        return;
    }
    if (a->tls && sim_fault_hit(f, "tls_stall", &where, NULL)) {
        if (sim_conn_open(&c, a->host, a->fd, false)) {
            sim_conn_stall(&c, 0);
            sim_conn_end(&c, SIM_CONN_CUT);
        }
        return;
    }
    if (!sim_conn_open(&c, a->host, a->fd, a->tls))
        return;
    if (sim_fault_hit(f, "connection_reset", &where, &hit)) {
        c.reset_after = sim_fault_int(&hit, "after", 0);
        sim_fault_release(&hit);
    }
    while (serve_one(&c, &how))
        sim_conn_timeout(&c, 0); /* only the first request has a limit */
    if (c.reset_after == 0)
        how = SIM_CONN_RESET;
    sim_conn_end(&c, how);
}

static void *conn_thread(void *arg)
{
    struct accepted *a = arg;

    if (a->host)
        serve_host(a);
    else
        sim_control_serve(a->sim, a->fd);
    free(a);
    OPENSSL_thread_stop();
    return NULL;
}

static void hand_over(struct sim *sim, struct sim_host *host, int fd, bool tls)
{
    struct accepted *a = sim_mem_new(sizeof(*a));
    pthread_attr_t attr;
    pthread_t thread;

    *a = (struct accepted){sim, host, fd, tls};
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (pthread_create(&thread, &attr, conn_thread, a) != 0) {
        close(fd);
        free(a);
    }
    pthread_attr_destroy(&attr);
}

/* ---- accepting ---- */

struct listener {
    struct sim_host *host;
    bool tls;
};

static size_t fill_polls(struct sim *sim, struct pollfd *p, struct listener *l)
{
    size_t n = 0;

    for (size_t i = 0; i < 2; i++) {
        l[n] = (struct listener){NULL, false};
        p[n++] = (struct pollfd){sim->control_fds[i], POLLIN, 0};
    }
    for (size_t i = 0; i < sim->pool_count; i++) {
        for (size_t k = 0; k < sim->pools[i].host_count; k++) {
            struct sim_host *h = &sim->pools[i].hosts[k];

            pthread_mutex_lock(&h->lock);
            l[n] = (struct listener){h, true};
            p[n++] = (struct pollfd){h->https_fd, POLLIN, 0};
            l[n] = (struct listener){h, false};
            p[n++] = (struct pollfd){h->http_fd, POLLIN, 0};
            pthread_mutex_unlock(&h->lock);
        }
    }
    return n;
}

static void *accept_thread(void *arg)
{
    struct sim *sim = arg;
    size_t most = 2;
    struct listener *l;
    struct pollfd *p;

    for (size_t i = 0; i < sim->pool_count; i++)
        most += 2 * sim->pools[i].host_count;
    p = sim_mem_new(most * sizeof(*p));
    l = sim_mem_new(most * sizeof(*l));
    for (;;) {
        /* anew each time: hosts go down and come back */
        size_t n = fill_polls(sim, p, l);

        if (poll(p, n, 200) <= 0)
            continue;
        for (size_t i = 0; i < n; i++) {
            int fd;

            if (!(p[i].revents & POLLIN))
                continue;
            fd = accept4(p[i].fd, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0)
                hand_over(sim, l[i].host, fd, l[i].tls);
        }
    }
    return NULL;
}

void sim_server_start(struct sim *sim)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, accept_thread, sim) != 0) {
        log_event(LOG_ERROR, "no_thread", LOG_END);
        exit(70);
    }
    pthread_detach(thread);
}
