/* SPDX-License-Identifier: Apache-2.0 */
#include "session_rig.h"

static struct rig rig;

#define DAY ((uint64_t)24 * 3600 * 1000)

static struct rig_backup one_disk(const uint8_t *data, uint64_t bytes,
                                  uint64_t retain_days)
{
    return (struct rig_backup){
        .disks = 1,
        .retain_until_ms = rig.wall_ms + retain_days * DAY,
        .disk = {{{.vdi = {{9}}, .name = "root", .bytes = bytes}, data}}};
}

static void locked(bool put, bool create, bool call)
{
    struct vault_settings s = vault_settings_default();

    s.lock = STORE_LOCK_COMPLIANCE;
    rig_settings(&rig, s);
    rig.store->traits.lock_on_put = put;
    rig.store->traits.lock_on_create = create;
    rig.store->traits.lock_by_call = call;
}

static uint64_t until(const char *name)
{
    return store_fault_retained_ms(rig.bucket, name);
}

/* Keys and `format`, as a vault has them; their contents do not matter here. */
static void put_keys(void)
{
    static const char *const names[] = {
        "format",
        "keys/a6cf46c72f1025063ca57acc80feee45/"
        "f321e767a23c4f5cff737da3234d6faf-1cd0f01d",
        "keys/145b5228db8e2a67c15189cfe37ec35e/"
        "f321e767a23c4f5cff737da3234d6faf-710d1506",
        "keys/fbc1d3b5905204f0ec53caefadf5c632/"
        "f321e767a23c4f5cff737da3234d6faf-ab6bd181",
        "keys/recovery/f321e767a23c4f5cff737da3234d6faf-a343e4b2",
        "keys/00000000000000000000000000000001/"
        "f321e767a23c4f5cff737da3234d6faf-ab6bd181", /* of no use here */
    };

    for (size_t i = 0; i < BYTES_COUNT(names); i++)
        store_fault_poke(rig.bucket, names[i], "x", 1, rig.wall_ms);
}

static void check_all(uint64_t least, bool strict)
{
    for (size_t i = 0; i < store_fault_objects(rig.bucket); i++) {
        const char *name = store_fault_name(rig.bucket, i);
        bool never = strncmp(name, "index/", 6) == 0 ||
                     strncmp(name, "gc/", 3) == 0 ||
                     strstr(name, "00000000000000000000000000000001");

        if (never)
            assert_int_equal(until(name), 0);
        else if (until(name) < least)
            fail_msg("%s: locked until %ju only, not %ju", name,
                     (uintmax_t)until(name), (uintmax_t)least);
        else if (strict && until(name) > least + 31 * DAY)
            fail_msg("%s: locked longer than needed", name);
    }
}

/* All ways in which stores can lock, with one part and with several. */
static void all_that_a_point_needs_is_locked(void **state)
{
    static const bool ways[][3] = {{true, true, false},
                                   {true, true, true},
                                   {false, false, true},
                                   {true, false, true}};
    size_t len = 20 * MIB;
    uint8_t *data = malloc(len);

    (void)state;
    for (size_t w = 0; w < BYTES_COUNT(ways); w++) {
        struct rig_backup b = one_disk(data, len, 14);

        rig_fill_noise(data, len, w);
        put_keys();
        locked(ways[w][0], ways[w][1], ways[w][2]);
        if (!ways[w][2]) /* what is there already needs the call */
            rig.store->traits.lock_by_call = true;
        rig_backup(&rig, &b);
        rig_compare(&rig, &b);
        check_all(b.retain_until_ms, true);
        rig_fini(&rig);
        rig_init(&rig);
    }
    free(data);
}

static void what_is_used_again_is_extended_once_in_30_days(void **state)
{
    size_t len = 20 * MIB;
    uint8_t *data = malloc(len);
    struct rig_backup b;
    uint64_t calls;

    (void)state;
    rig_fill_noise(data, len, 7);
    put_keys();
    locked(true, true, true);
    b = one_disk(data, len, 14);
    rig_backup(&rig, &b);
    /* the next day: 30 days of room */
    rig.wall_ms += DAY;
    calls = store_fault_count(rig.store, FAULT_RETAIN);
    b = one_disk(data, len, 14);
    rig_backup(&rig, &b);
    check_all(b.retain_until_ms, true);
    assert_int_equal(store_fault_count(rig.store, FAULT_RETAIN), calls);
    /* 40 days later they end too early */
    rig.wall_ms += 40 * DAY;
    b = one_disk(data, len, 14);
    rig_backup(&rig, &b);
    assert_true(store_fault_count(rig.store, FAULT_RETAIN) > calls);
    assert_true(until(rig_name(&rig, "packs/", 0)) >= b.retain_until_ms);
    assert_true(until("format") >= b.retain_until_ms);
    calls = store_fault_count(rig.store, FAULT_RETAIN);
    /* and an index that was lost asks the store */
    rig_index_reset(&rig);
    b = one_disk(data, len, 14);
    b.disk[0].data = data;
    rig_backup(&rig, &b);
    assert_int_equal(store_fault_count(rig.store, FAULT_RETAIN), calls);
    free(data);
}

