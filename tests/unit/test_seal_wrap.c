/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "crypto/seal_keyfile.h"
#include "crypto/seal_wrap.h"

static struct seal_suite *suite;
static struct id16 vault_id;
static struct seal_key rs;
static struct json *doc;

static int set_up(void **state)
{
    struct err err;

    (void)state;
    doc = vectors_load("wraps.json");
    vectors_hex(doc, "vault_id", vault_id.b, 16);
    vectors_hex(doc, "rs", rs.b, 32);
    return seal_suite_new(&suite, &err);
}

static int tear_down(void **state)
{
    (void)state;
    json_free(doc);
    seal_suite_free(suite);
    return 0;
}

/* RFC 7914, section 12 */
static void scrypt_is_that_of_rfc_7914(void **state)
{
    static const struct {
        const char *passphrase, *salt;
        unsigned log2_n, r, p;
        const char *want;
    } rows[] = {
        {"", "", 4, 1, 1,
         "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
         "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"},
        {"password", "NaCl", 10, 8, 16,
         "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
         "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"},
        {"pleaseletmein", "SodiumChloride", 14, 8, 1,
         "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
         "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"},
    };
    uint8_t got[64], want[64];
    struct err err;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct slice phrase = {(const uint8_t *)rows[i].passphrase,
                               strlen(rows[i].passphrase)};
        struct slice salt = {(const uint8_t *)rows[i].salt,
                             strlen(rows[i].salt)};

        assert_true(bytes_unhex(rows[i].want, want, 64));
        assert_int_equal(seal_wrap_scrypt(suite, phrase, salt, rows[i].log2_n,
                                          rows[i].r, rows[i].p, got, 64, &err),
                         ERR_OK);
        assert_memory_equal(got, want, 64);
    }
}

/* Take the key id and the tag out of "keys/<id>/<tag>-<rand>". */
static void ids_of_name(const char *name, struct id16 *key_id)
{
    char text[33] = {0};

    if (strncmp(name, "keys/recovery/", 14) == 0)
        memcpy(text, name + 14, 32);
    else
        memcpy(text, name + 5, 32);
    assert_true(parse_id16(text, key_id));
}

static void pair_of(const struct json *row, struct seal_pair *pair)
{
    struct seal_key private_key;
    struct err err;

    vectors_hex(row, "recipient_private", private_key.b, 32);
    assert_int_equal(seal_pair_from(&private_key, pair, &err), ERR_OK);
}

static void wraps_come_out_byte_for_byte_as_the_vectors(void **state)
{
    const struct json *rows = vectors_get(doc, "cases");
    unsigned made[3] = {0};

    (void)state;
    for (size_t i = 0; i < json_count(rows); i++) {
        const struct json *row = json_at(rows, i);
        int64_t method = vectors_int(row, "method");
        struct seal_key secret, ephemeral;
        uint8_t salt[16], wrap[SEAL_WRAP_BYTES];
        struct seal_wrap_opts opts = {
            .suite = suite,
            .vault_id = vault_id,
            .what = (enum seal_wrap_what)vectors_int(row, "what"),
            .secret = &secret,
            .salt = salt,
            .ephemeral = &ephemeral,
        };
        uint8_t public[32];
        struct err err = {0};

        vectors_hex(row, "key_id", opts.key_id.b, 16);
        vectors_hex(row, "secret", secret.b, 32);
        vectors_hex(row, "salt", salt, 16);
        if (method == SEAL_WRAP_X25519) {
            vectors_hex(row, "ephemeral_private", ephemeral.b, 32);
            vectors_hex(row, "recipient_public", public, 32);
            opts.recipient = public;
            seal_wrap_make(&opts, wrap, &err);
        } else {
            opts.passphrase = vectors_text(row, "passphrase");
            opts.log2_n = (unsigned)vectors_int(row, "log2_n");
            seal_wrap_make_scrypt(&opts, wrap, &err);
        }
        assert_int_equal(err.code, ERR_OK);
        vectors_equal(row, "wrap", wrap, sizeof(wrap));
        made[method]++;
    }
    assert_true(made[1] >= 6 && made[2] >= 1);
}

