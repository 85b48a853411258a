/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "loop/spill.h"

#define SLOT ((size_t)SPILL_SLOT_BYTES)

static struct loop *loop;
static char folder[32];
static unsigned done_count, wanted;

static int set_up(void **state)
{
    (void)state;
    done_count = 0;
    snprintf(folder, sizeof(folder), "/tmp/spill-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    return loop_new("spill test", NULL, &loop, NULL) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder); /* and so: nothing is left in it */
}

static struct spill *new_spill(uint64_t slots)
{
    const struct spill_opts o = {
        .folder = folder, .bytes = slots * SPILL_SLOT_BYTES, .loop = loop};
    struct spill *s = NULL;
    struct err err = {0};

    if (spill_new(&o, &s, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return s;
}

static void end_spill(struct spill *s)
{
    assert_true(spill_stop(s, 60000));
    loop_free(loop);
    spill_free(s);
}

static void on_done(struct spill_op *op)
{
    (void)op;
    if (++done_count == wanted)
        loop_stop(loop);
}

static void begin(struct spill *s, struct spill_op *op, unsigned slot,
                  bool reading, uint8_t *data, size_t len)
{
    *op = (struct spill_op){.spill = s,
                            .slot = slot,
                            .reading = reading,
                            .data = data,
                            .len = len,
                            .loop = loop,
                            .done = on_done};
    assert_true(spill_op_start(op));
}

static void run_until(unsigned n)
{
    wanted = n;
    done_count = 0;
    loop_run(loop);
    assert_int_equal(done_count, n);
}

/* A turn in which mail comes, until all slots given back are free again. */
static void until_used(struct spill *s, uint64_t slots)
{
    for (int i = 0; i < 10000; i++) {
        if (spill_used(s) == slots * SPILL_SLOT_BYTES)
            return;
        uv_run(loop_uv(loop), UV_RUN_NOWAIT);
        usleep(1000);
    }
    fail_msg("%ju bytes are used", (uintmax_t)spill_used(s));
}

static uint8_t *pattern(size_t len, uint8_t seed)
{
    uint8_t *data = malloc(len);

    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 31 + (i >> 12) + seed);
    return data;
}

/* The file's descriptor, by what the kernel says of it. */
static int find_file(void)
{
    DIR *dir = opendir("/proc/self/fd");
    char to[256], path[300];
    struct dirent *e;
    int found = -1;

    assert_non_null(dir);
    while ((e = readdir(dir)) != NULL) {
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
        n = readlink(path, to, sizeof(to) - 1);
        if (n > 0) {
            to[n] = '\0';
            if (strncmp(to, folder, strlen(folder)) == 0)
                found = (int)strtol(e->d_name, NULL, 10);
        }
    }
    closedir(dir);
    assert_true(found >= 0);
    return found;
}

static void what_is_written_is_read_back_from_each_slot(void **state)
{
    struct spill *s = new_spill(4);
    struct spill_share share;
    struct spill_op op[2];
    unsigned slot[2];
    const size_t len[2] = {SLOT, 12345};
    uint8_t *data[2], *back = malloc(SLOT);

    (void)state;
    assert_non_null(back);
    spill_join(s, &share, 7);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(spill_slot_take(s, &share, &slot[i]));
        data[i] = pattern(len[i], (uint8_t)i);
        begin(s, &op[i], slot[i], false, data[i], len[i]);
    }
    run_until(2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(op[i].err.code, ERR_OK);
        memset(back, 0, SLOT);
        begin(s, &op[i], slot[i], true, back, len[i]);
        run_until(1);
        assert_int_equal(op[i].err.code, ERR_OK);
        assert_memory_equal(back, data[i], len[i]);
        free(data[i]);
    }
    assert_int_equal(spill_used(s), 2 * SLOT);
    for (unsigned i = 0; i < 2; i++)
        spill_slot_give(s, &share, slot[i]);
    until_used(s, 0);
    spill_leave(s, &share);
    free(back);
    end_spill(s);
}

static void room_of_a_slot_goes_back_to_the_file_system(void **state)
{
    struct spill *s = new_spill(4);
    uint8_t *data = pattern(SLOT, 1);
    struct spill_share share;
    struct spill_op op;
    struct stat st;
    unsigned slot;
    int fd = find_file();

    (void)state;
    spill_join(s, &share, 7);
    assert_true(spill_slot_take(s, &share, &slot));
    begin(s, &op, slot, false, data, SLOT);
    run_until(1);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_nlink, 0); /* a kill leaves nothing */
    assert_true((uint64_t)st.st_blocks * 512 >= SLOT);
    spill_slot_give(s, &share, slot);
    until_used(s, 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true((uint64_t)st.st_blocks * 512 < SLOT / 2);
    spill_leave(s, &share);
    free(data);
    end_spill(s);
}

static unsigned take_all(struct spill *s, struct spill_share *share,
                         unsigned *slots)
{
    unsigned n = 0;

    while (spill_slot_take(s, share, &slots[n]))
        n++;
    return n;
}

static void give_all(struct spill *s, struct spill_share *share,
                     unsigned *slots, unsigned n)
{
    while (n)
        spill_slot_give(s, share, slots[--n]);
    spill_leave(s, share);
}

/* Each row: shares by tenant that take in turns until none gets any more. */
static const struct {
    const char *why;
    unsigned slots, shares;
    uint64_t tenant[4];
    unsigned want[4];
} rows[] = {
    {"one alone gets half", 60, 1, {1}, {30}},
    {"two tenants get a third each", 60, 2, {1, 2}, {20, 20}},
    {"three tenants get a quarter each", 60, 3, {1, 2, 3}, {15, 15, 15}},
    {"a file of one slot is of use", 1, 1, {1}, {1}},
    /* of 60: 7 h < 120, that is 17 or 18 each */
    {"two jobs of a tenant share", 60, 2, {1, 1}, {18, 17}},
};

static void a_full_file_was_shared_fairly(void **state)
{
    (void)state;
    for (size_t r = 0; r < BYTES_COUNT(rows); r++) {
        struct spill *s = new_spill(rows[r].slots);
        struct spill_share share[4];
        unsigned slots[4][64], n[4] = {0};
        bool more = true;

        for (unsigned i = 0; i < rows[r].shares; i++)
            spill_join(s, &share[i], rows[r].tenant[i]);
        while (more) {
            more = false;
            for (unsigned i = 0; i < rows[r].shares; i++)
                if (spill_slot_take(s, &share[i], &slots[i][n[i]])) {
                    n[i]++;
                    more = true;
                }
        }
        for (unsigned i = 0; i < rows[r].shares; i++) {
            if (n[i] != rows[r].want[i])
                fail_msg("%s: share %u got %u", rows[r].why, i, n[i]);
            assert_int_equal(spill_held(&share[i]), n[i]);
            give_all(s, &share[i], slots[i], n[i]);
        }
        until_used(s, 0);
        end_spill(s);
        loop_new("spill test", NULL, &loop, NULL);
    }
    loop_free(loop);
}

static void who_comes_last_finds_room(void **state)
{
    struct spill *s = new_spill(64);
    struct spill_share greedy[8], late;
    unsigned slots[8][64], n[8], slot, all = 0;

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        spill_join(s, &greedy[i], i % 2);
        n[i] = take_all(s, &greedy[i], slots[i]);
        all += n[i];
    }
    assert_true(all < 64);
    spill_join(s, &late, 99);
    assert_true(spill_slot_take(s, &late, &slot));
    spill_slot_give(s, &late, slot);
    spill_leave(s, &late);
    for (unsigned i = 0; i < 8; i++)
        give_all(s, &greedy[i], slots[i], n[i]);
    end_spill(s);
}

