/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_target.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decode in place; what comes out is never longer. */
static bool decode(char *text, bool plus_is_space)
{
    char *out = text;

    for (const char *in = text; *in; in++) {
        int c = (unsigned char)*in;

        if (c == '%') {
            int high = hex_digit(in[1]);
            int low = high < 0 ? -1 : hex_digit(in[2]);

            if (low < 0)
                return false;
            c = high << 4 | low;
            in += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c < 0x20 || c == 0x7f)
            return false;
        *out++ = (char)c;
    }
    *out = '\0';
    return parse_utf8(text, (size_t)(out - text));
}

static bool take_params(struct http_target *t, char *query)
{
    char *next;

    for (; query; query = next) {
        char *value;

        next = strchr(query, '&');
        if (next)
            *next++ = '\0';
        if (!*query)
            continue;
        if (t->count == HTTP_TARGET_PARAMS)
            return false;
        value = strchr(query, '=');
        if (value)
            *value++ = '\0';
        else
            value = query + strlen(query);
        if (!decode(query, true) || !decode(value, true))
            return false;
        t->params[t->count].name = query;
        t->params[t->count].value = value;
        t->count++;
    }
    return true;
}

enum err_code http_target_parse(const char *text, struct http_target *out)
{
    struct http_target t = {0};
    char *query;

    if (text[0] != '/')
        return ERR_PROTOCOL;
    t.path = strdup(text);
    if (!t.path)
        return ERR_NOMEM;
    query = strchr(t.path, '?');
    if (query)
        *query++ = '\0';
    if (!take_params(&t, query) || !decode(t.path, false)) {
        http_target_fini(&t);
        return ERR_PROTOCOL;
    }
    *out = t;
    return ERR_OK;
}

void http_target_fini(struct http_target *t)
{
    free(t->path);
    *t = (struct http_target){0};
}

const char *http_target_find(const struct http_target *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->params[i].name, name) == 0)
            return t->params[i].value;
    }
    return NULL;
}
