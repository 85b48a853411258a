/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source is one GET. Its plan is a list of wants by rising slot, and since
 * they are taken in the order of wanting, by rising number too: what it has to
 * place next is never behind something that is admitted later.
 *
 * A store's piece is taken whole or not at all. What of it belongs to wants
 * that are not admitted yet is carried; further pieces are refused meanwhile.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "vault/fetch_inside.h"

static void free_source(struct fetch_source *s)
{
    struct fetch_pack *p = s->pack;

    free(s->plan);
    s->plan = NULL;
    s->pack = NULL;
    p->sources--;
    fetch_replan(s->f); /* there is a place for another */
}

/* Whether nothing needs to be read for a want: its chunk is there, or comes
 * from elsewhere. */
static bool is_served(const struct fetch_ref *ref, const struct fetch_source *s)
{
    const struct fetch_cell *c = ref->cell;

    return c && (c->state != CELL_WAITING || (c->source && c->source != s));
}

/* The want whose slot comes next; NULL: none is left. */
static struct fetch_ref *current(struct fetch_source *s)
{
    while (s->next < s->planned) {
        uint64_t seq = s->plan[s->next];
        struct fetch_ref *ref = fetch_ref_at(s->f, seq);

        if (seq >= s->f->head && ref->source == s && !is_served(ref, s))
            return ref;
        if (seq >= s->f->head && ref->source == s)
            ref->source = NULL;
        s->next++;
    }
    return NULL;
}

/* Its wants are without a source again. */
static void unplan(struct fetch_source *s)
{
    for (; s->next < s->planned; s->next++) {
        uint64_t seq = s->plan[s->next];
        struct fetch_ref *ref = fetch_ref_at(s->f, seq);

        if (seq < s->f->head || ref->source != s)
            continue;
        ref->source = NULL;
        if (ref->cell && ref->cell->source == s) {
            ref->cell->source = NULL;
            ref->cell->filled = 0;
        }
    }
    fetch_replan(s->f);
}

void fetch_source_close(struct fetch_source *s)
{
    if (!s->pack || s->closing)
        return;
    unplan(s);
    s->closing = true;
    s->carry_len = 0;
    if (s->op)
        store_op_cancel(s->op);
    else
        free_source(s);
}

void fetch_source_close_pack(struct fetch_pack *p)
{
    for (size_t i = 0; i < FETCH_SOURCES; i++)
        if (p->f->source[i].pack == p)
            fetch_source_close(&p->f->source[i]);
}

void fetch_source_evict(struct fetch *f, uint64_t seq)
{
    struct fetch_source *last = NULL;
    uint64_t last_seq = seq;

    for (size_t i = 0; i < FETCH_SOURCES; i++) {
        struct fetch_source *s = &f->source[i];

        if (s->pack && s->closing)
            return; /* a place becomes free as it is */
        if (s->pack && current(s) && s->plan[s->next] > last_seq) {
            last = s;
            last_seq = s->plan[s->next];
        }
    }
    if (last)
        fetch_source_close(last);
}

/* --- bytes ---------------------------------------------------------------- */

/* The 96 bytes at the front of the object, when they are wanted. */
static size_t take_head(struct fetch_source *s, const uint8_t *data, size_t len)
{
    size_t left = SEAL_SLOT_HEADER - (size_t)s->pos;
    size_t n = len < left ? len : left;
    struct fetch_ref *ref;
    struct err err;

    memcpy(s->head + s->pos, data, n);
    s->pos += n;
    if (s->pos < SEAL_SLOT_HEADER || s->pack->has_key)
        return n;
    ref = current(s);
    if (!ref || fetch_pack_take_header(s->pack, s->head, &err) == ERR_OK)
        return n;
    if (err.code == ERR_INTEGRITY)
        fetch_pack_slot_failed(s->pack, ref->want.slot, &err);
    else
        fetch_fail(s->f, &err);
    return n;
}

