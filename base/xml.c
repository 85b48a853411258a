/* SPDX-License-Identifier: Apache-2.0 */
#include "base/xml.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <libxml/tree.h>
#include <libxml/xmlerror.h>

#include "base/bytes.h"
#include "base/parse.h"

#define DEPTH_MAX 64
#define BLOCK_NODES 128

struct xml_node {
    const char *name; /* in the dictionary */
    const char *text; /* in the document's texts; NULL: none or dropped */
    struct xml_node *parent, *child, *last, *next;
};

struct block {
    struct block *next;
    size_t used;
    struct xml_node nodes[BLOCK_NODES];
};

/*
 * Texts lie one behind the other in one piece of memory, as long as the
 * document: resolving a reference never makes a text longer, and the NUL takes
 * less than the element's tags. Only the innermost open element collects text,
 * so its text is always the last; a child element takes it back.
 */
struct xml_doc {
    struct block *blocks;
    xmlDict *names;
    char *texts;
    size_t texts_len, texts_cap;
    struct xml_node *root;
};

struct parse {
    xmlParserCtxt *ctxt;
    struct xml_doc *doc;
    struct xml_node *open; /* innermost element */
    size_t text_start;     /* of its text */
    unsigned depth;
    struct err err;
};

void xml_setup(void)
{
    xmlInitParser();
}

static void refuse(struct parse *p, enum err_code code, const char *why)
{
    struct err found;

    err_set(&found, code, 0, "XML: line %d: %s",
            p->ctxt->input ? p->ctxt->input->line : 0, why);
    err_keep(&p->err, &found);
    xmlStopParser(p->ctxt);
}

static struct xml_node *new_node(struct xml_doc *doc)
{
    struct block *b = doc->blocks;

    if (!b || b->used == BLOCK_NODES) {
        b = calloc(1, sizeof(*b));
        if (!b)
            return NULL;
        b->next = doc->blocks;
        doc->blocks = b;
    }
    return &b->nodes[b->used++];
}

/* A DTD can define entities and name files; XML from peers never needs one. */
static void on_doctype(void *ctx, const xmlChar *name, const xmlChar *id,
                       const xmlChar *system)
{
    refuse(ctx, ERR_PROTOCOL, "a document type is not accepted");
}

static void on_element(void *ctx, const xmlChar *name, const xmlChar *prefix,
                       const xmlChar *uri, int namespaces_count,
                       const xmlChar **namespaces, int attributes_count,
                       int defaulted, const xmlChar **attributes)
{
    struct parse *p = ctx;
    struct xml_node *parent = p->open;
    struct xml_node *n;

    if (p->err.code)
        return;
    if (++p->depth > DEPTH_MAX) {
        refuse(p, ERR_PROTOCOL, "more than 64 levels");
        return;
    }
    n = new_node(p->doc);
    if (!n) {
        refuse(p, ERR_NOMEM, "out of memory");
        return;
    }
    n->name = (const char *)name;
    n->parent = parent;
    if (!parent)
        p->doc->root = n;
    else if (parent->last)
        parent->last->next = n;
    else
        parent->child = n;
    if (parent) {
        if (!parent->last)
            p->doc->texts_len = p->text_start;
        parent->last = n;
    }
    p->open = n;
    p->text_start = p->doc->texts_len;
}

static void on_text(void *ctx, const xmlChar *text, int len)
{
    struct parse *p = ctx;
    struct xml_doc *doc = p->doc;

    if (p->err.code || !p->open || p->open->child)
        return;
    if ((size_t)len > doc->texts_cap - doc->texts_len) {
        refuse(p, ERR_PROTOCOL, "more text than the document has");
        return;
    }
    memcpy(doc->texts + doc->texts_len, text, (size_t)len);
    doc->texts_len += (size_t)len;
}

static void on_element_end(void *ctx, const xmlChar *name,
                           const xmlChar *prefix, const xmlChar *uri)
{
    struct parse *p = ctx;
    struct xml_doc *doc = p->doc;

    if (p->err.code)
        return;
    if (!p->open->child && doc->texts_len > p->text_start) {
        if (doc->texts_len == doc->texts_cap) {
            refuse(p, ERR_PROTOCOL, "more text than the document has");
            return;
        }
        p->open->text = doc->texts + p->text_start;
        doc->texts[doc->texts_len++] = 0;
    }
    p->depth--;
    p->open = p->open->parent;
    p->text_start = doc->texts_len;
}

static void on_problem(void *ctx, xmlErrorPtr problem)
{
    struct parse *p = ctx;
    struct err found;
    size_t len;

    if (problem->level < XML_ERR_FATAL || p->err.code)
        return;
    if (problem->code == XML_ERR_NO_MEMORY) {
        err_set(&p->err, ERR_NOMEM, 0, "XML: out of memory");
        return;
    }
    len = problem->message ? strcspn(problem->message, "\n") : 0;
    err_set(&found, ERR_PROTOCOL, 0, "XML: line %d: %.*s", problem->line,
            (int)(len > 160 ? 160 : len),
            problem->message ? problem->message : "");
    err_keep(&p->err, &found);
}

