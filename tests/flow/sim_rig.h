/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/flow/sim_rig.h - xensim as a child process, and its control API, called
 * while the test waits. A failure of the rig fails the test.
 */
#ifndef CAIRN_TESTS_SIM_RIG_H
#define CAIRN_TESTS_SIM_RIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/json.h"

struct sim {
    pid_t pid;
    char dir[64];         /* of its own, removed at the end */
    struct json *ready;   /* the line it prints */
    char control[64];     /* "127.0.0.1:40123" */
};

/* pools: the text of the "pools" member of the pool file. */
void sim_start(struct sim *s, const char *pools);
void sim_stop(struct sim *s);

/* A request to the control API; the answer is yours to json_free(). body NULL:
 * GET. Anything but 200 fails the test. */
struct json *sim_call(struct sim *s, const char *path, const char *body);
/* As sim_call() with a formatted body, and the answer dropped. */
void sim_do(struct sim *s, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* POST /sim/fault */
void sim_fault(struct sim *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void sim_reset(struct sim *s); /* faults and counters */

/* Bytes of a disk: GET /sim/disk?query. */
void sim_disk(struct sim *s, const char *query, void *into, size_t len);

/* From the ready line: of the p-th pool, the h-th host. */
const struct json *sim_pool(const struct sim *s, size_t p);
const char *sim_host(const struct sim *s, size_t p, size_t h, const char *key);
int64_t sim_host_port(const struct sim *s, size_t p, size_t h);

/* The counter of an RPC method, or of another name, in pool 0. */
int64_t sim_rpc_count(struct sim *s, const char *method);
int64_t sim_counter(struct sim *s, const char *name);

/* How many objects of a class pool 0 has, or how many whose name begins so. */
size_t sim_objects(struct sim *s, const char *class_name, const char *prefix);

#endif
