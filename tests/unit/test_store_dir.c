/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store_dir.h"
#include "store/store_dir_fs.h"
#include "store/store_dir_walk.h"
#include "store_try.h"

struct world {
    char root[64];
    struct loop *loop;
    struct lane *lane;
    struct store *store;
    struct store_try t;
};

static int make_world(void **state, size_t queue_max, unsigned threads)
{
    struct world *w = calloc(1, sizeof(*w));
    struct err err;

    snprintf(w->root, sizeof(w->root), "/tmp/cairn-dir-XXXXXX");
    if (!mkdtemp(w->root) || loop_new("test", NULL, &w->loop, &err) ||
        lane_new("disk", threads, queue_max, &w->lane, &err) ||
        store_dir_new(w->loop, w->root, w->lane, &w->store, &err))
        return -1;
    store_try_init(&w->t, w->store);
    *state = w;
    return 0;
}

static int setup(void **state)
{
    return make_world(state, 64, 2);
}

static int setup_narrow(void **state)
{
    return make_world(state, 1, 1);
}

static int remove_one(const char *path, const struct stat *st, int flag,
                      struct FTW *ftw)
{
    return remove(path);
}

static int teardown(void **state)
{
    struct world *w = *state;

    store_try_fini(&w->t);
    store_free(w->store);
    if (!lane_free(w->lane, 10000))
        return -1;
    loop_free(w->loop);
    nftw(w->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(w);
    return 0;
}

/* Bytes that tell their place. */
static uint8_t *pattern(size_t len, uint32_t seed)
{
    uint8_t *p = malloc(len + 1);

    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)((i * 2654435761u + seed) >> 11);
    return p;
}

static size_t file_bytes(const struct world *w, const char *name)
{
    char path[300];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", w->root, name);
    return stat(path, &st) == 0 ? (size_t)st.st_size : SIZE_MAX;
}

static const char *text(struct store_try *t)
{
    return buf_text(&t->bytes);
}

static void what_is_put_is_listed_and_read_back(void **state)
{
    struct world *w = *state;
    uint8_t *data = pattern(1000000, 1);

    assert_int_equal(store_try_put(&w->t, "packs/ab/x", data, 1000000), ERR_OK);
    assert_int_equal(w->t.info.bytes, 1000000);
    assert_true(w->t.info.modified_ms > 1600000000000u);
    assert_int_equal(file_bytes(w, "packs/ab/x"), 1000000);
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_OK);
    assert_string_equal(text(&w->t), "packs/ab/x 1000000\n");
    assert_int_equal(
        store_try_get(&w->t, "packs/ab/x", (struct store_range){0}), ERR_OK);
    assert_int_equal(w->t.bytes.len, 1000000);
    assert_memory_equal(w->t.bytes.data, data, 1000000);
    assert_int_equal(store_try_list_uploads(&w->t, ""), ERR_OK);
    assert_string_equal(text(&w->t), "");
    assert_int_equal(store_try_head(&w->t, "packs/ab/x"), ERR_OK);
    assert_int_equal(w->t.info.bytes, 1000000);
    assert_int_equal(w->store->sent_bytes, 1000000);
    assert_int_equal(w->store->received_bytes, 1000000);
    assert_int_equal(w->store->requests, 5);
    assert_int_equal(w->store->list_requests, 2);
    free(data);
}

static void an_empty_object_is_an_object(void **state)
{
    struct world *w = *state;

    assert_int_equal(store_try_put(&w->t, "format", "", 0), ERR_OK);
    assert_int_equal(store_try_get(&w->t, "format", (struct store_range){0}),
                     ERR_OK);
    assert_int_equal(w->t.bytes.len, 0);
    assert_int_equal(
        store_try_get(&w->t, "format", (struct store_range){.from_end = 9}),
        ERR_OK);
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_OK);
    assert_string_equal(text(&w->t), "format 0\n");
}

static void nothing_is_ever_replaced(void **state)
{
    struct world *w = *state;

    assert_int_equal(store_try_put(&w->t, "a/b", "first", 5), ERR_OK);
    assert_int_equal(store_try_put(&w->t, "a/b", "second!", 7), ERR_CONFLICT);
    assert_non_null(strstr(w->t.err.text, w->root));
    assert_non_null(strstr(w->t.err.text, "a/b"));
    assert_int_equal(store_try_get(&w->t, "a/b", (struct store_range){0}),
                     ERR_OK);
    assert_memory_equal(w->t.bytes.data, "first", 5);
    /* what lost leaves nothing behind */
    assert_int_equal(store_try_list_uploads(&w->t, ""), ERR_OK);
    assert_string_equal(text(&w->t), "");
}

static void names_that_leave_the_folder_are_refused(void **state)
{
    static const char *const names[] = {
        "",       "/etc/passwd", "../x",
        "a/../b", "a//b",        "a/",
        ".x",     "a/.x",        "tmp/x",
        "tmp",    "a b",         "a\nb",
        "a\\b",   "a+b",         "\xc3\xa4",
        "a/./b",  "a:b",         "1/2/3/4/5/6/7/8/9",
    };
    struct world *w = *state;
    char longer[STORE_NAME_MAX + 1];

    for (size_t i = 0; i < BYTES_COUNT(names); i++) {
        if (store_try_put(&w->t, names[i], "x", 1) != ERR_ARGUMENT ||
            store_try_get(&w->t, names[i], (struct store_range){0}) !=
                ERR_ARGUMENT ||
            store_try_head(&w->t, names[i]) != ERR_ARGUMENT ||
            store_try_remove(&w->t, names[i]) != ERR_ARGUMENT ||
            store_try_create(&w->t, names[i]) != ERR_ARGUMENT)
            fail_msg("\"%s\" was taken", names[i]);
    }
    memset(longer, 'x', sizeof(longer));
    longer[STORE_NAME_MAX] = 0;
    assert_int_equal(store_try_put(&w->t, longer, "x", 1), ERR_ARGUMENT);
    longer[STORE_NAME_MAX - 1] = 0;
    assert_int_equal(store_try_put(&w->t, longer, "x", 1), ERR_OK);
    assert_int_equal(store_try_head(&w->t, longer), ERR_OK);
}

