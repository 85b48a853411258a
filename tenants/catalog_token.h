/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenants/catalog_token.h - tokens: who comes in over TCP. A token is one
 * tenant's; only its hash is kept.
 */
#ifndef CAIRN_TENANTS_CATALOG_TOKEN_H
#define CAIRN_TENANTS_CATALOG_TOKEN_H

#include "tenants/catalog.h"
#include "tenants/secret.h"

struct catalog_token {
    int64_t id;
    int64_t tenant_id;
    const char *tenant;
    const char *label;
    uint64_t created_ms;
    uint64_t expires_ms;   /* 0: never */
    uint64_t revoked_ms;   /* 0: not */
    uint64_t last_used_ms; /* 0: never; exact to a minute */
    void *owned;
};

typedef bool catalog_token_fn(void *ctx, const struct catalog_token *t);

/* The token's text is given once and is not kept. */
enum err_code catalog_token_add(struct catalog *c, const char *tenant,
                                const char *label, uint64_t expires_ms,
                                int64_t *id, char token[SECRET_TOKEN_TEXT],
                                struct err *err);

/* ERR_DENIED with one sentence for whatever is wrong with it: unknown,
 * expired, revoked, or the tenant is suspended. */
enum err_code catalog_token_use(struct catalog *c, const char *token,
                                struct catalog_token *out, struct err *err);

enum err_code catalog_token_get(struct catalog *c, int64_t id,
                                struct catalog_token *out, struct err *err);
void catalog_token_fini(struct catalog_token *t);

/* By id. tenant_id 0: any. */
enum err_code catalog_token_each(struct catalog *c, int64_t tenant_id,
                                 struct catalog_page *page,
                                 catalog_token_fn *fn, void *ctx,
                                 struct err *err);

/* Twice is fine. */
enum err_code catalog_token_revoke(struct catalog *c, int64_t id,
                                   struct err *err);

#endif
