/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api_call.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "gateway/api_route.h"
#include "gateway/api_wait.h"
#include "gateway/problem.h"
#include "tenants/catalog_audit.h"

#define QUERY_MAX 32 /* parameters of one request */

static void call_free(struct api_call *call)
{
    struct api *api = call->api;

    if (call->next)
        call->next->prev = call->prev;
    if (call->prev)
        call->prev->next = call->next;
    else
        api->calls = call->next;
    api_wait_end(call);
    if (call->work_free)
        call->work_free(call->work);
    free(call->stream_memory);
    json_free(call->answer);
    json_free(call->query);
    json_free(call->body);
    free(call->path);
    free(call);
    api_settle(api);
}

static void call_send(struct api_call *call, int status, struct json *doc,
                      const char *type, const struct http_header *extra)
{
    struct http_header headers[2] = {{"Content-Type", type}};
    char *text = NULL;
    size_t len = 0;

    if (!call->http) {
        call_free(call);
        return;
    }
    if (doc)
        text = json_dump(doc, false, &len);
    if (doc && !text) {
        http_call_answer(call->http, 503, NULL, 0, NULL, 0);
        return;
    }
    if (extra)
        headers[1] = *extra;
    http_call_answer(call->http, status, headers, !doc ? 0 : extra ? 2 : 1,
                     text, len);
    if (text)
        bytes_wipe(text, len); /* a token, a key file */
    free(text);
}

static void call_send_problem(struct api_call *call)
{
    enum exit_code exit = call->exit >= 0
                              ? (enum exit_code)call->exit
                              : exit_of_err(&call->err, call->peer);
    struct http_header allow = {"Allow", call->object};
    struct http_header bearer = {"WWW-Authenticate", "Bearer"};
    const struct http_header *extra = NULL;
    struct json *doc = problem_new(&call->err, call->status, exit);

    if (call->status == 405)
        extra = &allow;
    else if (call->status == 401)
        extra = &bearer;
    call_send(call,
              call->status ? call->status : problem_status(call->err.code),
              doc, PROBLEM_TYPE, extra);
    json_free(doc);
}

static void call_finish(struct api_call *call)
{
    call->answered = true;
    if (call->streamed) {
        if (!call->http)
            call_free(call);
    } else if (call->err.code != ERR_OK) {
        call_send_problem(call);
    } else {
        call_send(call, call->status ? call->status : 200, call->answer,
                  "application/json", NULL);
    }
}

static enum err_code on_audit(struct api_call *call, struct catalog *c,
                              struct err *err)
{
    char actor[96];
    struct catalog_audit a = {
        .actor = actor,
        .tenant_id = call->object_tenant,
        .tenant = call->object_tenant_name,
        .action = authz_action_name(call->route->action),
        .object = call->object,
        .outcome = err_name(call->err.code),
        .detail = call->err.text,
    };

    authz_who_text(&call->who, actor, sizeof(actor));
    if (!a.tenant_id) {
        a.tenant_id = authz_scope(&call->who);
        a.tenant = call->who.tenant;
    }
    return catalog_audit_add(c, &a, err);
}

static void on_ask_done(struct catalog_call *ask, const struct err *err);

static enum err_code on_ask(struct catalog_call *ask, struct catalog *c,
                            struct err *err)
{
    struct api_call *call =
        (struct api_call *)((char *)ask - offsetof(struct api_call, ask));

    return call->lane(call, c, err);
}

static void on_audited(struct catalog_call *ask, const struct err *err)
{
    struct api_call *call =
        (struct api_call *)((char *)ask - offsetof(struct api_call, ask));

    /* What was done is done: the answer says so, the log says the rest. */
    if (err->code != ERR_OK)
        log_event(LOG_ERROR, "audit_failed",
                  log_text("action", authz_action_name(call->route->action)),
                  log_text("object", call->object), log_err(err), LOG_END);
    call->busy = false;
    call_finish(call);
}

/* The outcome stands. A change leaves its audit line before the answer. */
static void call_conclude(struct api_call *call)
{
    if (!call->route || !authz_is_change(call->route->action)) {
        call_finish(call);
        return;
    }
    call->busy = true;
    call->lane = on_audit;
    call->ask.run = on_ask;
    call->ask.done = on_audited;
    catalog_call_start(call->api->catalog, &call->ask);
}

