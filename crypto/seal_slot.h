/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/seal_slot.h - chunk ids, pack headers and sealed slots (format.md 2).
 *
 * What is done per chunk needs a struct seal_slot_work: it travels with a work
 * item, is used by one thread at a time, and makes that no call allocates. It
 * keeps the last key it was given, so that neighbouring slots of one pack cost
 * no key schedule.
 */
#ifndef CAIRN_CRYPTO_SEAL_SLOT_H
#define CAIRN_CRYPTO_SEAL_SLOT_H

#include "crypto/seal_key.h"

#define SEAL_SLOT_HEADER 96
#define SEAL_SLOT_TAG 16

enum seal_slot_kind { SEAL_SLOT_DATA = 0, SEAL_SLOT_MAP = 1 };

struct seal_slot_work;

/* `suite` must outlive it. NULL: out of memory. */
struct seal_slot_work *seal_slot_work_new(const struct seal_suite *suite);
void seal_slot_work_free(struct seal_slot_work *work); /* wipes */

/* First 16 bytes of HMAC-SHA256(K_id, kind || raw). False: the library failed,
 * *out is unspecified. */
bool seal_slot_chunk_id(struct seal_slot_work *work,
                        const struct seal_key *k_id, enum seal_slot_kind kind,
                        const void *raw, size_t len, struct id16 *out);

/* What stands in a pack's header, but for what can be computed. */
struct seal_slot_header {
    enum seal_slot_kind kind;
    struct id16 key_id;
    struct id16 pack_id;
    uint8_t salt[16];
};

/* Draw pack id and salt. ERR_IO. */
enum err_code seal_slot_header_new(enum seal_slot_kind kind,
                                   const struct id16 *key_id,
                                   struct seal_slot_header *out,
                                   struct err *err);

/* Write the 96 bytes and derive K_pack. `key` is K_data or K_meta, as the kind
 * says. ERR_NOMEM. */
enum err_code seal_slot_header_write(const struct seal_suite *suite,
                                     const struct seal_key *key,
                                     const struct id16 *vault_id,
                                     const struct seal_slot_header *header,
                                     uint8_t out[SEAL_SLOT_HEADER],
                                     struct seal_key *k_pack, struct err *err);

/* Check what needs no key: magic, version, suite, kind, CRC. The caller
 * compares kind, pack id and key id with what it expects. ERR_INTEGRITY. */
enum err_code seal_slot_header_parse(const uint8_t raw[SEAL_SLOT_HEADER],
                                     struct seal_slot_header *out,
                                     struct err *err);

/* Parse, and derive K_pack after comparing the commitment. ERR_INTEGRITY. */
enum err_code seal_slot_header_open(const struct seal_suite *suite,
                                    const struct seal_key *key,
                                    const struct id16 *vault_id,
                                    const uint8_t raw[SEAL_SLOT_HEADER],
                                    struct seal_slot_header *out,
                                    struct seal_key *k_pack, struct err *err);

/* Where a slot stands and what it holds. */
struct seal_slot_place {
    uint32_t slot;
    struct id16 chunk_id;
    uint8_t codec;
    uint32_t raw_len;
};

/* body (the chunk, raw or compressed) -> len + 16 bytes at out; in place is
 * fine. False: the library failed. */
bool seal_slot_seal(struct seal_slot_work *work, const struct seal_key *k_pack,
                    const struct seal_slot_place *place, const void *body,
                    size_t len, uint8_t *out);

/* The reverse: `len` counts the tag; len - 16 bytes at out, in place is fine.
 * False: the tag is wrong (or len < 16) and out must not be used. */
bool seal_slot_open(struct seal_slot_work *work, const struct seal_key *k_pack,
                    const struct seal_slot_place *place, const void *sealed,
                    size_t len, uint8_t *out);

#endif
