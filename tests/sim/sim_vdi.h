/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_vdi.h - virtual disks: records and the files behind them. With
 * the pool's lock.
 */
#ifndef CAIRN_SIM_VDI_H
#define CAIRN_SIM_VDI_H

#include "tests/sim/sim_call.h"
#include "tests/sim/sim_disk.h"

extern const struct sim_method sim_vdi_methods[];

/* Borrowed; NULL: it has no contents (a record only). */
struct sim_disk *sim_vdi_disk(const struct sim_object *vdi);
/* Takes d. */
void sim_vdi_attach(struct sim_object *vdi, struct sim_disk *d);

/* A new VDI of zeros; asks for room. size is rounded by the SR. uuid may be
 * NULL. NULL: c failed. */
struct sim_object *sim_vdi_new(struct sim_call *c, struct sim_object *sr,
                               uint64_t size, const char *uuid);

/* A VDI that is a snapshot of `of`; asks for room. NULL: c failed. */
struct sim_object *sim_vdi_snapshot(struct sim_call *c, struct sim_object *of);

/* A full copy on an SR. Lets go of the lock meanwhile. NULL: c failed. */
struct sim_object *sim_vdi_copy(struct sim_call *c, const char *of,
                                struct sim_object *sr);

/* With its VBDs; the SR's figures follow. */
void sim_vdi_destroy(struct sim_pool *pool, struct sim_object *vdi);

/* Is it attached to a running VM or to dom0? */
bool sim_vdi_in_use(struct sim_pool *pool, const struct sim_object *vdi);

/* "<state_dir>/<pool>/<uuid>.raw", to free(). */
char *sim_vdi_path(const struct sim_pool *pool, const char *uuid);

#endif
