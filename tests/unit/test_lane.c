/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "loop/lane.h"

#define ITEMS 5000

struct item {
    struct lane_item item; /* first: a lane item is its item */
    struct lane *lane;
    unsigned number;
    unsigned ran, done;
    uv_sem_t *started; /* posted by run(), when set */
    uv_sem_t *hold;    /* run() waits for it, when set */
};

static struct loop *loop;
static struct item items[ITEMS];
static unsigned ran_count, done_count, refused_count;

static int set_up(void **state)
{
    (void)state;
    memset(items, 0, sizeof(items));
    ran_count = done_count = refused_count = 0;
    return loop_new("lane test", NULL, &loop, NULL) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static struct lane *new_lane(unsigned threads, size_t queue_max)
{
    struct lane *lane = NULL;
    struct err err;

    if (lane_new("test", threads, queue_max, &lane, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return lane;
}

static void run(struct lane_item *li)
{
    struct item *item = (struct item *)li;

    if (item->started)
        uv_sem_post(item->started);
    if (item->hold)
        uv_sem_wait(item->hold);
    item->ran++;
}

static void on_done(struct lane_item *li)
{
    struct item *item = (struct item *)li;

    item->done++;
    if (++done_count == ITEMS)
        loop_stop(loop);
}

static void fill(unsigned i, struct lane *lane,
                 void (*do_run)(struct lane_item *),
                 void (*done)(struct lane_item *))
{
    items[i].item.run = do_run;
    items[i].item.done = done;
    items[i].item.loop = loop;
    items[i].lane = lane;
    items[i].number = i;
}

static void every_item_of_many_threads_is_done_once(void **state)
{
    struct lane *lane = new_lane(4, ITEMS);

    (void)state;
    for (unsigned i = 0; i < ITEMS; i++) {
        fill(i, lane, run, on_done);
        assert_true(lane_start(lane, &items[i].item));
    }
    loop_run(loop);
    for (unsigned i = 0; i < ITEMS; i++)
        if (items[i].ran != 1 || items[i].done != 1)
            fail_msg("item %u: %u %u", i, items[i].ran, items[i].done);
    assert_true(lane_free(lane, 60000));
}

static void run_in_order(struct lane_item *li)
{
    struct item *item = (struct item *)li;

    item->ran = ran_count++ == item->number;
}

static void on_done_in_order(struct lane_item *li)
{
    struct item *item = (struct item *)li;

    item->done = done_count == item->number;
    if (++done_count == ITEMS)
        loop_stop(loop);
}

static void one_thread_keeps_the_order(void **state)
{
    struct lane *lane = new_lane(1, ITEMS);

    (void)state;
    for (unsigned i = 0; i < ITEMS; i++) {
        fill(i, lane, run_in_order, on_done_in_order);
        assert_true(lane_start(lane, &items[i].item));
    }
    loop_run(loop);
    for (unsigned i = 0; i < ITEMS; i++)
        if (!items[i].ran || !items[i].done)
            fail_msg("item %u is out of order", i);
    assert_true(lane_free(lane, 60000));
}

/* done() of one starts the next: the queue of one item has room by then. */
static void on_done_next(struct lane_item *li)
{
    struct item *item = (struct item *)li;

    if (item->number + 1 == ITEMS) {
        loop_stop(loop);
        return;
    }
    fill(item->number + 1, item->lane, run, on_done_next);
    if (!lane_start(item->lane, &items[item->number + 1].item))
        refused_count++;
}

static void there_is_room_again_when_done_is_called(void **state)
{
    struct lane *lane = new_lane(1, 1);

    (void)state;
    fill(0, lane, run, on_done_next);
    assert_true(lane_start(lane, &items[0].item));
    loop_run(loop);
    assert_int_equal(refused_count, 0);
    assert_int_equal(items[ITEMS - 1].ran, 1);
    assert_true(lane_free(lane, 60000));
}

static void a_full_queue_refuses_and_a_freed_lane_runs_what_it_has(void **state)
{
    struct lane *lane = new_lane(1, 3);
    uv_sem_t started, hold;

    (void)state;
    uv_sem_init(&started, 0);
    uv_sem_init(&hold, 0);
    for (unsigned i = 0; i < 4; i++)
        fill(i, lane, run, on_done);
    items[0].started = &started;
    items[0].hold = &hold;
    assert_true(lane_start(lane, &items[0].item));
    uv_sem_wait(&started); /* it runs, and counts nevertheless */
    assert_true(lane_start(lane, &items[1].item));
    assert_true(lane_start(lane, &items[2].item));
    assert_false(lane_start(lane, &items[3].item));
    uv_sem_post(&hold);
    assert_true(lane_free(lane, 60000));
    loop_stop(loop);
    loop_run(loop);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(items[i].ran, i < 3);
        assert_int_equal(items[i].done, i < 3);
    }
    uv_sem_destroy(&started);
    uv_sem_destroy(&hold);
}

static struct lane *hung; /* kept reachable: leaked on purpose */

static void a_hung_lane_is_given_up_after_the_wait(void **state)
{
    static uv_sem_t started, hold;
    uint64_t before = uv_hrtime();

    (void)state;
    hung = new_lane(2, 3);
    uv_sem_init(&started, 0);
    uv_sem_init(&hold, 0);
    fill(0, hung, run, on_done);
    items[0].started = &started;
    items[0].hold = &hold;
    assert_true(lane_start(hung, &items[0].item));
    uv_sem_wait(&started);
    assert_false(lane_free(hung, 20));
    assert_true(uv_hrtime() - before >= 20 * UINT64_C(1000000));
    fill(1, hung, run, on_done);
    assert_false(lane_start(hung, &items[1].item));
    uv_sem_post(&hold); /* asked again it is gone */
    assert_true(lane_free(hung, 60000));
    uv_sem_destroy(&started);
    uv_sem_destroy(&hold);
    assert_true(lane_free(NULL, 0));
}

static void threads_and_queue_have_bounds(void **state)
{
    struct lane *lane = NULL;
    struct err err;

    (void)state;
    assert_int_equal(lane_new("x", 0, 1, &lane, &err), ERR_ARGUMENT);
    assert_int_equal(lane_new("x", 17, 1, &lane, &err), ERR_ARGUMENT);
    assert_int_equal(lane_new("x", 1, 0, &lane, &err), ERR_ARGUMENT);
    assert_null(lane);
}

#define LANE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LANE_TEST(every_item_of_many_threads_is_done_once),
        LANE_TEST(one_thread_keeps_the_order),
        LANE_TEST(there_is_room_again_when_done_is_called),
        LANE_TEST(a_full_queue_refuses_and_a_freed_lane_runs_what_it_has),
        LANE_TEST(a_hung_lane_is_given_up_after_the_wait),
        LANE_TEST(threads_and_queue_have_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
