/* SPDX-License-Identifier: Apache-2.0 */
#include "vault_rig.h"

#include "crypto/seal_wrap.h"

static struct vault_rig rig;

static int set_up(void **state)
{
    (void)state;
    vault_rig_init(&rig, true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vault_rig_fini(&rig);
    return 0;
}

static void expect_keys(struct keyring *keys, size_t metas, size_t datas)
{
    if (!keys)
        fail_msg("%s", rig.err.text);
    assert_memory_equal(keyring_vault_id(keys)->b, rig.vault_id.b, 16);
    assert_int_equal(keyring_count(keys, SEAL_KEY_META), metas);
    assert_int_equal(keyring_count(keys, SEAL_KEY_DATA), datas);
    /* what lies in keys/ only ever opens */
    assert_null(keyring_current(keys, SEAL_KEY_META));
    assert_null(keyring_current(keys, SEAL_KEY_DATA));
    keyring_unref(keys);
}

static void the_passphrase_of_the_vectors_opens_their_vault(void **state)
{
    (void)state;
    expect_keys(vault_rig_open(&rig, &rig.recovery), 1, 1);
}

static void a_private_key_opens_what_is_wrapped_for_it(void **state)
{
    (void)state;
    expect_keys(vault_rig_open(&rig, &rig.recovery_private), 1, 1);
    expect_keys(vault_rig_open(&rig, &rig.gateway), 1, 0);
}

static void expect_refused(const struct seal_keyfile *file, enum err_code code)
{
    struct keyring *keys = vault_rig_open(&rig, file);

    if (keys || rig.err.code != code)
        fail_msg("wanted %s, got %s: %s", err_name(code),
                 err_name(rig.err.code), rig.err.text);
}

static void the_wrong_key_is_refused_as_such(void **state)
{
    struct seal_keyfile file = rig.recovery;

    (void)state;
    file.passphrase[0] ^= 1;
    expect_refused(&file, ERR_KEY);
    assert_non_null(strstr(rig.err.text, "passphrase"));
    file = rig.gateway;
    file.private.b[5] ^= 1;
    expect_refused(&file, ERR_KEY);
    file = rig.recovery; /* of another vault */
    file.vault_id.b[0] ^= 1;
    expect_refused(&file, ERR_KEY);
    assert_non_null(strstr(rig.err.text, "a6cf46c72f1025063ca57acc80feee45"));
}

static void where_no_vault_lies_none_is_found(void **state)
{
    (void)state;
    while (store_fault_objects(rig.bucket))
        store_fault_drop(rig.bucket, store_fault_name(rig.bucket, 0));
    expect_refused(&rig.recovery, ERR_NOT_FOUND);
    expect_refused(&rig.gateway, ERR_NOT_FOUND);
    store_fault_poke(rig.bucket, "holiday/photo.jpg", "x", 1, 1000);
    expect_refused(&rig.gateway, ERR_NOT_FOUND);
    vault_rig_load(&rig);
}

static void an_unknown_format_is_named_and_refused(void **state)
{
    static char larger[2000];
    static const struct {
        const char *text;
        enum err_code code;
        const char *says;
    } rows[] = {
        {"{\"format\":2,\"vault\":\"a6cf46c72f1025063ca57acc80feee45\","
         "\"suite\":1,\"created\":\"2025-06-15T15:06:40Z\"}",
         ERR_PROTOCOL, "format 2"},
        {"{\"format\":1,\"vault\":\"a6cf46c72f1025063ca57acc80feee45\","
         "\"suite\":7,\"created\":\"2025-06-15T15:06:40Z\"}",
         ERR_PROTOCOL, "suite 7"},
        /* a hint that is damaged or gone stops nobody who has a key */
        {"{\"format\":", ERR_OK, NULL},
        {"{}", ERR_OK, NULL},
        {larger, ERR_OK, NULL},
        {NULL, ERR_OK, NULL},
    };

    (void)state;
    memset(larger, ' ', sizeof(larger) - 1);
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct keyring *keys;

        store_fault_drop(rig.bucket, "format");
        if (rows[i].text)
            store_fault_poke(rig.bucket, "format", rows[i].text,
                             strlen(rows[i].text), 1000);
        if (rows[i].code == ERR_OK) {
            keys = vault_rig_open(&rig, &rig.gateway);
            expect_keys(keys, 1, 0);
        } else {
            expect_refused(&rig.gateway, rows[i].code);
            assert_non_null(strstr(rig.err.text, rows[i].says));
        }
    }
    vault_rig_load(&rig);
}

