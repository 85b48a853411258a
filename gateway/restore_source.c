/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/restore_source.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vault/presence.h"

/* What may be put out beside a chunk: tar headers and checksum entries. */
#define FRAME_ROOM ((size_t)8 << 10)
#define ZEROS ((size_t)64 << 10)

static const uint8_t zeros[ZEROS];

struct restore_source {
    struct restore_source_opts opts;
    struct xva_write *writer; /* NULL: raw */
    uint8_t **present;        /* a bitmap per disk */
    size_t known;             /* disks whose bitmap is there */
    struct presence *presence;
    bool open;                /* opened() was called, or is due */
    size_t disk;              /* that is walked now */
    struct walk *walk;
    bool walked;              /* the walk of this disk ended well */
    uint64_t raw_at, total;
    struct restore_block *empty; /* `empties` of them */
    struct restore_block *first, **last; /* with bytes; NULL: none */
    struct restore_block *filling; /* the last of these, or NULL */
    size_t empties, used;          /* used: bytes in blocks */
    bool held;                /* the walk was refused something */
    bool starving;            /* a pull or take gave nothing */
    bool over;
    struct timer wake;        /* resume the walk, or say ready() */
    struct err err;
    struct walk_figures sum;  /* of the walks before this one */
    void (*stopped)(void *ctx);
};

/* --- blocks -------------------------------------------------------------- */

static size_t room(const struct restore_source *s)
{
    size_t n = s->empties * RESTORE_SOURCE_BLOCK;

    return s->filling ? n + RESTORE_SOURCE_BLOCK - s->filling->end : n;
}

static void begin_block(struct restore_source *s)
{
    struct restore_block *b = s->empty;

    s->empty = b->next;
    s->empties--;
    *b = (struct restore_block){.data = b->data};
    *s->last = b;
    s->last = &b->next;
    s->filling = b;
}

/* There is room for it. */
static void put(struct restore_source *s, const uint8_t *data, size_t len)
{
    while (len) {
        struct restore_block *b;
        size_t n;

        if (!s->filling)
            begin_block(s);
        b = s->filling;
        n = RESTORE_SOURCE_BLOCK - b->end;
        n = n < len ? n : len;
        memcpy(b->data + b->end, data, n);
        b->end += n;
        s->used += n;
        data += n;
        len -= n;
        if (b->end == RESTORE_SOURCE_BLOCK)
            s->filling = NULL;
    }
}

static struct restore_block *drop_first(struct restore_source *s)
{
    struct restore_block *b = s->first;

    s->first = b->next;
    if (!s->first)
        s->last = &s->first;
    if (s->filling == b)
        s->filling = NULL;
    return b;
}

/* Something can be pulled, or taken. */
static bool has_some(const struct restore_source *s)
{
    if (!s->opts.whole_blocks)
        return s->used > 0;
    return s->first && (s->first != s->filling || s->over);
}

static void on_wake(struct timer *t);

static void wake_later(struct restore_source *s)
{
    if (!timer_is_armed(&s->wake))
        timer_start(s->opts.pipe->data->loop, &s->wake, 0, on_wake);
}

/* Half of all: more than any chunk with its frames. */
static void resume_if_room(struct restore_source *s)
{
    if (s->held &&
        room(s) >= RESTORE_SOURCE_BLOCKS * RESTORE_SOURCE_BLOCK / 2)
        wake_later(s);
}

void restore_source_give(struct restore_source *s, struct restore_block *block)
{
    block->next = s->empty;
    s->empty = block;
    s->empties++;
    resume_if_room(s);
}

size_t restore_source_pull(struct restore_source *s, uint8_t *into, size_t max)
{
    size_t filled = 0;

    while (s->first && filled < max) {
        struct restore_block *b = s->first;
        size_t n = b->end - b->begin;

        n = n < max - filled ? n : max - filled;
        memcpy(into + filled, b->data + b->begin, n);
        b->begin += n;
        filled += n;
        if (b->begin == b->end)
            restore_source_give(s, drop_first(s));
    }
    s->used -= filled;
    s->starving = filled == 0;
    resume_if_room(s);
    return filled;
}

