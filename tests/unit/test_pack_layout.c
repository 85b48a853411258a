/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors_keys.h"

#include "vault/pack_opener.h"
#include "vault/pack_table.h"

static struct seal_suite *suite;
static struct keyring *keys;

/* Each row is one rule of pack_layout_pad(). */
static const struct {
    const char *why;
    uint64_t slots_end;
    uint32_t toc_bytes, expect; /* the tail of 64 comes on top */
} pads[] = {
    {"a small pack fills one block", 196, 164, 65112},
    {"what fits exactly gets none", 65308, 164, 0},
    {"one byte over begins a new block", 65309, 164, 65535},
};

static void pack_is_a_multiple_of_64_kib(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(pads); i++) {
        uint32_t got = pack_layout_pad(pads[i].slots_end, pads[i].toc_bytes);

        if (got != pads[i].expect)
            fail_msg("%s: wanted %u, got %u", pads[i].why, pads[i].expect, got);
    }
    assert_int_equal(pack_layout_bytes(96, 0), 65536);
    assert_int_equal(pack_layout_bytes(65536 * 3, 100) % 65536, 0);
}

static const struct json *slot_vector(const struct json *pack, size_t i)
{
    return json_at(vectors_get(pack, "slots"), i);
}

static void compare_slots(const struct pack_table *t, const struct json *pack)
{
    const struct json *slots = vectors_get(pack, "slots");

    assert_int_equal(t->slots, json_count(slots));
    for (uint32_t i = 0; i < t->slots; i++) {
        const struct json *s = slot_vector(pack, i);

        vectors_equal(s, "chunk_id", t->slot[i].id.b, 16);
        assert_int_equal(t->slot[i].stored, vectors_int(s, "stored_length"));
        assert_int_equal(t->slot[i].raw, vectors_int(s, "raw_length"));
        assert_int_equal(t->slot[i].codec, vectors_int(s, "codec"));
        assert_int_equal(t->offset[i], vectors_int(s, "offset"));
    }
}

/* Slots that are there give chunks of the right SHA-256; others are refused. */
static void open_slots(const struct pack_table *t, const uint8_t *object,
                       const struct json *raw_sha256)
{
    struct pack_opener *o = pack_opener_new(suite);
    static uint8_t out[PACK_LAYOUT_RAW_MAX];
    struct seal_key k_pack;
    struct err err = {0};
    uint8_t hash[32];
    char hex[65];

    assert_int_equal(pack_table_key(t, keys, &k_pack, &err), ERR_OK);
    for (uint32_t i = 0; i < t->slots; i++) {
        struct pack_opener_slot s = {
            .k_pack = &k_pack,
            .kind = t->kind,
            .number = i,
            .slot = &t->slot[i],
            .sealed = object + t->offset[i],
            .out = out,
        };

        if (!t->slot[i].stored) {
            assert_int_equal(pack_opener_open(o, keys, &s, &err),
                             ERR_INTEGRITY);
            continue;
        }
        if (pack_opener_open(o, keys, &s, &err) != ERR_OK)
            fail_msg("%s", err.text);
        seal_digest_once(suite, SEAL_DIGEST_SHA256, out, t->slot[i].raw, hash);
        bytes_hex(hash, 32, hex);
        assert_string_equal(hex, json_text(json_at(raw_sha256, i), ""));
        s.number ^= 1; /* the place is in the nonce */
        assert_int_equal(pack_opener_open(o, keys, &s, &err), ERR_INTEGRITY);
    }
    seal_key_fini(&k_pack);
    pack_opener_free(o);
}

