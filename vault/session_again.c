/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is condemned among our references is stored again, from the condemned
 * pack while it is there and its key is held: read one by one, fed through the
 * same batches as everything else, and the maps are rewritten.
 */
#include <stdlib.h>
#include <string.h>

#include "vault/session_commit.h"

/* --- what is condemned ----------------------------------------------- */

static bool map_hits(const struct session *s, struct session_disk_state *d)
{
    struct session_maps_reader r;
    struct map_run run;
    uint32_t first, count;

    session_maps_read(d, &r);
    while (session_maps_next(&r, &run))
        if (run.pack != MAP_ZERO &&
            session_hits(s, run.pack, run.first, run.count, &first, &count))
            return true;
    return false;
}

bool session_again_is_needed(const struct session *s)
{
    if (!condemned_packs(list_set_condemned(s->lists)) &&
        !condemned_packs(s->gone))
        return false;
    for (unsigned i = 0; i < s->disk_count; i++) {
        struct session_disk_state *d = s->disks[i];

        for (uint64_t n = 0; d->pages && n < d->page_count; n++)
            if (d->pages[n].pack != MAP_ZERO &&
                session_condemned(s, d->pages[n]))
                return true;
        if (map_hits(s, d))
            return true;
    }
    return false;
}

static bool add(struct session_commit *c, struct session_ref before)
{
    if (c->again_count == c->again_room) {
        size_t room = c->again_room ? 2 * c->again_room : 64;
        struct session_again *more = realloc(c->again, room * sizeof(*more));

        if (!more)
            return false;
        c->again = more;
        c->again_room = room;
    }
    c->again[c->again_count].before = before;
    c->again[c->again_count++].now = (struct session_ref){MAP_ZERO, 0};
    return true;
}

