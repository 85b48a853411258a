/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api_vault.h"

#include <string.h>

#include "base/parse.h"
#include "gateway/api_handlers.h"

static enum err_code vault_get(struct api_call *call, struct catalog *c,
                               struct catalog_vault *out, struct err *err)
{
    int64_t tenant = 0;
    enum err_code rc;

    if (!call->object[0])
        api_call_object(call, call->args[0], 0, "");
    rc = api_call_tenant(call, c, api_call_query(call, "tenant"), &tenant,
                         err);
    if (rc != ERR_OK)
        return rc;
    rc = catalog_vault_get(c, tenant, call->args[0], out, err);
    if (rc == ERR_NOT_FOUND)
        call->exit = EXIT_NO_VAULT;
    if (rc == ERR_OK) {
        call->id = out->id;
        api_call_object(call, out->name, out->tenant_id, out->tenant);
    }
    return rc;
}

enum err_code api_vault_find(struct api_call *call, struct catalog *c,
                             struct err *err)
{
    struct catalog_vault v = {0};
    enum err_code rc = vault_get(call, c, &v, err);

    catalog_vault_fini(&v);
    return rc;
}

enum err_code api_vault_find_ready(struct api_call *call, struct catalog *c,
                                   struct err *err)
{
    struct catalog_vault v = {0};
    enum err_code rc = vault_get(call, c, &v, err);

    if (rc == ERR_OK)
        rc = catalog_vault_check_ready(&v, err);
    catalog_vault_fini(&v);
    return rc;
}

enum err_code api_vault_find_made(struct api_call *call, struct catalog *c,
                                  struct err *err)
{
    struct catalog_vault v = {0};
    enum err_code rc = vault_get(call, c, &v, err);

    if (rc == ERR_OK && v.state != CATALOG_VAULT_UNPROVED)
        rc = catalog_vault_check_ready(&v, err);
    catalog_vault_fini(&v);
    return rc;
}

enum err_code api_vault_show(struct api_call *call, struct catalog *c,
                             struct err *err)
{
    struct catalog_vault v = {0};
    enum err_code rc = vault_get(call, c, &v, err);

    if (rc == ERR_OK)
        rc = api_call_answer(call, api_doc_vault(&v), err);
    catalog_vault_fini(&v);
    return rc;
}

static bool on_vault(void *ctx, const struct catalog_vault *v)
{
    return api_call_items_add(ctx, api_doc_vault(v));
}

enum err_code api_vault_list(struct api_call *call, struct catalog *c,
                             struct err *err)
{
    struct api_call_items items;
    struct catalog_page page = {0};
    int64_t tenant = 0;
    enum err_code rc;

    api_call_items_begin(&items);
    rc = api_call_page(call, &page, err);
    if (rc == ERR_OK)
        rc = api_call_tenant(call, c, api_call_query(call, "tenant"), &tenant,
                             err);
    if (rc == ERR_OK)
        rc = catalog_vault_each(c, tenant, &page, on_vault, &items, err);
    return api_call_items_end(call, rc, &items, page.next, err);
}

static enum err_code on_row(struct api_call *call, struct catalog *c,
                            struct err *err)
{
    const char *lock = api_call_text(call, "lock");
    struct catalog_tenant t = {0};
    const struct catalog_vault v = {
        .tenant = api_call_text(call, "tenant"),
        .name = api_call_text(call, "name"),
        .url = api_call_text(call, "url"),
        .endpoint = api_call_text(call, "endpoint"),
        .region = api_call_text(call, "region"),
        .ca_pem = api_call_text(call, "ca"),
        .lock = lock[0] ? lock : "none",
        .existing = api_call_bool(call, "existing", false),
    };
    enum err_code rc = catalog_tenant_get(c, v.tenant, &t, err);

    if (rc == ERR_OK) {
        api_call_object(call, v.name, t.id, t.name);
        rc = catalog_vault_add(c, &v, api_call_text(call, "credentials"),
                               &call->id, err);
    }
    catalog_tenant_fini(&t);
    return rc;
}

/* The row was made but nothing came of it: it goes, the cause stays. */
static enum err_code on_undo(struct api_call *call, struct catalog *c,
                             struct err *err)
{
    struct err ignored;
    struct err *cause = call->work;

    catalog_vault_remove(c, call->id, &ignored);
    *err = *cause;
    return err->code;
}

