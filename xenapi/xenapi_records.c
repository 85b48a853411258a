/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_records.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "xenapi/xenapi_backlog.h"
#include "xenapi/xenapi_call.h"

#define CHUNK_BYTES ((size_t)32 << 10)

struct chunk {
    struct chunk *next;
    size_t used, size;
    max_align_t data[];
};

/* What the caller gets; the rest lies behind it in chunks. */
struct owner {
    struct xenapi_inventory inventory;
    atomic_uint count;
    struct chunk *chunks;
};

struct entry {
    const char *ref;
    const struct xmlrpc *record;
    size_t index; /* in the inventory's array, where there is one */
};

/* A class's records by ref. */
struct table {
    struct entry *entries;
    size_t count;
};

struct build {
    struct owner *owner;
    struct table tables[XENAPI_CLASSES];
    struct xenapi_sr *srs;
    struct xenapi_network *networks;
    bool one;
    bool nomem;
};

static const char *const class_names[XENAPI_CLASSES] = {
    "pool", "host", "SR", "PBD", "network", "VM", "VBD", "VDI", "VIF"};

const char *xenapi_records_class(enum xenapi_class c)
{
    return class_names[c];
}

/* ---- Memory: given back all at once ---- */

static void *take(struct build *b, size_t size)
{
    struct chunk *c = b->owner->chunks;
    size_t rounded = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) *
                     sizeof(max_align_t);
    void *p;

    if (!c || c->size - c->used < rounded) {
        size_t n = rounded > CHUNK_BYTES ? rounded : CHUNK_BYTES;

        c = malloc(sizeof(*c) + n);
        if (!c) {
            b->nomem = true;
            return NULL;
        }
        c->size = n;
        c->used = 0;
        c->next = b->owner->chunks;
        b->owner->chunks = c;
    }
    p = (char *)c->data + c->used;
    c->used += rounded;
    memset(p, 0, size);
    return p;
}

static void *take_array(struct build *b, size_t count, size_t size)
{
    return take(b, (count + 1) * size);
}

/* Never NULL: out of memory shows at the end. */
static const char *keep(struct build *b, const char *text)
{
    size_t len = strlen(text) + 1;
    char *copy = len > 1 ? take(b, len) : NULL;

    if (!copy)
        return "";
    memcpy(copy, text, len);
    return copy;
}

static const char *keep_field(struct build *b, const struct xmlrpc *record,
                              const char *name)
{
    return keep(b, xmlrpc_get_text(record, name));
}

static uint64_t number(const struct xmlrpc *record, const char *name)
{
    int64_t n = xmlrpc_int(xmlrpc_get(record, name), 0);

    return n > 0 ? (uint64_t)n : 0;
}

static bool flag(const struct xmlrpc *record, const char *name)
{
    return xmlrpc_bool(xmlrpc_get(record, name), false);
}

/* ---- Tables ---- */

static int by_ref(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return strcmp(x->ref, y->ref);
}

static bool table_init(struct table *t, const struct xmlrpc *map)
{
    struct xmlrpc *record = NULL;

    t->entries = calloc(xmlrpc_count(map) + 1, sizeof(*t->entries));
    if (!t->entries)
        return false;
    for (size_t i = 0; i < xmlrpc_count(map); i++) {
        const char *ref = xmlrpc_name_at(map, i, &record);

        t->entries[t->count++] = (struct entry){ref, record, SIZE_MAX};
    }
    qsort(t->entries, t->count, sizeof(*t->entries), by_ref);
    return true;
}

static struct entry *find(struct build *b, enum xenapi_class c, const char *ref)
{
    struct table *t = &b->tables[c];
    struct entry key = {.ref = ref};

    if (t->count == 0)
        return NULL;
    return bsearch(&key, t->entries, t->count, sizeof(key), by_ref);
}

/* ---- Pool, hosts, SRs, networks ---- */

static void split_version(const char *text, int *major, int *minor)
{
    char *dot;

    *major = (int)strtol(text, &dot, 10);
    *minor = *dot == '.' ? (int)strtol(dot + 1, NULL, 10) : 0;
}

