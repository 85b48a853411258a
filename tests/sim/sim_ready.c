/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_ready.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/sim/sim_mem.h"

static struct json *host_json(struct sim_host *h, bool coordinator)
{
    struct json *j = json_new_object();
    char *url = sim_mem_printf("https://%s:%u", h->address, h->https_port);
    char *http = sim_mem_printf("http://%s:%u", h->address, h->http_port);

    json_set_text(j, "name", h->name);
    json_set_text(j, "uuid", h->uuid);
    json_set_text(j, "ref", h->ref);
    json_set_text(j, "address", h->address);
    json_set_int(j, "https_port", h->https_port);
    json_set_int(j, "http_port", h->http_port);
    json_set_text(j, "url", url);
    json_set_text(j, "http_url", http);
    pthread_mutex_lock(&h->lock);
    json_set_text(j, "fingerprint", h->fingerprint);
    json_set_text(j, "certificate", h->certificate);
    json_set_bool(j, "down", h->down);
    pthread_mutex_unlock(&h->lock);
    json_set_bool(j, "coordinator", coordinator);
    free(url);
    free(http);
    return j;
}

/* {"name": "uuid"} of a class; VMs without dom0 and templates. */
static struct json *names_json(struct sim_pool *pool, const char *cls)
{
    struct json *j = json_new_object();
    struct sim_object *o;

    for (size_t i = 0; (o = sim_db_at(pool->db, cls, i)); i++) {
        if (sim_class_field(o->cls, "is_control_domain") >= 0 &&
            (sim_db_bool(o, "is_control_domain") ||
             sim_db_bool(o, "is_default_template") ||
             sim_db_bool(o, "is_a_snapshot")))
            continue;
        json_set_text(j, sim_db_str(o, "name_label"), sim_db_str(o, "uuid"));
    }
    return j;
}

static struct json *pool_json(struct sim_pool *pool)
{
    struct json *j = json_new_object(), *hosts = json_new_array();
    struct sim_host *master = sim_pool_coordinator(pool);
    char *url =
        sim_mem_printf("https://%s:%u", master->address, master->https_port);

    json_set_text(j, "name", pool->name);
    json_set_text(j, "uuid", pool->uuid);
    json_set_text(j, "ref", pool->ref);
    json_set_text(j, "url", url);
    json_set_text(j, "user", pool->users[0].name);
    json_set_text(j, "password", pool->users[0].password);
    json_set_text(j, "ca", pool->ca);
    for (size_t i = 0; i < pool->host_count; i++)
        json_append(hosts,
                    host_json(&pool->hosts[i], &pool->hosts[i] == master));
    json_set(j, "hosts", hosts);
    json_set(j, "srs", names_json(pool, "SR"));
    json_set(j, "networks", names_json(pool, "network"));
    json_set(j, "vms", names_json(pool, "VM"));
    free(url);
    return j;
}

struct json *sim_ready_json(struct sim *sim)
{
    struct json *j = json_new_object(), *pools = json_new_array();
    char *control = sim_mem_printf("http://127.0.0.1:%u", sim->control_port);

    json_set_int(j, "pid", getpid());
    json_set_text(j, "control", sim->control ? control : NULL);
    for (size_t i = 0; i < sim->pool_count; i++) {
        sim_db_lock(sim->pools[i].db);
        json_append(pools, pool_json(&sim->pools[i]));
        sim_db_unlock(sim->pools[i].db);
    }
    json_set(j, "pools", pools);
    free(control);
    return j;
}
