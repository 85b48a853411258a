/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_meta.h - from ova.xml to records: what an import creates.
 */
#ifndef CAIRN_SIM_META_H
#define CAIRN_SIM_META_H

#include "tests/sim/sim_call.h"

struct sim_meta_disk {
    char id[64]; /* as in ova.xml */
    char vdi[SIM_REF_MAX];
    uint64_t size; /* as ova.xml tells: so much is streamed */
};

struct sim_meta {
    const char *task;      /* borrowed */
    struct sim_object *sr; /* the target; used while the lock is held */
    bool restore;
    struct sim_value *created;   /* refs, in order; undone backwards */
    struct sim_value *vms;       /* refs of imported VMs */
    struct sim_meta_disk *disks; /* in the order of their ids */
    size_t count;
};

/* With the lock. `c` collects the failure. False: something is wrong; what was
 * created until then is in m->created. */
bool sim_meta_create(struct sim_call *c, const struct sim_value *ova,
                     struct sim_meta *m);

/* With the lock: take it all away again. */
void sim_meta_undo(struct sim_pool *pool, struct sim_meta *m);
/* With the lock: the VMs are ready. */
void sim_meta_finish(struct sim_pool *pool, struct sim_meta *m);
void sim_meta_fini(struct sim_meta *m);

#endif
