/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors_keys.h"

#include "gateway/vaults_task.h"

/* Of a vault in which somebody has granted this gateway two further keys. */
static void a_key_that_is_learnt_opens_and_never_seals(void **state)
{
    static const struct seal_key planted[2] = {{{0x51}}, {{0x52}}};
    static const enum seal_key_role roles[2] = {SEAL_KEY_META, SEAL_KEY_DATA};
    struct vaults_task t = {0};
    struct seal_suite *suite;
    struct keyring *ours, *found = NULL;
    struct writer *kept = NULL;
    struct id16 current[2];
    size_t added = 0;
    struct err err;

    (void)state;
    assert_int_equal(seal_suite_new(&suite, &err), ERR_OK);
    ours = vectors_keyring(suite, true);
    assert_int_equal(keyring_copy(ours, &found, &err), ERR_OK);
    assert_int_equal(writer_new(ours, &t.writer, &err), ERR_OK);
    buf_init_secret(&t.new_writer, WRITER_TEXT_MAX);
    for (size_t i = 0; i < 2; i++) {
        current[i] = keyring_current(ours, roles[i])->id;
        assert_int_equal(
            keyring_add(found, roles[i], &planted[i], true, &err), ERR_OK);
    }
    assert_int_equal(vaults_learn(&t, found, &added, &err), ERR_OK);
    assert_int_equal(added, 2);
    /* What is kept for the next start agrees with what is used until then. */
    assert_int_equal(writer_parse(suite, t.new_writer.data, t.new_writer.len,
                                  &kept, &err),
                     ERR_OK);
    for (size_t i = 0; i < 2; i++) {
        const struct id16 *id = &keyring_current(found, roles[i])->id;
        struct keyring *both[2] = {t.writer->keys, kept->keys};

        for (size_t k = 0; k < 2; k++) {
            assert_non_null(keyring_find(both[k], roles[i], id));
            assert_true(id16_equal(&keyring_current(both[k], roles[i])->id,
                                   &current[i]));
        }
    }
    assert_int_equal(vaults_learn(&t, found, &added, &err), ERR_OK);
    assert_int_equal(added, 0);
    writer_free(kept);
    writer_free(t.writer);
    buf_fini(&t.new_writer);
    keyring_unref(found);
    keyring_unref(ours);
    seal_suite_free(suite);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_that_is_learnt_opens_and_never_seals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
