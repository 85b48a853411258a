/* SPDX-License-Identifier: Apache-2.0 */
#include "session_rig.h"

#include "base/failpoint.h"

static struct rig rig;

#define LEN (40 * MIB + 333)

static struct rig_backup one_disk(const uint8_t *data, uint64_t bytes)
{
    return (struct rig_backup){
        .disks = 1,
        .disk = {{{.vdi = {{9}}, .name = "root", .bytes = bytes}, data}}};
}

static uint8_t *noise(size_t len, uint64_t seed)
{
    uint8_t *data = malloc(len + 8);

    assert_non_null(data);
    rig_fill_noise(data, len, seed);
    return data;
}

/* What must hold after any failure. */
static void nothing_is_left(const struct rig_backup *b, size_t points,
                            const char *what, unsigned n)
{
    if (b->done != 1)
        fail_msg("%s %u: done %u times", what, n, b->done);
    if (b->result.point.name[0])
        fail_msg("%s %u: a point in a failure", what, n);
    if (store_fault_uploads(rig.bucket))
        fail_msg("%s %u: an upload is left", what, n);
    if (b->uploads_opened > b->uploads_closed)
        fail_msg("%s %u: the journal has an upload", what, n);
    if (rig_count(&rig, "points/") != points)
        fail_msg("%s %u: a point is left", what, n);
    if (budget_used(rig.budget))
        fail_msg("%s %u: memory is not given back", what, n);
}

/* A small change to a disk that was backed up, with every rule in turn. */
static void each_operation(enum store_fault_kind kind,
                           enum store_fault_action action, const char *what)
{
    static uint64_t seed = 100; /* what was stored once would be found */
    uint8_t *data = noise(LEN, 1);
    struct rig_backup first = one_disk(data, LEN);
    unsigned failed = 0;

    rig_backup(&rig, &first);
    for (unsigned n = 1;; n++) {
        struct rig_backup b = one_disk(data, LEN);
        struct store_fault_rule rule = {.kind = kind,
                                        .nth = n,
                                        .action = action,
                                        .code = ERR_UNREACHABLE,
                                        .offset = 10};
        size_t points = rig_count(&rig, "points/");

        /* 20 MiB that nobody knows: an upload of two parts */
        rig_fill_noise(data + 3 * MIB, 20 * MIB, seed++);
        store_fault_add(rig.store, &rule);
        rig_start(&rig, &b);
        rig_run(&rig);
        store_fault_clear(rig.store);
        rig.wall_ms += 1000;
        if (b.err.code == ERR_OK) {
            rig_compare(&rig, &b);
            assert_string_not_equal(b.result.point.name, "");
            if (n > failed + 1)
                fail_msg("%s %u: no failure", what, n);
            break;
        }
        failed++;
        if (b.err.code != ERR_UNREACHABLE && b.err.code != ERR_INTEGRITY &&
            b.err.code != ERR_PROTOCOL)
            fail_msg("%s %u: %s", what, n, b.err.text);
        assert_true(b.err.text[0]);
        nothing_is_left(&b, points, what, n);
    }
    if (!failed)
        fail_msg("%s: it was never tried", what);
    free(data);
}

static void each_operation_that_fails_ends_it_cleanly(void **state)
{
    (void)state;
    each_operation(FAULT_PUT, FAULT_FAIL, "PUT");
    each_operation(FAULT_GET, FAULT_FAIL, "GET");
    each_operation(FAULT_LIST, FAULT_FAIL, "LIST");
    each_operation(FAULT_CREATE, FAULT_FAIL, "create");
    each_operation(FAULT_PART, FAULT_FAIL, "part");
    each_operation(FAULT_COMPLETE, FAULT_FAIL, "complete");
}

/* It was done, and the answer was lost. */
static void each_answer_that_is_lost_ends_it_cleanly(void **state)
{
    (void)state;
    each_operation(FAULT_PUT, FAULT_LOSE, "PUT");
    each_operation(FAULT_PART, FAULT_LOSE, "part");
    each_operation(FAULT_COMPLETE, FAULT_LOSE, "complete");
}

static void each_listing_that_breaks_ends_it_cleanly(void **state)
{
    (void)state;
    each_operation(FAULT_LIST, FAULT_BREAK, "LIST");
    each_operation(FAULT_GET, FAULT_BREAK, "GET");
}

