/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include <openssl/crypto.h>

#include "crypto/seal_digest.h"
#include "crypto/seal_hmac.h"
#include "crypto/seal_pieces.h"

static struct seal_suite *suite;
static long allocations; /* of the library's */

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
    return seal_suite_new(&suite, &err);
}

static int tear_down(void **state)
{
    (void)state;
    seal_suite_free(suite);
    return 0;
}

static void equal_hex(const void *got, const char *want)
{
    char text[129];

    bytes_hex(got, strlen(want) / 2, text);
    assert_string_equal(text, want);
}

/* FIPS 180-4 examples (SHA-256, SHA-1), RFC 1321 A.5 (MD5). */
static const struct {
    enum seal_digest_kind kind;
    const char *text, *hash;
} hashes[] = {
    {SEAL_DIGEST_SHA256, "abc",
     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {SEAL_DIGEST_SHA256, "",
     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {SEAL_DIGEST_SHA256,
     "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {SEAL_DIGEST_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
    {SEAL_DIGEST_SHA1,
     "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
    {SEAL_DIGEST_MD5, "abc", "900150983cd24fb0d6963f7d28e17f72"},
    {SEAL_DIGEST_MD5, "message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
};

static void hashes_are_those_of_the_standards(void **state)
{
    uint8_t out[SEAL_DIGEST_MAX];

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(hashes); i++) {
        struct seal_digest *d = seal_digest_new(suite, hashes[i].kind);
        size_t len = strlen(hashes[i].text);

        assert_non_null(d);
        assert_int_equal(seal_digest_bytes(hashes[i].kind),
                         strlen(hashes[i].hash) / 2);
        assert_true(
            seal_digest_once(suite, hashes[i].kind, hashes[i].text, len, out));
        equal_hex(out, hashes[i].hash);
        seal_digest_add(d, "rubbish", 7);
        seal_digest_begin(d);
        for (size_t j = 0; j < len; j++)
            seal_digest_add(d, hashes[i].text + j, 1);
        assert_true(seal_digest_end(d, out));
        equal_hex(out, hashes[i].hash);
        seal_digest_free(d);
    }
}

static void a_million_letters_hash_as_fips_180_says(void **state)
{
    struct seal_digest *d = seal_digest_new(suite, SEAL_DIGEST_SHA256);
    uint8_t out[32], block[1000];

    (void)state;
    memset(block, 'a', sizeof(block));
    for (int i = 0; i < 1000; i++)
        seal_digest_add(d, block, sizeof(block));
    assert_true(seal_digest_end(d, out));
    equal_hex(out, "cdc76e5c9914fb9281a1c7e284d73e67"
                   "f1809a48a497200e046d39ccc7112cd0");
    seal_digest_free(d);
}

static void a_copied_state_goes_its_own_way(void **state)
{
    struct seal_digest *a = seal_digest_new(suite, SEAL_DIGEST_SHA256);
    struct seal_digest *b = seal_digest_new(suite, SEAL_DIGEST_SHA256);
    uint8_t out[32];

    (void)state;
    seal_digest_add(a, "ab", 2);
    seal_digest_copy(b, a);
    seal_digest_add(a, "x", 1);
    seal_digest_add(b, "c", 1);
    assert_true(seal_digest_end(b, out));
    equal_hex(out, hashes[0].hash);
    seal_digest_free(a);
    seal_digest_free(b);
}

/* RFC 4231, 4.2, 4.3, 4.4, 4.7, 4.8 */
static const struct {
    uint8_t key_fill;
    size_t key_len;
    const char *key, *data;
    uint8_t data_fill;
    size_t data_len;
    const char *mac;
} macs[] = {
    {0x0b, 20, NULL, "Hi There", 0, 8,
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {0, 4, "Jefe", "what do ya want for nothing?", 0, 28,
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {0xaa, 20, NULL, NULL, 0xdd, 50,
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {0xaa, 131, NULL, "Test Using Larger Than Block-Size Key - Hash Key First",
     0, 54, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {0xaa, 131, NULL,
     "This is a test using a larger than block-size key and a larger than "
     "block-size data. The key needs to be hashed before being used by the "
     "HMAC algorithm.",
     0, 152,
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};

static void macs_are_those_of_rfc_4231(void **state)
{
    struct seal_hmac *h = seal_hmac_new(suite);
    uint8_t key[131], data[152], out[32];

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(macs); i++) {
        if (macs[i].key)
            memcpy(key, macs[i].key, macs[i].key_len);
        else
            memset(key, macs[i].key_fill, macs[i].key_len);
        if (macs[i].data)
            memcpy(data, macs[i].data, macs[i].data_len);
        else
            memset(data, macs[i].data_fill, macs[i].data_len);
        assert_true(seal_digest_hmac(suite, key, macs[i].key_len, data,
                                     macs[i].data_len, out));
        equal_hex(out, macs[i].mac);
        seal_hmac_key(h, key, macs[i].key_len);
        for (int again = 0; again < 2; again++) {
            memset(out, 0, sizeof(out));
            seal_hmac_begin(h);
            seal_hmac_add(h, data, 3);
            seal_hmac_add(h, data + 3, macs[i].data_len - 3);
            assert_true(seal_hmac_end(h, out));
            equal_hex(out, macs[i].mac);
        }
    }
    seal_hmac_free(h);
}

static void a_mac_without_a_key_fails(void **state)
{
    struct seal_hmac *h = seal_hmac_new(suite);
    uint8_t out[32];

    (void)state;
    seal_hmac_begin(h);
    assert_false(seal_hmac_end(h, out));
    seal_hmac_free(h);
}

static void hashing_again_and_again_does_not_allocate(void **state)
{
    struct seal_digest *d = seal_digest_new(suite, SEAL_DIGEST_SHA256);
    struct seal_digest *copy = seal_digest_new(suite, SEAL_DIGEST_SHA256);
    struct seal_hmac *h = seal_hmac_new(suite);
    static const uint8_t chunk[4096];
    uint8_t out[32];
    long before = allocations;

    (void)state;
    seal_hmac_key(h, "key", 3);
    for (int i = 0; i < 10; i++) {
        seal_digest_begin(d);
        seal_digest_add(d, chunk, sizeof(chunk));
        seal_digest_copy(copy, d);
        assert_true(seal_digest_end(d, out));
        assert_true(seal_digest_end(copy, out));
        seal_hmac_begin(h);
        seal_hmac_add(h, chunk, sizeof(chunk));
        assert_true(seal_hmac_end(h, out));
    }
    assert_int_equal(allocations, before);
    seal_digest_free(d);
    seal_digest_free(copy);
    seal_hmac_free(h);
}

/* RFC 3720, B.4 */
static void crcs_are_those_of_rfc_3720(void **state)
{
    static const uint8_t scsi_read[48] = {
        0x01, 0xc0, 0, 0, 0, 0, 0,    0, 0,    0, 0, 0,    0, 0, 0, 0,
        0x14, 0,    0, 0, 0, 0, 0x04, 0, 0,    0, 0, 0x14, 0, 0, 0, 0x18,
        0x28, 0,    0, 0, 0, 0, 0,    0, 0x02, 0, 0, 0,    0, 0, 0, 0};
    uint8_t data[32] = {0};

    (void)state;
    assert_int_equal(seal_digest_crc32c(0, data, 32), 0x8a9136aa);
    memset(data, 0xff, sizeof(data));
    assert_int_equal(seal_digest_crc32c(0, data, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        data[i] = (uint8_t)i;
    assert_int_equal(seal_digest_crc32c(0, data, 32), 0x46dd794e);
    for (int i = 0; i < 32; i++)
        data[i] = (uint8_t)(31 - i);
    assert_int_equal(seal_digest_crc32c(0, data, 32), 0x113fdb5c);
    assert_int_equal(seal_digest_crc32c(0, scsi_read, 48), 0xd9963a56);
    assert_int_equal(seal_digest_crc32c_table(0, scsi_read, 48), 0xd9963a56);
}

static void crc_in_pieces_and_by_table_is_the_same(void **state)
{
    uint8_t data[300];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 131 + 7);
    for (size_t cut = 0; cut <= sizeof(data); cut++) {
        uint32_t whole = seal_digest_crc32c_table(0, data, sizeof(data));
        uint32_t part = seal_digest_crc32c(0, data, cut);

        assert_int_equal(
            seal_digest_crc32c(part, data + cut, sizeof(data) - cut), whole);
    }
}

/* RFC 4648, section 10 */
static void base_64_is_that_of_rfc_4648(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    char text[16];
    uint8_t raw[16];

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        size_t len = sizeof(raw);

        seal_digest_base64(rows[i][0], strlen(rows[i][0]), text);
        assert_string_equal(text, rows[i][1]);
        assert_true(seal_digest_unbase64(text, strlen(text), raw, &len));
        assert_int_equal(len, strlen(rows[i][0]));
        assert_memory_equal(raw, rows[i][0], len);
    }
}

static void base_64_takes_no_other_form(void **state)
{
    static const char *const bad[] = {
        "Zg=",   "Zg",    "Zh==",     "Zm9=",  "Z===", "====",
        "Zm 9v", "Z\n==", "Zg==Zg==", "Zm9v=", "Z-8="};
    uint8_t raw[16];

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(bad); i++) {
        size_t len = sizeof(raw);

        if (seal_digest_unbase64(bad[i], strlen(bad[i]), raw, &len))
            fail_msg("%s was taken", bad[i]);
    }
    {
        size_t len = 2; /* room for less than there is */

        assert_false(seal_digest_unbase64("Zm9v", 4, raw, &len));
    }
}

static void pieces_of_16_mib_are_hashed_apart(void **state)
{
    size_t len = (size_t)SEAL_PIECES_BYTES + 5;
    uint8_t *data = malloc(len);
    uint8_t hash[2][32], want[32], got[32];
    struct seal_pieces *p = seal_pieces_new(suite);

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8));
    seal_digest_once(suite, SEAL_DIGEST_SHA256, data, len - 5, hash[0]);
    seal_digest_once(suite, SEAL_DIGEST_SHA256, data + len - 5, 5, hash[1]);
    seal_digest_once(suite, SEAL_DIGEST_SHA256, hash, 64, want);
    seal_pieces_add(p, data, 1000);
    seal_pieces_add(p, data + 1000, len - 1000);
    assert_true(seal_pieces_end(p, got));
    assert_memory_equal(got, want, 32);
    assert_true(seal_pieces_of(suite, hash, 2, got));
    assert_memory_equal(got, want, 32);
    /* exactly one piece has no empty second */
    seal_digest_once(suite, SEAL_DIGEST_SHA256, hash, 32, want);
    seal_pieces_begin(p);
    seal_pieces_add(p, data, len - 5);
    assert_true(seal_pieces_end(p, got));
    assert_memory_equal(got, want, 32);
    seal_pieces_free(p);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_those_of_the_standards),
        cmocka_unit_test(a_million_letters_hash_as_fips_180_says),
        cmocka_unit_test(a_copied_state_goes_its_own_way),
        cmocka_unit_test(macs_are_those_of_rfc_4231),
        cmocka_unit_test(a_mac_without_a_key_fails),
        cmocka_unit_test(hashing_again_and_again_does_not_allocate),
        cmocka_unit_test(crcs_are_those_of_rfc_3720),
        cmocka_unit_test(crc_in_pieces_and_by_table_is_the_same),
        cmocka_unit_test(base_64_is_that_of_rfc_4648),
        cmocka_unit_test(base_64_takes_no_other_form),
        cmocka_unit_test(pieces_of_16_mib_are_hashed_apart),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
