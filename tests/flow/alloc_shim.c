/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/flow/alloc_shim.c - makes one allocation fail in a program that runs.
 *
 * Preloaded, it stands before malloc, calloc, realloc, strdup, strndup and
 * posix_memalign of the program and of its libraries, and before mmap as far as
 * the program itself calls it; under ASan before ASan's. tests/flow/alloclib.py
 * tells it what to do through a file that both have mapped, named by
 * CAIRN_ALLOC_CONTROL; without, it does nothing.
 *
 * An allocation's place is the chain of calls that led to it, as far as frame
 * pointers tell: a loop that asks for memory a thousand times is one place.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define PLACES 16384 /* a power of two */
#define DEPTH 12     /* calls of a chain */
#define MODULES 64

enum mode {
    OFF,
    RECORD, /* places only */
    PLACE,  /* the first one at the place `wanted` fails */
};

enum whose { ALL, OURS }; /* which allocations are looked at */

/* Laid out in alloclib.py, too. */
struct control {
    _Atomic uint32_t mode;
    uint32_t whose;
    uint64_t wanted;
    _Atomic uint64_t counted, failed;
    _Atomic uint32_t lock, places;
    uint64_t chain[DEPTH]; /* of the one that failed; [0]: that shall */
    uint64_t place[PLACES];
    uint64_t order[PLACES]; /* when it was met first, from 1 */
    uint64_t example[PLACES][DEPTH];
};

struct module {
    uintptr_t begin, end, base;
};

static struct control *control;
static uintptr_t getattr; /* pthread_getattr_np(): ASan's, for each thread */
static struct module modules[MODULES]; /* the first is the program */
static unsigned module_count;

static _Thread_local bool inside; /* what we do ourselves is not looked at */

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static char *(*real_strdup)(const char *);
static char *(*real_strndup)(const char *, size_t);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);

/* The next one of this name; glibc finds it without asking for memory. */
#define REAL(name)                                 \
    do {                                           \
        if (!real_##name) {                        \
            void *p_ = dlsym(RTLD_NEXT, #name);    \
                                                   \
            memcpy(&real_##name, &p_, sizeof(p_)); \
        }                                          \
    } while (0)

static int on_module(struct dl_phdr_info *info, size_t size, void *ctx)
{
    struct module *m = &modules[module_count];

    if (module_count == MODULES)
        return 1;
    m->base = info->dlpi_addr;
    m->begin = UINTPTR_MAX;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t at = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

        if (info->dlpi_phdr[i].p_type != PT_LOAD)
            continue;
        if (at < m->begin)
            m->begin = at;
        if (at + info->dlpi_phdr[i].p_memsz > m->end)
            m->end = at + info->dlpi_phdr[i].p_memsz;
    }
    module_count++;
    return 0;
}

__attribute__((constructor)) static void set_up(void)
{
    const char *path = getenv("CAIRN_ALLOC_CONTROL");
    struct control *c = MAP_FAILED;
    int fd;

    REAL(malloc);
    REAL(mmap);
    dl_iterate_phdr(on_module, NULL);
    getattr = (uintptr_t)dlsym(RTLD_DEFAULT, "pthread_getattr_np");
    if (!path || !real_mmap)
        return;
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        c = real_mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                      0);
    if (fd >= 0)
        close(fd);
    if (c != MAP_FAILED)
        control = c;
}

/* Two words of a stack; false: there is nothing to read, and no crash. */
static bool read_frame(uintptr_t at, uintptr_t words[2])
{
    const struct iovec to = {words, 16}, from = {(void *)at, 16};

    return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 16;
}

/* The same in each run, wherever the module lies. */
static uint64_t settled(uintptr_t address)
{
    for (unsigned i = 0; i < module_count; i++)
        if (address >= modules[i].begin && address < modules[i].end)
            return (uint64_t)(i + 1) << 48 | (address - modules[i].base);
    return address;
}

