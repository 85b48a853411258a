/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/api_call.h"
#include "gateway/api_wait.h"

#define BODY_MAX (1024 * 1024)
#define CONNECTIONS_MAX 256
#define IDLE_MS 120000 /* longer than the longest wait for a change */

enum err_code api_new(const struct api_opts *opts, struct api **out,
                      struct err *err)
{
    struct api *api = calloc(1, sizeof(*api));

    if (api)
        api->gateway = strdup(opts->gateway);
    if (!api || !api->gateway) {
        free(api);
        return err_set(err, ERR_NOMEM, 0, "control API");
    }
    api->loop = opts->loop;
    api->catalog = opts->catalog;
    api->backend = opts->backend;
    *out = api;
    return ERR_OK;
}

static void on_call(void *ctx, struct http_call *http)
{
    struct api_door *door = ctx;

    api_call_arrive(door->api, http, door->provider);
}

static void on_gone(void *ctx, struct http_call *http, bool complete)
{
    struct api_call *call = http_call_user(http);

    (void)ctx;
    if (call)
        api_call_gone(call, complete);
}

enum err_code api_open(struct api *api, const struct api_listen *listen,
                       struct err *err)
{
    struct api_door *door = &api->door[api->door_count];
    struct http_server_opts opts = {
        .unix_path = listen->unix_path,
        .address = listen->address,
        .cert_pem = listen->cert_pem,
        .key_pem = listen->key_pem,
        .body_max = BODY_MAX,
        .connections_max = CONNECTIONS_MAX,
        .idle_ms = IDLE_MS,
        .on_call = on_call,
        .on_gone = on_gone,
        .ctx = door,
    };
    enum err_code rc;

    if (api->door_count == BYTES_COUNT(api->door))
        return err_set(err, ERR_ARGUMENT, 0, "control API: too many doors");
    door->api = api;
    door->provider = listen->unix_path != NULL;
    rc = http_server_new(api->loop, &opts, &api->doors[api->door_count], err);
    if (rc == ERR_OK)
        api->door_count++;
    return rc;
}

unsigned api_port(const struct api *api, unsigned door)
{
    return door < api->door_count ? http_server_port(api->doors[door]) : 0;
}

static void on_close_timer(struct timer *t)
{
    struct api *api =
        (struct api *)((char *)t - offsetof(struct api, close_timer));

    api->closed(api->closed_ctx);
}

void api_settle(struct api *api)
{
    if (api->closing && !api->calls && !timer_is_armed(&api->close_timer))
        timer_start(api->loop, &api->close_timer, 0, on_close_timer);
}

void api_close(struct api *api, void (*closed)(void *ctx), void *ctx)
{
    assert(!api->closing);
    for (unsigned i = 0; i < api->door_count; i++)
        http_server_free(api->doors[i]);
    api->door_count = 0;
    api->closed = closed;
    api->closed_ctx = ctx;
    api->closing = true;
    api_settle(api);
}

void api_free(struct api *api)
{
    if (!api)
        return;
    assert(!api->calls);
    for (unsigned i = 0; i < api->door_count; i++) /* of a start that failed */
        http_server_free(api->doors[i]);
    free(api->gateway);
    free(api);
}
