/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_xva.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "base/bytes.h"

/* The sum of all bytes, the checksum field taken as spaces. */
static unsigned header_sum(const uint8_t *h)
{
    unsigned sum = 0;

    for (size_t i = 0; i < SIM_XVA_BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : h[i];
    return sum;
}

void sim_xva_header(uint8_t out[SIM_XVA_BLOCK], const char *name, uint64_t size,
                    uint64_t mtime)
{
    char *h = (char *)out;

    memset(out, 0, SIM_XVA_BLOCK);
    snprintf(h, 100, "%s", name);
    snprintf(h + 100, 8, "0000400");
    snprintf(h + 108, 8, "0000000");
    snprintf(h + 116, 8, "0000000");
    snprintf(h + 124, 12, "%011llo", (unsigned long long)size);
    snprintf(h + 136, 12, "%011llo", (unsigned long long)mtime);
    snprintf(h + 148, 8, "%07o", header_sum(out));
}

/* Octal digits, with spaces before and a space or NUL behind. */
static bool octal(const uint8_t *field, size_t len, uint64_t *out)
{
    size_t i = 0;

    *out = 0;
    if (field[0] & 0x80) { /* GNU: base 256 */
        *out = field[0] & 0x3f;
        for (i = 1; i < len; i++)
            *out = *out << 8 | field[i];
        return true;
    }
    while (i < len && field[i] == ' ')
        i++;
    for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
        *out = *out * 8 + (uint64_t)(field[i] - '0');
    return i == len || field[i] == '\0' || field[i] == ' ';
}

bool sim_xva_parse(const uint8_t block[SIM_XVA_BLOCK],
                   struct sim_xva_entry *out)
{
    const char *h = (const char *)block;
    uint64_t sum;

    memset(out, 0, sizeof(*out));
    if (bytes_all_zero(block, SIM_XVA_BLOCK))
        return true;
    if (!octal(block + 148, 8, &sum) || sum != header_sum(block) ||
        !octal(block + 124, 12, &out->size))
        return false;
    out->type = h[156];
    if (memcmp(h + 257, "ustar\0", 6) == 0 && h[345])
        snprintf(out->name, sizeof(out->name), "%.155s/%.100s", h + 345, h);
    else
        snprintf(out->name, sizeof(out->name), "%.100s", h);
    return true;
}

void sim_xva_xxhash(const void *data, size_t len, char out[17])
{
    snprintf(out, 17, "%016llX", (unsigned long long)XXH64(data, len, 0));
}

void sim_xva_sha1(const void *data, size_t len, char out[41])
{
    uint8_t digest[20];
    unsigned n = sizeof(digest);

    EVP_Digest(data, len, digest, &n, EVP_sha1(), NULL);
    bytes_hex(digest, sizeof(digest), out);
}
