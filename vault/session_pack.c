/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs under way: places for slots, parts and their hashes, toc and tail.
 *
 *   FILLING --(full, or _close)--> CLOSING: zeros up to the toc; all slots
 *   sealed and hashed --> digest, toc, tail --> ENDING: these are appended;
 *   the rest is session_send.c's.
 *
 * A slot may run over the end of its part: parts are sent whole, so what runs
 * over lies behind the part in the same slab and is copied to the next part
 * when it is sealed. With the memory of one part alone the next part takes over
 * the slab of the one that was sent, or filed.
 */
#include "vault/session_inside.h"

#include <stdlib.h>
#include <string.h>

#include "vault/sealed.h"

#define SLOTS_BEGIN 1024u

/* --- memory of parts ------------------------------------------------- */

/* The reserved part, or a further one that is reserved whole. */
struct slab *session_pack_slab(struct session *s, bool *extra)
{
    struct slab *slab;

    *extra = s->floor_part_out;
    if (*extra && (s->parts_held >= s->parts_max ||
                   !session_feed_reserve(s, STORE_PART_BYTES)))
        return NULL;
    slab = slab_take(s->opts.part_room);
    if (!slab) {
        if (*extra)
            budget_give(s->opts.budget, s->opts.tenant, STORE_PART_BYTES);
        session_fail_at(s, ERR_NOMEM, "part buffers");
        return NULL;
    }
    if (!*extra)
        s->floor_part_out = true;
    s->parts_held++;
    session_feed_note_peak(s);
    return slab;
}

static void give_slab(struct session_part *part)
{
    struct session *s = part->pack->session;

    if (!part->slab)
        return;
    slab_give(part->slab);
    part->slab = NULL;
    s->parts_held--;
    if (part->extra)
        budget_give(s->opts.budget, s->opts.tenant, STORE_PART_BYTES);
    else
        s->floor_part_out = false;
}

static uint64_t overflow(const struct session_part *part)
{
    return part->len > STORE_PART_BYTES ? part->len - STORE_PART_BYTES : 0;
}

/* The slab of a part that is away is kept while what runs over it has not
 * been copied. */
void session_pack_part_away(struct session_part *part)
{
    if (!overflow(part) || (part->next && part->next->carried))
        give_slab(part);
}

void session_pack_part_sent(struct session_part *part)
{
    part->sent = true;
    session_pack_part_away(part);
    session_spill_drop(part);
    seal_digest_free(part->sha);
    part->sha = NULL;
}

/* The next part's first bytes, as soon as they are sealed. */
static void carry(struct session *s, struct session_part *before)
{
    struct session_part *part = before->next;

    if (!part || part->carried ||
        session_place_sealed(s, part->pack) < part->begin + overflow(before))
        return;
    memcpy(part->slab->data, before->slab->data + STORE_PART_BYTES,
           overflow(before));
    part->carried = true;
    if (session_part_is_away(before)) {
        give_slab(before);
        s->pump_again = true; /* somebody may wait for it */
    }
}

/* A further part behind the last one, or NULL: not now. */
static struct session_part *add_part(struct session_pack *p)
{
    struct session *s = p->session;
    struct session_part *before = p->last_part;
    struct session_part *part = calloc(1, sizeof(*part));

    if (part)
        part->sha = seal_digest_new(s->suite, SEAL_DIGEST_SHA256);
    if (!part || !part->sha) {
        session_fail_at(s, ERR_NOMEM, "part");
        goto none;
    }
    part->pack = p;
    part->number = p->part_count + 1;
    if (before) {
        part->begin = before->begin + STORE_PART_BYTES;
        part->len = overflow(before);
    }
    if (before && before->slab && session_part_is_away(before)) {
        /* What is away was sealed: the end of it too. */
        part->slab = before->slab;
        part->extra = before->extra;
        before->slab = NULL;
        memmove(part->slab->data, part->slab->data + STORE_PART_BYTES,
                part->len);
        part->carried = true;
    } else {
        part->slab = session_pack_slab(s, &part->extra);
        part->carried = !part->len;
    }
    session_spill_want(s, !part->slab);
    if (!part->slab)
        goto none;
    if (before)
        before->next = part;
    else
        p->parts = part;
    p->last_part = part;
    p->part_count++;
    return part;
none:
    if (part)
        seal_digest_free(part->sha);
    free(part);
    return NULL;
}

