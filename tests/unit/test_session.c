/* SPDX-License-Identifier: Apache-2.0 */
#include "session_rig.h"

#define UUID(n)             \
    {                       \
        {                   \
            0xd1, 0x5c, (n) \
        }                   \
    }

static struct rig rig;

static struct rig_backup one_disk(const uint8_t *data, uint64_t bytes)
{
    return (struct rig_backup){
        .disks = 1,
        .disk = {{{.vdi = UUID(1), .name = "root", .bytes = bytes}, data}}};
}

/* Noise, text, zeros and repetitions in turn. */
static uint8_t *mixed(size_t len, uint64_t seed)
{
    uint8_t *data = calloc(1, len + 1);
    size_t at = 0;

    assert_non_null(data);
    for (unsigned i = 0; at < len; i++) {
        size_t n = 40000 + (seed * 7919 + i * 104729) % 700000;

        if (n > len - at)
            n = len - at;
        if (i % 4 == 0)
            rig_fill_noise(data + at, n, seed + i);
        else if (i % 4 == 1)
            rig_fill_text(data + at, n, seed + i);
        else if (i % 4 == 3)
            rig_fill_noise(data + at, n, 77);
        at += n;
    }
    return data;
}

static void a_disk_comes_back_as_it_was(void **state)
{
    static const size_t sizes[] = {1,      511,           131072,
                                   131073, 5 * MIB + 512, 40 * MIB + 777};

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(sizes); i++) {
        uint8_t *data = mixed(sizes[i], i + 1);
        struct rig_backup b = one_disk(data, sizes[i]);

        b.piece = i % 2 ? 16384 : 100001;
        b.tell_zeros = i % 3 == 0;
        rig_backup(&rig, &b);
        rig_compare(&rig, &b);
        assert_int_equal(b.result.figures.read, sizes[i]);
        assert_int_equal(b.points_opened, 1);
        assert_int_equal(b.points_closed, 0);
        free(data);
    }
}

static void every_chunk_size_and_level_works(void **state)
{
    (void)state;
    for (unsigned log2 = 16; log2 <= 20; log2++) {
        size_t len = 9 * MIB + 4096 * log2;
        uint8_t *data = mixed(len, log2);
        struct rig_backup b = one_disk(data, len);
        struct vault_settings s = vault_settings_default();

        s.zstd_level = (int)(log2 - 16) * 2;
        rig_settings(&rig, s);
        b.disk[0].opts.log2_chunk = log2;
        b.disk[0].opts.vdi.b[3] = (uint8_t)log2;
        rig_backup(&rig, &b);
        rig_compare(&rig, &b);
        free(data);
    }
}

static void several_disks_one_after_the_other(void **state)
{
    size_t len[3] = {7 * MIB + 3, 0, 300000};
    uint8_t *data[3];
    struct rig_backup b = {.disks = 3};
    struct point *p;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        data[i] = mixed(len[i], 10 + i);
        b.disk[i] = (struct rig_disk){
            {.position = 2 * i, .vdi = UUID(i), .bytes = len[i]}, data[i]};
    }
    rig_backup(&rig, &b);
    rig_compare(&rig, &b);
    p = rig_point(&rig, b.result.point.name);
    assert_int_equal(p->disks, 3);
    assert_int_equal(p->disk[2].position, 4);
    assert_int_equal(p->start_ms, b.result.start_ms);
    assert_memory_equal(p->name.data, "mail", 4);
    assert_int_equal(p->totals.read, len[0] + len[2]);
    point_free(p);
    for (unsigned i = 0; i < 3; i++)
        free(data[i]);
}

/* The floor: one part, stop and wait. */
static void the_floor_is_enough(void **state)
{
    size_t len = 100 * MIB + 4567;
    uint8_t *data = malloc(len);
    struct rig_backup b = one_disk(data, len);

    (void)state;
    rig_fill_noise(data, len, 5);
    b.ceiling = SESSION_FLOOR_BYTES;
    b.piece = 65521;
    rig_backup(&rig, &b);
    rig_compare(&rig, &b);
    assert_true(b.result.figures.slab_peak <= SESSION_FLOOR_BYTES - MIB);
    assert_int_equal(b.result.figures.packs, 2);
    assert_int_equal(b.uploads_opened, 2);
    assert_true(b.drained > 10);
    free(data);
}

/* The last slot ends a little behind a part whose slab is the only one. */
static void what_runs_over_the_last_part_waits_for_its_slab(void **state)
{
    (void)state;
    for (size_t len = 16 * MIB; len <= 16 * MIB + 60000; len += 30000) {
        uint8_t *data = malloc(len);
        struct rig_backup b = one_disk(data, len);

        rig_fill_noise(data, len, len);
        b.ceiling = SESSION_FLOOR_BYTES;
        rig_backup(&rig, &b);
        rig_compare(&rig, &b);
        assert_int_equal(b.result.figures.parts, 2);
        free(data);
    }
}

