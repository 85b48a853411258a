/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_log - writes down, in order and over all threads, what a program does
 * to the files below some folders. Loaded with LD_PRELOAD; for tests alone.
 *
 *   CAIRN_WRITE_LOG        the file that the records are appended to
 *   CAIRN_WRITE_LOG_ROOTS  the folders, absolute, with ':' between them
 *
 * A record is a struct head, the names it counts, and the bytes written;
 * tests/flow/powerlib.py reads it. One mutex is held around each call and its
 * record, so the order of the records is the order of the calls. A way to
 * change a file that is not understood here is written down as 'U', which
 * fails the test: nothing is missed in silence.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define ROOTS 8

struct head {
    uint32_t magic, op; /* op: a letter */
    uint64_t ino, offset, data;
    uint32_t path, other; /* bytes of the two names */
};
#define MAGIC 0x474c5743u /* "CWLG" */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int log_fd = -1;
static char root_list[ROOTS * PATH_MAX];
static const char *roots[ROOTS];
static size_t root_count;

/* The next definition of a function, in libc or before it. */
#define REAL(type, name, ...)                                                  \
    static type (*name)(__VA_ARGS__);                                          \
    if (!name)                                                                 \
    *(void **)(&name) = dlsym(RTLD_NEXT, &#name[5])

static void set_up(void)
{
    const char *path = getenv("CAIRN_WRITE_LOG");
    const char *list = getenv("CAIRN_WRITE_LOG_ROOTS");
    char *rest = NULL;

    if (!path || !list)
        return;
    snprintf(root_list, sizeof(root_list), "%s", list);
    for (char *r = strtok_r(root_list, ":", &rest); r && root_count < ROOTS;
         r = strtok_r(NULL, ":", &rest))
        roots[root_count++] = r;
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, path,
                          O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0)
        abort();
}

static bool below(const char *path)
{
    pthread_once(&once, set_up);
    for (size_t i = 0; i < root_count; i++) {
        size_t n = strlen(roots[i]);

        if (strncmp(path, roots[i], n) == 0 && (!path[n] || path[n] == '/'))
            return true;
    }
    return false;
}

/* What a descriptor stands for; false: nothing below a root. A file that has
 * lost its name is still known, by its number. */
static bool path_of(int fd, char path[PATH_MAX])
{
    char link[40];
    ssize_t n;
    int saved = errno;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, PATH_MAX - 1);
    errno = saved;
    if (n <= 0)
        return false;
    path[n] = 0;
    return below(path);
}

/* A name as the caller gives it -> an absolute one. */
static bool path_at(int dir, const char *name, char path[PATH_MAX])
{
    size_t n;

    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return below(path);
    }
    if (dir == AT_FDCWD) {
        if (!getcwd(path, PATH_MAX) || !below(path))
            return false;
    } else if (!path_of(dir, path)) {
        return false;
    }
    n = strlen(path);
    snprintf(path + n, PATH_MAX - n, "/%s", name);
    return true;
}

