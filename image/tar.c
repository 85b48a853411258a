/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

/* Offset and length of the fields that are looked at. */
enum {
    NAME_AT = 0,
    NAME_LEN = 100,
    SIZE_AT = 124,
    SUM_AT = 148,
    SUM_LEN = 8,
    TYPE_AT = 156,
    MAGIC_AT = 257,
    PREFIX_AT = 345,
    PREFIX_LEN = 155,
};
#define SIZE_LEN 12

/* Spaces, octal digits, then NUL, space or the end of the field. */
static bool read_octal(const uint8_t *field, size_t len, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0, digits = 0;

    while (i < len && field[i] == ' ')
        i++;
    for (; i < len && field[i] >= '0' && field[i] <= '7'; i++, digits++) {
        if (v >> 61)
            return false;
        v = v << 3 | (uint64_t)(field[i] - '0');
    }
    if (digits == 0 || (i < len && field[i] != 0 && field[i] != ' '))
        return false;
    *out = v;
    return true;
}

/* Sizes from 8 GiB on: a set top bit, then a big-endian number. */
static bool read_size(const uint8_t *field, uint64_t *out)
{
    uint64_t v = 0;

    if (!(field[0] & 0x80))
        return read_octal(field, SIZE_LEN, out);
    if (field[0] != 0x80)
        return false;
    for (size_t i = 1; i < SIZE_LEN; i++) {
        if (v >> 55)
            return false;
        v = v << 8 | field[i];
    }
    *out = v;
    return true;
}

/* Old tars summed signed bytes. */
static bool sum_is_right(const uint8_t *block, uint64_t said)
{
    uint64_t sum = 0;
    int64_t sum_signed = 0;

    for (size_t i = 0; i < TAR_BLOCK; i++) {
        uint8_t b = i >= SUM_AT && i < SUM_AT + SUM_LEN ? ' ' : block[i];

        sum += b;
        sum_signed += (int8_t)b;
    }
    return said == sum || (sum_signed >= 0 && said == (uint64_t)sum_signed);
}

enum err_code tar_header_read(const uint8_t block[TAR_BLOCK],
                              struct tar_header *out, struct err *err)
{
    size_t prefix = 0, name;
    uint64_t said;

    if (!read_octal(block + SUM_AT, SUM_LEN, &said) ||
        !sum_is_right(block, said))
        return err_set(err, ERR_PROTOCOL, 0, "no tar header");
    if (!read_size(block + SIZE_AT, &out->size))
        return err_set(err, ERR_PROTOCOL, 0, "a tar header without a size");
    if (memcmp(block + MAGIC_AT, "ustar", 6) == 0)
        prefix = strnlen((const char *)block + PREFIX_AT, PREFIX_LEN);
    memcpy(out->name, block + PREFIX_AT, prefix);
    if (prefix > 0)
        out->name[prefix++] = '/';
    name = strnlen((const char *)block + NAME_AT, NAME_LEN);
    memcpy(out->name + prefix, block + NAME_AT, name);
    out->name[prefix + name] = 0;
    out->type = block[TYPE_AT] ? (char)block[TYPE_AT] : '0';
    return ERR_OK;
}

/* One record: "LEN KEY=VALUE\n". Returns its length, 0 when it is none. */
static size_t pax_record(const uint8_t *text, size_t len, const uint8_t **key,
                         const uint8_t **value, size_t *value_len)
{
    const uint8_t *space = memchr(text, ' ', len < 12 ? len : 12);
    const uint8_t *equals;
    uint64_t n;

    if (!space ||
        !parse_u64_n((const char *)text, (size_t)(space - text), 5, len, &n) ||
        n <= (size_t)(space - text) + 2 || text[n - 1] != '\n')
        return 0;
    *key = space + 1;
    equals = memchr(*key, '=', (size_t)(text + n - *key));
    if (!equals)
        return 0;
    *value = equals + 1;
    *value_len = (size_t)(text + n - 1 - *value);
    return (size_t)n;
}

enum err_code tar_pax_read(const uint8_t *text, size_t len,
                           char name[TAR_NAME_MAX], uint64_t *size,
                           bool *size_set, struct err *err)
{
    const uint8_t *key = NULL, *value = NULL;
    size_t n, value_len = 0;

    name[0] = 0;
    *size_set = false;
    for (; len > 0; text += n, len -= n) {
        n = pax_record(text, len, &key, &value, &value_len);
        if (n == 0)
            return err_set(err, ERR_PROTOCOL, 0, "a broken pax header");
        if (value - key == 5 && memcmp(key, "path=", 5) == 0) {
            if (value_len == 0 || value_len >= TAR_NAME_MAX ||
                memchr(value, 0, value_len))
                return err_set(err, ERR_PROTOCOL, 0,
                               "a pax header with an unusable path");
            memcpy(name, value, value_len);
            name[value_len] = 0;
        }
        if (value - key == 5 && memcmp(key, "size=", 5) == 0) {
            if (!parse_u64_n((const char *)value, value_len, 0, INT64_MAX,
                             size))
                return err_set(err, ERR_PROTOCOL, 0,
                               "a pax header with an unusable size");
            *size_set = true;
        }
    }
    return ERR_OK;
}

void tar_header_make(const char *name, uint64_t size, uint64_t mtime,
                     uint8_t block[TAR_BLOCK])
{
    size_t len = strlen(name);
    char field[SIZE_LEN + 1];
    unsigned sum = 0;

    assert(len <= NAME_LEN && size < (uint64_t)1 << 33);
    memset(block, 0, TAR_BLOCK);
    memcpy(block + NAME_AT, name, len);
    memcpy(block + 100, "0000400", 8);
    memcpy(block + 108, "0000000", 8);
    memcpy(block + 116, "0000000", 8);
    snprintf(field, sizeof(field), "%011" PRIo64, size);
    memcpy(block + SIZE_AT, field, SIZE_LEN);
    snprintf(field, sizeof(field), "%011" PRIo64,
             mtime & (((uint64_t)1 << 33) - 1));
    memcpy(block + 136, field, SIZE_LEN);
    memset(block + SUM_AT, ' ', SUM_LEN);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += block[i];
    snprintf(field, sizeof(field), "%07o", sum);
    memcpy(block + SUM_AT, field, SUM_LEN);
}
