/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_sr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_vdi.h"

#define EXTENT (4 * MIB) /* LVM's */

void sim_sr_setup(struct sim_object *sr, const char *type)
{
    static const char *const vhd[] = {"lvm", "lvmoiscsi", "lvmohba", "ext",
                                      "nfs", "smb",       "xfs"};
    struct sim_sr *x = sim_mem_new(sizeof(*x));

    x->thick = strncmp(type, "lvm", 3) == 0;
    x->round = 512;
    for (size_t i = 0; i < sizeof(vhd) / sizeof(vhd[0]); i++)
        if (strcmp(vhd[i], type) == 0)
            x->round = 2 * MIB;
    sr->extra = x;
    sr->extra_free = free;
}

static uint64_t charge(const struct sim_object *sr,
                       const struct sim_object *vdi)
{
    const struct sim_sr *x = sr->extra;
    uint64_t size = (uint64_t)sim_db_int(vdi, "virtual_size");
    struct sim_disk *d = sim_vdi_disk(vdi);

    if (!sim_db_bool(vdi, "managed"))
        return 0; /* charged with those that are made of it */
    if (x->thick)
        return (size + EXTENT - 1) / EXTENT * EXTENT;
    return d ? sim_disk_allocated(d) : 0;
}

void sim_sr_update(struct sim_pool *pool, struct sim_object *sr)
{
    const struct sim_value *vdis = sim_db_get(sr, "VDIs");
    const struct sim_sr *x = sr->extra;
    int64_t used = x->used, allocation = 0;

    for (size_t i = 0; i < vdis->count; i++) {
        struct sim_object *vdi =
            sim_db_find(pool->db, "VDI", vdis->items[i]->text);
        int64_t bytes;

        if (!vdi)
            continue;
        bytes = (int64_t)charge(sr, vdi);
        used += bytes;
        allocation += sim_db_int(vdi, "virtual_size");
        sim_db_set_int(pool->db, vdi, "physical_utilisation", bytes);
    }
    sim_db_set_int(pool->db, sr, "physical_utilisation", used);
    sim_db_set_int(pool->db, sr, "virtual_allocation", allocation);
}

/* ---- chains ---- */

static const char *parent_of(const struct sim_object *vdi)
{
    return sim_value_get_str(sim_db_get(vdi, "sm_config"), "vhd-parent", "");
}

static void set_parent(struct sim_pool *pool, struct sim_object *vdi,
                       const char *uuid)
{
    if (*uuid)
        sim_db_map_put(pool->db, vdi, "sm_config", "vhd-parent", uuid);
    else
        sim_db_map_drop(pool->db, vdi, "sm_config", "vhd-parent");
}

void sim_sr_branch(struct sim_pool *pool, struct sim_object *sr,
                   struct sim_object *live, struct sim_object *snapshot)
{
    const struct sim_sr *x = sr->extra;
    struct sim_object *base;
    char parent[37], uuid[37];

    if (x->chains == SIM_SR_NO_CHAINS)
        return;
    snprintf(parent, sizeof(parent), "%s", parent_of(live));
    sim_db_new_uuid(uuid);
    base = sim_db_create(pool->db, "VDI", NULL, uuid);
    sim_db_set_text(pool->db, base, "SR", sr->ref);
    sim_db_set_text(pool->db, base, "name_label", "base copy");
    sim_db_set_text(pool->db, base, "location", uuid);
    sim_db_set_bool(pool->db, base, "managed", false);
    sim_db_set_int(pool->db, base, "virtual_size",
                   sim_db_int(live, "virtual_size"));
    set_parent(pool, base, parent);
    set_parent(pool, live, uuid);
    set_parent(pool, snapshot, uuid);
}

/* A hidden disk with one child or none; the child, or NULL. */
static struct sim_object *mergeable(struct sim_pool *pool,
                                    const struct sim_object *sr,
                                    struct sim_object **child)
{
    struct sim_object *base, *o;

    for (size_t i = 0; (base = sim_db_at(pool->db, "VDI", i)); i++) {
        size_t children = 0;

        if (sim_db_bool(base, "managed") ||
            strcmp(sim_db_str(base, "SR"), sr->ref) != 0)
            continue;
        *child = NULL;
        for (size_t k = 0; (o = sim_db_at(pool->db, "VDI", k)); k++) {
            if (strcmp(parent_of(o), sim_db_str(base, "uuid")) != 0)
                continue;
            *child = o;
            children++;
        }
        if (children <= 1)
            return base;
    }
    return NULL;
}

void sim_sr_merge(struct sim_pool *pool, struct sim_object *sr)
{
    const struct sim_sr *x = sr->extra;
    struct sim_object *base, *child;

    if (x->chains == SIM_SR_MERGED_LATER)
        return;
    while ((base = mergeable(pool, sr, &child))) {
        if (child)
            set_parent(pool, child, parent_of(base));
        sim_db_destroy(pool->db, base);
    }
}

bool sim_sr_chains_read(const char *text, enum sim_sr_chains *out)
{
    static const char *const words[] = {
        [SIM_SR_NO_CHAINS] = "none",
        [SIM_SR_MERGED] = "merged",
        [SIM_SR_MERGED_LATER] = "later",
    };

    for (size_t i = 0; i < BYTES_COUNT(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = (enum sim_sr_chains)i;
            return true;
        }
    }
    return false;
}

/* ---- room ---- */

static bool full_by_fault(struct sim_pool *pool, struct sim_object *sr)
{
    struct sim_where where;

    sim_pool_where(pool, NULL, sr, &where);
    return sim_fault_hit(pool->sim->faults, "sr_full", &where, NULL);
}

static bool has_room(const struct sim_object *sr, uint64_t bytes)
{
    int64_t left = sim_db_int(sr, "physical_size") -
                   sim_db_int(sr, "physical_utilisation");

    return left >= 0 && (uint64_t)left >= bytes;
}

bool sim_sr_room_for_disk(struct sim_pool *pool, struct sim_object *sr,
                          uint64_t size)
{
    const struct sim_sr *x = sr->extra;

    if (full_by_fault(pool, sr))
        return false;
    sim_sr_update(pool, sr);
    return has_room(sr, x->thick ? (size + EXTENT - 1) / EXTENT * EXTENT : 0);
}

uint64_t sim_sr_room_for_data(struct sim_pool *pool, struct sim_object *sr)
{
    const struct sim_sr *x = sr->extra;
    int64_t left;

    if (x->thick)
        return UINT64_MAX;
    sim_sr_update(pool, sr);
    left = sim_db_int(sr, "physical_size") -
           sim_db_int(sr, "physical_utilisation");
    return left > 0 ? (uint64_t)left : 0;
}

uint64_t sim_sr_round(const struct sim_object *sr, uint64_t size)
{
    const struct sim_sr *x = sr->extra;

    return (size + x->round - 1) / x->round * x->round;
}

struct sim_value *sim_sr_full_error(void)
{
    return sim_value_texts("SR_BACKEND_FAILURE_44", "",
                           "There is insufficient space", "", NULL);
}
