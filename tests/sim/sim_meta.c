/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_meta.c - objects of ova.xml are found by class and id; each is
 * checked for the fields that a constructor needs, then made, and its id is
 * remembered with the new reference.
 */
#include "tests/sim/sim_meta.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_misc.h"
#include "tests/sim/sim_ova.h"
#include "tests/sim/sim_sr.h"
#include "tests/sim/sim_vbd.h"
#include "tests/sim/sim_vdi.h"
#include "tests/sim/sim_vm.h"

struct build {
    struct sim_call *c;
    struct sim_meta *m;
    const struct sim_value *objects;
    struct sim_value *map; /* id -> new reference */
};

/* ---- reading ---- */

static const char *entry_id(const struct sim_value *entry)
{
    return sim_value_get_str(entry, "id", "");
}

static bool is_class(const struct sim_value *entry, const char *cls)
{
    return strcmp(sim_value_get_str(entry, "class", ""), cls) == 0;
}

/* The record of an object, NULL: there is none of this id. */
static const struct sim_value *find(const struct build *b, const char *cls,
                                    const char *id)
{
    for (size_t i = 0; i < b->objects->count; i++)
        if (is_class(b->objects->items[i], cls) &&
            strcmp(entry_id(b->objects->items[i]), id) == 0)
            return sim_value_get(b->objects->items[i], "snapshot");
    return NULL;
}

static bool missing(struct build *b, const char *id)
{
    sim_call_fail(b->c, "IMPORT_ERROR_FAILED_TO_FIND_OBJECT", id, NULL);
    return false;
}

/* Every field that has no default must be there, and be of its type. */
static bool complete(struct build *b, const char *cls,
                     const struct sim_value *record)
{
    const struct sim_class *k = sim_class_find(sim_db_schema(b->c->db), cls);

    for (size_t i = 0; i < k->count; i++) {
        const struct sim_value *v = sim_value_get(record, k->fields[i].name);
        struct sim_value *cast;

        if (!v && !k->fields[i].required)
            continue;
        cast = sim_value_cast(v, k->fields[i].kind);
        if (!cast) {
            sim_call_fail(b->c, "INTERNAL_ERROR",
                          v ? "wrong type in ova.xml" : "missing in ova.xml",
                          cls, k->fields[i].name, NULL);
            return false;
        }
        sim_value_free(cast);
    }
    return true;
}

static bool truth(const struct sim_value *record, const char *field)
{
    bool b = false;

    sim_value_to_bool(sim_value_get(record, field), &b);
    return b;
}

static int64_t integer(const struct sim_value *record, const char *field)
{
    int64_t i = 0;

    sim_value_to_int(sim_value_get(record, field), &i);
    return i;
}

static bool version_fine(struct build *b, const struct sim_value *ova)
{
    static const char *const keys[] = {
        "hostname",     "date",       "product_version", "product_brand",
        "build_number", "xapi_major", "xapi_minor",
    };
    const struct sim_value *v = sim_value_get(ova, "version");
    struct sim_value *ours = sim_ova_version(b->c->pool);
    int64_t major = integer(v, "xapi_major"), minor = integer(v, "xapi_minor");
    bool newer = major > integer(ours, "xapi_major") ||
                 (major == integer(ours, "xapi_major") &&
                  minor > integer(ours, "xapi_minor"));

    sim_value_free(ours);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (!sim_value_get(v, keys[i])) {
            sim_call_fail(b->c, "INTERNAL_ERROR", "missing in ova.xml",
                          "version", keys[i], NULL);
            return false;
        }
    if (newer || integer(v, "export_vsn") != 2) {
        sim_call_fail(b->c, "IMPORT_INCOMPATIBLE_VERSION", NULL);
        return false;
    }
    return true;
}

/* ---- making ---- */

static void created(struct build *b, const char *id, const char *ref)
{
    if (*id)
        sim_value_put_text(b->map, id, ref);
    sim_value_add_text(b->m->created, ref);
}

