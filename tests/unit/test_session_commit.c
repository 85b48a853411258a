/* SPDX-License-Identifier: Apache-2.0 */
#include "session_rig.h"

static struct rig rig;

static struct rig_backup one_disk(const uint8_t *data, uint64_t bytes)
{
    return (struct rig_backup){
        .disks = 1,
        .disk = {{{.vdi = {{9}}, .name = "root", .bytes = bytes}, data}}};
}

static uint8_t *noise(size_t len, uint64_t seed)
{
    uint8_t *data = malloc(len + 8);

    assert_non_null(data);
    rig_fill_noise(data, len, seed);
    return data;
}

/* The n-th pack of a point. */
static struct id16 pack_of(const char *point, size_t n)
{
    struct point *p = rig_point(&rig, point);
    struct id16 id;

    assert_true(n < p->packs);
    id = p->pack[n].id;
    point_free(p);
    return id;
}

static bool refers_to(const char *point, struct id16 pack)
{
    struct point *p = rig_point(&rig, point);
    bool found = false;

    for (size_t i = 0; i < p->packs; i++)
        found |= id16_equal(&p->pack[i].id, &pack);
    point_free(p);
    return found;
}

/* --- collection lists ------------------------------------------------ */

static void what_was_condemned_before_is_stored_anew(void **state)
{
    size_t len = 10 * MIB;
    uint8_t *data = noise(len, 1);
    struct rig_backup first = one_disk(data, len), again = first;
    struct id16 pack;

    (void)state;
    rig_backup(&rig, &first);
    pack = pack_of(first.result.point.name, 0);
    rig_condemn(&rig, "20250615T150701Z-00000001", pack, 0, 0);
    rig_backup(&rig, &again);
    rig_compare(&rig, &again);
    assert_int_equal(again.result.figures.fresh, len);
    assert_int_equal(again.result.figures.again, 0);
    assert_false(refers_to(again.result.point.name, pack));
    free(data);
}

static void condemned_slots_alone_are_stored_anew(void **state)
{
    size_t len = 10 * MIB;
    uint8_t *data = noise(len, 2);
    struct rig_backup first = one_disk(data, len), again = first;

    (void)state;
    rig_backup(&rig, &first);
    rig_condemn(&rig, "20250615T150701Z-00000001",
                pack_of(first.result.point.name, 0), 7, 5);
    rig_backup(&rig, &again);
    rig_compare(&rig, &again);
    assert_int_equal(again.result.figures.fresh, 5 * 131072);
    free(data);
}

/* The list of the first backup's pack is put in the middle of the second. */
static struct id16 doomed;

static bool condemn_midway(struct rig_backup *b, unsigned disk, uint64_t at)
{
    (void)disk;
    if (at >= 5 * MIB && !b->user) {
        b->user = b;
        rig_condemn(b->rig, "20250615T150702Z-00000001", doomed, 0, 0);
    }
    return true;
}

static void what_is_condemned_meanwhile_is_stored_again(void **state)
{
    size_t len = 10 * MIB + 5;
    uint8_t *data = noise(len, 3);
    struct rig_backup first = one_disk(data, len), again = first;

    (void)state;
    rig_backup(&rig, &first);
    doomed = pack_of(first.result.point.name, 0);
    again.before = condemn_midway;
    rig_backup(&rig, &again);
    rig_compare(&rig, &again);
    assert_int_equal(again.result.figures.again, len);
    assert_false(refers_to(again.result.point.name, doomed));
    assert_int_equal(again.points_opened, 1); /* step 4 saw it */
    free(data);
}

static void condemn_at_put(struct rig_backup *b, const char *name)
{
    (void)name;
    if (b->points_opened == 1)
        rig_condemn(b->rig, "20250615T150702Z-00000001", doomed, 3, 4);
}

