/* SPDX-License-Identifier: Apache-2.0 */
/*
 *  STARTING --> RUNNING <--> ANCHORING
 *     |            |  session_finish()
 *     |            v
 *     |         DRAINING --> COMMITTING --> ENDED --> done(ERR_OK)
 *     v            |              |
 *  FAILING <-------+--------------+  a failure, or session_cancel()
 *     |  nothing is under way any more
 *     v
 *  CLEANING --> ENDED --> done(the first failure)
 */
#include "vault/session_inside.h"

#include <stdlib.h>
#include <string.h>

/* Turns of one pumping that leave nothing under way; a commit takes a dozen. */
#define ALONE_TURNS 256u

/* --- small things that all files use --------------------------------- */

uint64_t session_mono(const struct session *s)
{
    return clock_mono_ms(s->opts.clock);
}

uint64_t session_wall(const struct session *s)
{
    return clock_wall_ms(s->opts.clock);
}

uint64_t session_stamp(struct session *s)
{
    uint64_t latest = list_set_latest_ms(s->lists);

    if (latest > s->latest_ms)
        s->latest_ms = latest;
    s->latest_ms = name_time_after(session_wall(s), s->latest_ms);
    return s->latest_ms;
}

void session_fail(struct session *s, const struct err *err)
{
    if (s->state == SESSION_ENDED || s->committed)
        return;
    err_keep(&s->err, err);
    session_kick(s);
}

void session_fail_at(struct session *s, enum err_code code, const char *what)
{
    struct err err;

    err_set(&err, code, 0, "%s: %s", s->opts.store->location, what);
    session_fail(s, &err);
}

void session_release(struct session *s)
{
    s->busy--;
    session_pump(s);
}

uint32_t session_number(struct session *s, const struct session_pack_ref *ref)
{
    uint64_t number;

    if (session_table_find(s->numbers, &ref->id, &number))
        return (uint32_t)number;
    if (s->ref_count == s->ref_room) {
        uint32_t room = s->ref_room ? 2 * s->ref_room : 64;
        struct session_pack_ref *more = realloc(s->refs, room * sizeof(*more));

        if (!more) {
            session_fail_at(s, ERR_NOMEM, "table of packs");
            return MAP_ZERO;
        }
        s->refs = more;
        s->ref_room = room;
    }
    if (!session_table_put(s->numbers, &ref->id, s->ref_count)) {
        session_fail_at(s, ERR_NOMEM, "table of packs");
        return MAP_ZERO;
    }
    s->refs[s->ref_count] = *ref;
    s->refs[s->ref_count].kept_out =
        !ref->ours && !session_begin_trusts(s, &ref->key_id);
    return s->ref_count++;
}

bool session_condemned(const struct session *s, struct session_ref ref)
{
    uint32_t first, count;

    return session_hits(s, ref.pack, ref.slot, 1, &first, &count);
}

bool session_hits(const struct session *s, uint32_t pack, uint32_t first,
                  uint32_t count, uint32_t *hit_first, uint32_t *hit_count)
{
    const struct id16 *id = &s->refs[pack].id;

    if (s->refs[pack].kept_out) {
        *hit_first = first;
        *hit_count = count;
        return true;
    }
    /* A pack that is gone is so as a whole. */
    return condemned_hits(s->gone, id, first, count, hit_first, hit_count) ||
           condemned_hits(list_set_condemned(s->lists), id, first, count,
                          hit_first, hit_count);
}

/* --- the pump -------------------------------------------------------- */

static void on_kick(struct timer *t)
{
    session_pump(SESSION_OWNER(t, struct session, kick));
}

void session_kick(struct session *s)
{
    if (!timer_is_armed(&s->kick))
        timer_start(s->loop, &s->kick, 0, on_kick);
}

/* All was fed, and said to be all. */
static void begin_draining(struct session *s)
{
    if (s->state != SESSION_RUNNING || !s->finishing || s->rest.count)
        return;
    for (unsigned i = 0; i < s->disk_count; i++)
        if (s->disks[i]->fed != s->disks[i]->opts.bytes) {
            session_fail_at(s, ERR_ARGUMENT, "a disk did not come to its end");
            return;
        }
    session_feed_flush(s);
    s->state = SESSION_DRAINING;
}

static void advance(struct session *s)
{
    begin_draining(s);
    session_parent_go(s);
    session_chunks_go(s);
    session_place_go(s);
    session_pack_go(s);
    session_spill_go(s);
    session_send_go(s);
    session_commit_go(s);
    session_feed_go(s);
}

