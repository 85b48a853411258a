/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vault/condemned.h"

static struct id16 pack(uint32_t n)
{
    struct id16 id = {{0}};

    bytes_put_u32(id.b, n);
    return id;
}

static void the_whole_pack_or_its_ranges(void **state)
{
    struct condemned *c = condemned_new();
    struct id16 a = pack(1), b = pack(2), other = pack(3);
    uint32_t first, count;
    struct err err;

    (void)state;
    assert_int_equal(condemned_packs(c), 0);
    assert_false(condemned_has(c, &a, 0));
    condemned_add(c, &a, 0, 0, &err);
    condemned_add(c, &b, 10, 5, &err);
    condemned_add(c, &b, 65535, 1, &err);
    assert_int_equal(condemned_packs(c), 2);
    assert_true(condemned_has(c, &a, 0));
    assert_true(condemned_has(c, &a, 65535));
    assert_false(condemned_has(c, &b, 9));
    assert_true(condemned_has(c, &b, 10));
    assert_true(condemned_has(c, &b, 14));
    assert_false(condemned_has(c, &b, 15));
    assert_true(condemned_has(c, &b, 65535));
    assert_false(condemned_has(c, &other, 10));
    assert_true(condemned_hits(c, &b, 0, 65536, &first, &count));
    assert_int_equal(first, 10);
    assert_int_equal(count, 5);
    assert_true(condemned_hits(c, &b, 12, 2, &first, &count));
    assert_int_equal(first, 12);
    assert_int_equal(count, 2);
    assert_false(condemned_hits(c, &b, 15, 100, &first, &count));
    condemned_add(c, &b, 0, 0, &err);
    assert_true(condemned_has(c, &b, 9));
    condemned_free(c);
}

/* Against a plain table of bits. */
static void it_says_what_a_table_of_bits_says(void **state)
{
    enum { PACKS = 40, SLOTS = 300 };
    static bool bits[PACKS][SLOTS];
    struct condemned *c = condemned_new();
    uint32_t seed = 1;
    struct err err;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        uint32_t n, first, count, hit, hits, want;
        struct id16 id;

        seed = seed * 1664525 + 1013904223;
        n = (seed >> 8) % PACKS;
        first = (seed >> 14) % SLOTS;
        count = 1 + (seed >> 24) % 9;
        if (first + count > SLOTS)
            count = SLOTS - first;
        id = pack(n * 0x01000193);
        if (round % 3 == 0) {
            assert_int_equal(condemned_add(c, &id, first, count, &err), ERR_OK);
            memset(&bits[n][first], 1, count);
        }
        for (want = first; want < SLOTS && !bits[n][want]; want++)
            ;
        if (condemned_hits(c, &id, first, SLOTS - first, &hit, &hits)) {
            assert_int_equal(hit, want);
            for (uint32_t i = hit; i < hit + hits; i++)
                assert_true(bits[n][i]);
            assert_true(hit + hits == SLOTS || !bits[n][hit + hits]);
        } else {
            assert_int_equal(want, SLOTS);
        }
        assert_int_equal(condemned_has(c, &id, first), bits[n][first]);
    }
    condemned_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_pack_or_its_ranges),
        cmocka_unit_test(it_says_what_a_table_of_bits_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
