/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/hostile_rig.h - a vault that sessions wrote, in a store that may
 * be made hostile to it, and what must be true after each thing that it does.
 */
#ifndef CAIRN_TESTS_UNIT_HOSTILE_RIG_H
#define CAIRN_TESTS_UNIT_HOSTILE_RIG_H

#include "session_rig.h"

#define HOSTILE_RIG_POINTS 3
#define HOSTILE_RIG_OBJECTS 64

struct hostile_rig_thing {
    char name[NAME_TEXT];
    uint8_t *data;
    size_t len;
    enum name_kind kind;
};

struct hostile_rig_point {
    const char *name;
    const uint8_t *disk;
    size_t len;
    struct point *point;
};

struct hostile_rig {
    const struct keyring *keys; /* all */
    struct store_fault_bucket *bucket;
    bool all; /* each thing is done to each object */
    struct hostile_rig_thing ours[HOSTILE_RIG_OBJECTS];
    struct hostile_rig_thing theirs[HOSTILE_RIG_OBJECTS]; /* another vault's */
    size_t our_count, their_count;
    struct hostile_rig_point points[HOSTILE_RIG_POINTS];
};

/* A test program has one. */
extern struct hostile_rig hostile_rig;

int hostile_rig_set_up(void **state);
int hostile_rig_tear_down(void **state);

/* An object, in place of another of this name if there is one. */
void hostile_rig_put(const char *name, const void *data, size_t len);

/* Whether ours[i] is the first of its kind; whether the n-th thing is done to
 * it. */
bool hostile_rig_is_first(size_t i);
bool hostile_rig_is_due(size_t i, size_t n);

enum hostile_rig_must {
    FOUND = 1,    /* a full verification finds it, and names the object */
    SEALED = 2,   /* one without data keys does too */
    HURTS = 4,    /* all points that need the object are refused */
    HARMLESS = 8, /* all restore */
    WRAP = 16,    /* points count as hurt, whose key nobody can unwrap */
};

/* Look, compare with what may and must be, and put all back as it was. `b`: a
 * second object, or NULL. */
void hostile_rig_check(const char *why, const struct hostile_rig_thing *t,
                       const struct hostile_rig_thing *b, unsigned must);

#endif
