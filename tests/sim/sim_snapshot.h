/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_snapshot.h - snapshot, checkpoint, revert, clone and copy of
 * VMs.
 */
#ifndef CAIRN_SIM_SNAPSHOT_H
#define CAIRN_SIM_SNAPSHOT_H

#include "tests/sim/sim_call.h"

extern const struct sim_method sim_snapshot_methods[];

#endif
