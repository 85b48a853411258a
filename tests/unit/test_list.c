/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors_keys.h"

#include "vault/list.h"
#include "vault/list_set.h"
#include "vault/name.h"
#include "vault/run.h"

static struct seal_suite *suite;
static struct keyring *keys;

static void equal_names(struct slice got, const struct json *want)
{
    assert_int_equal(got.len, json_count(want) * NAME_POINT_BYTES);
    for (size_t i = 0; i < json_count(want); i++)
        assert_memory_equal(got.data + i * NAME_POINT_BYTES,
                            json_text(json_at(want, i), ""), NAME_POINT_BYTES);
}

static void equal_list(const struct list *l, const struct json *want)
{
    const struct json *packs = vectors_get(want, "condemned");

    assert_int_equal(l->packs, json_count(packs));
    for (size_t i = 0; i < l->packs; i++) {
        const struct json *p = json_at(packs, i);
        const struct json *ranges = vectors_get(p, "ranges");

        vectors_equal(p, "pack_id", l->pack[i].id.b, 16);
        assert_int_equal(l->pack[i].ranges, json_count(ranges));
        for (size_t k = 0; k < l->pack[i].ranges; k++) {
            const struct json *r = json_at(ranges, k);

            assert_int_equal(l->pack[i].range[k].first,
                             json_int(json_at(r, 0), -1));
            assert_int_equal(l->pack[i].range[k].count,
                             json_int(json_at(r, 1), -1));
        }
    }
    equal_names(l->removed, vectors_get(want, "removed"));
    equal_names(l->restored, vectors_get(want, "restored"));
}

static void lists_are_those_of_the_vectors(void **state)
{
    struct json *doc = vectors_load("list.json");
    const struct json *lists = vectors_get(doc, "lists");

    (void)state;
    assert_int_equal(json_count(lists), 3);
    for (size_t i = 0; i < json_count(lists); i++) {
        const struct json *v = json_at(lists, i);
        size_t object_len, plain_len;
        uint8_t *object = vectors_bytes(v, "object", &object_len);
        uint8_t *plain = vectors_bytes(v, "plaintext", &plain_len);
        struct list *l = NULL;
        struct err err = {0};
        struct buf b;

        if (list_open(keys, vectors_text(v, "name"), object, object_len, &l,
                      &err) != ERR_OK)
            fail_msg("%s", err.text);
        equal_list(l, v);
        buf_init(&b, 10000);
        assert_int_equal(list_encode(l, &b, &err), ERR_OK);
        assert_int_equal(b.len, plain_len);
        assert_true(!b.len || memcmp(b.data, plain, b.len) == 0);
        buf_fini(&b);
        list_free(l);
        l = NULL;
        object[object_len - 1] ^= 1;
        assert_int_equal(list_open(keys, vectors_text(v, "name"), object,
                                   object_len, &l, &err),
                         ERR_INTEGRITY);
        free(object);
        free(plain);
    }
    json_free(doc);
}

#define P16 "0123456789abcdef"
#define NAME_A \
    "points/2e73579d31f1cbc0232e04f666837d2a/20250615T150640Z-00000000"
#define HEAD40 "\50\0\1\0"

static void malformed_lists_are_refused(void **state)
{
    static const struct {
        const char *why, *bytes;
        size_t len;
    } bad[] = {
        {"an empty range", HEAD40 "\23\0\0\0" P16 "\1\0\0", 8 + 19},
        {"a slot beyond all", HEAD40 "\25\0\0\0" P16 "\1\200\200\4\1", 8 + 21},
        {"a range beyond all", HEAD40 "\25\0\0\0" P16 "\1\377\377\3\2", 8 + 21},
        {"a range that is not there", HEAD40 "\23\0\0\0" P16 "\2\0\1", 8 + 19},
        {"half a pack id",
         HEAD40 "\10\0\0\0"
                "01234567",
         16},
        {"not critical", "\50\0\0\0\21\0\0\0" P16 "\0", 8 + 17},
        {"removed and restored",
         "\51\0\1\0\101\0\0\0" NAME_A "\52\0\1\0\101\0\0\0" NAME_A, 2 * 73},
        {"half a name", "\51\0\1\0\100\0\0\0" NAME_A, 8 + 64},
        {"another field", "\61\0\1\0\0\0\0\0", 8},
    };
    struct list *l = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(bad); i++)
        if (list_decode(
                (struct slice){(const uint8_t *)bad[i].bytes, bad[i].len}, &l,
                &err) != ERR_INTEGRITY)
            fail_msg("taken: %s", bad[i].why);
}

