/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Step 1 of a session:
 *
 *  INDEX (lists it has kept) -> POINTS (LIST) -> LISTS (gc/) -> KEYS (LIST,
 *  where recovery recipients are given) -> NEWEST (points from the newest on,
 *  until one is finished) -> OTHERS (older ones that it does not name) ->
 *  WITNESS (read it, where that was not done) -> ready()
 */
#include "vault/session_inside.h"

#include <stdlib.h>
#include <string.h>

#define OTHERS_MAX 64 /* points read only to know whether they are finished */

enum begin_step { LISTING, NEWEST, OTHERS, WITNESS };

struct found {
    char name[NAME_POINT_BYTES + 1];
    bool finished;
    bool known; /* `finished` is */
};

/* A key, and a bit for each recovery recipient that it is wrapped for. */
struct wrapped {
    struct id16 key;
    unsigned recipients;
};

struct session_begin {
    enum begin_step step;
    struct found *found; /* in rising order of name */
    size_t count, room;
    size_t at; /* the one that is read */
    unsigned others;
    bool witness_seen;
    struct store_op *op;
    struct wrapped *wrapped;
    size_t wrapped_count, wrapped_room;
};

static void next_newest(struct session *s);
static void next_other(struct session *s);

/* --- the end of step 1 ----------------------------------------------- */

static void build_roster(struct session *s)
{
    struct session_begin *b = s->begin;

    for (size_t i = 0; i < b->count; i++)
        if (b->found[i].finished &&
            !buf_add(&s->roster, b->found[i].name, NAME_POINT_BYTES)) {
            session_fail_at(s, ERR_NOMEM, "roster");
            return;
        }
}

static void ready(struct session *s)
{
    build_roster(s);
    if (!session_parent_take(s))
        session_fail_at(s, ERR_NOMEM, "the point before");
    if (!session_alive(s))
        return;
    s->state = SESSION_RUNNING;
    if (s->events.ready)
        s->events.ready(s->opts.ctx);
}

/* --- the witness ----------------------------------------------------- */

static void witness_fault(struct session *s, const char *why)
{
    struct err err;

    err_set(&err, ERR_INTEGRITY, 0,
            "%s: %s, the last point known of this VM, %s: the store may show "
            "an old state",
            s->opts.store->location, s->opts.witness.name, why);
    session_fail(s, &err);
}

static void compare_witness(struct session *s, const uint8_t sha256[32])
{
    if (memcmp(sha256, s->opts.witness.sha256, 32) != 0)
        witness_fault(s, "is another object than it was");
    s->begin->witness_seen = true;
}

static int compare_found(const void *name, const void *found)
{
    return strcmp(name, ((const struct found *)found)->name);
}

static struct found *find(struct session_begin *b, const char *name)
{
    if (!b->count)
        return NULL;
    return bsearch(name, b->found, b->count, sizeof(*b->found), compare_found);
}

/* --- reading points -------------------------------------------------- */

/* Ours is to come after every good point. */
static void note_time(struct session *s, const struct found *f)
{
    struct name n;

    if (name_parse(f->name, &n) && n.time_ms > s->latest_ms)
        s->latest_ms = n.time_ms;
}

/* A point of this VM came, or cannot be read. */
static void take_point(struct session *s, struct found *f, struct point *p,
                       const uint8_t sha256[32])
{
    struct session_begin *b = s->begin;

    f->known = true;
    f->finished = p && !p->unfinished;
    if (p)
        note_time(s, f);
    else
        s->result.warnings++;
    if (b->step != NEWEST || !f->finished) {
        point_free(p);
        return;
    }
    s->parent = p;
    memcpy(s->parent_ref.name, f->name, sizeof(f->name));
    memcpy(s->parent_ref.sha256, sha256, 32);
    /* What its roster names was finished when it was written. */
    for (size_t i = 0; i < p->roster.len / NAME_POINT_BYTES; i++) {
        char name[NAME_POINT_BYTES + 1];
        struct found *older;

        point_name_at(p->roster, i, name);
        older = find(b, name);
        if (!older)
            continue;
        older->known = older->finished = true;
        note_time(s, older);
    }
}

