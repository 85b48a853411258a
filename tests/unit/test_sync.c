/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sync.h"

static void the_folder_of_a_file_is_synced(void **state)
{
    char folder[] = "/tmp/cairn-sync-XXXXXX", path[64];

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/of-a-file-that-is-not-there", folder);
    assert_int_equal(sync_folder_of(path), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(sync_folder_of(path), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(sync_folder_of("no-folder"), 0); /* the working one */
}

/* fsync(2) of such a folder says EINVAL. */
static void a_file_system_that_cannot_is_no_failure(void **state)
{
    (void)state;
    assert_int_equal(sync_folder_of("/proc/self/stat"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_folder_of_a_file_is_synced),
        cmocka_unit_test(a_file_system_that_cannot_is_no_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