/* The parent's GET may be damaged without harm: only the read-back must be
 * right. */
static void a_point_that_reads_back_wrongly_is_not_committed(void **state)
{
    uint8_t *data = noise(MIB, 2);
    struct rig_backup b = one_disk(data, MIB);
    struct store_fault_rule flip = {.kind = FAULT_GET,
                                    .prefix = "points/",
                                    .nth = 1,
                                    .action = FAULT_FLIP,
                                    .offset = 100};

    (void)state;
    store_fault_add(rig.store, &flip);
    rig_start(&rig, &b);
    rig_run(&rig);
    store_fault_clear(rig.store);
    assert_int_equal(b.err.code, ERR_INTEGRITY);
    nothing_is_left(&b, 0, "read back", 1);
    free(data);
}

/* Neither of an upload that was not completed nor of a plain PUT: else the
 * next backup would refer to it. */
static void what_failed_to_be_stored_is_not_known(void **state)
{
    static const struct {
        enum store_fault_kind kind;
        uint64_t bytes;
    } rows[] = {{FAULT_COMPLETE, 40 * MIB}, {FAULT_PUT, MIB}};

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        uint8_t *data = noise(rows[i].bytes, 40 + i);
        struct rig_backup b = one_disk(data, rows[i].bytes), again = b;
        struct store_fault_rule rule = {
            .kind = rows[i].kind, .prefix = "packs/", .nth = 1};

        store_fault_add(rig.store, &rule);
        rig_start(&rig, &b);
        rig_run(&rig);
        store_fault_clear(rig.store);
        assert_int_equal(b.err.code, ERR_UNREACHABLE);
        rig.wall_ms += 1000;
        rig_backup(&rig, &again);
        rig_compare(&rig, &again);
        assert_int_equal(again.result.figures.known, 0);
        free(data);
    }
}

static const struct store_ops *plain;

/* The first PUT came through and its answer was lost; the store repeats it. */
static enum err_code put_twice(struct store *s,
                               const struct store_put_opts *opts,
                               struct store_op **out, struct err *err)
{
    assert_int_equal(opts->slices, 1);
    if (opts->write.if_absent)
        assert_true(store_fault_poke(rig.bucket, opts->name, opts->body->data,
                                     opts->body->len, rig.wall_ms));
    return plain->put(s, opts, out, err);
}

static void a_put_that_was_repeated_is_no_conflict(void **state)
{
    uint8_t *data = noise(MIB, 8);
    struct rig_backup b = one_disk(data, MIB);
    struct store_ops twice = *rig.store->ops;

    (void)state;
    plain = rig.store->ops;
    twice.put = put_twice;
    rig.store->ops = &twice;
    assert_true(rig.store->traits.if_absent);
    rig_backup(&rig, &b);
    rig.store->ops = plain;
    rig_compare(&rig, &b);
    free(data);
}

/* Something else lies where the pack shall. */
static enum err_code put_where_another_lies(struct store *s,
                                            const struct store_put_opts *opts,
                                            struct store_op **out,
                                            struct err *err)
{
    if (strncmp(opts->name, "packs/", 6) == 0)
        assert_true(store_fault_poke(rig.bucket, opts->name, opts->body->data,
                                     opts->body->len - 1, rig.wall_ms));
    return plain->put(s, opts, out, err);
}

static void a_packs_name_that_is_taken_fails_it(void **state)
{
    uint8_t *data = noise(MIB, 8);
    struct rig_backup b = one_disk(data, MIB);
    struct store_ops taken = *rig.store->ops;

    (void)state;
    plain = rig.store->ops;
    taken.put = put_where_another_lies;
    rig.store->ops = &taken;
    rig_start(&rig, &b);
    rig_run(&rig);
    rig.store->ops = plain;
    assert_int_equal(b.err.code, ERR_CONFLICT);
    nothing_is_left(&b, 0, "a name that is taken", 1);
    free(data);
}