static void add_pool(struct build *b, const struct entry *e,
                     const char **master)
{
    struct xenapi_inventory *inv = &b->owner->inventory;

    inv->pool_ref = keep(b, e->ref);
    inv->pool_uuid = keep_field(b, e->record, "uuid");
    inv->pool_name = keep_field(b, e->record, "name_label");
    inv->default_sr = keep_field(b, e->record, "default_SR");
    inv->ha_enabled = flag(e->record, "ha_enabled");
    *master = xmlrpc_get_text(e->record, "master");
}

static void add_hosts(struct build *b, const char *master)
{
    const struct table *t = &b->tables[XENAPI_HOST];
    struct xenapi_host *hosts = take_array(b, t->count, sizeof(*hosts));

    for (size_t i = 0; hosts && i < t->count; i++) {
        const struct xmlrpc *r = t->entries[i].record;
        const struct xmlrpc *version = xmlrpc_get(r, "software_version");

        hosts[i] = (struct xenapi_host){
            .ref = keep(b, t->entries[i].ref),
            .uuid = keep_field(b, r, "uuid"),
            .name = keep_field(b, r, "name_label"),
            .hostname = keep_field(b, r, "hostname"),
            .address = keep_field(b, r, "address"),
            .product_brand = keep_field(b, version, "product_brand"),
            .product_version = keep_field(b, version, "product_version"),
            .api_major = (int)number(r, "API_version_major"),
            .api_minor = (int)number(r, "API_version_minor"),
            .enabled = flag(r, "enabled"),
            .coordinator = strcmp(t->entries[i].ref, master) == 0,
        };
        split_version(xmlrpc_get_text(version, "xapi"), &hosts[i].xapi_major,
                      &hosts[i].xapi_minor);
    }
    b->owner->inventory.hosts = hosts;
    b->owner->inventory.host_count = t->count;
}

static void add_srs(struct build *b)
{
    struct table *t = &b->tables[XENAPI_SR];

    b->srs = take_array(b, t->count, sizeof(*b->srs));
    for (size_t i = 0; b->srs && i < t->count; i++) {
        const struct xmlrpc *r = t->entries[i].record;

        t->entries[i].index = i;
        b->srs[i] = (struct xenapi_sr){
            .ref = keep(b, t->entries[i].ref),
            .uuid = keep_field(b, r, "uuid"),
            .name = keep_field(b, r, "name_label"),
            .type = keep_field(b, r, "type"),
            .content_type = keep_field(b, r, "content_type"),
            .shared = flag(r, "shared"),
            .thick = strncmp(xmlrpc_get_text(r, "type"), "lvm", 3) == 0,
            .size = number(r, "physical_size"),
            .used = number(r, "physical_utilisation"),
            .virtual_allocation = number(r, "virtual_allocation"),
            .hosts = take_array(b, xmlrpc_count(xmlrpc_get(r, "PBDs")),
                                sizeof(char *)),
        };
    }
    b->owner->inventory.srs = b->srs;
    b->owner->inventory.sr_count = t->count;
}

/* Which hosts see which SR. */
static void attach_srs(struct build *b)
{
    const struct table *t = &b->tables[XENAPI_PBD];

    for (size_t i = 0; i < t->count; i++) {
        const struct xmlrpc *r = t->entries[i].record;
        const struct entry *e = find(b, XENAPI_SR, xmlrpc_get_text(r, "SR"));
        struct xenapi_sr *sr;

        if (!e || !flag(r, "currently_attached"))
            continue;
        sr = &b->srs[e->index];
        /* Only as many as the SR itself says it has. */
        if (!sr->hosts ||
            sr->host_count == xmlrpc_count(xmlrpc_get(e->record, "PBDs")))
            continue;
        ((const char **)(uintptr_t)sr->hosts)[sr->host_count++] =
            keep_field(b, r, "host");
        sr->attached = true;
    }
}

static void on_waiting_disk(void *ctx, const struct xmlrpc *vdi)
{
    struct build *b = ctx;
    const struct entry *e = find(b, XENAPI_SR, xmlrpc_get_text(vdi, "SR"));

    if (e)
        b->srs[e->index].backlog++;
}

