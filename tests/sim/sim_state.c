/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_state.h"

#include <string.h>
#include <sys/resource.h>

#include "tests/sim/sim_ready.h"
#include "tests/sim/sim_sr.h"
#include "tests/sim/sim_vdi.h"

static struct json *value_json(const struct sim_value *v)
{
    struct json *j;

    switch (v->kind) {
    case SIM_TEXT:
    case SIM_DATE:
        return json_new_text(v->text);
    case SIM_INT:
    case SIM_I4:
        return json_new_int(v->i);
    case SIM_BOOL:
        return json_new_bool(v->b);
    case SIM_REAL:
        return json_new_real(v->real);
    case SIM_SET:
        j = json_new_array();
        for (size_t i = 0; i < v->count; i++)
            json_append(j, value_json(v->items[i]));
        return j;
    case SIM_MAP:
        j = json_new_object();
        for (size_t i = 0; i < v->count; i++)
            json_set(j, v->keys[i], value_json(v->items[i]));
        return j;
    }
    return NULL;
}

/* "ref" and some fields of an object. */
static struct json *some(const struct sim_object *o, const char *fields)
{
    struct json *j = json_new_object();
    char name[40];

    json_set_text(j, "ref", o->ref);
    while (*fields) {
        size_t n = strcspn(fields, " ");

        snprintf(name, sizeof(name), "%.*s", (int)n, fields);
        json_set(j, name, value_json(sim_db_get(o, name)));
        fields += n + strspn(fields + n, " ");
    }
    return j;
}

static struct json *disks_json(struct sim_db *db, const struct sim_object *vm)
{
    const struct sim_value *vbds = sim_db_get(vm, "VBDs");
    struct json *list = json_new_array();

    for (size_t i = 0; i < vbds->count; i++) {
        struct sim_object *vbd = sim_db_find(db, "VBD", vbds->items[i]->text);
        struct sim_object *vdi = vbd ? sim_db_ref(db, vbd, "VDI") : NULL;
        struct json *j;

        if (!vdi)
            continue;
        j = some(vbd, "userdevice type mode bootable currently_attached");
        json_set_text(j, "vdi", vdi->ref);
        json_set_text(j, "vdi_uuid", sim_db_str(vdi, "uuid"));
        json_set_int(j, "size", sim_db_int(vdi, "virtual_size"));
        json_set_text(j, "file",
                      sim_vdi_disk(vdi) ? sim_disk_path(sim_vdi_disk(vdi))
                                        : NULL);
        json_append(list, j);
    }
    return list;
}

static struct json *nics_json(struct sim_db *db, const struct sim_object *vm)
{
    const struct sim_value *vifs = sim_db_get(vm, "VIFs");
    struct json *list = json_new_array();

    for (size_t i = 0; i < vifs->count; i++) {
        struct sim_object *vif = sim_db_find(db, "VIF", vifs->items[i]->text);
        struct sim_object *net = vif ? sim_db_ref(db, vif, "network") : NULL;
        struct json *j;

        if (!vif)
            continue;
        j = some(vif, "device MAC MTU uuid");
        json_set_text(j, "network", net ? sim_db_str(net, "name_label") : NULL);
        json_append(list, j);
    }
    return list;
}

static struct json *vms_json(struct sim_db *db)
{
    struct json *list = json_new_array();
    struct sim_object *vm;

    for (size_t i = 0; (vm = sim_db_at(db, "VM", i)); i++) {
        struct json *j;

        if (sim_db_bool(vm, "is_control_domain") ||
            sim_db_bool(vm, "is_default_template"))
            continue;
        j = some(vm, "uuid name_label power_state is_a_template is_a_snapshot "
                     "snapshot_of snapshots tags other_config "
                     "blocked_operations current_operations resident_on");
        json_set(j, "disks", disks_json(db, vm));
        json_set(j, "nics", nics_json(db, vm));
        json_append(list, j);
    }
    return list;
}

static struct json *vdis_json(struct sim_db *db)
{
    struct json *list = json_new_array();
    struct sim_object *vdi;

    for (size_t i = 0; (vdi = sim_db_at(db, "VDI", i)); i++) {
        struct json *j = some(vdi, "uuid name_label SR type virtual_size "
                                   "physical_utilisation is_a_snapshot "
                                   "snapshot_of VBDs other_config sm_config");

        json_set_text(j, "file",
                      sim_vdi_disk(vdi) ? sim_disk_path(sim_vdi_disk(vdi))
                                        : NULL);
        json_append(list, j);
    }
    return list;
}

static struct json *list_json(struct sim_db *db, const char *cls,
                              const char *fields)
{
    struct json *list = json_new_array();
    struct sim_object *o;

    for (size_t i = 0; (o = sim_db_at(db, cls, i)); i++)
        json_append(list, some(o, fields));
    return list;
}

/* json_get() lends; a copy can be given away. */
static struct json *ready_pool(const struct json *ready, size_t i)
{
    return json_clone(json_at(json_get(ready, "pools"), i));
}

struct json *sim_state_json(struct sim *sim)
{
    struct json *out = json_new_object(), *pools = json_new_array();
    struct json *ready = sim_ready_json(sim);

