/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/reconcile.h - what jobs that were interrupted, or could not clean up,
 * have left in pools and vaults is taken away.
 *
 * At the start every pool of the catalog is searched for what carries this
 * gateway's mark, and every vault for what open rows of the journal name; jobs
 * there wait until that was tried once. What fails is tried again, with
 * back-off, a few places at a time; what belongs to a job that runs is left
 * alone. Control loop only.
 */
#ifndef CAIRN_GATEWAY_RECONCILE_H
#define CAIRN_GATEWAY_RECONCILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "gateway/engine.h"

struct reconcile;

enum err_code reconcile_new(struct engine *e, struct reconcile **out,
                            struct err *err);

/* Begin, once. done() later: what is to be looked at is known. */
void reconcile_start(struct reconcile *r,
                     void (*done)(void *ctx, const struct err *err), void *ctx);

/* Whether jobs may start there (0: no pool, or no vault). jobs_wake() is called
 * when the answer has changed. */
bool reconcile_lets(const struct reconcile *r, int64_t pool_id,
                    int64_t vault_id);

/* A job ended and left rows open: look soon; or a pool is new, or settings
 * changed of a place where something is left: look now. */
void reconcile_look(struct reconcile *r, int64_t pool_id, int64_t vault_id);
void reconcile_changed(struct reconcile *r, int64_t pool_id, int64_t vault_id);

/* A job went well with that vault: one that is waited for is looked at soon. */
void reconcile_works(struct reconcile *r, int64_t vault_id);

/* Places that are not known to be clean. */
unsigned reconcile_open(const struct reconcile *r);

/* Break off; stopped() later, when nothing is under way. */
void reconcile_stop(struct reconcile *r, void (*stopped)(void *ctx), void *ctx);
void reconcile_free(struct reconcile *r);

#endif
