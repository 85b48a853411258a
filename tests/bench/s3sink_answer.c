/* SPDX-License-Identifier: Apache-2.0 */
#include "s3sink.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/xml.h"

#define PAGE 1000
#define NS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

static const char *const kind_names[KIND_COUNT] = {
    "put",    "get",  "head",     "delete", "list",
    "create", "part", "complete", "abort",  "other"};

/* ---- requests ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undo %XX of len bytes. */
static bool decode(const char *text, size_t len, char *out, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        int hi = -1, lo = -1;

        if (n + 1 >= size)
            return false;
        if (text[i] == '%' && i + 2 < len) {
            hi = hex_digit(text[i + 1]);
            lo = hex_digit(text[i + 2]);
        }
        if (hi >= 0 && lo >= 0) {
            out[n++] = (char)(hi << 4 | lo);
            i += 2;
        } else {
            out[n++] = text[i];
        }
    }
    out[n] = 0;
    return true;
}

/* The value of a parameter, decoded; false: it is not there. */
static bool param(const struct request *r, const char *name, char *out,
                  size_t size)
{
    size_t len = strlen(name);

    for (const char *p = r->query; *p; p += strcspn(p, "&"), p += *p == '&') {
        size_t n = strcspn(p, "&");

        if (n >= len && strncmp(p, name, len) == 0 &&
            (n == len || p[len] == '='))
            return n == len ? (out[0] = 0, true)
                            : decode(p + len + 1, n - len - 1, out, size);
    }
    return false;
}

static bool has(const struct request *r, const char *name)
{
    char ignored[4096];

    return param(r, name, ignored, sizeof(ignored));
}

static enum kind kind_of(const char *head, const struct request *r)
{
    bool bucket = !strchr(r->key, '/') || !strchr(r->key, '/')[1];

    if (strncmp(head, "PUT ", 4) == 0)
        return r->part ? KIND_PART : bucket ? KIND_OTHER : KIND_PUT;
    if (strncmp(head, "GET ", 4) == 0)
        return bucket ? (has(r, "list-type") || has(r, "uploads") ? KIND_LIST
                                                                  : KIND_OTHER)
                      : (r->upload_id[0] ? KIND_OTHER : KIND_GET);
    if (strncmp(head, "HEAD ", 5) == 0)
        return KIND_HEAD;
    if (strncmp(head, "DELETE ", 7) == 0)
        return r->upload_id[0] ? KIND_ABORT : KIND_DELETE;
    if (strncmp(head, "POST ", 5) == 0 && r->upload_id[0])
        return KIND_COMPLETE;
    return has(r, "uploads") ? KIND_CREATE : KIND_OTHER;
}

static void read_header(const char *line, struct request *r)
{
    uint64_t n;

    if (strncasecmp(line, "content-length:", 15) == 0) {
        line += 15 + strspn(line + 15, " ");
        if (parse_u64_n(line, strcspn(line, "\r"), 0, INT64_MAX, &n))
            r->length = n;
    } else if (strncasecmp(line, "expect:", 7) == 0) {
        r->expects = true;
    } else if (strncasecmp(line, "if-none-match:", 14) == 0) {
        r->if_absent = true;
    } else if (strncasecmp(line, "connection: close", 17) == 0) {
        r->close = true;
    } else if (strncasecmp(line, "range: bytes=", 13) == 0) {
        n = strcspn(line + 13, "\r");
        if (n < sizeof(r->range)) {
            memcpy(r->range, line + 13, n);
            r->range[n] = 0;
            r->has_range = true;
        }
    }
}

bool answer_parse(const char *head, struct request *r)
{
    const char *target = strchr(head, ' '), *end, *query;
    char number[16];
    uint64_t part;

    memset(r, 0, sizeof(*r));
    if (!target || target[1] != '/')
        return false;
    target += 2;
    end = strchr(target, ' ');
    if (!end)
        return false;
    query = memchr(target, '?', (size_t)(end - target));
    if (!decode(target, (size_t)((query ? query : end) - target), r->key,
                sizeof(r->key)))
        return false;
    if (query && (size_t)(end - query) < sizeof(r->query)) {
        memcpy(r->query, query + 1, (size_t)(end - query - 1));
        r->query[end - query - 1] = 0;
    }
    for (const char *line = strstr(end, "\r\n"); line;
         line = strstr(line, "\r\n")) {
        line += 2;
        read_header(line, r);
    }
    param(r, "uploadId", r->upload_id, sizeof(r->upload_id));
    if (param(r, "partNumber", number, sizeof(number)) &&
        parse_u64(number, 1, 10000, &part))
        r->part = (unsigned)part;
    r->kind = kind_of(head, r);
    return true;
}

