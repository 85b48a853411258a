/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/flow/snapshot_rig.h - a pool with one VM, "web", of two disks, and
 * snapshots of it. Behind each test nothing but these must be there.
 */
#ifndef CAIRN_TESTS_SNAPSHOT_RIG_H
#define CAIRN_TESTS_SNAPSHOT_RIG_H

#include "pool_rig.h"
#include "xenapi/xenapi_snapshot.h"
#include "xenapi/xenapi_vm.h"

struct snapshot_rig {
    struct pool_rig pool;
    char *web; /* its ref */
};

/* A test program has one. */
extern struct snapshot_rig snapshot_rig;

/* For the group, and for each test. */
int snapshot_rig_open(void **state);
int snapshot_rig_close(void **state);
int snapshot_rig_before(void **state);
int snapshot_rig_after(void **state);

/* A snapshot of web by gateway gw1; the first does not wait. */
void snapshot_rig_begin(struct pool_rig_end *e, const char *job,
                        struct xenapi_snapshot **op);
void snapshot_rig_make(struct pool_rig_end *e, const char *job);

/* Remove one, and wait; the second fails the test if it cannot. */
struct err snapshot_rig_remove_as(const struct xenapi_vm_remove_opts *opts);
void snapshot_rig_remove(const char *ref);

/* What is found of a gateway: how many, and the first. */
struct snapshot_rig_found {
    struct pool_rig_end end;
    char job[40], name[80], vm[80], ref[80];
    size_t count;
};
void snapshot_rig_find(const char *gateway, struct snapshot_rig_found *f);

#endif
