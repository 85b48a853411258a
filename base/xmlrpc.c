/* SPDX-License-Identifier: Apache-2.0 */
#include "base/xmlrpc.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct member {
    char *name; /* NULL in arrays */
    struct xmlrpc *value;
};

struct xmlrpc {
    enum xmlrpc_kind kind;
    const char *tag; /* of a scalar; NULL: written without one */
    char *text;      /* of a scalar */
    struct member *items;
    size_t count, cap;
};

static const struct {
    const char *tag;
    enum xmlrpc_kind kind;
    bool silent; /* XAPI writes such values without the tag */
} scalars[] = {
    {"string", XMLRPC_TEXT, true},
    {"int", XMLRPC_INT, false},
    {"i4", XMLRPC_INT, false},
    {"i8", XMLRPC_INT, false},
    {"boolean", XMLRPC_BOOL, false},
    {"double", XMLRPC_REAL, false},
    {"dateTime.iso8601", XMLRPC_TIME, false},
};

#define SCALARS (sizeof(scalars) / sizeof(scalars[0]))
/* Up to so many members are compared pairwise to find one that is there twice;
 * more are sorted. */
#define FEW_MEMBERS 16

static struct xmlrpc *node_new(enum xmlrpc_kind kind)
{
    struct xmlrpc *v = calloc(1, sizeof(*v));

    if (v)
        v->kind = kind;
    return v;
}

static struct xmlrpc *scalar_new(enum xmlrpc_kind kind, const char *tag,
                                 const char *text)
{
    struct xmlrpc *v = node_new(kind);

    if (!v)
        return NULL;
    v->tag = tag;
    v->text = strdup(text);
    if (!v->text) {
        free(v);
        return NULL;
    }
    return v;
}

void xmlrpc_free(struct xmlrpc *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->count; i++) {
        free(v->items[i].name);
        xmlrpc_free(v->items[i].value);
    }
    free(v->items);
    free(v->text);
    free(v);
}

