/* SPDX-License-Identifier: Apache-2.0 */
#include "walk_rig.h"

static struct vault_rig *const rig = &walk_rig.vault;
static struct vault_make *const make = &walk_rig.make;

/* --- order and requests --------------------------------------------------- */

static void a_full_disk_takes_two_requests_a_pack(void **state)
{
    struct vault_walk w = {.memory = 16 * MIB};
    uint64_t before;

    (void)state;
    walk_rig_begin();
    for (uint32_t p = 0; p < 4; p++)
        walk_rig_add(200, vault_make_data(make, 1000 * p, 200, 0), 0);
    walk_rig_disk(false);
    before = rig->store->requests;
    walk_rig_expect(&w);
    assert_int_equal(rig->store->requests - before, 8);
    assert_int_equal(w.figures.packs, 4);
    assert_int_equal(w.figures.body_gets, 4);
    assert_int_equal(w.figures.chunks, 800);
    assert_int_equal(w.figures.data_bytes, walk_rig.disk_bytes);
    walk_rig_end();
}

static void packs_that_take_turns_are_read_forward_together(void **state)
{
    struct vault_walk w = {.memory = 16 * MIB};

    (void)state;
    walk_rig_begin();
    for (uint32_t p = 0; p < 4; p++)
        vault_make_data(make, 1000 * p, 100, 0);
    for (uint32_t i = 0; i < 100; i++)
        for (uint32_t p = 0; p < 4; p++)
            walk_rig_add(1, p, i);
    walk_rig_disk(false);
    walk_rig_expect(&w);
    assert_int_equal(w.figures.body_gets, 4);
    walk_rig_end();
}

static void a_chunk_that_comes_again_and_again_is_fetched_once(void **state)
{
    struct vault_walk w = {.memory = WALK_MEMORY_MIN};

    (void)state;
    walk_rig_begin();
    vault_make_data(make, 7, 3, 0);
    for (int i = 0; i < 3000; i++)
        walk_rig_add(1, 0, 1);
    walk_rig_disk(false);
    walk_rig_expect(&w);
    assert_int_equal(w.figures.body_gets, 1);
    assert_int_equal(w.figures.chunks, 1);
    walk_rig_end();
}

static void what_lies_far_apart_is_not_read_over(void **state)
{
    struct vault_walk w = {0};
    uint64_t before;

    (void)state;
    walk_rig_begin();
    vault_make_data(make, 0, 300, 0);
    walk_rig_add(5, 0, 0);
    walk_rig_add(5, 0, 290);
    walk_rig_disk(false);
    before = rig->store->received_bytes;
    walk_rig_expect(&w);
    assert_int_equal(w.figures.body_gets, 2);
    assert_true(rig->store->received_bytes - before < 20 * WALK_RIG_CHUNK);
    walk_rig_end();
}

static void zeros_cost_nothing(void **state)
{
    struct vault_walk w = {0};
    uint64_t before = rig->store->requests;

    (void)state;
    walk_rig_begin();
    walk_rig_add(1 << 14, MAP_ZERO, 0); /* 1 GiB */
    walk_rig_disk(false);
    assert_int_equal(walk_rig_walk(&w), ERR_OK);
    assert_int_equal(rig->store->requests, before);
    assert_int_equal(w.deliveries, 1);
    walk_rig_end();
}

/* Numbers that are the same in each run. */
static uint32_t dice(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)*seed * below) >> 32);
}

/* A disk of zeros, runs forwards and backwards, repetitions. */
static void random_runs(uint32_t seed, uint32_t packs, uint32_t slots)
{
    for (int i = 0; i < 150; i++) {
        uint32_t pack = dice(&seed, packs), first = dice(&seed, slots);
        uint32_t count = 1 + dice(&seed, slots - first);

        if (count > 20)
            count = 20;
        switch (dice(&seed, 4)) {
        case 0:
            walk_rig_add(1 + dice(&seed, 50), MAP_ZERO, 0);
            break;
        case 1: /* backwards */
            for (uint32_t j = 0; j < count && j < 6; j++)
                walk_rig_add(1, pack, first + count - 1 - j);
            break;
        case 2: /* the same again and again */
            for (uint32_t j = 0; j < count; j++)
                walk_rig_add(1, pack, first);
            break;
        default:
            walk_rig_add(count, pack, first);
        }
    }
}

static void any_map_comes_out_right(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 12; seed++) {
        struct vault_walk w = {.memory = seed % 2 ? WALK_MEMORY_MIN : 24 * MIB,
                               .refuse_each = seed % 5};

        walk_rig_begin();
        for (uint32_t p = 0; p < 9; p++)
            vault_make_data(make, 1000 * p, 40, 0);
        random_runs(seed, 9, 40);
        store_fault_piece(rig->store, seed % 3 == 0   ? 1000
                                      : seed % 3 == 1 ? 16384
                                                      : 262144);
        walk_rig_disk(false);
        walk_rig_expect(&w);
        walk_rig_end();
    }
    store_fault_piece(rig->store, 262144);
}

