/* SPDX-License-Identifier: Apache-2.0 */
/* Naming: these functions belong to transfers; see net/http_inner.h. */
#include "net/http_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "net/http_tls_ctx.h"

#define URL_MAX ((size_t)16 * 1024)
#define LABEL_PATH_MAX 160
/* libcurl's 64 KiB cost almost twice the system time per byte. */
#define DATA_BUFFER (256 * 1024L)
#define SMALL_BUFFER (16 * 1024L)
#define IDLE_MAX_S 120L

/* A URL in its parts, which lie in the URL itself. */
struct url_parts {
    bool tls;
    const char *authority;
    size_t authority_len;
    const char *target; /* path and query; may be empty or begin with '?' */
};

static enum err_code nomem(struct err *err)
{
    return err_set(err, ERR_NOMEM, 0, "HTTP transfer");
}

/* User names, fragments and characters that would have to be encoded are
 * refused, because they would not go out as they stand. */
static bool split_url(const char *url, struct url_parts *out)
{
    if (strlen(url) > URL_MAX)
        return false;
    for (const char *p = url; *p; p++) {
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f || *p == '#')
            return false;
    }
    if (strncmp(url, "https://", 8) == 0) {
        out->tls = true;
        out->authority = url + 8;
    } else if (strncmp(url, "http://", 7) == 0) {
        out->tls = false;
        out->authority = url + 7;
    } else {
        return false;
    }
    out->authority_len = strcspn(out->authority, "/?");
    out->target = out->authority + out->authority_len;
    return out->authority_len > 0 && out->authority_len < 300 &&
           !memchr(out->authority, '@', out->authority_len);
}

/* The text of "host", "host:port", "[v6]" or "[v6]:port" has a port. */
static bool has_port(const char *place, size_t len)
{
    const char *bracket = memchr(place, ']', len);
    size_t from = bracket ? (size_t)(bracket - place) : 0;

    return memchr(place + from, ':', len - from) != NULL;
}

/* An address for CURLOPT_CONNECT_TO: a bare IPv6 address gets its brackets. */
static bool connect_place(const char *connect_to, char *out, size_t size)
{
    const char *colon = strchr(connect_to, ':');
    bool bare_v6 = colon && connect_to[0] != '[' && strchr(colon + 1, ':');
    int n = snprintf(out, size, bare_v6 ? "[%s]" : "%s", connect_to);

    return n > 0 && (size_t)n < size && http_head_value_ok(connect_to);
}

static enum err_code set_place(struct http_transfer *t,
                               const struct http_transfer_opts *opts,
                               const struct url_parts *url, struct err *err)
{
    char place[400], entry[420];
    size_t len;

    if (opts->connect_to) {
        if (!connect_place(opts->connect_to, place, sizeof(place) - 8))
            return err_set(err, ERR_ARGUMENT, 0, "%s: not an address",
                           opts->connect_to);
        snprintf(entry, sizeof(entry), "::%s%s", place,
                 has_port(place, strlen(place)) ? "" : ":");
        t->connect_to = curl_slist_append(NULL, entry);
        if (!t->connect_to)
            return nomem(err);
    } else {
        snprintf(place, sizeof(place) - 8, "%.*s", (int)url->authority_len,
                 url->authority);
    }
    len = strlen(place);
    if (!has_port(place, len))
        snprintf(place + len, sizeof(place) - len, url->tls ? ":443" : ":80");
    t->place = strdup(place);
    return t->place ? ERR_OK : nomem(err);
}

/* "PUT host:port/path": what may stand in an error text. A query may hold a
 * session's id or a signature. */
static enum err_code set_label(struct http_transfer *t,
                               const struct url_parts *url, struct err *err)
{
    size_t path = strcspn(url->target, "?");
    struct buf text;

    buf_init(&text, 1024);
    buf_addf(&text, "%s %.*s%.*s%s", t->method, (int)url->authority_len,
             url->authority,
             (int)(path < LABEL_PATH_MAX ? path : LABEL_PATH_MAX), url->target,
             path < LABEL_PATH_MAX ? "" : "...");
    t->label = buf_failed(&text) ? NULL : (char *)buf_detach(&text, NULL);
    buf_fini(&text);
    return t->label ? ERR_OK : nomem(err);
}

/* The URL that libcurl sees has neither path nor query, so that none of its
 * texts can show them; both go out as they stand by CURLOPT_REQUEST_TARGET. */
static enum err_code set_url(struct http_transfer *t,
                             const struct http_transfer_opts *opts,
                             struct err *err)
{
    const char *socket_path = opts->unix_path;
    struct url_parts url;
    struct buf text;
    enum err_code rc;
    bool ok;

