/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Four of jansson's constants are called as ours; its own get other names. */
#define JSON_NULL JANSSON_NULL
#define JSON_REAL JANSSON_REAL
#define JSON_ARRAY JANSSON_ARRAY
#define JSON_OBJECT JANSSON_OBJECT
#include <jansson.h>
#undef JSON_NULL
#undef JSON_REAL
#undef JSON_ARRAY
#undef JSON_OBJECT

#include "base/buf.h"
#include "base/bytes.h"
#include "base/parse.h"

#define DEPTH_MAX 64

/* A struct json is jansson's json_t under a name of our own. */
static json_t *theirs(const struct json *j)
{
    return (json_t *)(uintptr_t)j;
}

static struct json *ours(json_t *j)
{
    return (struct json *)j;
}

/*
 * jansson stops at 2048 levels, set when it was built. Brackets outside of
 * strings are counted beforehand; a text that is no JSON may be counted wrong
 * but is refused in either case.
 */
static bool too_deep(const char *text, size_t len)
{
    unsigned depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > DEPTH_MAX)
                return true;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return false;
}

/* jansson takes a string for which it has no memory for a mistake in the text,
 * its error codes do not tell the two apart, and a digit for which it has none
 * it leaves out without a word. So its memory is watched. The
 * flag speaks of one call, from its beginning to its end on this thread. */
static _Thread_local bool starved;

static void *watched_malloc(size_t size)
{
    void *p = malloc(size);

    starved |= !p;
    return p;
}

/* Passwords and key files come and go as JSON. */
static void wiping_free(void *p)
{
    if (p)
        bytes_wipe(p, malloc_usable_size(p));
    free(p);
}

__attribute__((constructor)) static void watch_memory(void)
{
    json_set_alloc_funcs(watched_malloc, wiping_free);
}

enum err_code json_parse(const void *text, size_t len, struct json **out,
                         struct err *err)
{
    json_error_t why;
    json_t *j;

    if (too_deep(text, len))
        return err_set(err, ERR_PROTOCOL, 0, "JSON: more than %d levels",
                       DEPTH_MAX);
    starved = false;
    j = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (starved) {
        json_decref(j);
        return err_set(err, ERR_NOMEM, 0, "JSON: out of memory");
    }
    if (!j)
        return err_set(err, ERR_PROTOCOL, 0, "JSON: line %d, column %d: %s",
                       why.line, why.column, why.text);
    *out = ours(j);
    return ERR_OK;
}

void json_free(struct json *j)
{
    json_decref(theirs(j));
}

enum json_kind json_kind(const struct json *j)
{
    switch (json_typeof(theirs(j))) {
    case JANSSON_OBJECT:
        return JSON_OBJECT;
    case JANSSON_ARRAY:
        return JSON_ARRAY;
    case JSON_STRING:
        return JSON_TEXT;
    case JSON_INTEGER:
        return JSON_INT;
    case JANSSON_REAL:
        return JSON_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return JSON_BOOL;
    case JANSSON_NULL:
        break;
    }
    return JSON_NULL;
}

static bool is(const struct json *j, enum json_kind kind)
{
    return j && json_kind(j) == kind;
}

size_t json_count(const struct json *j)
{
    if (is(j, JSON_ARRAY))
        return json_array_size(theirs(j));
    return is(j, JSON_OBJECT) ? json_object_size(theirs(j)) : 0;
}

const struct json *json_get(const struct json *j, const char *key)
{
    return is(j, JSON_OBJECT) ? ours(json_object_get(theirs(j), key)) : NULL;
}

const struct json *json_at(const struct json *j, size_t i)
{
    return is(j, JSON_ARRAY) ? ours(json_array_get(theirs(j), i)) : NULL;
}

