/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/sync.h"

#define HOLE_BYTES 4096

struct cli_save {
    char *path;  /* the final one; NULL: standard output */
    char *grows; /* the other */
    int fd;
    uint64_t bytes;
    bool sparse; /* holes are possible */
};

static enum err_code save_fail(const char *path, int error, struct err *err)
{
    return err_set(err, error == EEXIST ? ERR_CONFLICT : ERR_IO, error,
                   "%s: %s%s", path, strerror(error),
                   error == EEXIST ? "; nothing is ever replaced" : "");
}

enum err_code cli_save_new(const char *path, struct cli_save **out,
                           struct err *err)
{
    struct cli_save *s = calloc(1, sizeof(*s));
    struct stat st;
    enum err_code rc = ERR_OK;

    if (!s)
        return err_set(err, ERR_NOMEM, 0, "%s", path);
    s->fd = -1;
    if (strcmp(path, "-") == 0) {
        s->fd = 1;
        *out = s;
        return ERR_OK;
    }
    s->path = strdup(path);
    if (asprintf(&s->grows, "%s.part-XXXXXX", path) < 0)
        s->grows = NULL;
    if (!s->path || !s->grows) {
        rc = err_set(err, ERR_NOMEM, 0, "%s", path);
    } else if (lstat(path, &st) == 0) {
        rc = save_fail(path, EEXIST, err);
    } else {
        s->fd = mkostemp(s->grows, O_CLOEXEC); /* mode 0600 */
        if (s->fd < 0) {
            rc = save_fail(s->grows, errno, err);
            free(s->grows);
            s->grows = NULL;
        }
    }
    s->sparse = true;
    if (rc == ERR_OK)
        *out = s;
    else
        cli_save_free(s);
    return rc;
}

static const char *save_name(const struct cli_save *s)
{
    return s->path ? s->path : "standard output";
}

static enum err_code save_all(struct cli_save *s, const uint8_t *data,
                              size_t len, struct err *err)
{
    while (len > 0) {
        ssize_t n = write(s->fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return save_fail(save_name(s), n < 0 ? errno : EIO, err);
        data += n;
        len -= (size_t)n;
        s->bytes += (uint64_t)n;
    }
    return ERR_OK;
}

/* How many bytes from here on are alike, hole or data, in blocks of the file;
 * a piece in the middle of a block is data. */
static size_t save_run(const struct cli_save *s, const uint8_t *data,
                       size_t len, bool *hole)
{
    size_t at = 0;

    *hole = false;
    while (at < len) {
        size_t into = (size_t)((s->bytes + at) % HOLE_BYTES);
        size_t step = HOLE_BYTES - into;
        bool zero;

        if (step > len - at)
            step = len - at;
        zero = into == 0 && step == HOLE_BYTES &&
               bytes_all_zero(data + at, step);
        if (at == 0)
            *hole = zero;
        else if (zero != *hole)
            break;
        at += step;
    }
    return at;
}

enum err_code cli_save_write(struct cli_save *s, const void *data, size_t len,
                             struct err *err)
{
    const uint8_t *p = data;

    while (len > 0) {
        bool hole = false;
        size_t run = s->sparse ? save_run(s, p, len, &hole) : len;

        if (hole && lseek(s->fd, (off_t)run, SEEK_CUR) < 0)
            return save_fail(save_name(s), errno, err);
        if (hole)
            s->bytes += run;
        else if (save_all(s, p, run, err) != ERR_OK)
            return err->code;
        p += run;
        len -= run;
    }
    return ERR_OK;
}

uint64_t cli_save_bytes(const struct cli_save *s)
{
    return s->bytes;
}

/* rename() that refuses to replace; where that is not known, link(). */
static int save_name_it(const struct cli_save *s)
{
    if (renameat2(AT_FDCWD, s->grows, AT_FDCWD, s->path, RENAME_NOREPLACE) ==
        0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (link(s->grows, s->path) < 0)
        return -1;
    return unlink(s->grows);
}

enum err_code cli_save_finish(struct cli_save *s, struct err *err)
{
    if (!s->path)
        return ERR_OK;
    if (ftruncate(s->fd, (off_t)s->bytes) < 0 || fsync(s->fd) < 0)
        return save_fail(s->path, errno, err);
    if (close(s->fd) < 0) {
        s->fd = -1;
        return save_fail(s->path, errno, err);
    }
    s->fd = -1;
    if (save_name_it(s) < 0)
        return save_fail(s->path, errno, err);
    free(s->grows);
    s->grows = NULL;
    if (sync_folder_of(s->path) < 0)
        return save_fail(s->path, errno, err);
    return ERR_OK;
}

void cli_save_free(struct cli_save *s)
{
    if (!s)
        return;
    if (s->path && s->fd >= 0)
        close(s->fd);
    if (s->grows)
        unlink(s->grows);
    free(s->grows);
    free(s->path);
    free(s);
}
