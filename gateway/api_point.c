/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/parse.h"
#include "gateway/api_handlers.h"
#include "gateway/api_start.h"

struct point_list {
    struct api_call_items items;
    const struct authz_who *who;
};

static bool on_point(void *ctx, const struct catalog_point *p)
{
    struct point_list *list = ctx;

    return api_call_items_add(&list->items, api_doc_point(p, list->who));
}

/* ?vm is a uuid or a name. */
static enum err_code point_filter(struct api_call *call, struct catalog *c,
                                  struct catalog_point_filter *f,
                                  char uuid[CATALOG_UUID], struct err *err)
{
    const char *vm = api_call_query(call, "vm");
    struct id16 id;
    enum err_code rc;

    rc = api_start_within(call, c, api_call_query(call, "tenant"),
                          api_call_query(call, "vault"), f, err);
    if (rc == ERR_OK)
        rc = api_call_query_time(call, "from", &f->from_ms, err);
    if (rc == ERR_OK)
        rc = api_call_query_time(call, "before", &f->before_ms, err);
    if (rc != ERR_OK)
        return rc;
    if (vm && parse_uuid(vm, &id)) {
        parse_uuid_text(&id, uuid);
        f->vm_uuid = uuid;
    } else {
        f->vm_name = vm;
    }
    /* Pools are not for tenants to see: none of their points has one. */
    f->pool = api_call_query(call, "pool");
    if (f->pool && call->who.kind != AUTHZ_PROVIDER)
        f->pool = "";
    return ERR_OK;
}

enum err_code api_point_list(struct api_call *call, struct catalog *c,
                             struct err *err)
{
    struct point_list list = {.who = &call->who};
    struct catalog_point_filter f = {0};
    struct catalog_page page = {0};
    char uuid[CATALOG_UUID];
    enum err_code rc;

    api_call_items_begin(&list.items);
    rc = api_call_page(call, &page, err);
    if (rc == ERR_OK)
        rc = point_filter(call, c, &f, uuid, err);
    if (rc == ERR_OK)
        rc = catalog_point_each(c, &f, &page, on_point, &list, err);
    return api_call_items_end(call, rc, &list.items, page.next, err);
}

enum err_code api_point_show(struct api_call *call, struct catalog *c,
                             struct err *err)
{
    struct catalog_point_filter within = {0};
    struct catalog_point p = {0};
    enum err_code rc;

    rc = api_start_within(call, c, api_call_query(call, "tenant"),
                          api_call_query(call, "vault"), &within, err);
    if (rc == ERR_OK)
        rc = catalog_point_get(c, &within, call->args[0], &p, err);
    if (rc == ERR_OK)
        rc = api_call_answer(call, api_doc_point(&p, &call->who), err);
    catalog_point_fini(&p);
    return rc;
}

enum err_code api_point_resolve(struct api_call *call, struct catalog *c,
                                struct err *err)
{
    call->args[0] = api_call_query(call, "ref");
    if (!call->args[0] || !call->args[0][0])
        return err_set(err, ERR_ARGUMENT, 0, "'ref' is missing");
    return api_point_show(call, c, err);
}

static enum err_code on_verify(struct api_call *call, struct catalog *c,
                               struct err *err)
{
    return api_start_point(call, c, call->args[0],
                           api_call_query(call, "tenant"),
                           api_call_query(call, "vault"), err);
}

void api_point_verify(struct api_call *call)
{
    if (api_start_new(call, "verify"))
        api_call_ask(call, on_verify, api_start_go);
}
