/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "gateway/api_handlers.h"
#include "gateway/api_vms.h"

/* Begins with what api_vms_ask() fills. */
struct vm_work {
    struct api_vms vms;
    int64_t pool_id;
};

static void work_free(void *work)
{
    api_vms_fini(work);
    free(work);
}

static struct vm_work *work_new(struct api_call *call)
{
    struct vm_work *w = calloc(1, sizeof(*w));
    struct err err;

    call->work = w;
    call->work_free = work_free;
    if (!w) {
        call->work_free = NULL;
        err_set(&err, ERR_NOMEM, 0, "out of memory");
        api_call_fail(call, &err);
    }
    return w;
}

struct vm_filter {
    int64_t tenant_id; /* 0: any in sight */
    bool uncovered;    /* without any point */
    bool contested;
};

static bool vm_shown(const struct vm_filter *f, const struct authz_who *who,
                     const struct api_vms_owner *o)
{
    if (!authz_sees(who, o->verdict.tenant_id))
        return false;
    if (f->tenant_id && o->verdict.tenant_id != f->tenant_id)
        return false;
    if (f->uncovered && o->point[0])
        return false;
    return !f->contested || o->verdict.contested;
}

/* Among those of one uuid (it may be seen in two pools), from 1. */
static unsigned vm_number(const struct api_vms *v, size_t at)
{
    unsigned n = 1;

    while (at > 0 && strcmp(v->vms[at - 1].rule.uuid, v->vms[at].rule.uuid) ==
                         0) {
        at--;
        n++;
    }
    return n;
}

/* The place of a VM in the list as it is sorted: POOL/UUID, or for a tenant,
 * who is told of no pools, UUID/NUMBER. */
static void vm_cursor(const struct api_vms *v, size_t at,
                      const struct authz_who *who, char out[CATALOG_CURSOR])
{
    const struct api_vm *vm = &v->vms[at];

    if (who->kind == AUTHZ_PROVIDER)
        snprintf(out, CATALOG_CURSOR, "%s/%s", vm->pool, vm->rule.uuid);
    else
        snprintf(out, CATALOG_CURSOR, "%s/%u", vm->rule.uuid,
                 vm_number(v, at));
}

/* Was this one, or one behind it, the last of the page before? */
static bool vm_passed(const struct api_vms *v, size_t at,
                      const struct authz_who *who, const char *cursor)
{
    const struct api_vm *vm = &v->vms[at];
    const char *slash = cursor ? strchr(cursor, '/') : NULL;
    char head[CATALOG_NAME];
    struct id16 id;
    uint64_t n = 0;
    int order;

    if (!slash || (size_t)(slash - cursor) >= sizeof(head))
        return false;
    memcpy(head, cursor, (size_t)(slash - cursor));
    head[slash - cursor] = '\0';
    if (who->kind == AUTHZ_PROVIDER) {
        order = strcmp(vm->pool, head);
        return order < 0 ||
               (order == 0 && strcmp(vm->rule.uuid, slash + 1) <= 0);
    }
    if (!parse_uuid(head, &id) || !parse_u64(slash + 1, 1, UINT32_MAX, &n))
        return false;
    order = strcmp(vm->rule.uuid, head);
    return order < 0 || (order == 0 && vm_number(v, at) <= n);
}

/* Pools that did not answer, for the provider. */
static enum err_code add_unreachable(struct api_call *call,
                                     const struct api_vms *v, struct err *err)
{
    struct json *list = json_new_array();
    bool ok = true;

    for (size_t i = 0; i < v->failure_count && ok; i++) {
        const struct api_vms_failure *f = &v->failures[i];
        struct api_doc d;

        api_doc_begin(&d);
        api_doc_text(&d, "pool", f->pool);
        api_doc_text(&d, "code", err_name(f->err.code));
        api_doc_int(&d, "exit", exit_of(f->err.code, EXIT_PEER_POOL));
        api_doc_text(&d, "detail", f->err.text);
        ok = json_append(list, api_doc_end(&d));
    }
    if (!ok) {
        json_free(list);
        list = NULL;
    }
    if (!json_set(call->answer, "unreachable", list))
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    return ERR_OK;
}

static enum err_code on_list(struct api_call *call, struct catalog *c,
                             struct err *err)
{
    struct vm_work *w = call->work;
    struct vm_filter f = {0};
    struct api_call_items items;
    struct catalog_page page = {0};
    unsigned shown = 0;
    enum err_code rc;

