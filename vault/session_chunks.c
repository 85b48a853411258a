/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch from its ids to what is to be stored of it. Hashing and compressing
 * run in any order; comparing with the parent and deciding go in order, so that
 * the first of equal chunks is stored and the others refer to it.
 */
#include "vault/session_inside.h"

#include <zstd.h>

/* In `stored`: an entry was decided on, its place is not known yet. */
#define PENDING UINT64_MAX

static bool has_bytes(const struct session_entry *e)
{
    return e->what == SESSION_DATA || e->what == SESSION_AGAIN ||
           e->what == SESSION_PAGE;
}

/* --- ids, on a worker ------------------------------------------------ */

static bool hash_entry(struct session_batch *b, struct session_entry *e,
                       struct session_tool *tool)
{
    const uint8_t *raw = b->raw->data + e->at;

    if (e->what == SESSION_DATA && bytes_all_zero(raw, e->len)) {
        e->what = SESSION_ZERO;
        return true;
    }
    if (!seal_slot_chunk_id(tool->slots, keyring_k_id(b->session->keys),
                            b->kind, raw, e->len, &e->id))
        return false;
    return e->what != SESSION_DATA ||
           map_sum_add(&b->sum, tool->sha256, e->chunk, &e->id);
}

static void run_hashing(struct work *w)
{
    struct session_batch *b = SESSION_OWNER(w, struct session_batch, work);
    struct session_tool *tool = session_tools_take(b->session->opts.tools);

    for (unsigned i = 0; i < b->count && !b->failed; i++)
        if (has_bytes(&b->entry[i]))
            b->failed = !hash_entry(b, &b->entry[i], tool);
    session_tools_give(b->session->opts.tools, tool);
}

static void on_hashed(struct work *w)
{
    struct session_batch *b = SESSION_OWNER(w, struct session_batch, work);
    struct session *s = b->session;

    b->state = BATCH_PARENT;
    if (b->failed)
        session_fail_at(s, ERR_NOMEM, "chunk ids");
    session_release(s);
}

void session_chunks_start(struct session_batch *b)
{
    struct session *s = b->session;

    if (!b->raw) {
        b->state = BATCH_PARENT;
        session_kick(s);
        return;
    }
    b->state = BATCH_HASHING;
    b->work.run = run_hashing;
    b->work.done = on_hashed;
    s->busy++;
    work_start(s->loop, &b->work);
}

/* --- the parent ------------------------------------------------------ */

/* Of an incremental disk: what the parent had there leaves the sum. */
static void leave_sum(struct session *s, struct session_disk_state *d,
                      uint64_t chunk, enum session_parent_answer answer,
                      const struct id16 *id)
{
    if (answer == PARENT_IS_ZERO)
        return;
    if (answer != PARENT_IS)
        session_fail_at(s, ERR_INTEGRITY,
                        "the point before does not say what "
                        "stood in a chunk that changed");
    else if (!map_sum_sub(&d->sum, s->digest, chunk, id))
        session_fail_at(s, ERR_NOMEM, "content sum");
}

static void unchanged(struct session_batch *b, struct map_writer *w,
                      enum session_parent_answer answer, struct session_ref ref)
{
    struct map_run run = {1, ref.pack, ref.slot};

    if (answer == PARENT_NONE)
        session_fail_at(b->session, ERR_ARGUMENT,
                        "a range beyond the point before is unchanged");
    if (answer == PARENT_IS_ZERO)
        run = (struct map_run){1, MAP_ZERO, 0};
    map_writer_add(w, run);
}

/* One chunk of an entry. False: the parent's ids are not there yet. */
static bool compare_chunk(struct session_batch *b, struct session_entry *e,
                          uint64_t chunk, struct map_writer *w)
{
    struct session *s = b->session;
    enum session_parent_answer answer;
    struct session_ref ref = {MAP_ZERO, 0};
    struct id16 id;

    answer = session_parent_at(s, b->disk, chunk, &ref, &id);
    if (answer == PARENT_WAIT)
        return false;
    if (e->what == SESSION_UNCHANGED) {
        unchanged(b, w, answer, ref);
        return true;
    }
    if (e->what == SESSION_DATA && answer == PARENT_IS &&
        id16_equal(&id, &e->id) && !session_condemned(s, ref)) {
        e->fate = SESSION_REFER;
        e->ref = ref;
        s->figures.unchanged += e->len;
    }
    if (b->disk->opts.incremental)
        leave_sum(s, b->disk, chunk, answer, &id);
    return true;
}

