/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_server.h"

#include <assert.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>
#include <uv.h>

#include "base/bytes.h"
#include "net/http_server_inner.h"

#define REQUEST_MEMORY                                    \
    ((size_t)(64 * KIB)) /* of a connection: head and all \
                          */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* ---- Running ---- */

static void on_timer(struct timer *t);

void http_server_wake(struct http_server *s)
{
    s->run_again = true;
    if (!s->inside)
        timer_start(s->loop, &s->timer, 0, on_timer);
}

/* Give back what was lent; tell of calls that are over, and free them. */
static void tell_gone(struct http_server *s)
{
    struct http_call *c, *next;

    for (c = s->calls; c; c = next) {
        next = c->next;
        http_call_give_back(c);
        if (c->state != CALL_GONE)
            continue;
        if (c->told)
            s->on_gone(s->ctx, c, c->complete);
        http_call_destroy(c);
    }
}

static void tell_ready(struct http_server *s)
{
    struct http_call *c;

    while ((c = s->ready) != NULL) {
        s->ready = c->ready_next;
        if (!s->ready)
            s->ready_end = &s->ready;
        c->told = true;
        s->on_call(s->ctx, c);
    }
}

static void server_run(struct http_server *s)
{
    MHD_UNSIGNED_LONG_LONG wait = 0;

    s->inside = true;
    s->run_again = false;
    MHD_run(s->daemon);
    tell_gone(s);
    tell_ready(s);
    s->inside = false;
    if (s->run_again)
        timer_start(s->loop, &s->timer, 0, on_timer);
    else if (MHD_get_timeout(s->daemon, &wait) == MHD_YES)
        timer_start(s->loop, &s->timer, wait, on_timer);
    else
        timer_stop(&s->timer);
}

static void on_timer(struct timer *t)
{
    server_run((struct http_server *)((char *)t -
                                      offsetof(struct http_server, timer)));
}

static void on_epoll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    server_run(poll->data);
}

/* ---- Connections ---- */

/* Each byte that comes is activity to libmicrohttpd; who sends one now and then
 * would hold a connection for ever. */
static void on_sweep(struct timer *t)
{
    struct http_server *s =
        (struct http_server *)((char *)t - offsetof(struct http_server, sweep));
    uint64_t now = uv_now(loop_uv(s->loop));

    for (struct server_conn *sc = s->conns; sc; sc = sc->next) {
        const union MHD_ConnectionInfo *info;

        if (sc->since == 0 || now - sc->since < s->request_ms)
            continue;
        info = MHD_get_connection_info(sc->conn,
                                       MHD_CONNECTION_INFO_CONNECTION_FD);
        if (info)
            shutdown(info->connect_fd, SHUT_RDWR); /* it sees the end now */
    }
    if (s->conns)
        timer_start(s->loop, &s->sweep, s->request_ms / 8, on_sweep);
}

void http_server_owed(struct http_call *c, bool owed)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c->conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct server_conn *sc = info ? info->socket_context : NULL;

    if (sc)
        sc->since = owed ? uv_now(loop_uv(c->server->loop)) : 0;
}

static void on_connected(struct http_server *s, struct MHD_Connection *conn,
                         void **socket_ctx)
{
    struct server_conn *sc = calloc(1, sizeof(*sc));

    if (!sc)
        return; /* it lives without being swept */
    sc->server = s;
    sc->conn = conn;
    sc->since = uv_now(loop_uv(s->loop));
    sc->next = s->conns;
    if (sc->next)
        sc->next->prev = sc;
    else
        timer_start(s->loop, &s->sweep, s->request_ms / 8, on_sweep);
    s->conns = sc;
    *socket_ctx = sc;
}

static void on_closed(struct http_server *s, struct server_conn *sc)
{
    /* libmicrohttpd stops listening at its limit of connections and looks
     * again only when it runs. */
    s->run_again = true;
    if (!sc)
        return;
    if (sc->prev)
        sc->prev->next = sc->next;
    else
        s->conns = sc->next;
    if (sc->next)
        sc->next->prev = sc->prev;
    free(sc);
}

static void on_connection(void *ctx, struct MHD_Connection *conn,
                          void **socket_ctx,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        on_connected(ctx, conn, socket_ctx);
    else
        on_closed(ctx, *socket_ctx);
}

/* ---- Making and ending ---- */

/* What it says while starting explains a failure; what it says later is about
 * one connection, and that one's end is told anyhow. */
static void on_log(void *ctx, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));

static void on_log(void *ctx, const char *fmt, va_list args)
{
    struct http_server *s = ctx;

    vsnprintf(s->log, sizeof(s->log), fmt, args);
    s->log[strcspn(s->log, "\n")] = '\0';
}

