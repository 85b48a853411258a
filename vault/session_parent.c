/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent's places and ids, read ahead in windows of 1,024 chunks: one in
 * use, one being filled. A cursor walks the parent's map (page by page, where
 * it is in pages); the ids come from the index in ranges of slots and, where an
 * incremental disk must know them and the index does not, from the packs.
 */
#include "vault/session_inside.h"

#include <stdlib.h>
#include <string.h>

#include "vault/chunk_read.h"
#include "vault/pack_read.h"

struct session_parent {
    struct session_disk_state *disk; /* that the windows are of */
    struct session_window *use, *next;
    bool wanted; /* somebody waits for chunk `want` */
    uint64_t want;
    uint32_t *numbers; /* the parent's pack numbers -> ours */

    /* the cursor: chunk `at` is in `run`, `left` of which are to come */
    uint64_t at;
    struct map_run run;
    uint32_t left;
    struct map_reader map; /* of the disk, or of its pages' places */
    struct map_run pages;  /* of pages; `pages_left` to come */
    uint32_t pages_left;
    uint64_t page; /* the next page's number */
    bool page_open;
    uint8_t *page_bytes;
    struct map_page page_ids;
    struct map_reader page_map;

    struct session_window *filling; /* NULL: none */
    uint32_t filled;                /* chunks of it that have a place */
    uint32_t ranges;
    uint32_t fixed;            /* ranges whose ids are known */
    struct chunk_read *reader; /* of pages */
    bool reading;
    struct pack_read *pack; /* for ids that the index lacks */
    bool opening;
};

static void fill_more(struct session *s);

/* --- the parent fails us --------------------------------------------- */

/* Without its parent a disk is read in full; one that only brings changes
 * cannot be. */
static void lose_parent(struct session *s, const struct err *err)
{
    struct session_parent *p = s->reader;
    struct err e = *err;

    if (p->filling)
        p->filling->state = WINDOW_EMPTY;
    p->filling = NULL;
    if (!p->disk)
        return;
    if (p->disk->opts.incremental) {
        err_context(&e, "%s", s->parent_ref.name);
        session_fail(s, &e);
        return;
    }
    p->disk->from = NULL;
    s->result.warnings++;
}

/* --- the cursor ------------------------------------------------------ */

static void on_page(void *ctx, const struct err *err, const uint8_t *raw,
                    const struct pack_slot *slot);

static uint32_t page_chunks(const struct session_parent *p, uint64_t page)
{
    uint64_t all = map_chunks(p->disk->from->bytes, p->disk->from->log2_chunk);
    uint64_t left = all - page * MAP_PAGE_CHUNKS;

    return left < MAP_PAGE_CHUNKS ? (uint32_t)left : MAP_PAGE_CHUNKS;
}

static void fetch_page(struct session *s)
{
    struct session_parent *p = s->reader;
    struct chunk_read_opts opts = {
        .kind = SEAL_SLOT_MAP,
        .pack_id = s->parent->pack[p->pages.pack].id,
        .slot = p->pages.first + (p->pages.count - p->pages_left),
        .done = on_page,
        .ctx = s,
    };
    struct err err;

    if (!p->reader)
        p->reader = chunk_read_new(s->opts.store, s->keys);
    if (!p->reader) {
        session_fail_at(s, ERR_NOMEM, "pages");
        return;
    }
    if (chunk_read_start(p->reader, &opts, &err) != ERR_OK) {
        session_fail(s, &err);
        return;
    }
    p->reading = true;
    s->busy++;
}

static void on_page(void *ctx, const struct err *err, const uint8_t *raw,
                    const struct pack_slot *slot)
{
    struct session *s = ctx;
    struct session_parent *p = s->reader;
    struct err e = *err;

    p->reading = false;
    if (session_alive(s) && e.code == ERR_OK && slot->raw > MAP_PAGE_BYTES)
        err_set(&e, ERR_INTEGRITY, 0, "a page is too long");
    if (session_alive(s) && e.code == ERR_OK) {
        memcpy(p->page_bytes, raw, slot->raw);
        if (map_page_open((struct slice){p->page_bytes, slot->raw},
                          page_chunks(p, p->page), &p->page_ids,
                          &e) == ERR_OK) {
            map_reader_init(&p->page_map, p->page_ids.runs,
                            page_chunks(p, p->page), p->page_ids.packs);
            p->page_open = true;
            p->page++;
            p->pages_left--;
        }
    }
    if (session_alive(s)) {
        if (e.code != ERR_OK)
            lose_parent(s, &e);
        else
            fill_more(s);
    }
    session_release(s);
}

