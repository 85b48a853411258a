/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/jobs_entry.h - what jobs.c and job.c share and nobody else sees.
 */
#ifndef CAIRN_GATEWAY_JOBS_ENTRY_H
#define CAIRN_GATEWAY_JOBS_ENTRY_H

#include "gateway/job.h"
#include "gateway/jobs.h"
#include "loop/timer.h"

enum entry_state {
    ENTRY_QUEUED,
    ENTRY_STARTING, /* the catalog writes down that it runs */
    ENTRY_RUNNING,
    ENTRY_ENDING,   /* finished; the catalog writes it down */
};

struct jobs_entry {
    struct job job;
    struct jobs *jobs;
    struct jobs_entry *next, **link;
    enum entry_state state;
    bool cancel;         /* asked for */
    bool cancel_told;    /* kind->cancel() was called */
    bool leave_running;  /* stopping: the catalog keeps it as running */
    struct json *warnings;
    char stage[48];
    bool stage_dirty;
    uint64_t done_bytes, total_bytes;
    struct timer progress; /* armed: something is to be written down */
    struct catalog_call call; /* of starting and ending */
    struct err cause;
    enum exit_code exit;
    enum catalog_job_state final;
    char *result;
};

/* Called by job.c when everything about the end is in the entry. */
void jobs_entry_ended(struct jobs_entry *entry);

/* The name for messages: "tenant acme, VM web". */
void jobs_entry_text(const struct jobs_entry *entry, char *out, size_t size);

#endif
