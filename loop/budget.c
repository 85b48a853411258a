/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Needs of one tenant form a list; the first of each list is a member of the
 * ring of tenants that wait. `turn` is where the ring is served next. A need
 * that does not fit is passed over once, if there is anybody else; when its
 * turn comes again the ring stands still until it fits.
 */
#include "loop/budget.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

enum need_state { NEED_IDLE, NEED_WAITING, NEED_GRANTED };

struct budget {
    uint64_t total;
    uv_mutex_t lock; /* guards what follows */
    uint64_t used, peak;
    struct budget_need *turn;
};

struct budget *budget_new(uint64_t bytes)
{
    struct budget *b = calloc(1, sizeof(*b));

    if (!b)
        return NULL;
    if (uv_mutex_init(&b->lock) < 0) {
        free(b);
        return NULL;
    }
    b->total = bytes;
    return b;
}

void budget_free(struct budget *b)
{
    if (!b)
        return;
    assert(b->used == 0 && !b->turn);
    uv_mutex_destroy(&b->lock);
    free(b);
}

uint64_t budget_total(const struct budget *b)
{
    return b->total;
}

static uint64_t read_locked(struct budget *b, const uint64_t *member)
{
    uint64_t value;

    uv_mutex_lock(&b->lock);
    value = *member;
    uv_mutex_unlock(&b->lock);
    return value;
}

uint64_t budget_used(struct budget *b)
{
    return read_locked(b, &b->used);
}

uint64_t budget_peak(struct budget *b)
{
    return read_locked(b, &b->peak);
}

static bool take(struct budget *b, uint64_t bytes)
{
    if (bytes > b->total - b->used)
        return false;
    b->used += bytes;
    if (b->used > b->peak)
        b->peak = b->used;
    return true;
}

bool budget_try(struct budget *b, uint64_t bytes)
{
    bool taken;

    uv_mutex_lock(&b->lock);
    taken = !b->turn && take(b, bytes);
    uv_mutex_unlock(&b->lock);
    return taken;
}

/* The first need waiting for this tenant, or NULL. */
static struct budget_need *find_first(struct budget *b, uint64_t tenant)
{
    struct budget_need *n = b->turn;

    while (n && n->tenant != tenant) {
        n = n->ring_next;
        if (n == b->turn)
            return NULL;
    }
    return n;
}

static void enqueue(struct budget *b, struct budget_need *need)
{
    struct budget_need *first = find_first(b, need->tenant);

    need->next = NULL;
    need->passed = false;
    if (first) {
        first->last->next = need;
        first->last = need;
        return;
    }
    need->last = need;
    if (!b->turn) {
        need->ring_next = need->ring_prev = need;
        b->turn = need;
        return;
    }
    /* A new tenant's turn is the last of all. */
    need->ring_next = b->turn;
    need->ring_prev = b->turn->ring_prev;
    need->ring_prev->ring_next = need;
    b->turn->ring_prev = need;
}

/* Take a tenant's first need out; its second, if any, gets the place. */
static void dequeue_first(struct budget *b, struct budget_need *need)
{
    struct budget_need *heir = need->next;
    bool alone = need->ring_next == need;

    if (heir) {
        heir->last = need->last;
        heir->ring_next = alone ? heir : need->ring_next;
        heir->ring_prev = alone ? heir : need->ring_prev;
        heir->ring_next->ring_prev = heir;
        heir->ring_prev->ring_next = heir;
    } else if (!alone) {
        need->ring_next->ring_prev = need->ring_prev;
        need->ring_prev->ring_next = need->ring_next;
    }
    if (b->turn == need)
        b->turn = heir ? heir : alone ? NULL : need->ring_next;
}

static void dequeue(struct budget *b, struct budget_need *need)
{
    struct budget_need *first = find_first(b, need->tenant);

    if (first == need) {
        dequeue_first(b, need);
        return;
    }
    for (struct budget_need *n = first; n; n = n->next) {
        if (n->next == need) {
            n->next = need->next;
            if (first->last == need)
                first->last = n;
            return;
        }
    }
    assert(false); /* not waiting in this budget */
}

static void serve(struct budget *b)
{
    while (b->turn) {
        struct budget_need *need = b->turn;
        struct budget_need *after = need->ring_next;

        if (take(b, need->bytes)) {
            dequeue_first(b, need);
            /* To the next tenant: not to a second need of the same one. */
            if (after != need)
                b->turn = after;
            need->state = NEED_GRANTED;
            loop_send(need->loop, &need->mail);
        } else if (!need->passed && after != need) {
            need->passed = true;
            b->turn = after;
        } else {
            return;
        }
    }
}

static void on_granted(struct mail *mail)
{
    struct budget_need *need =
        (struct budget_need *)((char *)mail -
                               offsetof(struct budget_need, mail));

    need->granted(need);
}

void budget_ask(struct budget *b, struct budget_need *need)
{
    assert(need->bytes <= b->total && need->loop && need->granted);
    uv_mutex_lock(&b->lock);
    assert(need->state != NEED_WAITING);
    need->state = NEED_WAITING;
    need->mail.deliver = on_granted;
    enqueue(b, need);
    serve(b);
    uv_mutex_unlock(&b->lock);
}

bool budget_withdraw(struct budget *b, struct budget_need *need)
{
    bool withdrawn;

    uv_mutex_lock(&b->lock);
    withdrawn = need->state != NEED_GRANTED;
    if (need->state == NEED_WAITING) {
        dequeue(b, need);
        need->state = NEED_IDLE;
        serve(b); /* it may have held up the ring */
    }
    uv_mutex_unlock(&b->lock);
    return withdrawn;
}

void budget_give(struct budget *b, uint64_t bytes)
{
    uv_mutex_lock(&b->lock);
    assert(bytes <= b->used);
    b->used -= bytes;
    serve(b);
    uv_mutex_unlock(&b->lock);
}
