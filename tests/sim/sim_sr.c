/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_sr.h"

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
