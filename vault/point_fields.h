/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/point_fields.h - the numbers of a point's fields (format.md 5) and what
 * a decoded point owns, for point*.c alone.
 */
#ifndef CAIRN_VAULT_POINT_FIELDS_H
#define CAIRN_VAULT_POINT_FIELDS_H

#include "vault/point.h"

enum point_field {
    POINT_SERIES = 1,
    POINT_NAME = 2,
    POINT_POOL = 3,
    POINT_METADATA = 4,
    POINT_TIMES = 5,
    POINT_SOURCE = 6,
    POINT_CONSISTENCY = 7,
    POINT_GATEWAY = 8,
    POINT_PREVIOUS = 9,
    POINT_ROSTER = 10,
    POINT_RETENTION = 11,
    POINT_TOTALS = 12,
    POINT_UNFINISHED = 13,
    POINT_REPLACES = 14,
    POINT_VM = 15,
    POINT_KEYS = 20,
    POINT_PACKS = 21,
    POINT_DISK = 22,
};

enum point_disk_field {
    POINT_DISK_POSITION = 1,
    POINT_DISK_VDI = 2,
    POINT_DISK_NAME = 3,
    POINT_DISK_BYTES = 4,
    POINT_DISK_LOG2 = 5,
    POINT_DISK_MAP = 6,
    POINT_DISK_PAGES = 7,
    POINT_DISK_SUM = 8,
};

#define POINT_SERIES_MAX 128u
#define POINT_PACK_BYTES 20u /* an entry of the pack table */

/* A decoded point and what it owns. */
struct point_owned {
    struct point point; /* first: what the caller holds */
    struct id16 *keys;
    struct point_pack *packs;
    struct point_disk *disks;
    size_t disks_room;
    struct buf plain; /* point_open()'s */
};

#endif
