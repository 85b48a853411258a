/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3sink - an S3 server for measuring what talks to it.
 *
 *   s3sink [--port N] [--cert PEM --key PEM] [--discard] [--folder DIR]
 *          [--warm BYTES]
 *
 * It listens on 127.0.0.1, with TLS where there is a certificate, and prints
 * its port. --discard keeps sizes only, and sends zeros. --folder keeps bodies
 * in unlinked files there. --warm has memory touched before the first request.
 * GET /_stats tells requests by kind, bytes and CPU time; SIGTERM ends it.
 */
#include "s3sink.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/parse.h"

#define TURN_BYTES ((size_t)8 << 20) /* of one connection before the next */
#define DROP_BYTES ((size_t)1 << 20)
#define EVENTS 64

enum state { READING_HEAD, READING_BODY, SENDING };

struct conn {
    struct conn *next, *prev; /* of the living */
    struct conn *next_dead;
    int fd;
    SSL *ssl; /* or NULL */
    bool shaken, dead;
    enum state state;
    uint32_t events; /* that epoll watches for */
    char head[HEAD_MAX];
    size_t head_len; /* bytes in it; behind the head: of what follows */
    struct request request;
    struct piece *body;
    uint64_t body_at;
    struct answer answer;
    size_t text_at;
    struct piece *piece; /* that is being sent */
    uint64_t piece_at, left;
};

struct sink {
    int listener, epoll;
    SSL_CTX *tls;
    struct stock stock;
    struct counts counts;
    uint8_t drop[DROP_BYTES]; /* what is thrown away, and zeros to send */
    struct conn *living, *dead;
};

static volatile sig_atomic_t ending;

static void on_signal(int number)
{
    ending = 1;
}

static _Noreturn void die(const char *why)
{
    fprintf(stderr, "s3sink: %s: %s\n", why, strerror(errno));
    exit(1);
}

/* ---- bytes in and out: > 0, 0 the end, -1 later, -2 broken ---- */

static ssize_t tls_result(struct conn *c, int n)
{
    int why;

    if (n > 0)
        return n;
    why = SSL_get_error(c->ssl, n);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return -1;
    ERR_clear_error();
    return why == SSL_ERROR_ZERO_RETURN ? 0 : -2;
}

static ssize_t plain_result(ssize_t n)
{
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? -1 : -2;
}

static ssize_t receive(struct conn *c, void *into, size_t len)
{
    if (c->ssl)
        return tls_result(c, SSL_read(c->ssl, into, (int)len));
    return plain_result(recv(c->fd, into, len, 0));
}

/* Without a copy where there is no TLS. */
static ssize_t drop(struct sink *s, struct conn *c, size_t len)
{
    if (len > DROP_BYTES)
        len = DROP_BYTES;
    if (c->ssl)
        return receive(c, s->drop, len);
    return plain_result(recv(c->fd, s->drop, len, MSG_TRUNC));
}

static ssize_t deliver(struct conn *c, const void *data, size_t len)
{
    if (c->ssl)
        return tls_result(
            c, SSL_write(c->ssl, data, (int)(len < 65536 ? len : 65536)));
    return plain_result(send(c->fd, data, len, MSG_NOSIGNAL));
}

/* ---- a connection ---- */

static void watch(struct sink *s, struct conn *c, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};

    if (c->events == events)
        return;
    c->events = events;
    epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

/* Freed when this round of events is over: some may still name it. */
static void end_conn(struct sink *s, struct conn *c)
{
    if (c->dead)
        return;
    c->dead = true;
    if (c->prev)
        c->prev->next = c->next;
    else
        s->living = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->next_dead = s->dead;
    s->dead = c;
    stock_give(&s->stock, c->body);
    stock_drop(&s->stock, c->answer.object);
    free(c->answer.text);
    SSL_free(c->ssl);
    close(c->fd);
}

static void free_dead(struct sink *s)
{
    while (s->dead) {
        struct conn *c = s->dead;

        s->dead = c->next_dead;
        free(c);
    }
}

/* Which piece of the object the answer begins in. */
static void aim(struct conn *c)
{
    uint64_t from = c->answer.from;

    c->text_at = 0;
    c->left = c->answer.object ? c->answer.bytes : 0;
    c->piece = c->answer.object ? c->answer.object->pieces : NULL;
    while (c->piece && from >= c->piece->len) {
        from -= c->piece->len;
        c->piece = c->piece->next;
    }
    c->piece_at = from;
}

