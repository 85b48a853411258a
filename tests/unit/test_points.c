/* SPDX-License-Identifier: Apache-2.0 */
#include "vault_rig.h"
#include "vectors_keys.h"

#include "vault/list.h"
#include "vault/points.h"

#define TAG_A "2e73579d31f1cbc0232e04f666837d2a"
#define TAG_B "17c3a54779ee8ea567a56177b637fdf5"
#define SERIES_A "0f0e0d0c-0b0a-4908-8706-050403020100"
#define POINT_A "points/" TAG_A "/20250616T150640Z-059c9b7c"
#define POINT_B "points/" TAG_B "/20250710T150640Z-1f11a9c5"
#define POINT_B_REMOVED "points/" TAG_B "/20250710T150641Z-f50564e1"

static struct vault_rig rig;
static struct keyring *keys; /* all of them, and some to seal under */

static int set_up(void **state)
{
    (void)state;
    vault_rig_init(&rig, true);
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

static struct points_list *listed;

static void on_points(void *ctx, const struct err *err,
                      struct points_list *take)
{
    (void)ctx;
    assert_int_equal(err->code == ERR_OK, take != NULL);
    listed = take;
    vault_rig_done(&rig, err);
}

static struct points_list *list_points(const struct keyring *with,
                                       const struct id16 *tag)
{
    struct points_opts opts = {
        .store = rig.store, .keys = with, .vm_tag = tag, .done = on_points};
    struct points *p;
    unsigned before = rig.done;

    assert_int_equal(points_start(&opts, &p, &rig.err), ERR_OK);
    vault_rig_wait(&rig, before + 1);
    return listed;
}

static const struct points_entry *find(const struct points_list *list,
                                       const char *name)
{
    const struct points_entry *e = points_find(list, name);

    if (!e)
        fail_msg("%s is not listed", name);
    return e;
}

static void the_points_of_the_vectors_are_shown_or_removed(void **state)
{
    struct json *doc = vectors_load("vault.json");
    const struct json *disks = vectors_get(doc, "disks");
    struct points_list *list = list_points(keys, NULL);

    (void)state;
    assert_non_null(list);
    assert_int_equal(list->count, 3);
    assert_int_equal(list->bad_lists, 0);
    for (size_t i = 0; i < json_count(disks); i++) {
        const struct json *row = json_at(disks, i);
        const struct points_entry *e = find(list, vectors_text(row, "point"));
        bool seen = false;

        assert_int_equal(e->state, json_bool(json_get(row, "removed"), false)
                                       ? POINTS_REMOVED
                                       : POINTS_SHOWN);
        assert_true(e->has_keys);
        for (size_t d = 0; d < e->disks; d++)
            if (e->disk[d].position == vectors_int(row, "position")) {
                assert_int_equal(e->disk[d].bytes, vectors_int(row, "size"));
                seen = true;
            }
        assert_true(seen);
    }
    assert_string_equal(find(list, POINT_A)->series, SERIES_A);
    assert_string_equal(points_newest(list, SERIES_A)->name, POINT_A);
    assert_string_equal(points_newest(list, "billing-db \u00fc")->name,
                        POINT_B);
    assert_null(points_newest(list, "nobody"));
    for (size_t i = 1; i < list->count; i++)
        assert_true(strcmp(list->entry[i - 1].name, list->entry[i].name) < 0);
    points_list_free(list);
    json_free(doc);
}

static void an_object_s_sha_256_is_told(void **state)
{
    struct json *doc = vectors_load("vault.json");
    const struct json *objects = vectors_get(doc, "objects");
    struct points_list *list = list_points(keys, NULL);
    unsigned compared = 0;

    (void)state;
    for (size_t i = 0; i < json_count(objects); i++) {
        const struct json *row = json_at(objects, i);
        const char *name = vectors_text(row, "name");

        if (strncmp(name, "points/", 7) != 0)
            continue;
        vectors_equal(row, "sha256", find(list, name)->sha256, 32);
        assert_int_equal(find(list, name)->object_bytes,
                         vectors_int(row, "size"));
        compared++;
    }
    assert_int_equal(compared, 3);
    points_list_free(list);
    json_free(doc);
}

static void the_points_of_one_vm_alone(void **state)
{
    struct points_list *list;
    struct id16 tag;

    (void)state;
    assert_true(bytes_unhex(TAG_B, tag.b, 16));
    list = list_points(keys, &tag);
    assert_int_equal(list->count, 2);
    assert_string_equal(list->entry[0].name, POINT_B);
    assert_string_equal(list->entry[1].name, POINT_B_REMOVED);
    points_list_free(list);
    tag.b[0] ^= 1;
    list = list_points(keys, &tag);
    assert_int_equal(list->count, 0);
    points_list_free(list);
}

static void without_data_keys_points_are_shown_but_not_restorable(void **state)
{
    struct keyring *gateway = vault_rig_open(&rig, &rig.gateway);
    struct points_list *list = list_points(gateway, NULL);

    (void)state;
    assert_int_equal(list->count, 3);
    for (size_t i = 0; i < list->count; i++) {
        assert_int_equal(list->entry[i].data_key_count, 1);
        assert_false(list->entry[i].has_keys);
        assert_true(list->entry[i].series[0]);
    }
    points_list_free(list);
    keyring_unref(gateway);
}

static void a_spoilt_point_is_listed_as_bad(void **state)
{
    struct points_list *list;

    (void)state;
    store_fault_damage(rig.bucket, POINT_B, 100, 1);
    list = list_points(keys, NULL);
    assert_int_equal(list->count, 3);
    assert_int_equal(find(list, POINT_B)->state, POINTS_BAD);
    assert_int_equal(find(list, POINT_B)->err.code, ERR_INTEGRITY);
    assert_int_equal(find(list, POINT_A)->state, POINTS_SHOWN);
    points_list_free(list);
    vault_rig_load(&rig);
}

static void a_spoilt_list_is_told_and_hides_nothing(void **state)
{
    struct points_list *list;

    (void)state;
    store_fault_damage(rig.bucket, "gc/20250710T150640Z-4b66f262", 100, 1);
    list = list_points(keys, NULL);
    assert_int_equal(list->bad_lists, 1);
    assert_non_null(strstr(list->bad_list.text, "20250710T150640Z-4b66f262"));
    assert_int_equal(find(list, POINT_B_REMOVED)->state, POINTS_SHOWN);
    points_list_free(list);
    vault_rig_load(&rig);
}

static void each_point_is_found_by_its_name_and_nothing_else(void **state)
{
    enum { COUNT = 1000 };
    static struct points_entry entries[COUNT];
    struct points_list list = {.entry = entries};
    char name[NAME_POINT_BYTES + 1];

    (void)state;
    assert_null(points_find(&list, POINT_A)); /* an empty one */
    for (unsigned i = 0; i < COUNT; i++) /* odd numbers; even ones are not */
        snprintf(entries[i].name, sizeof(entries[i].name),
                 "points/" TAG_A "/20250617T000000Z-%08x", 2 * i + 1);
    for (list.count = 1; list.count < COUNT; list.count += 333)
        for (unsigned i = 0; i < 2 * COUNT + 2; i++) {
            snprintf(name, sizeof(name),
                     "points/" TAG_A "/20250617T000000Z-%08x", i);
            assert_ptr_equal(points_find(&list, name),
                             i % 2 && i / 2 < list.count ? &entries[i / 2]
                                                         : NULL);
        }
}

/* --- points made here ----------------------------------------------------- */

/* A point of SERIES_A without disks. */
static void put_point(const char *name, bool unfinished, const char *replaces)
{
    struct id16 key = keyring_current(keys, SEAL_KEY_META)->id;
    struct point p = {
        .series = {(const uint8_t *)SERIES_A, strlen(SERIES_A)},
        .start_ms = 1750000000000,
        .end_ms = 1750000001000,
        .unfinished = unfinished,
        .replaces = {(const uint8_t *)replaces, strlen(replaces)},
        .key = &key,
        .keys = 1,
    };
    struct buf out;
    struct err err;

    buf_init(&out, MIB);
    if (point_seal(keys, name, &p, (struct slice){NULL, 0}, &out, &err) !=
        ERR_OK)
        fail_msg("%s", err.text);
    assert_true(store_fault_poke(rig.bucket, name, out.data, out.len, 1000));
    buf_fini(&out);
}

static void anchors_and_replaced_points_are_not_shown(void **state)
{
    static const char anchor[] = "points/" TAG_A "/20250617T000000Z-00000001";
    static const char first[] = "points/" TAG_A "/20250617T000001Z-00000002";
    static const char second[] = "points/" TAG_A "/20250617T000002Z-00000003";
    struct points_list *list;

    (void)state;
    put_point(anchor, true, "");
    put_point(first, false, "");
    put_point(second, false,
              "points/" TAG_A "/20250617T000001Z-00000002"
              "points/" TAG_A "/20250617T000001Z-ffffffff");
    list = list_points(keys, NULL);
    assert_int_equal(list->count, 6);
    assert_int_equal(find(list, anchor)->state, POINTS_UNFINISHED);
    assert_int_equal(find(list, first)->state, POINTS_REPLACED);
    assert_int_equal(find(list, second)->state, POINTS_SHOWN);
    assert_string_equal(points_newest(list, SERIES_A)->name, second);
    points_list_free(list);
    vault_rig_load(&rig);
}

static void a_point_that_was_taken_back_is_shown_again(void **state)
{
    static const char name[] = "gc/20250711T000000Z-00000001";
    struct list back = {
        .restored = {(const uint8_t *)POINT_B_REMOVED, NAME_POINT_BYTES}};
    struct points_list *list;
    struct buf out;
    struct err err;

    (void)state;
    buf_init(&out, MIB);
    assert_int_equal(list_seal(keys, name, &back, &out, &err), ERR_OK);
    store_fault_poke(rig.bucket, name, out.data, out.len, 1000);
    buf_fini(&out);
    list = list_points(keys, NULL);
    assert_int_equal(find(list, POINT_B_REMOVED)->state, POINTS_SHOWN);
    points_list_free(list);
    vault_rig_load(&rig);
}

static void a_point_that_goes_while_it_is_listed_is_left_out(void **state)
{
    struct store_fault_rule rule = {.kind = FAULT_GET,
                                    .prefix = POINT_A,
                                    .action = FAULT_FAIL,
                                    .code = ERR_NOT_FOUND};
    struct points_list *list;

    (void)state;
    store_fault_add(rig.store, &rule);
    list = list_points(keys, NULL);
    store_fault_clear(rig.store);
    assert_int_equal(list->count, 2);
    points_list_free(list);
}

/* --- failures ------------------------------------------------------------- */

#define REQUESTS 8 /* 2 lists, 3 points, 3 collection lists */

static void any_failing_request_is_the_answer(void **state)
{
    struct store_fault_rule rule = {
        .kind = FAULT_ANY, .action = FAULT_FAIL, .code = ERR_UNREACHABLE};
    uint64_t before = rig.store->requests;
    struct points_list *list = list_points(keys, NULL);

    (void)state;
    points_list_free(list);
    assert_int_equal(rig.store->requests - before, REQUESTS);
    for (rule.nth = 1; rule.nth <= REQUESTS; rule.nth++) {
        store_fault_add(rig.store, &rule);
        list = list_points(keys, NULL);
        assert_null(list);
        assert_int_equal(rig.err.code, ERR_UNREACHABLE);
        store_fault_clear(rig.store);
    }
}

static void cancelling_at_any_time_ends_it_once(void **state)
{
    struct store_fault_rule rule = {.kind = FAULT_ANY, .action = FAULT_HOLD};
    struct points_opts opts = {
        .store = rig.store, .keys = keys, .done = on_points};
    struct points *p;

    (void)state;
    for (rule.nth = 1; rule.nth <= REQUESTS; rule.nth++) {
        unsigned before = rig.done;

        store_fault_add(rig.store, &rule);
        assert_int_equal(points_start(&opts, &p, &rig.err), ERR_OK);
        while (!store_fault_held(rig.store))
            vault_rig_turn(&rig);
        points_cancel(p);
        assert_int_equal(rig.done, before);
        store_fault_release(rig.store);
        vault_rig_wait(&rig, before + 1);
        assert_int_equal(rig.err.code, ERR_CANCELLED);
        store_fault_clear(rig.store);
    }
}

/* --- one point ------------------------------------------------------------ */

static struct point *fetched;

static void on_fetched(void *ctx, const struct err *err, struct point *take,
                       const uint8_t sha256[32])
{
    (void)ctx;
    (void)sha256;
    fetched = take;
    vault_rig_done(&rig, err);
}

static void one_point_is_read_by_its_name(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(
        points_fetch(rig.store, keys, POINT_A, on_fetched, NULL, NULL, &err),
        ERR_OK);
    vault_rig_wait(&rig, rig.done + 1);
    assert_int_equal(rig.err.code, ERR_OK);
    assert_int_equal(fetched->disks, 2);
    point_free(fetched);
    assert_int_equal(points_fetch(rig.store, keys,
                                  "points/" TAG_A "/20250616T150640Z-00000000",
                                  on_fetched, NULL, NULL, &err),
                     ERR_OK);
    vault_rig_wait(&rig, rig.done + 1);
    assert_int_equal(rig.err.code, ERR_NOT_FOUND);
    assert_null(fetched);
    assert_int_equal(
        points_fetch(rig.store, keys, "format", on_fetched, NULL, NULL, &err),
        ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_points_of_the_vectors_are_shown_or_removed),
        cmocka_unit_test(an_object_s_sha_256_is_told),
        cmocka_unit_test(the_points_of_one_vm_alone),
        cmocka_unit_test(without_data_keys_points_are_shown_but_not_restorable),
        cmocka_unit_test(a_spoilt_point_is_listed_as_bad),
        cmocka_unit_test(a_spoilt_list_is_told_and_hides_nothing),
        cmocka_unit_test(anchors_and_replaced_points_are_not_shown),
        cmocka_unit_test(a_point_that_was_taken_back_is_shown_again),
        cmocka_unit_test(a_point_that_goes_while_it_is_listed_is_left_out),
        cmocka_unit_test(each_point_is_found_by_its_name_and_nothing_else),
        cmocka_unit_test(any_failing_request_is_the_answer),
        cmocka_unit_test(cancelling_at_any_time_ends_it_once),
        cmocka_unit_test(one_point_is_read_by_its_name),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
