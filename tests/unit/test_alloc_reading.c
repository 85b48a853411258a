/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th allocation fails, for every n, while a vault is opened, granted,
 * listed, walked, looked through and verified: it ends once, says so, and
 * nothing leaks.
 */
#include "alloc_fail.h"
#include "vault_rig.h"
#include "vectors_keys.h"

#include "crypto/seal_blob.h"
#include "crypto/seal_stream.h"
#include "crypto/seal_wrap.h"
#include "loop/work.h"
#include "vault/points.h"
#include "vault/presence.h"
#include "vault/vault_grant.h"
#include "vault/verify.h"
#include "vault/walk.h"

#define POINT_A \
    "points/2e73579d31f1cbc0232e04f666837d2a/20250616T150640Z-059c9b7c"

static struct vault_rig rig;
static struct keyring *keys;
static struct seal_pair recovery;

static int set_up(void **state)
{
    struct err err;

    (void)state;
    work_setup();
    vault_rig_init(&rig, true);
    keys = vectors_keyring(rig.suite, true);
    return seal_pair_from(&rig.recovery_private.private, &recovery, &err);
}

static int tear_down(void **state)
{
    (void)state;
    keyring_unref(keys);
    vault_rig_fini(&rig);
    return 0;
}

/* After one round: true when memory was short. */
static bool was_short(const struct err *err)
{
    alloc_fail_off();
    if (err->code == ERR_OK)
        return false;
    if (err->code != ERR_NOMEM)
        fail_msg("not for want of memory: %s", err->text);
    assert_true(alloc_fail_happened());
    return true;
}

/* Wait for an operation that was started, or did not start. */
static bool ends_short(enum err_code started)
{
    unsigned before = rig.done;

    if (started == ERR_OK)
        vault_rig_wait(&rig, before + 1);
    return was_short(&rig.err);
}

static void sealing_without_memory_says_so(void **state)
{
    static const uint8_t plain[100000];
    struct seal_stream_opts opts = {
        .suite = rig.suite,
        .kind = SEAL_STREAM_LIST,
        .vault_id = rig.vault_id,
        .key_id = keyring_current(keys, SEAL_KEY_META)->id,
        .key = &keyring_current(keys, SEAL_KEY_META)->key,
        .name = "gc/20250615T150640Z-01234567",
    };
    unsigned failed = 0;

    (void)state;
    for (unsigned n = 1; alloc_fail_round(n); n++) {
        struct seal_blob_opts blob = {rig.suite, keyring_rs(keys), "x", NULL};
        struct buf sealed, opened;
        struct err err = {0};

        buf_init(&sealed, MIB);
        buf_init(&opened, MIB);
        if (seal_stream_seal(&opts, plain, sizeof(plain), &sealed, &err) ==
                ERR_OK &&
            seal_stream_open(&opts, sealed.data, sealed.len, &opened, &err) ==
                ERR_OK &&
            seal_blob_seal(&blob, plain, 100, &sealed, &err) == ERR_OK)
            assert_int_equal(opened.len, sizeof(plain));
        failed += was_short(&err);
        buf_fini(&sealed);
        buf_fini(&opened);
    }
    assert_true(failed > 5);
}

static void on_opened(void *ctx, const struct err *err,
                      const struct vault_opened *opened)
{
    (void)ctx;
    (void)opened;
    vault_rig_done(&rig, err);
}

static void opening_without_memory_ends_cleanly(void **state)
{
    struct vault_open_opts opts = {.store = rig.store,
                                   .suite = rig.suite,
                                   .vault_id = rig.vault_id,
                                   .pair = &recovery,
                                   .done = on_opened};
    struct vault_open *open;
    unsigned failed = 0;

    (void)state;
    for (unsigned n = 1; alloc_fail_round(n); n++)
        failed += ends_short(vault_open_start(&opts, &open, &rig.err));
    assert_true(failed > 20);
}

static void on_granted(void *ctx, const struct err *err)
{
    (void)ctx;
    vault_rig_done(&rig, err);
}