static void
locks_and_classes_are_refused_before_anything_is_written(void **state)
{
    struct world *w = *state;
    struct store_put_opts put = {
        .name = "x", .done = store_try_on_done, .ctx = &w->t};
    struct store_retain_opts retain = {
        .name = "x", .done = store_try_on_done, .ctx = &w->t};
    struct err err;

    put.write.lock = STORE_LOCK_COMPLIANCE;
    assert_int_equal(store_put(w->store, &put, NULL, &err), ERR_ARGUMENT);
    put.write.lock = STORE_LOCK_NONE;
    put.write.storage_class = "GLACIER";
    assert_int_equal(store_put(w->store, &put, NULL, &err), ERR_ARGUMENT);
    assert_int_equal(store_retain(w->store, &retain, NULL, &err), ERR_ARGUMENT);
    assert_false(w->store->traits.lock_on_put);
    assert_int_equal(w->t.done, 0);
}

static void ranges_give_what_they_name(void **state)
{
    static const struct {
        const char *why;
        struct store_range range;
        enum err_code code;
        size_t from, len;
    } rows[] = {
        {"all of it", {0, 0, 0}, ERR_OK, 0, 700001},
        {"from an offset to the end", {1, 0, 0}, ERR_OK, 1, 700000},
        {"a piece", {300000, 5, 0}, ERR_OK, 300000, 5},
        {"over a buffer's end", {262143, 2, 0}, ERR_OK, 262143, 2},
        {"three buffers", {0, 700000, 0}, ERR_OK, 0, 700000},
        {"past the end is cut", {700000, 9, 0}, ERR_OK, 700000, 1},
        {"from the end", {0, 0, 64}, ERR_OK, 699937, 64},
        {"more than there is, from the end",
         {0, 0, 1u << 30},
         ERR_OK,
         0,
         700001},
        {"nothing at the end", {700001, 1, 0}, ERR_PROTOCOL, 0, 0},
        {"two ranges", {1, 1, 1}, ERR_ARGUMENT, 0, 0},
    };
    struct world *w = *state;
    uint8_t *data = pattern(700001, 2);

    assert_int_equal(store_try_put(&w->t, "o", data, 700001), ERR_OK);
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        enum err_code rc = store_try_get(&w->t, "o", rows[i].range);

        if (rc != rows[i].code || w->t.bytes.len != rows[i].len ||
            memcmp(w->t.bytes.data, data + rows[i].from, rows[i].len) != 0)
            fail_msg("%s: %s, %zu bytes", rows[i].why, w->t.err.text,
                     w->t.bytes.len);
    }
    free(data);
}

static void a_refused_piece_comes_again_and_no_byte_twice(void **state)
{
    struct world *w = *state;
    uint8_t *data = pattern(3 << 20, 3);

    assert_int_equal(store_try_put(&w->t, "o", data, 3 << 20), ERR_OK);
    w->t.pause_every = 2;
    assert_int_equal(store_try_get(&w->t, "o", (struct store_range){0}),
                     ERR_OK);
    assert_int_equal(w->t.bytes.len, 3 << 20);
    assert_memory_equal(w->t.bytes.data, data, 3 << 20);
    assert_int_equal(w->t.pieces, 12);
    assert_true(w->t.calls > w->t.pieces);
    free(data);
}

static void a_get_can_be_cancelled_from_inside(void **state)
{
    struct world *w = *state;
    uint8_t *data = pattern(3 << 20, 3);

    assert_int_equal(store_try_put(&w->t, "o", data, 3 << 20), ERR_OK);
    w->t.cancel_at = 2;
    assert_int_equal(store_try_get(&w->t, "o", (struct store_range){0}),
                     ERR_CANCELLED);
    assert_int_equal(w->t.pieces, 2);
    store_try_turn(w->loop, 5);
    assert_int_equal(w->t.done, 1);
    free(data);
}

static void a_paused_get_can_be_cancelled(void **state)
{
    struct world *w = *state;
    uint8_t *data = pattern(1 << 20, 3);
    struct store_get_opts get = {.name = "o",
                                 .on_data = store_try_on_data,
                                 .done = store_try_on_done,
                                 .ctx = &w->t};
    struct err err;

    assert_int_equal(store_try_put(&w->t, "o", data, 1 << 20), ERR_OK);
    w->t.done = 0;
    w->t.pause_every = 1;
    assert_int_equal(store_get(w->store, &get, &w->t.op, &err), ERR_OK);
    while (!w->t.calls)
        store_try_turn(w->loop, 0);
    store_op_cancel(w->t.op);
    assert_int_equal(w->t.done, 0);
    w->t.calls = 0;
    store_try_wait(&w->t, 1);
    assert_int_equal(w->t.err.code, ERR_CANCELLED);
    assert_int_equal(w->t.bytes.len, 0);
    free(data);
}