/* Step 7: the list came between the last look and the PUT. */
static void a_point_put_in_vain_is_replaced(void **state)
{
    size_t len = 10 * MIB;
    uint8_t *data = noise(len, 4);
    struct rig_backup first = one_disk(data, len), again = first;
    struct point *p;
    struct name n;

    (void)state;
    rig_backup(&rig, &first);
    doomed = pack_of(first.result.point.name, 0);
    again.on_point = condemn_at_put;
    rig_backup(&rig, &again);
    rig_compare(&rig, &again);
    assert_int_equal(again.points_opened, 2);
    assert_int_equal(again.points_closed, 1);
    assert_int_equal(again.result.figures.again, 4 * 131072);
    p = rig_point(&rig, again.result.point.name);
    assert_int_equal(p->replaces.len, NAME_POINT_BYTES);
    assert_true(
        name_parse_n((const char *)p->replaces.data, NAME_POINT_BYTES, &n));
    assert_int_equal(rig_count(&rig, "points/"), 2); /* it was deleted */
    point_free(p);
    free(data);
}

/* A marker that condemns at each PUT: at last it is "try again". */
static void condemn_at_each_put(struct rig_backup *b, const char *name)
{
    char time[64];

    (void)name;
    snprintf(time, sizeof(time), "20250615T16%02u00Z-00000001",
             b->points_opened);
    /* whatever the last pack is */
    for (size_t i = 0; i < rig_count(b->rig, "packs/"); i++) {
        struct name n;

        assert_true(name_parse(rig_name(b->rig, "packs/", i), &n));
        time[23] = (char)('0' + i % 10);
        time[22] = (char)('0' + i / 10);
        rig_condemn(b->rig, time, n.id, 0, 0);
    }
}

static void a_session_gives_up_at_last(void **state)
{
    size_t len = MIB;
    uint8_t *data = noise(len, 5);
    struct rig_backup b = one_disk(data, len);

    (void)state;
    b.on_point = condemn_at_each_put;
    rig_start(&rig, &b);
    rig_run(&rig);
    assert_int_equal(b.err.code, ERR_AGAIN);
    assert_int_equal(rig_count(&rig, "points/"), 0);
    assert_int_equal(b.points_opened, b.points_closed);
    free(data);
}

/* Without the condemned pack, or without its key, a stream cannot help. */
static void a_condemned_chunk_that_cannot_be_read_is_try_again(void **state)
{
    size_t len = 10 * MIB;
    uint8_t *data = noise(len, 6);
    struct rig_backup first = one_disk(data, len), again = first;

    (void)state;
    rig_backup(&rig, &first);
    doomed = pack_of(first.result.point.name, 0);
    again.before = condemn_midway;
    store_fault_drop(rig.bucket, rig_name(&rig, "packs/", 0));
    rig_start(&rig, &again);
    rig_run(&rig);
    assert_int_equal(again.err.code, ERR_AGAIN);
    assert_int_equal(rig_count(&rig, "points/"), 1);
    free(data);
}

/* Tenant-held custody: another DK, and what the old one sealed is referred to
 * though it cannot be read. */
static void packs_of_a_key_that_is_not_held_are_used(void **state)
{
    size_t len = 10 * MIB;
    uint8_t *data = noise(len, 7);
    struct rig_backup first = one_disk(data, len), again = first, last = first;
    struct keyring *all = rig.keys, *some = vectors_keyring(rig.suite, false);
    struct seal_key dk;
    struct point *p;
    struct err err;

    (void)state;
    rig_backup(&rig, &first);
    doomed = pack_of(first.result.point.name, 0);
    memset(dk.b, 0x42, 32);
    assert_int_equal(keyring_add(some, SEAL_KEY_DATA, &dk, true, &err), ERR_OK);
    rig.keys = some;
    rig_settings(&rig, rig.settings);
    rig_fill_noise(data, MIB, 70);
    rig_backup(&rig, &again);
    assert_int_equal(again.result.figures.fresh, MIB);
    p = rig_point(&rig, again.result.point.name);
    assert_int_equal(p->keys, 3); /* MK, both DKs */
    assert_int_equal(p->packs, 2);
    point_free(p);
    /* and when it is condemned meanwhile: try again */
    last.before = condemn_midway;
    rig_start(&rig, &last);
    rig_run(&rig);
    assert_int_equal(last.err.code, ERR_AGAIN);
    rig.keys = all;
    rig_settings(&rig, rig.settings);
    keyring_unref(some);
    free(data);
}

