/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image/xva_sum.h - the two checksums an XVA carries beside each block.
 *
 * XXH64 (seed 0, 16 large hex digits) since XenServer 8.1 and XCP-ng 8.1, SHA-1
 * (40 small hex digits) before. Any thread, one at a time.
 */
#ifndef CAIRN_IMAGE_XVA_SUM_H
#define CAIRN_IMAGE_XVA_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum xva_sum_kind { XVA_SUM_XXHASH, XVA_SUM_SHA1 };

/* A checksum's value as the archive spells it. */
struct xva_sum_text {
    enum xva_sum_kind kind;
    char text[41]; /* digits and a NUL */
};

struct xva_sum; /* an incremental checksum */

/* NULL: out of memory. */
struct xva_sum *xva_sum_new(void);
void xva_sum_free(struct xva_sum *s);

/* Begin anew. ERR_NOMEM. */
enum err_code xva_sum_begin(struct xva_sum *s, enum xva_sum_kind kind,
                            struct err *err);
void xva_sum_add(struct xva_sum *s, const void *data, size_t len);
void xva_sum_end(struct xva_sum *s, struct xva_sum_text *out);

/* All at once, for a worker. ERR_NOMEM. */
enum err_code xva_sum_of(enum xva_sum_kind kind, const void *data, size_t len,
                         struct xva_sum_text *out, struct err *err);

/* Of len zero bytes, len at most 1 MiB. ERR_NOMEM. */
enum err_code xva_sum_of_zeros(enum xva_sum_kind kind, size_t len,
                               struct xva_sum_text *out, struct err *err);

/* Hex digits count in either case, as XAPI compares them. */
bool xva_sum_equal(const struct xva_sum_text *a, const struct xva_sum_text *b);

/* ".xxhash" or ".checksum" */
const char *xva_sum_suffix(enum xva_sum_kind kind);

#endif
