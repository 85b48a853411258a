/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /backups: which VMs, whose, into which vault; then one job per VM.
 *
 *   VMs of all pools -> (lane) owners, vaults, points -> job, job, ... -> answer
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/api_handlers.h"
#include "gateway/api_vms.h"

struct target {
    size_t vm; /* in vms */
    int64_t vault_id;
    char vault[CATALOG_NAME];
};

/* Begins with what api_vms_ask() fills. */
struct backup_work {
    struct api_vms vms;
    struct target *targets;
    size_t count, next;
    struct json *jobs, *failed; /* arrays */
    struct err first;           /* of the failures */
};

static void work_free(void *work)
{
    struct backup_work *w = work;

    json_free(w->jobs);
    json_free(w->failed);
    free(w->targets);
    api_vms_fini(&w->vms);
    free(w);
}

/* Why nothing is backed up for a VM that is nobody's. */
static enum err_code vm_unowned(const struct backup_work *w, size_t at,
                                struct err *err)
{
    const struct api_vms_owner *o = &w->vms.owners[at];
    const char *name = w->vms.vms[at].rule.name;

    if (o->verdict.contested)
        return err_set(err, ERR_CONFLICT, 0,
                       "VM '%.80s' is claimed by tenants '%s' and '%s' at one "
                       "rank: it is backed up for neither",
                       name, o->claims[0], o->claims[1]);
    return err_set(err, ERR_QUOTA, 0,
                   "VM '%.80s' is nobody's: no rule gives it to a tenant",
                   name);
}

struct choice {
    int64_t newest_vault; /* of the VM's newest point; 0 */
    int64_t id;
    char name[CATALOG_NAME];
    unsigned ready;
    bool by_point;
};

static bool on_vault(void *ctx, const struct catalog_vault *v)
{
    struct choice *c = ctx;

    if (v->state != CATALOG_VAULT_READY)
        return true;
    c->ready++;
    if (c->by_point)
        return true;
    c->by_point = v->id == c->newest_vault;
    c->id = v->id;
    snprintf(c->name, sizeof(c->name), "%s", v->name);
    return true;
}

/* Where the VM's newest point lies, else the tenant's only vault. */
static enum err_code vault_choose(struct catalog *c,
                                  const struct api_vms_owner *o,
                                  struct target *t, struct err *err)
{
    struct catalog_page page = {.limit = 1000};
    struct choice choice = {.newest_vault = o->point_vault};
    enum err_code rc;

    rc = catalog_vault_each(c, o->verdict.tenant_id, &page, on_vault, &choice,
                            err);
    if (rc != ERR_OK)
        return rc;
    if (choice.ready == 0)
        return err_set(err, ERR_QUOTA, 0,
                       "tenant '%s' has no vault that is ready", o->tenant);
    if (choice.ready > 1 && !choice.by_point)
        return err_set(err, ERR_CONFLICT, 0,
                       "tenant '%s' has %u vaults: say which one", o->tenant,
                       choice.ready);
    t->vault_id = choice.id;
    memcpy(t->vault, choice.name, sizeof(t->vault));
    return ERR_OK;
}

static enum err_code vault_named(struct catalog *c,
                                 const struct api_vms_owner *o,
                                 const char *name, struct target *t,
                                 struct err *err)
{
    struct catalog_vault v = {0};
    enum err_code rc;

    rc = catalog_vault_get(c, o->verdict.tenant_id, name, &v, err);
    if (rc == ERR_OK)
        rc = catalog_vault_check_ready(&v, err);
    if (rc == ERR_OK) {
        t->vault_id = v.id;
        snprintf(t->vault, sizeof(t->vault), "%s", v.name);
    }
    catalog_vault_fini(&v);
    return rc;
}

static enum err_code target_add(struct api_call *call, struct catalog *c,
                                size_t at, struct err *err)
{
    struct backup_work *w = call->work;
    const struct api_vms_owner *o = &w->vms.owners[at];
    const char *vault = api_call_text(call, "vault");
    struct target *t = &w->targets[w->count];
    enum err_code rc;

    for (size_t i = 0; i < w->count; i++)
        if (w->targets[i].vm == at)
            return ERR_OK; /* named twice */
    if (!o->verdict.tenant_id)
        return vm_unowned(w, at, err);
    t->vm = at;
    rc = vault[0] ? vault_named(c, o, vault, t, err)
                  : vault_choose(c, o, t, err);
    if (rc == ERR_OK)
        w->count++;
    else if (rc == ERR_NOT_FOUND)
        call->exit = EXIT_NO_VAULT;
    return rc;
}

