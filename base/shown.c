/* SPDX-License-Identifier: Apache-2.0 */
#include "base/shown.h"

#include <stdint.h>
#include <string.h>

#include "base/parse.h"

/* The number of a character of two or three bytes. */
static uint32_t code_point(const unsigned char *c, size_t step)
{
    if (step == 2)
        return (c[0] & 0x1fu) << 6 | (c[1] & 0x3fu);
    return (c[0] & 0x0fu) << 12 | (c[1] & 0x3fu) << 6 | (c[2] & 0x3fu);
}

bool shown_is_plain(const char *text, size_t step)
{
    const unsigned char *c = (const unsigned char *)text;
    uint32_t n;

    if (step == 0)
        return false;
    if (step == 1)
        return c[0] >= 0x20 && c[0] != 0x7f;
    if (step > 3)
        return true;
    n = code_point(c, step);
    return n >= 0xa0 && n != 0x061c && n != 0x200e && n != 0x200f &&
           !(n >= 0x2028 && n <= 0x202e) && !(n >= 0x2066 && n <= 0x2069) &&
           n != 0xfeff;
}

void shown_clean(char *text)
{
    size_t left = strlen(text), step;
    char *to = text;

    for (; left; left -= step, text += step) {
        size_t good = parse_utf8_step(text, left);

        step = good ? good : 1;
        if (shown_is_plain(text, good)) {
            memmove(to, text, step);
            to += step;
        } else {
            *to++ = '?';
        }
    }
    *to = 0;
}