static bool begin_answer(struct sink *s, struct conn *c)
{
    struct piece *body = c->body;

    c->body = NULL;
    if (!answer_make(&s->stock, &s->counts, &c->request, body, &c->answer))
        return false;
    aim(c);
    c->state = SENDING;
    return true;
}

/* Head and first bytes in one go: small answers take one call. */
static ssize_t send_text(struct conn *c)
{
    return deliver(c, c->answer.text + c->text_at, c->answer.len - c->text_at);
}

static ssize_t send_piece(struct sink *s, struct conn *c)
{
    uint64_t n = c->piece->len - c->piece_at;
    ssize_t sent;

    if (n > c->left)
        n = c->left;
    if (!c->piece->data && n > DROP_BYTES)
        n = DROP_BYTES;
    sent =
        deliver(c, c->piece->data ? c->piece->data + c->piece_at : s->drop, n);
    if (sent <= 0)
        return sent;
    c->left -= (uint64_t)sent;
    c->piece_at += (uint64_t)sent;
    if (c->piece_at == c->piece->len) {
        c->piece = c->piece->next;
        c->piece_at = 0;
    }
    return sent;
}

/* True: all of it went. */
static bool send_answer(struct sink *s, struct conn *c, bool *broken)
{
    size_t turn = 0;

    while (turn < TURN_BYTES) {
        bool text = c->text_at < c->answer.len;
        ssize_t n;

        if (!text && !c->left)
            return true;
        n = text ? send_text(c) : send_piece(s, c);
        if (n == -1)
            return false;
        if (n <= 0) {
            *broken = true;
            return false;
        }
        if (text)
            c->text_at += (size_t)n;
        turn += (size_t)n;
    }
    return false;
}

static void answer_over(struct sink *s, struct conn *c)
{
    stock_drop(&s->stock, c->answer.object);
    free(c->answer.text);
    memset(&c->answer, 0, sizeof(c->answer));
    c->state = READING_HEAD;
}

/* The head is whole: make room for the body, and take what came with it. */
static bool begin_body(struct sink *s, struct conn *c, size_t head_bytes)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    size_t extra = c->head_len - head_bytes;

    c->body_at = 0;
    if (c->request.length) {
        c->body = stock_piece(&s->stock, c->request.length);
        if (!c->body)
            return false;
    }
    if (extra > c->request.length)
        extra = c->request.length;
    if (extra && c->body->data)
        memcpy(c->body->data, c->head + head_bytes, extra);
    c->body_at = extra;
    memmove(c->head, c->head + head_bytes + extra,
            c->head_len - head_bytes - extra);
    c->head_len -= head_bytes + extra;
    c->state = READING_BODY;
    return !c->request.expects || c->body_at == c->request.length ||
           deliver(c, go_on, sizeof(go_on) - 1) > 0;
}

/* 1: on to the next state, 0: later, -1: over. */
static int read_head(struct sink *s, struct conn *c)
{
    for (;;) {
        char *end;
        ssize_t n;

        c->head[c->head_len] = 0;
        end = memmem(c->head, c->head_len, "\r\n\r\n", 4);
        if (end) {
            end[2] = 0;
            if (!answer_parse(c->head, &c->request) ||
                !begin_body(s, c, (size_t)(end + 4 - c->head)))
                return -1;
            return 1;
        }
        if (c->head_len == HEAD_MAX - 1)
            return -1;
        n = receive(c, c->head + c->head_len, HEAD_MAX - 1 - c->head_len);
        if (n == -1)
            return 0;
        if (n <= 0)
            return -1;
        c->head_len += (size_t)n;
    }
}

static int read_body(struct sink *s, struct conn *c)
{
    size_t turn = 0;

    while (c->body_at < c->request.length) {
        uint64_t left = c->request.length - c->body_at;
        ssize_t n;

        /* epoll tells again - of what lies in the socket, not in the SSL */
        if (turn >= TURN_BYTES && !(c->ssl && SSL_pending(c->ssl)))
            return 0;
        if (left > DROP_BYTES)
            left = DROP_BYTES;
        n = c->body->data ? receive(c, c->body->data + c->body_at, left)
                          : drop(s, c, left);
        if (n == -1)
            return 0;
        if (n <= 0)
            return -1;
        c->body_at += (uint64_t)n;
        turn += (size_t)n;
    }
    return begin_answer(s, c) ? 1 : -1;
}