void api_call_done(struct api_call *call)
{
    err_clear(&call->err);
    call_conclude(call);
}

void api_call_fail(struct api_call *call, const struct err *err)
{
    call->err = *err;
    call_conclude(call);
}

void api_call_streamed(struct api_call *call, const struct err *err)
{
    call->streamed = true;
    call->err = *err;
    /* Not gone before the audit line is there. */
    call->busy = true;
    if (call->http)
        http_call_end(call->http, err->code == ERR_OK);
    call_conclude(call);
}

void api_call_fail_exit(struct api_call *call, const struct err *err,
                        enum exit_code exit)
{
    call->exit = exit;
    api_call_fail(call, err);
}

static void call_step(struct api_call *call, const struct err *err)
{
    void (*then)(struct api_call *) = call->then;

    call->busy = false;
    call->then = NULL;
    if (err->code != ERR_OK)
        api_call_fail(call, err);
    else if (then)
        then(call);
    else
        api_call_done(call);
}

static void on_ask_done(struct catalog_call *ask, const struct err *err)
{
    call_step((struct api_call *)((char *)ask - offsetof(struct api_call,
                                                         ask)),
              err);
}

void api_call_ask(struct api_call *call, api_call_lane_fn *lane,
                  void (*then)(struct api_call *call))
{
    call->busy = true;
    call->lane = lane;
    call->then = then;
    call->ask.run = on_ask;
    call->ask.done = on_ask_done;
    catalog_call_start(call->api->catalog, &call->ask);
}

void api_call_wait(struct api_call *call, enum exit_peer peer,
                   void (*then)(struct api_call *call))
{
    call->busy = true;
    call->peer = peer;
    call->then = then;
}

void api_call_on_json(void *ctx, const struct err *err, struct json *take)
{
    struct api_call *call = ctx;

    json_free(call->answer);
    call->answer = take;
    call_step(call, err);
}

void api_call_object(struct api_call *call, const char *object,
                     int64_t tenant_id, const char *tenant)
{
    if (object != call->object)
        snprintf(call->object, sizeof(call->object), "%s", object);
    call->object_tenant = tenant_id;
    snprintf(call->object_tenant_name, sizeof(call->object_tenant_name), "%s",
             tenant);
}

const char *api_call_text(const struct api_call *call, const char *name)
{
    return json_text(json_get(call->body, name), "");
}

bool api_call_bool(const struct api_call *call, const char *name,
                   bool otherwise)
{
    return json_bool(json_get(call->body, name), otherwise);
}

bool api_call_has(const struct api_call *call, const char *name)
{
    const struct json *j = json_get(call->body, name);

    return j && json_kind(j) != JSON_NULL;
}

const char *api_call_query(const struct api_call *call, const char *name)
{
    return json_text(json_get(call->query, name), NULL);
}

enum err_code api_call_page(const struct api_call *call,
                            struct catalog_page *page, struct err *err)
{
    const char *limit = api_call_query(call, "limit");
    uint64_t n = API_CALL_LIMIT;

    if (limit && !parse_u64(limit, 1, 1000, &n))
        return err_set(err, ERR_ARGUMENT, 0, "limit: wanted 1 to 1000");
    page->limit = (unsigned)n;
    page->cursor = api_call_query(call, "cursor");
    if (page->cursor && strlen(page->cursor) >= CATALOG_CURSOR)
        return err_set(err, ERR_ARGUMENT, 0, "cursor: not one of ours");
    return ERR_OK;
}

enum err_code api_call_query_bool(const struct api_call *call,
                                  const char *name, bool *out,
                                  struct err *err)
{
    const char *text = api_call_query(call, name);

    *out = false;
    if (text && !parse_bool(text, out))
        return err_set(err, ERR_ARGUMENT, 0, "%s: wanted true or false", name);
    return ERR_OK;
}

enum err_code api_call_query_time(const struct api_call *call,
                                  const char *name, uint64_t *out_ms,
                                  struct err *err)
{
    const char *text = api_call_query(call, name);
    char whole[CLOCK_TEXT];

