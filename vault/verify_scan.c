/* SPDX-License-Identifier: Apache-2.0 */
/*
 *  TAIL --> [TOC] --> BODY (all before the toc) --> done with
 *
 * The body comes into one slab while a worker looks at the other: digest,
 * header, and slots where they can be opened. A slot that lies over the end of
 * a slab is put together apart.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/seal_pieces.h"
#include "vault/pack_opener.h"
#include "vault/pack_table.h"
#include "vault/verify_inside.h"

#define TAIL_BYTES ((uint64_t)64 << 10)

enum scan_state { SCAN_TAIL, SCAN_TOC, SCAN_BODY };

struct verify_scan {
    struct verify *v;
    struct verify_scan **place;
    enum scan_state state;
    bool cancelled;
    struct verify_object object;
    struct pack_table table;
    struct store_op *op;
    bool refused;      /* the store waits for store_op_resume() */
    struct slab *fill; /* body bytes come here */
    struct slab *busy; /* the worker's, while it works */
    bool body_ended;
    uint64_t received;
    struct err err; /* the object's fault, or the store's */
    struct work work;
    /* The worker's, while it works: */
    const struct keyring *keys;
    struct seal_pieces *pieces;
    struct pack_opener *opener; /* slots are opened */
    uint64_t pos;               /* in the object */
    struct seal_key k_pack;
    bool open_slots;
    uint8_t head[SEAL_SLOT_HEADER];
    uint32_t slot;   /* the next one */
    uint8_t *sealed; /* bytes of a slot */
    uint32_t sealed_len;
    uint8_t *chunk;
    uint32_t *bad;
    size_t bads, bad_room;
    struct err slot_err; /* of the first bad slot */
    struct err fatal;    /* header or memory */
};

/* --- the end -------------------------------------------------------------- */

static void free_scan(struct verify_scan *s)
{
    pack_table_fini(&s->table);
    if (s->fill)
        slab_give(s->fill);
    if (s->busy)
        slab_give(s->busy);
    seal_pieces_free(s->pieces);
    pack_opener_free(s->opener);
    seal_key_fini(&s->k_pack);
    free(s->sealed);
    free(s->chunk);
    free(s->bad);
    free(s);
}

static void find(struct verify_scan *s, const struct err *err)
{
    char name[NAME_TEXT];
    struct err e = *err;

    name_text(&s->object.name, name);
    if (strstr(e.text, name) == NULL)
        err_context(&e, "%s", name);
    verify_find(s->v, name, false, &e);
}

/* All was read: say what is wrong, remember what is there. */
static void conclude(struct verify_scan *s)
{
    struct verify *v = s->v;
    struct verify_pack *p =
        verify_pack_find(v, &s->table.pack_id, s->table.kind);
    uint8_t digest[32];
    bool doubtful = false;
    struct err err;

    if (!seal_pieces_end(s->pieces, digest)) {
        err_set(&err, ERR_NOMEM, 0, "digest");
        verify_fail(v, &err);
        return;
    }
    if (!bytes_equal_ct(digest, s->table.tail.digest, sizeof(digest))) {
        if (s->bads)
            err_set(&err, ERR_INTEGRITY, 0,
                    "its digest is wrong; %zu of %u slots do not open, first: "
                    "%s",
                    s->bads, s->table.slots, s->slot_err.text);
        else
            err_set(&err, ERR_INTEGRITY, 0, "its digest is wrong%s",
                    s->open_slots ? ", though every slot opens" : "");
        find(s, &err);
        doubtful = !s->open_slots;
    } else if (s->bads) {
        /* Sealed so by whoever wrote it. */
        err_set(&err, ERR_INTEGRITY, 0, "%zu of %u slots do not open: %s",
                s->bads, s->table.slots, s->slot_err.text);
        find(s, &err);
    }
    if (!verify_pack_add(v, p, &s->table, s->bad, s->bads, doubtful)) {
        err_set(&err, ERR_NOMEM, 0, "tables");
        verify_fail(v, &err);
    }
}

static void finish(struct verify_scan *s)
{
    struct verify *v = s->v;

    if (s->cancelled || v->phase == VERIFY_ENDING) {
        /* nobody asks any more */
    } else if (s->fatal.code == ERR_NOMEM) {
        verify_fail(v, &s->fatal);
    } else if (s->err.code == ERR_NOT_FOUND) {
        verify_count(v, s->object.bytes); /* collected meanwhile */
    } else if (s->err.code && !verify_is_damage(s->err.code)) {
        verify_fail(v, &s->err);
    } else {
        if (s->err.code)
            find(s, &s->err);
        else if (s->fatal.code)
            find(s, &s->fatal);
        else
            conclude(s);
        verify_count(v, s->object.bytes);
    }
    *s->place = NULL;
    v->scans--;
    free_scan(s);
    verify_step(v);
    verify_settle(v);
}

static void maybe_finish(struct verify_scan *s)
{
    if (!s->op && !s->busy)
        finish(s);
}

