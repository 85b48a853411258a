/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "vault/field.h"
#include "vault/point.h"
#include "vault/point_fields.h"

static void add_text(struct buf *b, uint16_t type, struct slice text)
{
    if (text.len)
        field_add(b, type, false, text.data, text.len);
}

static void add_u64(struct buf *b, uint16_t type, uint64_t v)
{
    uint8_t raw[8];

    bytes_put_u64(raw, v);
    field_add(b, type, true, raw, sizeof(raw));
}

static void add_times(struct buf *b, const struct point *p)
{
    uint8_t raw[16];

    bytes_put_u64(raw, p->start_ms);
    bytes_put_u64(raw + 8, p->end_ms);
    field_add(b, POINT_TIMES, true, raw, sizeof(raw));
}

static void add_previous(struct buf *b, const struct point *p)
{
    uint8_t raw[NAME_POINT_BYTES + 32];

    if (!p->previous.name[0])
        return;
    memcpy(raw, p->previous.name, NAME_POINT_BYTES);
    memcpy(raw + NAME_POINT_BYTES, p->previous.sha256, 32);
    field_add(b, POINT_PREVIOUS, false, raw, sizeof(raw));
}

static void add_totals(struct buf *b, const struct point *p)
{
    uint8_t raw[32];

    if (!p->has_totals)
        return;
    bytes_put_u64(raw, p->totals.read);
    bytes_put_u64(raw + 8, p->totals.changed);
    bytes_put_u64(raw + 16, p->totals.fresh);
    bytes_put_u64(raw + 24, p->totals.stored);
    field_add(b, POINT_TOTALS, false, raw, sizeof(raw));
}

static void add_packs(struct buf *b, const struct point *p)
{
    size_t at = field_begin(b, POINT_PACKS, true);

    for (size_t i = 0; i < p->packs; i++) {
        uint8_t *raw = buf_extend(b, POINT_PACK_BYTES);

        if (!raw)
            return;
        memcpy(raw, p->pack[i].id.b, 16);
        bytes_put_u16(raw + 16, p->pack[i].key);
        bytes_put_u16(raw + 18, p->pack[i].kind);
    }
    field_end(b, at);
}

static void add_disk(struct buf *b, const struct point_disk *d)
{
    size_t at = field_begin(b, POINT_DISK, true);
    uint8_t position[4], log2_chunk = (uint8_t)d->log2_chunk;

    bytes_put_u32(position, d->position);
    field_add(b, POINT_DISK_POSITION, true, position, sizeof(position));
    field_add(b, POINT_DISK_VDI, true, d->vdi.b, 16);
    add_text(b, POINT_DISK_NAME, d->name);
    add_u64(b, POINT_DISK_BYTES, d->bytes);
    field_add(b, POINT_DISK_LOG2, true, &log2_chunk, 1);
    field_add(b, d->paged ? POINT_DISK_PAGES : POINT_DISK_MAP, true,
              d->map.data, d->map.len);
    field_add(b, POINT_DISK_SUM, true, d->sum, 32);
    field_end(b, at);
}

static void add_fields(struct buf *b, const struct point *p)
{
    field_add(b, POINT_SERIES, true, p->series.data, p->series.len);
    add_text(b, POINT_NAME, p->name);
    add_text(b, POINT_POOL, p->pool);
    add_text(b, POINT_METADATA, p->metadata);
    add_times(b, p);
    add_text(b, POINT_SOURCE, p->source_mode);
    add_text(b, POINT_CONSISTENCY, p->consistency);
    add_text(b, POINT_GATEWAY, p->gateway);
    add_previous(b, p);
    add_text(b, POINT_ROSTER, p->roster);
    add_text(b, POINT_RETENTION, p->retention);
    add_totals(b, p);
    if (p->unfinished)
        field_add(b, POINT_UNFINISHED, true, NULL, 0);
    add_text(b, POINT_REPLACES, p->replaces);
    field_add(b, POINT_VM, true, p->vm.b, 16);
    field_add(b, POINT_KEYS, true, p->key, p->keys * sizeof(*p->key));
    add_packs(b, p);
    for (size_t i = 0; i < p->disks; i++)
        add_disk(b, &p->disk[i]);
}

enum err_code point_encode(const struct point *p, struct buf *out,
                           struct err *err)
{
    struct point *again = NULL;
    size_t at = out->len;
    struct slice plain;

    add_fields(out, p);
    if (buf_failed(out))
        return err_set(err, ERR_NOMEM, 0, "point");
    /* What no reader would take is not to be written. */
    plain.data = out->data + at;
    plain.len = out->len - at;
    if (point_decode(plain, &again, err) != ERR_OK) {
        out->len = at;
        if (err->code == ERR_INTEGRITY)
            err->code = ERR_ARGUMENT;
        return err->code;
    }
    point_free(again);
    return ERR_OK;
}
