/* SPDX-License-Identifier: Apache-2.0 */
#include "vault_make.h"
#include "vault_walk.h"
#include "vectors_keys.h"

#include "vault/presence.h"

#define CHUNK 65536u
#define BLOCK 20 /* 1 MiB: 16 chunks */

static struct vault_rig rig;
static struct keyring *keys;
static struct vault_make make;

static int set_up(void **state)
{
    (void)state;
    work_setup();
    vault_rig_init(&rig, false);
    keys = vectors_keyring(rig.suite, true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    keyring_unref(keys);
    vault_rig_fini(&rig);
    return 0;
}

/* Zeros, data over a block's end, a repetition, a short end. */
static const struct map_run runs[] = {
    {20, MAP_ZERO, 0},   {20, 0, 0}, {40, MAP_ZERO, 0}, {1, 0, 3},
    {9000, MAP_ZERO, 0}, {1, 0, 4},  {30, MAP_ZERO, 0}, {2, 1, 0}};

static void make_disk(bool paged)
{
    uint64_t chunks = 0;

    while (store_fault_objects(rig.bucket))
        store_fault_drop(rig.bucket, store_fault_name(rig.bucket, 0));
    vault_make_init(&make, &rig, keys, CHUNK);
    vault_make_data(&make, 0, 20, 0);
    vault_make_data(&make, 50, 2, 4096);
    for (size_t i = 0; i < BYTES_COUNT(runs); i++)
        chunks += runs[i].count;
    vault_make_disk(&make, (chunks - 1) * CHUNK + 4096, runs, BYTES_COUNT(runs),
                    paged);
}

static uint8_t *bits;

static void on_done(void *ctx, const struct err *err, uint8_t *take)
{
    (void)ctx;
    assert_int_equal(err->code == ERR_OK, take != NULL);
    bits = take;
    vault_rig_done(&rig, err);
}

static enum err_code begin(const struct point *p, unsigned log2_block,
                           struct presence **out)
{
    struct presence_opts opts = {.store = rig.store,
                                 .keys = keys,
                                 .point = p,
                                 .log2_block = log2_block,
                                 .done = on_done};

    return presence_start(&opts, out, &rig.err);
}

static enum err_code find(unsigned log2_block)
{
    struct point p = vault_make_point(&make);
    struct presence *presence;
    unsigned before = rig.done;

    assert_int_equal(begin(&p, log2_block, &presence), ERR_OK);
    vault_rig_wait(&rig, before + 1);
    return rig.err.code;
}

static void expect_marks(unsigned log2_block)
{
    uint64_t bytes = make.disk[0].bytes, size = (uint64_t)1 << log2_block;

    for (uint64_t block = 0; block * size < bytes; block++) {
        uint64_t chunk = 0;
        bool want = false;

        for (size_t i = 0; i < BYTES_COUNT(runs); i++) {
            uint64_t from = chunk * CHUNK;
            uint64_t to = (chunk + runs[i].count) * CHUNK;

            if (to > bytes)
                to = bytes;
            if (runs[i].pack != MAP_ZERO && from < (block + 1) * size &&
                to > block * size)
                want = true;
            chunk += runs[i].count;
        }
        if (((bits[block / 8] >> block % 8) & 1) != want)
            fail_msg("block %ju of 2^%u", (uintmax_t)block, log2_block);
    }
    free(bits);
    bits = NULL;
}

static void blocks_that_hold_data_are_marked_and_no_others(void **state)
{
    static const unsigned sizes[] = {12, 16, BLOCK, 24};

    (void)state;
    for (int paged = 0; paged < 2; paged++)
        for (size_t i = 0; i < BYTES_COUNT(sizes); i++) {
            make_disk(paged);
            assert_int_equal(find(sizes[i]), ERR_OK);
            expect_marks(sizes[i]);
            vault_make_fini(&make);
        }
}

static void a_bad_page_is_the_answer(void **state)
{
    const char *name;

    (void)state;
    make_disk(true);
    name = make.pack[make.packs - 1].name;
    store_fault_damage(rig.bucket, name, vault_make_offset(&make, name, 1) + 2,
                       1);
    assert_int_equal(find(BLOCK), ERR_INTEGRITY);
    store_fault_drop(rig.bucket, name);
    assert_int_equal(find(BLOCK), ERR_NOT_FOUND);
    vault_make_fini(&make);
    make_disk(false);
    make.disk[0].bytes += CHUNK;
    assert_int_equal(find(BLOCK), ERR_INTEGRITY);
    vault_make_fini(&make);
}

static void cancelling_ends_it_once(void **state)
{
    struct presence *presence;
    struct point p;

    (void)state;
    for (int paged = 0; paged < 2; paged++) {
        unsigned before = rig.done;

        make_disk(paged);
        p = vault_make_point(&make);
        assert_int_equal(begin(&p, BLOCK, &presence), ERR_OK);
        presence_cancel(presence);
        assert_int_equal(rig.done, before);
        vault_rig_wait(&rig, before + 1);
        assert_int_equal(rig.err.code, ERR_CANCELLED);
        assert_int_equal(begin(&p, 31, &presence), ERR_ARGUMENT);
        vault_make_fini(&make);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_that_hold_data_are_marked_and_no_others),
        cmocka_unit_test(a_bad_page_is_the_answer),
        cmocka_unit_test(cancelling_ends_it_once),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
