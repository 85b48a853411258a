/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_transfer.h - what /export and /import have in common: who asks,
 * the task, the way to another host.
 */
#ifndef CAIRN_SIM_TRANSFER_H
#define CAIRN_SIM_TRANSFER_H

#include "tests/sim/sim_http.h"

struct sim_transfer {
    struct sim_conn *conn;
    const struct sim_request *request;
    struct sim_host *host;
    struct sim_pool *pool;
    const char *what; /* "export", "import": names faults and operations */
    char session[SIM_REF_MAX];
    bool own_session;        /* made for Basic authentication */
    char task[SIM_REF_MAX];  /* "" until sim_transfer_task() */
    char about[SIM_REF_MAX]; /* the VM or SR; faults look at it */
};

/* Authenticate (and t->about is what faults go by). False: answered with 401
 * or 403, or a fault's redirect. */
bool sim_transfer_begin(struct sim_transfer *t);

/* The task that the client named, or one of our own. */
void sim_transfer_task(struct sim_transfer *t);

/* End the task; takes both values. What has no task has nothing to end. */
void sim_transfer_end_task(struct sim_transfer *t, struct sim_value *result,
                           struct sim_value *failure);
/* A session of our own is closed. */
void sim_transfer_fini(struct sim_transfer *t);

/* 302 to another host, with the query of this request. */
void sim_transfer_redirect(struct sim_transfer *t, const struct sim_host *to);

/* With the lock: faults of this place. */
void sim_transfer_where(struct sim_transfer *t, struct sim_where *out);

#endif
