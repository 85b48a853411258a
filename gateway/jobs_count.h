/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/jobs_count.h - how many jobs run of each tenant, in each pool and on
 * each store, and who is next.
 *
 * A counter is named by text, made by its first use and stays: there are as
 * many as pools, tenants and stores that ever had jobs. Control loop only.
 */
#ifndef CAIRN_GATEWAY_JOBS_COUNT_H
#define CAIRN_GATEWAY_JOBS_COUNT_H

#include <stdbool.h>
#include <stdint.h>

struct jobs_count;
struct jobs_counter;

/* What one job counts for. NULL, also for want of memory: nothing. */
struct jobs_count_of {
    struct jobs_counter *tenant, *pool, *store;
};

struct jobs_count_limits {
    uint64_t tenant, pool, store;
};

struct jobs_count *jobs_count_new(void); /* NULL: no memory */
void jobs_count_free(struct jobs_count *c);

/* The counter of this name. */
struct jobs_counter *jobs_count_get(struct jobs_count *c, const char *name);

/* Whether one more may run. */
bool jobs_count_has_room(const struct jobs_count_of *of,
                         const struct jobs_count_limits *limits);

/* Whether a job of `a` goes before one of `b`: the tenant with fewer jobs that
 * run, then the one whose last turn is longer ago. */
bool jobs_count_is_before(const struct jobs_count_of *a,
                          const struct jobs_count_of *b);

/* It runs now; it is its tenant's turn. / It is over. */
void jobs_count_start(struct jobs_count *c, const struct jobs_count_of *of);
void jobs_count_end(const struct jobs_count_of *of);

/* May one more of a tenant wait, of whom `own` wait among `all`, where `max`
 * may? One tenant alone gets half of that, k of them 1/(k+1) each: who asks
 * without end does not keep the others out. */
bool jobs_count_may_wait(unsigned all, unsigned own, unsigned max);

#endif
