/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/point.h - a restore point (format.md 5): its fields, strictly.
 *
 * A struct point that point_decode() or point_open() made owns its arrays and
 * borrows (decode) or owns (open) the bytes that its slices point to; it is
 * read-only. A writer fills one in itself, all borrowed, for point_encode().
 * Pure; any thread.
 */
#ifndef CAIRN_VAULT_POINT_H
#define CAIRN_VAULT_POINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "vault/keyring.h"
#include "vault/map.h"
#include "vault/name.h"

#define POINT_SEALED_MAX ((uint64_t)64 << 20) /* bytes of a point's object */
#define POINT_TEXT_MAX 4096u                  /* bytes of a text field */
#define POINT_METADATA_MAX ((size_t)16 << 20) /* of ova.xml */

struct point_pack {
    struct id16 id;
    uint16_t key;  /* number in the key table */
    uint16_t kind; /* enum seal_slot_kind */
};

struct point_disk {
    uint32_t position;
    struct id16 vdi;
    struct slice name;   /* len 0: not there */
    uint64_t bytes;      /* virtual size */
    unsigned log2_chunk; /* 16 to 20 */
    bool paged;          /* the map is of pages */
    struct slice map;
    uint8_t sum[32];
};

struct point_totals {
    uint64_t read, changed, fresh, stored; /* bytes; fresh: field "new" */
};

/* Another point and the SHA-256 of its object. */
struct point_ref {
    char name[NAME_POINT_BYTES + 1]; /* "": none */
    uint8_t sha256[32];
};

/* Texts and metadata with len 0 are not there. */
struct point {
    struct slice series;
    struct id16 vm;
    struct slice name, pool;
    struct slice metadata; /* sealed stream of kind 5 */
    uint64_t start_ms, end_ms;
    struct slice source_mode, consistency, gateway, retention;
    struct point_ref previous;
    struct slice roster; /* names of 65 bytes, one after another */
    bool has_totals;
    struct point_totals totals;
    bool unfinished;
    struct slice replaces; /* names, as roster */
    const struct id16 *key;
    size_t keys;
    const struct point_pack *pack;
    size_t packs;
    const struct point_disk *disk;
    size_t disks;
};

/* What a name in roster or replaces is. i below slice.len / 65. */
void point_name_at(struct slice names, size_t i,
                   char out[NAME_POINT_BYTES + 1]);
bool point_names_have(struct slice names, const char *name);

/* Bytes of chunk `n` of a disk: less than the chunk size only at the end. */
uint32_t point_chunk_bytes(const struct point_disk *d, uint64_t n);

/* Every rule of format.md 5 but those that need packs. ERR_INTEGRITY,
 * ERR_NOMEM. `plain` must outlive *out. */
enum err_code point_decode(struct slice plain, struct point **out,
                           struct err *err);
void point_free(struct point *p);

/* Append the fields. ERR_ARGUMENT (what point_decode() would refuse),
 * ERR_NOMEM. */
enum err_code point_encode(const struct point *p, struct buf *out,
                           struct err *err);

/* Open a point's object, and check that the series gives the name's tag.
 * ERR_INTEGRITY, ERR_KEY (its MK is not held), ERR_NOMEM. */
enum err_code point_open(const struct keyring *keys, const char *name,
                         const void *sealed, size_t len, struct point **out,
                         struct err *err);

/* The object of a point under the keyring's current MK. `metadata` is given
 * plain (ova.xml) and sealed here under the current DK, since it is bound to
 * the name; p->metadata is not looked at. */
enum err_code point_seal(const struct keyring *keys, const char *name,
                         const struct point *p, struct slice metadata,
                         struct buf *out, struct err *err);

/* The VM metadata of an opened point; `out` is appended to. ERR_NOT_FOUND
 * (none), ERR_KEY (its DK is not held), ERR_INTEGRITY. */
enum err_code point_metadata(const struct keyring *keys, const char *name,
                             const struct point *p, struct buf *out,
                             struct err *err);

#endif
