/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes into the XVA reader, in pieces whose sizes the input chooses, with
 * a consumer that refuses now and then. To get past the headers, checksums of
 * tar headers are put right before (unless the first byte says no), so that
 * mutations reach the rules behind them.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xml.h"
#include "crypto/seal_suite.h"
#include "image/xva_read.h"

#define SIZE_MAX_INPUT ((size_t)1 << 20)

struct state {
    uint32_t seed;
    uint64_t at, size; /* of the disk at hand */
    uint32_t disk;
    bool in_disk, ended;
    const struct ova *ova;
};

static bool refuses(struct state *s)
{
    s->seed = s->seed * 1664525u + 1013904223u;
    return s->seed >> 30 == 0;
}

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void on_ova(void *ctx, const struct ova *ova, const uint8_t *text,
                   size_t len)
{
    ((struct state *)ctx)->ova = ova;
}

static void on_disk_begin(void *ctx, uint32_t disk)
{
    struct state *s = ctx;

    require(!s->in_disk && disk < ova_disk_count(s->ova));
    s->in_disk = true;
    s->disk = disk;
    s->at = 0;
    s->size = ova_disk(s->ova, disk)->virtual_size;
}

static size_t on_data(void *ctx, uint32_t disk, uint64_t offset,
                      const uint8_t *bytes, size_t len)
{
    struct state *s = ctx;

    require(s->in_disk && disk == s->disk && offset == s->at &&
            len <= s->size - s->at && len > 0);
    if (refuses(s))
        len /= 2;
    s->at += len;
    return len;
}

static bool on_hole(void *ctx, uint32_t disk, uint64_t offset, uint64_t len)
{
    struct state *s = ctx;

    require(s->in_disk && disk == s->disk && offset == s->at && len > 0 &&
            len <= s->size - s->at);
    if (refuses(s))
        return false;
    s->at += len;
    return true;
}

static void on_block(void *ctx, const struct xva_read_block *block)
{
    struct state *s = ctx;

    require(block->disk == s->disk && block->offset + block->len == s->at);
}

static void on_disk_end(void *ctx, uint32_t disk, uint64_t total)
{
    struct state *s = ctx;

    require(s->in_disk && disk == s->disk && total == s->at &&
            s->at == s->size);
    s->in_disk = false;
}

static void on_end(void *ctx)
{
    struct state *s = ctx;

    require(!s->in_disk && !s->ended);
    s->ended = true;
}

static const struct xva_read_events events = {
    .ova = on_ova,
    .disk_begin = on_disk_begin,
    .data = on_data,
    .hole = on_hole,
    .block = on_block,
    .disk_end = on_disk_end,
    .end = on_end,
};

/* Wherever a block of 512 looks like a header, make its sum right. */
static void repair(uint8_t *data, size_t len)
{
    for (size_t at = 0; at + 512 <= len; at += 512) {
        uint8_t *h = data + at;
        unsigned sum = 0;

        if (memcmp(h + 100, "0000400", 8) != 0)
            continue;
        memset(h + 148, ' ', 8);
        for (int i = 0; i < 512; i++)
            sum += h[i];
        snprintf((char *)h + 148, 8, "%07o", sum);
    }
}

static void run(const struct seal_suite *suite, const uint8_t *data, size_t len,
                uint8_t how)
{
    struct state s = {.seed = how};
    struct xva_read_opts opts = {.suite = suite,
                                 .events = &events,
                                 .ctx = &s,
                                 .ova_max = SIZE_MAX_INPUT,
                                 .defer_sums = how & 2};
    struct xva_read *r = NULL;
    struct err err = {0};
    enum err_code rc = ERR_OK;
    size_t at = 0, n, used = 0;

    require(xva_read_new(&opts, &r, &err) == ERR_OK);
    while (rc == ERR_OK && (at < len || xva_read_is_blocked(r))) {
        n = how & 4 ? 1 + (s.seed >> 8) % 1500 : len;
        if (n > len - at)
            n = len - at;
        rc = xva_read_feed(r, data + at, n, &used, &err);
        require(used <= n && (used == n || rc || xva_read_is_blocked(r)));
        at += used;
    }
    if (rc == ERR_OK)
        rc = xva_read_finish(r, &err);
    require(rc == err.code && (rc == ERR_OK) == (err.text[0] == 0));
    require(rc != ERR_OK || s.ended);
    xva_read_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct seal_suite *suite;
    struct err err = {0};
    uint8_t *copy;

    if (!suite) {
        xml_setup();
        require(seal_suite_new(&suite, &err) == ERR_OK);
    }
    if (len < 1 || len > SIZE_MAX_INPUT)
        return 0;
    copy = malloc(len);
    require(copy != NULL);
    memcpy(copy, data + 1, len - 1);
    if (!(data[0] & 1))
        repair(copy, len - 1);
    run(suite, copy, len - 1, data[0]);
    free(copy);
    return 0;
}
