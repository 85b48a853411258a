/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a vault in a folder and backs files up to it as disks, without a pool
 * and without a daemon, so that other readers can judge what a session writes.
 *
 *   vault_tool FOLDER KEY_FILE INDEX_FILE BACKUP...
 *
 * BACKUP is SERIES:LOG2_CHUNK:PAGE_ABOVE:CEILING_MIB:FILE[,FILE...]. Prints the
 * name of each point. KEY_FILE must not exist.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "loop/work.h"
#include "store/store_dir.h"
#include "vault/session.h"
#include "vault/vault_create.h"

#define DISKS_MAX 8
#define PIECE 65536

struct tool {
    struct loop *loop;
    struct lane *disk_lane, *index_lane, *slow_lane;
    struct seal_suite *suite;
    struct store *store;
    struct vault *vault;
    struct index *index;
    struct session_tools *tools;
    struct slab_room *chunks, *parts;
    struct budget *budget;
    const char *key_file;
    /* the backup under way */
    struct session *session;
    int fd[DISKS_MAX];
    uint64_t bytes[DISKS_MAX];
    unsigned disks, at_disk;
    unsigned log2_chunk;
    uint64_t at;
    struct err err;
};

static _Noreturn void die(const char *what, const struct err *err)
{
    fprintf(stderr, "vault_tool: %s: %s\n", what, err->text);
    exit(1);
}

static void need(enum err_code rc, const char *what, const struct err *err)
{
    if (rc != ERR_OK)
        die(what, err);
}

/* --- the vault ------------------------------------------------------- */

static void on_created(void *ctx, const struct err *err,
                       const struct vault_created *created)
{
    struct tool *t = ctx;
    struct vault_settings settings = vault_settings_default();
    struct err e = *err;

    need(err->code, "create", err);
    need(seal_keyfile_save(t->key_file, &created->recovery, &e), "key file",
         &e);
    need(vault_new(created->writer->keys, &settings, &t->vault, &e), "vault",
         &e);
    loop_stop(t->loop);
}

static void create(struct tool *t)
{
    struct vault_create_opts opts = {.store = t->store,
                                     .suite = t->suite,
                                     .slow = t->slow_lane,
                                     .clock = clock_system(),
                                     .log2_n = 15,
                                     .done = on_created,
                                     .ctx = t};
    struct vault_create *c;
    struct err err = {0};

    need(vault_create_start(&opts, &c, &err), "create", &err);
    loop_run(t->loop);
}

static void on_index(void *ctx, const struct err *err, struct index *index)
{
    struct tool *t = ctx;

    need(err->code, "index", err);
    t->index = index;
    loop_stop(t->loop);
}

static void set_up(struct tool *t, char **argv)
{
    struct index_open_opts index = {
        .path = argv[3], .done = on_index, .ctx = t};
    struct err err = {0};

    t->key_file = argv[2];
    need(loop_new("tool", NULL, &t->loop, &err), "loop", &err);
    need(lane_new("disk", 2, 64, &t->disk_lane, &err), "lane", &err);
    need(lane_new("index", 1, 64, &t->index_lane, &err), "lane", &err);
    need(lane_new("slow", 1, 4, &t->slow_lane, &err), "lane", &err);
    need(seal_suite_new(&t->suite, &err), "suite", &err);
    need(store_dir_new(t->loop, argv[1], t->disk_lane, &t->store, &err),
         "store", &err);
    create(t);
    index.vault_id = *vault_id(t->vault);
    index.lane = t->index_lane;
    index.loop = t->loop;
    need(index_open_start(&index, &err), "index", &err);
    loop_run(t->loop);
    t->tools = session_tools_new(t->suite, 4);
    t->chunks = slab_room_new(SESSION_CHUNK_SLAB, 16);
    t->parts = slab_room_new(SESSION_PART_SLAB, 3);
    t->budget = budget_new(SESSION_CEILING_BYTES, 0);
    if (!t->tools || !t->chunks || !t->parts || !t->budget)
        abort();
}

/* --- a backup -------------------------------------------------------- */

