/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_config_vm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/parse.h"
#include "tests/sim/sim_config.h"
#include "tests/sim/sim_fill.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_misc.h"
#include "tests/sim/sim_sr.h"
#include "tests/sim/sim_vbd.h"
#include "tests/sim/sim_vdi.h"
#include "tests/sim/sim_vm.h"
#include "tests/sim/sim_writer.h"

static const char *text_of(const struct json *j, const char *key,
                           const char *otherwise)
{
    return json_text(json_get(j, key), otherwise);
}

static bool flag(const struct json *j, const char *key, bool otherwise)
{
    return json_bool(json_get(j, key), otherwise);
}

/* A disk with the contents that the file asks for. */
static enum err_code disk_contents(struct sim_disk *d, struct sim_object *vm,
                                   const struct json *j, uint32_t device,
                                   struct err *err)
{
    const char *file = text_of(j, "file", NULL);
    const char *fill = text_of(j, "fill", "zero");
    struct sim_fill how = {.device = device};
    struct sim_disk *from = NULL;
    enum err_code rc;

    if (file) {
        rc = sim_disk_open(file, 0, &from, err);
        if (rc == ERR_OK && sim_disk_size(from) > sim_disk_size(d))
            rc =
                err_set(err, ERR_ARGUMENT, 0, "%s: larger than the disk", file);
        if (rc == ERR_OK)
            rc = sim_disk_copy(from, d, err);
        sim_disk_drop(from);
        return rc;
    }
    if (strcmp(fill, "zero") == 0)
        return ERR_OK;
    how.random = strcmp(fill, "random") == 0;
    if (!how.random && strcmp(fill, "marked") != 0)
        return err_set(err, ERR_ARGUMENT, 0, "fill: '%s'", fill);
    rc = sim_config_size(json_get(j, "used"), sim_disk_size(d), "used",
                         &how.used, err);
    if (rc != ERR_OK)
        return rc;
    parse_uuid(sim_db_str(vm, "uuid"), &how.vm);
    return sim_fill_disk(d, &how, err);
}

static enum err_code disk_open(struct sim_pool *pool, struct sim_object *vm,
                               const struct json *j, uint32_t device,
                               const char *uuid, struct sim_disk **out,
                               struct err *err)
{
    const char *file = text_of(j, "file", NULL);
    struct stat st;
    uint64_t size = 0;
    enum err_code rc;
    char *path;

    if (file && stat(file, &st) == 0)
        size = (uint64_t)st.st_size;
    rc = sim_config_size(json_get(j, "size"), size, "disk: size", &size, err);
    if (rc != ERR_OK)
        return rc;
    if (file && flag(j, "in_place", false))
        return sim_disk_open(file, size, out, err);
    path = sim_vdi_path(pool, uuid);
    rc = sim_disk_create(path, size, out, err);
    free(path);
    if (rc != ERR_OK)
        return rc;
    rc = disk_contents(*out, vm, j, device, err);
    if (rc != ERR_OK) {
        sim_disk_drop(*out);
        *out = NULL;
    }
    return rc;
}

static struct sim_object *disk_sr(struct sim_pool *pool, const struct json *j,
                                  struct err *err)
{
    const char *name = text_of(j, "sr", NULL);
    struct sim_object *sr;

    if (name)
        sr = sim_db_find_any(pool->db, "SR", name);
    else
        sr = sim_db_ref(pool->db, sim_db_at(pool->db, "pool", 0), "default_SR");
    if (!sr)
        err_set(err, ERR_ARGUMENT, 0, "disk: no SR '%s'",
                name ? name : "(default)");
    return sr;
}

/* The record of a VDI and its VBD. */
static void disk_record(struct sim_pool *pool, struct sim_object *vm,
                        struct sim_object *sr, const struct json *j,
                        struct sim_disk *disk, const char *device,
                        const char *uuid)
{
    struct sim_db *db = pool->db;
    struct sim_object *vdi = sim_db_create(db, "VDI", NULL, uuid);
    char *name = sim_mem_printf("%s %s", sim_db_str(vm, "name_label"), device);

    sim_vdi_attach(vdi, disk);
    sim_db_set_text(db, vdi, "SR", sr->ref);
    sim_db_set_text(db, vdi, "location", uuid);
    sim_db_set_int(db, vdi, "virtual_size", (int64_t)sim_disk_size(disk));
    sim_db_set_text(db, vdi, "name_label", text_of(j, "name", name));
    sim_db_set_text(db, vdi, "name_description", text_of(j, "description", ""));
    sim_db_set_bool(db, vdi, "sharable", flag(j, "sharable", false));
    sim_db_set_bool(db, vdi, "read_only", flag(j, "read_only", false));
    sim_config_set(pool, vdi, j, "other_config");
    sim_config_set(pool, vdi, j, "sm_config");
    sim_config_set(pool, vdi, j, "tags");
    sim_db_set(db, vdi, "allowed_operations",
               sim_value_texts("snapshot", "clone", "copy", "destroy", "resize",
                               "update", "generate_config", NULL));
    sim_vbd_new(pool, vm, vdi, device, "Disk", text_of(j, "mode", "RW"),
                flag(j, "bootable", strcmp(device, "0") == 0));
    sim_sr_update(pool, sr);
    free(name);
}

