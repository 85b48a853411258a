/* SPDX-License-Identifier: Apache-2.0 */
/*
 *  plain name: TAIL -> [TOC] -> [HEADER] -> IDLE (done, table)
 *     any of these fails: LISTING (once), then the next name: TAIL ...
 *     no name left: FAILED (done, error)
 */
#include "vault/pack_read.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "loop/timer.h"

#define NAMES_MAX 256  /* objects of one pack that are looked at */
#define LISTINGS_MAX 4 /* while objects vanish between LIST and GET */

enum state { TAIL, TOC, HEADER, LISTING, IDLE, FAILED };

struct pack_read {
    enum state state;
    struct pack_read_opts opts;
    struct pack_table table;
    struct store_op *op;
    bool cancelled;
    bool vanished;            /* a listed name was gone */
    unsigned listings;        /* so far */
    char (*names)[NAME_TEXT]; /* still to be tried; the last one next */
    size_t count, room;
    struct err cause; /* the first that is not "not found" */
    struct timer later;
};

static void next_name(struct pack_read *r);

/* --- the end --------------------------------------------------------- */

static void report(struct pack_read *r, enum state state, const struct err *err)
{
    r->state = state;
    r->op = NULL;
    r->opts.done(r->opts.ctx, err, state == IDLE ? &r->table : NULL);
}

static void on_later(struct timer *t)
{
    struct pack_read *r =
        (struct pack_read *)((char *)t - offsetof(struct pack_read, later));
    struct err err = r->cause;

    if (r->cancelled)
        err_set(&err, ERR_CANCELLED, 0, "cancelled");
    report(r, FAILED, &err);
}

/* Fail from wherever we are, in the next turn. */
static void fail_later(struct pack_read *r)
{
    r->state = FAILED;
    timer_start(r->opts.store->loop, &r->later, 0, on_later);
}

/* Errors that speak of this object, not of the way to the store. */
static bool is_of_object(enum err_code code)
{
    return code == ERR_NOT_FOUND || code == ERR_INTEGRITY ||
           code == ERR_PROTOCOL || code == ERR_KEY;
}

/* The current object failed: the next one, or the end. */
static void object_failed(struct pack_read *r, const struct err *err)
{
    if (err->code == ERR_NOT_FOUND)
        r->vanished |= r->listings > 0;
    else if (r->cause.code == ERR_OK || r->cause.code == ERR_NOT_FOUND ||
             !is_of_object(err->code))
        r->cause = *err;
    if (r->cause.code == ERR_OK)
        r->cause = *err;
    pack_table_fini(&r->table);
    if (r->cancelled || !is_of_object(err->code))
        fail_later(r);
    else
        next_name(r);
}

/* --- one object ------------------------------------------------------ */

static void on_fetched(void *ctx, const struct err *err, const uint8_t *data,
                       size_t len, const struct store_info *info);

static void fetch(struct pack_read *r, enum state state, uint64_t max,
                  struct store_range range)
{
    struct err err;

    r->state = state;
    if (store_fetch(r->opts.store, r->table.name, max, range, on_fetched, r,
                    &r->op, &err) != ERR_OK) {
        r->cause = err;
        fail_later(r);
    }
}

static void fetch_header(struct pack_read *r)
{
    fetch(r, HEADER, SEAL_SLOT_HEADER,
          (struct store_range){.offset = 0, .length = SEAL_SLOT_HEADER});
}

static void toc_taken(struct pack_read *r)
{
    struct err ok = {0};

    if (r->opts.header && !r->table.has_header)
        fetch_header(r);
    else
        report(r, IDLE, &ok);
}

/* The last 64 KiB: tail, most often the toc, all of a small pack. */
static enum err_code take_end(struct pack_read *r, const uint8_t *data,
                              size_t len, uint64_t bytes, struct err *err)
{
    struct pack_table *t = &r->table;
    uint64_t begin;

    t->bytes = bytes;
    if (len < PACK_LAYOUT_TAIL || len > bytes)
        return err_set(err, ERR_INTEGRITY, 0, "%s: too short", t->name);
    begin = bytes - len; /* where data stands in the object */
    if (pack_table_take_tail(t, data + len - PACK_LAYOUT_TAIL, err) != ERR_OK)
        return err->code;
    if (begin == 0 && pack_table_take_header(t, data, err) != ERR_OK)
        return err->code;
    if (t->tail.toc_offset < begin) {
        fetch(r, TOC, t->tail.toc_bytes,
              (struct store_range){.offset = t->tail.toc_offset,
                                   .length = t->tail.toc_bytes});
        return ERR_OK;
    }
    if (pack_table_take_toc(t, r->opts.keys,
                            data + (t->tail.toc_offset - begin), err) != ERR_OK)
        return err->code;
    toc_taken(r);
    return ERR_OK;
}

static enum err_code take_toc(struct pack_read *r, const uint8_t *data,
                              size_t len, struct err *err)
{
    if (len != r->table.tail.toc_bytes)
        return err_set(err, ERR_INTEGRITY, 0, "%s: its toc is cut off",
                       r->table.name);
    if (pack_table_take_toc(&r->table, r->opts.keys, data, err) != ERR_OK)
        return err->code;
    toc_taken(r);
    return ERR_OK;
}