/* The way out after a failure: call back, wait, clean up, wait. */
static void retreat(struct session *s)
{
    if (s->state < SESSION_FAILING) {
        s->state = SESSION_FAILING;
        session_begin_cancel(s);
        session_parent_cancel(s);
        session_send_cancel(s);
        session_commit_cancel(s);
    }
    if (s->busy)
        return;
    if (s->state == SESSION_FAILING) {
        s->state = SESSION_CLEANING;
        if (!s->abandoned) {
            session_send_abort(s);
            session_commit_clean(s);
        }
    }
    if (!s->busy)
        s->state = SESSION_ENDED;
}

static void session_delete(struct session *s);

static void end(struct session *s)
{
    struct session_result result = s->result;
    struct session_events events = s->events;
    struct err err = s->err;
    void *ctx = s->opts.ctx;

    result.figures = s->figures;
    if (err.code != ERR_OK) {
        memset(&result.point, 0, sizeof(result.point));
        session_commit_unsure(s, result.unsure);
    }
    result.start_ms = s->start_ms;
    result.parent = s->parent_ref;
    session_delete(s);
    events.done(ctx, &err, &result);
}

/* Whether a call from outside is to come: the caller's data, or a timer. */
static bool is_awaited(const struct session *s)
{
    return (s->state == SESSION_RUNNING && !s->finishing && !s->paused &&
            !s->rest.count) ||
           timer_is_armed(&s->kick) || timer_is_armed(&s->spill.tick);
}

/* Nothing is under way, so that nothing would ever wake us. */
static bool is_left_alone(const struct session *s)
{
    return s->state != SESSION_ENDED && !s->busy && !is_awaited(s);
}

/* A job that waits for nothing would wait for ever, and hold its memory. */
static void give_up(struct session *s)
{
    if (s->committed)
        s->state = SESSION_ENDED;
    else
        session_fail_at(s, ERR_AGAIN, "nothing is under way, and nothing "
                                      "goes on");
}

void session_pump(struct session *s)
{
    unsigned alone = 0;

    if (s->pumping) {
        s->pump_again = true;
        return;
    }
    s->pumping = true;
    do {
        s->pump_again = false;
        if (session_alive(s))
            advance(s);
        if (!session_alive(s))
            retreat(s);
        if (!is_left_alone(s))
            continue;
        if (++alone == ALONE_TURNS)
            give_up(s);
        s->pump_again = true;
    } while (s->pump_again && s->state != SESSION_ENDED);
    s->pumping = false;
    if (s->state == SESSION_ENDED)
        end(s);
}

/* --- beginning and end ----------------------------------------------- */

static void session_delete(struct session *s)
{
    timer_stop(&s->kick);
    session_commit_free(s);
    session_begin_free(s);
    session_parent_free(s);
    while (s->packs) {
        struct session_pack *next = s->packs->next;

        session_pack_free(s->packs);
        s->packs = next;
    }
    session_spill_end(s);
    session_feed_free(s);
    for (unsigned i = 0; i < s->disk_count; i++) {
        buf_fini(&s->disks[i]->map);
        free(s->disks[i]->pages);
        free(s->disks[i]->name);
        free(s->disks[i]);
    }
    free(s->disks);
    if (s->idle_part)
        slab_give(s->idle_part);
    seal_digest_free(s->digest);
    session_table_free(s->numbers);
    session_table_free(s->stored);
    free(s->refs);
    point_free(s->parent);
    list_set_free(s->lists);
    condemned_free(s->gone);
    buf_fini(&s->roster);
    buf_fini(&s->run);
    buf_fini(&s->run_object);
    buf_fini(&s->metadata);
    vault_unref(s->vault);
    free(s->texts);
    free(s);
}

/* Copies of the texts of opts, one after another. */
static bool copy_texts(struct session *s)
{
    const char **text[] = {&s->opts.series,      &s->opts.name,
                           &s->opts.pool,        &s->opts.source_mode,
                           &s->opts.consistency, &s->opts.gateway,
                           &s->opts.retention};
    size_t room = 1;
    char *at;

    for (size_t i = 0; i < BYTES_COUNT(text); i++)
        room += *text[i] ? strlen(*text[i]) + 1 : 0;
    at = s->texts = malloc(room);
    if (!at)
        return false;
    for (size_t i = 0; i < BYTES_COUNT(text); i++) {
        size_t len = *text[i] ? strlen(*text[i]) + 1 : 0;

        if (!len)
            continue;
        memcpy(at, *text[i], len);
        *text[i] = at;
        at += len;
    }
    return true;
}

static bool allocate(struct session *s)
{
    buf_init(&s->roster, 16 * MIB);
    buf_init(&s->run, 256 * MIB);
    buf_init(&s->run_object, 256 * MIB);
    buf_init(&s->metadata, POINT_METADATA_MAX);
    s->lists = list_set_new();
    s->gone = condemned_new();
    s->page_limit = MAP_FIELD_BYTES;
    if (s->opts.page_above && s->opts.page_above < MAP_FIELD_BYTES)
        s->page_limit = s->opts.page_above;
    s->numbers = session_table_new();
    s->stored = session_table_new();
    s->digest = seal_digest_new(s->suite, SEAL_DIGEST_SHA256);
    s->batch = calloc(SESSION_BATCHES, sizeof(*s->batch));
    return s->lists && s->gone && s->numbers && s->stored && s->digest &&
           s->batch && copy_texts(s);
}

