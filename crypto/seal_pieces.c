/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/seal_pieces.h"

#include <stdlib.h>

#include "crypto/seal_digest.h"

struct seal_pieces {
    const struct seal_suite *suite;
    struct seal_digest *piece;
    uint64_t in_piece; /* bytes added to `piece` */
    size_t count;      /* of hashes */
    bool failed;
    uint8_t hashes[SEAL_PIECES_MAX][32];
};

struct seal_pieces *seal_pieces_new(const struct seal_suite *suite)
{
    struct seal_pieces *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->suite = suite;
    p->piece = seal_digest_new(suite, SEAL_DIGEST_SHA256);
    if (!p->piece) {
        free(p);
        return NULL;
    }
    return p;
}

void seal_pieces_free(struct seal_pieces *p)
{
    if (!p)
        return;
    seal_digest_free(p->piece);
    free(p);
}

void seal_pieces_begin(struct seal_pieces *p)
{
    seal_digest_begin(p->piece);
    p->in_piece = 0;
    p->count = 0;
    p->failed = false;
}

static void end_piece(struct seal_pieces *p)
{
    if (p->count == SEAL_PIECES_MAX ||
        !seal_digest_end(p->piece, p->hashes[p->count])) {
        p->failed = true;
        return;
    }
    p->count++;
    seal_digest_begin(p->piece);
    p->in_piece = 0;
}

void seal_pieces_add(struct seal_pieces *p, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (len && !p->failed) {
        uint64_t room = SEAL_PIECES_BYTES - p->in_piece;
        size_t n = len < room ? len : (size_t)room;

        seal_digest_add(p->piece, at, n);
        at += n;
        len -= n;
        p->in_piece += n;
        if (p->in_piece == SEAL_PIECES_BYTES)
            end_piece(p);
    }
}

bool seal_pieces_end(struct seal_pieces *p, uint8_t out[32])
{
    if (p->in_piece)
        end_piece(p);
    return !p->failed && seal_pieces_of(p->suite, p->hashes, p->count, out);
}

bool seal_pieces_of(const struct seal_suite *suite, const uint8_t (*hashes)[32],
                    size_t count, uint8_t out[32])
{
    return seal_digest_once(suite, SEAL_DIGEST_SHA256, hashes, count * 32, out);
}
