/* SPDX-License-Identifier: Apache-2.0 */
#include "session_rig.h"

#include "vault/chunk_read.h"
#include "vault/list_read.h"
#include "vault/pack_read.h"
#include "vault/sealed.h"

static struct rig rig;
static struct id16 pack_id;
static char plain[NAME_TEXT]; /* the pack as it was written */

#define LEN (5 * MIB)

/* --- asking ---------------------------------------------------------- */

struct asked {
    struct pack_read *read;
    unsigned done;
    struct err err;
    const struct pack_table *table;
};

static void on_table(void *ctx, const struct err *err,
                     const struct pack_table *table)
{
    struct asked *a = ctx;

    a->done++;
    a->err = *err;
    a->table = table;
    rig.running--;
}

static struct asked *start(struct asked *a, bool header)
{
    struct pack_read_opts opts = {.store = rig.store,
                                  .keys = rig.keys,
                                  .kind = SEAL_SLOT_DATA,
                                  .pack_id = pack_id,
                                  .header = header,
                                  .done = on_table,
                                  .ctx = a};
    struct err err;

    memset(a, 0, sizeof(*a));
    assert_int_equal(pack_read_start(&opts, &a->read, &err), ERR_OK);
    assert_int_equal(a->done, 0);
    rig.running++;
    return a;
}

static enum err_code ask(struct asked *a, bool header)
{
    start(a, header);
    rig_run(&rig);
    assert_int_equal(a->done, 1);
    assert_int_equal(a->table != NULL, a->err.code == ERR_OK);
    return a->err.code;
}

static enum err_code ask_again(struct asked *a)
{
    struct err why;

    err_set(&why, ERR_INTEGRITY, 0, "a slot is bad");
    rig.running++;
    pack_read_again(a->read, &why);
    assert_int_equal(a->done, 1); /* never from inside */
    rig_run(&rig);
    assert_int_equal(a->done, 2);
    a->done = 1;
    return a->err.code;
}

static void name_of(unsigned gen, uint32_t rand, char out[NAME_TEXT])
{
    struct name n = {
        .kind = NAME_PACK, .id = pack_id, .gen = (uint16_t)gen, .rand = rand};

    name_text(&n, out);
}

/* What a compaction writes that drops nothing: the same slots, a new toc. */
static void regenerate(unsigned gen, uint32_t rand)
{
    struct slice from = rig_object(&rig, plain);
    struct pack_table t;
    struct buf toc, object;
    uint8_t tail[PACK_LAYOUT_TAIL];
    char name[NAME_TEXT];
    struct err err = {0};
    uint8_t *entries;

    name_of(gen, rand, name);
    assert_int_equal(pack_table_open(&t, rig.keys, plain, from, &err), ERR_OK);
    entries = malloc(t.slots * PACK_LAYOUT_ENTRY);
    for (uint32_t i = 0; i < t.slots; i++)
        pack_layout_put_entry(entries + i * PACK_LAYOUT_ENTRY, &t.slot[i]);
    buf_init(&toc, MIB);
    buf_init(&object, 64 * MIB);
    pack_layout_put_toc(&toc, t.tail.digest, entries, t.slots);
    buf_add(&object, from.data, t.tail.toc_offset);
    assert_int_equal(sealed_make(rig.keys, SEAL_STREAM_TOC, name,
                                 (struct slice){toc.data, toc.len}, &object,
                                 &err),
                     ERR_OK);
    pack_layout_put_tail(tail, &t.tail);
    buf_add(&object, tail, sizeof(tail));
    assert_true(store_fault_poke(rig.bucket, name, object.data, object.len,
                                 rig.wall_ms));
    buf_fini(&toc);
    buf_fini(&object);
    free(entries);
    pack_table_fini(&t);
}

static void spoil(const char *name)
{
    struct slice object = rig_object(&rig, name);

    assert_true(store_fault_damage(rig.bucket, name, object.len - 100, 1));
}

/* --- tables ---------------------------------------------------------- */

static void a_pack_opens_with_one_get_or_two(void **state)
{
    struct asked a;
    struct seal_key key;
    struct err err;
    uint64_t before = store_fault_count(rig.store, FAULT_ANY);

    (void)state;
    assert_int_equal(ask(&a, false), ERR_OK);
    assert_int_equal(store_fault_count(rig.store, FAULT_ANY) - before, 1);
    assert_string_equal(a.table->name, plain);
    assert_int_equal(a.table->slots, LEN / 131072);
    assert_false(a.table->has_header);
    pack_read_free(a.read);
    before = store_fault_count(rig.store, FAULT_ANY);
    assert_int_equal(ask(&a, true), ERR_OK);
    assert_int_equal(store_fault_count(rig.store, FAULT_ANY) - before, 2);
    assert_int_equal(pack_table_key(a.table, rig.keys, &key, &err), ERR_OK);
    pack_read_free(a.read);
}

