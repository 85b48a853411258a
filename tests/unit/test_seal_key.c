/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include <sys/stat.h>
#include <unistd.h>

#include "crypto/seal_digest.h"
#include "crypto/seal_key.h"
#include "crypto/seal_slot.h"

static struct seal_suite *suite;

static int set_up(void **state)
{
    struct err err;

    (void)state;
    return seal_suite_new(&suite, &err);
}

static int tear_down(void **state)
{
    (void)state;
    seal_suite_free(suite);
    return 0;
}

static size_t unhex(const char *text, uint8_t *out)
{
    assert_true(bytes_unhex(text, out, strlen(text) / 2));
    return strlen(text) / 2;
}

/* RFC 5869, A.1 to A.3 */
static void hkdf_is_that_of_rfc_5869(void **state)
{
    static const char *const rows[][4] = {
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
         "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
         "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
         "34007208d5b887185865"},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
         "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
         "404142434445464748494a4b4c4d4e4f",
         "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
         "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
         "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
         "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
         "d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef"
         "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
         "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
         "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
         "cc30c58179ec3e87c14c01d5c1f3434f1d87"},
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
         "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
         "9d201395faa4b61a96c8"},
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        uint8_t in[3][96], want[96], got[96];
        size_t len[3], out;

        for (int j = 0; j < 3; j++)
            len[j] = unhex(rows[i][j], in[j]);
        out = unhex(rows[i][3], want);
        assert_int_equal(seal_key_hkdf(suite, (struct slice){in[0], len[0]},
                                       (struct slice){in[1], len[1]},
                                       (struct slice){in[2], len[2]}, got, out,
                                       &err),
                         ERR_OK);
        assert_memory_equal(got, want, out);
    }
    {
        static uint8_t big[255 * 32 + 1];
        struct slice none = {NULL, 0};

        assert_int_equal(
            seal_key_hkdf(suite, none, none, none, big, sizeof(big), &err),
            ERR_ARGUMENT);
    }
}

/* RFC 7748, 5.2 and 6.1 */
static void x25519_is_that_of_rfc_7748(void **state)
{
    struct seal_key scalar, z;
    struct seal_pair alice, bob;
    uint8_t u[32], want[32];
    struct err err;

    (void)state;
    unhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
          scalar.b);
    unhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
          u);
    unhex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
          want);
    assert_int_equal(seal_key_agree(&scalar, u, &z, &err), ERR_OK);
    assert_memory_equal(z.b, want, 32);

    unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
          scalar.b);
    assert_int_equal(seal_pair_from(&scalar, &alice, &err), ERR_OK);
    unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
          want);
    assert_memory_equal(alice.public, want, 32);
    unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
          scalar.b);
    assert_int_equal(seal_pair_from(&scalar, &bob, &err), ERR_OK);
    unhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
          want);
    assert_memory_equal(bob.public, want, 32);
}

static void both_sides_of_an_agreement_come_to_the_same(void **state)
{
    struct seal_pair alice, bob;
    struct seal_key za, zb;
    uint8_t want[32];
    struct err err;

    (void)state;
    unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
          za.b);
    unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
          zb.b);
    assert_int_equal(seal_pair_from(&za, &alice, &err), ERR_OK);
    assert_int_equal(seal_pair_from(&zb, &bob, &err), ERR_OK);
    assert_int_equal(seal_key_agree(&alice.private, bob.public, &za, &err),
                     ERR_OK);
    assert_int_equal(seal_key_agree(&bob.private, alice.public, &zb, &err),
                     ERR_OK);
    unhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
          want);
    assert_memory_equal(za.b, want, 32);
    assert_memory_equal(zb.b, want, 32);
}

static void a_public_key_of_low_order_is_refused(void **state)
{
    /* of order 1 (zero), 2 and 8 */
    static const char *const low[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    };
    struct seal_pair pair;
    struct seal_key z;
    struct err err;

    (void)state;
    assert_int_equal(seal_pair_new(&pair, &err), ERR_OK);
    for (size_t i = 0; i < BYTES_COUNT(low); i++) {
        uint8_t public[32];

        unhex(low[i], public);
        assert_int_equal(seal_key_agree(&pair.private, public, &z, &err),
                         ERR_INTEGRITY);
    }
}

