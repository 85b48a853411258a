/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "crypto/seal_blob.h"

static struct seal_suite *suite;
static struct seal_key key;
static uint8_t salt[16];

static int set_up(void **state)
{
    struct err err;

    (void)state;
    for (int i = 0; i < 32; i++)
        key.b[i] = (uint8_t)i;
    for (int i = 0; i < 16; i++)
        salt[i] = (uint8_t)(0x10 + i);
    return seal_suite_new(&suite, &err);
}

static int tear_down(void **state)
{
    (void)state;
    seal_suite_free(suite);
    return 0;
}

/* Made by python3-cryptography from the layout in seal_blob.h. */
static const char known[] =
    "434149524e424c420101000000000000101112131415161718191a1b1c1d1e1f"
    "000000000000000000000000000000002f39b75e734128b5e78663a6fb628f99"
    "989cde165c9e1a0053de43b042228940d76aa1676115e3b12e5e170e851c4c3d"
    "df6a453f309f";

static void a_blob_is_what_another_implementation_makes(void **state)
{
    struct seal_blob_opts opts = {suite, &key, "pool password 17", salt};
    uint8_t want[102];
    struct buf out;
    struct err err;

    (void)state;
    assert_true(bytes_unhex(known, want, sizeof(want)));
    buf_init_secret(&out, 1000);
    assert_int_equal(seal_blob_seal(&opts, "sesame", 6, &out, &err), ERR_OK);
    assert_int_equal(out.len, 6 + SEAL_BLOB_OVERHEAD);
    assert_memory_equal(out.data, want, sizeof(want));
    buf_clear(&out);
    assert_int_equal(seal_blob_open(&opts, want, sizeof(want), &out, &err),
                     ERR_OK);
    assert_string_equal(buf_text(&out), "sesame");
    buf_fini(&out);
}

static void a_blob_opens_in_its_place_and_unharmed_only(void **state)
{
    struct seal_blob_opts opts = {suite, &key, "pool password 17", NULL};
    struct seal_blob_opts other = opts;
    struct seal_key other_key = key;
    struct buf sealed, out;
    struct err err;

    (void)state;
    buf_init(&sealed, 1000);
    buf_init_secret(&out, 1000);
    assert_int_equal(seal_blob_seal(&opts, "sesame", 6, &sealed, &err), ERR_OK);
    for (size_t i = 0; i < sealed.len; i++) {
        sealed.data[i] ^= 1;
        assert_int_not_equal(
            seal_blob_open(&opts, sealed.data, sealed.len, &out, &err), ERR_OK);
        assert_int_equal(out.len, 0);
        sealed.data[i] ^= 1;
    }
    assert_int_not_equal(
        seal_blob_open(&opts, sealed.data, sealed.len - 1, &out, &err), ERR_OK);
    other.context = "pool password 18";
    assert_int_equal(
        seal_blob_open(&other, sealed.data, sealed.len, &out, &err), ERR_KEY);
    other.context = opts.context;
    other_key.b[31] ^= 1;
    other.gateway_key = &other_key;
    assert_int_equal(
        seal_blob_open(&other, sealed.data, sealed.len, &out, &err), ERR_KEY);
    assert_int_equal(seal_blob_open(&opts, sealed.data, sealed.len, &out, &err),
                     ERR_OK);
    assert_int_equal(out.len, 6);
    buf_fini(&sealed);
    buf_fini(&out);
}

static void an_empty_secret_and_a_long_context_work(void **state)
{
    char context[SEAL_BLOB_CONTEXT_MAX + 2];
    struct seal_blob_opts opts = {suite, &key, context, NULL};
    struct buf sealed, out;
    struct err err;

    (void)state;
    memset(context, 'c', sizeof(context));
    context[SEAL_BLOB_CONTEXT_MAX] = 0;
    buf_init(&sealed, 1000);
    buf_init_secret(&out, 1000);
    assert_int_equal(seal_blob_seal(&opts, NULL, 0, &sealed, &err), ERR_OK);
    assert_int_equal(seal_blob_open(&opts, sealed.data, sealed.len, &out, &err),
                     ERR_OK);
    assert_int_equal(out.len, 0);
    context[SEAL_BLOB_CONTEXT_MAX] = 'c';
    context[SEAL_BLOB_CONTEXT_MAX + 1] = 0;
    assert_int_equal(seal_blob_seal(&opts, NULL, 0, &sealed, &err),
                     ERR_ARGUMENT);
    buf_fini(&sealed);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_blob_is_what_another_implementation_makes),
        cmocka_unit_test(a_blob_opens_in_its_place_and_unharmed_only),
        cmocka_unit_test(an_empty_secret_and_a_long_context_work),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
