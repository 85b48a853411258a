/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/pack_layout.h - the tables of a pack (format.md 2): slots, table of
 * contents, tail, and how large it all becomes.
 *
 * Pure; any thread. The header is crypto/seal_slot.h's.
 */
#ifndef CAIRN_VAULT_PACK_LAYOUT_H
#define CAIRN_VAULT_PACK_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/seal_slot.h"

#define PACK_LAYOUT_TAIL 64
#define PACK_LAYOUT_BLOCK ((uint64_t)64 << 10) /* packs are multiples of it */
#define PACK_LAYOUT_BYTES_MAX ((uint64_t)256 << 20) /* of any pack */
#define PACK_LAYOUT_SLOTS_MAX 65536u
#define PACK_LAYOUT_TOC_HEAD 40
#define PACK_LAYOUT_ENTRY 28
#define PACK_LAYOUT_RAW_MAX ((uint32_t)1 << 20) /* of any chunk */

enum pack_layout_codec { PACK_LAYOUT_RAW = 0, PACK_LAYOUT_ZSTD = 1 };

/* One entry of a table of contents. */
struct pack_slot {
    struct id16 id;  /* of the chunk */
    uint32_t stored; /* bytes in the pack, tag counted; 0: dropped */
    uint32_t raw;    /* bytes of the chunk */
    uint8_t codec;
};

struct pack_tail {
    uint64_t toc_offset;
    uint32_t toc_bytes; /* sealed */
    uint32_t slots;
    uint8_t digest[32];
};

/* 28 bytes, as in a toc and in an index run. */
void pack_layout_put_entry(uint8_t out[PACK_LAYOUT_ENTRY],
                           const struct pack_slot *slot);
/* ERR_INTEGRITY: unknown codec, impossible lengths, a zero that is none. */
enum err_code pack_layout_get_entry(const uint8_t in[PACK_LAYOUT_ENTRY],
                                    struct pack_slot *out, struct err *err);

void pack_layout_put_tail(uint8_t out[PACK_LAYOUT_TAIL],
                          const struct pack_tail *tail);
/* object_bytes: of the whole object, which toc and tail must end. */
enum err_code pack_layout_get_tail(const uint8_t in[PACK_LAYOUT_TAIL],
                                   uint64_t object_bytes, struct pack_tail *out,
                                   struct err *err);

/* Append a toc's plaintext. entries: 28 bytes each, made by _put_entry. */
bool pack_layout_put_toc(struct buf *out, const uint8_t digest[32],
                         const uint8_t *entries, uint32_t count);

/* Check a toc's plaintext against the tail; *slots is an array of tail->slots
 * entries to free(), NULL when there are none. ERR_INTEGRITY, ERR_NOMEM. */
enum err_code pack_layout_get_toc(struct slice toc,
                                  const struct pack_tail *tail,
                                  struct pack_slot **slots, struct err *err);

/* Zeros between the end of the slots and the toc, so that the whole pack, the
 * tail counted, is a multiple of 64 KiB. toc_bytes: sealed. */
uint32_t pack_layout_pad(uint64_t slots_end, uint64_t toc_bytes);

/* Size of the whole object for so many slots ending there. */
uint64_t pack_layout_bytes(uint64_t slots_end, uint32_t slots);

#endif
