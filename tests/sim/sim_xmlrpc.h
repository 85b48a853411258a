/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_xmlrpc.h - XML-RPC as XAPI writes and reads it: no whitespace,
 * no <string>, ints as digits, dates without hyphens.
 *
 * Its own little XML reader, so that the product's cannot hide a fault here.
 */
#ifndef CAIRN_SIM_XMLRPC_H
#define CAIRN_SIM_XMLRPC_H

#include "base/buf.h"
#include "tests/sim/sim_value.h"

/* Append <value>...</value>. */
void sim_xmlrpc_write(struct buf *out, const struct sim_value *v);

/* The same as a text of its own, to free(). */
char *sim_xmlrpc_fragment(const struct sim_value *v);

/* A whole methodCall. False: malformed, and nothing to free. */
bool sim_xmlrpc_read_call(const char *text, size_t len, char **method,
                          struct sim_value **args);

/* One <value> and nothing but space around it; NULL: malformed. */
struct sim_value *sim_xmlrpc_read_value(const char *text, size_t len);

/* A whole methodResponse. failure, when not NULL, replaces the result. */
void sim_xmlrpc_write_response(struct buf *out, const struct sim_value *result,
                               const struct sim_value *failure);

/* system.listMethods: the bare array, without Status and Value. */
void sim_xmlrpc_write_bare(struct buf *out, const struct sim_value *result);

#endif
