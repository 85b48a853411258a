/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include <openssl/crypto.h>

#include "crypto/seal_cipher.h"
#include "crypto/seal_slot.h"

static struct seal_suite *suite;
static struct json *doc;
static struct id16 vault_id;
static struct seal_key k_data, k_meta;
static long allocations;

static void *counted_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    allocations++;
    return malloc(size);
}

static void *counted_realloc(void *old, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    allocations++;
    return realloc(old, size);
}

static void counted_free(void *old, const char *file, int line)
{
    (void)file;
    (void)line;
    free(old);
}

static int set_up(void **state)
{
    struct err err;

    (void)state;
    CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free);
    doc = vectors_load("slot.json");
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

/* AES-256-GCM, test cases 13 to 16 of the submission to NIST. */
static const struct {
    const char *key, *nonce, *plain, *aad, *sealed;
} gcm[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000",
     "000000000000000000000000", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000",
     "000000000000000000000000", "00000000000000000000000000000000", "",
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
     "cafebabefacedbaddecaf888",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
     "b094dac5d93471bdec1a502270e3cc6c"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
     "cafebabefacedbaddecaf888",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

static void gcm_is_that_of_the_standard(void **state)
{
    struct seal_cipher *c = seal_cipher_new(suite);

    (void)state;
    assert_non_null(c);
    for (size_t i = 0; i < BYTES_COUNT(gcm); i++) {
        uint8_t nonce[12], plain[64], aad[20], sealed[80], got[80];
        struct slice p = {plain, strlen(gcm[i].plain) / 2};
        struct slice a = {aad, strlen(gcm[i].aad) / 2};
        struct slice s = {sealed, strlen(gcm[i].sealed) / 2};
        struct seal_key key;

        assert_true(bytes_unhex(gcm[i].key, key.b, 32));
        assert_true(bytes_unhex(gcm[i].nonce, nonce, 12));
        assert_true(bytes_unhex(gcm[i].plain, plain, p.len));
        assert_true(bytes_unhex(gcm[i].aad, aad, a.len));
        assert_true(bytes_unhex(gcm[i].sealed, sealed, s.len));
        assert_int_equal(s.len, p.len + SEAL_CIPHER_TAG);
        assert_true(seal_cipher_seal(c, &key, nonce, a, p, got));
        assert_memory_equal(got, sealed, s.len);
        memset(got, 0, sizeof(got));
        assert_true(seal_cipher_open(c, &key, nonce, a, s, got));
        assert_memory_equal(got, plain, p.len);
        sealed[s.len - 1] ^= 1;
        assert_false(seal_cipher_open(c, &key, nonce, a, s, got));
        s.len = SEAL_CIPHER_TAG - 1;
        assert_false(seal_cipher_open(c, &key, nonce, a, s, got));
    }
    seal_cipher_free(c);
}

static const struct seal_key *key_of(int64_t kind)
{
    return kind == SEAL_SLOT_MAP ? &k_meta : &k_data;
}

static void headers_come_out_byte_for_byte_as_the_vectors(void **state)
{
    const struct json *packs = vectors_get(doc, "packs");

    (void)state;
    assert_int_equal(json_count(packs), 2);
    for (size_t i = 0; i < json_count(packs); i++) {
        const struct json *pack = json_at(packs, i);
        int64_t kind = vectors_int(pack, "kind");
        struct seal_slot_header h = {.kind = (enum seal_slot_kind)kind}, got;
        uint8_t raw[SEAL_SLOT_HEADER];
        struct seal_key k_pack;
        struct err err;

        vectors_hex(pack, "key_id", h.key_id.b, 16);
        vectors_hex(pack, "pack_id", h.pack_id.b, 16);
        vectors_hex(pack, "salt", h.salt, 16);
        assert_int_equal(seal_slot_header_write(suite, key_of(kind), &vault_id,
                                                &h, raw, &k_pack, &err),
                         ERR_OK);
        vectors_equal(pack, "header", raw, sizeof(raw));
        vectors_equal(pack, "k_pack", k_pack.b, 32);
        assert_int_equal(bytes_get_u32(raw + 92), vectors_int(pack, "crc32c"));
        seal_key_fini(&k_pack);
        assert_int_equal(seal_slot_header_open(suite, key_of(kind), &vault_id,
                                               raw, &got, &k_pack, &err),
                         ERR_OK);
        vectors_equal(pack, "k_pack", k_pack.b, 32);
        assert_int_equal(got.kind, h.kind);
        assert_memory_equal(&got.key_id, &h.key_id, 16);
        assert_memory_equal(&got.pack_id, &h.pack_id, 16);
        assert_memory_equal(got.salt, h.salt, 16);
    }
}

static void each_flipped_byte_of_a_header_is_refused(void **state)
{
    const struct json *pack = json_at(vectors_get(doc, "packs"), 0);
    uint8_t raw[SEAL_SLOT_HEADER];
    struct seal_slot_header got;
    struct seal_key k_pack;
    struct id16 other = vault_id;
    struct err err;

    (void)state;
    vectors_hex(pack, "header", raw, sizeof(raw));
    for (size_t i = 0; i < sizeof(raw); i++) {
        raw[i] ^= 1;
        assert_int_equal(seal_slot_header_parse(raw, &got, &err),
                         ERR_INTEGRITY);
        raw[i] ^= 1;
    }
    assert_int_equal(seal_slot_header_parse(raw, &got, &err), ERR_OK);
    other.b[3] ^= 1;
    assert_int_equal(
        seal_slot_header_open(suite, &k_data, &other, raw, &got, &k_pack, &err),
        ERR_INTEGRITY);
    assert_int_equal(seal_slot_header_open(suite, &k_meta, &vault_id, raw, &got,
                                           &k_pack, &err),
                     ERR_INTEGRITY);
}

static void place_of(const struct json *slot, struct seal_slot_place *place)
{
    place->slot = (uint32_t)vectors_int(slot, "slot");
    place->codec = (uint8_t)vectors_int(slot, "codec");
    place->raw_len = (uint32_t)vectors_int(slot, "raw_length");
    vectors_hex(slot, "chunk_id", place->chunk_id.b, 16);
}

static void slots_come_out_byte_for_byte_as_the_vectors(void **state)
{
    const struct json *packs = vectors_get(doc, "packs");
    struct seal_slot_work *work = seal_slot_work_new(suite);
    unsigned seen = 0;

    (void)state;
    for (size_t i = 0; i < json_count(packs); i++) {
        const struct json *slots = vectors_get(json_at(packs, i), "slots");
        struct seal_key k_pack;

        vectors_hex(json_at(packs, i), "k_pack", k_pack.b, 32);
        for (size_t j = 0; j < json_count(slots); j++) {
            const struct json *slot = json_at(slots, j);
            struct seal_slot_place place;
            size_t len;
            uint8_t *body = vectors_bytes(slot, "body", &len);
            uint8_t *out = malloc(len + SEAL_SLOT_TAG);

            assert_non_null(out);
            place_of(slot, &place);
            assert_int_equal(vectors_int(slot, "stored_length"),
                             len + SEAL_SLOT_TAG);
            assert_true(seal_slot_seal(work, &k_pack, &place, body, len, out));
            vectors_equal(slot, "sealed", out, len + SEAL_SLOT_TAG);
            /* in place */
            assert_true(seal_slot_open(work, &k_pack, &place, out,
                                       len + SEAL_SLOT_TAG, out));
            assert_memory_equal(out, body, len);
            free(body);
            free(out);
            seen++;
        }
    }
    assert_int_equal(seen, 4);
    seal_slot_work_free(work);
}

static void a_slot_opens_nowhere_but_in_its_place(void **state)
{
    const struct json *pack = json_at(vectors_get(doc, "packs"), 0);
    const struct json *slot = json_at(vectors_get(pack, "slots"), 2);
    struct seal_slot_work *work = seal_slot_work_new(suite);
    struct seal_slot_place place, other;
    struct seal_key k_pack;
    uint8_t out[64];
    size_t len;
    uint8_t *sealed = vectors_bytes(slot, "sealed", &len);

    (void)state;
    vectors_hex(pack, "k_pack", k_pack.b, 32);
    place_of(slot, &place);
    assert_true(seal_slot_open(work, &k_pack, &place, sealed, len, out));
    for (size_t i = 0; i < len; i++) {
        sealed[i] ^= 1;
        assert_false(seal_slot_open(work, &k_pack, &place, sealed, len, out));
        sealed[i] ^= 1;
    }
    other = place;
    other.slot++;
    assert_false(seal_slot_open(work, &k_pack, &other, sealed, len, out));
    other = place;
    other.chunk_id.b[0] ^= 1;
    assert_false(seal_slot_open(work, &k_pack, &other, sealed, len, out));
    other = place;
    other.codec ^= 1;
    assert_false(seal_slot_open(work, &k_pack, &other, sealed, len, out));
    other = place;
    other.raw_len--;
    assert_false(seal_slot_open(work, &k_pack, &other, sealed, len, out));
    assert_false(seal_slot_open(work, &k_pack, &place, sealed, len - 1, out));
    k_pack.b[0] ^= 1;
    assert_false(seal_slot_open(work, &k_pack, &place, sealed, len, out));
    free(sealed);
    seal_slot_work_free(work);
}

static void nothing_allocates_per_chunk(void **state)
{
    struct seal_slot_work *work = seal_slot_work_new(suite);
    struct seal_slot_place place = {.raw_len = 4096};
    static uint8_t raw[4096], sealed[4096 + SEAL_SLOT_TAG];
    struct seal_key k_pack[2] = {{{1}}, {{2}}};
    struct seal_key k_id = {{3}};
    long before = allocations;

    (void)state;
    for (uint32_t i = 0; i < 20; i++) {
        place.slot = i;
        assert_true(seal_slot_chunk_id(work, &k_id, SEAL_SLOT_DATA, raw,
                                       sizeof(raw), &place.chunk_id));
        /* a new pack every ten slots */
        assert_true(seal_slot_seal(work, &k_pack[i / 10], &place, raw,
                                   sizeof(raw), sealed));
        assert_true(seal_slot_open(work, &k_pack[i / 10], &place, sealed,
                                   sizeof(sealed), raw));
    }
    assert_int_equal(allocations, before);
    seal_slot_work_free(work);
}

static void a_new_header_is_never_the_same_twice(void **state)
{
    struct seal_slot_header a, b;
    struct id16 key_id = {{7}};
    struct err err;

    (void)state;
    assert_int_equal(seal_slot_header_new(SEAL_SLOT_DATA, &key_id, &a, &err),
                     ERR_OK);
    assert_int_equal(seal_slot_header_new(SEAL_SLOT_DATA, &key_id, &b, &err),
                     ERR_OK);
    assert_memory_not_equal(a.pack_id.b, b.pack_id.b, 16);
    assert_memory_not_equal(a.salt, b.salt, 16);
    assert_memory_not_equal(a.salt, a.pack_id.b, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gcm_is_that_of_the_standard),
        cmocka_unit_test(headers_come_out_byte_for_byte_as_the_vectors),
        cmocka_unit_test(each_flipped_byte_of_a_header_is_refused),
        cmocka_unit_test(slots_come_out_byte_for_byte_as_the_vectors),
        cmocka_unit_test(a_slot_opens_nowhere_but_in_its_place),
        cmocka_unit_test(nothing_allocates_per_chunk),
        cmocka_unit_test(a_new_header_is_never_the_same_twice),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
