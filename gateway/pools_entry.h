/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/pools_entry.h - what the pools_*.c files share and nobody else sees.
 */
#ifndef CAIRN_GATEWAY_POOLS_ENTRY_H
#define CAIRN_GATEWAY_POOLS_ENTRY_H

#include "gateway/pools.h"
#include "net/http_tls.h"
#include "tenants/catalog_pool.h"

/* A session's options from what the catalog or a caller knows. The trusts are
 * held by `peers` until pools_peers_fini(). */
struct pools_peers {
    struct xenapi_peer *peer;
    size_t count;
    struct http_trust *ca; /* NULL: pins decide */
};

/* ERR_ARGUMENT (the CA), ERR_NOMEM. On failure there is nothing to give back.
 */
enum err_code pools_peers_make(const struct catalog_pool_host *hosts,
                               size_t count, const char *ca_pem,
                               struct pools_peers *out, struct err *err);
void pools_peers_fini(struct pools_peers *peers);

/* A session with these. host: where to log in first. */
struct pools_login {
    const char *name, *host, *user, *password;
    const struct pools_peers *peers;
};
enum err_code pools_session(struct engine *e, const struct pools_login *login,
                            struct xenapi_session **out, struct err *err);

/* See struct api_backend. */
void pools_probe(void *ctx, const struct api_pool_probe *probe,
                 api_json_done_fn *done, void *done_ctx);
void pools_test(void *ctx, int64_t pool_id, api_json_done_fn *done,
                void *done_ctx);
void pools_vms(void *ctx, int64_t pool_id, api_vm_done_fn *done,
               void *done_ctx);

/* Something asynchronous began or is over: pools_close() waits for it. */
void pools_busy(struct pools *p);
void pools_idle(struct pools *p);

#endif
