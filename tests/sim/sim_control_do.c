/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_control_do.c - the changes that the control API can make.
 */
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "tests/sim/sim_config.h"
#include "tests/sim/sim_config_vm.h"
#include "tests/sim/sim_control.h"
#include "tests/sim/sim_fill.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_server.h"
#include "tests/sim/sim_session.h"
#include "tests/sim/sim_sr.h"
#include "tests/sim/sim_task.h"
#include "tests/sim/sim_tls.h"
#include "tests/sim/sim_vdi.h"
#include "tests/sim/sim_vm.h"
#include "tests/sim/sim_writer.h"

static uint64_t number(const struct json *body, const char *key)
{
    return (uint64_t)json_int(json_get(body, key), 0);
}

/* ---- disks ---- */

static enum err_code write_hex(struct sim_disk *d, uint64_t offset,
                               const char *hex, struct err *err)
{
    size_t len = strlen(hex) / 2;
    uint8_t *bytes = sim_mem_new(len);
    enum err_code rc;

    if (bytes_unhex(hex, bytes, len))
        rc = sim_disk_write(d, bytes, offset, len, err);
    else
        rc = err_set(err, ERR_ARGUMENT, 0, "hex");
    free(bytes);
    return rc;
}

static enum err_code write_from_file(struct sim_disk *d, const char *path,
                                     struct err *err)
{
    struct sim_disk *from;
    enum err_code rc = sim_disk_open(path, 0, &from, err);

    if (rc != ERR_OK)
        return rc;
    if (sim_disk_size(from) > sim_disk_size(d))
        rc = err_set(err, ERR_ARGUMENT, 0, "%s: larger than the disk", path);
    else
        rc = sim_disk_punch(d, 0, sim_disk_size(d), err);
    if (rc == ERR_OK)
        rc = sim_disk_copy(from, d, err);
    sim_disk_drop(from);
    return rc;
}

static enum err_code write_disk(struct sim_disk *d, const struct sim_fill *how,
                                const struct json *body, struct err *err)
{
    uint64_t offset = number(body, "offset"), len = number(body, "length");

    if (json_get(body, "hex"))
        return write_hex(d, offset, json_text(json_get(body, "hex"), "x"), err);
    if (json_get(body, "file"))
        return write_from_file(d, json_text(json_get(body, "file"), ""), err);
    if (json_bool(json_get(body, "zero"), false))
        return sim_disk_punch(d, offset, len, err);
    if (json_get(body, "random"))
        return sim_fill_range(d, offset, len, number(body, "random"), err);
    if (json_get(body, "blocks"))
        return sim_fill_blocks(
            d, how, number(body, "first"), number(body, "blocks"),
            (uint64_t)json_int(json_get(body, "generation"), 2), err);
    return err_set(err, ERR_ARGUMENT, 0, "write what?");
}

/* The VM and device that marked blocks of this VDI name. */
static void owner_of(struct sim_pool *pool, struct sim_object *vdi,
                     struct sim_fill *out)
{
    const struct sim_value *vbds = sim_db_get(vdi, "VBDs");
    uint64_t device = 0;

    for (size_t i = 0; i < vbds->count; i++) {
        struct sim_object *vbd =
            sim_db_find(pool->db, "VBD", vbds->items[i]->text);
        struct sim_object *vm = vbd ? sim_db_ref(pool->db, vbd, "VM") : NULL;

        if (!vm)
            continue;
        parse_uuid(sim_db_str(vm, "uuid"), &out->vm);
        parse_u64(sim_db_str(vbd, "userdevice"), 0, 254, &device);
    }
    out->device = (uint32_t)device;
}

static struct json *disk_write(struct sim *sim, const struct json *body,
                               struct err *err)
{
    struct sim_pool *pool = sim_control_pool(sim, body, err);
    struct sim_disk *disk = NULL;
    struct sim_fill how = {0};
    struct sim_object *vdi;
    enum err_code rc;

    if (!pool)
        return NULL;
    sim_db_lock(pool->db);
    vdi = sim_control_vdi(pool, body, err);
    if (vdi) {
        disk = sim_disk_hold(sim_vdi_disk(vdi));
        owner_of(pool, vdi, &how);
    }
    sim_db_unlock(pool->db);
    if (!disk)
        return NULL;
    rc = write_disk(disk, &how, body, err);
    sim_disk_drop(disk);
    return rc == ERR_OK ? sim_control_ok() : NULL;
}

/* ---- VMs ---- */

static struct json *vm_add(struct sim *sim, const struct json *body,
                           struct err *err)
{
    struct sim_pool *pool = sim_control_pool(sim, body, err);
    char ref[SIM_REF_MAX] = "";
    struct json *j = NULL;
    struct sim_object *vm;

