/* SPDX-License-Identifier: Apache-2.0 */
/* Exports from the simulator through xenapi/ and image/: what comes is what
 * lies on the disks, or there is an error that says why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/xml.h"
#include "crypto/seal_suite.h"
#include "image/xva_read.h"
#include "pool_rig.h"
#include "xenapi/xenapi_export.h"
#include "xenapi/xenapi_transfer.h"

#define DISKS 3

static const char pools[] =
    "[{\"name\": \"paris\", \"hosts\": [{\"name\": \"p1\"}, {\"name\": "
    "\"p2\"}],"
    "  \"srs\": [{\"name\": \"fast\", \"shared\": true}],"
    "  \"vms\": [{\"name\": \"cold\", \"power_state\": \"Halted\", \"disks\": ["
    "     {\"size\": \"12 MiB\", \"fill\": \"marked\", \"used\": \"5 MiB\"},"
    "     {\"size\": 3146240, \"fill\": \"random\"},"
    "     {\"size\": \"5 MiB\"}]},"
    "   {\"name\": \"hot\", \"disks\": [{\"size\": \"1 MiB\"}]}]}]";

static const size_t sizes[DISKS] = {12 << 20, 3146240, 5 << 20};

static struct pool_rig rig;
static struct seal_suite *suite;
static char *cold, *hot;
static uint8_t *expect[DISKS]; /* by device */

static int open_rig(void **state)
{
    char query[64];

    *state = &rig;
    pool_rig_open(&rig, pools);
    cold = pool_rig_ref(&rig, "cold");
    hot = pool_rig_ref(&rig, "hot");
    for (size_t i = 0; i < DISKS; i++) {
        expect[i] = malloc(sizes[i]);
        snprintf(query, sizeof(query), "vm=cold&device=%zu", i);
        sim_disk(&rig.sim, query, expect[i], sizes[i]);
    }
    assert_false(bytes_all_zero(expect[0], sizes[0]));
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    for (size_t i = 0; i < DISKS; i++)
        free(expect[i]);
    free(cold);
    free(hot);
    pool_rig_close(&rig);
    return 0;
}

static int after(void **state)
{
    pool_rig_after(state);
    sim_reset(&rig.sim);
    assert_int_equal(sim_objects(&rig.sim, "task", NULL), 0);
    return 0;
}

/* A small pipe: transfer -> reader -> memory, which pauses now and then. */
struct pipe {
    struct pool_rig_end end; /* of the export */
    struct xenapi_export *export;
    struct xenapi_transfer *transfer;
    struct xva_read *reader;
    struct err stream;
    uint8_t *disks[DISKS];
    uint8_t rest[16384];
    size_t rest_len, rest_at;
    struct timer resume;
    unsigned pause_every, pieces, paused;
    unsigned refuse_every, asked;
    bool transferring;
    size_t cut_at, fed; /* cancel the export after so many bytes */
};

static void on_ova(void *ctx, const struct ova *ova, const uint8_t *text,
                   size_t len)
{
    if (ova_disk_count(ova) == DISKS)
        assert_string_equal(ova_vm(ova)->name, "cold");
}

static void on_disk_begin(void *ctx, uint32_t disk)
{
}

/* By userdevice: the stream's order is that of its own ids. */
static uint8_t *disk_of(struct pipe *p, uint32_t disk)
{
    const struct ova_disk *d = ova_disk(xva_read_ova(p->reader), disk);
    size_t device = strtoul(d->userdevice, NULL, 10);

    assert_true(device < DISKS);
    if (ova_disk_count(xva_read_ova(p->reader)) == DISKS)
        assert_int_equal(d->virtual_size, sizes[device]);
    return p->disks[device];
}

static size_t on_data(void *ctx, uint32_t disk, uint64_t offset,
                      const uint8_t *bytes, size_t len)
{
    struct pipe *p = ctx;

    if (p->refuse_every && ++p->asked % p->refuse_every == 0)
        len /= 2;
    memcpy(disk_of(p, disk) + offset, bytes, len);
    return len;
}