static enum err_code start_daemon(struct http_server *s,
                                  const struct http_server_opts *opts, int fd,
                                  struct err *err)
{
    bool tls = !opts->unix_path;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME |
                     MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0);
    uint64_t idle_s = (opts->idle_ms + 999) / 1000;
    unsigned per_ip = opts->connections_max / 2;
    const struct MHD_OptionItem of_unix[] = {{MHD_OPTION_END, 0, NULL}};
    const struct MHD_OptionItem of_tls[] = {
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, per_ip > 0 ? per_ip : 1, NULL},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, TLS_PRIORITIES},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)buf_text(&s->cert)},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)buf_text(&s->key)},
        {MHD_OPTION_END, 0, NULL}};

    s->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, http_call_continue, s, /* its context */
        MHD_OPTION_EXTERNAL_LOGGER, on_log, s, /* first, to hear of the rest */
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_URI_LOG_CALLBACK,
        http_call_begin, s, MHD_OPTION_NOTIFY_COMPLETED, http_call_finish, s,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
        MHD_OPTION_CONNECTION_LIMIT, opts->connections_max,
        MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(idle_s < UINT32_MAX / 1000 ? idle_s : UINT32_MAX / 1000),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, REQUEST_MEMORY,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY,
        tls ? of_tls : of_unix, MHD_OPTION_END);
    if (!s->daemon)
        return err_set(err, tls ? ERR_ARGUMENT : ERR_IO, 0, "HTTP server: %s",
                       s->log[0] ? s->log : "cannot start");
    return ERR_OK;
}

static enum err_code start_poll(struct http_server *s, struct err *err)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int rc;

    s->poll = malloc(sizeof(*s->poll));
    if (!s->poll || !info) {
        free(s->poll);
        s->poll = NULL;
        return err_set(err, ERR_NOMEM, 0, "HTTP server");
    }
    rc = uv_poll_init(loop_uv(s->loop), s->poll, info->epoll_fd);
    if (rc < 0) {
        free(s->poll);
        s->poll = NULL;
        return err_set(err, ERR_IO, rc, "HTTP server: %s", uv_strerror(rc));
    }
    s->poll->data = s;
    rc = uv_poll_start(s->poll, UV_READABLE, on_epoll);
    if (rc < 0)
        return err_set(err, ERR_IO, rc, "HTTP server: %s", uv_strerror(rc));
    return ERR_OK;
}

static enum err_code copy_options(struct http_server *s,
                                  const struct http_server_opts *opts,
                                  struct err *err)
{
    buf_init(&s->cert, MIB);
    buf_init_secret(&s->key, MIB);
    s->ready_end = &s->ready;
    s->body_max = opts->body_max;
    s->request_ms = 2 * (opts->idle_ms < 1000 ? 1000 : opts->idle_ms);
    s->on_call = opts->on_call;
    s->on_gone = opts->on_gone;
    s->ctx = opts->ctx;
    if (opts->unix_path) {
        s->unix_path = strdup(opts->unix_path);
        return s->unix_path ? ERR_OK : err_set(err, ERR_NOMEM, 0, "server");
    }
    if (!opts->address || !opts->cert_pem || !opts->key_pem)
        return err_set(err, ERR_ARGUMENT, 0,
                       "HTTP server: TCP needs an address, a certificate and "
                       "its key");
    if (!buf_add_text(&s->cert, opts->cert_pem) ||
        !buf_add_text(&s->key, opts->key_pem) || !buf_text(&s->cert) ||
        !buf_text(&s->key))
        return err_set(err, ERR_NOMEM, 0, "HTTP server");
    return ERR_OK;
}

enum err_code http_server_new(struct loop *loop,
                              const struct http_server_opts *opts,
                              struct http_server **out, struct err *err)
{
    struct http_server *s = calloc(1, sizeof(*s));
    enum err_code rc;
    int fd = -1;

    if (!s)
        return err_set(err, ERR_NOMEM, 0, "HTTP server");
    s->loop = loop;
    rc = copy_options(s, opts, err);
    if (rc == ERR_OK && s->unix_path)
        rc = http_listen_unix(s->unix_path, &fd, &s->unix_file, err);
    else if (rc == ERR_OK)
        rc = http_listen_tcp(opts->address, &fd, &s->port, err);
    if (rc == ERR_OK) {
        /* libmicrohttpd closes its socket, but not on every failure. */
        int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

        rc = own < 0 ? err_set(err, ERR_IO, 0, "HTTP server: no descriptor")
                     : start_daemon(s, opts, own, err);
    }
    if (fd >= 0)
        close(fd);
    if (rc == ERR_OK)
        rc = start_poll(s, err);
    if (rc != ERR_OK) {
        http_server_free(s);
        return rc;
    }
    server_run(s);
    *out = s;
    return ERR_OK;
}

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle);
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    assert(!s->inside);
    timer_stop(&s->timer);
    timer_stop(&s->sweep);
    s->inside = true;
    /* It cannot be stopped while one of its connections is suspended. */
    for (struct http_call *c = s->calls; c; c = c->next)
        http_call_break(c);
    if (s->poll) {
        uv_poll_stop(s->poll);
        uv_close((uv_handle_t *)s->poll, on_poll_closed);
    }
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    tell_gone(s);
    assert(!s->calls);
    if (s->unix_path && s->unix_file.ino != 0)
        http_listen_remove(s->unix_path, &s->unix_file);
    free(s->unix_path);
    buf_fini(&s->cert);
    buf_fini(&s->key);
    free(s);
}

unsigned http_server_port(const struct http_server *s)
{
    return s->port;
}