/* The gateway's wrap of a key: its name in the bucket. */
static const char *wrap_name(const char *key_id)
{
    char prefix[128];

    snprintf(prefix, sizeof(prefix), "keys/%s/bd4b63155ce742517e1e9d088dee1418",
             key_id);
    for (size_t i = 0; i < store_fault_objects(rig.bucket); i++)
        if (strncmp(store_fault_name(rig.bucket, i), prefix, strlen(prefix)) ==
            0)
            return store_fault_name(rig.bucket, i);
    fail_msg("no wrap of %s", key_id);
    return NULL;
}

static void a_planted_wrap_hides_no_good_one(void **state)
{
    static const char tag[] = "bd4b63155ce742517e1e9d088dee1418";
    static const uint8_t rubbish[160] = "CAIRNKEY";
    char name[128];

    (void)state;
    /* before the good one in order of names, and under ids of its own */
    snprintf(name, sizeof(name),
             "keys/a6cf46c72f1025063ca57acc80feee45/%s-00000000", tag);
    store_fault_poke(rig.bucket, name, rubbish, sizeof(rubbish), 1000);
    snprintf(name, sizeof(name),
             "keys/145b5228db8e2a67c15189cfe37ec35e/%s-00000000", tag);
    store_fault_poke(rig.bucket, name, rubbish, 159, 1000);
    snprintf(name, sizeof(name),
             "keys/ffffffffffffffffffffffffffffffff/%s-00000000", tag);
    store_fault_poke(rig.bucket, name, rubbish, sizeof(rubbish), 1000);
    expect_keys(vault_rig_open(&rig, &rig.gateway), 1, 0);
    vault_rig_load(&rig);
}

/* What looks like a recovery wrap as far as can be seen without a passphrase,
 * under names that come first. */
static void plant_recoveries(unsigned count, uint8_t log2_n, uint64_t at_ms)
{
    for (unsigned i = 0; i < count; i++) {
        uint8_t wrap[SEAL_WRAP_BYTES] = "CAIRNKEY\1\1\2";
        char name[128];

        wrap[11] = log2_n;
        wrap[12] = SEAL_WRAP_PRIVATE;
        wrap[19] = wrap[32] = (uint8_t)i; /* tag and salt: all different */
        snprintf(name, sizeof(name),
                 "keys/recovery/000000%02x000000000000000000000000-00000000",
                 i);
        assert_true(store_fault_poke(rig.bucket, name, wrap, sizeof(wrap),
                                     at_ms));
    }
}

/* The true one is as old as the vault. One N is all that may be tried here. */
static void the_oldest_recovery_key_is_tried_first(void **state)
{
    (void)state;
    plant_recoveries(40, 20, 1001);
    rig.work_max = UINT64_C(1) << SEAL_WRAP_LOG2_N;
    expect_keys(vault_rig_open(&rig, &rig.recovery), 1, 1);
    rig.work_max = 0;
    vault_rig_load(&rig);
}

/* In a copy all dates are new, and a folder's can be set by anyone. */
static void forty_planted_recovery_keys_hide_no_true_one(void **state)
{
    (void)state;
    plant_recoveries(40, 15, 999);
    expect_keys(vault_rig_open(&rig, &rig.recovery), 1, 1);
    vault_rig_load(&rig);
}

static void recovery_keys_without_end_are_given_up_and_named(void **state)
{
    (void)state;
    plant_recoveries(40, 15, 999);
    rig.work_max = UINT64_C(10) << 15;
    expect_refused(&rig.recovery, ERR_KEY);
    assert_non_null(strstr(rig.err.text, "none of the 10 oldest"));
    assert_non_null(strstr(rig.err.text, "keys/recovery/"));
    rig.work_max = 0;
    /* a private key needs none of them */
    expect_keys(vault_rig_open(&rig, &rig.recovery_private), 1, 1);
    vault_rig_load(&rig);
}

