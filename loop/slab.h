/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop/slab.h - data buffers of one size, kept for re-use by one loop.
 *
 * Memory is mapped, page-aligned and left out of core dumps. The caller has
 * reserved the bytes in the budget before it takes a slab; free ones that are
 * kept come on top of the budget. One loop's thread.
 */
#ifndef CAIRN_LOOP_SLAB_H
#define CAIRN_LOOP_SLAB_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct slab_room;

struct slab {
    uint8_t *data; /* `size` bytes, contents undefined */
    size_t size;
    size_t len;    /* bytes in use: the user's to keep */
    struct slab_room *room;
    struct slab *next;
};

/* How many free slabs several rooms, of as many loops, may keep together. A
 * plain value {.max = n}; it outlives the rooms. */
struct slab_keep {
    size_t max;
    atomic_size_t kept;
};

/* Slabs of `size` bytes each; at most keep_max free ones are kept mapped.
 * NULL: out of memory. */
struct slab_room *slab_room_new(size_t size, size_t keep_max);

/* Keep only what `keep` allows too. Before the first slab. */
void slab_room_share(struct slab_room *room, struct slab_keep *keep);

/* All slabs must have been given back. NULL: nothing. */
void slab_room_free(struct slab_room *room);

/* len is 0. NULL: out of memory. */
struct slab *slab_take(struct slab_room *room);
/* NULL: nothing. */
void slab_give(struct slab *slab);

#endif
