/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_rpc.h - takes a call, finds what answers it, runs it, now or as
 * a task.
 */
#ifndef CAIRN_SIM_RPC_H
#define CAIRN_SIM_RPC_H

#include "tests/sim/sim_http.h"

/* POST /, /RPC2, /json (XML-RPC) or /jsonrpc: read the body, answer. False:
 * the connection is to be ended, as *how says. */
bool sim_rpc_serve(struct sim_conn *c, const struct sim_request *r,
                   enum sim_conn_end *how);

#endif
