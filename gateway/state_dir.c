/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static enum err_code make_dir(const char *path, struct err *err)
{
    struct stat st;

    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_set(err, ERR_IO, errno, "state directory %s: %s", path,
                       strerror(errno));
    if (stat(path, &st) < 0)
        return err_set(err, ERR_IO, errno, "state directory %s: %s", path,
                       strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ERR_IO, ENOTDIR, "%s is no directory", path);
    if (st.st_uid != geteuid() || (st.st_mode & 077))
        return err_set(err, ERR_DENIED, 0,
                       "%s must belong to uid %u and to nobody else (mode "
                       "0700)", path, (unsigned)geteuid());
    return ERR_OK;
}

static enum err_code lock(const char *path, int fd, struct err *err)
{
    char pid[24] = "";
    int n;

    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
        if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)n, 0) != n)
            return err_set(err, ERR_IO, errno, "%s: %s", path,
                           strerror(errno));
        return ERR_OK;
    }
    if (errno != EWOULDBLOCK)
        return err_set(err, ERR_IO, errno, "%s: %s", path, strerror(errno));
    n = (int)pread(fd, pid, sizeof(pid) - 1, 0);
    if (n > 0)
        pid[n - 1] = 0;
    return err_set(err, ERR_CONFLICT, 0,
                   "%s: another cairnd (pid %s) has this state directory",
                   path, pid);
}

enum err_code state_dir_open(const char *path, int *fd, struct err *err)
{
    char name[4096];
    int file;

    if (make_dir(path, err) != ERR_OK)
        return err->code;
    snprintf(name, sizeof(name), "%s/index", path);
    if (make_dir(name, err) != ERR_OK)
        return err->code;
    snprintf(name, sizeof(name), "%s/lock", path);
    file = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0)
        return err_set(err, ERR_IO, errno, "%s: %s", name, strerror(errno));
    if (lock(name, file, err) != ERR_OK) {
        close(file);
        return err->code;
    }
    *fd = file;
    return ERR_OK;
}

enum err_code state_dir_key(const char *path, struct seal_key *out,
                            struct err *err)
{
    enum err_code rc = seal_key_load(path, out, err);

    if (rc != ERR_NOT_FOUND)
        return rc;
    err_clear(err);
    if (seal_key_random(out->b, sizeof(out->b), err) != ERR_OK ||
        seal_key_save(path, out, err) != ERR_OK)
        return err->code;
    log_event(LOG_WARN, "gateway_key_made", log_text("file", path),
              log_text("advice", "keep a copy of it away from this machine"),
              LOG_END);
    return ERR_OK;
}

enum err_code state_dir_read(const char *path, size_t max, char **out,
                             struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = fd < 0 ? NULL : malloc(max + 1);
    size_t len = 0;
    ssize_t n = -1;

    if (fd < 0)
        return err_set(err, ERR_IO, errno, "%s: %s", path, strerror(errno));
    while (text && (n = read(fd, text + len, max + 1 - len)) > 0 &&
           len + (size_t)n <= max)
        len += (size_t)n;
    close(fd);
    if (!text || n != 0) {
        free(text);
        if (!text)
            return err_set(err, ERR_NOMEM, 0, "%s", path);
        return n < 0 ? err_set(err, ERR_IO, errno, "%s: %s", path,
                               strerror(errno))
                     : err_set(err, ERR_ARGUMENT, 0, "%s: over %zu bytes",
                               path, max);
    }
    text[len] = 0;
    *out = text;
    return ERR_OK;
}