static void what_is_missing_is_not_found(void **state)
{
    struct world *w = *state;

    assert_int_equal(store_try_get(&w->t, "a/b", (struct store_range){0}),
                     ERR_NOT_FOUND);
    assert_int_equal(w->t.err.detail, ENOENT);
    assert_int_equal(store_try_head(&w->t, "a"), ERR_NOT_FOUND);
    assert_int_equal(store_try_remove(&w->t, "a/b"), ERR_OK);
    assert_int_equal(store_try_put(&w->t, "a/b", "x", 1), ERR_OK);
    assert_int_equal(store_try_head(&w->t, "a"), ERR_NOT_FOUND);
    assert_int_equal(store_try_head(&w->t, "a/b/c"), ERR_NOT_FOUND);
    assert_int_equal(store_try_remove(&w->t, "a/b"), ERR_OK);
    assert_int_equal(store_try_head(&w->t, "a/b"), ERR_NOT_FOUND);
}

static void links_are_not_followed(void **state)
{
    struct world *w = *state;
    char path[200], out[80];

    snprintf(out, sizeof(out), "%s.outside", w->root);
    assert_int_equal(mkdir(out, 0700), 0);
    snprintf(path, sizeof(path), "%s/secret", out);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    snprintf(path, sizeof(path), "%s/points", w->root);
    assert_int_equal(symlink(out, path), 0);
    snprintf(path, sizeof(path), "%s/format", w->root);
    assert_int_equal(symlink("/etc/passwd", path), 0);

    assert_int_equal(
        store_try_get(&w->t, "points/secret", (struct store_range){0}),
        ERR_NOT_FOUND);
    assert_int_equal(store_try_get(&w->t, "format", (struct store_range){0}),
                     ERR_NOT_FOUND);
    assert_int_equal(store_try_head(&w->t, "format"), ERR_NOT_FOUND);
    assert_int_equal(store_try_remove(&w->t, "points/secret"), ERR_OK);
    assert_int_not_equal(store_try_put(&w->t, "points/x", "x", 1), ERR_OK);
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_OK);
    assert_string_equal(text(&w->t), "");
    snprintf(path, sizeof(path), "%s/secret", out);
    assert_int_equal(access(path, F_OK), 0);
    snprintf(path, sizeof(path), "%s/x", out);
    assert_int_not_equal(access(path, F_OK), 0);
    nftw(out, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void a_listing_is_in_order_of_bytes(void **state)
{
    /* '-' and '.' sort before '/', digits and letters behind it */
    static const char sorted[] = "A 1\na-b 1\na.b 1\na/-c 1\na/b.c 1\n"
                                 "a/b/c 1\na/b/d 1\na/b0 1\na0 1\naa 1\nb 1\n";
    static const char *const names[] = {"aa", "a/b0", "a/b/d", "a-b",
                                        "b",  "a.b",  "A",     "a/b/c",
                                        "a0", "a/-c", "a/b.c"};
    static const struct {
        const char *why, *prefix, *after, *expect;
    } rows[] = {
        {"everything", "", NULL, sorted},
        {"a folder", "a/", NULL, "a/-c 1\na/b.c 1\na/b/c 1\na/b/d 1\na/b0 1\n"},
        {"half a name", "a/b", NULL, "a/b.c 1\na/b/c 1\na/b/d 1\na/b0 1\n"},
        {"no such", "x", NULL, ""},
        {"a whole name", "a/b/c", NULL, "a/b/c 1\n"},
        {"after a name", "", "a/b/c", "a/b/d 1\na/b0 1\na0 1\naa 1\nb 1\n"},
        {"after a name that is not there", "a", "a/b/cc",
         "a/b/d 1\na/b0 1\na0 1\naa 1\n"},
        {"after all", "", "zz", ""},
    };
    struct world *w = *state;

    for (size_t i = 0; i < BYTES_COUNT(names); i++)
        assert_int_equal(store_try_put(&w->t, names[i], "x", 1), ERR_OK);
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        if (store_try_list(&w->t, rows[i].prefix, rows[i].after) != ERR_OK ||
            strcmp(text(&w->t), rows[i].expect) != 0)
            fail_msg("%s: %s: \n%s", rows[i].why, w->t.err.text, text(&w->t));
    }
    w->t.cancel_at = 3;
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_CANCELLED);
    assert_int_equal(w->t.calls, 3);
}

static void a_listing_keeps_few_names_and_misses_none(void **state)
{
    struct world *w = *state;
    struct store_dir_walk_opts opts = {
        .under = "", .prefix = "", .keep_max = 3};
    struct store_dir_walk *walk;
    char path[200], before[STORE_NAME_MAX] = "";
    const char *name;
    unsigned count = 0;
    struct stat st;
    struct err err;
    bool more;

    for (unsigned d = 0; d < 11; d++) {
        snprintf(path, sizeof(path), "%s/%u", w->root, d * 7919 % 1000);
        assert_int_equal(mkdir(path, 0700), 0);
        for (unsigned i = 0; i < 29; i++) {
            snprintf(path, sizeof(path), "%s/%u/%u", w->root, d * 7919 % 1000,
                     i * 104729 % 100000);
            close(open(path, O_CREAT | O_WRONLY, 0600));
        }
    }
    opts.root = open(w->root, O_RDONLY | O_DIRECTORY);
    assert_int_equal(store_dir_walk_new(&opts, &walk, &err), ERR_OK);
    for (;;) {
        assert_int_equal(store_dir_walk_next(walk, &name, &st, &more, &err),
                         ERR_OK);
        if (!more)
            break;
        assert_true(strcmp(before, name) < 0);
        snprintf(before, sizeof(before), "%s", name);
        count++;
    }
    assert_int_equal(count, 11 * 29);
    store_dir_walk_free(walk);
    close(opts.root);
    /* and through the store, over the end of a batch */
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_OK);
    assert_int_equal(w->t.calls, 11 * 29);
}

