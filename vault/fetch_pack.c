/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pack's table comes from a struct pack_read, which knows the order in which
 * its objects are to be tried. The first object is used until a slot in it
 * fails. For that slot's sake the next objects are tried; when later another
 * slot fails, the search begins anew for that one, since an object that was
 * given up may have it: one that fails never hides another. Objects that
 * whoever holds keys made to lack each other's slots would send us back and
 * forth for ever: so many failures without a chunk read between are the end.
 */
#include <stdlib.h>
#include <string.h>

#include "vault/fetch_inside.h"
#include "vault/pack_table.h"

static unsigned bucket_of(const struct id16 *id)
{
    return bytes_get_u32(id->b) % FETCH_BUCKETS; /* ids are random */
}

struct fetch_pack *fetch_pack_find(struct fetch *f,
                                   const struct fetch_want *want)
{
    struct fetch_pack **bucket = &f->packs[bucket_of(&want->pack_id)];
    struct fetch_pack *p;

    for (p = *bucket; p; p = p->bucket)
        if (p->kind == want->kind && id16_equal(&p->id, &want->pack_id))
            return p;
    p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->f = f;
    p->id = want->pack_id;
    p->key_id = want->key_id;
    p->kind = want->kind;
    p->first = p->last = FETCH_NOBODY;
    p->first_search = true;
    p->bucket = *bucket;
    *bucket = p;
    return p;
}

static void drop_table(struct fetch_pack *p)
{
    p->f->table_bytes -= p->table_bytes;
    p->table_bytes = 0;
    p->table = NULL;
    p->has_key = false;
    seal_key_fini(&p->key);
}

static void forget(struct fetch_pack *p)
{
    struct fetch_pack **at = &p->f->packs[bucket_of(&p->id)];

    while (*at != p)
        at = &(*at)->bucket;
    *at = p->bucket;
    drop_table(p);
    pack_read_free(p->reader);
    free(p);
}

void fetch_pack_forget_all(struct fetch *f)
{
    for (unsigned i = 0; i < FETCH_BUCKETS; i++)
        while (f->packs[i])
            forget(f->packs[i]);
}

static bool at_rest(const struct fetch_pack *p)
{
    return !p->cells && !p->sources && !p->opening && !p->header_op;
}

void fetch_pack_idle(struct fetch_pack *p)
{
    p->used = ++p->f->clock;
    if (p->first == FETCH_NOBODY && at_rest(p) && !p->table)
        forget(p);
}

/* Which of two tables is missed less: what nobody wants, longest ago; then
 * what is wanted last. */
static bool is_missed_less(const struct fetch_pack *a,
                           const struct fetch_pack *b)
{
    if (!b)
        return true;
    if ((a->first == FETCH_NOBODY) != (b->first == FETCH_NOBODY))
        return a->first == FETCH_NOBODY;
    return a->first == FETCH_NOBODY ? a->used < b->used : a->first > b->first;
}

/* Let go of tables until there is room for another. */
static bool make_room(struct fetch *f)
{
    while (f->table_bytes >= f->opts.table_bytes) {
        struct fetch_pack *least = NULL;

        if (f->no_room) /* it was looked for a moment ago */
            return false;

        for (unsigned i = 0; i < FETCH_BUCKETS; i++)
            for (struct fetch_pack *p = f->packs[i]; p; p = p->bucket)
                if (p->table && at_rest(p) && is_missed_less(p, least))
                    least = p;
        if (!least || least->first < f->admitted + FETCH_AHEAD) {
            f->no_room = true;
            return false;
        }
        if (least->first == FETCH_NOBODY) {
            forget(least);
            continue;
        }
        drop_table(least);
        pack_read_free(least->reader);
        least->reader = NULL;
        least->first_search = true;
    }
    return true;
}

/* --- the table ------------------------------------------------------------ */

static void search_ended(struct fetch_pack *p)
{
    p->opening = false;
    p->f->opening--;
}

static void on_table(void *ctx, const struct err *err,
                     const struct pack_table *table)
{
    struct fetch_pack *p = ctx;
    struct fetch *f = p->f;
    struct err why = *err;

    if (why.code == ERR_OK && table->has_header && !f->ending &&
        fetch_pack_take_header(p, table->header_raw, &why) == ERR_INTEGRITY) {
        pack_read_again(p->reader, &why);
        return;
    }
    search_ended(p);
    if (why.code != ERR_OK) {
        fetch_fail(f, &why);
    } else {
        p->table = table;
        p->table_bytes = sizeof(*p) + sizeof(*table) +
                         (uint64_t)table->slots * (sizeof(*table->slot) + 8);
        f->table_bytes += p->table_bytes;
        p->failed = false;
        p->round++;
        f->figures.tables++;
    }
    fetch_replan(f);
    fetch_run(f);
    fetch_settle(f);
}

/* Begin at the pack's first object. */
static void search(struct fetch_pack *p)
{
    struct pack_read_opts opts = {
        .store = p->f->opts.store,
        .keys = p->f->opts.keys,
        .kind = p->kind,
        .pack_id = p->id,
        .done = on_table,
        .ctx = p,
    };
    struct err err;

    if (pack_read_start(&opts, &p->reader, &err) != ERR_OK) {
        fetch_fail(p->f, &err);
        return;
    }
    p->opening = true;
    p->f->opening++;
}