static void keys_follow_from_their_secrets_as_the_vectors_say(void **state)
{
    struct json *doc = vectors_load("keys.json");
    struct seal_key rs, mk, dk, k;
    struct id16 id;
    struct err err;

    (void)state;
    vectors_hex(doc, "rs", rs.b, 32);
    vectors_hex(doc, "mk", mk.b, 32);
    vectors_hex(doc, "dk", dk.b, 32);
    assert_int_equal(seal_key_vault_id(suite, &rs, &id, &err), ERR_OK);
    vectors_equal(doc, "vault_id", id.b, 16);
    assert_int_equal(seal_key_for_ids(suite, &rs, &k, &err), ERR_OK);
    vectors_equal(doc, "k_id", k.b, 32);
    assert_int_equal(seal_key_for_names(suite, &rs, &k, &err), ERR_OK);
    vectors_equal(doc, "k_name", k.b, 32);
    assert_int_equal(
        seal_key_derive(suite, &rs, SEAL_KEY_META, &mk, &id, &k, &err), ERR_OK);
    vectors_equal(doc, "mk_key_id", id.b, 16);
    vectors_equal(doc, "k_meta", k.b, 32);
    assert_int_equal(
        seal_key_derive(suite, &rs, SEAL_KEY_DATA, &dk, &id, &k, &err), ERR_OK);
    vectors_equal(doc, "dk_key_id", id.b, 16);
    vectors_equal(doc, "k_data", k.b, 32);
    json_free(doc);
}

static void tags_are_those_of_the_vectors(void **state)
{
    struct json *doc = vectors_load("keys.json");
    const struct json *rows = vectors_get(doc, "vm_tags");
    struct seal_key k_name;
    struct id16 vault_id, tag;
    struct err err;

    (void)state;
    vectors_hex(doc, "k_name", k_name.b, 32);
    vectors_hex(doc, "vault_id", vault_id.b, 16);
    for (size_t i = 0; i < json_count(rows); i++) {
        const struct json *row = json_at(rows, i);

        assert_int_equal(seal_key_vm_tag(suite, &k_name,
                                         vectors_text(row, "series"), &tag,
                                         &err),
                         ERR_OK);
        vectors_equal(row, "vm_tag", tag.b, 16);
    }
    rows = vectors_get(doc, "recipients");
    assert_int_equal(json_count(rows), 2);
    for (size_t i = 0; i < json_count(rows); i++) {
        const struct json *row = json_at(rows, i);
        struct seal_key private_key;
        struct seal_pair pair;

        vectors_hex(row, "private", private_key.b, 32);
        assert_int_equal(seal_pair_from(&private_key, &pair, &err), ERR_OK);
        vectors_equal(row, "public", pair.public, 32);
        assert_int_equal(
            seal_key_tag(suite, &vault_id, pair.public, &tag, &err), ERR_OK);
        vectors_equal(row, "tag", tag.b, 16);
    }
    json_free(doc);
}

static void a_series_id_has_1_to_128_bytes(void **state)
{
    struct seal_key k_name = {{1}};
    struct id16 tag;
    struct err err;
    char text[130];

    (void)state;
    memset(text, 'x', sizeof(text));
    text[128] = 0;
    assert_int_equal(seal_key_vm_tag(suite, &k_name, text, &tag, &err), ERR_OK);
    text[128] = 'x';
    text[129] = 0;
    assert_int_equal(seal_key_vm_tag(suite, &k_name, text, &tag, &err),
                     ERR_ARGUMENT);
    assert_int_equal(seal_key_vm_tag(suite, &k_name, "", &tag, &err),
                     ERR_ARGUMENT);
}