/* Enums come in any case: "halted" is "Halted". */
static void set_enum(struct sim_db *db, struct sim_object *o, const char *field,
                     const char *text)
{
    static const char *const values[] = {
        "Halted", "Running", "Suspended", "Paused", "Disk",
        "CD",     "Floppy",  "RW",        "RO",
    };

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        if (strcasecmp(values[i], text) == 0)
            text = values[i];
    sim_db_set_text(db, o, field, text);
}

/* All fields of the record but references and those in `not`. */
static void copy_fields(struct sim_db *db, struct sim_object *o,
                        const struct sim_value *record, const char * not )
{
    for (size_t i = 0; i < o->cls->count; i++) {
        const struct sim_field *f = &o->cls->fields[i];
        const struct sim_value *v = sim_value_get(record, f->name);
        char *word = sim_mem_printf(" %s ", f->name);
        bool skip = !v || f->is_ref || strstr(not, word);

        free(word);
        if (!skip)
            sim_db_set(db, o, f->name, sim_value_cast(v, f->kind));
    }
}

static bool vm_may_replace(struct build *b, const struct sim_value *record)
{
    const char *uuid = sim_value_get_str(record, "uuid", "");
    const char *seed = sim_value_get_str(sim_value_get(record, "other_config"),
                                         "mac_seed", NULL);
    struct sim_object *old = sim_db_find_uuid(b->c->db, "VM", uuid), *o;
    char have[24], comes[24];

    if (old && sim_db_int(old, "version") >= integer(record, "version")) {
        snprintf(have, sizeof(have), "%lld",
                 (long long)sim_db_int(old, "version"));
        snprintf(comes, sizeof(comes), "%lld",
                 (long long)integer(record, "version"));
        sim_call_fail(b->c, "VM_TO_IMPORT_IS_NOT_NEWER_VERSION", old->ref, have,
                      comes, NULL);
        return false;
    }
    for (size_t i = 0; seed && (o = sim_db_at(b->c->db, "VM", i)); i++) {
        if (o == old || strcmp(sim_value_get_str(sim_db_get(o, "other_config"),
                                                 "mac_seed", ""),
                               seed) != 0)
            continue;
        sim_call_fail(b->c, "DUPLICATE_MAC_SEED", seed, NULL);
        return false;
    }
    if (old && strcmp(sim_db_str(old, "power_state"), "Halted") != 0) {
        sim_call_fail(b->c, "VM_BAD_POWER_STATE", old->ref, "halted", "running",
                      NULL);
        return false;
    }
    if (old)
        sim_vm_destroy(b->c->pool, old);
    return true;
}

static bool make_vm(struct build *b, const char *id,
                    const struct sim_value *record)
{
    struct sim_pool *pool = b->c->pool;
    struct sim_db *db = pool->db;
    const char *uuid = sim_value_get_str(record, "uuid", NULL);
    struct sim_object *vm, *host;
    char fresh[37];

    if (!complete(b, "VM", record) ||
        (b->m->restore && !vm_may_replace(b, record)))
        return false;
    vm = sim_vm_new(pool, b->m->restore ? uuid : NULL);
    created(b, id, vm->ref);
    copy_fields(db, vm, record,
                " uuid allowed_operations current_operations power_state "
                "domid version is_a_snapshot snapshot_time ");
    sim_db_set_int(db, vm, "version",
                   b->m->restore ? integer(record, "version") + 1 : 0);
    if (!b->m->restore) {
        sim_db_new_uuid(fresh);
        sim_db_map_put(db, vm, "other_config", "mac_seed", fresh);
        sim_db_new_uuid(fresh);
        sim_db_set_text(db, vm, "generation_id", fresh);
    }
    host = sim_db_find_uuid(
        db, "host",
        sim_value_get_str(
            find(b, "host", sim_value_get_str(record, "affinity", "")), "uuid",
            ""));
    if (host)
        sim_db_set_text(db, vm, "affinity", host->ref);
    sim_db_map_put(db, vm, "other_config", "import_task", b->m->task);
    sim_db_map_put(db, vm, "current_operations", b->m->task, "import");
    if (strcasecmp(sim_value_get_str(record, "power_state", ""), "Suspended") ==
        0)
        sim_db_set_text(db, vm, "power_state", "Suspended");
    sim_vm_refresh(pool, vm);
    sim_value_add_text(b->m->vms, vm->ref);
    return true;
}

