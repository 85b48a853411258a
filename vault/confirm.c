/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/confirm.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/seal_digest.h"
#include "vault/chunk_read.h"
#include "vault/list_read.h"

enum step { FETCHING, LISTING, CHECKING, REMOVING };

struct confirm {
    enum step step;
    struct confirm_opts opts;
    struct point_ref ref;
    struct point *point;
    struct list_set *lists;
    struct chunk_read *reader;
    bool reading;
    struct store_op *op;
    struct list_read *list_op;
    bool cancelled;
    enum confirm_verdict verdict;
    /* pages: of disk `disk`, `left` of `run` are to come */
    size_t disk;
    struct map_reader map;
    struct map_run run;
    uint32_t left;
    uint64_t page;
};

static void check_more(struct confirm *c);

/* --- the end --------------------------------------------------------- */

static void finish(struct confirm *c, const struct err *err)
{
    struct err e = *err;

    if (c->cancelled && e.code == ERR_OK && c->step != REMOVING)
        err_set(&e, ERR_CANCELLED, 0, "cancelled");
    c->opts.done(c->opts.ctx, &e, c->verdict, &c->ref);
    point_free(c->point);
    list_set_free(c->lists);
    chunk_read_free(c->reader);
    free(c);
}

static void on_removed(void *ctx, const struct err *err,
                       const struct store_info *info)
{
    static const struct err ok;

    (void)err; /* where a lock forbids it, it stays, and is not whole */
    (void)info;
    finish(ctx, &ok);
}

static void decide(struct confirm *c, enum confirm_verdict verdict)
{
    struct store_name_opts opts = {
        .name = c->ref.name, .done = on_removed, .ctx = c};
    struct err err = {0};

    c->verdict = verdict;
    if (verdict == CONFIRM_WHOLE || c->cancelled) {
        finish(c, &err);
        return;
    }
    c->step = REMOVING;
    if (store_remove(c->opts.store, &opts, &c->op, &err) != ERR_OK)
        finish(c, &err);
}

/* --- what it refers to ----------------------------------------------- */

static bool run_is_condemned(struct confirm *c, const struct id16 *pack,
                             const struct map_run *run)
{
    uint32_t first, count;

    return condemned_hits(list_set_condemned(c->lists), pack, run->first,
                          run->count, &first, &count);
}

static uint32_t page_chunks(const struct confirm *c)
{
    const struct point_disk *d = &c->point->disk[c->disk];
    uint64_t left =
        map_chunks(d->bytes, d->log2_chunk) - c->page * MAP_PAGE_CHUNKS;

    return left < MAP_PAGE_CHUNKS ? (uint32_t)left : MAP_PAGE_CHUNKS;
}

static void on_page(void *ctx, const struct err *err, const uint8_t *raw,
                    const struct pack_slot *slot)
{
    struct confirm *c = ctx;
    struct map_reader r;
    struct map_page page;
    struct map_run run;
    struct err e = *err;

    c->reading = false;
    if (e.code != ERR_OK || c->cancelled ||
        map_page_open((struct slice){raw, slot->raw}, page_chunks(c), &page,
                      &e) != ERR_OK) {
        finish(c, &e);
        return;
    }
    map_reader_init(&r, page.runs, page_chunks(c), page.packs);
    while (map_next(&r, &run, &e)) {
        struct id16 id;

        if (run.pack == MAP_ZERO)
            continue;
        id = map_page_pack(&page, run.pack);
        if (run_is_condemned(c, &id, &run)) {
            decide(c, CONFIRM_CONDEMNED);
            return;
        }
    }
    c->left--;
    c->page++;
    check_more(c);
}

static void read_page(struct confirm *c)
{
    struct chunk_read_opts opts = {
        .kind = SEAL_SLOT_MAP,
        .pack_id = c->point->pack[c->run.pack].id,
        .slot = c->run.first + (c->run.count - c->left),
        .done = on_page,
        .ctx = c,
    };
    struct err err;

    if (!c->reader)
        c->reader = chunk_read_new(c->opts.store, c->opts.keys);
    if (!c->reader)
        err_set(&err, ERR_NOMEM, 0, "%s", c->ref.name);
    else if (chunk_read_start(c->reader, &opts, &err) == ERR_OK) {
        c->reading = true;
        return;
    }
    finish(c, &err);
}

