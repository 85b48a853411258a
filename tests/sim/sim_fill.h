/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_fill.h - contents of test disks that can be told apart: marked
 * blocks and random bytes, both as README.md describes them.
 */
#ifndef CAIRN_SIM_FILL_H
#define CAIRN_SIM_FILL_H

#include "base/bytes.h"
#include "tests/sim/sim_disk.h"

#define SIM_FILL_BLOCK 4096u

/* One marked block. */
void sim_fill_mark(uint8_t out[SIM_FILL_BLOCK], const struct id16 *vm,
                   uint32_t device, uint64_t block, uint64_t generation);

/* len bytes that do not compress, a function of the seed. */
void sim_fill_random(uint8_t *out, size_t len, uint64_t seed);

struct sim_fill {
    bool random; /* else marked */
    struct id16 vm;
    uint32_t device;
    uint64_t used; /* bytes to fill, in pieces of 1 MiB spread evenly */
};

enum err_code sim_fill_disk(struct sim_disk *d, const struct sim_fill *how,
                            struct err *err);

/* Marked blocks first to first + count - 1. */
enum err_code sim_fill_blocks(struct sim_disk *d, const struct sim_fill *how,
                              uint64_t first, uint64_t count,
                              uint64_t generation, struct err *err);

/* Random bytes at a place. */
enum err_code sim_fill_range(struct sim_disk *d, uint64_t offset, uint64_t len,
                             uint64_t seed, struct err *err);

#endif
