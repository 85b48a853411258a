/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/pack_table.h - the tables of one object of a pack, opened: header, tail
 * and toc are good and agree.
 *
 * Pure; any thread.
 */
#ifndef CAIRN_VAULT_PACK_TABLE_H
#define CAIRN_VAULT_PACK_TABLE_H

#include "vault/keyring.h"
#include "vault/name.h"
#include "vault/pack_layout.h"

/* What an object's name says is proved by its toc, whose key is bound to it. */
struct pack_table {
    char name[NAME_TEXT]; /* of the object */
    enum seal_slot_kind kind;
    struct id16 pack_id;
    uint64_t bytes;        /* of the object */
    struct pack_tail tail; /* toc offset, digest */
    uint32_t slots;
    struct pack_slot *slot; /* `slots` of them, owned */
    uint64_t *offset;       /* slots + 1 of them, owned: where each begins */
    bool has_header;
    uint8_t header_raw[SEAL_SLOT_HEADER]; /* with has_header */
    struct seal_slot_header header;       /* proved by pack_table_key() only */
};

/* Free the arrays; a zeroed one is fine. */
void pack_table_fini(struct pack_table *t);

/* Of a pack's object: what its name says, nothing more yet. ERR_ARGUMENT. */
enum err_code pack_table_init(struct pack_table *t, const char *name,
                              uint64_t object_bytes, struct err *err);

/* In this order: the last 64 bytes; the sealed toc (tail.toc_bytes from
 * tail.toc_offset on); the first 96 bytes, needed for slots only.
 * ERR_INTEGRITY, ERR_KEY (the toc's MK is not held), ERR_NOMEM. */
enum err_code pack_table_take_tail(struct pack_table *t, const uint8_t *tail,
                                   struct err *err);
enum err_code pack_table_take_toc(struct pack_table *t,
                                  const struct keyring *keys,
                                  const uint8_t *sealed, struct err *err);
enum err_code pack_table_take_header(struct pack_table *t,
                                     const uint8_t *header, struct err *err);

/* All of it from a whole object in memory. */
enum err_code pack_table_open(struct pack_table *t, const struct keyring *keys,
                              const char *name, struct slice object,
                              struct err *err);

/* K_pack, the header's commitment compared; to be wiped by the caller.
 * ERR_KEY (DK or MK not held), ERR_INTEGRITY. */
enum err_code pack_table_key(const struct pack_table *t,
                             const struct keyring *keys,
                             struct seal_key *k_pack, struct err *err);

#endif
