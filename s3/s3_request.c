/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "s3/s3_error.h"
#include "s3/s3_request_inner.h"

#define WAITING_MAX 4096
#define HASH_INLINE ((size_t)64 << 10) /* under 0.1 ms: not worth a hop */
#define FEW_TRIES 3                  /* where waiting is not likely to help */
#define CLOCK_FAR_MS (4 * 60 * 1000) /* S3 refuses from 15 minutes on */
/* One of several servers behind an address may have a wrong clock: to it, back
 * again, and once more. */
#define CLOCKS_MAX 3

static void pump(struct s3_client *c);
static void begin_try(struct s3_request *r);

static struct s3_request *of_timer(struct timer *t)
{
    return (struct s3_request *)((char *)t -
                                 offsetof(struct s3_request, timer));
}

static uint64_t mono_ms(const struct s3_request *r)
{
    return clock_mono_ms(loop_clock(r->client->loop));
}

/* ---- the client's queue ---- */

static void enqueue(struct s3_request *r)
{
    struct s3_client *c = r->client;

    r->state = REQUEST_WAITING;
    r->next = NULL;
    r->prev = c->last;
    if (c->last)
        c->last->next = r;
    else
        c->first = r;
    c->last = r;
    c->waiting++;
}

static void dequeue(struct s3_request *r)
{
    struct s3_client *c = r->client;

    if (r->prev)
        r->prev->next = r->next;
    else
        c->first = r->next;
    if (r->next)
        r->next->prev = r->prev;
    else
        c->last = r->prev;
    c->waiting--;
}

static void pump(struct s3_client *c)
{
    while (c->first && c->in_flight < c->in_flight_max) {
        struct s3_request *r = c->first;

        dequeue(r);
        c->in_flight++;
        begin_try(r);
    }
}

/* ---- the end ---- */

static void free_request(struct s3_request *r)
{
    seal_digest_free(r->digest);
    buf_fini(&r->texts);
    buf_fini(&r->key_path);
    buf_fini(&r->query);
    buf_fini(&r->kept);
    free(r->body);
    free(r->headers);
    free(r);
}

/* The only way out: a->... are valid during the call. */
static void conclude(struct s3_request *r, const struct err *err,
                     struct s3_answer *a)
{
    static const struct s3_xml_error nothing;
    void (*done)(void *, const struct err *, const struct s3_answer *) =
        r->o.done;
    struct err e = *err;

    r->state = REQUEST_ENDING;
    a->tries = r->tries;
    if (!a->error)
        a->error = &nothing;
    if (e.code != ERR_OK) {
        if (r->tries > 1)
            err_context(&e, "try %u", r->tries);
        err_context(&e, "%s: %s%s%s", r->client->name, r->o.what,
                    r->o.key ? " " : "", r->o.key ? r->o.key : "");
    }
    r->client->live--; /* first: done() may free the client */
    done(r->o.ctx, &e, a);
    free_request(r);
}

static void on_ending(struct timer *t)
{
    struct s3_request *r = of_timer(t);
    struct s3_answer a = {0};

    conclude(r, &r->own, &a);
}

/* End with r->own in the next turn. */
static void end_later(struct s3_request *r)
{
    r->state = REQUEST_ENDING;
    timer_start(r->client->loop, &r->timer, 0, on_ending);
}

static void leave(struct s3_request *r)
{
    assert(r->client->in_flight);
    r->client->in_flight--;
    pump(r->client);
}

/* ---- a try ---- */

static bool on_head(void *ctx, const struct http_response *resp)
{
    struct s3_request *r = ctx;

    r->good = resp->status >= 200 && resp->status < 300;
    if (!r->good || !r->o.on_head)
        return true;
    return r->o.on_head(r->o.ctx, resp, &r->own);
}

static bool on_body(void *ctx, const uint8_t *data, size_t len)
{
    struct s3_request *r = ctx;

    if (r->own.code != ERR_OK || r->cancelled)
        return true; /* broken off; the rest runs out */
    if (r->good && r->o.on_body) {
        if (!r->o.on_body(r->o.ctx, data, len))
            return false;
        r->taken += len;
        return true;
    }
    if (len <= r->kept.max - r->kept.len) {
        if (!buf_add(&r->kept, data, len))
            err_set(&r->own, ERR_NOMEM, 0, "answer");
    } else if (r->good) {
        err_set(&r->own, ERR_PROTOCOL, 0, "the answer is over %zu bytes",
                r->o.keep_max);
    } /* of a refusal the beginning will do */
    if (r->own.code != ERR_OK)
        http_transfer_cancel(r->transfer);
    return true;
}

static void on_sent(void *ctx, const struct err *err,
                    const struct http_response *resp);