/* What only another key file could open would be lost with it. */
static void packs_without_a_recovery_wrap_are_not_used_again(void **state)
{
    static const char *const wraps[] = {
        "keys/fbc1d3b5905204f0ec53caefadf5c632/"
        "11000000000000000000000000000000-00000001",
        "keys/145b5228db8e2a67c15189cfe37ec35e/"
        "11000000000000000000000000000000-00000001"};
    struct id16 tags[2] = {{{0x11}}, {{0x22}}};
    size_t len = 10 * MIB;
    uint8_t *data = noise(len, 16);
    struct rig_backup b;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(wraps); i++)
        store_fault_poke(rig.bucket, wraps[i], "x", 1, rig.wall_ms);
    for (unsigned i = 0; i < 4; i++) {
        b = one_disk(data, len);
        b.recovery = tags;
        b.recovery_count = i / 2 + 1;
        rig_backup(&rig, &b);
        rig_compare(&rig, &b);
        /* the first, and all that a second recipient could not open */
        assert_int_equal(b.result.figures.fresh, i == 1 ? 0 : len);
        assert_int_equal(b.result.figures.again, 0);
    }
    free(data);
}

static void a_list_that_cannot_be_read_stops_sessions(void **state)
{
    uint8_t *data = noise(MIB, 8);
    struct rig_backup b = one_disk(data, MIB);

    (void)state;
    assert_true(store_fault_poke(rig.bucket, "gc/20250615T150702Z-00000001",
                                 "nonsense", 8, rig.wall_ms));
    rig_start(&rig, &b);
    rig_run(&rig);
    assert_int_equal(b.err.code, ERR_INTEGRITY);
    assert_int_equal(b.ready, 0);
    free(data);
}

/* Lists are read once: the index keeps their objects. */
static void lists_are_read_once(void **state)
{
    size_t len = MIB;
    uint8_t *data = noise(len, 9);
    struct rig_backup first = one_disk(data, len), again = first;
    struct store_fault_rule no_list = {
        .kind = FAULT_GET, .prefix = "gc/", .action = FAULT_FAIL};

    (void)state;
    rig_backup(&rig, &first);
    rig_condemn(&rig, "20250615T150701Z-00000001",
                pack_of(first.result.point.name, 0), 0, 0);
    rig_backup(&rig, &again);
    assert_int_equal(again.result.figures.fresh, len);
    store_fault_add(rig.store, &no_list);
    again = first;
    again.done = again.ready = again.points_opened = 0;
    again = one_disk(data, len);
    rig_backup(&rig, &again);
    assert_int_equal(again.result.figures.fresh, 0);
    store_fault_clear(rig.store);
    free(data);
}

/* --- the witness and the clock --------------------------------------- */

static void remove_by_list(const char *time, const char *point)
{
    struct list l = {.removed = {(const uint8_t *)point, NAME_POINT_BYTES}};
    char name[NAME_TEXT];
    struct err err;
    struct buf b;

    snprintf(name, sizeof(name), "gc/%s", time);
    buf_init(&b, 10000);
    assert_int_equal(list_seal(rig.keys, name, &l, &b, &err), ERR_OK);
    assert_true(store_fault_poke(rig.bucket, name, b.data, b.len, rig.wall_ms));
    buf_fini(&b);
}

static void an_old_state_is_noticed(void **state)
{
    uint8_t *data = noise(MIB, 10);
    struct rig_backup first = one_disk(data, MIB), again = first;
    struct store_fault_bucket *bucket = rig.bucket;
    char name[NAME_TEXT];

    (void)state;
    rig_backup(&rig, &first);
    snprintf(name, sizeof(name), "%s", first.result.point.name);
    store_fault_drop(bucket, name);
    again.witness = first.result.point;
    rig_start(&rig, &again);
    rig_run(&rig);
    assert_int_equal(again.err.code, ERR_INTEGRITY);
    assert_int_equal(again.ready, 0);
    /* unless it was removed, and that is recorded */
    remove_by_list("20250615T150702Z-00000001", name);
    again = one_disk(data, MIB);
    again.witness = first.result.point;
    rig_backup(&rig, &again);
    free(data);
}

