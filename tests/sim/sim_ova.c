/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_ova.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "tests/sim/sim_mem.h"

/* The objects of an export, by class in this order. */
static const char *const classes[] = {
    "host", "VM", "VM_metrics", "VM_guest_metrics", "VBD", "VIF", "network",
    "VDI",  "SR", "VTPM",
};

#define CLASSES (sizeof(classes) / sizeof(classes[0]))

struct ids {
    struct sim_pool *pool;
    struct sim_value *found[CLASSES]; /* refs */
    struct sim_value *ids;            /* ref -> "Ref:n" */
};

static void want(struct ids *x, const char *ref)
{
    struct sim_object *o = sim_db_find(x->pool->db, NULL, ref);

    for (size_t i = 0; o && i < CLASSES; i++)
        if (strcmp(classes[i], o->cls->name) == 0 &&
            !sim_value_has(x->found[i], ref))
            sim_value_add_text(x->found[i], ref);
}

static void want_all(struct ids *x, const struct sim_object *o,
                     const char *field)
{
    const struct sim_value *set = sim_db_get(o, field);

    for (size_t i = 0; i < set->count; i++)
        want(x, set->items[i]->text);
}

static void collect(struct ids *x, struct sim_object *vm, bool preserve)
{
    struct sim_db *db = x->pool->db;
    struct sim_object *o;

    want(x, vm->ref);
    want(x, sim_db_str(vm, "affinity"));
    want(x, sim_db_str(vm, "metrics"));
    want(x, sim_db_str(vm, "guest_metrics"));
    want_all(x, vm, "VBDs");
    want_all(x, vm, "VIFs");
    want_all(x, vm, "VTPMs");
    if (preserve)
        want(x, sim_db_str(vm, "suspend_VDI"));
    for (size_t i = 0; i < x->found[4]->count; i++)
        if ((o = sim_db_find(db, "VBD", x->found[4]->items[i]->text)))
            want(x, sim_db_str(o, "VDI"));
    for (size_t i = 0; i < x->found[5]->count; i++)
        if ((o = sim_db_find(db, "VIF", x->found[5]->items[i]->text)))
            want(x, sim_db_str(o, "network"));
    for (size_t i = 0; i < x->found[7]->count; i++)
        if ((o = sim_db_find(db, "VDI", x->found[7]->items[i]->text)))
            want(x, sim_db_str(o, "SR"));
}

/* The reference of an object that comes along, else null. */
static struct sim_value *rewrite(const struct ids *x, const struct sim_field *f,
                                 const struct sim_value *v)
{
    struct sim_value *set;

    if (!f->is_ref)
        return sim_value_copy(v);
    if (v->kind == SIM_TEXT)
        return sim_value_text(sim_value_get_str(x->ids, v->text, SIM_NULL_REF));
    set = sim_value_set();
    for (size_t i = 0; i < v->count; i++) {
        const char *id = sim_value_get_str(x->ids, v->items[i]->text, NULL);

        if (id)
            sim_value_add_text(set, id);
    }
    return set;
}