    api_call_items_begin(&items);
    rc = api_call_page(call, &page, err);
    if (rc == ERR_OK)
        rc = api_call_query_bool(call, "uncovered", &f.uncovered, err);
    if (rc == ERR_OK)
        rc = api_call_query_bool(call, "contested", &f.contested, err);
    if (rc == ERR_OK)
        rc = api_call_tenant(call, c, api_call_query(call, "tenant"),
                             &f.tenant_id, err);
    if (rc == ERR_OK)
        rc = api_vms_judge(&w->vms, c, err);
    for (size_t i = 0; i < w->vms.count && rc == ERR_OK; i++) {
        if (vm_passed(&w->vms, i, &call->who, page.cursor) ||
            !vm_shown(&f, &call->who, &w->vms.owners[i]))
            continue;
        if (shown++ == page.limit)
            break;
        vm_cursor(&w->vms, i, &call->who, page.next);
        api_call_items_add(&items, api_vms_doc(&w->vms, i, &call->who));
    }
    if (shown <= page.limit)
        page.next[0] = '\0';
    rc = api_call_items_end(call, rc, &items, page.next, err);
    if (rc == ERR_OK && call->who.kind == AUTHZ_PROVIDER)
        rc = add_unreachable(call, &w->vms, err);
    return rc;
}

static void on_vms_list(struct api_call *call)
{
    api_call_ask(call, on_list, NULL);
}

static enum err_code on_pool(struct api_call *call, struct catalog *c,
                             struct err *err)
{
    const char *name = api_call_query(call, "pool");
    struct vm_work *w = call->work;
    struct catalog_pool p = {0};
    enum err_code rc;

    if (!name)
        return ERR_OK;
    /* Pools are not for tenants to see, so there are none. */
    if (call->who.kind != AUTHZ_PROVIDER)
        return err_set(err, ERR_NOT_FOUND, 0, "no pool '%.40s'", name);
    rc = catalog_pool_get(c, name, &p, err);
    w->pool_id = p.id;
    catalog_pool_fini(&p);
    return rc;
}

static void on_pool_known(struct api_call *call)
{
    struct vm_work *w = call->work;

    api_vms_ask(call, &w->vms, w->pool_id, on_vms_list);
}

void api_vm_list(struct api_call *call)
{
    if (work_new(call))
        api_call_ask(call, on_pool, on_pool_known);
}

static enum err_code on_show(struct api_call *call, struct catalog *c,
                             struct err *err)
{
    struct vm_work *w = call->work;
    size_t at = 0;
    enum err_code rc = api_vms_judge(&w->vms, c, err);

    if (rc == ERR_OK)
        rc = api_vms_find(&w->vms, &call->who, call->args[0], &at, err);
    if (rc != ERR_OK)
        return rc;
    return api_call_answer(call, api_vms_doc(&w->vms, at, &call->who), err);
}

static void on_vms_show(struct api_call *call)
{
    api_call_ask(call, on_show, NULL);
}

static void vm_show(struct api_call *call)
{
    struct vm_work *w = work_new(call);

    if (w)
        api_vms_ask(call, &w->vms, 0, on_vms_show);
}

void api_vm_show(struct api_call *call)
{
    struct id16 id;
    struct err err;

    if (parse_uuid(call->args[0], &id)) {
        vm_show(call);
        return;
    }
    err_set(&err, ERR_NOT_FOUND, 0, "no VM '%.100s': wanted a uuid",
            call->args[0]);
    api_call_fail(call, &err);
}

void api_vm_resolve(struct api_call *call)
{
    struct err err;

    call->args[0] = api_call_query(call, "ref");
    if (call->args[0] && call->args[0][0]) {
        vm_show(call);
        return;
    }
    err_set(&err, ERR_ARGUMENT, 0, "'ref' is missing");
    api_call_fail(call, &err);
}

enum err_code api_vm_move(struct api_call *call, struct catalog *c,
                          struct err *err)
{
    const char *tenant = api_call_text(call, "tenant");
    struct api_doc d;
    enum err_code rc = catalog_rule_move(c, call->args[0], tenant, err);

    api_call_object(call, call->args[0], 0, tenant);
    if (rc != ERR_OK)
        return rc;
    api_doc_begin(&d);
    api_doc_text(&d, "uuid", call->args[0]);
    api_doc_text(&d, "tenant", tenant);
    return api_call_answer(call, api_doc_end(&d), err);
}
