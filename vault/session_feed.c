/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces become batches: up to 1 MiB of chunks of one disk, with the ranges
 * between them. A raw slab is all that feeding waits for (and a place in the
 * ring): whoever was refused is called when one is in hand.
 */
#include "vault/session_inside.h"

#include <stdlib.h>
#include <string.h>

/* What is reserved before the session begins. */
#define FLOOR_RAW 2u
#define FLOOR_PACKED 1u

/* --- slabs ----------------------------------------------------------- */

void session_feed_note_peak(struct session *s)
{
    uint64_t bytes =
        (s->raw_held + s->packed_held) * MIB + s->parts_held * STORE_PART_BYTES;

    if (bytes > s->figures.slab_peak)
        s->figures.slab_peak = bytes;
}

static unsigned at_least(unsigned n, unsigned floor)
{
    return n > floor ? n : floor;
}

bool session_feed_reserve(struct session *s, uint64_t bytes)
{
    return budget_try(s->opts.budget, s->opts.tenant, bytes,
                      SESSION_FLOOR_BYTES);
}

/* Beyond the floor a slab's memory comes from the budget. */
static struct slab *take(struct session *s, unsigned *held, unsigned floor)
{
    unsigned reserved = at_least(s->raw_held, FLOOR_RAW) +
                        at_least(s->packed_held, FLOOR_PACKED);
    bool extra = *held >= floor;
    struct slab *slab;

    if (extra && (reserved >= s->slabs_max ||
                  !session_feed_reserve(s, SESSION_CHUNK_SLAB)))
        return NULL;
    slab = slab_take(s->opts.chunk_room);
    if (!slab) {
        if (extra)
            budget_give(s->opts.budget, s->opts.tenant, SESSION_CHUNK_SLAB);
        session_fail_at(s, ERR_NOMEM, "chunk buffers");
        return NULL;
    }
    ++*held;
    session_feed_note_peak(s);
    return slab;
}

static void give(struct session *s, struct slab **slab, unsigned *held,
                 unsigned floor)
{
    if (!*slab)
        return;
    slab_give(*slab);
    *slab = NULL;
    if (--*held >= floor)
        budget_give(s->opts.budget, s->opts.tenant, SESSION_CHUNK_SLAB);
}

static struct slab *take_raw(struct session *s)
{
    struct slab *slab = s->spare;

    s->spare = NULL;
    if (!slab && s->raw_held < SESSION_RAW_MAX)
        slab = take(s, &s->raw_held, FLOOR_RAW);
    return slab;
}

struct slab *session_feed_packed(struct session *s)
{
    return take(s, &s->packed_held, FLOOR_PACKED);
}

void session_feed_give_raw(struct session *s, struct slab **slab)
{
    give(s, slab, &s->raw_held, FLOOR_RAW);
}

void session_feed_give_packed(struct session *s, struct slab **slab)
{
    give(s, slab, &s->packed_held, FLOOR_PACKED);
}

/* --- batches --------------------------------------------------------- */

struct session_batch *session_feed_batch(struct session *s, bool raw)
{
    struct session_batch *b = session_batch_at(s, s->next);
    struct slab *slab = NULL;

    if (s->next - s->first == SESSION_BATCHES)
        return NULL;
    if (raw) {
        slab = take_raw(s);
        if (!slab)
            return NULL;
    }
    memset(b, 0, sizeof(*b));
    buf_init(&b->runs, 16 * MIB);
    b->session = s;
    b->state = BATCH_FILLING;
    b->raw = slab;
    s->next++;
    return b;
}

void session_feed_flush(struct session *s)
{
    struct session_batch *b = s->filling;

    s->filling = NULL;
    if (b)
        session_chunks_start(b);
}

bool session_feed_idle(const struct session *s)
{
    return s->first == s->next && !s->rest.count;
}

static uint32_t chunk_size(const struct session_disk_state *d)
{
    return (uint32_t)1 << d->opts.log2_chunk;
}

static unsigned data_entries(const struct session_batch *b)
{
    unsigned n = 0;

    for (unsigned i = 0; i < b->count; i++)
        n += b->entry[i].what == SESSION_DATA;
    return n;
}

static uint32_t whole_len(const struct session_disk_state *d, uint64_t chunk)
{
    uint64_t at = chunk << d->opts.log2_chunk;
    uint64_t left = d->opts.bytes - at;

    return left < chunk_size(d) ? (uint32_t)left : chunk_size(d);
}