/* The part that takes the next byte, or NULL: not now. */
static struct session_part *current_part(struct session_pack *p)
{
    if (p->last_part && !session_part_full(p->last_part))
        return p->last_part;
    return add_part(p);
}

/* --- beginning ------------------------------------------------------- */

void session_pack_free(struct session_pack *p)
{
    while (p->parts) {
        struct session_part *next = p->parts->next;

        session_spill_drop(p->parts);
        give_slab(p->parts);
        seal_digest_free(p->parts->sha);
        free(p->parts);
        p->parts = next;
    }
    seal_key_fini(&p->key);
    buf_fini(&p->tail);
    free(p->entries);
    free(p);
}

static enum err_code write_header(struct session_pack *p, struct err *err)
{
    struct session *s = p->session;
    bool map = p->kind == SEAL_SLOT_MAP;
    const struct keyring_key *key =
        keyring_current(s->keys, map ? SEAL_KEY_META : SEAL_KEY_DATA);
    struct seal_slot_header header;

    if (seal_slot_header_new(p->kind, &key->id, &header, err) != ERR_OK ||
        seal_slot_header_write(s->suite, &key->key, keyring_vault_id(s->keys),
                               &header, p->last_part->slab->data, &p->key,
                               err) != ERR_OK)
        return err->code;
    p->last_part->len = p->end = SEAL_SLOT_HEADER;
    p->key_id = key->id;
    p->number =
        session_number(s, &(struct session_pack_ref){.id = header.pack_id,
                                                     .key_id = key->id,
                                                     .kind = (uint16_t)p->kind,
                                                     .ours = true});
    name_pack(map ? NAME_MAP : NAME_PACK, &header.pack_id, p->name);
    return p->number == MAP_ZERO ? err_set(err, ERR_NOMEM, 0, "pack") : ERR_OK;
}

static struct session_pack *begin_pack(struct session *s,
                                       enum seal_slot_kind kind)
{
    struct session_pack *p = calloc(1, sizeof(*p));
    struct err err;

    if (!p) {
        session_fail_at(s, ERR_NOMEM, "pack");
        return NULL;
    }
    p->session = s;
    p->kind = kind;
    p->toc_offset = UINT64_MAX;
    buf_init(&p->tail, 4 * MIB);
    p->entries = malloc(SLOTS_BEGIN * PACK_LAYOUT_ENTRY);
    p->slots_room = SLOTS_BEGIN;
    if (!p->entries) {
        session_fail_at(s, ERR_NOMEM, "pack");
    } else if (add_part(p)) {
        if (write_header(p, &err) == ERR_OK) {
            struct session_pack **at = &s->packs;

            while (*at) /* the oldest goes out first */
                at = &(*at)->next;
            *at = p;
            s->open = p;
            s->spill.turns = SESSION_SPILL_TURNS;
            return p;
        }
        session_fail(s, &err);
    }
    session_pack_free(p);
    return NULL;
}

static bool fits(const struct session_pack *p, uint32_t stored)
{
    if (!p->slots) /* one slot fits any pack */
        return true;
    return p->slots < PACK_LAYOUT_SLOTS_MAX &&
           pack_layout_bytes(p->end + stored, p->slots + 1) <=
               p->session->settings.pack_bytes;
}

static bool room_for_entry(struct session_pack *p)
{
    uint32_t room = p->slots_room ? 2 * p->slots_room : SLOTS_BEGIN;
    uint8_t *more;

    if (p->slots < p->slots_room)
        return true;
    more = realloc(p->entries, (size_t)room * PACK_LAYOUT_ENTRY);
    if (!more) {
        session_fail_at(p->session, ERR_NOMEM, "pack");
        return false;
    }
    p->entries = more;
    p->slots_room = room;
    return true;
}

