/* SPDX-License-Identifier: Apache-2.0 */
/*
 *  presence of each disk --> writer --> walk of each disk in the archive's
 *  order --> end of the archive --> output kept
 *
 * The writer says what comes next; disk data that the walk brings is put where
 * it asks for it, and zeros where the walk has none.
 */
#include "restore/restore_xva.h"

#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "image/ova.h"
#include "image/ova_match.h"
#include "image/xva_write.h"
#include "restore/restore_output.h"
#include "restore/restore_pick.h"
#include "restore/restore_progress.h"
#include "vault/presence.h"
#include "vault/walk.h"

#define LOG2_BLOCK 20
#define PUT_MOST ((size_t)1 << 20)
#define FRAME_ROOM ((size_t)64 << 10) /* headers and sums beside a chunk */

struct xva {
    struct restore_site *site;
    const struct points_entry *entry;
    const struct point *point;
    struct buf ova_text;
    struct ova *ova;
    size_t disks;                /* of the archive */
    size_t *number;              /* of each in the point */
    struct xva_write_disk *disk; /* of each for the writer */
    uint8_t **present;
    struct xva_write *writer;
    struct restore_output *output;
    struct restore_progress progress;
    struct walk *walk; /* NULL: none */
    size_t walking;    /* which disk of the archive */
    bool walked;       /* its walk ended well */
    struct err err;
};

/* --- what is in it -------------------------------------------------------- */

static enum err_code match_disks(struct xva *x, struct err *err)
{
    size_t count = x->point->disks;
    uint32_t *position = calloc(count + 1, sizeof(*position));

    x->disks = ova_disk_count(x->ova);
    x->number = calloc(x->disks + 1, sizeof(*x->number));
    x->disk = calloc(x->disks + 1, sizeof(*x->disk));
    x->present = calloc(x->disks + 1, sizeof(*x->present));
    if (!x->number || !x->disk || !x->present || !position) {
        free(position);
        return err_set(err, ERR_NOMEM, 0, "%s", x->entry->name);
    }
    for (size_t k = 0; k < count; k++)
        position[k] = x->point->disk[k].position;
    ova_match(x->ova, position, count, x->number);
    free(position);
    for (size_t i = 0; i < x->disks; i++) {
        const struct ova_disk *d = ova_disk(x->ova, i);

        if (x->number[i] == OVA_MATCH_NONE)
            return err_set(err, ERR_INTEGRITY, 0,
                           "%s: its ova.xml has a disk at '%s' (%s) that the "
                           "point has not; `disk` gives back the others",
                           x->entry->name, d->userdevice, d->vdi_uuid);
        x->disk[i].id = d->id;
        x->disk[i].virtual_size = x->point->disk[x->number[i]].bytes;
    }
    return ERR_OK;
}

static bool read_ova(struct xva *x)
{
    struct err err = {0};

    buf_init_secret(&x->ova_text, POINT_METADATA_MAX);
    if (point_metadata(x->site->keys, x->entry->name, x->point, &x->ova_text,
                       &err) == ERR_NOT_FOUND)
        err_set(&err, ERR_NOT_FOUND, 0,
                "%s: it holds no description of the VM; `disk` gives back its "
                "disks",
                x->entry->name);
    else if (err.code == ERR_OK && ova_parse(x->ova_text.data, x->ova_text.len,
                                             &x->ova, &err) == ERR_OK)
        match_disks(x, &err);
    if (err.code == ERR_OK)
        return true;
    return restore_site_fail(x->site, &err, exit_of_err(&err, EXIT_PEER_STORE));
}

/* --- which blocks there are ----------------------------------------------- */

struct look {
    struct restore_site *site;
    uint8_t *bits;
};

static void on_presence(void *ctx, const struct err *err, uint8_t *take)
{
    struct look *l = ctx;

    l->bits = take;
    restore_site_done(l->site, err);
}

static void cancel_presence(void *op)
{
    presence_cancel(op);
}