static void the_index_run_of_the_vectors_reads_and_writes(void **state)
{
    struct json *doc = vectors_load("list.json");
    const struct json *v = vectors_get(doc, "index_run");
    const struct json *packs = vectors_get(v, "packs");
    size_t object_len, plain_len, count = 0;
    uint8_t *object = vectors_bytes(v, "object", &object_len);
    uint8_t *plain = vectors_bytes(v, "plaintext", &plain_len);
    struct run_reader r;
    struct run_pack p;
    struct err err = {0};
    struct buf opened, again;

    (void)state;
    buf_init(&opened, 10000);
    buf_init(&again, 10000);
    if (run_open(keys, vectors_text(v, "name"), object, object_len, &opened,
                 &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(opened.len, plain_len);
    assert_memory_equal(opened.data, plain, plain_len);
    run_reader_init(&r, (struct slice){opened.data, opened.len});
    for (; run_next(&r, &p, &err); count++) {
        const struct json *w = json_at(packs, count);
        const struct json *slots = vectors_get(w, "slots");

        vectors_equal(w, "pack_id", p.id.b, 16);
        vectors_equal(w, "key_id", p.key_id.b, 16);
        assert_int_equal(p.kind, vectors_int(w, "kind"));
        assert_int_equal(p.slots, json_count(slots));
        for (uint32_t i = 0; i < p.slots; i++) {
            struct pack_slot s;

            assert_int_equal(pack_layout_get_entry(
                                 p.entries + i * PACK_LAYOUT_ENTRY, &s, &err),
                             ERR_OK);
            vectors_equal(json_at(slots, i), "id", s.id.b, 16);
            assert_int_equal(s.stored,
                             vectors_int(json_at(slots, i), "stored"));
            assert_int_equal(s.raw, vectors_int(json_at(slots, i), "raw"));
            assert_int_equal(s.codec, vectors_int(json_at(slots, i), "codec"));
        }
        assert_true(run_add(&again, &p));
    }
    assert_int_equal(err.code, ERR_OK);
    assert_int_equal(count, json_count(packs));
    assert_int_equal(again.len, plain_len);
    assert_memory_equal(again.data, plain, plain_len);
    /* A run that is cut anywhere but between its packs is refused. */
    for (size_t cut = 1; cut < plain_len; cut++) {
        run_reader_init(&r, (struct slice){plain, cut});
        while (run_next(&r, &p, &err))
            ;
        assert_int_equal(err.code, cut == 8 + 124 ? ERR_OK : ERR_INTEGRITY);
    }
    buf_fini(&opened);
    buf_fini(&again);
    free(object);
    free(plain);
    json_free(doc);
}

static void put_list(struct list_set *set, const char *name, const char *point,
                     bool restored)
{
    struct slice names = {(const uint8_t *)point, NAME_POINT_BYTES};
    struct list l = {0};
    struct err err = {0};
    struct buf b;

    if (restored)
        l.restored = names;
    else
        l.removed = names;
    buf_init(&b, 10000);
    assert_int_equal(list_seal(keys, name, &l, &b, &err), ERR_OK);
    if (list_set_add(set, keys, name, b.data, b.len, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_true(list_set_has(set, name));
    buf_fini(&b);
}

/* In whatever order they are read. */
static void the_list_whose_name_sorts_last_decides(void **state)
{
    struct list_set *set = list_set_new();
    uint64_t ms;

    (void)state;
    assert_int_equal(list_set_point(set, NAME_A, NULL), LIST_SAYS_NOTHING);
    put_list(set, "gc/20250615T150642Z-00000001", NAME_A, true);
    put_list(set, "gc/20250615T150642Z-00000000", NAME_A, false);
    assert_int_equal(list_set_point(set, NAME_A, &ms), LIST_SAYS_RESTORED);
    assert_int_equal(ms, 1750000002000);
    put_list(set, "gc/20250615T150643Z-00000000", NAME_A, false);
    put_list(set, "gc/20250615T150641Z-ffffffff", NAME_A, true);
    assert_int_equal(list_set_point(set, NAME_A, NULL), LIST_SAYS_REMOVED);
    assert_int_equal(list_set_count(set), 4);
    assert_int_equal(list_set_latest_ms(set), 1750000003000);
    list_set_free(set);
}

static void a_set_gathers_what_is_condemned(void **state)
{
    struct json *doc = vectors_load("list.json");
    const struct json *lists = vectors_get(doc, "lists");
    struct list_set *set = list_set_new();
    const struct condemned *c = list_set_condemned(set);
    struct id16 whole, some;
    struct err err;

    (void)state;
    for (int twice = 0; twice < 2; twice++)
        for (size_t i = 0; i < json_count(lists); i++) {
            const struct json *v = json_at(lists, i);
            size_t len;
            uint8_t *object = vectors_bytes(v, "object", &len);

            assert_int_equal(list_set_add(set, keys, vectors_text(v, "name"),
                                          object, len, &err),
                             ERR_OK);
            free(object);
        }
    assert_int_equal(list_set_count(set), 3);
    for (uint8_t i = 0; i < 16; i++) {
        whole.b[i] = i;
        some.b[i] = (uint8_t)(0x10 + i);
    }
    assert_true(condemned_has(c, &whole, 77));
    assert_true(condemned_has(c, &some, 2));
    assert_false(condemned_has(c, &some, 3));
    assert_true(condemned_has(c, &some, 300));
    assert_true(condemned_has(c, &some, 65535));
    list_set_free(set);
    json_free(doc);
}

static int begin(void **state)
{
    struct err err;

    (void)state;
    if (seal_suite_new(&suite, &err) != ERR_OK)
        return -1;
    keys = vectors_keyring(suite, true);
    return 0;
}

static int end(void **state)
{
    (void)state;
    keyring_unref(keys);
    seal_suite_free(suite);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_those_of_the_vectors),
        cmocka_unit_test(malformed_lists_are_refused),
        cmocka_unit_test(the_index_run_of_the_vectors_reads_and_writes),
        cmocka_unit_test(the_list_whose_name_sorts_last_decides),
        cmocka_unit_test(a_set_gathers_what_is_condemned),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