/* An entry, from where it was left. Zeros matter to an incremental disk only.
 */
static bool compare_entry(struct session_batch *b, struct session_entry *e)
{
    struct map_writer w;
    bool there = true;

    if (e->what == SESSION_ZERO && !b->disk->opts.incremental)
        return true;
    map_writer_init(&w, &b->runs);
    while (there && b->parent_chunk < e->count) {
        there = compare_chunk(b, e, e->chunk + b->parent_chunk, &w);
        b->parent_chunk += there;
    }
    if (!map_writer_end(&w))
        session_fail_at(b->session, ERR_NOMEM, "unchanged ranges");
    return there;
}

static bool compare_batch(struct session_batch *b)
{
    while (b->disk && b->parent_entry < b->count) {
        if (!compare_entry(b, &b->entry[b->parent_entry]))
            return false;
        b->parent_entry++;
        b->parent_chunk = 0;
    }
    return true;
}

/* --- the index ------------------------------------------------------- */

static void on_looked_up(struct index_op *op)
{
    struct session_batch *b = SESSION_OWNER(op, struct session_batch, lookup);

    /* An index that fails finds nothing, and what is found nowhere is stored.
     */
    b->state = BATCH_LOOKED_UP;
    session_release(b->session);
}

static void look_up(struct session_batch *b)
{
    struct session *s = b->session;
    uint64_t value;

    for (unsigned i = 0; i < b->count; i++) {
        struct session_entry *e = &b->entry[i];

        if (!has_bytes(e) || e->fate != SESSION_UNDECIDED ||
            session_table_find(s->stored, &e->id, &value))
            continue;
        b->which[b->asked] = (uint8_t)i;
        b->ids[b->asked++] = e->id;
    }
    if (!b->asked) {
        b->state = BATCH_LOOKED_UP;
        return;
    }
    b->state = BATCH_LOOKING_UP;
    b->lookup = (struct index_op){.verb = INDEX_LOOKUP,
                                  .loop = s->loop,
                                  .done = on_looked_up,
                                  .count = b->asked,
                                  .ids = b->ids,
                                  .places = b->places};
    s->busy++;
    index_start(s->opts.index, &b->lookup);
}

/* --- deciding -------------------------------------------------------- */

/* What the index says, where it may be used. */
static bool use_place(struct session *s, struct session_batch *b,
                      struct session_entry *e, const struct index_place *place)
{
    struct session_pack_ref ref = {.id = place->pack.id,
                                   .key_id = place->pack.key_id,
                                   .kind = place->pack.kind};

    if (place->slot == INDEX_UNKNOWN || place->pack.kind != b->kind ||
        bytes_all_zero(place->pack.key_id.b, 16))
        return false;
    e->ref.pack = session_number(s, &ref);
    e->ref.slot = place->slot;
    return e->ref.pack != MAP_ZERO && !session_condemned(s, e->ref);
}

static void decide_entry(struct session *s, struct session_batch *b,
                         struct session_entry *e,
                         const struct index_place *place)
{
    uint64_t value;

    if (session_table_find(s->stored, &e->id, &value)) {
        struct session_ref ref = {(uint32_t)(value >> 32), (uint32_t)value};

        if (value == PENDING) {
            e->fate = SESSION_EQUAL;
            s->figures.known += e->len;
            return;
        }
        if (!session_condemned(s, ref)) {
            e->fate = SESSION_REFER;
            e->ref = ref;
            s->figures.known += e->len;
            return;
        }
    }
    if (place && use_place(s, b, e, place)) {
        e->fate = SESSION_REFER;
        s->figures.known += e->len;
        return;
    }
    e->fate = SESSION_STORE;
    e->codec = PACK_LAYOUT_RAW;
    e->body = b->raw->data + e->at;
    e->body_len = e->len;
    if (!session_table_put(s->stored, &e->id, PENDING))
        session_fail_at(s, ERR_NOMEM, "table of chunks");
}

