/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors_keys.h"

#include "vault/identity.h"
#include "vault/writer.h"

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

/* The keys of the vectors, written down by hand. */
static const char text[] =
    "cairn writer 1\n"
    "vault a6cf46c72f1025063ca57acc80feee45\n"
    "rs 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
    "mk 202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f "
    "current\n"
    "dk 404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f "
    "current\n"
    "recipient "
    "675dd574ed7789310b3d2e7681f3790b466c773b1521fecf36577958371ea52f "
    "recovery\n"
    "recipient "
    "493e82fc74464a59268817623d2053c5eb8e2cc4a988b4fee179ec6b010d531d "
    "gateway\n";

static void a_writers_state_goes_to_text_and_back(void **state)
{
    struct keyring *k = vectors_keyring(suite, true);
    struct writer *w = NULL, *again = NULL;
    uint8_t recovery[32], gateway[32];
    struct buf out;
    struct err err;

    (void)state;
    assert_true(bytes_unhex(
        "675dd574ed7789310b3d2e7681f3790b466c773b1521fecf36577958371ea52f",
        recovery, 32));
    assert_true(bytes_unhex(
        "493e82fc74464a59268817623d2053c5eb8e2cc4a988b4fee179ec6b010d531d",
        gateway, 32));
    assert_int_equal(writer_new(k, &w, &err), ERR_OK);
    keyring_unref(k);
    assert_int_equal(writer_add(w, recovery, WRITER_RECOVERY, &err), ERR_OK);
    assert_int_equal(writer_add(w, gateway, WRITER_GATEWAY, &err), ERR_OK);
    assert_int_equal(writer_add(w, recovery, WRITER_PERSON, &err), ERR_OK);
    assert_int_equal(w->recipients, 2);
    buf_init_secret(&out, WRITER_TEXT_MAX);
    assert_int_equal(writer_print(w, &out, &err), ERR_OK);
    assert_string_equal(buf_text(&out), text);
    assert_int_equal(writer_parse(suite, text, strlen(text), &again, &err),
                     ERR_OK);
    buf_clear(&out);
    assert_int_equal(writer_print(again, &out, &err), ERR_OK);
    assert_string_equal(buf_text(&out), text);
    buf_fini(&out);
    writer_free(w);
    writer_free(again);
}

static void what_is_no_writers_state_is_refused(void **state)
{
    struct writer *w = NULL;
    struct err err;
    char bad[sizeof(text) + 64];

    (void)state;
    for (size_t len = 0; len < strlen(text); len++) {
        /* cut at the end of a line behind RS it is a state, if a poor one */
        if (len >= 122 && text[len - 1] == '\n')
            continue;
        if (writer_parse(suite, text, len, &w, &err) == ERR_OK)
            fail_msg("cut at %zu and taken", len);
    }
    memcpy(bad, text, sizeof(text));
    bad[25] ^= 1; /* another vault id */
    assert_int_equal(writer_parse(suite, bad, strlen(bad), &w, &err), ERR_KEY);
    assert_int_equal(snprintf(bad, sizeof(bad), "%smk 20 current\n", text),
                     strlen(text) + 14);
    assert_int_equal(writer_parse(suite, bad, strlen(bad), &w, &err), ERR_KEY);
    snprintf(bad, sizeof(bad), "%sdrink me\n", text);
    assert_int_equal(writer_parse(suite, bad, strlen(bad), &w, &err), ERR_KEY);
    assert_null(w);
}

static void an_identity_goes_to_text_and_back(void **state)
{
    struct id16 vault_id = {{0xa6, 0xcf}};
    struct identity id, again;
    char hex[IDENTITY_PUBLIC_TEXT];
    uint8_t public[32];
    struct buf out;
    struct err err;

    (void)state;
    assert_int_equal(identity_new(&vault_id, &id, &err), ERR_OK);
    buf_init_secret(&out, 1000);
    assert_int_equal(identity_print(&id, &out, &err), ERR_OK);
    assert_int_equal(identity_parse(out.data, out.len, &again, &err), ERR_OK);
    assert_memory_equal(&again, &id, sizeof(id));
    for (size_t i = 0; i < out.len; i++) {
        out.data[i] ^= 0x80;
        assert_int_equal(identity_parse(out.data, out.len, &again, &err),
                         ERR_KEY);
        out.data[i] ^= 0x80;
    }
    assert_int_equal(identity_parse(out.data, out.len - 1, &again, &err),
                     ERR_KEY);
    identity_public_text(id.pair.public, hex);
    assert_int_equal(identity_public_parse(hex, public, &err), ERR_OK);
    assert_memory_equal(public, id.pair.public, 32);
    hex[3] = 'G';
    assert_int_equal(identity_public_parse(hex, public, &err), ERR_ARGUMENT);
    buf_fini(&out);
    identity_fini(&id);
}

static void the_identity_of_the_vectors_has_its_public_key(void **state)
{
    static const char known[] =
        "cairn identity 1\nvault a6cf46c72f1025063ca57acc80feee45\nprivate "
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f\n";
    char hex[IDENTITY_PUBLIC_TEXT];
    struct identity id;
    struct err err;

    (void)state;
    assert_int_equal(identity_parse(known, strlen(known), &id, &err), ERR_OK);
    identity_public_text(id.pair.public, hex);
    assert_string_equal(
        hex,
        "493e82fc74464a59268817623d2053c5eb8e2cc4a988b4fee179ec6b010d531d");
    assert_int_equal(id.vault_id.b[15], 0x45);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_writers_state_goes_to_text_and_back),
        cmocka_unit_test(what_is_no_writers_state_is_refused),
        cmocka_unit_test(an_identity_goes_to_text_and_back),
        cmocka_unit_test(the_identity_of_the_vectors_has_its_public_key),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
