/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "net/http_head.h"
#include "net/http_server_inner.h"

#define STREAM_BLOCK ((size_t)(64 * KIB))
/* A body that is too large is read to its end up to here, so that the client
 * is listening when the refusal comes. */
#define DROP_MAX (8 * MIB)
/* Who is asking is known only when a body is whole: those that are not may
 * take together so many of the largest. */
#define BODIES_MAX 8

/* ---- A request comes in ---- */

void *http_call_begin(void *ctx, const char *target,
                      struct MHD_Connection *conn)
{
    struct http_server *s = ctx;
    struct http_call *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL; /* http_call_continue() closes the connection */
    c->server = s;
    c->conn = conn;
    c->target_rc = http_target_parse(target, &c->target);
    /* Passwords and recovery phrases come this way. */
    buf_init_secret(&c->body, s->body_max);
    c->lent_end = &c->lent;
    c->next = s->calls;
    if (c->next)
        c->next->prev = c;
    s->calls = c;
    return c;
}

void http_call_destroy(struct http_call *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        c->server->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    if (c->response)
        MHD_destroy_response(c->response);
    http_target_fini(&c->target);
    buf_fini(&c->body);
    free(c->method);
    free(c);
}

static enum MHD_Result hand_over(struct http_call *c)
{
    enum MHD_Result rc =
        MHD_queue_response(c->conn, (unsigned)c->status, c->response);

    MHD_destroy_response(c->response);
    c->response = NULL;
    c->state = CALL_SENDING;
    return rc;
}

/* Refuse what is not worth asking about, in the words of RFC 9457. */
static enum MHD_Result refuse(struct http_call *c, int status,
                              const char *title)
{
    char body[200];
    int n = snprintf(body, sizeof(body),
                     "{\"type\":\"about:blank\",\"title\":\"%s\","
                     "\"status\":%d}\n",
                     title, status);

    c->response =
        MHD_create_response_from_buffer((size_t)n, body, MHD_RESPMEM_MUST_COPY);
    if (!c->response)
        return MHD_NO;
    MHD_add_response_header(c->response, "Content-Type",
                            "application/problem+json");
    c->status = status;
    return hand_over(c);
}

/* Read on without keeping anything; the refusal comes at the end. */
static void drop_body(struct http_call *c, int status)
{
    c->state = CALL_REFUSED;
    c->refusal = status;
    c->server->bodies -= c->body.len;
    buf_fini(&c->body);
}

static enum MHD_Result refuse_dropped(struct http_call *c)
{
    return refuse(c, c->refusal,
                  c->refusal == 413 ? "Content Too Large"
                                    : "Service Unavailable");
}

static enum MHD_Result on_head(struct http_call *c, const char *method)
{
    const char *text =
        MHD_lookup_connection_value(c->conn, MHD_HEADER_KIND, "Content-Length");
    uint64_t length = 0;

    c->method = strdup(method);
    if (!c->method || c->target_rc == ERR_NOMEM)
        return MHD_NO;
    if (c->target_rc != ERR_OK)
        return refuse(c, 400, "Bad Request");
    c->state = CALL_READING;
    if (!text)
        return MHD_YES;
    if (!parse_u64(text, 0, UINT64_MAX, &length))
        return refuse(c, 400, "Bad Request");
    if (length > c->server->body_max)
        drop_body(c, 413);
    if (length > c->server->body_max && length > DROP_MAX)
        return refuse_dropped(c);
    return MHD_YES;
}

static enum MHD_Result on_body(struct http_call *c, const char *data,
                               size_t size)
{
    struct http_server *s = c->server;

    if (c->state == CALL_READING && size > s->body_max - c->body.len)
        drop_body(c, 413);
    if (c->state == CALL_READING && size > BODIES_MAX * s->body_max - s->bodies)
        drop_body(c, 503);
    if (c->state == CALL_READING) {
        if (!buf_add(&c->body, data, size))
            return MHD_NO;
        s->bodies += size;
        return MHD_YES;
    }
    if (c->state != CALL_REFUSED)
        return MHD_YES; /* refused by its head already */
    c->dropped += size;
    return c->dropped <= DROP_MAX ? MHD_YES : MHD_NO;
}

