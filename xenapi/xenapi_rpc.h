/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_rpc.h - XAPI's requests and answers in XML-RPC. Pure; any
 * thread.
 */
#ifndef CAIRN_XENAPI_XENAPI_RPC_H
#define CAIRN_XENAPI_XENAPI_RPC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/xmlrpc.h"

/* An API error: ["VM_BAD_POWER_STATE", ref, "halted", "running"]. */
struct xenapi_rpc_failure {
    char code[80];
    struct xmlrpc *list; /* code and parameters; owned by who made it */
};

/* The i-th parameter (0 is the first behind the code), "" when absent. */
const char *xenapi_rpc_param(const struct xenapi_rpc_failure *f, size_t i);
bool xenapi_rpc_is(const struct xenapi_rpc_failure *f, const char *code);
void xenapi_rpc_failure_fini(struct xenapi_rpc_failure *f);

/* Append a methodCall. session NULL: without it as the first parameter.
 * params is an array. False: no room. */
bool xenapi_rpc_request(const char *method, const char *session,
                        const struct xmlrpc *params, struct buf *out);

/*
 * A methodResponse. ERR_OK: either *value is set and yours, or the pool said
 * no and *failure is filled in. ERR_PROTOCOL, ERR_NOMEM.
 */
enum err_code xenapi_rpc_answer(const void *text, size_t len, size_t max_bytes,
                                struct xmlrpc **value,
                                struct xenapi_rpc_failure *failure,
                                struct err *err);

/* From an array of texts (a task's error_info). ERR_NOMEM. */
enum err_code xenapi_rpc_failure_from(const struct xmlrpc *list,
                                      struct xenapi_rpc_failure *f,
                                      struct err *err);

/*
 * What kind of failure an API error is: ERR_DENIED (rights, password),
 * ERR_NOT_FOUND (HANDLE_INVALID, UUID_INVALID), ERR_QUOTA (no room on an SR,
 * licence), ERR_AGAIN (busy, booting, upgrading), ERR_CONFLICT (UUID, MAC seed
 * or device in use), ERR_CANCELLED (TASK_CANCELLED), else ERR_REMOTE.
 */
enum err_code xenapi_rpc_code(const struct xenapi_rpc_failure *f);

/* *err from an API error, code and words, session refs left out. Returns the
 * code. */
enum err_code xenapi_rpc_err(const struct xenapi_rpc_failure *f,
                             struct err *err);

#endif
