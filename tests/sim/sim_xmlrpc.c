/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_xmlrpc.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_mem.h"

#define PROLOG "<?xml version=\"1.0\"?>"
#define DEPTH_MAX 40

/* ---- writing ---- */

static void write_escaped(struct buf *out, const char *text)
{
    const char *from = text;

    for (const char *p = text;; p++) {
        unsigned char c = (unsigned char)*p;
        const char *as = NULL;

        if (c == '<')
            as = "&lt;";
        else if (c == '>')
            as = "&gt;";
        else if (c == '&')
            as = "&amp;";
        else if (c == '"')
            as = "&quot;";
        else if (c >= 0x20 || c == '\t' || c == '\n' || c == '\r')
            continue;
        buf_add(out, from, (size_t)(p - from));
        if (!c)
            return;
        if (as)
            buf_add_text(out, as);
        from = p + 1;
    }
}

static void write_items(struct buf *out, const struct sim_value *v)
{
    if (v->kind == SIM_SET) {
        buf_add_text(out, "<array><data>");
        for (size_t i = 0; i < v->count; i++)
            sim_xmlrpc_write(out, v->items[i]);
        buf_add_text(out, "</data></array>");
        return;
    }
    buf_add_text(out, "<struct>");
    for (size_t i = 0; i < v->count; i++) {
        buf_add_text(out, "<member><name>");
        write_escaped(out, v->keys[i]);
        buf_add_text(out, "</name>");
        sim_xmlrpc_write(out, v->items[i]);
        buf_add_text(out, "</member>");
    }
    buf_add_text(out, "</struct>");
}

void sim_xmlrpc_write(struct buf *out, const struct sim_value *v)
{
    buf_add_text(out, "<value>");
    switch (v->kind) {
    case SIM_TEXT:
        write_escaped(out, v->text);
        break;
    case SIM_INT:
        buf_addf(out, "%lld", (long long)v->i);
        break;
    case SIM_I4:
        buf_addf(out, "<i4>%lld</i4>", (long long)v->i);
        break;
    case SIM_BOOL:
        buf_addf(out, "<boolean>%d</boolean>", v->b);
        break;
    case SIM_REAL:
        buf_addf(out, "<double>%.16g</double>", v->real);
        break;
    case SIM_DATE:
        buf_addf(out, "<dateTime.iso8601>%s</dateTime.iso8601>", v->text);
        break;
    case SIM_SET:
    case SIM_MAP:
        write_items(out, v);
        break;
    }
    buf_add_text(out, "</value>");
}

char *sim_xmlrpc_fragment(const struct sim_value *v)
{
    struct buf b;
    size_t len;
    char *text;

    buf_init(&b, SIZE_MAX / 2);
    sim_xmlrpc_write(&b, v);
    sim_mem_check(&b);
    text = (char *)buf_detach(&b, &len);
    return text;
}

void sim_xmlrpc_write_response(struct buf *out, const struct sim_value *result,
                               const struct sim_value *failure)
{
    buf_add_text(out, PROLOG "<methodResponse><params><param><value><struct>"
                             "<member><name>Status</name><value>");
    buf_add_text(out, failure ? "Failure</value></member><member><name>"
                                "ErrorDescription</name>"
                              : "Success</value></member><member><name>"
                                "Value</name>");
    sim_xmlrpc_write(out, failure ? failure : result);
    buf_add_text(out, "</member></struct></value></param></params>"
                      "</methodResponse>");
}

void sim_xmlrpc_write_bare(struct buf *out, const struct sim_value *result)
{
    buf_add_text(out, PROLOG "<methodResponse><params><param>");
    sim_xmlrpc_write(out, result);
    buf_add_text(out, "</param></params></methodResponse>");
}

/* ---- reading ---- */

struct reader {
    const char *p, *end;
    int depth;
};

static bool at(const struct reader *r, const char *what)
{
    size_t n = strlen(what);

    return (size_t)(r->end - r->p) >= n && memcmp(r->p, what, n) == 0;
}

/* Spaces, comments, <?...?>. */
static void skip_misc(struct reader *r)
{
    for (;;) {
        const char *close;
        size_t n;

        while (r->p < r->end && strchr(" \t\r\n", *r->p) && *r->p)
            r->p++;
        if (at(r, "<!--"))
            close = "-->";
        else if (at(r, "<?"))
            close = "?>";
        else
            return;
        n = strlen(close);
        while (r->p < r->end && !at(r, close))
            r->p++;
        r->p = r->p < r->end ? r->p + n : r->end;
    }
}

/* "<name>", with spaces before; attributes are passed over. *empty tells
 * "<name/>", which has no end tag. */
