/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int sync_folder_of(const char *path)
{
    char *copy = strdup(path);
    int fd, rc = -1, why;

    if (!copy)
        return -1;
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    why = errno;
    free(copy);
    if (fd >= 0) {
        /* A file system that has no such thing (EINVAL) is no failure. */
        rc = fsync(fd) < 0 && errno != EINVAL ? -1 : 0;
        why = errno;
        close(fd);
    }
    errno = why;
    return rc;
}