/* The chunk that has begun and not ended, or NULL. */
static struct session_entry *open_chunk(const struct session *s)
{
    struct session_batch *b = s->filling;
    struct session_entry *e;

    if (!b || !b->count)
        return NULL;
    e = &b->entry[b->count - 1];
    return e->what == SESSION_DATA && e->len < whole_len(b->disk, e->chunk)
               ? e
               : NULL;
}

/* Chunks that still fit the batch in hand. */
static unsigned chunks_free(const struct session *s,
                            const struct session_disk_state *d)
{
    const struct session_batch *b = s->filling;
    unsigned all = (unsigned)(SESSION_CHUNK_SLAB >> d->opts.log2_chunk);
    unsigned slots;

    if (!b || !b->raw)
        return 0;
    slots = SESSION_ENTRIES - 1 - b->count;
    all -= data_entries(b);
    return all < slots ? all : slots;
}

/* Whether a further batch with a raw slab can be had: the slab is then in
 * hand, so that who was told so will not be refused. */
static bool can_begin(struct session *s)
{
    if (s->next - s->first >= SESSION_BATCHES - 1)
        return false;
    if (!s->spare)
        s->spare = take_raw(s);
    return s->spare != NULL;
}

/* The batch in hand, or a new one, with room for one more entry. NULL cannot
 * be: can_begin() was asked before. */
static struct session_batch *batch_for(struct session *s,
                                       struct session_disk_state *d, bool data)
{
    struct session_batch *b = s->filling;

    if (b && (b->count >= SESSION_ENTRIES - 1 ||
              (data && b->raw && !chunks_free(s, d)))) {
        session_feed_flush(s);
        b = NULL;
    }
    if (!b) {
        b = session_feed_batch(s, data);
        if (!b)
            return NULL;
        b->disk = d;
        s->filling = b;
    }
    if (data && !b->raw)
        b->raw = take_raw(s);
    return !data || b->raw ? b : NULL;
}

/* Off it goes when it can take no more, or its disk is at its end. */
static void flush_if_full(struct session *s, struct session_disk_state *d)
{
    if (open_chunk(s))
        return;
    if (d->fed == d->opts.bytes ||
        (s->filling && s->filling->raw && !chunks_free(s, d)))
        session_feed_flush(s);
}

/* --- what is taken --------------------------------------------------- */

/* Bytes into chunks; data NULL: zeros. */
static bool take_bytes(struct session *s, struct session_disk_state *d,
                       const uint8_t *data, size_t len)
{
    while (len) {
        struct session_entry *e = open_chunk(s);
        struct session_batch *b = s->filling;
        size_t n;

        if (!e) {
            b = batch_for(s, d, true);
            if (!b)
                return false;
            e = &b->entry[b->count];
            memset(e, 0, sizeof(*e));
            e->what = SESSION_DATA;
            e->chunk = d->fed >> d->opts.log2_chunk;
            e->count = 1;
            e->at = data_entries(b) << d->opts.log2_chunk;
            b->count++;
        }
        n = whole_len(d, e->chunk) - e->len;
        if (n > len)
            n = len;
        if (data)
            memcpy(b->raw->data + e->at + e->len, data, n);
        else
            memset(b->raw->data + e->at + e->len, 0, n);
        e->len += (uint32_t)n;
        d->fed += n;
        len -= n;
        data = data ? data + n : NULL;
        flush_if_full(s, d);
    }
    return true;
}

/* Whole chunks as one range. */
static bool take_range(struct session *s, struct session_disk_state *d,
                       enum session_what what, uint32_t chunks)
{
    struct session_batch *b = batch_for(s, d, false);
    struct session_entry *e, *before;

    if (!b)
        return false;
    before = b->count ? &b->entry[b->count - 1] : NULL;
    if (before && before->what == what && what == SESSION_ZERO) {
        before->count += chunks;
    } else {
        e = &b->entry[b->count++];
        memset(e, 0, sizeof(*e));
        e->what = what;
        e->chunk = d->fed >> d->opts.log2_chunk;
        e->count = chunks;
    }
    d->fed += (uint64_t)chunks << d->opts.log2_chunk;
    if (d->fed > d->opts.bytes)
        d->fed = d->opts.bytes;
    flush_if_full(s, d);
    return true;
}

