/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_call.h - one API call while it is being answered.
 *
 * A method runs with the pool's lock held. It may let go of it for long work
 * (sim_db_unlock), and then finds its objects anew. It returns its result, or
 * NULL after sim_call_fail().
 */
#ifndef CAIRN_SIM_CALL_H
#define CAIRN_SIM_CALL_H

#include "tests/sim/sim_pool.h"

/* Least first. */
enum sim_role {
    SIM_READ_ONLY,
    SIM_VM_OPERATOR,
    SIM_VM_ADMIN,
    SIM_VM_POWER_ADMIN,
    SIM_POOL_OPERATOR,
    SIM_POOL_ADMIN,
};

struct sim_call {
    struct sim_pool *pool;
    struct sim_host *host;
    struct sim_db *db;
    const char *method;           /* without Async. */
    const struct sim_value *args; /* without the session */
    char session[SIM_REF_MAX];
    char task[SIM_REF_MAX]; /* of an Async. call; else empty */
    struct sim_value *failure;
};

typedef struct sim_value *sim_call_fn(struct sim_call *c);

struct sim_method {
    const char *name; /* NULL ends a table */
    sim_call_fn *fn;
    enum sim_role role;
    unsigned min, max; /* arguments after the session */
};

/* Returns NULL. */
struct sim_value *sim_call_fail(struct sim_call *c, const char *code, ...)
    __attribute__((sentinel));
struct sim_value *sim_call_fail_take(struct sim_call *c,
                                     struct sim_value *failure);
/* An err of the disk layer: SR_BACKEND_FAILURE_44 or VDI_IO_ERROR. */
struct sim_value *sim_call_fail_io(struct sim_call *c, const struct err *err);

/* What a method without a result returns. */
struct sim_value *sim_call_void(void);

/* "" when it is absent or no text. */
const char *sim_call_text(const struct sim_call *c, size_t i);

/* The object that argument i names. NULL: HANDLE_INVALID was set. */
struct sim_object *sim_call_object(struct sim_call *c, size_t i,
                                   const char *cls);

/* Fails with OTHER_OPERATION_IN_PROGRESS when o is busy: true. */
bool sim_call_busy(struct sim_call *c, struct sim_object *o);

/* "-1" as a role: none of that name. */
int sim_call_role(const char *name);
const char *sim_call_role_name(enum sim_role role);

/* "CODE: [ a; b ]", as pages and logs of XAPI tell an error. */
char *sim_call_error_text(const struct sim_value *failure);

#endif
