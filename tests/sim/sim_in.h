/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_in.h - the body of an import on its way in: bounded by its
 * length, uncompressed if it was, broken off as a plan says, and its tar
 * entries.
 */
#ifndef CAIRN_SIM_IN_H
#define CAIRN_SIM_IN_H

#include "tests/sim/sim_conn.h"
#include "tests/sim/sim_xva.h"

enum sim_in_end {
    SIM_IN_GOING,
    SIM_IN_EOF,    /* too early */
    SIM_IN_BAD,    /* no tar header where one must be, or bad compression */
    SIM_IN_CUT,    /* import_cut */
    SIM_IN_FAIL,   /* import_fail */
    SIM_IN_VANISH, /* import_vanish */
};

struct sim_in;

/* conn and plan are borrowed. */
struct sim_in *sim_in_new(struct sim_conn *conn, bool has_length,
                          uint64_t length, const struct sim_plan *plan);
/* All of it, or false. */
bool sim_in_read(struct sim_in *in, void *buf, size_t len);
bool sim_in_skip(struct sim_in *in, uint64_t len);

/* The next entry's header, with what ustar, GNU and pax say of it. A block of
 * zeros: an empty name. */
bool sim_in_entry(struct sim_in *in, struct sim_xva_entry *out);

enum sim_in_end sim_in_ended(const struct sim_in *in);
uint64_t sim_in_bytes(const struct sim_in *in); /* of the body */
void sim_in_free(struct sim_in *in);

#endif
