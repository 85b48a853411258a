/* SPDX-License-Identifier: Apache-2.0 */
#include "image/xva_disks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "image/tar.h"

#define GRID MIB
/* XAPI pads to 8; numbers rise as texts, so all of a disk are as long. */
#define DIGITS_MIN 8
#define DIGITS_MAX 12

struct xva_disks {
    struct xva_read_opts opts;
    const struct ova *ova;

    uint32_t disk; /* those before it are finished */
    bool in_disk;  /* and this one has begun */
    uint64_t offset;
    uint64_t number; /* of its newest block */
    size_t digits;
    uint64_t unit;  /* bytes that a number left out stands for; 0: unknown */
    bool unit_firm; /* taken from a block that was not a whole disk */

    uint64_t hole; /* not told yet; it ends at block.offset */
    struct xva_read_block block;
    char name[TAR_NAME_MAX]; /* of the block */
    bool sum_due;
    bool deferred;

    bool kind_known;
    enum xva_sum_kind kind;
    struct xva_sum *sums[2]; /* by kind; both while it is not known */
};

enum err_code xva_disks_new(const struct xva_read_opts *opts,
                            const struct ova *ova, struct xva_disks **out,
                            struct err *err)
{
    struct xva_disks *d = calloc(1, sizeof(*d));

    if (!d)
        return err_set(err, ERR_NOMEM, 0, "an XVA reader");
    d->opts = *opts;
    d->ova = ova;
    for (size_t i = 0; i < BYTES_COUNT(d->sums); i++) {
        d->sums[i] = xva_sum_new(opts->suite);
        if (!d->sums[i]) {
            xva_disks_free(d);
            return err_set(err, ERR_NOMEM, 0, "an XVA reader");
        }
    }
    *out = d;
    return ERR_OK;
}

void xva_disks_free(struct xva_disks *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < BYTES_COUNT(d->sums); i++)
        xva_sum_free(d->sums[i]);
    free(d);
}

bool xva_disks_is_sum(const char *name, enum xva_sum_kind *kind)
{
    const char *dot = strrchr(name, '.');

    for (int k = XVA_SUM_XXHASH; k <= XVA_SUM_SHA1; k++) {
        if (dot && strcmp(dot, xva_sum_suffix((enum xva_sum_kind)k)) == 0) {
            *kind = (enum xva_sum_kind)k;
            return true;
        }
    }
    return false;
}

size_t xva_disks_sum_len(enum xva_sum_kind kind)
{
    return kind == XVA_SUM_SHA1 ? 40 : 16;
}

/* End the disk at hand, if one has begun. */
static enum err_code finish_disk(struct xva_disks *d, struct err *err)
{
    const struct ova_disk *disk;

    if (!d->in_disk)
        return ERR_OK;
    disk = ova_disk(d->ova, d->disk);
    if (d->offset != disk->virtual_size)
        return err_set(err, ERR_PROTOCOL, 0,
                       "disk %s ends at %" PRIu64 " of %" PRIu64
                       " bytes: its last blocks are missing",
                       disk->id, d->offset, disk->virtual_size);
    d->opts.events->disk_end(d->opts.ctx, d->disk, d->offset);
    d->disk++;
    d->in_disk = false;
    return ERR_OK;
}

static void begin_disk(struct xva_disks *d)
{
    d->in_disk = true;
    d->offset = 0;
    d->opts.events->disk_begin(d->opts.ctx, d->disk);
}

/* Empty disks have no entries: pass over those before `to`. */
static enum err_code pass_empty_disks(struct xva_disks *d, size_t to,
                                      struct err *err)
{
    while (d->disk < to) {
        const struct ova_disk *disk = ova_disk(d->ova, d->disk);

        if (disk->virtual_size > 0)
            return err_set(err, ERR_PROTOCOL, 0, "disk %s (%s) is missing",
                           disk->id, disk->name);
        begin_disk(d);
        finish_disk(d, err);
    }
    return ERR_OK;
}