static bool one_of(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

#define ONE_OF(name, list) one_of(name, list, sizeof(list) / sizeof(list[0]))

static struct sim_value *record(const struct ids *x, const struct sim_object *o)
{
    static const char *const blank[] = {
        "allowed_operations",
        "current_operations",
        "consoles",
        "crash_dumps",
        "blobs",
        "PIFs",
        "PBDs",
        "resident_VMs",
        "VDIs",
    };
    static const char *const host_kept[] = {
        "uuid", "name_label", "name_description", "hostname", "address",
    };
    bool host = strcmp(o->cls->name, "host") == 0;
    struct sim_value *map = sim_value_map();

    for (size_t i = 0; i < o->cls->count; i++) {
        const struct sim_field *f = &o->cls->fields[i];
        bool empty =
            ONE_OF(f->name, blank) || (host && !ONE_OF(f->name, host_kept));

        sim_value_put_new(map, f->name,
                          empty ? sim_class_fallback(f)
                                : rewrite(x, f, o->values[i]));
    }
    return map;
}

/* A full export knows no snapshots and, unless told, no power. */
static void plain_vm(struct sim_value *vm, bool preserve)
{
    sim_value_put(vm, "is_a_snapshot", sim_value_bool(false));
    sim_value_put_text(vm, "snapshot_of", SIM_NULL_REF);
    sim_value_put(vm, "snapshots", sim_value_set());
    sim_value_put(vm, "snapshot_time", sim_value_date("19700101T00:00:00Z"));
    sim_value_put_text(vm, "parent", SIM_NULL_REF);
    sim_value_put(vm, "children", sim_value_set());
    sim_value_put(vm, "domid", sim_value_int(-1));
    if (preserve)
        return;
    sim_value_put_text(vm, "power_state", "Halted");
    sim_value_put_text(vm, "suspend_VDI", SIM_NULL_REF);
}

static struct sim_value *vtpm_record(const struct ids *x,
                                     const struct sim_object *t)
{
    struct sim_value *map = sim_value_map();

    sim_value_put_text(
        map, "vTPM'_VM",
        sim_value_get_str(x->ids, sim_db_str(t, "VM"), SIM_NULL_REF));
    sim_value_put_text(map, "vTPM'_uuid", sim_db_str(t, "uuid"));
    sim_value_put(map, "vTPM'_is_unique",
                  sim_value_bool(sim_db_bool(t, "is_unique")));
    sim_value_put(map, "vTPM'_is_protected",
                  sim_value_bool(sim_db_bool(t, "is_protected")));
    sim_value_put_text(map, "vTPM'_content", sim_value_str(t->extra, ""));
    return map;
}

static struct sim_value *object(const struct ids *x, const char *cls,
                                const struct sim_object *o, bool preserve)
{
    struct sim_value *e = sim_value_map(), *r;

    if (strcmp(cls, "VTPM") == 0)
        r = vtpm_record(x, o);
    else
        r = record(x, o);
    if (strcmp(cls, "VM") == 0)
        plain_vm(r, preserve);
    if (strcmp(cls, "VBD") == 0 || strcmp(cls, "VIF") == 0)
        sim_value_put(r, "currently_attached", sim_value_bool(false));
    sim_value_put_text(e, "class", cls);
    sim_value_put_text(e, "id", sim_value_get_str(x->ids, o->ref, ""));
    sim_value_put(e, "snapshot", r);
    return e;
}

struct sim_value *sim_ova_version(struct sim_pool *pool)
{
    struct sim_value *v = sim_value_map();
    const char *dot = strchr(pool->xapi_version, '.');
    long major = strtol(pool->xapi_version, NULL, 10);
    long minor = dot ? strtol(dot + 1, NULL, 10) : 0;

    sim_value_put_text(v, "hostname", "localhost");
    sim_value_put_text(v, "date", "2026-08-01");
    sim_value_put_text(v, "product_version", pool->version);
    sim_value_put_text(v, "product_brand", pool->brand);
    sim_value_put_text(v, "build_number", pool->build);
    sim_value_put(v, "xapi_major", sim_value_int(major));
    sim_value_put(v, "xapi_minor", sim_value_int(minor));
    sim_value_put(v, "export_vsn", sim_value_int(2));
    return v;
}

/* Disks of VBDs that are no CD and lie on no ISO SR. */
static bool streamed(struct sim_pool *pool, const struct sim_object *vdi,
                     const struct sim_object *vm)
{
    const struct sim_value *vbds = sim_db_get(vdi, "VBDs");
    struct sim_object *sr = sim_db_ref(pool->db, vdi, "SR");

    if (sr && strcmp(sim_db_str(sr, "content_type"), "iso") == 0)
        return false;
    if (strcmp(sim_db_str(vm, "suspend_VDI"), vdi->ref) == 0)
        return true;
    for (size_t i = 0; i < vbds->count; i++) {
        struct sim_object *vbd =
            sim_db_find(pool->db, "VBD", vbds->items[i]->text);

        if (vbd && strcmp(sim_db_str(vbd, "VM"), vm->ref) == 0 &&
            strcmp(sim_db_str(vbd, "type"), "CD") != 0)
            return true;
    }
    return false;
}

static int by_id(const void *a, const void *b)
{
    const struct sim_ova_disk *x = a, *y = b;

    return strcmp(x->id, y->id);
}

static void list_disks(const struct ids *x, const struct sim_object *vm,
                       struct sim_ova *out)
{
    const struct sim_value *vdis = x->found[7];

    out->disks = sim_mem_new((vdis->count + 1) * sizeof(*out->disks));
    for (size_t i = 0; i < vdis->count; i++) {
        const char *ref = vdis->items[i]->text;
        struct sim_object *vdi = sim_db_find(x->pool->db, "VDI", ref);
        struct sim_ova_disk *d = &out->disks[out->count];

        if (!vdi || !streamed(x->pool, vdi, vm))
            continue;
        snprintf(d->id, sizeof(d->id), "%s",
                 sim_value_get_str(x->ids, ref, ""));
        snprintf(d->vdi, sizeof(d->vdi), "%s", ref);
        out->count++;
    }
    qsort(out->disks, out->count, sizeof(*out->disks), by_id);
}

void sim_ova_build(struct sim_pool *pool, struct sim_object *vm, bool preserve,
                   struct sim_ova *out)
{
    struct sim_value *objects = sim_value_set();
    struct ids x = {.pool = pool, .ids = sim_value_map()};

    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < CLASSES; i++)
        x.found[i] = sim_value_set();
    collect(&x, vm, preserve);
    for (size_t i = 0; i < CLASSES; i++)
        for (size_t k = 0; k < x.found[i]->count; k++)
            sim_value_put(x.ids, x.found[i]->items[k]->text,
                          sim_value_textf("Ref:%lu", pool->next_export_id++));
    for (size_t i = 0; i < CLASSES; i++)
        for (size_t k = 0; k < x.found[i]->count; k++)
            sim_value_add(
                objects,
                object(&x, classes[i],
                       sim_db_find(pool->db, NULL, x.found[i]->items[k]->text),
                       preserve));
    list_disks(&x, vm, out);
    out->xml = sim_value_map();
    sim_value_put(out->xml, "version", sim_ova_version(pool));
    sim_value_put(out->xml, "objects", objects);
    for (size_t i = 0; i < CLASSES; i++)
        sim_value_free(x.found[i]);
    sim_value_free(x.ids);
}

void sim_ova_fini(struct sim_ova *ova)
{
    sim_value_free(ova->xml);
    free(ova->disks);
    memset(ova, 0, sizeof(*ova));
}