static void feed(struct tool *t)
{
    static uint8_t piece[PIECE];

    while (t->at_disk < t->disks) {
        ssize_t n = pread(t->fd[t->at_disk], piece, PIECE, (off_t)t->at);

        if (n < 0)
            abort();
        if (n == 0) {
            t->at_disk++;
            t->at = 0;
        } else if (!session_write(t->session, t->at_disk, t->at, piece,
                                  (size_t)n)) {
            return;
        } else {
            t->at += (uint64_t)n;
        }
    }
    session_finish(t->session, "<value/>", 8);
}

static void on_ready(void *ctx)
{
    struct tool *t = ctx;
    struct err err = {0};

    for (unsigned i = 0; i < t->disks; i++) {
        struct session_disk d = {.position = i,
                                 .vdi = {{(uint8_t)i}},
                                 .name = "disk",
                                 .bytes = t->bytes[i],
                                 .log2_chunk = t->log2_chunk};
        unsigned number;

        need(session_add_disk(t->session, &d, &number, &err), "disk", &err);
    }
    feed(t);
}

static void on_drained(void *ctx)
{
    feed(ctx);
}

static void on_done(void *ctx, const struct err *err,
                    const struct session_result *result)
{
    struct tool *t = ctx;

    need(err->code, "backup", err);
    printf("%s\n", result->point.name);
    loop_stop(t->loop);
}

static uint64_t number(char **rest)
{
    char *text = strsep(rest, ":");
    uint64_t n = 0;

    if (!text || !parse_u64(text, 0, 1 << 20, &n)) {
        fprintf(stderr, "vault_tool: not a backup\n");
        exit(2);
    }
    return n;
}

static void back_up(struct tool *t, char *what)
{
    struct session_opts opts = {
        .loop = t->loop,
        .vault = t->vault,
        .store = t->store,
        .index = t->index,
        .tools = t->tools,
        .chunk_room = t->chunks,
        .part_room = t->parts,
        .budget = t->budget,
        .clock = clock_system(),
        .events = {.ready = on_ready, .drained = on_drained, .done = on_done},
        .ctx = t,
        .vm = {{7}},
        .name = "vm",
        .pool = "pool",
        .source_mode = "xva",
    };
    struct err err = {0};
    struct stat st;
    char *path;

    opts.series = strsep(&what, ":");
    t->log2_chunk = (unsigned)number(&what);
    opts.page_above = number(&what);
    opts.ceiling_bytes = number(&what) * MIB;
    for (t->disks = t->at_disk = 0; (path = strsep(&what, ",")); t->disks++) {
        t->fd[t->disks] = open(path, O_RDONLY | O_CLOEXEC);
        if (t->disks == DISKS_MAX || fstat(t->fd[t->disks], &st) < 0) {
            fprintf(stderr, "vault_tool: %s: %s\n", path, strerror(errno));
            exit(1);
        }
        t->bytes[t->disks] = (uint64_t)st.st_size;
    }
    t->at = 0;
    if (!budget_try(t->budget, 0, SESSION_FLOOR_BYTES, 0))
        abort();
    need(session_start(&opts, &t->session, &err), "session", &err);
    loop_run(t->loop);
    budget_give(t->budget, 0, SESSION_FLOOR_BYTES);
    for (unsigned i = 0; i < t->disks; i++)
        close(t->fd[i]);
}

static void on_closed(void *ctx)
{
    loop_stop(((struct tool *)ctx)->loop);
}

int main(int argc, char **argv)
{
    struct tool t = {0};

    if (argc < 5) {
        fprintf(stderr, "vault_tool FOLDER KEY_FILE INDEX_FILE BACKUP...\n");
        return 2;
    }
    work_setup();
    set_up(&t, argv);
    for (int i = 4; i < argc; i++)
        back_up(&t, argv[i]);
    index_close(t.index, t.loop, on_closed, &t);
    loop_run(t.loop);
    budget_free(t.budget);
    slab_room_free(t.chunks);
    slab_room_free(t.parts);
    session_tools_free(t.tools);
    vault_unref(t.vault);
    store_free(t.store);
    seal_suite_free(t.suite);
    lane_free(t.disk_lane, 5000);
    lane_free(t.index_lane, 5000);
    lane_free(t.slow_lane, 5000);
    loop_free(t.loop);
    return 0;
}
