/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/sync.h - names that are there after a power cut.
 */
#ifndef CAIRN_BASE_SYNC_H
#define CAIRN_BASE_SYNC_H

/*
 * A file's name is safe when the folder that holds it was synced after the name
 * was given; syncing the file is not enough (fsync(2)). Blocks: not on a loop.
 * 0 also where the file system cannot sync folders. -1: errno says why.
 */
int sync_folder_of(const char *path);

#endif
