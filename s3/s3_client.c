/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/parse.h"
#include "s3/s3_client_inner.h"

#define HOST_MAX 255
#define PAUSE_MAX_MS 20000

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9');
}

bool s3_client_bucket_ok(const char *bucket)
{
    size_t len = strlen(bucket);

    if (len < 3 || len > 255 || !is_alnum(bucket[0]))
        return false;
    for (const char *p = bucket; *p; p++)
        if (!is_alnum(*p) && *p != '.' && *p != '-' && *p != '_' && *p != ':')
            return false;
    return true;
}

/* As a part of a host name: small letters, digits, '-'; no '.', which no
 * certificate for *.endpoint covers. */
static bool can_be_host(const char *bucket)
{
    for (const char *p = bucket; *p; p++)
        if ((*p < 'a' || *p > 'z') && (*p < '0' || *p > '9') && *p != '-')
            return false;
    return strlen(bucket) <= 63;
}

struct endpoint {
    bool https;
    char host[HOST_MAX + 8]; /* with ":port" unless it is the scheme's own */
};

static bool host_ok(const char *host, size_t len)
{
    bool six = len > 2 && host[0] == '[' && host[len - 1] == ']';

    if (!len || len > HOST_MAX)
        return false;
    if (six)
        return strspn(host + 1, "0123456789abcdefABCDEF:.") == len - 2;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(host[i]) && host[i] != '.' && host[i] != '-' &&
            host[i] != '_')
            return false;
    return true;
}

