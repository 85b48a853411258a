/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "s3_rig.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/parse.h"
#include "base/xml.h"

#define WAIT_MS 30000

struct s3_client_opts s3_rig_opts(void)
{
    return (struct s3_client_opts){.bucket = "bucket",
                                   .region = "us-east-1",
                                   .timeout_ms = 5000,
                                   .pause_ms = 1};
}

/* ---- the server ---- */

static const char *find_header(const char *head, const char *name, char *out,
                               size_t size)
{
    size_t len = strlen(name);

    for (const char *p = strstr(head, "\r\n"); p; p = strstr(p, "\r\n")) {
        const char *end;

        p += 2;
        if (strncasecmp(p, name, len) != 0 || p[len] != ':')
            continue;
        p += len + 1;
        while (*p == ' ')
            p++;
        end = strstr(p, "\r\n");
        if (!end || (size_t)(end - p) >= size)
            return NULL;
        memcpy(out, p, (size_t)(end - p));
        out[end - p] = 0;
        return out;
    }
    return NULL;
}

/* Note the request; the number of its answer, or -1. */
static int note(struct s3_rig *r, const char *head)
{
    int i = -1;

    pthread_mutex_lock(&r->lock);
    if (r->next < r->count) {
        i = (int)r->next++;
        if (i < S3_RIG_REQUESTS)
            snprintf(r->heads[i], sizeof(r->heads[i]), "%s", head);
    }
    pthread_mutex_unlock(&r->lock);
    return i;
}

static bool read_body(struct peer_conn *c, struct s3_rig *r, int i,
                      const char *head)
{
    char text[32];
    uint64_t len = 0, keep;

    if (!find_header(head, "content-length", text, sizeof(text)) ||
        !parse_u64(text, 0, INT64_MAX, &len))
        len = 0;
    if (i >= S3_RIG_REQUESTS)
        return peer_read(c, NULL, (size_t)len);
    keep = len < sizeof(r->bodies[i]) - 1 ? len : sizeof(r->bodies[i]) - 1;
    r->body_bytes[i] = len;
    if (!peer_read(c, r->bodies[i], (size_t)keep))
        return false;
    return len == keep || peer_read(c, NULL, (size_t)(len - keep));
}

static bool say_body(struct peer_conn *c, const char *body)
{
    char length[48];

    snprintf(length, sizeof(length), "Content-Length: %zu\r\n\r\n",
             strlen(body));
    return peer_say(c, length) && peer_say(c, body);
}

static bool answer(struct peer_conn *c, const struct s3_rig_answer *a)
{
    if (a->delay_ms)
        usleep(a->delay_ms * 1000);
    if (a->forever) {
        peer_wait(c);
        return false;
    }
    if (!a->text) {
        peer_reset(c);
        return false;
    }
    if (a->cut) {
        /* so that it arrives before the reset does */
        if (peer_write(c, a->text, a->cut))
            usleep(20000);
        peer_reset(c);
        return false;
    }
    if (a->body)
        return peer_say(c, a->text) && say_body(c, a->body);
    return peer_say(c, a->text) && !strstr(a->text, "\nConnection: close");
}

static void play(struct peer_conn *c)
{
    struct s3_rig *r = c->ctx;
    char head[4096];
    int i;

    while (peer_head(c, head, sizeof(head))) {
        i = note(r, head);
        if (i < 0 || !read_body(c, r, i, head) || !answer(c, &r->answers[i]))
            return;
    }
}

/* ---- the client ---- */

