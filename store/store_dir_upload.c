/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upload is a file under tmp/ that stays open until it is complete.
 *
 *   OPEN --complete--> COMPLETING --ok--> gone;  failed: OPEN again
 *   OPEN --abort--> ABORTING (waits for parts under way) --> gone
 */
#include "store/store_dir_op.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PARTS_MAX 10000 /* as in S3 */

enum upload_state { UPLOAD_OPEN, UPLOAD_COMPLETING, UPLOAD_ABORTING };

struct dir_upload {
    struct store_upload base;
    enum upload_state state;
    int fd;
    unsigned parts;       /* different numbers written */
    unsigned full;        /* of these, of full length */
    unsigned highest;     /* number of the last one */
    uint64_t last_bytes;  /* its length */
    unsigned busy;        /* parts under way */
    struct dir_op *abort; /* waits for them */
    char id[STORE_DIR_FS_ID_MAX];
    char tmp[STORE_DIR_FS_TMP_MAX];
    char name[STORE_NAME_MAX];
    uint8_t have[PARTS_MAX / 8 + 1];
    uint8_t have_full[PARTS_MAX / 8 + 1];
};

struct dir_op {
    struct store_dir_op op;
    struct dir_upload *up;
    void (*created)(void *ctx, const struct err *err, struct store_upload *up);
    unsigned number;
    uint64_t bytes;
    bool folders_known;
    size_t slices;
    struct slice body[];
};

static struct dir_op *op_of(struct store_dir_task *task)
{
    return (struct dir_op *)((char *)task - offsetof(struct dir_op, op.task));
}

static struct dir_op *op_of_mail(struct mail *mail)
{
    return (struct dir_op *)((char *)mail - offsetof(struct dir_op, op.mail));
}

/* The same end as after the lane, in a later turn. */
static void on_upload_mail(struct mail *mail)
{
    struct dir_op *o = op_of_mail(mail);

    o->op.task.done(&o->op.task);
}

static void set_cancelled(struct dir_op *o)
{
    err_set(&o->op.err, ERR_CANCELLED, 0, "%s: cancelled", o->op.name);
}

static void upload_cancel(struct store_dir_op *op)
{
    if (!store_dir_op_withdraw(&op->task))
        return;
    set_cancelled((struct dir_op *)op);
    op->mail.deliver = on_upload_mail;
    loop_send(op->base.store->loop, &op->mail);
}

static bool is_cancelled(struct dir_op *o)
{
    if (atomic_load(&o->op.cancelled))
        set_cancelled(o);
    return o->op.err.code != ERR_OK;
}

static enum err_code new_op(struct store *s, const char *name, size_t slices,
                            void *ctx, void (*run)(struct store_dir_task *task),
                            void (*done)(struct store_dir_task *task),
                            struct dir_op **out, struct err *err)
{
    size_t size = sizeof(struct dir_op) + slices * sizeof(struct slice);
    struct store_dir_op *op;
    enum err_code rc;

    rc = store_dir_op_new(s, name, size, &op, err);
    if (rc != ERR_OK)
        return rc;
    op->ctx = ctx;
    op->cancel = upload_cancel;
    op->task.run = run;
    op->task.done = done;
    *out = (struct dir_op *)op;
    return ERR_OK;
}

/* Tell the caller, who may then free the store, and give the upload back. */
static void finish_upload(struct dir_op *o, struct dir_upload *up)
{
    o->op.task.store->live--;
    store_dir_op_finish(&o->op);
    free(up);
}

/* ---- create ---- */

static void run_create(struct store_dir_task *task)
{
    struct dir_op *o = op_of(task);
    struct dir_upload *up = o->up;

    if (is_cancelled(o))
        return;
    store_dir_op_tidy(task->store);
    store_dir_fs_new_id('u', up->id);
    store_dir_fs_tmp_name(up->id, up->name, up->tmp);
    if (store_dir_fs_create(task->store->root, up->tmp, up->name, &up->fd,
                            &o->op.err) != ERR_OK)
        store_dir_op_check_write_end(&o->op);
}

static void on_created(struct store_dir_task *task)
{
    struct dir_op *o = op_of(task);
    struct store *s = o->op.base.store;
    void (*created)(void *, const struct err *, struct store_upload *) =
        o->created;
    void *ctx = o->op.ctx;
    struct dir_upload *up = o->up;
    struct err e = o->op.err;

    if (e.code == ERR_OK) {
        store_dir_op_finish(&o->op); /* tells nobody: done is NULL */
        created(ctx, &e, &up->base);
    } else {
        err_context(&e, "%s", s->location);
        finish_upload(o, up);
        created(ctx, &e, NULL);
    }
}

enum err_code store_dir_upload_create(struct store *s,
                                      const struct store_upload_opts *opts,
                                      struct store_op **out, struct err *err)
{
    struct dir_upload *up;
    struct dir_op *o;
    enum err_code rc;

