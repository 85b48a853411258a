/* SPDX-License-Identifier: Apache-2.0 */
/*
 * While the store answers nothing, parts wait in a file instead of in the
 * memory that the export needs.
 *
 *   UP --requests in vain for spill_after_ms, and data waits for memory--> DOWN
 *    ^                                                                      |
 *    +------ the answer to a HEAD, tried again as long as any request ------+
 *
 * DOWN: no part's PUT begins. Of parts that are whole, the oldest first, one is
 * written to the file whenever data waits for memory: first such as have no PUT
 * under way, then such whose PUT is called back for it. UP: parts are read back
 * in order, as far as they can be sent at once. With the memory of one part
 * alone, data and parts that come back take turns, a pack each.
 */
#include "vault/session_inside.h"

#include <string.h>

#include "base/log.h"

#define TICK_MAX_MS 1000u
#define WRITING_MAX 2u

static bool enabled(const struct session *s)
{
    return s->opts.spill != NULL;
}

static size_t part_bytes(const struct session_part *part)
{
    return session_part_full(part) ? STORE_PART_BYTES : (size_t)part->len;
}

void session_spill_begin(struct session *s)
{
    if (enabled(s))
        spill_join(s->opts.spill, &s->spill.share, s->opts.tenant);
}

void session_spill_end(struct session *s)
{
    timer_stop(&s->spill.tick);
    if (enabled(s))
        spill_leave(s->opts.spill, &s->spill.share);
}

void session_spill_want(struct session *s, bool wanted)
{
    s->spill.wanted = wanted;
}

void session_spill_drop(struct session_part *part)
{
    struct session *s = part->pack->session;

    if (part->sent)
        s->spill.vain_since_ms = 0;
    if (part->place == PART_MEMORY)
        return;
    if (part->place == PART_FILED)
        s->figures.spilled_now -= part_bytes(part);
    spill_slot_give(s->opts.spill, &s->spill.share, part->slot);
    part->place = PART_MEMORY;
}

bool session_spill_may_send(const struct session_part *part)
{
    return !part->pack->session->spill.down &&
           (part->place == PART_MEMORY || part->place == PART_FILED);
}

/* --- down, and up again ---------------------------------------------- */

static void store_answers(struct session *s)
{
    if (!s->spill.down)
        return;
    s->spill.down = s->spill.failed = false;
    s->spill.turns = SESSION_SPILL_TURNS;
    s->figures.down_since_ms = 0;
    log_event(LOG_INFO, "store_answers_again",
              log_text("store", s->opts.store->location),
              log_u64("spilled", s->figures.spilled_now), LOG_END);
}

/* Whether nothing came through in the end; a refusal is an answer. */
static bool is_outage(const struct err *err)
{
    return err->code == ERR_UNREACHABLE || err->code == ERR_TIMEOUT ||
           err->code == ERR_IO || err->code == ERR_AGAIN ||
           err->code == ERR_REMOTE;
}

static void on_probe(void *ctx, const struct err *err,
                     const struct store_info *info)
{
    struct session *s = ctx;

    (void)info;
    s->spill.probe = NULL;
    s->spill.probing = false;
    if (is_outage(err))
        session_fail(s, err);
    else if (session_alive(s))
        store_answers(s);
    session_release(s);
}

static void store_is_down(struct session *s)
{
    const struct store_name_opts head = {
        .name = s->packs->name, .done = on_probe, .ctx = s};
    const uint64_t gone = session_mono(s) - s->opts.store->down_since_ms;
    struct err err = {0};

    if (store_head(s->opts.store, &head, &s->spill.probe, &err) != ERR_OK) {
        session_fail(s, &err);
        return;
    }
    s->busy++;
    s->spill.probing = s->spill.down = true;
    s->figures.down_since_ms = session_wall(s) - gone;
    if (!s->spill.vain_since_ms)
        s->spill.vain_since_ms = session_mono(s);
    log_event(LOG_WARN, "store_down",
              log_text("store", s->opts.store->location),
              log_u64("since_s", gone / 1000), LOG_END);
}

static void judge_store(struct session *s)
{
    const uint64_t since = s->opts.store->down_since_ms;
    const uint64_t now = session_mono(s);

    if (s->spill.down) {
        if (!since && s->spill.probe) /* another request came through */
            store_op_cancel(s->spill.probe);
        return;
    }
    if (s->spill.probing || !s->spill.wanted || !s->packs || !since ||
        now - since < s->opts.spill_after_ms)
        return;
    if (s->spill.vain_since_ms &&
        now - s->spill.vain_since_ms >= s->opts.spill_until_ms)
        return; /* it answers, and yet takes nothing */
    store_is_down(s);
}

