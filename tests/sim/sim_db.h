/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_db.h - the objects of one pool, and what changed when.
 *
 * One lock per pool: everything here but sim_db_new() and sim_db_lock() is
 * called with it held. An object lives until it is destroyed; whoever lets go
 * of the lock holds references as text, not pointers. Every change gives the
 * object a new generation number and wakes whoever is in sim_db_wait().
 */
#ifndef CAIRN_SIM_DB_H
#define CAIRN_SIM_DB_H

#include "tests/sim/sim_class.h"

#define SIM_REF_MAX 64

struct sim_db;

struct sim_object {
    struct sim_class *cls;
    char ref[SIM_REF_MAX];
    uint64_t born, changed; /* generations */
    struct sim_value **values;
    void *extra; /* a VDI's disk, a session's registration */
    void (*extra_free)(void *extra);
    struct sim_object *older, *younger; /* all objects by `changed` */
    struct sim_object *next_hash;
    size_t place; /* in its class */
};

struct sim_db *sim_db_new(const struct sim_schema *schema);
void sim_db_free(struct sim_db *db);

void sim_db_lock(struct sim_db *db);
void sim_db_unlock(struct sim_db *db);
/* Let go of the lock until a change, or for that long. */
void sim_db_wait(struct sim_db *db, uint64_t ms);
/* Wake all who wait, without a change. */
void sim_db_wake(struct sim_db *db);

const struct sim_schema *sim_db_schema(const struct sim_db *db);
uint64_t sim_db_generation(const struct sim_db *db);

/* "OpaqueRef:..." and "xxxxxxxx-xxxx-...", at random. */
void sim_db_new_ref(char out[SIM_REF_MAX]);
void sim_db_new_uuid(char out[37]);

/* All fields have their defaults. ref and uuid NULL: made up. */
struct sim_object *sim_db_create(struct sim_db *db, const char *cls,
                                 const char *ref, const char *uuid);
/* Whoever points here keeps a dangling reference, as in XAPI. */
void sim_db_destroy(struct sim_db *db, struct sim_object *o);

/* NULL: none. cls NULL: of any class. */
struct sim_object *sim_db_find(struct sim_db *db, const char *cls,
                               const char *ref);
struct sim_object *sim_db_find_uuid(struct sim_db *db, const char *cls,
                                    const char *uuid);
/* By reference, uuid or name, in this order. */
struct sim_object *sim_db_find_any(struct sim_db *db, const char *cls,
                                   const char *name);

size_t sim_db_count(struct sim_db *db, const char *cls);
struct sim_object *sim_db_at(struct sim_db *db, const char *cls, size_t i);

/* Fields by name; a name that is none ends the process. */
const struct sim_value *sim_db_get(const struct sim_object *o,
                                   const char *field);
const char *sim_db_str(const struct sim_object *o, const char *field);
int64_t sim_db_int(const struct sim_object *o, const char *field);
bool sim_db_bool(const struct sim_object *o, const char *field);
/* The object that a reference names, or NULL. */
struct sim_object *sim_db_ref(struct sim_db *db, const struct sim_object *o,
                              const char *field);

/* Setting keeps the other side of references up to date. */
void sim_db_set(struct sim_db *db, struct sim_object *o, const char *field,
                struct sim_value *take);
void sim_db_set_text(struct sim_db *db, struct sim_object *o, const char *field,
                     const char *text);
void sim_db_set_int(struct sim_db *db, struct sim_object *o, const char *field,
                    int64_t i);
void sim_db_set_bool(struct sim_db *db, struct sim_object *o, const char *field,
                     bool b);
void sim_db_map_put(struct sim_db *db, struct sim_object *o, const char *field,
                    const char *key, const char *text);
bool sim_db_map_drop(struct sim_db *db, struct sim_object *o, const char *field,
                     const char *key);
void sim_db_touch(struct sim_db *db, struct sim_object *o);

/* All fields, as get_record answers. */
struct sim_value *sim_db_record(const struct sim_object *o);

/* What changed after a generation: objects from the youngest change on, then
 * the rows that are gone. */
struct sim_gone {
    struct sim_class *cls;
    char ref[SIM_REF_MAX];
    uint64_t born, died;
};
struct sim_object *sim_db_youngest(const struct sim_db *db);
size_t sim_db_gone_count(const struct sim_db *db);
const struct sim_gone *sim_db_gone(const struct sim_db *db, size_t i);

#endif