/* One store stands still: what is under way is called back at once. */
static void cancelling_works_at_any_time(void **state)
{
    static const enum store_fault_kind kinds[] = {FAULT_LIST,     FAULT_GET,
                                                  FAULT_CREATE,   FAULT_PART,
                                                  FAULT_COMPLETE, FAULT_PUT};
    uint8_t *data = noise(LEN, 3);
    struct rig_backup first = one_disk(data, LEN);
    unsigned late = 0;

    (void)state;
    rig_backup(&rig, &first);
    for (size_t k = 0; k < BYTES_COUNT(kinds); k++) {
        for (unsigned n = 1; n <= 3; n++) {
            struct rig_backup b = one_disk(data, LEN);
            struct store_fault_rule hold = {
                .kind = kinds[k], .nth = n, .action = FAULT_HOLD};
            size_t points = rig_count(&rig, "points/");

            rig_fill_noise(data + 3 * MIB, 20 * MIB, 1000 + 10 * k + n);
            store_fault_add(rig.store, &hold);
            rig_start(&rig, &b);
            while (!store_fault_held(rig.store) && !b.done)
                uv_run(loop_uv(rig.loop), UV_RUN_ONCE);
            store_fault_clear(rig.store);
            if (b.done) { /* there are not that many */
                assert_int_equal(b.err.code, ERR_OK);
                rig.wall_ms += 1000;
                continue;
            }
            session_cancel(b.session);
            assert_int_equal(b.done, 0);
            if (b.points_opened) { /* the point is on its way: too late */
                assert_int_equal(store_fault_release(rig.store), 1);
                rig_run(&rig);
                rig.wall_ms += 1000;
                assert_int_equal(b.err.code, ERR_OK);
                assert_int_equal(rig_count(&rig, "points/"), points + 1);
                late++;
                continue;
            }
            rig_run(&rig);
            rig.wall_ms += 1000;
            assert_int_equal(b.err.code, ERR_CANCELLED);
            assert_int_equal(b.result.unsure[0], 0);
            nothing_is_left(&b, points, "hold", n);
        }
    }
    assert_int_not_equal(late, 0);
    free(data);
}

/* Nobody answers for the point that was sent: that is no "cancelled". */
static void a_point_without_an_answer_is_named(void **state)
{
    static const enum store_fault_kind kinds[] = {FAULT_PUT, FAULT_GET};

    (void)state;
    for (size_t k = 0; k < BYTES_COUNT(kinds); k++) {
        uint8_t *data = noise(MIB, 30 + (uint32_t)k);
        struct rig_backup b = one_disk(data, MIB);
        struct store_fault_rule hold = {.kind = kinds[k],
                                        .prefix = "points/",
                                        .nth = 1,
                                        .action = FAULT_HOLD};
        size_t points = rig_count(&rig, "points/");

        store_fault_add(rig.store, &hold);
        rig_start(&rig, &b);
        while (!b.points_opened || !store_fault_held(rig.store))
            uv_run(loop_uv(rig.loop), UV_RUN_ONCE);
        store_fault_clear(rig.store);
        session_cancel(b.session);
        for (int i = 0; i < 20; i++)
            uv_run(loop_uv(rig.loop), UV_RUN_NOWAIT);
        assert_int_equal(b.done, 0); /* it waits for the answer */
        session_abandon(b.session);
        rig_run(&rig);
        rig.wall_ms += 1000;
        assert_int_equal(b.err.code, ERR_AGAIN);
        assert_memory_equal(b.result.unsure, "points/", 7);
        assert_int_equal(b.points_closed, 0);
        assert_int_equal(rig_count(&rig, "points/"),
                         points + (kinds[k] == FAULT_GET));
        free(data);
    }
}

static void cancelling_works_at_any_byte(void **state)
{
    uint8_t *data = noise(LEN, 4);

    (void)state;
    for (uint64_t at = 1; at < LEN; at += 3 * MIB + 777) {
        struct rig_backup b = one_disk(data, LEN);

        b.cancel_at = at;
        b.ceiling = at % 2 ? SESSION_FLOOR_BYTES : 0;
        rig_start(&rig, &b);
        rig_run(&rig);
        assert_int_equal(b.err.code, ERR_CANCELLED);
        nothing_is_left(&b, 0, "cancel", (unsigned)(at / MIB));
    }
    free(data);
}

