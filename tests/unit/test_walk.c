/* SPDX-License-Identifier: Apache-2.0 */
#include "vault_make.h"
#include "vault_walk.h"
#include "vectors_keys.h"

#define CHUNK 65536u
#define RUNS 4000

static struct vault_rig rig;
static struct keyring *keys;
static struct vault_make make;
static struct map_run runs[RUNS];
static size_t run_count;
static uint64_t disk_bytes;

static int set_up(void **state)
{
    (void)state;
    work_setup();
    vault_rig_init(&rig, false);
    keys = vectors_keyring(rig.suite, true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    keyring_unref(keys);
    vault_rig_fini(&rig);
    return 0;
}

static void begin(void)
{
    while (store_fault_objects(rig.bucket))
        store_fault_drop(rig.bucket, store_fault_name(rig.bucket, 0));
    vault_make_init(&make, &rig, keys, CHUNK);
    run_count = 0;
    disk_bytes = 0;
}

static void end(void)
{
    store_fault_clear(rig.store);
    vault_make_fini(&make);
}

static void add_run(uint32_t count, uint32_t pack, uint32_t first)
{
    assert_true(run_count < RUNS);
    runs[run_count++] = (struct map_run){count, pack, first};
    disk_bytes += (uint64_t)count * CHUNK;
}

/* Walk disk 0; on success what came must be what the runs say. */
static enum err_code walk_it(struct vault_walk *w)
{
    struct point p = vault_make_point(&make);
    uint8_t want[32];

    w->rig = &rig;
    if (vault_walk_all(w, keys, &p, VAULT_MAKE_NAME, 0) != ERR_OK)
        return w->err.code;
    vault_make_sha256(&make, disk_bytes, runs, run_count, want);
    assert_memory_equal(w->sha256, want, 32);
    assert_int_equal(w->at, disk_bytes);
    assert_int_equal(w->figures.bytes, disk_bytes);
    return ERR_OK;
}

static void expect_good(struct vault_walk *w)
{
    if (walk_it(w) != ERR_OK)
        fail_msg("%s", w->err.text);
}

/* --- order and requests --------------------------------------------------- */

static void a_full_disk_takes_two_requests_a_pack(void **state)
{
    struct vault_walk w = {.memory = 16 * MIB};
    uint64_t before;

    (void)state;
    begin();
    for (uint32_t p = 0; p < 4; p++)
        add_run(200, vault_make_data(&make, 1000 * p, 200, 0), 0);
    vault_make_disk(&make, disk_bytes, runs, run_count, false);
    before = rig.store->requests;
    expect_good(&w);
    assert_int_equal(rig.store->requests - before, 8);
    assert_int_equal(w.figures.packs, 4);
    assert_int_equal(w.figures.body_gets, 4);
    assert_int_equal(w.figures.chunks, 800);
    assert_int_equal(w.figures.data_bytes, disk_bytes);
    end();
}

static void packs_that_take_turns_are_read_forward_together(void **state)
{
    struct vault_walk w = {.memory = 16 * MIB};

    (void)state;
    begin();
    for (uint32_t p = 0; p < 4; p++)
        vault_make_data(&make, 1000 * p, 100, 0);
    for (uint32_t i = 0; i < 100; i++)
        for (uint32_t p = 0; p < 4; p++)
            add_run(1, p, i);
    vault_make_disk(&make, disk_bytes, runs, run_count, false);
    expect_good(&w);
    assert_int_equal(w.figures.body_gets, 4);
    end();
}

static void a_chunk_that_comes_again_and_again_is_fetched_once(void **state)
{
    struct vault_walk w = {.memory = WALK_MEMORY_MIN};

    (void)state;
    begin();
    vault_make_data(&make, 7, 3, 0);
    for (int i = 0; i < 3000; i++)
        add_run(1, 0, 1);
    vault_make_disk(&make, disk_bytes, runs, run_count, false);
    expect_good(&w);
    assert_int_equal(w.figures.body_gets, 1);
    assert_int_equal(w.figures.chunks, 1);
    end();
}

static void what_lies_far_apart_is_not_read_over(void **state)
{
    struct vault_walk w = {0};
    uint64_t before;

    (void)state;
    begin();
    vault_make_data(&make, 0, 300, 0);
    add_run(5, 0, 0);
    add_run(5, 0, 290);
    vault_make_disk(&make, disk_bytes, runs, run_count, false);
    before = rig.store->received_bytes;
    expect_good(&w);
    assert_int_equal(w.figures.body_gets, 2);
    assert_true(rig.store->received_bytes - before < 20 * CHUNK);
    end();
}

static void zeros_cost_nothing(void **state)
{
    struct vault_walk w = {0};
    uint64_t before = rig.store->requests;

    (void)state;
    begin();
    add_run(1 << 14, MAP_ZERO, 0); /* 1 GiB */
    vault_make_disk(&make, disk_bytes, runs, run_count, false);
    assert_int_equal(walk_it(&w), ERR_OK);
    assert_int_equal(rig.store->requests, before);
    assert_int_equal(w.deliveries, 1);
    end();
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
            add_run(1 + dice(&seed, 50), MAP_ZERO, 0);
            break;
        case 1: /* backwards */
            for (uint32_t j = 0; j < count && j < 6; j++)
                add_run(1, pack, first + count - 1 - j);
            break;
        case 2: /* the same again and again */
            for (uint32_t j = 0; j < count; j++)
                add_run(1, pack, first);
            break;
        default:
            add_run(count, pack, first);
        }
    }
}

