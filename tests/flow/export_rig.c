/* SPDX-License-Identifier: Apache-2.0 */
#include "export_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "crypto/seal_suite.h"

#define PAUSE_MS 5

static const char pools[] =
    "[{\"name\": \"paris\", \"hosts\": [{\"name\": \"p1\"}, {\"name\": "
    "\"p2\"}],"
    "  \"srs\": [{\"name\": \"fast\", \"shared\": true}],"
    "  \"vms\": [{\"name\": \"cold\", \"power_state\": \"Halted\", \"disks\": ["
    "     {\"size\": \"12 MiB\", \"fill\": \"marked\", \"used\": \"5 MiB\"},"
    "     {\"size\": 3146240, \"fill\": \"random\"},"
    "     {\"size\": \"5 MiB\"}]},"
    "   {\"name\": \"hot\", \"disks\": [{\"size\": \"1 MiB\"}]}]}]";

static const size_t sizes[EXPORT_RIG_DISKS] = {12 << 20, 3146240, 5 << 20};

struct export_rig export_rig;

static struct export_rig *const rig = &export_rig;

int export_rig_open(void **state)
{
    struct err err = {0};
    char query[64];

    assert_int_equal(seal_suite_new(&rig->suite, &err), ERR_OK);
    *state = &rig->pool;
    pool_rig_open(&rig->pool, pools);
    rig->cold = pool_rig_ref(&rig->pool, "cold");
    rig->hot = pool_rig_ref(&rig->pool, "hot");
    for (size_t i = 0; i < EXPORT_RIG_DISKS; i++) {
        rig->expect[i] = malloc(sizes[i]);
        snprintf(query, sizeof(query), "vm=cold&device=%zu", i);
        sim_disk(&rig->pool.sim, query, rig->expect[i], sizes[i]);
    }
    assert_false(bytes_all_zero(rig->expect[0], sizes[0]));
    return 0;
}

int export_rig_close(void **state)
{
    (void)state;
    for (size_t i = 0; i < EXPORT_RIG_DISKS; i++)
        free(rig->expect[i]);
    free(rig->cold);
    free(rig->hot);
    pool_rig_close(&rig->pool);
    seal_suite_free(rig->suite);
    return 0;
}

int export_rig_after(void **state)
{
    pool_rig_after(state);
    sim_reset(&rig->pool.sim);
    assert_int_equal(sim_objects(&rig->pool.sim, "task", NULL), 0);
    return 0;
}

static void on_ova(void *ctx, const struct ova *ova, const uint8_t *text,
                   size_t len)
{
    if (ova_disk_count(ova) == EXPORT_RIG_DISKS)
        assert_string_equal(ova_vm(ova)->name, "cold");
}

static void on_disk_begin(void *ctx, uint32_t disk)
{
}

/* By userdevice: the stream's order is that of its own ids. */
static uint8_t *disk_of(struct export_rig_taking *p, uint32_t disk)
{
    const struct ova_disk *d = ova_disk(xva_read_ova(p->reader), disk);
    size_t device = strtoul(d->userdevice, NULL, 10);

    assert_true(device < EXPORT_RIG_DISKS);
    if (ova_disk_count(xva_read_ova(p->reader)) == EXPORT_RIG_DISKS)
        assert_int_equal(d->virtual_size, sizes[device]);
    return p->disks[device];
}

static size_t on_data(void *ctx, uint32_t disk, uint64_t offset,
                      const uint8_t *bytes, size_t len)
{
    struct export_rig_taking *p = ctx;

    if (p->refuse_every && ++p->asked % p->refuse_every == 0)
        len /= 2;
    memcpy(disk_of(p, disk) + offset, bytes, len);
    return len;
}

static bool on_hole(void *ctx, uint32_t disk, uint64_t offset, uint64_t len)
{
    struct export_rig_taking *p = ctx;

    if (p->refuse_every && ++p->asked % 2 == 0)
        return false;
    memset(disk_of(p, disk) + offset, 0, len);
    return true;
}

static void on_disk_end(void *ctx, uint32_t disk, uint64_t total)
{
}

static void on_end(void *ctx)
{
}

static const struct xva_read_events events = {
    .ova = on_ova,
    .disk_begin = on_disk_begin,
    .data = on_data,
    .hole = on_hole,
    .disk_end = on_disk_end,
    .end = on_end,
};

static void on_resume(struct timer *t);

/* Nothing is taken for so long. */
static void take_nothing(struct export_rig_taking *p, uint64_t ms)
{
    p->paused++;
    timer_start(rig->pool.loop, &p->resume, ms, on_resume);
}

/* Feed what is held back. False: the reader has no room. */
static bool feed_rest(struct export_rig_taking *p)
{
    struct err err = {0};
    size_t used = 0;

    while (p->rest_at < p->rest_len || xva_read_is_blocked(p->reader)) {
        if (xva_read_feed(p->reader, p->rest + p->rest_at,
                          p->rest_len - p->rest_at, &used, &err) != ERR_OK) {
            err_keep(&p->stream, &err);
            xenapi_transfer_cancel(p->transfer);
            p->rest_at = p->rest_len;
            return true;
        }
        p->rest_at += used;
        if (xva_read_is_blocked(p->reader))
            return false;
    }
    return true;
}