static bool shake_hands(struct conn *c)
{
    int n;

    if (!c->ssl || c->shaken)
        return true;
    n = SSL_accept(c->ssl);
    c->shaken = n == 1;
    return n == 1 || tls_result(c, n) == -1;
}

static void on_ready(struct sink *s, struct conn *c)
{
    bool broken = false;
    int step = 1;

    if (c->dead)
        return;
    if (!shake_hands(c)) {
        end_conn(s, c);
        return;
    }
    while (step > 0 && (!c->ssl || c->shaken)) {
        if (c->state == READING_HEAD) {
            step = read_head(s, c);
        } else if (c->state == READING_BODY) {
            step = read_body(s, c);
        } else if (send_answer(s, c, &broken)) {
            answer_over(s, c);
            step = c->request.close ? -1 : 1;
        } else {
            step = broken ? -1 : 0;
        }
    }
    if (step < 0)
        end_conn(s, c);
    else
        watch(s, c, c->state == SENDING ? EPOLLOUT : EPOLLIN);
}

static void on_connection(struct sink *s)
{
    int fd, on = 1;

    while ((fd = accept4(s->listener, NULL, NULL,
                         SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = calloc(1, sizeof(*c));
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

        if (!c) {
            close(fd);
            return;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        c->fd = fd;
        c->events = EPOLLIN;
        c->next = s->living;
        if (c->next)
            c->next->prev = c;
        s->living = c;
        if (s->tls) {
            c->ssl = SSL_new(s->tls);
            SSL_set_fd(c->ssl, fd);
            SSL_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                     SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        }
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e);
    }
}

/* ---- the beginning ---- */

static SSL_CTX *load_tls(const char *cert, const char *key)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

    if (!tls || SSL_CTX_use_certificate_chain_file(tls, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    return tls;
}

static int listen_at(unsigned *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)*port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&at, size) < 0 || listen(fd, 512) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) < 0)
        die("listen");
    *port = ntohs(at.sin_port);
    return fd;
}

static void serve(struct sink *s)
{
    struct epoll_event events[EVENTS], e = {.events = EPOLLIN};

    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &e);
    while (!ending) {
        int n = epoll_wait(s->epoll, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                on_ready(s, events[i].data.ptr);
            else
                on_connection(s);
        }
        free_dead(s);
    }
    while (s->living)
        end_conn(s, s->living);
    free_dead(s);
}

static void usage(void)
{
    fprintf(stderr, "usage: s3sink [--port N] [--cert PEM --key PEM] "
                    "[--discard] [--folder DIR] [--warm BYTES]\n");
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", 1, NULL, 'p'},   {"cert", 1, NULL, 'c'},
        {"key", 1, NULL, 'k'},    {"discard", 0, NULL, 'd'},
        {"folder", 1, NULL, 'f'}, {"warm", 1, NULL, 'w'},
        {NULL, 0, NULL, 0},
    };
    static struct sink s = {.stock = {.keep = true, .folder = -1}};
    const char *cert = NULL, *key = NULL;
    uint64_t number = 0, warm = 0;
    unsigned port;
    int id;

    while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (id == 'p' && parse_u64(optarg, 0, 65535, &number))
            continue;
        else if (id == 'c')
            cert = optarg;
        else if (id == 'k')
            key = optarg;
        else if (id == 'd')
            s.stock.keep = false;
        else if (id == 'f')
            s.stock.folder = open(optarg, O_RDONLY | O_DIRECTORY);
        else if (id != 'w' || !parse_size(optarg, 0, INT64_MAX, &warm))
            usage();
    }
    if (!cert != !key || optind < argc)
        usage();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    if (cert)
        s.tls = load_tls(cert, key);
    if (!stock_warm(&s.stock, warm))
        die("--warm");
    port = (unsigned)number;
    s.listener = listen_at(&port);
    printf("%u\n", port);
    fflush(stdout);
    serve(&s);
    SSL_CTX_free(s.tls);
    return 0;
}
