/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_inner.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include "net/http_tls_ctx.h"

static uint64_t now_ms(const struct http_transfer *t)
{
    return uv_now(loop_uv(http_client_loop(t->client)));
}

static struct http_response response_of(const struct http_transfer *t)
{
    return (struct http_response){
        .status = t->head.whole ? t->head.status : 0,
        .body_bytes = t->received,
        .sent_bytes = t->sent,
        .length = t->head.whole ? t->head.length : -1,
        .transfer = t,
    };
}

const char *http_response_header(const struct http_response *r,
                                 const char *name)
{
    return http_head_find(&r->transfer->head, name);
}

uint64_t http_transfer_wire_bytes(const struct http_transfer *t)
{
    return t->wire;
}

/* ---- Deadlines: one timer, looked at anew whenever it fires ---- */

static void sooner(uint64_t *due, const char **what, uint64_t from, uint64_t ms,
                   const char *name)
{
    if (ms == 0 || *due <= from + ms)
        return;
    *due = from + ms;
    *what = name;
}

/* When the transfer is over time, if nothing happens till then. */
static uint64_t deadline_due(const struct http_transfer *t, const char **what)
{
    uint64_t due = UINT64_MAX;

    sooner(&due, what, t->started_at, t->total_ms, "not done in time");
    switch (t->state) {
    case TRANSFER_QUEUED:
    case TRANSFER_ENDED:
        break;
    case TRANSFER_CONNECTING:
        sooner(&due, what, t->launched_at, t->connect_ms,
               "no connection in time");
        break;
    case TRANSFER_SENDING:
        if (!t->out_paused && !t->in_paused)
            sooner(&due, what, t->active_at, t->stall_ms,
                   "the other side takes no more data");
        break;
    case TRANSFER_WAITING:
        sooner(&due, what, t->active_at, t->first_byte_ms, "no answer in time");
        break;
    case TRANSFER_RECEIVING:
        if (!t->in_paused)
            sooner(&due, what, t->active_at, t->stall_ms,
                   "the other side sends no more data");
        break;
    }
    return due;
}

static void fail(struct http_transfer *t, enum err_code code, int detail,
                 const char *text)
{
    struct err e;

    err_set(&e, code, detail, "%s: %s", t->label, text);
    err_keep(&t->err, &e);
}

/* What was handed over may still lie in libcurl's or the kernel's buffer: as
 * long as those drain, sending has not stalled. */
static bool is_draining(struct http_transfer *t)
{
    curl_off_t sent = 0;
    int unsent = 0;
    uint64_t progress;

    if (t->state != TRANSFER_SENDING && t->state != TRANSFER_WAITING)
        return false;
    curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    if (t->fd >= 0 && ioctl(t->fd, SIOCOUTQ, &unsent) != 0)
        unsent = 0;
    progress = (uint64_t)sent - (uint64_t)unsent;
    if (progress == t->progress)
        return false;
    t->progress = progress;
    return true;
}

static void on_deadline(struct timer *timer);

static void arm(struct http_transfer *t)
{
    const char *what;
    uint64_t now = now_ms(t);
    uint64_t due = deadline_due(t, &what);

    if (due == UINT64_MAX)
        timer_stop(&t->deadline);
    else
        timer_start(http_client_loop(t->client), &t->deadline,
                    due > now ? due - now : 0, on_deadline);
}

static void on_deadline(struct timer *timer)
{
    struct http_transfer *t =
        (struct http_transfer *)((char *)timer -
                                 offsetof(struct http_transfer, deadline));
    const char *what = NULL;

    if (deadline_due(t, &what) > now_ms(t)) {
        arm(t);
        return;
    }
    if (is_draining(t)) {
        t->active_at = now_ms(t);
        if (deadline_due(t, &what) > now_ms(t)) {
            arm(t);
            return;
        }
    }
    fail(t, ERR_TIMEOUT, 0, what);
    http_client_poke(t);
}

static void enter(struct http_transfer *t, enum transfer_state state)
{
    t->state = state;
    t->active_at = now_ms(t);
    arm(t);
}

/* ---- Starting ---- */

enum err_code http_transfer_start(struct http_client *c,
                                  const struct http_transfer_opts *opts,
                                  struct http_transfer **out, struct err *err)
{
    struct http_transfer *t = calloc(1, sizeof(*t));
    enum err_code rc;

