/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pools have, for the API: VMs of one or of all, and the test of one.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/pools_entry.h"
#include "xenapi/xenapi_inventory.h"

#define POOLS_MAX 1000

/* --- asking one pool ----------------------------------------------------- */

struct asking {
    struct listing *listing;
    int64_t id;
    char name[CATALOG_NAME];
    struct pools_hold *hold;
    struct xenapi_inventory *inventory;
    struct err err;
};

struct listing {
    struct catalog_call call; /* first */
    struct engine *engine;
    int64_t pool_id;
    struct asking *asked;
    size_t count;
    unsigned left;
    struct err err;
    api_vm_done_fn *vms; /* one of the two */
    api_json_done_fn *test;
    void *ctx;
};

static void listing_answer(struct listing *l);

static void asked(struct asking *a, const struct err *err)
{
    struct listing *l = a->listing;

    err_keep(&a->err, err);
    if (--l->left == 0)
        listing_answer(l);
}

static void on_inventory(void *ctx, const struct err *err,
                         struct xenapi_inventory *inventory)
{
    struct asking *a = ctx;

    a->inventory = inventory;
    asked(a, err);
}

static void on_hold(void *ctx, const struct err *err, struct pools_hold *hold)
{
    struct asking *a = ctx;
    const struct xenapi_inventory_opts o = {.done = on_inventory, .ctx = a};
    struct err why = *err;

    a->hold = hold;
    if (why.code != ERR_OK ||
        xenapi_inventory_start(hold->session, &o, NULL, &why) != ERR_OK)
        asked(a, &why);
}

static bool keep_pool(void *ctx, const struct catalog_pool *p)
{
    struct listing *l = ctx;
    struct asking *more;

    if (l->pool_id && p->id != l->pool_id)
        return true;
    more = realloc(l->asked, (l->count + 1) * sizeof(*more));
    if (!more) {
        err_set(&l->err, ERR_NOMEM, 0, "pools");
        return false;
    }
    l->asked = more;
    memset(&more[l->count], 0, sizeof(*more));
    more[l->count].id = p->id;
    snprintf(more[l->count].name, CATALOG_NAME, "%s", p->name);
    l->count++;
    return true;
}

static enum err_code run_pools(struct catalog_call *call, struct catalog *c,
                               struct err *err)
{
    struct listing *l = (struct listing *)call;
    struct catalog_page page = {.limit = POOLS_MAX};

    if (catalog_pool_each(c, &page, keep_pool, l, err) != ERR_OK)
        return err->code;
    if (l->err.code != ERR_OK)
        *err = l->err;
    else if (l->pool_id && !l->count)
        err_set(err, ERR_NOT_FOUND, 0, "no such pool");
    return err->code;
}

static void on_pools(struct catalog_call *call, const struct err *err)
{
    struct listing *l = (struct listing *)call;

    l->err = *err;
    l->left = 1;
    for (size_t i = 0; err->code == ERR_OK && i < l->count; i++) {
        l->asked[i].listing = l;
        l->left++;
        pools_take(l->engine->pools, l->asked[i].id, true, on_hold,
                   &l->asked[i]);
    }
    if (--l->left == 0)
        listing_answer(l);
}

static void listing_start(struct engine *e, int64_t pool_id,
                          api_vm_done_fn *vms, api_json_done_fn *test,
                          void *ctx)
{
    struct listing *l = calloc(1, sizeof(*l));

    if (!l) {
        struct err err = {0};

        err_set(&err, ERR_NOMEM, 0, "pools");
        if (vms)
            vms(ctx, &err, NULL);
        else if (test)
            test(ctx, &err, NULL);
        return;
    }
    l->engine = e;
    l->pool_id = pool_id;
    l->vms = vms;
    l->test = test;
    l->ctx = ctx;
    l->call.run = run_pools;
    l->call.done = on_pools;
    pools_busy(e->pools);
    catalog_call_start(e->catalog, &l->call);
}

/* --- VMs ----------------------------------------------------------------- */

static bool is_shown(const struct xenapi_vm *vm)
{
    return !vm->is_snapshot && !vm->is_template && !vm->is_control_domain;
}

static void fill_vm(struct api_vm *out, const struct asking *a,
                    const struct xenapi_vm *vm)
{
    static const char *const powers[] = {
        [XENAPI_HALTED] = "Halted",
        [XENAPI_PAUSED] = "Paused",
        [XENAPI_RUNNING] = "Running",
        [XENAPI_SUSPENDED] = "Suspended",
    };

    out->rule.pool_id = a->id;
    out->rule.uuid = vm->uuid;
    out->rule.name = vm->name;
    out->rule.tags = vm->tags;
    out->rule.tag_count = vm->tag_count;
    /* The same two members under another name. */
    out->rule.other_config = (const struct rule_pair *)vm->other_config;
    out->rule.other_config_count = vm->other_config_count;
    out->pool = a->name;
    out->power_state = powers[vm->power];
    out->disk_count = (unsigned)vm->disk_count;
    for (size_t i = 0; i < vm->disk_count; i++)
        out->virtual_bytes += vm->disks[i].virtual_size;
}