static enum MHD_Result on_whole(struct http_call *c)
{
    struct http_server *s = c->server;

    if (c->state == CALL_REFUSED)
        return refuse_dropped(c);
    s->bodies -= c->body.len;
    http_server_owed(c, false);
    c->state = CALL_ASKED;
    MHD_suspend_connection(c->conn);
    c->suspended = true;
    *s->ready_end = c;
    s->ready_end = &c->ready_next;
    return MHD_YES;
}

enum MHD_Result http_call_continue(void *ctx, struct MHD_Connection *conn,
                                   const char *url, const char *method,
                                   const char *version, const char *data,
                                   size_t *size, void **call)
{
    struct http_call *c = *call;
    enum MHD_Result rc = MHD_NO;

    (void)ctx;
    (void)conn;
    (void)url;
    (void)version;
    if (!c || c->broken)
        return MHD_NO;
    switch (c->state) {
    case CALL_NEW:
        return on_head(c, method);
    case CALL_READING:
    case CALL_REFUSED:
        if (*size == 0)
            return on_whole(c);
        rc = on_body(c, data, *size);
        *size = 0;
        return rc;
    case CALL_ANSWERED:
        return hand_over(c);
    case CALL_ASKED:
    case CALL_SENDING:
        *size = 0;
        return MHD_YES;
    case CALL_GONE:
        break;
    }
    return MHD_NO;
}

void http_call_finish(void *ctx, struct MHD_Connection *conn, void **call,
                      enum MHD_RequestTerminationCode why)
{
    struct http_call *c = *call;

    (void)ctx;
    (void)conn;
    if (!c)
        return;
    if (c->state == CALL_READING || c->state == CALL_NEW)
        c->server->bodies -= c->body.len;
    http_server_owed(c, true);
    c->complete = why == MHD_REQUEST_TERMINATED_COMPLETED_OK &&
                  c->state == CALL_SENDING && !c->broken &&
                  (c->ended || !c->endless);
    c->state = CALL_GONE;
    c->conn = NULL;
    c->suspended = false;
    *call = NULL;
}

/* ---- What the user sees of it ---- */

const char *http_call_method(const struct http_call *c)
{
    return c->method;
}

const char *http_call_path(const struct http_call *c)
{
    return c->target.path;
}

const char *http_call_query(const struct http_call *c, const char *name)
{
    return http_target_find(&c->target, name);
}

const char *http_call_query_at(const struct http_call *c, size_t i,
                               const char **value)
{
    if (i >= c->target.count)
        return NULL;
    *value = c->target.params[i].value;
    return c->target.params[i].name;
}

const char *http_call_header(const struct http_call *c, const char *name)
{
    if (!c->conn)
        return NULL;
    return MHD_lookup_connection_value(c->conn, MHD_HEADER_KIND, name);
}

const uint8_t *http_call_body(const struct http_call *c, size_t *len)
{
    *len = c->body.len;
    return c->body.data;
}

void http_call_set_user(struct http_call *c, void *user)
{
    c->user = user;
}

void *http_call_user(const struct http_call *c)
{
    return c->user;
}

/* ---- Answering ---- */

static void resume(struct http_call *c)
{
    if (c->suspended) {
        c->suspended = false;
        MHD_resume_connection(c->conn);
    }
    http_server_wake(c->server);
}

/* The connection is closed without a proper end; a reset where it can be, so
 * that nobody takes a close for the end of an answer without length. */
void http_call_break(struct http_call *c)
{
    const union MHD_ConnectionInfo *info;
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    c->broken = true;
    if (!c->conn)
        return;
    info = MHD_get_connection_info(c->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info)
        setsockopt(info->connect_fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    resume(c);
}

void http_call_cut(struct http_call *c)
{
    http_call_break(c);
}

static bool add_headers(struct MHD_Response *r,
                        const struct http_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert(http_head_name_ok(headers[i].name));
        if (!http_head_value_ok(headers[i].value))
            return false;
        if (MHD_add_response_header(r, headers[i].name, headers[i].value) !=
            MHD_YES)
            return false;
    }
    return true;
}

