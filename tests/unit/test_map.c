/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "vault/map.h"

static struct seal_suite *suite;

static struct map_run run_of(const struct json *j)
{
    struct map_run run;
    const struct json *pack = vectors_get(j, "pack");

    run.count = (uint32_t)vectors_int(j, "count");
    run.pack =
        json_kind(pack) == JSON_NULL ? MAP_ZERO : (uint32_t)json_int(pack, 0);
    run.first = (uint32_t)vectors_int(j, "first");
    return run;
}

static void read_runs(struct slice bytes, uint64_t chunks, uint64_t packs,
                      const struct json *want)
{
    struct map_reader r;
    struct map_run got;
    struct err err = {0};
    size_t i = 0;

    map_reader_init(&r, bytes, chunks, packs);
    for (; map_next(&r, &got, &err); i++) {
        struct map_run w = run_of(json_at(want, i));

        assert_int_equal(got.count, w.count);
        assert_int_equal(got.pack, w.pack);
        assert_int_equal(got.first, w.first);
    }
    if (err.code != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(i, json_count(want));
}

static void write_runs(struct slice bytes, const struct json *runs)
{
    struct map_writer w;
    struct buf b;

    buf_init(&b, 1000);
    map_writer_init(&w, &b);
    for (size_t i = 0; i < json_count(runs); i++) {
        struct map_run run = run_of(json_at(runs, i));

        /* chunk by chunk, as a session does */
        for (uint32_t k = 0; k < run.count; k++)
            map_writer_add(
                &w, (struct map_run){1, run.pack,
                                     run.pack == MAP_ZERO ? 0 : run.first + k});
    }
    assert_true(map_writer_end(&w));
    assert_int_equal(b.len, bytes.len);
    assert_true(!b.len || memcmp(b.data, bytes.data, b.len) == 0);
    buf_fini(&b);
}

static void runs_are_those_of_the_vectors(void **state)
{
    struct json *doc = vectors_load("map.json");
    const struct json *cases = vectors_get(doc, "runs");

    (void)state;
    assert_true(json_count(cases) >= 6);
    for (size_t i = 0; i < json_count(cases); i++) {
        const struct json *c = json_at(cases, i);
        struct slice bytes;
        uint8_t *data = vectors_bytes(c, "bytes", &bytes.len);

        bytes.data = data;
        read_runs(bytes, (uint64_t)vectors_int(c, "chunks"),
                  (uint64_t)vectors_int(c, "packs"), vectors_get(c, "runs"));
        write_runs(bytes, vectors_get(c, "runs"));
        free(data);
    }
    json_free(doc);
}

static void malformed_runs_are_refused(void **state)
{
    struct json *doc = vectors_load("map.json");
    const struct json *cases = vectors_get(doc, "refused_runs");

    (void)state;
    assert_true(json_count(cases) >= 10);
    for (size_t i = 0; i < json_count(cases); i++) {
        const struct json *c = json_at(cases, i);
        struct slice bytes;
        uint8_t *data = vectors_bytes(c, "bytes", &bytes.len);
        struct err err = {0};

        bytes.data = data;
        if (map_check(bytes, (uint64_t)vectors_int(c, "chunks"),
                      (uint64_t)vectors_int(c, "packs"), &err) != ERR_INTEGRITY)
            fail_msg("taken: %s", vectors_text(c, "why"));
        free(data);
    }
    json_free(doc);
}

static struct id16 pack_id_of(void *ctx, uint32_t pack)
{
    const struct json *ids = ctx;
    struct id16 id;

    assert_true(bytes_unhex(json_text(json_at(ids, pack), ""), id.b, 16));
    return id;
}

static void pages_are_those_of_the_vectors(void **state)
{
    struct json *doc = vectors_load("map.json");
    const struct json *cases = vectors_get(doc, "pages");

    (void)state;
    assert_true(json_count(cases) >= 5);
    for (size_t i = 0; i < json_count(cases); i++) {
        const struct json *c = json_at(cases, i);
        const struct json *ids = vectors_get(c, "pack_ids");
        const struct json *runs = vectors_get(c, "runs");
        uint32_t chunks = (uint32_t)vectors_int(c, "chunks");
        struct map_run all[16];
        struct map_page page;
        struct slice bytes;
        uint8_t *data = vectors_bytes(c, "bytes", &bytes.len);
        struct err err = {0};
        struct buf b;

        bytes.data = data;
        if (map_page_open(bytes, chunks, &page, &err) != ERR_OK)
            fail_msg("%s", err.text);
        assert_int_equal(page.packs, json_count(ids));
        for (uint32_t k = 0; k < page.packs; k++) {
            struct id16 id = map_page_pack(&page, k);
            struct id16 want = pack_id_of((void *)(uintptr_t)ids, k);

            assert_memory_equal(id.b, want.b, 16);
        }
        read_runs(page.runs, chunks, page.packs, runs);
        for (size_t k = 0; k < json_count(runs); k++)
            all[k] = run_of(json_at(runs, k));
        buf_init(&b, MAP_PAGE_BYTES);
        assert_int_equal(map_page_add(&b, all, json_count(runs), pack_id_of,
                                      (void *)(uintptr_t)ids, &err),
                         ERR_OK);
        assert_int_equal(b.len, bytes.len);
        assert_memory_equal(b.data, bytes.data, b.len);
        buf_fini(&b);
        free(data);
    }
    json_free(doc);
}

static struct id16 any_pack(void *ctx, uint32_t pack)
{
    struct id16 id = {{0}};

    (void)ctx;
    bytes_put_u32(id.b, pack);
    return id;
}

static void the_worst_page_fits(void **state)
{
    static struct map_run runs[MAP_PAGE_CHUNKS];
    struct map_page page;
    struct map_reader r;
    struct map_run run;
    struct err err = {0};
    struct buf b;

    (void)state;
    for (uint32_t i = 0; i < MAP_PAGE_CHUNKS; i++)
        runs[i] = (struct map_run){1, 4000000000u - 977 * i, 65535};
    buf_init(&b, MAP_PAGE_BYTES);
    assert_int_equal(
        map_page_add(&b, runs, MAP_PAGE_CHUNKS, any_pack, NULL, &err), ERR_OK);
    assert_int_equal(map_page_open((struct slice){b.data, b.len},
                                   MAP_PAGE_CHUNKS, &page, &err),
                     ERR_OK);
    assert_int_equal(page.packs, MAP_PAGE_CHUNKS);
    map_reader_init(&r, page.runs, MAP_PAGE_CHUNKS, page.packs);
    for (uint32_t i = 0; map_next(&r, &run, &err); i++) {
        struct id16 id = map_page_pack(&page, run.pack);

        assert_int_equal(bytes_get_u32(id.b), runs[i].pack);
    }
    assert_int_equal(err.code, ERR_OK);
    /* One chunk more or fewer is another disk's page. */
    assert_int_equal(map_page_open((struct slice){b.data, b.len},
                                   MAP_PAGE_CHUNKS - 1, &page, &err),
                     ERR_INTEGRITY);
    buf_fini(&b);
}

#define ID "AAAAAAAAAAAAAAAA"
#define ID2 "BBBBBBBBBBBBBBBB"

static void malformed_pages_are_refused(void **state)
{
    static const struct {
        const char *why, *bytes;
        size_t len;
    } bad[] = {
        {"empty", "", 0},
        {"ids cut off", "\2" ID, 17},
        {"count beyond all", "\377\377\377\377\377\377\377\377\377\1", 10},
        {"an id that nobody uses", "\2" ID ID2 "\3\0\0", 36},
        {"not in order of first use", "\2" ID ID2 "\3\1\0\3\0\0", 39},
        {"more chunks than the page", "\1" ID "\7\0\0", 20},
        {"fewer", "\1" ID "\3\0\0", 20},
    };
    struct map_page page;
    struct err err;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(bad); i++)
        if (map_page_open(
                (struct slice){(const uint8_t *)bad[i].bytes, bad[i].len}, 2,
                &page, &err) != ERR_INTEGRITY)
            fail_msg("taken: %s", bad[i].why);
}

