/* SPDX-License-Identifier: Apache-2.0 */
#include "session_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- clock and contents ---------------------------------------------- */

static uint64_t rig_wall(void *ctx)
{
    return ((struct rig *)ctx)->wall_ms;
}

static uint64_t rig_mono(void *ctx)
{
    return ((struct rig *)ctx)->mono_ms;
}

static uint64_t mix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void rig_fill_noise(uint8_t *data, size_t len, uint64_t seed)
{
    for (size_t at = 0; at < len; at += 8) {
        uint64_t v = mix(&seed);

        memcpy(data + at, &v, len - at < 8 ? len - at : 8);
    }
}

void rig_fill_text(uint8_t *data, size_t len, uint64_t seed)
{
    static const char *const words[] = {"stone ", "heap ", "path ", "marks ",
                                        "the ",   "way ",  "up ",   "and "};

    for (size_t at = 0; at < len;) {
        const char *w = words[mix(&seed) % BYTES_COUNT(words)];
        size_t n = strlen(w) < len - at ? strlen(w) : len - at;

        memcpy(data + at, w, n);
        at += n;
    }
}

/* --- waiting --------------------------------------------------------- */

static void on_deadline(struct timer *t)
{
    (void)t;
    fail_msg("a minute has passed");
}

void rig_run(struct rig *r)
{
    struct timer deadline = {0};

    timer_start(r->loop, &deadline, 60000, on_deadline);
    while (r->running)
        uv_run(loop_uv(r->loop), UV_RUN_ONCE);
    timer_stop(&deadline);
}

void rig_turn(struct rig *r)
{
    uv_run(loop_uv(r->loop), UV_RUN_NOWAIT);
}

struct waiting {
    struct index *index;
    struct err err;
    bool done;
};

static void on_index(void *ctx, const struct err *err, struct index *index)
{
    struct waiting *w = ctx;

    w->index = index;
    w->err = *err;
    w->done = true;
}

static void open_index(struct rig *r)
{
    struct waiting w = {0};
    struct index_open_opts opts = {.path = r->index_path,
                                   .vault_id = *keyring_vault_id(r->keys),
                                   .lane = r->lane,
                                   .loop = r->loop,
                                   .done = on_index,
                                   .ctx = &w};

    if (index_open_start(&opts, &w.err) != ERR_OK)
        fail_msg("%s", w.err.text);
    while (!w.done)
        uv_run(loop_uv(r->loop), UV_RUN_ONCE);
    if (!w.index)
        fail_msg("%s", w.err.text);
    r->index = w.index;
}

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static void close_index(struct rig *r)
{
    static const char *const tails[] = {"", "-wal", "-shm"};
    bool closed = false;
    char path[128];

    index_close(r->index, r->loop, on_closed, &closed);
    while (!closed)
        uv_run(loop_uv(r->loop), UV_RUN_ONCE);
    for (size_t i = 0; i < BYTES_COUNT(tails); i++) {
        snprintf(path, sizeof(path), "%s%s", r->index_path, tails[i]);
        unlink(path);
    }
}

void rig_index_reset(struct rig *r)
{
    close_index(r);
    open_index(r);
}

