/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/http_client.h - HTTP/1.1 transfers of one loop, over libcurl's multi
 * interface.
 *
 * A client and its transfers live on one loop and are used on its thread only.
 * Redirects are never followed, no proxy, cookie jar or netrc is used. Bodies
 * are decoded by nobody: what arrives is what was sent. TLS is verified by the
 * transfer's trust, always; a kept connection serves only who believes the
 * same. Nothing is retried here, but for a kept connection that turns out to
 * be dead before the first byte of an answer: then GET, HEAD, PUT and DELETE
 * without an If- header go out once more (a pulled body only if none of it was
 * pulled). Error texts name host and path, never a query.
 */
#ifndef CAIRN_NET_HTTP_CLIENT_H
#define CAIRN_NET_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "loop/loop.h"
#include "net/http_tls.h"

struct http_client;
struct http_transfer;

/* Once per process, before threads start. Has SIGPIPE ignored. ERR_NOMEM. */
enum err_code http_client_setup(struct err *err);

/* connections_per_host: at most this many at once to one host and port.
 * ERR_NOMEM. */
enum err_code http_client_new(struct loop *loop, unsigned connections_per_host,
                              struct http_client **out, struct err *err);

/* All transfers must be done. Closes idle connections. */
void http_client_free(struct http_client *c);

struct http_header {
    const char *name;
    const char *value; /* no control characters: refused with ERR_ARGUMENT */
};

/* What came back. Borrowed: valid until the callback that got it returns. */
struct http_response {
    int status;          /* 0: no answer came */
    uint64_t body_bytes; /* delivered to on_body() */
    uint64_t sent_bytes; /* of the request's body */
    int64_t length;      /* Content-Length, -1: none was given */
    const struct http_transfer *transfer;
};

/* Value of a response header (case-insensitive), or NULL. At most 16 KiB of
 * headers are kept; more ends the transfer with ERR_PROTOCOL. */
const char *http_response_header(const struct http_response *r,
                                 const char *name);

struct http_transfer_opts {
    const char *method; /* "GET", "HEAD", "PUT", "POST", "DELETE",
                           "PATCH" */
    const char *url;    /* http or https; sent as it is, path already encoded;
                           no user name, no fragment */
    const struct http_header *headers; /* copied, as all texts here. Framing is
                           ours: no Content-Length, Transfer-Encoding, Expect */
    size_t header_count;
    struct http_trust *trust; /* https: required; held. NULL for http */
    const char *connect_to;   /* address (and ":port") to connect to instead of
                                 the URL's host; Host, SNI and certificate name
                                 stay. NULL: none */
    const char *unix_path;    /* connect to this unix socket. NULL: none */

    /* Request body: slices (borrowed until done()), or pulled. */
    const struct slice *body;
    size_t body_slices;
    /* Fill at most max bytes, return how many; 0 is the end;
     * HTTP_PULL_WAIT: nothing yet, http_transfer_resume() later;
     * HTTP_PULL_FAIL: end the transfer. NULL: slices. */
    long (*pull)(void *ctx, uint8_t *into, size_t max);
    uint64_t body_bytes; /* of a pulled body; always sent as Content-Length.
                            An earlier end is ERR_ARGUMENT; once they all came
                            pull() is not asked again */

    /* Deadlines in ms; 0: none. Counted by our own timers. A transfer that is
     * paused by on_body() or waits in pull() is not stalled. */
    uint64_t connect_ms;    /* until the connection (and TLS) stands */
    uint64_t first_byte_ms; /* from the request sent to the answer's first */
    uint64_t stall_ms;      /* between two pieces, either way */
    uint64_t total_ms;      /* for all of it */

    bool fresh;   /* do not re-use a connection, and close it afterwards */
    unsigned idle_max_s; /* re-use none that has been idle for longer; 0: two
                            minutes */
    bool raw_end; /* the body may end with the connection: a missing end is
                     the caller's to find out (XAPI exports and imports).
                     False: a 2xx that does not say its length is
                     ERR_PROTOCOL */

    /* Status and headers are there; the body follows. An answer from 300 on
     * ends the sending of a body that is under way. Return false to end the
     * transfer with ERR_CANCELLED. NULL: wait for done(). */
    bool (*on_head)(void *ctx, const struct http_response *r);
    /* A piece of the body, at most 16 KiB. Take it whole and return true, or
     * touch nothing and return false: the transfer pauses and the same bytes
     * come again after http_transfer_resume(). NULL: body is dropped. */
    bool (*on_body)(void *ctx, const uint8_t *data, size_t len);
    /* Exactly once per started transfer, never from inside a call into this
     * module (but from callbacks of the loop). ERR_OK means that a complete
     * answer came - of whatever status. Else: ERR_UNREACHABLE (name, connect,
     * TLS not trusted: detail is then the CURLcode), ERR_TIMEOUT,
     * ERR_CANCELLED, ERR_IO (broken in the middle), ERR_PROTOCOL, ERR_NOMEM.
     * The transfer is gone when this returns. */
    void (*done)(void *ctx, const struct err *err,
                 const struct http_response *r);
    void *ctx;
};

#define HTTP_PULL_WAIT (-1L)
#define HTTP_PULL_FAIL (-2L)

/* ERR_ARGUMENT, ERR_NOMEM: then done() is never called. */
enum err_code http_transfer_start(struct http_client *c,
                                  const struct http_transfer_opts *opts,
                                  struct http_transfer **out, struct err *err);

/* After on_body() said false or pull() said HTTP_PULL_WAIT. Never from inside
 * a callback of the same transfer. Harmless when nothing is paused. */
void http_transfer_resume(struct http_transfer *t);

/* done() gets ERR_CANCELLED in a later turn; the connection is closed. */
void http_transfer_cancel(struct http_transfer *t);

/* Bytes of requests that went out. 0: connecting failed, or TLS was refused,
 * before anything was sent. Valid inside done(). */
uint64_t http_transfer_wire_bytes(const struct http_transfer *t);

#endif