struct restore_block *restore_source_take(struct restore_source *s)
{
    struct restore_block *b = NULL;

    s->starving = !has_some(s);
    if (s->starving)
        return NULL;
    b = drop_first(s);
    s->used -= b->end - b->begin;
    return b;
}

/* --- framing ------------------------------------------------------------- */

/*
 * Put out what comes before offset `upto` of a disk that has not been put out:
 * frames, and zeros. False: no room, call again. What was put out the writer
 * knows, so that nothing is put out twice.
 */
static bool advance(struct restore_source *s, size_t disk, uint64_t upto)
{
    struct xva_write_piece piece;
    enum xva_write_want want;
    uint64_t n;

    while ((want = xva_write_next(s->writer, &piece)) != XVA_WRITE_END) {
        if (want == XVA_WRITE_OWN) {
            n = piece.len < room(s) ? piece.len : room(s);
            put(s, piece.data, n);
            xva_write_took(s->writer, n);
        } else {
            if (piece.disk != disk || piece.offset >= upto)
                return true;
            n = upto - piece.offset;
            n = n < piece.len ? n : piece.len;
            n = n < ZEROS ? n : ZEROS;
            n = n < room(s) ? n : room(s);
            put(s, zeros, n);
            xva_write_data(s->writer, zeros, n);
        }
        if (room(s) == 0)
            return false;
    }
    return true;
}

static bool raw_zeros(struct restore_source *s, uint64_t upto)
{
    while (s->raw_at < upto) {
        uint64_t n = upto - s->raw_at;

        n = n < ZEROS ? n : ZEROS;
        n = n < room(s) ? n : room(s);
        if (!n)
            return false;
        put(s, zeros, n);
        s->raw_at += n;
    }
    return true;
}

/* The bytes of a chunk; there is room for them. */
static enum err_code put_data(struct restore_source *s, uint64_t offset,
                              const uint8_t *data, size_t len, struct err *err)
{
    struct xva_write_piece piece;

    while (len) {
        enum xva_write_want want = xva_write_next(s->writer, &piece);
        size_t n = piece.len < len ? piece.len : len;

        if (want == XVA_WRITE_OWN) {
            n = piece.len;
            put(s, piece.data, n);
            xva_write_took(s->writer, n);
            continue;
        }
        if (want != XVA_WRITE_DATA || piece.disk != s->disk ||
            piece.offset != offset)
            return err_set(err, ERR_INTEGRITY, 0,
                           "disk %zu: data at %ju, where the map has zeros",
                           s->disk, (uintmax_t)offset);
        put(s, data, n);
        xva_write_data(s->writer, data, n);
        data += n;
        offset += n;
        len -= n;
    }
    return ERR_OK;
}

static void add_figures(struct walk_figures *to, const struct walk_figures *f)
{
    to->bytes += f->bytes;
    to->data_bytes += f->data_bytes;
    to->stored_bytes += f->stored_bytes;
    to->chunks += f->chunks;
    to->packs += f->packs;
    to->body_gets += f->body_gets;
    to->retries += f->retries;
}

/* --- walking ------------------------------------------------------------- */

static void fail(struct restore_source *s, const struct err *err)
{
    err_keep(&s->err, err);
    s->over = true;
    if (s->walk)
        walk_cancel(s->walk);
    wake_later(s);
}

static bool hold(struct restore_source *s)
{
    s->held = true;
    return false;
}

static void fed(struct restore_source *s)
{
    if (s->starving && has_some(s))
        wake_later(s);
}

static bool on_data(void *ctx, uint64_t offset, const uint8_t *data,
                    size_t len)
{
    struct restore_source *s = ctx;
    struct err err = {0};

    if (s->over)
        return true;
    if (s->writer ? !advance(s, s->disk, offset) : !raw_zeros(s, offset))
        return hold(s);
    if (room(s) < len + FRAME_ROOM)
        return hold(s);
    if (!s->writer) {
        put(s, data, len);
        s->raw_at += len;
    } else if (put_data(s, offset, data, len, &err) != ERR_OK) {
        fail(s, &err);
    }
    fed(s);
    return true;
}

