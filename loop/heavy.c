/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   ASKING --granted--> ON_LANE --> OVER (done)
 *      \---cancel, no memory, queue full---^
 */
#include "loop/heavy.h"

#include <stddef.h>
#include <string.h>

enum heavy_state { HEAVY_ASKING, HEAVY_ON_LANE, HEAVY_OVER };

static void give_back(struct heavy *h)
{
    if (h->granted)
        budget_give(h->place.budget, h->need.tenant, h->need.bytes);
    h->granted = false;
}

static void on_over(struct mail *mail)
{
    struct heavy *h =
        (struct heavy *)((char *)mail - offsetof(struct heavy, mail));

    h->done(h, &h->err);
}

/* It will not run. */
static void end_later(struct heavy *h, enum err_code code, const char *why)
{
    give_back(h);
    h->state = HEAVY_OVER;
    err_set(&h->err, code, 0, "%s", why);
    h->mail.deliver = on_over;
    loop_send(h->loop, &h->mail);
}

static void on_run(struct lane_item *item)
{
    struct heavy *h =
        (struct heavy *)((char *)item - offsetof(struct heavy, item));

    h->run(h);
}

static void on_ran(struct lane_item *item)
{
    struct heavy *h =
        (struct heavy *)((char *)item - offsetof(struct heavy, item));

    h->state = HEAVY_OVER;
    give_back(h);
    h->done(h, &h->err);
}

static void go(struct heavy *h)
{
    h->item.run = on_run;
    h->item.done = on_ran;
    h->item.loop = h->loop;
    h->state = HEAVY_ON_LANE;
    if (!lane_start(h->place.lane, &h->item))
        end_later(h, ERR_AGAIN, "too much of this kind is under way just now");
}

static void on_granted(struct budget_need *need)
{
    struct heavy *h =
        (struct heavy *)((char *)need - offsetof(struct heavy, need));

    h->granted = true;
    if (h->state == HEAVY_ASKING)
        go(h);
    else /* the grant was on its way when it was cancelled */
        end_later(h, ERR_CANCELLED, "cancelled");
}

void heavy_start(struct heavy *h, const struct heavy_place *place)
{
    h->place = *place;
    h->granted = false;
    err_clear(&h->err);
    if (!place->budget) {
        go(h);
        return;
    }
    h->state = HEAVY_ASKING;
    memset(&h->need, 0, sizeof(h->need));
    h->need.tenant = place->tenant;
    h->need.bytes = h->bytes < budget_total(place->budget)
                        ? h->bytes
                        : budget_total(place->budget);
    h->need.loop = h->loop;
    h->need.granted = on_granted;
    if (!budget_ask(place->budget, &h->need))
        end_later(h, ERR_NOMEM, "out of memory");
}

void heavy_cancel(struct heavy *h)
{
    if (h->state != HEAVY_ASKING)
        return;
    h->state = HEAVY_OVER;
    if (budget_withdraw(h->place.budget, &h->need))
        end_later(h, ERR_CANCELLED, "cancelled");
}