static void any_map_comes_out_right(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 12; seed++) {
        struct vault_walk w = {.memory = seed % 2 ? WALK_MEMORY_MIN : 24 * MIB,
                               .refuse_each = seed % 5};

        begin();
        for (uint32_t p = 0; p < 9; p++)
            vault_make_data(&make, 1000 * p, 40, 0);
        random_runs(seed, 9, 40);
        store_fault_piece(rig.store, seed % 3 == 0   ? 1000
                                     : seed % 3 == 1 ? 16384
                                                     : 262144);
        vault_make_disk(&make, disk_bytes, runs, run_count, false);
        expect_good(&w);
        end();
    }
    store_fault_piece(rig.store, 262144);
}

static void a_disk_may_end_anywhere(void **state)
{
    static const uint32_t ends[] = {512, 4096, 65024};

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(ends); i++) {
        struct vault_walk w = {0};

        begin();
        vault_make_data(&make, 0, 3, ends[i]);
        add_run(2, MAP_ZERO, 0);
        add_run(3, 0, 0);
        disk_bytes -= CHUNK - ends[i];
        vault_make_disk(&make, disk_bytes, runs, run_count, false);
        expect_good(&w);
        end();
    }
    { /* in zeros */
        struct vault_walk w = {0};

        begin();
        vault_make_data(&make, 0, 3, 0);
        add_run(3, 0, 0);
        add_run(2, MAP_ZERO, 0);
        disk_bytes -= 1024;
        vault_make_disk(&make, disk_bytes, runs, run_count, false);
        expect_good(&w);
        end();
    }
    { /* at once */
        struct vault_walk w = {0};

        begin();
        vault_make_disk(&make, 0, runs, 0, false);
        expect_good(&w);
        assert_int_equal(w.deliveries, 0);
        end();
    }
}

static void a_disk_in_pages_comes_out_right(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 4; seed++) {
        struct vault_walk w = {.memory = WALK_MEMORY_MIN,
                               .refuse_each = seed == 3 ? 7 : 0};

        begin();
        for (uint32_t p = 0; p < 5; p++)
            vault_make_data(&make, 1000 * p, 40, 0);
        random_runs(seed, 5, 40);
        add_run(5000, MAP_ZERO, 0); /* whole pages of zeros between */
        random_runs(seed + 100, 5, 40);
        add_run(9000, MAP_ZERO, 0);
        random_runs(seed + 200, 5, 40);
        vault_make_disk(&make, disk_bytes, runs, run_count, true);
        expect_good(&w);
        end();
    }
}

/* --- generations ---------------------------------------------------------- */

/* 60 slots of one pack, all of them wanted. */
static void one_pack(void)
{
    begin();
    vault_make_data(&make, 0, 60, 0);
    add_run(60, 0, 0);
    vault_make_disk(&make, disk_bytes, runs, run_count, false);
}

static void damage_slot(const char *name, uint32_t slot)
{
    assert_true(store_fault_damage(
        rig.bucket, name, vault_make_offset(&make, name, slot) + 5, 1));
}

