/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fault_op.h"

#include <stdlib.h>

/* ---- the bucket ---- */

struct store_fault_bucket *store_fault_bucket_new(void)
{
    return calloc(1, sizeof(struct store_fault_bucket));
}

void store_fault_upload_free(struct fault_upload *up)
{
    for (unsigned i = 0; i < PARTS_MAX; i++)
        free(up->parts[i].data);
    free(up->object.data);
    free(up);
}

void store_fault_bucket_free(struct store_fault_bucket *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->count; i++)
        free(b->objects[i].data);
    free(b->objects);
    while (b->uploads) {
        struct fault_upload *up = b->uploads;

        b->uploads = up->next;
        store_fault_upload_free(up);
    }
    free(b);
}

/* Where the name is, or would be. */
static size_t place_of(const struct store_fault_bucket *b, const char *name)
{
    size_t lo = 0, hi = b->count;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (strcmp(b->objects[mid].name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct object *store_fault_find(const struct store_fault_bucket *b,
                                const char *name)
{
    size_t i = place_of(b, name);

    if (i < b->count && strcmp(b->objects[i].name, name) == 0)
        return &b->objects[i];
    return NULL;
}

/* Takes o->data. */
bool store_fault_insert(struct store_fault_bucket *b, const struct object *o)
{
    struct object *old = store_fault_find(b, o->name);
    size_t i;

    if (old) {
        free(old->data);
        *old = *o;
        return true;
    }
    if (b->count == b->room) {
        size_t room = b->room ? 2 * b->room : 64;
        struct object *more = realloc(b->objects, room * sizeof(*more));

        if (!more)
            return false;
        b->objects = more;
        b->room = room;
    }
    i = place_of(b, o->name);
    memmove(&b->objects[i + 1], &b->objects[i],
            (b->count - i) * sizeof(*b->objects));
    b->objects[i] = *o;
    b->count++;
    return true;
}

bool store_fault_drop(struct store_fault_bucket *b, const char *name)
{
    struct object *o = store_fault_find(b, name);
    size_t i;

    if (!o)
        return false;
    i = (size_t)(o - b->objects);
    free(o->data);
    memmove(o, o + 1, (b->count - i - 1) * sizeof(*o));
    b->count--;
    return true;
}

const uint8_t *store_fault_peek(const struct store_fault_bucket *b,
                                const char *name, size_t *len)
{
    const struct object *o = store_fault_find(b, name);

    if (!o)
        return NULL;
    *len = o->len;
    return o->data;
}

bool store_fault_poke(struct store_fault_bucket *b, const char *name,
                      const void *data, size_t len, uint64_t modified_ms)
{
    struct object o = {.len = len, .modified_ms = modified_ms};

    snprintf(o.name, sizeof(o.name), "%s", name);
    o.data = malloc(len + 1);
    if (!o.data)
        return false;
    if (len)
        memcpy(o.data, data, len);
    if (store_fault_insert(b, &o))
        return true;
    free(o.data);
    return false;
}

bool store_fault_damage(struct store_fault_bucket *b, const char *name,
                        uint64_t offset, uint8_t mask)
{
    struct object *o = store_fault_find(b, name);

    if (!o || offset >= o->len)
        return false;
    o->data[offset] ^= mask;
    return true;
}

bool store_fault_rename(struct store_fault_bucket *b, const char *from,
                        const char *to)
{
    const struct object *o = store_fault_find(b, from);

    return o && store_fault_poke(b, to, o->data, o->len, o->modified_ms) &&
           store_fault_drop(b, from);
}

const char *store_fault_name(const struct store_fault_bucket *b, size_t i)
{
    return i < b->count ? b->objects[i].name : NULL;
}

size_t store_fault_objects(const struct store_fault_bucket *b)
{
    return b->count;
}

size_t store_fault_uploads(const struct store_fault_bucket *b)
{
    size_t n = 0;

    for (const struct fault_upload *up = b->uploads; up; up = up->next)
        n++;
    return n;
}

uint64_t store_fault_retained_ms(const struct store_fault_bucket *b,
                                 const char *name)
{
    const struct object *o = store_fault_find(b, name);

    return o ? o->retain_until_ms : 0;
}

struct fault_upload **store_fault_slot(struct store_fault_bucket *b,
                                       const char *id)
{
    struct fault_upload **at = &b->uploads;

    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->next;
    return at;
}
