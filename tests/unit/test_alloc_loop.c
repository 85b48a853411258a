/* SPDX-License-Identifier: Apache-2.0 */
/* loop/ without memory: every allocation fails once, the sanitizer watches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "loop/budget.h"
#include "loop/delay.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "loop/slab.h"

static void on_granted(struct budget_need *need)
{
}

static bool ask(struct budget *budget, struct loop *loop,
                struct budget_need *need)
{
    need->loop = loop;
    need->granted = on_granted;
    return budget_ask(budget, need);
}

static void nothing_is_half_made(void **state)
{
    (void)state;
    for (unsigned n = 1; alloc_fail_round(n); n++) {
        struct loop *loop = NULL;
        struct lane *lane = NULL;
        struct delay *delay = NULL;
        struct err err = {0};
        struct budget_need need = {.tenant = 7, .bytes = 60};
        bool asked;
        struct budget *budget = budget_new(100, 0);
        struct slab_room *room = slab_room_new(5000, 1);
        struct slab *slab = room ? slab_take(room) : NULL;

        loop_new("x", NULL, &loop, &err);
        lane_new("x", 2, 1, &lane, &err);
        if (loop)
            delay = delay_new(loop);
        asked = budget && loop && ask(budget, loop, &need);
        alloc_fail_off();
        if (asked) {
            assert_false(budget_withdraw(budget, &need));
            loop_stop(loop);
            loop_run(loop);
            budget_give(budget, need.tenant, need.bytes);
        }
        assert_int_equal(budget && asked && slab && loop && lane && delay,
                         !alloc_fail_happened());
        if (alloc_fail_happened() && budget && slab && (!loop || !lane))
            assert_int_equal(err.code, ERR_NOMEM);
        delay_free(delay);
        assert_true(lane_free(lane, 60000));
        loop_free(loop);
        slab_give(slab);
        slab_room_free(room);
        budget_free(budget);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_half_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
