/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One point: its object, its disks in turn. A map is read run by run; the
 * pages of a paged one come from a struct fetch, one at a time. What a run
 * names is looked up in the tables that the packs left behind; a table that was
 * let go is read again.
 *
 *  POINT --> DISK ... --> done;    LOADING a table in between
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/seal_stream.h"
#include "vault/fetch.h"
#include "vault/pack_by_id.h"
#include "vault/verify_inside.h"

#define CHUNKS_A_TURN 20000u /* looked up before the loop has its turn */
#define PAGE_MEMORY \
    (FETCH_OVERHEAD + FETCH_CHUNKS_MIN * (MAP_PAGE_BYTES + 8 * KIB))

struct verify_check {
    struct verify *v;
    char name[NAME_TEXT];
    bool choose; /* mark its packs, no more */
    bool cancelled;
    struct store_op *op;
    struct point *point;
    struct timer turn;
    struct pack_read *reader; /* a table is read again */
    struct verify_pack *loading;
    /* the disk under way */
    size_t disk;
    bool disk_begun;
    uint64_t chunks;
    bool hurt;      /* something of this disk was found */
    bool map_bad;   /* its map cannot even be read */
    bool *reported; /* by pack number: said once for this disk */
    uint32_t *by_id;
    struct map_sum sum;
    struct seal_digest *digest;
    struct map_reader runs; /* of the disk, or of the page at hand */
    struct map_run run;
    uint64_t chunk;
    /* of a paged disk */
    struct fetch *pages;
    struct map_reader page_runs;
    struct map_run page_run;
    uint64_t page_number; /* of page_run's next page */
    uint64_t wanted_page; /* that fetch asks for next */
    struct map_reader want_runs;
    struct map_run want_run;
    uint8_t *page; /* at hand; NULL: none */
    struct map_page opened;
};

static void go_on(struct verify_check *c);

/* --- the end -------------------------------------------------------------- */

static void free_check(struct verify_check *c)
{
    timer_stop(&c->turn);
    point_free(c->point);
    seal_digest_free(c->digest);
    free(c->reported);
    free(c->by_id);
    free(c->page);
    free(c);
}

/* The point has been dealt with, when nothing is under way. */
static void finish(struct verify_check *c)
{
    struct verify *v = c->v;

    if (c->op || c->pages || c->loading)
        return;
    v->check = NULL;
    pack_read_free(c->reader);
    free_check(c);
    if (v->phase == VERIFY_POINTS)
        verify_count(v, v->object[v->fetched].bytes);
    verify_step(v);
    verify_settle(v);
}

static void fail(struct verify_check *c, const struct err *err)
{
    verify_fail(c->v, err); /* cancels us too */
}

static void on_turn(struct timer *t)
{
    go_on((struct verify_check *)((char *)t -
                                  offsetof(struct verify_check, turn)));
}

static void later(struct verify_check *c)
{
    timer_start(c->v->opts.store->loop, &c->turn, 0, on_turn);
}

/* --- findings ------------------------------------------------------------- */

static const struct point_disk *disk_of(const struct verify_check *c)
{
    return &c->point->disk[c->disk];
}

static void find(struct verify_check *c, const struct err *err)
{
    struct err e = *err;

    if (!strstr(e.text, c->name))
        err_context(&e, "%s", c->name);
    verify_find(c->v, c->name, true, &e);
}

static void find_in_disk(struct verify_check *c, const char *what)
{
    struct err err;

    err_set(&err, ERR_INTEGRITY, 0, "%s: disk %u: %s", c->name,
            disk_of(c)->position, what);
    c->hurt = true;
    find(c, &err);
}

/* A chunk is not there, or not whole: said once for each pack of a disk. */
static void find_in_pack(struct verify_check *c, uint32_t pack, uint32_t slot,
                         const char *what)
{
    char text[256], hex[33];

    c->hurt = true;
    if (c->reported[pack])
        return;
    c->reported[pack] = true;
    bytes_hex(c->point->pack[pack].id.b, 16, hex);
    snprintf(text, sizeof(text),
             "chunk %ju, and perhaps others, of pack %s: slot %u: %s",
             (uintmax_t)c->chunk, hex, slot, what);
    find_in_disk(c, text);
}

/* --- chunks --------------------------------------------------------------- */

/* The number in the point's table of the pack that a run names. */
static bool number_of(const struct verify_check *c, uint32_t *pack)
{
    struct id16 id;

    if (!disk_of(c)->paged)
        return true;
    id = map_page_pack(&c->opened, *pack);
    return pack_by_id_find(c->by_id, c->point, &id, pack);
}

