/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/job_owner.h"

#include <stddef.h>

#include "tenants/catalog_rule.h"
#include "tenants/catalog_tenant.h"

_Static_assert(sizeof(struct rule_pair) == sizeof(struct xenapi_pair) &&
                   offsetof(struct rule_pair, value) ==
                       offsetof(struct xenapi_pair, value),
               "pairs of rules and of the pool are laid out alike");

static enum err_code check_tenant(struct catalog *c, const struct job *job,
                                  struct err *err)
{
    struct catalog_tenant t = {0};
    enum err_code rc = catalog_tenant_get_id(c, job->tenant_id, &t, err);

    if (rc == ERR_OK && t.state != CATALOG_TENANT_ACTIVE)
        rc = err_set(err, ERR_DENIED, 0,
                     "tenant '%s' is not active: nothing is backed up for it",
                     t.name);
    catalog_tenant_fini(&t);
    return rc;
}

enum err_code job_owner_check(struct catalog *c, const struct job *job,
                              const struct xenapi_vm *vm, struct err *err)
{
    const struct rule_vm asked = {
        .pool_id = job->pool_id,
        .uuid = vm->uuid,
        .name = vm->name,
        .tags = vm->tags,
        .tag_count = vm->tag_count,
        .other_config = (const struct rule_pair *)vm->other_config,
        .other_config_count = vm->other_config_count,
    };
    struct catalog_rule_set rules = {0};
    struct rule_verdict verdict = {0};
    int64_t owner = 0;
    enum err_code rc = check_tenant(c, job, err);

    if (rc == ERR_OK)
        rc = catalog_rule_owner(c, vm->uuid, &owner, err);
    if (rc == ERR_OK)
        rc = catalog_rule_set_get(c, job->pool_id, &rules, err);
    if (rc != ERR_OK)
        return rc;
    rule_decide(rules.rules, rules.count, &asked, owner, &verdict);
    catalog_rule_set_fini(&rules);
    if (verdict.tenant_id == job->tenant_id)
        return ERR_OK;
    return err_set(err, ERR_QUOTA, 0,
                   "the VM is not this tenant's any more: it was moved, or no "
                   "rule gives it");
}
