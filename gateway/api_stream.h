/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/api_stream.h - an answer that a job writes; the engine's side of it
 * stands in api_backend.h.
 */
#ifndef CAIRN_GATEWAY_API_STREAM_H
#define CAIRN_GATEWAY_API_STREAM_H

#include "gateway/api_call.h"

/* Hand the call over to the backend's stream_open(). */
void api_stream_start(struct api_call *call, const struct api_job_spec *spec);

#endif