static void wraps_of_the_vectors_open(void **state)
{
    const struct json *rows = vectors_get(doc, "cases");

    (void)state;
    for (size_t i = 0; i < json_count(rows); i++) {
        const struct json *row = json_at(rows, i);
        struct seal_wrap_open_opts opts = {
            .suite = suite, .vault_id = vault_id, .rs = &rs};
        struct seal_pair pair, opened;
        struct seal_key secret;
        enum seal_wrap_what what;
        struct err err = {0};
        size_t len;
        uint8_t *wrap = vectors_bytes(row, "wrap", &len);

        ids_of_name(vectors_text(row, "name"), &opts.key_id);
        if (vectors_int(row, "method") == SEAL_WRAP_X25519) {
            pair_of(row, &pair);
            opts.pair = &pair;
            assert_int_equal(
                seal_wrap_open(&opts, wrap, len, &secret, &what, &err), ERR_OK);
            assert_int_equal(what, vectors_int(row, "what"));
            vectors_equal(row, "secret", secret.b, 32);
        } else {
            opts.passphrase = vectors_text(row, "passphrase");
            assert_int_equal(
                seal_wrap_open_scrypt(&opts, wrap, len, &opened, &err), ERR_OK);
            vectors_equal(row, "secret", opened.private.b, 32);
        }
        free(wrap);
    }
}

static void every_refused_wrap_is_refused(void **state)
{
    const struct json *rows = vectors_get(doc, "refused");

    (void)state;
    assert_true(json_count(rows) >= 17);
    for (size_t i = 0; i < json_count(rows); i++) {
        const struct json *row = json_at(rows, i);
        struct seal_wrap_open_opts opts = {
            .suite = suite, .vault_id = vault_id, .rs = &rs};
        struct seal_pair pair, opened;
        struct seal_key secret = {{0}};
        struct err err = {0};
        enum err_code rc;
        size_t len;
        uint8_t *wrap = vectors_bytes(row, "wrap", &len);

        ids_of_name(vectors_text(row, "name"), &opts.key_id);
        if (vectors_int(row, "method") == SEAL_WRAP_X25519) {
            pair_of(row, &pair);
            opts.pair = &pair;
            rc = seal_wrap_open(&opts, wrap, len, &secret, NULL, &err);
        } else {
            opts.passphrase = vectors_text(row, "passphrase");
            rc = seal_wrap_open_scrypt(&opts, wrap, len, &opened, &err);
        }
        if (rc != ERR_INTEGRITY && rc != ERR_KEY)
            fail_msg("%s: not refused (%s)", vectors_text(row, "why"),
                     err_name(rc));
        assert_int_equal(rc, err.code);
        assert_true(bytes_all_zero(secret.b, 32));
        free(wrap);
    }
}

static void each_flipped_byte_and_length_of_a_wrap_is_refused(void **state)
{
    const struct json *row = json_at(vectors_get(doc, "cases"), 1);
    struct seal_wrap_open_opts opts = {
        .suite = suite, .vault_id = vault_id, .rs = &rs};
    struct seal_pair pair;
    struct seal_key secret;
    struct err err;
    size_t len;
    uint8_t *wrap = vectors_bytes(row, "wrap", &len);

    (void)state;
    pair_of(row, &pair);
    opts.pair = &pair;
    ids_of_name(vectors_text(row, "name"), &opts.key_id);
    assert_int_equal(seal_wrap_open(&opts, wrap, len, &secret, NULL, &err),
                     ERR_OK);
    for (size_t i = 0; i < len; i++) {
        wrap[i] ^= 0x40;
        if (seal_wrap_open(&opts, wrap, len, &secret, NULL, &err) == ERR_OK)
            fail_msg("byte %zu may be another", i);
        wrap[i] ^= 0x40;
    }
    assert_int_equal(seal_wrap_open(&opts, wrap, len - 1, &secret, NULL, &err),
                     ERR_INTEGRITY);
    opts.vault_id.b[0] ^= 1;
    assert_int_not_equal(seal_wrap_open(&opts, wrap, len, &secret, NULL, &err),
                         ERR_OK);
    free(wrap);
}

