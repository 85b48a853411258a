/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/fetch_inside.h"

enum err_code fetch_open_init(struct fetch *f, struct err *err)
{
    for (size_t i = 0; i < FETCH_ITEMS; i++) {
        f->item[i].f = f;
        f->item[i].opener = pack_opener_new(keyring_suite(f->opts.keys));
        if (!f->item[i].opener)
            return err_set(err, ERR_NOMEM, 0, "reading chunks");
    }
    return ERR_OK;
}

void fetch_open_fini(struct fetch *f)
{
    for (size_t i = 0; i < FETCH_ITEMS; i++)
        pack_opener_free(f->item[i].opener);
}

/* On a worker: the cells are this item's alone. The chunk comes to lie where
 * its sealed bytes lay. */
static void run_item(struct work *w)
{
    struct fetch_item *item = (struct fetch_item *)w;

    for (size_t i = 0; i < item->count; i++) {
        struct fetch_cell *c = item->cell[i];
        struct pack_opener_slot s = {
            .k_pack = &item->key[i],
            .kind = c->pack->kind,
            .number = c->slot,
            .slot = &c->info,
            .sealed = c->slab->data,
            .out = c->slab->data,
        };

        err_clear(&item->err[i]);
        pack_opener_open(item->opener, item->f->opts.keys, &s, &item->err[i]);
    }
}

static void cell_opened(struct fetch *f, struct fetch_cell *c,
                        const struct err *err)
{
    struct fetch_pack *p = c->pack;

    if (err->code == ERR_OK) {
        c->state = CELL_READY;
        p->barren = 0;
        f->figures.chunks++;
        f->figures.stored_bytes += c->info.stored;
        return;
    }
    c->state = CELL_WAITING;
    c->filled = 0;
    f->figures.retries++;
    fetch_replan(f);
    if (err->code == ERR_NOMEM)
        fetch_fail(f, err);
    else if (c->round == p->round &&
             !p->failed) /* else: already being seen to */
        fetch_pack_slot_failed(p, c->slot, err);
}

static void on_item(struct work *w)
{
    struct fetch_item *item = (struct fetch_item *)w;
    struct fetch *f = item->f;

    item->busy = false;
    f->items_busy--;
    bytes_wipe(item->key, sizeof(item->key));
    for (size_t i = 0; i < item->count; i++)
        cell_opened(f, item->cell[i], &item->err[i]);
    fetch_run(f);
    fetch_settle(f);
}

void fetch_open_add(struct fetch *f, struct fetch_cell *c)
{
    c->state = CELL_FILLED;
    c->source = NULL;
    c->next = NULL;
    *f->filled_end = c;
    f->filled_end = &c->next;
}

/* Take a cell out of the list. */
static void unlink_filled(struct fetch *f, struct fetch_cell **at)
{
    struct fetch_cell *c = *at;

    *at = c->next;
    c->next = NULL;
    if (!*at)
        f->filled_end = at;
}

void fetch_open_drop(struct fetch_pack *p)
{
    struct fetch_cell **at = &p->f->filled;

    while (*at) {
        struct fetch_cell *c = *at;

        if (c->pack != p) {
            at = &c->next;
            continue;
        }
        unlink_filled(p->f, at);
        c->state = CELL_WAITING;
        c->filled = 0;
    }
}

/* Up to a batch of filled cells whose key is known. */
static size_t take_filled(struct fetch *f, struct fetch_item *item)
{
    struct fetch_cell **at = &f->filled;

    item->count = 0;
    while (*at && item->count < FETCH_BATCH) {
        struct fetch_cell *c = *at;

        if (!c->pack->has_key) {
            at = &c->next;
            continue;
        }
        unlink_filled(f, at);
        c->state = CELL_OPENING;
        item->key[item->count] = c->pack->key;
        item->cell[item->count++] = c;
    }
    return item->count;
}

void fetch_open_dispatch(struct fetch *f)
{
    for (size_t i = 0; i < FETCH_ITEMS && f->filled; i++) {
        struct fetch_item *item = &f->item[i];

        if (item->busy || !take_filled(f, item))
            continue;
        item->busy = true;
        f->items_busy++;
        item->work.run = run_item;
        item->work.done = on_item;
        work_start(f->opts.store->loop, &item->work);
    }
}
