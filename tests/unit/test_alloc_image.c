/* SPDX-License-Identifier: Apache-2.0 */
/* image/ and the values of XML-RPC with each of their allocations failing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "base/bytes.h"
#include "base/xml.h"
#include "crypto/seal_suite.h"
#include "image/ova.h"
#include "image/xva_read.h"
#include "image/xva_write.h"
#include "xva_build.h"
#include "xva_quiet.h"
#include "xva_zstd.h"

#define LIMIT ((size_t)8 << 20)

static struct seal_suite *suite;

static void load(const char *name, struct buf *out)
{
    char path[300], piece[4096];
    FILE *f;
    size_t n;

    snprintf(path, sizeof(path), CAIRN_TEST_DATA "/%s", name);
    f = fopen(path, "rb");
    assert_non_null(f);
    buf_init(out, LIMIT);
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        buf_add(out, piece, n);
    fclose(f);
}

static void no_random(void *ctx, uint8_t *out, size_t len)
{
    memset(out, 7, len);
}

static void a_rewritten_ova_or_no_memory(void **state)
{
    static const struct ova_pair pairs[] = {{"a", "b"}};
    const struct ova_rewrite_opts opts = {.name = "n",
                                          .block_start = "r",
                                          .other_config = pairs,
                                          .other_config_count = 1,
                                          .random = no_random};
    struct buf text, out, whole;
    struct ova *o;
    struct err err;
    unsigned n;

    (void)state;
    load("image/ova.xml", &text);
    buf_init(&whole, LIMIT);
    for (n = 1; alloc_fail_round(n); n++) {
        enum err_code rc;

        o = NULL;
        err_clear(&err);
        buf_init(&out, LIMIT);
        rc = ova_parse(text.data, text.len, &o, &err);
        if (rc == ERR_OK)
            rc = ova_rewrite(o, &opts, &out, &err);
        if (alloc_fail_happened() && rc != ERR_OK)
            assert_int_equal(rc, ERR_NOMEM);
        else
            assert_int_equal(rc, ERR_OK);
        alloc_fail_off();
        if (rc == ERR_OK && whole.len > 0) {
            assert_int_equal(out.len, whole.len);
            assert_memory_equal(out.data, whole.data, whole.len);
        } else if (rc == ERR_OK) {
            buf_add(&whole, out.data, out.len);
        }
        ova_free(o);
        buf_fini(&out);
    }
    assert_true(n > 500);
    assert_true(whole.len > 1000);
    buf_fini(&whole);
    buf_fini(&text);
}

static size_t on_data(void *ctx, uint32_t disk, uint64_t offset,
                      const uint8_t *bytes, size_t len)
{
    *(size_t *)ctx += len;
    return len;
}

static enum err_code read_all(const struct buf *b, size_t *got)
{
    struct xva_read_events events = xva_quiet();
    const struct xva_read_opts opts = {
        .suite = suite, .events = &events, .ctx = got};
    struct xva_read *r = NULL;
    struct err err = {0};
    enum err_code rc = xva_read_new(&opts, &r, &err);
    size_t used;

    events.data = on_data;
    *got = 0;
    if (rc != ERR_OK)
        return rc;
    rc = xva_read_feed(r, b->data, b->len, &used, &err);
    if (rc == ERR_OK)
        rc = xva_read_finish(r, &err);
    assert_int_equal(rc, err.code);
    xva_read_free(r);
    return rc;
}

static void a_whole_stream_or_no_memory(void **state)
{
    static const struct build_disk disks[] = {{"Ref:1", 5000}};
    uint8_t bytes[5000];
    struct buf plain, packed;
    size_t got;

    (void)state;
    build_fill(bytes, sizeof(bytes), 1);
    buf_init(&plain, LIMIT);
    build_ova_entry(&plain, disks, 1);
    build_header(&plain, "x", 23, 'x', BUILD_USTAR);
    build_contents(&plain, "23 path=Ref:1/00000000\n", 23);
    build_block(&plain, "Ref:1/00000000", bytes, sizeof(bytes));
    build_end(&plain);
    build_zstd(&plain, &packed);
    for (int k = 0; k < 2; k++) {
        for (unsigned i = 1; alloc_fail_round(i); i++) {
            enum err_code rc = read_all(k ? &packed : &plain, &got);

            if (alloc_fail_happened() && rc != ERR_OK)
                assert_int_equal(rc, ERR_NOMEM);
            else
                assert_int_equal(rc, ERR_OK);
            alloc_fail_off();
            assert_true(rc != ERR_OK || got == sizeof(bytes));
        }
    }
    buf_fini(&packed);
    buf_fini(&plain);
}

/* Out of memory while the cause of a failure is looked for: still a failure. */
static void a_cut_stream_is_never_taken_for_whole(void **state)
{
    static const struct build_disk disks[] = {{"Ref:1", 5000}};
    struct buf plain;
    size_t got;

    (void)state;
    buf_init(&plain, LIMIT);
    build_ova_entry(&plain, disks, 1);
    for (unsigned i = 1; alloc_fail_round(i); i++)
        assert_int_not_equal(read_all(&plain, &got), ERR_OK);
    buf_fini(&plain);
}

static void a_writer_or_no_memory(void **state)
{
    const struct xva_write_disk disks[] = {{"Ref:1", 100, NULL}};
    const struct xva_write_opts opts = {.suite = suite,
                                        .ova = "x",
                                        .ova_len = 1,
                                        .disks = disks,
                                        .disk_count = 1};
    struct err err;

    (void)state;
    for (unsigned i = 1; alloc_fail_round(i); i++) {
        struct xva_write *w = NULL;
        enum err_code rc = xva_write_new(&opts, &w, &err);

        assert_int_equal(rc, alloc_fail_happened() ? ERR_NOMEM : ERR_OK);
        alloc_fail_off();
        xva_write_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rewritten_ova_or_no_memory),
        cmocka_unit_test(a_whole_stream_or_no_memory),
        cmocka_unit_test(a_cut_stream_is_never_taken_for_whole),
        cmocka_unit_test(a_writer_or_no_memory),
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
