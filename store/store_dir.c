/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_dir.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "store/store_dir_op.h"

/* Operations that are one visit to the lane: put, head, remove. */
struct simple {
    struct store_dir_op op;
    bool folders_known;
    size_t slices;
    struct slice body[];
};

static void on_simple_done(struct store_dir_task *task)
{
    struct simple *sp =
        (struct simple *)((char *)task - offsetof(struct simple, op.task));

    store_dir_op_finish(&sp->op);
}

/* Withdrawn before its turn: done() comes in a later turn all the same. */
static void on_withdrawn(struct mail *mail)
{
    struct store_dir_op *op =
        (struct store_dir_op *)((char *)mail -
                                offsetof(struct store_dir_op, mail));

    err_set(&op->err, ERR_CANCELLED, 0, "%s: cancelled", op->name);
    store_dir_op_finish(op);
}

static void simple_cancel(struct store_dir_op *op)
{
    op->mail.deliver = on_withdrawn;
    if (store_dir_op_withdraw(&op->task))
        loop_send(op->base.store->loop, &op->mail);
}

/* The lane's thread finds a cancelled operation before it began. */
static bool is_cancelled(struct store_dir_op *op)
{
    if (!atomic_load(&op->cancelled))
        return false;
    err_set(&op->err, ERR_CANCELLED, 0, "%s: cancelled", op->name);
    return true;
}

static enum err_code simple_new(struct store *s, const char *name,
                                store_done_fn *done, void *ctx, size_t slices,
                                struct simple **out, struct err *err)
{
    size_t size = sizeof(struct simple) + slices * sizeof(struct slice);
    struct store_dir_op *op;
    enum err_code rc;

    rc = store_dir_op_new(s, name, size, &op, err);
    if (rc != ERR_OK)
        return rc;
    op->done = done;
    op->ctx = ctx;
    op->cancel = simple_cancel;
    op->task.done = on_simple_done;
    *out = (struct simple *)op;
    return ERR_OK;
}

static struct simple *simple_of(struct store_dir_task *task)
{
    return (struct simple *)((char *)task - offsetof(struct simple, op.task));
}

/* ---- put ---- */

/* For tests: between the bytes and the name. */
static bool failed(struct store_dir_op *op)
{
    return FAILPOINT("store_dir_written") &&
           err_set(&op->err, ERR_IO, 0, "failpoint store_dir_written");
}

static void run_put(struct store_dir_task *task)
{
    struct simple *sp = simple_of(task);
    struct store_dir_op *op = &sp->op;
    int root = task->store->root, fd = -1;
    char id[STORE_DIR_FS_ID_MAX], tmp[STORE_DIR_FS_TMP_MAX];
    struct stat st;

    store_dir_op_check_root(op);
    if (op->err.code != ERR_OK || is_cancelled(op))
        return;
    store_dir_op_tidy(task->store);
    store_dir_fs_new_id('p', id);
    store_dir_fs_tmp_name(id, op->name, tmp);
    if (store_dir_fs_create(root, tmp, op->name, &fd, &op->err) != ERR_OK) {
        store_dir_op_check_write_end(op);
        return;
    }
    if (store_dir_fs_write(fd, op->name, sp->body, sp->slices, 0, &op->err) ==
            ERR_OK &&
        !failed(op) &&
        store_dir_fs_publish(root, fd, tmp, op->name, sp->folders_known,
                             &op->cost, &op->err) == ERR_OK &&
        fstat(fd, &st) == 0)
        store_dir_fs_info(&st, &op->info);
    if (op->err.code != ERR_OK)
        store_dir_fs_discard(root, tmp, op->name, NULL);
    close(fd);
    store_dir_op_check_write_end(op); /* or it went where nobody looks */
}

static void on_put_done(struct store_dir_task *task)
{
    struct simple *sp = simple_of(task);
    struct store_dir *ds = task->store;

    if (sp->op.err.code == ERR_OK) {
        store_dir_op_folders_made(ds, sp->op.name);
        ds->base.sent_bytes += sp->op.info.bytes;
    }
    store_dir_op_finish(&sp->op);
}

static enum err_code put(struct store *s, const struct store_put_opts *opts,
                         struct store_op **out, struct err *err)
{
    struct simple *sp;
    enum err_code rc;

    rc = store_dir_op_check_write(s, opts->name, &opts->write, err);
    if (rc == ERR_OK)
        rc = simple_new(s, opts->name, opts->done, opts->ctx, opts->slices, &sp,
                        err);
    if (rc != ERR_OK)
        return rc;
    if (opts->slices)
        memcpy(sp->body, opts->body, opts->slices * sizeof(*opts->body));
    sp->slices = opts->slices;
    sp->folders_known =
        store_dir_op_folders_known(sp->op.task.store, opts->name);
    sp->op.task.run = run_put;
    sp->op.task.done = on_put_done;
    s->requests++;
    *out = &sp->op.base;
    store_dir_op_submit(&sp->op.task);
    return ERR_OK;
}