static void another_point_under_the_name_is_noticed(void **state)
{
    uint8_t *data = noise(MIB, 11);
    struct rig_backup b[3];

    (void)state;
    b[0] = one_disk(data, MIB);
    rig_backup(&rig, &b[0]);
    b[1] = one_disk(data, MIB);
    b[1].witness = b[0].result.point;
    b[1].witness.sha256[5] ^= 1;
    rig_start(&rig, &b[1]);
    rig_run(&rig);
    assert_int_equal(b[1].err.code, ERR_INTEGRITY);
    /* also where it is not the newest */
    b[1] = one_disk(data, MIB);
    rig_backup(&rig, &b[1]);
    b[2] = one_disk(data, MIB);
    b[2].witness = b[0].result.point;
    b[2].witness.sha256[5] ^= 1;
    rig_start(&rig, &b[2]);
    rig_run(&rig);
    assert_int_equal(b[2].err.code, ERR_INTEGRITY);
    b[2] = one_disk(data, MIB);
    b[2].witness = b[0].result.point;
    rig_backup(&rig, &b[2]);
    free(data);
}

static void a_damaged_parent_costs_its_help_only(void **state)
{
    uint8_t *data = noise(4 * MIB, 12);
    struct rig_backup first = one_disk(data, 4 * MIB), again = first;

    (void)state;
    rig_backup(&rig, &first);
    assert_true(
        store_fault_damage(rig.bucket, first.result.point.name, 200, 1));
    rig_backup(&rig, &again); /* no witness was given */
    rig_compare(&rig, &again);
    assert_int_equal(again.result.warnings, 1);
    assert_int_equal(again.result.parent.name[0], 0);
    assert_int_equal(again.result.figures.fresh, 0); /* the index knows */
    assert_true(strcmp(again.result.point.name, first.result.point.name) > 0);
    free(data);
}

static void a_clock_that_is_off_begins_nothing(void **state)
{
    uint8_t *data = noise(MIB, 13);
    struct rig_backup b = one_disk(data, MIB);

    (void)state;
    store_fault_clock(rig.store, 5 * 60 * 1000 + 2000);
    rig_start(&rig, &b);
    rig_run(&rig);
    assert_int_equal(b.err.code, ERR_CONFLICT);
    assert_int_equal(b.ready, 0);
    store_fault_clock(rig.store, -4 * 60 * 1000);
    b = one_disk(data, MIB);
    rig_backup(&rig, &b);
    free(data);
}

/* What is planted has no say: else one object would date all points to come,
 * or end their names. */
static void a_planted_name_does_not_set_the_time(void **state)
{
    uint8_t *data = noise(MIB, 17);
    struct rig_backup first = one_disk(data, MIB), again = first;
    char name[NAME_TEXT], day[NAME_TEXT];

    (void)state;
    rig_backup(&rig, &first);
    snprintf(name, sizeof(name), "%.40s99991231T235959Z-00000000",
             first.result.point.name);
    assert_true(store_fault_poke(rig.bucket, name, "junk", 4, rig.wall_ms));
    rig_backup(&rig, &again);
    assert_int_equal(again.result.warnings, 1);
    snprintf(day, sizeof(day), "%.48s", first.result.point.name);
    assert_memory_equal(again.result.point.name, day, 48);
    assert_true(strcmp(again.result.point.name, first.result.point.name) > 0);
    free(data);
}

/* Whoever holds the keys can date a point as late as names go. */
static void nothing_comes_after_the_last_date(void **state)
{
    uint8_t *data = noise(MIB, 18);
    struct rig_backup first = one_disk(data, MIB), again = first;
    uint64_t wall_ms = rig.wall_ms, last_ms = 0;

    (void)state;
    assert_true(clock_parse_compact("99991231T235959Z", &last_ms));
    rig.wall_ms = last_ms;
    store_fault_clock(rig.store, 0);
    rig_backup(&rig, &first);
    rig.wall_ms = wall_ms;
    rig_start(&rig, &again);
    rig_run(&rig);
    assert_int_equal(again.err.code, ERR_CONFLICT);
    assert_non_null(strstr(again.err.text, "nothing can come after"));
    assert_int_equal(rig_count(&rig, "points/"), 1);
    free(data);
}

/* --- long sessions --------------------------------------------------- */

static unsigned anchors_seen;

static void look_at_anchor(struct rig_backup *b, const char *name)
{
    (void)name;
    if (b->points_opened > 1)
        anchors_seen++;
}

/* An hour for each piece: 400 pieces are over 16 days. The clock runs on while
 * pieces are taken, so that not each day is seen. */
