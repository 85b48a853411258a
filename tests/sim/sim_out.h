/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_out.h - the body of an export on its way out: compressed if
 * wanted, and broken off, slowed down or stalled as a plan says.
 */
#ifndef CAIRN_SIM_OUT_H
#define CAIRN_SIM_OUT_H

#include "tests/sim/sim_conn.h"

enum sim_out_compression { SIM_OUT_PLAIN, SIM_OUT_ZSTD, SIM_OUT_GZIP };

/* Why a body ended early. */
enum sim_out_end {
    SIM_OUT_GOING,
    SIM_OUT_GONE,   /* the client is */
    SIM_OUT_CUT,    /* export_cut */
    SIM_OUT_APPEND, /* export_append_500 */
};

struct sim_out;

/* conn and plan are borrowed. NULL: gzip could not be started. */
struct sim_out *sim_out_new(struct sim_conn *conn,
                            enum sim_out_compression compression,
                            const struct sim_plan *plan);
/* False: it ended early. */
bool sim_out_write(struct sim_out *o, const void *data, size_t len);
/* What the compressor still holds. False as above. */
bool sim_out_finish(struct sim_out *o);
enum sim_out_end sim_out_ended(const struct sim_out *o);
uint64_t sim_out_bytes(const struct sim_out *o); /* of the body */
void sim_out_free(struct sim_out *o);

#endif
