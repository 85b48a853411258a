/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_dir_rig.h - a folder, a store on it and the lane that does its calls,
 * for tests.
 */
#ifndef CAIRN_TESTS_STORE_DIR_RIG_H
#define CAIRN_TESTS_STORE_DIR_RIG_H

#include <stddef.h>
#include <stdint.h>

#include "store/store_dir.h"
#include "store_try.h"

struct store_dir_rig {
    char root[64];
    struct loop *loop;
    struct lane *lane;
    struct store *store;
    struct store_try t;
};

/* *state becomes a rig; -1: not. */
int store_dir_rig_make(void **state, size_t queue_max, unsigned threads);
int store_dir_rig_setup(void **state);
/* One thread, and room for one item in its queue. */
int store_dir_rig_setup_narrow(void **state);
int store_dir_rig_teardown(void **state);

/* A folder with all that is in it. */
void store_dir_rig_wipe(const char *path);

/* Bytes that tell their place; the caller's to free. */
uint8_t *store_dir_rig_pattern(size_t len, uint32_t seed);
/* SIZE_MAX: there is no such file. */
size_t store_dir_rig_file_bytes(const struct store_dir_rig *r,
                                const char *name);
/* What the last get brought. */
const char *store_dir_rig_text(struct store_try *t);

#endif