static uint64_t ino_of(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

static void put(const void *data, size_t len)
{
    while (len) {
        long n = syscall(SYS_write, log_fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            abort(); /* a log with a hole would prove nothing */
        data = (const char *)data + n;
        len -= (size_t)n;
    }
}

struct note {
    char op;
    uint64_t ino, offset;
    const char *path, *other;
    const struct iovec *data;
    int pieces;
    uint64_t bytes; /* of data, at most */
};

static void note(const struct note *what)
{
    struct head h = {
        .magic = MAGIC,
        .op = (uint32_t)what->op,
        .ino = what->ino,
        .offset = what->offset,
        .data = what->bytes,
        .path = what->path ? (uint32_t)strlen(what->path) : 0,
        .other = what->other ? (uint32_t)strlen(what->other) : 0,
    };
    uint64_t left = what->bytes;
    int saved = errno;

    put(&h, sizeof(h));
    put(what->path, h.path);
    put(what->other, h.other);
    for (int i = 0; i < what->pieces && left; i++) {
        uint64_t n = what->data[i].iov_len < left ? what->data[i].iov_len
                                                  : left;

        put(what->data[i].iov_base, n);
        left -= n;
    }
    errno = saved;
}

/* ---- names ---- */

typedef int open_fn(int, const char *, int, ...);

static int opened(open_fn *real, int dir, const char *name, int flags,
                  mode_t mode)
{
    char path[PATH_MAX];
    struct stat before;
    bool was;
    int fd;

    if (!(flags & (O_CREAT | O_TRUNC)) || !path_at(dir, name, path))
        return real(dir, name, flags, mode);
    pthread_mutex_lock(&lock);
    was = fstatat(dir, name, &before, 0) == 0;
    fd = real(dir, name, flags, mode);
    if (fd >= 0 && !was)
        note(&(struct note){.op = 'C', .ino = ino_of(fd), .path = path});
    else if (fd >= 0 && (flags & O_TRUNC) && before.st_size)
        note(&(struct note){.op = 'T', .ino = ino_of(fd), .path = path});
    if (fd >= 0 && (flags & (O_SYNC | O_DSYNC)))
        note(&(struct note){.op = 'U', .path = path, .other = "O_SYNC"});
    pthread_mutex_unlock(&lock);
    return fd;
}

static mode_t mode_in(int flags, va_list more)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
}

#define OPEN(name)                                                             \
    int name(const char *path, int flags, ...);                                \
    int name(const char *path, int flags, ...)                                 \
    {                                                                          \
        REAL(int, real_openat, int, const char *, int, ...);                   \
        va_list more;                                                          \
        mode_t mode;                                                           \
                                                                               \
        va_start(more, flags);                                                 \
        mode = mode_in(flags, more);                                           \
        va_end(more);                                                          \
        return opened(real_openat, AT_FDCWD, path, flags, mode);               \
    }
#define OPENAT(name)                                                           \
    int name(int dir, const char *path, int flags, ...);                       \
    int name(int dir, const char *path, int flags, ...)                        \
    {                                                                          \
        REAL(int, real_openat, int, const char *, int, ...);                   \
        va_list more;                                                          \
        mode_t mode;                                                           \
                                                                               \
        va_start(more, flags);                                                 \
        mode = mode_in(flags, more);                                           \
        va_end(more);                                                          \
        return opened(real_openat, dir, path, flags, mode);                    \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
OPEN(__open_2)
OPEN(__open64_2)
OPENAT(__openat_2)
OPENAT(__openat64_2)

FILE *fopen(const char *name, const char *mode)
{
    REAL(FILE *, real_fopen, const char *, const char *);
    char path[PATH_MAX];

    if (strpbrk(mode, "wa+") && path_at(AT_FDCWD, name, path))
        note(&(struct note){.op = 'U', .path = path, .other = "fopen"});
    return real_fopen(name, mode);
}

FILE *fopen64(const char *name, const char *mode)
{
    return fopen(name, mode);
}

int mkdirat(int dir, const char *name, mode_t mode)
{
    REAL(int, real_mkdirat, int, const char *, mode_t);
    char path[PATH_MAX];
    int rc;

    if (!path_at(dir, name, path))
        return real_mkdirat(dir, name, mode);
    pthread_mutex_lock(&lock);
    rc = real_mkdirat(dir, name, mode);
    if (rc == 0)
        note(&(struct note){.op = 'D', .path = path});
    pthread_mutex_unlock(&lock);
    return rc;
}

int mkdir(const char *name, mode_t mode)
{
    return mkdirat(AT_FDCWD, name, mode);
}

int linkat(int from, const char *old, int to, const char *name, int flags)
{
    REAL(int, real_linkat, int, const char *, int, const char *, int);
    char path[PATH_MAX], other[PATH_MAX];
    int rc;

    if (!path_at(to, name, other))
        return real_linkat(from, old, to, name, flags);
    pthread_mutex_lock(&lock);
    rc = real_linkat(from, old, to, name, flags);
    if (rc == 0)
        note(&(struct note){.op = path_at(from, old, path) && !flags ? 'L'
                                                                     : 'U',
                            .path = path, .other = other});
    pthread_mutex_unlock(&lock);
    return rc;
}

int link(const char *old, const char *name)
{
    return linkat(AT_FDCWD, old, AT_FDCWD, name, 0);
}

int renameat2(int from, const char *old, int to, const char *name,
              unsigned flags)
{
    REAL(int, real_renameat2, int, const char *, int, const char *, unsigned);
    char path[PATH_MAX], other[PATH_MAX];
    bool ours = path_at(from, old, path);
    int rc;

    if (!path_at(to, name, other) && !ours)
        return real_renameat2(from, old, to, name, flags);
    pthread_mutex_lock(&lock);
    rc = real_renameat2(from, old, to, name, flags);
    if (rc == 0)
        note(&(struct note){.op = ours && below(other) &&
                                          !(flags & RENAME_EXCHANGE)
                                      ? 'R'
                                      : 'U',
                            .path = path, .other = other});
    pthread_mutex_unlock(&lock);
    return rc;
}

int renameat(int from, const char *old, int to, const char *name)
{
    return renameat2(from, old, to, name, 0);
}

int rename(const char *old, const char *name)
{
    return renameat2(AT_FDCWD, old, AT_FDCWD, name, 0);
}

int unlinkat(int dir, const char *name, int flags)
{
    REAL(int, real_unlinkat, int, const char *, int);
    char path[PATH_MAX];
    int rc;

    if (!path_at(dir, name, path))
        return real_unlinkat(dir, name, flags);
    pthread_mutex_lock(&lock);
    rc = real_unlinkat(dir, name, flags);
    if (rc == 0)
        note(&(struct note){.op = 'X', .path = path});
    pthread_mutex_unlock(&lock);
    return rc;
}

int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}

int rmdir(const char *name)
{
    return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}

/* ---- bytes ---- */

typedef ssize_t writer_fn(int fd, const struct iovec *v, int n, off_t offset);

/* Where a write() without an offset lands. */
static uint64_t place_of(int fd)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0 && (flags & O_APPEND) && fstat(fd, &st) == 0)
        return (uint64_t)st.st_size;
    return (uint64_t)lseek(fd, 0, SEEK_CUR);
}

