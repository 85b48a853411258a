/* SPDX-License-Identifier: Apache-2.0 */
/*
 *  LISTING points/ --> FETCHING (a few at a time) --> LISTS of gc/ --> done
 *
 * Any failure: ENDING, which waits for what is under way.
 */
#include "vault/points.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/seal_digest.h"
#include "vault/list_read.h"
#include "vault/points_entry.h"

#define FETCHES 8
#define IN_FLIGHT POINT_SEALED_MAX /* bytes of points being fetched, or one */
#define POINTS_MAX 10000000u

enum points_phase {
    POINTS_LISTING,
    POINTS_FETCHING,
    POINTS_LISTS,
    POINTS_ENDING,
};

struct fetch {
    struct points *p; /* NULL: free */
    struct store_op *op;
    size_t entry; /* which one */
};

struct points {
    enum points_phase phase;
    struct points_opts opts;
    struct points_list *list;
    size_t room, next;
    bool *gone;          /* by entry: 404 between LIST and GET */
    struct buf replaced; /* names in field 14 of good points */
    struct fetch fetch[FETCHES];
    unsigned fetching;
    uint64_t in_flight;
    struct store_op *op;
    struct list_set *set;
    struct list_read *lists;
    struct err err;
};

static void step(struct points *p);

void points_list_free(struct points_list *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->count; i++)
        points_entry_fini(&list->entry[i]);
    free(list->entry);
    free(list);
}

/* --- the end -------------------------------------------------------------- */

static void finish(struct points *p, const struct err *err)
{
    err_keep(&p->err, err);
    if (p->phase == POINTS_ENDING)
        return;
    p->phase = POINTS_ENDING;
    if (p->op)
        store_op_cancel(p->op);
    if (p->lists)
        list_read_cancel(p->lists);
    for (size_t i = 0; i < FETCHES; i++)
        if (p->fetch[i].p)
            store_op_cancel(p->fetch[i].op);
}

static void free_points(struct points *p)
{
    points_list_free(p->list);
    list_set_free(p->set);
    buf_fini(&p->replaced);
    free(p->gone);
    free(p);
}

/* The last call of every callback; `p` may be gone after it. */
static void settle(struct points *p)
{
    struct points_list *take = NULL;

    if (p->phase != POINTS_ENDING || p->op || p->lists || p->fetching)
        return;
    if (p->err.code == ERR_OK) {
        take = p->list;
        p->list = NULL;
    }
    p->opts.done(p->opts.ctx, &p->err, take);
    free_points(p);
}

/* --- what becomes of it --------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return memcmp(a, b, NAME_POINT_BYTES);
}

static void decide(struct points *p, struct points_entry *e)
{
    enum list_verdict verdict = list_set_point(p->set, e->name, NULL);

    if (verdict == LIST_SAYS_REMOVED)
        e->state = POINTS_REMOVED;
    else if (e->state == POINTS_SHOWN && p->replaced.len &&
             bsearch(e->name, p->replaced.data,
                     p->replaced.len / NAME_POINT_BYTES, NAME_POINT_BYTES,
                     compare_names))
        e->state = POINTS_REPLACED;
}

static void conclude(struct points *p)
{
    size_t kept = 0;
    struct err ok = {0};

    if (p->replaced.len)
        qsort(p->replaced.data, p->replaced.len / NAME_POINT_BYTES,
              NAME_POINT_BYTES, compare_names);
    for (size_t i = 0; i < p->list->count; i++) {
        struct points_entry *e = &p->list->entry[i];

        if (p->gone[i]) { /* a collector was there meanwhile */
            points_entry_fini(e);
            continue;
        }
        decide(p, e);
        if (kept != i)
            p->list->entry[kept] = *e;
        kept++;
    }
    p->list->count = kept;
    finish(p, &ok);
}

/* --- collection lists ----------------------------------------------------- */

static void on_bad_list(void *ctx, const char *name, const struct err *err)
{
    struct points *p = ctx;

    if (p->list->bad_lists++ == 0) {
        p->list->bad_list = *err;
        if (!strstr(err->text, name))
            err_context(&p->list->bad_list, "%s", name);
    }
}

static void on_lists(void *ctx, const struct err *err,
                     const struct store_info *info)
{
    struct points *p = ctx;

    (void)info;
    p->lists = NULL;
    if (err->code != ERR_OK)
        finish(p, err);
    else if (p->phase == POINTS_LISTS)
        conclude(p);
    settle(p);
}

