/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vault/field.h"
#include "vault/varint.h"

static const struct field_rule rules[] = {
    {1, true, true, false},
    {2, false, false, false},
    {7, true, false, true},
};

/* Bytes by hand: type, flags, length, value. */
#define F1 "\1\0\1\0\2\0\0\0ab"
#define F2 "\2\0\0\0\0\0\0\0"
#define F7 "\7\0\1\0\1\0\0\0x"

static const struct {
    const char *why, *bytes;
    size_t len;
    int fields; /* -1: refused */
} rows[] = {
    {"all kinds", F1 F2 F7 F7, sizeof(F1 F2 F7 F7) - 1, 4},
    {"an unknown field is passed over", F1 "\3\0\0\0\1\0\0\0?" F7,
     sizeof(F1 "\3\0\0\0\1\0\0\0?" F7) - 1, 2},
    {"unknown ones may come twice", F1 "\3\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0",
     sizeof(F1) - 1 + 16, 1},
    {"unknown and critical", F1 "\3\0\1\0\0\0\0\0", sizeof(F1) - 1 + 8, -1},
    {"a missing one", F2, sizeof(F2) - 1, -1},
    {"nothing at all", "", 0, -1},
    {"out of order", F1 F7 F2, sizeof(F1 F7 F2) - 1, -1},
    {"twice", F1 F1, sizeof(F1 F1) - 1, -1},
    {"flagged wrongly", "\1\0\0\0\0\0\0\0", 8, -1},
    {"flagged critical and should not be", F1 "\2\0\1\0\0\0\0\0",
     sizeof(F1) - 1 + 8, -1},
    {"unknown flags", F1 "\3\0\2\0\0\0\0\0", sizeof(F1) - 1 + 8, -1},
    {"a head cut off", F1 F2, sizeof(F1 F2) - 2, -1},
    {"a value cut off", F1, sizeof(F1) - 2, -1},
    {"a length beyond the end", "\1\0\1\0\377\377\377\377", 8, -1},
};

static void fields_are_read_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct field_reader r;
        struct field f;
        struct err err = {0};
        int n = 0;

        field_reader_init(
            &r, "test", rules, BYTES_COUNT(rules),
            (struct slice){(const uint8_t *)rows[i].bytes, rows[i].len});
        while (field_next(&r, &f, &err))
            n++;
        if (err.code != (rows[i].fields < 0 ? ERR_INTEGRITY : ERR_OK))
            fail_msg("%s: %s", rows[i].why, err.text);
        if (rows[i].fields >= 0)
            assert_int_equal(n, rows[i].fields);
    }
}

static void what_is_written_has_the_bytes_of_the_table(void **state)
{
    struct buf b;
    size_t at;

    (void)state;
    buf_init(&b, 100);
    field_add(&b, 1, true, "ab", 2);
    field_add(&b, 2, false, NULL, 0);
    at = field_begin(&b, 7, true);
    buf_add(&b, "x", 1);
    field_end(&b, at);
    assert_false(buf_failed(&b));
    assert_int_equal(b.len, sizeof(F1 F2 F7) - 1);
    assert_memory_equal(b.data, F1 F2 F7, b.len);
    buf_fini(&b);
}

/* Values from the LEB128 examples of the DWARF standard, and the limits. */
static const struct {
    uint64_t v;
    const char *bytes;
    size_t len;
} varints[] = {
    {0, "\0", 1},
    {2, "\2", 1},
    {127, "\177", 1},
    {128, "\200\1", 2},
    {129, "\201\1", 2},
    {12857, "\271\144", 2},
    {UINT64_MAX, "\377\377\377\377\377\377\377\377\377\1", 10},
};

static void varints_are_those_of_leb128(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(varints); i++) {
        struct slice s = {(const uint8_t *)varints[i].bytes, varints[i].len};
        struct buf b;
        uint64_t v;

        buf_init(&b, 10);
        assert_true(varint_add(&b, varints[i].v));
        assert_int_equal(b.len, varints[i].len);
        assert_memory_equal(b.data, varints[i].bytes, b.len);
        buf_fini(&b);
        assert_true(varint_take(&s, &v));
        assert_int_equal(v, varints[i].v);
        assert_int_equal(s.len, 0);
    }
}

static void varints_of_another_form_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"", 0},
        {"\200", 1},
        {"\200\0", 2},
        {"\377\200\0", 3},
        {"\377\377\377\377\377\377\377\377\377\2", 10},
        {"\200\200\200\200\200\200\200\200\200\200\1", 11},
    };
    uint64_t v;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(bad); i++) {
        struct slice s = {(const uint8_t *)bad[i].bytes, bad[i].len};

        assert_false(varint_take(&s, &v));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_read_strictly),
        cmocka_unit_test(what_is_written_has_the_bytes_of_the_table),
        cmocka_unit_test(varints_are_those_of_leb128),
        cmocka_unit_test(varints_of_another_form_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