static void on_table(void *ctx, const struct err *err,
                     const struct pack_table *table)
{
    struct verify_check *c = ctx;
    struct verify_pack *p = c->loading;
    struct err why = *err;

    c->loading = NULL;
    if (why.code == ERR_OK && !verify_pack_load(c->v, p, table))
        err_set(&why, ERR_NOMEM, 0, "tables");
    if (c->cancelled)
        why.code = ERR_OK; /* it is over */
    if (verify_is_damage(why.code))
        p->opened = 0; /* it was good when it was read whole */
    else if (why.code != ERR_OK)
        fail(c, &why);
    pack_read_free(c->reader);
    c->reader = NULL;
    go_on(c);
}

/* Read a table again that was let go. */
static void load(struct verify_check *c, struct verify_pack *p)
{
    struct pack_read_opts opts = {
        .store = c->v->opts.store,
        .keys = c->v->opts.keys,
        .kind = p->kind,
        .pack_id = p->id,
        .done = on_table,
        .ctx = c,
    };
    struct err err;

    if (pack_read_start(&opts, &c->reader, &err) == ERR_OK)
        c->loading = p;
    else
        fail(c, &err);
}

/* Look at `most` chunks of the run. False: a table must come first. */
static bool check_run(struct verify_check *c, uint32_t most, uint32_t *looked)
{
    uint32_t pack = c->run.pack;
    const struct id16 *key;
    struct verify_pack *p;
    uint32_t n = c->run.count < most ? c->run.count : most;

    *looked = n;
    if (!number_of(c, &pack)) {
        find_in_disk(c, "a page names a pack that the point's table does not");
        n = c->run.count;
        goto out;
    }
    if (c->point->pack[pack].kind != SEAL_SLOT_DATA) {
        find_in_pack(c, pack, c->run.first, "it is no data pack");
        goto out;
    }
    key = &c->point->key[c->point->pack[pack].key];
    p = verify_pack_find(c->v, &c->point->pack[pack].id, SEAL_SLOT_DATA);
    if (p && p->opened && !p->slot) {
        load(c, p);
        return false;
    }
    if (p)
        p->used = ++c->v->clock;
    for (uint32_t i = 0; i < n; i++, c->chunk++) {
        uint32_t slot = c->run.first + i;
        const char *fault =
            verify_pack_fault(p, key, slot, point_chunk_bytes(disk_of(c),
                                                              c->chunk));

        if (fault)
            find_in_pack(c, pack, slot, fault);
        else if (p)
            map_sum_add(&c->sum, c->digest, c->chunk, &p->slot[slot].id);
    }
    c->chunk -= n;
out:
    c->run.count -= n;
    c->run.first += n;
    c->chunk += n;
    return true;
}

/* --- pages ---------------------------------------------------------------- */

static enum fetch_more want_page(void *ctx, struct fetch_want *out)
{
    struct verify_check *c = ctx;
    const struct point_pack *p;
    struct err err;

    if (c->cancelled)
        return FETCH_LATER;
    while (!c->want_run.count || c->want_run.pack == MAP_ZERO) {
        c->wanted_page += c->want_run.count;
        if (!map_next(&c->want_runs, &c->want_run, &err))
            return FETCH_END; /* go_on() says what is wrong */
    }
    p = &c->point->pack[c->want_run.pack];
    if (p->kind != SEAL_SLOT_MAP) {
        err_set(&err, ERR_INTEGRITY, 0, "page %ju: it lies in no map pack",
                (uintmax_t)c->wanted_page);
        fetch_cancel(c->pages, &err);
        return FETCH_LATER;
    }
    *out = (struct fetch_want){.pack_id = p->id,
                               .kind = SEAL_SLOT_MAP,
                               .key_id = c->point->key[p->key],
                               .slot = c->want_run.first++,
                               .number = c->wanted_page++};
    c->want_run.count--;
    return FETCH_WANT;
}

static bool on_page(void *ctx, const struct fetch_want *want,
                    const struct id16 *id, struct slice chunk)
{
    struct verify_check *c = ctx;
    uint64_t left = c->chunks - want->number * MAP_PAGE_CHUNKS;
    uint32_t chunks = left < MAP_PAGE_CHUNKS ? (uint32_t)left : MAP_PAGE_CHUNKS;
    struct err err;
    char text[200];

    (void)id;
    if (c->page)
        return false; /* one at a time */
    c->page = malloc(chunk.len);
    if (!c->page) {
        err_set(&err, ERR_NOMEM, 0, "reading a page");
        fail(c, &err);
        return true;
    }
    memcpy(c->page, chunk.data, chunk.len);
    if (map_page_open((struct slice){c->page, chunk.len}, chunks, &c->opened,
                      &err) != ERR_OK) {
        snprintf(text, sizeof(text), "page %ju: %.150s",
                 (uintmax_t)want->number, err.text);
        find_in_disk(c, text);
        free(c->page);
        c->page = NULL;
        return true;
    }
    c->chunk = want->number * MAP_PAGE_CHUNKS;
    c->run.count = 0;
    map_reader_init(&c->runs, c->opened.runs, chunks, c->opened.packs);
    later(c);
    return true;
}