/* "https://host[:port][/]": no user, path or query. */
static bool parse_endpoint(const char *text, struct endpoint *e)
{
    const char *host, *end, *colon;
    uint64_t port = 0;
    size_t len;
    char *p;

    e->https = strncmp(text, "https://", 8) == 0;
    if (!e->https && strncmp(text, "http://", 7) != 0)
        return false;
    host = text + (e->https ? 8 : 7);
    end = host + strlen(host);
    if (end > host && end[-1] == '/')
        end--;
    colon = memrchr(host, ':', (size_t)(end - host));
    if (colon && memchr(colon, ']', (size_t)(end - colon)))
        colon = NULL; /* inside an IPv6 address */
    if (colon &&
        !parse_u64_n(colon + 1, (size_t)(end - colon - 1), 1, 65535, &port))
        return false;
    len = (size_t)((colon ? colon : end) - host);
    if (!host_ok(host, len))
        return false;
    memcpy(e->host, host, len);
    e->host[len] = 0;
    for (p = e->host; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    if (port && port != (e->https ? 443 : 80))
        snprintf(p, 8, ":%u", (unsigned)port);
    return true;
}

static bool region_ok(const char *region)
{
    size_t len = strlen(region);

    for (const char *p = region; *p; p++)
        if (!is_alnum(*p) && *p != '-' && *p != '_')
            return false;
    return len && len < 64;
}

static char *text_of(struct buf *b)
{
    char *text = buf_failed(b) ? NULL : strdup(buf_text(b));

    buf_fini(b);
    return text;
}

/* Where requests go: base, path and host from endpoint, bucket and style. */
static enum err_code set_place(struct s3_client *c,
                               const struct s3_client_opts *opts,
                               const struct endpoint *e, struct err *err)
{
    const char *scheme = e->https ? "https" : "http";
    const char *bucket = opts->bucket;
    struct buf path, host, base;

    c->host_style = opts->style == S3_STYLE_HOST ||
                    (opts->style == S3_STYLE_AUTO && c->own_endpoint &&
                     can_be_host(bucket));
    if (c->host_style && !can_be_host(bucket))
        return err_set(err, ERR_ARGUMENT, 0,
                       "bucket \"%s\" cannot be a part of a host name: use "
                       "the path style",
                       bucket);
    buf_init(&path, 4096);
    buf_init(&host, 4096);
    buf_init(&base, 4096);
    if (!c->host_style) {
        buf_add_text(&path, "/");
        s3_sign_encode_path(&path, bucket);
    }
    buf_addf(&host, "%s%s%s", c->host_style ? bucket : "",
             c->host_style ? "." : "", e->host);
    buf_addf(&base, "%s://%s", scheme, (const char *)host.data);
    c->path = path.len ? text_of(&path) : strdup("");
    c->host = text_of(&host);
    c->base = text_of(&base);
    if (!c->path || !c->host || !c->base)
        return err_set(err, ERR_NOMEM, 0, "S3 client");
    snprintf(c->name, sizeof(c->name), "s3://%s at %s", bucket, e->host);
    return ERR_OK;
}

static enum err_code new_signer(struct s3_client *c, const char *region,
                                struct err *err)
{
    const struct s3_credentials *k = &c->credentials;
    struct s3_signer *signer;
    enum err_code rc;

    rc = s3_signer_new(c->suite, k->access_key, k->secret,
                       k->token[0] ? k->token : NULL, region, "s3", &signer,
                       err);
    if (rc != ERR_OK)
        return rc;
    s3_signer_free(c->signer);
    c->signer = signer;
    return ERR_OK;
}

enum err_code s3_client_set_region(struct s3_client *c, const char *region,
                                   struct err *err)
{
    if (!region_ok(region))
        return err_set(err, ERR_PROTOCOL, 0, "\"%s\" is no region", region);
    return new_signer(c, region, err);
}

enum err_code s3_client_set_credentials(struct s3_client *c,
                                        const struct s3_credentials *cred,
                                        struct err *err)
{
    struct s3_credentials before = c->credentials;
    enum err_code rc;

    c->credentials = *cred;
    rc = new_signer(c, s3_signer_region(c->signer), err);
    if (rc != ERR_OK)
        c->credentials = before;
    s3_credentials_wipe(&before);
    return rc;
}

static enum err_code check(const struct s3_client_opts *opts,
                           struct endpoint *e, struct err *err)
{
    const char *region = opts->region ? opts->region : "us-east-1";
    char own[128];

    if (!s3_client_bucket_ok(opts->bucket))
        return err_set(err, ERR_ARGUMENT, 0, "\"%s\" cannot be a bucket's name",
                       opts->bucket);
    if (!region_ok(region))
        return err_set(err, ERR_ARGUMENT, 0, "\"%s\" cannot be a region",
                       region);
    snprintf(own, sizeof(own), "https://s3.%s.amazonaws.com", region);
    if (!parse_endpoint(opts->endpoint ? opts->endpoint : own, e))
        return err_set(err, ERR_ARGUMENT, 0,
                       "\"%s\" is no endpoint: http://host[:port] or "
                       "https://host[:port]",
                       opts->endpoint);
    if (e->https && !opts->trust)
        return err_set(err, ERR_ARGUMENT, 0,
                       "%s: https needs to know whom to trust", e->host);
    if (!e->https && opts->unsigned_payload)
        return err_set(err, ERR_ARGUMENT, 0,
                       "%s: over http what is sent must be signed", e->host);
    return ERR_OK;
}

enum err_code s3_client_new(struct loop *loop, struct http_client *http,
                            const struct s3_client_opts *opts,
                            struct s3_client **out, struct err *err)
{
    struct s3_client *c;
    struct endpoint e;
    enum err_code rc;

    rc = check(opts, &e, err);
    if (rc != ERR_OK)
        return rc;
    c = calloc(1, sizeof(*c));
    if (!c)
        return err_set(err, ERR_NOMEM, 0, "S3 client");
    c->loop = loop;
    c->http = http;
    c->suite = opts->suite;
    c->credentials = *opts->credentials;
    c->own_endpoint = !opts->endpoint;
    c->region_given = opts->region != NULL;
    c->trust = e.https ? http_trust_hold(opts->trust) : NULL;
    c->unsigned_payload = opts->unsigned_payload;
    c->checksums = opts->checksums;
    c->in_flight_max = opts->in_flight_max ? opts->in_flight_max : 64;
    c->timeout_ms = opts->timeout_ms ? opts->timeout_ms : 60000;
    c->retry = (struct retry_policy){
        .base_ms = opts->pause_ms ? opts->pause_ms : 300,
        .cap_ms = PAUSE_MAX_MS,
        .tries_max = opts->tries_max,
        .total_ms = opts->retry_ms ? opts->retry_ms : 120000};
    c->answered = opts->known;
    c->counters = opts->counters;
    rc = set_place(c, opts, &e, err);
    if (rc == ERR_OK && opts->connect_to) {
        c->connect_to = strdup(opts->connect_to);
        if (!c->connect_to)
            rc = err_set(err, ERR_NOMEM, 0, "S3 client");
    }
    if (rc == ERR_OK)
        rc = new_signer(c, opts->region ? opts->region : "us-east-1", err);
    if (rc != ERR_OK) {
        s3_client_free(c);
        return rc;
    }
    *out = c;
    return ERR_OK;
}

void s3_client_free(struct s3_client *c)
{
    if (!c)
        return;
    assert(!c->live);
    s3_signer_free(c->signer);
    s3_credentials_wipe(&c->credentials);
    if (c->trust)
        http_trust_drop(c->trust);
    free(c->connect_to);
    free(c->base);
    free(c->path);
    free(c->host);
    free(c);
}

const char *s3_client_name(const struct s3_client *c)
{
    return c->name;
}

const char *s3_client_region(const struct s3_client *c)
{
    return s3_signer_region(c->signer);
}

int64_t s3_client_skew_ms(const struct s3_client *c)
{
    return c->skew_ms;
}
