/* SPDX-License-Identifier: Apache-2.0 */
#include "image/ova.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/parse.h"

#define DISKS_MAX 256
#define SIZE_MAX_BYTES (64 * TIB)
#define ID_LENGTH_MAX 80 /* a V7 header holds 100: "/00000000.checksum" too */

struct object {
    const char *id, *class_name;
    struct xmlrpc *record;
};

struct ova {
    struct xmlrpc *tree;
    struct object *objects; /* by id */
    size_t object_count;
    struct ova_vm vm;
    struct ova_version version;
    struct ova_disk *disks;
    size_t disk_count;
    struct ova_nic *nics;
    size_t nic_count;
};

static int by_id(const void *a, const void *b)
{
    const struct object *x = a, *y = b;

    return strcmp(x->id, y->id);
}

static const struct object *object_find(const struct ova *o, const char *id)
{
    struct object key = {.id = id};

    if (o->object_count == 0)
        return NULL;
    return bsearch(&key, o->objects, o->object_count, sizeof(key), by_id);
}

/* The record of an object of that class, NULL when there is none. */
static const struct xmlrpc *record_find(const struct ova *o, const char *id,
                                        const char *class_name)
{
    const struct object *found = object_find(o, id);

    if (!found || strcmp(found->class_name, class_name) != 0)
        return NULL;
    return found->record;
}

static bool id_is_usable(const char *id)
{
    if (!id[0] || strlen(id) > ID_LENGTH_MAX)
        return false;
    for (const char *p = id; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == '/' || *p == 0x7f)
            return false;
    return true;
}

static enum err_code index_objects(struct ova *o, struct err *err)
{
    const struct xmlrpc *list = xmlrpc_get(o->tree, "objects");
    size_t n = xmlrpc_count(list);

    if (n == 0 || xmlrpc_kind(list) != XMLRPC_ARRAY)
        return err_set(err, ERR_PROTOCOL, 0, "ova.xml lists no objects");
    o->objects = calloc(n, sizeof(*o->objects));
    if (!o->objects)
        return err_set(err, ERR_NOMEM, 0, "ova.xml");
    o->object_count = n;
    for (size_t i = 0; i < n; i++) {
        const struct xmlrpc *object = xmlrpc_at(list, i);

        o->objects[i] = (struct object){
            .id = xmlrpc_get_text(object, "id"),
            .class_name = xmlrpc_get_text(object, "class"),
            .record = xmlrpc_get(object, "snapshot"),
        };
        if (!id_is_usable(o->objects[i].id))
            return err_set(err, ERR_PROTOCOL, 0,
                           "ova.xml: object %zu has no usable id", i);
        if (xmlrpc_kind(o->objects[i].record) != XMLRPC_STRUCT)
            return err_set(err, ERR_PROTOCOL, 0,
                           "ova.xml: object %s has no record",
                           o->objects[i].id);
    }
    qsort(o->objects, n, sizeof(*o->objects), by_id);
    for (size_t i = 1; i < n; i++)
        if (strcmp(o->objects[i - 1].id, o->objects[i].id) == 0)
            return err_set(err, ERR_PROTOCOL, 0,
                           "ova.xml: two objects are called %s",
                           o->objects[i].id);
    return ERR_OK;
}

static enum err_code read_version(struct ova *o, struct err *err)
{
    const struct xmlrpc *v = xmlrpc_get(o->tree, "version");

    o->version = (struct ova_version){
        .xapi_major = (int)xmlrpc_int(xmlrpc_get(v, "xapi_major"), 0),
        .xapi_minor = (int)xmlrpc_int(xmlrpc_get(v, "xapi_minor"), 0),
        .export_vsn = (int)xmlrpc_int(xmlrpc_get(v, "export_vsn"), 0),
        .product_version = xmlrpc_get_text(v, "product_version"),
        .product_brand = xmlrpc_get_text(v, "product_brand"),
        .hostname = xmlrpc_get_text(v, "hostname"),
        .date = xmlrpc_get_text(v, "date"),
    };
    if (o->version.export_vsn != 2)
        return err_set(err, ERR_PROTOCOL, 0,
                       "ova.xml is of export version %d; only 2 is known",
                       o->version.export_vsn);
    return ERR_OK;
}

static enum err_code read_vm(struct ova *o, const char **id, struct err *err)
{
    const struct object *vm = NULL;

