/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_import.h - PUT /import.
 */
#ifndef CAIRN_SIM_IMPORT_H
#define CAIRN_SIM_IMPORT_H

#include "tests/sim/sim_http.h"

/* False always: an import closes its connection, as *how says. */
bool sim_import_serve(struct sim_conn *c, const struct sim_request *r,
                      enum sim_conn_end *how);

#endif
