/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/xml.h"
#include "crypto/seal_suite.h"
#include "image/xva_read.h"
#include "xva_build.h"
#include "xva_zstd.h"

#define ARCHIVE_MAX ((size_t)64 << 20)
#define DISK_MAX ((size_t)16 << 20)
#define DISKS 4

/* What a consumer saw; neighbouring runs of data make one. */
struct seen {
    char log[2000];
    size_t log_len;
    uint8_t *disks[DISKS];
    uint64_t run_at, run_len;
    uint32_t run_disk;
    uint32_t refuse; /* not 0: refuse at random, from this seed */
    unsigned refused;
    struct xva_read_block blocks[64];
    size_t block_count;
};

static struct seal_suite *suite;

static void note(struct seen *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    s->log_len += (size_t)vsnprintf(s->log + s->log_len,
                                    sizeof(s->log) - s->log_len, fmt, ap);
    va_end(ap);
    assert_true(s->log_len < sizeof(s->log));
}

static void flush_run(struct seen *s)
{
    if (s->run_len > 0)
        note(s, "data %u %ju+%ju; ", s->run_disk, (uintmax_t)s->run_at,
             (uintmax_t)s->run_len);
    s->run_len = 0;
}

static bool refuses(struct seen *s)
{
    if (!s->refuse)
        return false;
    s->refuse = s->refuse * 1664525u + 1013904223u;
    if (s->refuse >> 31)
        return false;
    s->refused++;
    return true;
}

static void on_ova(void *ctx, const struct ova *ova, const uint8_t *text,
                   size_t len)
{
    assert_memory_equal(text, "<value>", 7);
    assert_memory_equal(text + len - 8, "</value>", 8);
    note(ctx, "ova %zu; ", ova_disk_count(ova));
}

static void on_disk_begin(void *ctx, uint32_t disk)
{
    note(ctx, "disk %u; ", disk);
}

static size_t on_data(void *ctx, uint32_t disk, uint64_t offset,
                      const uint8_t *bytes, size_t len)
{
    struct seen *s = ctx;

    if (refuses(s))
        len = len * (s->refuse >> 16 & 3) / 4;
    if (len == 0)
        return 0;
    assert_true(disk < DISKS && offset + len <= DISK_MAX);
    memcpy(s->disks[disk] + offset, bytes, len);
    if (s->run_len > 0 && offset != s->run_at + s->run_len)
        flush_run(s);
    if (s->run_len == 0)
        s->run_at = offset;
    s->run_disk = disk;
    s->run_len += len;
    return len;
}

static bool on_hole(void *ctx, uint32_t disk, uint64_t offset, uint64_t len)
{
    struct seen *s = ctx;

    if (refuses(s))
        return false;
    flush_run(s);
    note(s, "hole %u %ju+%ju; ", disk, (uintmax_t)offset, (uintmax_t)len);
    return true;
}

static void on_block(void *ctx, const struct xva_read_block *block)
{
    struct seen *s = ctx;

    assert_true(s->block_count < BYTES_COUNT(s->blocks));
    s->blocks[s->block_count++] = *block;
}

static void on_disk_end(void *ctx, uint32_t disk, uint64_t total)
{
    flush_run(ctx);
    note(ctx, "end %u %ju; ", disk, (uintmax_t)total);
}

static void on_end(void *ctx)
{
    note(ctx, "END");
}

static const struct xva_read_events events = {
    .ova = on_ova,
    .disk_begin = on_disk_begin,
    .data = on_data,
    .hole = on_hole,
    .block = on_block,
    .disk_end = on_disk_end,
    .end = on_end,
};

static void seen_init(struct seen *s)
{
    memset(s, 0, sizeof(*s));
    for (size_t i = 0; i < DISKS; i++)
        s->disks[i] = calloc(1, DISK_MAX);
}

static void seen_fini(struct seen *s)
{
    for (size_t i = 0; i < DISKS; i++)
        free(s->disks[i]);
}

/* Feed all in pieces of `piece` bytes; 0: of random sizes from 1 to 16 KiB. */
static enum err_code drive(struct xva_read *r, const struct buf *b,
                           size_t piece, struct err *err)
{
    uint32_t seed = 7;
    size_t at = 0, n, used;
    unsigned idle = 0;

    while (at < b->len || xva_read_is_blocked(r)) {
        seed = seed * 1664525u + 1013904223u;
        n = piece ? piece : 1 + (seed >> 16) % 16384;
        if (n > b->len - at)
            n = b->len - at;
        if (xva_read_feed(r, b->data + at, n, &used, err) != ERR_OK)
            return err->code;
        assert_true(used <= n);
        assert_true(used == n || xva_read_is_blocked(r));
        idle = used == 0 ? idle + 1 : 0;
        assert_true(idle < 10000);
        at += used;
    }
    return xva_read_finish(r, err);
}