static void memory_stays_under_the_ceiling(void **state)
{
    size_t len = 200 * MIB;
    uint8_t *data = malloc(len);
    struct rig_backup b = one_disk(data, len);

    (void)state;
    rig_fill_noise(data, len, 6);
    b.piece = 262144;
    budget_free(rig.budget);
    rig.budget = budget_new(SESSION_CEILING_BYTES, 0);
    rig_backup(&rig, &b);
    rig_compare(&rig, &b);
    assert_true(b.result.figures.slab_peak <= SESSION_CEILING_BYTES);
    assert_true(budget_peak(rig.budget) <= SESSION_CEILING_BYTES);
    /* 64 MiB packs, 4 parts each but in the last */
    assert_int_equal(b.result.figures.packs, 4);
    assert_int_equal(b.result.figures.parts, 13);
    free(data);
}

static void a_second_backup_of_the_same_stores_the_point_alone(void **state)
{
    size_t len = 30 * MIB + 100;
    uint8_t *data = mixed(len, 20);
    struct rig_backup first = one_disk(data, len), again = first;
    size_t objects;
    uint64_t requests, lists;

    (void)state;
    rig_backup(&rig, &first);
    objects = store_fault_objects(rig.bucket);
    requests = rig.store->requests;
    lists = rig.store->list_requests;
    again.witness = first.result.point;
    rig_backup(&rig, &again);
    rig_compare(&rig, &again);
    assert_int_equal(store_fault_objects(rig.bucket), objects + 1);
    assert_int_equal(again.result.figures.fresh, 0);
    assert_int_equal(again.result.figures.stored, 0);
    assert_int_equal(again.result.figures.packs, 0);
    assert_int_equal(again.result.figures.index_runs, 0);
    assert_true(again.result.figures.unchanged + again.result.figures.zero >=
                len);
    assert_string_equal(again.result.parent.name, first.result.point.name);
    /* GET of the parent, PUT of the point, GET of it; listings beside */
    assert_true(rig.store->requests - requests -
                    (rig.store->list_requests - lists) <=
                3);
    free(data);
}

static void what_changed_is_stored_and_nothing_else(void **state)
{
    size_t len = 128 * MIB;
    uint8_t *data = malloc(len);
    struct rig_backup first = one_disk(data, len), again;

    (void)state;
    rig_fill_noise(data, len, 21);
    rig_backup(&rig, &first);
    for (unsigned i = 0; i < 64; i++)
        rig_fill_noise(data + (2 * i + 1) * MIB, MIB, 1000 + i);
    again = one_disk(data, len);
    rig_backup(&rig, &again);
    rig_compare(&rig, &again);
    assert_int_equal(again.result.figures.fresh, 64 * MIB);
    assert_int_equal(again.result.figures.unchanged, 64 * MIB);
    /* format.md 9: 1.02 bytes stored per byte changed */
    assert_true(again.result.figures.stored <= 64 * MIB * 102 / 100);
    free(data);
}

/* Another VM's disk, without a parent: found by the index. */
static void equal_chunks_are_found_by_the_index(void **state)
{
    size_t len = 20 * MIB;
    uint8_t *data = malloc(len);
    struct rig_backup first = one_disk(data, len), other;

    (void)state;
    rig_fill_noise(data, len, 30);
    rig_backup(&rig, &first);
    other = one_disk(data, len);
    other.series = "another";
    rig_backup(&rig, &other);
    rig_compare(&rig, &other);
    assert_int_equal(other.result.figures.fresh, 0);
    assert_int_equal(other.result.figures.known, len);
    assert_int_equal(other.result.parent.name[0], 0);
    free(data);
}

/* The same chunk again and again, before any of it is in a pack. */
static void equal_chunks_in_flight_are_stored_once(void **state)
{
    size_t len = 64 * MIB;
    uint8_t *data = malloc(len);
    struct rig_backup b = one_disk(data, len);

    (void)state;
    rig_fill_noise(data, 131072, 31);
    for (size_t at = 131072; at < len; at += 131072)
        memcpy(data + at, data, 131072);
    rig_backup(&rig, &b);
    rig_compare(&rig, &b);
    assert_int_equal(b.result.figures.fresh, 131072);
    assert_int_equal(b.result.figures.known, len - 131072);
    free(data);
}

/* Without its index a backup stores again, and goes on. */
static void a_lost_index_costs_duplicates(void **state)
{
    size_t len = 12 * MIB;
    uint8_t *data = malloc(len);
    struct rig_backup first = one_disk(data, len), again = first;

    (void)state;
    rig_fill_noise(data, len, 32);
    rig_backup(&rig, &first);
    rig_index_reset(&rig);
    rig_backup(&rig, &again);
    rig_compare(&rig, &again);
    assert_int_equal(again.result.figures.fresh, len);
    free(data);
}

/* Where it cannot be opened at all, too; the parent's ids are not known then.
 */
