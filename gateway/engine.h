/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/engine.h - the parts of one running gateway, for the files of this
 * folder that need several of them.
 *
 * engine.c makes them all at the start and takes them apart at the end; the
 * members do not change in between. Each part says itself on which thread it
 * may be used; the struct may be read on any.
 */
#ifndef CAIRN_GATEWAY_ENGINE_H
#define CAIRN_GATEWAY_ENGINE_H

#include <stdbool.h>

#include "crypto/seal_key.h"
#include "crypto/seal_suite.h"
#include "gateway/catalog_call.h"
#include "gateway/config.h"
#include "loop/budget.h"
#include "loop/delay.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "loop/slab.h"
#include "loop/spill.h"
#include "net/http_client.h"
#include "vault/session.h"

struct api;
struct backlog;
struct gates;
struct history;
struct jobs;
struct reconcile;
struct pools;
struct vaults;

/* A loop that runs pipes and nothing else. client and slabs: its thread. */
struct data_loop {
    struct loop *loop;
    struct http_client *client;
    struct slab_room *chunks; /* of SESSION_CHUNK_SLAB */
    struct slab_room *parts;  /* of SESSION_PART_SLAB */
    struct delay *delay;
    unsigned pipes; /* on it now; control loop */
};

struct engine {
    const struct config *config;
    const char *gateway;   /* this gateway's name: [a-z0-9-], in marks, points */
    const char *state_dir; /* absolute */
    struct loop *control;
    struct http_client *client; /* of the control loop */
    struct data_loop *data;
    unsigned data_count;
    struct budget *budget;
    struct spill *spill; /* NULL: not configured */
    struct lane *catalog_lane; /* SQL of the catalog */
    struct lane *index_lane;   /* vault indexes */
    struct lane *slow_lane;    /* scrypt */
    struct lane *parse_lane;   /* long answers of pools */
    struct catalog_call_door *catalog;
    const struct seal_key *key; /* the gateway key */
    struct seal_suite *suite;
    struct session_tools *tools;
    struct gates *gates;
    struct backlog *backlog;
    struct pools *pools;
    struct vaults *vaults;
    struct jobs *jobs;
    struct history *history;
    struct reconcile *reconcile;
    struct api *api;
    unsigned workers; /* libuv's threads */
    uint64_t started_ms;
};

/*
 * Read the state directory, start all threads, open the doors. ERR_CONFLICT:
 * another cairnd has this state directory. On failure nothing is left.
 */
enum err_code engine_start(const struct config *config, struct engine **out,
                           struct err *err);

/* Run the control loop on this thread until engine_stop(), then end jobs,
 * threads and doors: within 25 s, else the process ends with _exit(1). */
void engine_run(struct engine *e);

/* From the control loop's thread (a signal's callback). */
void engine_stop(struct engine *e);
void engine_free(struct engine *e);

/* The data loop with the fewest pipes; counts one more on it. */
struct data_loop *engine_data_take(struct engine *e);
void engine_data_give(struct data_loop *d);

#endif