    if (!pool)
        return NULL;
    sim_db_lock(pool->db);
    if (sim_config_vm_add(pool, json_get(body, "vm"), ref, err) == ERR_OK &&
        (vm = sim_db_find(pool->db, "VM", ref))) {
        j = json_new_object();
        json_set_text(j, "ref", ref);
        json_set_text(j, "uuid", sim_db_str(vm, "uuid"));
    }
    sim_db_unlock(pool->db);
    return j;
}

static bool set_fields(struct sim_pool *pool, struct sim_object *o,
                       const struct json *set, struct err *err)
{
    for (size_t i = 0; o && i < json_count(set); i++) {
        const struct json *value;
        const char *key = json_key_at(set, i, &value);

        if (sim_config_field(pool, o, key, value, err) != ERR_OK)
            return false;
    }
    return o != NULL;
}

static struct json *vm_set(struct sim *sim, const struct json *body,
                           struct err *err)
{
    struct sim_pool *pool = sim_control_pool(sim, body, err);
    struct sim_object *vm;
    bool ok;

    if (!pool)
        return NULL;
    sim_db_lock(pool->db);
    vm = sim_control_object(pool, body, "vm", "VM", err);
    ok = set_fields(pool, vm, json_get(body, "set"), err);
    if (ok)
        sim_vm_refresh(pool, vm);
    sim_db_unlock(pool->db);
    return ok ? sim_control_ok() : NULL;
}

static struct json *object_set(struct sim *sim, const struct json *body,
                               struct err *err)
{
    struct sim_pool *pool = sim_control_pool(sim, body, err);
    const char *cls = json_text(json_get(body, "class"), "");
    bool ok;

    if (!pool)
        return NULL;
    if (!sim_class_find(sim_db_schema(pool->db), cls)) {
        err_set(err, ERR_ARGUMENT, 0, "no class '%s'", cls);
        return NULL;
    }
    sim_db_lock(pool->db);
    ok = set_fields(pool, sim_control_object(pool, body, "ref", cls, err),
                    json_get(body, "set"), err);
    sim_db_unlock(pool->db);
    return ok ? sim_control_ok() : NULL;
}

/* Another VDI with the same contents takes the place of one. */
static bool move_disk(struct sim_call *c, struct sim_object *vbd,
                      struct sim_object *sr)
{
    char vbd_ref[SIM_REF_MAX], old_ref[SIM_REF_MAX];
    struct sim_object *to, *old;

    snprintf(vbd_ref, sizeof(vbd_ref), "%s", vbd->ref);
    snprintf(old_ref, sizeof(old_ref), "%s", sim_db_str(vbd, "VDI"));
    to = sim_vdi_copy(c, old_ref, sr);
    if (!to)
        return false;
    vbd = sim_db_find(c->db, "VBD", vbd_ref);
    if (vbd)
        sim_db_set_text(c->db, vbd, "VDI", to->ref);
    old = sim_db_find(c->db, "VDI", old_ref);
    if (old)
        sim_vdi_destroy(c->pool, old);
    return vbd != NULL;
}

static struct json *vm_move(struct sim *sim, const struct json *body,
                            struct err *err)
{
    struct sim_pool *pool = sim_control_pool(sim, body, err);
    struct sim_object *vm, *sr, *vbd;
    struct sim_value *vbds = NULL;
    struct sim_call c = {.pool = pool};
    bool ok = true;

    if (!pool)
        return NULL;
    c.db = pool->db;
    sim_db_lock(c.db);
    vm = sim_control_object(pool, body, "vm", "VM", err);
    sr = sim_control_object(pool, body, "sr", "SR", err);
    if (vm && sr)
        vbds = sim_value_copy(sim_db_get(vm, "VBDs"));
    for (size_t i = 0; vbds && ok && i < vbds->count; i++) {
        vbd = sim_db_find(c.db, "VBD", vbds->items[i]->text);
        if (vbd && strcmp(sim_db_str(vbd, "type"), "Disk") == 0)
            ok = move_disk(&c, vbd, sr);
    }
    sim_db_unlock(c.db);
    if (vbds && !ok)
        err_set(err, ERR_IO, 0, "%s",
                c.failure ? c.failure->items[0]->text : "gone meanwhile");
    ok = ok && vbds;
    sim_value_free(vbds);
    sim_value_free(c.failure);
    return ok ? sim_control_ok() : NULL;
}

static struct json *vm_migrate(struct sim *sim, const struct json *body,
                               struct err *err)
{
    struct sim_pool *pool = sim_control_pool(sim, body, err);
    struct sim_object *vm, *host;

