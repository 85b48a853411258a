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
#include "crypto/seal_suite.h"

enum xva_sum_kind { XVA_SUM_XXHASH, XVA_SUM_SHA1 };

/* A checksum's value as the archive spells it. */
struct xva_sum_text {
    enum xva_sum_kind kind;
    char text[41]; /* digits and a NUL */
};

struct xva_sum; /* an incremental checksum */

/* `suite` (for SHA-1) must outlive it. NULL: out of memory. */
struct xva_sum *xva_sum_new(const struct seal_suite *suite);
void xva_sum_free(struct xva_sum *s);

/* Begin anew, whatever was added before. */
void xva_sum_begin(struct xva_sum *s, enum xva_sum_kind kind);
void xva_sum_add(struct xva_sum *s, const void *data, size_t len);
/* False: out of memory, now or when it was begun. */
bool xva_sum_end(struct xva_sum *s, struct xva_sum_text *out);

/* All at once, for a worker. False: out of memory. */
bool xva_sum_of(const struct seal_suite *suite, enum xva_sum_kind kind,
                const void *data, size_t len, struct xva_sum_text *out);

/* Hex digits count in either case, as XAPI compares them. */
bool xva_sum_equal(const struct xva_sum_text *a, const struct xva_sum_text *b);

/* ".xxhash" or ".checksum" */
const char *xva_sum_suffix(enum xva_sum_kind kind);

#endif