/* ---- answers ---- */

/* Status line, headers that always stand there, and a body. */
static bool say(struct answer *a, const char *status, const char *headers,
                const char *body, uint64_t length)
{
    char date[CLOCK_TEXT];
    struct buf b;

    buf_init(&b, 64 << 20);
    clock_http(clock_wall_ms(clock_system()), date);
    buf_addf(&b,
             "HTTP/1.1 %s\r\nDate: %s\r\nx-amz-request-id: sink\r\n"
             "%sContent-Length: %" PRIu64 "\r\n\r\n%s",
             status, date, headers, length, body);
    a->text = buf_failed(&b) ? NULL : (char *)buf_detach(&b, &a->len);
    buf_fini(&b);
    return a->text != NULL;
}

static bool say_xml(struct answer *a, const char *status, const char *xml)
{
    return say(a, status, "Content-Type: application/xml\r\n", xml,
               strlen(xml));
}

static bool say_error(struct answer *a, const char *status, const char *code)
{
    char xml[200];

    snprintf(xml, sizeof(xml),
             "<?xml version=\"1.0\"?><Error><Code>%s</Code></Error>", code);
    return say_xml(a, status, xml);
}

static bool say_number(struct answer *a, uint64_t number)
{
    char etag[64];

    snprintf(etag, sizeof(etag), "ETag: \"%032" PRIx64 "\"\r\n", number);
    return say(a, "200 OK", etag, "", 0);
}

/* "a-b", "a-", "-n". False: there is nothing there. */
static bool parse_range(const struct request *r, uint64_t size, uint64_t *from,
                        uint64_t *bytes)
{
    const char *dash = strchr(r->range, '-');
    uint64_t first = 0, last = 0;

    if (!dash || !size)
        return false;
    if (dash == r->range) {
        if (!parse_u64(dash + 1, 1, UINT64_MAX, &last))
            return false;
        *from = last < size ? size - last : 0;
        *bytes = size - *from;
        return true;
    }
    if (!parse_u64_n(r->range, (size_t)(dash - r->range), 0, size - 1, &first))
        return false;
    if (!dash[1] || !parse_u64(dash + 1, first, UINT64_MAX, &last) ||
        last >= size)
        last = size - 1;
    *from = first;
    *bytes = last - first + 1;
    return true;
}

static bool say_object(struct stock *s, struct counts *c,
                       const struct request *r, struct answer *a)
{
    struct object *o = stock_find(s, r->key);
    char headers[300], when[CLOCK_TEXT];
    uint64_t from = 0, bytes;
    int n;

    if (!o && r->kind == KIND_HEAD)
        return say(a, "404 Not Found", "", "", 0);
    if (!o)
        return say_error(a, "404 Not Found", "NoSuchKey");
    bytes = o->bytes;
    if (r->has_range && !parse_range(r, o->bytes, &from, &bytes))
        return say_error(a, "416 X", "InvalidRange");
    clock_http(o->modified_s * 1000, when);
    n = snprintf(headers, sizeof(headers),
                 "Last-Modified: %s\r\nETag: \"%032" PRIx64 "\"\r\n", when,
                 o->number);
    if (r->has_range)
        snprintf(headers + n, sizeof(headers) - (size_t)n,
                 "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n",
                 from, from + bytes - 1, o->bytes);
    if (!say(a, r->has_range ? "206 Partial Content" : "200 OK", headers, "",
             bytes))
        return false;
    if (r->kind == KIND_GET) {
        a->object = stock_hold(o);
        a->from = from;
        a->bytes = bytes;
        c->sent += bytes;
    }
    return true;
}

/* Encoded as in a URL, since keys may hold what XML cannot. */
static void add_key(struct buf *b, const char *key)
{
    for (; *key; key++) {
        if ((*key >= 'a' && *key <= 'z') || (*key >= 'A' && *key <= 'Z') ||
            (*key >= '0' && *key <= '9') || strchr("-._~/", *key))
            buf_add(b, key, 1);
        else
            buf_addf(b, "%%%02X", (unsigned)(uint8_t)*key);
    }
}