static void foreign_files_are_left_alone(void **state)
{
    static const char *const names[] = {".hidden", "lost found", "x+y"};
    struct world *w = *state;
    char path[200];

    for (size_t i = 0; i < BYTES_COUNT(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", w->root, names[i]);
        close(open(path, O_CREAT | O_WRONLY, 0600));
    }
    snprintf(path, sizeof(path), "%s/fifo", w->root);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_OK);
    assert_string_equal(text(&w->t), "");
    assert_int_equal(store_try_get(&w->t, "fifo", (struct store_range){0}),
                     ERR_NOT_FOUND);
}

static void an_upload_is_an_object_only_when_complete(void **state)
{
    struct world *w = *state;
    size_t part = STORE_PART_BYTES;
    uint8_t *data = pattern(2 * part + 1000, 4);
    struct store_upload *up;

    assert_int_equal(store_try_create(&w->t, "packs/00/p"), ERR_OK);
    up = w->t.upload;
    assert_non_null(up);
    assert_int_equal(store_try_part(&w->t, up, 3, data + 2 * part, 1000),
                     ERR_OK);
    assert_int_equal(store_try_part(&w->t, up, 1, data, part), ERR_OK);
    assert_int_equal(store_try_complete(&w->t, up), ERR_ARGUMENT);
    assert_int_equal(store_try_part(&w->t, up, 2, data + part, part), ERR_OK);
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_OK);
    assert_string_equal(text(&w->t), "");
    assert_int_equal(store_try_list_uploads(&w->t, "packs/"), ERR_OK);
    assert_string_equal(text(&w->t), "packs/00/p 0\n");
    assert_string_equal(w->t.upload_id, store_upload_id(up));
    assert_int_equal(store_try_complete(&w->t, up), ERR_OK);
    assert_int_equal(w->t.info.bytes, 2 * part + 1000);
    assert_int_equal(
        store_try_get(&w->t, "packs/00/p", (struct store_range){0}), ERR_OK);
    assert_int_equal(w->t.bytes.len, 2 * part + 1000);
    assert_memory_equal(w->t.bytes.data, data, 2 * part + 1000);
    assert_int_equal(store_try_list_uploads(&w->t, ""), ERR_OK);
    assert_string_equal(text(&w->t), "");
    free(data);
}

/* Aligned ones go past the page cache, others through it, over each other. */
static void aligned_parts_and_others_make_one_object(void **state)
{
    struct world *w = *state;
    size_t part = STORE_PART_BYTES, last = 2 * MIB + 4096;
    uint8_t *data = aligned_alloc(4096, part + last);
    uint8_t *old = pattern(part, 6), *new = pattern(part + last, 7);
    struct store_upload *up;

    memcpy(data, new, part + last);
    assert_int_equal(store_try_create(&w->t, "p"), ERR_OK);
    up = w->t.upload;
    assert_int_equal(store_try_part(&w->t, up, 1, old, part), ERR_OK);
    assert_int_equal(store_try_part(&w->t, up, 1, data, part), ERR_OK);
    assert_int_equal(store_try_part(&w->t, up, 2, data + part, last), ERR_OK);
    /* the end of the last part again, now byte by byte off the grid */
    assert_int_equal(store_try_part(&w->t, up, 2, data + part, last - 1),
                     ERR_OK);
    assert_int_equal(store_try_complete(&w->t, up), ERR_OK);
    assert_int_equal(store_try_get(&w->t, "p", (struct store_range){0}),
                     ERR_OK);
    assert_int_equal(w->t.bytes.len, part + last - 1);
    assert_memory_equal(w->t.bytes.data, new, part + last - 1);
    free(data);
    free(old);
    free(new);
}

static void a_part_written_again_counts_as_last_written(void **state)
{
    struct world *w = *state;
    uint8_t *data = pattern(STORE_PART_BYTES, 5);
    struct store_upload *up;

    assert_int_equal(store_try_create(&w->t, "p"), ERR_OK);
    up = w->t.upload;
    assert_int_equal(store_try_part(&w->t, up, 1, data, STORE_PART_BYTES),
                     ERR_OK);
    assert_int_equal(store_try_part(&w->t, up, 1, data, 10), ERR_OK);
    assert_int_equal(store_try_complete(&w->t, up), ERR_OK);
    assert_int_equal(file_bytes(w, "p"), 10);

    /* a short one in the middle is refused until it is written in full */
    assert_int_equal(store_try_create(&w->t, "q"), ERR_OK);
    up = w->t.upload;
    assert_int_equal(store_try_part(&w->t, up, 1, data, 10), ERR_OK);
    assert_int_equal(store_try_part(&w->t, up, 2, data, 20), ERR_OK);
    assert_int_equal(store_try_complete(&w->t, up), ERR_ARGUMENT);
    assert_int_equal(store_try_part(&w->t, up, 1, data, STORE_PART_BYTES),
                     ERR_OK);
    assert_int_equal(store_try_complete(&w->t, up), ERR_OK);
    assert_int_equal(file_bytes(w, "q"), STORE_PART_BYTES + 20);
    free(data);
}

static void an_aborted_upload_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct store_upload *up;

    assert_int_equal(store_try_create(&w->t, "p"), ERR_OK);
    up = w->t.upload;
    assert_int_equal(store_try_part(&w->t, up, 1, "x", 1), ERR_OK);
    assert_int_equal(store_try_abort(&w->t, up), ERR_OK);
    assert_int_equal(store_try_list_uploads(&w->t, ""), ERR_OK);
    assert_string_equal(text(&w->t), "");
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_OK);
    assert_string_equal(text(&w->t), "");
}

