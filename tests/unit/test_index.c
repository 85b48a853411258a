/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "vault/index.h"
#include "vault/pack_layout.h"

#define SLOTS 700u

static struct loop *loop;
static struct lane *lane;
static char folder[] = "/tmp/cairn-test-index-XXXXXX";
static char path[200];
static const struct id16 vault = {{1, 2, 3}};

/* --- asking ---------------------------------------------------------- */

static void on_op(struct index_op *op)
{
    (*(unsigned *)op->ctx)++;
    loop_stop(loop);
}

static enum err_code ask(struct index *index, struct index_op *op)
{
    unsigned done = 0;

    op->loop = loop;
    op->done = on_op;
    if (!op->on_item)
        op->ctx = &done;
    index_start(index, op);
    assert_int_equal(done, 0); /* never from inside */
    loop_run(loop);
    return op->err.code;
}

struct opened {
    struct index *index;
    struct err err;
};

static void on_open(void *ctx, const struct err *err, struct index *index)
{
    struct opened *o = ctx;

    o->index = index;
    o->err = *err;
    loop_stop(loop);
}

static struct index *open_index(const struct id16 *id)
{
    struct opened o = {0};
    struct index_open_opts opts = {.path = path,
                                   .vault_id = *id,
                                   .lane = lane,
                                   .loop = loop,
                                   .done = on_open,
                                   .ctx = &o};

    assert_int_equal(index_open_start(&opts, &o.err), ERR_OK);
    loop_run(loop);
    if (!o.index)
        fail_msg("%s", o.err.text);
    return o.index;
}

static void on_close(void *ctx)
{
    (void)ctx;
    loop_stop(loop);
}

static void close_index(struct index *index)
{
    index_close(index, loop, on_close, NULL);
    loop_run(loop);
}

/* --- packs that a test can name -------------------------------------- */

static struct id16 chunk_id(uint32_t pack, uint32_t slot)
{
    struct id16 id = {{0}};
    uint64_t x = ((uint64_t)pack << 32 | slot) * 0x9e3779b97f4a7c15u;

    bytes_put_u64(id.b, x ^ x >> 29);
    bytes_put_u32(id.b + 8, pack);
    bytes_put_u32(id.b + 12, slot);
    return id;
}

static struct id16 pack_id(uint32_t pack)
{
    struct id16 id = {{0xaa}};

    bytes_put_u32(id.b + 4, pack);
    return id;
}

static struct index_entry entry(uint32_t pack, uint32_t slots)
{
    struct index_entry e = {
        .pack = {.id = pack_id(pack), .kind = pack % 2, .slots = slots}};
    uint8_t *raw = malloc(slots * PACK_LAYOUT_ENTRY + 1);

    assert_non_null(raw);
    e.pack.key_id.b[0] = (uint8_t)(pack + 1);
    for (uint32_t i = 0; i < slots; i++) {
        struct pack_slot s = {
            .id = chunk_id(pack, i), .stored = 100, .raw = 65536, .codec = 1};

        pack_layout_put_entry(raw + i * PACK_LAYOUT_ENTRY, &s);
    }
    e.entries = raw;
    return e;
}

static void add(struct index *index, uint32_t pack, uint32_t slots,
                const char *run)
{
    struct index_entry e = entry(pack, slots);
    struct index_op op = {
        .verb = INDEX_ADD, .count = 1, .entries = &e, .name = run};

    if (ask(index, &op) != ERR_OK)
        fail_msg("%s", op.err.text);
    free((void *)(uintptr_t)e.entries);
}

static struct index_place find(struct index *index, struct id16 id)
{
    struct index_place place;
    struct index_op op = {
        .verb = INDEX_LOOKUP, .count = 1, .ids = &id, .places = &place};

    if (ask(index, &op) != ERR_OK)
        fail_msg("%s", op.err.text);
    return place;
}

static bool knows(struct index *index, uint32_t pack, uint32_t slot)
{
    struct index_place p = find(index, chunk_id(pack, slot));
    struct id16 id = pack_id(pack);

    if (p.slot == INDEX_UNKNOWN)
        return false;
    assert_int_equal(p.slot, slot);
    assert_true(id16_equal(&p.pack.id, &id));
    assert_int_equal(p.pack.key_id.b[0], (uint8_t)(pack + 1));
    assert_int_equal(p.pack.kind, pack % 2);
    return true;
}

static void condemn(struct index *index, uint32_t pack, uint32_t first,
                    uint32_t count)
{
    struct index_condemned c = {pack_id(pack), first, count};
    struct index_op op = {.verb = INDEX_CONDEMN, .count = 1, .condemned = &c};

    assert_int_equal(ask(index, &op), ERR_OK);
}