/* --- into the file --------------------------------------------------- */

static void on_written(struct spill_op *op)
{
    struct session_part *part = SESSION_OWNER(op, struct session_part, spill);
    struct session *s = part->pack->session;

    s->spill.writing--;
    if (op->err.code == ERR_OK) {
        part->place = PART_FILED;
        s->figures.spilled += op->len;
        s->figures.spilled_now += op->len;
        session_pack_part_away(part);
    } else {
        session_spill_drop(part);
        if (op->err.code != ERR_CANCELLED) {
            s->spill.failed = true;
            log_event(LOG_WARN, "spill_failed", log_err(&op->err), LOG_END);
        }
    }
    session_release(s);
}

/* False: not now. */
static bool op_start(struct session_part *part, bool reading,
                     void (*done)(struct spill_op *op))
{
    struct session *s = part->pack->session;

    part->spill = (struct spill_op){.spill = s->opts.spill,
                                    .slot = part->slot,
                                    .reading = reading,
                                    .data = part->slab->data,
                                    .len = part_bytes(part),
                                    .loop = s->loop,
                                    .done = done};
    if (!spill_op_start(&part->spill))
        return false;
    s->busy++;
    return true;
}

static void write_part(struct session_part *part)
{
    struct session *s = part->pack->session;

    part->place = PART_WRITING;
    if (op_start(part, false, on_written))
        s->spill.writing++;
    else
        session_spill_drop(part);
}

bool session_spill_came_back(struct session_part *part, const struct err *err)
{
    struct session *s = part->pack->session;

    part->recalled = false;
    if (part->place == PART_MEMORY)
        return false;
    if (part->place == PART_FILED) /* read back in vain: it is still there */
        return err->code == ERR_CANCELLED && session_alive(s);
    if (err->code == ERR_CANCELLED && session_alive(s)) {
        write_part(part);
        return true;
    }
    session_spill_drop(part); /* it was sent after all, or failed */
    return false;
}

/* Packs that wait have tables, and these are no part of the budget: what parts
 * in the file may have on the average was set aside for them. */
static bool tables_allow(const struct session *s)
{
    uint64_t chunks = 0, usual = 2 * (uint64_t)s->packs->slots;
    uint64_t set_aside = (uint64_t)SESSION_SPILL_CHUNKS *
                         (spill_held(&s->spill.share) + SESSION_SPILL_TURNS);

    for (const struct session_pack *p = s->packs; p; p = p->next)
        chunks += p->slots;
    return chunks <= set_aside + usual;
}

/* Of an upload, whole, and in memory: one whose PUT is under way, or not. */
static struct session_part *find_part(const struct session *s, bool sending)
{
    for (struct session_pack *p = s->packs; p; p = p->next) {
        if (p->state > PACK_ENDING || (p->part_count == 1 && p->parts->last))
            continue;
        for (struct session_part *part = p->parts; part; part = part->next)
            if (part->complete && !part->sent && part->slab &&
                part->sending == sending &&
                (part->place == PART_MEMORY ||
                 (part->place == PART_FILED &&
                  (sending || !part->next || part->next->carried))))
                return part;
    }
    return NULL;
}

static bool take_slot(struct session *s, struct session_part *part)
{
    return !s->spill.failed && tables_allow(s) &&
           spill_slot_take(s->opts.spill, &s->spill.share, &part->slot);
}

/* One part more on its way out of memory. */
static void spill_one(struct session *s)
{
    struct session_part *part = find_part(s, false);
    bool sending = !part;

    if (sending)
        part = find_part(s, true);
    if (!part || (part->place == PART_MEMORY && !take_slot(s, part)))
        return;
    if (part->place == PART_FILED && !sending) {
        session_pack_part_away(part);
        s->pump_again = true;
        return;
    }
    if (part->place == PART_MEMORY)
        part->place = PART_RECALLED;
    part->recalled = sending;
    if (sending)
        store_op_cancel(part->op);
    else
        write_part(part);
}

/* Whether one is on its way already. */
static bool is_recalling(const struct session *s)
{
    for (const struct session_pack *p = s->packs; p; p = p->next)
        for (const struct session_part *part = p->parts; part;
             part = part->next)
            if (part->recalled)
                return true;
    return false;
}

/* --- and back -------------------------------------------------------- */

static void check_more(struct session_part *part);

static void run_check(struct work *w)
{
    struct session_part *part = SESSION_OWNER(w, struct session_part, work);

    seal_digest_add(part->sha, part->slab->data + part->hashed,
                    part->hash_bytes);
}

static void on_checked(struct work *w)
{
    struct session_part *part = SESSION_OWNER(w, struct session_part, work);

    part->hashed += part->hash_bytes;
    check_more(part);
}

