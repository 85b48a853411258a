/* SPDX-License-Identifier: Apache-2.0 */
#include "restore/restore_disk.h"

#include "restore/restore_output.h"
#include "restore/restore_pick.h"
#include "restore/restore_progress.h"
#include "vault/walk.h"

struct disk {
    struct restore_site *site;
    struct restore_output *output;
    struct walk *walk; /* NULL: over */
    struct restore_progress progress;
    uint64_t bytes;
    struct err err;
};

static bool on_data(void *ctx, uint64_t offset, const uint8_t *data, size_t len)
{
    struct disk *d = ctx;

    restore_progress_say(&d->progress, offset, d->bytes);
    return restore_output_put(d->output, data, len);
}

static bool on_zero(void *ctx, uint64_t offset, uint64_t len)
{
    struct disk *d = ctx;

    (void)offset;
    return restore_output_zero(d->output, len);
}

static void on_drained(void *ctx)
{
    struct disk *d = ctx;

    if (d->walk)
        walk_resume(d->walk);
}

static void on_failed(void *ctx, const struct err *err)
{
    struct disk *d = ctx;

    err_keep(&d->err, err);
    if (d->walk)
        walk_cancel(d->walk);
}

static void on_ended(void *ctx, const struct err *err)
{
    struct disk *d = ctx;

    err_keep(&d->err, err);
    restore_site_done(d->site, &d->err);
}

static void on_walked(void *ctx, const struct err *err,
                      const struct walk_figures *figures)
{
    struct disk *d = ctx;

    (void)figures;
    d->walk = NULL;
    err_keep(&d->err, err); /* after on_failed(): that came first */
    restore_output_end(d->output, d->err.code == ERR_OK, on_ended);
}

static void cancel(void *op)
{
    struct disk *d = op;

    if (d->walk)
        walk_cancel(d->walk);
}

static void write_disk(struct restore_site *site,
                       const struct restore_args *args,
                       const struct points_entry *e, const struct point *point,
                       size_t number)
{
    struct disk d = {.site = site, .bytes = point->disk[number].bytes};
    struct restore_output_opts output = {.loop = site->loop,
                                         .lane = site->out,
                                         .path = args->output,
                                         .drained = on_drained,
                                         .failed = on_failed,
                                         .ctx = &d};
    struct walk_opts walk = {
        .store = site->store,
        .keys = site->keys,
        .point = point,
        .point_name = e->name,
        .disk = number,
        .memory_bytes = RESTORE_SITE_MEMORY,
        .on_data = on_data,
        .on_zero = on_zero,
        .done = on_walked,
        .ctx = &d,
    };
    struct err err;
    char what[320];

    if (restore_output_new(&output, &d.output, &err) != ERR_OK) {
        restore_site_fail(site, &err, exit_of(err.code, EXIT_PEER_NONE));
        return;
    }
    snprintf(what, sizeof(what), "%s, disk %u", e->vm_name, args->disk);
    restore_progress_begin(&d.progress, what);
    if (walk_start(&walk, &d.walk, &d.err) != ERR_OK)
        restore_output_end(d.output, false, on_ended);
    restore_site_wait(site, cancel, &d);
    restore_progress_end(&d.progress);
    if (d.err.code != ERR_OK)
        restore_site_fail_reading(site, &d.err);
}

void restore_disk(struct restore_site *site, const struct restore_args *args)
{
    struct points_list *list = restore_pick_list(site);
    const struct points_entry *e;
    struct point *point = NULL;
    size_t number = 0;
    struct err err;

    if (!list)
        return;
    e = restore_pick_one(site, list, args->point);
    if (e)
        point = restore_pick_read(site, e);
    if (point) {
        while (number < point->disks &&
               point->disk[number].position != args->disk)
            number++;
        if (number < point->disks) {
            write_disk(site, args, e, point, number);
        } else {
            err_set(&err, ERR_NOT_FOUND, 0, "%s: it has no disk %u", e->name,
                    args->disk);
            restore_site_fail(site, &err, EXIT_NOT_FOUND);
        }
        point_free(point);
    }
    points_list_free(list);
}