/* --- tests ----------------------------------------------------------- */

static void what_was_added_is_found_in_both_directions(void **state)
{
    struct index *index = open_index(&vault);
    struct id16 ids[3000];
    struct index_place places[3000];
    struct index_op op = {
        .verb = INDEX_LOOKUP, .count = 3000, .ids = ids, .places = places};
    struct id16 some[50];
    struct index_range r[3] = {{pack_id(2), 650, 50, some},
                               {pack_id(2), 690, 30, ids},
                               {pack_id(9), 0, 5, ids + 100}};
    struct index_op ranges = {.verb = INDEX_RANGES, .count = 3, .ranges = r};
    static const struct id16 none;

    (void)state;
    assert_true(index_is_fresh(index));
    for (uint32_t p = 0; p < 4; p++)
        add(index, p, SLOTS, NULL);
    add(index, 1, 5, NULL); /* it stays as it is */
    for (uint32_t i = 0; i < 3000; i++)
        ids[i] = chunk_id(i % 5, i / 5);
    assert_int_equal(ask(index, &op), ERR_OK);
    for (uint32_t i = 0; i < 3000; i++) {
        struct id16 want = pack_id(i % 5);

        if (i % 5 == 4) {
            assert_int_equal(places[i].slot, INDEX_UNKNOWN);
            continue;
        }
        assert_int_equal(places[i].slot, i / 5);
        assert_true(id16_equal(&places[i].pack.id, &want));
        assert_int_equal(places[i].pack.slots, SLOTS);
    }
    memset(ids, 0xff, sizeof(ids));
    assert_int_equal(ask(index, &ranges), ERR_OK);
    for (uint32_t i = 0; i < 50; i++) {
        struct id16 want = chunk_id(2, 650 + i);

        assert_true(id16_equal(&some[i], &want));
    }
    for (uint32_t i = 0; i < 30; i++) /* slots beyond the pack's last */
        assert_int_equal(id16_equal(&ids[i], &none), i >= 10);
    for (uint32_t i = 0; i < 5; i++)
        assert_true(id16_equal(&ids[100 + i], &none));
    close_index(index);
}

static void it_is_still_there_after_closing(void **state)
{
    struct index *index = open_index(&vault);
    struct index_pack packs[2];
    struct id16 ids[2] = {pack_id(3), pack_id(8)};
    struct index_op op = {
        .verb = INDEX_PACKS, .count = 2, .ids = ids, .packs = packs};

    (void)state;
    assert_false(index_is_fresh(index));
    assert_true(knows(index, 3, 1));
    assert_false(knows(index, 8, 1));
    assert_int_equal(ask(index, &op), ERR_OK);
    assert_int_equal(packs[0].slots, SLOTS);
    assert_int_equal(packs[0].key_id.b[0], 4);
    assert_int_equal(packs[1].slots, INDEX_UNKNOWN);
    close_index(index);
}

/* 60 bytes per chunk for both directions, as the design says. */
static void it_takes_60_bytes_per_chunk(void **state)
{
    struct index *index = open_index(&vault);
    struct index_op op = {.verb = INDEX_FIGURES};

    (void)state;
    for (uint32_t p = 10; p < 210; p++)
        add(index, p, 512, NULL);
    assert_int_equal(ask(index, &op), ERR_OK);
    assert_int_equal(op.figures.packs, 204);
    assert_int_equal(op.figures.chunks, 4 * SLOTS + 200 * 512);
    if (op.figures.file_bytes > 60 * op.figures.chunks + 65536)
        fail_msg("%ju bytes for %ju chunks", (uintmax_t)op.figures.file_bytes,
                 (uintmax_t)op.figures.chunks);
    close_index(index);
}

static void condemned_slots_are_forgotten_for_ever(void **state)
{
    struct index *index = open_index(&vault);

    (void)state;
    condemn(index, 3, 10, 5);
    condemn(index, 2, 0, 0);
    condemn(index, 300, 7, 1); /* not there yet */
    assert_true(knows(index, 3, 9));
    assert_false(knows(index, 3, 10));
    assert_false(knows(index, 3, 14));
    assert_true(knows(index, 3, 15));
    assert_false(knows(index, 2, 0));
    assert_false(knows(index, 2, SLOTS - 1));
    add(index, 300, 20, NULL);
    assert_true(knows(index, 300, 6));
    assert_false(knows(index, 300, 7));
    assert_true(knows(index, 300, 8));
    close_index(index);
}

