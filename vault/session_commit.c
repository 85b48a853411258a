/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps 4 to 7 (format.md 6), for the point and for unfinished ones:
 *
 *  CHECK -> [AGAIN] -> PAGES -> PACKS -> RUN -> LIST -> LOCK -> PUT -> SEE ->
 *  TIDY -> DONE
 *    ^                                    |       |              |
 *    +---- something is condemned --------+-------+--------------+
 *
 * After SEE the point that was put is one more that the next one replaces.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "vault/session_commit.h"

#define ANCHOR_MS ((uint64_t)24 * 3600 * 1000)
#define LISTS_MS ((uint64_t)12 * 3600 * 1000)

static void again(struct session *s)
{
    struct session_commit *c = s->commit;

    if (++c->rounds == SESSION_COMMIT_ROUNDS)
        session_fail_at(s, ERR_AGAIN,
                        "what is stored is condemned again and again");
    c->step = COMMIT_CHECK;
    s->pump_again = true;
}

static void to_step(struct session *s, enum session_commit_step step)
{
    if (FAILPOINT("session_step_lost"))
        return; /* as if it had been forgotten */
    s->commit->step = step;
    s->pump_again = true;
}

/* --- the point that was put is removed again, or was replaced -------- */

struct removal {
    struct session *session;
    struct removal *next, **link; /* of the session's */
    struct store_op *op;
    char name[NAME_TEXT];
};

static void on_removed(void *ctx, const struct err *err,
                       const struct store_info *info)
{
    struct removal *r = ctx;
    struct session *s = r->session;

    (void)info;
    /* Where rights or a lock forbid it, it stays: replaced, or not whole. */
    if (err->code == ERR_OK && s->events.closed)
        s->events.closed(s->opts.ctx, "point", r->name);
    if (err->code == ERR_OK && strcmp(r->name, s->commit->name) == 0)
        s->commit->put = false;
    s->commit->removing--;
    *r->link = r->next;
    if (r->next)
        r->next->link = r->link;
    free(r);
    session_release(s);
}

static void remove_point(struct session *s, const char *name)
{
    struct removal *r = calloc(1, sizeof(*r));
    struct store_name_opts opts = {
        .name = r ? r->name : NULL, .done = on_removed, .ctx = r};
    struct err ignored;

    if (!r)
        return;
    r->session = s;
    snprintf(r->name, sizeof(r->name), "%s", name);
    if (store_remove(s->opts.store, &opts, &r->op, &ignored) != ERR_OK) {
        free(r);
        return;
    }
    r->next = s->commit->removals;
    r->link = &s->commit->removals;
    if (r->next)
        r->next->link = &r->next;
    s->commit->removals = r;
    s->commit->removing++;
    s->busy++;
}

static void remove_former(struct session *s)
{
    struct session_commit *c = s->commit;
    struct slice names = {c->replaces.data, c->replaces.len};

    for (size_t i = 0; i < names.len / NAME_POINT_BYTES; i++) {
        char name[NAME_POINT_BYTES + 1];

        point_name_at(names, i, name);
        remove_point(s, name);
    }
    if (c->anchor[0])
        remove_point(s, c->anchor);
    c->anchor[0] = 0;
}

/* --- PUT and read back ----------------------------------------------- */

static void on_read_back(void *ctx, const struct err *err, const uint8_t *data,
                         size_t len, const struct store_info *info)
{
    struct session *s = ctx;
    struct session_commit *c = s->commit;

    (void)info;
    c->op = NULL;
    if (err->code != ERR_OK) {
        session_fail(s, err);
    } else if (len != c->object.len || memcmp(data, c->object.data, len) != 0) {
        struct err e;

        err_set(&e, ERR_INTEGRITY, 0,
                "%s: %s: it reads back otherwise than "
                "it was written",
                s->opts.store->location, c->name);
        session_fail(s, &e);
    } else if (FAILPOINT("session_point_read")) {
        session_fail_at(s, ERR_IO, "failpoint session_point_read");
    }
    if (session_alive(s))
        to_step(s, COMMIT_SEE);
    session_release(s);
}

