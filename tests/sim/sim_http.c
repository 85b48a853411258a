/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_http.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"
#include "tests/sim/sim_mem.h"

#define HTML "content-type: text/html\r\n"
#define NO_CACHE "Cache-Control: no-cache, no-store\r\n"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char *percent_decode(const char *text, size_t len)
{
    char *out = sim_mem_new(len + 1);
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '%' && i + 2 < len && hex_digit(text[i + 1]) >= 0 &&
            hex_digit(text[i + 2]) >= 0) {
            out[n++] =
                (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
            i += 2;
        } else {
            out[n++] = text[i] == '+' ? ' ' : text[i];
        }
    }
    return out;
}

/* "a=b&c=d" or "a=b; c=d" */
static struct sim_value *parse_pairs(const char *text, const char *between)
{
    struct sim_value *map = sim_value_map();

    for (const char *p = text; p && *p;) {
        size_t len = strcspn(p, between), name = strcspn(p, "=");

        if (name < len) {
            char *key = percent_decode(p, name);
            char *value = percent_decode(p + name + 1, len - name - 1);

            sim_value_put_text(map, key, value);
            free(key);
            free(value);
        }
        p += len;
        p += strspn(p, between);
    }
    return map;
}

static void parse_basic(struct sim_request *r)
{
    const char *a = sim_http_header(r, "authorization");
    uint8_t text[512];
    char *colon;
    int n;

    if (!a || strncasecmp(a, "Basic ", 6) != 0 || strlen(a + 6) > 600)
        return;
    a += 6;
    n = EVP_DecodeBlock(text, (const uint8_t *)a, (int)strlen(a));
    if (n < 0)
        return;
    while (n > 0 && text[n - 1] == '\0') /* what the padding became */
        n--;
    text[n] = '\0';
    colon = strchr((char *)text, ':');
    if (!colon)
        return;
    r->user = sim_mem_dup_n((char *)text, (size_t)(colon - (char *)text));
    r->password = sim_mem_dup(colon + 1);
}

static bool parse_request_line(struct sim_request *r, char *line)
{
    char *save = NULL, *method = strtok_r(line, " ", &save);
    char *target = strtok_r(NULL, " ", &save);
    char *version = strtok_r(NULL, " ", &save), *mark;

    if (!method || !target || !version || *target != '/')
        return false;
    if (strcmp(version, "HTTP/1.1") == 0)
        r->minor = 1;
    else if (strcmp(version, "HTTP/1.0") != 0)
        return false;
    mark = strchr(target, '?');
    r->query_text = sim_mem_dup(mark ? mark : "");
    r->query = parse_pairs(mark ? mark + 1 : "", "&");
    r->path =
        percent_decode(target, mark ? (size_t)(mark - target) : strlen(target));
    r->method = sim_mem_dup(method);
    return true;
}

static bool parse_header(struct sim_request *r, char *line)
{
    char *colon = strchr(line, ':'), *value, *end;

    if (!colon)
        return false;
    *colon = '\0';
    for (char *p = line; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    value = colon + 1 + strspn(colon + 1, " \t");
    for (end = value + strlen(value); end > value && end[-1] == ' ';)
        *--end = '\0';
    sim_value_put_text(r->headers, line, value);
    return true;
}

static bool finish_head(struct sim_request *r)
{
    const char *length = sim_http_header(r, "content-length");
    const char *connection = sim_http_header(r, "connection");
    const char *cookie = sim_http_header(r, "cookie");

    r->keep_alive = r->minor == 1;
    if (connection && strcasecmp(connection, "close") == 0)
        r->keep_alive = false;
    else if (connection && strcasecmp(connection, "keep-alive") == 0)
        r->keep_alive = true;
    r->encoded = sim_http_header(r, "transfer-encoding") != NULL;
    r->cookie = parse_pairs(cookie ? cookie : "", "; ");
    parse_basic(r);
    if (length) {
        r->has_length = true;
        return parse_u64(length, 0, UINT64_MAX, &r->length);
    }
    return true;
}

static enum sim_http_head parse_head(char *head, struct sim_request *out)
{
    char *line = head, *next;
    bool first = true;

    out->headers = sim_value_map();
    while (line && *line) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (*line && line[strlen(line) - 1] == '\r')
            line[strlen(line) - 1] = '\0';
        if (!*line)
            break;
        if (first ? !parse_request_line(out, line) : !parse_header(out, line))
            return SIM_HTTP_BAD;
        first = false;
        line = next;
    }
    return first || !finish_head(out) ? SIM_HTTP_BAD : SIM_HTTP_OK;
}

enum sim_http_head sim_http_read(struct sim_conn *c, size_t max,
                                 struct sim_request *out)
{
    char *head = sim_mem_new(max + 1);
    enum sim_http_head rc;
    size_t len = 0;

