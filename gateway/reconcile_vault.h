/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/reconcile_vault.h - one look at one vault for what interrupted jobs
 * have left there. Control loop.
 */
#ifndef CAIRN_GATEWAY_RECONCILE_VAULT_H
#define CAIRN_GATEWAY_RECONCILE_VAULT_H

#include "gateway/engine.h"

struct reconcile_vault;

/* done() once, later. ERR_OK: nothing is left that the journal names.
 * ERR_NOT_FOUND: there is no such vault any more. NULL: no memory, and done()
 * does not come. */
struct reconcile_vault *
reconcile_vault_start(struct engine *e, int64_t id,
                      void (*done)(void *ctx, const struct err *err),
                      void *ctx);
void reconcile_vault_cancel(struct reconcile_vault *v);

#endif