static void read_back(struct session *s)
{
    struct session_commit *c = s->commit;
    struct err err;

    if (store_fetch(s->opts.store, c->name, POINT_SEALED_MAX,
                    (struct store_range){0}, on_read_back, s, &c->op,
                    &err) == ERR_OK)
        s->busy++;
    else
        session_fail(s, &err);
}

static void on_point_locked(void *ctx, const struct err *err,
                            const struct store_info *info)
{
    struct session *s = ctx;

    (void)info;
    s->commit->op = NULL;
    if (err->code != ERR_OK)
        session_fail(s, err);
    if (session_alive(s))
        read_back(s);
    session_release(s);
}

static void lock_point(struct session *s, const struct store_info *info)
{
    struct session_commit *c = s->commit;
    struct store_retain_opts retain = {
        .name = c->name,
        .version = info->version[0] ? info->version : NULL,
        .lock = s->settings.lock,
        .retain_until_ms = s->opts.retain_until_ms + SESSION_LOCK_EXTRA_MS,
        .done = on_point_locked,
        .ctx = s,
    };
    struct err err;

    if (store_retain(s->opts.store, &retain, &c->op, &err) == ERR_OK)
        s->busy++;
    else
        session_fail(s, &err);
}

static void on_point_put(void *ctx, const struct err *err,
                         const struct store_info *info)
{
    struct session *s = ctx;
    struct session_commit *c = s->commit;
    bool by_call = s->settings.lock != STORE_LOCK_NONE && !c->unfinished &&
                   !s->opts.store->traits.lock_on_put;

    c->op = NULL;
    /* A conflict is our own PUT, repeated because its answer was lost: reading
     * back tells. */
    if (err->code != ERR_OK && err->code != ERR_CONFLICT) {
        session_fail(s, err);
    } else {
        s->figures.points++;
        s->figures.meta_bytes += c->object.len;
        if (FAILPOINT("session_point_after_put"))
            session_fail_at(s, ERR_IO, "failpoint session_point_after_put");
    }
    if (session_alive(s)) {
        if (by_call)
            lock_point(s, info);
        else
            read_back(s);
    }
    session_release(s);
}

static void put_point(struct session *s)
{
    struct session_commit *c = s->commit;
    struct slice body;
    struct store_put_opts put = {.name = c->name,
                                 .body = &body,
                                 .slices = 1,
                                 .sha256 = c->sha256,
                                 .done = on_point_put,
                                 .ctx = s};
    struct err err;

    if (c->note.state == NOTE_NONE && session_point_build(s, &err) != ERR_OK) {
        if (err.code == ERR_AGAIN)
            again(s);
        else
            session_fail(s, &err);
        return;
    }
    if (!session_note_stands(s, &c->note, "point", c->name))
        return;
    body = (struct slice){c->object.data, c->object.len};
    if (!c->unfinished)
        session_send_write(s, &put.write, false);
    if (FAILPOINT("session_point_put")) {
        session_fail_at(s, ERR_IO, "failpoint session_point_put");
        return;
    }
    c->step = COMMIT_PUTTING;
    c->put = true;
    c->note.state = NOTE_NONE; /* closed by name, when it is removed */
    if (store_put(s->opts.store, &put, &c->op, &err) == ERR_OK)
        s->busy++;
    else
        session_fail(s, &err);
}

/* --- LIST gc/, before and after -------------------------------------- */

static void on_listed(struct session *s, const struct store_info *info)
{
    (void)info;
    if (session_again_is_needed(s))
        again(s);
    else
        to_step(s, COMMIT_LOCK);
}

