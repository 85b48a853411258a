/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_import.c - an import: find the SR, answer 200 before a byte of
 * the body was read, make the records, write the disks, end the task.
 */
#include "tests/sim/sim_import.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/parse.h"
#include "tests/sim/sim_in.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_meta.h"
#include "tests/sim/sim_sr.h"
#include "tests/sim/sim_task.h"
#include "tests/sim/sim_transfer.h"
#include "tests/sim/sim_vdi.h"
#include "tests/sim/sim_xmlrpc.h"

#define OVA_MAX (64u << 20)
#define ENTRY_MAX (16u << 20) /* of one block; XAPI's own have 1 MiB */
#define ROOM_EVERY (8u << 20) /* bytes between looks at what is free */
#define PROGRESS_MS 10000
#define PROGRESS_LEAST_MS 100

struct import {
    struct sim_transfer t;
    struct sim_plan plan;
    struct sim_in *in;
    struct sim_meta meta;
    struct sim_call call; /* collects the failure */
    char sr[SIM_REF_MAX];
    bool force, spoil;   /* import_bad_data: one bit */
    uint8_t *block;      /* ENTRY_MAX */
    uint64_t first_size; /* of the first block of the stream */
    bool first_seen;
    uint64_t room; /* bytes that may be written before the next look */
    uint64_t done, all, progress_ms;
};

static bool fail(struct import *m, const char *code, const char *a,
                 const char *b)
{
    sim_call_fail(&m->call, code, a, b, NULL);
    return false;
}

/* ---- before the body ---- */

static bool is_true(const struct sim_request *r, const char *key)
{
    const char *v = sim_http_param(r, key);

    return v && strcmp(v, "true") == 0;
}

static struct sim_object *find_sr(struct import *m)
{
    const char *ref = sim_http_param(m->t.request, "sr_id");
    const char *uuid = sim_http_param(m->t.request, "sr_uuid");
    struct sim_db *db = m->t.pool->db;

    if (ref)
        return sim_db_find(db, "SR", ref);
    if (uuid)
        return sim_db_find_uuid(db, "SR", uuid);
    return sim_db_ref(db, sim_db_at(db, "pool", 0), "default_SR");
}

static void answer_500(struct import *m, struct sim_value *failure)
{
    char *text = sim_call_error_text(failure);

    sim_transfer_task(&m->t);
    sim_transfer_end_task(&m->t, NULL, failure);
    sim_http_error(m->t.conn, 500, text, NULL);
    free(text);
}

static struct sim_value *no_sr(const struct import *m)
{
    const char *ref = sim_http_param(m->t.request, "sr_id");
    const char *uuid = sim_http_param(m->t.request, "sr_uuid");

    if (ref)
        return sim_value_texts("HANDLE_INVALID", "SR", ref, NULL);
    if (uuid)
        return sim_value_texts("UUID_INVALID", "SR", uuid, NULL);
    return sim_value_texts("DEFAULT_SR_NOT_FOUND", SIM_NULL_REF, NULL);
}

/* A host that sees the SR: this one if it does. */
static struct sim_host *host_for(struct import *m)
{
    struct sim_pool *pool = m->t.pool;

    if (sim_pool_sees(pool, m->t.host->ref, m->sr))
        return m->t.host;
    for (size_t i = 0; i < pool->host_count; i++)
        if (!pool->hosts[i].down &&
            sim_pool_sees(pool, pool->hosts[i].ref, m->sr))
            return &pool->hosts[i];
    return NULL;
}

/* True: import here. Otherwise the request is answered. */
static bool sr_is_here(struct import *m)
{
    struct sim_host *host = NULL;
    struct sim_object *sr;
    bool iso = false;

    sim_db_lock(m->t.pool->db);
    sr = find_sr(m);
    if (sr) {
        snprintf(m->sr, sizeof(m->sr), "%s", sr->ref);
        iso = strcmp(sim_db_str(sr, "content_type"), "iso") == 0;
        host = host_for(m);
    }
    sim_db_unlock(m->t.pool->db);
    if (!sr || !host) {
        answer_500(m,
                   sr ? sim_value_texts("NO_HOSTS_AVAILABLE", NULL) : no_sr(m));
        return false;
    }
    if (host != m->t.host) {
        sim_transfer_redirect(&m->t, host);
        return false;
    }
    if (iso || sim_fault_planned(&m->plan, "import_400")) {
        sim_http_error(m->t.conn, 400, NULL, NULL);
        sim_transfer_task(&m->t);
        sim_transfer_end_task(
            &m->t, NULL,
            sim_value_texts("SR_OPERATION_NOT_SUPPORTED", m->sr, NULL));
        return false;
    }
    return true;
}

