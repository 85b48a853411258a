/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/pack_by_id.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b, void *ctx)
{
    const struct point_pack *pack = ctx;

    return memcmp(pack[*(const uint32_t *)a].id.b,
                  pack[*(const uint32_t *)b].id.b, sizeof(pack->id.b));
}

uint32_t *pack_by_id_make(const struct point *point)
{
    uint32_t *by_id = malloc((point->packs + 1) * sizeof(*by_id));

    if (!by_id)
        return NULL;
    for (uint32_t i = 0; i < point->packs; i++)
        by_id[i] = i;
    if (point->packs)
        qsort_r(by_id, point->packs, sizeof(*by_id), compare,
                (void *)(uintptr_t)point->pack);
    return by_id;
}

bool pack_by_id_find(const uint32_t *by_id, const struct point *point,
                     const struct id16 *id, uint32_t *number)
{
    size_t low = 0, high = point->packs;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = memcmp(point->pack[by_id[mid]].id.b, id->b, sizeof(id->b));

        if (order == 0) {
            *number = by_id[mid];
            return true;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}
