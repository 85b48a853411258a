/* SPDX-License-Identifier: Apache-2.0 */
#include "image/ova_match.h"

#include <string.h>

#include "base/parse.h"

#define NUMBERS 256 /* userdevices that are numbers are smaller */

static bool is_number(const char *userdevice, uint32_t *position)
{
    uint64_t n;

    if (!parse_u64(userdevice, 0, NUMBERS - 1, &n))
        return false;
    *position = (uint32_t)n;
    return true;
}

/* How many of the other userdevices come before this one; equal ones in the
 * order of the stream. */
static size_t rank_of(const struct ova *o, size_t i)
{
    const char *mine = ova_disk(o, i)->userdevice;
    size_t rank = 0;
    uint32_t n;

    for (size_t k = 0; k < ova_disk_count(o); k++) {
        const char *other = ova_disk(o, k)->userdevice;
        int order = strcmp(other, mine);

        if (!is_number(other, &n) && (order < 0 || (order == 0 && k < i)))
            rank++;
    }
    return rank;
}

/* The one of the backup's disks without a number before which `rank` lie. */
static size_t at_rank(const uint32_t *position, size_t count, size_t rank)
{
    for (size_t k = 0; k < count; k++) {
        size_t before = 0;

        for (size_t m = 0; m < count; m++)
            before += position[m] >= NUMBERS && position[m] < position[k];
        if (position[k] >= NUMBERS && before == rank)
            return k;
    }
    return OVA_MATCH_NONE;
}

static size_t at_number(const uint32_t *position, size_t count, uint32_t n)
{
    size_t k = 0;

    while (k < count && position[k] != n)
        k++;
    return k < count ? k : OVA_MATCH_NONE;
}

void ova_match(const struct ova *o, const uint32_t *position, size_t count,
               size_t *number)
{
    size_t named = 0, places = 0;
    uint32_t n;

    for (size_t i = 0; i < ova_disk_count(o); i++)
        named += !is_number(ova_disk(o, i)->userdevice, &n);
    for (size_t k = 0; k < count; k++)
        places += position[k] >= NUMBERS;
    for (size_t i = 0; i < ova_disk_count(o); i++) {
        if (is_number(ova_disk(o, i)->userdevice, &n))
            number[i] = at_number(position, count, n);
        else if (named == places)
            number[i] = at_rank(position, count, rank_of(o, i));
        else
            number[i] = OVA_MATCH_NONE;
    }
}
