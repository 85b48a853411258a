/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/api_pool.h - what api_pool.c and api_pool_store.c share.
 */
#ifndef CAIRN_GATEWAY_API_POOL_H
#define CAIRN_GATEWAY_API_POOL_H

#include "gateway/api_call.h"

/* A look at hosts under way; texts are borrowed from the call's body. */
struct api_pool_work {
    struct api_pool_probe probe;
    const char *hosts[CATALOG_POOL_HOSTS_MAX];
    uint8_t pins[CATALOG_POOL_HOSTS_MAX][32];
    struct rule_pair dials[CATALOG_POOL_HOSTS_MAX];
};

/* On the lane: the pool of the call's body, with the hosts that the probe
 * (call->answer) found, becomes a row. ERR_CONFLICT: the same pool is there
 * under another name. */
api_call_lane_fn api_pool_store;

#endif
