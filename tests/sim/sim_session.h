/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_session.h - logins. All but sim_session_authenticate() and
 * sim_session_login() need the pool's lock.
 */
#ifndef CAIRN_SIM_SESSION_H
#define CAIRN_SIM_SESSION_H

#include "tests/sim/sim_call.h"

extern const struct sim_method sim_session_methods[];

/* A session's `extra`. */
struct sim_login {
    const struct sim_user *user;
    struct sim_value *classes; /* of event.register; NULL: not registered */
    uint64_t seen;             /* generation that event.next told last */
};

/* Waits 5 s (scaled) when the password is wrong. NULL: it is. */
const struct sim_user *sim_session_authenticate(struct sim_pool *pool,
                                                const char *user,
                                                const char *password);

/* Authenticates and makes a session; needs no lock. NULL: wrong password. */
struct sim_value *sim_session_login(struct sim_host *host, const char *user,
                                    const char *password,
                                    const char *originator);

/* NULL: no such session. Counts as use. */
struct sim_object *sim_session_check(struct sim_pool *pool, const char *ref);
enum sim_role sim_session_role(const struct sim_object *session);
void sim_session_destroy(struct sim_pool *pool, struct sim_object *session);
void sim_session_destroy_all(struct sim_pool *pool);

#endif
