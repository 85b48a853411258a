/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps over 1 MiB go in pages: each is a chunk of kind 1, found by its id where
 * it is as before, sealed into a map pack where it is new.
 */
#include <stdlib.h>
#include <string.h>

#include "vault/session_commit.h"

#define PAGES_PER_BATCH (SESSION_CHUNK_SLAB / MAP_PAGE_BYTES)

/* --- reading what was written ---------------------------------------- */

void session_maps_read(struct session_disk_state *d,
                       struct session_maps_reader *r)
{
    /* What is not written yet: the writer goes on behind it. */
    if (!map_writer_end(&d->writer))
        d->map.failed = true; /* told when the point is built */
    map_reader_init(&r->map, (struct slice){d->map.data, d->map.len},
                    d->writer.chunks, MAP_ZERO);
    r->tail = d->chunks - d->writer.chunks;
}

bool session_maps_next(struct session_maps_reader *r, struct map_run *run)
{
    struct err err;

    if (map_next(&r->map, run, &err))
        return true;
    if (!r->tail)
        return false;
    *run = (struct map_run){(uint32_t)r->tail, MAP_ZERO, 0};
    r->tail = 0;
    return true;
}

/* --- pages ----------------------------------------------------------- */

static struct id16 id_of(void *ctx, uint32_t pack)
{
    const struct session *s = ctx;

    return s->refs[pack].id;
}

/* The runs of the next page, cut at its end. */
static uint32_t page_runs(struct session_commit *c,
                          struct session_maps_reader *r, uint32_t chunks,
                          struct map_run *runs)
{
    uint32_t count = 0;

    while (chunks) {
        struct map_run *left = &c->page_run, *run = &runs[count++];

        if (!left->count && !session_maps_next(r, left))
            return 0;
        *run = *left;
        if (run->count > chunks)
            run->count = chunks;
        left->count -= run->count;
        if (left->pack != MAP_ZERO)
            left->first += run->count;
        chunks -= run->count;
    }
    return count;
}

static bool all_zero(const struct map_run *runs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (runs[i].pack != MAP_ZERO)
            return false;
    return true;
}

/* The next page of the disk into the batch; false: it has no chunk. */
static bool add_page(struct session *s, struct session_disk_state *d,
                     struct session_batch *b)
{
    struct session_commit *c = s->commit;
    uint64_t left = d->chunks - c->page * MAP_PAGE_CHUNKS;
    uint32_t chunks = left < MAP_PAGE_CHUNKS ? (uint32_t)left : MAP_PAGE_CHUNKS;
    struct session_entry *e = &b->entry[b->count];
    struct err err;
    uint32_t count = page_runs(c, &c->page_reader, chunks, c->page_runs);

    d->pages[c->page].pack = MAP_ZERO;
    c->page++;
    if (all_zero(c->page_runs, count))
        return false;
    buf_clear(&c->page_bytes);
    if (map_page_add(&c->page_bytes, c->page_runs, count, id_of, s, &err) !=
        ERR_OK) {
        session_fail(s, &err);
        return false;
    }
    memset(e, 0, sizeof(*e));
    e->what = SESSION_PAGE;
    e->count = 1;
    e->chunk = c->page - 1;
    e->at = (uint32_t)(b->count * MAP_PAGE_BYTES);
    e->len = (uint32_t)c->page_bytes.len;
    memcpy(b->raw->data + e->at, c->page_bytes.data, e->len);
    b->count++;
    return true;
}

void session_commit_page(struct session *s, uint64_t page,
                         struct session_ref ref)
{
    s->disks[s->commit->page_disk]->pages[page] = ref;
}

/* Whether a disk's map has to go in pages, and the room for them. */
static bool begin_disk(struct session *s, struct session_disk_state *d)
{
    struct session_commit *c = s->commit;

    free(d->pages);
    d->pages = NULL;
    session_maps_read(d, &c->page_reader);
    if (d->map.len <= s->page_limit)
        return false;
    d->page_count = map_pages(d->chunks);
    d->pages = calloc(d->page_count, sizeof(*d->pages));
    if (!d->pages) {
        session_fail_at(s, ERR_NOMEM, "pages");
        return false;
    }
    c->page = 0;
    c->page_run.count = 0;
    return true;
}

void session_maps_begin(struct session *s)
{
    s->commit->page_disk = 0;
    s->commit->page_begun = false;
}

/* Feed what there is room for; true: the disk has all its pages. */
static bool feed_pages(struct session *s, struct session_disk_state *d)
{
    struct session_commit *c = s->commit;

    while (c->page < d->page_count && session_alive(s)) {
        struct session_batch *b = session_feed_batch(s, true);

        if (!b)
            return false;
        b->kind = SEAL_SLOT_MAP;
        while (b->count < PAGES_PER_BATCH && c->page < d->page_count)
            add_page(s, d, b);
        session_chunks_start(b);
    }
    return session_feed_idle(s);
}

bool session_maps_go(struct session *s)
{
    struct session_commit *c = s->commit;

    for (; c->page_disk < s->disk_count; c->page_disk++) {
        struct session_disk_state *d = s->disks[c->page_disk];

        if (!c->page_begun && !begin_disk(s, d)) {
            if (!session_alive(s))
                return false;
            continue;
        }
        c->page_begun = true;
        if (!feed_pages(s, d))
            return false;
        c->page_begun = false;
    }
    return session_alive(s);
}
