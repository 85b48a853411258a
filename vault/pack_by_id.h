/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/pack_by_id.h - a point's pack table, looked up by pack id: pages name
 * packs so. Pure; any thread.
 */
#ifndef CAIRN_VAULT_PACK_BY_ID_H
#define CAIRN_VAULT_PACK_BY_ID_H

#include "vault/point.h"

/* Numbers of the table in the order of ids, to free(). NULL: out of memory. */
uint32_t *pack_by_id_make(const struct point *point);

/* The number of a pack in the table; false: it is not there. */
bool pack_by_id_find(const uint32_t *by_id, const struct point *point,
                     const struct id16 *id, uint32_t *number);

#endif
