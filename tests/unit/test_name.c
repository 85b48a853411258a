/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "vault/name.h"

/* The objects of the small vault are named by another implementation. */
static void names_of_the_vector_vault_come_back(void **state)
{
    struct json *doc = vectors_load("vault.json");
    const struct json *objects = vectors_get(doc, "objects");

    (void)state;
    assert_true(json_count(objects) > 15);
    for (size_t i = 0; i < json_count(objects); i++) {
        const char *text = vectors_text(json_at(objects, i), "name");
        char again[NAME_TEXT];
        struct name n;

        if (!name_parse(text, &n))
            fail_msg("%s: not taken", text);
        name_text(&n, again);
        assert_string_equal(again, text);
    }
    json_free(doc);
}

#define HEX32 "48a1c6913e5e33585ff3fb38a335e4c2"

static void a_name_is_taken_apart(void **state)
{
    struct name n;

    (void)state;
    assert_true(name_parse("packs/48/" HEX32 ".001f-8ec528d1", &n));
    assert_int_equal(n.kind, NAME_PACK);
    assert_int_equal(n.id.b[0], 0x48);
    assert_int_equal(n.id.b[15], 0xc2);
    assert_int_equal(n.gen, 0x1f);
    assert_int_equal(n.rand, 0x8ec528d1);
    assert_true(name_parse("points/" HEX32 "/20250616T150640Z-059c9b7c", &n));
    assert_int_equal(n.kind, NAME_POINT);
    assert_int_equal(n.time_ms, 1750086400000); /* date -d */
    assert_int_equal(n.rand, 0x059c9b7c);
}

static void what_fits_no_form_is_left_alone(void **state)
{
    static const char *const other[] = {
        "",
        "format2",
        "formats/",
        "tmp/x",
        "packs/",
        "packs/48/",
        "packs/49/" HEX32,     /* another first byte */
        "packs/48/" HEX32 ".", /* no generation */
        "packs/48/" HEX32 ".0000-8ec528d1",
        "packs/48/" HEX32 ".1-8ec528d1",
        "packs/48/" HEX32 ".0001-8ec528d1x",
        "packs/48/" HEX32 ".0001-8EC528D1",
        "packs/48/" HEX32 "/x",
        "points/" HEX32 "/20250616T150640Z-059c9b7",
        "points/" HEX32 "/20250616T150640Z059c9b7c",
        "points/" HEX32 "/20251316T150640Z-059c9b7c",
        "points//20250616T150640Z-059c9b7c",
        "gc/20250616T150640Z",
        "gc/20250616T150640Z-0a8a411c.tmp",
        "index/20250616150640Z-0a8a411c",
        "keys/" HEX32 "/" HEX32,
        "keys/recovery/" HEX32 "-1234567",
        "keys/recovery" HEX32 "-12345678",
    };
    struct name n;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(other); i++)
        if (name_parse(other[i], &n))
            fail_msg("%s: taken", other[i]);
    assert_false(name_parse_n("format\0", 7, &n));
    assert_true(name_parse_n("formatting", 6, &n));
}

static void prefixes_are_those_of_their_objects(void **state)
{
    struct name n;
    char text[NAME_TEXT], prefix[NAME_TEXT];

    (void)state;
    assert_true(name_parse("maps/48/" HEX32 ".0002-8ec528d1", &n));
    name_pack(NAME_MAP, &n.id, prefix);
    assert_string_equal(prefix, "maps/48/" HEX32);
    name_text(&n, text);
    assert_int_equal(strncmp(text, prefix, strlen(prefix)), 0);
    name_points_of(&n.id, prefix);
    assert_string_equal(prefix, "points/" HEX32 "/");
}

static void a_new_name_is_later_than_what_lies_beside_it(void **state)
{
    (void)state;
    assert_int_equal(name_time_after(1750086400999, 0), 1750086400000);
    assert_int_equal(name_time_after(1750086400999, 1750086399000),
                     1750086400000);
    assert_int_equal(name_time_after(1750086400999, 1750086400000),
                     1750086401000);
    assert_int_equal(name_time_after(1750086400999, 1750086500000),
                     1750086501000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_the_vector_vault_come_back),
        cmocka_unit_test(a_name_is_taken_apart),
        cmocka_unit_test(what_fits_no_form_is_left_alone),
        cmocka_unit_test(prefixes_are_those_of_their_objects),
        cmocka_unit_test(a_new_name_is_later_than_what_lies_beside_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
