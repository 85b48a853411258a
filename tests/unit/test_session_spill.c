/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that answers nothing, and a file in which sealed parts wait. "Down"
 * is: parts, heads and creates are held, and the store says so.
 */
#include "session_rig.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define LEN (84 * MIB + 333) /* two packs, of which one is not full */
#define JOBS 4u

static struct rig rig;
static char folder[32];
static uint8_t *noise;

/* --- the store and the file ------------------------------------------ */

static void down(void)
{
    static const enum store_fault_kind kinds[] = {FAULT_PART, FAULT_HEAD,
                                                  FAULT_CREATE};

    for (size_t i = 0; i < BYTES_COUNT(kinds); i++) {
        const struct store_fault_rule rule = {.kind = kinds[i],
                                              .action = FAULT_HOLD};

        store_fault_add(rig.store, &rule);
    }
    rig.store->down_since_ms = rig.mono_ms;
}

static void up(void)
{
    store_fault_clear(rig.store);
    rig.store->down_since_ms = 0;
    store_fault_release(rig.store);
}

static void begin(uint64_t slots)
{
    const struct spill_opts o = {
        .folder = folder, .bytes = slots * SPILL_SLOT_BYTES, .loop = rig.loop};
    struct err err = {0};

    rig.mono_ms += 1000;
    rig.spill_until_ms = 1000000;
    if (spill_new(&o, &rig.spill, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

static void end(void)
{
    struct spill *s = rig.spill;

    for (int i = 0; spill_used(s) && i < 10000; i++) {
        usleep(1000);
        rig_turn(&rig);
    }
    assert_int_equal(spill_used(s), 0);
    assert_int_equal(store_fault_held(rig.store), 0);
    assert_int_equal(store_fault_uploads(rig.bucket), 0);
    assert_int_equal(budget_used(rig.budget), 0);
    assert_true(spill_stop(s, 60000));
    rig_turn(&rig);
    spill_free(s);
    rig.spill = NULL;
    rig.store->down_since_ms = 0;
    store_fault_clear(rig.store);
}

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
        to[n > 0 ? n : 0] = '\0';
        if (strncmp(to, folder, strlen(folder)) == 0)
            found = (int)strtol(e->d_name, NULL, 10);
    }
    closedir(dir);
    assert_true(found >= 0);
    return found;
}

/* Nothing of it is known, and it does not compress. */
static struct rig_backup backup(uint64_t ceiling)
{
    static uint64_t round;

    round++;
    for (size_t at = 0; at < LEN; at += 4096)
        memcpy(noise + at, &round, sizeof(round));
    return (struct rig_backup){
        .disks = 1,
        .ceiling = ceiling,
        .disk = {{{.vdi = {{9}}, .name = "root", .bytes = LEN}, noise}}};
}

/* Starts anew: a turn may begin when the time is over already, and would then
 * wait for something else to come. */
static void ms(struct timer *t)
{
    timer_start(rig.loop, t, 5, ms);
}

static void turn(void)
{
    struct timer t = {0};

    timer_start(rig.loop, &t, 5, ms);
    uv_run(loop_uv(rig.loop), UV_RUN_ONCE);
    timer_stop(&t);
}

/* Until it holds, or nothing moves for long. */
static bool until(bool (*holds)(const struct rig_backup *b),
                  const struct rig_backup *b)
{
    for (int i = 0; i < 30000; i++) {
        if (holds(b))
            return true;
        turn();
    }
    return false;
}

static const struct session_figures *figures(const struct rig_backup *b)
{
    return b->session ? session_figures(b->session) : &b->result.figures;
}

static bool all_is_read(const struct rig_backup *b)
{
    return b->finished || b->done;
}

static bool is_down(const struct rig_backup *b)
{
    return figures(b)->down_since_ms || b->done;
}

static bool is_up(const struct rig_backup *b)
{
    return !figures(b)->down_since_ms || b->done;
}

static bool something_is_spilled(const struct rig_backup *b)
{
    return figures(b)->spilled_now >= 3 * STORE_PART_BYTES || b->done;
}

/* What goes in goes out, and all that was lent is back. */
static void succeeds(struct rig_backup *b)
{
    rig_run(&rig);
    if (b->err.code != ERR_OK)
        fail_msg("%s", b->err.text);
    assert_int_equal(b->result.figures.spilled_now, 0);
    assert_int_equal(b->uploads_opened, b->uploads_closed);
    rig_compare(&rig, b);
}

static void fails(struct rig_backup *b, enum err_code code, const char *words)
{
    size_t points = rig_count(&rig, "points/");

    rig_run(&rig);
    assert_int_equal(b->done, 1);
    if (b->err.code != code || !strstr(b->err.text, words))
        fail_msg("%d: %s", b->err.code, b->err.text);
    assert_int_equal(rig_count(&rig, "points/"), points);
    assert_string_equal(b->result.point.name, "");
}

/* --- tests ----------------------------------------------------------- */

static void what_is_read_while_a_store_is_down(uint64_t ceiling)
{
    struct rig_backup b = backup(ceiling);

    begin(40);
    down();
    rig_start(&rig, &b);
    if (!until(all_is_read, &b))
        fail_msg("%ju bytes were read, %ju spilled", (uintmax_t)b.total,
                 (uintmax_t)figures(&b)->spilled_now);
    assert_int_equal(b.done, 0);
    assert_true(figures(&b)->down_since_ms > 0);
    assert_true(figures(&b)->spilled_now + ceiling >= LEN);
    assert_true(figures(&b)->slab_peak <= ceiling);
    up();
    assert_true(until(is_up, &b));
    succeeds(&b);
    assert_true(b.result.figures.parts >= LEN / STORE_PART_BYTES);
    end();
}

static void a_store_that_is_down_does_not_stop_an_export(void **state)
{
    (void)state;
    what_is_read_while_a_store_is_down(SESSION_CEILING_BYTES);
}

static void with_the_memory_of_one_part_neither(void **state)
{
    (void)state;
    what_is_read_while_a_store_is_down(SESSION_FLOOR_BYTES);
}

/* Nothing is written while the store answers, or data does not wait. */
static void a_store_that_answers_is_not_spared(void **state)
{
    struct rig_backup b = backup(SESSION_FLOOR_BYTES);

    (void)state;
    begin(40);
    rig_start(&rig, &b);
    succeeds(&b);
    assert_int_equal(b.result.figures.spilled, 0);
    end();
}

/* Comes and goes: parts that were read back are let go again, not rewritten. */
static void a_store_may_come_and_go(void **state)
{
    const uint64_t ceilings[] = {SESSION_FLOOR_BYTES, SESSION_CEILING_BYTES};

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(ceilings); i++) {
        struct rig_backup b = backup(ceilings[i]);

        begin(40);
        down();
        rig_start(&rig, &b);
        assert_true(until(something_is_spilled, &b));
        for (unsigned n = 0; n < 3; n++) {
            up();
            assert_true(until(is_up, &b));
            for (unsigned turns = 0; turns < 3 + 7 * n; turns++)
                turn();
            rig.mono_ms += 1000;
            down();
            for (unsigned turns = 0; turns < 30; turns++)
                turn();
        }
        up();
        succeeds(&b);
        assert_true(b.result.figures.spilled <= LEN + 2 * MIB);
        end();
    }
}

