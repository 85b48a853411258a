/* SPDX-License-Identifier: Apache-2.0 */
/*
 *  KNOWN (runs the index has) -> RUNS (LIST index/) -> each new run: GET, add
 *  with tables: -> POINTS (LIST; GET each VM's newest: keys of its packs)
 *    -> PACKS (LIST packs/, maps/) -> ASK the index, 1,000 at a time
 *    -> TABLES (8 at a time)
 */
#include "vault/index_fill.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "vault/name_list.h"
#include "vault/pack_read.h"
#include "vault/point.h"
#include "vault/run.h"
#include "vault/session_table.h"

#define OWNER(ptr, type, member) \
    ((type *)((char *)(ptr)-offsetof(type, member)))

#define AT_ONCE 8u
#define ASK_AT_ONCE 1000u

enum step { KNOWN, RUNS, POINTS, PACKS, MAPS, ASK, TABLES, FINISHED };

struct wanted {
    struct id16 id;
    enum seal_slot_kind kind;
};

/* One pack whose tables are read and added. */
struct reading {
    struct index_fill *fill;
    bool busy;
    struct pack_read *read;
    struct index_op op;
    struct index_entry entry;
    uint8_t *entries;
};

struct index_fill {
    enum step step;
    struct index_fill_opts opts;
    struct index_fill_result result;
    struct err err;
    struct loop *loop;
    struct store_op *op;
    struct index_op index;
    struct name_list known, runs, points;
    struct buf plain; /* of the run that is added */
    struct index_entry *entries;
    struct session_table *keys; /* pack id -> number of its key */
    struct id16 *key;
    size_t key_count, key_room;
    struct wanted *pack;
    size_t packs, pack_room, asked, wanted, next;
    struct id16 ask[ASK_AT_ONCE];
    struct index_pack answer[ASK_AT_ONCE];
    struct reading reading[AT_ONCE];
    unsigned busy; /* of reading */
    struct timer later;
};

static void go_on(struct index_fill *f);

/* --- small things ---------------------------------------------------- */

static void fail(struct index_fill *f, const struct err *err)
{
    err_keep(&f->err, err);
}

static void fail_memory(struct index_fill *f)
{
    fail(f, &(struct err){.code = ERR_NOMEM, .text = "filling the index"});
}

static bool alive(const struct index_fill *f)
{
    return f->err.code == ERR_OK;
}

/* Room for one more of an array. NULL: out of memory, the old one is good. */
static void *grown(void *array, size_t count, size_t *room, size_t size)
{
    size_t more = *room ? 2 * *room : 64;

    if (count < *room)
        return array;
    array = realloc(array, more * size);
    if (array)
        *room = more;
    return array;
}

static void start_index(struct index_fill *f, void (*done)(struct index_op *))
{
    f->index.loop = f->loop;
    f->index.done = done;
    index_start(f->opts.index, &f->index);
}

static void list(struct index_fill *f, const char *prefix,
                 bool (*on_entry)(void *ctx, const struct store_entry *entry),
                 store_done_fn *done)
{
    struct store_list_opts opts = {
        .prefix = prefix, .on_entry = on_entry, .done = done, .ctx = f};
    struct err err;

    if (store_list(f->opts.store, &opts, &f->op, &err) != ERR_OK) {
        f->op = NULL;
        fail(f, &err);
        go_on(f);
    }
}

/* A LIST has ended: the next step. */
static void listed(struct index_fill *f, const struct err *err, enum step next)
{
    f->op = NULL;
    if (err->code != ERR_OK)
        fail(f, err);
    f->step = next;
    go_on(f);
}

/* Errors that speak of the way to the store, not of one object. */
static bool is_of_store(enum err_code code)
{
    return code == ERR_UNREACHABLE || code == ERR_TIMEOUT ||
           code == ERR_DENIED || code == ERR_REMOTE || code == ERR_IO ||
           code == ERR_NOMEM || code == ERR_CANCELLED;
}

/* --- runs ------------------------------------------------------------ */

static void on_run_added(struct index_op *op)
{
    struct index_fill *f = OWNER(op, struct index_fill, index);

    free(f->entries);
    f->entries = NULL;
    buf_fini(&f->plain);
    if (op->err.code != ERR_OK)
        fail(f, &op->err);
    else
        f->result.runs++;
    f->runs.next++;
    go_on(f);
}