void s3_rig_open(struct s3_rig *r, const struct s3_client_opts *opts,
                 const struct s3_rig_answer *answers, unsigned count)
{
    static const struct s3_credentials keys = {.access_key = "AKID",
                                               .secret = "secret"};
    struct s3_client_opts o = *opts;
    char endpoint[64];
    struct err err;

    memset(r, 0, sizeof(*r));
    pthread_mutex_init(&r->lock, NULL);
    r->answers = answers;
    r->count = count;
    buf_init(&r->bytes, 64 << 20);
    xml_setup();
    assert_int_equal(http_client_setup(&err), ERR_OK);
    assert_int_equal(loop_new("test", NULL, &r->loop, &err), ERR_OK);
    assert_int_equal(http_client_new(r->loop, 16, &r->http, &err), ERR_OK);
    assert_int_equal(seal_suite_new(&r->suite, &err), ERR_OK);
    r->peer = peer_start(play, r, NULL);
    snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u",
             peer_port(r->peer));
    o.endpoint = endpoint;
    o.suite = r->suite;
    if (!o.credentials)
        o.credentials = &keys;
    assert_int_equal(s3_client_new(r->loop, r->http, &o, &r->client, &err),
                     ERR_OK);
}

void s3_rig_open_usual(struct s3_rig *r, const struct s3_rig_answer *answers,
                       unsigned count)
{
    struct s3_client_opts o = s3_rig_opts();

    s3_rig_open(r, &o, answers, count);
}

void s3_rig_close(struct s3_rig *r)
{
    unsigned left = r->count - r->next;

    s3_client_free(r->client);
    http_client_free(r->http);
    peer_stop(r->peer);
    loop_free(r->loop);
    seal_suite_free(r->suite);
    buf_fini(&r->bytes);
    pthread_mutex_destroy(&r->lock);
    assert_int_equal(left, 0);
}

struct deadline {
    struct timer timer;
    struct loop *loop;
    bool passed;
};

static void on_deadline(struct timer *t)
{
    struct deadline *d = (struct deadline *)t;

    d->passed = true;
    loop_stop(d->loop);
}

void s3_rig_wait(struct s3_rig *r, unsigned count)
{
    struct deadline d = {.loop = r->loop};

    timer_start(r->loop, &d.timer, WAIT_MS, on_deadline);
    while (r->done < count && !d.passed)
        loop_run(r->loop);
    timer_stop(&d.timer);
    assert_false(d.passed);
}

void s3_rig_run_ms(struct s3_rig *r, unsigned ms)
{
    struct deadline d = {.loop = r->loop};

    timer_start(r->loop, &d.timer, ms, on_deadline);
    while (!d.passed)
        loop_run(r->loop);
}

unsigned s3_rig_seen(struct s3_rig *r)
{
    unsigned n;

    pthread_mutex_lock(&r->lock);
    n = r->next;
    pthread_mutex_unlock(&r->lock);
    return n;
}

const char *s3_rig_header(struct s3_rig *r, unsigned i, const char *name)
{
    static char text[1024];

    assert_true(i < s3_rig_seen(r) && i < S3_RIG_REQUESTS);
    return find_header(r->heads[i], name, text, sizeof(text));
}

bool s3_rig_asked(struct s3_rig *r, unsigned i, const char *begin)
{
    assert_true(i < s3_rig_seen(r) && i < S3_RIG_REQUESTS);
    if (strncmp(r->heads[i], begin, strlen(begin)) == 0)
        return true;
    print_error("request %u was %.200s\n", i, r->heads[i]);
    return false;
}

void s3_rig_on_done(void *ctx, const struct err *err,
                    const struct s3_object_info *info)
{
    struct s3_rig *r = ctx;

    timer_stop(&r->timer);
    assert_non_null(info);
    r->err = *err;
    r->info = *info;
    r->done++;
    loop_stop(r->loop);
}

void s3_rig_on_created(void *ctx, const struct err *err, struct s3_upload *up)
{
    struct s3_rig *r = ctx;

    r->err = *err;
    r->upload = up;
    r->done++;
    loop_stop(r->loop);
}

static void on_resume(struct timer *t)
{
    struct s3_rig *r =
        (struct s3_rig *)((char *)t - offsetof(struct s3_rig, timer));

    s3_get_resume(r->get);
}