static void an_abort_waits_for_parts_under_way(void **state)
{
    struct world *w = *state;
    uint8_t *data = pattern(STORE_PART_BYTES, 6);
    struct slice body = {data, STORE_PART_BYTES};
    struct store_try parts, end;
    struct store_part_opts part = {
        .body = &body, .slices = 1, .done = store_try_on_done, .ctx = &parts};
    struct err err;

    store_try_init(&parts, w->store);
    store_try_init(&end, w->store);
    assert_int_equal(store_try_create(&w->t, "p"), ERR_OK);
    for (part.number = 1; part.number <= 3; part.number++)
        assert_int_equal(store_upload_part(w->t.upload, &part, NULL, &err),
                         ERR_OK);
    assert_int_equal(
        store_upload_abort(w->t.upload, store_try_on_done, &end, NULL, &err),
        ERR_OK);
    part.number = 4;
    assert_int_equal(store_upload_part(w->t.upload, &part, NULL, &err),
                     ERR_ARGUMENT);
    store_try_wait(&end, 1);
    assert_int_equal(end.err.code, ERR_OK);
    assert_int_equal(parts.done, 3);
    assert_int_equal(store_try_list_uploads(&w->t, ""), ERR_OK);
    assert_string_equal(text(&w->t), "");
    store_try_fini(&parts);
    store_try_fini(&end);
    free(data);
}

static void
completing_onto_a_name_that_exists_fails_and_can_be_aborted(void **state)
{
    struct world *w = *state;
    struct store_upload *up;

    assert_int_equal(store_try_put(&w->t, "p", "old", 3), ERR_OK);
    assert_int_equal(store_try_create(&w->t, "p"), ERR_OK);
    up = w->t.upload;
    assert_int_equal(store_try_part(&w->t, up, 1, "new", 3), ERR_OK);
    assert_int_equal(store_try_complete(&w->t, up), ERR_CONFLICT);
    assert_int_equal(store_try_complete(&w->t, up), ERR_CONFLICT);
    assert_int_equal(store_try_abort(&w->t, up), ERR_OK);
    assert_int_equal(store_try_get(&w->t, "p", (struct store_range){0}),
                     ERR_OK);
    assert_memory_equal(w->t.bytes.data, "old", 3);
}

/* By another store on the folder, before it writes for the first time. */
static void what_dead_writers_left_goes_and_what_is_written_stays(void **state)
{
    static const char *const left[] = {
        "u-20260102T030405Z-0123456789abcdef+packs+07+q",
        "p-20260102T030405Z-0123456789abcdef+keys+o", "something-else"};
    struct world *w = *state;
    struct store *other;
    struct store_upload *up;
    struct store_try t;
    struct err err;
    char path[300];

    assert_int_equal(store_try_create(&w->t, "packs/07/r"), ERR_OK);
    up = w->t.upload;
    assert_int_equal(store_try_part(&w->t, up, 1, "abc", 3), ERR_OK);
    for (size_t i = 0; i < BYTES_COUNT(left); i++) {
        snprintf(path, sizeof(path), "%s/tmp/%s", w->root, left[i]);
        close(open(path, O_CREAT | O_WRONLY, 0600));
    }
    snprintf(path, sizeof(path), "%s/tmp/%s", w->root, left[1]);
    assert_int_equal(store_dir_new(w->loop, w->root, w->lane, &other, &err),
                     ERR_OK);
    store_try_init(&t, other);
    assert_int_equal(store_try_list(&t, "", NULL), ERR_OK);
    assert_int_equal(access(path, F_OK), 0); /* who only reads takes nothing */
    assert_int_equal(store_try_put(&t, "format", "{}", 2), ERR_OK);
    for (size_t i = 0; i < BYTES_COUNT(left); i++) {
        snprintf(path, sizeof(path), "%s/tmp/%s", w->root, left[i]);
        assert_int_equal(access(path, F_OK) == 0, i == 2);
    }
    store_try_fini(&t);
    store_free(other);
    assert_int_equal(store_try_complete(&w->t, up), ERR_OK);
    assert_int_equal(store_try_head(&w->t, "packs/07/r"), ERR_OK);
    assert_int_equal(w->t.info.bytes, 3);
}

static void what_a_dead_process_left_is_found_and_aborted(void **state)
{
    struct world *w = *state;
    char path[300];
    struct err err;

    assert_int_equal(store_try_put(&w->t, "format", "{}", 2), ERR_OK);
    snprintf(path, sizeof(path),
             "%s/tmp/u-20260102T030405Z-0123456789abcdef+packs+07+q", w->root);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    snprintf(path, sizeof(path), "%s/tmp/something-else", w->root);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(store_try_list_uploads(&w->t, "maps/"), ERR_OK);
    assert_string_equal(text(&w->t), "");
    assert_int_equal(store_try_list_uploads(&w->t, "packs/"), ERR_OK);
    assert_string_equal(text(&w->t), "packs/07/q 0\n");
    assert_string_equal(w->t.upload_id, "u-20260102T030405Z-0123456789abcdef");

    w->t.done = 0;
    assert_int_equal(store_upload_abort_by_id(w->store, "packs/07/q", "../../x",
                                              store_try_on_done, &w->t, NULL,
                                              &err),
                     ERR_ARGUMENT);
    for (int twice = 0; twice < 2; twice++) { /* that it is gone is no error */
        w->t.done = 0;
        assert_int_equal(
            store_upload_abort_by_id(w->store, "packs/07/q", w->t.upload_id,
                                     store_try_on_done, &w->t, NULL, &err),
            ERR_OK);
        store_try_wait(&w->t, 1);
        assert_int_equal(w->t.err.code, ERR_OK);
    }
    assert_int_equal(store_try_list_uploads(&w->t, ""), ERR_OK);
    assert_string_equal(text(&w->t), "");
}

