/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/http_server_inner.h - what http_server.c and http_call.c know of each
 * other; nobody else includes this.
 *
 * libmicrohttpd runs only inside server_run(); what its callbacks find out is
 * noted and told to the user when it has returned, so that no call of the
 * user's comes from inside of it.
 */
#ifndef CAIRN_NET_HTTP_SERVER_INNER_H
#define CAIRN_NET_HTTP_SERVER_INNER_H

#include <sys/types.h>

#include <microhttpd.h>

#include "base/buf.h"
#include "loop/timer.h"
#include "net/http_listen.h"
#include "net/http_server.h"
#include "net/http_target.h"

/* READING -> ASKED -> ANSWERED -> SENDING -> GONE; what is refused before it
 * was whole goes from READING to REFUSED, and its user never hears of it. */
enum call_state {
    CALL_NEW,      /* its first line is there */
    CALL_READING,  /* the body comes */
    CALL_REFUSED,  /* the body is dropped, then the refusal is sent */
    CALL_ASKED,    /* whole; suspended till there is an answer */
    CALL_ANSWERED, /* to be handed to libmicrohttpd in its next run */
    CALL_SENDING,
    CALL_GONE, /* libmicrohttpd has finished with it */
};

/* A connection, from its first byte to its last. */
struct server_conn {
    struct server_conn *next, *prev;
    struct http_server *server;
    struct MHD_Connection *conn;
    uint64_t since; /* when it began to owe us a whole request; 0: it does
                       not, it waits for us */
};

struct http_call {
    struct http_server *server;
    struct http_call *next, *prev; /* all of the server's */
    struct http_call *ready_next;  /* to be told to on_call() */
    enum call_state state;
    struct MHD_Connection *conn; /* NULL once gone */
    bool suspended;
    bool told;     /* on_call() was called */
    bool complete; /* the whole answer is out */
    char *method;
    struct http_target target;
    enum err_code target_rc;
    struct buf body;
    int refusal;      /* the status, in CALL_REFUSED */
    uint64_t dropped; /* of a body that is too large */
    int status;
    struct MHD_Response *response; /* ours till handed over */
    void *user;

    bool streaming, ended, broken;
    bool endless;   /* only http_call_end() is the end */
    struct http_piece *lent, **lent_end; /* to be sent */
    size_t lent_at;                      /* of the first */
    struct http_piece *used;             /* to be given back */
};

struct http_server {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    uv_poll_t *poll; /* its memory outlives us by one turn */
    struct timer timer;
    unsigned port;
    char *unix_path;
    struct http_listen_file unix_file;
    struct buf cert, key; /* libmicrohttpd keeps pointers to them */
    size_t body_max;
    size_t bodies;       /* bytes of bodies that are not whole yet */
    uint64_t request_ms; /* a request is whole by then or cut off */
    struct server_conn *conns;
    struct timer sweep;
    void (*on_call)(void *ctx, struct http_call *call);
    void (*on_gone)(void *ctx, struct http_call *call, bool complete);
    void *ctx;
    struct http_call *calls;
    struct http_call *ready, **ready_end;
    bool inside;    /* libmicrohttpd runs, or the user is told */
    bool run_again; /* something changed that only a further run sees */
    char log[200];  /* libmicrohttpd's last words */
};

/* http_call.c: libmicrohttpd's callbacks. */
void *http_call_begin(void *ctx, const char *target,
                      struct MHD_Connection *conn);
enum MHD_Result http_call_continue(void *ctx, struct MHD_Connection *conn,
                                   const char *url, const char *method,
                                   const char *version, const char *data,
                                   size_t *size, void **call);
void http_call_finish(void *ctx, struct MHD_Connection *conn, void **call,
                      enum MHD_RequestTerminationCode why);

/* Pieces that were sent, or will not be, go back to who lent them. */
void http_call_give_back(struct http_call *c);
void http_call_break(struct http_call *c);
void http_call_destroy(struct http_call *c);

/* http_server.c: have libmicrohttpd run in the next turn. */
void http_server_wake(struct http_server *s);
/* http_server.c: the connection of a call owes us a request, or no more. */
void http_server_owed(struct http_call *c, bool owed);

#endif
