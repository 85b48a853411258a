/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_misc.h - the calls of hosts, pools, networks, SRs, vTPMs,
 * messages: a handful each.
 */
#ifndef CAIRN_SIM_MISC_H
#define CAIRN_SIM_MISC_H

#include "tests/sim/sim_call.h"
#include "tests/sim/sim_http.h"

extern const struct sim_method sim_misc_methods[];

/* The header line with the coordinator's thumbprint if the request asks for
 * it, else NULL; to free(). */
char *sim_misc_thumbprint(struct sim_pool *pool, const struct sim_request *r);

/* A vTPM with contents. */
struct sim_object *sim_misc_vtpm(struct sim_pool *pool, const char *vm_ref,
                                 const char *contents);

#endif
