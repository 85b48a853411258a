/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/xml.h - small XML documents from peers: parsed whole, with limits.
 *
 * Entities beyond the five of XML, DTDs, processing of external anything, more
 * than 64 levels, and documents over the given size are refused. Namespaces
 * are dropped: names are local names. Mixed content is not kept: an element
 * has children or text. (Over libxml2, which is not included anywhere else.)
 * One thread per document at a time.
 */
#ifndef CAIRN_BASE_XML_H
#define CAIRN_BASE_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct xml_doc;
struct xml_node;

/* Once per process, before threads start. */
void xml_setup(void);

/* ERR_PROTOCOL with the line, ERR_NOMEM. len is at most max_bytes or the
 * document is refused. */
enum err_code xml_parse(const void *text, size_t len, size_t max_bytes,
                        struct xml_doc **out, struct err *err);
void xml_free(struct xml_doc *doc);

const struct xml_node *xml_root(const struct xml_doc *doc);
const char *xml_name(const struct xml_node *n);

/* First child element (of that name, when name is not NULL), or NULL. n may be
 * NULL. */
const struct xml_node *xml_child(const struct xml_node *n, const char *name);
/* Next sibling element (of that name, when name is not NULL), or NULL. */
const struct xml_node *xml_next(const struct xml_node *n, const char *name);

/* The text of an element without child elements, entities resolved; "" when
 * empty. Borrowed. n NULL: NULL. */
const char *xml_text(const struct xml_node *n);

/* xml_text(xml_child(n, name)); NULL when there is no such child. */
const char *xml_child_text(const struct xml_node *n, const char *name);

/* Append text with & < > " ' escaped; control characters that XML 1.0 cannot
 * carry are dropped, bytes that are not UTF-8 become '?'. False: refused, the
 * buffer is marked failed. */
bool xml_escape(struct buf *out, const char *text, size_t len);

#endif
