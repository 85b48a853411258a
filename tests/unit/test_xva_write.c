/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "crypto/seal_suite.h"
#include "image/xva_write.h"
#include "xva_build.h"

#define ARCHIVE_MAX ((size_t)64 << 20)

static struct seal_suite *suite;

/* Write everything in pieces of at most `piece` bytes; disks[i] holds disk i.
 */
static void write_all(struct xva_write *w, const uint8_t *const *disks,
                      bool sums_given, enum xva_sum_kind kind, size_t piece,
                      struct buf *out)
{
    struct xva_write_piece p;
    struct xva_sum_text sum;
    enum xva_write_want want;

    while ((want = xva_write_next(w, &p)) != XVA_WRITE_END) {
        size_t n = p.len < piece ? p.len : piece;

        assert_int_equal(xva_write_position(w), out->len);
        assert_int_not_equal(want, XVA_WRITE_FAILED);
        if (want == XVA_WRITE_SUM) {
            assert_true(sums_given);
            assert_true(xva_sum_of(suite, kind, disks[p.disk] + p.offset,
                                   BUILD_MIB, &sum));
            xva_write_sum(w, &sum);
            continue;
        }
        assert_true(n > 0);
        if (want == XVA_WRITE_OWN) {
            buf_add(out, p.data, n);
            xva_write_took(w, n);
        } else {
            buf_add(out, disks[p.disk] + p.offset, n);
            xva_write_data(w, disks[p.disk] + p.offset, n);
        }
    }
    assert_false(buf_failed(out));
    assert_int_equal(out->len, xva_write_total(w));
    assert_int_equal(xva_write_position(w), out->len);
}

/* What the reference describes, built by hand: first and last block there
 * though all zero, a hole between, disks by id as text. */
static void an_archive_is_what_the_format_says(void **state)
{
    static const char ova[] = "<value>any</value>";
    static const size_t pieces[] = {1, 333, 512, 16384, ARCHIVE_MAX};
    size_t size = 5 * BUILD_MIB + 700;
    uint8_t *one = calloc(1, size), *two = calloc(1, 512);
    const uint8_t *disks[] = {one, two};
    uint8_t present[1] = {0};
    struct xva_write_disk list[] = {{"Ref:10", size, present},
                                    {"Ref:2", 512, NULL}};
    struct xva_write_opts opts = {.suite = suite,
                                  .ova = ova,
                                  .ova_len = sizeof(ova) - 1,
                                  .disks = list,
                                  .disk_count = 2};
    struct buf expect, out;
    struct xva_write *w = NULL;
    struct err err;

    (void)state;
    build_fill(one + 2 * BUILD_MIB, BUILD_MIB, 1);
    build_fill(two, 512, 2);
    assert_true(xva_write_bitmap_bytes(size) <= sizeof(present));
    xva_write_mark(present, 2 * BUILD_MIB + 5, 10);
    buf_init(&expect, ARCHIVE_MAX);
    build_entry(&expect, "ova.xml", ova, sizeof(ova) - 1);
    build_block(&expect, "Ref:10/00000000", one, BUILD_MIB);
    build_block(&expect, "Ref:10/00000002", one + 2 * BUILD_MIB, BUILD_MIB);
    build_block(&expect, "Ref:10/00000005", one + 5 * BUILD_MIB, 700);
    build_block(&expect, "Ref:2/00000000", two, 512);
    build_end(&expect);
    for (size_t i = 0; i < BYTES_COUNT(pieces); i++) {
        buf_init(&out, ARCHIVE_MAX);
        assert_int_equal(xva_write_new(&opts, &w, &err), ERR_OK);
        write_all(w, disks, false, XVA_SUM_XXHASH, pieces[i], &out);
        assert_int_equal(out.len, expect.len);
        assert_memory_equal(out.data, expect.data, expect.len);
        xva_write_free(w);
        buf_fini(&out);
    }
    buf_fini(&expect);
    free(two);
    free(one);
}

static void sums_may_come_from_the_caller(void **state)
{
    static const char ova[] = "<value></value>";
    uint8_t *zero = calloc(1, 2 * BUILD_MIB);
    const uint8_t *disks[] = {zero};
    struct xva_write_disk list[] = {{"Ref:1", 2 * BUILD_MIB, NULL}};
    struct xva_write_opts opts = {.suite = suite,
                                  .ova = ova,
                                  .ova_len = sizeof(ova) - 1,
                                  .disks = list,
                                  .disk_count = 1,
                                  .sum = XVA_SUM_SHA1};
    struct buf own, given;
    struct xva_write *w = NULL;
    struct err err;
    size_t at;

    (void)state;
    buf_init(&own, ARCHIVE_MAX);
    buf_init(&given, ARCHIVE_MAX);
    assert_int_equal(xva_write_new(&opts, &w, &err), ERR_OK);
    write_all(w, disks, false, XVA_SUM_SHA1, 4096, &own);
    xva_write_free(w);
    opts.sums_given = true;
    assert_int_equal(xva_write_new(&opts, &w, &err), ERR_OK);
    write_all(w, disks, true, XVA_SUM_SHA1, 4096, &given);
    xva_write_free(w);
    assert_int_equal(own.len, given.len);
    assert_memory_equal(own.data, given.data, own.len);
    /* the entry behind block 0, with the reference's SHA-1 of 1 MiB of zeros */
    at = 512 + 512 + 512 + BUILD_MIB;
    assert_string_equal((char *)own.data + at, "Ref:1/00000000.checksum");
    assert_memory_equal(own.data + at + 512,
                        "3b71f43ff30f4b15b5cd85dd9e95ebc7e84eb5a3", 41);
    buf_fini(&given);
    buf_fini(&own);
    free(zero);
}

