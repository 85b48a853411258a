/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/api_handlers.h - what answers the routes, file by file.
 *
 * An api_call_lane_fn runs on the catalog lane, the others on the loop.
 */
#ifndef CAIRN_GATEWAY_API_HANDLERS_H
#define CAIRN_GATEWAY_API_HANDLERS_H

#include "gateway/api_call.h"

/* api_about.c */
void api_about_routes(struct api_call *call);
void api_about_version(struct api_call *call);
void api_about_status(struct api_call *call);
api_call_lane_fn api_about_audit;

/* api_tenant.c */
api_call_lane_fn api_tenant_add, api_tenant_list, api_tenant_show,
    api_tenant_set, api_tenant_resume, api_tenant_leave;
void api_tenant_suspend(struct api_call *call);
void api_tenant_erase(struct api_call *call);

/* api_token.c */
api_call_lane_fn api_token_add, api_token_list;
void api_token_revoke(struct api_call *call);

/* api_rule.c */
api_call_lane_fn api_rule_add, api_rule_list, api_rule_remove;

/* api_pool.c */
void api_pool_look(struct api_call *call);
void api_pool_add(struct api_call *call);
api_call_lane_fn api_pool_list, api_pool_show;
void api_pool_view(struct api_call *call);
void api_pool_set(struct api_call *call);
void api_pool_probe(struct api_call *call);
void api_pool_test(struct api_call *call);
void api_pool_accept(struct api_call *call);
void api_pool_remove(struct api_call *call);

/* api_vm.c */
void api_vm_list(struct api_call *call);
void api_vm_show(struct api_call *call);
void api_vm_resolve(struct api_call *call);
api_call_lane_fn api_vm_move;

/* api_backup.c */
void api_backup_start(struct api_call *call);

/* api_vault.c */
void api_vault_add(struct api_call *call);
api_call_lane_fn api_vault_list, api_vault_show;
void api_vault_test(struct api_call *call);
void api_vault_refresh(struct api_call *call);
void api_vault_remove(struct api_call *call);

/* api_key.c */
void api_key_list(struct api_call *call);
void api_key_test(struct api_call *call);
void api_key_grant(struct api_call *call);
void api_key_export(struct api_call *call);

/* api_point.c */
api_call_lane_fn api_point_list, api_point_show, api_point_resolve;
void api_point_verify(struct api_call *call);

/* api_restore.c */
void api_restore_start(struct api_call *call);

/* api_job.c */
api_call_lane_fn api_job_list;
void api_job_show(struct api_call *call);
void api_job_log(struct api_call *call);
void api_job_cancel(struct api_call *call);
void api_job_retry(struct api_call *call);

#endif
