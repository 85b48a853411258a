/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/walk_rig.h - disk 0 of a point, made of runs of chunks, and walks
 * over it.
 */
#ifndef CAIRN_TESTS_UNIT_WALK_RIG_H
#define CAIRN_TESTS_UNIT_WALK_RIG_H

#include "vault_make.h"
#include "vault_walk.h"

#define WALK_RIG_CHUNK 65536u
#define WALK_RIG_RUNS 4000

struct walk_rig {
    struct vault_rig vault;
    struct keyring *keys;
    struct vault_make make;
    struct map_run runs[WALK_RIG_RUNS];
    size_t run_count;
    uint64_t disk_bytes; /* what the runs come to */
};

/* A test program has one. */
extern struct walk_rig walk_rig;

int walk_rig_set_up(void **state);
int walk_rig_tear_down(void **state);

/* An empty vault, and no runs. */
void walk_rig_begin(void);
void walk_rig_end(void);
void walk_rig_add(uint32_t count, uint32_t pack, uint32_t first);
/* The disk of all runs so far. */
void walk_rig_disk(bool paged);
/* Begins with one of 60 chunks in one pack. */
void walk_rig_one_pack(void);

/* Walk disk 0; on success what came must be what the runs say. */
enum err_code walk_rig_walk(struct vault_walk *w);
/* The same where it must be well. */
void walk_rig_expect(struct vault_walk *w);

#endif
