/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/slab.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#endif

#define HUGE_PAGE ((size_t)2 << 20)

struct slab_room {
    size_t size;
    size_t mapped_size; /* size in whole pages */
    size_t keep_max;
    size_t kept;
    size_t taken;
    struct slab_keep *keep; /* NULL: shared with nobody */
    struct slab *free;
};

struct slab_room *slab_room_new(size_t size, size_t keep_max)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct slab_room *room;

    if (size == 0 || size > SIZE_MAX / 2)
        return NULL;
    room = calloc(1, sizeof(*room));
    if (!room)
        return NULL;
    room->size = size;
    room->mapped_size = (size + page - 1) / page * page;
    room->keep_max = keep_max;
    return room;
}

void slab_room_share(struct slab_room *room, struct slab_keep *keep)
{
    assert(room->kept == 0);
    room->keep = keep;
}

static bool may_keep(struct slab_room *room)
{
    if (room->kept == room->keep_max)
        return false;
    if (room->keep && atomic_fetch_add(&room->keep->kept, 1) >=
                          room->keep->max) {
        atomic_fetch_sub(&room->keep->kept, 1);
        return false;
    }
    room->kept++;
    return true;
}

/* The first of the free ones, which is kept no more. */
static struct slab *unkeep(struct slab_room *room)
{
    struct slab *slab = room->free;

    room->free = slab->next;
    room->kept--;
    if (room->keep)
        atomic_fetch_sub(&room->keep->kept, 1);
    return slab;
}

static void unmap(struct slab_room *room, struct slab *slab)
{
    ASAN_UNPOISON_MEMORY_REGION(slab->data, room->mapped_size);
    munmap(slab->data, room->mapped_size);
    free(slab);
}

void slab_room_free(struct slab_room *room)
{
    if (!room)
        return;
    assert(room->taken == 0);
    while (room->free)
        unmap(room, unkeep(room));
    free(room);
}

static struct slab *map(struct slab_room *room)
{
    struct slab *slab = calloc(1, sizeof(*slab));
    void *data;

    if (!slab)
        return NULL;
    data = mmap(NULL, room->mapped_size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
        free(slab);
        return NULL;
    }
    madvise(data, room->mapped_size, MADV_DONTDUMP); /* customers' data */
    if (room->mapped_size >= HUGE_PAGE) /* touched from end to end anyway */
        madvise(data, room->mapped_size, MADV_HUGEPAGE);
    slab->data = data;
    slab->size = room->size;
    slab->room = room;
    return slab;
}

struct slab *slab_take(struct slab_room *room)
{
    struct slab *slab = room->free ? unkeep(room) : map(room);

    if (!slab)
        return NULL;
    ASAN_UNPOISON_MEMORY_REGION(slab->data, slab->size);
    slab->next = NULL;
    slab->len = 0;
    room->taken++;
    return slab;
}

void slab_give(struct slab *slab)
{
    struct slab_room *room;

    if (!slab)
        return;
    room = slab->room;
    assert(room->taken > 0);
    room->taken--;
    if (!may_keep(room)) {
        unmap(room, slab);
        return;
    }
    ASAN_POISON_MEMORY_REGION(slab->data, slab->size);
    slab->next = room->free;
    room->free = slab;
}
