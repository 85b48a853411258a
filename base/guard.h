/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/guard.h - keeps what a process knows inside it: keys, passwords and
 * customers' data must not end up in a core file.
 */
#ifndef CAIRN_BASE_GUARD_H
#define CAIRN_BASE_GUARD_H

/* At the beginning of main(): no core file, no look from outside but root's. */
void guard_process(void);

#endif
