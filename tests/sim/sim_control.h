/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_control.h - the control API of README.md.
 */
#ifndef CAIRN_SIM_CONTROL_H
#define CAIRN_SIM_CONTROL_H

#include "base/json.h"
#include "tests/sim/sim_pool.h"

/* Serve one connection to its end; takes the descriptor. */
void sim_control_serve(struct sim *sim, int fd);

/* ---- what sim_control_do.c needs of it ---- */

/* One POST: body in, answer out (NULL: *err says why). */
typedef struct json *sim_control_fn(struct sim *sim, const struct json *body,
                                    struct err *err);

struct sim_control_verb {
    const char *path; /* after "/sim/"; NULL ends the table */
    sim_control_fn *fn;
};

extern const struct sim_control_verb sim_control_do_verbs[];

/* The pool that the body names, or the only one. */
struct sim_pool *sim_control_pool(struct sim *sim, const struct json *body,
                                  struct err *err);
/* An object that member `key` names. With the lock. */
struct sim_object *sim_control_object(struct sim_pool *pool,
                                      const struct json *body, const char *key,
                                      const char *cls, struct err *err);
/* The VDI of "vdi", or of "vm" and "device". With the lock. */
struct sim_object *sim_control_vdi(struct sim_pool *pool,
                                   const struct json *body, struct err *err);
/* {"ok": true} */
struct json *sim_control_ok(void);

#endif
