/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/gates.h - how many may be in at once: jobs of a pool, snapshots of an
 * SR, the slow things.
 *
 * A gate is named by text and made by its first use. Who needs several gates
 * gets all at once or waits holding none, so nobody waits for each other for
 * ever. Among those who need a common gate the tenant is next of whom fewer are
 * in, here or at any gate; then first come, first served - but who waits for one
 * gate does not keep others out of another that has room for both. Control loop
 * only.
 */
#ifndef CAIRN_GATEWAY_GATES_H
#define CAIRN_GATEWAY_GATES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/loop.h"

#define GATES_NAME 80
#define GATES_MAX 64 /* in one need */

struct gates;
struct gates_tenant;

/* Embedded in its owner's struct. */
struct gates_need {
    uint64_t tenant; /* any number that tells tenants apart */
    char names[GATES_MAX][GATES_NAME];
    unsigned limits[GATES_MAX]; /* how many may be in that gate */
    unsigned count;
    void (*open)(struct gates_need *need); /* all are ours; once, later */
    /* private: */
    struct gates *gates;
    struct gates_tenant *of;
    struct gates_need *next;
    int state;
};

struct gates *gates_new(struct loop *control); /* NULL: no memory */
void gates_free(struct gates *g);              /* nobody in, nobody waiting */

/* Add a name once (a second time is ignored). False: more than GATES_MAX. */
bool gates_need_add(struct gates_need *need, const char *name, unsigned limit);

/* Wait and enter. False: no memory, open() will not come. */
bool gates_enter(struct gates *g, struct gates_need *need);

/* Leave all gates, or stop waiting for them; open() does not come any more.
 * Harmless for a zeroed need. */
void gates_leave(struct gates_need *need);

#endif
