/* SPDX-License-Identifier: Apache-2.0 */
/*
 *  LISTING --> SMALL (one by one) --> PACKS (a few at a time) --> POINTS (one
 * by one) --> done;      one point alone: LISTING --> CHOICE --> PACKS -->
 * POINTS
 *
 * A failure that is no damage: ENDING, which waits for what is under way.
 */
#include "vault/verify.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/seal_wrap.h"
#include "vault/list.h"
#include "vault/run.h"
#include "vault/vault_open.h"
#include "vault/verify_inside.h"

#define HINT_MAX 1024

/* --- the end -------------------------------------------------------------- */

void verify_fail(struct verify *v, const struct err *err)
{
    err_keep(&v->err, err);
    if (v->phase == VERIFY_ENDING)
        return;
    v->phase = VERIFY_ENDING;
    if (v->op)
        store_op_cancel(v->op);
    for (unsigned i = 0; i < VERIFY_SCANS; i++)
        if (v->scan[i])
            verify_scan_cancel(v->scan[i]);
    if (v->check)
        verify_check_cancel(v->check);
}

static void free_verify(struct verify *v)
{
    timer_stop(&v->turn);
    verify_pack_free_all(v);
    if (v->slabs)
        slab_room_free(v->slabs);
    list_set_free(v->lists);
    buf_fini(&v->points);
    buf_fini(&v->rosters);
    buf_fini(&v->replaced);
    free(v->key_id);
    free(v->object);
    free(v);
}

void verify_settle(struct verify *v)
{
    if (v->phase != VERIFY_ENDING || v->op || v->scans || v->check)
        return;
    v->opts.done(v->opts.ctx, &v->err, &v->figures);
    free_verify(v);
}

/* --- findings and figures ------------------------------------------------- */

bool verify_is_damage(enum err_code code)
{
    return code == ERR_INTEGRITY || code == ERR_PROTOCOL ||
           code == ERR_NOT_FOUND || code == ERR_KEY;
}

void verify_find(struct verify *v, const char *object, bool hurts,
                 const struct err *err)
{
    struct verify_finding f = {.object = object, .hurts = hurts, .err = *err};

    if (v->phase == VERIFY_ENDING)
        return;
    v->figures.findings++;
    v->figures.hurts += hurts;
    v->opts.on_finding(v->opts.ctx, &f);
}

void verify_count(struct verify *v, uint64_t bytes)
{
    v->figures.objects_done++;
    v->figures.bytes_done += bytes;
    if (v->opts.on_progress && v->phase != VERIFY_ENDING)
        v->opts.on_progress(v->opts.ctx, &v->figures);
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct id16));
}

bool verify_has_wrap(const struct verify *v, const struct id16 *key_id)
{
    return v->key_ids && bsearch(key_id, v->key_id, v->key_ids,
                                 sizeof(*v->key_id), compare_ids);
}

/* --- small objects -------------------------------------------------------- */

static bool is_small(enum name_kind kind)
{
    return kind == NAME_FORMAT || kind == NAME_KEY || kind == NAME_RECOVERY ||
           kind == NAME_INDEX || kind == NAME_LIST;
}

static uint64_t most_bytes(enum name_kind kind)
{
    switch (kind) {
    case NAME_FORMAT:
        return HINT_MAX;
    case NAME_INDEX:
        return RUN_SEALED_MAX;
    case NAME_LIST:
        return LIST_SEALED_MAX;
    default:
        return SEAL_WRAP_BYTES;
    }
}

static void check_hint(struct verify *v, const uint8_t *data, size_t len,
                       struct err *err)
{
    struct vault_open_hint hint;

    v->hint_seen = true;
    if (vault_open_hint_parse(data, len, &hint, err) == ERR_OK &&
        !id16_equal(&hint.vault_id, keyring_vault_id(v->opts.keys)))
        err_set(err, ERR_INTEGRITY, 0, "it names another vault");
}

/* The plain part of a wrap; only its recipient can open it. */
static void check_wrap(const struct name *n, const uint8_t *data, size_t len,
                       struct err *err)
{
    enum seal_wrap_method method =
        n->kind == NAME_RECOVERY ? SEAL_WRAP_SCRYPT : SEAL_WRAP_X25519;
    const struct id16 *id = n->kind == NAME_RECOVERY ? &n->tag : &n->id;
    struct seal_wrap_info info;

    if (seal_wrap_parse(data, len, &info, err) != ERR_OK)
        return;
    if (info.method != method || !id16_equal(&info.key_id, id))
        err_set(err, ERR_INTEGRITY, 0, "wrap: not what its name says");
}

static void check_run(struct verify *v, const char *name, const uint8_t *data,
                      size_t len, struct err *err)
{
    struct run_reader reader;
    struct run_pack pack;
    struct buf plain;

    buf_init(&plain, RUN_SEALED_MAX);
    if (run_open(v->opts.keys, name, data, len, &plain, err) == ERR_OK) {
        run_reader_init(&reader, (struct slice){plain.data, plain.len});
        while (run_next(&reader, &pack, err))
            ;
    }
    buf_fini(&plain);
}