/* A chunk that was stored again is found where it lies now. */
static void the_newest_place_of_a_chunk_wins(void **state)
{
    struct index *index = open_index(&vault);
    struct index_entry e = entry(3, 20);
    struct index_op op = {.verb = INDEX_ADD, .count = 1, .entries = &e};
    struct id16 want = pack_id(400);
    struct index_place p;

    (void)state;
    e.pack.id = want;
    assert_int_equal(ask(index, &op), ERR_OK);
    p = find(index, chunk_id(3, 12));
    assert_int_equal(p.slot, 12);
    assert_true(id16_equal(&p.pack.id, &want));
    /* and what of the old place is condemned does not hurt the new one */
    condemn(index, 3, 0, 0);
    p = find(index, chunk_id(3, 12));
    assert_int_equal(p.slot, 12);
    free((void *)(uintptr_t)e.entries);
    close_index(index);
}

struct items {
    unsigned count;
    char name[NAME_TEXT];
    char bytes[100];
    size_t len;
};

static bool on_item(void *ctx, const char *name, struct slice bytes)
{
    struct items *items = ctx;

    items->count++;
    snprintf(items->name, sizeof(items->name), "%s", name);
    items->len = bytes.len;
    if (bytes.len && bytes.len <= sizeof(items->bytes))
        memcpy(items->bytes, bytes.data, bytes.len);
    return true;
}

static void on_items(struct index_op *op)
{
    (void)op;
    loop_stop(loop);
}

static struct items list(struct index *index, enum index_verb verb)
{
    struct items items = {0};
    struct index_op op = {.verb = verb,
                          .on_item = on_item,
                          .ctx = &items,
                          .loop = loop,
                          .done = on_items};

    index_start(index, &op);
    loop_run(loop);
    assert_int_equal(op.err.code, ERR_OK);
    return items;
}

static void lists_runs_and_locks_are_kept(void **state)
{
    struct index *index = open_index(&vault);
    struct index_op keep = {.verb = INDEX_KEEP_LIST,
                            .name = "gc/x",
                            .bytes = {(const uint8_t *)"sealed", 6}};
    struct index_lock locks[2] = {{"packs/a", 17}, {"format", 1ull << 42}};
    struct index_op put = {.verb = INDEX_SET_LOCKS, .count = 2, .locks = locks};
    struct index_lock asked[2] = {{"format", 5}, {"packs/b", 5}};
    struct index_op get = {.verb = INDEX_LOCKS, .count = 2, .locks = asked};
    struct items items;

    (void)state;
    add(index, 500, 3, "index/run1");
    add(index, 500, 3, "index/run2");
    items = list(index, INDEX_RUNS);
    assert_int_equal(items.count, 2);
    assert_string_equal(items.name, "index/run2");
    assert_int_equal(ask(index, &keep), ERR_OK);
    assert_int_equal(ask(index, &keep), ERR_OK);
    items = list(index, INDEX_LISTS);
    assert_int_equal(items.count, 1);
    assert_string_equal(items.name, "gc/x");
    assert_int_equal(items.len, 6);
    assert_memory_equal(items.bytes, "sealed", 6);
    assert_int_equal(ask(index, &put), ERR_OK);
    locks[1].until_ms++;
    assert_int_equal(ask(index, &put), ERR_OK);
    assert_int_equal(ask(index, &get), ERR_OK);
    assert_int_equal(asked[0].until_ms, (1ull << 42) + 1);
    assert_int_equal(asked[1].until_ms, 0);
    close_index(index);
}

static void an_index_of_another_vault_is_begun_anew(void **state)
{
    struct id16 other = {{9}};
    struct index *index = open_index(&other);

    (void)state;
    assert_true(index_is_fresh(index));
    assert_false(knows(index, 0, 1));
    add(index, 0, 10, NULL);
    close_index(index);
}

static void damage(long at, const char *bytes, size_t len)
{
    FILE *f = fopen(path, "r+b");

    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    fclose(f);
}

static void a_file_that_is_no_index_is_begun_anew(void **state)
{
    struct index *index;

    (void)state;
    damage(0, "This is not a database, but some other text.", 44);
    index = open_index(&vault);
    assert_true(index_is_fresh(index));
    assert_false(knows(index, 0, 1));
    add(index, 0, 10, NULL);
    assert_true(knows(index, 0, 1));
    close_index(index);
    unlink(path);
    index = open_index(&vault); /* deleted */
    assert_true(index_is_fresh(index));
    close_index(index);
}

