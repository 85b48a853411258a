/* SPDX-License-Identifier: Apache-2.0 */
#include "vault_damage.h"
#include "vault_walk.h"
#include "vectors_keys.h"

static struct vault_rig rig;
static struct keyring *keys;

static int set_up(void **state)
{
    (void)state;
    work_setup();
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

/* Restore one disk of one point and compare. */
static enum err_code restore(const char *name, int64_t position,
                             const struct json *expect)
{
    struct vault_walk w = {.rig = &rig};
    struct point *point = vault_walk_point(&rig, keys, name);
    enum err_code rc = rig.err.code;
    size_t disk = 0;

    if (!point)
        return rc;
    while (disk < point->disks && point->disk[disk].position != position)
        disk++;
    assert_true(disk < point->disks);
    rc = vault_walk_all(&w, keys, point, name, disk);
    if (rc == ERR_OK) {
        assert_int_equal(w.at, vectors_int(expect, "size"));
        vectors_equal(expect, "sha256", w.sha256, 32);
    }
    point_free(point);
    return rc;
}

static void every_disk_of_the_vectors_comes_back(void **state)
{
    struct json *doc = vectors_load("vault.json");
    const struct json *disks = vectors_get(doc, "disks");

    (void)state;
    for (size_t i = 0; i < json_count(disks); i++) {
        const struct json *row = json_at(disks, i);

        if (restore(vectors_text(row, "point"), vectors_int(row, "position"),
                    row) != ERR_OK)
            fail_msg("%s: %s", vectors_text(row, "point"), rig.err.text);
    }
    json_free(doc);
}

static const struct json *expectation(const struct json *vault,
                                      const struct json *restore_row)
{
    const struct json *disks = vectors_get(vault, "disks");

    for (size_t i = 0; i < json_count(disks); i++) {
        const struct json *row = json_at(disks, i);

        if (strcmp(vectors_text(row, "point"),
                   vectors_text(restore_row, "point")) == 0 &&
            vectors_int(row, "position") ==
                vectors_int(restore_row, "position"))
            return row;
    }
    fail_msg("no such disk");
    return NULL;
}

static void each_damage_ends_as_its_row_says(void **state)
{
    struct json *vault = vectors_load("vault.json");
    struct json *doc = vectors_load("damage.json");
    const struct json *cases = vectors_get(doc, "cases");
    unsigned good = 0, refused = 0;

    (void)state;
    for (size_t i = 0; i < json_count(cases); i++) {
        const struct json *row = json_at(cases, i);
        const struct json *restores = vectors_get(row, "restores");

        vault_damage_apply(&rig, row);
        for (size_t j = 0; j < json_count(restores); j++) {
            const struct json *r = json_at(restores, j);
            bool want = strcmp(vectors_text(r, "restore"), "good") == 0;
            enum err_code rc =
                restore(vectors_text(r, "point"), vectors_int(r, "position"),
                        expectation(vault, r));

            if ((rc == ERR_OK) != want)
                fail_msg("%s (%s): %s disk %jd: %s", vectors_text(row, "why"),
                         vectors_text(row, "object"), vectors_text(r, "point"),
                         (intmax_t)vectors_int(r, "position"),
                         want ? rig.err.text : "restored all the same");
            if (!want && rc != ERR_INTEGRITY && rc != ERR_NOT_FOUND)
                fail_msg("%s: %s", err_name(rc), rig.err.text);
            good += want;
            refused += !want;
        }
        vault_rig_load(&rig);
    }
    assert_int_equal(json_count(cases), 38);
    assert_true(good > 40 && refused > 40);
    json_free(doc);
    json_free(vault);
}

static void without_the_data_key_nothing_is_read(void **state)
{
    static const char name[] =
        "points/17c3a54779ee8ea567a56177b637fdf5/20250710T150640Z-1f11a9c5";
    struct keyring *gateway = vault_rig_open(&rig, &rig.gateway);
    struct point *point = vault_walk_point(&rig, gateway, name);
    struct vault_walk w = {.rig = &rig};

    (void)state;
    assert_non_null(point);
    assert_int_equal(vault_walk_all(&w, gateway, point, name, 0), ERR_KEY);
    assert_non_null(strstr(w.err.text, "fbc1d3b5905204f0ec53caefadf5c632"));
    point_free(point);
    keyring_unref(gateway);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_disk_of_the_vectors_comes_back),
        cmocka_unit_test(each_damage_ends_as_its_row_says),
        cmocka_unit_test(without_the_data_key_nothing_is_read),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