    rc = store_dir_op_check_write(s, opts->name, &opts->write, err);
    if (rc == ERR_OK)
        rc = new_op(s, opts->name, 0, opts->ctx, run_create, on_created, &o,
                    err);
    if (rc != ERR_OK)
        return rc;
    up = calloc(1, sizeof(*up));
    if (!up) {
        store_dir_op_drop(&o->op);
        return err_set(err, ERR_NOMEM, 0, "%s: %s", s->location, opts->name);
    }
    up->base.store = s;
    up->fd = -1;
    memcpy(up->name, opts->name, strlen(opts->name) + 1);
    ((struct store_dir *)s)->live++;
    o->up = up;
    o->created = opts->created;
    s->requests++;
    *out = &o->op.base;
    store_dir_op_submit(&o->op.task);
    return ERR_OK;
}

/* ---- parts ---- */

static void run_part(struct store_dir_task *task)
{
    struct dir_op *o = op_of(task);

    if (!is_cancelled(o) &&
        store_dir_fs_write(o->up->fd, o->up->name, o->body, o->slices,
                           (o->number - 1) * STORE_PART_BYTES,
                           &o->op.err) == ERR_OK) {
        o->op.info.bytes = o->bytes;
        o->op.info.date_ms = store_dir_fs_now_ms();
    } else {
        err_context(&o->op.err, "part %u", o->number);
    }
}

/* Parts may come in any order, and again after a failure. */
static void note_part(struct dir_upload *up, unsigned number, uint64_t bytes)
{
    uint8_t bit = (uint8_t)(1 << number % 8);
    uint8_t *have = &up->have[number / 8];
    uint8_t *full = &up->have_full[number / 8];

    if (!(*have & bit))
        up->parts++;
    *have |= bit;
    if (*full & bit)
        up->full--;
    *full &= (uint8_t)~bit;
    if (bytes == STORE_PART_BYTES) {
        up->full++;
        *full |= bit;
    }
    if (number >= up->highest) {
        up->highest = number;
        up->last_bytes = bytes;
    }
}

/* All from 1 on are there, and all but the last of full length. */
static bool is_whole(const struct dir_upload *up)
{
    bool last_full = up->last_bytes == STORE_PART_BYTES;

    return up->parts && up->parts == up->highest &&
           up->full - last_full == up->highest - 1;
}

static void on_part(struct store_dir_task *task)
{
    struct dir_op *o = op_of(task);
    struct dir_upload *up = o->up;
    struct dir_op *abort_op = NULL;

    if (o->op.err.code == ERR_OK) {
        note_part(up, o->number, o->bytes);
        up->base.store->sent_bytes += o->bytes;
    }
    if (--up->busy == 0)
        abort_op = up->abort;
    store_dir_op_finish(&o->op);
    if (abort_op)
        store_dir_op_submit(&abort_op->op.task);
}

enum err_code store_dir_upload_part(struct store_upload *base,
                                    const struct store_part_opts *opts,
                                    struct store_op **out, struct err *err)
{
    struct dir_upload *up = (struct dir_upload *)base;
    struct dir_op *o;
    uint64_t bytes = 0;
    enum err_code rc;

    for (size_t i = 0; i < opts->slices; i++)
        bytes += opts->body[i].len;
    if (up->state != UPLOAD_OPEN || opts->number < 1 ||
        opts->number > PARTS_MAX || bytes > STORE_PART_BYTES)
        return err_set(err, ERR_ARGUMENT, 0, "%s: %s: part %u of %ju bytes",
                       base->store->location, up->name, opts->number,
                       (uintmax_t)bytes);
    rc = new_op(base->store, up->name, opts->slices, opts->ctx, run_part,
                on_part, &o, err);
    if (rc != ERR_OK)
        return rc;
    o->up = up;
    o->op.done = opts->done;
    o->number = opts->number;
    o->bytes = bytes;
    o->slices = opts->slices;
    if (opts->slices)
        memcpy(o->body, opts->body, opts->slices * sizeof(*opts->body));
    up->busy++;
    base->store->requests++;
    *out = &o->op.base;
    store_dir_op_submit(&o->op.task);
    return ERR_OK;
}

/* ---- complete ---- */

static void run_complete(struct store_dir_task *task)
{
    struct dir_op *o = op_of(task);
    struct dir_upload *up = o->up;
    struct store_dir_op *op = &o->op;
    struct stat st;

    store_dir_op_check_root(op);
    if (is_cancelled(o))
        return;
    /* A part that was written twice may have left bytes behind the end. */
    if (ftruncate(up->fd, (off_t)o->bytes) < 0) {
        store_dir_fs_error(&op->err, errno, up->name, "ftruncate");
        return;
    }
    if (store_dir_fs_publish(task->store->root, up->fd, up->tmp, up->name,
                             o->folders_known, &op->cost, &op->err) != ERR_OK) {
        store_dir_op_check_write_end(op);
        return;
    }
    if (fstat(up->fd, &st) == 0)
        store_dir_fs_info(&st, &op->info);
    close(up->fd);
    up->fd = -1;
}