/* What shows at sight that it is none costs no work. */
static void rubbish_among_recovery_keys_is_passed_over(void **state)
{
    static const char tag[] = "00000000000000000000000000000000";
    uint8_t wrap[SEAL_WRAP_BYTES] = "CAIRNKEY\1\1\2";
    char name[128];

    (void)state;
    wrap[11] = 20;
    wrap[12] = SEAL_WRAP_PRIVATE;
    wrap[16] = 1; /* another tag than the name's */
    rig.work_max = UINT64_C(1) << SEAL_WRAP_LOG2_N;
    for (unsigned i = 0; i < 4; i++) {
        size_t len = i == 1 ? sizeof(wrap) - 1 : sizeof(wrap);

        wrap[0] = i == 2 ? 'X' : 'C';
        wrap[11] = i == 3 ? 21 : 20; /* a greater N than readers take */
        snprintf(name, sizeof(name), "keys/recovery/%s-0000000%u", tag, i);
        assert_true(store_fault_poke(rig.bucket, name, wrap, len, 500));
    }
    expect_keys(vault_rig_open(&rig, &rig.recovery), 1, 1);
    rig.work_max = 0;
    vault_rig_load(&rig);
}

/* Somebody who knows the gateway's public key, but not RS, makes a data key of
 * his own and wraps it: its id does not follow from RS. */
static void a_planted_key_is_not_taken(void **state)
{
    struct seal_key secret = {{9}};
    struct seal_pair pair;
    uint8_t wrap[SEAL_WRAP_BYTES];
    struct seal_wrap_opts opts = {.suite = rig.suite,
                                  .vault_id = rig.vault_id,
                                  .what = SEAL_WRAP_DK,
                                  .key_id = {{1, 2, 3}},
                                  .secret = &secret};
    struct err err;

    (void)state;
    assert_int_equal(seal_pair_from(&rig.gateway.private, &pair, &err), ERR_OK);
    opts.recipient = pair.public;
    assert_int_equal(seal_wrap_make(&opts, wrap, &err), ERR_OK);
    store_fault_poke(rig.bucket,
                     "keys/01020300000000000000000000000000/"
                     "bd4b63155ce742517e1e9d088dee1418-00000000",
                     wrap, sizeof(wrap), 1000);
    expect_keys(vault_rig_open(&rig, &rig.gateway), 1, 0);
    vault_rig_load(&rig);
}

static void a_damaged_root_wrap_is_the_answer(void **state)
{
    (void)state;
    store_fault_damage(rig.bucket,
                       wrap_name("a6cf46c72f1025063ca57acc80feee45"), 100, 1);
    expect_refused(&rig.gateway, ERR_KEY);
    vault_rig_load(&rig);
    store_fault_damage(rig.bucket,
                       wrap_name("a6cf46c72f1025063ca57acc80feee45"), 9, 2);
    expect_refused(&rig.gateway, ERR_INTEGRITY);
    assert_non_null(strstr(rig.err.text, "suite"));
    vault_rig_load(&rig);
}

static void any_failing_request_is_the_answer(void **state)
{
    struct store_fault_rule rule = {
        .kind = FAULT_ANY, .action = FAULT_FAIL, .code = ERR_DENIED};
    uint64_t requests = rig.store->requests;

    (void)state;
    expect_keys(vault_rig_open(&rig, &rig.recovery), 1, 1);
    requests = rig.store->requests - requests;
    assert_int_equal(requests, 7); /* format, 2 lists, 1 recovery, 3 keys */
    for (rule.nth = 1; rule.nth <= requests; rule.nth++) {
        store_fault_add(rig.store, &rule);
        expect_refused(&rig.recovery, ERR_DENIED);
        store_fault_clear(rig.store);
    }
}

/* --- cancelling ----------------------------------------------------------- */

static void on_cancelled(void *ctx, const struct err *err,
                         const struct vault_opened *opened)
{
    (void)ctx;
    assert_null(opened);
    vault_rig_done(&rig, err);
}

