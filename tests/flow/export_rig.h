/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/flow/export_rig.h - two VMs, one that can be exported ("cold") and one
 * that runs ("hot"), and a small pipe: transfer -> reader -> memory.
 */
#ifndef CAIRN_TESTS_EXPORT_RIG_H
#define CAIRN_TESTS_EXPORT_RIG_H

#include "image/xva_read.h"
#include "pool_rig.h"
#include "xenapi/xenapi_export.h"
#include "xenapi/xenapi_transfer.h"

#define EXPORT_RIG_DISKS 3

struct export_rig {
    struct pool_rig pool;
    struct seal_suite *suite;
    char *cold, *hot;                  /* references */
    uint8_t *expect[EXPORT_RIG_DISKS]; /* what lies there, by device */
};

/* A test program has one. */
extern struct export_rig export_rig;

/* For the group, and behind each test. */
int export_rig_open(void **state);
int export_rig_close(void **state);
int export_rig_after(void **state);

/* One export. The second part is the test's to set, before it begins. */
struct export_rig_taking {
    struct pool_rig_end end;
    struct xenapi_export *export;
    struct xenapi_transfer *transfer;
    struct xva_read *reader;
    struct err stream;
    uint8_t *disks[EXPORT_RIG_DISKS]; /* what came */
    uint8_t rest[16384];
    size_t rest_len, rest_at;
    struct timer resume;
    unsigned pieces, paused, asked, tickets;
    bool transferring;
    size_t fed;

    unsigned pause_every, refuse_every;
    size_t cut_at;      /* cancel the export after so many bytes */
    size_t pause_at;    /* after so many bytes, take nothing */
    uint64_t pause_ms;  /* for so long */
    const char *down;   /* host that goes before the first transfer begins */
    struct timer later; /* what happens meanwhile */
};

void export_rig_open_taking(struct export_rig_taking *p);
void export_rig_close_taking(struct export_rig_taking *p);
void export_rig_begin(struct export_rig_taking *p, const char *ref, bool zstd);
/* Begin, and wait for its end. */
void export_rig_take(struct export_rig_taking *p, const char *ref, bool zstd);
/* What came is what lies on the disks. */
void export_rig_expect(const struct export_rig_taking *p);

void export_rig_host_down(const char *host, bool down);

#endif
