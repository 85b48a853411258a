/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenants/catalog_rule.h - which VMs of a pool are whose, and the owners that
 * backups and moves have settled.
 */
#ifndef CAIRN_TENANTS_CATALOG_RULE_H
#define CAIRN_TENANTS_CATALOG_RULE_H

#include "tenants/catalog.h"
#include "tenants/rule.h"

struct catalog_rule {
    struct rule rule;
    const char *tenant; /* names */
    const char *pool;
    uint64_t created_ms;
    void *owned;
};

typedef bool catalog_rule_fn(void *ctx, const struct catalog_rule *r);

/* ERR_CONFLICT: the tenant has this very rule, or another tenant has it, so
 * that every VM it meets would be claimed twice. */
enum err_code catalog_rule_add(struct catalog *c, const char *tenant,
                               const char *pool, enum rule_kind kind,
                               const char *key, const char *value, int64_t *id,
                               struct err *err);
enum err_code catalog_rule_get(struct catalog *c, int64_t id,
                               struct catalog_rule *out, struct err *err);
void catalog_rule_fini(struct catalog_rule *r);
enum err_code catalog_rule_remove(struct catalog *c, int64_t id,
                                  struct err *err);

/* In order of id. tenant_id, pool_id 0: any. */
enum err_code catalog_rule_each(struct catalog *c, int64_t tenant_id,
                                int64_t pool_id, struct catalog_page *page,
                                catalog_rule_fn *fn, void *ctx,
                                struct err *err);

/* All rules of a pool (0: of all) in one block, to catalog_rule_set_fini(). */
struct catalog_rule_set {
    struct rule *rules;
    size_t count;
    void *owned;
};
enum err_code catalog_rule_set_get(struct catalog *c, int64_t pool_id,
                                   struct catalog_rule_set *out,
                                   struct err *err);
void catalog_rule_set_fini(struct catalog_rule_set *s);

/* Who owns a VM by its newest point made here, or by the last move; *tenant_id
 * 0: nobody yet. */
enum err_code catalog_rule_owner(struct catalog *c, const char *vm_uuid,
                                 int64_t *tenant_id, struct err *err);

/* `cairn vm move`: from now on the VM is this tenant's. */
enum err_code catalog_rule_move(struct catalog *c, const char *vm_uuid,
                                const char *tenant, struct err *err);

#endif
