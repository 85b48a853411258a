/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/alloc_fail.h - makes the n-th allocation of our code fail.
 *
 * Link test_alloc_fail: malloc, calloc, realloc, strdup and mmap of all that is
 * linked statically go through here, and jansson's, which base/json lets pass
 * through its own; those of other shared libraries do not.
 *
 *   for (unsigned n = 1; alloc_fail_round(n); n++)
 *       ... do it; with enough memory it works, else it says ERR_NOMEM ...
 *
 * runs the body with the first, the second, ... allocation failing, and once
 * more with none. Allocations of all threads are counted.
 */
#ifndef CAIRN_TESTS_UNIT_ALLOC_FAIL_H
#define CAIRN_TESTS_UNIT_ALLOC_FAIL_H

#include <stdbool.h>
#include <stddef.h>

/* Arm the n-th allocation from now. False: the last round had none that failed,
 * and failing is off. n is 1 in the first round. */
bool alloc_fail_round(unsigned n);

/* Whether one failed since alloc_fail_round(). */
bool alloc_fail_happened(void);

/* No failing from here on, until the next round: for clean-up and checks. */
void alloc_fail_off(void);


#endif
