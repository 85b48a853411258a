/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api_pool.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/api_handlers.h"
#include "net/http_tls.h"

static void pool_fail(struct api_call *call, enum err_code code,
                      const char *text)
{
    struct err err;

    err_set(&err, code, 0, "%s", text);
    api_call_fail(call, &err);
}

static enum err_code probe_pins(struct api_pool_work *w,
                                const struct json *texts, struct err *err)
{
    w->probe.pin_count = json_count(texts);
    if (w->probe.pin_count > CATALOG_POOL_HOSTS_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "fingerprints: more than %d",
                       CATALOG_POOL_HOSTS_MAX);
    for (size_t i = 0; i < w->probe.pin_count; i++) {
        const char *text = json_text(json_at(texts, i), "");

        if (!http_trust_parse_pin(text, w->pins[i]))
            return err_set(err, ERR_ARGUMENT, 0,
                           "fingerprint '%.100s': wanted the SHA-256 of a "
                           "certificate in hex",
                           text);
    }
    w->probe.pins = (const uint8_t(*)[32])w->pins;
    return ERR_OK;
}

static enum err_code probe_hosts(struct api_pool_work *w,
                                 const struct json *texts,
                                 const struct json *dials, struct err *err)
{
    w->probe.host_count = json_count(texts);
    w->probe.dial_count = json_count(dials);
    if (w->probe.host_count < 1 ||
        w->probe.host_count > CATALOG_POOL_HOSTS_MAX ||
        w->probe.dial_count > CATALOG_POOL_HOSTS_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "hosts: wanted 1 to %d",
                       CATALOG_POOL_HOSTS_MAX);
    for (size_t i = 0; i < w->probe.host_count; i++)
        w->hosts[i] = json_text(json_at(texts, i), "");
    for (size_t i = 0; i < w->probe.dial_count; i++) {
        const struct json *value;

        w->dials[i].key = json_key_at(dials, i, &value);
        w->dials[i].value = json_text(value, "");
    }
    w->probe.hosts = w->hosts;
    w->probe.dials = w->dials;
    return ERR_OK;
}

/* What the body says, borrowed from it. */
static enum err_code probe_read(struct api_call *call,
                                struct api_pool_work *w, struct err *err)
{
    const struct json *body = call->body;
    enum err_code rc;

    w->probe.name = api_call_text(call, "name");
    w->probe.user = api_call_text(call, "user");
    w->probe.password = api_call_text(call, "password");
    w->probe.ca_pem = api_call_text(call, "ca");
    rc = probe_hosts(w, json_get(body, "hosts"),
                     json_get(body, "host_addresses"), err);
    if (rc == ERR_OK)
        rc = probe_pins(w, json_get(body, "fingerprints"), err);
    if (rc == ERR_OK && w->probe.pin_count && w->probe.ca_pem[0])
        rc = err_set(err, ERR_ARGUMENT, 0,
                     "a pool is trusted by fingerprints or by a CA, not both");
    if (rc == ERR_OK && w->probe.user[0] && !w->probe.pin_count &&
        !w->probe.ca_pem[0])
        rc = err_set(err, ERR_ARGUMENT, 0,
                     "without a fingerprint or a CA nothing is sent to a "
                     "pool");
    return rc;
}

static void pool_ask_probe(struct api_call *call,
                           void (*then)(struct api_call *call))
{
    const struct api_backend *b = call->api->backend;
    struct api_pool_work *w = calloc(1, sizeof(*w));
    struct err err;

    if (!w) {
        pool_fail(call, ERR_NOMEM, "out of memory");
        return;
    }
    call->work = w;
    call->work_free = free;
    if (probe_read(call, w, &err) != ERR_OK) {
        api_call_fail(call, &err);
        return;
    }
    api_call_wait(call, EXIT_PEER_POOL, then);
    b->pool_probe(b->ctx, &w->probe, api_call_on_json, call);
}

void api_pool_look(struct api_call *call)
{
    pool_ask_probe(call, NULL);
}

static bool on_pool(void *ctx, const struct catalog_pool *p)
{
    return api_call_items_add(ctx, api_doc_pool(p));
}

enum err_code api_pool_list(struct api_call *call, struct catalog *c,
                            struct err *err)
{
    struct api_call_items items;
    struct catalog_page page = {0};
    enum err_code rc;

    api_call_items_begin(&items);
    rc = api_call_page(call, &page, err);
    if (rc == ERR_OK)
        rc = catalog_pool_each(c, &page, on_pool, &items, err);
    return api_call_items_end(call, rc, &items, page.next, err);
}

enum err_code api_pool_show(struct api_call *call, struct catalog *c,
                            struct err *err)
{
    struct catalog_pool p = {0};
    enum err_code rc = catalog_pool_get(c, call->args[0], &p, err);

    if (rc == ERR_OK) {
        call->id = p.id;
        rc = api_call_answer(call, api_doc_pool(&p), err);
    }
    catalog_pool_fini(&p);
    return rc;
}

static enum err_code on_added(struct api_call *call, struct catalog *c,
                              struct err *err)
{
    enum err_code rc = api_pool_store(call, c, err);

