/* SPDX-License-Identifier: Apache-2.0 */
#include "base/guard.h"

#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>

void guard_process(void)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
}
