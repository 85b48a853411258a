/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/api_wait.h - calls that wait for a job to change (long polls).
 *
 * A waiting call looks again when api_job_changed() names its job, and once a
 * second in any case, until it finds what it wants or its time is over. The
 * loop's thread.
 */
#ifndef CAIRN_GATEWAY_API_WAIT_H
#define CAIRN_GATEWAY_API_WAIT_H

#include "gateway/api_call.h"

#define API_WAIT_MAX_MS 60000

/* ?wait_ms: how long this call may wait from now on. ERR_ARGUMENT. */
enum err_code api_wait_begin(struct api_call *call, struct err *err);

/* Nothing new: park the call until again(call) shall look once more. False: its
 * time is over (or nobody waits any more), answer as it is. */
bool api_wait_park(struct api_call *call, const char *job_id,
                   void (*again)(struct api_call *call));

/* Take a call out, if it waits. */
void api_wait_end(struct api_call *call);

#endif
