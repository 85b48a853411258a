/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_xml.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/xml.h"

#define NS "http://s3.amazonaws.com/doc/2006-03-01/"

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Parse, and look that the root is what is expected. */
static enum err_code parse(const void *text, size_t len, size_t max,
                           const char *root, struct xml_doc **out,
                           struct err *err)
{
    const uint8_t *p = text;
    struct xml_doc *doc;
    enum err_code rc;

    while (len && is_space(*p)) {
        p++;
        len--;
    }
    rc = xml_parse(p, len, max, &doc, err);
    if (rc != ERR_OK)
        return rc;
    if (strcmp(xml_name(xml_root(doc)), root) != 0) {
        rc =
            err_set(err, ERR_PROTOCOL, 0, "the answer is a <%.60s>, not a <%s>",
                    xml_name(xml_root(doc)), root);
        xml_free(doc);
        return rc;
    }
    *out = doc;
    return ERR_OK;
}

/* Copy a child's text; false when it is missing or too long. */
static bool copy_text(const struct xml_node *n, const char *name, char *out,
                      size_t size)
{
    const char *text = xml_child_text(n, name);
    size_t len = text ? strlen(text) : 0;

    if (!text || len >= size)
        return false;
    memcpy(out, text, len + 1);
    return true;
}

/* For people: what is too long is cut. */
static void cut_text(const struct xml_node *n, const char *name, char *out,
                     size_t size)
{
    const char *text = xml_child_text(n, name);

    snprintf(out, size, "%s", text ? text : "");
}

static void read_error(const struct xml_node *n, struct s3_xml_error *out)
{
    cut_text(n, "Code", out->code, sizeof(out->code));
    cut_text(n, "Message", out->message, sizeof(out->message));
    cut_text(n, "RequestId", out->request_id, sizeof(out->request_id));
    cut_text(n, "Region", out->region, sizeof(out->region));
    cut_text(n, "Endpoint", out->endpoint, sizeof(out->endpoint));
}

bool s3_xml_error(const void *text, size_t len, struct s3_xml_error *out)
{
    struct xml_doc *doc;

    memset(out, 0, sizeof(*out));
    if (parse(text, len, S3_XML_SMALL_MAX, "Error", &doc, NULL) != ERR_OK)
        return false;
    read_error(xml_root(doc), out);
    xml_free(doc);
    return true;
}