/* Takes the response over; NULL: it could not be made. */
static void answer(struct http_call *c, int status, struct MHD_Response *r,
                   const struct http_header *headers, size_t count)
{
    if (!c->conn) { /* the client is gone, on_gone() is about to say so */
        if (r)
            MHD_destroy_response(r);
        return;
    }
    assert(c->state == CALL_ASKED);
    c->state = CALL_ANSWERED;
    c->status = status;
    c->response = r;
    if (r && add_headers(r, headers, count))
        resume(c);
    else
        http_call_break(c);
}

/* Tokens and recovery phrases go this way. */
static void wiping_free(void *copy)
{
    bytes_wipe(copy, malloc_usable_size(copy));
    free(copy);
}

void http_call_answer(struct http_call *c, int status,
                      const struct http_header *headers, size_t header_count,
                      const void *body, size_t len)
{
    char *copy = malloc(len + 1);
    struct MHD_Response *r = NULL;

    if (copy) {
        if (len)
            memcpy(copy, body, len);
        r = MHD_create_response_from_buffer_with_free_callback(len, copy,
                                                               wiping_free);
        if (!r)
            wiping_free(copy);
    }
    answer(c, status, r, headers, header_count);
}

/* The first piece lent was sent, or will not be. */
static void put_aside(struct http_call *c)
{
    struct http_piece *piece = c->lent;

    c->lent = piece->next;
    if (!c->lent)
        c->lent_end = &c->lent;
    c->lent_at = 0;
    piece->next = c->used;
    c->used = piece;
}

static size_t read_lent(struct http_call *c, uint8_t *into, size_t max)
{
    size_t filled = 0;

    while (c->lent && filled < max) {
        size_t n = c->lent->len - c->lent_at;

        if (n > max - filled)
            n = max - filled;
        memcpy(into + filled, (const uint8_t *)c->lent->data + c->lent_at, n);
        c->lent_at += n;
        filled += n;
        if (c->lent_at == c->lent->len)
            put_aside(c);
    }
    return filled;
}

/* libmicrohttpd can send more. Never 0 without suspending: it would ask again
 * and again. */
static ssize_t on_more(void *ctx, uint64_t at, char *into, size_t max)
{
    struct http_call *c = ctx;
    size_t n = c->broken ? 0 : read_lent(c, (uint8_t *)into, max);

    (void)at;
    if (c->broken)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n > 0)
        return (ssize_t)n;
    if (c->ended && c->endless)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (c->ended) { /* before its Content-Length */
        http_call_break(c);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    MHD_suspend_connection(c->conn);
    c->suspended = true;
    return 0;
}

void http_call_stream(struct http_call *c, int status,
                      const struct http_header *headers, size_t header_count,
                      int64_t length)
{
    uint64_t size = length < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)length;
    struct MHD_Response *r =
        MHD_create_response_from_callback(size, STREAM_BLOCK, on_more, c, NULL);

    c->streaming = true;
    c->endless = length < 0 && strcmp(c->method, "HEAD") != 0;
    answer(c, status, r, headers, header_count);
}

bool http_call_lend(struct http_call *c, struct http_piece *piece)
{
    assert(c->streaming && !c->ended && piece->len > 0);
    if (!c->conn || c->broken)
        return false;
    piece->next = NULL;
    *c->lent_end = piece;
    c->lent_end = &piece->next;
    if (c->suspended)
        resume(c);
    return true;
}

void http_call_retract(struct http_call *c)
{
    c->lent = NULL;
    c->lent_end = &c->lent;
    c->used = NULL;
    http_call_break(c);
}

void http_call_give_back(struct http_call *c)
{
    while (c->state == CALL_GONE && c->lent)
        put_aside(c);
    while (c->used) {
        struct http_piece *piece = c->used;

        c->used = piece->next;
        piece->done(piece);
    }
}

void http_call_end(struct http_call *c, bool complete)
{
    assert(c->streaming && !c->ended);
    c->ended = true;
    if (!c->conn)
        return;
    if (!complete)
        http_call_break(c);
    else
        resume(c);
}