static void a_pack_lives_on_in_another_generation(void **state)
{
    struct vault_walk w = {0};
    char name[NAME_TEXT];

    (void)state;
    one_pack();
    vault_make_again(&make, 0, 1, NULL, 0, name);
    store_fault_drop(rig.bucket, make.pack[0].name);
    expect_good(&w);
    end();
}

static void bad_slots_are_found_wherever_they_are_good(void **state)
{
    struct vault_walk w = {0};
    char first[NAME_TEXT], second[NAME_TEXT];
    static const uint32_t drop[] = {11, 12};

    (void)state;
    one_pack();
    vault_make_again(&make, 0, 1, NULL, 0, first);
    vault_make_again(&make, 0, 2, drop, 2, second);
    /* each object lacks something that only one other has */
    damage_slot(make.pack[0].name, 3);
    damage_slot(make.pack[0].name, 40);
    damage_slot(first, 41);
    damage_slot(first, 3);
    damage_slot(first, 42);
    damage_slot(second, 40);
    damage_slot(second, 42);
    damage_slot(second, 59);
    expect_good(&w);
    assert_true(w.figures.retries > 0);
    end();
}

static void a_slot_that_is_bad_everywhere_is_named(void **state)
{
    struct vault_walk w = {0};
    char name[NAME_TEXT];
    static const uint32_t drop[] = {17};

    (void)state;
    one_pack();
    vault_make_again(&make, 0, 1, drop, 1, name);
    damage_slot(make.pack[0].name, 17);
    assert_int_equal(walk_it(&w), ERR_INTEGRITY);
    assert_non_null(strstr(w.err.text, "slot 17"));
    assert_non_null(strstr(w.err.text, "20260101T000000Z-00000001"));
    assert_true(w.at <= 17 * CHUNK);
    end();
}

static void junk_beside_a_good_object_hides_nothing(void **state)
{
    struct vault_walk w = {0};
    char name[NAME_TEXT + 16];

    (void)state;
    one_pack();
    snprintf(name, sizeof(name), "%s.ffff-00000000", make.pack[0].name);
    store_fault_poke(rig.bucket, name, "junk", 4, 1000);
    expect_good(&w);
    vault_make_again(&make, 0, 1, NULL, 0, name);
    store_fault_drop(rig.bucket, make.pack[0].name);
    expect_good(&w);
    end();
}

static void a_bad_header_sends_us_to_another_object(void **state)
{
    struct vault_walk w = {0};
    char name[NAME_TEXT];

    (void)state;
    one_pack();
    vault_make_again(&make, 0, 1, NULL, 0, name);
    store_fault_damage(rig.bucket, make.pack[0].name, 50, 1);
    expect_good(&w);
    /* where the wanted slots are far from it too */
    end();
    begin();
    vault_make_data(&make, 0, 60, 0);
    add_run(10, 0, 50);
    vault_make_disk(&make, disk_bytes, runs, run_count, false);
    vault_make_again(&make, 0, 1, NULL, 0, name);
    store_fault_damage(rig.bucket, make.pack[0].name, 50, 1);
    expect_good(&w);
    store_fault_damage(rig.bucket, name, 50, 1);
    assert_int_equal(walk_it(&w), ERR_INTEGRITY);
    end();
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
    one_pack();
    vault_make_again(&make, 0, 1, NULL, 0, name);
    store_fault_add(rig.store, &rule);
    expect_good(&w);
    end();
}

static void a_body_that_is_cut_or_changed_is_read_elsewhere(void **state)
{
    struct store_fault_rule rule = {
        .kind = FAULT_GET, .nth = 2, .offset = 10 * CHUNK};
    struct vault_walk w = {0};
    char name[NAME_TEXT];

    (void)state;
    for (int i = 0; i < 2; i++) {
        one_pack();
        vault_make_again(&make, 0, 1, NULL, 0, name);
        rule.action = i ? FAULT_CUT : FAULT_FLIP;
        store_fault_add(rig.store, &rule);
        expect_good(&w);
        end();
        one_pack(); /* there is no other */
        store_fault_add(rig.store, &rule);
        assert_int_equal(walk_it(&w), ERR_INTEGRITY);
        end();
    }
}

/* --- points that lie ------------------------------------------------------ */