/* All packs of a run, or none: it is taken in as a whole. */
static bool add_run(struct index_fill *f, const char *name)
{
    struct run_reader r;
    struct run_pack p;
    size_t count = 0, room = 0;
    struct err err;

    run_reader_init(&r, (struct slice){f->plain.data, f->plain.len});
    while (run_next(&r, &p, &err)) {
        void *more = grown(f->entries, count, &room, sizeof(*f->entries));

        if (!more) {
            fail_memory(f);
            return false;
        }
        f->entries = more;
        f->entries[count++] = (struct index_entry){
            .pack = {p.id, p.key_id, (uint16_t)p.kind, p.slots},
            .entries = p.entries};
    }
    if (err.code != ERR_OK)
        return false;
    f->index = (struct index_op){
        .verb = INDEX_ADD, .count = count, .entries = f->entries, .name = name};
    start_index(f, on_run_added);
    return true;
}

static void on_run(void *ctx, const struct err *err, const uint8_t *data,
                   size_t len, const struct store_info *info)
{
    struct index_fill *f = ctx;
    const char *name = f->runs.name[f->runs.next];
    struct err bad;

    (void)info;
    f->op = NULL;
    if (is_of_store(err->code))
        fail(f, err);
    if (alive(f) && err->code == ERR_OK &&
        run_open(f->opts.keys, name, data, len, &f->plain, &bad) == ERR_OK &&
        add_run(f, name))
        return;
    f->result.runs_bad += alive(f);
    free(f->entries);
    f->entries = NULL;
    buf_fini(&f->plain);
    f->runs.next++;
    go_on(f);
}

static bool on_run_entry(void *ctx, const struct store_entry *entry)
{
    struct index_fill *f = ctx;
    struct name n;

    if (!name_parse(entry->name, &n) || n.kind != NAME_INDEX ||
        name_list_has(&f->known, entry->name))
        return true;
    if (name_list_add(&f->runs, entry->name))
        return true;
    fail_memory(f);
    return false;
}

static void on_runs_listed(void *ctx, const struct err *err,
                           const struct store_info *info)
{
    (void)info;
    listed(ctx, err, RUNS);
}

/* On the lane. In order of names, as name_list_has() wants them. */
static bool on_known(void *ctx, const char *name, struct slice bytes)
{
    (void)bytes;
    return name_list_add(ctx, name);
}

static void on_all_known(struct index_op *op)
{
    struct index_fill *f = OWNER(op, struct index_fill, index);

    /* An index that cannot say is filled with all there is. */
    if (alive(f))
        list(f, "index/", on_run_entry, on_runs_listed);
    else
        go_on(f);
}

/* One fetch at a time of what is small. */
static void fetch(struct index_fill *f, const char *name, uint64_t max,
                  void (*done)(void *ctx, const struct err *err,
                               const uint8_t *data, size_t len,
                               const struct store_info *info))
{
    struct err err;

    if (store_fetch(f->opts.store, name, max, (struct store_range){0}, done, f,
                    &f->op, &err) != ERR_OK) {
        f->op = NULL;
        fail(f, &err);
        go_on(f);
    }
}

/* --- points: the keys of their packs --------------------------------- */

static bool add_key(struct index_fill *f, const struct id16 *pack,
                    const struct id16 *key)
{
    size_t i = 0;
    void *more;

    while (i < f->key_count && !id16_equal(&f->key[i], key))
        i++;
    if (i == f->key_count) {
        more = grown(f->key, f->key_count, &f->key_room, sizeof(*f->key));
        if (!more)
            return false;
        f->key = more;
        f->key[f->key_count++] = *key;
    }
    return session_table_put(f->keys, pack, i);
}

static void on_point(void *ctx, const struct err *err, const uint8_t *data,
                     size_t len, const struct store_info *info)
{
    struct index_fill *f = ctx;
    struct point *p = NULL;
    struct err bad;

    (void)info;
    f->op = NULL;
    if (is_of_store(err->code))
        fail(f, err);
    if (err->code == ERR_OK &&
        point_open(f->opts.keys, f->points.name[f->points.next], data, len, &p,
                   &bad) == ERR_OK)
        for (size_t i = 0; i < p->packs; i++)
            if (!add_key(f, &p->pack[i].id, &p->key[p->pack[i].key]))
                fail_memory(f);
    point_free(p);
    f->points.next++;
    go_on(f);
}

