/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/pools.h - the XAPI sessions of this gateway, one per pool, kept while
 * they are used.
 *
 * Control loop only.
 */
#ifndef CAIRN_GATEWAY_POOLS_H
#define CAIRN_GATEWAY_POOLS_H

#include <stdint.h>

#include "base/err.h"
#include "gateway/api_backend.h"
#include "gateway/engine.h"
#include "xenapi/xenapi_session.h"

struct pools;

/* Lent, counted; do not close the session. */
struct pools_hold {
    int64_t id; /* of the catalog */
    const char *name;
    struct xenapi_session *session;
};

typedef void pools_hold_fn(void *ctx, const struct err *err,
                           struct pools_hold *hold);

enum err_code pools_new(struct engine *e, struct pools **out, struct err *err);

/* Log out everywhere; all holds must be back. closed() comes later. */
void pools_close(struct pools *p, void (*closed)(void *ctx), void *ctx);

/* done() once, later: a hold (yours to give back with pools_drop()), or NULL
 * and why: ERR_NOT_FOUND, ERR_KEY (the password does not open), ERR_QUOTA (the
 * pool is paused; not asked when `even_paused`: clean-up), ERR_NOMEM. The
 * session may not be logged in yet; its first call tells. */
void pools_take(struct pools *p, int64_t pool_id, bool even_paused,
                pools_hold_fn *done, void *ctx);
void pools_drop(struct pools_hold *hold);

/* The pool's row changed or is gone: a session with the new values from the
 * next pools_take() on; the old one ends when its last hold is back. */
void pools_changed(struct pools *p, int64_t pool_id);

/* The pool_ and vm_ functions of struct api_backend, whose ctx is the struct
 * engine. */
void pools_backend(struct api_backend *table);

#endif
