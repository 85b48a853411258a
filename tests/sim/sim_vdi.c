/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_vdi.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_sr.h"

struct sim_disk *sim_vdi_disk(const struct sim_object *vdi)
{
    return vdi->extra;
}

static void extra_drop(void *extra)
{
    sim_disk_drop(extra);
}

void sim_vdi_attach(struct sim_object *vdi, struct sim_disk *d)
{
    sim_disk_drop(vdi->extra);
    vdi->extra = d;
    vdi->extra_free = extra_drop;
}

char *sim_vdi_path(const struct sim_pool *pool, const char *uuid)
{
    return sim_mem_printf("%s/%s/%s.raw", pool->sim->state_dir, pool->name,
                          uuid);
}

/* The record. */
static struct sim_object *record_new(struct sim_pool *pool,
                                     struct sim_object *sr, uint64_t size,
                                     const char *uuid)
{
    struct sim_object *vdi = sim_db_create(pool->db, "VDI", NULL, uuid);

    sim_db_set_text(pool->db, vdi, "SR", sr->ref);
    sim_db_set_int(pool->db, vdi, "virtual_size", (int64_t)size);
    sim_db_set_text(pool->db, vdi, "location", sim_db_str(vdi, "uuid"));
    sim_db_set(pool->db, vdi, "allowed_operations",
               sim_value_texts("snapshot", "clone", "copy", "destroy", "resize",
                               "update", "generate_config", NULL));
    return vdi;
}

struct sim_object *sim_vdi_new(struct sim_call *c, struct sim_object *sr,
                               uint64_t size, const char *uuid)
{
    struct sim_disk *disk = NULL;
    struct sim_object *vdi;
    struct err err;
    char made[37], *path;

    size = sim_sr_round(sr, size);
    if (!sim_sr_room_for_disk(c->pool, sr, size)) {
        sim_call_fail_take(c, sim_sr_full_error());
        return NULL;
    }
    if (!uuid) {
        sim_db_new_uuid(made);
        uuid = made;
    }
    path = sim_vdi_path(c->pool, uuid);
    if (sim_disk_create(path, size, &disk, &err) != ERR_OK)
        sim_call_fail_io(c, &err);
    free(path);
    if (!disk)
        return NULL;
    vdi = record_new(c->pool, sr, size, uuid);
    sim_vdi_attach(vdi, disk);
    sim_sr_update(c->pool, sr);
    return vdi;
}

/* What a copy or snapshot has from its original. */
static void copy_fields(struct sim_db *db, const struct sim_object *of,
                        struct sim_object *to)
{
    static const char *const fields[] = {
        "name_label", "name_description", "type",          "sharable",
        "read_only",  "other_config",     "tags",          "xenstore_data",
        "sm_config",  "on_boot",          "allow_caching",
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        sim_db_set(db, to, fields[i],
                   sim_value_copy(sim_db_get(of, fields[i])));
}

struct sim_object *sim_vdi_snapshot(struct sim_call *c, struct sim_object *of)
{
    struct sim_object *sr = sim_db_ref(c->db, of, "SR"), *vdi;
    uint64_t size = (uint64_t)sim_db_int(of, "virtual_size");
    struct sim_disk *disk = NULL;
    char uuid[37], *path;
    struct err err;

    if (!sim_sr_room_for_disk(c->pool, sr, size)) {
        sim_call_fail_take(c, sim_sr_full_error());
        return NULL;
    }
    sim_db_new_uuid(uuid);
    path = sim_vdi_path(c->pool, uuid);
    if (sim_disk_snapshot(sim_vdi_disk(of), path, &disk, &err) != ERR_OK)
        sim_call_fail_io(c, &err);
    free(path);
    if (!disk)
        return NULL;
    vdi = record_new(c->pool, sr, size, uuid);
    sim_vdi_attach(vdi, disk);
    copy_fields(c->db, of, vdi);
    sim_db_set_bool(c->db, vdi, "is_a_snapshot", true);
    sim_db_set_text(c->db, vdi, "snapshot_of", of->ref);
    sim_db_set(c->db, vdi, "snapshot_time", sim_value_now());
    sim_sr_branch(c->pool, sr, of, vdi);
    sim_sr_update(c->pool, sr);
    return vdi;
}

struct sim_object *sim_vdi_copy(struct sim_call *c, const char *of,
                                struct sim_object *sr)
{
    struct sim_object *from = sim_db_find(c->db, "VDI", of), *to;
    struct sim_disk *a, *b;
    char to_ref[SIM_REF_MAX], from_ref[SIM_REF_MAX];
    struct err err;
    enum err_code rc;

