/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it costs to fill a vault's local index anew.
 *
 *   bench_index make FOLDER GIB      index runs as the backups of so many GiB
 *                                    of chunks of 128 KiB would have left them
 *   bench_index fill FOLDER INDEX    an index from them; one line of JSON
 *
 * Ids are random; packs have 512 slots and runs 64 packs, as a session makes
 * them. The memory that is told is that of a process which does nothing else:
 * VmRSS before, VmHWM while it fills.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <uv.h>

#include "base/parse.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "store/store_dir.h"
#include "vault/index_fill.h"
#include "vault/name.h"
#include "vault/pack_layout.h"
#include "vault/run.h"

#define SLOTS 512u     /* of a pack: 64 MiB of chunks that do not compress */
#define RUN_PACKS 64u
#define CHUNKS_PER_GIB (1u << 13)

struct bench {
    struct loop *loop;
    struct lane *disk, *sql;
    struct seal_suite *suite;
    struct keyring *keys;
    struct store *store;
    struct index *index;
    struct index_fill_result result;
    struct index_op op;
    struct err err;
    bool done;
};

static _Noreturn void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("bench_index: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

static void need(enum err_code code, const struct err *err)
{
    if (code != ERR_OK)
        die("%s", err->text);
}

static void wait_for(struct bench *b)
{
    while (!b->done)
        uv_run(loop_uv(b->loop), UV_RUN_ONCE);
    b->done = false;
    need(b->err.code, &b->err);
}

static void set_up(struct bench *b, const char *folder)
{
    static const struct seal_key secret = {{1, 2, 3}}; /* guards nothing */
    struct err err;

    need(loop_new("bench", clock_system(), &b->loop, &err), &err);
    need(lane_new("disk", 2, 64, &b->disk, &err), &err);
    need(lane_new("index", 1, 64, &b->sql, &err), &err);
    need(seal_suite_new(&b->suite, &err), &err);
    need(keyring_new(b->suite, &secret, &b->keys, &err), &err);
    need(keyring_add(b->keys, SEAL_KEY_META, &secret, true, &err), &err);
    need(store_dir_new(b->loop, folder, b->disk, &b->store, &err), &err);
}

static void tear_down(struct bench *b)
{
    store_free(b->store);
    keyring_unref(b->keys);
    seal_suite_free(b->suite);
    lane_free(b->disk, 10000);
    lane_free(b->sql, 10000);
    loop_free(b->loop);
}

/* --- making -------------------------------------------------------------- */

static void on_put(void *ctx, const struct err *err,
                   const struct store_info *info)
{
    struct bench *b = ctx;

    (void)info;
    b->err = *err;
    b->done = true;
}

static void add_pack(struct buf *run)
{
    static uint8_t entries[SLOTS * PACK_LAYOUT_ENTRY];
    struct run_pack pack = {
        .kind = SEAL_SLOT_DATA, .slots = SLOTS, .entries = entries};
    struct pack_slot slot = {
        .stored = (128 << 10) + 16, .raw = 128 << 10, .codec = PACK_LAYOUT_RAW};
    struct err err;

    need(seal_key_random(pack.id.b, sizeof(pack.id.b), &err), &err);
    pack.key_id.b[0] = 1;
    for (uint32_t i = 0; i < SLOTS; i++) {
        need(seal_key_random(slot.id.b, 16, &err), &err);
        pack_layout_put_entry(entries + (size_t)i * PACK_LAYOUT_ENTRY, &slot);
    }
    if (!run_add(run, &pack))
        die("a run is full");
}

static void put_run(struct bench *b, uint32_t number, struct slice plain)
{
    struct name name = {.kind = NAME_INDEX,
                        .time_ms = 1767225600000 + (uint64_t)number * 60000,
                        .rand = number};
    struct store_put_opts put = {.slices = 1, .done = on_put, .ctx = b};
    struct store_op *op;
    char text[NAME_TEXT];
    struct buf sealed;
    struct slice body;
    struct err err;

    buf_init(&sealed, RUN_SEALED_MAX);
    name_text(&name, text);
    need(run_seal(b->keys, text, plain, &sealed, &err), &err);
    body = (struct slice){sealed.data, sealed.len};
    put.name = text;
    put.body = &body;
    need(store_put(b->store, &put, &op, &err), &err);
    wait_for(b);
    buf_fini(&sealed);
}

static void make(struct bench *b, uint64_t gib)
{
    uint64_t packs = gib * CHUNKS_PER_GIB / SLOTS;
    struct buf run;

    buf_init(&run, RUN_SEALED_MAX);
    for (uint64_t i = 1; i <= packs; i++) {
        add_pack(&run);
        if (i % RUN_PACKS != 0 && i != packs)
            continue;
        put_run(b, (uint32_t)i, (struct slice){run.data, run.len});
        run.len = 0;
    }
    buf_fini(&run);
}

/* --- filling --------------------------------------------------------------- */

static void on_opened(void *ctx, const struct err *err, struct index *index)
{
    struct bench *b = ctx;

    b->index = index;
    b->err = *err;
    b->done = true;
}

static void on_filled(void *ctx, const struct err *err,
                      const struct index_fill_result *result)
{
    struct bench *b = ctx;

    b->err = *err;
    b->result = *result;
    b->done = true;
}

static void on_figures(struct index_op *op)
{
    struct bench *b = (struct bench *)(void *)((char *)op -
                                               offsetof(struct bench, op));

    b->err = op->err;
    b->done = true;
}

static void on_closed(void *ctx)
{
    struct bench *b = ctx;

    b->done = true;
}

static double seconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* VmRSS, or VmHWM, in bytes. */
static uint64_t memory(const char *key)
{
    FILE *f = fopen("/proc/self/status", "r");
    size_t len = strlen(key);
    uint64_t kib = 0;
    char line[256];

    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, key, len) == 0)
            kib = strtoull(line + len + 1, NULL, 10);
    if (f)
        fclose(f);
    if (!kib)
        die("no %s in /proc/self/status", key);
    return kib * 1024;
}