/* Takes the value over in any case; copies the name. */
static bool item_add(struct xmlrpc *v, const char *name, struct xmlrpc *take)
{
    struct member *items;
    char *copy = NULL;
    size_t cap;

    if (v->count == v->cap) {
        cap = v->cap ? 2 * v->cap : 4;
        items = realloc(v->items, cap * sizeof(*items));
        if (!items) {
            xmlrpc_free(take);
            return false;
        }
        v->items = items;
        v->cap = cap;
    }
    if (name) {
        copy = strdup(name);
        if (!copy) {
            xmlrpc_free(take);
            return false;
        }
    }
    v->items[v->count++] = (struct member){copy, take};
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The name that occurs twice, or NULL. *nomem: it could not be found out. */
static const char *find_twice(const struct xmlrpc *v, bool *nomem)
{
    const char **names;
    const char *twice = NULL;

    if (v->count <= FEW_MEMBERS) {
        for (size_t i = 1; i < v->count; i++)
            for (size_t j = 0; j < i; j++)
                if (strcmp(v->items[i].name, v->items[j].name) == 0)
                    return v->items[i].name;
        return NULL;
    }
    names = malloc(v->count * sizeof(*names));
    if (!names) {
        *nomem = true;
        return NULL;
    }
    for (size_t i = 0; i < v->count; i++)
        names[i] = v->items[i].name;
    qsort(names, v->count, sizeof(*names), by_text);
    for (size_t i = 1; i < v->count && !twice; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            twice = names[i];
    free(names);
    return twice;
}

static enum err_code read_struct(const struct xml_node *n, struct xmlrpc **out,
                                 struct err *err)
{
    struct xmlrpc *v = node_new(XMLRPC_STRUCT);
    struct xmlrpc *child = NULL;
    const struct xml_node *m;
    const char *name, *twice;
    enum err_code rc = ERR_OK;
    bool nomem = false;

    if (!v)
        return err_set(err, ERR_NOMEM, 0, "an XML-RPC struct");
    for (m = xml_child(n, NULL); m; m = xml_next(m, NULL)) {
        name = xml_child_text(m, "name");
        if (strcmp(xml_name(m), "member") != 0 || !name) {
            rc = err_set(err, ERR_PROTOCOL, 0,
                         "an XML-RPC struct holds <%s> instead of members",
                         xml_name(m));
            goto out;
        }
        rc = xmlrpc_read(xml_child(m, "value"), &child, err);
        if (rc != ERR_OK)
            goto out;
        if (!item_add(v, name, child)) {
            rc = err_set(err, ERR_NOMEM, 0, "an XML-RPC struct");
            goto out;
        }
    }
    twice = find_twice(v, &nomem);
    if (twice)
        rc = err_set(err, ERR_PROTOCOL, 0, "an XML-RPC struct has two \"%s\"",
                     twice);
    else if (nomem)
        rc = err_set(err, ERR_NOMEM, 0, "an XML-RPC struct");
    else {
        *out = v;
        v = NULL;
    }
out:
    xmlrpc_free(v);
    return rc;
}

static enum err_code read_array(const struct xml_node *n, struct xmlrpc **out,
                                struct err *err)
{
    const struct xml_node *data = xml_child(n, "data");
    const struct xml_node *m;
    struct xmlrpc *v, *child = NULL;
    enum err_code rc = ERR_OK;

    if (!data)
        return err_set(err, ERR_PROTOCOL, 0, "an XML-RPC array has no <data>");
    v = node_new(XMLRPC_ARRAY);
    if (!v)
        return err_set(err, ERR_NOMEM, 0, "an XML-RPC array");
    for (m = xml_child(data, NULL); m; m = xml_next(m, NULL)) {
        rc = xmlrpc_read(m, &child, err);
        if (rc != ERR_OK)
            goto out;
        if (!item_add(v, NULL, child)) {
            rc = err_set(err, ERR_NOMEM, 0, "an XML-RPC array");
            goto out;
        }
    }
    *out = v;
    v = NULL;
out:
    xmlrpc_free(v);
    return rc;
}

static enum err_code read_scalar(const struct xml_node *n, struct xmlrpc **out,
                                 struct err *err)
{
    struct xmlrpc *v;

    for (size_t i = 0; i < SCALARS; i++) {
        if (strcmp(xml_name(n), scalars[i].tag) != 0)
            continue;
        v = scalar_new(scalars[i].kind,
                       scalars[i].silent ? NULL : scalars[i].tag, xml_text(n));
        if (!v)
            return err_set(err, ERR_NOMEM, 0, "an XML-RPC value");
        *out = v;
        return ERR_OK;
    }
    return err_set(err, ERR_PROTOCOL, 0, "an XML-RPC value holds <%s>",
                   xml_name(n));
}

enum err_code xmlrpc_read(const struct xml_node *value, struct xmlrpc **out,
                          struct err *err)
{
    const struct xml_node *n;

    if (!value || strcmp(xml_name(value), "value") != 0)
        return err_set(err, ERR_PROTOCOL, 0, "XML-RPC: no <value>");
    n = xml_child(value, NULL);
    if (!n) {
        *out = scalar_new(XMLRPC_TEXT, NULL, xml_text(value));
        if (!*out)
            return err_set(err, ERR_NOMEM, 0, "an XML-RPC value");
        return ERR_OK;
    }
    if (xml_next(n, NULL))
        return err_set(err, ERR_PROTOCOL, 0,
                       "an XML-RPC value holds two things");
    if (strcmp(xml_name(n), "struct") == 0)
        return read_struct(n, out, err);
    if (strcmp(xml_name(n), "array") == 0)
        return read_array(n, out, err);
    return read_scalar(n, out, err);
}

enum err_code xmlrpc_parse(const void *text, size_t len, size_t max_bytes,
                           struct xmlrpc **out, struct err *err)
{
    struct xml_doc *doc = NULL;
    enum err_code rc = xml_parse(text, len, max_bytes, &doc, err);

    if (rc != ERR_OK)
        return rc;
    rc = xmlrpc_read(xml_root(doc), out, err);
    xml_free(doc);
    return rc;
}

static bool write_text(struct buf *out, const char *text)
{
    return xml_escape(out, text, strlen(text));
}

bool xmlrpc_write(const struct xmlrpc *v, struct buf *out)
{
    if (v->kind == XMLRPC_STRUCT) {
        buf_add_text(out, "<value><struct>");
        for (size_t i = 0; i < v->count; i++) {
            buf_add_text(out, "<member><name>");
            write_text(out, v->items[i].name);
            buf_add_text(out, "</name>");
            xmlrpc_write(v->items[i].value, out);
            buf_add_text(out, "</member>");
        }
        return buf_add_text(out, "</struct></value>");
    }
    if (v->kind == XMLRPC_ARRAY) {
        buf_add_text(out, "<value><array><data>");
        for (size_t i = 0; i < v->count; i++)
            xmlrpc_write(v->items[i].value, out);
        return buf_add_text(out, "</data></array></value>");
    }
    buf_add_text(out, "<value>");
    if (v->tag)
        buf_addf(out, "<%s>", v->tag);
    write_text(out, v->text);
    if (v->tag)
        buf_addf(out, "</%s>", v->tag);
    return buf_add_text(out, "</value>");
}

enum xmlrpc_kind xmlrpc_kind(const struct xmlrpc *v)
{
    return v ? v->kind : XMLRPC_TEXT;
}

size_t xmlrpc_count(const struct xmlrpc *v)
{
    return v ? v->count : 0;
}

static size_t member_index(const struct xmlrpc *v, const char *name)
{
    if (v && v->kind == XMLRPC_STRUCT)
        for (size_t i = 0; i < v->count; i++)
            if (strcmp(v->items[i].name, name) == 0)
                return i;
    return SIZE_MAX;
}

struct xmlrpc *xmlrpc_get(const struct xmlrpc *v, const char *name)
{
    size_t i = member_index(v, name);

    return i == SIZE_MAX ? NULL : v->items[i].value;
}

struct xmlrpc *xmlrpc_at(const struct xmlrpc *v, size_t i)
{
    if (!v || v->kind != XMLRPC_ARRAY || i >= v->count)
        return NULL;
    return v->items[i].value;
}

const char *xmlrpc_name_at(const struct xmlrpc *v, size_t i,
                           struct xmlrpc **value)
{
    if (!v || v->kind != XMLRPC_STRUCT || i >= v->count)
        return NULL;
    if (value)
        *value = v->items[i].value;
    return v->items[i].name;
}

const char *xmlrpc_text(const struct xmlrpc *v, const char *otherwise)
{
    return v && v->text ? v->text : otherwise;
}

int64_t xmlrpc_int(const struct xmlrpc *v, int64_t otherwise)
{
    const char *text = xmlrpc_text(v, "");
    const char *digits = text[0] == '-' ? text + 1 : text;
    long long n;

    if (digits[0] == 0 || strspn(digits, "0123456789") != strlen(digits))
        return otherwise;
    errno = 0;
    n = strtoll(text, NULL, 10);
    return errno ? otherwise : n;
}

double xmlrpc_real(const struct xmlrpc *v, double otherwise)
{
    const char *text = xmlrpc_text(v, "");
    char *end;
    double n;

    if (text[0] == 0 || strspn(text, "+-.0123456789eE") != strlen(text))
        return otherwise;
    n = strtod(text, &end);
    return *end || !isfinite(n) ? otherwise : n;
}

bool xmlrpc_bool(const struct xmlrpc *v, bool otherwise)
{
    const char *text = xmlrpc_text(v, "");

    if (strcmp(text, "1") == 0 || strcmp(text, "true") == 0)
        return true;
    if (strcmp(text, "0") == 0 || strcmp(text, "false") == 0)
        return false;
    return otherwise;
}

const char *xmlrpc_get_text(const struct xmlrpc *v, const char *name)
{
    return xmlrpc_text(xmlrpc_get(v, name), "");
}

struct xmlrpc *xmlrpc_new_text(const char *text)
{
    return scalar_new(XMLRPC_TEXT, NULL, text);
}

struct xmlrpc *xmlrpc_new_int(int64_t v)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, v);
    return scalar_new(XMLRPC_TEXT, NULL, text);
}