static ssize_t written(writer_fn *real, int fd, const struct iovec *v, int n,
                       off_t offset)
{
    char path[PATH_MAX];
    struct note what = {.op = 'W', .data = v, .pieces = n};
    ssize_t wrote;

    if (!path_of(fd, path))
        return real(fd, v, n, offset);
    pthread_mutex_lock(&lock);
    what.ino = ino_of(fd);
    what.offset = offset < 0 ? place_of(fd) : (uint64_t)offset;
    wrote = real(fd, v, n, offset);
    if (wrote > 0) {
        what.bytes = (uint64_t)wrote;
        note(&what);
    }
    pthread_mutex_unlock(&lock);
    return wrote;
}

static ssize_t by_write(int fd, const struct iovec *v, int n, off_t offset)
{
    REAL(ssize_t, real_write, int, const void *, size_t);

    (void)n;
    (void)offset;
    return real_write(fd, v->iov_base, v->iov_len);
}

static ssize_t by_pwrite(int fd, const struct iovec *v, int n, off_t offset)
{
    REAL(ssize_t, real_pwrite, int, const void *, size_t, off_t);

    (void)n;
    return real_pwrite(fd, v->iov_base, v->iov_len, offset);
}

static ssize_t by_writev(int fd, const struct iovec *v, int n, off_t offset)
{
    REAL(ssize_t, real_writev, int, const struct iovec *, int);

    (void)offset;
    return real_writev(fd, v, n);
}

static ssize_t by_pwritev(int fd, const struct iovec *v, int n, off_t offset)
{
    REAL(ssize_t, real_pwritev, int, const struct iovec *, int, off_t);

    return real_pwritev(fd, v, n, offset);
}

