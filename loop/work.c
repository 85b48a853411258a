/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/work.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "loop/loop.h"

#define WORKER_NICER 5 /* than who started the process */
#define NICEST 19

unsigned work_setup(void)
{
    unsigned cores = uv_available_parallelism();
    char text[16];

    snprintf(text, sizeof(text), "%u", cores);
    setenv("UV_THREADPOOL_SIZE", text, 1);
    return cores;
}

/* libuv makes the threads and tells nobody; each knows itself by this. */
static void settle_in(void)
{
    static _Thread_local bool settled;
    int nicer;

    if (settled)
        return;
    settled = true;
    pthread_setname_np(pthread_self(), "worker");
    nicer = getpriority(PRIO_PROCESS, 0) + WORKER_NICER;
    /* Linux: of this thread alone. A refusal costs politeness only. */
    (void)setpriority(PRIO_PROCESS, 0, nicer > NICEST ? NICEST : nicer);
}

static void on_run(uv_work_t *req)
{
    struct work *w = req->data;

    settle_in();
    w->run(w);
}

static void on_done(uv_work_t *req, int status)
{
    struct work *w = req->data;

    (void)status; /* 0: nothing here cancels */
    w->done(w);
}

void work_start(struct loop *loop, struct work *w)
{
    int rc;

    assert(w->run && w->done && loop_is_here(loop));
    w->req.data = w;
    rc = uv_queue_work(loop_uv(loop), &w->req, on_run, on_done);
    assert(rc == 0); /* fails for a NULL callback only */
    (void)rc;
}
