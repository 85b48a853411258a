/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/catalog_call.h - asking the catalog from the control loop.
 *
 * The catalog blocks, so it is asked on its lane. A call is embedded in its
 * owner's struct: run() happens on the lane with the catalog at hand, done()
 * later on the control loop. A full lane delays calls and loses none: they wait
 * in order, each in its owner's memory. Nobody else uses the lane. Control loop
 * only, but for run().
 */
#ifndef CAIRN_GATEWAY_CATALOG_CALL_H
#define CAIRN_GATEWAY_CATALOG_CALL_H

#include <stdbool.h>

#include "base/err.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "tenants/catalog.h"

struct catalog_call_door; /* the way to one catalog */

struct catalog_call {
    /* On the lane. What it returns is in `err` for done(); it touches only the
     * owner's struct. A transaction it leaves open is rolled back. */
    enum err_code (*run)(struct catalog_call *call, struct catalog *c,
                         struct err *err);
    /* On the loop, exactly once, never from inside catalog_call_start(). The
     * call's memory is the owner's again. */
    void (*done)(struct catalog_call *call, const struct err *err);
    /* private: */
    struct lane_item item;
    struct catalog_call_door *door;
    struct catalog_call *next;
    struct err err;
};

/* All three outlive the door. ERR_NOMEM. */
enum err_code catalog_call_door_new(struct loop *loop, struct lane *lane,
                                    struct catalog *catalog,
                                    struct catalog_call_door **out,
                                    struct err *err);
/* No call may be under way. */
void catalog_call_door_free(struct catalog_call_door *door);
/* Calls started and not yet done. */
unsigned catalog_call_pending(const struct catalog_call_door *door);

/* Every further member of *call than run and done is filled in here. */
void catalog_call_start(struct catalog_call_door *door,
                        struct catalog_call *call);

#endif
