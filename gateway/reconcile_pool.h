/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/reconcile_pool.h - one search of one pool for what is left there.
 * Control loop.
 */
#ifndef CAIRN_GATEWAY_RECONCILE_POOL_H
#define CAIRN_GATEWAY_RECONCILE_POOL_H

#include "gateway/engine.h"

struct reconcile_pool;

/* done() once, later. ERR_OK: nothing is left. ERR_NOT_FOUND: there is no such
 * pool any more. NULL: no memory, and done() does not come. */
struct reconcile_pool *
reconcile_pool_start(struct engine *e, int64_t id,
                     void (*done)(void *ctx, const struct err *err), void *ctx);
void reconcile_pool_cancel(struct reconcile_pool *p);

#endif
