/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/http_inner.h - what http_client.c and http_transfer.c know of each
 * other; nobody else includes this.
 *
 * The client owns libcurl's multi handles, sockets and the order of events;
 * a transfer owns one easy handle, its callbacks, deadlines and outcome.
 * libcurl is entered from three places only (a socket is ready, its timer
 * fired, the client's pump), never from inside one of its callbacks: calls of
 * the user are noted and done by the pump in the next turn of the loop.
 */
#ifndef CAIRN_NET_HTTP_INNER_H
#define CAIRN_NET_HTTP_INNER_H

#include <curl/curl.h>

#include "loop/timer.h"
#include "net/http_client.h"
#include "net/http_head.h"

struct http_lane;
struct http_host;

/*
 * QUEUED -> CONNECTING -> SENDING -> WAITING -> RECEIVING -> ENDED
 *                    \______________^          (any state may end)
 * An answer that comes early leaves SENDING as it is until all is sent.
 */
enum transfer_state {
    TRANSFER_QUEUED,     /* its host has no connection to spare */
    TRANSFER_CONNECTING, /* name, TCP, TLS */
    TRANSFER_SENDING,    /* the request's body */
    TRANSFER_WAITING,    /* all sent, no byte of the answer yet */
    TRANSFER_RECEIVING,
    TRANSFER_ENDED,
};

struct http_transfer {
    struct http_client *client;
    struct http_host *host;            /* set while queued or running */
    struct http_lane *lane;            /* set while running */
    struct http_transfer *next, *prev; /* its host's queue, its lane's running
                                          ones or the client's ended ones */
    struct http_transfer *todo_next;
    bool todo; /* in the pump's list */
    bool resume_wanted;
    enum transfer_state state;
    struct err err; /* the first failure */

    CURL *easy;
    struct curl_slist *headers, *connect_to;
    struct http_trust *trust;
    char *method;
    char *place; /* host and port to connect to: the key of its host */
    char *label; /* "PUT host/path", without the query: for error texts */
    char curl_text[CURL_ERROR_SIZE];

    struct slice *body; /* the array is ours, the bytes are the caller's */
    size_t body_slices, slice_at, slice_offset;
    long (*pull)(void *ctx, uint8_t *into, size_t max);
    uint64_t body_bytes, body_done;
    bool has_body;
    bool repeatable; /* libcurl may send it again when a kept connection turns
                        out to be dead */
    unsigned attempts;
    bool out_paused, in_paused;
    bool let_pass; /* paused itself to read before it sends on */
    bool refused;  /* an error answer came before the whole body was sent */
    bool raw_end;

    struct http_head head;
    uint64_t received, sent, wire;
    uint64_t taken; /* bytes of the answer, head and body */

    uint64_t connect_ms, first_byte_ms, stall_ms, total_ms;
    struct timer deadline;
    uint64_t started_at, launched_at, active_at;
    uint64_t progress; /* of sending, when it was last looked at */
    int fd;            /* the socket that libcurl watches for it, or -1 */

    bool (*on_head)(void *ctx, const struct http_response *r);
    bool (*on_body)(void *ctx, const uint8_t *data, size_t len);
    void (*done)(void *ctx, const struct err *err,
                 const struct http_response *r);
    void *ctx;
};

/* http_setup.c: an easy handle with all its options. ERR_ARGUMENT, ERR_NOMEM;
 * then *t is in a state that http_transfer_destroy() takes. */
enum err_code http_setup_transfer(struct http_transfer *t,
                                  const struct http_transfer_opts *opts,
                                  struct err *err);

/* http_transfer.c: callbacks of libcurl, set by http_setup.c. */
size_t http_transfer_on_read(char *into, size_t size, size_t count, void *ctx);
int http_transfer_on_seek(void *ctx, curl_off_t offset, int origin);
size_t http_transfer_on_line(char *line, size_t size, size_t count, void *ctx);
size_t http_transfer_on_piece(char *data, size_t size, size_t count, void *ctx);
int http_transfer_on_connected(void *ctx, char *peer_ip, char *own_ip,
                               int peer_port, int own_port);
CURLcode http_transfer_on_ssl_ctx(CURL *easy, void *ssl_ctx, void *ctx);

/* http_transfer.c, for http_client.c. */
void http_transfer_launched(struct http_transfer *t);
/* Do what resume_wanted says; a failure is in t->err. */
void http_transfer_unpause(struct http_transfer *t);
/* Whether there is something to read that the socket does not tell of. */
bool http_transfer_has_unread(const struct http_transfer *t);
/* No callback comes any more: fix the outcome. `result` is libcurl's, or
 * CURLE_OK together with t->err. */
void http_transfer_settle(struct http_transfer *t, CURLcode result);
void http_transfer_call_done(struct http_transfer *t);
void http_transfer_destroy(struct http_transfer *t);

/* http_client.c, for http_transfer.c. ERR_NOMEM. */
enum err_code http_client_enqueue(struct http_client *c,
                                  struct http_transfer *t, struct err *err);
/* Have the pump look at the transfer in the next turn. */
void http_client_poke(struct http_transfer *t);
struct loop *http_client_loop(const struct http_client *c);

#endif