static void send_try(struct s3_request *r)
{
    struct http_transfer_opts hooks = {
        .on_head = on_head, .on_body = on_body, .done = on_sent, .ctx = r};
    struct s3_client *c = r->client;

    r->state = REQUEST_SENDING;
    r->tries++;
    r->good = false;
    r->taken = 0;
    buf_fini(&r->kept);
    buf_init(&r->kept, r->o.keep_max > S3_XML_SMALL_MAX ? r->o.keep_max
                                                        : S3_XML_SMALL_MAX);
    if (s3_request_send(r, &hooks, &r->own) != ERR_OK) {
        c->in_flight--;
        end_later(r);
        return;
    }
    if (c->counters.requests)
        ++*c->counters.requests;
    if (r->o.listing && c->counters.lists)
        ++*c->counters.lists;
}

static void run_hash(struct work *w)
{
    struct s3_request *r =
        (struct s3_request *)((char *)w - offsetof(struct s3_request, work));

    s3_request_hash_some(r);
}

static void on_hashed(struct work *w)
{
    struct s3_request *r =
        (struct s3_request *)((char *)w - offsetof(struct s3_request, work));
    struct s3_answer a = {0};

    if (r->cancelled)
        err_set(&r->own, ERR_CANCELLED, 0, "cancelled");
    else if (r->hash_failed)
        err_set(&r->own, ERR_NOMEM, 0, "hashing");
    if (r->own.code != ERR_OK) {
        leave(r);
        conclude(r, &r->own, &a);
    } else if (!r->hashed) {
        work_start(r->client->loop, w);
    } else {
        send_try(r);
    }
}

static void begin_try(struct s3_request *r)
{
    if (!s3_request_wants_hash(r)) {
        send_try(r);
        return;
    }
    r->state = REQUEST_HASHING;
    if (!r->digest)
        r->digest = seal_digest_new(r->client->suite, SEAL_DIGEST_SHA256);
    if (!r->digest) {
        err_set(&r->own, ERR_NOMEM, 0, "hashing");
        r->client->in_flight--;
        end_later(r);
        return;
    }
    seal_digest_begin(r->digest);
    if (r->body_bytes > HASH_INLINE) {
        r->work.run = run_hash;
        r->work.done = on_hashed;
        work_start(r->client->loop, &r->work);
        return;
    }
    while (s3_request_hash_some(r))
        ;
    if (r->hash_failed) {
        err_set(&r->own, ERR_NOMEM, 0, "hashing");
        r->client->in_flight--;
        end_later(r);
        return;
    }
    send_try(r);
}

/* ---- judging a try ---- */

/* The answer's status and document as an error. */
static struct s3_error_verdict judge_answer(struct s3_request *r,
                                            const struct http_response *resp,
                                            struct s3_xml_error *e,
                                            struct err *err)
{
    const char *id = http_response_header(resp, "x-amz-request-id");
    const char *region = http_response_header(resp, "x-amz-bucket-region");
    struct s3_error_verdict v;

    if (!s3_xml_error(r->kept.data, r->kept.len, e))
        memset(e, 0, sizeof(*e));
    if (!e->request_id[0] && id)
        snprintf(e->request_id, sizeof(e->request_id), "%s", id);
    if (!e->region[0] && region)
        snprintf(e->region, sizeof(e->region), "%s", region);
    v = s3_error_judge(resp->status, e);
    if (resp->status == 301 ||
        (resp->status == 400 && region && !e->code[0])) { /* HEAD: no body */
        v.code = ERR_ARGUMENT;
        v.retry = S3_RETRY_REGION;
    }
    s3_error_set(err, v.code, resp->status, e);
    return v;
}

/* Sign by the server's clock from now on, if that is what was wrong. */
static bool adopt_clock(struct s3_request *r, uint64_t date_ms)
{
    struct s3_client *c = r->client;
    int64_t off = (int64_t)date_ms - (int64_t)r->signed_ms;

    if (!date_ms || r->clocks >= CLOCKS_MAX ||
        (off < CLOCK_FAR_MS && off > -CLOCK_FAR_MS))
        return false;
    r->clocks++;
    c->skew_ms = (int64_t)date_ms - (int64_t)clock_wall_ms(loop_clock(c->loop));
    if (!c->skew_told)
        log_event(LOG_WARN, "s3_clock_skew", log_text("store", c->name),
                  log_i64("server_ahead_s", c->skew_ms / 1000), LOG_END);
    c->skew_told = true;
    return true;
}

static bool adopt_region(struct s3_request *r, const struct s3_xml_error *e,
                         struct err *err)
{
    struct s3_client *c = r->client;
    const char *now = s3_signer_region(c->signer);
    struct err ignored;