static void behind_a_small_first_disk_nothing_is_left_out(void **state)
{
    uint8_t none[1] = {0};
    struct xva_write_disk list[] = {{"Ref:1", 0, none},
                                    {"Ref:2", 4096, none},
                                    {"Ref:3", 5 * BUILD_MIB, none}};
    struct xva_write_opts opts = {.suite = suite,
                                  .ova = "x",
                                  .ova_len = 1,
                                  .disks = list,
                                  .disk_count = 3};
    struct xva_write *w = NULL;
    struct err err;

    (void)state;
    assert_int_equal(xva_write_new(&opts, &w, &err), ERR_OK);
    assert_int_equal(xva_write_total(w), 1024 + 512 + 4096 + 1024 +
                                             5 * (512 + BUILD_MIB + 1024) +
                                             1024);
    xva_write_free(w);
    list[1].virtual_size = BUILD_MIB;
    assert_int_equal(xva_write_new(&opts, &w, &err), ERR_OK);
    assert_int_equal(xva_write_total(w),
                     1024 + 3 * (512 + BUILD_MIB + 1024) + 1024);
    xva_write_free(w);
}

static void any_bitmap_gives_the_length_it_announced(void **state)
{
    uint8_t present[20], *zero = calloc(1, BUILD_MIB);
    struct xva_write_disk list[] = {{"Ref:1", 150 * BUILD_MIB, present}};
    struct xva_write_opts opts = {.suite = suite,
                                  .ova = "x",
                                  .ova_len = 1,
                                  .disks = list,
                                  .disk_count = 1};
    struct xva_write_piece p;
    struct xva_write *w = NULL;
    struct err err;
    uint64_t blocks, expect, seen;
    enum xva_write_want want;

    (void)state;
    assert_true(xva_write_bitmap_bytes(150 * BUILD_MIB) <= sizeof(present));
    for (unsigned round = 0; round < 40; round++) {
        blocks = 2;
        for (size_t i = 0; i < sizeof(present); i++)
            present[i] = round & 1 ? (uint8_t)(i * 37 + round) : 0;
        present[round / 2] |= (uint8_t)(round * 7);
        for (size_t n = 1; n < 149; n++)
            blocks += present[n / 8] >> n % 8 & 1;
        expect = 1024 + blocks * (512 + BUILD_MIB + 1024) + 1024;
        assert_int_equal(xva_write_new(&opts, &w, &err), ERR_OK);
        assert_int_equal(xva_write_total(w), expect);
        seen = 0;
        while ((want = xva_write_next(w, &p)) != XVA_WRITE_END) {
            uint64_t n = p.offset / BUILD_MIB;

            if (want == XVA_WRITE_OWN) {
                xva_write_took(w, p.len);
                continue;
            }
            assert_true(n == 0 || n == 149 || (present[n / 8] >> n % 8 & 1));
            xva_write_data(w, zero, p.len);
            seen++;
        }
        assert_int_equal(seen, blocks);
        assert_int_equal(xva_write_position(w), expect);
        xva_write_free(w);
    }
    free(zero);
}

static void what_cannot_be_written_is_refused(void **state)
{
    static const struct {
        const char *first, *second;
        uint64_t size;
    } rows[] = {
        {"Ref:2", "Ref:10", 1},
        {"Ref:2", "Ref:2", 1},
        {"", "Ref:2", 1},
        {"Ref:1",
         "Ref:0123456789012345678901234567890123456789012345678901234"
         "56789012345678901234567890",
         1},
        {"Ref:1", "Ref:2", 100000001 * BUILD_MIB},
    };
    struct xva_write *w = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct xva_write_disk list[] = {{rows[i].first, 1, NULL},
                                        {rows[i].second, rows[i].size, NULL}};
        struct xva_write_opts opts = {.suite = suite,
                                      .ova = "x",
                                      .ova_len = 1,
                                      .disks = list,
                                      .disk_count = 2};

        if (xva_write_new(&opts, &w, &err) != ERR_ARGUMENT)
            fail_msg("row %zu was accepted", i);
    }
}

/* From the reference, section 6.3. */
static void published_sums_come_out(void **state)
{
    uint8_t *zero = calloc(1, BUILD_MIB);
    struct xva_sum_text sum;

    (void)state;
    assert_true(xva_sum_of(suite, XVA_SUM_XXHASH, "", 0, &sum));
    assert_string_equal(sum.text, "EF46DB3751D8E999");
    assert_true(xva_sum_of(suite, XVA_SUM_XXHASH, zero, BUILD_MIB, &sum));
    assert_string_equal(sum.text, "87D2A1B6E1163EF1");
    assert_true(xva_sum_of(suite, XVA_SUM_SHA1, zero, BUILD_MIB, &sum));
    assert_string_equal(sum.text, "3b71f43ff30f4b15b5cd85dd9e95ebc7e84eb5a3");
    free(zero);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_archive_is_what_the_format_says),
        cmocka_unit_test(sums_may_come_from_the_caller),
        cmocka_unit_test(behind_a_small_first_disk_nothing_is_left_out),
        cmocka_unit_test(any_bitmap_gives_the_length_it_announced),
        cmocka_unit_test(what_cannot_be_written_is_refused),
        cmocka_unit_test(published_sums_come_out),
    };
    struct err err;
    int failed;

    if (seal_suite_new(&suite, &err) != ERR_OK)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    seal_suite_free(suite);
    return failed;
}