static void granting_without_memory_ends_cleanly(void **state)
{
    struct vault_grant_opts opts = {.store = rig.store,
                                    .keys = keys,
                                    .recipients = &recovery.public,
                                    .count = 1,
                                    .done = on_granted};
    unsigned failed = 0;

    (void)state;
    for (unsigned n = 1; alloc_fail_round(n); n++)
        failed += ends_short(vault_grant_start(&opts, NULL, &rig.err));
    assert_true(failed > 10);
    vault_rig_load(&rig);
}

static void on_points(void *ctx, const struct err *err,
                      struct points_list *take)
{
    (void)ctx;
    points_list_free(take);
    vault_rig_done(&rig, err);
}

static void listing_without_memory_ends_cleanly(void **state)
{
    struct points_opts opts = {
        .store = rig.store, .keys = keys, .done = on_points};
    struct points *points;
    unsigned failed = 0;

    (void)state;
    for (unsigned n = 1; alloc_fail_round(n); n++)
        failed += ends_short(points_start(&opts, &points, &rig.err));
    assert_true(failed > 20);
}

/* --- one point ------------------------------------------------------------ */

static struct point *point;

static void on_point(void *ctx, const struct err *err, struct point *take,
                     const uint8_t sha256[32])
{
    (void)ctx;
    (void)sha256;
    point = take;
    vault_rig_done(&rig, err);
}

static void read_point(void)
{
    assert_int_equal(
        points_fetch(rig.store, keys, POINT_A, on_point, NULL, NULL, &rig.err),
        ERR_OK);
    vault_rig_wait(&rig, rig.done + 1);
    assert_non_null(point);
    assert_true(point->disk[0].paged);
}

static void on_walked(void *ctx, const struct err *err,
                      const struct walk_figures *figures)
{
    (void)ctx;
    (void)figures;
    vault_rig_done(&rig, err);
}

static void walking_without_memory_ends_cleanly(void **state)
{
    struct walk_opts opts = {.store = rig.store,
                             .keys = keys,
                             .point_name = POINT_A,
                             .memory_bytes = WALK_MEMORY_MIN,
                             .done = on_walked};
    struct walk *walk;
    unsigned failed = 0;

    (void)state;
    read_point();
    opts.point = point;
    for (unsigned n = 1; alloc_fail_round(n); n++)
        failed += ends_short(walk_start(&opts, &walk, &rig.err));
    assert_true(failed > 50);
    point_free(point);
}

static void on_presence(void *ctx, const struct err *err, uint8_t *take)
{
    (void)ctx;
    free(take);
    vault_rig_done(&rig, err);
}

static void looking_without_memory_ends_cleanly(void **state)
{
    struct presence_opts opts = {.store = rig.store,
                                 .keys = keys,
                                 .log2_block = 20,
                                 .done = on_presence};
    struct presence *presence;
    unsigned failed = 0;

    (void)state;
    read_point();
    opts.point = point;
    for (unsigned n = 1; alloc_fail_round(n); n++)
        failed += ends_short(presence_start(&opts, &presence, &rig.err));
    assert_true(failed > 20);
    point_free(point);
}

static void on_finding(void *ctx, const struct verify_finding *f)
{
    (void)ctx;
    fail_msg("found: %s", f->err.text);
}

static void on_verified(void *ctx, const struct err *err,
                        const struct verify_figures *figures)
{
    (void)ctx;
    (void)figures;
    vault_rig_done(&rig, err);
}

static void verifying_without_memory_finds_no_damage(void **state)
{
    struct verify_opts opts = {.store = rig.store,
                               .keys = keys,
                               .full = true,
                               .memory_bytes = VERIFY_MEMORY_MIN,
                               .on_finding = on_finding,
                               .done = on_verified};
    struct verify *verify;
    unsigned failed = 0;

    (void)state;
    for (unsigned n = 1; alloc_fail_round(n); n++)
        failed += ends_short(verify_start(&opts, &verify, &rig.err));
    assert_true(failed > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealing_without_memory_says_so),
        cmocka_unit_test(opening_without_memory_ends_cleanly),
        cmocka_unit_test(granting_without_memory_ends_cleanly),
        cmocka_unit_test(listing_without_memory_ends_cleanly),
        cmocka_unit_test(walking_without_memory_ends_cleanly),
        cmocka_unit_test(looking_without_memory_ends_cleanly),
        cmocka_unit_test(verifying_without_memory_finds_no_damage),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
