/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/hostile_out.h - writes the vaults of test_hostile to a folder, for
 * a look at them with other eyes: tests/flow/test_hostile_reader.py.
 *
 * FOLDER/<n>/ has what differs from the first: objects, with '+' for '/' in
 * their names, `gone`, the names of those that are not there, and `why`.
 */
#ifndef CAIRN_TESTS_UNIT_HOSTILE_OUT_H
#define CAIRN_TESTS_UNIT_HOSTILE_OUT_H

#include "store_fault.h"

struct hostile_out;

/* NULL: CAIRN_HOSTILE_OUT names no folder. Every CAIRN_HOSTILE_STEP-th vault is
 * written (every one unless told). */
struct hostile_out *hostile_out_new(void);
void hostile_out_free(struct hostile_out *out);

/* A file beside the vaults. */
void hostile_out_text(const struct hostile_out *out, const char *name,
                      const char *text);

/* The next vault; of the first all that there is. */
void hostile_out_vault(struct hostile_out *out,
                       const struct store_fault_bucket *bucket,
                       const char *why);

#endif