struct session_pack *session_pack_for(struct session *s,
                                      enum seal_slot_kind kind, uint32_t stored)
{
    /* Only one is open at a time: two half-filled parts might be all the
     * memory there is. */
    if (s->open && (s->open->kind != kind || !fits(s->open, stored)))
        session_pack_close(s);
    if (!s->open && (session_spill_first(s) || !begin_pack(s, kind)))
        return NULL;
    if (!room_for_entry(s->open) || !current_part(s->open))
        return NULL;
    return s->open;
}

void session_pack_place(struct session_pack *p, struct session_entry *e)
{
    struct session *s = p->session;
    struct session_part *part = p->last_part;
    struct pack_slot slot = {.id = e->id,
                             .stored = e->body_len + SEAL_SLOT_TAG,
                             .raw = e->len,
                             .codec = e->codec};

    e->ref.pack = p->number;
    e->ref.slot = p->slots;
    e->offset = p->end;
    e->dest = part->slab->data + (p->end - part->begin);
    pack_layout_put_entry(p->entries + (size_t)p->slots * PACK_LAYOUT_ENTRY,
                          &slot);
    p->slots++;
    p->end += slot.stored;
    part->len += slot.stored;
    /* It was put when it was decided on: there is room. */
    session_table_put(s->stored, &e->id,
                      (uint64_t)e->ref.pack << 32 | e->ref.slot);
}

/* --- closing --------------------------------------------------------- */

void session_pack_close(struct session *s)
{
    struct session_pack *p = s->open;
    uint64_t toc;

    if (!p)
        return;
    toc = seal_stream_bytes(PACK_LAYOUT_TOC_HEAD +
                            (uint64_t)p->slots * PACK_LAYOUT_ENTRY);
    p->zeros = pack_layout_pad(p->end, toc);
    p->toc_offset = p->end + p->zeros;
    p->state = PACK_CLOSING;
    s->open = NULL;
    s->pump_again = true;
}

/* Bytes behind what is there; as far as there are parts. Nothing may be under
 * way just then: what was appended has to be hashed in a next turn. */
static uint64_t append(struct session_pack *p, const uint8_t *data,
                       uint64_t len)
{
    uint64_t done = 0;

    while (done < len) {
        struct session_part *part = current_part(p);
        uint64_t n = len - done;

        if (!part)
            break;
        if (n > STORE_PART_BYTES - part->len)
            n = STORE_PART_BYTES - part->len;
        if (data)
            memcpy(part->slab->data + part->len, data + done, n);
        else
            memset(part->slab->data + part->len, 0, n);
        part->len += n;
        p->end += n;
        done += n;
    }
    p->session->pump_again |= done > 0;
    return done;
}

static enum err_code build_tail(struct session_pack *p, struct err *err)
{
    struct session *s = p->session;
    struct pack_tail tail = {.toc_offset = p->toc_offset, .slots = p->slots};
    struct buf toc;
    uint8_t *raw;

    if (!seal_pieces_of(s->suite, (const uint8_t(*)[32])p->hashes, p->pieces,
                        tail.digest))
        return err_set(err, ERR_NOMEM, 0, "%s", p->name);
    buf_init(&toc, 4 * MIB);
    if (!pack_layout_put_toc(&toc, tail.digest, p->entries, p->slots))
        err_set(err, ERR_NOMEM, 0, "%s", p->name);
    else
        sealed_make(s->keys, SEAL_STREAM_TOC, p->name,
                    (struct slice){toc.data, toc.len}, &p->tail, err);
    buf_fini(&toc);
    if (err->code != ERR_OK)
        return err->code;
    tail.toc_bytes = (uint32_t)p->tail.len;
    raw = buf_extend(&p->tail, PACK_LAYOUT_TAIL);
    if (!raw)
        return err_set(err, ERR_NOMEM, 0, "%s", p->name);
    pack_layout_put_tail(raw, &tail);
    return ERR_OK;
}

static void close_more(struct session_pack *p)
{
    struct err err = {0};

    p->zeros -= append(p, NULL, p->zeros);
    if (p->zeros ||
        p->pieces < (p->toc_offset + STORE_PART_BYTES - 1) / STORE_PART_BYTES)
        return;
    if (build_tail(p, &err) != ERR_OK) {
        session_fail(p->session, &err);
        return;
    }
    p->state = PACK_ENDING;
    p->session->pump_again = true;
}

