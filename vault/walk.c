/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map is read run by run and turned into wants of a struct fetch, which
 * brings chunks in order; what lies between two chunks is zero. Where the map
 * is cut into pages, a second fetch brings these, two ahead at most.
 *
 *   WALKING --all chunks taken--> ENDING_ZEROS --taken--> done
 *   a failure: FAILED, which waits for both fetches
 */
#include "vault/walk.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/seal_digest.h"
#include "loop/timer.h"
#include "vault/fetch.h"
#include "vault/map.h"
#include "vault/name.h"
#include "vault/pack_by_id.h"

#define PAGES_AHEAD 2
#define PAGE_MEMORY \
    (FETCH_OVERHEAD + FETCH_CHUNKS_MIN * (MAP_PAGE_BYTES + 8 * KIB))
#define PAGE_TABLES MIB

enum walk_state { WALK_WALKING, WALK_ENDING_ZEROS, WALK_FAILED };

/* A page that was read. */
struct page {
    uint64_t number;
    uint8_t *bytes; /* NULL: none */
    size_t len;
};

/* Runs of the disk's map, or of one page. */
struct cursor {
    struct map_reader runs;
    struct map_run run; /* what is left of it */
    uint64_t chunk;     /* number of its next chunk, or page */
};

struct walk {
    enum walk_state state;
    struct walk_opts opts;
    char point_name[NAME_TEXT];
    const struct point_disk *disk;
    uint64_t chunks;
    struct err err;
    struct timer turn;
    struct fetch *data, *pages; /* NULL: over */
    struct walk_figures figures;
    struct map_sum sum;
    struct seal_digest *digest;

    struct cursor map;      /* of the disk: chunks, or pages to be wanted */
    struct cursor expected; /* paged: which page comes next */
    struct cursor in_page;  /* paged: chunks of the page at hand */
    bool page_at_hand;
    struct map_page page; /* the page at hand: pages_read[0] */
    struct page pages_read[PAGES_AHEAD];
    uint32_t *by_id; /* paged: numbers of the pack table, by pack id */
};

static void settle(struct walk *w);

/* --- the end -------------------------------------------------------------- */

static void free_walk(struct walk *w)
{
    timer_stop(&w->turn);
    for (size_t i = 0; i < PAGES_AHEAD; i++)
        free(w->pages_read[i].bytes);
    free(w->by_id);
    seal_digest_free(w->digest);
    free(w);
}

static void fail(struct walk *w, const struct err *err)
{
    if (w->state == WALK_FAILED)
        return;
    w->state = WALK_FAILED;
    w->err = *err;
    if (err->code != ERR_CANCELLED)
        err_context(&w->err, "%s: disk %u", w->point_name, w->disk->position);
    if (w->data)
        fetch_cancel(w->data, err);
    if (w->pages)
        fetch_cancel(w->pages, err);
}

static enum err_code damaged(struct walk *w, const char *what)
{
    struct err err;

    err_set(&err, ERR_INTEGRITY, 0, "%s", what);
    fail(w, &err);
    return ERR_INTEGRITY;
}

static void count_requests(struct walk *w, const struct fetch_figures *f)
{
    w->figures.stored_bytes += f->stored_bytes;
    w->figures.chunks += f->chunks;
    w->figures.packs += f->tables;
    w->figures.body_gets += f->body_gets;
    w->figures.retries += f->retries;
}

/* --- runs into wants ------------------------------------------------------ */

/* The next run that is not zero, at its next chunk. False: there is none, or
 * the map is damaged and the walk has failed. */
static bool next_run(struct walk *w, struct cursor *c)
{
    struct err err = {0};

    while (!c->run.count || c->run.pack == MAP_ZERO) {
        c->chunk += c->run.count;
        c->run.count = 0;
        if (!map_next(&c->runs, &c->run, &err)) {
            if (err.code != ERR_OK)
                fail(w, &err);
            return false;
        }
    }
    return true;
}

