/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The n-th allocation fails, for every n, in the middle of a backup, of filling
 * an index, of looking at a point once more: it ends, says so, and leaves
 * nothing behind.
 */
#include "session_rig.h"

#include "alloc_fail.h"
#include "vault/confirm.h"
#include "vault/index_fill.h"

static struct rig rig;
static uint8_t *base, *data;

#define LEN (18 * MIB)

static bool no_memory(const struct err *err)
{
    if (err->code == ERR_OK)
        return false;
    if (err->code != ERR_NOMEM && err->code != ERR_CANCELLED)
        fail_msg("not for want of memory: %s", err->text);
    assert_true(alloc_fail_happened());
    return true;
}

static struct rig_backup two_disks(const uint8_t *contents)
{
    /* the second one in chunks of another size, both in pages */
    return (struct rig_backup){
        .disks = 2,
        .tell_zeros = true,
        .page_above = 1,
        .piece = 262144,
        .disk = {
            {{.vdi = {{1}}, .name = "root", .bytes = LEN}, contents},
            {{.position = 1, .vdi = {{2}}, .bytes = MIB + 5, .log2_chunk = 16},
             contents}}};
}

/* Against a parent, with new data enough for an upload of two parts, and with
 * a condemned pack: all of a session is met. */
static void prepare(void)
{
    struct rig_backup first = two_disks(base);
    struct name n;

    rig_init(&rig);
    rig_backup(&rig, &first);
    assert_true(name_parse(rig_name(&rig, "packs/", 0), &n));
    rig_condemn(&rig, "20250615T150701Z-00000001", n.id, 2, 3);
}

static void a_backup_without_memory_ends_cleanly(void **state)
{
    unsigned failed = 0;
    bool armed = true;

    (void)state;
    for (unsigned n = 1; armed; n++) {
        struct rig_backup b = two_disks(data);

        prepare();
        b.may_lack_memory = true;
        armed = alloc_fail_round(n);
        rig_start(&rig, &b);
        rig_run(&rig);
        alloc_fail_off();
        assert_int_equal(b.done, 1);
        assert_int_equal(store_fault_uploads(rig.bucket), 0);
        if (no_memory(&b.err)) {
            failed++;
            assert_int_equal(rig_count(&rig, "points/"), 1);
        } else {
            rig_compare(&rig, &b);
        }
        rig_fini(&rig); /* budget and slabs are all back */
    }
    assert_true(failed > 50);
}

struct outcome {
    bool done;
    struct err err;
};

static void on_filled(void *ctx, const struct err *err,
                      const struct index_fill_result *result)
{
    struct outcome *o = ctx;

    (void)result;
    o->done = true;
    o->err = *err;
    rig.running--;
}

static void filling_without_memory_ends_cleanly(void **state)
{
    bool armed = true;

    (void)state;
    prepare();
    for (unsigned n = 1; armed; n++) {
        struct outcome o = {0};
        struct index_fill_opts opts = {.store = rig.store,
                                       .keys = rig.keys,
                                       .tables = true,
                                       .done = on_filled,
                                       .ctx = &o};
        struct index_fill *fill;

        rig_index_reset(&rig);
        opts.index = rig.index;
        armed = alloc_fail_round(n);
        rig.running++;
        if (index_fill_start(&opts, &fill, &o.err) != ERR_OK)
            rig.running--;
        rig_run(&rig);
        alloc_fail_off();
        no_memory(&o.err);
    }
    rig_fini(&rig);
}

static void on_confirmed(void *ctx, const struct err *err,
                         enum confirm_verdict verdict,
                         const struct point_ref *ref)
{
    struct outcome *o = ctx;

    (void)ref;
    o->done = true;
    o->err = *err;
    if (err->code == ERR_OK)
        assert_int_equal(verdict, CONFIRM_WHOLE);
    rig.running--;
}

static void confirming_without_memory_ends_cleanly(void **state)
{
    struct rig_backup b = two_disks(data);
    bool armed = true;

    (void)state;
    prepare();
    rig_backup(&rig, &b);
    for (unsigned n = 1; armed; n++) {
        struct outcome o = {0};
        struct confirm_opts opts = {.store = rig.store,
                                    .keys = rig.keys,
                                    .point = b.result.point.name,
                                    .done = on_confirmed,
                                    .ctx = &o};
        struct confirm *c;

        armed = alloc_fail_round(n);
        rig.running++;
        if (confirm_start(&opts, &c, &o.err) != ERR_OK)
            rig.running--;
        rig_run(&rig);
        alloc_fail_off();
        no_memory(&o.err);
        assert_int_equal(rig_count(&rig, "points/"), 2);
    }
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backup_without_memory_ends_cleanly),
        cmocka_unit_test(filling_without_memory_ends_cleanly),
        cmocka_unit_test(confirming_without_memory_ends_cleanly),
    };
    int rc;

    work_setup();
    base = calloc(1, LEN);
    data = malloc(LEN);
    if (!base || !data)
        return 1;
    rig_fill_noise(base, MIB, 1);
    rig_fill_noise(data, LEN, 1);
    memset(data + 5 * MIB, 0, MIB);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    free(base);
    free(data);
    return rc;
}
