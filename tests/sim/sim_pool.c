/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_pool.h"

#include <string.h>
#include <time.h>

#include "tests/sim/sim_mem.h"

void sim_pool_sleep(uint64_t ms)
{
    struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

    while (nanosleep(&t, &t) != 0)
        ;
}

void sim_pool_pause(const struct sim *sim, uint64_t ms)
{
    sim_pool_sleep((uint64_t)((double)ms * sim->time_scale));
}

struct sim_host *sim_pool_host(struct sim_pool *pool, const char *ref)
{
    for (size_t i = 0; i < pool->host_count; i++)
        if (strcmp(pool->hosts[i].ref, ref) == 0)
            return &pool->hosts[i];
    return NULL;
}

struct sim_host *sim_pool_coordinator(struct sim_pool *pool)
{
    struct sim_object *o = sim_db_at(pool->db, "pool", 0);

    return sim_pool_host(pool, sim_db_str(o, "master"));
}

struct sim_host *sim_pool_find_host(struct sim_pool *pool, const char *name)
{
    for (size_t i = 0; i < pool->host_count; i++) {
        struct sim_host *h = &pool->hosts[i];

        if (strcmp(h->name, name) == 0 || strcmp(h->ref, name) == 0 ||
            strcmp(h->uuid, name) == 0 || strcmp(h->address, name) == 0)
            return h;
    }
    return NULL;
}

struct sim_pool *sim_pool_find(struct sim *sim, const char *name)
{
    for (size_t i = 0; i < sim->pool_count; i++) {
        struct sim_pool *p = &sim->pools[i];

        if (strcmp(p->name, name) == 0 || strcmp(p->uuid, name) == 0 ||
            strcmp(p->ref, name) == 0)
            return p;
    }
    return NULL;
}

static void names_of(struct sim_object *o, const char **out)
{
    out[0] = sim_db_str(o, "name_label");
    out[1] = sim_db_str(o, "uuid");
    out[2] = o->ref;
}

void sim_pool_where(struct sim_pool *pool, struct sim_host *host,
                    struct sim_object *o, struct sim_where *out)
{
    struct sim_object *other;

    memset(out, 0, sizeof(*out));
    out->pool[0] = pool->name;
    out->pool[1] = pool->uuid;
    if (host) {
        out->host[0] = host->name;
        out->host[1] = host->uuid;
        out->host[2] = host->ref;
    }
    if (!o)
        return;
    if (strcmp(o->cls->name, "SR") == 0)
        names_of(o, out->sr);
    if (strcmp(o->cls->name, "VDI") == 0) {
        names_of(o, out->vdi);
        other = sim_db_ref(pool->db, o, "SR");
        if (other)
            names_of(other, out->sr);
    }
    if (strcmp(o->cls->name, "VM") == 0) {
        names_of(o, out->vm);
        other = sim_db_ref(pool->db, o, "snapshot_of");
        if (other)
            names_of(other, out->vm + 3);
    }
}

bool sim_pool_sees(struct sim_pool *pool, const char *host_ref,
                   const char *sr_ref)
{
    struct sim_object *pbd;

    for (size_t i = 0; (pbd = sim_db_at(pool->db, "PBD", i)); i++)
        if (strcmp(sim_db_str(pbd, "host"), host_ref) == 0 &&
            strcmp(sim_db_str(pbd, "SR"), sr_ref) == 0 &&
            sim_db_bool(pbd, "currently_attached"))
            return true;
    return false;
}