static bool fill_want(struct walk *w, struct cursor *c, uint32_t pack,
                      enum seal_slot_kind kind, struct fetch_want *out)
{
    const struct point *point = w->opts.point;
    const struct point_pack *p = &point->pack[pack];

    if (p->kind != kind)
        return damaged(w, "its map names a pack of the wrong kind"), false;
    out->pack_id = p->id;
    out->kind = kind;
    out->key_id = point->key[p->key];
    out->slot = c->run.first++;
    out->number = c->chunk++;
    c->run.count--;
    return true;
}

/* --- pages ---------------------------------------------------------------- */

static enum fetch_more want_page(void *ctx, struct fetch_want *out)
{
    struct walk *w = ctx;

    if (w->state == WALK_FAILED)
        return FETCH_LATER;
    if (!next_run(w, &w->map))
        return w->state == WALK_FAILED ? FETCH_LATER : FETCH_END;
    out->raw_bytes = 0; /* as many as it has, up to MAP_PAGE_BYTES */
    return fill_want(w, &w->map, w->map.run.pack, SEAL_SLOT_MAP, out)
               ? FETCH_WANT
               : FETCH_LATER;
}

static bool on_page(void *ctx, const struct fetch_want *want,
                    const struct id16 *id, struct slice chunk)
{
    struct walk *w = ctx;
    struct err err;

    (void)id;
    for (size_t i = 0; i < PAGES_AHEAD; i++) {
        struct page *p = &w->pages_read[i];

        if (p->bytes)
            continue;
        p->bytes = malloc(chunk.len);
        if (!p->bytes) {
            err_set(&err, ERR_NOMEM, 0, "reading a page");
            fail(w, &err);
            return true;
        }
        memcpy(p->bytes, chunk.data, chunk.len);
        p->len = chunk.len;
        p->number = want->number;
        if (w->data)
            fetch_wake(w->data);
        return true;
    }
    return false;
}

static void on_pages_done(void *ctx, const struct err *err,
                          const struct fetch_figures *figures)
{
    struct walk *w = ctx;

    w->pages = NULL;
    count_requests(w, figures);
    if (err->code != ERR_OK)
        fail(w, err);
    settle(w);
}

static uint32_t page_chunks(const struct walk *w, uint64_t page)
{
    uint64_t left = w->chunks - page * MAP_PAGE_CHUNKS;

    return left < MAP_PAGE_CHUNKS ? (uint32_t)left : MAP_PAGE_CHUNKS;
}

/* The page behind is done with. */
static void drop_page(struct walk *w)
{
    if (!w->page_at_hand)
        return;
    w->page_at_hand = false;
    free(w->pages_read[0].bytes);
    memmove(&w->pages_read[0], &w->pages_read[1],
            (PAGES_AHEAD - 1) * sizeof(w->pages_read[0]));
    w->pages_read[PAGES_AHEAD - 1].bytes = NULL;
    if (w->pages)
        fetch_wake(w->pages);
}

/* Go on to the next page that is not zero. FETCH_WANT: it is at hand. */
static enum fetch_more turn_page(struct walk *w)
{
    struct page *p = &w->pages_read[0];
    struct err err;
    uint32_t chunks;

    drop_page(w);
    if (!next_run(w, &w->expected))
        return w->state == WALK_FAILED ? FETCH_LATER : FETCH_END;
    if (!p->bytes)
        return FETCH_LATER; /* on_page() wakes us */
    chunks = page_chunks(w, w->expected.chunk);
    if (map_page_open((struct slice){p->bytes, p->len}, chunks, &w->page,
                      &err) != ERR_OK) {
        err_context(&err, "page %ju", (uintmax_t)w->expected.chunk);
        fail(w, &err);
        return FETCH_LATER;
    }
    w->in_page.chunk = w->expected.chunk * MAP_PAGE_CHUNKS;
    w->in_page.run.count = 0;
    map_reader_init(&w->in_page.runs, w->page.runs, chunks, w->page.packs);
    w->expected.chunk++;
    w->expected.run.count--;
    w->page_at_hand = true;
    return FETCH_WANT;
}

/* --- chunks --------------------------------------------------------------- */

