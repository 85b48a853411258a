/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenants/catalog_tenant.h - the provider's customers.
 *
 *   active <-> suspended      (no backups, no tokens; nothing is removed)
 *   active, suspended -> left (no backups; restores and reading go on)
 *   left -> erased            (all rows but audit lines and this one are gone,
 *                              the name is free again)
 */
#ifndef CAIRN_TENANTS_CATALOG_TENANT_H
#define CAIRN_TENANTS_CATALOG_TENANT_H

#include "tenants/catalog.h"

enum catalog_tenant_state {
    CATALOG_TENANT_ACTIVE,
    CATALOG_TENANT_SUSPENDED,
    CATALOG_TENANT_LEFT,
};

struct catalog_tenant {
    int64_t id; /* never used again, also not after an erase */
    const char *name;
    const char *title; /* "" when none was given */
    enum catalog_tenant_state state;
    uint64_t created_ms, changed_ms;
    void *owned;
};

typedef bool catalog_tenant_fn(void *ctx, const struct catalog_tenant *t);

/* "active", "suspended", "left" */
const char *catalog_tenant_state_name(enum catalog_tenant_state s);

enum err_code catalog_tenant_add(struct catalog *c, const char *name,
                                 const char *title, int64_t *id,
                                 struct err *err);
enum err_code catalog_tenant_get(struct catalog *c, const char *name,
                                 struct catalog_tenant *out, struct err *err);
enum err_code catalog_tenant_get_id(struct catalog *c, int64_t id,
                                    struct catalog_tenant *out,
                                    struct err *err);
void catalog_tenant_fini(struct catalog_tenant *t);

/* By name. fn false ends the list early, which is no error. */
enum err_code catalog_tenant_each(struct catalog *c, struct catalog_page *page,
                                  catalog_tenant_fn *fn, void *ctx,
                                  struct err *err);

enum err_code catalog_tenant_set_title(struct catalog *c, const char *name,
                                       const char *title, struct err *err);

/* Along the arrows above; the state it is in already is fine, any other way
 * is ERR_CONFLICT. */
enum err_code catalog_tenant_set_state(struct catalog *c, const char *name,
                                       enum catalog_tenant_state state,
                                       struct err *err);

/* A tenant that has left and has no unfinished job (else ERR_CONFLICT): its
 * rules, tokens, points, jobs and vaults - with their credentials, identities
 * and keys - are removed from the catalog. The stores are not touched. */
enum err_code catalog_tenant_erase(struct catalog *c, const char *name,
                                   struct err *err);

#endif
