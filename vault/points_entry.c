/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/points_entry.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/seal_slot.h"
#include "crypto/seal_stream.h"

/* Copy text that was checked to be UTF-8, cut in front of a letter. */
static void copy_text(char *to, size_t size, struct slice from)
{
    size_t len = from.len < size ? from.len : size - 1;

    if (len < from.len)
        while (len && (from.data[len] & 0xc0) == 0x80)
            len--;
    if (len)
        memcpy(to, from.data, len);
    to[len] = 0;
}

static void add_key(struct points_entry *e, const struct id16 *id)
{
    for (size_t i = 0; i < e->data_key_count; i++)
        if (id16_equal(&e->data_keys[i], id))
            return;
    e->data_keys[e->data_key_count++] = *id;
}

/* Which DKs the point needs: its data packs' and its VM metadata's. */
static enum err_code fill_keys(struct points_entry *e,
                               const struct keyring *keys,
                               const struct point *p, struct err *err)
{
    bool *used = calloc(p->keys + 1, sizeof(*used));
    struct id16 metadata;
    struct err e2;

    e->data_keys = malloc((p->keys + 1) * sizeof(*e->data_keys));
    if (!e->data_keys || !used) {
        free(used);
        return err_set(err, ERR_NOMEM, 0, "%s", e->name);
    }
    for (size_t i = 0; i < p->packs; i++)
        if (p->pack[i].kind == SEAL_SLOT_DATA)
            used[p->pack[i].key] = true;
    for (size_t i = 0; i < p->keys; i++)
        if (used[i])
            add_key(e, &p->key[i]);
    free(used);
    if (p->metadata.len &&
        seal_stream_key_id(SEAL_STREAM_METADATA, p->metadata.data,
                           p->metadata.len, &metadata, &e2) == ERR_OK)
        add_key(e, &metadata);
    e->has_keys = true;
    for (size_t i = 0; i < e->data_key_count; i++)
        if (!keyring_find(keys, SEAL_KEY_DATA, &e->data_keys[i]))
            e->has_keys = false;
    return ERR_OK;
}

static enum err_code fill_disks(struct points_entry *e, const struct point *p,
                                struct err *err)
{
    e->disk = calloc(p->disks + 1, sizeof(*e->disk));
    if (!e->disk)
        return err_set(err, ERR_NOMEM, 0, "%s", e->name);
    for (size_t i = 0; i < p->disks; i++) {
        const struct point_disk *from = &p->disk[i];

        e->disk[i].position = from->position;
        e->disk[i].vdi = from->vdi;
        e->disk[i].bytes = from->bytes;
        e->disk[i].log2_chunk = from->log2_chunk;
        copy_text(e->disk[i].name, sizeof(e->disk[i].name), from->name);
    }
    e->disks = p->disks;
    return ERR_OK;
}

enum err_code points_entry_fill(struct points_entry *e,
                                const struct keyring *keys,
                                const struct point *p, struct err *err)
{
    copy_text(e->series, sizeof(e->series), p->series);
    e->vm = p->vm;
    copy_text(e->vm_name, sizeof(e->vm_name), p->name);
    copy_text(e->pool, sizeof(e->pool), p->pool);
    copy_text(e->source_mode, sizeof(e->source_mode), p->source_mode);
    copy_text(e->consistency, sizeof(e->consistency), p->consistency);
    copy_text(e->gateway, sizeof(e->gateway), p->gateway);
    copy_text(e->retention, sizeof(e->retention), p->retention);
    e->start_ms = p->start_ms;
    e->end_ms = p->end_ms;
    e->has_totals = p->has_totals;
    e->totals = p->totals;
    e->has_metadata = p->metadata.len > 0;
    if (p->unfinished)
        e->state = POINTS_UNFINISHED;
    if (fill_disks(e, p, err) != ERR_OK)
        return ERR_NOMEM;
    return fill_keys(e, keys, p, err);
}

void points_entry_fini(struct points_entry *e)
{
    free(e->disk);
    free(e->data_keys);
    e->disk = NULL;
    e->data_keys = NULL;
    e->disks = e->data_key_count = 0;
}