    for (size_t i = 0; i < o->object_count; i++) {
        const char *class_name = o->objects[i].class_name;

        if (strcmp(class_name, "VTPM") == 0)
            o->vm.has_vtpm = true;
        if (strcmp(class_name, "VGPU") == 0)
            o->vm.has_vgpu = true;
        if (strcmp(class_name, "VM") != 0)
            continue;
        if (vm)
            return err_set(err, ERR_PROTOCOL, 0,
                           "ova.xml describes several VMs: %s and %s", vm->id,
                           o->objects[i].id);
        vm = &o->objects[i];
    }
    if (!vm)
        return err_set(err, ERR_PROTOCOL, 0, "ova.xml describes no VM");
    *id = vm->id;
    o->vm.record = vm->record;
    o->vm.uuid = xmlrpc_get_text(vm->record, "uuid");
    o->vm.name = xmlrpc_get_text(vm->record, "name_label");
    o->vm.description = xmlrpc_get_text(vm->record, "name_description");
    o->vm.power_state = xmlrpc_get_text(vm->record, "power_state");
    o->vm.is_template =
        xmlrpc_bool(xmlrpc_get(vm->record, "is_a_template"), false);
    o->vm.memory_static_max =
        (uint64_t)xmlrpc_int(xmlrpc_get(vm->record, "memory_static_max"), 0);
    o->vm.vcpus_max =
        (uint64_t)xmlrpc_int(xmlrpc_get(vm->record, "VCPUs_max"), 0);
    return ERR_OK;
}

static bool has_disk(const struct ova *o, const char *id)
{
    for (size_t i = 0; i < o->disk_count; i++)
        if (strcmp(o->disks[i].id, id) == 0)
            return true;
    return false;
}

/* vbd NULL: the suspend image. */
static enum err_code add_disk(struct ova *o, const char *id,
                              const struct xmlrpc *vbd, struct err *err)
{
    const struct object *vdi = object_find(o, id);
    const struct xmlrpc *sr;
    int64_t size;

    if (!vdi || strcmp(vdi->class_name, "VDI") != 0)
        return err_set(err, ERR_PROTOCOL, 0,
                       "ova.xml: disk %s is attached but not described", id);
    sr = record_find(o, xmlrpc_get_text(vdi->record, "SR"), "SR");
    if (strcmp(xmlrpc_get_text(sr, "content_type"), "iso") == 0 ||
        has_disk(o, vdi->id))
        return ERR_OK;
    size = xmlrpc_int(xmlrpc_get(vdi->record, "virtual_size"), -1);
    if (size < 0 || (uint64_t)size > SIZE_MAX_BYTES)
        return err_set(err, ERR_PROTOCOL, 0,
                       "ova.xml: disk %s has no usable virtual size", id);
    if (o->disk_count == DISKS_MAX)
        return err_set(err, ERR_PROTOCOL, 0, "ova.xml: more than %d disks",
                       DISKS_MAX);
    o->disks[o->disk_count++] = (struct ova_disk){
        .id = vdi->id,
        .vdi_uuid = xmlrpc_get_text(vdi->record, "uuid"),
        .name = xmlrpc_get_text(vdi->record, "name_label"),
        .description = xmlrpc_get_text(vdi->record, "name_description"),
        .virtual_size = (uint64_t)size,
        .sr_uuid = xmlrpc_get_text(sr, "uuid"),
        .sr_name = xmlrpc_get_text(sr, "name_label"),
        .userdevice = xmlrpc_get_text(vbd, "userdevice"),
        .bootable = xmlrpc_bool(xmlrpc_get(vbd, "bootable"), false),
        .read_only = strcasecmp(xmlrpc_get_text(vbd, "mode"), "RO") == 0,
        .suspend = vbd == NULL,
    };
    return ERR_OK;
}

static int by_disk_id(const void *a, const void *b)
{
    const struct ova_disk *x = a, *y = b;

    return strcmp(x->id, y->id);
}

static enum err_code read_disks(struct ova *o, const char *vm_id,
                                struct err *err)
{
    const char *suspend = xmlrpc_get_text(o->vm.record, "suspend_VDI");
    enum err_code rc;

    o->disks = calloc(DISKS_MAX, sizeof(*o->disks));
    if (!o->disks)
        return err_set(err, ERR_NOMEM, 0, "ova.xml");
    for (size_t i = 0; i < o->object_count; i++) {
        const struct xmlrpc *vbd = o->objects[i].record;
        const char *vdi = xmlrpc_get_text(vbd, "VDI");

        if (strcmp(o->objects[i].class_name, "VBD") != 0 ||
            strcmp(xmlrpc_get_text(vbd, "VM"), vm_id) != 0 ||
            strcasecmp(xmlrpc_get_text(vbd, "type"), "CD") == 0 || !vdi[0] ||
            strcmp(vdi, "OpaqueRef:NULL") == 0)
            continue;
        rc = add_disk(o, vdi, vbd, err);
        if (rc != ERR_OK)
            return rc;
    }
    if (record_find(o, suspend, "VDI")) {
        rc = add_disk(o, suspend, NULL, err);
        if (rc != ERR_OK)
            return rc;
    }
    qsort(o->disks, o->disk_count, sizeof(*o->disks), by_disk_id);
    return ERR_OK;
}