/* For two seconds: workers may be slow. */
static bool stands_still(const struct rig_backup *b)
{
    static const struct rig_backup *of;
    static uint64_t total;
    static unsigned turns;

    if (of && b == of && b->total == total)
        turns++;
    else
        turns = 0;
    of = b;
    total = b->total;
    return turns > 400 || b->done;
}

static void a_full_file_pauses_the_export_as_none_does(void **state)
{
    struct rig_backup b = backup(SESSION_FLOOR_BYTES);

    (void)state;
    begin(4); /* of which one job gets half */
    down();
    rig_start(&rig, &b);
    assert_true(until(stands_still, &b));
    assert_int_equal(b.done, 0);
    assert_int_equal(figures(&b)->spilled_now, 2 * STORE_PART_BYTES);
    assert_true(b.total < 64 * MIB);
    up();
    succeeds(&b);
    end();
}

static void a_disk_that_is_full_keeps_parts_in_memory(void **state)
{
    struct rig_backup b = backup(SESSION_FLOOR_BYTES);
    struct rlimit before, small;

    (void)state;
    begin(40);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 40 * MIB; /* two slots and a bit */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    down();
    rig_start(&rig, &b);
    assert_true(until(stands_still, &b));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(b.done, 0);
    assert_int_equal(figures(&b)->spilled_now, 2 * STORE_PART_BYTES);
    up();
    succeeds(&b);
    end();
}

