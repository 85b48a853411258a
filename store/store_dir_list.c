/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings: the lane walks and fills a bounded batch, the loop gives it out,
 * and so on until the walk ends.
 */
#include "store/store_dir_op.h"

#include <stdlib.h>
#include <string.h>

#include "store/store_dir_walk.h"

#define BATCH 256

struct found {
    char name[STORE_NAME_MAX];
    char id[STORE_DIR_FS_ID_MAX]; /* of an upload */
    uint64_t bytes, modified_ms;
};

struct dir_list {
    struct store_dir_op op;
    struct store_dir_walk *walk; /* the lane's until it comes back */
    bool uploads, over;
    size_t count;
    char prefix[STORE_NAME_MAX];
    char start_after[STORE_NAME_MAX];
    bool (*on_entry)(void *ctx, const struct store_entry *entry);
    bool (*on_upload)(void *ctx, const struct store_upload_entry *entry);
    struct found found[BATCH];
};

static struct dir_list *list_of(struct store_dir_task *task)
{
    return (struct dir_list *)((char *)task -
                               offsetof(struct dir_list, op.task));
}

static void note_object(struct dir_list *l, const char *name,
                        const struct stat *st)
{
    struct found *f = &l->found[l->count++];
    struct store_info info;

    memcpy(f->name, name, strlen(name) + 1);
    store_dir_fs_info(st, &info);
    f->bytes = info.bytes;
    f->modified_ms = info.modified_ms;
}

static void note_upload(struct dir_list *l, const char *tmp)
{
    struct found *f = &l->found[l->count];

    if (store_dir_fs_parse_tmp(tmp, f->id, f->name, &f->modified_ms) &&
        strncmp(f->name, l->prefix, strlen(l->prefix)) == 0)
        l->count++;
}

static void run_list(struct store_dir_task *task)
{
    struct dir_list *l = list_of(task);
    struct store_dir_walk_opts opts = {
        .root = task->store->root,
        .under = l->uploads ? "tmp/" : "",
        .prefix = l->uploads ? "" : l->prefix,
        .start_after = l->start_after,
    };
    const char *name;
    struct stat st;
    bool more = true;

    l->count = 0;
    if (!l->walk && store_dir_walk_new(&opts, &l->walk, &l->op.err) != ERR_OK) {
        store_dir_op_check_root(&l->op);
        return;
    }
    while (l->count < BATCH && !atomic_load(&l->op.cancelled)) {
        if (store_dir_walk_next(l->walk, &name, &st, &more, &l->op.err) !=
            ERR_OK)
            break;
        if (!more)
            break;
        if (l->uploads)
            note_upload(l, name);
        else
            note_object(l, name, &st);
    }
    l->over = !more;
    store_dir_op_check_root(&l->op); /* one that is gone looks empty */
}

/* closedir() belongs on the lane too. */
static void run_list_end(struct store_dir_task *task)
{
    struct dir_list *l = list_of(task);

    store_dir_walk_free(l->walk);
    l->walk = NULL;
}

static void on_list_end(struct store_dir_task *task)
{
    store_dir_op_finish(&list_of(task)->op);
}

static bool give_one(struct dir_list *l, const struct found *f)
{
    struct store_entry entry = {
        .name = f->name, .bytes = f->bytes, .modified_ms = f->modified_ms};
    struct store_upload_entry upload = {
        .name = f->name, .id = f->id, .begun_ms = f->modified_ms};

    return l->uploads ? l->on_upload(l->op.ctx, &upload)
                      : l->on_entry(l->op.ctx, &entry);
}

static void on_batch(struct store_dir_task *task)
{
    struct dir_list *l = list_of(task);
    struct store_dir_op *op = &l->op;

    for (size_t i = 0; i < l->count && !atomic_load(&op->cancelled); i++)
        if (!give_one(l, &l->found[i]))
            atomic_store(&op->cancelled, true);
    if (op->err.code == ERR_OK && atomic_load(&op->cancelled))
        err_set(&op->err, ERR_CANCELLED, 0, "listing of \"%s\": cancelled",
                l->prefix);
    if (op->err.code != ERR_OK || l->over) {
        op->info.date_ms = store_dir_fs_now_ms();
        op->task.run = run_list_end;
        op->task.done = on_list_end;
    }
    store_dir_op_submit(&op->task);
}

static void on_list_withdrawn(struct mail *mail)
{
    struct dir_list *l =
        (struct dir_list *)((char *)mail - offsetof(struct dir_list, op.mail));

    l->count = 0;
    on_batch(&l->op.task);
}

static void list_cancel(struct store_dir_op *op)
{
    op->mail.deliver = on_list_withdrawn;
    if (op->task.run == run_list && store_dir_op_withdraw(&op->task))
        loop_send(op->base.store->loop, &op->mail);
}

static enum err_code list_new(struct store *s, const char *prefix,
                              const char *start_after, store_done_fn *done,
                              void *ctx, struct dir_list **out, struct err *err)
{
    struct store_dir_op *op;
    struct dir_list *l;
    enum err_code rc;

    if (strlen(prefix) >= STORE_NAME_MAX ||
        (start_after && strlen(start_after) >= STORE_NAME_MAX))
        return err_set(err, ERR_ARGUMENT, 0, "%s: listing of \"%s\": too long",
                       s->location, prefix);
    rc = store_dir_op_new(s, NULL, sizeof(*l), &op, err);
    if (rc != ERR_OK)
        return rc;
    l = (struct dir_list *)op;
    snprintf(l->prefix, sizeof(l->prefix), "%s", prefix);
    if (start_after)
        snprintf(l->start_after, sizeof(l->start_after), "%s", start_after);
    op->done = done;
    op->ctx = ctx;
    op->cancel = list_cancel;
    op->task.run = run_list;
    op->task.done = on_batch;
    s->requests++;
    s->list_requests++;
    *out = l;
    return ERR_OK;
}

enum err_code store_dir_list_start(struct store *s,
                                   const struct store_list_opts *opts,
                                   struct store_op **out, struct err *err)
{
    struct dir_list *l;
    enum err_code rc;

    rc = list_new(s, opts->prefix, opts->start_after, opts->done, opts->ctx, &l,
                  err);
    if (rc != ERR_OK)
        return rc;
    l->on_entry = opts->on_entry;
    *out = &l->op.base;
    store_dir_op_submit(&l->op.task);
    return ERR_OK;
}

enum err_code store_dir_list_uploads(
    struct store *s, const char *prefix,
    bool (*on_upload)(void *ctx, const struct store_upload_entry *),
    store_done_fn *done, void *ctx, struct store_op **out, struct err *err)
{
    struct dir_list *l;
    enum err_code rc;

    rc = list_new(s, prefix, NULL, done, ctx, &l, err);
    if (rc != ERR_OK)
        return rc;
    l->uploads = true;
    l->on_upload = on_upload;
    *out = &l->op.base;
    store_dir_op_submit(&l->op.task);
    return ERR_OK;
}
