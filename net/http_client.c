/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One libcurl multi handle ("lane") per trust: libcurl takes a kept connection
 * for as good as a new one without asking who verified it, and connections are
 * shared within a multi handle alone.
 */
#include "net/http_client.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <uv.h>

#include "net/http_host.h"
#include "net/http_inner.h"
#include "net/http_tls_ctx.h"

#define LANE_IDLE_MS ((uint64_t)60 * 1000)
#define LANE_CONNECTIONS_KEPT 64L
#define READS_PER_TURN 64u /* of up to 16 KiB */
#define READS_IN_VAIN 16u

/* A socket that libcurl wants to be watched. */
struct lane_socket {
    struct lane_socket *next, *prev;
    struct http_lane *lane;
    curl_socket_t fd;
    int events;
    uv_poll_t poll;
};

struct http_lane {
    struct http_lane *next, *prev;
    struct http_client *client;
    struct http_trust *trust; /* held; NULL: http */
    CURLM *multi;
    struct timer curl_timer; /* when libcurl wants to be called */
    struct timer idle_timer; /* then its connections are closed */
    struct lane_socket *sockets;
    struct http_list running;
    bool broken; /* libcurl or libuv failed: ends all that runs here */
};

struct http_client {
    struct loop *loop;
    unsigned per_host;
    struct http_host *hosts; /* those with transfers */
    struct http_lane *lanes;
    struct http_transfer *todo;
    struct http_list ended;
    struct timer pump;
    size_t transfers;
    unsigned inside; /* entered from the loop, not yet left */
    bool doomed;     /* freed by the last done() */
};

static void list_add(struct http_list *l, struct http_transfer *t)
{
    t->next = NULL;
    t->prev = l->tail;
    if (l->tail)
        l->tail->next = t;
    else
        l->head = t;
    l->tail = t;
}

static void list_remove(struct http_list *l, struct http_transfer *t)
{
    if (t->prev)
        t->prev->next = t->next;
    else
        l->head = t->next;
    if (t->next)
        t->next->prev = t->prev;
    else
        l->tail = t->prev;
    t->next = t->prev = NULL;
}

enum err_code http_client_setup(struct err *err)
{
    signal(SIGPIPE, SIG_IGN);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_NOMEM, 0, "libcurl cannot start");
    return ERR_OK;
}

enum err_code http_client_new(struct loop *loop, unsigned connections_per_host,
                              struct http_client **out, struct err *err)
{
    struct http_client *c;

    assert(connections_per_host > 0);
    c = calloc(1, sizeof(*c));
    if (!c)
        return err_set(err, ERR_NOMEM, 0, "HTTP client");
    c->loop = loop;
    c->per_host = connections_per_host;
    *out = c;
    return ERR_OK;
}

struct loop *http_client_loop(const struct http_client *c)
{
    return c->loop;
}

/* ---- Entering and leaving ---- */

static void client_enter(struct http_client *c)
{
    c->inside++;
}

static void lane_free(struct http_client *c, struct http_lane *lane);
static void client_read_on(const struct http_client *c);
static void lane_collect(struct http_lane *lane);
static struct http_lane *lane_find_broken(const struct http_client *c);
static void lane_give_up(struct http_client *c, struct http_lane *lane);

static void client_free_now(struct http_client *c)
{
    while (c->lanes)
        lane_free(c, c->lanes);
    timer_stop(&c->pump);
    free(c);
}

/* Hand out what ended. A done() may start and cancel, but that only adds to
 * the pump's list; the last one may free the client. */
static void client_leave(struct http_client *c)
{
    struct http_lane *lane;

    client_read_on(c);
    for (lane = c->lanes; lane; lane = lane->next)
        lane_collect(lane);
    /* Ending a transfer launches others, which may break a further lane. */
    while ((lane = lane_find_broken(c)) != NULL)
        lane_give_up(c, lane);
    while (c->ended.head) {
        struct http_transfer *t = c->ended.head;

        list_remove(&c->ended, t);
        c->transfers--;
        http_transfer_call_done(t);
        http_transfer_destroy(t);
    }
    c->inside--;
    if (c->doomed)
        client_free_now(c);
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    assert(c->transfers == 0);
    if (c->inside > 0)
        c->doomed = true;
    else
        client_free_now(c);
}

