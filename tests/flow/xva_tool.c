/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xva_tool - the XVA codecs on files, for tests that compare them with other
 * programs.
 *
 *   xva_tool read ARCHIVE DIR PIECE         disks to DIR/<id>, fed in pieces
 *   xva_tool write OVA ARCHIVE SUM ID=RAW.. SUM: xxhash, checksum
 *
 * Prints one line per disk; ends with 1 and the error's sentence.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/xml.h"
#include "crypto/seal_suite.h"
#include "image/xva_read.h"
#include "image/xva_write.h"

#define DISKS_MAX 16

struct reading {
    const char *dir;
    const struct ova *ova;
    int fd;
    bool failed;
};

static void on_ova(void *ctx, const struct ova *ova, const uint8_t *text,
                   size_t len)
{
    ((struct reading *)ctx)->ova = ova;
}

static void on_disk_begin(void *ctx, uint32_t disk)
{
    struct reading *r = ctx;
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s", r->dir, ova_disk(r->ova, disk)->id);
    r->fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
}

static size_t on_data(void *ctx, uint32_t disk, uint64_t offset,
                      const uint8_t *bytes, size_t len)
{
    struct reading *r = ctx;

    if (pwrite(r->fd, bytes, len, (off_t)offset) != (ssize_t)len)
        r->failed = true;
    return len;
}

static bool on_hole(void *ctx, uint32_t disk, uint64_t offset, uint64_t len)
{
    return true;
}

static void on_disk_end(void *ctx, uint32_t disk, uint64_t total)
{
    struct reading *r = ctx;

    if (ftruncate(r->fd, (off_t)total) < 0)
        r->failed = true;
    close(r->fd);
    printf("%s %" PRIu64 "\n", ova_disk(r->ova, disk)->id, total);
}

static void on_end(void *ctx)
{
    printf("end\n");
}

static const struct xva_read_events events = {
    .ova = on_ova,
    .disk_begin = on_disk_begin,
    .data = on_data,
    .hole = on_hole,
    .disk_end = on_disk_end,
    .end = on_end,
};

static int tell(const struct err *err)
{
    printf("%s: %s\n", err_name(err->code), err->text);
    return 1;
}

static int do_read(const struct seal_suite *suite, char **args)
{
    struct reading reading = {.dir = args[1], .fd = -1};
    struct xva_read_opts opts = {
        .suite = suite, .events = &events, .ctx = &reading};
    size_t piece = (size_t)strtoul(args[2], NULL, 10), n, used;
    uint8_t *data = malloc(piece);
    FILE *f = fopen(args[0], "rb");
    struct xva_read *r = NULL;
    struct err err = {0};

    if (!data || !f || xva_read_new(&opts, &r, &err) != ERR_OK)
        exit(2);
    while (err.code == ERR_OK && (n = fread(data, 1, piece, f)) > 0)
        if (xva_read_feed(r, data, n, &used, &err) == ERR_OK && used != n)
            exit(2);
    if (err.code == ERR_OK)
        xva_read_finish(r, &err);
    xva_read_free(r);
    fclose(f);
    free(data);
    return reading.failed ? 2 : err.code ? tell(&err) : 0;
}

/* Which blocks of a file are not all zero. */
static uint8_t *scan(int fd, uint64_t size)
{
    uint8_t *present = calloc(1, xva_write_bitmap_bytes(size));
    uint8_t *block = malloc(XVA_WRITE_BLOCK);
    ssize_t n;

    for (uint64_t at = 0; present && block && at < size;
         at += XVA_WRITE_BLOCK) {
        n = pread(fd, block, XVA_WRITE_BLOCK, (off_t)at);
        if (n < 0 || !bytes_all_zero(block, (size_t)n))
            xva_write_mark(present, at, 1);
    }
    free(block);
    return present;
}

static int write_all(struct xva_write *w, const int *fds, FILE *f)
{
    struct xva_write_piece p;
    enum xva_write_want want;
    uint8_t data[10000];

    while ((want = xva_write_next(w, &p)) != XVA_WRITE_END) {
        if (want == XVA_WRITE_OWN) {
            fwrite(p.data, 1, p.len, f);
            xva_write_took(w, p.len);
            continue;
        }
        if (p.len > sizeof(data))
            p.len = sizeof(data);
        if (want != XVA_WRITE_DATA ||
            pread(fds[p.disk], data, p.len, (off_t)p.offset) != (ssize_t)p.len)
            exit(2);
        fwrite(data, 1, p.len, f);
        xva_write_data(w, data, p.len);
    }
    printf("%" PRIu64 "\n", xva_write_total(w));
    return fclose(f) == 0 ? 0 : 2;
}

static int do_write(const struct seal_suite *suite, char **args, int count)
{
    struct xva_write_disk disks[DISKS_MAX] = {0};
    struct xva_write_opts opts = {.suite = suite, .disks = disks};
    int fds[DISKS_MAX];
    static char ova[1 << 20];
    FILE *f = fopen(args[0], "rb"), *out = fopen(args[1], "wb");
    struct xva_write *w = NULL;
    struct err err = {0};
    struct stat st;
    int rc;

    if (!f || !out || count - 3 > DISKS_MAX)
        exit(2);
    opts.ova = ova;
    opts.ova_len = fread(ova, 1, sizeof(ova), f);
    fclose(f);
    opts.sum = strcmp(args[2], "checksum") ? XVA_SUM_XXHASH : XVA_SUM_SHA1;
    for (int i = 3; i < count; i++) {
        struct xva_write_disk *d = &disks[opts.disk_count];
        char *equals = strchr(args[i], '=');

        if (!equals)
            exit(2);
        *equals = 0;
        fds[opts.disk_count] = open(equals + 1, O_RDONLY);
        if (fstat(fds[opts.disk_count], &st) < 0)
            exit(2);
        d->id = args[i];
        d->virtual_size = (uint64_t)st.st_size;
        d->present = scan(fds[opts.disk_count], d->virtual_size);
        opts.disk_count++;
    }
    if (xva_write_new(&opts, &w, &err) != ERR_OK)
        return tell(&err);
    rc = write_all(w, fds, out);
    xva_write_free(w);
    for (size_t i = 0; i < opts.disk_count; i++) {
        free((void *)(uintptr_t)disks[i].present);
        close(fds[i]);
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct seal_suite *suite = NULL;
    struct err err = {0};
    int rc = 2;

    xml_setup();
    if (seal_suite_new(&suite, &err) != ERR_OK)
        return tell(&err);
    if (argc == 5 && strcmp(argv[1], "read") == 0)
        rc = do_read(suite, argv + 2);
    else if (argc >= 5 && strcmp(argv[1], "write") == 0)
        rc = do_write(suite, argv + 2, argc - 2);
    seal_suite_free(suite);
    return rc;
}
