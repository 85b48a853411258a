/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/lane.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <uv.h>

#define THREADS_MAX 16

struct lane {
    char name[16];
    unsigned threads;
    uv_thread_t thread[THREADS_MAX];
    size_t queue_max;
    uv_mutex_t lock; /* guards what follows */
    uv_cond_t work;  /* an item came, or closing */
    uv_cond_t gone;  /* a thread is about to end */
    struct lane_item *first, *last;
    size_t items;     /* waiting or running */
    unsigned running; /* threads that have not ended */
    bool closing;
};

static void on_mail(struct mail *mail)
{
    struct lane_item *item =
        (struct lane_item *)((char *)mail - offsetof(struct lane_item, mail));

    item->done(item);
}

/* Locked. Runs one item, unlocked meanwhile. */
static void run_first(struct lane *lane)
{
    struct lane_item *item = lane->first;

    lane->first = item->next;
    if (!lane->first)
        lane->last = NULL;
    item->next = NULL;
    uv_mutex_unlock(&lane->lock);
    item->run(item);
    uv_mutex_lock(&lane->lock);
    lane->items--; /* first: done() may start the next and must find room */
    uv_mutex_unlock(&lane->lock);
    loop_send(item->loop, &item->mail);
    uv_mutex_lock(&lane->lock);
}

static void thread_main(void *ctx)
{
    struct lane *lane = ctx;

    pthread_setname_np(pthread_self(), lane->name);
    uv_mutex_lock(&lane->lock);
    for (;;) {
        if (lane->first)
            run_first(lane);
        else if (lane->closing)
            break;
        else
            uv_cond_wait(&lane->work, &lane->lock);
    }
    lane->running--;
    uv_cond_signal(&lane->gone);
    uv_mutex_unlock(&lane->lock);
}

static void destroy(struct lane *lane)
{
    for (unsigned i = 0; i < lane->threads; i++)
        uv_thread_join(&lane->thread[i]);
    uv_cond_destroy(&lane->gone);
    uv_cond_destroy(&lane->work);
    uv_mutex_destroy(&lane->lock);
    free(lane);
}

static enum err_code start_threads(struct lane *lane, unsigned threads,
                                   struct err *err)
{
    int rc;

    for (; lane->threads < threads; lane->threads++) {
        uv_mutex_lock(&lane->lock);
        rc = uv_thread_create(&lane->thread[lane->threads], thread_main, lane);
        if (rc == 0)
            lane->running++;
        uv_mutex_unlock(&lane->lock);
        if (rc < 0)
            return err_set(err, ERR_IO, rc, "thread %s: %s", lane->name,
                           uv_strerror(rc));
    }
    return ERR_OK;
}

enum err_code lane_new(const char *name, unsigned threads, size_t queue_max,
                       struct lane **out, struct err *err)
{
    struct lane *lane;
    enum err_code code;
    int rc;

    if (threads < 1 || threads > THREADS_MAX || queue_max < 1)
        return err_set(err, ERR_ARGUMENT, 0, "lane %s: %u threads, %zu items",
                       name, threads, queue_max);
    lane = calloc(1, sizeof(*lane));
    if (!lane)
        return err_set(err, ERR_NOMEM, 0, "lane %s", name);
    snprintf(lane->name, sizeof(lane->name), "%s", name);
    lane->queue_max = queue_max;
    rc = uv_mutex_init(&lane->lock);
    if (rc < 0)
        goto no_lock;
    rc = uv_cond_init(&lane->work);
    if (rc < 0)
        goto no_work;
    rc = uv_cond_init(&lane->gone);
    if (rc < 0)
        goto no_gone;
    code = start_threads(lane, threads, err);
    if (code != ERR_OK) {
        lane_free(lane, UINT32_MAX); /* the started ones have nothing to do */
        return code;
    }
    *out = lane;
    return ERR_OK;
no_gone:
    uv_cond_destroy(&lane->work);
no_work:
    uv_mutex_destroy(&lane->lock);
no_lock:
    free(lane);
    return err_set(err, ERR_IO, rc, "lane %s: %s", name, uv_strerror(rc));
}

bool lane_start(struct lane *lane, struct lane_item *item)
{
    uv_mutex_lock(&lane->lock);
    if (lane->closing || lane->items >= lane->queue_max) {
        uv_mutex_unlock(&lane->lock);
        return false;
    }
    lane->items++;
    item->mail.deliver = on_mail;
    item->next = NULL;
    if (lane->last)
        lane->last->next = item;
    else
        lane->first = item;
    lane->last = item;
    uv_cond_signal(&lane->work);
    uv_mutex_unlock(&lane->lock);
    return true;
}

bool lane_free(struct lane *lane, unsigned wait_ms)
{
    uint64_t until = uv_hrtime() + (uint64_t)wait_ms * 1000000;
    bool ended;

    if (!lane)
        return true;
    uv_mutex_lock(&lane->lock);
    lane->closing = true;
    uv_cond_broadcast(&lane->work);
    while (lane->running) {
        uint64_t now = uv_hrtime();

        if (now >= until)
            break;
        uv_cond_timedwait(&lane->gone, &lane->lock, until - now);
    }
    ended = lane->running == 0;
    uv_mutex_unlock(&lane->lock);
    if (ended)
        destroy(lane);
    return ended;
}
