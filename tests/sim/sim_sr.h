/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_sr.h - storage repositories: what they hold, what is left.
 *
 * Thick ones (lvm*) charge the virtual size of each disk and snapshot, thin
 * ones what is allocated. With the pool's lock.
 */
#ifndef CAIRN_SIM_SR_H
#define CAIRN_SIM_SR_H

#include "tests/sim/sim_call.h"

/* Whether a snapshot leaves a hidden base copy, as VHD chains do, and when
 * those that nobody needs any more are merged. */
enum sim_sr_chains {
    SIM_SR_NO_CHAINS,
    SIM_SR_MERGED,      /* at once */
    SIM_SR_MERGED_LATER /* not before this is another */
};

/* An SR's `extra`. */
struct sim_sr {
    enum sim_sr_chains chains;
    bool thick;
    int64_t used;   /* by others */
    uint64_t round; /* virtual sizes are multiples of it */
};

/* Fill in a new SR object for its type. */
void sim_sr_setup(struct sim_object *sr, const char *type);

/* Compute utilisation of the SR and its VDIs anew. */
void sim_sr_update(struct sim_pool *pool, struct sim_object *sr);

/* `live` was snapshotted: what they share lies in a hidden disk now. */
void sim_sr_branch(struct sim_pool *pool, struct sim_object *sr,
                   struct sim_object *live, struct sim_object *snapshot);
/* A disk is gone, or the setting is another: merge what may be merged. */
void sim_sr_merge(struct sim_pool *pool, struct sim_object *sr);
/* "none", "merged", "later". */
bool sim_sr_chains_read(const char *text, enum sim_sr_chains *out);

/* May a disk of this virtual size be made? No: not enough room in a thick SR,
 * none at all in a thin one, or the fault sr_full. */
bool sim_sr_room_for_disk(struct sim_pool *pool, struct sim_object *sr,
                          uint64_t size);
/* Bytes that may still be written to disks that exist; without a bound in a
 * thick SR. Looks anew. */
uint64_t sim_sr_room_for_data(struct sim_pool *pool, struct sim_object *sr);
uint64_t sim_sr_round(const struct sim_object *sr, uint64_t size);
/* SR_BACKEND_FAILURE_44 as the back ends say it. */
struct sim_value *sim_sr_full_error(void);

#endif
