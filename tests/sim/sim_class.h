/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_class.h - the classes of XAPI and their fields.
 *
 * One table of text per class (sim_class.c says how it reads). Read only once
 * it is made; any thread.
 */
#ifndef CAIRN_SIM_CLASS_H
#define CAIRN_SIM_CLASS_H

#include "tests/sim/sim_value.h"

struct sim_class;

struct sim_field {
    char *name;
    enum sim_kind kind;
    bool is_ref;    /* a reference, or a set of references */
    bool settable;  /* set_x, add_to_x, remove_from_x exist */
    bool derived;   /* kept up by XAPI: who points here with `other` */
    char *other;    /* derived: "VBD.VM" */
    char *fallback; /* default of a scalar, as text; NULL: empty */
    bool required;  /* the constructor must be given it */
    struct sim_class *back_class; /* of a ref whose target keeps a set of us */
    size_t back_field;
};

struct sim_class {
    const char *name;
    struct sim_field *fields;
    size_t count;
};

struct sim_schema {
    struct sim_class *classes;
    size_t count;
};

struct sim_schema *sim_class_schema_new(void);
void sim_class_schema_free(struct sim_schema *s);

/* NULL: no such class; exact case, or any. */
struct sim_class *sim_class_find(const struct sim_schema *s, const char *name);
struct sim_class *sim_class_find_any_case(const struct sim_schema *s,
                                          const char *name);

/* -1: no such field. */
int sim_class_field(const struct sim_class *c, const char *name);

/* What a field of a new object holds. */
struct sim_value *sim_class_fallback(const struct sim_field *f);

#endif