static enum err_code run(const struct buf *b, size_t piece, bool defer,
                         uint32_t refuse, struct seen *s, struct err *err)
{
    struct xva_read_opts opts = {
        .suite = suite, .events = &events, .ctx = s, .defer_sums = defer};
    struct xva_read *r = NULL;
    enum err_code rc;

    err_clear(err);
    s->refuse = refuse;
    assert_int_equal(xva_read_new(&opts, &r, err), ERR_OK);
    rc = drive(r, b, piece, err);
    assert_int_equal(rc, err->code);
    xva_read_free(r);
    return rc;
}

static uint8_t *block_of(uint32_t seed)
{
    uint8_t *p = malloc(BUILD_MIB);

    build_fill(p, BUILD_MIB, seed);
    return p;
}

/* Two disks: one of 3.5 MiB with a hole, one whose id sorts behind though its
 * number is smaller. */
static void build_plain(struct buf *b)
{
    static const struct build_disk disks[] = {
        {"Ref:2", 2 * BUILD_MIB}, {"Ref:10", 3 * BUILD_MIB + BUILD_MIB / 2}};
    uint8_t *p = block_of(1), *q = block_of(2);
    uint8_t *zero = calloc(1, BUILD_MIB);

    buf_init(b, ARCHIVE_MAX);
    build_ova_entry(b, disks, 2);
    build_block(b, "Ref:10/00000000", p, BUILD_MIB);
    build_block(b, "Ref:10/00000002", q, BUILD_MIB);
    build_block(b, "Ref:10/00000003", zero, BUILD_MIB / 2);
    build_block(b, "Ref:2/00000000", q, BUILD_MIB);
    build_block(b, "Ref:2/00000001", p, BUILD_MIB);
    build_end(b);
    assert_false(buf_failed(b));
    free(zero);
    free(q);
    free(p);
}

static const char plain_log[] =
    "ova 2; disk 0; data 0 0+1048576; hole 0 1048576+1048576; "
    "data 0 2097152+1572864; end 0 3670016; "
    "disk 1; data 1 0+2097152; end 1 2097152; END";

static void check_plain_contents(const struct seen *s)
{
    uint8_t *p = block_of(1), *q = block_of(2);

    assert_memory_equal(s->disks[0], p, BUILD_MIB);
    assert_true(bytes_all_zero(s->disks[0] + BUILD_MIB, BUILD_MIB));
    assert_memory_equal(s->disks[0] + 2 * BUILD_MIB, q, BUILD_MIB);
    assert_memory_equal(s->disks[1], q, BUILD_MIB);
    assert_memory_equal(s->disks[1] + BUILD_MIB, p, BUILD_MIB);
    free(q);
    free(p);
}

static void events_do_not_depend_on_how_the_stream_is_cut(void **state)
{
    static const size_t pieces[] = {1,    2,     511,   512, 513,
                                    1000, 16384, 65536, 0,   ARCHIVE_MAX};
    struct buf plain, packed;
    struct seen s;
    struct err err;

    (void)state;
    build_plain(&plain);
    build_zstd(&plain, &packed);
    for (size_t i = 0; i < BYTES_COUNT(pieces); i++) {
        for (unsigned k = 0; k < 4; k++) {
            const struct buf *b = k & 1 ? &packed : &plain;

            seen_init(&s);
            if (run(b, pieces[i], false, k & 2 ? 99 : 0, &s, &err) != ERR_OK)
                fail_msg("pieces of %zu: %s", pieces[i], err.text);
            assert_string_equal(s.log, plain_log);
            check_plain_contents(&s);
            assert_true(!(k & 2) || s.refused > 0);
            seen_fini(&s);
        }
    }
    buf_fini(&packed);
    buf_fini(&plain);
}

/* One disk, of the size that makes the archive a multiple of what the decoder
 * gives out at once. */