static void flip(int fd)
{
    uint8_t byte;

    assert_int_equal(pread(fd, &byte, 1, 12345), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, 12345), 1);
}

static void shorten(int fd)
{
    assert_int_equal(ftruncate(fd, 5 * MIB), 0);
}

static void a_file_that_gives_back_other_bytes_fails_the_job(void **state)
{
    static const struct {
        void (*hurt)(int fd);
        enum err_code code;
        const char *words;
    } rows[] = {
        {flip, ERR_INTEGRITY, "other bytes than were written"},
        {shorten, ERR_IO, "bytes came"},
    };

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct rig_backup b = backup(SESSION_FLOOR_BYTES);

        begin(40);
        down();
        rig_start(&rig, &b);
        assert_true(until(something_is_spilled, &b));
        rows[i].hurt(find_file());
        up();
        fails(&b, rows[i].code, rows[i].words);
        end();
    }
}

static void a_store_that_stays_down_fails_the_job_with_that(void **state)
{
    struct rig_backup b = backup(SESSION_FLOOR_BYTES);
    const struct store_fault_rule gone = {.kind = FAULT_HEAD,
                                          .action = FAULT_FAIL};

    (void)state;
    begin(40);
    store_fault_add(rig.store, &gone);
    down();
    rig_start(&rig, &b);
    fails(&b, ERR_UNREACHABLE, "");
    up();
    end();
}

/* It answers a HEAD, and takes no part: its own retries are to end it. */
static void a_store_that_takes_nothing_gets_its_parts_at_last(void **state)
{
    struct rig_backup b = backup(SESSION_FLOOR_BYTES);
    const struct store_fault_rule held = {.kind = FAULT_PART,
                                          .action = FAULT_HOLD};
    unsigned parts = 0;

    (void)state;
    begin(40);
    rig.spill_until_ms = 50;
    store_fault_add(rig.store, &held);
    rig_start(&rig, &b);
    for (unsigned i = 0; i < 300; i++) {
        rig.store->down_since_ms = 1;
        rig.mono_ms++;
        turn();
    }
    parts = (unsigned)store_fault_count(rig.store, FAULT_PART);
    for (unsigned i = 0; i < 100; i++) {
        rig.store->down_since_ms = 1;
        rig.mono_ms++;
        turn();
    }
    assert_int_equal(b.done, 0);
    assert_int_equal(store_fault_count(rig.store, FAULT_PART), parts);
    assert_true(store_fault_held(rig.store) >= 1);
    up();
    succeeds(&b);
    end();
}

/* So many turns of the loop after something was seen. */
static const struct {
    bool (*seen)(const struct rig_backup *b); /* NULL: from the beginning */
    bool again;                               /* the store answers then */
    unsigned turns;
} moments[] = {
    {NULL, false, 20},
    {is_down, false, 0}, /* its PUT is called back */
    {is_down, false, 1},
    {is_down, false, 2}, /* it is being written */
    {something_is_spilled, false, 0},
    {something_is_spilled, true, 0}, /* the probe is answered */
    {something_is_spilled, true, 2}, /* the next part goes out */
    {all_is_read, true, 2},          /* one is being read back */
    {all_is_read, true, 4},
    {all_is_read, true, 8}, /* or checked, or sent */
    {all_is_read, true, 16},
};