static void a_known_folder_costs_two_syncs(void **state)
{
    struct world *w = *state;
    uint64_t before;

    assert_int_equal(store_try_put(&w->t, "packs/ab/1", "x", 1), ERR_OK);
    /* the file, the root (for packs), packs (for ab), ab */
    assert_int_equal(store_dir_stats(w->store).syncs, 4);
    before = store_dir_stats(w->store).syncs;
    assert_int_equal(store_try_put(&w->t, "packs/ab/2", "x", 1), ERR_OK);
    assert_int_equal(store_dir_stats(w->store).syncs - before, 2);
}

static void a_folder_that_was_removed_is_made_again(void **state)
{
    struct world *w = *state;
    char path[200];

    assert_int_equal(store_try_put(&w->t, "a/b/1", "x", 1), ERR_OK);
    assert_int_equal(store_try_remove(&w->t, "a/b/1"), ERR_OK);
    snprintf(path, sizeof(path), "%s/a/b", w->root);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(store_try_put(&w->t, "a/b/2", "x", 1), ERR_OK);
    assert_int_equal(store_try_head(&w->t, "a/b/2"), ERR_OK);
}

/* ---- the queue before the lane ---- */

static void more_than_the_lane_holds_waits_its_turn(void **state)
{
    struct world *w = *state;
    struct slice body = {(const uint8_t *)"x", 1};
    struct store_put_opts put = {
        .body = &body, .slices = 1, .done = store_try_on_done, .ctx = &w->t};
    char name[16];
    struct err err;

    put.name = name;
    for (unsigned i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "n%02u", i);
        assert_int_equal(store_put(w->store, &put, NULL, &err), ERR_OK);
    }
    store_try_wait(&w->t, 50);
    assert_int_equal(w->t.err.code, ERR_OK);
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_OK);
    assert_int_equal(w->t.calls, 50);
}

/* An item that keeps the lane's thread until it is let go. */
struct plug {
    struct lane_item item;
    sem_t go;
    bool done;
};

static void plug_run(struct lane_item *item)
{
    sem_wait(&((struct plug *)item)->go);
}

static void plug_done(struct lane_item *item)
{
    ((struct plug *)item)->done = true;
}

static void plug_start(struct world *w, struct plug *p)
{
    memset(p, 0, sizeof(*p));
    sem_init(&p->go, 0, 0);
    p->item.run = plug_run;
    p->item.done = plug_done;
    p->item.loop = w->loop;
    assert_true(lane_start(w->lane, &p->item));
}

static void a_lane_full_of_others_items_is_tried_again(void **state)
{
    struct world *w = *state;
    struct slice body = {(const uint8_t *)"x", 1};
    struct store_put_opts put = {.name = "x",
                                 .body = &body,
                                 .slices = 1,
                                 .done = store_try_on_done,
                                 .ctx = &w->t};
    struct plug plug;
    struct err err;

    plug_start(w, &plug);
    assert_int_equal(store_put(w->store, &put, NULL, &err), ERR_OK);
    store_try_turn(w->loop, 20);
    assert_int_equal(w->t.done, 0);
    sem_post(&plug.go);
    store_try_wait(&w->t, 1);
    assert_int_equal(w->t.err.code, ERR_OK);
    assert_true(plug.done);
    sem_destroy(&plug.go);
}

static void who_waits_can_be_cancelled_while_the_disk_hangs(void **state)
{
    struct world *w = *state;
    struct store_try t[5];
    struct store_put_opts put = {.name = "x", .done = store_try_on_done};
    struct store_get_opts get = {
        .name = "x", .on_data = store_try_on_data, .done = store_try_on_done};
    struct store_list_opts list = {.prefix = "",
                                   .on_entry = store_try_on_entry,
                                   .done = store_try_on_done};
    struct store_name_opts head = {.name = "x", .done = store_try_on_done};
    struct store_upload_opts create = {.name = "x",
                                       .created = store_try_on_created};
    struct plug plug;
    struct err err;

    plug_start(w, &plug);
    for (size_t i = 0; i < 5; i++)
        store_try_init(&t[i], w->store);
    put.ctx = &t[0];
    get.ctx = &t[1];
    list.ctx = &t[2];
    head.ctx = &t[3];
    create.ctx = &t[4];
    assert_int_equal(store_put(w->store, &put, &t[0].op, &err), ERR_OK);
    assert_int_equal(store_get(w->store, &get, &t[1].op, &err), ERR_OK);
    assert_int_equal(store_list(w->store, &list, &t[2].op, &err), ERR_OK);
    assert_int_equal(store_head(w->store, &head, &t[3].op, &err), ERR_OK);
    assert_int_equal(store_upload_create(w->store, &create, &t[4].op, &err),
                     ERR_OK);
    for (size_t i = 0; i < 5; i++) {
        store_op_cancel(t[i].op);
        assert_int_equal(t[i].done, 0);
        if (i != 2) { /* a listing ends on the lane */
            store_try_wait(&t[i], 1);
            assert_int_equal(t[i].err.code, ERR_CANCELLED);
        }
    }
    assert_null(t[4].upload);
    sem_post(&plug.go);
    store_try_wait(&t[2], 1);
    assert_int_equal(t[2].err.code, ERR_CANCELLED);
    store_try_turn(w->loop, 10);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(t[i].done, 1);
        store_try_fini(&t[i]);
    }
    sem_destroy(&plug.go);
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_OK);
    assert_string_equal(text(&w->t), "");
}