    if (!t)
        return err_set(err, ERR_NOMEM, 0, "HTTP transfer");
    t->client = c;
    t->fd = -1;
    http_head_init(&t->head);
    t->raw_end = opts->raw_end;
    t->connect_ms = opts->connect_ms;
    t->first_byte_ms = opts->first_byte_ms;
    t->stall_ms = opts->stall_ms;
    t->total_ms = opts->total_ms;
    t->on_head = opts->on_head;
    t->on_body = opts->on_body;
    t->done = opts->done;
    t->ctx = opts->ctx;
    /* The loop's time stands still in a callback, and before the first. */
    uv_update_time(loop_uv(http_client_loop(c)));
    t->started_at = now_ms(t);
    rc = http_setup_transfer(t, opts, err);
    if (rc == ERR_OK)
        rc = http_client_enqueue(c, t, err);
    if (rc != ERR_OK) {
        http_transfer_destroy(t);
        return rc;
    }
    arm(t);
    *out = t;
    return ERR_OK;
}

void http_transfer_launched(struct http_transfer *t)
{
    t->launched_at = now_ms(t);
    enter(t, TRANSFER_CONNECTING);
}

CURLcode http_transfer_on_ssl_ctx(CURL *easy, void *ssl_ctx, void *ctx)
{
    (void)easy;
    return ctx && http_trust_apply(ctx, ssl_ctx) ? CURLE_OK
                                                 : CURLE_OUT_OF_MEMORY;
}

/* The connection stands and nothing was sent over it yet. */
int http_transfer_on_connected(void *ctx, char *peer_ip, char *own_ip,
                               int peer_port, int own_port)
{
    struct http_transfer *t = ctx;

    (void)peer_ip;
    (void)own_ip;
    (void)peer_port;
    (void)own_port;
    if (t->err.code != ERR_OK)
        return CURL_PREREQFUNC_ABORT;
    if (t->attempts++ > 0) {
        /* A kept connection died before the answer began. Whether the request
         * was obeyed, nobody knows. */
        if (!t->repeatable || (t->pull && t->body_done > 0)) {
            fail(t, ERR_IO, 0, "the connection broke before the answer");
            return CURL_PREREQFUNC_ABORT;
        }
        http_transfer_on_seek(t, 0, SEEK_SET);
    }
    enter(t, t->body_bytes > 0 ? TRANSFER_SENDING : TRANSFER_WAITING);
    return CURL_PREREQFUNC_OK;
}

/* ---- The request's body ---- */

int http_transfer_on_seek(void *ctx, curl_off_t offset, int origin)
{
    struct http_transfer *t = ctx;

    if (origin != SEEK_SET || offset != 0 || (t->pull && t->body_done > 0))
        return CURL_SEEKFUNC_FAIL;
    t->slice_at = 0;
    t->slice_offset = 0;
    t->body_done = 0;
    return CURL_SEEKFUNC_OK;
}

static size_t read_slices(const struct http_transfer *t, uint8_t *into,
                          size_t max)
{
    size_t at = t->slice_at, offset = t->slice_offset, filled = 0;

    for (; filled < max && at < t->body_slices; at++, offset = 0) {
        const struct slice *s = &t->body[at];
        size_t left = s->len - offset;
        size_t n = left < max - filled ? left : max - filled;

        if (n > 0)
            memcpy(into + filled, s->data + offset, n);
        filled += n;
    }
    return filled;
}

static void step_slices(struct http_transfer *t, size_t n)
{
    n += t->slice_offset;
    while (t->slice_at < t->body_slices && n >= t->body[t->slice_at].len)
        n -= t->body[t->slice_at++].len;
    t->slice_offset = n;
}

/* Returns the bytes, or libcurl's code for pause or abort. */
static size_t read_pull(struct http_transfer *t, uint8_t *into, size_t max)
{
    long n = t->pull(t->ctx, into, max);

    if (n == HTTP_PULL_WAIT && t->err.code == ERR_OK) {
        t->out_paused = true;
        return CURL_READFUNC_PAUSE;
    }
    if (n == HTTP_PULL_FAIL)
        fail(t, ERR_CANCELLED, 0, "the source of the body failed");
    else if (n == 0)
        fail(t, ERR_ARGUMENT, 0, "the body is shorter than was said");
    else if (n < 0 || (size_t)n > max)
        fail(t, ERR_ARGUMENT, 0, "the source of the body is wrong");
    return t->err.code == ERR_OK ? (size_t)n : CURL_READFUNC_ABORT;
}

/*
 * Something of the answer is there already, though not all was sent: most
 * likely a refusal, and a reset behind it. libcurl would send, fail and never
 * read it. Pausing for a turn makes it read first; not twice in a row, because
 * there may be nothing in it for us (a TLS ticket).
 */
