/* SPDX-License-Identifier: Apache-2.0 */
#include "restore/restore_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/sync.h"

#define PIECE ((size_t)1 << 20)
#define PIECES 8

/* Bytes to be written, then zeros. */
struct piece {
    uint8_t *data; /* PIECE bytes */
    size_t len;
    uint64_t zeros; /* behind them */
};

struct restore_output {
    struct restore_output_opts opts;
    char *path, *temporary; /* NULL: standard output */
    int fd;
    bool holes;  /* zeros need not be written */
    uint64_t at; /* the lane's: bytes written */
    struct piece piece[PIECES];
    unsigned first, count; /* that are in use; the last one is being filled */
    bool busy;             /* the lane has the first one */
    bool refused;
    bool failed;
    bool ending, keep;
    void (*done)(void *ctx, const struct err *err);
    struct lane_item item;
    struct err err; /* the lane's, while busy */
};

static void next(struct restore_output *o);

/* --- the lane ------------------------------------------------------------- */

static bool write_all(struct restore_output *o, const uint8_t *data, size_t len)
{
    while (len) {
        ssize_t n = o->holes ? pwrite(o->fd, data, len, (off_t)o->at)
                             : write(o->fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_set(&o->err, ERR_IO, errno, "%s: %s", o->opts.path,
                    strerror(errno));
            return false;
        }
        data += n;
        len -= (size_t)n;
        o->at += (uint64_t)n;
    }
    return true;
}

static void write_zeros(struct restore_output *o, uint64_t len)
{
    static const uint8_t zeros[65536];

    if (o->holes) {
        o->at += len;
        return;
    }
    while (len) {
        size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

        if (!write_all(o, zeros, n))
            return;
        len -= n;
    }
}

static void run_write(struct lane_item *item)
{
    struct restore_output *o =
        (struct restore_output *)((char *)item -
                                  offsetof(struct restore_output, item));
    struct piece *p = &o->piece[o->first];

    if (o->err.code == ERR_OK && write_all(o, p->data, p->len))
        write_zeros(o, p->zeros);
}

/* A name that nothing has; file systems that cannot promise it are asked
 * twice. */