static void begin_map(struct confirm *c)
{
    const struct point_disk *d = &c->point->disk[c->disk];
    uint64_t chunks = map_chunks(d->bytes, d->log2_chunk);

    map_reader_init(&c->map, d->map, d->paged ? map_pages(chunks) : chunks,
                    c->point->packs);
    c->left = 0;
    c->page = 0;
}

/* Disk by disk, run by run; a page is fetched and calls here again. */
static void check_more(struct confirm *c)
{
    struct err err = {0};

    while (c->disk < c->point->disks) {
        const struct point_disk *d = &c->point->disk[c->disk];

        if (d->paged && c->left && c->run.pack != MAP_ZERO) {
            read_page(c);
            return;
        }
        c->page += d->paged ? c->left : 0;
        c->left = 0;
        if (!map_next(&c->map, &c->run, &err)) {
            if (++c->disk < c->point->disks)
                begin_map(c);
            continue;
        }
        c->left = d->paged ? c->run.count : 0;
        if (c->run.pack != MAP_ZERO &&
            run_is_condemned(c, &c->point->pack[c->run.pack].id, &c->run)) {
            decide(c, CONFIRM_CONDEMNED);
            return;
        }
    }
    decide(c, CONFIRM_WHOLE);
}

/* --- the point and the lists ----------------------------------------- */

static void on_lists(void *ctx, const struct err *err,
                     const struct store_info *info)
{
    struct confirm *c = ctx;

    (void)info;
    c->list_op = NULL;
    if (err->code != ERR_OK || c->cancelled) {
        finish(c, err);
        return;
    }
    c->step = CHECKING;
    if (c->point->disks)
        begin_map(c);
    if (c->point->unfinished)
        decide(c, CONFIRM_UNFINISHED);
    else
        check_more(c);
}

static void on_point(void *ctx, const struct err *err, const uint8_t *data,
                     size_t len, const struct store_info *info)
{
    struct confirm *c = ctx;
    struct list_read_opts lists = {.store = c->opts.store,
                                   .keys = c->opts.keys,
                                   .set = c->lists,
                                   .done = on_lists,
                                   .ctx = c};
    struct err e = *err;

    (void)info;
    c->op = NULL;
    if (e.code == ERR_NOT_FOUND) {
        err_clear(&e);
        c->verdict = CONFIRM_GONE;
        finish(c, &e);
        return;
    }
    if (e.code == ERR_OK &&
        !seal_digest_once(keyring_suite(c->opts.keys), SEAL_DIGEST_SHA256, data,
                          len, c->ref.sha256))
        err_set(&e, ERR_NOMEM, 0, "%s", c->ref.name);
    if (e.code == ERR_OK)
        point_open(c->opts.keys, c->ref.name, data, len, &c->point, &e);
    c->step = LISTING;
    if (e.code != ERR_OK || c->cancelled ||
        list_read_start(&lists, &c->list_op, &e) != ERR_OK)
        finish(c, &e);
}

enum err_code confirm_start(const struct confirm_opts *opts,
                            struct confirm **out, struct err *err)
{
    struct confirm *c;
    struct name n;

    if (!name_parse(opts->point, &n) || n.kind != NAME_POINT)
        return err_set(err, ERR_ARGUMENT, 0, "%s: not a point's name",
                       opts->point);
    c = calloc(1, sizeof(*c));
    if (c)
        c->lists = list_set_new();
    if (!c || !c->lists) {
        free(c);
        return err_set(err, ERR_NOMEM, 0, "%s", opts->point);
    }
    c->opts = *opts;
    memcpy(c->ref.name, opts->point, NAME_POINT_BYTES + 1);
    if (store_fetch(opts->store, c->ref.name, POINT_SEALED_MAX,
                    (struct store_range){0}, on_point, c, &c->op,
                    err) != ERR_OK) {
        list_set_free(c->lists);
        free(c);
        return err->code;
    }
    *out = c;
    return ERR_OK;
}

void confirm_cancel(struct confirm *c)
{
    c->cancelled = true;
    if (c->op && c->step != REMOVING)
        store_op_cancel(c->op);
    if (c->list_op)
        list_read_cancel(c->list_op);
    if (c->reading)
        chunk_read_cancel(c->reader);
}
