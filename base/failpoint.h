/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/failpoint.h - named places where a test makes the process die or fail.
 *
 * FAILPOINT("pack_before_complete") costs nothing unless built with
 * CAIRN_FAILPOINTS (test builds). Configured by the environment:
 *   CAIRN_FAILPOINTS="pack_before_complete=kill@3,point_put=error"
 * acts on the third hit (default: the first). Actions: kill (SIGKILL to
 * ourselves), error (FAILPOINT() is true that once), hang. Every name stands
 * in base/failpoint_list.h, once; an unknown name in the environment ends the
 * process with 2, so that a test cannot miss its target silently.
 */
#ifndef CAIRN_BASE_FAILPOINT_H
#define CAIRN_BASE_FAILPOINT_H

#include <stdbool.h>

#ifdef CAIRN_FAILPOINTS
bool failpoint_hit(const char *name); /* any thread */
#define FAILPOINT(name) failpoint_hit(name)
#else
#define FAILPOINT(name) false
#endif

/* Read the environment; without CAIRN_FAILPOINTS it does nothing. Those it
 * names count from 0 again. Before threads start. */
void failpoint_setup(void);

/* All names of failpoint_list.h, NULL-terminated; empty in normal builds. */
const char *const *failpoint_names(void);

#endif