static void add_networks(struct build *b)
{
    struct table *t = &b->tables[XENAPI_NETWORK];

    b->networks = take_array(b, t->count, sizeof(*b->networks));
    for (size_t i = 0; b->networks && i < t->count; i++) {
        const struct xmlrpc *r = t->entries[i].record;

        t->entries[i].index = i;
        b->networks[i] = (struct xenapi_network){
            .ref = keep(b, t->entries[i].ref),
            .uuid = keep_field(b, r, "uuid"),
            .name = keep_field(b, r, "name_label"),
            .bridge = keep_field(b, r, "bridge"),
            .mtu = number(r, "MTU"),
        };
    }
    b->owner->inventory.networks = b->networks;
    b->owner->inventory.network_count = t->count;
}

/* ---- VMs ---- */

static bool refuses_snapshots(const struct xmlrpc *vdi,
                              const struct xenapi_sr *sr)
{
    static const char *const types[] = {"iso", "udev", "iscsi", "rawhba"};
    const char *type = xmlrpc_get_text(vdi, "type");

    for (size_t i = 0; sr && i < BYTES_COUNT(types); i++)
        if (strcmp(sr->type, types[i]) == 0)
            return true;
    return (strcmp(type, "user") != 0 && strcmp(type, "system") != 0) ||
           flag(vdi, "sharable") || flag(vdi, "missing") ||
           strcmp(xmlrpc_get_text(vdi, "on_boot"), "reset") == 0;
}

static bool make_disk(struct build *b, const char *vbd_ref,
                      struct xenapi_disk *out)
{
    const struct entry *vbd = find(b, XENAPI_VBD, vbd_ref), *vdi, *sr, *live;
    const char *of;

    if (!vbd || strcasecmp(xmlrpc_get_text(vbd->record, "type"), "CD") == 0)
        return false;
    vdi = find(b, XENAPI_VDI, xmlrpc_get_text(vbd->record, "VDI"));
    if (!vdi)
        return false;
    sr = find(b, XENAPI_SR, xmlrpc_get_text(vdi->record, "SR"));
    of = xmlrpc_get_text(vdi->record, "snapshot_of");
    live = find(b, XENAPI_VDI, of);
    *out = (struct xenapi_disk){
        .vbd_ref = keep(b, vbd->ref),
        .vdi_ref = keep(b, vdi->ref),
        .vdi_uuid = keep_field(b, vdi->record, "uuid"),
        .name = keep_field(b, vdi->record, "name_label"),
        .description = keep_field(b, vdi->record, "name_description"),
        .userdevice = keep_field(b, vbd->record, "userdevice"),
        .snapshot_of = xenapi_call_is_null(of) ? XENAPI_NULL : keep(b, of),
        .snapshot_of_uuid = live ? keep_field(b, live->record, "uuid") : "",
        .sr = sr && b->srs ? &b->srs[sr->index] : NULL,
        .virtual_size = number(vdi->record, "virtual_size"),
        .used = number(vdi->record, "physical_utilisation"),
        .bootable = flag(vbd->record, "bootable"),
        .read_only =
            strcasecmp(xmlrpc_get_text(vbd->record, "mode"), "RO") == 0,
        .sharable = flag(vdi->record, "sharable"),
        .attached = flag(vbd->record, "currently_attached"),
        .reset_on_boot =
            strcmp(xmlrpc_get_text(vdi->record, "on_boot"), "reset") == 0,
    };
    out->no_snapshot_possible = refuses_snapshots(vdi->record, out->sr);
    return true;
}

static int by_device(const char *a, const char *b)
{
    long n = strtol(a, NULL, 10), m = strtol(b, NULL, 10);

    return n != m ? (n < m ? -1 : 1) : strcmp(a, b);
}

static int disks_by_device(const void *a, const void *b)
{
    const struct xenapi_disk *x = a, *y = b;

    return by_device(x->userdevice, y->userdevice);
}

static int nics_by_device(const void *a, const void *b)
{
    const struct xenapi_nic *x = a, *y = b;

    return by_device(x->device, y->device);
}

static void add_disks(struct build *b, const struct xmlrpc *vm,
                      struct xenapi_vm *out)
{
    const struct xmlrpc *vbds = xmlrpc_get(vm, "VBDs");
    struct xenapi_disk *disks =
        take_array(b, xmlrpc_count(vbds), sizeof(*disks));

    for (size_t i = 0; disks && i < xmlrpc_count(vbds); i++)
        if (make_disk(b, xmlrpc_text(xmlrpc_at(vbds, i), ""),
                      &disks[out->disk_count]))
            out->disk_count++;
    if (disks)
        qsort(disks, out->disk_count, sizeof(*disks), disks_by_device);
    out->disks = disks;
}

