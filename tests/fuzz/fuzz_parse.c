/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that base/parse.h and base/clock.h take mean one thing only. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef bool read_fn(const char *text, uint64_t *wall_ms);
typedef void write_fn(uint64_t wall_ms, char *out);

static const struct {
    read_fn *read;
    write_fn *write;
} clocks[] = {
    {clock_parse_rfc3339, clock_rfc3339},
    {clock_parse_compact, clock_compact},
    {clock_parse_xapi, clock_xapi},
    {clock_parse_http, clock_http},
};

static void want_text(const char *text, const char *again)
{
    if (strcmp(text, again) != 0)
        abort();
}

static void numbers(const char *text)
{
    char again[64];
    uint64_t n = 0;

    if (parse_u64(text, 0, UINT64_MAX, &n)) {
        snprintf(again, sizeof(again), "%ju", (uintmax_t)n);
        want_text(text, again);
    }
    if (parse_size(text, 10, 1000000, &n) && (n < 10 || n > 1000000))
        abort();
    if (parse_duration_ms(text, 10, 1000000, &n) && (n < 10 || n > 1000000))
        abort();
}

static void ids(const char *text)
{
    struct id16 id, same;
    char again[37];

    if (parse_uuid(text, &id)) {
        parse_uuid_text(&id, again);
        if (!parse_uuid(again, &same) || !id16_equal(&id, &same))
            abort();
    }
    if (parse_id16(text, &id)) {
        bytes_hex(id.b, 16, again);
        want_text(text, again);
    }
    if (parse_name(text) && strlen(text) > 40)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    char again[CLOCK_TEXT];
    size_t len, at = 0, step;
    uint64_t ms;

    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    len = strlen(text);
    numbers(text);
    ids(text);
    for (size_t i = 0; i < BYTES_COUNT(clocks); i++) {
        if (!clocks[i].read(text, &ms))
            continue;
        clocks[i].write(ms, again);
        want_text(text, again);
    }
    while (at < len && (step = parse_utf8_step(text + at, len - at)) > 0)
        at += step;
    if (parse_utf8(text, len) != (at == len))
        abort();
    free(text);
    return 0;
}