/* "0" and "xvda" are one place; XAPI keeps the word that it was given. */
static bool place_of(const char *device, uint64_t *number)
{
    if (strncmp(device, "xvd", 3) == 0 && device[3] >= 'a' &&
        device[3] <= 'z' && !device[4]) {
        *number = (uint64_t)(device[3] - 'a');
        return true;
    }
    return parse_u64(device, 0, 254, number);
}

static enum err_code add_disk(struct sim_pool *pool, struct sim_object *vm,
                              size_t i, const struct json *j, struct err *err)
{
    struct sim_disk *disk = NULL;
    struct sim_object *sr;
    char position[24], uuid[37], *name;
    const char *device;
    uint64_t number = 0;

    if (sim_config_keys(j,
                        " sr size name uuid description other_config "
                        "sm_config tags device bootable mode file in_place "
                        "fill used sharable read_only writer ",
                        "disk", err) != ERR_OK)
        return err->code;
    /* as people number them: 3 is the CD drive's */
    snprintf(position, sizeof(position), "%zu", i < 3 ? i : i + 1);
    device = text_of(j, "device", position);
    if (!place_of(device, &number))
        return err_set(err, ERR_ARGUMENT, 0, "disk: device '%s'", device);
    sr = disk_sr(pool, j, err);
    if (!sr)
        return err->code;
    name = sim_mem_printf("%s/%s", sim_db_str(vm, "uuid"), device);
    sim_config_uuid(pool, j, "VDI", name, uuid);
    free(name);
    if (disk_open(pool, vm, j, (uint32_t)number, uuid, &disk, err) != ERR_OK)
        return err->code;
    disk_record(pool, vm, sr, j, disk, device, uuid);
    if (json_get(j, "writer"))
        return sim_writer_start(pool, vm->ref, device, json_get(j, "writer"),
                                err);
    return ERR_OK;
}

static enum err_code add_nic(struct sim_pool *pool, struct sim_object *vm,
                             size_t i, const struct json *j, struct err *err)
{
    const char *name = text_of(j, "network", NULL);
    struct sim_object *network =
        name ? sim_db_find_any(pool->db, "network", name)
             : sim_db_at(pool->db, "network", 0);
    char position[24], mac[18], seed[37], *label;
    struct sim_object *vif;

    if (sim_config_keys(j, " network mac device mtu other_config ", "nic",
                        err) != ERR_OK)
        return err->code;
    if (!network)
        return err_set(err, ERR_ARGUMENT, 0, "nic: no network '%s'", name);
    snprintf(position, sizeof(position), "%zu", i);
    label = sim_mem_printf("%s/%zu", sim_db_str(vm, "uuid"), i);
    sim_config_uuid(pool, NULL, "MAC", label, seed);
    free(label);
    snprintf(mac, sizeof(mac), "02:%.2s:%.2s:%.2s:%.2s:%.2s", seed, seed + 2,
             seed + 4, seed + 6, seed + 9);
    vif = sim_vbd_new_vif(pool, vm, network, text_of(j, "device", position),
                          text_of(j, "mac", mac));
    sim_config_set(pool, vif, j, "other_config");
    if (json_get(j, "mtu"))
        sim_db_set_int(pool->db, vif, "MTU", json_int(json_get(j, "mtu"), 0));
    return ERR_OK;
}

