/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Step 5: what the point needs must stay locked as long as the point. Objects
 * whose date we know from the index cost nothing; others are looked at, and
 * extended where they end too early.
 *
 *  NAMES: packs of the point; wraps of RS, of its keys and of the recovery key
 *  (LIST keys/...), format  ->  INDEX: known dates  ->  LOOK (HEAD)  ->  EXTEND
 *  ->  ... the next ...  ->  NOTE in the index -> done
 *  A pack that is not there: FIND its greatest name; none: it is gone.
 */
#include <stdlib.h>
#include <string.h>

#include "vault/session_commit.h"

struct target {
    uint32_t pack;        /* number; MAP_ZERO: no pack */
    char real[NAME_TEXT]; /* as it lies in the store, if not as in `lock` */
    bool done;
};

struct session_lock {
    void (*done)(struct session *s);
    struct index_lock *lock; /* names and known dates */
    struct target *target;
    size_t count, room;
    size_t prefixes, prefix; /* of keys, to be listed */
    char (*key_prefix)[NAME_TEXT];
    size_t at;
    struct store_op *op;
    struct index_op index;
    char found[NAME_TEXT]; /* the greatest name of a pack */
};

static void list_keys(struct session *s);
static void next_target(struct session *s);

static uint64_t until(const struct session *s)
{
    return s->opts.retain_until_ms + SESSION_LOCK_EXTRA_MS;
}

void session_lock_free(struct session *s)
{
    struct session_lock *l = s->commit->lock;

    if (!l)
        return;
    free(l->lock);
    free(l->target);
    free(l->key_prefix);
    free(l);
    s->commit->lock = NULL;
}

static void finish(struct session *s)
{
    void (*done)(struct session *) = s->commit->lock->done;

    session_lock_free(s);
    done(s);
}

static bool add(struct session *s, const char *name, uint32_t pack)
{
    struct session_lock *l = s->commit->lock;

    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        struct index_lock *lock = realloc(l->lock, room * sizeof(*lock));
        struct target *target;

        if (lock)
            l->lock = lock;
        target = lock ? realloc(l->target, room * sizeof(*target)) : NULL;
        if (!target) {
            session_fail_at(s, ERR_NOMEM, "locks");
            return false;
        }
        l->target = target;
        l->room = room;
    }
    memset(&l->target[l->count], 0, sizeof(*l->target));
    memset(&l->lock[l->count], 0, sizeof(*l->lock));
    l->target[l->count].pack = pack;
    memcpy(l->lock[l->count++].name, name, strlen(name) + 1);
    return true;
}

/* --- noting, at the end ---------------------------------------------- */

static void on_noted(struct index_op *op)
{
    struct session *s = op->ctx;

    if (session_alive(s))
        finish(s);
    session_release(s);
}

/* Packs of this session were locked when they were written. */
static void note_all(struct session *s)
{
    struct session_lock *l = s->commit->lock;
    size_t kept = 0;

    for (size_t i = 0; i < l->count; i++)
        if (l->target[i].done)
            l->lock[kept++] = l->lock[i];
    l->index = (struct index_op){.verb = INDEX_SET_LOCKS,
                                 .loop = s->loop,
                                 .done = on_noted,
                                 .ctx = s,
                                 .count = kept,
                                 .locks = l->lock};
    s->busy++;
    index_start(s->opts.index, &l->index);
}

/* --- one object ------------------------------------------------------ */

static const char *real_name(const struct session_lock *l)
{
    const struct target *t = &l->target[l->at];

    return t->real[0] ? t->real : l->lock[l->at].name;
}

static void target_done(struct session *s, uint64_t until_ms)
{
    struct session_lock *l = s->commit->lock;

    l->lock[l->at].until_ms = until_ms;
    l->target[l->at++].done = true;
    next_target(s);
}

static void on_extended(void *ctx, const struct err *err,
                        const struct store_info *info)
{
    struct session *s = ctx;

    (void)info;
    s->commit->lock->op = NULL;
    if (err->code != ERR_OK)
        session_fail(s, err);
    if (session_alive(s))
        target_done(s, until(s));
    session_release(s);
}

