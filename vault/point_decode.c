/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/point.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "crypto/seal_slot.h"
#include "vault/field.h"
#include "vault/point_fields.h"

#define DISKS_MAX 4096u

static const struct field_rule point_rules[] = {
    {POINT_SERIES, true, true, false},
    {POINT_NAME, false, false, false},
    {POINT_POOL, false, false, false},
    {POINT_METADATA, false, false, false},
    {POINT_TIMES, true, true, false},
    {POINT_SOURCE, false, false, false},
    {POINT_CONSISTENCY, false, false, false},
    {POINT_GATEWAY, false, false, false},
    {POINT_PREVIOUS, false, false, false},
    {POINT_ROSTER, false, false, false},
    {POINT_RETENTION, false, false, false},
    {POINT_TOTALS, false, false, false},
    {POINT_UNFINISHED, true, false, false},
    {POINT_REPLACES, false, false, false},
    {POINT_VM, true, true, false},
    {POINT_KEYS, true, true, false},
    {POINT_PACKS, true, true, false},
    {POINT_DISK, true, false, true},
};

static const struct field_rule disk_rules[] = {
    {POINT_DISK_POSITION, true, true, false},
    {POINT_DISK_VDI, true, true, false},
    {POINT_DISK_NAME, false, false, false},
    {POINT_DISK_BYTES, true, true, false},
    {POINT_DISK_LOG2, true, true, false},
    {POINT_DISK_MAP, true, false, false},
    {POINT_DISK_PAGES, true, false, false},
    {POINT_DISK_SUM, true, true, false},
};

static enum err_code refuse(struct err *err, const char *why)
{
    return err_set(err, ERR_INTEGRITY, 0, "point: %s", why);
}

static enum err_code need_len(struct slice value, size_t len, const char *what,
                              struct err *err)
{
    if (value.len == len)
        return ERR_OK;
    return err_set(err, ERR_INTEGRITY, 0,
                   "point: %s: %zu bytes in place of "
                   "%zu",
                   what, value.len, len);
}

static enum err_code need_text(struct slice value, size_t max, const char *what,
                               struct err *err)
{
    if (value.len <= max && parse_utf8((const char *)value.data, value.len))
        return ERR_OK;
    return err_set(err, ERR_INTEGRITY, 0, "point: %s: not a text", what);
}

static enum err_code need_names(struct slice value, const char *what,
                                struct err *err)
{
    struct name n;

    if (value.len % NAME_POINT_BYTES)
        return err_set(err, ERR_INTEGRITY, 0, "point: %s: length", what);
    for (size_t at = 0; at < value.len; at += NAME_POINT_BYTES)
        if (!name_parse_n((const char *)value.data + at, NAME_POINT_BYTES,
                          &n) ||
            n.kind != NAME_POINT)
            return err_set(err, ERR_INTEGRITY, 0,
                           "point: %s: not a point's name", what);
    return ERR_OK;
}

static enum err_code take_text(struct slice *to, struct slice value, size_t max,
                               const char *what, struct err *err)
{
    *to = value;
    return need_text(value, max, what, err);
}

static enum err_code take_previous(struct point *p, struct slice value,
                                   struct err *err)
{
    struct slice name = {value.data, NAME_POINT_BYTES};

    if (need_len(value, NAME_POINT_BYTES + 32, "previous", err) != ERR_OK ||
        need_names(name, "previous", err) != ERR_OK)
        return err->code;
    memcpy(p->previous.name, value.data, NAME_POINT_BYTES);
    memcpy(p->previous.sha256, value.data + NAME_POINT_BYTES, 32);
    return ERR_OK;
}

static enum err_code take_totals(struct point *p, struct slice value,
                                 struct err *err)
{
    if (need_len(value, 32, "totals", err) != ERR_OK)
        return err->code;
    p->has_totals = true;
    p->totals.read = bytes_get_u64(value.data);
    p->totals.changed = bytes_get_u64(value.data + 8);
    p->totals.fresh = bytes_get_u64(value.data + 16);
    p->totals.stored = bytes_get_u64(value.data + 24);
    return ERR_OK;
}

static enum err_code take_keys(struct point_owned *d, struct slice value,
                               struct err *err)
{
    size_t count = value.len / 16;

    if (value.len % 16 || count > UINT16_MAX + 1u)
        return refuse(err, "key table: length");
    if (count) {
        d->keys = malloc(value.len);
        if (!d->keys)
            return err_set(err, ERR_NOMEM, 0, "point: key table");
        memcpy(d->keys, value.data, value.len);
    }
    d->point.key = d->keys;
    d->point.keys = count;
    return ERR_OK;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

/* No pack may come twice: two numbers for one pack would hide it. */
static enum err_code check_twice(const struct point *p, struct err *err)
{
    struct id16 *ids;
    enum err_code rc = ERR_OK;

