/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors_keys.h"

#include "vault/vault.h"

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

static void a_keyring_holds_what_follows_from_its_secrets(void **state)
{
    struct json *doc = vectors_load("keys.json");
    struct keyring *k = vectors_keyring(suite, true);
    const struct keyring_key *mk = keyring_current(k, SEAL_KEY_META);
    const struct keyring_key *dk = keyring_current(k, SEAL_KEY_DATA);
    const struct json *tags = vectors_get(doc, "vm_tags");
    struct id16 tag;
    struct err err;

    (void)state;
    assert_ptr_equal(keyring_suite(k), suite);
    vectors_equal(doc, "vault_id", keyring_vault_id(k)->b, 16);
    vectors_equal(doc, "rs", keyring_rs(k)->b, 32);
    vectors_equal(doc, "k_id", keyring_k_id(k)->b, 32);
    vectors_equal(doc, "mk_key_id", mk->id.b, 16);
    vectors_equal(doc, "k_meta", mk->key.b, 32);
    vectors_equal(doc, "mk", mk->secret.b, 32);
    vectors_equal(doc, "dk_key_id", dk->id.b, 16);
    vectors_equal(doc, "k_data", dk->key.b, 32);
    assert_ptr_equal(keyring_find(k, SEAL_KEY_META, &mk->id), mk);
    assert_null(keyring_find(k, SEAL_KEY_META, &dk->id));
    for (size_t i = 0; i < json_count(tags); i++) {
        const struct json *row = json_at(tags, i);

        assert_int_equal(
            keyring_vm_tag(k, vectors_text(row, "series"), &tag, &err), ERR_OK);
        vectors_equal(row, "vm_tag", tag.b, 16);
    }
    keyring_unref(k);
    json_free(doc);
}

static void keys_are_kept_in_order_and_once(void **state)
{
    struct seal_key rs = {{1}}, secret, current = {{0}};
    struct keyring *k = NULL, *copy = NULL;
    const struct keyring_key *last = NULL;
    struct err err;

    (void)state;
    assert_int_equal(keyring_new(suite, &rs, &k, &err), ERR_OK);
    assert_null(keyring_current(k, SEAL_KEY_META));
    for (int i = 0; i < 100; i++) {
        assert_int_equal(seal_key_new(&secret, &err), ERR_OK);
        if (i == 30)
            current = secret;
        for (int twice = 0; twice < 2; twice++)
            assert_int_equal(
                keyring_add(k, SEAL_KEY_META, &secret, i == 30, &err), ERR_OK);
        assert_int_equal(keyring_count(k, SEAL_KEY_META), i + 1);
    }
    assert_int_equal(keyring_copy(k, &copy, &err), ERR_OK);
    keyring_unref(k);
    assert_int_equal(keyring_count(copy, SEAL_KEY_META), 100);
    assert_int_equal(keyring_count(copy, SEAL_KEY_DATA), 0);
    for (size_t i = 0; i < 100; i++) {
        const struct keyring_key *key = keyring_at(copy, SEAL_KEY_META, i);

        assert_ptr_equal(keyring_find(copy, SEAL_KEY_META, &key->id), key);
        assert_true(!last || memcmp(last->id.b, key->id.b, 16) < 0);
        last = key;
    }
    assert_memory_equal(keyring_current(copy, SEAL_KEY_META)->secret.b,
                        current.b, 32);
    keyring_unref(copy);
}

static void a_vault_keeps_its_keyring_as_long_as_it_is_held(void **state)
{
    struct keyring *k = vectors_keyring(suite, true);
    struct vault_settings settings = vault_settings_default();
    struct vault *v = NULL, *again;
    struct err err;

    (void)state;
    assert_int_equal(settings.log2_chunk, 17);
    assert_int_equal(settings.pack_bytes, 64 * MIB);
    assert_int_equal(vault_new(k, &settings, &v, &err), ERR_OK);
    keyring_unref(k);
    again = vault_ref(v);
    vault_unref(v);
    assert_ptr_equal(vault_keys(again), k);
    assert_ptr_equal(vault_suite(again), suite);
    assert_memory_equal(vault_id(again)->b, keyring_vault_id(k)->b, 16);
    assert_int_equal(vault_settings(again)->zstd_level, 1);
    vault_unref(again);
    vault_unref(NULL);
    assert_null(vault_ref(NULL));
}

static void settings_out_of_bounds_are_refused(void **state)
{
    struct keyring *k = vectors_keyring(suite, true);
    struct vault_settings bad[6];
    struct vault *v = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(bad); i++)
        bad[i] = vault_settings_default();
    bad[0].log2_chunk = 15;
    bad[1].log2_chunk = 21;
    bad[2].zstd_level = 20;
    bad[3].zstd_level = -1;
    bad[4].pack_bytes = 257 * MIB;
    memset(bad[5].storage_class, 'x', sizeof(bad[5].storage_class));
    for (size_t i = 0; i < BYTES_COUNT(bad); i++)
        assert_int_equal(vault_new(k, &bad[i], &v, &err), ERR_ARGUMENT);
    assert_null(v);
    keyring_unref(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_keyring_holds_what_follows_from_its_secrets),
        cmocka_unit_test(keys_are_kept_in_order_and_once),
        cmocka_unit_test(a_vault_keeps_its_keyring_as_long_as_it_is_held),
        cmocka_unit_test(settings_out_of_bounds_are_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