static void extend(struct session *s)
{
    struct session_lock *l = s->commit->lock;
    struct store_retain_opts retain = {
        .name = real_name(l),
        .lock = s->settings.lock,
        .retain_until_ms = until(s),
        .done = on_extended,
        .ctx = s,
    };
    struct err err;

    if (store_retain(s->opts.store, &retain, &l->op, &err) == ERR_OK)
        s->busy++;
    else
        session_fail(s, &err);
}

static void look(struct session *s);

static bool on_generation(void *ctx, const struct store_entry *entry)
{
    struct session *s = ctx;
    struct session_lock *l = s->commit->lock;
    struct name n;

    /* In rising order: the last one is the greatest. */
    if (name_parse(entry->name, &n) &&
        (n.kind == NAME_PACK || n.kind == NAME_MAP))
        name_text(&n, l->found);
    return true;
}

static void on_found(void *ctx, const struct err *err,
                     const struct store_info *info)
{
    struct session *s = ctx;
    struct session_lock *l = s->commit->lock;
    struct err e;

    (void)info;
    l->op = NULL;
    if (err->code != ERR_OK) {
        session_fail(s, err);
    } else if (session_alive(s) && l->found[0]) {
        memcpy(l->target[l->at].real, l->found, NAME_TEXT);
        look(s);
    } else if (session_alive(s)) {
        /* Gone counts as condemned. */
        if (condemned_add(s->gone, &s->refs[l->target[l->at].pack].id, 0, 0,
                          &e) != ERR_OK)
            session_fail(s, &e);
        l->at++;
        if (session_alive(s))
            next_target(s);
    }
    session_release(s);
}

static void find(struct session *s)
{
    struct session_lock *l = s->commit->lock;
    struct store_list_opts list = {.prefix = l->lock[l->at].name,
                                   .on_entry = on_generation,
                                   .done = on_found,
                                   .ctx = s};
    struct err err;

    l->found[0] = 0;
    if (store_list(s->opts.store, &list, &l->op, &err) == ERR_OK)
        s->busy++;
    else
        session_fail(s, &err);
}

static void on_looked(void *ctx, const struct err *err,
                      const struct store_info *info)
{
    struct session *s = ctx;
    struct session_lock *l = s->commit->lock;
    const struct target *t = &l->target[l->at];

    l->op = NULL;
    if (!session_alive(s)) {
        ;
    } else if (err->code == ERR_NOT_FOUND && t->pack != MAP_ZERO &&
               !t->real[0]) {
        find(s);
    } else if (err->code != ERR_OK) {
        session_fail(s, err);
    } else if (info->retain_until_ms >= s->opts.retain_until_ms) {
        target_done(s, info->retain_until_ms);
    } else {
        extend(s);
    }
    session_release(s);
}

static void look(struct session *s)
{
    struct session_lock *l = s->commit->lock;
    struct store_name_opts head = {
        .name = real_name(l), .done = on_looked, .ctx = s};
    struct err err;

    if (store_head(s->opts.store, &head, &l->op, &err) == ERR_OK)
        s->busy++;
    else
        session_fail(s, &err);
}

static void next_target(struct session *s)
{
    struct session_lock *l = s->commit->lock;

    for (; l->at < l->count; l->at++) {
        const struct target *t = &l->target[l->at];

        if (l->lock[l->at].until_ms >= s->opts.retain_until_ms)
            continue;
        if (t->pack == MAP_ZERO || !s->refs[t->pack].ours) {
            look(s);
            return;
        }
        l->lock[l->at].until_ms = until(s);
        l->target[l->at].done = true;
    }
    note_all(s);
}

/* --- names ----------------------------------------------------------- */

static void on_known(struct index_op *op)
{
    struct session *s = op->ctx;

    if (session_alive(s))
        next_target(s);
    session_release(s);
}

static void ask_index(struct session *s)
{
    struct session_lock *l = s->commit->lock;

    l->index = (struct index_op){.verb = INDEX_LOCKS,
                                 .loop = s->loop,
                                 .done = on_known,
                                 .ctx = s,
                                 .count = l->count,
                                 .locks = l->lock};
    s->busy++;
    index_start(s->opts.index, &l->index);
}