/* The last of each VM: names rise. */
static bool on_point_entry(void *ctx, const struct store_entry *entry)
{
    struct index_fill *f = ctx;
    struct name_list *l = &f->points;
    struct name n;

    if (!name_parse(entry->name, &n) || n.kind != NAME_POINT)
        return true;
    if (l->count &&
        strncmp(l->name[l->count - 1], entry->name, 7 + 32 + 1) == 0)
        l->count--;
    if (name_list_add(l, entry->name))
        return true;
    fail_memory(f);
    return false;
}

static void on_points_listed(void *ctx, const struct err *err,
                             const struct store_info *info)
{
    (void)info;
    listed(ctx, err, POINTS);
}

/* --- packs ----------------------------------------------------------- */

static bool on_pack_entry(void *ctx, const struct store_entry *entry)
{
    struct index_fill *f = ctx;
    struct wanted *last = f->packs ? &f->pack[f->packs - 1] : NULL;
    struct name n;
    void *more;

    if (!name_parse(entry->name, &n) ||
        (n.kind != NAME_PACK && n.kind != NAME_MAP))
        return true;
    if (last && id16_equal(&last->id, &n.id))
        return true; /* another generation */
    more = grown(f->pack, f->packs, &f->pack_room, sizeof(*f->pack));
    if (!more) {
        fail_memory(f);
        return false;
    }
    f->pack = more;
    f->pack[f->packs].id = n.id;
    f->pack[f->packs++].kind =
        n.kind == NAME_MAP ? SEAL_SLOT_MAP : SEAL_SLOT_DATA;
    return true;
}

static void on_packs_listed(void *ctx, const struct err *err,
                            const struct store_info *info)
{
    struct index_fill *f = ctx;

    (void)info;
    listed(f, err, f->step == PACKS ? MAPS : ASK);
}

/* Packs that are not known are moved to the front. */
static void on_asked(struct index_op *op)
{
    struct index_fill *f = OWNER(op, struct index_fill, index);

    for (size_t i = 0; i < op->count; i++)
        if (f->answer[i].slots == INDEX_UNKNOWN)
            f->pack[f->wanted++] = f->pack[f->asked + i];
    f->asked += op->count;
    go_on(f);
}

static void ask(struct index_fill *f)
{
    size_t count = f->packs - f->asked;

    if (count > ASK_AT_ONCE)
        count = ASK_AT_ONCE;
    for (size_t i = 0; i < count; i++)
        f->ask[i] = f->pack[f->asked + i].id;
    f->index = (struct index_op){
        .verb = INDEX_PACKS, .count = count, .ids = f->ask, .packs = f->answer};
    start_index(f, on_asked);
}

/* --- tables ---------------------------------------------------------- */

static void reading_done(struct reading *r, bool good)
{
    struct index_fill *f = r->fill;

    pack_read_free(r->read);
    r->read = NULL;
    free(r->entries);
    r->entries = NULL;
    r->busy = false;
    f->busy--;
    if (alive(f)) {
        f->result.packs += good;
        f->result.packs_bad += !good;
    }
    go_on(f);
}

static void on_table_added(struct index_op *op)
{
    struct reading *r = OWNER(op, struct reading, op);

    if (op->err.code != ERR_OK)
        fail(r->fill, &op->err);
    reading_done(r, true);
}

static bool add_table(struct reading *r, const struct pack_table *t)
{
    struct index_fill *f = r->fill;
    uint64_t number;

    r->entries = malloc((size_t)t->slots * PACK_LAYOUT_ENTRY + 1);
    if (!r->entries) {
        fail_memory(f);
        return false;
    }
    for (uint32_t i = 0; i < t->slots; i++)
        pack_layout_put_entry(r->entries + (size_t)i * PACK_LAYOUT_ENTRY,
                              &t->slot[i]);
    r->entry.pack = (struct index_pack){
        .id = t->pack_id, .kind = (uint16_t)t->kind, .slots = t->slots};
    if (t->has_header)
        r->entry.pack.key_id = t->header.key_id;
    else if (session_table_find(f->keys, &t->pack_id, &number))
        r->entry.pack.key_id = f->key[number];
    r->entry.entries = r->entries;
    r->op = (struct index_op){.verb = INDEX_ADD,
                              .count = 1,
                              .entries = &r->entry,
                              .loop = f->loop,
                              .done = on_table_added};
    index_start(f->opts.index, &r->op);
    return true;
}

