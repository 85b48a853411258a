/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A get reads through two buffers in turn, so that the disk works while a
 * piece is being taken.
 *
 *   OPENING --first piece is there--> FLOWING --all taken, failed or
 *   cancelled, and no read under way--> CLOSING --descriptor closed--> done
 */
#include "store/store_dir_op.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES (256 * KIB)
#define PIECES 2

enum piece_state { PIECE_IDLE, PIECE_READING, PIECE_READY };

struct dir_get;

struct piece {
    struct store_dir_task task;
    struct dir_get *get;
    enum piece_state state;
    uint8_t *bytes;
    uint64_t offset;
    size_t want;
    int error; /* errno; -1: the file ended too early */
};

enum get_state { GET_OPENING, GET_FLOWING, GET_CLOSING };

struct dir_get {
    struct store_dir_op op;
    enum get_state state;
    struct store_range range;
    struct piece pieces[PIECES];
    unsigned to_read, to_give; /* whose turn */
    int fd;
    uint64_t next, end; /* what is still to be read */
    bool paused;
    bool giving;   /* on_data() is being called */
    bool mail_out; /* a resume or cancel is on its way */
    void (*on_info)(void *ctx, const struct store_info *info);
    bool (*on_data)(void *ctx, const uint8_t *data, size_t len);
};

static void get_step(struct dir_get *g);