    *out_ms = 0;
    if (!text || clock_parse_rfc3339(text, out_ms))
        return ERR_OK;
    snprintf(whole, sizeof(whole), "%.10sT00:00:00Z", text);
    if (strlen(text) == 10 && clock_parse_rfc3339(whole, out_ms))
        return ERR_OK;
    return err_set(err, ERR_ARGUMENT, 0,
                   "%s: wanted 2026-11-20 or 2026-11-20T08:15:30Z", name);
}

enum err_code api_call_answer(struct api_call *call, struct json *take,
                              struct err *err)
{
    json_free(call->answer);
    call->answer = take;
    return take ? ERR_OK : err_set(err, ERR_NOMEM, 0, "out of memory");
}

void api_call_items_begin(struct api_call_items *items)
{
    items->j = json_new_array();
    items->failed = !items->j;
}

bool api_call_items_add(struct api_call_items *items, struct json *take)
{
    if (!json_append(items->j, take))
        items->failed = true;
    return !items->failed;
}

enum err_code api_call_items_end(struct api_call *call, enum err_code rc,
                                 struct api_call_items *items,
                                 const char *next, struct err *err)
{
    struct api_doc d;

    if (rc != ERR_OK || items->failed) {
        json_free(items->j);
        return rc != ERR_OK ? rc : err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    api_doc_begin(&d);
    api_doc_take(&d, "items", items->j);
    api_doc_text_or_null(&d, "next", next);
    return api_call_answer(call, api_doc_end(&d), err);
}

enum err_code api_call_tenant(struct api_call *call, struct catalog *c,
                              const char *name, int64_t *id, struct err *err)
{
    struct catalog_tenant t = {0};
    enum err_code rc = ERR_OK;

    *id = authz_scope(&call->who);
    if (!name || !name[0])
        return ERR_OK;
    if (*id) {
        if (strcmp(name, call->who.tenant) != 0)
            rc = err_set(err, ERR_NOT_FOUND, 0, "no tenant '%.40s'", name);
        return rc;
    }
    rc = catalog_tenant_get(c, name, &t, err);
    if (rc == ERR_OK)
        *id = t.id;
    catalog_tenant_fini(&t);
    return rc;
}

static void call_problem(struct api_call *call, int status,
                         const struct err *err)
{
    call->status = status;
    call->err = *err;
    call_finish(call);
}

/* All parameters once, as an object of texts. */
static enum err_code call_read_query(struct api_call *call, struct err *err)
{
    const char *name, *value;

    call->query = json_new_object();
    if (!call->query)
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    for (size_t i = 0;
         (name = http_call_query_at(call->http, i, &value)) != NULL; i++) {
        if (i >= QUERY_MAX)
            return err_set(err, ERR_ARGUMENT, 0, "too many query parameters");
        if (json_get(call->query, name))
            return err_set(err, ERR_ARGUMENT, 0,
                           "query parameter '%.80s' comes twice", name);
        if (!json_set_text(call->query, name, value ? value : ""))
            return err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    return ERR_OK;
}

static bool is_json_type(const char *type)
{
    const size_t len = sizeof("application/json") - 1;

    return type && strncasecmp(type, "application/json", len) == 0 &&
           (type[len] == '\0' || type[len] == ';' || type[len] == ' ');
}

static enum err_code call_read_body(struct api_call *call, int *status,
                                    struct err *err)
{
    size_t len = 0;
    const uint8_t *body = http_call_body(call->http, &len);
    enum err_code rc;

    if (len == 0)
        return ERR_OK;
    if (!is_json_type(http_call_header(call->http, "Content-Type"))) {
        *status = 415;
        return err_set(err, ERR_ARGUMENT, 0,
                       "the body's Content-Type must be application/json");
    }
    rc = json_parse(body, len, &call->body, err);
    if (rc == ERR_PROTOCOL) {
        err_context(err, "the body is not JSON");
        err->code = rc = ERR_ARGUMENT;
    }
    return rc;
}

/* Who asks is known: what is asked, and may it be? */
static void call_route(struct api_call *call)
{
    struct err err = {0};
    enum err_code rc;
    int status = 0;

    call->route = NULL;
    call->path = strdup(http_call_path(call->http));
    if (!call->path) {
        err_set(&err, ERR_NOMEM, 0, "out of memory");
        call_problem(call, 0, &err);
        return;
    }
    call->route = api_route_find(http_call_method(call->http), call->path,
                                 call->args, call->object,
                                 sizeof(call->object), &status, &err);
    if (!call->route) {
        call_problem(call, status, &err);
        return;
    }
    status = 0;
    rc = authz_check(&call->who, call->route->action, &err);
    if (rc == ERR_OK)
        rc = call_read_query(call, &err);
    if (rc == ERR_OK)
        rc = api_route_check_query(call->route, call->query, &err);
    if (rc == ERR_OK)
        rc = call_read_body(call, &status, &err);
    if (rc == ERR_OK)
        rc = api_route_check_body(call->route, call->body, &err);
    if (rc != ERR_OK) {
        call->status = status;
        api_call_fail(call, &err);
    } else if (call->route->handle) {
        call->route->handle(call);
    } else {
        api_call_ask(call, call->route->lane, NULL);
    }
}

/* The token's text lies behind "Bearer " in what was copied to call->path. */
static enum err_code on_token(struct api_call *call, struct catalog *c,
                              struct err *err)
{
    struct catalog_token t = {0};
    enum err_code rc = catalog_token_use(c, call->path, &t, err);

    if (rc == ERR_OK) {
        call->who.kind = AUTHZ_TENANT;
        call->who.tenant_id = t.tenant_id;
        call->who.token_id = t.id;
        snprintf(call->who.tenant, sizeof(call->who.tenant), "%s", t.tenant);
    }
    catalog_token_fini(&t);
    return rc;
}

static void on_token_done(struct catalog_call *ask, const struct err *err)
{
    struct api_call *call =
        (struct api_call *)((char *)ask - offsetof(struct api_call, ask));

    call->busy = false;
    bytes_wipe(call->path, strlen(call->path));
    free(call->path);
    call->path = NULL;
    if (!call->http)
        call_free(call);
    else if (err->code == ERR_OK)
        call_route(call);
    else
        call_problem(call, err->code == ERR_DENIED ? 401 : 0, err);
}

static void call_check_token(struct api_call *call, const char *header)
{
    const size_t word = sizeof("Bearer ") - 1;
    struct err err;

    if (strncasecmp(header, "Bearer ", word) != 0) {
        err_set(&err, ERR_DENIED, 0, "the token is not valid");
        call_problem(call, 401, &err);
        return;
    }
    call->path = strdup(header + word);
    if (!call->path) {
        err_set(&err, ERR_NOMEM, 0, "out of memory");
        call_problem(call, 0, &err);
        return;
    }
    call->busy = true;
    call->lane = on_token;
    call->ask.run = on_ask;
    call->ask.done = on_token_done;
    catalog_call_start(call->api->catalog, &call->ask);
}

void api_call_arrive(struct api *api, struct http_call *http,
                     bool provider_door)
{
    struct api_call *call = calloc(1, sizeof(*call));
    const char *header = http_call_header(http, "Authorization");
    struct err err;

    http_call_set_user(http, call);
    if (!call) {
        http_call_answer(http, 503, NULL, 0, NULL, 0);
        return;
    }
    call->api = api;
    call->http = http;
    call->exit = -1;
    call->next = api->calls;
    if (api->calls)
        api->calls->prev = call;
    api->calls = call;
    if (header) {
        call_check_token(call, header);
    } else if (provider_door) {
        call->who.kind = AUTHZ_PROVIDER;
        call_route(call);
    } else {
        err_set(&err, ERR_DENIED, 0, "a token is needed");
        call_problem(call, 401, &err);
    }
}

void api_call_gone(struct api_call *call, bool complete)
{
    call->http = NULL;
    if (call->stream)
        api_stream_gone(call->stream, complete);
    else if (call->answered || !call->busy)
        call_free(call);
}

void api_call_cut(const struct api_call *call, int64_t tenant_id,
                  int64_t token_id)
{
    for (struct api_call *c = call->api->calls; c; c = c->next)
        if (c != call && c->http && c->who.kind == AUTHZ_TENANT &&
            c->who.tenant_id == tenant_id &&
            (!token_id || c->who.token_id == token_id))
            http_call_cut(c->http);
}
