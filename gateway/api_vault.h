/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/api_vault.h - the vault that a path names.
 */
#ifndef CAIRN_GATEWAY_API_VAULT_H
#define CAIRN_GATEWAY_API_VAULT_H

#include "gateway/api_call.h"

/* On the lane: the vault of args[0] within ?tenant and what is in sight; its
 * row is call->id. A vault that is not there exits with 10. */
api_call_lane_fn api_vault_find;

/* The same, and it must be `ready`; or `unproved` at least. */
api_call_lane_fn api_vault_find_ready;
api_call_lane_fn api_vault_find_made;

#endif
