/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_config_vm.h - a VM of the pool file, made at start or later.
 */
#ifndef CAIRN_SIM_CONFIG_VM_H
#define CAIRN_SIM_CONFIG_VM_H

#include "base/json.h"
#include "tests/sim/sim_pool.h"

/* With the lock (at start, without). *ref (SIM_REF_MAX bytes, or NULL) names
 * it. After a failure the pool may hold a part of it. */
enum err_code sim_config_vm_add(struct sim_pool *pool, const struct json *j,
                                char *ref, struct err *err);

#endif
