/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop/delay.h - how late a loop is, measured all the time.
 *
 * A timer every 100 ms notes how late it fired; a histogram keeps the last
 * ten minutes. Above 50 ms at the 99th percentile is a bug. The loop's thread
 * writes; any thread reads.
 */
#ifndef CAIRN_LOOP_DELAY_H
#define CAIRN_LOOP_DELAY_H

#include <stdint.h>

#include "loop/loop.h"

struct delay;

struct delay *delay_new(struct loop *loop); /* NULL: out of memory */
void delay_free(struct delay *d);
/* Milliseconds at a percentile (1 to 100) of the kept samples. */
uint32_t delay_percentile_ms(const struct delay *d, unsigned percentile);

#endif
