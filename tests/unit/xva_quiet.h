/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/xva_quiet.h - takes an XVA as it comes and says nothing of it. */
#ifndef CAIRN_TESTS_XVA_QUIET_H
#define CAIRN_TESTS_XVA_QUIET_H

#include "image/xva_read.h"

static void xva_quiet_ova(void *ctx, const struct ova *ova,
                          const uint8_t *text, size_t len)
{
}

static void xva_quiet_begin(void *ctx, uint32_t disk)
{
}

static size_t xva_quiet_data(void *ctx, uint32_t disk, uint64_t offset,
                             const uint8_t *bytes, size_t len)
{
    return len;
}

static bool xva_quiet_hole(void *ctx, uint32_t disk, uint64_t offset,
                           uint64_t len)
{
    return true;
}

static void xva_quiet_disk_end(void *ctx, uint32_t disk, uint64_t total)
{
}

static void xva_quiet_end(void *ctx)
{
}

/* To be changed where somebody wants to see something. */
static inline struct xva_read_events xva_quiet(void)
{
    return (struct xva_read_events){
        .ova = xva_quiet_ova,
        .disk_begin = xva_quiet_begin,
        .data = xva_quiet_data,
        .hole = xva_quiet_hole,
        .disk_end = xva_quiet_disk_end,
        .end = xva_quiet_end,
    };
}

#endif
