/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tests/sim/sim_mem.h"

#define PIECE (1u << 20)

struct family {
    pthread_rwlock_t lock;
    unsigned refs; /* disks of it; changed under the lock */
};

struct sim_disk {
    struct family *family;
    unsigned refs; /* changed under the family's lock */
    char *path;
    int fd;
    bool ours; /* the file goes with the disk */
    uint64_t size;
    /* Of a snapshot: what it falls back to (younger snapshot or live disk);
     * that one knows the snapshot as its `older`. */
    struct sim_disk *base, *older;
    uint8_t *held; /* one bit per cluster; NULL: a live disk */
};

static bool held(const struct sim_disk *d, uint64_t cluster)
{
    return d->held[cluster / 8] & 1u << cluster % 8;
}

static uint64_t clusters(uint64_t size)
{
    return (size + SIM_DISK_CLUSTER - 1) / SIM_DISK_CLUSTER;
}

static enum err_code disk_fail(struct err *err, const struct sim_disk *d,
                               const char *what)
{
    return err_set(err, errno == ENOSPC ? ERR_QUOTA : ERR_IO, errno,
                   "%s: %s: %s", d->path, what, strerror(errno));
}

static enum err_code disk_new(const char *path, int flags, struct family *f,
                              struct sim_disk **out, struct err *err)
{
    int fd = open(path, flags | O_CLOEXEC, 0644);
    struct sim_disk *d;

    if (fd < 0)
        return err_set(err, ERR_IO, errno, "%s: %s", path, strerror(errno));
    d = sim_mem_new(sizeof(*d));
    d->path = sim_mem_dup(path);
    d->fd = fd;
    d->refs = 1;
    d->family = f;
    if (!f) {
        d->family = sim_mem_new(sizeof(*d->family));
        pthread_rwlock_init(&d->family->lock, NULL);
    }
    d->family->refs++;
    *out = d;
    return ERR_OK;
}

enum err_code sim_disk_create(const char *path, uint64_t size,
                              struct sim_disk **out, struct err *err)
{
    struct sim_disk *d;
    enum err_code rc;

    rc = disk_new(path, O_RDWR | O_CREAT | O_TRUNC, NULL, &d, err);
    if (rc != ERR_OK)
        return rc;
    d->ours = true;
    d->size = size;
    if (ftruncate(d->fd, (off_t)size) != 0) {
        rc = disk_fail(err, d, "resize");
        sim_disk_drop(d);
        return rc;
    }
    *out = d;
    return ERR_OK;
}

enum err_code sim_disk_open(const char *path, uint64_t size,
                            struct sim_disk **out, struct err *err)
{
    struct sim_disk *d;
    struct stat st;
    enum err_code rc;

    rc = disk_new(path, access(path, W_OK) == 0 ? O_RDWR : O_RDONLY, NULL, &d,
                  err);
    if (rc != ERR_OK)
        return rc;
    if (fstat(d->fd, &st) != 0) {
        rc = disk_fail(err, d, "stat");
        sim_disk_drop(d);
        return rc;
    }
    d->size = size ? size : (uint64_t)st.st_size;
    *out = d;
    return ERR_OK;
}

enum err_code sim_disk_snapshot(struct sim_disk *of, const char *path,
                                struct sim_disk **out, struct err *err)
{
    struct sim_disk *d = NULL;
    enum err_code rc;

    pthread_rwlock_wrlock(&of->family->lock);
    rc = disk_new(path, O_RDWR | O_CREAT | O_TRUNC, of->family, &d, err);
    if (rc == ERR_OK && ftruncate(d->fd, (off_t)of->size) != 0)
        rc = disk_fail(err, d, "resize");
    if (rc == ERR_OK) {
        d->ours = true;
        d->size = of->size;
        d->held = sim_mem_new(clusters(d->size) / 8 + 1);
        d->base = of;
        of->refs++;
        /* Between `of` and what was its newest snapshot so far. */
        d->older = of->older;
        if (d->older)
            d->older->base = d;
        of->older = d;
        if (d->older) { /* its reference on `of` is one on d now */
            of->refs--;
            d->refs++;
        }
        *out = d;
    }
    pthread_rwlock_unlock(&of->family->lock);
    if (rc != ERR_OK && d)
        sim_disk_drop(d);
    return rc;
}

struct sim_disk *sim_disk_hold(struct sim_disk *d)
{
    pthread_rwlock_wrlock(&d->family->lock);
    d->refs++;
    pthread_rwlock_unlock(&d->family->lock);
    return d;
}

static void disk_free(struct sim_disk *d)
{
    if (d->ours)
        unlink(d->path);
    close(d->fd);
    free(d->held);
    free(d->path);
    free(d);
}

