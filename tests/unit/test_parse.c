/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/parse.h"

#define UNTOUCHED UINT64_C(0xdeadbeef)

struct row {
    const char *text;
    uint64_t min, max;
    bool good;
    uint64_t n;
};

typedef bool parse_fn(const char *text, uint64_t min, uint64_t max,
                      uint64_t *out);

static void check(parse_fn *parse, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t got = UNTOUCHED;
        bool good = parse(rows[i].text, rows[i].min, rows[i].max, &got);

        if (good != rows[i].good ||
            got != (rows[i].good ? rows[i].n : UNTOUCHED))
            fail_msg("'%s' in %ju to %ju: %s %ju", rows[i].text,
                     (uintmax_t)rows[i].min, (uintmax_t)rows[i].max,
                     good ? "taken as" : "refused", (uintmax_t)got);
    }
}

static void a_number_is_digits_and_nothing_else(void **state)
{
    static const struct row rows[] = {
        {"0", 0, 9, true, 0},
        {"7", 0, 9, true, 7},
        {"10", 0, 9, false, 0},
        {"1", 2, 9, false, 0},
        {"2", 2, 2, true, 2},
        {"18446744073709551615", 0, UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", 0, UINT64_MAX, false, 0},
        {"18446744073709551625", 0, UINT64_MAX, false, 0},
        {"36893488147419103232", 0, UINT64_MAX, false, 0}, /* 2^65 */
        {"99999999999999999999", 0, UINT64_MAX, false, 0},
        {"", 0, 9, false, 0},
        {"00", 0, 9, false, 0},
        {"01", 0, 9, false, 0},
        {"-1", 0, UINT64_MAX, false, 0},
        {"+1", 0, 9, false, 0},
        {" 1", 0, 9, false, 0},
        {"1 ", 0, 9, false, 0},
        {"1\n", 0, 9, false, 0},
        {"1x", 0, 9, false, 0},
        {"0x1", 0, 9, false, 0},
        {"1.0", 0, 9, false, 0},
        {"1e3", 0, 9999, false, 0},
        {"1_000", 0, 9999, false, 0},
        {"\xd9\xa1", 0, 9, false, 0}, /* an Arabic one */
    };
    uint64_t n = 0;

    (void)state;
    check(parse_u64, rows, BYTES_COUNT(rows));
    assert_true(parse_u64_n("123456", 3, 0, 999, &n));
    assert_int_equal(n, 123);
    assert_false(parse_u64_n("1", 0, 0, 9, &n));
    assert_false(parse_u64_n("1\0", 2, 0, 9, &n));
}

static void a_size_has_one_of_five_units_or_none(void **state)
{
    static const struct row rows[] = {
        {"0", 0, 1, true, 0},
        {"4096", 0, TIB, true, 4096},
        {"4096 B", 0, TIB, true, 4096},
        {"1 KiB", 0, TIB, true, 1024},
        {"64 MiB", 0, TIB, true, 67108864},
        {"64MiB", 0, TIB, true, 67108864},
        {"1 GiB", 0, TIB, true, 1073741824},
        {"1 TiB", 0, TIB, true, UINT64_C(1099511627776)},
        {"2 TiB", 0, TIB, false, 0},
        {"63 MiB", 64 * MIB, TIB, false, 0},
        {"16777215 TiB", 0, UINT64_MAX, true, UINT64_C(16777215) << 40},
        {"16777216 TiB", 0, UINT64_MAX, false, 0}, /* 2^64 */
        {"16777217 TiB", 0, UINT64_MAX, false, 0},
        {"1 gib", 0, TIB, false, 0},
        {"1 GB", 0, TIB, false, 0},
        {"1 G", 0, TIB, false, 0},
        {"1  GiB", 0, TIB, false, 0},
        {"1 GiB ", 0, TIB, false, 0},
        {" 1 GiB", 0, TIB, false, 0},
        {"1.5 GiB", 0, TIB, false, 0},
        {"-1 GiB", 0, UINT64_MAX, false, 0},
        {"01 GiB", 0, TIB, false, 0},
        {"GiB", 0, TIB, false, 0},
        {"1 ", 0, TIB, false, 0},
        {"", 0, TIB, false, 0},
    };

    (void)state;
    check(parse_size, rows, BYTES_COUNT(rows));
}

static void a_duration_names_its_unit(void **state)
{
    static const struct row rows[] = {
        {"500 ms", 0, UINT64_MAX, true, 500},
        {"30 s", 0, UINT64_MAX, true, 30000},
        {"30s", 0, UINT64_MAX, true, 30000},
        {"5 min", 0, UINT64_MAX, true, 300000},
        {"24 h", 0, UINT64_MAX, true, 86400000},
        {"7 d", 0, UINT64_MAX, true, 604800000},
        {"0 s", 0, 1, true, 0},
        {"61 s", 0, 60000, false, 0},
        {"59 s", 60000, 90000, false, 0},
        {"213503982334 d", 0, UINT64_MAX, true, UINT64_C(18446744073657600000)},
        {"213503982335 d", 0, UINT64_MAX, false, 0},
        {"30", 0, UINT64_MAX, false, 0},
        {"30 m", 0, UINT64_MAX, false, 0},
        {"30 S", 0, UINT64_MAX, false, 0},
        {"30 sec", 0, UINT64_MAX, false, 0},
        {"1 h 30 min", 0, UINT64_MAX, false, 0},
        {"s", 0, UINT64_MAX, false, 0},
        {"-1 s", 0, UINT64_MAX, false, 0},
    };

    (void)state;
    check(parse_duration_ms, rows, BYTES_COUNT(rows));
}

static void a_bool_is_true_or_false(void **state)
{
    static const char *const bad[] = {"", "TRUE", "yes", "1", "true ", "fals"};
    bool b = false;

    (void)state;
    assert_true(parse_bool("true", &b));
    assert_true(b);
    for (size_t i = 0; i < BYTES_COUNT(bad); i++)
        assert_false(parse_bool(bad[i], &b));
    assert_true(b);
    assert_true(parse_bool("false", &b));
    assert_false(b);
}

static void a_uuid_is_36_characters(void **state)
{
    static const char *const bad[] = {
        "",
        "00112233-4455-6677-8899-aabbccddeef",
        "00112233-4455-6677-8899-aabbccddeefff",
        "00112233-4455-6677-8899-aabbccddeefg",
        "001122334455-6677-8899-aabbccddeeff-",
        "0011223344556677-8899aabbccddeeff----",
        "00112233445566778899aabbccddeeff",
        "{00112233-4455-6677-8899-aabbccddeeff}",
        "00112233-4455-6677-8899-aabbccddeeff ",
        "OpaqueRef:00112233-4455-6677-8899-aab",
    };
    static const uint8_t want[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55,
                                     0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb,
                                     0xcc, 0xdd, 0xee, 0xff};
    struct id16 id = {{0}};
    char text[37];

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(bad); i++)
        assert_false(parse_uuid(bad[i], &id));
    assert_true(bytes_all_zero(id.b, 16));
    assert_true(parse_uuid("00112233-4455-6677-8899-AABBccddeeff", &id));
    assert_memory_equal(id.b, want, 16);
    parse_uuid_text(&id, text);
    assert_string_equal(text, "00112233-4455-6677-8899-aabbccddeeff");
    memset(&id, 0, sizeof(id));
    assert_false(parse_id16("00112233445566778899aabbccddeef", &id));
    assert_false(parse_id16("00112233445566778899AAbbccddeeff", &id));
    assert_false(parse_id16("00112233445566778899aabbccddeeff0", &id));
    assert_true(bytes_all_zero(id.b, 16));
    assert_true(parse_id16("00112233445566778899aabbccddeeff", &id));
    assert_memory_equal(id.b, want, 16);
}