static void on_point(void *ctx, const struct err *err, const uint8_t *data,
                     size_t len, const struct store_info *info)
{
    struct session *s = ctx;
    struct session_begin *b = s->begin;
    struct found *f = &b->found[b->at];
    struct point *p = NULL;
    struct err bad;
    uint8_t sha256[32] = {0};

    (void)info;
    b->op = NULL;
    if (err->code != ERR_OK && err->code != ERR_NOT_FOUND &&
        err->code != ERR_PROTOCOL)
        session_fail(s, err);
    if (!session_alive(s)) {
        session_release(s);
        return;
    }
    if (err->code == ERR_OK &&
        !seal_digest_once(s->suite, SEAL_DIGEST_SHA256, data, len, sha256))
        session_fail_at(s, ERR_NOMEM, f->name);
    if (err->code == ERR_OK && strcmp(f->name, s->opts.witness.name) == 0)
        compare_witness(s, sha256);
    if (err->code == ERR_OK &&
        point_open(s->keys, f->name, data, len, &p, &bad) != ERR_OK &&
        bad.code == ERR_NOMEM)
        session_fail(s, &bad);
    if (b->step == WITNESS && err->code != ERR_OK)
        witness_fault(s, "cannot be read");
    /* One that was deleted meanwhile was none of ours to name. */
    if (err->code == ERR_NOT_FOUND)
        f->known = true;
    else
        take_point(s, f, p, sha256);
    if (session_alive(s)) {
        if (b->step == NEWEST && !s->parent)
            next_newest(s);
        else
            next_other(s);
    }
    session_release(s);
}

static void read_point(struct session *s, size_t i)
{
    struct session_begin *b = s->begin;
    struct err err;

    b->at = i;
    if (store_fetch(s->opts.store, b->found[i].name, POINT_SEALED_MAX,
                    (struct store_range){0}, on_point, s, &b->op,
                    &err) == ERR_OK)
        s->busy++;
    else
        session_fail(s, &err);
}

static void next_witness(struct session *s)
{
    struct session_begin *b = s->begin;
    const char *name = s->opts.witness.name;
    struct found *f = find(b, name);

    b->step = WITNESS;
    if (!name[0] || b->witness_seen) {
        ready(s);
    } else if (f) {
        b->witness_seen = true; /* once; what it says is compared */
        read_point(s, (size_t)(f - b->found));
    } else if (list_set_point(s->lists, name, NULL) == LIST_SAYS_REMOVED) {
        ready(s);
    } else {
        witness_fault(s, "is gone, and nothing says that it was removed");
    }
}

static void next_other(struct session *s)
{
    struct session_begin *b = s->begin;

    if (b->step == WITNESS) {
        ready(s);
        return;
    }
    b->step = OTHERS;
    for (size_t i = b->count; i-- > 0 && b->others < OTHERS_MAX;) {
        if (b->found[i].known)
            continue;
        b->others++;
        read_point(s, i);
        return;
    }
    next_witness(s);
}

static void next_newest(struct session *s)
{
    struct session_begin *b = s->begin;

    for (size_t i = b->count; i-- > 0;) {
        if (b->found[i].known)
            continue;
        read_point(s, i);
        return;
    }
    next_other(s); /* there is none */
}

/* --- LIST ------------------------------------------------------------ */

static bool on_entry(void *ctx, const struct store_entry *entry)
{
    struct session *s = ctx;
    struct session_begin *b = s->begin;
    struct name n;

    if (!name_parse(entry->name, &n) || n.kind != NAME_POINT ||
        !id16_equal(&n.id, &s->vm_tag))
        return true;
    if (b->count == b->room) {
        size_t room = b->room ? 2 * b->room : 64;
        struct found *more = realloc(b->found, room * sizeof(*more));

        if (!more) {
            session_fail_at(s, ERR_NOMEM, "list of points");
            return false;
        }
        b->found = more;
        b->room = room;
    }
    memset(&b->found[b->count], 0, sizeof(*b->found));
    memcpy(b->found[b->count++].name, entry->name, NAME_POINT_BYTES);
    /* Anybody who may write to the store can plant a name: one that lies in
     * the future counts only when its point was found to be good. */
    if (n.time_ms <= session_wall(s) + SESSION_CLOCK_SLACK_MS)
        note_time(s, &b->found[b->count - 1]);
    return true;
}

/* --- keys: who could open what is used again ------------------------- */

bool session_begin_trusts(const struct session *s, const struct id16 *key)
{
    const struct session_begin *b = s->begin;
    unsigned all = (1u << s->opts.recovery_count) - 1;

    for (size_t i = 0; i < b->wrapped_count; i++)
        if (id16_equal(&b->wrapped[i].key, key))
            return b->wrapped[i].recipients == all;
    return all == 0;
}

