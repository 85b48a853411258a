/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/vault_walk.h - points and walks of a vault rig as plain calls.
 */
#ifndef CAIRN_TESTS_UNIT_VAULT_WALK_H
#define CAIRN_TESTS_UNIT_VAULT_WALK_H

#include "vault_rig.h"

#include "crypto/seal_digest.h"
#include "loop/timer.h"
#include "loop/work.h"
#include "vault/points.h"
#include "vault/walk.h"

/* One walk: what came out of it. Zeroed but for what the caller sets. */
struct vault_walk {
    struct vault_rig *rig;
    uint64_t memory;      /* 0: the least */
    unsigned refuse_each; /* refuse each n-th delivery once; 0: never */
    bool no_resume;       /* what was refused stays refused */
    unsigned cancel_at;   /* cancel inside the n-th delivery; 0: never */
    /* what came out */
    struct walk *walk;
    struct seal_digest *digest;
    uint64_t at; /* bytes delivered */
    unsigned deliveries;
    bool refused;
    struct timer resume;
    uint8_t sha256[32];
    struct err err;
    struct walk_figures figures;
};

/* Read a point; NULL and rig->err. */
struct point *vault_walk_point(struct vault_rig *rig,
                               const struct keyring *keys, const char *name);

/* Begin; the outcome is there when rig->done has risen. */
enum err_code vault_walk_begin(struct vault_walk *w, const struct keyring *keys,
                               const struct point *point, const char *name,
                               size_t disk);
/* From beginning to end. Returns the code. */
enum err_code vault_walk_all(struct vault_walk *w, const struct keyring *keys,
                             const struct point *point, const char *name,
                             size_t disk);

#endif
