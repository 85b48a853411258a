/* SPDX-License-Identifier: Apache-2.0 */
#include "net/retry.h"

#include <sys/random.h>

void retry_init(struct retry *r, const struct retry_policy *policy,
                uint64_t now_ms)
{
    r->policy = *policy;
    retry_reset(r, now_ms);
}

void retry_reset(struct retry *r, uint64_t now_ms)
{
    r->began_ms = now_ms;
    r->failed = 0;
    r->doubled = 0;
}

static uint64_t random_bits(const struct retry *r)
{
    uint64_t bits = 0;

    if (r->policy.random)
        return r->policy.random(r->policy.ctx);
    /* A failure leaves 0: the shortest wait, which is no harm. */
    if (getrandom(&bits, sizeof(bits), GRND_NONBLOCK) < 0)
        return 0;
    return bits;
}

/* base * 2^doubled, at most cap. */
static uint64_t backoff(const struct retry *r)
{
    uint64_t wait = r->policy.base_ms;

    for (unsigned i = 0; i < r->doubled && wait < r->policy.cap_ms; i++) {
        if (__builtin_mul_overflow(wait, 2, &wait))
            return r->policy.cap_ms;
    }
    return wait < r->policy.cap_ms ? wait : r->policy.cap_ms;
}

bool retry_again(struct retry *r, uint64_t now_ms, uint64_t asked_ms,
                 uint64_t *delay_ms)
{
    uint64_t wait = backoff(r);
    uint64_t half = wait / 2;
    uint64_t end;

    r->failed++;
    if (r->policy.tries_max > 0 && r->failed >= r->policy.tries_max)
        return false;
    if (wait < r->policy.cap_ms)
        r->doubled++;
    wait = half + random_bits(r) % (wait - half + 1);
    if (wait < asked_ms)
        wait = asked_ms;
    if (__builtin_add_overflow(now_ms, wait, &end))
        return false;
    if (r->policy.total_ms > 0 && end - r->began_ms > r->policy.total_ms) {
        const uint64_t spent = now_ms - r->began_ms;

        /* A long wait of ours would waste the rest; the peer's is not cut. */
        if (spent >= r->policy.total_ms || asked_ms >= wait)
            return false;
        wait = r->policy.total_ms - spent;
        if (wait <= r->policy.base_ms / 2 || wait < asked_ms)
            return false;
    }
    *delay_ms = wait;
    return true;
}