static int by_device(const void *a, const void *b)
{
    const struct ova_nic *x = a, *y = b;
    int64_t n = xmlrpc_int(xmlrpc_get(x->record, "device"), INT64_MAX);
    int64_t m = xmlrpc_int(xmlrpc_get(y->record, "device"), INT64_MAX);

    return n < m ? -1 : n > m;
}

static enum err_code read_nics(struct ova *o, const char *vm_id,
                               struct err *err)
{
    o->nics = calloc(o->object_count, sizeof(*o->nics));
    if (!o->nics)
        return err_set(err, ERR_NOMEM, 0, "ova.xml");
    for (size_t i = 0; i < o->object_count; i++) {
        const struct xmlrpc *vif = o->objects[i].record;
        const struct xmlrpc *net;

        if (strcmp(o->objects[i].class_name, "VIF") != 0 ||
            strcmp(xmlrpc_get_text(vif, "VM"), vm_id) != 0)
            continue;
        net = record_find(o, xmlrpc_get_text(vif, "network"), "network");
        o->nics[o->nic_count++] = (struct ova_nic){
            .device = xmlrpc_get_text(vif, "device"),
            .mac = xmlrpc_get_text(vif, "MAC"),
            .mac_autogenerated =
                xmlrpc_bool(xmlrpc_get(vif, "MAC_autogenerated"), false),
            .mtu = (uint64_t)xmlrpc_int(xmlrpc_get(vif, "MTU"), 0),
            .network_uuid = xmlrpc_get_text(net, "uuid"),
            .network_name = xmlrpc_get_text(net, "name_label"),
            .network_bridge = xmlrpc_get_text(net, "bridge"),
            .record = vif,
        };
    }
    qsort(o->nics, o->nic_count, sizeof(*o->nics), by_device);
    return ERR_OK;
}

enum err_code ova_parse(const void *text, size_t len, struct ova **out,
                        struct err *err)
{
    struct ova *o = calloc(1, sizeof(*o));
    const char *vm_id = NULL;
    enum err_code rc;

    if (!o)
        return err_set(err, ERR_NOMEM, 0, "ova.xml");
    rc = xmlrpc_parse(text, len, OVA_BYTES_MAX, &o->tree, err);
    if (rc != ERR_OK) {
        err_context(err, "ova.xml");
        goto out;
    }
    rc = index_objects(o, err);
    if (rc == ERR_OK)
        rc = read_version(o, err);
    if (rc == ERR_OK)
        rc = read_vm(o, &vm_id, err);
    if (rc == ERR_OK)
        rc = read_disks(o, vm_id, err);
    if (rc == ERR_OK)
        rc = read_nics(o, vm_id, err);
    if (rc != ERR_OK)
        goto out;
    *out = o;
    o = NULL;
out:
    ova_free(o);
    return rc;
}

void ova_free(struct ova *o)
{
    if (!o)
        return;
    free(o->nics);
    free(o->disks);
    free(o->objects);
    xmlrpc_free(o->tree);
    free(o);
}

const struct ova_vm *ova_vm(const struct ova *o)
{
    return &o->vm;
}

const struct ova_version *ova_version(const struct ova *o)
{
    return &o->version;
}

const struct xmlrpc *ova_tree(const struct ova *o)
{
    return o->tree;
}

size_t ova_disk_count(const struct ova *o)
{
    return o->disk_count;
}

const struct ova_disk *ova_disk(const struct ova *o, size_t i)
{
    return &o->disks[i];
}

const char *ova_vtpm_uuid(const struct ova *o, size_t i)
{
    for (size_t k = 0; k < o->object_count; k++)
        if (strcmp(o->objects[k].class_name, "VTPM") == 0 && i-- == 0)
            return xmlrpc_get_text(o->objects[k].record, "vTPM'_uuid");
    return NULL;
}

size_t ova_nic_count(const struct ova *o)
{
    return o->nic_count;
}

const struct ova_nic *ova_nic(const struct ova *o, size_t i)
{
    return &o->nics[i];
}
