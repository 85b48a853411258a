/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_get.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "s3/s3_client_inner.h"

struct s3_get {
    struct s3_client *client;
    struct s3_request *request;
    struct s3_get_opts o;
    struct s3_object_info info;
    bool known;    /* the first answer came: info, first and end stand */
    uint64_t next; /* what the next byte to be taken is */
    uint64_t end;
    char range[64];
};

/* What to ask for in this try. */
static size_t more_headers(void *ctx, struct http_header *out, size_t room)
{
    struct s3_get *g = ctx;
    size_t n = 0;

    if (g->known) {
        snprintf(g->range, sizeof(g->range), "bytes=%" PRIu64 "-%" PRIu64,
                 g->next, g->end - 1);
        out[n++] = (struct http_header){"range", g->range};
        if (g->info.etag[0])
            out[n++] = (struct http_header){"if-match", g->info.etag};
        return n;
    }
    if (g->o.from_end)
        snprintf(g->range, sizeof(g->range), "bytes=-%" PRIu64, g->o.from_end);
    else if (g->o.length)
        snprintf(g->range, sizeof(g->range), "bytes=%" PRIu64 "-%" PRIu64,
                 g->o.offset, g->o.offset + g->o.length - 1);
    else if (g->o.offset)
        snprintf(g->range, sizeof(g->range), "bytes=%" PRIu64 "-", g->o.offset);
    else
        return 0;
    out[n++] = (struct http_header){"range", g->range};
    return n;
}

/* "bytes 0-9/100"; the size of the whole may not be "*". */
static bool parse_content_range(const char *text, uint64_t *first,
                                uint64_t *last, uint64_t *whole)
{
    const char *dash, *slash;

    if (!text || strncmp(text, "bytes ", 6) != 0)
        return false;
    text += 6;
    dash = strchr(text, '-');
    slash = dash ? strchr(dash, '/') : NULL;
    return slash &&
           parse_u64_n(text, (size_t)(dash - text), 0, INT64_MAX, first) &&
           parse_u64_n(dash + 1, (size_t)(slash - dash - 1), 0, INT64_MAX,
                       last) &&
           parse_u64(slash + 1, 1, INT64_MAX, whole) && *first <= *last &&
           *last < *whole;
}

static bool refuse(struct err *err, int status, const char *why)
{
    err_set(err, ERR_PROTOCOL, status, "%s", why);
    return false;
}

/* The first answer says what there is. */
static bool begin(struct s3_get *g, const struct http_response *r,
                  uint64_t first, uint64_t last, uint64_t whole,
                  struct err *err)
{
    uint64_t expect_end = whole;

    if (g->o.from_end) {
        g->next = g->o.from_end < whole ? whole - g->o.from_end : 0;
    } else {
        g->next = g->o.offset;
        if (g->o.length && g->o.length < whole - g->o.offset)
            expect_end = g->o.offset + g->o.length;
    }
    g->end = last + 1;
    if (first != g->next || g->end != expect_end)
        return refuse(err, r->status, "the server sent another range");
    s3_object_read_info(r, &g->info);
    g->info.bytes = whole;
    g->known = true;
    if (g->o.on_info)
        g->o.on_info(g->o.ctx, &g->info);
    return true;
}

/* All of it was asked for, or the range was ignored where it is all. */
static bool begin_whole(struct s3_get *g, const struct http_response *r,
                        struct err *err)
{
    uint64_t size = (uint64_t)r->length;

    if (r->length < 0)
        return refuse(err, r->status, "the answer does not say its length");
    if (g->o.offset || (g->o.length && g->o.length < size) ||
        (g->o.from_end && g->o.from_end < size))
        return refuse(err, r->status, "the server ignored the range");
    if (size)
        return begin(g, r, 0, size - 1, size, err);
    s3_object_read_info(r, &g->info);
    g->known = true;
    if (g->o.on_info)
        g->o.on_info(g->o.ctx, &g->info);
    return true;
}

static bool on_head(void *ctx, const struct http_response *r, struct err *err)
{
    const char *text = http_response_header(r, "content-range");
    struct s3_get *g = ctx;
    uint64_t first, last, whole;

    if (r->status != 206)
        return g->known && g->next
                   ? refuse(err, r->status, "the server ignored the range")
                   : (g->known || begin_whole(g, r, err));
    if (!parse_content_range(text, &first, &last, &whole))
        return refuse(err, r->status, "Content-Range is unusable");
    if (!g->known)
        return begin(g, r, first, last, whole, err);
    if (first != g->next || last + 1 != g->end || whole != g->info.bytes)
        return refuse(err, r->status, "the server sent another range");
    return true;
}

static bool on_body(void *ctx, const uint8_t *data, size_t len)
{
    struct s3_get *g = ctx;

    if (len > g->end - g->next)
        len = (size_t)(g->end - g->next); /* more than it promised */
    if (len && !g->o.on_data(g->o.ctx, data, len))
        return false;
    g->next += len;
    return true;
}

static bool is_whole(void *ctx)
{
    const struct s3_get *g = ctx;

    return g->next == g->end;
}

static void on_done(void *ctx, const struct err *err, const struct s3_answer *a)
{
    static const struct s3_object_info nothing;
    struct s3_get *g = ctx;
    struct err e = *err;

    /* The last bytes of nothing: an empty object has no range (416). */
    if (a->status == 416 && g->o.from_end && a->head) {
        const char *range = http_response_header(a->head, "content-range");

        if (!range || strcmp(range, "bytes */0") == 0) {
            err_clear(&e);
            s3_object_read_info(a->head, &g->info);
            g->info.bytes = 0;
            g->info.etag[0] = 0;
            if (g->o.on_info)
                g->o.on_info(g->o.ctx, &g->info);
        }
    }
    if (e.code == ERR_CONFLICT)
        err_context(&e, "it was replaced while it was read");
    g->o.done(g->o.ctx, &e, e.code == ERR_OK ? &g->info : &nothing);
    free(g);
}

enum err_code s3_get_start(struct s3_client *c, const struct s3_get_opts *opts,
                           struct s3_get **out, struct err *err)
{
    struct s3_request_opts r = {.method = "GET",
                                .what = "GET",
                                .key = opts->key,
                                .more_headers = more_headers,
                                .on_head = on_head,
                                .on_body = on_body,
                                .is_whole = is_whole,
                                .done = on_done};
    struct s3_get *g;
    enum err_code rc;

    if (opts->length && opts->offset > UINT64_MAX - opts->length)
        return err_set(err, ERR_ARGUMENT, 0, "%s: GET %s: the range is absurd",
                       s3_client_name(c), opts->key);
    g = calloc(1, sizeof(*g));
    if (!g)
        return err_set(err, ERR_NOMEM, 0, "%s", s3_client_name(c));
    g->client = c;
    g->o = *opts;
    g->o.key = NULL; /* the request keeps it */
    r.ctx = g;
    rc = s3_request_start(c, &r, &g->request, err);
    if (rc != ERR_OK) {
        free(g);
        return rc;
    }
    *out = g;
    return ERR_OK;
}

void s3_get_resume(struct s3_get *g)
{
    s3_request_resume(g->request);
}

void s3_get_cancel(struct s3_get *g)
{
    s3_request_cancel(g->request);
}