static bool let_answer_pass(struct http_transfer *t)
{
    struct pollfd p = {.fd = t->fd, .events = POLLIN | POLLRDHUP};

    if (t->let_pass || t->in_paused || t->fd < 0 || poll(&p, 1, 0) <= 0) {
        t->let_pass = false;
        return false;
    }
    t->let_pass = true;
    t->out_paused = true;
    t->resume_wanted = true;
    http_client_poke(t);
    return true;
}

size_t http_transfer_on_read(char *into, size_t size, size_t count, void *ctx)
{
    struct http_transfer *t = ctx;
    uint64_t left = t->body_bytes - t->body_done;
    size_t max = size * count;
    size_t n;

    if (t->err.code != ERR_OK)
        return CURL_READFUNC_ABORT;
    if (left == 0)
        return 0;
    if (t->refused) {
        /* An error answer that closes: no use in sending on. What was
         * announced and not sent makes the connection unusable. */
        curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, 1L);
        return 0;
    }
    if (max > left)
        max = (size_t)left;
    if (t->pull) {
        if (let_answer_pass(t))
            return CURL_READFUNC_PAUSE;
        n = read_pull(t, (uint8_t *)into, max);
        if (n == CURL_READFUNC_PAUSE || n == CURL_READFUNC_ABORT)
            return n;
    } else {
        n = read_slices(t, (uint8_t *)into, max);
        if (let_answer_pass(t)) /* looked at as late as can be */
            return CURL_READFUNC_PAUSE;
        step_slices(t, n);
    }
    t->body_done += n;
    t->active_at = now_ms(t);
    if (t->body_done == t->body_bytes)
        enter(t, t->head.line_sum > 0 ? TRANSFER_RECEIVING : TRANSFER_WAITING);
    return n;
}

/* ---- The answer ---- */

/* False: end the transfer. */
static bool take_head(struct http_transfer *t)
{
    struct http_response r = response_of(t);

    if (!t->raw_end && t->head.status < 300 &&
        http_head_ends_by_close(&t->head, t->method)) {
        fail(t, ERR_PROTOCOL, t->head.status,
             "the answer does not say how long it is");
        return false;
    }
    if (t->head.status >= 300 && t->body_done < t->body_bytes) {
        t->refused = true;
        if (t->out_paused) {
            t->resume_wanted = true;
            http_client_poke(t);
        }
    }
    if (t->on_head && !t->on_head(t->ctx, &r))
        fail(t, ERR_CANCELLED, t->head.status, "the answer was not wanted");
    return t->err.code == ERR_OK;
}

size_t http_transfer_on_line(char *line, size_t size, size_t count, void *ctx)
{
    struct http_transfer *t = ctx;
    size_t len = size * count;

    if (t->err.code != ERR_OK)
        return 0;
    t->active_at = now_ms(t);
    t->taken += len;
    if (t->state == TRANSFER_WAITING)
        enter(t, TRANSFER_RECEIVING);
    switch (http_head_line(&t->head, line, len)) {
    case HTTP_HEAD_MORE:
        return len;
    case HTTP_HEAD_WHOLE:
        return take_head(t) ? len : 0;
    case HTTP_HEAD_BAD:
        fail(t, ERR_PROTOCOL, 0, "the answer is not HTTP/1");
        return 0;
    case HTTP_HEAD_TOO_BIG:
        fail(t, ERR_PROTOCOL, 0, "the answer has over 16 KiB of headers");
        return 0;
    case HTTP_HEAD_NOMEM:
        break;
    }
    fail(t, ERR_NOMEM, 0, "out of memory");
    return 0;
}

