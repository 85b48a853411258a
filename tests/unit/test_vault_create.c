/* SPDX-License-Identifier: Apache-2.0 */
#include "vault_rig.h"

#include "vault/name.h"
#include "vault/vault_grant.h"

static struct vault_rig rig;

/* What a creation gave, copied before it was wiped. */
static struct identity identity;
static struct seal_keyfile recovery;
static struct buf state_text;

static int set_up(void **state)
{
    (void)state;
    vault_rig_init(&rig, false);
    buf_init_secret(&state_text, WRITER_TEXT_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_fini(&state_text);
    vault_rig_fini(&rig);
    return 0;
}

static void empty(void)
{
    while (store_fault_objects(rig.bucket))
        store_fault_drop(rig.bucket, store_fault_name(rig.bucket, 0));
}

static void on_created(void *ctx, const struct err *err,
                       const struct vault_created *created)
{
    struct err e;

    (void)ctx;
    assert_int_equal(err->code == ERR_OK, created != NULL);
    if (created) {
        identity = created->identity;
        recovery = created->recovery;
        buf_clear(&state_text);
        assert_int_equal(writer_print(created->writer, &state_text, &e),
                         ERR_OK);
    }
    vault_rig_done(&rig, err);
}

static enum err_code start(struct vault_create **out)
{
    struct vault_create_opts opts = {
        .store = rig.store,
        .suite = rig.suite,
        .slow = rig.slow,
        .clock = clock_system(),
        .log2_n = 15,
        .done = on_created,
    };

    return vault_create_start(&opts, out, &rig.err);
}

static enum err_code create(void)
{
    struct vault_create *c = NULL;
    unsigned before = rig.done;

    if (start(&c) == ERR_OK)
        vault_rig_wait(&rig, before + 1);
    return rig.err.code;
}

static size_t count_of(enum name_kind kind)
{
    size_t n = 0;

    for (size_t i = 0; i < store_fault_objects(rig.bucket); i++) {
        struct name name;

        assert_true(name_parse(store_fault_name(rig.bucket, i), &name));
        n += name.kind == kind;
    }
    return n;
}

static struct writer *read_state(void)
{
    struct writer *w = NULL;
    struct err err;

    assert_int_equal(
        writer_parse(rig.suite, state_text.data, state_text.len, &w, &err),
        ERR_OK);
    return w;
}

static void expect_all_keys(const struct seal_keyfile *file)
{
    struct writer *w = read_state();
    struct keyring *keys = vault_rig_open(&rig, file);

    if (!keys)
        fail_msg("%s", rig.err.text);
    for (int role = 0; role < 2; role++) {
        assert_int_equal(keyring_count(keys, (enum seal_key_role)role),
                         keyring_count(w->keys, (enum seal_key_role)role));
        assert_non_null(keyring_find(
            keys, (enum seal_key_role)role,
            &keyring_current(w->keys, (enum seal_key_role)role)->id));
    }
    keyring_unref(keys);
    writer_free(w);
}

static void
a_new_vault_opens_by_its_recovery_key_and_by_its_gateway(void **state)
{
    struct seal_keyfile mine = {.is_private = true};

    (void)state;
    empty();
    if (create() != ERR_OK)
        fail_msg("%s", rig.err.text);
    assert_int_equal(count_of(NAME_FORMAT), 1);
    assert_int_equal(count_of(NAME_RECOVERY), 1);
    assert_int_equal(count_of(NAME_KEY), 6); /* RS, MK, DK for two */
    assert_int_equal(store_fault_objects(rig.bucket), 8);
    expect_all_keys(&recovery);
    mine.vault_id = identity.vault_id;
    mine.private = identity.pair.private;
    expect_all_keys(&mine);
    assert_memory_equal(recovery.vault_id.b, identity.vault_id.b, 16);
}

static void the_secrets_lie_nowhere_in_the_clear(void **state)
{
    struct writer *w = read_state();
    const uint8_t *secrets[4] = {
        keyring_rs(w->keys)->b,
        keyring_current(w->keys, SEAL_KEY_META)->secret.b,
        keyring_current(w->keys, SEAL_KEY_DATA)->secret.b,
        identity.pair.private.b,
    };

    (void)state;
    for (size_t i = 0; i < store_fault_objects(rig.bucket); i++) {
        size_t len;
        const uint8_t *data =
            store_fault_peek(rig.bucket, store_fault_name(rig.bucket, i), &len);

        for (int s = 0; s < 4; s++)
            assert_null(memmem(data, len, secrets[s], 8));
        assert_null(memmem(data, len, recovery.passphrase, 9));
    }
    writer_free(w);
}

static void no_vault_is_made_where_one_lies(void **state)
{
    size_t before = store_fault_objects(rig.bucket);

    (void)state;
    assert_int_equal(create(), ERR_CONFLICT);
    assert_int_equal(store_fault_objects(rig.bucket), before);
    /* what is not ours does not count */
    empty();
    store_fault_poke(rig.bucket, "holiday/photo.jpg", "x", 1, 1000);
    assert_int_equal(create(), ERR_OK);
    store_fault_drop(rig.bucket, "holiday/photo.jpg");
}

/* look; recovery put, get; 6 x (put, get); format; open: format, 2 lists, 4 */
#define REQUESTS (1 + 2 + 12 + 1 + 7)

static void any_failing_request_is_the_answer(void **state)
{
    struct store_fault_rule rule = {
        .kind = FAULT_ANY, .action = FAULT_FAIL, .code = ERR_DENIED};
    uint64_t before;

    (void)state;
    empty();
    before = rig.store->requests;
    assert_int_equal(create(), ERR_OK);
    assert_int_equal(rig.store->requests - before, REQUESTS);
    for (rule.nth = 1; rule.nth <= REQUESTS; rule.nth++) {
        empty();
        store_fault_add(rig.store, &rule);
        assert_int_equal(create(), ERR_DENIED);
        store_fault_clear(rig.store);
        /* no format before all keys are safe */
        if (rule.nth <= 15)
            assert_int_equal(count_of(NAME_FORMAT), 0);
    }
}

static void a_wrap_that_comes_back_changed_is_found(void **state)
{
    struct store_fault_rule rule = {.kind = FAULT_GET,
                                    .prefix = "keys/",
                                    .action = FAULT_FLIP,
                                    .offset = 130};

    (void)state;
    for (rule.nth = 1; rule.nth <= 7; rule.nth++) {
        empty();
        store_fault_add(rig.store, &rule);
        assert_int_equal(create(), ERR_INTEGRITY);
        store_fault_clear(rig.store);
        assert_int_equal(count_of(NAME_FORMAT), 0);
    }
}

static void cancelling_at_any_time_ends_it_once(void **state)
{
    struct store_fault_rule rule = {.kind = FAULT_ANY, .action = FAULT_HOLD};
    struct vault_create *c = NULL;

    (void)state;
    for (rule.nth = 1; rule.nth <= REQUESTS; rule.nth++) {
        unsigned before = rig.done;

        empty();
        store_fault_add(rig.store, &rule);
        assert_int_equal(start(&c), ERR_OK);
        while (!store_fault_held(rig.store))
            vault_rig_turn(&rig);
        vault_create_cancel(c);
        assert_int_equal(rig.done, before);
        store_fault_release(rig.store);
        vault_rig_wait(&rig, before + 1);
        assert_int_equal(rig.err.code, ERR_CANCELLED);
        store_fault_clear(rig.store);
    }
}

/* --- granting ------------------------------------------------------------- */

static void on_granted(void *ctx, const struct err *err)
{
    (void)ctx;
    vault_rig_done(&rig, err);
}

static void another_gateway_opens_once_it_is_granted(void **state)
{
    struct vault_grant_opts opts = {
        .store = rig.store, .count = 1, .done = on_granted};
    struct seal_keyfile theirs = {.is_private = true};
    struct identity other;
    struct writer *w;
    unsigned before;
    struct err err;

    (void)state;
    empty();
    assert_int_equal(create(), ERR_OK);
    w = read_state();
    assert_int_equal(identity_new(&identity.vault_id, &other, &err), ERR_OK);
    theirs.vault_id = other.vault_id;
    theirs.private = other.pair.private;
    assert_null(vault_rig_open(&rig, &theirs));
    assert_int_equal(rig.err.code, ERR_KEY);
    opts.keys = w->keys;
    opts.recipients = &other.pair.public;
    before = rig.done;
    assert_int_equal(vault_grant_start(&opts, NULL, &err), ERR_OK);
    vault_rig_wait(&rig, before + 1);
    assert_int_equal(rig.err.code, ERR_OK);
    expect_all_keys(&theirs);
    { /* without data keys it may verify, not read */
        struct keyring *keys;

        assert_int_equal(identity_new(&identity.vault_id, &other, &err),
                         ERR_OK);
        theirs.private = other.pair.private;
        opts.no_data = true;
        before = rig.done;
        assert_int_equal(vault_grant_start(&opts, NULL, &err), ERR_OK);
        vault_rig_wait(&rig, before + 1);
        keys = vault_rig_open(&rig, &theirs);
        assert_non_null(keys);
        assert_int_equal(keyring_count(keys, SEAL_KEY_META), 1);
        assert_int_equal(keyring_count(keys, SEAL_KEY_DATA), 0);
        keyring_unref(keys);
    }
    writer_free(w);
}

static void granting_ends_with_the_first_failure(void **state)
{
    struct store_fault_rule rule = {
        .kind = FAULT_ANY, .action = FAULT_FAIL, .code = ERR_UNREACHABLE};
    struct vault_grant_opts opts = {
        .store = rig.store, .count = 1, .done = on_granted};
    struct writer *w = read_state();
    unsigned before;
    struct err err;

    (void)state;
    opts.keys = w->keys;
    opts.recipients = &identity.pair.public;
    for (rule.nth = 1; rule.nth <= 6; rule.nth++) {
        store_fault_add(rig.store, &rule);
        before = rig.done;
        assert_int_equal(vault_grant_start(&opts, NULL, &err), ERR_OK);
        vault_rig_wait(&rig, before + 1);
        assert_int_equal(rig.err.code, ERR_UNREACHABLE);
        store_fault_clear(rig.store);
    }
    { /* cancelled */
        struct vault_grant *g;

        before = rig.done;
        assert_int_equal(vault_grant_start(&opts, &g, &err), ERR_OK);
        vault_grant_cancel(g);
        vault_rig_wait(&rig, before + 1);
        assert_int_equal(rig.err.code, ERR_CANCELLED);
    }
    opts.count = 0;
    assert_int_equal(vault_grant_start(&opts, NULL, &err), ERR_ARGUMENT);
    writer_free(w);
}

/* --- new keys ------------------------------------------------------------- */

static struct writer *renewed;

static void on_rekeyed(void *ctx, const struct err *err, struct writer *take)
{
    (void)ctx;
    renewed = take;
    vault_rig_done(&rig, err);
}

static void new_keys_are_wrapped_for_all_before_they_are_used(void **state)
{
    struct writer *w = read_state();
    struct vault_rekey_opts opts = {
        .store = rig.store, .writer = w, .done = on_rekeyed};
    struct seal_keyfile mine = {.is_private = true};
    size_t wraps = count_of(NAME_KEY);
    unsigned before = rig.done;
    struct err err;

    (void)state;
    assert_int_equal(vault_rekey_start(&opts, &err), ERR_OK);
    vault_rig_wait(&rig, before + 1);
    assert_int_equal(rig.err.code, ERR_OK);
    assert_int_equal(count_of(NAME_KEY), wraps + 4);
    for (int role = 0; role < 2; role++) {
        const struct keyring_key *old =
            keyring_current(w->keys, (enum seal_key_role)role);
        const struct keyring_key *now =
            keyring_current(renewed->keys, (enum seal_key_role)role);

        assert_false(id16_equal(&old->id, &now->id));
        assert_int_equal(keyring_count(renewed->keys, (enum seal_key_role)role),
                         2);
    }
    buf_clear(&state_text);
    assert_int_equal(writer_print(renewed, &state_text, &err), ERR_OK);
    writer_free(renewed);
    expect_all_keys(&recovery);
    mine.vault_id = identity.vault_id;
    mine.private = identity.pair.private;
    expect_all_keys(&mine);
    { /* a failure leaves the old ones */
        struct store_fault_rule rule = {.kind = FAULT_PUT,
                                        .nth = 2,
                                        .action = FAULT_FAIL,
                                        .code = ERR_DENIED};

        store_fault_add(rig.store, &rule);
        assert_int_equal(vault_rekey_start(&opts, &err), ERR_OK);
        vault_rig_wait(&rig, rig.done + 1);
        assert_int_equal(rig.err.code, ERR_DENIED);
        assert_null(renewed);
        store_fault_clear(rig.store);
    }
    w->recipients = 0; /* nobody could ever recover what is sealed */
    assert_int_equal(vault_rekey_start(&opts, &err), ERR_ARGUMENT);
    writer_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_new_vault_opens_by_its_recovery_key_and_by_its_gateway),
        cmocka_unit_test(the_secrets_lie_nowhere_in_the_clear),
        cmocka_unit_test(no_vault_is_made_where_one_lies),
        cmocka_unit_test(any_failing_request_is_the_answer),
        cmocka_unit_test(a_wrap_that_comes_back_changed_is_found),
        cmocka_unit_test(cancelling_at_any_time_ends_it_once),
        cmocka_unit_test(another_gateway_opens_once_it_is_granted),
        cmocka_unit_test(granting_ends_with_the_first_failure),
        cmocka_unit_test(new_keys_are_wrapped_for_all_before_they_are_used),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