static void the_waiting_list_has_a_bound(void **state)
{
    struct world *w = *state;
    struct store_name_opts head = {
        .name = "x", .done = store_try_on_done, .ctx = &w->t};
    struct plug plug;
    struct err err;
    unsigned n = 0;

    plug_start(w, &plug);
    while (n < 10000 && store_head(w->store, &head, NULL, &err) == ERR_OK)
        n++;
    assert_int_equal(err.code, ERR_AGAIN);
    assert_int_equal(n, 4096);
    sem_post(&plug.go);
    store_try_wait(&w->t, n);
    assert_int_equal(w->t.err.code, ERR_NOT_FOUND);
    sem_destroy(&plug.go);
}

/* ---- failures of the file system ---- */

static void a_file_that_shrinks_while_it_is_read_is_damage(void **state)
{
    struct world *w = *state;
    uint8_t *data = pattern(4 << 20, 7);
    struct store_get_opts get = {.name = "o",
                                 .on_data = store_try_on_data,
                                 .done = store_try_on_done,
                                 .ctx = &w->t};
    char path[200];
    struct err err;

    assert_int_equal(store_try_put(&w->t, "o", data, 4 << 20), ERR_OK);
    w->t.done = 0;
    w->t.pause_every = 1;
    assert_int_equal(store_get(w->store, &get, &w->t.op, &err), ERR_OK);
    while (!w->t.calls)
        store_try_turn(w->loop, 0);
    snprintf(path, sizeof(path), "%s/o", w->root);
    assert_int_equal(truncate(path, 1000), 0);
    w->t.pause_every = 0;
    store_try_wait(&w->t, 1);
    assert_int_equal(w->t.err.code, ERR_INTEGRITY);
    free(data);
}

static void errno_becomes_a_code_to_decide_by(void **state)
{
    static const struct {
        int error;
        enum err_code code;
    } rows[] = {
        {ENOSPC, ERR_QUOTA},     {EDQUOT, ERR_QUOTA},    {EACCES, ERR_DENIED},
        {EROFS, ERR_DENIED},     {EPERM, ERR_DENIED},    {EIO, ERR_IO},
        {ENOENT, ERR_NOT_FOUND}, {EEXIST, ERR_CONFLICT}, {EBADF, ERR_IO},
        {ESTALE, ERR_UNREACHABLE},   {ENOTCONN, ERR_UNREACHABLE},
        {EHOSTDOWN, ERR_UNREACHABLE}, {ETIMEDOUT, ERR_UNREACHABLE},
    };
    struct err err;

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        assert_int_equal(
            store_dir_fs_error(&err, rows[i].error, "packs/x", "write"),
            rows[i].code);
        assert_int_equal(err.detail, rows[i].error);
        assert_non_null(strstr(err.text, "packs/x: write: "));
    }
}

static void expect_gone(const struct store_try *t, enum err_code rc)
{
    assert_int_equal(rc, ERR_REMOTE);
    assert_int_equal(t->err.detail, STORE_DIR_GONE);
    assert_non_null(strstr(t->err.text, "not mounted"));
}

/* Else an object seems to be missing, and a listing seems to be empty. */
static void a_folder_that_is_gone_is_told_from_a_missing_object(void **state)
{
    struct world *w = *state;
    struct store_upload *up;
    char away[80];

    assert_int_equal(store_try_put(&w->t, "keys/o", "x", 1), ERR_OK);
    assert_int_equal(store_try_create(&w->t, "packs/00/p"), ERR_OK);
    up = w->t.upload;
    assert_int_equal(store_try_part(&w->t, up, 1, "y", 1), ERR_OK);
    snprintf(away, sizeof(away), "%s-away", w->root);
    assert_int_equal(rename(w->root, away), 0);
    for (int empty = 0; empty < 2; empty++) {
        if (empty)
            assert_int_equal(mkdir(w->root, 0700), 0);
        expect_gone(&w->t, store_try_list(&w->t, "", NULL));
        expect_gone(&w->t, store_try_list_uploads(&w->t, ""));
        expect_gone(&w->t, store_try_head(&w->t, "keys/o"));
        expect_gone(&w->t, store_try_get(&w->t, "keys/none",
                                         (struct store_range){0}));
        expect_gone(&w->t, store_try_put(&w->t, "keys/p", "x", 1));
        expect_gone(&w->t, store_try_complete(&w->t, up));
    }
    assert_int_equal(rmdir(w->root), 0);
    assert_int_equal(rename(away, w->root), 0);
    assert_int_equal(store_try_complete(&w->t, up), ERR_OK);
    assert_int_equal(store_try_get(&w->t, "keys/none",
                                   (struct store_range){0}), ERR_NOT_FOUND);
    assert_int_equal(store_try_get(&w->t, "keys/o", (struct store_range){0}),
                     ERR_OK);
}

/* In a child, since it moves into name spaces of its own. */
static int fill_a_small_disk(struct world *w)
{
    uint8_t *data = pattern(STORE_PART_BYTES, 8);
    struct store_upload *up;

    if (store_try_put(&w->t, "a/big", data, 4 << 20) != ERR_QUOTA)
        return 1;
    if (w->t.err.detail != ENOSPC || !strstr(w->t.err.text, "a/big"))
        return 2;
    if (store_try_create(&w->t, "b") != ERR_OK)
        return 3;
    up = w->t.upload;
    if (store_try_part(&w->t, up, 1, data, STORE_PART_BYTES) != ERR_QUOTA)
        return 4;
    if (store_try_abort(&w->t, up) != ERR_OK)
        return 5;
    if (store_try_put(&w->t, "c", data, 1000) != ERR_OK)
        return 6; /* nothing half written holds the room */
    if (store_try_list(&w->t, "", NULL) != ERR_OK ||
        strcmp(text(&w->t), "c 1000\n") != 0)
        return 7;
    free(data);
    return 0;
}

