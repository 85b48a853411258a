/* SPDX-License-Identifier: Apache-2.0 */
#include "restore/restore_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/shown.h"
#include "restore/restore_pick.h"

static uint64_t disk_bytes(const struct points_entry *e)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < e->disks; i++)
        sum += e->disk[i].bytes;
    return sum;
}

/* Names come from whoever named the VM: nothing of them moves the cursor. */
static void print_name(const char *name, int width)
{
    size_t left = strlen(name), step;
    int printed = 0;

    for (; left && printed < width; printed++, left -= step, name += step) {
        step = parse_utf8_step(name, left);
        if (shown_is_plain(name, step))
            fwrite(name, 1, step, stdout);
        else
            putchar('?');
        step = step ? step : 1;
    }
    for (; printed < width; printed++)
        putchar(' ');
}

static void print_plain(const struct points_list *list, bool all)
{
    printf("%-26s %-24s %-20s %5s %10s  %s\n", "POINT", "VM", "TAKEN (UTC)",
           "DISKS", "SIZE", "STATE");
    for (size_t i = 0; i < list->count; i++) {
        const struct points_entry *e = &list->entry[i];
        char size[24], taken[CLOCK_TEXT] = "";

        if (!all && e->state != POINTS_SHOWN && e->state != POINTS_BAD)
            continue;
        if (e->state != POINTS_BAD)
            clock_rfc3339(e->start_ms, taken);
        parse_size_text(disk_bytes(e), size, sizeof(size));
        printf("%-26s ", restore_pick_id(e));
        print_name(e->vm_name[0] ? e->vm_name : e->series, 24);
        printf(" %-20s %5zu %10s  %s\n", taken, e->disks, size,
               restore_pick_state(e));
        if (e->state == POINTS_BAD)
            printf("  %s\n", e->err.text);
    }
}

static struct json *disks_json(const struct points_entry *e)
{
    struct json *array = json_new_array();

    for (size_t i = 0; i < e->disks; i++) {
        struct json *d = json_new_object();
        char uuid[37];

        parse_uuid_text(&e->disk[i].vdi, uuid);
        json_set_int(d, "position", e->disk[i].position);
        json_set_text(d, "uuid", uuid);
        json_set_text(d, "name", e->disk[i].name);
        json_set_int(d, "size", (int64_t)e->disk[i].bytes);
        json_append(array, d);
    }
    return array;
}

static struct json *point_json(const struct points_entry *e)
{
    struct json *p = json_new_object();
    char time[CLOCK_TEXT], uuid[37];

    json_set_text(p, "id", restore_pick_id(e));
    json_set_text(p, "name", e->name);
    json_set_text(p, "state",
                  e->state == POINTS_SHOWN ? "shown" : restore_pick_state(e));
    if (e->state == POINTS_BAD) {
        json_set_text(p, "error", e->err.text);
        return p;
    }
    parse_uuid_text(&e->vm, uuid);
    json_set_text(p, "series", e->series);
    json_set_text(p, "vm_uuid", uuid);
    json_set_text(p, "vm_name", e->vm_name);
    json_set_text(p, "pool", e->pool);
    clock_rfc3339(e->start_ms, time);
    json_set_text(p, "start", time);
    clock_rfc3339(e->end_ms, time);
    json_set_text(p, "end", time);
    json_set_text(p, "source_mode", e->source_mode);
    json_set_bool(p, "has_keys", e->has_keys);
    json_set_bool(p, "has_vm", e->has_metadata);
    json_set(p, "disks", disks_json(e));
    return p;
}

static bool print_json(struct restore_site *site,
                       const struct points_list *list, bool all)
{
    struct json *doc = json_new_object(), *points = json_new_array();
    char hex[33], *text;
    struct err err;

    bytes_hex(keyring_vault_id(site->keys)->b, 16, hex);
    json_set_text(doc, "vault", hex);
    for (size_t i = 0; i < list->count; i++)
        if (all || list->entry[i].state == POINTS_SHOWN ||
            list->entry[i].state == POINTS_BAD)
            json_append(points, point_json(&list->entry[i]));
    json_set(doc, "points", points);
    text = json_dump(doc, true, NULL);
    json_free(doc);
    if (!text) {
        err_set(&err, ERR_NOMEM, 0, "listing points");
        return restore_site_fail(site, &err, EXIT_FAILED);
    }
    puts(text);
    free(text);
    return true;
}

void restore_list(struct restore_site *site, const struct restore_args *args)
{
    struct points_list *list = restore_pick_list(site);
    struct err err;

    if (!list)
        return;
    if (args->json)
        print_json(site, list, args->all);
    else
        print_plain(list, args->all);
    if (fflush(stdout) != 0) {
        err_set(&err, ERR_IO, 0, "standard output cannot be written");
        restore_site_fail(site, &err, EXIT_FAILED);
    }
    points_list_free(list);
}
