/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "gateway/api_handlers.h"

/* A tenant that is in sight; *out is the caller's. */
static enum err_code tenant_get(struct api_call *call, struct catalog *c,
                                struct catalog_tenant *out, struct err *err)
{
    const char *name = call->args[0];
    int64_t id;
    enum err_code rc = api_call_tenant(call, c, name, &id, err);

    if (rc == ERR_OK)
        rc = catalog_tenant_get(c, name, out, err);
    if (rc == ERR_OK)
        api_call_object(call, name, out->id, name);
    else
        api_call_object(call, name, 0, "");
    return rc;
}

enum err_code api_tenant_show(struct api_call *call, struct catalog *c,
                              struct err *err)
{
    struct catalog_tenant t = {0};
    enum err_code rc = tenant_get(call, c, &t, err);

    if (rc == ERR_OK)
        rc = api_call_answer(call, api_doc_tenant(&t), err);
    catalog_tenant_fini(&t);
    return rc;
}

enum err_code api_tenant_add(struct api_call *call, struct catalog *c,
                             struct err *err)
{
    const char *name = api_call_text(call, "name");
    int64_t id;
    enum err_code rc;

    api_call_object(call, name, 0, "");
    rc = catalog_tenant_add(c, name, api_call_text(call, "title"), &id, err);
    if (rc != ERR_OK)
        return rc;
    call->args[0] = name;
    call->status = 201;
    return api_tenant_show(call, c, err);
}

static bool on_tenant(void *ctx, const struct catalog_tenant *t)
{
    return api_call_items_add(ctx, api_doc_tenant(t));
}

/* A tenant's list is itself. */
static enum err_code tenant_list_own(struct api_call *call, struct catalog *c,
                                     struct api_call_items *items, struct err *err)
{
    struct catalog_tenant t = {0};
    enum err_code rc = catalog_tenant_get_id(c, authz_scope(&call->who), &t,
                                             err);

    if (rc == ERR_OK && !on_tenant(items, &t))
        rc = err_set(err, ERR_NOMEM, 0, "out of memory");
    catalog_tenant_fini(&t);
    return rc;
}

enum err_code api_tenant_list(struct api_call *call, struct catalog *c,
                              struct err *err)
{
    struct api_call_items items;
    struct catalog_page page = {0};
    enum err_code rc;

    api_call_items_begin(&items);
    rc = api_call_page(call, &page, err);
    if (rc == ERR_OK && authz_scope(&call->who))
        rc = tenant_list_own(call, c, &items, err);
    else if (rc == ERR_OK)
        rc = catalog_tenant_each(c, &page, on_tenant, &items, err);
    return api_call_items_end(call, rc, &items, page.next, err);
}

enum err_code api_tenant_set(struct api_call *call, struct catalog *c,
                             struct err *err)
{
    enum err_code rc = catalog_tenant_set_title(
        c, call->args[0], api_call_text(call, "title"), err);

    api_call_object(call, call->args[0], 0, "");
    return rc == ERR_OK ? api_tenant_show(call, c, err) : rc;
}

static enum err_code tenant_become(struct api_call *call, struct catalog *c,
                                   enum catalog_tenant_state state,
                                   struct err *err)
{
    enum err_code rc = catalog_tenant_set_state(c, call->args[0], state, err);

    api_call_object(call, call->args[0], 0, "");
    return rc == ERR_OK ? api_tenant_show(call, c, err) : rc;
}

static enum err_code on_suspend(struct api_call *call, struct catalog *c,
                                struct err *err)
{
    return tenant_become(call, c, CATALOG_TENANT_SUSPENDED, err);
}

/* Nobody is let in, nor goes on with what was begun before. */
static void on_suspended(struct api_call *call)
{
    api_call_cut(call, call->object_tenant, 0);
    api_call_done(call);
}

void api_tenant_suspend(struct api_call *call)
{
    api_call_ask(call, on_suspend, on_suspended);
}

enum err_code api_tenant_resume(struct api_call *call, struct catalog *c,
                                struct err *err)
{
    return tenant_become(call, c, CATALOG_TENANT_ACTIVE, err);
}

enum err_code api_tenant_leave(struct api_call *call, struct catalog *c,
                               struct err *err)
{
    return tenant_become(call, c, CATALOG_TENANT_LEFT, err);
}

/* Vaults that the backend may have open. */
struct erase_work {
    int64_t vaults[1000];
    size_t count;
};

static bool on_vault(void *ctx, const struct catalog_vault *v)
{
    struct erase_work *w = ctx;

    w->vaults[w->count++] = v->id;
    return w->count < BYTES_COUNT(w->vaults);
}

static enum err_code on_erase(struct api_call *call, struct catalog *c,
                              struct err *err)
{
    struct erase_work *w = call->work;
    struct catalog_page page = {.limit = BYTES_COUNT(w->vaults)};
    struct catalog_tenant t = {0};
    enum err_code rc = tenant_get(call, c, &t, err);

    if (rc == ERR_OK)
        rc = catalog_vault_each(c, t.id, &page, on_vault, w, err);
    if (rc == ERR_OK && page.next[0])
        rc = err_set(err, ERR_CONFLICT, 0,
                     "tenant '%s' has more than %zu vaults: remove some first",
                     t.name, BYTES_COUNT(w->vaults));
    if (rc == ERR_OK)
        rc = catalog_tenant_erase(c, t.name, err);
    catalog_tenant_fini(&t);
    return rc;
}

static void on_erased(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;
    struct erase_work *w = call->work;

    for (size_t i = 0; i < w->count; i++)
        b->vault_changed(b->ctx, w->vaults[i]);
    call->status = 204;
    api_call_done(call);
}

void api_tenant_erase(struct api_call *call)
{
    struct err err;

    api_call_object(call, call->args[0], 0, "");
    if (strcmp(api_call_text(call, "confirm"), call->args[0]) != 0) {
        err_set(&err, ERR_ARGUMENT, 0,
                "'confirm' must repeat the tenant's name");
        api_call_fail(call, &err);
        return;
    }
    call->work = calloc(1, sizeof(struct erase_work));
    call->work_free = free;
    if (!call->work) {
        err_set(&err, ERR_NOMEM, 0, "out of memory");
        api_call_fail(call, &err);
        return;
    }
    api_call_ask(call, on_erase, on_erased);
}