/* A CD image that lies on an ISO SR here; NULL: no such. */
static struct sim_object *find_iso(struct build *b,
                                   const struct sim_value *record)
{
    struct sim_db *db = b->c->db;
    struct sim_object *vdi, *sr;

    for (size_t i = 0; (vdi = sim_db_at(db, "VDI", i)); i++) {
        sr = sim_db_ref(db, vdi, "SR");
        if (sr && strcmp(sim_db_str(sr, "content_type"), "iso") == 0 &&
            strcmp(sim_db_str(vdi, "location"),
                   sim_value_get_str(record, "location", "")) == 0)
            return vdi;
    }
    return NULL;
}

static bool make_vdi(struct build *b, const char *id,
                     const struct sim_value *record)
{
    const char *sr_id = sim_value_get_str(record, "SR", "");
    const struct sim_value *sr = find(b, "SR", sr_id);
    struct sim_db *db = b->c->db;
    struct sim_object *vdi;
    struct sim_meta_disk *d;

    if (!sr)
        return missing(b, sr_id);
    if (strcasecmp(sim_value_get_str(sr, "content_type", ""), "iso") == 0) {
        vdi = find_iso(b, record);
        if (vdi)
            sim_value_put_text(b->map, id, vdi->ref);
        return true; /* without one the drive will be empty */
    }
    if (!complete(b, "VDI", record))
        return false;
    vdi = sim_vdi_new(b->c, b->m->sr, (uint64_t)integer(record, "virtual_size"),
                      NULL);
    if (!vdi)
        return false;
    created(b, id, vdi->ref);
    copy_fields(db, vdi, record,
                " uuid allowed_operations current_operations virtual_size "
                "physical_utilisation location sm_config is_a_snapshot "
                "snapshot_time managed missing storage_lock cbt_enabled ");
    sim_db_map_put(db, vdi, "sm_config", "import_task", b->m->task);
    d = &b->m->disks[b->m->count++];
    snprintf(d->id, sizeof(d->id), "%s", id);
    snprintf(d->vdi, sizeof(d->vdi), "%s", vdi->ref);
    d->size = (uint64_t)integer(record, "virtual_size");
    return true;
}

static bool make_vbd(struct build *b, const char *id,
                     const struct sim_value *record)
{
    const char *vm_id = sim_value_get_str(record, "VM", "");
    const char *vdi_id = sim_value_get_str(record, "VDI", "");
    struct sim_db *db = b->c->db;
    struct sim_object *vm, *vdi, *vbd;
    bool cd = strcasecmp(sim_value_get_str(record, "type", ""), "CD") == 0;
    bool empty = truth(record, "empty");

    if (!complete(b, "VBD", record))
        return false;
    vm = sim_db_find(db, "VM", sim_value_get_str(b->map, vm_id, ""));
    if (!vm)
        return missing(b, vm_id);
    if (!empty && !find(b, "VDI", vdi_id))
        return missing(b, vdi_id);
    vdi = empty ? NULL
                : sim_db_find(db, "VDI", sim_value_get_str(b->map, vdi_id, ""));
    if (!cd && !vdi)
        return true; /* an ISO image that was attached as a disk */
    vbd = sim_vbd_new(b->c->pool, vm, vdi,
                      sim_value_get_str(record, "userdevice", "0"),
                      cd ? "CD" : "Disk", "RW", truth(record, "bootable"));
    created(b, id, vbd->ref);
    set_enum(db, vbd, "mode", sim_value_get_str(record, "mode", "RW"));
    set_enum(db, vbd, "type", sim_value_get_str(record, "type", "Disk"));
    copy_fields(db, vbd, record,
                " uuid allowed_operations current_operations device "
                "userdevice bootable mode type empty currently_attached "
                "storage_lock ");
    if (b->m->restore)
        sim_db_set_text(
            db, vbd, "uuid",
            sim_value_get_str(record, "uuid", sim_db_str(vbd, "uuid")));
    return true;
}