/* --- the worker ----------------------------------------------------------- */

static void note_bad(struct verify_scan *s, const struct err *err)
{
    if (err->code == ERR_NOMEM) {
        s->fatal = *err;
        return;
    }
    if (s->bads == s->bad_room) {
        size_t room = s->bad_room ? 2 * s->bad_room : 16;
        uint32_t *more = realloc(s->bad, room * sizeof(*more));

        if (!more) {
            err_set(&s->fatal, ERR_NOMEM, 0, "bad slots");
            return;
        }
        s->bad = more;
        s->bad_room = room;
    }
    if (!s->bads)
        s->slot_err = *err;
    s->bad[s->bads++] = s->slot;
}

static void open_slot(struct verify_scan *s, const uint8_t *sealed)
{
    struct pack_opener_slot slot = {
        .k_pack = &s->k_pack,
        .kind = s->table.kind,
        .number = s->slot,
        .slot = &s->table.slot[s->slot],
        .sealed = sealed,
        .out = s->chunk,
    };
    struct err err = {0};

    if (pack_opener_open(s->opener, s->keys, &slot, &err) != ERR_OK)
        note_bad(s, &err);
}

/* The header is whole: may slots be opened? */
static void take_header(struct verify_scan *s)
{
    struct err err = {0};

    if (pack_table_take_header(&s->table, s->head, &err) == ERR_OK)
        pack_table_key(&s->table, s->keys, &s->k_pack, &err);
    if (err.code == ERR_KEY)
        s->open_slots = false; /* the digest must do */
    else if (err.code != ERR_OK)
        s->fatal = err;
}

/* Some bytes of slots. Returns how many were looked at. */
static size_t take_slots(struct verify_scan *s, const uint8_t *data, size_t len)
{
    const struct pack_slot *slot;
    size_t n;

    while (s->slot < s->table.slots && !s->table.slot[s->slot].stored)
        s->slot++;
    if (s->slot == s->table.slots)
        return len; /* padding */
    slot = &s->table.slot[s->slot];
    n = slot->stored - s->sealed_len;
    if (n <= len && !s->sealed_len) {
        open_slot(s, data);
        s->slot++;
        return n;
    }
    if (n > len)
        n = len;
    memcpy(s->sealed + s->sealed_len, data, n);
    s->sealed_len += (uint32_t)n;
    if (s->sealed_len == slot->stored) {
        s->sealed_len = 0;
        open_slot(s, s->sealed);
        s->slot++;
    }
    return n;
}

static void run(struct work *w)
{
    struct verify_scan *s =
        (struct verify_scan *)((char *)w - offsetof(struct verify_scan, work));
    const uint8_t *data = s->busy->data;
    size_t len = s->busy->len;

    seal_pieces_add(s->pieces, data, len);
    while (len && s->fatal.code == ERR_OK) {
        size_t n;

        if (s->pos < SEAL_SLOT_HEADER) {
            size_t left = SEAL_SLOT_HEADER - (size_t)s->pos;

            n = len < left ? len : left;
            memcpy(s->head + s->pos, data, n);
            if (s->pos + n == SEAL_SLOT_HEADER)
                take_header(s);
        } else if (s->open_slots) {
            n = take_slots(s, data, len);
        } else {
            n = len;
        }
        s->pos += n;
        data += n;
        len -= n;
    }
}

static void send_slab(struct verify_scan *s);

static void on_worked(struct work *w)
{
    struct verify_scan *s =
        (struct verify_scan *)((char *)w - offsetof(struct verify_scan, work));

    slab_give(s->busy);
    s->busy = NULL;
    if (s->body_ended && s->fill && s->fill->len && !s->err.code)
        send_slab(s);
    if (s->refused && s->op) {
        s->refused = false;
        store_op_resume(s->op);
    }
    maybe_finish(s);
}

static void send_slab(struct verify_scan *s)
{
    s->busy = s->fill;
    s->fill = NULL;
    s->work.run = run;
    s->work.done = on_worked;
    work_start(s->v->opts.store->loop, &s->work);
}

/* --- the body ------------------------------------------------------------- */

static bool on_data(void *ctx, const uint8_t *data, size_t len)
{
    struct verify_scan *s = ctx;

    if (s->cancelled || s->err.code)
        return true;
    if (s->fill && s->fill->len + len > VERIFY_SLAB) {
        if (s->busy) {
            s->refused = true;
            return false;
        }
        send_slab(s);
    }
    if (!s->fill) {
        s->fill = slab_take(s->v->slabs);
        if (!s->fill) {
            err_set(&s->err, ERR_NOMEM, 0, "verifying packs");
            return true;
        }
        s->fill->len = 0;
    }
    memcpy(s->fill->data + s->fill->len, data, len);
    s->fill->len += len;
    s->received += len;
    return true;
}

