/* SPDX-License-Identifier: Apache-2.0 */
/* VMs that were exported come back through image/ and xenapi/: rewritten, with
 * the NICs that they are given, or not at all. */
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
#include "crypto/seal_key.h"
#include "crypto/seal_suite.h"
#include "image/ova.h"
#include "image/xva_read.h"
#include "image/xva_write.h"
#include "pool_rig.h"
#include "xenapi/xenapi_export.h"
#include "xenapi/xenapi_import.h"
#include "xenapi/xenapi_transfer.h"
#include "xenapi/xenapi_vm.h"

#define DISKS 2
#define SIZE_0 ((size_t)9 << 20)
#define SIZE_1 ((size_t)2621440) /* two blocks and a half */

static const char pools[] =
    "[{\"name\": \"paris\", \"hosts\": [{\"name\": \"p1\"}, {\"name\": "
    "\"p2\"}],"
    "  \"srs\": [{\"name\": \"fast\"},"
    "            {\"name\": \"other\", \"host\": \"p2\"},"
    "            {\"name\": \"tiny\", \"size\": \"1 MiB\"}],"
    "  \"networks\": [{\"name\": \"eth0\"}, {\"name\": \"lan\"}],"
    "  \"vms\": [{\"name\": \"cold\", \"power_state\": \"Halted\","
    "    \"other_config\": {\"mac_seed\": \"abc\", \"owner\": \"acme\"},"
    "    \"disks\": [{\"sr\": \"fast\", \"size\": \"9 MiB\", \"fill\": "
    "\"marked\", \"used\": \"3 MiB\"},"
    "                {\"sr\": \"fast\", \"size\": 2621440, \"fill\": "
    "\"random\"}],"
    "    \"nics\": [{\"network\": \"eth0\", \"mac\": \"02:00:00:00:00:07\"}]"
    "  }]}]";

static struct pool_rig rig;
static struct seal_suite *suite;
static uint8_t *contents[DISKS];
static struct buf ova_text; /* as the pool exported it */

/* ---- What an export says of the VM ---- */

struct taking {
    struct pool_rig_end end;
    struct xenapi_export *export;
    struct xenapi_transfer *transfer;
    struct xva_read *reader;
    struct err stream;
};

static void on_ova(void *ctx, const struct ova *ova, const uint8_t *text,
                   size_t len)
{
    buf_add(&ova_text, text, len);
}

static void on_disk_begin(void *ctx, uint32_t disk)
{
}

static size_t on_data(void *ctx, uint32_t disk, uint64_t offset,
                      const uint8_t *bytes, size_t len)
{
    return len;
}