_Static_assert(sizeof(struct rule_pair) == sizeof(struct xenapi_pair) &&
                   offsetof(struct rule_pair, value) ==
                       offsetof(struct xenapi_pair, value),
               "pairs of rules and of the pool are laid out alike");

static void answer_vms(struct listing *l)
{
    struct api_vm_set set = {0};
    struct api_vm *vms = NULL;
    struct api_vm_failure *failures = NULL;
    size_t total = 0;

    for (size_t i = 0; i < l->count; i++)
        total += l->asked[i].inventory ? l->asked[i].inventory->vm_count : 0;
    vms = calloc(total + 1, sizeof(*vms));
    failures = calloc(l->count + 1, sizeof(*failures));
    if (l->err.code == ERR_OK && (!vms || !failures))
        err_set(&l->err, ERR_NOMEM, 0, "VMs");
    for (size_t i = 0; l->err.code == ERR_OK && i < l->count; i++) {
        const struct asking *a = &l->asked[i];

        if (a->err.code != ERR_OK) {
            failures[set.failure_count].pool = a->name;
            failures[set.failure_count++].err = a->err;
        }
        for (size_t k = 0; a->inventory && k < a->inventory->vm_count; k++)
            if (is_shown(&a->inventory->vms[k]))
                fill_vm(&vms[set.count++], a, &a->inventory->vms[k]);
    }
    set.vms = vms;
    set.failures = failures;
    l->vms(l->ctx, &l->err, l->err.code == ERR_OK ? &set : NULL);
    free(vms);
    free(failures);
}

/* --- the test ------------------------------------------------------------ */

static bool add_check(struct json *checks, const char *name, bool ok,
                      const char *text)
{
    struct json *one = json_new_object();

    json_set_text(one, "name", name);
    json_set_bool(one, "ok", ok);
    json_set_text(one, "text", text);
    return json_append(checks, one);
}

/* SRs with disks to coalesce; above the limit their backups wait. */
static bool add_backlogs(struct json *checks,
                         const struct xenapi_inventory *inv, uint64_t limit)
{
    char text[200];
    bool ok = true;

    for (size_t i = 0; i < inv->sr_count; i++) {
        const struct xenapi_sr *sr = &inv->srs[i];
        bool pauses = limit && sr->backlog > limit;

        if (!sr->backlog)
            continue;
        snprintf(text, sizeof(text),
                 "SR %.80s has %zu disks waiting to be coalesced%s", sr->name,
                 sr->backlog, pauses ? ": its backups pause" : "");
        add_check(checks, "coalescing", !pauses, text);
        ok = ok && !pauses;
    }
    return ok;
}

static void answer_test(struct listing *l)
{
    struct json *all = NULL, *checks = NULL;
    const struct asking *a = l->count ? &l->asked[0] : NULL;
    const struct xenapi_inventory *inv = a ? a->inventory : NULL;
    char text[200];
    size_t srs = 0, vms = 0;
    bool ok = false;

    if (l->err.code == ERR_OK) {
        all = json_new_object();
        checks = json_new_array();
        add_check(checks, "login and inventory", inv != NULL,
                  inv ? xenapi_session_coordinator(a->hold->session)
                  : a ? a->err.text
                      : "");
        for (size_t i = 0; inv && i < inv->sr_count; i++)
            srs += inv->srs[i].attached &&
                   strcmp(inv->srs[i].content_type, "iso") != 0;
        for (size_t i = 0; inv && i < inv->vm_count; i++)
            vms += is_shown(&inv->vms[i]);
        if (inv) {
            snprintf(text, sizeof(text), "%zu hosts, %zu VMs", inv->host_count,
                     vms);
            add_check(checks, "hosts", inv->host_count > 0, text);
            snprintf(text, sizeof(text), "%zu usable SRs", srs);
            add_check(checks, "storage", srs > 0, text);
            ok = add_backlogs(checks, inv,
                              l->engine->config->coalesce_backlog) &&
                 inv->host_count && srs;
        }
        json_set_bool(all, "ok", ok);
        if (!json_set(all, "checks", checks)) {
            json_free(all);
            all = NULL;
            err_set(&l->err, ERR_NOMEM, 0, "test");
        }
        if (a && a->err.code != ERR_OK && l->err.code == ERR_OK) {
            json_free(all);
            all = NULL;
            l->err = a->err;
        }
    }
    l->test(l->ctx, &l->err, all);
}

static void listing_answer(struct listing *l)
{
    struct pools *pools = l->engine->pools;

    if (l->vms)
        answer_vms(l);
    else
        answer_test(l);
    for (size_t i = 0; i < l->count; i++) {
        xenapi_inventory_drop(l->asked[i].inventory);
        if (l->asked[i].hold)
            pools_drop(l->asked[i].hold);
    }
    free(l->asked);
    free(l);
    pools_idle(pools);
}

void pools_vms(void *ctx, int64_t pool_id, api_vm_done_fn *done,
               void *done_ctx)
{
    listing_start(ctx, pool_id, done, NULL, done_ctx);
}

void pools_test(void *ctx, int64_t pool_id, api_json_done_fn *done,
                void *done_ctx)
{
    listing_start(ctx, pool_id, NULL, done, done_ctx);
}
