/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/catalog_call.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

struct catalog_call_door {
    struct loop *loop;
    struct lane *lane;
    struct catalog *catalog;
    struct catalog_call *first, **last; /* the lane was full */
    unsigned in_lane;
    unsigned waiting;
};

static struct catalog_call *call_of(struct lane_item *item)
{
    return (struct catalog_call *)((char *)item -
                                   offsetof(struct catalog_call, item));
}

enum err_code catalog_call_door_new(struct loop *loop, struct lane *lane,
                                    struct catalog *catalog,
                                    struct catalog_call_door **out,
                                    struct err *err)
{
    struct catalog_call_door *door = calloc(1, sizeof(*door));

    if (!door)
        return err_set(err, ERR_NOMEM, 0, "catalog");
    door->loop = loop;
    door->lane = lane;
    door->catalog = catalog;
    door->last = &door->first;
    *out = door;
    return ERR_OK;
}

void catalog_call_door_free(struct catalog_call_door *door)
{
    if (!door)
        return;
    assert(door->in_lane == 0 && door->waiting == 0);
    free(door);
}

unsigned catalog_call_pending(const struct catalog_call_door *door)
{
    return door->in_lane + door->waiting;
}

static void on_lane(struct lane_item *item)
{
    struct catalog_call *call = call_of(item);

    err_clear(&call->err);
    call->run(call, call->door->catalog, &call->err);
    catalog_rollback(call->door->catalog);
}

static void on_back(struct lane_item *item);

/* Into the lane, or behind those who wait for it. */
static bool hand_over(struct catalog_call_door *door,
                      struct catalog_call *call)
{
    call->item.run = on_lane;
    call->item.done = on_back;
    call->item.loop = door->loop;
    if (!lane_start(door->lane, &call->item))
        return false;
    door->in_lane++;
    return true;
}

static void on_back(struct lane_item *item)
{
    struct catalog_call *call = call_of(item);
    struct catalog_call_door *door = call->door;
    struct err err = call->err;

    door->in_lane--;
    while (door->first) {
        struct catalog_call *next = door->first;

        /* Once handed over its memory may be on its way back already. */
        struct catalog_call *behind = next->next;

        if (!hand_over(door, next))
            break;
        door->waiting--;
        door->first = behind;
        if (!behind)
            door->last = &door->first;
    }
    call->done(call, &err);
}

void catalog_call_start(struct catalog_call_door *door,
                        struct catalog_call *call)
{
    call->door = door;
    call->next = NULL;
    if (!door->first && hand_over(door, call))
        return;
    *door->last = call;
    door->last = &call->next;
    door->waiting++;
}
