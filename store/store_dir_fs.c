/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_dir_fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define WRITE_VECTORS 64
#define LEFT_MS ((uint64_t)7 * 24 * 3600 * 1000) /* S of format.md 7 */
#define DIRECT_ALIGN ((size_t)4096) /* at least what any file system wants */

enum err_code store_dir_fs_error(struct err *err, int error, const char *name,
                                 const char *call)
{
    enum err_code code;
    char text[128];

    switch (error) {
    case ENOSPC:
    case EDQUOT:
        code = ERR_QUOTA;
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        code = ERR_DENIED;
        break;
    case ENOENT:
        code = ERR_NOT_FOUND;
        break;
    case EEXIST:
        code = ERR_CONFLICT;
        break;
    case ESTALE: /* what is behind a network mount is gone or away */
    case ENOTCONN:
    case ENODEV:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ETIMEDOUT:
        code = ERR_UNREACHABLE;
        break;
    case ENOMEM:
        code = ERR_NOMEM;
        break;
    default:
        code = ERR_IO;
    }
    return err_set(err, code, error, "%s: %s: %s", name, call,
                   strerror_r(error, text, sizeof(text)));
}

bool store_dir_fs_is_root(int root, const char *path)
{
    struct stat there, ours;

    if (stat(path, &there) < 0)
        return errno != ENOENT && errno != ENOTDIR;
    return fstat(root, &ours) < 0 || (there.st_dev == ours.st_dev &&
                                      there.st_ino == ours.st_ino);
}

uint64_t store_dir_fs_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void store_dir_fs_info(const struct stat *st, struct store_info *info)
{
    info->bytes = (uint64_t)st->st_size;
    info->modified_ms = (uint64_t)st->st_mtim.tv_sec * 1000 +
                        (uint64_t)st->st_mtim.tv_nsec / 1000000;
    info->date_ms = store_dir_fs_now_ms();
}