enum cursor { CURSOR_RUN, CURSOR_WAIT, CURSOR_LOST };

static enum cursor lost(struct session *s, const struct err *err)
{
    struct err e = *err;

    if (e.code == ERR_OK)
        err_set(&e, ERR_INTEGRITY, 0, "its map ends early");
    lose_parent(s, &e);
    return CURSOR_LOST;
}

/* The next page: zeros at once, else it is fetched. */
static enum cursor next_page(struct session *s)
{
    struct session_parent *p = s->reader;
    struct err err = {0};

    if (!p->pages_left) {
        if (!map_next(&p->map, &p->pages, &err))
            return lost(s, &err);
        p->pages_left = p->pages.count;
    }
    if (p->filling->first >= (p->page + 1) * MAP_PAGE_CHUNKS) {
        p->left = 0; /* none of it is wanted */
        p->at += MAP_PAGE_CHUNKS;
        p->page++;
        p->pages_left--;
        return CURSOR_RUN;
    }
    if (p->pages.pack != MAP_ZERO) {
        fetch_page(s);
        return CURSOR_WAIT;
    }
    p->run = (struct map_run){page_chunks(p, p->page), MAP_ZERO, 0};
    p->left = p->run.count;
    p->page++;
    p->pages_left--;
    return CURSOR_RUN;
}

/* A run of an open page names a pack by the page's own list. */
static bool number_run(struct session *s)
{
    struct session_parent *p = s->reader;
    struct id16 id;
    uint64_t number;

    if (p->run.pack == MAP_ZERO)
        return true;
    id = map_page_pack(&p->page_ids, p->run.pack);
    if (!session_table_find(s->numbers, &id, &number))
        return false; /* not in the point's table */
    p->run.pack = (uint32_t)number;
    return true;
}

static enum cursor next_run(struct session *s)
{
    struct session_parent *p = s->reader;
    struct err err = {0};

    if (!p->disk->from->paged) {
        if (!map_next(&p->map, &p->run, &err))
            return lost(s, &err);
        p->left = p->run.count;
        if (p->run.pack != MAP_ZERO)
            p->run.pack = p->numbers[p->run.pack];
        return CURSOR_RUN;
    }
    if (p->page_open && map_next(&p->page_map, &p->run, &err)) {
        p->left = p->run.count;
        return number_run(s) ? CURSOR_RUN : lost(s, &err);
    }
    p->page_open = false;
    return next_page(s);
}

/* --- windows --------------------------------------------------------- */

/* A run of slots whose ids are wanted. */
static void add_range(struct session *s, struct session_window *w,
                      uint32_t from, uint32_t count)
{
    struct session_parent *p = s->reader;
    struct index_range *r = &w->range[p->ranges++];

    r->pack_id = s->refs[w->ref[from].pack].id;
    r->first = w->ref[from].slot;
    r->count = count;
    r->ids = &w->id[from];
}

/* Places of the next chunks, as far as the current run goes. */
static void fill_run(struct session *s)
{
    struct session_parent *p = s->reader;
    struct session_window *w = p->filling;
    uint32_t n = w->count - p->filled, skip = p->run.count - p->left;

    if (n > p->left)
        n = p->left;
    for (uint32_t i = 0; i < n; i++) {
        w->ref[p->filled + i].pack = p->run.pack;
        w->ref[p->filled + i].slot = p->run.first + skip + i;
    }
    if (p->run.pack != MAP_ZERO && n)
        add_range(s, w, p->filled, n);
    p->filled += n;
    p->left -= n;
    p->at += n;
}

