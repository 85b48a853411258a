/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/store_dir.h - a folder as an object store.
 *
 * An object is written under <root>/tmp/, synced with its folder, and linked
 * to its final name, which fails if that exists: nothing is ever replaced.
 * Uploads are files under tmp/ until they are complete. What writers that died
 * left there goes before the first write of each store; who writes holds a lock
 * on his file. All file calls run on
 * the disk lane (two threads) of the vault, so that a hung mount hangs that
 * vault alone. Its clock is the kernel's. It knows no retention and no storage
 * classes: asking for one is ERR_ARGUMENT.
 */
#ifndef CAIRN_STORE_STORE_DIR_H
#define CAIRN_STORE_STORE_DIR_H

#include <stdint.h>

#include "base/err.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "store/store.h"

/*
 * root: an absolute path of an existing folder. lane: borrowed, shared by all
 * stores on this folder. Errors of operations: ERR_IO with errno (ENOSPC,
 * EDQUOT: ERR_QUOTA; EACCES, EPERM, EROFS: ERR_DENIED), ERR_NOT_FOUND (an
 * object, or there is no such folder), ERR_CONFLICT (name exists),
 * ERR_UNREACHABLE (a mount is dead), ERR_REMOTE (STORE_DIR_GONE), ERR_ARGUMENT
 * (store_name_ok() refuses it), ERR_AGAIN (over 4,096 operations wait; from
 * _start only). Of store_dir_new(): ERR_ARGUMENT, ERR_NOMEM; the folder is
 * opened on the lane, by the first operation, and by each that follows until
 * it could be.
 */
enum err_code store_dir_new(struct loop *loop, const char *root,
                            struct lane *lane, struct store **out,
                            struct err *err);

/* The detail of ERR_REMOTE when the folder itself is gone, from any operation:
 * as a store's 404 that is no object's. */
#define STORE_DIR_GONE 404

/* Before the first operation: the folder must be there, with this one in it,
 * when it is opened; else ERR_REMOTE as above. What cannot be looked at is taken
 * to be there. name: a literal. */
void store_dir_expect(struct store *s, const char *name);

/* What syncing has cost so far. */
struct store_dir_stats {
    uint64_t syncs;
    uint64_t sync_us; /* wall time on the lane's threads */
};

/* s: made by store_dir_new(). */
struct store_dir_stats store_dir_stats(const struct store *s);

#endif