static void the_greatest_name_is_tried_next_then_the_others(void **state)
{
    struct asked a;
    char names[3][NAME_TEXT];

    (void)state;
    for (unsigned g = 1; g <= 3; g++) {
        name_of(g, 7 + g, names[g - 1]);
        regenerate(g, 7 + g);
    }
    assert_int_equal(ask(&a, true), ERR_OK);
    assert_string_equal(a.table->name, plain);
    assert_int_equal(ask_again(&a), ERR_OK);
    assert_string_equal(a.table->name, names[2]);
    spoil(names[1]);
    assert_int_equal(ask_again(&a), ERR_OK); /* passes the bad one over */
    assert_string_equal(a.table->name, names[0]);
    assert_int_equal(ask_again(&a), ERR_INTEGRITY);
    assert_string_equal(a.err.text, "a slot is bad"); /* the first cause */
    pack_read_free(a.read);
    /* the plain one is gone, as after a compaction */
    store_fault_drop(rig.bucket, plain);
    assert_int_equal(ask(&a, false), ERR_OK);
    assert_string_equal(a.table->name, names[2]);
    pack_read_free(a.read);
}

static void a_pack_that_is_nowhere_is_not_found(void **state)
{
    struct asked a;

    (void)state;
    store_fault_drop(rig.bucket, plain);
    assert_int_equal(ask(&a, true), ERR_NOT_FOUND);
    pack_read_free(a.read);
}

static void damage_everywhere_is_told_as_damage(void **state)
{
    struct asked a;
    char name[NAME_TEXT];

    (void)state;
    regenerate(1, 1);
    name_of(1, 1, name);
    spoil(name);
    store_fault_drop(rig.bucket, plain);
    assert_int_equal(ask(&a, true), ERR_INTEGRITY);
    assert_non_null(strstr(a.err.text, name));
    pack_read_free(a.read);
}

/* A compaction takes a name away between LIST and GET: list again. */
static void names_that_vanish_are_listed_again(void **state)
{
    struct asked a;
    char name[NAME_TEXT], greater[NAME_TEXT];
    struct store_fault_rule hold = {
        .kind = FAULT_GET, .nth = 2, .action = FAULT_HOLD};

    (void)state;
    regenerate(1, 1);
    regenerate(2, 2);
    name_of(1, 1, name);
    name_of(2, 2, greater);
    assert_true(store_fault_rename(rig.bucket, greater, "tmp"));
    store_fault_drop(rig.bucket, plain);
    store_fault_add(rig.store, &hold);
    start(&a, false);
    while (!store_fault_held(rig.store))
        uv_run(loop_uv(rig.loop), UV_RUN_ONCE);
    assert_true(store_fault_rename(rig.bucket, "tmp", greater));
    store_fault_drop(rig.bucket, name);
    store_fault_release(rig.store);
    rig_run(&rig);
    store_fault_clear(rig.store);
    assert_int_equal(a.err.code, ERR_OK);
    assert_string_equal(a.table->name, greater);
    pack_read_free(a.read);
}

static void the_way_to_the_store_is_no_damage(void **state)
{
    (void)state;
    regenerate(1, 1);
    for (unsigned n = 1; n <= 2; n++) {
        struct store_fault_rule rule = {
            .kind = FAULT_GET, .nth = n, .code = ERR_UNREACHABLE};
        struct asked a;

        store_fault_add(rig.store, &rule);
        assert_int_equal(ask(&a, true), ERR_UNREACHABLE);
        store_fault_clear(rig.store);
        pack_read_free(a.read);
    }
}

static void opening_can_be_cancelled_at_any_time(void **state)
{
    (void)state;
    for (unsigned turns = 0; turns < 8; turns++) {
        struct asked a;

        start(&a, true);
        for (unsigned i = 0; i < turns && !a.done; i++)
            rig_turn(&rig);
        if (!a.done)
            pack_read_cancel(a.read);
        rig_run(&rig);
        assert_int_equal(a.done, 1);
        assert_true(a.err.code == ERR_CANCELLED || a.err.code == ERR_OK);
        pack_read_free(a.read);
    }
}

/* --- single chunks --------------------------------------------------- */

static const uint8_t *contents;

struct chunk {
    struct chunk_read *reader;
    unsigned done;
    struct err err;
    bool right;
    uint32_t slot;
};

static void on_chunk(void *ctx, const struct err *err, const uint8_t *raw,
                     const struct pack_slot *slot)
{
    struct chunk *c = ctx;

    c->done++;
    c->err = *err;
    c->right = raw && slot->raw == 131072 &&
               memcmp(raw, contents + 131072 * (size_t)c->slot, 131072) == 0;
    rig.running--;
}

