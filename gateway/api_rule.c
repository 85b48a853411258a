/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"
#include "gateway/api_handlers.h"

static bool on_rule(void *ctx, const struct catalog_rule *r)
{
    return api_call_items_add(ctx, api_doc_rule(r));
}

enum err_code api_rule_list(struct api_call *call, struct catalog *c,
                            struct err *err)
{
    const char *pool = api_call_query(call, "pool");
    struct api_call_items items;
    struct catalog_pool p = {0};
    struct catalog_page page = {0};
    int64_t tenant;
    enum err_code rc;

    api_call_items_begin(&items);
    rc = api_call_page(call, &page, err);
    if (rc == ERR_OK)
        rc = api_call_tenant(call, c, api_call_query(call, "tenant"), &tenant,
                             err);
    if (rc == ERR_OK && pool)
        rc = catalog_pool_get(c, pool, &p, err);
    if (rc == ERR_OK)
        rc = catalog_rule_each(c, tenant, p.id, &page, on_rule, &items, err);
    catalog_pool_fini(&p);
    return api_call_items_end(call, rc, &items, page.next, err);
}

enum err_code api_rule_add(struct api_call *call, struct catalog *c,
                           struct err *err)
{
    struct catalog_rule r = {0};
    enum rule_kind kind;
    int64_t id = 0;
    enum err_code rc;

    if (!rule_kind_from(api_call_text(call, "kind"), &kind))
        return err_set(err, ERR_ARGUMENT, 0,
                       "kind: wanted uuid, other_config, tag or name");
    rc = catalog_rule_add(c, api_call_text(call, "tenant"),
                          api_call_text(call, "pool"), kind,
                          api_call_text(call, "key"),
                          api_call_text(call, "value"), &id, err);
    if (rc == ERR_OK)
        rc = catalog_rule_get(c, id, &r, err);
    if (rc == ERR_OK) {
        snprintf(call->object, sizeof(call->object), "%lld", (long long)id);
        api_call_object(call, call->object, r.rule.tenant_id, r.tenant);
        call->status = 201;
        rc = api_call_answer(call, api_doc_rule(&r), err);
    }
    catalog_rule_fini(&r);
    return rc;
}

enum err_code api_rule_remove(struct api_call *call, struct catalog *c,
                              struct err *err)
{
    struct catalog_rule r = {0};
    uint64_t id;
    enum err_code rc;

    api_call_object(call, call->args[0], 0, "");
    if (!parse_u64(call->args[0], 1, INT64_MAX, &id))
        return err_set(err, ERR_NOT_FOUND, 0, "no rule '%.40s'",
                       call->args[0]);
    rc = catalog_rule_get(c, (int64_t)id, &r, err);
    if (rc == ERR_OK) {
        api_call_object(call, call->args[0], r.rule.tenant_id, r.tenant);
        rc = catalog_rule_remove(c, r.rule.id, err);
    }
    catalog_rule_fini(&r);
    if (rc == ERR_OK)
        call->status = 204;
    return rc;
}
