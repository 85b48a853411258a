/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_generic.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_mem.h"

/* Whole verbs first, then prefixes of field names; longer before shorter. */
static const struct {
    const char *verb;
    enum sim_generic_kind kind;
    unsigned args;
} verbs[] =
    {
        {"get_all", SIM_GENERIC_GET_ALL, 0},
        {"get_all_records", SIM_GENERIC_GET_ALL_RECORDS, 0},
        {"get_all_records_where", SIM_GENERIC_GET_ALL_RECORDS_WHERE, 1},
        {"get_record", SIM_GENERIC_GET_RECORD, 1},
        {"get_by_uuid", SIM_GENERIC_GET_BY_UUID, 1},
        {"get_by_name_label", SIM_GENERIC_GET_BY_NAME, 1},
},
  prefixes[] = {
      {"get_", SIM_GENERIC_GET, 1},
      {"set_", SIM_GENERIC_SET, 2},
      {"add_to_", SIM_GENERIC_ADD_TO, 3},
      {"remove_from_", SIM_GENERIC_REMOVE_FROM, 2},
      {"add_", SIM_GENERIC_ADD, 2},
      {"remove_", SIM_GENERIC_REMOVE, 2},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool fits(enum sim_generic_kind kind, const struct sim_field *f)
{
    if (kind == SIM_GENERIC_GET)
        return true;
    if (!f->settable)
        return false;
    if (kind == SIM_GENERIC_ADD_TO || kind == SIM_GENERIC_REMOVE_FROM)
        return f->kind == SIM_MAP;
    if (kind == SIM_GENERIC_ADD || kind == SIM_GENERIC_REMOVE)
        return f->kind == SIM_SET;
    return true;
}

/* What writes to VMs and disks a VM administrator may do; the rest belongs to
 * whoever runs the pool. Tasks are everybody's. */
static enum sim_role role_of(enum sim_generic_kind kind,
                             const struct sim_class *c)
{
    static const char *const of_vms[] = {"VM",
                                         "VBD",
                                         "VDI",
                                         "VIF",
                                         "VTPM",
                                         "VM_metrics",
                                         "VM_guest_metrics",
                                         "console",
                                         "VUSB"};

    if (kind <= SIM_GENERIC_GET || strcmp(c->name, "task") == 0 ||
        strcmp(c->name, "session") == 0)
        return SIM_READ_ONLY;
    for (size_t i = 0; i < COUNT(of_vms); i++)
        if (strcmp(of_vms[i], c->name) == 0)
            return SIM_VM_ADMIN;
    return SIM_POOL_OPERATOR;
}

/* Nobody can list sessions, and not every class has names. */
static bool has_verb(const struct sim_class *c, enum sim_generic_kind kind)
{
    if (strcmp(c->name, "session") == 0 &&
        kind <= SIM_GENERIC_GET_ALL_RECORDS_WHERE)
        return false;
    return kind != SIM_GENERIC_GET_BY_NAME ||
           sim_class_field(c, "name_label") >= 0;
}

static bool find_verb(const char *verb, struct sim_generic *out)
{
    for (size_t i = 0; i < COUNT(verbs); i++) {
        if (strcmp(verbs[i].verb, verb) != 0)
            continue;
        out->kind = verbs[i].kind;
        out->args = verbs[i].args;
        return has_verb(out->cls, out->kind);
    }
    for (size_t i = 0; i < COUNT(prefixes); i++) {
        size_t n = strlen(prefixes[i].verb);
        int field;

        if (strncmp(prefixes[i].verb, verb, n) != 0)
            continue;
        field = sim_class_field(out->cls, verb + n);
        if (field < 0 || !fits(prefixes[i].kind, &out->cls->fields[field]))
            continue;
        out->kind = prefixes[i].kind;
        out->args = prefixes[i].args;
        out->field = &out->cls->fields[field];
        return true;
    }
    return false;
}

bool sim_generic_find(const struct sim_schema *s, const char *method,
                      struct sim_generic *out)
{
    const char *dot = strchr(method, '.');
    char *cls;

    memset(out, 0, sizeof(*out));
    if (!dot)
        return false;
    cls = sim_mem_dup_n(method, (size_t)(dot - method));
    out->cls = sim_class_find(s, cls);
    free(cls);
    if (!out->cls || !find_verb(dot + 1, out))
        return false;
    out->role = role_of(out->kind, out->cls);
    return true;
}

static struct sim_value *run_set(struct sim_call *c, struct sim_object *o,
                                 const struct sim_field *f)
{
    struct sim_value *v = sim_value_cast(sim_value_at(c->args, 1), f->kind);

    if (!v)
        return sim_call_fail(c, "FIELD_TYPE_ERROR", f->name, NULL);
    sim_db_set(c->db, o, f->name, v);
    return sim_call_void();
}

static struct sim_value *run_add_to(struct sim_call *c, struct sim_object *o,
                                    const struct sim_field *f)
{
    const char *key = sim_call_text(c, 1);

    if (sim_value_get(sim_db_get(o, f->name), key))
        return sim_call_fail(c, "MAP_DUPLICATE_KEY", o->cls->name, f->name,
                             o->ref, key, NULL);
    sim_db_map_put(c->db, o, f->name, key, sim_call_text(c, 2));
    return sim_call_void();
}

static struct sim_value *run_member(struct sim_call *c, struct sim_object *o,
                                    const struct sim_generic *g)
{
    struct sim_value *set = sim_value_copy(sim_db_get(o, g->field->name));
    const char *text = sim_call_text(c, 1);

    if (g->kind == SIM_GENERIC_REMOVE)
        sim_value_remove(set, text);
    else if (!sim_value_has(set, text))
        sim_value_add_text(set, text);
    sim_db_set(c->db, o, g->field->name, set);
    return sim_call_void();
}

static struct sim_value *run_on_object(struct sim_call *c,
                                       const struct sim_generic *g)
{
    struct sim_object *o = sim_call_object(c, 0, g->cls->name);

    if (!o)
        return NULL;
    switch (g->kind) {
    case SIM_GENERIC_GET_RECORD:
        return sim_db_record(o);
    case SIM_GENERIC_GET:
        return sim_value_copy(sim_db_get(o, g->field->name));
    case SIM_GENERIC_SET:
        return run_set(c, o, g->field);
    case SIM_GENERIC_ADD_TO:
        return run_add_to(c, o, g->field);
    case SIM_GENERIC_REMOVE_FROM:
        sim_db_map_drop(c->db, o, g->field->name, sim_call_text(c, 1));
        return sim_call_void();
    default:
        return run_member(c, o, g);
    }
}

/* The simple form of a filter: field "name__label"="x", or true. */
static bool where_read(const char *text, char **field, char **value)
{
    const char *a, *b;
    size_t n = 0;

    *field = *value = NULL;
    if (strcmp(text, "true") == 0)
        return true;
    if (strncmp(text, "field", 5) != 0)
        return false;
    a = text + 5 + strspn(text + 5, " ");
    if (*a != '"' || !(b = strchr(a + 1, '"')))
        return false;
    *field = sim_mem_new((size_t)(b - a));
    for (const char *p = a + 1; p < b; p++) {
        (*field)[n++] = *p;
        if (*p == '_' && p + 1 < b && p[1] == '_')
            p++;
    }
    a = b + 1 + strspn(b + 1, " ");
    if (*a == '=')
        a += 1 + strspn(a + 1, " ");
    if (*a != '"' || !(b = strchr(a + 1, '"')) || b[1]) {
        free(*field);
        *field = NULL; /* the caller frees it too */
        return false;
    }
    *value = sim_mem_dup_n(a + 1, (size_t)(b - a - 1));
    return true;
}

static bool matches(const struct sim_object *o, const char *field,
                    const char *value)
{
    const struct sim_value *v = sim_db_get(o, field);
    int64_t i;

    if (v->text)
        return strcmp(v->text, value) == 0;
    if (v->kind == SIM_BOOL)
        return strcmp(v->b ? "true" : "false", value) == 0;
    return sim_value_to_int(v, &i) && i == strtoll(value, NULL, 10);
}

static struct sim_value *run_records(struct sim_call *c,
                                     const struct sim_generic *g)
{
    char *field = NULL, *value = NULL;
    struct sim_value *map;
    struct sim_object *o;

    if (g->kind == SIM_GENERIC_GET_ALL_RECORDS_WHERE &&
        (!where_read(sim_call_text(c, 0), &field, &value) ||
         (field && sim_class_field(g->cls, field) < 0))) {
        free(field);
        free(value);
        return sim_call_fail(c, "INTERNAL_ERROR", "xensim: filter not known",
                             NULL);
    }
    map = sim_value_map();
    for (size_t i = 0; (o = sim_db_at(c->db, g->cls->name, i)); i++)
        if (!field || matches(o, field, value))
            sim_value_put_new(map, o->ref, sim_db_record(o));
    free(field);
    free(value);
    return map;
}

static struct sim_value *run_refs(struct sim_call *c,
                                  const struct sim_generic *g)
{
    struct sim_value *set = sim_value_set();
    struct sim_object *o;

    for (size_t i = 0; (o = sim_db_at(c->db, g->cls->name, i)); i++)
        if (g->kind == SIM_GENERIC_GET_ALL ||
            strcmp(sim_db_str(o, "name_label"), sim_call_text(c, 0)) == 0)
            sim_value_add_text(set, o->ref);
    return set;
}

struct sim_value *sim_generic_run(struct sim_call *c,
                                  const struct sim_generic *g)
{
    struct sim_object *o;

    switch (g->kind) {
    case SIM_GENERIC_GET_ALL:
    case SIM_GENERIC_GET_BY_NAME:
        return run_refs(c, g);
    case SIM_GENERIC_GET_ALL_RECORDS:
    case SIM_GENERIC_GET_ALL_RECORDS_WHERE:
        return run_records(c, g);
    case SIM_GENERIC_GET_BY_UUID:
        o = sim_db_find_uuid(c->db, g->cls->name, sim_call_text(c, 0));
        if (!o)
            return sim_call_fail(c, "UUID_INVALID", g->cls->name,
                                 sim_call_text(c, 0), NULL);
        return sim_value_text(o->ref);
    default:
        return run_on_object(c, g);
    }
}

void sim_generic_names(const struct sim_schema *s, struct sim_value *set)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct sim_class *c = &s->classes[i];

        for (size_t k = 0; k < COUNT(verbs); k++)
            if (has_verb(c, verbs[k].kind))
                sim_value_add(set,
                              sim_value_textf("%s.%s", c->name, verbs[k].verb));
        for (size_t k = 0; k < c->count; k++)
            for (size_t p = 0; p < COUNT(prefixes); p++)
                if (fits(prefixes[p].kind, &c->fields[k]))
                    sim_value_add(set, sim_value_textf("%s.%s%s", c->name,
                                                       prefixes[p].verb,
                                                       c->fields[k].name));
    }
}