static bool broken(struct session *s, const char *what)
{
    session_fail_at(s, ERR_ARGUMENT, what);
    return false;
}

/* Whether a call is in order at all; NULL: no. */
static struct session_disk_state *disk_for(struct session *s, unsigned disk,
                                           uint64_t offset, uint64_t len)
{
    struct session_disk_state *d;

    if (!session_alive(s) || s->paused)
        return NULL;
    if (s->state == SESSION_ANCHORING) {
        s->paused = true;
        return NULL;
    }
    if (s->state != SESSION_RUNNING || s->finishing || disk >= s->disk_count) {
        broken(s, "data for a disk that is not there");
        return NULL;
    }
    d = s->disks[disk];
    if (disk && s->disks[disk - 1]->fed != s->disks[disk - 1]->opts.bytes) {
        broken(s, "data for a disk while the one before is not complete");
        return NULL;
    }
    if (offset != d->fed || len > d->opts.bytes - offset) {
        broken(s, "data out of order, or beyond the disk's end");
        return NULL;
    }
    return d;
}

static bool refused(struct session *s)
{
    if (session_alive(s))
        s->paused = true;
    return false;
}

static bool is_whole(const struct session_disk_state *d, uint64_t at)
{
    return at % chunk_size(d) == 0 || at == d->opts.bytes;
}

bool session_write(struct session *s, unsigned disk, uint64_t offset,
                   const void *data, size_t len)
{
    struct session_disk_state *d = disk_for(s, disk, offset, len);
    const struct session_entry *e;
    uint64_t room;

    if (!d)
        return false;
    if (len > SESSION_WRITE_MAX)
        return broken(s, "a piece of over 256 KiB");
    e = open_chunk(s);
    room = (uint64_t)chunks_free(s, d) << d->opts.log2_chunk;
    room += e ? whole_len(d, e->chunk) - e->len : 0;
    if ((s->rest.count || len > room) && !can_begin(s))
        return refused(s);
    if (!take_bytes(s, d, data, len))
        return broken(s, "no batch");
    s->figures.read += len;
    s->figures.data += len;
    return true;
}

bool session_zero(struct session *s, unsigned disk, uint64_t offset,
                  uint64_t len)
{
    struct session_disk_state *d = disk_for(s, disk, offset, len);
    uint64_t head, body;

    if (!d)
        return false;
    if (!can_begin(s))
        return refused(s);
    /* the rest of the chunk that has begun, whole chunks, the first bytes of
     * one more */
    head = is_whole(d, offset) ? 0 : chunk_size(d) - offset % chunk_size(d);
    if (head > len)
        head = len;
    if (!take_bytes(s, d, NULL, (size_t)head))
        return broken(s, "no batch");
    body = len - head;
    if (offset + len != d->opts.bytes)
        body -= body % chunk_size(d);
    if (body && !take_range(s, d, SESSION_ZERO,
                            (uint32_t)map_chunks(body, d->opts.log2_chunk)))
        return broken(s, "no batch");
    if (!take_bytes(s, d, NULL, (size_t)(len - head - body)))
        return broken(s, "no batch");
    s->figures.read += len;
    return true;
}

/* As much of the range as there is room for; the rest when there is. */
static void take_rest(struct session *s, struct session_disk_state *d)
{
    while (s->rest.count && session_alive(s)) {
        uint64_t n =
            s->rest.count < SESSION_WINDOW ? s->rest.count : SESSION_WINDOW;

        if (!can_begin(s) || !take_range(s, d, SESSION_UNCHANGED, (uint32_t)n))
            return;
        s->rest.chunk += n;
        s->rest.count -= n;
    }
}

bool session_unchanged(struct session *s, unsigned disk, uint64_t offset,
                       uint64_t len)
{
    struct session_disk_state *d = disk_for(s, disk, offset, len);

    if (!d)
        return false;
    if (!d->opts.incremental || !is_whole(d, offset) ||
        !is_whole(d, offset + len))
        return broken(s, "a range that cannot be unchanged");
    if (!len)
        return true;
    if (s->rest.count || !can_begin(s))
        return refused(s);
    s->rest.chunk = offset >> d->opts.log2_chunk;
    s->rest.count = map_chunks(len, d->opts.log2_chunk);
    s->figures.read += len;
    s->figures.unchanged += len;
    take_rest(s, d);
    s->paused = s->rest.count > 0;
    return true;
}

