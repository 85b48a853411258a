/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions on several data loops at once, on one vault in a folder, with one
 * index, one budget and one set of tools; what they wrote is read back.
 */
#include "session_rig.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/store_dir.h"

#define LOOPS 3u
#define ROUNDS 3u
#define LEN (24 * MIB + 100)

struct worker {
    struct loop *loop;
    struct store *store;
    struct slab_room *chunks, *parts;
    struct timer begin;
    uint8_t *data;
    unsigned number, rounds;
    struct session *session;
    uint64_t at;
    struct point_ref points[ROUNDS];
    struct err err;
};

static struct rig rig;
static struct lane *disk_lane;
static char folder[] = "/tmp/cairn-test-threads-XXXXXX";
static struct worker workers[LOOPS];

static void next_round(struct worker *w);

static void feed(struct worker *w)
{
    while (w->at < LEN) {
        uint64_t n = LEN - w->at < 65536 ? LEN - w->at : 65536;

        if (!session_write(w->session, 0, w->at, w->data + w->at, n))
            return;
        w->at += n;
    }
    session_finish(w->session, NULL, 0);
}

static void on_ready(void *ctx)
{
    struct worker *w = ctx;
    struct session_disk d = {.vdi = {{1}}, .bytes = LEN};
    unsigned number;

    if (session_add_disk(w->session, &d, &number, &w->err) == ERR_OK)
        feed(w);
    else
        session_cancel(w->session);
}

static void on_drained(void *ctx)
{
    feed(ctx);
}

static void on_done(void *ctx, const struct err *err,
                    const struct session_result *result)
{
    struct worker *w = ctx;

    budget_give(rig.budget, w->number, SESSION_FLOOR_BYTES);
    w->err = *err;
    w->points[w->rounds++] = result->point;
    if (err->code == ERR_OK && w->rounds < ROUNDS)
        next_round(w);
    else
        loop_stop(w->loop);
}

/* Half of the data is the same on all loops, a part is new in each round. */
static void next_round(struct worker *w)
{
    char series[16];
    struct session_opts opts = {
        .loop = w->loop,
        .vault = rig.vault,
        .store = w->store,
        .index = rig.index,
        .tools = rig.tools,
        .chunk_room = w->chunks,
        .part_room = w->parts,
        .budget = rig.budget,
        .tenant = w->number,
        .ceiling_bytes = SESSION_CEILING_BYTES,
        .clock = clock_system(),
        .events = {.ready = on_ready, .drained = on_drained, .done = on_done},
        .ctx = w,
        .series = series,
        .vm = {{1}},
    };

    snprintf(series, sizeof(series), "vm %u", w->number);
    rig_fill_noise(w->data + LEN / 2, 3 * MIB, 10 * w->number + w->rounds);
    w->at = 0;
    if (!budget_try(rig.budget, w->number, SESSION_FLOOR_BYTES, 0) ||
        session_start(&opts, &w->session, &w->err) != ERR_OK)
        loop_stop(w->loop);
}

static void on_begin(struct timer *t)
{
    next_round((struct worker *)((char *)t - offsetof(struct worker, begin)));
}

/* --- from the folder into the rig's bucket --------------------------- */

static int take_file(const char *path, const struct stat *st, int flag,
                     struct FTW *ftw)
{
    const char *name = path + strlen(folder) + 1;
    uint8_t *data;
    size_t len;

    (void)ftw;
    if (flag != FTW_F || strncmp(name, "tmp/", 4) == 0)
        return 0;
    data = vectors_file(path, &len);
    assert_int_equal(len, st->st_size);
    assert_true(store_fault_poke(rig.bucket, name, data, len, 1));
    free(data);
    return 0;
}

static int remove_file(const char *path, const struct stat *st, int flag,
                       struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void sessions_on_several_loops_share_a_vault(void **state)
{
    struct err err;

    (void)state;
    for (unsigned i = 0; i < LOOPS; i++) {
        struct worker *w = &workers[i];

        w->number = i;
        w->data = malloc(LEN);
        rig_fill_noise(w->data, LEN, 5);
        rig_fill_noise(w->data + 20 * MIB, 2 * MIB, 100 + i);
        assert_int_equal(loop_new("data", NULL, &w->loop, &err), ERR_OK);
        assert_int_equal(
            store_dir_new(w->loop, folder, disk_lane, &w->store, &err), ERR_OK);
        w->chunks = slab_room_new(SESSION_CHUNK_SLAB, 8);
        w->parts = slab_room_new(SESSION_PART_SLAB, 1);
        timer_start(w->loop, &w->begin, 0, on_begin);
    }
    for (unsigned i = 0; i < LOOPS; i++)
        assert_int_equal(loop_start_thread(workers[i].loop, &err), ERR_OK);
    for (unsigned i = 0; i < LOOPS; i++)
        loop_join(workers[i].loop);
    assert_int_equal(nftw(folder, take_file, 16, FTW_PHYS), 0);
    for (unsigned i = 0; i < LOOPS; i++) {
        struct worker *w = &workers[i];
        struct rig_backup last = {.disks = 1,
                                  .disk = {{{.bytes = LEN}, w->data}}};

        if (w->err.code != ERR_OK)
            fail_msg("loop %u: %s", i, w->err.text);
        assert_int_equal(w->rounds, ROUNDS);
        last.result.point = w->points[ROUNDS - 1];
        rig_compare(&rig, &last);
        store_free(w->store);
        slab_room_free(w->chunks);
        slab_room_free(w->parts);
        loop_free(w->loop);
        free(w->data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_on_several_loops_share_a_vault),
    };
    struct err err;
    int rc;

    work_setup();
    rig_init(&rig);
    if (!mkdtemp(folder) || lane_new("disk", 2, 64, &disk_lane, &err) != ERR_OK)
        return 1;
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    lane_free(disk_lane, 5000);
    nftw(folder, remove_file, 16, FTW_PHYS | FTW_DEPTH);
    rig_fini(&rig);
    return rc;
}