/* ---- Sockets ---- */

static void on_socket_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void socket_close(struct lane_socket *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        s->lane->sockets = s->next;
    if (s->next)
        s->next->prev = s->prev;
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, on_socket_closed);
}

static void on_socket_ready(uv_poll_t *poll, int status, int events);

static void socket_watch(struct lane_socket *s)
{
    if (uv_poll_start(&s->poll, s->events, on_socket_ready) != 0)
        s->lane->broken = true;
}

static void on_socket_ready(uv_poll_t *poll, int status, int events)
{
    struct lane_socket *s = poll->data;
    struct http_lane *lane = s->lane;
    struct http_client *c = lane->client;
    int flags = 0, running;

    /* libuv stops watching a socket with an error and hides the events; the
     * answer may still lie before the error. libcurl finds out by trying
     * (CURL_CSELECT_ERR would make it give up at once). */
    if (status < 0)
        flags = CURL_CSELECT_IN | CURL_CSELECT_OUT;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    client_enter(c);
    if (curl_multi_socket_action(lane->multi, s->fd, flags, &running))
        lane->broken = true;
    /* s may be closing by now; its memory lasts beyond this callback. */
    if (status < 0 && !uv_is_closing((uv_handle_t *)poll))
        socket_watch(s);
    client_leave(c);
}

static struct lane_socket *socket_open(struct http_lane *lane, curl_socket_t fd)
{
    struct lane_socket *s = calloc(1, sizeof(*s));

    if (!s || uv_poll_init_socket(loop_uv(lane->client->loop), &s->poll, fd)) {
        free(s);
        return NULL;
    }
    s->poll.data = s;
    s->lane = lane;
    s->fd = fd;
    s->next = lane->sockets;
    if (s->next)
        s->next->prev = s;
    lane->sockets = s;
    curl_multi_assign(lane->multi, fd, s);
    return s;
}

/* libcurl: watch this socket for these events from now on. A paused transfer's
 * socket is not watched, so that it cannot keep the loop busy. */
static int on_watch(CURL *easy, curl_socket_t fd, int what, void *ctx,
                    void *socket_ctx)
{
    struct http_lane *lane = ctx;
    struct lane_socket *s = socket_ctx;
    struct http_transfer *t = NULL;
    int events = 0;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
    if (t && what != CURL_POLL_REMOVE)
        t->fd = fd;
    else if (t && t->fd == fd)
        t->fd = -1;
    if (what == CURL_POLL_REMOVE) {
        if (s)
            socket_close(s);
        return 0;
    }
    if (what & CURL_POLL_IN)
        events |= UV_READABLE;
    if (what & CURL_POLL_OUT)
        events |= UV_WRITABLE;
    if (!s)
        s = socket_open(lane, fd);
    if (!s) {
        lane->broken = true;
        return 0;
    }
    s->events = events;
    socket_watch(s);
    return 0;
}

/* ---- Lanes ---- */

static void on_curl_timer(struct timer *timer)
{
    struct http_lane *lane =
        (struct http_lane *)((char *)timer -
                             offsetof(struct http_lane, curl_timer));
    struct http_client *c = lane->client;
    int running;

    client_enter(c);
    if (curl_multi_socket_action(lane->multi, CURL_SOCKET_TIMEOUT, 0, &running))
        lane->broken = true;
    client_leave(c);
}

static int on_timeout_set(CURLM *multi, long timeout_ms, void *ctx)
{
    struct http_lane *lane = ctx;

    (void)multi;
    if (timeout_ms < 0)
        timer_stop(&lane->curl_timer);
    else
        timer_start(lane->client->loop, &lane->curl_timer, (uint64_t)timeout_ms,
                    on_curl_timer);
    return 0;
}