static void decide_batch(struct session *s, struct session_batch *b)
{
    unsigned asked = 0, store = 0;

    for (unsigned i = 0; i < b->count; i++) {
        struct session_entry *e = &b->entry[i];
        const struct index_place *place = NULL;

        if (asked < b->asked && b->which[asked] == i)
            place = &b->places[asked++];
        if (has_bytes(e) && e->fate == SESSION_UNDECIDED)
            decide_entry(s, b, e, place);
        store += e->fate == SESSION_STORE;
    }
    if (b->disk)
        map_sum_join(&b->disk->sum, &b->sum);
    if (!store)
        session_feed_give_raw(s, &b->raw);
    b->state = store && s->settings.zstd_level ? BATCH_DECIDED : BATCH_READY;
}

/* --- compressing, on a worker ---------------------------------------- */

/* Raw is kept unless compressing wins 3 %: zstd is given no more room. */
static void pack_entry(struct session_batch *b, struct session_entry *e,
                       ZSTD_CCtx *zstd)
{
    uint8_t *out = b->packed->data + e->at;
    size_t room = e->len - (e->len * 3 + 99) / 100;
    size_t got = ZSTD_compressCCtx(zstd, out, room, b->raw->data + e->at,
                                   e->len, b->session->settings.zstd_level);

    if (ZSTD_isError(got))
        return;
    e->codec = PACK_LAYOUT_ZSTD;
    e->body = out;
    e->body_len = (uint32_t)got;
}

static void run_packing(struct work *w)
{
    struct session_batch *b = SESSION_OWNER(w, struct session_batch, work);
    struct session_tool *tool = session_tools_take(b->session->opts.tools);

    for (unsigned i = b->pack_from; i < b->pack_to; i++)
        if (b->entry[i].fate == SESSION_STORE)
            pack_entry(b, &b->entry[i], tool->zstd);
    session_tools_give(b->session->opts.tools, tool);
}

/* A worker item takes less than 10 ms: fewer chunks at higher levels. */
static unsigned entries_per_item(int level)
{
    return level <= 3 ? SESSION_ENTRIES : level <= 5 ? 4 : level <= 8 ? 2 : 1;
}

static void pack_more(struct session_batch *b);

static void on_packed(struct work *w)
{
    struct session_batch *b = SESSION_OWNER(w, struct session_batch, work);
    struct session *s = b->session;
    bool raw = false, packed = false;

    b->pack_from = b->pack_to;
    if (b->pack_from < b->count && session_alive(s)) {
        pack_more(b);
        session_release(s);
        return;
    }
    for (unsigned i = 0; i < b->count; i++)
        if (b->entry[i].fate == SESSION_STORE) {
            raw |= b->entry[i].codec == PACK_LAYOUT_RAW;
            packed |= b->entry[i].codec != PACK_LAYOUT_RAW;
        }
    if (!raw)
        session_feed_give_raw(s, &b->raw);
    if (!packed)
        session_feed_give_packed(s, &b->packed);
    b->state = BATCH_READY;
    session_release(s);
}

static void pack_more(struct session_batch *b)
{
    b->pack_to =
        b->pack_from + entries_per_item(b->session->settings.zstd_level);
    if (b->pack_to > b->count)
        b->pack_to = b->count;
    b->work.run = run_packing;
    b->work.done = on_packed;
    b->session->busy++;
    work_start(b->session->loop, &b->work);
}

/* Slabs to compress into are given in order: the batch that is to be placed
 * next must not wait for one that others hold. */
static void start_packing(struct session *s)
{
    for (uint64_t seq = s->place; seq < s->decide; seq++) {
        struct session_batch *b = session_batch_at(s, seq);

        if (b->state != BATCH_DECIDED)
            continue;
        b->packed = session_feed_packed(s);
        if (!b->packed)
            return;
        b->state = BATCH_PACKING;
        pack_more(b);
    }
}

/* --- from the pump --------------------------------------------------- */

void session_chunks_go(struct session *s)
{
    for (; s->parental < s->next; s->parental++) {
        struct session_batch *b = session_batch_at(s, s->parental);

        if (b->state != BATCH_PARENT || !compare_batch(b))
            break;
        look_up(b);
    }
    for (; s->decide < s->parental; s->decide++) {
        struct session_batch *b = session_batch_at(s, s->decide);

        if (b->state != BATCH_LOOKED_UP)
            break;
        decide_batch(s, b);
    }
    start_packing(s);
}
