/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/api.h - the control API, /api/v1, as docs/openapi.yaml describes it.
 *
 * An API lives on the control loop. It asks the catalog through its door
 * and everything else of the backend. Whoever comes through a unix socket is
 * the provider, unless a token is shown; a token is one tenant's.
 */
#ifndef CAIRN_GATEWAY_API_H
#define CAIRN_GATEWAY_API_H

#include "base/err.h"
#include "gateway/api_backend.h"
#include "gateway/catalog_call.h"
#include "loop/loop.h"

struct api;

struct api_opts {
    struct loop *loop;                 /* the control loop */
    struct catalog_call_door *catalog;
    const struct api_backend *backend; /* all of these outlive the API */
    const char *gateway;               /* this gateway's name; copied */
};

/* ERR_NOMEM. */
enum err_code api_new(const struct api_opts *opts, struct api **out,
                      struct err *err);

struct api_listen {
    const char *unix_path; /* or NULL: TCP with TLS */
    const char *address;
    const char *cert_pem;
    const char *key_pem;
};

/* Accept calls; at most four doors. Errors of http_server_new(). */
enum err_code api_open(struct api *api, const struct api_listen *listen,
                       struct err *err);
/* The port of the i-th door; 0: a unix socket, or no such door. */
unsigned api_port(const struct api *api, unsigned door);

/* A job's row or log in the catalog has changed: whoever waits for it looks
 * again. Control loop; harmless for unknown ids. */
void api_job_changed(struct api *api, const char *job_id);

/* End all calls, close all doors; closed() comes in a later turn, when calls
 * under way in lane and backend are done; then api_free(). */
void api_close(struct api *api, void (*closed)(void *ctx), void *ctx);
void api_free(struct api *api);

#endif
