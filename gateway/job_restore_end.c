/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a restore: entered by every failure and by success, and again and
 * again until what was begun is over; a VM that was made and not finished is
 * removed.
 */
#include "gateway/job_restore.h"

#include <stdlib.h>

void restore_fail(struct restore *r, const struct err *err, enum exit_peer peer)
{
    if (r->err.code == ERR_OK)
        r->peer = peer;
    err_keep(&r->err, err);
    restore_end(r);
}

static struct json *result_of(struct restore *r)
{
    struct json *result = r->receipt ? r->receipt : json_new_object();

    r->receipt = NULL;
    json_set_text(result, "point", r->job->point);
    json_set_int(result, "sent_bytes", (int64_t)r->sent);
    json_set_int(result, "disk_bytes", (int64_t)r->figures.bytes);
    json_set_int(result, "data_bytes", (int64_t)r->figures.data_bytes);
    json_set_int(result, "stored_bytes", (int64_t)r->figures.stored_bytes);
    json_set_int(result, "body_gets", (int64_t)r->figures.body_gets);
    return result;
}

static void restore_free(struct restore *r)
{
    const struct err err = r->err;
    const enum exit_peer peer = r->peer;
    struct job *job = r->job;
    struct json *result = err.code == ERR_OK ? result_of(r) : NULL;

    json_free(r->receipt);
    if (r->data)
        engine_data_give(r->data);
    if (r->granted)
        budget_give(job->engine->budget, r->need.tenant, r->need.bytes);
    if (r->store)
        place_store_free(r->vault->place, r->store);
    point_free(r->point);
    restore_plan_fini(&r->plan);
    ova_free(r->ova);
    buf_fini(&r->rewritten);
    xenapi_inventory_drop(r->target);
    xenapi_inventory_drop(r->made);
    if (r->pool)
        pools_drop(r->pool);
    if (r->vault) {
        job_log_clock(job, r->vault->place);
        vaults_drop(r->vault);
    }
    free(r->vm_name);
    free(r->series);
    free(r->disks);
    job->state = NULL;
    free(r);
    job_finish(job, &err, peer, result);
}

void restore_end(struct restore *r)
{
    r->ending = true;
    if (r->asking)
        xenapi_inventory_cancel(r->asking);
    if (r->checking)
        xenapi_taken_cancel(r->checking);
    if (r->fetching)
        store_op_cancel(r->fetching);
    if (r->asked && !r->granted &&
        budget_withdraw(r->job->engine->budget, &r->need))
        r->asked = false;
    if (r->pipe)
        restore_pipe_cancel(r->pipe);
    if (r->import) {
        xenapi_import_cancel(r->import);
        if (!r->pipe && r->ticketed && !r->reported) {
            r->reported = true;
            xenapi_import_streamed(r->import, &r->err);
        }
    }
    if (r->pipe || r->import || r->asking || r->checking || r->fetching ||
        r->calls || r->op || (r->asked && !r->granted))
        return;
    if (restore_pool_undo(r))
        return;
    restore_free(r);
}
