/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/seal_pieces.h - a pack's digest (format.md 2): SHA-256 over the
 * SHA-256 of each 16 MiB, the last piece shorter.
 *
 * A writer that hashes its parts anyway gives their hashes in; a reader gives
 * the bytes. One thread at a time.
 */
#ifndef CAIRN_CRYPTO_SEAL_PIECES_H
#define CAIRN_CRYPTO_SEAL_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/seal_suite.h"

#define SEAL_PIECES_BYTES ((uint64_t)16 << 20)
#define SEAL_PIECES_MAX 64 /* of a pack of 1 GiB */

struct seal_pieces;

/* NULL: out of memory. `suite` must outlive it. */
struct seal_pieces *seal_pieces_new(const struct seal_suite *suite);
void seal_pieces_free(struct seal_pieces *p);

/* Begin anew. */
void seal_pieces_begin(struct seal_pieces *p);
/* Bytes in order, in runs of any length. */
void seal_pieces_add(struct seal_pieces *p, const void *data, size_t len);
/* False: the library failed, or more pieces than SEAL_PIECES_MAX. */
bool seal_pieces_end(struct seal_pieces *p, uint8_t out[32]);

/* The digest of pieces whose hashes are known. False: out of memory. */
bool seal_pieces_of(const struct seal_suite *suite, const uint8_t (*hashes)[32],
                    size_t count, uint8_t out[32]);

#endif