static bool on_zero(void *ctx, uint64_t offset, uint64_t len)
{
    struct restore_source *s = ctx;
    const struct restore_pipe_opts *p = s->opts.pipe;
    uint64_t end = offset + len;

    if (s->over)
        return true;
    /* The disk's last byte waits for its content sum, and with it the checksum
     * without which no pool takes the disk for whole. */
    if (end == p->point->disk[p->disks[s->disk].disk].bytes)
        end--;
    if (s->writer ? !advance(s, s->disk, end) : !raw_zeros(s, offset + len)) {
        fed(s);
        return hold(s);
    }
    fed(s);
    return true;
}

static void on_walked(void *ctx, const struct err *err,
                      const struct walk_figures *f)
{
    struct restore_source *s = ctx;

    s->walk = NULL;
    add_figures(&s->sum, f);
    if (s->stopped) {
        s->over = true;
        s->stopped(s->opts.ctx);
        return;
    }
    if (err->code != ERR_OK) {
        err_keep(&s->err, err);
        err_context(&s->err, "disk %zu", s->disk);
        s->over = true;
    } else {
        s->walked = true;
    }
    wake_later(s);
}

static void walk_disk(struct restore_source *s)
{
    const struct restore_pipe_opts *p = s->opts.pipe;
    const struct walk_opts o = {
        .store = s->opts.store,
        .keys = vault_keys(p->vault),
        .point = p->point,
        .point_name = p->point_name,
        .disk = p->disks[s->disk].disk,
        .memory_bytes = RESTORE_SOURCE_WALK,
        .on_data = on_data,
        .on_zero = on_zero,
        .done = on_walked,
        .ctx = s,
    };
    struct err err = {0};

    s->walked = false;
    if (walk_start(&o, &s->walk, &err) != ERR_OK)
        fail(s, &err);
}

/* A disk was walked and is right: put out the rest of its frame, then begin
 * the next disk, or end. */
static void next_disk(struct restore_source *s)
{
    const struct restore_pipe_opts *p = s->opts.pipe;

    if (s->writer && !advance(s, s->disk, UINT64_MAX)) {
        hold(s);
        return;
    }
    if (s->disk + 1 < p->disk_count) {
        s->disk++;
        walk_disk(s);
        return;
    }
    s->over = true;
    s->starving = true; /* whoever waits hears of the end */
}

static void on_wake(struct timer *t)
{
    struct restore_source *s = (struct restore_source *)(void *)((char *)t -
                                   offsetof(struct restore_source, wake));

    if (s->open) {
        s->open = false;
        s->opts.opened(s->opts.ctx);
    }
    if (s->held) {
        s->held = false;
        if (s->walk)
            walk_resume(s->walk);
    }
    if (!s->walk && s->walked && !s->over)
        next_disk(s);
    if ((s->starving && has_some(s)) || s->over) {
        s->starving = false;
        s->opts.ready(s->opts.ctx);
    }
}

/* --- beginning and end --------------------------------------------------- */

static enum err_code make_writer(struct restore_source *s, struct err *err)
{
    const struct restore_pipe_opts *p = s->opts.pipe;
    struct xva_write_disk *disks = calloc(p->disk_count + 1, sizeof(*disks));
    struct xva_write_opts o = {
        .ova = p->ova,
        .ova_len = p->ova_len,
        .disks = disks,
        .disk_count = p->disk_count,
        .sum = p->sha1 ? XVA_SUM_SHA1 : XVA_SUM_XXHASH,
        .mtime = clock_wall_ms(loop_clock(p->engine->control)) / 1000,
        .suite = p->engine->suite,
    };