/* {"vault": row, and of the backend's answer what the client needs} */
static enum err_code on_opened(struct api_call *call, struct catalog *c,
                               struct err *err)
{
    struct catalog_vault v = {0};
    struct api_doc d;
    const struct json *key_file = json_get(call->answer, "recovery_key_file");
    const struct json *points = json_get(call->answer, "points");
    enum err_code rc = ERR_OK;

    /* Who could open it with its recovery key has proved it. */
    if (api_call_text(call, "key_file")[0])
        rc = catalog_vault_set_proved(c, call->id, err);
    if (rc == ERR_OK)
        rc = catalog_vault_get_id(c, call->id, &v, err);
    if (rc == ERR_OK) {
        api_doc_begin(&d);
        api_doc_take(&d, "vault", api_doc_vault(&v));
        api_doc_take(&d, "recovery_key_file",
                     key_file ? json_clone(key_file) : json_new_null());
        api_doc_take(&d, "points",
                     points ? json_clone(points) : json_new_null());
        rc = api_call_answer(call, api_doc_end(&d), err);
    }
    catalog_vault_fini(&v);
    return rc;
}

static void on_backend(void *ctx, const struct err *err, struct json *take)
{
    struct api_call *call = ctx;

    if (err->code == ERR_OK) {
        call->status = 201;
        api_call_wait(call, EXIT_PEER_VAULT, NULL);
        json_free(call->answer);
        call->answer = take;
        api_call_ask(call, on_opened, NULL);
        return;
    }
    if (err->code == ERR_NOT_FOUND)
        call->exit = EXIT_NO_VAULT;
    call->work = malloc(sizeof(struct err));
    call->work_free = free;
    if (!call->work) {
        call->work_free = NULL;
        api_call_on_json(call, err, NULL);
        return;
    }
    *(struct err *)call->work = *err;
    api_call_ask(call, on_undo, NULL);
}

static void on_row_added(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;

    api_call_wait(call, EXIT_PEER_VAULT, NULL);
    if (api_call_bool(call, "existing", false))
        b->vault_open_existing(b->ctx,
                               &(struct api_vault_open){
                                   .vault = call->id,
                                   .key_file = api_call_text(call, "key_file"),
                                   .vault_id = api_call_text(call, "vault_id"),
                               },
                               on_backend, call);
    else
        b->vault_create(b->ctx, call->id, on_backend, call);
}

static enum err_code add_check(const struct api_call *call, struct err *err)
{
    bool existing = api_call_bool(call, "existing", false);
    const char *key_file = api_call_text(call, "key_file");
    const char *vault_id = api_call_text(call, "vault_id");
    struct id16 id;

    if (!existing && (key_file[0] || vault_id[0]))
        return err_set(err, ERR_ARGUMENT, 0,
                       "'key_file' and 'vault_id' go with 'existing'");
    if (existing && !key_file[0] == !vault_id[0])
        return err_set(err, ERR_ARGUMENT, 0,
                       "'existing' needs either 'key_file' or 'vault_id'");
    if (vault_id[0] && !parse_id16(vault_id, &id))
        return err_set(err, ERR_ARGUMENT, 0,
                       "vault_id: wanted 32 small hex digits");
    return ERR_OK;
}

void api_vault_add(struct api_call *call)
{
    struct err err;

    api_call_object(call, api_call_text(call, "name"), 0, "");
    if (add_check(call, &err) != ERR_OK)
        api_call_fail(call, &err);
    else
        api_call_ask(call, on_row, on_row_added);
}

static void on_found_test(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;

    api_call_wait(call, EXIT_PEER_VAULT, NULL);
    b->vault_test(b->ctx, call->id, api_call_on_json, call);
}

void api_vault_test(struct api_call *call)
{
    api_call_ask(call, api_vault_find, on_found_test);
}

static void on_found_refresh(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;

    api_call_wait(call, EXIT_PEER_VAULT, NULL);
    b->point_refresh(b->ctx, call->id, api_call_on_json, call);
}

void api_vault_refresh(struct api_call *call)
{
    api_call_ask(call, api_vault_find_ready, on_found_refresh);
}

static enum err_code on_remove(struct api_call *call, struct catalog *c,
                               struct err *err)
{
    enum err_code rc = api_vault_find(call, c, err);

    if (rc == ERR_OK)
        rc = catalog_vault_remove(c, call->id, err);
    if (rc == ERR_OK)
        call->status = 204;
    return rc;
}

static void on_removed(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;

    b->vault_changed(b->ctx, call->id);
    api_call_done(call);
}

void api_vault_remove(struct api_call *call)
{
    api_call_object(call, call->args[0], 0, "");
    api_call_ask(call, on_remove, on_removed);
}