bool s3_xml_time(const char *text, uint64_t *wall_ms)
{
    char whole[24];
    const char *dot = strchr(text, '.');
    uint64_t ms = 0, unit = 100, seconds;

    if (dot) {
        const char *p = dot + 1;

        for (; *p >= '0' && *p <= '9' && p - dot <= 9; p++, unit /= 10)
            ms += (uint64_t)(*p - '0') * unit;
        if (p == dot + 1 || strcmp(p, "Z") != 0 || dot - text != 19)
            return false;
        memcpy(whole, text, 19);
        memcpy(whole + 19, "Z", 2);
        text = whole;
    }
    if (!clock_parse_rfc3339(text, &seconds))
        return false;
    *wall_ms = seconds + ms;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool s3_xml_decode(char *text)
{
    char *to = text;

    for (const char *p = text; *p; p++) {
        if (*p != '%') {
            /* encoding-type=url is that of forms at some: '+' is a space */
            *to++ = *p == '+' ? ' ' : *p;
            continue;
        }
        if (hex_digit(p[1]) < 0 || hex_digit(p[2]) < 0)
            return false;
        *to = (char)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
        if (!*to++)
            return false;
        p += 2;
    }
    *to = 0;
    return true;
}

/* A key in a listing; decoded when the page says that it is encoded. */
static bool read_key(const struct xml_node *n, const char *name, bool encoded,
                     char out[S3_XML_KEY_MAX])
{
    char raw[3 * S3_XML_KEY_MAX];

    if (!copy_text(n, name, raw, sizeof(raw)) ||
        (encoded && !s3_xml_decode(raw)) || strlen(raw) >= S3_XML_KEY_MAX)
        return false;
    memcpy(out, raw, strlen(raw) + 1);
    return true;
}

static bool is_encoded(const struct xml_node *root)
{
    const char *type = xml_child_text(root, "EncodingType");

    return type && strcmp(type, "url") == 0;
}

/* <IsTruncated>; false when it is neither true nor false. */
static bool read_truncated(const struct xml_node *root, bool *out)
{
    const char *text = xml_child_text(root, "IsTruncated");

    return text && parse_bool(text, out);
}

static bool read_u64(const struct xml_node *n, const char *name, uint64_t max,
                     uint64_t *out)
{
    const char *text = xml_child_text(n, name);

    return text && parse_u64(text, 0, max, out);
}

static bool read_time(const struct xml_node *n, const char *name, uint64_t *out)
{
    const char *text = xml_child_text(n, name);

    return text && s3_xml_time(text, out);
}

static enum err_code bad(struct err *err, const char *what)
{
    return err_set(err, ERR_PROTOCOL, 0, "the answer's <%s> is unusable", what);
}

/* ---- listings ---- */

static enum err_code
read_object(const struct xml_node *n, bool encoded,
            bool (*on_object)(void *, const struct s3_xml_object *), void *ctx,
            struct err *err)
{
    char key[S3_XML_KEY_MAX];
    struct s3_xml_object o = {.key = key};

    if (!read_key(n, "Key", encoded, key) ||
        !read_u64(n, "Size", INT64_MAX, &o.bytes) ||
        !read_time(n, "LastModified", &o.modified_ms))
        return bad(err, "Contents");
    o.etag = xml_child_text(n, "ETag");
    if (!o.etag)
        o.etag = "";
    if (!on_object(ctx, &o))
        return err_set(err, ERR_CANCELLED, 0, "cancelled");
    return ERR_OK;
}

enum err_code s3_xml_list(const void *text, size_t len,
                          bool (*on_object)(void *ctx,
                                            const struct s3_xml_object *o),
                          void *ctx, char next[S3_XML_ID_MAX], struct err *err)
{
    const struct xml_node *root, *n;
    struct xml_doc *doc;
    bool truncated;
    enum err_code rc;

    rc = parse(text, len, S3_XML_PAGE_MAX, "ListBucketResult", &doc, err);
    if (rc != ERR_OK)
        return rc;
    root = xml_root(doc);
    next[0] = 0;
    if (!read_truncated(root, &truncated))
        rc = bad(err, "IsTruncated");
    else if (truncated &&
             (!copy_text(root, "NextContinuationToken", next, S3_XML_ID_MAX) ||
              !next[0]))
        rc = bad(err, "NextContinuationToken");
    for (n = xml_child(root, "Contents"); n && rc == ERR_OK;
         n = xml_next(n, "Contents"))
        rc = read_object(n, is_encoded(root), on_object, ctx, err);
    xml_free(doc);
    return rc;
}

static enum err_code
read_upload(const struct xml_node *n, bool encoded,
            bool (*on_upload)(void *, const struct s3_xml_upload *), void *ctx,
            struct err *err)
{
    char key[S3_XML_KEY_MAX];
    struct s3_xml_upload u = {.key = key};

    u.id = xml_child_text(n, "UploadId");
    if (!read_key(n, "Key", encoded, key) || !u.id || !*u.id ||
        strlen(u.id) >= S3_XML_ID_MAX ||
        !read_time(n, "Initiated", &u.begun_ms))
        return bad(err, "Upload");
    if (!on_upload(ctx, &u))
        return err_set(err, ERR_CANCELLED, 0, "cancelled");
    return ERR_OK;
}

enum err_code
s3_xml_list_uploads(const void *text, size_t len,
                    bool (*on_upload)(void *ctx, const struct s3_xml_upload *u),
                    void *ctx, char next_key[S3_XML_KEY_MAX],
                    char next_id[S3_XML_ID_MAX], struct err *err)
{
    const struct xml_node *root, *n;
    struct xml_doc *doc;
    bool truncated;
    enum err_code rc;

    rc = parse(text, len, S3_XML_PAGE_MAX, "ListMultipartUploadsResult", &doc,
               err);
    if (rc != ERR_OK)
        return rc;
    root = xml_root(doc);
    next_key[0] = next_id[0] = 0;
    if (!read_truncated(root, &truncated))
        rc = bad(err, "IsTruncated");
    else if (truncated &&
             (!read_key(root, "NextKeyMarker", is_encoded(root), next_key) ||
              !copy_text(root, "NextUploadIdMarker", next_id, S3_XML_ID_MAX) ||
              !next_key[0]))
        rc = bad(err, "NextKeyMarker");
    for (n = xml_child(root, "Upload"); n && rc == ERR_OK;
         n = xml_next(n, "Upload"))
        rc = read_upload(n, is_encoded(root), on_upload, ctx, err);
    xml_free(doc);
    return rc;
}

static enum err_code read_part(const struct xml_node *n,
                               bool (*on_part)(void *,
                                               const struct s3_xml_part *),
                               void *ctx, struct err *err)
{
    struct s3_xml_part p = {0};
    uint64_t number;

    if (!read_u64(n, "PartNumber", 10000, &number) || !number ||
        !read_u64(n, "Size", INT64_MAX, &p.bytes) ||
        !copy_text(n, "ETag", p.etag, sizeof(p.etag)))
        return bad(err, "Part");
    p.number = (unsigned)number;
    (void)copy_text(n, "ChecksumSHA256", p.sha256, sizeof(p.sha256));
    if (!on_part(ctx, &p))
        return err_set(err, ERR_CANCELLED, 0, "cancelled");
    return ERR_OK;
}

enum err_code s3_xml_list_parts(const void *text, size_t len,
                                bool (*on_part)(void *ctx,
                                                const struct s3_xml_part *p),
                                void *ctx, unsigned *next, struct err *err)
{
    const struct xml_node *root, *n;
    struct xml_doc *doc;
    uint64_t marker = 0;
    bool truncated;
    enum err_code rc;

    rc = parse(text, len, S3_XML_PAGE_MAX, "ListPartsResult", &doc, err);
    if (rc != ERR_OK)
        return rc;
    root = xml_root(doc);
    if (!read_truncated(root, &truncated))
        rc = bad(err, "IsTruncated");
    else if (truncated &&
             (!read_u64(root, "NextPartNumberMarker", 10000, &marker) ||
              !marker))
        rc = bad(err, "NextPartNumberMarker");
    for (n = xml_child(root, "Part"); n && rc == ERR_OK;
         n = xml_next(n, "Part"))
        rc = read_part(n, on_part, ctx, err);
    xml_free(doc);
    if (rc == ERR_OK)
        *next = (unsigned)marker;
    return rc;
}

/* ---- single answers ---- */

enum err_code s3_xml_created(const void *text, size_t len,
                             char id[S3_XML_ID_MAX], struct err *err)
{
    struct xml_doc *doc;
    enum err_code rc;

    rc = parse(text, len, S3_XML_SMALL_MAX, "InitiateMultipartUploadResult",
               &doc, err);
    if (rc != ERR_OK)
        return rc;
    if (!copy_text(xml_root(doc), "UploadId", id, S3_XML_ID_MAX) || !id[0])
        rc = bad(err, "UploadId");
    xml_free(doc);
    return rc;
}

enum err_code s3_xml_completed(const void *text, size_t len, struct err *err)
{
    struct xml_doc *doc;
    enum err_code rc;

    rc = parse(text, len, S3_XML_SMALL_MAX, "CompleteMultipartUploadResult",
               &doc, err);
    if (rc == ERR_OK)
        xml_free(doc);
    return rc;
}

enum err_code
s3_xml_deleted(const void *text, size_t len,
               void (*on_refused)(void *ctx, const char *key,
                                  const struct s3_xml_error *error),
               void *ctx, struct err *err)
{
    char key[S3_XML_KEY_MAX];
    const struct xml_node *n;
    struct s3_xml_error e;
    struct xml_doc *doc;
    enum err_code rc;

    rc = parse(text, len, S3_XML_PAGE_MAX, "DeleteResult", &doc, err);
    if (rc != ERR_OK)
        return rc;
    for (n = xml_child(xml_root(doc), "Error"); n && rc == ERR_OK;
         n = xml_next(n, "Error")) {
        if (!read_key(n, "Key", false, key)) {
            rc = bad(err, "Error");
            break;
        }
        read_error(n, &e);
        on_refused(ctx, key, &e);
    }
    xml_free(doc);
    return rc;
}

enum err_code s3_xml_retention(const void *text, size_t len, char mode[16],
                               uint64_t *until_ms, struct err *err)
{
    const struct xml_node *root;
    struct xml_doc *doc;
    enum err_code rc;

    rc = parse(text, len, S3_XML_SMALL_MAX, "Retention", &doc, err);
    if (rc != ERR_OK)
        return rc;
    root = xml_root(doc);
    if (!copy_text(root, "Mode", mode, 16) ||
        !read_time(root, "RetainUntilDate", until_ms))
        rc = bad(err, "Retention");
    xml_free(doc);
    return rc;
}

enum err_code s3_xml_versioning(const void *text, size_t len, char status[16],
                                struct err *err)
{
    struct xml_doc *doc;
    enum err_code rc;

    rc = parse(text, len, S3_XML_SMALL_MAX, "VersioningConfiguration", &doc,
               err);
    if (rc != ERR_OK)
        return rc;
    if (!copy_text(xml_root(doc), "Status", status, 16))
        status[0] = 0; /* a bucket that never had versions says nothing */
    xml_free(doc);
    return rc;
}

/* ---- bodies ---- */

void s3_xml_write_complete(struct buf *out, const struct s3_xml_part *parts,
                           size_t count)
{
    buf_add_text(out, "<CompleteMultipartUpload xmlns=\"" NS "\">");
    for (size_t i = 0; i < count; i++) {
        buf_addf(out, "<Part><PartNumber>%u</PartNumber><ETag>",
                 parts[i].number);
        xml_escape(out, parts[i].etag, strlen(parts[i].etag));
        buf_add_text(out, "</ETag>");
        if (parts[i].sha256[0])
            buf_addf(out, "<ChecksumSHA256>%s</ChecksumSHA256>",
                     parts[i].sha256);
        buf_add_text(out, "</Part>");
    }
    buf_add_text(out, "</CompleteMultipartUpload>");
}

void s3_xml_write_delete(struct buf *out, const char *const *keys, size_t count)
{
    buf_add_text(out, "<Delete xmlns=\"" NS "\"><Quiet>true</Quiet>");
    for (size_t i = 0; i < count; i++) {
        buf_add_text(out, "<Object><Key>");
        xml_escape(out, keys[i], strlen(keys[i]));
        buf_add_text(out, "</Key></Object>");
    }
    buf_add_text(out, "</Delete>");
}

void s3_xml_write_retention(struct buf *out, const char *mode,
                            uint64_t until_ms)
{
    char when[CLOCK_TEXT];

    clock_rfc3339(until_ms, when);
    buf_addf(out,
             "<Retention xmlns=\"" NS "\"><Mode>%s</Mode>"
             "<RetainUntilDate>%s</RetainUntilDate></Retention>",
             mode, when);
}
