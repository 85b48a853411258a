/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/http_target.h - what a request asks for: path and query parameters,
 * percent-decoded. Pure; any thread.
 *
 * Refused: anything but a path with a query, wrong percent-encoding, what
 * decodes to control characters or to no UTF-8, and over 64 parameters. In a
 * query '+' is a space. A parameter without '=' has an empty value.
 */
#ifndef CAIRN_NET_HTTP_TARGET_H
#define CAIRN_NET_HTTP_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define HTTP_TARGET_PARAMS 64

struct http_target {
    char *path; /* owned, and holds all texts below */
    struct {
        const char *name, *value;
    } params[HTTP_TARGET_PARAMS];
    size_t count;
};

/* ERR_PROTOCOL, ERR_NOMEM. On failure *out holds nothing. */
enum err_code http_target_parse(const char *text, struct http_target *out);
void http_target_fini(struct http_target *t);

/* Value of the first parameter of that name, or NULL. */
const char *http_target_find(const struct http_target *t, const char *name);

#endif
