/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   OVA_HEAD -> OVA_TEXT -> OVA_PAD
 *     -> [BLOCK_HEAD -> BLOCK_DATA -> BLOCK_PAD -> SUM] of each block -> TAIL
 */
#include "image/xva_write.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "image/tar.h"

#define BLOCK XVA_WRITE_BLOCK
#define NUMBER_MAX 99999999
/* "/00000000.checksum" stands behind it in a name of 100 bytes */
#define ID_MAX 80
#define TAIL_BYTES ((size_t)2 * TAR_BLOCK)
#define SUM_BYTES ((size_t)2 * TAR_BLOCK) /* header and padded digits */

enum write_state {
    OVA_HEAD,
    OVA_TEXT,
    OVA_PAD,
    BLOCK_HEAD,
    BLOCK_DATA,
    BLOCK_PAD,
    SUM,
    TAIL,
    DONE,
    FAILED
};

struct disk {
    char id[ID_MAX + 1];
    uint64_t virtual_size, blocks;
    const uint8_t *present;
};

struct xva_write {
    struct xva_write_opts opts;
    struct disk *disks;
    uint64_t total, position;

    enum write_state state;
    uint8_t own[2 * TAR_BLOCK]; /* the piece at hand, if it is no ova.xml */
    size_t len, done;           /* of the piece or block at hand */
    size_t disk;
    uint64_t block;
    struct xva_sum *sum;
    struct xva_sum_text given;
    bool sum_known;
};

size_t xva_write_bitmap_bytes(uint64_t virtual_size)
{
    return (size_t)((virtual_size / BLOCK + 1 + 7) / 8);
}

void xva_write_mark(uint8_t *present, uint64_t offset, uint64_t len)
{
    if (len == 0)
        return;
    for (uint64_t n = offset / BLOCK; n <= (offset + len - 1) / BLOCK; n++)
        present[n / 8] |= (uint8_t)(1 << n % 8);
}

/* The first block from `from` on that is in the archive; d->blocks: none. */
static uint64_t next_block(const struct disk *d, uint64_t from)
{
    if (from >= d->blocks || !d->present || from == 0)
        return from < d->blocks ? from : d->blocks;
    while (from < d->blocks - 1) {
        if (from % 8 == 0 && d->present[from / 8] == 0)
            from = from + 8 < d->blocks ? from + 8 : d->blocks - 1;
        else if (d->present[from / 8] >> from % 8 & 1)
            return from;
        else
            from++;
    }
    return d->blocks - 1; /* the last is always there */
}

static size_t block_bytes(const struct disk *d, uint64_t block)
{
    uint64_t left = d->virtual_size - block * BLOCK;

    return left < BLOCK ? (size_t)left : (size_t)BLOCK;
}

static uint64_t padded(uint64_t size)
{
    return size + tar_padding(size);
}

static void measure(struct xva_write *w)
{
    w->total = TAR_BLOCK + padded(w->opts.ova_len) + TAIL_BYTES;
    for (size_t i = 0; i < w->opts.disk_count; i++) {
        const struct disk *d = &w->disks[i];

        for (uint64_t n = next_block(d, 0); n < d->blocks;
             n = next_block(d, n + 1))
            w->total += TAR_BLOCK + padded(block_bytes(d, n)) + SUM_BYTES;
    }
}

static enum err_code take_disks(struct xva_write *w,
                                const struct xva_write_disk *disks,
                                struct err *err)
{
    uint64_t first = 0; /* size of the first disk that is not empty */

    for (size_t i = 0; i < w->opts.disk_count; i++) {
        struct disk *d = &w->disks[i];

        if (!disks[i].id[0] || strlen(disks[i].id) > ID_MAX)
            return err_set(err, ERR_ARGUMENT, 0, "disk id \"%s\"", disks[i].id);
        if (i > 0 && strcmp(disks[i - 1].id, disks[i].id) >= 0)
            return err_set(err, ERR_ARGUMENT, 0, "disk %s comes behind disk %s",
                           disks[i].id, disks[i - 1].id);
        snprintf(d->id, sizeof(d->id), "%s", disks[i].id);
        d->virtual_size = disks[i].virtual_size;
        d->blocks = d->virtual_size / BLOCK + (d->virtual_size % BLOCK != 0);
        if (d->blocks > (uint64_t)NUMBER_MAX + 1)
            return err_set(err, ERR_ARGUMENT, 0,
                           "disk %s has more than 10^8 blocks", d->id);
        /*
         * An importer takes the size of a left-out block from the first block
         * of the archive. When that is smaller, nothing may be left out.
         */
        if (first == 0 || first >= BLOCK)
            d->present = disks[i].present;
        if (first == 0)
            first = d->virtual_size;
    }
    return ERR_OK;
}

/* Begin a piece of our own. */
static void piece(struct xva_write *w, enum write_state state, size_t len)
{
    w->state = state;
    w->len = len;
    w->done = 0;
}

enum err_code xva_write_new(const struct xva_write_opts *opts,
                            struct xva_write **out, struct err *err)
{
    struct xva_write *w;
    enum err_code rc = ERR_OK;