    for (size_t i = 0; i < sim->pool_count; i++) {
        struct sim_db *db = sim->pools[i].db;
        struct json *j = ready_pool(ready, i);
        struct sim_object *sr;

        sim_db_lock(db);
        for (size_t k = 0; (sr = sim_db_at(db, "SR", k)); k++)
            sim_sr_update(&sim->pools[i], sr);
        json_set_text(j, "name", sim->pools[i].name);
        json_set(j, "srs",
                 list_json(db, "SR",
                           "uuid name_label type content_type shared "
                           "physical_size physical_utilisation "
                           "virtual_allocation VDIs"));
        json_set(j, "networks",
                 list_json(db, "network", "uuid name_label bridge VIFs"));
        json_set(j, "vms", vms_json(db));
        json_set(j, "vdis", vdis_json(db));
        json_set(j, "tasks",
                 list_json(db, "task",
                           "uuid name_label status progress result "
                           "error_info current_operations"));
        json_set(j, "sessions",
                 list_json(db, "session",
                           "originator auth_user_name "
                           "last_active"));
        sim_db_unlock(db);
        json_append(pools, j);
    }
    json_free(ready);
    json_set(out, "pools", pools);
    return out;
}

static void add(struct sim_counters *to, const struct sim_counters *from)
{
    to->connections += from->connections;
    to->connections_open += from->connections_open;
    to->tls_handshakes += from->tls_handshakes;
    to->requests += from->requests;
    to->bytes_in += from->bytes_in;
    to->bytes_out += from->bytes_out;
    to->exports += from->exports;
    to->export_bytes += from->export_bytes;
    to->imports += from->imports;
    to->import_bytes += from->import_bytes;
    to->failed_logins += from->failed_logins;
}

static void set(struct json *j, const struct sim_counters *c)
{
    json_set_int(j, "connections", (int64_t)c->connections);
    json_set_int(j, "connections_open", (int64_t)c->connections_open);
    json_set_int(j, "tls_handshakes", (int64_t)c->tls_handshakes);
    json_set_int(j, "requests", (int64_t)c->requests);
    json_set_int(j, "bytes_in", (int64_t)c->bytes_in);
    json_set_int(j, "bytes_out", (int64_t)c->bytes_out);
    json_set_int(j, "exports", (int64_t)c->exports);
    json_set_int(j, "export_bytes", (int64_t)c->export_bytes);
    json_set_int(j, "imports", (int64_t)c->imports);
    json_set_int(j, "import_bytes", (int64_t)c->import_bytes);
    json_set_int(j, "failed_logins", (int64_t)c->failed_logins);
}

static struct json *pool_counters(struct sim_pool *pool)
{
    struct json *j = json_new_object(), *hosts = json_new_array();
    struct sim_counters sum = {0};

    for (size_t i = 0; i < pool->host_count; i++) {
        struct json *h = json_new_object();

        json_set_text(h, "name", pool->hosts[i].name);
        set(h, &pool->hosts[i].counters);
        json_append(hosts, h);
        add(&sum, &pool->hosts[i].counters);
    }
    json_set_text(j, "name", pool->name);
    set(j, &sum);
    pthread_mutex_lock(&pool->lock);
    json_set(j, "rpc", value_json(pool->rpc_counts));
    pthread_mutex_unlock(&pool->lock);
    json_set(j, "hosts", hosts);
    return j;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

struct json *sim_state_counters(struct sim *sim)
{
    struct json *j = json_new_object(), *pools = json_new_array();
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    json_set_real(j, "cpu_user", seconds(u.ru_utime));
    json_set_real(j, "cpu_system", seconds(u.ru_stime));
    json_set_int(j, "max_rss_kib", u.ru_maxrss);
    for (size_t i = 0; i < sim->pool_count; i++)
        json_append(pools, pool_counters(&sim->pools[i]));
    json_set(j, "pools", pools);
    return j;
}

void sim_state_zero_counters(struct sim *sim)
{
    for (size_t i = 0; i < sim->pool_count; i++) {
        struct sim_pool *p = &sim->pools[i];

        for (size_t k = 0; k < p->host_count; k++) {
            struct sim_counters *c = &p->hosts[k].counters;

            c->connections = c->tls_handshakes = c->requests = 0;
            c->bytes_in = c->bytes_out = c->exports = c->export_bytes = 0;
            c->imports = c->import_bytes = c->failed_logins = 0;
        }
        pthread_mutex_lock(&p->lock);
        sim_value_free(p->rpc_counts);
        p->rpc_counts = sim_value_map();
        pthread_mutex_unlock(&p->lock);
    }
}

struct json *sim_state_records(struct sim_pool *pool, const char *cls,
                               struct err *err)
{
    struct json *j;
    struct sim_object *o;

    if (!sim_class_find(sim_db_schema(pool->db), cls)) {
        err_set(err, ERR_NOT_FOUND, 0, "no class '%s'", cls);
        return NULL;
    }
    j = json_new_object();
    sim_db_lock(pool->db);
    for (size_t i = 0; (o = sim_db_at(pool->db, cls, i)); i++) {
        struct sim_value *record = sim_db_record(o);

        json_set(j, o->ref, value_json(record));
        sim_value_free(record);
    }
    sim_db_unlock(pool->db);
    return j;
}
