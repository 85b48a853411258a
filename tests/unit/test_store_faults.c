/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "store_fault.h"
#include "store_try.h"

struct world {
    struct loop *loop;
    struct store_fault_bucket *bucket;
    struct store *store;
    struct store_try t;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct err err;

    if (loop_new("test", NULL, &w->loop, &err))
        return -1;
    w->bucket = store_fault_bucket_new();
    w->store = store_fault_new(w->loop, w->bucket);
    store_try_init(&w->t, w->store);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    store_try_fini(&w->t);
    store_free(w->store);
    store_fault_bucket_free(w->bucket);
    loop_free(w->loop);
    free(w);
    return 0;
}

static const char *text(struct store_try *t)
{
    return buf_text(&t->bytes);
}

static void it_keeps_what_it_is_given(void **state)
{
    struct world *w = *state;
    struct store_upload *up;
    uint8_t *part = calloc(1, STORE_PART_BYTES);
    size_t len;

    assert_int_equal(store_try_put(&w->t, "b", "hello", 5), ERR_OK);
    assert_int_equal(store_try_put(&w->t, "a/x", "", 0), ERR_OK);
    assert_int_equal(store_try_put(&w->t, "b", "again", 5), ERR_OK);
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_OK);
    assert_string_equal(text(&w->t), "a/x 0\nb 5\n");
    assert_int_equal(store_try_get(&w->t, "b", (struct store_range){1, 3, 0}),
                     ERR_OK);
    assert_string_equal(text(&w->t), "gai");
    assert_int_equal(store_try_create(&w->t, "p"), ERR_OK);
    up = w->t.upload;
    part[STORE_PART_BYTES - 1] = 7;
    assert_int_equal(store_try_part(&w->t, up, 2, "tail", 4), ERR_OK);
    assert_int_equal(store_try_complete(&w->t, up), ERR_REMOTE);
    assert_int_equal(store_try_part(&w->t, up, 1, part, STORE_PART_BYTES),
                     ERR_OK);
    assert_int_equal(store_fault_uploads(w->bucket), 1);
    assert_int_equal(store_try_complete(&w->t, up), ERR_OK);
    assert_int_equal(store_fault_uploads(w->bucket), 0);
    assert_memory_equal(store_fault_peek(w->bucket, "p", &len) +
                            STORE_PART_BYTES - 1,
                        "\7tail", 5);
    assert_int_equal(len, STORE_PART_BYTES + 4);
    assert_int_equal(store_try_remove(&w->t, "p"), ERR_OK);
    assert_int_equal(store_try_head(&w->t, "p"), ERR_NOT_FOUND);
    free(part);
}

static void the_nth_of_a_kind_fails_and_no_other(void **state)
{
    struct world *w = *state;

    store_fault_add(w->store, &(struct store_fault_rule){.kind = FAULT_PUT,
                                                         .prefix = "p/",
                                                         .nth = 2,
                                                         .action = FAULT_FAIL,
                                                         .code = ERR_QUOTA});
    assert_int_equal(store_try_put(&w->t, "q/1", "x", 1), ERR_OK);
    assert_int_equal(store_try_put(&w->t, "p/1", "x", 1), ERR_OK);
    assert_int_equal(store_try_put(&w->t, "p/2", "x", 1), ERR_QUOTA);
    assert_int_equal(store_try_put(&w->t, "p/3", "x", 1), ERR_OK);
    assert_int_equal(store_try_head(&w->t, "p/2"), ERR_NOT_FOUND);
    assert_int_equal(store_fault_count(w->store, FAULT_PUT), 4);
}

static void a_lost_answer_leaves_the_deed_done(void **state)
{
    struct world *w = *state;

    store_fault_add(w->store, &(struct store_fault_rule){.kind = FAULT_PUT,
                                                         .nth = 1,
                                                         .action = FAULT_LOSE});
    assert_int_equal(store_try_put(&w->t, "a", "x", 1), ERR_UNREACHABLE);
    assert_int_equal(store_try_head(&w->t, "a"), ERR_OK);
}

static void bytes_are_flipped_cut_and_broken_off(void **state)
{
    static const struct store_fault_rule rules[] = {
        {FAULT_GET, NULL, 1, FAULT_FLIP, ERR_OK, 2, 0},
        {FAULT_GET, NULL, 2, FAULT_CUT, ERR_OK, 3, 0},
        {FAULT_GET, NULL, 3, FAULT_BREAK, ERR_IO, 0, 0},
    };
    struct store_range all = {0};
    struct world *w = *state;

    assert_int_equal(store_try_put(&w->t, "o", "abcdef", 6), ERR_OK);
    for (size_t i = 0; i < BYTES_COUNT(rules); i++)
        store_fault_add(w->store, &rules[i]);
    assert_int_equal(store_try_get(&w->t, "o", all), ERR_OK);
    assert_string_equal(text(&w->t), "absdef");
    assert_int_equal(store_try_get(&w->t, "o", all), ERR_OK);
    assert_string_equal(text(&w->t), "abc");
    assert_int_equal(store_try_get(&w->t, "o", all), ERR_IO);
    assert_string_equal(text(&w->t), "abc");
    assert_int_equal(store_try_get(&w->t, "o", all), ERR_OK);
    assert_string_equal(text(&w->t), "abcdef");
}

