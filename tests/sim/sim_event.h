/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_event.h - event.from, event.inject, and the older
 * event.register and event.next.
 */
#ifndef CAIRN_SIM_EVENT_H
#define CAIRN_SIM_EVENT_H

#include "tests/sim/sim_call.h"

extern const struct sim_method sim_event_methods[];

#endif
