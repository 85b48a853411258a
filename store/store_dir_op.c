/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_dir_op.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAITING_MAX 4096
#define RETRY_MS 5

static void pump(struct store_dir *ds);

static void on_retry(struct timer *t)
{
    pump((struct store_dir *)((char *)t - offsetof(struct store_dir, retry)));
}

/* A folder that was a vault once and is not there, or is empty, is no vault
 * that lost its points: it was removed, or nothing is mounted on it. */
static void open_root(struct store_dir *ds, struct err *err)
{
    int root = open(ds->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (root < 0 && errno == ENOENT && ds->expected) {
        err_set(err, ERR_REMOTE, STORE_DIR_GONE,
                "the folder is not there: it was removed, or its file system "
                "is not mounted");
    } else if (root < 0) {
        store_dir_fs_error(err, errno, ds->path, "open");
    } else if (ds->expected && fstatat(root, ds->expected, &st, 0) < 0 &&
               errno == ENOENT) {
        err_set(err, ERR_REMOTE, STORE_DIR_GONE,
                "it has no %s/: no vault lies there, or its file system is not "
                "mounted", ds->expected);
        close(root);
    } else {
        ds->root = root;
    }
}

static void on_lane_run(struct lane_item *item)
{
    struct store_dir_task *task = (struct store_dir_task *)item;

    if (task->store->root < 0 && task->err && task->err->code == ERR_OK)
        open_root(task->store, task->err);
    if (task->store->root >= 0 || !task->err)
        task->run(task);
}

static void on_lane_done(struct lane_item *item)
{
    struct store_dir_task *task = (struct store_dir_task *)item;
    struct store_dir *ds = task->store;

    ds->in_lane--;
    if (!ds->opened)
        ds->opened = ds->root >= 0;
    pump(ds);
    task->done(task); /* the last one's may free the store */
}

/* Move waiting tasks into the lane, in their order. */
static void pump(struct store_dir *ds)
{
    while (ds->first) {
        struct store_dir_task *task = ds->first;

        if (!ds->opened && ds->in_lane)
            return; /* that one opens the folder */
        if (!lane_start(ds->lane, &task->item)) {
            /* Ours will wake us; else the lane is full of other stores'. */
            if (!ds->in_lane)
                timer_start(ds->base.loop, &ds->retry, RETRY_MS, on_retry);
            return;
        }
        ds->in_lane++;
        task->waits = false;
        ds->first = task->next;
        if (ds->first)
            ds->first->prev = NULL;
        else
            ds->last = NULL;
        ds->waiting--;
    }
    timer_stop(&ds->retry);
}

void store_dir_op_submit(struct store_dir_task *task)
{
    struct store_dir *ds = task->store;

    task->item.run = on_lane_run;
    task->item.done = on_lane_done;
    task->item.loop = ds->base.loop;
    task->next = NULL;
    task->prev = ds->last;
    task->waits = true;
    if (ds->last)
        ds->last->next = task;
    else
        ds->first = task;
    ds->last = task;
    ds->waiting++;
    pump(ds);
}

bool store_dir_op_withdraw(struct store_dir_task *task)
{
    struct store_dir *ds = task->store;

    if (!task->waits)
        return false;
    task->waits = false;
    if (task->prev)
        task->prev->next = task->next;
    else
        ds->first = task->next;
    if (task->next)
        task->next->prev = task->prev;
    else
        ds->last = task->prev;
    ds->waiting--;
    return true;
}

enum err_code store_dir_op_new(struct store *s, const char *name, size_t size,
                               struct store_dir_op **out, struct err *err)
{
    struct store_dir *ds = (struct store_dir *)s;
    struct store_dir_op *op;

    if (name && !store_name_ok(name))
        return err_set(err, ERR_ARGUMENT, 0,
                       "%s: \"%s\" cannot be an object's name", s->location,
                       name);
    if (ds->waiting >= WAITING_MAX)
        return err_set(err, ERR_AGAIN, 0, "%s: too many operations wait",
                       s->location);
    op = calloc(1, size);
    if (!op)
        return err_set(err, ERR_NOMEM, 0, "%s: %s", s->location,
                       name ? name : "listing");
    op->base.store = s;
    op->task.store = ds;
    op->task.err = &op->err;
    atomic_init(&op->cancelled, false);
    if (name)
        memcpy(op->name, name, strlen(name) + 1);
    ds->live++;
    *out = op;
    return ERR_OK;
}

void store_dir_op_drop(struct store_dir_op *op)
{
    op->task.store->live--;
    free(op);
}

void store_dir_op_tidy(struct store_dir *ds)
{
    if (!atomic_flag_test_and_set(&ds->tidied))
        store_dir_fs_tidy(ds->root);
}

void store_dir_op_check_root(struct store_dir_op *op)
{
    const struct store_dir *ds = op->task.store;

    if ((op->err.code == ERR_OK || op->err.code == ERR_NOT_FOUND) &&
        !store_dir_fs_is_root(ds->root, ds->path))
        err_set(&op->err, ERR_REMOTE, STORE_DIR_GONE,
                "the folder is not there any more: it was removed or moved, "
                "or its file system is not mounted");
}

void store_dir_op_check_write_end(struct store_dir_op *op)
{
    store_dir_op_check_root(op);
    if (op->err.code == ERR_NOT_FOUND)
        err_set(&op->err, ERR_REMOTE, STORE_DIR_GONE,
                "%s: what was being written is gone: the folder is being "
                "removed, or its file system is not mounted", op->name);
}

void store_dir_op_finish(struct store_dir_op *op)
{
    static const struct store_info nothing;
    struct store_dir *ds = op->task.store;

    ds->stats.syncs += op->cost.syncs;
    ds->stats.sync_us += op->cost.sync_us;
    if (op->err.code != ERR_OK)
        err_context(&op->err, "%s", op->base.store->location);
    ds->live--; /* first: done() may free the store */
    if (op->done)
        op->done(op->ctx, &op->err,
                 op->err.code == ERR_OK ? &op->info : &nothing);
    free(op);
}

enum err_code store_dir_op_check_write(const struct store *s, const char *name,
                                       const struct store_write *write,
                                       struct err *err)
{
    if (write->lock != STORE_LOCK_NONE)
        return err_set(err, ERR_ARGUMENT, 0,
                       "%s: %s: a folder cannot lock objects", s->location,
                       name);
    if (write->storage_class)
        return err_set(err, ERR_ARGUMENT, 0,
                       "%s: %s: a folder has no storage classes", s->location,
                       name);
    return ERR_OK;
}

/* FNV-1a of the folder's name; never 0, which marks an empty slot. */
static uint64_t folder_hash(const char *name)
{
    const char *slash = strrchr(name, '/');
    uint64_t h = 0xcbf29ce484222325u;

    for (const char *p = name; slash && p < slash; p++)
        h = (h ^ (uint8_t)*p) * 0x100000001b3u;
    return h | 1;
}

bool store_dir_op_folders_known(const struct store_dir *ds, const char *name)
{
    uint64_t h = folder_hash(name);

    return ds->folders[(h >> 16) % STORE_DIR_FOLDERS] == h;
}

void store_dir_op_folders_made(struct store_dir *ds, const char *name)
{
    uint64_t h = folder_hash(name);

    ds->folders[(h >> 16) % STORE_DIR_FOLDERS] = h;
}
