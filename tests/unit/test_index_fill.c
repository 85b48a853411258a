/* SPDX-License-Identifier: Apache-2.0 */
#include "session_rig.h"

#include "vault/index_fill.h"

static struct rig rig;

#define LEN (130 * MIB)

struct filling {
    unsigned done;
    struct err err;
    struct index_fill_result result;
};

static void on_filled(void *ctx, const struct err *err,
                      const struct index_fill_result *result)
{
    struct filling *f = ctx;

    f->done++;
    f->err = *err;
    f->result = *result;
    rig.running--;
}

static struct index_fill *start(struct filling *f, bool tables)
{
    struct index_fill_opts opts = {.store = rig.store,
                                   .keys = rig.keys,
                                   .index = rig.index,
                                   .tables = tables,
                                   .done = on_filled,
                                   .ctx = f};
    struct index_fill *fill = NULL;
    struct err err;

    memset(f, 0, sizeof(*f));
    assert_int_equal(index_fill_start(&opts, &fill, &err), ERR_OK);
    assert_int_equal(f->done, 0);
    rig.running++;
    return fill;
}

static struct filling fill(bool tables)
{
    struct filling f;

    start(&f, tables);
    rig_run(&rig);
    assert_int_equal(f.done, 1);
    return f;
}

static struct rig_backup backup_of(const uint8_t *data, const char *series)
{
    struct rig_backup b = {
        .disks = 1,
        .series = series,
        .disk = {{{.vdi = {{9}}, .bytes = LEN, .log2_chunk = 16}, data}},
        .page_above = 1};

    rig_backup(&rig, &b);
    return b;
}

static void drop_all(const char *prefix)
{
    while (rig_count(&rig, prefix))
        store_fault_drop(rig.bucket, rig_name(&rig, prefix, 0));
}

static uint8_t *data;

static void a_lost_index_is_filled_from_runs(void **state)
{
    struct rig_backup b;
    struct filling f;
    uint64_t requests;

    (void)state;
    backup_of(data, "one");
    rig_index_reset(&rig);
    assert_true(index_is_fresh(rig.index));
    requests = rig.store->requests;
    f = fill(false);
    assert_int_equal(f.err.code, ERR_OK);
    assert_int_equal(f.result.runs, 1);
    assert_int_equal(rig.store->requests - requests, 2);
    b = backup_of(data, "another");
    assert_int_equal(b.result.figures.fresh, 0);
    assert_int_equal(b.result.figures.map_packs, 0);
    rig_compare(&rig, &b);
    /* what was read once is not read again */
    requests = rig.store->requests;
    f = fill(false);
    assert_int_equal(f.result.runs, 0);
    assert_int_equal(rig.store->requests - requests, 1);
}

static void without_runs_it_is_filled_from_tables(void **state)
{
    struct rig_backup b;
    struct filling f;
    uint64_t got;

    (void)state;
    backup_of(data, "one");
    drop_all("index/");
    rig_index_reset(&rig);
    got = store_fault_count(rig.store, FAULT_GET);
    f = fill(true);
    assert_int_equal(f.err.code, ERR_OK);
    assert_int_equal(f.result.packs,
                     rig_count(&rig, "packs/") + rig_count(&rig, "maps/"));
    /* the point, and one GET for each pack: it knows their keys */
    assert_int_equal(store_fault_count(rig.store, FAULT_GET) - got,
                     1 + f.result.packs);
    b = backup_of(data, "another");
    assert_int_equal(b.result.figures.fresh, 0);
    assert_int_equal(b.result.figures.map_packs, 0);
    rig_compare(&rig, &b);
}

/* Nor a point: then the header says the key. */
static void with_packs_alone_it_is_filled_too(void **state)
{
    struct rig_backup b;
    struct filling f;

    (void)state;
    backup_of(data, "one");
    drop_all("index/");
    drop_all("points/");
    rig_index_reset(&rig);
    f = fill(true);
    assert_int_equal(f.result.packs_bad, 0);
    b = backup_of(data, "another");
    assert_int_equal(b.result.figures.fresh, 0);
    rig_compare(&rig, &b);
}

static void what_cannot_be_read_is_passed_over(void **state)
{
    struct filling f;
    size_t packs;
    const char *name;
    size_t len;

    (void)state;
    backup_of(data, "one");
    rig_index_reset(&rig);
    store_fault_damage(rig.bucket, rig_name(&rig, "index/", 0), 200, 1);
    name = rig_name(&rig, "packs/", 1);
    assert_non_null(store_fault_peek(rig.bucket, name, &len));
    store_fault_damage(rig.bucket, name, len - 100, 1); /* its toc */
    packs = rig_count(&rig, "packs/") + rig_count(&rig, "maps/");
    f = fill(true);
    assert_int_equal(f.err.code, ERR_OK);
    assert_int_equal(f.result.runs_bad, 1);
    assert_int_equal(f.result.runs, 0);
    assert_int_equal(f.result.packs_bad, 1);
    assert_int_equal(f.result.packs, packs - 1);
}

static void a_store_that_fails_ends_it(void **state)
{
    static const enum store_fault_kind kinds[] = {FAULT_LIST, FAULT_GET};

    (void)state;
    backup_of(data, "one");
    drop_all("index/");
    for (size_t k = 0; k < BYTES_COUNT(kinds); k++) {
        for (unsigned n = 1;; n++) {
            struct store_fault_rule rule = {
                .kind = kinds[k], .nth = n, .code = ERR_UNREACHABLE};
            struct filling f;

            rig_index_reset(&rig);
            store_fault_add(rig.store, &rule);
            f = fill(true);
            store_fault_clear(rig.store);
            if (f.err.code == ERR_OK) {
                assert_true(n > 3);
                break;
            }
            assert_int_equal(f.err.code, ERR_UNREACHABLE);
        }
    }
}

static void it_can_be_cancelled_at_any_time(void **state)
{
    (void)state;
    backup_of(data, "one");
    for (unsigned turns = 0; turns < 60; turns++) {
        struct filling f;
        struct index_fill *fill_op;

        rig_index_reset(&rig);
        fill_op = start(&f, true);
        for (unsigned i = 0; i < turns && !f.done; i++)
            rig_turn(&rig);
        if (!f.done) {
            index_fill_cancel(fill_op);
            assert_int_equal(f.done, 0);
        }
        rig_run(&rig);
        assert_int_equal(f.done, 1);
        assert_true(f.err.code == ERR_CANCELLED || f.err.code == ERR_OK);
    }
}

static int begin(void **state)
{
    (void)state;
    data = malloc(LEN);
    rig_fill_noise(data, LEN, 1);
    rig_init(&rig);
    return 0;
}

static int end(void **state)
{
    (void)state;
    rig_fini(&rig);
    free(data);
    return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_lost_index_is_filled_from_runs),
        T(without_runs_it_is_filled_from_tables),
        T(with_packs_alone_it_is_filled_too),
        T(what_cannot_be_read_is_passed_over),
        T(a_store_that_fails_ends_it),
        T(it_can_be_cancelled_at_any_time),
    };

    work_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