static void packs_of_the_vectors_open(void **state)
{
    struct json *doc = vectors_load("pack.json");
    const struct json *packs = vectors_get(doc, "packs");

    (void)state;
    assert_int_equal(json_count(packs), 2);
    for (size_t i = 0; i < json_count(packs); i++) {
        const struct json *p = json_at(packs, i);
        struct pack_table t;
        struct slice object;
        uint8_t *data = vectors_base64(p, "object_base64", &object.len);
        uint8_t tail[PACK_LAYOUT_TAIL];
        struct err err = {0};

        object.data = data;
        assert_int_equal(object.len, vectors_int(p, "size"));
        if (pack_table_open(&t, keys, vectors_text(p, "name"), object, &err) !=
            ERR_OK)
            fail_msg("%s", err.text);
        assert_int_equal(t.tail.toc_offset, vectors_int(p, "toc_offset"));
        assert_int_equal(t.tail.toc_bytes, vectors_int(p, "toc_sealed_length"));
        vectors_equal(p, "digest", t.tail.digest, 32);
        pack_layout_put_tail(tail, &t.tail);
        vectors_equal(p, "tail", tail, sizeof(tail));
        /* i = 1 is compacted: its digest covers what was rewritten */
        compare_slots(&t, p);
        open_slots(&t, data, vectors_get(doc, "raw_sha256"));
        pack_table_fini(&t);
        free(data);
    }
    json_free(doc);
}

/* The same bytes under another name are another object. */
static void a_pack_under_another_name_is_refused(void **state)
{
    struct json *doc = vectors_load("pack.json");
    const struct json *p = json_at(vectors_get(doc, "packs"), 0);
    struct slice object;
    uint8_t *data = vectors_base64(p, "object_base64", &object.len);
    static const char *const names[] = {
        "packs/00/000102030405060708090a0b0c0d0e0e",
        "packs/00/000102030405060708090a0b0c0d0e0f.0001-00000000",
        "maps/00/000102030405060708090a0b0c0d0e0f",
    };
    struct pack_table t;
    struct err err;

    (void)state;
    object.data = data;
    for (size_t i = 0; i < BYTES_COUNT(names); i++)
        assert_int_equal(pack_table_open(&t, keys, names[i], object, &err),
                         ERR_INTEGRITY);
    assert_int_equal(pack_table_open(&t, keys, "gc/x", object, &err),
                     ERR_ARGUMENT);
    free(data);
    json_free(doc);
}

/* A store may set the head of one pack before the rest of another. */
static void a_pack_with_the_header_of_another_is_refused(void **state)
{
    struct json *doc = vectors_load("pack.json");
    const struct json *packs = vectors_get(doc, "packs");
    const char *name = vectors_text(json_at(packs, 0), "name");
    const struct id16 key_id = {{1}};
    struct slice object;
    uint8_t *data =
        vectors_base64(json_at(packs, 0), "object_base64", &object.len);
    struct seal_slot_header header;
    struct seal_key key = {{2}}, k_pack;
    struct pack_table t;
    struct err err;

    (void)state;
    object.data = data;
    assert_int_equal(pack_table_open(&t, keys, name, object, &err), ERR_OK);
    header = t.header;
    pack_table_fini(&t);
    header.pack_id.b[0] ^= 1;
    assert_int_equal(seal_slot_header_write(suite, &key, &key_id, &header, data,
                                            &k_pack, &err),
                     ERR_OK);
    assert_int_equal(pack_table_open(&t, keys, name, object, &err),
                     ERR_INTEGRITY);
    header.pack_id.b[0] ^= 1;
    header.kind = SEAL_SLOT_MAP;
    assert_int_equal(seal_slot_header_write(suite, &key, &key_id, &header, data,
                                            &k_pack, &err),
                     ERR_OK);
    assert_int_equal(pack_table_open(&t, keys, name, object, &err),
                     ERR_INTEGRITY);
    free(data);
    json_free(doc);
}

/* Sealed in its place by somebody who has the keys, and yet not that chunk. */
static void a_slot_that_holds_another_chunk_is_refused(void **state)
{
    static const uint8_t said[] = "what was backed up";
    static const uint8_t held[] = "what was not at al";
    static const struct seal_key k_pack = {{5}};
    struct seal_slot_work *work = seal_slot_work_new(suite);
    struct pack_opener *o = pack_opener_new(suite);
    uint8_t sealed[sizeof(said) + SEAL_SLOT_TAG], out[sizeof(said)];
    struct pack_slot slot = {.stored = sizeof(sealed), .raw = sizeof(said)};
    struct seal_slot_place place = {.raw_len = slot.raw};
    struct pack_opener_slot s = {
        .k_pack = &k_pack, .slot = &slot, .sealed = sealed, .out = out};
    struct err err;

    (void)state;
    assert_true(work && o);
    assert_true(seal_slot_chunk_id(work, keyring_k_id(keys), SEAL_SLOT_DATA,
                                   said, sizeof(said), &slot.id));
    place.chunk_id = slot.id;
    assert_true(seal_slot_seal(work, &k_pack, &place, said, sizeof(said),
                               sealed));
    assert_int_equal(pack_opener_open(o, keys, &s, &err), ERR_OK);
    assert_true(seal_slot_seal(work, &k_pack, &place, held, sizeof(held),
                               sealed));
    assert_int_equal(pack_opener_open(o, keys, &s, &err), ERR_INTEGRITY);
    seal_slot_work_free(work);
    pack_opener_free(o);
}

