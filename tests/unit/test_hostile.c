/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that alters, cuts, lengthens, swaps, replaces, hides and plants what
 * it holds (docs/format.md 8). Each row of the tables below is one way to do
 * it, tried on every object of the kind in a vault that sessions wrote: two
 * VMs, disks in pages and plain, chunks that both share, wraps for two people.
 *
 * After each: no restore gives a wrong byte; a full verification names as hurt
 * exactly the points that do not restore, finds what the row says it must, and
 * names the object; what need not be touched by it restores.
 *
 * Of objects of one kind the first has every row and the others a few in turn;
 * with CAIRN_HOSTILE=all in the environment all have all. With
 * CAIRN_HOSTILE_OUT the changed vaults are written there, and nothing is
 * checked.
 *
 * What a session itself must notice is proved elsewhere, by name:
 *  an old state, a point under another's name    test_session_commit
 *    (an_old_state_is_noticed, another_point_under_the_name_is_noticed)
 *  a planted key or wrap, another vault's key    test_vault_open, test_writer
 *  keys that lack a recovery recipient           test_session_commit
 *    (packs_without_a_recovery_wrap_are_not_used_again)
 *  a collection list that cannot be read         test_session_commit
 *  unknown suites, versions, kinds, fields       test_seal_*, test_point
 *  no key and nonce twice                        test_seal_seen
 */
#include "hostile_rig.h"

static void nothing_is_wrong_at_first(void **state)
{
    static const struct hostile_rig_thing none = {.name = "none",
                                                  .kind = NAME_LIST};

    (void)state;
    hostile_rig_check("as it was", &none, NULL, HARMLESS);
    assert_true(hostile_rig.our_count >= 16 && hostile_rig.their_count >= 16);
}

/* --- single bytes --------------------------------------------------------- */

enum base { BEGIN, TOC, TAIL, END };

struct byte_class {
    const char *why;
    enum base base;
    int at;
    unsigned must;
};

#define GONE (FOUND | SEALED | HURTS)
#define SEEN (FOUND | SEALED | HARMLESS)

/* Of packs and maps; what the name or a key proves is wrong without data keys
 * too, since tables and digests are under MK. */
static const struct byte_class pack_bytes[] = {
    {"header: magic", BEGIN, 0, GONE},
    {"header: version", BEGIN, 8, GONE},
    {"header: suite", BEGIN, 9, GONE},
    {"header: kind", BEGIN, 10, GONE},
    {"header: key id", BEGIN, 12, GONE},
    {"header: pack id", BEGIN, 43, GONE},
    {"header: salt", BEGIN, 44, GONE},
    {"header: commitment", BEGIN, 60, GONE},
    {"header: CRC", BEGIN, 95, GONE},
    {"slot 0: ciphertext", BEGIN, 96, FOUND | SEALED},
    {"slot 0: further in", BEGIN, 120, FOUND | SEALED},
    {"padding", TOC, -1, SEEN},
    {"toc: magic", TOC, 0, GONE},
    {"toc: version", TOC, 8, GONE},
    {"toc: suite", TOC, 9, GONE},
    {"toc: kind", TOC, 10, GONE},
    {"toc: zero", TOC, 15, GONE},
    {"toc: key id", TOC, 16, GONE},
    {"toc: salt", TOC, 32, GONE},
    {"toc: commitment", TOC, 48, GONE},
    {"toc: digest, sealed", TOC, 80, GONE},
    {"toc: slot count, sealed", TOC, 112, GONE},
    {"toc: first chunk id, sealed", TOC, 120, GONE},
    {"toc: tag", TAIL, -1, GONE},
    {"tail: toc offset", TAIL, 0, GONE},
    {"tail: toc length", TAIL, 8, GONE},
    {"tail: slot count", TAIL, 12, GONE},
    {"tail: digest", TAIL, 16, GONE},
    {"tail: magic", TAIL, 48, GONE},
    {"tail: CRC", TAIL, 56, GONE},
    {"tail: zero", TAIL, 63, GONE},
};