static void add_nics(struct build *b, const struct xmlrpc *vm,
                     struct xenapi_vm *out)
{
    const struct xmlrpc *vifs = xmlrpc_get(vm, "VIFs");
    struct xenapi_nic *nics = take_array(b, xmlrpc_count(vifs), sizeof(*nics));

    for (size_t i = 0; nics && i < xmlrpc_count(vifs); i++) {
        const struct entry *vif =
            find(b, XENAPI_VIF, xmlrpc_text(xmlrpc_at(vifs, i), ""));
        const struct entry *net;

        if (!vif)
            continue;
        net = find(b, XENAPI_NETWORK, xmlrpc_get_text(vif->record, "network"));
        nics[out->nic_count++] = (struct xenapi_nic){
            .vif_ref = keep(b, vif->ref),
            .uuid = keep_field(b, vif->record, "uuid"),
            .device = keep_field(b, vif->record, "device"),
            .mac = keep_field(b, vif->record, "MAC"),
            .mac_autogenerated = flag(vif->record, "MAC_autogenerated"),
            .mtu = number(vif->record, "MTU"),
            .network = net && b->networks ? &b->networks[net->index] : NULL,
        };
    }
    if (nics)
        qsort(nics, out->nic_count, sizeof(*nics), nics_by_device);
    out->nics = nics;
}

static const char *const *keep_set(struct build *b, const struct xmlrpc *set,
                                   size_t *count)
{
    const char **texts = take_array(b, xmlrpc_count(set), sizeof(*texts));

    for (size_t i = 0; texts && i < xmlrpc_count(set); i++)
        texts[(*count)++] = keep(b, xmlrpc_text(xmlrpc_at(set, i), ""));
    return texts;
}

/* The values of current_operations: {task: "snapshot"}. */
static const char *const *keep_values(struct build *b, const struct xmlrpc *map,
                                      size_t *count)
{
    const char **texts = take_array(b, xmlrpc_count(map), sizeof(*texts));
    struct xmlrpc *value;

    for (size_t i = 0; texts && xmlrpc_name_at(map, i, &value); i++)
        texts[(*count)++] = keep(b, xmlrpc_text(value, ""));
    return texts;
}

static int pairs_by_key(const void *a, const void *b)
{
    const struct xenapi_pair *x = a, *y = b;

    return strcmp(x->key, y->key);
}

static const struct xenapi_pair *
keep_map(struct build *b, const struct xmlrpc *map, size_t *count)
{
    struct xenapi_pair *pairs =
        take_array(b, xmlrpc_count(map), sizeof(*pairs));
    struct xmlrpc *value = NULL;
    const char *key;

    for (size_t i = 0; pairs && (key = xmlrpc_name_at(map, i, &value)); i++)
        pairs[(*count)++] =
            (struct xenapi_pair){keep(b, key), keep(b, xmlrpc_text(value, ""))};
    if (pairs)
        qsort(pairs, *count, sizeof(*pairs), pairs_by_key);
    return pairs;
}

static enum xenapi_power power_of(const char *text)
{
    if (strcasecmp(text, "Running") == 0)
        return XENAPI_RUNNING;
    if (strcasecmp(text, "Suspended") == 0)
        return XENAPI_SUSPENDED;
    if (strcasecmp(text, "Paused") == 0)
        return XENAPI_PAUSED;
    return XENAPI_HALTED;
}

static void make_vm(struct build *b, const struct entry *e,
                    struct xenapi_vm *out)
{
    const struct xmlrpc *r = e->record;

