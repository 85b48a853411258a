/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

bool parse_u64_n(const char *text, size_t len, uint64_t min, uint64_t max,
                 uint64_t *out)
{
    uint64_t n = 0;

    if (len == 0 || (text[0] == '0' && len > 1))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(text[i] - '0'), &n))
            return false;
    }
    if (n < min || n > max)
        return false;
    *out = n;
    return true;
}

bool parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    return parse_u64_n(text, strlen(text), min, max, out);
}

/* A number, at most one space, and a unit of the list. */
static bool with_unit(const char *text, const struct unit *units, size_t count,
                      uint64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    const char *name = text + digits;
    uint64_t n;

    if (!parse_u64_n(text, digits, 0, UINT64_MAX, &n))
        return false;
    if (*name == ' ')
        name++;
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, units[i].name) == 0)
            return !__builtin_mul_overflow(n, units[i].factor, out);
    return false;
}

bool parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    static const struct unit units[] = {
        {"B", 1}, {"KiB", KIB}, {"MiB", MIB}, {"GiB", GIB}, {"TiB", TIB},
    };
    uint64_t n;

    if (parse_u64(text, min, max, out))
        return true;
    if (!with_unit(text, units, BYTES_COUNT(units), &n) || n < min || n > max)
        return false;
    *out = n;
    return true;
}

bool parse_duration_ms(const char *text, uint64_t min, uint64_t max,
                       uint64_t *out)
{
    static const struct unit units[] = {
        {"ms", 1},       {"s", 1000},      {"min", 60000},
        {"h", 3600000},  {"d", 86400000},
    };
    uint64_t n;

    if (!with_unit(text, units, BYTES_COUNT(units), &n) || n < min || n > max)
        return false;
    *out = n;
    return true;
}

bool parse_bool(const char *text, bool *out)
{
    bool yes = strcmp(text, "true") == 0;

    if (!yes && strcmp(text, "false") != 0)
        return false;
    *out = yes;
    return true;
}

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

static bool is_dash_place(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

bool parse_uuid(const char *text, struct id16 *out)
{
    struct id16 id;

    for (size_t i = 0; i < 16; i++) {
        int high, low;

        if (is_dash_place(i) && *text++ != '-')
            return false;
        high = hex_digit(text[0]);
        low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0)
            return false;
        id.b[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    if (*text)
        return false;
    *out = id;
    return true;
}

void parse_uuid_text(const struct id16 *id, char out[37])
{
    for (size_t i = 0; i < 16; i++) {
        if (is_dash_place(i))
            *out++ = '-';
        bytes_hex(&id->b[i], 1, out);
        out += 2;
    }
}

bool parse_id16(const char *text, struct id16 *out)
{
    struct id16 id;

    if (!bytes_unhex(text, id.b, sizeof(id.b)))
        return false;
    *out = id;
    return true;
}

bool parse_name(const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return len >= 1 && len <= 40 && text[len] == 0;
}

/* Length of the well-formed sequence at p (RFC 3629, section 4), 0: none. */
static size_t utf8_step(const uint8_t *p, size_t len)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t more;

    if (p[0] >= 0x01 && p[0] <= 0x7f)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        more = 1;
    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        more = 2;
        low = p[0] == 0xe0 ? 0xa0 : 0x80;
        high = p[0] == 0xed ? 0x9f : 0xbf;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        more = 3;
        low = p[0] == 0xf0 ? 0x90 : 0x80;
        high = p[0] == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (len <= more || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i <= more; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return more + 1;
}

size_t parse_utf8_step(const char *text, size_t len)
{
    return len ? utf8_step((const uint8_t *)text, len) : 0;
}

bool parse_utf8(const char *text, size_t len)
{
    while (len) {
        size_t step = utf8_step((const uint8_t *)text, len);

        if (!step)
            return false;
        text += step;
        len -= step;
    }
    return true;
}

size_t parse_utf8_cut(const char *text, size_t max)
{
    size_t len = strnlen(text, max + 1);

    if (len <= max)
        return len;
    for (len = max; len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80;)
        len--;
    return len;
}

void parse_size_text(uint64_t bytes, char *out, size_t size)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB",
                                        "EiB"};
    uint64_t tenths;
    unsigned i = 0, shift = 10;

    if (bytes < KIB) {
        snprintf(out, size, "%u B", (unsigned)bytes);
        return;
    }
    while (i + 1 < BYTES_COUNT(units) && bytes >> shift >= 1024) {
        shift += 10;
        i++;
    }
    /* Rounded down: "1.0 GiB" is never said of less. */
    tenths = (bytes >> shift) * 10 +
             (((bytes >> (shift - 10)) & 1023) * 10 >> 10);
    snprintf(out, size, "%u.%u %s", (unsigned)(tenths / 10),
             (unsigned)(tenths % 10), units[i]);
}
