/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/store_dir_op.h - what the files of store_dir share: the store, its
 * queue before the disk lane, and the base of its operations.
 */
#ifndef CAIRN_STORE_STORE_DIR_OP_H
#define CAIRN_STORE_STORE_DIR_OP_H

#include <stdatomic.h>
#include <stdbool.h>

#include "loop/lane.h"
#include "loop/timer.h"
#include "store/store.h"
#include "store/store_dir.h"
#include "store/store_dir_fs.h"

#define STORE_DIR_FOLDERS 1024

struct store_dir_task;

struct store_dir {
    struct store base;
    int root;   /* -1 until it is opened: the lane's, and then read-only */
    bool opened; /* the loop knows of it; till then one visit at a time */
    char *path; /* where it lies */
    const char *expected; /* that must be in it; NULL: nothing */
    struct lane *lane;
    struct store_dir_task *first, *last; /* waiting for room in the lane */
    size_t waiting;
    size_t in_lane;
    size_t live;        /* operations and uploads */
    atomic_flag tidied; /* tmp/ was, before the first write */
    struct timer retry; /* the lane is full of others' items */
    struct store_dir_stats stats;
    /* Hashes of folders known to be on disk: a cache, one slot each. */
    uint64_t folders[STORE_DIR_FOLDERS];
};

/* One visit to the lane. */
struct store_dir_task {
    struct lane_item item;
    struct store_dir *store;
    struct store_dir_task *next, *prev;
    bool waits;
    struct err *err; /* of its operation; NULL: it comes when all is open */
    void (*run)(struct store_dir_task *task);  /* on the lane's thread */
    void (*done)(struct store_dir_task *task); /* on the loop */
};

/* Never fails: who cannot go yet waits. */
void store_dir_op_submit(struct store_dir_task *task);
/* True: it waited, and neither run() nor done() will be called. */
bool store_dir_op_withdraw(struct store_dir_task *task);

struct store_dir_op {
    struct store_op base;
    struct store_dir_task task;
    struct mail mail; /* for what must happen in a later turn */
    void (*resume)(struct store_dir_op *op); /* NULL: nothing to resume */
    void (*cancel)(struct store_dir_op *op);
    atomic_bool cancelled;
    struct err err;
    struct store_info info;
    struct store_dir_fs_cost cost;
    store_done_fn *done;
    void *ctx;
    char name[STORE_NAME_MAX];
};

/*
 * Allocate an operation of `size` bytes that begins with a struct store_dir_op
 * and count it. ERR_NOMEM; ERR_AGAIN when too many wait; ERR_ARGUMENT for a
 * name that no object may have (NULL: it has none).
 */
enum err_code store_dir_op_new(struct store *s, const char *name, size_t size,
                               struct store_dir_op **out, struct err *err);
/* Never started: give it back. */
void store_dir_op_drop(struct store_dir_op *op);
/* On the lane's thread, before something is written: what dead writers have
 * left goes, once. */
void store_dir_op_tidy(struct store_dir *ds);

/* On the lane's thread, before an operation or when it is done or found
 * nothing: it counts only if the folder is still where it was. Else the
 * operation's error says so. */
void store_dir_op_check_root(struct store_dir_op *op);
/* The same for what was to be written: a folder or file of ours that is missing
 * then was taken away by somebody, who may not be through with it. */
void store_dir_op_check_write_end(struct store_dir_op *op);
/* Call done() - not from inside a call to us - and free the operation. */
void store_dir_op_finish(struct store_dir_op *op);

enum err_code store_dir_get_start(struct store *s,
                                  const struct store_get_opts *opts,
                                  struct store_op **out, struct err *err);

enum err_code store_dir_list_start(struct store *s,
                                   const struct store_list_opts *opts,
                                   struct store_op **out, struct err *err);
enum err_code store_dir_list_uploads(
    struct store *s, const char *prefix,
    bool (*on_upload)(void *ctx, const struct store_upload_entry *),
    store_done_fn *done, void *ctx, struct store_op **out, struct err *err);

enum err_code store_dir_upload_create(struct store *s,
                                      const struct store_upload_opts *opts,
                                      struct store_op **out, struct err *err);
enum err_code store_dir_upload_part(struct store_upload *up,
                                    const struct store_part_opts *opts,
                                    struct store_op **out, struct err *err);
enum err_code store_dir_upload_complete(struct store_upload *up,
                                        store_done_fn *done, void *ctx,
                                        struct store_op **out, struct err *err);
enum err_code store_dir_upload_abort(struct store_upload *up,
                                     store_done_fn *done, void *ctx,
                                     struct store_op **out, struct err *err);
enum err_code store_dir_upload_abort_by_id(struct store *s, const char *name,
                                           const char *upload_id,
                                           store_done_fn *done, void *ctx,
                                           struct store_op **out,
                                           struct err *err);
const char *store_dir_upload_id(const struct store_upload *up);

/* ERR_ARGUMENT for what a folder cannot do: locks, storage classes. */
enum err_code store_dir_op_check_write(const struct store *s, const char *name,
                                       const struct store_write *write,
                                       struct err *err);

/* Are this name's folders known to be on disk? After a success they are. */
bool store_dir_op_folders_known(const struct store_dir *ds, const char *name);
void store_dir_op_folders_made(struct store_dir *ds, const char *name);

#endif