/* Of points, lists and index runs. */
static const struct byte_class stream_bytes[] = {
    {"magic", BEGIN, 0, FOUND | SEALED},
    {"version", BEGIN, 8, FOUND | SEALED},
    {"suite", BEGIN, 9, FOUND | SEALED},
    {"kind", BEGIN, 10, FOUND | SEALED},
    {"zero", BEGIN, 12, FOUND | SEALED},
    {"key id", BEGIN, 16, FOUND | SEALED},
    {"salt", BEGIN, 32, FOUND | SEALED},
    {"commitment", BEGIN, 48, FOUND | SEALED},
    {"ciphertext", BEGIN, 80, FOUND | SEALED},
    {"last of the ciphertext", END, -17, FOUND | SEALED},
    {"tag", END, -1, FOUND | SEALED},
};

/* Of wraps: what is sealed in them only their recipient can tell. */
static const struct byte_class wrap_bytes[] = {
    {"magic", BEGIN, 0, SEEN | WRAP},    {"version", BEGIN, 8, SEEN | WRAP},
    {"suite", BEGIN, 9, SEEN | WRAP},    {"method", BEGIN, 10, SEEN | WRAP},
    {"log2 N", BEGIN, 11, SEEN | WRAP},  {"what", BEGIN, 12, SEEN | WRAP},
    {"zero", BEGIN, 15, SEEN | WRAP},    {"key id", BEGIN, 16, SEEN | WRAP},
    {"salt", BEGIN, 32, HARMLESS},       {"ephemeral key", BEGIN, 48, HARMLESS},
    {"commitment", BEGIN, 80, HARMLESS}, {"box", BEGIN, 112, HARMLESS},
    {"tag", BEGIN, 159, HARMLESS},
};

static size_t place_of(const struct hostile_rig_thing *t,
                       const struct byte_class *c)
{
    uint64_t base[] = {0, 0, t->len - PACK_LAYOUT_TAIL, t->len};

    if (c->base == TOC)
        base[TOC] = bytes_get_u64(t->data + base[TAIL]);
    return (size_t)((int64_t)base[c->base] + c->at);
}

static void flip_each(size_t object, const struct byte_class *rows,
                      size_t count)
{
    const struct hostile_rig_thing *t = &hostile_rig.ours[object];

    for (size_t i = 0; i < count; i++) {
        size_t at = place_of(t, &rows[i]);

        if (!hostile_rig_is_due(object, i))
            continue;
        assert_true(store_fault_damage(hostile_rig.bucket, t->name, at, 0x40));
        hostile_rig_check(rows[i].why, t, NULL, rows[i].must);
    }
}

static void every_byte_of_every_kind_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < hostile_rig.our_count; i++) {
        const struct hostile_rig_thing *t = &hostile_rig.ours[i];

        if (t->kind == NAME_PACK || t->kind == NAME_MAP)
            flip_each(i, pack_bytes, BYTES_COUNT(pack_bytes));
        else if (t->kind == NAME_KEY)
            flip_each(i, wrap_bytes, BYTES_COUNT(wrap_bytes));
        else if (t->kind == NAME_POINT || t->kind == NAME_LIST ||
                 t->kind == NAME_INDEX)
            flip_each(i, stream_bytes, BYTES_COUNT(stream_bytes));
    }
}

/* Suite, version, kind and ids with a checksum that fits: who alters them can
 * compute it. */
static void downgrades_with_a_right_checksum_are_refused(void **state)
{
    static const int header[] = {8, 9, 10, 12, 28, 44, 60};
    static const int tail[] = {0, 8, 12, 16};

    (void)state;
    for (size_t i = 0; i < hostile_rig.our_count; i++) {
        struct hostile_rig_thing *t = &hostile_rig.ours[i];
        uint8_t *copy = malloc(t->len), *end = copy + t->len - 64;

        assert_non_null(copy);
        for (size_t k = 0; k < BYTES_COUNT(header) + BYTES_COUNT(tail); k++) {
            bool head = k < BYTES_COUNT(header);

            if ((t->kind != NAME_PACK && t->kind != NAME_MAP) ||
                !hostile_rig_is_due(i, k))
                continue;
            memcpy(copy, t->data, t->len);
            if (head)
                copy[header[k]] ^= 1;
            else
                end[tail[k - BYTES_COUNT(header)]] ^= 1;
            bytes_put_u32(copy + 92, seal_digest_crc32c(0, copy, 92));
            bytes_put_u32(end + 56, seal_digest_crc32c(0, end, 56));
            hostile_rig_put(t->name, copy, t->len);
            hostile_rig_check(head ? "header, its CRC right"
                                   : "tail, its CRC right",
                              t, NULL, GONE);
        }
        free(copy);
    }
}

