/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_jsonrpc.h - JSON-RPC 1.0 and 2.0 as XAPI speaks them.
 */
#ifndef CAIRN_SIM_JSONRPC_H
#define CAIRN_SIM_JSONRPC_H

#include "base/buf.h"
#include "base/json.h"
#include "tests/sim/sim_value.h"

struct sim_jsonrpc {
    bool v2;
    char *method;
    char *id; /* as JSON text, given back with the answer */
    struct sim_value *args;
};

/* False: malformed, and nothing to free. */
bool sim_jsonrpc_read(const char *text, size_t len, struct sim_jsonrpc *out);
void sim_jsonrpc_fini(struct sim_jsonrpc *call);

void sim_jsonrpc_write_response(struct buf *out, const struct sim_jsonrpc *call,
                                const struct sim_value *result,
                                const struct sim_value *failure);

/* A value as JSON text: ints and reals as numbers, dates as texts. */
void sim_jsonrpc_write(struct buf *out, const struct sim_value *v);

/* null becomes "". */
struct sim_value *sim_jsonrpc_value(const struct json *j);

#endif