/* The head of the file is good, what it points to is not. */
static void damage_in_use_costs_the_index_and_nothing_else(void **state)
{
    struct index *index = open_index(&vault);
    static char noise[4096];
    struct stat st;
    unsigned failed = 0;

    (void)state;
    for (uint32_t p = 0; p < 40; p++)
        add(index, p, 512, NULL);
    close_index(index);
    assert_int_equal(stat(path, &st), 0);
    memset(noise, 0x5a, sizeof(noise));
    for (long at = 4 * 4096; at + 4096 <= st.st_size; at += 4096)
        damage(at, noise, sizeof(noise));
    index = open_index(&vault);
    for (uint32_t i = 0; i < 10; i++) {
        struct id16 id = chunk_id(i, i);
        struct index_place place;
        struct index_op op = {
            .verb = INDEX_LOOKUP, .count = 1, .ids = &id, .places = &place};

        if (ask(index, &op) != ERR_OK)
            failed++;
        assert_int_equal(place.slot, INDEX_UNKNOWN);
    }
    assert_true(failed <= 1);
    assert_true(index_is_fresh(index));
    add(index, 5, 100, NULL);
    assert_true(knows(index, 5, 77));
    close_index(index);
}

/* One flipped bit can do that, and SQLite does not look. */
static void a_row_without_a_name_costs_the_index_and_nothing_else(void **state)
{
    struct index *index = open_index(&vault);
    struct items items = {0};
    struct index_op op = {.verb = INDEX_LISTS,
                          .on_item = on_item,
                          .ctx = &items,
                          .loop = loop,
                          .done = on_items};
    sqlite3 *sql = NULL;

    (void)state;
    add(index, 0, 10, NULL);
    close_index(index);
    assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sql, "INSERT INTO lists VALUES(NULL, x'00')",
                                  NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(sql);
    index = open_index(&vault);
    assert_false(index_is_fresh(index));
    index_start(index, &op);
    loop_run(loop);
    assert_int_equal(op.err.code, ERR_IO);
    assert_int_equal(items.count, 0);
    assert_true(index_is_fresh(index));
    list(index, INDEX_LISTS);
    close_index(index);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    struct opened o = {0};
    struct index_open_opts opts = {.path = "/nonexistent/x",
                                   .vault_id = vault,
                                   .lane = lane,
                                   .loop = loop,
                                   .done = on_open,
                                   .ctx = &o};

    (void)state;
    assert_int_equal(index_open_start(&opts, &o.err), ERR_OK);
    loop_run(loop);
    assert_null(o.index);
    assert_int_equal(o.err.code, ERR_IO);
}

#define MANY 200

struct many {
    struct index_op op;
    struct id16 id;
    struct index_place place;
    unsigned done;
};

static unsigned many_done;

static void on_many(struct index_op *op)
{
    ((struct many *)op->ctx)->done++;
    if (++many_done == MANY)
        loop_stop(loop);
}

/* The lane of this test takes 8 items. */
static void a_full_queue_is_waited_for(void **state)
{
    static struct many many[MANY];
    struct index *index = open_index(&vault);

    (void)state;
    many_done = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        many[i].id = chunk_id(5, i);
        many[i].op = (struct index_op){.verb = INDEX_LOOKUP,
                                       .loop = loop,
                                       .done = on_many,
                                       .count = 1,
                                       .ids = &many[i].id,
                                       .places = &many[i].place,
                                       .ctx = &many[i]};
        index_start(index, &many[i].op);
    }
    loop_run(loop);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(many[i].done, 1);
        assert_int_equal(many[i].op.err.code, ERR_OK);
        assert_int_equal(many[i].place.slot, i < 100 ? i : INDEX_UNKNOWN);
    }
    close_index(index);
}

static int begin(void **state)
{
    struct err err;

    (void)state;
    if (!mkdtemp(folder) || loop_new("index", NULL, &loop, &err) != ERR_OK ||
        lane_new("index", 1, 8, &lane, &err) != ERR_OK)
        return -1;
    snprintf(path, sizeof(path), "%s/index.sqlite", folder);
    return 0;
}

static int end(void **state)
{
    static const char *const tails[] = {"", "-wal", "-shm"};
    char name[220];

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(tails); i++) {
        snprintf(name, sizeof(name), "%s%s", path, tails[i]);
        unlink(name);
    }
    if (!lane_free(lane, 5000))
        return -1;
    loop_free(loop);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found_in_both_directions),
        cmocka_unit_test(it_is_still_there_after_closing),
        cmocka_unit_test(it_takes_60_bytes_per_chunk),
        cmocka_unit_test(condemned_slots_are_forgotten_for_ever),
        cmocka_unit_test(the_newest_place_of_a_chunk_wins),
        cmocka_unit_test(lists_runs_and_locks_are_kept),
        cmocka_unit_test(an_index_of_another_vault_is_begun_anew),
        cmocka_unit_test(a_file_that_is_no_index_is_begun_anew),
        cmocka_unit_test(damage_in_use_costs_the_index_and_nothing_else),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
        cmocka_unit_test(a_full_queue_is_waited_for),
        cmocka_unit_test(a_row_without_a_name_costs_the_index_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