static void chunk_ids_and_crcs_are_those_of_the_vectors(void **state)
{
    struct json *doc = vectors_load("keys.json");
    const struct json *rows = vectors_get(doc, "chunk_ids");
    struct seal_slot_work *work = seal_slot_work_new(suite);
    struct seal_key k_id;

    (void)state;
    vectors_hex(doc, "k_id", k_id.b, 32);
    assert_int_equal(json_count(rows), 3);
    for (size_t i = 0; i < json_count(rows); i++) {
        const struct json *row = json_at(rows, i);
        size_t len = (size_t)vectors_int(row, "raw_length"), n;
        uint8_t *raw = malloc(len), *prefix, fill, sha[32];
        struct id16 id;

        assert_non_null(raw);
        vectors_hex(row, "raw_fill", &fill, 1);
        memset(raw, fill, len);
        prefix = vectors_bytes(row, "raw_prefix", &n);
        memcpy(raw, prefix, n);
        seal_digest_once(suite, SEAL_DIGEST_SHA256, raw, len, sha);
        vectors_equal(row, "raw_sha256", sha, 32);
        assert_true(seal_slot_chunk_id(
            work, &k_id, (enum seal_slot_kind)vectors_int(row, "kind"), raw,
            len, &id));
        vectors_equal(row, "id", id.b, 16);
        free(prefix);
        free(raw);
    }
    rows = vectors_get(doc, "crc32c");
    assert_int_equal(json_count(rows), 3);
    for (size_t i = 0; i < json_count(rows); i++) {
        const struct json *row = json_at(rows, i);
        size_t n;
        uint8_t *data = vectors_bytes(row, "data", &n);

        assert_int_equal(seal_digest_crc32c(0, data, n),
                         vectors_int(row, "crc"));
        free(data);
    }
    seal_slot_work_free(work);
    json_free(doc);
}

static void two_new_secrets_differ(void **state)
{
    struct seal_key a, b;
    struct err err;

    (void)state;
    assert_int_equal(seal_key_new(&a, &err), ERR_OK);
    assert_int_equal(seal_key_new(&b, &err), ERR_OK);
    assert_memory_not_equal(a.b, b.b, 32);
    seal_key_fini(&a);
    assert_true(bytes_all_zero(a.b, 32));
}

static void a_gateway_key_file_is_private_and_never_replaced(void **state)
{
    char folder[] = "/tmp/cairn-key-XXXXXX", path[64];
    struct seal_key key, got;
    struct stat st;
    struct err err;
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/key", folder);
    assert_int_equal(seal_key_load(path, &got, &err), ERR_NOT_FOUND);
    assert_int_equal(seal_key_new(&key, &err), ERR_OK);
    assert_int_equal(seal_key_save(path, &key, &err), ERR_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(seal_key_load(path, &got, &err), ERR_OK);
    assert_memory_equal(got.b, key.b, 32);
    assert_int_equal(seal_key_save(path, &got, &err), ERR_CONFLICT);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(seal_key_load(path, &got, &err), ERR_KEY);
    assert_int_equal(chmod(path, 0600), 0);
    f = fopen(path, "ab");
    assert_non_null(f);
    fputs("x", f);
    fclose(f);
    assert_int_equal(seal_key_load(path, &got, &err), ERR_KEY);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hkdf_is_that_of_rfc_5869),
        cmocka_unit_test(x25519_is_that_of_rfc_7748),
        cmocka_unit_test(both_sides_of_an_agreement_come_to_the_same),
        cmocka_unit_test(a_public_key_of_low_order_is_refused),
        cmocka_unit_test(keys_follow_from_their_secrets_as_the_vectors_say),
        cmocka_unit_test(tags_are_those_of_the_vectors),
        cmocka_unit_test(a_series_id_has_1_to_128_bytes),
        cmocka_unit_test(chunk_ids_and_crcs_are_those_of_the_vectors),
        cmocka_unit_test(two_new_secrets_differ),
        cmocka_unit_test(a_gateway_key_file_is_private_and_never_replaced),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