static void read_lists(struct points *p)
{
    struct list_read_opts opts = {
        .store = p->opts.store,
        .keys = p->opts.keys,
        .set = p->set,
        .lenient = true,
        .on_bad = on_bad_list,
        .done = on_lists,
        .ctx = p,
    };
    struct err err;

    p->phase = POINTS_LISTS;
    if (list_read_start(&opts, &p->lists, &err) != ERR_OK)
        finish(p, &err);
}

/* --- points --------------------------------------------------------------- */

/* Take one point in; its own faults make it a bad one, no more. */
static void take_point(struct points *p, struct points_entry *e,
                       const uint8_t *data, size_t len)
{
    struct point *point = NULL;
    struct err err = {0};

    e->object_bytes = len;
    if (!seal_digest_once(keyring_suite(p->opts.keys), SEAL_DIGEST_SHA256, data,
                          len, e->sha256)) {
        err_set(&err, ERR_NOMEM, 0, "%s", e->name);
    } else if (point_open(p->opts.keys, e->name, data, len, &point, &err) ==
               ERR_OK) {
        points_entry_fill(e, p->opts.keys, point, &err);
        if (!point->unfinished)
            buf_add(&p->replaced, point->replaces.data, point->replaces.len);
        if (buf_failed(&p->replaced))
            err_set(&err, ERR_NOMEM, 0, "%s", e->name);
        point_free(point);
    }
    if (err.code == ERR_NOMEM) {
        finish(p, &err);
    } else if (err.code != ERR_OK) {
        e->state = POINTS_BAD;
        e->err = err;
    }
}

static void on_point(void *ctx, const struct err *err, const uint8_t *data,
                     size_t len, const struct store_info *info)
{
    struct fetch *f = ctx;
    struct points *p = f->p;
    struct points_entry *e = &p->list->entry[f->entry];

    (void)info;
    f->p = NULL;
    p->fetching--;
    p->in_flight -= e->object_bytes;
    if (err->code == ERR_OK) {
        take_point(p, e, data, len);
    } else if (err->code == ERR_NOT_FOUND) {
        p->gone[f->entry] = true;
    } else if (err->code == ERR_PROTOCOL || err->code == ERR_INTEGRITY) {
        e->state = POINTS_BAD;
        e->err = *err;
    } else {
        finish(p, err);
    }
    step(p);
    settle(p);
}

static void step(struct points *p)
{
    struct err err;

    for (size_t i = 0; i < FETCHES && p->phase == POINTS_FETCHING; i++) {
        struct points_entry *e;

        if (p->fetch[i].p || p->next == p->list->count)
            continue;
        e = &p->list->entry[p->next];
        if (p->fetching && p->in_flight + e->object_bytes > IN_FLIGHT)
            break;
        p->fetch[i].entry = p->next;
        /* No more than was listed, or in_flight bounds nothing. */
        if (store_fetch(p->opts.store, e->name, e->object_bytes,
                        (struct store_range){0}, on_point, &p->fetch[i],
                        &p->fetch[i].op, &err) != ERR_OK) {
            finish(p, &err);
            return;
        }
        p->fetch[i].p = p;
        p->next++;
        p->fetching++;
        p->in_flight += e->object_bytes;
    }
    if (p->phase == POINTS_FETCHING && !p->fetching)
        read_lists(p);
}

static bool add_entry(struct points *p, const struct store_entry *entry,
                      const struct name *name)
{
    struct points_list *list = p->list;
    struct points_entry *e;

    if (list->count == p->room) {
        size_t room = p->room ? 2 * p->room : 64;
        void *more = list->count < POINTS_MAX
                         ? realloc(list->entry, room * sizeof(*list->entry))
                         : NULL;

        if (!more)
            return false;
        list->entry = more;
        p->room = room;
    }
    e = &list->entry[list->count++];
    memset(e, 0, sizeof(*e));
    memcpy(e->name, entry->name, NAME_POINT_BYTES);
    e->vm_tag = name->id;
    e->time_ms = name->time_ms;
    e->object_bytes =
        entry->bytes < POINT_SEALED_MAX ? entry->bytes : POINT_SEALED_MAX;
    return true;
}

static bool on_entry(void *ctx, const struct store_entry *entry)
{
    struct points *p = ctx;
    struct name name;

    if (!name_parse(entry->name, &name) || name.kind != NAME_POINT)
        return true;
    if (add_entry(p, entry, &name))
        return true;
    err_set(&p->err, ERR_NOMEM, 0, "too many points");
    return false;
}