static void a_long_session_leaves_anchors_and_takes_them_away(void **state)
{
    size_t len = 40 * MIB + 17;
    uint8_t *data = noise(len, 14);
    struct rig_backup b = one_disk(data, len), again;
    struct point *p;

    (void)state;
    anchors_seen = 0;
    b.tick_ms = 3600 * 1000;
    b.piece = 104729; /* ends in the middle of a chunk */
    b.on_point = look_at_anchor;
    rig_backup(&rig, &b);
    rig_compare(&rig, &b);
    assert_true(anchors_seen >= 3);
    assert_int_equal(b.points_opened, b.points_closed + 1);
    assert_int_equal(rig_count(&rig, "points/"), 1);
    /* checkpoints: more than the one at the end */
    assert_true(b.result.figures.index_runs > 3);
    assert_true(store_fault_count(rig.store, FAULT_LIST) > 10);
    /* the next one knows the point alone */
    again = one_disk(data, len);
    rig_backup(&rig, &again);
    p = rig_point(&rig, again.result.point.name);
    assert_int_equal(p->roster.len, NAME_POINT_BYTES);
    point_free(p);
    free(data);
}

static bool kill_after_anchor(struct rig_backup *b, unsigned disk, uint64_t at)
{
    (void)disk;
    (void)at;
    return b->points_opened < 3;
}

/* A session that died leaves an unfinished point: nobody takes it for one. */
static void an_unfinished_point_is_nobodys_parent(void **state)
{
    size_t len = 20 * MIB;
    uint8_t *data = noise(len, 15);
    struct rig_backup b = one_disk(data, len), again;
    struct store_fault_rule last = {
        .kind = FAULT_PUT, .prefix = "points/", .nth = 3};
    char anchor[NAME_TEXT], copy[NAME_TEXT];
    struct slice object;
    struct point *p;
    uint8_t *kept;

    (void)state;
    store_fault_add(rig.store, &last);
    b.tick_ms = 3600 * 1000;
    b.before = kill_after_anchor;
    rig_start(&rig, &b);
    while (b.points_opened < 3 || rig_count(&rig, "points/") != 1)
        uv_run(loop_uv(rig.loop), UV_RUN_ONCE);
    snprintf(anchor, sizeof(anchor), "%s", rig_name(&rig, "points/", 0));
    p = rig_point(&rig, anchor);
    assert_true(p->unfinished);
    assert_true(p->packs > 0);
    point_free(p);
    object = rig_object(&rig, anchor);
    kept = malloc(object.len);
    memcpy(kept, object.data, object.len);
    snprintf(copy, sizeof(copy), "%s", anchor);
    rig_run(&rig);
    store_fault_clear(rig.store);
    assert_int_equal(b.err.code, ERR_UNREACHABLE);
    assert_int_equal(rig_count(&rig, "points/"), 0);
    /* as if it had been killed */
    store_fault_poke(rig.bucket, copy, kept, object.len, rig.wall_ms);
    again = one_disk(data, len);
    rig_backup(&rig, &again);
    rig_compare(&rig, &again);
    assert_int_equal(again.result.parent.name[0], 0);
    p = rig_point(&rig, again.result.point.name);
    assert_int_equal(p->roster.len, 0);
    /* and what it had stored is found by the index all the same */
    assert_true(again.result.figures.fresh < len);
    point_free(p);
    free(kept);
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
        T(what_was_condemned_before_is_stored_anew),
        T(condemned_slots_alone_are_stored_anew),
        T(what_is_condemned_meanwhile_is_stored_again),
        T(a_point_put_in_vain_is_replaced),
        T(a_session_gives_up_at_last),
        T(a_condemned_chunk_that_cannot_be_read_is_try_again),
        T(packs_of_a_key_that_is_not_held_are_used),
        T(packs_without_a_recovery_wrap_are_not_used_again),
        T(a_list_that_cannot_be_read_stops_sessions),
        T(lists_are_read_once),
        T(an_old_state_is_noticed),
        T(another_point_under_the_name_is_noticed),
        T(a_damaged_parent_costs_its_help_only),
        T(a_clock_that_is_off_begins_nothing),
        T(a_planted_name_does_not_set_the_time),
        T(nothing_comes_after_the_last_date),
        T(a_long_session_leaves_anchors_and_takes_them_away),
        T(an_unfinished_point_is_nobodys_parent),
    };

    work_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