static void on_body(void *ctx, const struct err *err,
                    const struct store_info *info)
{
    struct verify_scan *s = ctx;

    (void)info;
    s->op = NULL;
    s->body_ended = true;
    if (err->code == ERR_OK && s->received != s->table.tail.toc_offset &&
        !s->cancelled && !s->err.code)
        err_set(&s->err, ERR_INTEGRITY, 0, "%s: its body ends too early",
                s->table.name);
    else if (err->code != ERR_OK)
        err_keep(&s->err, err);
    else if (!s->busy && s->fill)
        send_slab(s);
    maybe_finish(s);
}

/* The table is there: read all that is before the toc. */
static void read_body(struct verify_scan *s)
{
    struct store_get_opts get = {
        .name = s->table.name, .on_data = on_data, .done = on_body, .ctx = s};
    struct err err;

    s->state = SCAN_BODY;
    s->open_slots = s->v->opts.full || s->table.kind == SEAL_SLOT_MAP;
    s->pieces = seal_pieces_new(keyring_suite(s->keys));
    s->opener = pack_opener_new(keyring_suite(s->keys));
    s->sealed = malloc(PACK_LAYOUT_RAW_MAX + SEAL_SLOT_TAG);
    s->chunk = malloc(PACK_LAYOUT_RAW_MAX);
    get.range.length = s->table.tail.toc_offset;
    if (!s->pieces || !s->opener || !s->sealed || !s->chunk)
        err_set(&s->fatal, ERR_NOMEM, 0, "verifying packs");
    else if (store_get(s->v->opts.store, &get, &s->op, &err) != ERR_OK)
        s->err = err;
}

/* --- the tables ----------------------------------------------------------- */

static void on_tables(void *ctx, const struct err *err, const uint8_t *data,
                      size_t len, const struct store_info *info);

static void fetch(struct verify_scan *s, enum scan_state state,
                  struct store_range range)
{
    uint64_t max = state == SCAN_TAIL ? TAIL_BYTES : s->table.tail.toc_bytes;
    struct err err;

    s->state = state;
    if (store_fetch(s->v->opts.store, s->table.name, max, range, on_tables, s,
                    &s->op, &err) != ERR_OK)
        s->err = err;
}

static void take_tail(struct verify_scan *s, const uint8_t *data, size_t len,
                      uint64_t bytes)
{
    struct pack_table *t = &s->table;
    uint64_t begin = bytes - len;

    t->bytes = bytes;
    if (len < PACK_LAYOUT_TAIL || len > bytes)
        err_set(&s->err, ERR_INTEGRITY, 0, "%s: too short", t->name);
    else if (pack_table_take_tail(t, data + len - PACK_LAYOUT_TAIL, &s->err) !=
             ERR_OK)
        return;
    else if (t->tail.toc_offset < begin)
        fetch(s, SCAN_TOC,
              (struct store_range){.offset = t->tail.toc_offset,
                                   .length = t->tail.toc_bytes});
    else if (pack_table_take_toc(t, s->keys,
                                 data + (t->tail.toc_offset - begin),
                                 &s->err) == ERR_OK)
        read_body(s);
}

static void take_toc(struct verify_scan *s, const uint8_t *data, size_t len)
{
    if (len != s->table.tail.toc_bytes)
        err_set(&s->err, ERR_INTEGRITY, 0, "%s: its toc is cut off",
                s->table.name);
    else if (pack_table_take_toc(&s->table, s->keys, data, &s->err) == ERR_OK)
        read_body(s);
}

static void on_tables(void *ctx, const struct err *err, const uint8_t *data,
                      size_t len, const struct store_info *info)
{
    struct verify_scan *s = ctx;

    s->op = NULL;
    if (err->code != ERR_OK)
        s->err = *err;
    else if (s->cancelled)
        err_set(&s->err, ERR_CANCELLED, 0, "cancelled");
    else if (s->state == SCAN_TAIL)
        take_tail(s, data, len, info->bytes);
    else
        take_toc(s, data, len);
    maybe_finish(s);
}

/* --- outside -------------------------------------------------------------- */

enum err_code verify_scan_start(struct verify *v,
                                const struct verify_object *object,
                                struct verify_scan **place, struct err *err)
{
    struct verify_scan *s = calloc(1, sizeof(*s));
    char name[NAME_TEXT];

    if (!s)
        return err_set(err, ERR_NOMEM, 0, "verifying packs");
    s->v = v;
    s->place = place;
    s->keys = v->opts.keys;
    s->object = *object;
    name_text(&object->name, name);
    if (pack_table_init(&s->table, name, object->bytes, err) != ERR_OK) {
        free_scan(s);
        return err->code;
    }
    fetch(s, SCAN_TAIL, (struct store_range){.from_end = TAIL_BYTES});
    if (!s->op) {
        *err = s->err;
        free_scan(s);
        return err->code;
    }
    *place = s;
    v->scans++;
    return ERR_OK;
}

void verify_scan_cancel(struct verify_scan *s)
{
    s->cancelled = true;
    if (s->op)
        store_op_cancel(s->op);
}
