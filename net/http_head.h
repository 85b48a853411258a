/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/http_head.h - the head of an answer: status and headers, collected from
 * lines with limits. Pure; any thread, one at a time.
 */
#ifndef CAIRN_NET_HTTP_HEAD_H
#define CAIRN_NET_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* What is kept of the headers of one answer. */
#define HTTP_HEAD_MAX ((size_t)16 * 1024)

enum http_head_result {
    HTTP_HEAD_MORE,    /* further lines follow */
    HTTP_HEAD_WHOLE,   /* the last line of the final (not 1xx) head */
    HTTP_HEAD_BAD,     /* no HTTP/1, or lines that mean two things */
    HTTP_HEAD_TOO_BIG, /* over HTTP_HEAD_MAX */
    HTTP_HEAD_NOMEM,
};

struct http_head {
    int status;      /* 0: no status line yet */
    int64_t length;  /* Content-Length, -1: none */
    bool chunked;    /* Transfer-Encoding was given */
    bool whole;      /* lines from now on are trailers, and are not kept */
    size_t line_sum; /* bytes of all heads, 1xx too */
    struct buf text; /* name NUL value NUL ... */
};

void http_head_init(struct http_head *h);
void http_head_fini(struct http_head *h);

/* One line with its line end; an empty one ends the head. */
enum http_head_result http_head_line(struct http_head *h, const char *line,
                                     size_t len);

/* The first header of that name (case-insensitive), or NULL. */
const char *http_head_find(const struct http_head *h, const char *name);

/* Whether such an answer ends only with its connection. */
bool http_head_ends_by_close(const struct http_head *h, const char *method);

/* Whether a name consists of the characters that RFC 9110 lets a token have,
 * and a value of none that ends or breaks a line. */
bool http_head_name_ok(const char *name);
bool http_head_value_ok(const char *value);

#endif