/* "bucket/" and what a parameter adds to it. */
static void full_key(const struct request *r, const char *name, char *out,
                     size_t size)
{
    char value[2048];
    size_t bucket = strcspn(r->key, "/");

    if (!param(r, name, value, sizeof(value)))
        value[0] = 0;
    snprintf(out, size, "%.*s/%s", (int)bucket, r->key, value);
}

static bool say_list(struct stock *s, const struct request *r, struct answer *a)
{
    char prefix[4096], after[4096], when[CLOCK_TEXT];
    size_t bucket = strcspn(r->key, "/") + 1, i, n = 0;
    const char *last = "";
    struct buf b;
    bool ok;

    full_key(r, "prefix", prefix, sizeof(prefix));
    full_key(
        r, has(r, "continuation-token") ? "continuation-token" : "start-after",
        after, sizeof(after));
    i = stock_place(s, strcmp(after, prefix) > 0 ? after : prefix);
    buf_init(&b, 16 << 20);
    buf_add_text(&b, "<?xml version=\"1.0\"?><ListBucketResult" NS
                     "><EncodingType>url</EncodingType>");
    for (; i < s->count && n < PAGE; i++) {
        const struct object *o = s->objects[i];

        if (strcmp(o->key, after) <= 0)
            continue;
        if (strncmp(o->key, prefix, strlen(prefix)) != 0)
            break;
        clock_rfc3339(o->modified_s * 1000, when);
        last = o->key + bucket;
        buf_add_text(&b, "<Contents><Key>");
        add_key(&b, last);
        buf_addf(&b,
                 "</Key><LastModified>%s</LastModified><ETag>&quot;%032" PRIx64
                 "&quot;</ETag><Size>%" PRIu64 "</Size></Contents>",
                 when, o->number, o->bytes);
        n++;
    }
    if (i < s->count && n == PAGE) {
        buf_add_text(&b, "<IsTruncated>true</IsTruncated>"
                         "<NextContinuationToken>");
        xml_escape(&b, last, strlen(last));
        buf_add_text(&b, "</NextContinuationToken></ListBucketResult>");
    } else {
        buf_add_text(&b, "<IsTruncated>false</IsTruncated>"
                         "</ListBucketResult>");
    }
    ok = !buf_failed(&b) && say_xml(a, "200 OK", buf_text(&b));
    buf_fini(&b);
    return ok;
}

static bool say_uploads(struct stock *s, const struct request *r,
                        struct answer *a)
{
    char prefix[4096], when[CLOCK_TEXT];
    size_t bucket = strcspn(r->key, "/") + 1;
    struct buf b;
    bool ok;

    full_key(r, "prefix", prefix, sizeof(prefix));
    buf_init(&b, 16 << 20);
    buf_add_text(&b, "<?xml version=\"1.0\"?><ListMultipartUploadsResult" NS
                     "><EncodingType>url</EncodingType>"
                     "<IsTruncated>false</IsTruncated>");
    for (const struct upload *up = s->uploads; up; up = up->next) {
        if (strncmp(up->key, prefix, strlen(prefix)) != 0)
            continue;
        clock_rfc3339(up->begun_s * 1000, when);
        buf_add_text(&b, "<Upload><Key>");
        add_key(&b, up->key + bucket);
        buf_addf(&b,
                 "</Key><UploadId>%" PRIu64 "</UploadId><Initiated>%s"
                 "</Initiated></Upload>",
                 up->id, when);
    }
    buf_add_text(&b, "</ListMultipartUploadsResult>");
    ok = !buf_failed(&b) && say_xml(a, "200 OK", buf_text(&b));
    buf_fini(&b);
    return ok;
}

static bool say_upload(struct answer *a, const struct upload *up)
{
    char xml[300];

    if (!up)
        return false;
    snprintf(xml, sizeof(xml),
             "<?xml version=\"1.0\"?><InitiateMultipartUploadResult" NS
             "><UploadId>%" PRIu64
             "</UploadId></InitiateMultipartUploadResult>",
             up->id);
    return say_xml(a, "200 OK", xml);
}

