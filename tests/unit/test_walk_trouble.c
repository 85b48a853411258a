/* SPDX-License-Identifier: Apache-2.0 */
/* Points that lie, requests that fail, cancelling. */
#include "walk_rig.h"

static struct vault_rig *const rig = &walk_rig.vault;
static struct vault_make *const make = &walk_rig.make;

/* --- points that lie ------------------------------------------------------ */

static void expect_damage(const char *says)
{
    struct vault_walk w = {0};
    enum err_code rc = walk_rig_walk(&w);

    if (rc != ERR_INTEGRITY || !strstr(w.err.text, says))
        fail_msg("wanted `%s`, got %s: %s", says, err_name(rc), w.err.text);
}

static void a_map_that_names_what_is_not_there_is_refused(void **state)
{
    static const uint32_t drop[] = {5};
    char name[NAME_TEXT];

    (void)state;
    walk_rig_one_pack();
    make->map[0].data[2] = 1; /* first slot 1: the last is not there */
    expect_damage("no slot 60");
    walk_rig_end();

    walk_rig_one_pack(); /* dropped */
    vault_make_again(make, 0, 1, drop, 1, name);
    store_fault_drop(rig->bucket, make->pack[0].name);
    expect_damage("slot 5 was dropped");
    walk_rig_end();

    walk_rig_one_pack(); /* of another length than a chunk of the disk */
    make->disk[0].bytes -= 512;
    expect_damage("bytes");
    walk_rig_end();

    walk_rig_one_pack(); /* fewer chunks than the disk has */
    make->disk[0].bytes += WALK_RIG_CHUNK;
    expect_damage("disk 0");
    walk_rig_end();

    walk_rig_one_pack(); /* under another key than the table says */
    make->table[0].key = 0;
    make->key[0] = make->key[1];
    make->key[0].b[0] ^= 1;
    {
        struct vault_walk w = {0};

        assert_int_equal(walk_rig_walk(&w), ERR_KEY);
    }
    walk_rig_end();
}

static void chunks_come_from_data_packs_and_pages_from_map_packs(void **state)
{
    uint8_t chunk[WALK_RIG_CHUNK];
    struct slice one = {chunk, sizeof(chunk)};

    (void)state;
    walk_rig_begin();
    memset(chunk, 'x', sizeof(chunk));
    vault_make_raw(make, SEAL_SLOT_MAP, &one, 1);
    walk_rig_add(1, 0, 0);
    walk_rig_disk(false);
    expect_damage("wrong kind");
    make->disk[0].paged = true; /* now a page, but not a page's bytes */
    expect_damage("page 0");
    walk_rig_end();
}

static void a_page_that_names_an_unknown_pack_is_refused(void **state)
{
    (void)state;
    walk_rig_begin();
    vault_make_data(make, 0, 5, 0);
    walk_rig_add(5, 0, 0);
    walk_rig_disk(true);
    make->table[0].id.b[0] ^= 1;
    expect_damage("names a pack");
    walk_rig_end();
}

static void a_wrong_content_sum_is_found_at_the_end(void **state)
{
    struct vault_walk w = {0};

    (void)state;
    walk_rig_one_pack();
    make->disk[0].sum[31] ^= 1;
    assert_int_equal(walk_rig_walk(&w), ERR_INTEGRITY);
    assert_non_null(strstr(w.err.text, "content sum"));
    assert_int_equal(w.at, walk_rig.disk_bytes);
    walk_rig_end();
}

static void a_pack_that_is_nowhere_is_the_answer(void **state)
{
    struct vault_walk w = {0};

    (void)state;
    walk_rig_one_pack();
    store_fault_drop(rig->bucket, make->pack[0].name);
    assert_int_equal(walk_rig_walk(&w), ERR_NOT_FOUND);
    walk_rig_end();
}

/* --- failures and cancelling ---------------------------------------------- */

static void any_failing_request_is_the_answer(void **state)
{
    struct store_fault_rule rule = {.kind = FAULT_ANY, .action = FAULT_FAIL};
    static const enum err_code codes[] = {ERR_UNREACHABLE, ERR_COLD};
    uint64_t requests;
    struct vault_walk w = {0};

    (void)state;
    walk_rig_begin();
    for (uint32_t p = 0; p < 3; p++) /* the header is far from the slots */
        walk_rig_add(30, vault_make_data(make, 1000 * p, 50, 0), 20);
    walk_rig_disk(true);
    requests = rig->store->requests;
    walk_rig_expect(&w);
    requests = rig->store->requests - requests;
    assert_int_equal(requests, 2 + 3 * 3);
    for (size_t i = 0; i < BYTES_COUNT(codes); i++)
        for (rule.nth = 1; rule.nth <= requests; rule.nth++) {
            rule.code = codes[i];
            store_fault_add(rig->store, &rule);
            assert_int_equal(walk_rig_walk(&w), codes[i]);
            store_fault_clear(rig->store);
        }
    walk_rig_end();
}