static void on_pages_done(void *ctx, const struct err *err,
                          const struct fetch_figures *figures)
{
    struct verify_check *c = ctx;

    (void)figures;
    c->pages = NULL;
    if (!c->cancelled && verify_is_damage(err->code))
        find_in_disk(c, err->text);
    else if (!c->cancelled && err->code != ERR_OK)
        fail(c, err);
    go_on(c);
}

static void begin_pages(struct verify_check *c)
{
    const struct point_disk *d = disk_of(c);
    struct fetch_opts opts = {
        .store = c->v->opts.store,
        .keys = c->v->opts.keys,
        .memory_bytes = PAGE_MEMORY,
        .table_bytes = MIB,
        .raw_max = MAP_PAGE_BYTES,
        .next = want_page,
        .on_chunk = on_page,
        .done = on_pages_done,
        .ctx = c,
    };
    struct err err;

    map_reader_init(&c->want_runs, d->map, map_pages(c->chunks),
                    c->point->packs);
    c->want_run.count = 0;
    c->wanted_page = 0;
    if (fetch_start(&opts, &c->pages, &err) != ERR_OK)
        fail(c, &err);
}

/* --- disks ---------------------------------------------------------------- */

static void begin_disk(struct verify_check *c)
{
    const struct point_disk *d = disk_of(c);
    uint64_t count;
    struct err err;

    c->disk_begun = true;
    c->hurt = false;
    memset(c->reported, 0, c->point->packs + 1);
    memset(&c->sum, 0, sizeof(c->sum));
    c->chunks = map_chunks(d->bytes, d->log2_chunk);
    count = d->paged ? map_pages(c->chunks) : c->chunks;
    c->chunk = 0;
    c->run.count = 0;
    map_reader_init(&c->runs, d->map, count, c->point->packs);
    c->map_bad = map_check(d->map, count, c->point->packs, &err) != ERR_OK;
    if (c->map_bad)
        find_in_disk(c, err.text);
    else if (d->paged)
        begin_pages(c);
}

static void end_disk(struct verify_check *c)
{
    uint8_t sum[32];

    map_sum_put(&c->sum, sum);
    if (!c->hurt && memcmp(sum, disk_of(c)->sum, sizeof(sum)) != 0)
        find_in_disk(c, "its content sum is wrong");
    c->disk++;
    c->disk_begun = false;
}

/* Chunks of the runs at hand. False: come again later. */
static bool check_chunks(struct verify_check *c)
{
    uint32_t left = CHUNKS_A_TURN, looked;
    struct err err;

    for (;;) {
        while (!c->run.count || c->run.pack == MAP_ZERO) {
            c->chunk += c->run.count;
            if (!map_next(&c->runs, &c->run, &err))
                return true; /* checked before: it is the end */
        }
        if (!left) {
            later(c);
            return false;
        }
        if (!check_run(c, left, &looked))
            return false;
        left -= looked;
    }
}

/* One disk after the other. */
static void go_on(struct verify_check *c)
{
    if (c->loading)
        return;
    while (!c->cancelled && c->disk < c->point->disks) {
        bool paged = disk_of(c)->paged;

        if (!c->disk_begun)
            begin_disk(c);
        if (c->cancelled)
            break;
        if (paged && !c->page) {
            if (c->pages)
                return; /* a page will come, or the end of pages */
        } else if (!c->map_bad && !check_chunks(c)) {
            if (!c->cancelled)
                return; /* it calls us again */
            break;
        }
        if (paged && c->page) {
            free(c->page);
            c->page = NULL;
            if (c->pages) {
                fetch_wake(c->pages);
                return;
            }
        }
        end_disk(c);
    }
    finish(c);
}

/* --- the point ------------------------------------------------------------ */

/* Every key that it needs must be wrapped for somebody; a full verification
 * needs the DKs. */