/* The chain of calls; what it comes to. */
static uint64_t chain_of(uintptr_t caller, uintptr_t frame,
                         uint64_t chain[DEPTH])
{
    uintptr_t low = (uintptr_t)&low, words[2];
    uint64_t sum = 0;
    unsigned n = 0;

    memset(chain, 0, DEPTH * sizeof(*chain));
    chain[n++] = settled(caller);
    while (n < DEPTH && frame > low && frame % 8 == 0 &&
           read_frame(frame, words)) {
        uint64_t at = settled(words[1]);

        if (at >> 48 == 0 || at >> 48 > module_count)
            break; /* not code: whoever is here keeps no frame pointer */
        chain[n++] = at;
        low = frame;
        frame = words[0];
    }
    for (unsigned i = 0; i < n; i++)
        sum = (sum ^ chain[i]) * UINT64_C(0x9e3779b97f4a7c15), sum ^= sum >> 29;
    return sum ? sum : 1;
}

static void lock(void)
{
    while (atomic_exchange(&control->lock, 1))
        ;
}

static void unlock(void)
{
    atomic_store(&control->lock, 0);
}

static void record(uint64_t place, const uint64_t chain[DEPTH])
{
    size_t i = place % PLACES;

    lock();
    while (control->place[i] && control->place[i] != place)
        i = (i + 1) % PLACES;
    if (!control->place[i] && control->places < PLACES / 2) {
        control->place[i] = place;
        control->order[i] = ++control->places;
        memcpy(control->example[i], chain, sizeof(control->example[i]));
    }
    unlock();
}

static bool decide(uintptr_t caller, uintptr_t frame)
{
    uint32_t mode = atomic_load(&control->mode);
    uint64_t chain[DEPTH], place;

    if (mode == OFF || (control->whose == OURS && (caller < modules[0].begin ||
                                                   caller >= modules[0].end)))
        return false;
    if (getattr && caller >= getattr && caller < getattr + 1024)
        return false;
    atomic_fetch_add(&control->counted, 1);
    if (mode == PLACE && settled(caller) != control->chain[0])
        return false; /* without the cost of looking at the stack */
    place = chain_of(caller, frame, chain);
    if (mode == RECORD)
        record(place, chain);
    if (mode == RECORD || place != control->wanted)
        return false;
    if (!atomic_compare_exchange_strong(&control->mode, &mode, OFF))
        return false;
    memcpy(control->chain, chain, sizeof(chain));
    atomic_fetch_add(&control->failed, 1);
    return true;
}

static bool fails(void *caller, void *frame)
{
    bool yes = false;

    if (!control || inside)
        return false;
    inside = true;
    yes = decide((uintptr_t)caller, (uintptr_t)frame);
    inside = false;
    if (yes)
        errno = ENOMEM;
    return yes;
}

/* Our own frame is the callee's: the caller's is what it points to. */
#define FAILS \
    fails(__builtin_return_address(0), *(void **)__builtin_frame_address(0))

void *malloc(size_t size)
{
    REAL(malloc);
    return FAILS ? NULL : real_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    REAL(calloc);
    return FAILS ? NULL : real_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    REAL(realloc);
    return FAILS ? NULL : real_realloc(old, size);
}

char *strdup(const char *text)
{
    REAL(strdup);
    return FAILS ? NULL : real_strdup(text);
}

char *strndup(const char *text, size_t len)
{
    REAL(strndup);
    return FAILS ? NULL : real_strndup(text, len);
}

int posix_memalign(void **out, size_t align, size_t size)
{
    REAL(posix_memalign);
    return FAILS ? ENOMEM : real_posix_memalign(out, align, size);
}

void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    uintptr_t caller = (uintptr_t)__builtin_return_address(0);

    REAL(mmap);
    if (module_count && caller >= modules[0].begin && caller < modules[0].end &&
        FAILS)
        return MAP_FAILED;
    return real_mmap(at, len, prot, flags, fd, offset);
}
