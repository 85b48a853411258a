/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image/xva_disks.h - the blocks of an XVA's disks: their order, their places,
 * their checksums. Used by image/xva_parse.c alone, which knows tar.
 *
 * A block lies at the sum of what came before it: each block's size, and for
 * each number left out the size of the first block of the stream. Errors say
 * what is wrong; the caller adds the entry's name and place.
 */
#ifndef CAIRN_IMAGE_XVA_DISKS_H
#define CAIRN_IMAGE_XVA_DISKS_H

#include "image/xva_read.h"

struct xva_disks;

/* opts: as xva_read_new(); ova is borrowed. ERR_NOMEM. */
enum err_code xva_disks_new(const struct xva_read_opts *opts,
                            const struct ova *ova, struct xva_disks **out,
                            struct err *err);
void xva_disks_free(struct xva_disks *d);

/* An entry that is no checksum begins. ERR_PROTOCOL. */
enum err_code xva_disks_block(struct xva_disks *d, const char *name,
                              uint64_t size, struct err *err);

/* Tell the consumer of the hole before the block, if any. False: it refused,
 * and xva_disks_data() must wait. */
bool xva_disks_hole(struct xva_disks *d);

/* Bytes of the block that began; returns how many the consumer took. */
size_t xva_disks_data(struct xva_disks *d, const uint8_t *bytes, size_t len);

/* Whether an entry's name ends like a checksum's, and of which kind. */
bool xva_disks_is_sum(const char *name, enum xva_sum_kind *kind);

/* Digits of a checksum. */
size_t xva_disks_sum_len(enum xva_sum_kind kind);

/* A checksum's header; then its text. stream_at: of the entry. ERR_PROTOCOL,
 * ERR_INTEGRITY, ERR_NOMEM. */
enum err_code xva_disks_sum_begin(struct xva_disks *d, const char *name,
                                  uint64_t size, struct err *err);
enum err_code xva_disks_sum(struct xva_disks *d,
                            const struct xva_sum_text *said,
                            uint64_t stream_at, struct err *err);

/* The terminator was read: is every disk complete? ERR_PROTOCOL. */
enum err_code xva_disks_end(struct xva_disks *d, struct err *err);

#endif