static enum err_code read_chunk(struct chunk *c, uint32_t slot)
{
    struct chunk_read_opts opts = {.kind = SEAL_SLOT_DATA,
                                   .slot = slot,
                                   .pack_id = pack_id,
                                   .done = on_chunk,
                                   .ctx = c};
    struct err err;

    c->done = 0;
    c->slot = slot;
    assert_int_equal(chunk_read_start(c->reader, &opts, &err), ERR_OK);
    assert_int_equal(c->done, 0);
    rig.running++;
    rig_run(&rig);
    assert_int_equal(c->done, 1);
    assert_int_equal(c->right, c->err.code == ERR_OK);
    return c->err.code;
}

static void chunks_are_read_one_by_one(void **state)
{
    struct chunk c = {.reader = chunk_read_new(rig.store, rig.keys)};
    uint64_t before;

    (void)state;
    assert_int_equal(read_chunk(&c, 3), ERR_OK);
    before = store_fault_count(rig.store, FAULT_ANY);
    for (uint32_t i = 0; i < LEN / 131072; i++)
        assert_int_equal(read_chunk(&c, i), ERR_OK);
    assert_int_equal(store_fault_count(rig.store, FAULT_ANY) - before,
                     LEN / 131072);
    assert_int_equal(read_chunk(&c, LEN / 131072), ERR_NOT_FOUND);
    assert_int_equal(read_chunk(&c, 2), ERR_OK);
    chunk_read_free(c.reader);
}

static void a_bad_slot_is_read_from_another_object(void **state)
{
    struct chunk c = {.reader = chunk_read_new(rig.store, rig.keys)};

    (void)state;
    regenerate(1, 1);
    /* the middle of slot 4 in the plain one */
    store_fault_damage(rig.bucket, plain, 96 + 4 * (131072 + 16) + 1000, 1);
    assert_int_equal(read_chunk(&c, 4), ERR_OK);
    assert_int_equal(read_chunk(&c, 5), ERR_OK);
    chunk_read_free(c.reader);
    store_fault_drop(rig.bucket, rig_name(&rig, "packs/", 1));
    c.reader = chunk_read_new(rig.store, rig.keys);
    assert_int_equal(read_chunk(&c, 4), ERR_INTEGRITY);
    assert_int_equal(read_chunk(&c, 5), ERR_OK);
    chunk_read_free(c.reader);
}

/* --- lists ----------------------------------------------------------- */

struct listing {
    unsigned done, bad, each;
    struct err err;
    struct store_info info;
};

static void on_lists(void *ctx, const struct err *err,
                     const struct store_info *info)
{
    struct listing *l = ctx;

    l->done++;
    l->err = *err;
    l->info = *info;
    rig.running--;
}

static void on_bad(void *ctx, const char *name, const struct err *err)
{
    (void)name;
    assert_int_not_equal(err->code, ERR_OK);
    ((struct listing *)ctx)->bad++;
}

static void on_list(void *ctx, const char *name, struct slice sealed)
{
    (void)name;
    assert_true(sealed.len > 0);
    ((struct listing *)ctx)->each++;
}

static struct listing read_lists(struct list_set *set, bool lenient)
{
    struct listing l = {0};
    struct list_read_opts opts = {.store = rig.store,
                                  .keys = rig.keys,
                                  .set = set,
                                  .lenient = lenient,
                                  .on_bad = on_bad,
                                  .on_list = on_list,
                                  .done = on_lists,
                                  .ctx = &l};
    struct list_read *r;
    struct err err;

    assert_int_equal(list_read_start(&opts, &r, &err), ERR_OK);
    assert_int_equal(l.done, 0);
    rig.running++;
    rig_run(&rig);
    assert_int_equal(l.done, 1);
    return l;
}

static void put_lists(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char time[64];
        struct id16 id = {{(uint8_t)i, 1}};

        snprintf(time, sizeof(time), "20250615T15%02u%02uZ-00000001", i / 60,
                 i % 60);
        rig_condemn(&rig, time, id, i, 1);
    }
}

static void only_new_lists_are_read(void **state)
{
    struct list_set *set = list_set_new();
    struct listing l;
    struct id16 id = {{29, 1}};

    (void)state;
    put_lists(30);
    l = read_lists(set, false);
    assert_int_equal(l.err.code, ERR_OK);
    assert_int_equal(l.each, 30);
    assert_int_equal(l.info.date_ms, rig.wall_ms);
    assert_int_equal(list_set_count(set), 30);
    assert_true(condemned_has(list_set_condemned(set), &id, 29));
    put_lists(31);
    l = read_lists(set, false);
    assert_int_equal(l.each, 1);
    list_set_free(set);
}

