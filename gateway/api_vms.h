/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/api_vms.h - the VMs of the pools with their owners: what the pools
 * show, copied, and what rules, points and moves say of it.
 */
#ifndef CAIRN_GATEWAY_API_VMS_H
#define CAIRN_GATEWAY_API_VMS_H

#include "gateway/api_call.h"

struct api_vms_owner {
    struct rule_verdict verdict;
    const char *tenant;                  /* name; "" */
    const char *claims[RULE_CLAIMS_MAX]; /* names, as many as the verdict has */
    char point[CATALOG_POINT_ID];        /* newest; "" */
    uint64_t point_ms;
    int64_t point_vault;
};

struct api_vms {
    struct api_vm *vms; /* by pool, then uuid; for a tenant by uuid */
    struct api_vms_owner *owners; /* of each; after api_vms_judge() */
    size_t count;
    struct api_vms_failure {
        char pool[CATALOG_NAME];
        struct err err;
    } *failures;
    size_t failure_count;
    struct api_vms_tenant {
        int64_t id;
        char name[CATALOG_NAME];
    } *tenants;
    size_t tenant_count;
    void *blocks; /* texts */
};

/* A zeroed one is fine. */
void api_vms_fini(struct api_vms *v);

/* Ask the backend for a pool's VMs (0: all) and copy them into *v, which lies in
 * call->work; then(call). */
void api_vms_ask(struct api_call *call, struct api_vms *v, int64_t pool_id,
                 void (*then)(struct api_call *call));

/* On the lane: whose is each, and what is its newest point? */
enum err_code api_vms_judge(struct api_vms *v, struct catalog *c,
                            struct err *err);

/* The VM that `ref` names among those in sight: a uuid, POOL/NAME (of the
 * provider only), or a name where it is unique. ERR_NOT_FOUND, ERR_CONFLICT with the candidates,
 * ERR_UNREACHABLE when it may be in a pool that did not answer. */
enum err_code api_vms_find(const struct api_vms *v,
                           const struct authz_who *who, const char *ref,
                           size_t *at, struct err *err);

/* As the API shows it; NULL: out of memory. */
struct json *api_vms_doc(const struct api_vms *v, size_t at,
                         const struct authz_who *who);

#endif