/* A limit on the size of files is a disk that is full for us. */
static void a_full_disk_is_an_error_that_says_where(void **state)
{
    struct spill *s = new_spill(4);
    struct rlimit before, small;
    uint8_t *data = pattern(SLOT, 1);
    struct spill_share share;
    struct spill_op op;
    unsigned slot;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = MIB;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    spill_join(s, &share, 7);
    assert_true(spill_slot_take(s, &share, &slot));
    begin(s, &op, slot, false, data, SLOT);
    run_until(1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(op.err.code, ERR_IO);
    assert_non_null(strstr(op.err.text, folder));
    /* and later it may have room again */
    begin(s, &op, slot, false, data, SLOT);
    run_until(1);
    assert_int_equal(op.err.code, ERR_OK);
    spill_slot_give(s, &share, slot);
    spill_leave(s, &share);
    free(data);
    end_spill(s);
}

static void a_file_that_has_become_short_is_an_error(void **state)
{
    struct spill *s = new_spill(4);
    uint8_t *data = pattern(SLOT, 1);
    struct spill_share share;
    struct spill_op op;
    unsigned slot;

    (void)state;
    spill_join(s, &share, 7);
    assert_true(spill_slot_take(s, &share, &slot));
    begin(s, &op, slot, false, data, SLOT);
    run_until(1);
    assert_int_equal(ftruncate(find_file(), (off_t)SLOT - 1), 0);
    begin(s, &op, slot, true, data, SLOT);
    run_until(1);
    assert_int_equal(op.err.code, ERR_IO);
    assert_non_null(strstr(op.err.text, "16777215 of 16777216"));
    spill_slot_give(s, &share, slot);
    spill_leave(s, &share);
    free(data);
    end_spill(s);
}

/* Before it runs, while it runs, when it has run: done() comes once. */
static void cancelled_at_any_time_it_is_done_once(void **state)
{
    struct spill *s = new_spill(8);
    uint8_t *data = pattern(SLOT, 1);
    struct spill_share share;
    struct spill_op op[4];
    unsigned slot[4], cancelled = 0;

    (void)state;
    spill_join(s, &share, 7);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(spill_slot_take(s, &share, &slot[i]));
        begin(s, &op[i], slot[i], false, data, SLOT);
        if (i != 1)
            spill_op_cancel(&op[i]);
    }
    usleep(2000);
    spill_op_cancel(&op[1]);
    run_until(4);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(op[i].err.code == ERR_OK ||
                    op[i].err.code == ERR_CANCELLED);
        cancelled += op[i].err.code == ERR_CANCELLED;
        spill_op_cancel(&op[i]);
        spill_slot_give(s, &share, slot[i]);
    }
    assert_true(cancelled >= 1);
    until_used(s, 0);
    spill_leave(s, &share);
    free(data);
    end_spill(s);
}

