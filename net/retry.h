/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/retry.h - when to try again: back-off with jitter, within a budget of
 * tries and time. Pure: the time is passed in, nothing waits here. Whether an
 * operation may be repeated at all, and whether its failure is of the passing
 * kind, the caller knows.
 */
#ifndef CAIRN_NET_RETRY_H
#define CAIRN_NET_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct retry_policy {
    uint64_t base_ms;   /* the first wait, at most; doubles each time */
    uint64_t cap_ms;    /* no wait is longer, unless the peer asks for it */
    unsigned tries_max; /* the first one counts; 0: no limit */
    uint64_t total_ms;  /* no try begins later than this after the first, and
                           the last one begins then or shortly before; 0: no
                           limit */
    /* 64 random bits; NULL: the kernel's. */
    uint64_t (*random)(void *ctx);
    void *ctx;
};

struct retry {
    struct retry_policy policy;
    uint64_t began_ms;
    unsigned failed; /* tries so far, all in vain */
    unsigned doubled;
};

/* The first try begins. */
void retry_init(struct retry *r, const struct retry_policy *policy,
                uint64_t now_ms);

/*
 * The try failed. True: try again after *delay_ms, which lies between half the
 * back-off and all of it, or where time ends earlier is what is left, and is at
 * least asked_ms (a peer's Retry-After; 0: none). False: enough.
 */
bool retry_again(struct retry *r, uint64_t now_ms, uint64_t asked_ms,
                 uint64_t *delay_ms);

/* Something got through: tries, time and back-off start anew. */
void retry_reset(struct retry *r, uint64_t now_ms);

#endif
