/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/session_tools.h - contexts of zstd and the cipher that the worker
 * threads of all sessions share (made by session_tools_new() of session.h).
 *
 * There are as many sets as workers, so one is always free for who runs on a
 * worker: taking one never waits.
 */
#ifndef CAIRN_VAULT_SESSION_TOOLS_H
#define CAIRN_VAULT_SESSION_TOOLS_H

#include <zstd.h>

#include "crypto/seal_digest.h"
#include "crypto/seal_slot.h"

struct session_tools;

struct session_tool {
    struct seal_slot_work *slots;
    struct seal_digest *sha256;
    ZSTD_CCtx *zstd;
};

/* On a worker, for the time of one item. */
struct session_tool *session_tools_take(struct session_tools *t);
void session_tools_give(struct session_tools *t, struct session_tool *tool);

#endif
