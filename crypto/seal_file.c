/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/seal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

static enum err_code io_error(struct err *err, const char *path, int number)
{
    return err_set(err, number == ENOENT ? ERR_NOT_FOUND : ERR_IO, number,
                   "%s: %s", path, strerror(number));
}

static enum err_code read_all(int fd, const char *path, struct buf *out,
                              struct err *err)
{
    uint8_t block[512];
    enum err_code rc = ERR_OK;

    for (;;) {
        ssize_t n = read(fd, block, sizeof(block));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = io_error(err, path, errno);
        else if (out->len + (size_t)n > SEAL_FILE_MAX)
            rc = err_set(err, ERR_KEY, 0, "%s: too long for a key file", path);
        else if (n && !buf_add(out, block, (size_t)n))
            rc = err_set(err, ERR_NOMEM, 0, "%s", path);
        if (n <= 0 || rc != ERR_OK)
            break;
    }
    bytes_wipe(block, sizeof(block));
    return rc;
}

enum err_code seal_file_read(const char *path, bool own, struct buf *out,
                             struct err *err)
{
    enum err_code rc;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return io_error(err, path, errno);
    if (fstat(fd, &st) < 0)
        rc = io_error(err, path, errno);
    else if (own && (st.st_mode & (S_IRWXG | S_IRWXO)))
        rc = err_set(err, ERR_KEY, 0,
                     "%s: others than its owner have access (mode %04o); "
                     "chmod 600 it",
                     path, (unsigned)(st.st_mode & 07777));
    else
        rc = read_all(fd, path, out, err);
    close(fd);
    return rc;
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        data += n;
        len -= (size_t)n;
    }
    return fsync(fd) < 0 ? errno : 0;
}

/* A file that is synced but whose name is not may be gone after a crash. */
static int sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    char *folder;
    int fd, number = 0;

    folder = slash ? strndup(path, len ? len : 1) : strdup(".");
    if (!folder)
        return ENOMEM;
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (fd < 0)
        return errno;
    if (fsync(fd) < 0)
        number = errno;
    close(fd);
    return number;
}

enum err_code seal_file_write(const char *path, const void *data, size_t len,
                              struct err *err)
{
    int number;
    int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 && errno == EEXIST)
        return err_set(err, ERR_CONFLICT, EEXIST,
                       "%s exists; a key file is never replaced", path);
    if (fd < 0)
        return io_error(err, path, errno);
    number = write_all(fd, data, len);
    if (close(fd) < 0 && !number)
        number = errno;
    if (!number)
        number = sync_folder(path);
    if (!number)
        return ERR_OK;
    unlink(path);
    return io_error(err, path, number);
}