static void content_sums_are_those_of_the_vectors(void **state)
{
    struct json *doc = vectors_load("map.json");
    const struct json *cases = vectors_get(doc, "content_sums");
    struct seal_digest *d = seal_digest_new(suite, SEAL_DIGEST_SHA256);

    (void)state;
    assert_true(json_count(cases) >= 5);
    for (size_t i = 0; i < json_count(cases); i++) {
        const struct json *ids = vectors_get(json_at(cases, i), "ids");
        struct map_sum sum = {{0}}, zero = {{0}};
        uint8_t raw[32];
        struct id16 id;

        for (size_t k = 0; k < json_count(ids); k++) {
            const char *text = json_text(json_at(ids, k), NULL);

            if (!text)
                continue;
            assert_true(bytes_unhex(text, id.b, 16));
            assert_true(map_sum_add(&sum, d, k, &id));
        }
        map_sum_put(&sum, raw);
        vectors_equal(json_at(cases, i), "sum", raw, 32);
        map_sum_get(&sum, raw);
        /* What is taken away again leaves nothing, in any order. */
        for (size_t k = json_count(ids); k-- > 0;) {
            const char *text = json_text(json_at(ids, k), NULL);

            if (!text)
                continue;
            assert_true(bytes_unhex(text, id.b, 16));
            assert_true(map_sum_sub(&sum, d, k, &id));
        }
        assert_memory_equal(&sum, &zero, sizeof(sum));
    }
    seal_digest_free(d);
    json_free(doc);
}

static void carries_run_through_all_256_bits(void **state)
{
    struct map_sum a = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, 7}};
    struct map_sum b = {{1, 0, 0, 0}};
    struct map_sum c = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};

    (void)state;
    map_sum_join(&a, &b);
    assert_int_equal(a.w[0], 0);
    assert_int_equal(a.w[1], 0);
    assert_int_equal(a.w[2], 0);
    assert_int_equal(a.w[3], 8);
    map_sum_join(&c, &c); /* -1 - 1 = -2 */
    assert_int_equal(c.w[0], UINT64_MAX - 1);
    assert_int_equal(c.w[1], UINT64_MAX);
    assert_int_equal(c.w[3], UINT64_MAX);
}

static int begin(void **state)
{
    struct err err;

    (void)state;
    return seal_suite_new(&suite, &err) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    seal_suite_free(suite);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_are_those_of_the_vectors),
        cmocka_unit_test(malformed_runs_are_refused),
        cmocka_unit_test(pages_are_those_of_the_vectors),
        cmocka_unit_test(the_worst_page_fits),
        cmocka_unit_test(malformed_pages_are_refused),
        cmocka_unit_test(content_sums_are_those_of_the_vectors),
        cmocka_unit_test(carries_run_through_all_256_bits),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
