/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What later points remember of earlier ones: one that is gone although nothing
 * says that it was removed.
 */
#include <stdlib.h>
#include <string.h>

#include "vault/verify_inside.h"

#define TIDY_BYTES (64 * KIB) /* not worth it for less */

static int compare_names(const void *a, const void *b)
{
    return memcmp(a, b, NAME_POINT_BYTES);
}

static bool has_name(const struct buf *sorted, const uint8_t *name)
{
    return sorted->len &&
           bsearch(name, sorted->data, sorted->len / NAME_POINT_BYTES,
                   NAME_POINT_BYTES, compare_names);
}

static void sort_names(struct buf *names)
{
    if (names->len)
        qsort(names->data, names->len / NAME_POINT_BYTES, NAME_POINT_BYTES,
              compare_names);
}

/* Each name once. */
static void tidy(struct verify *v)
{
    struct buf *names = &v->rosters;
    size_t kept = 0;

    sort_names(names);
    for (size_t at = 0; at < names->len; at += NAME_POINT_BYTES) {
        const uint8_t *name = names->data + at;

        if (kept && compare_names(names->data + kept - NAME_POINT_BYTES,
                                  name) == 0)
            continue;
        memmove(names->data + kept, name, NAME_POINT_BYTES);
        kept += NAME_POINT_BYTES;
    }
    names->len = v->rosters_tidy = kept;
}

/* Every point remembers all that were before it: kept as they come, these
 * would be the square of a vault's points. */
bool verify_roster_note(struct verify *v, struct slice names)
{
    if (v->point[0])
        return true; /* nobody will look */
    for (size_t at = 0; at < names.len; at += NAME_POINT_BYTES)
        if (!has_name(&v->points, names.data + at) &&
            !buf_add(&v->rosters, names.data + at, NAME_POINT_BYTES))
            return false;
    if (v->rosters.len > 2 * v->rosters_tidy + TIDY_BYTES)
        tidy(v);
    return true;
}

void verify_roster_check(struct verify *v)
{
    char name[NAME_POINT_BYTES + 1] = "", before[NAME_POINT_BYTES + 1] = "";
    struct err err;

    /* Which points were removed is known only with all lists at hand. */
    if (v->point[0] || v->bad_lists)
        return;
    sort_names(&v->rosters);
    sort_names(&v->replaced);
    for (size_t at = 0; at < v->rosters.len; at += NAME_POINT_BYTES) {
        memcpy(name, v->rosters.data + at, NAME_POINT_BYTES);
        if (strcmp(name, before) == 0)
            continue;
        memcpy(before, name, sizeof(name));
        if (has_name(&v->points, (const uint8_t *)name) ||
            has_name(&v->replaced, (const uint8_t *)name) ||
            list_set_point(v->lists, name, NULL) == LIST_SAYS_REMOVED)
            continue;
        err_set(&err, ERR_NOT_FOUND, 0,
                "%s: a later point names it, nothing says that it was removed, "
                "and it is not there",
                name);
        verify_find(v, name, true, &err);
    }
}