static bool add_hits(struct session *s, const struct map_run *run)
{
    uint32_t at = run->first, end = run->first + run->count, first, count;

    while (at < end &&
           session_hits(s, run->pack, at, end - at, &first, &count)) {
        for (uint32_t i = 0; i < count; i++)
            if (!add(s->commit, (struct session_ref){run->pack, first + i}))
                return false;
        at = first + count;
    }
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct session_ref *x = &((const struct session_again *)a)->before;
    const struct session_ref *y = &((const struct session_again *)b)->before;

    if (x->pack != y->pack)
        return x->pack < y->pack ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static void sort_unique(struct session_commit *c)
{
    size_t kept = 0;

    qsort(c->again, c->again_count, sizeof(*c->again), compare);
    for (size_t i = 0; i < c->again_count; i++)
        if (!kept || compare(&c->again[kept - 1], &c->again[i]) != 0)
            c->again[kept++] = c->again[i];
    c->again_count = kept;
}

bool session_again_gather(struct session *s)
{
    struct session_commit *c = s->commit;

    c->again_count = c->again_next = 0;
    for (unsigned i = 0; i < s->disk_count; i++) {
        struct session_maps_reader r;
        struct map_run run;

        session_maps_read(s->disks[i], &r);
        while (session_maps_next(&r, &run))
            if (run.pack != MAP_ZERO && !add_hits(s, &run)) {
                session_fail_at(s, ERR_NOMEM, "condemned chunks");
                return false;
            }
    }
    if (c->again_count)
        sort_unique(c);
    return c->again_count > 0;
}

static struct session_again *find(struct session_commit *c,
                                  struct session_ref before)
{
    struct session_again key = {.before = before};

    if (!c->again_count)
        return NULL;
    return bsearch(&key, c->again, c->again_count, sizeof(*c->again), compare);
}

void session_commit_again(struct session *s, struct session_ref before,
                          struct session_ref now)
{
    struct session_again *a = find(s->commit, before);

    if (a)
        a->now = now;
}

/* --- the maps -------------------------------------------------------- */

/* The first entry of the sorted array that is not before a place. */
static size_t lower_bound(const struct session_commit *c,
                          struct session_ref ref)
{
    struct session_again key = {.before = ref};
    size_t low = 0, high = c->again_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (compare(&c->again[mid], &key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void rewrite_run(struct session *s, struct map_writer *w,
                        struct map_run run)
{
    const struct session_commit *c = s->commit;
    uint32_t at = run.first, end = run.first + run.count;
    size_t i = lower_bound(c, (struct session_ref){run.pack, run.first});

    for (; i < c->again_count && c->again[i].before.pack == run.pack &&
           c->again[i].before.slot < end;
         i++) {
        uint32_t slot = c->again[i].before.slot;

        map_writer_add(w, (struct map_run){slot - at, run.pack, at});
        map_writer_add(
            w, (struct map_run){1, c->again[i].now.pack, c->again[i].now.slot});
        at = slot + 1;
    }
    map_writer_add(w, (struct map_run){end - at, run.pack, at});
}

static void rewrite_map(struct session *s, struct session_disk_state *d)
{
    struct session_maps_reader r;
    struct map_writer w;
    struct map_run run;
    struct buf map;
    uint64_t chunks = d->writer.chunks;

    session_maps_read(d, &r);
    r.tail = 0;
    buf_init(&map, d->map.max);
    map_writer_init(&w, &map);
    while (session_maps_next(&r, &run)) {
        if (run.pack == MAP_ZERO)
            map_writer_add(&w, run);
        else
            rewrite_run(s, &w, run);
    }
    if (!map_writer_end(&w) || w.chunks != chunks) {
        session_fail_at(s, ERR_NOMEM, "map");
        buf_fini(&map);
        return;
    }
    buf_fini(&d->map);
    d->map = map;
    map_writer_init(&d->writer, &d->map);
    d->writer.chunks = chunks;
}

/* --- reading --------------------------------------------------------- */

static void on_chunk(void *ctx, const struct err *err, const uint8_t *raw,
                     const struct pack_slot *slot)
{
    struct session *s = ctx;
    struct session_commit *c = s->commit;
    struct session_batch *b = c->batch;
    struct err e = *err;

    c->reading = false;
    if (e.code == ERR_NOT_FOUND || e.code == ERR_INTEGRITY ||
        e.code == ERR_KEY || e.code == ERR_COLD) {
        /* The next session finds the lists read, and stores from its source. */
        e.code = ERR_AGAIN;
        err_context(&e, "a chunk was condemned meanwhile and cannot be stored "
                        "again");
    }
    if (e.code != ERR_OK)
        session_fail(s, &e);
    if (session_alive(s)) {
        struct session_entry *entry = &b->entry[b->count++];

        memset(entry, 0, sizeof(*entry));
        entry->what = SESSION_AGAIN;
        entry->count = 1;
        entry->at = c->batch_bytes;
        entry->len = slot->raw;
        entry->before = c->again[c->again_next++].before;
        memcpy(b->raw->data + entry->at, raw, slot->raw);
        c->batch_bytes += slot->raw;
    }
    session_release(s);
}

static void read_next(struct session *s)
{
    struct session_commit *c = s->commit;
    const struct session_again *a = &c->again[c->again_next];
    struct chunk_read_opts opts = {
        .kind = SEAL_SLOT_DATA,
        .pack_id = s->refs[a->before.pack].id,
        .slot = a->before.slot,
        .done = on_chunk,
        .ctx = s,
    };
    struct err err;

    if (!c->reader)
        c->reader = chunk_read_new(s->opts.store, s->keys);
    if (!c->reader) {
        session_fail_at(s, ERR_NOMEM, "condemned chunks");
    } else if (chunk_read_start(c->reader, &opts, &err) != ERR_OK) {
        session_fail(s, &err);
    } else {
        c->reading = true;
        s->busy++;
    }
}

/* Off goes the batch when it might not take another chunk, or at the end. */
static void flush(struct session *s)
{
    struct session_commit *c = s->commit;
    bool full = c->batch->count == SESSION_DATA_ENTRIES ||
                c->batch_bytes + PACK_LAYOUT_RAW_MAX > SESSION_CHUNK_SLAB;

    if (!c->batch->count || (!full && c->again_next < c->again_count))
        return;
    session_chunks_start(c->batch);
    c->batch = NULL;
}

bool session_again_go(struct session *s)
{
    struct session_commit *c = s->commit;

    if (c->reading)
        return false;
    if (c->batch)
        flush(s);
    if (c->again_next < c->again_count) {
        if (!c->batch) {
            c->batch = session_feed_batch(s, true);
            c->batch_bytes = 0;
        }
        if (c->batch)
            read_next(s);
        return false;
    }
    if (!session_feed_idle(s))
        return false;
    for (unsigned i = 0; i < s->disk_count; i++)
        rewrite_map(s, s->disks[i]);
    return session_alive(s);
}

void session_again_cancel(struct session *s)
{
    if (s->commit->reading)
        chunk_read_cancel(s->commit->reader);
}