static bool on_key(void *ctx, const struct store_entry *entry)
{
    struct name n;

    return !name_parse(entry->name, &n) || add(ctx, entry->name, MAP_ZERO);
}

static void on_keys(void *ctx, const struct err *err,
                    const struct store_info *info)
{
    struct session *s = ctx;

    (void)info;
    s->commit->lock->op = NULL;
    if (err->code != ERR_OK)
        session_fail(s, err);
    if (session_alive(s))
        list_keys(s);
    session_release(s);
}

static void list_keys(struct session *s)
{
    struct session_lock *l = s->commit->lock;
    struct store_list_opts list = {
        .on_entry = on_key, .done = on_keys, .ctx = s};
    struct err err;

    if (l->prefix == l->prefixes) {
        ask_index(s);
        return;
    }
    list.prefix = l->key_prefix[l->prefix++];
    if (store_list(s->opts.store, &list, &l->op, &err) == ERR_OK)
        s->busy++;
    else
        session_fail(s, &err);
}

static void add_prefix(struct session_lock *l, const struct id16 *key)
{
    char hex[33], prefix[NAME_TEXT];

    bytes_hex(key->b, 16, hex);
    snprintf(prefix, sizeof(prefix), "keys/%s/", hex);
    for (size_t i = 0; i < l->prefixes; i++)
        if (strcmp(l->key_prefix[i], prefix) == 0)
            return;
    memcpy(l->key_prefix[l->prefixes++], prefix, NAME_TEXT);
}

/* Numbers of the packs that the maps and pages refer to, a mark each. */
static bool *used_packs(struct session *s)
{
    bool *used = calloc((size_t)s->ref_count + 1, sizeof(*used));

    for (unsigned i = 0; used && i < s->disk_count; i++) {
        struct session_disk_state *d = s->disks[i];
        struct session_maps_reader r;
        struct map_run run;

        session_maps_read(d, &r);
        while (session_maps_next(&r, &run))
            if (run.pack != MAP_ZERO)
                used[run.pack] = true;
        for (uint64_t n = 0; d->pages && n < d->page_count; n++)
            if (d->pages[n].pack != MAP_ZERO)
                used[d->pages[n].pack] = true;
    }
    return used;
}

static bool gather(struct session *s)
{
    struct session_lock *l = s->commit->lock;
    bool *used = used_packs(s);
    bool good = used != NULL;

    l->key_prefix =
        calloc((size_t)s->ref_count + 4 + keyring_count(s->keys, SEAL_KEY_META),
               sizeof(*l->key_prefix));
    good = good && l->key_prefix && add(s, "format", MAP_ZERO);
    for (uint32_t i = 0; good && i < s->ref_count; i++) {
        const struct session_pack_ref *ref = &s->refs[i];
        char name[NAME_TEXT];

        if (!used[i])
            continue;
        name_pack(ref->kind == SEAL_SLOT_MAP ? NAME_MAP : NAME_PACK, &ref->id,
                  name);
        good = add(s, name, i);
        add_prefix(l, &ref->key_id);
    }
    free(used);
    if (!good)
        return false;
    for (size_t i = 0; i < keyring_count(s->keys, SEAL_KEY_META); i++)
        add_prefix(l, &keyring_at(s->keys, SEAL_KEY_META, i)->id);
    add_prefix(l, &keyring_current(s->keys, SEAL_KEY_DATA)->id);
    add_prefix(l, keyring_vault_id(s->keys)); /* RS lies under it */
    memcpy(l->key_prefix[l->prefixes++], "keys/recovery/", 15);
    return true;
}

void session_lock_start(struct session *s, void (*done)(struct session *s))
{
    s->commit->lock = calloc(1, sizeof(struct session_lock));
    if (!s->commit->lock) {
        session_fail_at(s, ERR_NOMEM, "locks");
        return;
    }
    s->commit->lock->done = done;
    if (gather(s))
        list_keys(s);
    else
        session_fail_at(s, ERR_NOMEM, "locks");
}

void session_lock_cancel(struct session *s)
{
    if (s->commit->lock && s->commit->lock->op)
        store_op_cancel(s->commit->lock->op);
}