static void on_listed(void *ctx, const struct err *err,
                      const struct store_info *info)
{
    struct points *p = ctx;
    struct err why = *err;

    (void)info;
    p->op = NULL;
    p->gone = calloc(p->list->count + 1, sizeof(*p->gone));
    if (!p->gone && why.code == ERR_OK)
        err_set(&why, ERR_NOMEM, 0, "listing points");
    if (why.code != ERR_OK) {
        finish(p, &why);
    } else if (p->phase == POINTS_LISTING) {
        p->phase = POINTS_FETCHING;
        step(p);
    }
    settle(p);
}

/* --- outside -------------------------------------------------------------- */

enum err_code points_start(const struct points_opts *opts, struct points **out,
                           struct err *err)
{
    struct points *p = calloc(1, sizeof(*p));
    char prefix[NAME_TEXT] = "points/";
    struct store_list_opts list = {
        .prefix = prefix, .on_entry = on_entry, .done = on_listed, .ctx = p};
    enum err_code rc;

    if (!p)
        return err_set(err, ERR_NOMEM, 0, "listing points");
    p->opts = *opts;
    p->opts.vm_tag = NULL;
    buf_init(&p->replaced, SIZE_MAX / 2);
    p->list = calloc(1, sizeof(*p->list));
    p->set = list_set_new();
    if (opts->vm_tag)
        name_points_of(opts->vm_tag, prefix);
    if (!p->list || !p->set)
        rc = err_set(err, ERR_NOMEM, 0, "listing points");
    else
        rc = store_list(opts->store, &list, &p->op, err);
    if (rc != ERR_OK) {
        free_points(p);
        return rc;
    }
    *out = p;
    return ERR_OK;
}

void points_cancel(struct points *p)
{
    struct err err;

    err_set(&err, ERR_CANCELLED, 0, "listing points was cancelled");
    finish(p, &err);
}

static int compare_entry(const void *name, const void *entry)
{
    return strcmp(name, ((const struct points_entry *)entry)->name);
}

const struct points_entry *points_find(const struct points_list *list,
                                       const char *name)
{
    if (!list->count)
        return NULL;
    return bsearch(name, list->entry, list->count, sizeof(*list->entry),
                   compare_entry);
}

const struct points_entry *points_newest(const struct points_list *list,
                                         const char *series)
{
    const struct points_entry *newest = NULL;

    for (size_t i = 0; i < list->count; i++) {
        const struct points_entry *e = &list->entry[i];

        if (e->state == POINTS_SHOWN && strcmp(e->series, series) == 0)
            newest = e; /* rising order: the last is the newest */
    }
    return newest;
}

/* --- one point ------------------------------------------------------------ */

struct point_fetch {
    const struct keyring *keys;
    char name[NAME_TEXT];
    void (*done)(void *ctx, const struct err *err, struct point *take,
                 const uint8_t sha256[32]);
    void *ctx;
};

static void on_point_alone(void *ctx, const struct err *err,
                           const uint8_t *data, size_t len,
                           const struct store_info *info)
{
    struct point_fetch *f = ctx;
    struct point *point = NULL;
    uint8_t sha256[32] = {0};
    struct err why = *err;

    (void)info;
    if (why.code == ERR_OK &&
        !seal_digest_once(keyring_suite(f->keys), SEAL_DIGEST_SHA256, data, len,
                          sha256))
        err_set(&why, ERR_NOMEM, 0, "%s", f->name);
    if (why.code == ERR_OK)
        point_open(f->keys, f->name, data, len, &point, &why);
    f->done(f->ctx, &why, point, sha256);
    free(f);
}

enum err_code
points_fetch(struct store *store, const struct keyring *keys, const char *name,
             void (*done)(void *ctx, const struct err *err, struct point *take,
                          const uint8_t sha256[32]),
             void *ctx, struct store_op **out, struct err *err)
{
    struct point_fetch *f;
    struct name parsed;

    if (!name_parse(name, &parsed) || parsed.kind != NAME_POINT)
        return err_set(err, ERR_ARGUMENT, 0, "%s: not a point's name", name);
    f = calloc(1, sizeof(*f));
    if (!f)
        return err_set(err, ERR_NOMEM, 0, "%s", name);
    f->keys = keys;
    memcpy(f->name, name, strlen(name) + 1);
    f->done = done;
    f->ctx = ctx;
    if (store_fetch(store, name, POINT_SEALED_MAX, (struct store_range){0},
                    on_point_alone, f, out, err) != ERR_OK) {
        free(f);
        return err->code;
    }
    return ERR_OK;
}
