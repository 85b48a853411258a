/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/presence.h"

#include <stdlib.h>
#include <string.h>

#include "loop/timer.h"
#include "vault/fetch.h"
#include "vault/map.h"

#define TABLES (256 * KIB)

struct presence {
    struct presence_opts opts;
    const struct point_disk *disk;
    uint64_t chunks;
    uint8_t *bits;
    struct fetch *pages;    /* of a paged disk */
    struct map_reader runs; /* of pages */
    struct map_run run;
    uint64_t page; /* number of the run's next one */
    struct timer turn;
    struct err err;
};

static void finish(struct presence *p)
{
    uint8_t *take = NULL;

    timer_stop(&p->turn);
    if (p->err.code == ERR_OK) {
        take = p->bits;
        p->bits = NULL;
    } else if (p->err.code != ERR_CANCELLED) {
        err_context(&p->err, "disk %u", p->disk->position);
    }
    p->opts.done(p->opts.ctx, &p->err, take);
    free(p->bits);
    free(p);
}

static void on_turn(struct timer *t)
{
    finish((struct presence *)((char *)t - offsetof(struct presence, turn)));
}

/* The blocks that chunks [first, first + count) touch. */
static void mark(struct presence *p, uint64_t first, uint64_t count)
{
    uint64_t from = first << p->disk->log2_chunk;
    uint64_t to = (first + count) << p->disk->log2_chunk;
    uint64_t block, last;

    if (to > p->disk->bytes)
        to = p->disk->bytes;
    block = from >> p->opts.log2_block;
    last = (to - 1) >> p->opts.log2_block;
    for (; block <= last; block++)
        p->bits[block / 8] |= (uint8_t)(1u << block % 8);
}

/* All runs of a map or page whose first chunk is `chunk`. */
static enum err_code mark_runs(struct presence *p, struct map_reader *runs,
                               uint64_t chunk, struct err *err)
{
    struct map_run run;

    while (map_next(runs, &run, err)) {
        if (run.pack != MAP_ZERO)
            mark(p, chunk, run.count);
        chunk += run.count;
    }
    return err->code;
}

/* --- pages ---------------------------------------------------------------- */

static enum fetch_more want_page(void *ctx, struct fetch_want *out)
{
    struct presence *p = ctx;
    const struct point_pack *pack;
    struct err err;

    while (!p->run.count || p->run.pack == MAP_ZERO) {
        p->page += p->run.count;
        p->run.count = 0;
        if (map_next(&p->runs, &p->run, &err))
            continue;
        if (err.code == ERR_OK)
            return FETCH_END;
        fetch_cancel(p->pages, &err);
        return FETCH_LATER;
    }
    pack = &p->opts.point->pack[p->run.pack];
    if (pack->kind != SEAL_SLOT_MAP) {
        err_set(&err, ERR_INTEGRITY, 0,
                "its map names a pack of the wrong "
                "kind");
        fetch_cancel(p->pages, &err);
        return FETCH_LATER;
    }
    *out = (struct fetch_want){.pack_id = pack->id,
                               .kind = SEAL_SLOT_MAP,
                               .key_id = p->opts.point->key[pack->key],
                               .slot = p->run.first++,
                               .number = p->page++};
    p->run.count--;
    return FETCH_WANT;
}

static bool on_page(void *ctx, const struct fetch_want *want,
                    const struct id16 *id, struct slice chunk)
{
    struct presence *p = ctx;
    uint64_t first = want->number * MAP_PAGE_CHUNKS;
    uint64_t left = p->chunks - first;
    uint32_t chunks = left < MAP_PAGE_CHUNKS ? (uint32_t)left : MAP_PAGE_CHUNKS;
    struct map_reader runs;
    struct map_page page;
    struct err err;

    (void)id;
    if (map_page_open(chunk, chunks, &page, &err) == ERR_OK) {
        map_reader_init(&runs, page.runs, chunks, page.packs);
        mark_runs(p, &runs, first, &err);
    }
    if (err.code != ERR_OK) {
        err_context(&err, "page %ju", (uintmax_t)want->number);
        fetch_cancel(p->pages, &err);
    }
    return true;
}

static void on_pages_done(void *ctx, const struct err *err,
                          const struct fetch_figures *figures)
{
    struct presence *p = ctx;

    (void)figures;
    err_keep(&p->err, err);
    finish(p);
}

static enum err_code start_pages(struct presence *p, struct err *err)
{
    struct fetch_opts opts = {
        .store = p->opts.store,
        .keys = p->opts.keys,
        .memory_bytes = PRESENCE_MEMORY - TABLES,
        .table_bytes = TABLES,
        .raw_max = MAP_PAGE_BYTES,
        .next = want_page,
        .on_chunk = on_page,
        .done = on_pages_done,
        .ctx = p,
    };

    map_reader_init(&p->runs, p->disk->map, map_pages(p->chunks),
                    p->opts.point->packs);
    return fetch_start(&opts, &p->pages, err);
}

/* --- outside -------------------------------------------------------------- */

enum err_code presence_start(const struct presence_opts *opts,
                             struct presence **out, struct err *err)
{
    struct presence *p;
    struct map_reader runs;
    enum err_code rc = ERR_OK;

    if (opts->disk >= opts->point->disks || opts->log2_block < 12 ||
        opts->log2_block > 30)
        return err_set(err, ERR_ARGUMENT, 0, "no such disk or block size");
    p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(err, ERR_NOMEM, 0, "reading a map");
    p->opts = *opts;
    p->disk = &opts->point->disk[opts->disk];
    p->chunks = map_chunks(p->disk->bytes, p->disk->log2_chunk);
    p->bits = calloc(1, (size_t)(p->disk->bytes >> opts->log2_block) / 8 + 2);
    if (!p->bits)
        rc = err_set(err, ERR_NOMEM, 0, "reading a map");
    else if (p->disk->paged)
        rc = start_pages(p, err);
    if (rc != ERR_OK) {
        free(p->bits);
        free(p);
        return rc;
    }
    if (!p->disk->paged) {
        map_reader_init(&runs, p->disk->map, p->chunks, opts->point->packs);
        mark_runs(p, &runs, 0, &p->err);
        timer_start(opts->store->loop, &p->turn, 0, on_turn);
    }
    *out = p;
    return ERR_OK;
}

void presence_cancel(struct presence *p)
{
    struct err err;

    err_set(&err, ERR_CANCELLED, 0, "reading a map was cancelled");
    err_keep(&p->err, &err);
    if (p->pages)
        fetch_cancel(p->pages, &p->err);
}
