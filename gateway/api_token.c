/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/parse.h"
#include "gateway/api_handlers.h"

static bool on_token(void *ctx, const struct catalog_token *t)
{
    return api_call_items_add(ctx, api_doc_token(t));
}

enum err_code api_token_list(struct api_call *call, struct catalog *c,
                             struct err *err)
{
    struct api_call_items items;
    struct catalog_page page = {0};
    int64_t tenant;
    enum err_code rc;

    api_call_items_begin(&items);
    rc = api_call_page(call, &page, err);
    if (rc == ERR_OK)
        rc = api_call_tenant(call, c, api_call_query(call, "tenant"), &tenant,
                             err);
    if (rc == ERR_OK)
        rc = catalog_token_each(c, tenant, &page, on_token, &items, err);
    return api_call_items_end(call, rc, &items, page.next, err);
}

/* The answer has the token's text: the only time that it is seen. */
static enum err_code token_answer(struct api_call *call, struct catalog *c,
                                  int64_t id, const char *text,
                                  struct err *err)
{
    struct catalog_token t = {0};
    struct json *doc = NULL;
    enum err_code rc = catalog_token_get(c, id, &t, err);

    if (rc == ERR_OK) {
        doc = api_doc_token(&t);
        if (doc && text && !json_set_text(doc, "token", text)) {
            json_free(doc);
            doc = NULL;
        }
        api_call_object(call, call->object, t.tenant_id, t.tenant);
        rc = api_call_answer(call, doc, err);
    }
    catalog_token_fini(&t);
    return rc;
}

enum err_code api_token_add(struct api_call *call, struct catalog *c,
                            struct err *err)
{
    const char *expires = api_call_text(call, "expires");
    char text[SECRET_TOKEN_TEXT];
    uint64_t expires_ms = 0;
    int64_t id = 0;
    enum err_code rc;

    if (expires[0] && !clock_parse_rfc3339(expires, &expires_ms))
        return err_set(err, ERR_ARGUMENT, 0,
                       "expires: wanted 2026-11-20T08:15:30Z");
    rc = catalog_token_add(c, api_call_text(call, "tenant"),
                           api_call_text(call, "label"), expires_ms, &id, text,
                           err);
    if (rc != ERR_OK)
        return rc;
    snprintf(call->object, sizeof(call->object), "%lld", (long long)id);
    call->status = 201;
    rc = token_answer(call, c, id, text, err);
    bytes_wipe(text, sizeof(text));
    return rc;
}

static enum err_code on_revoke(struct api_call *call, struct catalog *c,
                               struct err *err)
{
    struct catalog_token t = {0};
    uint64_t id;
    enum err_code rc;

    api_call_object(call, call->args[0], 0, "");
    if (!parse_u64(call->args[0], 1, INT64_MAX, &id))
        return err_set(err, ERR_NOT_FOUND, 0, "no token '%.40s'",
                       call->args[0]);
    rc = catalog_token_get(c, (int64_t)id, &t, err);
    if (rc == ERR_OK && !authz_sees(&call->who, t.tenant_id))
        rc = err_set(err, ERR_NOT_FOUND, 0, "no token %s", call->args[0]);
    if (rc == ERR_OK)
        rc = catalog_token_revoke(c, t.id, err);
    if (rc == ERR_OK)
        rc = token_answer(call, c, t.id, NULL, err);
    call->id = t.id;
    catalog_token_fini(&t);
    return rc;
}

/* What it was asked for and still flows, or waits, ends too. */
static void on_revoked(struct api_call *call)
{
    api_call_cut(call, call->object_tenant, call->id);
    api_call_done(call);
}

void api_token_revoke(struct api_call *call)
{
    api_call_ask(call, on_revoke, on_revoked);
}
