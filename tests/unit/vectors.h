/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/vectors.h - reading tests/data/vectors/: JSON files with bytes as
 * hex. A test that asks for what is not there fails.
 */
#ifndef CAIRN_TESTS_VECTORS_H
#define CAIRN_TESTS_VECTORS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/json.h"

#define VECTORS CAIRN_TEST_DATA "/vectors/"

/* The whole file with a NUL behind it, to free(). */
static inline uint8_t *vectors_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data;
    long size;

    if (!f)
        fail_msg("%s: cannot be opened", path);
    fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);
    data = malloc((size_t)size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)size, f), size);
    data[size] = 0;
    fclose(f);
    *len = (size_t)size;
    return data;
}

static inline struct json *vectors_load(const char *name)
{
    struct json *doc = NULL;
    struct err err = {0};
    char path[512];
    uint8_t *text;
    size_t len;

    snprintf(path, sizeof(path), VECTORS "%s", name);
    text = vectors_file(path, &len);
    if (json_parse(text, len, &doc, &err) != ERR_OK)
        fail_msg("%s: %s", name, err.text);
    free(text);
    return doc;
}

static inline const struct json *vectors_get(const struct json *j,
                                             const char *key)
{
    const struct json *value = json_get(j, key);

    if (!value)
        fail_msg("no field %s", key);
    return value;
}

static inline const char *vectors_text(const struct json *j, const char *key)
{
    const char *text = json_text(vectors_get(j, key), NULL);

    if (!text)
        fail_msg("%s is no text", key);
    return text;
}

static inline int64_t vectors_int(const struct json *j, const char *key)
{
    return json_int(vectors_get(j, key), INT64_MIN);
}

/* Bytes of any length, to free(). */
static inline uint8_t *vectors_bytes(const struct json *j, const char *key,
                                     size_t *len)
{
    const char *text = vectors_text(j, key);
    size_t n = strlen(text) / 2;
    uint8_t *out = malloc(n + 1);

    assert_non_null(out);
    if (!bytes_unhex(text, out, n))
        fail_msg("%s is no hex", key);
    *len = n;
    return out;
}

/* Exactly len bytes. */
static inline void vectors_hex(const struct json *j, const char *key, void *out,
                               size_t len)
{
    if (!bytes_unhex(vectors_text(j, key), out, len))
        fail_msg("%s: not %zu bytes of hex", key, len);
}

/* Compare len bytes with a field of hex. */
static inline void vectors_equal(const struct json *j, const char *key,
                                 const void *got, size_t len)
{
    const char *want = vectors_text(j, key);
    char *text = malloc(2 * len + 1);

    assert_non_null(text);
    bytes_hex(got, len, text);
    if (strcmp(text, want) != 0)
        fail_msg("%s: wanted %.120s, got %.120s", key, want, text);
    free(text);
}

#endif
