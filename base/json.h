/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/json.h - JSON documents: parsed with limits, built without surprises.
 *
 * A document is a tree of struct json. Borrowed pointers into a tree live as
 * long as the tree does. Parsing refuses: more than 64 levels, duplicate keys,
 * text that is not UTF-8 or contains NUL, anything behind the value, numbers
 * beyond int64. One thread per document at a time. (Over jansson, which is not
 * included anywhere else, and whose function names must not be taken here: a
 * program's json_real() would replace the library's own.)
 */
#ifndef CAIRN_BASE_JSON_H
#define CAIRN_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct json;

enum json_kind {
    JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_TEXT, JSON_ARRAY,
    JSON_OBJECT,
};

/* ERR_PROTOCOL with line and column, ERR_NOMEM. */
enum err_code json_parse(const void *text, size_t len, struct json **out,
                         struct err *err);

void json_free(struct json *j);

enum json_kind json_kind(const struct json *j);
size_t json_count(const struct json *j); /* of an array or object, else 0 */

/* NULL when absent or when j is no object / no array. j may be NULL. */
const struct json *json_get(const struct json *j, const char *key);
const struct json *json_at(const struct json *j, size_t i);

/* The i-th member of an object in the order of the text, NULL beyond the last.
 * Takes i steps: for objects of moderate size. */
const char *json_key_at(const struct json *j, size_t i,
                        const struct json **value);

/* The value of one node, or the given default when it is NULL or of another
 * kind. */
const char *json_text(const struct json *j, const char *otherwise);
int64_t json_int(const struct json *j, int64_t otherwise);
double json_double(const struct json *j, double otherwise); /* ints too */
bool json_bool(const struct json *j, bool otherwise);

/*
 * Builders. Each returns NULL when out of memory, and everything accepts NULL
 * children by failing, so that a caller checks once: json_set() and
 * json_append() take the child over in any case and return false when
 * something was NULL.
 */
struct json *json_new_object(void);
struct json *json_new_array(void);
struct json *json_new_text(const char *text); /* not UTF-8: escaped '?' */
struct json *json_new_int(int64_t v);
struct json *json_new_real(double v); /* not finite: null */
struct json *json_new_bool(bool v);
struct json *json_new_null(void);
bool json_set(struct json *object, const char *key, struct json *take);
bool json_append(struct json *array, struct json *take);

/* Shorthands on an object; text NULL sets null. */
bool json_set_text(struct json *object, const char *key, const char *text);
bool json_set_int(struct json *object, const char *key, int64_t v);
bool json_set_real(struct json *object, const char *key, double v);
bool json_set_bool(struct json *object, const char *key, bool v);

/* A deep copy; NULL when out of memory or j is NULL. */
struct json *json_clone(const struct json *j);

/* The text, compact or indented by 2, keys in order of insertion, to free();
 * NULL when out of memory or j is NULL. */
char *json_dump(const struct json *j, bool indent, size_t *len);

#endif
