/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api_wait.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"

#define LOOK_MS 1000

enum err_code api_wait_begin(struct api_call *call, struct err *err)
{
    const char *text = api_call_query(call, "wait_ms");
    uint64_t ms = 0;

    if (text && !parse_u64(text, 0, API_WAIT_MAX_MS, &ms))
        return err_set(err, ERR_ARGUMENT, 0, "wait_ms: wanted 0 to %d",
                       API_WAIT_MAX_MS);
    call->deadline_ms = clock_mono_ms(loop_clock(call->api->loop)) + ms;
    return ERR_OK;
}

static struct api_call *call_of(struct timer *t)
{
    return (struct api_call *)((char *)t - offsetof(struct api_call, timer));
}

static void wait_look(struct api_call *call)
{
    void (*again)(struct api_call *) = call->then;

    api_wait_end(call);
    call->then = NULL;
    again(call);
}

static void on_timer(struct timer *t)
{
    wait_look(call_of(t));
}

bool api_wait_park(struct api_call *call, const char *job_id,
                   void (*again)(struct api_call *call))
{
    uint64_t now = clock_mono_ms(loop_clock(call->api->loop));
    uint64_t left;

    if (!call->http || call->api->closing || now >= call->deadline_ms)
        return false;
    left = call->deadline_ms - now;
    call->parked = true;
    call->then = again;
    snprintf(call->waits_for, sizeof(call->waits_for), "%s", job_id);
    timer_start(call->api->loop, &call->timer, left < LOOK_MS ? left : LOOK_MS,
                on_timer);
    return true;
}

void api_wait_end(struct api_call *call)
{
    if (!call->parked)
        return;
    call->parked = false;
    timer_stop(&call->timer);
}

void api_job_changed(struct api *api, const char *job_id)
{
    struct api_call *call = api->calls;

    while (call) {
        struct api_call *next = call->next;

        /* In the next turn: whoever tells us is inside its own affairs. */
        if (call->parked && strcmp(call->waits_for, job_id) == 0)
            timer_start(api->loop, &call->timer, 0, on_timer);
        call = next;
    }
}