/* By name, by bridge, or a new one. */
static struct sim_object *network_for(struct build *b, const char *id,
                                      const struct sim_value *record)
{
    const char *name = sim_value_get_str(record, "name_label", "");
    const char *bridge = sim_value_get_str(record, "bridge", "");
    struct sim_db *db = b->c->db;
    struct sim_object *n;

    for (size_t i = 0; (n = sim_db_at(db, "network", i)); i++)
        if (strcmp(sim_db_str(n, "name_label"), name) == 0)
            return n;
    for (size_t i = 0; (n = sim_db_at(db, "network", i)); i++)
        if (strcmp(sim_db_str(n, "bridge"), bridge) == 0)
            return n;
    n = sim_db_create(db, "network", NULL, NULL);
    created(b, id, n->ref);
    sim_db_set_text(db, n, "name_label", name);
    sim_db_set_text(db, n, "bridge", bridge);
    copy_fields(db, n, record, " uuid name_label bridge purpose ");
    return n;
}

static bool make_vif(struct build *b, const char *id,
                     const struct sim_value *record)
{
    const char *vm_id = sim_value_get_str(record, "VM", "");
    const char *net_id = sim_value_get_str(record, "network", "");
    const struct sim_value *net = find(b, "network", net_id);
    struct sim_db *db = b->c->db;
    struct sim_object *vm, *vif;

    if (!complete(b, "VIF", record))
        return false;
    vm = sim_db_find(db, "VM", sim_value_get_str(b->map, vm_id, ""));
    if (!vm)
        return missing(b, vm_id);
    if (!net)
        return missing(b, net_id);
    vif = sim_vbd_new_vif(b->c->pool, vm, network_for(b, net_id, net),
                          sim_value_get_str(record, "device", "0"),
                          b->m->restore ? sim_value_get_str(record, "MAC", "")
                                        : NULL);
    created(b, id, vif->ref);
    copy_fields(db, vif, record,
                " uuid allowed_operations current_operations device MAC "
                "MAC_autogenerated currently_attached ");
    if (b->m->restore)
        sim_db_set_text(
            db, vif, "uuid",
            sim_value_get_str(record, "uuid", sim_db_str(vif, "uuid")));
    return true;
}

static bool make_vtpm(struct build *b, const char *id,
                      const struct sim_value *record)
{
    const char *vm_id = sim_value_get_str(record, "vTPM'_VM", "");
    const char *vm = sim_value_get_str(b->map, vm_id, NULL);
    const char *uuid = sim_value_get_str(record, "vTPM'_uuid", "");
    struct sim_object *t;

    if (!vm)
        return missing(b, vm_id);
    if (b->m->restore && sim_db_find_uuid(b->c->db, "VTPM", uuid)) {
        sim_call_fail(b->c, "DB_UNIQUENESS_CONSTRAINT_VIOLATION", "VTPM",
                      "uuid", uuid, NULL);
        return false;
    }
    t = sim_misc_vtpm(b->c->pool, vm,
                      sim_value_get_str(record, "vTPM'_content", ""));
    created(b, id, t->ref);
    sim_db_set_bool(b->c->db, t, "is_unique", truth(record, "vTPM'_is_unique"));
    if (b->m->restore && *uuid)
        sim_db_set_text(b->c->db, t, "uuid", uuid);
    return true;
}