/* --- from the pump --------------------------------------------------- */

void session_feed_go(struct session *s)
{
    if (s->rest.count) {
        /* the first disk that is not at its end is the one */
        for (unsigned i = 0; i < s->disk_count; i++)
            if (s->disks[i]->fed != s->disks[i]->opts.bytes) {
                take_rest(s, s->disks[i]);
                break;
            }
        if (s->rest.count)
            return;
    }
    if (!s->paused || s->state != SESSION_RUNNING || !session_alive(s) ||
        !can_begin(s))
        return;
    s->paused = false;
    if (s->events.drained)
        s->events.drained(s->opts.ctx);
}

void session_feed_free(struct session *s)
{
    if (s->batch) {
        for (unsigned i = 0; i < SESSION_BATCHES; i++) {
            session_feed_give_raw(s, &s->batch[i].raw);
            session_feed_give_packed(s, &s->batch[i].packed);
            buf_fini(&s->batch[i].runs);
        }
    }
    session_feed_give_raw(s, &s->parked.raw);
    session_feed_give_raw(s, &s->spare);
    free(s->batch);
}

/* --- disks ----------------------------------------------------------- */

/* The parent's disk with this VDI; else, unless it must be that one, the disk
 * at this position. */
static const struct point_disk *parent_disk(const struct session *s,
                                            const struct session_disk *d)
{
    const struct point *p = s->parent;

    for (size_t i = 0; p && i < p->disks; i++)
        if (id16_equal(&p->disk[i].vdi, &d->vdi))
            return &p->disk[i];
    for (size_t i = 0; p && !d->incremental && i < p->disks; i++)
        if (p->disk[i].position == d->position)
            return &p->disk[i];
    return NULL;
}

static enum err_code check_disk(const struct session *s,
                                const struct session_disk *d,
                                const struct point_disk *from, struct err *err)
{
    if (s->state != SESSION_RUNNING && s->state != SESSION_ANCHORING)
        return err_set(err, ERR_ARGUMENT, 0, "disk %u: not now", d->position);
    if (d->log2_chunk < 16 || d->log2_chunk > 20 ||
        map_chunks(d->bytes, d->log2_chunk) > MAP_CHUNKS_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "disk %u: its size", d->position);
    for (unsigned i = 0; i < s->disk_count; i++)
        if (s->disks[i]->opts.position == d->position)
            return err_set(err, ERR_ARGUMENT, 0, "disk %u comes twice",
                           d->position);
    if (d->name && strlen(d->name) > POINT_TEXT_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "disk %u: its name", d->position);
    if (d->incremental &&
        (!from || from->bytes != d->bytes || from->log2_chunk != d->log2_chunk))
        return err_set(err, ERR_NOT_FOUND, 0,
                       "disk %u: the point before has no such disk",
                       d->position);
    return ERR_OK;
}

enum err_code session_add_disk(struct session *s, const struct session_disk *d,
                               unsigned *number, struct err *err)
{
    const struct point_disk *from = parent_disk(s, d);
    struct session_disk_state *state = NULL, **more;
    struct session_disk opts = *d;

    if (!opts.log2_chunk)
        opts.log2_chunk = from ? from->log2_chunk : s->settings.log2_chunk;
    if (check_disk(s, &opts, from, err) != ERR_OK)
        return err->code;
    more = realloc(s->disks,
                   (s->disk_count + 1) * sizeof(struct session_disk_state *));
    if (more)
        s->disks = more;
    state = more ? calloc(1, sizeof(*state)) : NULL;
    if (state && d->name)
        state->name = strdup(d->name);
    if (!state || (d->name && !state->name)) {
        free(state);
        return err_set(err, ERR_NOMEM, 0, "disk %u", d->position);
    }
    state->opts = opts;
    state->opts.name = state->name;
    state->chunks = map_chunks(opts.bytes, opts.log2_chunk);
    /* Another grid has other chunks: nothing can be compared. */
    state->from = from && from->log2_chunk == opts.log2_chunk ? from : NULL;
    buf_init(&state->map, 512 * MIB);
    map_writer_init(&state->writer, &state->map);
    if (opts.incremental)
        map_sum_get(&state->sum, from->sum);
    *number = s->disk_count;
    s->disks[s->disk_count++] = state;
    return ERR_OK;
}
