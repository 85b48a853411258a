/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "crypto/seal_digest.h"
#include "crypto/seal_stream.h"

static struct seal_suite *suite;
static struct json *doc;
static struct id16 vault_id;
static struct seal_key k_data, k_meta;

static int set_up(void **state)
{
    struct err err;

    (void)state;
    doc = vectors_load("stream.json");
    vectors_hex(doc, "vault_id", vault_id.b, 16);
    vectors_hex(doc, "k_data", k_data.b, 32);
    vectors_hex(doc, "k_meta", k_meta.b, 32);
    return seal_suite_new(&suite, &err);
}

static int tear_down(void **state)
{
    (void)state;
    json_free(doc);
    seal_suite_free(suite);
    return 0;
}

/* Byte i of every plaintext is (7 i + (i >> 8)) mod 256. */
static uint8_t *plaintext(size_t len)
{
    uint8_t *data = malloc(len + 1);

    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(7 * i + (i >> 8));
    return data;
}

static struct seal_stream_opts opts_of(const struct json *row,
                                       uint8_t random[16])
{
    struct seal_stream_opts opts = {
        .suite = suite,
        .kind = (enum seal_stream_kind)vectors_int(row, "kind"),
        .vault_id = vault_id,
        .name = vectors_text(row, "name"),
        .random = random,
    };

    opts.key = opts.kind == SEAL_STREAM_METADATA ? &k_data : &k_meta;
    vectors_hex(row, "key_id", opts.key_id.b, 16);
    vectors_hex(row, "random", random, 16);
    return opts;
}

static void check_sealed(const struct json *row, const struct buf *got)
{
    uint8_t sha[32];

    assert_int_equal(got->len, vectors_int(row, "sealed_length"));
    vectors_equal(row, "last_32", got->data + got->len - 32, 32);
    seal_digest_once(suite, SEAL_DIGEST_SHA256, got->data, got->len, sha);
    vectors_equal(row, "sealed_sha256", sha, 32);
    vectors_equal(row, "header", got->data, 48);
    vectors_equal(row, "commitment", got->data + 48, 32);
    if (json_get(row, "sealed"))
        vectors_equal(row, "sealed", got->data, got->len);
}

static void streams_come_out_byte_for_byte_as_the_vectors(void **state)
{
    const struct json *rows = vectors_get(doc, "cases");

    (void)state;
    assert_int_equal(json_count(rows), 9);
    for (size_t i = 0; i < json_count(rows); i++) {
        const struct json *row = json_at(rows, i);
        size_t len = (size_t)vectors_int(row, "length");
        uint8_t *plain = plaintext(len), random[16];
        struct seal_stream_opts opts = opts_of(row, random);
        struct buf sealed, opened;
        struct id16 key_id;
        struct err err;

        buf_init(&sealed, MIB);
        buf_init(&opened, MIB);
        assert_int_equal(seal_stream_bytes(len),
                         vectors_int(row, "sealed_length"));
        assert_int_equal(seal_stream_seal(&opts, plain, len, &sealed, &err),
                         ERR_OK);
        check_sealed(row, &sealed);
        assert_int_equal(seal_stream_key_id(opts.kind, sealed.data, sealed.len,
                                            &key_id, &err),
                         ERR_OK);
        assert_memory_equal(key_id.b, opts.key_id.b, 16);
        assert_int_equal(
            seal_stream_open(&opts, sealed.data, sealed.len, &opened, &err),
            ERR_OK);
        assert_int_equal(opened.len, len);
        if (len)
            assert_memory_equal(opened.data, plain, len);
        buf_fini(&sealed);
        buf_fini(&opened);
        free(plain);
    }
}

