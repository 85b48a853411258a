/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_head.h"

#include <string.h>
#include <strings.h>

#include "base/parse.h"

void http_head_init(struct http_head *h)
{
    *h = (struct http_head){.length = -1};
    buf_init(&h->text, HTTP_HEAD_MAX);
}

void http_head_fini(struct http_head *h)
{
    buf_fini(&h->text);
}

static bool is_token_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool http_head_name_ok(const char *name)
{
    if (!*name)
        return false;
    for (; *name; name++) {
        if (!is_token_char((unsigned char)*name))
            return false;
    }
    return true;
}

bool http_head_value_ok(const char *value)
{
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* "HTTP/1.1 200 OK": the version is 1.0 or 1.1, the reason may be missing. */
static enum http_head_result take_status(struct http_head *h, const char *line,
                                         size_t len)
{
    uint64_t status;

    if (len < 12 || (len > 12 && line[12] != ' '))
        return HTTP_HEAD_BAD;
    if (memcmp(line, "HTTP/1.0 ", 9) != 0 && memcmp(line, "HTTP/1.1 ", 9) != 0)
        return HTTP_HEAD_BAD;
    /* We never ask for another protocol (101). */
    if (!parse_u64_n(line + 9, 3, 100, 599, &status) || status == 101)
        return HTTP_HEAD_BAD;
    h->status = (int)status;
    return HTTP_HEAD_MORE;
}

static enum http_head_result take_length(struct http_head *h, const char *value,
                                         size_t len)
{
    uint64_t length;

    if (!parse_u64_n(value, len, 0, INT64_MAX, &length))
        return HTTP_HEAD_BAD;
    if (h->length >= 0 && (uint64_t)h->length != length)
        return HTTP_HEAD_BAD;
    h->length = (int64_t)length;
    return HTTP_HEAD_MORE;
}

static enum http_head_result take_header(struct http_head *h, const char *line,
                                         size_t len)
{
    const char *colon = memchr(line, ':', len);
    const char *value;
    size_t name_len, value_len, before;

    if (!colon || colon == line)
        return HTTP_HEAD_BAD;
    name_len = (size_t)(colon - line);
    for (size_t i = 0; i < name_len; i++) {
        if (!is_token_char((unsigned char)line[i]))
            return HTTP_HEAD_BAD;
    }
    value = colon + 1;
    value_len = len - name_len - 1;
    while (value_len > 0 && (*value == ' ' || *value == '\t')) {
        value++;
        value_len--;
    }
    while (value_len > 0 &&
           (value[value_len - 1] == ' ' || value[value_len - 1] == '\t'))
        value_len--;
    if (memchr(value, '\0', value_len))
        return HTTP_HEAD_BAD;
    before = h->text.len;
    buf_add(&h->text, line, name_len);
    buf_add_u8(&h->text, 0);
    buf_add(&h->text, value, value_len);
    buf_add_u8(&h->text, 0);
    if (buf_failed(&h->text)) {
        h->text.len = before; /* whole pairs only: they are looked through */
        return HTTP_HEAD_NOMEM;
    }
    if (name_len == 14 && strncasecmp(line, "content-length", 14) == 0)
        return take_length(h, value, value_len);
    if (name_len == 17 && strncasecmp(line, "transfer-encoding", 17) == 0)
        h->chunked = true;
    return HTTP_HEAD_MORE;
}

enum http_head_result http_head_line(struct http_head *h, const char *line,
                                     size_t len)
{
    if (h->whole)
        return HTTP_HEAD_MORE;
    if (len > HTTP_HEAD_MAX - h->line_sum)
        return HTTP_HEAD_TOO_BIG;
    h->line_sum += len;
    if (len > 0 && line[len - 1] == '\n')
        len--;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    if (h->status == 0)
        return take_status(h, line, len);
    if (len > 0)
        return take_header(h, line, len);
    if (h->status >= 200) {
        h->whole = true;
        return HTTP_HEAD_WHOLE;
    }
    /* "100 Continue" and its like: the real head follows. */
    h->status = 0;
    h->length = -1;
    h->chunked = false;
    buf_clear(&h->text);
    return HTTP_HEAD_MORE;
}

const char *http_head_find(const struct http_head *h, const char *name)
{
    const char *at = (const char *)h->text.data;
    const char *end;

    if (h->text.len == 0)
        return NULL;
    end = at + h->text.len;
    while (at < end) {
        const char *value = at + strlen(at) + 1;

        if (strcasecmp(at, name) == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

bool http_head_ends_by_close(const struct http_head *h, const char *method)
{
    if (strcmp(method, "HEAD") == 0 || h->status == 204 || h->status == 304)
        return false;
    return h->length < 0 && !h->chunked;
}
