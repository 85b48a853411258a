/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Few bytes that claim to be many: each is refused, or opens into what it may,
 * and the process does not grow by what it claims. XML's entities and JSON's
 * levels are in test_xml and test_json.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "image/xva_read.h"
#include "vault/field.h"
#include "vault/list.h"
#include "vault/map.h"
#include "vault/pack_opener.h"
#include "vault/point.h"
#include "vault/run.h"

#define BLOCK (128u << 10)    /* of zstd, at most */
#define GROWTH_MAX (48 * MIB) /* sanitizers keep what is freed for a while */

static struct seal_suite *suite;
static struct keyring *keys;
static long before_kib;

static int set_up(void **state)
{
    static const struct seal_key rs = {{1}};
    struct rusage use;
    struct err err;

    (void)state;
    assert_int_equal(seal_suite_new(&suite, &err), ERR_OK);
    assert_int_equal(keyring_new(suite, &rs, &keys, &err), ERR_OK);
    getrusage(RUSAGE_SELF, &use);
    before_kib = use.ru_maxrss;
    return 0;
}

static int tear_down(void **state)
{
    struct rusage use;

    (void)state;
    keyring_unref(keys);
    seal_suite_free(suite);
    getrusage(RUSAGE_SELF, &use);
    assert_true((uint64_t)(use.ru_maxrss - before_kib) * KIB < GROWTH_MAX);
    return 0;
}

/* --- zstd ----------------------------------------------------------------- */

/* A frame as RFC 8878 lays it out: so many blocks of zeros, each four bytes. */
struct frame {
    unsigned window_log; /* 10 to 41 */
    bool says_size;
    uint64_t size;
    uint32_t dictionary;
    unsigned blocks; /* of 128 KiB */
    uint32_t last;   /* bytes of a further one */
};

static void put_block(struct buf *out, uint32_t bytes, bool last)
{
    uint32_t head =
        bytes << 3 | 1u << 1 | last; /* type 1: one byte, repeated */

    buf_add(out,
            (uint8_t[]){(uint8_t)head, (uint8_t)(head >> 8),
                        (uint8_t)(head >> 16), 0},
            4);
}

static void put_frame(struct buf *out, struct frame f)
{
    uint8_t eight[8];

    buf_add(out, "\x28\xb5\x2f\xfd", 4);
    buf_add(out,
            (uint8_t[]){
                (uint8_t)((f.says_size ? 3 << 6 : 0) | (f.dictionary ? 3 : 0)),
                (uint8_t)((f.window_log - 10) << 3)},
            2);
    bytes_put_u32(eight, f.dictionary);
    if (f.dictionary)
        buf_add(out, eight, 4);
    bytes_put_u64(eight, f.size);
    if (f.says_size)
        buf_add(out, eight, 8);
    for (unsigned i = 0; i < f.blocks; i++)
        put_block(out, BLOCK, !f.last && i + 1 == f.blocks);
    if (f.last)
        put_block(out, f.last, true);
}

/* A slot of `raw` bytes whose body this is, sealed by somebody with the keys.
 * Its id is that of zeros. */
static enum err_code open_slot(struct slice body, uint32_t raw, struct err *err)
{
    static const struct seal_key k_pack = {{5}};
    struct seal_slot_work *work = seal_slot_work_new(suite);
    struct pack_opener *opener = pack_opener_new(suite);
    uint8_t *sealed = malloc(body.len + SEAL_SLOT_TAG), *out = calloc(1, raw);
    struct pack_slot slot = {.stored = (uint32_t)body.len + SEAL_SLOT_TAG,
                             .raw = raw,
                             .codec = PACK_LAYOUT_ZSTD};
    struct seal_slot_place place = {.codec = slot.codec, .raw_len = raw};
    struct pack_opener_slot s = {
        .k_pack = &k_pack, .slot = &slot, .sealed = sealed, .out = out};
    enum err_code rc;