static void run_read(struct store_dir_task *task)
{
    struct piece *p =
        (struct piece *)((char *)task - offsetof(struct piece, task));
    size_t got = 0;

    if (atomic_load(&p->get->op.cancelled))
        return;
    while (got < p->want) {
        ssize_t n = pread(p->get->fd, p->bytes + got, p->want - got,
                          (off_t)(p->offset + got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            p->error = n < 0 ? errno : -1;
            return;
        }
        got += (size_t)n;
    }
}

static void on_read(struct store_dir_task *task)
{
    struct piece *p =
        (struct piece *)((char *)task - offsetof(struct piece, task));

    p->state = PIECE_READY;
    get_step(p->get);
}

/* Ask for what comes next, as far as there are free buffers. */
static void read_ahead(struct dir_get *g)
{
    while (g->next < g->end) {
        struct piece *p = &g->pieces[g->to_read];
        uint64_t left = g->end - g->next;

        if (p->state != PIECE_IDLE)
            return;
        if (!p->bytes) { /* no later piece is larger than its first */
            p->bytes = malloc(left < PIECE_BYTES ? (size_t)left : PIECE_BYTES);
            if (!p->bytes) {
                err_set(&g->op.err, ERR_NOMEM, 0, "%s", g->op.name);
                return;
            }
        }
        p->offset = g->next;
        p->want = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        p->state = PIECE_READING;
        g->next += p->want;
        g->to_read = (g->to_read + 1) % PIECES;
        p->task.run = run_read;
        p->task.done = on_read;
        store_dir_op_submit(&p->task);
    }
}

static void run_open(struct store_dir_task *task)
{
    struct dir_get *g =
        (struct dir_get *)((char *)task - offsetof(struct dir_get, op.task));
    struct store_dir_op *op = &g->op;
    struct stat st;
    uint64_t size;

    if (atomic_load(&op->cancelled))
        return;
    if (store_dir_fs_open(task->store->root, op->name, &g->fd, &st, &op->err) !=
        ERR_OK) {
        store_dir_op_check_root(op);
        return;
    }
    store_dir_fs_info(&st, &op->info);
    size = op->info.bytes;
    if (g->range.from_end) {
        g->next = g->range.from_end < size ? size - g->range.from_end : 0;
        g->end = size;
    } else if (g->range.offset >= size && g->range.offset) {
        err_set(&op->err, ERR_PROTOCOL, 0,
                "%s: nothing at offset %ju, it has %ju bytes", op->name,
                (uintmax_t)g->range.offset, (uintmax_t)size);
    } else {
        g->next = g->range.offset;
        g->end = size;
        if (g->range.length && g->range.length < size - g->next)
            g->end = g->next + g->range.length;
    }
}

static void on_opened(struct store_dir_task *task)
{
    struct dir_get *g =
        (struct dir_get *)((char *)task - offsetof(struct dir_get, op.task));

    g->state = GET_FLOWING;
    if (g->op.err.code == ERR_OK && !atomic_load(&g->op.cancelled) &&
        g->on_info) {
        g->giving = true;
        g->on_info(g->op.ctx, &g->op.info);
        g->giving = false;
    }
    get_step(g);
}

static void run_close(struct store_dir_task *task)
{
    struct dir_get *g =
        (struct dir_get *)((char *)task - offsetof(struct dir_get, op.task));

    close(g->fd);
}

static void on_closed(struct store_dir_task *task)
{
    struct dir_get *g =
        (struct dir_get *)((char *)task - offsetof(struct dir_get, op.task));

    for (unsigned i = 0; i < PIECES; i++)
        free(g->pieces[i].bytes);
    store_dir_op_finish(&g->op);
}

/* Give the pieces that are there, in order, while they are taken. */
static void give(struct dir_get *g)
{
    struct store_dir_op *op = &g->op;
    struct piece *p;

    while (!g->paused && op->err.code == ERR_OK &&
           (p = &g->pieces[g->to_give])->state == PIECE_READY) {
        bool taken;

        if (atomic_load(&op->cancelled))
            return;
        if (p->error) {
            if (p->error < 0)
                err_set(&op->err, ERR_INTEGRITY, 0,
                        "%s: became shorter while it was read", op->name);
            else
                store_dir_fs_error(&op->err, p->error, op->name, "read");
            return;
        }
        g->giving = true;
        taken = g->on_data(op->ctx, p->bytes, p->want);
        g->giving = false;
        if (!taken) {
            g->paused = true;
            return;
        }
        op->base.store->received_bytes += p->want;
        p->state = PIECE_IDLE;
        g->to_give = (g->to_give + 1) % PIECES;
        read_ahead(g);
    }
}

/* The only way on; whatever happens ends here. */
static void get_step(struct dir_get *g)
{
    bool reading = false, ready = false;

    if (g->state != GET_FLOWING || g->giving)
        return;
    if (g->op.err.code == ERR_OK && !atomic_load(&g->op.cancelled)) {
        read_ahead(g);
        give(g);
    }
    for (unsigned i = 0; i < PIECES; i++) {
        reading = reading || g->pieces[i].state == PIECE_READING;
        ready = ready || g->pieces[i].state == PIECE_READY;
    }
    if (g->op.err.code == ERR_OK && atomic_load(&g->op.cancelled) &&
        (ready || g->next < g->end || reading || g->fd < 0))
        err_set(&g->op.err, ERR_CANCELLED, 0, "%s: cancelled", g->op.name);
    if (reading || g->mail_out ||
        (g->op.err.code == ERR_OK && (ready || g->next < g->end)))
        return;
    g->state = GET_CLOSING;
    g->op.task.run = run_close;
    g->op.task.done = on_closed;
    if (g->fd >= 0)
        store_dir_op_submit(&g->op.task);
    else
        on_closed(&g->op.task);
}

static void on_get_mail(struct mail *mail)
{
    struct dir_get *g =
        (struct dir_get *)((char *)mail - offsetof(struct dir_get, op.mail));

    g->mail_out = false;
    if (g->state == GET_OPENING) /* withdrawn from the queue */
        g->state = GET_FLOWING;
    get_step(g);
}

static void post(struct dir_get *g)
{
    if (g->mail_out)
        return;
    g->mail_out = true;
    g->op.mail.deliver = on_get_mail;
    loop_send(g->op.base.store->loop, &g->op.mail);
}

static void get_resume(struct store_dir_op *op)
{
    struct dir_get *g = (struct dir_get *)op;

    if (!g->paused || g->state == GET_CLOSING)
        return; /* whoever resumes may not know that it was cancelled */
    g->paused = false;
    post(g);
}

static void get_cancel(struct store_dir_op *op)
{
    struct dir_get *g = (struct dir_get *)op;

    if (g->state == GET_CLOSING)
        return;
    if (g->state == GET_OPENING && !store_dir_op_withdraw(&op->task))
        return;                           /* on_opened() will see it */
    for (unsigned i = 0; i < PIECES; i++) /* ready is as good as unread now */
        if (store_dir_op_withdraw(&g->pieces[i].task))
            g->pieces[i].state = PIECE_READY;
    post(g);
}

enum err_code store_dir_get_start(struct store *s,
                                  const struct store_get_opts *opts,
                                  struct store_op **out, struct err *err)
{
    struct store_dir_op *op;
    struct dir_get *g;
    enum err_code rc;

    rc = store_dir_op_new(s, opts->name, sizeof(*g), &op, err);
    if (rc != ERR_OK)
        return rc;
    g = (struct dir_get *)op;
    g->range = opts->range;
    g->fd = -1;
    g->on_info = opts->on_info;
    g->on_data = opts->on_data;
    for (unsigned i = 0; i < PIECES; i++) {
        g->pieces[i].get = g;
        g->pieces[i].task.store = op->task.store;
    }
    op->done = opts->done;
    op->ctx = opts->ctx;
    op->resume = get_resume;
    op->cancel = get_cancel;
    op->task.run = run_open;
    op->task.done = on_opened;
    s->requests++;
    *out = &op->base;
    store_dir_op_submit(&op->task);
    return ERR_OK;
}