static void build_even(struct buf *b)
{
    struct build_disk disk = {"Ref:3", 512 * 1024};
    size_t whole = ZSTD_DStreamOutSize();
    uint8_t *p = block_of(1);

    for (int round = 0; round < 2; round++) {
        buf_init(b, ARCHIVE_MAX);
        build_ova_entry(b, &disk, 1);
        build_block(b, "Ref:3/00000000", p, disk.size);
        build_end(b);
        if (round == 0) {
            disk.size += whole - b->len % whole;
            buf_fini(b);
        }
    }
    assert_int_equal(b->len % whole, 0);
    free(p);
}

static void a_compressed_stream_may_end_with_a_full_buffer(void **state)
{
    struct buf plain, packed;
    struct seen s;
    struct err err;

    (void)state;
    build_even(&plain);
    for (unsigned k = 0; k < 4; k++) {
        (k & 1 ? build_zstd_piped : build_zstd)(&plain, &packed);
        seen_init(&s);
        if (run(&packed, k & 2 ? 16384 : ARCHIVE_MAX, false, 0, &s, &err) !=
            ERR_OK)
            fail_msg("way %u: %s", k, err.text);
        assert_non_null(strstr(s.log, "END"));
        seen_fini(&s);
        buf_fini(&packed);
    }
    buf_fini(&plain);
}

static void deferred_blocks_carry_the_sums_of_the_archive(void **state)
{
    struct buf plain;
    struct seen s;
    struct err err;
    struct xva_sum_text sum;
    static const struct {
        uint32_t disk, len;
        uint64_t offset, number;
    } expect[] = {
        {0, 1 << 20, 0, 0}, {0, 1 << 20, 2 << 20, 2}, {0, 1 << 19, 3 << 20, 3},
        {1, 1 << 20, 0, 0}, {1, 1 << 20, 1 << 20, 1},
    };

    (void)state;
    build_plain(&plain);
    seen_init(&s);
    assert_int_equal(run(&plain, 16384, true, 0, &s, &err), ERR_OK);
    assert_string_equal(s.log, plain_log);
    assert_int_equal(s.block_count, BYTES_COUNT(expect));
    for (size_t i = 0; i < s.block_count; i++) {
        const struct xva_read_block *b = &s.blocks[i];

        assert_int_equal(b->disk, expect[i].disk);
        assert_int_equal(b->len, expect[i].len);
        assert_int_equal(b->offset, expect[i].offset);
        assert_int_equal(b->number, expect[i].number);
        assert_true(xva_sum_of(suite, b->sum.kind, s.disks[b->disk] + b->offset,
                               b->len, &sum));
        assert_true(xva_sum_equal(&sum, &b->sum));
    }
    seen_fini(&s);
    buf_fini(&plain);
}

static void a_deferred_mismatch_names_the_block(void **state)
{
    static const struct build_disk disks[] = {{"Ref:7", 1}};
    struct xva_read_opts opts = {
        .suite = suite, .events = &events, .defer_sums = true};
    struct xva_sum_text found = {XVA_SUM_XXHASH, "0123456789ABCDEF"};
    struct xva_read *r = NULL;
    struct seen s;
    struct buf b;
    struct err err;

    (void)state;
    seen_init(&s);
    opts.ctx = &s;
    buf_init(&b, ARCHIVE_MAX);
    build_ova_entry(&b, disks, 1);
    build_block(&b, "Ref:7/00000000", "x", 1);
    build_end(&b);
    assert_int_equal(xva_read_new(&opts, &r, &err), ERR_OK);
    assert_int_equal(drive(r, &b, 0, &err), ERR_OK);
    assert_int_equal(s.block_count, 1);
    assert_int_equal(xva_read_mismatch(r, &s.blocks[0], &found, &err),
                     ERR_INTEGRITY);
    assert_non_null(strstr(err.text, "Ref:7/00000000.xxhash at byte "));
    assert_non_null(strstr(err.text, "0123456789ABCDEF"));
    xva_read_free(r);
    seen_fini(&s);
    buf_fini(&b);
}

/* From the reference: entries 0, 2 (empty), 4, 6 (last) make a disk of 6 MiB
 * with entry 4 at MiB 3. */