static void lane_free(struct http_client *c, struct http_lane *lane)
{
    if (c->lanes == lane)
        c->lanes = lane->next;
    else
        lane->prev->next = lane->next;
    if (lane->next)
        lane->next->prev = lane->prev;
    if (lane->multi)
        curl_multi_cleanup(lane->multi);
    while (lane->sockets)
        socket_close(lane->sockets);
    timer_stop(&lane->curl_timer);
    timer_stop(&lane->idle_timer);
    http_trust_drop(lane->trust);
    free(lane);
}

static void on_lane_idle(struct timer *timer)
{
    struct http_lane *lane =
        (struct http_lane *)((char *)timer -
                             offsetof(struct http_lane, idle_timer));

    if (!lane->running.head)
        lane_free(lane->client, lane);
}

static bool lane_setup(struct http_lane *lane)
{
    CURLM *m = curl_multi_init();
    bool ok = m != NULL;

    lane->multi = m;
#define SET(option, value) \
    ok = ok && curl_multi_setopt(m, CURLMOPT_##option, value) == CURLM_OK
    SET(SOCKETFUNCTION, on_watch);
    SET(SOCKETDATA, lane);
    SET(TIMERFUNCTION, on_timeout_set);
    SET(TIMERDATA, lane);
    SET(PIPELINING, (long)CURLPIPE_NOTHING);
    SET(MAX_HOST_CONNECTIONS, (long)lane->client->per_host);
    SET(MAXCONNECTS, LANE_CONNECTIONS_KEPT);
#undef SET
    return ok;
}

static struct http_lane *lane_get(struct http_client *c,
                                  struct http_trust *trust)
{
    struct http_lane *lane;

    for (lane = c->lanes; lane; lane = lane->next) {
        if (!lane->broken && http_trust_same(lane->trust, trust))
            return lane;
    }
    lane = calloc(1, sizeof(*lane));
    if (!lane)
        return NULL;
    lane->client = c;
    lane->trust = trust ? http_trust_hold(trust) : NULL;
    lane->next = c->lanes;
    if (lane->next)
        lane->next->prev = lane;
    c->lanes = lane;
    if (!lane_setup(lane)) {
        lane_free(c, lane);
        return NULL;
    }
    return lane;
}

/* ---- Transfers ---- */

static void todo_remove(struct http_client *c, struct http_transfer *t)
{
    struct http_transfer **at = &c->todo;

    if (!t->todo)
        return;
    while (*at != t)
        at = &(*at)->todo_next;
    *at = t->todo_next;
    t->todo = false;
}

static void launch_waiting(struct http_client *c, struct http_host *h);

/* The transfer is over: take it out of everything; done() comes on leaving. */
static void end_transfer(struct http_transfer *t, CURLcode result)
{
    struct http_client *c = t->client;
    struct http_lane *lane = t->lane;
    struct http_host *h = t->host;

    todo_remove(c, t);
    http_transfer_settle(t, result);
    if (lane) {
        curl_multi_remove_handle(lane->multi, t->easy);
        list_remove(&lane->running, t);
        t->lane = NULL;
        h->running--;
        if (!lane->running.head)
            timer_start(c->loop, &lane->idle_timer, LANE_IDLE_MS, on_lane_idle);
    } else if (h) {
        list_remove(&h->waiting, t);
    }
    list_add(&c->ended, t);
    t->host = NULL;
    if (h) {
        launch_waiting(c, h);
        http_host_drop(&c->hosts, h);
    }
}

/* libcurl reads a record and waits for the socket, which is silent about what
 * lies in OpenSSL's buffer. Of that, chunked framing makes nothing of ours, and
 * an answer that is over is not read at all: hence an end to reads in vain. */
static void read_on(struct http_lane *lane, struct http_transfer *t)
{
    unsigned vain = 0;
    int running;

    for (unsigned i = 0; i < READS_PER_TURN && vain < READS_IN_VAIN; i++) {
        uint64_t taken = t->taken;

        if (!http_transfer_has_unread(t))
            return;
        if (curl_multi_socket_action(lane->multi, t->fd, CURL_CSELECT_IN,
                                     &running))
            lane->broken = true;
        vain = t->taken == taken ? vain + 1 : 0;
    }
    if (vain < READS_IN_VAIN)
        http_client_poke(t);
}

static void client_read_on(const struct http_client *c)
{
    for (struct http_lane *lane = c->lanes; lane; lane = lane->next)
        for (struct http_transfer *t = lane->running.head; t; t = t->next)
            read_on(lane, t);
}

/* Read what libcurl says has ended. */
static void lane_collect(struct http_lane *lane)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(lane->multi, &left)) != NULL) {
        CURLcode result = msg->data.result; /* msg dies with the transfer */
        struct http_transfer *t = NULL;

        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        end_transfer(t, result);
    }
}

