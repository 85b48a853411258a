/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/pack_opener.h - a sealed slot -> its chunk.
 *
 * Holds zstd's and the cipher's contexts: one thread at a time, any thread.
 */
#ifndef CAIRN_VAULT_PACK_OPENER_H
#define CAIRN_VAULT_PACK_OPENER_H

#include "vault/keyring.h"
#include "vault/pack_layout.h"

struct pack_opener;

/* NULL: out of memory. `suite` must outlive it. */
struct pack_opener *pack_opener_new(const struct seal_suite *suite);
void pack_opener_free(struct pack_opener *o);

/* What a slot is, and where its chunk goes. */
struct pack_opener_slot {
    const struct seal_key *k_pack;
    enum seal_slot_kind kind;
    uint32_t number;
    const struct pack_slot *slot;
    const uint8_t *sealed; /* slot->stored bytes */
    uint8_t *out;          /* room for slot->raw bytes */
};

/* Tag, length and, after decompression, the chunk id are checked.
 * ERR_INTEGRITY (also: the slot was dropped); out is unspecified then. */
enum err_code pack_opener_open(struct pack_opener *o,
                               const struct keyring *keys,
                               const struct pack_opener_slot *s,
                               struct err *err);

#endif
