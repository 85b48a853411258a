/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "tests/sim/sim_config.h"
#include "tests/sim/sim_fill.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_vdi.h"

struct sim_writer {
    struct sim_disk *disk;
    struct id16 vm;
    uint32_t device;
    char vm_ref[SIM_REF_MAX], device_text[8];
    uint64_t rate, first, blocks;
    bool linear;
    atomic_bool stop;
    struct sim_writer_stats stats;
    pthread_t thread;
    struct sim_writer *next;
};

struct sim_object *sim_writer_vdi(struct sim_pool *pool, const char *vm_ref,
                                  const char *device)
{
    struct sim_object *vm = sim_db_find(pool->db, "VM", vm_ref);
    const struct sim_value *vbds = vm ? sim_db_get(vm, "VBDs") : NULL;

    for (size_t i = 0; vbds && i < vbds->count; i++) {
        struct sim_object *vbd =
            sim_db_find(pool->db, "VBD", vbds->items[i]->text);

        if (vbd && strcmp(sim_db_str(vbd, "userdevice"), device) == 0 &&
            strcmp(sim_db_str(vbd, "type"), "CD") != 0)
            return sim_db_ref(pool->db, vbd, "VDI");
    }
    return NULL;
}

static void *writer_thread(void *arg)
{
    struct sim_writer *w = arg;
    struct sim_fill how = {.vm = w->vm, .device = w->device};
    uint64_t dice = 0x9e3779b97f4a7c15u ^ w->device, next = 0;
    uint64_t start = clock_mono_ms(clock_system());
    struct err err;

    while (!w->stop) {
        uint64_t block, due;

        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        block = w->first + (w->linear ? next++ : dice) % w->blocks;
        if (sim_fill_blocks(w->disk, &how, block, 1, w->stats.generation + 1,
                            &err) != ERR_OK)
            break;
        w->stats.generation++;
        w->stats.written++;
        if (w->rate == 0)
            continue;
        due = start + w->stats.written * SIM_FILL_BLOCK * 1000 / w->rate;
        while (!w->stop && clock_mono_ms(clock_system()) < due)
            sim_pool_sleep(2);
    }
    return NULL;
}

enum err_code sim_writer_start(struct sim_pool *pool, const char *vm_ref,
                               const char *device, const struct json *how,
                               struct err *err)
{
    struct sim_object *vm = sim_db_find(pool->db, "VM", vm_ref);
    struct sim_object *vdi = sim_writer_vdi(pool, vm_ref, device);
    struct sim_writer *w;
    uint64_t all, number = 0;

    err_clear(err);
    if (!vm || !vdi)
        return err_set(err, ERR_NOT_FOUND, 0, "no disk '%s'", device);
    w = sim_mem_new(sizeof(*w));
    w->disk = sim_disk_hold(sim_vdi_disk(vdi));
    parse_uuid(sim_db_str(vm, "uuid"), &w->vm);
    parse_u64(device, 0, 254, &number);
    w->device = (uint32_t)number;
    snprintf(w->vm_ref, sizeof(w->vm_ref), "%s", vm_ref);
    snprintf(w->device_text, sizeof(w->device_text), "%s", device);
    all = sim_disk_size(w->disk) / SIM_FILL_BLOCK;
    w->first = (uint64_t)json_int(json_get(how, "first"), 0);
    w->blocks = (uint64_t)json_int(json_get(how, "blocks"), (int64_t)all);
    w->linear =
        strcmp(json_text(json_get(how, "order"), "random"), "linear") == 0;
    w->stats.generation = 1;
    if (sim_config_size(json_get(how, "rate"), MIB, "rate", &w->rate, err) !=
            ERR_OK ||
        w->blocks == 0 || w->first + w->blocks > all) {
        if (err->code == ERR_OK)
            err_set(err, ERR_ARGUMENT, 0, "writer: beyond the disk");
        goto fail;
    }
    pthread_mutex_lock(&pool->lock);
    for (struct sim_writer *o = pool->writers; o; o = o->next)
        if (o->disk == w->disk)
            err_set(err, ERR_CONFLICT, 0, "this disk has a writer");
    if (err->code == ERR_OK &&
        pthread_create(&w->thread, NULL, writer_thread, w) != 0)
        err_set(err, ERR_AGAIN, 0, "no thread");
    if (err->code == ERR_OK) {
        w->next = pool->writers;
        pool->writers = w;
        w = NULL;
    }
    pthread_mutex_unlock(&pool->lock);
    if (!w)
        return ERR_OK;
fail:
    sim_disk_drop(w->disk);
    free(w);
    return err->code;
}

enum err_code sim_writer_stop(struct sim_pool *pool, const char *vm_ref,
                              const char *device,
                              struct sim_writer_stats *stats, struct err *err)
{
    struct sim_writer **link = &pool->writers, *w;

    pthread_mutex_lock(&pool->lock);
    while (*link && (strcmp((*link)->vm_ref, vm_ref) != 0 ||
                     strcmp((*link)->device_text, device) != 0))
        link = &(*link)->next;
    w = *link;
    if (w)
        *link = w->next;
    pthread_mutex_unlock(&pool->lock);
    if (!w)
        return err_set(err, ERR_NOT_FOUND, 0, "no writer");
    w->stop = true;
    pthread_join(w->thread, NULL);
    *stats = w->stats;
    sim_disk_drop(w->disk);
    free(w);
    return ERR_OK;
}
