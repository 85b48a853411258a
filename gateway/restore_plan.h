/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/restore_plan.h - where each disk and NIC of a point goes in a target
 * pool: nothing is guessed. Pure computing over the point's ova.xml, what the
 * pool has and what the user mapped. Control loop.
 */
#ifndef CAIRN_GATEWAY_RESTORE_PLAN_H
#define CAIRN_GATEWAY_RESTORE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "image/ova.h"
#include "xenapi/xenapi_inventory.h"

struct restore_plan_nic {
    const struct ova_nic *nic;
    const struct xenapi_network *network; /* NULL: left out on request */
};

struct restore_plan {
    const struct xenapi_sr *sr; /* of all disks; NULL: the VM has none */
    struct restore_plan_nic *nics;
    size_t nic_count;
    bool keep_mac, keep_uuid, start, dry_run;
    const char *name; /* of the VM; NULL: as it was */
};

struct restore_plan_opts {
    const struct ova *ova;
    const struct xenapi_inventory *target;
    const char *vm_uuid;       /* the VM's when it was backed up */
    const struct json *params; /* of the job, see gateway/api_backend.h */
    uint64_t data_bytes;       /* that a thin SR needs */
};

/*
 * ERR_QUOTA: mappings are missing - the sentence lists all of them, and the
 * choices - or there is no room. ERR_NOT_FOUND: a mapped SR, network, disk or NIC
 * is not there. ERR_CONFLICT: ambiguous names, a UUID or MAC that is in use, an
 * export of a newer XenServer. All pointers borrow from the options.
 */
enum err_code restore_plan_make(const struct restore_plan_opts *opts,
                                struct restore_plan *out, struct err *err);
void restore_plan_fini(struct restore_plan *plan);

#endif