static enum err_code enter_disk(struct xva_disks *d, const char *id,
                                size_t id_len, struct err *err)
{
    size_t count = ova_disk_count(d->ova);
    enum err_code rc;
    size_t i;

    for (i = 0; i < count; i++)
        if (strncmp(ova_disk(d->ova, i)->id, id, id_len) == 0 &&
            ova_disk(d->ova, i)->id[id_len] == 0)
            break;
    if (i == count)
        return err_set(err, ERR_PROTOCOL, 0, "no disk of this VM");
    if (d->in_disk && i == d->disk)
        return ERR_OK;
    if (i < d->disk)
        return err_set(err, ERR_PROTOCOL, 0,
                       "a block of a disk that was complete before");
    rc = finish_disk(d, err);
    if (rc == ERR_OK)
        rc = pass_empty_disks(d, i, err);
    if (rc != ERR_OK)
        return rc;
    begin_disk(d);
    d->digits = 0;
    return ERR_OK;
}

/* "<id>/<digits>": the length of id, 0 when the name is not of that form. */
static size_t split_name(const char *name, uint64_t *number, size_t *digits)
{
    const char *slash = strrchr(name, '/');

    if (!slash || slash == name)
        return 0;
    *digits = strlen(slash + 1);
    if (*digits < DIGITS_MIN || *digits > DIGITS_MAX)
        return 0;
    *number = 0;
    for (const char *p = slash + 1; *p; p++) {
        if (*p < '0' || *p > '9')
            return 0;
        *number = *number * 10 + (uint64_t)(*p - '0');
    }
    return (size_t)(slash - name);
}

/* How much the numbers left out before this block stand for. */
static enum err_code measure_hole(struct xva_disks *d, uint64_t number,
                                  size_t digits, struct err *err)
{
    uint64_t gap;

    d->hole = 0;
    if (d->digits == 0) {
        if (number != 0)
            return err_set(err, ERR_PROTOCOL, 0,
                           "the disk's first block is missing");
        return ERR_OK;
    }
    if (digits != d->digits || number <= d->number)
        return err_set(err, ERR_PROTOCOL, 0,
                       "blocks in the wrong order, or a block twice");
    gap = number - d->number - 1;
    if (gap > 0 && __builtin_mul_overflow(gap, d->unit, &d->hole))
        return err_set(err, ERR_PROTOCOL, 0, "a gap of impossible size");
    return ERR_OK;
}

/*
 * A number left out stands for the first block of the stream. When that was a
 * whole (small) disk it says nothing about the exporter's blocks: then it is
 * the first block that is not a whole disk.
 */
static void learn_unit(struct xva_disks *d, uint64_t size, uint64_t disk_size)
{
    if (d->unit_firm)
        return;
    d->unit = size;
    d->unit_firm = size < disk_size;
}

enum err_code xva_disks_block(struct xva_disks *d, const char *name,
                              uint64_t size, struct err *err)
{
    uint64_t number = 0, end, disk_size;
    size_t digits = 0;
    size_t id_len = split_name(name, &number, &digits);
    enum err_code rc;

    if (d->sum_due)
        return err_set(err, ERR_PROTOCOL, 0,
                       "the checksum of %s should stand here", d->name);
    if (id_len == 0)
        return err_set(err, ERR_PROTOCOL, 0, "no name of a disk's block");
    rc = enter_disk(d, name, id_len, err);
    if (rc == ERR_OK)
        rc = measure_hole(d, number, digits, err);
    if (rc != ERR_OK)
        return rc;
    disk_size = ova_disk(d->ova, d->disk)->virtual_size;
    if (d->digits == 0) {
        if (size == 0)
            return err_set(err, ERR_PROTOCOL, 0,
                           "the disk's first block is empty");
        learn_unit(d, size, disk_size);
    }
    if (__builtin_add_overflow(d->offset, d->hole, &d->offset) ||
        __builtin_add_overflow(d->offset, size, &end) || end > disk_size)
        return err_set(err, ERR_PROTOCOL, 0,
                       "the block lies behind the disk's end (%" PRIu64
                       " bytes)",
                       disk_size);
    d->number = number;
    d->digits = digits;
    snprintf(d->name, sizeof(d->name), "%s", name);
    d->block = (struct xva_read_block){
        .disk = d->disk,
        .len = (uint32_t)size,
        .offset = d->offset,
        .number = number,
    };
    d->deferred = d->opts.defer_sums && size > 0 && size <= GRID &&
                  d->offset % GRID == 0 && (size == GRID || end == disk_size);
    d->sum_due = true;
    for (int k = XVA_SUM_XXHASH; k <= XVA_SUM_SHA1; k++)
        xva_sum_begin(d->sums[k], (enum xva_sum_kind)k);
    return ERR_OK;
}