    if (!pool)
        return NULL;
    sim_db_lock(pool->db);
    vm = sim_control_object(pool, body, "vm", "VM", err);
    host = sim_control_object(pool, body, "host", "host", err);
    if (vm && host)
        sim_db_set_text(pool->db, vm, "resident_on", host->ref);
    sim_db_unlock(pool->db);
    return vm && host ? sim_control_ok() : NULL;
}

static void remove_vm(struct sim_pool *pool, struct sim_object *vm)
{
    struct sim_value *vbds = sim_value_copy(sim_db_get(vm, "VBDs"));

    for (size_t i = 0; i < vbds->count; i++) {
        struct sim_object *vbd =
            sim_db_find(pool->db, "VBD", vbds->items[i]->text);
        struct sim_object *vdi = vbd ? sim_db_ref(pool->db, vbd, "VDI") : NULL;

        if (vdi && strcmp(sim_db_str(vbd, "type"), "Disk") == 0)
            sim_vdi_destroy(pool, vdi);
    }
    sim_value_free(vbds);
    sim_vm_destroy(pool, vm);
}

static struct json *vm_remove(struct sim *sim, const struct json *body,
                              struct err *err)
{
    struct sim_pool *pool = sim_control_pool(sim, body, err);
    struct sim_object *vm, *snap;
    struct sim_value *snaps;

    if (!pool)
        return NULL;
    sim_db_lock(pool->db);
    vm = sim_control_object(pool, body, "vm", "VM", err);
    if (vm) {
        snaps = sim_value_copy(sim_db_get(vm, "snapshots"));
        for (size_t i = 0; i < snaps->count; i++)
            if ((snap = sim_db_find(pool->db, "VM", snaps->items[i]->text)))
                remove_vm(pool, snap);
        sim_value_free(snaps);
        remove_vm(pool, vm);
    }
    sim_db_unlock(pool->db);
    return vm ? sim_control_ok() : NULL;
}

static struct json *sr_set(struct sim *sim, const struct json *body,
                           struct err *err)
{
    struct sim_pool *pool = sim_control_pool(sim, body, err);
    struct sim_object *sr;
    struct sim_sr *x;
    uint64_t size, used;
    bool ok = false;

    if (!pool)
        return NULL;
    sim_db_lock(pool->db);
    sr = sim_control_object(pool, body, "sr", "SR", err);
    x = sr ? sr->extra : NULL;
    if (x && json_get(body, "chains") &&
        !sim_sr_chains_read(json_text(json_get(body, "chains"), ""),
                            &x->chains)) {
        err_set(err, ERR_ARGUMENT, 0, "chains: none, merged or later");
        x = NULL;
    }
    if (x &&
        sim_config_size(json_get(body, "size"),
                        (uint64_t)sim_db_int(sr, "physical_size"), "size",
                        &size, err) == ERR_OK &&
        sim_config_size(json_get(body, "used"), (uint64_t)x->used, "used",
                        &used, err) == ERR_OK) {
        sim_db_set_int(pool->db, sr, "physical_size", (int64_t)size);
        x->used = (int64_t)used;
        sim_sr_merge(pool, sr);
        sim_sr_update(pool, sr);
        ok = true;
    }
    sim_db_unlock(pool->db);
    return ok ? sim_control_ok() : NULL;
}

/* ---- guests ---- */

static struct json *writer_start(struct sim *sim, const struct json *body,
                                 struct err *err)
{
    struct sim_pool *pool = sim_control_pool(sim, body, err);
    const char *device = json_text(json_get(body, "device"), "0");
    struct sim_object *vm;
    bool ok = false;

    if (!pool)
        return NULL;
    sim_db_lock(pool->db);
    vm = sim_control_object(pool, body, "vm", "VM", err);
    if (vm)
        ok = sim_writer_start(pool, vm->ref, device, body, err) == ERR_OK;
    sim_db_unlock(pool->db);
    return ok ? sim_control_ok() : NULL;
}

static struct json *writer_stop(struct sim *sim, const struct json *body,
                                struct err *err)
{
    struct sim_pool *pool = sim_control_pool(sim, body, err);
    const char *device = json_text(json_get(body, "device"), "0");
    struct sim_writer_stats stats;
    char ref[SIM_REF_MAX] = "";
    struct sim_object *vm;
    struct json *j;

    if (!pool)
        return NULL;
    sim_db_lock(pool->db);
    vm = sim_control_object(pool, body, "vm", "VM", err);
    if (vm)
        snprintf(ref, sizeof(ref), "%s", vm->ref);
    sim_db_unlock(pool->db);
    if (!vm || sim_writer_stop(pool, ref, device, &stats, err) != ERR_OK)
        return NULL;
    j = json_new_object();
    json_set_int(j, "written", (int64_t)stats.written);
    json_set_int(j, "generation", (int64_t)stats.generation);
    return j;
}

