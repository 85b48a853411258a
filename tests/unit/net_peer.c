/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/net_peer.h"

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#define CONNS_MAX 2048

/* must() is compiled out of optimised builds. */
static void must(bool ok)
{
    if (!ok)
        abort();
}

struct runner {
    pthread_t thread;
    struct peer_conn conn;
    bool open; /* fd may be shut down from outside */
};

struct peer {
    int listener;
    unsigned port;
    peer_play_fn *play;
    void *ctx;
    SSL_CTX *tls;
    pthread_t acceptor;
    pthread_mutex_t lock; /* runners, count */
    struct runner *runners[CONNS_MAX];
    unsigned count;
    atomic_ullong bytes;
};

static void conn_close(struct runner *r)
{
    struct peer *p = r->conn.peer;

    pthread_mutex_lock(&p->lock);
    r->open = false;
    pthread_mutex_unlock(&p->lock);
    if (r->conn.ssl) {
        SSL_shutdown(r->conn.ssl);
        SSL_free(r->conn.ssl);
    }
    if (r->conn.fd >= 0)
        close(r->conn.fd);
}

static void *run_conn(void *arg)
{
    struct runner *r = arg;
    struct peer *p = r->conn.peer;
    bool ok = true;

    if (p->tls) {
        r->conn.ssl = SSL_new(p->tls);
        SSL_set_fd(r->conn.ssl, r->conn.fd);
        ok = SSL_accept(r->conn.ssl) == 1;
        /* TLS 1.3: the client's refusal comes after our part is done; only a
         * read shows it. */
    }
    if (ok)
        p->play(&r->conn);
    conn_close(r);
    return NULL;
}

static void *run_acceptor(void *arg)
{
    struct peer *p = arg;

    for (;;) {
        int fd = accept(p->listener, NULL, NULL);
        struct runner *r;

        if (fd < 0)
            return NULL;
        r = calloc(1, sizeof(*r));
        pthread_mutex_lock(&p->lock);
        must(r != NULL && p->count < CONNS_MAX);
        r->conn = (struct peer_conn){
            .peer = p, .ctx = p->ctx, .index = p->count, .fd = fd};
        r->open = true;
        p->runners[p->count++] = r;
        pthread_create(&r->thread, NULL, run_conn, r);
        pthread_mutex_unlock(&p->lock);
    }
}

static struct peer *listen_on(struct sockaddr *addr, socklen_t len,
                              peer_play_fn *play, void *ctx, SSL_CTX *tls)
{
    struct peer *p = calloc(1, sizeof(*p));
    int rc;

    must(p != NULL);
    signal(SIGPIPE, SIG_IGN);
    p->play = play;
    p->ctx = ctx;
    p->tls = tls;
    pthread_mutex_init(&p->lock, NULL);
    p->listener = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    rc = bind(p->listener, addr, len);
    must(rc == 0);
    rc = listen(p->listener, 128);
    must(rc == 0);
    rc = getsockname(p->listener, addr, &len);
    must(rc == 0);
    if (addr->sa_family == AF_INET)
        p->port = ntohs(((struct sockaddr_in *)addr)->sin_port);
    pthread_create(&p->acceptor, NULL, run_acceptor, p);
    return p;
}

struct peer *peer_start(peer_play_fn *play, void *ctx, SSL_CTX *tls)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    return listen_on((struct sockaddr *)&addr, sizeof(addr), play, ctx, tls);
}

struct peer *peer_start_unix(peer_play_fn *play, void *ctx, const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    unlink(path);
    return listen_on((struct sockaddr *)&addr, sizeof(addr), play, ctx, NULL);
}

void peer_stop(struct peer *p)
{
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->acceptor, NULL);
    close(p->listener);
    pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < p->count; i++) {
        if (p->runners[i]->open)
            shutdown(p->runners[i]->conn.fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->count; i++) {
        pthread_join(p->runners[i]->thread, NULL);
        free(p->runners[i]);
    }
    pthread_mutex_destroy(&p->lock);
    free(p);
}

unsigned peer_port(const struct peer *p)
{
    return p->port;
}

unsigned peer_connections(struct peer *p)
{
    unsigned n;

    pthread_mutex_lock(&p->lock);
    n = p->count;
    pthread_mutex_unlock(&p->lock);
    return n;
}

uint64_t peer_bytes(struct peer *p)
{
    return atomic_load(&p->bytes);
}

void peer_settle(struct peer *p)
{
    bool open = true;

    while (open) {
        open = false;
        pthread_mutex_lock(&p->lock);
        for (unsigned i = 0; i < p->count; i++)
            open = open || p->runners[i]->open;
        pthread_mutex_unlock(&p->lock);
        usleep(1000);
    }
}