static void without_an_index_a_backup_goes_on(void **state)
{
    size_t len = 12 * MIB;
    uint8_t *data = malloc(len);
    struct rig_backup first = one_disk(data, len), again = first;
    struct index *index = rig.index;

    (void)state;
    rig_fill_noise(data, len, 33);
    rig.index = NULL;
    rig_backup(&rig, &first);
    rig_backup(&rig, &again);
    rig.index = index;
    rig_compare(&rig, &again);
    assert_int_equal(again.result.figures.fresh, len);
    free(data);
}

static void two_sessions_at_once_on_one_vault(void **state)
{
    size_t len = 90 * MIB;
    uint8_t *data = malloc(len);
    struct rig_backup a = one_disk(data, len), b = one_disk(data, len);

    (void)state;
    rig_fill_noise(data, len, 40);
    b.series = "another";
    b.ceiling = SESSION_FLOOR_BYTES;
    rig_start(&rig, &a);
    rig_start(&rig, &b);
    rig_run(&rig);
    assert_int_equal(a.err.code, ERR_OK);
    assert_int_equal(b.err.code, ERR_OK);
    rig_compare(&rig, &a);
    rig_compare(&rig, &b);
    free(data);
}

static void every_pack_is_named_by_an_index_run(void **state)
{
    size_t len = 70 * MIB;
    uint8_t *data = malloc(len);
    struct rig_backup b = one_disk(data, len);
    struct point *p;
    struct run_reader r;
    struct run_pack pack;
    struct err err = {0};
    struct slice object;
    struct buf plain;
    const char *name;
    size_t n = 0;

    (void)state;
    rig_fill_noise(data, len, 41);
    rig_backup(&rig, &b);
    p = rig_point(&rig, b.result.point.name);
    assert_int_equal(rig_count(&rig, "index/"), 1);
    name = rig_name(&rig, "index/", 0);
    object = rig_object(&rig, name);
    buf_init(&plain, MIB);
    assert_int_equal(
        run_open(rig.keys, name, object.data, object.len, &plain, &err),
        ERR_OK);
    run_reader_init(&r, (struct slice){plain.data, plain.len});
    for (; run_next(&r, &pack, &err); n++) {
        bool found = false;

        for (size_t i = 0; i < p->packs; i++)
            found |= id16_equal(&p->pack[i].id, &pack.id) &&
                     id16_equal(&p->key[p->pack[i].key], &pack.key_id);
        assert_true(found);
    }
    assert_int_equal(err.code, ERR_OK);
    assert_int_equal(n, p->packs);
    /* format.md 9: metadata is at most 0.15 % of what is stored; the point and
     * the run are nearly all of it */
    assert_true(b.result.figures.meta_bytes <=
                b.result.figures.stored * 15 / 10000);
    buf_fini(&plain);
    point_free(p);
    free(data);
}

/* The roster names what was finished; the point before is linked by hash. */
static void points_form_a_series(void **state)
{
    size_t len = MIB;
    uint8_t *data = mixed(len, 50), sha[32];
    struct rig_backup b[3];
    struct point *p;
    struct slice object;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        data[i]++;
        b[i] = one_disk(data, len);
        if (i)
            b[i].witness = b[i - 1].result.point;
        rig_backup(&rig, &b[i]);
        if (i)
            assert_true(
                strcmp(b[i].result.point.name, b[i - 1].result.point.name) > 0);
    }
    p = rig_point(&rig, b[2].result.point.name);
    assert_int_equal(p->roster.len, 2 * NAME_POINT_BYTES);
    assert_true(point_names_have(p->roster, b[0].result.point.name));
    assert_true(point_names_have(p->roster, b[1].result.point.name));
    assert_string_equal(p->previous.name, b[1].result.point.name);
    object = rig_object(&rig, b[1].result.point.name);
    seal_digest_once(rig.suite, SEAL_DIGEST_SHA256, object.data, object.len,
                     sha);
    assert_memory_equal(p->previous.sha256, sha, 32);
    assert_memory_equal(b[1].result.point.sha256, sha, 32);
    point_free(p);
    free(data);
}

static int begin(void **state)
{
    (void)state;
    rig_init(&rig);
    return 0;
}

static int end(void **state)
{
    (void)state;
    rig_fini(&rig);
    return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_disk_comes_back_as_it_was),
        T(every_chunk_size_and_level_works),
        T(several_disks_one_after_the_other),
        T(the_floor_is_enough),
        T(what_runs_over_the_last_part_waits_for_its_slab),
        T(memory_stays_under_the_ceiling),
        T(a_second_backup_of_the_same_stores_the_point_alone),
        T(what_changed_is_stored_and_nothing_else),
        T(equal_chunks_are_found_by_the_index),
        T(equal_chunks_in_flight_are_stored_once),
        T(a_lost_index_costs_duplicates),
        T(without_an_index_a_backup_goes_on),
        T(two_sessions_at_once_on_one_vault),
        T(every_pack_is_named_by_an_index_run),
        T(points_form_a_series),
    };

    work_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
