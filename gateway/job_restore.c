/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A restore, on the control loop:
 *
 *   vault, point, ova.xml -> [to a pool: what it has -> plan] -> memory
 *   -> pipe -> [import's verdict -> NICs -> receipt -> mark off, start] -> end
 *
 * Every failure and success ends in restore_end(), see job_restore_end.c.
 */
#include "gateway/job_restore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/parse.h"
#include "image/ova_match.h"
#include "tenants/catalog_point.h"
#include "vault/points.h"

#define SERIES_KEY "cairn:series"
#define BLOCKED "being restored by Cairn"

static void on_imported(void *ctx, const struct err *err, const char *vm_ref)
{
    struct restore *r = ctx;

    (void)FAILPOINT("restore_imported");
    r->import = NULL;
    if (vm_ref)
        snprintf(r->vm_ref, sizeof(r->vm_ref), "%s", vm_ref);
    if (err->code != ERR_OK || r->ending || r->err.code != ERR_OK) {
        restore_fail(r, err, EXIT_PEER_POOL);
        return;
    }
    job_stage(r->job, "network interfaces");
    restore_pool_finish(r);
}

/* --- the pipe ------------------------------------------------------------ */

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct restore *r = ctx;

    job_progress(r->job, done, total);
}

static void on_piped(void *ctx, const struct err *err, uint64_t sent,
                     const struct walk_figures *f)
{
    struct restore *r = ctx;

    (void)FAILPOINT("restore_streamed");
    r->pipe = NULL;
    r->sent = sent;
    r->figures = *f;
    job_progress(r->job, sent, sent);
    if (r->import && r->ticketed && !r->reported) {
        r->reported = true;
        xenapi_import_streamed(r->import, err);
    }
    /* What is wrong with the vault is the cause of what the pool says. */
    if (err->code == ERR_INTEGRITY || err->code == ERR_NOT_FOUND ||
        err->code == ERR_KEY || !r->pool)
        restore_fail(r, err, EXIT_PEER_STORE);
    else if (r->ending)
        restore_end(r);
}

static void start_pipe(struct restore *r, struct xenapi_ticket *ticket)
{
    struct restore_pipe_opts o = {
        .engine = r->job->engine,
        .vault = r->vault->vault,
        .place = r->vault->place,
        .point = r->point,
        .point_name = r->point_name,
        .raw = strcmp(json_text(json_get(r->job->params, "output"), ""),
                      "raw") == 0,
        .disks = r->disks,
        .disk_count = r->disk_count,
        .ova = (const char *)r->rewritten.data,
        .ova_len = r->rewritten.len,
        .sha1 = strcmp(json_text(json_get(r->job->params, "checksum"), ""),
                       "sha1") == 0,
        .ticket = ticket,
        .stream = ticket ? NULL : r->job->stream,
        .job_id = r->job->id,
        .progress = on_progress,
        .done = on_piped,
        .ctx = r,
    };
    struct err err = {0};

    job_stage(r->job, "transfer");
    if (!r->data)
        r->data = engine_data_take(r->job->engine);
    o.data = r->data;
    if (restore_pipe_start(&o, &r->pipe, &err) != ERR_OK)
        restore_fail(r, &err, EXIT_PEER_NONE);
}

static void on_ticket(void *ctx, struct xenapi_ticket *ticket)
{
    struct restore *r = ctx;

    (void)FAILPOINT("restore_import_begun");
    if (r->ticketed)
        job_log(r->job, "info", "the host did not answer: the import is "
                "begun again");
    r->ticketed = true;
    r->reported = false;
    if (r->ending)
        restore_end(r);
    else
        start_pipe(r, ticket);
}

static void on_import_broken(void *ctx, const struct err *err)
{
    restore_fail(ctx, err, EXIT_PEER_POOL);
}

static void on_noted(void *ctx, const struct err *err, int64_t row)
{
    struct restore *r = ctx;
    char label[JOB_LABEL_MAX];
    const struct xenapi_import_opts o = {
        .sr_uuid = r->plan.sr ? r->plan.sr->uuid : NULL,
        .label = label,
        .gateway = r->job->engine->gateway,
        .job = r->job->id,
        .restore = r->plan.keep_uuid,
        .ready = on_ticket,
        .broken = on_import_broken,
        .done = on_imported,
        .ctx = r,
    };
    struct err why = {0};

    (void)FAILPOINT("restore_import_noted");
    r->calls--;
    r->row = row;
    if (err->code != ERR_OK || r->ending) {
        job_note_close(r->job, row);
        restore_fail(r, err, EXIT_PEER_NONE);
        return;
    }
    job_label(label, "restore", r->vm_name);
    if (xenapi_import_start(r->pool->session, &o, &r->import, &why) != ERR_OK)
        restore_fail(r, &why, EXIT_PEER_POOL);
}

