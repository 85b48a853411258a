/* SPDX-License-Identifier: Apache-2.0 */
#include "base/guard.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Where standard input, output or error were closed, the next file or socket
 * that is opened would take their place, and what is printed go there. Writing
 * to such an output still fails. */
static void guard_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        if (open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY) != fd)
            _exit(1); /* nowhere to say so */
    }
}

void guard_process(void)
{
    const struct rlimit none = {0, 0};

    guard_standard_files();
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
}