static void expect_damage(const char *says)
{
    struct vault_walk w = {0};
    enum err_code rc = walk_it(&w);

    if (rc != ERR_INTEGRITY || !strstr(w.err.text, says))
        fail_msg("wanted `%s`, got %s: %s", says, err_name(rc), w.err.text);
}

static void a_map_that_names_what_is_not_there_is_refused(void **state)
{
    static const uint32_t drop[] = {5};
    char name[NAME_TEXT];

    (void)state;
    one_pack();
    make.map[0].data[2] = 1; /* first slot 1: the last is not there */
    expect_damage("no slot 60");
    end();

    one_pack(); /* dropped */
    vault_make_again(&make, 0, 1, drop, 1, name);
    store_fault_drop(rig.bucket, make.pack[0].name);
    expect_damage("slot 5 was dropped");
    end();

    one_pack(); /* of another length than a chunk of the disk */
    make.disk[0].bytes -= 512;
    expect_damage("bytes");
    end();

    one_pack(); /* fewer chunks than the disk has */
    make.disk[0].bytes += CHUNK;
    expect_damage("disk 0");
    end();

    one_pack(); /* under another key than the table says */
    make.table[0].key = 0;
    make.key[0] = make.key[1];
    make.key[0].b[0] ^= 1;
    {
        struct vault_walk w = {0};

        assert_int_equal(walk_it(&w), ERR_KEY);
    }
    end();
}

static void chunks_come_from_data_packs_and_pages_from_map_packs(void **state)
{
    uint8_t chunk[CHUNK];
    struct slice one = {chunk, sizeof(chunk)};

    (void)state;
    begin();
    memset(chunk, 'x', sizeof(chunk));
    vault_make_raw(&make, SEAL_SLOT_MAP, &one, 1);
    add_run(1, 0, 0);
    vault_make_disk(&make, disk_bytes, runs, run_count, false);
    expect_damage("wrong kind");
    make.disk[0].paged = true; /* now a page, but not a page's bytes */
    expect_damage("page 0");
    end();
}

static void a_page_that_names_an_unknown_pack_is_refused(void **state)
{
    (void)state;
    begin();
    vault_make_data(&make, 0, 5, 0);
    add_run(5, 0, 0);
    vault_make_disk(&make, disk_bytes, runs, run_count, true);
    make.table[0].id.b[0] ^= 1;
    expect_damage("names a pack");
    end();
}

static void a_wrong_content_sum_is_found_at_the_end(void **state)
{
    struct vault_walk w = {0};

    (void)state;
    one_pack();
    make.disk[0].sum[31] ^= 1;
    assert_int_equal(walk_it(&w), ERR_INTEGRITY);
    assert_non_null(strstr(w.err.text, "content sum"));
    assert_int_equal(w.at, disk_bytes);
    end();
}

static void a_pack_that_is_nowhere_is_the_answer(void **state)
{
    struct vault_walk w = {0};

    (void)state;
    one_pack();
    store_fault_drop(rig.bucket, make.pack[0].name);
    assert_int_equal(walk_it(&w), ERR_NOT_FOUND);
    end();
}

/* --- failures and cancelling ---------------------------------------------- */

static void any_failing_request_is_the_answer(void **state)
{
    struct store_fault_rule rule = {.kind = FAULT_ANY, .action = FAULT_FAIL};
    static const enum err_code codes[] = {ERR_UNREACHABLE, ERR_COLD};
    uint64_t requests;
    struct vault_walk w = {0};

    (void)state;
    begin();
    for (uint32_t p = 0; p < 3; p++) /* the header is far from the slots */
        add_run(30, vault_make_data(&make, 1000 * p, 50, 0), 20);
    vault_make_disk(&make, disk_bytes, runs, run_count, true);
    requests = rig.store->requests;
    expect_good(&w);
    requests = rig.store->requests - requests;
    assert_int_equal(requests, 2 + 3 * 3);
    for (size_t i = 0; i < BYTES_COUNT(codes); i++)
        for (rule.nth = 1; rule.nth <= requests; rule.nth++) {
            rule.code = codes[i];
            store_fault_add(rig.store, &rule);
            assert_int_equal(walk_it(&w), codes[i]);
            store_fault_clear(rig.store);
        }
    end();
}

