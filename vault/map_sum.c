/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "vault/map.h"

/* SHA-256(u64 chunk number || chunk id) as an integer. */
static bool term(struct map_sum *out, struct seal_digest *d, uint64_t chunk,
                 const struct id16 *id)
{
    uint8_t text[24], hash[SEAL_DIGEST_MAX];

    bytes_put_u64(text, chunk);
    memcpy(text + 8, id->b, 16);
    seal_digest_begin(d);
    seal_digest_add(d, text, sizeof(text));
    if (!seal_digest_end(d, hash))
        return false;
    map_sum_get(out, hash);
    return true;
}

void map_sum_join(struct map_sum *s, const struct map_sum *more)
{
    unsigned carry = 0;

    for (int i = 0; i < 4; i++) {
        uint64_t sum = s->w[i] + more->w[i];
        unsigned over = sum < more->w[i];

        s->w[i] = sum + carry;
        carry = over | (s->w[i] < sum);
    }
}

bool map_sum_add(struct map_sum *s, struct seal_digest *d, uint64_t chunk,
                 const struct id16 *id)
{
    struct map_sum t;

    if (!term(&t, d, chunk, id))
        return false;
    map_sum_join(s, &t);
    return true;
}

bool map_sum_sub(struct map_sum *s, struct seal_digest *d, uint64_t chunk,
                 const struct id16 *id)
{
    static const struct map_sum one = {{1, 0, 0, 0}};
    struct map_sum t;

    if (!term(&t, d, chunk, id))
        return false;
    for (int i = 0; i < 4; i++) /* two's complement */
        t.w[i] = ~t.w[i];
    map_sum_join(&t, &one);
    map_sum_join(s, &t);
    return true;
}

void map_sum_put(const struct map_sum *s, uint8_t out[32])
{
    for (int i = 0; i < 4; i++)
        bytes_put_u64(out + 8 * i, s->w[i]);
}

void map_sum_get(struct map_sum *s, const uint8_t in[32])
{
    for (int i = 0; i < 4; i++)
        s->w[i] = bytes_get_u64(in + 8 * i);
}
