/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/backlog.h - SRs that have too much to coalesce for one more snapshot.
 *
 * What an SR has waiting is asked for at most so often, for all jobs together
 * (`coalesce_wait` / 20, between a quarter of a second and 30 s), and only while
 * a job wants to know. A job waits until each SR of its VM has at most
 * `coalesce_backlog` disks waiting, or `coalesce_wait` is over. Control loop
 * only.
 */
#ifndef CAIRN_GATEWAY_BACKLOG_H
#define CAIRN_GATEWAY_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "gateway/engine.h"
#include "xenapi/xenapi_inventory.h"

#define BACKLOG_WHY 200

struct backlog;

/* Embedded in its owner's struct, zeroed before its first use. */
struct backlog_need {
    int64_t pool_id;
    const struct xenapi_vm *vm; /* lives until open() or backlog_leave() */
    /* It has to wait, or has to for another reason than before. */
    void (*waits)(struct backlog_need *need, const char *why);
    /* Once, later. ERR_OK: no SR has too much. ERR_AGAIN: the wait was too
     * long; else how asking the pool went wrong. */
    void (*open)(struct backlog_need *need, const struct err *err);
    /* private: */
    struct backlog *of;
    struct backlog_need *next;
    struct timer look, deadline;
    bool told;
    struct err err; /* asking went wrong before it was told anything */
    char why[BACKLOG_WHY];
};

struct backlog *backlog_new(struct engine *e); /* NULL: no memory */
void backlog_free(struct backlog *b); /* no need waits, the pools are closed */

void backlog_enter(struct backlog *b, struct backlog_need *need);
/* open() does not come any more. Harmless for a need that does not wait. */
void backlog_leave(struct backlog_need *need);

/* The SRs of a pool for which jobs wait now: [{"sr", "name", "disks", "limit",
 * "jobs"}]; NULL: no memory. */
struct json *backlog_json(const struct backlog *b, int64_t pool_id);

#endif