static void on_table(void *ctx, const struct err *err,
                     const struct pack_table *table)
{
    struct reading *r = ctx;

    if (is_of_store(err->code))
        fail(r->fill, err);
    if (table && alive(r->fill) && add_table(r, table))
        return;
    reading_done(r, false);
}

static void read_table(struct index_fill *f, const struct wanted *w)
{
    struct reading *r = f->reading;
    uint64_t number;
    struct pack_read_opts opts = {
        .store = f->opts.store,
        .keys = f->opts.keys,
        .kind = w->kind,
        .pack_id = w->id,
        .done = on_table,
        .header = !session_table_find(f->keys, &w->id, &number),
    };
    struct err err;

    while (r->busy)
        r++;
    r->fill = f;
    opts.ctx = r;
    if (pack_read_start(&opts, &r->read, &err) != ERR_OK) {
        fail(f, &err);
        return;
    }
    r->busy = true;
    f->busy++;
}

/* --- steps ----------------------------------------------------------- */

static void finish(struct index_fill *f)
{
    timer_stop(&f->later);
    f->opts.done(f->opts.ctx, &f->err, &f->result);
    name_list_fini(&f->known);
    name_list_fini(&f->runs);
    name_list_fini(&f->points);
    free(f->key);
    free(f->pack);
    session_table_free(f->keys);
    free(f);
}

static void next_step(struct index_fill *f)
{
    switch (f->step) {
    case KNOWN:
        f->index = (struct index_op){
            .verb = INDEX_RUNS, .on_item = on_known, .ctx = &f->known};
        start_index(f, on_all_known);
        return;
    case RUNS:
        if (f->runs.next < f->runs.count) {
            fetch(f, f->runs.name[f->runs.next], RUN_SEALED_MAX, on_run);
            return;
        }
        if (f->opts.tables) {
            list(f, "points/", on_point_entry, on_points_listed);
            return;
        }
        break;
    case POINTS:
        if (f->points.next < f->points.count) {
            fetch(f, f->points.name[f->points.next], POINT_SEALED_MAX,
                  on_point);
            return;
        }
        f->step = PACKS;
        list(f, "packs/", on_pack_entry, on_packs_listed);
        return;
    case PACKS:
        return;
    case MAPS:
        list(f, "maps/", on_pack_entry, on_packs_listed);
        return;
    case ASK:
        if (f->asked < f->packs) {
            ask(f);
            return;
        }
        f->step = TABLES;
        go_on(f);
        return;
    case TABLES:
        while (alive(f) && f->busy < AT_ONCE && f->next < f->wanted)
            read_table(f, &f->pack[f->next++]);
        if (f->busy)
            return;
        break;
    case FINISHED:
        break;
    }
    f->step = FINISHED;
    finish(f);
}

static void on_failed(struct timer *t)
{
    finish(OWNER(t, struct index_fill, later));
}

/* After a failure: when nothing is under way any more, from a later turn. */
static void go_on(struct index_fill *f)
{
    if (alive(f))
        next_step(f);
    else if (!f->busy && !f->op && !timer_is_armed(&f->later))
        timer_start(f->loop, &f->later, 0, on_failed);
}

/* --- outside --------------------------------------------------------- */

enum err_code index_fill_start(const struct index_fill_opts *opts,
                               struct index_fill **out, struct err *err)
{
    struct index_fill *f = calloc(1, sizeof(*f));

    if (f)
        f->keys = session_table_new();
    if (!f || !f->keys) {
        free(f);
        return err_set(err, ERR_NOMEM, 0, "filling the index");
    }
    f->opts = *opts;
    f->loop = opts->store->loop;
    buf_init(&f->plain, RUN_SEALED_MAX);
    *out = f;
    next_step(f);
    return ERR_OK;
}

void index_fill_cancel(struct index_fill *f)
{
    struct err err;

    err_set(&err, ERR_CANCELLED, 0, "cancelled");
    fail(f, &err);
    if (f->op)
        store_op_cancel(f->op);
    for (unsigned i = 0; i < AT_ONCE; i++)
        if (f->reading[i].busy && f->reading[i].read)
            pack_read_cancel(f->reading[i].read);
}
