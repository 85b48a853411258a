/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The restore point: tables of the packs and keys that are needed, maps by
 * their numbers, what was known from the beginning, and what came of it.
 */
#include <stdlib.h>
#include <string.h>

#include "vault/session_commit.h"

/* Everything that a point borrows while it is encoded. */
struct draft {
    struct session *session;
    struct point point;
    uint32_t *number; /* ours -> the table's; MAP_ZERO: not needed */
    struct point_pack *pack;
    struct id16 *key;
    struct point_disk *disk;
    struct buf *map; /* of each disk */
};

static void draft_fini(struct draft *d)
{
    for (unsigned i = 0; d->map && i < d->session->disk_count; i++)
        buf_fini(&d->map[i]);
    free(d->number);
    free(d->pack);
    free(d->key);
    free(d->disk);
    free(d->map);
}

static bool draft_init(struct draft *d, struct session *s)
{
    size_t disks = s->disk_count + 1, refs = (size_t)s->ref_count + 1;

    memset(d, 0, sizeof(*d));
    d->session = s;
    d->number = malloc(refs * sizeof(*d->number));
    d->pack = calloc(refs, sizeof(*d->pack));
    d->key = calloc(refs + keyring_count(s->keys, SEAL_KEY_META) + 1,
                    sizeof(*d->key));
    d->disk = calloc(disks, sizeof(*d->disk));
    d->map = calloc(disks, sizeof(*d->map));
    for (unsigned i = 0; d->map && i < s->disk_count; i++)
        buf_init(&d->map[i], 512 * MIB);
    for (size_t i = 0; d->number && i < refs; i++)
        d->number[i] = MAP_ZERO;
    return d->number && d->pack && d->key && d->disk && d->map;
}

/* --- tables ---------------------------------------------------------- */

static uint16_t key_number(struct draft *d, const struct id16 *id)
{
    size_t i = 0;

    while (i < d->point.keys && !id16_equal(&d->key[i], id))
        i++;
    if (i == d->point.keys)
        d->key[d->point.keys++] = *id;
    return (uint16_t)i;
}

static uint32_t need_pack(struct draft *d, uint32_t ours)
{
    const struct session_pack_ref *ref = &d->session->refs[ours];
    struct point_pack *p = &d->pack[d->point.packs];

    if (d->number[ours] != MAP_ZERO)
        return d->number[ours];
    p->id = ref->id;
    p->kind = ref->kind;
    p->key = key_number(d, &ref->key_id);
    d->number[ours] = (uint32_t)d->point.packs++;
    return d->number[ours];
}

/* All MKs that are held, and the DK of the VM metadata. */
static void need_keys(struct draft *d)
{
    const struct keyring *keys = d->session->keys;

    for (size_t i = 0; i < keyring_count(keys, SEAL_KEY_META); i++)
        key_number(d, &keyring_at(keys, SEAL_KEY_META, i)->id);
    if (d->session->metadata.len)
        key_number(d, &keyring_current(keys, SEAL_KEY_DATA)->id);
}

/* --- disks ----------------------------------------------------------- */

/* Runs by our numbers -> runs by the table's. In pages: the packs they name
 * are needed, and the map is of the pages. */
static bool draw_map(struct draft *d, unsigned i)
{
    struct session_disk_state *state = d->session->disks[i];
    struct session_maps_reader r;
    struct map_writer w;
    struct map_run run;

    map_writer_init(&w, &d->map[i]);
    session_maps_read(state, &r);
    while (session_maps_next(&r, &run)) {
        if (run.pack != MAP_ZERO)
            run.pack = need_pack(d, run.pack);
        if (!state->pages)
            map_writer_add(&w, run);
    }
    for (uint64_t n = 0; state->pages && n < state->page_count; n++) {
        run = (struct map_run){1, state->pages[n].pack, state->pages[n].slot};
        if (run.pack != MAP_ZERO)
            run.pack = need_pack(d, run.pack);
        else
            run.first = 0;
        map_writer_add(&w, run);
    }
    return map_writer_end(&w) && !buf_failed(&state->map);
}

static struct slice text_of(const char *text)
{
    return (struct slice){(const uint8_t *)text, text ? strlen(text) : 0};
}

