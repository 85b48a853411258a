/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_generic.h - the calls that XAPI generates from the field
 * tables: get_record, get_x, set_x, add_to_x, get_by_uuid and so on.
 */
#ifndef CAIRN_SIM_GENERIC_H
#define CAIRN_SIM_GENERIC_H

#include "tests/sim/sim_call.h"

enum sim_generic_kind {
    SIM_GENERIC_NONE,
    SIM_GENERIC_GET_ALL,
    SIM_GENERIC_GET_ALL_RECORDS,
    SIM_GENERIC_GET_ALL_RECORDS_WHERE,
    SIM_GENERIC_GET_RECORD,
    SIM_GENERIC_GET_BY_UUID,
    SIM_GENERIC_GET_BY_NAME,
    SIM_GENERIC_GET,
    SIM_GENERIC_SET,
    SIM_GENERIC_ADD_TO, /* a map's key */
    SIM_GENERIC_REMOVE_FROM,
    SIM_GENERIC_ADD, /* a set's member */
    SIM_GENERIC_REMOVE,
};

struct sim_generic {
    enum sim_generic_kind kind;
    struct sim_class *cls;
    const struct sim_field *field; /* from GET on */
    unsigned args;                 /* after the session */
    enum sim_role role;
};

/* False: no such call. */
bool sim_generic_find(const struct sim_schema *s, const char *method,
                      struct sim_generic *out);
struct sim_value *sim_generic_run(struct sim_call *c,
                                  const struct sim_generic *g);
/* Append the names of all of them. */
void sim_generic_names(const struct sim_schema *s, struct sim_value *set);

#endif