    if (p->packs < 2)
        return ERR_OK;
    ids = malloc(p->packs * sizeof(*ids));
    if (!ids)
        return err_set(err, ERR_NOMEM, 0, "point: pack table");
    for (size_t i = 0; i < p->packs; i++)
        ids[i] = p->pack[i].id;
    qsort(ids, p->packs, sizeof(*ids), compare_ids);
    for (size_t i = 1; i < p->packs && rc == ERR_OK; i++)
        if (id16_equal(&ids[i - 1], &ids[i]))
            rc = refuse(err, "pack table: a pack stands there twice");
    free(ids);
    return rc;
}

static enum err_code take_packs(struct point_owned *d, struct slice value,
                                struct err *err)
{
    size_t count = value.len / POINT_PACK_BYTES;

    if (value.len % POINT_PACK_BYTES)
        return refuse(err, "pack table: length");
    if (count) {
        d->packs = calloc(count, sizeof(*d->packs));
        if (!d->packs)
            return err_set(err, ERR_NOMEM, 0, "point: pack table");
    }
    d->point.pack = d->packs;
    d->point.packs = count;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = value.data + i * POINT_PACK_BYTES;

        memcpy(d->packs[i].id.b, at, 16);
        d->packs[i].key = bytes_get_u16(at + 16);
        d->packs[i].kind = bytes_get_u16(at + 18);
        if (d->packs[i].key >= d->point.keys)
            return refuse(err, "pack table: a key that is not in the table");
        if (d->packs[i].kind > SEAL_SLOT_MAP)
            return refuse(err, "pack table: unknown kind");
    }
    return check_twice(&d->point, err);
}

static enum err_code take_disk_field(struct point_disk *disk,
                                     const struct field *f, struct err *err)
{
    struct slice v = f->value;

    switch ((enum point_disk_field)f->type) {
    case POINT_DISK_POSITION:
        if (need_len(v, 4, "position", err) == ERR_OK)
            disk->position = bytes_get_u32(v.data);
        return err->code;
    case POINT_DISK_VDI:
        if (need_len(v, 16, "VDI", err) == ERR_OK)
            memcpy(disk->vdi.b, v.data, 16);
        return err->code;
    case POINT_DISK_NAME:
        return take_text(&disk->name, v, POINT_TEXT_MAX, "disk name", err);
    case POINT_DISK_BYTES:
        if (need_len(v, 8, "virtual size", err) == ERR_OK)
            disk->bytes = bytes_get_u64(v.data);
        return err->code;
    case POINT_DISK_LOG2:
        if (need_len(v, 1, "chunk size", err) == ERR_OK)
            disk->log2_chunk = v.data[0];
        return err->code;
    case POINT_DISK_MAP:
    case POINT_DISK_PAGES:
        if (disk->map.data)
            return refuse(err, "disk: map and pages");
        if (v.len > MAP_FIELD_BYTES && f->type == POINT_DISK_MAP)
            return refuse(err, "disk: a map over 1 MiB that is not in pages");
        disk->map = v;
        disk->paged = f->type == POINT_DISK_PAGES;
        return ERR_OK;
    case POINT_DISK_SUM:
        if (need_len(v, 32, "content sum", err) == ERR_OK)
            memcpy(disk->sum, v.data, 32);
        return err->code;
    }
    return refuse(err, "disk: unknown field");
}

/* The map against size and pack table. */
static enum err_code check_map(const struct point *p,
                               const struct point_disk *disk, struct err *err)
{
    uint64_t chunks = map_chunks(disk->bytes, disk->log2_chunk);
    unsigned kind = disk->paged ? SEAL_SLOT_MAP : SEAL_SLOT_DATA;
    struct map_reader r;
    struct map_run run;

    if (chunks > MAP_CHUNKS_MAX)
        return refuse(err, "disk: more than 2^30 chunks");
    map_reader_init(&r, disk->map, disk->paged ? map_pages(chunks) : chunks,
                    p->packs);
    while (map_next(&r, &run, err)) {
        if (run.pack == MAP_ZERO)
            continue;
        assert(run.pack < p->packs && p->pack); /* map_next() looks */
        if (p->pack[run.pack].kind != kind)
            return refuse(err, "disk: its map names a pack of another kind");
    }
    return err->code;
}