static void end_more(struct session_pack *p)
{
    if (p->last_part->last)
        return;
    p->tail_at +=
        append(p, p->tail.data + p->tail_at, p->tail.len - p->tail_at);
    if (p->tail_at == p->tail.len) {
        p->last_part->last = true;
        buf_fini(&p->tail); /* the pack may stay for long */
        p->session->pump_again = true;
    }
}

/* --- hashing --------------------------------------------------------- */

static void run_hash(struct work *w)
{
    struct session_part *part = SESSION_OWNER(w, struct session_part, work);

    seal_digest_add(part->sha, part->slab->data + part->hashed,
                    part->hash_bytes);
}

static void on_hash(struct work *w)
{
    struct session_part *part = SESSION_OWNER(w, struct session_part, work);

    part->hashing = false;
    part->hashed += part->hash_bytes;
    session_release(part->pack->session);
}

/* How far a part may be hashed now. The hash stands still at the toc until the
 * digest's last piece has been taken from it. */
static uint64_t hash_limit(const struct session_part *part)
{
    const struct session_pack *p = part->pack;
    uint64_t sealed = session_place_sealed(p->session, p);
    uint64_t end =
        part->begin + (session_part_full(part) ? STORE_PART_BYTES : part->len);

    if (!part->carried)
        return part->hashed;
    if (end > sealed)
        end = sealed;
    if (p->state == PACK_CLOSING && end > p->toc_offset)
        end = p->toc_offset;
    return end > part->begin ? end - part->begin : 0;
}

/* The last piece of the digest ends at the toc, in the middle of a part. */
static void cut_piece(struct session_part *part)
{
    struct session_pack *p = part->pack;
    struct session *s = p->session;
    uint64_t at = p->toc_offset - part->begin;

    if (p->state != PACK_CLOSING || p->toc_offset <= part->begin ||
        at >= STORE_PART_BYTES || part->hashed != at ||
        p->pieces != part->number - 1)
        return;
    seal_digest_copy(s->digest, part->sha);
    if (!seal_digest_end(s->digest, p->hashes[p->pieces]))
        session_fail_at(s, ERR_NOMEM, p->name);
    p->pieces++;
}

static void finish_part(struct session_part *part)
{
    struct session_pack *p = part->pack;

    if (!seal_digest_end(part->sha, part->sha256))
        session_fail_at(p->session, ERR_NOMEM, p->name);
    part->complete = true;
    if (part->begin + STORE_PART_BYTES <= p->toc_offset &&
        session_part_full(part)) {
        memcpy(p->hashes[part->number - 1], part->sha256, 32);
        p->pieces++;
    }
}

static void hash_part(struct session_part *part)
{
    struct session *s = part->pack->session;
    bool full = session_part_full(part);
    uint64_t limit, n;

    if (part->hashing || part->complete || !part->slab)
        return;
    limit = hash_limit(part);
    n = limit - part->hashed;
    /* Whole pieces, but at the end of a part and at the toc. */
    if (n > SESSION_PIECE)
        n = SESSION_PIECE;
    if (n == SESSION_PIECE ||
        (n && (part->pack->state != PACK_FILLING || full))) {
        part->hash_bytes = n;
        part->hashing = true;
        part->work.run = run_hash;
        part->work.done = on_hash;
        s->busy++;
        work_start(s->loop, &part->work);
        return;
    }
    cut_piece(part);
    if (part->hashed == (full ? STORE_PART_BYTES : part->len) &&
        (full || part->last))
        finish_part(part);
}

/* --- from the pump --------------------------------------------------- */

void session_pack_go(struct session *s)
{
    for (struct session_pack *p = s->packs; p; p = p->next) {
        if (p->state > PACK_ENDING)
            continue;
        for (struct session_part *part = p->parts; part; part = part->next) {
            carry(s, part);
            hash_part(part);
        }
        if (p->state == PACK_CLOSING)
            close_more(p);
        if (p->state == PACK_ENDING)
            end_more(p);
    }
}