/* Chunks before the window are passed over. */
static bool skip_to(struct session_parent *p, uint64_t chunk)
{
    uint64_t n = chunk - p->at;

    if (n > p->left)
        n = p->left;
    p->left -= (uint32_t)n;
    p->at += n;
    return p->at == chunk;
}

static void window_ready(struct session *s)
{
    struct session_parent *p = s->reader;

    p->filling->state = WINDOW_READY;
    p->filling = NULL;
    s->pump_again = true;
}

static bool ids_known(const struct index_range *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (bytes_all_zero(r->ids[i].b, 16))
            return false;
    return true;
}

static void fix_ids(struct session *s);

static void on_table(void *ctx, const struct err *err,
                     const struct pack_table *table)
{
    struct session *s = ctx;
    struct session_parent *p = s->reader;
    struct index_range *r;

    p->opening = false;
    if (session_alive(s) && err->code != ERR_OK)
        lose_parent(s, err);
    else if (session_alive(s)) {
        r = &p->filling->range[p->fixed++];
        for (uint32_t i = 0; i < r->count; i++)
            if (r->first + i < table->slots)
                r->ids[i] = table->slot[r->first + i].id;
        fix_ids(s);
    }
    session_release(s);
}

/* From the tables of packs what the index does not know. */
static void fix_ids(struct session *s)
{
    struct session_parent *p = s->reader;
    struct pack_read_opts opts = {
        .store = s->opts.store,
        .keys = s->keys,
        .kind = SEAL_SLOT_DATA,
        .done = on_table,
        .ctx = s,
    };
    struct err err;

    while (p->fixed < p->ranges && ids_known(&p->filling->range[p->fixed]))
        p->fixed++;
    if (p->fixed == p->ranges) {
        window_ready(s);
        return;
    }
    opts.pack_id = p->filling->range[p->fixed].pack_id;
    pack_read_free(p->pack);
    p->pack = NULL;
    if (pack_read_start(&opts, &p->pack, &err) != ERR_OK) {
        session_fail(s, &err);
        return;
    }
    p->opening = true;
    s->busy++;
}

static void on_ids(struct index_op *op)
{
    struct session_window *w = SESSION_OWNER(op, struct session_window, op);
    struct session *s = op->ctx;
    struct session_parent *p = s->reader;

    (void)w;
    if (session_alive(s)) {
        p->fixed = 0;
        if (p->disk && p->disk->opts.incremental)
            fix_ids(s);
        else
            window_ready(s);
    }
    session_release(s);
}

static void ask_ids(struct session *s)
{
    struct session_parent *p = s->reader;
    struct session_window *w = p->filling;

    if (!p->ranges) {
        window_ready(s);
        return;
    }
    w->op = (struct index_op){.verb = INDEX_RANGES,
                              .loop = s->loop,
                              .done = on_ids,
                              .ctx = s,
                              .count = p->ranges,
                              .ranges = w->range};
    s->busy++;
    index_start(s->opts.index, &w->op);
}

/* Go on filling; a page that has to be fetched calls here again. */
static void fill_more(struct session *s)
{
    struct session_parent *p = s->reader;
    struct session_window *w = p->filling;

    while (w && p->filled < w->count) {
        if (p->left && (p->at >= w->first || skip_to(p, w->first)))
            fill_run(s);
        if (p->filled == w->count || p->left)
            continue;
        if (next_run(s) != CURSOR_RUN)
            return;
    }
    if (w)
        ask_ids(s);
}

static void begin_window(struct session *s, struct session_window *w,
                         uint64_t first)
{
    struct session_parent *p = s->reader;
    uint64_t chunks =
        map_chunks(p->disk->from->bytes, p->disk->from->log2_chunk);

    w->state = WINDOW_LOADING;
    w->first = first;
    w->count = chunks - first < SESSION_WINDOW ? (uint32_t)(chunks - first)
                                               : SESSION_WINDOW;
    memset(w->id, 0, sizeof(w->id));
    p->filling = w;
    p->filled = 0;
    p->ranges = 0;
    fill_more(s);
}

/* --- outside --------------------------------------------------------- */

static bool covers(const struct session_window *w, uint64_t chunk)
{
    return w->state != WINDOW_EMPTY && chunk >= w->first &&
           chunk < w->first + w->count;
}