static bool on_hole(void *ctx, uint32_t disk, uint64_t offset, uint64_t len)
{
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

static bool on_body(void *ctx, const uint8_t *data, size_t len)
{
    struct taking *t = ctx;
    size_t used;

    xva_read_feed(t->reader, data, len, &used, &t->stream);
    return true;
}

static void on_taken(void *ctx, const struct err *err, uint64_t bytes)
{
    struct taking *t = ctx;

    err_keep(&t->stream, err);
    xenapi_export_streamed(t->export, &t->stream);
}

static void on_take_ready(void *ctx, struct xenapi_ticket *ticket)
{
    struct taking *t = ctx;
    const struct xenapi_transfer_opts o = {.loop = rig.loop,
                                           .client = rig.client,
                                           .ticket = ticket,
                                           .on_body = on_body,
                                           .done = on_taken,
                                           .ctx = t};

    assert_int_equal(xenapi_transfer_start(&o, &t->transfer, &t->stream),
                     ERR_OK);
}

static void take_ova(const char *ref)
{
    struct taking t = {0};
    const struct xva_read_opts ro = {
        .suite = suite, .events = &events, .ctx = &t};
    const struct xenapi_export_opts o = {.ref = ref,
                                         .label = "a test",
                                         .ready = on_take_ready,
                                         .done = pool_rig_on_done,
                                         .ctx = &t};

    pool_rig_end_init(&rig, &t.end);
    assert_int_equal(xva_read_new(&ro, &t.reader, &t.stream), ERR_OK);
    assert_int_equal(xenapi_export_start(rig.session, &o, &t.export, &t.stream),
                     ERR_OK);
    pool_rig_wait(&rig, &t.end.done, 1);
    assert_int_equal(t.end.err.code, ERR_OK);
    xva_read_free(t.reader);
}

static int open_rig(void **state)
{
    char *ref;

    (void)state;
    pool_rig_open(&rig, pools);
    contents[0] = malloc(SIZE_0);
    contents[1] = malloc(SIZE_1);
    sim_disk(&rig.sim, "vm=cold&device=0", contents[0], SIZE_0);
    sim_disk(&rig.sim, "vm=cold&device=1", contents[1], SIZE_1);
    buf_init(&ova_text, 1 << 20);
    pool_rig_session(&rig, NULL);
    ref = pool_rig_ref(&rig, "cold");
    take_ova(ref);
    free(ref);
    assert_false(buf_failed(&ova_text));
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    buf_fini(&ova_text);
    for (size_t i = 0; i < DISKS; i++)
        free(contents[i]);
    pool_rig_close(&rig);
    return 0;
}

static int before(void **state)
{
    (void)state;
    sim_reset(&rig.sim);
    pool_rig_session(&rig, NULL);
    return 0;
}

static int after(void **state)
{
    (void)state;
    pool_rig_end_session(&rig);
    sim_reset(&rig.sim);
    assert_int_equal(sim_objects(&rig.sim, "VDI", NULL), DISKS);
    assert_int_equal(sim_objects(&rig.sim, "VIF", NULL), 1);
    assert_int_equal(sim_objects(&rig.sim, "network", NULL), 2);
    return 0;
}

/* ---- Giving it back ---- */

struct giving {
    struct pool_rig_end end;
    struct xenapi_import *import;
    struct xenapi_transfer *transfer;
    struct ova *ova;
    struct buf text;
    struct xva_write *writer;
    uint8_t present[DISKS][2];
    struct timer resume;
    unsigned wait_every, asked;
    size_t fail_at; /* the source breaks after so many bytes */
    size_t cancel_at;
    bool reported;
};

static const uint8_t *disk_bytes(const struct giving *g, size_t disk)
{
    const struct ova_disk *d = ova_disk(g->ova, disk);

    return contents[d->userdevice[0] - '0'];
}

static void on_resume(struct timer *t)
{
    struct giving *g =
        (struct giving *)((char *)t - offsetof(struct giving, resume));

    if (g->transfer)
        xenapi_transfer_resume(g->transfer);
}

static long on_pull(void *ctx, uint8_t *into, size_t max)
{
    struct giving *g = ctx;
    struct xva_write_piece p;
    enum xva_write_want want = xva_write_next(g->writer, &p);
    size_t at = (size_t)xva_write_position(g->writer);

    if (g->fail_at && at >= g->fail_at)
        return HTTP_PULL_FAIL;
    if (g->cancel_at && at >= g->cancel_at) {
        g->cancel_at = 0;
        xenapi_import_cancel(g->import);
        xenapi_transfer_cancel(g->transfer);
        return HTTP_PULL_WAIT;
    }
    if (g->wait_every && ++g->asked % g->wait_every == 0) {
        timer_start(rig.loop, &g->resume, 3, on_resume);
        return HTTP_PULL_WAIT;
    }
    if (want == XVA_WRITE_END)
        return 0;
    if (p.len > max)
        p.len = max;
    if (want == XVA_WRITE_OWN) {
        memcpy(into, p.data, p.len);
        xva_write_took(g->writer, p.len);
    } else {
        memcpy(into, disk_bytes(g, p.disk) + p.offset, p.len);
        xva_write_data(g->writer, into, p.len);
    }
    return (long)p.len;
}

static void on_given(void *ctx, const struct err *err, uint64_t bytes)
{
    struct giving *g = ctx;

    g->transfer = NULL;
    g->reported = true;
    timer_stop(&g->resume);
    xenapi_import_streamed(g->import, err);
}

static void on_give_ready(void *ctx, struct xenapi_ticket *ticket)
{
    struct giving *g = ctx;
    const struct xenapi_transfer_opts o = {.loop = rig.loop,
                                           .client = rig.client,
                                           .ticket = ticket,
                                           .pull = on_pull,
                                           .body_bytes =
                                               xva_write_total(g->writer),
                                           .done = on_given,
                                           .ctx = g};
    struct err err = {0};

    assert_int_equal(xenapi_transfer_start(&o, &g->transfer, &err), ERR_OK);
}

static void on_imported(void *ctx, const struct err *err, const char *vm_ref)
{
    struct giving *g = ctx;

    assert_null(g->transfer);
    assert_true((vm_ref != NULL) == (err->code == ERR_OK));
    snprintf(g->end.text, sizeof(g->end.text), "%s", vm_ref ? vm_ref : "");
    pool_rig_on_done(&g->end, err);
}

static void draw(void *ctx, uint8_t *out, size_t len)
{
    assert_int_equal(seal_key_random(out, len, NULL), ERR_OK);
}

static void giving_open(struct giving *g, const struct ova_rewrite_opts *how,
                        enum xva_sum_kind sum)
{
    struct xva_write_disk disks[DISKS];
    struct xva_write_opts wo = {
        .suite = suite, .disks = disks, .disk_count = DISKS, .sum = sum};
    struct ova_rewrite_opts ro = *how;
    struct err err = {0};

    memset(g, 0, sizeof(*g));
    pool_rig_end_init(&rig, &g->end);
    buf_init(&g->text, 1 << 20);
    ro.random = draw;
    assert_int_equal(ova_parse(ova_text.data, ova_text.len, &g->ova, &err),
                     ERR_OK);
    assert_int_equal(ova_rewrite(g->ova, &ro, &g->text, &err), ERR_OK);
    assert_int_equal(ova_disk_count(g->ova), DISKS);
    for (size_t i = 0; i < DISKS; i++) {
        const struct ova_disk *d = ova_disk(g->ova, i);

        assert_true(xva_write_bitmap_bytes(d->virtual_size) <=
                    sizeof(g->present[i]));
        for (uint64_t at = 0; at < d->virtual_size; at += 4096)
            if (!bytes_all_zero(disk_bytes(g, i) + at, 4096))
                xva_write_mark(g->present[i], at, 4096);
        disks[i] =
            (struct xva_write_disk){d->id, d->virtual_size, g->present[i]};
    }
    wo.ova = g->text.data;
    wo.ova_len = g->text.len;
    assert_int_equal(xva_write_new(&wo, &g->writer, &err), ERR_OK);
}

static void giving_close(struct giving *g)
{
    xva_write_free(g->writer);
    ova_free(g->ova);
    buf_fini(&g->text);
}

static void give(struct giving *g, const char *sr, bool restore)
{
    const struct xenapi_import_opts o = {
        .sr_uuid =
            json_text(json_get(json_get(sim_pool(&rig.sim, 0), "srs"), sr), sr),
        .label = "cairn restore",
        .restore = restore,
        .ready = on_give_ready,
        .done = on_imported,
        .ctx = g,
    };
    struct err err = {0};

    if (xenapi_import_start(rig.session, &o, &g->import, &err) != ERR_OK)
        fail_msg("%s", err.text);
    pool_rig_wait(&rig, &g->end.done, 1);
}

static void remove_made(const char *ref)
{
    struct pool_rig_end e;
    const struct xenapi_vm_remove_opts o = {.ref = ref,
                                            .guard_key = "cairn:import",
                                            .guard_value = "17",
                                            .done = pool_rig_on_done,
                                            .ctx = &e};
    struct err err = {0};

    pool_rig_end_init(&rig, &e);
    assert_int_equal(xenapi_vm_remove(rig.session, &o, NULL, &err), ERR_OK);
    pool_rig_wait(&rig, &e.done, 1);
    if (e.err.code != ERR_OK)
        fail_msg("%s", e.err.text);
}

static const struct ova_pair marks[] = {{"cairn:import", "17"}};
static const struct ova_rewrite_opts usual = {.name = "twin",
                                              .block_start = "being restored",
                                              .other_config = marks,
                                              .other_config_count = 1};

static void check_disks(const char *uuid)
{
    uint8_t *got = malloc(SIZE_0);
    char query[100];

    for (int i = 0; i < DISKS; i++) {
        size_t size = i ? SIZE_1 : SIZE_0;

        snprintf(query, sizeof(query), "vm=%s&device=%d&offset=0&length=%zu",
                 uuid, i, size);
        sim_disk(&rig.sim, query, got, size);
        assert_memory_equal(got, contents[i], size);
    }
    free(got);
}

static void check_twin(const char *ref, const char *sr)
{
    const struct xenapi_inventory_opts o = {.vm_ref = ref,
                                            .done = pool_rig_on_inventory};
    struct xenapi_inventory_opts mine = o;
    struct pool_rig_end e;
    const struct xenapi_vm *vm;
    struct err err = {0};

    mine.ctx = &e;
    pool_rig_end_init(&rig, &e);
    assert_int_equal(xenapi_inventory_start(rig.session, &mine, NULL, &err),
                     ERR_OK);
    pool_rig_wait(&rig, &e.done, 1);
    assert_int_equal(e.err.code, ERR_OK);
    vm = &e.inventory->vms[0];
    assert_string_equal(vm->name, "twin");
    assert_string_not_equal(vm->uuid, pool_rig_vm(&rig, "cold"));
    assert_int_equal(vm->disk_count, DISKS);
    assert_int_equal(vm->nic_count, 0);
    assert_false(vm->is_template);
    assert_string_equal(vm->disks[0].sr->name, sr);
    assert_string_equal(xenapi_inventory_other_config(vm, "owner"), "acme");
    check_disks(vm->uuid);
    pool_rig_end_fini(&e);
}

static void a_vm_comes_back_with_its_disks(void **state)
{
    struct giving g;

    (void)state;
    for (int k = 0; k < 4; k++) {
        giving_open(&g, &usual, k & 1 ? XVA_SUM_SHA1 : XVA_SUM_XXHASH);
        g.wait_every = k & 2 ? 5 : 0;
        give(&g, k & 1 ? "other" : "fast", false); /* "other" is p2's: 302 */
        if (g.end.err.code != ERR_OK)
            fail_msg("%s", g.end.err.text);
        check_twin(g.end.text, k & 1 ? "other" : "fast");
        remove_made(g.end.text);
        giving_close(&g);
    }
}

static void on_nic(void *ctx, const struct err *err, const char *vif_ref)
{
    pool_rig_on_done(ctx, err);
}

static void start_is_blocked_until_it_is_released(void **state)
{
    struct giving g;
    struct pool_rig_end e, inv;
    struct xenapi_vm_nic_opts nic = {.device = "0", .done = on_nic, .ctx = &e};
    struct xenapi_vm_release_opts release = {
        .start = true, .done = pool_rig_on_done, .ctx = &e};
    struct err err = {0};
    size_t n;

    (void)state;
    giving_open(&g, &usual, XVA_SUM_XXHASH);
    give(&g, "fast", false);
    assert_int_equal(g.end.err.code, ERR_OK);
    pool_rig_call(&rig, &e, "VM.start",
                  xenapi_call_params("sbb", g.end.text, false, false), true);
    assert_string_equal(e.code, "OPERATION_BLOCKED");
    pool_rig_end_fini(&e);

    pool_rig_inventory(&rig, &inv, NULL);
    nic.vm_ref = g.end.text;
    nic.network_ref =
        xenapi_inventory_network_by_name(inv.inventory, "lan", &n)->ref;
    nic.mac = ova_nic(g.ova, 0)->mac;
    nic.record = ova_nic(g.ova, 0)->record;
    pool_rig_end_init(&rig, &e);
    assert_int_equal(xenapi_vm_nic(rig.session, &nic, NULL, &err), ERR_OK);
    pool_rig_wait(&rig, &e.done, 1);
    assert_int_equal(e.err.code, ERR_OK);
    pool_rig_end_fini(&inv);

    release.ref = g.end.text;
    pool_rig_end_init(&rig, &e);
    assert_int_equal(xenapi_vm_release(rig.session, &release, NULL, &err),
                     ERR_OK);
    pool_rig_wait(&rig, &e.done, 1);
    if (e.err.code != ERR_OK)
        fail_msg("%s", e.err.text);
    pool_rig_inventory(&rig, &inv, NULL);
    {
        const struct xenapi_vm *vm =
            xenapi_inventory_vm_by_ref(inv.inventory, g.end.text);

        assert_int_equal(vm->power, XENAPI_RUNNING);
        assert_int_equal(vm->nic_count, 1);
        assert_string_equal(vm->nics[0].network->name, "lan");
        assert_string_equal(vm->nics[0].mac, "02:00:00:00:00:07");
    }
    pool_rig_end_fini(&inv);
    remove_made(g.end.text); /* it runs: shut down first */
    giving_close(&g);
    /* its NIC went with it or not; the simulator counts */
}

static void a_vm_keeps_its_uuid_where_there_is_none(void **state)
{
    static const char uuid[] = "0c0ffee0-0000-4000-8000-000000000001";
    struct ova_rewrite_opts how = usual;
    struct pool_rig_end e;
    struct giving g;

    (void)state;
    how.vm_uuid = uuid;
    giving_open(&g, &how, XVA_SUM_XXHASH);
    give(&g, "fast", true);
    if (g.end.err.code != ERR_OK)
        fail_msg("%s", g.end.err.text);
    pool_rig_inventory(&rig, &e, uuid);
    assert_int_equal(e.err.code, ERR_OK);
    assert_string_equal(e.inventory->vms[0].ref, g.end.text);
    pool_rig_end_fini(&e);
    remove_made(g.end.text);
    giving_close(&g);
}

/* Each row: what goes wrong, and what is said of it; nothing is left. */
static const struct {
    const char *fault, *sr;
    enum err_code code;
    const char *words;
} rows[] = {
    {"{\"name\": \"import_401\"}", "fast", ERR_AGAIN, "HTTP 401"},
    {"{\"name\": \"import_403\"}", "fast", ERR_DENIED, ""},
    {"{\"name\": \"import_400\"}", "fast", ERR_REMOTE, "HTTP 400"},
    {"{\"name\": \"import_401\", \"skip\": 1}", "fast", ERR_AGAIN, "HTTP 401"},
    {"{\"name\": \"sr_full\"}", "fast", ERR_QUOTA, "SR_BACKEND_FAILURE_44"},
    {NULL, "tiny", ERR_QUOTA, "SR_"},
    {NULL, "00000000-0000-4000-8000-000000000000", ERR_REMOTE, "UUID_INVALID"},
    {"{\"name\": \"import_fail\", \"after\": 2000000, "
     "\"error\": [\"VDI_IO_ERROR\", \"Device I/O errors\"]}",
     "fast", ERR_REMOTE, "VDI_IO_ERROR: Device I/O errors"},
    {"{\"name\": \"import_cut\", \"after\": 2000000}", "fast", ERR_REMOTE, ""},
    {"{\"name\": \"import_cut\", \"after\": 2000000, "
     "\"reset\": true}",
     "fast", ERR_REMOTE, ""},
    {"{\"name\": \"task_fail\", \"count\": 0, \"error\": [\"INTERNAL_ERROR\", "
     "\"late\"]}",
     "fast", ERR_REMOTE, "INTERNAL_ERROR: late"},
    {"{\"name\": \"import_stall\", \"after\": 1000000}", "fast", ERR_TIMEOUT,
     "takes no more data"},
    {"{\"name\": \"import_redirect\", \"count\": 0}", "fast", ERR_PROTOCOL,
     "to and fro"},
    {"{\"name\": \"import_redirect\", \"url\": \"https://192.0.2.9/import\"}",
     "fast", ERR_PROTOCOL, "no host of this pool"},
};

static void sweep(size_t expect)
{
    struct pool_rig_end e;
    const struct xenapi_vm_sweep_opts o = {.key = "cairn:import",
                                           .value = "17",
                                           .done = pool_rig_on_count,
                                           .ctx = &e};
    struct err err = {0};

    pool_rig_end_init(&rig, &e);
    assert_int_equal(xenapi_vm_sweep(rig.session, &o, NULL, &err), ERR_OK);
    pool_rig_wait(&rig, &e.done, 1);
    if (e.err.code != ERR_OK)
        fail_msg("%s", e.err.text);
    assert_int_equal(e.count, expect);
}

static void each_way_to_fail_is_told_and_leaves_nothing(void **state)
{
    struct giving g;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        giving_open(&g, &usual, XVA_SUM_XXHASH);
        if (rows[i].fault)
            sim_fault(&rig.sim, "%s", rows[i].fault);
        give(&g, rows[i].sr, false);
        if (g.end.err.code != rows[i].code ||
            !strstr(g.end.err.text, rows[i].words))
            fail_msg("%s, SR %s: %s: %s", rows[i].fault, rows[i].sr,
                     err_name(g.end.err.code), g.end.err.text);
        giving_close(&g);
        sim_reset(&rig.sim);
        if (strstr(rows[i].fault ? rows[i].fault : "", "task_fail"))
            sweep(1); /* the work was done, only the task said no */
        for (int k = 0; k < 100; k++)
            if (sim_objects(&rig.sim, "VDI", NULL) > DISKS)
                pool_rig_run_ms(&rig, 50);
        if (sim_objects(&rig.sim, "VDI", NULL) != DISKS)
            fail_msg("%s leaves disks", rows[i].fault);
    }
}