struct xmlrpc *xmlrpc_new_bool(bool v)
{
    return scalar_new(XMLRPC_BOOL, "boolean", v ? "1" : "0");
}

struct xmlrpc *xmlrpc_new_real(double v)
{
    char text[40];

    snprintf(text, sizeof(text), "%.15g", v);
    if (!strpbrk(text, ".e"))
        snprintf(text, sizeof(text), "%.1f", v);
    return scalar_new(XMLRPC_REAL, "double", text);
}

struct xmlrpc *xmlrpc_new_array(void)
{
    return node_new(XMLRPC_ARRAY);
}

struct xmlrpc *xmlrpc_new_struct(void)
{
    return node_new(XMLRPC_STRUCT);
}

bool xmlrpc_set(struct xmlrpc *structure, const char *name, struct xmlrpc *take)
{
    size_t i;

    if (!structure || !take || structure->kind != XMLRPC_STRUCT) {
        xmlrpc_free(take);
        return false;
    }
    i = member_index(structure, name);
    if (i == SIZE_MAX)
        return item_add(structure, name, take);
    xmlrpc_free(structure->items[i].value);
    structure->items[i].value = take;
    return true;
}

bool xmlrpc_append(struct xmlrpc *array, struct xmlrpc *take)
{
    if (!array || !take || array->kind != XMLRPC_ARRAY) {
        xmlrpc_free(take);
        return false;
    }
    return item_add(array, NULL, take);
}