static void cancelling_at_once_works(void **state)
{
    uint8_t *data = noise(MIB, 5);
    struct rig_backup b = one_disk(data, MIB);

    (void)state;
    rig_start(&rig, &b);
    session_cancel(b.session);
    assert_int_equal(b.done, 0);
    rig_run(&rig);
    assert_int_equal(b.err.code, ERR_CANCELLED);
    assert_int_equal(b.ready, 0);
    free(data);
}

/* A stalled store: feeding stops, memory does not grow, and it goes on. */
static void a_stalled_store_stops_the_source(void **state)
{
    size_t len = 200 * MIB;
    uint8_t *data = noise(len, 6);
    struct rig_backup b = one_disk(data, len);
    struct store_fault_rule hold = {.kind = FAULT_PART, .action = FAULT_HOLD};
    uint64_t at;

    (void)state;
    store_fault_add(rig.store, &hold);
    rig_start(&rig, &b);
    while (store_fault_held(rig.store) < 2)
        uv_run(loop_uv(rig.loop), UV_RUN_ONCE);
    for (unsigned i = 0; i < 2000; i++)
        rig_turn(&rig);
    at = b.total;
    assert_true(at < 80 * MIB);
    assert_true(b.refused);
    for (unsigned i = 0; i < 200; i++)
        rig_turn(&rig);
    assert_int_equal(b.total, at);
    assert_true(budget_used(rig.budget) <= SESSION_CEILING_BYTES);
    store_fault_clear(rig.store);
    store_fault_release(rig.store);
    rig_run(&rig);
    assert_int_equal(b.err.code, ERR_OK);
    rig_compare(&rig, &b);
    free(data);
}

/* --- mistakes of the caller ------------------------------------------ */

enum mistake { GAP, BEYOND, TOO_LONG, NO_DISK, EARLY_FINISH, TWICE, MISTAKES };
static enum mistake mistake;

static bool blunder(struct rig_backup *b, unsigned disk, uint64_t at)
{
    static uint8_t piece[SESSION_WRITE_MAX + 1];
    struct session *s = b->session;

    (void)disk;
    if (at < MIB || b->user)
        return true;
    b->user = b;
    switch (mistake) {
    case GAP:
        assert_false(session_write(s, 0, at + 512, piece, 512));
        break;
    case BEYOND:
        assert_false(session_zero(s, 0, at, LEN));
        break;
    case TOO_LONG:
        assert_false(session_write(s, 0, at, piece, sizeof(piece)));
        break;
    case NO_DISK:
        assert_false(session_write(s, 1, 0, piece, 512));
        break;
    case EARLY_FINISH:
        session_finish(s, NULL, 0);
        break;
    case TWICE:
        assert_false(session_unchanged(s, 0, at, 65536));
        break;
    case MISTAKES:
        break;
    }
    return mistake == EARLY_FINISH ? false : true;
}

static void what_breaks_the_rules_fails_the_session(void **state)
{
    uint8_t *data = noise(LEN, 7);

    (void)state;
    for (mistake = GAP; mistake < MISTAKES; mistake++) {
        struct rig_backup b = one_disk(data, LEN);

        b.before = blunder;
        rig_start(&rig, &b);
        rig_run(&rig);
        if (b.err.code != ERR_ARGUMENT)
            fail_msg("mistake %u: %s", mistake, b.err.text);
        nothing_is_left(&b, 0, "mistake", mistake);
    }
    free(data);
}

static void a_session_needs_keys_and_a_ceiling(void **state)
{
    struct keyring *none = NULL;
    struct seal_key rs = {{1}};
    struct vault *v = NULL;
    struct session *s = NULL;
    struct session_opts opts = {
        .loop = rig.loop,
        .vault = rig.vault,
        .store = rig.store,
        .index = rig.index,
        .tools = rig.tools,
        .chunk_room = rig.chunks,
        .part_room = rig.parts,
        .budget = rig.budget,
        .ceiling_bytes = SESSION_FLOOR_BYTES - 1,
        .clock = &rig.clock,
        .series = "x",
        .events = {.done = (void (*)(void *, const struct err *,
                                     const struct session_result *))1},
    };
    struct err err;

    (void)state;
    assert_int_equal(session_start(&opts, &s, &err), ERR_ARGUMENT);
    opts.ceiling_bytes++;
    opts.series = "";
    assert_int_equal(session_start(&opts, &s, &err), ERR_ARGUMENT);
    opts.series = "x";
    assert_int_equal(keyring_new(rig.suite, &rs, &none, &err), ERR_OK);
    assert_int_equal(vault_new(none, &rig.settings, &v, &err), ERR_OK);
    opts.vault = v;
    assert_int_equal(session_start(&opts, &s, &err), ERR_KEY);
    assert_null(s);
    vault_unref(v);
    keyring_unref(none);
}