/* A pool that did not answer, and whether a VM of the tenant may be there: a
 * rule names the pool, or a VM that no pool shows was backed up from there. */
struct absence {
    const struct api_vms *vms;
    const char *pool;
    bool concerns;
};

static bool on_rule(void *ctx, const struct catalog_rule *r)
{
    struct absence *a = ctx;

    a->concerns = strcmp(r->pool, a->pool) == 0;
    return !a->concerns;
}

static bool on_point(void *ctx, const struct catalog_point *p)
{
    struct absence *a = ctx;
    bool shown = false;

    for (size_t i = 0; i < a->vms->count && !shown; i++)
        shown = strcmp(a->vms->vms[i].rule.uuid, p->vm_uuid) == 0;
    a->concerns = !shown;
    return shown;
}

static enum err_code absence_judge(struct catalog *c, int64_t tenant,
                                   struct absence *a, struct err *err)
{
    const struct catalog_point_filter f = {.tenant_id = tenant,
                                           .pool = a->pool};
    struct catalog_page rules = {.limit = 1000}, points = {.limit = 1000};
    enum err_code rc = catalog_rule_each(c, tenant, 0, &rules, on_rule, a, err);

    if (rc == ERR_OK && !a->concerns)
        rc = catalog_point_each(c, &f, &points, on_point, a, err);
    return rc;
}

/* What a tenant has in a pool that does not answer is not backed up, which is
 * a failure among those of the request. */
static enum err_code note_absence(struct api_call *call, size_t at,
                                  struct err *err)
{
    const char *tenant = api_call_text(call, "tenant");
    struct backup_work *w = call->work;
    const struct api_vms_failure *f = &w->vms.failures[at];
    struct err why;
    struct api_doc d;

    if (call->who.kind == AUTHZ_PROVIDER)
        err_set(&why, ERR_UNREACHABLE, 0,
                "pool '%s' does not answer, what tenant '%s' has there is not "
                "backed up: %s",
                f->pool, tenant, f->err.text);
    else
        err_set(&why, ERR_UNREACHABLE, 0,
                "a pool does not answer, what tenant '%s' has there is not "
                "backed up",
                tenant);
    err_keep(&w->first, &why);
    api_doc_begin(&d);
    api_doc_text(&d, "vm", "");
    api_doc_text(&d, "name", "");
    api_doc_text(&d, "tenant", tenant);
    api_doc_text(&d, "vault", "");
    api_doc_text(&d, "code", err_name(why.code));
    api_doc_int(&d, "exit", exit_of(why.code, EXIT_PEER_POOL));
    api_doc_text(&d, "detail", why.text);
    if (!json_append(w->failed, api_doc_end(&d)))
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    return ERR_OK;
}

static enum err_code all_of_tenant(struct api_call *call, struct catalog *c,
                                   int64_t tenant, struct err *err)
{
    struct backup_work *w = call->work;
    enum err_code rc = ERR_OK;

    for (size_t i = 0; i < w->vms.count && rc == ERR_OK; i++)
        if (w->vms.owners[i].verdict.tenant_id == tenant)
            rc = target_add(call, c, i, err);
    for (size_t i = 0; i < w->vms.failure_count && rc == ERR_OK; i++) {
        struct absence a = {&w->vms, w->vms.failures[i].pool, false};

        rc = absence_judge(c, tenant, &a, err);
        if (rc == ERR_OK && a.concerns)
            rc = note_absence(call, i, err);
    }
    if (rc == ERR_OK && w->count == 0 && w->first.code == ERR_OK)
        rc = err_set(err, ERR_NOT_FOUND, 0,
                     "tenant '%s' has no VM in the pools that answer",
                     api_call_text(call, "tenant"));
    return rc;
}

/* All or none: what cannot be found or has no place refuses the request before
 * anything is begun. */
static enum err_code on_targets(struct api_call *call, struct catalog *c,
                                struct err *err)
{
    const struct json *refs = json_get(call->body, "vms");
    const char *tenant = api_call_text(call, "tenant");
    struct backup_work *w = call->work;
    int64_t only = 0;
    enum err_code rc = api_call_tenant(call, c, tenant, &only, err);

    if (rc == ERR_OK)
        rc = api_vms_judge(&w->vms, c, err);
    if (rc != ERR_OK)
        return rc;
    w->targets = calloc(w->vms.count + 1, sizeof(*w->targets));
    if (!w->targets)
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    for (size_t i = 0; i < json_count(refs) && rc == ERR_OK; i++) {
        const char *ref = json_text(json_at(refs, i), "");
        size_t at = 0;

        rc = api_vms_find(&w->vms, &call->who, ref, &at, err);
        if (rc == ERR_OK && only && w->vms.owners[at].verdict.tenant_id &&
            w->vms.owners[at].verdict.tenant_id != only)
            rc = err_set(err, ERR_NOT_FOUND, 0,
                         "VM '%.80s' is not of tenant '%s'", ref, tenant);
        if (rc == ERR_OK)
            rc = target_add(call, c, at, err);
    }
    if (rc == ERR_OK && json_count(refs) == 0)
        rc = all_of_tenant(call, c, only, err);
    return rc;
}