void store_dir_fs_new_id(char kind, char id[STORE_DIR_FS_ID_MAX])
{
    char when[CLOCK_TEXT], hex[17];
    uint8_t raw[8];

    /* 8 bytes are never delivered in part, and getrandom() without flags
     * fails only before the kernel has any randomness, when it waits. */
    while (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
        ;
    bytes_hex(raw, sizeof(raw), hex);
    clock_compact(store_dir_fs_now_ms(), when);
    snprintf(id, STORE_DIR_FS_ID_MAX, "%c-%.16s-%s", kind, when, hex);
}

void store_dir_fs_tmp_name(const char *id, const char *name,
                           char tmp[STORE_DIR_FS_TMP_MAX])
{
    char *p;
    int n;

    n = snprintf(tmp, STORE_DIR_FS_TMP_MAX, "%s+", id);
    p = tmp + n;
    while (*name && p < tmp + STORE_DIR_FS_TMP_MAX - 1) {
        *p++ = *name == '/' ? '+' : *name;
        name++;
    }
    *p = 0;
}

/* "u-YYYYMMDDTHHMMSSZ-" and 16 hex digits: 35 bytes. */
static bool parse_id(const char *id, size_t len, uint64_t *begun_ms)
{
    char when[17];
    char hex[17];
    uint8_t raw[8];

    if (len != 35 || (id[0] != 'u' && id[0] != 'p') || id[1] != '-' ||
        id[18] != '-')
        return false;
    memcpy(when, id + 2, 16);
    when[16] = 0;
    memcpy(hex, id + 19, 16);
    hex[16] = 0;
    return clock_parse_compact(when, begun_ms) && bytes_unhex(hex, raw, 8);
}

bool store_dir_fs_id_ok(const char *id)
{
    uint64_t begun;

    return parse_id(id, strlen(id), &begun);
}

bool store_dir_fs_parse_tmp(const char *tmp, char id[STORE_DIR_FS_ID_MAX],
                            char name[STORE_NAME_MAX], uint64_t *begun_ms)
{
    const char *plus = strchr(tmp, '+');
    size_t len;

    if (!plus || !parse_id(tmp, (size_t)(plus - tmp), begun_ms))
        return false;
    len = strlen(plus + 1);
    if (len >= STORE_NAME_MAX)
        return false;
    memcpy(id, tmp, (size_t)(plus - tmp));
    id[plus - tmp] = 0;
    for (size_t i = 0; i <= len; i++)
        name[i] = plus[1 + i] == '+' ? '/' : plus[1 + i];
    return store_name_ok(name);
}

static bool sync_fd(int fd, struct store_dir_fs_cost *cost)
{
    struct timespec t0, t1;
    int rc;

    clock_gettime(CLOCK_MONOTONIC, &t0);
    rc = fsync(fd);
    clock_gettime(CLOCK_MONOTONIC, &t1);
    cost->syncs++;
    cost->sync_us += (uint64_t)((t1.tv_sec - t0.tv_sec) * 1000000 +
                                (t1.tv_nsec - t0.tv_nsec) / 1000);
    return rc == 0;
}

/* The next folder on the way to a name. make: create it and sync `at`, in
 * which it stands - also when it exists, for another may have made it and not
 * yet synced. */
static int step_into(int at, const char *part, bool make,
                     struct store_dir_fs_cost *cost)
{
    if (make) {
        if (mkdirat(at, part, 0777) < 0 && errno != EEXIST)
            return -1;
        if (!sync_fd(at, cost))
            return -1;
    }
    return openat(at, part, DIR_FLAGS);
}

/* A descriptor of the folder in which `name` stands; *leaf is its last part.
 * -1 and errno on failure. */
static int open_parent(int root, const char *name, const char **leaf, bool make,
                       struct store_dir_fs_cost *cost)
{
    char part[STORE_NAME_MAX];
    const char *slash;
    int at, next, saved;

    at = fcntl(root, F_DUPFD_CLOEXEC, 3);
    while (at >= 0 && (slash = strchr(name, '/'))) {
        size_t len = (size_t)(slash - name);

        if (len >= sizeof(part)) {
            close(at);
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(part, name, len);
        part[len] = 0;
        next = step_into(at, part, make, cost);
        saved = errno;
        close(at);
        errno = saved;
        at = next;
        name = slash + 1;
    }
    *leaf = name;
    return at;
}

/* A link or a file where a folder should stand holds no object of ours. */
static int not_there(int error)
{
    return error == ELOOP || error == ENOTDIR ? ENOENT : error;
}

/* Says to store_dir_fs_tidy() that somebody writes to it. False: it was just
 * taken for a dead one's and is gone. */
static bool hold(int fd)
{
    struct stat st;

    while (flock(fd, LOCK_SH) < 0 && errno == EINTR)
        ;
    if (fstat(fd, &st) < 0 || st.st_nlink > 0)
        return true;
    close(fd);
    return false;
}

enum err_code store_dir_fs_create(int root, const char *tmp, const char *name,
                                  int *fd, struct err *err)
{
    int dir, got;
    enum err_code rc = ERR_OK;

    dir = openat(root, "tmp", DIR_FLAGS);
    if (dir < 0 && errno == ENOENT) {
        if (mkdirat(root, "tmp", 0777) < 0 && errno != EEXIST)
            return store_dir_fs_error(err, errno, name, "mkdir tmp");
        dir = openat(root, "tmp", DIR_FLAGS);
    }
    if (dir < 0)
        return store_dir_fs_error(err, errno, name, "open tmp");
    do
        got = openat(dir, tmp,
                     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                     0666);
    while (got >= 0 && !hold(got));
    if (got < 0)
        rc = store_dir_fs_error(err, errno, name, "create");
    else
        *fd = got;
    close(dir);
    return rc;
}

/* Whether its writer is dead: a lock ends with its process. Where files cannot
 * be locked, so old that nobody writes to it any more. */
static bool is_left(int dir, const char *tmp)
{
    char id[STORE_DIR_FS_ID_MAX], name[STORE_NAME_MAX];
    uint64_t begun_ms, now = store_dir_fs_now_ms();
    struct stat st;
    bool left;
    int fd;

    if (!store_dir_fs_parse_tmp(tmp, id, name, &begun_ms))
        return false;
    /* NFS grants an exclusive lock to who may write only. */
    fd = openat(dir, tmp, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        left = false;
    else if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        left = true;
    else
        left = errno != EWOULDBLOCK && now > begun_ms &&
               now - begun_ms > LEFT_MS;
    if (left && unlinkat(dir, tmp, 0) < 0)
        left = false;
    close(fd);
    return left;
}

unsigned store_dir_fs_tidy(int root)
{
    int fd = openat(root, "tmp", DIR_FLAGS);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    unsigned gone = 0;
    struct dirent *e;

    if (!dir) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    while ((e = readdir(dir)))
        gone += is_left(dirfd(dir), e->d_name);
    closedir(dir);
    return gone;
}

/*
 * A second description of the file that writes past the page cache: nobody
 * reads a pack soon, and copying it there takes more CPU than sealing it. -1:
 * it is small, not aligned, or the file system has no such thing.
 */
static int open_direct(int fd, const struct slice *body, size_t slices,
                       uint64_t offset)
{
    char path[40];
    uint64_t bytes = 0;

    for (size_t i = 0; i < slices; i++) {
        if (((uintptr_t)body[i].data | body[i].len) % DIRECT_ALIGN)
            return -1;
        bytes += body[i].len;
    }
    if (bytes < MIB || offset % DIRECT_ALIGN)
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
}

enum err_code store_dir_fs_write(int fd, const char *name,
                                 const struct slice *body, size_t slices,
                                 uint64_t offset, struct err *err)
{
    struct iovec v[WRITE_VECTORS];
    uint64_t begin = offset;
    size_t skip = 0; /* of body[0] */
    int direct = open_direct(fd, body, slices, offset);
    enum err_code rc = ERR_OK;

    while (slices) {
        size_t n = 0;
        ssize_t wrote;

        for (; n < slices && n < WRITE_VECTORS; n++) {
            size_t cut = n ? 0 : skip;

            /* the kernel writes from it; iovec has no const */
            v[n].iov_base = (void *)(uintptr_t)(body[n].data + cut);
            v[n].iov_len = body[n].len - cut;
        }
        wrote = pwritev(direct >= 0 ? direct : fd, v, (int)n, (off_t)offset);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0 && errno == EINVAL && direct >= 0) {
            close(direct); /* it wants more, or a short write came before */
            direct = -1;
            continue;
        }
        if (wrote < 0) {
            rc = store_dir_fs_error(err, errno, name, "write");
            break;
        }
        offset += (uint64_t)wrote;
        skip += (size_t)wrote;
        while (slices && skip >= body->len) {
            skip -= body->len;
            body++;
            slices--;
        }
    }
    /* So that the sync at the end finds little left to do. */
    if (direct < 0 && rc == ERR_OK && offset - begin >= MIB)
        (void)sync_file_range(fd, (off_t)begin, (off_t)(offset - begin),
                              SYNC_FILE_RANGE_WRITE);
    if (direct >= 0)
        close(direct);
    return rc;
}

enum err_code store_dir_fs_publish(int root, int fd, const char *tmp,
                                   const char *name, bool folders_known,
                                   struct store_dir_fs_cost *cost,
                                   struct err *err)
{
    enum err_code rc = ERR_OK;
    const char *leaf;
    int from, to = -1;

    if (!sync_fd(fd, cost))
        return store_dir_fs_error(err, errno, name, "fsync");
    from = openat(root, "tmp", DIR_FLAGS);
    if (from < 0)
        return store_dir_fs_error(err, errno, name, "open tmp");
    to = open_parent(root, name, &leaf, !folders_known, cost);
    if (to < 0 && errno == ENOENT && folders_known) /* removed behind us */
        to = open_parent(root, name, &leaf, true, cost);
    if (to < 0) {
        rc = store_dir_fs_error(err, errno, name, "make folder");
    } else if (linkat(from, tmp, to, leaf, 0) < 0) {
        rc = store_dir_fs_error(err, errno, name, "link");
    } else if (!sync_fd(to, cost)) {
        /* Not acknowledged, so it may not stay: a second try would find it. */
        rc = store_dir_fs_error(err, errno, name, "fsync folder");
        (void)unlinkat(to, leaf, 0);
    } else {
        (void)unlinkat(from, tmp, 0); /* left over: list_uploads finds it */
    }
    if (to >= 0)
        close(to);
    close(from);
    return rc;
}

enum err_code store_dir_fs_discard(int root, const char *tmp, const char *name,
                                   struct err *err)
{
    enum err_code rc = ERR_OK;
    int dir;

    dir = openat(root, "tmp", DIR_FLAGS);
    if (dir < 0)
        return errno == ENOENT
                   ? ERR_OK
                   : store_dir_fs_error(err, errno, name, "open tmp");
    if (unlinkat(dir, tmp, 0) < 0 && errno != ENOENT)
        rc = store_dir_fs_error(err, errno, name, "unlink");
    close(dir);
    return rc;
}

enum err_code store_dir_fs_open(int root, const char *name, int *fd,
                                struct stat *st, struct err *err)
{
    enum err_code rc = ERR_OK;
    const char *leaf;
    int dir, got;

    dir = open_parent(root, name, &leaf, false, NULL);
    if (dir < 0)
        return store_dir_fs_error(err, not_there(errno), name, "open");
    got = openat(dir, leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (got < 0) {
        rc = store_dir_fs_error(err, not_there(errno), name, "open");
    } else if (fstat(got, st) < 0) {
        rc = store_dir_fs_error(err, errno, name, "fstat");
    } else if (!S_ISREG(st->st_mode)) {
        rc = store_dir_fs_error(err, ENOENT, name, "open");
    }
    close(dir);
    if (rc == ERR_OK)
        *fd = got;
    else if (got >= 0)
        close(got);
    return rc;
}

enum err_code store_dir_fs_stat(int root, const char *name, struct stat *st,
                                struct err *err)
{
    enum err_code rc = ERR_OK;
    const char *leaf;
    int dir;

    dir = open_parent(root, name, &leaf, false, NULL);
    if (dir < 0)
        return store_dir_fs_error(err, not_there(errno), name, "stat");
    if (fstatat(dir, leaf, st, AT_SYMLINK_NOFOLLOW) < 0)
        rc = store_dir_fs_error(err, errno, name, "stat");
    else if (!S_ISREG(st->st_mode))
        rc = store_dir_fs_error(err, ENOENT, name, "stat");
    close(dir);
    return rc;
}

enum err_code store_dir_fs_remove(int root, const char *name,
                                  struct store_dir_fs_cost *cost,
                                  struct err *err)
{
    enum err_code rc = ERR_OK;
    const char *leaf;
    int dir;

    dir = open_parent(root, name, &leaf, false, cost);
    if (dir < 0)
        return not_there(errno) == ENOENT
                   ? ERR_OK
                   : store_dir_fs_error(err, errno, name, "remove");
    if (unlinkat(dir, leaf, 0) < 0) {
        if (errno != ENOENT)
            rc = store_dir_fs_error(err, errno, name, "remove");
    } else if (!sync_fd(dir, cost)) {
        rc = store_dir_fs_error(err, errno, name, "fsync folder");
    }
    close(dir);
    return rc;
}
