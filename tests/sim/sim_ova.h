/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_ova.h - ova.xml of a VM, as an exporter writes it.
 */
#ifndef CAIRN_SIM_OVA_H
#define CAIRN_SIM_OVA_H

#include "tests/sim/sim_pool.h"

struct sim_ova_disk {
    char id[24]; /* "Ref:12" */
    char vdi[SIM_REF_MAX];
};

struct sim_ova {
    struct sim_value *xml;      /* the whole document */
    struct sim_ova_disk *disks; /* to be streamed, in order of their ids */
    size_t count;
};

/* With the pool's lock. preserve: keep the power state, and add the suspend
 * disk. */
void sim_ova_build(struct sim_pool *pool, struct sim_object *vm, bool preserve,
                   struct sim_ova *out);
void sim_ova_fini(struct sim_ova *ova);

/* {hostname, date, product_version, ...}: who exports, or imports. */
struct sim_value *sim_ova_version(struct sim_pool *pool);

#endif
