/* SPDX-License-Identifier: Apache-2.0 */
#include "base/html.h"

#include <stdbool.h>
#include <string.h>

static const struct {
    const char *name;
    char is;
} entities[] = {
    {"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'},
    {"&#39;", '\''},
};

/* The character that an entity at p stands for; *len its bytes, 1 if none. */
static char entity(const char *p, size_t left, size_t *len)
{
    for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++) {
        *len = strlen(entities[i].name);
        if (left >= *len && memcmp(p, entities[i].name, *len) == 0)
            return entities[i].is;
    }
    *len = 1;
    return *p;
}

void html_words(const void *page, size_t len, char *out, size_t size)
{
    const char *p = page;
    bool in_tag = false, space = false;
    size_t made = 0, step;
    char c;

    if (size == 0)
        return;
    for (size_t i = 0; i < len && made + 2 < size; i += step) {
        step = 1;
        c = p[i];
        if (in_tag || c == '<') {
            in_tag = c != '>';
            space = true;
            continue;
        }
        if ((unsigned char)c <= ' ' || c == 0x7f) {
            space = true;
            continue;
        }
        if (c == '&')
            c = entity(p + i, len - i, &step);
        if (space && made > 0)
            out[made++] = ' ';
        space = false;
        out[made++] = c;
    }
    out[made] = 0;
}

void html_xapi_error(const void *page, size_t len, char *out, size_t size)
{
    static const char mark[] = "Additional information";
    const char *found = memmem(page, len, mark, sizeof(mark) - 1);

    if (found) {
        found += sizeof(mark) - 1;
        html_words(found, len - (size_t)(found - (const char *)page), out,
                   size);
        if (size > 0 && out[0])
            return;
    }
    html_words(page, len, out, size);
}