static void cancelled_at_any_time_nothing_is_left(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(moments); i++) {
        struct rig_backup b = backup(SESSION_FLOOR_BYTES);

        begin(40);
        down();
        rig_start(&rig, &b);
        assert_true(!moments[i].seen || until(moments[i].seen, &b));
        if (moments[i].again)
            up();
        for (unsigned n = 0; n < moments[i].turns; n++)
            turn();
        if (b.done)
            fail_msg("moment %zu: it has ended", i);
        session_cancel(b.session);
        fails(&b, ERR_CANCELLED, "cancelled");
        up();
        end();
    }
}

static bool a_part_is_spilled(const struct rig_backup *b)
{
    return figures(b)->spilled_now >= STORE_PART_BYTES || b->done;
}

static uint64_t spilled_by_all(const struct rig_backup b[JOBS])
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < JOBS; i++)
        sum += figures(&b[i])->spilled_now;
    return sum;
}

/* Of slots that are taken none is still being written. */
static bool all_is_written(const struct rig_backup b[JOBS])
{
    return spilled_by_all(b) == spill_used(rig.spill);
}

static void many_jobs_share_the_file(void **state)
{
    static const char *const series[JOBS] = {"a", "b", "c", "d"};
    struct rig_backup b[JOBS];
    uint8_t *data[JOBS];

    (void)state;
    begin(12);
    down();
    for (unsigned i = 0; i < JOBS; i++) {
        b[i] = backup(SESSION_FLOOR_BYTES);
        data[i] = malloc(LEN + 8);
        assert_non_null(data[i]);
        memcpy(data[i], noise, LEN);
        b[i].disk[0].data = data[i];
        b[i].series = series[i];
        b[i].tenant = i / 2;
        rig_start(&rig, &b[i]);
    }
    for (unsigned i = 0; i < JOBS; i++)
        assert_true(until(a_part_is_spilled, &b[i]));
    for (unsigned i = 0; i < JOBS; i++)
        assert_true(until(stands_still, &b[i]));
    assert_true(until(all_is_written, b));
    for (unsigned i = 0; i < JOBS; i++) {
        assert_int_equal(b[i].done, 0);
        assert_true(figures(&b[i])->spilled_now >= STORE_PART_BYTES);
    }
    assert_true(spilled_by_all(b) < 12 * STORE_PART_BYTES);
    up();
    rig_run(&rig);
    for (unsigned i = 0; i < JOBS; i++) {
        succeeds(&b[i]);
        free(data[i]);
    }
    end();
}

static int set_up(void **state)
{
    (void)state;
    rig_init(&rig);
    snprintf(folder, sizeof(folder), "/tmp/spill-test-XXXXXX");
    noise = malloc(LEN + 8);
    if (!noise || !mkdtemp(folder))
        return -1;
    rig_fill_noise(noise, LEN, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(noise);
    rig_fini(&rig);
    return rmdir(folder);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_store_that_is_down_does_not_stop_an_export),
        T(with_the_memory_of_one_part_neither),
        T(a_store_that_answers_is_not_spared),
        T(a_store_may_come_and_go),
        T(a_full_file_pauses_the_export_as_none_does),
        T(a_disk_that_is_full_keeps_parts_in_memory),
        T(a_file_that_gives_back_other_bytes_fails_the_job),
        T(a_store_that_stays_down_fails_the_job_with_that),
        T(a_store_that_takes_nothing_gets_its_parts_at_last),
        T(cancelled_at_any_time_nothing_is_left),
        T(many_jobs_share_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
