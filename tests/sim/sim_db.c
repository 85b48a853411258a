/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_db.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "tests/sim/sim_mem.h"

#define BUCKETS 16384

struct rows {
    struct sim_object **at;
    size_t count, cap;
};

struct sim_db {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const struct sim_schema *schema;
    struct rows *rows; /* by class */
    struct sim_object *buckets[BUCKETS];
    struct sim_object *oldest, *youngest;
    uint64_t generation;
    struct sim_gone *gone;
    size_t gone_count, gone_cap;
};

struct sim_db *sim_db_new(const struct sim_schema *schema)
{
    struct sim_db *db = sim_mem_new(sizeof(*db));
    pthread_condattr_t attr;

    pthread_mutex_init(&db->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&db->changed, &attr);
    pthread_condattr_destroy(&attr);
    db->schema = schema;
    db->rows = sim_mem_new(schema->count * sizeof(*db->rows));
    db->generation = 1000;
    return db;
}

static void object_free(struct sim_object *o)
{
    for (size_t i = 0; i < o->cls->count; i++)
        sim_value_free(o->values[i]);
    if (o->extra_free)
        o->extra_free(o->extra);
    free(o->values);
    free(o);
}

void sim_db_free(struct sim_db *db)
{
    if (!db)
        return;
    for (size_t i = 0; i < db->schema->count; i++) {
        for (size_t k = 0; k < db->rows[i].count; k++)
            object_free(db->rows[i].at[k]);
        free(db->rows[i].at);
    }
    free(db->rows);
    free(db->gone);
    pthread_cond_destroy(&db->changed);
    pthread_mutex_destroy(&db->lock);
    free(db);
}

void sim_db_lock(struct sim_db *db)
{
    pthread_mutex_lock(&db->lock);
}

void sim_db_unlock(struct sim_db *db)
{
    pthread_mutex_unlock(&db->lock);
}

void sim_db_wait(struct sim_db *db, uint64_t ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&db->changed, &db->lock, &t);
}

void sim_db_wake(struct sim_db *db)
{
    pthread_cond_broadcast(&db->changed);
}

const struct sim_schema *sim_db_schema(const struct sim_db *db)
{
    return db->schema;
}

uint64_t sim_db_generation(const struct sim_db *db)
{
    return db->generation;
}

void sim_db_new_uuid(char out[37])
{
    struct id16 id;

    if (getrandom(&id, sizeof(id), 0) != sizeof(id))
        abort();
    id.b[6] = (id.b[6] & 0x0f) | 0x40;
    id.b[8] = (id.b[8] & 0x3f) | 0x80;
    parse_uuid_text(&id, out);
}

void sim_db_new_ref(char out[SIM_REF_MAX])
{
    char uuid[37];

    sim_db_new_uuid(uuid);
    snprintf(out, SIM_REF_MAX, "OpaqueRef:%s", uuid);
}

/* ---- the list by change, the hash by reference ---- */

static void list_drop(struct sim_db *db, struct sim_object *o)
{
    if (o->older)
        o->older->younger = o->younger;
    else
        db->oldest = o->younger;
    if (o->younger)
        o->younger->older = o->older;
    else
        db->youngest = o->older;
}

static void list_push(struct sim_db *db, struct sim_object *o)
{
    o->older = db->youngest;
    o->younger = NULL;
    if (db->youngest)
        db->youngest->younger = o;
    else
        db->oldest = o;
    db->youngest = o;
}

