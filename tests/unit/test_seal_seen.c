/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No key and nonce seal twice, however backups go: again after a failure of any
 * request, cancelled, two at once, from an old index, over condemned chunks.
 * crypto/seal_seen.h watches every seal; that of the running programs, killed
 * and set back, is watched by tests/flow/test_gateway_seals.py.
 */
#include "session_rig.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/seal_seen.h"
#include "vault/vault_grant.h"

#define LEN (18 * MIB)

static struct rig rig;
static uint8_t *base, *changed;
static char path[] = "/tmp/cairn-test-seals-XXXXXX";

/* What was seen since the last look. */
struct seen {
    size_t seals;
    size_t pairs_again; /* a key and nonce that were there before */
    size_t texts_again; /* the same text sealed once more */
};

static int compare_pairs(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static int compare_texts(const void *a, const void *b)
{
    return memcmp((const uint8_t *)a + 16, (const uint8_t *)b + 16, 16);
}

static size_t repeats(uint8_t *records, size_t count,
                      int (*compare)(const void *, const void *))
{
    size_t n = 0;

    qsort(records, count, SEAL_SEEN_RECORD, compare);
    for (size_t i = 1; i < count; i++)
        n += compare(records + (i - 1) * SEAL_SEEN_RECORD,
                     records + i * SEAL_SEEN_RECORD) == 0;
    return n;
}

static struct seen look(void)
{
    struct seen s = {0};
    uint8_t *records;
    struct stat st = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    assert_int_equal(st.st_size % SEAL_SEEN_RECORD, 0);
    records = malloc((size_t)st.st_size + 1);
    assert_non_null(records);
    assert_int_equal(read(fd, records, (size_t)st.st_size), st.st_size);
    close(fd);
    s.seals = (size_t)st.st_size / SEAL_SEEN_RECORD;
    s.pairs_again = repeats(records, s.seals, compare_pairs);
    s.texts_again = repeats(records, s.seals, compare_texts);
    free(records);
    return s;
}

static int begin(void **state)
{
    (void)state;
    assert_int_equal(truncate(path, 0), 0);
    rig_init(&rig);
    return 0;
}

static int end(void **state)
{
    (void)state;
    rig_fini(&rig);
    return 0;
}

static struct rig_backup of(const uint8_t *data)
{
    return (struct rig_backup){
        .disks = 2,
        .page_above = 1,
        .disk = {
            {{.vdi = {{1}}, .bytes = LEN}, data},
            {{.position = 1, .vdi = {{2}}, .bytes = MIB + 5, .log2_chunk = 16},
             data}}};
}

static void a_pair_that_comes_twice_is_seen(void **state)
{
    struct seal_slot_work *work = seal_slot_work_new(rig.suite);
    static const struct seal_key key = {{1}}, other = {{2}};
    struct seal_slot_place place = {.slot = 7, .raw_len = 4};
    uint8_t out[4 + SEAL_SLOT_TAG];
    struct seen s;

    (void)state;
    assert_non_null(work);
    assert_true(seal_slot_seal(work, &key, &place, "abcd", 4, out));
    assert_true(seal_slot_seal(work, &other, &place, "abcd", 4, out));
    s = look();
    assert_int_equal(s.seals, 2);
    assert_int_equal(s.pairs_again, 0);
    assert_int_equal(s.texts_again, 1);
    assert_true(seal_slot_seal(work, &key, &place, "abce", 4, out));
    assert_int_equal(look().pairs_again, 1);
    seal_slot_work_free(work);
}

static void backups_again_and_again_use_no_pair_twice(void **state)
{
    struct rig_backup first = of(base), second = of(changed), third = of(base);
    struct seen s;

    (void)state;
    rig_backup(&rig, &first);
    rig_backup(&rig, &second);
    /* An old copy of the state: the index has forgotten all of it. */
    rig_index_reset(&rig);
    third.series = "11111111-2222-4333-8444-555555555555";
    rig_backup(&rig, &third);
    s = look();
    assert_true(s.seals > 2 * LEN / 131072);
    assert_true(s.texts_again > 8); /* so keys and nonces do differ */
    assert_int_equal(s.pairs_again, 0);
}

static void two_writers_of_one_vault_use_no_pair_twice(void **state)
{
    struct rig_backup a = of(base), b = of(base);
    struct seen s;

    (void)state;
    b.series = "11111111-2222-4333-8444-555555555555";
    rig_start(&rig, &a);
    rig_start(&rig, &b);
    rig_run(&rig);
    assert_int_equal(a.err.code | b.err.code, ERR_OK);
    s = look();
    assert_true(s.texts_again > 0);
    assert_int_equal(s.pairs_again, 0);
}

/* Each request of a backup fails in turn, done or not done; what fails is
 * begun anew, with the same index or with none. */
static void retries_use_no_pair_twice(void **state)
{
    static const enum store_fault_kind kinds[] = {FAULT_PUT, FAULT_CREATE,
                                                  FAULT_PART, FAULT_COMPLETE};
    unsigned failed = 0;
    struct seen s;

    (void)state;
    for (size_t k = 0; k < BYTES_COUNT(kinds); k++) {
        for (unsigned n = 1; n <= 4; n++) {
            struct rig_backup b = of(n % 2 ? base : changed);
            struct store_fault_rule rule = {.kind = kinds[k],
                                            .nth = (n + 1) / 2,
                                            .action = n % 2 ? FAULT_FAIL
                                                            : FAULT_LOSE};

            store_fault_add(rig.store, &rule);
            rig_start(&rig, &b);
            rig_run(&rig);
            store_fault_clear(rig.store);
            failed += b.err.code != ERR_OK;
            rig.wall_ms += 1000;
            if (n == 2)
                rig_index_reset(&rig);
        }
    }
    assert_true(failed > 6);
    for (uint64_t at = MIB; at < LEN; at += 8 * MIB) {
        struct rig_backup b = of(changed);

        b.cancel_at = at;
        rig_index_reset(&rig);
        rig_start(&rig, &b);
        rig_run(&rig);
        assert_int_equal(b.err.code, ERR_CANCELLED);
    }
    s = look();
    assert_true(s.texts_again > 100);
    assert_int_equal(s.pairs_again, 0);
}

/* Chunks that were condemned are sealed again, from their pack. */
static void chunks_stored_again_use_no_pair_twice(void **state)
{
    struct rig_backup first = of(base), second = of(base);
    struct name n;
    struct seen s;

    (void)state;
    rig_backup(&rig, &first);
    assert_true(name_parse(rig_name(&rig, "packs/", 0), &n));
    rig_condemn(&rig, "20250615T150701Z-00000001", n.id, 0, 0);
    rig_backup(&rig, &second);
    s = look();
    assert_true(s.texts_again > 0);
    assert_int_equal(s.pairs_again, 0);
}

static void on_granted(void *ctx, const struct err *err)
{
    assert_int_equal(err->code, ERR_OK);
    *(bool *)ctx = true;
}

/* A wrap's nonce is always zero: its key hangs on its salt and the ephemeral
 * key. The same secrets for the same recipient, twice. */
static void wraps_use_no_pair_twice(void **state)
{
    static const struct seal_key private = {{9}};
    struct vault_grant_opts opts = {
        .store = rig.store, .keys = rig.keys, .count = 1, .done = on_granted};
    struct seal_pair pair;
    struct err err;
    struct seen s;

    (void)state;
    assert_int_equal(seal_pair_from(&private, &pair, &err), ERR_OK);
    opts.recipients = &pair.public;
    for (int i = 0; i < 2; i++) {
        bool done = false;

        opts.ctx = &done;
        if (vault_grant_start(&opts, NULL, &err) != ERR_OK)
            fail_msg("%s", err.text);
        while (!done)
            rig_turn(&rig);
    }
    s = look();
    assert_true(s.seals >= 3);
    assert_int_equal(s.pairs_again, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(a_pair_that_comes_twice_is_seen),
        T(backups_again_and_again_use_no_pair_twice),
        T(two_writers_of_one_vault_use_no_pair_twice),
        T(retries_use_no_pair_twice),
        T(chunks_stored_again_use_no_pair_twice),
        T(wraps_use_no_pair_twice),
    };
    int rc, fd = mkstemp(path);

    if (fd < 0 || setenv("CAIRN_SEALS", path, 1) != 0)
        return 1;
    close(fd);
    work_setup();
    base = malloc(LEN);
    changed = malloc(LEN);
    if (!base || !changed)
        return 1;
    rig_fill_noise(base, LEN, 1);
    rig_fill_text(base + 2 * MIB, MIB, 2);
    memset(base + 4 * MIB, 0, MIB);
    memcpy(changed, base, LEN);
    rig_fill_noise(changed + 5 * MIB, MIB, 3);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    free(base);
    free(changed);
    unlink(path);
    return rc;
}
