/* SPDX-License-Identifier: Apache-2.0 */
#include "image/xva_sum.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <xxhash.h>

#include "base/bytes.h"
#include "crypto/seal_digest.h"

#define SHA1_BYTES 20

struct xva_sum {
    enum xva_sum_kind kind;
    XXH64_state_t *xxhash;
    struct seal_digest *sha1;
};

struct xva_sum *xva_sum_new(const struct seal_suite *suite)
{
    struct xva_sum *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->xxhash = XXH64_createState();
    s->sha1 = seal_digest_new(suite, SEAL_DIGEST_SHA1);
    if (!s->xxhash || !s->sha1) {
        xva_sum_free(s);
        return NULL;
    }
    xva_sum_begin(s, XVA_SUM_XXHASH);
    return s;
}

void xva_sum_free(struct xva_sum *s)
{
    if (!s)
        return;
    XXH64_freeState(s->xxhash);
    seal_digest_free(s->sha1);
    free(s);
}

void xva_sum_begin(struct xva_sum *s, enum xva_sum_kind kind)
{
    s->kind = kind;
    if (kind == XVA_SUM_SHA1)
        seal_digest_begin(s->sha1);
    else
        XXH64_reset(s->xxhash, 0);
}

void xva_sum_add(struct xva_sum *s, const void *data, size_t len)
{
    if (s->kind == XVA_SUM_SHA1)
        seal_digest_add(s->sha1, data, len);
    else
        XXH64_update(s->xxhash, data, len);
}

static void spell_xxhash(XXH64_hash_t value, struct xva_sum_text *out)
{
    out->kind = XVA_SUM_XXHASH;
    snprintf(out->text, sizeof(out->text), "%016" PRIX64, (uint64_t)value);
}

static void spell_sha1(const uint8_t value[SHA1_BYTES],
                       struct xva_sum_text *out)
{
    out->kind = XVA_SUM_SHA1;
    bytes_hex(value, SHA1_BYTES, out->text);
}

bool xva_sum_end(struct xva_sum *s, struct xva_sum_text *out)
{
    uint8_t value[SHA1_BYTES];

    if (s->kind == XVA_SUM_XXHASH) {
        spell_xxhash(XXH64_digest(s->xxhash), out);
        return true;
    }
    if (!seal_digest_end(s->sha1, value))
        return false;
    spell_sha1(value, out);
    return true;
}

bool xva_sum_of(const struct seal_suite *suite, enum xva_sum_kind kind,
                const void *data, size_t len, struct xva_sum_text *out)
{
    uint8_t value[SHA1_BYTES];

    if (kind == XVA_SUM_XXHASH) {
        spell_xxhash(XXH64(data, len, 0), out);
        return true;
    }
    if (!seal_digest_once(suite, SEAL_DIGEST_SHA1, data, len, value))
        return false;
    spell_sha1(value, out);
    return true;
}

bool xva_sum_equal(const struct xva_sum_text *a, const struct xva_sum_text *b)
{
    return a->kind == b->kind && strcasecmp(a->text, b->text) == 0;
}

const char *xva_sum_suffix(enum xva_sum_kind kind)
{
    return kind == XVA_SUM_SHA1 ? ".checksum" : ".xxhash";
}