/* ---- head and remove ---- */

static void run_head(struct store_dir_task *task)
{
    struct store_dir_op *op = &simple_of(task)->op;
    struct stat st;

    if (is_cancelled(op))
        return;
    if (store_dir_fs_stat(task->store->root, op->name, &st, &op->err) == ERR_OK)
        store_dir_fs_info(&st, &op->info);
    store_dir_op_check_root(op);
}

static void run_remove(struct store_dir_task *task)
{
    struct store_dir_op *op = &simple_of(task)->op;

    if (!is_cancelled(op) && store_dir_fs_remove(task->store->root, op->name,
                                                 &op->cost, &op->err) == ERR_OK)
        op->info.date_ms = store_dir_fs_now_ms();
}

static enum err_code by_name(struct store *s,
                             const struct store_name_opts *opts,
                             void (*run)(struct store_dir_task *task),
                             struct store_op **out, struct err *err)
{
    struct simple *sp;
    enum err_code rc;

    rc = simple_new(s, opts->name, opts->done, opts->ctx, 0, &sp, err);
    if (rc != ERR_OK)
        return rc;
    sp->op.task.run = run;
    s->requests++;
    *out = &sp->op.base;
    store_dir_op_submit(&sp->op.task);
    return ERR_OK;
}

static enum err_code head(struct store *s, const struct store_name_opts *opts,
                          struct store_op **out, struct err *err)
{
    return by_name(s, opts, run_head, out, err);
}

static enum err_code remove_object(struct store *s,
                                   const struct store_name_opts *opts,
                                   struct store_op **out, struct err *err)
{
    return by_name(s, opts, run_remove, out, err);
}

static enum err_code retain(struct store *s,
                            const struct store_retain_opts *opts,
                            struct store_op **out, struct err *err)
{
    return err_set(err, ERR_ARGUMENT, 0, "%s: %s: a folder cannot lock objects",
                   s->location, opts->name);
}

/* ---- the store ---- */

static void resume(struct store_op *op)
{
    struct store_dir_op *dop = (struct store_dir_op *)op;

    if (dop->resume)
        dop->resume(dop);
}

static void cancel(struct store_op *op)
{
    struct store_dir_op *dop = (struct store_dir_op *)op;

    if (!atomic_exchange(&dop->cancelled, true))
        dop->cancel(dop);
}

static void free_store(struct store *s)
{
    struct store_dir *ds = (struct store_dir *)s;

    assert(!ds->live);
    timer_stop(&ds->retry);
    if (ds->root >= 0)
        close(ds->root);
    free(ds->path);
    free(ds);
}

static const struct store_ops store_dir_ops = {
    .put = put,
    .get = store_dir_get_start,
    .head = head,
    .remove = remove_object,
    .list = store_dir_list_start,
    .retain = retain,
    .upload = store_dir_upload_create,
    .part = store_dir_upload_part,
    .complete = store_dir_upload_complete,
    .abort = store_dir_upload_abort,
    .list_uploads = store_dir_list_uploads,
    .abort_by_id = store_dir_upload_abort_by_id,
    .resume = resume,
    .cancel = cancel,
    .upload_id = store_dir_upload_id,
    .free = free_store,
};

enum err_code store_dir_new(struct loop *loop, const char *root,
                            struct lane *lane, struct store **out,
                            struct err *err)
{
    struct store_dir *ds;

    if (root[0] != '/')
        return err_set(err, ERR_ARGUMENT, 0, "%s: not an absolute path", root);
    ds = calloc(1, sizeof(*ds));
    if (!ds)
        return err_set(err, ERR_NOMEM, 0, "%s", root);
    ds->root = -1;
    ds->path = strdup(root);
    if (!ds->path) {
        free(ds);
        return err_set(err, ERR_NOMEM, 0, "%s", root);
    }
    atomic_flag_clear(&ds->tidied);
    ds->base.ops = &store_dir_ops;
    ds->base.loop = loop;
    ds->base.traits.if_absent = true;
    ds->base.traits.lists_at_once = true;
    snprintf(ds->base.location, sizeof(ds->base.location), "file://%s", root);
    ds->lane = lane;
    *out = &ds->base;
    return ERR_OK;
}

void store_dir_expect(struct store *s, const char *name)
{
    ((struct store_dir *)s)->expected = name;
}

struct store_dir_stats store_dir_stats(const struct store *s)
{
    return ((const struct store_dir *)s)->stats;
}
