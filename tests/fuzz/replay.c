/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives a fuzz target without libFuzzer, the same in every run: each file of
 * its corpus as it is, then mutations of them from a fixed seed: so many runs,
 * or as many as fit into CAIRN_FUZZ_SECONDS of the environment. What crashes is
 * left in crash.bin in the current directory.
 *
 *   fuzz_json CORPUS_DIRECTORY [RUNS]
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILES_MAX 256
#define INPUT_MAX 65536
#define STEPS_MAX 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    uint8_t *data;
    size_t size;
};

static struct input files[FILES_MAX];
static unsigned files_count;
static uint64_t seed = 1;

/* SplitMix64, by its authors' published constants. */
static uint64_t next_random(void)
{
    uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t below(size_t n)
{
    return n ? (size_t)(next_random() % n) : 0;
}

static int is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int load(const char *folder)
{
    struct dirent **names;
    int count = scandir(folder, &names, is_file, alphasort);

    for (int i = 0; i < count; i++) {
        char path[4096];
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
        free(names[i]);
        f = fopen(path, "rb");
        if (f && files_count < FILES_MAX) {
            struct input *in = &files[files_count++];

            in->data = malloc(INPUT_MAX);
            in->size = in->data ? fread(in->data, 1, INPUT_MAX, f) : 0;
        }
        if (f)
            fclose(f);
    }
    if (count > 0)
        free(names);
    return files_count > 0 ? 0 : -1;
}

static void insert(struct input *in, const uint8_t *what, size_t size)
{
    size_t at = below(in->size + 1);

    if (size > INPUT_MAX - in->size)
        return;
    memmove(in->data + at + size, in->data + at, in->size - at);
    memcpy(in->data + at, what, size);
    in->size += size;
}

static void mutate(struct input *in)
{
    static const char marks[] = "\0\xff\x7f\x80<>&;\"'{}[]:,\\/-+.0919aZ \n";
    const struct input *other = &files[below(files_count)];
    size_t from, size;
    uint8_t piece[64];

    switch (next_random() % 7) {
    case 0:
        if (in->size)
            in->data[below(in->size)] ^= (uint8_t)(1u << below(8));
        break;
    case 1:
        if (in->size)
            in->data[below(in->size)] =
                (uint8_t)marks[below(sizeof(marks) - 1)];
        break;
    case 2:
        in->size = below(in->size + 1);
        break;
    case 3:
        from = below(in->size);
        size = below(in->size - from);
        memmove(in->data + from, in->data + from + size,
                in->size - from - size);
        in->size -= size;
        break;
    case 4:
        piece[0] = (uint8_t)marks[below(sizeof(marks) - 1)];
        insert(in, piece, 1);
        break;
    default:
        from = below(other->size);
        size = below(other->size - from);
        size = size > sizeof(piece) ? sizeof(piece) : size;
        if (size)
            memcpy(piece, other->data + from, size);
        insert(in, piece, size);
        break;
    }
}

/* --- what crashes -------------------------------------------------------- */

static const struct input *current; /* NULL: none is run */

static void keep_current(void)
{
    const struct input *in = current;
    int fd =
        in ? open("crash.bin", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)
           : -1;

    if (fd >= 0 && write(fd, in->data, in->size) < 0)
        return; /* dying is more than enough */
    current = NULL;
}

/* A target that ends the process has failed. */
static void on_exit_early(void)
{
    if (current) {
        keep_current();
        _exit(1);
    }
}

static void on_signal(int number)
{
    keep_current();
    signal(number, SIG_DFL);
    raise(number);
}

/* Of the sanitizers, where there are any. */
void __sanitizer_set_death_callback(void (*callback)(void))
    __attribute__((weak));

static void watch(void)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(keep_current);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (!__sanitizer_set_death_callback || signals[i] == SIGABRT)
            signal(signals[i], on_signal);
    atexit(on_exit_early);
}

/* In memory of its exact size, so that reading past the end is seen. */
static void run(const struct input *in)
{
    uint8_t *exact = malloc(in->size ? in->size : 1);

    if (!exact)
        return;
    if (in->size)
        memcpy(exact, in->data, in->size);
    current = in;
    LLVMFuzzerTestOneInput(exact, in->size);
    current = NULL;
    free(exact);
}

static uint64_t now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec;
}

int main(int argc, char **argv)
{
    const char *given = getenv("CAIRN_FUZZ_SECONDS");
    uint64_t seconds = given ? strtoul(given, NULL, 10) : 0;
    uint64_t until = now_s() + seconds;
    long runs = argc > 2 ? strtol(argv[2], NULL, 10) : 5000, i;
    struct input in = {malloc(INPUT_MAX), 0};

    if (argc < 2 || !in.data || load(argv[1]) < 0) {
        fprintf(stderr, "usage: %s CORPUS_DIRECTORY [RUNS]\n", argv[0]);
        free(in.data);
        return 2;
    }
    watch();
    for (unsigned k = 0; k < files_count; k++)
        run(&files[k]);
    for (i = 0; seconds ? now_s() < until : i < runs; i++) {
        const struct input *base = &files[below(files_count)];

        memcpy(in.data, base->data, base->size);
        in.size = base->size;
        for (size_t k = 1 + below(STEPS_MAX); k > 0; k--)
            mutate(&in);
        run(&in);
    }
    printf("%u files, %ld mutations\n", files_count, i);
    for (unsigned k = 0; k < files_count; k++)
        free(files[k].data);
    free(in.data);
    return 0;
}
