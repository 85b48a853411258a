/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum need_state {
    NEED_IDLE = 0,
    NEED_WAITING,
    NEED_OPENING, /* entered, and the mail that says so is on its way */
    NEED_IN,
    NEED_LEFT,    /* left while that mail was on its way */
};

struct gate {
    char name[GATES_NAME];
    unsigned in; /* needs that entered */
    struct gate *next;
};

struct gates_tenant {
    uint64_t tenant;
    unsigned in; /* needs of it that entered */
    struct gates_tenant *next;
};

/* A need may be freed by its owner as soon as it has left, so the mail that
 * opens it is memory of ours. */
struct opening {
    struct mail mail;
    struct gates_need *need; /* NULL: it has left */
    struct opening *next;
    struct gates *gates;
};

struct gates {
    struct loop *loop;
    struct gate *gates;
    struct gates_tenant *tenants;
    struct gates_need *first, **last; /* who waits */
    struct opening *openings;
};

struct gates *gates_new(struct loop *control)
{
    struct gates *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    g->loop = control;
    g->last = &g->first;
    return g;
}

void gates_free(struct gates *g)
{
    if (!g)
        return;
    while (g->gates) {
        struct gate *gate = g->gates;

        g->gates = gate->next;
        free(gate);
    }
    while (g->tenants) {
        struct gates_tenant *of = g->tenants;

        g->tenants = of->next;
        free(of);
    }
    free(g);
}

bool gates_need_add(struct gates_need *need, const char *name, unsigned limit)
{
    for (unsigned i = 0; i < need->count; i++)
        if (strcmp(need->names[i], name) == 0)
            return true;
    if (need->count == GATES_MAX || strlen(name) >= GATES_NAME)
        return false;
    snprintf(need->names[need->count], GATES_NAME, "%s", name);
    need->limits[need->count++] = limit ? limit : 1;
    return true;
}

static struct gate *gate_find(struct gates *g, const char *name)
{
    struct gate *gate = g->gates;

    while (gate && strcmp(gate->name, name) != 0)
        gate = gate->next;
    return gate;
}

/* A gate stays for as long as the engine: there are as many as pools, hosts
 * and SRs that were ever backed up. */
static struct gate *gate_get(struct gates *g, const char *name)
{
    struct gate *gate = gate_find(g, name);

    if (gate)
        return gate;
    gate = calloc(1, sizeof(*gate));
    if (!gate)
        return NULL;
    snprintf(gate->name, sizeof(gate->name), "%s", name);
    gate->next = g->gates;
    g->gates = gate;
    return gate;
}

/* Stays like a gate. */
static struct gates_tenant *tenant_get(struct gates *g, uint64_t tenant)
{
    struct gates_tenant *of = g->tenants;

    while (of && of->tenant != tenant)
        of = of->next;
    if (of)
        return of;
    of = calloc(1, sizeof(*of));
    if (!of)
        return NULL;
    of->tenant = tenant;
    of->next = g->tenants;
    g->tenants = of;
    return of;
}

static bool wants(const struct gates_need *need, const char *gate)
{
    for (unsigned i = 0; i < need->count; i++)
        if (strcmp(need->names[i], gate) == 0)
            return true;
    return false;
}

/* How many who go before `need` wait for this gate. */
static unsigned count_ahead(struct gates *g, const struct gates_need *need,
                            const char *gate)
{
    bool earlier = true;
    unsigned count = 0;

    for (const struct gates_need *n = g->first; n; n = n->next) {
        if (n == need)
            earlier = false;
        else if ((earlier ? n->of->in <= need->of->in
                          : n->of->in < need->of->in) &&
                 wants(n, gate))
            count++;
    }
    return count;
}

/* In each gate, beside who is in and those who go before it: who waits for
 * another gate is passed, but never loses a place by that. */
static bool has_room(struct gates *g, const struct gates_need *need)
{
    for (unsigned i = 0; i < need->count; i++)
        if (gate_find(g, need->names[i])->in >= need->limits[i])
            return false;
    for (unsigned i = 0; i < need->count; i++)
        if (gate_find(g, need->names[i])->in +
                count_ahead(g, need, need->names[i]) >= need->limits[i])
            return false;
    return true;
}

static void deliver(struct mail *mail)
{
    struct opening *o = (struct opening *)mail;
    struct gates_need *need = o->need;
    struct opening **link = &o->gates->openings;

    while (*link != o)
        link = &(*link)->next;
    *link = o->next;
    free(o);
    if (!need)
        return;
    need->state = NEED_IN;
    need->open(need);
}

static bool enter(struct gates *g, struct gates_need *need)
{
    struct opening *o = calloc(1, sizeof(*o));

    if (!o)
        return false;
    for (unsigned i = 0; i < need->count; i++)
        gate_find(g, need->names[i])->in++;
    need->of->in++;
    need->state = NEED_OPENING;
    o->need = need;
    o->gates = g;
    o->next = g->openings;
    o->mail.deliver = deliver;
    g->openings = o;
    loop_send(g->loop, &o->mail);
    return true;
}

static void unlink_waiting(struct gates *g, struct gates_need *need)
{
    struct gates_need **link = &g->first;

    while (*link != need)
        link = &(*link)->next;
    *link = need->next;
    if (!*link)
        g->last = link;
    need->next = NULL;
}

static void let_in(struct gates *g)
{
    struct gates_need *need = g->first;

    while (need) {
        struct gates_need *next = need->next;

        /* Without memory for the mail it waits for the next who leaves. */
        if (has_room(g, need) && enter(g, need)) {
            unlink_waiting(g, need);
            next = g->first; /* who is before whom is another matter now */
        }
        need = next;
    }
}

bool gates_enter(struct gates *g, struct gates_need *need)
{
    for (unsigned i = 0; i < need->count; i++)
        if (!gate_get(g, need->names[i]))
            return false;
    need->of = tenant_get(g, need->tenant);
    if (!need->of)
        return false;
    need->gates = g;
    need->next = NULL;
    if (has_room(g, need))
        return enter(g, need);
    need->state = NEED_WAITING;
    *g->last = need;
    g->last = &need->next;
    return true;
}

void gates_leave(struct gates_need *need)
{
    struct gates *g = need->gates;

    if (need->state == NEED_IDLE || need->state == NEED_LEFT)
        return;
    if (need->state == NEED_WAITING) {
        unlink_waiting(g, need);
        need->state = NEED_LEFT;
        let_in(g);
        return;
    }
    for (struct opening *o = g->openings; o; o = o->next)
        if (o->need == need)
            o->need = NULL;
    for (unsigned i = 0; i < need->count; i++)
        gate_find(g, need->names[i])->in--;
    need->of->in--;
    need->state = NEED_LEFT;
    let_in(g);
}
