/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/jobs_entry.h - what jobs.c, jobs_ask.c and job.c share and nobody
 * else sees.
 */
#ifndef CAIRN_GATEWAY_JOBS_ENTRY_H
#define CAIRN_GATEWAY_JOBS_ENTRY_H

#include "gateway/job.h"
#include "gateway/jobs.h"
#include "gateway/jobs_count.h"
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
    struct jobs_count_of counts;
    bool counted; /* among those that run */
    char *store;  /* the name of what counts.store counts; NULL: not known */
    enum entry_state state;
    bool cancel;         /* asked for */
    bool cancel_told;    /* kind->cancel() was called */
    bool client_gone;    /* nobody reads what it would write */
    bool left;           /* it ended, and rows of its journal are open */
    bool leave_running;  /* stopping: the catalog keeps it as running */
    struct json *warnings;
    char stage[200];
    bool stage_dirty;
    uint64_t done_bytes, total_bytes;
    struct timer hurry;    /* armed: it was told to end; or its end could not be
                              written down */
    struct timer progress; /* armed: something is to be written down */
    struct catalog_call call; /* of starting and ending */
    struct err cause;
    enum exit_code exit;
    enum catalog_job_state final;
    char *result;
};

struct jobs {
    struct engine *engine;
    struct jobs_entry *first, **last; /* in order of arrival */
    unsigned queued, running;
    struct jobs_count *counts;
    bool resuming, resumed, stopping;
    struct mail kick; /* look for the next job, in a later turn */
    bool kicked;
    void (*stopped)(void *ctx);
    void *stopped_ctx;
};

/* Everything but the place in the list. Any thread. */
struct jobs_entry *jobs_entry_new(struct jobs *jobs,
                                  const struct catalog_job *row,
                                  struct err *err);
/* One that is in no list. */
void jobs_entry_free(struct jobs_entry *entry);
/* The store that it works on: an endpoint, or a folder. Catalog's thread, before
 * it is linked; what cannot be found out is not counted. */
void jobs_entry_find_store(struct jobs_entry *entry, struct catalog *c);
/* Its place in the queue. */
void jobs_entry_link(struct jobs *jobs, struct jobs_entry *entry);
struct jobs_entry *jobs_entry_find(struct jobs *jobs, const char *id);
/* Its kind is told, once, that it is to end. */
void jobs_tell_cancel(struct jobs_entry *entry);
/* A job that never started ends here. */
void jobs_end_queued(struct jobs_entry *entry, const struct err *why);

/* Why a job ends whose client left. */
extern const struct err jobs_client_gone;

/* Called by job.c when everything about the end is in the entry. */
void jobs_entry_ended(struct jobs_entry *entry);

/* The name for messages: "tenant acme, VM web". */
void jobs_entry_text(const struct jobs_entry *entry, char *out, size_t size);

#endif