    if (!split_url(opts->url, &url))
        return err_set(err, ERR_ARGUMENT, 0,
                       "not an http or https URL that can be sent as it is");
    if (url.tls && !opts->trust)
        return err_set(err, ERR_ARGUMENT, 0, "https without a trust");
    if (url.tls)
        t->trust = http_trust_hold(opts->trust);
    rc = set_place(t, opts, &url, err);
    if (rc == ERR_OK)
        rc = set_label(t, &url, err);
    if (rc != ERR_OK)
        return rc;
    buf_init(&text, 2 * URL_MAX);
    buf_addf(&text, "%s://%.*s/", url.tls ? "https" : "http",
             (int)url.authority_len, url.authority);
    ok = !buf_failed(&text) &&
         !curl_easy_setopt(t->easy, CURLOPT_URL, buf_text(&text));
    buf_clear(&text);
    buf_addf(&text, "%s%s", url.target[0] == '/' ? "" : "/", url.target);
    ok = ok && !buf_failed(&text) &&
         !curl_easy_setopt(t->easy, CURLOPT_REQUEST_TARGET, buf_text(&text)) &&
         !curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to) &&
         !curl_easy_setopt(t->easy, CURLOPT_UNIX_SOCKET_PATH, socket_path);
    buf_fini(&text);
    return ok ? ERR_OK : nomem(err);
}

/* Headers that decide about framing are ours. */
static bool is_ours(const char *name)
{
    return strcasecmp(name, "Content-Length") == 0 ||
           strcasecmp(name, "Transfer-Encoding") == 0 ||
           strcasecmp(name, "Expect") == 0;
}

static bool add_header(struct http_transfer *t, const char *text)
{
    struct curl_slist *list = curl_slist_append(t->headers, text);

    if (!list)
        return false;
    t->headers = list;
    return true;
}

static enum err_code add_one(struct http_transfer *t,
                             const struct http_header *h, struct err *err)
{
    struct buf text;
    bool ok;

    if (!http_head_name_ok(h->name) || is_ours(h->name))
        return err_set(err, ERR_ARGUMENT, 0, "not a header to set: %s",
                       h->name);
    if (!http_head_value_ok(h->value))
        return err_set(err, ERR_ARGUMENT, 0,
                       "header %s: its value has control characters", h->name);
    if (strncasecmp(h->name, "If-", 3) == 0)
        t->repeatable = false; /* the second may meet what the first made */
    buf_init_secret(&text, 64 * KIB);
    /* libcurl's form of a header with an empty value ends in a semicolon. */
    ok = h->value[strspn(h->value, " \t")]
             ? buf_addf(&text, "%s: %s", h->name, h->value)
             : buf_addf(&text, "%s;", h->name);
    ok = ok && add_header(t, buf_text(&text));
    buf_fini(&text);
    return ok ? ERR_OK : nomem(err);
}

static enum err_code set_headers(struct http_transfer *t,
                                 const struct http_transfer_opts *opts,
                                 struct err *err)
{
    bool accept = false;

    for (size_t i = 0; i < opts->header_count; i++) {
        enum err_code rc = add_one(t, &opts->headers[i], err);

        if (rc != ERR_OK)
            return rc;
        if (strcasecmp(opts->headers[i].name, "Accept") == 0)
            accept = true;
    }
    /* Waiting for "100 Continue" costs a second where none comes. XAPI takes
     * 1,024 bytes of headers: nothing goes out that nobody needs. */
    if (!add_header(t, "Expect:") || (!accept && !add_header(t, "Accept:")))
        return nomem(err);
    if (curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers))
        return nomem(err);
    return ERR_OK;
}

static enum err_code set_body(struct http_transfer *t,
                              const struct http_transfer_opts *opts,
                              struct err *err)
{
    t->pull = opts->pull;
    if (t->pull) {
        t->body_bytes = opts->body_bytes;
        return ERR_OK;
    }
    if (opts->body_slices == 0)
        return ERR_OK;
    t->body = malloc(opts->body_slices * sizeof(*t->body));
    if (!t->body)
        return nomem(err);
    memcpy(t->body, opts->body, opts->body_slices * sizeof(*t->body));
    t->body_slices = opts->body_slices;
    for (size_t i = 0; i < t->body_slices; i++)
        t->body_bytes += t->body[i].len;
    return ERR_OK;
}

static enum err_code set_method(struct http_transfer *t,
                                const struct http_transfer_opts *opts,
                                struct err *err)
{
    static const char *const known[] = {"GET",  "HEAD",   "PUT",
                                        "POST", "DELETE", "PATCH"};
    bool head = strcmp(opts->method, "HEAD") == 0;
    bool found = false;
    CURLcode rc = CURLE_OK;
    long buffer;

