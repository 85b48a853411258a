/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_export.h - GET /export.
 */
#ifndef CAIRN_SIM_EXPORT_H
#define CAIRN_SIM_EXPORT_H

#include "tests/sim/sim_http.h"

/* False always: an export closes its connection, as *how says. */
bool sim_export_serve(struct sim_conn *c, const struct sim_request *r,
                      enum sim_conn_end *how);

#endif
