/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/confirm.h - step 7 once more, for a point that stood in the journal
 * when the gateway ended (format.md 6).
 *
 *   GET the point -> LIST gc/ -> its maps, and its pages -> verdict
 *
 * What is not to stay (condemned, unfinished) is removed, where lock and
 * rights allow: nobody will store its chunks again. Lives on the store's loop.
 */
#ifndef CAIRN_VAULT_CONFIRM_H
#define CAIRN_VAULT_CONFIRM_H

#include "store/store.h"
#include "vault/keyring.h"
#include "vault/point.h"

struct confirm;

enum confirm_verdict {
    CONFIRM_GONE,       /* there is no such point: the PUT never came */
    CONFIRM_WHOLE,      /* nothing of it is condemned: it is committed */
    CONFIRM_CONDEMNED,  /* something is: not committed, and removed */
    CONFIRM_UNFINISHED, /* an anchor of a session: removed */
};

struct confirm_opts {
    struct store *store;
    const struct keyring *keys; /* outlives it */
    const char *point;          /* its name; copied */
    /* ERR_OK: the verdict holds. point: name and hash, with CONFIRM_WHOLE. Else
     * the store's errors, ERR_INTEGRITY (the point or a list cannot be read),
     * ERR_CANCELLED: nothing is known, and nothing was removed. */
    void (*done)(void *ctx, const struct err *err, enum confirm_verdict verdict,
                 const struct point_ref *point);
    void *ctx;
};

/* done() once, later; *out is gone when it returns. ERR_ARGUMENT (no point's
 * name), ERR_NOMEM. */
enum err_code confirm_start(const struct confirm_opts *opts,
                            struct confirm **out, struct err *err);
void confirm_cancel(struct confirm *c);

#endif