static void on_small(void *ctx, const struct err *err, const uint8_t *data,
                     size_t len, const struct store_info *info)
{
    struct verify *v = ctx;
    const struct verify_object *o = &v->object[v->fetched];
    char name[NAME_TEXT];
    struct err why = *err;

    (void)info;
    v->op = NULL;
    name_text(&o->name, name);
    if (why.code == ERR_OK && v->phase == VERIFY_SMALL) {
        if (o->name.kind == NAME_FORMAT)
            check_hint(v, data, len, &why);
        else if (o->name.kind == NAME_INDEX)
            check_run(v, name, data, len, &why);
        else if (o->name.kind == NAME_LIST)
            list_set_add(v->lists, v->opts.keys, name, data, len, &why);
        else
            check_wrap(&o->name, data, len, &why);
    }
    if (why.code == ERR_NOT_FOUND) {
        /* collected since it was listed */
    } else if (verify_is_damage(why.code)) {
        v->bad_lists |= o->name.kind == NAME_LIST;
        if (!strstr(why.text, name))
            err_context(&why, "%s", name);
        verify_find(v, name, false, &why);
    } else if (why.code != ERR_OK) {
        verify_fail(v, &why);
    }
    verify_count(v, o->bytes);
    verify_step(v);
    verify_settle(v);
}

/* The next small object; false: there is none left. */
static bool next_small(struct verify *v)
{
    char name[NAME_TEXT];
    struct err err;

    while (v->next < v->objects && !is_small(v->object[v->next].name.kind))
        v->next++;
    if (v->next == v->objects)
        return false;
    v->fetched = v->next++;
    name_text(&v->object[v->fetched].name, name);
    if (store_fetch(
            v->opts.store, name, most_bytes(v->object[v->fetched].name.kind),
            (struct store_range){0}, on_small, v, &v->op, &err) != ERR_OK)
        verify_fail(v, &err);
    return true;
}

/* --- packs and points ----------------------------------------------------- */

static bool is_pack(enum name_kind kind)
{
    return kind == NAME_PACK || kind == NAME_MAP;
}

static enum seal_slot_kind kind_of(enum name_kind kind)
{
    return kind == NAME_MAP ? SEAL_SLOT_MAP : SEAL_SLOT_DATA;
}

/* Count the objects of each pack before the first is read. */
static void begin_packs(struct verify *v)
{
    struct err err;

    v->phase = VERIFY_PACKS;
    v->next = 0;
    for (size_t i = 0; i < v->objects; i++) {
        const struct verify_object *o = &v->object[i];
        struct verify_pack *p;

        if (!is_pack(o->name.kind))
            continue;
        p = v->point[0]
                ? verify_pack_find(v, &o->name.id, kind_of(o->name.kind))
                : verify_pack_get(v, &o->name.id, kind_of(o->name.kind));
        if (!p && !v->point[0]) {
            err_set(&err, ERR_NOMEM, 0, "verifying packs");
            verify_fail(v, &err);
            return;
        }
        if (!p)
            continue; /* the point does not name it */
        p->listed++;
        if (v->point[0]) {
            v->figures.objects++;
            v->figures.bytes += o->bytes;
        }
    }
}

/* Fill the places for scans. False: nothing is left, nothing under way. */
static bool next_packs(struct verify *v)
{
    struct err err;

    for (unsigned i = 0; i < v->scans_max && v->phase == VERIFY_PACKS;) {
        const struct verify_object *o;

        if (v->scan[i]) {
            i++;
            continue;
        }
        if (v->next == v->objects)
            break;
        o = &v->object[v->next++];
        if (!is_pack(o->name.kind) ||
            !verify_pack_find(v, &o->name.id, kind_of(o->name.kind)))
            continue;
        if (verify_scan_start(v, o, &v->scan[i], &err) != ERR_OK)
            verify_fail(v, &err);
    }
    return v->scans > 0 || v->phase == VERIFY_ENDING;
}

static bool next_point(struct verify *v)
{
    char name[NAME_TEXT];
    struct err err;

    for (; v->next < v->objects; v->next++) {
        if (v->object[v->next].name.kind != NAME_POINT)
            continue;
        name_text(&v->object[v->next].name, name);
        if (!v->point[0] || strcmp(name, v->point) == 0)
            break;
    }
    if (v->next == v->objects)
        return false;
    v->fetched = v->next++;
    v->figures.points++;
    if (verify_check_start(v, name, false, &err) != ERR_OK)
        verify_fail(v, &err);
    return true;
}

