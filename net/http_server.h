/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/http_server.h - the control API's HTTP server: libmicrohttpd pumped by
 * the loop, no thread of its own.
 *
 * A server listens on a unix socket, or on TCP with TLS. A request is handed
 * over when its (bounded) body is there; the answer is given at once or later,
 * as one body or as a stream with back-pressure. The loop's thread only.
 */
#ifndef CAIRN_NET_HTTP_SERVER_H
#define CAIRN_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/loop.h"
#include "net/http_client.h"

struct http_server;
struct http_call;

struct http_server_opts {
    const char *unix_path; /* mode 0660; a stale socket is replaced, a live one
                              is ERR_CONFLICT. NULL: TCP */
    const char *address;   /* "127.0.0.1:8443", "[::1]:0" */
    const char *cert_pem;  /* TCP needs both; file contents */
    const char *key_pem;
    size_t body_max;       /* larger request bodies: 413; over eight times as
                              much in bodies that are not whole: 503 */
    unsigned connections_max; /* on TCP one address gets half of them */
    uint64_t idle_ms;      /* a silent connection is closed; a request that is
                              not whole after twice as long, too. Whole
                              seconds, at least one */
    /* The request is whole. Answer now or later with exactly one
     * http_call_answer() or http_call_stream(). What has no sensible target
     * (400) or too large a body is refused without asking. */
    void (*on_call)(void *ctx, struct http_call *call);
    /* The client went away before the answer was complete, or the answer is
     * out: the call is gone when this returns. Once per on_call(). Nobody looks
     * at a client that waits: its going is seen when something is sent. */
    void (*on_gone)(void *ctx, struct http_call *call, bool complete);
    void *ctx;
};

/* ERR_ARGUMENT, ERR_IO, ERR_CONFLICT, ERR_NOMEM. */
enum err_code http_server_new(struct loop *loop,
                              const struct http_server_opts *opts,
                              struct http_server **out, struct err *err);
/* Ends all calls (on_gone() for each), closes, then is gone. Not from inside
 * one of its callbacks. */
void http_server_free(struct http_server *s);
/* The port that was bound (TCP), 0 for a unix socket. */
unsigned http_server_port(const struct http_server *s);

/* All borrowed until on_gone(). */
const char *http_call_method(const struct http_call *c);
const char *http_call_path(const struct http_call *c); /* decoded, no query */
const char *http_call_query(const struct http_call *c, const char *name);
/* The i-th query parameter, decoded; NULL past the last. */
const char *http_call_query_at(const struct http_call *c, size_t i,
                               const char **value);
const char *http_call_header(const struct http_call *c, const char *name);
const uint8_t *http_call_body(const struct http_call *c, size_t *len);
/* Free for the user: one pointer per call. */
void http_call_set_user(struct http_call *c, void *user);
void *http_call_user(const struct http_call *c);

/* Copies everything. A header's name is a token; a value with control
 * characters, and lack of memory, break the connection off. */
void http_call_answer(struct http_call *c, int status,
                      const struct http_header *headers, size_t header_count,
                      const void *body, size_t len);

/* Begin a streamed answer; length -1: unknown (chunked). Then
 * http_call_lend() pieces and http_call_end(). */
void http_call_stream(struct http_call *c, int status,
                      const struct http_header *headers, size_t header_count,
                      int64_t length);
/*
 * Pieces are sent in the order of lending and given back by done(), later, when
 * they were read; so who lends has the bound. False: the client is gone, the
 * piece stays yours; of those lent before, done() comes ahead of on_gone().
 */
struct http_piece {
    const void *data;
    size_t len; /* not 0 */
    void (*done)(struct http_piece *piece); /* on the server's loop */
    /* private: */
    struct http_piece *next;
};
bool http_call_lend(struct http_call *c, struct http_piece *piece);
/* Take back what is lent, now and without done(), and break the connection
 * off; http_call_end(c, false) follows. */
void http_call_retract(struct http_call *c);
/* Break the connection off, whatever it is at; on_gone() comes, later. */
void http_call_cut(struct http_call *c);
/* No more pieces come; what is lent is sent. complete false: break the
 * connection off, so that the client cannot take the part for the whole. */
void http_call_end(struct http_call *c, bool complete);

#endif