static void check_keys(struct verify_check *c)
{
    const struct point *point = c->point;
    struct err err;
    char hex[33];

    for (size_t i = 0; i < point->keys && !c->cancelled; i++) {
        if (verify_has_wrap(c->v, &point->key[i]))
            continue;
        bytes_hex(point->key[i].b, 16, hex);
        err_set(&err, ERR_INTEGRITY, 0,
                "%s: nobody's wrap of key %s lies in keys/", c->name, hex);
        find(c, &err);
    }
    for (size_t i = 0; i < point->packs && c->v->opts.full; i++) {
        const struct id16 *id = &point->key[point->pack[i].key];

        if (point->pack[i].kind != SEAL_SLOT_DATA ||
            keyring_find(c->v->opts.keys, SEAL_KEY_DATA, id))
            continue;
        bytes_hex(id->b, 16, hex);
        err_set(&err, ERR_KEY, 0,
                "%s: a full verification needs data key %s, which is not held",
                c->name, hex);
        fail(c, &err);
        return;
    }
}

static void check_metadata(struct verify_check *c)
{
    const struct point *point = c->point;
    struct buf text;
    struct err err;
    struct id16 id;

    if (!point->metadata.len)
        return;
    buf_init_secret(&text, POINT_METADATA_MAX);
    if (seal_stream_key_id(SEAL_STREAM_METADATA, point->metadata.data,
                           point->metadata.len, &id, &err) != ERR_OK) {
        find(c, &err);
    } else if (keyring_find(c->v->opts.keys, SEAL_KEY_DATA, &id)) {
        if (point_metadata(c->v->opts.keys, c->name, point, &text, &err) ==
            ERR_INTEGRITY)
            find(c, &err);
    }
    buf_fini(&text);
}

static void choose_packs(struct verify_check *c)
{
    struct err err;

    for (size_t i = 0; i < c->point->packs; i++)
        if (!verify_pack_get(c->v, &c->point->pack[i].id,
                             (enum seal_slot_kind)c->point->pack[i].kind)) {
            err_set(&err, ERR_NOMEM, 0, "verifying");
            fail(c, &err);
            return;
        }
}

static void check_point(struct verify_check *c)
{
    struct verify *v = c->v;
    bool noted = true;
    struct err err;

    check_keys(c);
    check_metadata(c);
    if (!c->point->unfinished) {
        noted = verify_roster_note(v, c->point->roster);
        buf_add(&v->replaced, c->point->replaces.data, c->point->replaces.len);
    }
    c->reported = calloc(c->point->packs + 1, sizeof(*c->reported));
    c->by_id = pack_by_id_make(c->point);
    c->digest =
        seal_digest_new(keyring_suite(v->opts.keys), SEAL_DIGEST_SHA256);
    if (!c->reported || !c->by_id || !c->digest || !noted ||
        buf_failed(&v->replaced)) {
        err_set(&err, ERR_NOMEM, 0, "verifying");
        fail(c, &err);
    }
}

static void on_point(void *ctx, const struct err *err, const uint8_t *data,
                     size_t len, const struct store_info *info)
{
    struct verify_check *c = ctx;
    struct verify *v = c->v;
    struct err why = *err;

    (void)info;
    c->op = NULL;
    if (why.code == ERR_OK && !c->cancelled)
        point_open(v->opts.keys, c->name, data, len, &c->point, &why);
    if (c->cancelled) {
        /* it is over */
    } else if (why.code == ERR_NOT_FOUND && !v->point[0]) {
        /* collected since it was listed */
    } else if (verify_is_damage(why.code) && why.code != ERR_NOT_FOUND) {
        if (!c->choose)
            find(c, &why);
    } else if (why.code != ERR_OK) {
        fail(c, &why);
    } else if (c->choose) {
        choose_packs(c);
    } else {
        check_point(c);
    }
    if (c->point && !c->choose && !c->cancelled)
        go_on(c);
    else
        finish(c);
}

enum err_code verify_check_start(struct verify *v, const char *name,
                                 bool choose, struct err *err)
{
    struct verify_check *c = calloc(1, sizeof(*c));

    if (!c)
        return err_set(err, ERR_NOMEM, 0, "%s", name);
    c->v = v;
    c->choose = choose;
    memcpy(c->name, name, strlen(name) + 1);
    if (store_fetch(v->opts.store, name, POINT_SEALED_MAX,
                    (struct store_range){0}, on_point, c, &c->op,
                    err) != ERR_OK) {
        free_check(c);
        return err->code;
    }
    v->check = c;
    return ERR_OK;
}

void verify_check_cancel(struct verify_check *c)
{
    struct err err;

    err_set(&err, ERR_CANCELLED, 0, "cancelled");
    c->cancelled = true;
    if (c->op)
        store_op_cancel(c->op);
    if (c->pages)
        fetch_cancel(c->pages, &err);
    if (c->loading)
        pack_read_cancel(c->reader);
    if (!c->op && !c->pages && !c->loading)
        later(c); /* go_on() ends it */
}
