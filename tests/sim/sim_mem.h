/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_mem.h - memory for the simulator.
 *
 * Unlike the product the simulator ends (exit 70) when memory is out: it is a
 * stage for tests, and a test whose stage is gone fails. Any thread.
 */
#ifndef CAIRN_SIM_MEM_H
#define CAIRN_SIM_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Zeroed. */
void *sim_mem_new(size_t size);
void *sim_mem_grow(void *old, size_t size);
char *sim_mem_dup(const char *text);
char *sim_mem_dup_n(const char *text, size_t len);
char *sim_mem_printf(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

/* Ends the process when an append to b was refused. */
void sim_mem_check(const struct buf *b);

#endif
