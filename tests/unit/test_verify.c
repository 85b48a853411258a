/* SPDX-License-Identifier: Apache-2.0 */
#include "vault_damage.h"
#include "vault_make.h"
#include "vault_walk.h"
#include "vectors_keys.h"

#include "vault/list.h"
#include "vault/verify.h"
#include "vault/verify_inside.h"

#define POINT_A \
    "points/2e73579d31f1cbc0232e04f666837d2a/20250616T150640Z-059c9b7c"
#define POINT_B \
    "points/17c3a54779ee8ea567a56177b637fdf5/20250710T150640Z-1f11a9c5"

static struct vault_rig rig;
static struct keyring *keys;    /* all of them */
static struct keyring *gateway; /* no DK */

/* What the last verification found. */
static unsigned findings, hurts;
static char texts[8192];
static struct verify_figures figures;
static bool print;

static int set_up(void **state)
{
    (void)state;
    work_setup();
    vault_rig_init(&rig, true);
    keys = vectors_keyring(rig.suite, true);
    gateway = vectors_keyring(rig.suite, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    keyring_unref(keys);
    keyring_unref(gateway);
    vault_rig_fini(&rig);
    return 0;
}

static void on_finding(void *ctx, const struct verify_finding *f)
{
    size_t len = strlen(texts);

    (void)ctx;
    findings++;
    hurts += f->hurts;
    assert_true(f->object[0]);
    assert_true(f->err.code != ERR_OK);
    snprintf(texts + len, sizeof(texts) - len, "%s\n", f->err.text);
    if (print)
        print_message("%s\n", f->err.text);
}

static void on_done(void *ctx, const struct err *err,
                    const struct verify_figures *f)
{
    (void)ctx;
    figures = *f;
    assert_int_equal(f->findings, findings);
    assert_int_equal(f->hurts, hurts);
    vault_rig_done(&rig, err);
}

struct how {
    const struct keyring *keys;
    bool full;
    const char *point;
    uint64_t table_bytes;
};

static enum err_code begin_verify(struct how how, struct verify **v)
{
    struct verify_opts opts = {
        .store = rig.store,
        .keys = how.keys,
        .full = how.full,
        .point = how.point,
        .memory_bytes = VERIFY_MEMORY_MIN,
        .table_bytes = how.table_bytes,
        .on_finding = on_finding,
        .done = on_done,
    };

    findings = hurts = 0;
    texts[0] = 0;
    return verify_start(&opts, v, &rig.err);
}

static enum err_code verify(struct how how)
{
    struct verify *v;
    unsigned before = rig.done;

    if (begin_verify(how, &v) == ERR_OK)
        vault_rig_wait(&rig, before + 1);
    return rig.err.code;
}

static void expect_clean(struct how how)
{
    if (verify(how) != ERR_OK)
        fail_msg("%s", rig.err.text);
    if (findings)
        fail_msg("%s", texts);
    assert_int_equal(figures.objects_done, figures.objects);
    assert_int_equal(figures.bytes_done, figures.bytes);
}

static void the_vault_of_the_vectors_is_whole(void **state)
{
    (void)state;
    expect_clean((struct how){.keys = gateway});
    assert_int_equal(figures.points, 3);
    assert_int_equal(figures.objects, 18);
    expect_clean((struct how){.keys = keys});
    expect_clean((struct how){.keys = keys, .full = true});
    expect_clean((struct how){.keys = keys, .full = true, .point = POINT_A});
    assert_int_equal(figures.points, 1);
    assert_int_equal(figures.objects, 4); /* the point, its three packs */
    expect_clean((struct how){.keys = gateway, .table_bytes = 1});
}

static bool some_restore_is_refused(const struct json *row)
{
    const struct json *restores = vectors_get(row, "restores");

    for (size_t i = 0; i < json_count(restores); i++)
        if (strcmp(vectors_text(json_at(restores, i), "restore"), "good") != 0)
            return true;
    return false;
}

static void each_damage_is_found_as_its_row_says(void **state)
{
    struct json *doc = vectors_load("damage.json");
    const struct json *cases = vectors_get(doc, "cases");

    (void)state;
    assert_int_equal(json_count(cases), 38);
    for (size_t i = 0; i < json_count(cases); i++) {
        const struct json *row = json_at(cases, i);
        const char *why = vectors_text(row, "why");
        bool structure = json_bool(json_get(row, "structure_finds"), false);
        bool full = json_bool(json_get(row, "full_finds"), false);

        vault_damage_apply(&rig, row);
        assert_int_equal(verify((struct how){.keys = gateway}), ERR_OK);
        if ((findings > 0) != structure)
            fail_msg("%s: structure: %s", why, findings ? texts : "nothing");
        if (some_restore_is_refused(row) && !hurts)
            fail_msg("%s: structure: nobody is hurt: %s", why, texts);
        if (findings && !strstr(texts, vectors_text(row, "object")))
            fail_msg("%s: not named: %s", why, texts);
        assert_int_equal(verify((struct how){.keys = keys, .full = true}),
                         ERR_OK);
        if ((findings > 0) != full)
            fail_msg("%s: full: %s", why, findings ? texts : "nothing");
        if ((hurts > 0) != some_restore_is_refused(row))
            fail_msg("%s: full: %u are hurt: %s", why, hurts, texts);
        vault_rig_load(&rig);
    }
    json_free(doc);
}

static void a_full_verification_needs_the_data_keys(void **state)
{
    (void)state;
    assert_int_equal(verify((struct how){.keys = gateway, .full = true}),
                     ERR_KEY);
    assert_non_null(strstr(rig.err.text, "fbc1d3b5905204f0ec53caefadf5c632"));
}

static void one_point_is_told_from_the_others(void **state)
{
    static const char map[] = "maps/17/173e7fe0b0ebee4004c4eec2fe2d70ba";

    (void)state;
    store_fault_drop(rig.bucket, map); /* only point A has pages */
    assert_int_equal(verify((struct how){.keys = keys, .point = POINT_B}),
                     ERR_OK);
    assert_int_equal(findings, 0);
    assert_int_equal(verify((struct how){.keys = keys, .point = POINT_A}),
                     ERR_OK);
    assert_int_equal(hurts, 1);
    assert_non_null(strstr(texts, "disk 0"));
    vault_rig_load(&rig);
    store_fault_damage(rig.bucket, POINT_A, 200, 1);
    assert_int_equal(verify((struct how){.keys = keys, .point = POINT_A}),
                     ERR_OK);
    assert_int_equal(hurts, 1);
    vault_rig_load(&rig);
    assert_int_equal(
        verify((struct how){.keys = keys,
                            .point = "points/2e73579d31f1cbc0232e04f666837d2a/"
                                     "20250616T150640Z-00000000"}),
        ERR_NOT_FOUND);
}

static void spoilt_wraps_and_hints_are_found(void **state)
{
    static const char wrap[] = "keys/a6cf46c72f1025063ca57acc80feee45/"
                               "bd4b63155ce742517e1e9d088dee1418-93405da5";

    (void)state;
    store_fault_damage(rig.bucket, wrap, 15, 1);
    store_fault_damage(rig.bucket, "format", 3, 1);
    assert_int_equal(verify((struct how){.keys = keys}), ERR_OK);
    assert_int_equal(findings, 2);
    assert_int_equal(hurts, 0);
    assert_non_null(strstr(texts, wrap));
    assert_non_null(strstr(texts, "format: "));
    vault_rig_load(&rig);
}

static void a_key_that_nobody_holds_any_more_is_found(void **state)
{
    (void)state;
    store_fault_drop(rig.bucket, "keys/fbc1d3b5905204f0ec53caefadf5c632/"
                                 "f321e767a23c4f5cff737da3234d6faf-ab6bd181");
    assert_int_equal(verify((struct how){.keys = gateway}), ERR_OK);
    assert_int_equal(hurts, 3); /* points */
    assert_non_null(strstr(texts, "fbc1d3b5905204f0ec53caefadf5c632"));
    vault_rig_load(&rig);
}

/* The second point of VM A remembers the first, which a list says was
 * removed. Without that list it is missing. */
static void a_point_that_vanished_is_missed(void **state)
{
    (void)state;
    for (size_t i = 0; i < store_fault_objects(rig.bucket);) {
        const char *name = store_fault_name(rig.bucket, i);

        if (strncmp(name, "gc/", 3) == 0)
            store_fault_drop(rig.bucket, name);
        else
            i++;
    }
    assert_int_equal(verify((struct how){.keys = gateway}), ERR_OK);
    assert_int_equal(findings, 1);
    assert_int_equal(hurts, 1);
    assert_non_null(strstr(texts, "20250615T150640Z-c72efd9c"));
    vault_rig_load(&rig);
}

/* --- vaults made here ----------------------------------------------------- */

static struct vault_make make;

/* Two packs of 60 slots, one in two generations, disks plain and paged. */
static void make_vault(void)
{
    static const struct map_run runs[] = {
        {60, 0, 0}, {3000, MAP_ZERO, 0}, {20, 1, 5}, {2000, MAP_ZERO, 0},
        {1, 1, 0},  {1, 0, 0},           {1, 1, 1}};
    static const uint32_t drop[] = {30, 31};
    char name[NAME_TEXT];
    uint64_t chunks = 0;

    while (store_fault_objects(rig.bucket))
        store_fault_drop(rig.bucket, store_fault_name(rig.bucket, 0));
    vault_make_init(&make, &rig, keys, 65536);
    vault_make_data(&make, 0, 60, 0);
    vault_make_data(&make, 1000, 60, 0);
    vault_make_again(&make, 1, 1, drop, 2, name);
    for (size_t i = 0; i < BYTES_COUNT(runs); i++)
        chunks += runs[i].count;
    vault_make_disk(&make, chunks * 65536, runs, BYTES_COUNT(runs), false);
    vault_make_disk(&make, chunks * 65536, runs, BYTES_COUNT(runs), true);
}

/* Wraps that nobody can open, so that the keys count as wrapped. */
static void put_wraps(void)
{
    for (int i = 0; i < 2; i++) {
        uint8_t wrap[160] = "CAIRNKEY";
        char name[NAME_TEXT], id[33];

        wrap[8] = wrap[9] = wrap[10] = 1;
        wrap[12] = (uint8_t)(2 + i);
        memcpy(wrap + 16, make.key[i].b, 16);
        bytes_hex(make.key[i].b, 16, id);
        snprintf(name, sizeof(name), "keys/%s/%032d-00000000", id, 0);
        store_fault_poke(rig.bucket, name, wrap, sizeof(wrap), 1000);
    }
}

static void tables_that_were_let_go_are_read_again(void **state)
{
    uint64_t before;

    (void)state;
    make_vault();
    put_wraps();
    vault_make_put(&make);
    expect_clean((struct how){.keys = keys, .full = true});
    before = rig.store->requests;
    expect_clean((struct how){.keys = gateway});
    before = rig.store->requests - before;
    {
        uint64_t again = rig.store->requests;

        expect_clean((struct how){.keys = gateway, .table_bytes = 1});
        assert_true(rig.store->requests - again > before);
    }
    vault_make_fini(&make);
}

static void a_slot_is_hurt_only_when_no_generation_has_it(void **state)
{
    char name[NAME_TEXT];
    static const uint32_t drop[] = {30, 31}, bad = 10;

    (void)state;
    make_vault();
    put_wraps();
    vault_make_put(&make);
    store_fault_damage(rig.bucket, make.pack[1].name,
                       vault_make_offset(&make, make.pack[1].name, 10) + 3, 1);
    assert_int_equal(verify((struct how){.keys = keys, .full = true}), ERR_OK);
    assert_int_equal(findings, 1);
    assert_int_equal(hurts, 0);
    assert_non_null(strstr(texts, "slot 10"));
    /* without opening slots it could be any; the other generation serves */
    assert_int_equal(verify((struct how){.keys = gateway}), ERR_OK);
    assert_int_equal(findings, 1);
    assert_int_equal(hurts, 0);
    vault_make_again(&make, 1, 1, drop, 2, name);
    store_fault_damage(rig.bucket, name, vault_make_offset(&make, name, 10) + 4,
                       1);
    assert_int_equal(verify((struct how){.keys = keys, .full = true}), ERR_OK);
    assert_int_equal(hurts, 2); /* both disks */
    assert_int_equal(verify((struct how){.keys = gateway}), ERR_OK);
    assert_int_equal(hurts, 2);
    for (uint64_t at = 3; at <= 4; at++) /* as it was */
        store_fault_damage(rig.bucket, name,
                           vault_make_offset(&make, name, 10) + at, 1);
    assert_int_equal(verify((struct how){.keys = keys, .full = true}), ERR_OK);
    assert_int_equal(hurts, 0);
    /* what one has dropped the other alone has */
    store_fault_drop(rig.bucket, name);
    vault_make_again(&make, 1, 2, &bad, 1, name);
    assert_int_equal(verify((struct how){.keys = keys, .full = true}), ERR_OK);
    assert_int_equal(hurts, 2);
    vault_make_fini(&make);
}

static void expect_hurt(const char *says)
{
    put_wraps();
    vault_make_put(&make);
    assert_int_equal(verify((struct how){.keys = gateway}), ERR_OK);
    if (!hurts || !strstr(texts, says))
        fail_msg("wanted `%s`, got: %s", says, texts);
    vault_make_fini(&make);
}

static void a_point_that_names_what_is_not_there_is_found(void **state)
{
    static const struct map_run last[] = {{1, 0, 59}};

    (void)state;
    make_vault();
    make.disk[0].sum[3] ^= 1;
    expect_hurt("content sum");

    make_vault();
    make.table[0].key = 0;
    expect_hurt("another key");

    make_vault();
    store_fault_drop(rig.bucket, make.pack[0].name);
    expect_hurt("is not there");

    make_vault();
    store_fault_damage(rig.bucket, make.pack[0].name, 3, 1);
    expect_hurt("no object of the pack opens");

    make_vault();
    vault_make_disk(&make, 65536, last, 1, false);
    make.map[2].data[2] = 60; /* a slot too far */
    expect_hurt("slot 60");

    make_vault();
    vault_make_disk(&make, 65536 - 512, last, 1, false);
    expect_hurt("another length");
}

static void a_pack_that_no_point_names_hurts_nobody(void **state)
{
    (void)state;
    make_vault();
    put_wraps();
    vault_make_put(&make);
    vault_make_data(&make, 5000, 10, 0);
    store_fault_damage(rig.bucket, make.pack[make.packs - 1].name, 1000, 1);
    assert_int_equal(verify((struct how){.keys = keys, .full = true}), ERR_OK);
    assert_int_equal(findings, 1);
    assert_int_equal(hurts, 0);
    vault_make_fini(&make);
}

/* --- failures and cancelling ---------------------------------------------- */

static void any_failing_request_is_the_answer(void **state)
{
    struct store_fault_rule rule = {
        .kind = FAULT_ANY, .action = FAULT_FAIL, .code = ERR_UNREACHABLE};
    struct how how = {.keys = keys, .full = true};
    unsigned hit = 0;

    (void)state;
    vault_rig_load(&rig);
    for (int tight = 0; tight < 2; tight++) {
        /* How often tables are read again depends on which scan ends first. */
        how.table_bytes = (uint64_t)tight;
        for (rule.nth = 1; rule.nth <= 40; rule.nth++) {
            store_fault_add(rig.store, &rule);
            if (verify(how) == ERR_UNREACHABLE)
                hit++;
            else
                assert_int_equal(rig.err.code, ERR_OK);
            assert_int_equal(findings, 0);
            store_fault_clear(rig.store);
        }
    }
    assert_true(hit >= 2 * 26);
}

static void cancelling_at_any_time_ends_it_once(void **state)
{
    struct store_fault_rule rule = {.kind = FAULT_ANY, .action = FAULT_HOLD};
    struct how how = {.keys = keys, .full = true};
    uint64_t requests = rig.store->requests;
    struct verify *v;

    (void)state;
    expect_clean(how);
    requests = rig.store->requests - requests;
    for (rule.nth = 1; rule.nth <= requests; rule.nth++) {
        unsigned before = rig.done;

        store_fault_add(rig.store, &rule);
        assert_int_equal(begin_verify(how, &v), ERR_OK);
        while (!store_fault_held(rig.store))
            vault_rig_turn(&rig);
        verify_cancel(v);
        assert_int_equal(rig.done, before);
        store_fault_release(rig.store);
        vault_rig_wait(&rig, before + 1);
        assert_int_equal(rig.err.code, ERR_CANCELLED);
        store_fault_clear(rig.store);
    }
}

static void ignore_cancel(struct store_op *op)
{
    (void)op; /* the answer is there already */
}

static void a_listing_that_ends_all_the_same_is_not_gone_on_from(void **state)
{
    struct store_fault_rule rule = {.kind = FAULT_LIST, .action = FAULT_HOLD};
    struct how how = {.keys = keys, .point = POINT_A};
    const struct store_ops *before = rig.store->ops;
    struct store_ops ops = *before;

    (void)state;
    ops.cancel = ignore_cancel;
    for (int all = 0; all < 2; all++) {
        uint64_t requests = rig.store->requests;
        unsigned done = rig.done;
        struct verify *v;

        how.point = all ? NULL : POINT_A;
        store_fault_add(rig.store, &rule);
        assert_int_equal(begin_verify(how, &v), ERR_OK);
        while (!store_fault_held(rig.store))
            vault_rig_turn(&rig);
        rig.store->ops = &ops;
        verify_cancel(v);
        rig.store->ops = before;
        store_fault_release(rig.store);
        vault_rig_wait(&rig, done + 1);
        assert_int_equal(rig.err.code, ERR_CANCELLED);
        assert_int_equal(rig.store->requests - requests, 1);
        store_fault_clear(rig.store);
    }
}

#define REMEMBERED 800u

static void remembered_name(unsigned i, char out[NAME_POINT_BYTES + 1])
{
    struct name n = {.kind = NAME_POINT, .rand = i};
    char text[NAME_TEXT];

    n.time_ms = 1700000000000u + i * (uint64_t)1000;
    name_text(&n, text);
    memcpy(out, text, NAME_POINT_BYTES + 1);
}

/* Half of the names are of points that are there, the others were removed. */
static void what_points_remember_is_kept_once(void **state)
{
    struct verify *v = calloc(1, sizeof(*v));
    char name[NAME_POINT_BYTES + 1];
    size_t most = 0;
    struct buf all;

    (void)state;
    assert_non_null(v);
    findings = hurts = 0;
    texts[0] = 0;
    v->opts.on_finding = on_finding;
    v->lists = list_set_new();
    buf_init(&v->points, SIZE_MAX / 2);
    buf_init(&v->rosters, SIZE_MAX / 2);
    buf_init(&v->replaced, SIZE_MAX / 2);
    buf_init(&all, SIZE_MAX / 2);
    for (unsigned i = 0; i < REMEMBERED; i++) {
        remembered_name(i, name);
        assert_true(buf_add(&all, name, NAME_POINT_BYTES));
        if (i >= REMEMBERED / 2)
            assert_true(buf_add(&v->points, name, NAME_POINT_BYTES));
        if (i < REMEMBERED / 2 - 2) /* two are nowhere */
            assert_true(buf_add(&v->replaced, name, NAME_POINT_BYTES));
    }
    for (unsigned i = 0; i < REMEMBERED; i++) {
        assert_true(
            verify_roster_note(v, (struct slice){all.data, all.len}));
        most = v->rosters.cap > most ? v->rosters.cap : most;
    }
    assert_true(most < MIB);
    verify_roster_check(v);
    assert_int_equal(findings, 2);
    remembered_name(REMEMBERED / 2 - 1, name);
    assert_non_null(strstr(texts, name));
    buf_fini(&v->points);
    buf_fini(&v->rosters);
    buf_fini(&v->replaced);
    buf_fini(&all);
    list_set_free(v->lists);
    free(v);
}

static void what_is_collected_meanwhile_is_no_finding(void **state)
{
    struct store_fault_rule rule = {.kind = FAULT_GET,
                                    .prefix = "index/",
                                    .action = FAULT_FAIL,
                                    .code = ERR_NOT_FOUND};

    (void)state;
    store_fault_add(rig.store, &rule);
    expect_clean((struct how){.keys = keys});
    store_fault_clear(rig.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vault_of_the_vectors_is_whole),
        cmocka_unit_test(each_damage_is_found_as_its_row_says),
        cmocka_unit_test(a_full_verification_needs_the_data_keys),
        cmocka_unit_test(one_point_is_told_from_the_others),
        cmocka_unit_test(spoilt_wraps_and_hints_are_found),
        cmocka_unit_test(a_key_that_nobody_holds_any_more_is_found),
        cmocka_unit_test(a_point_that_vanished_is_missed),
        cmocka_unit_test(tables_that_were_let_go_are_read_again),
        cmocka_unit_test(a_slot_is_hurt_only_when_no_generation_has_it),
        cmocka_unit_test(a_point_that_names_what_is_not_there_is_found),
        cmocka_unit_test(a_pack_that_no_point_names_hurts_nobody),
        cmocka_unit_test(any_failing_request_is_the_answer),
        cmocka_unit_test(cancelling_at_any_time_ends_it_once),
        cmocka_unit_test(a_listing_that_ends_all_the_same_is_not_gone_on_from),
        cmocka_unit_test(what_points_remember_is_kept_once),
        cmocka_unit_test(what_is_collected_meanwhile_is_no_finding),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