void verify_step(struct verify *v)
{
    static const struct err ok;

    if (v->phase == VERIFY_SMALL && !v->op && !next_small(v))
        begin_packs(v);
    if (v->phase == VERIFY_CHOICE && !v->check)
        begin_packs(v);
    if (v->phase == VERIFY_PACKS && !next_packs(v)) {
        v->phase = VERIFY_POINTS;
        v->next = 0;
    }
    if (v->phase == VERIFY_POINTS && !v->check && !next_point(v)) {
        verify_roster_check(v);
        verify_fail(v, &ok); /* through */
    }
}

/* --- listing -------------------------------------------------------------- */

static bool add_key_id(struct verify *v, const struct id16 *id)
{
    if (v->key_ids && id16_equal(&v->key_id[v->key_ids - 1], id))
        return true; /* they come in rising order */
    if (v->key_ids == v->key_room) {
        size_t room = v->key_room ? 2 * v->key_room : 16;
        struct id16 *more = realloc(v->key_id, room * sizeof(*more));

        if (!more)
            return false;
        v->key_id = more;
        v->key_room = room;
    }
    v->key_id[v->key_ids++] = *id;
    return true;
}

static bool add_object(struct verify *v, const struct name *n, uint64_t bytes)
{
    if (v->objects == v->room) {
        size_t room = v->room ? 2 * v->room : 256;
        struct verify_object *more = realloc(v->object, room * sizeof(*more));

        if (!more)
            return false;
        v->object = more;
        v->room = room;
    }
    v->object[v->objects++] = (struct verify_object){*n, bytes};
    return true;
}

static bool on_entry(void *ctx, const struct store_entry *entry)
{
    struct verify *v = ctx;
    struct name n;
    bool good;

    if (!name_parse(entry->name, &n))
        return true; /* not ours */
    good = add_object(v, &n, entry->bytes);
    if (n.kind == NAME_KEY)
        good = good && add_key_id(v, &n.id);
    if (n.kind == NAME_POINT)
        good = good && buf_add(&v->points, entry->name, NAME_POINT_BYTES);
    if (!v->point[0] || strcmp(entry->name, v->point) == 0) {
        v->figures.objects++;
        v->figures.bytes += entry->bytes;
    }
    if (!good)
        err_set(&v->err, ERR_NOMEM, 0, "too many objects");
    return good;
}

static void on_listed(void *ctx, const struct err *err,
                      const struct store_info *info)
{
    struct verify *v = ctx;
    struct err why = *err;

    (void)info;
    v->op = NULL;
    if (why.code == ERR_OK && v->phase == VERIFY_LISTING) {
        v->phase = v->point[0] ? VERIFY_CHOICE : VERIFY_SMALL;
        if (v->point[0])
            verify_check_start(v, v->point, true, &why);
        else
            verify_step(v);
    }
    if (why.code != ERR_OK)
        verify_fail(v, &why);
    verify_settle(v);
}

/* --- outside -------------------------------------------------------------- */

enum err_code verify_start(const struct verify_opts *opts, struct verify **out,
                           struct err *err)
{
    struct store_list_opts list = {
        .prefix = "", .on_entry = on_entry, .done = on_listed};
    struct verify *v;
    enum err_code rc;
    uint64_t scans;

    if (opts->memory_bytes < VERIFY_MEMORY_MIN ||
        (opts->point && strlen(opts->point) >= NAME_TEXT))
        return err_set(err, ERR_ARGUMENT, 0, "verifying takes more memory");
    v = calloc(1, sizeof(*v));
    if (!v)
        return err_set(err, ERR_NOMEM, 0, "verifying");
    v->opts = *opts;
    if (opts->point)
        memcpy(v->point, opts->point, strlen(opts->point) + 1);
    v->opts.point = NULL;
    /* Half for packs being read, half for their tables. */
    scans = opts->memory_bytes / 2 / VERIFY_SCAN_BYTES;
    v->scans_max = scans < VERIFY_SCANS ? (unsigned)scans : VERIFY_SCANS;
    v->slot_bytes_max =
        opts->table_bytes
            ? opts->table_bytes
            : opts->memory_bytes - v->scans_max * VERIFY_SCAN_BYTES;
    buf_init(&v->points, SIZE_MAX / 2);
    buf_init(&v->rosters, SIZE_MAX / 2);
    buf_init(&v->replaced, SIZE_MAX / 2);
    v->slabs = slab_room_new(VERIFY_SLAB, 2 * VERIFY_SCANS);
    v->lists = list_set_new();
    list.ctx = v;
    if (!v->slabs || !v->lists)
        rc = err_set(err, ERR_NOMEM, 0, "verifying");
    else
        rc = store_list(opts->store, &list, &v->op, err);
    if (rc != ERR_OK) {
        free_verify(v);
        return rc;
    }
    *out = v;
    return ERR_OK;
}

void verify_cancel(struct verify *v)
{
    struct err err;

    err_set(&err, ERR_CANCELLED, 0, "verifying was cancelled");
    verify_fail(v, &err); /* something is under way: its end calls done() */
}
