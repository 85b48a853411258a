/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api_handlers.h"
#include "gateway/api_route.h"

static struct json *route_doc(const struct api_route *r)
{
    char path[128];
    struct api_doc d;

    snprintf(path, sizeof(path), API_ROUTE_PREFIX "%s", r->path);
    api_doc_begin(&d);
    api_doc_text(&d, "operation", authz_action_name(r->action));
    api_doc_text(&d, "method", r->method);
    api_doc_text(&d, "path", path);
    return api_doc_end(&d);
}

static void about_answer(struct api_call *call, struct json *take)
{
    struct err err;

    if (api_call_answer(call, take, &err) == ERR_OK)
        api_call_done(call);
    else
        api_call_fail(call, &err);
}

void api_about_routes(struct api_call *call)
{
    struct json *list = json_new_array();
    struct api_doc d;
    bool ok = true;

    for (size_t i = 0; i < api_route_count && ok; i++)
        ok = json_append(list, route_doc(&api_route_table[i]));
    if (!ok) {
        json_free(list);
        list = NULL;
    }
    api_doc_begin(&d);
    api_doc_take(&d, "routes", list);
    about_answer(call, api_doc_end(&d));
}

void api_about_version(struct api_call *call)
{
    struct api_doc d;

    api_doc_begin(&d);
    api_doc_text(&d, "version", CAIRN_VERSION);
    api_doc_text(&d, "api", "v1");
    api_doc_text(&d, "gateway", call->api->gateway);
    api_doc_text(&d, "principal",
                 call->who.kind == AUTHZ_PROVIDER ? "provider" : "tenant");
    api_doc_text_or_null(&d, "tenant", call->who.tenant);
    about_answer(call, api_doc_end(&d));
}

void api_about_status(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;

    api_call_wait(call, EXIT_PEER_NONE, NULL);
    b->status(b->ctx, api_call_on_json, call);
}

static bool on_line(void *ctx, const struct catalog_audit *a)
{
    return api_call_items_add(ctx, api_doc_audit(a));
}

enum err_code api_about_audit(struct api_call *call, struct catalog *c,
                              struct err *err)
{
    struct api_call_items items;
    struct catalog_page page = {0};
    uint64_t since_ms;
    int64_t tenant;
    enum err_code rc;

    api_call_items_begin(&items);
    rc = api_call_page(call, &page, err);
    if (rc == ERR_OK)
        rc = api_call_query_time(call, "since", &since_ms, err);
    if (rc == ERR_OK)
        rc = api_call_tenant(call, c, api_call_query(call, "tenant"), &tenant,
                             err);
    if (rc == ERR_OK)
        rc = catalog_audit_each(c, tenant, since_ms, &page, on_line, &items,
                                err);
    return api_call_items_end(call, rc, &items, page.next, err);
}