    if (!disks)
        return err_set(err, ERR_NOMEM, 0, "restore");
    for (size_t i = 0; i < p->disk_count; i++)
        disks[i] = (struct xva_write_disk){
            .id = p->disks[i].id,
            .virtual_size = p->point->disk[p->disks[i].disk].bytes,
            .present = s->present[i],
        };
    if (xva_write_new(&o, &s->writer, err) == ERR_OK)
        s->total = xva_write_total(s->writer);
    free(disks);
    return err->code;
}

static void open_up(struct restore_source *s)
{
    struct err err = {0};

    if (!s->opts.pipe->raw && make_writer(s, &err) != ERR_OK) {
        fail(s, &err);
        return;
    }
    s->open = true;
    if (s->opts.pipe->disk_count)
        walk_disk(s);
    else
        s->walked = true; /* a VM without disks: ova.xml and terminator */
    wake_later(s);
}

static void know_next(struct restore_source *s);

static void on_present(void *ctx, const struct err *err, uint8_t *take)
{
    struct restore_source *s = ctx;

    s->presence = NULL;
    if (s->stopped) {
        free(take);
        s->over = true;
        s->stopped(s->opts.ctx);
    } else if (err->code != ERR_OK) {
        fail(s, err);
    } else {
        s->present[s->known++] = take;
        know_next(s);
    }
}

/* Which blocks of the next disk hold data; after the last one, begin. */
static void know_next(struct restore_source *s)
{
    const struct restore_pipe_opts *p = s->opts.pipe;
    struct presence_opts o = {
        .store = s->opts.store,
        .keys = vault_keys(p->vault),
        .point = p->point,
        .log2_block = (unsigned)__builtin_ctzll(XVA_WRITE_BLOCK),
        .done = on_present,
        .ctx = s,
    };
    struct err err = {0};

    if (p->raw || s->known == p->disk_count) {
        open_up(s);
        return;
    }
    o.disk = p->disks[s->known].disk;
    if (presence_start(&o, &s->presence, &err) != ERR_OK)
        fail(s, &err);
}

enum err_code restore_source_new(const struct restore_source_opts *opts,
                                 struct restore_source **out, struct err *err)
{
    const struct restore_pipe_opts *p = opts->pipe;
    struct restore_source *s = calloc(1, sizeof(*s));

    if (!s)
        return err_set(err, ERR_NOMEM, 0, "restore");
    s->opts = *opts;
    s->last = &s->first;
    s->present = calloc(p->disk_count + 1, sizeof(*s->present));
    if (!s->present) {
        restore_source_free(s);
        return err_set(err, ERR_NOMEM, 0, "restore");
    }
    if (p->raw)
        s->total = p->point->disk[p->disks[0].disk].bytes;
    *out = s;
    know_next(s);
    return ERR_OK;
}

uint64_t restore_source_total(const struct restore_source *s)
{
    return s->total;
}

bool restore_source_over(const struct restore_source *s, struct err *err)
{
    *err = s->err;
    return s->over && (s->used == 0 || s->err.code != ERR_OK);
}

struct walk_figures restore_source_figures(const struct restore_source *s)
{
    struct walk_figures sum = s->sum;

    if (s->walk)
        add_figures(&sum, walk_figures(s->walk));
    return sum;
}

static void on_stopped(struct timer *t)
{
    struct restore_source *s = (struct restore_source *)(void *)((char *)t -
                                   offsetof(struct restore_source, wake));

    s->stopped(s->opts.ctx);
}

void restore_source_stop(struct restore_source *s, void (*stopped)(void *ctx))
{
    s->stopped = stopped;
    timer_stop(&s->wake);
    if (s->walk)
        walk_cancel(s->walk);
    else if (s->presence)
        presence_cancel(s->presence);
    else
        timer_start(s->opts.pipe->data->loop, &s->wake, 0, on_stopped);
}

void restore_source_free(struct restore_source *s)
{
    if (!s)
        return;
    timer_stop(&s->wake);
    xva_write_free(s->writer);
    for (size_t i = 0; i < s->known; i++)
        free(s->present[i]);
    free(s->present);
    free(s);
}
