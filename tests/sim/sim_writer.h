/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_writer.h - a guest that writes to its disk: marked blocks of
 * ever higher generations.
 */
#ifndef CAIRN_SIM_WRITER_H
#define CAIRN_SIM_WRITER_H

#include "base/json.h"
#include "tests/sim/sim_pool.h"

struct sim_writer_stats {
    uint64_t written;    /* blocks */
    uint64_t generation; /* of the last one */
};

/* With the lock. how: "rate", "first", "blocks", "order". A disk has at most
 * one writer. */
enum err_code sim_writer_start(struct sim_pool *pool, const char *vm_ref,
                               const char *device, const struct json *how,
                               struct err *err);

/* Without the lock; returns when the last block is written. */
enum err_code sim_writer_stop(struct sim_pool *pool, const char *vm_ref,
                              const char *device,
                              struct sim_writer_stats *stats, struct err *err);

/* The live disk of a VM; NULL: none. With the lock; borrowed. */
struct sim_object *sim_writer_vdi(struct sim_pool *pool, const char *vm_ref,
                                  const char *device);

#endif
