/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/store_dir_walk.h - the objects of a folder in order of their names.
 *
 * A folder is read whole, but of its names only the smallest few thousand are
 * kept; when they are used up it is read again for those that follow. So
 * memory has a bound however many names there are. Blocking; on a disk lane's
 * thread only, one at a time.
 */
#ifndef CAIRN_STORE_STORE_DIR_WALK_H
#define CAIRN_STORE_STORE_DIR_WALK_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/err.h"
#include "store/store.h"

struct store_dir_walk;

struct store_dir_walk_opts {
    int root;
    const char *under;       /* "" or "tmp/": what is walked; a name's part
                                below it is returned */
    const char *prefix;      /* copied */
    const char *start_after; /* NULL or copied */
    size_t keep_max;         /* names kept of a folder; 0: 4,096 */
};

/* ERR_NOMEM. */
enum err_code store_dir_walk_new(const struct store_dir_walk_opts *opts,
                                 struct store_dir_walk **out, struct err *err);

/* The next file's name and record; *more false: there is none. name is
 * borrowed until the next call. Files whose names store_name_ok() refuses are
 * passed over (below tmp/, which is flat, no name is looked at). */
enum err_code store_dir_walk_next(struct store_dir_walk *w, const char **name,
                                  struct stat *st, bool *more, struct err *err);

/* NULL is fine. */
void store_dir_walk_free(struct store_dir_walk *w);

#endif
