/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/api_start.h - a job that a request begins, put together on the lane
 * and started from the loop.
 */
#ifndef CAIRN_GATEWAY_API_START_H
#define CAIRN_GATEWAY_API_START_H

#include "gateway/api_call.h"

/* Lies in call->work; texts are its own. */
struct api_start {
    const char *kind;
    int64_t tenant_id, pool_id, vault_id;
    char tenant[CATALOG_NAME], vault[CATALOG_NAME];
    char vm_uuid[CATALOG_UUID];
    char *vm_name;
    char point[CATALOG_POINT_ID];
    char *params; /* NULL: {} */
    char retry_of[CATALOG_JOB_ID];
};

/* A new one becomes the call's work; NULL: the call has failed already. */
struct api_start *api_start_new(struct api_call *call, const char *kind);

/* On the lane: the point that `ref` names within a tenant and a vault (NULL:
 * any) in sight; its vault must be ready. */
enum err_code api_start_point(struct api_call *call, struct catalog *c,
                              const char *ref, const char *tenant,
                              const char *vault, struct err *err);

/* What api_start_point() looks within. */
enum err_code api_start_within(struct api_call *call, struct catalog *c,
                               const char *tenant, const char *vault,
                               struct catalog_point_filter *out,
                               struct err *err);

/* The job as the backend wants it, borrowed from the work. */
struct api_job_spec api_start_spec(const struct api_start *s);

/* Start it and answer 202 with its id. */
void api_start_go(struct api_call *call);

#endif
