/* SPDX-License-Identifier: Apache-2.0 */
#include "import_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "crypto/seal_key.h"
#include "crypto/seal_suite.h"
#include "image/xva_read.h"
#include "tests/unit/xva_quiet.h"
#include "xenapi/xenapi_export.h"

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

struct import_rig import_rig;

static struct pool_rig *const rig = &import_rig.pool;
static struct seal_suite *suite;

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
    buf_add(&import_rig.ova, text, len);
}

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
    const struct xenapi_transfer_opts o = {.loop = rig->loop,
                                           .client = rig->client,
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
    struct xva_read_events events = xva_quiet();
    const struct xva_read_opts ro = {
        .suite = suite, .events = &events, .ctx = &t};
    const struct xenapi_export_opts o = {.ref = ref,
                                         .label = "a test",
                                         .ready = on_take_ready,
                                         .done = pool_rig_on_done,
                                         .ctx = &t};

    events.ova = on_ova;
    pool_rig_end_init(rig, &t.end);
    assert_int_equal(xva_read_new(&ro, &t.reader, &t.stream), ERR_OK);
    assert_int_equal(
        xenapi_export_start(rig->session, &o, &t.export, &t.stream), ERR_OK);
    pool_rig_wait(rig, &t.end.done, 1);
    assert_int_equal(t.end.err.code, ERR_OK);
    xva_read_free(t.reader);
}

int import_rig_open(void **state)
{
    struct err err;
    char *ref;

    (void)state;
    assert_int_equal(seal_suite_new(&suite, &err), ERR_OK);
    pool_rig_open(rig, pools);
    import_rig.contents[0] = malloc(IMPORT_RIG_SIZE_0);
    import_rig.contents[1] = malloc(IMPORT_RIG_SIZE_1);
    sim_disk(&rig->sim, "vm=cold&device=0", import_rig.contents[0],
             IMPORT_RIG_SIZE_0);
    sim_disk(&rig->sim, "vm=cold&device=1", import_rig.contents[1],
             IMPORT_RIG_SIZE_1);
    buf_init(&import_rig.ova, 1 << 20);
    pool_rig_session(rig, NULL);
    ref = pool_rig_ref(rig, "cold");
    take_ova(ref);
    free(ref);
    assert_false(buf_failed(&import_rig.ova));
    return 0;
}

int import_rig_close(void **state)
{
    (void)state;
    buf_fini(&import_rig.ova);
    for (size_t i = 0; i < IMPORT_RIG_DISKS; i++)
        free(import_rig.contents[i]);
    pool_rig_close(rig);
    seal_suite_free(suite);
    return 0;
}

int import_rig_before(void **state)
{
    (void)state;
    sim_reset(&rig->sim);
    pool_rig_session(rig, NULL);
    return 0;
}

int import_rig_after(void **state)
{
    (void)state;
    pool_rig_end_session(rig);
    sim_reset(&rig->sim);
    assert_int_equal(sim_objects(&rig->sim, "VDI", NULL), IMPORT_RIG_DISKS);
    assert_int_equal(sim_objects(&rig->sim, "VIF", NULL), 1);
    assert_int_equal(sim_objects(&rig->sim, "network", NULL), 2);
    return 0;
}

/* ---- Giving it back ---- */

static const uint8_t *disk_bytes(const struct import_rig_giving *g, size_t disk)
{
    const struct ova_disk *d = ova_disk(g->ova, disk);

    return import_rig.contents[d->userdevice[0] - '0'];
}

static void on_resume(struct timer *t)
{
    struct import_rig_giving *g =
        (struct import_rig_giving *)((char *)t -
                                     offsetof(struct import_rig_giving,
                                              resume));

    if (g->transfer)
        xenapi_transfer_resume(g->transfer);
}

static long on_pull(void *ctx, uint8_t *into, size_t max)
{
    struct import_rig_giving *g = ctx;
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
        timer_start(rig->loop, &g->resume, 3, on_resume);
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
    struct import_rig_giving *g = ctx;

    g->transfer = NULL;
    g->reported = true;
    timer_stop(&g->resume);
    xenapi_import_streamed(g->import, err);
}

static void on_give_ready(void *ctx, struct xenapi_ticket *ticket)
{
    struct import_rig_giving *g = ctx;
    const struct xenapi_transfer_opts o = {.loop = rig->loop,
                                           .client = rig->client,
                                           .ticket = ticket,
                                           .pull = on_pull,
                                           .body_bytes =
                                               xva_write_total(g->writer),
                                           .done = on_given,
                                           .ctx = g};
    struct err err = {0};

    if (g->tickets++ == 0 && g->down)
        sim_do(&rig->sim, "/sim/host/down",
               "{\"host\": \"%s\", \"down\": true}", g->down);
    assert_int_equal(xva_write_position(g->writer), 0);
    assert_int_equal(xenapi_transfer_start(&o, &g->transfer, &err), ERR_OK);
}

static void on_imported(void *ctx, const struct err *err, const char *vm_ref)
{
    struct import_rig_giving *g = ctx;

    assert_null(g->transfer);
    assert_true((vm_ref != NULL) == (err->code == ERR_OK));
    snprintf(g->end.text, sizeof(g->end.text), "%s", vm_ref ? vm_ref : "");
    pool_rig_on_done(&g->end, err);
}

static void draw(void *ctx, uint8_t *out, size_t len)
{
    assert_int_equal(seal_key_random(out, len, NULL), ERR_OK);
}

void import_rig_open_giving(struct import_rig_giving *g,
                            const struct ova_rewrite_opts *how,
                            enum xva_sum_kind sum)
{
    struct xva_write_disk disks[IMPORT_RIG_DISKS];
    struct xva_write_opts wo = {.suite = suite,
                                .disks = disks,
                                .disk_count = IMPORT_RIG_DISKS,
                                .sum = sum};
    struct ova_rewrite_opts ro = *how;
    struct err err = {0};

    memset(g, 0, sizeof(*g));
    pool_rig_end_init(rig, &g->end);
    buf_init(&g->text, 1 << 20);
    ro.random = draw;
    assert_int_equal(
        ova_parse(import_rig.ova.data, import_rig.ova.len, &g->ova, &err),
        ERR_OK);
    assert_int_equal(ova_rewrite(g->ova, &ro, &g->text, &err), ERR_OK);
    assert_int_equal(ova_disk_count(g->ova), IMPORT_RIG_DISKS);
    for (size_t i = 0; i < IMPORT_RIG_DISKS; i++) {
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

void import_rig_close_giving(struct import_rig_giving *g)
{
    xva_write_free(g->writer);
    ova_free(g->ova);
    buf_fini(&g->text);
}

void import_rig_give(struct import_rig_giving *g, const char *sr, bool restore)
{
    const struct xenapi_import_opts o = {
        .sr_uuid = json_text(
            json_get(json_get(sim_pool(&rig->sim, 0), "srs"), sr), sr),
        .label = "cairn restore",
        .restore = restore,
        .ready = on_give_ready,
        .done = on_imported,
        .ctx = g,
    };
    struct err err = {0};

    if (xenapi_import_start(rig->session, &o, &g->import, &err) != ERR_OK)
        fail_msg("%s", err.text);
    pool_rig_wait(rig, &g->end.done, 1);
}