static ssize_t read_some(struct peer_conn *c, void *into, size_t max)
{
    ssize_t n;

    if (c->fd < 0)
        return -1;
    n = c->ssl ? SSL_read(c->ssl, into, (int)max) : recv(c->fd, into, max, 0);
    if (n > 0)
        atomic_fetch_add(&c->peer->bytes, (unsigned long long)n);
    return n;
}

bool peer_head(struct peer_conn *c, char *text, size_t size)
{
    size_t len = 0;

    while (len + 1 < size) {
        if (read_some(c, text + len, 1) != 1)
            return false;
        text[++len] = '\0';
        if (len >= 4 && memcmp(text + len - 4, "\r\n\r\n", 4) == 0)
            return true;
    }
    return false;
}

bool peer_read(struct peer_conn *c, void *into, size_t len)
{
    char drop[65536];

    while (len > 0) {
        size_t max = !into && len > sizeof(drop) ? sizeof(drop) : len;
        ssize_t n = read_some(c, into ? into : drop, max);

        if (n <= 0)
            return false;
        len -= (size_t)n;
        if (into)
            into = (char *)into + n;
    }
    return true;
}

bool peer_write(struct peer_conn *c, const void *data, size_t len)
{
    const char *p = data;

    while (len > 0) {
        size_t max = len < (1 << 20) ? len : (1 << 20);
        ssize_t n;

        if (c->fd < 0)
            return false;
        n = c->ssl ? SSL_write(c->ssl, p, (int)max)
                   : send(c->fd, p, max, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

bool peer_say(struct peer_conn *c, const char *text)
{
    return peer_write(c, text, strlen(text));
}

void peer_wait(struct peer_conn *c)
{
    char drop[4096];

    while (read_some(c, drop, sizeof(drop)) > 0)
        ;
}

void peer_reset(struct peer_conn *c)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    int fd = c->fd;

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    c->fd = -1;
    /* Its farewell would go to whoever has this number next. */
    SSL_free(c->ssl);
    c->ssl = NULL;
    close(fd);
}

static void add_ext(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    must(ext != NULL);
    X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
}

struct peer_cert peer_cert_new(const char *name, bool ca,
                               const struct peer_cert *issuer, int from_days,
                               int to_days)
{
    static atomic_int serial = 1;
    struct peer_cert c = {.cert = X509_new(), .key = EVP_EC_gen("P-256")};
    X509_NAME *subject;
    char alt[300];

    must(c.cert != NULL && c.key != NULL);
    X509_set_version(c.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c.cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(c.cert), from_days * 86400L);
    X509_gmtime_adj(X509_getm_notAfter(c.cert), to_days * 86400L);
    X509_set_pubkey(c.cert, c.key);
    subject = X509_get_subject_name(c.cert);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(c.cert, issuer ? X509_get_subject_name(issuer->cert)
                                        : subject);
    add_ext(c.cert, NID_basic_constraints,
            ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (!ca) {
        snprintf(alt, sizeof(alt), "%s:%s",
                 name[strspn(name, "0123456789.")] ? "DNS" : "IP", name);
        add_ext(c.cert, NID_subject_alt_name, alt);
    }
    X509_sign(c.cert, issuer ? issuer->key : c.key, EVP_sha256());
    return c;
}

void peer_cert_free(struct peer_cert *c)
{
    X509_free(c->cert);
    EVP_PKEY_free(c->key);
}

static char *bio_text(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *text = strndup(data, (size_t)len);

    BIO_free(bio);
    return text;
}

char *peer_cert_pem(const struct peer_cert *c)
{
    BIO *bio = BIO_new(BIO_s_mem());

    PEM_write_bio_X509(bio, c->cert);
    return bio_text(bio);
}

char *peer_key_pem(const struct peer_cert *c)
{
    BIO *bio = BIO_new(BIO_s_mem());

    PEM_write_bio_PrivateKey(bio, c->key, NULL, NULL, 0, NULL, NULL);
    return bio_text(bio);
}

void peer_cert_sha256(const struct peer_cert *c, uint8_t out[32])
{
    unsigned char *der = NULL;
    int len = i2d_X509(c->cert, &der);
    unsigned n = 0;

    EVP_Digest(der, (size_t)len, out, &n, EVP_sha256(), NULL);
    OPENSSL_free(der);
}

SSL_CTX *peer_tls(const struct peer_cert *c)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    must(ctx != NULL);
    SSL_CTX_use_certificate(ctx, c->cert);
    SSL_CTX_use_PrivateKey(ctx, c->key);
    return ctx;
}
