/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_stream.h - the entries of an XVA, one after the other, into a
 * sim_out; and what can be wrong with them.
 */
#ifndef CAIRN_SIM_STREAM_H
#define CAIRN_SIM_STREAM_H

#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_out.h"

struct sim_stream_disk {
    char id[24];
    struct sim_disk *disk;
};

struct sim_stream_opts {
    struct sim_out *out;
    const struct sim_plan *plan;
    const char *ova; /* text of ova.xml */
    const struct sim_stream_disk *disks;
    size_t count;
    bool sha1;
    /* After each piece: bytes of disks that are behind, of all; false: stop. */
    bool (*progress)(void *ctx, uint64_t done, uint64_t all);
    void *ctx;
};

/* False: the out ended early, progress() said stop, or a disk could not be
 * read (then err is set). */
bool sim_stream_run(const struct sim_stream_opts *opts, struct err *err);

#endif