/* One user less. Without users d leaves the chain, and so may its base. */
static void disk_release(struct sim_disk *d)
{
    while (d && --d->refs == 0) {
        struct sim_disk *base = d->base;

        d->family->refs--;
        if (base)
            base->older = NULL;
        disk_free(d);
        d = base;
    }
}

static bool read_fd(int fd, uint8_t *buf, uint64_t offset, size_t len)
{
    while (len > 0) {
        ssize_t n = pread(fd, buf, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0) { /* beyond the end of a shorter file: zeros */
            memset(buf, 0, len);
            return true;
        }
        buf += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

/* Give a cluster of `from` to the older snapshot `to`, which lacks it. */
static bool cluster_give(struct sim_disk *from, struct sim_disk *to, uint64_t c,
                         uint8_t *tmp)
{
    uint64_t at = c * SIM_DISK_CLUSTER;
    size_t len = SIM_DISK_CLUSTER;

    if (at >= to->size || held(to, c))
        return true;
    if (at + len > to->size)
        len = to->size - at;
    if (!read_fd(from->fd, tmp, at, len) ||
        pwrite(to->fd, tmp, len, (off_t)at) != (ssize_t)len)
        return false;
    to->held[c / 8] |= (uint8_t)(1u << c % 8);
    return true;
}

/* A snapshot in the middle that only its older sister needs: what it holds
 * goes to her, and it leaves. */
static void disk_merge(struct sim_disk *d)
{
    struct sim_disk *older = d->older;
    uint8_t *tmp = sim_mem_new(SIM_DISK_CLUSTER);

    for (uint64_t c = 0; c < clusters(d->size); c++) {
        if (held(d, c) && !cluster_give(d, older, c, tmp)) {
            free(tmp);
            return; /* no room: it stays, unseen */
        }
    }
    free(tmp);
    older->base = d->base; /* with d's reference on it */
    d->base->older = older;
    d->family->refs--;
    disk_free(d);
}

void sim_disk_drop(struct sim_disk *d)
{
    struct family *f;
    bool last;

    if (!d)
        return;
    f = d->family;
    pthread_rwlock_wrlock(&f->lock);
    if (d->held && d->older && d->refs == 2) {
        d->refs = 1;
        disk_merge(d);
    } else {
        disk_release(d);
    }
    last = f->refs == 0;
    pthread_rwlock_unlock(&f->lock);
    if (last) {
        pthread_rwlock_destroy(&f->lock);
        free(f);
    }
}

const char *sim_disk_path(const struct sim_disk *d)
{
    return d->path;
}

uint64_t sim_disk_size(const struct sim_disk *d)
{
    return d->size;
}

bool sim_disk_is_snapshot(const struct sim_disk *d)
{
    return d->held != NULL;
}

/* The layer that holds the cluster at offset, as d sees it. */
static struct sim_disk *layer_at(struct sim_disk *d, uint64_t offset)
{
    uint64_t c = offset / SIM_DISK_CLUSTER;

    while (d->base && !held(d, c))
        d = d->base;
    return d;
}

enum err_code sim_disk_read(struct sim_disk *d, void *buf, uint64_t offset,
                            size_t len, struct err *err)
{
    uint8_t *to = buf;
    enum err_code rc = ERR_OK;

    pthread_rwlock_rdlock(&d->family->lock);
    while (len > 0 && rc == ERR_OK) {
        struct sim_disk *layer = layer_at(d, offset);
        size_t n = SIM_DISK_CLUSTER - offset % SIM_DISK_CLUSTER;

        /* neighbours in the same layer come with it */
        while (n < len && layer_at(d, offset + n) == layer)
            n += SIM_DISK_CLUSTER;
        if (n > len)
            n = len;
        if (!read_fd(layer->fd, to, offset, n))
            rc = disk_fail(err, layer, "read");
        to += n;
        offset += n;
        len -= n;
    }
    pthread_rwlock_unlock(&d->family->lock);
    return rc;
}

/* Before [offset, offset+len) of the live disk d changes. */
static bool keep_for_snapshot(struct sim_disk *d, uint64_t offset, uint64_t len)
{
    struct sim_disk *s = d->older;
    uint8_t *tmp;
    bool ok = true;

    if (!s || len == 0)
        return true;
    tmp = sim_mem_new(SIM_DISK_CLUSTER);
    for (uint64_t c = offset / SIM_DISK_CLUSTER;
         ok && c <= (offset + len - 1) / SIM_DISK_CLUSTER; c++)
        ok = cluster_give(d, s, c, tmp);
    free(tmp);
    return ok;
}

enum err_code sim_disk_write(struct sim_disk *d, const void *buf,
                             uint64_t offset, size_t len, struct err *err)
{
    const uint8_t *from = buf;
    enum err_code rc = ERR_OK;

    if (d->held)
        return err_set(err, ERR_ARGUMENT, 0, "%s: a snapshot", d->path);
    pthread_rwlock_wrlock(&d->family->lock);
    if (offset > d->size || len > d->size - offset)
        rc = err_set(err, ERR_ARGUMENT, 0, "%s: beyond its end", d->path);
    else if (!keep_for_snapshot(d, offset, len))
        rc = disk_fail(err, d, "copy");
    while (len > 0 && rc == ERR_OK) {
        ssize_t n = pwrite(d->fd, from, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = disk_fail(err, d, "write");
            break;
        }
        from += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    pthread_rwlock_unlock(&d->family->lock);
    return rc;
}

enum err_code sim_disk_punch(struct sim_disk *d, uint64_t offset, uint64_t len,
                             struct err *err)
{
    enum err_code rc = ERR_OK;

    if (d->held)
        return err_set(err, ERR_ARGUMENT, 0, "%s: a snapshot", d->path);
    pthread_rwlock_wrlock(&d->family->lock);
    if (offset > d->size || len > d->size - offset)
        rc = err_set(err, ERR_ARGUMENT, 0, "%s: beyond its end", d->path);
    else if (!keep_for_snapshot(d, offset, len))
        rc = disk_fail(err, d, "copy");
    else if (len > 0 &&
             fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       (off_t)offset, (off_t)len) != 0)
        rc = disk_fail(err, d, "punch");
    pthread_rwlock_unlock(&d->family->lock);
    return rc;
}

enum err_code sim_disk_resize(struct sim_disk *d, uint64_t size,
                              struct err *err)
{
    enum err_code rc = ERR_OK;

    if (d->held || size < d->size)
        return err_set(err, ERR_ARGUMENT, 0, "%s: cannot shrink", d->path);
    pthread_rwlock_wrlock(&d->family->lock);
    if (ftruncate(d->fd, (off_t)size) != 0)
        rc = disk_fail(err, d, "resize");
    else
        d->size = size;
    pthread_rwlock_unlock(&d->family->lock);
    return rc;
}

uint64_t sim_disk_next_data(struct sim_disk *d, uint64_t offset)
{
    struct sim_disk *layer;
    uint64_t best = d->size;
    off_t at;

    if (offset >= d->size)
        return d->size;
    pthread_rwlock_rdlock(&d->family->lock);
    for (layer = d; layer->base; layer = layer->base) {
        uint64_t c = offset / SIM_DISK_CLUSTER, end = clusters(best);

        while (c < end && !held(layer, c))
            c = c % 8 == 0 && layer->held[c / 8] == 0 ? c + 8 : c + 1;
        if (c < end && c * SIM_DISK_CLUSTER < best)
            best = c * SIM_DISK_CLUSTER;
    }
    at = lseek(layer->fd, (off_t)offset, SEEK_DATA);
    if (at >= 0 && (uint64_t)at < best)
        best = (uint64_t)at;
    else if (at < 0 && errno != ENXIO)
        best = offset; /* a file system without holes */
    pthread_rwlock_unlock(&d->family->lock);
    return best < offset ? offset : best;
}

uint64_t sim_disk_allocated(const struct sim_disk *d)
{
    struct stat st;

    return fstat(d->fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

enum err_code sim_disk_copy(struct sim_disk *from, struct sim_disk *to,
                            struct err *err)
{
    uint8_t *buf = sim_mem_new(PIECE);
    enum err_code rc = ERR_OK;

    for (uint64_t at = 0; rc == ERR_OK; at += PIECE) {
        uint64_t data = sim_disk_next_data(from, at);
        size_t n = PIECE;

        /* Before it is rounded: that would lead back from an odd end. */
        if (data >= from->size)
            break;
        at = data / PIECE * PIECE;
        if (n > from->size - at)
            n = from->size - at;
        rc = sim_disk_read(from, buf, at, n, err);
        if (rc == ERR_OK && !bytes_all_zero(buf, n))
            rc = sim_disk_write(to, buf, at, n, err);
    }
    free(buf);
    return rc;
}

enum err_code sim_disk_rename(struct sim_disk *d, const char *path,
                              struct err *err)
{
    enum err_code rc = ERR_OK;

    pthread_rwlock_wrlock(&d->family->lock);
    if (rename(d->path, path) != 0) {
        rc = disk_fail(err, d, "rename");
    } else {
        free(d->path);
        d->path = sim_mem_dup(path);
    }
    pthread_rwlock_unlock(&d->family->lock);
    return rc;
}
