/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_vbd.h - the devices of a VM: VBDs and VIFs. With the lock.
 */
#ifndef CAIRN_SIM_VBD_H
#define CAIRN_SIM_VBD_H

#include "tests/sim/sim_call.h"

extern const struct sim_method sim_vbd_methods[];

/* A VBD of a VM; vdi NULL: an empty CD drive. */
struct sim_object *sim_vbd_new(struct sim_pool *pool, struct sim_object *vm,
                               struct sim_object *vdi, const char *device,
                               const char *type, const char *mode,
                               bool bootable);

/* mac NULL: made up and marked so. */
struct sim_object *sim_vbd_new_vif(struct sim_pool *pool, struct sim_object *vm,
                                   struct sim_object *network,
                                   const char *device, const char *mac);

/* The VBDs and VIFs of a VM are attached, or are not, as it starts or
 * stops. */
void sim_vbd_attach_all(struct sim_pool *pool, struct sim_object *vm,
                        bool attached);

/* "02:16:3e:xx:xx:xx" at random: locally administered. */
void sim_vbd_random_mac(char out[18]);

/* Is this userdevice (of VBDs, or VIFs) taken in the VM? */
bool sim_vbd_taken(struct sim_db *db, const struct sim_object *vm,
                   const char *set, const char *field, const char *device);

#endif
