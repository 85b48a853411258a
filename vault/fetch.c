/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/fetch.h"

#include <stdlib.h>
#include <string.h>

#include "vault/fetch_inside.h"

#define SAME 8192u /* places of `same`; a power of two */
#define SLAB_GRAIN 4096u

/* --- the end -------------------------------------------------------------- */

void fetch_fail(struct fetch *f, const struct err *err)
{
    if (f->ending)
        return;
    f->ending = true;
    f->err = *err;
    for (size_t i = 0; i < FETCH_SOURCES; i++)
        fetch_source_close(&f->source[i]);
    fetch_pack_cancel_all(f);
}

static void free_fetch(struct fetch *f)
{
    timer_stop(&f->turn);
    fetch_pack_forget_all(f);
    for (uint64_t seq = f->head; seq < f->admitted; seq++) {
        struct fetch_cell *c = fetch_ref_at(f, seq)->cell;

        if (c->slab)
            slab_give(c->slab);
        c->slab = NULL;
    }
    fetch_open_fini(f);
    for (size_t i = 0; i < FETCH_SOURCES; i++)
        free(f->source[i].carry);
    if (f->slabs)
        slab_room_free(f->slabs);
    free(f->cells);
    free(f->same);
    free(f->ring);
    free(f);
}

void fetch_settle(struct fetch *f)
{
    if (!f->ending || f->running || f->opening || f->items_busy)
        return;
    for (size_t i = 0; i < FETCH_SOURCES; i++)
        if (f->source[i].pack)
            return;
    f->opts.done(f->opts.ctx, &f->err, &f->figures);
    free_fetch(f);
}

/* --- the queue ------------------------------------------------------------ */

static void pull(struct fetch *f)
{
    while (!f->ended && !f->ending && f->tail - f->head < FETCH_RING) {
        struct fetch_ref *ref = fetch_ref_at(f, f->tail);
        struct fetch_pack *p;
        struct err err;
        enum fetch_more more;

        memset(ref, 0, sizeof(*ref));
        more = f->opts.next(f->opts.ctx, &ref->want);
        if (more == FETCH_LATER)
            return;
        if (more == FETCH_END) {
            f->ended = true;
            return;
        }
        p = fetch_pack_find(f, &ref->want);
        if (!p || ref->want.raw_bytes > f->opts.raw_max) {
            err_set(&err, p ? ERR_ARGUMENT : ERR_NOMEM, 0, "reading chunks");
            fetch_fail(f, &err);
            return;
        }
        ref->pack = p;
        ref->next = FETCH_NOBODY;
        if (p->first == FETCH_NOBODY)
            p->first = f->tail;
        else
            fetch_ref_at(f, p->last)->next = f->tail;
        p->last = f->tail++;
    }
}

static uint64_t *same_place(struct fetch *f, const struct fetch_want *want)
{
    uint32_t hash =
        bytes_get_u32(want->pack_id.b + 4) ^ (want->slot * 2654435761u);

    return &f->same[(hash >> 3) % SAME];
}

/* A cell that an admitted want has already and that will hold the same. */
static struct fetch_cell *find_same(struct fetch *f,
                                    const struct fetch_ref *ref)
{
    uint64_t seq = *same_place(f, &ref->want);
    const struct fetch_ref *other;

    if (seq < f->head || seq >= f->admitted)
        return NULL;
    other = fetch_ref_at(f, seq);
    return other->pack == ref->pack && other->want.slot == ref->want.slot &&
                   other->want.raw_bytes == ref->want.raw_bytes
               ? other->cell
               : NULL;
}

static void admit(struct fetch *f)
{
    for (; f->admitted < f->tail; f->admitted++) {
        struct fetch_ref *ref = fetch_ref_at(f, f->admitted);
        struct fetch_cell *c = find_same(f, ref);

        if (!c) {
            c = f->free_cells;
            if (!c)
                return;
            f->free_cells = c->next;
            *c = (struct fetch_cell){
                .pack = ref->pack,
                .slot = ref->want.slot,
                .source = ref->source,
            };
            ref->pack->cells++;
        }
        ref->cell = c;
        c->refs++;
        *same_place(f, &ref->want) = f->admitted;
    }
}

static void release(struct fetch *f, struct fetch_cell *c)
{
    if (--c->refs)
        return;
    slab_give(c->slab);
    c->slab = NULL;
    c->pack->cells--;
    c->next = f->free_cells;
    f->free_cells = c;
}

/* Hand out what is ready, in order. True: something was. */
static bool deliver(struct fetch *f)
{
    bool some = false;

    while (f->head < f->admitted && !f->refused && !f->ending) {
        struct fetch_ref *ref = fetch_ref_at(f, f->head);
        struct fetch_cell *c = ref->cell;
        struct fetch_pack *p = ref->pack;

        if (c->state != CELL_READY)
            break;
        if (!f->opts.on_chunk(f->opts.ctx, &ref->want, &c->info.id,
                              (struct slice){c->slab->data, c->info.raw})) {
            f->refused = true;
            break;
        }
        p->first = ref->next;
        if (p->first == FETCH_NOBODY)
            p->last = FETCH_NOBODY;
        f->head++;
        release(f, c);
        fetch_pack_idle(p);
        some = true;
    }
    return some;
}

/* --- planning ------------------------------------------------------------- */

