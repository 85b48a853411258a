/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_fault.h - the fault switches of README.md.
 *
 * Whoever may misbehave asks sim_fault_hit() with its name and the place; a
 * hit uses the switch up by one and hands out its arguments. Any thread.
 */
#ifndef CAIRN_SIM_FAULT_H
#define CAIRN_SIM_FAULT_H

#include "base/err.h"
#include "base/json.h"
#include "tests/sim/sim_value.h"

struct sim_faults;

/* Where something happens: names by which a filter may mean it. Borrowed. */
struct sim_where {
    const char *pool[2], *host[3], *vm[6], *vdi[3], *sr[3];
    const char *method;
    int64_t disk; /* position; compared with a fault's "disk", default 0 */
    bool named;   /* only faults that name this method strike */
    bool at_once; /* only faults with "at_once": true */
};

/* A fault that struck. */
struct sim_hit {
    struct json *fault;
};

struct sim_faults *sim_fault_new(void);
void sim_fault_free(struct sim_faults *f);

/* ERR_ARGUMENT: no such fault, or no such argument of it. */
enum err_code sim_fault_set(struct sim_faults *f, const struct json *fault,
                            uint64_t *id, struct err *err);
/* By id (when not 0) and name (when not NULL). How many went. */
size_t sim_fault_clear(struct sim_faults *f, uint64_t id, const char *name);
struct json *sim_fault_list(struct sim_faults *f);

/* True: it strikes here and now; release it. out may be NULL. */
bool sim_fault_hit(struct sim_faults *f, const char *name,
                   const struct sim_where *where, struct sim_hit *out);
void sim_fault_release(struct sim_hit *hit);

/* What goes wrong during one transfer: a hit of each fault whose name begins
 * with a prefix, taken at once; but not of refusals (_401, _403, _redirect). */
#define SIM_PLAN_MAX 32

struct sim_plan {
    struct {
        const char *name;
        struct sim_hit hit;
    } at[SIM_PLAN_MAX];
    size_t count;
};

void sim_fault_plan(struct sim_faults *f, const char *prefix,
                    const struct sim_where *where, struct sim_plan *out);
/* NULL: this one did not strike. */
const struct sim_hit *sim_fault_planned(const struct sim_plan *plan,
                                        const char *name);
void sim_fault_plan_release(struct sim_plan *plan);

/* Arguments of a hit. */
int64_t sim_fault_int(const struct sim_hit *hit, const char *key,
                      int64_t otherwise);
bool sim_fault_bool(const struct sim_hit *hit, const char *key);
const char *sim_fault_text(const struct sim_hit *hit, const char *key,
                           const char *otherwise);
/* "error" as a set of texts; else the given code with no parameters. */
struct sim_value *sim_fault_error(const struct sim_hit *hit, const char *code);

#endif
