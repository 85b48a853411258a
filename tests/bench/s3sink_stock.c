/* SPDX-License-Identifier: Apache-2.0 */
#include "s3sink.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ROUND ((size_t)1 << 20)
#define WARM_PIECE ((size_t)16 << 20)

/* Small bodies share nothing with this: malloc is good enough for them. */
static bool is_small(size_t room)
{
    return room < ROUND;
}

static uint8_t *map(const struct stock *s, size_t room)
{
    void *at;
    int fd;

    if (s->folder < 0) {
        at = mmap(NULL, room, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at != MAP_FAILED)
            madvise(at, room, MADV_HUGEPAGE);
        return at == MAP_FAILED ? NULL : at;
    }
    fd = openat(s->folder, ".", O_TMPFILE | O_RDWR, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)room) < 0)
        return NULL;
    at = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return at == MAP_FAILED ? NULL : at;
}

struct piece *stock_piece(struct stock *s, size_t len)
{
    size_t room = len < ROUND ? len + 1 : (len + ROUND - 1) / ROUND * ROUND;
    struct piece *p;

    for (struct piece **at = &s->idle; *at; at = &(*at)->next) {
        if ((*at)->room != room)
            continue;
        p = *at;
        *at = p->next;
        p->next = NULL;
        p->len = len;
        return p;
    }
    p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->len = len;
    p->room = room;
    if (s->keep) {
        p->data = is_small(room) ? malloc(room) : map(s, room);
        if (!p->data) {
            free(p);
            return NULL;
        }
    }
    return p;
}

void stock_give(struct stock *s, struct piece *pieces)
{
    while (pieces) {
        struct piece *p = pieces;

        pieces = p->next;
        if (p->data && !is_small(p->room)) {
            p->next = s->idle;
            s->idle = p;
            continue;
        }
        free(p->data);
        free(p);
    }
}

bool stock_warm(struct stock *s, uint64_t bytes)
{
    struct piece *all = NULL;
    bool ok = true;

    for (uint64_t at = 0; ok && s->keep && at < bytes; at += WARM_PIECE) {
        struct piece *p = stock_piece(s, WARM_PIECE);

        ok = p != NULL;
        if (!ok)
            break;
        memset(p->data, 1, WARM_PIECE);
        p->next = all;
        all = p;
    }
    stock_give(s, all);
    return ok;
}

size_t stock_place(const struct stock *s, const char *key)
{
    size_t lo = 0, hi = s->count;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (strcmp(s->objects[mid]->key, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct object *stock_find(const struct stock *s, const char *key)
{
    size_t i = stock_place(s, key);

    if (i < s->count && strcmp(s->objects[i]->key, key) == 0)
        return s->objects[i];
    return NULL;
}

struct object *stock_hold(struct object *o)
{
    o->holders++;
    return o;
}

void stock_drop(struct stock *s, struct object *o)
{
    if (!o || --o->holders)
        return;
    stock_give(s, o->pieces);
    free(o->key);
    free(o);
}

static struct object *new_object(struct stock *s, const char *key)
{
    struct object *o = calloc(1, sizeof(*o));

    if (!o)
        return NULL;
    o->key = strdup(key);
    if (!o->key) {
        free(o);
        return NULL;
    }
    o->modified_s = (uint64_t)time(NULL);
    o->number = ++s->next_number;
    o->holders = 1;
    return o;
}

static bool make_room(struct stock *s)
{
    size_t room = s->room ? 2 * s->room : 1024;
    struct object **more;

    if (s->count < s->room)
        return true;
    more = realloc(s->objects, room * sizeof(struct object *));
    if (!more)
        return false;
    s->objects = more;
    s->room = room;
    return true;
}

struct object *stock_put(struct stock *s, const char *key, struct piece *pieces)
{
    struct object *o = new_object(s, key);
    size_t i;

    if (!o || !make_room(s)) {
        stock_drop(s, o);
        stock_give(s, pieces);
        return NULL;
    }
    o->pieces = pieces;
    for (struct piece *p = pieces; p; p = p->next)
        o->bytes += p->len;
    i = stock_place(s, key);
    if (i < s->count && strcmp(s->objects[i]->key, key) == 0) {
        stock_drop(s, s->objects[i]);
    } else {
        memmove(&s->objects[i + 1], &s->objects[i],
                (s->count - i) * sizeof(struct object *));
        s->count++;
    }
    s->objects[i] = o;
    return o;
}

void stock_remove(struct stock *s, const char *key)
{
    size_t i = stock_place(s, key);

    if (i == s->count || strcmp(s->objects[i]->key, key) != 0)
        return;
    stock_drop(s, s->objects[i]);
    memmove(&s->objects[i], &s->objects[i + 1],
            (s->count - i - 1) * sizeof(struct object *));
    s->count--;
}

/* ---- uploads ---- */

struct upload *stock_begin(struct stock *s, const char *key)
{
    struct upload *up = calloc(1, sizeof(*up));

    if (!up)
        return NULL;
    up->key = strdup(key);
    if (!up->key) {
        free(up);
        return NULL;
    }
    up->id = ++s->next_number;
    up->begun_s = (uint64_t)time(NULL);
    up->next = s->uploads;
    s->uploads = up;
    return up;
}

struct upload *stock_upload(const struct stock *s, const char *key,
                            const char *id)
{
    uint64_t number = strtoull(id, NULL, 10);

    for (struct upload *up = s->uploads; up; up = up->next)
        if (up->id == number && strcmp(up->key, key) == 0)
            return up;
    return NULL;
}

bool stock_part(struct stock *s, struct upload *up, unsigned number,
                struct piece *piece)
{
    if (number > up->room) {
        unsigned room = up->room ? up->room : 16;
        struct piece **more;

        while (room < number)
            room *= 2;
        more = realloc(up->parts, room * sizeof(struct piece *));
        if (!more) {
            stock_give(s, piece);
            return false;
        }
        memset(more + up->room, 0, (room - up->room) * sizeof(struct piece *));
        up->parts = more;
        up->room = room;
    }
    stock_give(s, up->parts[number - 1]);
    up->parts[number - 1] = piece;
    return true;
}

static void forget(struct stock *s, struct upload *up)
{
    struct upload **at = &s->uploads;

    while (*at != up)
        at = &(*at)->next;
    *at = up->next;
    free(up->parts);
    free(up->key);
    free(up);
}

struct object *stock_complete(struct stock *s, struct upload *up)
{
    struct piece *first = NULL, **tail = &first;
    struct object *o;
    bool over = false;

    for (unsigned i = 0; i < up->room; i++) {
        if (over && up->parts[i])
            return NULL;
        over = over || !up->parts[i];
    }
    for (unsigned i = 0; i < up->room && up->parts[i]; i++) {
        *tail = up->parts[i];
        tail = &up->parts[i]->next;
    }
    if (!first)
        return NULL;
    o = stock_put(s, up->key, first);
    forget(s, up);
    return o;
}

void stock_abort(struct stock *s, struct upload *up)
{
    for (unsigned i = 0; i < up->room; i++)
        stock_give(s, up->parts[i]);
    forget(s, up);
}
