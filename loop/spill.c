/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/spill.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/bytes.h"

#define THREADS 2u
#define QUEUE_MORE 1024u        /* beyond an operation for each slot */
#define PIECE ((size_t)1 << 20) /* between two looks at `cancelled` */

struct slot {
    struct lane_item emptying;
    struct spill *spill;
    bool used; /* held by a share, or being emptied */
};

struct spill {
    int fd;
    char folder[PATH_MAX];
    unsigned count;
    struct loop *loop;
    struct lane *lane;
    uv_mutex_t lock; /* guards what follows, and the shares */
    bool lockable;
    unsigned used;
    struct spill_share *shares;
    struct slot slots[];
};

/* --- the file ------------------------------------------------------------ */

static enum err_code io_error(struct err *err, const char *folder,
                              const char *what)
{
    const int number = errno;

    return err_set(err, ERR_IO, number, "spill in %s: %s: %s", folder, what,
                   uv_strerror(-number));
}

/* Not every file system can make a file without a name. */
static int open_and_unlink(const char *folder)
{
    char path[PATH_MAX];
    int fd;

    if (snprintf(path, sizeof(path), "%s/cairn-spill-XXXXXX", folder) >=
        (int)sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0 && unlink(path) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static enum err_code open_file(const char *folder, int *out, struct err *err)
{
    int fd;

    if (folder[0] != '/' || strlen(folder) >= PATH_MAX)
        return err_set(err, ERR_ARGUMENT, 0,
                       "spill: wanted a folder from the root, got \"%.100s\"",
                       folder);
    fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
        fd = open_and_unlink(folder);
    if (fd < 0)
        return io_error(err, folder, "a file in it");
    *out = fd;
    return ERR_OK;
}

enum err_code spill_look(const char *folder, uint64_t *free_bytes,
                         struct err *err)
{
    struct statvfs fs;
    int fd = -1;

    if (open_file(folder, &fd, err) != ERR_OK)
        return err->code;
    if (fstatvfs(fd, &fs) != 0)
        io_error(err, folder, "its free room");
    else
        *free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    close(fd);
    return err->code;
}

enum err_code spill_new(const struct spill_opts *opts, struct spill **out,
                        struct err *err)
{
    const uint64_t count = opts->bytes / SPILL_SLOT_BYTES;
    struct spill *s;

    if (!count || opts->bytes > SPILL_BYTES_MAX)
        return err_set(err, ERR_ARGUMENT, 0,
                       "spill: wanted 16 MiB to 1 TiB, got %ju bytes",
                       (uintmax_t)opts->bytes);
    s = calloc(1, sizeof(*s) + count * sizeof(s->slots[0]));
    if (!s)
        return err_set(err, ERR_NOMEM, 0, "spill");
    s->fd = -1;
    s->count = (unsigned)count;
    s->loop = opts->loop;
    snprintf(s->folder, sizeof(s->folder), "%s", opts->folder);
    s->lockable = uv_mutex_init(&s->lock) == 0;
    if (!s->lockable)
        err_set(err, ERR_IO, 0, "spill: no lock");
    else if (open_file(opts->folder, &s->fd, err) == ERR_OK)
        lane_new("spill", THREADS, count + QUEUE_MORE, &s->lane, err);
    if (!s->lane) {
        spill_free(s);
        return err->code;
    }
    *out = s;
    return ERR_OK;
}

bool spill_stop(struct spill *s, unsigned wait_ms)
{
    struct lane *lane = s->lane;

    assert(!s->shares);
    s->lane = NULL;
    return lane_free(lane, wait_ms);
}

void spill_free(struct spill *s)
{
    if (!s)
        return;
    assert(!s->lane);
    if (s->fd >= 0)
        close(s->fd);
    if (s->lockable)
        uv_mutex_destroy(&s->lock);
    free(s);
}

/* --- slots --------------------------------------------------------------- */

uint64_t spill_total(const struct spill *s)
{
    return s->count * SPILL_SLOT_BYTES;
}

uint64_t spill_used(struct spill *s)
{
    uint64_t used;

    uv_mutex_lock(&s->lock);
    used = s->used * SPILL_SLOT_BYTES;
    uv_mutex_unlock(&s->lock);
    return used;
}

void spill_join(struct spill *s, struct spill_share *share, uint64_t tenant)
{
    *share = (struct spill_share){.tenant = tenant};
    uv_mutex_lock(&s->lock);
    share->next = s->shares;
    if (s->shares)
        s->shares->prev = share;
    s->shares = share;
    uv_mutex_unlock(&s->lock);
}

void spill_leave(struct spill *s, struct spill_share *share)
{
    assert(!share->held);
    uv_mutex_lock(&s->lock);
    if (share->prev)
        share->prev->next = share->next;
    else
        s->shares = share->next;
    if (share->next)
        share->next->prev = share->prev;
    uv_mutex_unlock(&s->lock);
}

unsigned spill_held(const struct spill_share *share)
{
    return share->held;
}

/* Locked. */
static bool is_its_turn(const struct spill *s, const struct spill_share *share)
{
    uint64_t held = share->held;

    for (const struct spill_share *o = s->shares; o; o = o->next)
        if (o->tenant == share->tenant)
            held += o->held;
    return held < 2 * (uint64_t)(s->count - s->used);
}

bool spill_slot_take(struct spill *s, struct spill_share *share, unsigned *slot)
{
    bool taken = false;

    uv_mutex_lock(&s->lock);
    /* The lowest ones first: the file stays short. */
    for (unsigned i = 0; i < s->count && !taken; i++) {
        if (i == 0 && !is_its_turn(s, share))
            break;
        if (s->slots[i].used)
            continue;
        s->slots[i].used = true;
        s->used++;
        share->held++;
        *slot = i;
        taken = true;
    }
    uv_mutex_unlock(&s->lock);
    return taken;
}

static void slot_is_free(struct slot *slot)
{
    struct spill *s = slot->spill;

    uv_mutex_lock(&s->lock);
    slot->used = false;
    s->used--;
    uv_mutex_unlock(&s->lock);
}

/* Where the file system cannot do it the room stays the file's, for the next
 * who takes the slot. */
static void run_emptying(struct lane_item *item)
{
    struct slot *slot = (struct slot *)(void *)item;
    struct spill *s = slot->spill;

    (void)fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    (off_t)((uint64_t)(slot - s->slots) * SPILL_SLOT_BYTES),
                    (off_t)SPILL_SLOT_BYTES);
}

static void on_emptied(struct lane_item *item)
{
    slot_is_free((struct slot *)(void *)item);
}

void spill_slot_give(struct spill *s, struct spill_share *share, unsigned n)
{
    struct slot *slot = &s->slots[n];

    uv_mutex_lock(&s->lock);
    assert(slot->used && share->held);
    share->held--;
    uv_mutex_unlock(&s->lock);
    slot->spill = s;
    slot->emptying.run = run_emptying;
    slot->emptying.done = on_emptied;
    slot->emptying.loop = s->loop;
    if (!lane_start(s->lane, &slot->emptying))
        slot_is_free(slot);
}

/* --- writing and reading ------------------------------------------------- */

/* One piece; bytes, 0: the file ends here, -1: errno. */
static ssize_t move(const struct spill_op *op, size_t at)
{
    const off_t offset = (off_t)(op->slot * SPILL_SLOT_BYTES + (uint64_t)at);
    const size_t left = op->len - at;
    const size_t n = left < PIECE ? left : PIECE;
    const int fd = op->spill->fd;

    return op->reading ? pread(fd, op->data + at, n, offset)
                       : pwrite(fd, op->data + at, n, offset);
}

/* A full disk is to be found out before the first byte; who cannot say so
 * (not every file system can) says it while writing. */
static bool claim(const struct spill_op *op)
{
    return fallocate(op->spill->fd, 0, (off_t)(op->slot * SPILL_SLOT_BYTES),
                     (off_t)op->len) == 0 ||
           errno == EOPNOTSUPP || errno == ENOSYS;
}

static void run_op(struct lane_item *item)
{
    struct spill_op *op =
        (struct spill_op *)(void *)((char *)item -
                                    offsetof(struct spill_op, item));
    const char *folder = op->spill->folder;
    const char *what = op->reading ? "reading" : "writing";
    size_t at = 0;

    if (!op->reading && !claim(op)) {
        io_error(&op->err, folder, what);
        return;
    }
    while (at < op->len) {
        ssize_t n;

        if (atomic_load(&op->cancelled)) {
            err_set(&op->err, ERR_CANCELLED, 0, "spill: cancelled");
            return;
        }
        n = move(op, at);
        if (n > 0) {
            at += (size_t)n;
        } else if (n == 0) {
            err_set(&op->err, ERR_IO, 0,
                    "spill in %s: %s: %zu of %zu bytes came", folder, what, at,
                    op->len);
            return;
        } else if (errno != EINTR) {
            io_error(&op->err, folder, what);
            return;
        }
    }
}

static void on_op(struct lane_item *item)
{
    struct spill_op *op =
        (struct spill_op *)(void *)((char *)item -
                                    offsetof(struct spill_op, item));

    op->done(op);
}

bool spill_op_start(struct spill_op *op)
{
    assert(op->len <= SPILL_SLOT_BYTES && op->slot < op->spill->count);
    err_clear(&op->err);
    atomic_store(&op->cancelled, false);
    op->item.run = run_op;
    op->item.done = on_op;
    op->item.loop = op->loop;
    return lane_start(op->spill->lane, &op->item);
}

void spill_op_cancel(struct spill_op *op)
{
    atomic_store(&op->cancelled, true);
}