static void on_memory(struct budget_need *need)
{
    struct restore *r = (struct restore *)(void *)((char *)need -
                            offsetof(struct restore, need));
    const struct job_note note = {
        .kind = "import",
        .in_pool = true,
        .ref = "",
        .detail = r->vm_name,
        .done = on_noted,
        .ctx = r,
    };

    r->granted = true;
    if (r->ending) {
        restore_end(r);
    } else if (r->pool) {
        r->calls++;
        job_note_open(r->job, &note);
    } else {
        start_pipe(r, NULL);
    }
}

static void ask_memory(struct restore *r)
{
    const struct err no_memory = {.code = ERR_NOMEM, .text = "restore"};

    r->need.tenant = (uint64_t)r->job->tenant_id;
    r->need.bytes = RESTORE_PIPE_BYTES;
    r->need.loop = r->job->engine->control;
    r->need.granted = on_memory;
    job_stage(r->job, "wait for memory");
    r->asked = budget_ask(r->job->engine->budget, &r->need);
    if (!r->asked)
        restore_fail(r, &no_memory, EXIT_PEER_NONE);
}

/* --- the plan ------------------------------------------------------------ */

static void draw(void *ctx, uint8_t *out, size_t len)
{
    struct restore *r = ctx;
    struct err err = {0};

    if (seal_key_random(out, len, &err) != ERR_OK)
        err_keep(&r->err, &err);
}

static enum err_code rewrite(struct restore *r, struct err *err)
{
    const struct ova_pair pairs[] = {
        {XENAPI_SWEEP_KEY, r->pool ? r->mark : NULL},
        {"cairn:gateway", NULL},
        {SERIES_KEY, r->series},
    };
    const struct ova_rewrite_opts o = {
        .name = r->plan.name ? r->plan.name : r->vm_name,
        /* An XVA for the user keeps the VM's own uuid and NICs: whoever
         * imports it decides. */
        .vm_uuid = r->plan.keep_uuid || !r->pool ? r->vm_uuid : NULL,
        .keep_mac_seed = !r->pool || (r->plan.keep_uuid && r->plan.keep_mac),
        .keep_nics = !r->pool,
        .block_start = r->pool ? BLOCKED : NULL,
        .other_config = pairs,
        .other_config_count = BYTES_COUNT(pairs),
        .random = draw,
        .ctx = r,
    };

    buf_init(&r->rewritten, OVA_BYTES_MAX + MIB);
    if (ova_rewrite(r->ova, &o, &r->rewritten, err) == ERR_OK)
        *err = r->err; /* of draw() */
    return err->code;
}

/* The disks in the order of ova.xml, each with its place in the point. */
static enum err_code match_disks(struct restore *r, struct err *err)
{
    size_t n = ova_disk_count(r->ova), count = r->point->disks;
    uint32_t *position = calloc(count ? count : 1, sizeof(*position));
    size_t *number = calloc(n ? n : 1, sizeof(*number));

    r->disks = calloc(n ? n : 1, sizeof(*r->disks));
    if (!r->disks || !position || !number) {
        err_set(err, ERR_NOMEM, 0, "restore");
        n = 0;
    }
    for (size_t k = 0; position && k < count; k++)
        position[k] = r->point->disk[k].position;
    if (n > 0)
        ova_match(r->ova, position, count, number);
    for (size_t i = 0; i < n && err->code == ERR_OK; i++) {
        const struct ova_disk *d = ova_disk(r->ova, i);

        if (number[i] == OVA_MATCH_NONE ||
            strlen(d->id) >= sizeof(r->disks[i].id)) {
            err_set(err, ERR_INTEGRITY, 0,
                    "point %s: ova.xml has a disk at '%s', which the point "
                    "has not", r->job->point, d->userdevice);
            break;
        }
        snprintf(r->disks[i].id, sizeof(r->disks[i].id), "%s", d->id);
        r->disks[i].disk = number[i];
    }
    r->disk_count = err->code == ERR_OK ? n : 0;
    free(position);
    free(number);
    return err->code;
}

/* The VM that an attempt before left to be released, if it is there, and has
 * lost its mark. */
static const struct xenapi_vm *released_vm(const struct restore *r)
{
    for (size_t i = 0; *r->released && i < r->target->vm_count; i++) {
        const struct xenapi_vm *vm = &r->target->vms[i];

        if (strcmp(vm->uuid, r->released) == 0)
            return xenapi_inventory_other_config(vm, XENAPI_SWEEP_KEY) ? NULL
                                                                       : vm;
    }
    return NULL;
}

static void go(struct restore *r)
{
    if (r->plan.dry_run) {
        r->receipt = restore_pool_forecast(r);
        restore_end(r);
    } else {
        ask_memory(r);
    }
}

