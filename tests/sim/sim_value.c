/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_value.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/sim/sim_mem.h"

static struct sim_value *value_new(enum sim_kind kind)
{
    struct sim_value *v = sim_mem_new(sizeof(*v));

    v->kind = kind;
    return v;
}

struct sim_value *sim_value_text(const char *text)
{
    struct sim_value *v = value_new(SIM_TEXT);

    v->text = sim_mem_dup(text);
    return v;
}

struct sim_value *sim_value_textf(const char *fmt, ...)
{
    struct sim_value *v = value_new(SIM_TEXT);
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&v->text, fmt, ap);
    va_end(ap);
    if (n < 0)
        v->text = sim_mem_dup("");
    return v;
}

struct sim_value *sim_value_int(int64_t i)
{
    struct sim_value *v = value_new(SIM_INT);

    v->i = i;
    return v;
}

struct sim_value *sim_value_i4(int64_t i)
{
    struct sim_value *v = value_new(SIM_I4);

    v->i = i;
    return v;
}

struct sim_value *sim_value_bool(bool b)
{
    struct sim_value *v = value_new(SIM_BOOL);

    v->b = b;
    return v;
}

struct sim_value *sim_value_real(double real)
{
    struct sim_value *v = value_new(SIM_REAL);

    v->real = real;
    return v;
}

struct sim_value *sim_value_date(const char *text)
{
    struct sim_value *v = value_new(SIM_DATE);

    v->text = sim_mem_dup(text);
    return v;
}

struct sim_value *sim_value_now(void)
{
    char text[CLOCK_TEXT];

    clock_xapi(clock_wall_ms(clock_system()), text);
    return sim_value_date(text);
}

struct sim_value *sim_value_set(void)
{
    return value_new(SIM_SET);
}

struct sim_value *sim_value_map(void)
{
    return value_new(SIM_MAP);
}

struct sim_value *sim_value_texts(const char *first, ...)
{
    struct sim_value *set = sim_value_set();
    va_list ap;

    va_start(ap, first);
    for (const char *t = first; t; t = va_arg(ap, const char *))
        sim_value_add_text(set, t);
    va_end(ap);
    return set;
}

struct sim_value *sim_value_copy(const struct sim_value *v)
{
    struct sim_value *out = value_new(v->kind);

    out->b = v->b;
    out->i = v->i;
    out->real = v->real;
    if (v->text)
        out->text = sim_mem_dup(v->text);
    for (size_t i = 0; i < v->count; i++) {
        if (v->kind == SIM_MAP)
            sim_value_put_new(out, v->keys[i], sim_value_copy(v->items[i]));
        else
            sim_value_add(out, sim_value_copy(v->items[i]));
    }
    return out;
}

void sim_value_free(struct sim_value *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->count; i++) {
        sim_value_free(v->items[i]);
        if (v->keys)
            free(v->keys[i]);
    }
    free(v->items);
    free(v->keys);
    free(v->text);
    free(v);
}

bool sim_value_equal(const struct sim_value *a, const struct sim_value *b)
{
    if (a->kind != b->kind || a->count != b->count || a->b != b->b ||
        a->i != b->i || a->real != b->real)
        return false;
    if (a->text && strcmp(a->text, b->text) != 0)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct sim_value *other = b->items[i];

        if (a->kind == SIM_MAP)
            other = sim_value_get(b, a->keys[i]);
        if (!other || !sim_value_equal(a->items[i], other))
            return false;
    }
    return true;
}

static void value_room(struct sim_value *v)
{
    if (v->count < v->cap)
        return;
    v->cap = v->cap ? v->cap * 2 : 4;
    v->items = sim_mem_grow(v->items, v->cap * sizeof(*v->items));
    if (v->kind == SIM_MAP)
        v->keys = sim_mem_grow(v->keys, v->cap * sizeof(*v->keys));
}

void sim_value_add(struct sim_value *set, struct sim_value *take)
{
    value_room(set);
    set->items[set->count++] = take;
}

void sim_value_add_text(struct sim_value *set, const char *text)
{
    sim_value_add(set, sim_value_text(text));
}

static bool value_is(const struct sim_value *v, const char *text)
{
    return v->text && strcmp(v->text, text) == 0;
}

bool sim_value_has(const struct sim_value *set, const char *text)
{
    for (size_t i = 0; set && i < set->count; i++)
        if (value_is(set->items[i], text))
            return true;
    return false;
}