/* Bytes of a slot into its cell. 0: it is not admitted yet. */
static size_t take_slot(struct fetch_source *s, struct fetch_ref *ref,
                        const uint8_t *data, size_t len)
{
    struct fetch_pack *p = s->pack;
    struct fetch_cell *c = ref->cell;
    struct err err;
    size_t n;

    if (!c)
        return 0;
    if (!c->slab && !(c->slab = slab_take(s->f->slabs))) {
        err_set(&err, ERR_NOMEM, 0, "reading chunks");
        fetch_fail(s->f, &err);
        return len;
    }
    if (!c->filled) {
        c->info = p->table->slot[c->slot];
        c->round = p->round;
        c->source = s;
    }
    n = c->info.stored - c->filled;
    if (n > len)
        n = len;
    memcpy(c->slab->data + c->filled, data, n);
    c->filled += (uint32_t)n;
    s->pos += n;
    if (c->filled == c->info.stored) {
        ref->source = NULL;
        s->next++;
        fetch_open_add(s->f, c);
    }
    return n;
}

/* Place what can be placed; returns how much. All is taken once the source is
 * closing or has nothing left to place. */
static size_t consume(struct fetch_source *s, const uint8_t *data, size_t len)
{
    size_t used = 0;

    while (used < len && !s->closing) {
        struct fetch_ref *ref;
        uint64_t offset;
        size_t n;

        if (s->pos < SEAL_SLOT_HEADER) {
            used += take_head(s, data + used, len - used);
            continue;
        }
        ref = current(s);
        if (!ref)
            return len;
        offset = s->pack->table->offset[ref->want.slot];
        if (s->pos < offset) { /* between the slots that are wanted */
            n = offset - s->pos < len - used ? (size_t)(offset - s->pos)
                                             : len - used;
            s->pos += n;
        } else {
            n = take_slot(s, ref, data + used, len - used);
            if (!n)
                return used;
        }
        used += n;
    }
    return len;
}

/* The GET is over and all its bytes were placed. */
static void source_ended(struct fetch_source *s)
{
    struct fetch_ref *ref = s->closing ? NULL : current(s);
    struct err err;

    if (!ref) {
        free_source(s);
        return;
    }
    err_set(&err, ERR_INTEGRITY, 0, "%s: its body ends too early",
            s->pack->table->name);
    fetch_pack_slot_failed(s->pack, ref->want.slot, &err); /* closes it too */
}

bool fetch_source_drain(struct fetch_source *s)
{
    size_t n;

    if (!s->pack || !s->carry_len)
        return false;
    n = consume(s, s->carry + s->carry_at, s->carry_len);
    if (s->closing || !s->pack)
        return true;
    s->carry_at += n;
    s->carry_len -= n;
    if (s->carry_len)
        return n > 0;
    if (!s->op) {
        source_ended(s);
    } else if (s->refused && !s->in_callback) {
        s->refused = false;
        store_op_resume(s->op);
    }
    return true;
}

static bool on_data(void *ctx, const uint8_t *data, size_t len)
{
    struct fetch_source *s = ctx;
    size_t n;

    if (s->closing)
        return true; /* cancelled: it only runs out */
    if (s->carry_len) {
        s->refused = true;
        return false;
    }
    s->in_callback = true;
    n = consume(s, data, len);
    if (n < len && !s->closing) {
        memcpy(s->carry, data + n, len - n);
        s->carry_at = 0;
        s->carry_len = len - n;
    }
    fetch_run(s->f);
    s->in_callback = false;
    return true;
}

static void on_done(void *ctx, const struct err *err,
                    const struct store_info *info)
{
    struct fetch_source *s = ctx;
    struct fetch *f = s->f;
    struct fetch_ref *ref;

    (void)info;
    s->op = NULL;
    ref = s->closing ? NULL : current(s);
    if (!ref) {
        free_source(s);
    } else if (err->code == ERR_OK) {
        if (!s->carry_len)
            source_ended(s);
    } else if (err->code == ERR_NOT_FOUND || err->code == ERR_PROTOCOL ||
               err->code == ERR_INTEGRITY) {
        fetch_pack_slot_failed(s->pack, ref->want.slot, err);
    } else {
        fetch_fail(f, err);
    }
    fetch_run(f);
    fetch_settle(f);
}