size_t http_transfer_on_piece(char *data, size_t size, size_t count, void *ctx)
{
    struct http_transfer *t = ctx;
    size_t len = size * count;

    if (t->err.code != ERR_OK)
        return 0;
    t->active_at = now_ms(t);
    if (t->on_body && !t->on_body(t->ctx, (const uint8_t *)data, len)) {
        if (t->err.code != ERR_OK)
            return 0;
        t->in_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    t->received += len;
    t->taken += len;
    return len;
}

bool http_transfer_has_unread(const struct http_transfer *t)
{
    struct curl_tlssessioninfo *tls = NULL;

    return t->trust && t->fd >= 0 && !t->in_paused && t->err.code == ERR_OK &&
           t->state > TRANSFER_CONNECTING &&
           !curl_easy_getinfo(t->easy, CURLINFO_TLS_SSL_PTR, &tls) && tls &&
           tls->internals && http_trust_holds_more(tls->internals);
}

/* ---- Pausing and ending ---- */

void http_transfer_resume(struct http_transfer *t)
{
    if ((!t->in_paused && !t->out_paused) || t->resume_wanted)
        return;
    t->resume_wanted = true;
    http_client_poke(t);
}

void http_transfer_unpause(struct http_transfer *t)
{
    CURLcode rc;

    t->resume_wanted = false;
    if (!t->in_paused && !t->out_paused)
        return;
    t->in_paused = false;
    t->out_paused = false;
    t->active_at = now_ms(t);
    /* May deliver what was held back, and so pause again. */
    rc = curl_easy_pause(t->easy, CURLPAUSE_CONT);
    if (rc != CURLE_OK)
        fail(t, rc == CURLE_OUT_OF_MEMORY ? ERR_NOMEM : ERR_IO, (int)rc,
             curl_easy_strerror(rc));
    arm(t);
}

void http_transfer_cancel(struct http_transfer *t)
{
    if (t->state == TRANSFER_ENDED)
        return;
    fail(t, ERR_CANCELLED, 0, "cancelled");
    http_client_poke(t);
}

static enum err_code code_of(const struct http_transfer *t, CURLcode result)
{
    switch (result) {
    case CURLE_OUT_OF_MEMORY:
        return ERR_NOMEM;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_URL_MALFORMAT:
        return ERR_ARGUMENT;
    default:
        break;
    }
    if (t->attempts == 0)
        return ERR_UNREACHABLE;
    switch (result) {
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9 */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return ERR_PROTOCOL;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        return ERR_UNREACHABLE; /* a dead connection could not be replaced */
    default:
        return ERR_IO;
    }
}

static void fail_curl(struct http_transfer *t, CURLcode result)
{
    const char *refusal = NULL;
    long verify = 0;

    if (t->trust &&
        (result == CURLE_PEER_FAILED_VERIFICATION ||
         result == CURLE_SSL_CONNECT_ERROR) &&
        !curl_easy_getinfo(t->easy, CURLINFO_SSL_VERIFYRESULT, &verify))
        refusal = http_trust_refusal(t->trust, verify);
    if (!refusal)
        refusal = t->curl_text[0] ? t->curl_text : curl_easy_strerror(result);
    fail(t, code_of(t, result), (int)result, refusal);
}

/* Who refuses a request and closes while its body is under way resets the
 * connection; the head that came is the whole answer then. */
static bool refusal_is_whole(const struct http_transfer *t, CURLcode result)
{
    return t->refused && t->head.whole &&
           http_head_ends_by_close(&t->head, t->method) &&
           (result == CURLE_SEND_ERROR || result == CURLE_RECV_ERROR);
}

/* Given up in the middle of a body that the other side does not read: behind
 * what it did not take a normal end would not reach it either, so it would go
 * on waiting. A reset does. */
static void reset_connection(const struct http_transfer *t)
{
    const struct linger now = {.l_onoff = 1};

    if (t->state == TRANSFER_SENDING && t->fd >= 0)
        setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void http_transfer_settle(struct http_transfer *t, CURLcode result)
{
    curl_off_t sent = 0;
    long request = 0;

    curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &request);
    t->sent = (uint64_t)sent;
    t->wire = (uint64_t)sent + (uint64_t)request;
    if (result != CURLE_OK && !refusal_is_whole(t, result))
        fail_curl(t, result);
    else if (t->err.code == ERR_OK && !t->head.whole)
        fail(t, ERR_IO, 0, "the connection ended inside the answer's head");
    if (t->err.code == ERR_CANCELLED || t->err.code == ERR_TIMEOUT)
        reset_connection(t);
    timer_stop(&t->deadline);
    t->state = TRANSFER_ENDED;
}

void http_transfer_call_done(struct http_transfer *t)
{
    struct http_response r = response_of(t);

    t->done(t->ctx, &t->err, &r);
}

void http_transfer_destroy(struct http_transfer *t)
{
    timer_stop(&t->deadline);
    curl_easy_cleanup(t->easy);
    for (struct curl_slist *h = t->headers; h; h = h->next)
        bytes_wipe(h->data, strlen(h->data)); /* sessions, signatures */
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->connect_to);
    http_trust_drop(t->trust);
    http_head_fini(&t->head);
    free(t->body);
    free(t->method);
    free(t->place);
    free(t->label);
    free(t);
}