static void value_cut(struct sim_value *v, size_t i)
{
    size_t rest = v->count - i - 1;

    sim_value_free(v->items[i]);
    memmove(v->items + i, v->items + i + 1, rest * sizeof(*v->items));
    if (v->keys) {
        free(v->keys[i]);
        memmove(v->keys + i, v->keys + i + 1, rest * sizeof(*v->keys));
    }
    v->count--;
}

bool sim_value_remove(struct sim_value *set, const char *text)
{
    for (size_t i = 0; i < set->count; i++) {
        if (value_is(set->items[i], text)) {
            value_cut(set, i);
            return true;
        }
    }
    return false;
}

const struct sim_value *sim_value_at(const struct sim_value *v, size_t i)
{
    return v && v->kind == SIM_SET && i < v->count ? v->items[i] : NULL;
}

static bool map_find(const struct sim_value *map, const char *key, size_t *at)
{
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->keys[i], key) == 0) {
            *at = i;
            return true;
        }
    }
    return false;
}

void sim_value_put(struct sim_value *map, const char *key,
                   struct sim_value *take)
{
    size_t i;

    if (map_find(map, key, &i)) {
        sim_value_free(map->items[i]);
        map->items[i] = take;
        return;
    }
    sim_value_put_new(map, key, take);
}

void sim_value_put_new(struct sim_value *map, const char *key,
                       struct sim_value *take)
{
    value_room(map);
    map->keys[map->count] = sim_mem_dup(key);
    map->items[map->count++] = take;
}

void sim_value_put_text(struct sim_value *map, const char *key,
                        const char *text)
{
    sim_value_put(map, key, sim_value_text(text));
}

const struct sim_value *sim_value_get(const struct sim_value *v,
                                      const char *key)
{
    size_t i;

    if (!v || v->kind != SIM_MAP || !map_find(v, key, &i))
        return NULL;
    return v->items[i];
}

bool sim_value_drop(struct sim_value *map, const char *key)
{
    size_t i;

    if (!map_find(map, key, &i))
        return false;
    value_cut(map, i);
    return true;
}

const char *sim_value_str(const struct sim_value *v, const char *otherwise)
{
    return v && v->text ? v->text : otherwise;
}

const char *sim_value_get_str(const struct sim_value *map, const char *key,
                              const char *otherwise)
{
    return sim_value_str(sim_value_get(map, key), otherwise);
}

bool sim_value_to_int(const struct sim_value *v, int64_t *out)
{
    char *end;
    long long n;

    if (!v)
        return false;
    if (v->kind == SIM_INT || v->kind == SIM_I4) {
        *out = v->i;
        return true;
    }
    if (v->kind != SIM_TEXT || !*v->text || strspn(v->text, " \t\n"))
        return false;
    errno = 0;
    n = strtoll(v->text, &end, 10);
    if (errno || *end)
        return false;
    *out = n;
    return true;
}

bool sim_value_to_bool(const struct sim_value *v, bool *out)
{
    if (!v || (v->kind != SIM_BOOL && v->kind != SIM_INT))
        return false;
    *out = v->kind == SIM_BOOL ? v->b : v->i != 0;
    return true;
}

bool sim_value_to_real(const struct sim_value *v, double *out)
{
    int64_t i;

    if (v && v->kind == SIM_REAL) {
        *out = v->real;
        return true;
    }
    if (!sim_value_to_int(v, &i))
        return false;
    *out = (double)i;
    return true;
}

static bool all_texts(const struct sim_value *v)
{
    for (size_t i = 0; i < v->count; i++)
        if (v->items[i]->kind != SIM_TEXT)
            return false;
    return true;
}

struct sim_value *sim_value_cast(const struct sim_value *v, enum sim_kind kind)
{
    int64_t i;
    bool b;
    double real;

    switch (kind) {
    case SIM_INT:
    case SIM_I4:
        return sim_value_to_int(v, &i) ? sim_value_int(i) : NULL;
    case SIM_BOOL:
        return sim_value_to_bool(v, &b) ? sim_value_bool(b) : NULL;
    case SIM_REAL:
        return sim_value_to_real(v, &real) ? sim_value_real(real) : NULL;
    case SIM_DATE:
        return v && v->text ? sim_value_date(v->text) : NULL;
    case SIM_TEXT:
        return v && v->kind == SIM_TEXT ? sim_value_copy(v) : NULL;
    case SIM_SET:
    case SIM_MAP:
        return v && v->kind == kind && all_texts(v) ? sim_value_copy(v) : NULL;
    }
    return NULL;
}