static void a_name_is_short_and_plain(void **state)
{
    static const char *const bad[] = {
        "", "A", "a_b", "a.b", "a b", "a/b", "..", "\xc3\xa9", "a\n",
        "0123456789012345678901234567890123456789x",
    };

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(bad); i++)
        assert_false(parse_name(bad[i]));
    assert_true(parse_name("a"));
    assert_true(parse_name("acme-2"));
    assert_true(parse_name("0123456789012345678901234567890123456789"));
}

/* The classes of "Well-Formed UTF-8 Byte Sequences", The Unicode Standard,
 * table 3-7, at their edges. */
static void utf8_is_well_formed_or_refused(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } utf8[] = {
        {"", true},
        {"a\x7f", true},
        {"\x80", false},
        {"\xbf", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xc2\x80", true},
        {"\xdf\xbf", true},
        {"\xc2", false},
        {"\xc2\x7f", false},
        {"\xc2\xc0", false},
        {"\xe0\x9f\xbf", false},
        {"\xe0\xa0\x80", true},
        {"\xed\x9f\xbf", true},
        {"\xed\xa0\x80", false},
        {"\xed\xbf\xbf", false},
        {"\xee\x80\x80", true},
        {"\xef\xbf\xbf", true},
        {"\xe2\x82", false},
        {"\xe2\x82\x7f", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf0\x90\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xf0\x90\x80", false},
        {"\xff", false},
        {"ok\xe2\x82\xac" "ok", true},
        {"ok\xe2\x82\xac\xac", false},
    };

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(utf8); i++)
        if (parse_utf8(utf8[i].text, strlen(utf8[i].text)) != utf8[i].good)
            fail_msg("row %zu", i);
    assert_false(parse_utf8("a\0b", 3));
    assert_int_equal(parse_utf8_step("\xe2\x82\xac!", 4), 3);
    assert_int_equal(parse_utf8_step("\xe2\x82\xac!", 2), 0);
    assert_int_equal(parse_utf8_step("", 0), 0);
    assert_int_equal(parse_utf8_cut("a\xe2\x82\xac!", 5), 5);
    assert_int_equal(parse_utf8_cut("a\xe2\x82\xac!", 4), 4);
    assert_int_equal(parse_utf8_cut("a\xe2\x82\xac!", 3), 1);
    assert_int_equal(parse_utf8_cut("a\xe2\x82\xac!", 2), 1);
    assert_int_equal(parse_utf8_cut("\xe2\x82\xac", 2), 0);
    assert_int_equal(parse_utf8_cut("", 0), 0);
}

static void a_size_for_people_is_rounded_down(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = {
        {0, "0 B"},
        {312, "312 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {MIB - 1, "1023.9 KiB"},
        {MIB, "1.0 MiB"},
        {GIB - 1, "1023.9 MiB"},
        {3 * GIB / 2, "1.5 GiB"},
        {TIB, "1.0 TiB"},
        {1024 * TIB, "1.0 PiB"},
        {UINT64_MAX, "15.9 EiB"},
    };
    char text[24];

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(sizes); i++) {
        parse_size_text(sizes[i].bytes, text, sizeof(text));
        assert_string_equal(text, sizes[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_digits_and_nothing_else),
        cmocka_unit_test(a_size_has_one_of_five_units_or_none),
        cmocka_unit_test(a_duration_names_its_unit),
        cmocka_unit_test(a_bool_is_true_or_false),
        cmocka_unit_test(a_uuid_is_36_characters),
        cmocka_unit_test(a_name_is_short_and_plain),
        cmocka_unit_test(utf8_is_well_formed_or_refused),
        cmocka_unit_test(a_size_for_people_is_rounded_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