static enum fetch_more want_chunk(void *ctx, struct fetch_want *out)
{
    struct walk *w = ctx;
    struct cursor *c = w->disk->paged ? &w->in_page : &w->map;
    enum fetch_more more = FETCH_WANT;
    struct id16 id;
    uint32_t pack;

    if (w->state == WALK_FAILED)
        return FETCH_LATER;
    if (w->disk->paged)
        while (more == FETCH_WANT && (!w->page_at_hand || !next_run(w, c)))
            more = w->state == WALK_FAILED ? FETCH_LATER : turn_page(w);
    else if (!next_run(w, c))
        more = w->state == WALK_FAILED ? FETCH_LATER : FETCH_END;
    if (more != FETCH_WANT)
        return more;
    pack = c->run.pack;
    if (w->disk->paged) {
        id = map_page_pack(&w->page, pack);
        if (!pack_by_id_find(w->by_id, w->opts.point, &id, &pack)) {
            damaged(w, "a page names a pack that its table does not");
            return FETCH_LATER;
        }
    }
    out->raw_bytes = point_chunk_bytes(w->disk, c->chunk);
    return fill_want(w, c, pack, SEAL_SLOT_DATA, out) ? FETCH_WANT
                                                      : FETCH_LATER;
}

/* Deliver zeros up to `end`. False: refused. */
static bool give_zeros(struct walk *w, uint64_t end)
{
    uint64_t len = end - w->figures.bytes;

    if (!len)
        return true;
    if (w->opts.on_zero && !w->opts.on_zero(w->opts.ctx, w->figures.bytes, len))
        return false;
    w->figures.bytes = end;
    return true;
}

static bool on_chunk(void *ctx, const struct fetch_want *want,
                     const struct id16 *id, struct slice chunk)
{
    struct walk *w = ctx;
    uint64_t offset = want->number << w->disk->log2_chunk;
    struct err err;

    if (w->state == WALK_FAILED || !give_zeros(w, offset))
        return false;
    if (w->opts.on_data &&
        !w->opts.on_data(w->opts.ctx, offset, chunk.data, chunk.len))
        return false;
    w->figures.bytes += chunk.len;
    w->figures.data_bytes += chunk.len;
    if (!map_sum_add(&w->sum, w->digest, want->number, id)) {
        err_set(&err, ERR_NOMEM, 0, "content sum");
        fail(w, &err);
    }
    return true;
}

static void on_chunks_done(void *ctx, const struct err *err,
                           const struct fetch_figures *figures)
{
    struct walk *w = ctx;

    w->data = NULL;
    count_requests(w, figures);
    if (err->code != ERR_OK)
        fail(w, err);
    settle(w);
}

/* All chunks were delivered: the zeros behind the last, and the sum. */
static bool end_zeros(struct walk *w)
{
    uint8_t sum[32];

    if (w->state == WALK_WALKING)
        w->state = WALK_ENDING_ZEROS;
    if (w->state == WALK_FAILED)
        return true;
    if (!give_zeros(w, w->disk->bytes))
        return false;
    map_sum_put(&w->sum, sum);
    if (w->state != WALK_FAILED &&
        !bytes_equal_ct(sum, w->disk->sum, sizeof(sum)))
        damaged(w, "its content sum is wrong: a chunk is not the one that was "
                   "backed up");
    return true;
}

/* The last call of every callback; `w` may be gone after it. */
static void settle(struct walk *w)
{
    if (w->data || w->pages || !end_zeros(w))
        return;
    w->opts.done(w->opts.ctx, &w->err, &w->figures);
    free_walk(w);
}

static void on_turn(struct timer *t)
{
    settle((struct walk *)((char *)t - offsetof(struct walk, turn)));
}

/* --- outside -------------------------------------------------------------- */

/* Every DK that the point's data packs lie under. */
static enum err_code check_keys(const struct walk_opts *opts, struct err *err)
{
    const struct point *point = opts->point;