/* ---- the journal ---- */

static void nothing_is_sent_before_its_row_stands(void **state)
{
    uint8_t *data = noise(40 * MIB, 7);
    struct rig_backup b = one_disk(data, 40 * MIB);

    (void)state;
    b.note_ms = 3; /* each one late; the rig looks that nothing is there */
    rig_backup(&rig, &b);
    rig_compare(&rig, &b);
    assert_int_equal(b.points_opened, 1);
    /* An upload and a run at least; and the row of the point is left. */
    assert_in_range(b.opening, 3, 100);
    assert_int_equal(b.closed, b.opening - 1);
    free(data);
}

static void without_a_row_nothing_is_sent(void **state)
{
    uint8_t *data = noise(40 * MIB, 7);
    struct rig_backup b = one_disk(data, 40 * MIB);

    (void)state;
    for (b.note_ms = 0; b.note_ms < 2; b.note_ms++) {
        b.done = b.at_disk = b.ready = 0;
        b.at = b.total = 0;
        b.refused = b.finished = false;
        b.closed = 0;
        err_set(&b.note_err, ERR_IO, 0, "catalog: the disk is full");
        rig_start(&rig, &b);
        rig_run(&rig);
        assert_int_equal(b.err.code, ERR_IO);
        assert_non_null(strstr(b.err.text, "the disk is full"));
        nothing_is_left(&b, 0, "without a row", 1);
        assert_int_equal(rig_count(&rig, "packs/"), 0);
        assert_int_equal(b.closed, 0);
    }
    free(data);
}

/* A mistake of ours that leaves a session with nothing to wait for must not
 * become a job that never ends. */
static void what_stands_still_is_given_up(void **state)
{
    uint8_t *data = noise(MIB, 9);
    unsigned given_up = 0;

    (void)state;
    if (!failpoint_names()[0])
        skip(); /* a build without them */
    for (unsigned n = 1; n <= 12; n++) {
        struct rig_backup b = one_disk(data, MIB);
        size_t points = rig_count(&rig, "points/");
        char setting[64];

        snprintf(setting, sizeof(setting), "session_step_lost=error@%u", n);
        setenv("CAIRN_FAILPOINTS", setting, 1);
        failpoint_setup();
        rig_start(&rig, &b);
        rig_run(&rig);
        rig.wall_ms += 1000;
        if (b.err.code == ERR_OK) {
            rig_compare(&rig, &b);
            continue;
        }
        assert_int_equal(b.err.code, ERR_AGAIN);
        assert_non_null(strstr(b.err.text, "nothing is under way"));
        nothing_is_left(&b, points, "a step that was lost", n);
        given_up++;
    }
    unsetenv("CAIRN_FAILPOINTS");
    assert_true(given_up >= 3); /* after LIST, after PUT, after LIST again */
    free(data);
}

static int begin(void **state)
{
    (void)state;
    rig_init(&rig);
    return 0;
}

static int end(void **state)
{
    (void)state;
    rig_fini(&rig);
    return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_operation_that_fails_ends_it_cleanly),
        T(each_answer_that_is_lost_ends_it_cleanly),
        T(each_listing_that_breaks_ends_it_cleanly),
        T(a_point_that_reads_back_wrongly_is_not_committed),
        T(what_failed_to_be_stored_is_not_known),
        T(a_put_that_was_repeated_is_no_conflict),
        T(a_packs_name_that_is_taken_fails_it),
        T(cancelling_works_at_any_time),
        T(a_point_without_an_answer_is_named),
        T(cancelling_works_at_any_byte),
        T(cancelling_at_once_works),
        T(a_stalled_store_stops_the_source),
        T(what_breaks_the_rules_fails_the_session),
        T(a_session_needs_keys_and_a_ceiling),
        T(nothing_is_sent_before_its_row_stands),
        T(without_a_row_nothing_is_sent),
        T(what_stands_still_is_given_up),
    };

    work_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