/* ---- hosts and pools ---- */

static struct sim_host *host_of(struct sim *sim, const struct json *body,
                                struct err *err)
{
    struct sim_pool *pool = sim_control_pool(sim, body, err);
    const char *name = json_text(json_get(body, "host"), "");
    struct sim_host *h = pool ? sim_pool_find_host(pool, name) : NULL;

    if (pool && !h)
        err_set(err, ERR_NOT_FOUND, 0, "no host '%s'", name);
    return h;
}

static struct json *host_certificate(struct sim *sim, const struct json *body,
                                     struct err *err)
{
    struct sim_host *h = host_of(sim, body, err);
    const char *name = json_text(json_get(body, "name"), NULL);
    struct json *j = NULL;
    char *dir;

    if (!h)
        return NULL;
    dir = sim_mem_printf("%s/%s", sim->state_dir, h->pool->name);
    if (name) {
        free(h->tls_name);
        h->tls_name = sim_mem_dup(name);
    }
    if (sim_tls_make(h, dir, json_bool(json_get(body, "expired"), false),
                     err) == ERR_OK) {
        j = json_new_object();
        json_set_text(j, "fingerprint", h->fingerprint);
        json_set_text(j, "certificate", h->certificate);
    }
    free(dir);
    return j;
}

static struct json *host_down(struct sim *sim, const struct json *body,
                              struct err *err)
{
    struct sim_host *h = host_of(sim, body, err);
    bool down = json_bool(json_get(body, "down"), true);
    struct sim_object *o, *metrics;

    if (!h || sim_server_set_down(h, down, err) != ERR_OK)
        return NULL;
    sim_db_lock(h->pool->db);
    o = sim_db_find(h->pool->db, "host", h->ref);
    metrics = o ? sim_db_ref(h->pool->db, o, "metrics") : NULL;
    if (metrics)
        sim_db_set_bool(h->pool->db, metrics, "live", !down);
    sim_db_unlock(h->pool->db);
    return sim_control_ok();
}

static void end_connections(struct sim_pool *pool, const struct json *body)
{
    if (json_bool(json_get(body, "connections"), false))
        for (size_t i = 0; i < pool->host_count; i++)
            sim_server_kick(&pool->hosts[i]);
}

static struct json *pool_coordinator(struct sim *sim, const struct json *body,
                                     struct err *err)
{
    struct sim_host *h = host_of(sim, body, err);

    if (!h)
        return NULL;
    sim_db_lock(h->pool->db);
    sim_session_destroy_all(h->pool);
    sim_task_kill_all(h->pool);
    sim_db_set_text(h->pool->db, sim_db_at(h->pool->db, "pool", 0), "master",
                    h->ref);
    sim_db_unlock(h->pool->db);
    end_connections(h->pool, body);
    return sim_control_ok();
}

static struct json *pool_restart(struct sim *sim, const struct json *body,
                                 struct err *err)
{
    struct sim_pool *pool = sim_control_pool(sim, body, err);

    if (!pool)
        return NULL;
    sim_db_lock(pool->db);
    sim_session_destroy_all(pool);
    sim_task_kill_all(pool);
    sim_task_forget_work(pool);
    sim_db_unlock(pool->db);
    end_connections(pool, body);
    return sim_control_ok();
}

static struct json *tasks_expire(struct sim *sim, const struct json *body,
                                 struct err *err)
{
    struct sim_pool *pool = sim_control_pool(sim, body, err);

    if (!pool)
        return NULL;
    sim_db_lock(pool->db);
    sim_task_kill_all(pool);
    sim_db_unlock(pool->db);
    return sim_control_ok();
}

static struct json *sessions_expire(struct sim *sim, const struct json *body,
                                    struct err *err)
{
    struct sim_pool *pool = sim_control_pool(sim, body, err);

    if (!pool)
        return NULL;
    sim_db_lock(pool->db);
    sim_session_destroy_all(pool);
    sim_db_unlock(pool->db);
    return sim_control_ok();
}

const struct sim_control_verb sim_control_do_verbs[] = {
    {"disk/write", disk_write},
    {"vm/add", vm_add},
    {"vm/set", vm_set},
    {"vm/move", vm_move},
    {"vm/migrate", vm_migrate},
    {"vm/remove", vm_remove},
    {"sr/set", sr_set},
    {"object/set", object_set},
    {"writer/start", writer_start},
    {"writer/stop", writer_stop},
    {"host/certificate", host_certificate},
    {"host/down", host_down},
    {"pool/coordinator", pool_coordinator},
    {"pool/restart", pool_restart},
    {"sessions/expire", sessions_expire},
    {"tasks/expire", tasks_expire},
    {NULL, NULL},
};