    assert_true(work && opener && sealed && out);
    assert_true(seal_slot_chunk_id(work, keyring_k_id(keys), SEAL_SLOT_DATA,
                                   out, raw, &slot.id));
    place.chunk_id = slot.id;
    assert_true(
        seal_slot_seal(work, &k_pack, &place, body.data, body.len, sealed));
    rc = pack_opener_open(opener, keys, &s, err);
    seal_slot_work_free(work);
    pack_opener_free(opener);
    free(sealed);
    free(out);
    return rc;
}

static const struct {
    const char *why;
    uint32_t raw;
    enum err_code expect;
    struct frame frame;
} slots[] = {
    {"1 MiB of zeros in 50 bytes",
     MIB,
     ERR_OK,
     {.window_log = 20, .blocks = 8}},
    {"the same, declared",
     MIB,
     ERR_OK,
     {.window_log = 20, .says_size = true, .size = MIB, .blocks = 8}},
    {"a window of 2 GiB that nobody needs",
     MIB,
     ERR_OK,
     {.window_log = 31, .blocks = 8}},
    {"a window of 2 TiB", MIB, ERR_INTEGRITY, {.window_log = 41, .blocks = 8}},
    {"1 GiB where 1 MiB belongs",
     MIB,
     ERR_INTEGRITY,
     {.window_log = 20, .blocks = 8192}},
    {"one byte too many",
     64 * KIB,
     ERR_INTEGRITY,
     {.window_log = 20, .last = 64 * KIB + 1}},
    {"one byte too few",
     64 * KIB,
     ERR_INTEGRITY,
     {.window_log = 20, .last = 64 * KIB - 1}},
    {"2^62 bytes declared",
     128 * KIB,
     ERR_INTEGRITY,
     {.window_log = 20,
      .says_size = true,
      .size = (uint64_t)1 << 62,
      .blocks = 1}},
    {"another length declared",
     128 * KIB,
     ERR_INTEGRITY,
     {.window_log = 20, .says_size = true, .size = 128 * KIB - 1, .blocks = 1}},
    {"a dictionary wanted",
     128 * KIB,
     ERR_INTEGRITY,
     {.window_log = 20, .dictionary = 7, .blocks = 1}},
};

static void a_slot_becomes_as_long_as_its_chunk_or_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(slots); i++) {
        struct buf body;
        struct err err = {0};

        buf_init(&body, MIB);
        put_frame(&body, slots[i].frame);
        assert_true(body.len < PACK_LAYOUT_RAW_MAX && !buf_failed(&body));
        if (open_slot((struct slice){body.data, body.len}, slots[i].raw,
                      &err) != slots[i].expect)
            fail_msg("%s: %s", slots[i].why, err.text);
        buf_fini(&body);
    }
}

static void a_slot_is_one_frame_and_nothing_else(void **state)
{
    static const uint8_t skipped[] = {0x50, 0x2a, 0x4d, 0x18, 4, 0,
                                      0,    0,    1,    2,    3, 4};
    struct frame half = {.window_log = 20, .last = 32 * KIB};
    struct buf b;
    struct err err;

    (void)state;
    buf_init(&b, 10000);
    put_frame(&b, half);
    put_frame(&b, half);
    assert_int_equal(open_slot((struct slice){b.data, b.len}, 64 * KIB, &err),
                     ERR_INTEGRITY);
    buf_clear(&b);
    buf_add(&b, skipped, sizeof(skipped));
    assert_int_equal(open_slot((struct slice){b.data, b.len}, 64 * KIB, &err),
                     ERR_INTEGRITY);
    put_frame(&b, half);
    assert_int_equal(open_slot((struct slice){b.data, b.len}, 32 * KIB, &err),
                     ERR_INTEGRITY);
    buf_clear(&b);
    put_frame(&b, half);
    buf_add(&b, "", 1);
    assert_int_equal(open_slot((struct slice){b.data, b.len}, 32 * KIB, &err),
                     ERR_INTEGRITY);
    buf_fini(&b);
}

/* --- an export ------------------------------------------------------------ */

static size_t no_data(void *ctx, uint32_t disk, uint64_t offset,
                      const uint8_t *bytes, size_t len)
{
    (void)ctx;
    (void)disk;
    (void)offset;
    (void)bytes;
    return len;
}

