/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_http.h - requests as XAPI's HTTP server reads them, answers as
 * it writes them.
 */
#ifndef CAIRN_SIM_HTTP_H
#define CAIRN_SIM_HTTP_H

#include "base/buf.h"
#include "tests/sim/sim_conn.h"

#define SIM_HTTP_HEAD_MAX 1024  /* max_header_length_tcp */
#define SIM_HTTP_RPC_MAX 307200 /* body of a call */

struct sim_request {
    char *method, *path, *query_text;
    struct sim_value *query, *cookie, *headers; /* maps; header names small */
    int minor;                                  /* HTTP/1.x */
    bool keep_alive;
    bool has_length;
    uint64_t length;
    bool encoded;          /* Transfer-Encoding is there */
    char *user, *password; /* Basic; NULL: none */
};

/* What came of reading a head. */
enum sim_http_head {
    SIM_HTTP_OK,
    SIM_HTTP_CLOSED,  /* before the first byte, or in the middle */
    SIM_HTTP_LARGE,   /* over max: 431 */
    SIM_HTTP_TIMEOUT, /* 408 */
    SIM_HTTP_BAD,     /* 400 */
};

enum sim_http_head sim_http_read(struct sim_conn *c, size_t max,
                                 struct sim_request *out);
void sim_http_fini(struct sim_request *r);

/* From the cookie, else the query; NULL: neither. */
const char *sim_http_param(const struct sim_request *r, const char *key);
const char *sim_http_header(const struct sim_request *r, const char *name);

/* An RPC answer, with the request's version and connection. extra: header
 * lines, or "". */
bool sim_http_answer(struct sim_conn *c, const struct sim_request *r,
                     const char *type, const char *extra, const void *body,
                     size_t len);

/* XAPI's error pages, and the connection is to be closed after them. `info`
 * (may be NULL) is the API error of a 500. realm is for 401. */
bool sim_http_error(struct sim_conn *c, int status, const char *info,
                    const char *realm);
/* The text of such an answer. */
void sim_http_error_text(struct buf *out, int status, const char *info,
                         const char *realm);

/* 302 to another place. */
bool sim_http_redirect(struct sim_conn *c, const char *location);

#endif
