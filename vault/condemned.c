/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/condemned.h"

#include <stdlib.h>
#include <string.h>

/*
 * Packs in a table of open addressing; their first bytes are random, so they
 * serve as the hash. Ranges of one pack: sorted, apart from each other.
 */
struct range {
    uint32_t first, end;
};

struct pack {
    struct id16 id;
    bool used, whole;
    uint32_t count, room;
    struct range *range;
};

struct condemned {
    struct pack *table;
    size_t room; /* a power of two, or 0 */
    size_t packs;
};

struct condemned *condemned_new(void)
{
    return calloc(1, sizeof(struct condemned));
}

void condemned_free(struct condemned *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->room; i++)
        free(c->table[i].range);
    free(c->table);
    free(c);
}

static struct pack *slot_of(struct pack *table, size_t room,
                            const struct id16 *id)
{
    size_t i = (size_t)bytes_get_u64(id->b) & (room - 1);

    while (table[i].used && !id16_equal(&table[i].id, id))
        i = (i + 1) & (room - 1);
    return &table[i];
}

static const struct pack *find(const struct condemned *c, const struct id16 *id)
{
    const struct pack *p;

    if (!c->packs)
        return NULL;
    p = slot_of(c->table, c->room, id);
    return p->used ? p : NULL;
}

static bool grow(struct condemned *c)
{
    size_t room = c->room ? 2 * c->room : 16;
    struct pack *table = calloc(room, sizeof(*table));

    if (!table)
        return false;
    for (size_t i = 0; i < c->room; i++)
        if (c->table[i].used)
            *slot_of(table, room, &c->table[i].id) = c->table[i];
    free(c->table);
    c->table = table;
    c->room = room;
    return true;
}

/* Join [first, end) into the pack's ranges. */
static bool join(struct pack *p, uint32_t first, uint32_t end)
{
    uint32_t from = 0, to;

    while (from < p->count && p->range[from].end < first)
        from++;
    to = from; /* ranges [from, to) touch the new one */
    while (to < p->count && p->range[to].first <= end)
        to++;
    if (from == to && p->count == p->room) {
        uint32_t room = p->room ? 2 * p->room : 4;
        struct range *more = realloc(p->range, room * sizeof(*more));

        if (!more)
            return false;
        p->range = more;
        p->room = room;
    }
    if (from < to) {
        if (p->range[from].first < first)
            first = p->range[from].first;
        if (p->range[to - 1].end > end)
            end = p->range[to - 1].end;
    }
    memmove(p->range + from + 1, p->range + to,
            (p->count - to) * sizeof(*p->range));
    p->count = p->count - (to - from) + 1;
    p->range[from] = (struct range){first, end};
    return true;
}

enum err_code condemned_add(struct condemned *c, const struct id16 *pack,
                            uint32_t first, uint32_t count, struct err *err)
{
    struct pack *p;
    bool is_new;

    if (c->packs + 1 > c->room / 2 && !grow(c))
        return err_set(err, ERR_NOMEM, 0, "condemned packs");
    p = slot_of(c->table, c->room, pack);
    is_new = !p->used;
    if (count && !p->whole && !join(p, first, first + count))
        return err_set(err, ERR_NOMEM, 0, "condemned slots");
    if (!count)
        p->whole = true;
    if (is_new) {
        p->id = *pack;
        p->used = true;
        c->packs++;
    }
    return ERR_OK;
}

bool condemned_hits(const struct condemned *c, const struct id16 *pack,
                    uint32_t first, uint32_t count, uint32_t *hit_first,
                    uint32_t *hit_count)
{
    const struct pack *p = find(c, pack);
    uint32_t end = first + count, low = 0, high;

    if (!p || !count)
        return false;
    if (p->whole) {
        *hit_first = first;
        *hit_count = count;
        return true;
    }
    high = p->count;
    while (low < high) { /* the first range that ends after `first` */
        uint32_t mid = low + (high - low) / 2;

        if (p->range[mid].end <= first)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == p->count || p->range[low].first >= end)
        return false;
    if (p->range[low].first > first)
        first = p->range[low].first;
    if (p->range[low].end < end)
        end = p->range[low].end;
    *hit_first = first;
    *hit_count = end - first;
    return true;
}

bool condemned_has(const struct condemned *c, const struct id16 *pack,
                   uint32_t slot)
{
    uint32_t first, count;

    return condemned_hits(c, pack, slot, 1, &first, &count);
}

size_t condemned_packs(const struct condemned *c)
{
    return c->packs;
}