static bool send_headers(struct import *m)
{
    char *head =
        sim_mem_printf("HTTP/1.1 200 OK\r\nConnection: close\r\n"
                       "Cache-Control: no-cache, no-store\r\ntask-id:%s\r\n"
                       "content-type: application/octet-stream\r\n\r\n",
                       m->t.task);
    bool ok = sim_conn_write(m->t.conn, head, strlen(head));

    free(head);
    return ok;
}

/* ---- the body ---- */

/* What the end of the input means. */
static bool input_failed(struct import *m)
{
    const struct sim_hit *hit = sim_fault_planned(&m->plan, "import_fail");

    switch (sim_in_ended(m->in)) {
    case SIM_IN_FAIL:
        sim_call_fail_take(&m->call, sim_fault_error(hit, "VDI_IO_ERROR"));
        return false;
    case SIM_IN_BAD:
        return fail(m, "IMPORT_ERROR", "not a tar archive", NULL);
    default:
        return fail(m, "IMPORT_ERROR_PREMATURE_EOF", NULL, NULL);
    }
}

static struct sim_value *read_ova(struct import *m)
{
    struct sim_xva_entry entry;
    struct sim_value *ova = NULL;
    char *text;

    if (!sim_in_entry(m->in, &entry)) {
        input_failed(m);
        return NULL;
    }
    if (strcmp(entry.name, "ova.xml") != 0 || entry.size > OVA_MAX) {
        fail(m, "IMPORT_ERROR_UNEXPECTED_FILE", "ova.xml", entry.name);
        return NULL;
    }
    text = sim_mem_new(sim_xva_padded(entry.size) + 1);
    if (!sim_in_read(m->in, text, sim_xva_padded(entry.size)))
        input_failed(m);
    else if (!(ova = sim_xmlrpc_read_value(text, entry.size)))
        fail(m, "INTERNAL_ERROR", "ova.xml does not parse", NULL);
    free(text);
    return ova;
}

static bool create_records(struct import *m)
{
    struct sim_value *ova = read_ova(m);
    struct sim_db *db = m->t.pool->db;
    struct sim_object *task;
    bool ok;

    if (!ova)
        return false;
    sim_db_lock(db);
    m->meta.sr = sim_db_find(db, "SR", m->sr);
    m->meta.task = m->t.task;
    m->meta.restore = is_true(m->t.request, "restore");
    ok = m->meta.sr && sim_meta_create(&m->call, ova, &m->meta);
    task = sim_db_find(db, "task", m->t.task);
    if (ok && task)
        sim_db_map_put(db, task, "other_config", "object_creation", "complete");
    for (size_t i = 0; i < m->meta.count; i++)
        m->all += m->meta.disks[i].size;
    sim_db_unlock(db);
    sim_value_free(ova);
    return ok;
}

/* Room for so many bytes; looked for now and then only. With the lock. */
static bool find_room(struct import *m, size_t coming)
{
    struct sim_object *sr = sim_db_find(m->t.pool->db, "SR", m->sr);
    uint64_t room = sr ? sim_sr_room_for_data(m->t.pool, sr) : 0;

    m->room = room < ROOM_EVERY ? room : ROOM_EVERY;
    if (m->room >= coming)
        return true;
    sim_call_fail_take(&m->call, sim_sr_full_error());
    return false;
}

/* With the lock: tell how far we are; false: nobody wants it any more. */
static bool tell_progress(struct import *m, uint64_t now)
{
    m->progress_ms = now;
    sim_task_set_progress(m->t.pool, m->t.task,
                          m->all ? (double)m->done / (double)m->all : 1);
    if (!sim_task_cancelled(m->t.pool, m->t.task))
        return true;
    return fail(m, "TASK_CANCELLED", m->t.task, NULL);
}

static bool look_around(struct import *m, size_t coming)
{
    uint64_t now = clock_mono_ms(clock_system());
    uint64_t every = (uint64_t)(PROGRESS_MS * m->t.pool->sim->time_scale);
    bool ok = true, room = m->room < coming;

    if (every < PROGRESS_LEAST_MS)
        every = PROGRESS_LEAST_MS;
    if (room || now - m->progress_ms >= every) {
        sim_db_lock(m->t.pool->db);
        ok = (!room || find_room(m, coming)) &&
             (now - m->progress_ms < every || tell_progress(m, now));
        sim_db_unlock(m->t.pool->db);
    }
    if (ok)
        m->room -= coming;
    return ok;
}

