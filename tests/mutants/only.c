/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linked into a unit test by run.py: the test runs the one case that
 * CAIRN_ONLY names, and says what it does as it does it, so that nothing is
 * lost when a sanitizer ends it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

__attribute__((constructor)) static void choose(void)
{
    const char *only = getenv("CAIRN_ONLY");

    if (only)
        cmocka_set_test_filter(only);
    setvbuf(stdout, NULL, _IOLBF, 0);
}