bool xmlrpc_set_text(struct xmlrpc *structure, const char *name,
                     const char *text)
{
    return xmlrpc_set(structure, name, xmlrpc_new_text(text));
}

static void item_remove(struct xmlrpc *v, size_t i)
{
    free(v->items[i].name);
    xmlrpc_free(v->items[i].value);
    memmove(v->items + i, v->items + i + 1,
            (v->count - i - 1) * sizeof(*v->items));
    v->count--;
}

struct xmlrpc *xmlrpc_detach(struct xmlrpc *structure, const char *name)
{
    size_t i = member_index(structure, name);
    struct xmlrpc *value;

    if (i == SIZE_MAX)
        return NULL;
    value = structure->items[i].value;
    structure->items[i].value = NULL;
    item_remove(structure, i);
    return value;
}

void xmlrpc_remove(struct xmlrpc *structure, const char *name)
{
    size_t i = member_index(structure, name);

    if (i != SIZE_MAX)
        item_remove(structure, i);
}

void xmlrpc_remove_at(struct xmlrpc *array, size_t i)
{
    if (array && array->kind == XMLRPC_ARRAY && i < array->count)
        item_remove(array, i);
}

struct xmlrpc *xmlrpc_copy(const struct xmlrpc *v)
{
    struct xmlrpc *copy, *child;

    if (!v)
        return NULL;
    if (v->text)
        return scalar_new(v->kind, v->tag, v->text);
    copy = node_new(v->kind);
    if (!copy)
        return NULL;
    for (size_t i = 0; i < v->count; i++) {
        child = xmlrpc_copy(v->items[i].value);
        if (!child || !item_add(copy, v->items[i].name, child)) {
            xmlrpc_free(copy);
            return NULL;
        }
    }
    return copy;
}
