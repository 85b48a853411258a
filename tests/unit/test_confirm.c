/* SPDX-License-Identifier: Apache-2.0 */
#include "session_rig.h"

#include "vault/confirm.h"

static struct rig rig;

#define LEN (300 * MIB)

struct asked {
    unsigned done;
    struct err err;
    enum confirm_verdict verdict;
    struct point_ref ref;
};

static void on_confirmed(void *ctx, const struct err *err,
                         enum confirm_verdict verdict,
                         const struct point_ref *ref)
{
    struct asked *a = ctx;

    a->done++;
    a->err = *err;
    a->verdict = verdict;
    a->ref = *ref;
    rig.running--;
}

static struct confirm *start(struct asked *a, const char *name)
{
    struct confirm_opts opts = {.store = rig.store,
                                .keys = rig.keys,
                                .point = name,
                                .done = on_confirmed,
                                .ctx = a};
    struct confirm *c = NULL;
    struct err err;

    memset(a, 0, sizeof(*a));
    if (confirm_start(&opts, &c, &err) != ERR_OK)
        fail_msg("%s", err.text);
    rig.running++;
    return c;
}

static struct asked confirm(const char *name)
{
    struct asked a;

    start(&a, name);
    rig_run(&rig);
    assert_int_equal(a.done, 1);
    return a;
}

static uint8_t *data;

/* A disk of 64 KiB chunks, in pages or not. */
static struct rig_backup backup(bool pages)
{
    struct rig_backup b = {
        .disks = 2,
        .tell_zeros = true,
        .page_above = pages ? 1 : 0,
        .disk = {{{.vdi = {{9}}, .bytes = 70000}, data + 280 * MIB},
                 {{.position = 1, .vdi = {{8}}, .bytes = LEN, .log2_chunk = 16},
                  data}}};

    rig_backup(&rig, &b);
    return b;
}

static void a_whole_point_is_committed(void **state)
{
    (void)state;
    for (int pages = 0; pages < 2; pages++) {
        struct rig_backup b = backup(pages);
        struct asked a = confirm(b.result.point.name);

        assert_int_equal(a.err.code, ERR_OK);
        assert_int_equal(a.verdict, CONFIRM_WHOLE);
        assert_memory_equal(a.ref.sha256, b.result.point.sha256, 32);
        assert_string_equal(a.ref.name, b.result.point.name);
    }
    assert_int_equal(rig_count(&rig, "points/"), 2);
}

static void a_point_that_never_came_is_gone(void **state)
{
    struct asked a = confirm("points/2e73579d31f1cbc0232e04f666837d2a/"
                             "20250615T150640Z-00000000");

    (void)state;
    assert_int_equal(a.err.code, ERR_OK);
    assert_int_equal(a.verdict, CONFIRM_GONE);
}

/* One slot that the last page alone names, in a pack that is used. */
static void a_condemned_point_is_removed(void **state)
{
    (void)state;
    for (int pages = 0; pages < 2; pages++) {
        struct rig_backup b = backup(pages);
        struct point *p = rig_point(&rig, b.result.point.name);
        struct asked a;
        size_t i = 0;

        while (p->pack[i].kind)
            i++;
        rig_condemn(&rig,
                    pages ? "20250615T160001Z-00000001"
                          : "20250615T160002Z-00000001",
                    p->pack[i].id, 0, 1);
        point_free(p);
        a = confirm(b.result.point.name);
        assert_int_equal(a.err.code, ERR_OK);
        assert_int_equal(a.verdict, CONFIRM_CONDEMNED);
        assert_int_equal(rig_count(&rig, "points/"), 0);
    }
}

static void a_list_that_cannot_be_read_leaves_it_open(void **state)
{
    struct rig_backup b = backup(false);
    struct asked a;

    (void)state;
    store_fault_poke(rig.bucket, "gc/20250615T160001Z-00000001", "x", 1, 1);
    a = confirm(b.result.point.name);
    assert_int_equal(a.err.code, ERR_INTEGRITY);
    assert_int_equal(rig_count(&rig, "points/"), 1);
}

static void each_request_may_fail(void **state)
{
    struct rig_backup b = backup(true);

    (void)state;
    for (unsigned n = 1;; n++) {
        struct store_fault_rule rule = {
            .kind = FAULT_ANY, .nth = n, .code = ERR_UNREACHABLE};
        struct asked a;

        store_fault_add(rig.store, &rule);
        a = confirm(b.result.point.name);
        store_fault_clear(rig.store);
        assert_int_equal(rig_count(&rig, "points/"), 1);
        if (a.err.code == ERR_OK) {
            assert_true(n > 5); /* point, list, tables, header, pages */
            break;
        }
        assert_int_equal(a.err.code, ERR_UNREACHABLE);
    }
}

static void it_can_be_cancelled_at_any_time(void **state)
{
    struct rig_backup b = backup(true);

    (void)state;
    for (unsigned turns = 0; turns < 20; turns++) {
        struct asked a;
        struct confirm *c = start(&a, b.result.point.name);

        for (unsigned i = 0; i < turns && !a.done; i++)
            rig_turn(&rig);
        if (!a.done) {
            confirm_cancel(c);
            assert_int_equal(a.done, 0);
        }
        rig_run(&rig);
        assert_int_equal(a.done, 1);
        assert_true(a.err.code == ERR_CANCELLED || a.err.code == ERR_OK);
    }
    assert_int_equal(rig_count(&rig, "points/"), 1);
}

static int begin(void **state)
{
    (void)state;
    data = calloc(1, LEN);
    rig_fill_noise(data + 3 * MIB, MIB, 1);
    rig_fill_noise(data + 280 * MIB, 2 * MIB, 2);
    rig_init(&rig);
    return 0;
}

static int end(void **state)
{
    (void)state;
    rig_fini(&rig);
    free(data);
    return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_whole_point_is_committed),
        T(a_point_that_never_came_is_gone),
        T(a_condemned_point_is_removed),
        T(a_list_that_cannot_be_read_leaves_it_open),
        T(each_request_may_fail),
        T(it_can_be_cancelled_at_any_time),
    };

    work_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