bool s3_rig_on_data(void *ctx, const uint8_t *data, size_t len)
{
    struct s3_rig *r = ctx;

    r->calls++;
    if (r->refuse_each && !r->refused && r->calls % r->refuse_each == 0) {
        r->refused = true;
        timer_start(r->loop, &r->timer, 1, on_resume);
        return false;
    }
    r->refused = false;
    assert_true(buf_add(&r->bytes, data, len));
    return true;
}

bool s3_rig_on_object(void *ctx, const struct s3_xml_object *o)
{
    struct s3_rig *r = ctx;

    buf_addf(&r->bytes, "%s\n", o->key);
    return true;
}

/* Every outcome: once, later, and with no secret in its sentence. */
static enum err_code outcome(struct s3_rig *r, enum err_code rc)
{
    if (rc != ERR_OK)
        return rc;
    assert_int_equal(r->done, 0);
    s3_rig_wait(r, 1);
    assert_int_equal(r->done, 1);
    assert_null(strstr(r->err.text, "secret"));
    return r->err.code;
}

static void again(struct s3_rig *r)
{
    r->done = 0;
    r->calls = 0;
    err_clear(&r->err);
    buf_clear(&r->bytes);
}

enum err_code s3_rig_head(struct s3_rig *r, const char *key)
{
    struct s3_object_op *op;

    again(r);
    return outcome(r, s3_object_head(r->client,
                                     &(struct s3_object_name){key, NULL},
                                     s3_rig_on_done, r, &op, &r->err));
}

enum err_code s3_rig_put(struct s3_rig *r, const char *key, const char *text,
                         const struct s3_object_write *write)
{
    struct slice body = {(const uint8_t *)text, strlen(text)};
    struct s3_object_put_opts o = {.key = key,
                                   .body = &body,
                                   .slices = 1,
                                   .done = s3_rig_on_done,
                                   .ctx = r};
    struct s3_object_op *op;

    again(r);
    if (write)
        o.write = *write;
    return outcome(r, s3_object_put(r->client, &o, &op, &r->err));
}

enum err_code s3_rig_get(struct s3_rig *r, const char *key, uint64_t offset,
                         uint64_t length, uint64_t from_end)
{
    struct s3_get_opts o = {.key = key,
                            .offset = offset,
                            .length = length,
                            .from_end = from_end,
                            .on_data = s3_rig_on_data,
                            .done = s3_rig_on_done,
                            .ctx = r};

    again(r);
    return outcome(r, s3_get_start(r->client, &o, &r->get, &r->err));
}

enum err_code s3_rig_list(struct s3_rig *r, const char *prefix)
{
    struct s3_list_opts o = {.prefix = prefix,
                             .on_object = s3_rig_on_object,
                             .done = s3_rig_on_done,
                             .ctx = r};
    struct s3_list *l;

    again(r);
    return outcome(r, s3_list_start(r->client, &o, &l, &r->err));
}

enum err_code s3_rig_create(struct s3_rig *r, const char *key)
{
    struct s3_upload_opts o = {
        .key = key, .created = s3_rig_on_created, .ctx = r};
    struct s3_upload_op *op;

    again(r);
    return outcome(r, s3_upload_create(r->client, &o, &op, &r->err));
}

enum err_code s3_rig_part(struct s3_rig *r, unsigned number, const char *text)
{
    struct slice body = {(const uint8_t *)text, strlen(text)};
    struct s3_upload_part_opts o = {.number = number,
                                    .body = &body,
                                    .slices = 1,
                                    .done = s3_rig_on_done,
                                    .ctx = r};
    struct s3_upload_op *op;

    again(r);
    return outcome(r, s3_upload_part(r->upload, &o, &op, &r->err));
}

enum err_code s3_rig_complete(struct s3_rig *r)
{
    struct s3_upload_op *op;

    again(r);
    return outcome(
        r, s3_upload_complete(r->upload, s3_rig_on_done, r, &op, &r->err));
}

enum err_code s3_rig_abort(struct s3_rig *r)
{
    struct s3_upload_op *op;

    again(r);
    return outcome(r,
                   s3_upload_abort(r->upload, s3_rig_on_done, r, &op, &r->err));
}
