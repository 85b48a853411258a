/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_server.h - the listening sockets of all hosts, and a thread per
 * connection.
 */
#ifndef CAIRN_SIM_SERVER_H
#define CAIRN_SIM_SERVER_H

#include "base/err.h"
#include "tests/sim/sim_pool.h"

/* Bind and listen; ports are filled in. */
enum err_code sim_server_open(struct sim *sim, const char *control_path,
                              struct err *err);

/* Accept until the process ends. */
void sim_server_start(struct sim *sim);

/* A host that is down refuses connections, and ends those it has. */
enum err_code sim_server_set_down(struct sim_host *h, bool down,
                                  struct err *err);

/* End the connections it has; it takes new ones. */
void sim_server_kick(struct sim_host *h);

#endif