    if (rc != ERR_OK)
        return rc;
    call->args[0] = api_call_text(call, "name");
    call->status = 201;
    return api_pool_show(call, c, err);
}

/* The row has changed: the backend looks at it anew. */
static void pool_tell(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;

    b->pool_changed(b->ctx, call->id);
    api_call_done(call);
}

static void on_looked(struct api_call *call)
{
    api_call_ask(call, on_added, pool_tell);
}

void api_pool_add(struct api_call *call)
{
    api_call_object(call, api_call_text(call, "name"), 0, "");
    if (!api_call_text(call, "user")[0])
        pool_fail(call, ERR_ARGUMENT, "'user' is empty");
    else
        pool_ask_probe(call, on_looked);
}

static enum err_code on_set(struct api_call *call, struct catalog *c,
                            struct err *err)
{
    enum err_code rc = api_pool_show(call, c, err);

    if (rc == ERR_OK && api_call_has(call, "paused"))
        rc = catalog_pool_set_paused(c, call->id,
                                     api_call_bool(call, "paused", false),
                                     err);
    if (rc == ERR_OK && api_call_has(call, "password"))
        rc = catalog_pool_set_password(c, call->id,
                                       api_call_text(call, "password"), err);
    return rc == ERR_OK ? api_pool_show(call, c, err) : rc;
}

void api_pool_set(struct api_call *call)
{
    api_call_object(call, call->args[0], 0, "");
    if (!api_call_has(call, "paused") && !api_call_has(call, "password"))
        pool_fail(call, ERR_ARGUMENT, "nothing to change");
    else
        api_call_ask(call, on_set, pool_tell);
}

static void on_found_probe(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;
    struct api_pool_probe probe = {
        .pool_id = call->id, .name = "", .user = "", .password = "", .ca_pem = ""};

    api_call_wait(call, EXIT_PEER_POOL, NULL);
    b->pool_probe(b->ctx, &probe, api_call_on_json, call);
}

void api_pool_probe(struct api_call *call)
{
    api_call_ask(call, api_pool_show, on_found_probe);
}

/* The row is in call->work meanwhile. */
static void on_backlog(struct api_call *call)
{
    struct json *srs = call->answer;

    call->answer = call->work;
    call->work = NULL;
    if (json_set(call->answer, "backlog", srs))
        api_call_done(call);
    else
        pool_fail(call, ERR_NOMEM, "out of memory");
}

static void free_row(void *work)
{
    json_free(work);
}

static void on_found_view(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;

    call->work = call->answer;
    call->work_free = free_row;
    call->answer = NULL;
    api_call_wait(call, EXIT_PEER_NONE, on_backlog);
    b->pool_backlog(b->ctx, call->id, api_call_on_json, call);
}

void api_pool_view(struct api_call *call)
{
    api_call_ask(call, api_pool_show, on_found_view);
}

static void on_found_test(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;

    api_call_wait(call, EXIT_PEER_POOL, NULL);
    b->pool_test(b->ctx, call->id, api_call_on_json, call);
}

void api_pool_test(struct api_call *call)
{
    api_call_ask(call, api_pool_show, on_found_test);
}

static enum err_code on_accept(struct api_call *call, struct catalog *c,
                               struct err *err)
{
    const struct json *map = json_get(call->body, "fingerprints");
    enum err_code rc = catalog_begin(c, err);

    if (rc != ERR_OK)
        return rc;
    rc = api_pool_show(call, c, err);
    for (size_t i = 0; i < json_count(map) && rc == ERR_OK; i++) {
        const struct json *value;
        const char *address = json_key_at(map, i, &value);
        uint8_t pin[32];

        if (!http_trust_parse_pin(json_text(value, ""), pin))
            rc = err_set(err, ERR_ARGUMENT, 0,
                         "fingerprint of '%.80s': wanted the SHA-256 of a "
                         "certificate in hex",
                         address);
        else
            rc = catalog_pool_host_accept(c, call->id, address, pin, err);
        if (rc == ERR_NOT_FOUND)
            rc = err_set(err, rc, 0, "pool '%s' has no host '%.80s'",
                         call->args[0], address);
    }
    if (rc != ERR_OK)
        return rc; /* what was accepted before is taken back */
    rc = catalog_commit(c, err);
    return rc == ERR_OK ? api_pool_show(call, c, err) : rc;
}

void api_pool_accept(struct api_call *call)
{
    api_call_object(call, call->args[0], 0, "");
    if (json_count(json_get(call->body, "fingerprints")) == 0)
        pool_fail(call, ERR_ARGUMENT, "'fingerprints' is empty");
    else
        api_call_ask(call, on_accept, pool_tell);
}

static enum err_code on_remove(struct api_call *call, struct catalog *c,
                               struct err *err)
{
    enum err_code rc = api_pool_show(call, c, err);

    if (rc == ERR_OK)
        rc = catalog_pool_remove(c, call->id, err);
    if (rc == ERR_OK)
        call->status = 204;
    json_free(call->answer);
    call->answer = NULL;
    return rc;
}

void api_pool_remove(struct api_call *call)
{
    api_call_object(call, call->args[0], 0, "");
    api_call_ask(call, on_remove, pool_tell);
}
