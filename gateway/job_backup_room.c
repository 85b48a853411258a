/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a backup waits for before its snapshot:
 *
 *   room at the host and among the snapshots of its SRs -> memory -> its turn
 *   at the SRs -> few enough disks there to coalesce -> snapshot
 *                 too many: room and memory go to others; when they are
 *                 fewer, from the beginning
 */
#include "gateway/job_backup.h"

#include <stdio.h>
#include <string.h>

/* Others may have the room meanwhile. */
static void on_chains_long(struct backlog_need *need, const char *why)
{
    struct backup *b = (struct backup *)(void *)((char *)need -
                           offsetof(struct backup, chains));

    job_stage(b->job, why);
    if (!b->granted)
        return;
    gates_leave(&b->snapping);
    gates_leave(&b->alive);
    budget_give(b->job->engine->budget, b->need.tenant, b->need.bytes);
    b->asked = b->granted = false;
}

static void on_chains(struct backlog_need *need, const struct err *err)
{
    struct backup *b = (struct backup *)(void *)((char *)need -
                           offsetof(struct backup, chains));

    if (err->code != ERR_OK) {
        b->waiting = false;
        job_backup_fail(b, err, EXIT_PEER_POOL);
    } else if (b->granted) {
        job_backup_snapshot(b);
    } else {
        job_backup_room(b);
    }
}

static void on_may_snapshot(struct gates_need *need)
{
    struct backup *b = (struct backup *)(void *)((char *)need -
                           offsetof(struct backup, snapping));

    b->chains.pool_id = b->job->pool_id;
    b->chains.vm = job_backup_vm(b->live);
    b->chains.waits = on_chains_long;
    b->chains.open = on_chains;
    backlog_enter(b->job->engine->backlog, &b->chains);
}

static void no_memory(struct backup *b)
{
    const struct err err = {.code = ERR_NOMEM, .text = "backup"};

    job_backup_fail(b, &err, EXIT_PEER_NONE);
}

static void on_memory(struct budget_need *need)
{
    struct backup *b = (struct backup *)(void *)((char *)need -
                           offsetof(struct backup, need));

    b->granted = true;
    if (b->ending) {
        job_backup_end(b);
        return;
    }
    b->snapping.open = on_may_snapshot;
    if (!gates_enter(b->job->engine->gates, &b->snapping)) {
        b->waiting = false;
        no_memory(b);
    }
}

static void on_may_live(struct gates_need *gates)
{
    struct backup *b = (struct backup *)(void *)((char *)gates -
                           offsetof(struct backup, alive));

    memset(&b->need, 0, sizeof(b->need)); /* not for the first time, perhaps */
    b->need.tenant = (uint64_t)b->job->tenant_id;
    b->need.bytes = SESSION_FLOOR_BYTES;
    b->need.loop = b->job->engine->control;
    b->need.granted = on_memory;
    b->asked = budget_ask(b->job->engine->budget, &b->need);
    if (!b->asked) {
        b->waiting = false;
        no_memory(b);
    }
}

static bool sees(const struct xenapi_sr *sr, const struct xenapi_host *host)
{
    for (size_t i = 0; i < sr->host_count; i++)
        if (strcmp(sr->hosts[i], host->ref) == 0)
            return true;
    return false;
}

/* The host that will send the export: the coordinator, if it sees all SRs, else
 * one to which it sends us, which does. NULL: none is known. */
static const struct xenapi_host *exporter(const struct xenapi_inventory *inv)
{
    const struct xenapi_vm *vm = job_backup_vm(inv);
    const struct xenapi_host *best = NULL;

    for (size_t h = 0; h < inv->host_count; h++) {
        const struct xenapi_host *host = &inv->hosts[h];
        bool all = true;

        for (size_t i = 0; i < vm->disk_count; i++)
            all = all && (!vm->disks[i].sr || sees(vm->disks[i].sr, host));
        if (all && (!best || host->coordinator))
            best = host;
    }
    return best;
}

void job_backup_room(struct backup *b)
{
    const struct xenapi_vm *vm = job_backup_vm(b->live);
    const struct xenapi_host *host = exporter(b->live);
    const struct config *c = b->job->engine->config;
    char name[GATES_NAME];

    b->alive.tenant = b->snapping.tenant = (uint64_t)b->job->tenant_id;
    snprintf(name, sizeof(name), "host %.64s", host ? host->uuid : "");
    if (host)
        gates_need_add(&b->alive, name, (unsigned)c->exports_per_host);
    for (size_t i = 0; i < vm->disk_count; i++) {
        if (!vm->disks[i].sr)
            continue;
        snprintf(name, sizeof(name), "alive %s", vm->disks[i].sr->uuid);
        gates_need_add(&b->alive, name, (unsigned)c->snapshots_per_sr);
        snprintf(name, sizeof(name), "snapshot %s", vm->disks[i].sr->uuid);
        gates_need_add(&b->snapping, name, 1);
    }
    job_stage(b->job, "wait for room");
    b->waiting = true;
    b->alive.open = on_may_live;
    if (!gates_enter(b->job->engine->gates, &b->alive)) {
        b->waiting = false;
        no_memory(b);
    }
}
