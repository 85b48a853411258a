/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_value.h - the values of XAPI: what a field holds, what a call
 * takes and gives.
 *
 * A value is a tree that has one owner; whoever adds a value to a set or map
 * gives it away. One thread per tree at a time.
 */
#ifndef CAIRN_SIM_VALUE_H
#define CAIRN_SIM_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_NULL_REF "OpaqueRef:NULL"

enum sim_kind {
    SIM_TEXT, /* also references and enums */
    SIM_INT,
    SIM_BOOL,
    SIM_REAL,
    SIM_DATE, /* text: 20260821T02:00:23Z */
    SIM_SET,
    SIM_MAP, /* also records */
    SIM_I4,  /* an int that XML-RPC writes as <i4> */
};

struct sim_value {
    enum sim_kind kind;
    bool b;
    int64_t i;
    double real;
    char *text;               /* TEXT, DATE */
    char **keys;              /* MAP */
    struct sim_value **items; /* SET, MAP */
    size_t count, cap;
};

struct sim_value *sim_value_text(const char *text);
struct sim_value *sim_value_textf(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));
struct sim_value *sim_value_int(int64_t i);
struct sim_value *sim_value_i4(int64_t i);
struct sim_value *sim_value_bool(bool b);
struct sim_value *sim_value_real(double real);
struct sim_value *sim_value_date(const char *text);
struct sim_value *sim_value_now(void);
struct sim_value *sim_value_set(void);
struct sim_value *sim_value_map(void);
/* A set of texts, NULL-terminated. */
struct sim_value *sim_value_texts(const char *first, ...)
    __attribute__((sentinel));

struct sim_value *sim_value_copy(const struct sim_value *v);
void sim_value_free(struct sim_value *v);
bool sim_value_equal(const struct sim_value *a, const struct sim_value *b);

/* Sets. */
void sim_value_add(struct sim_value *set, struct sim_value *take);
void sim_value_add_text(struct sim_value *set, const char *text);
bool sim_value_has(const struct sim_value *set, const char *text);
/* False when it was not in. */
bool sim_value_remove(struct sim_value *set, const char *text);
/* NULL beyond the end, or when v is no set. v may be NULL. */
const struct sim_value *sim_value_at(const struct sim_value *v, size_t i);

/* Maps. Putting replaces. */
void sim_value_put(struct sim_value *map, const char *key,
                   struct sim_value *take);
void sim_value_put_text(struct sim_value *map, const char *key,
                        const char *text);
/* Of a key that is known not to be in yet. */
void sim_value_put_new(struct sim_value *map, const char *key,
                       struct sim_value *take);
/* NULL when absent, or when v is no map. v may be NULL. */
const struct sim_value *sim_value_get(const struct sim_value *v,
                                      const char *key);
bool sim_value_drop(struct sim_value *map, const char *key);

/* The text of a TEXT or DATE; otherwise (or NULL): `otherwise`. */
const char *sim_value_str(const struct sim_value *v, const char *otherwise);
const char *sim_value_get_str(const struct sim_value *map, const char *key,
                              const char *otherwise);

/* Ints also from digits in a text, bools from ints, reals from both. False:
 * v is of another kind, NULL or malformed. */
bool sim_value_to_int(const struct sim_value *v, int64_t *out);
bool sim_value_to_bool(const struct sim_value *v, bool *out);
bool sim_value_to_real(const struct sim_value *v, double *out);

/* A copy as the given kind, as XAPI's reader would take it; NULL: it cannot
 * be. Members of sets and maps must be texts. */
struct sim_value *sim_value_cast(const struct sim_value *v, enum sim_kind kind);

#endif