/* --- lengths, places, absence ----------------------------------------------*/

/* What becomes of an object that nothing can be read of. */
static unsigned when_spoilt(const struct hostile_rig_thing *t)
{
    switch (t->kind) {
    case NAME_PACK:
    case NAME_MAP:
    case NAME_POINT:
        return GONE;
    case NAME_KEY:
        return SEEN | WRAP;
    default:
        return SEEN;
    }
}

static void what_is_cut_or_lengthened_is_refused(void **state)
{
    static const int by[] = {-1, -16, -64, 1, 16, 64, 65536};

    (void)state;
    for (size_t i = 0; i < hostile_rig.our_count; i++) {
        const struct hostile_rig_thing *t = &hostile_rig.ours[i];
        uint8_t *longer = calloc(1, t->len + 65536);

        assert_non_null(longer);
        memcpy(longer, t->data, t->len);
        for (size_t k = 0; k < BYTES_COUNT(by); k++) {
            if (!hostile_rig_is_due(i, k))
                continue;
            hostile_rig_put(t->name, longer, (size_t)((int64_t)t->len + by[k]));
            hostile_rig_check("another length", t, NULL, when_spoilt(t));
        }
        hostile_rig_put(t->name, longer,
                        hostile_rig_is_first(i) ? 0 : t->len / 2);
        hostile_rig_check("emptied or halved", t, NULL, when_spoilt(t));
        free(longer);
    }
}

/* Each object in the place of each other one: of the same kind and not, of the
 * same VM and another's. */
static void what_is_swapped_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < hostile_rig.our_count; i++)
        for (size_t k = i + 1; k < hostile_rig.our_count; k++) {
            const struct hostile_rig_thing *a = &hostile_rig.ours[i],
                                           *b = &hostile_rig.ours[k];
            unsigned must = FOUND | SEALED | HURTS;

            if (!hostile_rig.all && !(k == i + 1 || (hostile_rig_is_first(i) &&
                                                     hostile_rig_is_first(k))))
                continue;
            /* Two wraps of one key: each opens for the other's recipient only,
             * which nobody else can tell. */
            if (a->kind == NAME_KEY && b->kind == NAME_KEY &&
                memcmp(a->data + 16, b->data + 16, 16) == 0)
                must = 0;
            if (a->kind == NAME_KEY || b->kind == NAME_KEY)
                must |= WRAP;
            hostile_rig_put(a->name, b->data, b->len);
            hostile_rig_put(b->name, a->data, a->len);
            hostile_rig_check("swapped", a, b, must);
        }
}

static void slots_that_change_places_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < hostile_rig.our_count; i++) {
        const struct hostile_rig_thing *t = &hostile_rig.ours[i];
        struct pack_table table = {0};
        struct slice o = {t->data, t->len};
        uint8_t *copy;
        struct err err;

        if (t->kind != NAME_PACK)
            continue;
        assert_int_equal(
            pack_table_open(&table, hostile_rig.keys, t->name, o, &err),
            ERR_OK);
        copy = malloc(t->len);
        assert_non_null(copy);
        for (uint32_t s = 1; s < table.slots && hostile_rig_is_due(i, s); s++) {
            uint64_t n = table.slot[s].stored;

            if (table.slot[s - 1].stored < n)
                n = table.slot[s - 1].stored;
            memcpy(copy, t->data, t->len);
            memcpy(copy + table.offset[s - 1], t->data + table.offset[s], n);
            memcpy(copy + table.offset[s], t->data + table.offset[s - 1], n);
            hostile_rig_put(t->name, copy, t->len);
            hostile_rig_check("slots swapped", t, NULL, FOUND | SEALED);
            memcpy(copy, t->data, t->len);
            memcpy(copy + table.offset[s], t->data + table.offset[s - 1], n);
            hostile_rig_put(t->name, copy, t->len);
            hostile_rig_check("a slot repeated", t, NULL, FOUND | SEALED);
        }
        pack_table_fini(&table);
        free(copy);
    }
}

