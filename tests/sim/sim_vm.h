/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_vm.h - VMs: made, started, stopped, destroyed. With the lock.
 */
#ifndef CAIRN_SIM_VM_H
#define CAIRN_SIM_VM_H

#include "tests/sim/sim_call.h"

extern const struct sim_method sim_vm_methods[];

/* A VM record with its metrics, halted. uuid may be NULL. */
struct sim_object *sim_vm_new(struct sim_pool *pool, const char *uuid);

/* Halted, Running (on that host), Paused, Suspended; devices follow. */
void sim_vm_set_power(struct sim_pool *pool, struct sim_object *vm,
                      const char *state, const char *host);

/* Write allowed_operations anew. */
void sim_vm_refresh(struct sim_pool *pool, struct sim_object *vm);

/* The record with its VBDs, VIFs, vTPMs and metrics; disks stay. */
void sim_vm_destroy(struct sim_pool *pool, struct sim_object *vm);

/* True, and c has failed with OPERATION_BLOCKED. */
bool sim_vm_blocked(struct sim_call *c, struct sim_object *vm,
                    const char *operation);

/* A host that is up and sees all SRs of the VM's disks: `first` if it does,
 * else any; NULL: none. */
struct sim_host *sim_vm_host(struct sim_pool *pool, struct sim_object *vm,
                             struct sim_host *first);

#endif