static void a_stream_in_pieces_is_the_same(void **state)
{
    static const size_t steps[] = {1, 77, 16384, 65536, 65552, 1000000};
    const struct json *row = json_at(vectors_get(doc, "cases"), 8);
    size_t len = (size_t)vectors_int(row, "length");
    uint8_t *plain = plaintext(len), random[16], salt[16];
    struct seal_stream_opts opts = opts_of(row, random);
    struct err err;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(steps); i++) {
        struct seal_stream_salt *s;
        struct seal_stream_writer *w;
        struct seal_stream_reader *r;
        struct buf sealed, opened;

        buf_init(&sealed, MIB);
        buf_init(&opened, MIB);
        assert_int_equal(seal_stream_salt_new(&opts, &s, &err), ERR_OK);
        for (size_t at = 0; at < len; at += steps[i])
            seal_stream_salt_add(s, plain + at,
                                 len - at < steps[i] ? len - at : steps[i]);
        assert_int_equal(seal_stream_salt_end(s, salt, &err), ERR_OK);
        seal_stream_salt_free(s);
        vectors_equal(row, "salt", salt, 16);
        assert_int_equal(seal_stream_writer_new(&opts, salt, &w, &err), ERR_OK);
        for (size_t at = 0; at < len; at += steps[i])
            assert_int_equal(seal_stream_writer_add(
                                 w, plain + at,
                                 len - at < steps[i] ? len - at : steps[i],
                                 &sealed, &err),
                             ERR_OK);
        assert_int_equal(seal_stream_writer_end(w, &sealed, &err), ERR_OK);
        seal_stream_writer_free(w);
        check_sealed(row, &sealed);
        assert_int_equal(seal_stream_reader_new(&opts, &r, &err), ERR_OK);
        for (size_t at = 0; at < sealed.len; at += steps[i])
            assert_int_equal(seal_stream_reader_add(r, sealed.data + at,
                                                    sealed.len - at < steps[i]
                                                        ? sealed.len - at
                                                        : steps[i],
                                                    &opened, &err),
                             ERR_OK);
        assert_int_equal(seal_stream_reader_end(r, &opened, &err), ERR_OK);
        seal_stream_reader_free(r);
        assert_int_equal(opened.len, len);
        assert_memory_equal(opened.data, plain, len);
        buf_fini(&sealed);
        buf_fini(&opened);
    }
    free(plain);
}

static void expect_refused(const struct seal_stream_opts *opts,
                           const uint8_t *sealed, size_t len, const char *why)
{
    struct buf opened;
    struct err err;

    buf_init(&opened, MIB);
    if (seal_stream_open(opts, sealed, len, &opened, &err) != ERR_INTEGRITY)
        fail_msg("not refused: %s", why);
    assert_int_equal(opened.len, 0);
    buf_fini(&opened);
}

static void whatever_is_done_to_a_stream_is_found(void **state)
{
    const struct json *row = json_at(vectors_get(doc, "cases"), 7);
    size_t len = (size_t)vectors_int(row, "length");
    uint8_t *plain = plaintext(len), random[16], *s;
    struct seal_stream_opts opts = opts_of(row, random), other;
    struct buf sealed;
    struct err err;

    (void)state;
    assert_int_equal(len, 131072); /* two full segments */
    buf_init(&sealed, MIB);
    assert_int_equal(seal_stream_seal(&opts, plain, len, &sealed, &err),
                     ERR_OK);
    s = sealed.data;
    for (size_t i = 0; i < 100; i++) {
        s[i] ^= 4;
        expect_refused(&opts, s, sealed.len, "a byte of head or segment");
        s[i] ^= 4;
    }
    s[sealed.len - 1] ^= 4;
    expect_refused(&opts, s, sealed.len, "the last tag");
    s[sealed.len - 1] ^= 4;
    expect_refused(&opts, s, sealed.len - 1, "a byte less");
    expect_refused(&opts, s, 80 + 65552, "the last segment gone");
    expect_refused(&opts, s, 80, "all segments gone");
    expect_refused(&opts, s, 79, "half a head");
    expect_refused(&opts, s, 0, "nothing");
    { /* segments in another order */
        uint8_t *swapped = malloc(sealed.len);

        assert_non_null(swapped);
        memcpy(swapped, s, 80);
        memcpy(swapped + 80, s + 80 + 65552, 65552);
        memcpy(swapped + 80 + 65552, s + 80, 65552);
        expect_refused(&opts, swapped, sealed.len, "segments swapped");
        free(swapped);
    }
    other = opts;
    other.name = "index/20250615T150641Z-01234567";
    expect_refused(&other, s, sealed.len, "another name");
    other = opts;
    other.kind = SEAL_STREAM_LIST;
    expect_refused(&other, s, sealed.len, "another kind");
    other = opts;
    other.vault_id.b[0] ^= 1;
    expect_refused(&other, s, sealed.len, "another vault");
    other = opts;
    other.key_id.b[0] ^= 1;
    expect_refused(&other, s, sealed.len, "another key id");
    other = opts;
    other.key = &k_data;
    expect_refused(&other, s, sealed.len, "another key");
    buf_add(&sealed, "", 1);
    expect_refused(&opts, sealed.data, sealed.len, "a byte more");
    buf_add_zeros(&sealed, 15);
    expect_refused(&opts, sealed.data, sealed.len, "an empty segment more");
    buf_fini(&sealed);
    free(plain);
}