    if (!e->region[0] || strcmp(e->region, now) == 0)
        return false;
    if (!c->region_given && !c->own_endpoint && !r->region_tried &&
        s3_client_set_region(c, e->region, &ignored) == ERR_OK) {
        r->region_tried = true;
        log_event(LOG_INFO, "s3_region", log_text("store", c->name),
                  log_text("region", e->region), LOG_END);
        return true;
    }
    err_context(err, "the bucket is in region \"%s\", not \"%s\"", e->region,
                now);
    return false;
}

static void on_pause_over(struct timer *t)
{
    struct s3_request *r = of_timer(t);

    enqueue(r);
    pump(r->client);
}

/* A first try that took all the time there is because its body went out slowly,
 * on a thin line: it was no try in vain, and there is to be a second one. */
static bool was_slow(const struct s3_request *r, const struct err *err,
                     const struct http_response *resp)
{
    return !r->retry.failed && resp->sent_bytes && err->code != ERR_TIMEOUT &&
           mono_ms(r) - r->retry.began_ms >= r->retry.policy.total_ms;
}

/* Is there a next try? Then it is on its way. */
static bool try_again(struct s3_request *r, const struct err *err,
                      const struct http_response *resp)
{
    struct s3_client *c = r->client;
    bool nobody = err->code == ERR_UNREACHABLE || err->code == ERR_TIMEOUT ||
                  err->code == ERR_IO;
    bool few = err->code == ERR_PROTOCOL || (nobody && !c->answered);
    uint64_t ms;

    /* it got on: what was lost is not counted against it */
    if (r->taken || was_slow(r, err, resp))
        retry_reset(&r->retry, mono_ms(r));
    if (r->o.once || (few && r->retry.failed + 1 >= FEW_TRIES) ||
        !retry_again(&r->retry, mono_ms(r), s3_request_asked_ms(resp), &ms))
        return false;
    log_event(LOG_DEBUG, "s3_retry", log_text("store", c->name),
              log_text("what", r->o.what), log_text("key", r->o.key),
              log_u64("try", r->tries), log_u64("pause_ms", ms), log_err(err),
              LOG_END);
    r->state = REQUEST_PAUSING;
    timer_start(c->loop, &r->timer, ms, on_pause_over);
    return true;
}

static void count_bytes(const struct s3_client *c,
                        const struct http_response *resp)
{
    if (c->counters.sent)
        *c->counters.sent += resp->sent_bytes;
    if (c->counters.received)
        *c->counters.received += resp->body_bytes;
}

/* What an answer of whatever status means; ERR_OK: it is a success. */
static struct s3_error_verdict judge(struct s3_request *r,
                                     const struct http_response *resp,
                                     struct s3_xml_error *e, struct err *err)
{
    struct s3_error_verdict v = {ERR_OK, S3_RETRY_NO};

    if (!r->good ||
        (r->o.verdict_in_body && s3_xml_error(r->kept.data, r->kept.len, e)))
        return judge_answer(r, resp, e, err);
    if (r->o.is_whole && !r->o.is_whole(r->o.ctx)) {
        v = (struct s3_error_verdict){ERR_IO, S3_RETRY_LATER};
        err_set(err, ERR_IO, resp->status, "the answer ended too early");
        return v;
    }
    if (r->o.check &&
        r->o.check(r->o.ctx, resp, r->kept.data, r->kept.len, err) != ERR_OK) {
        v.code = err->code;
        v.retry = v.code == ERR_PROTOCOL ? S3_RETRY_LATER : S3_RETRY_NO;
    }
    return v;
}

static void on_sent(void *ctx, const struct err *err,
                    const struct http_response *resp)
{
    struct s3_request *r = ctx;
    struct s3_xml_error e = {.code = ""};
    struct s3_answer a = {.status = resp->status, .error = &e};
    struct s3_error_verdict v;
    struct err found = *err;

    r->transfer = NULL;
    count_bytes(r->client, resp);
    leave(r);
    if (r->cancelled)
        err_set(&r->own, ERR_CANCELLED, 0, "cancelled");
    if (resp->status) {
        r->client->answered = true;
        a.head = resp;
        a.date_ms = s3_request_date_ms(resp);
    }
    if (r->own.code != ERR_OK) {
        conclude(r, &r->own, &a);
        return;
    }
    if (err->code != ERR_OK && r->good && r->o.is_whole &&
        r->o.is_whole(r->o.ctx))
        err_clear(&found); /* it broke behind the last byte */
    if (found.code == ERR_OK)
        v = judge(r, resp, &e, &found);
    else
        v = s3_error_judge_transfer(err, r->client->answered);
    s3_request_note_health(r, &found, v.retry == S3_RETRY_LATER);
    if (err->code == ERR_OK && v.code == ERR_DENIED &&
        adopt_clock(r, a.date_ms)) {
        enqueue(r);
        pump(r->client);
        return;
    }
    if (v.retry == S3_RETRY_REGION && adopt_region(r, &e, &found)) {
        enqueue(r);
        pump(r->client);
        return;
    }
    if (v.retry == S3_RETRY_LATER && try_again(r, &found, resp))
        return;
    /* Connections that break each time: for who asks, it is not there. */
    if (err->code == ERR_IO && found.code == ERR_IO && r->tries > 1)
        found.code = ERR_UNREACHABLE;
    a.body = r->kept.data;
    a.len = r->kept.len;
    conclude(r, &found, &a);
}

