/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/flow/import_rig.h - a VM, "cold", that was exported, and its XVA given
 * back to the pool. Behind each test only what was there may be there.
 */
#ifndef CAIRN_TESTS_IMPORT_RIG_H
#define CAIRN_TESTS_IMPORT_RIG_H

#include "base/buf.h"
#include "image/ova.h"
#include "image/xva_write.h"
#include "pool_rig.h"
#include "xenapi/xenapi_import.h"
#include "xenapi/xenapi_transfer.h"

#define IMPORT_RIG_DISKS 2
#define IMPORT_RIG_SIZE_0 ((size_t)9 << 20)
#define IMPORT_RIG_SIZE_1 ((size_t)2621440) /* two blocks and a half */

struct import_rig {
    struct pool_rig pool;
    uint8_t *contents[IMPORT_RIG_DISKS];
    struct buf ova; /* as the pool exported it */
};

/* A test program has one. */
extern struct import_rig import_rig;

/* For the group, and for each test. */
int import_rig_open(void **state);
int import_rig_close(void **state);
int import_rig_before(void **state);
int import_rig_after(void **state);

/* One import. */
struct import_rig_giving {
    struct pool_rig_end end;
    struct xenapi_import *import;
    struct xenapi_transfer *transfer;
    struct ova *ova;
    struct buf text;
    struct xva_write *writer;
    uint8_t present[IMPORT_RIG_DISKS][2];
    struct timer resume;
    unsigned wait_every, asked;
    size_t fail_at; /* the source breaks after so many bytes */
    size_t cancel_at;
    bool reported;
    const char *down; /* host that goes before the first transfer begins */
    unsigned tickets;
};

void import_rig_open_giving(struct import_rig_giving *g,
                            const struct ova_rewrite_opts *how,
                            enum xva_sum_kind sum);
void import_rig_close_giving(struct import_rig_giving *g);
/* Begin, and wait for its end; sr: a name of the pool file, or a uuid. */
void import_rig_give(struct import_rig_giving *g, const char *sr, bool restore);

#endif