static bool say_completed(struct answer *a, const struct object *o)
{
    char xml[300];

    if (!o)
        return say_error(a, "400 X", "InvalidPart");
    snprintf(xml, sizeof(xml),
             "<?xml version=\"1.0\"?><CompleteMultipartUploadResult" NS
             "><ETag>&quot;%032" PRIx64
             "&quot;</ETag></CompleteMultipartUploadResult>",
             o->number);
    return say_xml(a, "200 OK", xml);
}

/* GET /_stats: what was counted, and what it cost; /_reset: from zero again. */
static bool say_stats(struct answer *a, const struct counts *c)
{
    struct rusage u;
    char json[1024];
    int n = 0;

    getrusage(RUSAGE_SELF, &u);
    n = snprintf(json, sizeof(json), "{");
    for (int k = 0; k < KIND_COUNT; k++)
        n += snprintf(json + n, sizeof(json) - (size_t)n, "\"%s\":%" PRIu64 ",",
                      kind_names[k], c->requests[k]);
    snprintf(json + n, sizeof(json) - (size_t)n,
             "\"received\":%" PRIu64 ",\"sent\":%" PRIu64
             ",\"user_s\":%.6f,\"system_s\":%.6f,\"max_rss_kib\":%ld}\n",
             c->received, c->sent,
             (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6,
             (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6,
             u.ru_maxrss);
    return say(a, "200 OK", "Content-Type: application/json\r\n", json,
               strlen(json));
}

static bool say_other(struct counts *c, const struct request *r,
                      struct answer *a)
{
    if (strcmp(r->key, "_stats") == 0) {
        c->requests[KIND_OTHER]--;
        return say_stats(a, c);
    }
    if (strcmp(r->key, "_reset") == 0) {
        memset(c, 0, sizeof(*c));
        return say(a, "200 OK", "", "", 0);
    }
    if (has(r, "versioning"))
        return say_xml(a, "200 OK", "<VersioningConfiguration" NS "/>");
    if (r->upload_id[0]) /* parts of an upload: only asked for after aborts */
        return say_error(a, "404 Not Found", "NoSuchUpload");
    if (r->length || !r->query[0]) /* a bucket is made; any is there */
        return say(a, "200 OK", "", "", 0);
    return say_error(a, "501 Not Implemented", "NotImplemented");
}

static bool store_body(struct stock *s, const struct request *r,
                       struct piece *body, struct answer *a)
{
    struct object *o;

    if (r->if_absent && stock_find(s, r->key)) {
        stock_give(s, body);
        return say_error(a, "412 Precondition Failed", "PreconditionFailed");
    }
    o = stock_put(s, r->key, body);
    return o && say_number(a, o->number);
}

static bool store_part(struct stock *s, const struct request *r,
                       struct piece *body, struct answer *a)
{
    struct upload *up = stock_upload(s, r->key, r->upload_id);

    if (!up) {
        stock_give(s, body);
        return say_error(a, "404 Not Found", "NoSuchUpload");
    }
    return stock_part(s, up, r->part, body) && say_number(a, ++s->next_number);
}

bool answer_make(struct stock *s, struct counts *c, const struct request *r,
                 struct piece *body, struct answer *a)
{
    struct upload *up;

    memset(a, 0, sizeof(*a));
    c->requests[r->kind]++;
    c->received += r->length;
    if (body && r->kind != KIND_PUT && r->kind != KIND_PART)
        stock_give(s, body); /* documents: what they say is not needed */
    switch (r->kind) {
    case KIND_PUT:
        return store_body(s, r, body, a);
    case KIND_PART:
        return store_part(s, r, body, a);
    case KIND_GET:
    case KIND_HEAD:
        return say_object(s, c, r, a);
    case KIND_DELETE:
        stock_remove(s, r->key);
        return say(a, "204 No Content", "", "", 0);
    case KIND_LIST:
        return has(r, "uploads") ? say_uploads(s, r, a) : say_list(s, r, a);
    case KIND_CREATE:
        return say_upload(a, stock_begin(s, r->key));
    case KIND_COMPLETE:
    case KIND_ABORT:
        up = stock_upload(s, r->key, r->upload_id);
        if (!up)
            return say_error(a, "404 Not Found", "NoSuchUpload");
        if (r->kind == KIND_COMPLETE)
            return say_completed(a, stock_complete(s, up));
        stock_abort(s, up);
        return say(a, "204 No Content", "", "", 0);
    default:
        return say_other(c, r, a);
    }
}
