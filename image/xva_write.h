/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image/xva_write.h - builds an XVA of a length known before its first byte.
 *
 * The writer says what comes next: a piece of its own (headers, ova.xml,
 * checksums), or bytes of a disk, which the caller copies straight to its
 * output and shows to the writer on the way. It never holds disk data. One
 * thread at a time.
 */
#ifndef CAIRN_IMAGE_XVA_WRITE_H
#define CAIRN_IMAGE_XVA_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/xva_sum.h"

#define XVA_WRITE_BLOCK ((uint64_t)1 << 20)

struct xva_write;

struct xva_write_disk {
    const char *id; /* "Ref:12", as in ova.xml; rising as text; copied */
    uint64_t virtual_size;
    /* Bit n of byte n/8 (lowest first): block n of 1 MiB is not all zero; see
     * xva_write_mark(). Borrowed for the writer's life. NULL: all blocks. */
    const uint8_t *present;
};

/* Bytes of `present` for a disk. */
size_t xva_write_bitmap_bytes(uint64_t virtual_size);
/* Mark the blocks that a range touches. */
void xva_write_mark(uint8_t *present, uint64_t offset, uint64_t len);

struct xva_write_opts {
    const struct seal_suite *suite; /* required; outlives the writer */
    const void *ova; /* ova.xml; borrowed for the writer's life */
    size_t ova_len;
    const struct xva_write_disk *disks;
    size_t disk_count;
    enum xva_sum_kind sum;
    uint64_t mtime; /* of ova.xml, seconds since 1970 */
    /* The caller gives the sum of each block with xva_write_sum(), computed by
     * its workers; else the writer hashes what it is shown. */
    bool sums_given;
};

/* ERR_ARGUMENT: no suite, ids not rising or too long, no room in 8 digits;
 * ERR_NOMEM. */
enum err_code xva_write_new(const struct xva_write_opts *opts,
                            struct xva_write **out, struct err *err);
void xva_write_free(struct xva_write *w);

/* Bytes of the whole archive. */
uint64_t xva_write_total(const struct xva_write *w);
uint64_t xva_write_position(const struct xva_write *w);

enum xva_write_want {
    XVA_WRITE_OWN,  /* data, len: copy them; then xva_write_took() */
    XVA_WRITE_DATA, /* the next len bytes are those of the disk at offset, all
                       in one block; then xva_write_data(). First and last
                       block of a disk are asked for also when all zero */
    XVA_WRITE_SUM,  /* sums_given: the sum of the block at offset first */
    XVA_WRITE_END,
    XVA_WRITE_FAILED, /* out of memory; for good */
};

struct xva_write_piece {
    const uint8_t *data; /* borrowed until the next change */
    size_t len;
    size_t disk; /* index into opts.disks */
    uint64_t offset;
};

/* What comes next; asking changes nothing. */
enum xva_write_want xva_write_next(const struct xva_write *w,
                                   struct xva_write_piece *piece);

/* The first n bytes (at most piece.len) of an own piece were put out. */
void xva_write_took(struct xva_write *w, size_t n);
/* The first n bytes of a data piece were put out; these they are. */
void xva_write_data(struct xva_write *w, const uint8_t *data, size_t n);
/* Of the block for which data is being or was put out; once per block. */
void xva_write_sum(struct xva_write *w, const struct xva_sum_text *sum);

#endif