static void report(struct export_rig_taking *p)
{
    struct err err = {0};

    p->transferring = false;
    if (p->stream.code == ERR_OK && xva_read_finish(p->reader, &err) != ERR_OK)
        p->stream = err;
    xenapi_export_streamed(p->export, &p->stream);
}

static void on_resume(struct timer *t)
{
    struct export_rig_taking *p =
        (struct export_rig_taking *)((char *)t -
                                     offsetof(struct export_rig_taking,
                                              resume));

    if (!feed_rest(p)) {
        take_nothing(p, PAUSE_MS);
        return;
    }
    if (p->transfer)
        xenapi_transfer_resume(p->transfer);
    else
        report(p); /* the transfer ended meanwhile */
}

static bool on_body(void *ctx, const uint8_t *data, size_t len)
{
    struct export_rig_taking *p = ctx;

    assert_true(len <= sizeof(p->rest));
    if (timer_is_armed(&p->resume))
        return false;
    if (p->pause_every && ++p->pieces % p->pause_every == 0) {
        take_nothing(p, PAUSE_MS);
        return false;
    }
    memcpy(p->rest, data, len);
    p->rest_len = len;
    p->rest_at = 0;
    p->fed += len;
    if (!feed_rest(p))
        take_nothing(p, PAUSE_MS);
    if (p->pause_at && p->fed >= p->pause_at) {
        p->pause_at = 0;
        take_nothing(p, p->pause_ms);
    }
    if (p->cut_at && p->fed >= p->cut_at) {
        p->cut_at = 0;
        xenapi_export_cancel(p->export);
        xenapi_transfer_cancel(p->transfer);
    }
    return true;
}

static void on_transferred(void *ctx, const struct err *err, uint64_t bytes)
{
    struct export_rig_taking *p = ctx;

    p->transfer = NULL;
    assert_true(err->detail != XENAPI_TRANSFER_UNHEARD || p->fed == 0);
    err_keep(&p->stream, err);
    if (!timer_is_armed(&p->resume))
        report(p);
}

void export_rig_host_down(const char *host, bool down)
{
    sim_do(&rig->pool.sim, "/sim/host/down",
           "{\"host\": \"%s\", \"down\": %s}", host, down ? "true" : "false");
}

static void reader_open(struct export_rig_taking *p)
{
    const struct xva_read_opts o = {
        .suite = rig->suite, .events = &events, .ctx = p};
    struct err err = {0};

    xva_read_free(p->reader);
    assert_int_equal(xva_read_new(&o, &p->reader, &err), ERR_OK);
}

static void on_ready(void *ctx, struct xenapi_ticket *ticket)
{
    struct export_rig_taking *p = ctx;
    const struct xenapi_transfer_opts o = {.loop = rig->pool.loop,
                                           .client = rig->pool.client,
                                           .ticket = ticket,
                                           .on_body = on_body,
                                           .done = on_transferred,
                                           .ctx = p};
    struct err err = {0};

    if (p->tickets++ == 0 && p->down)
        export_rig_host_down(p->down, true);
    if (p->tickets > 1) {
        assert_int_equal(p->stream.detail, XENAPI_TRANSFER_UNHEARD);
        err_clear(&p->stream);
        reader_open(p);
    }
    assert_int_equal(xenapi_transfer_start(&o, &p->transfer, &err), ERR_OK);
    p->transferring = true;
}

static void on_exported(void *ctx, const struct err *err)
{
    struct export_rig_taking *p = ctx;

    assert_false(p->transferring);
    pool_rig_on_done(&p->end, err);
}

void export_rig_open_taking(struct export_rig_taking *p)
{
    memset(p, 0, sizeof(*p));
    pool_rig_end_init(&rig->pool, &p->end);
    for (size_t i = 0; i < EXPORT_RIG_DISKS; i++) {
        p->disks[i] = malloc(sizes[i]);
        memset(p->disks[i], 0xee, sizes[i]);
    }
    reader_open(p);
}

void export_rig_close_taking(struct export_rig_taking *p)
{
    timer_stop(&p->resume);
    xva_read_free(p->reader);
    for (size_t i = 0; i < EXPORT_RIG_DISKS; i++)
        free(p->disks[i]);
}

void export_rig_begin(struct export_rig_taking *p, const char *ref, bool zstd)
{
    const struct xenapi_export_opts o = {
        .ref = ref,
        .label = "cairn backup of cold",
        .zstd = zstd,
        .ready = on_ready,
        .done = on_exported,
        .ctx = p,
    };
    struct err err = {0};

    if (xenapi_export_start(rig->pool.session, &o, &p->export, &err) !=
        ERR_OK)
        fail_msg("%s", err.text);
}

void export_rig_take(struct export_rig_taking *p, const char *ref, bool zstd)
{
    export_rig_begin(p, ref, zstd);
    pool_rig_wait(&rig->pool, &p->end.done, 1);
}

void export_rig_expect(const struct export_rig_taking *p)
{
    for (size_t i = 0; i < EXPORT_RIG_DISKS; i++)
        assert_memory_equal(p->disks[i], rig->expect[i], sizes[i]);
}