static void a_list_that_cannot_be_read_is_told(void **state)
{
    struct list_set *set = list_set_new();
    struct listing l;

    (void)state;
    put_lists(5);
    store_fault_damage(rig.bucket, rig_name(&rig, "gc/", 2), 90, 1);
    l = read_lists(set, false);
    assert_int_equal(l.err.code, ERR_INTEGRITY);
    l = read_lists(set, true);
    assert_int_equal(l.err.code, ERR_OK);
    assert_int_equal(l.bad, 1);
    assert_int_equal(list_set_count(set), 4);
    list_set_free(set);
}

/* Merged away between LIST and GET: the union is there by then. */
static void lists_that_vanish_are_listed_again(void **state)
{
    struct list_set *set = list_set_new();
    struct listing l = {0};
    struct list_read_opts opts = {.store = rig.store,
                                  .keys = rig.keys,
                                  .set = set,
                                  .done = on_lists,
                                  .ctx = &l};
    struct store_fault_rule hold = {.kind = FAULT_GET, .action = FAULT_HOLD};
    struct list_read *r;
    struct id16 id = {{77}};
    struct err err;

    (void)state;
    put_lists(2);
    store_fault_add(rig.store, &hold);
    assert_int_equal(list_read_start(&opts, &r, &err), ERR_OK);
    rig.running++;
    while (store_fault_held(rig.store) < 2)
        uv_run(loop_uv(rig.loop), UV_RUN_ONCE);
    store_fault_drop(rig.bucket, rig_name(&rig, "gc/", 0));
    store_fault_drop(rig.bucket, rig_name(&rig, "gc/", 0));
    rig_condemn(&rig, "20250615T150001Z-00000002", id, 0, 0);
    store_fault_clear(rig.store);
    store_fault_release(rig.store);
    rig_run(&rig);
    assert_int_equal(l.err.code, ERR_OK);
    assert_true(condemned_has(list_set_condemned(set), &id, 1));
    list_set_free(set);
}

/* Whoever can write to the store can plant some that are as large as any may
 * be: they do not come all at once. */
static void large_lists_come_one_after_the_other(void **state)
{
    struct list_set *set = list_set_new();
    struct listing l = {0};
    struct list_read_opts opts = {.store = rig.store,
                                  .keys = rig.keys,
                                  .set = set,
                                  .lenient = true,
                                  .on_bad = on_bad,
                                  .done = on_lists,
                                  .ctx = &l};
    struct store_fault_rule hold = {.kind = FAULT_GET, .action = FAULT_HOLD};
    uint8_t *bytes = calloc(1, 9 * MIB);
    uint64_t before = store_fault_count(rig.store, FAULT_GET);
    struct list_read *r;
    struct err err;
    char name[NAME_TEXT];

    (void)state;
    assert_non_null(bytes);
    put_lists(2);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "gc/20250615T1600%02uZ-00000001", i);
        assert_true(store_fault_poke(rig.bucket, name, bytes, 9 * MIB, 1000));
    }
    free(bytes);
    store_fault_add(rig.store, &hold);
    assert_int_equal(list_read_start(&opts, &r, &err), ERR_OK);
    rig.running++;
    while (store_fault_held(rig.store) < 3)
        uv_run(loop_uv(rig.loop), UV_RUN_ONCE);
    for (unsigned i = 0; i < 5; i++)
        uv_run(loop_uv(rig.loop), UV_RUN_NOWAIT);
    assert_int_equal(store_fault_count(rig.store, FAULT_GET) - before, 3);
    store_fault_clear(rig.store);
    store_fault_release(rig.store);
    rig_run(&rig);
    assert_int_equal(l.err.code, ERR_OK);
    assert_int_equal(l.bad, 4);
    assert_int_equal(list_set_count(set), 2);
    list_set_free(set);
}

static int begin(void **state)
{
    static uint8_t data[LEN];
    struct rig_backup b = {.disks = 1,
                           .disk = {{{.vdi = {{9}}, .bytes = LEN}, data}}};
    struct name n;

    (void)state;
    rig_init(&rig);
    rig_fill_noise(data, LEN, 3);
    contents = data;
    rig_backup(&rig, &b);
    snprintf(plain, sizeof(plain), "%s", rig_name(&rig, "packs/", 0));
    assert_true(name_parse(plain, &n));
    pack_id = n.id;
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
        T(a_pack_opens_with_one_get_or_two),
        T(the_greatest_name_is_tried_next_then_the_others),
        T(a_pack_that_is_nowhere_is_not_found),
        T(damage_everywhere_is_told_as_damage),
        T(names_that_vanish_are_listed_again),
        T(the_way_to_the_store_is_no_damage),
        T(opening_can_be_cancelled_at_any_time),
        T(chunks_are_read_one_by_one),
        T(a_bad_slot_is_read_from_another_object),
        T(only_new_lists_are_read),
        T(a_list_that_cannot_be_read_is_told),
        T(lists_that_vanish_are_listed_again),
        T(large_lists_come_one_after_the_other),
    };

    work_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