static bool note_wrap(struct session_begin *b, const struct id16 *key,
                      unsigned recipient)
{
    size_t i = 0;

    while (i < b->wrapped_count && !id16_equal(&b->wrapped[i].key, key))
        i++;
    if (i == b->wrapped_room) {
        size_t room = b->wrapped_room ? 2 * b->wrapped_room : 16;
        struct wrapped *more = realloc(b->wrapped, room * sizeof(*more));

        if (!more)
            return false;
        b->wrapped = more;
        b->wrapped_room = room;
    }
    if (i == b->wrapped_count)
        b->wrapped[b->wrapped_count++] = (struct wrapped){*key, 0};
    b->wrapped[i].recipients |= 1u << recipient;
    return true;
}

static bool on_key(void *ctx, const struct store_entry *entry)
{
    struct session *s = ctx;
    struct name n;

    if (!name_parse(entry->name, &n) || n.kind != NAME_KEY)
        return true;
    for (unsigned i = 0; i < s->opts.recovery_count; i++)
        if (id16_equal(&n.tag, &s->recovery[i]) &&
            !note_wrap(s->begin, &n.id, i)) {
            session_fail_at(s, ERR_NOMEM, "list of keys");
            return false;
        }
    return true;
}

static void read_newest(struct session *s)
{
    s->begin->step = NEWEST;
    next_newest(s);
}

static void on_keys(void *ctx, const struct err *err,
                    const struct store_info *info)
{
    struct session *s = ctx;

    (void)info;
    s->begin->op = NULL;
    if (err->code != ERR_OK)
        session_fail(s, err);
    if (session_alive(s))
        read_newest(s);
    session_release(s);
}

static void on_lists(struct session *s, const struct store_info *info)
{
    struct store_list_opts list = {
        .prefix = "keys/", .on_entry = on_key, .done = on_keys, .ctx = s};
    struct err err;

    (void)info;
    if (!s->opts.recovery_count)
        read_newest(s);
    else if (store_list(s->opts.store, &list, &s->begin->op, &err) == ERR_OK)
        s->busy++;
    else
        session_fail(s, &err);
}

/* Locks and names rest on the time: a clock that is far off is not used. */
static void check_clock(struct session *s, const struct store_info *info)
{
    uint64_t now = session_wall(s), date = info->date_ms;
    uint64_t off = now > date ? now - date : date - now;
    struct err err;

    if (!date || off <= SESSION_CLOCK_SLACK_MS)
        return;
    err_set(&err, ERR_CONFLICT, 0,
            "%s: its clock and ours are %ju s apart, over 5 minutes",
            s->opts.store->location, (uintmax_t)(off / 1000));
    session_fail(s, &err);
}

static void on_listed(void *ctx, const struct err *err,
                      const struct store_info *info)
{
    struct session *s = ctx;

    s->begin->op = NULL;
    if (err->code != ERR_OK)
        session_fail(s, err);
    else
        check_clock(s, info);
    if (session_alive(s))
        session_lists_read(s, on_lists);
    session_release(s);
}

static void list_points(struct session *s)
{
    char prefix[NAME_TEXT];
    struct store_list_opts list = {
        .prefix = prefix,
        .on_entry = on_entry,
        .done = on_listed,
        .ctx = s,
    };
    struct err err;

    name_points_of(&s->vm_tag, prefix);
    if (store_list(s->opts.store, &list, &s->begin->op, &err) == ERR_OK)
        s->busy++;
    else
        session_fail(s, &err);
}

/* --- from outside ---------------------------------------------------- */

enum err_code session_begin_start(struct session *s, struct err *err)
{
    s->begin = calloc(1, sizeof(*s->begin));
    if (!s->begin)
        return err_set(err, ERR_NOMEM, 0, "session");
    if (keyring_vm_tag(s->keys, s->opts.series, &s->vm_tag, err) != ERR_OK)
        return err->code;
    session_lists_load(s, list_points);
    if (!session_alive(s)) {
        *err = s->err;
        return err->code;
    }
    return ERR_OK;
}

void session_begin_cancel(struct session *s)
{
    if (s->begin && s->begin->op)
        store_op_cancel(s->begin->op);
    session_lists_cancel(s);
}

void session_begin_free(struct session *s)
{
    if (!s->begin)
        return;
    free(s->begin->found);
    free(s->begin->wrapped);
    free(s->begin);
    s->begin = NULL;
}