/* What was put refers to something condemned: the next one names it. */
static void put_in_vain(struct session *s)
{
    struct session_commit *c = s->commit;

    if (!buf_add(&c->replaces, c->name, NAME_POINT_BYTES)) {
        session_fail_at(s, ERR_NOMEM, "replaced points");
        return;
    }
    c->put = false;
    if (s->late)
        session_fail_at(s, ERR_CANCELLED, "cancelled");
    else
        again(s);
}

static void on_seen(struct session *s, const struct store_info *info)
{
    (void)info;
    if (FAILPOINT("session_point_seen"))
        session_fail_at(s, ERR_IO, "failpoint session_point_seen");
    else if (session_again_is_needed(s))
        put_in_vain(s);
    else
        to_step(s, COMMIT_TIDY);
}

static void on_lists_late(struct session *s, const struct store_info *info)
{
    (void)s;
    (void)info;
}

static void on_locks(struct session *s)
{
    if (session_again_is_needed(s))
        again(s);
    else
        to_step(s, COMMIT_PUT);
}

/* --- the end of it --------------------------------------------------- */

static void committed(struct session *s)
{
    struct session_commit *c = s->commit;
    char anchor[NAME_TEXT];

    c->put = false;
    snprintf(anchor, sizeof(anchor), "%s", c->name);
    if (!c->unfinished) {
        s->committed = true;
        memcpy(s->result.point.name, c->name, NAME_POINT_BYTES + 1);
        memcpy(s->result.point.sha256, c->sha256, 32);
    }
    remove_former(s);
    if (c->unfinished)
        memcpy(c->anchor, anchor, sizeof(anchor));
    buf_fini(&c->replaces);
    c->step = COMMIT_TIDYING;
}

/* --- steps ----------------------------------------------------------- */

static void check(struct session *s)
{
    to_step(s, session_again_gather(s) ? COMMIT_AGAIN : COMMIT_PAGES);
    session_maps_begin(s);
}

static void run_step(struct session *s)
{
    struct session_commit *c = s->commit;

    switch (c->step) {
    case COMMIT_CHECK:
        check(s);
        break;
    case COMMIT_AGAIN:
        if (session_again_go(s))
            to_step(s, COMMIT_PAGES);
        break;
    case COMMIT_PAGES:
        if (session_maps_go(s))
            to_step(s, COMMIT_PACKS);
        break;
    case COMMIT_PACKS:
        session_pack_close(s);
        if (session_send_idle(s))
            to_step(s, COMMIT_RUN);
        break;
    case COMMIT_RUN:
        session_send_run(s, true);
        if (!s->run_busy && !s->run_packs)
            to_step(s, COMMIT_LIST);
        break;
    case COMMIT_LIST:
    case COMMIT_SEE:
        if (s->list_op) /* one of step 3 is under way: another is begun */
            break;
        session_lists_read(s, c->step == COMMIT_LIST ? on_listed : on_seen);
        c->step++;
        break;
    case COMMIT_LOCK:
        c->step = COMMIT_LOCKING;
        if (s->settings.lock != STORE_LOCK_NONE && !c->unfinished)
            session_lock_start(s, on_locks);
        else
            to_step(s, COMMIT_PUT);
        break;
    case COMMIT_PUT:
        put_point(s);
        break;
    case COMMIT_TIDY:
        committed(s);
        s->pump_again = true;
        break;
    case COMMIT_TIDYING:
        if (!c->removing)
            to_step(s, COMMIT_DONE);
        break;
    case COMMIT_IDLE:
    case COMMIT_LISTING:
    case COMMIT_LOCKING:
    case COMMIT_PUTTING:
    case COMMIT_SEEING:
    case COMMIT_DONE:
        break;
    }
}

void session_commit_start(struct session *s, bool unfinished)
{
    s->commit->step = COMMIT_CHECK;
    s->commit->unfinished = unfinished;
    s->commit->rounds = 0;
    s->pump_again = true;
}

/* --- long sessions: lists every 12 h, an unfinished point every 24 h - */

