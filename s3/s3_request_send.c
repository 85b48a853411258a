/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_request_inner.h"

#include <string.h>

#include "base/clock.h"

#define HASH_BYTES ((size_t)4 << 20) /* about 2 ms of a worker's time */
#define URL_MAX (16 * KIB)
#define OWN_HEADERS 6

/* A refusal is an answer, and so is a body that was found damaged. */
void s3_request_note_health(const struct s3_request *r, const struct err *err,
                            bool in_vain)
{
    const struct s3_client *c = r->client;
    uint64_t *since = c->counters.down_since_ms;

    if (!since)
        return;
    if (!in_vain || err->code == ERR_INTEGRITY)
        *since = 0;
    else if (!*since)
        *since = clock_mono_ms(loop_clock(c->loop));
}

bool s3_request_wants_hash(const struct s3_request *r)
{
    return !r->hashed && (r->o.checksum || !r->client->unsigned_payload);
}

bool s3_request_hash_some(struct s3_request *r)
{
    size_t left = HASH_BYTES;

    while (left && r->hash_slice < r->o.slices) {
        const struct slice *s = &r->body[r->hash_slice];
        size_t n = s->len - r->hash_at;

        if (n > left)
            n = left;
        if (n)
            seal_digest_add(r->digest, s->data + r->hash_at, n);
        left -= n;
        r->hash_at += n;
        if (r->hash_at == s->len) {
            r->hash_slice++;
            r->hash_at = 0;
        }
    }
    if (r->hash_slice < r->o.slices)
        return true;
    r->hash_failed = !seal_digest_end(r->digest, r->sha256);
    r->hashed = !r->hash_failed;
    return false;
}

/* The headers of one try: what is signed is a superset of what we add. */
struct head {
    struct http_header list[S3_SIGN_HEADERS_MAX];
    size_t count;
    char when[CLOCK_TEXT];
    char payload[65];
    char sum[SEAL_DIGEST_BASE64(32)];
    char md5[SEAL_DIGEST_BASE64(16)];
};

static void add(struct head *h, const char *name, const char *value)
{
    h->list[h->count++] = (struct http_header){name, value};
}

static bool add_md5(struct s3_request *r, struct head *h)
{
    uint8_t md5[16];
    struct seal_digest *d;
    bool ok;

    d = seal_digest_new(r->client->suite, SEAL_DIGEST_MD5);
    if (!d)
        return false;
    seal_digest_begin(d);
    for (size_t i = 0; i < r->o.slices; i++)
        if (r->body[i].len)
            seal_digest_add(d, r->body[i].data, r->body[i].len);
    ok = seal_digest_end(d, md5);
    seal_digest_free(d);
    seal_digest_base64(md5, sizeof(md5), h->md5);
    add(h, "content-md5", h->md5);
    return ok;
}

static bool fill_head(struct s3_request *r, struct head *h)
{
    const char *token = s3_signer_token(r->client->signer);

    clock_compact(r->signed_ms, h->when);
    if (r->hashed)
        bytes_hex(r->sha256, sizeof(r->sha256), h->payload);
    else
        memcpy(h->payload, S3_SIGN_UNSIGNED, sizeof(S3_SIGN_UNSIGNED));
    add(h, "host", r->client->host);
    add(h, "x-amz-date", h->when);
    add(h, "x-amz-content-sha256", h->payload);
    if (token)
        add(h, "x-amz-security-token", token);
    for (size_t i = 0; i < r->o.header_count; i++)
        add(h, r->headers[i].name, r->headers[i].value);
    if (r->o.more_headers)
        h->count +=
            r->o.more_headers(r->o.ctx, &h->list[h->count],
                              S3_REQUEST_HEADERS_MAX - r->o.header_count);
    if (r->o.checksum) {
        seal_digest_base64(r->sha256, sizeof(r->sha256), h->sum);
        add(h, "x-amz-checksum-sha256", h->sum);
    }
    return !r->o.content_md5 || add_md5(r, h);
}

static enum err_code sign_head(struct s3_request *r, const struct head *h,
                               struct buf *out, struct err *err)
{
    struct s3_sign_request s = {.method = r->o.method,
                                .path = buf_text(&r->key_path),
                                .query = buf_text(&r->query),
                                .headers = h->list,
                                .header_count = h->count,
                                .payload = h->payload,
                                .wall_ms = r->signed_ms};

    return s3_sign(r->client->signer, &s, out, err);
}

enum err_code s3_request_send(struct s3_request *r,
                              const struct http_transfer_opts *hooks,
                              struct err *err)
{
    struct http_transfer_opts t = *hooks;
    struct s3_client *c = r->client;
    struct buf url, authorization;
    struct head h = {.count = 0};
    enum err_code rc;

    r->signed_ms = clock_wall_ms(loop_clock(c->loop)) + (uint64_t)c->skew_ms;
    buf_init(&url, URL_MAX);
    buf_init(&authorization, URL_MAX);
    if (fill_head(r, &h))
        rc = sign_head(r, &h, &authorization, err);
    else
        rc = err_set(err, ERR_NOMEM, 0, "signing");
    buf_addf(&url, "%s%s%s%s", c->base, buf_text(&r->key_path),
             r->query.len ? "?" : "", buf_text(&r->query));
    if (rc == ERR_OK && (buf_failed(&url) || !buf_text(&authorization)))
        rc = err_set(err, ERR_NOMEM, 0, "signing");
    if (rc == ERR_OK) {
        /* libcurl writes Host itself, from the same host name */
        h.list[0] =
            (struct http_header){"authorization", buf_text(&authorization)};
        t.method = r->o.method;
        t.url = buf_text(&url);
        t.headers = h.list;
        t.header_count = h.count;
        t.trust = c->trust;
        t.connect_to = c->connect_to;
        t.body = r->body;
        t.body_slices = r->o.slices;
        t.connect_ms = t.first_byte_ms = t.stall_ms = c->timeout_ms;
        rc = http_transfer_start(c->http, &t, &r->transfer, err);
    }
    buf_fini(&url);
    buf_fini(&authorization);
    return rc;
}