static void reset_peak(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");

    if (!f || fputs("5", f) < 0 || fclose(f) != 0)
        die("/proc/self/clear_refs");
}

static uint64_t file_bytes(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        die("%s is not there", path);
    return (uint64_t)st.st_size;
}

static void fill(struct bench *b, const char *path)
{
    struct index_open_opts open = {.path = path,
                                   .vault_id = *keyring_vault_id(b->keys),
                                   .lane = b->sql,
                                   .loop = b->loop,
                                   .done = on_opened,
                                   .ctx = b};
    struct index_fill_opts opts = {
        .store = b->store, .keys = b->keys, .done = on_filled, .ctx = b};
    struct index_fill *filling;
    double wall, cpu;
    uint64_t idle;
    struct err err;

    need(index_open_start(&open, &err), &err);
    wait_for(b);
    opts.index = b->index;
    idle = memory("VmRSS");
    reset_peak();
    wall = seconds(CLOCK_MONOTONIC);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    need(index_fill_start(&opts, &filling, &err), &err);
    wait_for(b);
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    b->op = (struct index_op){
        .verb = INDEX_FIGURES, .loop = b->loop, .done = on_figures};
    index_start(b->index, &b->op);
    wait_for(b);
    printf("{\"runs\": %" PRIu64 ", \"bad\": %" PRIu64 ", \"packs\": %" PRIu64
           ", \"chunks\": %" PRIu64 ", \"wall_s\": %.3f, \"cpu_s\": %.3f, "
           "\"idle_bytes\": %" PRIu64 ", \"peak_bytes\": %" PRIu64 ", ",
           b->result.runs, b->result.runs_bad, b->op.figures.packs,
           b->op.figures.chunks, wall, cpu, idle, memory("VmHWM"));
    index_close(b->index, b->loop, on_closed, b);
    wait_for(b);
    printf("\"file_bytes\": %" PRIu64 "}\n", file_bytes(path));
}

int main(int argc, char **argv)
{
    bool making = argc == 4 && strcmp(argv[1], "make") == 0;
    struct bench b = {0};
    uint64_t gib = 0;

    if (!making && !(argc == 4 && strcmp(argv[1], "fill") == 0))
        die("usage: bench_index make FOLDER GIB | fill FOLDER INDEX");
    if (making && !parse_u64(argv[3], 1, 1 << 20, &gib))
        die("%s: a number of GiB", argv[3]);
    set_up(&b, argv[2]);
    if (making)
        make(&b, gib);
    else
        fill(&b, argv[3]);
    tear_down(&b);
    return 0;
}
