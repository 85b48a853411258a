/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/store_dir.h - a folder as an object store.
 *
 * An object is written under <root>/tmp/, synced with its folder, and linked
 * to its final name, which fails if that exists: nothing is ever replaced.
 * Uploads are files under tmp/ until they are complete. All file calls run on
 * the disk lane (two threads) of the vault, so that a hung mount hangs that
 * vault alone.
 */
#ifndef CAIRN_STORE_STORE_DIR_H
#define CAIRN_STORE_STORE_DIR_H

#include "base/err.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "store/store.h"

/*
 * root: an absolute path of an existing folder. lane: borrowed, shared by all
 * stores on this folder. Errors of operations: ERR_IO with errno (ENOSPC,
 * EDQUOT: ERR_QUOTA), ERR_NOT_FOUND, ERR_CONFLICT (name exists).
 */
enum err_code store_dir_new(struct loop *loop, const char *root,
                            struct lane *lane, struct store **out,
                            struct err *err);

#endif
