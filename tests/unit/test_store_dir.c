/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_dir_walk.h"
#include "store_dir_rig.h"

static void what_is_put_is_listed_and_read_back(void **state)
{
    struct store_dir_rig *w = *state;
    uint8_t *data = store_dir_rig_pattern(1000000, 1);

    assert_int_equal(store_try_put(&w->t, "packs/ab/x", data, 1000000), ERR_OK);
    assert_int_equal(w->t.info.bytes, 1000000);
    assert_true(w->t.info.modified_ms > 1600000000000u);
    assert_int_equal(store_dir_rig_file_bytes(w, "packs/ab/x"), 1000000);
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_OK);
    assert_string_equal(store_dir_rig_text(&w->t), "packs/ab/x 1000000\n");
    assert_int_equal(
        store_try_get(&w->t, "packs/ab/x", (struct store_range){0}), ERR_OK);
    assert_int_equal(w->t.bytes.len, 1000000);
    assert_memory_equal(w->t.bytes.data, data, 1000000);
    assert_int_equal(store_try_list_uploads(&w->t, ""), ERR_OK);
    assert_string_equal(store_dir_rig_text(&w->t), "");
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
    struct store_dir_rig *w = *state;

    assert_int_equal(store_try_put(&w->t, "format", "", 0), ERR_OK);
    assert_int_equal(store_try_get(&w->t, "format", (struct store_range){0}),
                     ERR_OK);
    assert_int_equal(w->t.bytes.len, 0);
    assert_int_equal(
        store_try_get(&w->t, "format", (struct store_range){.from_end = 9}),
        ERR_OK);
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_OK);
    assert_string_equal(store_dir_rig_text(&w->t), "format 0\n");
}

static void nothing_is_ever_replaced(void **state)
{
    struct store_dir_rig *w = *state;

    assert_int_equal(store_try_put(&w->t, "a/b", "first", 5), ERR_OK);
    assert_int_equal(store_try_put(&w->t, "a/b", "second!", 7), ERR_CONFLICT);
    assert_non_null(strstr(w->t.err.text, w->root));
    assert_non_null(strstr(w->t.err.text, "a/b"));
    assert_int_equal(store_try_get(&w->t, "a/b", (struct store_range){0}),
                     ERR_OK);
    assert_memory_equal(w->t.bytes.data, "first", 5);
    /* what lost leaves nothing behind */
    assert_int_equal(store_try_list_uploads(&w->t, ""), ERR_OK);
    assert_string_equal(store_dir_rig_text(&w->t), "");
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
    struct store_dir_rig *w = *state;
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
    struct store_dir_rig *w = *state;
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
    struct store_dir_rig *w = *state;
    uint8_t *data = store_dir_rig_pattern(700001, 2);

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
    struct store_dir_rig *w = *state;
    uint8_t *data = store_dir_rig_pattern(3 << 20, 3);

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
    struct store_dir_rig *w = *state;
    uint8_t *data = store_dir_rig_pattern(3 << 20, 3);

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
    struct store_dir_rig *w = *state;
    uint8_t *data = store_dir_rig_pattern(1 << 20, 3);
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
    struct store_dir_rig *w = *state;

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
    struct store_dir_rig *w = *state;
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
    assert_string_equal(store_dir_rig_text(&w->t), "");
    snprintf(path, sizeof(path), "%s/secret", out);
    assert_int_equal(access(path, F_OK), 0);
    snprintf(path, sizeof(path), "%s/x", out);
    assert_int_not_equal(access(path, F_OK), 0);
    store_dir_rig_wipe(out);
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
    struct store_dir_rig *w = *state;

    for (size_t i = 0; i < BYTES_COUNT(names); i++)
        assert_int_equal(store_try_put(&w->t, names[i], "x", 1), ERR_OK);
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        if (store_try_list(&w->t, rows[i].prefix, rows[i].after) != ERR_OK ||
            strcmp(store_dir_rig_text(&w->t), rows[i].expect) != 0)
            fail_msg("%s: %s: \n%s", rows[i].why, w->t.err.text,
                     store_dir_rig_text(&w->t));
    }
    w->t.cancel_at = 3;
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_CANCELLED);
    assert_int_equal(w->t.calls, 3);
}

static void a_listing_keeps_few_names_and_misses_none(void **state)
{
    struct store_dir_rig *w = *state;
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
    struct store_dir_rig *w = *state;
    char path[200];

    for (size_t i = 0; i < BYTES_COUNT(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", w->root, names[i]);
        close(open(path, O_CREAT | O_WRONLY, 0600));
    }
    snprintf(path, sizeof(path), "%s/fifo", w->root);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_OK);
    assert_string_equal(store_dir_rig_text(&w->t), "");
    assert_int_equal(store_try_get(&w->t, "fifo", (struct store_range){0}),
                     ERR_NOT_FOUND);
}

static void a_known_folder_costs_two_syncs(void **state)
{
    struct store_dir_rig *w = *state;
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
    struct store_dir_rig *w = *state;
    char path[200];

    assert_int_equal(store_try_put(&w->t, "a/b/1", "x", 1), ERR_OK);
    assert_int_equal(store_try_remove(&w->t, "a/b/1"), ERR_OK);
    snprintf(path, sizeof(path), "%s/a/b", w->root);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(store_try_put(&w->t, "a/b/2", "x", 1), ERR_OK);
    assert_int_equal(store_try_head(&w->t, "a/b/2"), ERR_OK);
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
    struct store_dir_rig *w = *state;
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

#define IN(f)                                                \
    cmocka_unit_test_setup_teardown(f, store_dir_rig_setup,  \
                                    store_dir_rig_teardown)

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
        IN(a_known_folder_costs_two_syncs),
        IN(a_folder_that_was_removed_is_made_again),
        IN(fetching_gives_small_objects_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