/* Another disk's map, from its beginning. */
static void change_disk(struct session *s, struct session_disk_state *d)
{
    struct session_parent *p = s->reader;
    uint64_t chunks = map_chunks(d->from->bytes, d->from->log2_chunk);

    p->disk = d;
    p->use->state = p->next->state = WINDOW_EMPTY;
    p->at = 0;
    p->left = p->pages_left = 0;
    p->page = 0;
    p->page_open = false;
    map_reader_init(&p->map, d->from->map,
                    d->from->paged ? map_pages(chunks) : chunks,
                    s->parent->packs);
}

enum session_parent_answer
session_parent_at(struct session *s, struct session_disk_state *d,
                  uint64_t chunk, struct session_ref *ref, struct id16 *id)
{
    struct session_parent *p = s->reader;
    const struct session_window *w = p->use;
    uint32_t i;

    if (!d->from || chunk >= map_chunks(d->from->bytes, d->from->log2_chunk))
        return PARENT_NONE;
    if (p->disk != d && !p->filling)
        change_disk(s, d);
    if (p->disk != d || !covers(w, chunk) || w->state != WINDOW_READY) {
        p->wanted = p->disk == d;
        p->want = chunk;
        s->pump_again |= !p->filling;
        return PARENT_WAIT;
    }
    i = (uint32_t)(chunk - w->first);
    *ref = w->ref[i];
    *id = w->id[i];
    if (ref->pack == MAP_ZERO)
        return PARENT_IS_ZERO;
    return bytes_all_zero(id->b, 16) ? PARENT_IS_PLACE : PARENT_IS;
}

void session_parent_go(struct session *s)
{
    struct session_parent *p = s->reader;
    struct session_window *w;
    uint64_t after, chunks;

    if (!p || !p->disk || !p->disk->from || p->filling)
        return;
    if (p->wanted && !covers(p->use, p->want)) {
        w = p->use;
        p->use = p->next;
        p->next = w;
        w->state = WINDOW_EMPTY;
        if (!covers(p->use, p->want)) {
            begin_window(s, p->use, p->want);
            return;
        }
    }
    p->wanted = false;
    /* The one after it, ahead of need. */
    chunks = map_chunks(p->disk->from->bytes, p->disk->from->log2_chunk);
    after = p->use->first + p->use->count;
    if (p->use->state == WINDOW_READY && after < chunks &&
        !covers(p->next, after))
        begin_window(s, p->next, after);
}

enum err_code session_parent_new(struct session *s, struct err *err)
{
    struct session_parent *p = calloc(1, sizeof(*p));

    s->reader = p;
    if (p) {
        p->use = calloc(1, sizeof(*p->use));
        p->next = calloc(1, sizeof(*p->next));
        p->page_bytes = malloc(MAP_PAGE_BYTES);
    }
    if (!p || !p->use || !p->next || !p->page_bytes)
        return err_set(err, ERR_NOMEM, 0, "session");
    return ERR_OK;
}

bool session_parent_take(struct session *s)
{
    const struct point *point = s->parent;

    if (!point || !point->packs)
        return true;
    s->reader->numbers = calloc(point->packs, sizeof(uint32_t));
    if (!s->reader->numbers)
        return false;
    for (size_t i = 0; i < point->packs; i++) {
        struct session_pack_ref ref = {
            .id = point->pack[i].id,
            .key_id = point->key[point->pack[i].key],
            .kind = point->pack[i].kind,
        };

        s->reader->numbers[i] = session_number(s, &ref);
        if (s->reader->numbers[i] == MAP_ZERO)
            return false;
    }
    return true;
}

void session_parent_cancel(struct session *s)
{
    struct session_parent *p = s->reader;

    if (p->reading)
        chunk_read_cancel(p->reader);
    if (p->opening)
        pack_read_cancel(p->pack);
}

void session_parent_free(struct session *s)
{
    struct session_parent *p = s->reader;

    if (!p)
        return;
    chunk_read_free(p->reader);
    pack_read_free(p->pack);
    free(p->use);
    free(p->next);
    free(p->page_bytes);
    free(p->numbers);
    free(p);
    s->reader = NULL;
}