/* A pack that was compacted has another name; one that is gone is stored
 * again. */
static void packs_under_other_names_and_packs_that_are_gone(void **state)
{
    size_t len = 20 * MIB;
    uint8_t *data = malloc(len);
    struct rig_backup b;
    char name[NAME_TEXT], longer[NAME_TEXT];

    (void)state;
    rig_fill_noise(data, len, 8);
    put_keys();
    locked(true, true, true);
    b = one_disk(data, len, 14);
    rig_backup(&rig, &b);
    snprintf(name, sizeof(name), "%s", rig_name(&rig, "packs/", 0));
    snprintf(longer, sizeof(longer), "%.60s.0001-00000001", name);
    assert_true(store_fault_rename(rig.bucket, name, longer));
    rig.wall_ms += 40 * DAY;
    b = one_disk(data, len, 14);
    rig_backup(&rig, &b);
    assert_true(until(longer) >= b.retain_until_ms);
    assert_int_equal(b.result.figures.fresh, 0);
    store_fault_drop(rig.bucket, longer);
    rig.wall_ms += 40 * DAY;
    b = one_disk(data, len, 14);
    rig_start(&rig, &b);
    rig_run(&rig);
    /* gone counts as condemned, and a stream cannot be asked again */
    assert_int_equal(b.err.code, ERR_AGAIN);
    free(data);
}

static void never(void *ctx, const struct err *err,
                  const struct session_result *result)
{
    (void)ctx;
    (void)err;
    (void)result;
    fail_msg("done() though session_start() failed");
}

static void a_store_that_cannot_lock_is_refused(void **state)
{
    static const bool ways[][3] = {
        {false, false, false}, {true, false, false}, {false, true, false}};
    struct session_opts opts = {
        .loop = rig.loop,
        .store = rig.store,
        .index = rig.index,
        .tools = rig.tools,
        .chunk_room = rig.chunks,
        .part_room = rig.parts,
        .budget = rig.budget,
        .series = "x",
        .ceiling_bytes = SESSION_FLOOR_BYTES,
        .clock = &rig.clock,
        .events = {.done = never},
    };
    struct session *s = NULL;
    struct err err;

    (void)state;
    for (size_t w = 0; w < BYTES_COUNT(ways); w++) {
        locked(ways[w][0], ways[w][1], ways[w][2]);
        opts.vault = rig.vault;
        assert_int_equal(session_start(&opts, &s, &err), ERR_ARGUMENT);
        assert_null(s);
    }
}

static const struct store_ops *honest;

static enum err_code put_without_lock(struct store *s,
                                      const struct store_put_opts *opts,
                                      struct store_op **out, struct err *err)
{
    struct store_put_opts less = *opts;

    less.write.lock = STORE_LOCK_NONE;
    return honest->put(s, &less, out, err);
}

/* The probe was told so, and the store takes the header and does nothing. */
static void the_first_pack_shows_whether_locks_hold(void **state)
{
    size_t len = MIB;
    uint8_t *data = malloc(len);
    struct rig_backup b;
    struct store_ops lying = *rig.store->ops;

    (void)state;
    rig_fill_noise(data, len, 10);
    put_keys();
    locked(true, true, true);
    honest = rig.store->ops;
    lying.put = put_without_lock;
    rig.store->ops = &lying;
    b = one_disk(data, len, 14);
    rig_start(&rig, &b);
    rig_run(&rig);
    rig.store->ops = honest;
    assert_int_equal(b.err.code, ERR_REMOTE);
    assert_int_equal(rig_count(&rig, "points/"), 0);
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
        T(all_that_a_point_needs_is_locked),
        T(what_is_used_again_is_extended_once_in_30_days),
        T(packs_under_other_names_and_packs_that_are_gone),
        T(a_store_that_cannot_lock_is_refused),
        T(the_first_pack_shows_whether_locks_hold),
    };

    work_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