/* Two that are not the last, so that nothing but their place differs. */
static void segments_that_change_places_are_found(void **state)
{
    const struct json *row = json_at(vectors_get(doc, "cases"), 7);
    uint8_t *plain = plaintext(3 * 65536), *swapped, random[16];
    struct seal_stream_opts opts = opts_of(row, random);
    struct buf sealed;
    struct err err;

    (void)state;
    buf_init(&sealed, MIB);
    assert_int_equal(
        seal_stream_seal(&opts, plain, 3 * 65536, &sealed, &err), ERR_OK);
    assert_int_equal(sealed.len, 80 + 3 * 65552);
    swapped = malloc(sealed.len);
    assert_non_null(swapped);
    memcpy(swapped, sealed.data, sealed.len);
    memcpy(swapped + 80, sealed.data + 80 + 65552, 65552);
    memcpy(swapped + 80 + 65552, sealed.data + 80, 65552);
    expect_refused(&opts, swapped, sealed.len, "segments swapped");
    free(swapped);
    buf_fini(&sealed);
    free(plain);
}

/* An honest-looking stream whose last segment is empty though it is not. */
static void an_empty_last_segment_behind_a_full_one_is_refused(void **state)
{
    const struct json *row = json_at(vectors_get(doc, "cases"), 5);
    size_t len = (size_t)vectors_int(row, "length");
    uint8_t *plain = plaintext(len), random[16], salt[16];
    struct seal_stream_opts opts = opts_of(row, random);
    struct seal_stream_writer *w;
    struct buf sealed;
    struct err err;

    (void)state;
    assert_int_equal(len, 65536);
    vectors_hex(row, "salt", salt, 16);
    buf_init(&sealed, MIB);
    assert_int_equal(seal_stream_writer_new(&opts, salt, &w, &err), ERR_OK);
    /* One byte more makes the writer seal the first segment as not the last;
     * the stream is then cut where an empty last one would begin. */
    assert_int_equal(seal_stream_writer_add(w, plain, len, &sealed, &err),
                     ERR_OK);
    assert_int_equal(seal_stream_writer_add(w, "", 1, &sealed, &err), ERR_OK);
    seal_stream_writer_free(w);
    assert_int_equal(sealed.len, 80 + 65552);
    expect_refused(&opts, sealed.data, sealed.len, "no last segment");
    buf_add_zeros(&sealed, 16);
    expect_refused(&opts, sealed.data, sealed.len, "an empty last segment");
    buf_fini(&sealed);
    free(plain);
}

static void a_stream_over_the_bound_is_refused(void **state)
{
    const struct json *row = json_at(vectors_get(doc, "cases"), 2);
    uint8_t *plain = plaintext(1000), random[16];
    struct seal_stream_opts opts = opts_of(row, random);
    struct buf sealed, opened;
    struct err err;

    (void)state;
    buf_init(&sealed, MIB);
    buf_init(&opened, 999);
    assert_int_equal(seal_stream_seal(&opts, plain, 1000, &sealed, &err),
                     ERR_OK);
    assert_int_equal(
        seal_stream_open(&opts, sealed.data, sealed.len, &opened, &err),
        ERR_NOMEM);
    buf_fini(&sealed);
    buf_fini(&opened);
    free(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_come_out_byte_for_byte_as_the_vectors),
        cmocka_unit_test(a_stream_in_pieces_is_the_same),
        cmocka_unit_test(whatever_is_done_to_a_stream_is_found),
        cmocka_unit_test(segments_that_change_places_are_found),
        cmocka_unit_test(an_empty_last_segment_behind_a_full_one_is_refused),
        cmocka_unit_test(a_stream_over_the_bound_is_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
