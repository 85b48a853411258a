/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/chunk_read.h - reads single chunks and pages by (pack, slot): rare
 * ones, one at a time. Disks are read by vault/walk.h.
 *
 * Keeps the tables of the last pack, so that neighbours cost one GET each. A
 * slot that is gone or bad is looked for in the pack's other objects. Lives on
 * the store's loop; opening is done there, too.
 */
#ifndef CAIRN_VAULT_CHUNK_READ_H
#define CAIRN_VAULT_CHUNK_READ_H

#include "store/store.h"
#include "vault/keyring.h"
#include "vault/pack_table.h"

struct chunk_read;

/* NULL: out of memory. store and keys must outlive it. */
struct chunk_read *chunk_read_new(struct store *store,
                                  const struct keyring *keys);
/* Nothing may be under way; from inside done() is fine. NULL too. */
void chunk_read_free(struct chunk_read *r);

struct chunk_read_opts {
    enum seal_slot_kind kind;
    struct id16 pack_id;
    uint32_t slot;
    /* raw: slot->raw bytes, borrowed; NULL on failure: ERR_NOT_FOUND (pack or
     * slot), ERR_INTEGRITY, ERR_KEY (its key is not held), ERR_COLD, the
     * store's. The next one may be started from inside. */
    void (*done)(void *ctx, const struct err *err, const uint8_t *raw,
                 const struct pack_slot *slot);
    void *ctx;
};

/* done() once, later. Nothing else may be under way. ERR_NOMEM. */
enum err_code chunk_read_start(struct chunk_read *r,
                               const struct chunk_read_opts *opts,
                               struct err *err);
/* done() gets ERR_CANCELLED, or what came first. */
void chunk_read_cancel(struct chunk_read *r);

#endif