bool fetch_pack_table(struct fetch_pack *p, bool is_head)
{
    struct fetch *f = p->f;

    if (p->table)
        return true;
    if (p->opening || f->ending)
        return false;
    if (!is_head && (f->opening >= FETCH_TABLES_AT_ONCE || !make_room(f)))
        return false;
    if (is_head)
        make_room(f); /* as far as it goes: the head comes first */
    search(p);
    return false;
}

void fetch_pack_slot_failed(struct fetch_pack *p, uint32_t slot,
                            const struct err *why)
{
    struct err err = *why;
    char id[33];

    if (p->failed || p->f->ending)
        return;
    bytes_hex(p->id.b, 16, id);
    if (++p->barren > FETCH_BARREN_MAX) {
        err_set(&err, ERR_INTEGRITY, 0,
                "pack %s: slot %u: its objects were tried %u times and gave no "
                "further chunk; last: %.100s",
                id, slot, FETCH_BARREN_MAX, why->text);
        fetch_fail(p->f, &err);
        return;
    }
    err_context(&err, "pack %s", id);
    p->failed = true;
    drop_table(p);
    fetch_source_close_pack(p);
    fetch_open_drop(p);
    fetch_replan(p->f);
    if (p->first_search || p->round_slot == slot) {
        p->opening = true;
        p->f->opening++;
        pack_read_again(p->reader, &err);
    } else {
        pack_read_free(p->reader);
        p->reader = NULL;
        search(p);
    }
    p->first_search = false;
    p->round_slot = slot;
}

bool fetch_pack_check(const struct fetch_pack *p, const struct fetch_want *want,
                      struct err *why)
{
    const struct pack_table *t = p->table;
    const struct pack_slot *s;

    if (want->slot >= t->slots) {
        err_set(why, ERR_INTEGRITY, 0, "it has no slot %u", want->slot);
        return false;
    }
    s = &t->slot[want->slot];
    if (!s->stored)
        err_set(why, ERR_INTEGRITY, 0, "slot %u was dropped", want->slot);
    else if (want->raw_bytes ? s->raw != want->raw_bytes
                             : s->raw > p->f->opts.raw_max)
        err_set(why, ERR_INTEGRITY, 0, "slot %u has %u bytes, not %u",
                want->slot, s->raw,
                want->raw_bytes ? want->raw_bytes : p->f->opts.raw_max);
    else
        return true;
    return false;
}

/* --- the key -------------------------------------------------------------- */

enum err_code fetch_pack_take_header(struct fetch_pack *p,
                                     const uint8_t *header, struct err *err)
{
    struct pack_table t = {.kind = p->kind, .pack_id = p->id};
    enum err_code rc;

    bytes_hex(p->id.b, 16, t.name); /* for messages */
    rc = pack_table_take_header(&t, header, err);
    if (rc == ERR_OK && !id16_equal(&t.header.key_id, &p->key_id))
        rc =
            err_set(err, ERR_INTEGRITY, 0,
                    "%s: sealed under another key than the point says", t.name);
    if (rc == ERR_OK)
        rc = pack_table_key(&t, p->f->opts.keys, &p->key, err);
    p->has_key = rc == ERR_OK;
    return rc;
}

static void on_header(void *ctx, const struct err *err, const uint8_t *data,
                      size_t len, const struct store_info *info)
{
    struct fetch_pack *p = ctx;
    struct fetch *f = p->f;
    struct err why = *err;

    (void)info;
    p->header_op = NULL;
    f->opening--;
    if (f->ending || p->header_round != p->round || p->failed || p->has_key) {
        why.code = ERR_OK; /* of no use any more */
    } else if (why.code == ERR_OK) {
        if (len != SEAL_SLOT_HEADER)
            err_set(&why, ERR_INTEGRITY, 0, "its header is cut off");
        else
            fetch_pack_take_header(p, data, &why);
    }
    if (why.code == ERR_OK && !f->ending)
        fetch_pack_fetch_key(p, &why); /* if it is still not known */
    if (why.code == ERR_NOT_FOUND || why.code == ERR_INTEGRITY ||
        why.code == ERR_PROTOCOL) {
        uint64_t first = p->first == FETCH_NOBODY ? f->head : p->first;

        fetch_pack_slot_failed(p, fetch_ref_at(f, first)->want.slot, &why);
    } else if (why.code != ERR_OK) {
        fetch_fail(f, &why);
    }
    fetch_replan(f);
    fetch_run(f);
    fetch_settle(f);
}

enum err_code fetch_pack_fetch_key(struct fetch_pack *p, struct err *err)
{
    if (p->has_key || p->header_op || !p->table)
        return ERR_OK;
    if (store_fetch(p->f->opts.store, p->table->name, SEAL_SLOT_HEADER,
                    (struct store_range){.length = SEAL_SLOT_HEADER}, on_header,
                    p, &p->header_op, err) != ERR_OK)
        return err->code;
    p->header_round = p->round;
    p->f->opening++;
    return ERR_OK;
}

void fetch_pack_cancel_all(struct fetch *f)
{
    for (unsigned i = 0; i < FETCH_BUCKETS; i++)
        for (struct fetch_pack *p = f->packs[i]; p; p = p->bucket) {
            if (p->opening)
                pack_read_cancel(p->reader);
            if (p->header_op)
                store_op_cancel(p->header_op);
        }
}