static void backup_next(struct api_call *call);

/* One of several: noted, the others go on. */
static bool note_outcome(struct backup_work *w, const struct target *t,
                         const struct err *err, const char *job_id)
{
    const struct api_vm *vm = &w->vms.vms[t->vm];
    struct api_doc d;

    api_doc_begin(&d);
    if (job_id)
        api_doc_text(&d, "id", job_id);
    api_doc_text(&d, "vm", vm->rule.uuid);
    api_doc_text(&d, "name", vm->rule.name);
    api_doc_text(&d, "tenant", w->vms.owners[t->vm].tenant);
    api_doc_text(&d, "vault", t->vault);
    if (!job_id) {
        api_doc_text(&d, "code", err_name(err->code));
        api_doc_int(&d, "exit", exit_of(err->code, EXIT_PEER_NONE));
        api_doc_text(&d, "detail", err->text);
        err_keep(&w->first, err);
    }
    return json_append(job_id ? w->jobs : w->failed, api_doc_end(&d));
}

static void on_job(void *ctx, const struct err *err, const char *job_id)
{
    struct api_call *call = ctx;
    struct backup_work *w = call->work;
    const struct target *t = &w->targets[w->next++];
    struct err nomem;

    call->busy = false;
    if (note_outcome(w, t, err, err->code == ERR_OK ? job_id : NULL)) {
        backup_next(call);
        return;
    }
    err_set(&nomem, ERR_NOMEM, 0, "out of memory");
    api_call_fail(call, &nomem);
}

static void backup_answer(struct api_call *call)
{
    struct backup_work *w = call->work;
    struct api_doc d;
    struct err err;

    if (json_count(w->jobs) == 0) {
        api_call_fail(call, &w->first);
        return;
    }
    api_doc_begin(&d);
    api_doc_take(&d, "jobs", w->jobs);
    api_doc_take(&d, "failed", w->failed);
    w->jobs = w->failed = NULL;
    call->status = 202;
    if (api_call_answer(call, api_doc_end(&d), &err) == ERR_OK)
        api_call_done(call);
    else
        api_call_fail(call, &err);
}

static void backup_next(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;
    struct backup_work *w = call->work;
    const struct target *t = &w->targets[w->next];
    const struct api_vm *vm;
    const struct api_vms_owner *o;

    if (w->next == w->count) {
        backup_answer(call);
        return;
    }
    vm = &w->vms.vms[t->vm];
    o = &w->vms.owners[t->vm];
    api_call_object(call, vm->rule.uuid, o->verdict.tenant_id, o->tenant);
    call->busy = true;
    b->job_start(b->ctx,
                 &(struct api_job_spec){
                     .kind = "backup",
                     .tenant_id = o->verdict.tenant_id,
                     .pool_id = vm->rule.pool_id,
                     .vault_id = t->vault_id,
                     .vm_uuid = vm->rule.uuid,
                     .vm_name = vm->rule.name,
                     .point = "",
                     .params = "{}",
                     .retry_of = "",
                 },
                 on_job, call);
}

static void on_vms(struct api_call *call)
{
    struct backup_work *w = call->work;

    call->peer = EXIT_PEER_POOL;
    w->jobs = json_new_array();
    w->failed = json_new_array();
    api_call_ask(call, on_targets, backup_next);
}

void api_backup_start(struct api_call *call)
{
    size_t named = json_count(json_get(call->body, "vms"));
    struct backup_work *w;
    struct err err = {0};

    api_call_object(call,
                    named ? json_text(json_at(json_get(call->body, "vms"), 0),
                                      "")
                          : api_call_text(call, "tenant"),
                    0, "");
    if (!named && !api_call_text(call, "tenant")[0]) {
        err_set(&err, ERR_ARGUMENT, 0, "name VMs or a tenant");
        api_call_fail(call, &err);
        return;
    }
    w = calloc(1, sizeof(*w));
    if (!w) {
        err_set(&err, ERR_NOMEM, 0, "out of memory");
        api_call_fail(call, &err);
        return;
    }
    call->work = w;
    call->work_free = work_free;
    api_vms_ask(call, &w->vms, 0, on_vms);
}