/* ---- the beginning ---- */

/* Keep a text; its place is known only when all are there. */
static size_t keep(struct s3_request *r, const char *text)
{
    size_t at = r->texts.len;

    buf_add(&r->texts, text, strlen(text) + 1);
    return at;
}

static bool copy_headers(struct s3_request *r, const struct s3_request_opts *o)
{
    size_t at[2 * S3_REQUEST_HEADERS_MAX], key;

    r->headers = calloc(o->header_count + 1, sizeof(*r->headers));
    if (!r->headers)
        return false;
    for (size_t i = 0; i < o->header_count; i++) {
        at[2 * i] = keep(r, o->headers[i].name);
        at[2 * i + 1] = keep(r, o->headers[i].value);
    }
    key = keep(r, o->key ? o->key : "");
    if (buf_failed(&r->texts))
        return false;
    for (size_t i = 0; i < o->header_count; i++) {
        r->headers[i].name = (const char *)r->texts.data + at[2 * i];
        r->headers[i].value = (const char *)r->texts.data + at[2 * i + 1];
    }
    r->o.key = o->key ? (const char *)r->texts.data + key : NULL;
    return true;
}

static bool copy(struct s3_request *r, const struct s3_request_opts *o)
{
    buf_init(&r->texts, 16 * KIB);
    buf_init(&r->key_path, 8 * KIB);
    buf_init(&r->query, 8 * KIB);
    buf_add_text(&r->key_path, r->client->path);
    buf_add_text(&r->key_path, "/");
    if (o->key)
        s3_sign_encode_path(&r->key_path, o->key);
    s3_sign_query(&r->query, o->query, o->params);
    r->body = calloc(o->slices + 1, sizeof(*r->body));
    if (!r->body || !copy_headers(r, o))
        return false;
    for (size_t i = 0; i < o->slices; i++) {
        r->body[i] = o->body[i];
        r->body_bytes += o->body[i].len;
    }
    if (o->sha256) {
        memcpy(r->sha256, o->sha256, sizeof(r->sha256));
        r->hashed = true;
    }
    return !buf_failed(&r->key_path) && !buf_failed(&r->query);
}

enum err_code s3_request_start(struct s3_client *c,
                               const struct s3_request_opts *opts,
                               struct s3_request **out, struct err *err)
{
    struct retry_policy policy;
    struct s3_request *r;

    if (opts->header_count > S3_REQUEST_HEADERS_MAX ||
        (opts->key && (!*opts->key || strlen(opts->key) >= S3_XML_KEY_MAX)))
        return err_set(err, ERR_ARGUMENT, 0, "%s: %s: unusable key", c->name,
                       opts->what);
    if (c->waiting >= WAITING_MAX)
        return err_set(err, ERR_AGAIN, 0, "%s: too many requests wait",
                       c->name);
    r = calloc(1, sizeof(*r));
    if (!r)
        return err_set(err, ERR_NOMEM, 0, "%s: %s", c->name, opts->what);
    r->client = c;
    c->live++;
    r->o = *opts;
    if (!copy(r, opts)) {
        c->live--;
        free_request(r);
        return err_set(err, ERR_NOMEM, 0, "%s: %s", c->name, opts->what);
    }
    policy = c->retry;
    if (opts->retry_ms && opts->retry_ms < policy.total_ms)
        policy.total_ms = opts->retry_ms;
    retry_init(&r->retry, &policy, mono_ms(r));
    *out = r;
    enqueue(r);
    pump(c);
    return ERR_OK;
}

void s3_request_resume(struct s3_request *r)
{
    if (r->state == REQUEST_SENDING && r->transfer)
        http_transfer_resume(r->transfer);
}

void s3_request_last_try(struct s3_request *r)
{
    if (r->state == REQUEST_SENDING)
        r->o.once = true;
    else
        s3_request_cancel(r);
}

void s3_request_cancel(struct s3_request *r)
{
    if (r->cancelled || r->state == REQUEST_ENDING)
        return;
    r->cancelled = true;
    switch (r->state) {
    case REQUEST_WAITING:
        dequeue(r);
        break;
    case REQUEST_PAUSING:
        timer_stop(&r->timer);
        break;
    case REQUEST_SENDING:
        http_transfer_cancel(r->transfer);
        return;
    default: /* the worker comes back first */
        return;
    }
    err_set(&r->own, ERR_CANCELLED, 0, "cancelled");
    end_later(r);
}