void fetch_replan(struct fetch *f)
{
    f->unplanned = f->head;
    f->again = true;
}

static bool needs_source(const struct fetch_ref *ref)
{
    const struct fetch_cell *c = ref->cell;

    if (ref->source)
        return false;
    return !c || (c->state == CELL_WAITING && !c->source);
}

/* One want that nobody reads yet. */
static void plan_one(struct fetch *f, uint64_t seq)
{
    struct fetch_ref *ref = fetch_ref_at(f, seq);
    struct err why;

    if (!fetch_pack_table(ref->pack, seq == f->head))
        return;
    if (seq >= f->admitted + FETCH_AHEAD)
        return;
    if (!fetch_pack_check(ref->pack, &ref->want, &why)) {
        if (seq < f->admitted) /* else: when its turn has come */
            fetch_pack_slot_failed(ref->pack, ref->want.slot, &why);
        return;
    }
    if (!fetch_source_open(f, seq) && seq < f->admitted)
        fetch_source_evict(f, seq == f->head ? seq : f->admitted - 1);
}

static void plan(struct fetch *f)
{
    uint64_t end = f->admitted + FETCH_TABLES_AHEAD;
    bool all = true; /* so far each has a source */

    f->no_room = false;
    if (end > f->tail)
        end = f->tail;
    if (f->unplanned < f->head)
        f->unplanned = f->head;
    for (uint64_t seq = f->unplanned; seq < end && !f->ending; seq++) {
        if (needs_source(fetch_ref_at(f, seq))) {
            plan_one(f, seq);
            all = all && !needs_source(fetch_ref_at(f, seq));
        }
        if (all)
            f->unplanned = seq + 1;
    }
}

/* --- going on ------------------------------------------------------------- */

void fetch_run(struct fetch *f)
{
    static const struct err ok;

    f->again = true;
    if (f->running)
        return;
    f->running = true;
    while (f->again && !f->ending) {
        f->again = false;
        pull(f);
        admit(f);
        if (deliver(f))
            f->again = true;
        if (f->ended && f->head == f->tail)
            fetch_fail(f, &ok); /* through */
        if (!f->ending)
            plan(f);
        for (size_t i = 0; i < FETCH_SOURCES && !f->ending; i++)
            if (fetch_source_drain(&f->source[i]))
                f->again = true;
        if (!f->ending)
            fetch_open_dispatch(f);
    }
    f->running = false;
}

static void on_turn(struct timer *t)
{
    struct fetch *f =
        (struct fetch *)((char *)t - offsetof(struct fetch, turn));

    fetch_run(f);
    fetch_settle(f);
}

/* --- outside -------------------------------------------------------------- */

static enum err_code make_cells(struct fetch *f, struct err *err)
{
    size_t slab = f->opts.raw_max + SEAL_SLOT_TAG + SLAB_GRAIN - 1;
    uint64_t room = f->opts.memory_bytes - FETCH_OVERHEAD;
    size_t count;

    slab -= slab % SLAB_GRAIN;
    if (f->opts.memory_bytes < FETCH_OVERHEAD + FETCH_CHUNKS_MIN * slab)
        return err_set(err, ERR_ARGUMENT, 0,
                       "reading chunks of %u bytes takes more memory",
                       f->opts.raw_max);
    count = (size_t)(room / slab);
    if (count > FETCH_RING)
        count = FETCH_RING;
    f->cells = calloc(count, sizeof(*f->cells));
    f->slabs = slab_room_new(slab, count);
    if (!f->cells || !f->slabs)
        return err_set(err, ERR_NOMEM, 0, "reading chunks");
    for (size_t i = 0; i < count; i++) {
        f->cells[i].next = f->free_cells;
        f->free_cells = &f->cells[i];
    }
    return ERR_OK;
}

enum err_code fetch_start(const struct fetch_opts *opts, struct fetch **out,
                          struct err *err)
{
    struct fetch *f = calloc(1, sizeof(*f));
    enum err_code rc;

    if (!f)
        return err_set(err, ERR_NOMEM, 0, "reading chunks");
    f->opts = *opts;
    f->filled_end = &f->filled;
    f->ring = calloc(FETCH_RING, sizeof(*f->ring));
    f->same = malloc(SAME * sizeof(*f->same));
    if (f->same)
        memset(f->same, 0xff, SAME * sizeof(*f->same)); /* FETCH_NOBODY */
    rc = f->ring && f->same ? make_cells(f, err)
                            : err_set(err, ERR_NOMEM, 0, "reading chunks");
    if (rc == ERR_OK)
        rc = fetch_open_init(f, err);
    if (rc != ERR_OK) {
        free_fetch(f);
        return rc;
    }
    timer_start(opts->store->loop, &f->turn, 0, on_turn);
    *out = f;
    return ERR_OK;
}

void fetch_abandon(struct fetch *f)
{
    if (f)
        free_fetch(f);
}

void fetch_wake(struct fetch *f)
{
    f->refused = false;
    timer_start(f->opts.store->loop, &f->turn, 0, on_turn);
}

void fetch_cancel(struct fetch *f, const struct err *why)
{
    fetch_fail(f, why);
    timer_start(f->opts.store->loop, &f->turn, 0, on_turn);
}

const struct fetch_figures *fetch_figures(const struct fetch *f)
{
    return &f->figures;
}
