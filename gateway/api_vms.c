/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api_vms.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

struct block {
    struct block *next;
    max_align_t data[];
};

static void *vms_alloc(struct api_vms *v, size_t bytes)
{
    struct block *b = calloc(1, sizeof(*b) + bytes);

    if (!b)
        return NULL;
    b->next = v->blocks;
    v->blocks = b;
    return b->data;
}

static const char *vms_text(struct api_vms *v, const char *text)
{
    size_t len = strlen(text) + 1;
    char *copy = vms_alloc(v, len);

    return copy ? memcpy(copy, text, len) : NULL;
}

void api_vms_fini(struct api_vms *v)
{
    struct block *b = v->blocks;

    while (b) {
        struct block *next = b->next;

        free(b);
        b = next;
    }
    free(v->vms);
    free(v->owners);
    free(v->failures);
    free(v->tenants);
    memset(v, 0, sizeof(*v));
}

static bool vms_copy_lists(struct api_vms *v, const struct rule_vm *from,
                           struct rule_vm *to)
{
    const char **tags = vms_alloc(v, (from->tag_count + 1) * sizeof(*tags));
    struct rule_pair *pairs =
        vms_alloc(v, (from->other_config_count + 1) * sizeof(*pairs));

    if (!tags || !pairs)
        return false;
    for (size_t i = 0; i < from->tag_count; i++) {
        tags[i] = vms_text(v, from->tags[i]);
        if (!tags[i])
            return false;
    }
    for (size_t i = 0; i < from->other_config_count; i++) {
        pairs[i].key = vms_text(v, from->other_config[i].key);
        pairs[i].value = vms_text(v, from->other_config[i].value);
        if (!pairs[i].key || !pairs[i].value)
            return false;
    }
    to->tags = tags;
    to->tag_count = from->tag_count;
    to->other_config = pairs;
    to->other_config_count = from->other_config_count;
    return true;
}

static bool vms_copy_one(struct api_vms *v, const struct api_vm *from,
                         struct api_vm *to)
{
    *to = *from;
    to->pool = vms_text(v, from->pool);
    to->power_state = vms_text(v, from->power_state);
    to->rule.uuid = vms_text(v, from->rule.uuid);
    to->rule.name = vms_text(v, from->rule.name);
    return to->pool && to->power_state && to->rule.uuid && to->rule.name &&
           vms_copy_lists(v, &from->rule, &to->rule);
}

static int by_pool_and_uuid(const void *a, const void *b)
{
    const struct api_vm *x = a, *y = b;
    int order = strcmp(x->pool, y->pool);

    return order ? order : strcmp(x->rule.uuid, y->rule.uuid);
}

static int by_uuid_and_pool(const void *a, const void *b)
{
    const struct api_vm *x = a, *y = b;
    int order = strcmp(x->rule.uuid, y->rule.uuid);

    return order ? order : strcmp(x->pool, y->pool);
}

static bool vms_copy(struct api_vms *v, const struct authz_who *who,
                     const struct api_vm_set *set)
{
    v->vms = calloc(set->count + 1, sizeof(*v->vms));
    v->owners = calloc(set->count + 1, sizeof(*v->owners));
    v->failures = calloc(set->failure_count + 1, sizeof(*v->failures));
    if (!v->vms || !v->owners || !v->failures)
        return false;
    for (size_t i = 0; i < set->count; i++) {
        if (!vms_copy_one(v, &set->vms[i], &v->vms[i]))
            return false;
        v->owners[i].tenant = "";
    }
    v->count = set->count;
    for (size_t i = 0; i < set->failure_count; i++) {
        snprintf(v->failures[i].pool, sizeof(v->failures[i].pool), "%s",
                 set->failures[i].pool);
        v->failures[i].err = set->failures[i].err;
    }
    v->failure_count = set->failure_count;
    qsort(v->vms, v->count, sizeof(*v->vms),
          who->kind == AUTHZ_PROVIDER ? by_pool_and_uuid : by_uuid_and_pool);
    return true;
}

/* Which struct api_vms is filled: the work begins with it. */
static void on_vms(void *ctx, const struct err *err,
                   const struct api_vm_set *set)
{
    struct api_call *call = ctx;
    struct err mine = *err;

    if (mine.code == ERR_OK && !vms_copy(call->work, &call->who, set))
        err_set(&mine, ERR_NOMEM, 0, "out of memory");
    api_call_on_json(call, &mine, NULL);
}