static bool on_hole(void *ctx, uint32_t disk, uint64_t offset, uint64_t len)
{
    struct pipe *p = ctx;

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

static void pause_pipe(struct pipe *p)
{
    p->paused++;
    timer_start(rig.loop, &p->resume, 5, on_resume);
}

/* Feed what is held back. False: the reader has no room. */
static bool feed_rest(struct pipe *p)
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

static void report(struct pipe *p)
{
    struct err err = {0};

    p->transferring = false;
    if (p->stream.code == ERR_OK && xva_read_finish(p->reader, &err) != ERR_OK)
        p->stream = err;
    xenapi_export_streamed(p->export, &p->stream);
}

static void on_resume(struct timer *t)
{
    struct pipe *p = (struct pipe *)((char *)t - offsetof(struct pipe, resume));

    if (!feed_rest(p)) {
        pause_pipe(p);
        return;
    }
    if (p->transfer)
        xenapi_transfer_resume(p->transfer);
    else
        report(p); /* the transfer ended meanwhile */
}

static bool on_body(void *ctx, const uint8_t *data, size_t len)
{
    struct pipe *p = ctx;

    assert_true(len <= sizeof(p->rest));
    if (timer_is_armed(&p->resume))
        return false;
    if (p->pause_every && ++p->pieces % p->pause_every == 0) {
        pause_pipe(p);
        return false;
    }
    memcpy(p->rest, data, len);
    p->rest_len = len;
    p->rest_at = 0;
    p->fed += len;
    if (!feed_rest(p))
        pause_pipe(p);
    if (p->cut_at && p->fed >= p->cut_at) {
        p->cut_at = 0;
        xenapi_export_cancel(p->export);
        xenapi_transfer_cancel(p->transfer);
    }
    return true;
}

static void on_transferred(void *ctx, const struct err *err, uint64_t bytes)
{
    struct pipe *p = ctx;

    p->transfer = NULL;
    err_keep(&p->stream, err);
    if (!timer_is_armed(&p->resume))
        report(p);
}

static void on_ready(void *ctx, struct xenapi_ticket *ticket)
{
    struct pipe *p = ctx;
    const struct xenapi_transfer_opts o = {.loop = rig.loop,
                                           .client = rig.client,
                                           .ticket = ticket,
                                           .on_body = on_body,
                                           .done = on_transferred,
                                           .ctx = p};
    struct err err = {0};

    assert_int_equal(xenapi_transfer_start(&o, &p->transfer, &err), ERR_OK);
    p->transferring = true;
}

static void on_exported(void *ctx, const struct err *err)
{
    struct pipe *p = ctx;

    assert_false(p->transferring);
    pool_rig_on_done(&p->end, err);
}

static void pipe_open(struct pipe *p)
{
    struct xva_read_opts o = {.suite = suite, .events = &events, .ctx = p};
    struct err err = {0};

    memset(p, 0, sizeof(*p));
    pool_rig_end_init(&rig, &p->end);
    for (size_t i = 0; i < DISKS; i++) {
        p->disks[i] = malloc(sizes[i]);
        memset(p->disks[i], 0xee, sizes[i]);
    }
    assert_int_equal(xva_read_new(&o, &p->reader, &err), ERR_OK);
}

static void pipe_close(struct pipe *p)
{
    xva_read_free(p->reader);
    for (size_t i = 0; i < DISKS; i++)
        free(p->disks[i]);
}

static void pipe_start(struct pipe *p, const char *ref, bool zstd)
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

    if (xenapi_export_start(rig.session, &o, &p->export, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

static void pipe_run(struct pipe *p, const char *ref, bool zstd)
{
    pipe_start(p, ref, zstd);
    pool_rig_wait(&rig, &p->end.done, 1);
}

static void expect_contents(const struct pipe *p)
{
    for (size_t i = 0; i < DISKS; i++)
        assert_memory_equal(p->disks[i], expect[i], sizes[i]);
}

static void expect_success(const char *fault, bool zstd)
{
    struct pipe p;

    for (int slow = 0; slow < 2; slow++) {
        pipe_open(&p);
        p.pause_every = slow ? 37 : 0;
        p.refuse_every = slow ? 41 : 0;
        if (fault)
            sim_fault(&rig.sim, "%s", fault);
        pipe_run(&p, cold, zstd);
        if (p.end.err.code != ERR_OK)
            fail_msg("%s: %s", fault, p.end.err.text);
        expect_contents(&p);
        assert_true(!slow || p.paused > 5);
        pipe_close(&p);
    }
}

static void what_comes_is_what_lies_on_the_disks(void **state)
{
    (void)state;
    expect_success(NULL, false);
    expect_success(NULL, true);
}

static void all_ways_to_send_blocks_are_understood(void **state)
{
    static const char *const rows[] = {
        "{\"name\": \"export_sha1\"}",
        "{\"name\": \"export_all_blocks\"}",
        "{\"name\": \"export_keepalive\", \"every\": 1}",
        "{\"name\": \"export_keepalive\", \"every\": 3}",
        "{\"name\": \"export_first_small\", \"bytes\": 65536}",
        "{\"name\": \"export_first_small\", \"bytes\": 524288}",
        "{\"name\": \"export_chunk\", \"bytes\": 65536}",
        "{\"name\": \"export_chunk\", \"bytes\": 4194304}",
    };

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++)
        expect_success(rows[i], false);
    expect_success(rows[2], true);
}

static void a_redirect_to_a_member_is_followed(void **state)
{
    (void)state;
    expect_success("{\"name\": \"export_redirect\"}", false);
    expect_success("{\"name\": \"task_delay\", \"ms\": 300}", false);
    expect_success("{\"name\": \"export_first_byte\", \"ms\": 1500}", false);
}

/* Each row: what goes wrong, and what is said of it. */
static const struct {
    const char *fault;
    enum err_code code;
    const char *words[3]; /* all of them */
} rows[] = {
    {"{\"name\": \"export_401\"}", ERR_AGAIN, {"HTTP 401"}},
    {"{\"name\": \"export_403\"}", ERR_DENIED, {"RBAC_PERMISSION_DENIED"}},
    {"{\"name\": \"export_close\"}", ERR_REMOTE, {"the stream:"}},
    {"{\"name\": \"export_500\", \"error\": [\"VM_BAD_POWER_STATE\", \"x\", "
     "\"halted, suspended\", \"running\"]}",
     ERR_REMOTE,
     {"VM_BAD_POWER_STATE", "HTTP 500"}},
    {"{\"name\": \"export_500_body\", \"error\": [\"SR_BACKEND_FAILURE_46\", "
     "\"\", \"The VDI is not available\", \"\"]}",
     ERR_REMOTE,
     {"SR_BACKEND_FAILURE_46", "instead of the export"}},
    {"{\"name\": \"export_append_500\", \"after\": 3000000, \"error\": "
     "[\"VDI_IO_ERROR\", \"Device I/O errors\"]}",
     ERR_REMOTE,
     {"VDI_IO_ERROR", "broke off the export after 3000000 bytes"}},
    {"{\"name\": \"export_cut\", \"after\": 3000000}",
     ERR_REMOTE,
     {"the stream:"}},
    {"{\"name\": \"export_cut\", \"after\": 3000000, \"reset\": true}",
     ERR_REMOTE,
     {"the stream:"}},
    {"{\"name\": \"export_cut\", \"after\": 3000000, \"task\": \"success\"}",
     ERR_IO,
     {"cut short at byte 3000000"}},
    {"{\"name\": \"export_cut\", \"after\": 3000000, \"task\": \"success\", "
     "\"ms\": 200}",
     ERR_IO,
     {"cut short at byte 3000000"}},
    {"{\"name\": \"export_cut\", \"after\": 3000000, \"task\": \"pending\"}",
     ERR_IO,
     {"cut short at byte 3000000"}},
    {"{\"name\": \"export_no_end\"}",
     ERR_IO,
     {"the end of the archive is missing"}},
    {"{\"name\": \"export_tail\", \"bytes\": 3000}",
     ERR_PROTOCOL,
     {"behind the end of the archive"}},
    {"{\"name\": \"export_task_fail\", \"error\": [\"VDI_IO_ERROR\", \"x\"]}",
     ERR_REMOTE,
     {"VDI_IO_ERROR: x"}},
    {"{\"name\": \"task_fail\", \"error\": [\"INTERNAL_ERROR\", \"late\"]}",
     ERR_REMOTE,
     {"INTERNAL_ERROR: late"}},
    {"{\"name\": \"task_stuck\"}", ERR_TIMEOUT, {"task goes on"}},
    {"{\"name\": \"task_gone\"}", ERR_AGAIN, {"lost the task"}},
    {"{\"name\": \"export_bad_checksum\", \"block\": 2}",
     ERR_INTEGRITY,
     {"Ref:", ".xxhash at byte", "damaged"}},
    {"{\"name\": \"export_bad_data\", \"block\": 2}",
     ERR_INTEGRITY,
     {"damaged"}},
    {"{\"name\": \"export_no_checksum\", \"block\": 2}",
     ERR_PROTOCOL,
     {"should stand here"}},
    {"{\"name\": \"export_drop_block\", \"block\": -1}",
     ERR_PROTOCOL,
     {"its last blocks are missing"}},
    {"{\"name\": \"export_drop_block\", \"block\": 0}",
     ERR_PROTOCOL,
     {"first block is missing"}},
    {"{\"name\": \"export_repeat_block\", \"block\": 1}",
     ERR_PROTOCOL,
     {"a block twice"}},
    {"{\"name\": \"export_swap_disks\"}", ERR_PROTOCOL, {"is missing"}},
    {"{\"name\": \"export_bad_header\", \"block\": 1}",
     ERR_PROTOCOL,
     {"no tar header"}},
    {"{\"name\": \"export_ova\", \"text\": \"<value>nothing</value>\"}",
     ERR_PROTOCOL,
     {"ova.xml lists no objects"}},
    {"{\"name\": \"export_stall\", \"after\": 2000000}",
     ERR_TIMEOUT,
     {"stopped and does not go on"}},
    {"{\"name\": \"export_stall\", \"after\": 0}",
     ERR_TIMEOUT,
     {"does not begin"}},
    {"{\"name\": \"export_redirect\", \"url\": \"https://192.0.2.1/export\"}",
     ERR_PROTOCOL,
     {"sends us to 192.0.2.1, which is no host of this pool"}},
    {"{\"name\": \"export_redirect\", \"count\": 0}",
     ERR_PROTOCOL,
     {"to and fro"}},
    {"{\"name\": \"rpc_error\", \"method\": \"task.create\", \"error\": "
     "[\"INTERNAL_ERROR\", \"x\"]}",
     ERR_REMOTE,
     {"task.create: INTERNAL_ERROR: x"}},
};

static void each_way_to_fail_is_told(void **state)
{
    struct pipe p;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        pipe_open(&p);
        sim_fault(&rig.sim, "%s", rows[i].fault);
        pipe_run(&p, cold, false);
        if (p.end.err.code != rows[i].code)
            fail_msg("%s: %s: %s", rows[i].fault, err_name(p.end.err.code),
                     p.end.err.text);
        for (size_t k = 0; k < 3 && rows[i].words[k]; k++)
            if (!strstr(p.end.err.text, rows[i].words[k]))
                fail_msg("%s: no \"%s\" in \"%s\"", rows[i].fault,
                         rows[i].words[k], p.end.err.text);
        pipe_close(&p);
        sim_reset(&rig.sim);
    }
    /* and none of it harms the next one */
    expect_success(NULL, false);
}

static void what_is_wrong_from_the_start_is_told(void **state)
{
    struct pipe p;

    (void)state;
    pipe_open(&p);
    pipe_run(&p, hot, false); /* it runs */
    assert_int_equal(p.end.err.code, ERR_REMOTE);
    assert_non_null(strstr(p.end.err.text, "VM_BAD_POWER_STATE"));
    pipe_close(&p);
    pipe_open(&p);
    pipe_run(&p, "OpaqueRef:00000000-0000-4000-8000-000000000000", false);
    assert_int_not_equal(p.end.err.code, ERR_OK);
    pipe_close(&p);
}

/* A member whose certificate nobody accepted gets no byte of ours. */
static void a_member_without_trust_is_refused(void **state)
{
    struct pool_rig_opts o;
    struct pipe p;
    int64_t exports;

    (void)state;
    pool_rig_opts(&rig, &o);
    o.session.peer_count = 1;
    pool_rig_session(&rig, &o);
    pool_rig_opts_fini(&o);
    exports = sim_counter(&rig.sim, "exports");
    pipe_open(&p);
    sim_fault(&rig.sim, "{\"name\": \"export_redirect\"}");
    pipe_run(&p, cold, false);
    assert_int_equal(p.end.err.code, ERR_UNREACHABLE);
    assert_non_null(strstr(p.end.err.text, "no certificate of it"));
    assert_true(sim_counter(&rig.sim, "exports") <= exports + 1);
    pipe_close(&p);
}

static void a_pause_of_ours_is_no_stall(void **state)
{
    struct pipe p;

    (void)state;
    pipe_open(&p);
    pipe_start(&p, cold, false);
    while (p.fed < 1000000)
        pool_rig_run_ms(&rig, 1);
    /* nothing is taken for three times the limit */
    timer_start(rig.loop, &p.resume, 3000, on_resume);
    pool_rig_wait(&rig, &p.end.done, 1);
    if (p.end.err.code != ERR_OK)
        fail_msg("%s", p.end.err.text);
    expect_contents(&p);
    pipe_close(&p);
}

static void a_cancelled_export_ends_at_both_sides(void **state)
{
    static const size_t at[] = {1, 5000, 2000000};
    struct pipe p;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(at); i++) {
        pipe_open(&p);
        p.cut_at = at[i];
        sim_fault(&rig.sim, "{\"name\": \"export_slow\", \"rate\": 20000000}");
        pipe_run(&p, cold, false);
        assert_int_equal(p.end.err.code, ERR_CANCELLED);
        pipe_close(&p);
        sim_reset(&rig.sim);
    }
    pipe_open(&p);
    pipe_start(&p, cold, false);
    xenapi_export_cancel(p.export); /* before there is a task */
    pool_rig_wait(&rig, &p.end.done, 1);
    assert_int_equal(p.end.err.code, ERR_CANCELLED);
    pipe_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, pool_rig_before, \
                                                   after)
        TEST(what_comes_is_what_lies_on_the_disks),
        TEST(all_ways_to_send_blocks_are_understood),
        TEST(a_redirect_to_a_member_is_followed),
        TEST(each_way_to_fail_is_told),
        TEST(what_is_wrong_from_the_start_is_told),
        TEST(a_member_without_trust_is_refused),
        TEST(a_pause_of_ours_is_no_stall),
        TEST(a_cancelled_export_ends_at_both_sides),
    };
    struct err err;
    int failed;

    xml_setup();
    if (http_client_setup(&err) != ERR_OK ||
        seal_suite_new(&suite, &err) != ERR_OK)
        return 1;
    failed = cmocka_run_group_tests(tests, open_rig, close_rig);
    seal_suite_free(suite);
    return failed;
}