static void a_disk_may_end_anywhere(void **state)
{
    static const uint32_t ends[] = {512, 4096, 65024};

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(ends); i++) {
        struct vault_walk w = {0};

        walk_rig_begin();
        vault_make_data(make, 0, 3, ends[i]);
        walk_rig_add(2, MAP_ZERO, 0);
        walk_rig_add(3, 0, 0);
        walk_rig.disk_bytes -= WALK_RIG_CHUNK - ends[i];
        walk_rig_disk(false);
        walk_rig_expect(&w);
        walk_rig_end();
    }
    { /* in zeros */
        struct vault_walk w = {0};

        walk_rig_begin();
        vault_make_data(make, 0, 3, 0);
        walk_rig_add(3, 0, 0);
        walk_rig_add(2, MAP_ZERO, 0);
        walk_rig.disk_bytes -= 1024;
        walk_rig_disk(false);
        walk_rig_expect(&w);
        walk_rig_end();
    }
    { /* at once */
        struct vault_walk w = {0};

        walk_rig_begin();
        vault_make_disk(make, 0, NULL, 0, false);
        walk_rig_expect(&w);
        assert_int_equal(w.deliveries, 0);
        walk_rig_end();
    }
}

static void a_disk_in_pages_comes_out_right(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 4; seed++) {
        struct vault_walk w = {.memory = WALK_MEMORY_MIN,
                               .refuse_each = seed == 3 ? 7 : 0};

        walk_rig_begin();
        for (uint32_t p = 0; p < 5; p++)
            vault_make_data(make, 1000 * p, 40, 0);
        random_runs(seed, 5, 40);
        walk_rig_add(5000, MAP_ZERO, 0); /* whole pages of zeros between */
        random_runs(seed + 100, 5, 40);
        walk_rig_add(9000, MAP_ZERO, 0);
        random_runs(seed + 200, 5, 40);
        walk_rig_disk(true);
        walk_rig_expect(&w);
        walk_rig_end();
    }
}

/* --- generations ---------------------------------------------------------- */

/* 60 slots of one pack, all of them wanted. */
static void damage_slot(const char *name, uint32_t slot)
{
    assert_true(store_fault_damage(rig->bucket, name,
                                   vault_make_offset(make, name, slot) + 5, 1));
}

static void a_pack_lives_on_in_another_generation(void **state)
{
    struct vault_walk w = {0};
    char name[NAME_TEXT];

    (void)state;
    walk_rig_one_pack();
    vault_make_again(make, 0, 1, NULL, 0, name);
    store_fault_drop(rig->bucket, make->pack[0].name);
    walk_rig_expect(&w);
    walk_rig_end();
}

static void bad_slots_are_found_wherever_they_are_good(void **state)
{
    struct vault_walk w = {0};
    char first[NAME_TEXT], second[NAME_TEXT];
    static const uint32_t drop[] = {11, 12};

    (void)state;
    walk_rig_one_pack();
    vault_make_again(make, 0, 1, NULL, 0, first);
    vault_make_again(make, 0, 2, drop, 2, second);
    /* each object lacks something that only one other has */
    damage_slot(make->pack[0].name, 3);
    damage_slot(make->pack[0].name, 40);
    damage_slot(first, 41);
    damage_slot(first, 3);
    damage_slot(first, 42);
    damage_slot(second, 40);
    damage_slot(second, 42);
    damage_slot(second, 59);
    walk_rig_expect(&w);
    assert_true(w.figures.retries > 0);
    walk_rig_end();
}

static void a_slot_that_is_bad_everywhere_is_named(void **state)
{
    struct vault_walk w = {0};
    char name[NAME_TEXT];
    static const uint32_t drop[] = {17};

    (void)state;
    walk_rig_one_pack();
    vault_make_again(make, 0, 1, drop, 1, name);
    damage_slot(make->pack[0].name, 17);
    assert_int_equal(walk_rig_walk(&w), ERR_INTEGRITY);
    assert_non_null(strstr(w.err.text, "slot 17"));
    assert_non_null(strstr(w.err.text, "20260101T000000Z-00000001"));
    assert_true(w.at <= 17 * WALK_RIG_CHUNK);
    walk_rig_end();
}

/* Who holds keys can make two objects, each of which lacks what the other has:
 * going from one to the other must come to an end. */
