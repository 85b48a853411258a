/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "vault/verify_inside.h"

static struct verify_pack **bucket_of(struct verify *v, const struct id16 *id)
{
    return &v->packs[bytes_get_u32(id->b) % VERIFY_BUCKETS];
}

struct verify_pack *verify_pack_find(struct verify *v, const struct id16 *id,
                                     enum seal_slot_kind kind)
{
    struct verify_pack *p = *bucket_of(v, id);

    while (p && (p->kind != kind || !id16_equal(&p->id, id)))
        p = p->bucket;
    return p;
}

struct verify_pack *verify_pack_get(struct verify *v, const struct id16 *id,
                                    enum seal_slot_kind kind)
{
    struct verify_pack **bucket = bucket_of(v, id);
    struct verify_pack *p = verify_pack_find(v, id, kind);

    if (p)
        return p;
    p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->id = *id;
    p->kind = kind;
    p->bucket = *bucket;
    *bucket = p;
    return p;
}

static void drop_slots(struct verify *v, struct verify_pack *p)
{
    if (p->slot)
        v->slot_bytes -= p->slots * sizeof(*p->slot);
    free(p->slot);
    p->slot = NULL;
}

void verify_pack_free_all(struct verify *v)
{
    for (unsigned i = 0; i < VERIFY_BUCKETS; i++)
        while (v->packs[i]) {
            struct verify_pack *p = v->packs[i];

            v->packs[i] = p->bucket;
            drop_slots(v, p);
            free(p->bad);
            free(p);
        }
}

/* Let go of tables, the longest unused first, until `need` more fit. */
static void make_room(struct verify *v, uint64_t need)
{
    while (v->slot_bytes && v->slot_bytes + need > v->slot_bytes_max) {
        struct verify_pack *oldest = NULL;

        for (unsigned i = 0; i < VERIFY_BUCKETS; i++)
            for (struct verify_pack *p = v->packs[i]; p; p = p->bucket)
                if (p->slot && (!oldest || p->used < oldest->used))
                    oldest = p;
        if (!oldest)
            return;
        drop_slots(v, oldest);
    }
}

bool verify_pack_load(struct verify *v, struct verify_pack *p,
                      const struct pack_table *t)
{
    uint64_t bytes = t->slots * sizeof(*p->slot);

    p->used = ++v->clock;
    if (!p->slot) {
        make_room(v, bytes);
        p->slot = calloc(t->slots + 1, sizeof(*p->slot));
        if (!p->slot)
            return false;
        p->slots = t->slots;
        v->slot_bytes += bytes;
    }
    /* Generations have the same slots, less what was dropped. */
    for (uint32_t i = 0; i < t->slots && i < p->slots; i++)
        if (t->slot[i].stored) {
            p->slot[i].id = t->slot[i].id;
            p->slot[i].raw = t->slot[i].raw;
        }
    return true;
}

/* Does this object vouch for the slot? *j: in `bad`, for rising slots. */
static bool vouches(const struct pack_table *t, uint32_t slot,
                    const uint32_t *bad, size_t bads, size_t *j)
{
    while (*j < bads && bad[*j] < slot)
        ++*j;
    return slot < t->slots && t->slot[slot].stored &&
           !(*j < bads && bad[*j] == slot);
}

/* The first object: what it does not vouch for others may. */
static bool note_first(struct verify_pack *p, const struct pack_table *t,
                       const uint32_t *bad, size_t bads, bool doubtful)
{
    size_t count = 0, j = 0;

    for (uint32_t i = 0; i < t->slots; i++)
        count += doubtful || !vouches(t, i, bad, bads, &j);
    p->bads_known = true;
    if (!count)
        return true;
    p->bad = malloc(count * sizeof(*p->bad));
    if (!p->bad)
        return false;
    j = 0;
    for (uint32_t i = 0; i < t->slots; i++)
        if (doubtful || !vouches(t, i, bad, bads, &j))
            p->bad[p->bads++] = i;
    return true;
}

/* One more object: what it vouches for is bad no longer. */
static void keep_common(struct verify_pack *p, const struct pack_table *t,
                        const uint32_t *bad, size_t bads)
{
    size_t kept = 0, j = 0;

    for (size_t i = 0; i < p->bads; i++)
        if (!vouches(t, p->bad[i], bad, bads, &j))
            p->bad[kept++] = p->bad[i];
    p->bads = kept;
}

bool verify_pack_add(struct verify *v, struct verify_pack *p,
                     const struct pack_table *t, const uint32_t *bad,
                     size_t bads, bool doubtful)
{
    p->opened++;
    p->doubtful += doubtful;
    if (!p->bads_known) {
        if (!note_first(p, t, bad, bads, doubtful))
            return false;
    } else if (!doubtful) {
        keep_common(p, t, bad, bads);
    }
    if (t->has_header) {
        p->key_id = t->header.key_id;
        p->has_key_id = true;
    }
    return verify_pack_load(v, p, t);
}

bool verify_pack_is_bad(const struct verify_pack *p, uint32_t slot)
{
    size_t low = 0, high = p->bads;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (p->bad[mid] == slot)
            return true;
        if (p->bad[mid] < slot)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

const char *verify_pack_fault(const struct verify_pack *p,
                              const struct id16 *key, uint32_t slot,
                              uint64_t bytes)
{
    if (!p || !p->listed)
        return "the pack is not there";
    if (!p->opened)
        return "no object of the pack opens";
    if (p->has_key_id && !id16_equal(&p->key_id, key))
        return "the pack is sealed under another key than the point says";
    if (slot >= p->slots || !p->slot[slot].raw)
        return "it is not there, or was dropped";
    if (p->slot[slot].raw != bytes)
        return "it has another length than the disk's chunk";
    if (!verify_pack_is_bad(p, slot))
        return NULL;
    return p->doubtful ? "the pack's digest is wrong" : "it does not open";
}