/* What is being filled is set aside, so that the batches can run dry. */
static void park(struct session *s)
{
    if (!s->filling || s->filling == &s->parked)
        return;
    s->parked = *s->filling;
    s->filling->state = BATCH_FREE;
    s->filling->raw = NULL;
    buf_init(&s->filling->runs, 0);
    s->filling = &s->parked;
    s->next--;
}

static void unpark(struct session *s)
{
    struct session_batch *b;

    if (s->filling != &s->parked)
        return;
    b = session_batch_at(s, s->next++);
    *b = s->parked;
    memset(&s->parked, 0, sizeof(s->parked));
    s->filling = b;
}

static void keep_up(struct session *s)
{
    uint64_t now = session_mono(s);

    if (now - s->lists_read_ms >= LISTS_MS && !s->list_op)
        session_lists_read(s, on_lists_late);
    if (now - s->anchored_ms >= ANCHOR_MS && !s->rest.count) {
        s->state = SESSION_ANCHORING;
        s->pump_again = true;
    }
}

static void anchor(struct session *s)
{
    struct session_commit *c = s->commit;

    if (c->step == COMMIT_IDLE) {
        park(s);
        if (session_feed_idle(s))
            session_commit_start(s, true);
    } else if (c->step == COMMIT_DONE) {
        c->step = COMMIT_IDLE;
        s->anchored_ms = session_mono(s);
        unpark(s);
        s->state = SESSION_RUNNING;
        s->pump_again = true;
    }
}

/* --- from the pump --------------------------------------------------- */

void session_commit_go(struct session *s)
{
    struct session_commit *c = s->commit;

    if (s->state == SESSION_RUNNING)
        keep_up(s);
    if (s->state == SESSION_ANCHORING)
        anchor(s);
    if (s->state == SESSION_DRAINING && session_feed_idle(s)) {
        s->state = SESSION_COMMITTING;
        session_commit_start(s, false);
    }
    if (session_alive(s))
        run_step(s);
    if (s->state == SESSION_COMMITTING && c->step == COMMIT_DONE && !s->busy &&
        session_alive(s))
        s->state = SESSION_ENDED;
}

/* --- begin and end --------------------------------------------------- */

enum err_code session_commit_new(struct session *s, struct err *err)
{
    struct session_commit *c = calloc(1, sizeof(*c));

    if (!c)
        return err_set(err, ERR_NOMEM, 0, "session");
    buf_init(&c->object, POINT_SEALED_MAX);
    buf_init(&c->replaces, SESSION_COMMIT_ROUNDS * NAME_POINT_BYTES);
    buf_init(&c->page_bytes, MAP_PAGE_BYTES);
    s->commit = c;
    return ERR_OK;
}

void session_commit_free(struct session *s)
{
    struct session_commit *c = s->commit;

    if (!c)
        return;
    session_lock_free(s);
    chunk_read_free(c->reader);
    free(c->again);
    buf_fini(&c->object);
    buf_fini(&c->replaces);
    buf_fini(&c->page_bytes);
    free(c);
    s->commit = NULL;
}

void session_commit_cancel(struct session *s)
{
    struct session_commit *c = s->commit;

    if (c->op)
        store_op_cancel(c->op);
    session_again_cancel(s);
    session_lock_cancel(s);
    session_lists_cancel(s);
}

bool session_commit_is_late(const struct session *s)
{
    return s->state == SESSION_COMMITTING && s->commit->put;
}

void session_commit_unsure(const struct session *s,
                           char out[NAME_POINT_BYTES + 1])
{
    const struct session_commit *c = s->commit;

    out[0] = 0;
    if (c && c->put && !c->unfinished)
        memcpy(out, c->name, NAME_POINT_BYTES + 1);
}

void session_commit_clean(struct session *s)
{
    if (s->commit->put)
        remove_point(s, s->commit->name);
    session_note_close(s, &s->commit->note);
    remove_former(s);
}

void session_commit_abandon(struct session *s)
{
    for (struct removal *r = s->commit->removals; r; r = r->next)
        store_op_cancel(r->op);
}
