/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "gateway/api_handlers.h"
#include "gateway/api_vault.h"

/* A list comes as an array; an answer is an object, so that it can grow. */
static void on_list(void *ctx, const struct err *err, struct json *take)
{
    struct api_call *call = ctx;
    struct err mine = *err;
    struct api_doc d;

    if (mine.code != ERR_OK) {
        api_call_on_json(call, &mine, NULL);
        return;
    }
    api_doc_begin(&d);
    api_doc_take(&d, "items", take);
    api_doc_text(&d, "next", NULL);
    take = api_doc_end(&d);
    if (!take)
        err_set(&mine, ERR_NOMEM, 0, "out of memory");
    api_call_on_json(call, &mine, take);
}

static void on_found_list(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;

    api_call_wait(call, EXIT_PEER_VAULT, NULL);
    b->key_list(b->ctx, call->id, on_list, call);
}

void api_key_list(struct api_call *call)
{
    api_call_ask(call, api_vault_find_ready, on_found_list);
}

static enum err_code on_proved(struct api_call *call, struct catalog *c,
                               struct err *err)
{
    return catalog_vault_set_proved(c, call->id, err);
}

static void on_tested(struct api_call *call)
{
    api_call_ask(call, on_proved, NULL);
}

static void on_found_test(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;

    api_call_wait(call, EXIT_PEER_VAULT, on_tested);
    b->key_test(b->ctx, call->id, api_call_text(call, "key_file"),
                api_call_on_json, call);
}

void api_key_test(struct api_call *call)
{
    api_call_ask(call, api_vault_find_made, on_found_test);
}

static void on_found_grant(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;

    api_call_wait(call, EXIT_PEER_VAULT, NULL);
    b->key_grant(b->ctx, call->id, api_call_text(call, "public_key"),
                 api_call_on_json, call);
}

void api_key_grant(struct api_call *call)
{
    uint8_t key[32];
    struct err err;

    api_call_object(call, call->args[0], 0, "");
    if (bytes_unhex(api_call_text(call, "public_key"), key, sizeof(key))) {
        api_call_ask(call, api_vault_find_ready, on_found_grant);
        return;
    }
    err_set(&err, ERR_ARGUMENT, 0, "public_key: wanted 64 small hex digits");
    api_call_fail(call, &err);
}

static void on_found_export(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;

    api_call_wait(call, EXIT_PEER_VAULT, NULL);
    b->key_export(b->ctx, call->id, api_call_on_json, call);
}

void api_key_export(struct api_call *call)
{
    api_call_object(call, call->args[0], 0, "");
    api_call_ask(call, api_vault_find_ready, on_found_export);
}
