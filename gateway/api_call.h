/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/api_call.h - one request to the control API, from its arrival to its
 * answer. For the files of the API only.
 *
 *   arrived -> (token looked up) -> routed -> handler
 *           -> api_call_ask() / backend, any number of times
 *           -> api_call_done() | api_call_fail() -> (audit line) -> answered
 *
 * A client that goes away does not stop what was begun: the call goes on
 * without anybody to answer and is gone at its end. Control loop only, but for
 * the functions that handlers give to api_call_ask().
 */
#ifndef CAIRN_GATEWAY_API_CALL_H
#define CAIRN_GATEWAY_API_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/exit.h"
#include "base/json.h"
#include "gateway/api.h"
#include "gateway/api_backend.h"
#include "gateway/api_doc.h"
#include "gateway/authz.h"
#include "gateway/catalog_call.h"
#include "loop/timer.h"
#include "net/http_server.h"

#define API_CALL_ARGS 4
#define API_CALL_OBJECT 200
#define API_CALL_LIMIT 100 /* items of a page unless the client says */

struct api_call;
struct api_route;
struct api_stream;

/* On the catalog lane. What it builds goes into call->answer or call->work. */
typedef enum err_code api_call_lane_fn(struct api_call *call,
                                       struct catalog *c, struct err *err);

struct api_call {
    struct api *api;
    struct http_call *http; /* NULL: nobody waits for an answer */
    struct api_call *next, *prev;
    bool provider_door;     /* came through a unix socket */
    bool busy;              /* something will call back */
    bool answered;
    bool streamed;          /* the answer went out, or broke off */
    char *path;             /* cut at its slashes */
    const struct api_route *route;
    const char *args[API_CALL_ARGS]; /* what stood for {..} in the path */
    struct json *query;     /* an object of texts, checked likewise */
    struct json *body;      /* checked against the route; NULL: none */
    struct authz_who who;

    /* For the answer. */
    int status;             /* 0: 200 */
    struct json *answer;    /* NULL with status 204 only */
    struct err err;
    int exit;               /* -1: follows from err and peer */
    enum exit_peer peer;    /* whom the backend is asked about */

    /* For the audit line. */
    char object[API_CALL_OBJECT];
    int64_t object_tenant;
    char object_tenant_name[CATALOG_NAME];

    /* A handler's own, from one step to the next. */
    void *work;
    void (*work_free)(void *work);
    int64_t id; /* of the row that it is about */
    api_call_lane_fn *lane;
    void (*then)(struct api_call *call);
    struct catalog_call ask;

    /* Waiting for a change (api_wait.c). */
    bool parked;
    uint64_t deadline_ms; /* of the loop's clock */
    struct timer timer;
    char waits_for[32];   /* job id */

    struct api_stream *stream; /* the answer is a stream, and it is under way */
    void *stream_memory;       /* until the call is gone */
};

/* What all calls share. */
struct api {
    struct loop *loop;
    struct catalog_call_door *catalog;
    const struct api_backend *backend;
    char *gateway;
    struct http_server *doors[4];
    struct api_door {
        struct api *api;
        bool provider;
    } door[4];
    unsigned door_count;
    struct api_call *calls; /* not yet gone */
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
    struct timer close_timer;
};

/* api.c: a call is gone; the last one of a closing API tells closed(). */
void api_settle(struct api *api);

/* api_stream.c: the client of a stream went away; complete: with all of it,
 * which is none of the job's concern. */
void api_stream_gone(struct api_stream *s, bool complete);

/* Run on the lane, then then(call) on the loop; NULL: api_call_done(). When it
 * fails, api_call_fail() follows. */
void api_call_ask(struct api_call *call, api_call_lane_fn *lane,
                  void (*then)(struct api_call *call));

/* A backend function is about to be called with api_call_on_json() and the call
 * as done and ctx: its document becomes call->answer, then comes then(call)
 * (NULL: api_call_done()); a failure goes to api_call_fail(). */
void api_call_wait(struct api_call *call, enum exit_peer peer,
                   void (*then)(struct api_call *call));
void api_call_on_json(void *ctx, const struct err *err, struct json *take);

/* Answer with call->status and call->answer. */
void api_call_done(struct api_call *call);
/* Answer with a problem. */
void api_call_fail(struct api_call *call, const struct err *err);
/* The same with an exit code that does not follow from the error. */
void api_call_fail_exit(struct api_call *call, const struct err *err,
                        enum exit_code exit);

/* A streamed answer is over: err ERR_OK when it is whole, else the connection
 * is broken off. */
void api_call_streamed(struct api_call *call, const struct err *err);

/* What the audit line says of the thing; tenant_id 0: nobody's. */
void api_call_object(struct api_call *call, const char *object,
                     int64_t tenant_id, const char *tenant);

/* A member of the body; "" or the given when it is absent or null. */
const char *api_call_text(const struct api_call *call, const char *name);
bool api_call_bool(const struct api_call *call, const char *name,
                   bool otherwise);
bool api_call_has(const struct api_call *call, const char *name);
/* A query parameter, NULL when absent. */
const char *api_call_query(const struct api_call *call, const char *name);

/* ?limit and ?cursor, borrowed from the call. ERR_ARGUMENT. */
enum err_code api_call_page(const struct api_call *call,
                            struct catalog_page *page, struct err *err);
/* ?name=true|false; absent: false. */
enum err_code api_call_query_bool(const struct api_call *call,
                                  const char *name, bool *out,
                                  struct err *err);
/* ?name=RFC 3339 or a day; absent: 0. */
enum err_code api_call_query_time(const struct api_call *call,
                                  const char *name, uint64_t *out_ms,
                                  struct err *err);

/* A list under way: adding takes the document over; false: out of memory, which
 * the end will tell. */
struct api_call_items {
    struct json *j;
    bool failed;
};
void api_call_items_begin(struct api_call_items *items);
bool api_call_items_add(struct api_call_items *items, struct json *take);
/* With rc OK {"items": [..], "next": cursor or null} becomes call->answer;
 * else everything is dropped and rc returned. */
enum err_code api_call_items_end(struct api_call *call, enum err_code rc,
                                 struct api_call_items *items,
                                 const char *next, struct err *err);
/* call->answer = take; NULL is ERR_NOMEM. */
enum err_code api_call_answer(struct api_call *call, struct json *take,
                              struct err *err);

/* The tenant that a query or body names, if it is in sight: its id, 0 where
 * none is named. For a tenant principal its own without asking. On the lane. */
enum err_code api_call_tenant(struct api_call *call, struct catalog *c,
                              const char *name, int64_t *id, struct err *err);

/* Break off the other calls of a tenant, of one of its tokens (0: of all): it
 * may ask for nothing any more. */
void api_call_cut(const struct api_call *call, int64_t tenant_id,
                  int64_t token_id);

/* A call has arrived; it answers by itself when it cannot even be made. */
void api_call_arrive(struct api *api, struct http_call *http,
                     bool provider_door);
/* The server has no more of it: answered (complete), or the client went away.
 */
void api_call_gone(struct api_call *call, bool complete);

#endif
