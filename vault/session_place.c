/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches in order: every chunk gets its place in a pack and in the map of its
 * disk, then workers seal it there. What one batch has unsealed lies in one
 * pack; a batch whose next slot belongs to another pack waits for its worker.
 */
#include "vault/session_inside.h"

/* --- sealing, on a worker -------------------------------------------- */

static void run_sealing(struct work *w)
{
    struct session_batch *b = SESSION_OWNER(w, struct session_batch, seal);
    struct session_tool *tool = session_tools_take(b->session->opts.tools);

    for (unsigned i = b->sealed; i < b->sealing && !b->failed; i++) {
        const struct session_entry *e = &b->entry[i];
        struct seal_slot_place place = {.slot = e->ref.slot,
                                        .chunk_id = e->id,
                                        .codec = e->codec,
                                        .raw_len = e->len};

        if (e->fate == SESSION_STORE)
            b->failed = !seal_slot_seal(tool->slots, &b->pack->key, &place,
                                        e->body, e->body_len, e->dest);
    }
    session_tools_give(b->session->opts.tools, tool);
}

static void on_sealed(struct work *w)
{
    struct session_batch *b = SESSION_OWNER(w, struct session_batch, seal);
    struct session *s = b->session;

    b->sealed = b->sealing;
    b->sealing = 0;
    if (b->failed)
        session_fail_at(s, ERR_NOMEM, "sealing");
    session_release(s);
}

/* The first entry that is not sealed and has to be; `placed`: none. */
static unsigned first_unsealed(const struct session_batch *b)
{
    unsigned i = b->sealed;

    while (i < b->placed && b->entry[i].fate != SESSION_STORE)
        i++;
    return i;
}

static void seal_batch(struct session_batch *b)
{
    if (b->sealing)
        return;
    b->sealed = first_unsealed(b);
    if (b->sealed == b->placed)
        return;
    b->sealing = b->placed;
    b->seal.run = run_sealing;
    b->seal.done = on_sealed;
    b->session->busy++;
    work_start(b->session->loop, &b->seal);
}

uint64_t session_place_sealed(const struct session *s,
                              const struct session_pack *p)
{
    /* In order: the first batch with something unsealed there decides. */
    for (uint64_t seq = s->first; seq <= s->place && seq < s->next; seq++) {
        const struct session_batch *b = &s->batch[seq % SESSION_BATCHES];
        unsigned i;

        if (b->pack != p || b->state < BATCH_READY)
            continue;
        i = first_unsealed(b);
        if (i < b->placed)
            return b->entry[i].offset;
    }
    return p->end;
}

/* --- places ---------------------------------------------------------- */

/* The runs of one unchanged entry, from where the last one ended. */
static void copy_runs(struct session_batch *b, const struct session_entry *e)
{
    struct map_reader r;
    struct map_run run;
    struct err err;

    map_reader_init(
        &r, (struct slice){b->runs.data + b->runs_at, b->runs.len - b->runs_at},
        e->count, MAP_ZERO);
    while (r.left && map_next(&r, &run, &err))
        map_writer_add(&b->disk->writer, run);
    b->runs_at = b->runs.len - r.rest.len;
}

/* What became of an entry goes into the map, or to whom it concerns. */
static void note_place(struct session_batch *b, const struct session_entry *e)
{
    struct session *s = b->session;
    struct map_run zero = {e->count, MAP_ZERO, 0};
    struct map_run run = {1, e->ref.pack, e->ref.slot};

    switch (e->what) {
    case SESSION_ZERO:
        map_writer_add(&b->disk->writer, zero);
        s->figures.zero += (uint64_t)e->count << b->disk->opts.log2_chunk;
        break;
    case SESSION_UNCHANGED:
        copy_runs(b, e);
        break;
    case SESSION_DATA:
        map_writer_add(&b->disk->writer, run);
        break;
    case SESSION_AGAIN:
        session_commit_again(s, e->before, e->ref);
        break;
    case SESSION_PAGE:
        session_commit_page(s, e->chunk, e->ref);
        break;
    }
}

/* The earlier one of two equal chunks has its place by now. */
static void take_equal(struct session *s, struct session_entry *e)
{
    uint64_t value = 0;

    session_table_find(s->stored, &e->id, &value);
    e->ref.pack = (uint32_t)(value >> 32);
    e->ref.slot = (uint32_t)value;
}

/* False: no pack takes it now, or this batch must be sealed first. */
static bool store_entry(struct session_batch *b, struct session_entry *e)
{
    struct session *s = b->session;
    struct session_pack *p =
        session_pack_for(s, b->kind, e->body_len + SEAL_SLOT_TAG);

    if (!p || (b->pack != p && first_unsealed(b) < b->placed))
        return false;
    if (b->pack != p) /* a worker may read it, sealing the others */
        b->pack = p;
    session_pack_place(p, e);
    if (e->what == SESSION_DATA)
        s->figures.fresh += e->len;
    else if (e->what == SESSION_AGAIN)
        s->figures.again += e->len;
    return true;
}

static bool place_batch(struct session_batch *b)
{
    for (; b->placed < b->count; b->placed++) {
        struct session_entry *e = &b->entry[b->placed];

        if (e->fate == SESSION_STORE && !store_entry(b, e))
            return false;
        if (e->fate == SESSION_EQUAL)
            take_equal(b->session, e);
        note_place(b, e);
    }
    return true;
}

/* --- from the pump --------------------------------------------------- */

static void free_batches(struct session *s)
{
    for (uint64_t seq = s->first; seq < s->place; seq++) {
        struct session_batch *b = session_batch_at(s, seq);

        if (b->state != BATCH_PLACED || b->sealing ||
            first_unsealed(b) < b->placed)
            continue;
        session_feed_give_raw(s, &b->raw);
        session_feed_give_packed(s, &b->packed);
        buf_fini(&b->runs);
        b->pack = NULL;
        b->state = BATCH_FREE;
        s->pump_again = true; /* somebody may wait for its slabs */
    }
    while (s->first < s->place &&
           session_batch_at(s, s->first)->state == BATCH_FREE)
        s->first++;
}

void session_place_go(struct session *s)
{
    for (; s->place < s->next; s->place++) {
        struct session_batch *b = session_batch_at(s, s->place);

        if (b->state != BATCH_READY || !place_batch(b))
            break;
        b->state = BATCH_PLACED;
    }
    for (uint64_t seq = s->first; seq <= s->place && seq < s->next; seq++) {
        struct session_batch *b = session_batch_at(s, seq);

        if (b->state >= BATCH_READY)
            seal_batch(b);
    }
    free_batches(s);
}