static void on_completed(struct store_dir_task *task)
{
    struct dir_op *o = op_of(task);
    struct dir_upload *up = o->up;

    if (o->op.err.code != ERR_OK) {
        up->state = UPLOAD_OPEN;
        store_dir_op_finish(&o->op);
        return;
    }
    store_dir_op_folders_made(task->store, up->name);
    finish_upload(o, up);
}

enum err_code store_dir_upload_complete(struct store_upload *base,
                                        store_done_fn *done, void *ctx,
                                        struct store_op **out, struct err *err)
{
    struct dir_upload *up = (struct dir_upload *)base;
    struct dir_op *o;
    enum err_code rc;

    if (up->state != UPLOAD_OPEN || up->busy || !is_whole(up))
        return err_set(err, ERR_ARGUMENT, 0,
                       "%s: %s: cannot complete: %u of %u parts, %u of full "
                       "length, %u under way",
                       base->store->location, up->name, up->parts, up->highest,
                       up->full, up->busy);
    rc = new_op(base->store, up->name, 0, ctx, run_complete, on_completed, &o,
                err);
    if (rc != ERR_OK)
        return rc;
    o->up = up;
    o->op.done = done;
    o->bytes = (up->highest - 1) * STORE_PART_BYTES + up->last_bytes;
    o->folders_known = store_dir_op_folders_known(o->op.task.store, up->name);
    up->state = UPLOAD_COMPLETING;
    base->store->requests++;
    *out = &o->op.base;
    store_dir_op_submit(&o->op.task);
    return ERR_OK;
}

/* ---- abort ---- */

static void run_abort(struct store_dir_task *task)
{
    struct dir_op *o = op_of(task);

    store_dir_fs_discard(task->store->root, o->up->tmp, o->up->name,
                         &o->op.err);
    close(o->up->fd);
    o->up->fd = -1;
    o->op.info.date_ms = store_dir_fs_now_ms();
}

static void on_aborted(struct store_dir_task *task)
{
    struct dir_op *o = op_of(task);

    finish_upload(o, o->up);
}

/* An abort is not called off: it is what cancelling comes to. */
static void abort_cancel(struct store_dir_op *op)
{
    (void)op;
}

enum err_code store_dir_upload_abort(struct store_upload *base,
                                     store_done_fn *done, void *ctx,
                                     struct store_op **out, struct err *err)
{
    struct dir_upload *up = (struct dir_upload *)base;
    struct dir_op *o;
    enum err_code rc;

    if (up->state != UPLOAD_OPEN)
        return err_set(err, ERR_ARGUMENT, 0, "%s: %s: it is being %s",
                       base->store->location, up->name,
                       up->state == UPLOAD_ABORTING ? "aborted" : "completed");
    rc = new_op(base->store, up->name, 0, ctx, run_abort, on_aborted, &o, err);
    if (rc != ERR_OK)
        return rc;
    o->up = up;
    o->op.done = done;
    o->op.cancel = abort_cancel;
    up->state = UPLOAD_ABORTING;
    base->store->requests++;
    *out = &o->op.base;
    if (up->busy)
        up->abort = o;
    else
        store_dir_op_submit(&o->op.task);
    return ERR_OK;
}

static void run_abort_by_id(struct store_dir_task *task)
{
    struct dir_op *o = op_of(task);
    char tmp[STORE_DIR_FS_TMP_MAX];

    if (is_cancelled(o) || !*(const char *)o->body)
        return;
    store_dir_fs_tmp_name((const char *)o->body, o->op.name, tmp);
    store_dir_fs_discard(task->store->root, tmp, o->op.name, &o->op.err);
    o->op.info.date_ms = store_dir_fs_now_ms();
}

static void on_aborted_by_id(struct store_dir_task *task)
{
    store_dir_op_finish(&op_of(task)->op);
}

enum err_code store_dir_upload_abort_by_id(struct store *s, const char *name,
                                           const char *upload_id,
                                           store_done_fn *done, void *ctx,
                                           struct store_op **out,
                                           struct err *err)
{
    /* the id lies where slices would */
    size_t room = STORE_DIR_FS_ID_MAX / sizeof(struct slice) + 1;
    struct dir_op *o;
    enum err_code rc;

    /* "": one that was never begun, since a folder's ids are not lost */
    if (*upload_id && !store_dir_fs_id_ok(upload_id))
        return err_set(err, ERR_ARGUMENT, 0, "%s: %s: \"%s\" is no upload's id",
                       s->location, name, upload_id);
    rc = new_op(s, name, room, ctx, run_abort_by_id, on_aborted_by_id, &o, err);
    if (rc != ERR_OK)
        return rc;
    o->op.done = done;
    memcpy(o->body, upload_id, strlen(upload_id) + 1);
    s->requests++;
    *out = &o->op.base;
    store_dir_op_submit(&o->op.task);
    return ERR_OK;
}

const char *store_dir_upload_id(const struct store_upload *up)
{
    return ((const struct dir_upload *)up)->id;
}