static void a_fresh_wrap_opens_and_is_never_the_same_twice(void **state)
{
    struct seal_pair pair;
    uint8_t wrap[2][SEAL_WRAP_BYTES];
    struct seal_key secret;
    struct err err;
    struct seal_wrap_opts opts = {.suite = suite,
                                  .vault_id = vault_id,
                                  .what = SEAL_WRAP_RS,
                                  .key_id = vault_id,
                                  .secret = &rs};
    struct seal_wrap_open_opts open = {
        .suite = suite, .vault_id = vault_id, .key_id = vault_id};

    (void)state;
    assert_int_equal(seal_pair_new(&pair, &err), ERR_OK);
    opts.recipient = pair.public;
    open.pair = &pair;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(seal_wrap_make(&opts, wrap[i], &err), ERR_OK);
        assert_int_equal(seal_wrap_open(&open, wrap[i], SEAL_WRAP_BYTES,
                                        &secret, NULL, &err),
                         ERR_OK);
        assert_memory_equal(secret.b, rs.b, 32);
    }
    assert_memory_not_equal(wrap[0] + 32, wrap[1] + 32, 16);
    assert_memory_not_equal(wrap[0] + 48, wrap[1] + 48, 32);
    opts.what = SEAL_WRAP_PRIVATE; /* belongs under a passphrase */
    assert_int_equal(seal_wrap_make(&opts, wrap[0], &err), ERR_ARGUMENT);
}

static const char key_text[] =
    "cairn key 1\n"
    "vault a6cf46c72f1025063ca57acc80feee45\n"
    "passphrase badu cefi gohu jake lomi nupa rise\n";

static void a_key_file_is_read_and_written(void **state)
{
    struct seal_keyfile file = {0}, got = {0};
    struct buf text;
    struct err err;

    (void)state;
    assert_int_equal(
        seal_keyfile_parse(key_text, strlen(key_text), &file, &err), ERR_OK);
    assert_false(file.is_private);
    assert_string_equal(file.passphrase, "badu cefi gohu jake lomi nupa rise");
    assert_memory_equal(file.vault_id.b, vault_id.b, 16);
    buf_init_secret(&text, 1000);
    assert_int_equal(seal_keyfile_print(&file, &text, &err), ERR_OK);
    assert_string_equal(buf_text(&text), key_text);
    /* no line end behind the last line, and DOS line ends */
    assert_int_equal(
        seal_keyfile_parse(key_text, strlen(key_text) - 1, &got, &err), ERR_OK);
    assert_int_equal(seal_keyfile_parse("cairn key 1\r\nvault "
                                        "a6cf46c72f1025063ca57acc80feee45\r\n"
                                        "passphrase a b\r\n",
                                        63 + 6, &got, &err),
                     ERR_OK);
    assert_string_equal(got.passphrase, "a b");
    /* a private key */
    file.is_private = true;
    for (int i = 0; i < 32; i++)
        file.private.b[i] = (uint8_t)i;
    buf_clear(&text);
    assert_int_equal(seal_keyfile_print(&file, &text, &err), ERR_OK);
    assert_string_equal(buf_text(&text),
                        "cairn key 1\nvault a6cf46c72f1025063ca57acc80feee45\n"
                        "private 000102030405060708090a0b0c0d0e0f"
                        "101112131415161718191a1b1c1d1e1f\n");
    assert_int_equal(
        seal_keyfile_parse((char *)text.data, text.len, &got, &err), ERR_OK);
    assert_true(got.is_private);
    assert_memory_equal(got.private.b, file.private.b, 32);
    buf_fini(&text);
}

