/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tenant that holds something or waits has an account; those that wait form
 * a list. Who is next is looked for in that list at each grant: it is as long
 * as there are tenants with jobs at once.
 */
#include "loop/budget.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#define BUCKETS 256u

enum need_state { NEED_IDLE, NEED_WAITING, NEED_GRANTED };

struct budget_account {
    uint64_t tenant, held;
    uint64_t since; /* stamp of when it began to wait or was last served */
    struct budget_need *first, *last;      /* what waits, in order */
    struct budget_account *next;           /* in the bucket */
    struct budget_account *prev, *waiting; /* in the list of those that wait */
};

struct budget {
    uint64_t total, keep;
    uv_mutex_t lock; /* guards what follows */
    uint64_t used, peak, stamp;
    struct budget_account *bucket[BUCKETS];
    struct budget_account *first; /* of those that wait */
};

struct budget *budget_new(uint64_t bytes, uint64_t keep)
{
    struct budget *b = calloc(1, sizeof(*b));

    if (!b)
        return NULL;
    if (uv_mutex_init(&b->lock) < 0) {
        free(b);
        return NULL;
    }
    b->total = bytes;
    b->keep = keep;
    return b;
}

void budget_free(struct budget *b)
{
    if (!b)
        return;
    assert(b->used == 0 && !b->first);
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

/* --- accounts: all under the lock ---------------------------------------- */

static struct budget_account **account_link(struct budget *b, uint64_t tenant)
{
    struct budget_account **link = &b->bucket[tenant % BUCKETS];

    while (*link && (*link)->tenant != tenant)
        link = &(*link)->next;
    return link;
}

/* NULL: out of memory. */
static struct budget_account *account_get(struct budget *b, uint64_t tenant)
{
    struct budget_account **link = account_link(b, tenant);

    if (!*link) {
        *link = calloc(1, sizeof(**link));
        if (*link)
            (*link)->tenant = tenant;
    }
    return *link;
}

static void account_drop_if_idle(struct budget *b, struct budget_account *a)
{
    if (a->held || a->first)
        return;
    *account_link(b, a->tenant) = a->next;
    free(a);
}

uint64_t budget_held(struct budget *b, uint64_t tenant)
{
    const struct budget_account *a;
    uint64_t held;

    uv_mutex_lock(&b->lock);
    a = *account_link(b, tenant);
    held = a ? a->held : 0;
    uv_mutex_unlock(&b->lock);
    return held;
}

static bool take(struct budget *b, struct budget_account *a, uint64_t bytes)
{
    if (bytes > b->total - b->used)
        return false;
    b->used += bytes;
    a->held += bytes;
    if (b->used > b->peak)
        b->peak = b->used;
    return true;
}

bool budget_try(struct budget *b, uint64_t tenant, uint64_t bytes,
                uint64_t leave)
{
    struct budget_account *a;
    bool taken = false;

    uv_mutex_lock(&b->lock);
    if (!b->first && bytes <= b->total - b->used &&
        leave <= b->total - b->used - bytes) {
        a = account_get(b, tenant);
        taken = a && take(b, a, bytes);
    }
    uv_mutex_unlock(&b->lock);
    return taken;
}

/* --- who waits ----------------------------------------------------------- */

static void enqueue(struct budget *b, struct budget_account *a,
                    struct budget_need *need)
{
    need->account = a;
    need->next = NULL;
    need->passed = false;
    if (a->first) {
        a->last->next = need;
        a->last = need;
        return;
    }
    a->first = a->last = need;
    a->since = ++b->stamp;
    a->prev = NULL;
    a->waiting = b->first;
    if (b->first)
        b->first->prev = a;
    b->first = a;
}

/* The account stays, also when it has become idle. */
static void dequeue(struct budget *b, struct budget_need *need)
{
    struct budget_account *a = need->account;
    struct budget_need **link = &a->first, *before = NULL;

    while (*link != need) {
        before = *link;
        link = &before->next;
    }
    *link = need->next;
    if (a->last == need)
        a->last = before;
    if (a->first)
        return;
    if (a->prev)
        a->prev->waiting = a->waiting;
    else
        b->first = a->waiting;
    if (a->waiting)
        a->waiting->prev = a->prev;
}

static bool is_before(const struct budget_account *a,
                      const struct budget_account *other)
{
    return a->held != other->held ? a->held < other->held
                                  : a->since < other->since;
}

static bool fits(const struct budget *b, const struct budget_account *a)
{
    uint64_t left = b->total - b->used, bytes = a->first->bytes;

    return bytes <= left && (a->held == 0 || left - bytes >= b->keep);
}

/* Who is next among those that were not served since `stamp`. */
static struct budget_account *find_next(struct budget *b,
                                        const struct budget_account *but,
                                        uint64_t stamp)
{
    struct budget_account *best = NULL;

    for (struct budget_account *a = b->first; a; a = a->waiting)
        if (a != but && a->since <= stamp && fits(b, a) &&
            (!best || is_before(a, best)))
            best = a;
    return best;
}

static void grant(struct budget *b, struct budget_account *a)
{
    struct budget_need *need = a->first;

    take(b, a, need->bytes);
    dequeue(b, need);
    a->since = ++b->stamp;
    need->state = NEED_GRANTED;
    loop_send(need->loop, &need->mail);
}

static void serve(struct budget *b)
{
    while (b->first) {
        struct budget_account *head = b->first, *other;
        uint64_t stamp = b->stamp;

        for (struct budget_account *a = head->waiting; a; a = a->waiting)
            if (is_before(a, head))
                head = a;
        if (fits(b, head)) {
            grant(b, head);
            continue;
        }
        /* It does not fit: the others pass it once, if there are any. */
        if (!head->first->passed && b->first->waiting) {
            head->first->passed = true;
            while ((other = find_next(b, head, stamp)))
                grant(b, other);
        }
        return;
    }
}

static void on_granted(struct mail *mail)
{
    struct budget_need *need =
        (struct budget_need *)((char *)mail -
                               offsetof(struct budget_need, mail));

    need->granted(need);
}

bool budget_ask(struct budget *b, struct budget_need *need)
{
    struct budget_account *a;

    assert(need->bytes <= b->total && need->loop && need->granted);
    uv_mutex_lock(&b->lock);
    assert(need->state != NEED_WAITING);
    a = account_get(b, need->tenant);
    if (a) {
        need->state = NEED_WAITING;
        need->mail.deliver = on_granted;
        enqueue(b, a, need);
        serve(b);
    }
    uv_mutex_unlock(&b->lock);
    return a;
}

bool budget_withdraw(struct budget *b, struct budget_need *need)
{
    bool withdrawn;

    uv_mutex_lock(&b->lock);
    withdrawn = need->state != NEED_GRANTED;
    if (need->state == NEED_WAITING) {
        dequeue(b, need);
        account_drop_if_idle(b, need->account);
        need->state = NEED_IDLE;
        serve(b); /* it may have held up the others */
    }
    uv_mutex_unlock(&b->lock);
    return withdrawn;
}

void budget_give(struct budget *b, uint64_t tenant, uint64_t bytes)
{
    struct budget_account *a;

    uv_mutex_lock(&b->lock);
    a = *account_link(b, tenant);
    assert(bytes == 0 || (a && bytes <= a->held));
    if (a) {
        b->used -= bytes;
        a->held -= bytes;
        account_drop_if_idle(b, a);
        serve(b);
    }
    uv_mutex_unlock(&b->lock);
}
