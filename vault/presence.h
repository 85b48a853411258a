/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/presence.h - which blocks of a disk hold anything but zeros, told from
 * its map and pages: an XVA's length follows from that before its first byte.
 *
 * Needs no data key, reads no data. Lives on the store's loop; takes
 * PRESENCE_MEMORY while it works.
 */
#ifndef CAIRN_VAULT_PRESENCE_H
#define CAIRN_VAULT_PRESENCE_H

#include <stdint.h>

#include "store/store.h"
#include "vault/keyring.h"
#include "vault/point.h"

#define PRESENCE_MEMORY ((uint64_t)4 << 20)

struct presence;

struct presence_opts {
    struct store *store; /* outlives it, as all of these */
    const struct keyring *keys;
    const struct point *point;
    size_t disk;         /* index into point->disk */
    unsigned log2_block; /* of a block: 12 to 30 */
    /* Bit n of byte n / 8 (lowest first): block n may hold data; to free().
     * NULL on failure: as those of a walk. Gone when it returns. */
    void (*done)(void *ctx, const struct err *err, uint8_t *take);
    void *ctx;
};

/* done() once, later. ERR_ARGUMENT, ERR_NOMEM. */
enum err_code presence_start(const struct presence_opts *opts,
                             struct presence **out, struct err *err);
void presence_cancel(struct presence *p);

#endif