static enum err_code vm_record(struct sim_pool *pool, struct sim_object *vm,
                               const struct json *j, struct err *err)
{
    static const char *const as_is[] = {"tags", "other_config", "platform",
                                        "blocked_operations"};
    const struct json *fields = json_get(j, "fields"), *value;
    struct sim_db *db = pool->db;
    char seed[37];
    uint64_t memory;
    int64_t vcpus = json_int(json_get(j, "vcpus"), 1);

    if (sim_config_size(json_get(j, "memory"), 1ull << 30, "vm: memory",
                        &memory, err) != ERR_OK)
        return err->code;
    sim_db_set_text(db, vm, "name_label", text_of(j, "name", ""));
    sim_db_set_text(db, vm, "name_description", text_of(j, "description", ""));
    sim_db_set_bool(db, vm, "is_a_template", flag(j, "template", false));
    sim_db_set_int(db, vm, "memory_static_max", (int64_t)memory);
    sim_db_set_int(db, vm, "memory_dynamic_max", (int64_t)memory);
    sim_db_set_int(db, vm, "memory_dynamic_min", (int64_t)memory);
    sim_db_set_int(db, vm, "memory_static_min", (int64_t)memory / 2);
    sim_db_set_int(db, vm, "memory_target", (int64_t)memory);
    sim_db_set_int(db, vm, "VCPUs_max", vcpus);
    sim_db_set_int(db, vm, "VCPUs_at_startup", vcpus);
    sim_db_set_text(db, vm, "HVM_boot_policy", "BIOS order");
    sim_db_map_put(db, vm, "HVM_boot_params", "order", "cdn");
    sim_db_map_put(db, vm, "HVM_boot_params", "firmware", "bios");
    sim_db_map_put(db, vm, "platform", "nx", "true");
    sim_db_map_put(db, vm, "platform", "viridian", "true");
    for (size_t i = 0; i < sizeof(as_is) / sizeof(as_is[0]); i++)
        sim_config_set(pool, vm, j, as_is[i]);
    sim_config_uuid(pool, NULL, "mac_seed", sim_db_str(vm, "uuid"), seed);
    if (!sim_value_get(sim_db_get(vm, "other_config"), "mac_seed"))
        sim_db_map_put(db, vm, "other_config", "mac_seed", seed);
    for (size_t i = 0; i < json_count(fields); i++) {
        const char *key = json_key_at(fields, i, &value);

        if (sim_config_field(pool, vm, key, value, err) != ERR_OK)
            return err->code;
    }
    return ERR_OK;
}

static enum err_code vm_power(struct sim_pool *pool, struct sim_object *vm,
                              const struct json *j, struct err *err)
{
    const char *state = text_of(
        j, "power_state", flag(j, "template", false) ? "Halted" : "Running");
    const char *name = text_of(j, "host", NULL);
    struct sim_host *host = name ? sim_pool_find_host(pool, name) : NULL;

    if (name && !host)
        return err_set(err, ERR_ARGUMENT, 0, "no host '%s'", name);
    if (strcmp(state, "Running") != 0 && strcmp(state, "Halted") != 0 &&
        strcmp(state, "Paused") != 0 && strcmp(state, "Suspended") != 0)
        return err_set(err, ERR_ARGUMENT, 0, "power_state '%s'", state);
    if (!host)
        host = sim_vm_host(pool, vm, NULL);
    sim_vm_set_power(pool, vm, state, host ? host->ref : pool->hosts[0].ref);
    return ERR_OK;
}

enum err_code sim_config_vm_add(struct sim_pool *pool, const struct json *j,
                                char *ref, struct err *err)
{
    const struct json *disks = json_get(j, "disks"), *nics;
    const char *name = text_of(j, "name", NULL);
    struct sim_object *vm;
    char uuid[37];

    err_clear(err);
    if (sim_config_keys(j,
                        " name uuid description tags other_config platform "
                        "blocked_operations power_state host memory vcpus "
                        "template fields disks cds nics vtpm ",
                        "vm", err) != ERR_OK)
        return err->code;
    if (!name)
        return err_set(err, ERR_ARGUMENT, 0, "a VM needs a name");
    sim_config_uuid(pool, j, "VM", name, uuid);
    if (sim_db_find_uuid(pool->db, "VM", uuid)) /* a second of that name */
        sim_db_new_uuid(uuid);
    vm = sim_vm_new(pool, uuid);
    if (ref)
        snprintf(ref, SIM_REF_MAX, "%s", vm->ref);
    if (vm_record(pool, vm, j, err) != ERR_OK)
        return err_context(err, "vm %s", name);
    for (size_t i = 0; i < json_count(disks); i++)
        if (add_disk(pool, vm, i, json_at(disks, i), err) != ERR_OK)
            return err_context(err, "vm %s: disk %zu", name, i);
    for (int64_t i = 0; i < json_int(json_get(j, "cds"), 0); i++) {
        char device[16];

        snprintf(device, sizeof(device), "%d", (int)(3 + i));
        sim_vbd_new(pool, vm, NULL, device, "CD", "RO", false);
    }
    nics = json_get(j, "nics");
    for (size_t i = 0; i < json_count(nics); i++)
        if (add_nic(pool, vm, i, json_at(nics, i), err) != ERR_OK)
            return err_context(err, "vm %s", name);
    if (json_get(j, "vtpm"))
        sim_misc_vtpm(pool, vm->ref, text_of(j, "vtpm", ""));
    if (vm_power(pool, vm, j, err) != ERR_OK)
        return err_context(err, "vm %s", name);
    return ERR_OK;
}
