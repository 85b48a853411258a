/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/session_table.h"

#include <stdlib.h>
#include <string.h>

struct cell {
    struct id16 id;
    uint64_t value;
    bool used;
};

struct session_table {
    struct cell *cell;
    size_t room; /* a power of two, or 0 */
    size_t count;
};

struct session_table *session_table_new(void)
{
    return calloc(1, sizeof(struct session_table));
}

void session_table_free(struct session_table *t)
{
    if (!t)
        return;
    free(t->cell);
    free(t);
}

static size_t home(const struct id16 *id, size_t room)
{
    return (size_t)bytes_get_u64(id->b) & (room - 1);
}

static size_t place(const struct cell *cell, size_t room, const struct id16 *id)
{
    size_t i = home(id, room);

    while (cell[i].used && !id16_equal(&cell[i].id, id))
        i = (i + 1) & (room - 1);
    return i;
}

bool session_table_find(const struct session_table *t, const struct id16 *id,
                        uint64_t *value)
{
    size_t i;

    if (!t->count)
        return false;
    i = place(t->cell, t->room, id);
    if (!t->cell[i].used)
        return false;
    *value = t->cell[i].value;
    return true;
}

static bool grow(struct session_table *t)
{
    size_t room = t->room ? 2 * t->room : 256;
    struct cell *cell = calloc(room, sizeof(*cell));

    if (!cell)
        return false;
    for (size_t i = 0; i < t->room; i++)
        if (t->cell[i].used)
            cell[place(cell, room, &t->cell[i].id)] = t->cell[i];
    free(t->cell);
    t->cell = cell;
    t->room = room;
    return true;
}

bool session_table_put(struct session_table *t, const struct id16 *id,
                       uint64_t value)
{
    size_t i;

    if (t->count + 1 > t->room / 2 && !grow(t))
        return false;
    i = place(t->cell, t->room, id);
    if (!t->cell[i].used) {
        t->cell[i].used = true;
        t->cell[i].id = *id;
        t->count++;
    }
    t->cell[i].value = value;
    return true;
}

/* What follows is moved up, so that no search ends too early. */
void session_table_drop(struct session_table *t, const struct id16 *id)
{
    size_t hole, i, mask = t->room - 1;

    if (!t->count)
        return;
    hole = place(t->cell, t->room, id);
    if (!t->cell[hole].used)
        return;
    for (i = (hole + 1) & mask; t->cell[i].used; i = (i + 1) & mask) {
        size_t from_home = (i - home(&t->cell[i].id, t->room)) & mask;

        if (from_home >= ((i - hole) & mask)) {
            t->cell[hole] = t->cell[i];
            hole = i;
        }
    }
    t->cell[hole].used = false;
    t->count--;
}

size_t session_table_count(const struct session_table *t)
{
    return t->count;
}