static bool write_block(struct import *m, struct sim_disk *disk, uint64_t at,
                        size_t len)
{
    struct err err;

    if (bytes_all_zero(m->block, len)) /* a new disk is all zeros */
        return true;
    if (!look_around(m, len))
        return false;
    if (m->spoil) {
        m->block[len / 2] ^= 1;
        m->spoil = false;
    }
    if (sim_disk_write(disk, m->block, at, len, &err) == ERR_OK)
        return true;
    sim_call_fail_io(&m->call, &err);
    return false;
}

/* "<name>.xxhash" or, always, "<name>.checksum". */
static bool read_checksum(struct import *m, const char *name, size_t len)
{
    struct sim_xva_entry entry;
    char want[64] = "", got[SIM_XVA_BLOCK + 1] = "", *full;
    size_t n = strlen(name);
    bool xx, sha;

    if (!sim_in_entry(m->in, &entry))
        return input_failed(m);
    xx = strncmp(entry.name, name, n) == 0 &&
         strcmp(entry.name + n, ".xxhash") == 0 && !m->t.pool->sha1;
    sha = strncmp(entry.name, name, n) == 0 &&
          strcmp(entry.name + n, ".checksum") == 0;
    if ((!xx && !sha) || entry.size > SIM_XVA_BLOCK) {
        full = sim_mem_printf("Expected to find an inline checksum, instead "
                              "found a file called: %s",
                              entry.name);
        fail(m, "IMPORT_ERROR", full, NULL);
        free(full);
        return false;
    }
    if (!sim_in_read(m->in, got, sim_xva_padded(entry.size)))
        return input_failed(m);
    if (xx)
        sim_xva_xxhash(m->block, len, want);
    else
        sim_xva_sha1(m->block, len, want);
    got[entry.size] = '\0';
    if (strcmp(want, got) == 0 || m->force)
        return true;
    return fail(m, "IMPORT_ERROR_SOME_CHECKSUMS_FAILED", NULL, NULL);
}

/* Where a block lies: behind the one before it, and a gap in the numbers counts
 * in blocks of the stream's first size. */
struct position {
    char last[24]; /* suffix of the block before */
    uint64_t number, at;
};

static bool place_block(struct import *m, const struct sim_meta_disk *d,
                        const struct sim_xva_entry *e, struct position *p)
{
    size_t n = strlen(d->id);
    const char *suffix = e->name + n + 1;
    uint64_t number;
    char *prefix;

    if (strncmp(e->name, d->id, n) != 0 || e->name[n] != '/' ||
        strlen(suffix) >= sizeof(p->last)) {
        prefix = sim_mem_printf("%s/", d->id);
        fail(m, "IMPORT_ERROR_UNEXPECTED_FILE", prefix, e->name);
        free(prefix);
        return false;
    }
    while (*suffix == '0' && suffix[1])
        suffix++;
    if (!parse_u64(suffix, p->number, UINT32_MAX, &number) ||
        (*p->last && strcmp(e->name + n + 1, p->last) <= 0))
        return fail(m, "IMPORT_ERROR", "blocks are out of order", e->name);
    if (!m->first_seen)
        m->first_size = e->size;
    m->first_seen = true;
    p->at += (number - p->number) * m->first_size;
    p->number = number + 1;
    snprintf(p->last, sizeof(p->last), "%s", e->name + n + 1);
    return true;
}

static bool read_disk(struct import *m, const struct sim_meta_disk *d,
                      struct sim_disk *disk)
{
    struct position p = {"", 0, 0};
    uint64_t before = m->done;

    while (p.at < d->size) {
        struct sim_xva_entry e;
        uint64_t size = sim_disk_size(disk);

        if (!sim_in_entry(m->in, &e))
            return input_failed(m);
        if (!*e.name)
            return fail(m, "IMPORT_ERROR_PREMATURE_EOF", NULL, NULL);
        if (e.size <= ENTRY_MAX && !place_block(m, d, &e, &p))
            return false;
        if (e.size > ENTRY_MAX || p.at > size || e.size > size - p.at)
            return fail(m, "VDI_IO_ERROR", "Device I/O errors", NULL);
        if (!sim_in_read(m->in, m->block, sim_xva_padded(e.size)))
            return input_failed(m);
        if (!read_checksum(m, e.name, e.size) ||
            !write_block(m, disk, p.at, e.size))
            return false;
        p.at += e.size;
        m->done = before + p.at;
    }
    return true;
}