    if (!opts->suite)
        return err_set(err, ERR_ARGUMENT, 0, "an XVA writer without a suite");
    w = calloc(1, sizeof(*w));
    if (!w)
        return err_set(err, ERR_NOMEM, 0, "an XVA writer");
    w->opts = *opts;
    w->disks = calloc(opts->disk_count + 1, sizeof(*w->disks));
    w->sum = xva_sum_new(opts->suite);
    if (!w->disks || !w->sum)
        rc = err_set(err, ERR_NOMEM, 0, "an XVA writer");
    if (rc == ERR_OK)
        rc = take_disks(w, opts->disks, err);
    if (rc != ERR_OK) {
        xva_write_free(w);
        return rc;
    }
    measure(w);
    tar_header_make("ova.xml", opts->ova_len, opts->mtime, w->own);
    piece(w, OVA_HEAD, TAR_BLOCK);
    *out = w;
    return ERR_OK;
}

void xva_write_free(struct xva_write *w)
{
    if (!w)
        return;
    xva_sum_free(w->sum);
    free(w->disks);
    free(w);
}

uint64_t xva_write_total(const struct xva_write *w)
{
    return w->total;
}

uint64_t xva_write_position(const struct xva_write *w)
{
    return w->position;
}

/* Go to the next block from w->block of w->disk on, or to the end. */
static void enter_block(struct xva_write *w)
{
    char name[ID_MAX + 48];

    while (w->disk < w->opts.disk_count) {
        const struct disk *d = &w->disks[w->disk];

        w->block = next_block(d, w->block);
        if (w->block < d->blocks) {
            snprintf(name, sizeof(name), "%s/%08" PRIu64, d->id, w->block);
            tar_header_make(name, block_bytes(d, w->block), 0, w->own);
            xva_sum_begin(w->sum, w->opts.sum);
            w->sum_known = false;
            piece(w, BLOCK_HEAD, TAR_BLOCK);
            return;
        }
        w->disk++;
        w->block = 0;
    }
    memset(w->own, 0, TAIL_BYTES);
    piece(w, TAIL, TAIL_BYTES);
}

static void make_sum(struct xva_write *w)
{
    char name[ID_MAX + 48];
    size_t digits = strlen(w->given.text);

    snprintf(name, sizeof(name), "%s/%08" PRIu64 "%s", w->disks[w->disk].id,
             w->block, xva_sum_suffix(w->opts.sum));
    memset(w->own, 0, sizeof(w->own));
    tar_header_make(name, digits, 0, w->own);
    memcpy(w->own + TAR_BLOCK, w->given.text, digits);
    w->sum_known = true;
}

static void enter_sum(struct xva_write *w)
{
    piece(w, SUM, SUM_BYTES);
    if (w->opts.sums_given) {
        if (w->sum_known)
            make_sum(w);
        return;
    }
    if (xva_sum_end(w->sum, &w->given))
        make_sum(w);
    else
        w->state = FAILED;
}

static void enter_padding(struct xva_write *w, enum write_state state,
                          uint64_t size)
{
    memset(w->own, 0, sizeof(w->own));
    piece(w, state, tar_padding(size));
}

/* The piece or block at hand is out. */
static void advance(struct xva_write *w)
{
    switch (w->state) {
    case OVA_HEAD:
        piece(w, OVA_TEXT, w->opts.ova_len);
        break;
    case OVA_TEXT:
        enter_padding(w, OVA_PAD, w->opts.ova_len);
        break;
    case OVA_PAD:
        enter_block(w);
        break;
    case BLOCK_HEAD:
        piece(w, BLOCK_DATA, block_bytes(&w->disks[w->disk], w->block));
        break;
    case BLOCK_DATA:
        enter_padding(w, BLOCK_PAD, w->len);
        break;
    case BLOCK_PAD:
        enter_sum(w);
        break;
    case SUM:
        w->block++;
        enter_block(w);
        break;
    default:
        w->state = DONE;
    }
}

static void move(struct xva_write *w, size_t n)
{
    assert(n <= w->len - w->done);
    w->done += n;
    w->position += n;
    while (w->state < DONE && w->done == w->len)
        advance(w);
}

enum xva_write_want xva_write_next(const struct xva_write *w,
                                   struct xva_write_piece *out)
{
    const uint8_t *own = w->state == OVA_TEXT ? w->opts.ova : w->own;

    *out = (struct xva_write_piece){
        .data = own + w->done,
        .len = w->len - w->done,
        .disk = w->disk,
        .offset = w->block * BLOCK,
    };
    if (w->state == DONE)
        return XVA_WRITE_END;
    if (w->state == FAILED)
        return XVA_WRITE_FAILED;
    if (w->state == SUM && !w->sum_known)
        return XVA_WRITE_SUM;
    if (w->state != BLOCK_DATA)
        return XVA_WRITE_OWN;
    out->data = NULL;
    out->offset += w->done;
    return XVA_WRITE_DATA;
}

void xva_write_took(struct xva_write *w, size_t n)
{
    assert(w->state != BLOCK_DATA && w->state < DONE);
    move(w, n);
}

void xva_write_data(struct xva_write *w, const uint8_t *data, size_t n)
{
    assert(w->state == BLOCK_DATA);
    if (!w->opts.sums_given)
        xva_sum_add(w->sum, data, n);
    move(w, n);
}

void xva_write_sum(struct xva_write *w, const struct xva_sum_text *sum)
{
    assert(w->opts.sums_given && !w->sum_known && w->state >= BLOCK_HEAD &&
           w->state <= SUM && sum->kind == w->opts.sum);
    w->given = *sum;
    w->sum_known = true;
    if (w->state == SUM)
        make_sum(w);
}