static void back_in_memory(struct session_part *part)
{
    struct session *s = part->pack->session;

    part->place = PART_FILED;
    s->spill.reading--;
    session_release(s);
}

/* In pieces; then the verdict. */
static void check_more(struct session_part *part)
{
    struct session *s = part->pack->session;
    const size_t left = part_bytes(part) - (size_t)part->hashed;
    uint8_t sha256[32];

    if (left && session_alive(s)) {
        part->hash_bytes = left < SESSION_PIECE ? left : SESSION_PIECE;
        part->work.run = run_check;
        part->work.done = on_checked;
        work_start(s->loop, &part->work);
        return;
    }
    if (!left && !seal_digest_end(part->sha, sha256))
        session_fail_at(s, ERR_NOMEM, part->pack->name);
    else if (!left && memcmp(sha256, part->sha256, sizeof(sha256)) != 0)
        session_fail_at(s, ERR_INTEGRITY,
                        "the spill's file gave back other bytes than were "
                        "written to it");
    back_in_memory(part);
}

static void on_read(struct spill_op *op)
{
    struct session_part *part = SESSION_OWNER(op, struct session_part, spill);
    struct session *s = part->pack->session;

    if (op->err.code != ERR_OK) {
        session_fail(s, &op->err);
        back_in_memory(part);
        return;
    }
    seal_digest_free(part->sha);
    part->sha = seal_digest_new(s->suite, SEAL_DIGEST_SHA256);
    if (!part->sha) {
        session_fail_at(s, ERR_NOMEM, "part");
        back_in_memory(part);
        return;
    }
    part->place = PART_CHECKING;
    part->hashed = 0;
    check_more(part);
}

/* The next one that is in the file alone; NULL: none. */
static struct session_part *next_back(const struct session *s)
{
    for (struct session_pack *p = s->packs; p; p = p->next)
        for (struct session_part *part = p->parts; part; part = part->next)
            if (part->place == PART_FILED && !part->sent && !part->slab)
                return part;
    return NULL;
}

bool session_spill_first(struct session *s)
{
    return enabled(s) && !s->spill.down && s->spill.turns &&
           (s->spill.reading || next_back(s));
}

/* Those that are in memory and wait for their PUT. Where an upload is still
 * being opened nothing can be sent, so that is none to wait for. */
static unsigned waiting(const struct session *s)
{
    unsigned n = 0;

    for (const struct session_pack *p = s->packs; p; p = p->next)
        for (const struct session_part *part = p->upload ? p->parts : NULL;
             part; part = part->next)
            n += part->complete && part->slab && !part->sent && !part->sending;
    return n;
}

static bool read_one(struct session *s)
{
    struct session_part *part = next_back(s);

    if (!part || !part->pack->upload ||
        waiting(s) + s->parts_in_flight >= SESSION_PARTS_IN_FLIGHT)
        return false;
    part->slab = session_pack_slab(s, &part->extra);
    if (!part->slab)
        return false;
    part->place = PART_READING;
    if (!op_start(part, true, on_read)) {
        part->place = PART_FILED;
        session_pack_part_away(part);
        return false;
    }
    s->spill.reading++;
    s->spill.turns -= s->spill.turns > 0;
    return true;
}

/* --- from the pump --------------------------------------------------- */

static void on_tick(struct timer *t)
{
    session_pump(SESSION_OWNER(t, struct session, spill.tick));
}

/* Time passes, and other jobs give back room, without a word to us. */
static void watch(struct session *s)
{
    uint64_t ms = s->opts.spill_after_ms / 4 + 1;

    if ((s->spill.wanted || s->spill.down || s->figures.spilled_now) &&
        !timer_is_armed(&s->spill.tick))
        timer_start(s->loop, &s->spill.tick,
                    ms < TICK_MAX_MS ? ms : TICK_MAX_MS, on_tick);
}

void session_spill_go(struct session *s)
{
    if (!enabled(s))
        return;
    judge_store(s);
    if (!session_alive(s))
        return;
    if (s->spill.down) {
        if (s->spill.wanted && s->spill.writing < WRITING_MAX &&
            !is_recalling(s))
            spill_one(s);
    } else {
        while (read_one(s))
            ;
    }
    watch(s);
}

void session_spill_cancel(struct session *s)
{
    if (s->spill.probe)
        store_op_cancel(s->spill.probe);
    for (struct session_pack *p = s->packs; p; p = p->next)
        for (struct session_part *part = p->parts; part; part = part->next)
            if (part->place == PART_WRITING || part->place == PART_READING)
                spill_op_cancel(&part->spill);
}
