/* SPDX-License-Identifier: Apache-2.0 */
/* A folder when its lane is busy, its disk full, or it is not there. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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
#include "store_dir_rig.h"

/* ---- the queue before the lane ---- */

static void more_than_the_lane_holds_waits_its_turn(void **state)
{
    struct store_dir_rig *w = *state;
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

static void plug_start(struct store_dir_rig *w, struct plug *p)
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
    struct store_dir_rig *w = *state;
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
    struct store_dir_rig *w = *state;
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
    assert_string_equal(store_dir_rig_text(&w->t), "");
}

static void the_waiting_list_has_a_bound(void **state)
{
    struct store_dir_rig *w = *state;
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
    struct store_dir_rig *w = *state;
    uint8_t *data = store_dir_rig_pattern(4 << 20, 7);
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
    struct store_dir_rig *w = *state;
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
static int fill_a_small_disk(struct store_dir_rig *w)
{
    uint8_t *data = store_dir_rig_pattern(STORE_PART_BYTES, 8);
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
        strcmp(store_dir_rig_text(&w->t), "c 1000\n") != 0)
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
        struct store_dir_rig w;
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

/* ---- opening the folder ---- */

static const char *slow_path; /* opening it takes SLOW_MS, as of a dead mount */
static pthread_t opened_by;

#define SLOW_MS 300

/* In place of the library's, for the code under test too. */
int open(const char *path, int flags, ...)
{
    if (slow_path && strcmp(path, slow_path) == 0) {
        opened_by = pthread_self();
        usleep(SLOW_MS * 1000);
    }
    if (flags & O_CREAT) {
        va_list ap;
        mode_t mode;

        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
        return openat(AT_FDCWD, path, flags, mode);
    }
    return openat(AT_FDCWD, path, flags);
}

struct ticks {
    struct timer timer;
    struct loop *loop;
    unsigned count;
};

static void on_tick(struct timer *t)
{
    struct ticks *ticks = (struct ticks *)t;

    ticks->count++;
    timer_start(ticks->loop, t, 10, on_tick);
}

static void a_folder_that_opens_slowly_does_not_hold_up_the_loop(void **state)
{
    struct store_dir_rig *w = *state;
    struct ticks ticks = {.loop = w->loop};
    struct store_try t;
    struct store *s = NULL;
    struct err err;
    uint64_t before = clock_mono_ms(loop_clock(w->loop)), after;

    slow_path = w->root;
    assert_int_equal(store_dir_new(w->loop, w->root, w->lane, &s, &err),
                     ERR_OK);
    after = clock_mono_ms(loop_clock(w->loop));
    assert_true(after - before < SLOW_MS);
    store_try_init(&t, s);
    timer_start(w->loop, &ticks.timer, 10, on_tick);
    assert_int_equal(store_try_put(&t, "a/b", "first", 5), ERR_OK);
    slow_path = NULL;
    timer_stop(&ticks.timer);
    assert_false(pthread_equal(opened_by, pthread_self()));
    assert_true(ticks.count >= 2); /* while it was opened */
    assert_int_equal(store_dir_rig_file_bytes(w, "a/b"), 5);
    store_try_fini(&t);
    store_free(s);
}

/* Each of them says so, and the next one looks again. */
static void a_root_that_is_no_folder_is_refused(void **state)
{
    struct store_dir_rig *w = *state;
    struct store_try t;
    struct store *s;
    struct err err;

    assert_int_equal(store_dir_new(w->loop, "tmp", w->lane, &s, &err),
                     ERR_ARGUMENT);
    assert_int_equal(
        store_dir_new(w->loop, "/nowhere/at/all", w->lane, &s, &err), ERR_OK);
    store_try_init(&t, s);
    assert_int_equal(store_try_put(&t, "x", "x", 1), ERR_NOT_FOUND);
    assert_non_null(strstr(t.err.text, "/nowhere/at/all"));
    assert_int_equal(store_try_get(&t, "x", (struct store_range){0}),
                     ERR_NOT_FOUND);
    assert_int_equal(store_try_list(&t, "", NULL), ERR_NOT_FOUND);
    assert_int_equal(store_try_list_uploads(&t, ""), ERR_NOT_FOUND);
    assert_int_equal(store_try_head(&t, "x"), ERR_NOT_FOUND);
    assert_int_equal(store_try_remove(&t, "x"), ERR_NOT_FOUND);
    assert_int_equal(store_try_create(&t, "x"), ERR_NOT_FOUND);
    store_try_fini(&t);
    store_free(s);
    assert_int_equal(store_dir_new(w->loop, "/etc/passwd", w->lane, &s, &err),
                     ERR_OK);
    store_try_init(&t, s);
    assert_int_equal(store_try_head(&t, "x"), ERR_IO);
    store_try_fini(&t);
    store_free(s);
}

static void what_a_folder_should_hold_is_looked_for(void **state)
{
    struct store_dir_rig *w = *state;
    char later[sizeof(w->root) + 16];
    struct store_try t;
    struct store *s;
    struct err err;

    snprintf(later, sizeof(later), "%s/later", w->root);
    assert_int_equal(store_dir_new(w->loop, later, w->lane, &s, &err), ERR_OK);
    store_dir_expect(s, "keys");
    store_try_init(&t, s);
    expect_gone(&t, store_try_head(&t, "x"));
    assert_int_equal(mkdir(later, 0700), 0);
    expect_gone(&t, store_try_put(&t, "x", "x", 1));
    assert_non_null(strstr(t.err.text, "it has no keys/"));
    assert_int_equal(store_dir_rig_file_bytes(w, "later/x"), SIZE_MAX);
    snprintf(later, sizeof(later), "%s/later/keys", w->root);
    assert_int_equal(mkdir(later, 0700), 0);
    assert_int_equal(store_try_put(&t, "x", "x", 1), ERR_OK);
    store_try_fini(&t);
    store_free(s);
}

#define IN(f)                                                \
    cmocka_unit_test_setup_teardown(f, store_dir_rig_setup,  \
                                    store_dir_rig_teardown)
#define NARROW(f)                                                   \
    cmocka_unit_test_setup_teardown(f, store_dir_rig_setup_narrow,  \
                                    store_dir_rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NARROW(more_than_the_lane_holds_waits_its_turn),
        NARROW(a_lane_full_of_others_items_is_tried_again),
        NARROW(who_waits_can_be_cancelled_while_the_disk_hangs),
        NARROW(the_waiting_list_has_a_bound),
        IN(a_file_that_shrinks_while_it_is_read_is_damage),
        IN(a_folder_that_is_gone_is_told_from_a_missing_object),
        cmocka_unit_test(errno_becomes_a_code_to_decide_by),
        cmocka_unit_test(a_full_disk_is_told_and_leaves_nothing),
        IN(a_folder_that_opens_slowly_does_not_hold_up_the_loop),
        IN(a_root_that_is_no_folder_is_refused),
        IN(what_a_folder_should_hold_is_looked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
