/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/list_set.h"

#include <stdlib.h>
#include <string.h>

#include "vault/name.h"

/* What the last list that names a point says of it. */
struct verdict {
    char point[NAME_POINT_BYTES];
    char list[NAME_TEXT];
    bool restored;
};

struct list_set {
    struct condemned *condemned;
    char (*lists)[NAME_TEXT]; /* taken in; sorted */
    size_t count, room;
    uint64_t latest_ms;
    struct verdict *verdicts; /* sorted by point */
    size_t verdict_count, verdict_room;
};

struct list_set *list_set_new(void)
{
    struct list_set *set = calloc(1, sizeof(*set));

    if (!set)
        return NULL;
    set->condemned = condemned_new();
    if (!set->condemned) {
        free(set);
        return NULL;
    }
    return set;
}

void list_set_free(struct list_set *set)
{
    if (!set)
        return;
    condemned_free(set->condemned);
    free(set->lists);
    free(set->verdicts);
    free(set);
}

const struct condemned *list_set_condemned(const struct list_set *set)
{
    return set->condemned;
}

size_t list_set_count(const struct list_set *set)
{
    return set->count;
}

uint64_t list_set_latest_ms(const struct list_set *set)
{
    return set->latest_ms;
}

/* Where a list stands or would stand. */
static size_t place_of_list(const struct list_set *set, const char *name,
                            bool *there)
{
    size_t low = 0, high = set->count;

    *there = false;
    while (low < high && !*there) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(set->lists[mid], name);

        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
            *there = order == 0;
        }
    }
    return *there ? high : low;
}

bool list_set_has(const struct list_set *set, const char *name)
{
    bool there;

    place_of_list(set, name, &there);
    return there;
}

static size_t place_of_point(const struct list_set *set, const char *point,
                             bool *there)
{
    size_t low = 0, high = set->verdict_count;

    *there = false;
    while (low < high && !*there) {
        size_t mid = low + (high - low) / 2;
        int order = memcmp(set->verdicts[mid].point, point, NAME_POINT_BYTES);

        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
            *there = order == 0;
        }
    }
    return *there ? high : low;
}

enum list_verdict list_set_point(const struct list_set *set, const char *point,
                                 uint64_t *list_ms)
{
    const struct verdict *v;
    struct name n;
    bool there = false;
    size_t i;

    if (list_ms)
        *list_ms = 0;
    if (strlen(point) != NAME_POINT_BYTES)
        return LIST_SAYS_NOTHING;
    i = place_of_point(set, point, &there);
    if (!there)
        return LIST_SAYS_NOTHING;
    v = &set->verdicts[i];
    if (list_ms && name_parse(v->list, &n))
        *list_ms = n.time_ms;
    return v->restored ? LIST_SAYS_RESTORED : LIST_SAYS_REMOVED;
}

/* Twice as many elements of a growing array, from 16 on. */
static bool grow(void *array, size_t *room, size_t need, size_t size)
{
    size_t more = *room ? *room : 16;
    void *p;

    if (need <= *room)
        return true;
    while (more < need)
        more *= 2;
    memcpy(&p, array, sizeof(p));
    p = realloc(p, more * size);
    if (!p)
        return false;
    memcpy(array, &p, sizeof(p));
    *room = more;
    return true;
}

/* Room was made before. */
static void decide(struct list_set *set, const char *point, const char *list,
                   bool restored)
{
    bool there;
    size_t i = place_of_point(set, point, &there);
    struct verdict *v = &set->verdicts[i];

    if (!there) {
        memmove(v + 1, v, (set->verdict_count - i) * sizeof(*v));
        set->verdict_count++;
        memcpy(v->point, point, NAME_POINT_BYTES);
        v->list[0] = 0;
    }
    if (strcmp(v->list, list) < 0) {
        memcpy(v->list, list, strlen(list) + 1);
        v->restored = restored;
    }
}

static void decide_all(struct list_set *set, struct slice names,
                       const char *list, bool restored)
{
    for (size_t at = 0; at + NAME_POINT_BYTES <= names.len;
         at += NAME_POINT_BYTES)
        decide(set, (const char *)names.data + at, list, restored);
}

static enum err_code add_condemned(struct list_set *set, const struct list *l,
                                   struct err *err)
{
    for (size_t i = 0; i < l->packs; i++) {
        const struct list_pack *p = &l->pack[i];

        if (!p->ranges &&
            condemned_add(set->condemned, &p->id, 0, 0, err) != ERR_OK)
            return err->code;
        for (size_t k = 0; k < p->ranges; k++)
            if (condemned_add(set->condemned, &p->id, p->range[k].first,
                              p->range[k].count, err) != ERR_OK)
                return err->code;
    }
    return ERR_OK;
}

static void remember(struct list_set *set, const char *name,
                     const struct name *n)
{
    bool there;
    size_t i = place_of_list(set, name, &there);

    memmove(set->lists + i + 1, set->lists + i,
            (set->count - i) * sizeof(*set->lists));
    memcpy(set->lists[i], name, strlen(name) + 1);
    set->count++;
    if (n->time_ms > set->latest_ms)
        set->latest_ms = n->time_ms;
}

enum err_code list_set_add(struct list_set *set, const struct keyring *keys,
                           const char *name, const void *sealed, size_t len,
                           struct err *err)
{
    struct list *l = NULL;
    struct name n;
    size_t names;

    if (!name_parse(name, &n) || n.kind != NAME_LIST)
        return err_set(err, ERR_ARGUMENT, 0, "%s: not a list's name", name);
    if (list_set_has(set, name))
        return ERR_OK;
    if (list_open(keys, name, sealed, len, &l, err) != ERR_OK)
        return err->code;
    names = (l->removed.len + l->restored.len) / NAME_POINT_BYTES;
    if (!grow(&set->lists, &set->room, set->count + 1, sizeof(*set->lists)) ||
        !grow(&set->verdicts, &set->verdict_room, set->verdict_count + names,
              sizeof(*set->verdicts)))
        err_set(err, ERR_NOMEM, 0, "%s", name);
    /* Condemned slots of a list that fails half-way stay: it was proved. */
    else if (add_condemned(set, l, err) == ERR_OK) {
        decide_all(set, l->removed, name, false);
        decide_all(set, l->restored, name, true);
        remember(set, name, &n);
        list_free(l);
        return ERR_OK;
    }
    list_free(l);
    return err->code;
}