static bool look_at_disks(struct xva *x)
{
    for (size_t i = 0; i < x->disks; i++) {
        struct look l = {.site = x->site};
        struct presence_opts opts = {
            .store = x->site->store,
            .keys = x->site->keys,
            .point = x->point,
            .disk = x->number[i],
            .log2_block = LOG2_BLOCK,
            .done = on_presence,
            .ctx = &l,
        };
        struct presence *presence;
        struct err err;

        if (presence_start(&opts, &presence, &err) != ERR_OK)
            return restore_site_fail(x->site, &err, EXIT_FAILED);
        if (!restore_site_wait(x->site, cancel_presence, presence)) {
            err = x->site->err;
            return restore_site_fail_reading(x->site, &err);
        }
        x->present[i] = l.bits;
        x->disk[i].present = l.bits;
    }
    return true;
}

/* --- putting it out ------------------------------------------------------- */

/* What comes before offset `upto` of a disk. False: no room. */
static bool advance(struct xva *x, size_t disk, uint64_t upto)
{
    static const uint8_t zeros[PUT_MOST];
    struct xva_write_piece piece;
    enum xva_write_want want;

    while ((want = xva_write_next(x->writer, &piece)) != XVA_WRITE_END) {
        size_t n = piece.len < PUT_MOST ? piece.len : PUT_MOST;

        if (want == XVA_WRITE_FAILED) {
            err_set(&x->err, ERR_NOMEM, 0, "writing the archive");
            return true;
        }
        if (want == XVA_WRITE_OWN) {
            if (!restore_output_put(x->output, piece.data, n))
                return false;
            xva_write_took(x->writer, n);
            continue;
        }
        if (piece.disk != disk || piece.offset >= upto)
            return true;
        if (n > upto - piece.offset)
            n = (size_t)(upto - piece.offset);
        if (!restore_output_put(x->output, zeros, n))
            return false;
        xva_write_data(x->writer, zeros, n);
    }
    return true;
}

static bool on_data(void *ctx, uint64_t offset, const uint8_t *data, size_t len)
{
    struct xva *x = ctx;
    struct xva_write_piece piece;

    if (x->err.code != ERR_OK)
        return true; /* cancelled: it only runs out */
    if (!advance(x, x->walking, offset))
        return false;
    if (restore_output_room(x->output) < len + FRAME_ROOM) {
        restore_output_want(x->output);
        return false;
    }
    while (len && x->err.code == ERR_OK) {
        enum xva_write_want want = xva_write_next(x->writer, &piece);
        size_t n = piece.len < len ? piece.len : len;

        if (want == XVA_WRITE_OWN) {
            restore_output_put(x->output, piece.data, piece.len);
            xva_write_took(x->writer, piece.len);
            continue;
        }
        if (want != XVA_WRITE_DATA || piece.disk != x->walking ||
            piece.offset != offset) {
            err_set(&x->err, ERR_INTEGRITY, 0,
                    "%s: data at %ju, where the map has zeros", x->entry->name,
                    (uintmax_t)offset);
            walk_cancel(x->walk);
            break;
        }
        restore_output_put(x->output, data, n);
        xva_write_data(x->writer, data, n);
        data += n;
        offset += n;
        len -= n;
    }
    restore_progress_say(&x->progress, xva_write_position(x->writer),
                         xva_write_total(x->writer));
    return true;
}

/* The last byte of a disk is held back until its content sum is found right,
 * and with it the last checksum: whoever reads along cannot take a wrong disk
 * for a whole one. */
static bool on_zero(void *ctx, uint64_t offset, uint64_t len)
{
    struct xva *x = ctx;
    uint64_t end = offset + len;

    if (end == x->disk[x->walking].virtual_size)
        end--;
    return x->err.code != ERR_OK || advance(x, x->walking, end);
}

static void next_disk(struct xva *x);

static void on_drained(void *ctx)
{
    struct xva *x = ctx;

    if (x->walk)
        walk_resume(x->walk);
    else if (x->walked)
        next_disk(x);
}

static void on_failed(void *ctx, const struct err *err)
{
    struct xva *x = ctx;

    err_keep(&x->err, err);
    if (x->walk)
        walk_cancel(x->walk);
}