    memset(out, 0, sizeof(*out));
    for (;;) {
        ssize_t n;

        if (len == max) {
            rc = SIM_HTTP_LARGE;
            break;
        }
        n = sim_conn_read(c, head + len, 1);
        if (n <= 0) {
            rc = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && len > 0
                     ? SIM_HTTP_TIMEOUT
                     : SIM_HTTP_CLOSED;
            break;
        }
        len++;
        if ((len >= 4 && memcmp(head + len - 4, "\r\n\r\n", 4) == 0) ||
            (len >= 2 && memcmp(head + len - 2, "\n\n", 2) == 0)) {
            rc = memchr(head, 0, len) ? SIM_HTTP_BAD : parse_head(head, out);
            break;
        }
    }
    free(head);
    return rc;
}

void sim_http_fini(struct sim_request *r)
{
    free(r->method);
    free(r->path);
    free(r->query_text);
    free(r->user);
    free(r->password);
    sim_value_free(r->query);
    sim_value_free(r->cookie);
    sim_value_free(r->headers);
    memset(r, 0, sizeof(*r));
}

const char *sim_http_param(const struct sim_request *r, const char *key)
{
    return sim_value_get_str(r->cookie, key,
                             sim_value_get_str(r->query, key, NULL));
}

const char *sim_http_header(const struct sim_request *r, const char *name)
{
    return sim_value_get_str(r->headers, name, NULL);
}

bool sim_http_answer(struct sim_conn *c, const struct sim_request *r,
                     const char *type, const char *extra, const void *body,
                     size_t len)
{
    struct buf b;
    bool ok;

    buf_init(&b, SIZE_MAX / 2);
    buf_addf(&b,
             "HTTP/1.%d 200 OK\r\ncontent-length: %zu\r\nconnection: %s\r\n"
             "cache-control: no-cache, no-store\r\ncontent-type: %s\r\n"
             "Access-Control-Allow-Origin: *\r\n"
             "Access-Control-Allow-Headers: X-Requested-With\r\n%s\r\n",
             r->minor, len, r->keep_alive ? "keep-alive" : "close", type,
             extra);
    buf_add(&b, body, len);
    sim_mem_check(&b);
    ok = sim_conn_write(c, b.data, b.len);
    buf_fini(&b);
    return ok;
}

static const struct {
    int status;
    const char *phrase, *title, *text;
} pages[] = {
    {400, "Bad Request", "HTTP 400 bad request",
     "The HTTP request was malformed. Please correct and retry."},
    {401, "Unauthorised", "HTTP 401 unauthorised",
     "Please check your credentials and retry."},
    {403, "Forbidden", "HTTP 403 forbidden",
     "Access to the requested resource is forbidden."},
    {404, "Not Found", "HTTP 404 not found",
     "The requested resource was not found."},
    {408, "Request timeout", "HTTP 408 request timeout",
     "Timeout waiting for the request."},
    {411, "Length required", "HTTP 411 length required",
     "Please supply a content-length."},
    {413, "Request entity too large", "HTTP 413 request entity too large",
     "The request is too large."},
    {431, "Request Header Fields Too Large",
     "HTTP 431 request header fields too large",
     "Exceeded the maximum header size."},
    {501, "Method not implemented", "HTTP 501 method not implemented",
     "This method is not supported."},
    {500, "Internal Error", "HTTP 500 internal server error",
     "An unexpected error occurred; please wait a while and try again. If the "
     "problem persists, please contact your support representative."},
};

void sim_http_error_text(struct buf *out, int status, const char *info,
                         const char *realm)
{
    size_t i = 0;
    struct buf b;

    while (pages[i].status != status && pages[i].status != 500)
        i++;
    buf_init(&b, SIZE_MAX / 2);
    buf_addf(&b, "<html><body><h1>%s</h1>%s", pages[i].title, pages[i].text);
    if (info)
        buf_addf(&b, "<h1> Additional information </h1>%s", info);
    buf_add_text(&b, "</body></html>");
    buf_addf(out, "HTTP/1.1 %d %s\r\n", pages[i].status, pages[i].phrase);
    if (realm)
        buf_addf(out, "WWW-Authenticate: Basic realm=\"%s\"\r\n", realm);
    buf_addf(out,
             "content-length: %zu\r\n" HTML
             "connection: close\r\ncache-control: no-cache, no-store\r\n\r\n",
             b.len);
    buf_add(out, b.data, b.len);
    sim_mem_check(&b);
    sim_mem_check(out);
    buf_fini(&b);
}

bool sim_http_error(struct sim_conn *c, int status, const char *info,
                    const char *realm)
{
    struct buf b;
    bool ok;

    buf_init(&b, SIZE_MAX / 2);
    sim_http_error_text(&b, status, info, realm);
    ok = sim_conn_write(c, b.data, b.len);
    buf_fini(&b);
    return ok;
}

bool sim_http_redirect(struct sim_conn *c, const char *location)
{
    char *text =
        sim_mem_printf("HTTP/1.1 302 Found\r\nConnection: close\r\n" NO_CACHE
                       "Location: %s\r\n\r\n",
                       location);
    bool ok = sim_conn_write(c, text, strlen(text));

    free(text);
    return ok;
}