static int give_name(const struct restore_output *o)
{
    struct stat st;

    if (renameat2(AT_FDCWD, o->temporary, AT_FDCWD, o->path,
                  RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (lstat(o->path, &st) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(o->temporary, o->path);
}

static void run_end(struct lane_item *item)
{
    struct restore_output *o =
        (struct restore_output *)((char *)item -
                                  offsetof(struct restore_output, item));
    bool good = o->keep && o->err.code == ERR_OK;

    if (!o->path)
        return;
    if (good && (ftruncate(o->fd, (off_t)o->at) < 0 || fsync(o->fd) < 0 ||
                 give_name(o) < 0)) {
        err_set(&o->err, errno == EEXIST ? ERR_CONFLICT : ERR_IO, errno,
                "%s: %s", o->path, strerror(errno));
        good = false;
    }
    if (!good)
        unlink(o->temporary);
    else if (sync_folder_of(o->path) < 0)
        err_set(&o->err, ERR_IO, errno, "%s: its name may not outlive a power "
                "cut: %s", o->path, strerror(errno));
    close(o->fd);
}

/* --- the loop ------------------------------------------------------------- */

static void free_output(struct restore_output *o)
{
    for (size_t i = 0; i < PIECES; i++)
        free(o->piece[i].data);
    free(o->path);
    free(o->temporary);
    free(o);
}

static void on_ended(struct lane_item *item)
{
    struct restore_output *o =
        (struct restore_output *)((char *)item -
                                  offsetof(struct restore_output, item));

    o->done(o->opts.ctx, &o->err);
    free_output(o);
}

static void on_written(struct lane_item *item)
{
    struct restore_output *o =
        (struct restore_output *)((char *)item -
                                  offsetof(struct restore_output, item));
    bool was_refused = o->refused;

    o->busy = false;
    o->piece[o->first].len = 0;
    o->piece[o->first].zeros = 0;
    o->first = (o->first + 1) % PIECES;
    o->count--;
    if (o->err.code != ERR_OK && !o->failed) {
        o->failed = true;
        o->count = 0;
        o->opts.failed(o->opts.ctx, &o->err);
    }
    next(o);
    if (was_refused && !o->ending) {
        o->refused = false;
        o->opts.drained(o->opts.ctx);
    }
}

static void start(struct restore_output *o, void (*run)(struct lane_item *),
                  void (*done)(struct lane_item *))
{
    o->item =
        (struct lane_item){.run = run, .done = done, .loop = o->opts.loop};
    o->busy = lane_start(o->opts.lane, &o->item); /* ours alone: never full */
}

/* Write the first piece when it is full or nothing more will come to it. */
static void next(struct restore_output *o)
{
    struct piece *p = &o->piece[o->first];

    if (o->busy)
        return;
    if (o->count && (o->count > 1 || p->len == PIECE || p->zeros || o->ending))
        start(o, run_write, on_written);
    else if (o->ending)
        start(o, run_end, on_ended);
}

/* The piece that is being filled; NULL: all are in use. */
static struct piece *filling(struct restore_output *o)
{
    struct piece *p;

    if (o->count) {
        p = &o->piece[(o->first + o->count - 1) % PIECES];
        /* What the lane has is its own. */
        if (p->len < PIECE && !p->zeros && !(o->busy && o->count == 1))
            return p;
    }
    if (o->count == PIECES)
        return NULL;
    return &o->piece[(o->first + o->count++) % PIECES];
}

size_t restore_output_room(const struct restore_output *o)
{
    const struct piece *p;
    size_t room = (PIECES - o->count) * PIECE;

    if (o->count) {
        p = &o->piece[(o->first + o->count - 1) % PIECES];
        if (!p->zeros && !(o->busy && o->count == 1))
            room += PIECE - p->len;
    }
    return room;
}

bool restore_output_put(struct restore_output *o, const void *data, size_t len)
{
    const uint8_t *at = data;

    if (o->failed)
        return true;
    if (len > restore_output_room(o)) {
        o->refused = true;
        return false;
    }
    while (len) {
        struct piece *p = filling(o);
        size_t n = PIECE - p->len < len ? PIECE - p->len : len;

        memcpy(p->data + p->len, at, n);
        p->len += n;
        at += n;
        len -= n;
    }
    next(o);
    return true;
}

bool restore_output_zero(struct restore_output *o, uint64_t len)
{
    struct piece *p;

    if (o->failed || !len)
        return true;
    p = filling(o);
    if (!p) {
        o->refused = true;
        return false;
    }
    p->zeros = len;
    next(o);
    return true;
}

void restore_output_want(struct restore_output *o)
{
    o->refused = true;
}

void restore_output_end(struct restore_output *o, bool keep,
                        void (*done)(void *ctx, const struct err *err))
{
    o->ending = true;
    o->keep = keep;
    o->done = done;
    next(o);
}

/* --- opening -------------------------------------------------------------- */

static enum err_code open_file(struct restore_output *o, const char *path,
                               struct err *err)
{
    static const char suffix[] = ".cairn-partial";
    size_t len = strlen(path) + sizeof(suffix);
    struct stat st;

    if (lstat(path, &st) == 0)
        return err_set(err, ERR_CONFLICT, EEXIST,
                       "%s exists; nothing is ever replaced", path);
    o->path = strdup(path);
    o->temporary = malloc(len);
    if (!o->path || !o->temporary)
        return err_set(err, ERR_NOMEM, 0, "%s", path);
    snprintf(o->temporary, len, "%s%s", path, suffix);
    o->fd = open(o->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (o->fd < 0)
        return err_set(err, errno == EEXIST ? ERR_CONFLICT : ERR_IO, errno,
                       "%s: %s", o->temporary, strerror(errno));
    o->holes = true;
    return ERR_OK;
}

enum err_code restore_output_new(const struct restore_output_opts *opts,
                                 struct restore_output **out, struct err *err)
{
    struct restore_output *o = calloc(1, sizeof(*o));
    enum err_code rc = ERR_OK;

    if (!o)
        return err_set(err, ERR_NOMEM, 0, "output");
    o->opts = *opts;
    o->fd = STDOUT_FILENO;
    for (size_t i = 0; rc == ERR_OK && i < PIECES; i++) {
        o->piece[i].data = malloc(PIECE);
        if (!o->piece[i].data)
            rc = err_set(err, ERR_NOMEM, 0, "output");
    }
    if (rc == ERR_OK && strcmp(opts->path, "-") != 0)
        rc = open_file(o, opts->path, err);
    if (rc != ERR_OK) {
        free_output(o);
        return rc;
    }
    *out = o;
    return ERR_OK;
}