void api_vms_ask(struct api_call *call, struct api_vms *v, int64_t pool_id,
                 void (*then)(struct api_call *call))
{
    const struct api_backend *b = call->api->backend;

    call->work = v;
    api_call_wait(call, EXIT_PEER_POOL, then);
    b->vm_list(b->ctx, pool_id, on_vms, call);
}

static bool on_tenant(void *ctx, const struct catalog_tenant *t)
{
    struct api_vms *v = ctx;
    struct api_vms_tenant *more;

    more = reallocarray(v->tenants, v->tenant_count + 1, sizeof(*more));
    if (!more)
        return false;
    v->tenants = more;
    more[v->tenant_count].id = t->id;
    snprintf(more[v->tenant_count++].name, CATALOG_NAME, "%s", t->name);
    return true;
}

static enum err_code vms_tenants(struct api_vms *v, struct catalog *c,
                                 struct err *err)
{
    char cursor[CATALOG_CURSOR] = "";
    struct catalog_page page = {.cursor = cursor, .limit = 1000};
    enum err_code rc;

    do {
        rc = catalog_tenant_each(c, &page, on_tenant, v, err);
        memcpy(cursor, page.next, sizeof(cursor));
    } while (rc == ERR_OK && cursor[0]);
    return rc;
}

static const char *vms_tenant_name(const struct api_vms *v, int64_t id)
{
    for (size_t i = 0; i < v->tenant_count; i++)
        if (v->tenants[i].id == id)
            return v->tenants[i].name;
    return "";
}


static bool on_point(void *ctx, const struct catalog_point *p)
{
    struct api_vms_owner *o = ctx;

    memcpy(o->point, p->id, sizeof(o->point));
    o->point_ms = p->time_ms;
    o->point_vault = p->vault_id;
    return false;
}

static enum err_code vms_judge_one(struct api_vms *v, size_t at,
                                   const struct catalog_rule_set *rules,
                                   struct catalog *c, struct err *err)
{
    const struct rule_vm *vm = &v->vms[at].rule;
    struct api_vms_owner *o = &v->owners[at];
    struct catalog_page page = {.limit = 1};
    struct catalog_point_filter f = {.vm_uuid = vm->uuid};
    int64_t owner = 0;
    enum err_code rc = catalog_rule_owner(c, vm->uuid, &owner, err);

    if (rc != ERR_OK)
        return rc;
    rule_decide(rules->rules, rules->count, vm, owner, &o->verdict);
    o->tenant = vms_tenant_name(v, o->verdict.tenant_id);
    for (size_t i = 0; i < o->verdict.claim_count && i < RULE_CLAIMS_MAX; i++)
        o->claims[i] = vms_tenant_name(v, o->verdict.claims[i]);
    if (!o->verdict.tenant_id)
        return ERR_OK;
    f.tenant_id = o->verdict.tenant_id;
    return catalog_point_each(c, &f, &page, on_point, o, err);
}

enum err_code api_vms_judge(struct api_vms *v, struct catalog *c,
                            struct err *err)
{
    struct catalog_rule_set rules = {0};
    enum err_code rc = vms_tenants(v, c, err);

    if (rc == ERR_OK)
        rc = catalog_rule_set_get(c, 0, &rules, err);
    for (size_t i = 0; i < v->count && rc == ERR_OK; i++)
        rc = vms_judge_one(v, i, &rules, c, err);
    catalog_rule_set_fini(&rules);
    return rc;
}

/* Of the form POOL/NAME, with this pool? */
static bool ref_is_of(const char *ref, const char *pool)
{
    size_t len = strlen(pool);

    return strncmp(ref, pool, len) == 0 && ref[len] == '/';
}

/* A tenant cannot find out by guessing where its VMs run. */
static bool vm_is(const struct api_vm *vm, const struct authz_who *who,
                  const char *ref, const char *uuid)
{
    if (uuid[0])
        return strcmp(vm->rule.uuid, uuid) == 0;
    if (strcmp(vm->rule.name, ref) == 0)
        return true;
    return who->kind == AUTHZ_PROVIDER && ref_is_of(ref, vm->pool) &&
           strcmp(ref + strlen(vm->pool) + 1, vm->rule.name) == 0;
}