static enum err_code run(struct parse *p, const void *text, size_t len)
{
    p->ctxt = xmlCreateMemoryParserCtxt(text, (int)len);
    if (!p->ctxt)
        return err_set(&p->err, ERR_NOMEM, 0, "XML: out of memory");
    memset(p->ctxt->sax, 0, sizeof(*p->ctxt->sax));
    p->ctxt->sax->initialized = XML_SAX2_MAGIC;
    p->ctxt->sax->internalSubset = on_doctype;
    p->ctxt->sax->startElementNs = on_element;
    p->ctxt->sax->endElementNs = on_element_end;
    p->ctxt->sax->characters = on_text;
    p->ctxt->sax->ignorableWhitespace = on_text;
    p->ctxt->sax->cdataBlock = on_text;
    p->ctxt->sax->serror = on_problem;
    p->ctxt->userData = p;
    xmlCtxtUseOptions(p->ctxt, XML_PARSE_NONET | XML_PARSE_IGNORE_ENC);
    xmlParseDocument(p->ctxt);
    if (!p->err.code && (!p->ctxt->wellFormed || !p->doc->root))
        err_set(&p->err, ERR_PROTOCOL, 0, "XML: not well-formed");
    p->doc->names = p->ctxt->dict;
    xmlDictReference(p->doc->names);
    /* libxml2 keeps declared entities in a document, even for us. */
    xmlFreeDoc(p->ctxt->myDoc);
    xmlFreeParserCtxt(p->ctxt);
    return p->err.code;
}

enum err_code xml_parse(const void *text, size_t len, size_t max_bytes,
                        struct xml_doc **out, struct err *err)
{
    struct parse p = {0};

    if (len > max_bytes || len > INT_MAX)
        return err_set(err, ERR_PROTOCOL, 0,
                       "XML: %zu bytes, more than the %zu accepted", len,
                       max_bytes);
    /* This excludes UTF-16 too, whatever the declaration says. */
    if (len == 0 || !parse_utf8(text, len))
        return err_set(err, ERR_PROTOCOL, 0, "XML: %s",
                       len ? "not UTF-8" : "no document");
    p.doc = calloc(1, sizeof(*p.doc));
    if (p.doc)
        p.doc->texts = malloc(len);
    if (!p.doc || !p.doc->texts) {
        free(p.doc);
        return err_set(err, ERR_NOMEM, 0, "XML: out of memory");
    }
    p.doc->texts_cap = len;
    if (run(&p, text, len) != ERR_OK) {
        xml_free(p.doc);
        if (err)
            *err = p.err;
        return p.err.code;
    }
    *out = p.doc;
    return ERR_OK;
}

void xml_free(struct xml_doc *doc)
{
    if (!doc)
        return;
    while (doc->blocks) {
        struct block *b = doc->blocks;

        doc->blocks = b->next;
        free(b);
    }
    if (doc->names)
        xmlDictFree(doc->names);
    free(doc->texts);
    free(doc);
}

const struct xml_node *xml_root(const struct xml_doc *doc)
{
    return doc->root;
}

const char *xml_name(const struct xml_node *n)
{
    return n->name;
}

static const struct xml_node *named(const struct xml_node *n, const char *name)
{
    while (n && name && strcmp(n->name, name) != 0)
        n = n->next;
    return n;
}

const struct xml_node *xml_child(const struct xml_node *n, const char *name)
{
    return n ? named(n->child, name) : NULL;
}

const struct xml_node *xml_next(const struct xml_node *n, const char *name)
{
    return n ? named(n->next, name) : NULL;
}

const char *xml_text(const struct xml_node *n)
{
    if (!n)
        return NULL;
    return n->text ? n->text : "";
}

const char *xml_child_text(const struct xml_node *n, const char *name)
{
    return xml_text(xml_child(n, name));
}

static const char *escape_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&apos;";
    case '\r':
        return "&#13;"; /* else the reader makes a newline of it */
    default:
        return NULL;
    }
}

/* XML 1.0, production 2: what no document can carry, even by reference. */
static bool is_unfit(const char *p, size_t step)
{
    if (step == 1)
        return (uint8_t)*p < 0x20 && *p != '\t' && *p != '\n' && *p != '\r';
    return step == 3 && memcmp(p, "\xef\xbf", 2) == 0 &&
           ((uint8_t)p[2] == 0xbe || (uint8_t)p[2] == 0xbf);
}

bool xml_escape(struct buf *out, const char *text, size_t len)
{
    while (len) {
        size_t step = *text ? parse_utf8_step(text, len) : 1;
        const char *escape = escape_of(*text);

        if (escape)
            buf_add_text(out, escape);
        else if (!step)
            buf_add(out, "?", 1);
        else if (!is_unfit(text, step))
            buf_add(out, text, step);
        text += step ? step : 1;
        len -= step ? step : 1;
    }
    return !buf_failed(out);
}
