/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/map.h - where the chunks of a disk lie: runs, pages, content sums
 * (format.md 5).
 *
 * A map is read run by run and never expanded. Pure; any thread.
 */
#ifndef CAIRN_VAULT_MAP_H
#define CAIRN_VAULT_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/seal_digest.h"

#define MAP_ZERO UINT32_MAX                /* in place of a pack number */
#define MAP_CHUNKS_MAX ((uint64_t)1 << 30) /* of a disk */
#define MAP_PAGE_CHUNKS 4096u
#define MAP_PAGE_BYTES ((size_t)128 << 10) /* a page's, at most */
#define MAP_FIELD_BYTES ((size_t)1 << 20)  /* above it a map goes in pages */

/* `count` chunks in a row: all zero, or the slots first, first + 1, ... */
struct map_run {
    uint32_t count;
    uint32_t pack; /* its number in the table that goes with it; MAP_ZERO */
    uint32_t first;
};

/* Chunks of a disk of so many bytes. */
static inline uint64_t map_chunks(uint64_t disk_bytes, unsigned log2_chunk)
{
    return (disk_bytes >> log2_chunk) +
           ((disk_bytes & (((uint64_t)1 << log2_chunk) - 1)) != 0);
}

static inline uint64_t map_pages(uint64_t chunks)
{
    return (chunks + MAP_PAGE_CHUNKS - 1) / MAP_PAGE_CHUNKS;
}

struct map_reader {
    struct slice rest;
    uint64_t left;  /* chunks not covered yet */
    uint64_t packs; /* pack numbers must be below */
};

/* `chunks` must be covered exactly. Bytes are borrowed. */
void map_reader_init(struct map_reader *r, struct slice runs, uint64_t chunks,
                     uint64_t packs);

/* The next run: true. False at the end, where *err is ERR_OK, or ERR_INTEGRITY
 * with what is wrong. */
bool map_next(struct map_reader *r, struct map_run *out, struct err *err);

/* Read a whole map for its errors alone. */
enum err_code map_check(struct slice runs, uint64_t chunks, uint64_t packs,
                        struct err *err);

/* Builds the fewest runs: what continues the run before is joined to it. */
struct map_writer {
    struct buf *out;
    struct map_run last; /* not written yet; count 0: none */
    uint64_t chunks;     /* so far */
};

void map_writer_init(struct map_writer *w, struct buf *out);
void map_writer_add(struct map_writer *w, struct map_run run);
/* False: out of room; see base/buf.h. */
bool map_writer_end(struct map_writer *w);

/* A page (a chunk of kind 1): pack ids of its own, and runs by these. */
struct map_page {
    size_t packs;
    const uint8_t *ids; /* 16 bytes each, borrowed */
    struct slice runs;
};

/* Checks all of it, the runs too. `chunks` of this page: 4,096, or less in the
 * last. ERR_INTEGRITY. */
enum err_code map_page_open(struct slice page, uint32_t chunks,
                            struct map_page *out, struct err *err);
struct id16 map_page_pack(const struct map_page *page, uint32_t number);

/* Append a page. The runs' pack numbers are the caller's, told by pack_id().
 * ERR_NOMEM, ERR_ARGUMENT (over MAP_PAGE_BYTES). */
enum err_code map_page_add(struct buf *out, const struct map_run *runs,
                           size_t count,
                           struct id16 (*pack_id)(void *ctx, uint32_t pack),
                           void *ctx, struct err *err);

/* A content sum: an integer modulo 2^256. Zeroed: the sum of no chunk. */
struct map_sum {
    uint64_t w[4]; /* w[0] lowest */
};

/* Add or take away one chunk that is not zero. d: SHA-256, begun anew here.
 * False: the library failed. */
bool map_sum_add(struct map_sum *s, struct seal_digest *d, uint64_t chunk,
                 const struct id16 *id);
bool map_sum_sub(struct map_sum *s, struct seal_digest *d, uint64_t chunk,
                 const struct id16 *id);
void map_sum_join(struct map_sum *s, const struct map_sum *more);
void map_sum_put(const struct map_sum *s, uint8_t out[32]);
void map_sum_get(struct map_sum *s, const uint8_t in[32]);

#endif
