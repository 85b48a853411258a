/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "loop/work.h"

#define ITEMS 3000

struct item {
    struct work work; /* first: a work is its item */
    unsigned number, result, done;
    int nice;
    bool elsewhere;
};

static unsigned workers, left;
static struct loop *loop;

static void run(struct work *w)
{
    struct item *item = (struct item *)w;

    item->result = item->number * 2 + 1;
    item->elsewhere = gettid() != getpid();
    item->nice = getpriority(PRIO_PROCESS, 0);
}

static void done(struct work *w)
{
    struct item *item = (struct item *)w;

    item->done++;
    if (--left == 0)
        loop_stop(loop);
}

static void every_item_is_run_elsewhere_and_comes_back_once(void **state)
{
    static struct item items[ITEMS];
    int own_nice = getpriority(PRIO_PROCESS, 0);

    (void)state;
    assert_int_equal(loop_new("work", NULL, &loop, NULL), ERR_OK);
    left = ITEMS;
    for (unsigned i = 0; i < ITEMS; i++) {
        items[i].number = i;
        items[i].work.run = run;
        items[i].work.done = done;
        work_start(loop, &items[i].work);
        assert_int_equal(items[i].done, 0);
    }
    loop_run(loop);
    for (unsigned i = 0; i < ITEMS; i++) {
        assert_int_equal(items[i].done, 1);
        assert_true(items[i].elsewhere);
        assert_int_equal(items[i].result, 2 * i + 1);
        assert_true(items[i].nice > own_nice || own_nice == 19);
    }
    assert_int_equal(getpriority(PRIO_PROCESS, 0), own_nice);
    loop_free(loop);
}

static void there_are_as_many_workers_as_cores(void **state)
{
    char want[16];

    (void)state;
    snprintf(want, sizeof(want), "%u", workers);
    assert_true(workers >= 1);
    assert_int_equal(workers, uv_available_parallelism());
    assert_string_equal(getenv("UV_THREADPOOL_SIZE"), want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_run_elsewhere_and_comes_back_once),
        cmocka_unit_test(there_are_as_many_workers_as_cores),
    };

    workers = work_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