static size_t bucket(const char *ref)
{
    uint64_t h = 1469598103934665603u;

    for (const char *p = ref; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    return (h ^ h >> 32) % BUCKETS;
}

void sim_db_touch(struct sim_db *db, struct sim_object *o)
{
    list_drop(db, o);
    o->changed = ++db->generation;
    list_push(db, o);
    pthread_cond_broadcast(&db->changed);
}

static struct rows *rows_of(struct sim_db *db, const struct sim_class *c)
{
    return &db->rows[c - db->schema->classes];
}

static struct sim_class *class_of(struct sim_db *db, const char *cls)
{
    struct sim_class *c = sim_class_find(db->schema, cls);

    if (!c) {
        fprintf(stderr, "xensim: no class %s\n", cls);
        abort();
    }
    return c;
}

struct sim_object *sim_db_create(struct sim_db *db, const char *cls,
                                 const char *ref, const char *uuid)
{
    struct sim_class *c = class_of(db, cls);
    struct sim_object *o = sim_mem_new(sizeof(*o));
    struct rows *rows = rows_of(db, c);
    char made[37];
    size_t b;

    o->cls = c;
    if (ref)
        snprintf(o->ref, sizeof(o->ref), "%s", ref);
    else
        sim_db_new_ref(o->ref);
    o->values = sim_mem_new(c->count * sizeof(*o->values));
    for (size_t i = 0; i < c->count; i++)
        o->values[i] = sim_class_fallback(&c->fields[i]);
    if (rows->count == rows->cap) {
        rows->cap = rows->cap ? rows->cap * 2 : 16;
        rows->at = sim_mem_grow(rows->at, rows->cap * sizeof(*rows->at));
    }
    o->place = rows->count;
    rows->at[rows->count++] = o;
    b = bucket(o->ref);
    o->next_hash = db->buckets[b];
    db->buckets[b] = o;
    list_push(db, o);
    if (!uuid) {
        sim_db_new_uuid(made);
        uuid = made;
    }
    sim_db_touch(db, o);
    o->born = o->changed;
    sim_db_set_text(db, o, "uuid", uuid);
    return o;
}

static int field_of(const struct sim_object *o, const char *field)
{
    int i = sim_class_field(o->cls, field);

    if (i < 0) {
        fprintf(stderr, "xensim: no field %s.%s\n", o->cls->name, field);
        abort();
    }
    return i;
}

static void back_change(struct sim_db *db, const struct sim_field *f,
                        const char *target, const char *ref, bool add)
{
    struct sim_object *t;

    if (!f->back_class)
        return;
    t = sim_db_find(db, f->back_class->name, target);
    if (!t)
        return;
    if (add)
        sim_value_add_text(t->values[f->back_field], ref);
    else
        sim_value_remove(t->values[f->back_field], ref);
    sim_db_touch(db, t);
}

void sim_db_destroy(struct sim_db *db, struct sim_object *o)
{
    struct rows *rows = rows_of(db, o->cls);
    struct sim_object **link = &db->buckets[bucket(o->ref)];
    struct sim_gone *g;

    for (size_t i = 0; i < o->cls->count; i++)
        if (o->cls->fields[i].back_class)
            back_change(db, &o->cls->fields[i], o->values[i]->text, o->ref,
                        false);
    while (*link != o)
        link = &(*link)->next_hash;
    *link = o->next_hash;
    list_drop(db, o);
    for (size_t i = o->place + 1; i < rows->count; i++)
        rows->at[i]->place--;
    memmove(rows->at + o->place, rows->at + o->place + 1,
            (rows->count - o->place - 1) * sizeof(*rows->at));
    rows->count--;
    if (db->gone_count == db->gone_cap) {
        db->gone_cap = db->gone_cap ? db->gone_cap * 2 : 64;
        db->gone = sim_mem_grow(db->gone, db->gone_cap * sizeof(*db->gone));
    }
    g = &db->gone[db->gone_count++];
    g->cls = o->cls;
    snprintf(g->ref, sizeof(g->ref), "%s", o->ref);
    g->born = o->born;
    g->died = ++db->generation;
    object_free(o);
    pthread_cond_broadcast(&db->changed);
}

struct sim_object *sim_db_find(struct sim_db *db, const char *cls,
                               const char *ref)
{
    for (struct sim_object *o = db->buckets[bucket(ref)]; o; o = o->next_hash)
        if (strcmp(o->ref, ref) == 0)
            return cls && strcmp(o->cls->name, cls) != 0 ? NULL : o;
    return NULL;
}

struct sim_object *sim_db_find_uuid(struct sim_db *db, const char *cls,
                                    const char *uuid)
{
    struct rows *rows = rows_of(db, class_of(db, cls));

    for (size_t i = 0; i < rows->count; i++)
        if (strcmp(sim_db_str(rows->at[i], "uuid"), uuid) == 0)
            return rows->at[i];
    return NULL;
}

struct sim_object *sim_db_find_any(struct sim_db *db, const char *cls,
                                   const char *name)
{
    struct rows *rows = rows_of(db, class_of(db, cls));
    struct sim_object *o = sim_db_find(db, cls, name);
    int field = sim_class_field(class_of(db, cls), "name_label");

    if (!o)
        o = sim_db_find_uuid(db, cls, name);
    for (size_t i = 0; !o && field >= 0 && i < rows->count; i++)
        if (strcmp(rows->at[i]->values[field]->text, name) == 0)
            o = rows->at[i];
    return o;
}

size_t sim_db_count(struct sim_db *db, const char *cls)
{
    return rows_of(db, class_of(db, cls))->count;
}

struct sim_object *sim_db_at(struct sim_db *db, const char *cls, size_t i)
{
    struct rows *rows = rows_of(db, class_of(db, cls));

    return i < rows->count ? rows->at[i] : NULL;
}

/* ---- fields ---- */

const struct sim_value *sim_db_get(const struct sim_object *o,
                                   const char *field)
{
    return o->values[field_of(o, field)];
}

const char *sim_db_str(const struct sim_object *o, const char *field)
{
    return sim_value_str(sim_db_get(o, field), "");
}

int64_t sim_db_int(const struct sim_object *o, const char *field)
{
    return sim_db_get(o, field)->i;
}

bool sim_db_bool(const struct sim_object *o, const char *field)
{
    return sim_db_get(o, field)->b;
}

struct sim_object *sim_db_ref(struct sim_db *db, const struct sim_object *o,
                              const char *field)
{
    return sim_db_find(db, NULL, sim_db_str(o, field));
}

void sim_db_set(struct sim_db *db, struct sim_object *o, const char *field,
                struct sim_value *take)
{
    int i = field_of(o, field);
    const struct sim_field *f = &o->cls->fields[i];

    if (take->kind != f->kind) {
        fprintf(stderr, "xensim: wrong kind for %s.%s\n", o->cls->name, field);
        abort();
    }
    if (sim_value_equal(o->values[i], take)) {
        sim_value_free(take);
        return;
    }
    if (f->back_class) {
        back_change(db, f, o->values[i]->text, o->ref, false);
        back_change(db, f, take->text, o->ref, true);
    }
    sim_value_free(o->values[i]);
    o->values[i] = take;
    sim_db_touch(db, o);
}

void sim_db_set_text(struct sim_db *db, struct sim_object *o, const char *field,
                     const char *text)
{
    sim_db_set(db, o, field,
               o->cls->fields[field_of(o, field)].kind == SIM_DATE
                   ? sim_value_date(text)
                   : sim_value_text(text));
}

void sim_db_set_int(struct sim_db *db, struct sim_object *o, const char *field,
                    int64_t i)
{
    sim_db_set(db, o, field, sim_value_int(i));
}

void sim_db_set_bool(struct sim_db *db, struct sim_object *o, const char *field,
                     bool b)
{
    sim_db_set(db, o, field, sim_value_bool(b));
}

void sim_db_map_put(struct sim_db *db, struct sim_object *o, const char *field,
                    const char *key, const char *text)
{
    sim_value_put_text(o->values[field_of(o, field)], key, text);
    sim_db_touch(db, o);
}

bool sim_db_map_drop(struct sim_db *db, struct sim_object *o, const char *field,
                     const char *key)
{
    bool was = sim_value_drop(o->values[field_of(o, field)], key);

    if (was)
        sim_db_touch(db, o);
    return was;
}

struct sim_value *sim_db_record(const struct sim_object *o)
{
    struct sim_value *map = sim_value_map();

    for (size_t i = 0; i < o->cls->count; i++)
        sim_value_put_new(map, o->cls->fields[i].name,
                          sim_value_copy(o->values[i]));
    return map;
}

struct sim_object *sim_db_youngest(const struct sim_db *db)
{
    return db->youngest;
}

size_t sim_db_gone_count(const struct sim_db *db)
{
    return db->gone_count;
}

const struct sim_gone *sim_db_gone(const struct sim_db *db, size_t i)
{
    return &db->gone[i];
}
