/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_ready.h - the line that tells where everything listens.
 */
#ifndef CAIRN_SIM_READY_H
#define CAIRN_SIM_READY_H

#include "base/json.h"
#include "tests/sim/sim_pool.h"

/* NULL: out of memory. */
struct json *sim_ready_json(struct sim *sim);

#endif