void rig_settings(struct rig *r, struct vault_settings settings)
{
    struct err err;

    vault_unref(r->vault);
    r->settings = settings;
    if (vault_new(r->keys, &settings, &r->vault, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

void rig_init(struct rig *r)
{
    struct err err = {0};

    memset(r, 0, sizeof(*r));
    r->clock = (struct clock){rig_wall, rig_mono, r};
    r->wall_ms = 1750000000000;
    snprintf(r->folder, sizeof(r->folder), "/tmp/cairn-test-session-XXXXXX");
    if (!mkdtemp(r->folder) ||
        loop_new("session", &r->clock, &r->loop, &err) != ERR_OK ||
        lane_new("index", 1, 64, &r->lane, &err) != ERR_OK ||
        seal_suite_new(&r->suite, &err) != ERR_OK)
        fail_msg("%s", err.text);
    snprintf(r->index_path, sizeof(r->index_path), "%s/index", r->folder);
    r->keys = vectors_keyring(r->suite, true);
    rig_settings(r, vault_settings_default());
    r->bucket = store_fault_bucket_new();
    r->store = store_fault_new(r->loop, r->bucket);
    r->tools = session_tools_new(r->suite, 4);
    r->chunks = slab_room_new(SESSION_CHUNK_SLAB, 16);
    r->parts = slab_room_new(SESSION_PART_SLAB, 3);
    r->budget = budget_new(256 * MIB, 0);
    assert_true(r->bucket && r->store && r->tools && r->chunks && r->parts &&
                r->budget);
    open_index(r);
}

void rig_fini(struct rig *r)
{
    assert_int_equal(r->running, 0);
    close_index(r);
    assert_int_equal(budget_used(r->budget), 0);
    budget_free(r->budget);
    slab_room_free(r->chunks); /* aborts if one is still out */
    slab_room_free(r->parts);
    session_tools_free(r->tools);
    store_free(r->store);
    store_fault_bucket_free(r->bucket);
    vault_unref(r->vault);
    keyring_unref(r->keys);
    seal_suite_free(r->suite);
    assert_true(lane_free(r->lane, 5000));
    loop_free(r->loop);
    rmdir(r->folder);
}

/* --- feeding --------------------------------------------------------- */

static bool zeros_ahead(const struct rig_backup *b, uint64_t *len)
{
    const struct rig_disk *d = &b->disk[b->at_disk];
    uint64_t n = 0;

    if (!b->tell_zeros || b->at % MIB)
        return false;
    while (b->at + n < d->opts.bytes) {
        uint64_t step =
            d->opts.bytes - b->at - n < MIB ? d->opts.bytes - b->at - n : MIB;

        if (!bytes_all_zero(d->data + b->at + n, step))
            break;
        n += step;
    }
    *len = n;
    return n > 0;
}

static bool feed_piece(struct rig_backup *b)
{
    const struct rig_disk *d = &b->disk[b->at_disk];
    uint64_t len = b->piece ? b->piece : 65536, zeros;
    bool taken;

    if (len > d->opts.bytes - b->at)
        len = d->opts.bytes - b->at;
    if (zeros_ahead(b, &zeros)) {
        len = zeros;
        taken = session_zero(b->session, b->at_disk, b->at, len);
    } else {
        taken =
            session_write(b->session, b->at_disk, b->at, d->data + b->at, len);
    }
    if (!taken)
        return false;
    b->at += len;
    b->total += len;
    b->rig->wall_ms += b->tick_ms;
    b->rig->mono_ms += b->tick_ms;
    return true;
}

static void feed(struct rig_backup *b)
{
    while (b->at_disk < b->disks) {
        if (b->at == b->disk[b->at_disk].opts.bytes) {
            b->at_disk++;
            b->at = 0;
            continue;
        }
        if (b->before && !b->before(b, b->at_disk, b->at)) {
            b->refused = true; /* somebody calls feed again */
            return;
        }
        if (b->cancel_at && b->total >= b->cancel_at) {
            session_cancel(b->session);
            return;
        }
        if (!feed_piece(b)) {
            b->refused = true;
            return;
        }
    }
    if (!b->finished)
        session_finish(b->session, "<value/>", 8);
    b->finished = true;
}

static void on_ready(void *ctx)
{
    struct rig_backup *b = ctx;
    struct err err;

    b->ready++;
    for (unsigned i = 0; i < b->disks; i++) {
        unsigned number = 99;

        if (session_add_disk(b->session, &b->disk[i].opts, &number, &err) !=
            ERR_OK) {
            if (!b->may_lack_memory)
                fail_msg("%s", err.text);
            session_cancel(b->session);
            return;
        }
        assert_int_equal(number, i);
    }
    feed(b);
}

static void on_drained(void *ctx)
{
    struct rig_backup *b = ctx;

    b->drained++;
    assert_true(b->refused);
    b->refused = false;
    /* What was refused is taken now: resume tests what pause tested. */
    assert_true(b->at_disk == b->disks || b->before || feed_piece(b) ||
                b->may_lack_memory);
    feed(b);
}

static void on_upload_opened(void *ctx, const char *name, const char *id)
{
    struct rig_backup *b = ctx;

    assert_true(name[0] && id[0]);
    b->uploads_opened++;
}

static void on_note_due(struct timer *t)
{
    struct rig_backup *b =
        (struct rig_backup *)(void *)((char *)t -
                                      offsetof(struct rig_backup, note_timer));
    struct session_note *note = b->notes[0];

    memmove(b->notes, b->notes + 1, sizeof(b->notes) - sizeof(b->notes[0]));
    if (--b->note_count)
        timer_start(b->rig->loop, t, b->note_ms, on_note_due);
    session_noted(note, &b->note_err);
}

/* A row of the journal: refused, or there at once, or note_ms later. */
static void on_opening(void *ctx, const char *kind, const char *name,
                       struct session_note *note)
{
    struct rig_backup *b = ctx;

    assert_true(name[0]);
    assert_int_equal(rig_count(b->rig, name), 0);
    b->opening++;
    if (strcmp(kind, "point") == 0) {
        b->points_opened++;
        if (b->on_point)
            b->on_point(b, name);
    }
    if (!b->note_ms) {
        session_noted(note, &b->note_err);
        return;
    }
    assert_true(b->note_count < BYTES_COUNT(b->notes));
    b->notes[b->note_count++] = note;
    if (b->note_count == 1)
        timer_start(b->rig->loop, &b->note_timer, b->note_ms, on_note_due);
}

static void on_row_closed(void *ctx, const char *kind, const char *name)
{
    struct rig_backup *b = ctx;

    assert_true(name[0]);
    b->closed++;
    if (strcmp(kind, "upload") == 0)
        b->uploads_closed++;
    else if (strcmp(kind, "point") == 0)
        b->points_closed++;
}

static void on_done(void *ctx, const struct err *err,
                    const struct session_result *result)
{
    struct rig_backup *b = ctx;

    assert_int_equal(b->done, 0);
    b->done++;
    b->err = *err;
    b->result = *result;
    b->session = NULL;
    b->rig->running--;
    budget_give(b->rig->budget, b->tenant, SESSION_FLOOR_BYTES);
}

void rig_start(struct rig *r, struct rig_backup *b)
{
    struct session_opts opts = {
        .loop = r->loop,
        .vault = r->vault,
        .store = r->store,
        .index = r->index,
        .tools = r->tools,
        .chunk_room = r->chunks,
        .part_room = r->parts,
        .budget = r->budget,
        .tenant = b->tenant,
        .spill = r->spill,
        .spill_until_ms = r->spill_until_ms,
        .ceiling_bytes = b->ceiling ? b->ceiling : SESSION_CEILING_BYTES,
        .clock = &r->clock,
        .events = {on_ready, on_drained, on_opening, on_upload_opened,
                   on_row_closed, on_done},
        .ctx = b,
        .series = b->series ? b->series : RIG_SERIES,
        .vm = {{1, 2, 3}},
        .name = "mail",
        .pool = "pool 1",
        .source_mode = "xva",
        .consistency = "crash",
        .gateway = "gw-1",
        .retention = "daily",
        .retain_until_ms = b->retain_until_ms,
        .witness = b->witness,
        .page_above = b->page_above,
        .recovery = b->recovery,
        .recovery_count = b->recovery_count,
    };
    struct err err = {0};

    b->rig = r;
    if (!budget_try(r->budget, b->tenant, SESSION_FLOOR_BYTES, 0)) {
        assert_true(b->may_lack_memory);
        b->done++;
        err_set(&b->err, ERR_NOMEM, 0, "budget");
        return;
    }
    r->running++;
    if (session_start(&opts, &b->session, &err) != ERR_OK) {
        if (!b->may_lack_memory)
            fail_msg("%s", err.text);
        on_done(b, &err, &b->result);
        return;
    }
    assert_int_equal(b->ready + b->done, 0);
}

void rig_backup(struct rig *r, struct rig_backup *b)
{
    rig_start(r, b);
    rig_run(r);
    if (b->err.code != ERR_OK)
        fail_msg("%s", b->err.text);
    assert_int_equal(b->ready, 1);
    assert_int_equal(b->done, 1);
    assert_int_equal(b->uploads_opened, b->uploads_closed);
    assert_int_equal(store_fault_uploads(r->bucket), 0);
    r->wall_ms += 1000;
    r->mono_ms += 1000;
}