static enum err_code take_header(struct pack_read *r, const uint8_t *data,
                                 size_t len, struct err *err)
{
    struct err ok = {0};

    if (len != SEAL_SLOT_HEADER)
        return err_set(err, ERR_INTEGRITY, 0, "%s: its header is cut off",
                       r->table.name);
    if (pack_table_take_header(&r->table, data, err) != ERR_OK)
        return err->code;
    report(r, IDLE, &ok);
    return ERR_OK;
}

/* After take_*() said ERR_OK the reader may be gone. */
static void on_fetched(void *ctx, const struct err *err, const uint8_t *data,
                       size_t len, const struct store_info *info)
{
    struct pack_read *r = ctx;
    struct err e = *err;

    r->op = NULL;
    if (r->cancelled)
        err_set(&e, ERR_CANCELLED, 0, "cancelled");
    if (e.code == ERR_OK) {
        if (r->state == TAIL)
            take_end(r, data, len, info->bytes, &e);
        else if (r->state == TOC)
            take_toc(r, data, len, &e);
        else
            take_header(r, data, len, &e);
    }
    if (e.code != ERR_OK)
        object_failed(r, &e);
}

static void open_name(struct pack_read *r, const char *name)
{
    struct err err;

    if (pack_table_init(&r->table, name, 0, &err) != ERR_OK) {
        r->cause = err;
        fail_later(r);
        return;
    }
    fetch(r, TAIL, PACK_LAYOUT_BLOCK,
          (struct store_range){.from_end = PACK_LAYOUT_BLOCK});
}

/* --- the other names ------------------------------------------------- */

static bool on_entry(void *ctx, const struct store_entry *entry)
{
    struct pack_read *r = ctx;
    struct name n;

    if (!name_parse(entry->name, &n) || !id16_equal(&n.id, &r->opts.pack_id))
        return true;
    /* Names come in rising order, so the greatest is tried first; the plain
     * one was tried before anything was listed. */
    if (n.gen == 0 || r->count == NAMES_MAX)
        return true;
    if (r->count == r->room) {
        size_t room = r->room ? 2 * r->room : 4;
        char(*more)[NAME_TEXT] = realloc(r->names, room * sizeof(*more));

        if (!more) {
            err_set(&r->cause, ERR_NOMEM, 0, "%s", entry->name);
            return false;
        }
        r->names = more;
        r->room = room;
    }
    name_text(&n, r->names[r->count++]);
    return true;
}

static void on_listed(void *ctx, const struct err *err,
                      const struct store_info *info)
{
    struct pack_read *r = ctx;

    r->op = NULL;
    if (r->cancelled || err->code != ERR_OK) {
        if (r->cause.code != ERR_NOMEM)
            r->cause = *err;
        fail_later(r);
        return;
    }
    next_name(r);
}

static void list_names(struct pack_read *r)
{
    enum name_kind kind = r->opts.kind == SEAL_SLOT_MAP ? NAME_MAP : NAME_PACK;
    char prefix[NAME_TEXT];
    struct store_list_opts list = {
        .prefix = prefix,
        .on_entry = on_entry,
        .done = on_listed,
        .ctx = r,
    };
    struct err err;

    name_pack(kind, &r->opts.pack_id, prefix);
    r->state = LISTING;
    r->listings++;
    r->vanished = false;
    if (store_list(r->opts.store, &list, &r->op, &err) != ERR_OK) {
        r->cause = err;
        fail_later(r);
    }
}

/* A compaction may take a name away between LIST and GET and leave a greater
 * one: then list again. */
static void next_name(struct pack_read *r)
{
    if (r->count) {
        r->count--;
        open_name(r, r->names[r->count]);
    } else if (!r->listings || (r->vanished && r->listings < LISTINGS_MAX)) {
        list_names(r);
    } else {
        fail_later(r);
    }
}

/* --- outside --------------------------------------------------------- */

enum err_code pack_read_start(const struct pack_read_opts *opts,
                              struct pack_read **out, struct err *err)
{
    enum name_kind kind = opts->kind == SEAL_SLOT_MAP ? NAME_MAP : NAME_PACK;
    struct pack_read *r = calloc(1, sizeof(*r));
    char name[NAME_TEXT];

    if (!r)
        return err_set(err, ERR_NOMEM, 0, "opening a pack");
    r->opts = *opts;
    name_pack(kind, &opts->pack_id, name);
    open_name(r, name);
    *out = r;
    return ERR_OK;
}

void pack_read_again(struct pack_read *r, const struct err *why)
{
    struct err err = *why;

    if (err.code == ERR_OK || !is_of_object(err.code))
        err.code = ERR_INTEGRITY;
    object_failed(r, &err);
}

void pack_read_cancel(struct pack_read *r)
{
    r->cancelled = true;
    if (r->op)
        store_op_cancel(r->op);
}

void pack_read_free(struct pack_read *r)
{
    if (!r)
        return;
    timer_stop(&r->later);
    pack_table_fini(&r->table);
    free(r->names);
    free(r);
}