static bool read_disks(struct import *m)
{
    struct sim_db *db = m->t.pool->db;
    bool ok = true;

    m->block = sim_mem_new(ENTRY_MAX);
    for (size_t i = 0; ok && i < m->meta.count; i++) {
        struct sim_disk *disk = NULL;
        struct sim_object *vdi;

        sim_db_lock(db);
        vdi = sim_db_find(db, "VDI", m->meta.disks[i].vdi);
        if (vdi)
            disk = sim_disk_hold(sim_vdi_disk(vdi));
        sim_db_unlock(db);
        ok = disk ? read_disk(m, &m->meta.disks[i], disk)
                  : fail(m, "HANDLE_INVALID", "VDI", m->meta.disks[i].vdi);
        sim_disk_drop(disk);
    }
    free(m->block);
    return ok;
}

/* ---- the verdict ---- */

static void conclude(struct import *m, bool ok)
{
    struct sim_db *db = m->t.pool->db;
    struct sim_value *result = NULL, *failure = NULL;
    struct sim_object *sr;

    sim_db_lock(db);
    if (ok) {
        sim_meta_finish(m->t.pool, &m->meta);
        result = sim_value_copy(m->meta.vms);
    } else {
        if (!m->force)
            sim_meta_undo(m->t.pool, &m->meta);
        failure = m->call.failure;
        m->call.failure = NULL;
    }
    sr = sim_db_find(db, "SR", m->sr);
    if (sr)
        sim_sr_update(m->t.pool, sr);
    sim_db_unlock(db);
    sim_transfer_end_task(&m->t, result, failure);
}

static void receive(struct import *m, enum sim_conn_end *how)
{
    const struct sim_hit *cut = sim_fault_planned(&m->plan, "import_cut");
    enum sim_in_end end;
    bool ok;

    m->in = sim_in_new(m->t.conn, m->t.request->has_length,
                       m->t.request->length, &m->plan);
    ok = create_records(m) && read_disks(m);
    end = sim_in_ended(m->in);
    m->t.host->counters.imports++;
    m->t.host->counters.import_bytes += sim_in_bytes(m->in);
    *how = SIM_CONN_LEAVE;
    if (!ok && end == SIM_IN_CUT) {
        *how = SIM_CONN_CUT;
        sim_conn_break(m->t.conn, sim_fault_bool(cut, "reset"));
    }
    if (!ok && end == SIM_IN_VANISH)
        *how = SIM_CONN_RESET; /* and nobody says what became of it */
    else
        conclude(m, ok);
    sim_in_free(m->in);
    sim_meta_fini(&m->meta);
    sim_value_free(m->call.failure);
}

/* The SR that the client names; faults go by it. */
static void read_place(struct import *m)
{
    struct sim_where where;
    struct sim_object *sr;

    sim_db_lock(m->t.pool->db);
    sr = find_sr(m);
    if (sr)
        snprintf(m->t.about, sizeof(m->t.about), "%s", sr->ref);
    sim_transfer_where(&m->t, &where);
    /* A probe without a body uses no faults of the body up. */
    if (!m->t.request->has_length || m->t.request->length > 0)
        sim_fault_plan(m->t.pool->sim->faults, "import_", &where, &m->plan);
    sim_db_unlock(m->t.pool->db);
}

bool sim_import_serve(struct sim_conn *c, const struct sim_request *r,
                      enum sim_conn_end *how)
{
    struct import m = {.t = {.conn = c,
                             .request = r,
                             .host = c->host,
                             .pool = c->host->pool,
                             .what = "import"}};

    *how = SIM_CONN_CLOSE;
    m.call = (struct sim_call){.pool = m.t.pool,
                               .host = m.t.host,
                               .db = m.t.pool->db,
                               .method = "VM.import"};
    m.force = is_true(r, "force");
    if (!sim_transfer_begin(&m.t))
        goto out;
    if (r->encoded) {
        sim_http_error(c, 403, NULL, NULL);
        sim_transfer_task(&m.t);
        sim_transfer_end_task(
            &m.t, NULL,
            sim_value_texts("IMPORT_ERROR_CANNOT_HANDLE_CHUNKED", NULL));
        goto out;
    }
    read_place(&m);
    m.spoil = sim_fault_planned(&m.plan, "import_bad_data") != NULL;
    if (sr_is_here(&m)) {
        sim_transfer_task(&m.t);
        sim_conn_timeout(c, 0);
        if (send_headers(&m))
            receive(&m, how);
        else
            sim_transfer_end_task(
                &m.t, NULL,
                sim_value_texts("IMPORT_ERROR_PREMATURE_EOF", NULL));
    }
    sim_fault_plan_release(&m.plan);
out:
    sim_transfer_fini(&m.t);
    return false;
}
