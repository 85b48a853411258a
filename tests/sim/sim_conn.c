/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define DRAIN_MS 200
#define DRAIN_READS 1024

static void conn_list(struct sim_conn *c, bool add)
{
    struct sim_host *h = c->host;
    struct sim_conn **link = &h->conns;

    pthread_mutex_lock(&h->lock);
    if (add) {
        c->next = h->conns;
        h->conns = c;
        h->counters.connections++;
        h->counters.connections_open++;
    } else {
        while (*link != c)
            link = &(*link)->next;
        *link = c->next;
        h->counters.connections_open--;
    }
    pthread_mutex_unlock(&h->lock);
}

static bool conn_handshake(struct sim_conn *c)
{
    struct sim_host *h = c->host;

    pthread_mutex_lock(&h->lock);
    c->ssl = SSL_new(h->tls);
    pthread_mutex_unlock(&h->lock);
    if (!c->ssl || !SSL_set_fd(c->ssl, c->fd) || SSL_accept(c->ssl) != 1) {
        ERR_clear_error();
        return false;
    }
    h->counters.tls_handshakes++;
    return true;
}

bool sim_conn_open(struct sim_conn *c, struct sim_host *host, int fd, bool tls)
{
    int on = 1;

    memset(c, 0, sizeof(*c));
    c->host = host;
    c->fd = fd;
    c->reset_after = -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!host)
        return true;
    conn_list(c, true);
    sim_conn_timeout(c, 60000);
    if (!tls || conn_handshake(c))
        return true;
    sim_conn_end(c, SIM_CONN_CUT);
    return false;
}

/* An answer that comes while the client still sends must not be overtaken by
 * a reset. */
static void conn_drain(struct sim_conn *c)
{
    struct pollfd p = {c->fd, POLLIN, 0};
    uint8_t waste[65536];

    shutdown(c->fd, SHUT_WR);
    for (int i = 0; i < DRAIN_READS && poll(&p, 1, DRAIN_MS) > 0; i++)
        if (recv(c->fd, waste, sizeof(waste), 0) <= 0)
            return;
}

void sim_conn_end(struct sim_conn *c, enum sim_conn_end how)
{
    struct linger now = {1, 0};

    if (c->ssl && !c->broken &&
        (how == SIM_CONN_CLOSE || how == SIM_CONN_LEAVE))
        SSL_shutdown(c->ssl);
    if (how == SIM_CONN_CLOSE && !c->broken)
        conn_drain(c);
    ERR_clear_error();
    if (how == SIM_CONN_RESET)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    if (c->host)
        conn_list(c, false); /* before the number can be another's */
    SSL_free(c->ssl);
    close(c->fd);
}

void sim_conn_patience(struct sim_conn *c, unsigned ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

void sim_conn_timeout(struct sim_conn *c, unsigned ms)
{
    struct timeval t = {ms / 1000, (ms % 1000) * 1000};

    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
}

static ssize_t conn_raw_read(struct sim_conn *c, void *buf, size_t len)
{
    ssize_t n;

    if (c->ssl) {
        size_t got = 0;

        ERR_clear_error();
        if (SSL_read_ex(c->ssl, buf, len, &got))
            n = (ssize_t)got;
        else
            n = SSL_get_error(c->ssl, 0) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
    } else {
        do {
            n = recv(c->fd, buf, len, 0);
        } while (n < 0 && errno == EINTR);
    }
    if (n > 0 && c->host)
        c->host->counters.bytes_in += (unsigned long long)n;
    return n;
}

ssize_t sim_conn_read(struct sim_conn *c, void *buf, size_t len)
{
    if (c->in_at == c->in_len) {
        ssize_t n;

        if (len >= sizeof(c->in))
            return conn_raw_read(c, buf, len);
        n = conn_raw_read(c, c->in, sizeof(c->in));
        if (n <= 0)
            return n;
        c->in_at = 0;
        c->in_len = (size_t)n;
    }
    if (len > c->in_len - c->in_at)
        len = c->in_len - c->in_at;
    memcpy(buf, c->in + c->in_at, len);
    c->in_at += len;
    return (ssize_t)len;
}

bool sim_conn_read_full(struct sim_conn *c, void *buf, size_t len)
{
    uint8_t *to = buf;

    while (len > 0) {
        ssize_t n = sim_conn_read(c, to, len);

        if (n <= 0)
            return false;
        to += n;
        len -= (size_t)n;
    }
    return true;
}

static bool conn_raw_write(struct sim_conn *c, const uint8_t *p, size_t len)
{
    while (len > 0) {
        size_t n = 0;

        if (c->ssl) {
            ERR_clear_error();
            if (!SSL_write_ex(c->ssl, p, len, &n))
                return false;
        } else {
            ssize_t sent = send(c->fd, p, len, MSG_NOSIGNAL);

            if (sent < 0 && errno == EINTR)
                continue;
            if (sent <= 0)
                return false;
            n = (size_t)sent;
        }
        p += n;
        len -= n;
        if (c->host)
            c->host->counters.bytes_out += n;
    }
    return true;
}

bool sim_conn_write(struct sim_conn *c, const void *data, size_t len)
{
    if (c->broken)
        return false;
    if (c->reset_after >= 0) {
        size_t may = len;

        if ((uint64_t)c->reset_after < may)
            may = (size_t)c->reset_after;
        c->broken = !conn_raw_write(c, data, may) || may < len;
        c->reset_after -= (int64_t)may;
        return !c->broken;
    }
    c->broken = !conn_raw_write(c, data, len);
    return !c->broken;
}

bool sim_conn_gone(struct sim_conn *c)
{
    struct pollfd p = {c->fd, POLLRDHUP, 0};

    return poll(&p, 1, 0) > 0 &&
           (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}

bool sim_conn_stall(struct sim_conn *c, uint64_t ms)
{
    uint64_t left = ms;

    while (!sim_conn_gone(c)) {
        struct pollfd p = {c->fd, POLLRDHUP, 0};
        int step = ms == 0 || left > 60000 ? 60000 : (int)left;

        if (ms != 0 && left == 0)
            return true;
        if (poll(&p, 1, step) == 0 && ms != 0)
            left -= (uint64_t)step;
    }
    return false;
}

void sim_conn_break(struct sim_conn *c, bool reset)
{
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

    c->broken = true;
    if (reset) /* Linux answers a disconnect with RST */
        (void)connect(c->fd, &nowhere, sizeof(nowhere));
    else
        shutdown(c->fd, SHUT_RDWR);
}

void sim_conn_kick(struct sim_conn *c)
{
    shutdown(c->fd, SHUT_RDWR);
}
