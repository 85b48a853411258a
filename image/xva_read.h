/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image/xva_read.h - takes an XVA apart as it arrives.
 *
 * Bytes go in, in pieces of any size; events come out, from inside the call
 * that fed the bytes, and are the same however the stream was cut. Plain and
 * zstd-compressed streams are told apart by their first bytes. Every checksum
 * is verified, here or (see defer_sums) by the consumer. No threads, no wait:
 * a consumer without room refuses, and the reader stops in the middle of a
 * piece. One thread at a time.
 *
 * Memory: under 20 KiB, with compression 128 KiB and the frame's window (at
 * most 8 MiB), and ova.xml (at most ova_max) with its parsed form.
 */
#ifndef CAIRN_IMAGE_XVA_READ_H
#define CAIRN_IMAGE_XVA_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/ova.h"
#include "image/xva_sum.h"

struct xva_read;

/* A block whose checksum the consumer verifies (see defer_sums). */
struct xva_read_block {
    uint32_t disk;
    uint32_t len;     /* at most 1 MiB */
    uint64_t offset;  /* a multiple of 1 MiB */
    uint64_t number;  /* in its name */
    uint64_t stream_offset; /* of the checksum entry, for the error text */
    struct xva_sum_text sum;
};

/*
 * What the stream says. `disk` is an index into the disks of image/ova.h. For
 * each disk: disk_begin(), data() and hole() with rising offsets that cover
 * 0 to the virtual size exactly, disk_end(). None may call into the reader.
 */
struct xva_read_events {
    /* ova.xml is complete: its bytes as they came, and what they say. `ova`
     * lives as long as the reader. */
    void (*ova)(void *ctx, const struct ova *ova, const uint8_t *text,
                size_t len);
    void (*disk_begin)(void *ctx, uint32_t disk);
    /* Returns how many bytes were taken, 0 to len. Fewer: the rest comes again
     * with the next call of xva_read_feed(). */
    size_t (*data)(void *ctx, uint32_t disk, uint64_t offset,
                   const uint8_t *bytes, size_t len);
    /* len zero bytes that the stream leaves out. False: not now; it comes again
     * with the next call of xva_read_feed(). */
    bool (*hole)(void *ctx, uint32_t disk, uint64_t offset, uint64_t len);
    /* With defer_sums: what data() gave for this block must have this sum, else
     * the consumer ends the stream with xva_read_mismatch()'s error. */
    void (*block)(void *ctx, const struct xva_read_block *block);
    void (*disk_end)(void *ctx, uint32_t disk, uint64_t total);
    /* The terminator was read: everything is there. Success is what
     * xva_read_finish() returns, though: it may come worse yet. */
    void (*end)(void *ctx);
};

struct xva_read_opts {
    const struct seal_suite *suite; /* required; outlives the reader */
    const struct xva_read_events *events; /* all set but block; borrowed */
    void *ctx;
    size_t ova_max; /* bytes; 0: OVA_BYTES_MAX */
    /*
     * Blocks that fill one MiB of the disk's grid (or end the disk) are not
     * hashed here but handed to block(), so that workers can. All others are
     * verified here all the same.
     */
    bool defer_sums;
};

/* ERR_ARGUMENT, ERR_NOMEM. */
enum err_code xva_read_new(const struct xva_read_opts *opts,
                           struct xva_read **out, struct err *err);
void xva_read_free(struct xva_read *r);

/*
 * Feed the next bytes. *used says how many were consumed: fewer than len, or
 * all but with xva_read_is_blocked(), when the consumer refused something;
 * then call again with the rest (len may be 0) when there is room.
 *
 * Errors are final and repeat, each one sentence with the entry's name and its
 * offset in the (uncompressed) stream: ERR_PROTOCOL for what breaks the format
 * or is not supported (gzip), ERR_INTEGRITY for a checksum, ERR_REMOTE where
 * XAPI put the text of a failed answer into the stream: the text is its own
 * error; ERR_NOMEM. A failure may show up to 16 KiB after its place, or only
 * in xva_read_finish(), because XAPI's own words are looked for behind it.
 */
enum err_code xva_read_feed(struct xva_read *r, const uint8_t *data, size_t len,
                            size_t *used, struct err *err);

/* Whether something that was consumed waits for the consumer's room. */
bool xva_read_is_blocked(const struct xva_read *r);

/* The stream has ended, and nothing is blocked. ERR_OK: it was whole. Else the
 * error, as of xva_read_feed(); ERR_IO: it is cut short. */
enum err_code xva_read_finish(struct xva_read *r, struct err *err);

/* The error of a block whose bytes have the sum `found`. */
enum err_code xva_read_mismatch(const struct xva_read *r,
                                const struct xva_read_block *block,
                                const struct xva_sum_text *found,
                                struct err *err);

/* After the ova() event, else NULL. */
const struct ova *xva_read_ova(const struct xva_read *r);

/* Bytes of the archive so far, decompressed. */
uint64_t xva_read_position(const struct xva_read *r);

#endif
