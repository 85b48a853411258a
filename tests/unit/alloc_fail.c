/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc_fail.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* By the linker's --wrap: calls to NAME go to __wrap_NAME. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd,
                  off_t offset);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd,
                  off_t offset);

static atomic_uint left; /* the one that makes it 0 fails; 0: off */
static atomic_bool happened;

bool alloc_fail_round(unsigned n)
{
    bool over = n > 1 && !atomic_load(&happened);

    atomic_store(&happened, false);
    atomic_store(&left, over ? 0 : n);
    return !over;
}

bool alloc_fail_happened(void)
{
    return atomic_load(&happened);
}

void alloc_fail_off(void)
{
    atomic_store(&left, 0);
}

static bool fails(void)
{
    unsigned now = atomic_load(&left);

    while (now > 0)
        if (atomic_compare_exchange_weak(&left, &now, now - 1))
            break;
    if (now != 1)
        return false;
    atomic_store(&happened, true);
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd,
                  off_t offset)
{
    return fails() ? MAP_FAILED : __real_mmap(at, len, prot, flags, fd, offset);
}