bool xva_disks_hole(struct xva_disks *d)
{
    if (d->hole > 0 && !d->opts.events->hole(d->opts.ctx, d->disk,
                                             d->offset - d->hole, d->hole))
        return false;
    d->hole = 0;
    return true;
}

size_t xva_disks_data(struct xva_disks *d, const uint8_t *bytes, size_t len)
{
    size_t taken =
        d->opts.events->data(d->opts.ctx, d->disk, d->offset, bytes, len);

    d->offset += taken;
    if (d->deferred)
        return taken;
    for (int k = XVA_SUM_XXHASH; k <= XVA_SUM_SHA1; k++)
        if (!d->kind_known || (int)d->kind == k)
            xva_sum_add(d->sums[k], bytes, taken);
    return taken;
}

enum err_code xva_disks_sum_begin(struct xva_disks *d, const char *name,
                                  uint64_t size, struct err *err)
{
    enum xva_sum_kind kind = XVA_SUM_XXHASH;
    size_t len = strlen(d->name);

    if (!xva_disks_is_sum(name, &kind) || !d->sum_due ||
        strncmp(name, d->name, len) != 0 ||
        strcmp(name + len, xva_sum_suffix(kind)) != 0)
        return err_set(err, ERR_PROTOCOL, 0,
                       "a checksum that belongs to no block before it");
    if (size != xva_disks_sum_len(kind))
        return err_set(err, ERR_PROTOCOL, 0,
                       "a checksum of %" PRIu64 " instead of %zu digits", size,
                       xva_disks_sum_len(kind));
    if (d->kind_known && d->kind != kind)
        return err_set(err, ERR_PROTOCOL, 0,
                       "a checksum of another kind than before");
    d->kind = kind;
    return ERR_OK;
}

enum err_code xva_disks_sum(struct xva_disks *d,
                            const struct xva_sum_text *said, uint64_t stream_at,
                            struct err *err)
{
    struct xva_sum_text found;

    for (const char *p = said->text; *p; p++)
        if (!strchr("0123456789abcdefABCDEF", *p))
            return err_set(err, ERR_PROTOCOL, 0,
                           "a checksum that is not hexadecimal");
    d->kind_known = true;
    d->sum_due = false;
    d->block.sum = *said;
    d->block.stream_offset = stream_at;
    if (d->deferred) {
        d->opts.events->block(d->opts.ctx, &d->block);
        return ERR_OK;
    }
    if (!xva_sum_end(d->sums[said->kind], &found))
        return err_set(err, ERR_NOMEM, 0, "a block's checksum");
    if (!xva_sum_equal(&found, said))
        return err_set(err, ERR_INTEGRITY, 0,
                       "damaged: the block's bytes have the checksum %s, not "
                       "%s",
                       found.text, said->text);
    return ERR_OK;
}

enum err_code xva_disks_end(struct xva_disks *d, struct err *err)
{
    enum err_code rc;

    if (d->sum_due)
        return err_set(err, ERR_PROTOCOL, 0,
                       "the checksum of %s should stand here", d->name);
    rc = finish_disk(d, err);
    if (rc == ERR_OK)
        rc = pass_empty_disks(d, ova_disk_count(d->ova), err);
    return rc;
}
