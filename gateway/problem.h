/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/problem.h - errors as the control API tells them (RFC 9457).
 *
 *   {"type": "urn:cairn:problem:not_found", "title": "not found",
 *    "status": 404, "detail": "no vault 'main'", "code": "not_found",
 *    "exit": 10}
 */
#ifndef CAIRN_GATEWAY_PROBLEM_H
#define CAIRN_GATEWAY_PROBLEM_H

#include "base/err.h"
#include "base/exit.h"
#include "base/json.h"

#define PROBLEM_TYPE "application/problem+json"

/* The HTTP status of an error. */
int problem_status(enum err_code code);

/* status 0: problem_status(). NULL: out of memory. */
struct json *problem_new(const struct err *err, int status,
                         enum exit_code exit);

#endif