/* Every byte of header, toc and tail counts; padding and slots do not here. */
static void no_table_byte_may_change(void **state)
{
    struct json *doc = vectors_load("pack.json");
    const struct json *p = json_at(vectors_get(doc, "packs"), 0);
    size_t toc = (size_t)vectors_int(p, "toc_offset");
    struct slice object;
    uint8_t *data = vectors_base64(p, "object_base64", &object.len);
    struct seal_key k_pack;
    struct pack_table t;
    struct err err;

    (void)state;
    object.data = data;
    for (size_t at = 0; at < object.len; at++) {
        bool table = at < SEAL_SLOT_HEADER || at >= toc;
        bool good;

        if (!table && at % 997)
            continue;
        data[at] ^= 1;
        good = pack_table_open(&t, keys, vectors_text(p, "name"), object,
                               &err) == ERR_OK;
        if (good)
            good = pack_table_key(&t, keys, &k_pack, &err) == ERR_OK;
        if (good == table)
            fail_msg("byte %zu flipped: %s", at, good ? "taken" : err.text);
        pack_table_fini(&t);
        data[at] ^= 1;
    }
    object.len -= PACK_LAYOUT_BLOCK;
    assert_int_equal(
        pack_table_open(&t, keys, vectors_text(p, "name"), object, &err),
        ERR_INTEGRITY);
    free(data);
    json_free(doc);
}

#define ID "0123456789abcdef"

static void impossible_entries_are_refused(void **state)
{
    static const struct {
        const char *why;
        uint32_t stored, raw;
        uint8_t codec, zero;
        bool good;
    } e[] = {
        {"raw", 65552, 65536, 0, 0, true},
        {"compressed", 17, 65536, 1, 0, true},
        {"dropped", 0, 65536, 1, 0, true},
        {"dropped raw", 0, 512, 0, 0, true},
        {"raw of another length", 65551, 65536, 0, 0, false},
        {"compressed and no shorter", 65552, 65536, 1, 0, false},
        {"a tag alone", 16, 65536, 1, 0, false},
        {"shorter than a tag", 1, 65536, 1, 0, false},
        {"empty chunk", 16, 0, 0, 0, false},
        {"over 1 MiB", (1 << 20) + 17, (1 << 20) + 1, 0, 0, false},
        {"overflow", 15, UINT32_MAX, 0, 0, false},
        {"unknown codec", 100, 65536, 2, 0, false},
        {"zero that is none", 100, 65536, 1, 1, false},
    };
    uint8_t raw[PACK_LAYOUT_ENTRY];
    struct err err;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(e); i++) {
        struct pack_slot s = {.stored = e[i].stored,
                              .raw = e[i].raw,
                              .codec = e[i].codec},
                         got;

        memcpy(s.id.b, ID, 16);
        pack_layout_put_entry(raw, &s);
        raw[27] = e[i].zero;
        if ((pack_layout_get_entry(raw, &got, &err) == ERR_OK) != e[i].good)
            fail_msg("%s", e[i].why);
        if (e[i].good)
            assert_true(got.stored == s.stored && got.raw == s.raw &&
                        got.codec == s.codec && id16_equal(&got.id, &s.id));
    }
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
        cmocka_unit_test(pack_is_a_multiple_of_64_kib),
        cmocka_unit_test(packs_of_the_vectors_open),
        cmocka_unit_test(a_pack_under_another_name_is_refused),
        cmocka_unit_test(a_pack_with_the_header_of_another_is_refused),
        cmocka_unit_test(a_slot_that_holds_another_chunk_is_refused),
        cmocka_unit_test(no_table_byte_may_change),
        cmocka_unit_test(impossible_entries_are_refused),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
