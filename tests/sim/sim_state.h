/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_state.h - what the control API tells about the world.
 */
#ifndef CAIRN_SIM_STATE_H
#define CAIRN_SIM_STATE_H

#include "base/json.h"
#include "tests/sim/sim_pool.h"

struct json *sim_state_json(struct sim *sim);
struct json *sim_state_counters(struct sim *sim);
void sim_state_zero_counters(struct sim *sim);
/* {ref: record}; NULL: no such class. */
struct json *sim_state_records(struct sim_pool *pool, const char *cls,
                               struct err *err);

#endif