static enum err_code read_export(struct slice s, struct err *err)
{
    static const struct xva_read_events events = {.data = no_data};
    struct xva_read_opts opts = {.suite = suite, .events = &events};
    struct xva_read *r = NULL;
    enum err_code rc;
    size_t used = 0;

    assert_int_equal(xva_read_new(&opts, &r, err), ERR_OK);
    rc = xva_read_feed(r, s.data, s.len, &used, err);
    if (rc == ERR_OK)
        rc = xva_read_finish(r, err);
    xva_read_free(r);
    return rc;
}

/* A pool's export that is compressed: what comes out of it is bounded by what
 * an archive may begin with, and the window by 8 MiB. */
static void an_export_cannot_claim_memory(void **state)
{
    static const struct frame frames[] = {
        {.window_log = 31, .blocks = 2},
        {.window_log = 24, .blocks = 2},
        {.window_log = 20, .blocks = 100000}, /* 12 GiB of zeros */
    };

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(frames); i++) {
        struct buf b;
        struct err err = {0};

        buf_init(&b, MIB);
        put_frame(&b, frames[i]);
        assert_false(buf_failed(&b));
        assert_int_not_equal(read_export((struct slice){b.data, b.len}, &err),
                             ERR_OK);
        assert_true(err.text[0] && err.code != ERR_NOMEM);
        buf_fini(&b);
    }
}

/* --- counts in tables ------------------------------------------------------*/

/* One field with this value, `len` of it there. */
static struct buf field_of(uint16_t type, uint16_t flags, uint32_t says,
                           const void *value, size_t len)
{
    struct buf b;
    uint8_t head[8];

    buf_init(&b, 1000);
    bytes_put_u16(head, type);
    bytes_put_u16(head + 2, flags);
    bytes_put_u32(head + 4, says);
    buf_add(&b, head, sizeof(head));
    assert_true(buf_add(&b, value, len));
    return b;
}

static void counts_beyond_what_is_there_are_refused(void **state)
{
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0x01};
    uint8_t run[40] = {0}, condemned[16 + sizeof(huge)] = {0};
    struct run_reader reader;
    struct run_pack pack;
    struct list *list = NULL;
    struct point *point = NULL;
    struct map_page page;
    struct err err = {0};
    struct buf b;

    (void)state;
    bytes_put_u32(run + 36, UINT32_MAX); /* slots */
    b = field_of(50, 0, sizeof(run), run, sizeof(run));
    run_reader_init(&reader, (struct slice){b.data, b.len});
    assert_false(run_next(&reader, &pack, &err));
    assert_int_equal(err.code, ERR_INTEGRITY);
    buf_fini(&b);
    memcpy(condemned + 16, huge, sizeof(huge)); /* ranges */
    b = field_of(40, 1, sizeof(condemned), condemned, sizeof(condemned));
    assert_int_equal(list_decode((struct slice){b.data, b.len}, &list, &err),
                     ERR_INTEGRITY);
    buf_fini(&b);
    for (uint16_t type = 1; type <= 50; type++) {
        b = field_of(type, 1, UINT32_MAX, huge, sizeof(huge));
        assert_int_equal(
            list_decode((struct slice){b.data, b.len}, &list, &err),
            ERR_INTEGRITY);
        assert_int_equal(
            point_decode((struct slice){b.data, b.len}, &point, &err),
            ERR_INTEGRITY);
        buf_fini(&b);
    }
    /* a page with that many packs; a disk of that many chunks in one run */
    assert_int_equal(
        map_page_open((struct slice){huge, sizeof(huge)}, 4096, &page, &err),
        ERR_INTEGRITY);
    assert_int_equal(
        map_check((struct slice){huge, sizeof(huge)}, MAP_CHUNKS_MAX, 3, &err),
        ERR_INTEGRITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_becomes_as_long_as_its_chunk_or_nothing),
        cmocka_unit_test(a_slot_is_one_frame_and_nothing_else),
        cmocka_unit_test(an_export_cannot_claim_memory),
        cmocka_unit_test(counts_beyond_what_is_there_are_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