static void a_full_disk_is_told_and_leaves_nothing(void **state)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        char root[] = "/tmp/cairn-full-XXXXXX";
        struct world w;
        struct err err;

        if (!mkdtemp(root) ||
            (unshare(CLONE_NEWNS) != 0 &&
             unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ||
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("none", root, "tmpfs", 0, "size=1m") != 0)
            _exit(100);
        if (loop_new("test", NULL, &w.loop, &err) ||
            lane_new("disk", 2, 64, &w.lane, &err) ||
            store_dir_new(w.loop, root, w.lane, &w.store, &err))
            _exit(101);
        store_try_init(&w.t, w.store);
        status = fill_a_small_disk(&w);
        umount2(root, MNT_DETACH);
        rmdir(root);
        _exit(status);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 100)
        skip(); /* nothing may be mounted here: a container, a chroot */
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_root_that_is_no_folder_is_refused(void **state)
{
    struct world *w = *state;
    struct store *s;
    struct err err;

    assert_int_equal(store_dir_new(w->loop, "tmp", w->lane, &s, &err),
                     ERR_ARGUMENT);
    assert_int_equal(
        store_dir_new(w->loop, "/nowhere/at/all", w->lane, &s, &err),
        ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
    assert_int_equal(store_dir_new(w->loop, "/etc/passwd", w->lane, &s, &err),
                     ERR_IO);
}

/* ---- store_fetch() ---- */

struct fetched {
    struct store *store;
    struct err err;
    char text[64];
    size_t len;
    bool null;
    unsigned done;
};

static void on_fetched(void *ctx, const struct err *err, const uint8_t *data,
                       size_t len, const struct store_info *info)
{
    struct fetched *f = ctx;

    f->err = *err;
    f->null = !data;
    f->len = len;
    if (data && len < sizeof(f->text))
        memcpy(f->text, data, len);
    f->done++;
    loop_stop(f->store->loop);
}

static void fetching_gives_small_objects_whole(void **state)
{
    struct world *w = *state;
    struct store_range all = {0}, last = {.from_end = 3};
    struct fetched f = {.store = w->store};
    struct err err;

    assert_int_equal(store_try_put(&w->t, "o", "hello", 5), ERR_OK);
    assert_int_equal(
        store_fetch(w->store, "o", 5, all, on_fetched, &f, NULL, &err), ERR_OK);
    loop_run(w->loop);
    assert_int_equal(f.err.code, ERR_OK);
    assert_int_equal(f.len, 5);
    assert_memory_equal(f.text, "hello", 5);
    assert_int_equal(
        store_fetch(w->store, "o", 5, last, on_fetched, &f, NULL, &err),
        ERR_OK);
    loop_run(w->loop);
    assert_int_equal(f.len, 3);
    assert_memory_equal(f.text, "llo", 3);
    assert_int_equal(
        store_fetch(w->store, "o", 4, all, on_fetched, &f, NULL, &err), ERR_OK);
    loop_run(w->loop);
    assert_int_equal(f.err.code, ERR_PROTOCOL);
    assert_true(f.null);
    assert_int_equal(
        store_fetch(w->store, "p", 4, all, on_fetched, &f, NULL, &err), ERR_OK);
    loop_run(w->loop);
    assert_int_equal(f.err.code, ERR_NOT_FOUND);
    assert_true(f.null);
    assert_int_equal(f.done, 4);
}

#define IN(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define NARROW(f) cmocka_unit_test_setup_teardown(f, setup_narrow, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN(what_is_put_is_listed_and_read_back),
        IN(an_empty_object_is_an_object),
        IN(nothing_is_ever_replaced),
        IN(names_that_leave_the_folder_are_refused),
        IN(locks_and_classes_are_refused_before_anything_is_written),
        IN(ranges_give_what_they_name),
        IN(a_refused_piece_comes_again_and_no_byte_twice),
        IN(a_get_can_be_cancelled_from_inside),
        IN(a_paused_get_can_be_cancelled),
        IN(what_is_missing_is_not_found),
        IN(links_are_not_followed),
        IN(a_listing_is_in_order_of_bytes),
        IN(a_listing_keeps_few_names_and_misses_none),
        IN(foreign_files_are_left_alone),
        IN(an_upload_is_an_object_only_when_complete),
        IN(aligned_parts_and_others_make_one_object),
        IN(a_part_written_again_counts_as_last_written),
        IN(an_aborted_upload_leaves_nothing),
        IN(an_abort_waits_for_parts_under_way),
        IN(completing_onto_a_name_that_exists_fails_and_can_be_aborted),
        IN(what_dead_writers_left_goes_and_what_is_written_stays),
        IN(what_a_dead_process_left_is_found_and_aborted),
        IN(a_known_folder_costs_two_syncs),
        IN(a_folder_that_was_removed_is_made_again),
        NARROW(more_than_the_lane_holds_waits_its_turn),
        NARROW(a_lane_full_of_others_items_is_tried_again),
        NARROW(who_waits_can_be_cancelled_while_the_disk_hangs),
        NARROW(the_waiting_list_has_a_bound),
        IN(a_file_that_shrinks_while_it_is_read_is_damage),
        IN(a_folder_that_is_gone_is_told_from_a_missing_object),
        cmocka_unit_test(errno_becomes_a_code_to_decide_by),
        cmocka_unit_test(a_full_disk_is_told_and_leaves_nothing),
        IN(a_root_that_is_no_folder_is_refused),
        IN(fetching_gives_small_objects_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
