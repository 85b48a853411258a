/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/store_dir_fs.h - the file calls of store_dir.
 *
 * They block, and so run on a disk lane's thread only. Every path is resolved
 * part by part below the root's descriptor; symbolic links are not followed.
 * Error texts name the object and the call; the location is put before them by
 * the caller.
 */
#ifndef CAIRN_STORE_STORE_DIR_FS_H
#define CAIRN_STORE_STORE_DIR_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/err.h"
#include "store/store.h"

/* "u-20261120T081530Z-0123456789abcdef+points+...": kind, time, random digits
 * and the object's name with its slashes as '+'. */
#define STORE_DIR_FS_ID_MAX 40
#define STORE_DIR_FS_TMP_MAX (STORE_DIR_FS_ID_MAX + STORE_NAME_MAX)

/* Whether the folder that is open lies at this path. What cannot be looked at
 * is taken to be there. */
bool store_dir_fs_is_root(int root, const char *path);

/*
 * Take away what writers that died have left under tmp/, by a kill or a power
 * cut; how many. Who writes holds a lock on the file that store_dir_fs_create()
 * gave, until it is closed; so what others are writing is left alone.
 */
unsigned store_dir_fs_tidy(int root);

/* What syncing cost. Each operation has its own; they are added up on the
 * loop. */
struct store_dir_fs_cost {
    uint32_t syncs;
    uint64_t sync_us;
};

/* From errno: ENOSPC and EDQUOT are ERR_QUOTA, EACCES, EPERM and EROFS
 * ERR_DENIED, ENOENT ERR_NOT_FOUND, EEXIST ERR_CONFLICT, what says that a
 * mount is dead ERR_UNREACHABLE, else ERR_IO. */
enum err_code store_dir_fs_error(struct err *err, int error, const char *name,
                                 const char *call);

/* A fresh id (`kind` is 'p' for a put, 'u' for an upload) and the name below
 * tmp/ that goes with it. */
void store_dir_fs_new_id(char kind, char id[STORE_DIR_FS_ID_MAX]);
void store_dir_fs_tmp_name(const char *id, const char *name,
                           char tmp[STORE_DIR_FS_TMP_MAX]);
/* Backwards; false when it is no name of ours. */
bool store_dir_fs_parse_tmp(const char *tmp, char id[STORE_DIR_FS_ID_MAX],
                            char name[STORE_NAME_MAX], uint64_t *begun_ms);
bool store_dir_fs_id_ok(const char *id);

/* Make tmp/<tmp>; tmp/ too where it is missing. */
enum err_code store_dir_fs_create(int root, const char *tmp, const char *name,
                                  int *fd, struct err *err);

/* All slices, from `offset` on; write-back is begun. What is aligned to 4 KiB
 * and not small goes past the page cache where the file system can do it. */
enum err_code store_dir_fs_write(int fd, const char *name,
                                 const struct slice *body, size_t slices,
                                 uint64_t offset, struct err *err);

/*
 * Sync the file, link it to `name`, which must not exist (ERR_CONFLICT), sync
 * the folder, remove tmp/<tmp>. folders_known: the name's folders are known to
 * be on disk; else they are made and synced.
 */
enum err_code store_dir_fs_publish(int root, int fd, const char *tmp,
                                   const char *name, bool folders_known,
                                   struct store_dir_fs_cost *cost,
                                   struct err *err);

/* Remove tmp/<tmp>; that it is not there is no error. */
enum err_code store_dir_fs_discard(int root, const char *tmp, const char *name,
                                   struct err *err);

/* Open for reading; regular files only (others: ERR_NOT_FOUND). */
enum err_code store_dir_fs_open(int root, const char *name, int *fd,
                                struct stat *st, struct err *err);

enum err_code store_dir_fs_stat(int root, const char *name, struct stat *st,
                                struct err *err);

/* Remove an object and sync its folder; a missing one is no error. */
enum err_code store_dir_fs_remove(int root, const char *name,
                                  struct store_dir_fs_cost *cost,
                                  struct err *err);

/* What the kernel's clock and a file's record say. */
uint64_t store_dir_fs_now_ms(void);
void store_dir_fs_info(const struct stat *st, struct store_info *info);

#endif
