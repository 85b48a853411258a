/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_disk.h - the contents of a VDI.
 *
 * A live disk is a flat raw file. A snapshot of it is a sparse file with a map
 * of the clusters (64 KiB) it holds: whatever was overwritten since. What it
 * does not hold it reads from the next younger snapshot, and at last from the
 * live disk. So a snapshot costs nothing when it is taken, and the live file
 * stays flat for other programs to look at.
 *
 * A disk and its snapshots are one family with one lock; any thread may read
 * and write. References are counted: a live disk that is dropped lives on
 * while a snapshot needs it.
 */
#ifndef CAIRN_SIM_DISK_H
#define CAIRN_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define SIM_DISK_CLUSTER 65536u

struct sim_disk;

/* A file of zeros, made anew, and removed when the disk goes. */
enum err_code sim_disk_create(const char *path, uint64_t size,
                              struct sim_disk **out, struct err *err);

/* An existing file, which stays. size 0: that of the file. */
enum err_code sim_disk_open(const char *path, uint64_t size,
                            struct sim_disk **out, struct err *err);

/* The state of `of` (a live disk or a snapshot) at this moment. */
enum err_code sim_disk_snapshot(struct sim_disk *of, const char *path,
                                struct sim_disk **out, struct err *err);

struct sim_disk *sim_disk_hold(struct sim_disk *d);
void sim_disk_drop(struct sim_disk *d); /* NULL does nothing */

const char *sim_disk_path(const struct sim_disk *d);
uint64_t sim_disk_size(const struct sim_disk *d);
bool sim_disk_is_snapshot(const struct sim_disk *d);

/* Grow (contents: zeros). Only of a live disk. */
enum err_code sim_disk_resize(struct sim_disk *d, uint64_t size,
                              struct err *err);

enum err_code sim_disk_read(struct sim_disk *d, void *buf, uint64_t offset,
                            size_t len, struct err *err);
/* Only on a live disk; its snapshots keep what was there. */
enum err_code sim_disk_write(struct sim_disk *d, const void *buf,
                             uint64_t offset, size_t len, struct err *err);
enum err_code sim_disk_punch(struct sim_disk *d, uint64_t offset, uint64_t len,
                             struct err *err);

/* The first place from offset on that may hold something, or the size. */
uint64_t sim_disk_next_data(struct sim_disk *d, uint64_t offset);

/* Bytes of the file system that it takes. */
uint64_t sim_disk_allocated(const struct sim_disk *d);

/* All of `from`, holes staying holes, into `to`, from its start on. */
enum err_code sim_disk_copy(struct sim_disk *from, struct sim_disk *to,
                            struct err *err);

/* The name of the file is another from now on. */
enum err_code sim_disk_rename(struct sim_disk *d, const char *path,
                              struct err *err);

#endif
