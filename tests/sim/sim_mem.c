/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
    if (!p) {
        fputs("xensim: out of memory\n", stderr);
        exit(70);
    }
    return p;
}

void *sim_mem_new(size_t size)
{
    return must(calloc(1, size ? size : 1));
}

void *sim_mem_grow(void *old, size_t size)
{
    return must(realloc(old, size ? size : 1));
}

char *sim_mem_dup(const char *text)
{
    return must(strdup(text));
}

char *sim_mem_dup_n(const char *text, size_t len)
{
    return must(strndup(text, len));
}

char *sim_mem_printf(const char *fmt, ...)
{
    char *out = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&out, fmt, ap);
    va_end(ap);
    return must(n < 0 ? NULL : out);
}

void sim_mem_check(const struct buf *b)
{
    if (buf_failed(b))
        must(NULL);
}