static void on_ended(void *ctx, const struct err *err)
{
    struct xva *x = ctx;

    err_keep(&x->err, err);
    restore_site_done(x->site, &x->err);
}

static void end(struct xva *x)
{
    x->walked = false;
    restore_output_end(x->output, x->err.code == ERR_OK, on_ended);
}

static void on_walked(void *ctx, const struct err *err,
                      const struct walk_figures *figures)
{
    struct xva *x = ctx;

    (void)figures;
    x->walk = NULL;
    err_keep(&x->err, err);
    x->walked = true;
    next_disk(x);
}

static void walk_disk(struct xva *x)
{
    struct walk_opts opts = {
        .store = x->site->store,
        .keys = x->site->keys,
        .point = x->point,
        .point_name = x->entry->name,
        .disk = x->number[x->walking],
        .memory_bytes = RESTORE_SITE_MEMORY,
        .on_data = on_data,
        .on_zero = on_zero,
        .done = on_walked,
        .ctx = x,
    };
    struct err err;

    x->walked = false;
    if (walk_start(&opts, &x->walk, &err) == ERR_OK)
        return;
    err_keep(&x->err, &err);
    end(x);
}

/* A disk is right: the rest of its frame, then the next, or the end. */
static void next_disk(struct xva *x)
{
    if (x->err.code != ERR_OK) {
        end(x);
    } else if (advance(x, x->walking, UINT64_MAX)) {
        if (x->err.code == ERR_OK && ++x->walking < x->disks)
            walk_disk(x);
        else
            end(x);
    } /* else on_drained() comes back */
}

static void cancel(void *op)
{
    struct xva *x = op;

    if (x->walk)
        walk_cancel(x->walk);
}

static bool make_writer(struct xva *x, const struct restore_args *args)
{
    struct xva_write_opts opts = {
        .suite = x->site->suite,
        .ova = x->ova_text.data,
        .ova_len = x->ova_text.len,
        .disks = x->disk,
        .disk_count = x->disks,
        .sum = args->sha1 ? XVA_SUM_SHA1 : XVA_SUM_XXHASH,
        .mtime = x->point->start_ms / 1000,
    };
    struct restore_output_opts output = {.loop = x->site->loop,
                                         .lane = x->site->out,
                                         .path = args->output,
                                         .drained = on_drained,
                                         .failed = on_failed,
                                         .ctx = x};
    struct err err;

    if (xva_write_new(&opts, &x->writer, &err) != ERR_OK)
        return restore_site_fail(x->site, &err, EXIT_FAILED);
    if (restore_output_new(&output, &x->output, &err) != ERR_OK)
        return restore_site_fail(x->site, &err,
                                 exit_of(err.code, EXIT_PEER_NONE));
    return true;
}

static void write_xva(struct xva *x)
{
    restore_progress_begin(&x->progress, x->entry->vm_name);
    if (x->disks) {
        walk_disk(x);
    } else {
        x->walked = true;
        next_disk(x);
    }
    restore_site_wait(x->site, cancel, x);
    restore_progress_end(&x->progress);
    if (x->err.code != ERR_OK)
        restore_site_fail_reading(x->site, &x->err);
}

static void free_xva(struct xva *x)
{
    xva_write_free(x->writer);
    for (size_t i = 0; x->present && i < x->disks; i++)
        free(x->present[i]);
    free(x->present);
    free(x->disk);
    free(x->number);
    ova_free(x->ova);
    buf_fini(&x->ova_text);
}

void restore_xva(struct restore_site *site, const struct restore_args *args)
{
    struct points_list *list = restore_pick_list(site);
    struct xva x = {.site = site};
    struct point *point = NULL;

    if (!list)
        return;
    x.entry = restore_pick_one(site, list, args->point);
    if (x.entry)
        point = restore_pick_read(site, x.entry);
    x.point = point;
    if (point && read_ova(&x) && look_at_disks(&x) && make_writer(&x, args))
        write_xva(&x);
    free_xva(&x);
    point_free(point);
    points_list_free(list);
}