    for (size_t i = 0; i < point->packs; i++) {
        const struct id16 *id = &point->key[point->pack[i].key];
        char hex[33];

        if (point->pack[i].kind != SEAL_SLOT_DATA ||
            keyring_find(opts->keys, SEAL_KEY_DATA, id))
            continue;
        bytes_hex(id->b, 16, hex);
        return err_set(err, ERR_KEY, 0,
                       "%s: its data key %s is not held: this key may verify "
                       "the vault but not read it",
                       opts->point_name, hex);
    }
    return ERR_OK;
}

static enum err_code start_pages(struct walk *w, struct err *err)
{
    struct fetch_opts opts = {
        .store = w->opts.store,
        .keys = w->opts.keys,
        .memory_bytes = PAGE_MEMORY,
        .table_bytes = PAGE_TABLES,
        .raw_max = MAP_PAGE_BYTES,
        .next = want_page,
        .on_chunk = on_page,
        .done = on_pages_done,
        .ctx = w,
    };

    w->by_id = pack_by_id_make(w->opts.point);
    if (!w->by_id)
        return err_set(err, ERR_NOMEM, 0, "%s", w->point_name);
    return fetch_start(&opts, &w->pages, err);
}

static enum err_code start_fetches(struct walk *w, struct err *err)
{
    const struct point_disk *d = w->disk;
    uint64_t count = d->paged ? map_pages(w->chunks) : w->chunks;
    struct fetch_opts opts = {
        .store = w->opts.store,
        .keys = w->opts.keys,
        .memory_bytes = w->opts.memory_bytes - (d->paged ? PAGE_MEMORY : 0),
        .table_bytes = WALK_TABLE_BYTES,
        .raw_max = (uint32_t)1 << d->log2_chunk,
        .next = want_chunk,
        .on_chunk = on_chunk,
        .done = on_chunks_done,
        .ctx = w,
    };
    enum err_code rc;

    map_reader_init(&w->map.runs, d->map, count, w->opts.point->packs);
    w->expected.runs = w->map.runs;
    rc = fetch_start(&opts, &w->data, err);
    if (rc == ERR_OK && d->paged)
        rc = start_pages(w, err);
    return rc;
}

enum err_code walk_start(const struct walk_opts *opts, struct walk **out,
                         struct err *err)
{
    struct walk *w;
    enum err_code rc;

    if (opts->disk >= opts->point->disks ||
        opts->memory_bytes < WALK_MEMORY_MIN ||
        strlen(opts->point_name) >= NAME_TEXT)
        return err_set(err, ERR_ARGUMENT, 0, "no such disk or too little room");
    rc = check_keys(opts, err);
    if (rc != ERR_OK)
        return rc;
    w = calloc(1, sizeof(*w));
    if (!w)
        return err_set(err, ERR_NOMEM, 0, "%s", opts->point_name);
    w->opts = *opts;
    memcpy(w->point_name, opts->point_name, strlen(opts->point_name) + 1);
    w->opts.point_name = w->point_name;
    w->disk = &opts->point->disk[opts->disk];
    w->chunks = map_chunks(w->disk->bytes, w->disk->log2_chunk);
    w->digest = seal_digest_new(keyring_suite(opts->keys), SEAL_DIGEST_SHA256);
    rc = w->digest ? start_fetches(w, err)
                   : err_set(err, ERR_NOMEM, 0, "%s", opts->point_name);
    if (rc != ERR_OK) {
        fetch_abandon(w->data);
        free_walk(w);
        return rc;
    }
    *out = w;
    return ERR_OK;
}

void walk_resume(struct walk *w)
{
    if (w->data)
        fetch_wake(w->data);
    else
        timer_start(w->opts.store->loop, &w->turn, 0, on_turn);
}

void walk_cancel(struct walk *w)
{
    struct err err;

    err_set(&err, ERR_CANCELLED, 0, "%s: reading it was cancelled",
            w->point_name);
    fail(w, &err);
    if (!w->data && !w->pages)
        timer_start(w->opts.store->loop, &w->turn, 0, on_turn);
}

const struct walk_figures *walk_figures(const struct walk *w)
{
    return &w->figures;
}
