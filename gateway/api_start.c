/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api_start.h"

#include <stdlib.h>
#include <string.h>

static void start_free(void *work)
{
    struct api_start *s = work;

    free(s->vm_name);
    free(s->params);
    free(s);
}

struct api_start *api_start_new(struct api_call *call, const char *kind)
{
    struct api_start *s = calloc(1, sizeof(*s));
    struct err err;

    if (!s) {
        err_set(&err, ERR_NOMEM, 0, "out of memory");
        api_call_fail(call, &err);
        return NULL;
    }
    s->kind = kind;
    call->work = s;
    call->work_free = start_free;
    return s;
}

enum err_code api_start_within(struct api_call *call, struct catalog *c,
                               const char *tenant, const char *vault,
                               struct catalog_point_filter *out,
                               struct err *err)
{
    struct catalog_vault v = {0};
    enum err_code rc = api_call_tenant(call, c, tenant, &out->tenant_id, err);

    /* Where a VM runs cannot be found out by guessing. */
    if (call->who.kind != AUTHZ_PROVIDER)
        out->pool = "";
    if (rc != ERR_OK || !vault || !vault[0])
        return rc;
    rc = catalog_vault_get(c, out->tenant_id, vault, &v, err);
    if (rc == ERR_OK)
        out->vault_id = v.id;
    else if (rc == ERR_NOT_FOUND)
        call->exit = EXIT_NO_VAULT;
    catalog_vault_fini(&v);
    return rc;
}

static enum err_code start_check_vault(struct catalog *c, int64_t id,
                                       struct err *err)
{
    struct catalog_vault v = {0};
    enum err_code rc = catalog_vault_get_id(c, id, &v, err);

    if (rc == ERR_OK)
        rc = catalog_vault_check_ready(&v, err);
    catalog_vault_fini(&v);
    return rc;
}

enum err_code api_start_point(struct api_call *call, struct catalog *c,
                              const char *ref, const char *tenant,
                              const char *vault, struct err *err)
{
    struct catalog_point_filter within = {0};
    struct api_start *s = call->work;
    struct catalog_point p = {0};
    enum err_code rc;

    api_call_object(call, ref, 0, "");
    rc = api_start_within(call, c, tenant, vault, &within, err);
    if (rc == ERR_OK)
        rc = catalog_point_get(c, &within, ref, &p, err);
    if (rc == ERR_OK)
        rc = start_check_vault(c, p.vault_id, err);
    if (rc == ERR_OK) {
        s->tenant_id = p.tenant_id;
        s->vault_id = p.vault_id;
        snprintf(s->tenant, sizeof(s->tenant), "%s", p.tenant);
        snprintf(s->vault, sizeof(s->vault), "%s", p.vault);
        snprintf(s->vm_uuid, sizeof(s->vm_uuid), "%s", p.vm_uuid);
        memcpy(s->point, p.id, sizeof(s->point));
        free(s->vm_name);
        s->vm_name = strdup(p.vm_name);
        if (!s->vm_name)
            rc = err_set(err, ERR_NOMEM, 0, "out of memory");
        api_call_object(call, p.id, p.tenant_id, p.tenant);
    }
    catalog_point_fini(&p);
    return rc;
}

struct api_job_spec api_start_spec(const struct api_start *s)
{
    return (struct api_job_spec){
        .kind = s->kind,
        .tenant_id = s->tenant_id,
        .pool_id = s->pool_id,
        .vault_id = s->vault_id,
        .vm_uuid = s->vm_uuid,
        .vm_name = s->vm_name ? s->vm_name : "",
        .point = s->point,
        .params = s->params ? s->params : "{}",
        .retry_of = s->retry_of,
    };
}

static struct json *start_doc(const struct api_start *s, const char *job_id)
{
    struct json *jobs = json_new_array();
    struct api_doc job, d;

    api_doc_begin(&job);
    api_doc_text(&job, "id", job_id);
    api_doc_text(&job, "vm", s->vm_uuid);
    api_doc_text(&job, "name", s->vm_name ? s->vm_name : "");
    api_doc_text(&job, "tenant", s->tenant);
    api_doc_text(&job, "vault", s->vault);
    if (!json_append(jobs, api_doc_end(&job))) {
        json_free(jobs);
        jobs = NULL;
    }
    api_doc_begin(&d);
    api_doc_take(&d, "jobs", jobs);
    api_doc_take(&d, "failed", json_new_array());
    return api_doc_end(&d);
}

static void on_job(void *ctx, const struct err *err, const char *job_id)
{
    struct api_call *call = ctx;
    struct json *doc = NULL;
    struct err mine = *err;

    if (mine.code == ERR_OK) {
        call->status = 202;
        doc = start_doc(call->work, job_id);
        if (!doc)
            err_set(&mine, ERR_NOMEM, 0, "out of memory");
    }
    api_call_on_json(call, &mine, doc);
}

void api_start_go(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;
    struct api_job_spec spec = api_start_spec(call->work);

    api_call_wait(call, EXIT_PEER_NONE, NULL);
    b->job_start(b->ctx, &spec, on_job, call);
}