/* What of the memory goes to parts and what to batches. */
static void divide_memory(struct session *s)
{
    uint64_t chunks = 4 * MIB; /* at the floor: 3 slabs, 1 MiB the caller's */

    s->parts_max =
        (unsigned)((s->opts.ceiling_bytes - chunks) / STORE_PART_BYTES);
    if (s->parts_max > 1 + SESSION_PARTS_IN_FLIGHT)
        s->parts_max = 1 + SESSION_PARTS_IN_FLIGHT;
    s->slabs_max =
        (unsigned)((s->opts.ceiling_bytes - s->parts_max * STORE_PART_BYTES) /
                   MIB) -
        1;
    if (s->slabs_max > 2 * SESSION_RAW_MAX - 1)
        s->slabs_max = 2 * SESSION_RAW_MAX - 1;
}

static enum err_code check(const struct session_opts *o, struct err *err)
{
    const struct vault_settings *v = vault_settings(o->vault);
    const struct store_traits *t = &o->store->traits;

    if (!o->events.done || !o->series || !o->series[0] ||
        o->ceiling_bytes < SESSION_FLOOR_BYTES ||
        o->ceiling_bytes > SESSION_CEILING_BYTES ||
        o->recovery_count > SESSION_RECOVERY_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "session: options");
    if (!keyring_current(vault_keys(o->vault), SEAL_KEY_META) ||
        !keyring_current(vault_keys(o->vault), SEAL_KEY_DATA))
        return err_set(err, ERR_KEY, 0, "%s: no current keys to seal under",
                       o->store->location);
    if (v->lock != STORE_LOCK_NONE && !t->lock_by_call &&
        !(t->lock_on_put && t->lock_on_create))
        return err_set(err, ERR_ARGUMENT, 0,
                       "%s: it does not keep locks, and this vault is locked",
                       o->store->location);
    return ERR_OK;
}

enum err_code session_start(const struct session_opts *opts,
                            struct session **out, struct err *err)
{
    struct session *s;

    if (check(opts, err) != ERR_OK)
        return err->code;
    s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(err, ERR_NOMEM, 0, "session");
    s->opts = *opts;
    s->events = opts->events;
    s->loop = opts->loop;
    s->vault = vault_ref(opts->vault);
    s->keys = vault_keys(s->vault);
    s->suite = vault_suite(s->vault);
    s->settings = *vault_settings(s->vault);
    s->start_ms = session_wall(s);
    s->run_begun_ms = s->anchored_ms = session_mono(s);
    if (opts->recovery_count)
        memcpy(s->recovery, opts->recovery,
               opts->recovery_count * sizeof(*s->recovery));
    divide_memory(s);
    session_spill_begin(s);
    err_clear(err);
    if (!allocate(s) || session_parent_new(s, err) != ERR_OK ||
        session_commit_new(s, err) != ERR_OK ||
        session_begin_start(s, err) != ERR_OK) {
        if (err->code == ERR_OK)
            err_set(err, ERR_NOMEM, 0, "session");
        session_delete(s);
        return err->code;
    }
    *out = s;
    return ERR_OK;
}

void session_finish(struct session *s, const void *metadata, size_t len)
{
    if (!session_alive(s) || s->finishing)
        return;
    if (!buf_add(&s->metadata, metadata, len)) {
        session_fail_at(s, len > POINT_METADATA_MAX ? ERR_ARGUMENT : ERR_NOMEM,
                        "VM metadata");
        return;
    }
    s->finishing = true;
    session_kick(s);
}

void session_cancel(struct session *s)
{
    if (s->state == SESSION_ENDED)
        return;
    if (session_commit_is_late(s))
        s->late = true;
    else
        session_fail_at(s, ERR_CANCELLED, "cancelled");
}

void session_abandon(struct session *s)
{
    if (s->state == SESSION_ENDED)
        return;
    if (s->late && session_alive(s) && session_commit_is_late(s))
        session_fail_at(s, ERR_AGAIN, "the store does not answer");
    if (session_alive(s))
        return;
    s->abandoned = true;
    if (s->state == SESSION_FAILING || s->state == SESSION_CLEANING) {
        session_send_cancel(s);
        session_commit_abandon(s);
    }
    session_kick(s);
}

const struct point *session_parent(const struct session *s)
{
    return s->parent;
}

const struct session_figures *session_figures(const struct session *s)
{
    return &s->figures;
}