static void what_is_no_key_file_is_refused_without_showing_it(void **state)
{
    static const char *const bad[] = {
        "",
        "cairn key 2\nvault a6cf46c72f1025063ca57acc80feee45\npassphrase x\n",
        "cairn key 1\n",
        "cairn key 1\npassphrase hush\nvault "
        "a6cf46c72f1025063ca57acc80feee45\n",
        "cairn key 1\nvault a6cf46c72f1025063ca57acc80feee4\npassphrase hush\n",
        "cairn key 1\nvault a6cf46c72f1025063ca57acc80feee45\n",
        "cairn key 1\nvault a6cf46c72f1025063ca57acc80feee45\npassphrase \n",
        "cairn key 1\nvault a6cf46c72f1025063ca57acc80feee45\nprivate 00\n",
        "cairn key 1\nvault a6cf46c72f1025063ca57acc80feee45\n"
        "passphrase hush\npassphrase hush\n",
        "cairn key 1\nvault a6cf46c72f1025063ca57acc80feee45\n"
        "passphrase hush\nprivate 00\n",
    };
    struct seal_keyfile got;
    struct err err;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(bad); i++) {
        if (seal_keyfile_parse(bad[i], strlen(bad[i]), &got, &err) != ERR_KEY)
            fail_msg("taken: %s", bad[i]);
        assert_null(strstr(err.text, "hush"));
    }
}

static void a_key_file_is_saved_private_and_never_replaced(void **state)
{
    char folder[] = "/tmp/cairn-keyfile-XXXXXX", path[64];
    struct seal_keyfile file, got;
    struct stat st;
    struct err err;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/key", folder);
    assert_int_equal(
        seal_keyfile_parse(key_text, strlen(key_text), &file, &err), ERR_OK);
    assert_int_equal(seal_keyfile_save(path, &file, &err), ERR_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(seal_keyfile_load(path, &got, &err), ERR_OK);
    assert_string_equal(got.passphrase, file.passphrase);
    assert_int_equal(seal_keyfile_save(path, &file, &err), ERR_CONFLICT);
    unlink(path);
    assert_int_equal(seal_keyfile_load(path, &got, &err), ERR_NOT_FOUND);
    rmdir(folder);
}

static void words_are_told_apart_by_their_number(void **state)
{
    char word[5], before[5] = "";

    (void)state;
    seal_keyfile_word(0, word);
    assert_string_equal(word, "baba");
    seal_keyfile_word(SEAL_KEYFILE_WORD_COUNT - 1, word);
    assert_string_equal(word, "zuzu");
    for (unsigned i = 0; i < SEAL_KEYFILE_WORD_COUNT; i++) {
        seal_keyfile_word(i, word);
        assert_int_equal(strlen(word), 4);
        assert_true(strcmp(before, word) < 0); /* rising: none comes twice */
        memcpy(before, word, 5);
    }
}

static void a_passphrase_is_seven_words_and_always_new(void **state)
{
    char a[SEAL_KEYFILE_PASSPHRASE], b[SEAL_KEYFILE_PASSPHRASE];
    struct err err;

    (void)state;
    assert_int_equal(seal_keyfile_passphrase(a, &err), ERR_OK);
    assert_int_equal(seal_keyfile_passphrase(b, &err), ERR_OK);
    assert_int_equal(strlen(a), 7 * 4 + 6);
    for (int i = 0; i < 34; i++)
        assert_true(i % 5 == 4 ? a[i] == ' ' : a[i] >= 'a' && a[i] <= 'z');
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scrypt_is_that_of_rfc_7914),
        cmocka_unit_test(wraps_come_out_byte_for_byte_as_the_vectors),
        cmocka_unit_test(wraps_of_the_vectors_open),
        cmocka_unit_test(every_refused_wrap_is_refused),
        cmocka_unit_test(each_flipped_byte_and_length_of_a_wrap_is_refused),
        cmocka_unit_test(a_fresh_wrap_opens_and_is_never_the_same_twice),
        cmocka_unit_test(a_key_file_is_read_and_written),
        cmocka_unit_test(what_is_no_key_file_is_refused_without_showing_it),
        cmocka_unit_test(a_key_file_is_saved_private_and_never_replaced),
        cmocka_unit_test(words_are_told_apart_by_their_number),
        cmocka_unit_test(a_passphrase_is_seven_words_and_always_new),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