static void on_checked(void *ctx, const struct err *err)
{
    struct restore *r = ctx;
    struct err why = *err;

    r->checking = NULL;
    if (why.code == ERR_CONFLICT)
        err_context(&why, "restore with --uuid new");
    if (why.code != ERR_OK || r->ending)
        restore_fail(r, &why, EXIT_PEER_POOL);
    else
        go(r);
}

/* XAPI replaces a VM, or a template, that has the uuid of a VM which keeps its
 * own; a vTPM's uuid may be there once. The inventory has no default templates
 * and no vTPMs, and was taken a while ago. */
static void check_uuids(struct restore *r)
{
    struct xenapi_taken_uuid uuids[XENAPI_TAKEN_MAX] = {{"VM", r->vm_uuid}};
    struct err err = {0};
    size_t n = 1;

    for (const char *u; n < BYTES_COUNT(uuids) &&
         (u = ova_vtpm_uuid(r->ova, n - 1)) != NULL; n++)
        uuids[n] = (struct xenapi_taken_uuid){"VTPM", u};
    if (xenapi_taken_start(r->pool->session, uuids, n, on_checked, r,
                           &r->checking, &err) != ERR_OK)
        restore_fail(r, &err, EXIT_PEER_POOL);
}

static void on_target(void *ctx, const struct err *err,
                      struct xenapi_inventory *inventory)
{
    struct restore *r = ctx;
    struct restore_plan_opts o = {
        .ova = r->ova,
        .target = inventory,
        .vm_uuid = r->vm_uuid,
        .params = r->job->params,
        .data_bytes = restore_pipe_data_bytes(r->point),
    };
    struct err why = {0};

    r->asking = NULL;
    r->target = inventory;
    if (err->code != ERR_OK || r->ending) {
        restore_fail(r, err, EXIT_PEER_POOL);
        return;
    }
    if (released_vm(r)) {
        restore_pool_take_up(r, released_vm(r));
        return;
    }
    if (restore_plan_make(&o, &r->plan, &why) != ERR_OK ||
        rewrite(r, &why) != ERR_OK) {
        restore_fail(r, &why, EXIT_PEER_POOL);
        return;
    }
    if (r->plan.keep_uuid)
        check_uuids(r);
    else
        go(r);
}

static enum err_code prepare_stream(struct restore *r, struct err *err)
{
    const struct json *p = r->job->params;
    int64_t position = json_int(json_get(p, "disk"), -1);

    if (strcmp(json_text(json_get(p, "output"), ""), "raw") != 0) {
        if (match_disks(r, err) != ERR_OK)
            return err->code;
        return rewrite(r, err);
    }
    r->disks = calloc(1, sizeof(*r->disks));
    if (!r->disks)
        return err_set(err, ERR_NOMEM, 0, "restore");
    r->disk_count = 1;
    for (size_t k = 0; k < r->point->disks; k++) {
        if (r->point->disk[k].position != position)
            continue;
        r->disks[0].disk = k;
        return ERR_OK;
    }
    return err_set(err, ERR_NOT_FOUND, 0, "the point has no disk %jd",
                   (intmax_t)position);
}

/* --- the point ----------------------------------------------------------- */

static enum err_code read_point(struct restore *r, struct err *err)
{
    const struct keyring *keys = vault_keys(r->vault->vault);
    const struct point *p = r->point;
    struct buf ova;

    r->vm_name = strndup(p->name.len ? (const char *)p->name.data : "restored",
                         p->name.len ? p->name.len : 8);
    r->series = strndup((const char *)p->series.data, p->series.len);
    if (!r->vm_name || !r->series)
        return err_set(err, ERR_NOMEM, 0, "restore");
    parse_uuid_text(&p->vm, r->vm_uuid);
    job_name(r->job, r->vm_name);
    if (strcmp(json_text(json_get(r->job->params, "output"), ""), "raw") == 0)
        return ERR_OK;
    buf_init_secret(&ova, POINT_METADATA_MAX);
    if (point_metadata(keys, r->point_name, p, &ova, err) == ERR_OK)
        ova_parse(ova.data, ova.len, &r->ova, err);
    buf_fini(&ova);
    return err->code;
}

static void on_point(void *ctx, const struct err *err, struct point *take,
                     const uint8_t sha256[32])
{
    struct restore *r = ctx;
    const struct xenapi_inventory_opts ask = {.done = on_target, .ctx = r};
    struct err why = *err;

    r->fetching = NULL;
    r->point = take;
    if (why.code == ERR_OK && memcmp(sha256, r->witness, 32) != 0)
        err_set(&why, ERR_INTEGRITY, 0, "point %s is not the one that was "
                "written: its SHA-256 differs", r->job->point);
    if (why.code != ERR_OK || r->ending) {
        restore_fail(r, &why, EXIT_PEER_STORE);
        return;
    }
    if (read_point(r, &why) != ERR_OK ||
        (r->pool ? match_disks(r, &why) : prepare_stream(r, &why)) != ERR_OK)
        restore_fail(r, &why, EXIT_PEER_STORE);
    else if (!r->pool)
        ask_memory(r);
    else if (xenapi_inventory_start(r->pool->session, &ask, &r->asking,
                                    &why) != ERR_OK)
        restore_fail(r, &why, EXIT_PEER_POOL);
}

