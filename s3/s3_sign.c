/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_sign.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "crypto/seal_digest.h"

#define PARAMS_MAX 16
#define CANONICAL_MAX (32 * KIB)

struct s3_signer {
    const struct seal_suite *suite;
    char *access_key;
    char *secret; /* "AWS4" before it, as the first key is made */
    char *token;  /* or NULL */
    char region[64];
    char service[64];
    char day[9]; /* of `key`; "" while there is none */
    uint8_t key[32];
};

/* ---- encoding ---- */

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

static void encode(struct buf *out, const char *text, bool slash_stays)
{
    for (; *text; text++) {
        if (is_unreserved(*text) || (slash_stays && *text == '/'))
            buf_add(out, text, 1);
        else
            buf_addf(out, "%%%02X", (unsigned)(uint8_t)*text);
    }
}

void s3_sign_encode_path(struct buf *out, const char *key)
{
    encode(out, key, true);
}

void s3_sign_encode(struct buf *out, const char *text)
{
    encode(out, text, false);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/*
 * SigV4 sorts by name, then by value, both encoded. '=' sorts between the
 * characters that a name may go on with, so the two are compared with a byte
 * between them that is smaller than all.
 */
void s3_sign_query(struct buf *out, const struct s3_sign_param *params,
                   size_t count)
{
    const char *pairs[PARAMS_MAX];
    struct buf text;

    if (count > PARAMS_MAX) {
        out->failed = true;
        return;
    }
    buf_init(&text, out->max);
    for (size_t i = 0; i < count; i++) {
        s3_sign_encode(&text, params[i].name);
        buf_add(&text, "\1", 1);
        s3_sign_encode(&text, params[i].value ? params[i].value : "");
        buf_add(&text, "", 1);
    }
    if (buf_failed(&text)) {
        out->failed = true;
        buf_fini(&text);
        return;
    }
    for (size_t i = 0, at = 0; i < count; i++) {
        pairs[i] = (const char *)text.data + at;
        at += strlen(pairs[i]) + 1;
    }
    if (count)
        qsort(pairs, count, sizeof(*pairs), by_text);
    for (size_t i = 0; i < count; i++) {
        const char *middle = strchr(pairs[i], '\1');

        if (i)
            buf_add_text(out, "&");
        buf_add(out, pairs[i], (size_t)(middle - pairs[i]));
        buf_add_text(out, "=");
        buf_add_text(out, middle + 1);
    }
    buf_fini(&text);
}

/* ---- the signer ---- */

static void free_secret(char *text)
{
    if (text)
        bytes_wipe(text, strlen(text));
    free(text);
}

void s3_signer_free(struct s3_signer *s)
{
    if (!s)
        return;
    free(s->access_key);
    free_secret(s->secret);
    free_secret(s->token);
    bytes_wipe(s, sizeof(*s));
    free(s);
}

enum err_code s3_signer_new(const struct seal_suite *suite,
                            const char *access_key, const char *secret,
                            const char *token, const char *region,
                            const char *service, struct s3_signer **out,
                            struct err *err)
{
    size_t size = strlen(secret) + sizeof("AWS4");
    struct s3_signer *s;

    if (!*access_key || !*secret || strlen(region) >= sizeof(s->region) ||
        strlen(service) >= sizeof(s->service))
        return err_set(err, ERR_ARGUMENT, 0,
                       "S3 credentials or region are unusable");
    s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(err, ERR_NOMEM, 0, "S3 credentials");
    s->suite = suite;
    s->access_key = strdup(access_key);
    s->secret = calloc(1, size);
    s->token = token ? strdup(token) : NULL;
    if (!s->access_key || !s->secret || (token && !s->token)) {
        s3_signer_free(s);
        return err_set(err, ERR_NOMEM, 0, "S3 credentials");
    }
    snprintf(s->secret, size, "AWS4%s", secret);
    snprintf(s->region, sizeof(s->region), "%s", region);
    snprintf(s->service, sizeof(s->service), "%s", service);
    *out = s;
    return ERR_OK;
}

const char *s3_signer_region(const struct s3_signer *s)
{
    return s->region;
}

const char *s3_signer_token(const struct s3_signer *s)
{
    return s->token;
}

/* The chain of section "Calculate signature"; good for a whole day. */
static bool derive_key(struct s3_signer *s, const char *day)
{
    const char *links[] = {day, s->region, s->service, "aws4_request"};
    uint8_t key[32];
    bool ok = true;

    if (strcmp(s->day, day) == 0)
        return true;
    s->day[0] = 0;
    for (size_t i = 0; ok && i < BYTES_COUNT(links); i++) {
        uint8_t next[32];

        ok = seal_digest_hmac(s->suite, i ? (const void *)key : s->secret,
                              i ? sizeof(key) : strlen(s->secret), links[i],
                              strlen(links[i]), next);
        memcpy(key, next, sizeof(key));
        bytes_wipe(next, sizeof(next));
    }
    if (ok) {
        memcpy(s->key, key, sizeof(key));
        memcpy(s->day, day, sizeof(s->day));
    }
    bytes_wipe(key, sizeof(key));
    return ok;
}

/* ---- the canonical request ---- */

struct sorted {
    const struct http_header *at[S3_SIGN_HEADERS_MAX];
    size_t count;
};

static int by_name(const void *a, const void *b)
{
    const struct http_header *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

static enum err_code sort_headers(const struct s3_sign_request *r,
                                  struct sorted *s, struct err *err)
{
    if (!r->header_count || r->header_count > S3_SIGN_HEADERS_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "%zu headers to sign",
                       r->header_count);
    for (size_t i = 0; i < r->header_count; i++)
        s->at[i] = &r->headers[i];
    s->count = r->header_count;
    qsort(s->at, s->count, sizeof(s->at[0]), by_name);
    return ERR_OK;
}

static void add_names(struct buf *out, const struct sorted *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (i)
            buf_add_text(out, ";");
        buf_add_text(out, s->at[i]->name);
    }
}

/* Outer spaces are dropped and inner runs become one. */
static void add_value(struct buf *out, const char *v)
{
    bool gap = false, begun = false;

    for (; *v; v++) {
        if (*v == ' ' || *v == '\t') {
            gap = begun;
            continue;
        }
        if (gap)
            buf_add_text(out, " ");
        gap = false;
        begun = true;
        buf_add(out, v, 1);
    }
}

static void add_canonical(struct buf *out, const struct s3_sign_request *r,
                          const struct sorted *s)
{
    buf_addf(out, "%s\n%s\n%s\n", r->method, r->path, r->query);
    for (size_t i = 0; i < s->count; i++) {
        buf_addf(out, "%s:", s->at[i]->name);
        add_value(out, s->at[i]->value);
        buf_add_text(out, "\n");
    }
    buf_add_text(out, "\n");
    add_names(out, s);
    buf_addf(out, "\n%s", r->payload);
}

enum err_code s3_sign_canonical(const struct s3_sign_request *r,
                                struct buf *out, struct err *err)
{
    struct sorted s;
    enum err_code rc = sort_headers(r, &s, err);

    if (rc != ERR_OK)
        return rc;
    add_canonical(out, r, &s);
    if (buf_failed(out))
        return err_set(err, ERR_NOMEM, 0, "signing");
    return ERR_OK;
}

enum err_code s3_sign(struct s3_signer *s, const struct s3_sign_request *r,
                      struct buf *out, struct err *err)
{
    char when[CLOCK_TEXT], day[9], scope[160], hex[65], text[384];
    uint8_t hash[32] = {0};
    struct sorted names;
    struct buf canonical;
    enum err_code rc;
    bool ok;
    int n;

    rc = sort_headers(r, &names, err);
    if (rc != ERR_OK)
        return rc;
    buf_init_secret(&canonical, CANONICAL_MAX); /* holds the token */
    add_canonical(&canonical, r, &names);
    ok = !buf_failed(&canonical) &&
         seal_digest_once(s->suite, SEAL_DIGEST_SHA256, canonical.data,
                          canonical.len, hash);
    buf_fini(&canonical);
    bytes_hex(hash, sizeof(hash), hex);
    clock_compact(r->wall_ms, when);
    memcpy(day, when, 8);
    day[8] = 0;
    snprintf(scope, sizeof(scope), "%s/%s/%s/aws4_request", day, s->region,
             s->service);
    n = snprintf(text, sizeof(text), "AWS4-HMAC-SHA256\n%s\n%s\n%s", when,
                 scope, hex);
    ok = ok && derive_key(s, day) &&
         seal_digest_hmac(s->suite, s->key, sizeof(s->key), text, (size_t)n,
                          hash);
    bytes_hex(hash, sizeof(hash), hex);
    buf_addf(out,
             "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=", s->access_key,
             scope);
    add_names(out, &names);
    buf_addf(out, ", Signature=%s", hex);
    if (!ok || buf_failed(out))
        return err_set(err, ERR_NOMEM, 0, "signing a request");
    return ERR_OK;
}