static enum err_code parse_disk(const struct point *p, struct slice value,
                                struct point_disk *disk, struct err *err)
{
    struct field_reader r;
    struct field f;

    memset(disk, 0, sizeof(*disk));
    field_reader_init(&r, "disk", disk_rules, BYTES_COUNT(disk_rules), value);
    err_clear(err);
    while (field_next(&r, &f, err))
        if (take_disk_field(disk, &f, err) != ERR_OK)
            return err->code;
    if (err->code != ERR_OK)
        return err->code;
    if (!disk->map.data)
        return refuse(err, "disk: neither map nor pages");
    if (disk->log2_chunk < 16 || disk->log2_chunk > 20)
        return refuse(err, "disk: chunk size");
    if (p->disks && p->disk[p->disks - 1].position >= disk->position)
        return refuse(err, "disks: positions do not rise");
    return check_map(p, disk, err);
}

static enum err_code take_disk(struct point_owned *d, struct slice value,
                               struct err *err)
{
    if (d->point.disks == d->disks_room) {
        size_t room = d->disks_room ? 2 * d->disks_room : 8;
        struct point_disk *more;

        if (room > DISKS_MAX)
            return refuse(err, "too many disks");
        more = realloc(d->disks, room * sizeof(*more));
        if (!more)
            return err_set(err, ERR_NOMEM, 0, "point: disks");
        d->disks = more;
        d->disks_room = room;
        d->point.disk = more;
    }
    if (parse_disk(&d->point, value, &d->disks[d->point.disks], err) != ERR_OK)
        return err->code;
    d->point.disks++;
    return ERR_OK;
}

static enum err_code take_field(struct point_owned *d, const struct field *f,
                                struct err *err)
{
    struct point *p = &d->point;
    struct slice v = f->value;

    switch ((enum point_field)f->type) {
    case POINT_SERIES:
        if (!v.len)
            return refuse(err, "series: empty");
        return take_text(&p->series, v, POINT_SERIES_MAX, "series", err);
    case POINT_NAME:
        return take_text(&p->name, v, POINT_TEXT_MAX, "name", err);
    case POINT_POOL:
        return take_text(&p->pool, v, POINT_TEXT_MAX, "pool", err);
    case POINT_METADATA:
        p->metadata = v;
        return ERR_OK;
    case POINT_TIMES:
        if (need_len(v, 16, "times", err) == ERR_OK) {
            p->start_ms = bytes_get_u64(v.data);
            p->end_ms = bytes_get_u64(v.data + 8);
        }
        return err->code;
    case POINT_SOURCE:
        return take_text(&p->source_mode, v, POINT_TEXT_MAX, "source", err);
    case POINT_CONSISTENCY:
        return take_text(&p->consistency, v, POINT_TEXT_MAX, "consistency",
                         err);
    case POINT_GATEWAY:
        return take_text(&p->gateway, v, POINT_TEXT_MAX, "gateway", err);
    case POINT_PREVIOUS:
        return take_previous(p, v, err);
    case POINT_ROSTER:
        p->roster = v;
        return need_names(v, "roster", err);
    case POINT_RETENTION:
        return take_text(&p->retention, v, POINT_TEXT_MAX, "retention", err);
    case POINT_TOTALS:
        return take_totals(p, v, err);
    case POINT_UNFINISHED:
        p->unfinished = true;
        return need_len(v, 0, "unfinished", err);
    case POINT_REPLACES:
        p->replaces = v;
        return need_names(v, "replaces", err);
    case POINT_VM:
        if (need_len(v, 16, "VM", err) == ERR_OK)
            memcpy(p->vm.b, v.data, 16);
        return err->code;
    case POINT_KEYS:
        return take_keys(d, v, err);
    case POINT_PACKS:
        return take_packs(d, v, err);
    case POINT_DISK:
        return take_disk(d, v, err);
    }
    return refuse(err, "unknown field");
}

enum err_code point_decode(struct slice plain, struct point **out,
                           struct err *err)
{
    struct point_owned *d = calloc(1, sizeof(*d));
    struct field_reader r;
    struct field f;

    if (!d)
        return err_set(err, ERR_NOMEM, 0, "point");
    field_reader_init(&r, "point", point_rules, BYTES_COUNT(point_rules),
                      plain);
    err_clear(err);
    while (field_next(&r, &f, err))
        if (take_field(d, &f, err) != ERR_OK)
            break;
    if (err->code != ERR_OK) {
        point_free(&d->point);
        return err->code;
    }
    *out = &d->point;
    return ERR_OK;
}
