/* SPDX-License-Identifier: Apache-2.0 */
#include "session_rig.h"

#include <sys/mman.h>

static struct rig rig;

#define SPARSE (860 * MIB) /* 3.4 pages of chunks of 64 KiB */

/* A disk that is nearly all zero; pages of memory that nobody touches. */
static uint8_t *sparse(void)
{
    uint8_t *data = mmap(NULL, SPARSE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_true(data != MAP_FAILED);
    return data;
}

static struct rig_backup paged(const uint8_t *data)
{
    return (struct rig_backup){
        .disks = 1,
        .tell_zeros = true,
        .page_above = 1,
        .disk = {{{.vdi = {{9}}, .bytes = SPARSE, .log2_chunk = 16}, data}}};
}

static struct map_run page_place(const char *point, unsigned n)
{
    struct point *p = rig_point(&rig, point);
    struct map_reader r;
    struct map_run run;
    struct err err = {0};
    struct map_run found = {0, MAP_ZERO, 0};

    assert_true(p->disk[0].paged);
    map_reader_init(&r, p->disk[0].map, 4, p->packs);
    for (unsigned at = 0; map_next(&r, &run, &err); at += run.count)
        if (n >= at && n < at + run.count) {
            found = run;
            found.first += n - at;
            if (run.pack != MAP_ZERO) /* as a number of its id */
                found.pack = bytes_get_u32(p->pack[run.pack].id.b);
        }
    point_free(p);
    return found;
}

static void large_maps_go_in_pages_and_share_them(void **state)
{
    uint8_t *data = sparse();
    struct rig_backup b[3];
    struct map_run a, c;

    (void)state;
    rig_fill_noise(data + 5 * MIB, 3 * MIB, 1);        /* page 0 */
    rig_fill_noise(data + 300 * MIB + 700, 400000, 2); /* page 1 */
    rig_fill_noise(data + SPARSE - 100, 100, 3);       /* page 3 */
    b[0] = paged(data);
    rig_backup(&rig, &b[0]);
    rig_compare(&rig, &b[0]);
    assert_int_equal(b[0].result.figures.map_packs, 1);
    assert_int_equal(page_place(b[0].result.point.name, 2).pack, MAP_ZERO);
    /* unchanged: nothing is stored, pages are found by their ids */
    b[1] = paged(data);
    rig_backup(&rig, &b[1]);
    rig_compare(&rig, &b[1]);
    assert_int_equal(b[1].result.figures.packs, 0);
    assert_int_equal(b[1].result.figures.map_packs, 0);
    assert_int_equal(b[1].result.figures.fresh, 0);
    assert_true(b[1].result.figures.unchanged > 3 * MIB);
    /* one chunk of page 1: its page alone is new */
    data[300 * MIB + 800] ^= 1;
    b[2] = paged(data);
    rig_backup(&rig, &b[2]);
    rig_compare(&rig, &b[2]);
    assert_int_equal(b[2].result.figures.fresh, 65536);
    assert_int_equal(b[2].result.figures.map_packs, 1);
    a = page_place(b[1].result.point.name, 0);
    c = page_place(b[2].result.point.name, 0);
    assert_true(a.pack == c.pack && a.first == c.first);
    a = page_place(b[1].result.point.name, 1);
    c = page_place(b[2].result.point.name, 1);
    assert_true(a.pack != c.pack);
    munmap(data, SPARSE);
}

/* The parent's pages tell what is unchanged though the index is lost but for
 * what this very vault says of packs. */
static void a_condemned_page_is_stored_again(void **state)
{
    uint8_t *data = sparse();
    struct rig_backup first, again;
    struct name n;

    (void)state;
    rig_fill_noise(data + 5 * MIB, 3 * MIB, 1);
    first = paged(data);
    rig_backup(&rig, &first);
    assert_true(name_parse(rig_name(&rig, "maps/", 0), &n));
    rig_condemn(&rig, "20250615T150701Z-00000001", n.id, 0, 1);
    again = paged(data);
    rig_backup(&rig, &again);
    rig_compare(&rig, &again);
    assert_int_equal(again.result.figures.map_packs, 1);
    assert_int_equal(again.result.figures.fresh, 0);
    munmap(data, SPARSE);
}

static void with_the_floor_pages_fit_too(void **state)
{
    uint8_t *data = sparse();
    struct rig_backup b;

    (void)state;
    rig_fill_noise(data + 5 * MIB, 60 * MIB, 1);
    b = paged(data);
    b.ceiling = SESSION_FLOOR_BYTES;
    rig_backup(&rig, &b);
    rig_compare(&rig, &b);
    assert_int_equal(b.result.figures.map_packs, 1);
    assert_true(b.result.figures.slab_peak <= SESSION_FLOOR_BYTES - MIB);
    munmap(data, SPARSE);
}

static void a_parent_whose_page_is_damaged_is_done_without(void **state)
{
    uint8_t *data = sparse();
    struct rig_backup first, again;

    (void)state;
    rig_fill_noise(data + 5 * MIB, 3 * MIB, 1);
    first = paged(data);
    rig_backup(&rig, &first);
    assert_true(
        store_fault_damage(rig.bucket, rig_name(&rig, "maps/", 0), 110, 1));
    again = paged(data);
    again.page_above = 0;
    rig_backup(&rig, &again);
    rig_compare(&rig, &again);
    assert_int_equal(again.result.warnings, 1);
    assert_int_equal(again.result.figures.unchanged, 0);
    assert_int_equal(again.result.figures.known, 3 * MIB);
    munmap(data, SPARSE);
}

/* --- sources that tell what is unchanged ----------------------------- */

struct inc {
    struct rig *rig;
    struct session *session;
    const uint8_t *before, *now;
    uint64_t bytes, at;
    struct rig_backup as; /* for comparing */
    bool done, zeros;
};

#define STEP MIB

static void inc_feed(struct inc *i)
{
    while (i->at < i->bytes) {
        uint64_t n = i->bytes - i->at < STEP ? i->bytes - i->at : STEP;
        uint64_t piece = n < 65536 ? n : 65536;

        if (i->at % STEP == 0 &&
            memcmp(i->before + i->at, i->now + i->at, n) == 0) {
            /* as far as it goes */
            while (i->at + n < i->bytes &&
                   memcmp(i->before + i->at + n, i->now + i->at + n,
                          i->bytes - i->at - n < STEP ? i->bytes - i->at - n
                                                      : STEP) == 0)
                n += i->bytes - i->at - n < STEP ? i->bytes - i->at - n : STEP;
            if (!session_unchanged(i->session, 0, i->at, n))
                return;
            i->at += n;
        } else if (i->at % STEP == 0 && bytes_all_zero(i->now + i->at, n)) {
            if (!session_zero(i->session, 0, i->at, n))
                return;
            i->zeros = true;
            i->at += n;
        } else {
            if (!session_write(i->session, 0, i->at, i->now + i->at, piece))
                return;
            i->at += piece;
        }
    }
    session_finish(i->session, NULL, 0);
}

static void inc_ready(void *ctx)
{
    struct inc *i = ctx;
    struct session_disk d = {
        .vdi = {{9}}, .bytes = i->bytes, .log2_chunk = 16, .incremental = true};
    unsigned number;
    struct err err;

    if (session_add_disk(i->session, &d, &number, &err) != ERR_OK)
        fail_msg("%s", err.text);
    inc_feed(i);
}

static void inc_drained(void *ctx)
{
    inc_feed(ctx);
}

static void inc_done(void *ctx, const struct err *err,
                     const struct session_result *result)
{
    struct inc *i = ctx;

    i->done = true;
    i->as.err = *err;
    i->as.result = *result;
    i->rig->running--;
    budget_give(i->rig->budget, 0, SESSION_FLOOR_BYTES);
}

static void incremental(struct inc *i, uint64_t ceiling)
{
    struct session_opts opts = {
        .loop = rig.loop,
        .vault = rig.vault,
        .store = rig.store,
        .index = rig.index,
        .tools = rig.tools,
        .chunk_room = rig.chunks,
        .part_room = rig.parts,
        .budget = rig.budget,
        .ceiling_bytes = ceiling,
        .clock = &rig.clock,
        .events = {.ready = inc_ready,
                   .drained = inc_drained,
                   .done = inc_done},
        .ctx = i,
        .series = RIG_SERIES,
        .vm = {{1}},
        .page_above = 0,
    };
    struct err err;

    i->rig = &rig;
    i->as.disks = 1;
    i->as.disk[0] = (struct rig_disk){{.bytes = i->bytes}, i->now};
    assert_true(budget_try(rig.budget, 0, SESSION_FLOOR_BYTES, 0));
    assert_int_equal(session_start(&opts, &i->session, &err), ERR_OK);
    rig.running++;
    rig_run(&rig);
    if (i->as.err.code != ERR_OK)
        fail_msg("%s", i->as.err.text);
    rig.wall_ms += 1000;
}

/* The content sum is updated by what changed; the reader computes it anew. */
static void changes_alone_give_the_whole_disk(void **state)
{
    for (int round = 0; round < 4; round++) {
        uint8_t *before = sparse(), *now = sparse();
        struct rig_backup first;
        struct inc i = {.before = before, .now = now, .bytes = SPARSE};

        (void)state;
        rig_fill_noise(before + 5 * MIB, 30 * MIB, 1 + (unsigned)round);
        rig_fill_noise(before + 400 * MIB, 3 * MIB, 20 + (unsigned)round);
        memcpy(now, before, 500 * MIB);
        rig_fill_noise(now + 9 * MIB + 5, 70000, 40);  /* changed */
        memset(now + 12 * MIB, 0, 2 * MIB);            /* now zero */
        memset(now + 20 * MIB + 3, 0, 200000);         /* partly */
        rig_fill_noise(now + 600 * MIB, MIB, 41);      /* was zero */
        memcpy(now + 401 * MIB, now + 5 * MIB, 65536); /* moved */
        first = paged(before);
        first.page_above = round % 2;
        rig_backup(&rig, &first);
        if (round >= 2) /* ids come from the packs' tables then */
            rig_index_reset(&rig);
        incremental(&i,
                    round % 2 ? SESSION_CEILING_BYTES : SESSION_FLOOR_BYTES);
        rig_compare(&rig, &i.as);
        assert_true(i.zeros);
        assert_true(i.as.result.figures.fresh < 3 * MIB);
        munmap(before, SPARSE);
        munmap(now, SPARSE);
    }
}

static bool refuse_disk(struct rig_backup *b, unsigned disk, uint64_t at)
{
    struct session_disk d = {
        .position = 1, .vdi = {{77}}, .bytes = MIB, .incremental = true};
    unsigned number;
    struct err err;

    (void)disk;
    (void)at;
    if (!b->user)
        assert_int_equal(session_add_disk(b->session, &d, &number, &err),
                         ERR_NOT_FOUND);
    b->user = b;
    return true;
}

static void an_incremental_disk_needs_its_parent(void **state)
{
    uint8_t *data = calloc(1, MIB);
    struct rig_backup b = {
        .disks = 1, .before = refuse_disk, .disk = {{{.bytes = MIB}, data}}};

    (void)state;
    rig_backup(&rig, &b);
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
        T(large_maps_go_in_pages_and_share_them),
        T(a_condemned_page_is_stored_again),
        T(with_the_floor_pages_fit_too),
        T(a_parent_whose_page_is_damaged_is_done_without),
        T(changes_alone_give_the_whole_disk),
        T(an_incremental_disk_needs_its_parent),
    };

    work_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