static bool open_tag(struct reader *r, const char *name, bool *empty)
{
    size_t n = strlen(name);
    const char *p;

    skip_misc(r);
    p = r->p;
    if ((size_t)(r->end - p) < n + 2 || *p != '<' ||
        memcmp(p + 1, name, n) != 0 || !strchr(" \t\r\n/>", p[n + 1]))
        return false;
    for (p += n + 1; p < r->end && *p != '>'; p++)
        if (*p == '<')
            return false;
    if (p == r->end)
        return false;
    *empty = p[-1] == '/';
    r->p = p + 1;
    return true;
}

static bool close_tag(struct reader *r, const char *name)
{
    size_t n = strlen(name);

    skip_misc(r);
    if ((size_t)(r->end - r->p) < n + 3 || r->p[0] != '<' || r->p[1] != '/' ||
        memcmp(r->p + 2, name, n) != 0 || r->p[n + 2] != '>')
        return false;
    r->p += n + 3;
    return true;
}

static bool put_code_point(struct buf *out, unsigned long c)
{
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return false;
    if (c < 0x80)
        return buf_add_u8(out, (uint8_t)c);
    if (c < 0x800)
        return buf_add_u8(out, (uint8_t)(0xc0 | c >> 6)) &&
               buf_add_u8(out, (uint8_t)(0x80 | (c & 63)));
    if (c < 0x10000)
        return buf_add_u8(out, (uint8_t)(0xe0 | c >> 12)) &&
               buf_add_u8(out, (uint8_t)(0x80 | (c >> 6 & 63))) &&
               buf_add_u8(out, (uint8_t)(0x80 | (c & 63)));
    return buf_add_u8(out, (uint8_t)(0xf0 | c >> 18)) &&
           buf_add_u8(out, (uint8_t)(0x80 | (c >> 12 & 63))) &&
           buf_add_u8(out, (uint8_t)(0x80 | (c >> 6 & 63))) &&
           buf_add_u8(out, (uint8_t)(0x80 | (c & 63)));
}

static bool read_entity(struct reader *r, struct buf *out)
{
    static const struct {
        const char *name;
        char c;
    } known[] = {{"&lt;", '<'},
                 {"&gt;", '>'},
                 {"&amp;", '&'},
                 {"&quot;", '"'},
                 {"&apos;", '\''}};
    char digits[12] = "", *stop;
    size_t n = 0;
    bool hex;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (at(r, known[i].name)) {
            r->p += strlen(known[i].name);
            return buf_add_u8(out, (uint8_t)known[i].c);
        }
    }
    if (!at(r, "&#"))
        return false;
    r->p += 2;
    hex = r->p < r->end && *r->p == 'x';
    if (hex)
        r->p++;
    while (r->p < r->end && *r->p != ';' && n < sizeof(digits) - 1)
        digits[n++] = *r->p++;
    if (n == 0 || r->p == r->end || *r->p != ';')
        return false;
    r->p++;
    if (!put_code_point(out, strtoul(digits, &stop, hex ? 16 : 10)))
        return false;
    return *stop == '\0';
}

/* Text up to the end tag of `name`, which is taken too. */
static char *read_text(struct reader *r, const char *name)
{
    struct buf b;
    size_t len;
    char *text;

    buf_init(&b, SIZE_MAX / 2);
    while (r->p < r->end) {
        if (at(r, "<![CDATA[")) {
            for (r->p += 9; r->p < r->end && !at(r, "]]>"); r->p++)
                buf_add_u8(&b, (uint8_t)*r->p);
            if (r->p == r->end)
                break;
            r->p += 3;
        } else if (*r->p == '<') {
            if (!close_tag(r, name))
                break;
            sim_mem_check(&b);
            text = (char *)buf_detach(&b, &len);
            return text ? text : sim_mem_dup("");
        } else if (*r->p == '&') {
            if (!read_entity(r, &b))
                break;
        } else {
            buf_add_u8(&b, (uint8_t)*r->p++);
        }
    }
    buf_fini(&b);
    return NULL;
}

static struct sim_value *read_value(struct reader *r);

static struct sim_value *read_array(struct reader *r, bool empty)
{
    struct sim_value *set = sim_value_set();
    bool no_data = true;

    if (empty)
        return set;
    if (!open_tag(r, "data", &no_data))
        goto bad;
    while (!no_data) {
        struct sim_value *item;

        if (close_tag(r, "data"))
            break;
        item = read_value(r);
        if (!item)
            goto bad;
        sim_value_add(set, item);
    }
    if (close_tag(r, "array"))
        return set;
bad:
    sim_value_free(set);
    return NULL;
}