static void empty_keep_alive_entries_move_the_numbers_not_the_disk(void **state)
{
    static const struct build_disk disks[] = {{"Ref:4", 6 * BUILD_MIB}};
    uint8_t *p = block_of(3);
    struct seen s;
    struct buf b;
    struct err err;

    (void)state;
    for (int defer = 0; defer < 2; defer++) {
        buf_init(&b, ARCHIVE_MAX);
        build_ova_entry(&b, disks, 1);
        build_block(&b, "Ref:4/00000000", p, BUILD_MIB);
        build_entry(&b, "Ref:4/00000002", "", 0);
        build_entry(&b, "Ref:4/00000002.xxhash", "EF46DB3751D8E999", 16);
        build_block(&b, "Ref:4/00000004", p, BUILD_MIB);
        build_block(&b, "Ref:4/00000006", p, BUILD_MIB);
        build_end(&b);
        seen_init(&s);
        if (run(&b, 0, defer, 5, &s, &err) != ERR_OK)
            fail_msg("%s", err.text);
        assert_string_equal(s.log,
                            "ova 1; disk 0; data 0 0+1048576; "
                            "hole 0 1048576+1048576; hole 0 2097152+1048576; "
                            "data 0 3145728+1048576; hole 0 4194304+1048576; "
                            "data 0 5242880+1048576; end 0 6291456; END");
        seen_fini(&s);
        buf_fini(&b);
    }
    free(p);
}