typedef bool make_fn(struct build *b, const char *id,
                     const struct sim_value *record);

static bool make_all(struct build *b, const char *cls, make_fn *make)
{
    for (size_t i = 0; i < b->objects->count; i++) {
        const struct sim_value *e = b->objects->items[i];
        const struct sim_value *record = sim_value_get(e, "snapshot");

        if (is_class(e, cls) && (!record || !make(b, entry_id(e), record)))
            return record ? false : missing(b, entry_id(e));
    }
    return true;
}

/* The memory image of a suspended VM. */
static void suspend_disks(struct build *b)
{
    for (size_t i = 0; i < b->objects->count; i++) {
        const struct sim_value *e = b->objects->items[i];
        const char *id =
            sim_value_get_str(sim_value_get(e, "snapshot"), "suspend_VDI", "");
        const char *vdi = sim_value_get_str(b->map, id, NULL);
        struct sim_object *vm;

        if (!is_class(e, "VM") || !vdi)
            continue;
        vm = sim_db_find(b->c->db, "VM",
                         sim_value_get_str(b->map, entry_id(e), ""));
        if (vm)
            sim_db_set_text(b->c->db, vm, "suspend_VDI", vdi);
    }
}

static int by_id(const void *a, const void *b)
{
    const struct sim_meta_disk *x = a, *y = b;

    return strcmp(x->id, y->id);
}

bool sim_meta_create(struct sim_call *c, const struct sim_value *ova,
                     struct sim_meta *m)
{
    struct build b = {.c = c, .m = m, .map = sim_value_map()};
    const struct sim_value *objects = sim_value_get(ova, "objects");
    bool ok = false;

    m->created = sim_value_set();
    m->vms = sim_value_set();
    b.objects = objects;
    if (!objects || objects->kind != SIM_SET) {
        sim_call_fail(c, "IMPORT_ERROR", "ova.xml has no objects", NULL);
    } else {
        m->disks = sim_mem_new((objects->count + 1) * sizeof(*m->disks));
        ok = version_fine(&b, ova) && make_all(&b, "VM", make_vm) &&
             make_all(&b, "VDI", make_vdi) && make_all(&b, "VBD", make_vbd) &&
             make_all(&b, "VIF", make_vif) && make_all(&b, "VTPM", make_vtpm);
        qsort(m->disks, m->count, sizeof(*m->disks), by_id);
    }
    if (ok && m->vms->count == 0) {
        sim_call_fail(c, "IMPORT_ERROR", "ova.xml has no VM", NULL);
        ok = false;
    }
    if (ok)
        suspend_disks(&b);
    sim_value_free(b.map);
    return ok;
}

void sim_meta_undo(struct sim_pool *pool, struct sim_meta *m)
{
    for (size_t i = m->created ? m->created->count : 0; i-- > 0;) {
        struct sim_object *o =
            sim_db_find(pool->db, NULL, m->created->items[i]->text);

        if (!o)
            continue;
        if (strcmp(o->cls->name, "VM") == 0)
            sim_vm_destroy(pool, o);
        else if (strcmp(o->cls->name, "VDI") == 0)
            sim_vdi_destroy(pool, o);
        else
            sim_db_destroy(pool->db, o);
    }
}

void sim_meta_finish(struct sim_pool *pool, struct sim_meta *m)
{
    for (size_t i = 0; i < m->vms->count; i++) {
        struct sim_object *vm =
            sim_db_find(pool->db, "VM", m->vms->items[i]->text);

        if (!vm)
            continue;
        sim_db_map_drop(pool->db, vm, "current_operations", m->task);
        sim_vm_refresh(pool, vm);
    }
}

void sim_meta_fini(struct sim_meta *m)
{
    sim_value_free(m->created);
    sim_value_free(m->vms);
    free(m->disks);
}