static struct sim_value *read_struct(struct reader *r, bool empty)
{
    struct sim_value *map = sim_value_map();

    while (!empty && !close_tag(r, "struct")) {
        bool none;
        char *name;
        struct sim_value *item;

        if (!open_tag(r, "member", &none) || none ||
            !open_tag(r, "name", &none))
            goto bad;
        name = none ? sim_mem_dup("") : read_text(r, "name");
        if (!name)
            goto bad;
        item = read_value(r);
        if (item)
            sim_value_put(map, name, item);
        free(name);
        if (!item || !close_tag(r, "member"))
            goto bad;
    }
    return map;
bad:
    sim_value_free(map);
    return NULL;
}

/* A typed value made of the text of its element; frees the text. */
static struct sim_value *make_typed(const char *type, char *text)
{
    struct sim_value *v = NULL, *raw;
    char *end = NULL;
    double real;
    int64_t i;

    if (!text)
        return NULL;
    raw = sim_value_text(text);
    if (strcmp(type, "string") == 0 || strcmp(type, "base64") == 0) {
        v = sim_value_copy(raw);
    } else if (strcmp(type, "dateTime.iso8601") == 0) {
        v = sim_value_date(text);
    } else if (strcmp(type, "double") == 0) {
        real = strtod(text, &end);
        if (*text && !*end)
            v = sim_value_real(real);
    } else if (sim_value_to_int(raw, &i)) {
        if (strcmp(type, "boolean") != 0)
            v = sim_value_int(i);
        else if (i == 0 || i == 1)
            v = sim_value_bool(i == 1);
    }
    sim_value_free(raw);
    free(text);
    return v;
}

static struct sim_value *read_typed(struct reader *r)
{
    static const char *const scalars[] = {
        "string",           "int",    "i4", "i8", "boolean", "double",
        "dateTime.iso8601", "base64",
    };
    bool empty;

    if (open_tag(r, "array", &empty))
        return read_array(r, empty);
    if (open_tag(r, "struct", &empty))
        return read_struct(r, empty);
    if (open_tag(r, "nil", &empty))
        return empty || close_tag(r, "nil") ? sim_value_text("") : NULL;
    for (size_t i = 0; i < sizeof(scalars) / sizeof(scalars[0]); i++) {
        if (!open_tag(r, scalars[i], &empty))
            continue;
        return make_typed(scalars[i],
                          empty ? sim_mem_dup("") : read_text(r, scalars[i]));
    }
    return NULL;
}

static struct sim_value *read_value(struct reader *r)
{
    struct reader ahead;
    struct sim_value *v;
    bool empty;

    if (!open_tag(r, "value", &empty) || ++r->depth > DEPTH_MAX)
        return NULL;
    if (empty) {
        r->depth--;
        return sim_value_text("");
    }
    ahead = *r;
    skip_misc(&ahead);
    if (ahead.p + 1 < ahead.end && ahead.p[0] == '<' && ahead.p[1] != '/' &&
        ahead.p[1] != '!') {
        v = read_typed(r);
        if (v && !close_tag(r, "value")) {
            sim_value_free(v);
            v = NULL;
        }
    } else {
        v = make_typed("string", read_text(r, "value"));
    }
    r->depth--;
    return v;
}

struct sim_value *sim_xmlrpc_read_value(const char *text, size_t len)
{
    struct reader r = {text, text + len, 0};
    struct sim_value *v = read_value(&r);

    skip_misc(&r);
    if (v && r.p != r.end) {
        sim_value_free(v);
        v = NULL;
    }
    return v;
}

static struct sim_value *read_params(struct reader *r)
{
    struct sim_value *args = sim_value_set();
    bool empty;

    if (!open_tag(r, "params", &empty) || empty)
        return args;
    while (!close_tag(r, "params")) {
        struct sim_value *v;

        if (!open_tag(r, "param", &empty) || empty || !(v = read_value(r)))
            goto bad;
        sim_value_add(args, v);
        if (!close_tag(r, "param"))
            goto bad;
    }
    return args;
bad:
    sim_value_free(args);
    return NULL;
}

bool sim_xmlrpc_read_call(const char *text, size_t len, char **method,
                          struct sim_value **args)
{
    struct reader r = {text, text + len, 0};
    char *name;
    bool empty;

    if (!open_tag(&r, "methodCall", &empty) || empty ||
        !open_tag(&r, "methodName", &empty) || empty)
        return false;
    name = read_text(&r, "methodName");
    if (!name)
        return false;
    *args = read_params(&r);
    if (!*args || !close_tag(&r, "methodCall")) {
        sim_value_free(*args);
        free(name);
        return false;
    }
    *method = name;
    return true;
}