static struct http_lane *lane_find_broken(const struct http_client *c)
{
    struct http_lane *lane = c->lanes;

    while (lane && !lane->broken)
        lane = lane->next;
    return lane;
}

static void lane_give_up(struct http_client *c, struct http_lane *lane)
{
    struct http_transfer *t;
    struct err e;

    while ((t = lane->running.head) != NULL) {
        err_set(&e, ERR_NOMEM, 0, "%s: a socket cannot be watched", t->label);
        err_keep(&t->err, &e);
        end_transfer(t, CURLE_OK);
    }
    lane_free(c, lane);
}

static void launch(struct http_transfer *t)
{
    struct http_client *c = t->client;
    struct http_lane *lane = lane_get(c, t->trust);
    struct err e;

    list_remove(&t->host->waiting, t);
    if (!lane) {
        err_set(&e, ERR_NOMEM, 0, "%s: out of memory", t->label);
        err_keep(&t->err, &e);
        http_client_poke(t);
        list_add(&t->host->waiting, t);
        return;
    }
    t->host->running++;
    t->lane = lane;
    list_add(&lane->running, t);
    timer_stop(&lane->idle_timer);
    /* Not the transfer's own, though it believes the same: the connection may
     * outlive that, and shake hands again. */
    curl_easy_setopt(t->easy, CURLOPT_SSL_CTX_DATA, lane->trust);
    http_transfer_launched(t);
    if (curl_multi_add_handle(lane->multi, t->easy) != CURLM_OK)
        lane->broken = true;
}

static void launch_waiting(struct http_client *c, struct http_host *h)
{
    struct http_transfer *t, *next;

    for (t = h->waiting.head; t && h->running < c->per_host; t = next) {
        next = t->next;
        if (t->err.code == ERR_OK)
            launch(t);
    }
}

static void on_pump(struct timer *timer)
{
    struct http_client *c =
        (struct http_client *)((char *)timer -
                               offsetof(struct http_client, pump));
    struct http_transfer *t;

    client_enter(c);
    while ((t = c->todo) != NULL) {
        todo_remove(c, t);
        if (t->err.code == ERR_OK && t->resume_wanted)
            http_transfer_unpause(t);
        if (t->err.code != ERR_OK)
            end_transfer(t, CURLE_OK);
        else if (t->state == TRANSFER_QUEUED)
            launch_waiting(c, t->host);
    }
    client_leave(c);
}

void http_client_poke(struct http_transfer *t)
{
    struct http_client *c = t->client;

    if (t->todo || t->state == TRANSFER_ENDED)
        return;
    t->todo = true;
    t->todo_next = c->todo;
    c->todo = t;
    if (!timer_is_armed(&c->pump))
        timer_start(c->loop, &c->pump, 0, on_pump);
}

enum err_code http_client_enqueue(struct http_client *c,
                                  struct http_transfer *t, struct err *err)
{
    struct http_host *h = http_host_get(&c->hosts, t->place);

    if (!h)
        return err_set(err, ERR_NOMEM, 0, "HTTP client");
    t->host = h;
    list_add(&h->waiting, t);
    c->transfers++;
    http_client_poke(t);
    return ERR_OK;
}
