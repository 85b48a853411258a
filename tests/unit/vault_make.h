/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/vault_make.h - packs and points made by hand in a vault rig, with
 * whatever maps a test wants.
 *
 * Chunks are made from numbers: chunk n of a size is always the same bytes, and
 * every third compresses.
 */
#ifndef CAIRN_TESTS_UNIT_VAULT_MAKE_H
#define CAIRN_TESTS_UNIT_VAULT_MAKE_H

#include "vault_rig.h"

#include "vault/map.h"
#include "vault/name.h"
#include "vault/pack_layout.h"
#include "vault/point.h"

#define VAULT_MAKE_PACKS 64
#define VAULT_MAKE_DISKS 4
#define VAULT_MAKE_NAME \
    "points/2e73579d31f1cbc0232e04f666837d2a/20260101T000000Z-00000001"

struct vault_make_pack {
    struct id16 id;
    char name[NAME_TEXT];
    uint32_t slots;
    uint32_t first;     /* number of the chunk in slot 0, and so on */
    struct id16 *chunk; /* ids */
};

struct vault_make {
    struct vault_rig *rig;
    const struct keyring *keys; /* with current ones */
    uint32_t chunk_bytes;
    size_t packs;
    struct vault_make_pack pack[VAULT_MAKE_PACKS];
    struct id16 key[2]; /* MK, DK */
    struct point_pack table[VAULT_MAKE_PACKS];
    struct point_disk disk[VAULT_MAKE_DISKS];
    struct buf map[VAULT_MAKE_DISKS];
};

void vault_make_init(struct vault_make *m, struct vault_rig *rig,
                     const struct keyring *keys, uint32_t chunk_bytes);
void vault_make_fini(struct vault_make *m);

/* The bytes of chunk n. */
void vault_make_chunk(uint32_t n, uint8_t *out, size_t len);

/* A data pack of chunks first, first + 1, ... Returns its number. last_bytes:
 * of the last chunk, 0: as the others. */
uint32_t vault_make_data(struct vault_make *m, uint32_t first, uint32_t count,
                         uint32_t last_bytes);
/* A pack of any kind and contents. */
uint32_t vault_make_raw(struct vault_make *m, enum seal_slot_kind kind,
                        const struct slice *chunks, uint32_t count);

/* Another object of a pack: <id>.<gen>-<rand>, the slots in `drop` dropped. */
void vault_make_again(struct vault_make *m, uint32_t pack, uint16_t gen,
                      const uint32_t *drop, size_t drops, char name[NAME_TEXT]);
/* Where a slot begins in an object of a pack. */
uint64_t vault_make_offset(const struct vault_make *m, const char *name,
                           uint32_t slot);

/* A disk by its runs; its sum is right. paged: cut into pages, which go into a
 * map pack of their own. Returns its index. */
size_t vault_make_disk(struct vault_make *m, uint64_t bytes,
                       const struct map_run *runs, size_t count, bool paged);

/* The point: to be walked, and in the store as VAULT_MAKE_NAME. */
struct point vault_make_point(struct vault_make *m);
void vault_make_put(struct vault_make *m);

/* SHA-256 of a disk made of these runs, computed without any of ours. */
void vault_make_sha256(struct vault_make *m, uint64_t bytes,
                       const struct map_run *runs, size_t count,
                       uint8_t out[32]);

#endif