/* --- opening -------------------------------------------------------------- */

static bool is_free(const struct fetch_ref *ref)
{
    return !ref->source && !is_served(ref, NULL) &&
           !(ref->cell && ref->cell->source);
}

/* The wants of the pack, from `seq` on, that lie near behind one another. */
static bool make_plan(struct fetch_source *s, uint64_t seq)
{
    const struct pack_table *t = s->pack->table;
    uint64_t end = t->offset[fetch_ref_at(s->f, seq)->want.slot];
    size_t room = 64;
    struct err err;

    s->plan = malloc(room * sizeof(*s->plan));
    s->planned = s->next = 0;
    for (; s->plan && seq != FETCH_NOBODY;
         seq = fetch_ref_at(s->f, seq)->next) {
        struct fetch_ref *ref = fetch_ref_at(s->f, seq);
        uint64_t offset;

        if (!is_free(ref) || !fetch_pack_check(s->pack, &ref->want, &err))
            continue;
        offset = t->offset[ref->want.slot];
        if (offset < end || offset - end > FETCH_GAP)
            continue;
        if (s->planned == room) {
            uint64_t *more = realloc(s->plan, 2 * room * sizeof(*more));

            if (!more)
                break; /* a shorter one will do */
            s->plan = more;
            room *= 2;
        }
        s->plan[s->planned++] = seq;
        end = offset + t->slot[ref->want.slot].stored;
    }
    return s->plan != NULL;
}

static enum err_code start_get(struct fetch_source *s, struct err *err)
{
    struct fetch_pack *p = s->pack;
    const struct pack_table *t = p->table;
    uint32_t first, last;
    struct store_get_opts get = {
        .name = t->name, .on_data = on_data, .done = on_done, .ctx = s};

    assert(s->planned > 0); /* the one that the source is opened for fits */
    first = fetch_ref_at(s->f, s->plan[0])->want.slot;
    last = fetch_ref_at(s->f, s->plan[s->planned - 1])->want.slot;

    /* The header comes with the slots when it is not far. */
    s->pos = t->offset[first];
    if (!p->has_key && s->pos <= FETCH_GAP)
        s->pos = 0;
    else if (fetch_pack_fetch_key(p, err) != ERR_OK)
        return err->code;
    get.range.offset = s->pos;
    get.range.length = t->offset[last + 1] - s->pos;
    return store_get(s->f->opts.store, &get, &s->op, err);
}

bool fetch_source_open(struct fetch *f, uint64_t seq)
{
    struct fetch_source *s = NULL;
    struct err err;

    for (size_t i = 0; i < FETCH_SOURCES && !s; i++)
        if (!f->source[i].pack)
            s = &f->source[i];
    if (!s)
        return false;
    s->f = f;
    s->closing = s->refused = s->in_callback = false;
    s->carry_len = 0;
    s->pack = fetch_ref_at(f, seq)->pack;
    s->pack->sources++;
    if (!s->carry)
        s->carry = malloc(FETCH_PIECE);
    if (!s->carry || !make_plan(s, seq)) {
        err_set(&err, ERR_NOMEM, 0, "reading chunks");
        goto failed;
    }
    if (start_get(s, &err) != ERR_OK)
        goto failed;
    for (size_t i = 0; i < s->planned; i++) {
        struct fetch_ref *ref = fetch_ref_at(f, s->plan[i]);

        ref->source = s;
        if (ref->cell)
            ref->cell->source = s;
    }
    f->figures.body_gets++;
    return true;
failed:
    free_source(s);
    fetch_fail(f, &err);
    return true;
}