const char *json_key_at(const struct json *j, size_t i,
                        const struct json **value)
{
    void *at;

    if (!is(j, JSON_OBJECT))
        return NULL;
    at = json_object_iter(theirs(j));
    while (at && i-- > 0)
        at = json_object_iter_next(theirs(j), at);
    if (!at)
        return NULL;
    if (value)
        *value = ours(json_object_iter_value(at));
    return json_object_iter_key(at);
}

const char *json_text(const struct json *j, const char *otherwise)
{
    return is(j, JSON_TEXT) ? json_string_value(theirs(j)) : otherwise;
}

int64_t json_int(const struct json *j, int64_t otherwise)
{
    return is(j, JSON_INT) ? json_integer_value(theirs(j)) : otherwise;
}

double json_double(const struct json *j, double otherwise)
{
    if (is(j, JSON_INT) || is(j, JSON_REAL))
        return json_number_value(theirs(j));
    return otherwise;
}

bool json_bool(const struct json *j, bool otherwise)
{
    if (!is(j, JSON_BOOL))
        return otherwise;
    return json_typeof(theirs(j)) == JSON_TRUE;
}

struct json *json_new_object(void)
{
    return ours(json_object());
}

struct json *json_new_array(void)
{
    return ours(json_array());
}

struct json *json_new_text(const char *text)
{
    size_t len = strlen(text);
    struct json *j = NULL;
    struct buf clean;

    if (parse_utf8(text, len))
        return ours(json_stringn_nocheck(text, len));
    buf_init(&clean, len);
    while (len) {
        size_t step = parse_utf8_step(text, len);

        buf_add(&clean, step ? text : "?", step ? step : 1);
        text += step ? step : 1;
        len -= step ? step : 1;
    }
    if (!buf_failed(&clean))
        j = ours(json_stringn_nocheck((char *)clean.data, clean.len));
    buf_fini(&clean);
    return j;
}

struct json *json_new_int(int64_t v)
{
    return ours(json_integer(v));
}

struct json *json_new_real(double v)
{
    return isfinite(v) ? ours(json_real(v)) : json_new_null();
}

struct json *json_new_bool(bool v)
{
    return ours(json_boolean(v));
}

struct json *json_new_null(void)
{
    return ours(json_null());
}

bool json_set(struct json *object, const char *key, struct json *take)
{
    if (!is(object, JSON_OBJECT)) {
        json_free(take);
        return false;
    }
    return json_object_set_new(theirs(object), key, theirs(take)) == 0;
}

bool json_append(struct json *array, struct json *take)
{
    if (!is(array, JSON_ARRAY)) {
        json_free(take);
        return false;
    }
    return json_array_append_new(theirs(array), theirs(take)) == 0;
}

bool json_set_text(struct json *object, const char *key, const char *text)
{
    return json_set(object, key, text ? json_new_text(text) : json_new_null());
}

bool json_set_int(struct json *object, const char *key, int64_t v)
{
    return json_set(object, key, json_new_int(v));
}

bool json_set_real(struct json *object, const char *key, double v)
{
    return json_set(object, key, json_new_real(v));
}

bool json_set_bool(struct json *object, const char *key, bool v)
{
    return json_set(object, key, json_new_bool(v));
}

struct json *json_clone(const struct json *j)
{
    return j ? ours(json_deep_copy(theirs(j))) : NULL;
}

static int on_piece(const char *text, size_t len, void *ctx)
{
    return buf_add(ctx, text, len) ? 0 : -1;
}

/* Not json_dumps(): jansson 2.14 overlooks that a key did not fit for want of
 * memory, and goes on. Our buffer does not forget it. */
char *json_dump(const struct json *j, bool indent, size_t *len)
{
    size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(15) |
                   (indent ? JSON_INDENT(2) : JSON_COMPACT);
    struct buf out;

    if (!j)
        return NULL;
    buf_init_secret(&out, SIZE_MAX / 2);
    if (json_dump_callback(theirs(j), on_piece, &out, flags) < 0 ||
        buf_failed(&out)) {
        buf_fini(&out);
        return NULL;
    }
    return (char *)buf_detach(&out, len);
}