static void what_cannot_be_is_refused_with_its_cause(void **state)
{
    struct spill_opts o = {.folder = "spill", .bytes = SLOT, .loop = loop};
    struct spill *s = NULL;
    uint64_t room = 0;
    struct err err = {0};

    (void)state;
    assert_int_equal(spill_new(&o, &s, &err), ERR_ARGUMENT);
    o.folder = folder;
    o.bytes = SLOT - 1;
    assert_int_equal(spill_new(&o, &s, &err), ERR_ARGUMENT);
    o.bytes = SPILL_BYTES_MAX + 1;
    assert_int_equal(spill_new(&o, &s, &err), ERR_ARGUMENT);
    o.bytes = SLOT;
    o.folder = "/nonexistent/folder";
    err_clear(&err);
    assert_int_equal(spill_new(&o, &s, &err), ERR_IO);
    assert_non_null(strstr(err.text, "/nonexistent/folder"));
    err_clear(&err);
    assert_int_equal(spill_look("/nonexistent/folder", &room, &err), ERR_IO);
    err_clear(&err);
    assert_int_equal(spill_look(folder, &room, &err), ERR_OK);
    assert_true(room > 0);
    assert_null(s);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            what_is_written_is_read_back_from_each_slot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            room_of_a_slot_goes_back_to_the_file_system, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_file_was_shared_fairly, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(who_comes_last_finds_room, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_an_error_that_says_where,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_file_that_has_become_short_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cancelled_at_any_time_it_is_done_once,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            what_cannot_be_is_refused_with_its_cause, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
