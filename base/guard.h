/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/guard.h - keeps what a process knows inside it: keys, passwords and
 * customers' data must not end up in a core file, and what it says not in a
 * file of its own.
 */
#ifndef CAIRN_BASE_GUARD_H
#define CAIRN_BASE_GUARD_H

/* At the beginning of main(): no core file, no look from outside but root's;
 * and standard input, output and error are open, so that nothing else is. */
void guard_process(void);

#endif