static void a_listing_can_be_stale(void **state)
{
    struct world *w = *state;

    assert_true(store_fault_poke(w->bucket, "old", "x", 1, 1000));
    assert_int_equal(store_try_put(&w->t, "new", "x", 1), ERR_OK);
    store_fault_add(w->store, &(struct store_fault_rule){.kind = FAULT_LIST,
                                                         .action = FAULT_HIDE,
                                                         .ms = 3600000});
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_OK);
    assert_string_equal(text(&w->t), "old 1\n");
}

static void what_is_held_begins_when_released(void **state)
{
    struct world *w = *state;
    struct store_put_opts put = {
        .name = "a", .done = store_try_on_done, .ctx = &w->t};
    struct err err;

    store_fault_add(w->store, &(struct store_fault_rule){.kind = FAULT_PUT,
                                                         .action = FAULT_HOLD});
    assert_int_equal(store_put(w->store, &put, &w->t.op, &err), ERR_OK);
    store_try_turn(w->loop, 2);
    assert_int_equal(w->t.done, 0);
    assert_int_equal(store_fault_held(w->store), 1);
    assert_int_equal(store_fault_objects(w->bucket), 0);
    assert_int_equal(store_fault_release(w->store), 1);
    store_try_wait(&w->t, 1);
    assert_int_equal(store_fault_objects(w->bucket), 1);

    w->t.done = 0;
    assert_int_equal(store_put(w->store, &put, &w->t.op, &err), ERR_OK);
    store_try_turn(w->loop, 2);
    store_op_cancel(w->t.op);
    assert_int_equal(w->t.done, 0);
    store_try_wait(&w->t, 1);
    assert_int_equal(w->t.err.code, ERR_CANCELLED);
    assert_int_equal(store_fault_held(w->store), 0);
}

static void locks_hold_as_far_as_the_traits_go(void **state)
{
    struct world *w = *state;
    struct store_put_opts put = {
        .name = "a",
        .write = {.lock = STORE_LOCK_GOVERNANCE,
                  .retain_until_ms = UINT64_C(1) << 60},
        .done = store_try_on_done,
        .ctx = &w->t};
    struct err err;

    assert_int_equal(store_put(w->store, &put, NULL, &err), ERR_OK);
    store_try_wait(&w->t, 1);
    assert_int_equal(store_fault_retained_ms(w->bucket, "a"), 0);
    w->store->traits.lock_on_put = true;
    w->t.done = 0;
    assert_int_equal(store_put(w->store, &put, NULL, &err), ERR_OK);
    store_try_wait(&w->t, 1);
    assert_int_equal(store_fault_retained_ms(w->bucket, "a"), UINT64_C(1)
                                                                  << 60);
    assert_int_equal(store_try_remove(&w->t, "a"), ERR_DENIED);
    assert_int_equal(store_try_head(&w->t, "a"), ERR_OK);
    assert_int_equal(w->t.info.retain_until_ms, UINT64_C(1) << 60);
}

static void a_paused_get_goes_on(void **state)
{
    struct world *w = *state;
    char data[1000];

    memset(data, 'x', sizeof(data));
    store_fault_piece(w->store, 7);
    assert_int_equal(store_try_put(&w->t, "o", data, sizeof(data)), ERR_OK);
    w->t.pause_every = 3;
    assert_int_equal(store_try_get(&w->t, "o", (struct store_range){0}),
                     ERR_OK);
    assert_int_equal(w->t.bytes.len, sizeof(data));
    w->t.pause_every = 0;
    w->t.cancel_at = 2;
    assert_int_equal(store_try_get(&w->t, "o", (struct store_range){0}),
                     ERR_CANCELLED);
    assert_int_equal(w->t.bytes.len, 14);
}

#define IN(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN(it_keeps_what_it_is_given),
        IN(the_nth_of_a_kind_fails_and_no_other),
        IN(a_lost_answer_leaves_the_deed_done),
        IN(bytes_are_flipped_cut_and_broken_off),
        IN(a_listing_can_be_stale),
        IN(what_is_held_begins_when_released),
        IN(locks_hold_as_far_as_the_traits_go),
        IN(a_paused_get_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
