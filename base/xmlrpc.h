/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/xmlrpc.h - values of XML-RPC, as XAPI speaks it on the wire and writes
 * it into ova.xml: parsed with limits, changed, written again.
 *
 * A scalar keeps the text it came with, so that what is not understood is
 * written back unchanged. Integers are digits in a plain value (XAPI's way);
 * <int>, <i4> and <i8> are read and written as they came. Borrowed pointers
 * into a tree live as long as the tree does, and until the part is changed.
 * One thread per tree at a time.
 */
#ifndef CAIRN_BASE_XMLRPC_H
#define CAIRN_BASE_XMLRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/xml.h"

struct xmlrpc;

enum xmlrpc_kind {
    XMLRPC_TEXT, /* strings, refs, enums, digits; "" is also void */
    XMLRPC_INT,  /* <int>, <i4>, <i8> */
    XMLRPC_BOOL,
    XMLRPC_REAL,
    XMLRPC_TIME,
    XMLRPC_ARRAY,
    XMLRPC_STRUCT,
};

/* From a <value> element. ERR_PROTOCOL (unknown tag, a member without name, a
 * member twice), ERR_NOMEM. */
enum err_code xmlrpc_read(const struct xml_node *value, struct xmlrpc **out,
                          struct err *err);

/* From a document that is one <value>. Limits as in xml_parse(). */
enum err_code xmlrpc_parse(const void *text, size_t len, size_t max_bytes,
                           struct xmlrpc **out, struct err *err);

void xmlrpc_free(struct xmlrpc *v);

/* Append as XAPI writes it: no white space, no <string>. False: no room. */
bool xmlrpc_write(const struct xmlrpc *v, struct buf *out);

/* All accept NULL and other kinds: then there is nothing in it. */
enum xmlrpc_kind xmlrpc_kind(const struct xmlrpc *v); /* NULL: XMLRPC_TEXT */
size_t xmlrpc_count(const struct xmlrpc *v); /* of an array or struct, else 0 */
struct xmlrpc *xmlrpc_get(const struct xmlrpc *v, const char *name);
struct xmlrpc *xmlrpc_at(const struct xmlrpc *v, size_t i);
/* Name of the i-th member; *value may be NULL. NULL past the last. */
const char *xmlrpc_name_at(const struct xmlrpc *v, size_t i,
                           struct xmlrpc **value);

/* The value of a scalar, or `otherwise` when v is NULL, no scalar, or its text
 * is not of that form. Any scalar has a text. */
const char *xmlrpc_text(const struct xmlrpc *v, const char *otherwise);
int64_t xmlrpc_int(const struct xmlrpc *v, int64_t otherwise);
double xmlrpc_real(const struct xmlrpc *v, double otherwise);
bool xmlrpc_bool(const struct xmlrpc *v, bool otherwise);

/* Shorthand: xmlrpc_text(xmlrpc_get(v, name), ""). Never NULL. */
const char *xmlrpc_get_text(const struct xmlrpc *v, const char *name);

/*
 * Builders: NULL when out of memory. xmlrpc_set() (replacing) and
 * xmlrpc_append() take the child over in any case, and return false when
 * something was NULL or memory ran out.
 */
struct xmlrpc *xmlrpc_new_text(const char *text);
struct xmlrpc *xmlrpc_new_int(int64_t v); /* digits in a plain value */
struct xmlrpc *xmlrpc_new_bool(bool v);
/* Always with a fraction ("60.1", "1.0"): old servers insist on one. */
struct xmlrpc *xmlrpc_new_real(double v);
struct xmlrpc *xmlrpc_new_array(void);
struct xmlrpc *xmlrpc_new_struct(void);
bool xmlrpc_set(struct xmlrpc *structure, const char *name,
                struct xmlrpc *take);
bool xmlrpc_append(struct xmlrpc *array, struct xmlrpc *take);
bool xmlrpc_set_text(struct xmlrpc *structure, const char *name,
                     const char *text);

/* The member of that name, taken out of the struct; NULL: there is none. */
struct xmlrpc *xmlrpc_detach(struct xmlrpc *structure, const char *name);

/* No error when there is none of that name or index. */
void xmlrpc_remove(struct xmlrpc *structure, const char *name);
void xmlrpc_remove_at(struct xmlrpc *array, size_t i);

struct xmlrpc *xmlrpc_copy(const struct xmlrpc *v);

#endif