static void a_body_that_breaks_off_is_the_answer(void **state)
{
    struct store_fault_rule rule = {.kind = FAULT_GET,
                                    .nth = 2,
                                    .action = FAULT_BREAK,
                                    .code = ERR_UNREACHABLE};
    struct vault_walk w = {0};

    (void)state;
    walk_rig_one_pack();
    store_fault_add(rig->store, &rule);
    assert_int_equal(walk_rig_walk(&w), ERR_UNREACHABLE);
    walk_rig_end();
}

static void cancelling_at_any_time_ends_it_once(void **state)
{
    struct store_fault_rule rule = {.kind = FAULT_ANY, .action = FAULT_HOLD};
    struct point p;

    (void)state;
    walk_rig_begin();
    for (uint32_t n = 0; n < 3; n++)
        walk_rig_add(30, vault_make_data(make, 1000 * n, 50, 0), 20);
    walk_rig_add(2, MAP_ZERO, 0);
    walk_rig_disk(true);
    p = vault_make_point(make);
    for (rule.nth = 1; rule.nth <= 11; rule.nth++) {
        struct vault_walk w = {.rig = rig};
        unsigned before = rig->done;

        store_fault_add(rig->store, &rule);
        assert_int_equal(
            vault_walk_begin(&w, walk_rig.keys, &p, VAULT_MAKE_NAME, 0),
            ERR_OK);
        while (!store_fault_held(rig->store))
            vault_rig_turn(rig);
        walk_cancel(w.walk);
        assert_int_equal(rig->done, before);
        store_fault_release(rig->store);
        vault_rig_wait(rig, before + 1);
        assert_int_equal(w.err.code, ERR_CANCELLED);
        store_fault_clear(rig->store);
    }
    for (unsigned at = 1; at <= 91; at += 9) { /* inside a delivery */
        struct vault_walk w = {.cancel_at = at};

        assert_int_equal(walk_rig_walk(&w), ERR_CANCELLED);
        assert_int_equal(w.deliveries, at);
    }
    { /* at once */
        struct vault_walk w = {.rig = rig};
        unsigned before = rig->done;

        assert_int_equal(
            vault_walk_begin(&w, walk_rig.keys, &p, VAULT_MAKE_NAME, 0),
            ERR_OK);
        walk_cancel(w.walk);
        assert_int_equal(rig->done, before);
        vault_rig_wait(rig, before + 1);
        assert_int_equal(w.err.code, ERR_CANCELLED);
    }
    walk_rig_end();
}

static void cancelling_while_all_waits_for_us_ends_it(void **state)
{
    struct vault_walk w = {.rig = rig, .refuse_each = 1, .no_resume = true};
    struct point p;
    unsigned before = rig->done;

    (void)state;
    walk_rig_begin();
    vault_make_data(make, 0, 2, 0);
    walk_rig_add(2, 0, 0);
    walk_rig_disk(false);
    p = vault_make_point(make);
    assert_int_equal(
        vault_walk_begin(&w, walk_rig.keys, &p, VAULT_MAKE_NAME, 0), ERR_OK);
    while (!w.refused)
        vault_rig_turn(rig);
    for (int i = 0; i < 20; i++)
        vault_rig_turn(rig);
    assert_int_equal(rig->done, before);
    walk_cancel(w.walk);
    vault_rig_wait(rig, before + 1);
    assert_int_equal(w.err.code, ERR_CANCELLED);
    walk_rig_end();
}

static void a_start_that_fails_never_calls_back(void **state)
{
    struct vault_walk w = {.rig = rig, .memory = WALK_MEMORY_MIN - 1};
    unsigned before = rig->done;
    struct point p;

    (void)state;
    walk_rig_one_pack();
    p = vault_make_point(make);
    assert_int_equal(
        vault_walk_begin(&w, walk_rig.keys, &p, VAULT_MAKE_NAME, 0),
        ERR_ARGUMENT);
    w.memory = 0;
    assert_int_equal(
        vault_walk_begin(&w, walk_rig.keys, &p, VAULT_MAKE_NAME, 1),
        ERR_ARGUMENT);
    vault_rig_turn(rig);
    assert_int_equal(rig->done, before);
    walk_rig_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_that_names_what_is_not_there_is_refused),
        cmocka_unit_test(chunks_come_from_data_packs_and_pages_from_map_packs),
        cmocka_unit_test(a_page_that_names_an_unknown_pack_is_refused),
        cmocka_unit_test(a_wrong_content_sum_is_found_at_the_end),
        cmocka_unit_test(a_pack_that_is_nowhere_is_the_answer),
        cmocka_unit_test(any_failing_request_is_the_answer),
        cmocka_unit_test(a_body_that_breaks_off_is_the_answer),
        cmocka_unit_test(cancelling_at_any_time_ends_it_once),
        cmocka_unit_test(cancelling_while_all_waits_for_us_ends_it),
        cmocka_unit_test(a_start_that_fails_never_calls_back),
    };

    return cmocka_run_group_tests(tests, walk_rig_set_up, walk_rig_tear_down);
}