static struct iovec one(const void *data, size_t len)
{
    return (struct iovec){(void *)(uintptr_t)data, len};
}

ssize_t write(int fd, const void *data, size_t len)
{
    struct iovec v = one(data, len);

    return written(by_write, fd, &v, 1, -1);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    struct iovec v = one(data, len);

    return written(by_pwrite, fd, &v, 1, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
    return pwrite(fd, data, len, offset);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
    return written(by_writev, fd, v, n, -1);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t offset)
{
    return written(by_pwritev, fd, v, n, offset);
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t offset)
{
    return pwritev(fd, v, n, offset);
}

int ftruncate(int fd, off_t size)
{
    REAL(int, real_ftruncate, int, off_t);
    char path[PATH_MAX];
    int rc;

    if (!path_of(fd, path))
        return real_ftruncate(fd, size);
    pthread_mutex_lock(&lock);
    rc = real_ftruncate(fd, size);
    if (rc == 0)
        note(&(struct note){.op = 'T', .ino = ino_of(fd),
                            .offset = (uint64_t)size});
    pthread_mutex_unlock(&lock);
    return rc;
}

int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

/* What nothing here uses, and what would go past this log. */
static void not_known(int fd, const char *call)
{
    char path[PATH_MAX];

    if (!path_of(fd, path))
        return;
    pthread_mutex_lock(&lock);
    note(&(struct note){.op = 'U', .path = path, .other = call});
    pthread_mutex_unlock(&lock);
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
    REAL(int, real_fallocate, int, int, off_t, off_t);

    not_known(fd, "fallocate");
    return real_fallocate(fd, mode, at, len);
}

int posix_fallocate(int fd, off_t at, off_t len)
{
    REAL(int, real_posix_fallocate, int, off_t, off_t);

    not_known(fd, "posix_fallocate");
    return real_posix_fallocate(fd, at, len);
}

ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at,
                        size_t len, unsigned flags)
{
    REAL(ssize_t, real_copy_file_range, int, off64_t *, int, off64_t *, size_t,
         unsigned);

    not_known(out, "copy_file_range");
    return real_copy_file_range(in, in_at, out, out_at, len, flags);
}

/* SQLite shares the index of its log so, and makes it anew after a crash. */
static bool is_shm(int fd)
{
    char path[PATH_MAX];
    size_t n;

    if (!path_of(fd, path))
        return true;
    n = strlen(path);
    return n > 4 && strcmp(path + n - 4, "-shm") == 0;
}

void *mmap(void *at, size_t len, int protect, int flags, int fd, off_t offset)
{
    if (fd >= 0 && (flags & MAP_SHARED) && (protect & PROT_WRITE) &&
        !is_shm(fd))
        not_known(fd, "mmap");
    /* Not through dlsym(), which may want memory itself. */
    return (void *)syscall(SYS_mmap, at, len, protect, flags, fd, offset);
}

void *mmap64(void *at, size_t len, int protect, int flags, int fd,
             off64_t offset)
{
    return mmap(at, len, protect, flags, fd, offset);
}

/* ---- what makes it last ---- */

static int synced(int (*real)(int fd), int fd)
{
    char path[PATH_MAX];
    struct stat st;
    int rc;

    if (!path_of(fd, path))
        return real(fd);
    pthread_mutex_lock(&lock);
    rc = real(fd);
    if (rc == 0 && fstat(fd, &st) == 0)
        note(&(struct note){.op = S_ISDIR(st.st_mode) ? 'F' : 'S',
                            .ino = (uint64_t)st.st_ino, .path = path});
    pthread_mutex_unlock(&lock);
    return rc;
}

int fsync(int fd)
{
    REAL(int, real_fsync, int);

    return synced(real_fsync, fd);
}

int fdatasync(int fd)
{
    REAL(int, real_fdatasync, int);

    return synced(real_fdatasync, fd);
}