static void objects_that_lack_each_others_slots_are_given_up(void **state)
{
    struct vault_walk w = {0};
    char name[NAME_TEXT], says[64], id[33];
    uint32_t drop[2][30];

    (void)state;
    for (uint32_t i = 0; i < 60; i++)
        drop[i % 2][i / 2] = i;
    walk_rig_one_pack();
    vault_make_again(make, 0, 1, drop[0], 30, name);
    vault_make_again(make, 0, 2, drop[1], 30, name);
    store_fault_drop(rig->bucket, make->pack[0].name);
    assert_int_equal(walk_rig_walk(&w), ERR_INTEGRITY);
    bytes_hex(make->pack[0].id.b, 16, id);
    snprintf(says, sizeof(says), "pack %s: slot ", id);
    assert_non_null(strstr(w.err.text, says));
    assert_non_null(strstr(w.err.text, "1024 times"));
    walk_rig_end();
}

static void junk_beside_a_good_object_hides_nothing(void **state)
{
    struct vault_walk w = {0};
    char name[NAME_TEXT + 16];

    (void)state;
    walk_rig_one_pack();
    snprintf(name, sizeof(name), "%s.ffff-00000000", make->pack[0].name);
    store_fault_poke(rig->bucket, name, "junk", 4, 1000);
    walk_rig_expect(&w);
    vault_make_again(make, 0, 1, NULL, 0, name);
    store_fault_drop(rig->bucket, make->pack[0].name);
    walk_rig_expect(&w);
    walk_rig_end();
}

static void a_bad_header_sends_us_to_another_object(void **state)
{
    struct vault_walk w = {0};
    char name[NAME_TEXT];

    (void)state;
    walk_rig_one_pack();
    vault_make_again(make, 0, 1, NULL, 0, name);
    store_fault_damage(rig->bucket, make->pack[0].name, 50, 1);
    walk_rig_expect(&w);
    /* where the wanted slots are far from it too */
    walk_rig_end();
    walk_rig_begin();
    vault_make_data(make, 0, 60, 0);
    walk_rig_add(10, 0, 50);
    walk_rig_disk(false);
    vault_make_again(make, 0, 1, NULL, 0, name);
    store_fault_damage(rig->bucket, make->pack[0].name, 50, 1);
    walk_rig_expect(&w);
    store_fault_damage(rig->bucket, name, 50, 1);
    assert_int_equal(walk_rig_walk(&w), ERR_INTEGRITY);
    walk_rig_end();
}

/* The second GET is the body's: compaction took the object meanwhile. */
static void a_pack_that_goes_while_it_is_read_is_found_again(void **state)
{
    struct store_fault_rule rule = {.kind = FAULT_GET,
                                    .nth = 2,
                                    .action = FAULT_FAIL,
                                    .code = ERR_NOT_FOUND};
    struct vault_walk w = {0};
    char name[NAME_TEXT];

    (void)state;
    walk_rig_one_pack();
    vault_make_again(make, 0, 1, NULL, 0, name);
    store_fault_add(rig->store, &rule);
    walk_rig_expect(&w);
    walk_rig_end();
}

static void a_body_that_is_cut_or_changed_is_read_elsewhere(void **state)
{
    struct store_fault_rule rule = {
        .kind = FAULT_GET, .nth = 2, .offset = 10 * WALK_RIG_CHUNK};
    struct vault_walk w = {0};
    char name[NAME_TEXT];

    (void)state;
    for (int i = 0; i < 2; i++) {
        walk_rig_one_pack();
        vault_make_again(make, 0, 1, NULL, 0, name);
        rule.action = i ? FAULT_CUT : FAULT_FLIP;
        store_fault_add(rig->store, &rule);
        walk_rig_expect(&w);
        walk_rig_end();
        walk_rig_one_pack(); /* there is no other */
        store_fault_add(rig->store, &rule);
        assert_int_equal(walk_rig_walk(&w), ERR_INTEGRITY);
        walk_rig_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_takes_two_requests_a_pack),
        cmocka_unit_test(packs_that_take_turns_are_read_forward_together),
        cmocka_unit_test(a_chunk_that_comes_again_and_again_is_fetched_once),
        cmocka_unit_test(what_lies_far_apart_is_not_read_over),
        cmocka_unit_test(zeros_cost_nothing),
        cmocka_unit_test(any_map_comes_out_right),
        cmocka_unit_test(a_disk_may_end_anywhere),
        cmocka_unit_test(a_disk_in_pages_comes_out_right),
        cmocka_unit_test(a_pack_lives_on_in_another_generation),
        cmocka_unit_test(bad_slots_are_found_wherever_they_are_good),
        cmocka_unit_test(a_slot_that_is_bad_everywhere_is_named),
        cmocka_unit_test(objects_that_lack_each_others_slots_are_given_up),
        cmocka_unit_test(junk_beside_a_good_object_hides_nothing),
        cmocka_unit_test(a_bad_header_sends_us_to_another_object),
        cmocka_unit_test(a_pack_that_goes_while_it_is_read_is_found_again),
        cmocka_unit_test(a_body_that_is_cut_or_changed_is_read_elsewhere),
    };

    return cmocka_run_group_tests(tests, walk_rig_set_up, walk_rig_tear_down);
}