    to = sim_vdi_new(c, sr, (uint64_t)sim_db_int(from, "virtual_size"), NULL);
    if (!to)
        return NULL;
    copy_fields(c->db, from, to);
    sim_db_map_drop(c->db, to, "sm_config", "vhd-parent"); /* on its own */
    snprintf(to_ref, sizeof(to_ref), "%s", to->ref);
    snprintf(from_ref, sizeof(from_ref), "%s", from->ref);
    a = sim_disk_hold(sim_vdi_disk(from));
    b = sim_disk_hold(sim_vdi_disk(to));
    sim_db_map_put(c->db, from, "current_operations", to_ref, "copy");
    sim_db_unlock(c->db);
    rc = sim_disk_copy(a, b, &err);
    sim_disk_drop(a);
    sim_disk_drop(b);
    sim_db_lock(c->db);
    from = sim_db_find(c->db, "VDI", from_ref);
    if (from)
        sim_db_map_drop(c->db, from, "current_operations", to_ref);
    to = sim_db_find(c->db, "VDI", to_ref);
    if (rc != ERR_OK || !to) {
        sim_call_fail_io(c, &err);
        if (to)
            sim_vdi_destroy(c->pool, to);
        return NULL;
    }
    sim_sr_update(c->pool, sim_db_ref(c->db, to, "SR"));
    return to;
}

void sim_vdi_destroy(struct sim_pool *pool, struct sim_object *vdi)
{
    struct sim_object *sr = sim_db_ref(pool->db, vdi, "SR"), *vbd;
    const struct sim_value *vbds = sim_db_get(vdi, "VBDs");

    while (vbds->count > 0) {
        vbd = sim_db_find(pool->db, "VBD", vbds->items[0]->text);
        if (!vbd)
            break;
        sim_db_destroy(pool->db, vbd);
    }
    sim_db_destroy(pool->db, vdi);
    if (!sr)
        return;
    sim_sr_merge(pool, sr);
    sim_sr_update(pool, sr);
}

bool sim_vdi_in_use(struct sim_pool *pool, const struct sim_object *vdi)
{
    const struct sim_value *vbds = sim_db_get(vdi, "VBDs");

    for (size_t i = 0; i < vbds->count; i++) {
        struct sim_object *vbd =
            sim_db_find(pool->db, "VBD", vbds->items[i]->text);

        if (vbd && sim_db_bool(vbd, "currently_attached"))
            return true;
    }
    return false;
}

/* ---- calls ---- */

static const struct sim_value *
need(struct sim_call *c, const struct sim_value *record, const char *field)
{
    const struct sim_value *v = sim_value_get(record, field);

    if (!v)
        sim_call_fail(c, "INTERNAL_ERROR", "missing field in record", field,
                      NULL);
    return v;
}

static struct sim_value *vdi_create(struct sim_call *c)
{
    static const char *const optional[] = {
        "name_label",    "name_description", "type",
        "sharable",      "read_only",        "tags",
        "xenstore_data", "sm_config",        "other_config",
    };
    const struct sim_value *record = sim_value_at(c->args, 0), *v;
    struct sim_object *sr, *vdi;
    int64_t size;