static void forget_operations(void)
{
    struct json *j = sim_call(&rig.sim, "/sim/records?class=VM", NULL);

    for (size_t i = 0; i < json_count(j); i++) {
        const struct json *record = NULL;
        const char *ref = json_key_at(j, i, &record);

        if (strcmp(json_text(json_get(record, "name_label"), ""), "twin") == 0)
            sim_do(&rig.sim, "/sim/object/set",
                   "{\"class\": \"VM\", \"ref\": \"%s\", \"set\": "
                   "{\"current_operations\": {}}}",
                   ref);
    }
    json_free(j);
}

static void what_a_dead_host_left_is_swept(void **state)
{
    struct giving g;

    (void)state;
    giving_open(&g, &usual, XVA_SUM_XXHASH);
    sim_fault(&rig.sim, "{\"name\": \"import_vanish\", "
                        "\"after\": 2000000}");
    give(&g, "fast", false);
    assert_int_not_equal(g.end.err.code, ERR_OK);
    giving_close(&g);
    assert_true(sim_objects(&rig.sim, "VDI", NULL) > DISKS);
    forget_operations(); /* as a toolstack does that starts anew */
    sweep(1);
    sweep(0);
}

static void a_source_that_breaks_leaves_nothing(void **state)
{
    struct giving g;

    (void)state;
    giving_open(&g, &usual, XVA_SUM_XXHASH);
    g.fail_at = 2000000;
    give(&g, "fast", false);
    assert_int_not_equal(g.end.err.code, ERR_OK);
    giving_close(&g);
    giving_open(&g, &usual, XVA_SUM_XXHASH);
    g.cancel_at = 2000000;
    give(&g, "fast", false);
    assert_int_equal(g.end.err.code, ERR_CANCELLED);
    giving_close(&g);
    for (int k = 0; k < 100; k++)
        if (sim_objects(&rig.sim, "VDI", NULL) > DISKS)
            pool_rig_run_ms(&rig, 50);
}

static void a_slow_or_silent_host_is_waited_for(void **state)
{
    static const char *const faults[] = {
        "{\"name\": \"import_slow\", \"rate\": 8000000}",
        "{\"name\": \"task_delay\", \"ms\": 500}",
        "{\"name\": \"import_stall\", \"after\": 1000000, "
        "\"ms\": 500}",
    };
    struct giving g;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(faults); i++) {
        giving_open(&g, &usual, XVA_SUM_XXHASH);
        sim_fault(&rig.sim, "%s", faults[i]);
        give(&g, "fast", false);
        if (g.end.err.code != ERR_OK)
            fail_msg("%s: %s", faults[i], g.end.err.text);
        check_twin(g.end.text, "fast");
        remove_made(g.end.text);
        giving_close(&g);
        sim_reset(&rig.sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, before, after)
        TEST(a_vm_comes_back_with_its_disks),
        TEST(start_is_blocked_until_it_is_released),
        TEST(a_vm_keeps_its_uuid_where_there_is_none),
        TEST(each_way_to_fail_is_told_and_leaves_nothing),
        TEST(what_a_dead_host_left_is_swept),
        TEST(a_source_that_breaks_leaves_nothing),
        TEST(a_slow_or_silent_host_is_waited_for),
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
