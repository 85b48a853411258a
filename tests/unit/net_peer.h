/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/net_peer.h - the other side of an HTTP connection, played by a
 * test on plain blocking sockets: one thread per connection runs a script that
 * says and breaks whatever it likes.
 */
#ifndef CAIRN_TESTS_NET_PEER_H
#define CAIRN_TESTS_NET_PEER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

struct peer;

struct peer_conn {
    struct peer *peer;
    void *ctx;      /* of peer_start() */
    unsigned index; /* 0 for the first connection */
    int fd;
    SSL *ssl;
};

typedef void peer_play_fn(struct peer_conn *c);

/* Listens on 127.0.0.1. With tls each connection is shaken hands with before
 * play() is called; one that fails is closed and never played. */
struct peer *peer_start(peer_play_fn *play, void *ctx, SSL_CTX *tls);
/* As peer_start(), on a unix socket. */
struct peer *peer_start_unix(peer_play_fn *play, void *ctx, const char *path);
/* Shuts what is open down and joins all threads. */
void peer_stop(struct peer *p);

unsigned peer_port(const struct peer *p);
unsigned peer_connections(struct peer *p);
/* Application bytes that arrived, over all connections. */
uint64_t peer_bytes(struct peer *p);
/* Wait until every connection so far is over, so that all bytes are counted. */
void peer_settle(struct peer *p);

/* Read a request's head into text (NUL-terminated); false: none came. */
bool peer_head(struct peer_conn *c, char *text, size_t size);
/* Exactly len bytes; false: the connection ended before. into NULL: drop. */
bool peer_read(struct peer_conn *c, void *into, size_t len);
bool peer_write(struct peer_conn *c, const void *data, size_t len);
bool peer_say(struct peer_conn *c, const char *text);
/* Stay silent until the client closes. */
void peer_wait(struct peer_conn *c);
/* Close by a reset, now. */
void peer_reset(struct peer_conn *c);

/* A certificate for name (an IP address or DNS name), made now. */
struct peer_cert {
    X509 *cert;
    EVP_PKEY *key;
};
/* issuer NULL: signed by itself. from_days and to_days count from today. */
struct peer_cert peer_cert_new(const char *name, bool ca,
                               const struct peer_cert *issuer, int from_days,
                               int to_days);
void peer_cert_free(struct peer_cert *c);
/* To free(). */
char *peer_cert_pem(const struct peer_cert *c);
char *peer_key_pem(const struct peer_cert *c);
void peer_cert_sha256(const struct peer_cert *c, uint8_t out[32]);
SSL_CTX *peer_tls(const struct peer_cert *c);

#endif
