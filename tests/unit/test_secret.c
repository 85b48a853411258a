/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "base/bytes.h"
#include "tenants/secret.h"

static void a_tokens_hash_is_the_sha256_of_its_bytes(void **state)
{
    char token[SECRET_TOKEN_TEXT], other[SECRET_TOKEN_TEXT];
    uint8_t raw[32], hash[32], again[32], expect[32];
    struct seal_suite *suite;
    struct err e;

    (void)state;
    assert_int_equal(seal_suite_new(&suite, &e), ERR_OK);
    assert_int_equal(secret_token_make(suite, token, hash, &e), ERR_OK);
    assert_int_equal(secret_token_make(suite, other, again, &e), ERR_OK);
    assert_string_not_equal(token, other);
    assert_int_equal(strlen(token), SECRET_TOKEN_TEXT - 1);
    assert_int_equal(strncmp(token, "cairn-", 6), 0);
    assert_true(bytes_unhex(token + 6, raw, 32));
    SHA256(raw, sizeof(raw), expect);
    assert_memory_equal(hash, expect, 32);
    assert_true(secret_token_hash(suite, token, again));
    assert_memory_equal(again, expect, 32);
    seal_suite_free(suite);
}

static void what_is_not_a_token_has_no_hash(void **state)
{
    char token[SECRET_TOKEN_TEXT];
    struct seal_suite *suite;
    uint8_t hash[32];
    struct err e;

    (void)state;
    assert_int_equal(seal_suite_new(&suite, &e), ERR_OK);
    assert_int_equal(secret_token_make(suite, token, hash, &e), ERR_OK);
    assert_false(secret_token_hash(suite, token + 6, hash));
    assert_false(secret_token_hash(suite, "", hash));
    assert_false(secret_token_hash(suite, "cairn-", hash));
    token[69] = 'X';
    assert_false(secret_token_hash(suite, token, hash));
    token[69] = '\0';
    assert_false(secret_token_hash(suite, token, hash));
    seal_suite_free(suite);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tokens_hash_is_the_sha256_of_its_bytes),
        cmocka_unit_test(what_is_not_a_token_has_no_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
