/* SPDX-License-Identifier: Apache-2.0 */
/*
 *  LISTING -> FETCHING (up to 8 at a time) -> done
 *     a list was gone: LISTING again, a few times
 *     a failure, or cancel: what is under way comes back -> done
 */
#include "vault/list_read.h"

#include <stdlib.h>
#include <string.h>

#include "vault/name.h"

#define AT_ONCE 8
#define IN_FLIGHT (16 * MIB) /* bytes of lists being fetched, or one */
#define LISTINGS_MAX 5 /* while lists vanish between LIST and GET */

struct listed {
    char name[NAME_TEXT];
    uint64_t bytes;
};

struct fetching {
    struct list_read *reader;
    struct store_op *op; /* NULL: free */
    struct listed list;
};

struct list_read {
    struct list_read_opts opts;
    struct store_op *listing;
    struct store_info info; /* of the last LIST */
    unsigned listings;
    struct listed *listed; /* to be read; from `next` on */
    size_t count, room, next;
    struct fetching fetch[AT_ONCE];
    unsigned busy; /* fetches under way */
    uint64_t in_flight;
    bool vanished;  /* one was gone */
    struct err err; /* the first failure */
};

static void go_on(struct list_read *r);

static void finish(struct list_read *r)
{
    static const struct store_info nothing;

    r->opts.done(r->opts.ctx, &r->err,
                 r->err.code == ERR_OK ? &r->info : &nothing);
    free(r->listed);
    free(r);
}

static void stop_all(struct list_read *r)
{
    if (r->listing)
        store_op_cancel(r->listing);
    for (size_t i = 0; i < AT_ONCE; i++)
        if (r->fetch[i].op)
            store_op_cancel(r->fetch[i].op);
}

static void fail(struct list_read *r, const struct err *err)
{
    if (r->err.code != ERR_OK)
        return;
    r->err = *err;
    stop_all(r);
}

/* --- one list -------------------------------------------------------- */

/* A list that cannot be read ends a session; a restore passes it over. */
static void bad_list(struct list_read *r, const char *name,
                     const struct err *err)
{
    struct err e = *err;

    if (r->opts.lenient && (e.code == ERR_INTEGRITY || e.code == ERR_KEY ||
                            e.code == ERR_PROTOCOL)) {
        if (r->opts.on_bad)
            r->opts.on_bad(r->opts.ctx, name, &e);
        return;
    }
    fail(r, &e);
}

static void on_fetched(void *ctx, const struct err *err, const uint8_t *data,
                       size_t len, const struct store_info *info)
{
    struct fetching *f = ctx;
    struct list_read *r = f->reader;
    struct err e;

    (void)info;
    f->op = NULL;
    r->busy--;
    r->in_flight -= f->list.bytes;
    if (r->err.code != ERR_OK) {
        ; /* it came too late to matter */
    } else if (err->code == ERR_NOT_FOUND) {
        r->vanished = true;
    } else if (err->code != ERR_OK) {
        bad_list(r, f->list.name, err);
    } else if (list_set_add(r->opts.set, r->opts.keys, f->list.name, data,
                            len, &e) != ERR_OK) {
        bad_list(r, f->list.name, &e);
    } else if (r->opts.on_list) {
        r->opts.on_list(r->opts.ctx, f->list.name,
                        (struct slice){data, len});
    }
    go_on(r);
}

static void fetch_next(struct list_read *r)
{
    struct fetching *f = r->fetch;
    struct err err;

    while (f->op)
        f++;
    f->reader = r;
    f->list = r->listed[r->next++];
    /* No more than was listed: whoever can write there may plant large ones. */
    if (store_fetch(r->opts.store, f->list.name, f->list.bytes,
                    (struct store_range){0}, on_fetched, f, &f->op,
                    &err) != ERR_OK) {
        f->op = NULL;
        fail(r, &err);
    } else {
        r->busy++;
        r->in_flight += f->list.bytes;
    }
}

/* Whether the next one may be fetched beside those that are. */
static bool may_fetch(const struct list_read *r)
{
    return r->err.code == ERR_OK && r->next < r->count && r->busy < AT_ONCE &&
           (!r->busy || r->in_flight + r->listed[r->next].bytes <= IN_FLIGHT);
}

/* --- which there are ------------------------------------------------- */

static bool on_entry(void *ctx, const struct store_entry *entry)
{
    struct list_read *r = ctx;
    struct name n;

    if (!name_parse(entry->name, &n) || n.kind != NAME_LIST ||
        list_set_has(r->opts.set, entry->name))
        return true;
    if (r->count == r->room) {
        size_t room = r->room ? 2 * r->room : 64;
        struct listed *more = realloc(r->listed, room * sizeof(*more));

        if (!more) {
            err_set(&r->err, ERR_NOMEM, 0, "%s", entry->name);
            return false;
        }
        r->listed = more;
        r->room = room;
    }
    name_text(&n, r->listed[r->count].name);
    r->listed[r->count++].bytes =
        entry->bytes < LIST_SEALED_MAX ? entry->bytes : LIST_SEALED_MAX;
    return true;
}

static void on_listed(void *ctx, const struct err *err,
                      const struct store_info *info)
{
    struct list_read *r = ctx;

    r->listing = NULL;
    r->info = *info;
    if (err->code != ERR_OK)
        fail(r, err); /* ERR_NOMEM of ours came first */
    go_on(r);
}

static void list_names(struct list_read *r)
{
    struct store_list_opts list = {
        .prefix = "gc/",
        .on_entry = on_entry,
        .done = on_listed,
        .ctx = r,
    };
    struct err err;

    r->listings++;
    r->vanished = false;
    r->count = r->next = 0;
    if (store_list(r->opts.store, &list, &r->listing, &err) != ERR_OK)
        fail(r, &err);
}

static void go_on(struct list_read *r)
{
    if (r->listing)
        return;
    while (may_fetch(r))
        fetch_next(r);
    if (r->busy)
        return;
    if (r->err.code == ERR_OK && r->vanished) {
        if (r->listings < LISTINGS_MAX) {
            list_names(r);
            if (r->listing)
                return;
        } else {
            err_set(&r->err, ERR_AGAIN, 0,
                    "%s: collection lists vanish while they are read",
                    r->opts.store->location);
        }
    }
    finish(r);
}

/* --- outside --------------------------------------------------------- */

enum err_code list_read_start(const struct list_read_opts *opts,
                              struct list_read **out, struct err *err)
{
    struct list_read *r = calloc(1, sizeof(*r));

    if (!r)
        return err_set(err, ERR_NOMEM, 0, "reading collection lists");
    r->opts = *opts;
    list_names(r);
    if (!r->listing) {
        *err = r->err;
        free(r);
        return err->code;
    }
    *out = r;
    return ERR_OK;
}

void list_read_cancel(struct list_read *r)
{
    struct err err;

    err_set(&err, ERR_CANCELLED, 0, "cancelled");
    fail(r, &err);
}
