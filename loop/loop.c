/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include <assert.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop/loop_inside.h"

struct loop {
    uv_loop_t uv;
    uv_async_t wake; /* keeps the loop alive: only loop_stop() ends it */
    struct timer_room timers;
    const struct clock *clock;
    char name[16]; /* the kernel's limit for the name of a thread */
    uv_mutex_t lock; /* guards what follows */
    struct mail *first, *last;
    struct mail stop;
    bool stopping; /* `stop` is on its way */
    bool owned;    /* runs, or is to be joined: `owner` is valid */
    uv_thread_t owner;
};

static struct mail *take_all(struct loop *loop)
{
    struct mail *all;

    uv_mutex_lock(&loop->lock);
    all = loop->first;
    loop->first = loop->last = NULL;
    uv_mutex_unlock(&loop->lock);
    return all;
}

static void deliver(struct mail *m)
{
    while (m) {
        struct mail *next = m->next; /* m is the sender's again in deliver() */

        m->next = NULL;
        m->deliver(m);
        m = next;
    }
}

/* Mail sent meanwhile waits for the next turn, so that letters which answer
 * each other do not shut out the sockets. */
static void on_wake(uv_async_t *wake)
{
    deliver(take_all(wake->data));
}

static void on_stop(struct mail *mail)
{
    struct loop *loop =
        (struct loop *)((char *)mail - offsetof(struct loop, stop));

    uv_mutex_lock(&loop->lock);
    loop->stopping = false;
    uv_mutex_unlock(&loop->lock);
    uv_stop(&loop->uv);
}

enum err_code loop_new(const char *name, const struct clock *clock,
                       struct loop **out, struct err *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    int rc;

    if (!loop)
        return err_set(err, ERR_NOMEM, 0, "loop %s", name);
    snprintf(loop->name, sizeof(loop->name), "%s", name);
    loop->clock = clock ? clock : clock_system();
    loop->stop.deliver = on_stop;
    rc = uv_mutex_init(&loop->lock);
    if (rc < 0)
        goto no_lock;
    rc = uv_loop_init(&loop->uv);
    if (rc < 0)
        goto no_loop;
    rc = uv_async_init(&loop->uv, &loop->wake, on_wake);
    if (rc < 0)
        goto no_wake;
    loop->wake.data = loop;
    timer_room_init(&loop->timers, &loop->uv);
    *out = loop;
    return ERR_OK;
no_wake:
    uv_loop_close(&loop->uv);
no_loop:
    uv_mutex_destroy(&loop->lock);
no_lock:
    free(loop);
    return err_set(err, rc == UV_ENOMEM ? ERR_NOMEM : ERR_IO, rc, "loop %s: %s",
                   name, uv_strerror(rc));
}

void loop_free(struct loop *loop)
{
    struct mail *m;
    int rc;

    if (!loop)
        return;
    for (m = take_all(loop); m; m = take_all(loop))
        deliver(m);
    uv_close((uv_handle_t *)&loop->wake, NULL);
    timer_room_close(&loop->timers);
    /* A turn for the handles, one more for what they close, and one that a
     * late stop would skip. */
    for (int i = 0; i < 3 && uv_loop_alive(&loop->uv); i++)
        uv_run(&loop->uv, UV_RUN_NOWAIT);
    rc = uv_loop_close(&loop->uv);
    assert(rc == 0); /* somebody left a handle open */
    (void)rc;
    uv_mutex_destroy(&loop->lock);
    free(loop);
}

static void set_owner(struct loop *loop, bool owned)
{
    uv_mutex_lock(&loop->lock);
    loop->owned = owned;
    loop->owner = uv_thread_self();
    uv_mutex_unlock(&loop->lock);
}

void loop_run(struct loop *loop)
{
    set_owner(loop, true);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    set_owner(loop, false);
}

static void thread_main(void *ctx)
{
    struct loop *loop = ctx;

    pthread_setname_np(pthread_self(), loop->name);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

enum err_code loop_start_thread(struct loop *loop, struct err *err)
{
    int rc;

    uv_mutex_lock(&loop->lock);
    assert(!loop->owned);
    rc = uv_thread_create(&loop->owner, thread_main, loop);
    loop->owned = rc == 0;
    uv_mutex_unlock(&loop->lock);
    if (rc < 0)
        return err_set(err, ERR_IO, rc, "thread %s: %s", loop->name,
                       uv_strerror(rc));
    return ERR_OK;
}

void loop_join(struct loop *loop)
{
    uv_thread_join(&loop->owner);
    set_owner(loop, false);
}

static void append(struct loop *loop, struct mail *mail)
{
    mail->next = NULL;
    if (loop->last)
        loop->last->next = mail;
    else
        loop->first = mail;
    loop->last = mail;
}

void loop_send(struct loop *loop, struct mail *mail)
{
    bool was_empty;

    uv_mutex_lock(&loop->lock);
    was_empty = !loop->first;
    append(loop, mail);
    /* Within the lock: when it is released the loop may already have
     * delivered this, and be stopped and freed. */
    if (was_empty)
        uv_async_send(&loop->wake);
    uv_mutex_unlock(&loop->lock);
}

void loop_stop(struct loop *loop)
{
    uv_mutex_lock(&loop->lock);
    if (!loop->stopping) {
        loop->stopping = true;
        append(loop, &loop->stop);
        uv_async_send(&loop->wake);
    }
    uv_mutex_unlock(&loop->lock);
}

bool loop_is_here(const struct loop *loop)
{
    uv_mutex_t *lock = (uv_mutex_t *)(uintptr_t)&loop->lock;
    uv_thread_t self = uv_thread_self();
    bool here;

    uv_mutex_lock(lock);
    here = !loop->owned || uv_thread_equal(&loop->owner, &self);
    uv_mutex_unlock(lock);
    return here;
}

uv_loop_t *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

const char *loop_name(const struct loop *loop)
{
    return loop->name;
}

const struct clock *loop_clock(const struct loop *loop)
{
    return loop->clock;
}

struct timer_room *loop_timers(struct loop *loop)
{
    return &loop->timers;
}