    for (size_t i = 0; i < BYTES_COUNT(known); i++)
        found = found || strcmp(opts->method, known[i]) == 0;
    if (!found || (head && t->body_bytes > 0))
        return err_set(err, ERR_ARGUMENT, 0, "not a method to send: %s",
                       opts->method);
    t->method = strdup(opts->method);
    if (!t->method)
        return nomem(err);
    t->repeatable =
        strcmp(t->method, "POST") != 0 && strcmp(t->method, "PATCH") != 0;
    /* PUT and POST say Content-Length: 0 where there is nothing. */
    t->has_body = t->body_bytes > 0 || strcmp(t->method, "PUT") == 0 ||
                  strcmp(t->method, "POST") == 0;
    if (head) {
        rc = curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
    } else if (t->has_body) {
        buffer = t->body_bytes > SMALL_BUFFER ? DATA_BUFFER : SMALL_BUFFER;
        rc = curl_easy_setopt(t->easy, CURLOPT_UPLOAD, 1L);
        if (!rc)
            rc = curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE,
                                  (curl_off_t)t->body_bytes);
        if (!rc)
            rc = curl_easy_setopt(t->easy, CURLOPT_UPLOAD_BUFFERSIZE, buffer);
    }
    if (!rc && !head)
        rc = curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, t->method);
    return rc ? nomem(err) : ERR_OK;
}

/* What is the same for all: no proxy, redirect, netrc, signal, other protocol
 * or decoding; HTTP/1.1. False: libcurl lacks one of them. */
static bool set_fixed(CURL *easy, const struct http_transfer_opts *opts)
{
    long idle_max_s = opts->idle_max_s ? (long)opts->idle_max_s : IDLE_MAX_S;
    bool ok = true;

#define SET(option, value) \
    ok = ok && curl_easy_setopt(easy, CURLOPT_##option, value) == CURLE_OK
    SET(PROTOCOLS_STR, "http,https");
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(HTTP09_ALLOWED, 0L);
    SET(FOLLOWLOCATION, 0L);
    SET(HTTP_CONTENT_DECODING, 0L);
    SET(PATH_AS_IS, 1L);
    SET(PROXY, "");
    SET(NETRC, (long)CURL_NETRC_IGNORED);
    SET(NOSIGNAL, 1L);
    SET(NOPROGRESS, 1L);
    /* Else removing a transfer waits for its name to be resolved. */
    SET(QUICK_EXIT, 1L);
    SET(TCP_KEEPALIVE, 1L);
    SET(TCP_KEEPIDLE, 30L);
    SET(TCP_KEEPINTVL, 15L);
    SET(FRESH_CONNECT, opts->fresh ? 1L : 0L);
    SET(FORBID_REUSE, opts->fresh ? 1L : 0L);
    SET(MAXAGE_CONN, idle_max_s);
    return ok;
}

/* The trust's own store stands in for libcurl's files. Sessions are not
 * resumed: a resumed one is not verified again. */
static bool set_tls(struct http_transfer *t)
{
    CURL *easy = t->easy;
    bool ok = true;

    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CAINFO, NULL);
    SET(CAPATH, NULL);
    SET(SSL_SESSIONID_CACHE, 0L);
    SET(SSL_VERIFYPEER, 1L);
    SET(SSL_VERIFYHOST, 2L);
    if (t->trust && !http_trust_checks_name(t->trust))
        SET(SSL_VERIFYHOST, 0L);
    SET(SSL_CTX_FUNCTION, http_transfer_on_ssl_ctx); /* its data: launch() */
    return ok;
}

static bool set_callbacks(struct http_transfer *t, long connect_ms)
{
    CURL *easy = t->easy;
    bool ok = true;

    SET(PRIVATE, t);
    SET(ERRORBUFFER, t->curl_text);
    SET(HEADERFUNCTION, http_transfer_on_line);
    SET(HEADERDATA, t);
    SET(WRITEFUNCTION, http_transfer_on_piece);
    SET(WRITEDATA, t);
    SET(READFUNCTION, http_transfer_on_read);
    SET(READDATA, t);
    SET(SEEKFUNCTION, http_transfer_on_seek);
    SET(SEEKDATA, t);
    SET(PREREQFUNCTION, http_transfer_on_connected);
    SET(PREREQDATA, t);
    /* Our own timer ends it; this divides the time among a name's addresses.
     * 0 would mean five minutes. */
    SET(CONNECTTIMEOUT_MS, connect_ms);
    SET(BUFFERSIZE, t->on_body ? DATA_BUFFER : SMALL_BUFFER);
#undef SET
    return ok;
}

enum err_code http_setup_transfer(struct http_transfer *t,
                                  const struct http_transfer_opts *opts,
                                  struct err *err)
{
    long connect_ms = INT32_MAX;
    enum err_code rc;

    t->easy = curl_easy_init();
    if (!t->easy)
        return nomem(err);
    rc = set_body(t, opts, err);
    if (rc == ERR_OK)
        rc = set_method(t, opts, err);
    if (rc == ERR_OK)
        rc = set_url(t, opts, err);
    if (rc == ERR_OK)
        rc = set_headers(t, opts, err);
    if (rc != ERR_OK)
        return rc;
    if (opts->connect_ms > 0 && opts->connect_ms < INT32_MAX)
        connect_ms = (long)opts->connect_ms;
    if (!set_fixed(t->easy, opts) || !set_tls(t) ||
        !set_callbacks(t, connect_ms))
        return nomem(err);
    return ERR_OK;
}