static bool draw_disks(struct draft *d)
{
    struct session *s = d->session;

    for (unsigned i = 0; i < s->disk_count; i++) {
        struct session_disk_state *state = s->disks[i];
        struct point_disk *out = &d->disk[i];

        if (!draw_map(d, i))
            return false;
        out->position = state->opts.position;
        out->vdi = state->opts.vdi;
        out->name = text_of(state->name);
        out->bytes = state->opts.bytes;
        out->log2_chunk = state->opts.log2_chunk;
        out->paged = state->pages != NULL;
        out->map = (struct slice){d->map[i].data, d->map[i].len};
        if (!out->map.data) /* a disk of no bytes has a map of none */
            out->map.data = (const uint8_t *)"";
        map_sum_put(&state->sum, out->sum);
    }
    return true;
}

/* Streams bring disks in an order of their own; a point has them by position.
 */
static int by_position(const void *a, const void *b)
{
    const struct point_disk *x = a, *y = b;

    return x->position < y->position ? -1 : x->position > y->position;
}

/* --- the rest -------------------------------------------------------- */

static void draw_point(struct draft *d)
{
    struct session *s = d->session;
    struct session_commit *c = s->commit;
    struct point *p = &d->point;

    p->series = text_of(s->opts.series);
    p->vm = s->opts.vm;
    p->name = text_of(s->opts.name);
    p->pool = text_of(s->opts.pool);
    p->source_mode = text_of(s->opts.source_mode);
    p->consistency = text_of(s->opts.consistency);
    p->gateway = text_of(s->opts.gateway);
    p->retention = text_of(s->opts.retention);
    p->start_ms = s->start_ms;
    p->end_ms = session_wall(s);
    p->previous = s->parent_ref;
    p->roster = (struct slice){s->roster.data, s->roster.len};
    p->has_totals = true;
    p->totals.read = s->figures.read;
    p->totals.changed = s->figures.known + s->figures.fresh;
    p->totals.fresh = s->figures.fresh;
    p->totals.stored = s->figures.stored;
    p->unfinished = c->unfinished;
    p->replaces = (struct slice){c->replaces.data, c->replaces.len};
    p->key = d->key;
    p->pack = d->pack;
    if (s->disk_count)
        qsort(d->disk, s->disk_count, sizeof(*d->disk), by_position);
    p->disk = d->disk;
    p->disks = s->disk_count;
    s->result.end_ms = p->end_ms;
}

static enum err_code seal(struct draft *d, struct err *err)
{
    struct session *s = d->session;
    struct session_commit *c = s->commit;
    struct name name = {.kind = NAME_POINT, .id = s->vm_tag}, parsed;
    struct slice metadata = {s->metadata.data, s->metadata.len};

    if (name_random(&name.rand, err) != ERR_OK)
        return err->code;
    name.time_ms = session_stamp(s);
    name_text(&name, c->name);
    /* Behind the year 9999 a name begins anew, and sorts before all others. */
    if (!name_parse(c->name, &parsed) || parsed.time_ms != name.time_ms)
        return err_set(err, ERR_CONFLICT, 0,
                       "%s: a point of this VM, or a collection list, is dated "
                       "so late that nothing can come after it",
                       s->opts.store->location);
    buf_fini(&c->object);
    if (c->unfinished)
        metadata.len = 0;
    if (point_seal(s->keys, c->name, &d->point, metadata, &c->object, err) !=
        ERR_OK)
        return err->code;
    if (!seal_digest_once(s->suite, SEAL_DIGEST_SHA256, c->object.data,
                          c->object.len, c->sha256))
        return err_set(err, ERR_NOMEM, 0, "%s", c->name);
    return ERR_OK;
}

/* By the table's numbers a map may have become too long for its field. */
static bool too_long(const struct draft *d)
{
    for (unsigned i = 0; i < d->session->disk_count; i++)
        if (!d->session->disks[i]->pages && d->map[i].len > MAP_FIELD_BYTES)
            return true;
    return false;
}

enum err_code session_point_build(struct session *s, struct err *err)
{
    struct draft d;

    err_clear(err);
    if (!draft_init(&d, s) || !draw_disks(&d)) {
        err_set(err, ERR_NOMEM, 0, "%s: point", s->opts.store->location);
    } else if (too_long(&d)) {
        /* A number takes at most 3 bytes in place of 1. */
        s->page_limit = MAP_FIELD_BYTES / 3;
        err_set(err, ERR_AGAIN, 0, "maps must go in pages");
    } else {
        need_keys(&d);
        draw_point(&d);
        seal(&d, err);
    }
    draft_fini(&d);
    return err->code;
}