static enum err_code run_find(struct catalog_call *call, struct catalog *c,
                              struct err *err)
{
    struct restore *r = (struct restore *)(void *)((char *)call -
                            offsetof(struct restore, call));
    const struct catalog_point_filter within = {
        .tenant_id = r->job->tenant_id,
        .vault_id = r->vault->id,
    };
    struct catalog_point p = {0};

    if (catalog_point_get(c, &within, r->job->point, &p, err) != ERR_OK)
        return err->code;
    if (strlen(p.name) >= sizeof(r->point_name))
        err_set(err, ERR_INTEGRITY, 0, "point name '%s'", p.name);
    snprintf(r->point_name, sizeof(r->point_name), "%s", p.name);
    memcpy(r->witness, p.sha256, sizeof(r->witness));
    catalog_point_fini(&p);
    return err->code;
}

static void on_found(struct catalog_call *call, const struct err *err)
{
    struct restore *r = (struct restore *)(void *)((char *)call -
                            offsetof(struct restore, call));
    struct err why = *err;

    r->calls--;
    if (why.code == ERR_OK && !r->ending &&
        vaults_store(r->vault, &r->store, &why) == ERR_OK &&
        points_fetch(r->store, vault_keys(r->vault->vault), r->point_name,
                     on_point, r, &r->fetching, &why) == ERR_OK)
        return;
    restore_fail(r, &why, EXIT_PEER_STORE);
}

static void on_old_row(void *ctx, const char *kind, const char *ref)
{
    struct restore *r = ctx;

    if (strcmp(kind, "release") == 0)
        snprintf(r->released, sizeof(r->released), "%s", ref);
}

static void on_old_rows(void *ctx, const struct err *err)
{
    struct restore *r = ctx;

    if (err->code != ERR_OK || r->ending) {
        r->calls--;
        restore_fail(r, err, EXIT_PEER_NONE);
        return;
    }
    job_stage(r->job, "prepare");
    r->call.run = run_find;
    r->call.done = on_found; /* r->calls is counted since the start */
    catalog_call_start(r->job->engine->catalog, &r->call);
}

static void find_point(struct restore *r)
{
    job_note_each(r->job, on_old_row, on_old_rows, r);
}

static void on_pool(void *ctx, const struct err *err, struct pools_hold *hold)
{
    struct restore *r = ctx;

    r->pool = hold;
    if (err->code != ERR_OK || r->ending) {
        r->calls--;
        restore_fail(r, err, EXIT_PEER_POOL);
        return;
    }
    find_point(r);
}

static void on_vault(void *ctx, const struct err *err,
                     struct vaults_hold *hold)
{
    struct restore *r = ctx;

    r->vault = hold;
    if (err->code != ERR_OK || r->ending) {
        r->calls--;
        restore_fail(r, err, EXIT_PEER_VAULT);
    } else if (r->job->pool_id) {
        pools_take(r->job->engine->pools, r->job->pool_id, false, on_pool, r);
    } else {
        find_point(r);
    }
}

static void restore_start(struct job *job)
{
    struct restore *r = calloc(1, sizeof(*r));

    if (!r) {
        const struct err err = {.code = ERR_NOMEM, .text = "no memory"};

        job_finish(job, &err, EXIT_PEER_NONE, NULL);
        return;
    }
    r->job = job;
    xenapi_sweep_vm_mark(job->engine->gateway, job->id, r->mark);
    job->state = r;
    r->calls++;
    vaults_take(job->engine->vaults, job->vault_id, on_vault, r);
}

static void restore_cancel(struct job *job)
{
    struct restore *r = job->state;
    struct err err;

    if (r->finished)
        return; /* it is the user's VM by now */
    /* The answer was broken off because of what the pipe is about to say. */
    if (job_client_is_gone(job) && r->pipe && restore_pipe_is_over(r->pipe))
        return;
    err_set(&err, ERR_CANCELLED, 0, "%s",
            job_client_is_gone(job) ? "the client went away" : "cancelled");
    restore_fail(r, &err, EXIT_PEER_NONE);
}

static void restore_hurry(struct job *job)
{
    struct restore *r = job->state;

    r->hurry = true;
    if (r->op)
        xenapi_vm_cancel(r->op);
}

const struct job_kind job_kind_restore = {
    .name = "restore",
    .start = restore_start,
    .cancel = restore_cancel,
    .hurry = restore_hurry,
};
