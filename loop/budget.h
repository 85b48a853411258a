/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop/budget.h - all data in flight of the process, granted in whole pieces.
 *
 * A need is granted whole or waits; nobody holds a part of one. The next grant
 * goes to the waiting tenant that holds least, so that one whose store stalls
 * keeps what it has and gets no more while others wait; of those that hold
 * alike to the one that was served or came longest ago, and within a tenant in
 * order. What fits may pass the one whose turn it is, when that one does not
 * fit: each other tenant once, no more, so that large needs do not starve. The
 * last bytes are kept for a tenant that holds nothing: nobody gets all.
 * Any thread; grants arrive on the asker's loop.
 */
#ifndef CAIRN_LOOP_BUDGET_H
#define CAIRN_LOOP_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"

struct budget;
struct budget_account;

/* Embedded in the asker's struct, zeroed before its first use; valid until
 * granted() or budget_withdraw() returned true. */
struct budget_need {
    uint64_t tenant; /* any number that tells tenants apart */
    uint64_t bytes;
    struct loop *loop;
    void (*granted)(struct budget_need *need); /* on `loop`, once */
    /* private: */
    struct mail mail;
    struct budget_account *account;
    struct budget_need *next; /* of the same tenant */
    int state;
    bool passed;
};

/* keep: what nobody gets who holds something already. NULL: out of memory. */
struct budget *budget_new(uint64_t bytes, uint64_t keep);
void budget_free(struct budget *b);        /* all given back, nobody waits */
uint64_t budget_total(const struct budget *b);
uint64_t budget_used(struct budget *b);
uint64_t budget_peak(struct budget *b);
uint64_t budget_held(struct budget *b, uint64_t tenant);

/* Take at once or not at all: not when less than `leave` bytes would be free
 * then, and not when somebody waits, whose turn it is. */
bool budget_try(struct budget *b, uint64_t tenant, uint64_t bytes,
                uint64_t leave);

/* Ask; granted() comes later, also when there is room now. need->bytes must be
 * at most budget_total(). False: out of memory, granted() will not come. */
bool budget_ask(struct budget *b, struct budget_need *need);

/* Stop waiting. True: it was not granted and will not be. False: granted()
 * is on its way or was called; the bytes are yours to give back then. */
bool budget_withdraw(struct budget *b, struct budget_need *need);

/* Give back what this tenant got, at once or bit by bit. */
void budget_give(struct budget *b, uint64_t tenant, uint64_t bytes);

#endif