static void a_body_that_breaks_off_is_the_answer(void **state)
{
    struct store_fault_rule rule = {.kind = FAULT_GET,
                                    .nth = 2,
                                    .action = FAULT_BREAK,
                                    .code = ERR_UNREACHABLE};
    struct vault_walk w = {0};

    (void)state;
    one_pack();
    store_fault_add(rig.store, &rule);
    assert_int_equal(walk_it(&w), ERR_UNREACHABLE);
    end();
}

static void cancelling_at_any_time_ends_it_once(void **state)
{
    struct store_fault_rule rule = {.kind = FAULT_ANY, .action = FAULT_HOLD};
    struct point p;

    (void)state;
    begin();
    for (uint32_t n = 0; n < 3; n++)
        add_run(30, vault_make_data(&make, 1000 * n, 50, 0), 20);
    add_run(2, MAP_ZERO, 0);
    vault_make_disk(&make, disk_bytes, runs, run_count, true);
    p = vault_make_point(&make);
    for (rule.nth = 1; rule.nth <= 11; rule.nth++) {
        struct vault_walk w = {.rig = &rig};
        unsigned before = rig.done;

        store_fault_add(rig.store, &rule);
        assert_int_equal(vault_walk_begin(&w, keys, &p, VAULT_MAKE_NAME, 0),
                         ERR_OK);
        while (!store_fault_held(rig.store))
            vault_rig_turn(&rig);
        walk_cancel(w.walk);
        assert_int_equal(rig.done, before);
        store_fault_release(rig.store);
        vault_rig_wait(&rig, before + 1);
        assert_int_equal(w.err.code, ERR_CANCELLED);
        store_fault_clear(rig.store);
    }
    for (unsigned at = 1; at <= 91; at += 9) { /* inside a delivery */
        struct vault_walk w = {.cancel_at = at};

        assert_int_equal(walk_it(&w), ERR_CANCELLED);
        assert_int_equal(w.deliveries, at);
    }
    { /* at once */
        struct vault_walk w = {.rig = &rig};
        unsigned before = rig.done;

        assert_int_equal(vault_walk_begin(&w, keys, &p, VAULT_MAKE_NAME, 0),
                         ERR_OK);
        walk_cancel(w.walk);
        assert_int_equal(rig.done, before);
        vault_rig_wait(&rig, before + 1);
        assert_int_equal(w.err.code, ERR_CANCELLED);
    }
    end();
}

static void cancelling_while_all_waits_for_us_ends_it(void **state)
{
    struct vault_walk w = {.rig = &rig, .refuse_each = 1, .no_resume = true};
    struct point p;
    unsigned before = rig.done;

    (void)state;
    begin();
    vault_make_data(&make, 0, 2, 0);
    add_run(2, 0, 0);
    vault_make_disk(&make, disk_bytes, runs, run_count, false);
    p = vault_make_point(&make);
    assert_int_equal(vault_walk_begin(&w, keys, &p, VAULT_MAKE_NAME, 0),
                     ERR_OK);
    while (!w.refused)
        vault_rig_turn(&rig);
    for (int i = 0; i < 20; i++)
        vault_rig_turn(&rig);
    assert_int_equal(rig.done, before);
    walk_cancel(w.walk);
    vault_rig_wait(&rig, before + 1);
    assert_int_equal(w.err.code, ERR_CANCELLED);
    end();
}

static void a_start_that_fails_never_calls_back(void **state)
{
    struct vault_walk w = {.rig = &rig, .memory = WALK_MEMORY_MIN - 1};
    unsigned before = rig.done;
    struct point p;

    (void)state;
    one_pack();
    p = vault_make_point(&make);
    assert_int_equal(vault_walk_begin(&w, keys, &p, VAULT_MAKE_NAME, 0),
                     ERR_ARGUMENT);
    w.memory = 0;
    assert_int_equal(vault_walk_begin(&w, keys, &p, VAULT_MAKE_NAME, 1),
                     ERR_ARGUMENT);
    vault_rig_turn(&rig);
    assert_int_equal(rig.done, before);
    end();
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
        cmocka_unit_test(junk_beside_a_good_object_hides_nothing),
        cmocka_unit_test(a_bad_header_sends_us_to_another_object),
        cmocka_unit_test(a_pack_that_goes_while_it_is_read_is_found_again),
        cmocka_unit_test(a_body_that_is_cut_or_changed_is_read_elsewhere),
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

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
