/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop/budget.h - all data in flight of the process, granted in whole pieces.
 *
 * A need is granted whole or waits; nobody holds a part of one. Waiting needs
 * are served fairly by tenant (round robin over tenants, in order within one),
 * and a need that fits behind one that does not is not served before it for
 * longer than one turn over all tenants, so that large needs do not starve.
 * Any thread; grants arrive on the asker's loop.
 */
#ifndef CAIRN_LOOP_BUDGET_H
#define CAIRN_LOOP_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"

struct budget;

/* Embedded in the asker's struct, zeroed before its first use; valid until
 * granted() or budget_withdraw() returned true. */
struct budget_need {
    uint64_t tenant; /* any number that tells tenants apart */
    uint64_t bytes;
    struct loop *loop;
    void (*granted)(struct budget_need *need); /* on `loop`, once */
    /* private: */
    struct mail mail;
    struct budget_need *next, *last;             /* of the same tenant */
    struct budget_need *ring_next, *ring_prev;   /* first of other tenants */
    int state;
    bool passed;
};

struct budget *budget_new(uint64_t bytes); /* NULL: out of memory */
void budget_free(struct budget *b);        /* all given back, nobody waits */
uint64_t budget_total(const struct budget *b);
uint64_t budget_used(struct budget *b);
uint64_t budget_peak(struct budget *b);

/* Take at once or not at all: not when there is no room, and not when somebody
 * waits, whose turn it is then. */
bool budget_try(struct budget *b, uint64_t bytes);

/* Ask; granted() comes later, also when there is room now. need->bytes must be
 * at most budget_total(). */
void budget_ask(struct budget *b, struct budget_need *need);

/* Stop waiting. True: it was not granted and will not be. False: granted()
 * is on its way or was called; the bytes are yours to give back then. */
bool budget_withdraw(struct budget *b, struct budget_need *need);

void budget_give(struct budget *b, uint64_t bytes);

#endif
