/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/job_owner.h - whether a VM that is about to be backed up is still
 * the job's tenant's.
 *
 * A job may wait, be taken up after a restart, or be a retry of one that is
 * months old; in between a VM may have been moved, a rule removed, the tenant
 * suspended. Who was given the VM when the job was asked for says nothing
 * about who may have its data now.
 */
#ifndef CAIRN_GATEWAY_JOB_OWNER_H
#define CAIRN_GATEWAY_JOB_OWNER_H

#include "gateway/job.h"
#include "xenapi/xenapi_inventory.h"

/*
 * Catalog's thread; job and vm stand still meanwhile. ERR_DENIED: the tenant
 * is not active. ERR_QUOTA: the VM is nobody's, or another tenant's (whose is
 * not said: the tenant reads this).
 */
enum err_code job_owner_check(struct catalog *c, const struct job *job,
                              const struct xenapi_vm *vm, struct err *err);

#endif