static void a_gap_counts_in_first_blocks_of_the_stream(void **state)
{
    static const struct build_disk disks[] = {{"Ref:1", 320 * 1024},
                                              {"Ref:2", 192 * 1024}};
    uint8_t *p = block_of(3);
    struct seen s;
    struct buf b;
    struct err err;

    (void)state;
    buf_init(&b, ARCHIVE_MAX);
    build_ova_entry(&b, disks, 2);
    build_block(&b, "Ref:1/00000000", p, 65536);
    build_block(&b, "Ref:1/00000002", p, 131072); /* blocks may differ */
    build_block(&b, "Ref:1/00000004", p, 0);
    build_block(&b, "Ref:1/00000005", p, 65536);
    build_block(&b, "Ref:2/00000000", p, 65536);
    build_block(&b, "Ref:2/00000002", p, 65536);
    build_end(&b);
    seen_init(&s);
    /* 64 + gap 64 + 128 + gap 64 + 0 + 64 = 384 KiB: 64 too many */
    assert_int_equal(run(&b, 0, false, 0, &s, &err), ERR_PROTOCOL);
    assert_non_null(strstr(err.text, "behind the disk's end"));
    seen_fini(&s);
    buf_fini(&b);

    buf_init(&b, ARCHIVE_MAX);
    build_ova_entry(&b, disks, 2);
    build_block(&b, "Ref:1/00000000", p, 65536);
    build_block(&b, "Ref:1/00000002", p, 131072);
    build_block(&b, "Ref:1/00000003", p, 65536);
    build_block(&b, "Ref:2/00000000", p, 65536);
    build_block(&b, "Ref:2/00000002", p, 65536);
    build_end(&b);
    seen_init(&s);
    if (run(&b, 0, false, 0, &s, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_string_equal(s.log,
                        "ova 2; disk 0; data 0 0+65536; hole 0 65536+65536; "
                        "data 0 131072+196608; end 0 327680; disk 1; "
                        "data 1 0+65536; hole 1 65536+65536; "
                        "data 1 131072+65536; end 1 196608; END");
    seen_fini(&s);
    buf_fini(&b);
    free(p);
}

/* A whole disk under a MiB says nothing about the size of the others' blocks.
 */
static void a_small_first_disk_does_not_shrink_the_gaps(void **state)
{
    static const struct build_disk disks[] = {
        {"Ref:1", 4096}, {"Ref:2", 0}, {"Ref:3", 3 * BUILD_MIB}};
    uint8_t *p = block_of(3);
    struct seen s;
    struct buf b;
    struct err err;

    (void)state;
    buf_init(&b, ARCHIVE_MAX);
    build_ova_entry(&b, disks, 3);
    build_block(&b, "Ref:1/00000000", p, 4096);
    build_block(&b, "Ref:3/00000000", p, BUILD_MIB);
    build_block(&b, "Ref:3/00000002", p, BUILD_MIB);
    build_end(&b);
    seen_init(&s);
    if (run(&b, 0, false, 0, &s, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_string_equal(s.log,
                        "ova 3; disk 0; data 0 0+4096; end 0 4096; disk 1; "
                        "end 1 0; disk 2; data 2 0+1048576; "
                        "hole 2 1048576+1048576; data 2 2097152+1048576; "
                        "end 2 3145728; END");
    seen_fini(&s);
    buf_fini(&b);
    free(p);
}

static void every_form_of_header_is_read(void **state)
{
    static const struct build_disk disks[] = {{"Ref:4", 3}};
    static const char pax[] = "19 path=ova.xml.no\n" /* overwritten below */
                              "16 path=ova.xml\n11 foo=bar\n";
    struct seen s;
    struct buf b, ova;
    struct err err;
    char text[64];

    (void)state;
    buf_init(&ova, ARCHIVE_MAX);
    build_ova(&ova, disks, 1);
    for (int k = 0; k < 5; k++) {
        buf_init(&b, ARCHIVE_MAX);
        if (k == 3) { /* pax: path and size of the next entry, and a global */
            build_header(&b, "g", 14, 'g', BUILD_USTAR);
            build_contents(&b, "14 comment=xy\n", 14);
            build_header(&b, "x", sizeof(pax) - 1, 'x', BUILD_USTAR);
            build_contents(&b, pax, sizeof(pax) - 1);
            build_header(&b, "other", ova.len, '0', BUILD_USTAR);
        } else if (k == 4) { /* GNU: a long name */
            build_header(&b, "././@LongLink", 8, 'L', BUILD_CLASSIC_SUM);
            build_contents(&b, "ova.xml", 8);
            build_header(&b, "other", ova.len, '0', BUILD_CLASSIC_SUM);
        } else {
            build_header(&b, "ova.xml", ova.len, k == 1 ? '0' : 0,
                         (enum build_form)(k + 1));
        }
        build_contents(&b, ova.data, ova.len);
        if (k == 3) {
            snprintf(text, sizeof(text), "10 size=3\n");
            build_header(&b, "x", 10, 'x', BUILD_USTAR);
            build_contents(&b, text, 10);
            build_header(&b, "Ref:4/00000000", 0, '0', BUILD_USTAR);
            build_contents(&b, "abc", 3);
        } else {
            build_header(&b, "Ref:4/00000000", 3, '7', BUILD_USTAR);
            build_contents(&b, "abc", 3);
        }
        /* XXH64("abc") as published with the algorithm */
        build_entry(&b, "Ref:4/00000000.xxhash", "44bc2cf5ad770999", 16);
        build_end(&b);
        buf_add_zeros(&b, 8192); /* as tar pads */
        seen_init(&s);
        if (run(&b, 0, false, 0, &s, &err) != ERR_OK)
            fail_msg("form %d: %s", k, err.text);
        assert_memory_equal(s.disks[0], "abc", 4);
        seen_fini(&s);
        buf_fini(&b);
    }
    buf_fini(&ova);
}

static void sha1_checksums_are_verified(void **state)
{
    static const struct build_disk disks[] = {{"Ref:4", 2 * BUILD_MIB}};
    /* SHA-1 of 1 MiB of zeros, from the reference (XAPI writes small digits) */
    char sum[] = "3b71f43ff30f4b15b5cd85dd9e95ebc7e84eb5a3";
    uint8_t *zero = calloc(1, BUILD_MIB);
    struct seen s;
    struct buf b;
    struct err err;

    (void)state;
    for (int k = 0; k < 2; k++) {
        buf_init(&b, ARCHIVE_MAX);
        build_ova_entry(&b, disks, 1);
        build_entry(&b, "Ref:4/00000000", zero, BUILD_MIB);
        build_entry(&b, "Ref:4/00000000.checksum", sum, 40);
        if (k)
            sum[39] = '4';
        build_entry(&b, "Ref:4/00000001", zero, BUILD_MIB);
        build_entry(&b, "Ref:4/00000001.checksum", sum, 40);
        build_end(&b);
        seen_init(&s);
        assert_int_equal(run(&b, 0, false, 0, &s, &err),
                         k ? ERR_INTEGRITY : ERR_OK);
        seen_fini(&s);
        buf_fini(&b);
    }
    free(zero);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_do_not_depend_on_how_the_stream_is_cut),
        cmocka_unit_test(a_compressed_stream_may_end_with_a_full_buffer),
        cmocka_unit_test(deferred_blocks_carry_the_sums_of_the_archive),
        cmocka_unit_test(a_deferred_mismatch_names_the_block),
        cmocka_unit_test(
            empty_keep_alive_entries_move_the_numbers_not_the_disk),
        cmocka_unit_test(a_gap_counts_in_first_blocks_of_the_stream),
        cmocka_unit_test(a_small_first_disk_does_not_shrink_the_gaps),
        cmocka_unit_test(every_form_of_header_is_read),
        cmocka_unit_test(sha1_checksums_are_verified),
    };
    struct err err;
    int failed;

    xml_setup();
    if (seal_suite_new(&suite, &err) != ERR_OK)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    seal_suite_free(suite);
    return failed;
}