static void cancelling_at_any_time_ends_it_once(void **state)
{
    struct vault_open_opts opts = {
        .store = rig.store,
        .suite = rig.suite,
        .slow = rig.slow,
        .vault_id = rig.vault_id,
        .passphrase = rig.recovery.passphrase,
        .done = on_cancelled,
    };
    struct store_fault_rule rule = {.kind = FAULT_ANY, .action = FAULT_HOLD};
    struct vault_open *open = NULL;
    struct err err;

    (void)state;
    for (rule.nth = 1; rule.nth <= 7; rule.nth++) {
        unsigned before = rig.done;

        store_fault_add(rig.store, &rule);
        assert_int_equal(vault_open_start(&opts, &open, &err), ERR_OK);
        while (!store_fault_held(rig.store))
            vault_rig_turn(&rig);
        vault_open_cancel(open);
        assert_int_equal(rig.done, before); /* never from inside */
        store_fault_release(rig.store);
        vault_rig_wait(&rig, before + 1);
        assert_int_equal(rig.err.code, ERR_CANCELLED);
        store_fault_clear(rig.store);
    }
    { /* at once */
        unsigned before = rig.done;

        assert_int_equal(vault_open_start(&opts, &open, &err), ERR_OK);
        vault_open_cancel(open);
        vault_rig_wait(&rig, before + 1);
        assert_int_equal(rig.err.code, ERR_CANCELLED);
    }
}

static void a_start_that_fails_never_calls_back(void **state)
{
    struct vault_open_opts opts = {
        .store = rig.store, .suite = rig.suite, .done = on_cancelled};
    struct vault_open *open = NULL;
    unsigned before = rig.done;
    struct err err;

    (void)state;
    assert_int_equal(vault_open_start(&opts, &open, &err), ERR_ARGUMENT);
    opts.passphrase = "no lane for it";
    assert_int_equal(vault_open_start(&opts, &open, &err), ERR_ARGUMENT);
    vault_rig_turn(&rig);
    assert_int_equal(rig.done, before);
    assert_null(open);
}

/* --- the hint ------------------------------------------------------------- */

static void on_hint(void *ctx, const struct err *err,
                    const struct vault_open_hint *hint)
{
    if (hint)
        *(struct vault_open_hint *)ctx = *hint;
    vault_rig_done(&rig, err);
}

static void the_hint_tells_which_vault_lies_there(void **state)
{
    struct vault_open_hint hint = {0};
    struct err err;
    unsigned before = rig.done;

    (void)state;
    assert_int_equal(vault_open_hint_start(rig.store, on_hint, &hint, &err),
                     ERR_OK);
    vault_rig_wait(&rig, before + 1);
    assert_int_equal(rig.err.code, ERR_OK);
    assert_int_equal(hint.format, 1);
    assert_memory_equal(hint.vault_id.b, rig.vault_id.b, 16);
    store_fault_drop(rig.bucket, "format");
    assert_int_equal(vault_open_hint_start(rig.store, on_hint, &hint, &err),
                     ERR_OK);
    vault_rig_wait(&rig, before + 2);
    assert_int_equal(rig.err.code, ERR_NOT_FOUND);
    vault_rig_load(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_passphrase_of_the_vectors_opens_their_vault),
        cmocka_unit_test(a_private_key_opens_what_is_wrapped_for_it),
        cmocka_unit_test(the_wrong_key_is_refused_as_such),
        cmocka_unit_test(where_no_vault_lies_none_is_found),
        cmocka_unit_test(an_unknown_format_is_named_and_refused),
        cmocka_unit_test(a_planted_wrap_hides_no_good_one),
        cmocka_unit_test(the_oldest_recovery_key_is_tried_first),
        cmocka_unit_test(forty_planted_recovery_keys_hide_no_true_one),
        cmocka_unit_test(recovery_keys_without_end_are_given_up_and_named),
        cmocka_unit_test(rubbish_among_recovery_keys_is_passed_over),
        cmocka_unit_test(a_planted_key_is_not_taken),
        cmocka_unit_test(a_damaged_root_wrap_is_the_answer),
        cmocka_unit_test(any_failing_request_is_the_answer),
        cmocka_unit_test(cancelling_at_any_time_ends_it_once),
        cmocka_unit_test(a_start_that_fails_never_calls_back),
        cmocka_unit_test(the_hint_tells_which_vault_lies_there),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