static enum err_code vms_none(const struct api_vms *v,
                              const struct authz_who *who, const char *ref,
                              struct err *err)
{
    const struct api_vms_failure *f = v->failures;
    bool provider = who->kind == AUTHZ_PROVIDER;
    bool answered = v->failure_count == 0;

    /* A tenant is not told which pools there are. */
    for (size_t i = 0; i < v->count && provider && !answered; i++)
        answered = ref_is_of(ref, v->vms[i].pool);
    if (answered)
        return err_set(err, ERR_NOT_FOUND, 0, "no VM '%.200s'", ref);
    for (size_t i = 0; i < v->failure_count; i++)
        if (ref_is_of(ref, v->failures[i].pool))
            f = &v->failures[i];
    if (!provider)
        return err_set(err, ERR_UNREACHABLE, 0,
                       "no VM '%.200s' in what can be reached", ref);
    return err_set(err, ERR_UNREACHABLE, 0,
                   "no VM '%.80s' in the pools that answer; pool '%s' does "
                   "not: %s",
                   ref, f->pool, f->err.text);
}

enum err_code api_vms_find(const struct api_vms *v,
                           const struct authz_who *who, const char *ref,
                           size_t *at, struct err *err)
{
    char uuid[CATALOG_UUID] = "";
    char said[300] = "";
    size_t count = 0;
    struct id16 id;

    if (parse_uuid(ref, &id))
        parse_uuid_text(&id, uuid);
    for (size_t i = 0; i < v->count; i++) {
        const struct api_vm *vm = &v->vms[i];
        size_t end = strlen(said);

        if (!authz_sees(who, v->owners[i].verdict.tenant_id) ||
            !vm_is(vm, who, ref, uuid))
            continue;
        if (count++ == 0)
            *at = i;
        if (count <= 4)
            snprintf(said + end, sizeof(said) - end, "%s%s (%s/%s)",
                     count > 1 ? ", " : "", vm->rule.uuid,
                     who->kind == AUTHZ_PROVIDER ? vm->pool : "-",
                     vm->rule.name);
    }
    if (count == 0)
        return vms_none(v, who, ref, err);
    if (count > 1)
        return err_set(err, ERR_CONFLICT, 0,
                       "VM '%.80s' is ambiguous, %zu have that name: %s", ref,
                       count, said);
    return ERR_OK;
}

static struct json *doc_newest(const struct api_vms_owner *o)
{
    struct api_doc d;

    if (!o->point[0])
        return json_new_null();
    api_doc_begin(&d);
    api_doc_text(&d, "id", o->point);
    api_doc_time(&d, "time", o->point_ms);
    return api_doc_end(&d);
}

static struct json *doc_claims(const struct api_vms_owner *o)
{
    struct json *list = json_new_array();

    for (size_t i = 0; i < o->verdict.claim_count && i < RULE_CLAIMS_MAX; i++)
        if (!json_append(list, json_new_text(o->claims[i]))) {
            json_free(list);
            return NULL;
        }
    return list;
}

struct json *api_vms_doc(const struct api_vms *v, size_t at,
                         const struct authz_who *who)
{
    const struct api_vm *vm = &v->vms[at];
    const struct api_vms_owner *o = &v->owners[at];
    struct api_doc d;

    api_doc_begin(&d);
    api_doc_text(&d, "uuid", vm->rule.uuid);
    api_doc_text(&d, "name", vm->rule.name);
    if (who->kind == AUTHZ_PROVIDER)
        api_doc_text(&d, "pool", vm->pool);
    api_doc_text(&d, "power_state", vm->power_state);
    api_doc_int(&d, "disks", vm->disk_count);
    api_doc_u64(&d, "virtual_bytes", vm->virtual_bytes);
    api_doc_text_or_null(&d, "tenant", o->tenant);
    api_doc_text(&d, "owned_by",
                 o->verdict.by_point       ? "point"
                 : o->verdict.tenant_id    ? "rule"
                                           : NULL);
    if (who->kind == AUTHZ_PROVIDER) {
        api_doc_int_or_null(&d, "rule", o->verdict.rule_id);
        api_doc_bool(&d, "contested", o->verdict.contested);
        api_doc_take(&d, "claims", doc_claims(o));
    }
    api_doc_take(&d, "newest_point", doc_newest(o));
    return api_doc_end(&d);
}
