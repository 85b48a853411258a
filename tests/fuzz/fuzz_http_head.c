/* SPDX-License-Identifier: Apache-2.0 */
/* Any answer's head, line by line as libcurl hands it over. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* Every header is found under its name, and no value breaks a line. */
static void walk(const struct http_head *h)
{
    const char *at = (const char *)h->text.data;
    size_t left = h->text.len;

    while (left > 0) {
        size_t name = strnlen(at, left) + 1;
        size_t value;

        require(name < left);
        value = strnlen(at + name, left - name) + 1;
        require(name + value <= left);
        require(http_head_name_ok(at));
        require(!strchr(at + name, '\n'));
        require(http_head_find(h, at) != NULL);
        at += name + value;
        left -= name + value;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum http_head_result rc = HTTP_HEAD_MORE;
    struct http_head h;

    http_head_init(&h);
    while (size > 0 && rc == HTTP_HEAD_MORE) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end ? (size_t)(end - data) + 1 : size;

        rc = http_head_line(&h, (const char *)data, len);
        data += len;
        size -= len;
    }
    require(h.text.len <= HTTP_HEAD_MAX);
    require((rc == HTTP_HEAD_WHOLE) == h.whole);
    if (h.whole) {
        require(h.status >= 200 && h.status <= 599 && h.length >= -1);
        require(!http_head_ends_by_close(&h, "HEAD"));
        walk(&h);
    }
    http_head_fini(&h);
    return 0;
}