static void what_is_gone_is_missed(void **state)
{
    (void)state;
    for (size_t i = 0; i < hostile_rig.our_count; i++) {
        const struct hostile_rig_thing *t = &hostile_rig.ours[i];
        unsigned must = HARMLESS; /* caches and hints */

        if (t->kind == NAME_PACK || t->kind == NAME_MAP)
            must = FOUND | SEALED | HURTS;
        else if (t->kind == NAME_POINT) /* a later point remembers the first
                        alone; of the last the gateway's witness knows */
            must = HURTS | (strcmp(t->name, hostile_rig.points[0].name)
                                ? 0
                                : FOUND | SEALED);
        assert_true(store_fault_drop(hostile_rig.bucket, t->name));
        hostile_rig_check("gone", t, NULL, must);
    }
}

/* --- what is planted ------------------------------------------------------ */

static void what_is_of_another_tenant_replaces_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < hostile_rig.our_count; i++)
        for (size_t k = 0; k < hostile_rig.their_count; k++) {
            const struct hostile_rig_thing *t = &hostile_rig.ours[i];

            if (hostile_rig.theirs[k].kind != t->kind ||
                !hostile_rig_is_due(i, k))
                continue;
            hostile_rig_put(t->name, hostile_rig.theirs[k].data,
                            hostile_rig.theirs[k].len);
            hostile_rig_check("another tenant's in its place", t, NULL,
                              when_spoilt(t));
        }
}

static void what_is_planted_hurts_nobody(void **state)
{
    (void)state;
    for (size_t k = 0; k < hostile_rig.their_count; k++) {
        const struct hostile_rig_thing *t = &hostile_rig.theirs[k];
        unsigned must = FOUND | SEALED | HARMLESS;

        if (t->kind == NAME_FORMAT)
            continue; /* ours is there */
        if (t->kind == NAME_KEY || t->kind == NAME_RECOVERY)
            must = HARMLESS; /* a recipient is no news to anybody */
        hostile_rig_put(t->name, t->data, t->len);
        hostile_rig_check("another tenant's under its own name", t, NULL, must);
    }
    for (size_t i = 0; i < hostile_rig.our_count; i++) {
        struct hostile_rig_thing t = hostile_rig.ours[i];
        struct name n;

        assert_true(name_parse(t.name, &n));
        if (t.kind == NAME_PACK || t.kind == NAME_MAP)
            n.id.b[15] ^= 1;
        else if (t.kind == NAME_POINT)
            n.id.b[0] ^= 1; /* another VM's */
        else if (t.kind == NAME_LIST || t.kind == NAME_INDEX)
            n.rand ^= 1;
        else
            continue;
        name_text(&n, t.name);
        hostile_rig_put(t.name, t.data, t.len);
        hostile_rig_check("a copy under another name", &t, NULL, SEEN);
        if (t.kind != NAME_POINT)
            continue;
        assert_true(name_parse(hostile_rig.ours[i].name, &n));
        n.time_ms += 86400000; /* an old point as the newest */
        name_text(&n, t.name);
        hostile_rig_put(t.name, t.data, t.len);
        hostile_rig_check("a copy at another time", &t, NULL, SEEN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_wrong_at_first),
        cmocka_unit_test(every_byte_of_every_kind_counts),
        cmocka_unit_test(downgrades_with_a_right_checksum_are_refused),
        cmocka_unit_test(what_is_cut_or_lengthened_is_refused),
        cmocka_unit_test(what_is_swapped_is_refused),
        cmocka_unit_test(slots_that_change_places_are_refused),
        cmocka_unit_test(what_is_gone_is_missed),
        cmocka_unit_test(what_is_of_another_tenant_replaces_nothing),
        cmocka_unit_test(what_is_planted_hurts_nobody),
    };

    return cmocka_run_group_tests(tests, hostile_rig_set_up,
                                  hostile_rig_tear_down);
}