    *out = (struct xenapi_vm){
        .ref = keep(b, e->ref),
        .uuid = keep_field(b, r, "uuid"),
        .name = keep_field(b, r, "name_label"),
        .description = keep_field(b, r, "name_description"),
        .power = power_of(xmlrpc_get_text(r, "power_state")),
        .is_template = flag(r, "is_a_template"),
        .is_snapshot = flag(r, "is_a_snapshot"),
        .is_control_domain = flag(r, "is_control_domain"),
        .has_vtpm = xmlrpc_count(xmlrpc_get(r, "VTPMs")) > 0,
        .has_vgpu = xmlrpc_count(xmlrpc_get(r, "VGPUs")) > 0,
        .snapshot_of = keep_field(b, r, "snapshot_of"),
        .resident_on = keep_field(b, r, "resident_on"),
    };
    out->other_config =
        keep_map(b, xmlrpc_get(r, "other_config"), &out->other_config_count);
    out->tags = keep_set(b, xmlrpc_get(r, "tags"), &out->tag_count);
    out->operations = keep_values(b, xmlrpc_get(r, "current_operations"),
                                  &out->operation_count);
    add_disks(b, r, out);
    add_nics(b, r, out);
}

static int vms_by_uuid(const void *a, const void *b)
{
    const struct xenapi_vm *x = a, *y = b;

    return strcmp(x->uuid, y->uuid);
}

static void add_vms(struct build *b)
{
    const struct table *t = &b->tables[XENAPI_VM];
    struct xenapi_vm *vms = take_array(b, t->count, sizeof(*vms));
    size_t n = 0;

    for (size_t i = 0; vms && i < t->count; i++) {
        const struct xmlrpc *r = t->entries[i].record;

        if (!b->one &&
            (flag(r, "is_control_domain") ||
             flag(r, "is_default_template")))
            continue;
        make_vm(b, &t->entries[i], &vms[n++]);
    }
    if (vms)
        qsort(vms, n, sizeof(*vms), vms_by_uuid);
    b->owner->inventory.vms = vms;
    b->owner->inventory.vm_count = n;
}

/* ---- The whole ---- */

static enum err_code check(struct xmlrpc *const maps[XENAPI_CLASSES],
                           struct build *b, struct err *err)
{
    for (int c = 0; c < XENAPI_CLASSES; c++) {
        if (xmlrpc_kind(maps[c]) != XMLRPC_STRUCT)
            return err_set(err, ERR_PROTOCOL, 0, "no records of class %s",
                           class_names[c]);
        if (!table_init(&b->tables[c], maps[c]))
            return err_set(err, ERR_NOMEM, 0, "an inventory");
    }
    if (b->tables[XENAPI_POOL].count != 1)
        return err_set(err, ERR_PROTOCOL, 0, "%zu pools in a pool",
                       b->tables[XENAPI_POOL].count);
    return ERR_OK;
}

enum err_code xenapi_records_build(struct xmlrpc *const maps[XENAPI_CLASSES],
                                   bool one, struct xenapi_inventory **out,
                                   struct err *err)
{
    struct build b = {.one = one};
    const char *master = "";
    enum err_code rc;

    b.owner = calloc(1, sizeof(*b.owner));
    if (!b.owner)
        return err_set(err, ERR_NOMEM, 0, "an inventory");
    atomic_init(&b.owner->count, 1);
    rc = check(maps, &b, err);
    if (rc == ERR_OK) {
        add_pool(&b, &b.tables[XENAPI_POOL].entries[0], &master);
        add_hosts(&b, master);
        add_srs(&b);
        add_networks(&b);
        if (!b.nomem) {
            attach_srs(&b);
            b.nomem = !b.one && !xenapi_backlog_each(maps[XENAPI_VDI],
                                                     on_waiting_disk, &b);
            add_vms(&b);
        }
        if (b.nomem)
            rc = err_set(err, ERR_NOMEM, 0, "an inventory");
    }
    for (int c = 0; c < XENAPI_CLASSES; c++)
        free(b.tables[c].entries);
    if (rc == ERR_OK)
        *out = &b.owner->inventory;
    else
        xenapi_inventory_drop(&b.owner->inventory);
    return rc;
}

struct xenapi_inventory *xenapi_inventory_hold(struct xenapi_inventory *inv)
{
    struct owner *o = (struct owner *)inv;

    atomic_fetch_add_explicit(&o->count, 1, memory_order_relaxed);
    return inv;
}

void xenapi_inventory_drop(struct xenapi_inventory *inv)
{
    struct owner *o = (struct owner *)inv;
    struct chunk *c, *next;

    if (!o || atomic_fetch_sub_explicit(&o->count, 1, memory_order_acq_rel) > 1)
        return;
    for (c = o->chunks; c; c = next) {
        next = c->next;
        free(c);
    }
    free(o);
}