    if (!need(c, record, "SR") || !need(c, record, "virtual_size") ||
        !need(c, record, "type") || !need(c, record, "sharable") ||
        !need(c, record, "read_only") || !need(c, record, "other_config"))
        return NULL;
    sr = sim_db_find(c->db, "SR", sim_value_get_str(record, "SR", ""));
    if (!sr)
        return sim_call_fail(c, "HANDLE_INVALID", "SR",
                             sim_value_get_str(record, "SR", ""), NULL);
    if (!sim_value_to_int(sim_value_get(record, "virtual_size"), &size) ||
        size <= 0)
        return sim_call_fail(c, "SR_BACKEND_FAILURE_79", "", "VDI Invalid size",
                             "", NULL);
    vdi = sim_vdi_new(c, sr, (uint64_t)size, NULL);
    for (size_t i = 0; vdi && i < sizeof(optional) / sizeof(optional[0]); i++) {
        int f = sim_class_field(vdi->cls, optional[i]);

        v = sim_value_get(record, optional[i]);
        if (v) {
            struct sim_value *cast =
                sim_value_cast(v, vdi->cls->fields[f].kind);

            if (cast)
                sim_db_set(c->db, vdi, optional[i], cast);
        }
    }
    return vdi ? sim_value_text(vdi->ref) : NULL;
}

static struct sim_value *vdi_destroy(struct sim_call *c)
{
    struct sim_object *vdi = sim_call_object(c, 0, "VDI");
    struct sim_where where;

    if (!vdi || sim_call_busy(c, vdi))
        return NULL;
    sim_pool_where(c->pool, c->host, vdi, &where);
    where.method = c->method;
    if (sim_vdi_in_use(c->pool, vdi) ||
        sim_fault_hit(c->pool->sim->faults, "vdi_in_use", &where, NULL))
        return sim_call_fail(c, "VDI_IN_USE", vdi->ref, "destroy", NULL);
    sim_vdi_destroy(c->pool, vdi);
    return sim_call_void();
}

static struct sim_value *vdi_snapshot(struct sim_call *c)
{
    struct sim_object *vdi = sim_call_object(c, 0, "VDI");

    if (!vdi || sim_call_busy(c, vdi))
        return NULL;
    vdi = sim_vdi_snapshot(c, vdi);
    return vdi ? sim_value_text(vdi->ref) : NULL;
}

static struct sim_value *vdi_clone(struct sim_call *c)
{
    struct sim_object *vdi = sim_call_object(c, 0, "VDI");

    if (!vdi)
        return NULL;
    vdi = sim_vdi_copy(c, vdi->ref, sim_db_ref(c->db, vdi, "SR"));
    return vdi ? sim_value_text(vdi->ref) : NULL;
}

static struct sim_value *vdi_copy(struct sim_call *c)
{
    struct sim_object *vdi = sim_call_object(c, 0, "VDI");
    struct sim_object *sr = sim_call_object(c, 1, "SR");

    if (!vdi || !sr)
        return NULL;
    vdi = sim_vdi_copy(c, vdi->ref, sr);
    return vdi ? sim_value_text(vdi->ref) : NULL;
}

static struct sim_value *vdi_resize(struct sim_call *c)
{
    struct sim_object *vdi = sim_call_object(c, 0, "VDI"), *sr;
    struct err err;
    int64_t size;

    if (!vdi || sim_call_busy(c, vdi))
        return NULL;
    sr = sim_db_ref(c->db, vdi, "SR");
    if (!sim_value_to_int(sim_value_at(c->args, 1), &size) ||
        size < sim_db_int(vdi, "virtual_size"))
        return sim_call_fail(c, "SR_BACKEND_FAILURE_79", "", "VDI Invalid size",
                             "", NULL);
    size = (int64_t)sim_sr_round(sr, (uint64_t)size);
    if (sim_disk_resize(sim_vdi_disk(vdi), (uint64_t)size, &err) != ERR_OK)
        return sim_call_fail(c, "SR_BACKEND_FAILURE_110", "", err.text, "",
                             NULL);
    sim_db_set_int(c->db, vdi, "virtual_size", size);
    sim_sr_update(c->pool, sr);
    return sim_call_void();
}

const struct sim_method sim_vdi_methods[] = {
    {"VDI.create", vdi_create, SIM_VM_ADMIN, 1, 1},
    {"VDI.destroy", vdi_destroy, SIM_VM_ADMIN, 1, 1},
    {"VDI.snapshot", vdi_snapshot, SIM_VM_ADMIN, 1, 2},
    {"VDI.clone", vdi_clone, SIM_VM_ADMIN, 1, 2},
    {"VDI.copy", vdi_copy, SIM_VM_ADMIN, 2, 4},
    {"VDI.resize", vdi_resize, SIM_VM_ADMIN, 2, 2},
    {"VDI.resize_online", vdi_resize, SIM_VM_ADMIN, 2, 2},
    {NULL, NULL, SIM_READ_ONLY, 0, 0},
};
